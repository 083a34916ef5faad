//! What a session is opened with: looks for debug files, and checks that a vmlinux is of the same build as the
//! dump's kernel. Reads nothing that grows with the dump.

use crate::error::{KernelError, Result};
use crate::opening::logged::UNPLACED;
use crate::opening::machine::Machine;
use crate::opening::options::{Fetch, OpenOptions};
use crate::opening::symbols::KernelSymbols;
use crate::opening::system_map::SystemMap;
use crate::opening::workspace::Workspace;
use base::{VirtAddr, VirtRead};
use debuginfo::elf::ObjectFile;
use debuginfo::find::{Debuginfod, Finder, Outcome, Tried, Watch, hex};
use debuginfo::kallsyms::{self, Addresses};
use debuginfo::pack::is_pack;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was given and found when a dump was opened.
pub struct Opened {
    /// The layers below.
    pub machine: Machine,
    /// The kernel's ELF file.
    pub vmlinux: Option<Arc<ObjectFile>>,
    /// What the kernel's ELF file is worth.
    pub build: Build,
    /// The System.map that was named.
    pub system_map: Option<SystemMap>,
    /// Module files that were named.
    pub module_files: Vec<PathBuf>,
    /// The build id of the dump's kernel, where it is known.
    pub build_id: Option<Vec<u8>>,
    /// What the user ought to know: `--force` was needed, a file was passed over ...
    pub warnings: Vec<String>,
    /// See [`OpenOptions::ignore_btf`].
    pub ignore_btf: bool,
    /// See [`OpenOptions::kernel`].
    pub kernel: Option<usize>,
    /// See [`OpenOptions::kaslr`].
    pub kaslr: Option<u64>,
    /// See [`OpenOptions::cpus`].
    pub cpus: Option<u32>,
    /// See [`OpenOptions::active_only`].
    pub active_only: bool,
    /// The release in the kernel's banner, where nothing else told it.
    pub banner_release: Option<String>,
    /// Trees, archives and packages of source text that were named.
    pub source_dirs: Vec<PathBuf>,
    /// Packages that were named.
    pub packages: Vec<PathBuf>,
    /// The debuginfod servers that may be asked.
    pub servers: Option<Arc<Debuginfod>>,
    /// Nothing but what was named is used.
    pub no_search: bool,
    /// Where long work says how far it is, and what stops it.
    pub watch: Watch,
    /// See [`OpenOptions::workspace`].
    pub workspace: Option<Arc<Workspace>>,
    /// Where debug files are looked for; `None` where that is not wanted, or the release not known.
    pub finder: Option<Finder>,
    /// Where a vmlinux was looked for, and how each place fared.
    pub vmlinux_tried: Vec<Tried>,
}

/// Whose build a vmlinux is. One of another is only taken by force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Build {
    /// The dump's, as far as is known.
    #[default]
    Own,
    /// Another, whose functions and variables lie where the dump's are.
    Alike,
    /// Another, with other addresses: only its types are used.
    Foreign,
}

/// Makes the finder of debug files, and looks for a vmlinux where none was named. Called once the release
/// is known.
pub(crate) fn search(opened: &mut Opened, options: &OpenOptions) -> Result<()> {
    let release = match opened.release() {
        Some(release) => release,
        // what a package holds is told by build ids, not by the release
        None if !opened.packages.is_empty() => String::new(),
        None => return Ok(()),
    };
    if options.no_search && opened.packages.is_empty() {
        return Ok(());
    }
    if let Some(servers) = &opened.servers {
        // lines and variables are fetched when a command wants them, types and names before any of them can answer
        let lacks = || options.ignore_btf || !has_types(opened);
        servers.allow(options.fetch >= Fetch::Lacking && lacks());
    }
    let finder = finder(opened, options, &release);
    if opened.vmlinux.is_some() {
        if let Some(servers) = finder.servers() {
            servers.allow(options.fetch == Fetch::Always);
        }
        opened.finder = Some(finder);
        return Ok(());
    }
    if opened.build_id.is_none() && opened.packages.iter().any(|package| is_pack(package)) {
        // before a pack is unpacked for it
        opened.build_id = build_id_of_notes(opened);
    }
    let search = finder.vmlinux(opened.build_id.as_deref());
    if let Some(servers) = finder.servers() {
        servers.allow(options.fetch == Fetch::Always);
    }
    opened.finder = Some(finder);
    opened.vmlinux_tried = search.tried;
    if search.found.is_none() {
        // a package that was named was named for this
        let of_packages = opened.vmlinux_tried.iter().filter(|t| opened.packages.contains(&t.path));
        let told = of_packages.map(|t| match &t.outcome {
            Outcome::NotInPackage => format!("{}: holds no vmlinux", t.path.display()),
            outcome => format!("{}: vmlinux: {outcome}", t.path.display()),
        });
        opened.warnings.extend(told.collect::<Vec<_>>());
    }
    // one that was found and not asked for is passed over where it is of another build
    if let Some(found) = search.found
        && let Err(e) = adopt(opened, Arc::new(found.file), false)
    {
        opened.warnings.push(e.to_string());
    }
    Ok(())
}

