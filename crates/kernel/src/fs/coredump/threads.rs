//! The registers that a thread had in user mode.
//!
//! A thread that was in the kernel has them where the entry saved them, at the end of its stack; one that was in user mode on a
//! CPU has them in the CPU's registers. What entries do not save lies in `task_struct` (`thread_struct`), and the floating point
//! registers in `struct fpu`, which moved: `thread.fpu.state` (a pointer to 4.1), `thread.fpu.fpstate` (5.16), and
//! behind the `task_struct` since 6.16 (cb7ca40a3882).

use crate::bind::{Field, Layouts};
use crate::error::{KernelError, Result};
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use crate::stack::stacks::task_stack;
use arch::Regs;
use base::VirtAddr;

bind! {
    /// `task_struct`
    struct FpuTask("task_struct") {
        fpu: "thread.fpu",
    }
}
bind! {
    /// `struct fpu` (arch/x86/include/asm/fpu/types.h)
    struct Fpu("fpu") {
        fpstate: "fpstate",
        state: "state",
    }
}
bind! {
    /// `struct fpstate`
    struct FpState("fpstate") { regs: "regs" }
}
bind! {
    /// `struct cpuinfo_x86`
    struct CpuInfo("cpuinfo_x86") { features: "x86_capability" }
}
bind! {
    /// `task_struct`, to 4.0: where a system call left the stack pointer
    struct OldThread("task_struct") { sp: "thread.usersp" }
}

/// The words of features that are read.
const FEATURES: usize = 8;

/// A thread of a process.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Which.
    pub task: Task,
    /// Its registers.
    pub regs: Regs,
    /// `NT_PRFPREG`; why there is none.
    pub floating: std::result::Result<Vec<u8>, String>,
}

impl Thread {
    /// The names of the registers that a core has and that are not known of it.
    #[must_use]
    pub fn unknown(&self, s: &Session) -> Vec<&'static str> {
        let all = s.arch().notes.general().into_iter();
        all.filter(|number| self.regs.get(*number).is_none())
            .filter_map(|number| s.arch().reg_set().name(number))
            .collect()
    }
}

/// A thread's registers in user mode.
///
/// # Errors
/// They are not where they should be, or not in the dump; it is a thread of the kernel.
pub fn thread(s: &Session, task: &Task) -> Result<Thread> {
    let mut regs = user_registers(s, task)?;
    let notes = s.arch().notes;
    for (number, paths) in notes.kept_by_switch() {
        if regs.get(*number).is_none() {
            regs.put(*number, kept(s, task, paths).ok());
        }
    }
    notes.settle(&mut regs);
    Ok(Thread { task: task.clone(), regs, floating: floating(s, task) })
}

/// The registers that a task came into the kernel with, or has in user mode.
fn user_registers(s: &Session, task: &Task) -> Result<Regs> {
    let frames = s.arch().frames;
    if task.active
        && let Some(regs) = task.cpu.and_then(|cpu| s.cpu_regs(cpu)).filter(|regs| frames.is_user(regs))
    {
        return Ok(regs);
    }
    let stack = task_stack(s, task);
    if stack.start.is_null() {
        return Err(KernelError::GivenUp { pid: task.pid, what: "kernel stack" });
    }
    // 16 bytes may lie behind them (FRED, 6.9)
    let last = stack.end.sub(frames.saved_layout().size);
    s.mem().u64(last)?;
    let found = frames.find_saved(s.mem(), last.sub(16), 3, &|_| false);
    let regs = found.map(|at| frames.saved(s.mem(), at)).transpose()?.filter(|regs| frames.is_user(regs));
    let mut regs = regs.ok_or_else(|| KernelError::Damaged {
        what: "kernel stack",
        at: stack.start,
        why: "no registers of user mode lie at its end".to_owned(),
    })?;
    let short = s.arch().notes.short_calls();
    // a system call has its number there, an exception -1 or an error code: those came the long way
    let is_call = regs.entry_code().is_some_and(|code| code < 1 << 16);
    // where the names are lost, it can have been the short way
    let may_be_there = |name: &&str| match s.optional_symbol(name) {
        Ok(at) => at.is_some(),
        Err(e) => e.is_loss(),
    };
    if is_call && short.functions.iter().any(may_be_there) {
        short.unsaved.iter().for_each(|number| regs.clear(*number));
        let old = s.bind::<OldThread>();
        if old.sp.exists() {
            regs.put(regs.reg_set().sp, old.sp.u64(s.mem(), task.at).ok());
        }
    }
    Ok(regs)
}

/// What the switch away from a task left in its `task_struct`.
fn kept(s: &Session, task: &Task, paths: &'static [&'static str]) -> Result<u64> {
    let ty = s.bind::<TaskStruct>().ty;
    let layouts = Layouts { types: s.types(), hints: s };
    let first = paths.first().copied().unwrap_or("thread");
    Field::bind(&layouts, "task_struct", ty, first, paths).num(s.mem(), task.at)
}

/// The floating point registers, as a core has them.
fn floating(s: &Session, task: &Task) -> std::result::Result<Vec<u8>, String> {
    let notes = s.arch().notes;
    if notes.floating_len() == 0 {
        return Err("where this architecture keeps them is not known".to_owned());
    }
    if task.active {
        return Err("they were in its CPU, and no dump has them".to_owned());
    }
    let read = || {
        let at = area(s, task)?;
        let info = s.bind::<CpuInfo>();
        let features = info.features.at(s.need_symbol("boot_cpu_data")?)?;
        let words: Result<Vec<u32>> =
            (0..FEATURES as u64).map(|n| Ok(s.mem().u32(features.add(n * 4))?)).collect();
        Ok((s.mem().bytes(at, notes.floating_len())?, words?))
    };
    let (kept, features) = read().map_err(|e: KernelError| e.to_string())?;
    notes.floating(&kept, &features).ok_or_else(|| "what is kept of them is no such area".to_owned())
}

/// Where a thread's floating point registers were saved.
fn area(s: &Session, task: &Task) -> Result<VirtAddr> {
    let (own, fpu) = (s.bind::<FpuTask>(), s.bind::<Fpu>());
    let at = match own.fpu.at(task.at) {
        Ok(at) => at,
        Err(e @ KernelError::NoMember { .. }) => task.at.add(own.size.ok_or(e)?),
        Err(e) => return Err(e),
    };
    let area = if fpu.fpstate.exists() {
        s.bind::<FpState>().regs.at(fpu.fpstate.ptr(s.mem(), at)?)?
    } else if fpu.state.size()? == 8 {
        fpu.state.ptr(s.mem(), at)?
    } else {
        fpu.state.at(at)?
    };
    if !s.arch().is_kernel(area) {
        let why = format!("its state is at {area:#x}, which is not in the kernel's memory");
        return Err(KernelError::Damaged { what: "fpu", at, why });
    }
    Ok(area)
}
