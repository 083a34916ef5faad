//! `task_struct` and the `thread_info` on a stack, from `init_task` and the tasks that hang on it.

use super::evidence::{MARGIN, never, only_place};
use super::list::{List, task_list};
use super::{Guess, Shape, Struct};
use crate::sched::cpu;
use crate::sched::task::STATE_MAX;
use crate::session::Session;
use crate::stack::stacks::size_by_symbols;
use base::{Bytes, VirtAddr};
use rustc_hash::{FxHashMap, FxHashSet};

/// How much of a `task_struct` is looked at; 3.10's has some 3 KiB, 6.x's up to 10 (with the FPU state).
const LOOK: usize = 12 << 10;
/// No `task_struct` has less.
pub(super) const TASK_MIN: usize = 4 << 10;
/// How many tasks are looked at.
pub(super) const MAX_TASKS: usize = 512;
/// TASK_COMM_LEN
pub(super) const COMM: usize = 16;
const STACK_END_MAGIC: u64 = 0x57ac_6e9d;
const PF_KTHREAD: u32 = 0x0020_0000;

/// A task's bytes.
pub(super) struct Sample {
    pub(super) at: VirtAddr,
    pub(super) bytes: Vec<u8>,
}

impl Sample {
    pub(super) fn read(s: &Session, at: VirtAddr) -> Option<Self> {
        // whole pages, as far as they are there
        let mut bytes = Vec::new();
        while bytes.len() < LOOK {
            let next = at.add(bytes.len() as u64);
            let len = (base::GRANULE - next.page_offset()) as usize;
            match s.mem().bytes(next, len) {
                // zeros up to a page's end, where tasks never have so many before their registers, stand for what is missing
                Ok(part) if bytes.len() < TASK_MIN && part.iter().all(|b| *b == 0) => break,
                Ok(part) => bytes.extend(part),
                Err(_) => break,
            }
        }
        bytes.truncate(LOOK);
        (bytes.len() >= 512).then_some(Self { at, bytes })
    }
    pub(super) fn u64(&self, offset: usize) -> Option<u64> {
        Bytes::new(&self.bytes).u64_at(offset).ok()
    }
    fn u32(&self, offset: usize) -> Option<u32> {
        Bytes::new(&self.bytes).u32_at(offset).ok()
    }
    fn comm(&self, offset: usize) -> Option<&[u8]> {
        name_in(self.bytes.get(offset..offset.checked_add(COMM)?)?)
    }
}

/// The name that the bytes of `comm` hold.
pub(super) fn name_in(raw: &[u8]) -> Option<&[u8]> {
    let end = raw.iter().position(|&b| b == 0)?;
    let text = raw.get(..end)?;
    let printable = !text.is_empty() && text.iter().all(|b| (0x20..0x7f).contains(b));
    printable.then_some(text)
}

/// The offsets from 0 on, in steps.
pub(super) fn offsets(step: usize) -> impl Iterator<Item = usize> {
    (0..LOOK).step_by(step)
}

/// Bytes of a `struct list_head`: `sibling` follows `children`.
pub(super) const LIST_HEAD: usize = 16;

/// `children`: the list in each parent that its children's `sibling` is on, between the parent and others of its children.
fn children(init: &Sample, tasks: &[Sample], parent: usize) -> Option<usize> {
    let family = |t: &Sample| t.u64(parent);
    let by_at: FxHashMap<u64, &Sample> = tasks.iter().map(|t| (t.at.0, t)).collect();
    let against = |o: usize| {
        let node = (o + LIST_HEAD) as u64;
        let wrong = |t: &&Sample| {
            let parent = family(t);
            // the two neighbours: the parent's list, or a task of the same parent
            [o + LIST_HEAD, o + LIST_HEAD + 8].into_iter().any(|link| {
                let to = t.u64(link);
                let is_head = to.zip(parent).is_some_and(|(to, parent)| to == parent.wrapping_add(o as u64));
                let is_brother = || {
                    let other = by_at.get(&to.unwrap_or(0).wrapping_sub(node));
                    other.is_some_and(|other| other.at != t.at && family(other) == parent)
                };
                !is_head && !is_brother()
            })
        };
        let has = init.u64(o).is_some_and(|first| by_at.contains_key(&first.wrapping_sub(node)));
        let strange = tasks.iter().filter(wrong).count();
        (has && strange * 4 <= tasks.len()).then_some(strange)
    };
    only_place(offsets(8), usize::MAX, against, never)
}

