//! Backtraces: where to start, and what unwinding needs to know of this kernel.
//!
//! A task that ran starts from its CPU's note; where there is none, or it holds the registers that
//! the crash began with and the stack tells more, from the call that stopped the CPU, found on its
//! stacks. A task that slept starts from what the switch away from it saved.

use crate::error::KernelError;
use crate::sched::panic;
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use crate::stack::code::{FUNCTION_MAX, SessionCode};
use crate::stack::registers::{Claim, CpuRegisters, Doubt, Source, Unchecked};
use crate::stack::stacks::{
    IRQ_STACK, cpu_stacks, in_nmi, irq_stack_in_use, irq_stack_is_lost, task_stack, thread_size,
};
use arch::Regs;
use base::{Fault, VirtAddr, VirtRead};
use unwind::{Frame, How, Stack, StopReason, Unwinder, Unwound};

/// Where a backtrace began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// The registers of the CPU's note.
    Note,
    /// The registers of another note of the same CPU.
    SecondNote,
    /// The registers that the kernel saved of the CPU as it crashed (`crash_notes`).
    CrashNotes,
    /// The call on the CPU's stack that stopped it (`machine_kexec`, `crash_nmi_callback`, `panic` ...).
    StopCall,
    /// The registers that the log's report of the oops names.
    Log,
    /// What the switch away from the task saved.
    Switch,
    /// The call that switched away from the task, found on its stack: what the switch saved is not in the dump.
    SwitchCall,
    /// A return address on the stack from which the rest follows: nothing better was there, and the innermost
    /// frames may be what earlier calls left behind.
    Stack,
    /// The CPU was in user mode: there are no kernel frames.
    UserMode,
    /// Where somebody asked to begin.
    Asked,
    /// Nowhere: the reason is in the backtrace's `stopped`.
    Nowhere,
}

/// A task's frames.
#[derive(Clone, Debug)]
pub struct Backtrace {
    /// Where it began.
    pub start: Start,
    /// The frames, and why there are no more.
    pub unwound: Unwound,
    /// The stacks that frames refer to by index.
    pub stacks: Vec<Stack>,
    /// The registers in user mode, for a CPU that was there.
    pub user: Option<Regs>,
    /// Why the registers in the dump's note of the CPU were not used.
    pub doubt: Option<Doubt>,
    /// What there is to say of the CPU's registers, in a sentence.
    pub remark: Option<String>,
}

/// Where a backtrace began, and what followed.
pub(crate) struct Begun {
    start: Start,
    pub(crate) unwound: Unwound,
    pub(crate) user: Option<Regs>,
    doubt: Option<Doubt>,
}

impl Begun {
    const fn at(start: Start, unwound: Unwound) -> Self {
        Self { start, unwound, user: None, doubt: None }
    }

    /// Whether the frames begin with the registers themselves.
    pub(crate) fn is_by_registers(&self) -> bool {
        matches!(self.start, Start::Note | Start::SecondNote | Start::CrashNotes)
    }

    const fn nowhere(stopped: StopReason) -> Self {
        Self::at(Start::Nowhere, Unwound { frames: Vec::new(), stopped })
    }
}

/// How many return addresses are tried for the function that a frame's call leads to.
const FURTHER_MAX: usize = 16;

impl Session {
    /// The frames of a task.
    #[must_use]
    pub fn backtrace(&self, task: &Task) -> Backtrace {
        let cpu = if task.active { task.cpu } else { self.cpu_on(task) };
        let mut stacks = vec![task_stack(self, task)];
        if let Some(cpu) = cpu {
            stacks.extend(cpu_stacks(self, cpu));
        }
        let code = SessionCode::new(self, Some(task));
        let unwinder = Unwinder { arch: self.arch(), code: &code, mem: self.mem(), stacks: &stacks };
        let Begun { start, unwound, user, doubt } = match cpu {
            Some(cpu) => self.active(cpu, &unwinder),
            None => self.sleeping(task, &unwinder),
        };
        let remark = cpu.and_then(|cpu| self.remark(cpu, doubt));
        let remark = remark.or_else(|| self.nameless_calls(start, &unwound));
        Backtrace { start, unwound, stacks, user, doubt, remark }
    }

