//! The CPUs' registers. A dump's notes are evidence: they can be of another CPU, of another kernel (a hypervisor's
//! dump, taken while the crash kernel ran), of a CPU that was reset, or damaged. They are believed where program
//! counter and stack pointer belong to this kernel or to the task's user memory. What the kernel itself saved as
//! it crashed (`crash_notes`, kernel/kexec_core.c) lies in its memory and stands beside them.

use crate::sched::cpu::per_cpu_offset;
use crate::sched::task::Task;
use crate::session::{Fact, Memo, Session};
use crate::stack::register_fit::{self, Facts, Fit};
use crate::stack::register_stack;
use crate::stack::stacks::task_stack;
use arch::{CpuState, Regs};
use base::{Bytes, Kept, RawNote, VirtAddr};
use std::sync::Arc;

pub use crate::stack::register_fit::{Doubt, Unchecked};

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

impl Source {
    /// Its name in data: it stays as it is, whatever this type is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "Note",
            Self::SecondNote => "SecondNote",
            Self::CrashNotes => "CrashNotes",
        }
    }
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
    /// Why nothing tells whether they are the CPU's: they are believed all the same.
    pub unchecked: Option<Unchecked>,
}

impl Claim {
    fn new(regs: Regs, source: Source, fit: Fit) -> Self {
        let (doubt, unchecked) = match fit {
            Fit::Yes => (None, None),
            Fit::Unknown(why) => (None, Some(why)),
            Fit::No(why) => (Some(why), None),
        };
        Self { regs, source, doubt, unchecked }
    }
}

/// All that the dump says of a CPU's registers, the best first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CpuRegisters {
    /// Each copy.
    pub claims: Vec<Claim>,
    /// Why the dump's note of this CPU is not believed, or is none.
    pub doubt: Option<Doubt>,
    /// The CPU in whose place the note stood that is this one's.
    pub stood_for: Option<u32>,
}

impl CpuRegisters {
    /// The copies that can be believed.
    pub fn sound(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|c| c.doubt.is_none())
    }

    /// What there is to say of the registers of this CPU, in one sentence for all commands; `None` where they fit.
    #[must_use]
    pub fn remark(&self, cpu: u32) -> Option<String> {
        let best = self.sound().next();
        if self.doubt == Some(Doubt::Differs) {
            let used = match best.map(|claim| claim.source) {
                Some(Source::CrashNotes) => "those that the kernel saved as it crashed are used",
                Some(Source::SecondNote) => "the second is used, as only that leads to a whole stack",
                _ => "the first is used",
            };
            return Some(format!("two copies of the registers of CPU {cpu} in the dump differ: {used}"));
        }
        if let Some(doubt) = self.doubt {
            return Some(format!("the registers of CPU {cpu} in the dump's note are not used: {doubt}"));
        }
        if let Some(why) = best.and_then(|claim| claim.unchecked) {
            return Some(format!("the registers of CPU {cpu} are used, but cannot be checked: {why}"));
        }
        let place = self.stood_for?;
        Some(format!(
            "the dump's note of CPU {cpu} stands in the place of CPU {place}'s: it is used for CPU {cpu}"
        ))
    }
}

/// What was found out so far.
#[derive(Default)]
struct Known {
    owners: Kept<Vec<(u32, usize)>>,
    second_owners: Kept<Vec<(u32, usize)>>,
    cpus: Memo<u32, Arc<CpuRegisters>>,
}

impl Fact for Known {
    fn read(_: &Session) -> Self {
        Self::default()
    }
}

impl Session {
    /// What the dump says of a CPU's registers, held against the kernel's memory.
    pub fn cpu_registers(&self, cpu: u32) -> Arc<CpuRegisters> {
        self.fact::<Known>().cpus.get(self, cpu, || Arc::new(read(self, cpu)))
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
        let owners = owners(self, self.cpu_states(), &self.fact::<Known>().owners);
        let cpu = owners.iter().find(|&&(_, index)| index == at)?.0;
        self.cpu_registers(cpu).sound().any(|c| on(&c.regs)).then_some(cpu)
    }
}

