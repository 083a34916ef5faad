//! All tasks: from the list that begins at `init_task`, each process's threads, and what the CPUs run. Where a list is
//! broken, or the kernel counts more than were found, they are looked for in other ways as well: by pid, and among the
//! children of those that are known.
//!
//! **Invariant:** a list that is shorter than the kernel's says so ([`Tasks::problems`], [`Tasks::lack`]).

use crate::cpu;
use crate::error::{KernelError, Result};
use crate::list::both_ways;
use crate::session::Session;
use crate::task::{SignalStruct, Task, TaskStruct, current_task, idle_task, read_task};
use crate::xarray;
use base::VirtAddr;
use rustc_hash::{FxHashMap, FxHashSet};

bind! {
    /// `struct pid_namespace`: `idr` since 4.15 (95846ecf9dac)
    struct PidNamespace("pid_namespace") { idr: "idr.idr_rt" }
}
bind! {
    /// `struct pid`
    struct PidStruct("pid") { tasks: "tasks", numbers: "numbers" }
}
bind! {
    /// `struct upid`
    struct Upid("upid") { ns: "ns", chain: "pid_chain" }
}

/// More buckets than `pid_hash` ever had (1 << 12), and more pids than there can be in one.
const MAX_BUCKETS: u64 = 1 << 16;
const MAX_CHAIN: usize = 1 << 16;
/// More tasks than PID_MAX_LIMIT lets there be.
const MAX_TASKS: usize = 5 << 20;

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
            _ => format!("{found} tasks are known, there may be more"),
        };
        Some(match self.problems.as_slice() {
            [] => of,
            [one] => format!("{of}: {one}"),
            [first, rest @ ..] => format!("{of}: {first}; {} more such", rest.len()),
        })
    }
}

