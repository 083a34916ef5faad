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

/// Asks all commands. `leave_out` names what is to be left out of what they say.
///
/// # Errors
/// It was stopped.
pub fn collect(layers: &Layers, cancel: &Cancel, leave_out: &[Class]) -> Result<Book, Cancelled> {
    let mut book = Book::of(layers, cancel)?;
    if !leave_out.is_empty() {
        // what is to be left out is known when all is
        cancel.check()?;
        redact::Secrets::of(&book, layers, leave_out).leave_out(&mut book);
        cancel.check()?;
    }
    Ok(book)
}
