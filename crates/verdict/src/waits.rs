//! Who waits for what: tasks blocked on mutexes and read-write semaphores, and what holds them.
//! Source: kernel/locking/mutex.c (`owner`: a task, its low three bits flags, 4.10), kernel/locking/rwsem.c
//! (`owner`: a task for a writer, its low two bits flags, 5.3).

use crate::event::Class;
use crate::model::{How, Statement};
use arch::Regs;
use base::VirtAddr;
use kernel::Session;
use kernel::backtrace::Backtrace;
use kernel::bind;
use kernel::task::Task;

bind! {
    /// `struct mutex`
    struct Mutex("mutex") { owner: "owner", list: "wait_list" }
}
bind! {
    /// `struct rw_semaphore`
    struct RwSemaphore("rw_semaphore") { owner: "owner", list: "wait_list" }
}
bind! {
    /// `struct mutex_waiter`, on the stack of who waits
    struct MutexWaiter("mutex_waiter") { list: "list", task: "task" }
}
bind! {
    /// `struct rwsem_waiter`, on the stack of who waits
    struct RwsemWaiter("rwsem_waiter") { list: "list", task: "task" }
}

/// `TASK_UNINTERRUPTIBLE`
const UNINTERRUPTIBLE: u64 = 2;
/// `TASK_NOLOAD`: waits that are no trouble.
const NOLOAD: u64 = 0x400;
/// `TASK_WAKEKILL`: the task can be killed; the kernel's own watch over hung tasks passes it over.
const WAKEKILL: u64 = 0x100;
/// How many tasks are looked at.
const MAX_TASKS: usize = 200;

/// What a task waits for.
struct Wait<'s> {
    task: &'s Task,
    /// The function that waits.
    function: String,
    lock: Option<(&'static str, VirtAddr, Option<&'s Task>)>,
}

/// The statements of the `WAITS` section.
pub(crate) fn of(s: &Session, class: Class) -> Vec<Statement> {
    // a death that is no stall: only locks with their owners matter
    let stall = matches!(
        class,
        Class::HungTask
            | Class::SoftLockup
            | Class::HardLockup
            | Class::RcuStall
            | Class::Alive
            | Class::Sysrq
            | Class::Nmi
            | Class::Unknown
    );
    let blocked = s
        .tasks()
        .all
        .iter()
        .filter(|t| !t.active && t.state & UNINTERRUPTIBLE != 0 && t.state & NOLOAD == 0)
        .take(MAX_TASKS);
    let matters = |w: &Wait<'_>| match &w.lock {
        Some((.., owner)) => stall || owner.is_some(),
        None => stall && w.task.state & WAKEKILL == 0,
    };
    let lock_name = |at: VirtAddr| match s.locate(at) {
        Some(l) if l.offset == 0 => l.symbol.module.map_or_else(
            || format!("{} ({at:x})", l.symbol.name),
            |m| format!("{} [{m}] ({at:x})", l.symbol.name),
        ),
        _ => format!("{at:x}"),
    };
    let waits: Vec<Wait<'_>> = blocked.map(|task| wait(s, task)).filter(matters).collect();
    let mut out: Vec<Statement> = waits.iter().map(|w| tell(w, &lock_name)).collect();
    out.extend(cycles(&waits));
    out
}

/// Functions that take a lock, its address in the first argument.
fn lock_kind(function: &str) -> Option<&'static str> {
    let name = crate::code::base_name(function);
    match name {
        "__mutex_lock"
        | "__mutex_lock_slowpath"
        | "mutex_lock"
        | "__mutex_lock_interruptible_slowpath"
        | "__mutex_lock_killable_slowpath"
        | "mutex_lock_killable"
        | "mutex_lock_interruptible"
        | "mutex_lock_io"
        | "mutex_lock_nested" => Some("mutex"),
        "rwsem_down_read_slowpath"
        | "rwsem_down_write_slowpath"
        | "down_read"
        | "down_write"
        | "down_write_killable"
        | "down_read_killable"
        | "rwsem_down_read_failed"
        | "rwsem_down_write_failed"
        | "call_rwsem_down_read_failed"
        | "call_rwsem_down_write_failed" => Some("rw_semaphore"),
        _ => None,
    }
}

fn wait<'s>(s: &'s Session, task: &'s Task) -> Wait<'s> {
    let bt = s.backtrace(task);
    let names: Vec<String> = bt
        .unwound
        .frames
        .iter()
        .map(|f| s.locate(f.lookup()).map(|l| l.symbol.name.to_owned()).unwrap_or_default())
        .collect();
    let scheduling = |n: &&String| {
        matches!(
            n.as_str(),
            "__schedule"
                | "schedule"
                | "schedule_timeout"
                | "schedule_preempt_disabled"
                | "io_schedule"
                | "__switch_to_asm"
                | "context_switch"
        )
    };
    let function = names.iter().find(|n| !scheduling(n)).cloned().unwrap_or_default();
    let lock = names.iter().enumerate().find_map(|(n, name)| {
        let kind = lock_kind(name)?;
        let at = waiter_lock(s, &bt, n, kind, task).or_else(|| lock_address(s, &bt, n))?;
        plausible(s, kind, at).map(|owner| (kind, at, owner))
    });
    Wait { task, function, lock }
}

