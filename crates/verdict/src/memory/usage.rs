//! Of a machine that ran out of memory: what had it, by kind of page, by slab cache and by process.
//!
//! Sources: mm/show_mem.c, mm/page_alloc.c (`Mem-Info:` of the log).

use crate::model::{How, Statement};
use kernel::Session;
use kernel::mm::slab_memory;

/// How many of each kind are told.
const TOP: usize = 5;

/// Kinds of pages, as the log's report calls them.
const KINDS: &[(&str, &str)] = &[
    ("active_anon", "anonymous"),
    ("inactive_anon", "anonymous"),
    ("active_file", "page cache"),
    ("inactive_file", "page cache"),
    ("unevictable", "unevictable"),
    ("slab_reclaimable", "reclaimable slab"),
    ("slab_unreclaimable", "unreclaimable slab"),
    ("shmem", "shared memory (part of the above)"),
    ("pagetables", "page tables"),
    ("kernel_stack", "kernel stacks"),
    ("free", "free"),
];

/// The statements: of the whole, by kind, by cache, by process.
pub(crate) fn of(s: &Session, lines: &[&str], at: usize) -> Vec<Statement> {
    let mut out = Vec::new();
    let total = kernel::mm::address_space::total_pages(s).unwrap_or(0).saturating_mul(s.page_size());
    if total > 0 {
        out.push(Statement::new(How::Memory, format!("memory: {} MiB", total >> 20), &["sys".into()]));
    }
    let kinds = kinds(lines, at);
    if !kinds.is_empty() {
        let text: Vec<String> = kinds
            .iter()
            .map(|(kind, pages)| format!("{kind} {}", size(pages.saturating_mul(s.page_size()))))
            .collect();
        out.push(Statement::new(How::Log, format!("pages: {}", text.join(", ")), &["log".into()]));
    }
    out.extend(crate::memory::limits::told(lines, at));
    let (caches, unknown) = slab_memory::taken(s);
    if !caches.is_empty() {
        let text: Vec<String> =
            caches.iter().take(TOP).map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
        out.push(Statement::new(
            How::Memory,
            format!("slab caches: {}{}", text.join(", "), left_out(s, unknown)),
            &["list -H slab_caches -o kmem_cache.list -s kmem_cache.name,size".into()],
        ));
    }
    out.extend(processes(s));
    out
}

/// `183 MiB`, `12 KiB`
pub(crate) fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

/// Pages by kind, of the last report before line `at`.
fn kinds(lines: &[&str], at: usize) -> Vec<(&'static str, u64)> {
    let before = lines.get(..at).unwrap_or_default();
    let Some(start) = before.iter().rposition(|l| l.trim_start().starts_with("Mem-Info:")) else {
        return Vec::new();
    };
    let report = before.get(start + 1..).unwrap_or_default();
    let end = report.iter().position(|l| l.trim_start().starts_with("Node ")).unwrap_or(report.len()).min(24);
    let mut out: Vec<(&'static str, u64)> = Vec::new();
    for word in report.get(..end).unwrap_or_default().iter().flat_map(|l| l.split_whitespace()) {
        let Some((name, value)) = word.split_once(':') else { continue };
        let (Some((_, kind)), Ok(pages)) = (KINDS.iter().find(|(key, _)| *key == name), value.parse::<u64>())
        else {
            continue;
        };
        match out.iter_mut().find(|(k, _)| k == kind) {
            Some((_, sum)) => *sum = sum.saturating_add(pages),
            None => out.push((kind, pages)),
        }
    }
    out.retain(|(_, pages)| *pages > 0);
    out.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    out
}

/// What is said of those whose memory is not known: any of them may be the largest.
fn left_out(s: &Session, unknown: usize) -> String {
    let lost = if unknown == 0 { String::new() } else { format!("; of {unknown} more it is not known") };
    match kernel::mm::slab::caches(s).problems.first() {
        Some(e) => format!("{lost}; there may be more caches: {e}"),
        None => lost,
    }
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
        let text = format!("{}[{}]: {} resident", t.comm, t.pid, size(*rss));
        Statement::new(How::Memory, text, &[format!("ps {}", t.pid)])
    };
    let many = crate::memory::limits::many(all.iter().map(|(rss, t)| (*rss, t.comm.as_str())));
    let many = many.map(|text| Statement::new(How::Memory, text, &["ps -u".into()]));
    let unknown = processes().count() - all.len();
    let unknown = (unknown > 0).then(|| {
        let text = format!("the memory of {unknown} more processes is not known");
        Statement::new(How::Memory, text, &["ps".into()])
    });
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
        assert_eq!(found.first(), Some(&("anonymous", 46984)));
        assert_eq!(found.get(1), Some(&("unreclaimable slab", 2602)));
        assert_eq!(found.len(), 7);
        assert!(kinds(&lines, 0).is_empty());
        assert_eq!((size(5 << 20), size(8192)), ("5 MiB".to_owned(), "8 KiB".to_owned()));
    }
}
