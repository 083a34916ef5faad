//! The lowest layer: the files that were named, told apart, and the dump in them. It needs no kernel and no machine
//! that is known.

use crate::error::{KernelError, Result};
use crate::opening::machine;
use crate::opening::options::OpenOptions;
use crate::opening::packs;
use base::{Cancel, Kept, PhysAddr, PhysRead, VmcoreInfo};
use debuginfo::elf::ObjectFile;
use debuginfo::find::{ContainerError, Shortened, Wanted, is_package, is_packed_file, unpack};
use debuginfo::pack::is_pack;
use dump::{Dump, DumpError, Likely, Probe, Words, begins_like_an_input, looks_like_dump};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A dump as its format has it: headers, notes, physical memory.
#[derive(Debug)]
pub struct Image {
    /// The dump.
    pub dump: Arc<Dump>,
    /// The dump's files, in the order given; those that were packed where they are unpacked.
    pub dump_paths: Vec<PathBuf>,
    /// The same as the user knows them: `vmcore.gz`, `case.tgz (2026/vmcore)`.
    pub dump_names: Vec<String>,
    /// The files that were named, and what was unpacked of them.
    given: Vec<Given>,
    /// The folders of the files that were named.
    pub(crate) folders: Vec<PathBuf>,
    /// VMCOREINFO of the dump's headers; empty where they have none.
    pub info: VmcoreInfo,
    /// The file with VMCOREINFO that takes the place of the dump's.
    pub info_file: Option<PathBuf>,
    /// What the user ought to know of the files.
    pub warnings: Vec<String>,
    /// The kernel's ELF file that was named.
    pub(crate) vmlinux: Option<PathBuf>,
    /// The System.map that was named.
    pub(crate) system_map: Option<PathBuf>,
    /// Module files that were named.
    pub(crate) modules: Vec<PathBuf>,
    /// Packages that were named.
    pub(crate) packages: Vec<PathBuf>,
    /// The work that runs, and the reads that had failed when it made its first value.
    began: Mutex<(Option<u64>, u64)>,
}

/// Files by what they are.
#[derive(Default)]
struct Files {
    dumps: Vec<PathBuf>,
    vmlinux: Option<PathBuf>,
    system_map: Option<PathBuf>,
    modules: Vec<PathBuf>,
    packages: Vec<PathBuf>,
}

const FOUR_GIB: u64 = 4 << 30;
/// No machine leaves out a larger hole below 4 GiB than 3 GiB: a smaller image has none.
const LEAST_WITH_HOLE: u64 = 1 << 30;

impl Image {
    /// Opens the files and reads the headers.
    ///
    /// # Errors
    /// A file cannot be read, or there is no dump among them.
    pub fn open(options: &OpenOptions) -> Result<Self> {
        Self::open_around(options, None)
    }

    /// A dump that was opened by itself, from memory or a reader. The files of `options` stand beside it: a vmlinux, a
    /// System.map, modules, packages.
    ///
    /// # Errors
    /// A file cannot be read, or there is another dump among them.
    pub fn of(dump: Dump, options: &OpenOptions) -> Result<Self> {
        let given = unpacked(options)?;
        let files = sort_files(&given).map_err(|e| as_given(&given, e))?;
        match files.dumps.first() {
            Some(other) => Err(KernelError::Open(format!("{}: a second dump", other.display()))),
            None => Self::with(dump, given, None, options),
        }
    }

    /// The same; with `hole`, a raw image's bytes behind the hole of this size below 4 GiB are memory from there on.
    pub(crate) fn open_around(options: &OpenOptions, hole: Option<u64>) -> Result<Self> {
        let given = unpacked(options)?;
        let files = sort_files(&given).map_err(|e| as_given(&given, e))?;
        if files.dumps.is_empty() {
            return Err(KernelError::Open(match (&files.vmlinux, files.packages.first()) {
                (_, Some(p)) if is_pack(p) => {
                    format!("{}: this is a pack of debug files; name a dump as well", p.display())
                }
                (Some(v), _) => format!("{}: this is a kernel image; name a dump as well", v.display()),
                (None, Some(p)) => format!("{}: this is a package; name a dump as well", p.display()),
                (None, None) if files.system_map.is_some() => {
                    "a System.map is no dump: name the dump as well".into()
                }
                (None, None) => "no dump file was named".into(),
            }));
        }
        let dump = dump::open(&files.dumps).map_err(|e| {
            let why = || named(&given, &e.to_string());
            KernelError::Open(several(&given, &files.dumps).unwrap_or_else(why))
        })?;
        Self::with(dump, given, hole, options)
    }

