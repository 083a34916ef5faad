//! Packages and archives read in place, as streams: `.deb`, `.ddeb`, `.rpm`, and tar files in any packing.
//!
//! Sources: deb(5) and ar(5); ustar with GNU's long names and pax paths; the RPM file format (lead,
//! signature and header structures) and cpio's `newc`. A package is packed as one stream, so it is read from front to
//! end, and no further than what is wanted of it. A tar file inside a package (sources are packed so) is
//! walked as if its members were the package's.
//!
//! Invariants: no more than a decoder's window of it is in memory; told by content, never by name.

use super::Watch;
use super::archives::{Cpio, Tar};
use super::sparse::Map;
use super::streams::unpacked;
use crate::find::pack::is_pack;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Archives inside archives: a source package has one.
const MAX_NESTING: u32 = 2;

/// Why a package could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The system refused a file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's, or the decoder's, reason.
        source: io::Error,
    },
    /// Neither a Debian nor an RPM package.
    #[error("{path}: neither a Debian package nor an RPM package nor a tar archive")]
    NotAPackage {
        /// The file.
        path: PathBuf,
    },
    /// A package whose structure is not as it should be.
    #[error("{path}: damaged package: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A packed file that ends before what is packed in it does.
    #[error(
        "{path}: is cut off: what is packed in it goes on behind its end; copy it again, or unpack what is there by hand"
    )]
    Cut {
        /// The file.
        path: PathBuf,
    },
    /// A file that begins like a packed one and of which nothing can be unpacked.
    #[error(
        "{path}: does not unpack: it begins like {packing}, and what follows is damaged or something else (the decoder says: \
             {source}); copy it again, or unpack it by hand"
    )]
    NotUnpacked {
        /// The file.
        path: PathBuf,
        /// What it is by its first bytes.
        packing: &'static str,
        /// The decoder's reason.
        source: io::Error,
    },
    /// An archive with several files where one is wanted.
    #[error("{path}: holds no dump")]
    NoDump {
        /// The file.
        path: PathBuf,
    },
    /// An archive with several files that are memory or are not: nothing in them tells.
    #[error(
        "{path}: holds no dump that is told by its first bytes; of these any could be an image of memory: {members}; unpack \
             it and name one of them"
    )]
    Several {
        /// The archive.
        path: PathBuf,
        /// Their names.
        members: String,
    },
    /// The cache cannot be written.
    #[error(
        "{path}: what is packed cannot be unpacked into this folder: {source}; name another in XDG_CACHE_HOME, or unpack \
         it by hand"
    )]
    Cache {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Stopped on request.
    #[error("interrupted")]
    Cancelled,
}

/// True for Debian and RPM packages, and packs of debug files, by their first bytes.
#[must_use]
pub fn is_package(path: &Path) -> bool {
    matches!(kind(path), Some(Kind::Deb | Kind::Rpm)) || is_pack(path)
}

/// True for files that [`walk`] reads.
#[must_use]
pub fn is_archive(path: &Path) -> bool {
    kind(path).is_some()
}

const RPM_LEAD: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// What holds the members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Deb,
    Rpm,
    Tar,
}

fn kind(path: &Path) -> Option<Kind> {
    // what is no file, a FIFO say, is not even opened: that would wait for whoever writes it
    if !path.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut magic = [0; 8];
    file.read_exact(&mut magic).ok()?;
    if magic == *b"!<arch>\n" {
        return Some(Kind::Deb);
    }
    if magic.starts_with(&RPM_LEAD) {
        return Some(Kind::Rpm);
    }
    file.rewind().ok()?;
    let (head, _) = peek(unpacked(BufReader::new(file)).ok()?, 512).ok()?;
    is_tar(&head).then_some(Kind::Tar)
}

