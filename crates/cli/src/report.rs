//! `crashlens report`: the analysis of a dump as a page or a folder.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::opening::{chosen_kernel, say_losses};
use crate::verbs::ReportArgs;
use base::Cancel;
use dossier::Book;
use kernel::{KernelError, Layers, OpenOptions};
use shell::{Ended, print_page, say};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Asks the commands and writes what they said.
pub(crate) fn run(
    cli: &Cli,
    args: &ReportArgs,
    open: OpenOptions,
    page: Option<Unnamed>,
    cancel: &Cancel,
) -> Result<Ended, Failure> {
    if cli.files.is_empty() {
        return Err(Failure::Usage(
            "report: no dump was named\n\nUsage: crashlens report DUMP [VMLINUX]".to_owned(),
        ));
    }
    if cli.json || cli.html {
        return Err(Failure::Usage(
            "report: writes a page, or with --folder text and JSON: --json and --html are not its own"
                .to_owned(),
        ));
    }
    shell::catch_interrupts(cancel);
    let leave_out = args.redact.as_ref().map(|classes| classes.0.as_slice()).unwrap_or_default();
    let layers = match Layers::open(open) {
        Ok(layers) => layers,
        Err(e) if cancel.ended().is_some() => return Err(Failure::of_dump(e).within(cancel)),
        Err(e) => return unreadable(cli, args, leave_out, page, e),
    };
    chosen_kernel(cli, &layers).map_err(|why| why.within(cancel))?;
    if !cli.silent {
        say_losses(cli, &layers);
    }
    // where it goes is settled before the work
    let to = target(args, &layers.image().dump_paths)?;
    if let Some(why) = to.path().and_then(|path| layers.why_not_written(path)) {
        return Err(Failure::Failed(why));
    }
    let stopped = || Failure::Stopped("report: stopped, nothing was written".to_owned()).within(cancel);
    let limited = cli.time_limit.is_some() || cli.memory_limit.is_some();
    let book = dossier::collect(&layers, cancel, leave_out, limited).map_err(|_| stopped())?;
    put(cli, &book, &to, page)?;
    if let Some(why) = cancel.ended() {
        say(&format!("crashlens: {why}: the report has what was known by then"));
    }
    let cut = layers.image().dump.facts().is_incomplete();
    Ok(if book.is_whole() && !cut { Ended::Good } else { Ended::Incomplete })
}

/// A file that is there and is no dump that can be opened gets a page that says so.
fn unreadable(
    cli: &Cli,
    args: &ReportArgs,
    leave_out: &[dossier::Class],
    page: Option<Unnamed>,
    e: KernelError,
) -> Result<Ended, Failure> {
    let is_there = cli.files.iter().all(|file| file.is_file());
    if matches!(e, KernelError::Stopped(_)) || !is_there {
        return Err(Failure::of_dump(e));
    }
    let to = target(args, &cli.files)?;
    if to.path().is_some_and(|path| cli.files.iter().any(|file| is_same(file, path))) {
        return Err(Failure::of_dump(e));
    }
    let names: Vec<String> = cli.files.iter().map(|file| file.display().to_string()).collect();
    put(cli, &Book::unreadable(&names.join(" "), &e.to_string(), leave_out), &to, page)?;
    say(&format!("crashlens: {e}"));
    Ok(Ended::Failed)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn put(cli: &Cli, book: &Book, to: &To, page: Option<Unnamed>) -> Result<(), Failure> {
    match to {
        To::Folder(folder) => dossier::folder(book, folder).map_err(|e| failed(folder, &e))?,
        To::Stdout => print_page(&mut |out| dossier::page(book, out)).map_err(|e| Failure::output(&e))?,
        To::File(path) => write(book, path, page).map_err(|e| failed(path, &e))?,
    }
    if let Some(path) = to.path().filter(|_| !cli.silent) {
        say(&format!("crashlens: the report is in {}", path.display()));
    }
    Ok(())
}

/// Where the report goes.
enum To {
    File(PathBuf),
    Folder(PathBuf),
    Stdout,
}

impl To {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Folder(path) => Some(path),
            Self::Stdout => None,
        }
    }
}

fn target(args: &ReportArgs, dumps: &[PathBuf]) -> Result<To, Failure> {
    if let Some(folder) = &args.folder {
        let is_used = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        return match is_used {
            true => Err(Failure::Failed(format!("--folder {}: the folder is not empty", folder.display()))),
            false => Ok(To::Folder(folder.clone())),
        };
    }
    let path = match &args.output {
        Some(path) if path.as_os_str() == "-" => return Ok(To::Stdout),
        Some(path) => path.clone(),
        None => {
            let path = default_name(dumps.first().map_or_else(|| Path::new("dump"), PathBuf::as_path));
            // the sandbox has made it, empty
            if path.metadata().is_ok_and(|file| file.len() > 0) {
                let why = "is there already; -o names a file that may be written over";
                return Err(Failure::Failed(format!("{}: {why}", path.display())));
            }
            path
        }
    };
    Ok(To::File(path))
}

/// The page's file where none is named: in this folder.
pub(crate) fn default_name(dump: &Path) -> PathBuf {
    let mut name = dump.file_name().unwrap_or_else(|| "dump".as_ref()).to_owned();
    name.push(".html");
    PathBuf::from(name)
}

fn write(book: &Book, path: &Path, page: Option<Unnamed>) -> io::Result<()> {
    let file = match &page {
        Some(page) => &page.0,
        None => &File::create(path)?,
    };
    let mut out = BufWriter::new(file);
    dossier::page(book, &mut out)?;
    out.flush()?;
    page.as_ref().map_or(Ok(()), |page| page.name(path))
}

/// The page's file while it has no name: a sandbox is entered before it is known whether there will be a page, and in it no file
/// could be removed that had been made for nothing.
pub(crate) struct Unnamed(File);

impl Unnamed {
    /// In the folder in which `path` will be; `None` where that is there already, or the file system makes no such files.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        if path.symlink_metadata().is_ok() {
            return None;
        }
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = openat(CWD, folder_of(path), flags, Mode::from_raw_mode(0o666));
        made.ok().map(|file| Self(file.into()))
    }

    /// Gives it its name.
    fn name(&self, path: &Path) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, linkat};
        use std::os::fd::AsRawFd as _;
        let own = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        Ok(linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn failed(path: &Path, e: &io::Error) -> Failure {
    Failure::Failed(format!("{}: {e}", path.display()))
}
