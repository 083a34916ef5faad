//! One opened dump: it joins memory, architecture, symbols and types, each read when first asked for.

mod checked;
pub mod debug;
#[cfg(test)]
mod evidence_tests;
mod infer;
mod placement;
pub(crate) mod plausible;
pub mod source;
pub(crate) mod symbols;
pub(crate) mod system_map;
pub(crate) mod types;
pub(crate) mod variables;

use crate::bind::{Binding, Layouts, OffsetHints};
use crate::error::{KernelError, Result};
use crate::log::printk::{self, Log};
use crate::mm::slab::Caches;
use crate::module::{self, Module};
use crate::opening::kernels::{self, Kernels};
use crate::opening::machine::Machine;
use crate::opening::open::{self, Opened};
use crate::opening::vmcoreinfo::Told;
use crate::opening::watched::WatchedPhys;
use crate::sched::cpu::{self, Cpus};
use crate::sched::task::{self, TaskStates, Tasks};
use crate::session::debug::{DebugFile, Fetched, ModuleFile};
use crate::session::infer::Inferred;
use crate::session::symbols::KernelSymbols;
use crate::session::types::{KernelBtf, Loaded};
use crate::session::variables::Variables;
use crate::stack::registers;
use arch::{Arch, Boot, CpuState, FrameShape, How, KernelMap};
use base::{Kept, PhysRead, VirtAddr, VirtRead, VmcoreInfo};
use debuginfo::elf::ObjectFile;
use debuginfo::find::{Debuginfod, Sources, Watch};
use debuginfo::orc::OrcTable;
use debuginfo::symtab::SymbolTable;
use debuginfo::types::Types;
use rustc_hash::FxHashMap;
use std::any::{Any, TypeId};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// What to open, and how.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The dump (several files for a split one), and perhaps a vmlinux, in any order.
    pub files: Vec<PathBuf>,
    /// Use a vmlinux whose build id differs from the dump's.
    pub force: bool,
    /// How far KASLR moved the kernel, where the user knows it.
    pub kaslr: Option<u64>,
    /// Do not look for debug files that were not named.
    pub no_search: bool,
    /// Behave as for a kernel without BTF: to see what such a dump gives.
    pub ignore_btf: bool,
    /// More folders to look for debug files in.
    pub debug_dirs: Vec<PathBuf>,
    /// As if the kernel had no modules: their list is not read.
    pub no_modules: bool,
    /// As if the kernel had no slab caches: they are not read.
    pub no_slab_caches: bool,
    /// How many CPUs the machine has, where its masks are not to be believed.
    pub cpus: Option<u32>,
    /// Only the tasks that the CPUs ran are known.
    pub active_only: bool,
    /// The CPUs' registers in the dump's notes are not used, but to find the kernel.
    pub no_notes: bool,
    /// Which kernel, where memory holds several: from 1 on.
    pub kernel: Option<usize>,
    /// A file with the text of VMCOREINFO, in place of the dump's.
    pub vmcoreinfo: Option<PathBuf>,
    /// Do not ask debuginfod servers.
    pub no_debuginfod: bool,
    /// What servers may be asked for.
    pub fetch: Fetch,
    /// Trees, archives and packages to look for source text in.
    pub source_dirs: Vec<PathBuf>,
    /// Where long work (unpacking, downloads) says how far it is, and what stops it.
    pub watch: Watch,
    /// Hides pages of the dump, and notes which are read: for tests.
    pub veil: Option<Arc<dump::Veil>>,
}

/// For what debug files may be fetched: for what the questions that will be asked can gain by them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Fetch {
    /// For nothing: they cannot change the answer.
    Never,
    /// For a kernel that lacks its types (BTF) or the names of its variables.
    Lacking,
    /// For lines, variables and whatever else only they have.
    #[default]
    Always,
}

