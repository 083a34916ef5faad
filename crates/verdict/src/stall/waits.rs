//! Who waits for what, since when, and who would have to go on first: tasks that sleep and CPUs that spin, and
//! the circles that they form.

use crate::code::registers::Chain;
use crate::code::roles;
use crate::context::machine::cpu_of;
use crate::model::{How, Statement};
use crate::stall::locks::{self, Lock};
use crate::stall::spin::{self, Holder, Spinner, symbol_at};
use crate::victim::frames;
use base::VirtAddr;
use kernel::locking::Kind;
use kernel::log::event::Class;
use kernel::sched::task::Task;
use kernel::{Session, workqueue};

/// A task that sleeps undisturbed for so many seconds is stuck.
const STUCK: u64 = 30;
/// How many tasks are looked at.
const MAX_TASKS: usize = 200;
const FEW_TASKS: usize = 32;
/// How many waits are told.
const MAX_TOLD: usize = 12;

/// What a task waits for.
pub(crate) enum What<'s> {
    /// A lock that sleeps.
    Lock(Lock<'s>),
    /// A lock that spins.
    Spin(Spinner<'s>),
    /// `wait_for_completion()` of this address, and its name.
    Completion(Option<VirtAddr>, String),
    /// The end of work whose function this is.
    Work(String),
    /// A page or buffer, or another end of input or output.
    Io,
    /// All readers of RCU.
    Rcu,
    /// Not known.
    Other,
}

/// A task that waits.
pub(crate) struct Wait<'s> {
    pub(crate) task: &'s Task,
    /// The function that waits, the first that is not there to wait itself.
    pub(crate) function: String,
    pub(crate) what: What<'s>,
    /// Seconds.
    pub(crate) since: Option<u64>,
    /// A fatal signal would end it.
    killable: bool,
}

impl Wait<'_> {
    /// The task that has what this one waits for.
    fn blocker(&self) -> Option<VirtAddr> {
        match &self.what {
            // the last of several readers, who may have gone: a circle over it is a guess
            What::Lock(l) => l.owner.task.map(|t| t.at),
            What::Spin(spinner) => spinner.holder.as_ref().map(|h| h.task.at),
            _ => None,
        }
    }
}

/// The waits of a machine.
pub(crate) struct Waits<'s> {
    pub(crate) all: Vec<Wait<'s>>,
    /// Circles: the tasks of each.
    pub(crate) circles: Vec<Vec<VirtAddr>>,
    /// There are sleepers that were not looked at.
    more: bool,
}

impl<'s> Waits<'s> {
    /// Of the tasks that sleep without end, and of the CPUs that spin. Where the death was no stall, few are looked at.
    pub(crate) fn of(s: &'s Session, stall: bool) -> Self {
        let now = now(s);
        let states = s.task_states();
        let mut asleep = s.tasks().all.iter().filter(|t| !t.active && states.is_stuck(t));
        let most = if stall { MAX_TASKS } else { FEW_TASKS };
        let mut all: Vec<Wait<'s>> = asleep.by_ref().take(most).map(|t| sleeper(s, t, now)).collect();
        let more = asleep.next().is_some();
        all.extend(spin::on_locks(s).into_iter().map(|spinner| Wait {
            task: spinner.task,
            function: spinner.function.clone(),
            what: What::Spin(spinner),
            since: None,
            killable: false,
        }));
        let circles = circles(&all);
        Self { all, circles, more }
    }

    /// `7`, or `at least 7` where not all were looked at.
    fn count(&self, n: usize) -> String {
        if self.more { format!("at least {n}") } else { n.to_string() }
    }

    /// Of a machine that lives: who is stuck in it, in a few words; nothing where nobody is.
    pub(crate) fn stuck(&self) -> String {
        let names = |circle: &Vec<VirtAddr>| {
            let names: Vec<String> =
                circle.iter().filter_map(|at| self.of_task(*at)).map(|w| who(w.task)).collect();
            names.join(", ")
        };
        if let Some(circle) = self.circles.first() {
            return format!("; a deadlock of {}", names(circle));
        }
        let long = |w: &&Wait<'_>| w.since.is_some_and(|s| s >= STUCK) && !w.killable;
        let stuck: Vec<&Wait<'_>> = self.all.iter().filter(long).collect();
        match (stuck.iter().max_by_key(|w| w.since), stuck.len()) {
            (Some(w), 1) if !self.more => {
                format!("; {} is stuck for {} s", who(w.task), w.since.unwrap_or(0))
            }
            (Some(w), n) => {
                let n = self.count(n);
                format!("; {n} tasks are stuck, {} for {} s", who(w.task), w.since.unwrap_or(0))
            }
            (None, _) => String::new(),
        }
    }

