//! Symbols of the running kernel and its modules, with addresses as in the dump.

use crate::KernelError;
use crate::module;
use crate::opening::image_scan;
use crate::opening::open::{Build, Opened};
use crate::opening::watched::WatchedVirt;
use crate::session::Session;
use arch::{Boot, KernelMap, Linear};
use base::{FaultKind, PAGE_SIZE, PhysAddr, PhysRead, VirtAddr};
use debuginfo::find::Watch;
use debuginfo::kallsyms::{self, Addresses, Kallsyms, KallsymsError};
use debuginfo::symtab::{Symbol, SymbolTable, SymbolTableBuilder};
use std::ops::Range;
use std::sync::Arc;

/// How far behind `_text` kallsyms can be: text and read-only data of the largest kernels.
const KALLSYMS_WITHIN: u64 = 256 << 20;
/// What tells where the kernel's memory is: read without the whole table where that is possible.
const LANDMARKS: [&str; 6] = ["_text", "_stext", "_end", "page_offset_base", "vmalloc_base", "vmemmap_base"];
/// What a kernel without `CONFIG_KALLSYMS_ALL` leaves out of its own table.
const FUNCTIONS_ALONE: &str = "kallsyms in the dump has functions alone (a kernel without CONFIG_KALLSYMS_ALL): its \
     variables are in its vmlinux (\"info\" says which package has it)";
/// Runs of memory that are looked through for kallsyms; an image in more pieces has lost its table.
const MAX_RUNS: usize = 4096;

/// The kernel's own symbols.
#[derive(Clone)]
pub struct KernelSymbols {
    /// The table; empty where no way led to one.
    pub table: Arc<SymbolTable>,
    /// How many symbols are lost: the table has gaps in their place.
    pub lost: usize,
    /// Where it is from, in words.
    pub from: String,
    /// Why not from a better place, or why there is none.
    pub problem: Option<String>,
}

impl KernelSymbols {
    /// True for a kernel without `CONFIG_KALLSYMS_ALL`, and where there are no symbols at all.
    pub(crate) fn names_no_variables(&self) -> bool {
        self.table.is_empty() || self.table.has_functions_alone()
    }

    /// From vmlinux where there is one, else from kallsyms in the dump, else from a System.map that was named.
    pub(crate) fn load(o: &Opened) -> Self {
        if let Some(file) = o.vmlinux.as_ref().filter(|_| o.build != Build::Foreign) {
            let table = SymbolTable::from_elf(file, o.machine.boot.slide());
            if !table.is_empty() {
                let from = format!("symbol table of {}", file.path().display());
                return Self { table: Arc::new(table), lost: 0, from, problem: None };
            }
        }
        let own = Self::from_kallsyms(o);
        match &o.system_map {
            // what the dump has itself is not less, unless it says so
            Some(map) if own.problem.is_some() || own.table.is_empty() => {
                let from = map.path.display().to_string();
                Self { table: Arc::clone(&map.table), from, problem: None, lost: 0 }
            }
            _ => own,
        }
    }

    /// From kallsyms in the dump.
    pub(crate) fn from_kallsyms(o: &Opened) -> Self {
        let told = Addresses::from_lookup(|name| o.machine.info.symbol(name))
            .map_err(|e| e.to_string())
            .and_then(|at| Kallsyms::read(&*o.machine.mem, &at).map_err(|e| e.to_string()))
            .and_then(
                |found| if is_of_image(&found.table, o) { Ok(found) } else { Err(ELSEWHERE.to_owned()) },
            );
        let searched = |why: String| {
            let text = o.machine.boot.text.ok_or(why)?;
            find_in_image(&o.machine.mem, o.machine.phys(), &o.machine.boot, text, &o.watch).map_err(|e| {
                match o.watch.cancel.is_cancelled() {
                    true => "the search was stopped; the next command that needs them looks again".to_owned(),
                    false => format!("{e}{}", lacking(o.machine.phys(), o.machine.boot.image_phys(text))),
                }
            })
        };
        match told.or_else(searched) {
            Ok(found) => Self::read(found.table, found.lost),
            Err(why) => Self {
                table: Arc::new(SymbolTable::empty()),
                lost: 0,
                from: "nowhere".into(),
                problem: Some(match o.machine.image.lost_memory() {
                    Some(lost) => format!("kallsyms is not in the dump: {lost}"),
                    None => format!("kallsyms in the dump: {why}"),
                }),
            },
        }
    }