pub(super) fn infer(s: &Session) -> Option<Vec<Struct>> {
    let init_at = s.symbol("init_task")?;
    let init = Sample::read(s, init_at)?;
    let comm = memchr::memmem::find_iter(&init.bytes, b"swapper")
        .find(|&o| matches!(init.comm(o), Some(b"swapper" | b"swapper/0")))?;
    let List { offset: tasks_off, all, front, tasks, whole } = task_list(s, &init, comm)?;
    let (pid, tgid) = ids(s, &init, &tasks, whole)?;
    let pid_of = |t: &Sample| t.u32(pid).unwrap_or(0);
    let find = |wanted: u32| tasks.iter().find(|t| pid_of(t) == wanted);
    // the first two of the list, which never end: one of them, or a part of it, may not be in the dump
    let (first, kthreadd) = (find(1), find(2));
    let second = all.get(1).copied().filter(|_| front >= 2);
    let kthreadd_at = kthreadd.map(|t| t.at).or(second);

    let mut members = vec![
        Guess { name: "comm", offset: comm as u64, shape: Shape::Chars(COMM as u64) },
        Guess { name: "tasks", offset: tasks_off as u64, shape: Shape::ListHead },
        Guess { name: "pid", offset: pid as u64, shape: Shape::Int },
        Guess { name: "tgid", offset: tgid as u64, shape: Shape::Int },
    ];
    let mut found = |name, offset: Option<usize>, shape| {
        members.extend(offset.map(|o| Guess { name, offset: o as u64, shape }));
    };
    let addresses: Vec<u64> = all.iter().map(|at| at.0).chain([init_at.0]).collect();
    let is_task = |v: u64| addresses.contains(&v);
    let against = |is: &dyn Fn(&Sample) -> bool| tasks.iter().filter(|t| !is(t)).count();
    let same = |a: usize, b: usize| tasks.iter().all(|t| t.u64(a) == t.u64(b));

    let by_init = |t: Option<&Sample>, o: usize| t.is_none_or(|t| t.u64(o) == Some(init_at.0));
    let is_parent = |o: usize| {
        let fits = init.u64(o) == Some(init_at.0)
            && by_init(first, o)
            && by_init(kthreadd, o)
            && tasks.iter().any(|t| t.u64(o).is_some_and(|v| v != t.at.0 && v != init_at.0));
        // of a list that is not whole, some parents are not known
        let strange = against(&|t| t.u64(o).is_some_and(is_task));
        let few = if whole { strange == 0 } else { strange * 4 <= tasks.len() };
        (fits && few).then_some(strange)
    };
    let parent = only_place(offsets(8), usize::MAX, is_parent, same);
    found("real_parent", parent, Shape::Pointer);
    let children = parent.and_then(|o| children(&init, &tasks, o));
    found("children", children, Shape::ListHead);
    found("sibling", children.map(|o| o + LIST_HEAD), Shape::ListHead);
    let is_kthread = |t: &Sample| {
        let of = parent.and_then(|o| t.u64(o)).map(VirtAddr);
        Some(t.at) == kthreadd_at || of.is_some() && of == kthreadd_at
    };
    // where pid 1 is not in the dump, any process stands for it
    let process = first.or_else(|| tasks.iter().find(|t| !is_kthread(t)));

    let is_leader = |o: usize| {
        let others = against(&|t| t.u64(o) == Some(t.at.0));
        (init.u64(o) == Some(init_at.0) && others < tasks.len()).then_some(others)
    };
    let leader = only_place(offsets(8), 0, is_leader, never);
    found("group_leader", leader, Shape::Pointer);
    // what is a kernel thread is told by its parent
    let told_apart = parent.is_some() && kthreadd_at.is_some();
    let flags = told_apart.then(|| flags(&init, process, &tasks, &is_kthread)).flatten();
    found("flags", flags, Shape::Uint);
    let spaces = told_apart.then(|| spaces(&init, &tasks, &is_kthread, &is_task));
    let (mm, active_mm) = spaces.unwrap_or_default();
    let mms: Vec<u64> = tasks.iter().filter_map(|t| t.u64(mm?)).filter(|&at| at != 0).collect();
    found("mm", mm, Shape::Pointer);
    found("active_mm", active_mm, Shape::Pointer);

    let stack = stack(s, &init, &tasks);
    found("stack", stack, Shape::Pointer);
    let state = state(&tasks, kthreadd, stack);
    found("state", state, Shape::Uint);
    // of few tasks all stacks can lie at multiples of twice their size
    let size = stack.and_then(|o| size_by_symbols(s).or_else(|| stack_size(&tasks, o)));
    if let (Some(stack), Some(size)) = (stack, size) {
        let word = |at| s.mem().u64(VirtAddr(at)).ok();
        let code = |at| s.is_image_text(VirtAddr(at));
        found("thread.sp", saved_sp(&tasks, stack, size, &word, &code), Shape::Long);
    }
    // members that stand where no kernel has them were shuffled: then no other's neighbours are known either
    let in_order = state.is_some() && state == stack.and_then(|o| o.checked_sub(8)) && tgid == pid + 4;
    let exit = if in_order { exit_state(&tasks, state) } else { left_by_zombies(&tasks, stack) };
    found("exit_state", exit, Shape::Int);
    found("exit_code", exit.filter(|_| in_order).map(|o| o + 4), Shape::Int);
    let node = thread_node(s, &init, &tasks);
    found("thread_node", node.map(|n| n.node), Shape::ListHead);
    found("signal", node.map(|n| n.signal), Shape::Pointer);
    found("thread_group", thread_group(s, &tasks, comm, tgid), Shape::ListHead);

    let mut all = vec![Struct { name: "task_struct", size: LOOK as u64, members }];
    if let Some(info) = stack.and_then(|o| thread_info(s, &tasks, o)) {
        all.push(info);
    }
    if let Some(size) = size {
        let stack = Guess { name: "stack", offset: 0, shape: Shape::Long };
        all.push(Struct { name: "thread_union", size, members: vec![stack] });
    }
    if let Some(node) = node {
        let head = Guess { name: "thread_head", offset: node.head as u64, shape: Shape::ListHead };
        all.push(Struct { name: "signal_struct", size: 0, members: vec![head] });
    }
    all.extend(super::machine::spaces(s, &mms));
    Some(all)
}