/// True for a kernel that has its types in memory, and names the place where they are.
fn has_types(opened: &Opened) -> bool {
    const NAMES: [&str; 2] = ["_stext", "__start_BTF"];
    let few = Addresses::from_lookup(|name| opened.machine.info.symbol(name))
        .ok()
        .and_then(|at| kallsyms::few(&*opened.machine.mem, &at, &NAMES).ok());
    match few.as_deref() {
        Some([_, types]) => types.is_some(),
        _ => KernelSymbols::from_kallsyms(opened).table.addr("__start_BTF").is_some(),
    }
}

/// The build id in the kernel's notes, by the symbols in memory.
fn build_id_of_notes(opened: &Opened) -> Option<Vec<u8>> {
    let table = KernelSymbols::from_kallsyms(opened).table;
    let (start, end) = (table.addr("__start_notes")?, table.addr("__stop_notes")?);
    build_id_at(&*opened.machine.mem, start, end.0.checked_sub(start.0)?)
}

/// Where debug files may be: in all places, or with `--no-search` in the packages that were named.
fn finder(opened: &Opened, options: &OpenOptions, release: &str) -> Finder {
    let mut finder = if options.no_search { Finder::named(release) } else { Finder::system(release) };
    for package in opened.packages.iter().filter(|p| !holds_source(p)) {
        finder = finder.with_package(package);
    }
    finder = finder.with_watch(opened.watch.clone());
    if options.no_search {
        return finder;
    }
    for dir in &options.debug_dirs {
        finder = finder.with_dir(dir);
    }
    for dir in &opened.machine.image.folders {
        finder = finder.with_near(dir);
    }
    finder.with_servers(opened.servers.clone())
}

/// A package of source text, by its name: linux-source, kernel-source, debugsource, kernel-debuginfo-common.
fn holds_source(package: &Path) -> bool {
    if is_pack(package) {
        return false;
    }
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    name.contains("source") || name.contains("debuginfo-common") || name.ends_with(".src.rpm")
}

fn open_vmlinux(path: &Path) -> Result<Arc<ObjectFile>> {
    ObjectFile::open(path).map(Arc::new).map_err(|e| KernelError::Open(format!("{}: {e}", path.display())))
}

impl Opened {
    /// A machine with the files that were named beside the dump.
    pub(crate) fn new(
        machine: Machine,
        options: &OpenOptions,
        servers: Option<Arc<Debuginfod>>,
    ) -> Result<Self> {
        let image = machine.image.clone();
        let sources = image.packages.iter().filter(|p| holds_source(p)).cloned();
        let mut opened = Self {
            build_id: build_id_of(&machine),
            machine,
            vmlinux: None,
            build: Build::Own,
            system_map: None,
            module_files: image.modules.clone(),
            warnings: Vec::new(),
            ignore_btf: options.ignore_btf,
            kernel: options.kernel,
            kaslr: options.kaslr,
            cpus: options.cpus,
            active_only: options.active_only,
            banner_release: None,
            source_dirs: options.source_dirs.iter().cloned().chain(sources).collect(),
            packages: image.packages.clone(),
            servers,
            no_search: options.no_search,
            watch: options.watch.clone(),
            workspace: options.workspace.clone(),
            finder: None,
            vmlinux_tried: Vec::new(),
        };
        if let Some(path) = &image.vmlinux {
            let own = open_vmlinux(path).and_then(|file| adopt(&mut opened, file, options.force));
            own.map_err(|e| image.as_given(e))?;
        }
        if let Some(path) = &image.system_map {
            let map = SystemMap::read(&mut opened, path, options.force);
            opened.system_map = Some(map.map_err(|e| image.as_given(e))?);
        }
        Ok(opened)
    }

    /// The kernel's release: VMCOREINFO's `OSRELEASE`, else the dump header's.
    #[must_use]
    pub fn release(&self) -> Option<String> {
        let header = || self.machine.image.dump.facts().utsname.as_ref().map(|u| u.release.clone());
        let own = || self.machine.own_release.clone();
        self.machine
            .info
            .get("OSRELEASE")
            .map(str::to_owned)
            .or_else(own)
            .or_else(header)
            .filter(|r| !r.is_empty())
            .or_else(|| self.banner_release.clone())
    }

