//! Cuts a report out of a console's text: from the line that begins it, without what other tasks and CPUs wrote in between where
//! the lines say who wrote them.

use super::table::{Oops, Table, any};
use regex_lite::Regex;
use std::sync::LazyLock;

/// Where a report begins.
pub(super) struct Found<'t> {
    pub(super) oops: &'t Oops,
    pub(super) start: usize,
    context: String,
}

/// The text of a report.
pub(super) struct Cut {
    pub(super) text: String,
    /// Where another report begins.
    end: usize,
}

impl Cut {
    /// Without a report that follows it.
    pub(super) fn until_next(&self) -> &str {
        self.text.get(..self.end).unwrap_or(&self.text)
    }
}

/// A line that has a time and no writer.
const CONSOLE: &str = "console";

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($text).ok());
    };
}

pattern!(
    PREFIX,
    r"^(?:\*\* [0-9]+ printk messages dropped \*\* )?(?:.* login: )?(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]+\](\[ *(?:C|T)[0-9]+\])? "
);
pattern!(CPU, r"\[ *C[0-9]+\]");
pattern!(QUESTIONABLE, r"(\[<[0-9a-f]+>\])? \? ");

fn is_in(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// Lines that begin no report where one has begun.
const WITHIN: &[&str] = &[
    "invalid opcode: 0000",
    "Kernel panic - not syncing",
    "unregister_netdevice: waiting for",
    "PANIC: double fault",
    "Internal error:",
];

/// Messages that have a stack and are no report.
const WITH_STACK: &[&str] =
    &["vmalloc: allocation failure:", "FAULT_INJECTION: forcing a failure", "FAULT_FLAG_ALLOW_RETRY missing"];

/// The lines of a text with their places; one without a newline behind it is one too.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0_usize, |at, line| {
        let start = *at;
        *at = at.saturating_add(line.len());
        Some((start, line.strip_suffix('\n').unwrap_or(line)))
    })
}

/// The first line that begins a report.
pub(super) fn first<'t>(console: &str, table: &'t Table) -> Option<Found<'t>> {
    lines(console).find_map(|(start, line)| {
        let oops = table.oopses.iter().find(|oops| oops.begins(line))?;
        let after = start.saturating_add(line.len());
        (!is_replayed(console, after)).then(|| Found { oops, start, context: context(line) })
    })
}

/// True where the console begins again in the middle of a line.
fn is_replayed(console: &str, after: usize) -> bool {
    let next =
        console.get(after..).and_then(|rest| rest.strip_prefix('\n')).and_then(|rest| rest.lines().next());
    next.is_some_and(|line| line.contains("** replaying previous printk message **"))
}

/// Who wrote a line: a task or a CPU where the kernel tells it.
fn context(line: &str) -> String {
    let found = PREFIX.as_ref().and_then(|regex| regex.captures(line));
    match found {
        None => String::new(),
        Some(found) => found.get(1).map_or(CONSOLE, |who| who.as_str()).to_owned(),
    }
}

/// A line without its time, and whether it is a frame that the kernel does not vouch for.
fn stripped<'l>(line: &'l str, context: &str) -> (&'l str, bool) {
    if context.is_empty() {
        return (line, false);
    }
    let line = line.split_once("] ").map_or(line, |(_, rest)| rest);
    if !line.contains("<EOI>") {
        if is_in(&QUESTIONABLE, line) {
            let rest = line.find(" ? ").and_then(|at| line.get(at.saturating_add(2)..));
            return (rest.unwrap_or(line), true);
        }
        if let Some(rest) = line.strip_suffix(" (unreliable)") {
            return (rest, true);
        }
    }
    (line, false)
}

/// A report with fewer lines than this keeps the panic that follows it.
fn min_lines(oops_line: &str) -> usize {
    if oops_line.contains("BUG: KMSAN:") { 16 } else { 22 }
}

/// Cuts out the report.
pub(super) fn cut(console: &str, found: &Found<'_>, table: &Table) -> Cut {
    let mut out = Cut { text: String::new(), end: 0 };
    let (mut second, mut count, mut skips, mut all_cpus) = (false, 0_usize, false, false);
    let mut first_line = "";
    for (at, line) in lines(console).skip_while(|(at, _)| *at < found.start) {
        let is_first = at == found.start;
        if is_first {
            first_line = line;
        } else {
            second |= begins_another(console, at, line, table);
        }
        let context = context(line);
        let (shown, questionable) = stripped(line, &context);
        let is_other = context != found.context && !(all_cpus && is_in(&CPU, &context));
        if !is_first && (questionable || is_other) {
            continue;
        }
        count = count.saturating_add(1);
        let mut skip = skips;
        if line.contains("Disabling lock debugging due to kernel taint") {
            skip = true;
        } else if line.contains("Sending NMI from CPU") {
            all_cpus = true;
        } else if ["Kernel panic - not syncing", "WARNING: possible circular locking dependency detected"]
            .iter()
            .any(|start| line.contains(start))
            && count > min_lines(first_line)
        {
            (skips, skip) = (true, true);
        }
        if skip && !is_first {
            continue;
        }
        out.text.push_str(shown);
        out.text.push('\n');
        if !second || !found.context.is_empty() && found.context != CONSOLE {
            out.end = out.text.len();
        }
    }
    out
}

/// True for a line that begins another report, or a message with a stack.
fn begins_another(console: &str, at: usize, line: &str, table: &Table) -> bool {
    let after = at.saturating_add(line.len());
    let begins = || table.oopses.iter().any(|oops| oops.begins(line));
    if WITH_STACK.iter().any(|text| line.contains(text)) {
        return true;
    }
    begins() && !is_replayed(console, after) && !WITHIN.iter().any(|text| line.contains(text))
}

/// True where a stack trace begins in a line.
pub(super) fn starts_stack(line: &str, table: &Table) -> bool {
    any(&table.stack_starts, line)
}
