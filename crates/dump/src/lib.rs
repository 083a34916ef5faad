//! Reads kernel dump files: the physical memory of a machine, and what the file says about it.
//!
//! [`open`] tells formats by content (`formats::FORMATS`), never by name. A [`Dump`] reads physical
//! memory ([`base::PhysRead`]) and hands out raw notes, VMCOREINFO and header facts; nothing here
//! knows an architecture's registers or page tables.
//!
//! Invariants: opening costs nothing that grows with the dump (the record headers of a flattened
//! stream aside: they are a chain); every length of a file is checked before memory is allocated for
//! it; no bytes of a file can cause a panic.

mod cache;
mod dump;
mod error;
mod facts;
mod fields;
mod flattened;
mod formats;
mod image;
mod magic;
mod notes;
mod probe;
mod read;
mod source;
mod veil;

pub use base::Gap;
pub use dump::{Dump, VirtSegment};
pub use error::{DumpError, Warning};
pub use facts::{Compression, Facts, Part, Timestamp, Utsname};
pub use fields::Words;
pub use formats::LOG;
pub use probe::{Likely, Probe, begins_like_an_input, looks_like_dump};
pub use read::ReadAt;
pub use veil::Veil;

use image::Image;
use source::Source;
use std::path::PathBuf;

/// Opens a dump: one file, all files of a split set in any order, or raw images as `FILE@ADDRESS`.
///
/// # Errors
/// A file cannot be read, is no dump, or the files are not of one dump.
pub fn open(paths: &[PathBuf]) -> Result<Dump, DumpError> {
    let sources = paths.iter().map(|p| Source::open(p)).collect::<Result<Vec<_>, _>>()?;
    open_sources(sources)
}

impl Dump {
    /// Opens a dump from any readers: one, or those of the parts of a split set. The names are those that messages have.
    ///
    /// # Errors
    /// The bytes are no dump, or cannot be read.
    pub fn from_readers(readers: Vec<(PathBuf, Box<dyn ReadAt>)>) -> Result<Self, DumpError> {
        let sources = readers
            .into_iter()
            .map(|(name, reader)| Source::reader(&name, None, reader))
            .collect::<Result<Vec<_>, _>>()?;
        open_sources(sources)
    }

    /// Opens a dump that is in memory: one file's bytes, or those of each part of a split set.
    ///
    /// # Errors
    /// The bytes are no dump, or not all of one dump.
    pub fn from_bytes(files: Vec<Vec<u8>>) -> Result<Self, DumpError> {
        let sources = files
            .into_iter()
            .enumerate()
            .map(|(i, bytes)| Source::memory(&format!("memory{i}"), bytes))
            .collect::<Result<Vec<_>, _>>()?;
        open_sources(sources)
    }
}

fn open_sources(sources: Vec<Source>) -> Result<Dump, DumpError> {
    let images = sources.into_iter().map(Image::new).collect::<Result<Vec<_>, _>>()?;
    formats::open(images).map(Dump::new)
}
