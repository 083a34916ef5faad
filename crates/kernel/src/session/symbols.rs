//! Symbols of the running kernel, with addresses as in the dump, and what they tell of its image. Those of modules are in
//! [`crate::module::symbols`].

use super::Session;
use super::variables::Variables;
use crate::error::{KernelError, Result};
use crate::opening::image_scan;
use crate::opening::symbols::KernelSymbols;
use arch::{Arch, Linear};
use base::{FaultKind, Kept, VirtAddr};
use debuginfo::kallsyms::{self, Addresses};
use debuginfo::symtab::SymbolTable;
use std::ops::Range;

/// What tells where the kernel's memory is: read without the whole table where that is possible.
const LANDMARKS: [&str; 6] = ["_text", "_stext", "_end", "page_offset_base", "vmalloc_base", "vmemmap_base"];

/// What symbols told so far.
#[derive(Default)]
pub(super) struct Known {
    kernel: Kept<KernelSymbols>,
    landmarks: Kept<Vec<Option<VirtAddr>>>,
    init_task: Kept<Option<VirtAddr>>,
    image: Kept<(VirtAddr, VirtAddr)>,
    text_runs: Kept<Vec<Range<VirtAddr>>>,
}

impl Known {
    /// What reading the kernel's symbols when the dump was opened came to.
    pub(super) fn with(kernel: Kept<KernelSymbols>) -> Self {
        Self { kernel, ..Self::default() }
    }
}

/// What tells, in a table of symbols, that they are of a kernel of this architecture: functions of its entry code.
pub(super) fn has_entry_code(table: &SymbolTable, arch: &Arch) -> Option<&'static str> {
    let is_entry =
        |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| arch.entries().entry(name).is_some());
    table.filtered(is_entry).next().is_some().then_some("the entry code among its symbols")
}

impl Session {
    /// The kernel's symbols.
    pub fn kernel_symbols(&self) -> &KernelSymbols {
        self.keep(&self.symbols.kernel, || {
            let symbols = KernelSymbols::load(self.opened());
            self.note_direct_map(symbols.table.addr("page_offset_base"));
            symbols
        })
    }

    /// For a dump that lacks page tables: where memory is mapped as a whole, by the variable that says so.
    fn note_direct_map(&self, base: Option<VirtAddr>) {
        let base = base.and_then(|at| self.mem().ptr(at).ok());
        if let Some(base) = base.filter(|at| self.arch().is_kernel(*at) && at.page_offset() == 0) {
            let bytes = self.map().phys().ranges().last().map_or(0, |r| r.end.0);
            let end = base.add(bytes);
            self.map().set_direct_map(Linear { start: base, end, offset: base.0 });
        } else if let Some(told) = self.arch().layout.linear_map(&self.opened().machine.info)
            && self.is_mapped_so(&told)
        {
            self.map().set_direct_map(told);
        }
    }

    /// True where page tables map the first page of a linear map as it says, and where none are there that would.
    fn is_mapped_so(&self, told: &Linear) -> bool {
        let map = self.map();
        let mut pages = map.tables().mapped(&**map.phys(), told.start, told.end);
        pages.next().is_none_or(|(at, page)| told.phys(at) == Some(page.phys))
    }

