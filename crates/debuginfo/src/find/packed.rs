//! Files that are handed over packed: dumps, kernels and modules in gzip, xz, zstd, bzip2 or lz4, alone or in tar
//! archives. Told by content.
//!
//! They are unpacked once, below `dumps/` in the cache: a folder a packed file, named by its name, size and both ends.
//! Runs of zeros become holes.
//!
//! Invariants:
//! - A folder gets its name when all in it is written. Of a file that is cut or damaged that is all that can be read, marked so.
//! - A list in the folder has the lengths and times of its files: where they differ the file is unpacked again.
//! - A packed stream is read to its end, where its check is.
//! - What is stopped or fails leaves nothing. What a killed process left is deleted a day later.
//! - Nothing is written beyond the cache's bound or the room that the disk has.
//! - The folder is its owner's alone: a machine's memory is nobody else's business.

use super::Watch;
use super::cache;
use super::containers::{self, ContainerError, Member, key};
use super::sparse::{Again, Expanded, Holes, Plain};
use super::streams::{self, Shortened, unpacked};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
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
const HEAD: u64 = 8192;

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
    /// What is wrong with the archive elsewhere: with what is behind the file in it, or with the check of them together.
    pub around: Option<Shortened>,
}

/// Whether a member of an archive is to be unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// It is.
    Yes,
    /// Where no other is.
    Perhaps,
    /// It is not.
    No,
}

/// What tells it: the first bytes of a member, and its length where that is known.
pub type IsWanted<'a> = &'a dyn Fn(&[u8], Option<u64>) -> Wanted;

/// What is in a packed file, unpacked: the file itself, or those members of an archive that are wanted.
///
/// # Errors
/// When it cannot be read, does not unpack, is larger than the cache may be, or the work was stopped.
pub fn unpack(path: &Path, wanted: IsWanted<'_>, watch: &Watch) -> Result<Vec<Unpacked>, ContainerError> {
    unpack_into(&cache::cache_dir(), path, wanted, watch)
}

pub(super) fn unpack_into(
    cache: &Path,
    path: &Path,
    wanted: IsWanted<'_>,
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
const FORMAT: &str = "crashlens unpacked 3";
/// How the list says that a file is damaged; the reason follows.
const DAMAGED: &str = "damaged: ";

/// How the list says that a file may not be whole.
fn word(fault: Option<&Shortened>) -> String {
    match fault {
        None => "whole".into(),
        Some(Shortened::Cut) => "cut".into(),
        Some(Shortened::Trailing) => "trailing".into(),
        Some(Shortened::Damaged(why)) => format!("{DAMAGED}{}", plain(why)),
    }
}

fn fault(word: &str) -> Option<Option<Shortened>> {
    Some(match word {
        "whole" => None,
        "cut" => Some(Shortened::Cut),
        "trailing" => Some(Shortened::Trailing),
        _ => Some(Shortened::Damaged(word.strip_prefix(DAMAGED)?.to_owned())),
    })
}

/// Writes down what was unpacked: length, time of the last change, whether it is whole, name in the folder, name in the archive.
fn record(folder: &Path, files: &[Written]) -> io::Result<()> {
    let mut text = format!("{FORMAT}\n");
    for Written { name, member, shortened, around } in files {
        let meta = fs::metadata(folder.join(name))?;
        let [own, around] = [shortened, around].map(|fault| word(fault.as_ref()));
        let line = format!("{}\t{}\t{own}\t{around}\t{name}\t{member}\n", meta.len(), changed(&meta));
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
        let mut fields = line.splitn(6, '\t');
        let (len, at) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u128>().ok()?);
        let (shortened, around) = (fault(fields.next()?)?, fault(fields.next()?)?);
        let path = place.join(fields.next()?);
        let meta = fs::metadata(&path).ok()?;
        let member = fields.next()?.to_owned();
        (meta.len() == len && changed(&meta) == at).then_some(Unpacked { path, member, shortened, around })
    });
    files.collect::<Option<Vec<_>>>().filter(|files| !files.is_empty())
}

