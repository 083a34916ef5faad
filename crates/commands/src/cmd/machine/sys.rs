//! `sys`: the machine, its kernel, and what killed it.

use crate::show::when;
use crate::{CommandError, Cx, Example, Run};
use kernel::Fetch;
use kernel::Session;
use kernel::machine::dmi;
use kernel::machine::ikconfig;
use kernel::machine::syscalls;
use kernel::machine::system;
use kernel::module::livepatch::{LivePatch, Replacement};
use kernel::module::taint;
use report::{Cell, Line, Record, Report, Role};
use std::borrow::Borrow;

/// `sys`.
#[derive(Debug)]
pub(crate) struct Sys;

/// The arguments of `sys`.
#[derive(clap::Args)]
pub(crate) struct SysArgs {
    /// Show the table of system calls, or the calls of that name or number
    #[arg(short = 'c', value_name = "NAME | NUMBER", num_args = 0..=1, default_missing_value = "")]
    calls: Option<String>,
    /// Show why the kernel is tainted
    #[arg(short = 't')]
    taint: bool,
    /// Show the DMI strings
    #[arg(short = 'i')]
    dmi: bool,
    /// Panic a live system: a dump has none
    #[arg(long)]
    panic: bool,
    /// Show the kernel's configuration
    #[arg(value_name = "config", value_parser = ["config"])]
    what: Option<String>,
}

impl Run for Sys {
    type Args = SysArgs;
    fn name(&self) -> &'static str {
        "sys"
    }
    fn about(&self) -> &'static str {
        "system data"
    }
    fn details(&self) -> &'static str {
        "Shows the kernel, the dump, CPUs, clock, load, tasks, release and memory, and why the machine died: first \
         the message of the oops or BUG that it died of, then the final panic where that is another. \
         \"sys config\" shows the kernel's configuration where the kernel carries it (CONFIG_IKCONFIG)."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn respell(&self) -> &'static [(&'static str, &'static str)] {
        const { &[("-panic", "--panic")] }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("sys", "the machine and why it died"),
                Example::new("sys -t", "why the kernel is tainted"),
                Example::new("sys -c select", "system calls by name"),
                Example::new("sys -c 59", "a system call by number"),
                Example::new("sys -i", "the hardware's names"),
                Example::new("sys config", "the kernel's configuration"),
            ]
        }
    }
    fn reads_log(&self, args: &SysArgs) -> bool {
        args.calls.is_none() && !args.taint && !args.dmi && args.what.is_none()
    }
    fn run(&self, cx: &mut Cx<'_>, args: &SysArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        if args.panic {
            return Err(CommandError::failed("cannot panic a dumpfile!"));
        }
        if let Some(which) = &args.calls {
            return calls(cx, s, which);
        }
        if args.taint {
            return tainted(s);
        }
        if args.dmi {
            return strings(s);
        }
        if args.what.is_some() {
            return configuration(s);
        }
        let mut report = Report::new("sys");
        if s.is_log() {
            of_log(cx, s, &mut report);
            return Ok(report);
        }
        banner(cx, s, &mut report);
        if cx.settings.begins
            && let Ok(task) = crate::show::tasks::context(cx)
        {
            crate::cmd::tasks::set::lines(s, task, 12, cx.settings.crash_compat, &mut report);
            report.blank();
        }
        crate::show::tasks::registers_of(s, kernel::sched::panic::panic_cpu(s), &mut report);
        Ok(report)
    }
}

/// A line of the banner: its label, as wide as all.
fn label(text: &str) -> Line {
    Line::new().text(format!("{text:>12}: "))
}

/// A value, or why there is none.
fn or_why<T: Into<Cell>>(value: Result<T, impl Borrow<kernel::KernelError>>) -> Cell {
    match value {
        Ok(value) => value.into(),
        Err(e) => crate::show::tasks::unknown("not known", e.borrow()),
    }
}