    fn with(mut dump: Dump, given: Vec<Given>, hole: Option<u64>, options: &OpenOptions) -> Result<Self> {
        let mut info = dump.vmcoreinfo().map(VmcoreInfo::parse).unwrap_or_default();
        if let Some(file) = &options.vmcoreinfo {
            info = read_vmcoreinfo(file)?;
        }
        let (files, given) = with_packs(given, &info, options)?;
        let mut warnings = Vec::new();
        for file in &given {
            let Some((packed, _)) = &file.within else { continue };
            match files.dumps.contains(&file.path) {
                true => file.faults().for_each(|why| dump.note_shortened(packed, why)),
                false => warnings.extend(file.faults().map(|why| format!("{}: {why}", file.name()))),
            }
        }
        if let Some(hole) = hole {
            dump.move_above(PhysAddr(FOUR_GIB - hole), PhysAddr(FOUR_GIB));
            warnings.push(format!(
                "a raw image of RAM without the hole of {} MiB below 4 GiB: what follows {:#x} in it is taken for \
                 memory from 4 GiB on",
                hole >> 20,
                FOUR_GIB - hole
            ));
        }
        if let Some(veil) = &options.veil {
            dump = dump.veiled(veil.clone());
        }
        Ok(Self {
            info,
            info_file: options.vmcoreinfo.clone(),
            dump: Arc::new(dump),
            dump_names: files.dumps.iter().map(|path| name_of(&given, path)).collect(),
            folders: given
                .iter()
                .filter(|file| files.dumps.contains(&file.path))
                .map(Given::folder)
                .collect(),
            given,
            dump_paths: files.dumps,
            warnings,
            vmlinux: files.vmlinux,
            system_map: files.system_map,
            modules: files.modules,
            packages: files.packages,
            began: Mutex::new((None, 0)),
        })
    }

    /// Physical memory.
    #[must_use]
    pub fn phys(&self) -> &dyn PhysRead {
        &*self.dump
    }

    /// Word size and byte order of the machine: those of an architecture that is read, else those of the headers.
    #[must_use]
    pub fn words(&self) -> Words {
        let is_read = machine::claims(self).first().is_some_and(arch::Claim::is_read);
        let headers = self.dump.facts().words.filter(|_| !is_read);
        headers.unwrap_or(Words::LITTLE_64)
    }

    /// True where a kernel's ELF file or its System.map was named beside the dump.
    #[must_use]
    pub fn has_kernel_file(&self) -> bool {
        self.vmlinux.is_some() || self.system_map.is_some()
    }

    /// Why nothing may be written to a file, by whatever path it is named: it is read. `found` was not named.
    pub(crate) fn why_not_written(&self, path: &Path, found: &[PathBuf]) -> Option<String> {
        let identity = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        let asked = identity(path)?;
        let mut read = self.given.iter().flat_map(Given::files).chain(&self.info_file).chain(found);
        let is_read = read.any(|own| identity(own) == Some(asked));
        is_read.then(|| format!("{}: is open as the dump or beside it; name another file", path.display()))
    }

    /// True where module files were named beside the dump.
    #[must_use]
    pub fn has_module_files(&self) -> bool {
        !self.modules.is_empty()
    }