    /// The first frame from which on frames of modules can be left out, and why, where not all modules are known: a guess,
    /// or an address where modules are.
    #[must_use]
    pub fn frames_lack_modules(&self, found: &Unwound) -> Option<(usize, &KernelError)> {
        // who wants no modules knows that their functions have no names
        let wanted = |why: &&KernelError| !matches!(why, KernelError::SwitchedOff { .. });
        let why = self.modules_problem().filter(wanted)?;
        let lost = |frame: &Frame| frame.how.is_guess() || self.may_be_of_module(frame.pc);
        Some((found.frames.iter().position(lost)?, why))
    }

    /// What may be left out of frames that begin at a call which stopped a CPU: those of the functions that it called, where
    /// the kernel's table lost their names.
    fn nameless_calls(&self, start: Start, found: &Unwound) -> Option<String> {
        let first = found.frames.first().filter(|_| start == Start::StopCall)?;
        let begun = self.locate(first.lookup())?.symbol.name;
        // a call whose target is known is none of a function that lost its name
        if self.arch().frames.call_target(self.mem(), first.pc).is_some()
            && self.nameless_call(first).is_none()
        {
            return None;
        }
        let symbols = self.kernel_symbols();
        let why = symbols.problem.as_ref().filter(|_| symbols.lost > 0 || symbols.table.is_empty())?;
        let mut further_in = self.arch().stop_calls().take_while(|name| *name != begun);
        let lost = further_in.find(|name| self.symbol(name).is_none())?;
        Some(format!(
            "the innermost frames may be missing: the symbols have lost {lost}, a function in which CPUs end ({why})"
        ))
    }

    /// What there is to say of a CPU's registers, where a backtrace had this doubt.
    fn remark(&self, cpu: u32, doubt: Option<Doubt>) -> Option<String> {
        let known = self.cpu_registers(cpu);
        match doubt {
            Some(Doubt::NoFrames) => CpuRegisters { doubt, ..CpuRegisters::default() }.remark(cpu),
            _ => known.remark(cpu),
        }
    }

    /// The frames from any program counter and stack pointer, on a task's stacks.
    #[must_use]
    pub fn backtrace_from(&self, task: &Task, pc: VirtAddr, sp: VirtAddr) -> Backtrace {
        let mut stacks = vec![task_stack(self, task)];
        stacks.extend(task.cpu.map(|cpu| cpu_stacks(self, cpu)).unwrap_or_default());
        let code = SessionCode::new(self, Some(task));
        let unwinder = Unwinder { arch: self.arch(), code: &code, mem: self.mem(), stacks: &stacks };
        let set = self.arch().reg_set();
        let regs = Regs::new(set).with(set.pc, pc.0).with(set.sp, sp.0);
        let unwound = unwinder.unwind(regs);
        Backtrace { start: Start::Asked, unwound, stacks, user: None, doubt: None, remark: None }
    }

