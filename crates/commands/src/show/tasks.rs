//! Tasks as the user names them, and the lines that show which task an answer is about.

use crate::{CommandError, Cx, Reason, unquoted};
use base::VirtAddr;
use kernel::sched::task::Task;
use kernel::{KernelError, Session};
use regex_lite::Regex;
use report::{Cell, Line, Record};
use std::borrow::Borrow;

/// The CPU of a task, where it is known.
pub(crate) fn cpu(t: &Task) -> Cell {
    known(t.cpu, "neither the task nor a run queue says on which CPU it is")
}

/// The state of a task in two letters, where it is known.
pub(crate) fn state(s: &Session, t: &Task) -> Cell {
    state_or_why(s, t, s.task_states().letters(t))
}

/// The state of a task in the kernel's words, where it is known.
pub(crate) fn state_name(s: &Session, t: &Task) -> Cell {
    state_or_why(s, t, s.task_states().name(t))
}

fn state_or_why<T: Into<Cell>>(s: &Session, t: &Task, state: Option<T>) -> Cell {
    let is_lost = t.state.is_none() || t.exit_state.is_none() || s.task_states().is_ambiguous(t);
    known(state, &state_unknown(s, t)).lost_if(is_lost)
}

/// Why a task's state is not known.
fn state_unknown(s: &Session, t: &Task) -> String {
    let damaged = t.wrong.as_ref().filter(|wrong| wrong.contains("state is"));
    match (damaged, t.state, t.exit_state) {
        _ if s.task_states().is_ambiguous(t) => {
            "what the bits of the task's state mean is not known: the kernel's names of them are not in the dump".into()
        }
        (Some(wrong), ..) => wrong.clone(),
        (None, Some(state), Some(_)) => format!("its __state is {state:#x}, whose bits have no name that is known"),
        _ => "the page that holds the task's state is not in the dump".into(),
    }
}

/// Why it is not known for how long a task has not run.
pub(crate) const NOT_NOTED: &str = "the kernel did not note when it ran last";

/// A value of a task, or `?` and why there is none.
pub(crate) fn known<T: Into<Cell>>(value: Option<T>, why: &str) -> Cell {
    value.map_or_else(|| Cell::Absent { short: "?".into(), reason: why.to_owned(), lost: false }, Into::into)
}

/// What an error stands for, and whether the dump lost it.
pub(crate) fn unknown(short: &str, e: &KernelError) -> Cell {
    Cell::absent(short, e.to_string()).lost_if(e.is_loss())
}

/// A value, or `?` and why there is none.
pub(crate) fn or_why<T: Into<Cell>>(value: Result<T, impl Borrow<KernelError>>) -> Cell {
    value.map_or_else(|e| unknown("?", e.borrow()), Into::into)
}

/// In the place of the function that an address is in, where none is known.
pub(crate) fn no_symbol(short: &str) -> Cell {
    Cell::absent(short, "no symbol of the kernel or a module covers this address")
}

/// `PID: 1        TASK: ff1a4b5e011f20c0  CPU: 1    COMMAND: "init"`
pub(crate) fn banner(t: &Task) -> Line {
    Line::new()
        .text("PID: ")
        .field("pid", t.pid)
        .left(8)
        .text(" TASK: ")
        .field("task", Cell::Addr(t.at.0))
        .zeros(16)
        .text("  CPU: ")
        .field("cpu", cpu(t))
        .left(4)
        .text(" COMMAND: \"")
        .field("command", t.comm.clone())
        .text("\"")
}

/// One way in which tasks are named.
#[derive(Debug)]
pub(crate) enum Named {
    /// A thread id.
    Pid(i32),
    /// The address of a `task_struct`.
    At(VirtAddr),
    /// A name.
    Name(String),
    /// A pattern for names, as from 'regex'.
    Pattern(Regex),
}

impl Named {
    /// Reads a word as crash does: `'regex'`, a pid, a `task_struct`, a name; `\123` is a name.
    pub(crate) fn parse(s: &Session, word: &str) -> Result<Self, CommandError> {
        if word.starts_with('\'')
            && let Some(pattern) = unquoted(word)
        {
            return Regex::new(pattern)
                .map(Named::Pattern)
                .map_err(|e| CommandError::argument(format_args!("invalid expression {word}: {e}")));
        }
        if let Some(name) = word.strip_prefix('\\') {
            return Ok(Named::Name(name.to_owned()));
        }
        if let Ok(pid) = word.parse::<i32>()
            && (pid >= 0 && word.len() < 10)
        {
            return Ok(Named::Pid(pid));
        }
        // a hex number is a task's address, or a pid in hex; a name such as `dd` comes before it
        if let Some(value) = crate::engine::number::hex(word)
            && !s.tasks().all.iter().any(|t| t.comm == word)
        {
            let at = VirtAddr(value);
            if s.tasks().at(at).is_some() {
                return Ok(Named::At(at));
            }
            if s.arch().is_kernel(at) {
                return Err(CommandError::failed(nobody(s, word)));
            }
            let pid = i32::try_from(value).ok().filter(|&p| s.tasks().with_pid(p).next().is_some());
            if let Some(pid) = pid {
                return Ok(Named::Pid(pid));
            }
        }
        Ok(Named::Name(word.to_owned()))
    }
    /// True for a task that is meant.
    pub(crate) fn matches(&self, t: &Task) -> bool {
        match self {
            Named::Pid(pid) => t.pid == *pid,
            Named::At(at) => t.at == *at,
            Named::Name(name) => t.comm == *name,
            Named::Pattern(pattern) => pattern.is_match(&t.comm),
        }
    }
}

