//! The one door through which text and HTML leave: it takes clean text, and words of crashlens's own source.
//!
//! **Invariant**: there is no way to write a `String`, so no renderer can pass on what a dump holds.

use report::Clean;
use std::io::{self, Write};

const BLANKS: &str = "                                                                ";

/// A place for a rendered page.
pub struct Page<'a>(&'a mut dyn Write);

impl<'a> Page<'a> {
    /// Over a writer.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self(out)
    }
    /// Text that is clean.
    ///
    /// # Errors
    /// Those of the writer, as everywhere here.
    pub fn text(&mut self, text: &Clean<'_>) -> io::Result<()> {
        self.0.write_all(text.as_str().as_bytes())
    }
    /// Markup, line ends, colours.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn own(&mut self, text: &'static str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())
    }
    /// A whole number.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn number(&mut self, n: i128) -> io::Result<()> {
        write!(self.0, "{n}")
    }
    /// A number in hex, without `0x`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn hex(&mut self, n: u64) -> io::Result<()> {
        write!(self.0, "{n:x}")
    }
    /// A length in a picture, with two decimals; 0 where it is no number.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn length(&mut self, n: f64) -> io::Result<()> {
        write!(self.0, "{:.2}", if n.is_finite() { n } else { 0.0 })
    }
    /// So many blanks.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn blanks(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            let some = BLANKS.get(..count).unwrap_or(BLANKS);
            self.own(some)?;
            count = count.saturating_sub(some.len());
        }
        Ok(())
    }
    /// Text that is clean, with HTML's signs as text.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn html(&mut self, text: &Clean<'_>) -> io::Result<()> {
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.0.write_all(before.as_bytes())?;
            let mut chars = from.chars();
            self.own(match chars.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = chars.as_str();
        }
        self.0.write_all(rest.as_bytes())
    }
}
