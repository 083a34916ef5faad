//! Debug files in use: vmlinux, and those of modules, each opened when an address or a type of it is
//! asked for.

mod needs;
mod placement;
pub mod source;

use crate::error::{KernelError, Result};
use crate::module::{self, Module};
use crate::opening::open::Build;
use crate::session::{Fact, Memo, Session};
use base::VirtAddr;
use debuginfo::Blob;
use debuginfo::cfi::{CfiRow, CfiTable};
use debuginfo::dwarf::{CodeFrame, DwarfFile, SourceLine, Variable, Whereabouts};
use debuginfo::elf::{ObjectFile, Placement, build_id_of_notes, modinfo, module_own_name};
use debuginfo::find::{Tried, hex};
use debuginfo::symtab::Symbol;
use debuginfo::types::{Scope, SourceId};
pub use needs::{Need, Of};
use placement::Elsewhere;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// One file's debug information, placed where its code is in the dump.
pub struct DebugFile {
    /// The file.
    pub object: Arc<ObjectFile>,
    /// Its DWARF, where it has some.
    pub dwarf: Option<Arc<DwarfFile>>,
    /// Its types' place among the session's sources.
    pub source: Option<SourceId>,
    /// Where its sections are in the dump.
    place: Placement,
    /// Its call frame information, read when it is asked for.
    cfi: OnceLock<Option<CfiTable>>,
    /// Why it has no DWARF.
    pub problem: Option<String>,
}

impl DebugFile {
    fn of_kernel(s: &Session) -> Option<Arc<Self>> {
        let own = s.vmlinux().filter(|_| s.opened().build != Build::Foreign);
        let object = Arc::clone(own?);
        let place = Placement::slid(s.boot().slide());
        let (dwarf, source, problem) = match &s.loaded().dwarf {
            Some(Ok((dwarf, source))) => (Some(Arc::clone(dwarf)), Some(*source), None),
            Some(Err(e)) => (None, None, Some(e.clone())),
            None => (None, None, None),
        };
        Some(Arc::new(Self { object, dwarf, source, place, cfi: OnceLock::new(), problem }))
    }

    fn of_module(s: &Session, m: &Module, object: ObjectFile) -> Arc<Self> {
        let place = Placement::new(s.module_sections(m, &object).unwrap_or_default());
        Self::added(s, object, place, Scope::Module(m.name.as_str().into()))
    }

    fn of_fetched_kernel(s: &Session, object: ObjectFile) -> Arc<Self> {
        Self::added(s, object, Placement::slid(s.boot().slide()), Scope::Kernel)
    }

    /// A file whose types are added to those of the session.
    fn added(s: &Session, object: ObjectFile, place: Placement, scope: Scope) -> Arc<Self> {
        let (object, cfi) = (Arc::new(object), OnceLock::new());
        let elsewhere = |name: &str, id: &[u8]| s.opened().finder.as_ref()?.supplement(name, id);
        Arc::new(match DwarfFile::open_with(Arc::clone(&object), &place, &elsewhere) {
            Ok(dwarf) => {
                let dwarf = Arc::new(dwarf);
                let source = s.types().add(|id| Ok::<_, ()>(dwarf.source(id, scope))).ok();
                Self { object, dwarf: Some(dwarf), source, place, cfi, problem: None }
            }
            Err(e) => Self { object, dwarf: None, source: None, place, cfi, problem: Some(e.to_string()) },
        })
    }

    /// Its call frame information.
    pub fn cfi(&self) -> Option<&CfiTable> {
        let table = self.cfi.get_or_init(|| {
            if self.object.has_relocations() {
                let frames = self.object.relocated_section(".debug_frame", &self.place).unwrap_or_default();
                return (!frames.is_empty()).then(|| CfiTable::new(Blob::new(frames), 0));
            }
            // linked in place: the section is read where it is
            section_blob(&self.object, ".debug_frame").map(|blob| CfiTable::new(blob, self.place.slide()))
        });
        table.as_ref()
    }
}