    /// The frames of a CPU by its registers alone, where the task that it ran is not known: on the stack that its stack
    /// pointer is in, and on its own. `None` where the dump has no registers of it.
    #[must_use]
    pub fn backtrace_of_cpu(&self, cpu: u32) -> Option<Backtrace> {
        let known = self.cpu_registers(cpu);
        // which stack is the task's is what is not known: that the pointer is on none of the CPU's own is no doubt here
        let believed = |claim: &&Claim| matches!(claim.doubt, None | Some(Doubt::Sp(_)));
        let note = || {
            let state = self.cpu_states().get(usize::try_from(cpu).ok()?)?;
            let regs = state.regs;
            let in_code = self.arch().frames.is_user(&regs) || self.is_text(VirtAddr(regs.pc()?));
            in_code.then_some(Claim {
                regs,
                source: Source::Note,
                doubt: None,
                unchecked: Some(Unchecked::Sp(VirtAddr(regs.sp()?))),
            })
        };
        let told = known.claims.iter().find(believed).copied();
        let claim = told.or_else(|| note().filter(|_| known.claims.is_empty()))?;
        let (Some(_), Some(sp)) = (claim.regs.pc(), claim.regs.sp()) else { return None };
        let size = thread_size(self);
        let start = VirtAddr(sp & !(size - 1));
        let mut stacks = vec![Stack { name: String::new(), start, end: start.add(size) }];
        stacks.extend(cpu_stacks(self, cpu));
        let code = SessionCode::new(self, None);
        let unwinder = Unwinder { arch: self.arch(), code: &code, mem: self.mem(), stacks: &stacks };
        let Begun { start, unwound, user, doubt } = self.by_registers(&claim, &unwinder);
        Some(Backtrace { start, unwound, stacks, user, doubt, remark: self.remark(cpu, doubt) })
    }

    fn sleeping(&self, task: &Task, u: &Unwinder<'_>) -> Begun {
        // a dead task's stack is given back, and where it was another task's may be
        if task.has_exited() && task.stack == Some(VirtAddr(0)) {
            return Begun::nowhere(StopReason::NoStart);
        }
        let stopped = match self.switched_at(task) {
            Ok(sp) => {
                if let Some(resume) = self.never_ran(sp, u) {
                    return Begun::at(Start::Switch, u.resume(&resume));
                }
                let resume = self.arch().frames.sleeping(
                    self.mem(),
                    sp,
                    &|| self.old_switch(),
                    &|at| self.is_text(at),
                    &|at| self.locate(at).map(|l| l.symbol.addr),
                );
                if let Some(resume) = resume {
                    return Begun::at(Start::Switch, u.resume(&resume));
                }
                self.mem().u64(sp).map_or_else(StopReason::Fault, |_| StopReason::NothingFound)
            }
            Err(crate::KernelError::Fault(fault)) => StopReason::Fault(fault),
            Err(_) => StopReason::NoStart,
        };
        match self.switched_on_stack(u) {
            Some(found) => Begun::at(Start::SwitchCall, found),
            None => Begun::nowhere(stopped),
        }
    }

    /// Where the switch away from a task left its registers: the stack that it was on, or a member of the task.
    fn switched_at(&self, task: &Task) -> crate::Result<VirtAddr> {
        let b = self.bind::<TaskStruct>();
        if b.cpu_context.exists() { b.cpu_context.at(task.at) } else { b.thread_sp.ptr(self.mem(), task.at) }
    }

    /// A task of before 4.9 that has yet to run: its stack pointer is at the registers it is to begin with, which end its
    /// stack. Later kernels put a frame of the switch below them.
    fn never_ran(&self, sp: VirtAddr, u: &Unwinder<'_>) -> Option<unwind::Resume> {
        let end = u.stacks.first()?.end;
        if sp.add(self.arch().frames.saved_layout().size) != end {
            return None;
        }
        let set = self.arch().reg_set();
        let regs = Regs::new(set).with(set.pc, self.symbol("ret_from_fork")?.0).with(set.sp, sp.0);
        Some(unwind::Resume { regs, is_call: false, slot: None })
    }

    /// Where a task goes on that a kernel before 4.9 switched away from: behind the call of `__switch_to` in the
    /// scheduler, where what was pushed for it has been popped again.
    fn old_switch(&self) -> Option<VirtAddr> {
        let to = self.symbol("__switch_to")?;
        ["__schedule", "schedule"].iter().find_map(|name| {
            let start = self.symbol(name)?;
            let code = self.mem().bytes(start, self.locate(start)?.span?.min(FUNCTION_MAX) as usize).ok()?;
            self.arch().frames.after_switch(start, &code, to)
        })
    }

