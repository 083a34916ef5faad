//! Reads a pack.

use super::index::{Entry, Index, Kind};
use super::{HEADER, MAGIC, MAX_INDEX, NAME, PackError};
use crate::elf::ObjectFile;
use crate::find::{Watch, hex, unpacked_place, write_unpacked};
use base::{Bytes, MappedFile};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A pack, of which nothing but the index was read.
#[derive(Debug)]
pub struct Pack {
    path: PathBuf,
    data: MappedFile,
    index: Index,
}

/// True for a pack, of whatever version, by its first bytes.
#[must_use]
pub fn is_pack(path: &Path) -> bool {
    let mut head = [0; NAME];
    // what is no file, a FIFO say, is not even opened: that would wait for whoever writes it
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
        && MAGIC.starts_with(&head)
}

impl Pack {
    /// Reads the index.
    ///
    /// # Errors
    /// It cannot be read, is none, was cut off, or is damaged.
    pub fn open(path: &Path) -> Result<Self, PackError> {
        let io = |source| PackError::Io { path: path.to_owned(), source };
        if !is_pack(path) {
            // a file that is not there is told as such
            File::open(path).map_err(io)?;
            return Err(PackError::NotAPack { path: path.to_owned() });
        }
        let data = MappedFile::open(path).map_err(io)?;
        let index = read_index(path, &data)?;
        Ok(Self { path: path.to_owned(), data, index })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// The kernel's release.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.index.release
    }
    /// The files in it.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.index.files
    }
    /// The kernel's file.
    #[must_use]
    pub fn vmlinux(&self) -> Option<&Entry> {
        self.index.files.iter().find(|file| file.kind == Kind::Vmlinux)
    }

    /// The path of a file in the cache, where it is unpacked once.
    ///
    /// # Errors
    /// It is damaged, the cache cannot be written, or the work was stopped.
    pub fn unpack(&self, entry: &Entry, cache: &Path, watch: &Watch) -> Result<PathBuf, PackError> {
        let place = unpacked_place(cache, &entry.build_id);
        let is_there = ObjectFile::open(&place).is_ok_and(|file| {
            file.build_id() == Some(&entry.build_id)
                && file.header(".debug_info").is_some_and(|s| !s.is_nobits())
        });
        if is_there {
            return Ok(place);
        }
        let mut failed = None;
        let written = write_unpacked(cache, &place, |out, half| {
            self.copy(entry, out, cache, watch)
                .and_then(|()| self.check(entry, half))
                .map_err(|e| std::io::Error::other(failed.insert(e).to_string()))
        });
        watch.progress.finish();
        match (failed, written) {
            (Some(e), _) => Err(e),
            (None, Err(source)) => Err(PackError::Cache { path: cache.to_owned(), source }),
            (None, Ok(())) => Ok(place),
        }
    }

    fn copy(&self, entry: &Entry, out: &mut File, cache: &Path, watch: &Watch) -> Result<(), PackError> {
        let what = format!("unpacking {}", entry.name);
        let mut done = 0_u64;
        for some in entry.pieces.chunks(rayon::current_num_threads().max(1)) {
            if watch.cancel.is_cancelled() {
                return Err(PackError::Cancelled);
            }
            let pieces: Vec<Result<Vec<u8>, PackError>> = some
                .into_par_iter()
                .map(|piece| frame(&self.path, &self.data, piece.offset, piece.packed, piece.len))
                .collect();
            for piece in pieces {
                let piece = piece?;
                out.write_all(&piece)
                    .map_err(|source| PackError::Cache { path: cache.to_owned(), source })?;
                done = done.saturating_add(piece.len() as u64);
            }
            watch.progress.step(&what, done, entry.len);
        }
        Ok(())
    }

    /// What was unpacked is what the index says.
    fn check(&self, entry: &Entry, half: &Path) -> Result<(), PackError> {
        let damaged = |what: String| PackError::Damaged { path: self.path.clone(), what };
        let file = ObjectFile::open(half)
            .map_err(|e| damaged(format!("{} in it is no debug file: {e}", entry.name)))?;
        match file.build_id() {
            Some(id) if *id == *entry.build_id => Ok(()),
            id => {
                let id = id.map_or_else(|| "none".to_owned(), hex);
                Err(damaged(format!("{} in it has build id {id}, not {}", entry.name, hex(&entry.build_id))))
            }
        }
    }
}

fn read_index(path: &Path, data: &[u8]) -> Result<Index, PackError> {
    let damaged = |what: &str| PackError::Damaged { path: path.to_owned(), what: what.into() };
    let version = data.get(NAME).copied().unwrap_or(b'?');
    if version != b'1' {
        return Err(PackError::Version { path: path.to_owned(), version: char::from(version) });
    }
    let header = Bytes::new(data.get(..HEADER).unwrap_or(data));
    let number = |at: usize| header.u64_at(at).map_err(|_| damaged("it ends in its header"));
    let (told, place, packed, len) = (number(16)?, number(24)?, number(32)?, number(40)?);
    if told != data.len() as u64 {
        return Err(PackError::Length { path: path.to_owned(), len: data.len() as u64, told });
    }
    if len > MAX_INDEX {
        return Err(damaged("its index is larger than any"));
    }
    let text = String::from_utf8(frame(path, data, place, packed, len)?);
    let text = text.map_err(|_| damaged("its index is no text"))?;
    Index::parse(&text, HEADER as u64..place).map_err(|what| damaged(&what))
}

/// A frame, unpacked; `len` has a bound.
fn frame(path: &Path, data: &[u8], offset: u64, packed: u64, len: u64) -> Result<Vec<u8>, PackError> {
    let damaged = |what: String| PackError::Damaged { path: path.to_owned(), what };
    let range = (|| {
        let start = usize::try_from(offset).ok()?;
        data.get(start..start.checked_add(usize::try_from(packed).ok()?)?)
    })();
    let bytes = range.ok_or_else(|| damaged(format!("what should lie at {offset:#x} is not in it")))?;
    let room = usize::try_from(len).map_err(|_| damaged("a piece is too long".into()))?;
    let out = zstd::bulk::decompress(bytes, room)
        .map_err(|e| damaged(format!("what lies at {offset:#x} does not unpack ({e})")))?;
    match out.len() == room {
        true => Ok(out),
        false => Err(damaged(format!("what lies at {offset:#x} has {} bytes, not {len}", out.len()))),
    }
}

/// Reads any bytes as a pack, as its index and as a file to be packed; for the fuzzer.
#[doc(hidden)]
pub fn fuzz_pack(bytes: &[u8]) {
    let path = Path::new("pack");
    let _ = Index::parse(&String::from_utf8_lossy(bytes), HEADER as u64..1 << 20);
    if let Ok(file) = ObjectFile::from_bytes(bytes.to_vec().into())
        && let Ok(small) = super::slim(&file)
    {
        let small = ObjectFile::from_bytes(small.into());
        let _ = small.map(|small| small.symbols().count());
    }
    let Ok(index) = read_index(path, bytes) else { return };
    for piece in index.files.iter().flat_map(|file| &file.pieces) {
        let _ = frame(path, bytes, piece.offset, piece.packed, piece.len);
    }
}
