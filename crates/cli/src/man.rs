//! The man page: what follows from the options, the commands, files, environment, and the exit codes.

use crate::cli::{AFTER, Cli, EXIT};
use clap::CommandFactory;
use std::io;

/// Files that the program reads or writes by itself.
const FILES: &[(&str, &str)] = &[
    ("~/.crashrc, ./.crashrc", "lines that run when a session begins"),
    ("~/.local/state/crashlens/history", "the lines that were typed"),
    (
        "~/.cache/crashlens",
        "unpacked dumps and debug files, within 8 GiB; under XDG_CACHE_HOME where that is set",
    ),
    ("/usr/lib/debug, /lib/modules, /boot, /usr/src", "where debug files and source are looked for"),
];

/// Variables of the environment that count.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("DEBUGINFOD_URLS", "servers that are asked for debug files; none where it is not set"),
    (
        "DEBUGINFOD_CACHE_PATH, DEBUGINFOD_TIMEOUT, DEBUGINFOD_MAXTIME, DEBUGINFOD_MAXSIZE",
        "as debuginfod(8) has them",
    ),
    ("CRASHLENS_CACHE_MB", "the size that the cache may have, in MiB"),
    ("XDG_CACHE_HOME, XDG_STATE_HOME", "where the cache and the history lie"),
    ("PAGER, CRASHPAGER", "the program that shows long answers"),
    ("NO_COLOR", "no colours where it is set and not empty"),
];

/// The page, as `man` reads it.
///
/// # Errors
/// None but those of memory, which cannot be written to.
pub(crate) fn page() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command().after_help(AFTER)).render(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned();
    let commands: String = commands::COMMANDS.iter().map(|command| command_of(*command)).collect();
    let status = format!(
        ".SH \"EXIT STATUS\"\nAll commands of \\fB\\-c\\fR, \\fB\\-i\\fR and standard input run; the status is that of the \
         first that failed. \\fB\\-\\-fail\\-fast\\fR stops there.\n{}",
        rows(EXIT.iter().copied())
    );
    let section = format!(
        ".SH COMMANDS\n\\fBcrashlens help\\fR \\fICOMMAND\\fR shows the page of one.\n{}{status}.SH FILES\n{}.SH ENVIRONMENT\n{}",
        commands,
        rows(FILES.iter().copied()),
        rows(ENVIRONMENT.iter().copied())
    );
    Ok(match page.split_once(".SH EXTRA") {
        Some((before, after)) => {
            format!("{before}{section}.SH EXAMPLES{}", after.replacen("\nExamples:", "", 1))
        }
        None => page + &section,
    })
}

/// A command, with an example and what that says of the sample.
fn command_of(command: &dyn commands::Command) -> String {
    let mut out = rows(std::iter::once((command.name(), command.about())));
    let kept =
        command.examples().iter().map(|example| (example.line, commands::example_output(example.line)));
    if let Some((line, output)) = kept.into_iter().find(|(_, output)| !output.is_empty()) {
        out.push_str(&format!(".RS\n.nf\n\\fBcrash> {}\\fR\n", escaped(line)));
        output.lines().for_each(|line| out.push_str(&format!("{}\n", escaped(line))));
        out.push_str(".fi\n.RE\n");
    }
    out
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\");
    // a line that begins with one of these is a request
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// A list of names, each with what it is.
fn rows<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let row = |(name, meaning): (&str, &str)| {
        format!(".TP\n\\fB{}\\fR\n{}\n", escaped(name).replace('-', "\\-"), escaped(meaning))
    };
    all.map(row).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn commands_files_and_variables_have_their_sections() {
        let page = super::page().unwrap();
        for part in [
            ".SH COMMANDS\n",
            "\\fBverdict\\fR\nwhat killed the machine\n",
            ".SH FILES\n",
            ".SH ENVIRONMENT\n",
            "\\fBDEBUGINFOD_URLS\\fR\n",
            ".SH \"EXIT STATUS\"\n",
            ".SH EXAMPLES\n",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
}