/// The tasks that any of the words means, in the order of all tasks for each word, none twice.
pub(crate) fn chosen<'s>(s: &'s Session, named: &[Named]) -> Vec<&'s Task> {
    let mut out: Vec<&Task> = Vec::new();
    for one in named {
        for t in s.tasks().all.iter().filter(|t| one.matches(t)) {
            if !out.iter().any(|seen| seen.at == t.at) {
                out.push(t);
            }
        }
    }
    out
}

/// The one task that a word names: a pid, or the address of a `task_struct`.
pub(crate) fn one<'s>(s: &'s Session, word: &str) -> Result<&'s Task, CommandError> {
    let named = Named::parse(s, word)?;
    let task = match &named {
        Named::Pid(_) | Named::At(_) => chosen(s, &[named]).first().copied(),
        Named::Name(_) | Named::Pattern(_) => None,
    };
    task.ok_or_else(|| CommandError::failed(nobody(s, word)))
}

/// The task that commands are about: the one that `set` chose, else the panic task, or the idle task of CPU 0 where
/// the session began with `--no_panic`.
pub(crate) fn context<'s>(cx: &Cx<'s>) -> Result<&'s Task, CommandError> {
    let s = cx.session()?;
    if let Some(at) = cx.settings.context
        && let Some(t) = s.tasks().at(at)
    {
        return Ok(t);
    }
    if cx.settings.no_panic
        && let Some(idle) = s.tasks().with_pid(0).find(|t| t.was_on(0))
    {
        return Ok(idle);
    }
    kernel::sched::panic::panic_task(s).ok_or_else(|| {
        match (s.tasks().all.is_empty(), kernel::sched::panic::lost_panic_task(s)) {
            (false, Some(why)) => CommandError::failed(format_args!(
                "which task to begin with is not known: {why}; name one, or \"set PID\" chooses one"
            ))
            .lost_if(true),
            _ => {
                let problems = &s.tasks().problems;
                let why = problems.first().map_or_else(String::new, |e| format!(": {e}"));
                CommandError::failed(format_args!("no task could be read{why}"))
                    .lost_if(problems.iter().any(KernelError::is_loss))
            }
        }
    })
}

/// The CPU of the context, for variables of which each CPU has its own.
pub(crate) fn context_cpu(cx: &Cx<'_>) -> Result<u32, CommandError> {
    let t = context(cx)?;
    t.cpu.ok_or_else(|| {
        let why = format_args!("on which CPU task {} is is not known; name one", t.pid);
        CommandError::failed(why)
    })
}

/// True for an offline CPU where `set offline hide` leaves those out.
pub(crate) fn is_hidden(cx: &Cx<'_>, s: &Session, cpu: u32) -> bool {
    !cx.settings.offline && s.cpus().online.as_ref().is_some_and(|online| !online.contains(&cpu))
}

