//! `ipcs`: shared memory, semaphores and message queues of System V ([`kernel::ipc`]).

use crate::engine::number;
use crate::show::tasks::{self, or_why};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::ipc::msg::{self, Queue};
use kernel::ipc::sem::{self, Semaphores};
use kernel::ipc::shm::{self, Segment};
use kernel::ipc::util::{self, Found, Perm};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Ipcs;

/// The arguments of `ipcs`.
#[derive(clap::Args)]
pub(crate) struct IpcsArgs {
    /// Show semaphore arrays
    #[arg(short = 's')]
    semaphores: bool,
    /// Show shared memory segments
    #[arg(short = 'm')]
    memory: bool,
    /// Show shared memory segments, with their pages and inodes
    #[arg(short = 'M')]
    pages: bool,
    /// Show message queues
    #[arg(short = 'q')]
    queues: bool,
    /// Show those of this task's IPC namespace; of the first one where this is not given
    #[arg(short = 'n', value_name = "PID | TASK")]
    namespace: Option<String>,
    /// Only what has this id, or is at this address (a shmid_kernel, sem_array or msg_queue)
    #[arg(value_name = "ID | ADDRESS", num_args = 0..)]
    which: Vec<String>,
}

impl Run for Ipcs {
    type Args = IpcsArgs;
    fn name(&self) -> &'static str {
        "ipcs"
    }
    fn about(&self) -> &'static str {
        "System V IPC facilities"
    }
    fn details(&self) -> &'static str {
        "Shows the shared memory segments, semaphore arrays and message queues of an IPC namespace; -m, -s and -q \
         choose among them. STATUS is dest for a segment that goes when nobody is attached any more, and locked for one \
         that stays in memory. -M adds how many pages each segment may take, how many of these are in memory and how many \
         in swap, and the inode of its file. An object that is being removed is not shown."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("ipcs", "all three facilities"),
                Example::new("ipcs -M", "shared memory, with its pages"),
                Example::new("ipcs -sq", "semaphores and message queues"),
                Example::new("ipcs -n 1", "those of the IPC namespace of a task"),
                Example::new("ipcs -m 0", "the segment of an id"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &IpcsArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut wanted = Vec::new();
        for word in &args.which {
            wanted.push((word.as_str(), number::value(word, &|name| cx.symbol_value(name))?));
        }
        let task = args.namespace.as_deref().map(|word| tasks::one(s, word)).transpose()?;
        let namespace = util::namespace(s, task).map_err(CommandError::failed)?;
        let all = !(args.memory || args.pages || args.semaphores || args.queues);
        let mut tables = Vec::new();
        if all || args.memory || args.pages {
            tables.push(memory(s, namespace, args.pages));
            cx.cancel.check()?;
        }
        if all || args.semaphores {
            tables.push(semaphores(s, namespace));
            cx.cancel.check()?;
        }
        if all || args.queues {
            tables.push(queues(s, namespace));
            cx.cancel.check()?;
        }
        if tables.iter().all(|table| table.failed.is_some())
            && let Some(e) = tables.iter_mut().find_map(|table| table.failed.take())
        {
            return Err(CommandError::failed(e));
        }
        let mut report = Report::new("ipcs");
        report.hidden("namespace", namespace);
        if !wanted.is_empty() {
            choose(&mut tables, &wanted, &mut report)?;
        }
        tables.into_iter().for_each(|table| table.show(&mut report));
        Ok(report)
    }
}

/// The objects of one facility.
struct Table {
    /// The name of their list in JSON.
    key: &'static str,
    /// What they are, in a sentence.
    what: &'static str,
    head: &'static str,
    /// The heading is above each object.
    is_head_repeated: bool,
    rows: Vec<Row>,
    /// Why there may be others.
    problems: Vec<KernelError>,
    /// Why nothing of them is known.
    failed: Option<KernelError>,
    /// Others were chosen: an empty table says nothing.
    is_chosen: bool,
}

struct Row {
    at: VirtAddr,
    perm: Perm,
    record: Record,
}

impl Row {
    /// Whether it has this id or address; `None` where its id is not known and may be this one.
    fn is(&self, value: u64) -> Option<bool> {
        let is_known = self.at.0 == value || self.perm.id.is_ok() || !self.perm.may_have(value);
        is_known.then(|| self.at.0 == value || self.perm.may_have(value))
    }
}

