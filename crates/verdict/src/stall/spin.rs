//! CPUs that spin: on a lock, whose address and state are told, and who may hold it; or in a loop.

use crate::code::function::Code;
use crate::code::listing::{Listing, Loop};
use crate::code::registers::Chain;
use crate::code::roles::{is_delaying, is_spinning, is_waiting};
use crate::model::{CodeLine, LoopRead, Value};
use crate::naming::names::Namer;
use crate::victim::frames::{Victim, current_frame, interrupted};
use base::VirtAddr;
use kernel::Session;
use kernel::locking::spinlock::{self, State};
use kernel::sched::task::Task;
use kernel::stack::stacks::task_stack;

/// How many CPUs are looked at.
const MAX_CPUS: usize = 64;
/// How many frames of a stack are searched for the taking of a lock.
const MAX_FRAMES: usize = 16;
/// How many stacks are searched for a lock's address.
const MAX_STACKS: usize = 2000;

/// A CPU that spins on a lock.
pub(crate) struct Spinner<'s> {
    pub(crate) task: &'s Task,
    /// The function that wants the lock.
    pub(crate) function: String,
    /// The lock, where its address is known.
    pub(crate) at: Option<VirtAddr>,
    /// Its name: a symbol, or a path from the function's variables.
    pub(crate) name: String,
    pub(crate) state: Option<State>,
    /// Who has it.
    pub(crate) holder: Option<Holder<'s>>,
}

/// Who has a lock, and what says so.
pub(crate) struct Holder<'s> {
    pub(crate) task: &'s Task,
    /// `zoo_b()+0x31`: the call that took it; nothing where the lock itself says who has it.
    pub(crate) taken: Option<String>,
}

/// A loop that a CPU is in.
pub(crate) struct Looping {
    pub(crate) function: String,
    /// Its first and last instruction, as offsets.
    pub(crate) from: String,
    pub(crate) to: String,
    /// Its instructions, where they are few.
    pub(crate) body: Vec<CodeLine>,
    /// What it reads from memory.
    pub(crate) reads: Vec<LoopRead>,
}

/// The CPUs that spin on locks.
pub(crate) fn on_locks(s: &Session) -> Vec<Spinner<'_>> {
    let active = s.tasks().all.iter().filter(|t| t.active).take(MAX_CPUS);
    let mut out: Vec<Spinner<'_>> = active.filter_map(|t| on_lock(s, t)).collect();
    for n in 0..out.len() {
        let found = out.get(n).and_then(|spinner| holder(s, spinner, &out));
        if let Some(spinner) = out.get_mut(n) {
            spinner.holder = found;
        }
    }
    out
}

/// True for functions that take a spinning lock, its address in the first argument.
fn takes_spinlock(name: &str) -> bool {
    let name = debuginfo::symtab::base_name(name);
    ["_raw_spin_lock", "_raw_read_lock", "_raw_write_lock", "_spin_lock", "_raw_spin_trylock"]
        .iter()
        .any(|f| name.starts_with(f))
}

fn gives_spinlock(name: &str) -> bool {
    let name = debuginfo::symtab::base_name(name);
    ["_raw_spin_unlock", "_raw_read_unlock", "_raw_write_unlock", "_spin_unlock"]
        .iter()
        .any(|f| name.starts_with(f))
}

