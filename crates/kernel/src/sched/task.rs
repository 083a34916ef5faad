//! Tasks: every `task_struct`, the idle tasks of the CPUs included, and who was running where.

use crate::error::Result;
use crate::plausible::not_one;
use crate::sched::cpu;
use crate::sched::plausible::{self, Pointers};
use crate::session::{Fact, Session};
use base::VirtAddr;

bind! {
    /// `struct task_struct` (include/linux/sched.h)
    pub struct TaskStruct("task_struct") {
        state: "__state" | "state", // 5.14 (2f064a59a11f)
        exit_state: "exit_state",
        stack: "stack",
        flags: "flags",
        cpu: "thread_info.cpu" | "cpu", // in task_struct 4.9 to 5.16; before, in the stack's thread_info
        thread_info: "thread_info",
        tasks: "tasks",
        thread_node: "thread_node",
        thread_group: "thread_group", // removed in 6.7 (8e1f385104ac)
        signal: "signal",
        pid: "pid",
        tgid: "tgid",
        comm: "comm",
        real_parent: "real_parent",
        parent: "parent",
        group_leader: "group_leader",
        children: "children",
        sibling: "sibling",
        mm: "mm",
        active_mm: "active_mm",
        thread_sp: "thread.sp" | "thread.rsp" | "thread.cpu_context.sp", // the last: arm64
        cpu_context: "thread.cpu_context", // arm64: the registers themselves
        on_cpu: "on_cpu",
        thread_pid: "thread_pid", // 4.19 (2c4704756cab)
        pid_links: "pid_links" | "pids", // 4.19 (2c4704756cab)
        policy: "policy",
        prio: "prio",
        last_run: "sched_info.last_arrival" | "se.exec_start",
        utime: "utime",
        stime: "stime",
        start_time: "start_time" | "real_start_time",
        start_boottime: "start_boottime" | "real_start_time", // 5.5 (cf25e24db61c)
        rss_stat: "rss_stat",
        files: "files",
        fs: "fs",
        cred: "cred",
        nsproxy: "nsproxy",
        cgroups: "cgroups",
    }
}
bind! {
    /// `struct thread_info`, at the end of the stack before 4.9 (c65eacbe290b)
    pub struct ThreadInfo("thread_info") {
        task: "task",
        flags: "flags",
        cpu: "cpu",
    }
}
bind! {
    /// `struct signal_struct`
    pub struct SignalStruct("signal_struct") {
        thread_head: "thread_head", // 3.14 (0c740d0afc3b)
        rlim: "rlim",
        utime: "utime",
        stime: "stime",
    }
}
bind! {
    /// `struct rq`
    pub struct RunQueue("rq") {
        curr: "curr",
        idle: "idle",
        nr_running: "nr_running",
        clock: "clock",
        cpu: "cpu",
    }
}

/// `TASK_COMM_LEN`
const COMM: usize = 16;
/// `PF_KTHREAD`
pub const PF_KTHREAD: u64 = 0x0020_0000;

/// What is asked of a task again and again, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its `task_struct`.
    pub at: VirtAddr,
    /// The thread's id.
    pub pid: i32,
    /// The process's id (thread group).
    pub tgid: i32,
    /// Thread id of the process that waits for it (`real_parent->tgid`... crash's PPID).
    pub ppid: Option<i32>,
    /// Its name.
    pub comm: String,
    /// The CPU it runs or last ran on.
    pub cpu: Option<u32>,
    /// `__state`.
    pub state: Option<u64>,
    /// `exit_state`.
    pub exit_state: Option<u64>,
    /// `PF_…` flags.
    pub flags: Option<u64>,
    /// Its address space; null for a kernel thread.
    pub mm: Option<VirtAddr>,
    /// The lowest address of its kernel stack; null where it has given that back.
    pub stack: Option<VirtAddr>,
    /// `on_cpu`: what the scheduler said of it last.
    pub on_cpu: Option<bool>,
    /// True where it is known to have been on a CPU when the machine stopped; see [`Tasks::was_active`](crate::sched::tasks::Tasks::was_active).
    pub active: bool,
    /// What a member held that no task's can hold, so that it is not known, or that another place contradicts.
    pub wrong: Option<String>,
}