/// One opened dump: memory, symbols, types and what was found out about the kernel.
pub struct Session {
    opened: Opened,
    bindings: RwLock<FxHashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    pub(crate) kernel_symbols: Kept<KernelSymbols>,
    told: Kept<Told>,
    pub(crate) landmarks: Kept<Vec<Option<VirtAddr>>>,
    pub(crate) init_task: Kept<Option<VirtAddr>>,
    /// Variables that no symbol names.
    pub(crate) variables: Variables,
    pub(crate) module_symbols: Kept<SymbolTable>,
    pub(crate) image: Kept<(VirtAddr, VirtAddr)>,
    pub(crate) text_runs: Kept<Vec<std::ops::Range<VirtAddr>>>,
    loaded: Kept<Loaded>,
    module_types: Mutex<FxHashMap<VirtAddr, std::result::Result<bool, String>>>,
    inferring: AtomicBool,
    checking: AtomicBool,
    checked: OnceLock<Vec<String>>,
    cpus: Kept<Cpus>,
    tasks: Kept<Tasks>,
    states: Kept<TaskStates>,
    modules: Kept<(Vec<Module>, Option<KernelError>)>,
    log: Kept<std::result::Result<Log, KernelError>>,
    pub(crate) kernel_orc: Kept<Option<OrcTable>>,
    pub(crate) module_orcs: Mutex<FxHashMap<VirtAddr, Option<OrcTable>>>,
    pub(crate) shapes: Mutex<FxHashMap<VirtAddr, Option<FrameShape>>>,
    pub(crate) known_registers: registers::Known,
    pub(crate) slab_caches: Kept<Caches>,
    pub(crate) direct_map: Kept<Result<VirtAddr>>,
    pub(crate) kernel_debug: Kept<Option<Arc<DebugFile>>>,
    pub(crate) fetched: Kept<Fetched>,
    pub(crate) module_debugs: Mutex<FxHashMap<VirtAddr, ModuleFile>>,
    pub(crate) sources: Kept<Sources>,
}

/// What came of opening a session.
pub(crate) enum Start {
    Session(Box<Session>),
    /// The dump is a raw image that lacks a hole of this size below 4 GiB: it has to be opened around that.
    Hole(u64),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("dump", &self.dump().format()).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a dump with all layers. Reads its headers and finds the kernel in it; everything else waits until it
    /// is asked for. [`Layers`](crate::Layers) opens a layer when it is needed.
    ///
    /// # Errors
    /// The files are no dump, no kernel is found in it, or a file that was named is not this kernel's.
    pub fn open(options: &OpenOptions) -> Result<Self> {
        crate::Layers::open(options.clone())?.into_session()
    }