    /// Reads VMCOREINFO where the kernel itself keeps it.
    pub(crate) fn read_vmcoreinfo(&mut self, symbol: impl Fn(&str) -> Option<VirtAddr>) {
        if let Some(own) = self.machine.own_vmcoreinfo(symbol) {
            self.machine.take_own_info(own);
        }
        self.build_id = build_id_of(&self.machine).or_else(|| self.build_id.take());
    }

    /// The same where no symbol leads to it: looks for its text.
    pub(crate) fn search_vmcoreinfo(&mut self) {
        if let Some(text) = crate::opening::image_scan::vmcoreinfo(self) {
            self.machine.take_own_info(base::VmcoreInfo::parse(&text));
            self.build_id = build_id_of(&self.machine).or_else(|| self.build_id.take());
        }
    }
}

fn build_id_of(machine: &Machine) -> Option<Vec<u8>> {
    machine.info.get("BUILD-ID").and_then(unhex)
}

/// Makes a vmlinux part of the session, after checking that it is the dump's kernel.
fn adopt(opened: &mut Opened, file: Arc<ObjectFile>, force: bool) -> Result<()> {
    let arch = opened.machine.arch;
    if !arch.is_machine(file.machine()) {
        let (path, of) = (file.path().display(), file.machine());
        let name = arch::by_machine(of)
            .map_or_else(|| format!("ELF e_machine {of}"), |own| arch::kernel_name(own.name()).to_owned());
        let this = arch::kernel_name(arch.name());
        return Err(KernelError::Open(format!(
            "{path}: it is of another machine ({name}); the dump is of {this}"
        )));
    }
    let moved = opened.kaslr.is_some();
    if !moved
        && !is_at_its_place(opened, &file)
        && let Some(offset) = moved_by(opened, &file)
    {
        opened.machine.boot.kaslr_offset = Some(offset);
    }
    if let Some(logged) = opened.machine.logged.clone() {
        if let Some(why) = logged.differs(&file) {
            if !force {
                let path = file.path().display();
                return Err(KernelError::Open(format!(
                    "{path}: not the kernel of this log: {why}; give the right one"
                )));
            }
            take_by_force(opened, &file, &why);
        }
        if !moved && logged.offset.is_none() {
            // where it was is not known
            let linked = file.symbol("_text").or_else(|| file.symbol("_stext")).map(|symbol| symbol.value);
            opened.machine.boot.kaslr_offset = linked.map(|linked| UNPLACED.wrapping_sub(linked));
        }
        opened.vmlinux = Some(file);
        return Ok(());
    }
    let told = opened.build_id.clone();
    let in_memory = build_id_in_memory(opened, &file);
    let is_proven = in_memory.is_some() && in_memory.as_deref() == file.build_id();
    let own = match told {
        Some(told) if Some(&*told) == file.build_id() => Some(told),
        // memory has the last word: the line of VMCOREINFO can be damaged
        told => in_memory.filter(|_| told.is_none() || is_proven).or(told),
    };
    match (&own, file.build_id()) {
        (Some(dump_id), Some(file_id)) if dump_id != file_id => {
            if !force {
                return Err(KernelError::WrongBuild {
                    path: file.path().to_owned(),
                    file: hex(file_id),
                    dump: hex(dump_id),
                });
            }
            let why = format!("its build id {} is not the dump's {}", hex(file_id), hex(dump_id));
            take_by_force(opened, &file, &why);
        }
        (None, _) => {
            if let Some(why) = banner_differs(opened, &file) {
                if !force {
                    return Err(KernelError::Open(format!("{}: {why}, or --force", file.path().display())));
                }
                take_by_force(opened, &file, &why);
            }
        }
        _ => {}
    }
    if !is_proven && let Some(why) = contradicted(opened, &file) {
        if !force {
            let path = file.path().display();
            return Err(KernelError::Open(format!(
                "{path}: {why}, though its build id is the dump's: the file is damaged, or no kernel; give another, or --force"
            )));
        }
        take_by_force(opened, &file, &why);
    }
    opened.build_id = own;
    opened.vmlinux = Some(file);
    Ok(())
}

