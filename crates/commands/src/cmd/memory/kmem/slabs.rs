//! `kmem -s`, `-S`: slab caches ([`kernel::mm::slub_cache`]).

use super::KmemArgs;
use super::objects;
use crate::engine::number;
use crate::show::tasks::{self, or_why, unknown};
use crate::{CommandError, Cx};
use base::VirtAddr;
use kernel::mm::slub_cache::{self, Cache};
use kernel::mm::{slab, slab_cache};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

/// Objects that are shown in one go.
const AT_ONCE: u64 = 1 << 16;

/// What is asked of the caches.
struct Ask<'a> {
    /// With their slabs and objects.
    whole: bool,
    /// The CPUs whose part is shown.
    cpus: Option<Vec<u32>>,
    ignored: Vec<&'a str>,
}

pub(super) fn show(
    cx: &mut Cx<'_>,
    s: &Session,
    args: &KmemArgs,
    report: &mut Report,
) -> Result<(), CommandError> {
    let cpus = args.all_slabs.as_deref().filter(|text| !text.is_empty());
    let ask = Ask {
        whole: args.all_slabs.is_some(),
        cpus: cpus.map(|text| tasks::cpus(s, text)).transpose()?,
        ignored: args.ignored.iter().flat_map(|list| list.split(',')).collect(),
    };
    if ask.whole && slab_cache::is_kernels(s) {
        let why = "this kernel has the slab caches of SLAB, of which -s shows the sums; their slabs are not listed yet";
        return Err(CommandError::failed(why));
    }
    let found = slab::caches(s);
    if found.all.is_empty() {
        let why = found.problems.first().cloned().unwrap_or_else(|| s.no_symbol("slab_caches"));
        return Err(CommandError::failed(why));
    }
    match args.words.as_slice() {
        [] => {
            report.line(heading());
            caches(cx, s, &found.all, &ask, report)?;
        }
        [word] if word == "list" => {
            let row = |at: &VirtAddr| {
                Record::of(
                    Line::new()
                        .field("cache", Cell::Addr(at.0))
                        .zeros(16)
                        .text(" ")
                        .field("name", name(s, *at)),
                )
            };
            report.list("caches", found.all.iter().map(row).collect());
        }
        words => {
            for (n, word) in words.iter().enumerate() {
                if n > 0 {
                    report.blank();
                }
                match number::hex(word).map(VirtAddr).filter(|at| s.arch().is_kernel(*at)) {
                    Some(at) if found.all.contains(&at) => {
                        report.line(heading());
                        caches(cx, s, &[at], &ask, report)?;
                    }
                    Some(at) => objects::at(cx, s, at, ask.whole, report)?,
                    None => named(cx, s, word, &ask, report)?,
                }
            }
        }
    }
    if let Some(e) = found.problems.first() {
        report.lacking(e.is_loss(), format!("kmem: the list of slab caches is not whole: {e}"));
    }
    Ok(())
}

/// The caches of a name: a kernel may have several.
fn named(
    cx: &mut Cx<'_>,
    s: &Session,
    word: &str,
    ask: &Ask<'_>,
    report: &mut Report,
) -> Result<(), CommandError> {
    let found = slab::caches(s);
    let own: Vec<VirtAddr> =
        found.all.iter().copied().filter(|at| found.names.get(at).is_some_and(|name| name == word)).collect();
    if own.is_empty() {
        let lacks = found.names.len() < found.all.len() || !found.problems.is_empty();
        let why = if lacks { "; not all names of caches are in the dump" } else { "" };
        let e = CommandError::failed(format_args!("no slab cache of this name: {word}{why}"));
        return Err(e.lost_if(lacks));
    }
    report.line(heading());
    caches(cx, s, &own, ask, report)
}