impl Table {
    fn new<T>(
        (key, what, head): (&'static str, &'static str, &'static str),
        found: kernel::Result<Found<T>>,
        row: impl Fn(&T) -> Row,
    ) -> Self {
        let failed = found.as_ref().err().cloned();
        let found = found.unwrap_or_else(|e| Found { all: Vec::new(), problems: vec![e] });
        Self {
            key,
            what,
            head,
            is_head_repeated: false,
            rows: found.all.iter().map(row).collect(),
            problems: found.problems,
            failed,
            is_chosen: false,
        }
    }

    fn show(mut self, report: &mut Report) {
        let is_empty = self.rows.is_empty();
        if is_empty && self.is_chosen {
            return;
        }
        if is_empty || !self.is_head_repeated {
            report.line(Line::heading(self.head));
        }
        if is_empty && self.problems.is_empty() {
            report.text("(none allocated)");
        }
        if self.is_head_repeated {
            for row in &mut self.rows {
                row.record.items.insert(0, report::Item::Line(Line::heading(self.head)));
                row.record.blank();
            }
        }
        let is_ended = self.is_head_repeated && !is_empty;
        report.list(self.key, self.rows.into_iter().map(|row| row.record).collect());
        if let Some(e) = self.problems.first() {
            let others = match self.problems.len() {
                1 => String::new(),
                more => format!(" (and {} more)", more - 1),
            };
            report.lacking(e.is_loss(), format!("ipcs: the {} are not whole: {e}{others}", self.what));
        }
        if !is_ended {
            report.blank();
        }
    }
}

/// Leaves what has one of these ids or addresses.
fn choose(tables: &mut [Table], wanted: &[(&str, u64)], report: &mut Report) -> Result<(), CommandError> {
    let rows = || tables.iter().flat_map(|table| table.rows.iter().map(|row| (table.what, row)));
    let is_there = |value: u64| rows().any(|(_, row)| row.is(value) != Some(false));
    for (word, value) in wanted {
        for (what, row) in rows().filter(|(_, row)| row.is(*value).is_none()) {
            let at = row.at.0;
            report.missing(format!(
                "ipcs: whether {word} is the one of the {what} at {at:#x} is lost with its id"
            ));
        }
    }
    let lost: Vec<&(&str, u64)> = wanted.iter().filter(|(_, value)| !is_there(*value)).collect();
    // what could not be read may be it
    let unread = tables.iter().find_map(|table| table.problems.first());
    let is_loss = unread.is_some_and(kernel::KernelError::is_loss);
    let why = |word: &str| match unread {
        None => format!("invalid id or address: {word}"),
        Some(e) => format!("{word} is not among the objects that can be read, and they are not all: {e}"),
    };
    if lost.len() == wanted.len()
        && let Some((word, _)) = lost.first()
    {
        return Err(CommandError::failed(why(word)).lost_if(is_loss));
    }
    for (word, _) in lost {
        report.lacking_or_error(is_loss, format!("ipcs: {}", why(word)));
    }
    for table in tables {
        table.rows.retain(|row| wanted.iter().any(|(_, value)| row.is(*value) != Some(false)));
        table.is_chosen = true;
    }
    Ok(())
}

/// The columns that all three facilities have; `name` is that of the struct, `id` that of the id.
fn line(at: VirtAddr, name: &'static str, perm: &Perm, id: &'static str) -> Line {
    let mode = perm.mode.clone().map(|mode| mode & 0o777);
    Line::new()
        .field(name, at)
        .zeros(16)
        .text(" ")
        .field("key", or_why(perm.key.clone().map(|key| Cell::hex_digits(key, 8))))
        .left(8)
        .text(" ")
        .field(id, or_why(perm.id.clone()))
        .left(10)
        .text(" ")
        .field("uid", or_why(perm.uid.clone()))
        .left(5)
        .text(" ")
        .field("perms", or_why(mode.map(|mode| Cell::shown(mode, format!("{mode:o}")))))
        .left(5)
        .text(" ")
}

fn row(at: VirtAddr, perm: &Perm, line: Line) -> Row {
    Row { at, perm: perm.clone(), record: Record::of(line) }
}

fn memory(s: &Session, namespace: VirtAddr, with_pages: bool) -> Table {
    let head = "SHMID_KERNEL     KEY      SHMID      UID   PERMS BYTES      NATTCH STATUS";
    let found = shm::segments(s, namespace);
    let mut table = Table::new(("shared_memory", "shared memory segments", head), found, |segment| {
        let line = line(segment.at, "shmid_kernel", &segment.perm, "shmid")
            .field("bytes", or_why(segment.bytes.clone().map(Cell::Size)))
            .left(10)
            .text(" ")
            .field("nattch", or_why(segment.attached.clone()))
            .left(6)
            .text(" ")
            .field("status", or_why(segment.perm.mode.clone().map(status)));
        let mut row = row(segment.at, &segment.perm, line);
        if with_pages {
            pages(s, segment, &mut row.record);
        }
        row
    });
    table.is_head_repeated = with_pages;
    table
}

/// Both states in columns of their own, as crash has them: a blank stands before `locked` where `dest` is not there.
fn status(mode: u64) -> Cell {
    let states = shm::states(mode);
    let text = if states == ["locked"] { " locked".to_owned() } else { states.join(" ") };
    Cell::shown(Cell::Many(states.into_iter().map(Cell::from).collect(), " "), text)
}

fn pages(s: &Session, segment: &Segment, record: &mut Record) {
    let pages = shm::pages(s, segment);
    record.line(
        Line::new()
            .text("PAGES ALLOCATED/RESIDENT/SWAPPED: ")
            .field("pages_allocated", or_why(pages.allocated))
            .text("/")
            .field("pages_resident", or_why(pages.resident))
            .text("/")
            .field("pages_swapped", or_why(pages.swapped)),
    );
    record.line(Line::new().text("INODE: ").field("inode", or_why(pages.inode)).zeros(16));
}

fn semaphores(s: &Session, namespace: VirtAddr) -> Table {
    let head = "SEM_ARRAY        KEY      SEMID      UID   PERMS NSEMS";
    let found = sem::arrays(s, namespace);
    Table::new(("semaphores", "semaphore arrays", head), found, |Semaphores { at, perm, count }| {
        let line = line(*at, "sem_array", perm, "semid").field("nsems", or_why(count.clone()));
        row(*at, perm, line)
    })
}

fn queues(s: &Session, namespace: VirtAddr) -> Table {
    let head = "MSG_QUEUE        KEY      MSQID      UID   PERMS USED-BYTES   MESSAGES";
    let found = msg::queues(s, namespace);
    Table::new(("message_queues", "message queues", head), found, |Queue { at, perm, bytes, messages }| {
        let line = line(*at, "msg_queue", perm, "msqid")
            .field("used_bytes", or_why(bytes.clone().map(Cell::Size)))
            .left(12)
            .text(" ")
            .field("messages", or_why(messages.clone()));
        row(*at, perm, line)
    })
}
