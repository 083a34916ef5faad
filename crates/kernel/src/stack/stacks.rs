//! The stacks that a CPU runs on: its task's, the IRQ stack, and one for each exception that must
//! not trust the others (NMI, double fault, debug, machine check).

use crate::sched::task::Task;
use crate::session::{Fact, Session};
use arch::StackSource;
use base::{Fault, VirtAddr};
use debuginfo::types::Space;
use std::ops::Range;
pub use unwind::Stack;

/// THREAD_SIZE where nothing tells: 16 KiB since 3.15 (6538b8ea886e).
const THREAD_SIZE: u64 = 16 << 10;
/// The name of a CPU's IRQ stack.
pub const IRQ_STACK: &str = "IRQ stack";

bind! {
    /// `union thread_union`: a task's stack
    struct ThreadUnion("thread_union") { stack: "stack" }
}
bind! {
    /// `struct pcpu_hot`, 6.2 to 6.14
    struct PcpuHot("pcpu_hot") {
        hardirq_stack_ptr: "hardirq_stack_ptr",
        hardirq_stack_inuse: "hardirq_stack_inuse",
        preempt_count: "preempt_count",
    }
}

/// Bytes of a task's kernel stack (THREAD_SIZE).
pub fn thread_size(s: &Session) -> u64 {
    let known = s.bind::<ThreadUnion>().size.filter(|n| n.is_power_of_two() && (4096..=1 << 20).contains(n));
    known.or_else(|| size_by_symbols(s)).unwrap_or(THREAD_SIZE)
}

/// `THREAD_SIZE` by init's own stack, which the linker's symbols enclose.
pub(crate) fn size_by_symbols(s: &Session) -> Option<u64> {
    let start = s.symbol("init_thread_union")?;
    let end = s.symbol("__end_init_task").or_else(|| s.symbol("init_stack_end"))?;
    Some(end.0.wrapping_sub(start.0)).filter(|size| matches!(size, 8192 | 16384 | 32768 | 65536))
}

/// A task's own stack; an empty one where it is given back, or not known.
pub fn task_stack(s: &Session, task: &Task) -> Stack {
    let name = String::new();
    match task.stack.filter(|at| !at.is_null()) {
        Some(at) => {
            let start = at.page_base();
            Stack { name, start, end: start.add(thread_size(s)) }
        }
        None => Stack { name, start: VirtAddr(0), end: VirtAddr(0) },
    }
}

/// The stacks of a CPU besides its task's.
pub fn cpu_stacks(s: &Session, cpu: u32) -> Vec<Stack> {
    let mut out = Vec::new();
    if let Some((start, end)) = irq_stack(s, cpu) {
        out.push(Stack { name: IRQ_STACK.into(), start, end });
    }
    exception_stacks(s, cpu, &mut out);
    out
}

/// Whether the stacks of a CPU besides its task's are all known.
pub(crate) fn has_all_stacks(s: &Session, cpu: u32) -> bool {
    let mut exceptions = Vec::new();
    exception_stacks(s, cpu, &mut exceptions);
    irq_stack(s, cpu).is_some() && (!exceptions.is_empty() || s.arch().stacks().exceptions().is_empty())
}

/// The per-CPU pointer to the top of the IRQ stack, under any of its names, or the stack itself.
fn irq_stack(s: &Session, cpu: u32) -> Option<(VirtAddr, VirtAddr)> {
    let mem = s.mem();
    let told = |pointer: VirtAddr| {
        let range = s.arch().stacks().irq(pointer, thread_size(s)).filter(|_| !pointer.is_null())?;
        Some((range.start, range.end))
    };
    for name in ["hardirq_stack_ptr", "irq_stack_ptr"] {
        if let Some(range) = s.per_cpu(name, cpu).ok().and_then(|at| mem.ptr(at).ok()).and_then(told) {
            return Some(range);
        }
    }
    if let Ok(hot) = s.per_cpu("pcpu_hot", cpu)
        && let Ok(top) = s.bind::<PcpuHot>().hardirq_stack_ptr.ptr(mem, hot)
    {
        return told(top);
    }
    // until 5.2 it lies among the CPU's variables itself, with nothing behind its end to point to
    let range = s.arch().stacks().irq_from(s.per_cpu("irq_stack_union", cpu).ok()?)?;
    Some((range.start, range.end))
}

/// True where a CPU has an IRQ stack, and what tells where is not in the dump.
pub fn irq_stack_is_lost(s: &Session, cpu: u32) -> bool {
    let told_by = ["hardirq_stack_ptr", "irq_stack_ptr", "pcpu_hot", "irq_stack_union"];
    told_by.iter().any(|name| s.symbol(name).is_some()) && irq_stack(s, cpu).is_none()
}

