//! gdb's words that engineers type, as lines of crashlens's own commands. There is no gdb inside.

/// Words that only another name stands for.
const WORDS: &[(&str, &[&str])] = &[
    ("print", &["p", "--plain"]),
    ("inspect", &["p", "--plain"]),
    ("output", &["p", "--bare"]),
    ("ptype", &["whatis", "--ptype"]),
    ("disassemble", &["dis"]),
    ("disas", &["dis"]),
    ("backtrace", &["bt"]),
    ("where", &["bt"]),
];

/// `info` words.
const INFO: &[(&str, &[&str])] = &[
    ("locals", &["frame", "--locals"]),
    ("args", &["frame", "--args"]),
    ("registers", &["frame", "--registers"]),
    ("r", &["frame", "--registers"]),
    ("frame", &["frame"]),
    ("f", &["frame"]),
    ("symbol", &["sym"]),
    ("address", &["sym"]),
    ("line", &["dis", "-s"]),
    ("threads", &["ps"]),
    ("types", &["whatis"]),
];

/// The line that answers gdb's, where it is one of gdb's words.
pub(crate) fn respell(words: &[String]) -> Option<Vec<String>> {
    let (first, rest) = words.split_first()?;
    let ours = |lead: &[&str], rest: &[String]| {
        Some(lead.iter().map(|word| (*word).to_owned()).chain(rest.iter().cloned()).collect())
    };
    if let ("info" | "i", Some((second, rest))) = (first.as_str(), rest.split_first()) {
        let (_, lead) = INFO.iter().find(|(gdb, _)| gdb == second)?;
        return ours(lead, rest);
    }
    let (head, format) = first.split_once('/').unwrap_or((first, ""));
    if head == "x" && !rest.is_empty() {
        return examine(format, &rest.join(" "));
    }
    let lead = match WORDS.iter().find(|(gdb, _)| *gdb == head) {
        Some((_, lead)) => lead,
        None if head == "p" && !format.is_empty() => &["p"][..],
        None => return None,
    };
    let letter = format!("--format={format}");
    match (lead.first(), format) {
        (_, "") => ours(lead, rest),
        (Some(&"p"), _) => ours(&[lead, &[letter.as_str()]].concat(), rest),
        _ => ours(&[lead, &[format!("-{format}").as_str()]].concat(), rest),
    }
}

/// `x/10xg ADDRESS`: count, letter and size.
fn examine(format: &str, place: &str) -> Option<Vec<String>> {
    let digits = format.len() - format.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, letters) = format.split_at_checked(digits)?;
    let count = if count.is_empty() { "1" } else { count };
    let place = if place.contains(' ') { format!("({place})") } else { place.to_owned() };
    let line: Vec<String> = match letters {
        "s" => ["p", &format!("(char *)({place})")].map(str::to_owned).into(),
        "i" => ["dis", &place, count].map(str::to_owned).into(),
        _ => {
            let mut size = "-64";
            let mut decimal = false;
            for letter in letters.chars() {
                match letter {
                    'b' | 'c' => size = "-8",
                    'h' => size = "-16",
                    'w' => size = "-32",
                    'g' | 'a' => size = "-64",
                    'd' | 'u' => decimal = true,
                    'x' | 'z' => {}
                    _ => return None,
                }
            }
            let format = decimal.then(|| "-d".to_owned());
            ["rd".to_owned(), size.to_owned()]
                .into_iter()
                .chain(format)
                .chain([place, count.to_owned()])
                .collect()
        }
    };
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gdb_lines_become_ours() {
        for (gdb, ours) in [
            ("print jiffies", Some("p --plain jiffies")),
            ("p/x 5", Some("p --format=x 5")),
            ("print/d 5", Some("p --plain --format=d 5")),
            ("output/x 5", Some("p --bare --format=x 5")),
            ("ptype struct list_head", Some("whatis --ptype struct list_head")),
            ("ptype/o struct list_head", Some("whatis --ptype -o struct list_head")),
            ("info symbol 0xffffffff81000000", Some("sym 0xffffffff81000000")),
            ("i r rip", Some("frame --registers rip")),
            ("info nosuch", None),
            ("x/10xg init_task", Some("rd -64 init_task 10")),
            ("x/4w 0xff", Some("rd -32 0xff 4")),
            ("x/3dw a + 1", Some("rd -32 -d (a + 1) 3")),
            ("x/5i schedule", Some("dis schedule 5")),
            ("x/s linux_banner", Some("p (char *)(linux_banner)")),
            ("x init_task", Some("rd -64 init_task 1")),
            ("x/q 1", None),
            ("bt", None),
            ("p 5", None),
        ] {
            let words: Vec<String> = gdb.split(' ').map(str::to_owned).collect();
            assert_eq!(respell(&words).map(|words| words.join(" ")).as_deref(), ours, "{gdb}");
        }
    }
}
