//! Symbols of modules, and of the kernel together with its modules: which one an address lies in, and where code can be.

use crate::error::KernelError;
use crate::module::{self, Module, ModuleMemory, Modules};
use crate::session::{Fact, Session};
use base::VirtAddr;
use debuginfo::kallsyms;
use debuginfo::symtab::{Symbol, SymbolTable, SymbolTableBuilder};
use rustc_hash::FxHashMap;

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

/// The symbols of all modules, from the modules' own tables in the dump.
pub(crate) struct ModuleSymbols(SymbolTable);

impl ModuleSymbols {
    /// Those that are not read from memory.
    pub(crate) const fn given(table: SymbolTable) -> Self {
        Self(table)
    }
}

impl Default for ModuleSymbols {
    fn default() -> Self {
        Self(SymbolTable::empty())
    }
}

/// Where the functions are that a log names, where that is all that there is: by module, name and bytes.
#[derive(Default)]
pub(crate) struct LoggedFunctions(FxHashMap<(Option<String>, String, u64), u64>);

impl LoggedFunctions {
    pub(crate) const fn given(places: FxHashMap<(Option<String>, String, u64), u64>) -> Self {
        Self(places)
    }
}

impl Fact for LoggedFunctions {
    const STAYS: bool = true;
    fn read(_: &Session) -> Self {
        Self::default()
    }
}

impl Fact for ModuleSymbols {
    fn read(s: &Session) -> Self {
        let mut builder = SymbolTableBuilder::new();
        let has_plts = s.kernel_symbols().table.addr("module_emit_plt_entry").is_some();
        for m in s.modules() {
            let plts = if has_plts { plts(s, m) } else { Vec::new() };
            for run in m.memory.iter().chain(&m.init) {
                // data is not named after the last function before it: some tables have functions alone
                let (start, end) = (run.base.0, run.base.0.saturating_add(run.size));
                let middle = start.saturating_add(run.text);
                let mut from = start;
                for plt in plts.iter().filter(|plt| (start..middle).contains(*plt)) {
                    builder.bound(from..*plt);
                    from = *plt;
                }
                builder.bound(from..middle);
                builder.bound(middle..end);
            }
            let Ok(at) = module::symtab(s, m.at) else { continue };
            // a module whose table is damaged keeps its name and loses its symbols
            let _ = kallsyms::module_symbols(s.mem(), &mut builder, &m.name, &at);
        }
        Self(builder.build())
    }
}

/// Where code begins in a module that the kernel made when it loaded it (arm64: ways to functions that are far away): it is no
/// part of the function before it.
fn plts(s: &Session, m: &Module) -> Vec<u64> {
    const MADE: [&str; 3] = [".plt", ".init.plt", ".text.ftrace_trampoline"];
    let sections = module::sections(s, m.at).unwrap_or_default();
    let mut all: Vec<u64> =
        sections.iter().filter(|(name, _)| MADE.contains(&name.as_str())).map(|(_, at)| at.0).collect();
    all.sort_unstable();
    all
}

impl Session {
    /// The symbols of all modules, from the modules' own tables in the dump.
    pub fn module_symbols(&self) -> &SymbolTable {
        &self.fact::<ModuleSymbols>().0
    }

    /// Why symbols of a module are not known, where it has some that are not: all of them or a few are lost.
    #[must_use]
    pub fn symbols_lost_of(&self, m: &Module) -> Option<KernelError> {
        let table = self.module_symbols();
        if !table.modules().any(|known| known == m.name) {
            return module::lost_symbols(self, m);
        }
        let lost = table.lost(Some(&m.name));
        let why = || format!("{lost} of its symbols cannot be read");
        (lost > 0).then(|| KernelError::Damaged { what: "module", at: m.at, why: why() })
    }

    /// The modules some or all of whose symbols are lost.
    #[must_use]
    pub fn modules_without_symbols(&self) -> Vec<&str> {
        let lacks = |m: &&Module| self.symbols_lost_of(m).is_some();
        self.modules().iter().filter(lacks).map(|m| m.name.as_str()).collect()
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
        if self.arch().is_kernel(at) && !self.in_image(at) {
            let modules = self.module_symbols();
            if let Some((id, offset)) = in_table(modules)
                && self.module_at(at).is_some()
            {
                return Some(Located { symbol: modules.get(id)?, offset, span: modules.span(id) });
            }
            let (symbol, offset) = self.made_at(at)?;
            return Some(Located { symbol, offset, span: Some(symbol.size) });
        }
        None
    }

    /// The symbol that a word of memory points to: an address, or a signed one of code.
    #[must_use]
    pub fn locate_word(&self, word: u64) -> Option<Located<'_>> {
        self.locate(VirtAddr(word)).or_else(|| {
            let plain = VirtAddr(self.opened().machine.code_pointer(word));
            if plain.0 == word || !self.is_text(plain) {
                return None;
            }
            self.locate(plain)
        })
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

    /// The function that a log names with its bytes; `None` where there is a dump.
    #[must_use]
    pub fn logged_function(&self, name: &str, module: Option<&str>, size: u64) -> Option<VirtAddr> {
        let key = (module.map(str::to_owned), name.to_owned(), size);
        self.is_log().then(|| self.fact::<LoggedFunctions>().0.get(&key).copied().map(VirtAddr))?
    }

    /// The table that a symbol is in.
    pub fn table_of(&self, symbol: &Symbol<'_>) -> &SymbolTable {
        match symbol.module {
            None => &self.kernel_symbols().table,
            Some(_) if self.module_at(symbol.addr).is_none() && self.made_at(symbol.addr).is_some() => {
                self.made_symbols()
            }
            Some(_) => self.module_symbols(),
        }
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
            if out.is_empty()
                && let Some(t) = self.made_named(name, module)
            {
                out.extend(pick(t).into_iter().filter_map(|id| t.get(id)).filter(of));
            }
        }
        out
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

    /// True where code can be: kernel text (init text included), a module's text, or what was made at run time.
    #[must_use]
    pub fn is_text(&self, at: VirtAddr) -> bool {
        if self.in_image(at) {
            return self.is_image_text(at);
        }
        // asked of every word of a stack
        if !self.arch().is_kernel(at) {
            return false;
        }
        let modules = self.fact::<Modules>();
        modules.find(at, ModuleMemory::has_text).is_some()
            || modules.problem.is_some() && self.is_unknown_code(at)
            || self.made_at(at).is_some()
    }

    /// True where modules are and code can run, by the page tables: where not all modules are known, it is one's.
    fn is_unknown_code(&self, at: VirtAddr) -> bool {
        let runs = || self.map().walk(at).result.is_ok_and(|page| self.arch().paging.may_run(page.entry));
        self.beside_image(at) && self.module_at(at).is_none() && runs()
    }
}
