//! `struct`, `union`, `*` and bare type names: the layout of a type, or an object of it in memory.

mod object;
mod types;

pub(crate) use types::{size, where_from};

use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use cexpr::{FormatOptions, MemberPath};
use debuginfo::types::TypeRef;
use inspect::SessionScope;
use kernel::Fetch;
use kernel::Session;
use report::Report;

/// Most objects that one command shows.
const MAX_COUNT: u64 = 1 << 20;

/// `struct`, `union` and `*`, which differ in what they take.
#[derive(Debug)]
pub(crate) struct Struct {
    /// What is typed.
    pub(crate) word: &'static str,
}

/// What is asked of one command.
pub(super) struct Ask<'a> {
    command: &'static str,
    s: &'a Session,
    /// The type's name as typed, without members.
    name: String,
    ty: TypeRef,
    members: Vec<MemberPath>,
    format: FormatOptions,
    hex: bool,
    offsets: bool,
    raw: bool,
    pointers: bool,
    lists: Option<i64>,
    /// Whose addresses: `kernel` or `user`.
    space: &'static str,
}

/// The arguments of `struct`.
#[derive(clap::Args)]
pub(crate) struct StructArgs {
    /// The offset of each member; with an address, its address
    #[arg(short = 'o')]
    offsets: bool,
    /// The address is that of a member: its offset, or STRUCT.MEMBER
    #[arg(short = 'l', value_name = "OFFSET")]
    embedded: Option<String>,
    /// Raw memory
    #[arg(short = 'r')]
    raw: bool,
    /// The address is an offset in the dump file
    #[arg(short = 'f')]
    file: bool,
    /// The address is of the context's user memory
    #[arg(short = 'u')]
    user: bool,
    /// Integers in hexadecimal
    #[arg(short = 'x')]
    hex: bool,
    /// Integers in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// Show what members that are pointers point to
    #[arg(short = 'p')]
    pointers: bool,
    /// So many objects one after the other; negative: those that end at the address
    #[arg(short = 'c', long = "count", value_name = "COUNT", allow_hyphen_values = true)]
    number: Option<i64>,
    /// The type, its members, where the object is, and how many follow
    #[arg(value_name = "TYPE[.MEMBER,...] [ADDRESS[:CPUS]] [COUNT]", num_args = 1.., required = true)]
    what: Vec<String>,
}

impl Run for Struct {
    type Args = StructArgs;
    fn name(&self) -> &'static str {
        self.word
    }
    fn about(&self) -> &'static str {
        match self.word {
            "struct" => "structure contents",
            "union" => "union contents",
            _ => "contents of a struct, union or typedef",
        }
    }
    fn details(&self) -> &'static str {
        "Shows the definition of a type, or the object of that type at an address. Members are named behind a dot, \
         several with commas; a path leads through members and pointers: task_struct.mm->mm_users,comm. The \
         address is hexadecimal, a symbol, an expression in parentheses, or for task_struct a pid. With :CPUS \
         behind it, a per-CPU object is shown for those CPUs: runqueues:0,1 or runqueues:a. Types of modules come \
         from the dump as well. A type's name alone, without the command, does the same."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        // `struct foo ADDR -2`: a negative count among the operands
        let mut expects_value = false;
        words
            .into_iter()
            .map(|word| {
                let negative =
                    word.len() > 1 && word.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok());
                let count = negative && !expects_value;
                expects_value = matches!(word.as_str(), "-c" | "-l" | "--count");
                if count { format!("--count={word}") } else { word }
            })
            .collect()
    }
    fn examples(&self) -> &'static [Example] {
        match self.word {
            "struct" => {
                const {
                    &[
                        Example::new("struct list_head", "a definition"),
                        Example::new("struct -o task_struct", "with offsets"),
                        Example::new("struct task_struct init_task", "an object"),
                        Example::new("struct task_struct.pid,comm init_task", "some of its members"),
                        Example::new("struct task_struct.mm->mm_users,comm 1", "by pid, through a pointer"),
                        Example::new("struct -o task_struct.se.run_node", "the offset of a member's member"),
                        Example::new("struct rq.nr_running,curr runqueues:a", "of every CPU"),
                        Example::new(
                            "struct -l task_struct.tasks task_struct.comm init_task",
                            "from a member's address",
                        ),
                    ]
                }
            }
            "union" => const { &[Example::new("union rcu_special", "a definition")] },
            _ => const { &[Example::new("* list_head init_task", "an object")] },
        }
    }
    fn claims(&self, cx: &Cx<'_>, words: &[String]) -> bool {
        if self.word != "*" {
            return false;
        }
        let Some(s) = cx.session_if_open() else { return false };
        let mut words = words.iter().filter(|w| !w.starts_with('-')).peekable();
        words.next_if(|word| *word == "enum");
        words.next().is_some_and(|first| types::is_type(s, first))
    }
    fn run(&self, cx: &mut Cx<'_>, args: &StructArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut words: Vec<&str> = args.what.iter().map(String::as_str).collect();
        if let ["struct" | "union" | "enum", _, ..] = words.as_slice() {
            words.remove(0);
        }
        let (first, rest) = words.split_first().unwrap_or((&"", &[]));
        let (name, members) = types::split(first)?;
        let scope = values::scope(cx, s, None);
        let ty = types::find(Some(self.word).filter(|word| *word != "*"), &scope, &name)?;
        let ask = Ask {
            command: self.word,
            s,
            format: values::format(cx.settings, args.hex, args.decimal),
            hex: cx.settings.is_hex(args.hex, args.decimal),
            offsets: args.offsets,
            raw: args.raw,
            pointers: args.pointers,
            lists: args.number,
            space: if args.user { "user" } else { "kernel" },
            name,
            ty,
            members,
        };
        let mut report = match rest.split_first() {
            None => types::definition(&ask)?,
            Some((place, rest)) => self.objects(cx, args, &ask, place, rest)?,
        };
        where_from(s, ty, &mut report);
        Ok(report)
    }
}

