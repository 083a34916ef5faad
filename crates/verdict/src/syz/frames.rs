//! The frames by which a report is named: stacks are gone through step by step, and functions that are only in the way (locks,
//! allocators, checkers, reports) are left out.

use super::table::{Chosen, Part, Stack, Table, any};
use super::text::starts_stack;
use regex_lite::Captures;

/// Stands for a frame that was not found.
pub(super) const CORRUPTED: &str = "corrupted";

/// The frames to name; `None` beside them where one is missing or the text is mixed with another's.
pub(super) fn named(text: &str, stack: &Stack, table: &Table) -> (Vec<String>, bool) {
    let found = Search::new(text, stack, table).run(&stack.parts);
    if found.1 || stack.parts2.is_empty() {
        return found;
    }
    Search::new(text, stack, table).run(&stack.parts2)
}

struct Search<'a> {
    lines: Vec<&'a str>,
    next: usize,
    stack: &'a Stack,
    table: &'a Table,
    frames: Vec<String>,
    is_whole: bool,
}

impl<'a> Search<'a> {
    fn new(text: &'a str, stack: &'a Stack, table: &'a Table) -> Self {
        Self { lines: text.split('\n').collect(), next: 0, stack, table, frames: Vec::new(), is_whole: true }
    }

    fn line(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next).copied();
        self.next = self.next.saturating_add(1);
        line
    }

    fn run(mut self, parts: &[Part]) -> (Vec<String>, bool) {
        let mut out = Vec::new();
        let (mut at, mut traces) = (0_usize, 0_usize);
        loop {
            let part = parts.get(at);
            if part.is_none() || matches!(part, Some(Part::Trace)) && traces > 0 {
                let frame = self.choose().unwrap_or_else(|| {
                    self.is_whole = false;
                    CORRUPTED.to_owned()
                });
                out.push(frame);
                self.frames.clear();
            }
            match part {
                None => return (out, self.is_whole),
                Some(Part::Trace) => {
                    traces = traces.saturating_add(1);
                    // the line that begins the next step can end this one
                    if self.trace(parts.get(at.saturating_add(1))) {
                        at = at.saturating_add(1);
                    }
                }
                Some(Part::Line(pattern)) => {
                    while let Some(line) = self.line() {
                        if any(&self.table.corrupted_lines, line) {
                            self.is_whole = false;
                            break;
                        }
                        if let Some(found) = pattern.get().and_then(|regex| regex.captures(line)) {
                            self.add(&found);
                            break;
                        }
                    }
                }
            }
            at = at.saturating_add(1);
        }
    }

    /// Reads a stack trace; true where `after` was found behind it.
    fn trace(&mut self, after: Option<&Part>) -> bool {
        while let Some(line) = self.line() {
            if any(&self.table.corrupted_lines, line) {
                self.is_whole = false;
                return false;
            }
            if starts_stack(line, self.table) {
                return false;
            }
            if let Some(Part::Line(pattern)) = after
                && let Some(found) = pattern.get().and_then(|regex| regex.captures(line))
            {
                self.add(&found);
                return true;
            }
            let patterns = self.table.frames.iter().filter_map(|pattern| pattern.get());
            if let Some(found) = patterns.into_iter().find_map(|regex| regex.captures(line)) {
                self.add(&found);
            }
        }
        false
    }

    fn add(&mut self, found: &Captures<'_>) {
        for frame in (1..found.len()).filter_map(|n| found.get(n)) {
            // Rust's names are coded
            let frame = format!("{:#}", rustc_demangle::demangle(frame.as_str()));
            if !self.stack.skip.is_in(&frame) {
                self.frames.push(frame);
            }
        }
    }

    fn choose(&self) -> Option<String> {
        let frames: Vec<&str> = self.frames.iter().map(|frame| without_prefix(frame, self.table)).collect();
        let frame = match self.stack.chosen {
            Chosen::First => frames.first().copied(),
            Chosen::Stall => of_stall(&frames, self.table),
            Chosen::Hang => of_hang(&frames),
        };
        frame.map(str::to_owned)
    }
}

/// System calls have other prefixes on each machine.
fn without_prefix<'f>(frame: &'f str, table: &Table) -> &'f str {
    let without = table.prefixes.iter().filter_map(|prefix| frame.strip_prefix(prefix.as_str()));
    without.min_by_key(|rest| rest.len()).unwrap_or(frame)
}

/// A loop is found in any function that it calls: what dispatched it has called the one that is named.
fn of_stall<'f>(frames: &[&'f str], table: &Table) -> Option<&'f str> {
    let mut before = *frames.first()?;
    for frame in frames {
        if any(&table.stall_anchors, frame) {
            return Some(if frame.contains("smp_call_function") { "smp_call_function" } else { before });
        }
        before = frame;
    }
    None
}

/// A task that hangs is a victim; waits for RCU and for the network's lock are each one.
fn of_hang<'f>(frames: &[&'f str]) -> Option<&'f str> {
    const RCU: &[&str] = &["synchronize_rcu", "synchronize_srcu", "synchronize_net", "synchronize_sched"];
    const SKIPPED: &[&str] = &[
        "sched",
        "_lock",
        "_slowlock",
        "down",
        "rwsem",
        "completion",
        "kthread",
        "wait",
        "synchronize",
        "context_switch",
        "__switch_to",
        "cancel_delayed_work",
        "rcu_barrier",
    ];
    let anchor = frames.iter().find_map(|frame| match frame {
        frame if RCU.iter().any(|name| frame.contains(name)) => Some("synchronize_rcu"),
        frame if frame.contains("rtnl_lock") => Some(*frame),
        _ => None,
    });
    anchor.or_else(|| frames.iter().find(|frame| !SKIPPED.iter().any(|skip| frame.contains(skip))).copied())
}
