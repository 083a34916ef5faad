//! What the machine was doing: process, system call, interrupt, work.

use crate::code::registers::Chain;
use crate::context::layers;
use crate::context::machine;
use crate::context::patches;
use crate::context::syscall;
use crate::model::{Base, Context, How, Statement, Task as TaskSaid, Who};
use crate::stall::evidence;
use crate::victim::frames::Victim;
use kernel::Session;
use kernel::log::event::{Class, Event};
use kernel::mm::address_space;
use kernel::sched::cgroup;
use kernel::sched::task::Task;
use kernel::sched::tasks;

/// The statements of the `CONTEXT` section. `from` is the frame that the verdict is of.
pub(crate) fn of(
    s: &Session,
    victim: &Victim<'_>,
    class: Class,
    event: Option<&Event>,
    from: usize,
) -> Vec<Statement> {
    let mut out = Vec::new();
    if let Some(task) = victim.task {
        out.push(task_line(s, victim, task, event, from));
        out.extend(belongings(s, task));
        if let Some(call) = syscall::of(s, victim, task) {
            let commands = [format!("bt {}", task.pid), format!("task -R files {}", task.pid)];
            out.push(Statement::new(How::Memory, Context::Syscall(call), &commands));
        }
    } else if let Some(e) = event
        && let (Some(comm), Some(pid), cpu) = match (evidence::subject_of(e, None), e.class) {
            (Some(subject), Class::HungTask) => (&subject.comm, subject.pid, None),
            _ => (&e.oops.comm, e.oops.pid, e.oops.cpu),
        }
    {
        // its task_struct is not to be had
        let who = Who { comm: comm.clone(), pid };
        out.push(Statement::logged(Context::Named { who, cpu }));
    }
    if let Some(work) = event.and_then(|e| e.oops.workqueue.clone()) {
        out.push(Statement::logged(Context::Workqueue(work)));
    }
    out.extend(machine::cpus(s, victim.task.filter(|t| t.active), true));
    out.extend(machine::system(s, class, event));
    out.extend(patches::of(s, victim, from));
    out
}

/// Whose process a task is of: its command line, its PID in its own namespace, its cgroup and container.
fn belongings(s: &Session, task: &Task) -> Option<Statement> {
    if task.pid == 0 || task.is_kernel() == Some(true) {
        return None;
    }
    let command = address_space::arguments(s, task).and_then(|own| own.arguments).ok();
    let inner = tasks::inner_number(s, task).ok().flatten();
    let path = cgroup::path(s, task).ok().filter(|path| path != "/");
    let container = path.as_deref().and_then(cgroup::container).map(str::to_owned);
    let command = command.filter(|words| words.iter().any(|word| !word.is_empty()));
    let says_nothing = command.is_none() && inner.is_none() && path.is_none();
    let said = Context::Process { command, inner, cgroup: path, container };
    let commands = [format!("ps -a {}", task.pid), format!("task -R cgroups,thread_pid {}", task.pid)];
    (!says_nothing).then(|| Statement::new(How::Memory, said, &commands))
}

fn task_line(s: &Session, victim: &Victim<'_>, task: &Task, event: Option<&Event>, from: usize) -> Statement {
    let mut names: Vec<String> = frame_names(s, victim, from);
    if names.is_empty() {
        // then none has a frame below
        names = event.map(|e| e.oops.trace().map(str::to_owned).collect()).unwrap_or_default();
    }
    let handler = |n: usize| {
        let (index, _) = victim.certain(from).nth(n)?;
        let start = crate::victim::frames::last_saved(victim.frames(), index);
        let at = Chain::of(s, victim.frames(), start, index).called(index)?;
        s.locate(at).map(|l| l.symbol.name.to_owned())
    };
    // one that ends has given its memory back, as those of the kernel have none
    let of_user = victim.frames().last().and_then(|f| f.saved.as_ref()).is_some_and(|saved| saved.user);
    let base = match task.is_kernel() {
        _ if task.pid == 0 => Some(Base::Idle),
        _ if of_user => Some(Base::Process),
        Some(true) => Some(Base::Thread),
        Some(false) => Some(Base::Process),
        None => None,
    };
    let layers = layers::layers(s.arch(), &names, &handler);
    let logged = event.and_then(|e| e.oops.cpu).filter(|_| task.active || task.cpu.is_none());
    let cpu = logged.or(task.cpu);
    // of a stack that was not followed to its end, nobody knows what came upon the process
    let known = !layers.is_empty() || !task.active || from_end(victim, &names);
    let sleeps = !task.active && logged.is_none();
    let said = TaskSaid { who: Who::of(task), cpu, sleeps, base, layers: known.then_some(layers) };
    Statement::new(How::Memory, Context::Task(said), &[format!("bt {}", task.pid), "ps".into()])
}

/// True where the frames, or those of the log's report where there are none, lead from where the process came in.
fn from_end(victim: &Victim<'_>, names: &[String]) -> bool {
    use kernel::stack::backtrace::Start;
    match victim.bt.as_ref().filter(|bt| !bt.unwound.frames.is_empty()) {
        // its innermost frames may be what earlier calls left behind
        Some(bt) if bt.start == Start::Stack => false,
        Some(bt) => bt.unwound.stopped.is_end(),
        None => !names.is_empty(),
    }
}

/// Of a living system: its load, what its CPUs ran.
pub(crate) fn alive(s: &Session) -> Vec<Statement> {
    let load = kernel::machine::system::load_average(s).ok().map(|load| {
        let at_least = s.tasks().lack().is_some();
        let said = Context::Load { load: load.to_vec(), tasks: s.tasks().all.len(), at_least };
        Statement::new(How::Memory, said, &["sys".into(), "ps".into()])
    });
    load.into_iter()
        .chain(machine::cpus(s, None, false))
        .chain(machine::system(s, Class::Alive, None))
        .collect()
}

/// The functions of the frames from `from` outwards; `None` where no symbol covers one, from the first guess on, and at
/// the end where frames end before the stack does.
pub(crate) fn known_names(s: &Session, victim: &Victim<'_>, from: usize) -> Vec<Option<String>> {
    let frames = victim.frames().iter().skip(from);
    let known = victim.gap(s).map_or(usize::MAX, |gap| gap.saturating_sub(from));
    let certain = frames.clone().take(known).take_while(|f| !f.how.is_guess());
    let mut out: Vec<Option<String>> =
        certain.map(|f| s.locate(f.lookup()).map(|l| l.symbol.name.to_owned())).collect();
    let ends = victim.bt.as_ref().is_some_and(|bt| bt.unwound.stopped.is_end());
    if !ends || out.len() < frames.len() {
        out.push(None);
    }
    out
}

/// The functions of the frames from `from` outwards.
pub(crate) fn frame_names(s: &Session, victim: &Victim<'_>, from: usize) -> Vec<String> {
    let known = victim.gap(s).unwrap_or(usize::MAX);
    victim
        .certain(from)
        .take_while(|(n, _)| *n < known)
        .map(|(_, f)| s.locate(f.lookup()).map(|l| l.symbol.name.to_owned()).unwrap_or_default())
        .collect()
}
