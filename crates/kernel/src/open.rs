//! Opening: tells the files apart, finds the kernel in the dump, and checks that a vmlinux is of
//! the same build. Reads nothing that grows with the dump.

use crate::error::{KernelError, Result};
use crate::session::OpenOptions;
use crate::watched::WatchedPhys;
use arch::{Arch, Boot, CpuState, How, KernelMap};
use base::{PhysAddr, PhysRead, VirtAddr, VirtRead, VmcoreInfo};
use debuginfo::elf::ObjectFile;
use debuginfo::find::{Debuginfod, Finder, Outcome, Tried, Watch, hex, is_package};
use dump::{Dump, DumpError, Probe, looks_like_dump};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was given and found when a dump was opened.
pub struct Opened {
    /// The dump.
    pub dump: Arc<Dump>,
    /// The dump's files, in the order given.
    pub dump_paths: Vec<PathBuf>,
    /// VMCOREINFO, empty where there is none.
    pub info: VmcoreInfo,
    /// Where the kernel lies.
    pub boot: Boot,
    /// Its address space.
    pub mem: KernelMap,
    /// The CPUs' registers from the notes.
    pub cpu_states: Vec<CpuState>,
    /// The kernel's ELF file.
    pub vmlinux: Option<Arc<ObjectFile>>,
    /// Module files that were named.
    pub module_files: Vec<PathBuf>,
    /// The build id of the dump's kernel, where it is known.
    pub build_id: Option<Vec<u8>>,
    /// What the user ought to know: `--force` was needed, a file was passed over ...
    pub warnings: Vec<String>,
    /// See [`OpenOptions::ignore_btf`].
    pub ignore_btf: bool,
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
    /// Where debug files are looked for; `None` where that is not wanted, or the release not known.
    pub finder: Option<Finder>,
    /// Where a vmlinux was looked for, and how each place fared.
    pub vmlinux_tried: Vec<Tried>,
}

/// Files by what they are.
#[derive(Default)]
struct Files {
    dumps: Vec<PathBuf>,
    vmlinux: Option<PathBuf>,
    modules: Vec<PathBuf>,
    packages: Vec<PathBuf>,
}

const FOUR_GIB: u64 = 4 << 30;

/// Opens the files. Where the kernel is not found in a raw image that is as large as RAM can be below the hole that PCs
/// have there, it is looked for as if RAM behind went on at 4 GiB: QEMU's machines leave 1 or 2 GiB.
pub(crate) fn open(options: &OpenOptions) -> Result<Opened> {
    let plain = open_around(options, None);
    let holes = [1 << 30, 2 << 30];
    match plain {
        Err(e) if options.files.iter().any(|file| may_lack_a_hole(file)) => {
            let moved = holes.into_iter().find_map(|hole| open_around(options, Some(hole)).ok());
            moved.ok_or(e)
        }
        plain => plain,
    }
}

/// A single file that is as large.
fn may_lack_a_hole(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() > FOUR_GIB / 2)
        && matches!(looks_like_dump(path), Ok(Probe::Dump("raw RAM image")))
}

/// The size of the hole that a raw image leaves out below 4 GiB, by the last page that the kernel knows: what the image
/// lacks of it is the hole, where the image does hold something in its place.
pub(crate) fn hole_left_out(opened: &Opened, max_pfn: u64) -> Option<u64> {
    const SAMPLES: u64 = 1024;
    let [range] = opened.dump.ranges() else { return None };
    let len = range.end.0.checked_sub(range.start.0)?;
    let hole = max_pfn.checked_mul(base::PAGE_SIZE)?.checked_sub(len)?;
    let raw = opened.dump.format() == "raw RAM image" && range.start.0 == 0;
    let low =
        FOUR_GIB.checked_sub(hole).filter(|low| raw && hole > 0 && *low < len && low % (1 << 20) == 0)?;
    let end = len.min(FOUR_GIB);
    let step = ((end - low) / SAMPLES).max(base::PAGE_SIZE) & !(base::PAGE_SIZE - 1);
    let mut page = [0; base::PAGE_SIZE as usize];
    let mut places = (low..end).step_by(usize::try_from(step).ok()?);
    // of a hole that is in the image nothing was written
    let holds = places.any(|at| {
        opened.dump.read_phys(PhysAddr(at), &mut page).is_ok()
            && page.iter().any(|byte| Some(byte) != page.first())
    });
    holds.then_some(hole)
}

