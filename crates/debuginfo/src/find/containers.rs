//! Packages read in place: `.deb`, `.ddeb` and `.rpm` without installing them.
//!
//! Sources: deb(5) and ar(5); ustar with GNU's long names and pax paths; the RPM file format (lead,
//! signature and header structures) and cpio's `newc`. A package is read once from front to end, for it is packed
//! as one stream; what is wanted of it is kept in a cache folder, under the paths that it would be installed at,
//! so that the folder is a root to look in.
//!
//! Invariants: a member's path never leaves the folder; a half-written file never has its final name.

use super::archives::{Cpio, Tar};
use base::{Cancel, Progress};
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

/// No debug file is larger.
const MAX_MEMBER: u64 = 16 << 30;

/// Why a package could not be read.
#[derive(Debug, thiserror::Error)]
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
    #[error("{path}: neither a Debian nor an RPM package")]
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
    /// Stopped on request.
    #[error("interrupted")]
    Cancelled,
}

/// True for files that [`extract`] reads, by their first bytes.
#[must_use]
pub fn is_package(path: &Path) -> bool {
    let mut magic = [0; 8];
    let read = File::open(path).and_then(|mut f| f.read_exact(&mut magic));
    read.is_ok() && (magic == *b"!<arch>\n" || magic.starts_with(&RPM_LEAD))
}

const RPM_LEAD: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// Where unpacked packages are kept: `~/.cache/crashlens/debug`, as the XDG specification has it.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    cache.or_else(home).unwrap_or_else(std::env::temp_dir).join("crashlens/debug")
}

/// What to take of a package.
pub struct Wanted<'a> {
    /// Says of a path (`usr/lib/debug/boot/vmlinux-6.1`) whether it is wanted.
    pub path: &'a dyn Fn(&str) -> bool,
    /// Stop after so many files: what is left of the package need not be unpacked.
    pub enough: usize,
}

/// What a package gave.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// The folder that stands for `/`; give it to [`super::Finder::under`].
    pub root: PathBuf,
    /// The files that were unpacked by this call.
    pub files: Vec<PathBuf>,
}

/// Unpacks the wanted files of the package at `package` into a folder of its own below `cache`. Files that are
/// there from before are kept and not counted.
///
/// # Errors
/// When the package cannot be read, is damaged, or the folder not written.
pub fn extract(
    package: &Path,
    wanted: &Wanted<'_>,
    cache: &Path,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Extracted, ContainerError> {
    let io = |source| ContainerError::Io { path: package.to_owned(), source };
    let mut file = File::open(package).map_err(io)?;
    let total = file.metadata().map_err(io)?.len();
    let root = cache.join(key(&mut file, package).map_err(io)?);
    file.rewind().map_err(io)?;
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(io)?;
    let rpm = magic.starts_with(&RPM_LEAD);
    let size = match rpm {
        true => rpm_payload(&mut file, package)?,
        false if magic == *b"!<arch>\n" => deb_payload(&mut file, package)?,
        false => return Err(ContainerError::NotAPackage { path: package.to_owned() }),
    };
    let counted = Counted { inner: file.take(size), done: 0, total, progress };
    let stream = unpacked(BufReader::with_capacity(1 << 18, counted)).map_err(io)?;
    let mut sink = Sink { root: root.clone(), files: Vec::new(), cancel };
    let ended = if rpm {
        Cpio::new(stream).each(wanted, &mut sink)
    } else {
        Tar::new(stream).each(wanted, &mut sink)
    };
    progress.finish();
    match ended {
        Ok(()) => Ok(Extracted { root, files: sink.files }),
        Err(_) if cancel.is_cancelled() => Err(ContainerError::Cancelled),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            Err(ContainerError::Damaged { path: package.to_owned(), what: e.to_string() })
        }
        Err(e) => Err(io(e)),
    }
}

