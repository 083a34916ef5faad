//! The folder of what was unpacked: `~/.cache/crashlens`, as the XDG specification has it.
//!
//! `debug/BUILD-ID/debuginfo` are debug files out of packages, named as debuginfod's client names its own;
//! `source/KEY.zst` with `KEY.index` are source archives ([`super::store`]); `packages/KEY` are lists of packages'
//! members; `dumps/KEY/NAME` is what was handed over packed ([`super::packed`]). All of it can be deleted at any time.
//!
//! Invariants: a half-written file never has its final name; above [`limit`] the files that were not used for
//! the longest time go, those of the last hour never.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes that the cache may hold where `CRASHLENS_CACHE_MB` says nothing.
const LIMIT: u64 = 8 << 30;
/// What was used so lately may be in use by another session.
const FRESH: Duration = Duration::from_secs(3600);

/// The folder.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let named = cache.or_else(home).map(|dir| dir.join("crashlens"));
    // others may write there too
    let mine = || match user() {
        Some(uid) => std::env::temp_dir().join(format!("crashlens-{uid}")),
        None => std::env::temp_dir().join("crashlens"),
    };
    named.unwrap_or_else(mine)
}

/// The user that this process acts as; `None` without `/proc`.
fn user() -> Option<u32> {
    fs::metadata("/proc/self").map(|own| own.uid()).ok()
}

/// Makes a folder of the cache that only its owner may read, and refuses one that somebody else has put there. Where all may
/// write above the cache (`/tmp`), the cache has to be one's own as well: who owns it can put another folder in the place.
pub(super) fn private(dir: &Path) -> io::Result<()> {
    private_as(dir, user())
}

fn private_as(dir: &Path, user: Option<u32>) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let found = fs::metadata(dir)?;
    let (cache, above) = (dir.parent(), dir.parent().and_then(Path::parent));
    let above = above.and_then(|above| fs::metadata(above).ok());
    let foreign = |uid: u32| io::Error::other(format!("it is a folder of another user ({uid})"));
    if user.is_some_and(|own| own != found.uid()) {
        // root may use the cache of the user who became root
        let of_user = above.is_some_and(|above| above.uid() == found.uid());
        return if of_user { Ok(()) } else { Err(foreign(found.uid())) };
    }
    if above.is_some_and(|above| above.permissions().mode() & 0o002 != 0)
        && let Some(cache) = cache.and_then(|cache| fs::symlink_metadata(cache).ok())
        && user.is_some_and(|own| own != cache.uid())
    {
        return Err(foreign(cache.uid()));
    }
    let mode = found.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode & !0o077))?;
    }
    Ok(())
}

/// Bytes that the cache may hold.
pub(super) fn limit() -> u64 {
    let set = std::env::var("CRASHLENS_CACHE_MB").ok().and_then(|text| text.parse::<u64>().ok());
    set.map_or(LIMIT, |mb| mb.saturating_mul(1 << 20))
}

/// Marks a file as used now: by the time of access, as that of the last change says whether it is still what was
/// written.
pub(super) fn touch(path: &Path) {
    // only a hint: a cache on a read-only system serves all the same
    let now = fs::FileTimes::new().set_accessed(SystemTime::now());
    let _ = fs::File::options().append(true).open(path).and_then(|f| f.set_times(now));
}

/// Writes a file by way of another name.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let half = half(path);
    let written =
        fs::File::create(&half).and_then(|mut f| write(&mut f)).and_then(|()| fs::rename(&half, path));
    if written.is_err() {
        let _ = fs::remove_file(&half); // the error that matters is the first
    }
    written
}

/// Where a debug file that was unpacked is kept.
pub(crate) fn unpacked_place(cache: &Path, build_id: &[u8]) -> PathBuf {
    cache.join("debug").join(super::hex(build_id)).join("debuginfo")
}

/// Writes a debug file of the cache by way of another name, which `write` is told, and makes room for it.
pub(crate) fn write_unpacked(
    cache: &Path,
    place: &Path,
    write: impl FnOnce(&mut fs::File, &Path) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(dir) = place.parent() {
        fs::create_dir_all(dir)?;
    }
    let half = half(place);
    let written = fs::File::create(&half)
        .and_then(|mut f| write(&mut f, &half))
        .and_then(|()| fs::rename(&half, place));
    match written {
        Ok(()) => trim(cache),
        Err(_) => {
            let _ = fs::remove_file(&half); // the error that matters is the first
        }
    }
    written
}

/// The name under which a file or folder is written until it is whole: no other thread or process writes there. What
/// processes that are gone left beside it is deleted.
pub(super) fn half(path: &Path) -> PathBuf {
    path.parent().into_iter().for_each(sweep);
    half_name(path)
}

/// The same name, for who writes many files in one folder and has it swept once.
pub(super) fn half_name(path: &Path) -> PathBuf {
    let mut half = path.to_owned().into_os_string();
    half.push(format!(".{:?}.{}.part", std::thread::current().id(), std::process::id()));
    half.into()
}

/// A folder of the cache that this process alone writes to, for what it brings and then unpacks. What processes that were
/// killed left in such folders goes first; who asks deletes their own.
#[must_use]
pub fn scratch(name: &str) -> PathBuf {
    let folder = cache_dir().join("downloads");
    sweep(&folder);
    half(&folder.join(name))
}

