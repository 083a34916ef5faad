//! Of a machine that ran out of memory: a group of processes at its limit, pools of huge pages, and processes that are
//! many. Source: mm/memcontrol.c, mm/oom_kill.c, mm/hugetlb.c (`hugetlb_show_meminfo_node`).

use std::collections::BTreeMap;

use crate::model::{HugePool, Memory, Statement};

/// Lines of a report.
const MAX_REPORT: usize = 400;
/// How many processes of one name are told of together.
const MANY: usize = 3;

/// The lines of the last report before line `at`.
fn report<'l>(lines: &'l [&'l str], at: usize) -> &'l [&'l str] {
    let before = lines.get(..at).unwrap_or_default();
    let start = before.iter().rposition(|l| l.contains(" invoked oom-killer: "));
    let from = start.unwrap_or_else(|| before.len().saturating_sub(MAX_REPORT));
    before.get(from..).unwrap_or_default()
}

/// What the report says of a group's limit, and of pages set aside.
pub(crate) fn statements(lines: &[&str], at: usize) -> Vec<Statement> {
    let about = report(lines, at);
    group(about).into_iter().chain(huge(about)).map(Statement::logged).collect()
}

/// `memory: usage 16384kB, limit 16384kB, failcnt 23` and `Memory cgroup stats for /zoo-group:`.
fn group(about: &[&str]) -> Option<Memory> {
    let name = about.iter().find_map(|l| {
        let (_, rest) = l.split_once("Memory cgroup stats for ")?;
        Some(rest.split(':').next()?.trim().to_owned())
    })?;
    let usage = about.iter().find_map(|l| l.trim().strip_prefix("memory: usage "))?;
    let mut parts = usage.split(", ");
    let used = parts.next()?;
    let limit = parts.next()?.strip_prefix("limit ")?;
    let number = |text: &str| text.strip_suffix("kB")?.parse::<u64>().ok();
    let short = number(limit).zip(number(used)).map(|(limit, used)| limit.saturating_sub(used));
    // less than a page below it
    let full = short.is_some_and(|kilobytes| kilobytes <= 3);
    Some(Memory::Group { name, used: used.to_owned(), limit: limit.to_owned(), full })
}

/// `Node 0 hugepages_total=40 hugepages_free=40 hugepages_surp=0 hugepages_size=2048kB`
fn huge(about: &[&str]) -> Option<Memory> {
    let mut pools: Vec<HugePool> = Vec::new();
    for line in about {
        let value = |key: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key))?;
            word.trim_end_matches("kB").parse::<u64>().ok()
        };
        let (Some(total), Some(free), Some(size)) =
            (value("hugepages_total="), value("hugepages_free="), value("hugepages_size="))
        else {
            continue;
        };
        match pools.iter_mut().find(|known| known.kilobytes == size) {
            Some(pool) => {
                pool.total = pool.total.saturating_add(total);
                pool.free = pool.free.saturating_add(free);
            }
            None => pools.push(HugePool { kilobytes: size, total, free }),
        }
    }
    pools.retain(|pool| pool.total > 0);
    (!pools.is_empty()).then_some(Memory::Huge(pools))
}

/// Processes of one name that together have more than any other: name, number, bytes.
pub(crate) fn many<'t>(all: impl Iterator<Item = (u64, &'t str)>) -> Option<Memory> {
    let mut names: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    let mut largest = 0;
    for (bytes, name) in all {
        largest = largest.max(bytes);
        let (count, sum) = names.entry(name).or_default();
        (*count, *sum) = (*count + 1, sum.saturating_add(bytes));
    }
    let (name, (count, sum)) = names.into_iter().max_by_key(|(_, (_, sum))| *sum)?;
    (count >= MANY && sum > largest).then(|| Memory::Many(name.to_owned(), count, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_at_its_limit_and_pools() {
        let lines = [
            "Node 0 hugepages_total=9 hugepages_free=9 hugepages_surp=0 hugepages_size=2048kB",
            "zoo-eater invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
            "memory: usage 16384kB, limit 16384kB, failcnt 23",
            "Memory cgroup stats for /zoo-group:",
            "Node 0 hugepages_total=0 hugepages_free=0 hugepages_surp=0 hugepages_size=1048576kB",
            "Node 0 hugepages_total=30 hugepages_free=30 hugepages_surp=0 hugepages_size=2048kB",
            "Node 1 hugepages_total=10 hugepages_free=2 hugepages_surp=0 hugepages_size=2048kB",
            "Kernel panic - not syncing: Out of memory",
        ];
        let texts: Vec<String> = statements(&lines, 7).into_iter().map(|s| s.text()).collect();
        assert_eq!(
            texts,
            [
                "the memory of the control group /zoo-group is at its limit: 16384kB of 16384kB",
                "set aside as huge pages: 80 MiB (40 of 2048 kB, 32 of them not used)",
            ]
        );
        assert!(statements(&lines, 2).is_empty());
    }

    #[test]
    fn many_small_processes() {
        let all = [(8, "big"), (5, "small"), (5, "small"), (5, "small")].map(|(n, name)| (n << 20, name));
        assert_eq!(many(all.into_iter()).unwrap().to_string(), "3 processes small: 15 MiB resident together");
        assert_eq!(many(all.into_iter().take(3)), None);
    }
}