    /// The address of a kernel symbol, the first of several.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<VirtAddr> {
        let known = self.kernel_symbols().table.addr(name).or_else(|| self.vmcoreinfo().symbol(name));
        known.or_else(|| self.by_shape(name))
    }

    /// A variable that no symbol leads to, in a kernel whose table names no variables: told by what it holds and by the
    /// functions that use it.
    fn by_shape(&self, name: &str) -> Option<VirtAddr> {
        if !self.kernel_symbols().names_no_variables() {
            return None;
        }
        match name {
            "init_task" => *self.keep(&self.symbols.init_task, || image_scan::init_task(self.opened())),
            _ => self.fact::<Variables>().find(self, name),
        }
    }

    /// The address of a symbol that not all kernels have.
    ///
    /// # Errors
    /// The session's symbols lack some, and this may be one of them.
    pub fn optional_symbol(&self, name: &str) -> Result<Option<VirtAddr>> {
        match self.symbol(name) {
            Some(at) => Ok(Some(at)),
            None => match self.no_symbol(name) {
                KernelError::NoSymbol(_) => Ok(None),
                lack => Err(lack),
            },
        }
    }

    /// Why a symbol is not there: what is wrong with the symbols, or that this kernel has none of the name.
    #[must_use]
    pub fn no_symbol(&self, name: &str) -> KernelError {
        let symbols = self.kernel_symbols();
        match symbols.problem.clone() {
            Some(why) => KernelError::SymbolsLack { name: name.to_owned(), why, is_lost: symbols.is_lost },
            None => KernelError::NoSymbol(name.to_owned()),
        }
    }

    /// [`Self::symbol`] for those who need a few places in memory and perhaps no other symbol: reads no table of all
    /// where VMCOREINFO says where kallsyms is.
    #[must_use]
    pub(crate) fn landmark(&self, name: &str) -> Option<VirtAddr> {
        let place = LANDMARKS.iter().position(|known| *known == name);
        let (None, Some(place)) = (self.symbols.kernel.made(), place) else { return self.symbol(name) };
        let info = &self.opened().machine.info;
        let few = self.keep(&self.symbols.landmarks, || {
            let at = Addresses::from_lookup(|name| info.symbol(name)).ok();
            let mut few =
                at.and_then(|at| kallsyms::few(self.mem(), &at, &LANDMARKS).ok()).unwrap_or_default();
            let of = |wanted| {
                LANDMARKS.iter().zip(&few).find(|(name, _)| **name == wanted).and_then(|(_, at)| *at)
            };
            let (text, mapped) = (of("_text").or_else(|| of("_stext")), self.boot().text);
            let elsewhere = |(text, mapped): (VirtAddr, VirtAddr)| text.0 >> 21 != mapped.0 >> 21;
            let base = of("page_offset_base");
            if text.zip(mapped).is_some_and(elsewhere) {
                few.clear();
            } else {
                self.note_direct_map(base);
            }
            few
        });
        // nothing was read: the table knows, or knows why not
        few.get(place).copied().unwrap_or_else(|| self.symbol(name))
    }

    /// First and one past the last address of the kernel's image, as far as symbols say.
    #[must_use]
    pub fn kernel_places(&self) -> [Option<VirtAddr>; 2] {
        [self.landmark("_text").or_else(|| self.landmark("_stext")), self.landmark("_end")]
    }

    /// First address and bytes of vmalloc's range; `None` where the image and its modules lie in the same one.
    ///
    /// # Errors
    /// KASLR moves it, and where to is not in the dump.
    pub fn vmalloc_range(&self) -> Result<Option<(VirtAddr, u64)>> {
        let Some((fixed, size)) = self.arch().layout.vmalloc_range(self.map().tables().levels()) else {
            return Ok(None);
        };
        let known = self
            .landmark("vmalloc_base")
            .map_or_else(|| self.optional_symbol("vmalloc_base"), |at| Ok(Some(at)));
        let Some(at) = known? else { return Ok(Some((fixed, size))) };
        let moved = self.mem().ptr(at)?;
        match self.arch().is_kernel(moved) {
            true => Ok(Some((moved, size))),
            false => {
                let why = format!("it holds {moved:#x}, which is not in the kernel's half");
                Err(KernelError::Damaged { what: "vmalloc_base", at, why })
            }
        }
    }

    /// True in the kernel's image: its text and static data.
    #[must_use]
    pub fn in_image(&self, at: VirtAddr) -> bool {
        let (start, end) = *self.keep(&self.symbols.image, || {
            let t = &self.kernel_symbols().table;
            let start = t.addr("_text").or_else(|| t.addr("_stext")).or(self.boot().text).unwrap_or_default();
            let last = t.iter().next_back().map(|s| s.addr.add(1));
            // without names it can reach to where modules begin
            let [_, latest, _] = self.arch().layout.image_range();
            let end = t.addr("_end").or(last).unwrap_or(if start.is_null() { start } else { latest });
            (start, end.max(start))
        });
        start <= at && at < end
    }

    /// True beside the image, where modules lie and code that was made at run time; on some machines all else that `vmalloc`
    /// has too.
    #[must_use]
    pub fn beside_image(&self, at: VirtAddr) -> bool {
        let [start, _, end] = self.arch().layout.image_range();
        start <= at && at < end && !self.in_image(at)
    }

    /// The runs of code in the kernel's image, by the linker's symbols; looked up once, as every word of a
    /// stack that is searched asks.
    fn text_runs(&self) -> &[Range<VirtAddr>] {
        self.keep::<Vec<_>>(&self.symbols.text_runs, || {
            let t = &self.kernel_symbols().table;
            let mut runs: Vec<_> = [("_stext", "_etext"), ("_sinittext", "_einittext"), ("_text", "_etext")]
                .into_iter()
                .filter_map(|(from, to)| Some(t.addr(from)?..t.addr(to)?))
                .collect();
            // a damaged table can have lost what ends the text: the page tables know how far code can run
            if !t.is_empty() && t.addr("_etext").is_none() {
                let start = t.addr("_stext").or_else(|| t.addr("_text")).or(self.boot().text);
                match start.and_then(|start| Some(start..self.end_of_code(start)?)) {
                    Some(run) => runs.push(run),
                    // the end of the text is not known, so that no range of it can be trusted
                    None => runs.clear(),
                }
            }
            runs
        })
    }

    /// The first page from `start` on in which no code runs; `None` where the page tables that would tell are not in the
    /// dump.
    fn end_of_code(&self, start: VirtAddr) -> Option<VirtAddr> {
        let mut at = start;
        while self.in_image(at) {
            match self.map().walk(at).result {
                Ok(page) if self.arch().paging.may_run(page.entry) => {
                    at = VirtAddr(at.0 & !(page.page_size - 1)).add(page.page_size);
                }
                Err(FaultKind::Table(_)) => return None,
                _ => break,
            }
        }
        Some(at)
    }

    /// True where the linker's symbols tell what of the image is text.
    #[must_use]
    pub fn knows_text(&self) -> bool {
        !self.text_runs().is_empty()
    }

    /// True in the text of the kernel's image. Asks for no module.
    #[must_use]
    pub fn is_image_text(&self, at: VirtAddr) -> bool {
        self.in_image(at) && self.text_runs().iter().any(|run| run.contains(&at))
    }

    /// True for the address of a per-CPU variable before a CPU's offset is added: it lies between
    /// `__per_cpu_start` and `__per_cpu_end`.
    #[must_use]
    pub fn is_per_cpu(&self, at: VirtAddr) -> bool {
        let t = &self.kernel_symbols().table;
        match (t.addr("__per_cpu_start"), t.addr("__per_cpu_end")) {
            (Some(start), Some(end)) => start <= at && at < end,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_text_ends_the_page_tables_tell_where_its_symbol_is_lost() {
        use testkit::kernel::{Kernel, TEXT};
        let mut k = Kernel::new();
        k.forbid(TEXT + 0x20_0000);
        let of = |k: &Kernel| {
            let s = crate::testing::session(k);
            let text = [0x100, 0x1f_0000, 0x20_0100].map(|at| s.is_text(VirtAddr(TEXT + at)));
            (text, s.knows_text())
        };
        assert_eq!(of(&k), ([true, false, false], true));
        k.lose("_etext");
        assert_eq!(of(&k), ([true, true, false], true));
    }
}