/// `flags`: PF_KTHREAD stands in those of kernel threads, and of nobody else. No half of an address holds it.
fn flags(
    init: &Sample,
    process: Option<&Sample>,
    tasks: &[Sample],
    is_kthread: &dyn Fn(&Sample) -> bool,
) -> Option<usize> {
    // beside a number below zero stands no address, but for those of the image
    let is_address = |v: u64| v >> 56 == 0xff && (v >> 32 != 0xffff_ffff || v >> 31 & 1 == 1);
    let is_pointer = |o: usize| tasks.iter().any(|t| t.u64(o & !7).is_some_and(is_address));
    let against = |o: usize| {
        let possible = !is_pointer(o)
            && init.u32(o).is_some_and(|v| v & PF_KTHREAD != 0 || v < 1 << 30)
            && process.is_some_and(|t| t.u32(o).is_some_and(|v| v != 0));
        let fits = |t: &&Sample| t.u32(o).is_some_and(|v| (v & PF_KTHREAD != 0) == is_kthread(t));
        possible.then(|| tasks.len() - tasks.iter().filter(fits).count())
    };
    only_place(offsets(4), 0, against, never)
}

/// `mm` and `active_mm`. A kernel thread has no `mm`, and every process has one that has not ended; what a task borrows or
/// has is in `active_mm`, which of a process is the same. They are neighbours, but for shuffled members.
fn spaces(
    init: &Sample,
    tasks: &[Sample],
    is_kthread: &dyn Fn(&Sample) -> bool,
    is_task: &dyn Fn(u64) -> bool,
) -> (Option<usize>, Option<usize>) {
    let is_space = |v: u64| VirtAddr(v).in_upper_half() && !is_task(v);
    let against = |o: usize| {
        let possible =
            tasks.iter().all(|t| t.u64(o).is_some_and(|v| v == 0 || is_space(v) && !is_kthread(t)))
                && init.u64(o) == Some(0)
                && tasks.iter().any(|t| t.u64(o).is_some_and(is_space));
        let ended = |t: &&Sample| !is_kthread(t) && t.u64(o) == Some(0);
        possible.then(|| tasks.iter().filter(ended).count())
    };
    let follows = |mm: usize, active: usize| {
        active != mm && tasks.iter().all(|t| t.u64(mm) == Some(0) || t.u64(mm) == t.u64(active))
    };
    // where no task borrows, the two say the same
    let same = |mm: usize, active: usize| follows(mm, active) && follows(active, mm);
    let Some(mm) = only_place(offsets(8), usize::MAX, against, same) else { return (None, None) };
    let behind = Some(mm + 8).filter(|active| follows(mm, *active));
    let beside = || only_place(offsets(8), 0, |active| follows(mm, active).then_some(0), never);
    (Some(mm), behind.or_else(beside))
}

