//! Debug files out of packages, found by build id.
//!
//! A package is one packed stream, so what is wanted of it is unpacked to a file of the cache
//! (`debug/BUILD-ID/debuginfo`), once; later sessions find it there. Modules' files are taken together: all that the
//! caller names, in one pass. A package that was read to its end leaves the list of its members, so that
//! nobody reads it again for a file that it does not hold.
//!
//! Invariants: a file is kept under the build id that it has, whatever the package calls it; never a file
//! without debug information in place of one with it; nothing but one file's decoder window is in memory.

use super::cache;
use super::containers::{self, ContainerError, Member};
use super::streams::unpacked;
use super::tree::module_name;
use super::{Outcome, Tried, Watch, hex};
use crate::elf::ObjectFile;
use crate::find::pack::{Entry, Kind, Pack, is_pack};
use rustc_hash::FxHashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// No debug file is larger.
const MAX_MEMBER: u64 = 16 << 30;
const FORMAT: &str = "crashlens package 2";

/// Packages to look in.
#[derive(Debug)]
pub(super) struct Packages {
    pub(super) files: Vec<PathBuf>,
    pub(super) cache: PathBuf,
    pub(super) watch: Watch,
    /// Modules that were looked for in this session already, in vain or not.
    asked: Mutex<Vec<String>>,
}

/// A file that is wanted: what it may be called, and its build id where that is known.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    name: &'a dyn Fn(&str) -> bool,
    ids: &'a [Vec<u8>],
    /// Any build will do: none is known.
    any: bool,
}

impl Packages {
    pub(super) fn new(cache: PathBuf) -> Self {
        Self { files: Vec::new(), cache, watch: Watch::default(), asked: Mutex::default() }
    }

    /// Unpacks the kernel's vmlinux; `None` where no package has it.
    pub(super) fn vmlinux(&self, build_id: Option<&[u8]>, tried: &mut Vec<Tried>) -> Option<PathBuf> {
        let ids: Vec<Vec<u8>> = build_id.map(<[u8]>::to_vec).into_iter().collect();
        let wanted = Wanted { name: &is_vmlinux, ids: &ids, any: build_id.is_none() };
        self.files.iter().find_map(|package| self.take(package, wanted, tried).pop())
    }

