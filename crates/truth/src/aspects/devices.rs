//! Devices, beside `/proc/devices`, `/proc/ioports`, `/proc/iomem` and `/proc/partitions`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Differences, different_maps};
use crate::{Answers, Case};

fn number(value: &Value, member: &str) -> u64 {
    value.get(member).and_then(Value::as_u64).unwrap_or(u64::MAX)
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or("none")
}

/// Numbered, so that their order and number count too.
fn numbered<T>(all: impl IntoIterator<Item = T>) -> BTreeMap<usize, T> {
    all.into_iter().enumerate().collect()
}

/// Every character and block device by its major number, every I/O port and range of memory, every disk; no others.
///
/// # Errors
/// crashlens did not answer.
pub fn devices(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut differences = Differences::new();
    let section = |name: &str| case.truth.sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let lines = section("devices");
    let half = lines.iter().position(|line| line.starts_with("Block")).unwrap_or(lines.len());
    let (characters, blocks) = lines.split_at(half);
    for (list, lines) in [("character", characters), ("block", blocks)] {
        let rows = lines.iter().filter(|line| !line.is_empty() && !line.ends_with(':'));
        let wanted = numbered(rows.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
        let shown = answers.list("dev", list)?;
        let found =
            numbered(shown.iter().map(|one| format!("{} {}", number(one, "major"), text(one, "name"))));
        differences.extend(different_maps(&found, &wanted).into_iter().map(|line| format!("{list}: {line}")));
    }
    for (list, name) in [("ports", "ioports"), ("memory", "iomem")] {
        let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap_or(u64::MAX);
        let wanted = numbered(section(name).iter().map(|line| {
            let depth = (line.len() - line.trim_start().len()) / 2 + 1;
            let (range, who) = line.trim_start().split_once(" : ").unwrap_or((line, ""));
            let (start, end) = range.split_once('-').unwrap_or((range, ""));
            (depth as u64, hex(start), hex(end), who.to_owned())
        }));
        let shown = answers.list("dev -i", list)?;
        // the root is in no line, and the guest writes no more than five levels
        let found = numbered(shown.iter().skip(1).map(|one| {
            let name = text(one, "name").to_owned();
            (number(one, "depth").min(6), hex(text(one, "start")), hex(text(one, "end")), name)
        }));
        differences.extend(different_maps(&found, &wanted).into_iter().map(|line| format!("{name}: {line}")));
    }
    let shown = answers.list("dev -d", "disks")?;
    let found: BTreeMap<&str, (u64, u64)> =
        shown.iter().map(|one| (text(one, "name"), (number(one, "major"), number(one, "minor")))).collect();
    for line in section("partitions") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [major, minor, _, name] = words[..] else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        // of a partition there is no disk
        if found.get(name) != Some(&(major, minor)) {
            differences.push(format!("{name}: {:?}, the guest says {major}:{minor}", found.get(name)));
        }
    }
    Ok(differences)
}