    /// What a table in the dump is worth.
    fn read(table: SymbolTable, lost: usize) -> Self {
        let damage = (lost > 0).then(|| {
            format!("kallsyms in the dump is damaged: {lost} symbols have lost their name or their address")
        });
        let problem = table.has_functions_alone().then(|| FUNCTIONS_ALONE.to_owned()).or(damage);
        let from = match lost {
            0 => "kallsyms in the dump".into(),
            _ => format!("kallsyms in the dump, damaged: {lost} symbols lost"),
        };
        Self { table: Arc::new(table), lost, from, problem }
    }
}

/// Why a table that VMCOREINFO leads to is not believed.
const ELSEWHERE: &str = "the table that VMCOREINFO leads to does not begin where the kernel's image does";

/// Whether a table's first symbol and its topmost page table are where page tables and VMCOREINFO have them: arrays that
/// are read at wrong places give every name another address.
fn is_of_image(table: &SymbolTable, o: &Opened) -> bool {
    const ALIGN: u64 = 2 << 20;
    let text = table.addr("_text").or_else(|| table.addr("_stext"));
    let begins = match (text, o.machine.boot.text) {
        (Some(own), Some(mapped)) => own.0 / ALIGN == mapped.0 / ALIGN,
        _ => true,
    };
    let roots = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
    let own = roots.iter().find_map(|name| table.addr(name));
    let told = roots.iter().find_map(|name| o.machine.info.symbol(name));
    begins && own.zip(told).is_none_or(|(own, told)| own == told)
}

/// Looks for kallsyms in those parts of the image whose memory the dump has: where most of it is missing, asking
/// for every page of the address space would take seconds.
pub(crate) fn find_in_image(
    mem: &KernelMap,
    phys: &dyn PhysRead,
    boot: &Boot,
    text: VirtAddr,
    watch: &Watch,
) -> Result<Kallsyms, KallsymsError> {
    let end = text.add(KALLSYMS_WITHIN);
    let mut error = None;
    let mem = WatchedVirt { mem, watch, all: text..end };
    for run in present(phys, boot.image_phys(text), KALLSYMS_WITHIN).into_iter().take(MAX_RUNS) {
        let found = kallsyms::find_behind(&mem, text, text.add(run.start), text.add(run.end));
        watch.progress.finish();
        match found {
            Ok(found) => return Ok(found),
            // what the most promising place lacked says more than that nothing was found
            Err(KallsymsError::NotFound { .. }) => {}
            Err(e) => error = error.or(Some(e)),
        }
    }
    Err(error.unwrap_or(KallsymsError::NotFound { start: text, end, candidates: 0 }))
}

/// Why a part of the image is not in the dump: what was looked for may lie there.
fn lacking(phys: &dyn PhysRead, image: PhysAddr) -> String {
    const STEP: usize = 1 << 16;
    let first = (0..KALLSYMS_WITHIN / 4).step_by(STEP).find_map(|at| {
        let at = image.add(at);
        phys.read_phys(at, &mut [0]).err().map(|gap| format!("; {gap}"))
    });
    first.unwrap_or_default()
}

