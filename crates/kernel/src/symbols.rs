//! Symbols of the running kernel and its modules, with addresses as in the dump.

use crate::module;
use crate::open::Opened;
use crate::session::Session;
use base::VirtAddr;
use debuginfo::kallsyms::{self, Addresses, Kallsyms};
use debuginfo::symtab::{Symbol, SymbolTable, SymbolTableBuilder};
use std::ops::Range;
use std::sync::Arc;

/// How far behind `_text` the kernel's image can reach (KERNEL_IMAGE_SIZE).
const IMAGE_MAX: u64 = 1 << 30;

/// The kernel's own symbols.
#[derive(Clone)]
pub struct KernelSymbols {
    /// The table; empty where no way led to one.
    pub table: Arc<SymbolTable>,
    /// Where it is from, in words.
    pub from: String,
    /// Why not from a better place, or why there is none.
    pub problem: Option<String>,
}

impl KernelSymbols {
    /// From vmlinux where there is one, else from kallsyms in the dump.
    pub(crate) fn load(o: &Opened) -> Self {
        if let Some(file) = &o.vmlinux {
            let table = SymbolTable::from_elf(file, o.boot.kaslr_offset);
            if !table.is_empty() {
                let from = format!("symbol table of {}", file.path().display());
                return Self { table: Arc::new(table), from, problem: None };
            }
        }
        Self::from_kallsyms(o)
    }

    /// From kallsyms in the dump.
    pub(crate) fn from_kallsyms(o: &Opened) -> Self {
        let told = Addresses::from_lookup(|name| o.info.symbol(name))
            .map_err(|e| e.to_string())
            .and_then(|at| Kallsyms::read(&o.mem, &at).map_err(|e| e.to_string()));
        let searched = |why: String| {
            let text = o.boot.text.ok_or(why)?;
            kallsyms::find(&o.mem, text, text.add(IMAGE_MAX)).map_err(|e| e.to_string())
        };
        match told.or_else(searched) {
            Ok(found) => {
                Self { table: Arc::new(found.table), from: "kallsyms in the dump".into(), problem: None }
            }
            Err(why) => Self {
                table: Arc::new(SymbolTable::empty()),
                from: "nowhere".into(),
                problem: Some(format!("kallsyms in the dump: {why}")),
            },
        }
    }
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
        self.kernel_symbols.get_or_init(|| {
            let symbols = KernelSymbols::load(self.opened());
            // for a dump that lacks page tables: where memory is mapped as a whole
            let base = symbols.table.addr("page_offset_base").and_then(|at| self.mem().ptr(at).ok());
            if let Some(base) = base.filter(|at| at.0 >> 63 == 1 && at.page_offset() == 0) {
                self.map().set_direct_map(base);
            }
            symbols
        })
    }

    /// The symbols of all modules, from the modules' own tables in the dump.
    pub fn module_symbols(&self) -> &SymbolTable {
        self.module_symbols.get_or_init(|| {
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

    /// The address of a kernel symbol, the first of several.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<VirtAddr> {
        self.vmcoreinfo().symbol(name).or_else(|| self.kernel_symbols().table.addr(name))
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
        let (start, end) = *self.image.get_or_init(|| {
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
        self.text_runs.get_or_init(|| {
            let t = &self.kernel_symbols().table;
            [("_stext", "_etext"), ("_sinittext", "_einittext"), ("_text", "_etext")]
                .into_iter()
                .filter_map(|(from, to)| Some(t.addr(from)?..t.addr(to)?))
                .collect()
        })
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