/// What was unpacked: its names in the folder and in the archive.
struct Written {
    name: String,
    member: String,
    shortened: Option<Shortened>,
    around: Option<Shortened>,
}

/// A name without what would end its field in the list.
fn plain(name: &str) -> String {
    name.replace(|c: char| c.is_control() || c == '/', "_")
}

/// A packed file that is no archive.
fn alone(path: &Path, watch: &Watch, folder: &Path, disk: &mut Disk) -> Result<Vec<Written>, ContainerError> {
    // `virtio_ring.ko.xz` is virtio_ring.ko
    let name = plain(&path.file_stem().unwrap_or_else(|| "unpacked".as_ref()).to_string_lossy());
    let result = containers::open_counted(path, watch)
        .and_then(unpacked)
        .and_then(|from| write(&mut Plain(from), &folder.join(&name), disk, watch));
    watch.progress.finish();
    match result {
        Err(_) if watch.cancel.is_cancelled() => Err(ContainerError::Cancelled),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ContainerError::Cut { path: path.to_owned() })
        }
        other => other
            .map_err(|e| disk.or_decoder(path, e))
            .map(|shortened| vec![Written { name, member: String::new(), shortened, around: None }]),
    }
}

/// The members of an archive that are wanted; of those that are so only where no other is, the only one.
fn members(
    path: &Path,
    wanted: IsWanted<'_>,
    watch: &Watch,
    folder: &Path,
    disk: &mut Disk,
) -> Result<Vec<Written>, ContainerError> {
    let mut perhaps = Vec::new();
    let mut is_wanted = |head: &[u8], len: Option<u64>, number: u64, name: &str| {
        let wanted = wanted(head, len);
        if wanted == Wanted::Perhaps {
            perhaps.push((number, name.to_owned()));
        }
        wanted == Wanted::Yes
    };
    match some_members(path, &mut is_wanted, watch, folder, disk) {
        Err(ContainerError::NoDump { path }) => match perhaps.as_slice() {
            [] => Err(ContainerError::NoDump { path }),
            [(only, _)] => some_members(&path, &mut |_, _, number, _| number == *only, watch, folder, disk),
            several => Err(ContainerError::Several {
                members: several.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", "),
                path,
            }),
        },
        other => other,
    }
}

/// Tells whether a member is wanted: its first bytes, its length, its number and its name.
type Choose<'a> = &'a mut dyn FnMut(&[u8], Option<u64>, u64, &str) -> bool;

