//! Where debug files are: the distributions' layouts, the debuginfod cache, the folders that the user names.
//!
//! A candidate is taken only when its build-id is the wanted one (or none is known, which is said).
//! What was tried is kept, with the outcome, so that "not found" can say where it looked.

mod archives;
mod cache;
mod containers;
#[cfg(test)]
mod containers_tests;
mod debuginfod;
#[cfg(test)]
mod debuginfod_tests;
mod mirror;
#[cfg(test)]
mod mirror_tests;
pub mod pack;
mod packages;
mod packed;
#[cfg(test)]
mod packed_tests;
mod sources;
#[cfg(test)]
mod sources_tests;
mod sparse;
mod store;
mod streams;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;
#[cfg(test)]
mod unpack_tests;

pub use cache::{cache_dir, scratch};
pub(crate) use cache::{unpacked_place, write_unpacked};
pub use containers::{ContainerError, Member, Visit, fuzz_archives, is_archive, is_package, walk};
pub use debuginfod::{Artifact, Debuginfod, FetchError};
pub use mirror::{Mirror, WantedFile};
pub use packages::{Build, WantedPackage, wanted_packages};
pub use packed::{IsWanted, Unpacked, Wanted, is_packed as is_packed_file, unpack};
pub use sources::{Effort, SourceText, Sources};
pub use streams::Shortened;

/// How long work tells how far it is, and learns that it should stop.
#[derive(Clone)]
pub struct Watch {
    /// Where it is told.
    pub progress: Arc<dyn Progress>,
    /// The switch that stops it.
    pub cancel: Cancel,
}

impl Default for Watch {
    fn default() -> Self {
        Self { progress: Arc::new(NoProgress), cancel: Cancel::new() }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

use crate::elf::ObjectFile;
use base::{Cancel, NoProgress, Progress};
use pack::is_pack;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tree::ModuleIndex;
use unpack::Packages;

/// How a candidate fared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There is no such file.
    Missing,
    /// The file cannot be read, and why.
    Unreadable(String),
    /// Of another build.
    OtherBuild {
        /// Its build-id, in hex; empty where it has none.
        build_id: String,
    },
    /// The right one, but without DWARF: good for symbols only.
    NoDwarf,
    /// A package without it.
    NotInPackage,
    /// Servers that do not have it, or did not answer, and why.
    NotServed(String),
    /// A folder of which a part was not looked at, and why.
    NotSearched(String),
    /// Taken.
    Taken,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Missing => f.write_str("no such file"),
            Outcome::Unreadable(why) => f.write_str(why),
            Outcome::OtherBuild { build_id } if build_id.is_empty() => f.write_str("has no build-id"),
            Outcome::OtherBuild { build_id } => write!(f, "is of another build ({build_id})"),
            Outcome::NoDwarf => f.write_str("has symbols but no debug information"),
            Outcome::NotInPackage => f.write_str("does not hold it"),
            Outcome::NotServed(why) | Outcome::NotSearched(why) => f.write_str(why),
            Outcome::Taken => f.write_str("taken"),
        }
    }
}

/// A file that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// Which file.
    pub path: PathBuf,
    /// How it fared.
    pub outcome: Outcome,
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Search {
    /// The file that was taken, opened.
    pub found: Option<FoundFile>,
    /// All that were tried, in order.
    pub tried: Vec<Tried>,
}

impl Search {
    /// Takes a file that was unpacked or downloaded, where it is better than what is there.
    fn adopt(&mut self, path: PathBuf, build_id: Option<&[u8]>) {
        cache::touch(&path);
        let mut more = take_first(vec![path], build_id);
        self.tried.append(&mut more.tried);
        if more.found.as_ref().is_some_and(|f| f.has_dwarf || self.found.is_none()) {
            self.found = more.found;
        }
    }
}