fn section_blob(object: &ObjectFile, name: &str) -> Option<Blob> {
    let bytes = object.section(name).ok().flatten()?;
    let whole = Blob::new(object.data().clone());
    Some(whole.window_of(bytes).unwrap_or_else(|| Blob::new(bytes.to_vec())))
}

/// What asking servers for the kernel's debug file came to.
#[derive(Default)]
pub(crate) struct Fetched {
    debug: Option<Arc<DebugFile>>,
    tried: Vec<Tried>,
}

/// A module's debug file, or that there is none.
#[derive(Clone, Default)]
pub(crate) struct ModuleFile {
    file: Option<Arc<DebugFile>>,
    /// Servers may have one: they were not to be asked.
    unasked: bool,
}

impl Fact for Fetched {
    const STAYS: bool = true;
    fn read(s: &Session) -> Self {
        let Some(finder) = s.opened().finder.as_ref() else { return Self::default() };
        let search = finder.served(s.opened().build_id.as_deref());
        let debug = search.found.map(|found| DebugFile::of_fetched_kernel(s, found.file));
        Self { debug, tried: search.tried }
    }
}

/// The debug information of the vmlinux that was there when the dump was opened.
#[derive(Default)]
struct OfKernel(Option<Arc<DebugFile>>);

impl Fact for OfKernel {
    const STAYS: bool = true;
    fn read(s: &Session) -> Self {
        Self(DebugFile::of_kernel(s))
    }
}

/// The debug files of modules that are in use or were looked for.
#[derive(Default)]
struct OfModules(Memo<VirtAddr, ModuleFile>);

impl Fact for OfModules {
    const STAYS: bool = true;
    fn read(_: &Session) -> Self {
        Self::default()
    }
}

/// The module files that the user named, with their modules' names: those in the files, else those of the files.
#[derive(Default)]
struct NamedModules(Vec<(PathBuf, String)>);

impl Fact for NamedModules {
    const STAYS: bool = true;
    fn read(s: &Session) -> Self {
        let named = |path: &PathBuf| {
            let own = ObjectFile::open(path).ok().and_then(|object| module_own_name(&object));
            (path.clone(), own.unwrap_or_else(|| module_stem(path).replace('-', "_")))
        };
        Self(s.opened().module_files.iter().map(named).collect())
    }
}

impl Session {
    /// vmlinux's debug information: of the file that was there when the dump was opened, else from a server, where the
    /// running command may ask one.
    pub fn kernel_debug(&self) -> Option<&Arc<DebugFile>> {
        self.kernel_debug_at_hand().or_else(|| self.fetch_kernel_debug())
    }

    /// The same without asking a server.
    pub fn kernel_debug_at_hand(&self) -> Option<&Arc<DebugFile>> {
        let own = self.fact::<OfKernel>().0.as_ref();
        own.or_else(|| self.fact_at_hand::<Fetched>().and_then(|fetched| fetched.debug.as_ref()))
    }

    /// Asks servers for vmlinux's debug information, once a session. Its types come behind those that are there.
    fn fetch_kernel_debug(&self) -> Option<&Arc<DebugFile>> {
        if let Some(fetched) = self.fact_at_hand::<Fetched>() {
            return fetched.debug.as_ref();
        }
        let finder = self.opened().finder.as_ref().filter(|_| self.vmlinux().is_none())?;
        if !finder.servers()?.may_ask() {
            return None;
        }
        self.fact::<Fetched>().debug.as_ref()
    }

    /// The kernel's debug file, where there is one: given, found or fetched.
    #[must_use]
    pub fn kernel_file(&self) -> Option<&Arc<ObjectFile>> {
        let fetched = || self.fact_at_hand::<Fetched>()?.debug.as_ref().map(|debug| &debug.object);
        self.vmlinux().or_else(fetched)
    }