/// The parts of `len` bytes from `from` on that physical memory may hold, as distances from `from`. A hole of a sparse
/// file is zeros among them: what is searched for can go on behind it.
pub(crate) fn present(phys: &dyn PhysRead, from: PhysAddr, len: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < len {
        let next =
            phys.skip_holes(from.add(at)).map(|next| next.page_base().0.saturating_sub(from.0).max(at));
        let next = next.unwrap_or(len).min(len);
        let zeros = next > at && phys.read_phys(from.add(at), &mut [0]).is_ok();
        let (start, end) = if zeros { (at, next) } else { (next, next + PAGE_SIZE) };
        if start >= len {
            break;
        }
        match runs.last_mut() {
            Some(run) if run.end == start => run.end = end,
            _ => runs.push(start..end),
        }
        at = end;
    }
    runs
}

/// Where an address lies: the symbol at or below it, and how far into it.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// The symbol.
    pub symbol: Symbol<'a>,
    /// Bytes from the symbol to the address.
    pub offset: u64,
    /// Bytes of the symbol, as the kernel prints them (`+0x10/SPAN`), where known.
    pub span: Option<u64>,
}

impl Session {
    /// The kernel's symbols.
    pub fn kernel_symbols(&self) -> &KernelSymbols {
        self.keep(&self.kernel_symbols, || {
            let symbols = KernelSymbols::load(self.opened());
            self.note_direct_map(symbols.table.addr("page_offset_base"));
            symbols
        })
    }

    /// For a dump that lacks page tables: where memory is mapped as a whole, by the variable that says so.
    fn note_direct_map(&self, base: Option<VirtAddr>) {
        let base = base.and_then(|at| self.mem().ptr(at).ok());
        if let Some(base) = base.filter(|at| at.0 >> 63 == 1 && at.page_offset() == 0) {
            let bytes = self.map().phys().ranges().last().map_or(0, |r| r.end.0);
            let end = base.add(bytes);
            self.map().set_direct_map(Linear { start: base, end, offset: base.0 });
        }
    }

    /// The symbols of all modules, from the modules' own tables in the dump.
    pub fn module_symbols(&self) -> &SymbolTable {
        self.keep(&self.module_symbols, || {
            let mut builder = SymbolTableBuilder::new();
            for m in self.modules() {
                for run in m.memory.iter().chain(&m.init) {
                    builder.bound(run.base.0..run.base.0.saturating_add(run.size));
                }
                let Ok(at) = module::symtab(self, m.at) else { continue };
                // a module whose table is damaged keeps its name and loses its symbols
                let _ = kallsyms::module_symbols(self.mem(), &mut builder, &m.name, &at);
            }
            builder.build()
        })
    }