/// A debug file that was found.
#[derive(Debug)]
pub struct FoundFile {
    /// Where.
    pub path: PathBuf,
    /// The file.
    pub file: ObjectFile,
    /// True where its build-id is the one of the dump; false where the dump's is not known.
    pub verified: bool,
    /// True where it has DWARF, not only symbols.
    pub has_dwarf: bool,
}

/// Looks for the debug files of one kernel.
#[derive(Debug)]
pub struct Finder {
    release: String,
    root: PathBuf,
    /// The system's places are looked at.
    system: bool,
    caches: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
    near: Vec<PathBuf>,
    packages: Packages,
    servers: Option<Arc<Debuginfod>>,
    index: OnceLock<ModuleIndex>,
}

impl Finder {
    /// For the kernel of that release (`uname -r`), in this system's places.
    #[must_use]
    pub fn system(release: &str) -> Self {
        let packages = Packages::new(cache_dir());
        Self { caches: debuginfod::cache_dirs(), packages, ..Self::under(Path::new("/"), release) }
    }

    /// In nothing but what was named.
    #[must_use]
    pub fn named(release: &str) -> Self {
        Self { system: false, packages: Packages::new(cache_dir()), ..Self::under(Path::new("/"), release) }
    }

    /// As [`Self::system`] under another root, without the user's caches.
    #[must_use]
    pub fn under(root: &Path, release: &str) -> Self {
        Self {
            release: release.to_owned(),
            root: root.to_owned(),
            system: true,
            caches: Vec::new(),
            dirs: Vec::new(),
            near: Vec::new(),
            packages: Packages::new(root.join("var/cache/crashlens")),
            servers: None,
            index: OnceLock::new(),
        }
    }

    /// Looks first in a folder that the user named, and below it; also in packages that lie in it.
    #[must_use]
    pub fn with_dir(mut self, dir: &Path) -> Self {
        self.add_packages_in(dir);
        self.dirs.push(dir.to_owned());
        self
    }

    /// Looks also in a folder, but not below it: the dump's, the current one.
    #[must_use]
    pub fn with_near(mut self, dir: &Path) -> Self {
        self.add_packages_in(dir);
        self.near.push(dir.to_owned());
        self
    }

    /// Looks also in a package.
    #[must_use]
    pub fn with_package(mut self, path: &Path) -> Self {
        self.packages.files.push(path.to_owned());
        self
    }

    /// Asks debuginfod servers for what is nowhere else.
    #[must_use]
    pub fn with_servers(mut self, servers: Option<Arc<Debuginfod>>) -> Self {
        self.servers = servers;
        self
    }

    /// Tells how far long work is, and stops it on request.
    #[must_use]
    pub fn with_watch(mut self, watch: Watch) -> Self {
        self.packages.watch = watch;
        self
    }

    /// The packages in a folder that are of this kernel by their names.
    fn add_packages_in(&mut self, dir: &Path) {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        let mut found: Vec<PathBuf> = entries
            .filter(|p| unpack::is_of_release(p, &self.release) && is_package(p) || is_pack_by_name(p))
            .collect();
        found.sort();
        self.packages.files.extend(found);
    }

    /// Looks for the kernel's vmlinux: in the places where it lies unpacked, then in packages, then on servers.
    #[must_use]
    pub fn vmlinux(&self, build_id: Option<&[u8]>) -> Search {
        let mut search = take_first(self.vmlinux_places(build_id), build_id);
        // without a build id any file of the name is taken: a package that was named comes before it
        let sure = build_id.is_some() || self.packages.files.is_empty();
        if search.found.as_ref().is_some_and(|f| f.has_dwarf) && sure {
            self.used(&search);
            return search;
        }
        if let Some(path) = self.packages.vmlinux(build_id, &mut search.tried) {
            search.adopt(path, build_id);
        }
        if !search.found.as_ref().is_some_and(|f| f.has_dwarf) {
            self.ask_servers(build_id, &mut search);
        }
        search
    }