fn on_lock<'s>(s: &'s Session, task: &'s Task) -> Option<Spinner<'s>> {
    let victim = Victim::of_task(s, Some(task));
    let names = victim.names(s);
    let frames = victim.frames();
    let first = current_frame(s.arch(), &names, frames)?;
    let outside = (first..names.len()).find(|n| names.get(*n).is_some_and(|n| !is_waiting(n)))?;
    let inner = names.get(first..outside).filter(|i| !i.is_empty())?;
    let slow =
        inner.iter().find(|n| is_spinning(n)).or_else(|| inner.iter().find(|n| takes_spinlock(n)))?.clone();
    if slow.starts_with("mutex_") || slow.starts_with("rwsem_") || slow.starts_with("osq_") {
        return None; // an owner that runs is waited for: no lock that spins
    }
    let chain = Chain::of(s, frames, first, outside);
    let (value, path) = chain.passed(outside);
    let at = match spinlock::is_biased(&slow) {
        // its functions are called with the count of writers, which may be half of it
        true => value.map(VirtAddr).filter(|at| s.arch().is_kernel(*at) && at.0.is_multiple_of(4)),
        false => (first..outside)
            .find_map(|n| plausible(s, VirtAddr(chain.first_argument(n)?), &slow))
            .or_else(|| value.and_then(|a| plausible(s, VirtAddr(a), &slow))),
    };
    let mut name = String::new();
    if at.is_some() && value == at.map(|a| a.0) {
        name = path.map(|p| member_of_lock(&p)).unwrap_or_default();
    }
    if let Some(symbol) = at.and_then(|a| symbol_at(s, a)) {
        name = both(&name, &symbol);
    }
    let count = (first..outside).find(|n| names.get(*n).is_some_and(|name| spinlock::is_biased(name)));
    let state = at.and_then(|at| match count {
        Some(n) => spinlock::biased(s, at, VirtAddr(chain.first_argument(n)?)),
        None => spinlock::state(s, at, &slow),
    });
    let function = names.get(outside).cloned().unwrap_or_default();
    Some(Spinner { task, function, at, name, state, holder: None })
}

/// `&dev->lock` of `&dev->lock.rlock.raw_lock`.
pub(crate) fn member_of_lock(path: &str) -> String {
    let end = [".rlock", ".raw_lock", ".val", ".counter", ".wait_lock", ".cnts"]
        .iter()
        .filter_map(|part| path.find(part))
        .min()
        .unwrap_or(path.len());
    path.get(..end).unwrap_or(path).to_owned()
}

/// The name of a variable of the kernel or a module that an address lies in.
pub(crate) fn symbol_at(s: &Session, at: VirtAddr) -> Option<String> {
    let l = s.locate(at).filter(|l| l.span.is_none_or(|span| l.offset < span))?;
    let offset = if l.offset == 0 { String::new() } else { format!("+{:#x}", l.offset) };
    Some(match l.symbol.module {
        Some(m) => format!("{}{offset} [{m}]", l.symbol.name),
        None => format!("{}{offset}", l.symbol.name),
    })
}

/// A path and the symbol of the variable that it leads into: `&to->lock, counters+0x40 [m]`.
pub(crate) fn both(path: &str, symbol: &str) -> String {
    match path {
        "" => symbol.to_owned(),
        path if path.trim_start_matches('&') == symbol.split([' ', '+']).next().unwrap_or_default() => {
            symbol.to_owned()
        }
        path => format!("{path}, {symbol}"),
    }
}

/// An address that can be a lock somebody has: while it is waited for, it is not free.
fn plausible(s: &Session, at: VirtAddr, function: &str) -> Option<VirtAddr> {
    (s.arch().is_kernel(at) && at.0.is_multiple_of(4)).then_some(())?;
    match spinlock::state(s, at, function) {
        Some(_) => Some(at),
        // the lock's type is not known: the address has to do
        None => s.mem().u32(at).is_ok_and(|word| word != 0 && word >> 31 == 0).then_some(at),
    }
}

/// Who has the lock that a CPU spins on.
fn holder<'s>(s: &'s Session, spinner: &Spinner<'s>, all: &[Spinner<'s>]) -> Option<Holder<'s>> {
    let lock = spinner.at?;
    if let Some(owner) = spinlock::owner(s, lock) {
        return s.tasks().at(owner).map(|task| Holder { task, taken: None });
    }
    // those whose stacks know the lock: CPUs first, then tasks that sleep with it
    let waits = |t: &Task| all.iter().any(|o| o.task.at == t.at && o.at == Some(lock));
    let mut candidates: Vec<&Task> = vec![spinner.task];
    candidates.extend(s.tasks().all.iter().filter(|t| t.active && !waits(t)));
    candidates.extend(s.tasks().all.iter().filter(|t| !t.active && !t.has_exited()).take(MAX_STACKS));
    candidates.into_iter().filter(|t| on_stack(s, t, lock)).find_map(|task| {
        let found = taken(s, task).into_iter().find(|t| t.lock == lock)?;
        Some(Holder { task, taken: Some(found.call()) })
    })
}

