//! Who stands still, as the messages of the watchdogs tell it.

use super::class::Class;
use super::forms::bare;

/// A CPU or task that a message says stands still.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subject {
    /// The CPU.
    pub cpu: Option<u32>,
    /// The thread's name.
    pub comm: Option<String>,
    /// The thread.
    pub pid: Option<i32>,
    /// For how many seconds.
    pub seconds: Option<u64>,
}

/// The subject of a line that [`super::forms::class_of`] says is of `class`. The lines that follow tell it for
/// RCU.
pub(crate) fn subject(class: Class, lines: &[&str], n: usize) -> Option<Subject> {
    let text = bare(lines.get(n)?);
    match class {
        Class::SoftLockup => soft_lockup(text),
        Class::HardLockup => hard_lockup(text),
        Class::HungTask => hung_task(text),
        Class::Atomic => scheduling(text),
        Class::RcuStall => rcu(lines.get(n..lines.len().min(n + 12)).unwrap_or_default()),
        _ => None,
    }
}

/// `COMM:PID`, where the name may have colons of its own (`kworker/0:1:42`).
fn comm_pid(text: &str) -> Option<(String, i32)> {
    let (comm, pid) = text.rsplit_once(':')?;
    Some((comm.to_owned(), pid.trim().parse().ok()?))
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// `BUG: soft lockup - CPU#0 stuck for 22s! [cat:77]`, `BUG: spinlock lockup suspected on CPU#0, cat/77`
fn soft_lockup(text: &str) -> Option<Subject> {
    let mut out = Subject { cpu: number(text.split_once("CPU#")?.1), ..Subject::default() };
    out.seconds = text.split_once("stuck for ").and_then(|(_, rest)| number(rest));
    let who = match text.split_once('[').zip(text.rfind(']')) {
        Some(((_, rest), _)) => comm_pid(rest.trim_end_matches(']')),
        None => text.rsplit_once(", ").and_then(|(_, who)| {
            let (comm, pid) = who.rsplit_once('/')?;
            Some((comm.to_owned(), number(pid)?))
        }),
    };
    if let Some((comm, pid)) = who {
        (out.comm, out.pid) = (Some(comm), Some(pid));
    }
    Some(out)
}

/// `Watchdog detected hard LOCKUP on cpu 1`, also with `CPU0: ` before, for a CPU that watches another.
fn hard_lockup(text: &str) -> Option<Subject> {
    let cpu = number(text.split_once("LOCKUP on cpu ")?.1)?;
    Some(Subject { cpu: Some(cpu), ..Subject::default() })
}

/// `INFO: task dd:77 blocked for more than 120 seconds.`
fn hung_task(text: &str) -> Option<Subject> {
    if let Some(rest) = text.split_once("stuck for ").map(|(_, r)| r)
        && text.starts_with("BUG: workqueue lockup")
    {
        let cpu = text.split_once("cpus=").and_then(|(_, c)| number(c));
        return Some(Subject { cpu, seconds: number(rest), ..Subject::default() });
    }
    let rest = text.strip_prefix("INFO: task ")?;
    let (comm, pid) = comm_pid(rest.split_once(" is blocked ").or_else(|| rest.split_once(" blocked "))?.0)?;
    let seconds = rest.split_once("for more than ").and_then(|(_, s)| number(s));
    Some(Subject { cpu: None, comm: Some(comm), pid: Some(pid), seconds })
}

/// `BUG: scheduling while atomic: cat/77/0x00000002`
fn scheduling(text: &str) -> Option<Subject> {
    let rest = text.strip_prefix("BUG: scheduling while atomic: ")?;
    let (who, _) = rest.rsplit_once('/')?;
    let (comm, pid) = who.rsplit_once('/')?;
    Some(Subject { comm: Some(comm.to_owned()), pid: Some(pid.parse().ok()?), ..Subject::default() })
}

/// `rcu: INFO: rcu_sched self-detected stall on CPU`, then `rcu: \t1-....: (5250 ticks this GP) …`, or `Tasks
/// blocked on level-0 rcu_node (CPUs 0-1): P77`; in 3.10 `… on CPU { 1}  (t=60002 jiffies …` in one line.
fn rcu(lines: &[&str]) -> Option<Subject> {
    let first = bare(lines.first()?);
    let mut out = Subject::default();
    if let Some((_, rest)) = first.split_once('{') {
        out.cpu = number(rest);
    }
    for line in lines.iter().skip(1).map(|l| bare(l)) {
        if out.cpu.is_none()
            && let Some((cpu, rest)) = line.split_once('-')
            && rest.contains(": (")
        {
            out.cpu = cpu.trim().parse().ok();
        }
        if out.cpu.is_none()
            && let Some((cpu, rest)) = line.split_once(": (")
            && rest.contains("this GP")
        {
            out.cpu = cpu.trim().parse().ok(); // until 4.x: `1: (5250 ticks this GP) idle=…`
        }
        if line.starts_with("Tasks blocked on level-")
            && let Some((_, tasks)) = line.split_once("): ")
        {
            let task = tasks.split_whitespace().next().unwrap_or_default();
            out.pid = task.strip_prefix('P').and_then(number);
        }
    }
    Some(out)
}