/// What of the banner a log has.
fn of_log(cx: &Cx<'_>, s: &Session, report: &mut Report) {
    if let Some(file) = s.kernel_file() {
        let name = cx.settings.namelist.clone();
        let name = name.unwrap_or_else(|| s.opened().machine.image.shown(file.path()));
        report.line(label("KERNEL").field("kernel", name).role(Role::Path));
    }
    let files = s.opened().machine.image.dump_names.join(" ");
    report.line(label("LOG").field("dumpfile", files).role(Role::Path));
    if let Some(last) = system::last_message_sec(s) {
        report.hidden("uptime_seconds", Cell::at_least(last, NOT_LOGGED));
        let shown = Cell::Shown(Box::new(last.into()), when::duration(last));
        let line = label("UPTIME").text("at least ").field("last_message_seconds", shown);
        report.line(line.text(" (the last message of the log)"));
    }
    let gone = || Cell::absent("not in a log", NOT_LOGGED);
    report.line(label("RELEASE").field("release", system::release(s).map_or_else(gone, Cell::from)));
    report.line(label("VERSION").field("version", system::version(s).map_or_else(gone, Cell::from)));
    report.line(label("MACHINE").field("machine", s.arch().name()));
    died(s, cx.settings.crash_compat, report);
}

const NOT_LOGGED: &str = "the log does not tell it, and there is no memory";

/// The banner: what `sys` shows, and what a session begins with.
pub(crate) fn banner(cx: &Cx<'_>, s: &Session, report: &mut Report) {
    let mask = taint::mask(s);
    let mut line = label("KERNEL");
    line = match (s.kernel_file(), &cx.settings.namelist) {
        (Some(file), shown) => {
            let name = shown.clone().unwrap_or_else(|| s.opened().machine.image.shown(file.path()));
            line.field("kernel", name).role(Role::Path)
        }
        (None, _) => {
            let line = line.field("kernel", Cell::Shown(Box::new(Cell::Null), "no vmlinux".into()));
            let from = &s.kernel_symbols().from;
            match s.kernel_symbols().table.is_empty() {
                true => line.text(" (no symbols)"),
                false => line.text(" (symbols from ").field("symbols_from", from.clone()).text(")"),
            }
        }
    };
    let patched = is_live_patched(s, mask.as_ref());
    if matches!(patched, Ok(true)) {
        line = line.text("  [LIVEPATCH]");
    }
    match &mask {
        Ok(0) => {}
        Ok(_) => line = line.text("  [TAINTED]"),
        Err(_) => line = line.text("  [whether TAINTED is not known]"),
    }
    report.line(line);
    report.hidden("livepatch", or_why(patched));
    report.hidden("tainted", or_why(mask.map(taint::letters)));
    live_patches(s, report);
    let files = || s.opened().machine.image.dump_names.join(" ");
    let files = cx.settings.dumpfile.clone().unwrap_or_else(files);
    let mut line = label("DUMPFILE").field("dumpfile", files).role(Role::Path);
    if s.dump().facts().is_incomplete() {
        line = line.text("  [INCOMPLETE]");
    }
    // crash's word for a dump that a filter wrote
    if cx.settings.crash_compat && s.dump().facts().dump_level.is_some_and(|level| level > 0) {
        line = line.text("  [PARTIAL DUMP]");
    }
    report.line(line);
    report.hidden("incomplete", s.dump().facts().is_incomplete());
    cpus(s, report);
    clock(s, report);
    report.line(label("TASKS").field("tasks", crate::show::tasks::count(s)));
    names(s, report);
    let size = |bytes| Cell::Shown(Box::new(Cell::Size(bytes)), when::memory(bytes));
    let line = label("MEMORY");
    let memory = match (system::memory_bytes(s), system::managed_bytes(s)) {
        (Err(e), Some(managed)) => {
            report.hidden("memory_bytes", or_why(Err::<Cell, _>(e)));
            let line = line.text("at least ").field("memory_managed_bytes", size(managed));
            line.text(" (what the kernel hands out)")
        }
        (memory, _) => line.field("memory_bytes", or_why(memory.map(size))),
    };
    report.line(memory);
    died(s, cx.settings.crash_compat, report);
}