/// True for the first block of a tar file.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// The first bytes of a stream, and the whole stream.
fn peek<'a>(mut stream: impl BufRead + 'a, count: u64) -> io::Result<(Vec<u8>, impl BufRead + 'a)> {
    let mut head = Vec::new();
    stream.by_ref().take(count).read_to_end(&mut head)?;
    Ok((head.clone(), io::Cursor::new(head).chain(stream)))
}

/// One member of an archive.
pub struct Member<'a> {
    /// Its path in the archive, without a leading `./` or `/`.
    pub path: &'a str,
    /// True for a regular file.
    pub plain: bool,
    /// Its bytes.
    pub size: u64,
    /// Where what is stored of them belongs, in a file with holes.
    pub(super) holes: Option<&'a Map>,
    /// Reads what is stored; what is left unread is stepped over.
    pub data: &'a mut dyn BufRead,
}

/// Looks at a member; `Break` ends the walk.
pub type Visit<'a> = &'a mut dyn FnMut(&mut Member<'_>) -> io::Result<ControlFlow<()>>;

/// Shows every member of the archive at `path`, in its order, until `visit` breaks. True where it was read to
/// the end.
///
/// # Errors
/// When the archive cannot be read or is damaged, or the work was stopped.
pub fn walk(path: &Path, watch: &Watch, visit: Visit<'_>) -> Result<bool, ContainerError> {
    match walk_to(path, watch, false, visit)? {
        Ok(whole) => Ok(whole),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ContainerError::Cut { path: path.to_owned() })
        }
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            Err(ContainerError::Damaged { path: path.to_owned(), what: e.to_string() })
        }
        Err(source) => Err(ContainerError::Io { path: path.to_owned(), source }),
    }
}