impl Task {
    /// True for a thread of the kernel: a zombie of the user's has no memory either, but is none. `None` where that is not
    /// known.
    #[must_use]
    pub fn is_kthread(&self) -> Option<bool> {
        match self.pid {
            0 => Some(true),
            _ => self.flags.map(|flags| flags & PF_KTHREAD != 0),
        }
    }
    /// True for a thread of the kernel, and for one that has given its memory back; `None` where that is not known.
    #[must_use]
    pub fn is_kernel(&self) -> Option<bool> {
        match (self.flags, self.mm) {
            (Some(flags), _) if flags & PF_KTHREAD != 0 => Some(true),
            (_, Some(mm)) if mm.is_null() => Some(true),
            (flags, mm) => flags.and(mm).map(|_| false),
        }
    }
    /// Its own address space: nothing for a kernel thread, and where it is not known.
    #[must_use]
    pub fn own_mm(&self) -> Option<VirtAddr> {
        self.mm.filter(|mm| !mm.is_null())
    }
    /// True where it is known to be dying or dead.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.exit_state.is_some_and(|state| state != 0)
    }
    /// True where one of these bits of `__state` is known to be set.
    #[must_use]
    pub fn is_in(&self, bits: u64) -> bool {
        self.state.is_some_and(|state| state & bits != 0)
    }
    /// True where it ran on this CPU, as far as is known.
    #[must_use]
    pub fn was_on(&self, cpu: u32) -> bool {
        self.cpu == Some(cpu)
    }
    /// True for the first thread of its process.
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        self.pid == self.tgid
    }
}

/// Reads one task; `active` is false, the caller knows what the CPUs run.
///
/// # Errors
/// Its ids or its name are not in the dump, or the types do not know them. What else is missing of it is `None`.
pub fn read_task(s: &Session, at: VirtAddr) -> Result<Task> {
    let mem = s.mem();
    let b = s.bind::<TaskStruct>();
    let stack = b.stack.ptr(mem, at).ok();
    let parent = b.real_parent.ptr(mem, at).or_else(|_| b.parent.ptr(mem, at));
    let pid = b.pid.i32(mem, at)?;
    let tgid = b.tgid.i32(mem, at)?;
    for (what, id) in [("pid", pid), ("tgid", tgid)] {
        if let Some(why) = plausible::wrong_id(what, id) {
            return Err(not_one("task_struct", at, "task", &why));
        }
    }
    let raw = mem.bytes(b.comm.at(at)?, COMM)?;
    if let Some(why) = plausible::wrong_name(&raw) {
        return Err(not_one("task_struct", at, "task", &why));
    }
    let pointers = Pointers {
        signal: b.signal.ptr(mem, at).ok(),
        cred: b.cred.ptr(mem, at).ok(),
        active_mm: b.active_mm.ptr(mem, at).ok(),
    };
    let mut task = Task {
        at,
        pid,
        tgid,
        // an idle task is nobody's child, whatever process started its CPU
        ppid: if pid == 0 { Some(0) } else { parent.ok().and_then(|p| number_of_parent(s, p, tgid)) },
        comm: String::from_utf8_lossy(base::cstr(&raw)).into_owned(),
        cpu: task_cpu(s, at, stack),
        state: b.state.num(mem, at).ok(),
        exit_state: b.exit_state.num(mem, at).ok(),
        flags: b.flags.num(mem, at).ok(),
        mm: b.mm.ptr(mem, at).ok(),
        stack,
        on_cpu: b.on_cpu.num(mem, at).ok().map(|on| on != 0),
        active: false,
        wrong: None,
    };
    plausible::task(s, &mut task, &pointers)?;
    Ok(task)
}

/// The number of a process that one of another number names as its parent: only the first task has 0.
fn number_of_parent(s: &Session, parent: VirtAddr, child: i32) -> Option<i32> {
    let b = s.bind::<TaskStruct>();
    let tgid = b.tgid.i32(s.mem(), parent).ok()?;
    let is_one = plausible::wrong_id("tgid", tgid).is_none()
        && tgid != child
        && (tgid != 0 || s.symbol("init_task").is_none_or(|first| first == parent));
    is_one.then_some(tgid)
}

fn task_cpu(s: &Session, at: VirtAddr, stack: Option<VirtAddr>) -> Option<u32> {
    let mem = s.mem();
    let b = s.bind::<TaskStruct>();
    if let Some(cpu) = cpu::only_one(s) {
        return Some(cpu);
    }
    if b.cpu.exists() || b.thread_info.exists() {
        return b.cpu.u32(mem, at).ok();
    }
    let own = b.cpu.u32(mem, at).ok();
    own.or_else(|| s.bind::<ThreadInfo>().cpu.u32(mem, stack.filter(|at| !at.is_null())?).ok())
}

