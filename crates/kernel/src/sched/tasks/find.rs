//! How tasks are found: by the list that begins at `init_task` and each process's threads; where these are broken, or the
//! kernel counts more, by pid and among the children of those that are known.

use super::Tasks;
use crate::containers::idr;
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::sched::plausible::PID_MAX;
use crate::sched::task::{SignalStruct, Task, TaskStruct, read_task};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::{FxHashMap, FxHashSet};

bind! {
    /// `struct pid_namespace`: `idr` since 4.15 (95846ecf9dac)
    struct PidNamespace("pid_namespace") { idr: "idr" }
}
bind! {
    /// `struct pid`
    pub(super) struct PidStruct("pid") { tasks: "tasks", numbers: "numbers", level: "level" }
}
bind! {
    /// `struct upid`
    pub(super) struct Upid("upid") { nr: "nr", ns: "ns", chain: "pid_chain" }
}

/// So many pids of those that a list leaves out are told.
const SHOWN: usize = 5;
/// More buckets than `pid_hash` ever had (1 << 12), and more pids than there can be in one.
const MAX_BUCKETS: u64 = 1 << 16;
const MAX_CHAIN: usize = 1 << 16;
/// More tasks than ids let there be, with an idle one of each CPU.
const MAX_TASKS: usize = PID_MAX as usize + (1 << 20);

/// True for a number of threads that there can be: each has an id of its own.
pub(crate) const fn is_possible_count(count: u64) -> bool {
    count <= PID_MAX as u64
}

/// What is found, and where.
pub(super) struct Find<'s> {
    pub(super) s: &'s Session,
    pub(super) out: Tasks,
    seen: FxHashSet<VirtAddr>,
    /// The problems that are told, in their words.
    told: FxHashSet<String>,
    /// True where the list of all processes contradicts nothing by itself.
    looks_whole: bool,
}

impl<'s> Find<'s> {
    pub(super) fn new(s: &'s Session) -> Self {
        Self {
            s,
            out: Tasks::default(),
            seen: FxHashSet::default(),
            told: FxHashSet::default(),
            looks_whole: false,
        }
    }
}

