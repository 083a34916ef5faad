//! Who waits for what, in words.

use crate::model::{Deaf, For, LoopRead, LostOwner, Stall, Waiter, Who};
use crate::words::{cpu, joined};
use kernel::locking::Kind;
use kernel::log::event::{Class, Subject};
use std::fmt;

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stall::Circle(names) => match names.as_slice() {
                [one] => write!(f, "deadlock: {one} waits for what it has itself"),
                _ => write!(f, "deadlock: {} wait for each other", joined(names, ", ")),
            },
            Stall::Circles => f.write_str("a circle of waits"),
            Stall::Waits { who, within, what, seconds } => match seconds.filter(|n| *n > 0) {
                Some(n) => write!(f, "{who} has waited {n} s in {within}{what}"),
                None => write!(f, "{who} waits in {within}{what}"),
            },
            Stall::Spins { cpu, who, function, lock, state, holder, own } => {
                write!(f, "CPU {}: {who} spins in {function} for ", self::cpu(*cpu))?;
                match lock {
                    Some((name, at)) => f.write_str(&named(name, *at))?,
                    None => f.write_str("a lock")?,
                }
                state.iter().try_for_each(|state| write!(f, ": {state}"))?;
                holder.iter().try_for_each(|(who, call)| held(f, who, call.as_deref(), *own))
            }
            Stall::More { count, at_least } => {
                write!(f, "{}{count} more tasks wait", if *at_least { "at least " } else { "" })
            }
            Stall::NoTick { cpu, seconds } => {
                write!(f, "CPU {} has had no tick for {seconds} s", self::cpu(*cpu))
            }
            Stall::Calls { cpu, function, deaf } => write!(
                f,
                "CPU {} waits in {function} for other CPUs to answer its call; without interrupts: {}",
                self::cpu(*cpu),
                joined(deaf, "; ")
            ),
            Stall::Loops { cpu, function, from, to, reads } => {
                write!(f, "CPU {} loops in {function} from {from} to {to}", self::cpu(*cpu))?;
                if !reads.is_empty() {
                    write!(f, "; it reads {}", joined(reads, ", "))?;
                }
                Ok(())
            }
            Stall::Holds { who, name, lock, call } => {
                let name = name.as_ref().map_or_else(String::new, |name| format!("{name} "));
                write!(f, "{who} has the spinning lock {name}({lock:x}), taken at {call}, and not given back")
            }
            Stall::Listed { who, locks } => write!(
                f,
                "lockdep lists of {who}, whose last lock may be the one that it waits for: {}",
                joined(locks, "; ")
            ),
            Stall::Others(class, subjects) => {
                let names = subjects.iter().map(|s| subject(*class, s)).filter(|text| !text.is_empty());
                write!(f, "also reported: {}", joined(names, "; "))
            }
        }
    }
}

/// Who has a spinning lock.
fn held(f: &mut fmt::Formatter<'_>, who: &Who, call: Option<&str>, own: bool) -> fmt::Result {
    match call {
        None => write!(f, "; held by {who}"),
        Some(call) => {
            let whose = if own { "itself".to_owned() } else { who.to_string() };
            write!(f, "; taken by {whose} at {call}, and not given back")
        }
    }
}

/// `&dev->lock (ffff88…)`, `&to->lock, counters+0x40 [m] (ffffffffc0…)`
fn named(name: &str, at: u64) -> String {
    if name.is_empty() { format!("{at:x}") } else { format!("{name} ({at:x})") }
}

impl fmt::Display for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waiter::Function(name) => f.write_str(name),
            Waiter::Nameless(at) => write!(f, "code without a name ({at:x})"),
            Waiter::Unknown => f.write_str("a function that is not known"),
        }
    }
}

impl fmt::Display for For {
    /// ` for mutex &dev->lock (ffff88…), held by dd[77]`; nothing where that is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            For::Lock { kind, name, at, owner, readers, last, lost } => {
                write!(f, " for {} {}, ", kind.word(), named(name, *at))?;
                match (owner, readers) {
                    (Some(who), false) if *lost == LostOwner::Ended => {
                        write!(f, "held by {who}, which has exited")
                    }
                    (Some(who), false) if *lost == LostOwner::Younger => write!(
                        f,
                        "whose owner field points to a task_struct that is now {who}'s, which began after the wait: \
                         most likely the owner exited while it held the lock, or {who} took it since"
                    ),
                    (Some(who), false) if *lost == LostOwner::Unproven => write!(
                        f,
                        "whose owner field points to the task_struct of {who}; its stack does not show that it took \
                         the lock: it did, or a task that had this task_struct before exited with it"
                    ),
                    (None, false) if *lost == LostOwner::Nobody => f.write_str("which nobody has"),
                    (Some(who), _) if *last => write!(f, "which {who} took last"),
                    (None, false) if *kind == Kind::Semaphore => f.write_str("which does not say who has it"),
                    (Some(who), false) => write!(f, "held by {who}"),
                    (Some(who), true) => write!(f, "held by readers, of whom {who} came last"),
                    (None, true) => f.write_str("held by readers"),
                    (None, false) => f.write_str("whose owner is not recorded"),
                }
            }
            For::SomeLock(kind) => write!(f, " for a {} that is not known", kind.word()),
            For::Completion(name, Some(at)) => write!(f, " for completion {}", named(name, *at)),
            For::Completion(_, None) => f.write_str(" for completion"),
            For::Work(function, worker) => {
                f.write_str(" for work ")?;
                if !function.is_empty() {
                    write!(f, "{function}() ")?;
                }
                f.write_str("to end")?;
                worker.iter().try_for_each(|who| write!(f, ", which {who} does"))
            }
            For::Io => f.write_str(" for input or output"),
            For::Rcu => f.write_str(" for all RCU readers"),
            For::Other => Ok(()),
        }
    }
}

impl fmt::Display for Deaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {} with {} in {}", cpu(self.cpu), self.who, self.place)
    }
}

impl fmt::Display for LoopRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.for_reader().fmt(f)?;
        self.value.iter().try_for_each(|value| write!(f, " = {}", value.spelt))
    }
}

/// `CPU 1, 26 s` of a subject.
pub(super) fn subject(class: Class, subject: &Subject) -> String {
    let mut parts = Vec::new();
    match (&subject.comm, subject.pid) {
        (Some(comm), Some(pid)) if class == Class::HungTask => parts.push(format!("{comm}[{pid}]")),
        _ => parts.extend(subject.cpu.map(|cpu| format!("CPU {cpu}"))),
    }
    // the kernel names the time after which it tells, not how long the task has waited
    let more = if class == Class::HungTask { "more than " } else { "" };
    parts.extend(subject.seconds.map(|n| format!("{more}{n} s")));
    parts.join(", ")
}