    /// A session over a machine. A stop while debug files are unpacked or fetched leaves a session without them.
    pub(crate) fn start(
        machine: Machine,
        options: &OpenOptions,
        servers: Option<Arc<Debuginfod>>,
    ) -> Result<Start> {
        let mut opened = Opened::new(machine, options, servers)?;
        let mut kernel_symbols = Kept::new();
        if opened.machine.boot.how != How::VmcoreInfo {
            // the page tables are some process's: the kernel's own are found by name
            let mut symbols = KernelSymbols::load(&opened);
            if options.kernel.is_none() && change_to_the_one_that_died(&mut opened, &symbols) {
                symbols = KernelSymbols::load(&opened);
            }
            let max_pfn = symbols.table.addr("max_pfn").and_then(|at| opened.machine.mem.u64(at).ok());
            if let Some(hole) = max_pfn.and_then(|max| opened.machine.image.hole_left_out(max)) {
                return Ok(Start::Hole(hole));
            }
            let root = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
            if let Some(at) = root.iter().find_map(|n| symbols.table.addr(n)) {
                opened.machine.use_swapper(at);
            }
            if let Some(name) = opened.machine.own_name(symbols.table.addr("init_uts_ns"))
                && name.machine != opened.machine.arch.name()
            {
                return Err(opened.machine.foreign(&name));
            }
            if opened.machine.info.is_empty() {
                opened.read_vmcoreinfo(|name| symbols.table.addr(name));
            }
            if opened.machine.info.is_empty() && symbols.names_no_variables() {
                opened.search_vmcoreinfo();
                if !opened.machine.info.is_empty() && symbols.table.is_empty() {
                    symbols = KernelSymbols::load(&opened);
                }
            }
            if let Some(at) = symbols.table.addr("linux_banner") {
                opened.banner_release = opened.machine.banner_release(at);
            }
            if options.watch.cancel.is_cancelled() {
                return Err(KernelError::Stopped("looking for the kernel's symbols"));
            }
            open::search(&mut opened, options)?;
            if opened.vmlinux.is_none() {
                kernel_symbols = Kept::from(symbols);
            }
        } else {
            open::search(&mut opened, options)?;
        }
        if options.watch.cancel.is_cancelled() {
            opened.warnings.push(
                "debug files: the search was stopped; the answers do without what it did not reach".into(),
            );
            options.watch.cancel.go_on();
        }
        let session = Self {
            opened,
            bindings: RwLock::default(),
            kernel_symbols,
            told: Kept::new(),
            landmarks: Kept::new(),
            init_task: Kept::new(),
            variables: Variables::default(),
            module_symbols: Kept::new(),
            image: Kept::new(),
            text_runs: Kept::new(),
            loaded: Kept::new(),
            module_types: Mutex::default(),
            inferring: AtomicBool::new(false),
            checking: AtomicBool::new(false),
            checked: OnceLock::new(),
            cpus: Kept::new(),
            tasks: Kept::new(),
            states: Kept::new(),
            modules: if options.no_modules { Kept::from((Vec::new(), None)) } else { Kept::new() },
            log: Kept::new(),
            kernel_orc: Kept::new(),
            module_orcs: Mutex::default(),
            shapes: Mutex::default(),
            known_registers: registers::Known::default(),
            direct_map: Kept::new(),
            slab_caches: if options.no_slab_caches { Kept::from(Caches::default()) } else { Kept::new() },
            kernel_debug: Kept::new(),
            fetched: Kept::new(),
            module_debugs: Mutex::default(),
            sources: Kept::new(),
        };
        Ok(Start::Session(Box::new(session)))
    }

