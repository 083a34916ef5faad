//! `fuser`: the tasks that use a file, as root, working directory, open file or mapping ([`kernel::fs`]).

use crate::engine::number;
use crate::show::{problems, tasks};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::fs::path::{self, Dentry, FileStruct};
use kernel::fs::{file, fs_struct};
use kernel::mm::vma;
use kernel::sched::task::{Task, TaskStruct};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};
use std::collections::BTreeMap;

/// The command.
#[derive(Debug)]
pub(crate) struct Fuser;

/// The arguments of `fuser`.
#[derive(clap::Args)]
pub(crate) struct FuserArgs {
    /// The full path of a file, or the address of its inode
    #[arg(value_name = "PATH | INODE", num_args = 1.., required = true)]
    which: Vec<String>,
}

impl Run for Fuser {
    type Args = FuserArgs;
    fn name(&self) -> &'static str {
        "fuser"
    }
    fn about(&self) -> &'static str {
        "who uses a file"
    }
    fn details(&self) -> &'static str {
        "Shows the tasks that have a file open or mapped, or have it as root or working directory. A file that was deleted is \
         found by its old path too."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("fuser /dev/console", "who uses a file"), Example::new("fuser /", "who is there")] }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &FuserArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut report = Report::new("fuser");
        tasks::problems(s, &mut report);
        let mut lists = Vec::new();
        for word in &args.which {
            let wanted = Wanted::parse(s, word)?;
            let mut search = Search { s, wanted, known: BTreeMap::new(), problems: Vec::new() };
            let mut rows = Vec::new();
            for task in &s.tasks().all {
                cx.cancel.check()?;
                let uses = search.uses(task);
                if !uses.is_empty() {
                    rows.push(row(task, uses));
                }
            }
            let mut record = Record::new();
            record.hidden("file", word.clone());
            match rows.is_empty() {
                true if search.problems.is_empty() => record.text(format!("No users of {word} found")),
                true => record.text(format!("No users of {word} found in what can be read")),
                false => record.line(Line::heading(" PID         TASK        COMM             USAGE")),
            }
            record.list("users", rows);
            problems::not_whole(&mut record, "fuser", "files of tasks", &search.problems);
            lists.push(record);
        }
        report.list("files", lists);
        Ok(report)
    }
}

fn row(task: &Task, uses: Vec<&'static str>) -> Record {
    let line = Line::new().field("pid", task.pid).right(5).text("  ");
    let line = line.field("task", Cell::Addr(task.at.0)).zeros(16).text("  ");
    let name = Cell::shown(task.comm.clone(), format!("\"{}\"", task.comm));
    let line = line.field("command", name).left(16).text(" ");
    let uses = Cell::Many(uses.into_iter().map(Cell::from).collect(), " ");
    Record::of(line.field("usage", uses))
}

/// The file that is meant.
enum Wanted {
    Path(String),
    Inode(VirtAddr),
}

impl Wanted {
    fn parse(s: &Session, word: &str) -> Result<Self, CommandError> {
        match number::hex(word).map(VirtAddr) {
            Some(at) if s.arch().is_kernel(at) => Ok(Self::Inode(at)),
            _ if word.starts_with('/') => Ok(Self::Path(word.to_owned())),
            _ => Err(CommandError::argument(format_args!(
                "{word}: neither a full path nor the address of an inode"
            ))),
        }
    }
}

/// A search for a file. Threads share tables: each is looked through once.
struct Search<'s> {
    s: &'s Session,
    wanted: Wanted,
    known: BTreeMap<VirtAddr, bool>,
    problems: Vec<KernelError>,
}

impl Search<'_> {
    fn uses(&mut self, task: &Task) -> Vec<&'static str> {
        let mut out = Vec::new();
        match fs_struct::places(self.s, task) {
            Ok(places) => {
                for (name, place) in [("root", places.root), ("cwd", places.cwd)] {
                    let is_it = place.and_then(|place| self.is_it(place.dentry, place.mnt));
                    if self.note(is_it) {
                        out.push(name);
                    }
                }
            }
            Err(KernelError::GivenUp { .. }) => {}
            Err(e) => self.problems.push(e),
        }
        let files = s_files(self.s, task);
        if self.once(files, |search| search.has_open(task)) {
            out.push("fd");
        }
        let mm = task.mm.filter(|mm| !mm.is_null());
        if self.once(mm, |search| search.has_mapped(task)) {
            out.push("mmap");
        }
        out
    }

    /// What is true of a table that tasks share.
    fn once(&mut self, table: Option<VirtAddr>, look: impl FnOnce(&mut Self) -> bool) -> bool {
        if let Some(known) = table.and_then(|at| self.known.get(&at)) {
            return *known;
        }
        let found = look(self);
        if let Some(at) = table {
            self.known.insert(at, found);
        }
        found
    }

    fn note(&mut self, found: Result<bool, KernelError>) -> bool {
        found.unwrap_or_else(|e| {
            self.problems.push(e);
            false
        })
    }

    fn is_it(&self, dentry: VirtAddr, mnt: VirtAddr) -> Result<bool, KernelError> {
        match &self.wanted {
            Wanted::Inode(at) => Ok(self.s.bind::<Dentry>().inode.ptr(self.s.mem(), dentry)? == *at),
            Wanted::Path(path) => {
                let told = path::proc_path(self.s, dentry, mnt)?;
                Ok(told == *path || told.strip_suffix(" (deleted)") == Some(path))
            }
        }
    }

    fn is_file(&self, file: VirtAddr) -> Result<bool, KernelError> {
        let (b, mem) = (self.s.bind::<FileStruct>(), self.s.mem());
        match &self.wanted {
            Wanted::Inode(at) => Ok(b.inode.ptr(mem, file)? == *at),
            Wanted::Path(_) => self.is_it(b.dentry.ptr(mem, file)?, b.mnt.ptr(mem, file)?),
        }
    }

    fn has_open(&mut self, task: &Task) -> bool {
        let found = match file::open_files(self.s, task) {
            Ok(found) => found,
            Err(KernelError::GivenUp { .. }) => return false,
            Err(e) => return self.note(Err(e)),
        };
        self.problems.extend(found.problems);
        let mut any = false;
        for open in found.all {
            let is_file = self.is_file(open.file);
            any |= self.note(is_file);
        }
        any
    }

    fn has_mapped(&mut self, task: &Task) -> bool {
        let mm = match self.s.bind::<TaskStruct>().mm.ptr(self.s.mem(), task.at) {
            Ok(mm) if mm.is_null() => return false,
            Ok(mm) => mm,
            Err(e) => return self.note(Err(e)),
        };
        let found = match vma::vmas(self.s, mm) {
            Ok(found) => found,
            Err(e) => return self.note(Err(e)),
        };
        self.problems.extend(found.problem);
        let mut any = false;
        for vma in found.all.into_iter().filter(|vma| !vma.file.is_null()) {
            let is_file = self.is_file(vma.file);
            any |= self.note(is_file);
        }
        any
    }
}

/// Where a task's table of open files is.
fn s_files(s: &Session, task: &Task) -> Option<VirtAddr> {
    s.bind::<TaskStruct>().files.ptr(s.mem(), task.at).ok().filter(|at| !at.is_null())
}
