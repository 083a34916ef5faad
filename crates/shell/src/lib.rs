//! The front end: reads lines, runs commands, and sends their text where the line says. Interactive
//! with line editing, history, completion and a pager; the same without a terminal for scripts.

mod complete;
mod edit;
mod interrupt;
mod output;
mod progress;
mod session;

pub use complete::{Completer, NoCompleter};
pub use output::{Format, When};
pub use session::{Options, Shell};

#[cfg(test)]
mod tests;
