//! From the command line to a session and a shell.

use crate::cli::{Cli, ColorWhen, Kaslr};
use crate::names::Names;
use crate::say;
use base::Cancel;
use clap::CommandFactory;
use commands::{Edit, Origin, Scroll, Settings};
use debuginfo::find::Watch;
use kernel::{KernelError, Layers, OpenOptions};
use shell::{Completer, Format, NoCompleter, Options, Shell, When};
use std::io::Write;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// All went well.
    Good,
    /// The last command failed.
    Failed,
    /// `verdict` found nothing that the dump tells.
    Undetermined,
}

impl Ended {
    const fn of(ok: bool) -> Self {
        if ok { Self::Good } else { Self::Failed }
    }
    /// The program's exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Failed => 1,
            Self::Undetermined => 3,
        }
    }
}

/// Does what the command line says.
pub(crate) fn run(cli: &Cli, command: Option<Vec<String>>) -> Result<Ended, String> {
    if let Some(shell) = cli.generate_completion {
        clap_complete::generate(shell, &mut Cli::command(), "crashlens", &mut std::io::stdout().lock());
        return Ok(Ended::Good);
    }
    if cli.generate_man {
        return clap_mangen::Man::new(Cli::command())
            .render(&mut std::io::stdout().lock())
            .map(|()| Ended::Good)
            .map_err(|e| e.to_string());
    }
    if let Some(why) = cli.crash.refused() {
        return Err(why);
    }
    if cli.crash.buildinfo {
        let (version, machine, system) =
            (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
        return print(&format!("crashlens {version} for {machine} {system}"));
    }
    let command = if cli.crash.log { Some(vec!["log".to_owned()]) } else { command };
    let once = command.is_some() || !cli.commands.is_empty();
    if cli.files.is_empty() && !once && cli.input.is_empty() {
        return Err("no dump was named\n\nUsage: crashlens [OPTIONS] DUMP [VMLINUX]\n\
                    For more, try 'crashlens --help' and 'crashlens help'."
            .to_owned());
    }
    if cli.crash.osrelease || cli.crash.build_id || cli.crash.timestamp {
        return one_fact(cli);
    }
    // a stop while debug files are unpacked or fetched leaves a session without them
    let cancel = Cancel::new();
    shell::catch_interrupts(&cancel);
    let layers = match cli.files.as_slice() {
        [] => None,
        _ => Some(Layers::open(open_options(cli, &cancel)).map_err(|e| e.to_string())?),
    };
    let format = match (cli.json, cli.html) {
        (true, _) => Format::Json,
        (_, true) => Format::Html,
        _ => Format::Text,
    };
    let banner = !cli.silent && !once && format == Format::Text;
    if !cli.silent {
        cli.crash.idle().into_iter().for_each(|why| say(&format!("crashlens: {why}")));
    }
    if let Some(layers) = &layers {
        layers.image().dump.read_missing_as_zeros(cli.zero_excluded);
        // a kernel file that is not this dump's is told before anything is answered
        if !once || layers.image().has_kernel_file() {
            ready(layers, once)?;
        }
    }
    let mut shell =
        Shell::new(layers.as_ref(), settings(cli, layers.as_ref())?, options(cli, format, cancel));
    shell.begin(&title(&shell.settings)).map_err(|e| format!("output: {e}"))?;
    let ok = work(cli, command, &mut shell, layers.as_ref(), banner);
    shell.end().map_err(|e| format!("output: {e}"))?;
    Ok(if ok && once && shell.settings.undetermined { Ended::Undetermined } else { Ended::of(ok) })
}

/// Opens all layers for those who will ask more than one question. Without a kernel what needs none can be asked.
fn ready(layers: &Layers, once: bool) -> Result<(), String> {
    let session = layers.session();
    layers.news().iter().for_each(|w| say(&format!("crashlens: warning: {w}")));
    match session {
        Ok(_) => Ok(()),
        // the command that needs a kernel says so itself
        Err(KernelError::NoKernel { .. } | KernelError::Stopped(_)) if once => Ok(()),
        Err(e @ KernelError::NoKernel { .. }) => {
            say(&format!("crashlens: {e}; what needs no kernel works: info, rd -p, rd -f, search -p"));
            Ok(())
        }
        Err(e) => Err(e.to_string()),
    }
}

/// A line on standard output.
fn print(line: &str) -> Result<Ended, String> {
    writeln!(std::io::stdout().lock(), "{line}").map(|()| Ended::Good).map_err(|e| format!("output: {e}"))
}

/// crash's `--osrelease`, `--build-id` and `-t`: from VMCOREINFO where the dump has it, else from the kernel's memory.
fn one_fact(cli: &Cli) -> Result<Ended, String> {
    let what = if cli.crash.osrelease {
        ("OSRELEASE", "the kernel's release")
    } else if cli.crash.build_id {
        ("BUILD-ID", "the kernel's build id")
    } else {
        ("CRASHTIME", "when the machine crashed")
    };
    let options = OpenOptions { no_search: true, ..open_options(cli, &Cancel::new()) };
    let layers = Layers::open(options).map_err(|e| e.to_string())?;
    let headers = &layers.image().info;
    let told = match headers.get(what.0) {
        Some(told) => told.to_owned(),
        None => from_memory(&layers, what.0)
            .ok_or_else(|| format!("{}: the dump does not say {}", layers.image().name(), what.1))?,
    };
    match told.parse() {
        Ok(seconds) if what.0 == "CRASHTIME" => print(&commands::date(seconds)),
        _ => print(&told),
    }
}

/// What the headers of the dump do not say, from the kernel in it; else from what only the header of a kdump has.
fn from_memory(layers: &Layers, what: &str) -> Option<String> {
    let facts = layers.image().dump.facts();
    let session = layers.session().ok();
    match what {
        "OSRELEASE" => {
            let header = || facts.utsname.as_ref().map(|u| u.release.clone()).filter(|r| !r.is_empty());
            session.and_then(|s| s.opened().release()).or_else(header)
        }
        "BUILD-ID" => session?.opened().build_id.as_deref().map(kernel::hex),
        _ => kernel::system::clocks(session?).ok().map(|clocks| clocks.wall_sec.to_string()),
    }
}

/// Says why nothing could be done, in the form that was asked for.
pub(crate) fn failed(cli: &Cli, message: &str) {
    if cli.json {
        let _ = render::json_error("open", message, render::Source::default(), &mut std::io::stdout().lock());
    } else {
        let _ = std::io::stdout().lock().flush();
        say(&format!("crashlens: {message}"));
    }
}

fn work(
    cli: &Cli,
    command: Option<Vec<String>>,
    shell: &mut Shell<'_>,
    layers: Option<&Layers>,
    banner: bool,
) -> bool {
    // a command on the command line is for scripts: nobody's .crashrc changes its answer
    let mut ok = true;
    if command.is_none() && !cli.no_crashrc {
        shell.run_rc_files();
    }
    if banner {
        say(&format!("crashlens {}", env!("CARGO_PKG_VERSION")));
        if !cli.minimal && layers.is_some_and(|l| l.session().is_ok()) {
            shell.run_line("sys");
            shell.run_line("verdict -b");
        }
    }
    for file in &cli.input {
        if !shell.settings.quit {
            ok = shell.run_file(file, Origin::InputFile);
        }
    }
    for line in &cli.commands {
        if !shell.settings.quit {
            ok = shell.run_line(line);
        }
    }
    if let Some(words) = &command {
        return shell.run_words(words);
    }
    if cli.commands.is_empty() && !shell.settings.quit {
        let names = layers.and_then(|l| l.session().ok()).map(Names);
        let completer: &dyn Completer = match &names {
            Some(names) => names,
            None => &NoCompleter,
        };
        ok = shell.interact(completer).unwrap_or(ok);
    }
    ok
}

fn open_options(cli: &Cli, cancel: &Cancel) -> OpenOptions {
    OpenOptions {
        files: cli.files.clone(),
        force: cli.force,
        kaslr: match cli.kaslr {
            Some(Kaslr::Offset(offset)) => Some(offset),
            Some(Kaslr::Auto) | None => None,
        },
        no_search: cli.no_search,
        ignore_btf: cli.ignore_btf,
        debug_dirs: cli.debug_dirs.clone(),
        no_modules: cli.no_modules,
        no_slab_caches: cli.no_kmem_cache,
        source_dirs: cli.source_dirs.clone(),
        no_debuginfod: cli.no_debuginfod,
        cpus: cli.crash.cpus,
        active_only: cli.crash.active,
        no_notes: cli.crash.no_elf_notes,
        watch: Watch { progress: shell::progress(!cli.silent), cancel: cancel.clone() },
        veil: None,
    }
}

fn options(cli: &Cli, format: Format, cancel: Cancel) -> Options {
    let colour = match cli.color {
        ColorWhen::Auto => When::Auto,
        ColorWhen::Always => When::Always,
        ColorWhen::Never => When::Never,
    };
    Options { format, colour, pager: !cli.no_pager, cancel, ..Options::default() }
}

fn settings(cli: &Cli, layers: Option<&Layers>) -> Result<Settings, String> {
    let mut settings = Settings {
        silent: cli.silent,
        radix: if cli.hex { 16 } else { 10 },
        debug: cli.debug,
        zero_excluded: cli.zero_excluded,
        offline: cli.offline.as_deref() != Some("hide"),
        minimal: cli.minimal,
        no_panic: cli.no_panic,
        ..Settings::default()
    };
    if cli.edit.as_deref() == Some("vi") {
        settings.edit = Edit::Vi;
    }
    if cli.less {
        settings.scroll = Scroll::Less;
    }
    if cli.more {
        settings.scroll = Scroll::More;
    }
    if cli.crashpager {
        if std::env::var_os("CRASHPAGER").is_none() {
            return Err("--CRASHPAGER: the environment has no CRASHPAGER".to_owned());
        }
        settings.scroll = Scroll::CrashPager;
    }
    if cli.silent || cli.no_pager {
        settings.scroll = Scroll::Off;
    }
    if let Some(layers) = layers {
        let names: Vec<String> = layers.image().dump_paths.iter().map(|p| p.display().to_string()).collect();
        settings.dumpfile = Some(names.join(" "));
    }
    Ok(settings)
}

fn title(settings: &Settings) -> String {
    match &settings.dumpfile {
        Some(dump) => format!("crashlens: {dump}"),
        None => "crashlens".to_owned(),
    }
}
