//! Return addresses that tracers took from stacks: the function graph tracer and return probes put an address of their own
//! in the word of a stack that a function returns by, and note what was there.
//!
//! Function graph tracing notes it at `task_struct.ret_stack`: an array of `struct ftrace_ret_stack`, since 6.11
//! (42675b723b48) words among which those structures lie. A return probe notes it in a `struct rethook_node`, on the list
//! of its task (5.18, 54ecbe6f1ed5); from 5.11 (d741bf41d7c7) on in a `struct kretprobe_instance` on such a list, before
//! that in one of a table for all tasks.
//!
//! A note says which word of the stack it is of: `retp` (4.9, 9a7c348ba6a4), `frame`, `fp` (5.1, b191fa96ea6d). Older ones
//! say which function was called; where that leaves several, none is taken.

use crate::session::{Fact, Memo, Session};
use crate::stack::code::{is_moved, moved_from};
use base::VirtAddr;
use debuginfo::types::Type;
use std::sync::Arc;

bind! {
    /// What tracers note in `struct task_struct`
    struct TracedTask("task_struct") {
        ret_stack: "ret_stack",
        curr_ret_stack: "curr_ret_stack",
        rethooks: "rethooks.first",
        kretprobes: "kretprobe_instances.first",
    }
}
bind! {
    /// `struct ftrace_ret_stack` (include/linux/ftrace.h)
    struct GraphReturn("ftrace_ret_stack") { ret: "ret", func: "func", retp: "retp" }
}
bind! {
    /// `struct rethook_node` (include/linux/rethook.h)
    struct RethookNode("rethook_node") { llist: "llist", ret_addr: "ret_addr", frame: "frame" }
}
bind! {
    /// `struct kretprobe_instance` (include/linux/kprobes.h)
    struct ProbeReturn("kretprobe_instance") {
        llist: "llist",
        hlist: "hlist",
        ret_addr: "ret_addr",
        task: "task",
        rp: "rp",
        fp: "fp",
    }
}
bind! {
    /// `struct kretprobe`
    struct Kretprobe("kretprobe") { addr: "kp.addr" }
}

/// The words of a task's `ret_stack` (`SHADOW_STACK_SIZE` is a page), and its entries before (`FTRACE_RETFUNC_DEPTH` is 50).
const MAX_WORDS: u64 = 4096;
/// What is added where the tracer shall not follow (`FTRACE_NOTRACE_DEPTH`).
const NOTRACE_DEPTH: i32 = 65536;
/// The buckets of `kretprobe_inst_table` (`KPROBE_TABLE_SIZE`).
const BUCKETS: u64 = 64;
/// More return probes than a task's stack has room for.
const MAX_PROBES: usize = 4096;
/// How often an address is looked up that was itself put there by another tracer.
const MAX_TRACERS: usize = 8;

/// One return address, as it was before a tracer took it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Note {
    /// The word of the stack that it was in, or (where calls leave their return address in a register) the frame pointer of
    /// the caller.
    at: Option<u64>,
    /// The function that was called, or its probed instruction.
    function: Option<VirtAddr>,
    /// What was there.
    back: VirtAddr,
}

/// The addresses that tracers put on stacks, and what they noted of each task that was asked for; innermost notes first.
#[derive(Default)]
pub(crate) struct Tracers {
    graph: Option<VirtAddr>,
    probes: Vec<VirtAddr>,
    notes: Memo<(VirtAddr, bool), Arc<Vec<Note>>>,
}

impl Fact for Tracers {
    fn read(s: &Session) -> Self {
        // renamed in 5.16 (adf8a61a940c), and since 5.18 that of rethooks
        let probes = ["arch_rethook_trampoline", "__kretprobe_trampoline", "kretprobe_trampoline"];
        Self {
            graph: s.symbol("return_to_handler"),
            probes: probes.iter().filter_map(|name| s.symbol(name)).collect(),
            notes: Memo::default(),
        }
    }
}