impl Find<'_> {
    pub(super) fn problem(&mut self, e: KernelError) {
        // what no type tells is said once, not of each task
        if matches!(e, KernelError::Fault(_)) || self.told.insert(e.to_string()) {
            self.out.problems.push(e);
        }
    }
    pub(super) fn lost_cpu(&mut self, cpu: u32, e: KernelError) {
        self.out.unknown_cpus.push(cpu);
        self.problem(e);
    }

    /// Adds a task; an error where it is none.
    fn add(&mut self, at: VirtAddr) -> Result<()> {
        if at.is_null() || !self.seen.insert(at) {
            return Ok(());
        }
        let task = read_task(self.s, at)?;
        self.keep(task);
        Ok(())
    }

    /// Takes a task in; what it holds that cannot be is told.
    fn keep(&mut self, task: Task) {
        if let Some(wrong) = &task.wrong {
            let (at, why) = (task.at, wrong.clone());
            self.problem(KernelError::Damaged { what: "task_struct", at, why });
        }
        self.out.all.push(task);
    }

    /// True for one that was looked at.
    pub(super) fn is_known(&self, at: VirtAddr) -> bool {
        self.seen.contains(&at)
    }

    /// The same for those that a list or tree should hold, where no idle task is.
    pub(super) fn add_listed(&mut self, at: VirtAddr) -> Result<()> {
        if at.is_null() || self.seen.contains(&at) {
            return Ok(());
        }
        self.seen.insert(at);
        match read_task(self.s, at) {
            Ok(t) if t.pid == 0 => {
                let why = "it cannot be a task of this list: its pid is 0".into();
                Err(KernelError::Damaged { what: "task_struct", at, why })
            }
            Ok(t) => {
                self.keep(t);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    pub(super) fn idle(&mut self, at: VirtAddr, cpu: u32) {
        match self.add(at) {
            Ok(()) => self.place(at, cpu, false),
            Err(e) => self.problem(e),
        }
    }
    pub(super) fn running(&mut self, at: VirtAddr, cpu: u32) {
        match self.add(at) {
            Ok(()) => self.place(at, cpu, true),
            Err(e) => self.problem(e),
        }
        if self.out.at(at).is_none() {
            self.out.unknown_cpus.push(cpu);
        }
    }
    fn place(&mut self, at: VirtAddr, cpu: u32, active: bool) {
        if let Some(t) = self.out.all.iter_mut().find(|t| t.at == at) {
            t.cpu = Some(cpu);
            t.active |= active;
        }
    }

    /// Every process on the list that begins at `init_task`, with its threads.
    pub(super) fn listed(&mut self) {
        let b = self.s.bind::<TaskStruct>();
        let head = match self.s.need_symbol("init_task").and_then(|at| b.tasks.at(at)) {
            Ok(head) => head,
            Err(e) => return self.problem(e),
        };
        let s = self.s;
        let problems = both_ways(s.mem(), head, &mut |entry| {
            let leader = b.tasks.container(entry)?;
            match self.add_listed(leader) {
                // a page of it that is missing costs this one, and the list goes on
                Err(e @ KernelError::Fault(_)) => self.problem(e),
                other => other?,
            }
            self.threads(leader);
            Ok(())
        });
        self.looks_whole = problems.is_empty();
        self.out.problems.extend(problems);
    }

    /// The threads of a process.
    fn threads(&mut self, leader: VirtAddr) {
        let s = self.s;
        let b = s.bind::<TaskStruct>();
        let sig = s.bind::<SignalStruct>();
        let by_node = sig.thread_head.offset().is_ok() && b.thread_node.offset().is_ok();
        let (head, node) = if by_node || b.thread_group.offset().is_err() {
            match b.signal.ptr(s.mem(), leader).and_then(|at| sig.thread_head.at(at)) {
                Ok(head) => (head, &b.thread_node),
                Err(e) => return self.problem(e),
            }
        } else {
            match b.thread_group.at(leader) {
                Ok(head) => (head, &b.thread_group),
                Err(e) => return self.problem(e),
            }
        };
        let problems = both_ways(s.mem(), head, &mut |entry| {
            let at = node.container(entry)?;
            match self.add_listed(at) {
                Err(e @ KernelError::Fault(_)) => self.problem(e),
                other => other?,
            }
            Ok(())
        });
        self.out.problems.extend(problems);
    }

    /// What tasks say together that cannot be: one id of two tasks, and more tasks than the kernel counts.
    pub(super) fn contradictions(&mut self, counted: Option<u64>) {
        let mut known: FxHashMap<i32, VirtAddr> = FxHashMap::default();
        let mut twice = Vec::new();
        for t in self.out.all.iter().filter(|t| t.pid != 0) {
            if let Some(first) = known.insert(t.pid, t.at) {
                let why = format!("it and the one at {:#x} both have pid {}", first.0, t.pid);
                twice.push(KernelError::Damaged { what: "task_struct", at: t.at, why });
            }
        }
        twice.into_iter().for_each(|e| self.problem(e));
        let found = self.found();
        if let (Some(counted), Some(at)) =
            (counted.filter(|counted| !self.fits(*counted)), self.s.symbol("nr_threads"))
        {
            let why = format!("it says {counted}, and {found} tasks were found");
            self.problem(KernelError::Damaged { what: "nr_threads", at, why });
        }
    }

    /// How many threads were found, as the kernel counts them: without the idle tasks.
    pub(super) fn found(&self) -> u64 {
        self.out.all.iter().filter(|t| t.pid != 0).count() as u64
    }

    /// True for a number of threads that there can be, and that is not below what was found.
    pub(super) fn fits(&self, counted: u64) -> bool {
        counted >= self.found() && is_possible_count(counted)
    }

    /// True where there are more than were found, or may be.
    pub(super) fn is_short(&self, counted: Option<u64>) -> bool {
        match counted {
            Some(counted) => self.found() < counted,
            None => !self.out.problems.is_empty(),
        }
    }

    /// The ways besides the list: by pid, and children and threads of those that are known, and, where the list contradicts
    /// itself, those beside them; `running` are those that the CPUs run. What is wrong with these is no news: they are asked
    /// because something is.
    pub(super) fn otherwise(&mut self, running: &[(u32, VirtAddr)]) {
        let before = self.out.problems.len();
        let known = self.out.all.len();
        let by_pid = self.by_pid().unwrap_or_default();
        for at in by_pid {
            let _ = self.add_listed(at);
        }
        if !self.looks_whole {
            for (_, at) in running {
                self.add_proven(*at);
                self.beside(*at);
            }
        }
        let mut next = 0;
        while let Some(at) = self.out.all.get(next).map(|t| t.at).filter(|_| next < MAX_TASKS) {
            self.children(at);
            self.threads(at);
            if !self.looks_whole {
                self.beside(at);
            }
            next += 1;
        }
        self.out.problems.truncate(before.max(1));
        self.told = self.out.problems.iter().map(ToString::to_string).collect();
        if self.looks_whole {
            self.left_out(known);
        }
    }

    /// Tells of processes that the list leaves out though it looks whole: those that were found by other ways.
    fn left_out(&mut self, known: usize) {
        let Ok(head) =
            self.s.need_symbol("init_task").and_then(|at| self.s.bind::<TaskStruct>().tasks.at(at))
        else {
            return;
        };
        let others = self.out.all.get(known..).unwrap_or_default();
        let pids: Vec<i32> = others.iter().filter(|t| t.pid == t.tgid).map(|t| t.pid).collect();
        let (Some(some), count) = (pids.get(..pids.len().min(SHOWN)), pids.len()) else { return };
        if count == 0 {
            return;
        }
        let some: Vec<String> = some.iter().map(ToString::to_string).collect();
        let more = if count > SHOWN { ", ..." } else { "" };
        let why = format!(
            "it leaves out {count} {} that {} found by pid or by {} parents: {}{more}",
            if count == 1 { "process" } else { "processes" },
            if count == 1 { "is" } else { "are" },
            if count == 1 { "its" } else { "their" },
            some.join(", "),
        );
        self.problem(KernelError::Damaged { what: "list of all processes", at: head, why });
    }

    fn children(&mut self, parent: VirtAddr) {
        let b = self.s.bind::<TaskStruct>();
        let Ok(head) = b.children.at(parent) else { return };
        let s = self.s;
        let _ = both_ways(s.mem(), head, &mut |entry| self.add_listed(b.sibling.container(entry)?));
    }

    /// The tasks that the kernel finds by pid: `init_pid_ns.idr` since 4.15, `pid_hash` before.
    fn by_pid(&self) -> Result<Vec<VirtAddr>> {
        let s = self.s;
        let ns = s.need_symbol("init_pid_ns")?;
        let b = s.bind::<PidNamespace>();
        let pids: Vec<VirtAddr> = match b.idr.exists() {
            true => self.pids_by_number()?.into_iter().map(|(_, pid)| pid).collect(),
            false => hashed(s, ns)?,
        };
        let pid = s.bind::<PidStruct>();
        let links = s.bind::<TaskStruct>();
        // PIDTYPE_PID is the first of both arrays
        let task = |at: VirtAddr| {
            let node = s.mem().ptr(pid.tasks.at(at).ok()?).ok()?;
            links.pid_links.container(node).ok().filter(|_| !node.is_null())
        };
        Ok(pids.into_iter().filter_map(task).collect())
    }

    /// Numbers and the `struct pid` of each, where the kernel keeps them in a tree by number.
    pub(super) fn pids_by_number(&self) -> Result<Vec<(u64, VirtAddr)>> {
        let s = self.s;
        let at = s.bind::<PidNamespace>().idr.at(s.need_symbol("init_pid_ns")?)?;
        Ok(idr::entries(s, at)?.all.iter().map(|e| (e.index, VirtAddr(e.value))).collect())
    }
}

/// The `struct pid`s in `pid_hash`, an array of hash lists of `struct upid` until 4.15.
fn hashed(s: &Session, ns: VirtAddr) -> Result<Vec<VirtAddr>> {
    let mem = s.mem();
    let (pid, upid) = (s.bind::<PidStruct>(), s.bind::<Upid>());
    let table = mem.ptr(s.need_symbol("pid_hash")?)?;
    let shift = mem.u32(s.need_symbol("pidhash_shift")?)?;
    let buckets = 1_u64.checked_shl(shift).unwrap_or(0).min(MAX_BUCKETS);
    let mut out = Vec::new();
    for n in 0..buckets {
        let Ok(mut node) = mem.ptr(table.add(n * 8)) else { continue };
        for _ in 0..MAX_CHAIN {
            if node.is_null() {
                break;
            }
            let at = upid.chain.container(node)?;
            // the first number is that of the first namespace
            if upid.ns.ptr(mem, at).is_ok_and(|own| own == ns) {
                out.push(pid.numbers.container(at)?);
            }
            let Ok(next) = mem.ptr(node) else { break };
            node = next;
        }
    }
    Ok(out)
}