fn cpus(s: &Session, report: &mut Report) {
    let cpus = s.cpus();
    let why = cpus.problem.as_ref().map(ToString::to_string).unwrap_or_default();
    let Some(present) = &cpus.present else {
        // those whose registers are in the dump were there, as far as the kernel can have had so many; others may have been
        let noted = s.cpu_states().len().min(cpus.possible.len());
        let least = noted.max(cpus.online.as_ref().map_or(0, Vec::len));
        let (text, cell) = match cpus.possible.len() {
            possible if possible > least => (
                format!("at least {least}, at most {possible}"),
                Cell::at_least(least, format!("{why}; there can be {possible}")),
            ),
            _ => (format!("at least {least}"), Cell::at_least(least, why)),
        };
        report.line(label("CPUS").field("cpus", Cell::Shown(Box::new(cell), text)));
        return;
    };
    let mut line = label("CPUS").field("cpus", present.len());
    match &cpus.online {
        Some(online) if online.len() < present.len() => {
            line = line.text(" [OFFLINE: ").field("offline", present.len() - online.len()).text("]");
        }
        Some(_) => {}
        None => report.hidden("offline", Cell::absent("not known", why)),
    }
    report.line(line);
}

fn clock(s: &Session, report: &mut Report) {
    let clocks = system::clocks(s);
    let (date, up) = match &clocks {
        Ok(c) => (
            Cell::Shown(Box::new(c.wall_sec.into()), when::date(c.wall_sec)),
            Cell::Shown(Box::new(c.uptime_sec.into()), when::duration(c.uptime_sec.unsigned_abs())),
        ),
        Err(e) => {
            let gap = || crate::show::tasks::unknown("not known", e);
            // a truncated dump may lack the clock; when the kernel crashed is in its header
            let crashed =
                s.vmcoreinfo().get("CRASHTIME").and_then(|t| t.parse::<i64>().ok()).filter(|t| *t > 0);
            (crashed.map_or_else(gap, |t| Cell::Shown(Box::new(t.into()), when::date(t))), gap())
        }
    };
    report.line(label("DATE").field("date", date));
    let up = label("UPTIME").field("uptime_seconds", up);
    let uptime = match (clocks, system::last_message_sec(s)) {
        (Err(e), Some(last)) => {
            report.hidden("uptime_seconds", Cell::at_least(last, e.to_string()));
            label("UPTIME")
                .text("at least ")
                .field("last_message_seconds", Cell::Shown(Box::new(last.into()), when::duration(last)))
                .text(" (the last message of the log)")
        }
        _ => up,
    };
    report.line(uptime);
    let load = system::load_average(s).map(|loads| {
        let one = |n: u64| {
            Cell::Shown(Box::new(Cell::Float(n as f64 / 100.0, 2)), format!("{}.{:02}", n / 100, n % 100))
        };
        Cell::Many(loads.into_iter().map(one).collect(), ", ")
    });
    report.line(label("LOAD AVERAGE").field("load_average", or_why(load)));
}

/// One of the names of `uname`: the kernel's own word, else that of the dump's header.
fn name(key: &'static str, head: &str, own: &kernel::Result<String>, header: Option<String>) -> Line {
    let line = label(head);
    match (own, header.filter(|name| !name.is_empty())) {
        (Ok(name), _) => line.field(key, name.clone()),
        (Err(_), Some(name)) => line.field(key, name).text("  (by the dump's header)"),
        (Err(e), None) => line.field(key, crate::show::tasks::unknown("not known", e)),
    }
}