/// True where a task's stack, or a register that it had, holds an address.
fn on_stack(s: &Session, task: &Task, at: VirtAddr) -> bool {
    let stack = task_stack(s, task);
    let Ok(bytes) = s.mem().bytes(stack.start, usize::try_from(stack.end.0 - stack.start.0).unwrap_or(0))
    else {
        return true; // a part of it is missing: the frames will tell
    };
    // a lock in a struct is reached by the struct's address; one in a module by the code alone
    symbol_at(s, at).is_some()
        || bytes.as_chunks::<8>().0.iter().any(|w| at.0.wrapping_sub(u64::from_le_bytes(*w)) < 4096)
}

/// A lock that a function has called to take, and has not called to give back.
pub(crate) struct Taken {
    pub(crate) lock: VirtAddr,
    /// The function that took it.
    pub(crate) function: String,
    /// Its call, by bytes from its begin.
    pub(crate) offset: u64,
}

impl Taken {
    /// `zoo_b()+0x31`: the call that took it.
    pub(crate) fn call(&self) -> String {
        format!("{}()+{:#x}", self.function, self.offset)
    }
}

/// The functions that take locks of a kind and give them back, the lock in the first argument.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) takes: &'a dyn Fn(&str) -> bool,
    pub(crate) gives: &'a dyn Fn(&str) -> bool,
    /// Of a lock, by the name of what took it: it is free now.
    pub(crate) is_free: &'a dyn Fn(VirtAddr, &str) -> bool,
}

/// The spinning locks that a task has, as far as its frames tell.
pub(crate) fn taken(s: &Session, task: &Task) -> Vec<Taken> {
    let is_free =
        |lock: VirtAddr, name: &str| spinlock::state(s, lock, name).is_some_and(|state| state.is_free());
    taken_by(s, task, Pair { takes: &takes_spinlock, gives: &gives_spinlock, is_free: &is_free })
}

/// The locks that a task has, as far as the calls of its frames tell.
pub(crate) fn taken_by(s: &Session, task: &Task, of: Pair<'_>) -> Vec<Taken> {
    let victim = Victim::of_task(s, Some(task));
    let frames = victim.frames();
    let from = if task.active { current_frame(s.arch(), &victim.names(s), frames).unwrap_or(0) } else { 0 };
    let name = |at: VirtAddr| s.locate(at).filter(|l| l.offset == 0).map(|l| l.symbol.name.to_owned());
    // the frames whose functions take such locks before the place where they are
    let mut takers: Vec<(usize, Vec<(VirtAddr, String)>)> = Vec::new();
    for (n, frame) in frames.iter().enumerate().skip(from).take(MAX_FRAMES) {
        let Some(listing) = Listing::around(s, frame.lookup()).filter(|_| !frame.how.is_guess()) else {
            continue;
        };
        // the call that this frame waits in is no taking of it
        let pending = frame.is_call.then(|| listing.call_before(frame.pc)).flatten();
        let calls: Vec<(VirtAddr, String)> = listing
            .calls()
            .filter(|(at, _)| *at < frame.pc && Some(*at) != pending)
            .filter_map(|(at, target)| Some((at, name(target)?)))
            .filter(|(_, n)| (of.takes)(n) || (of.gives)(n))
            .collect();
        if calls.iter().any(|(_, n)| (of.takes)(n)) {
            takers.push((n, calls));
        }
    }
    let Some(furthest) = takers.last().map(|(n, _)| *n) else { return Vec::new() };
    let chain = Chain::of(s, frames, from, furthest);
    let mut out = Vec::new();
    for (n, calls) in &takers {
        let Some(values) = chain.values_at(*n) else { continue };
        let lock_of = |at: VirtAddr| {
            values.register_at(at.0, values.first()?).filter(|v| s.arch().is_kernel(VirtAddr(*v)))
        };
        for (at, name) in calls.iter().filter(|(_, n)| (of.takes)(n)) {
            let Some(lock) = lock_of(*at) else { continue };
            let gives = |(later, name): &(VirtAddr, String)| {
                (of.gives)(name) && later > at && lock_of(*later).is_none_or(|l| l == lock)
            };
            // a lock that is free was given back in a way that the calls do not show
            if !(of.is_free)(VirtAddr(lock), name) && !calls.iter().any(gives) {
                let function = values.code.symbol.clone();
                let offset = at.0.wrapping_sub(values.code.entry.0);
                out.push(Taken { lock: VirtAddr(lock), function, offset });
            }
        }
    }
    out
}

