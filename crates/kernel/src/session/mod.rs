//! One opened dump: it joins memory, architecture, symbols and types, each read when first asked for, and keeps the facts
//! ([`Fact`]) that are found out about its kernel. It does not know which facts there are.

mod facts;
mod symbols;
mod typing;
mod variables;
mod vmcoreinfo;

pub use facts::Fact;
pub(crate) use facts::Memo;
pub use typing::KernelBtf;
pub(crate) use typing::{Loaded, Typing};

use crate::bind::OffsetHints;
use crate::error::{KernelError, Result};
use crate::opening::kernels::{self, Kernels};
use crate::opening::machine::Machine;
use crate::opening::open::{self, Opened};
use crate::opening::options::OpenOptions;
use crate::opening::symbols::KernelSymbols;
use crate::opening::watched::WatchedPhys;
use arch::{Arch, Boot, CpuState, How, KernelMap};
use base::{Cancel, Kept, PhysRead, VirtAddr, VirtRead, VmcoreInfo};
use debuginfo::elf::ObjectFile;
use debuginfo::find::Debuginfod;
use facts::Facts;
use std::sync::Arc;
use vmcoreinfo::CheckedInfo;

/// One opened dump: memory, symbols, types and what was found out about the kernel.
pub struct Session {
    opened: Opened,
    symbols: symbols::Known,
    told: Kept<CheckedInfo>,
    types: typing::Known,
    facts: Facts,
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
    /// A session over a machine. A stop while debug files are unpacked or fetched leaves a session without them.
    pub(crate) fn start(
        machine: Machine,
        options: &OpenOptions,
        servers: Option<Arc<Debuginfod>>,
        typing: &'static dyn Typing,
    ) -> Result<Start> {
        let mut opened = Opened::new(machine, options, servers)?;
        let mut kernel_symbols = Kept::new();
        if let Some(logged) = opened.machine.logged.clone() {
            opened.banner_release.clone_from(&logged.release);
            open::search(&mut opened, options)?;
            return Ok(Start::Session(Box::new(Self::of(opened, kernel_symbols, typing))));
        }
        if opened.machine.boot.how != How::VmcoreInfo {
            // the page tables are some process's: the kernel's own are found by name
            let mut symbols = KernelSymbols::load(&opened);
            if options.kernel.is_none() && change_to_the_one_that_died(&mut opened, &symbols) {
                symbols = KernelSymbols::load(&opened);
            }
            let max_pfn = symbols.table.addr("max_pfn").and_then(|at| opened.machine.mem.u64(at).ok());
            let last =
                max_pfn.and_then(|max| max.checked_mul(1 << opened.machine.boot.tables.paging.page_shift()));
            if let Some(hole) = last.and_then(|last| opened.machine.image.hole_left_out(last)) {
                return Ok(Start::Hole(hole));
            }
            let root = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
            if let Some(at) = root.iter().find_map(|n| symbols.table.addr(n)) {
                opened.machine.use_swapper(at);
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
            let told = opened.machine.info.clone();
            let symbol = |name: &str| symbols.table.addr(name).or_else(|| told.symbol(name));
            if let Some(name) = opened.machine.own_name(symbol("init_uts_ns")) {
                opened
                    .machine
                    .check_name(&name, true, |arch| symbols::has_entry_code(&symbols.table, arch))?;
            }
            opened.machine.hold_release(symbol);
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
            if opened.machine.releases_differ() {
                let symbols = KernelSymbols::load(&opened);
                let told = opened.machine.info.clone();
                opened.machine.hold_release(|name| symbols.table.addr(name).or_else(|| told.symbol(name)));
            }
            open::search(&mut opened, options)?;
        }
        if options.watch.cancel.is_cancelled() {
            opened.warnings.push(
                "debug files: the search was stopped; the answers do without what it did not reach".into(),
            );
            options.watch.cancel.go_on();
        }
        Ok(Start::Session(Box::new(Self::of(opened, kernel_symbols, typing))))
    }

    /// A session over what was opened. Nothing is read.
    fn of(opened: Opened, kernel: Kept<KernelSymbols>, typing: &'static dyn Typing) -> Self {
        Self {
            opened,
            symbols: symbols::Known::with(kernel),
            told: Kept::new(),
            types: typing::Known::new(typing),
            facts: Facts::default(),
        }
    }

    /// Sets a fact that is not to be read from memory.
    pub(crate) fn give<F: Fact>(&mut self, fact: F) {
        self.facts.give(fact);
    }

    /// A value that is made when it is first asked for. What Ctrl-C or a failed read disturbed serves the command that
    /// asked, and is made again for the next.
    pub(crate) fn keep<'a, T>(&self, cell: &'a Kept<T>, make: impl FnOnce() -> T) -> &'a T {
        self.opened.machine.image.keep(self.cancel(), cell, make)
    }
    /// True where what is made now would not be whole: it is not to be kept.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.cancel().is_cancelled() || self.opened.machine.image.failures(self.cancel()) > 0
    }
    /// What Ctrl-C sets.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.opened.watch.cancel
    }

    /// The dump.
    #[must_use]
    pub fn dump(&self) -> &Arc<dump::Dump> {
        &self.opened.machine.image.dump
    }
    /// True where the kernel's log is all that there is: no memory.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.opened.machine.logged.is_some()
    }
    /// The bytes of the log, where that is all there is.
    #[must_use]
    pub fn log_text(&self) -> Option<&[u8]> {
        self.opened.machine.image.dump.facts().log.as_deref()
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
    pub fn arch(&self) -> &'static Arch {
        self.opened.machine.arch
    }
    /// Bytes of a page of this kernel, as a shift: what it counts and numbers pages by.
    #[must_use]
    pub fn page_shift(&self) -> u32 {
        self.boot().tables.paging.page_shift()
    }
    /// Bytes of a page of this kernel.
    #[must_use]
    pub fn page_size(&self) -> u64 {
        1 << self.page_shift()
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
        &self.checked_info().info
    }
    pub(crate) fn checked_info(&self) -> &CheckedInfo {
        self.keep(&self.told, || CheckedInfo::check(self))
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
        let checked = self.checked_info();
        let opened = self.opened.build_id.as_deref().filter(|_| !checked.is_other_build);
        let agrees = |id: &&[u8]| {
            let copied = self.fact::<vmcoreinfo::CopiedId>().0.as_deref();
            copied.is_none_or(|copied| copied == crate::hex(id))
        };
        checked.build_id.as_deref().or_else(|| opened.filter(agrees))
    }
    /// The kernels that are known to be in this memory; more than one where a crash kernel ran.
    #[must_use]
    pub fn kernels(&self) -> Vec<Boot> {
        let known = &self.opened.machine.kernels;
        known.iter().chain(&self.checked_info().started).copied().collect()
    }
    /// How far KASLR moved the image, as far as memory does not contradict it.
    #[must_use]
    pub fn kaslr_offset(&self) -> Option<u64> {
        self.checked_info().kaslr_offset
    }
    /// The kernel's ELF file, where one was given or found.
    #[must_use]
    pub fn vmlinux(&self) -> Option<&Arc<ObjectFile>> {
        self.opened.vmlinux.as_ref()
    }

    /// The address of a kernel symbol that an answer needs.
    ///
    /// # Errors
    /// It is not in the kernel's table of symbols, or that lost some.
    pub fn need_symbol(&self, name: &str) -> Result<VirtAddr> {
        self.symbol(name).ok_or_else(|| self.no_symbol(name))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn a_symbol_that_is_not_there_is_none_of_the_kernel_and_no_loss() {
        let mut k = Kernel::new();
        let at = k.variable("jiffies", 8);
        let s = session(&k);
        assert_eq!(s.need_symbol("jiffies").unwrap(), VirtAddr(at));
        let why = s.need_symbol("no_such_thing").unwrap_err();
        assert!(why.is_of_the_kernel() && !why.is_loss(), "{why}");
        k.lose("jiffies");
        let lost = session(&k).need_symbol("jiffies").unwrap_err();
        assert!(lost.to_string().contains("jiffies"), "{lost}");
    }

    #[test]
    fn how_large_a_page_is_the_page_tables_tell() {
        let s = session(&Kernel::new());
        assert_eq!((s.page_size(), s.page_shift()), (4096, 12));
    }

    #[test]
    fn how_large_a_page_of_arm64_is_the_page_tables_tell() {
        for (shift, size) in [(12, 4096), (14, 16 << 10), (16, 64 << 10)] {
            let s = session(&Kernel::arm64(shift, 48));
            assert_eq!((s.page_size(), s.page_shift()), (size, shift));
        }
    }

    #[test]
    fn what_a_stop_disturbed_is_made_again() {
        let s = session(&Kernel::new());
        let cell = Kept::new();
        s.cancel().cancel();
        assert!(s.is_disturbed());
        assert_eq!((*s.keep(&cell, || 1), cell.made().is_none()), (1, true));
        s.cancel().reset();
        assert!(!s.is_disturbed());
        assert_eq!((*s.keep(&cell, || 2), *s.keep(&cell, || 3)), (2, 2));
    }

    #[test]
    fn a_session_shows_what_it_is_of_and_nothing_else() {
        let s = session(&Kernel::new());
        assert!(s.vmlinux().is_none() && s.vmcoreinfo_notes().is_empty());
        assert_eq!(format!("{s:?}"), "Session { dump: \"ELF core (kdump)\", .. }");
    }
}
