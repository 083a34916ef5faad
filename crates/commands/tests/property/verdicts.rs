//! The comparison of verdicts: a damaged dump's may be weaker, never another.

use super::compare::Compared;
use serde_json::Value;
use std::collections::BTreeSet;

/// Classes that say less than others.
const WEAKER: &[&str] = &["unknown", "panic"];

/// Holds a verdict to the whole dump's.
pub(crate) fn compare(whole: &[Value], found: &[Value]) -> Compared {
    let mut out = Compared { changed: whole != found, ..Compared::default() };
    let (Some(whole), Some(found)) = (whole.last(), found.last()) else { return out };
    let class = |of: &Value| of["class"].as_str().unwrap_or_default().to_owned();
    if class(found) != class(whole) && !WEAKER.contains(&class(found).as_str()) {
        out.wrong.push(format!("class {} and not {}", class(found), class(whole)));
    }
    for member in ["address", "function", "offset", "module", "file", "line"] {
        let (whole, found) = (&whole["place"][member], &found["place"][member]);
        if !found.is_null() && found.get("absent").is_none() && found != whole {
            out.wrong.push(format!("place.{member}: {found} and not {whole}"));
        }
    }
    let signature = &found["signature"];
    if signature.get("absent").is_none() && *signature != whole["signature"] {
        out.wrong.push(format!("signature: {signature} and not {}", whole["signature"]));
    }
    let (known, said) = (values(whole), values(found));
    out.wrong.extend(said.difference(&known).map(|value| format!("operand: value {value}")));
    let told = parts(whole);
    out.lack = lack(whole, found);
    for part in parts(found) {
        let unknown = [
            "not known",
            "not in the dump",
            "not readable",
            "left out",
            "excluded",
            "dump file is truncated",
            "absent",
        ];
        let starts = [", ", " of ", " (", "("];
        let less = |w: &String| {
            w.strip_prefix(part.as_str())
                .is_some_and(|rest| starts.iter().any(|start| rest.starts_with(start)))
        };
        // whom the log names where its task is not to be had
        let logged = part.strip_prefix("context: the log names ").map(|who| who.replace(" on CPU", ", CPU"));
        let by_log = |w: &String| {
            logged
                .as_ref()
                .is_some_and(|who| w.strip_prefix("context: ").is_some_and(|w| w.starts_with(who.as_str())))
        };
        // what the call's types would name
        let raw = part.starts_with("context: argument registers 0x");
        let named = part.split_once(" in the source: ").map(|(_, text)| format!("known: {text}"));
        // of a verdict without its task: what the CPU of that task ran
        let of_all = part
            .strip_prefix("context: CPU ")
            .and_then(|rest| rest.split_once(' '))
            .and_then(|(cpu, rest)| Some(format!("context: {}, CPU {cpu}, ", rest.split_once(' ')?.0)));
        let is_own = |w: &String| {
            found["determined"] == false
                && of_all.as_ref().is_some_and(|of_all| w.starts_with(of_all.as_str()))
        };
        let fine = raw
            || told.iter().any(is_own)
            || told.contains(&part)
            || unknown.iter().any(|word| part.contains(word))
            || told.iter().any(less)
            || told.iter().any(by_log)
            || told.iter().any(|w| is_call_of(w, &part) || is_call_without_texts(w, &part))
            || is_of_report(whole, &part)
            || (found["class"] != whole["class"] && part.starts_with("context: tainted: "))
            || named.is_some_and(|part| told.contains(&part));
        if !fine {
            out.wrong.push(part);
        }
    }
    out
}

