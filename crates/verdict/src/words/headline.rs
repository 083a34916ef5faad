//! The verdict's first line.

use crate::model::{Act, ErrorPointer, Headline, Place, Stuck};
use crate::words::{joined, stall};
use kernel::log::event::Class;
use std::fmt;

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match (self.hang, self.of_log, self.class) {
            (true, ..) => hang(self.class),
            (_, true, Class::Alive) => "no crash in this log: what became of the machine is not in it",
            _ => self.class.words(),
        };
        let said = self.error.as_ref().map(|error| format!("{error} used as a pointer"));
        match (&said, &self.place) {
            // it is known only of a call
            (None, Some(place)) if self.class == Class::WildJump => {
                write!(f, "call of an address where no code is, in {place}")?;
            }
            (None, Some(place)) if self.is_damage() => self.damage(f, words, place)?,
            (_, Some(place)) => write!(f, "{} in {place}", said.as_deref().unwrap_or(words))?,
            (_, None) => f.write_str(said.as_deref().unwrap_or(words))?,
        }
        if said.is_some() || !self.is_damage() {
            self.reporter.iter().try_for_each(|reporter| write!(f, ", found by {reporter}"))?;
        }
        let of = self.subject.as_ref().map(|subject| stall::subject(self.class, subject));
        of.iter().filter(|of| !of.is_empty()).try_for_each(|of| write!(f, ": {of}"))?;
        self.said.iter().try_for_each(|said| write!(f, ": {said}"))?;
        self.stuck.iter().try_for_each(|stuck| write!(f, "; {stuck}"))?;
        self.caller.iter().try_for_each(|caller| write!(f, ", called by {caller}"))
    }
}

impl Headline {
    /// True for what was found at the place, and may have been done elsewhere.
    const fn is_damage(&self) -> bool {
        matches!(self.class, Class::ListCorruption | Class::Refcount | Class::SlabCorruption)
            || self.act.is_some()
    }

    /// `list corruption, found by __list_del_entry_valid+0x5c as job_finish+0x16 [zoo] removed an entry from a list`
    fn damage(&self, f: &mut fmt::Formatter<'_>, words: &str, place: &Place) -> fmt::Result {
        let Some(act) = self.act else {
            write!(f, "{words}, found in {place}")?;
            self.reporter.iter().try_for_each(|reporter| write!(f, " by {reporter}"))?;
            return self.of_counter(f, "of");
        };
        f.write_str(words)?;
        match (&self.reporter, self.class) {
            // the assertion is the function's own
            (Some(reporter), Class::Bug | Class::Warning) => write!(f, " in {reporter} as")?,
            (Some(reporter), _) => write!(f, ", found by {reporter} as")?,
            (None, _) => f.write_str(", found as")?,
        }
        write!(f, " {place} {act}")?;
        self.of_counter(f, "in")
    }

    /// ` in job->users, which was 0`
    fn of_counter(&self, f: &mut fmt::Formatter<'_>, preposition: &str) -> fmt::Result {
        let Some(counter) = &self.counter else { return Ok(()) };
        write!(f, " {preposition} {}", counter.expr.for_reader())?;
        counter.was.iter().try_for_each(|was| write!(f, ", which was {was}"))
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::ListAdd => "added an entry to a list",
            Act::ListDel => "removed an entry from a list",
            Act::Free => "freed memory",
            Act::Allocate => "asked for memory",
            Act::Take => "took a reference",
            Act::Drop => "dropped a reference",
        })
    }
}

impl fmt::Display for ErrorPointer {
    /// `ERR_PTR(-ENOENT) from clk_get()`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preposition = if self.returned { "from" } else { "in" };
        write!(f, "ERR_PTR({}) {preposition} {}", self.error, self.from.for_reader())
    }
}

/// Where the machine was not told to panic.
const fn hang(class: Class) -> &'static str {
    match class {
        Class::Deadlock => "no panic, but a deadlock",
        Class::SoftLockup => "no panic, but a soft lockup",
        Class::HardLockup => "no panic, but a CPU that takes no interrupts",
        Class::RcuStall => "no panic, but an RCU stall",
        other => other.words(),
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stuck::Deadlock(names) => write!(f, "a deadlock of {}", joined(names, ", ")),
            Stuck::Tasks { who, seconds, count: 1, at_least: false } => {
                write!(f, "{who} is stuck for {seconds} s")
            }
            Stuck::Tasks { who, seconds, count, at_least } => {
                let at_least = if *at_least { "at least " } else { "" };
                write!(f, "{at_least}{count} tasks are stuck, {who} for {seconds} s")
            }
        }
    }
}
