//! The comparison: each cell of a damaged dump's answer is the whole dump's or absent, each row is one of its rows, and
//! where rows are gone the answer says so.

use super::{Answer, verdicts};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// How two answers compare.
#[derive(Default, Debug)]
pub(crate) struct Compared {
    /// What differs and may not.
    pub(crate) wrong: Vec<String>,
    /// True where anything differs at all.
    pub(crate) changed: bool,
    /// What the answer lacks of the whole dump's: the first of it.
    pub(crate) lack: Option<String>,
}

impl Compared {
    fn lacks(&mut self, what: impl Into<String>) {
        self.lack.get_or_insert_with(|| what.into());
    }
}

/// How a value was had, and counts of what is shown: these may differ.
const HOW: &[&str] = &[
    "how",
    "where",
    "commands",
    "symbols_from",
    "from",
    "undetermined",
    // how much the file holds, and how much of what was searched it does not
    "held_bytes",
    "missing",
];

/// Whether a member says how something is known, or where an answer ends, and not what. Some names are values elsewhere:
/// the number of a frame is one of those, that of a system call or of a local variable is not.
fn is_how(key: &str, record: &Map<String, Value>) -> bool {
    match key {
        // where a search of a stack begins: at the innermost frame that is known
        "start" | "start_pc" if record.contains_key("start_pc") => {
            record.get("notes").is_some_and(Value::is_array)
        }
        "notes" => record.get(key).is_some_and(Value::is_array),
        "number" => record.contains_key("pc"),
        // how a backtrace begins and ends
        "start" | "doubt" => record.contains_key("stopped"),
        "stopped" => true,
        _ => HOW.contains(&key),
    }
}
/// What stands in a text for what could not be read.
const GAPS: &[&str] =
    &["<?>", "<page excluded>", "<not in dump>", "<dump truncated>", "<page table missing>"];
/// What stands in for another value where that is absent: less is said, and it is true of the whole dump too.
const INSTEAD: &[&str] = &["last_message_seconds", "memory_managed_bytes", "first_known_message"];

/// Whom an error is about.
const BANNER: &[&str] = &["command", "cpu", "pid", "task"];

/// Holds an answer to the whole dump's.
pub(crate) fn answers(line: &str, whole: &Answer, found: &Answer) -> Compared {
    let mut out = Compared::default();
    let (Ok(whole), Ok(found)) = (whole, found) else {
        out.changed = whole != found;
        if let (Err(e), Ok(_)) = (whole, found) {
            out.wrong.push(format!("an answer, where the whole dump has none: {e}"));
        }
        return out;
    };
    // texts as they lie in memory, of which a note says that their ends are not known
    let as_text = |parts: &[Value]| {
        let mut all = BTreeSet::new();
        notes(&Value::Array(parts.to_vec()), &mut all);
        all.iter().any(|note| note.contains("as they lie in memory"))
    };
    if line.starts_with("log") && as_text(found) {
        out.changed = true;
        return out;
    }
    if line.split_whitespace().next() == Some("verdict") {
        return verdicts::compare(whole, found);
    }
    let (mut whole, mut found) = (Value::Array(whole.clone()), Value::Array(found.clone()));
    if line.starts_with("meminfo") && line.contains(" -n ") {
        without_first_ones(&mut whole, &mut found);
    }
    let [mut before, mut after] = [BTreeSet::new(), BTreeSet::new()];
    notes(&whole, &mut before);
    notes(&found, &mut after);
    let noted = after.difference(&before).next().is_some();
    value("", &whole, &found, noted, &mut out);
    out
}

/// Leaves out lists of the largest that are not whole: behind one that is lost others move up.
fn without_first_ones(whole: &mut Value, found: &mut Value) {
    let is_told = |of: &Value, what: &str| of["notes"].to_string().contains(what);
    for (list, what) in
        [("caches", "the slab caches are not whole"), ("processes", "sizes of processes are not whole")]
    {
        if found.as_array().is_some_and(|all| all.iter().any(|record| is_told(record, what))) {
            for answer in [&mut *whole, &mut *found] {
                for record in answer.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                    record.remove(list);
                }
            }
        }
    }
}

/// The notes in an answer.
fn notes(of: &Value, out: &mut BTreeSet<String>) {
    match of {
        Value::Array(items) => items.iter().for_each(|item| notes(item, out)),
        Value::Object(members) => {
            let own = members.get("notes").and_then(Value::as_array).into_iter().flatten();
            out.extend(own.map(ToString::to_string));
            members.values().for_each(|member| notes(member, out));
        }
        _ => {}
    }
}

