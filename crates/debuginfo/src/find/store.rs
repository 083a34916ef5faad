//! Source archives made ready for reading: one pass over a packed archive, which reads only from front to end,
//! writes its source files again in pieces that can be read by themselves.
//!
//! `KEY.zst` is a row of zstd frames of about 1 MiB of text; `KEY.index` has a line a file:
//! `FRAME-OFFSET FRAME-LENGTH START SIZE PATH`, numbers in hex, after a line that names the format.
//!
//! Invariants: nothing of the index is believed: ranges are checked against the frame, frames have a bound.

use super::Watch;
use super::cache;
use super::containers::{self, ContainerError, invalid};
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const FORMAT: &str = "crashlens source 1";
/// Text in a frame, before the file that fills it up.
const FRAME: usize = 1 << 20;
/// More than any source file has.
pub(super) const MAX_SOURCE: u64 = 16 << 20;
/// More text than any kernel has.
const MAX_TOTAL: u64 = 8 << 30;
/// Frames hold at most this when unpacked.
const MAX_FRAME: u64 = FRAME as u64 + MAX_SOURCE;

/// Where a file lies in the store.
#[derive(Clone, Copy, Debug)]
struct Place {
    frame: u64,
    packed: u64,
    start: usize,
    size: usize,
}

/// A source archive that can be read anywhere.
#[derive(Debug)]
pub(super) struct Store {
    frames: PathBuf,
    files: FxHashMap<String, Place>,
    /// The folders that a tree may begin in: `linux-source-6.1/`.
    roots: Vec<String>,
    /// The frame that was unpacked last: neighbours are asked for together.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

impl Store {
    fn paths(archive: &Path, cache: &Path) -> io::Result<[PathBuf; 2]> {
        let base = cache.join("source").join(containers::key(archive)?);
        Ok(["index", "zst"].map(|ext| {
            let mut name = base.clone().into_os_string();
            name.push(format!(".{ext}"));
            PathBuf::from(name)
        }))
    }

    /// The store of an archive, where it was made before.
    pub(super) fn ready(archive: &Path, cache: &Path) -> Option<Self> {
        let [index, frames] = Self::paths(archive, cache).ok()?;
        let text = std::fs::read_to_string(&index).ok()?;
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) || !frames.is_file() {
            return None;
        }
        let files: FxHashMap<String, Place> = lines.filter_map(parse).collect();
        [&index, &frames].into_iter().for_each(|p| cache::touch(p));
        let roots = roots(files.keys());
        Some(Self { frames, files, roots, last: Mutex::default() })
    }

    /// Reads the archive from front to end, once.
    pub(super) fn make(archive: &Path, cache: &Path, watch: &Watch) -> Result<Self, ContainerError> {
        let io = |source| ContainerError::Io { path: archive.to_owned(), source };
        let [index, frames] = Self::paths(archive, cache).map_err(io)?;
        let mut listing = format!("{FORMAT}\n");
        let mut failed = None;
        let written = cache::write_whole(&frames, |out| {
            let mut writer =
                Writer { out, at: 0, total: 0, text: Vec::new(), held: Vec::new(), listing: &mut listing };
            let walked = containers::walk(archive, watch, &mut |m| {
                if m.plain && is_source(m.path) && m.size <= MAX_SOURCE {
                    writer.take(m.path, m.data)?;
                }
                Ok(ControlFlow::Continue(()))
            });
            match walked {
                Ok(_) => writer.flush(),
                Err(e) => {
                    failed = Some(e);
                    Err(io::Error::other("the archive was not read"))
                }
            }
        });
        if let Some(e) = failed {
            return Err(e);
        }
        written.and_then(|()| cache::write_whole(&index, |f| f.write_all(listing.as_bytes()))).map_err(io)?;
        cache::trim(cache);
        Self::ready(archive, cache)
            .ok_or_else(|| io(io::Error::other("what was unpacked of it is gone again")))
    }

