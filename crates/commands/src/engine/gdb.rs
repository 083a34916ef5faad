//! gdb's words that engineers type, as lines of crashlens's own commands. There is no gdb inside.

use crate::CommandError;

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
    ("macro", &["whatis", "--macros"]),
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
    ("types", &["whatis", "--types"]),
    ("scope", &["whatis", "--scope"]),
    ("macro", &["whatis", "--macros"]),
    ("macros", &["whatis", "--macros"]),
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
    if head == "x" && !format.is_empty() {
        let format = format!("--format={format}");
        return ours(&["x", &format, "--"], rest);
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

/// What the user calls the command of a line of gdb's, for what is said of it: `ptype`, `info scope`.
pub(crate) fn called(words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let is_ours = |name: &str| crate::engine::dispatch::find(name).is_some();
    match (first.as_str(), rest.first()) {
        ("info" | "i", Some(second)) => {
            INFO.iter().any(|(gdb, _)| gdb == second).then(|| format!("info {second}"))
        }
        _ => {
            let (head, _) = first.split_once('/').unwrap_or((first, ""));
            let is_gdbs = WORDS.iter().any(|(gdb, _)| *gdb == head) && !is_ours(head);
            is_gdbs.then(|| head.to_owned())
        }
    }
}

/// gdb takes a blank before a format: `p /x 5` is `p/x 5`.
pub(crate) fn joined(words: &[String]) -> Option<Vec<String>> {
    let [first, format, rest @ ..] = words else { return None };
    let is_format = |text: &str| {
        let text = text.strip_prefix('-').unwrap_or(text);
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let takes = matches!(first.as_str(), "p" | "print" | "inspect" | "output" | "x" | "ptype");
    let letters = format.strip_prefix('/').filter(|text| takes && is_format(text))?;
    Some(std::iter::once(format!("{first}/{letters}")).chain(rest.iter().cloned()).collect())
}

/// How `x` shows memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// How many.
    pub count: u64,
    /// In which format.
    pub letter: char,
    /// Of how many bytes each.
    pub size: u64,
    /// Before the address, not from it on.
    pub back: bool,
}

/// What is shown where nothing is said: words of the machine in hexadecimal.
impl Default for How {
    fn default() -> Self {
        Self { count: 1, letter: 'x', size: 8, back: false }
    }
}

/// More than anybody reads, and less than an answer can hold.
const MAX_COUNT: u64 = 1 << 20;

impl How {
    /// Reads `8xg`. What it does not say is as it was the last time.
    pub(crate) fn parse(text: &str, last: Self) -> Result<Self, CommandError> {
        let (back, amount) = text.strip_prefix('-').map_or((false, text), |amount| (true, amount));
        let digits = amount.len() - amount.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, letters) = amount.split_at_checked(digits).unwrap_or(("", amount));
        let wrong = |what: &str| CommandError::argument(format_args!("x/{text}: {what}"));
        let count = if count.is_empty() { 1 } else { count.parse().map_err(|_| wrong("no such count"))? };
        if count > MAX_COUNT {
            return Err(wrong("too many"));
        }
        let (mut letter, mut size) = (None, None);
        for c in letters.chars() {
            match c {
                'b' => size = Some(1),
                'h' => size = Some(2),
                'w' => size = Some(4),
                'g' => size = Some(8),
                'x' | 'd' | 'u' | 'o' | 't' | 'a' | 'c' | 'f' | 's' | 'i' | 'z' => letter = Some(c),
                _ => return Err(wrong("there are the formats x d u o t a c f s i z and the sizes b h w g")),
            }
        }
        let letter = letter.unwrap_or(last.letter);
        let size = match (letter, size) {
            ('a', _) => 8,
            ('s', _) => 1,
            ('c', None) => 1,
            // a number with a fraction has four bytes or eight
            ('f', None) if last.size < 4 => 8,
            (_, size) => size.unwrap_or(last.size),
        };
        Ok(Self { count, letter, size, back })
    }
    /// How many stand in a line.
    pub(crate) const fn per_line(self) -> u64 {
        match (self.letter, self.size) {
            ('s', _) => 1,
            ('a', _) => 2,
            ('c', _) | (_, 1 | 2) => 8,
            (_, 4) => 4,
            _ => 2,
        }
    }
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
            ("info types ^virtio", Some("whatis --types ^virtio")),
            ("info scope vfs_read", Some("whatis --scope vfs_read")),
            ("macro expand PAGE_SIZE", Some("whatis --macros expand PAGE_SIZE")),
            ("x/10xg init_task", Some("x --format=10xg -- init_task")),
            ("x/3dw a + 1", Some("x --format=3dw -- a + 1")),
            ("x init_task", None),
            ("bt", None),
            ("p 5", None),
        ] {
            let words: Vec<String> = gdb.split(' ').map(str::to_owned).collect();
            assert_eq!(respell(&words).map(|words| words.join(" ")).as_deref(), ours, "{gdb}");
        }
    }

    #[test]
    fn formats_are_read_and_kept() {
        let first = How::default();
        let read = |text: &str, last| How::parse(text, last).unwrap();
        let how = |count, letter, size| How { count, letter, size, back: false };
        assert_eq!(read("8dw", first), how(8, 'd', 4));
        assert_eq!(read("", read("8dw", first)), how(1, 'd', 4));
        assert_eq!(read("3", how(1, 'u', 2)), how(3, 'u', 2));
        assert_eq!(read("-3", how(1, 'u', 2)), How { back: true, ..how(3, 'u', 2) });
        assert_eq!((read("2fg", first), read("f", how(1, 'x', 1))), (how(2, 'f', 8), how(1, 'f', 8)));
        assert_eq!(
            (read("c", first).size, read("a", how(1, 'x', 1)).size, read("xhx", first)),
            (1, 8, how(1, 'x', 2))
        );
        assert!(How::parse("4q", first).is_err() && How::parse("99999999999x", first).is_err());
        assert_eq!(
            [how(1, 'x', 1), how(1, 'x', 4), how(1, 'x', 8), how(1, 's', 1)].map(How::per_line),
            [8, 4, 2, 1]
        );
    }

    #[test]
    fn a_blank_before_a_format_is_none() {
        let of = |line: &str| {
            joined(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).map(|words| words.join(" "))
        };
        assert_eq!(of("p /x 5").as_deref(), Some("p/x 5"));
        assert_eq!(of("ptype /o struct page").as_deref(), Some("ptype/o struct page"));
        for line in ["p 5", "p /", "dis /x y", "p /x+1 2", "x"] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
