//! `log`: the kernel's log buffer.

use crate::{CommandError, Cx, Example, Layer, Run};
use kernel::Fetch;
use kernel::Session;
use kernel::log::printk::{self, LogRecord, SafeBuffer};
use kernel::machine::system;
use report::{Cell, Keep, Line, Record, Report, Role};
use std::borrow::Cow;

/// `log`.
#[derive(Debug)]
pub(crate) struct Log;

/// What stands before each message.
#[derive(Clone, Copy, Default)]
struct Shape {
    no_time: bool,
    human: bool,
    level: bool,
    caller: bool,
    dict: bool,
    rust: bool,
}

/// The arguments of `log`.
#[derive(clap::Args)]
pub(crate) struct LogArgs {
    /// Show the date and time of each message, as far as the boot time tells
    #[arg(short = 'T')]
    human: bool,
    /// Leave out the time
    #[arg(short = 't')]
    no_time: bool,
    /// Show the dictionary of each message: SUBSYSTEM=, DEVICE=
    #[arg(short = 'd')]
    dict: bool,
    /// Show the level of each message
    #[arg(short = 'm')]
    level: bool,
    /// Show the audit messages that no daemon has taken yet
    #[arg(short = 'a')]
    audit: bool,
    /// Show the per-CPU buffers of printk in NMI context
    #[arg(short = 's')]
    safe: bool,
    /// Show the thread or CPU that logged
    #[arg(short = 'c')]
    caller: bool,
    /// Show the names of Rust functions readably
    #[arg(short = 'R')]
    rust: bool,
}

impl Run for Log {
    type Args = LogArgs;
    fn name(&self) -> &'static str {
        "log"
    }
    fn about(&self) -> &'static str {
        "dump system message buffer"
    }
    fn details(&self) -> &'static str {
        "Shows the kernel's messages from the dump's log buffer, oldest first. A message of several lines is \
         indented below its first. Messages that were still in the per-CPU buffers of printk in NMI context come \
         last, with the buffer's name."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("log", "all messages"),
                Example::new("log -T", "with date and time"),
                Example::new("log -m", "with their levels"),
                Example::new("log -td", "without time, with their dictionaries"),
                Example::new("log -a", "audit messages"),
            ]
        }
    }
    fn needs(&self, _args: &LogArgs) -> Layer {
        Layer::Image
    }
    fn reads_log(&self, args: &LogArgs) -> bool {
        !args.audit && !args.safe
    }
    fn run(&self, cx: &mut Cx<'_>, args: &LogArgs) -> Result<Report, CommandError> {
        let s = match cx.session() {
            Ok(s) => s,
            Err(e @ CommandError::Cancelled(_)) => return Err(e),
            Err(e) => return text_alone(cx, args, e),
        };
        if args.audit {
            return audit(s);
        }
        if args.safe {
            return Ok(safe(s));
        }
        let shape = Shape {
            no_time: args.no_time,
            human: args.human,
            level: args.level,
            caller: args.caller,
            dict: args.dict,
            rust: args.rust,
        };
        messages(s, shape)
    }
}

/// The messages of a machine in which no kernel is found, or that is not read: as text, where memory has them.
fn text_alone(cx: &Cx<'_>, args: &LogArgs, why: CommandError) -> Result<Report, CommandError> {
    let log = if args.audit || args.safe { None } else { cx.log_in_memory()? };
    let Some(log) = log else { return Err(why) };
    let shape = Shape { no_time: true, ..Shape::default() };
    let mut report = Report::new("log");
    report.list("messages", log.records.iter().map(|r| message(r, shape, None)).collect());
    report.lacking(
        cx.is_session_lost(),
        format!("log: these are the messages' texts as they lie in memory, without their times: {why}"),
    );
    if log.hole == Some(0) {
        report.warning(
            "log: the first messages of the boot are not there: the buffer was written over, or cut",
        );
    }
    Ok(report)
}

