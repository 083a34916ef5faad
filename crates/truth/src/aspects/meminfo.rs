//! `meminfo` beside `/proc/meminfo`.

use serde_json::Value;

use super::Differences;
use crate::{Answers, Case};

/// What does not change while the guest prints and dies.
const LASTING: &[&str] = &[
    "MemTotal",
    "SwapTotal",
    "NFS_Unstable",
    "Bounce",
    "WritebackTmp",
    "CommitLimit",
    "VmallocTotal",
    "VmallocChunk",
    "HardwareCorrupted",
    "CmaTotal",
    "Balloon",
    "GPUActive",
    "GPUReclaim",
    "HugePages_Total",
    "HugePages_Free",
    "HugePages_Rsvd",
    "HugePages_Surp",
    "Hugepagesize",
    "Hugetlb",
    "DirectMap1G",
];
/// KiB that others may differ by: what the guest did after it had printed this, and what a crash kernel took that it loaded.
const USUAL: u64 = 8 << 10;
const LOADED: u64 = 48 << 10;

/// The same lines in the same order, with the guest's values: those that last are equal, others near.
///
/// # Errors
/// crashlens did not answer.
pub fn meminfo(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let said: Vec<(String, u64)> =
        case.truth.sections.get("meminfo").into_iter().flatten().filter_map(|line| line_of(line)).collect();
    let mut found = Vec::new();
    for line in answers.list("meminfo", "lines")? {
        let name = line.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        found.push((name, line.get("value").and_then(Value::as_u64)));
    }
    let mut differences = Differences::new();
    let names = |all: Vec<&String>| all.into_iter().cloned().collect::<Vec<_>>().join(" ");
    let (wanted, own) = (
        names(said.iter().map(|(name, _)| name).collect()),
        names(found.iter().map(|(name, _)| name).collect()),
    );
    if wanted != own {
        differences.push(format!("lines: {own}\n      the guest has {wanted}"));
    }
    let words: Vec<&str> = case
        .truth
        .sections
        .get("cmdline")
        .into_iter()
        .flatten()
        .flat_map(|line| line.split_whitespace())
        .collect();
    // it died because its memory was used up
    if words.contains(&"how=oom") {
        return Ok(differences);
    }
    let most = if words.contains(&"kdump=1") { LOADED } else { USUAL };
    for (name, wanted) in &said {
        let Some((_, value)) = found.iter().find(|(own, _)| own == name) else { continue };
        let most = if LASTING.contains(&name.as_str()) { 0 } else { most };
        if value.is_none_or(|value| value.abs_diff(*wanted) > most) {
            differences.push(format!("{name}: {value:?}, the guest says {wanted}"));
        }
    }
    Ok(differences)
}

/// `MemFree:          242936 kB`
fn line_of(line: &str) -> Option<(String, u64)> {
    let (name, rest) = line.split_once(':')?;
    Some((name.to_owned(), rest.split_whitespace().next()?.parse().ok()?))
}