/// A task's `thread_info`: in the `task_struct` since 4.9, before at the low end of its stack.
pub fn thread_info(s: &Session, task: &Task) -> Option<VirtAddr> {
    // where types do not tell which it is, the one on the stack points back to its task
    let points_back = |at: &VirtAddr| s.mem().ptr(*at) == Ok(task.at);
    let own = s.bind::<TaskStruct>().thread_info.at(task.at).ok();
    own.or_else(|| task.stack.filter(points_back))
}

/// What a CPU runs, as its run queue says; where that is not known, as its own variable does.
///
/// # Errors
/// Neither the run queue nor the variable can be read.
pub fn current_task(s: &Session, cpu: u32) -> Result<VirtAddr> {
    let rq = s.per_cpu("runqueues", cpu).and_then(|rq| s.bind::<RunQueue>().curr.ptr(s.mem(), rq));
    rq.or_else(|e| crate::sched::cpu::current_by_variable(s, cpu).map_err(|_| e))
}

/// A CPU's idle task (`swapper/N`), as its run queue says; where that is not known, `idle_threads` of
/// the CPUs that were started, and `init_task` of the one that booted.
///
/// # Errors
/// Nothing that leads to it can be read.
pub fn idle_task(s: &Session, cpu: u32) -> Result<VirtAddr> {
    let rq = s.per_cpu("runqueues", cpu).and_then(|rq| s.bind::<RunQueue>().idle.ptr(s.mem(), rq));
    rq.or_else(|e| {
        let own = s.per_cpu("idle_threads", cpu).and_then(|at| Ok(s.mem().ptr(at)?));
        match own {
            Ok(at) if !at.is_null() => Ok(at),
            _ if cpu == 0 => s.need_symbol("init_task"),
            _ => Err(e),
        }
    })
}

/// `TASK_UNINTERRUPTIBLE`
const UNINTERRUPTIBLE: u64 = 0x2;
/// `TASK_RTLOCK_WAIT`: for a spinlock that sleeps, with PREEMPT_RT (5.15, 5f220be21418; no state before).
const RTLOCK_WAIT: u64 = 0x1000;
/// `TASK_FROZEN` (6.1, f5d39b020809; no state before).
const FROZEN: u64 = 0x8000;

/// `TASK_FREEZABLE` and `__TASK_FREEZABLE_UNSAFE` (6.1, f5d39b020809; no state before): how a sleep may end.
const FREEZABLE: u64 = 0x6000;

/// All bits that `__state` has had, and two more (`TASK_STATE_MAX` is 0x10000 in 6.1).
pub(crate) const STATE_MAX: u64 = 0x3_ffff;
/// Those that have a name.
const NAMED: u64 = 0xffff;
/// The same of the kernels that called it `state` (before 5.14).
const OLD_STATE_MAX: u64 = 0xfff;
/// The states in which a task sleeps: a bit that says how a sleep ends stands beside one of them.
const SLEEPS: u64 = 0xf | RTLOCK_WAIT | FROZEN;

/// The bits of `__state` and `exit_state`, which moved over the years: EXIT_ZOMBIE and EXIT_DEAD
/// changed places in 3.14 (ad86622b478e), TASK_PARKED and TASK_DEAD moved in 4.14 (8ef9925b02c2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskStates {
    zombie: u64,
    exit_dead: u64,
    parked: u64,
    dead: u64,
    noload: u64,
    new: u64,
    waking: u64,
    /// TASK_WAKEKILL: with UNINTERRUPTIBLE it makes TASK_KILLABLE.
    wakekill: u64,
    /// The highest bits that this kernel can have.
    max: u64,
    /// Which bits moved is not known: the kernel's names of them are not in the dump.
    is_unsure: bool,
    /// True where the kernel's own names of them were read: where it has no symbol for these, its bits are assumed.
    is_told: bool,
}

impl Default for TaskStates {
    fn default() -> Self {
        Self::NEW
    }
}

bind! {
    /// `task_struct` since 5.14 (2f064a59a11f), and before
    struct NewState("task_struct") { new: "__state", old: "state" }
}

