//! Whether registers fit the kernel's memory: program counter in code that can run, stack pointer on a stack of the CPU,
//! page tables the kernel's own, user addresses those of the task that the CPU ran.
//!
//! **Invariant:** there are three answers. Where the page or the list that would tell is not in the dump, registers neither
//! fit nor are contradicted: they are used, and marked.

use crate::mm::address_space;
use crate::mm::vma;
use crate::sched::cpu::per_cpu_offset;
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use crate::stack::registers::saved;
use crate::stack::stacks::{cpu_stacks, has_all_stacks, task_stack};
use arch::{CpuState, Regs};
use base::{FaultKind, VirtAddr};

/// Why the registers in a note of the dump are not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// Nothing was written into the note.
    Empty,
    /// It has what a CPU has after a reset.
    Reset,
    /// Its page tables are another kernel's.
    OtherKernel,
    /// Its program counter is in no code of this kernel.
    Pc(VirtAddr),
    /// Its stack pointer is on no stack of this CPU.
    Sp(VirtAddr),
    /// It is of user mode, at an address that the CPU's task has not mapped.
    User(VirtAddr),
    /// The note in this CPU's place is this other CPU's.
    Of(u32),
    /// Two copies of the same CPU's registers differ.
    Differs,
    /// Their frames leave out a call of this function, which does not return: the stack holds it, with the return
    /// address there.
    Skips(&'static str, VirtAddr),
    /// Their program counter, the first, is in code that the call before the second, on top of the stack, does not lead to.
    Call(VirtAddr, VirtAddr),
    /// No whole stack follows from them, but from something else.
    NoFrames,
}

impl Doubt {
    /// Whether registers can be right all the same: a jump into nowhere.
    pub(crate) const fn can_be_vouched(self) -> bool {
        matches!(self, Doubt::Pc(_) | Doubt::Sp(_) | Doubt::User(_))
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Doubt::Empty => f.write_str("they are all zero"),
            Doubt::Reset => f.write_str("they are those of a CPU after a reset"),
            // said of the kernel that crashed and of the crash kernel alike
            Doubt::OtherKernel => f.write_str(
                "they are another kernel's, perhaps as a crash kernel ran when the dump was taken",
            ),
            Doubt::Pc(at) => write!(f, "program counter {:#x} is in no code of this kernel", at.0),
            Doubt::Sp(at) => write!(f, "stack pointer {:#x} is on no stack of this CPU", at.0),
            Doubt::User(at) => write!(f, "{:#x} is no user address of the task that this CPU ran", at.0),
            Doubt::Of(cpu) => write!(f, "they are those of CPU {cpu}"),
            Doubt::Differs => f.write_str("two copies of them in the dump differ"),
            Doubt::Skips(name, at) => {
                write!(
                    f,
                    "their frames leave out the call in {name} at {:#x} on the stack, and {name} never returns",
                    at.0
                )
            }
            Doubt::Call(pc, ra) => write!(
                f,
                "program counter {:#x} is in a function that the call before {:#x}, on top of the stack, does not lead to",
                pc.0, ra.0
            ),
            Doubt::NoFrames => f.write_str("no whole stack follows from them"),
        }
    }
}

/// Why nothing tells whether registers are those of their CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unchecked {
    /// They have no program counter or no stack pointer.
    Few,
    /// The page tables or symbols that would tell whether this is code are not in the dump.
    Pc(VirtAddr),
    /// Not all stacks of the CPU are known, and this is on none of those.
    Sp(VirtAddr),
    /// The user memory of the CPU's task is not known well enough for this address.
    User(VirtAddr),
}

impl std::fmt::Display for Unchecked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unchecked::Few => f.write_str("they have no program counter or no stack pointer"),
            Unchecked::Pc(at) => {
                write!(
                    f,
                    "the page tables that would show whether program counter {:#x} is code are not in the dump",
                    at.0
                )
            }
            Unchecked::Sp(at) => {
                write!(
                    f,
                    "the stacks of this CPU are not all known, and stack pointer {:#x} is on none of those that are",
                    at.0
                )
            }
            Unchecked::User(at) => {
                write!(f, "the user memory of the task that this CPU ran is not known at {:#x}", at.0)
            }
        }
    }
}

/// How registers fit the kernel's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// They are this CPU's.
    Yes,
    /// Nothing tells.
    Unknown(Unchecked),
    /// They are not to be believed.
    No(Doubt),
}