    /// Unpacks the files of modules, by name and build id, all in one pass. True where something was unpacked.
    pub(super) fn modules(&self, wanted: &[(String, Vec<u8>)], tried: &mut Vec<Tried>) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<&(String, Vec<u8>)> =
            wanted.iter().filter(|(name, id)| !asked.contains(name) && !self.place(id).is_file()).collect();
        if new.is_empty() || self.files.is_empty() {
            return false;
        }
        asked.extend(new.iter().map(|(name, _)| name.clone()));
        let name = |path: &str| {
            let file = path.rsplit('/').next().and_then(module_name);
            file.is_some_and(|file| new.iter().any(|(name, _)| name.replace('-', "_") == file))
        };
        let mut ids: Vec<Vec<u8>> = new.iter().map(|(_, id)| id.clone()).collect();
        let mut any = false;
        for package in &self.files {
            if ids.is_empty() {
                break;
            }
            let got = self.take(package, Wanted { name: &name, ids: &ids, any: false }, tried);
            any |= !got.is_empty();
            ids.retain(|id| !self.place(id).is_file());
        }
        if self.watch.cancel.is_cancelled() {
            // stopped, not in vain: the next question may look again
            let names: Vec<&String> = new.iter().map(|(name, _)| name).collect();
            asked.retain(|name| !names.contains(&name));
        }
        any
    }

    /// Unpacks what dwz took out of debug files, by the name that those have for it; where it is unpacked already.
    pub(super) fn supplement(&self, name: &str, build_id: &[u8], tried: &mut Vec<Tried>) -> Option<PathBuf> {
        let place = self.place(build_id);
        if place.is_file() {
            cache::touch(&place);
            return Some(place);
        }
        let base = name.rsplit('/').next().unwrap_or(name);
        let called = |path: &str| path.rsplit('/').next() == Some(base) || path.contains("/.dwz/");
        let ids = [build_id.to_vec()];
        let wanted = Wanted { name: &called, ids: &ids, any: false };
        self.files.iter().find_map(|package| self.take(package, wanted, tried).pop())
    }

    /// Where the file of a build is kept.
    fn place(&self, id: &[u8]) -> PathBuf {
        cache::unpacked_place(&self.cache, id)
    }

    /// Unpacks what is wanted of a pack: what it holds its index says.
    fn take_of_pack(&self, path: &Path, wanted: Wanted<'_>, tried: &mut Vec<Tried>) -> Vec<PathBuf> {
        let mut tell = |outcome| tried.push(Tried { path: path.to_owned(), outcome });
        let pack = match Pack::open(path) {
            Ok(pack) => pack,
            Err(e) => {
                tell(Outcome::Unreadable(e.to_string()));
                return Vec::new();
            }
        };
        let is_wanted = |entry: &&Entry| match wanted.any {
            true => entry.kind == Kind::Vmlinux,
            false => wanted.ids.contains(&entry.build_id),
        };
        let mut taken = Vec::new();
        for entry in pack.entries().iter().filter(is_wanted) {
            match pack.unpack(entry, &self.cache, &self.watch) {
                Ok(place) => taken.push(place),
                Err(e) => tell(Outcome::Unreadable(e.to_string())),
            }
        }
        if pack.entries().iter().any(|entry| is_wanted(&entry)) {
            return taken;
        }
        tell(match pack.vmlinux().filter(|_| (wanted.name)("vmlinux")) {
            Some(own) => Outcome::OtherBuild { build_id: hex(&own.build_id) },
            None => Outcome::NotInPackage,
        });
        taken
    }

    /// The pack that has a file of that build.
    pub(super) fn pack_with(&self, build_id: &[u8]) -> Option<PathBuf> {
        let has = |path: &&PathBuf| {
            let pack = if is_pack(path) { Pack::open(path).ok() } else { None };
            pack.is_some_and(|pack| pack.entries().iter().any(|entry| entry.build_id == build_id))
        };
        self.files.iter().find(has).cloned()
    }

    /// The files of a module in packs, by its name alone, unpacked.
    pub(super) fn packed_modules(&self, name: &str) -> Vec<PathBuf> {
        let name = name.replace('-', "_");
        let packs = self.files.iter().filter(|path| is_pack(path)).filter_map(|path| Pack::open(path).ok());
        let of = |pack: Pack| {
            let own = |entry: &&Entry| entry.kind == Kind::Module && entry.name.replace('-', "_") == name;
            let unpack = |entry| pack.unpack(entry, &self.cache, &self.watch).ok();
            pack.entries().iter().filter(own).filter_map(unpack).collect::<Vec<_>>()
        };
        packs.flat_map(of).collect()
    }

    /// Unpacks what is wanted of a package.
    fn take(&self, package: &Path, wanted: Wanted<'_>, tried: &mut Vec<Tried>) -> Vec<PathBuf> {
        if is_pack(package) {
            return self.take_of_pack(package, wanted, tried);
        }
        let mut tell = |outcome| tried.push(Tried { path: package.to_owned(), outcome });
        let listing = containers::key(package).map(|key| self.cache.join("packages").join(key));
        let listing = match listing {
            Ok(listing) => listing,
            Err(e) => {
                tell(Outcome::Unreadable(e.to_string()));
                return Vec::new();
            }
        };
        let mut known = members(&listing);
        if let Some(all) = &known
            && !all.iter().any(|(path, id)| wanted.may_be(path, id))
        {
            tell(match all.iter().find(|(path, id)| !id.is_empty() && (wanted.name)(path)) {
                Some((_, id)) => Outcome::OtherBuild { build_id: id.clone() },
                None => Outcome::NotInPackage,
            });
            return Vec::new();
        }
        cache::sweep(&self.cache.join("debug"));
        let mut pass = Pass { packages: self, wanted, taken: Vec::new(), spare: None, others: Vec::new() };
        let mut members = FxHashMap::default();
        let walked = containers::walk(package, &self.watch, &mut |m| {
            let (id, go_on) = pass.look(m)?;
            if m.plain {
                members.insert(m.path.to_owned(), id);
            }
            Ok(go_on)
        });
        if walked.as_ref().is_ok_and(|whole| *whole) {
            for (path, id) in known.take().into_iter().flatten().filter(|(_, id)| !id.is_empty()) {
                members.insert(path, id);
            }
            let lines: Vec<String> = members.iter().map(|(path, id)| format!("{id}\t{path}")).collect();
            let text = format!("{FORMAT}\n{}\n", lines.join("\n"));
            // without the list the package is read again another time, no more
            let _ = cache::write_whole(&listing, |f| f.write_all(text.as_bytes()));
        }
        pass.keep_spare();
        if !pass.taken.is_empty() {
            cache::trim(&self.cache);
        }
        match walked {
            Err(ContainerError::Cancelled) => tell(Outcome::Unreadable("interrupted".into())),
            Err(e) => tell(Outcome::Unreadable(e.to_string())),
            Ok(_) if !pass.taken.is_empty() => {}
            Ok(_) => tell(match pass.others.pop() {
                Some(build_id) => Outcome::OtherBuild { build_id },
                None => Outcome::NotInPackage,
            }),
        }
        pass.taken
    }
}

impl Wanted<'_> {
    /// Whether a member may be wanted, as far as its build id is known (empty where not).
    fn may_be(&self, path: &str, id: &str) -> bool {
        (self.name)(path) && (self.any || id.is_empty() || self.ids.iter().any(|wanted| hex(wanted) == id))
    }
}

/// The members of a package that was read to its end before, with the build ids of those that were looked at
/// (`-` for one that has none).
fn members(listing: &Path) -> Option<FxHashMap<String, String>> {
    let text = fs::read_to_string(listing).ok()?;
    let mut lines = text.lines();
    (lines.next()? == FORMAT).then_some(())?;
    Some(
        lines.filter_map(|l| l.split_once('\t')).map(|(id, path)| (path.to_owned(), id.to_owned())).collect(),
    )
}

