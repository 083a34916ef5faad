//! From the command line to a session and a shell.

use crate::Opened;
use crate::cli::{Cli, ColorWhen};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::names::Names;
use crate::opening::{chosen_kernel, named_files, open_options, say_losses};
use crate::split::Split;
use crate::verbs;
use base::Cancel;
use commands::{Edit, Origin, Scroll, Settings};
use kernel::{Fetch, KernelError, Layers};
use shell::{Completer, Ended, Format, NoCompleter, Options, Shell, When, say};
use std::sync::Arc;

/// Does what the command line says.
pub(crate) fn run(cli: &Cli, split: &Split, opened: &Opened<'_>) -> Result<Ended, Failure> {
    if let Some(shell) = cli.generate_completion {
        return print(&crate::completion::script(shell));
    }
    if cli.generate_man {
        return print(&crate::man::page().map_err(|e| Failure::output(&e))?);
    }
    if let Some(why) = cli.crash.refused() {
        return Err(Failure::Usage(why));
    }
    if cli.crash.buildinfo {
        let (version, machine, system) =
            (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
        return print(&format!("crashlens {version} for {machine} {system}"));
    }
    if let Some(page) = verbs::help_page(split.command.as_deref().unwrap_or_default()) {
        return print(page.trim_end());
    }
    if let Some(verb) = verbs::read(split.command.as_deref().unwrap_or_default(), split.missing.as_deref())? {
        return crate::verb::run(cli, split, &verb);
    }
    let command = if cli.crash.log { Some(vec!["log".to_owned()]) } else { split.command.clone() };
    let once = command.is_some() || !cli.commands.is_empty();
    if cli.files.is_empty() && !once && cli.input.is_empty() {
        return Err(Failure::Usage(
            match cli.as_crash {
                true => "no dump was named\n\nUsage: crash [OPTIONS] VMLINUX DUMP\nFor more, try 'crash --help' and 'crash -h COMMAND'.",
                false => {
                    "no dump was named\n\nUsage: crashlens [OPTIONS] DUMP [VMLINUX]\n\
                     For more, try 'crashlens --help' and 'crashlens help'."
                }
            }
            .to_owned(),
        ));
    }
    named_files(cli)?;
    if cli.crash.osrelease || cli.crash.build_id || cli.crash.timestamp {
        // crash has a word for what it cannot tell
        return one_fact(cli).inspect_err(|_| {
            if cli.as_crash {
                let _ = print("unknown");
            }
        });
    }
    let limits = Limits::of(cli)?;
    let limited = limits.any();
    // threads that are there already would be outside
    let inside = crate::sandbox::enter(cli, split)?;
    // a stop while debug files are unpacked or fetched leaves a session without them
    let cancel = Cancel::new();
    shell::catch_interrupts(&cancel);
    limits.watch(&cancel);
    let layers = match cli.files.as_slice() {
        [] => None,
        _ => {
            let mut options = open_options(cli, &cancel, fetches(cli, command.as_deref()));
            options.no_debuginfod |= inside;
            let layers = Layers::open(options).map_err(|e| Failure::of_dump(e).within(&cancel))?;
            let layers = Arc::new(layers);
            opened(&layers, &cancel);
            Some(layers)
        }
    };
    let format = match (cli.json, cli.html) {
        (true, _) => Format::Json,
        (_, true) => Format::Html,
        _ => Format::Text,
    };
    let banner = !cli.silent && !once && format == Format::Text;
    if !cli.silent {
        cli.crash.idle().into_iter().for_each(|why| say(&format!("{}: {why}", cli.name())));
    }
    if let Some(layers) = &layers {
        // a kernel file that is not this dump's is told before anything is answered
        let image = layers.image();
        if !once || image.has_kernel_file() || image.has_module_files() {
            ready(cli, layers, once).map_err(|why| why.within(&cancel))?;
        }
        chosen_kernel(cli, layers).map_err(|why| why.within(&cancel))?;
        if !cli.silent {
            say_losses(cli, layers);
        }
    }
    let options = Options { missing: split.missing.clone(), ..options(cli, format, cancel) };
    let settings = Settings { limited, ..settings(cli, layers.as_deref())? };
    let mut shell = Shell::new(layers.as_deref(), settings, options);
    shell.begin(&title(cli, &shell.settings)).map_err(|e| Failure::output(&e))?;
    let command_alone = command.is_some();
    let ended = work(cli, command, &mut shell, layers.as_deref(), banner);
    shell.end().map_err(|e| Failure::output(&e))?;
    if cli.as_crash {
        return Ok(crate::as_crash::ended(cli, shell.settings.quit || command_alone));
    }
    let cut = layers.as_ref().is_some_and(|l| l.image().dump.facts().is_incomplete());
    Ok(if cut { ended.then(Ended::Incomplete) } else { ended })
}

/// Opens all layers for those who will ask more than one question. Without a kernel what needs none can be asked.
fn ready(cli: &Cli, layers: &Layers, once: bool) -> Result<(), Failure> {
    let name = cli.name();
    let session = layers.session();
    layers.news().iter().for_each(|w| say(&format!("{name}: warning: {w}")));
    match session {
        Ok(s) if layers.image().has_module_files() => {
            s.named_module_problems().iter().for_each(|why| say(&format!("{name}: warning: {why}")));
            Ok(())
        }
        Ok(_) => Ok(()),
        // the command that needs a kernel says so itself
        Err(e) if once && (e.is_without_kernel() || matches!(e, KernelError::Stopped(_))) => Ok(()),
        Err(e) if e.is_without_kernel() => {
            say(&format!("{name}: {e}; {}", commands::WITHOUT_KERNEL));
            Ok(())
        }
        Err(e) => Err(Failure::of_dump(e.clone())),
    }
}

/// A line on standard output.
fn print(line: &str) -> Result<Ended, Failure> {
    shell::print(line).map(|()| Ended::Good).map_err(|e| Failure::output(&e))
}

/// crash's `--osrelease`, `--build-id` and `-t`: from VMCOREINFO where the dump has it, else from the kernel's memory.
fn one_fact(cli: &Cli) -> Result<Ended, Failure> {
    let what = if cli.crash.osrelease {
        ("OSRELEASE", "the kernel's release")
    } else if cli.crash.build_id {
        ("BUILD-ID", "the kernel's build id")
    } else {
        ("CRASHTIME", "when the machine crashed")
    };
    let mut options = open_options(cli, &Cancel::new(), Fetch::Never);
    options.no_search = true;
    let layers = Layers::open(options).map_err(Failure::of_dump)?;
    chosen_kernel(cli, &layers)?;
    let image = layers.image();
    if !cli.silent {
        say_losses(cli, &layers);
    }
    // VMCOREINFO of another boot is no word of this machine's, nor that of one kernel of another in the same memory
    let fits = |told: &&str| is_known(what.0, told) && cli.kernel.is_none() && kernel::vmcoreinfo_fits(image);
    // a kernel in memory has the last word, where there is one
    let of_headers = || image.info.get(what.0).filter(fits).map(str::to_owned);
    let told =
        from_kernel(cli, &layers, what.0).or_else(of_headers).or_else(|| from_header(cli, &layers, what.0));
    let told = told.ok_or_else(|| {
        Failure::Failed(format!("{}: the dump does not say {}", layers.image().name(), what.1))
    })?;
    let ended = match told.parse() {
        Ok(seconds) if what.0 == "CRASHTIME" => print(&commands::date(seconds)),
        _ => print(&told),
    }?;
    Ok(if image.dump.facts().is_incomplete() { ended.then(Ended::Incomplete) } else { ended })
}

/// A time of zero was never written.
fn is_known(what: &str, told: &str) -> bool {
    what != "CRASHTIME" || told.parse::<i64>().is_ok_and(|seconds| seconds > 0)
}

/// From the kernel in the dump: VMCOREINFO as far as memory does not contradict it, else its memory.
fn from_kernel(cli: &Cli, layers: &Layers, what: &str) -> Option<String> {
    let s = layers.session().ok()?;
    let told = s.vmcoreinfo().get(what).filter(|told| is_known(what, told)).map(str::to_owned);
    layers.news().iter().for_each(|w| say(&format!("{}: warning: {w}", cli.name())));
    told.or_else(|| match what {
        "OSRELEASE" => kernel::machine::system::release(s),
        "BUILD-ID" => s.build_id().map(kernel::hex),
        _ => kernel::machine::system::clocks(s)
            .ok()
            .map(|clocks| clocks.wall_sec)
            .filter(|sec| *sec > 0)
            .map(|sec| sec.to_string()),
    })
}

/// What only the header of a kdump has, or the memory of a machine that is not read.
fn from_header(cli: &Cli, layers: &Layers, what: &str) -> Option<String> {
    let facts = layers.image().dump.facts();
    let in_memory = || layers.words().info.get(what).filter(|told| is_known(what, told)).map(str::to_owned);
    match what {
        "OSRELEASE" => {
            let header = facts.utsname.as_ref().map(|u| u.release.clone()).filter(|r| !r.is_empty());
            header.or_else(|| layers.words().release.clone())
        }
        "BUILD-ID" => in_memory(),
        _ => in_memory().or_else(|| {
            let written = facts.timestamp.and_then(|at| at.known())?;
            say(&format!(
                "{}: when the machine crashed is not known: this is when the dump was written",
                cli.name()
            ));
            Some(written.to_string())
        }),
    }
}

/// Says why nothing could be done, in the form that was asked for.
pub(crate) fn failed(cli: &Cli, why: &Failure) {
    let name = cli.name();
    match why {
        Failure::Usage(text) | Failure::Failed(text) | Failure::Stopped(text) | Failure::Limit(text)
            if cli.json =>
        {
            shell::print_error_json(text)
        }
        Failure::Page(text) => {
            if let Err(e) = shell::print(text) {
                say(&format!("{name}: output: {e}"));
            }
        }
        Failure::Usage(text) => shell::say_lines(&format!("{name}: {text}")),
        Failure::Failed(text) | Failure::Stopped(text) | Failure::Limit(text) => {
            say(&format!("{name}: {text}"))
        }
    }
}

fn work(
    cli: &Cli,
    command: Option<Vec<String>>,
    shell: &mut Shell<'_>,
    layers: Option<&Layers>,
    banner: bool,
) -> Ended {
    // a command on the command line is for scripts: nobody's .crashrc changes its answer
    if command.is_none() && !cli.no_crashrc {
        let _ = shell.run_rc_files();
    }
    if banner {
        say(&format!("crashlens {}", env!("CARGO_PKG_VERSION")));
        if !cli.minimal && layers.is_some_and(|l| l.session().is_ok()) {
            begin(cli, shell);
        }
    }
    let mut ended = Ended::Good;
    for file in &cli.input {
        if !shell.stops(ended) {
            ended = ended.then(shell.run_file(file, Origin::InputFile));
        }
    }
    for line in &cli.commands {
        if !shell.stops(ended) {
            ended = ended.then(shell.run_line(line));
        }
    }
    if !cli.commands.is_empty() {
        ended = ended.then(shell.unfinished());
    }
    if let Some(words) = &command {
        return if shell.stops(ended) { ended } else { ended.then(shell.run_words(words)) };
    }
    if cli.commands.is_empty() && !shell.stops(ended) {
        let names = layers.and_then(|l| l.session().ok()).map(Names);
        let completer: &dyn Completer = match &names {
            Some(names) => names,
            None => &NoCompleter,
        };
        ended = ended.then(shell.interact(completer));
    }
    ended
}

/// What a session shows before its first prompt: crash's block, and what killed the machine.
fn begin(cli: &Cli, shell: &mut Shell<'_>) {
    // the prompt waits for no server
    shell.settings.at_hand = true;
    shell.settings.begins = true;
    let _ = shell.run_line("sys");
    shell.settings.begins = false;
    if !cli.as_crash {
        let _ = shell.run_line("verdict -b");
        say("help lists the commands, verdict says more of what killed the machine.");
    }
    shell.settings.at_hand = false;
}

/// Whether a command of this run may need a debug file that has to be fetched.
fn fetches(cli: &Cli, command: Option<&[String]>) -> Fetch {
    if !cli.input.is_empty() || command.is_none() && cli.commands.is_empty() {
        return Fetch::Always;
    }
    let lines = cli.commands.iter().map(|line| commands::debug_files(line));
    lines.chain(command.map(commands::words_debug_files)).max().unwrap_or(Fetch::Never)
}

fn options(cli: &Cli, format: Format, cancel: Cancel) -> Options {
    let colour = match cli.color {
        ColorWhen::Auto => When::Auto,
        ColorWhen::Always => When::Always,
        ColorWhen::Never => When::Never,
    };
    let fail_fast = cli.fail_fast;
    let name = cli.name();
    Options {
        format,
        colour,
        pager: !cli.no_pager,
        name,
        echo: cli.as_crash && !cli.silent,
        errors_within: cli.crash_compat,
        fail_fast,
        cancel,
        ..Options::default()
    }
}

fn settings(cli: &Cli, layers: Option<&Layers>) -> Result<Settings, Failure> {
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
            return Err(Failure::Usage("--CRASHPAGER: the environment has no CRASHPAGER".to_owned()));
        }
        settings.scroll = Scroll::CrashPager;
    }
    if cli.silent || cli.no_pager {
        settings.scroll = Scroll::Off;
    }
    settings.crash_compat = cli.crash_compat;
    if let Some(layers) = layers {
        settings.dumpfile = Some(layers.image().dump_names.join(" "));
    }
    Ok(settings)
}

fn title(cli: &Cli, settings: &Settings) -> String {
    match &settings.dumpfile {
        Some(dump) => format!("{}: {dump}", cli.name()),
        None => cli.name().to_owned(),
    }
}
