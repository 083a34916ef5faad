//! The front end: reads lines, runs commands, and sends their text where the line says. Interactive
//! with line editing, history, completion and a pager; the same without a terminal for scripts.

mod complete;
mod edit;
mod ended;
mod interrupt;
mod last;
mod limited;
mod macros;
mod output;
mod pager;
mod progress;
mod say;
mod session;
mod terminal;
mod writer;

/// Progress of long work that is done before or beside the shell: drawn on a terminal, where it is wanted.
#[must_use]
pub fn progress(wanted: bool) -> std::sync::Arc<dyn base::Progress> {
    std::sync::Arc::new(progress::Line::new(wanted))
}

pub use complete::{Completer, NoCompleter};
pub use ended::Ended;
pub use interrupt::connect as catch_interrupts;
pub use last::last_words;
pub use output::{Format, When, print, print_error_json, print_page, print_report};
pub use say::{say, say_lines};
pub use session::{Options, Shell, rc_files};

#[cfg(test)]
mod tests;