    /// A value that is made when it is first asked for. What Ctrl-C or a failed read disturbed serves the command that
    /// asked, and is made again for the next.
    pub(crate) fn keep<'a, T>(&self, cell: &'a Kept<T>, make: impl FnOnce() -> T) -> &'a T {
        self.opened.machine.image.keep(&self.opened.watch.cancel, cell, make)
    }
    /// True where what is made now would not be whole: it is not to be kept.
    pub(crate) fn is_disturbed(&self) -> bool {
        let cancel = &self.opened.watch.cancel;
        cancel.is_cancelled() || self.opened.machine.image.failures(cancel) > 0
    }

    /// The dump.
    #[must_use]
    pub fn dump(&self) -> &Arc<dump::Dump> {
        &self.opened.machine.image.dump
    }
    /// What was given and found when the dump was opened.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }
    /// Physical memory.
    #[must_use]
    pub fn phys(&self) -> &dyn PhysRead {
        self.opened.machine.phys()
    }
    /// The kernel's address space.
    #[must_use]
    pub fn mem(&self) -> &dyn VirtRead {
        &*self.opened.machine.mem
    }
    /// The kernel's address space, with its page tables.
    #[must_use]
    pub fn map(&self) -> &KernelMap {
        &self.opened.machine.mem
    }
    /// The architecture.
    #[must_use]
    pub fn arch(&self) -> &'static dyn Arch {
        self.opened.machine.arch
    }
    /// Where the kernel lies.
    #[must_use]
    pub fn boot(&self) -> &Boot {
        &self.opened.machine.boot
    }
    /// The CPUs' registers from the dump's notes, in the notes' order.
    #[must_use]
    pub fn cpu_states(&self) -> &[CpuState] {
        &self.opened.machine.cpu_states
    }
    /// VMCOREINFO: the dump's, or the kernel's own copy in memory; empty where neither is there. Lines that memory
    /// contradicts are left out.
    #[must_use]
    pub fn vmcoreinfo(&self) -> &VmcoreInfo {
        &self.told().info
    }
    pub(crate) fn told(&self) -> &Told {
        self.keep(&self.told, || Told::check(self))
    }
    /// What was found when VMCOREINFO was held against memory, a sentence each; empty before one of its lines was asked
    /// for.
    #[must_use]
    pub fn vmcoreinfo_notes(&self) -> &[String] {
        self.told.made().map_or(&[], |told| &told.notes)
    }
    /// The kernel's build id: what its notes in memory say, else VMCOREINFO.
    #[must_use]
    pub fn build_id(&self) -> Option<&[u8]> {
        self.told().build_id.as_deref().or(self.opened.build_id.as_deref())
    }
    /// The kernels that are known to be in this memory; more than one where a crash kernel ran.
    #[must_use]
    pub fn kernels(&self) -> Vec<Boot> {
        let known = &self.opened.machine.kernels;
        known.iter().chain(&self.told().started).copied().collect()
    }
    /// How far KASLR moved the image, as far as memory does not contradict it.
    #[must_use]
    pub fn kaslr_offset(&self) -> Option<u64> {
        self.told().kaslr_offset
    }
    /// The kernel's ELF file, where one was given or found.
    #[must_use]
    pub fn vmlinux(&self) -> Option<&Arc<ObjectFile>> {
        self.opened.vmlinux.as_ref()
    }

    /// The address of a kernel symbol that an answer needs.
    pub fn need_symbol(&self, name: &str) -> Result<VirtAddr> {
        self.symbol(name).ok_or_else(|| self.no_symbol(name))
    }

    /// All types in reach without a search: the kernel's BTF, and a given vmlinux's DWARF. Where
    /// neither is there, the few structs whose shape could be inferred.
    pub fn types(&self) -> &Types {
        let loaded = self.loaded();
        if loaded.untyped && !self.inferring.swap(true, Ordering::AcqRel) {
            // what is inferred is read with no types at all: this function is asked again meanwhile
            let structs = Inferred::structs(self);
            if self.is_disturbed() {
                // what is missing now may be had by the next command
                self.inferring.store(false, Ordering::Release);
            } else if let Some(structs) = structs {
                let added = loaded.types.add(|id| Ok::<_, ()>(Inferred::source(id, structs)));
                debug_assert!(added.is_ok());
            }
            self.bindings.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        if loaded.btf.is_none() {
            self.check_types();
        }
        &loaded.types
    }

    /// Checks the types against memory, once. BTF is checked when tasks are first asked for, as it cannot be made for a
    /// kernel whose structs gcc shuffled unless that is asked for expressly; DWARF before its first answer.
    pub fn check_types(&self) {
        if self.checking.swap(true, Ordering::AcqRel) {
            return;
        }
        let loaded = self.loaded();
        let notes = if loaded.untyped { Vec::new() } else { checked::correct(self, &loaded.types) };
        if !notes.is_empty() || !loaded.types.doubts().is_empty() {
            self.bindings.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        if self.is_disturbed() {
            // what could not be read now may be by the next command
            self.checking.store(false, Ordering::Release);
        } else {
            let _ = self.checked.set(notes);
        }
    }

    /// What the types are worth beside memory, where that is not all: a sentence each. Empty before they were used.
    #[must_use]
    pub fn type_notes(&self) -> Vec<String> {
        let mut notes = self.checked.get().cloned().unwrap_or_default();
        if self.opened.build == open::Build::Foreign {
            notes.extend(self.loaded.made().map(|loaded| loaded.problems.clone()).unwrap_or_default());
        }
        let doubts = self.loaded.made().map(|loaded| loaded.types.doubts()).unwrap_or_default();
        notes.extend(doubts.iter().map(|(of, members)| checked::doubt_in_words(of, members)));
        notes
    }
    pub(crate) fn loaded(&self) -> &Loaded {
        self.keep(&self.loaded, || {
            // where this is not the first time, bindings rest on types that were not whole
            self.bindings.write().unwrap_or_else(PoisonError::into_inner).clear();
            types::load(self)
        })
    }
    /// The kernel's BTF, where there is some.
    pub fn kernel_btf(&self) -> Option<&KernelBtf> {
        self.loaded().btf.as_ref()
    }
    /// Why types that ought to be there are not.
    pub fn type_problems(&self) -> &[String] {
        &self.loaded().problems
    }
    /// Makes the types of a module known: its split BTF in the dump. Once for each module; false
    /// where there are none.
    pub fn load_module_types(&self, module: &Module) -> std::result::Result<bool, String> {
        let mut done = self.module_types.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = done.get(&module.at) {
            return known.clone();
        }
        let made = match self.kernel_btf() {
            Some(kernel) => types::add_module(self, kernel, &module.name, module.at),
            None => Ok(false),
        };
        // what was read while reading failed or was stopped is looked at again by the next command
        if made == Ok(true) || !self.is_disturbed() {
            done.insert(module.at, made.clone());
        }
        made
    }
    /// The binding of a kernel struct, resolved on first use.
    pub fn bind<B: Binding>(&self) -> Arc<B> {
        let key = TypeId::of::<B>();
        let read = self.bindings.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(hit) = read.get(&key).cloned().and_then(|b| b.downcast::<B>().ok()) {
            return hit;
        }
        drop(read);
        let made = Arc::new(B::bind(&Layouts { types: self.types(), hints: self }));
        if self.is_disturbed() {
            return made;
        }
        let mut write = self.bindings.write().unwrap_or_else(PoisonError::into_inner);
        write.insert(key, made.clone());
        made
    }

    /// The CPUs.
    pub fn cpus(&self) -> &Cpus {
        self.keep(&self.cpus, || cpu::read_cpus(self))
    }
    /// The address of a CPU's copy of a per-CPU variable.
    pub fn per_cpu(&self, symbol: &str, cpu: u32) -> Result<VirtAddr> {
        cpu::per_cpu(self, symbol, cpu)
    }
    /// All tasks.
    pub fn tasks(&self) -> &Tasks {
        self.keep(&self.tasks, || {
            self.check_types();
            task::read_tasks(self)
        })
    }
    /// How this kernel numbers task states.
    pub fn task_states(&self) -> &TaskStates {
        self.keep(&self.states, || TaskStates::read(self))
    }
    /// All modules, in the order they were loaded.
    pub fn modules(&self) -> &[Module] {
        &self.modules_and_problem().0
    }
    /// All modules, and why the list ended early where it did.
    pub fn modules_and_problem(&self) -> &(Vec<Module>, Option<KernelError>) {
        self.keep(&self.modules, || module::read_modules(self))
    }
    /// The module that an address lies in.
    #[must_use]
    pub fn module_at(&self, at: VirtAddr) -> Option<&Module> {
        self.modules().iter().find(|m| m.contains(at))
    }
    /// The kernel's log.
    pub fn log(&self) -> std::result::Result<&Log, &KernelError> {
        self.keep(&self.log, || printk::read_log(self)).as_ref()
    }
}

/// Where a search came upon a crash kernel first: looks for the kernel that died, and takes that. False where there is
/// none.
fn change_to_the_one_that_died(opened: &mut Opened, symbols: &KernelSymbols) -> bool {
    if kernels::is_crash_kernel(&symbols.table, &*opened.machine.mem) != Some(true) {
        return false;
    }
    let boot = opened.machine.boot;
    let watched = WatchedPhys { phys: opened.machine.phys(), watch: &opened.watch };
    let mut all = Boot::search_others(&[boot], None, &watched);
    opened.watch.progress.finish();
    let Some(first) = all.first().copied() else { return false };
    all.push(boot);
    opened.machine.change_to(Kernels(all), first);
    true
}

impl OffsetHints for Session {
    fn offset(&self, of: &str, member: &str) -> Option<u64> {
        self.vmcoreinfo().offset(&format!("{of}.{member}"))
    }
    fn size(&self, of: &str) -> Option<u64> {
        self.vmcoreinfo().size(of)
    }
    fn number(&self, name: &str) -> Option<i64> {
        self.vmcoreinfo().number(name)
    }
}
