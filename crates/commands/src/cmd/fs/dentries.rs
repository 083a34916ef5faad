//! `dentries`: the cache of names, by file system and directory ([`kernel::fs::dcache`]).

use super::mount;
use crate::engine::number;
use crate::show::problems;
use crate::show::tasks::{or_why, unknown};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::fs::dcache::{self, Dentry, Super};
use kernel::fs::namespace::{self, Mounted};
use kernel::fs::path::Mount;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report, Role};
use std::cmp::Reverse;

/// The command.
#[derive(Debug)]
pub(crate) struct Dentries;

/// The arguments of `dentries`.
#[derive(clap::Args)]
pub(crate) struct DentriesArgs {
    /// Only names that no file has (negative dentries)
    #[arg(short = 'n')]
    negative: bool,
    /// Only those that nobody uses
    #[arg(short = 'u')]
    unused: bool,
    /// The directories that have most of them
    #[arg(short = 't', value_name = "COUNT", conflicts_with_all = ["negative", "unused"])]
    top: Option<usize>,
    /// A path, or the address of a super block or a dentry: what is below it
    #[arg(value_name = "PATH|ADDRESS")]
    below: Option<String>,
}

impl Run for Dentries {
    type Args = DentriesArgs;
    fn name(&self) -> &'static str {
        "dentries"
    }
    fn about(&self) -> &'static str {
        "the cache of names, by file system and directory"
    }
    fn details(&self) -> &'static str {
        "Shows for each file system (super block) how many names its directories have in the cache, how many of them no file \
         has (negative), and how many nobody uses, with what the kernel counts of all: sockets, pipes and the like \
         are counted and are in no directory. With a path, as the first process sees it, or the address of a super block or a \
         dentry, the names below it, one a line: the dentry, its inode (0: no file has the name), how many use it, and its \
         path; -n and -u leave the others out. -t shows the directories that have most, where all are known. Symbolic links in a path are not followed."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("dentries", "how many names each file system has"),
                Example::new("dentries /", "those of the first file system"),
                Example::new("dentries -n /", "names that no file has"),
                Example::new("dentries -t 5", "the directories with most names"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &DentriesArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let (supers, lost) = dcache::supers(s).map_err(CommandError::failed)?;
        let mut report = Report::new("dentries");
        let top = match &args.below {
            Some(word) => Some(top(s, &supers, word)?),
            None => None,
        };
        match (args.top, top) {
            (Some(count), Some(top)) => directories(cx, s, &[top], &[], count, &mut report)?,
            (Some(count), None) => {
                let (tops, mut lacking) = roots(&supers);
                problems::tell(&mut report, "dentries", "roots of super blocks", &lacking);
                lacking.extend(lost.iter().cloned());
                directories(cx, s, &tops, &lacking, count, &mut report)?;
            }
            (None, Some(top)) => list(cx, s, args, top, &mut report)?,
            (None, None) if args.negative || args.unused => {
                let (tops, lacking) = roots(&supers);
                for top in tops {
                    list(cx, s, args, top, &mut report)?;
                }
                problems::tell(&mut report, "dentries", "roots of super blocks", &lacking);
            }
            (None, None) => sums(cx, s, &supers, &mut report)?,
        }
        problems::tell(&mut report, "dentries", "super blocks", &lost);
        Ok(report)
    }
}

/// The roots of super blocks that have one, and why others are not known.
fn roots(supers: &[Super]) -> (Vec<VirtAddr>, Vec<KernelError>) {
    let (mut tops, mut lost) = (Vec::new(), Vec::new());
    for one in supers {
        match &one.root {
            Ok(root) if root.is_null() => {}
            Ok(root) => tops.push(*root),
            Err(e) => lost.push(e.clone()),
        }
    }
    (tops, lost)
}

/// The dentry that a word means.
fn top(s: &Session, supers: &[Super], word: &str) -> Result<VirtAddr, CommandError> {
    if word.starts_with('/') {
        return of_path(s, word);
    }
    let at = number::hex(word).map(VirtAddr).filter(|at| s.arch().is_kernel(*at));
    let Some(at) = at else {
        return Err(CommandError::argument(format_args!("not a path and not an address: {word}")));
    };
    if let Some(one) = supers.iter().find(|one| one.at == at) {
        return match &one.root {
            Ok(root) if root.is_null() => Err(CommandError::failed("this super block has no root")),
            Ok(root) => Ok(*root),
            Err(e) => Err(CommandError::failed(e.clone())),
        };
    }
    // a dentry says which super block it is of
    match dcache::super_of(s, at) {
        Ok(sb) if supers.iter().any(|one| one.at == sb) => Ok(at),
        Err(e) if e.is_loss() => Err(CommandError::failed(e)),
        _ => Err(CommandError::failed(format_args!("{word}: no super block and no dentry"))),
    }
}