/// A folder name that another build of the package does not have: of its name, size and both ends (a package
/// ends with the end of its packed stream, which depends on all of it).
fn key(file: &mut File, path: &Path) -> io::Result<String> {
    let mut h = rustc_hash::FxHasher::default();
    let len = file.metadata()?.len();
    h.write_u64(len);
    let mut end = Vec::new();
    for from in [0, len.saturating_sub(0x4000)] {
        file.seek(SeekFrom::Start(from))?;
        Read::by_ref(file).take(0x4000).read_to_end(&mut end)?;
    }
    h.write(&end);
    let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(format!("{name}-{:016x}", h.finish()))
}

/// Goes to a Debian package's `data.tar`, and says how long it is.
fn deb_payload(file: &mut File, path: &Path) -> Result<u64, ContainerError> {
    let damaged = |what: &str| ContainerError::Damaged { path: path.to_owned(), what: what.into() };
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

/// The stream behind whichever packing, told by its first bytes.
fn unpacked<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let head = packed.fill_buf()?;
    Ok(match head {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(buffered(liblzma::bufread::XzDecoder::new_multi_decoder(packed)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(buffered(zstd::Decoder::with_buffer(packed)?)),
        [0x1f, 0x8b, ..] => Box::new(buffered(flate2::bufread::MultiGzDecoder::new(packed))),
        [b'B', b'Z', b'h', ..] => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "bzip2 packages are not read"));
        }
        _ => Box::new(packed),
    })
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(1 << 18, reader)
}

/// Counts what is read of the package.
struct Counted<'a, R> {
    inner: R,
    done: u64,
    total: u64,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.done += n as u64;
        self.progress.step("unpacking package", self.done, self.total);
        Ok(n)
    }
}

/// Where members go.
pub(super) struct Sink<'a> {
    root: PathBuf,
    files: Vec<PathBuf>,
    cancel: &'a Cancel,
}

impl Sink<'_> {
    /// Takes or skips one member of `size` bytes; false once there is enough.
    pub(super) fn member(
        &mut self,
        name: &str,
        plain: bool,
        size: u64,
        data: &mut dyn Read,
        wanted: &Wanted<'_>,
    ) -> io::Result<bool> {
        let name = name.trim_start_matches("./").trim_start_matches('/');
        let place = self.root.join(name);
        let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || !inside || name.is_empty() || !(wanted.path)(name) || place.is_file() {
            self.copy(data, &mut io::sink(), size)?;
            return Ok(true);
        }
        if size > MAX_MEMBER {
            return Err(invalid(format!("{name} is {size:#x} bytes long")));
        }
        if let Some(dir) = place.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut half = place.clone().into_os_string();
        half.push(format!(".{}.part", std::process::id()));
        let mut out = File::create(&half)?;
        let copied = self.copy(data, &mut out, size).and_then(|()| out.flush());
        if let Err(e) = copied.and_then(|()| fs::rename(&half, &place)) {
            let _ = fs::remove_file(&half); // the error that matters is the first
            return Err(e);
        }
        self.files.push(place);
        Ok(self.files.len() < wanted.enough)
    }

    fn copy(&self, from: &mut dyn Read, to: &mut dyn Write, size: u64) -> io::Result<()> {
        let mut left = size;
        while left != 0 {
            if self.cancel.is_cancelled() {
                return Err(io::Error::other("interrupted"));
            }
            let n = io::copy(&mut from.take(left.min(4 << 20)), to)?;
            if n == 0 {
                return Err(invalid(format!("it ends {left:#x} bytes early; is it truncated?")));
            }
            left -= n;
        }
        Ok(())
    }
}

pub(super) fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads any bytes as a package's stream; for the fuzzer.
#[doc(hidden)]
pub fn fuzz_archives(bytes: &[u8]) {
    let wanted = Wanted { path: &|_| false, enough: 1 };
    let cancel = Cancel::new();
    let sink = || Sink { root: PathBuf::new(), files: Vec::new(), cancel: &cancel };
    let _ = Tar::new(bytes).each(&wanted, &mut sink());
    let _ = Cpio::new(bytes).each(&wanted, &mut sink());
}
