//! One opened dump: it joins memory, architecture, symbols and types, each read when first asked for.

use crate::bind::{Binding, Layouts, OffsetHints};
use crate::checked;
use crate::cpu::{self, Cpus};
use crate::debug::DebugFile;
use crate::error::{KernelError, Result};
use crate::infer::Inferred;
use crate::machine::Machine;
use crate::module::{self, Module};
use crate::open::{self, Opened};
use crate::printk::{self, Log};
use crate::registers;
use crate::symbols::KernelSymbols;
use crate::task::{self, TaskStates, Tasks};
use crate::typing::{self, KernelBtf, Loaded};
use arch::{Arch, Boot, CpuState, FrameShape, How, KernelMap};
use base::{PhysRead, VirtAddr, VirtRead, VmcoreInfo};
use debuginfo::elf::ObjectFile;
use debuginfo::find::{Debuginfod, Sources, Watch};
use debuginfo::orc::OrcTable;
use debuginfo::symtab::SymbolTable;
use debuginfo::types::Types;
use rustc_hash::{FxHashMap, FxHashSet};
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
    /// Do not ask debuginfod servers.
    pub no_debuginfod: bool,
    /// Trees, archives and packages to look for source text in.
    pub source_dirs: Vec<PathBuf>,
    /// Where long work (unpacking, downloads) says how far it is, and what stops it.
    pub watch: Watch,
    /// Hides pages of the dump, and notes which are read: for tests.
    pub veil: Option<Arc<dump::Veil>>,
}

