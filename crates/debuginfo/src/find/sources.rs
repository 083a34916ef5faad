//! The text of source files that debug information names.
//!
//! Where it is looked for: the trees and archives that the user names (`--src`), the path itself where the
//! kernel was built or its sources were installed on this machine (Red Hat and SUSE install them under the very
//! paths that the debug files name), `/usr/src` (Debian's `linux-source`), debuginfod. A build's own
//! folders (`debian/build/build_amd64/fs/read_write.c`) are not the tree's, so a file is found by any tail of its
//! name that is a path from a tree's root.
//!
//! Invariant: what was not named is used only where it is of the kernel's version, for lines of another version would
//! say something wrong.

use super::Watch;
use super::cache::cache_dir;
use super::containers::is_archive;
use super::debuginfod::{Artifact, Debuginfod};
use super::store::{MAX_SOURCE, Store};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How much may be done for a source file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// No work that takes seconds for what the user did not name: for commands that show source by the way.
    Quick,
    /// Also unpack archives that were found: for commands that are about source.
    Full,
}

/// A source file's text.
#[derive(Debug)]
pub struct SourceText {
    /// Where it was read, in words: a path, or an archive and a path in it.
    pub from: String,
    /// Why it may not be what was compiled.
    pub caveat: Option<String>,
    text: String,
    /// Where each line begins.
    starts: Vec<u32>,
}

impl SourceText {
    pub(super) fn new(from: String, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let after = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        let starts = std::iter::once(0).chain(after).filter(|at| *at < text.len());
        let starts = starts.filter_map(|at| u32::try_from(at).ok()).collect();
        Self { from, caveat: None, text, starts }
    }

