//! Signals: what a process does at each, and what waits to be taken by it or by one of its threads.
//!
//! Sources: include/linux/sched/signal.h (`signal_struct`, `sighand_struct`), include/linux/signal_types.h (`sigpending`,
//! `sigqueue`, `sigaction`), kernel/signal.c (what is pending for a thread, and what for its whole process).
//!
//! **Invariant:** a queued signal is told only where its number is one.

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::sched::task::Task;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `task_struct`
    struct SignalTask("task_struct") {
        signal: "signal",
        sighand: "sighand",
        blocked: "blocked",
        list: "pending.list",
        pending: "pending.signal",
    }
}
bind! {
    /// `struct signal_struct`
    struct SignalStruct("signal_struct") {
        threads: "nr_threads",
        list: "shared_pending.list",
        pending: "shared_pending.signal",
    }
}
bind! {
    /// `struct sighand_struct`
    struct SighandStruct("sighand_struct") { action: "action" }
}
bind! {
    /// `struct k_sigaction`
    struct KSigaction("k_sigaction") { handler: "sa.sa_handler", flags: "sa.sa_flags", mask: "sa.sa_mask" }
}
bind! {
    /// `struct sigqueue`
    struct SigQueue("sigqueue") {
        list: "list",
        info: "info",
        number: "info.si_signo",
    }
}

/// `_NSIG`: signals have the numbers 1 to this.
pub const COUNT: u32 = 64;
/// The first of the real-time signals, as the kernel counts them; a C library keeps some of them for itself.
const FIRST_REAL_TIME: u32 = 32;
/// Names count up from the first to here, and down to the last behind.
const MIDDLE: u32 = 48;

/// The names of the signals 1 to 31, with the second name that some have (include/uapi/asm-generic/signal.h).
const NAMES: [(&str, Option<&str>); 31] = [
    ("SIGHUP", None),
    ("SIGINT", None),
    ("SIGQUIT", None),
    ("SIGILL", None),
    ("SIGTRAP", None),
    ("SIGABRT", Some("SIGIOT")),
    ("SIGBUS", None),
    ("SIGFPE", None),
    ("SIGKILL", None),
    ("SIGUSR1", None),
    ("SIGSEGV", None),
    ("SIGUSR2", None),
    ("SIGPIPE", None),
    ("SIGALRM", None),
    ("SIGTERM", None),
    ("SIGSTKFLT", None),
    ("SIGCHLD", Some("SIGCLD")),
    ("SIGCONT", None),
    ("SIGSTOP", None),
    ("SIGTSTP", None),
    ("SIGTTIN", None),
    ("SIGTTOU", None),
    ("SIGURG", None),
    ("SIGXCPU", None),
    ("SIGXFSZ", None),
    ("SIGVTALRM", None),
    ("SIGPROF", None),
    ("SIGWINCH", None),
    ("SIGIO", Some("SIGPOLL")),
    ("SIGPWR", None),
    ("SIGSYS", Some("SIGUNUSED")),
];

/// The flags of an action (include/uapi/asm-generic/signal-defs.h), in the order in which crash shows them.
const FLAGS: [(u64, &str); 11] = [
    (0x1, "SA_NOCLDSTOP"),
    (0x0400_0000, "SA_RESTORER"),
    (0x2, "SA_NOCLDWAIT"),
    (0x4, "SA_SIGINFO"),
    (0x400, "SA_UNSUPPORTED"),
    (0x800, "SA_EXPOSE_TAGBITS"),
    (0x80_0000, "SA_IMMUTABLE"),
    (0x0800_0000, "SA_ONSTACK"),
    (0x1000_0000, "SA_RESTART"),
    (0x4000_0000, "SA_NODEFER"),
    (0x8000_0000, "SA_RESETHAND"),
];

/// The name of a signal, and its second one where it has two; `None` for what is none.
#[must_use]
pub fn name(number: u32) -> Option<(String, Option<&'static str>)> {
    let plain = |name: String| Some((name, None));
    match number {
        0 => None,
        1..FIRST_REAL_TIME => {
            let (name, second) = NAMES.get(usize::try_from(number.checked_sub(1)?).ok()?)?;
            Some(((*name).to_owned(), *second))
        }
        FIRST_REAL_TIME => plain("SIGRTMIN".to_owned()),
        COUNT => plain("SIGRTMAX".to_owned()),
        n if n <= MIDDLE => plain(format!("SIGRTMIN+{}", n.saturating_sub(FIRST_REAL_TIME))),
        n if n < COUNT => plain(format!("SIGRTMAX-{}", COUNT.saturating_sub(n))),
        _ => None,
    }
}

