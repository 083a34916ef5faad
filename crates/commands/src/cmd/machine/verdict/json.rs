//! What `verdict` gives to programs beside its text: each value with its expression, where it is, and how it is known.

use crate::show::frames;
use ::verdict::model::{
    Access, Accessed, Condition, Context, For, LoopRead, Module, Operand, Related, Says, Spot, Stall, Value,
    Who,
};
use ::verdict::{How, Verdict};
use cexpr::Expr;
use kernel::Session;
use report::{Cell, Record};

/// The frames of the verdict's task by the numbers that `frame` takes.
pub(super) struct Frames {
    task: Option<u64>,
    pid: Option<i32>,
    cpu: Option<u32>,
    /// From the frame to blame outwards.
    numbers: Vec<Option<usize>>,
}

impl Frames {
    /// Of the task that the verdict is of.
    pub(super) fn of(s: &Session, v: &Verdict) -> Self {
        let victim = v.victim.as_ref();
        let task = victim.and_then(|victim| s.tasks().at(base::VirtAddr(victim.task)));
        let numbers = task.zip(victim.and_then(|victim| victim.frame)).map(|(task, from)| {
            let numbers = frames::numbers(&s.backtrace(task));
            (from..numbers.len()).map(|n| frames::number_of(&numbers, n)).collect()
        });
        Self {
            task: victim.map(|victim| victim.task),
            pid: victim.map(|victim| victim.who.pid),
            cpu: victim.and_then(|victim| victim.cpu),
            numbers: numbers.unwrap_or_default(),
        }
    }

    /// Where a value is: its task and CPU, the number of its frame, its register or its address.
    fn at(&self, level: usize, spot: &Spot) -> Record {
        let mut out = Record::new();
        out.hidden("task", self.task.map_or(Cell::Null, Cell::Addr));
        out.hidden("pid", self.pid.map_or(Cell::Null, |pid| Cell::from(i64::from(pid))));
        out.hidden("cpu", self.cpu.map_or(Cell::Null, Cell::from));
        let frame = self.numbers.get(level).copied().flatten();
        out.hidden("frame", frame.map_or(Cell::Null, Cell::from));
        let (register, address) = place(spot);
        out.hidden("register", register.map_or(Cell::Null, Cell::from));
        out.hidden("address", address.map_or(Cell::Null, Cell::Addr));
        out
    }
}

/// The register or the address that a value is in.
fn place(spot: &Spot) -> (Option<String>, Option<u64>) {
    match spot {
        Spot::Register(name) => (Some(name.clone()), None),
        Spot::Saved(at) | Spot::Memory { at, .. } => (None, Some(*at)),
        // its register is the caller's
        Spot::Caller { spot, .. } => (None, place(spot).1),
        Spot::Made | Spot::Printed => (None, None),
    }
}

/// The task and the frame that the verdict is of.
pub(super) fn victim(v: &Verdict, at: &Frames) -> Option<Record> {
    let victim = v.victim.as_ref()?;
    let mut out = Record::new();
    out.hidden("comm", victim.who.comm.clone());
    out.hidden("pid", i64::from(victim.who.pid));
    out.hidden("task", Cell::Addr(victim.task));
    out.hidden("cpu", victim.cpu.map_or(Cell::Null, Cell::from));
    let frame = at.numbers.first().copied().flatten();
    out.hidden("frame", frame.map_or(Cell::Null, Cell::from));
    Some(out)
}

/// An expression as `p` takes it; what has no name in C has none.
fn expression(expr: &Expr) -> Cell {
    if expr.is_c() { on_a_line(expr.to_string()).into() } else { Cell::Null }
}

/// In parentheses where a line of commands would take an operator for a pipe or the name of a file.
pub(super) fn on_a_line(expr: String) -> String {
    if expr.replace("->", "").contains(['>', '|']) { format!("({expr})") } else { expr }
}

/// A condition.
pub(super) fn condition(c: &Condition, r: &mut Record) {
    r.hidden("how", c.how.word());
    r.hidden("confirmed", c.confirmed);
    r.hidden("warning", c.warning);
    r.hidden("caller", c.caller.clone());
    if let Some(reported) = &c.reported {
        r.hidden("reported", reported.clone());
    }
    r.hidden("expr", c.expr.as_ref().map_or(Cell::Null, expression));
    if let Some(printed) = &c.printed {
        let mut out = Record::new();
        out.hidden("text", printed.text.clone());
        out.hidden("values", printed.values.clone());
        out.hidden("function", printed.function.clone());
        out.hidden("file", printed.file.clone());
        out.hidden("line", printed.line.map_or(Cell::Null, Cell::from));
        r.record("printed", out);
    }
}

