//! `meminfo`: what `/proc/meminfo` would say, and where the memory went ([`kernel::mm::proc_meminfo`]).

use crate::show::problems;
use crate::show::tasks::{self, or_why, unknown};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::mm::proc_meminfo::{self, Line as Told, Meminfo as Read, Unit};
use kernel::mm::{address_space, slab, slab_cache, slub_cache};
use kernel::sched::task::Task;
use kernel::stack::stacks;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};
use std::cmp::Reverse;

/// The command.
#[derive(Debug)]
pub(crate) struct Meminfo;

/// The arguments of `meminfo`.
#[derive(clap::Args)]
pub(crate) struct MeminfoArgs {
    /// Where the memory went: by kinds, with the largest slab caches and processes
    #[arg(short = 'w')]
    went: bool,
    /// How many slab caches and processes -w shows
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 10, requires = "went")]
    count: usize,
}

impl Run for Meminfo {
    type Args = MeminfoArgs;
    fn name(&self) -> &'static str {
        "meminfo"
    }
    fn about(&self) -> &'static str {
        "what /proc/meminfo would say, and where the memory went"
    }
    fn details(&self) -> &'static str {
        "Shows the lines of /proc/meminfo that this kernel has, with what they said when the machine died. -w adds the kinds \
         of use up and says what no count has: pages that drivers took for themselves, and those that each CPU keeps free \
         for itself. Then come the slab caches and the processes that have most; memory that several processes share is \
         counted in each."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("meminfo", "the lines of /proc/meminfo"),
                Example::new("meminfo -w -n 5", "where the memory went"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &MeminfoArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let found = proc_meminfo::read(s).map_err(CommandError::failed)?;
        let mut report = Report::new("meminfo");
        if args.went {
            went(s, &found, &mut report);
            caches(cx, s, args.count, &mut report)?;
            processes(cx, s, args.count, &mut report)?;
        } else {
            report.list("lines", found.lines.iter().map(row).collect());
        }
        problems::tell(&mut report, "meminfo", "lines", &found.problems);
        Ok(report)
    }
}

/// `MemTotal:         278120 kB`
fn row(told: &Told) -> Record {
    // names and values have the columns that the kernel gives them
    let label = format!("{}:", told.name);
    let columns = if label.len() >= 16 { label.len() + 1 } else { 16 };
    let value = match &told.value {
        Ok(value) => Cell::from(*value),
        Err(e) => unknown("?", e),
    };
    let line =
        Line::of(format!("{label:columns$}")).field("value", value).right(24_usize.saturating_sub(columns));
    let unit = match told.unit {
        Unit::Kib => "kB",
        Unit::Plain => "",
    };
    let mut row = Record::of(if unit.is_empty() { line } else { line.text(" kB") });
    row.hidden("name", told.name);
    row.hidden("unit", unit);
    row
}

/// The value of a line; none where the kernel has no such line.
fn value(lines: &[Told], name: &str) -> Option<Result<u64, KernelError>> {
    lines.iter().find(|line| line.name == name).map(|line| line.value.clone())
}

/// Kinds of use that do not overlap: what they are called, the lines that are summed, and those that are taken off.
const KINDS: &[(&str, &[&str], &[&str])] = &[
    ("free", &["MemFree"], &[]),
    ("not accepted yet", &["Unaccepted"], &[]),
    ("memory of processes", &["AnonPages"], &[]),
    ("files in the page cache", &["Cached", "Buffers"], &["Shmem"]),
    ("shared memory and tmpfs", &["Shmem"], &[]),
    ("swap that is in memory too", &["SwapCached"], &[]),
    ("pools of huge pages", &["Hugetlb"], &[]),
    ("slabs that can be given back", &["SReclaimable"], &[]),
    ("other slabs", &["SUnreclaim"], &[]),
    ("stacks of the kernel", &["KernelStack"], &[]),
    ("page tables", &["PageTables", "SecPageTables"], &[]),
    ("per-CPU memory", &["Percpu"], &[]),
    ("compressed swap", &["Zswap"], &[]),
    ("given to the host (balloon)", &["Balloon"], &[]),
    ("GPUs", &["GPUActive", "GPUReclaim"], &[]),
];

/// A kind's KiB; none where the kernel has none of its lines.
fn kind(lines: &[Told], of: &[&str], less: &[&str]) -> Option<Result<u64, KernelError>> {
    let parts: Vec<_> = of.iter().filter_map(|name| value(lines, name)).collect();
    if parts.is_empty() {
        return None;
    }
    let sum = |parts: Vec<Result<u64, KernelError>>| {
        parts.into_iter().try_fold(0_u64, |sum, part| Ok(sum.saturating_add(part?)))
    };
    let less = sum(less.iter().filter_map(|name| value(lines, name)).collect());
    Some(sum(parts).and_then(|all| Ok(all.saturating_sub(less?))))
}

/// Memory of vmalloc's that is no stack of a task, where stacks are of it.
fn vmalloc(s: &Session, lines: &[Told]) -> Option<Result<u64, KernelError>> {
    let used = value(lines, "VmallocUsed")?;
    let range = s.vmalloc_range().ok().flatten();
    // one task tells where all have their stacks
    let stack = s.tasks().all.iter().find(|task| task.pid != 0 && task.stack.is_some_and(|at| !at.is_null()));
    let is_own = stack.is_some_and(|task| {
        let at = stacks::task_stack(s, task).start;
        range.is_some_and(|(first, bytes)| at.0.checked_sub(first.0).is_some_and(|offset| offset < bytes))
    });
    let stacks = if is_own { value(lines, "KernelStack").unwrap_or(Ok(0)) } else { Ok(0) };
    Some(used.and_then(|used| Ok(used.saturating_sub(stacks?))))
}

