//! The reports of trouble in the kernel's log, and the one that the machine died of.
//!
//! `forms.rs` is the table of texts by which a report begins, with what each means; `oops.rs`, `stall.rs` and `lockdep.rs` read
//! what a report says; `which.rs` tells which report counts. Whoever tells why the machine died asks [`fatal`], or [`find`]
//! where there is a log and nothing else.
//!
//! **Invariant:** an event is what the kernel said. A message that the machine lives with is an event only where a panic
//! names it.

mod asserted;
mod class;
mod forms;
mod lockdep;
mod oops;
mod stall;
mod which;

#[cfg(test)]
mod tests;

pub use asserted::Asserted;
pub use class::Class;
pub use lockdep::{Listed, listed};
pub use oops::{Named, Oops, Said, Trace, Traced, Who, is_place};
pub(crate) use oops::{cpu_and_pid, functions, modules_linked, symbol, task_of};
pub use stall::Subject;
pub use which::{fatal, find};

pub use forms::panic_lines;
pub(crate) use forms::panic_words;
use forms::{Fate, bare, class_of, names_hardware, panic_class};
use rustc_hash::FxHashSet;

/// How many reports before the fatal one are kept, the last of them.
const MAX_EARLIER: usize = 6;

/// How the lines begin that follow the words of a report.
const REPORT_HEADERS: &[&str] = &["Modules linked in", "CPU: ", "Pid: "];

/// The event that the machine died of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its kind.
    pub class: Class,
    /// The message.
    pub line: String,
    /// Something dies of such a message, at the least its task; of others the machine dies only where it is told to.
    pub is_deadly: bool,
    /// What the oops that follows it says.
    pub oops: Oops,
    /// The message of the panic that followed.
    pub panic: Option<String>,
    /// What a warning said in words.
    pub message: Option<String>,
    /// The assertion that was printed right before it.
    pub asserted: Option<Asserted>,
    /// Whom the message says it is of.
    pub subject: Option<Subject>,
    /// Others of the same kind before it: the tasks that hang, the CPUs that are locked up.
    pub others: Vec<Subject>,
    /// Its line's number.
    pub at: usize,
    /// What the machine had lived with before.
    pub earlier: Vec<Earlier>,
    /// What it died of in the end, where it lived on after this.
    pub later: Option<(usize, String)>,
    /// The CPU and the task of that, where its report names them.
    pub later_of: Option<Who>,
}

/// A report that the machine survived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Earlier {
    /// Its line's number.
    pub at: usize,
    /// The message.
    pub line: String,
    /// True for an oops; the others are what the kernel merely told of.
    pub is_oops: bool,
    /// The CPU and the task that it names, where its message does not name them itself.
    pub who: Option<Who>,
}

/// A message that tells of trouble.
#[derive(Clone, Copy)]
struct Sign {
    at: usize,
    class: Class,
    fate: Fate,
}

/// The line that tells of the panic.
#[must_use]
pub fn panic_line(lines: &[&str]) -> Option<usize> {
    lines.iter().position(|l| panic_words(l).is_some())
}

/// The stalls that the log of a machine without a panic tells of, newest last: class, line number, subject.
#[must_use]
pub fn stalls(lines: &[&str]) -> Vec<(Class, usize, Option<Subject>)> {
    let of = |(n, line): (usize, &&str)| {
        let (class, _) = class_of(line).filter(|(class, _)| class.is_stall())?;
        Some((class, n, stall::subject(class, lines, n)))
    };
    lines.iter().enumerate().filter_map(of).collect()
}

/// What the log of a machine that lives tells of trouble, the last of it: line number, kind and message. Of an oops the first
/// message alone.
#[must_use]
pub fn reports(lines: &[&str]) -> Vec<(usize, Class, String)> {
    let mut out: Vec<(usize, Class, String)> = Vec::new();
    let mut known = FxHashSet::default();
    let mut oops_at = None;
    let signs = lines.iter().enumerate().filter_map(|(at, l)| class_of(l).map(|of| (at, l, of)));
    for (at, line, (class, fate)) in signs {
        if fate == Fate::Deadly
            && let Some(from) = oops_at.replace(at)
            && is_one_report(lines, from, at)
        {
            continue;
        }
        let mut line = line.trim().to_owned();
        if class == Class::LockMisuse
            && let Some(what) = lockdep::of(lines.get(at..).unwrap_or_default())
        {
            line = format!("{}: {what}", line.trim_end_matches('!'));
        }
        if known.insert(line.clone()) || fate == Fate::Deadly {
            out.push((at, class, line));
        }
    }
    let surplus = out.len().saturating_sub(MAX_EARLIER);
    out.drain(..surplus);
    out
}

struct Log<'l> {
    lines: &'l [&'l str],
    signs: &'l [Sign],
    panic_at: Option<usize>,
}

