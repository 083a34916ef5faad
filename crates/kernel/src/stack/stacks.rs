//! The stacks that a CPU runs on: its task's, the IRQ stack, and one for each exception that must
//! not trust the others (NMI, double fault, debug, machine check).

use crate::sched::task::Task;
use crate::session::Session;
use base::VirtAddr;
use std::ops::Range;
use unwind::Stack;

/// THREAD_SIZE where nothing tells: 16 KiB since 3.15 (6538b8ea886e).
const THREAD_SIZE: u64 = 16 << 10;
/// The name of a CPU's IRQ stack.
pub const IRQ_STACK: &str = "IRQ stack";

bind! {
    /// `union thread_union`: a task's stack
    struct ThreadUnion("thread_union") { stack: "stack" }
}
bind! {
    /// `struct cea_exception_stacks` (arch/x86/include/asm/cpu_entry_area.h), since 5.2
    struct ExceptionStacks("cea_exception_stacks") {
        df: "DF_stack",
        nmi: "NMI_stack",
        db: "DB_stack",
        mce: "MCE_stack",
        vc: "VC_stack",
        vc2: "VC2_stack",
    }
}
bind! {
    /// `struct pcpu_hot`, 6.2 to 6.14
    struct PcpuHot("pcpu_hot") {
        hardirq_stack_ptr: "hardirq_stack_ptr",
        hardirq_stack_inuse: "hardirq_stack_inuse",
        preempt_count: "preempt_count",
    }
}
bind! {
    /// `struct orig_ist`, until 5.1: the tops of the exception stacks
    struct OrigIst("orig_ist") { ist: "ist" }
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
    irq_stack(s, cpu).is_some() && (!exceptions.is_empty() || !s.arch().has_exception_stacks())
}

/// The per-CPU pointer to the top of the IRQ stack, under any of its names, or the stack itself.
fn irq_stack(s: &Session, cpu: u32) -> Option<(VirtAddr, VirtAddr)> {
    let mem = s.mem();
    let told = |pointer: VirtAddr| {
        let range = s.arch().irq_stack(pointer, thread_size(s));
        (!pointer.is_null()).then_some((range.start, range.end))
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
    let range = s.arch().irq_stack_from(s.per_cpu("irq_stack_union", cpu).ok()?)?;
    Some((range.start, range.end))
}

/// True where a CPU has an IRQ stack, and what tells where is not in the dump.
pub fn irq_stack_is_lost(s: &Session, cpu: u32) -> bool {
    let told_by = ["hardirq_stack_ptr", "irq_stack_ptr", "pcpu_hot", "irq_stack_union"];
    told_by.iter().any(|name| s.symbol(name).is_some()) && irq_stack(s, cpu).is_none()
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

fn exception_stacks(s: &Session, cpu: u32, out: &mut Vec<Stack>) {
    let mem = s.mem();
    let b = s.bind::<ExceptionStacks>();
    if let Ok(base) = s.per_cpu("cea_exception_stacks", cpu)
        && let Ok(base) = mem.ptr(base)
        && !base.is_null()
    {
        let all = [
            ("DOUBLEFAULT", &b.df),
            ("NMI", &b.nmi),
            ("DEBUG", &b.db),
            ("MCE", &b.mce),
            ("VC", &b.vc),
            ("VC2", &b.vc2),
        ];
        for (name, field) in all {
            if let (Ok(start), Ok(size)) = (field.at(base), field.size())
                && size != 0
            {
                out.push(Stack { name: format!("{name} exception stack"), start, end: start.add(size) });
            }
        }
        return;
    }
    let Ok(ist) = s.per_cpu("orig_ist", cpu) else { return };
    // the struct is that array and nothing else, should its type not be known
    let ist = s.bind::<OrigIst>().ist.at(ist).unwrap_or(ist);
    let tops: Vec<VirtAddr> = (0..5).map_while(|n| mem.ptr(ist.add(n * 8)).ok()).collect();
    for (name, stack) in ist_stacks(&tops) {
        out.push(Stack { name: format!("{name} exception stack"), start: stack.start, end: stack.end });
    }
}

/// The stacks whose tops the interrupt stack table had before 5.2. They lie one behind the other, each of a page
/// (EXCEPTION_STKSZ) but the debug stack's two; a stack for stack faults came first until 3.18 (6f442be2fb22, in
/// older kernels of distributions as well), and where the debug stack stands tells whether it does.
fn ist_stacks(tops: &[VirtAddr]) -> Vec<(&'static str, Range<VirtAddr>)> {
    let wide = |(n, pair): (usize, &[VirtAddr])| match pair {
        [a, b] => (b.0.wrapping_sub(a.0) == 8192).then_some(n + 1),
        _ => None,
    };
    let debug = tops.windows(2).enumerate().find_map(wide);
    let names: &[&str] = match debug {
        Some(3) => &["STACKFAULT", "DOUBLEFAULT", "NMI", "DEBUG", "MCE"],
        _ => &["DOUBLEFAULT", "NMI", "DEBUG", "MCE"],
    };
    let named = names.iter().zip(tops).filter(|(_, top)| !top.is_null());
    named.map(|(name, top)| (*name, top.sub(if *name == "DEBUG" { 8192 } else { 4096 })..*top)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exception_stacks_by_where_the_debug_stack_stands() {
        let at = |n: u64| VirtAddr(0xffff_8880_0001_0000 + n * 0x1000);
        let names = |tops: &[VirtAddr]| {
            ist_stacks(tops).iter().map(|(name, r)| (*name, (r.end.0 - r.start.0) >> 12)).collect::<Vec<_>>()
        };
        let new = [("DOUBLEFAULT", 1), ("NMI", 1), ("DEBUG", 2), ("MCE", 1)];
        assert_eq!(names(&[at(1), at(2), at(4), at(5), VirtAddr(0)]), new);
        let old = [("STACKFAULT", 1), ("DOUBLEFAULT", 1), ("NMI", 1), ("DEBUG", 2), ("MCE", 1)];
        assert_eq!(names(&[at(1), at(2), at(3), at(5), at(6)]), old);
        assert_eq!(ist_stacks(&[at(1), at(2), at(4), at(5)])[2].1, at(2)..at(4));
        assert_eq!(names(&[VirtAddr(0), VirtAddr(0)]), []);
    }
}