fn names(s: &Session, report: &mut Report) {
    let own = system::utsname(s);
    let header = s.opened().machine.image.dump.facts().utsname.clone();
    let part =
        |pick: fn(&system::Utsname) -> &String| own.as_ref().map(|n| pick(n).clone()).map_err(Clone::clone);
    report.line(name(
        "nodename",
        "NODENAME",
        &part(|n| &n.nodename),
        header.as_ref().map(|n| n.nodename.clone()),
    ));
    // every kernel has a release: an empty one is damaged
    let told = system::voted_release(s);
    if part(|n| &n.release).is_ok_and(|own| own.is_empty()) {
        report.warning(
            "sys: the kernel's own release (init_uts_ns) is empty: it is damaged, and another place tells it, where one does",
        );
    }
    // what opening could not decide and said, the log decides
    let words = told.and_then(kernel::Voted::words);
    if let Some(words) = words.filter(|words| !s.opened().machine.warnings.contains(words)) {
        report.warning(format!("sys: {words}"));
    }
    let release = match (system::release(s), part(|n| &n.release)) {
        (Some(release), _) => release.into(),
        (None, Err(e)) => crate::show::tasks::unknown("not known", &e),
        (None, Ok(_)) => Cell::absent("not known", "init_uts_ns.name.release is empty"),
    };
    report.line(label("RELEASE").field("release", release));
    let told = system::voted_version(s);
    if let Some(words) = told.and_then(kernel::Voted::words) {
        report.warning(format!("sys: {words}"));
    }
    let own = part(|n| &n.version);
    report.line(match told.filter(|told| own.as_ref().is_ok_and(|own| *own != told.release)) {
        Some(told) => label("VERSION").field("version", told.release.clone()),
        None => name("version", "VERSION", &own, header.map(|n| n.version)),
    });
    // the machine is known, whatever is damaged in its name: the kernel's code would not be read else
    let mut line = label("MACHINE").field("machine", s.arch().name());
    line = match system::cpu_khz(s) {
        Some(khz) => line.text("  (").field("mhz", khz / 1000).text(" Mhz)"),
        None => {
            report.hidden(
                "mhz",
                Cell::absent("not known", "no symbol of this kernel leads to the clock rate of its CPUs"),
            );
            line.text("  (unknown Mhz)")
        }
    };
    report.line(line);
}

/// What it died of: the root cause, then what the panic was called with; crash tells the final panic alone, where there was one.
fn died(s: &Session, panic_alone: bool, report: &mut Report) {
    let log = match s.log() {
        Ok(log) => log,
        Err(e) => {
            let gone = || crate::show::tasks::unknown("log not readable", e);
            report.line(label("PANIC").field("cause", gone()));
            report.hidden("panic", gone());
            return;
        }
    };
    let text = s.panic_text();
    let quoted = |line: Line, key: &'static str, text: &str| {
        line.text("\"").field(key, text.to_owned()).role(Role::Strong).text("\"")
    };
    if text.is_later {
        return first_known(text, log, report);
    }
    match (&text.cause, &text.panic) {
        (Some(_), Some(panic)) if panic_alone => report.line(quoted(label("PANIC"), "panic", panic)),
        (Some(cause), Some(panic)) if cause != panic => {
            report.line(quoted(label("PANIC"), "cause", cause));
            report.line(quoted(Line::of(" ".repeat(14)), "panic", panic));
        }
        (Some(only), panic) | (None, panic @ Some(only)) => {
            report.line(quoted(label("PANIC"), "cause", only));
            match (panic, &log.stopped) {
                (Some(panic), _) => report.hidden("panic", panic.clone()),
                (None, Some(why)) => {
                    report.hidden("panic", Cell::absent("not known", why.to_string()).lost_if(true))
                }
                (None, None) => {}
            }
        }
        (None, None) => report.line(label("PANIC").text("(none: the log has no oops and no panic)")),
    }
}