impl Fact for TaskStates {
    fn read(s: &Session) -> Self {
        let b = s.bind::<NewState>();
        // what is inferred is called by its old name
        let is_old = b.old.offset().is_ok() && !b.new.exists() && !s.loaded().untyped;
        Self { max: if is_old { OLD_STATE_MAX } else { STATE_MAX }, ..Self::of(s) }
    }
}

impl Session {
    /// How this kernel numbers task states.
    pub fn task_states(&self) -> &TaskStates {
        self.fact()
    }
}

impl TaskStates {
    const NEW: Self = Self {
        zombie: 0x20,
        exit_dead: 0x10,
        parked: 0x40,
        dead: 0x80,
        noload: 0x400,
        new: 0x800,
        waking: 0x200,
        wakekill: 0x100,
        max: STATE_MAX,
        is_unsure: false,
        is_told: false,
    };
    /// Those that moved.
    const MOVED: u64 = 0x3c0;
    /// `TASK_WAKEKILL` of all kernels together: 0x80 before 4.14, 0x100 since.
    const ANY_WAKEKILL: u64 = 0x180;
    /// Names in `task_state_array` of every kernel, at the least.
    const OLD_NAMES: u64 = 7;
    /// The same since 4.14.
    const NAMES: u64 = 9;

    /// Asks `task_state_array` (fs/proc/array.c), whose strings stand at their bits' positions.
    fn of(s: &Session) -> Self {
        let Some(table) = s.symbol("task_state_array") else { return Self::NEW };
        let mut bits = Self { is_told: true, ..Self::NEW };
        let mut has_idle = false;
        let mut zombie_seen = false;
        for n in 0..12_u64 {
            let text = match s.mem().ptr(table.add(n * 8)).and_then(|at| s.mem().cstr(at, 24)) {
                Ok(text) => text,
                // what follows a short array need not point to anything
                Err(e) if n >= Self::OLD_NAMES && !e.is_missing() => break,
                Err(_) if n < Self::NAMES => return Self { is_unsure: true, ..Self::NEW },
                Err(_) => break,
            };
            let bit = 1_u64 << n.saturating_sub(1);
            match text.get(..3) {
                Some(b"Z (") => (bits.zombie, zombie_seen) = (bit, true),
                Some(b"X (") => bits.exit_dead = bit,
                Some(b"P (") => bits.parked = bit,
                Some(b"I (") => has_idle = true,
                Some(_) => {}
                None => break,
            }
        }
        if zombie_seen && !has_idle {
            (bits.dead, bits.wakekill, bits.waking) = (64, 128, 256);
            if bits.parked == Self::NEW.parked {
                bits.parked = 512;
            }
        }
        bits
    }

    /// True where `__state` can be a task's: bits that this kernel has, and of those that each are a state one at most. The
    /// others say how a sleep ends, and stand beside one.
    pub(crate) const fn can_be(&self, state: u64) -> bool {
        // which one each of the others is, is known where the kernel names them
        let own = if self.is_told { 0xf | self.parked | self.dead | self.new } else { 0xf };
        let states = state & (own | RTLOCK_WAIT | FROZEN);
        let ends = self.noload | FREEZABLE | if self.is_told { self.wakekill } else { 0 };
        let ends_a_sleep = state & ends == 0 || state & SLEEPS != 0;
        let has_name = state == 0 || state & NAMED != 0;
        state <= self.max && states & states.wrapping_sub(1) == 0 && ends_a_sleep && has_name
    }

    /// The same of `exit_state`: both are `EXIT_TRACE`.
    pub(crate) const fn can_be_exit(&self, state: u64) -> bool {
        state & !(self.zombie | self.exit_dead) == 0
    }

    /// True where a task sleeps and no signal wakes it: it waits for a lock, a disk, another task. Neither for work
    /// (`TASK_IDLE`), nor frozen for suspend.
    #[must_use]
    pub fn is_stuck(&self, t: &Task) -> bool {
        t.is_in(UNINTERRUPTIBLE | RTLOCK_WAIT) && !t.is_in(self.noload) && !t.has_exited()
    }
    /// True where a fatal signal ends such a sleep (`TASK_KILLABLE`): the kernel's own watch over hung tasks passes it over.
    #[must_use]
    pub fn is_killable(&self, t: &Task) -> bool {
        // what sleeps is neither dead nor being woken
        t.is_in(if self.is_unsure { Self::ANY_WAKEKILL } else { self.wakekill })
    }
    /// True where the bits of a task's state mean one in some kernels and another in others, and nothing in the dump tells.
    #[must_use]
    pub fn is_ambiguous(&self, t: &Task) -> bool {
        self.is_unsure && (t.has_exited() || t.is_in(Self::MOVED))
    }