    /// The debug files that are read: the kernel's, and those of modules.
    pub(crate) fn debug_files(&self) -> Vec<PathBuf> {
        let of_modules = self.modules().iter().filter_map(|m| self.module_debug_loaded(m));
        let modules = of_modules.map(|file| file.object.path().to_owned());
        self.kernel_file().map(|file| file.path().to_owned()).into_iter().chain(modules).collect()
    }

    /// Where the kernel's debug file was looked for, and how each place fared.
    #[must_use]
    pub fn kernel_file_tried(&self) -> Vec<Tried> {
        let mut tried = self.opened().vmlinux_tried.clone();
        if let Some(fetched) = self.fact_at_hand::<Fetched>() {
            tried.retain(|t| !fetched.tried.iter().any(|later| later.path == t.path));
            tried.extend(fetched.tried.iter().cloned());
        }
        tried
    }

    /// A module's debug information: what was loaded, else what was named on the command line or
    /// lies where distributions put it.
    pub fn module_debug(&self, m: &Module) -> Option<Arc<DebugFile>> {
        match self.fact::<OfModules>().0.known(&m.at) {
            // a file that was not asked for before may be asked for now
            Some(known) if !(known.unasked && self.may_ask()) => known.file,
            _ => self.find_module_file(m),
        }
    }

    /// As [`Self::module_debug`], and looks again where nothing was found before, or where the file was
    /// given up: `mod -s NAME`.
    pub fn find_module_file(&self, m: &Module) -> Option<Arc<DebugFile>> {
        if let Some(loaded) = self.module_debug_loaded(m) {
            return Some(loaded);
        }
        let found = self.module_object(m).map(|object| DebugFile::of_module(self, m, object));
        // a stop while it was unpacked or fetched is no answer to keep
        if found.is_some() || !self.is_disturbed() {
            let unasked = found.is_none() && !self.may_ask();
            self.keep_module_file(m, ModuleFile { file: found.clone(), unasked });
        }
        found
    }

    /// A module's file: one that was named, else one that is found.
    fn module_object(&self, m: &Module) -> Option<ObjectFile> {
        let named = self.named_files(m).find_map(|path| self.check_module_file(m, path).ok());
        named.or_else(|| {
            let Some(id) = self.module_build_id(m) else { return self.proven_file(m).ok() };
            let finder = self.opened().finder.as_ref()?;
            finder.module_among(&m.name, Some(&id), &|| self.module_build_ids()).found.map(|f| f.file)
        })
    }

    /// True where servers may be asked, and where there are none.
    fn may_ask(&self) -> bool {
        let servers = self.opened().finder.as_ref().and_then(|finder| finder.servers());
        servers.is_none_or(|servers| servers.may_ask())
    }

    fn keep_module_file(&self, m: &Module, file: ModuleFile) {
        self.fact::<OfModules>().0.put(m.at, file);
    }

    /// Where a module's debug file is, without unpacking a package or asking a server for it.
    #[must_use]
    pub fn module_file_at_hand(&self, m: &Module) -> Option<PathBuf> {
        if let Some(file) = self.module_debug_loaded(m) {
            return Some(file.object.path().to_owned());
        }
        if let Some(path) = self.named_files(m).find(|path| self.check_module_file(m, path).is_ok()) {
            return Some(path.clone());
        }
        let Some(id) = self.module_build_id(m) else {
            return self.proven_file(m).ok().map(|file| file.path().to_owned());
        };
        self.opened().finder.as_ref()?.module_at_hand(&m.name, Some(&id)).found.map(|f| f.path)
    }

    /// Why the files that have the module's name and lie where debug files do were not taken, where the dump does
    /// not tell the module's build id.
    #[must_use]
    pub fn module_files_refused(&self, m: &Module) -> Vec<String> {
        match self.module_build_id(m) {
            Some(_) => Vec::new(),
            None => self.proven_file(m).err().unwrap_or_default(),
        }
    }

