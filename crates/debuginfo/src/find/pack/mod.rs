//! Debug files of one build in one small file: what crashlens reads of vmlinux and of modules, for machines without a network.
//!
//! A pack is a header, zstd frames, and an index. Header, 64 bytes, numbers little-endian: magic (`crashlens pack 1`), length of
//! the whole file u64, place of the index u64, its packed length u64, its length u64, zeros. Each file is an ELF file without the
//! sections that nobody reads ([`slim`]), cut into pieces of [`PIECE`] bytes, a frame each, so that all processors pack and
//! unpack them. The index is a frame as well, lines of text:
//!
//! ```text
//! kernel RELEASE
//! file vmlinux|module|common BUILD-ID LENGTH NAME
//! piece OFFSET PACKED LENGTH
//! ```
//!
//! the pieces of a file behind its line, offsets and lengths in hex. Every frame has zstd's checksum.
//!
//! Invariants: nothing of the index is believed before it is checked against the file's length; a file gets its name in the
//! cache when all its frames were right and the ELF file has the build id that the index says.

mod index;
mod read;
mod slim;
#[cfg(test)]
mod tests;
mod write;

pub use index::{Entry, Kind};
pub use read::{Pack, fuzz_pack, is_pack};
pub use slim::slim;
pub use write::{Packed, write};

use std::io;
use std::path::PathBuf;

/// The ending of packs' names: a pack beside the dump is found by it.
pub const EXTENSION: &str = "clpack";
/// The first bytes; the last of them is the version.
const MAGIC: &[u8; 16] = b"crashlens pack 1";
/// Of the magic, what all versions have.
const NAME: usize = 15;
/// Bytes of the header.
const HEADER: usize = 64;
/// Bytes of a file that are packed together.
const PIECE: usize = 8 << 20;
/// No debug file is larger.
const MAX_FILE: u64 = 16 << 30;
/// More than the index of any kernel with all its modules has.
const MAX_INDEX: u64 = 16 << 20;

/// Why a pack cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The system refused a file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Not a pack.
    #[error("{path}: is no pack of debug files")]
    NotAPack {
        /// The file.
        path: PathBuf,
    },
    /// Made by another crashlens.
    #[error("{path}: a pack of version {version}, which this crashlens does not read: it reads version 1")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version, a letter.
        version: char,
    },
    /// Shorter or longer than it says.
    #[error("{path}: the pack has {len} bytes and says {told}: it was cut off or changed; copy it again")]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// What its header says.
        told: u64,
    },
    /// Something in it is not as it should be.
    #[error("{path}: damaged pack: {what}; copy it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The cache cannot be written.
    #[error("{path}: the pack cannot be unpacked into this folder: {source}; name another in XDG_CACHE_HOME")]
    Cache {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that cannot be packed.
    #[error("{path}: cannot be packed: {why}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Stopped on request.
    #[error("interrupted")]
    Cancelled,
}
