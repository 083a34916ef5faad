//! The CPUs' registers. A dump's notes are evidence: they can be of another CPU, of another kernel (a hypervisor's
//! dump, taken while the crash kernel ran), of a CPU that was reset, or damaged. They are believed where program
//! counter and stack pointer belong to this kernel or to the task's user memory. What the kernel itself saved as
//! it crashed (`crash_notes`, kernel/kexec_core.c) lies in its memory and stands beside them.

use crate::cpu::per_cpu_offset;
use crate::mm;
use crate::session::Session;
use crate::stacks::{cpu_stacks, task_stack};
use crate::task::{Task, TaskStruct};
use crate::vma;
use arch::{CpuState, Regs};
use base::{Bytes, Kept, PhysAddr, RawNote, VirtAddr};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// No whole stack follows from them, but from something else.
    NoFrames,
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Doubt::Empty => f.write_str("they are all zero"),
            Doubt::Reset => f.write_str("they are those of a CPU after a reset"),
            Doubt::OtherKernel => f.write_str(
                "they are another kernel's, perhaps of the crash kernel that ran when the dump was taken",
            ),
            Doubt::Pc(at) => write!(f, "program counter {:#x} is in no code of this kernel", at.0),
            Doubt::Sp(at) => write!(f, "stack pointer {:#x} is on no stack of this CPU", at.0),
            Doubt::User(at) => write!(f, "{:#x} is no user address of the task that this CPU ran", at.0),
            Doubt::Of(cpu) => write!(f, "they are those of CPU {cpu}"),
            Doubt::Differs => f.write_str("two copies of them in the dump differ"),
            Doubt::NoFrames => f.write_str("no whole stack follows from them"),
        }
    }
}

/// Where registers of a CPU come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The dump's note of the CPU.
    Note,
    /// A note of another kind for the same CPU.
    SecondNote,
    /// The kernel's own copy in memory.
    CrashNotes,
}

/// Registers that something in the dump gives a CPU.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Claim {
    /// The registers; those that two copies have differently are not known.
    pub regs: Regs,
    /// Where they come from.
    pub source: Source,
    /// Why they are not believed.
    pub doubt: Option<Doubt>,
}

/// All that the dump says of a CPU's registers, the best first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CpuRegisters {
    /// Each copy.
    pub claims: Vec<Claim>,
    /// Why the dump's note of this CPU is not believed, or is none.
    pub doubt: Option<Doubt>,
}

impl CpuRegisters {
    /// The copies that can be believed.
    pub fn sound(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|c| c.doubt.is_none())
    }
}

/// What was found out so far.
#[derive(Debug, Default)]
pub(crate) struct Known {
    owners: Kept<Vec<(u32, usize)>>,
    second_owners: Kept<Vec<(u32, usize)>>,
    cpus: Mutex<FxHashMap<u32, Arc<CpuRegisters>>>,
}

impl Session {
    /// What the dump says of a CPU's registers, held against the kernel's memory.
    pub fn cpu_registers(&self, cpu: u32) -> Arc<CpuRegisters> {
        let known = || self.known_registers.cpus.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&cpu) {
            return Arc::clone(found);
        }
        let found = Arc::new(read(self, cpu));
        if !self.is_disturbed() {
            known().insert(cpu, Arc::clone(&found));
        }
        found
    }

    /// A CPU's registers, where a note or the kernel's own copy can be believed.
    #[must_use]
    pub fn cpu_regs(&self, cpu: u32) -> Option<Regs> {
        self.cpu_registers(cpu).sound().next().map(|c| c.regs)
    }

    /// The CPU whose registers point into the stack of a task: that task ran, also where the run queues that would
    /// say so are not in the dump.
    pub(crate) fn cpu_on(&self, task: &Task) -> Option<u32> {
        let stack = task_stack(self, task);
        let on = |regs: &Regs| regs.sp().is_some_and(|sp| stack.contains(VirtAddr(sp)));
        let at = self.cpu_states().iter().position(|state| on(&state.regs))?;
        let owners = owners(self, self.cpu_states(), &self.known_registers.owners);
        let cpu = owners.iter().find(|&&(_, index)| index == at)?.0;
        self.cpu_registers(cpu).sound().any(|c| on(&c.regs)).then_some(cpu)
    }
}

/// What the kernel's memory tells of a CPU.
struct Facts<'s> {
    cpu: u32,
    /// What the CPU adds to the address of a per-CPU variable.
    base: Option<u64>,
    /// What it ran.
    task: Option<&'s Task>,
    /// Its stacks, its task's included.
    stacks: Vec<unwind::Stack>,
    /// What the kernel saved as it crashed.
    saved: Option<CpuState>,
}