    /// How many lines it has.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// The line of that number, from 1, without its end.
    #[must_use]
    pub fn line(&self, number: u32) -> Option<&str> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        let start = *self.starts.get(at)? as usize;
        let end = self.starts.get(at + 1).map_or(self.text.len(), |end| *end as usize);
        Some(self.text.get(start..end)?.trim_end_matches(['\n', '\r']))
    }

    /// Lines with their numbers, as many of the range as there are.
    pub fn lines(&self, range: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = (u32, &str)> {
        range.map_while(|n| Some((n, self.line(n)?)))
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Finds source files of one kernel.
#[derive(Debug)]
pub struct Sources {
    named: Vec<PathBuf>,
    /// The root of the system's own places; `None` where they are not to be looked at.
    system: Option<PathBuf>,
    release: String,
    version: String,
    cache: PathBuf,
    watch: Watch,
    /// debuginfod servers, and the kernel's build id to ask them with.
    servers: Option<(Arc<Debuginfod>, Vec<u8>)>,
    stores: Mutex<FxHashMap<PathBuf, Option<Arc<Store>>>>,
    known: Mutex<FxHashMap<String, Arc<SourceText>>>,
}

impl Sources {
    /// For the kernel of that release (`uname -r`) and version (`uname -v`), in the trees and archives that were
    /// named.
    #[must_use]
    pub fn new(named: Vec<PathBuf>, release: &str, version: &str, watch: Watch) -> Self {
        Self {
            named,
            system: None,
            release: release.to_owned(),
            version: version.to_owned(),
            cache: cache_dir(),
            watch,
            servers: None,
            stores: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Looks in this system's places as well; `root` is `/`.
    #[must_use]
    pub fn with_system(mut self, root: &Path) -> Self {
        self.system = Some(root.to_owned());
        self
    }

    /// Asks debuginfod servers for files of the kernel of that build.
    #[must_use]
    pub fn with_servers(mut self, servers: Option<Arc<Debuginfod>>, build_id: Option<Vec<u8>>) -> Self {
        self.servers = servers.zip(build_id);
        self
    }

    /// Keeps what it unpacks in another folder.
    #[cfg(test)]
    #[must_use]
    pub(super) fn with_cache(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.cache);
        self
    }

    /// The text of a file, by its name in debug information; or why there is none, and what to do.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn find(&self, file: &str, effort: Effort) -> Result<Arc<SourceText>, String> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(file) {
            return Ok(Arc::clone(known));
        }
        let mut problems = Vec::new();
        let found = self.named.iter().find_map(|place| self.in_place(place, file, true, &mut problems));
        let found = found.or_else(|| self.in_system(file, effort, &mut problems));
        let found = found.or_else(|| self.on_servers(file, effort, &mut problems));
        let text = found.map(Arc::new).ok_or_else(|| self.advice(file, &problems))?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned(), Arc::clone(&text));
        Ok(text)
    }

    /// A file of a tree or an archive.
    fn in_place(
        &self,
        place: &Path,
        file: &str,
        make: bool,
        problems: &mut Vec<String>,
    ) -> Option<SourceText> {
        if place.is_dir() {
            let path = in_tree(place, file)?;
            return read(&path).map_err(|e| problems.push(e)).ok();
        }
        let (archive, caveat) = archive_of(place).map_err(|e| problems.push(e)).ok()?;
        let store = self.store(&archive, make, problems)?;
        let path = store.find(file)?;
        match store.read(&path) {
            Ok(bytes) => {
                let text = SourceText::new(format!("{}: {path}", archive.display()), &bytes);
                Some(SourceText { caveat, ..text })
            }
            Err(e) => {
                problems.push(format!("{}: {path}: {e}", archive.display()));
                None
            }
        }
    }

    /// An archive, made ready once; what failed is not tried again.
    fn store(&self, archive: &Path, make: bool, problems: &mut Vec<String>) -> Option<Arc<Store>> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = stores.get(archive) {
            return known.clone();
        }
        let ready = Store::ready(archive, &self.cache);
        if ready.is_none() && !make {
            return None;
        }
        let made = match ready {
            Some(store) => Some(store),
            None => {
                Store::make(archive, &self.cache, &self.watch).map_err(|e| problems.push(e.to_string())).ok()
            }
        };
        let made = made.map(Arc::new);
        if made.is_some() || !self.watch.cancel.is_cancelled() {
            stores.insert(archive.to_owned(), made.clone());
        }
        made
    }

    /// What debuginfod's cache has, and with full effort its servers.
    fn on_servers(&self, file: &str, effort: Effort, problems: &mut Vec<String>) -> Option<SourceText> {
        let (servers, id) = self.servers.as_ref().filter(|_| file.starts_with('/'))?;
        let what = Artifact::Source(file.to_owned());
        let path = match effort {
            Effort::Quick => servers.cached(id, &what)?,
            Effort::Full => {
                let fetched = servers.fetch(id, &what, &self.watch);
                fetched.map_err(|e| problems.push(format!("debuginfod: {e}"))).ok()?
            }
        };
        read(&path).map_err(|e| problems.push(e)).ok()
    }

    fn in_system(&self, file: &str, effort: Effort, problems: &mut Vec<String>) -> Option<SourceText> {
        let root = self.system.as_ref()?;
        let itself = root.join(file.trim_start_matches('/'));
        if file.starts_with('/') && itself.is_file() {
            return read(&itself).map_err(|e| problems.push(e)).ok();
        }
        self.system_trees(root).into_iter().find_map(|tree| {
            self.is_of_this_kernel(&tree, effort, problems)?;
            self.in_place(&tree, file, effort == Effort::Full, problems)
        })
    }

    /// Debian's `linux-source-6.1`, unpacked or not; Red Hat's and SUSE's trees.
    fn system_trees(&self, root: &Path) -> Vec<PathBuf> {
        let src = root.join("usr/src");
        let mut numbers = self.release.split(|c: char| !c.is_ascii_digit());
        let series = format!("{}.{}", numbers.next().unwrap_or(""), numbers.next().unwrap_or(""));
        let mut trees: Vec<PathBuf> = [format!("linux-source-{series}"), format!("linux-{}", self.release)]
            .iter()
            .map(|n| src.join(n))
            .collect();
        trees.extend(
            ["xz", "zst", "gz", "bz2"].iter().map(|ext| src.join(format!("linux-source-{series}.tar.{ext}"))),
        );
        // the release with neither architecture nor flavour: 5.14.0-362.el9, 6.4.0-150600.21
        let numbers =
            self.release.rsplit_once(['.', '-']).map_or(self.release.as_str(), |(numbers, _)| numbers);
        for dir in std::fs::read_dir(src.join("debug")).into_iter().flatten().flatten() {
            let name = dir.file_name().to_string_lossy().into_owned();
            if name.starts_with("kernel") && name.contains(numbers) {
                trees.extend(std::fs::read_dir(dir.path()).into_iter().flatten().flatten().map(|e| e.path()));
            }
        }
        trees.retain(|t| t.exists());
        trees
    }

    /// Whether a tree that was found is of this kernel's version: its Makefile says of which it is. A folder
    /// that has the release in its name needs none.
    fn is_of_this_kernel(&self, tree: &Path, effort: Effort, problems: &mut Vec<String>) -> Option<()> {
        if tree.components().any(|c| c.as_os_str().to_string_lossy().contains(self.release.as_str())) {
            return Some(());
        }
        let makefile = if tree.is_dir() {
            read(&tree.join("Makefile")).ok()?
        } else {
            let store = self.store(tree, effort == Effort::Full, problems)?;
            let path = store.find("Makefile")?;
            SourceText::new(path.clone(), &store.read(&path).ok()?)
        };
        let version = makefile_version(makefile.text())?;
        if names_version(&self.release, &version) || self.version.split([' ', '-']).any(|w| w == version) {
            return Some(());
        }
        problems.push(format!("{} is the source of {version}, not of this kernel", tree.display()));
        None
    }

    fn advice(&self, file: &str, problems: &[String]) -> String {
        let mut out = format!("no source text of {file}: ");
        for problem in problems {
            let _ = write!(out, "{problem}; "); // a String takes everything
        }
        out.push_str(match self.named.is_empty() {
            true => {
                "give --src FILE, a kernel tree or a source package (linux-source-*.deb, kernel-debuginfo-common-*.rpm, \
                 linux-*.tar.xz), or set DEBUGINFOD_URLS"
            }
            false => "it is in none of the places that --src names",
        });
        out
    }
}

