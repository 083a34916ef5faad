//! The analysis of one dump for others to read: a page that holds everything it shows, or a folder of text and JSON.
//!
//! Both are made of the reports that commands give ([`Book`]). **Invariant:** every text goes through `render::Page`, which
//! escapes what a browser would obey; the page refers to nothing outside itself, and its own policy forbids it to.

mod book;
mod class;
mod folder;
mod page;
mod parts;
mod picture;
mod redact;

pub use book::Book;
pub use class::Class;
pub use folder::folder;
pub use page::page;

use base::{Cancel, Cancelled};
use kernel::Layers;

/// Asks all commands. `leave_out` names what is to be left out of what they say; `limited` says that a limit may end the work:
/// what is known by then is the answer.
///
/// # Errors
/// It was stopped.
pub fn collect(
    layers: &Layers,
    cancel: &Cancel,
    leave_out: &[Class],
    limited: bool,
) -> Result<Book, Cancelled> {
    let mut book = Book::of(layers);
    if leave_out.is_empty() {
        book.ask(layers, cancel, limited, |_| true)?;
        book.end(layers);
        return Ok(book);
    }
    // whatever ends the work early, all that is to be left out is known before anything is shown
    book.ask(layers, cancel, limited, |part| redact::SOURCES.contains(&part))?;
    let secrets = redact::Secrets::of(&book, layers, leave_out);
    let unknown = cancel.ended();
    if unknown.is_none() {
        cancel.check()?;
    }
    book.ask(layers, cancel, limited, |_| true)?;
    book.end(layers);
    match unknown {
        None => secrets.leave_out(&mut book, layers),
        Some(why) => redact::leave_all_out(&mut book, leave_out, why),
    }
    Ok(book)
}