/// Why it is not known where the stacks of a CPU besides its task's are: the dump lost what points to them.
pub fn lost_pointer(s: &Session, cpu: u32) -> Option<Fault> {
    let read = |name| s.mem().ptr(s.per_cpu(name, cpu).ok()?).err().filter(Fault::is_loss);
    let exceptions = s.arch().stacks().exceptions().iter().map(|source| match source {
        StackSource::Members { pointer, .. } => *pointer,
        StackSource::Tops { table, .. } => *table,
    });
    ["hardirq_stack_ptr", "irq_stack_ptr", "pcpu_hot"].into_iter().chain(exceptions).find_map(read)
}

/// Whether a CPU is on its IRQ stack, by what entry code itself goes by: `hardirq_stack_inuse` since 5.12
/// (951c2a51ae75), before that `irq_count`, which is -1 while the stack is free.
pub fn irq_stack_in_use(s: &Session, cpu: u32) -> Option<bool> {
    let mem = s.mem();
    let byte = |at: VirtAddr| mem.u8(at).ok().map(|b| b != 0);
    if let Ok(at) = s.per_cpu("hardirq_stack_inuse", cpu) {
        return byte(at);
    }
    if let Ok(hot) = s.per_cpu("pcpu_hot", cpu) {
        return s.bind::<PcpuHot>().hardirq_stack_inuse.at(hot).ok().and_then(byte);
    }
    let count = s.per_cpu("irq_count", cpu).ok()?;
    mem.u32(count).ok().map(|n| !n.cast_signed().is_negative())
}

/// Whether a CPU is in an NMI: the bits that `nmi_enter` counts in the preemption count (include/linux/preempt.h).
pub fn in_nmi(s: &Session, cpu: u32) -> Option<bool> {
    const NMI_MASK: u32 = 0xf << 20;
    let at = match s.per_cpu("pcpu_hot", cpu) {
        Ok(hot) => s.bind::<PcpuHot>().preempt_count.at(hot).ok()?,
        Err(_) => s.per_cpu("__preempt_count", cpu).ok()?,
    };
    s.mem().u32(at).ok().map(|count| count & NMI_MASK != 0)
}

/// Where in their structs the members are that are stacks: by the struct's name.
#[derive(Default)]
struct StackMembers(Vec<(&'static str, Vec<Member>)>);

/// A stack's name, its offset in the struct and its size.
type Member = (&'static str, u64, u64);

impl Fact for StackMembers {
    fn read(s: &Session) -> Self {
        let sources = s.arch().stacks().exceptions().iter();
        let read = sources.filter_map(|source| match source {
            StackSource::Members { of, stacks, .. } => Some((*of, members(s, of, stacks))),
            StackSource::Tops { .. } => None,
        });
        Self(read.collect())
    }
}

fn members(s: &Session, of: &str, stacks: &[(&'static str, &str)]) -> Vec<Member> {
    let types = s.types();
    let Some(of) = types.find(Space::Struct, of).first().copied() else { return Vec::new() };
    let place = |(name, member): &(&'static str, &str)| {
        let found = types.member(of, member).ok()??;
        Some((*name, found.offset(), types.size_of(found.ty).ok().filter(|size| *size != 0)?))
    };
    stacks.iter().filter_map(place).collect()
}

/// The stacks of exceptions, by the first source of the architecture's that the kernel has.
fn exception_stacks(s: &Session, cpu: u32, out: &mut Vec<Stack>) {
    let found: Option<Vec<(&str, Range<VirtAddr>)>> =
        s.arch().stacks().exceptions().iter().find_map(|source| match source {
            StackSource::Members { pointer, of, .. } => {
                let base = s.mem().ptr(s.per_cpu(pointer, cpu).ok()?).ok().filter(|at| !at.is_null())?;
                let (_, all) = s.fact::<StackMembers>().0.iter().find(|(name, _)| name == of)?;
                let range = |at: u64, size: u64| base.add(at)..base.add(at.saturating_add(size));
                Some(all.iter().map(|(name, at, size)| (*name, range(*at, *size))).collect())
            }
            StackSource::Tops { table, count, stacks } => {
                let table = s.per_cpu(table, cpu).ok()?;
                let tops: Vec<_> = (0..*count).map_while(|n| s.mem().ptr(table.add(n * 8)).ok()).collect();
                Some(stacks(&tops))
            }
        });
    for (name, stack) in found.unwrap_or_default() {
        out.push(Stack { name: format!("{name} exception stack"), start: stack.start, end: stack.end });
    }
}