    /// The frames of a task whose saved stack pointer is lost: from the call that switched away from it, found
    /// on its stack. Of several, the outermost: those below it are of earlier and deeper sleeps.
    fn switched_on_stack(&self, u: &Unwinder<'_>) -> Option<Unwound> {
        let stack = u.stacks.first()?;
        let function = self.symbol("__schedule").or_else(|| self.symbol("schedule"))?;
        let end = function.add(self.locate(function)?.span?);
        let switches = ["__switch_to_asm", "__switch_to"].map(|name| self.symbol(name));
        return_addresses(u, stack, function, end)
            .into_iter()
            .rev()
            .filter(|(_, pc)| {
                let target = self.arch().frames.call_target(self.mem(), *pc);
                target.is_some() && switches.contains(&target)
            })
            .map(|(slot, pc)| resume_at(u, slot, pc))
            .find(is_whole)
    }

    /// The frames of what a CPU ran: from registers that can be believed and lead to a whole stack, else from what the
    /// stacks themselves hold.
    fn active(&self, cpu: u32, u: &Unwinder<'_>) -> Begun {
        let known = self.cpu_registers(cpu);
        let mut partial: Option<Begun> = None;
        for claim in known.sound() {
            let doubt = known.doubt.filter(|doubt| claim.source != Source::Note || *doubt == Doubt::Differs);
            let begun = Begun { doubt, ..self.by_registers(claim, u) };
            if begun.user.is_some() || is_whole(&begun.unwound) {
                return begun;
            }
            partial.get_or_insert(begun);
        }
        let doubt = known.doubt.or(partial.as_ref().map(|_| Doubt::NoFrames));
        match (self.stop_call(u, None), partial) {
            (Some(found), _) => Begun { doubt, ..Begun::at(Start::StopCall, found) },
            (None, Some(partial)) => partial,
            (None, None) => {
                let found = self.lowest_on_stack(u, cpu);
                let logged = || panic::logged_registers(self, cpu).map(|regs| u.unwind(regs));
                let found = match found.start {
                    Start::Nowhere => logged().map_or(found, |frames| Begun::at(Start::Log, frames)),
                    _ => found,
                };
                Begun { doubt, ..found }
            }
        }
    }

    /// Whether what an exception saved on the stacks of a CPU and its task is the same as these registers.
    pub(crate) fn is_vouched(&self, cpu: u32, task: Option<&Task>, regs: &Regs) -> bool {
        let mut stacks: Vec<Stack> = task.map(|task| task_stack(self, task)).into_iter().collect();
        stacks.extend(cpu_stacks(self, cpu));
        let code = SessionCode::new(self, task);
        let u = Unwinder { arch: self.arch(), code: &code, mem: self.mem(), stacks: &stacks };
        self.stop_call(&u, Some(regs)).is_some()
    }

    pub(crate) fn by_registers(&self, claim: &Claim, u: &Unwinder<'_>) -> Begun {
        let regs = claim.regs;
        if self.arch().frames.is_user(&regs)
            && !regs.pc().is_some_and(|pc| self.arch().is_kernel(VirtAddr(pc)))
        {
            let none = Unwound { frames: Vec::new(), stopped: StopReason::UserMode };
            return Begun { user: Some(regs), ..Begun::at(Start::UserMode, none) };
        }
        // a kdump's note has the registers that the crash began with; the calls that followed
        // are on the stack
        if let Some(longer) = self.stop_call(u, Some(&regs)) {
            return Begun::at(Start::StopCall, longer);
        }
        let start = match claim.source {
            Source::Note => Start::Note,
            Source::SecondNote => Start::SecondNote,
            Source::CrashNotes => Start::CrashNotes,
        };
        Begun::at(start, u.unwind(regs))
    }

