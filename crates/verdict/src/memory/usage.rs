//! Of a machine that ran out of memory: what had it, by kind of page, by slab cache and by process.
//!
//! Sources: mm/show_mem.c, mm/page_alloc.c (`Mem-Info:` of the log).

use crate::model::{How, Memory, PageKind, Statement, Who};
use kernel::Session;
use kernel::mm::slab_memory;

/// How many of each kind are told.
const TOP: usize = 5;

/// Kinds of pages, as the log's report calls them.
const KINDS: &[(&str, PageKind)] = &[
    ("active_anon", PageKind::Anonymous),
    ("inactive_anon", PageKind::Anonymous),
    ("active_file", PageKind::Cache),
    ("inactive_file", PageKind::Cache),
    ("unevictable", PageKind::Unevictable),
    ("slab_reclaimable", PageKind::Reclaimable),
    ("slab_unreclaimable", PageKind::Unreclaimable),
    ("shmem", PageKind::Shared),
    ("pagetables", PageKind::Tables),
    ("kernel_stack", PageKind::Stacks),
    ("free", PageKind::Free),
];

/// The statements: of the whole, by kind, by cache, by process.
pub(crate) fn of(s: &Session, lines: &[&str], at: usize) -> Vec<Statement> {
    let mut out = Vec::new();
    let bytes = |pages: u64| pages.checked_mul(s.page_size()).filter(|bytes| *bytes > 0);
    let present = kernel::machine::system::memory_bytes(s).ok().filter(|bytes| *bytes > 0);
    let managed = kernel::mm::meminfo::total(s).ok().and_then(bytes);
    if present.is_some() || managed.is_some() {
        let total = Memory::Total { present, managed };
        out.push(Statement::new(How::Memory, total, &["sys".into(), "meminfo".into()]));
    }
    let kinds = kinds(lines, at);
    if !kinds.is_empty() {
        let bytes = kinds.into_iter().map(|(kind, pages)| (kind, pages.saturating_mul(s.page_size())));
        out.push(Statement::logged(Memory::Kinds(bytes.collect())));
    }
    out.extend(crate::memory::limits::statements(lines, at));
    let (caches, unknown) = slab_memory::taken(s);
    if !caches.is_empty() {
        let caches = caches.iter().take(TOP).map(|(name, bytes)| (name.to_string(), *bytes)).collect();
        // any of those whose memory is not known may be the largest
        let problem = kernel::mm::slab::caches(s).problems.first().map(ToString::to_string);
        out.push(Statement::new(
            How::Memory,
            Memory::Caches { caches, unknown, problem },
            &["list -H slab_caches -o kmem_cache.list -s kmem_cache.name,size".into()],
        ));
    }
    out.extend(processes(s));
    out
}

/// Pages by kind, of the last report before line `at`.
fn kinds(lines: &[&str], at: usize) -> Vec<(PageKind, u64)> {
    let before = lines.get(..at).unwrap_or_default();
    let Some(start) = before.iter().rposition(|l| l.trim_start().starts_with("Mem-Info:")) else {
        return Vec::new();
    };
    let report = before.get(start + 1..).unwrap_or_default();
    let end = report.iter().position(|l| l.trim_start().starts_with("Node ")).unwrap_or(report.len()).min(24);
    let mut out: Vec<(PageKind, u64)> = Vec::new();
    for word in report.get(..end).unwrap_or_default().iter().flat_map(|l| l.split_whitespace()) {
        let Some((name, value)) = word.split_once(':') else { continue };
        let (Some((_, kind)), Ok(pages)) = (KINDS.iter().find(|(key, _)| *key == name), value.parse::<u64>())
        else {
            continue;
        };
        match out.iter_mut().find(|(k, _)| k == kind) {
            Some((_, sum)) => *sum = sum.saturating_add(pages),
            None => out.push((*kind, pages)),
        }
    }
    out.retain(|(_, pages)| *pages > 0);
    out.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    out
}

fn processes(s: &Session) -> Vec<Statement> {
    let processes = || s.tasks().all.iter().filter(|t| t.is_leader() && t.own_mm().is_some());
    let mut all: Vec<(u64, &kernel::sched::task::Task)> = processes()
        .filter_map(|t| {
            Some((kernel::mm::address_space::size(s, t).ok()?.resident.saturating_mul(s.page_size()), t))
        })
        .collect();
    all.sort_by_key(|(rss, t)| (std::cmp::Reverse(*rss), t.pid));
    let row = |(rss, t): &(u64, &kernel::sched::task::Task)| {
        Statement::new(How::Memory, Memory::Process(Who::of(t), *rss), &[format!("ps {}", t.pid)])
    };
    let many = crate::memory::limits::many(all.iter().map(|(rss, t)| (*rss, t.comm.as_str())));
    let many = many.map(|said| Statement::new(How::Memory, said, &["ps -u".into()]));
    let unknown = processes().count() - all.len();
    let unknown =
        (unknown > 0).then(|| Statement::new(How::Memory, Memory::Unknown(unknown), &["ps".into()]));
    many.into_iter().chain(all.iter().take(TOP).map(row)).chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_by_kind_of_the_last_report() {
        let lines = [
            "Mem-Info:",
            "active_anon:1 inactive_anon:1 isolated_anon:0",
            "Node 0 active_anon:4kB",
            "Mem-Info:",
            "active_anon:11 inactive_anon:46973 isolated_anon:0",
            " active_file:2 inactive_file:3 isolated_file:0",
            " slab_reclaimable:1718 slab_unreclaimable:2602",
            " mapped:5 shmem:30 pagetables:113",
            " free:494 free_pcp:30 free_cma:0",
            "Node 0 active_anon:44kB inactive_anon:187892kB",
            "Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled",
        ];
        let found = kinds(&lines, 10);
        assert_eq!(found.first(), Some(&(PageKind::Anonymous, 46984)));
        assert_eq!(found.get(1), Some(&(PageKind::Unreclaimable, 2602)));
        assert_eq!(found.len(), 7);
        assert!(kinds(&lines, 0).is_empty());
    }
}