/// What the kernel's memory tells of a CPU.
pub(crate) struct Facts<'s> {
    pub(crate) cpu: u32,
    /// What the CPU adds to the address of a per-CPU variable.
    base: Option<u64>,
    /// What it ran.
    pub(crate) task: Option<&'s Task>,
    /// Its stacks, its task's included.
    stacks: Vec<unwind::Stack>,
    /// Whether there can be no other stack that it is on.
    all_stacks: bool,
    /// What the kernel saved as it crashed.
    pub(crate) saved: Option<CpuState>,
}

impl<'s> Facts<'s> {
    pub(crate) fn of(s: &'s Session, cpu: u32) -> Self {
        let task = s.tasks().on_cpu(cpu);
        let mut stacks = cpu_stacks(s, cpu);
        stacks.extend(task.filter(|t| has_stack(t)).map(|t| task_stack(s, t)));
        // a machine of one CPU has no such base: 0
        let base = per_cpu_offset(s, cpu).ok().filter(|base| s.arch().is_kernel(VirtAddr(*base)));
        let all_stacks = task.is_some_and(has_stack) && has_all_stacks(s, cpu);
        Self { cpu, base, task, stacks, all_stacks, saved: saved(s, cpu) }
    }

    fn on_stack(&self, sp: u64) -> bool {
        self.stacks.iter().any(|k| k.contains(VirtAddr(sp)) || k.end.0 == sp)
    }

    /// Whether something says that a note is this CPU's. Kernels have some stacks at the same addresses (those of x86's
    /// CPU entry area): a stack pointer counts only with code of this kernel.
    pub(crate) fn is_of(&self, s: &Session, state: &CpuState) -> bool {
        let copy = self.saved.as_ref().is_some_and(|saved| saved.regs == state.regs);
        copy || (!is_foreign(s, state) && (self.has_base(s, state) || self.runs_on_stack(s, &state.regs)))
    }

    fn has_base(&self, s: &Session, state: &CpuState) -> bool {
        self.base.is_some() && s.arch().percpu().bases(state).contains(&self.base)
    }

    fn runs_on_stack(&self, s: &Session, regs: &Regs) -> bool {
        let (Some(pc), Some(sp)) = (regs.pc().map(VirtAddr), regs.sp()) else { return false };
        s.arch().is_kernel(pc) && self.on_stack(sp) && is_code(s, pc) != Some(false)
    }
}

/// Whether a task's stack is known.
fn has_stack(task: &Task) -> bool {
    task.stack.is_some_and(|at| !at.is_null())
}

/// Whether the CPU's own page tables lead to other memory than this kernel's for what the CPU ran.
fn is_foreign(s: &Session, state: &CpuState) -> bool {
    let Some(pc) = state.regs.pc().map(VirtAddr).filter(|pc| s.arch().is_kernel(*pc)) else { return false };
    let own = s.arch().notes.tables_of(state, s.map().tables());
    let own = own.and_then(|tables| tables.translate(s.phys(), pc).ok()).map(|t| t.phys);
    let ours = s.map().walk(pc).result;
    let lost = matches!(ours, Err(FaultKind::Table(_)));
    own.is_some() && !lost && own != ours.ok().map(|t| t.phys)
}

/// How a CPU's registers fit what memory tells of the CPU.
pub(crate) fn of(s: &Session, facts: &Facts<'_>, state: &CpuState) -> Fit {
    let regs = &state.regs;
    let (Some(pc), Some(sp)) = (regs.pc().map(VirtAddr), regs.sp().map(VirtAddr)) else {
        return Fit::Unknown(Unchecked::Few);
    };
    if pc.is_null() && sp.is_null() {
        return Fit::No(Doubt::Empty);
    }
    if s.arch().notes.is_reset(state) {
        return Fit::No(Doubt::Reset);
    }
    if s.arch().is_kernel(pc) {
        return of_kernel(s, facts, state, pc, sp);
    }
    match s.arch().frames.is_user(regs) {
        true => of_user(s, facts, state, pc, sp),
        // a jump into nowhere looks like this: what an exception saved of it vouches for it elsewhere
        false => Fit::No(Doubt::Pc(pc)),
    }
}