    /// The two letters that `ps` shows: RU, IN, UN, ID, ST, TR, ZO, DE, PA, NE, WA; `None` where the state is
    /// not in the dump, or what it means is not known.
    #[must_use]
    pub fn letters(&self, t: &Task) -> Option<&'static str> {
        if self.is_ambiguous(t) {
            return None;
        }
        self.letters_of(t.state?, t.exit_state?)
    }

    const fn letters_of(&self, v: u64, exit_state: u64) -> Option<&'static str> {
        if exit_state & self.zombie != 0 {
            return Some("ZO");
        }
        if exit_state & self.exit_dead != 0 || v & self.dead != 0 {
            return Some("DE");
        }
        let letters = if v & self.parked != 0 {
            "PA"
        } else if v & 0x1 != 0 {
            "IN"
        } else if v & (UNINTERRUPTIBLE | RTLOCK_WAIT | FROZEN) != 0 {
            // a frozen task, and one that waits for a lock of PREEMPT_RT, are shown as the kernel shows them
            if v & self.noload != 0 { "ID" } else { "UN" }
        } else if v & 0x4 != 0 {
            "ST"
        } else if v & 0x8 != 0 {
            "TR"
        } else if v & self.new != 0 {
            "NE"
        } else if v & self.waking != 0 {
            "WA"
        } else if v == 0 {
            "RU"
        } else {
            return None;
        };
        Some(letters)
    }

    /// The state as crash's `set` names it, every bit that is set: `TASK_RUNNING`,
    /// `TASK_UNINTERRUPTIBLE|TASK_WAKEKILL` ...
    #[must_use]
    pub fn name(&self, t: &Task) -> Option<String> {
        if self.is_ambiguous(t) {
            return None;
        }
        Some(self.name_of(t.state?, t.exit_state?))
    }

    fn name_of(&self, state: u64, exit_state: u64) -> String {
        let exit = [(self.zombie, "EXIT_ZOMBIE"), (self.exit_dead, "EXIT_DEAD")];
        let of_state = [
            (0x1, "TASK_INTERRUPTIBLE"),
            (0x2, "TASK_UNINTERRUPTIBLE"),
            (0x4, "TASK_STOPPED"),
            (0x8, "TASK_TRACED"),
            (self.dead, "TASK_DEAD"),
            (self.parked, "TASK_PARKED"),
            (self.noload, "TASK_NOLOAD"),
            (self.new, "TASK_NEW"),
            (self.wakekill, "TASK_WAKEKILL"),
            (self.waking, "TASK_WAKING"),
            (RTLOCK_WAIT, "TASK_RTLOCK_WAIT"),
            (FROZEN, "TASK_FROZEN"),
        ];
        let named = |bits: u64, table: &[(u64, &'static str)]| -> Vec<&'static str> {
            table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
        };
        let mut names = named(exit_state, &exit);
        if names.is_empty() {
            names = named(state, &of_state);
        }
        match (names.as_slice(), state | exit_state) {
            ([], 0) => "TASK_RUNNING".to_owned(),
            ([], state) => format!("{state:#x}"),
            (names, _) => names.join("|"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: Option<u64>, exit_state: Option<u64>) -> Task {
        Task {
            at: VirtAddr(1),
            pid: 1,
            tgid: 1,
            ppid: Some(0),
            comm: String::new(),
            cpu: Some(0),
            state,
            exit_state,
            flags: Some(0),
            mm: Some(VirtAddr(0)),
            stack: Some(VirtAddr(0)),
            on_cpu: None,
            active: false,
            wrong: None,
        }
    }

    #[test]
    fn what_is_not_known_of_a_task_is_no_state_and_no_kind() {
        let states = TaskStates::NEW;
        for (state, exit) in [(None, Some(0)), (Some(2), None), (None, None)] {
            assert_eq!((states.letters(&task(state, exit)), states.name(&task(state, exit))), (None, None));
        }
        let of = |flags, mm: Option<u64>| Task { flags, mm: mm.map(VirtAddr), ..task(Some(0), Some(0)) };
        assert_eq!(of(Some(PF_KTHREAD), None).is_kernel(), Some(true));
        assert_eq!(of(Some(0), None).is_kernel(), None);
        assert_eq!(of(None, Some(4096)).is_kernel(), None, "a thread of the kernel may borrow one");
        assert_eq!(of(Some(0), Some(4096)).is_kernel(), Some(false));
        assert!(!task(None, None).has_exited() && !task(None, None).is_in(!0));
    }

    #[test]
    fn a_state_that_no_task_can_have() {
        // without the kernel's own names its bits are assumed: TASK_KILLABLE, stopped and traced before 4.14
        for state in [0x82, 0x84, 0x88, 0x102] {
            assert!(TaskStates::NEW.can_be(state), "{state:#x}");
        }
        assert!([3, 5, 0x4_0001, u64::MAX].iter().all(|state| !TaskStates::NEW.can_be(*state)));
        let states = TaskStates { is_told: true, ..TaskStates::NEW };
        for state in
            [0, 1, 2, 0x102, 0x402, 0x2001, 0x6402, 8, 0x108, 0x80, 0x40, 0x800, 0x200, 0x1000, 0x8000]
        {
            assert!(states.can_be(state), "{state:#x}");
        }
        // more than one state, and ends of a sleep without one
        for state in [
            3,
            5,
            0x82,
            0x42,
            0x8001,
            0x4_0001,
            0xdead_beef,
            u64::MAX,
            0x400,
            0x100,
            0x2000,
            0x4500,
            0x1_0000,
        ] {
            assert!(!states.can_be(state), "{state:#x}");
        }
        // kernels that call it `state` have neither PREEMPT_RT's nor the freezer's
        let old = TaskStates { max: OLD_STATE_MAX, ..TaskStates::NEW };
        assert!([1, 0x402, 0x80, 0x800].iter().all(|state| old.can_be(*state)));
        assert!([0x1000, 0x8000, 0x2001, 0x1_0000].iter().all(|state| !old.can_be(*state)));
        // where which bits moved is not known, 0x100 can be a state of its own
        let unsure = TaskStates { is_unsure: true, ..TaskStates::NEW };
        assert!(unsure.can_be(0x100) && !unsure.can_be(0x400));
        assert!([0, 0x10, 0x20, 0x30].iter().all(|state| states.can_be_exit(*state)));
        assert!([1, 0x40, 0xffff_ffff].iter().all(|state| !states.can_be_exit(*state)));
    }

    #[test]
    fn states_by_their_bits() {
        let new = TaskStates::NEW;
        for (state, exit, want) in [
            (0, 0, "RU"),
            (1, 0, "IN"),
            (0x2001, 0, "IN"), // TASK_FREEZABLE
            (2, 0, "UN"),
            (0x102, 0, "UN"),
            (0x402, 0, "ID"),
            (0x104, 0, "ST"),
            (8, 0, "TR"),
            (0x80, 0x20, "ZO"),
            (0x80, 0x10, "DE"),
            (0x40, 0, "PA"),
            (0x800, 0, "NE"),
            (0x200, 0, "WA"),
            (0x1000, 0, "UN"),
            (0x8000, 0, "UN"),
        ] {
            assert_eq!(new.letters(&task(Some(state), Some(exit))), Some(want), "{state:#x} {exit:#x}");
        }
        assert_eq!(new.letters(&task(Some(0x1_0000), Some(0))), None, "a bit that has no name");
        for (state, exit, want) in [
            (0, 0, "TASK_RUNNING"),
            (0x2001, 0, "TASK_INTERRUPTIBLE"),
            (0x102, 0, "TASK_UNINTERRUPTIBLE|TASK_WAKEKILL"),
            (0x402, 0, "TASK_UNINTERRUPTIBLE|TASK_NOLOAD"),
            (0x104, 0, "TASK_STOPPED|TASK_WAKEKILL"),
            (0x80, 0x20, "EXIT_ZOMBIE"),
            (0x80, 0, "TASK_DEAD"),
            (0x1000, 0, "TASK_RTLOCK_WAIT"),
            (0x8000, 0, "TASK_FROZEN"),
            (0x10_0000, 0, "0x100000"),
        ] {
            assert_eq!(
                new.name(&task(Some(state), Some(exit))).as_deref(),
                Some(want),
                "{state:#x} {exit:#x}"
            );
        }
    }
}