/// The signals of a set.
pub fn in_set(set: u64) -> impl Iterator<Item = u32> {
    (1..=COUNT).filter(move |number| set >> (number - 1) & 1 == 1)
}

/// The names of the flags of an action.
#[must_use]
pub fn flag_names(flags: u64) -> Vec<&'static str> {
    FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect()
}

/// What a process does at a signal.
#[derive(Clone, Debug)]
pub struct Action {
    /// The signal.
    pub number: u32,
    /// The `k_sigaction`.
    pub at: VirtAddr,
    /// The function in the process; 0 for what is usual, 1 where the signal is ignored.
    pub handler: Result<u64>,
    /// The signals that wait meanwhile, a bit each.
    pub mask: Result<u64>,
    /// `SA_…`
    pub flags: Result<u64>,
}

/// A signal with all that is known of how it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queued {
    /// The signal.
    pub number: u32,
    /// Its `siginfo`.
    pub info: VirtAddr,
}

/// Signals that wait to be taken.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Which, a bit each.
    pub set: Result<u64>,
    /// Those of which is known how they were sent, the first one first.
    pub queue: Vec<Queued>,
    /// Why there may be others in the queue.
    pub problems: Vec<KernelError>,
}

/// What all threads of a process have in common.
#[derive(Clone, Debug)]
pub struct Process {
    /// The `signal_struct`.
    pub at: VirtAddr,
    /// How many threads live.
    pub threads: Result<u64>,
    /// What it does at each signal; why that is not known.
    pub actions: Result<Vec<Action>>,
    /// What any of the threads may take.
    pub shared: Pending,
}

/// A thread's own.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The signals that it does not take now, a bit each.
    pub blocked: Result<u64>,
    /// What it alone may take.
    pub private: Pending,
}

/// What a task's process does with signals.
///
/// # Errors
/// The struct is not known or not in the dump, or the task gave it up.
pub fn process(s: &Session, task: &Task) -> Result<Process> {
    let (mem, b) = (s.mem(), s.bind::<SignalStruct>());
    let at = s.bind::<SignalTask>().signal.ptr(mem, task.at)?;
    if at.is_null() {
        return Err(KernelError::GivenUp { pid: task.pid, what: "signal_struct" });
    }
    if !s.arch().is_kernel(at) {
        let why = format!("its signal is {:#x}, which is not in the kernel's memory", at.0);
        return Err(KernelError::Damaged { what: "task_struct", at: task.at, why });
    }
    let list = b.list.at(at)?;
    let shared = pending(s, b.pending.num(mem, at), list);
    Ok(Process { at, threads: b.threads.num(mem, at), actions: actions(s, task), shared })
}

/// What is a thread's own.
///
/// # Errors
/// The struct is not known.
pub fn thread(s: &Session, task: &Task) -> Result<Thread> {
    let (mem, b) = (s.mem(), s.bind::<SignalTask>());
    let list = b.list.at(task.at)?;
    let private = pending(s, b.pending.num(mem, task.at), list);
    Ok(Thread { blocked: b.blocked.num(mem, task.at), private })
}

fn actions(s: &Session, task: &Task) -> Result<Vec<Action>> {
    let (mem, one) = (s.mem(), s.bind::<KSigaction>());
    let sighand = s.bind::<SignalTask>().sighand.ptr(mem, task.at)?;
    if sighand.is_null() {
        return Err(KernelError::GivenUp { pid: task.pid, what: "sighand_struct" });
    }
    let table = &s.bind::<SighandStruct>().action;
    let first = table.at(sighand)?;
    let size = one.size.filter(|size| *size > 0).ok_or(KernelError::NoType("k_sigaction"))?;
    let count = u32::try_from(table.size()? / size).unwrap_or(COUNT).min(COUNT);
    let all = (1..=count).map(|number| {
        let at = first.add(u64::from(number - 1).saturating_mul(size));
        Action {
            number,
            at,
            handler: one.handler.num(mem, at),
            mask: one.mask.num(mem, at),
            flags: one.flags.num(mem, at),
        }
    });
    Ok(all.collect())
}

