//! Files that are handed over packed: dumps, kernels and modules in gzip, xz, zstd, bzip2 or lz4, alone or in tar
//! archives. Told by content.
//!
//! They are unpacked once, below `dumps/` in the cache: a folder a packed file, named by its name, size and both ends.
//! Runs of zeros become holes.
//!
//! Invariants: a folder has its name only when all in it is written (of a file that is cut all that it has, marked so), and a list in it of lengths and times by which it is
//! still that; what is stopped or fails leaves nothing, and what was killed is swept away by the next; nothing is
//! written beyond the cache's bound or the room that the disk has. Memory of a machine is nobody else's business: the
//! folder is its owner's alone.

use super::Watch;
use super::cache;
use super::containers::{self, ContainerError, key};
use super::streams::{self, Shortened, unpacked};
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes that are read and written at once; holes have this grain.
const BLOCK: usize = 1 << 16;
/// How often the room on the disk is looked at, in bytes written.
const LOOK: u64 = 64 << 20;
/// Room that is left to others on the disk.
const SPARE: u64 = 256 << 20;
/// What tells the content of a member of an archive.
const HEAD: u64 = 4096;

/// True for a file that is packed, or a tar archive, by its first bytes.
#[must_use]
pub fn is_packed(path: &Path) -> bool {
    packing(path) || !containers::is_package(path) && containers::is_archive(path)
}

fn packing(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(streams::HEAD).read_to_end(&mut head));
    read.is_ok() && streams::is_packing(&head)
}

/// A file that was unpacked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpacked {
    /// Where it lies in the cache.
    pub path: PathBuf,
    /// What it is called in the archive; empty for a packed file that is none.
    pub member: String,
    /// Why it may not be whole.
    pub shortened: Option<Shortened>,
}

/// What is in a packed file, unpacked: the file itself, or those members of an archive that `wanted` takes by their
/// first bytes.
///
/// # Errors
/// When it cannot be read, does not unpack, is larger than the cache may be, or the work was stopped.
pub fn unpack(
    path: &Path,
    wanted: &dyn Fn(&[u8]) -> bool,
    watch: &Watch,
) -> Result<Vec<Unpacked>, ContainerError> {
    unpack_into(&cache::cache_dir(), path, wanted, watch)
}

pub(super) fn unpack_into(
    cache: &Path,
    path: &Path,
    wanted: &dyn Fn(&[u8]) -> bool,
    watch: &Watch,
) -> Result<Vec<Unpacked>, ContainerError> {
    let io = |source| ContainerError::Io { path: path.to_owned(), source };
    let dumps = cache.join("dumps");
    let place = dumps.join(key(path).map_err(io)?);
    if let Some(files) = content(&place) {
        files.iter().for_each(|file| cache::touch(&file.path));
        return Ok(files);
    }
    let own = |source| ContainerError::Cache { path: dumps.clone(), source };
    cache::private(&dumps).map_err(own)?;
    let half = cache::half(&place);
    if place.exists() && content(&place).is_none() {
        // not what was written there: damaged, or of an older version
        fs::remove_dir_all(&place).map_err(own)?;
    }
    let done = fs::create_dir_all(&half).map_err(own).and_then(|()| {
        let mut disk = Disk::new(&half);
        match containers::is_archive(path) {
            true => members(path, wanted, watch, &half, &mut disk),
            false => alone(path, watch, &half, &mut disk),
        }
        .map_err(|e| disk.blamed(e))
    });
    let named = done
        .and_then(|names| record(&half, &names).map_err(own))
        .and_then(|()| fs::rename(&half, &place).map_err(own));
    if let Err(e) = named {
        let _ = fs::remove_dir_all(&half); // the error that matters is the first
        // another process was as fast
        return content(&place).ok_or(e);
    }
    cache::trim(cache);
    Ok(content(&place).unwrap_or_default())
}

/// The name of the list of what was unpacked.
const RECORD: &str = ".unpacked";
const FORMAT: &str = "crashlens unpacked 2";
/// How the list says that a file may not be whole.
const SHORTENED: [(&str, Option<Shortened>); 3] =
    [("whole", None), ("cut", Some(Shortened::Cut)), ("trailing", Some(Shortened::Trailing))];

/// Writes down what was unpacked: length, time of the last change, whether it is whole, name in the folder, name in the archive.
fn record(folder: &Path, files: &[Written]) -> io::Result<()> {
    let mut text = format!("{FORMAT}\n");
    for Written { name, member, shortened } in files {
        let meta = fs::metadata(folder.join(name))?;
        let state = SHORTENED.iter().find(|(_, of)| of == shortened).map_or("", |(word, _)| word);
        let line = format!("{}\t{}\t{state}\t{name}\t{member}\n", meta.len(), changed(&meta));
        text.push_str(&line);
    }
    fs::write(folder.join(RECORD), text)
}

fn changed(meta: &fs::Metadata) -> u128 {
    let since = meta.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos())
}

/// The files of a folder, in the order of the archive, where all are as they were written.
fn content(place: &Path) -> Option<Vec<Unpacked>> {
    let text = fs::read_to_string(place.join(RECORD)).ok()?;
    let mut lines = text.lines();
    (lines.next()? == FORMAT).then_some(())?;
    let files = lines.map(|line| {
        let mut fields = line.splitn(5, '\t');
        let (len, at) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u128>().ok()?);
        let state = fields.next()?;
        let (_, shortened) = SHORTENED.into_iter().find(|(word, _)| *word == state)?;
        let path = place.join(fields.next()?);
        let meta = fs::metadata(&path).ok()?;
        let member = fields.next()?.to_owned();
        (meta.len() == len && changed(&meta) == at).then_some(Unpacked { path, member, shortened })
    });
    files.collect::<Option<Vec<_>>>().filter(|files| !files.is_empty())
}