/// The loop that a CPU is in, of its first frame that is in one and whose function is not there to wait.
pub(crate) fn looping(s: &Session, victim: &Victim<'_>) -> Option<Looping> {
    let frames = victim.frames();
    let names = victim.names(s);
    let first = interrupted(s.arch(), &names, frames)?;
    for n in (first..frames.len()).take(4) {
        let (frame, name) = (frames.get(n)?, names.get(n)?);
        if name.is_empty() || frame.how.is_guess() {
            return None;
        }
        if is_delaying(name) || is_waiting(name) {
            continue;
        }
        let listing = Listing::around(s, frame.lookup())?;
        let Some(l) = listing.loop_around(frame.lookup()) else { continue };
        return Some(describe(s, &listing, l, frame, name));
    }
    None
}

fn describe(s: &Session, listing: &Listing, l: Loop, frame: &unwind::Frame, name: &str) -> Looping {
    let mut reads = Vec::new();
    if let Some(code) = Code::around(s, frame.lookup()) {
        let namer = Namer::new(s, &code, &frame.regs, frame.cfa.map(|a| a.0));
        for ip in listing.within(l).take(32) {
            for (m, writes) in code.function.accesses(ip.0) {
                let Some(member) = namer.memory(ip.0, &m).filter(|_| !writes) else { continue };
                // the value as it is in memory now, which the loop goes on to read
                let at = crate::code::operand::operand_address(&m, &frame.regs).filter(|_| !m.per_cpu);
                let value = at.and_then(|at| crate::code::operand::read(s.mem(), at, m.size)).map(|v| {
                    Value::of(v, crate::naming::names::shown(s.types(), member.named.ty, v, m.size))
                });
                let row = LoopRead { expr: member.named.expr, value, at };
                if !reads.contains(&row) && reads.len() < 4 {
                    reads.push(row);
                }
            }
        }
    }
    Looping {
        function: name.to_owned(),
        from: listing.offset(l.head),
        to: listing.offset(l.jump),
        body: listing.body(l, 8),
        reads,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_functions_by_name() {
        assert!(takes_spinlock("_raw_spin_lock_irqsave") && !takes_spinlock("_raw_spin_unlock"));
        assert!(gives_spinlock("_raw_write_unlock_bh") && !gives_spinlock("_raw_spin_lock"));
    }

    #[test]
    fn a_lock_is_named_by_the_member_that_it_is() {
        assert_eq!(member_of_lock("&dev->lock.rlock.raw_lock.val.counter"), "&dev->lock");
        assert_eq!(member_of_lock("&zoo_lock"), "&zoo_lock");
        assert_eq!(both("&zoo_lock", "zoo_lock [zoo]"), "zoo_lock [zoo]");
        assert_eq!(both("&to->lock", "counters+0x40 [zoo]"), "&to->lock, counters+0x40 [zoo]");
        assert_eq!(both("", "counters"), "counters");
    }
}
