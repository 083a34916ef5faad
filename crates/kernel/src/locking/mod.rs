//! Locks that sleep: who has one, and who waits for it.
//!
//! Sources: kernel/locking/mutex.c (`owner`: a task, its low three bits flags, 4.10), kernel/locking/rwsem.c
//! (`owner`: a task, its low three bits flags, the lowest set for a reader, 5.3), kernel/locking/semaphore.c
//! (`last_holder`: who took it last, 6.16; others may have it as well, and it may have been given back). Where the dump has
//! no types, the layouts that there were are tried on the lock's own list of waiters, which only one of them fits.

pub mod blocker;
pub mod rtmutex;
pub mod spinlock;
mod standing;
#[cfg(test)]
mod tests;
mod waited;

pub use standing::{Standing, standing};
pub use waited::{gives, kind_of, tries, waited};

use crate::bind::Field;
use crate::mm::slub;
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use base::{Fault, VirtAddr};
use unwind::Stack;

bind! {
    /// `struct mutex`
    struct Mutex("mutex") {
        owner: "owner",
        list: "wait_list" | "first_waiter",
        count: "count", // until 4.10 (3ca0ff571b09), when the owner became what says whether it is taken
    }
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
pub enum Kind {
    /// `struct mutex`
    Mutex,
    /// `struct rw_semaphore`
    RwSemaphore,
    /// One that counts, and that anybody may give back.
    Semaphore,
    /// `struct rt_mutex`
    RtMutex,
    /// One that sleeps, as with `PREEMPT_RT`.
    Spinlock,
    /// One of readers and writers that sleeps likewise.
    RwLock,
}

impl Kind {
    /// What it is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
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
    #[must_use]
    pub const fn structure(self) -> &'static str {
        match self {
            Kind::RwLock => "rwlock_t",
            _ => self.word(),
        }
    }
}

/// A task that has a lock and is not among those that live: it exited with the lock held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gone {
    /// Its `task_struct`, or what is left of it.
    pub at: VirtAddr,
    /// Its name.
    pub comm: String,
    /// Its thread id.
    pub pid: i32,
}

impl Gone {
    /// What the slab of tasks holds at an address: a task that ended, as the memory of one is not wiped.
    fn at(s: &Session, at: VirtAddr) -> Option<Self> {
        let object =
            slub::object_at(s, at).filter(|object| object.at == at && object.cache == "task_struct")?;
        let b = s.bind::<TaskStruct>();
        let pid = b.pid.i32(s.mem(), object.at).ok().filter(|pid| (1..=PID_MAX).contains(pid))?;
        let comm = s.mem().cstr(b.comm.at(object.at).ok()?, COMM).ok()?;
        let comm = String::from_utf8(comm)
            .ok()
            .filter(|comm| !comm.is_empty() && !comm.contains(char::is_control))?;
        Some(Self { at, comm, pid })
    }
}

/// `PID_MAX_LIMIT`
const PID_MAX: i32 = 4 << 20;
/// `TASK_COMM_LEN`
const COMM: usize = 16;

/// Who has a lock.
#[derive(Clone, Debug, Default)]
pub struct Owner<'s> {
    /// The task that has it, where that is known.
    pub task: Option<&'s Task>,
    /// Readers have it; the task is the last of them that took it.
    pub readers: bool,
    /// The task took it last, and may have given it back since.
    pub last: bool,
    /// The task that has it ended.
    pub gone: Option<Gone>,
    /// The lock says that nobody has it.
    pub nobody: bool,
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
    let of = |owner: &Field, list: &Field| {
        (owner.offset().ok(), list.offset().ok().map(|offset| (offset, list.size().ok())))
    };
    let (owner, list) = match kind {
        Kind::RtMutex | Kind::Spinlock | Kind::RwLock => return Vec::new(),
        Kind::Mutex => {
            let b = s.bind::<Mutex>();
            of(&b.owner, &b.list)
        }
        Kind::RwSemaphore => {
            let b = s.bind::<RwSemaphore>();
            of(&b.owner, &b.list)
        }
        Kind::Semaphore => {
            let b = s.bind::<Semaphore>();
            of(&b.owner, &b.list)
        }
    };
    match list {
        Some((list, size)) => vec![Layout { owner, list, head: size != Some(8), waiter: None }],
        None if kind == Kind::Mutex => MUTEXES.to_vec(),
        None if kind == Kind::Semaphore => COUNTING.to_vec(),
        None => SEMAPHORES.to_vec(),
    }
}

/// The lock whose list of waiters leads to an entry of this task on its own stack.
///
/// `sp` is the stack pointer of the frame that waits.
///
/// # Errors
/// If no list does: with what the dump lost of the stack or of the lists, where something is lost that would lead on.
pub fn listed(
    s: &Session,
    stack: &Stack,
    sp: VirtAddr,
    kind: Kind,
    task: &Task,
) -> Result<VirtAddr, Option<Fault>> {
    let mem = s.mem();
    let mut lost = None;
    let mut ptr = |at: VirtAddr| {
        mem.ptr(at).inspect_err(|fault| lost = lost.or(Some(*fault).filter(Fault::is_loss))).ok()
    };
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
    let layouts = layouts(s, kind);
    for word in 0..128_u64 {
        let waiter = sp.add(word * 8);
        if !stack.contains(waiter.add(task_at)) || ptr(waiter.add(task_at)) != Some(task.at) {
            continue;
        }
        let own = waiter.add(list_at);
        let mut here = own;
        // the head is the only entry that is on nobody's stack: its owner word must be one
        for _ in 0..64 {
            let Some(next) = ptr(here) else { break };
            if next == own || ptr(next.add(8)) != Some(here) {
                break;
            }
            let is_waiter =
                s.tasks().at(mem.ptr(next.sub(list_at).add(task_at)).unwrap_or_default()).is_some();
            if !is_waiter && !stack.contains(next) {
                let mut places = layouts.iter().map(|l| next.sub(l.list));
                if let Some(lock) = places.find(|at| owner_among(s, kind, *at, &layouts).is_some()) {
                    return Ok(lock);
                }
            }
            here = next;
        }
    }
    Err(lost)
}

/// The owner of a lock, where the memory at its address can be one.
#[must_use]
pub fn owner<'s>(s: &'s Session, kind: Kind, at: VirtAddr) -> Option<Owner<'s>> {
    owner_among(s, kind, at, &layouts(s, kind))
}

fn owner_among<'s>(s: &'s Session, kind: Kind, at: VirtAddr, layouts: &[Layout]) -> Option<Owner<'s>> {
    if !s.arch().is_kernel(at) || !at.0.is_multiple_of(8) {
        return None;
    }
    layouts.iter().find_map(|l| owner_by(s, kind, at, *l))
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
    } else if !next.is_null() && !s.arch().is_kernel(next) {
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
    let owner = Owner { readers, last, ..Owner::default() };
    if task == 0 {
        let nobody = kind == Kind::Mutex && owner_at == 0 && !s.bind::<Mutex>().count.exists();
        return Some(Owner { nobody, ..owner });
    }
    match s.tasks().at(VirtAddr(task)) {
        Some(task) => Some(Owner { task: Some(task), ..owner }),
        // a reader may have gone since, and whoever took a semaphore
        None if readers || last => Some(owner),
        None => Some(Owner { gone: Some(Gone::at(s, VirtAddr(task))?), ..owner }),
    }
}