impl Tracers {
    /// True for an address that a tracer puts in the place of return addresses.
    pub(crate) fn is_theirs(&self, at: VirtAddr) -> bool {
        self.graph == Some(at) || self.probes.contains(&at)
    }

    /// The return address that a tracer took from the word at `slot` of a task's stack; what is there where none did, or
    /// where nothing tells.
    pub(crate) fn before(
        &self,
        s: &Session,
        task: Option<VirtAddr>,
        slot: VirtAddr,
        word: VirtAddr,
        callee: Option<VirtAddr>,
    ) -> VirtAddr {
        let mut found = word;
        let Some(task) = task.filter(|_| self.is_theirs(word)) else { return word };
        // one tracer can have taken what another one put there
        for _ in 0..MAX_TRACERS {
            if !self.is_theirs(found) {
                return found;
            }
            let by_graph = self.graph == Some(found);
            let notes = self.notes.get(s, (task, by_graph), || {
                Arc::new(if by_graph { graph(s, task) } else { probes(s, task) }.unwrap_or_default())
            });
            let others = notes.iter().filter(|note| note.back != found);
            match pick(s, others, slot, callee) {
                Some(back) => found = back,
                None => return word,
            }
        }
        word
    }
}

/// The note of a word of the stack, or of the one call of a function.
fn pick<'n>(
    s: &Session,
    notes: impl Iterator<Item = &'n Note> + Clone,
    slot: VirtAddr,
    callee: Option<VirtAddr>,
) -> Option<VirtAddr> {
    // the frame record below the return address has the caller's frame pointer
    let by_register = s.arch().reg_set().roles.link.is_some();
    let fp = || s.mem().u64(slot.sub(8)).ok().filter(|_| by_register);
    let is_at = |at: u64| at == slot.0 || Some(at) == fp();
    if let Some(note) = notes.clone().find(|note| note.at.is_some_and(is_at)) {
        return Some(note.back);
    }
    let called = own_function(s, callee?)?;
    let is_of =
        |note: &&Note| note.at.is_none() && note.function.and_then(|at| own_function(s, at)) == Some(called);
    let mut of_function = notes.filter(is_of);
    let first = of_function.next()?.back;
    of_function.all(|note| note.back == first).then_some(first)
}

/// The function that an address lies in; of a part that the compiler moved away, the one that it is of.
fn own_function(s: &Session, at: VirtAddr) -> Option<VirtAddr> {
    let symbol = s.locate(at)?.symbol;
    if is_moved(&symbol) { moved_from(s, &symbol).map(|p| p.addr) } else { Some(symbol.addr) }
}

/// What function graph tracing noted of a task.
fn graph(s: &Session, task: VirtAddr) -> crate::Result<Vec<Note>> {
    let (t, b, mem) = (s.bind::<TracedTask>(), s.bind::<GraphReturn>(), s.mem());
    let (start, top) = (t.ret_stack.ptr(mem, task)?, t.curr_ret_stack.i32(mem, task)?);
    if start.is_null() {
        return Ok(Vec::new());
    }
    let top = if top < -1 { top.saturating_add(NOTRACE_DEPTH) } else { top };
    // words since 6.11: a structure can begin at each, and `top` is the next free one
    let among_words = !points_to_struct(s, &t)?;
    let size = b.size.unwrap_or(0).max(b.retp.offset().map_or(0, |at| at + 8));
    let count = u64::try_from(top.saturating_add(i32::from(!among_words))).unwrap_or(0).min(MAX_WORDS);
    let step = if among_words { 8 } else { size };
    if size == 0 || among_words && !b.retp.exists() {
        return Ok(Vec::new());
    }
    let end = start.add(count.saturating_mul(step));
    let places = (0..count).rev().map(|n| start.add(n * step)).filter(|at| at.add(size) <= end);
    let mut out = Vec::new();
    let mut whole = true;
    for at in places {
        let Ok(back) = b.ret.ptr(mem, at) else {
            whole = false;
            continue;
        };
        let back = s.opened().machine.plain_code(back);
        if s.is_text(back) {
            let place = b.retp.ptr(mem, at);
            // without the place that it is of it could be any of a function's
            whole &= place.is_ok() || !b.retp.exists();
            let place = place.ok().map(|at| at.0);
            out.push(Note { at: place, function: b.func.ptr(mem, at).ok(), back });
        }
    }
    Ok(sure(out, whole))
}