    /// A file as the user named it.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        name_of(&self.given, path)
    }

    /// An error that names files as the user named them.
    pub(crate) fn as_given(&self, error: KernelError) -> KernelError {
        as_given(&self.given, error)
    }

    /// How many reads failed since the running work made its first value, in a way that may be over later.
    pub(crate) fn failures(&self, cancel: &Cancel) -> u64 {
        let all = self.dump.failures();
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        if began.0 != Some(cancel.work()) {
            *began = (Some(cancel.work()), all);
        }
        all.saturating_sub(began.1)
    }

    /// See [`Kept::get`].
    pub(crate) fn keep<'a, T>(&self, cancel: &Cancel, cell: &'a Kept<T>, make: impl FnOnce() -> T) -> &'a T {
        cell.get(cancel, || self.failures(cancel), make)
    }

    /// Why memory that the dump should hold is not in it, as far as its headers tell: the cause of whatever is not found.
    pub(crate) fn lost_memory(&self) -> Option<String> {
        self.dump.facts().lost().map(ToString::to_string)
    }

    /// All that it lacks, with the names of files that the user knows.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let own = |why: String| {
            let names = self.given.iter().flat_map(Given::files).map(|file| file.display().to_string());
            match names.chain([self.name()]).any(|name| why.contains(&name)) {
                true => why,
                false => format!("{}: {why}", self.name()),
            }
        };
        self.dump.facts().losses().map(|why| own(named(&self.given, &why.to_string()))).collect()
    }

    /// True where the text of a log is all that there is.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.dump.facts().log.is_some()
    }

    /// The dump's files, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.dump_names.first().cloned().unwrap_or_default()
    }

    /// True for a raw image that may be RAM without the hole that PCs have below 4 GiB: what of it is which memory
    /// only the kernel in it tells.
    pub(crate) fn may_lack_a_hole(&self) -> bool {
        self.is_raw_from_zero() && self.dump.ranges().iter().all(|range| range.len() > LEAST_WITH_HOLE)
    }

    /// True for a raw image that does not say where its memory begins.
    pub(crate) fn is_raw_from_zero(&self) -> bool {
        self.dump.format() == "raw RAM image" && matches!(self.dump.ranges(), [range] if range.start.0 == 0)
    }

    /// The size of the hole that a raw image leaves out below 4 GiB, by where the last page that the kernel knows ends: what the
    /// image lacks of it is the hole, where the image does hold something in its place.
    pub(crate) fn hole_left_out(&self, last: u64) -> Option<u64> {
        const SAMPLES: u64 = 1024;
        let [range] = self.dump.ranges() else { return None };
        let len = range.end.0.checked_sub(range.start.0)?;
        let hole = last.checked_sub(len)?;
        let raw = self.may_lack_a_hole();
        let low =
            FOUR_GIB.checked_sub(hole).filter(|low| raw && hole > 0 && *low < len && low % (1 << 20) == 0)?;
        let end = len.min(FOUR_GIB);
        let step = ((end - low) / SAMPLES).max(base::GRANULE) & !(base::GRANULE - 1);
        let mut page = [0; base::GRANULE as usize];
        let mut places = (low..end).step_by(usize::try_from(step).ok()?);
        // of a hole that is in the image nothing was written
        let holds = places.any(|at| {
            self.dump.read_phys(PhysAddr(at), &mut page).is_ok()
                && page.iter().any(|byte| Some(byte) != page.first())
        });
        holds.then_some(hole)
    }
}

/// A file to read, and how it was named.
#[derive(Debug)]
struct Given {
    path: PathBuf,
    /// The packed file or archive that it was in.
    within: Option<(PathBuf, String)>,
    /// Why it may not be whole.
    shortened: Option<Shortened>,
    /// What is wrong with the archive around it.
    around: Option<Shortened>,
}

impl Given {
    fn plain(path: PathBuf) -> Self {
        Self { path, within: None, shortened: None, around: None }
    }
    /// What is wrong with the packed file that it was in.
    fn faults(&self) -> impl Iterator<Item = String> {
        let member = self.within.as_ref().map_or("", |(_, member)| member.as_str());
        let around = self.around.as_ref().map(|fault| match fault {
            Shortened::Cut => format!(
                "is cut off behind {member}: what followed is missing, and with it what its bytes could be checked by"
            ),
            other => other.to_string(),
        });
        self.shortened.as_ref().map(ToString::to_string).into_iter().chain(around)
    }
    /// It, and the packed file that it was in.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.path).chain(self.within.as_ref().map(|(packed, _)| packed))
    }
    /// As the user knows it.
    fn name(&self) -> String {
        match &self.within {
            Some((packed, member)) if !member.is_empty() => format!("{} ({member})", packed.display()),
            Some((packed, _)) => packed.display().to_string(),
            None => self.path.display().to_string(),
        }
    }
    /// The folder of what was named: debug files may lie beside it.
    fn folder(&self) -> PathBuf {
        let named = self.within.as_ref().map_or(&self.path, |(packed, _)| packed);
        named.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
    }
}

fn name_of(given: &[Given], path: &Path) -> String {
    given.iter().find(|file| file.path == path).map_or_else(|| path.display().to_string(), Given::name)
}

/// A message about files that were unpacked, with the names that the user knows.
fn named(given: &[Given], message: &str) -> String {
    let unpacked = given.iter().filter(|file| file.within.is_some());
    unpacked
        .fold(message.to_owned(), |text, file| text.replace(&file.path.display().to_string(), &file.name()))
}