impl Struct {
    fn objects(
        &self,
        cx: &mut Cx<'_>,
        args: &StructArgs,
        ask: &Ask<'_>,
        place: &str,
        rest: &[&str],
    ) -> Result<Report, CommandError> {
        let s = ask.s;
        let scope = values::scope(cx, s, None);
        let embedded = match &args.embedded {
            Some(text) => types::offset(&scope, text)?,
            None => 0,
        };
        let count = count(ask, rest)?;
        let (place, cpus) = cpus(cx, s, place)?;
        let from = |at: u64| VirtAddr(at).sub(embedded);
        if args.file {
            let at = crate::engine::number::hex(place)
                .ok_or_else(|| CommandError::argument(format_args!("{place} is no file offset")))?;
            return object::in_file(cx, ask, at, count);
        }
        let at = match pid(cx, s, ask, place) {
            Some(at) => at,
            None => values::address(cx, s, place)?,
        };
        if args.user {
            return object::in_user(cx, ask, from(at.0), count);
        }
        if cpus.is_none() && crate::engine::number::hex(place).is_none() && s.is_per_cpu(at) {
            return Err(CommandError::failed(format_args!(
                "{place} is per-CPU: choose CPUs with {place}:0 or {place}:a"
            )));
        }
        object::in_kernel(cx, ask, from(at.0), cpus.as_deref(), count)
    }
}

/// The count: behind the address, or `-c`.
fn count(ask: &Ask<'_>, rest: &[&str]) -> Result<i64, CommandError> {
    let count = match rest {
        [] => ask.lists.unwrap_or(1),
        [text] => text
            .parse::<i64>()
            .ok()
            .or_else(|| crate::engine::number::hex(text).map(u64::cast_signed))
            .ok_or_else(|| CommandError::argument(format_args!("invalid count: {text}")))?,
        [_, more, ..] => {
            return Err(CommandError::argument(format_args!("unexpected argument: {more}")));
        }
    };
    if count == 0 || count.unsigned_abs() > MAX_COUNT {
        return Err(CommandError::argument(format_args!("invalid count: {count}")));
    }
    Ok(count)
}

/// A place without its `:CPUS`, and the CPUs.
fn cpus<'w>(cx: &Cx<'_>, s: &Session, place: &'w str) -> Result<(&'w str, Option<Vec<u32>>), CommandError> {
    match place.rsplit_once(':') {
        Some((place, "")) => Ok((place, Some(vec![tasks::context_cpu(cx)?]))),
        Some((before, spec))
            if spec == "a"
                || spec == "all"
                || spec.chars().all(|c| c.is_ascii_digit() || ",-".contains(c)) =>
        {
            Ok((before, Some(tasks::cpus(s, spec)?)))
        }
        _ => Ok((place, None)),
    }
}

/// The `task_struct` of a pid: `struct task_struct 1`.
fn pid(cx: &Cx<'_>, s: &Session, ask: &Ask<'_>, place: &str) -> Option<VirtAddr> {
    let _ = cx;
    if ask.name != "task_struct" {
        return None;
    }
    let pid = place.parse::<i32>().ok()?;
    s.tasks().with_pid(pid).next().map(|t| t.at)
}

/// The definition of members of a type with their offsets: `task_struct.pid`. `None` where there is no
/// such type.
pub(crate) fn members(scope: &SessionScope<'_>, word: &str) -> Result<Option<Report>, CommandError> {
    let (name, members) = types::split(word)?;
    let Ok(ty) = types::find(None, scope, &name) else { return Ok(None) };
    let ask = Ask {
        command: "whatis",
        s: scope.session,
        name,
        ty,
        members,
        format: FormatOptions::default(),
        hex: false,
        offsets: true,
        raw: false,
        pointers: false,
        lists: None,
        space: "kernel",
    };
    let mut report = types::definition(&ask)?;
    where_from(scope.session, ty, &mut report);
    Ok(Some(report))
}