/// Why it died, where a part of the log is lost that may have had the cause.
fn first_known(text: &system::PanicText, log: &kernel::log::printk::Log, report: &mut Report) {
    let why = log.stopped.as_ref().map(ToString::to_string).unwrap_or_default();
    report.hidden("cause", Cell::absent("not known", why.clone()).lost_if(true));
    match text.cause.as_ref().or(text.panic.as_ref()) {
        Some(first) => {
            let line =
                label("PANIC").text("\"").field("first_known_message", first.clone()).role(Role::Strong);
            report.line(line.text("\" (the first that is known: a part of the log is not readable)"));
        }
        None => report.line(label("PANIC").text("(not known: a part of the log is not readable)")),
    }
    match &text.panic {
        // where a text ends is not known of one that lies in memory alone
        _ if log.as_text => report.hidden("panic", Cell::absent("not known", why)),
        Some(panic) if text.cause.is_some() && text.cause.as_ref() != Some(panic) => {
            let line = Line::of(" ".repeat(14)).text("\"").field("panic", panic.clone()).role(Role::Strong);
            report.line(line.text("\""));
        }
        Some(panic) => report.hidden("panic", panic.clone()),
        None => report.hidden("panic", Cell::absent("not known", why)),
    }
}

fn tainted(s: &Session) -> Result<Report, CommandError> {
    let mask = taint::mask(s).map_err(CommandError::failed)?;
    let mut report = Report::new("sys");
    let line = Line::new().text("TAINTED_MASK: ").field("tainted_mask", Cell::hex_digits(mask, 0)).text("  ");
    report.line(line.field("letters", taint::letters(mask)));
    let set = (0..64).filter(|bit| mask >> bit & 1 == 1);
    let rows = set.map(|bit| {
        let known = taint::FLAGS.iter().find(|(n, ..)| *n == bit);
        let (letter, why) = known.map_or(('?', "not known here"), |(_, letter, why)| (*letter, *why));
        let line =
            Line::new().text("  ").field("letter", letter.to_string()).text("  ").field("meaning", why);
        let mut row = Record::of(line);
        row.hidden("bit", bit);
        row
    });
    report.list("flags", rows.collect());
    live_patches(s, &mut report);
    let of = |patch: &LivePatch| patch.functions.iter().map(|f| replaced(s, patch, f)).collect::<Vec<_>>();
    report.list("replaced", s.live_patches().all.iter().flat_map(of).collect());
    Ok(report)
}

/// Whether functions of the kernel were replaced while it ran: by the kernel's own means, or those of kpatch before.
/// What is loaded shows it also where the mask of taints cannot be read.
fn is_live_patched<'e>(
    s: &Session,
    mask: Result<&u64, &'e kernel::KernelError>,
) -> Result<bool, &'e kernel::KernelError> {
    let is_loaded = !s.live_patches().all.is_empty() || s.modules().iter().any(|m| m.name == "kpatch");
    if is_loaded { Ok(true) } else { mask.map(|mask| taint::is_live_patched(*mask)) }
}

/// A change to a live patch, or from it, that is under way; the answers differ by task then.
fn live_patches(s: &Session, report: &mut Report) {
    if let Some(change) = &s.live_patches().transition {
        let to = match change.to_new {
            Some(true) => "tasks change to its functions",
            Some(false) => "tasks change back to the old functions",
            None => "tasks change, which way is not known",
        };
        let mut line =
            label("LIVE PATCH").field("changing", change.name.clone()).text("  (").field("change", to);
        if let Some((yet, all)) = s.yet_to_change() {
            line = line.text(": ").field("yet_to_change", yet).text(" of ").field("tasks_in_all", all);
            line = line.text(" have yet to");
        }
        report.line(line.text(")"));
    }
    if let Some(why) = &s.live_patches().problem {
        report.lacking(why.is_loss(), format!("sys: the list of live patches is not whole: {why}"));
    }
}

/// `  live patch fix42: cmdline_proc_show replaced by livepatch_cmdline_proc_show`
fn replaced(s: &Session, patch: &LivePatch, function: &Replacement) -> Record {
    let line = Line::new().text("  live patch ").field("patch", patch.name.clone());
    let line = if patch.enabled == Some(false) { line.text(" (out of effect)") } else { line };
    let line = line.text(": ").field("old", function.old_name.clone());
    let line = match &function.object {
        Some(module) => line.text(" [").field("object", module.clone()).text("]"),
        None => line,
    };
    if function.new.is_null() {
        return Record::of(line.text(" as it was before"));
    }
    let new = s.locate(function.new).map(|l| Cell::symbol(l.symbol.name, l.offset));
    Record::of(line.text(" replaced by ").field("new", new.unwrap_or(Cell::Addr(function.new.0))))
}