/// What was not written to for so long nobody writes any more.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Deletes what a process that is gone left half-written in a folder: names that end in `.PID.part`. Another machine or a
/// container can have the same folder and processes that are not seen here, so that only what is old is deleted.
pub(super) fn sweep(folder: &Path) {
    sweep_at(folder, SystemTime::now());
}

fn sweep_at(folder: &Path, now: SystemTime) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let writer = name.strip_suffix(".part").and_then(|name| name.rsplit('.').next()?.parse::<u32>().ok());
        // without /proc nothing says who is gone
        let gone =
            |pid: u32| Path::new("/proc/self").exists() && !Path::new("/proc").join(pid.to_string()).exists();
        let changed = || entry.metadata().and_then(|meta| meta.modified()).ok();
        let age = || changed().and_then(|at| now.duration_since(at).ok());
        if writer.is_some_and(gone) && age().is_some_and(|age| age > ABANDONED) {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Deletes what was not used for the longest time, until the cache is within its bound.
pub(super) fn trim(cache: &Path) {
    trim_to(cache, limit(), SystemTime::now());
}

fn trim_to(cache: &Path, limit: u64, now: SystemTime) {
    let mut files = Vec::new();
    for part in ["debug", "source", "packages", "dumps"] {
        list(&cache.join(part), 2, &mut files);
    }
    let mut total = files.iter().fold(0_u64, |sum, f| sum.saturating_add(f.size));
    files.sort_by_key(|f| f.used);
    for file in files {
        let fresh = now.duration_since(file.used).is_ok_and(|age| age < FRESH) || file.used > now;
        if total <= limit || fresh {
            return;
        }
        if fs::remove_file(&file.path).is_ok() {
            total = total.saturating_sub(file.size);
            if let Some(dir) = file.path.parent() {
                let _ = fs::remove_dir(dir); // only where it is empty now
            }
        }
    }
}

struct Cached {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

fn list(dir: &Path, depth: u32, out: &mut Vec<Cached>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() && depth > 0 {
            list(&entry.path(), depth - 1, out);
        } else if meta.is_file() {
            let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let used = meta.accessed().unwrap_or(changed).max(changed);
            out.push(Cached { path: entry.path(), size: meta.len(), used });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_fresh_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let put = |name: &str, hours: u64| {
            let path = dir.path().join("debug").join(name).join("debuginfo");
            write_whole(&path, |f| io::Write::write_all(f, &[0; 1000])).unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            let then = now - Duration::from_secs(hours * 3600);
            file.set_times(fs::FileTimes::new().set_modified(then).set_accessed(then)).unwrap();
            path
        };
        let (old, older, new) = (put("aa", 5), put("bb", 9), put("cc", 0));
        trim_to(dir.path(), 2000, now);
        assert!(!older.exists() && old.exists() && new.exists());
        assert!(!older.parent().unwrap().exists(), "its empty folder goes too");
        trim_to(dir.path(), 0, now);
        assert!(!old.exists() && new.exists());
    }

    #[test]
    fn what_a_process_that_is_gone_left_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let own = format!("a.{}.part", std::process::id());
        // no process has this number
        let names = [own.as_str(), "b.4294967295.part", "c.part", "d-4194304999"];
        names.iter().for_each(|name| fs::create_dir(dir.path().join(name)).unwrap());
        fs::write(dir.path().join("b.4294967295.part/half"), b"x").unwrap();
        let left = || names.iter().map(|name| dir.path().join(name).exists()).collect::<Vec<_>>();
        // another machine's process may be writing it
        sweep(dir.path());
        assert_eq!(left(), [true; 4]);
        sweep_at(dir.path(), SystemTime::now() + ABANDONED * 2);
        assert_eq!(left(), [true, false, true, true]);
    }

    #[test]
    fn threads_write_under_names_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("file");
        let other = dir.path().join("other.ThreadId(1).4294967295.part");
        fs::write(&other, b"x").unwrap();
        let old = SystemTime::now() - ABANDONED * 2;
        fs::File::options().append(true).open(&other).unwrap().set_modified(old).unwrap();
        let own = half(&place);
        let another = std::thread::spawn(move || half(&place)).join().unwrap();
        assert_ne!(own, another);
        assert_eq!(own.parent(), Some(dir.path()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "what is of a process that is gone");
    }

    #[test]
    fn where_all_may_write_the_cache_is_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let dumps = dir.path().join("crashlens-1/dumps");
        let own = user().unwrap();
        let mode = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o1777);
        private_as(&dumps, Some(own)).unwrap();
        assert_eq!(fs::metadata(dir.path().join("crashlens-1")).unwrap().mode() & 0o777, 0o700);
        // a link of one's own leads to the folder of another user; who is asked about is who made the link
        let link = dir.path().join("crashlens-2");
        std::os::unix::fs::symlink("crashlens-1", &link).unwrap();
        private_as(&link.join("dumps"), Some(own)).unwrap();
        // only root can give a folder to somebody else
        if own == 0 {
            std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
            let why = private_as(&link.join("dumps"), Some(own)).unwrap_err().to_string();
            assert!(why.contains("another user (12345)"), "{why}");
            mode(0o755);
            private_as(&link.join("dumps"), Some(own)).unwrap();
        }
    }

    #[test]
    fn a_half_written_file_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x/y");
        write_whole(&path, |_| Err(io::Error::other("no"))).unwrap_err();
        assert_eq!(fs::read_dir(dir.path().join("x")).unwrap().count(), 0);
    }
}