/// An error that names the files as the user knows them.
fn as_given(given: &[Given], error: KernelError) -> KernelError {
    let shown = |path: PathBuf| PathBuf::from(name_of(given, &path));
    match error {
        KernelError::Open(why) => KernelError::Open(named(given, &why)),
        KernelError::WrongBuild { path, file, dump } => {
            KernelError::WrongBuild { path: shown(path), file, dump }
        }
        other => other,
    }
}

/// What is wrong with several dumps that came out of one archive and are no set.
fn several(given: &[Given], dumps: &[PathBuf]) -> Option<String> {
    let archive = |path: &PathBuf| given.iter().find(|file| file.path == *path)?.within.clone();
    let (first, _) = archive(dumps.first()?)?;
    let members: Option<Vec<String>> = dumps
        .iter()
        .map(|path| archive(path).filter(|(packed, _)| *packed == first).map(|(_, member)| member))
        .collect();
    let members = members.filter(|members| members.len() > 1)?;
    Some(format!(
        "{}: holds {} dumps: {}; unpack it and name one of them",
        first.display(),
        members.len(),
        members.join(", ")
    ))
}

/// The files that were named, those in folders and in packed files in their place.
fn unpacked(options: &OpenOptions) -> Result<Vec<Given>> {
    let mut files = Vec::new();
    for path in &options.files {
        let inner = if path.is_dir() { dump_in(path)? } else { vec![path.clone()] };
        // the parts of a split set are not packed
        if inner.len() > 1 {
            files.extend(inner.into_iter().map(Given::plain));
            continue;
        }
        let Some(path) = inner.into_iter().next() else { continue };
        if is_pack(&path) || is_package(&path) || !is_packed_file(&path) {
            files.push(Given::plain(path));
            continue;
        }
        let is_wanted = |head: &[u8], len: Option<u64>| match begins_like_an_input(head, len) {
            Likely::Yes => Wanted::Yes,
            Likely::Raw => Wanted::Perhaps,
            Likely::No => Wanted::No,
        };
        let inner = unpack(&path, &is_wanted, &options.watch);
        let inner = inner.map_err(|e| match e {
            ContainerError::Cancelled => KernelError::Stopped("unpacking"),
            e => KernelError::Open(e.to_string()),
        })?;
        files.extend(inner.into_iter().map(|file| Given {
            path: file.path,
            within: Some((path.clone(), file.member)),
            shortened: file.shortened,
            around: file.around,
        }));
    }
    Ok(files)
}

/// The files with the kernels of packs that were named, and all files told apart.
fn with_packs(
    mut given: Vec<Given>,
    info: &VmcoreInfo,
    options: &OpenOptions,
) -> Result<(Files, Vec<Given>)> {
    let packs: Vec<PathBuf> =
        given.iter().map(|file| file.path.clone()).filter(|path| is_pack(path)).collect();
    for pack in packs {
        let kernel = packs::kernel_of(&pack, info, options)?;
        given.extend(kernel.map(|(path, name)| Given {
            path,
            within: Some((pack, name)),
            shortened: None,
            around: None,
        }));
    }
    let files = sort_files(&given).map_err(|e| as_given(&given, e))?;
    Ok((files, given))
}

/// How many dumps a message names.
const NAMED: usize = 8;
/// Folders below one that is named that are looked through: `/var/crash` has one a crash.
const FOLDERS: usize = 4096;