/// The same, with the error as the stream had it; `is_checked`: a tar archive is read to its very end.
pub(super) fn walk_to(
    path: &Path,
    watch: &Watch,
    is_checked: bool,
    visit: Visit<'_>,
) -> Result<io::Result<bool>, ContainerError> {
    let io = |source| ContainerError::Io { path: path.to_owned(), source };
    let kind = kind(path).ok_or_else(|| ContainerError::NotAPackage { path: path.to_owned() })?;
    let mut file = File::open(path).map_err(io)?;
    let total = file.metadata().map_err(io)?.len();
    let size = match kind {
        Kind::Rpm => rpm_payload(&mut file, path)?,
        Kind::Deb => deb_payload(&mut file, path)?,
        Kind::Tar => u64::MAX,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let what = format!("reading {name}");
    let counted = Counted { inner: file.take(size), done: 0, total, watch, what };
    let ended = unpacked(BufReader::with_capacity(1 << 18, counted)).and_then(|stream| match kind {
        Kind::Rpm => Cpio::new(stream).each(&mut |m| nested(m, 0, is_checked, visit)),
        Kind::Deb | Kind::Tar => Tar::new(stream, is_checked).each(&mut |m| nested(m, 0, is_checked, visit)),
    });
    watch.progress.finish();
    if ended.is_err() && watch.cancel.is_cancelled() {
        return Err(ContainerError::Cancelled);
    }
    Ok(ended)
}

/// Shows a member, or what is in it where it is a tar file.
fn nested(
    member: &mut Member<'_>,
    depth: u32,
    is_checked: bool,
    visit: Visit<'_>,
) -> io::Result<ControlFlow<()>> {
    let tarred = member.path.contains(".tar") || member.path.ends_with(".tgz");
    if !member.plain || !tarred || depth >= MAX_NESTING {
        return visit(member);
    }
    let (head, inner) = peek(unpacked(&mut *member.data)?, 512)?;
    if !is_tar(&head) {
        return Ok(ControlFlow::Continue(()));
    }
    let whole = Tar::new(inner, is_checked).each(&mut |m| nested(m, depth + 1, is_checked, visit))?;
    Ok(if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
}

/// A name that another build of the archive does not have: of its name, size and both ends (a package
/// ends with the end of its packed stream, which depends on all of it).
pub(super) fn key(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut h = rustc_hash::FxHasher::default();
    let len = file.metadata()?.len();
    h.write_u64(len);
    let mut ends = Vec::new();
    for from in [0, len.saturating_sub(0x4000)] {
        file.seek(SeekFrom::Start(from))?;
        Read::by_ref(&mut file).take(0x4000).read_to_end(&mut ends)?;
    }
    h.write(&ends);
    let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(format!("{name}-{:016x}", h.finish()))
}

/// Goes to a Debian package's `data.tar`, and says how long it is.
fn deb_payload(file: &mut File, path: &Path) -> Result<u64, ContainerError> {
    let damaged = |what: &str| ContainerError::Damaged { path: path.to_owned(), what: what.into() };
    file.seek(SeekFrom::Start(8)).map_err(|_| damaged("it ends in its magic"))?;
    loop {
        // ar: name 16, date 12, owner 6, group 6, mode 8, size 10, end 2
        let mut header = [0; 60];
        file.read_exact(&mut header).map_err(|_| damaged("it has no data.tar"))?;
        let size =
            header.get(48..58).map(|s| String::from_utf8_lossy(s).trim().to_owned()).unwrap_or_default();
        let size: u64 = size.parse().map_err(|_| damaged("an ar member's size is no number"))?;
        if header.starts_with(b"data.tar") {
            return Ok(size);
        }
        let skip =
            i64::try_from(size.saturating_add(size & 1)).map_err(|_| damaged("an ar member is too long"))?;
        file.seek(SeekFrom::Current(skip)).map_err(|_| damaged("an ar member is too long"))?;
    }
}

/// Goes to an RPM package's payload; it reaches to the end.
fn rpm_payload(file: &mut File, path: &Path) -> Result<u64, ContainerError> {
    let damaged = |what: &str| ContainerError::Damaged { path: path.to_owned(), what: what.into() };
    let mut at = 96; // the lead
    for pad in [8, 1] {
        // magic 4, reserved 4, entries u32, bytes u32, big-endian; an entry has 16 bytes
        let mut intro = [0; 16];
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut intro))
            .map_err(|_| damaged("no header"))?;
        let [0x8e, 0xad, 0xe8, _, _, _, _, _, e0, e1, e2, e3, b0, b1, b2, b3] = intro else {
            return Err(damaged("a header has a wrong magic"));
        };
        let (entries, bytes) = (u32::from_be_bytes([e0, e1, e2, e3]), u32::from_be_bytes([b0, b1, b2, b3]));
        at += 16 + u64::from(entries) * 16 + u64::from(bytes);
        at = at.next_multiple_of(pad); // the signature is padded, the header is not
    }
    file.seek(SeekFrom::Start(at)).map_err(|_| damaged("no payload"))?;
    Ok(u64::MAX)
}

/// A file that is read from front to end, with progress and a stop.
pub(super) fn open_counted<'a>(path: &Path, watch: &'a Watch) -> io::Result<impl BufRead + 'a> {
    let inner = File::open(path)?;
    let total = inner.metadata()?.len();
    let what = format!("unpacking {}", path.file_name().unwrap_or_default().to_string_lossy());
    Ok(BufReader::with_capacity(1 << 18, Counted { inner, done: 0, total, watch, what }))
}

/// Counts what is read of the archive, and stops when that is asked for.
struct Counted<'a, R> {
    inner: R,
    done: u64,
    total: u64,
    watch: &'a Watch,
    what: String,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.watch.cancel.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let n = self.inner.read(buf)?;
        self.done += n as u64;
        self.watch.progress.step(&self.what, self.done, self.total);
        Ok(n)
    }
}

pub(super) fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads any bytes as a package's stream; for the fuzzer.
#[doc(hidden)]
pub fn fuzz_archives(bytes: &[u8]) {
    let mut ignore = |_: &mut Member<'_>| Ok(ControlFlow::Continue(()));
    let _ = Tar::new(bytes, true).each(&mut ignore);
    let _ = Cpio::new(bytes).each(&mut ignore);
}