impl Event {
    /// True for the panic that an oops ends in, where the oops itself is not in the log.
    #[must_use]
    pub fn ends_an_oops(&self) -> bool {
        self.class == Class::Panic && panic_words(&self.line).and_then(panic_class) == Some(Class::Unknown)
    }
}

impl Event {
    /// The event with what only the panic's own report has, for who has nothing but the log: the task, and the stack of one that
    /// no instruction of its own tells of. The panic's taints are those of before without what the event itself set.
    #[must_use]
    pub fn with_ending(mut self, lines: &[&str]) -> Self {
        let Some(panic) = panic_line(lines).filter(|n| *n != self.at) else { return self };
        let ending = oops::read(lines, panic);
        let own = &mut self.oops;
        let is_of_panic = !self.class.has_instruction() && !self.class.is_stall();
        if !ending.calls.is_empty() && (own.calls.is_empty() || is_of_panic) {
            own.calls.clone_from(&ending.calls);
            (own.from_user, own.is_within) = (ending.from_user, ending.is_within);
        }
        if own.pid.is_none() && !self.class.is_stall() {
            (own.cpu, own.pid, own.comm) = (ending.cpu, ending.pid, ending.comm.clone());
        }
        own.hardware = own.hardware.take().or(ending.hardware);
        let is_own = |letter: char| self.class.sets_taint(letter) || letter == 'D' && self.is_deadly;
        let before = |letters: String| letters.chars().filter(|letter| !is_own(*letter)).collect();
        own.taints = own.taints.take().or(ending.taints.map(before));
        self
    }

    /// The event of tasks that hang, with the report of the first of them, for who has nothing but the log: a verdict is of
    /// that one.
    #[must_use]
    pub fn of_first(mut self, lines: &[&str]) -> Self {
        let Some(first) = self.others.first().filter(|_| self.class == Class::HungTask) else { return self };
        let is_own = |(class, _, of): &(Class, usize, Option<Subject>)| {
            *class == Class::HungTask && of.as_ref() == Some(first)
        };
        if let Some((_, n, _)) = stalls(lines).into_iter().find(is_own) {
            self.oops = oops::read(lines, n);
        }
        self
    }

    /// True where the panic says that a warning was made fatal.
    #[must_use]
    pub fn is_fatal_warning(&self) -> bool {
        self.panic.as_deref().and_then(panic_words).and_then(panic_class) == Some(Class::Warning)
    }
}