fn went(s: &Session, found: &Read, report: &mut Report) {
    let lines = &found.lines;
    let total = value(lines, "MemTotal").unwrap_or(Err(KernelError::NoType("zone")));
    let mut kinds: Vec<(&str, Result<u64, KernelError>)> = Vec::new();
    for (name, of, less) in KINDS {
        kinds.extend(kind(lines, of, less).map(|kib| (*name, kib)));
    }
    kinds.extend(vmalloc(s, lines).map(|kib| ("vmalloc, modules among it", kib)));
    let known: Result<u64, KernelError> =
        kinds.iter().try_fold(0_u64, |sum, (_, kib)| Ok(sum.saturating_add(kib.clone()?)));
    // counts that CPUs have not yet added can make it less than none
    let rest = total.clone().and_then(|total| {
        // what has no line for want of a symbol would be taken for what has none
        if let Some(e) = found.problems.first() {
            return Err(e.clone());
        }
        let rest = i128::from(total) - i128::from(known?);
        Ok(i64::try_from(rest).unwrap_or(i64::MAX))
    });
    report.line(Line::heading(format!("{:32}{:>12}  PERCENT", "MEMORY", "KIB")));
    let percent = |kib: Option<i64>| match (kib, &total) {
        (Some(kib), Ok(total)) if *total > 0 => {
            let percent = i128::from(kib) * 100 / i128::from(*total);
            Cell::from(i64::try_from(percent).unwrap_or(i64::MAX))
        }
        _ => Cell::absent("-", "one of both is not known"),
    };
    let row = |name: &str, kib: Result<i64, KernelError>| {
        let line = Line::new().field("kind", name.to_owned()).left(32);
        let known = kib.as_ref().ok().copied();
        let kib = or_why(kib);
        let line = line.field("kib", kib).right(12).text("  ");
        Record::of(line.field("percent", percent(known)).right(7))
    };
    let signed = |kib: Result<u64, KernelError>| kib.map(|kib| i64::try_from(kib).unwrap_or(i64::MAX));
    let mut rows = vec![row("all that the kernel manages", signed(total.clone()))];
    rows.extend(kinds.into_iter().map(|(name, kib)| row(name, signed(kib))));
    rows.push(row("in no count", rest));
    report.list("kinds", rows);
}

/// The slab caches that have most.
fn caches(cx: &Cx<'_>, s: &Session, count: usize, report: &mut Report) -> Result<(), CommandError> {
    let found = slab::caches(s);
    let is_slab = slab_cache::is_kernels(s);
    let mut known: Vec<(u64, VirtAddr)> = Vec::new();
    let mut lost: Vec<KernelError> = found.problems.clone();
    for &at in &found.all {
        cx.cancel.check()?;
        let slabs = match is_slab {
            true => slab_cache::sums(s, at).slabs,
            false => slub_cache::read(s, at).and_then(|cache| cache.sums().slabs),
        };
        let bytes = if is_slab { slab_cache::slab_bytes(s, at) } else { slub_cache::slab_bytes(s, at) };
        match slabs.and_then(|slabs| Ok(slabs.saturating_mul(bytes?))) {
            Ok(bytes) => known.push((bytes / 1024, at)),
            Err(e) => lost.push(e),
        }
    }
    known.sort_by_key(|(kib, at)| (Reverse(*kib), *at));
    report.blank();
    report.line(Line::heading("         KIB  SLAB CACHE"));
    // as many as are lost may come before the last ones
    let rows = known.iter().take(count.saturating_sub(lost.len())).map(|(kib, at)| {
        let name = match slab::cache_names(s).get(at) {
            Some(name) => Cell::from(name.clone()),
            None => Cell::absent("?", "the cache's name is not in the dump").lost_if(true),
        };
        Record::of(Line::new().field("kib", *kib).right(12).text("  ").field("name", name))
    });
    report.list("caches", rows.collect());
    problems::tell(report, "meminfo", "slab caches", &lost);
    Ok(())
}

/// The processes that have most in memory.
fn processes(cx: &Cx<'_>, s: &Session, count: usize, report: &mut Report) -> Result<(), CommandError> {
    let mut known: Vec<(u64, &Task)> = Vec::new();
    let mut lost = Vec::new();
    let kib = s.page_size() / 1024;
    for task in s.tasks().all.iter().filter(|task| task.is_leader() && task.is_kthread() != Some(true)) {
        cx.cancel.check()?;
        match address_space::size(s, task) {
            Ok(size) if size.resident > 0 => known.push((size.resident.saturating_mul(kib), task)),
            Ok(_) => {}
            Err(e) => lost.push(e),
        }
    }
    known.sort_by_key(|(kib, task)| (Reverse(*kib), task.pid));
    report.blank();
    report.line(Line::heading("         KIB  PROCESS"));
    let count = if s.tasks().lack().is_some() { 0 } else { count };
    let rows = known.iter().take(count.saturating_sub(lost.len())).map(|(kib, task)| {
        let line = Line::new().field("kib", *kib).right(12).text("  ").field("pid", task.pid).left(7);
        Record::of(line.text(" \"").field("command", task.comm.clone()).text("\""))
    });
    report.list("processes", rows.collect());
    problems::tell(report, "meminfo", "sizes of processes", &lost);
    tasks::problems(s, report);
    Ok(())
}