/// An access.
pub(super) fn access(a: &Access, r: &mut Record) {
    r.hidden("how", a.how.word());
    let (kind, expr) = match &a.what {
        Accessed::Memory { writes: true, expr, .. } => ("write", expr.as_ref()),
        Accessed::Memory { writes: false, expr, .. } => ("read", expr.as_ref()),
        Accessed::Breakpoint { .. } => ("breakpoint", None),
        Accessed::Stop(_) | Accessed::Unknown(_) => ("instruction", None),
        Accessed::Refused { .. } => ("refused", None),
        Accessed::Division { by, .. } => ("division", Some(by)),
        Accessed::Call { target, .. } => ("call", target.as_ref()),
        Accessed::Return { .. } => ("return", None),
        Accessed::Free { .. } => ("free", None),
        Accessed::Undefined(_) => ("undefined", None),
        Accessed::Copy { .. } => ("copy", None),
    };
    r.hidden("kind", kind);
    r.hidden("expr", expr.map_or(Cell::Null, expression));
    r.hidden("address", a.at.map_or(Cell::Null, Cell::Addr));
}

/// A value as a number.
fn number(value: &Value) -> Cell {
    Cell::hex(value.bits)
}

/// Why an operand has no value.
pub(super) fn gone(row: &Operand) -> Cell {
    match row.lost {
        true => Cell::absent("not in dump", "the memory that holds it is not in the dump").lost_if(true),
        false => Cell::absent("gone", "no register or memory still holds it"),
    }
}

/// An operand: its expression as `p` takes it, where it is, its value.
pub(super) fn operand(row: &Operand, at: &Frames, r: &mut Record) {
    r.hidden("expr", row.expr().map_or(Cell::Null, expression));
    r.record("at", at.at(row.level, &row.spot));
    r.hidden("value", row.value.as_ref().map_or_else(|| gone(row), number));
}

/// What a statement is about, and the values that it has.
pub(super) fn statement(says: &Says, at: &Frames, r: &mut Record) {
    let (kind, subject) = about(says);
    r.hidden("kind", kind);
    r.hidden("subject", subject);
    match says {
        Says::Related(Related::Member { expr, value, at: address, level, .. }) => {
            r.hidden("expr", expression(expr));
            r.record("at", at.at(*level, &Spot::Memory { bits: 64, at: *address }));
            r.hidden("value", number(value));
        }
        Says::Stall(Stall::Loops { cpu, reads, .. }) => {
            r.list("values", reads.iter().map(|read| loop_read(read, *cpu)).collect());
        }
        Says::Stall(stall) => {
            if let Some(lock) = lock(stall) {
                r.record("lock", lock);
            }
        }
        _ => {}
    }
}

/// The lock that a task or a CPU waits for.
fn lock(stall: &Stall) -> Option<Record> {
    let mut doubted = None;
    let (kind, name, at, owner) = match stall {
        Stall::Waits { what: For::Lock { kind, name, at, owner, lost, .. }, .. } => {
            doubted = owner.as_ref().filter(|_| lost.is_doubted());
            (kind.word(), name.as_str(), Some(*at), owner.as_ref().filter(|_| !lost.is_doubted()))
        }
        Stall::Waits { what: For::SomeLock(kind), .. } => (kind.word(), "", None, None),
        Stall::Waits { what: For::Completion(name, at), .. } => ("completion", name.as_str(), *at, None),
        Stall::Spins { lock, holder, .. } => {
            let (name, at) = lock.as_ref().map_or(("", None), |(name, at)| (name.as_str(), Some(*at)));
            ("spinlock", name, at, holder.as_ref().map(|(who, _)| who))
        }
        _ => return None,
    };
    let mut r = Record::new();
    r.hidden("kind", kind);
    r.hidden("name", Some(name.to_owned()).filter(|name| !name.is_empty()));
    r.hidden("address", at.map_or(Cell::Null, Cell::Addr));
    let named = |who: &Who| {
        let mut named = Record::new();
        named.hidden("comm", who.comm.clone());
        named.hidden("pid", i64::from(who.pid));
        named
    };
    match owner {
        Some(who) => r.record("owner", named(who)),
        None => r.hidden("owner", Cell::Null),
    }
    if let Some(who) = doubted {
        r.record("owner_guess", named(who));
    }
    Some(r)
}