/// The archive that a place names: itself, or of a Debian source package the upstream part beside it, which is not
/// all of what was compiled.
fn archive_of(place: &Path) -> Result<(PathBuf, Option<String>), String> {
    if place.extension().is_some_and(|e| e == "dsc") {
        let text = std::fs::read_to_string(place).map_err(|e| format!("{}: {e}", place.display()))?;
        let names = text.split_whitespace().filter(|w| w.contains(".orig.tar.") && !w.ends_with(".asc"));
        let dir = place.parent().unwrap_or(Path::new(""));
        let found = names.filter_map(|n| Path::new(n).file_name()).map(|n| dir.join(n)).find(|p| p.is_file());
        let patches = text.split_whitespace().find(|w| w.contains(".debian.tar.") || w.contains(".diff."));
        let caveat = patches.map(|patches| {
            format!("the upstream source, without the patches in {patches}: lines may be others than those compiled")
        });
        return found
            .map(|archive| (archive, caveat))
            .ok_or_else(|| format!("{}: its .orig.tar is not beside it", place.display()));
    }
    if is_archive(place) {
        return Ok((place.to_owned(), None));
    }
    match std::fs::metadata(place) {
        Ok(_) => Err(format!("{}: neither a folder nor a tar archive nor a package", place.display())),
        Err(e) => Err(format!("{}: {e}", place.display())),
    }
}

/// A file of a tree: under the folder by its whole name, or by a tail of it.
fn in_tree(dir: &Path, file: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = file.split('/').filter(|p| !p.is_empty() && *p != "." && *p != "..").collect();
    (0..parts.len()).find_map(|skip| {
        let tail: PathBuf = parts.get(skip..)?.iter().collect();
        let path = dir.join(tail);
        path.is_file().then_some(path)
    })
}

fn read(path: &Path) -> Result<SourceText, String> {
    let size = path.metadata().map_err(|e| format!("{}: {e}", path.display()))?.len();
    if size > MAX_SOURCE {
        return Err(format!("{}: {size} bytes are more than source text has", path.display()));
    }
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(SourceText::new(path.display().to_string(), &bytes))
}

/// `6.1.192` of a kernel's top Makefile.
fn makefile_version(text: &str) -> Option<String> {
    let value = |name: &str| {
        let line =
            text.lines().take(12).find_map(|l| l.strip_prefix(name)?.trim_start().strip_prefix('='))?;
        Some(line.trim().to_owned())
    };
    let (version, level) = (value("VERSION")?, value("PATCHLEVEL")?);
    Some(format!(
        "{version}.{level}.{}",
        value("SUBLEVEL").filter(|s| !s.is_empty()).unwrap_or_else(|| "0".into())
    ))
}

/// True where a release begins with the whole version: `6.12.117+deb12` with `6.12.117`. A release that ends in 0
/// (`6.1.0-56`) tells the series only, and the patches of the distribution are not in it.
fn names_version(release: &str, version: &str) -> bool {
    let rest = release.strip_prefix(version);
    !version.ends_with(".0") && rest.is_some_and(|r| !r.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
}