fn messages(s: &Session, shape: Shape) -> Result<Report, CommandError> {
    let log = s.log().map_err(CommandError::failed)?;
    let mut report = Report::new("log");
    let boot = if shape.human { boot_time(s, &mut report) } else { None };
    let rows = log.records.iter().map(|r| message(r, shape, boot)).collect();
    report.list("messages", rows);
    let mut late = Vec::new();
    let (buffers, problem) = if s.is_log() { (Vec::new(), None) } else { printk::safe_buffers(s) };
    for buffer in buffers {
        for line in buffer.text.lines() {
            let name = Line::new().text("[").field("buffer", buffer.name).text("] ");
            let mut row = Record::of(name.field("text", line.to_owned()).keep(Keep::Tabs));
            row.hidden("cpu", buffer.cpu);
            late.push(row);
        }
    }
    if let Some(e) = problem {
        report.lacking(e.is_loss(), format!("log: a per-CPU buffer of printk could not be read: {e}"));
    }
    if !late.is_empty() {
        report.list("unflushed", late);
    }
    if log.lost > 0 {
        report.info(format!(
            "log: {} records were overwritten or not complete when the machine stopped",
            log.lost
        ));
    }
    if log.reserved > 0 {
        report.warning(format!(
            "log: {} of these messages are marked as still being written (descriptor state 0, reserved): a CPU stopped in \
             printk, or the descriptors are damaged; their texts are whole",
            log.reserved
        ));
    }
    if log.as_text {
        report.warning(
            "log: its buffer could not be made out: these are the messages' texts as they lie in memory, and ? stands for \
             times that are not in them",
        );
    }
    if let Some((count, why)) = log.untimed.as_ref().filter(|_| !log.as_text) {
        report.missing(format!(
            "log: {count} messages are told by their texts as they lie in memory, without times and levels (?): {why}"
        ));
    }
    if let Some(why) = &log.doubt {
        report.warning(format!("log: the messages are those that the buffer's own entries name: {why}"));
    }
    if let Some(e) = &log.stopped {
        report.missing(format!("log: a part of the buffer could not be read: {e}"));
    }
    Ok(report)
}

/// Nanoseconds since 1970 at boot, by the clocks at the time of the dump.
fn boot_time(s: &Session, report: &mut Report) -> Option<i64> {
    match system::clocks(s) {
        Ok(c) => Some(c.wall_sec.saturating_sub(c.uptime_sec)),
        Err(e) => {
            report.lacking(e.is_loss(), format!("log: no date: {e}; time since boot shown"));
            None
        }
    }
}

/// Seconds since boot, as the kernel prints them.
fn seconds(nsec: Option<u64>) -> Cell {
    let Some(nsec) = nsec else {
        let reason = "where a time would stand beside this message, there is none".to_owned();
        return Cell::Absent { short: format!("{:>12}", "?").into(), reason, lost: false };
    };
    let (sec, micros) = (nsec / 1_000_000_000, nsec % 1_000_000_000 / 1000);
    Cell::Shown(Box::new(Cell::Float(nsec as f64 / 1e9, 6)), format!("{sec:5}.{micros:06}"))
}

/// How a message of a level is coloured: errors, warnings, and what is only for debugging.
const fn role(level: Option<u8>) -> Role {
    match level {
        Some(0..=3) => Role::Error,
        Some(4) => Role::Warning,
        Some(7) => Role::Dim,
        _ => Role::Plain,
    }
}

/// A message's level as one digit.
fn level(r: &LogRecord) -> Cell {
    crate::show::tasks::known(r.level.map(|level| Cell::hex_digits(level.into(), 0)), NO_LEVEL)
}

/// The same as a number.
fn level_number(r: &LogRecord) -> Cell {
    crate::show::tasks::known(r.level, NO_LEVEL)
}

const NO_LEVEL: &str = "the message's level does not stand beside its text";

