//! Makes a pack.

use super::index::{Entry, Index, Kind, Piece};
use super::{HEADER, MAGIC, PIECE, PackError, slim};
use crate::elf::ObjectFile;
use crate::find::{Watch, hex};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use zstd::zstd_safe::CParameter;

/// As small as packing at some 20 MB a second makes it: twice as slow gains 1 % more.
const LEVEL: i32 = 9;

/// What was packed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Packed {
    /// Bytes of the files.
    pub whole: u64,
    /// Bytes of them that are read.
    pub read: u64,
    /// Bytes of the pack.
    pub packed: u64,
}

/// Writes a pack of a kernel's files: what they are, their names, the files. `path` must not be there; nothing is left of a pack
/// that was not finished.
///
/// # Errors
/// A file cannot be read or packed, the pack cannot be written, or the work was stopped.
pub fn write(
    path: &Path,
    release: &str,
    files: &[(Kind, String, &ObjectFile)],
    watch: &Watch,
) -> Result<Packed, PackError> {
    let io = |source| PackError::Io { path: path.to_owned(), source };
    let out = File::create_new(path).map_err(io)?;
    let written = Writer { path, out, at: 0, packed: Packed::default(), watch }.all(release, files);
    watch.progress.finish();
    if written.is_err() {
        let _ = std::fs::remove_file(path); // the error that matters is the first
    }
    written
}

struct Writer<'a> {
    path: &'a Path,
    out: File,
    at: u64,
    packed: Packed,
    watch: &'a Watch,
}

impl Writer<'_> {
    fn all(mut self, release: &str, files: &[(Kind, String, &ObjectFile)]) -> Result<Packed, PackError> {
        self.put(&[0; HEADER])?;
        let mut index = Index { release: release.replace(['\n', '\r'], " "), files: Vec::new() };
        for (done, (kind, name, file)) in (0_u64..).zip(files) {
            self.watch.progress.step("packing", done, files.len() as u64);
            index.files.push(self.file(*kind, name, file)?);
        }
        let text = index.text();
        let frame = pack(text.as_bytes()).map_err(|e| self.failed(e))?;
        let place = self.at;
        self.put(&frame)?;
        let mut header = MAGIC.to_vec();
        for number in [self.at, place, frame.len() as u64, text.len() as u64] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.resize(HEADER, 0);
        let written = io::Seek::rewind(&mut self.out).and_then(|()| self.out.write_all(&header));
        written.and_then(|()| self.out.sync_all()).map_err(|e| self.failed(e))?;
        Ok(Packed { packed: self.at, ..self.packed })
    }

    fn file(&mut self, kind: Kind, name: &str, file: &ObjectFile) -> Result<Entry, PackError> {
        let unfit = |why: String| PackError::Unfit { path: file.path().to_owned(), why };
        let id = file.build_id().ok_or_else(|| unfit("it has no build id to be known by".into()))?;
        let bytes = slim(file).map_err(|e| unfit(e.to_string()))?;
        self.packed.whole = self.packed.whole.saturating_add(file.data().len() as u64);
        self.packed.read = self.packed.read.saturating_add(bytes.len() as u64);
        let mut entry = Entry {
            kind,
            build_id: id.to_vec(),
            name: name.replace(['\n', '\r'], " "),
            len: bytes.len() as u64,
            pieces: Vec::new(),
        };
        let chunks: Vec<&[u8]> = bytes.chunks(PIECE).collect();
        for some in chunks.chunks(rayon::current_num_threads().max(1)) {
            if self.watch.cancel.is_cancelled() {
                return Err(PackError::Cancelled);
            }
            let frames: Vec<io::Result<Vec<u8>>> = some.into_par_iter().map(|piece| pack(piece)).collect();
            for (frame, piece) in frames.into_iter().zip(some) {
                let frame = frame.map_err(|e| self.failed(e))?;
                let (packed, len) = (frame.len() as u64, piece.len() as u64);
                entry.pieces.push(Piece { offset: self.at, packed, len });
                self.put(&frame)?;
            }
        }
        let again = ObjectFile::from_bytes(bytes.into()).map_err(|e| unfit(e.to_string()))?;
        match again.build_id() {
            Some(own) if own == id => Ok(entry),
            _ => Err(unfit(format!("its build id {} is in no section", hex(id)))),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.out.write_all(bytes).map_err(|e| self.failed(e))?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn failed(&self, source: io::Error) -> PackError {
        PackError::Io { path: self.path.to_owned(), source }
    }
}

/// A frame that has a checksum.
pub(super) fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
    packer.set_parameter(CParameter::ChecksumFlag(true))?;
    packer.compress(bytes)
}
