//! The man page: what follows from the options, and the exit codes.

use crate::cli::{AFTER, Cli, EXIT};
use clap::CommandFactory;
use std::io;

/// The page, as `man` reads it.
///
/// # Errors
/// None but those of memory, which cannot be written to.
pub(crate) fn page() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command().after_help(AFTER)).render(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned();
    let rows: String =
        EXIT.iter().map(|(code, meaning)| format!(".TP\n\\fB{code}\\fR\n{meaning}\n")).collect();
    let section = format!(
        ".SH \"EXIT STATUS\"\nAll commands of \\fB\\-c\\fR, \\fB\\-i\\fR and standard input run; the status is that of the \
         first that failed. \\fB\\-\\-fail\\-fast\\fR stops there.\n{rows}"
    );
    Ok(match page.split_once(".SH EXTRA") {
        Some((before, after)) => {
            format!("{before}{section}.SH EXAMPLES{}", after.replacen("\nExamples:", "", 1))
        }
        None => page + &section,
    })
}