impl<'s> Facts<'s> {
    fn of(s: &'s Session, cpu: u32) -> Self {
        let task = s.tasks().on_cpu(cpu);
        let mut stacks = cpu_stacks(s, cpu);
        stacks.extend(task.filter(|t| has_stack(t)).map(|t| task_stack(s, t)));
        // a machine of one CPU has no such base: 0
        let base = per_cpu_offset(s, cpu).ok().filter(|base| s.arch().is_kernel(VirtAddr(*base)));
        Self { cpu, base, task, stacks, saved: saved(s, cpu) }
    }

    fn on_stack(&self, sp: u64) -> bool {
        self.stacks.iter().any(|k| k.contains(VirtAddr(sp)) || k.end.0 == sp)
    }

    /// Whether something says that a note is this CPU's.
    fn is_of(&self, s: &Session, state: &CpuState) -> bool {
        let copy = self.saved.as_ref().is_some_and(|saved| saved.regs == state.regs);
        copy || self.has_base(s, state) || (runs_kernel(s, &state.regs) && self.is_on_stack(&state.regs))
    }

    fn has_base(&self, s: &Session, state: &CpuState) -> bool {
        self.base.is_some() && s.arch().per_cpu_bases(state).contains(&self.base)
    }

    fn is_on_stack(&self, regs: &Regs) -> bool {
        regs.sp().is_some_and(|sp| self.on_stack(sp))
    }
}

/// Whether a task's stack is known.
fn has_stack(task: &Task) -> bool {
    task.stack.is_some_and(|at| !at.is_null())
}

/// Whether a program counter is in the kernel's half.
fn runs_kernel(s: &Session, regs: &Regs) -> bool {
    regs.pc().is_some_and(|pc| s.arch().is_kernel(VirtAddr(pc)))
}

/// The CPUs that have notes.
fn cpus(s: &Session) -> &[u32] {
    let cpus = s.cpus();
    cpus.present.as_ref().unwrap_or(&cpus.possible)
}

fn read(s: &Session, cpu: u32) -> CpuRegisters {
    let facts = Facts::of(s, cpu);
    let known = &s.known_registers;
    let (own, why) = note_of(s, &facts, s.cpu_states(), &known.owners);
    let (second, _) = note_of(s, &facts, &s.opened().machine.second_states, &known.second_owners);
    let claim =
        |state: &CpuState, source| Claim { regs: state.regs, source, doubt: doubt_of(s, &facts, state) };
    let note = own.map(|state| claim(state, Source::Note));
    let second = second.map(|state| claim(state, Source::SecondNote));
    let saved = facts.saved.as_ref().map(|state| claim(state, Source::CrashNotes));
    // a hypervisor's note has control registers, and is younger than what the kernel saved
    rank(note, second, saved, why, own.is_some_and(|state| state.control.is_some()))
}

/// Puts the copies of a CPU's registers into order. `why` there is no note.
fn rank(
    note: Option<Claim>,
    second: Option<Claim>,
    saved: Option<Claim>,
    why: Option<Doubt>,
    by_hypervisor: bool,
) -> CpuRegisters {
    let same_place = |a: &Claim, b: &Claim| a.regs.pc() == b.regs.pc() && a.regs.sp() == b.regs.sp();
    let mut doubt = note.map_or(why, |n| n.doubt);
    let mut claims: Vec<Claim> = note.into_iter().collect();
    match (claims.first_mut(), second) {
        (Some(note), Some(second)) if same_place(note, &second) => agree(&mut note.regs, &second.regs),
        (note, Some(second)) => {
            if note.is_some_and(|n| n.doubt.is_none()) && second.doubt.is_none() {
                doubt = doubt.or(Some(Doubt::Differs));
            }
            claims.push(second);
        }
        _ => {}
    }
    let Some(saved) = saved else { return CpuRegisters { claims, doubt } };
    match claims.first() {
        // the note is a copy of it
        Some(note) if !by_hypervisor && note.regs == saved.regs => {
            if let Some(note) = claims.first_mut() {
                note.doubt = None;
                doubt = None;
            }
        }
        Some(_) if !by_hypervisor && saved.doubt.is_none() => {
            doubt = doubt.or(Some(Doubt::Differs));
            claims.insert(0, saved);
        }
        _ => claims.push(saved),
    }
    CpuRegisters { claims, doubt }
}

/// Takes away what another copy has differently.
fn agree(regs: &mut Regs, other: &Regs) {
    let differing = regs.iter().filter(|(n, _, value)| other.get(*n).is_some_and(|v| v != *value));
    for (number, ..) in differing.collect::<Vec<_>>() {
        regs.clear(number);
    }
}

