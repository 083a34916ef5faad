//! `files`: the open files of tasks, and what of a file is in memory ([`kernel::fs`], [`kernel::mm::filemap`]).

mod cache;
mod reference;

use crate::show::address;
use crate::show::holes;
use crate::show::problems::{Undecided, not_whole};
use crate::show::tasks::{self, banner, or_why, unknown};
use crate::{CommandError, Cx, Example, Run, Writes};
use base::VirtAddr;
use kernel::fs::file::{self, Open};
use kernel::fs::fs_struct::{self, Place};
use kernel::fs::inode::{self, FileType};
use kernel::fs::path::{self, Dentry, FileStruct};
use kernel::mm::filemap;
use kernel::sched::task::Task;
use kernel::{Fetch, KernelError, Session};
use reference::Wanted;
use report::{Cell, Line, Record, Report, Role};

/// The command.
#[derive(Debug)]
pub(crate) struct Files;

/// The arguments of `files`.
#[derive(clap::Args)]
pub(crate) struct FilesArgs {
    /// Show the inode, super block, type and path of this dentry
    #[arg(short = 'd', value_name = "DENTRY")]
    dentry: Option<String>,
    /// Show the pages of this inode that are in the page cache
    #[arg(short = 'p', value_name = "INODE")]
    pages: Option<String>,
    /// Show how the pages of this inode are spread over the NUMA nodes
    #[arg(short = 'n', value_name = "INODE")]
    nodes: Option<String>,
    /// Show inode, address_space and number of pages in the page cache of each open file
    #[arg(short = 'c')]
    cached: bool,
    /// Show what refers to this descriptor, path, or address of a file, dentry, inode or address_space
    #[arg(short = 'R', value_name = "REFERENCE")]
    reference: Option<String>,
    /// Write this inode's file out of the page cache to the file named behind; FILE.holes tells what of it is not there
    #[arg(long = "save", value_names = ["INODE", "FILE"], num_args = 2)]
    save: Vec<String>,
    /// The tasks; without one, the task that set chose
    #[arg(value_name = "PID | TASK", num_args = 0..)]
    tasks: Vec<String>,
}

impl Run for Files {
    type Args = FilesArgs;
    fn name(&self) -> &'static str {
        "files"
    }
    fn about(&self) -> &'static str {
        "open files"
    }
    fn details(&self) -> &'static str {
        "Shows a task's root and working directory, and its open files: descriptor, struct file, dentry, inode, type and path, \
         as /proc/PID/fd has it. -c shows how much of each is in the page cache, -p the pages of one inode, -n on which NUMA \
         nodes they are. -R shows only what refers to a descriptor, to an address, or to a part of a path; it is meant for \
         \"foreach files\". --save writes a file as the page cache has it: what is not there, or not in the dump, is a hole, \
         and FILE.holes has a line for each."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn writes(&self, args: &FilesArgs) -> Writes {
        match args.save.as_slice() {
            [_, path] => holes::both(path),
            _ => Writes::NOTHING,
        }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("files", "the open files of the task that set chose"),
                Example::new("files 1", "those of a task"),
                Example::new("files -c 1", "how much of each is in memory"),
                Example::new("files -R console 1", "those with this in their path"),
                Example::new("foreach files -R /dev/console", "who has a file open"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &FilesArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let at = |word: &Option<String>| word.as_deref().map(|word| address::parse(cx, word)).transpose();
        let (dentry, pages, nodes) = (at(&args.dentry)?, at(&args.pages)?, at(&args.nodes)?);
        refuse(args)?;
        if let Some(at) = dentry {
            return one_dentry(s, VirtAddr(at));
        }
        if let Some(at) = pages {
            return cache::pages(cx, s, VirtAddr(at));
        }
        if let Some(at) = nodes {
            return cache::nodes(cx, s, VirtAddr(at));
        }
        if let [inode, path] = args.save.as_slice() {
            return cache::save(cx, s, VirtAddr(address::parse(cx, inode)?), path);
        }
        let mut wanted = Vec::new();
        for word in &args.tasks {
            wanted.push(tasks::one(s, word)?);
        }
        if wanted.is_empty() {
            wanted.push(tasks::context(cx)?);
        }
        let reference = args.reference.as_deref().map(Wanted::parse);
        let (mut rows, mut undecided) = (Vec::new(), Undecided::default());
        for task in wanted {
            cx.cancel.check()?;
            match of_task(s, task, args.cached, reference.as_ref()) {
                Ok(mut row) => {
                    row.blank();
                    rows.push(row);
                }
                Err(notes) => _ = undecided.take(&notes.items),
            }
        }
        let mut report = Report::new("files");
        report.list("tasks", rows);
        undecided.tell(&mut report, "files");
        Ok(report)
    }
}