    /// Looks for a module's file, by the name that the kernel gives it (`-` and `_` are one).
    #[must_use]
    pub fn module(&self, name: &str, build_id: Option<&[u8]>) -> Search {
        self.module_among(name, build_id, &|| {
            build_id.map(|id| (name.to_owned(), id.to_vec())).into_iter().collect()
        })
    }

    /// As [`Self::module`]; `all` tells names and build ids of all modules of the dump: a package that has to be
    /// read is read for all of them at once.
    #[must_use]
    pub fn module_among(
        &self,
        name: &str,
        build_id: Option<&[u8]>,
        all: &dyn Fn() -> Vec<(String, Vec<u8>)>,
    ) -> Search {
        let mut search = self.module_at_hand(name, build_id);
        if search.found.as_ref().is_some_and(|f| f.has_dwarf) || build_id.is_none() {
            self.used(&search);
            return search;
        }
        if !self.packages.files.is_empty() && self.packages.modules(&all(), &mut search.tried) {
            let places = build_id.into_iter().flat_map(|id| self.by_build_id(id));
            let mut again = take_first(places, build_id);
            search.tried.append(&mut again.tried);
            search.found = again.found.or(search.found);
        }
        if !search.found.as_ref().is_some_and(|f| f.has_dwarf) {
            self.ask_servers(build_id, &mut search);
        }
        search
    }

    /// As [`Self::module`], without unpacking and asking: what is there now.
    #[must_use]
    pub fn module_at_hand(&self, name: &str, build_id: Option<&[u8]>) -> Search {
        let mut search = take_first(self.module_places(name, build_id), build_id);
        if search.found.is_none()
            && let Some(index) = self.index.get()
        {
            let left = index.unsearched();
            search.tried.extend(left.map(|(path, why)| Tried { path, outcome: Outcome::NotSearched(why) }));
        }
        search
    }

    /// The pack that has the file of a build, not unpacked.
    #[must_use]
    pub fn pack_with(&self, build_id: &[u8]) -> Option<PathBuf> {
        self.packages.pack_with(build_id)
    }

    /// All files that may be a module's by their names; which of them is, the caller has to find out.
    pub fn module_files(&self, name: &str) -> impl Iterator<Item = PathBuf> + use<> {
        let mut seen = std::collections::HashSet::new();
        let places = self.module_places(name, None).into_iter().chain(self.packages.packed_modules(name));
        places.filter(move |path| path.is_file() && seen.insert(path.clone()))
    }

    /// Gets the file in which dwz keeps what debug files have in common: out of packages, else from servers. It is
    /// called so in the files that need it, or by its build id.
    #[must_use]
    pub fn supplement(&self, name: &str, build_id: &[u8]) -> Option<PathBuf> {
        let mut tried = Vec::new();
        let unpacked = self.packages.supplement(name, build_id, &mut tried);
        unpacked.or_else(|| {
            let servers = self.servers.as_ref()?;
            servers.fetch(build_id, &Artifact::DebugInfo, &self.packages.watch).ok()
        })
    }

    /// Notes that a file of the cache is in use.
    fn used(&self, search: &Search) {
        if let Some(found) = search.found.as_ref().filter(|f| f.path.starts_with(&self.packages.cache)) {
            cache::touch(&found.path);
        }
    }

    /// Asks the servers alone for a file by its build id.
    #[must_use]
    pub fn served(&self, build_id: Option<&[u8]>) -> Search {
        let mut search = Search::default();
        self.ask_servers(build_id, &mut search);
        search
    }

    /// The servers that are asked last.
    #[must_use]
    pub fn servers(&self) -> Option<&Arc<Debuginfod>> {
        self.servers.as_ref()
    }