/// The note of a CPU, or why it has none: the one in the CPU's place where something says that it is the CPU's, else
/// by what says of whom all notes are.
fn note_of<'a>(
    s: &Session,
    facts: &Facts<'_>,
    states: &'a [CpuState],
    known: &Kept<Vec<(u32, usize)>>,
) -> (Option<&'a CpuState>, Option<Doubt>) {
    let cpus = cpus(s);
    let place = cpus.iter().position(|&c| c == facts.cpu).filter(|_| states.len() == cpus.len());
    let own = place.and_then(|at| states.get(at));
    if let Some(own) = own.filter(|state| facts.is_of(s, state)) {
        return (Some(own), None);
    }
    let owners = owners(s, states, known);
    match owners.iter().find(|&&(cpu, _)| cpu == facts.cpu) {
        Some(&(_, index)) => (states.get(index), None),
        None => {
            let other = cpus.iter().copied().filter(|&c| c != facts.cpu);
            let of = own.and_then(|own| other.clone().find(|&c| Facts::of(s, c).is_of(s, own)));
            (None, of.map(Doubt::Of))
        }
    }
}

fn owners<'a>(s: &Session, states: &[CpuState], known: &'a Kept<Vec<(u32, usize)>>) -> &'a [(u32, usize)] {
    s.keep::<Vec<_>>(known, || {
        let cpus = cpus(s);
        let mut claims = vec![None; states.len()];
        let mut pids = Vec::with_capacity(cpus.len());
        for &cpu in cpus {
            let facts = Facts::of(s, cpu);
            pids.push(facts.task.map(|t| t.pid));
            for (state, claim) in states.iter().zip(&mut claims) {
                if claim.is_none() && facts.is_of(s, state) {
                    *claim = Some(cpu);
                }
            }
        }
        let told: Vec<Option<i32>> = states.iter().map(|state| state.pid).collect();
        assign(cpus, &pids, &claims, &told)
    })
}

/// Which CPU each note is of: the one that it says, then the one whose task it says, then by order. `pids` are those of
/// the CPUs' tasks, `claims` and `told` what the notes say of CPU and task.
fn assign(
    cpus: &[u32],
    pids: &[Option<i32>],
    claims: &[Option<u32>],
    told: &[Option<i32>],
) -> Vec<(u32, usize)> {
    let mut out: Vec<(u32, usize)> = Vec::new();
    let place = |index: usize| cpus.get(index).copied().filter(|_| claims.len() == cpus.len());
    let free = |out: &[(u32, usize)], cpu: u32| !out.iter().any(|&(c, _)| c == cpu);
    // of two that say the same, the one in its place
    for in_place in [true, false] {
        for (index, claim) in claims.iter().enumerate() {
            if let Some(cpu) = *claim
                && (place(index) == Some(cpu)) == in_place
                && free(&out, cpu)
            {
                out.push((cpu, index));
            }
        }
    }
    let silent = |index: &usize| claims.get(*index).is_some_and(Option::is_none);
    let silent: Vec<usize> = (0..claims.len()).filter(silent).collect();
    let by_pid = |out: &[(u32, usize)], index: usize| {
        let pid = told.get(index).copied().flatten()?;
        let of = cpus.iter().zip(pids).find(|(cpu, of)| **of == Some(pid) && free(out, **cpu));
        of.map(|(cpu, _)| *cpu)
    };
    let in_place = |out: &[(u32, usize)], index: usize| place(index).filter(|cpu| free(out, *cpu));
    let next = |out: &[(u32, usize)], _: usize| cpus.iter().copied().find(|cpu| free(out, *cpu));
    type Way<'w> = &'w dyn Fn(&[(u32, usize)], usize) -> Option<u32>;
    for way in [&by_pid as Way<'_>, &in_place, &next] {
        for &index in &silent {
            if !out.iter().any(|&(_, i)| i == index)
                && let Some(cpu) = way(&out, index)
            {
                out.push((cpu, index));
            }
        }
    }
    out
}

/// Why a CPU's registers are not to be believed.
fn doubt_of(s: &Session, facts: &Facts<'_>, state: &CpuState) -> Option<Doubt> {
    let regs = &state.regs;
    let (pc, sp) = (VirtAddr(regs.pc()?), VirtAddr(regs.sp()?));
    if pc.is_null() && sp.is_null() {
        return Some(Doubt::Empty);
    }
    if s.arch().is_reset(state) {
        return Some(Doubt::Reset);
    }
    if !s.arch().is_kernel(pc) {
        return match s.arch().is_user(regs) {
            true => user_doubt(s, facts, state, pc, sp),
            // a jump into nowhere looks like this: what an exception saved of it vouches for it elsewhere
            false => Some(Doubt::Pc(pc)),
        };
    }
    kernel_doubt(s, facts, state, pc, sp)
}