/// The dentry of a path in the first process's namespace.
fn of_path(s: &Session, word: &str) -> Result<VirtAddr, CommandError> {
    let namespace = namespace::of_task(s, mount::first(s)?).map_err(CommandError::failed)?;
    let found = namespace::mounts(s, namespace).map_err(CommandError::failed)?;
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let wanted = parts(word);
    // of mounts that lie over each other the last one is seen
    let mut best: Option<(usize, &Mounted)> = None;
    for one in &found.all {
        let Ok(path) = &one.path else { continue };
        let own = parts(path);
        if wanted.starts_with(&own) && best.is_none_or(|(len, _)| own.len() >= len) {
            best = Some((own.len(), one));
        }
    }
    let lost = found.problems.iter().any(KernelError::is_loss);
    let Some((len, mounted)) = best else {
        return Err(CommandError::failed(format_args!("{word}: nothing is mounted there")).lost_if(lost));
    };
    let mut at = s.bind::<Mount>().root.ptr(s.mem(), mounted.at).map_err(CommandError::failed)?;
    for part in wanted.iter().skip(len) {
        at = dcache::lookup(s, at, part).map_err(CommandError::failed)?.ok_or_else(|| {
            CommandError::failed(format_args!("{word}: {part} is not in the cache of names"))
        })?;
    }
    Ok(at)
}

/// How often a long walk looks for Ctrl-C.
const AT_ONCE: usize = 4096;

/// The names from the dentry that was asked for to one below it.
type Way = [Result<String, KernelError>];

/// Walks what is below a dentry, with each one's path from there; Ctrl-C ends it.
fn walk(
    cx: &Cx<'_>,
    s: &Session,
    top: VirtAddr,
    each: &mut dyn FnMut(&Dentry, &Way),
) -> Result<Vec<KernelError>, CommandError> {
    let mut way: Vec<Result<String, KernelError>> = Vec::new();
    let (mut count, mut stopped) = (0_usize, Ok(()));
    let problems = dcache::walk(s, top, &mut |dentry| {
        count = count.saturating_add(1);
        if count.is_multiple_of(AT_ONCE) {
            stopped = cx.cancel.check();
        }
        way.truncate(dentry.depth);
        way.push(dentry.name.clone());
        each(dentry, &way);
        stopped.is_ok()
    });
    stopped?;
    Ok(problems)
}

/// The path of a dentry from the one that was asked for.
fn path(way: &Way) -> Cell {
    let mut out = String::new();
    for (n, name) in way.iter().enumerate() {
        match name {
            Ok(name) if n == 0 && name == "/" => {}
            Ok(name) if n == 0 => out.push_str(name),
            Ok(name) => {
                out.push('/');
                out.push_str(name);
            }
            Err(e) => return unknown("(unknown)", e),
        }
    }
    Cell::from(if out.is_empty() { "/".to_owned() } else { out })
}

fn list(
    cx: &Cx<'_>,
    s: &Session,
    args: &DentriesArgs,
    top: VirtAddr,
    report: &mut Report,
) -> Result<(), CommandError> {
    report.line(Line::heading("     DENTRY           INODE       USERS  PATH"));
    let (mut rows, mut undecided) = (Vec::new(), Vec::new());
    let problems = walk(cx, s, top, &mut |dentry, way| {
        let passes = |asked: bool, is: &Result<bool, KernelError>| !asked || *is.as_ref().unwrap_or(&true);
        let negative = dentry.inode.clone().map(|inode| inode.is_null());
        let unused = dentry.count.clone().map(|count| count == 0);
        for (asked, is) in [(args.negative, &negative), (args.unused, &unused)] {
            if let (true, Err(e)) = (asked, is) {
                undecided.push(e.clone());
            }
        }
        if passes(args.negative, &negative) && passes(args.unused, &unused) {
            let inode = dentry.inode.as_ref().map_or_else(|e| unknown("?", e), |at| Cell::Addr(at.0));
            let count = or_why(dentry.count.as_ref().copied());
            let line = Line::new().field("dentry", Cell::Addr(dentry.at.0)).zeros(16).text(" ");
            let line =
                line.field("inode", inode).right(16).text(" ").field("users", count).right(6).text("  ");
            rows.push(Record::of(line.field("path", path(way)).role(Role::Path)));
        }
    })?;
    let known = rows.len();
    report.list("dentries", rows);
    problems::tell(report, "dentries", &format!("names below this one ({known} are shown)"), &problems);
    problems::tell(report, "dentries", "names that were asked for", &undecided);
    Ok(())
}