/// `__state`: a neighbour of `stack`; where members are shuffled it is none of them, and follows the `thread_info` that a
/// task begins with. `kthreadd` sleeps, and so do most.
fn state(tasks: &[Sample], kthreadd: Option<&Sample>, stack: Option<usize>) -> Option<usize> {
    const INTERRUPTIBLE: u32 = 1;
    const FRONT: usize = 96;
    let is_state = |v: u32| u64::from(v) <= STATE_MAX;
    let is = |o: &usize| {
        let sleep = tasks.iter().filter(|t| t.u32(*o).is_some_and(|v| v & 3 != 0)).count();
        tasks.iter().all(|t| t.u32(*o).is_some_and(is_state))
            && kthreadd.and_then(|t| t.u32(*o)).is_some_and(|v| v & !0x2000 == INTERRUPTIBLE)
            && sleep * 10 >= tasks.len() * 7
    };
    let possible = |o: &usize| *o < FRONT && tasks.iter().all(|t| t.u32(*o).is_some_and(is_state));
    let beside = stack.and_then(|o| o.checked_sub(8)).filter(possible);
    let mut front = (0..FRONT).step_by(4).filter(is);
    // a member that is no state can hold such numbers: two of them tell nothing
    beside.or_else(|| front.next().filter(|_| front.next().is_none()))
}

/// Where `exit_state` is, by the zombies: they have given back their stacks, and nobody else has ended. Without one
/// nothing tells.
fn left_by_zombies(tasks: &[Sample], stack: Option<usize>) -> Option<usize> {
    const ZOMBIE: [u32; 2] = [16, 32];
    let stack = stack?;
    let gone = |t: &Sample| t.u64(stack) == Some(0);
    let is = |o: &usize| {
        tasks.iter().all(|t| match t.u32(*o) {
            Some(0) => !gone(t),
            Some(v) => gone(t) && ZOMBIE.contains(&v),
            None => false,
        })
    };
    let mut found = offsets(4).filter(is);
    let first = found.next().filter(|_| tasks.iter().any(gone))?;
    found.next().is_none().then_some(first)
}

/// Where a process's threads hang.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Threads {
    /// `task_struct.thread_node`
    node: usize,
    /// `task_struct.signal`
    signal: usize,
    /// `signal_struct.thread_head`
    head: usize,
}