/// What a verdict says less than the whole dump's: the first of it.
fn lack(whole: &Value, found: &Value) -> Option<String> {
    if whole["class"] != found["class"] {
        return Some("the class".to_owned());
    }
    let gone = |of: &Value| of.is_null() || of.get("absent").is_some();
    let places =
        ["address", "function", "file"].map(|member| (&whole["place"][member], &found["place"][member]));
    if places
        .into_iter()
        .chain([(&whole["signature"], &found["signature"])])
        .any(|(w, f)| !gone(w) && gone(f))
    {
        return Some("the place or the signature".to_owned());
    }
    if let Some(value) = values(whole).difference(&values(found)).next() {
        return Some(format!("operand: value {value}"));
    }
    // a program's own memory is what dumps usually leave out: without it the address of a text is told, and no command line
    let (told, said) = (parts(whole), parts(found));
    let is_of_user = |part: &&String| {
        part.starts_with("context: command line: ") || said.iter().any(|s| is_call_without_texts(part, s))
    };
    told.difference(&said).find(|part| !is_of_user(part)).cloned()
}

/// Whether these are the registers of a call that is told with its parameters' names.
fn is_call_of(told: &str, part: &str) -> bool {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let Some(registers) = part.strip_prefix("context: argument registers ") else { return false };
    let Some((_, call)) = told.strip_prefix("context: system call ").and_then(|call| call.split_once('('))
    else {
        return false;
    };
    let named =
        call.split('=').skip(1).map(|text| number(text.split([',', ')', ' ']).next().unwrap_or_default()));
    let registers = registers.split(", ").map(number);
    named.zip(registers).all(|(named, register)| named == register)
}

/// Whether this is the same call, with the addresses of texts in the place of the texts.
fn is_call_without_texts(told: &str, part: &str) -> bool {
    let arguments = |text: &str| {
        let (name, rest) = text.strip_prefix("context: system call ")?.split_once('(')?;
        let (inner, behind) = rest.rsplit_once(')')?;
        Some((name.to_owned(), inner.split(", ").map(str::to_owned).collect::<Vec<_>>(), behind.to_owned()))
    };
    let (Some(told), Some(part)) = (arguments(told), arguments(part)) else { return false };
    let is_same = |(told, part): (&String, &String)| {
        let both = told.split_once('=').zip(part.split_once('='));
        let is_text = |((a, text), (b, at)): ((&str, &str), (&str, &str))| {
            a == b && text.starts_with('"') && at.starts_with("0x")
        };
        told == part || both.is_some_and(is_text)
    };
    told.0 == part.0
        && told.1.len() == part.1.len()
        && told.1.iter().zip(&part.1).all(is_same)
        && (told.2 == part.2 || part.2.is_empty())
}

/// Whether this is a line of the allocator's report about an object that the whole dump tells of itself.
fn is_of_report(whole: &Value, part: &str) -> bool {
    let objects = whole["objects"].to_string();
    let Some(line) = part.strip_prefix("related: ") else { return false };
    let words: Vec<&str> = line.split([' ', ':', '/']).collect();
    match words.as_slice() {
        ["object", at, ..] => {
            let said = line.split_once(": ").map_or("", |(_, said)| said.trim_start_matches("in "));
            objects.contains(at) && said.split(", ").all(|said| objects.contains(said))
        }
        ["allocated" | "freed", "in", place, ..] => objects.contains(place),
        [_, "bytes", "overwritten", ..] => {
            let all = parts(whole);
            let (place, bytes) = line.split_once(':').unwrap_or((line, ""));
            all.iter().any(|w| w.starts_with(&format!("related: {place}")) && w.ends_with(bytes))
        }
        _ => false,
    }
}

/// The values of the operands.
fn values(of: &Value) -> BTreeSet<String> {
    let operands = of["condition"]["operands"].as_array().into_iter().flatten();
    operands.filter_map(|operand| operand["value"].as_str().map(str::to_owned)).collect()
}

/// What is stated, in the smallest parts that are true or false by themselves.
fn parts(of: &Value) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for section in ["context", "module", "waits", "related", "history", "known"] {
        for statement in of[section].as_array().into_iter().flatten() {
            for part in statement["text"].as_str().unwrap_or_default().split("; ") {
                let part = part.trim_start_matches("other ").trim_start_matches("CPUs: ");
                out.insert(format!("{section}: {part}"));
            }
        }
    }
    out
}