/// Options that are each about something else.
fn refuse(args: &FilesArgs) -> Result<(), CommandError> {
    let single = [args.dentry.is_some(), args.pages.is_some(), args.nodes.is_some(), !args.save.is_empty()];
    let of_tasks = args.cached || args.reference.is_some() || !args.tasks.is_empty();
    let count = single.into_iter().filter(|given| *given).count();
    if count > 1 || count == 1 && of_tasks {
        return Err(CommandError::argument("-d, -p, -n and --save stand alone: each is about one address"));
    }
    Ok(())
}

/// A path, or why there is none.
pub(super) fn path_cell(path: Result<String, KernelError>) -> Cell {
    path.map_or_else(|e| unknown("path not readable", &e), Cell::from)
}

/// An address, or why there is none.
pub(super) fn addr(at: &Result<VirtAddr, KernelError>) -> Cell {
    match at {
        Ok(at) => Cell::Addr(at.0),
        Err(e) => unknown("?", e),
    }
}

pub(super) fn type_cell(kind: &Result<FileType, KernelError>) -> Cell {
    kind.as_ref().map_or_else(|e| unknown("?", e), |kind| Cell::from(kind.word()))
}

fn one_dentry(s: &Session, at: VirtAddr) -> Result<Report, CommandError> {
    let (b, mem) = (s.bind::<Dentry>(), s.mem());
    // without these two it is no dentry
    let inode = b.inode.ptr(mem, at).map_err(CommandError::failed)?;
    let sb = b.sb.ptr(mem, at).map_err(CommandError::failed)?;
    if !s.arch().is_kernel(sb) {
        return Err(CommandError::failed(format_args!(
            "{at:#x} is no dentry: its super block is at {sb:#x}"
        )));
    }
    let kind = inode::file_type(s, inode);
    let mut report = Report::new("files");
    report.line(Line::heading("     DENTRY           INODE           SUPERBLK     TYPE PATH"));
    let line = Line::new().field("dentry", Cell::Addr(at.0)).zeros(16).text(" ");
    let line = match inode.is_null() {
        true => line.field("inode", Cell::absent("(none)", "it is the name of a file that is not there")),
        false => line.field("inode", Cell::Addr(inode.0)).zeros(16),
    };
    let line = line.text(" ").field("superblock", Cell::Addr(sb.0)).zeros(16).text(" ");
    let kind = if inode.is_null() { Cell::absent("-", "it has no inode") } else { type_cell(&kind) };
    // where it is mounted is not known: the path is that within its file system
    let path = path::proc_path(s, at, VirtAddr(0));
    let line = line.field("type", kind).left(4).text(" ").field("path", path_cell(path)).role(Role::Path);
    report.record("dentry", Record::of(line));
    Ok(report)
}

const HEADING: &str = " FD       FILE            DENTRY           INODE       TYPE PATH";
const CACHED_HEADING: &str = " FD      INODE          I_MAPPING     NRPAGES TYPE PATH";

/// All that there is to say of an open file.
struct Facts {
    open: Open,
    dentry: Result<VirtAddr, KernelError>,
    inode: Result<VirtAddr, KernelError>,
    mapping: Result<VirtAddr, KernelError>,
    pages: Result<u64, KernelError>,
    kind: Result<FileType, KernelError>,
    path: Result<String, KernelError>,
}

