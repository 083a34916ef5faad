//! `debuginfo`: the debug files of a dump: which there should be, where they are, how to get them, and all of them in one pack
//! ([`debuginfo::pack`]).
//!
//! Invariant: no server is asked and no program started but for `fetch`.

mod download;
mod fetch;
mod find;
mod pack;

use crate::show::tasks::unknown;
use crate::{CommandError, Cx, Example, Run, Writes};
use debuginfo::find::hex;
use kernel::debug::Need;
use kernel::{Fetch, Session};
use report::{Cell, Line, Record, Report, Role};

/// The command.
#[derive(Debug)]
pub(crate) struct DebugInfo;

/// The arguments of `debuginfo`.
#[derive(clap::Args)]
pub(crate) struct DebugInfoArgs {
    /// What to do: find (also without a word), fetch or pack
    #[arg(value_enum, value_name = "find|fetch|pack", default_value_t)]
    action: Action,
    /// For fetch: a folder, or a server (http:// or https://) that has packs or debug files, asked in place of $DEBUGINFOD_URLS; may be given again
    #[arg(long, value_name = "DIR|URL")]
    from: Vec<String>,
    /// For fetch: let the distribution's package manager (apt-get, dnf) bring the package that holds what is nowhere else
    #[arg(long)]
    packages: bool,
    /// For pack: write to this file or into this folder, and not to BUILD-ID.clpack
    #[arg(short = 'o', long, value_name = "FILE|DIR")]
    output: Option<String>,
    /// For find: also every place where a file that is not there was looked for
    #[arg(short = 'v', long)]
    verbose: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
enum Action {
    /// Show what is needed, and where it is
    #[default]
    Find,
    /// Bring what is not there into the cache
    Fetch,
    /// Put all files into one
    Pack,
}

impl Run for DebugInfo {
    type Args = DebugInfoArgs;
    fn name(&self) -> &'static str {
        "debuginfo"
    }
    fn about(&self) -> &'static str {
        "debug files: find, fetch, pack"
    }
    fn details(&self) -> &'static str {
        "find shows the debug files that this dump needs, by build id: the kernel's vmlinux and a file of each loaded module; \
         where each is, or that it is not there; and the distribution's package that has them, with the command that brings it. \
         fetch brings what is not there into the cache, where every later session finds it: from the folders and servers of \
         --from, else from the servers of $DEBUGINFOD_URLS, and with --packages from the distribution. pack writes what \
         crashlens reads of all these files (types, symbols, lines, unwinding) into one small file, BUILD-ID.clpack. It is named \
         behind a dump like a vmlinux, found beside a dump or in a folder of --mod, fetched by fetch --from, and needs no \
         network. A pack of another build is refused. Packs are unpacked once, into the cache."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn writes(&self, args: &DebugInfoArgs) -> Writes {
        match args.action {
            Action::Find => Writes::NOTHING,
            // it asks servers, and starts the package manager
            Action::Fetch => Writes::Anything,
            Action::Pack => Writes::file(args.output.as_deref().unwrap_or(".")),
        }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("debuginfo find", "what is needed, and where it is"),
                Example::new("debuginfo find -v", "also where the rest was looked for"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &DebugInfoArgs) -> Result<Report, CommandError> {
        let only = |given: bool, option: &str, action: Action, word: &str| {
            let why = || CommandError::argument(format_args!("{option} is for debuginfo {word}"));
            if given && args.action != action { Err(why()) } else { Ok(()) }
        };
        only(!args.from.is_empty(), "--from", Action::Fetch, "fetch")?;
        only(args.packages, "--packages", Action::Fetch, "fetch")?;
        only(args.output.is_some(), "-o", Action::Pack, "pack")?;
        only(args.verbose, "-v", Action::Find, "find")?;
        let s = cx.session()?;
        match args.action {
            Action::Find => find::run(cx, s, args.verbose),
            Action::Fetch => fetch::run(cx, s, &args.from, args.packages),
            Action::Pack => pack::run(cx, s, args.output.as_deref()),
        }
    }
}

/// All that is needed, the kernel's first.
fn needs<'s>(cx: &Cx<'_>, s: &'s Session) -> Result<Vec<Need<'s>>, CommandError> {
    let mut out = vec![s.kernel_need()];
    for m in s.modules() {
        cx.cancel.check()?;
        out.push(s.module_need(m));
    }
    Ok(out)
}

/// Modules that are not known have files that are not known.
fn note_modules(s: &Session, report: &mut Report) {
    if let Some(e) = s.modules_problem() {
        report.lacking(e.is_loss(), format!("debuginfo: more modules may be loaded, and need files: {e}"));
    }
}

/// The head of a table of files.
fn heading() -> Line {
    Line::heading(format!("{:<24} {:<40} {}", "FILE", "BUILD ID", "WHERE"))
}

/// A line of it: the file, and where it is, or that it is not there and why.
fn row(need: &Need<'_>, place: Cell) -> Record {
    let id = need.build_id.as_deref().map(hex);
    let id = match (id, &need.unread) {
        (Some(id), _) => Cell::from(id),
        (None, Some(e)) => unknown("?", e),
        (None, None) => Cell::absent("-", "the dump does not tell the build id"),
    };
    let line = Line::new().field("file", need.name().to_owned()).left(24).text(" ");
    let line = line.field("build_id", id).left(40).text(" ");
    Record::of(line.field("path", place).role(Role::Path))
}