/// Opens the files; with `hole`, a raw image's bytes behind the hole of this size below 4 GiB are memory from there on.
pub(crate) fn open_around(options: &OpenOptions, hole: Option<u64>) -> Result<Opened> {
    let files = sort_files(&options.files)?;
    if files.dumps.is_empty() {
        return Err(KernelError::Open(match (&files.vmlinux, files.packages.first()) {
            (Some(v), _) => format!("{}: this is a kernel image; name a dump as well", v.display()),
            (None, Some(p)) => format!("{}: this is a package; name a dump as well", p.display()),
            (None, None) => "no dump file was named".into(),
        }));
    }
    let mut dump = dump::open(&files.dumps).map_err(|e| KernelError::Open(e.to_string()))?;
    if let Some(hole) = hole {
        dump.move_above(PhysAddr(FOUR_GIB - hole), PhysAddr(FOUR_GIB));
    }
    let dump = Arc::new(dump);
    let vmlinux = match &files.vmlinux {
        Some(path) => Some(open_vmlinux(path)?),
        None => None,
    };
    let mut opened = find_kernel(dump, options).map_err(|e| named(&files.dumps, &e))?;
    if let Some(hole) = hole {
        opened.warnings.push(format!(
            "a raw image of RAM without the hole of {} MiB below 4 GiB: what follows {:#x} in it is taken for memory from \
             4 GiB on",
            hole >> 20,
            FOUR_GIB - hole
        ));
    }
    opened.dump_paths = files.dumps;
    opened.module_files = files.modules;
    opened.source_dirs.extend(files.packages.iter().filter(|p| holds_source(p)).cloned());
    opened.packages = files.packages;
    if let Some(file) = vmlinux {
        adopt(&mut opened, file, options.force)?;
    }
    Ok(opened)
}

/// What the headers of a dump say of its kernel; empty where they have no VMCOREINFO. Nothing else of it is read.
///
/// # Errors
/// The files are no dump.
pub fn vmcoreinfo(files: &[PathBuf]) -> Result<VmcoreInfo> {
    let files = sort_files(files)?;
    let dump = dump::open(&files.dumps).map_err(|e| KernelError::Open(e.to_string()))?;
    Ok(dump.vmcoreinfo().map(VmcoreInfo::parse).unwrap_or_default())
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
    let finder = finder(opened, options, &release);
    if opened.vmlinux.is_some() {
        opened.finder = Some(finder);
        return Ok(());
    }
    let search = finder.vmlinux(opened.build_id.as_deref());
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
    for dir in opened.dump_paths.iter().filter_map(|p| p.parent()) {
        let here = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        finder = finder.with_near(here);
    }
    finder.with_servers(opened.servers.clone())
}

/// A package of source text, by its name: linux-source, kernel-source, debugsource, kernel-debuginfo-common.
fn holds_source(package: &Path) -> bool {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    name.contains("source") || name.contains("debuginfo-common") || name.ends_with(".src.rpm")
}

fn sort_files(paths: &[PathBuf]) -> Result<Files> {
    let mut files = Files::default();
    for path in paths {
        if is_package(path) {
            files.packages.push(path.clone());
            continue;
        }
        let probe = looks_like_dump(path)
            .map_err(|e| KernelError::Open(format!("{}: {}", path.display(), io_words(&e))))?;
        match probe {
            Probe::Dump(_) => files.dumps.push(path.clone()),
            Probe::Vmlinux if files.vmlinux.is_none() => files.vmlinux = Some(path.clone()),
            Probe::Vmlinux => {
                return Err(KernelError::Open(format!("{}: a second kernel image", path.display())));
            }
            Probe::Module => files.modules.push(path.clone()),
            Probe::Unknown(what) => return Err(KernelError::Open(unknown(path, &what))),
        }
    }
    Ok(files)
}

/// An error that knows no file, with the dump's name.
fn named(dumps: &[PathBuf], e: &KernelError) -> KernelError {
    let name = dumps.first().map(|p| p.display().to_string()).unwrap_or_default();
    KernelError::Open(format!("{name}: {e}"))
}