/// One opened dump: memory, symbols, types and what was found out about the kernel.
pub struct Session {
    opened: Opened,
    bindings: RwLock<FxHashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    pub(crate) kernel_symbols: OnceLock<KernelSymbols>,
    pub(crate) landmarks: OnceLock<Vec<Option<VirtAddr>>>,
    pub(crate) init_task: OnceLock<Option<VirtAddr>>,
    pub(crate) module_symbols: OnceLock<SymbolTable>,
    pub(crate) image: OnceLock<(VirtAddr, VirtAddr)>,
    pub(crate) text_runs: OnceLock<Vec<std::ops::Range<VirtAddr>>>,
    loaded: OnceLock<Loaded>,
    module_types: Mutex<FxHashSet<VirtAddr>>,
    inferring: AtomicBool,
    checking: AtomicBool,
    checked: OnceLock<Vec<String>>,
    cpus: OnceLock<Cpus>,
    tasks: OnceLock<Tasks>,
    states: OnceLock<TaskStates>,
    modules: OnceLock<(Vec<Module>, Option<KernelError>)>,
    log: OnceLock<std::result::Result<Log, KernelError>>,
    pub(crate) kernel_orc: OnceLock<Option<OrcTable>>,
    pub(crate) module_orcs: Mutex<FxHashMap<VirtAddr, Option<OrcTable>>>,
    pub(crate) shapes: Mutex<FxHashMap<VirtAddr, Option<FrameShape>>>,
    pub(crate) known_registers: registers::Known,
    pub(crate) slab_caches: OnceLock<FxHashMap<VirtAddr, String>>,
    pub(crate) kernel_debug: OnceLock<Option<Arc<DebugFile>>>,
    pub(crate) module_debugs: Mutex<FxHashMap<VirtAddr, Option<Arc<DebugFile>>>>,
    pub(crate) sources: OnceLock<Sources>,
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
        let kernel_symbols = OnceLock::new();
        if opened.machine.boot.how != How::VmcoreInfo {
            // the page tables are some process's: the kernel's own are found by name
            let mut symbols = KernelSymbols::load(&opened);
            let max_pfn = symbols.table.addr("max_pfn").and_then(|at| opened.machine.mem.u64(at).ok());
            if let Some(hole) = max_pfn.and_then(|max| opened.machine.image.hole_left_out(max)) {
                return Ok(Start::Hole(hole));
            }
            let root = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
            if let Some(at) = root.iter().find_map(|n| symbols.table.addr(n)) {
                opened.machine.use_swapper(at);
            }
            if opened.machine.info.is_empty()
                && let Some(at) = symbols.table.addr("vmcoreinfo_data")
            {
                opened.read_vmcoreinfo(at);
            } else if opened.machine.info.is_empty() && symbols.names_no_variables() {
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
                let _ = kernel_symbols.set(symbols);
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
            landmarks: OnceLock::new(),
            init_task: OnceLock::new(),
            module_symbols: OnceLock::new(),
            image: OnceLock::new(),
            text_runs: OnceLock::new(),
            loaded: OnceLock::new(),
            module_types: Mutex::default(),
            inferring: AtomicBool::new(false),
            checking: AtomicBool::new(false),
            checked: OnceLock::new(),
            cpus: OnceLock::new(),
            tasks: OnceLock::new(),
            states: OnceLock::new(),
            modules: if options.no_modules { OnceLock::from((Vec::new(), None)) } else { OnceLock::new() },
            log: OnceLock::new(),
            kernel_orc: OnceLock::new(),
            module_orcs: Mutex::default(),
            shapes: Mutex::default(),
            known_registers: registers::Known::default(),
            slab_caches: if options.no_slab_caches {
                OnceLock::from(FxHashMap::default())
            } else {
                OnceLock::new()
            },
            kernel_debug: OnceLock::new(),
            module_debugs: Mutex::default(),
            sources: OnceLock::new(),
        };
        Ok(Start::Session(Box::new(session)))
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
    /// VMCOREINFO: the dump's, or the kernel's own copy in memory; empty where neither is there.
    #[must_use]
    pub fn vmcoreinfo(&self) -> &VmcoreInfo {
        &self.opened.machine.info
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
            if let Some(structs) = Inferred::structs(self) {
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
        if !notes.is_empty() {
            self.bindings.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let _ = self.checked.set(notes);
    }

    /// What the types are worth beside memory, where that is not all: a sentence each. Empty before they were used.
    pub fn type_notes(&self) -> &[String] {
        self.checked.get().map_or(&[], Vec::as_slice)
    }
    pub(crate) fn loaded(&self) -> &Loaded {
        self.loaded.get_or_init(|| typing::load(self))
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
        if !done.insert(module.at) {
            return Ok(true);
        }
        match self.kernel_btf() {
            Some(kernel) => typing::add_module(self, kernel, &module.name, module.at),
            None => Ok(false),
        }
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
        let mut write = self.bindings.write().unwrap_or_else(PoisonError::into_inner);
        write.insert(key, made.clone());
        made
    }

    /// The CPUs.
    pub fn cpus(&self) -> &Cpus {
        self.cpus.get_or_init(|| cpu::read_cpus(self))
    }
    /// The address of a CPU's copy of a per-CPU variable.
    pub fn per_cpu(&self, symbol: &str, cpu: u32) -> Result<VirtAddr> {
        cpu::per_cpu(self, symbol, cpu)
    }
    /// All tasks.
    pub fn tasks(&self) -> &Tasks {
        self.tasks.get_or_init(|| {
            self.check_types();
            task::read_tasks(self)
        })
    }
    /// How this kernel numbers task states.
    pub fn task_states(&self) -> &TaskStates {
        self.states.get_or_init(|| TaskStates::read(self))
    }
    /// All modules, in the order they were loaded.
    pub fn modules(&self) -> &[Module] {
        &self.modules_and_problem().0
    }
    /// All modules, and why the list ended early where it did.
    pub fn modules_and_problem(&self) -> &(Vec<Module>, Option<KernelError>) {
        self.modules.get_or_init(|| module::read_modules(self))
    }
    /// The module that an address lies in.
    #[must_use]
    pub fn module_at(&self, at: VirtAddr) -> Option<&Module> {
        self.modules().iter().find(|m| m.contains(at))
    }
    /// The kernel's log.
    pub fn log(&self) -> std::result::Result<&Log, &KernelError> {
        self.log.get_or_init(|| printk::read_log(self)).as_ref()
    }
}

impl OffsetHints for Session {
    fn offset(&self, of: &str, member: &str) -> Option<u64> {
        self.opened.machine.info.offset(&format!("{of}.{member}"))
    }
    fn size(&self, of: &str) -> Option<u64> {
        self.opened.machine.info.size(of)
    }
    fn number(&self, name: &str) -> Option<i64> {
        self.opened.machine.info.number(name)
    }
}