    /// The modules some or all of whose symbols are lost.
    #[must_use]
    pub fn modules_without_symbols(&self) -> Vec<&str> {
        let table = self.module_symbols();
        let lacks = |name: &&str| table.lost(Some(name)) > 0 || !table.modules().any(|known| known == *name);
        self.modules().iter().map(|m| m.name.as_str()).filter(lacks).collect()
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
            "init_task" => *self.keep(&self.init_task, || image_scan::init_task(self.opened())),
            _ => self.variables.find(self, name),
        }
    }

    /// Why a symbol is not there: what is wrong with the symbols, or that this kernel has none of the name.
    #[must_use]
    pub(crate) fn no_symbol(&self, name: &str) -> KernelError {
        match &self.kernel_symbols().problem {
            Some(why) => KernelError::SymbolsLack { name: name.to_owned(), why: why.clone() },
            None => KernelError::NoSymbol(name.to_owned()),
        }
    }

    /// [`Self::symbol`] for those who need a few places in memory and perhaps no other symbol: reads no table of all
    /// where VMCOREINFO says where kallsyms is.
    #[must_use]
    pub(crate) fn landmark(&self, name: &str) -> Option<VirtAddr> {
        let place = LANDMARKS.iter().position(|known| *known == name);
        let (None, Some(place)) = (self.kernel_symbols.made(), place) else { return self.symbol(name) };
        let info = &self.opened().machine.info;
        let few = self.keep(&self.landmarks, || {
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

    /// First and one past the last address of the kernel's image, as far as symbols say, and where vmalloc's range
    /// begins, where KASLR moves it.
    #[must_use]
    pub fn kernel_places(&self) -> [Option<VirtAddr>; 3] {
        let text = self.landmark("_text").or_else(|| self.landmark("_stext"));
        let vmalloc = self.landmark("vmalloc_base").and_then(|at| self.mem().ptr(at).ok());
        [text, self.landmark("_end"), vmalloc.filter(|at| at.0 >> 63 == 1)]
    }

    /// The symbol that an address lies in, of the kernel or a module.
    #[must_use]
    pub fn locate(&self, at: VirtAddr) -> Option<Located<'_>> {
        let kernel = &self.kernel_symbols().table;
        let in_table = |t: &'_ SymbolTable| -> Option<(debuginfo::symtab::SymbolId, u64)> {
            t.at(at).map(|(s, offset)| (s.id, offset))
        };
        if self.in_image(at)
            && let Some((id, offset)) = in_table(kernel)
        {
            return Some(Located { symbol: kernel.get(id)?, offset, span: kernel.span(id) });
        }
        if at.0 >> 63 == 1 && !self.in_image(at) {
            let modules = self.module_symbols();
            if let Some((id, offset)) = in_table(modules)
                && self.module_at(at).is_some()
            {
                return Some(Located { symbol: modules.get(id)?, offset, span: modules.span(id) });
            }
        }
        None
    }

    /// The function of this name, as a message of the kernel gives it; `None` also where several have it, as the message does
    /// not tell which.
    #[must_use]
    pub fn only_function(&self, name: &str, module: Option<&str>) -> Option<VirtAddr> {
        let qualified = module.map_or_else(|| name.to_owned(), |module| format!("{module}:{name}"));
        let all = self.named(&qualified);
        let mut functions = all.iter().filter(|symbol| symbol.is_text());
        let first = functions.next()?.addr;
        functions.next().is_none().then_some(first)
    }

    /// All symbols of a name: the kernel's first, then the modules'. `MODULE:NAME` chooses a module.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<Symbol<'_>> {
        let (module, name) = match name.split_once(':') {
            Some((m, n)) => (Some(m), n),
            None => (None, name),
        };
        let mut out: Vec<Symbol<'_>> = Vec::new();
        let pick = |t: &SymbolTable| t.named(name).map(|s| s.id).collect::<Vec<_>>();
        if module.is_none() || module == Some("vmlinux") {
            let t = &self.kernel_symbols().table;
            out.extend(pick(t).into_iter().filter_map(|id| t.get(id)));
        }
        if module != Some("vmlinux") {
            let t = self.module_symbols();
            let of = |s: &Symbol<'_>| module.is_none_or(|m| s.module == Some(m));
            out.extend(pick(t).into_iter().filter_map(|id| t.get(id)).filter(of));
        }
        out
    }

    /// True in the kernel's image: its text and static data.
    #[must_use]
    pub fn in_image(&self, at: VirtAddr) -> bool {
        let (start, end) = *self.keep(&self.image, || {
            let t = &self.kernel_symbols().table;
            let start = t.addr("_text").or_else(|| t.addr("_stext")).or(self.boot().text).unwrap_or_default();
            let last = t.iter().next_back().map(|s| s.addr.add(1));
            let end = t.addr("_end").or(last).unwrap_or(start);
            (start, end.max(start))
        });
        start <= at && at < end
    }

    /// The runs of code in the kernel's image, by the linker's symbols; looked up once, as every word of a
    /// stack that is searched asks.
    fn text_runs(&self) -> &[Range<VirtAddr>] {
        self.keep::<Vec<_>>(&self.text_runs, || {
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
                Ok(page) if self.arch().may_run(page.entry) => {
                    at = VirtAddr(at.0 & !(page.page_size - 1)).add(page.page_size);
                }
                Err(FaultKind::Table(_)) => return None,
                _ => break,
            }
        }
        Some(at)
    }

    /// True where the linker's symbols tell what of the image is text.
    pub(crate) fn knows_text(&self) -> bool {
        !self.text_runs().is_empty()
    }

    /// True for text that is given back once the kernel or a module has started: code that ran at the start, of which the
    /// page tables tell whether it still can.
    pub(crate) fn is_init_text(&self, at: VirtAddr) -> bool {
        if self.in_image(at) {
            let t = &self.kernel_symbols().table;
            let run = t.addr("_sinittext").zip(t.addr("_einittext"));
            return run.is_some_and(|(start, end)| start <= at && at < end);
        }
        self.modules().iter().any(|m| m.init.iter().any(|r| r.contains(at)))
    }

    /// True in the text of the kernel's image. Asks for no module.
    #[must_use]
    pub(crate) fn is_image_text(&self, at: VirtAddr) -> bool {
        self.in_image(at) && self.is_text(at)
    }

    /// True where code can be: kernel text (init text included) or a module's text.
    #[must_use]
    pub fn is_text(&self, at: VirtAddr) -> bool {
        if self.in_image(at) {
            return self.text_runs().iter().any(|run| run.contains(&at));
        }
        self.modules()
            .iter()
            .any(|m| m.memory.iter().chain(&m.init).any(|r| r.kind.ends_with("text") && r.contains(at)))
    }
}