/// Why a file is no dump: the reader of dumps knows that best, and what to do.
fn unknown(path: &Path, what: &str) -> String {
    match dump::open(&[path.to_path_buf()]) {
        Err(e @ (DumpError::NotADump { .. } | DumpError::BadField { .. })) => {
            format!(
                "{e}; crashlens reads ELF and kdump-compressed dumps (also flattened or split) and raw RAM images"
            )
        }
        Err(e) => e.to_string(),
        Ok(_) => format!("{}: {what}", path.display()),
    }
}

fn io_words(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "no such file".into(),
        std::io::ErrorKind::IsADirectory => "is a directory; name the dump file in it".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => e.to_string(),
    }
}

fn open_vmlinux(path: &Path) -> Result<Arc<ObjectFile>> {
    ObjectFile::open(path).map(Arc::new).map_err(|e| KernelError::Open(format!("{}: {e}", path.display())))
}

/// Finds the kernel in physical memory.
fn find_kernel(dump: Arc<Dump>, options: &OpenOptions) -> Result<Opened> {
    let info = dump.vmcoreinfo().map(VmcoreInfo::parse).unwrap_or_default();
    let cpu_states: Vec<CpuState> =
        arch::ARCHES.iter().map(|a| a.cpu_states(dump.notes())).find(|s| !s.is_empty()).unwrap_or_default();
    let phys_base = header_phys_base(&dump);
    let watched = WatchedPhys { phys: &*dump, watch: &options.watch };
    let boot = Boot::find(&info, &cpu_states, phys_base, &watched);
    options.watch.progress.finish();
    let mut boot = boot.map_err(|e| match options.watch.cancel.is_cancelled() {
        true => KernelError::Open("stopped while looking for the kernel in memory".into()),
        false => KernelError::Open(e.to_string()),
    })?;
    if let Some(offset) = options.kaslr {
        boot.kaslr_offset = offset;
    }
    let phys: Arc<dyn PhysRead> = dump.clone();
    let mem = KernelMap::new(phys, boot.tables).with_image(boot.phys_base);
    let build_id = info.get("BUILD-ID").and_then(unhex);
    Ok(Opened {
        dump,
        dump_paths: Vec::new(),
        info,
        boot,
        mem,
        cpu_states: if options.no_notes { Vec::new() } else { cpu_states },
        vmlinux: None,
        module_files: Vec::new(),
        build_id,
        warnings: Vec::new(),
        ignore_btf: options.ignore_btf,
        cpus: options.cpus,
        active_only: options.active_only,
        banner_release: None,
        source_dirs: options.source_dirs.clone(),
        packages: Vec::new(),
        servers: Debuginfod::from_env()
            .filter(|_| !options.no_search && !options.no_debuginfod)
            .map(Arc::new),
        no_search: options.no_search,
        watch: options.watch.clone(),
        finder: None,
        vmlinux_tried: Vec::new(),
    })
}

/// The architecture that a dump's headers name.
fn arch_of(dump: &Dump) -> &'static dyn Arch {
    let machine = dump.facts().machine.and_then(arch::by_machine);
    let name = || dump.facts().utsname.as_ref().and_then(|u| arch::by_name(&u.machine));
    machine.or_else(name).unwrap_or_else(arch::default)
}

/// `phys_base` from the program header that maps the kernel's image, where the dump's writer knew
/// virtual addresses (/proc/vmcore, makedumpfile -E).
fn header_phys_base(dump: &Dump) -> Option<i64> {
    let [start, end, _] = arch_of(dump).image_range();
    let image = dump.virt_segments().iter().find(|s| (start..end).contains(&s.virt))?;
    Some(image.phys.0.wrapping_sub(image.virt.0.wrapping_sub(start.0)).cast_signed())
}