fn strings(s: &Session) -> Result<Report, CommandError> {
    let mut report = Report::new("sys");
    let found = dmi::strings(s).map_err(CommandError::failed)?;
    if found.is_empty() {
        report.info("sys: the kernel found no DMI strings");
    }
    let row = |(name, text): (String, String)| {
        Record::of(Line::new().field("name", name).right(25).text(": ").field("text", text))
    };
    report.list("dmi", found.into_iter().map(row).collect());
    Ok(report)
}

fn configuration(s: &Session) -> Result<Report, CommandError> {
    let module = s.modules().iter().any(|m| m.name == "configs");
    let text = ikconfig::config(s).map_err(|e| match e {
        kernel::KernelError::NoSymbol(_) if module => {
            CommandError::failed("kernel_config_data is in module configs, which is not read")
        }
        kernel::KernelError::NoSymbol(_) => CommandError::failed(
            "kernel_config_data does not exist in this kernel (CONFIG_IKCONFIG is not built in; see \
             /boot/config of the release)",
        ),
        e => CommandError::failed(e),
    })?;
    let mut report = Report::new("sys");
    let row = |line: &str| Record::of(Line::new().field("line", line.to_owned()));
    report.list("config", text.lines().map(row).collect());
    Ok(report)
}

/// The folder that the kernel was built in, told by a file whose place in it is known.
fn source_root(s: &Session) -> Option<String> {
    let file = s.source_line(s.symbol("start_kernel")?)?.file;
    file.strip_suffix("init/main.c").filter(|root| !root.is_empty()).map(str::to_owned)
}

fn calls(cx: &Cx<'_>, s: &Session, which: &str) -> Result<Report, CommandError> {
    let table = syscalls::table(s).map_err(CommandError::failed)?;
    let number = if cx.settings.radix == 16 { crate::engine::number::hex(which) } else { which.parse().ok() };
    let mut report = Report::new("sys");
    let mut rows = Vec::new();
    let root = source_root(s);
    for (n, function) in (0_u64..).zip(&table) {
        let name = s.locate(*function).map_or_else(String::new, |l| l.symbol.name.to_owned());
        let wanted = match number {
            Some(number) => number == n,
            None => name.contains(which),
        };
        if !wanted {
            continue;
        }
        let shown = if cx.settings.radix == 16 { format!("{n:x}") } else { n.to_string() };
        let mut line =
            Line::new().field("number", Cell::Shown(Box::new(n.into()), shown)).right(3).text("  ");
        line = line.field("name", name);
        if let Some(at) = s.source_line(*function).filter(|at| at.line != 0) {
            let inside = root.as_ref().and_then(|root| at.file.strip_prefix(root.as_str()));
            let file = inside.map_or_else(|| at.file.to_string(), |file| format!("../{file}"));
            line = line.left(26).text(" ").field("file", format!("{file}: {}", at.line)).role(Role::Path);
        }
        let mut row = Record::of(line);
        row.hidden("address", *function);
        rows.push(row);
    }
    if rows.is_empty() && !table.is_empty() {
        report.error(format!("sys: no system call of this name or number: {which}"));
    }
    if let Some(why) = &s.kernel_symbols().problem {
        let text = format!("sys: calls whose names are lost are not shown: {why}");
        report.lacking(s.kernel_symbols().is_lost, text);
    }
    if table.is_empty() {
        report.warning("sys: sys_call_table has no entry that is a function");
    } else if !rows.is_empty() {
        report.line(Line::heading("NUM  SYSTEM CALL                FILE AND LINE NUMBER"));
    }
    report.list("calls", rows);
    Ok(report)
}