impl Log<'_> {
    fn line(&self, n: usize) -> String {
        self.lines.get(n).map(|l| l.trim().to_owned()).unwrap_or_default()
    }

    /// The message that a panic of `class` is the end of, with its own class: the last before it. The words of a fatal
    /// warning are those of other checkers as well.
    fn named(&self, class: Class) -> Option<(usize, Class)> {
        let is_checker = |of: Class| matches!(of, Class::Sanitizer | Class::Ubsan) && class == Class::Warning;
        let mut all = self.signs.iter().rev().filter(|s| s.class == class || is_checker(s.class)).peekable();
        let last = *all.peek()?;
        let says_what = |s: &&Sign| self.lines.get(s.at).is_some_and(|line| names_hardware(line));
        let best = all.find(|s| s.class != Class::MachineCheck || says_what(s));
        // details of a record say less than the panic
        let best = best.or_else(|| Some(last).filter(|_| class != Class::MachineCheck))?;
        Some((best.at, best.class))
    }

    /// An event by what the lines around its first say more tellingly than that does: the list that is corrupt of
    /// a `BUG()`, the counter of a warning, the request that a NULL dereference carries out.
    fn reported(&self, at: usize, class: Class) -> Event {
        match self.by_report(at) {
            Some((n, telling)) => {
                let mut event = self.event(at, telling);
                if n != at && telling != Class::Sysrq && telling != Class::StackOverflow {
                    event.line = self.line(n);
                }
                event
            }
            None => self.event(at, class),
        }
    }

    /// The line and the class that tell more.
    fn by_report(&self, at: usize) -> Option<(usize, Class)> {
        let class_at = |n: usize| self.lines.get(n).and_then(|l| class_of(l)).map(|(class, _)| class);
        let telling = |n: &usize| {
            matches!(
                class_at(*n),
                Some(Class::ListCorruption | Class::Refcount | Class::Overflow | Class::Cfi | Class::Ubsan)
            )
        };
        let own = class_at(at);
        if matches!(own, Some(Class::Bug | Class::Warning | Class::InvalidOpcode)) {
            let found = self.block(at).find(telling).or_else(|| {
                // 6.9: a warning with the words, and then the BUG() as a report of its own
                let fortify = self.lines.get(at).is_some_and(|l| l.contains("lib/string_helpers.c"));
                (at.saturating_sub(80)..at).rev().find(|n| fortify && class_at(*n) == Some(Class::Overflow))
            })?;
            return Some((found, class_at(found)?));
        }
        // until 4.9 an oops on a stack that had overrun said so in passing
        let faults = matches!(own, Some(Class::PageFault | Class::NullPointer | Class::DoubleFault));
        let overrun = self.block(at).find(|n| class_at(*n) == Some(Class::StackOverflow));
        if let Some(n) = overrun.filter(|_| faults) {
            return Some((n, Class::StackOverflow));
        }
        // sysrq-c was a NULL dereference until 5.0
        let asked = (at.saturating_sub(3)..at).find(|n| class_at(*n) == Some(Class::Sysrq))?;
        (own == Some(Class::NullPointer)).then_some((asked, Class::Sysrq))
    }

    /// The lines of a report around its first: from `[ cut here ]` to the modules.
    fn block(&self, at: usize) -> std::ops::Range<usize> {
        let mut start = at;
        for n in (at.saturating_sub(6)..at).rev() {
            let Some(line) = self.lines.get(n) else { break };
            if line.contains("[ cut here ]") {
                // a list's BUG() is told of in words before the line that begins the report
                start = n.saturating_sub(1);
                break;
            }
            if line.contains("end trace") {
                break;
            }
            if n + 3 >= at {
                start = n;
            }
        }
        let ends = |l: &&str| REPORT_HEADERS.iter().any(|e| l.trim_start().starts_with(e));
        let more = self.lines.iter().skip(at + 1).take(8).position(ends).unwrap_or(2);
        start..self.lines.len().min(at.saturating_add(1).saturating_add(more))
    }

    fn event(&self, at: usize, class: Class) -> Event {
        let mut oops = oops::read(self.lines, at);
        if oops.rip.is_none() && oops.wild.is_none() && class == Class::StackProtector {
            oops.rip = oops.said.function.clone();
        }
        let panic = self.panic_at.map(|n| self.line(n));
        let mut event = Event {
            class,
            line: self.line(at),
            is_deadly: self.signs.iter().any(|s| s.at == at && s.fate == Fate::Deadly),
            oops,
            panic,
            message: self.message(at),
            asserted: None,
            subject: stall::subject(class, self.lines, at),
            others: Vec::new(),
            at,
            earlier: Vec::new(),
            later: self.later(at, class),
            later_of: None,
        };
        let another = event.later.as_ref().filter(|(_, line)| panic_words(line).is_none());
        event.later_of =
            another.and_then(|(n, line)| oops::task_of(self.lines, *n).filter(|_| !line.contains("CPU")));
        self.refine(&mut event);
        event.asserted = self.asserted(&event);
        self.before(&mut event);
        event
    }

    /// What was printed before the trap, the panic or the endless sleep that a failed assertion ends in.
    fn asserted(&self, event: &Event) -> Option<Asserted> {
        match event.class {
            Class::Bug | Class::Warning | Class::Panic | Class::InvalidOpcode => {
                asserted::before(self.lines, event.at)
            }
            Class::HungTask => asserted::of_task(self.lines, event.subject.as_ref()?.pid?),
            _ => None,
        }
    }

    /// Page faults by what the lines after the first say.
    fn refine(&self, event: &mut Event) {
        if !matches!(event.class, Class::PageFault | Class::NullPointer) {
            return;
        }
        event.class = fault_class(event.oops.address, event.oops.error_code, event.class);
        let near = self.lines.get(event.at..self.lines.len().min(event.at + 12)).unwrap_or_default();
        let fetch = |l: &&str| {
            l.contains("tried to execute NX-protected page")
                || l.starts_with("#PF: supervisor instruction fetch")
        };
        if near.iter().any(fetch) {
            event.class = Class::WildJump;
        }
    }

    /// What a warning says in words: behind `[ cut here ]`, or, until 4.10, behind its first line.
    fn message(&self, at: usize) -> Option<String> {
        let own = class_of(self.lines.get(at)?)?.0;
        if own != Class::Warning {
            return None;
        }
        let said = |n: usize| {
            let line = self.lines.get(n)?.trim();
            let is_frame = line.is_empty()
                || line.contains("[ cut here ]")
                || line.contains("end trace")
                || is_place(line)
                || [
                    "Modules linked in",
                    "CPU: ",
                    "Pid: ",
                    "Hardware name",
                    "invalid opcode",
                    "Oops: ",
                    "Call Trace",
                    "Kernel panic",
                ]
                .iter()
                .any(|p| line.starts_with(p));
            (!is_frame && !matches!(class_of(line), Some((Class::Warning | Class::Bug, _))))
                .then(|| line.to_owned())
        };
        // until 4.11 the words stood between the first line and the rest of the report
        let is_header =
            |line: &&&str| REPORT_HEADERS.iter().any(|header| line.trim_start().starts_with(header));
        let behind = || said(at + 1).filter(|_| self.lines.get(at + 2).filter(is_header).is_some());
        let cut = (at.saturating_sub(6)..at)
            .rev()
            .find(|n| self.lines.get(*n).is_some_and(|l| l.contains("[ cut here ]")));
        let before = cut.filter(|cut| cut + 1 < at).and_then(|cut| said(cut + 1));
        before.or_else(behind)
    }

    /// What the machine died of in the end, where it lived on after the event.
    fn later(&self, at: usize, class: Class) -> Option<(usize, String)> {
        let panic_at = self.panic_at?;
        let words = self.lines.get(panic_at).and_then(|l| panic_words(l))?;
        // another oops, of this CPU or of another one while this one died
        let is_another =
            |s: &&Sign| s.at > at && s.fate == Fate::Deadly && !is_one_oops(self.lines, at, s.at);
        if let Some(sign) = self.signs.iter().find(is_another) {
            return Some((sign.at, self.line(sign.at)));
        }
        // the panic of the very oops, and the one that it was made into
        end_of_report(self.lines, at, panic_at)?;
        let own = matches!(panic_class(words), Some(Class::Unknown)) || panic_class(words) == Some(class);
        (!own).then(|| (panic_at, self.line(panic_at)))
    }

    /// What came before: other subjects of the same stall, and what the machine lived with.
    fn before(&self, event: &mut Event) {
        let block = self.block(event.at);
        // what the report itself says more tellingly is no other report
        let own = |s: &Sign| block.contains(&s.at) && s.class == event.class && !event.class.is_stall();
        let mut known = FxHashSet::default();
        let mut oops_at = None;
        for sign in self.signs.iter().filter(|s| s.at < event.at && !own(s)) {
            if sign.class == event.class && event.class.is_stall() {
                event.others.extend(
                    stall::subject(sign.class, self.lines, sign.at)
                        .filter(|s| Some(s) != event.subject.as_ref()),
                );
                continue;
            }
            // of an oops its first message: what it is called by the processor stands behind
            if sign.fate == Fate::Deadly
                && let Some(from) = oops_at.replace(sign.at)
                && is_one_oops(self.lines, from, sign.at)
            {
                continue;
            }
            if let Some(line) =
                self.lines.get(sign.at).filter(|line| known.insert(line.trim()) || sign.fate == Fate::Deadly)
            {
                let line = line.trim().to_owned();
                let who = oops::task_of(self.lines, sign.at).filter(|_| !line.contains("CPU"));
                let is_oops = sign.fate == Fate::Deadly;
                event.earlier.push(Earlier { at: sign.at, line, is_oops, who });
            }
        }
        let surplus = event.earlier.len().saturating_sub(MAX_EARLIER);
        event.earlier.drain(..surplus);
    }
}