/// A row for each CPU, with a blank line between them. Of those that are offline, where these are hidden, `offline` says so;
/// the others are for `of_cpu`.
pub(crate) fn cpu_rows(
    cx: &Cx<'_>,
    s: &Session,
    cpus: &[u32],
    offline: &dyn Fn(u32, &mut Record),
    of_cpu: &mut dyn FnMut(u32, &mut Record) -> Result<(), CommandError>,
) -> Result<Vec<Record>, CommandError> {
    let mut rows = Vec::new();
    for &cpu in cpus {
        cx.cancel.check()?;
        let mut row = Record::new();
        if !rows.is_empty() {
            row.blank();
        }
        if is_hidden(cx, s, cpu) {
            offline(cpu, &mut row);
        } else {
            of_cpu(cpu, &mut row)?;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The CPUs that a text names, or all that there can be.
pub(crate) fn cpus_or_all(s: &Session, text: Option<&str>) -> Result<Vec<u32>, CommandError> {
    text.map_or_else(|| Ok(s.cpus().possible.clone()), |text| cpus(s, text))
}

/// CPUs from `1,3,5-7`, `a` or `all`.
pub(crate) fn cpus(s: &Session, text: &str) -> Result<Vec<u32>, CommandError> {
    let possible = &s.cpus().possible;
    if text == "a" || text == "all" {
        return Ok(possible.clone());
    }
    let invalid = || CommandError::argument(format_args!("invalid cpu specification: {text}"));
    let mut out = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) =
            (from.parse::<u32>().map_err(|_| invalid())?, to.parse::<u32>().map_err(|_| invalid())?);
        if from > to || !possible.contains(&from) || !possible.contains(&to) {
            return Err(invalid());
        }
        out.extend(possible.iter().copied().filter(|cpu| (from..=to).contains(cpu)));
    }
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

/// Why nothing is meant by a word that names a task: there is no such task; or, where the list of tasks is not whole, it is
/// not among those that are known.
pub(crate) fn nobody(s: &Session, word: &str) -> Reason {
    match s.tasks().lack() {
        None => Reason::new(format_args!("invalid task or pid value: {word}")),
        Some(lack) => Reason::new(format_args!(
            "task {word} is not among those that can be read of this dump, and their list is not whole: {lack}"
        ))
        .lost_if(true),
    }
}

/// What is lacking of the tasks, as a warning, so that nobody takes the list for whole.
pub(crate) fn problems(s: &Session, report: &mut report::Report) {
    if let Some(lack) = s.tasks().lack() {
        let text = format!("the list of tasks is not whole: {lack}");
        // a kernel that does not say how many there are may have no more, and none has no task at all
        let tasks = s.tasks();
        let is_loss = tasks.total.is_some() || tasks.all.is_empty();
        report.lacking(is_loss || tasks.problems.iter().any(KernelError::is_loss), text);
    } else if let Some(e) = s.tasks().problems.first().filter(|_| s.tasks().total.is_none()) {
        report.lacking(e.is_loss(), format!("the list of tasks may not be whole: {e}"));
    } else if let Some(e) = s.tasks().problems.iter().find(|e| matches!(e, KernelError::Damaged { .. })) {
        report.warning(format!("{e}; every task that the kernel counts was found all the same"));
    }
}

/// Says what is damaged in a task that an answer is about.
pub(crate) fn damage_of(task: &Task, report: &mut report::Report) {
    if let Some(wrong) = &task.wrong {
        report.missing(format!("task_struct at {:#x} is damaged: {wrong}", task.at.0));
    }
}

/// Says what there is to say of the registers of a CPU that an answer is about.
pub(crate) fn registers_of(s: &Session, cpu: Option<u32>, report: &mut report::Report) {
    if let Some((cpu, false)) = cpu.map(|cpu| (cpu, s.cpu_states().is_empty()))
        && let Some(remark) = s.cpu_registers(cpu).remark(cpu)
    {
        report.warning(remark);
    }
}

/// The CPUs of which it is not known what they ran, as a warning.
pub(crate) fn unknown_cpus(s: &Session, report: &mut report::Report) {
    let cpus = s.cpus();
    if let (Some(by), Some(e)) = (cpus.otherwise, &cpus.problem) {
        report.lacking(e.is_loss(), format!("which CPUs there are is known by {by} alone: {e}"));
    }
    let unknown = &s.tasks().unknown_cpus;
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        let why = s.tasks().problems.first().map_or_else(String::new, |e| format!(": {e}"));
        let is_loss = s.tasks().problems.iter().any(KernelError::is_loss);
        report.lacking(is_loss, format!("what CPU {} ran is not known{why}", names.join(", ")));
    }
}

/// How many tasks there are: at least those that are known, where the list is not whole.
pub(crate) fn count(s: &Session) -> Cell {
    let tasks = s.tasks();
    let found = tasks.all.len();
    match (tasks.lack(), tasks.total) {
        (None, _) => Cell::from(found),
        (Some(lack), Some(total)) => {
            Cell::Shown(Box::new(Cell::at_least(found, lack)), format!("at least {found} of {total}"))
        }
        (Some(lack), None) => Cell::at_least(found, lack),
    }
}

/// Whether a task was on a CPU, where that is known.
pub(crate) fn active(s: &Session, t: &Task) -> Cell {
    known(s.tasks().was_active(t), "what a CPU ran is not known, and the task may be it")
}

/// The threads of a task's process, the task among them. Idle tasks are threads of no other.
pub(crate) fn threads_of<'s>(s: &'s Session, task: &Task) -> impl Iterator<Item = &'s Task> {
    let (tgid, at) = (task.tgid, task.at);
    s.tasks().all.iter().filter(move |t| t.tgid == tgid && (t.pid != 0 || t.at == at))
}