    /// The wait of a task.
    pub(crate) fn of_task(&self, at: VirtAddr) -> Option<&Wait<'s>> {
        self.all.iter().find(|w| w.task.at == at)
    }

    /// The statements of the `WAITS` section.
    pub(crate) fn told(&self, class: Class) -> Vec<Statement> {
        // a death that is no stall: only locks with their owners matter
        let stall = class.is_stall()
            || matches!(class, Class::Alive | Class::Sysrq | Class::Nmi | Class::Watchdog | Class::Unknown);
        let matters = |w: &&Wait<'_>| match &w.what {
            What::Spin(_) => true,
            What::Lock(l) => stall || l.owner.task.is_some(),
            _ => stall && !w.killable,
        };
        let mut out: Vec<Statement> = self.circles.iter().map(|c| self.circle(c)).collect();
        let told: Vec<&Wait<'_>> = self.all.iter().filter(matters).collect();
        out.extend(told.iter().take(MAX_TOLD).map(|w| tell(w)));
        if told.len() > MAX_TOLD {
            let text = format!("{} more tasks wait", self.count(told.len() - MAX_TOLD));
            out.push(Statement::new(How::Memory, text, &["foreach UN bt".into()]));
        }
        out
    }

    fn circle(&self, members: &[VirtAddr]) -> Statement {
        let of = |at: &VirtAddr| self.of_task(*at);
        let names: Vec<String> = members.iter().filter_map(of).map(|w| who(w.task)).collect();
        let sure = members.iter().filter_map(of).all(|w| match &w.what {
            What::Spin(spinner) => spinner.holder.as_ref().is_some_and(|h| h.taken.is_none()),
            What::Lock(l) => !l.owner.readers && !l.owner.last,
            _ => true,
        });
        let how = if sure { How::Decoded } else { How::Guessed };
        let text = match names.as_slice() {
            [one] => format!("deadlock: {one} waits for what it has itself"),
            _ => format!("deadlock: {} wait for each other", names.join(", ")),
        };
        Statement::new(how, text, &["foreach UN bt".into(), "bt -a".into()])
    }
}

/// `dd[77]`, `CPU 1: idle`
fn who(task: &Task) -> String {
    format!("{}[{}]", task.comm, task.pid)
}

/// The latest of the CPUs' clocks.
pub(crate) fn now(s: &Session) -> Option<u64> {
    s.cpus().possible.iter().take(256).filter_map(|cpu| kernel::sched::times::rq_clock(s, *cpu).ok()).max()
}

fn sleeper<'s>(s: &'s Session, task: &'s Task, now: Option<u64>) -> Wait<'s> {
    let victim = frames::Victim::of_task(s, Some(task));
    let names = victim.names(s);
    // code without a name waits itself: who called it is another one
    let outside = names.iter().position(|n| n.is_empty() || !roles::is_waiting(n));
    let name = outside.and_then(|n| names.get(n)).filter(|name| !name.is_empty()).cloned();
    let nameless = || Some(format!("code without a name ({:x})", victim.frames().get(outside?)?.pc));
    let function = name.or_else(nameless).unwrap_or_else(|| "a function that is not known".into());
    let lock = victim.bt.as_ref().and_then(|bt| locks::waited(s, bt, &names, task));
    let what = match lock {
        Some(lock) => What::Lock(lock),
        None => other(s, &victim, &names),
    };
    let since = now
        .zip(kernel::sched::times::last_run(s, task).ok().filter(|t| *t != 0))
        .and_then(|(now, then)| now.checked_sub(then))
        .map(|ns| ns / 1_000_000_000);
    Wait { task, function, what, since, killable: s.task_states().is_killable(task) }
}

/// Waits that are for no lock.
fn other<'s>(s: &'s Session, victim: &frames::Victim<'_>, names: &[String]) -> What<'s> {
    let frames = victim.frames();
    let has = |starts: &[&str]| names.iter().position(|n| starts.iter().any(|f| n.starts_with(f)));
    let argument = |n: usize| {
        let chain = Chain::of(s, frames, 0, n + 1);
        let (passed, path) = chain.passed(n + 1);
        let value = chain.first_argument(n).or(passed);
        (value.filter(|v| s.arch().is_kernel(VirtAddr(*v))).map(VirtAddr), path.filter(|_| passed == value))
    };
    if let Some(n) = has(&["__flush_work", "flush_work"]) {
        let (work, _) = argument(n);
        let func = work.and_then(|at| workqueue::function(s, at).ok());
        let name = func.and_then(|f| s.locate(f)).filter(|l| l.offset == 0).map(|l| l.symbol.name.to_owned());
        return What::Work(name.unwrap_or_default());
    }
    if has(&["synchronize_rcu", "synchronize_sched", "wait_rcu_gp", "__wait_rcu_gp"]).is_some() {
        return What::Rcu;
    }
    if let Some(n) = has(&["wait_for_completion", "__wait_for_common", "wait_for_common"]) {
        let (at, path) = argument(n);
        let name = at.and_then(|at| symbol_at(s, at)).or(path).unwrap_or_default();
        return What::Completion(at, name);
    }
    let io = [
        "io_schedule",
        "folio_wait_",
        "wait_on_page_",
        "__wait_on_buffer",
        "__lock_buffer",
        "__folio_lock",
        "__lock_page",
    ];
    if has(&io).is_some() {
        return What::Io;
    }
    What::Other
}