    /// Where the file of a path lies: by the whole path, or by a tail of it that is a path from the root of the
    /// archive's tree.
    pub(super) fn find(&self, path: &str) -> Option<String> {
        let path = path.trim_start_matches('/');
        if self.files.contains_key(path) {
            return Some(path.to_owned());
        }
        let mut tails = std::iter::successors(Some(path), |p| p.split_once('/').map(|(_, tail)| tail));
        tails.find_map(|tail| {
            let mut places = self.roots.iter().map(|root| format!("{root}{tail}"));
            places.find(|p| self.files.contains_key(p))
        })
    }

    /// The bytes of a file that [`Self::find`] named.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let place = self.files.get(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.as_ref().is_none_or(|(at, _)| *at != place.frame) {
            let mut file = File::open(&self.frames)?;
            file.seek(SeekFrom::Start(place.frame))?;
            let mut text = Vec::new();
            zstd::Decoder::new(file.take(place.packed))?.take(MAX_FRAME).read_to_end(&mut text)?;
            *last = Some((place.frame, text));
        }
        let text = last.as_ref().map_or(&[][..], |(_, text)| text);
        let end = place.start.checked_add(place.size);
        let found = end.and_then(|end| text.get(place.start..end));
        found.map(<[u8]>::to_vec).ok_or_else(|| invalid("the cache of the archive is damaged".into()))
    }
}

/// `FRAME-OFFSET FRAME-LENGTH START SIZE PATH`
fn parse(line: &str) -> Option<(String, Place)> {
    let mut words = line.splitn(5, ' ');
    let mut number = || u64::from_str_radix(words.next()?, 16).ok();
    let (frame, packed, start, size) = (number()?, number()?, number()?, number()?);
    let place =
        Place { frame, packed, start: usize::try_from(start).ok()?, size: usize::try_from(size).ok()? };
    Some((words.next()?.to_owned(), place))
}

/// Archives of a source package at most.
const MAX_ROOTS: usize = 8;

/// Where trees begin: the archive's root, the folder that holds all, and the first folders (a source package
/// holds several archives).
fn roots<'a>(paths: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut firsts: Vec<String> = Vec::new();
    let mut shared: Option<&str> = None;
    for path in paths {
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let mut common = shared.unwrap_or(dir);
        while !common.is_empty()
            && dir != common
            && !dir.strip_prefix(common).is_some_and(|r| r.starts_with('/'))
        {
            common = common.rsplit_once('/').map_or("", |(dir, _)| dir);
        }
        shared = Some(common);
        let first = path.split_once('/').map_or(String::new(), |(first, _)| format!("{first}/"));
        if firsts.len() < MAX_ROOTS && !firsts.contains(&first) {
            firsts.push(first);
        }
    }
    let shared = shared.filter(|s| !s.is_empty()).map(|s| format!("{s}/"));
    let mut roots: Vec<String> = std::iter::once(String::new()).chain(shared).collect();
    roots.extend(firsts.into_iter().filter(|f| !f.is_empty()));
    roots
}

/// What code is written in; and the file that tells a tree's version.
fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "Makefile"
        || name
            .rsplit_once('.')
            .is_some_and(|(_, ext)| matches!(ext, "c" | "h" | "S" | "s" | "rs" | "inc" | "lds"))
}

struct Writer<'a> {
    out: &'a mut File,
    at: u64,
    total: u64,
    text: Vec<u8>,
    held: Vec<(String, usize, usize)>,
    listing: &'a mut String,
}

impl Writer<'_> {
    fn take(&mut self, path: &str, data: &mut dyn io::BufRead) -> io::Result<()> {
        let start = self.text.len();
        data.read_to_end(&mut self.text)?;
        self.held.push((path.to_owned(), start, self.text.len() - start));
        if self.text.len() >= FRAME { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        use std::fmt::Write as _;
        self.total += self.text.len() as u64;
        if self.total > MAX_TOTAL {
            return Err(invalid("it holds more source text than any kernel has".into()));
        }
        let packed = zstd::bulk::compress(&self.text, 1)?;
        for (path, start, size) in self.held.drain(..) {
            let len = packed.len();
            // a String takes everything
            let _ = writeln!(self.listing, "{:x} {len:x} {start:x} {size:x} {path}", self.at);
        }
        self.out.write_all(&packed)?;
        self.at += packed.len() as u64;
        self.text.clear();
        Ok(())
    }
}
