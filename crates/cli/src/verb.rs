//! What is more than commands over one dump: `mcp`, `report`, `triage`, with the limits and the sandbox that commands have.

use crate::cli::{Cli, SandboxWhen};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::opening::{named_files, open_options};
use crate::report::Unnamed;
use crate::sandbox::{self, Allowed};
use crate::split::Split;
use crate::verbs::{McpArgs, ReportArgs, TriageArgs, Verb};
use base::Cancel;
use kernel::Fetch;
use shell::Ended;
use std::path::PathBuf;

/// Does it.
pub(crate) fn run(cli: &Cli, split: &Split, verb: &Verb) -> Result<Ended, Failure> {
    refuse(cli, verb)?;
    named_files(cli)?;
    let limits = Limits::of(cli)?;
    // threads that are there already would be outside
    let (mut inside, mut page) = (false, None);
    if cli.sandbox == SandboxWhen::On {
        let mut allowed = allowed(cli, verb)?;
        page = unnamed(&mut allowed, verb);
        inside = sandbox::enter_for(cli, split, &allowed)?;
    }
    let cancel = Cancel::new();
    limits.watch(&cancel);
    let mut options = open_options(cli, &cancel, Fetch::Always);
    options.no_debuginfod |= inside;
    match verb {
        Verb::Mcp(args) => serve(cli, args, options, cancel),
        Verb::Report(args) => crate::report::run(cli, args, options, page, &cancel),
        Verb::Triage(args) => crate::triage::run(cli, args, options, &cancel),
    }
}

/// Options of sessions and of commands change nothing here: they are refused and not passed over.
fn refuse(cli: &Cli, verb: &Verb) -> Result<(), Failure> {
    let name = verb.name();
    let given = [
        (!cli.commands.is_empty(), "-c"),
        (!cli.input.is_empty(), "-i"),
        (cli.no_panic, "--no_panic"),
        (cli.offline.is_some(), "--offline"),
        (cli.minimal, "--minimal"),
        (cli.crash_compat, "--crash-compat"),
        (cli.hex, "--hex"),
        (cli.dec, "--dec"),
        (cli.fail_fast, "--fail-fast"),
    ];
    let given: Vec<&str> = given.into_iter().filter(|(is, _)| *is).map(|(_, option)| option).collect();
    match given.as_slice() {
        [] => Ok(()),
        given => Err(Failure::Usage(format!(
            "{name}: {} would change nothing here: for commands",
            given.join(", ")
        ))),
    }
}

/// What the sandbox leaves beside the files that were named.
fn allowed(cli: &Cli, verb: &Verb) -> Result<Allowed, Failure> {
    let (read, written) = match verb {
        Verb::Mcp(_) if cli.files.is_empty() => {
            return Err(Failure::Usage(
                "mcp --sandbox: a dump has to be named; the client could open no other".to_owned(),
            ));
        }
        Verb::Mcp(_) => (Vec::new(), Vec::new()),
        Verb::Report(args) => (Vec::new(), written_by_report(cli, args)),
        Verb::Triage(args) => {
            let TriageArgs { places, known, state, .. } = args;
            (places.iter().chain(known).cloned().collect(), state.iter().cloned().collect())
        }
    };
    let folders = match verb {
        Verb::Report(ReportArgs { folder: Some(folder), .. }) => vec![folder.clone()],
        _ => Vec::new(),
    };
    Ok(Allowed { read, written, folders, named: Vec::new() })
}

/// The page's file, made without a name: it gets one when the page is written.
fn unnamed(allowed: &mut Allowed, verb: &Verb) -> Option<Unnamed> {
    let path = allowed.written.first().filter(|_| matches!(verb, Verb::Report(_)))?;
    let page = Unnamed::of(path)?;
    allowed.named.push(crate::report::folder_of(path).to_owned());
    allowed.written.clear();
    Some(page)
}

/// The page's file.
fn written_by_report(cli: &Cli, args: &ReportArgs) -> Vec<PathBuf> {
    match (&args.output, &args.folder) {
        (_, Some(_)) => Vec::new(),
        (Some(path), None) if path.as_os_str() == "-" => Vec::new(),
        (Some(path), None) => vec![path.clone()],
        (None, None) => cli.files.first().map(|dump| crate::report::default_name(dump)).into_iter().collect(),
    }
}

/// Serves the commands as tools, over the dump that was named, or over those that the client opens.
#[cfg(feature = "mcp")]
fn serve(cli: &Cli, args: &McpArgs, options: kernel::OpenOptions, cancel: Cancel) -> Result<Ended, Failure> {
    let opened = match cli.files.as_slice() {
        [] => mcp::Opened::by_client(options),
        _ => {
            let layers = kernel::Layers::open(options).map_err(|e| Failure::of_dump(e).within(&cancel))?;
            crate::opening::chosen_kernel(cli, &layers).map_err(|why| why.within(&cancel))?;
            mcp::Opened::fixed(layers, cancel)
        }
    };
    let limit = Some(args.call_limit.value).filter(|ms| *ms > 0).map(std::time::Duration::from_millis);
    mcp::serve_stdio(opened, limit).map(|()| Ended::Good).map_err(|e| Failure::output(&e))
}

#[cfg(not(feature = "mcp"))]
fn serve(_: &Cli, _: &McpArgs, _: kernel::OpenOptions, _: Cancel) -> Result<Ended, Failure> {
    Err(Failure::Failed("mcp: this program was built without it (cargo's feature mcp)".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn mcp() -> Verb {
        crate::verbs::read(&["mcp".to_owned()], None).unwrap().unwrap()
    }

    #[test]
    fn what_would_be_passed_over_is_refused() {
        for line in ["--no_panic", "--offline hide", "--minimal", "-c bt", "-i f", "--hex", "--crash-compat"]
        {
            let cli = Cli::try_parse_from(std::iter::once("crashlens").chain(line.split(' '))).unwrap();
            let why = refuse(&cli, &mcp()).unwrap_err();
            let option = line.split(' ').next().unwrap();
            assert!(
                matches!(&why, Failure::Usage(text) if text.starts_with(&format!("mcp: {option} "))),
                "{why:?}"
            );
        }
        assert_eq!(
            refuse(&Cli::try_parse_from(["crashlens", "--no_modules", "-s"]).unwrap(), &mcp()),
            Ok(())
        );
    }
}