    /// A module's file that nobody named, where the dump does not tell the build id: it must be of this kernel by
    /// its own words, and so many of its symbols must be at the dump's places that it is of no other build. Else why
    /// those that have the name were not taken.
    fn proven_file(&self, m: &Module) -> std::result::Result<ObjectFile, Vec<String>> {
        let Some(finder) = self.opened().finder.as_ref() else { return Err(Vec::new()) };
        let mut refused = Vec::new();
        for path in finder.module_files(&m.name) {
            match self.prove(m, &path) {
                Ok(object) => return Ok(object),
                Err(e) => refused.push(e.to_string()),
            }
        }
        Err(refused)
    }

    fn prove(&self, m: &Module, path: &Path) -> Result<ObjectFile> {
        let object = self.check_module_file(m, path)?;
        let unproven = |why: String| {
            let name = &m.name;
            KernelError::Open(format!(
                "{}: not proven to be the module's in the dump: {why}; \"mod -s {name} FILE\" takes it all the same",
                path.display()
            ))
        };
        if object.header(".debug_info").is_none_or(|s| s.is_nobits()) {
            return Err(KernelError::Open(format!("{}: has no debug information", path.display())));
        }
        let release = self.opened().release().unwrap_or_default();
        match modinfo(&object, b"vermagic=") {
            Some(magic) if magic.split(' ').next() != Some(release.as_str()) => {
                return Err(unproven(format!("it is for kernel {:?}", magic.trim_end())));
            }
            _ => {}
        }
        let own = m.srcversion.as_ref().ok().and_then(Option::as_ref);
        let same_source = own.is_some() && modinfo(&object, b"srcversion=").as_ref() == own;
        let of = |s: &Symbol<'_>| s.module == Some(m.name.as_str());
        let symbols = self.module_symbols().iter().filter(of).map(|s| (s.name, s.addr.0));
        match placement::proof(&object, symbols) {
            Ok(agreeing) if agreeing >= PROOF || (same_source && agreeing != 0) => Ok(object),
            Ok(agreeing) => Err(unproven(format!(
                "neither build id nor source version is known, and only {agreeing} symbols can be compared, where {PROOF} would prove it"
            ))),
            Err(e) => Err(unproven(format!("{} {} is not the dump's {}", e.what, e.file, e.dump))),
        }
    }

    /// Names and build ids of all modules whose build ids the dump tells.
    #[must_use]
    pub fn module_build_ids(&self) -> Vec<(String, Vec<u8>)> {
        self.modules().iter().filter_map(|m| Some((m.name.clone(), self.module_build_id(m)?))).collect()
    }

    /// As [`Self::load_module_file`], where the user named the file: one whose debug information is damaged is refused.
    ///
    /// # Errors
    /// It cannot be read, is no module, is of another build, or its debug information is damaged.
    pub fn load_named_module_file(&self, m: &Module, path: &Path) -> Result<Arc<DebugFile>> {
        let object = self.check_module_file(m, path)?;
        let place = Placement::slid(0);
        let elsewhere = |name: &str, id: &[u8]| self.opened().finder.as_ref()?.supplement(name, id);
        DwarfFile::open_with(Arc::new(object), &place, &elsewhere)
            .and_then(|dwarf| dwarf.check())
            .map_err(|e| KernelError::Open(e.to_string()))?;
        self.load_module_file(m, path)
    }

    /// Loads a module's debug file, in place of any it has.
    ///
    /// # Errors
    /// It cannot be read, is no module, is of another build, or has nothing that can be used.
    pub fn load_module_file(&self, m: &Module, path: &Path) -> Result<Arc<DebugFile>> {
        let object = self.check_module_file(m, path)?;
        let file = DebugFile::of_module(self, m, object);
        if let Some(why) = &file.problem {
            return Err(KernelError::Open(format!("{}: {why}", path.display())));
        }
        self.keep_module_file(m, ModuleFile { file: Some(Arc::clone(&file)), unasked: false });
        Ok(file)
    }

    /// The module's debug file, where one is in use already.
    pub fn module_debug_loaded(&self, m: &Module) -> Option<Arc<DebugFile>> {
        self.fact::<OfModules>().0.known(&m.at)?.file
    }