/// Where not all notes could be read, those that name a word of the stack: the only note of a function may be one of several.
fn sure(mut notes: Vec<Note>, whole: bool) -> Vec<Note> {
    if !whole {
        notes.retain(|note| note.at.is_some());
    }
    notes
}

fn points_to_struct(s: &Session, t: &TracedTask) -> crate::Result<bool> {
    let pointer = s.types().resolve(t.ret_stack.ty()?).map(|(_, ty)| ty);
    let target = match pointer.as_deref() {
        Ok(Type::Pointer { to }) => s.types().resolve(*to).map(|(_, ty)| ty),
        _ => return Ok(true),
    };
    Ok(matches!(target.as_deref(), Ok(Type::Compound { .. })))
}

/// What return probes noted of a task, under whichever of their three ways.
fn probes(s: &Session, task: VirtAddr) -> crate::Result<Vec<Note>> {
    let (t, b, mem) = (s.bind::<TracedTask>(), s.bind::<ProbeReturn>(), s.mem());
    if t.rethooks.exists() {
        let node = s.bind::<RethookNode>();
        let of = |at| {
            let back = node.ret_addr.ptr(mem, at)?;
            Ok(Note { at: Some(node.frame.u64(mem, at)?), function: None, back })
        };
        let found =
            chain(s, t.rethooks.ptr(mem, task)?, &mut |link| of(node.llist.container(link)?).map(Some));
        if !found.is_empty() || !b.llist.exists() {
            return Ok(found);
        }
    }
    let rp = s.bind::<Kretprobe>();
    let of = |at| {
        let back = b.ret_addr.ptr(mem, at)?;
        let probe = b.rp.ptr(mem, at).and_then(|probe| rp.addr.ptr(mem, probe)).ok();
        Ok(Note { at: b.fp.u64(mem, at).ok(), function: probe, back })
    };
    if b.llist.exists() && t.kretprobes.exists() {
        let first = t.kretprobes.ptr(mem, task)?;
        return Ok(chain(s, first, &mut |link| of(b.llist.container(link)?).map(Some)));
    }
    let table = s.need_symbol("kretprobe_inst_table")?;
    for bucket in 0..BUCKETS {
        // a bucket has tasks whose addresses have the same hash; one that is damaged says nothing of the others
        let Ok(first) = mem.ptr(table.add(bucket * 8)) else { continue };
        let found = chain(s, first, &mut |link| {
            let at = b.hlist.container(link)?;
            let own = b.task.ptr(mem, at)? == task;
            own.then(|| of(at)).transpose()
        });
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// The notes of a list whose links begin with the pointer to the next one, as far as they can be read.
fn chain(
    s: &Session,
    first: VirtAddr,
    each: &mut dyn FnMut(VirtAddr) -> crate::Result<Option<Note>>,
) -> Vec<Note> {
    let mut out = Vec::new();
    let mut whole = true;
    let mut next = first;
    for _ in 0..MAX_PROBES {
        if next.is_null() {
            return sure(out, whole);
        }
        match each(next) {
            Ok(note) => out.extend(note),
            Err(_) => whole = false,
        }
        match s.mem().ptr(next) {
            Ok(at) => next = at,
            Err(_) => break,
        }
    }
    sure(out, false)
}

#[cfg(test)]
#[path = "swapped_tests.rs"]
mod tests;
