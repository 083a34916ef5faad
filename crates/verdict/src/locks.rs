//! Locks that sleep: which one a task waits for, and who has it.
//!
//! Sources: kernel/locking/mutex.c (`owner`: a task, its low three bits flags, 4.10), kernel/locking/rwsem.c
//! (`owner`: a task, its low three bits flags, the lowest set for a reader, 5.3), kernel/locking/semaphore.c
//! (`last_holder`: who took it last, 6.16; others may have it as well, and it may have been given back). Where the dump has no types, the layouts that there were are tried on the lock's own list of waiters,
//! which only one of them fits.

use crate::blocker;
use crate::code::Code;
use crate::reach::Chain;
use crate::rtmutex;
use crate::spin::{both, member_of_lock, symbol_at};
use base::VirtAddr;
use kernel::backtrace::Backtrace;
use kernel::task::Task;
use kernel::{Session, bind};
use unwind::Frame;

bind! {
    /// `struct mutex`
    struct Mutex("mutex") { owner: "owner", list: "wait_list" | "first_waiter" }
}
bind! {
    /// `struct rw_semaphore`
    struct RwSemaphore("rw_semaphore") { owner: "owner", list: "wait_list" | "first_waiter" }
}
bind! {
    /// `struct semaphore`
    struct Semaphore("semaphore") { owner: "last_holder", list: "wait_list" | "first_waiter" }
}
bind! {
    /// `struct mutex_waiter`, on the stack of who waits
    struct MutexWaiter("mutex_waiter") { list: "list", task: "task" }
}
bind! {
    /// `struct rwsem_waiter`, on the stack of who waits
    struct RwsemWaiter("rwsem_waiter") { list: "list", task: "task" }
}

bind! {
    /// `struct semaphore_waiter`, on the stack of who waits
    struct SemaphoreWaiter("semaphore_waiter") { list: "list", task: "task" }
}

/// A kind of lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Mutex,
    RwSemaphore,
    /// One that counts, and that anybody may give back.
    Semaphore,
    RtMutex,
    /// One that sleeps, as with `PREEMPT_RT`.
    Spinlock,
    /// One of readers and writers that sleeps likewise.
    RwLock,
}

impl Kind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Kind::Mutex => "mutex",
            Kind::RwSemaphore => "rw_semaphore",
            Kind::Semaphore => "semaphore",
            Kind::RtMutex => "rt_mutex",
            Kind::Spinlock => "spinlock",
            Kind::RwLock => "rwlock",
        }
    }

    /// The name of its type, as `struct` takes it.
    pub(crate) const fn structure(self) -> &'static str {
        match self {
            Kind::RwLock => "rwlock_t",
            _ => self.word(),
        }
    }
}

/// A lock that a task waits for.
#[derive(Clone, Debug)]
pub(crate) struct Lock<'s> {
    pub(crate) kind: Kind,
    pub(crate) at: VirtAddr,
    /// A symbol, or a path from the variables of who waits; empty where neither is known.
    pub(crate) name: String,
    pub(crate) owner: Owner<'s>,
}

/// Who has a lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owner<'s> {
    pub(crate) task: Option<&'s Task>,
    /// Readers have it; the task is the last of them that took it.
    pub(crate) readers: bool,
    /// The task took it last, and may have given it back since.
    pub(crate) last: bool,
}

/// Where a lock has its owner and its list of waiters.
#[derive(Clone, Copy)]
struct Layout {
    owner: Option<u64>,
    list: u64,
    /// The list's head is an entry like the others; since 7.0 a pointer to the first.
    head: bool,
    /// Where the first waiter has its task, to tell a layout without a list by.
    waiter: Option<u64>,
}

impl Layout {
    const fn listed(owner: Option<u64>, list: u64) -> Self {
        Self { owner, list, head: true, waiter: None }
    }
}

/// Layouts of kernels whose dumps have no types: a mutex since 4.10 and before, a semaphore since 5.3, until 4.x
/// and between, and of RHEL 7, whose waiters only the first leads to.
const MUTEXES: [Layout; 2] = [Layout::listed(Some(0), 16), Layout::listed(Some(24), 8)];
const SEMAPHORES: [Layout; 4] = [
    Layout::listed(Some(8), 24),
    Layout::listed(None, 16),
    Layout::listed(Some(32), 8),
    Layout { owner: Some(24), list: 16, head: false, waiter: Some(16) },
];

const COUNTING: [Layout; 1] = [Layout::listed(None, 8)];

