//! Lines to the person, on standard error: each is clean, whatever names and paths it quotes.

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