fn message(r: &LogRecord, shape: Shape, boot: Option<i64>) -> Record {
    let mut lead = Line::new();
    let date = boot.and_then(|boot| Some(boot.saturating_add((r.ts_nsec? / 1_000_000_000).cast_signed())));
    match date {
        _ if shape.no_time => {}
        Some(at) => lead = lead.text("[").field("date", crate::show::when::date(at)).text("] "),
        None => lead = lead.text("[").field("seconds", seconds(r.ts_nsec)).text("] "),
    }
    if shape.caller
        && let Some(id) = r.caller_id
    {
        let kind = if id >> 31 == 1 { 'C' } else { 'T' };
        lead = lead.text("[").field("caller", format!("{kind}{}", id & 0x7fff_ffff)).right(6).text("] ");
    }
    if shape.level {
        lead = lead.text("<").field("level", level(r)).text(">");
    }
    let indent = lead.to_string().chars().count();
    let text = if shape.rust { Cow::Owned(demangled(&r.text)) } else { Cow::Borrowed(r.text.as_str()) };
    let mut lines = text.split('\n');
    let mut row = Record::new();
    let role = role(r.level);
    row.line(lead.field("text", lines.next().unwrap_or("").to_owned()).keep(Keep::Tabs).role(role));
    let below = || Line::new().text(" ".repeat(indent));
    let rest: Vec<Record> =
        lines.map(|l| Record::of(below().field("text", l.to_owned()).keep(Keep::Tabs).role(role))).collect();
    if !rest.is_empty() {
        row.list("more", rest);
    }
    if shape.dict && !r.dict.is_empty() {
        let one = |d: &String| Record::of(below().field("entry", d.clone()));
        row.list("dictionary", r.dict.iter().map(one).collect());
    }
    if !shape.level {
        row.hidden("level", level_number(r));
    }
    row.hidden(
        "sequence",
        crate::show::tasks::known(r.seq, "the message's number does not stand beside its text"),
    );
    if date.is_some() && !shape.no_time {
        row.hidden("seconds", seconds(r.ts_nsec));
    } else if shape.human && !shape.no_time {
        row.hidden(
            "date",
            Cell::absent("not known", "the clock, or this message's time, is not in the dump"),
        );
    }
    row
}