/// None for locks whose waiters are no list.
fn layouts(s: &Session, kind: Kind) -> Vec<Layout> {
    let (owner, list) = match kind {
        Kind::RtMutex | Kind::Spinlock | Kind::RwLock => return Vec::new(),
        Kind::Mutex => {
            let b = s.bind::<Mutex>();
            (b.owner.offset().ok(), b.list.offset().ok().map(|o| (o, b.list.size().ok())))
        }
        Kind::RwSemaphore => {
            let b = s.bind::<RwSemaphore>();
            (b.owner.offset().ok(), b.list.offset().ok().map(|o| (o, b.list.size().ok())))
        }
        Kind::Semaphore => {
            let b = s.bind::<Semaphore>();
            (b.owner.offset().ok(), b.list.offset().ok().map(|o| (o, b.list.size().ok())))
        }
    };
    match list {
        Some((list, size)) => vec![Layout { owner, list, head: size != Some(8), waiter: None }],
        None if kind == Kind::Mutex => MUTEXES.to_vec(),
        None if kind == Kind::Semaphore => COUNTING.to_vec(),
        None => SEMAPHORES.to_vec(),
    }
}

/// Functions that take a semaphore, with underscores before them where they wait.
const COUNTING_DOWN: &[&str] =
    &["down", "down_common", "down_interruptible", "down_killable", "down_timeout"];

/// Functions that take a lock, its address in the first argument.
pub(crate) fn kind_of(function: &str) -> Option<Kind> {
    let name = crate::code::base_name(function);
    let mutex = name.starts_with("__mutex_lock")
        || name.starts_with("mutex_lock")
        || name.starts_with("__ww_mutex_lock");
    let semaphore =
        ["rwsem_down_", "down_read", "down_write", "__down_read", "__down_write", "call_rwsem_down_"]
            .iter()
            .any(|f| name.starts_with(f))
            && !name.ends_with("_trylock");
    match (mutex, semaphore) {
        (true, _) => Some(Kind::Mutex),
        (_, true) => Some(Kind::RwSemaphore),
        _ if COUNTING_DOWN.contains(&name.trim_start_matches('_')) => Some(Kind::Semaphore),
        _ if name.starts_with("rt_spin_lock") => Some(Kind::Spinlock),
        _ if name.starts_with("rt_read_lock") || name.starts_with("rt_write_lock") => Some(Kind::RwLock),
        _ if name.starts_with("rt_mutex_lock") => Some(Kind::RtMutex),
        _ => None,
    }
}

/// True for functions of `PREEMPT_RT` that locks of readers and writers of all kinds come to.
fn is_of_any(function: &str) -> bool {
    let name = crate::code::base_name(function);
    name.starts_with("rwbase_") || name.starts_with("__rwbase_")
}

/// The kind of lock that a frame's function takes: by its name, or by that of the function which was called and went
/// on to it with a jump.
fn taken(s: &Session, frames: &[Frame], names: &[String], n: usize) -> Option<Kind> {
    let name = names.get(n)?;
    if !is_of_any(name) {
        return kind_of(name);
    }
    let outer = frames.get(n + 1).filter(|frame| frame.is_call)?;
    let (_, callee) = Code::around(s, outer.lookup())?.callee(s, outer.pc.0)?;
    kind_of(callee)
}

/// The size of any lock, at least.
const LOCK: u64 = 0x100;

/// The lock that a sleeping task waits for.
pub(crate) fn waited<'s>(s: &'s Session, bt: &Backtrace, names: &[String], task: &Task) -> Option<Lock<'s>> {
    let frames = &bt.unwound.frames;
    let said = rtmutex::waited(s, task);
    let blocked = blocker::said(s, task).and_then(|(kind, at)| Some((kind, at, owner(s, kind, at)?)));
    let taken = (0..names.len()).find_map(|n| Some((n, taken(s, frames, names, n)?)));
    let Some((n, kind)) = taken else {
        let rt = said.map(|(at, task)| (Kind::RtMutex, at, Owner { task, ..Owner::default() }));
        let (kind, at, owner) = rt.or(blocked)?;
        return Some(Lock { kind, at, name: symbol_at(s, at).unwrap_or_default(), owner });
    };
    let blocked = blocked.filter(|b| b.0 == kind).map(|(_, at, owner)| (at, owner));
    let takes = |name: &String| kind_of(name).is_some() || is_of_any(name);
    let outside = (n..names.len()).find(|m| names.get(*m).is_some_and(|name| !takes(name)));
    let chain = Chain::of(s, frames, 0, outside.unwrap_or(n));
    let (value, path) = outside.map(|m| chain.passed(m)).unwrap_or_default();
    let found = |at: VirtAddr| owner(s, kind, at).map(|owner| (at, owner));
    if rtmutex::is_shared(s, kind) {
        let at = VirtAddr(value.or_else(|| chain.first_argument(n))?);
        return Some(Lock { kind, at, name: name_of(s, at, value, path), owner: rtmutex::shared(s, at)? });
    }
    // the lock that has a waiter's priority is the one that was asked for, or within it
    let said = said.map(|(at, task)| {
        let around = value.map(VirtAddr).filter(|v| at.0.checked_sub(v.0).is_some_and(|into| into < LOCK));
        (around.unwrap_or(at), Owner { task, ..Owner::default() })
    });
    let (at, owner) = said
        .or(blocked)
        .or_else(|| listed(s, bt, n, kind, task).and_then(found))
        .or_else(|| chain.first_argument(n).map(VirtAddr).and_then(found))
        .or_else(|| value.map(VirtAddr).and_then(found))?;
    Some(Lock { kind, at, name: name_of(s, at, value, path), owner })
}