fn sums(cx: &Cx<'_>, s: &Session, supers: &[Super], report: &mut Report) -> Result<(), CommandError> {
    report.line(Line::heading("  SUPER_BLOCK    DENTRIES NEGATIVE   UNUSED  TYPE        ID"));
    let (mut rows, mut found, mut lost, mut parts) = (Vec::new(), 0_u64, Vec::new(), Vec::new());
    for one in supers {
        let (mut all, mut negative, mut unused) = (0_u64, 0_u64, 0_u64);
        let (mut problems, mut no_inode, mut no_count) = (Vec::new(), None, None);
        match &one.root {
            Ok(root) if root.is_null() => {}
            Ok(root) => {
                problems = walk(cx, s, *root, &mut |dentry, _| {
                    all = all.saturating_add(1);
                    negative = negative.saturating_add(u64::from(dentry.is_negative()));
                    unused = unused.saturating_add(u64::from(matches!(dentry.count, Ok(0))));
                    no_inode = no_inode.take().or_else(|| dentry.inode.clone().err());
                    no_count = no_count.take().or_else(|| dentry.count.clone().err());
                })?;
            }
            Err(e) => problems.push(e.clone()),
        }
        found = found.saturating_add(all);
        // a name of which a part is lost is one all the same
        let cell = |count: u64, own: Option<&KernelError>| match problems.first().or(own) {
            None => Cell::from(count),
            Some(why) => Cell::at_least(count, why.to_string()),
        };
        let (in_all, in_negative, in_unused) =
            (cell(all, None), cell(negative, no_inode.as_ref()), cell(unused, no_count.as_ref()));
        let line = Line::new().field("super_block", Cell::Addr(one.at.0)).zeros(16).text(" ");
        let line = line.field("dentries", in_all).right(8).text(" ").field("negative", in_negative).right(8);
        let line = line.text(" ").field("unused", in_unused).right(8).text("  ");
        let text = |text: &Result<String, KernelError>| or_why(text.as_ref().cloned());
        rows.push(Record::of(
            line.field("type", text(&one.kind)).left(11).text(" ").field("id", text(&one.id)),
        ));
        lost.extend(problems);
        parts.extend(no_inode.into_iter().chain(no_count));
    }
    report.list("super_blocks", rows);
    report.blank();
    let counted = dcache::counted(s);
    let number = |n: &Result<u64, KernelError>| or_why(n.as_ref().copied());
    let line = Line::of("The kernel counts ").field("counted", number(&counted.all)).text(" dentries, ");
    let mut line = line.field("counted_unused", number(&counted.unused)).text(" of them unused");
    if let Some(negative) = &counted.negative {
        line = line.text(", ").field("counted_negative", number(negative)).text(" of these negative");
    }
    let found = match lost.first() {
        None => Cell::from(found),
        Some(e) => Cell::at_least(found, e.to_string()),
    };
    report.line(line.text("; ").field("found", found).text(" are in directories."));
    problems::tell(report, "dentries", "names in directories", &lost);
    problems::tell(report, "dentries", "counts of negative and unused names", &parts);
    Ok(())
}

/// A directory with how many names it has.
struct Directory {
    at: VirtAddr,
    path: Cell,
    names: u64,
    negative: u64,
    /// Why others may be negative too.
    unread: Option<KernelError>,
}

fn directories(
    cx: &Cx<'_>,
    s: &Session,
    tops: &[VirtAddr],
    lacking: &[KernelError],
    count: usize,
    report: &mut Report,
) -> Result<(), CommandError> {
    let (mut best, mut problems): (Vec<Directory>, Vec<KernelError>) = (Vec::new(), Vec::new());
    for &top in tops {
        // the directories on the way to the dentry that is looked at
        let mut open: Vec<Directory> = Vec::new();
        problems.extend(walk(cx, s, top, &mut |dentry, way| {
            while open.len() > dentry.depth {
                best.extend(open.pop().filter(|directory| directory.names > 0));
            }
            if let Some(directory) = open.last_mut() {
                // of what is no directory no path is made: it has no name below
                if directory.names == 0 {
                    directory.path = path(way.split_last().map_or(&[][..], |(_, above)| above));
                }
                directory.names = directory.names.saturating_add(1);
                directory.negative = directory.negative.saturating_add(u64::from(dentry.is_negative()));
                directory.unread = directory.unread.take().or_else(|| dentry.inode.clone().err());
            }
            open.push(Directory { at: dentry.at, path: Cell::Null, names: 0, negative: 0, unread: None });
            // what can be among the largest no more
            if best.len() > count.saturating_add(AT_ONCE) {
                keep(&mut best, count);
            }
        })?);
        best.extend(open.into_iter().filter(|directory| directory.names > 0));
    }
    keep(&mut best, count);
    // behind what is lost may be the largest ones
    if !(problems.is_empty() && lacking.is_empty()) {
        best.clear();
    }
    report.line(Line::heading("     DENTRY         NAMES NEGATIVE  DIRECTORY"));
    let rows = best.into_iter().map(|directory| {
        let line = Line::new().field("dentry", Cell::Addr(directory.at.0)).zeros(16).text(" ");
        let line = line.field("names", directory.names).right(8).text(" ");
        let negative = match &directory.unread {
            None => Cell::from(directory.negative),
            Some(e) => Cell::at_least(directory.negative, e.to_string()).lost_if(e.is_loss()),
        };
        let line = line.field("negative", negative).right(8).text("  ");
        Record::of(line.field("path", directory.path).role(Role::Path))
    });
    report.list("directories", rows.collect());
    problems::tell(report, "dentries", "names in directories", &problems);
    Ok(())
}

/// The directories with most names.
fn keep(best: &mut Vec<Directory>, count: usize) {
    best.sort_by_key(|directory| (Reverse(directory.names), directory.at));
    best.truncate(count);
}