/// Mangled names of Rust (`_R…`, `_ZN…17h<hash>E`) within a text, readable.
fn demangled(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (before, word_on) = rest.split_at_checked(start).unwrap_or((rest, ""));
        let end = word_on.find(|c| !is_word(c)).unwrap_or(word_on.len());
        let (word, after) = word_on.split_at_checked(end).unwrap_or((word_on, ""));
        out.push_str(before);
        match rustc_demangle::try_demangle(word) {
            Ok(name) => out.push_str(&format!("{name:#}")),
            Err(_) => out.push_str(word),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn safe(s: &Session) -> Report {
    let mut report = Report::new("log");
    let (buffers, problem) = printk::safe_buffers(s);
    if let Some(e) = &problem {
        report.lacking(e.is_loss(), format!("log: a per-CPU buffer of printk could not be read: {e}"));
    } else if buffers.is_empty() {
        report.info("log: this kernel has no per-CPU buffers of printk: all messages are in the log itself");
    }
    let mut name = "";
    let mut rows = Vec::new();
    for buffer in &buffers {
        rows.push(safe_row(buffer, buffer.name != name));
        name = buffer.name;
    }
    report.list("buffers", rows);
    report
}

/// A buffer, below its name where it is the first of that name.
fn safe_row(buffer: &SafeBuffer, first: bool) -> Record {
    let mut row = Record::new();
    if first {
        row.line(Line::new().text("PRINTK_SAFE_SEQ_BUF: ").field("buffer", buffer.name));
    }
    let lost =
        crate::show::tasks::known(buffer.lost.clone().ok().map(i64::from), "the counter is not in the dump");
    let line = Line::new().text("CPU: ").field("cpu", buffer.cpu);
    let line = line.text("  ADDR: ").field("address", Cell::Addr(buffer.at.0)).zeros(16);
    let line = line.text(" LEN: ").field("len", buffer.text.len());
    row.line(line.text("  MESSAGE_LOST: ").field("message_lost", lost));
    if buffer.text.is_empty() {
        row.text("  (empty)");
    }
    let line = |l: &str| Record::of(Line::new().text("  ").field("text", l.to_owned()).keep(Keep::Tabs));
    row.list("lines", buffer.text.lines().map(line).collect());
    row.blank();
    row
}

fn audit(s: &Session) -> Result<Report, CommandError> {
    let mut report = Report::new("log");
    let messages = kernel::log::audit::messages(s);
    let Some(found) = messages.found else {
        let none = || "this kernel has no audit queues (CONFIG_AUDIT)".to_owned();
        let why = messages.problems.first().map_or_else(none, ToString::to_string);
        return Err(CommandError::failed(why));
    };
    for e in &messages.problems {
        report.lacking(e.is_loss(), format!("log: {e}"));
    }
    if found.is_empty() {
        report.text("log: kernel audit log is empty");
    }
    let row = |m: &kernel::log::audit::AuditMessage| {
        Record::of(Line::new().text("type=").field("type", m.kind).text(" ").field("text", m.text.clone()))
    };
    report.list("audit", found.iter().map(row).collect());
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> LogRecord {
        LogRecord {
            seq: Some(1),
            ts_nsec: Some(1_281_339_000),
            level: Some(5),
            facility: 0,
            flags: 0,
            caller_id: Some(0x8000_0001),
            text: text.to_owned(),
            dict: vec!["SUBSYSTEM=acpi".into()],
        }
    }
    fn text(r: &LogRecord, shape: Shape) -> String {
        let mut out = Vec::new();
        fn walk(r: &Record, out: &mut Vec<String>) {
            for item in &r.items {
                match item {
                    report::Item::Line(l) => out.push(l.to_string()),
                    report::Item::List(l) => l.items.iter().for_each(|r| walk(r, out)),
                    _ => {}
                }
            }
        }
        walk(&message(r, shape, None), &mut out);
        out.join("\n")
    }

    #[test]
    fn what_follows_the_first_line_is_indented_below_it() {
        let got = text(&record("a\nb"), Shape { dict: true, ..Shape::default() });
        assert_eq!(got, "[    1.281339] a\n               b\n               SUBSYSTEM=acpi");
        let all = Shape { level: true, caller: true, ..Shape::default() };
        assert_eq!(text(&record("x\u{1b}[1m"), all), "[    1.281339] [    C1] <5>x\\x1b[1m");
        assert_eq!(text(&record("x"), Shape { no_time: true, ..Shape::default() }), "x");
    }

    #[test]
    fn a_message_without_a_time_has_none() {
        let r = LogRecord { ts_nsec: None, ..record("x") };
        assert_eq!(text(&r, Shape::default()), "[           ?] x");
        let mut lines = Vec::new();
        for boot in [None, Some(1_700_000_000)] {
            let row = message(&r, Shape { human: true, ..Shape::default() }, boot);
            lines.extend(row.items.iter().filter_map(|item| match item {
                report::Item::Line(line) => Some(line.to_string()),
                _ => None,
            }));
        }
        assert_eq!(lines, ["[           ?] x", "[           ?] x"]);
    }

    #[test]
    fn per_cpu_buffers_stand_below_their_name() {
        let buffer = |text: &str| SafeBuffer {
            cpu: 1,
            name: "nmi_print_seq",
            at: base::VirtAddr(0xffff_8880_0022_0260),
            lost: Ok(2),
            text: text.to_owned(),
        };
        let lines = |row: &Record| -> Vec<String> {
            let all = row.items.iter().filter_map(|item| match item {
                report::Item::Line(line) => Some(line.to_string()),
                report::Item::List(list) => list.items.first().map(|row| match row.items.first() {
                    Some(report::Item::Line(line)) => line.to_string(),
                    _ => String::new(),
                }),
                _ => None,
            });
            all.collect()
        };
        let head = "CPU: 1  ADDR: ffff888000220260 LEN: 0  MESSAGE_LOST: 2";
        let wanted = ["PRINTK_SAFE_SEQ_BUF: nmi_print_seq", head, "  (empty)"];
        assert_eq!(lines(&safe_row(&buffer(""), true)), wanted);
        assert_eq!(lines(&safe_row(&buffer("oops"), false)).last().unwrap(), "  oops");
    }

    #[test]
    fn rust_names_become_readable_and_nothing_else_changes() {
        let line = " _RNvNtCs1234_7mycrate3foo3bar+0x10/0x20 [m]";
        assert_eq!(demangled(line), " mycrate::foo::bar+0x10/0x20 [m]");
        assert_eq!(demangled(" ? console_unlock+0x9c/0x140 é"), " ? console_unlock+0x9c/0x140 é");
    }
}