    /// Frames from the innermost stop call on the stacks. With `note`, only those that lead to the
    /// note's registers count: anything else on the stack may be stale.
    fn stop_call(&self, u: &Unwinder<'_>, note: Option<&Regs>) -> Option<Unwound> {
        for name in self.arch().stop_calls() {
            let Some(start) = self.symbol(name) else { continue };
            let Some(function) = self.locate(start) else { continue };
            let end = start.add(function.span.unwrap_or(0));
            for stack in u.stacks {
                for (slot, pc) in return_addresses(u, stack, start, end) {
                    // a register that was saved holds such an address too, and no call returns to it
                    if !u.can_be_return(pc) {
                        continue;
                    }
                    let found = resume_at(u, slot, pc);
                    let agrees = match note {
                        Some(note) => leads_to(&found, note, &|at| self.locate(at).map(|l| l.symbol.addr)),
                        None => is_whole(&found),
                    };
                    if agrees {
                        return Some(self.further_in(u, found));
                    }
                }
            }
        }
        None
    }

    /// The same frames from further in: where the call that the innermost was in leads to a function whose name the symbols
    /// have lost, from a return address into that function from which the tables lead here.
    fn further_in(&self, u: &Unwinder<'_>, mut found: Unwound) -> Unwound {
        for _ in self.arch().stop_calls() {
            let Some(longer) = self.called_nameless(u, &found) else { break };
            found = longer;
        }
        found
    }

    fn called_nameless(&self, u: &Unwinder<'_>, found: &Unwound) -> Option<Unwound> {
        let first = found.frames.first()?;
        let (called, slot) = (self.nameless_call(first)?, first.slot?);
        let stack = u.stacks.get(first.stack?)?;
        let below = Stack { name: String::new(), start: stack.start, end: slot };
        let inner = return_addresses(u, &below, called, called.add(FUNCTION_MAX)).into_iter().rev();
        let inner = inner.filter(|(_, pc)| u.can_be_return(*pc)).map(|(at, pc)| resume_at(u, at, pc));
        inner.take(FURTHER_MAX).find(|inner| {
            let next = inner.frames.get(1);
            next.is_some_and(|f| f.slot == Some(slot) && f.pc == first.pc && !f.how.is_guess())
        })
    }

    /// The function that a frame's call leads to, where that is code whose name is not known.
    fn nameless_call(&self, frame: &unwind::Frame) -> Option<VirtAddr> {
        let called = self.arch().frames.call_target(self.mem(), frame.pc).filter(|_| frame.is_call)?;
        let named = self.locate(called).is_some_and(|l| l.offset == 0);
        (self.is_text(called) && !named).then_some(called)
    }

    /// Whether the stacks of a CPU hold frames up to their end, whatever its registers are.
    pub(crate) fn has_whole_stack(&self, u: &Unwinder<'_>, cpu: u32) -> bool {
        let found = self.lowest_on_stack(u, cpu);
        // the first is a guess by where it was found
        found.start == Start::Stack && !found.unwound.frames.iter().skip(1).any(|frame| frame.how.is_guess())
    }