/// What VMCOREINFO says of the kernel's image and this file does not: where a variable or the text is, or that the file is a
/// kernel at all.
fn contradicted(opened: &Opened, file: &ObjectFile) -> Option<String> {
    const PLACES: [&str; 4] = ["_stext", "init_uts_ns", "swapper_pg_dir", "node_online_map"];
    let told = |name: &'static str| Some((name, opened.machine.info.symbol(name)?, file.symbol(name)?.value));
    let slide = opened.machine.boot.slide();
    let elsewhere = PLACES.into_iter().filter_map(told).find(|(_, at, own)| own.wrapping_add(slide) != at.0);
    if let Some((name, at, own)) = elsewhere {
        let own = own.wrapping_add(slide);
        return Some(format!(
            "{name} would be at {own:#x} by its symbols, and is at {:#x} in the dump",
            at.0
        ));
    }
    // a file without symbols contradicts nothing
    let has_symbols = file.symbols().count_left() > 1;
    let has_text = || ["_text", "_stext"].into_iter().any(|name| file.symbol(name).is_some());
    (has_symbols && !has_text()).then(|| "its symbols have no text of a kernel (_text, _stext)".to_owned())
}

/// How far the image of this file lies above its link-time addresses. Its first mapped page is `_text`, or `_stext` where
/// nothing before that is mapped; where both could be, the banner tells which. Each symbol costs a pass over the table.
fn moved_by(opened: &Opened, file: &ObjectFile) -> Option<u64> {
    let (boot, align) = (&opened.machine.boot, opened.machine.arch.layout.image_align());
    let at = boot.text?;
    let offset = |name: &str| Some(at.0.wrapping_sub(file.symbol(name)?.value & !(align - 1)));
    let mut all = ["_text", "_stext"].into_iter().filter_map(offset);
    let first = all.next()?;
    if !opened.machine.arch.layout.may_begin_at_stext() {
        return Some(first);
    }
    let banner = file.symbol("linux_banner").map(|symbol| symbol.value);
    let fits = |offset: &u64| {
        banner.is_some_and(|at| opened.machine.has_banner(VirtAddr(at.wrapping_add(*offset))) == Ok(true))
    };
    let second = all.next().filter(|second| *second != first && !fits(&first) && fits(second));
    Some(second.unwrap_or(first))
}

/// A vmlinux of another build: its addresses count only where its banner's is that of the dump's.
fn take_by_force(opened: &mut Opened, file: &ObjectFile, why: &str) {
    let at = file.symbol("linux_banner").map(|s| s.value.wrapping_add(opened.machine.boot.slide()));
    let alike = at.is_some_and(|at| opened.machine.has_banner(VirtAddr(at)) == Ok(true));
    opened.build = if alike { Build::Alike } else { Build::Foreign };
    let used = match opened.build {
        Build::Foreign => {
            "; its addresses are not this kernel's: only its types are used, and only where memory does not contradict them"
        }
        _ => "",
    };
    opened.warnings.push(format!("{}: used by force: {why}{used}", file.path().display()));
}

/// True where the offset that the dump tells leads to this file's own build id in memory: then it is the right one, and no
/// symbol need be looked for.
fn is_at_its_place(opened: &Opened, file: &ObjectFile) -> bool {
    opened.machine.boot.kaslr_offset.is_some()
        && file.build_id().is_some_and(|own| build_id_in_memory(opened, file).is_some_and(|id| id == own))
}

/// The build id in the dump's memory, at the place where this vmlinux has its own (`.notes`).
fn build_id_in_memory(opened: &Opened, file: &ObjectFile) -> Option<Vec<u8>> {
    let notes = file.header(".notes")?;
    let at = VirtAddr(notes.addr().wrapping_add(opened.machine.boot.slide()));
    build_id_at(&*opened.machine.mem, at, notes.size())
}

/// The build id among the notes in so many bytes of the dump's memory.
pub(crate) fn build_id_at(mem: &dyn VirtRead, at: VirtAddr, len: u64) -> Option<Vec<u8>> {
    let raw = mem.bytes(at, usize::try_from(len.min(1 << 16)).ok()?).ok()?;
    debuginfo::elf::build_id_of_notes(&raw).map(<[u8]>::to_vec)
}

/// Why `linux_banner` of the file is not at its place in the dump; nothing where it is, and where the file cannot tell.
fn banner_differs(opened: &Opened, file: &ObjectFile) -> Option<String> {
    let symbol = file.symbol("linux_banner")?;
    let own = file.bytes_at(symbol.value).map(base::cstr)?;
    let at = VirtAddr(symbol.value.wrapping_add(opened.machine.boot.slide()));
    match opened.machine.mem.cstr(at, 512) {
        Ok(found) if found == own => None,
        Ok(_) => Some(
            "the kernel's banner in this file is not at the address in the dump where it should be: the file \
             belongs to another build, or the dump is damaged there; give the right one"
                .into(),
        ),
        Err(fault) => Some(format!(
            "whether this file is the dump's kernel cannot be checked, as its banner is not readable in the dump \
             ({fault}); leave it out"
        )),
    }
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids_in_hex() {
        assert_eq!(unhex("00ff1a"), Some(vec![0, 255, 26]));
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("abc"), None);
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