/// `&dev->lock (ffff88…)`, `&to->lock, counters+0x40 [m] (ffffffffc0…)`
fn named(name: &str, at: VirtAddr) -> String {
    if name.is_empty() { format!("{at:x}") } else { format!("{name} ({at:x})") }
}

fn tell(w: &Wait<'_>) -> Statement {
    let mut commands = vec![format!("bt {}", w.task.pid)];
    let mut how = How::Decoded;
    let mut text = match &w.what {
        What::Spin(spinner) => {
            commands = vec![format!("bt -c {}", cpu_of(w.task))];
            spin_text(spinner, &mut how)
        }
        What::Lock(l) => {
            let lock = format!("{} {}", l.kind.word(), named(&l.name, l.at));
            commands.push(format!("struct {} {:x}", l.kind.structure(), l.at));
            let held = match (l.owner.task, l.owner.readers) {
                (Some(t), _) if l.owner.last => format!("which {} took last", who(t)),
                (None, false) if l.kind == Kind::Semaphore => "which does not say who has it".to_owned(),
                (Some(t), false) => format!("held by {}", who(t)),
                (Some(t), true) => format!("held by readers, of whom {} came last", who(t)),
                (None, true) => "held by readers".to_owned(),
                (None, false) => "whose owner is not recorded".to_owned(),
            };
            format!("{} waits in {} for {lock}, {held}", who(w.task), w.function)
        }
        What::Completion(at, name) => {
            let which = at.map_or_else(String::new, |at| format!(" {}", named(name, at)));
            format!("{} waits in {} for completion{which}", who(w.task), w.function)
        }
        What::Work(func) if func.is_empty() => {
            format!("{} waits in {} for work to end", who(w.task), w.function)
        }
        What::Work(func) => format!("{} waits in {} for work {func}() to end", who(w.task), w.function),
        What::Io => format!("{} waits in {} for input or output", who(w.task), w.function),
        What::Rcu => format!("{} waits in {} for all RCU readers", who(w.task), w.function),
        What::Other => format!("{} waits in {}", who(w.task), w.function),
    };
    if let Some(seconds) = w.since.filter(|n| *n > 0) {
        text = format!("{text}, for {seconds} s");
    }
    Statement::new(how, text, &commands)
}

fn spin_text(spinner: &Spinner<'_>, how: &mut How) -> String {
    let task = spinner.task;
    let mut text = format!("CPU {}: {} spins in {} for a lock", cpu_of(task), who(task), spinner.function);
    if let Some(at) = spinner.at {
        text = format!(
            "CPU {}: {} spins in {} for {}",
            cpu_of(task),
            who(task),
            spinner.function,
            named(&spinner.name, at)
        );
    }
    if let Some(state) = &spinner.state {
        text = format!("{text}: {state}");
    }
    match &spinner.holder {
        Some(Holder { task: holder, taken: None }) => text = format!("{text}; held by {}", who(holder)),
        Some(Holder { task: holder, taken: Some(call) }) => {
            *how = How::Guessed;
            let whose = if holder.at == task.at { "itself".to_owned() } else { who(holder) };
            text = format!("{text}; taken by {whose} at {call}, and not given back");
        }
        None => {}
    }
    text
}

/// Circles of those who wait for each other.
fn circles(waits: &[Wait<'_>]) -> Vec<Vec<VirtAddr>> {
    let edges: Vec<(VirtAddr, Option<VirtAddr>)> = waits.iter().map(|w| (w.task.at, w.blocker())).collect();
    circles_of(&edges)
}

fn circles_of(edges: &[(VirtAddr, Option<VirtAddr>)]) -> Vec<Vec<VirtAddr>> {
    let next = |at: VirtAddr| edges.iter().find(|(t, _)| *t == at).and_then(|(_, to)| *to);
    let mut out: Vec<Vec<VirtAddr>> = Vec::new();
    for (start, _) in edges {
        let mut circle = vec![*start];
        let mut here = *start;
        while let Some(to) = next(here) {
            if to == *start {
                if !out.iter().flatten().any(|at| circle.contains(at)) {
                    out.push(circle);
                }
                break;
            }
            if circle.contains(&to) || circle.len() > 64 {
                break;
            }
            circle.push(to);
            here = to;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once_and_tails_are_none() {
        let at = VirtAddr;
        let edges = [
            (at(1), Some(at(2))),
            (at(2), Some(at(3))),
            (at(3), Some(at(1))),
            (at(4), Some(at(1))),
            (at(5), Some(at(9))),
            (at(6), Some(at(6))),
        ];
        assert_eq!(circles_of(&edges), [vec![at(1), at(2), at(3)], vec![at(6)]]);
        assert!(circles_of(&edges[3..5]).is_empty());
    }
}