    fn ask_servers(&self, build_id: Option<&[u8]>, search: &mut Search) {
        let (Some(servers), Some(id)) = (&self.servers, build_id) else { return };
        match servers.fetch(id, &Artifact::DebugInfo, &self.packages.watch) {
            Ok(path) => search.adopt(path, build_id),
            Err(e) => {
                let path = PathBuf::from(servers.describe());
                search.tried.push(Tried { path, outcome: Outcome::NotServed(e.to_string()) });
            }
        }
    }

    fn vmlinux_places(&self, build_id: Option<&[u8]>) -> impl Iterator<Item = PathBuf> + use<> {
        let release = &self.release;
        let names = [
            format!("vmlinux-{release}.debug"),
            format!("vmlinux-{release}"),
            "vmlinux.debug".into(),
            "vmlinux".into(),
        ];
        let mut places = Vec::new();
        for dir in &self.dirs {
            let inside = [
                String::new(),
                "boot".into(),
                format!("usr/lib/debug/lib/modules/{release}"),
                "usr/lib/debug/boot".into(),
            ];
            for sub in inside {
                places.extend(names.iter().map(|n| dir.join(&sub).join(n)));
            }
        }
        for dir in &self.near {
            places.extend(names.iter().map(|n| dir.join(n)));
        }
        places.extend(build_id.into_iter().flat_map(|id| self.by_build_id(id)));
        if !self.system {
            return with_packed(places);
        }
        let system = [
            format!("usr/lib/debug/boot/vmlinux-{release}"),
            format!("usr/lib/debug/boot/vmlinux-{release}.debug"),
            format!("usr/lib/debug/lib/modules/{release}/vmlinux"),
            format!("usr/lib/debug/usr/lib/modules/{release}/vmlinux"),
            format!("usr/lib/debug/usr/lib/modules/{release}/vmlinux.debug"),
            format!("usr/lib/debug/lib/modules/{release}/vmlinux.debug"),
            format!("lib/modules/{release}/build/vmlinux"),
            format!("lib/modules/{release}/vmlinux"),
            format!("boot/vmlinux-{release}.debug"),
            format!("boot/vmlinux-{release}"),
        ];
        places.extend(system.iter().map(|p| self.root.join(p)));
        with_packed(places)
    }

    fn module_places(&self, name: &str, build_id: Option<&[u8]>) -> Vec<PathBuf> {
        let mut places = Vec::new();
        for dir in &self.near {
            for name in [name.to_owned(), name.replace('_', "-")] {
                places.extend([".ko.debug", ".ko"].iter().map(|ext| dir.join(format!("{name}{ext}"))));
            }
        }
        let mut places: Vec<PathBuf> = with_packed(places).collect();
        let by_id: Vec<PathBuf> = build_id.into_iter().flat_map(|id| self.by_build_id(id)).collect();
        let has_build = by_id.iter().any(|place| place.exists());
        places.extend(by_id);
        let index = self.index.get_or_init(|| {
            let release = &self.release;
            let system = [
                format!("usr/lib/debug/lib/modules/{release}"),
                format!("usr/lib/debug/usr/lib/modules/{release}"),
                format!("lib/modules/{release}"),
            ];
            let system = system.iter().filter(|_| self.system).map(|p| self.root.join(p));
            ModuleIndex::read(self.dirs.iter().cloned().chain(system))
        });
        places
            .splice(0..0, index.files(name).filter(|p| self.dirs.iter().any(|d| p.starts_with(d))).cloned());
        places.extend(index.files(name).filter(|p| !self.dirs.iter().any(|d| p.starts_with(d))).cloned());
        // a file that was renamed has its module's name in it; folders that were named are small
        if !has_build
            && !self.dirs.is_empty()
            && !places.iter().any(|p| self.dirs.iter().any(|d| p.starts_with(d)))
        {
            places.splice(0..0, index.renamed(name, &self.dirs).cloned());
        }
        places
    }