/// The lock whose list of waiters leads to an entry of this task on its own stack.
fn waiter_lock(s: &Session, bt: &Backtrace, n: usize, kind: &str, task: &Task) -> Option<VirtAddr> {
    let frame = bt.unwound.frames.get(n)?;
    let mem = s.mem();
    let (list_at, task_at, head_at) = if kind == "mutex" {
        let w = s.bind::<MutexWaiter>();
        (w.list.offset().ok()?, w.task.offset().ok()?, s.bind::<Mutex>().list.offset().ok()?)
    } else {
        let w = s.bind::<RwsemWaiter>();
        (w.list.offset().ok()?, w.task.offset().ok()?, s.bind::<RwSemaphore>().list.offset().ok()?)
    };
    let stack = bt.stacks.first()?;
    for word in 0..128_u64 {
        let waiter = frame.sp.add(word * 8);
        if mem.ptr(waiter.add(task_at)).ok() != Some(task.at) {
            continue;
        }
        let own = waiter.add(list_at);
        let mut here = own;
        // the head is the only entry that is on nobody's stack: its owner word must be one
        for _ in 0..64 {
            let Ok(next) = mem.ptr(here) else { break };
            if next == own || mem.ptr(next.add(8)).ok() != Some(here) {
                break;
            }
            let lock = next.sub(head_at);
            let is_waiter =
                s.tasks().at(mem.ptr(next.sub(list_at).add(task_at)).unwrap_or_default()).is_some();
            if !stack.contains(next) && !is_waiter && plausible(s, kind, lock).is_some() {
                return Some(lock);
            }
            here = next;
        }
    }
    None
}

/// The first argument of the function of frame `n`: a callee-saved register or stack slot that the
/// function's own code keeps it in at the place of its call.
fn lock_address(s: &Session, bt: &Backtrace, n: usize) -> Option<VirtAddr> {
    let frame = bt.unwound.frames.get(n)?;
    let code = crate::code::Code::around(s, frame.lookup())?;
    // the state after the call is the one before the next instruction
    let ip = frame.pc.0;
    let roles = &frame.regs.reg_set().roles;
    let entry = code.flow.register(code.entry.0, *roles.arguments.first()?)?;
    let known: &Regs = &frame.regs;
    let in_register = code
        .flow
        .holders(ip, entry)
        .find(|r| roles.preserved.contains(r) && known.get(*r).is_some())
        .and_then(|r| known.get(r));
    let value = in_register.or_else(|| {
        let at = code.flow.slot_of(ip, entry)?;
        let cfa = frame.cfa?;
        s.mem().u64(VirtAddr(cfa.0.wrapping_sub(8).wrapping_add_signed(at))).ok()
    })?;
    (value >> 63 == 1).then_some(VirtAddr(value))
}

/// The owner of a lock, where the memory at its address can be one.
fn plausible<'s>(s: &'s Session, kind: &str, at: VirtAddr) -> Option<Option<&'s Task>> {
    let owner = match kind {
        "mutex" => s.bind::<Mutex>().owner.u64(s.mem(), at).ok()? & !7,
        _ => s.bind::<RwSemaphore>().owner.u64(s.mem(), at).ok()? & !7,
    };
    if owner == 0 {
        return Some(None);
    }
    s.tasks().at(VirtAddr(owner)).map(Some)
}

fn tell(w: &Wait<'_>, lock_name: &dyn Fn(VirtAddr) -> String) -> Statement {
    let who = format!("{}[{}]", w.task.comm, w.task.pid);
    let text = match &w.lock {
        Some((kind, at, Some(owner))) => {
            format!(
                "{who} waits in {} for {kind} {}, held by {}[{}]",
                w.function,
                lock_name(*at),
                owner.comm,
                owner.pid
            )
        }
        Some((kind, at, None)) => {
            format!(
                "{who} waits in {} for {kind} {}, whose owner is not recorded",
                w.function,
                lock_name(*at)
            )
        }
        None => format!("{who} waits in {}", w.function),
    };
    Statement::new(How::Decoded, text, &[format!("bt {}", w.task.pid)])
}

/// Circles of owners.
fn cycles(waits: &[Wait<'_>]) -> Vec<Statement> {
    let next =
        |at: VirtAddr| waits.iter().find(|w| w.task.at == at).and_then(|w| Some(w.lock.as_ref()?.2?.at));
    let mut told: Vec<VirtAddr> = Vec::new();
    let mut out = Vec::new();
    for w in waits {
        let mut circle = vec![w.task.at];
        let mut here = w.task.at;
        while let Some(to) = next(here) {
            if to == w.task.at {
                if !circle.iter().any(|t| told.contains(t)) {
                    let names: Vec<String> = circle
                        .iter()
                        .filter_map(|at| waits.iter().find(|w| w.task.at == *at))
                        .map(|w| format!("{}[{}]", w.task.comm, w.task.pid))
                        .collect();
                    out.push(Statement::new(
                        How::Decoded,
                        format!("deadlock: {} wait for each other", names.join(", ")),
                        &["foreach UN bt".into()],
                    ));
                }
                told.extend(&circle);
                break;
            }
            if circle.contains(&to) || circle.len() > 64 {
                break;
            }
            circle.push(to);
            here = to;
        }
    }
    out
}