/// Where a report ended, between two lines.
fn end_of_report(lines: &[&str], from: usize, to: usize) -> Option<usize> {
    lines.get(from..to)?.iter().position(|line| oops::is_end(line)).map(|n| from + n)
}

/// True where two messages are of one report: no end stands between them, and they are no further apart than a report is
/// long, as the end of one can be lost.
fn is_one_report(lines: &[&str], from: usize, to: usize) -> bool {
    end_of_report(lines, from, to).is_none() && to.saturating_sub(from) <= oops::MAX_LINES
}

/// True where two messages are of one oops: between those of two stands the number of the first (`Oops: 0002 [#1]`), also where
/// the second came while the first was told of.
fn is_one_oops(lines: &[&str], from: usize, to: usize) -> bool {
    let is_numbered = |line: &&str| {
        let number = line.split_once(" [#").and_then(|(_, rest)| rest.split_once(']'));
        number.is_some_and(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
    };
    is_one_report(lines, from, to)
        && !lines.get(from..to).is_some_and(|between| between.iter().any(is_numbered))
}

/// The class of a page fault in kernel mode, by its address and error code (bits: 0 protection,
/// 1 write, 2 user, 4 instruction fetch).
#[must_use]
pub fn fault_class(address: Option<u64>, code: Option<u64>, otherwise: Class) -> Class {
    if code.is_some_and(|c| c & 0x10 != 0) {
        return Class::WildJump;
    }
    match address {
        Some(at) if at < 0x1_0000 => Class::NullPointer,
        Some(at) if at < 0x0080_0000_0000_0000 => Class::UserAddress,
        Some(_) if code.is_some_and(|c| c & 3 == 3) => Class::ReadOnlyWrite,
        Some(_) => Class::PageFault,
        None => otherwise,
    }
}

/// What a class's message says, without the prefixes.
#[must_use]
pub fn plain(line: &str) -> &str {
    panic_words(line).unwrap_or_else(|| bare(line))
}