/// The one dump in a folder, or in the folders of it: /var/crash has one for each crash. All files of it where it is split.
fn dump_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = dumps_in(folder);
    if found.is_empty() {
        // what is mounted there is another matter: files of /proc are read without end
        let device =
            |path: &Path| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir).map(|m| m.dev());
        let own = device(folder);
        let inner =
            entries(folder).into_iter().filter(|path| own.is_some() && device(path) == own).take(FOLDERS);
        found = inner.flat_map(|inner| dumps_in(&inner)).collect();
    }
    let shown = folder.display();
    match found.as_slice() {
        [_] => Ok(found),
        // the files of a set lie in one folder
        [first, rest @ ..]
            if rest.iter().all(|file| file.parent() == first.parent()) && dump::open(&found).is_ok() =>
        {
            Ok(found)
        }
        [] => Err(KernelError::Open(format!("{shown}: is a directory; name the dump file in it"))),
        all => {
            // the last are the newest, as the folders are named by time
            let names: Vec<String> =
                all.iter().rev().take(NAMED).map(|path| path.display().to_string()).collect();
            let more = if all.len() > NAMED { ", ..." } else { "" };
            Err(KernelError::Open(format!(
                "{shown}: is a directory with {} dumps: {}{more}; name one of them",
                all.len(),
                names.join(", ")
            )))
        }
    }
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = read.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// The dumps that lie in a folder, packed or not.
fn dumps_in(folder: &Path) -> Vec<PathBuf> {
    let is_dump = |path: &PathBuf| match looks_like_dump(path) {
        // an ELF core tells by its notes whose it is
        Ok(Probe::Dump(format)) => {
            let is_foreign =
                || matches!(dump::open(std::slice::from_ref(path)), Err(DumpError::Foreign { .. }));
            format != "raw RAM image" && format != dump::LOG && !(format == "ELF core" && is_foreign())
        }
        _ => {
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("vmcore"))
                && is_packed_file(path)
        }
    };
    // of a file of /proc the length is 0: to read it may wait for ever
    let holds = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0);
    entries(folder).into_iter().filter(|path| holds(path) && is_dump(path)).collect()
}

/// Of two ELF files of one kernel, a stripped vmlinux and its debug file, the one that tells more.
fn of_one_kernel(one: &Path, other: &Path) -> Result<PathBuf> {
    let open = |path: &Path| {
        ObjectFile::open(path).map_err(|e| KernelError::Open(format!("{}: {e}", path.display())))
    };
    let (a, b) = (open(one)?, open(other)?);
    if a.build_id().is_none() || a.build_id() != b.build_id() {
        return Err(KernelError::Open(format!(
            "{}: a second kernel image, of another build than {}",
            other.display(),
            one.display()
        )));
    }
    let told = |file: &ObjectFile| (file.header(".debug_info").is_some(), file.header(".symtab").is_some());
    Ok(if told(&b) > told(&a) { other.to_owned() } else { one.to_owned() })
}

/// VMCOREINFO from a file of its own: its text, or an ELF note with it.
fn read_vmcoreinfo(file: &Path) -> Result<VmcoreInfo> {
    const KEY: &[u8] = b"OSRELEASE=";
    const MAX: u64 = 1 << 20;
    let failed = |why: String| KernelError::Open(format!("{}: {why}", file.display()));
    let io = |e: std::io::Error| failed(io_words(&e));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(io)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(opened, MAX), &mut bytes).map_err(io)?;
    let start = bytes.windows(KEY.len()).position(|w| w == KEY);
    let text = start.and_then(|at| bytes.get(at..));
    text.map(VmcoreInfo::parse)
        .ok_or_else(|| failed("no text of VMCOREINFO: it has no line OSRELEASE=".into()))
}

fn sort_files(given: &[Given]) -> Result<Files> {
    let mut files = Files::default();
    for file in given {
        let path = &file.path;
        if is_package(path) {
            files.packages.push(path.clone());
            continue;
        }
        let probe = looks_like_dump(path)
            .map_err(|e| KernelError::Open(format!("{}: {}", file.name(), io_words(&e))))?;
        match probe {
            Probe::Dump(_) => files.dumps.push(path.clone()),
            // half a kernel, module or list of symbols would be told as damaged, or taken for whole
            _ if matches!(file.shortened, Some(Shortened::Cut | Shortened::Damaged(_))) => {
                let (packed, _) = file.within.clone().unwrap_or_default();
                let why = match &file.shortened {
                    Some(Shortened::Damaged(why)) => {
                        format!("{}: does not unpack ({why}): copy it again", packed.display())
                    }
                    _ => ContainerError::Cut { path: packed }.to_string(),
                };
                return Err(KernelError::Open(why));
            }
            Probe::Vmlinux => {
                files.vmlinux = Some(match &files.vmlinux {
                    Some(first) => of_one_kernel(first, path)?,
                    None => path.clone(),
                });
            }
            Probe::Symbols => {
                if let Some(first) = files.system_map.replace(path.clone()) {
                    let (first, path) = (first.display(), path.display());
                    return Err(KernelError::Open(format!(
                        "{first} and {path}: two lists of symbols; name one"
                    )));
                }
            }
            Probe::Module => files.modules.push(path.clone()),
            Probe::Unknown(what) => return Err(KernelError::Open(unknown(path, &what))),
        }
    }
    Ok(files)
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

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