    /// The lowest return address from which tables lead to the stack's end, on the stacks that the CPU is known
    /// to be on, or may be on: what lies on the others is of the past.
    fn lowest_on_stack(&self, u: &Unwinder<'_>, cpu: u32) -> Begun {
        let in_use = |stack: &&Stack| match stack.name.as_str() {
            "" => true,
            IRQ_STACK => irq_stack_in_use(self, cpu) != Some(false),
            _ => in_nmi(self, cpu) != Some(false),
        };
        // where the CPU's own stack is not known, it may have been on it
        let mut lost = irq_stack_is_lost(self, cpu) && irq_stack_in_use(self, cpu) != Some(false);
        for stack in u.stacks.iter().rev().filter(in_use) {
            // further in than what is missing nothing is known: what is found may be left from earlier calls
            lost |= unread(self.mem(), stack).is_some();
            let kernel = self.boot().tables.kernel_half();
            for (slot, pc) in return_addresses(u, stack, kernel, VirtAddr(u64::MAX)) {
                if !self.is_text(pc) || !self.arch().frames.follows_call(self.mem(), pc) {
                    continue;
                }
                let mut found = resume_at(u, slot, pc);
                if is_whole(&found) {
                    // the call that is found first may have returned: it is a guess, and the others follow from it by tables
                    let guesses = if lost { found.frames.len() } else { 1 };
                    found.frames.iter_mut().take(guesses).for_each(|frame| frame.how = How::Scan);
                    return Begun::at(Start::Stack, found);
                }
            }
        }
        let lost = u.stacks.iter().filter(in_use).filter_map(|stack| unread(self.mem(), stack)).next();
        Begun::nowhere(lost.map_or(StopReason::NothingFound, StopReason::Fault))
    }
}

/// The first page of a stack that cannot be read.
fn unread(mem: &dyn VirtRead, stack: &Stack) -> Option<Fault> {
    let pages = std::iter::successors(Some(stack.start), |at| Some(at.add(4096)));
    pages.take_while(|at| *at < stack.end).take(64).find_map(|at| mem.u64(at).err())
}

/// True for frames up to where stacks end, none of them guessed.
pub(crate) fn is_whole(found: &Unwound) -> bool {
    found.stopped.is_end() && found.frames.iter().all(|f| !f.how.is_guess())
}

/// Unwinds from a return address found on a stack.
pub(crate) fn resume_at(u: &Unwinder<'_>, slot: VirtAddr, pc: VirtAddr) -> Unwound {
    let set = u.arch.reg_set();
    let regs = Regs::new(set).with(set.pc, pc.0).with(set.sp, slot.add(8).0);
    u.resume(&unwind::Resume { regs: u.with_record(regs, slot), is_call: true, slot: Some(slot) })
}

/// True where one of the frames holds saved registers with the note's program counter and stack
/// pointer, or a caller among them is the frame that the note was taken in: the same function, around the same
/// stack pointer. The innermost frame does not count: a call of that function itself, it has returned.
fn leads_to(found: &Unwound, note: &Regs, function: &dyn Fn(VirtAddr) -> Option<VirtAddr>) -> bool {
    let (Some(pc), Some(sp)) = (note.pc().map(VirtAddr), note.sp().map(VirtAddr)) else { return false };
    found.frames.iter().enumerate().any(|(n, f)| match &f.saved {
        Some(saved) => saved.regs.pc() == note.pc() && saved.regs.sp() == note.sp(),
        None => {
            let around = f.sp <= sp && f.cfa.is_some_and(|cfa| sp < cfa);
            n > 0 && around && function(f.lookup()).is_some_and(|at| Some(at) == function(pc))
        }
    })
}

/// The words of a stack that lie in a range of code, lowest first, without the authentication codes of signed ones.
pub(crate) fn return_addresses(
    u: &Unwinder<'_>,
    stack: &Stack,
    start: VirtAddr,
    end: VirtAddr,
) -> Vec<(VirtAddr, VirtAddr)> {
    let mut out = Vec::new();
    let mut page = stack.start;
    while page < stack.end {
        let len = (stack.end.0.wrapping_sub(page.0)).min(4096);
        if let Ok(bytes) = u.mem.bytes(page, len as usize) {
            let words = bytes.chunks_exact(8).filter_map(|w| w.try_into().ok().map(u64::from_le_bytes));
            for (n, word) in (0_u64..).zip(words) {
                let word = u.code.code_pointer(word);
                if start.0 < word && word <= end.0 {
                    out.push((page.add(n * 8), VirtAddr(word)));
                }
            }
        }
        page = page.add(4096);
    }
    out
}

#[cfg(test)]
#[path = "backtrace_tests.rs"]
mod tests;
