//! Evidence, modules, history, known issues and what could not be found out, in words.

use crate::model::{Evidence, History, KnownIssue, Lack, Module, Place, Related, shown_path};
use crate::words::joined;
use kernel::log::event;
use kernel::log::lines::stamp;
use kernel::module::taint;
use std::fmt;

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Frame(place) => write!(f, "frame of {place}"),
            Evidence::Logged(place) => write!(f, "registers at {place}: as the oops in the log has them"),
            Evidence::Saved { place, at, entry } => {
                write!(f, "registers at {place}: ")?;
                let entry = entry.as_deref().unwrap_or("entry code");
                at.iter().try_for_each(|at| write!(f, "saved at {at:016x} by {entry}"))
            }
            Evidence::BugTable { warning, at, file, line } => {
                let what = if *warning { "WARN" } else { "BUG" };
                write!(f, "bug table: {what} at {at:016x} is {file}:{line}")
            }
            Evidence::Counter(pointed) => write!(f, "the program counter is {pointed}"),
            Evidence::Printed(all) => {
                let each = all.iter().map(|(expr, shown)| format!("{} = {shown}", expr.for_reader()));
                write!(f, "printed: {}", joined(each, ", "))
            }
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Module::Blamed { name, taints, from, caller } => {
                write!(f, "{name}: {}", provenance(*taints))?;
                if let Some((module, function)) = from {
                    let module = module.as_deref().unwrap_or("the kernel");
                    write!(f, "; called from {module} ({function})")?;
                }
                // the death is in what the module called
                caller.iter().try_for_each(|place| write!(f, "; it called the kernel {}", at(place)))
            }
            Module::CalledBy(place) => write!(f, "the function that died was called {}", at(place)),
        }
    }
}

/// `at job_finish+0x16 [zoo], zoo/lists.c:39`
fn at(place: &Place) -> String {
    match (&place.file, place.line) {
        (Some(file), Some(line)) => format!("at {place}, {}:{line}", shown_path(file)),
        _ => format!("at {place}"),
    }
}

/// `out of tree, unsigned (taint O E)`
fn provenance(taints: Option<u64>) -> String {
    let Some(taints) = taints else { return "whether it is part of this kernel is not known".to_owned() };
    let words: Vec<&str> = taint::FLAGS
        .iter()
        .filter(|(bit, ..)| taints >> bit & 1 == 1)
        .map(|(_, letter, words)| match letter {
            'O' => "out of tree",
            'E' => "unsigned",
            'P' => "proprietary",
            'F' => "loaded by force",
            'C' => "staging",
            'K' => "live patch",
            _ => *words,
        })
        .collect();
    match words.as_slice() {
        [] => "part of this kernel (no taint)".to_owned(),
        words => format!("{} (taint {})", words.join(", "), joined(taint::letters(taints).chars(), " ")),
    }
}

impl fmt::Display for Related {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Related::Object { ty, at } => write!(f, "{ty} at {at:016x}:"),
            Related::Member { path, value, .. } => write!(f, "{path} = {}", value.spelt),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: &Option<u64>| at.map_or_else(String::new, |ns| format!("{} ", stamp(ns)));
        match self {
            History::Reported { at, line } => write!(f, "in the log: {}{line}", time(at)),
            History::Before { at, line, of } => {
                write!(f, "before: {}{line}", time(at))?;
                of.iter().try_for_each(|who| f.write_str(&on_whom(who)))
            }
            History::After { at, lived, line, of } => {
                write!(f, "after: {}", time(at))?;
                lived.iter().try_for_each(|s| write!(f, "the machine lived on for {s} s, until "))?;
                f.write_str(line)?;
                of.iter().try_for_each(|who| f.write_str(&on_whom(who)))
            }
        }
    }
}

