//! `trace dump`: the buffers as files.

use super::{Tasks, TraceArgs, buffer, chosen, clock, tell};
use crate::{CommandError, Cx};
use debuginfo::symtab::Listed;
use kernel::Session;
use kernel::trace::dat::{self, Buffer, File};
use kernel::trace::instance::{self, Instance};
use kernel::trace::ring_buffer::{self, Cpu};
use report::{Cell, Line, Report, Role};
use std::fmt::Write as _;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Writes a file, or a folder.
pub(super) fn write(
    cx: &Cx<'_>,
    s: &Session,
    all: &[Instance],
    args: &TraceArgs,
    file: Option<&str>,
    report: &mut Report,
) -> Result<(), CommandError> {
    // all of them, or the one that is meant
    let wanted: Vec<&Instance> = match args.instance {
        Some(_) => vec![chosen(all, args)?],
        None => all.iter().collect(),
    };
    let mut read: Vec<(Option<String>, Vec<Cpu>)> = Vec::new();
    let mut size = s.page_size();
    for one in &wanted {
        let at = match buffer(one, args) {
            Ok(at) => at,
            Err(_) if args.snapshot && wanted.len() > 1 => continue,
            Err(e) => return Err(e),
        };
        size = ring_buffer::sub_buffer_size(s, at).map_err(CommandError::failed)?;
        let cpus = ring_buffer::cpus(s, at).map_err(CommandError::failed)?;
        tell(report, &cpus);
        read.push((one.name.clone().filter(|_| args.instance.is_none()), cpus));
    }
    let path = file.unwrap_or(if args.dat { "trace.dat" } else { "dump_tracing_dir" });
    if let Some(why) = cx.why_not_written(path) {
        return Err(CommandError::failed(why));
    }
    let events = s.trace_events();
    crate::show::problems::tell(report, "trace", "kinds of events", &events.problems);
    let failed = |e: std::io::Error| CommandError::failed(format_args!("{path}: {e}"));
    if args.dat {
        let buffers: Vec<Buffer<'_>> =
            read.iter().map(|(name, cpus)| Buffer { name: name.as_deref(), cpus }).collect();
        let clock = wanted
            .first()
            .map_or_else(|| "local".to_owned(), |one| clock(s, one).unwrap_or_else(|_| "local".into()));
        let (formats, lost) = instance::printk_formats(s);
        crate::show::problems::tell(report, "trace", "formats of trace_printk()", &lost);
        let (symbols, tasks) = (symbols(s), names(s));
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
        folder(s, Path::new(path), &read, args).map_err(failed)?;
    }
    let pages: usize = read.iter().flat_map(|(_, cpus)| cpus).map(|one| one.pages.len()).sum();
    let line =
        Line::new().field("sub_buffers", pages).text(" sub-buffers of ").field("size", Cell::Size(size));
    report.line(line.text(" bytes written to ").field("file", path.to_owned()).role(Role::Path));
    Ok(())
}

/// What the tracing directory would give.
fn folder(
    s: &Session,
    path: &Path,
    read: &[(Option<String>, Vec<Cpu>)],
    args: &TraceArgs,
) -> std::io::Result<()> {
    for (name, cpus) in read {
        let own: PathBuf = match name {
            // a name is one folder, whatever it says
            Some(name) => path.join("instances").join(name.replace(['/', '\\'], "_").replace("..", "_")),
            None => path.to_owned(),
        };
        for one in cpus {
            let own = own.join("per_cpu").join(format!("cpu{}", one.cpu));
            std::fs::create_dir_all(&own)?;
            let bytes: Vec<u8> = one.pages.iter().flat_map(|page| page.unread()).collect();
            std::fs::write(own.join("trace_pipe_raw"), bytes)?;
        }
    }
    if args.metadata {
        let events = s.trace_events();
        for event in &events.all {
            let part = |text: &str| text.replace(['/', '\\'], "_").replace("..", "_");
            let own = path.join("events").join(part(&event.system)).join(part(&event.name));
            std::fs::create_dir_all(&own)?;
            std::fs::write(own.join("format"), dat::format(event, &events.common))?;
        }
        std::fs::create_dir_all(path)?;
        std::fs::write(path.join("saved_cmdlines"), names(s))?;
        std::fs::write(path.join("printk_formats"), instance::printk_formats(s).0)?;
    }
    if args.symbols {
        std::fs::create_dir_all(path)?;
        std::fs::write(path.join("kallsyms"), symbols(s))?;
    }
    Ok(())
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
fn names(s: &Session) -> String {
    let mut names = Tasks::of(s);
    let mut out = String::new();
    let mut seen = std::collections::BTreeSet::new();
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
    out
}