/// `signal->thread_head` (3.14) and `thread_node`: of a process with one thread, each leads to the other and nowhere
/// else. `init_signals` is where `init_task` has its own.
fn thread_node(s: &Session, init: &Sample, tasks: &[Sample]) -> Option<Threads> {
    /// Longer than `struct signal_struct`.
    const SIGNAL: u64 = 4096;
    let init_signals = s.symbol("init_signals")?;
    let signal = offsets(8).find(|o| init.u64(*o) == Some(init_signals.0))?;
    let single = |t: &Sample, node: usize| -> Option<u64> {
        let (next, prev, of) = (t.u64(node)?, t.u64(node + 8)?, t.u64(signal)?);
        (next == prev).then(|| next.wrapping_sub(of)).filter(|head| *head < SIGNAL)
    };
    let mut found = offsets(8).filter_map(|node| {
        let head = single(init, node)?;
        // of the others most have one thread
        let agree = tasks.iter().filter(|t| single(t, node) == Some(head)).count();
        let back = s.mem().ptr(init_signals.add(head)) == Ok(init.at.add(node as u64));
        (back && agree * 2 > tasks.len()).then_some(Threads { node, signal, head: head as usize })
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// `int exit_state, exit_code, exit_signal`: neighbours since 2.6. Nearly every process is to tell its parent by SIGCHLD
/// when it ends; those that have not ended have no `exit_state`, and it is one of two bits of those that have.
fn exit_state(tasks: &[Sample], state: Option<usize>) -> Option<usize> {
    const SIGCHLD: u32 = 17;
    const SIGNALS: u32 = 64;
    /// EXIT_ZOMBIE and EXIT_DEAD, in whichever order.
    const ENDED: [u32; 3] = [16, 32, 48];
    /// Running and the two ways to sleep: none of them has ended.
    const ALIVE: u32 = 3;
    let lives = |t: &Sample| state.and_then(|o| t.u32(o)).is_some_and(|v| v != 0 && v & !ALIVE == 0);
    let is = |o: &usize| {
        let tells = tasks.iter().filter(|t| t.u32(o + 8) == Some(SIGCHLD)).count();
        tells * 10 >= tasks.len() * 8
            && tasks.iter().all(|t| {
                let exit = t.u32(*o).unwrap_or(1);
                (exit == 0 || ENDED.contains(&exit) && !lives(t))
                    && t.u32(o + 8).is_some_and(|v| v <= SIGNALS)
            })
    };
    let mut found = offsets(4).filter(is);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// `pid` and `tgid`: equal in every process's first thread, distinct, 1 and 2 among them. They are neighbours; where
/// members are shuffled, a thread that is not its process's first tells which is which.
fn ids(s: &Session, init: &Sample, tasks: &[Sample], whole: bool) -> Option<(usize, usize)> {
    let against = |o: usize| {
        let mut seen = FxHashSet::default();
        let is_id = |t: &&Sample| t.u32(o).is_some_and(|id| (1..=4 << 20).contains(&id) && seen.insert(id));
        let strange = tasks.len() - tasks.iter().filter(is_id).count();
        // the first two never end
        let first_two = [1, 2].into_iter().filter(|id| seen.contains(id)).count();
        (init.u32(o) == Some(0) && first_two > usize::from(whole)).then_some(strange)
    };
    let differ = |a: usize, b: usize| tasks.iter().filter(|t| t.u32(a) != t.u32(b)).count();
    let both = |o: usize| Some(against(o)? + against(o + 4)? + differ(o, o + 4));
    if let Some(pid) = only_place(offsets(4), 0, both, never) {
        return Some((pid, pid + 4));
    }
    // shuffled: as with neighbours, two tasks contradict every other
    let all: Vec<usize> =
        offsets(4).filter(|o| against(*o).is_some_and(|strange| strange < MARGIN)).collect();
    let [one, other] = all[..] else { return None };
    (against(one) == Some(0) && against(other) == Some(0)).then_some(())?;
    let threads = thread_node(s, init, tasks).map(|at| second_threads(s, tasks, at)).unwrap_or_default();
    // a thread has its process's number in `tgid`, and none has it in `pid`
    let of_leader = |o: usize| threads.iter().filter(|(leader, t)| t.u32(o) == leader.u32(o)).count();
    match (of_leader(one), of_leader(other)) {
        (0, n) if n == threads.len() => Some((one, other)),
        (n, 0) if n == threads.len() => Some((other, one)),
        _ => None,
    }
}

/// Of each process with several threads its first, and the next.
fn second_threads<'a>(s: &Session, tasks: &'a [Sample], at: Threads) -> Vec<(&'a Sample, Sample)> {
    let of = |t: &'a Sample| {
        let head = VirtAddr(t.u64(at.signal)?).add(at.head as u64);
        let next = VirtAddr(t.u64(at.node)?);
        let other = Sample::read(s, next.sub(at.node as u64)).filter(|_| next != head)?;
        (other.u64(at.signal) == t.u64(at.signal)).then_some((t, other))
    };
    tasks.iter().filter_map(of).collect()
}

/// True where the lowest words of a stack are those that the kernel puts there: the end marker, or the
/// `thread_info` that points back.
fn is_stack_of(s: &Session, stack: VirtAddr, task: VirtAddr) -> bool {
    if !s.arch().is_kernel(stack) || stack.page_offset() != 0 {
        return false;
    }
    let Ok(low) = s.mem().bytes(stack, 256) else { return false };
    let words: Vec<u64> =
        low.chunks_exact(8).filter_map(|w| w.try_into().ok().map(u64::from_le_bytes)).collect();
    words.first() == Some(&task.0) || words.first().is_some_and(|w| w & 0xffff_ffff == STACK_END_MAGIC)
}

fn stack(s: &Session, init: &Sample, tasks: &[Sample]) -> Option<usize> {
    // a zombie has none any more
    let alive = |t: &Sample, o: usize| t.u64(o).is_some_and(|v| is_stack_of(s, VirtAddr(v), t.at));
    let is = |t: &Sample, o: usize| alive(t, o);
    offsets(8).find(|&o| alive(init, o) && tasks.iter().filter(|t| is(t, o)).count() * 10 >= tasks.len() * 8)
}

/// THREAD_SIZE: stacks are aligned to their size, and the largest alignment that all have is it, from
/// 8 KiB (until 3.15) to 32 (KASAN).
fn stack_size(tasks: &[Sample], stack: usize) -> Option<u64> {
    let all = || tasks.iter().filter_map(|t| t.u64(stack)).filter(|&v| v != 0);
    [32 << 10, 16 << 10, 8 << 10]
        .into_iter()
        .find(|size| all().all(|v| v % size == 0))
        .filter(|_| all().count() > 3)
}

/// `thread.sp`: within the task's own stack and below its end. Above it is a word that is code (since 4.9), or it leads
/// to a frame pointer in the stack and the return address beside that (before, rbp being pushed last). `word` reads
/// memory, `code` says what is the image's text.
fn saved_sp(
    tasks: &[Sample],
    stack: usize,
    size: u64,
    word: &dyn Fn(u64) -> Option<u64>,
    code: &dyn Fn(u64) -> bool,
) -> Option<usize> {
    let leads_to_code = |at: u64| word(at).is_some_and(code);
    let is = |t: &Sample, o: usize| -> bool {
        let (Some(base), Some(sp)) = (t.u64(stack), t.u64(o)) else { return false };
        let end = base.saturating_add(size - 64);
        let inside = |sp: u64| sp.is_multiple_of(8) && sp > base && sp < end;
        if base == 0 || !inside(sp) {
            return false;
        }
        let framed = |bp: u64| bp > sp && inside(bp) && leads_to_code(bp.wrapping_add(8));
        (0..10).any(|n| leads_to_code(sp.wrapping_add(n * 8))) || word(sp).is_some_and(framed)
    };
    // kernel threads of 3.10 have a second such pointer (`vfork_done`, into kthread's frame), other tasks not: the one
    // that most have is meant
    let against = |o: usize| tasks.len() - tasks.iter().filter(|t| is(t, o)).count();
    only_place(offsets(8), tasks.len() / 4, |o| Some(against(o)), never)
}

/// The ring of a process's threads: of most processes it leads to itself, of one with threads to
/// tasks of the same `tgid`.
fn thread_group(s: &Session, tasks: &[Sample], comm: usize, tgid: usize) -> Option<usize> {
    offsets(8).find(|&o| {
        let mut proven = false;
        let all = tasks.iter().all(|t| {
            let head = t.at.add(o as u64);
            let Some(next) = t.u64(o).map(VirtAddr) else { return false };
            if next == head {
                return true;
            }
            if !s.arch().is_kernel(next) || s.mem().ptr(next.add(8)) != Ok(head) {
                return false;
            }
            let other = next.sub(o as u64);
            let same = s.mem().u32(other.add(tgid as u64)).ok() == t.u32(tgid);
            let name = s.mem().bytes(other.add(comm as u64), COMM).unwrap_or_default();
            let named = Sample { at: other, bytes: name }.comm(0).is_some();
            proven |= same && named && other != t.at;
            same && named
        });
        all && proven
    })
}

/// The `thread_info` at the low end of stacks (until 4.9): `task` is its first member; `cpu` is told
/// by the tasks that CPUs run.
fn thread_info(s: &Session, tasks: &[Sample], stack: usize) -> Option<Struct> {
    let of = |t: &Sample| t.u64(stack).map(VirtAddr).filter(|&at| s.mem().ptr(at) == Ok(t.at));
    let infos: Vec<(VirtAddr, VirtAddr)> = tasks.iter().filter_map(|t| Some((t.at, of(t)?))).collect();
    if infos.len() * 2 < tasks.len() {
        return None;
    }
    // not the session's own, which asks for types while it is made and so can be what called here
    let possible = &cpu::read_cpus(s).possible;
    let running: Vec<(u32, VirtAddr)> =
        possible.iter().filter_map(|&cpu| Some((cpu, cpu::current_by_variable(s, cpu).ok()?))).collect();
    let cpu = (8..64_u64).step_by(4).find(|&o| {
        infos.iter().all(|&(task, at)| {
            let Ok(value) = s.mem().u32(at.add(o)) else { return false };
            let expected = running.iter().find(|(_, t)| *t == task).map(|(cpu, _)| *cpu);
            possible.contains(&value) && expected.is_none_or(|cpu| cpu == value)
        }) && (possible.len() == 1
            || infos.iter().any(|&(_, at)| s.mem().u32(at.add(o)).is_ok_and(|v| v != 0)))
    });
    let mut members = vec![Guess { name: "task", offset: 0, shape: Shape::Pointer }];
    members.extend(cpu.map(|offset| Guess { name: "cpu", offset, shape: Shape::Uint }));
    Some(Struct { name: "thread_info", size: 0, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten tasks with `state` at 0 and, at 40, what they leave when they end; the last is a zombie.
    #[test]
    fn what_a_process_leaves_is_told_by_its_signal() {
        let mut tasks: Vec<Sample> = Vec::new();
        for n in 0..10_u8 {
            let mut bytes = vec![0xaa; 512];
            bytes[..8].fill(0);
            bytes[40..52].fill(0);
            bytes[48] = 17;
            (bytes[0], bytes[40], bytes[45]) = if n == 9 { (64, 32, 3) } else { (1, 0, 0) };
            tasks.push(Sample { at: VirtAddr(0), bytes });
        }
        assert_eq!(exit_state(&tasks, Some(0)), Some(40));
        // one that sleeps and is said to have ended
        tasks[3].bytes[40] = 16;
        assert_eq!(exit_state(&tasks, Some(0)), None);
        tasks[3].bytes[40] = 0;
        // a second place like it
        for t in &mut tasks {
            t.bytes[80..92].fill(0);
            t.bytes[88] = 17;
        }
        assert_eq!(exit_state(&tasks, Some(0)), None);
    }

    const STACKS: u64 = 0xffff_8800_0010_0000;
    const TEXT: u64 = 0xffff_ffff_8100_0000;

    /// Six tasks with their stacks at word 1, as 3.10 has them: `thread.sp` leads to rbp and flags, rbp to the caller's
    /// and the return address; the kernel threads, but not the last two tasks, also point into their oldest frame.
    #[test]
    fn the_saved_stack_pointer_of_old_tasks() {
        let mut tasks = Vec::new();
        let mut memory = std::collections::BTreeMap::new();
        for n in 0..6_u64 {
            let stack = STACKS + n * 0x4000;
            let (sp, bp, oldest) = (stack + 0x3dd0, stack + 0x3e50, stack + 0x3f00);
            memory.extend([(sp, bp), (sp + 8, 0x246), (bp, oldest), (bp + 8, TEXT + 0x29)]);
            memory.extend([(oldest, 0), (oldest + 8, TEXT + 0x95)]);
            let mut bytes = vec![0; 512];
            bytes[8..16].copy_from_slice(&stack.to_le_bytes());
            bytes[400..408].copy_from_slice(&sp.to_le_bytes());
            if n < 4 {
                bytes[200..208].copy_from_slice(&oldest.to_le_bytes());
            }
            tasks.push(Sample { at: VirtAddr(0), bytes });
        }
        let code = |at: u64| at >= TEXT;
        let word = |at: u64| memory.get(&at).copied();
        assert_eq!(saved_sp(&tasks, 8, 0x4000, &word, &code), Some(400));
        assert_eq!(saved_sp(&tasks, 8, 0x4000, &|_| None, &code), None);
    }
}
