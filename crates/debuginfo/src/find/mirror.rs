//! Debug files from a folder or a server of one's own, brought into the cache, where every session finds them.
//!
//! A place has packs (`BUILD-ID.clpack`), or files as debuginfod has them (`buildid/ID/debuginfo`), as distributions' debug
//! folders have them (`.build-id/ab/cdef.debug`), or, in a folder, by their names.
//!
//! Invariant: what is brought is of the build that was asked for; what comes from a server is checked by
//! [`super::debuginfod`].

use super::cache::{cache_dir, unpacked_place, write_unpacked};
use super::debuginfod::{Artifact, Debuginfod, FetchError};
use super::unpack::Packages;
use super::{Finder, Search, Watch, hex, take_first};
use crate::find::pack::{EXTENSION, Pack};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A debug file that is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedFile {
    /// The module's name; `None` for the kernel's own.
    pub module: Option<String>,
    /// Its build id.
    pub build_id: Vec<u8>,
}

/// A folder or a server that has debug files.
#[derive(Debug)]
pub struct Mirror {
    place: Place,
    cache: PathBuf,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    /// Files by HTTP: what servers have, in the order in which it is asked for.
    Server(Debuginfod, &'static [Artifact]),
}

impl Mirror {
    /// As the user names it.
    ///
    /// # Errors
    /// A sentence: it is neither a server nor a folder that is there.
    pub fn of(place: &str) -> Result<Self, String> {
        Self::within(place, cache_dir())
    }

    /// The same, with another cache.
    pub(super) fn within(place: &str, cache: PathBuf) -> Result<Self, String> {
        if place.starts_with("http://") || place.starts_with("https://") {
            let server =
                Debuginfod::mirror(place, &cache).ok_or_else(|| format!("{place}: names no server"))?;
            let place = Place::Server(server, &[Artifact::DebugInfo, Artifact::OfTree]);
            return Ok(Self { place, cache });
        }
        match Path::new(place) {
            dir if dir.is_dir() => Ok(Self { place: Place::Folder(dir.to_owned()), cache }),
            _ => Err(format!("{place}: no such folder; a server's name begins with http:// or https://")),
        }
    }

    /// debuginfod servers: they have files by build id, and no packs.
    #[must_use]
    pub fn servers(servers: Debuginfod) -> Self {
        Self { place: Place::Server(servers, &[Artifact::DebugInfo]), cache: cache_dir() }
    }

