//! Which lock a sleeping task waits for: by the functions that it is in, and by what the kernel itself notes.

use crate::code::function::Code;
use crate::code::registers::Chain;
use crate::stall::spin::{Pair, both, member_of_lock, symbol_at, taken_by};
use base::{Fault, VirtAddr};
use kernel::Session;
use kernel::locking::{Kind, Owner, Standing, blocker, kind_of, listed, owner, rtmutex, standing, tries};
use kernel::sched::task::Task;
use kernel::stack::backtrace::Backtrace;
use unwind::Frame;

/// A lock that a task waits for.
#[derive(Clone, Debug)]
pub(crate) struct Lock<'s> {
    pub(crate) kind: Kind,
    pub(crate) at: VirtAddr,
    /// A symbol, or a path from the variables of who waits; empty where neither is known.
    pub(crate) name: String,
    pub(crate) owner: Owner<'s>,
}

/// True for functions of `PREEMPT_RT` that locks of readers and writers of all kinds come to.
fn is_of_any(function: &str) -> bool {
    let name = debuginfo::symtab::base_name(function);
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

/// The kind of lock that a task waits for which is not known itself, and what the dump lost that would lead to it.
pub(crate) fn unknown(
    s: &Session,
    bt: &Backtrace,
    names: &[String],
    task: &Task,
) -> Option<(Kind, Option<Fault>)> {
    let frames = &bt.unwound.frames;
    let (n, kind) = (0..names.len()).find_map(|n| Some((n, taken(s, frames, names, n)?)))?;
    let lost = listed(s, bt.stacks.first()?, frames.get(n)?.sp, kind, task).err().flatten();
    Some((kind, lost))
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
        .or_else(|| listed(s, bt.stacks.first()?, frames.get(n)?.sp, kind, task).ok().and_then(found))
        .or_else(|| chain.first_argument(n).map(VirtAddr).and_then(found))
        .or_else(|| value.map(VirtAddr).and_then(found))?;
    Some(Lock { kind, at, name: name_of(s, at, value, path), owner })
}

/// The name of a lock: of its symbol, and of what was passed where that was its address.
fn name_of(s: &Session, at: VirtAddr, passed: Option<u64>, path: Option<String>) -> String {
    let own = path.filter(|_| passed == Some(at.0)).map(|p| member_of_lock(&p)).unwrap_or_default();
    symbol_at(s, at).map_or_else(|| own.clone(), |symbol| both(&own, &symbol))
}

/// What shows that the task that a lock names as its owner has it: a lock names it by its `task_struct`, which another task
/// may have had before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// Its frames took the lock, and have not given it back.
    Taken,
    /// Its frames did not take it. When it began, beside those who wait.
    NotTaken(Standing),
    /// The code of this machine is not followed. When it began, beside those who wait.
    NotFollowed(Standing),
}

impl Proof {
    /// For the owner of a lock and those who wait for it.
    #[must_use]
    pub fn of<'a>(
        s: &Session,
        owner: &Task,
        (kind, lock): (Kind, VirtAddr),
        waiters: impl IntoIterator<Item = &'a Task>,
    ) -> Self {
        if s.arch().lift().is_err() {
            return Self::NotFollowed(standing(s, owner, waiters));
        }
        match has_taken(s, owner, kind, lock) {
            true => Self::Taken,
            false => Self::NotTaken(standing(s, owner, waiters)),
        }
    }
    /// True where the task has the lock for all that the dump tells.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Taken | Self::NotFollowed(Standing::Older))
    }
}

/// True where a task's frames have called to take a lock, and have not called to give it back.
fn has_taken(s: &Session, task: &Task, kind: Kind, lock: VirtAddr) -> bool {
    let takes = |name: &str| tries(name, kind);
    let gives = |name: &str| kernel::locking::gives(name, kind);
    let of = Pair { takes: &takes, gives: &gives, is_free: &|_, _| false };
    taken_by(s, task, of).iter().any(|taken| taken.lock == lock)
}