fn is_absent(of: &Value) -> bool {
    of.get("absent").is_some()
}

fn value(path: &str, whole: &Value, found: &Value, noted: bool, out: &mut Compared) {
    if whole == found {
        return;
    }
    out.changed = true;
    match (whole, found) {
        (whole, found) if is_absent(found) => {
            if !is_absent(whole) {
                out.lacks(format!("{path}: {found}"));
            }
            at_least(path, whole, found, out);
        }
        // a text of which a part could not be read
        (Value::String(_), Value::String(text)) if GAPS.iter().any(|gap| text.contains(gap)) => {
            out.lacks(format!("{path}: {text}"));
        }
        // a number without the name that types have for it
        (Value::String(name), Value::Number(_))
            if name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') =>
        {
            out.lacks(format!("{path}: {name}"));
        }
        // a call's target without the symbol that it is
        (Value::String(whole), Value::String(text))
            if whole.strip_prefix(text.as_str()).is_some_and(|rest| rest.starts_with(" <")) =>
        {
            out.lacks(format!("{path}: {whole}"));
        }
        // an address without the symbol that covers it says less
        (Value::Object(symbol), Value::String(at))
            if symbol.contains_key("offset") && at.starts_with("0x") =>
        {
            out.lacks(format!("{path}: the symbol of {at}"));
        }
        // a frame that is marked as a guess may be any
        (Value::Object(_), Value::Object(_)) if path.ends_with(".frame") && is_guess(found) => {
            out.lacks(format!("{path}: {whole}"));
        }
        (Value::Object(whole), Value::Object(found)) => members(path, whole, found, noted, out),
        (Value::Array(whole), Value::Array(found)) => rows(path, whole, found, noted, out),
        _ => out.wrong.push(format!("{path}: {found} and not {whole}")),
    }
}

/// A count of which only the least is known.
fn at_least(path: &str, whole: &Value, found: &Value, out: &mut Compared) {
    if let (Some(least), Some(count)) = (found["at_least"].as_u64(), whole.as_u64())
        && least > count
    {
        out.wrong.push(format!("{path}: at least {least}, of {count}"));
    }
}

fn members(
    path: &str,
    whole: &Map<String, Value>,
    found: &Map<String, Value>,
    noted: bool,
    out: &mut Compared,
) {
    // what a backtrace says of its end is its note
    let told = ["stopped", "start", "doubt"]
        .iter()
        .any(|key| found.contains_key(*key) && found.get(*key) != whole.get(*key));
    let noted = noted || told || found.values().any(is_absent);
    let errors = found.get("notes").and_then(Value::as_array).into_iter().flatten();
    let has_failed = errors.into_iter().any(|note| note["kind"] == "error");
    let found_all = found;
    for (key, found) in found {
        if is_how(key, found_all) {
            continue;
        }
        match whole.get(key) {
            Some(whole) => value(&format!("{path}.{key}"), whole, found, noted, out),
            None if noted && found.as_array().is_some_and(Vec::is_empty) => {}
            None if is_absent(found) || INSTEAD.contains(&key.as_str()) => {}
            // the file behind a page that has no entry, where the entry itself says where the page is
            None if found_all.contains_key("file_offset") && matches!(&**key, "file" | "file_offset") => {}
            // entries of page tables, for an address that the whole dump's mappings already rule out
            None if noted && key == "tables" && found_all.get("physical").is_some_and(Value::is_null) => {}
            // of which task a command failed
            None if has_failed && BANNER.contains(&key.as_str()) => {}
            None => out.wrong.push(format!("{path}.{key}: {found}, which the whole dump does not have")),
        }
    }
    for (key, value) in whole.iter().filter(|(key, _)| !is_how(key, whole) && !found.contains_key(*key)) {
        out.lacks(format!("{path}.{key}: {value}"));
        if !noted {
            out.wrong.push(format!("{path}.{key}: gone without a word; it was {value}"));
        }
    }
}

/// True for a frame that is marked as a guess.
fn is_guess(row: &Value) -> bool {
    row["how"].as_str() == Some("Scan")
}