fn kernel_doubt(
    s: &Session,
    facts: &Facts<'_>,
    state: &CpuState,
    pc: VirtAddr,
    sp: VirtAddr,
) -> Option<Doubt> {
    // where the CPU's own tables lead
    let own = s.arch().tables_of(state, s.map().tables());
    let own = own.and_then(|tables| tables.translate(s.phys(), pc).ok()).map(|t| t.phys);
    let ours = s.map().translate(pc).ok().map(|(phys, _)| phys);
    if own.is_some() && own != ours {
        return Some(Doubt::OtherKernel);
    }
    if !is_code(s, pc) {
        return Some(Doubt::Pc(pc));
    }
    if facts.on_stack(sp.0) || is_switching(s, facts, sp) || is_entering(s, pc) {
        return None;
    }
    // where neither a task nor a stack is known of the CPU, any of the kernel's memory can be one
    let unknown = facts.task.is_none_or(|t| !has_stack(t));
    let readable = s.arch().is_kernel(sp) && s.map().translate(sp).is_ok();
    (!(unknown && readable)).then_some(Doubt::Sp(sp))
}

/// Text of the kernel or a module, and what was compiled at run time (BPF programs, trampolines): kernel memory in which
/// code can run.
fn is_code(s: &Session, pc: VirtAddr) -> bool {
    if s.is_text(pc) {
        return true;
    }
    let page = s.map().walk(pc).result;
    !s.in_image(pc) && page.is_ok_and(|page| s.arch().may_run(page.entry))
}

/// On the stack of a task that the CPU is about to leave, or about to run: both are marked while it switches.
fn is_switching(s: &Session, facts: &Facts<'_>, sp: VirtAddr) -> bool {
    let Some(on) = s.tasks().all.iter().find(|t| task_stack(s, t).contains(sp)) else {
        return false;
    };
    let marked = s.bind::<TaskStruct>().on_cpu.num(s.mem(), on.at).is_ok_and(|on_cpu| on_cpu != 0);
    facts.task.is_none() || (marked && on.cpu == Some(facts.cpu))
}

/// In entry code, which begins on the stack that was there before.
fn is_entering(s: &Session, pc: VirtAddr) -> bool {
    let bounds = s.symbol("__entry_text_start").zip(s.symbol("__entry_text_end"));
    bounds.is_some_and(|(start, end)| start <= pc && pc < end)
}

fn user_doubt(s: &Session, facts: &Facts<'_>, state: &CpuState, pc: VirtAddr, sp: VirtAddr) -> Option<Doubt> {
    let task = facts.task?;
    let mm = task.mm?;
    if mm.is_null() {
        return Some(Doubt::User(pc));
    }
    let user = mm::user_memory(s, task);
    // a process of the crash kernel can have the same addresses mapped
    if let Some(tables) = s.arch().tables_of(state, s.map().tables())
        && let Ok(user) = &user
        && !facts.has_base(s, state)
    {
        // page table isolation keeps a user's twin of the root in the page behind it
        let own = user.tables().root;
        let twin = PhysAddr(own.0 ^ 0x1000);
        if tables.root != own && tables.root != twin {
            return Some(Doubt::OtherKernel);
        }
    }
    let mapped = |at: VirtAddr| user.as_ref().is_ok_and(|user| user.translate(at).is_ok());
    if mapped(pc) && mapped(sp) {
        return None;
    }
    // a page that is not there can be mapped all the same
    let vmas = vma::vmas(s, mm).ok().filter(|v| v.problem.is_none())?;
    [pc, sp].into_iter().find(|at| !mapped(*at) && vmas.at(*at).is_none()).map(Doubt::User)
}

/// The longest note that is looked for.
const NOTE_MAX: usize = 1024;

/// What the kernel saved of a CPU when it crashed: a note as in a dump, in memory of the CPU's own.
fn saved(s: &Session, cpu: u32) -> Option<CpuState> {
    let all = s.mem().ptr(s.symbol("crash_notes")?).ok()?;
    let at = all.add(per_cpu_offset(s, cpu).ok()?);
    let head = s.mem().bytes(at, 12).ok()?;
    let mut head = Bytes::new(&head);
    let (name, desc, kind) = (head.u32().ok()? as usize, head.u32().ok()? as usize, head.u32().ok()?);
    if name == 0 || name > 16 || desc == 0 || desc > NOTE_MAX {
        return None;
    }
    let start = name.next_multiple_of(4);
    let body = s.mem().bytes(at.add(12), start.checked_add(desc)?).ok()?;
    let note =
        RawNote { name: base::cstr(body.get(..name)?).to_vec(), kind, desc: body.get(start..)?.to_vec() };
    s.arch().cpu_states(&[note]).pop()
}

#[cfg(test)]
#[path = "registers_tests.rs"]
mod tests;
