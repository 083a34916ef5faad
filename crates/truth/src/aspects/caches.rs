//! `inflight` and `dentries` beside what else is known of the same: `dev -d`, the kernel's own counts, the guest's open files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Differences;
use crate::{Answers, Case};

fn number(value: &Value, member: &str) -> Option<i64> {
    value.get(member).and_then(Value::as_i64)
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str)
}

/// Each disk has as many requests with a number of the driver's as `dev -d` counts, and none is older than the machine.
///
/// # Errors
/// crashlens did not answer.
pub fn inflight(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut found = BTreeMap::new();
    let mut differences = Differences::new();
    let uptime = case
        .truth
        .sections
        .get("uptime.end")
        .and_then(|lines| lines.first()?.split('.').next()?.parse().ok());
    for disk in answers.list("inflight -a", "disks")? {
        let requests = disk.get("requests").and_then(Value::as_array).into_iter().flatten();
        let mut count = 0;
        for request in requests {
            count += i64::from(number(request, "tag").is_some_and(|tag| tag >= 0));
            // the guest lived for a while after it had told how long
            let most = uptime.map(|seconds: i64| (seconds + 120) * 1_000_000_000);
            if most.zip(number(request, "age_nsec")).is_some_and(|(most, age)| age > most) {
                differences.push(format!(
                    "a request of {:?} is {:?} ns old",
                    text(disk, "name"),
                    number(request, "age_nsec")
                ));
            }
        }
        found.insert(text(disk, "name").unwrap_or_default().to_owned(), count);
    }
    let mut wanted = BTreeMap::new();
    for disk in answers.list("dev -d", "disks")? {
        wanted.insert(text(disk, "name").unwrap_or_default().to_owned(), number(disk, "total").unwrap_or(-1));
    }
    differences.extend(super::different_maps(&found, &wanted));
    Ok(differences)
}

/// The file systems are those that the guest has mounted and others; the kernel counts at least what is found; the files that the
/// guest's processes have open have names in the cache.
///
/// # Errors
/// crashlens did not answer.
pub fn dentries(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut differences = Differences::new();
    let sums = answers.data("dentries")?;
    let (found, counted) = (number(sums, "found").unwrap_or(-1), number(sums, "counted").unwrap_or(-1));
    // sockets, pipes and the like are in no directory
    if found <= 0 || counted < found {
        differences
            .push(format!("{found} names are in directories, and the kernel counts {counted} dentries"));
    }
    let kinds: BTreeSet<&str> =
        answers.list("dentries", "super_blocks")?.iter().filter_map(|one| text(one, "type")).collect();
    for line in case.truth.sections.get("mounts").into_iter().flatten() {
        let kind = line.split(' ').nth(2).unwrap_or_default();
        if !kinds.contains(kind) {
            differences.push(format!("no super block is of {kind}"));
        }
    }
    // in the allocator's books are as many, and those that wait for RCU
    let caches = answers.list("kmem -s", "caches")?;
    let slabs = caches.iter().find(|cache| text(cache, "name") == Some("dentry"));
    if let Some(allocated) = slabs.and_then(|cache| number(cache, "allocated"))
        && (allocated - counted).abs() > 256
    {
        differences.push(format!("{allocated} dentries are allocated, and the kernel counts {counted}"));
    }
    let names: BTreeSet<&str> =
        answers.list("dentries /mnt/disk", "dentries")?.iter().filter_map(|one| text(one, "path")).collect();
    for line in case.truth.sections.get("process.fd").into_iter().flatten() {
        let Some(path) = line.split(' ').nth(2).and_then(|path| path.strip_prefix("/mnt/disk")) else {
            continue;
        };
        if !path.is_empty() && !line.contains("(deleted)") && !names.contains(path) {
            differences.push(format!("{path} of /mnt/disk has no name in the cache"));
        }
    }
    Ok(differences)
}
