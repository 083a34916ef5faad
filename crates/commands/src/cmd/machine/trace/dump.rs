//! `trace dump`: the buffers as files.

use super::{Tasks, TraceArgs, buffer, clock_or_local, tell, wanted};
use crate::{CommandError, Cx};
use debuginfo::symtab::Listed;
use kernel::Session;
use kernel::trace::dat::{self, Buffer, File};
use kernel::trace::instance::{self, Instance};
use kernel::trace::ring_buffer::{self, Cpu};
use report::{Cell, Line, Report, Role};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Where it goes, where no file is named.
pub(super) const fn default_path(args: &TraceArgs) -> &'static str {
    if args.dat { "trace.dat" } else { "dump_tracing_dir" }
}

/// Writes a file, or a folder.
pub(super) fn write(
    cx: &Cx<'_>,
    s: &Session,
    all: &[Instance],
    args: &TraceArgs,
    file: Option<&str>,
    report: &mut Report,
) -> Result<(), CommandError> {
    let wanted = wanted(all, args)?;
    let mut read: Vec<(Option<String>, Vec<Cpu>)> = Vec::new();
    let mut sizes = BTreeSet::new();
    for one in &wanted {
        let at = match buffer(one, args) {
            Ok(at) => at,
            Err(_) if args.snapshot && wanted.len() > 1 => continue,
            Err(e) => return Err(e),
        };
        sizes.insert(ring_buffer::sub_buffer_size(s, at).map_err(CommandError::failed)?);
        let cpus = ring_buffer::cpus(s, at).map_err(CommandError::failed)?;
        tell(report, &cpus);
        read.push((one.name.clone().filter(|_| args.instance.is_none()), cpus));
    }
    if args.dat && sizes.len() > 1 {
        return Err(CommandError::failed(
            "the sub-buffers of the instances have several sizes, and a trace.dat has one: choose one with -i INSTANCE",
        ));
    }
    let size = sizes.first().copied().unwrap_or_else(|| s.page_size());
    let path = file.unwrap_or_else(|| default_path(args));
    cx.may_write(path)?;
    let events = s.trace_events();
    crate::show::problems::tell(report, "trace", "kinds of events", &events.problems);
    let failed = |e: std::io::Error| CommandError::failed(format_args!("{path}: {e}"));
    if args.dat {
        let buffers: Vec<Buffer<'_>> =
            read.iter().map(|(name, cpus)| Buffer { name: name.as_deref(), cpus }).collect();
        let clock = wanted.first().map_or_else(|| "local".to_owned(), |one| clock_or_local(s, one, report));
        let (formats, tasks, symbols) = (formats(s, report), names(s, report), symbols(s));
        let file = File {
            size,
            events,
            symbols: &symbols,
            formats: &formats,
            tasks: &tasks,
            clock: &clock,
            buffers: &buffers,
        };
        let mut out = BufWriter::new(std::fs::File::create(path).map_err(failed)?);
        dat::write(&mut out, &file).map_err(failed)?;
    } else {
        let path = Path::new(path);
        buffers(path, &read).map_err(failed)?;
        if args.metadata {
            let (formats, tasks) = (formats(s, report), names(s, report));
            metadata(s, path, &formats, &tasks).map_err(failed)?;
        }
        if args.symbols {
            std::fs::create_dir_all(path).map_err(failed)?;
            std::fs::write(path.join("kallsyms"), symbols(s)).map_err(failed)?;
        }
    }
    let pages: usize = read.iter().flat_map(|(_, cpus)| cpus).map(|one| one.pages.len()).sum();
    let line =
        Line::new().field("sub_buffers", pages).text(" sub-buffers of ").field("size", Cell::Size(size));
    report.line(line.text(" bytes written to ").field("file", path.to_owned()).role(Role::Path));
    Ok(())
}

/// A name as the part of a path: it is one folder or file, whatever it says.
fn part(name: &str) -> String {
    name.replace(['/', '\\'], "_").replace("..", "_")
}

/// What the tracing directory would give of the buffers.
fn buffers(path: &Path, read: &[(Option<String>, Vec<Cpu>)]) -> std::io::Result<()> {
    for (name, cpus) in read {
        let own: PathBuf = match name {
            Some(name) => path.join("instances").join(part(name)),
            None => path.to_owned(),
        };
        for one in cpus {
            let own = own.join("per_cpu").join(format!("cpu{}", one.cpu));
            std::fs::create_dir_all(&own)?;
            let bytes: Vec<u8> = one.pages.iter().flat_map(|page| page.unread()).collect();
            std::fs::write(own.join("trace_pipe_raw"), bytes)?;
        }
    }
    Ok(())
}

/// What it would give of events, tasks and formats.
fn metadata(s: &Session, path: &Path, formats: &str, tasks: &str) -> std::io::Result<()> {
    let events = s.trace_events();
    for event in &events.all {
        let own = path.join("events").join(part(&event.system)).join(part(&event.name));
        std::fs::create_dir_all(&own)?;
        std::fs::write(own.join("format"), dat::format(event, &events.common))?;
    }
    std::fs::create_dir_all(path)?;
    std::fs::write(path.join("saved_cmdlines"), tasks)?;
    std::fs::write(path.join("printk_formats"), formats)
}

/// The formats of trace_printk().
fn formats(s: &Session, report: &mut Report) -> String {
    let (formats, lost) = instance::printk_formats(s);
    crate::show::problems::tell(report, "trace", "formats of trace_printk()", &lost);
    formats
}

/// All symbols, as /proc/kallsyms has them.
fn symbols(s: &Session) -> String {
    let mut out = String::new();
    for table in [&s.kernel_symbols().table, s.module_symbols()] {
        for one in table.listed(base::VirtAddr(0), base::VirtAddr(u64::MAX)) {
            let Listed::Symbol(symbol) = one else { continue };
            let _ = write!(out, "{:016x} {} {}", symbol.addr.0, symbol.kind, symbol.name);
            match symbol.module {
                Some(module) => _ = writeln!(out, "\t[{module}]"),
                None => out.push('\n'),
            }
        }
    }
    out
}

/// The numbers and names of all tasks, those that ftrace kept before all.
fn names(s: &Session, report: &mut Report) -> String {
    let mut names = Tasks::of(s);
    let mut out = String::new();
    let mut seen = BTreeSet::new();
    let kept = names.kept.as_ref().map(|kept| kept.all(s)).unwrap_or_default();
    for (pid, name) in kept {
        if seen.insert(pid) {
            let _ = writeln!(out, "{pid} {name}");
        }
    }
    for t in s.tasks().all.iter().filter(|t| t.pid > 0) {
        if seen.insert(t.pid) {
            let _ = writeln!(out, "{} {}", t.pid, names.name(s, t.pid));
        }
    }
    names.tell(report);
    out
}