/// Reads all tasks: `init_task.tasks`, each one's threads, and the CPUs' idle tasks.
pub fn read_tasks(s: &Session) -> Tasks {
    let mut find = Find { s, out: Tasks::default(), seen: FxHashSet::default() };
    let mut current: Vec<(u32, VirtAddr)> = Vec::new();
    for &cpu in &s.cpus().possible {
        match current_task(s, cpu) {
            Ok(at) => current.push((cpu, at)),
            Err(e) => find.lost_cpu(cpu, e),
        }
        match idle_task(s, cpu) {
            Ok(at) => find.idle(at, cpu),
            Err(e) => find.problem(e),
        }
    }
    if !s.opened().active_only {
        find.listed();
        let counted = s.symbol("nr_threads").and_then(|at| s.mem().u32(at).ok()).map(u64::from);
        if find.is_short(counted) {
            find.otherwise();
        }
        if let (Some(counted), None) = (counted, s.cpus().otherwise) {
            find.out.total = Some(counted.saturating_add(s.cpus().possible.len() as u64));
        }
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
    let size = crate::stacks::thread_size(s);
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
    let Some(pid) = crate::panic::named_last(s) else { return };
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

struct Find<'s> {
    s: &'s Session,
    out: Tasks,
    seen: FxHashSet<VirtAddr>,
}

impl Find<'_> {
    fn problem(&mut self, e: KernelError) {
        // what no type tells is said once, not of each task
        let is_known = |e: &KernelError| self.out.problems.iter().any(|p| p.to_string() == e.to_string());
        if matches!(e, KernelError::Fault(_)) || !is_known(&e) {
            self.out.problems.push(e);
        }
    }
    fn lost_cpu(&mut self, cpu: u32, e: KernelError) {
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
            let (at, why) = (task.at, format!("{wrong}, which no task's is"));
            self.problem(KernelError::Damaged { what: "task_struct", at, why });
        }
        self.out.all.push(task);
    }

    /// The same for those that a list or tree should hold, where no idle task is.
    fn add_listed(&mut self, at: VirtAddr) -> Result<()> {
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

    fn idle(&mut self, at: VirtAddr, cpu: u32) {
        match self.add(at) {
            Ok(()) => self.place(at, cpu, false),
            Err(e) => self.problem(e),
        }
    }
    fn running(&mut self, at: VirtAddr, cpu: u32) {
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
    fn listed(&mut self) {
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
    fn contradictions(&mut self, counted: Option<u64>) {
        let mut known: FxHashMap<i32, VirtAddr> = FxHashMap::default();
        let mut twice = Vec::new();
        for t in self.out.all.iter().filter(|t| t.pid != 0) {
            if let Some(first) = known.insert(t.pid, t.at) {
                let why = format!("it and the one at {:#x} both have pid {}", first.0, t.pid);
                twice.push(KernelError::Damaged { what: "task_struct", at: t.at, why });
            }
        }
        twice.into_iter().for_each(|e| self.problem(e));
        let found = self.out.all.iter().filter(|t| t.pid != 0).count() as u64;
        if let (Some(counted), Some(at)) = (counted.filter(|n| *n < found), self.s.symbol("nr_threads")) {
            let why = format!("it says {counted}, and {found} tasks were found");
            self.problem(KernelError::Damaged { what: "nr_threads", at, why });
        }
    }

    /// True where there are more than were found, or may be.
    fn is_short(&self, counted: Option<u64>) -> bool {
        let found = self.out.all.iter().filter(|t| t.pid != 0).count() as u64;
        match counted {
            Some(counted) => found < counted,
            None => !self.out.problems.is_empty(),
        }
    }

    /// The ways besides the list: by pid, and children and threads of those that are known. What is wrong with these is
    /// no news: they are asked because something is.
    fn otherwise(&mut self) {
        let before = self.out.problems.len();
        let by_pid = self.by_pid().unwrap_or_default();
        for at in by_pid {
            let _ = self.add_listed(at);
        }
        let mut next = 0;
        while let Some(at) = self.out.all.get(next).map(|t| t.at).filter(|_| next < MAX_TASKS) {
            self.children(at);
            self.threads(at);
            next += 1;
        }
        self.out.problems.truncate(before.max(1));
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
        let pids: Vec<VirtAddr> = match b.idr.at(ns) {
            Ok(root) => {
                let tree = xarray::entries(s.mem(), xarray::Layout::of(s)?, xarray::head(s, root)?);
                tree.all.iter().map(|e| VirtAddr(e.value)).collect()
            }
            Err(_) => hashed(s, ns)?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A page of each task that is left out costs this task alone.
    const TASK: u64 = 4096;

    /// A kernel of one CPU whose `init_task` has `count` processes on its list, with pids from 1 on; the first is the
    /// parent of all others. Their `task_struct`s.
    fn kernel(count: u32) -> (Kernel, Vec<u64>) {
        let mut k = Kernel::new();
        k.structure("list_head", 16, &[("next", 0, "*list_head"), ("prev", 8, "*list_head")]);
        k.structure("hlist_node", 16, &[("next", 0, "*hlist_node"), ("pprev", 8, "u64")]);
        k.structure("hlist_head", 8, &[("first", 0, "*hlist_node")]);
        k.structure(
            "task_struct",
            TASK,
            &[
                ("pid", 0, "s32"),
                ("tgid", 4, "s32"),
                ("comm", 8, "char[16]"),
                ("tasks", 32, "list_head"),
                ("children", 48, "list_head"),
                ("sibling", 64, "list_head"),
                ("thread_group", 80, "list_head"),
                ("pid_links", 96, "hlist_node[4]"),
                ("__state", 160, "u32"),
                ("exit_state", 164, "s32"),
                ("on_cpu", 168, "s32"),
                ("flags", 172, "u32"),
            ],
        );
        k.structure("rq", 16, &[("curr", 0, "*task_struct"), ("idle", 8, "*task_struct")]);
        let rq = k.per_cpu("runqueues", 16);
        let init = k.variable("init_task", TASK);
        k.set_text(init, "task_struct", "comm", "swapper/0");
        let all: Vec<u64> = (0..count).map(|_| k.object("task_struct")).collect();
        for (n, &at) in (1..).zip(&all) {
            k.set(at, "task_struct", "pid", n).set(at, "task_struct", "tgid", n);
            k.set_text(at, "task_struct", "comm", &format!("task {n}"));
        }
        for &at in all.iter().chain([&init]) {
            k.link(at + 80, &[]).link(at + 48, &[]);
        }
        let links = |offset: u64| all.iter().map(|at| at + offset).collect::<Vec<_>>();
        k.link(init + 32, &links(32));
        let siblings = links(64);
        k.link(all[0] + 48, &siblings[1..]).link(init + 48, &siblings[..1]);
        let rq = k.on_cpu(rq, 0);
        k.word(rq, all[1]).word(rq + 8, init);
        let counted = k.variable("nr_threads", 4);
        k.half(counted, count);
        (k, all)
    }

    fn pids(tasks: &Tasks) -> Vec<i32> {
        tasks.all.iter().map(|t| t.pid).collect()
    }

    #[test]
    fn a_whole_list_lacks_nothing() {
        let (k, _) = kernel(6);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((tasks.total, tasks.lack(), tasks.problems.len()), (Some(7), None, 0));
        assert_eq!(tasks.on_cpu(0).map(|t| t.pid), Some(2));
        assert_eq!(tasks.was_active(&tasks.all[1]), Some(false));
    }

    #[test]
    fn a_task_that_is_left_out_hides_no_other() {
        let (mut k, all) = kernel(6);
        k.exclude(all[3]);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 3, 5, 6]);
        let lack = tasks.lack().unwrap();
        assert!(lack.starts_with("6 of 7 tasks are known: "), "{lack}");
    }

    #[test]
    fn two_that_are_left_out_leave_those_between_to_their_parent() {
        let (mut k, all) = kernel(8);
        k.exclude(all[2]).exclude(all[5]);
        // neither way of the list leads to 4 and 5: both are children of 1, whose list is broken at the same places
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 7, 8]);
        assert!(tasks.lack().unwrap().starts_with("5 of 9 tasks are known"), "{:?}", tasks.lack());
    }

    #[test]
    fn tasks_are_found_by_pid() {
        let (mut k, all) = kernel(8);
        k.structure("xa_node", 32, &[("shift", 0, "u8"), ("slots", 8, "u64[3]")]);
        k.structure("xarray", 8, &[("xa_head", 0, "u64")]);
        k.structure("idr", 8, &[("idr_rt", 0, "xarray")]);
        k.structure("pid_namespace", 8, &[("idr", 0, "idr")]);
        k.structure("pid", 32, &[("tasks", 0, "hlist_head[4]")]);
        let ns = k.variable("init_pid_ns", 8);
        let node = k.object("xa_node");
        k.word(ns, node | 2);
        for (n, &task) in all[3..5].iter().enumerate() {
            let pid = k.object("pid");
            k.word(pid, task + 96).word(node + 8 + 8 * n as u64, pid);
        }
        k.exclude(all[2]).exclude(all[5]);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 4, 5, 7, 8]);
        assert!(tasks.lack().unwrap().starts_with("7 of 9 tasks are known"), "{:?}", tasks.lack());
    }

    #[test]
    fn what_can_be_no_task_is_left_out_and_told() {
        for (member, value, word) in [
            ("pid", 41_877_504, "its pid is 41877504"),
            ("tgid", u64::MAX - 4, "its tgid is -5"),
            ("pid", 4 << 20, "its pid is 4194304"),
            ("pid", 0, "its pid is 0"),
        ] {
            let (mut k, all) = kernel(6);
            k.set(all[3], "task_struct", member, value);
            let tasks = read_tasks(&session(&k));
            assert_eq!(pids(&tasks), [0, 1, 2, 3, 5, 6], "{word}");
            let lack = tasks.lack().unwrap();
            assert!(lack.starts_with("6 of 7") && lack.contains(word), "{lack}");
        }
    }

    #[test]
    fn without_types_a_task_that_is_left_out_hides_no_other() {
        for lost in [None, Some(0), Some(1), Some(6), Some(11)] {
            let (mut k, all) = kernel(12);
            k.without_btf();
            if let Some(lost) = lost {
                k.exclude(all[lost]);
            }
            let tasks = read_tasks(&session(&k));
            let wanted: Vec<i32> =
                (0..=12).filter(|pid| lost.is_none_or(|lost| *pid != lost as i32 + 1)).collect();
            assert_eq!(pids(&tasks), wanted, "without {lost:?}");
            let lack = tasks.lack();
            assert_eq!(
                lack.is_some_and(|lack| lack.starts_with("12 of 13 tasks")),
                lost.is_some(),
                "{lost:?}"
            );
        }
    }

    #[test]
    fn a_name_without_an_end_is_no_tasks() {
        let (mut k, all) = kernel(6);
        k.word(all[3] + 8, u64::MAX).word(all[3] + 16, 0x4141_4141_4141_4141);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 3, 5, 6]);
        assert!(tasks.lack().unwrap().contains("its comm has no end"), "{:?}", tasks.lack());
    }

    #[test]
    fn one_member_that_cannot_be_is_not_known_and_two_make_no_task() {
        for (members, told, count) in [
            (&[("stack", 0x1234_u64)][..], "its stack is 0x1234, which no task's is", 7),
            (&[("mm", 0x7fff_0000_1000)], "its mm is 0x7fff00001000", 7),
            (&[("cred", 3)], "its cred is 0x3", 7),
            (&[("signal", 0x41)], "its signal is 0x41", 7),
            (&[("stack", 0xffff_8880_0000_0008), ("cred", 3)], "it cannot be a task: its stack is", 6),
        ] {
            let (mut k, all) = kernel(6);
            for (n, name) in (0..).zip(["stack", "mm", "cred", "signal"]) {
                k.member("task_struct", (name, 176 + n * 8, "u64"));
            }
            for (name, value) in members {
                k.set(all[3], "task_struct", name, *value);
            }
            let tasks = read_tasks(&session(&k));
            assert_eq!(tasks.all.len(), count, "{told}");
            let problem = tasks.problems[0].to_string();
            assert!(problem.contains(told), "{problem}");
            if let Some(t) = tasks.at(VirtAddr(all[3])) {
                let lost = [t.stack, t.mm].iter().filter(|at| at.is_none()).count();
                assert_eq!(lost, usize::from(["stack", "mm"].contains(&members[0].0)), "{told}");
            }
        }
    }

    #[test]
    fn an_address_space_of_more_than_all_addresses_has_no_size() {
        for (pages, fits) in [(1 << 34, true), (u64::MAX >> 4, false)] {
            let (mut k, all) = kernel(3);
            k.member("task_struct", ("mm", 176, "u64"));
            k.structure("mm_struct", 64, &[("total_vm", 0, "u64")]);
            let mm = k.object("mm_struct");
            k.set(mm, "mm_struct", "total_vm", pages).set(all[1], "task_struct", "mm", mm);
            let s = session(&k);
            let total = crate::mm::total(&s, s.tasks().at(VirtAddr(all[1])).unwrap());
            assert_eq!(total.as_ref().ok(), Some(&pages).filter(|_| fits));
            assert!(fits || total.unwrap_err().to_string().contains("more than there are addresses"));
        }
    }

    #[test]
    fn one_id_of_two_tasks_and_too_many_tasks_are_told() {
        let (mut k, all) = kernel(6);
        k.set(all[3], "task_struct", "pid", 2);
        let told = read_tasks(&session(&k)).problems[0].to_string();
        assert!(told.contains("both have pid 2"), "{told}");
        let (mut k, _) = kernel(6);
        let counted = k.at("nr_threads");
        k.half(counted, 4);
        let told = read_tasks(&session(&k)).problems[0].to_string();
        assert!(told.contains("it says 4, and 6 tasks were found"), "{told}");
    }

    #[test]
    fn a_list_that_ends_early_or_loops_is_told_and_walked_from_its_end() {
        for (next, word) in [(5_u64, "comes back"), (0, "is the last entry")] {
            let (mut k, all) = kernel(6);
            let init = k.at("init_task");
            let to = if next == 0 { init } else { all[1] };
            k.word(all[2] + 32, to + 32);
            let tasks = read_tasks(&session(&k));
            assert_eq!(pids(&tasks), [0, 1, 2, 3, 4, 5, 6]);
            assert_eq!(tasks.lack(), None, "all are found");
            assert!(tasks.problems[0].to_string().contains(word), "{}", tasks.problems[0]);
        }
    }

    #[test]
    fn without_run_queues_a_task_itself_says_that_it_ran() {
        let (mut k, all) = kernel(3);
        k.without("rq", "curr");
        for &at in &all {
            k.set(at, "task_struct", "on_cpu", 0);
        }
        let tasks = read_tasks(&session(&k));
        assert_eq!(tasks.unknown_cpus, [0]);
        assert_eq!(tasks.was_active(&tasks.all[1]), Some(false), "it says itself that it did not");
        // where the page that would say so is not known either, it is not known
        k.without("task_struct", "on_cpu");
        let tasks = read_tasks(&session(&k));
        assert_eq!(tasks.was_active(&tasks.all[1]), None);
    }
}
