//! Offsets as pahole prints them: `struct list_head tasks; /*  2192  16 */`, bits behind a colon.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crashlens_truth::Answers;
use serde_json::Value;

/// A type's members by name, with their first bits, sorted.
pub(super) type Members = Vec<(String, u64)>;

/// What pahole says of the types, from the file's BTF.
pub(super) fn ask(
    pahole: &Path,
    vmlinux: &Path,
    names: &[String],
) -> Result<HashMap<String, Members>, String> {
    let out = Command::new(pahole)
        .args(["-F", "btf", "-C", &names.join(",")])
        .arg(vmlinux)
        .output()
        .map_err(|e| format!("pahole: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout);
    let mut all = HashMap::new();
    let mut open: Option<(String, Members)> = None;
    for line in text.lines() {
        if let Some(head) = line.strip_suffix(" {").filter(|head| !head.starts_with(char::is_whitespace)) {
            open = head.split(' ').nth(1).map(|name| (name.to_owned(), Vec::new()));
        } else if line.starts_with('}') {
            if let Some((name, mut members)) = open.take() {
                members.sort();
                all.insert(name, members);
            }
        } else if let (Some((_, members)), Some(member)) = (&mut open, member(line)) {
            members.push(member);
        }
    }
    Ok(all)
}

/// `unsigned int flags:4; /* 8: 3  4 */` to `flags` and bit 67.
fn member(line: &str) -> Option<(String, u64)> {
    let (declared, comment) = line.rsplit_once("/*")?;
    let declared =
        declared.trim_end().split_once("__attribute__").map_or(declared.trim_end(), |(d, _)| d.trim_end());
    let declared = declared.strip_suffix(';').unwrap_or(declared);
    let comment = comment.trim_end().strip_suffix("*/")?;
    let (offset, bit) = match comment.split_once(':') {
        Some((offset, rest)) => (offset, rest.split_whitespace().next()?.parse::<u64>().ok()?),
        None => (comment.split_whitespace().next()?, 0),
    };
    let offset = offset.trim().parse::<u64>().ok()?;
    let name = match declared.split_once("(*") {
        Some((_, rest)) => rest.split([')', '[']).next()?,
        None => declared.split(['[', ':']).next()?.rsplit([' ', '\t', '*']).next()?,
    };
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then(|| (name.to_owned(), offset * 8 + bit))
}

/// How many of the types have the same members at the same offsets in crashlens's answers.
///
/// # Errors
/// The types that have others.
pub(super) fn compare(
    files: &[PathBuf],
    options: &[&str],
    names: &[String],
    theirs: &HashMap<String, Members>,
) -> Result<usize, String> {
    let names: Vec<&String> = names.iter().filter(|name| theirs.contains_key(*name)).collect();
    let lines: Vec<String> = names.iter().map(|name| format!("* {name}")).collect();
    let all = Answers::ask_with(options, files, &lines)?;
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, line) in names.iter().zip(&lines) {
        let Ok(data) = all.data(line) else { continue }; // declared within a function: DWARF has it under no name
        let ours = members(data.get("members").and_then(Value::as_array).map_or(&[], Vec::as_slice));
        let same = theirs.get(*name).is_some_and(|members| *members == ours);
        if same {
            compared += 1;
        } else {
            let theirs = theirs.get(*name).cloned().unwrap_or_default();
            let different: Vec<_> = ours.iter().filter(|m| !theirs.contains(m)).collect();
            let missing: Vec<_> = theirs.iter().filter(|m| !ours.contains(m)).collect();
            wrong.push(format!("{name}: ours {different:?}, pahole's {missing:?}"));
        }
    }
    if wrong.is_empty() { Ok(compared) } else { Err(wrong.join("\n")) }
}

/// The members in a definition's data.
fn members(lines: &[Value]) -> Members {
    let number = |line: &Value, key: &str| line.get(key).and_then(Value::as_u64);
    let mut all: Members = lines
        .iter()
        .filter_map(|line| {
            let name = line.get("member")?.as_str()?.to_owned();
            let bit = number(line, "bit").or_else(|| Some(number(line, "offset")? * 8))?;
            Some((name, bit))
        })
        .collect();
    all.sort();
    all
}
