//! `mount`: what is mounted, with the open files and the inodes that wait to be written ([`kernel::fs::namespace`]).

use super::files::{addr, path_cell, type_cell};
use crate::engine::number;
use crate::show::problems::{self, not_whole};
use crate::show::tasks::{self, unknown};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::fs::file;
use kernel::fs::inode::{self, Inode};
use kernel::fs::namespace::{self, Mounted};
use kernel::fs::path::{self, Dentry, FileStruct};
use kernel::fs::super_block;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report, Role};
use std::collections::BTreeMap;

/// The command.
#[derive(Debug)]
pub(crate) struct MountCommand;

/// The arguments of `mount`.
#[derive(clap::Args)]
pub(crate) struct MountArgs {
    /// Show the open files of each file system
    #[arg(short = 'f')]
    files: bool,
    /// Show the inodes of each file system that wait to be written
    #[arg(short = 'i')]
    inodes: bool,
    /// Show what this task's mount namespace has; that of the first process where this is not given
    #[arg(short = 'n', value_name = "PID | TASK")]
    namespace: Option<String>,
    /// Only what has this address of a mount, vfsmount or super block, is of this device or directory, or has this dentry or
    /// inode
    #[arg(value_name = "MOUNT | VFSMOUNT | SUPERBLOCK | DEVICE | DIRECTORY | DENTRY | INODE", num_args = 0..)]
    which: Vec<String>,
}

impl Run for MountCommand {
    type Args = MountArgs;
    fn name(&self) -> &'static str {
        "mount"
    }
    fn about(&self) -> &'static str {
        "mounted file systems"
    }
    fn details(&self) -> &'static str {
        "Shows what is mounted, as /proc/mounts has it: struct mount, super block, kind, device and directory. -f adds the \
         files that tasks have open, -i the inodes that wait to be written."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("mount", "what is mounted"),
                Example::new("mount -n 1", "in the mount namespace of a task"),
                Example::new("mount /", "what is mounted at a directory"),
                Example::new("mount -f /", "and the files that are open on it"),
                Example::new("mount -i", "inodes that wait to be written"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &MountArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let task = match &args.namespace {
            Some(word) => tasks::one(s, word)?,
            None => first(s)?,
        };
        let at = namespace::of_task(s, task).map_err(CommandError::failed)?;
        let found = namespace::mounts(s, at).map_err(CommandError::failed)?;
        let mut chosen: Vec<&Mounted> = found.all.iter().collect();
        let mut report = Report::new("mount");
        report.hidden("namespace", at);
        if !args.which.is_empty() {
            chosen = choose(s, &found, &args.which, &mut report)?;
        }
        let open = args.files.then(|| open_files(cx, s)).transpose()?;
        let is_plain = !args.files && !args.inodes;
        if is_plain {
            report.line(Line::heading(HEADING));
        }
        let mut rows = Vec::new();
        for one in chosen {
            cx.cancel.check()?;
            let mut row = Record::new();
            if !is_plain {
                row.line(Line::heading(HEADING));
            }
            row.line(line(one));
            if let Some(open) = &open {
                files(s, one, open, &mut row);
            }
            if args.inodes {
                inodes(s, one, &mut row);
            }
            if !is_plain {
                row.blank();
            }
            rows.push(row);
        }
        report.list("mounts", rows);
        if let Some(open) = &open {
            problems::tell(&mut report, "mount", "open files", &open.problems);
            if let Some(why) = s.tasks().lack() {
                report.missing(format!("mount: open files of tasks can be missing: {why}"));
            }
        }
        problems::tell(&mut report, "mount", "mounts", &found.problems);
        Ok(report)
    }
}

const HEADING: &str = "     MOUNT           SUPERBLK     TYPE   DEVNAME   DIRNAME";

/// The first process: its namespace is the machine's.
pub(super) fn first(s: &Session) -> Result<&kernel::sched::task::Task, CommandError> {
    let all = &s.tasks().all;
    let living = |t: &&kernel::sched::task::Task| t.pid > 0 && namespace::of_task(s, t).is_ok();
    all.iter().find(|t| t.pid == 1).or_else(|| all.iter().filter(living).min_by_key(|t| t.pid)).ok_or_else(
        || {
            let lack = s.tasks().lack();
            let is_loss = lack.is_some();
            CommandError::failed("no task is known that has a mount namespace").lost_if(is_loss)
        },
    )
}

fn text(value: &Result<String, KernelError>, short: &'static str) -> Cell {
    value.as_ref().map_or_else(|e| unknown(short, e), |text| Cell::from(text.clone()))
}

fn line(one: &Mounted) -> Line {
    let line = Line::new().field("mount", Cell::Addr(one.at.0)).zeros(16).text(" ");
    let line = line.field("superblock", addr(&one.sb)).zeros(16).text(" ");
    let line = line.field("type", text(&one.kind, "unknown")).left(6).text(" ");
    // a long kind takes its room from the device, as crash has it
    let taken = one.kind.as_ref().map_or(6, |kind| kind.chars().count().max(6));
    let room = 15_usize.saturating_sub(taken);
    let line = line.field("device", text(&one.device, "(unknown)")).left(room).text(" ");
    line.field("directory", path_cell(one.path.clone())).role(Role::Path)
}

