//! Open files, beside `/proc/PID/fd`, and what is mounted, beside `/proc/mounts`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Differences, different_maps, restless};
use crate::{Answers, Case};

fn text(value: &Value, member: &str) -> String {
    match value.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "none".to_owned(),
    }
}

/// Every open file of every process that the guest saw, and no others: its descriptor and its path.
///
/// # Errors
/// crashlens did not answer.
pub fn files(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let Some(lines) = case.truth.sections.get("process.fd") else { return Ok(Differences::new()) };
    let mut wanted: BTreeMap<i64, BTreeMap<u64, String>> = BTreeMap::new();
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let pid = words.next().and_then(|word| word.parse().ok()).unwrap_or(-1);
        let fd = words.next().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
        wanted.entry(pid).or_default().insert(fd, words.next().unwrap_or_default().to_owned());
    }
    // these opened files after that
    let restless = restless(&case.truth);
    wanted.retain(|pid, _| !restless.contains(pid));
    let mut found = BTreeMap::new();
    for each in answers.list("foreach files", "tasks")? {
        let tasks = each.get("tasks").and_then(Value::as_array).into_iter().flatten();
        for task in tasks {
            let pid = task.get("pid").and_then(Value::as_i64).unwrap_or(-1);
            let files = task.get("files").and_then(Value::as_array).into_iter().flatten();
            let files = files
                .map(|file| (file.get("fd").and_then(Value::as_u64).unwrap_or(u64::MAX), text(file, "path")));
            found.insert(pid, files.collect::<BTreeMap<u64, String>>());
        }
    }
    found.retain(|pid, _| wanted.contains_key(pid));
    Ok(different_maps(&found, &wanted))
}

/// Everything that is mounted, in the kernel's order.
///
/// # Errors
/// crashlens did not answer.
pub fn mounts(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let Some(lines) = case.truth.sections.get("mounts") else { return Ok(Differences::new()) };
    let wanted: BTreeMap<usize, String> =
        lines.iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).enumerate().collect();
    let shown = answers.list("mount", "mounts")?;
    let row = |one: &Value| ["device", "directory", "type"].map(|name| text(one, name)).join(" ");
    // a way to die mounts this last; what a kernel mounts below its root (7.0) no process sees
    let found = shown.iter().map(row).filter(|row| {
        ![" debugfs", " nullfs"].iter().any(|end| row.ends_with(end)) || wanted.values().any(|w| w == row)
    });
    Ok(different_maps(&found.enumerate().collect(), &wanted))
}