/// A set of signals and the queue whose head is at `list`.
fn pending(s: &Session, set: Result<u64>, list: VirtAddr) -> Pending {
    let (mem, b) = (s.mem(), s.bind::<SigQueue>());
    let mut queue = Vec::new();
    let problems = both_ways(mem, list, &mut |link| {
        let at = b.list.container(link)?;
        let number = b.number.num(mem, at)? & 0xffff_ffff;
        match u32::try_from(number) {
            Ok(number @ 1..=COUNT) => {
                queue.push(Queued { number, info: b.info.at(at)? });
                Ok(())
            }
            _ => {
                let why = format!("its signal is {number}");
                Err(KernelError::Damaged { what: "sigqueue", at, why })
            }
        }
    });
    Pending { set, queue, problems }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn signals_have_the_names_that_crash_gives_them() {
        let of = |n| name(n).map(|(first, second)| first + second.unwrap_or_default());
        for (number, want) in [
            (1, "SIGHUP"),
            (17, "SIGCHLDSIGCLD"),
            (31, "SIGSYSSIGUNUSED"),
            (32, "SIGRTMIN"),
            (48, "SIGRTMIN+16"),
            (49, "SIGRTMAX-15"),
            (63, "SIGRTMAX-1"),
            (64, "SIGRTMAX"),
        ] {
            assert_eq!(of(number).as_deref(), Some(want));
        }
        assert_eq!((of(0), of(65)), (None, None));
        assert_eq!(in_set(0x800A_0000_0000_0201).collect::<Vec<_>>(), [1, 10, 50, 52, 64]);
        assert_eq!(in_set(0).count(), 0);
        assert_eq!(flag_names(0x1400_0004), ["SA_RESTORER", "SA_SIGINFO", "SA_RESTART"]);
    }

    /// A task that blocks 12, with one private and two shared signals queued.
    fn made() -> (Kernel, u64, [u64; 3]) {
        let mut k = Kernel::new();
        let (task, queued) = k.signals();
        (k, task, queued)
    }

    fn asked(k: &Kernel) -> (Result<Process>, Result<Thread>) {
        let s = session(k);
        let task = s.tasks().with_pid(1).next().unwrap();
        (process(&s, task), thread(&s, task))
    }

    #[test]
    fn a_task_with_signals_that_wait() {
        let (k, _, queued) = made();
        let (process, thread) = asked(&k);
        let (process, thread) = (process.unwrap(), thread.unwrap());
        assert_eq!(process.threads.unwrap(), 3);
        let actions = process.actions.unwrap();
        assert_eq!((actions.len(), actions[11].number), (64, 12));
        assert_eq!(actions[11].at.0, actions[0].at.0 + 11 * 32);
        let of = |a: &Action| (a.handler.clone().unwrap(), a.mask.clone().unwrap(), a.flags.clone().unwrap());
        assert_eq!(of(&actions[11]), (0x40_1000, 0x200, 0x1400_0004));
        assert_eq!(of(&actions[0]), (1, 0, 0));
        assert_eq!(thread.blocked.unwrap(), 1 << 11);
        assert_eq!(thread.private.set.unwrap(), 1 << 11);
        let shown = |all: &[Queued]| all.iter().map(|q| (q.number, q.info.0)).collect::<Vec<_>>();
        assert_eq!(shown(&thread.private.queue), [(12, queued[0] + 24)]);
        assert_eq!(process.shared.set.unwrap(), 1 << 63 | 1);
        assert_eq!(shown(&process.shared.queue), [(64, queued[1] + 24), (64, queued[2] + 24)]);
        assert!(process.shared.problems.is_empty());
    }

    #[test]
    fn a_queue_that_is_damaged_says_so() {
        let (mut k, _, queued) = made();
        k.half(queued[2] + 24, 65);
        let shared = asked(&k).0.unwrap().shared;
        assert_eq!(shared.queue.len(), 1);
        assert!(shared.problems[0].to_string().contains("its signal is 65"), "{:?}", shared.problems);
        let (mut k, _, queued) = made();
        k.word(queued[1], queued[1]);
        let shared = asked(&k).0.unwrap().shared;
        assert!(shared.queue.len() == 2 && !shared.problems.is_empty());
    }

    #[test]
    fn what_a_task_gave_up_is_no_action() {
        let (mut k, task, _) = made();
        k.set(task, "task_struct", "sighand", 0);
        let process = asked(&k).0.unwrap();
        assert!(matches!(process.actions, Err(KernelError::GivenUp { .. })));
        k.set(task, "task_struct", "signal", 0);
        assert!(matches!(asked(&k).0, Err(KernelError::GivenUp { .. })));
        k.set(task, "task_struct", "signal", 0x1000);
        assert!(asked(&k).0.unwrap_err().is_loss());
    }
}
