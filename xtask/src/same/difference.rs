//! How two answers differ.
//!
//! What counts are values: numbers, addresses, names, and whether a value is there. Words do not: of a note and of the
//! reason of an absent value only that they are there; of a sentence (a string with blanks in it) the numbers and the
//! names in it, in any order. A list's elements are compared by their order.

use std::fmt;

use serde_json::Value;

use super::verdict;

/// What kind of difference it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// There is a member that was not there: within a schema version members may be added.
    Added,
    /// A member is gone.
    Gone,
    /// A value is another one.
    Changed,
    /// A list is longer or shorter.
    Length,
    /// What was absent is there.
    Found,
    /// What was there is absent.
    Lost,
    /// What was an error is an answer.
    Answered,
    /// What was an answer is an error.
    Refused,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "added",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Length => "length",
            Self::Found => "no longer absent",
            Self::Lost => "now absent",
            Self::Answered => "now an answer",
            Self::Refused => "now an error",
        })
    }
}

/// A difference: where in the answer, with `[]` for any element of a list.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Difference {
    pub(super) place: String,
    pub(super) kind: Kind,
    /// Both values, for people.
    pub(super) values: String,
}

impl Difference {
    pub(super) fn new(place: &str, kind: Kind, values: impl Into<String>) -> Self {
        Self { place: place.to_owned(), kind, values: values.into() }
    }
}

/// The differences between two programs' answers to the same line.
pub(super) fn differences(line: &str, before: &[Value], after: &[Value]) -> Vec<Difference> {
    let mut all = Vec::new();
    if before.len() != after.len() {
        all.push(Difference::new(line, Kind::Length, format!("{} answers, {}", before.len(), after.len())));
    }
    for (old, new) in before.iter().zip(after) {
        match (old.get("error"), new.get("error")) {
            (Some(_), Some(_)) => {}
            (Some(error), None) => all.push(Difference::new(line, Kind::Answered, short(error))),
            (None, Some(error)) => all.push(Difference::new(line, Kind::Refused, short(error))),
            (None, None) => {
                let data = |answer: &Value| answer.get("data").cloned().unwrap_or_default();
                let (old, new) = verdict::alike(line, data(old), data(new));
                values(&format!("{line}: "), &old, &new, &mut all);
            }
        }
    }
    all
}

fn values(place: &str, old: &Value, new: &Value, all: &mut Vec<Difference>) {
    let mut add = |kind| all.push(Difference::new(place, kind, format!("{} -> {}", short(old), short(new))));
    match (is_absent(old), is_absent(new)) {
        (true, true) => return,
        (true, false) => return add(Kind::Found),
        (false, true) => return add(Kind::Lost),
        (false, false) => {}
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, old) in before {
                let place = format!("{place}.{key}");
                match after.get(key) {
                    // of notes only that there are some
                    Some(new) if key == "notes" && old.is_array() && new.is_array() => {}
                    Some(new) => values(&place, old, new, all),
                    None => all.push(Difference::new(&place, Kind::Gone, short(old))),
                }
            }
            for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                all.push(Difference::new(&format!("{place}.{key}"), Kind::Added, short(new)));
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            if before.len() != after.len() {
                let lengths = format!("{} elements, {}", before.len(), after.len());
                all.push(Difference::new(place, Kind::Length, lengths));
            }
            for (old, new) in before.iter().zip(after) {
                values(&format!("{place}[]"), old, new, all);
            }
        }
        (Value::String(before), Value::String(after)) if names(before) == names(after) => {}
        _ if old == new => {}
        _ => add(Kind::Changed),
    }
}

fn is_absent(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("absent"))
}

/// What counts in a text: all of a name or number; of a sentence the words in it that hold a digit, a mark that
/// identifiers and paths have, or a capital letter behind the first, sorted.
fn names(text: &str) -> Vec<&str> {
    if !text.contains(' ') {
        return vec![text];
    }
    let ends = |c: char| ".,;:()[]\"'".contains(c);
    let counts = |word: &&str| {
        word.chars().any(|c| c.is_ascii_digit() || "_/%*&>".contains(c))
            || word.chars().skip(1).any(|c| c.is_ascii_uppercase())
    };
    let mut found: Vec<&str> =
        text.split_whitespace().map(|word| word.trim_matches(ends)).filter(counts).collect();
    found.sort_unstable();
    found
}

/// The start of a value, for people.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds(before: Value, after: Value) -> Vec<(String, Kind)> {
        let answer = |data| vec![json!({"command": "x", "data": data})];
        differences("x", &answer(before), &answer(after)).into_iter().map(|d| (d.place, d.kind)).collect()
    }

    #[test]
    fn values_count_and_words_do_not() {
        let before = json!({"pid": 1, "note": "task init[1] waits for rw_sem", "list": [{"a": 1}, {"a": 2}]});
        assert_eq!(kinds(before.clone(), before.clone()), []);
        let reworded =
            json!({"pid": 1, "note": "init[1] is a task that rw_sem keeps", "list": [{"a": 1}, {"a": 2}]});
        assert_eq!(kinds(before.clone(), reworded), []);
        let changed =
            json!({"pid": 2, "note": "task init[2] waits for rw_sem", "list": [{"a": 1}, {"a": 3}]});
        let place = |key: &str| (format!("x: .{key}"), Kind::Changed);
        assert_eq!(kinds(before, changed), [place("list[].a"), place("note"), place("pid")]);
    }

    #[test]
    fn members_come_and_go_and_lists_change_length() {
        let before = json!({"a": 1, "list": [1, 2]});
        let after = json!({"b": 1, "list": [1]});
        let want = [("a", Kind::Gone), ("list", Kind::Length), ("b", Kind::Added)];
        assert_eq!(kinds(before, after), want.map(|(key, kind)| (format!("x: .{key}"), kind)));
    }

    #[test]
    fn what_is_absent_is_told_from_what_is_another_value() {
        let absent = |why: &str| json!({"a": {"absent": why}});
        assert_eq!(kinds(absent("page excluded"), absent("not in the dump")), []);
        assert_eq!(kinds(absent("x"), json!({"a": 0})), [("x: .a".to_owned(), Kind::Found)]);
        assert_eq!(kinds(json!({"a": 0}), absent("x")), [("x: .a".to_owned(), Kind::Lost)]);
    }

    #[test]
    fn errors_are_told_by_their_being_there() {
        let error = [json!({"command": "x", "error": "no"})];
        let answer = [json!({"command": "x", "data": {}})];
        assert_eq!(differences("x", &error, &error), []);
        assert_eq!(differences("x", &error, &answer).first().map(|d| d.kind), Some(Kind::Answered));
        assert_eq!(differences("x", &answer, &error).first().map(|d| d.kind), Some(Kind::Refused));
    }
}