/// The mounts that any word means, in the kernel's order for each word.
fn choose<'a>(
    s: &Session,
    found: &'a namespace::Mounts,
    words: &[String],
    report: &mut Report,
) -> Result<Vec<&'a Mounted>, CommandError> {
    let mut out: Vec<&Mounted> = Vec::new();
    for word in words {
        let sb = number::hex(word).map(VirtAddr).and_then(|at| super_block_of(s, at, &found.all));
        let before = out.len();
        out.extend(found.all.iter().filter(|one| is(one, word, sb)));
        if out.len() > before {
            continue;
        }
        let unread = found.problems.first();
        let why = match unread {
            None => format!("{word}: nothing that is mounted has this address, device or directory"),
            Some(e) => format!("{word} is not among the mounts that can be read, and they are not all: {e}"),
        };
        let is_loss = unread.is_some_and(KernelError::is_loss);
        if words.len() == 1 {
            return Err(CommandError::failed(why).lost_if(is_loss));
        }
        report.lacking_or_error(is_loss, format!("mount: {why}"));
    }
    Ok(out)
}

fn is(one: &Mounted, word: &str, sb: Option<VirtAddr>) -> bool {
    let is_text = |text: &Result<String, KernelError>| text.as_ref().is_ok_and(|text| text == word);
    let at = number::hex(word).map(VirtAddr);
    is_text(&one.device)
        || is_text(&one.path)
        || at.is_some_and(|at| at == one.at || at == one.vfsmount)
        || one.sb.as_ref().is_ok_and(|own| Some(*own) == sb)
}

/// The super block that an address is of: its own, or that of a dentry or an inode.
fn super_block_of(s: &Session, at: VirtAddr, all: &[Mounted]) -> Option<VirtAddr> {
    let is_one = |at: &VirtAddr| all.iter().any(|one| one.sb.as_ref().is_ok_and(|sb| sb == at));
    let of_inode = |at: VirtAddr| s.bind::<Inode>().sb.ptr(s.mem(), at).ok().filter(is_one);
    let of_dentry = || {
        let b = s.bind::<Dentry>();
        let sb = b.sb.ptr(s.mem(), at).ok().filter(is_one)?;
        let inode = b.inode.ptr(s.mem(), at).ok()?;
        // that both say the same confirms that it is a dentry
        (of_inode(inode)? == sb).then_some(sb)
    };
    Some(at).filter(is_one).or_else(of_dentry).or_else(|| of_inode(at))
}

/// What tasks have open, by super block and dentry.
struct OpenFiles {
    by_sb: BTreeMap<VirtAddr, BTreeMap<VirtAddr, (VirtAddr, VirtAddr)>>,
    problems: Vec<KernelError>,
}

/// The open files of all tasks. No list of a kernel since 3.13 (eee5cc270292) has them otherwise.
fn open_files(cx: &Cx<'_>, s: &Session) -> Result<OpenFiles, CommandError> {
    let (b, mem) = (s.bind::<FileStruct>(), s.mem());
    let mut out = OpenFiles { by_sb: BTreeMap::new(), problems: Vec::new() };
    for task in s.tasks().all.iter().filter(|t| t.is_leader() || !t.has_exited()) {
        cx.cancel.check()?;
        let found = match file::open_files(s, task) {
            Ok(found) => found,
            Err(KernelError::GivenUp { .. }) => continue,
            Err(e) => {
                out.problems.push(e);
                continue;
            }
        };
        out.problems.extend(found.problems);
        for open in found.all {
            let facts = || {
                let (dentry, mnt) = (b.dentry.ptr(mem, open.file)?, b.mnt.ptr(mem, open.file)?);
                let inode = b.inode.ptr(mem, open.file)?;
                Ok::<_, KernelError>((s.bind::<Inode>().sb.ptr(mem, inode)?, dentry, inode, mnt))
            };
            match facts() {
                Ok((sb, dentry, inode, mnt)) => {
                    out.by_sb.entry(sb).or_default().insert(dentry, (inode, mnt));
                }
                Err(e) => out.problems.push(e),
            }
        }
    }
    Ok(out)
}

fn files(s: &Session, one: &Mounted, open: &OpenFiles, row: &mut Record) {
    row.line(Line::heading("   OPEN FILES   "));
    let own = one.sb.as_ref().ok().and_then(|sb| open.by_sb.get(sb));
    let Some(own) = own else {
        row.text("No open files found");
        return;
    };
    row.line(Line::heading("     DENTRY           INODE       TYPE PATH"));
    let file = |(dentry, (inode, mnt)): (&VirtAddr, &(VirtAddr, VirtAddr))| {
        let line = Line::new().field("dentry", Cell::Addr(dentry.0)).zeros(16).text(" ");
        let line = line.field("inode", Cell::Addr(inode.0)).zeros(16).text(" ");
        let line = line.field("type", type_cell(&inode::file_type(s, *inode))).left(4).text(" ");
        Record::of(line.field("path", path_cell(path::proc_path(s, *dentry, *mnt))).role(Role::Path))
    };
    row.list("files", own.iter().map(file).collect());
}

fn inodes(s: &Session, one: &Mounted, row: &mut Record) {
    row.line(Line::heading("DIRTY INODES"));
    let dirty = match one.sb.clone().and_then(|sb| super_block::dirty(s, sb)) {
        Ok(dirty) => dirty,
        Err(e) => {
            row.lacking(e.is_loss(), format!("mount: inodes that wait to be written: {e}"));
            return;
        }
    };
    if dirty.all.is_empty() && dirty.problems.is_empty() {
        row.text("No dirty inodes found");
    }
    let inode = |at: VirtAddr| Record::of(Line::new().field("inode", Cell::Addr(at.0)).zeros(16));
    row.list("inodes", dirty.all.into_iter().map(inode).collect());
    not_whole(row, "mount", "inodes that wait to be written", &dirty.problems);
}