/// One pass over a package.
struct Pass<'a> {
    packages: &'a Packages,
    wanted: Wanted<'a>,
    taken: Vec<PathBuf>,
    /// The right build without debug information: better than nothing at the end.
    spare: Option<(PathBuf, PathBuf)>,
    /// Build ids of files that have the right name.
    others: Vec<String>,
}

impl Pass<'_> {
    /// Unpacks a member where it may be wanted; its build id where it was looked at.
    fn look(&mut self, m: &mut Member<'_>) -> io::Result<(String, ControlFlow<()>)> {
        if !m.plain || !(self.wanted.name)(m.path) || m.size > MAX_MEMBER {
            return Ok((String::new(), ControlFlow::Continue(())));
        }
        let dir = self.packages.cache.join("debug");
        fs::create_dir_all(&dir)?;
        let half = cache::half_name(&dir.join("member"));
        let unpacked = copy(m.data, &half);
        if let Err(e) = unpacked {
            let _ = fs::remove_file(&half); // the error that matters is the first
            return Err(e);
        }
        let id = match ObjectFile::open(&half) {
            Ok(file) => {
                let id = file.build_id().unwrap_or_default().to_vec();
                if !self.adopt(&half, &file, &id) {
                    let _ = fs::remove_file(&half); // not wanted; gone already where it is kept as the spare one
                }
                id
            }
            Err(_) => {
                let _ = fs::remove_file(&half); // of the name, and no object
                Vec::new()
            }
        };
        let id = if id.is_empty() { "-".to_owned() } else { hex(&id) };
        let enough = if self.wanted.any { 1 } else { self.wanted.ids.len() };
        let done = self.taken.len() >= enough;
        Ok((id, if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }))
    }

    /// Keeps an unpacked file where it is wanted.
    fn adopt(&mut self, half: &Path, file: &ObjectFile, id: &[u8]) -> bool {
        if id.is_empty() || !(self.wanted.any || self.wanted.ids.iter().any(|wanted| wanted == id)) {
            self.others.push(hex(id));
            return false;
        }
        let place = self.packages.place(id);
        if self.taken.contains(&place) {
            return false;
        }
        if file.header(".debug_info").is_none_or(crate::elf::Section::is_nobits) {
            if self.spare.is_none() && file.symbols().count_left() > 1 {
                let spare = cache::half_name(&half.with_file_name("spare"));
                self.spare = fs::rename(half, &spare).ok().map(|()| (spare, place));
            }
            return false;
        }
        let kept = place.parent().is_some_and(|dir| fs::create_dir_all(dir).is_ok())
            && fs::rename(half, &place).is_ok();
        if kept {
            self.taken.push(place);
        }
        kept
    }

    fn keep_spare(&mut self) {
        let Some((spare, place)) = self.spare.take() else { return };
        let wanted = self.taken.is_empty() && self.wanted.ids.len() <= 1 && (self.wanted.name)("vmlinux");
        let kept = wanted
            && place.parent().is_some_and(|dir| fs::create_dir_all(dir).is_ok())
            && fs::rename(&spare, &place).is_ok();
        if kept {
            self.taken.push(place);
        } else {
            let _ = fs::remove_file(&spare);
        }
    }
}

/// Writes a member's bytes, unpacked where the member is packed by itself (`.ko.xz`).
fn copy(data: &mut dyn io::BufRead, to: &Path) -> io::Result<()> {
    let mut out = File::create(to)?;
    let mut stream = unpacked(data)?.take(MAX_MEMBER);
    io::copy(&mut stream, &mut out)?;
    out.flush()
}

/// `vmlinux`, `vmlinux-6.1.0.debug`, `vmlinux.xz`; `linux-6.1.debug` of some.
fn is_vmlinux(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ends = |ext: &str| name.ends_with(ext);
    name.starts_with("vmlinux") && !ends(".lds") && !ends(".h") && !ends(".S") && !ends(".c") && !ends(".bin")
}

/// True for a package whose name says that it holds debug files of the kernel of that release: it has the release's
/// numbers in its name (`linux-image-6.1.0-9-amd64-dbg_…deb`, `kernel-debuginfo-5.14.0-362.el9.x86_64.rpm`).
pub(super) fn is_of_release(path: &Path, release: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let packed = [".deb", ".ddeb", ".rpm"].iter().any(|ext| name.ends_with(ext));
    // neither flavour nor architecture: SUSE and Fedora put others behind the numbers
    let numbers = release.split_once('+').filter(|_| release.contains(".el") || release.contains(".fc"));
    let plain = numbers.map_or(release, |(plain, _)| plain);
    let numbers = match plain.rsplit_once(['-', '.']) {
        Some((numbers, last)) if !last.starts_with(|c: char| c.is_ascii_digit()) => numbers,
        _ => plain,
    };
    let debug = name.contains("dbg") || name.contains("debug");
    packed && debug && !numbers.is_empty() && name.contains(numbers)
}