    /// As [`Self::module_debug_loaded`]; a file that was named for the module on the command line is put to use for that.
    pub fn module_debug_named(&self, m: &Module) -> Option<Arc<DebugFile>> {
        let is_first = self.fact::<OfModules>().0.known(&m.at).is_none();
        if is_first && self.named_files(m).next().is_some() {
            return self.find_module_file(m);
        }
        self.module_debug_loaded(m)
    }

    /// Forgets a module's debug file: `mod -d`.
    pub fn unload_module_file(&self, m: &Module) {
        self.keep_module_file(m, ModuleFile::default());
    }

    /// The files named on the command line that are of this module, by their names.
    fn named_files<'a>(&'a self, m: &Module) -> impl Iterator<Item = &'a PathBuf> + use<'a> {
        let wanted = m.name.replace('-', "_");
        self.fact::<NamedModules>().0.iter().filter(move |(_, name)| *name == wanted).map(|(path, _)| path)
    }

    /// What is wrong with the module files that were named: each would otherwise be passed over silently.
    #[must_use]
    pub fn named_module_problems(&self) -> Vec<String> {
        let image = &self.opened().machine.image;
        let problem = |(path, name): &(PathBuf, String)| {
            let shown = image.shown(path);
            let Some(m) = self.modules().iter().find(|m| m.name.replace('-', "_") == *name) else {
                return Some(format!("{shown}: not used: no module {name} is loaded in the dump"));
            };
            match self.check_module_file(m, path) {
                Err(e) => Some(format!("not used: {e}").replacen(&path.display().to_string(), &shown, 1)),
                Ok(file) if file.header(".debug_info").is_none_or(|s| s.is_nobits()) => Some(format!(
                    "{shown}: has no debug information (it is stripped): of {} it tells nothing that the dump does not",
                    m.name
                )),
                Ok(_) => None,
            }
        };
        self.fact::<NamedModules>().0.iter().filter_map(problem).collect()
    }

    /// Opens a module's file and checks that it is of the build that the dump has loaded.
    fn check_module_file(&self, m: &Module, path: &Path) -> Result<ObjectFile> {
        if path.is_dir() {
            let path = path.display();
            return Err(KernelError::Open(format!(
                "{path}: is a folder; \"mod -S {path}\" looks through one"
            )));
        }
        let object =
            ObjectFile::open(path).map_err(|e| KernelError::Open(format!("{}: {e}", path.display())))?;
        let wrong = |what, file, dump| KernelError::WrongModule { path: path.to_owned(), what, file, dump };
        match (object.build_id(), self.module_build_id(m)) {
            (Some(file), Some(dump)) if file != dump => return Err(wrong("build id", hex(file), hex(&dump))),
            (Some(_), Some(_)) => {}
            // without build ids the checksum of the module's source tells builds apart, where modules have one
            _ => {
                if let (Some(file), Ok(Some(dump))) = (modinfo(&object, b"srcversion="), &m.srcversion)
                    && file != *dump
                {
                    return Err(wrong("srcversion", file, dump.clone()));
                }
                if let Err(elsewhere) = self.module_sections(m, &object) {
                    return Err(wrong(elsewhere.what, elsewhere.file, elsewhere.dump));
                }
            }
        }
        Ok(object)
    }

    /// Where the sections of a module's file are: from the dump's section attributes, else from its symbols.
    fn module_sections(
        &self,
        m: &Module,
        file: &ObjectFile,
    ) -> std::result::Result<Vec<(String, u64)>, Elsewhere> {
        let known = module::sections(self, m.at).unwrap_or_default();
        if !known.is_empty() {
            return Ok(known.into_iter().map(|(name, at)| (name, at.0)).collect());
        }
        let of = |s: &Symbol<'_>| s.module == Some(m.name.as_str());
        let symbols = self.module_symbols().iter().filter(of);
        placement::sections(file, symbols.map(|s| (s.name, s.addr.0)))
    }

    /// The build id of a module in the dump: its `.note.gnu.build-id` section stays in memory.
    #[must_use]
    pub fn module_build_id(&self, m: &Module) -> Option<Vec<u8>> {
        self.told_build_id(m).ok().flatten()
    }

    /// The same, with why it is not known; `None` where the module has none.
    fn told_build_id(&self, m: &Module) -> Result<Option<Vec<u8>>> {
        let sections = module::sections(self, m.at)?;
        let Some((_, at)) = sections.iter().find(|(name, _)| name == ".note.gnu.build-id") else {
            return Ok(None);
        };
        let raw = self.mem().bytes(*at, 36)?;
        Ok(build_id_of_notes(&raw).map(<[u8]>::to_vec))
    }

    /// The debug file whose code an address is in.
    #[must_use]
    pub fn debug_at(&self, at: VirtAddr) -> Option<Arc<DebugFile>> {
        if self.in_image(at) {
            return self.kernel_debug().cloned();
        }
        self.module_debug(self.module_at(at)?)
    }

    fn dwarf_at(&self, at: VirtAddr) -> Option<(Arc<DwarfFile>, SourceId)> {
        let file = self.debug_at(at)?;
        Some((file.dwarf.clone()?, file.source?))
    }

    /// The source line of an instruction. For a return address, ask with the address before it.
    #[must_use]
    pub fn source_line(&self, at: VirtAddr) -> Option<SourceLine> {
        self.dwarf_at(at)?.0.line(at.0)
    }

    /// The part of a source file's path from the directory on in which the code at an instruction was compiled, as
    /// the compiler was called with it; the whole path of a file that lies elsewhere.
    #[must_use]
    pub fn source_name<'p>(&self, at: VirtAddr, path: &'p str) -> &'p str {
        let root = self.dwarf_at(at).and_then(|(d, _)| d.compiled_in(at.0)).filter(|root| !root.is_empty());
        let within = root.and_then(|root| path.strip_prefix(root.as_str())?.strip_prefix('/'));
        within.unwrap_or(path)
    }

    /// The function at an instruction and the calls inlined there, innermost first.
    #[must_use]
    pub fn inline_frames(&self, at: VirtAddr) -> Vec<CodeFrame> {
        self.dwarf_at(at).map(|(d, _)| d.inline_frames(at.0)).unwrap_or_default()
    }

    /// The variables in scope at an instruction.
    #[must_use]
    pub fn variables_at(&self, at: VirtAddr) -> Vec<Variable> {
        self.dwarf_at(at).map(|(d, source)| d.variables_at(at.0, source)).unwrap_or_default()
    }

    /// Where a variable that [`Self::variables_at`] found at an address is, over all of its function's code.
    ///
    /// # Errors
    /// No debug information covers the address, or its bytes contradict the standard.
    pub fn whereabouts(
        &self,
        at: VirtAddr,
        variable: &Variable,
    ) -> std::result::Result<Vec<Whereabouts>, String> {
        let Some((dwarf, _)) = self.dwarf_at(at) else {
            return Err("no debug information covers it".to_owned());
        };
        let names = self.arch().reg_set().names;
        let register = |number: u16| {
            let name = names.get(usize::from(number)).filter(|name| !name.is_empty());
            name.map_or_else(|| format!("register {number}"), |name| (*name).to_owned())
        };
        dwarf.whereabouts(variable, &register)
    }

    /// The call frame information for an instruction.
    pub(crate) fn cfi(&self, pc: VirtAddr) -> Option<CfiRow> {
        self.debug_at(pc)?.cfi()?.row(pc)
    }
}

/// Symbols at the same offsets in a file and in the dump that show them to be of one build.
const PROOF: usize = 8;

/// `virtio_ring` of `/x/virtio_ring.ko.debug.xz`.
fn module_stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(".ko").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_s_name_from_its_file() {
        for path in ["/a/virtio_ring.ko", "virtio_ring.ko.debug", "/b/virtio_ring.ko.xz"] {
            assert_eq!(module_stem(Path::new(path)), "virtio_ring");
        }
    }
}