fn of_kernel(s: &Session, facts: &Facts<'_>, state: &CpuState, pc: VirtAddr, sp: VirtAddr) -> Fit {
    if is_foreign(s, state) {
        return Fit::No(Doubt::OtherKernel);
    }
    let code = is_code(s, pc);
    if code == Some(false) {
        return Fit::No(Doubt::Pc(pc));
    }
    let stack = match facts.on_stack(sp.0) || is_entering(s, pc) {
        true => Some(true),
        false => is_elsewhere(s, facts, sp),
    };
    match (code, stack) {
        (_, Some(false)) => Fit::No(Doubt::Sp(sp)),
        (None, _) => Fit::Unknown(Unchecked::Pc(pc)),
        (_, None) => Fit::Unknown(Unchecked::Sp(sp)),
        (_, Some(true)) => Fit::Yes,
    }
}

/// Whether code lies there that can run: text of the kernel or a module that was not given back after the start, and what
/// was compiled at run time (BPF programs, trampolines), kernel memory in which code can run. `None` where the page tables
/// that would tell are not in the dump.
fn is_code(s: &Session, pc: VirtAddr) -> Option<bool> {
    let (image, start) = (s.in_image(pc), s.is_init_text(pc));
    if s.is_text(pc) && !start {
        return Some(true);
    }
    if image && !start && s.knows_text() {
        return Some(false);
    }
    match s.map().walk(pc).result {
        Ok(page) => Some(s.arch().paging.may_run(page.entry)),
        Err(FaultKind::Table(_)) => None,
        Err(_) => Some(false),
    }
}

/// Whether a stack pointer that is on none of the known stacks of a CPU can be right all the same.
fn is_elsewhere(s: &Session, facts: &Facts<'_>, sp: VirtAddr) -> Option<bool> {
    let readable = s.arch().is_kernel(sp)
        && match s.map().walk(sp).result {
            Ok(page) => !s.arch().paging.may_run(page.entry) || !s.is_text(sp),
            Err(fault) => matches!(fault, FaultKind::Table(_)),
        };
    if !readable {
        return Some(false);
    }
    // on the stack of a task that the CPU is about to leave, or about to run: both are marked while it switches
    let Some(on) = s.tasks().all.iter().find(|t| task_stack(s, t).contains(sp)) else {
        let known = facts.all_stacks && s.tasks().problems.is_empty();
        return known.then_some(false);
    };
    if facts.task.is_none() {
        return Some(true);
    }
    let marked = s.bind::<TaskStruct>().on_cpu.num(s.mem(), on.at);
    match (marked, on.cpu) {
        (Ok(marked), Some(cpu)) => Some(marked != 0 && cpu == facts.cpu),
        // a kernel for one CPU has neither
        (Err(_), Some(cpu)) if cpu != facts.cpu => Some(false),
        _ => None,
    }
}

/// In entry code, which begins on the stack that was there before.
fn is_entering(s: &Session, pc: VirtAddr) -> bool {
    let bounds = s.symbol("__entry_text_start").zip(s.symbol("__entry_text_end"));
    bounds.is_some_and(|(start, end)| start <= pc && pc < end)
}

fn of_user(s: &Session, facts: &Facts<'_>, state: &CpuState, pc: VirtAddr, sp: VirtAddr) -> Fit {
    let unknown = Fit::Unknown(Unchecked::User(pc));
    let Some((task, mm)) = facts.task.and_then(|task| Some((task, task.mm?))) else { return unknown };
    if mm.is_null() {
        return Fit::No(Doubt::User(pc));
    }
    let user = address_space::user_memory(s, task);
    // a process of the crash kernel can have the same addresses mapped
    if let Some(tables) = s.arch().notes.tables_of(state, s.map().tables())
        && let Ok(user) = &user
        && !facts.has_base(s, state)
    {
        let own = user.tables().root;
        if tables.root != own && Some(tables.root) != s.arch().paging.twin(own) {
            return Fit::No(Doubt::OtherKernel);
        }
    }
    let mapped = |at: VirtAddr| user.as_ref().is_ok_and(|user| user.translate(at).is_ok());
    if mapped(pc) && mapped(sp) {
        return Fit::Yes;
    }
    // a page that is not there can be mapped all the same
    let vmas = vma::vmas(s, mm).ok();
    let mut unmapped = [pc, sp].into_iter().filter(|at| !mapped(*at));
    let held = |at: VirtAddr| vmas.as_ref().is_some_and(|v| v.at(at).is_some());
    match unmapped.find(|at| !held(*at)) {
        None => Fit::Yes,
        Some(at) if vmas.as_ref().is_none_or(|v| v.problem.is_some()) => Fit::Unknown(Unchecked::User(at)),
        Some(at) => Fit::No(Doubt::User(at)),
    }
}