impl Opened {
    /// The architecture.
    #[must_use]
    pub fn arch(&self) -> &'static dyn Arch {
        arch_of(&self.dump)
    }

    /// The kernel's release: VMCOREINFO's `OSRELEASE`, else the dump header's.
    #[must_use]
    pub fn release(&self) -> Option<String> {
        self.info
            .get("OSRELEASE")
            .map(str::to_owned)
            .or_else(|| self.dump.facts().utsname.as_ref().map(|u| u.release.clone()))
            .filter(|r| !r.is_empty())
            .or_else(|| self.banner_release.clone())
    }

    /// Reads VMCOREINFO where the kernel itself keeps it, for a dump that came without: `at` is
    /// `vmcoreinfo_data`, a pointer since 4.13 (203e9e41219b), an array before.
    pub(crate) fn read_vmcoreinfo(&mut self, at: VirtAddr) {
        let text_at = |at: VirtAddr| {
            let text = self.mem.cstr(at, 1 << 16).or_else(|_| self.mem.cstr(at, 4096)).ok()?;
            text.starts_with(b"OSRELEASE=").then_some(text)
        };
        if let Some(text) = text_at(at).or_else(|| text_at(self.mem.ptr(at).ok()?)) {
            self.info = VmcoreInfo::parse(&text);
            self.build_id = self.info.get("BUILD-ID").and_then(unhex);
        }
    }

    /// Reads the release from the kernel's banner, now that its address is known.
    pub(crate) fn read_banner(&mut self, at: VirtAddr) {
        let text = self.mem.cstr(at, 256).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let release = text.strip_prefix("Linux version ").and_then(|r| r.split_whitespace().next());
        self.banner_release = release.map(str::to_owned);
    }

    /// Takes the page tables that `swapper_pg_dir` names, now that symbols are known, in place of
    /// those of the process that a CPU happened to run.
    pub(crate) fn use_swapper(&mut self, swapper: VirtAddr) {
        let phys: Arc<dyn PhysRead> = self.dump.clone();
        self.boot = self.boot.with_swapper(swapper, &*phys);
        self.mem = KernelMap::new(phys, self.boot.tables).with_image(self.boot.phys_base);
    }
}

/// Makes a vmlinux part of the session, after checking that it is the dump's kernel.
fn adopt(opened: &mut Opened, file: Arc<ObjectFile>, force: bool) -> Result<()> {
    let text = file.symbol("_text").or_else(|| file.symbol("_stext")).map(|s| s.value);
    if opened.boot.how != How::VmcoreInfo
        && let (Some(at), Some(linked)) = (opened.boot.text, text)
    {
        opened.boot.kaslr_offset = at.0.wrapping_sub(linked & !0x1f_ffff);
    }
    let own = opened.build_id.clone().or_else(|| build_id_in_memory(opened, &file));
    match (&own, file.build_id()) {
        (Some(dump_id), Some(file_id)) if dump_id != file_id => {
            if !force {
                return Err(KernelError::WrongBuild {
                    path: file.path().to_owned(),
                    file: hex(file_id),
                    dump: hex(dump_id),
                });
            }
            opened.warnings.push(format!(
                "{}: used by force: its build id {} is not the dump's {}",
                file.path().display(),
                hex(file_id),
                hex(dump_id)
            ));
        }
        (None, _) => {
            if let Some(why) = banner_differs(opened, &file) {
                let path = file.path().display();
                if !force {
                    return Err(KernelError::Open(format!("{path}: {why}, or --force")));
                }
                opened.warnings.push(format!("{path}: used by force: {why}"));
            }
        }
        _ => {}
    }
    opened.build_id = own;
    opened.vmlinux = Some(file);
    Ok(())
}

/// The build id in the dump's memory, at the place where this vmlinux has its own (`.notes`).
fn build_id_in_memory(opened: &Opened, file: &ObjectFile) -> Option<Vec<u8>> {
    let notes = file.header(".notes")?;
    let len = usize::try_from(notes.size().min(1 << 16)).ok()?;
    let raw = opened.mem.bytes(VirtAddr(notes.addr().wrapping_add(opened.boot.kaslr_offset)), len).ok()?;
    debuginfo::elf::build_id_of_notes(&raw).map(<[u8]>::to_vec)
}

/// Why `linux_banner` of the file is not at its place in the dump; nothing where it is, and where the file cannot tell.
fn banner_differs(opened: &Opened, file: &ObjectFile) -> Option<String> {
    let symbol = file.symbol("linux_banner")?;
    let own = file.bytes_at(symbol.value).map(base::cstr)?;
    let at = VirtAddr(symbol.value.wrapping_add(opened.boot.kaslr_offset));
    match opened.mem.cstr(at, 512) {
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

fn unhex(text: &str) -> Option<Vec<u8>> {
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