    /// The places whose names are made of a build-id.
    fn by_build_id(&self, id: &[u8]) -> Vec<PathBuf> {
        let hex = hex(id);
        let (first, rest) = hex.split_at_checked(2).unwrap_or(("", ""));
        let mut places: Vec<PathBuf> = self.caches.iter().map(|c| c.join(&hex).join("debuginfo")).collect();
        places.push(self.packages.cache.join("debug").join(&hex).join("debuginfo"));
        if self.system {
            places.push(self.root.join(format!("usr/lib/debug/.build-id/{first}/{rest}.debug")));
        }
        places
    }
}

/// A pack, by its name and its first bytes; of which build it is, its index says.
fn is_pack_by_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == pack::EXTENSION) && is_pack(path)
}

/// Each path, then the same packed; the disk is asked for a packed one when its turn comes.
fn with_packed(places: Vec<PathBuf>) -> impl Iterator<Item = PathBuf> + use<> {
    let packed = |p: PathBuf| {
        let with = |ext: &str| {
            let mut name = p.clone().into_os_string();
            name.push(ext);
            PathBuf::from(name)
        };
        let all = [with(".xz"), with(".zst"), with(".gz"), with(".bz2")];
        std::iter::once(p).chain(all)
    };
    // packed files are only worth a line in the list of what was tried when they are there
    places.into_iter().flat_map(packed).filter(|p| !is_packed(p) || p.exists())
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["xz", "zst", "gz", "bz2"].into_iter().any(|packed| e == packed))
}

/// Where the caches have the debug file of a build, if they have it.
pub(crate) fn caches(build_id: &[u8]) -> Vec<PathBuf> {
    let own = cache_dir().join("debug");
    let of = |cache: PathBuf| cache.join(hex(build_id)).join("debuginfo");
    std::iter::once(own).chain(debuginfod::cache_dirs()).map(of).collect()
}

/// Folders of other programs in which debug files that were fetched lie.
#[must_use]
pub fn shared_caches() -> Vec<PathBuf> {
    debuginfod::cache_dirs()
}

/// Bytes in hex, as build-ids are written.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}"); // a String takes everything
        s
    })
}

/// The first that is right and has DWARF, else the first that is right.
fn take_first(places: impl IntoIterator<Item = PathBuf>, build_id: Option<&[u8]>) -> Search {
    let mut search = Search::default();
    let mut seen = std::collections::HashSet::new();
    for path in places {
        if !seen.insert(path.clone()) {
            continue;
        }
        let (outcome, file) = try_file(&path, build_id);
        search.tried.push(Tried { path: path.clone(), outcome: outcome.clone() });
        let Some(file) = file else { continue };
        let has_dwarf = outcome == Outcome::Taken;
        if has_dwarf || search.found.is_none() {
            search.found = Some(FoundFile { path, file, verified: build_id.is_some(), has_dwarf });
        }
        if has_dwarf {
            break;
        }
    }
    search
}

fn try_file(path: &Path, build_id: Option<&[u8]>) -> (Outcome, Option<ObjectFile>) {
    // an empty file is how debuginfod's clients note that no server has it
    if !path.metadata().is_ok_and(|m| m.is_file() && m.len() != 0) {
        return (Outcome::Missing, None);
    }
    let file = match ObjectFile::open(path) {
        Ok(file) => file,
        Err(e) => return (Outcome::Unreadable(e.to_string()), None),
    };
    if let Some(wanted) = build_id {
        let has = file.build_id().unwrap_or_default();
        if has != wanted {
            return (Outcome::OtherBuild { build_id: hex(has) }, None);
        }
    }
    let has_dwarf = file.header(".debug_info").is_some_and(|s| !s.is_nobits());
    let has_symbols = file.symbols().count_left() > 1;
    match (has_dwarf, has_symbols) {
        (true, _) => (Outcome::Taken, Some(file)),
        (false, true) => (Outcome::NoDwarf, Some(file)),
        (false, false) => (Outcome::Unreadable("has neither symbols nor debug information".into()), None),
    }
}
