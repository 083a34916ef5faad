//! All tasks: from the list that begins at `init_task`, each process's threads, and what the CPUs run. Where a list is
//! broken, or the kernel counts more than were found, they are looked for in other ways as well: by pid, and among the
//! children of those that are known.
//!
//! **Invariant:** a list that is shorter than the kernel's says so ([`Tasks::problems`], [`Tasks::lack`]).

mod beside;
mod find;
mod ids;
#[cfg(test)]
mod tests;

use crate::error::KernelError;
use crate::sched::cpu;
use crate::sched::task::{Task, current_task, idle_task};
use crate::session::{Fact, Session};
use base::VirtAddr;
use find::Find;

pub use ids::{inner_number, process_group, session_id};

pub(crate) use find::is_possible_count;

/// All tasks as far as they could be found.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// By pid; the idle tasks, pid 0, first, by CPU.
    pub all: Vec<Task>,
    /// What was damaged on the way, each with what it cost.
    pub problems: Vec<KernelError>,
    /// How many there are, where the kernel's own count says so (`nr_threads`, and an idle task for each CPU).
    pub total: Option<u64>,
    /// CPUs of which it is not known what they ran.
    pub unknown_cpus: Vec<u32>,
    /// True where the idle task of a CPU is not known.
    lacks_idle: bool,
}

impl Tasks {
    /// The tasks with this thread id (0 has one for each CPU).
    pub fn with_pid(&self, pid: i32) -> impl Iterator<Item = &Task> {
        self.all.iter().filter(move |t| t.pid == pid)
    }
    /// The task whose `task_struct` is at this address.
    #[must_use]
    pub fn at(&self, at: VirtAddr) -> Option<&Task> {
        self.all.iter().find(|t| t.at == at)
    }
    /// The task that a CPU was running.
    #[must_use]
    pub fn on_cpu(&self, cpu: u32) -> Option<&Task> {
        self.all.iter().find(|t| t.active && t.was_on(cpu))
    }
    /// Whether a task was on a CPU when the machine stopped, where that is known.
    #[must_use]
    pub fn was_active(&self, t: &Task) -> Option<bool> {
        match t.on_cpu {
            _ if t.active => Some(true),
            _ if self.unknown_cpus.is_empty() => Some(false),
            Some(false) => Some(false),
            _ => None,
        }
    }
    /// What is lacking in words; nothing where the list is whole.
    #[must_use]
    pub fn lack(&self) -> Option<String> {
        let found = self.all.len() as u64;
        let of = match self.total {
            Some(total) if total > found => format!("{found} of {total} tasks are known"),
            // what was damaged cost none
            Some(_) => return None,
            // what this kernel does not have hides no task of its list
            _ if self.problems.iter().all(|e| matches!(e, KernelError::NoSymbol(_))) => return None,
            _ if !self.lacks_idle && self.problems.iter().all(KernelError::is_of_the_kernel) => return None,
            _ => format!("{found} tasks are known, there may be more"),
        };
        Some(match self.problems.as_slice() {
            [] => of,
            [one] => format!("{of}: {one}"),
            [first, rest @ ..] => format!("{of}: {first}; {} more such", rest.len()),
        })
    }
}

impl Fact for Tasks {
    fn read(s: &Session) -> Self {
        read_tasks(s)
    }
}

impl Session {
    /// All tasks.
    pub fn tasks(&self) -> &Tasks {
        // before they are read, as that can begin an epoch
        self.check_types();
        self.fact()
    }
}

/// Reads all tasks: `init_task.tasks`, each one's threads, and the CPUs' idle tasks.
pub(crate) fn read_tasks(s: &Session) -> Tasks {
    let mut find = Find::new(s);
    let mut current: Vec<(u32, VirtAddr)> = Vec::new();
    for &cpu in &s.cpus().possible {
        match current_task(s, cpu) {
            Ok(at) => current.push((cpu, at)),
            Err(e) => find.lost_cpu(cpu, e),
        }
        match idle_task(s, cpu) {
            Ok(at) => find.idle(at, cpu),
            Err(e) => {
                find.out.lacks_idle = true;
                find.problem(e);
            }
        }
    }
    if !s.opened().active_only {
        find.listed();
        let counted = s.symbol("nr_threads").and_then(|at| s.mem().u32(at).ok()).map(u64::from);
        // a count below what is found is wrong, and proves no list whole
        let believed = counted.filter(|counted| find.fits(*counted));
        // a list that leaves tasks out in both directions looks whole: where no count says so, the others tell
        if believed.is_none() || find.is_short(believed) {
            find.otherwise(&current);
        }
        let believed = believed.filter(|counted| find.fits(*counted));
        if let (Some(counted), None) = (believed, s.cpus().otherwise) {
            find.out.total = Some(counted.saturating_add(s.cpus().possible.len() as u64));
        }
        find.check_ids();
        find.contradictions(counted);
    }
    // what a CPU runs is a task even where the list that should hold it is damaged
    for &(cpu, at) in &current {
        find.running(at, cpu);
    }
    let mut out = find.out;
    by_their_own_word(&mut out);
    if current.is_empty() {
        by_registers(s, &mut out);
        by_the_log(s, &mut out);
    }
    if s.opened().active_only {
        out.all.retain(|t| t.active);
    }
    out.all.sort_by_key(|t| (t.pid, t.cpu.filter(|_| t.pid == 0)));
    out
}

/// Where no variable says what the CPUs ran: a task ran on the CPU whose registers point into its stack.
fn by_registers(s: &Session, out: &mut Tasks) {
    let size = crate::stack::stacks::thread_size(s);
    for (cpu, state) in (0..).zip(s.cpu_states()) {
        let Some(sp) = state.regs.sp() else { continue };
        let is_on = |t: &Task| t.stack.is_some_and(|at| !at.is_null() && sp.wrapping_sub(at.0) < size);
        let mut on = out.all.iter_mut().filter(|t| is_on(t));
        if let (Some(task), None) = (on.next(), on.next()) {
            (task.active, task.cpu) = (true, Some(cpu));
            out.unknown_cpus.retain(|unknown| *unknown != cpu);
        }
    }
}

/// Where neither variables nor registers say what the only CPU ran: it stays with the task that panicked, which the log
/// names.
fn by_the_log(s: &Session, out: &mut Tasks) {
    let Some(cpu) = cpu::only_one(s).filter(|cpu| out.unknown_cpus == [*cpu]) else { return };
    let Some(pid) = crate::sched::panic::named_last(s) else { return };
    let mut named = out.all.iter_mut().filter(|t| t.pid == pid);
    if let (Some(task), None) = (named.next(), named.next()) {
        (task.active, task.cpu) = (true, Some(cpu));
        out.unknown_cpus.clear();
    }
}

/// Where a run queue does not say what its CPU ran, the one task that says so itself is it.
fn by_their_own_word(out: &mut Tasks) {
    let Tasks { all, unknown_cpus, .. } = out;
    unknown_cpus.retain(|cpu| {
        let mut own = all.iter_mut().filter(|t| t.on_cpu == Some(true) && t.was_on(*cpu) && !t.active);
        match (own.next(), own.next()) {
            (Some(task), None) => {
                task.active = true;
                false
            }
            _ => true,
        }
    });
}