impl Facts {
    fn of(s: &Session, open: Open) -> Self {
        let b = s.bind::<FileStruct>();
        let not_null = |what: &'static str, at: Result<VirtAddr, KernelError>| {
            let why = format!("it has no {what}");
            at.and_then(|at| match at.is_null() {
                true => Err(KernelError::Damaged { what: "file", at: open.file, why }),
                false => Ok(at),
            })
        };
        let inode = not_null("inode", b.inode.ptr(s.mem(), open.file));
        let of_inode = inode.clone().and_then(|at| filemap::mapping(s, at));
        Self {
            open,
            dentry: not_null("dentry", b.dentry.ptr(s.mem(), open.file)),
            kind: inode.clone().and_then(|at| inode::file_type(s, at)),
            path: path::proc_path_of_file(s, open.file),
            mapping: of_inode.clone().map(|(mapping, _)| mapping),
            pages: of_inode.and_then(|(_, pages)| pages),
            inode,
        }
    }

    fn line(&self, cached: bool) -> Line {
        let line = Line::new().field("fd", self.open.fd).right(3).text(" ");
        let line = if cached {
            let pages = or_why(self.pages.as_ref().copied());
            let line = line.field("inode", addr(&self.inode)).zeros(16).text(" ");
            let line = line.field("i_mapping", addr(&self.mapping)).zeros(16).text(" ");
            line.field("nrpages", pages).right(7)
        } else {
            let line = line.field("file", Cell::Addr(self.open.file.0)).zeros(16).text(" ");
            let line = line.field("dentry", addr(&self.dentry)).zeros(16).text(" ");
            line.field("inode", addr(&self.inode)).zeros(16)
        };
        let line = line.text(" ").field("type", type_cell(&self.kind)).left(4).text(" ");
        line.field("path", path_cell(self.path.clone())).role(Role::Path)
    }
}

/// What there is to show of a task; where it has no reference that was asked for, notes of what is not known of it.
fn of_task(s: &Session, task: &Task, cached: bool, wanted: Option<&Wanted>) -> Result<Record, Record> {
    let places = fs_struct::places(s, task);
    let place = |which: fn(&fs_struct::Places) -> &Result<Place, KernelError>| {
        let places = places.as_ref().map_err(Clone::clone)?;
        let place = which(places).clone()?;
        path::proc_path(s, place.dentry, place.mnt)
    };
    let (root, cwd) = (place(|places| &places.root), place(|places| &places.cwd));
    let in_places =
        wanted.is_some_and(|wanted| [&root, &cwd].into_iter().any(|path| wanted.is_in_path(path)));
    let mut files = Record::new();
    let any = open_files(s, task, cached, wanted, &mut files);
    let mut row = Record::of(banner(task));
    if places.is_ok() {
        let unread = root.as_ref().err().or(cwd.as_ref().err()).cloned();
        if let Some(e) = unread.filter(|_| wanted.is_some()) {
            row.lacking(e.is_loss(), format!("files: root or working directory of task {}: {e}", task.pid));
        }
        let line = Line::new().text("ROOT: ").field("root", path_cell(root)).role(Role::Path);
        row.line(line.text("    CWD: ").field("cwd", path_cell(cwd)).role(Role::Path));
    }
    match places {
        Err(e @ KernelError::GivenUp { .. }) => row.info(format!("files: {e}")),
        Err(e) => {
            row.lacking(e.is_loss(), format!("files: root and working directory of task {}: {e}", task.pid));
        }
        Ok(_) => {}
    }
    row.items.append(&mut files.items);
    if wanted.is_some() && !in_places && !any { Err(row) } else { Ok(row) }
}

/// Adds the open files; true where any are shown.
fn open_files(s: &Session, task: &Task, cached: bool, wanted: Option<&Wanted>, row: &mut Record) -> bool {
    let found = match file::open_files(s, task) {
        Ok(found) => found,
        Err(KernelError::GivenUp { .. }) => {
            if wanted.is_none() {
                row.text("No open files");
            }
            return false;
        }
        Err(e) => {
            row.lacking_or_error(e.is_loss(), format!("files: open files of task {}: {e}", task.pid));
            return false;
        }
    };
    let facts: Vec<Facts> = found.all.iter().map(|open| Facts::of(s, *open)).collect();
    let shown: Vec<Record> = facts
        .iter()
        .filter(|one| wanted.is_none_or(|wanted| wanted.is_in(one, found.room)))
        .map(|one| Record::of(one.line(cached)))
        .collect();
    let any = !shown.is_empty();
    if any {
        row.line(Line::heading(if cached { CACHED_HEADING } else { HEADING }));
        row.list("files", shown);
    } else if wanted.is_none() && found.problems.is_empty() {
        row.text("No open files");
    }
    not_whole(row, "files", "open files", &found.problems);
    let unread = |one: &Facts| one.path.as_ref().err().or(one.inode.as_ref().err()).cloned();
    if wanted.is_some() {
        let unread: Vec<KernelError> = facts.iter().filter_map(unread).collect();
        not_whole(row, "files", "facts of open files", &unread);
    }
    any
}
