//! Files that are handed over packed: dumps, kernels and modules in gzip, xz, zstd, bzip2 or lz4, alone or in tar
//! archives. Told by content.
//!
//! They are unpacked once, below `dumps/` in the cache: a folder a packed file, named by its name, size and both ends.
//! Runs of zeros become holes.
//!
//! Invariants: a folder has its name only when all in it is whole; what is stopped or fails leaves nothing; nothing
//! is written beyond the cache's bound or the room that the disk has.

use super::Watch;
use super::cache;
use super::containers::{self, ContainerError, key};
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

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
    let mut magic = [0; 6];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok()
        && matches!(
            magic,
            [0xfd, b'7', b'z', b'X', b'Z', 0]
                | [0x28, 0xb5, 0x2f, 0xfd, ..]
                | [0x1f, 0x8b, 8, ..]
                | [b'B', b'Z', b'h', b'1'..=b'9', ..]
                | [0x04, 0x22, 0x4d, 0x18, ..]
        )
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
) -> Result<Vec<PathBuf>, ContainerError> {
    unpack_into(&cache::cache_dir(), path, wanted, watch)
}

pub(super) fn unpack_into(
    cache: &Path,
    path: &Path,
    wanted: &dyn Fn(&[u8]) -> bool,
    watch: &Watch,
) -> Result<Vec<PathBuf>, ContainerError> {
    let io = |source| ContainerError::Io { path: path.to_owned(), source };
    let place = cache.join("dumps").join(key(path).map_err(io)?);
    if let Some(files) = content(&place) {
        files.iter().for_each(|file| cache::touch(file));
        return Ok(files);
    }
    let mut half = place.clone().into_os_string();
    half.push(format!(".{}.part", std::process::id()));
    let half = PathBuf::from(half);
    let done = fs::create_dir_all(&half).map_err(io).and_then(|()| {
        let mut disk = Disk::new(&half);
        match containers::is_archive(path) {
            true => members(path, wanted, watch, &half, &mut disk),
            false => alone(path, watch, &half, &mut disk),
        }
    });
    let named = done.and_then(|()| fs::rename(&half, &place).map_err(io));
    if let Err(e) = named {
        let _ = fs::remove_dir_all(&half); // the error that matters is the first
        return Err(e);
    }
    cache::trim(cache);
    Ok(content(&place).unwrap_or_default())
}

/// The files of a folder that is whole, in the order of their names.
fn content(place: &Path) -> Option<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(place).ok()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    (!files.is_empty()).then_some(files)
}

/// A packed file that is no archive.
fn alone(path: &Path, watch: &Watch, folder: &Path, disk: &mut Disk) -> Result<(), ContainerError> {
    let io = |source| ContainerError::Io { path: path.to_owned(), source };
    // `virtio_ring.ko.xz` is virtio_ring.ko
    let name = path.file_stem().unwrap_or_else(|| "unpacked".as_ref());
    let result = containers::open_counted(path, watch)
        .and_then(containers::unpacked)
        .and_then(|mut from| write(&mut from, &folder.join(name), disk));
    watch.progress.finish();
    match result {
        Err(_) if watch.cancel.is_cancelled() => Err(ContainerError::Cancelled),
        other => other.map_err(io),
    }
}

/// The members of an archive that are wanted.
fn members(
    path: &Path,
    wanted: &dyn Fn(&[u8]) -> bool,
    watch: &Watch,
    folder: &Path,
    disk: &mut Disk,
) -> Result<(), ContainerError> {
    let mut found = 0_usize;
    containers::walk(path, watch, &mut |member| {
        if !member.plain {
            return Ok(ControlFlow::Continue(()));
        }
        let name = Path::new(member.path).file_name().unwrap_or_else(|| "member".as_ref()).to_owned();
        let mut inner = containers::unpacked(&mut *member.data)?;
        let mut head = Vec::new();
        inner.by_ref().take(HEAD).read_to_end(&mut head)?;
        if wanted(&head) {
            found = found.saturating_add(1);
            // two members of one name do not overwrite each other
            let target = Some(folder.join(&name)).filter(|p| !p.exists());
            let target = target.unwrap_or_else(|| folder.join(format!("{found}-{}", name.to_string_lossy())));
            write(&mut io::Cursor::new(head).chain(inner), &target, disk)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    match found {
        0 => {
            Err(ContainerError::Damaged { path: path.to_owned(), what: "no dump is in this archive".into() })
        }
        _ => Ok(()),
    }
}

/// Writes a stream, runs of zeros as holes.
fn write(from: &mut dyn BufRead, path: &Path, disk: &mut Disk) -> io::Result<()> {
    let mut out = File::create(path)?;
    let mut block = vec![0; BLOCK];
    let mut len = 0_u64;
    loop {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest) {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let bytes = block.get(..filled).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        len = len.saturating_add(bytes.len() as u64);
        if bytes.iter().all(|byte| *byte == 0) {
            out.seek(SeekFrom::Start(len))?;
        } else {
            disk.take(bytes.len() as u64)?;
            out.write_all(bytes)?;
        }
    }
    out.set_len(len)
}

/// How much may be written.
struct Disk {
    folder: PathBuf,
    written: u64,
    looked: u64,
    limit: u64,
}

impl Disk {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), written: 0, looked: 0, limit: cache::limit() }
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