fn caches(
    cx: &mut Cx<'_>,
    s: &Session,
    all: &[VirtAddr],
    ask: &Ask<'_>,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    let mut shown = 0_u64;
    for (n, at) in all.iter().enumerate() {
        cx.cancel.check()?;
        let mut row = Record::new();
        let is_ignored =
            slab::cache_names(s).get(at).is_some_and(|name| ask.ignored.contains(&name.as_str()));
        if n > 0 && ask.whole && !is_ignored {
            row.line(heading());
        }
        if is_ignored {
            let line =
                Line::new().field("cache", Cell::Addr(at.0)).zeros(16).text(format!(" {:<45}", "[IGNORED]"));
            row.line(line.field("name", name(s, *at)));
            row.hidden("ignored", true);
            rows.push(row);
            continue;
        }
        if !ask.ignored.is_empty() && !slab::cache_names(s).contains_key(at) {
            let line = Line::new().field("cache", Cell::Addr(at.0)).zeros(16).text("  ");
            row.line(line.field("name", name(s, *at)));
            row.missing(
                "kmem: whether this cache is to be passed over is not known: its name is not in the dump",
            );
            rows.push(row);
            continue;
        }
        let cache = slub_cache::read(s, *at);
        let is_there = cache_row(s, *at, cache.as_ref(), &mut row)?;
        if let (true, true, Ok(cache)) = (ask.whole, is_there, &cache) {
            objects::all(cx, s, cache, ask.cpus.as_deref(), &mut row)?;
        }
        rows.push(row);
        shown = shown.saturating_add(cache.as_ref().map_or(0, slub_cache::Cache::listed));
        // what was read is shown before more is
        if ask.whole && shown >= AT_ONCE && cx.is_outermost() {
            shown = 0;
            report.list("caches", std::mem::take(&mut rows));
            cx.emit(&std::mem::replace(report, Report::new("kmem")))?;
        }
    }
    report.list("caches", rows);
    Ok(())
}

fn name(s: &Session, at: VirtAddr) -> Cell {
    match slab::cache_names(s).get(&at) {
        Some(name) => Cell::from(name.clone()),
        None => Cell::absent("?", "the cache's name is not in the dump").lost_if(true),
    }
}

/// The line above caches.
pub(super) fn heading() -> Line {
    Line::heading("CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME")
}

/// The line of a cache; says whether it could be read.
pub(super) fn cache_row(
    s: &Session,
    at: VirtAddr,
    cache: Result<&Cache, &KernelError>,
    row: &mut Record,
) -> Result<bool, CommandError> {
    let is_slab = slab_cache::is_kernels(s);
    let sums = match cache {
        _ if is_slab => slab_cache::sums(s, at),
        Ok(cache) => cache.sums(),
        // of a kernel with other caches each would fail alike
        Err(e) if !e.is_loss() => return Err(CommandError::failed(e.clone())),
        Err(e) => {
            let line = Line::new().field("cache", Cell::Addr(at.0)).zeros(16).text(" ");
            let line = line.field("allocated", unknown("?", e)).right(19).text("  ");
            row.line(line.text("                        ").field("name", name(s, at)));
            return Ok(false);
        }
    };
    let allocated = match (&sums.objects, &sums.free) {
        (Ok(objects), Ok(free)) if free <= objects => Ok(objects - free),
        (Ok(objects), Ok(free)) => {
            let why = format!("{free} free objects were found, of {objects}");
            Err(KernelError::Damaged { what: "kmem_cache", at, why })
        }
        (Err(e), _) | (_, Err(e)) => Err(e.clone()),
    };
    let cell = |value: &kernel::Result<u64>| or_why(value.as_ref().copied());
    let line = Line::new().field("cache", Cell::Addr(at.0)).zeros(16).text(" ");
    let line = line.field("object_size", cell(&slub_cache::object_bytes(s, at))).right(8).text("  ");
    let line = line.field("allocated", cell(&allocated)).right(9).text("  ");
    let line = line.field("total", cell(&sums.objects)).right(8).text("  ");
    let line = line.field("slabs", cell(&sums.slabs)).right(5).text("  ");
    let bytes = if is_slab { slab_cache::slab_bytes(s, at) } else { slub_cache::slab_bytes(s, at) };
    let bytes = match bytes {
        Ok(bytes) => Cell::shown(Cell::Size(bytes), format!("{}k", bytes / 1024)),
        Err(e) => unknown("?", &e),
    };
    row.line(line.field("slab_size", bytes).right(5).text("  ").field("name", name(s, at)));
    row.hidden("slot_size", cell(&slub_cache::slot_bytes(s, at)));
    if let Ok(free) = &sums.free {
        row.hidden("free", *free);
    }
    Ok(true)
}