/// Whom a report of before was of: `, on CPU 1 in cat[77]`.
fn on_whom(who: &event::Who) -> String {
    let cpu = who.cpu.map(|cpu| format!(", on CPU {cpu}")).unwrap_or_default();
    let task = match (&who.comm, who.pid) {
        (Some(comm), Some(pid)) => format!(" in {comm}[{pid}]"),
        (None, Some(pid)) => format!(" in task {pid}"),
        _ => String::new(),
    };
    match cpu.is_empty() {
        true if !task.is_empty() => format!(",{task}"),
        _ => format!("{cpu}{task}"),
    }
}

impl fmt::Display for KnownIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.iter().try_for_each(|source| write!(f, "{source} in the source: "))?;
        // "one cause of this assertion" says so by itself
        if self.maybe && !self.explanation.starts_with("one cause") {
            f.write_str("may be: ")?;
        }
        f.write_str(&self.explanation)?;
        self.commit.iter().try_for_each(|(commit, title)| write!(f, ": {commit} (\"{title}\")"))?;
        let Some(fixed) = &self.fixed else { return Ok(()) };
        write!(f, ", since {fixed}")?;
        if !self.stable.is_empty() {
            write!(f, " ({})", self.stable.join(", "))?;
        }
        if self.later {
            f.write_str("; this kernel's release is later and its code is not the fixed one")
        } else if self.counted {
            f.write_str("; whether this kernel has it, its distribution's number does not tell")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::LogPart(why) => write!(f, "what a part of the log says: {why}"),
            Lack::Log(why) => write!(f, "what the log says: {why}"),
            Lack::Memory => f.write_str(
                "not in a log: values in memory, the objects that pointers lead to, tasks and CPUs that it does not name",
            ),
            Lack::PanicTask(cpu) => {
                write!(f, "the task that panicked: what CPU {cpu} ran cannot be read")
            }
            Lack::Registers(why) => f.write_str(why),
            Lack::Instruction => f.write_str(
                "condition and access: neither the stack nor the log gives the instruction's address and registers",
            ),
            Lack::Unplaced { function, offset, module, named } => {
                write!(f, "condition and access: the stack does not give the instruction; the log names ")?;
                write!(f, "{function}+{offset:#x}")?;
                module.iter().try_for_each(|module| write!(f, " [{module}]"))?;
                match named {
                    0 => f.write_str(", but no symbol of that name is known"),
                    1 => f.write_str(", but it cannot be placed in the dump's code"),
                    n => write!(f, ", but {n} functions have that name"),
                }
            }
            Lack::Code(at) => {
                write!(f, "the code at {at:016x}: it is not in the dump, or no symbol covers it")
            }
            Lack::Condition(why) => write!(f, "the condition: {why}"),
            Lack::Operand(at, text) => write!(
                f,
                "the access: the instruction at {at} ({text}) has no memory operand at the address that faulted"
            ),
            Lack::NoInstruction => f.write_str("the access: no instruction begins where the fault was"),
            Lack::NoDivision => f.write_str("the access: the instruction at the fault is no division"),
            Lack::Divisor => f.write_str("the access: the divisor cannot be told"),
            Lack::Jumper(to) => {
                write!(f, "who jumped to {to:016x}: no return address on top of the stack")
            }
            Lack::NoCall(to, ret) => {
                write!(f, "who jumped to {to:016x}: no call before the return address {ret:x}")
            }
            Lack::Caller(finder) => {
                write!(f, "who called {finder}: its caller's frame cannot be told for certain")
            }
            Lack::Returner => f.write_str("which function returned: its return address is gone"),
            Lack::NotFollowed(why) => write!(f, "which values the instruction worked with: {why}"),
            Lack::ReportedTask(who) => {
                write!(f, "the task of the report, {who}: it is none of those that are known")
            }
            Lack::Waiters(why) => write!(f, "who else waits, and for what: {why}"),
            Lack::RunQueue(cpu) => write!(f, "what CPU {cpu} ran: its run queue is not readable"),
            Lack::KnownIssues(why) => write!(f, "known issues of --known: {why}"),
        }
    }
}