/// The name of a lock: of its symbol, and of what was passed where that was its address.
fn name_of(s: &Session, at: VirtAddr, passed: Option<u64>, path: Option<String>) -> String {
    let own = path.filter(|_| passed == Some(at.0)).map(|p| member_of_lock(&p)).unwrap_or_default();
    symbol_at(s, at).map_or_else(|| own.clone(), |symbol| both(&own, &symbol))
}

/// The lock whose list of waiters leads to an entry of this task on its own stack.
fn listed(s: &Session, bt: &Backtrace, n: usize, kind: Kind, task: &Task) -> Option<VirtAddr> {
    let frame = bt.unwound.frames.get(n)?;
    let mem = s.mem();
    let (list, of) = match kind {
        Kind::Mutex => {
            let w = s.bind::<MutexWaiter>();
            (w.list.offset(), w.task.offset())
        }
        Kind::Semaphore => {
            let w = s.bind::<SemaphoreWaiter>();
            (w.list.offset(), w.task.offset())
        }
        _ => {
            let w = s.bind::<RwsemWaiter>();
            (w.list.offset(), w.task.offset())
        }
    };
    let (list_at, task_at) = (list.unwrap_or(0), of.unwrap_or(16));
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
            let is_waiter =
                s.tasks().at(mem.ptr(next.sub(list_at).add(task_at)).unwrap_or_default()).is_some();
            let lock = layouts(s, kind)
                .into_iter()
                .map(|l| next.sub(l.list))
                .find(|at| !is_waiter && !stack.contains(next) && owner(s, kind, *at).is_some());
            if lock.is_some() {
                return lock;
            }
            here = next;
        }
    }
    None
}

/// The owner of a lock, where the memory at its address can be one.
pub(crate) fn owner<'s>(s: &'s Session, kind: Kind, at: VirtAddr) -> Option<Owner<'s>> {
    if at.0 >> 63 == 0 || !at.0.is_multiple_of(8) {
        return None;
    }
    layouts(s, kind).into_iter().find_map(|l| owner_by(s, kind, at, l))
}

fn owner_by<'s>(s: &'s Session, kind: Kind, at: VirtAddr, l: Layout) -> Option<Owner<'s>> {
    let mem = s.mem();
    let head = at.add(l.list);
    let next = mem.ptr(head).ok()?;
    if l.head {
        // a list: its neighbours point back
        let prev = mem.ptr(head.add(8)).ok()?;
        if mem.ptr(next.add(8)).ok()? != head || mem.ptr(prev).ok()? != head {
            return None;
        }
    } else if !next.is_null() && next.0 >> 63 == 0 {
        return None;
    }
    if let Some(task_at) = l.waiter
        && s.tasks().at(mem.ptr(next.add(task_at)).ok()?).is_none()
    {
        return None;
    }
    let Some(owner_at) = l.owner else { return Some(Owner::default()) };
    let word = mem.u64(at.add(owner_at)).ok()?;
    let readers = kind == Kind::RwSemaphore && word & 1 == 1;
    let last = kind == Kind::Semaphore;
    let task = word & !7;
    if task == 0 {
        return Some(Owner { task: None, readers, last });
    }
    match s.tasks().at(VirtAddr(task)) {
        Some(task) => Some(Owner { task: Some(task), readers, last }),
        // a reader may have gone since, and whoever took a semaphore
        None if readers || last => Some(Owner { task: None, readers, last }),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_by_the_lock_that_they_take() {
        assert_eq!(kind_of("__mutex_lock.constprop.0"), Some(Kind::Mutex));
        assert_eq!(kind_of("rwsem_down_write_slowpath"), Some(Kind::RwSemaphore));
        assert_eq!(kind_of("call_rwsem_down_read_failed"), Some(Kind::RwSemaphore));
        assert_eq!(kind_of("down_write_killable"), Some(Kind::RwSemaphore));
        assert_eq!(kind_of("rt_spin_lock"), Some(Kind::Spinlock));
        assert_eq!(kind_of("rt_mutex_lock_interruptible"), Some(Kind::RtMutex));
        assert_eq!(kind_of("rt_write_lock"), Some(Kind::RwLock));
        assert_eq!(kind_of("down_interruptible"), Some(Kind::Semaphore));
        assert_eq!(kind_of("___down_common"), Some(Kind::Semaphore));
        assert_eq!(kind_of("down"), Some(Kind::Semaphore));
        assert_eq!(kind_of("down_trylock"), None);
        assert_eq!(kind_of("download"), None);
        assert_eq!(kind_of("vfs_read"), None);
    }
}
