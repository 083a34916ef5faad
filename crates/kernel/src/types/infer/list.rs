//! The list of all processes, of which only the head is known: the one that leads from `init_task` through tasks with names.

use super::evidence::{never, only_place};
use super::task::{COMM, LIST_HEAD, MAX_TASKS, Sample, TASK_MIN, name_in, offsets};
use crate::containers::list::list;
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

/// The list of all processes.
pub(super) struct List {
    /// `task_struct.tasks`
    pub(super) offset: usize,
    /// The tasks on it, in its order: those behind a gap are found from its other end.
    pub(super) all: Vec<VirtAddr>,
    /// How many of them follow each other from the list's start.
    pub(super) front: usize,
    /// Those that are in the dump, but for their last members.
    pub(super) tasks: Vec<Sample>,
    /// True where these are all there are.
    pub(super) whole: bool,
}

/// A list, walked.
struct Walked {
    /// `task_struct.tasks`, if it is that list.
    offset: usize,
    all: Vec<VirtAddr>,
    /// How many were found from its start.
    front: usize,
    /// How many of them have a name.
    named: usize,
    /// True where the list leads back to its head.
    unbroken: bool,
}

/// The list that leads from `init_task` through tasks with names and back, the longest there is. A page of a task that is
/// missing ends it in one direction, and it is followed in the other.
pub(super) fn task_list(s: &Session, init: &Sample, comm: usize) -> Option<List> {
    let mut lists: Vec<Walked> = Vec::new();
    for o in offsets(8) {
        let head = init.at.add(o as u64);
        let (Some(next), Some(prev)) = (init.u64(o).map(VirtAddr), init.u64(o + 8).map(VirtAddr)) else {
            break;
        };
        // one of the two must lead back; the other can be damaged, or lead to what is not in the dump
        let leads_back = [(next, 8), (prev, 0)]
            .map(|(at, back)| s.arch().is_kernel(at) && s.mem().ptr(at.add(back)) == Ok(head));
        if next == head || !leads_back.contains(&true) {
            continue;
        }
        lists.extend(names_of_list(s, head, o, comm as u64));
    }
    // what stands beside a name can be zeros, which contradict nothing
    if lists.iter().all(|list| list.named < 2) {
        lists.extend(by_children(s, init, comm as u64));
    }
    let most = lists.iter().map(|list| list.named).max()?;
    let fewer = |n: usize| lists.get(n).map(|list| most - list.named);
    let place = only_place(0..lists.len(), usize::MAX, fewer, never)?;
    let Walked { offset, all, front, unbroken, .. } = lists.into_iter().nth(place)?;
    let mut tasks: Vec<Sample> = all.iter().filter_map(|at| Sample::read(s, *at)).collect();
    // a task of which a page is not in the dump contradicts nothing that all others say
    let most = tasks.iter().map(|t| t.bytes.len()).max()?;
    tasks.retain(|t| t.bytes.len() >= most.min(TASK_MIN));
    let whole = unbroken && tasks.len() == all.len();
    (tasks.len() >= 2).then_some(List { offset, all, front, tasks, whole })
}

/// Where neither end of the list leads anywhere: the children of `init_task` are tasks of it, and lead to the others.
fn by_children(s: &Session, init: &Sample, comm: u64) -> Vec<Walked> {
    let child = offsets(8).find_map(|o| child_at(s, init, o, comm));
    let around =
        |child: VirtAddr| offsets(8).filter_map(move |o| around(s, child, init.at, o, comm)).collect();
    child.map(around).unwrap_or_default()
}

/// The first child, if `o` is where `children` is: a list of tasks with names that leads through their `sibling` and back.
fn child_at(s: &Session, init: &Sample, o: usize, comm: u64) -> Option<VirtAddr> {
    let head = init.at.add(o as u64);
    let task = |node: VirtAddr| node.sub((o + LIST_HEAD) as u64);
    let mut all = list(s.mem(), head).take(MAX_TASKS);
    let first = all.next()?.ok()?;
    let is_task = |node: VirtAddr| {
        let name = s.mem().bytes(task(node).add(comm), COMM);
        task(node) != init.at && name.is_ok_and(|bytes| name_in(&bytes).is_some())
    };
    // pid 1 and pid 2 at least
    let mut others = 0_usize;
    let fits = is_task(first)
        && all.all(|node| {
            others = others.saturating_add(1);
            node.is_ok_and(is_task)
        });
    (fits && others > 0).then(|| task(first))
}

/// The tasks of the list at offset `o` that a task is on, in the list's order from the one behind `init_task` on, which it
/// has to hold too.
fn around(s: &Session, child: VirtAddr, init: VirtAddr, o: usize, comm: u64) -> Option<Walked> {
    let node = child.add(o as u64);
    let found = names_of_list(s, node, o, comm)?;
    let place = found.all.iter().position(|at| *at == init)?;
    // forward from the child to the head, and backward from the child to it
    let (before, behind) = (found.all.get(..place)?, found.all.get(place.saturating_add(1)..)?);
    let mut all = behind.to_vec();
    all.push(child);
    all.extend(before);
    let ends = [(all.first()?, 8), (all.last()?, 0)];
    let head = init.add(o as u64);
    let unbroken = ends.iter().all(|(at, link)| s.mem().ptr(at.add(o as u64 + link)) == Ok(head));
    Some(Walked { offset: o, front: all.len(), all, named: found.named, unbroken })
}

/// The tasks of a list in its order, walked from both ends; `None` where an entry's name is none.
fn names_of_list(s: &Session, head: VirtAddr, offset: usize, comm: u64) -> Option<Walked> {
    let mem = s.mem();
    let mut seen = FxHashSet::default();
    let mut ends = [Vec::new(), Vec::new()];
    let (mut named, mut unbroken) = (0, false);
    for (link, out) in [0, 8].into_iter().zip(&mut ends) {
        let mut at = head;
        // a pointer of the head that is damaged leads to what is no task
        let is_back = |next: VirtAddr| mem.ptr(next.add(8 - link)).map_or(true, |back| back == head);
        if !mem.ptr(head.add(link)).is_ok_and(is_back) {
            continue;
        }
        while let Ok(next) = mem.ptr(at.add(link)) {
            if next == head || !s.arch().is_kernel(next) || seen.len() >= MAX_TASKS || !seen.insert(next) {
                break;
            }
            let task = next.sub(offset as u64);
            match mem.bytes(task.add(comm), COMM) {
                // a page of zeros is as good as missing
                Ok(bytes) if bytes.iter().all(|b| *b == 0) => {}
                Ok(bytes) if name_in(&bytes).is_some() => named += 1,
                Ok(_) => return None,
                Err(_) => {}
            }
            out.push(task);
            at = next;
        }
        unbroken = mem.ptr(at.add(link)) == Ok(head);
        if unbroken {
            break;
        }
    }
    let [mut all, back] = ends;
    let front = all.len();
    all.extend(back.into_iter().rev());
    Some(Walked { offset, all, front, named, unbroken })
}
