//! `task`: the `task_struct` and the `thread_info` of a task.

use crate::show::tasks::{self, Named, banner};
use crate::show::values;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use cexpr::{FormatOptions, MemberPath, Value, format_value, member_text};
use debuginfo::types::{Space, TypeRef};
use inspect::SessionScope;
use kernel::Fetch;
use kernel::Session;
use kernel::sched::task::{Task, thread_info};
use report::{Record, Report};

/// `task`.
#[derive(Debug)]
pub(crate) struct TaskCommand;

/// The arguments of `task`.
#[derive(clap::Args)]
pub(crate) struct TaskArgs {
    /// Only these members
    #[arg(short = 'R', value_name = "MEMBER,...")]
    members: Vec<String>,
    /// Numbers in hex
    #[arg(short = 'x')]
    hex: bool,
    /// Numbers in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// Which tasks; the context where none
    #[arg(value_name = "PID | TASK", num_args = 0..)]
    task: Vec<String>,
}

impl Run for TaskCommand {
    type Args = TaskArgs;
    fn name(&self) -> &'static str {
        "task"
    }
    fn about(&self) -> &'static str {
        "task_struct and thread_info contents"
    }
    fn details(&self) -> &'static str {
        "Shows the task_struct of the context, or of the tasks that are named by pid or address, and their \
         thread_info; with -R only these members of either."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("task", "the context's task_struct"),
                Example::new("task -R pid,comm,flags 1", "some members"),
                Example::new("task -x 2", "another task, numbers in hex"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &TaskArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let words: Vec<&String> = args.task.iter().collect();
        let mut chosen = Vec::new();
        for word in &words {
            let named = Named::parse(s, word)?;
            let found = tasks::chosen(s, &[named]);
            if found.is_empty() {
                return Err(CommandError::failed(tasks::nobody(s, word)));
            }
            chosen.extend(found);
        }
        if chosen.is_empty() {
            chosen.push(tasks::context(cx)?);
        }
        let mut members = Vec::new();
        let lists = args.members.iter();
        for text in lists.flat_map(|list| list.split(',')).filter(|text| !text.is_empty()) {
            members.push(MemberPath::parse(text).map_err(|e| values::wrong(text, &e))?);
        }
        let ask = Ask {
            scope: &values::scope(cx, s, None),
            task_struct: find(s, "task_struct")?,
            thread_info: find(s, "thread_info").ok(),
            format: values::format(cx.settings, args.hex, args.decimal),
        };
        let mut known = vec![false; members.len()];
        let mut out = Vec::new();
        for t in chosen {
            cx.cancel.check()?;
            let mut row = Record::of(banner(t));
            if members.is_empty() {
                whole(&ask, s, t, &mut row);
            } else {
                chosen_members(&ask, s, t, &members, &mut known, &mut row);
            }
            row.blank();
            out.push(row);
        }
        let mut report = Report::new("task");
        report.list("tasks", out);
        let is_lost = s.types_lost().is_some() || s.kernel_symbols().is_lost;
        for note in s.layout_notes(ask.task_struct) {
            report.lacking(is_lost, format!("task: {note}"));
        }
        for (path, _) in members.iter().zip(&known).filter(|(_, known)| !**known) {
            report.error(format!("task: neither struct task_struct nor thread_info has a member {path}"));
        }
        Ok(report)
    }
}

struct Ask<'a> {
    scope: &'a SessionScope<'a>,
    task_struct: TypeRef,
    thread_info: Option<TypeRef>,
    format: FormatOptions,
}

fn find(s: &Session, name: &'static str) -> Result<TypeRef, CommandError> {
    let found = s.types().find(Space::Struct, name).into_iter().next();
    found.ok_or_else(|| CommandError::failed(kernel::KernelError::NoType(name)))
}

fn whole(ask: &Ask<'_>, s: &Session, t: &Task, row: &mut Record) {
    object(ask, ask.task_struct, t.at, "task_struct", row);
    if let Some(ty) = ask.thread_info {
        row.blank();
        match thread_info(s, t) {
            Some(at) => object(ask, ty, at, "thread_info", row),
            None => row.missing(format!("task: where thread_info of task {} is is not in the dump", t.pid)),
        }
    }
}

fn object(ask: &Ask<'_>, ty: TypeRef, at: VirtAddr, name: &'static str, row: &mut Record) {
    let tree = format_value(ask.scope, &Value::memory(ty, at), &ask.format);
    values::lines_of(row, &format!("struct {name} {}", tree.to_text()));
    row.record(name, values::data(&tree));
}

/// A member may be of either struct; those that both have are shown of both. `known`: those that were shown.
fn chosen_members(
    ask: &Ask<'_>,
    s: &Session,
    t: &Task,
    members: &[MemberPath],
    known: &mut [bool],
    row: &mut Record,
) {
    let objects = [(Some(ask.task_struct), t.at), (ask.thread_info, thread_info(s, t).unwrap_or_default())];
    for (ty, at) in objects {
        let Some(ty) = ty.filter(|_| !at.is_null()) else { continue };
        let object = Value::memory(ty, at);
        let mut data = Record::new();
        for (path, known) in members.iter().zip(known.iter_mut()) {
            let Ok(value) = path.apply(ask.scope, &object) else { continue };
            let Ok(text) = member_text(ask.scope, &object, path, &ask.format) else { continue };
            *known = true;
            values::lines_of(row, &text);
            values::add_as(&mut data, path.to_string(), &format_value(ask.scope, &value, &ask.format));
        }
        row.record(if at == t.at && ty == ask.task_struct { "task_struct" } else { "thread_info" }, data);
    }
}