fn rows(path: &str, whole: &[Value], found: &[Value], noted: bool, out: &mut Compared) {
    let guesses = found.iter().any(is_guess);
    let found: Vec<&Value> = found.iter().filter(|row| !is_guess(row)).collect();
    let mut rest: Vec<&Value> = whole.iter().filter(|row| !is_guess(row)).collect();
    let mut unlike = Vec::new();
    let mut from = 0;
    for row in found {
        let place = rest.iter().skip(from).position(|w| *w == row).map(|n| n + from);
        match place.or_else(|| rest.iter().position(|w| *w == row)) {
            Some(n) => {
                rest.remove(n);
                from = n;
            }
            None => unlike.push(row),
        }
    }
    // stacks of which a part is lost are told one by one: each is a part of what has all its tasks
    let stacks = path.ends_with(".stacks") && whole.iter().all(|w| w["tasks"].is_array());
    for row in unlike {
        // one of several values that could not be had
        if is_absent(row) {
            out.lacks(format!("{path}: {row}"));
            rest.pop();
            continue;
        }
        let has_tasks = |w: &Value| {
            let tasks = |of: &Value| -> Vec<Value> {
                of["tasks"].as_array().into_iter().flatten().map(|task| task["task"].clone()).collect()
            };
            let all = tasks(w);
            tasks(row).iter().all(|task| all.contains(task))
        };
        // tasks of which no frame could be had stand together: no stack has them
        if stacks && row["frames"].as_array().is_some_and(Vec::is_empty) && noted {
            let left: Vec<Value> = row["tasks"].as_array().into_iter().flatten().cloned().collect();
            rest.retain(|w| !w["tasks"].as_array().into_iter().flatten().all(|task| left.contains(task)));
            out.lacks(format!("{path}: {row}"));
            continue;
        }
        if stacks && let Some(w) = whole.iter().find(|w| has_tasks(w)) {
            value(path, w, row, noted, out);
            rest.retain(|left| *left != w);
            continue;
        }
        // a run of pages of which nothing is known, as the table of all is lost
        if is_absent(&row["physical"]) && row["virtual"].is_string() {
            let number = |at: &Value| u64::from_str_radix(at.as_str()?.strip_prefix("0x")?, 16).ok();
            let pages = row["pages"].as_u64().unwrap_or(1);
            rest.retain(|w| {
                let off =
                    number(&w["virtual"]).zip(number(&row["virtual"])).map(|(w, from)| w.wrapping_sub(from));
                off.is_none_or(|off| off >= pages * 4096)
            });
            out.lacks(format!("{path}: {row}"));
            continue;
        }
        // registers that are used, though less is known that could bear them out
        if path.ends_with(".doubted_registers") && row["why"].is_null() {
            continue;
        }
        // registers lead to the place that an exception interrupted, where the frames up to it are lost
        let interrupted = |w: &&Value| {
            w["interrupted"] == true
                && w["pc"] == row["pc"]
                && (row["function"]["name"].is_null() || w["function"]["name"] == row["function"]["name"])
        };
        if let Some(n) = rest.iter().position(interrupted) {
            rest.remove(n);
            continue;
        }
        // a note's registers stand in a function whose calls, on pages that are lost, the whole dump shows further in
        let begun = |w: &&Value| {
            let near = |key: &str| {
                let at = |of: &Value| u64::from_str_radix(of[key].as_str()?.strip_prefix("0x")?, 16).ok();
                at(w).zip(at(row)).is_some_and(|(a, b)| a.abs_diff(b) <= 64)
            };
            row["how"] == "Start"
                && match row["function"]["name"].is_string() {
                    true => w["function"]["name"] == row["function"]["name"],
                    false => near("at"),
                }
        };
        if noted && let Some(n) = rest.iter().position(begun) {
            rest.remove(n);
            continue;
        }
        // what an instruction is cannot be told where the function's first ones are lost
        if is_absent(&row["instruction"]) && noted {
            rest.pop();
            continue;
        }
        let differences = |whole: &Value| {
            let mut one = Compared::default();
            value(path, whole, row, noted, &mut one);
            one.wrong
        };
        // what tells a frame from others is its program counter
        let same = |w: &Value| {
            (row.get("pc").is_none() || row["pc"] == w["pc"])
                && (!path.ends_with(".cpus") || !row["cpu"].is_u64() || row["cpu"] == w["cpu"])
        };
        let like = rest.iter().enumerate().filter(|(_, w)| same(w));
        let best = like.map(|(n, w)| (differences(w), n)).min_by_key(|(wrong, _)| wrong.len());
        match best {
            Some((wrong, n)) => {
                rest.remove(n);
                out.wrong.extend(wrong);
            }
            None => out.wrong.push(format!("{path}: a row more than the whole dump has: {row}")),
        }
    }
    if let Some(first) = rest.first() {
        out.lacks(format!("{path}: {first}"));
    }
    if !rest.is_empty() && !noted && !guesses {
        let first = rest.first().map(ToString::to_string).unwrap_or_default();
        let first: String = first.chars().take(200).collect();
        out.wrong.push(format!("{path}: {} rows gone without a word, the first: {first}", rest.len()));
    }
}
