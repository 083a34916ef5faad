//! Lines to the person, on standard error or standard output: each is clean, whatever names and paths it quotes.

use crate::output::Output;
use render::{Clean, Keep};
use std::io::{self, Write};

/// A line on standard error. What it quotes stays on that line.
pub fn say(text: &str) {
    line(&Clean::of(text));
}

/// Lines on standard error that the program laid out itself.
pub fn say_lines(text: &str) {
    line(&Clean::keep(text.trim_end_matches('\n'), Keep::Lines));
}

fn line(text: &Clean<'_>) {
    // what was printed before comes before; nobody is left to tell where standard error is gone
    let _ = io::stdout().lock().flush();
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A page on standard output: a man page, the help, one value. A reader that went away is no failure.
///
/// # Errors
/// What the system says of a write that failed.
pub fn print(page: &str) -> io::Result<()> {
    let mut out = Output::stdout();
    out.message(&Clean::keep(page.trim_end_matches('\n'), Keep::Lines))?;
    out.finish()
}

/// The program's own failure, as one line of JSON on standard output.
pub fn print_error_json(message: &str) {
    let mut out = Output::stdout();
    let _ = render::json_error("open", message, render::Source::default(), &mut out.rendered());
    let _ = out.finish();
}