fn some_members(
    path: &Path,
    choose: Choose<'_>,
    watch: &Watch,
    folder: &Path,
    disk: &mut Disk,
) -> Result<Vec<Written>, ContainerError> {
    let mut found: Vec<Written> = Vec::new();
    let mut number = 0_u64;
    let mut unreadable = None;
    let walked = containers::walk_to(path, watch, true, &mut |member| {
        if !member.plain {
            return Ok(ControlFlow::Continue(()));
        }
        number = number.saturating_add(1);
        let name = member.path.replace(char::is_control, "_");
        let opened = match open_member(member) {
            Ok(opened) => opened,
            // what is packed in it may be broken, and others not; if the archive is, that comes again
            Err(e) if Shortened::of(&e).is_some() && !watch.cancel.is_cancelled() => {
                unreadable = unreadable.take().or(Some(e));
                return Ok(ControlFlow::Continue(()));
            }
            Err(e) => return Err(e),
        };
        let Opened { head, len, mut bytes } = opened;
        if choose(&head, len, number, &name) {
            // two members of one name do not overwrite each other
            let file = Path::new(&name).file_name().unwrap_or_else(|| "member".as_ref());
            let file = plain(&file.to_string_lossy());
            let taken = found.iter().any(|other| other.name == file);
            let file = if taken { format!("{}-{file}", found.len()) } else { file };
            let shortened = write(&mut *bytes, &folder.join(&file), disk, watch)?;
            found.push(Written { name: file, member: name, shortened, around: None });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let io = |source| ContainerError::Io { path: path.to_owned(), source };
    match (walked, unreadable) {
        (Err(e), _) | (Ok(_), Some(e)) if found.is_empty() => Err(match Shortened::of(&e) {
            Some(Shortened::Cut) => ContainerError::Cut { path: path.to_owned() },
            _ => disk.or_decoder(path, e),
        }),
        (Err(e), _) => {
            // what the archive had before is whole, but for a byte that its check would tell
            let fault = Shortened::of(&e).ok_or_else(|| io(e))?;
            let unharmed = found.iter_mut().filter(|file| file.shortened.is_none());
            unharmed.for_each(|file| file.around = Some(fault.clone()));
            Ok(found)
        }
        (Ok(_), _) if found.is_empty() => Err(ContainerError::NoDump { path: path.to_owned() }),
        (Ok(_), _) => Ok(found),
    }
}

/// A member as it was before it was packed: its first bytes, its length where that is known, and all of it.
struct Opened<'a> {
    head: Vec<u8>,
    len: Option<u64>,
    bytes: Box<dyn Holes + 'a>,
}

fn open_member<'a>(member: &'a mut Member<'_>) -> io::Result<Opened<'a>> {
    let mut head = Vec::new();
    if let Some(map) = member.holes {
        let mut bytes = Expanded::new(map, &mut *member.data);
        bytes.by_ref().take(HEAD).read_to_end(&mut head)?;
        let again = Again { head: io::Cursor::new(head.clone()), rest: bytes };
        return Ok(Opened { head, len: Some(map.len()), bytes: Box::new(again) });
    }
    let is_plain = !streams::is_packing(member.data.fill_buf()?);
    let mut bytes = unpacked(&mut *member.data)?;
    bytes.by_ref().take(HEAD).read_to_end(&mut head)?;
    let is_all = (head.len() as u64) < HEAD;
    let len = if is_plain { Some(member.size) } else { is_all.then_some(head.len() as u64) };
    let again = Again { head: io::Cursor::new(head.clone()), rest: Plain(bytes) };
    Ok(Opened { head, len, bytes: Box::new(again) })
}

/// Writes a stream, runs of zeros as holes. Of one that ends too early or is damaged what came before is written, and that is
/// said.
fn write(from: &mut dyn Holes, path: &Path, disk: &mut Disk, watch: &Watch) -> io::Result<Option<Shortened>> {
    let mut out = disk.own(File::create(path))?;
    let mut block = vec![0; BLOCK];
    let (mut len, mut shortened) = (0_u64, None);
    while shortened.is_none() {
        let hole = from.skip_hole();
        if hole > 0 {
            len = len.saturating_add(hole);
            disk.own(out.seek(SeekFrom::Start(len)))?;
        }
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest) {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    shortened = Shortened::of(&e).filter(|_| !watch.cancel.is_cancelled());
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
    /// There was no room for what was read.
    refused: bool,
}

impl Disk {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            written: 0,
            looked: 0,
            limit: cache::limit(),
            failed: false,
            refused: false,
        }
    }
    /// A result of writing.
    fn own<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.failed |= result.is_err();
        result
    }
    /// An error of reading or writing, or of the decoder.
    fn or_decoder(&self, path: &Path, source: io::Error) -> ContainerError {
        let path = path.to_owned();
        if self.failed || self.refused || source.raw_os_error().is_some() {
            return ContainerError::Io { path, source };
        }
        let mut head = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(streams::HEAD).read_to_end(&mut head));
        let packing = streams::name_of(if read.is_ok() { &head } else { &[] });
        ContainerError::NotUnpacked { path, packing, source }
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
            self.refused = true;
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
                self.refused = true;
                let folder = self.folder.parent().unwrap_or(&self.folder).display();
                Err(io::Error::other(format!(
                    "the disk of {folder} is nearly full: make room, or name another folder in XDG_CACHE_HOME"
                )))
            }
            _ => Ok(()),
        }
    }
}