/// What a loop reads: by its address, as the loop need not be in the frame that the verdict blames.
fn loop_read(read: &LoopRead, cpu: Option<u32>) -> Record {
    let mut r = Record::new();
    r.hidden("expr", expression(&read.expr));
    let mut at = Record::new();
    for name in ["task", "pid", "frame", "register"] {
        at.hidden(name, Cell::Null);
    }
    at.hidden("cpu", cpu.map_or(Cell::Null, Cell::from));
    at.hidden("address", read.at.map_or(Cell::Null, Cell::Addr));
    r.record("at", at);
    r.hidden("value", read.value.as_ref().map_or(Cell::Null, number));
    r.hidden("text", read.value.as_ref().map(|value| value.spelt.clone()));
    r.hidden("how", How::Memory.word());
    r
}

/// What kind of statement it is, and of whom or what: a task, a module, an object.
fn about(says: &Says) -> (&'static str, Option<String>) {
    match says {
        Says::Line(line) => ("line", Some(line.clone())),
        Says::Code(_) => ("code", None),
        Says::Evidence(_) => ("evidence", None),
        Says::Context(context) => of_context(context),
        Says::Module(Module::Blamed { name, .. }) => ("module", Some(name.clone())),
        Says::Module(Module::CalledBy(place)) => ("caller", Some(place.to_string())),
        Says::Stall(stall) => of_stall(stall),
        Says::Related(Related::Object { at, .. }) => ("object", Some(format!("{at:#x}"))),
        Says::Related(Related::Member { path, .. }) => ("member", Some(path.clone())),
        Says::Report(_) => ("report", None),
        Says::Memory(_) => ("memory", None),
        Says::History(_) => ("history", None),
        Says::Known(issue) => ("known", Some(issue.id.clone())),
    }
}

fn of_context(context: &Context) -> (&'static str, Option<String>) {
    match context {
        Context::Task(task) => ("task", Some(task.who.to_string())),
        Context::Named { who, .. } => ("task", Some(who.to_string())),
        Context::Syscall(call) => ("system-call", Some(call.name.clone())),
        Context::Process { cgroup, .. } => ("process", cgroup.clone()),
        Context::Workqueue(name) => ("workqueue", Some(name.clone())),
        Context::Cpus { .. } => ("cpus", None),
        Context::Load { .. } => ("load", None),
        Context::Kernel { release, .. } => ("kernel", release.clone()),
        Context::Tainted { .. } | Context::TaintsLost(_) => ("taints", None),
        Context::Patched { function, .. } => ("live-patch", Some(function.clone())),
        Context::Patching { name, .. } => ("live-patch", Some(name.clone())),
        Context::PatchesLost(_) => ("live-patch", None),
        Context::Exit(_) => ("exit", None),
    }
}

fn of_stall(stall: &Stall) -> (&'static str, Option<String>) {
    let of_cpu = |cpu: &Option<u32>| cpu.map(|cpu| format!("CPU {cpu}"));
    match stall {
        Stall::Circle(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            ("deadlock", Some(names.join(", ")))
        }
        Stall::Circles => ("deadlock", None),
        Stall::Waits { who, .. } => ("waits", Some(who.to_string())),
        Stall::Spins { who, .. } => ("spins", Some(who.to_string())),
        Stall::More { .. } => ("waits", None),
        Stall::NoTick { cpu, .. } => ("no-tick", of_cpu(cpu)),
        Stall::Calls { cpu, .. } => ("calls", of_cpu(cpu)),
        Stall::Loops { cpu, .. } => ("loops", of_cpu(cpu)),
        Stall::Holds { who, .. } => ("holds", Some(who.to_string())),
        Stall::Listed { who, .. } => ("lists", Some(who.to_string())),
        Stall::Others(..) => ("others", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_no_pipe_and_names_no_file() {
        let spelt = |text: &str| on_a_line(text.to_owned());
        assert_eq!(spelt("ring->used > ring->size"), "(ring->used > ring->size)");
        assert_eq!(spelt("a == 1 || b"), "(a == 1 || b)");
        assert_eq!(spelt("entry->next->prev != entry"), "entry->next->prev != entry");
    }
}