/// The CPUs that have notes.
fn cpus(s: &Session) -> &[u32] {
    let cpus = s.cpus();
    cpus.present.as_ref().unwrap_or(&cpus.possible)
}

fn read(s: &Session, cpu: u32) -> CpuRegisters {
    let facts = Facts::of(s, cpu);
    let known = s.fact::<Known>();
    let (own, why, stood_for) = note_of(s, &facts, s.cpu_states(), &known.owners);
    let (second, ..) = note_of(s, &facts, &s.opened().machine.second_states, &known.second_owners);
    let claim = |state: &CpuState, source| {
        let mut claim = Claim::new(state.regs, source, register_fit::of(s, &facts, state));
        // what an exception saved on a stack vouches for a note that has the same, whatever it is
        if claim.doubt.is_some_and(Doubt::can_be_vouched) && s.is_vouched(cpu, facts.task, &claim.regs) {
            claim.doubt = None;
        }
        claim
    };
    let note = own.map(|state| claim(state, Source::Note));
    let second = second.map(|state| claim(state, Source::SecondNote));
    let saved = facts.saved.as_ref().map(|state| claim(state, Source::CrashNotes));
    // a hypervisor's note has control registers, and is younger than what the kernel saved
    let by_hypervisor = own.is_some_and(|state| state.control.is_some());
    let mut found = rank(note, second, saved, why, by_hypervisor);
    register_stack::weigh(s, cpu, facts.task, by_hypervisor, &mut found);
    CpuRegisters { stood_for, ..found }
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
    let of = |claims, doubt| CpuRegisters { claims, doubt, stood_for: None };
    let Some(saved) = saved else { return of(claims, doubt) };
    match claims.first() {
        // the note is a copy of it
        Some(note) if !by_hypervisor && note.regs == saved.regs => {
            if let Some(note) = claims.first_mut() {
                (note.doubt, note.unchecked) = (None, None);
                doubt = None;
            }
        }
        Some(_) if !by_hypervisor && saved.doubt.is_none() => {
            doubt = doubt.or(Some(Doubt::Differs));
            claims.insert(0, saved);
        }
        _ => claims.push(saved),
    }
    of(claims, doubt)
}

/// Takes away what another copy has differently.
fn agree(regs: &mut Regs, other: &Regs) {
    let differing = regs.iter().filter(|(n, _, value)| other.get(*n).is_some_and(|v| v != *value));
    for (number, ..) in differing.collect::<Vec<_>>() {
        regs.clear(number);
    }
}

/// The note of a CPU, or why it has none, and in whose place it stands where that is not the CPU's own: the one in the
/// CPU's place where something says that it is the CPU's, else by what says of whom all notes are.
fn note_of<'a>(
    s: &Session,
    facts: &Facts<'_>,
    states: &'a [CpuState],
    known: &Kept<Vec<(u32, usize)>>,
) -> (Option<&'a CpuState>, Option<Doubt>, Option<u32>) {
    let cpus = cpus(s);
    let whole = states.len() == cpus.len();
    let place = cpus.iter().position(|&c| c == facts.cpu).filter(|_| whole);
    let own = place.and_then(|at| states.get(at));
    if let Some(own) = own.filter(|state| facts.is_of(s, state)) {
        return (Some(own), None, None);
    }
    let owners = owners(s, states, known);
    match owners.iter().find(|&&(cpu, _)| cpu == facts.cpu) {
        Some(&(cpu, index)) => {
            let stood_for = cpus.get(index).copied().filter(|other| whole && *other != cpu);
            (states.get(index), None, stood_for)
        }
        None => {
            let other = cpus.iter().copied().filter(|&c| c != facts.cpu);
            let of = own.and_then(|own| other.clone().find(|&c| Facts::of(s, c).is_of(s, own)));
            (None, of.map(Doubt::Of), None)
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

/// The longest note that is looked for.
const NOTE_MAX: usize = 1024;

/// What the kernel saved of a CPU when it crashed: a note as in a dump, in memory of the CPU's own.
pub(crate) fn saved(s: &Session, cpu: u32) -> Option<CpuState> {
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
    s.arch().notes.cpu_states(&[note]).pop()
}

#[cfg(test)]
#[path = "registers_tests.rs"]
mod tests;