    /// For messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Folder(dir) => dir.display().to_string(),
            Place::Server(servers, _) => servers.describe(),
        }
    }

    /// Whether it may have packs.
    const fn has_packs(&self) -> bool {
        matches!(self.place, Place::Folder(_) | Place::Server(_, [_, _, ..]))
    }

    /// Brings what is wanted into the cache: where each file is then, or why it is not.
    #[must_use]
    pub fn bring(
        &self,
        wanted: &[WantedFile],
        kernel: Option<&[u8]>,
        watch: &Watch,
    ) -> Vec<Result<PathBuf, String>> {
        let pack = kernel.filter(|_| self.has_packs()).map(|id| self.pack(id, watch));
        let (pack, problem) = match pack {
            Some(Ok(pack)) => (pack, None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let finder = self.finder(watch);
        let all = wanted.iter().map(|file| {
            if watch.cancel.is_cancelled() {
                return Err("interrupted".to_owned());
            }
            let entry = pack
                .as_ref()
                .and_then(|(pack, _)| pack.entries().iter().find(|e| e.build_id == file.build_id));
            match (entry, &pack) {
                (Some(entry), Some((pack, _))) => {
                    pack.unpack(entry, &self.cache, watch).map_err(|e| e.to_string())
                }
                _ => self.file(file, finder.as_ref(), watch),
            }
        });
        let brought = all.map(|one| match (&one, &problem) {
            // what is wrong with the pack is why nothing of it is there
            (Err(why), Some(problem)) => Err(format!("{problem}; {why}")),
            _ => one,
        });
        let brought = brought.collect();
        if let Some((pack, true)) = &pack {
            let _ = std::fs::remove_file(pack.path()); // its files are unpacked
        }
        brought
    }

    /// The pack of a kernel, and whether it lies in the cache; `None` where there is none.
    fn pack(&self, kernel: &[u8], watch: &Watch) -> Result<Option<(Pack, bool)>, String> {
        let (path, is_fetched) = match &self.place {
            Place::Folder(dir) => (dir.join(format!("{}.{EXTENSION}", hex(kernel))), false),
            Place::Server(server, _) => match server.fetch(kernel, &Artifact::Pack, watch) {
                Ok(path) => (path, true),
                Err(FetchError::NotThere) => return Ok(None),
                Err(e) => return Err(e.to_string()),
            },
        };
        if !path.exists() {
            return Ok(None);
        }
        let pack = Pack::open(&path).map_err(|e| e.to_string())?;
        match pack.vmlinux() {
            Some(own) if own.build_id == kernel => Ok(Some((pack, is_fetched))),
            own => {
                let id = own.map_or_else(|| "none".to_owned(), |own| hex(&own.build_id));
                Err(format!("{}: the pack is of build id {id}, not {}", path.display(), hex(kernel)))
            }
        }
    }

    /// What looks through a folder, once for all files; `None` for a server.
    fn finder(&self, watch: &Watch) -> Option<Finder> {
        let Place::Folder(dir) = &self.place else { return None };
        let finder = Finder { packages: Packages::new(self.cache.clone()), ..Finder::named("") };
        Some(finder.with_dir(dir).with_watch(watch.clone()))
    }

    fn file(&self, file: &WantedFile, finder: Option<&Finder>, watch: &Watch) -> Result<PathBuf, String> {
        match (&self.place, finder) {
            (Place::Folder(dir), Some(finder)) => in_folder(dir, finder, file, &self.cache),
            (Place::Folder(_), None) => Err("no folder".to_owned()),
            (Place::Server(server, kinds), _) => {
                let mut last = FetchError::NotThere;
                for kind in *kinds {
                    match server.fetch(&file.build_id, kind, watch) {
                        Ok(path) => match take_first(vec![path], Some(&file.build_id)).found {
                            Some(found) if found.has_dwarf => return Ok(found.path),
                            // of a stripped file nothing was brought
                            _ => {
                                last = FetchError::Failed {
                                    url: server.describe(),
                                    why: super::Outcome::NoDwarf.to_string(),
                                }
                            }
                        },
                        Err(FetchError::NotThere) => {}
                        Err(e) => last = e,
                    }
                }
                Err(last.to_string())
            }
        }
    }
}

/// Copies a file of a folder.
fn in_folder(dir: &Path, finder: &Finder, file: &WantedFile, cache: &Path) -> Result<PathBuf, String> {
    let id = hex(&file.build_id);
    let (first, rest) = id.split_at_checked(2).unwrap_or(("", ""));
    let by_id = [
        format!("buildid/{id}/debuginfo"),
        format!("{id}/debuginfo"),
        format!(".build-id/{first}/{rest}.debug"),
    ];
    let by_id = take_first(by_id.iter().map(|place| dir.join(place)), Some(&file.build_id));
    let is_whole = |search: &Search| search.found.as_ref().is_some_and(|found| found.has_dwarf);
    let search = match (&file.module, is_whole(&by_id)) {
        (_, true) => by_id,
        (None, false) => finder.vmlinux(Some(&file.build_id)),
        (Some(name), false) => finder.module(name, Some(&file.build_id)),
    };
    let whole = search.found.filter(|found| found.has_dwarf);
    let Some(found) = whole else {
        let others = search.tried.iter().filter(|t| !matches!(t.outcome, super::Outcome::Missing));
        let others: Vec<String> = others.map(|t| format!("{}: {}", t.path.display(), t.outcome)).collect();
        return Err(match others.is_empty() {
            true => format!("{}: does not have it", dir.display()),
            false => others.join("; "),
        });
    };
    let place = unpacked_place(cache, &file.build_id);
    if found.path == place {
        return Ok(place);
    }
    let written = write_unpacked(cache, &place, |out, _| out.write_all(found.file.data()));
    written.map(|()| place.clone()).map_err(|e| format!("{}: {e}", place.display()))
}

#[cfg(test)]
impl Mirror {
    /// How long a server may be silent.
    pub(super) fn set_timeout(&mut self, timeout: std::time::Duration) {
        if let Place::Server(server, _) = &mut self.place {
            server.timeout = timeout;
        }
    }
}