/// What was unpacked: its names in the folder and in the archive.
struct Written {
    name: String,
    member: String,
    shortened: Option<Shortened>,
}

/// A name without what would end its field in the list.
fn plain(name: &str) -> String {
    name.replace(|c: char| c.is_control() || c == '/', "_")
}

/// A packed file that is no archive.
fn alone(path: &Path, watch: &Watch, folder: &Path, disk: &mut Disk) -> Result<Vec<Written>, ContainerError> {
    let io = |source| ContainerError::Io { path: path.to_owned(), source };
    // `virtio_ring.ko.xz` is virtio_ring.ko
    let name = plain(&path.file_stem().unwrap_or_else(|| "unpacked".as_ref()).to_string_lossy());
    let result = containers::open_counted(path, watch)
        .and_then(unpacked)
        .and_then(|mut from| write(&mut from, &folder.join(&name), disk));
    watch.progress.finish();
    match result {
        Err(_) if watch.cancel.is_cancelled() => Err(ContainerError::Cancelled),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ContainerError::Cut { path: path.to_owned() })
        }
        other => other.map_err(io).map(|shortened| vec![Written { name, member: String::new(), shortened }]),
    }
}

/// The members of an archive that are wanted.
fn members(
    path: &Path,
    wanted: &dyn Fn(&[u8]) -> bool,
    watch: &Watch,
    folder: &Path,
    disk: &mut Disk,
) -> Result<Vec<Written>, ContainerError> {
    let mut found: Vec<Written> = Vec::new();
    let walked = containers::walk(path, watch, &mut |member| {
        if !member.plain {
            return Ok(ControlFlow::Continue(()));
        }
        let name = Path::new(member.path).file_name().unwrap_or_else(|| "member".as_ref());
        let mut inner = unpacked(&mut *member.data)?;
        let mut head = Vec::new();
        inner.by_ref().take(HEAD).read_to_end(&mut head)?;
        if wanted(&head) {
            // two members of one name do not overwrite each other
            let name = plain(&name.to_string_lossy());
            let taken = found.iter().any(|file| file.name == name);
            let name = if taken { format!("{}-{name}", found.len()) } else { name };
            let shortened = write(&mut io::Cursor::new(head).chain(inner), &folder.join(&name), disk)?;
            found.push(Written { name, member: member.path.replace(char::is_control, "_"), shortened });
            if shortened == Some(Shortened::Cut) {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    });
    match walked {
        // what the archive had before its end is whole
        Err(ContainerError::Cut { .. }) if !found.is_empty() => Ok(found),
        Err(e) => Err(e),
        Ok(_) if found.is_empty() => Err(ContainerError::NoDump { path: path.to_owned() }),
        Ok(_) => Ok(found),
    }
}

/// Writes a stream, runs of zeros as holes. Of one that ends too early what came before is written, and that is said.
fn write(from: &mut dyn BufRead, path: &Path, disk: &mut Disk) -> io::Result<Option<Shortened>> {
    let mut out = disk.own(File::create(path))?;
    let mut block = vec![0; BLOCK];
    let (mut len, mut shortened) = (0_u64, None);
    while shortened.is_none() {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest) {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    shortened = Shortened::of(&e);
                    if shortened.is_none() || len == 0 && filled == 0 {
                        return Err(e);
                    }
                    break;
                }
            }
        }
        let bytes = block.get(..filled).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        len = len.saturating_add(bytes.len() as u64);
        if bytes.iter().all(|byte| *byte == 0) {
            disk.own(out.seek(SeekFrom::Start(len)))?;
        } else {
            disk.take(bytes.len() as u64)?;
            disk.own(out.write_all(bytes))?;
        }
    }
    disk.own(out.set_len(len))?;
    Ok(shortened)
}

/// How much may be written.
struct Disk {
    folder: PathBuf,
    written: u64,
    looked: u64,
    limit: u64,
    /// The disk failed, not what was read.
    failed: bool,
}

impl Disk {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), written: 0, looked: 0, limit: cache::limit(), failed: false }
    }
    /// A result of writing.
    fn own<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.failed |= result.is_err();
        result
    }
    /// The error with the folder that is to blame, where the disk is.
    fn blamed(&self, error: ContainerError) -> ContainerError {
        match error {
            ContainerError::Io { source, .. } if self.failed => {
                let path = self.folder.parent().unwrap_or(&self.folder).to_owned();
                ContainerError::Cache { path, source }
            }
            other => other,
        }
    }
    fn take(&mut self, bytes: u64) -> io::Result<()> {
        self.written = self.written.saturating_add(bytes);
        if self.written > self.limit {
            let mb = self.limit >> 20;
            return Err(io::Error::other(format!(
                "unpacks to more than the cache may hold, {mb} MB: CRASHLENS_CACHE_MB sets another bound, or unpack it by hand"
            )));
        }
        if self.looked != 0 && self.written < self.looked {
            return Ok(());
        }
        self.looked = self.written.saturating_add(LOOK);
        match rustix::fs::statvfs(&self.folder) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < SPARE.saturating_add(LOOK) => {
                let folder = self.folder.parent().unwrap_or(&self.folder).display();
                Err(io::Error::other(format!(
                    "the disk of {folder} is nearly full: make room, or name another folder in XDG_CACHE_HOME"
                )))
            }
            _ => Ok(()),
        }
    }
}