impl Session {
    /// True for the address of a per-CPU variable before a CPU's offset is added: it lies between
    /// `__per_cpu_start` and `__per_cpu_end`, or in a module's own per-CPU section.
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
    use base::{Missing, PhysRange};

    /// Pages with these numbers.
    struct Pages(&'static [u64]);

    impl PhysRead for Pages {
        fn read_phys(&self, at: PhysAddr, _buf: &mut [u8]) -> Result<(), Missing> {
            Err(Missing { at, why: base::Gap::Absent })
        }
        fn ranges(&self) -> &[PhysRange] {
            &[]
        }
        fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
            let page = self.0.iter().find(|p| **p >= from.0 / PAGE_SIZE)?;
            Some(PhysAddr((page * PAGE_SIZE).max(from.0)))
        }
    }

    #[test]
    fn a_table_of_functions_alone_says_what_lacks() {
        let table = |kinds: &[u8]| {
            let mut builder = debuginfo::symtab::SymbolTableBuilder::new();
            for (n, kind) in kinds.iter().enumerate() {
                builder.push(b"name", 0xffff_ffff_8100_0000 + n as u64 * 16, 0, *kind);
            }
            KernelSymbols::read(builder.build(), 0).problem
        };
        assert_eq!(table(b"TtDt"), None);
        assert_eq!(table(b"Tb"), None);
        assert_eq!(table(b""), None);
        // a label that happens to lie beside the text
        assert!(table(&[&[b't'; 200][..], b"D"].concat()).is_some());
        assert_eq!(table(&[&[b't'; 200][..], b"DDDDD"].concat()), None);
        let why = table(b"TtWA").unwrap();
        assert!(why.contains("CONFIG_KALLSYMS_ALL") && why.contains("vmlinux"), "{why}");
    }

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

    #[test]
    fn a_search_steps_over_what_the_dump_lacks() {
        let pages = Pages(&[1, 4, 5, 6, 9, 1 << 30]);
        let runs = present(&pages, PhysAddr(2 * PAGE_SIZE), 8 * PAGE_SIZE);
        assert_eq!(runs, [2 * PAGE_SIZE..5 * PAGE_SIZE, 7 * PAGE_SIZE..8 * PAGE_SIZE]);
        assert!(present(&pages, PhysAddr(10 * PAGE_SIZE), 4 * PAGE_SIZE).is_empty());
        assert!(present(&pages, PhysAddr(u64::MAX - 4095), PAGE_SIZE).is_empty());
    }
}
