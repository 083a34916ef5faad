//! What the text of a log tells of its kernel, where nothing else is there: its symbols, and whether a vmlinux is its own.
//!
//! With a vmlinux functions are where that has them, and KASLR's offset is the one that a panic logs. Where it is not logged, the
//! image is put below the place where any kernel runs, so that no number in a register is taken for an address of it. Without
//! files the functions that the log names, with the sizes that it prints, are all symbols.

use crate::opening::symbols::KernelSymbols;
use debuginfo::elf::ObjectFile;
use debuginfo::symtab::{SymbolTable, SymbolTableBuilder};
use std::sync::Arc;

/// Where functions of the kernel lie that no vmlinux places, and where its image is put if KASLR's offset is not known: below
/// the image of any kernel.
pub(crate) const UNPLACED: u64 = 0xffff_ffff_0000_0000;
/// Where modules are put, above that.
pub(crate) const MODULES: u64 = UNPLACED + 0x4000_0000;
/// Between two modules.
pub(crate) const APART: u64 = 0x1000;
/// So many functions of another size than the log prints are no accident.
const MISFITS: usize = 4;

/// A function that the log names: its module, its name, its bytes.
pub(crate) type Function = (Option<String>, String, u64);

/// What the text of a log tells of its kernel.
#[derive(Debug)]
pub(crate) struct Logged {
    /// The line with which a boot begins.
    pub(crate) banner: Option<String>,
    /// The kernel's release.
    pub(crate) release: Option<String>,
    /// How far KASLR moved the image.
    pub(crate) offset: Option<u64>,
    /// The functions that its lines name, each once.
    pub(crate) functions: Vec<Function>,
    /// Modules with the mask of their taints, as the last report lists them.
    pub(crate) linked: Vec<(String, u64)>,
}

impl Logged {
    /// Why a vmlinux is not of this log's kernel, as far as the log tells.
    pub(crate) fn differs(&self, file: &ObjectFile) -> Option<String> {
        let own = file.symbol("linux_banner").and_then(|symbol| file.bytes_at(symbol.value)).map(base::cstr);
        if let (Some(logged), Some(own)) = (&self.banner, own) {
            let own = String::from_utf8_lossy(own);
            return (own.trim() != logged)
                .then(|| format!("its banner is {:?}, and the log's {logged:?}", own.trim()));
        }
        let table = SymbolTable::from_elf(file, 0);
        let own: Vec<&Function> = self.functions.iter().filter(|(module, ..)| module.is_none()).collect();
        let misfits = own.iter().filter(|(_, name, size)| in_table(&table, name, *size).is_none()).count();
        (misfits >= MISFITS && misfits.saturating_mul(2) > own.len()).then(|| {
            format!(
                "of {} functions that the log names, {misfits} are not in it or of another size",
                own.len()
            )
        })
    }

    /// The kernel's functions that the log names, one behind the other.
    pub(crate) fn symbols(&self) -> KernelSymbols {
        let mut builder = SymbolTableBuilder::new();
        let mut at = UNPLACED;
        let edge = |builder: &mut SymbolTableBuilder, names: [&str; 2], at: u64| {
            names.iter().for_each(|name| builder.push(name.as_bytes(), at, 0, b'T'));
        };
        edge(&mut builder, ["_text", "_stext"], at);
        at += APART;
        for (_, name, size) in self.functions.iter().filter(|(module, ..)| module.is_none()) {
            builder.push(name.as_bytes(), at, *size, b't');
            at = at.saturating_add(*size);
            if at >= MODULES {
                break;
            }
        }
        edge(&mut builder, ["_etext", "_end"], at);
        builder.bound(UNPLACED..at.saturating_add(APART));
        let (from, problem) =
            ("the functions that the log names".into(), Some("a log has no symbols".into()));
        KernelSymbols { table: Arc::new(builder.build()), lost: 0, from, problem, is_lost: false }
    }
}

/// The function of a name and size in a table; of one that is the only one of its name, whose size the table does not tell, too.
pub(crate) fn in_table(table: &SymbolTable, name: &str, size: u64) -> Option<u64> {
    let all: Vec<_> = table.named(name).filter(|symbol| symbol.is_text()).collect();
    let mut fits = all.iter().filter(|symbol| table.span(symbol.id) == Some(size));
    match (fits.next(), fits.next()) {
        (Some(one), None) => Some(one.addr.0),
        // of two that are alike nobody knows which
        (Some(_), Some(_)) => None,
        (None, _) => all.first().filter(|s| all.len() == 1 && table.span(s.id).is_none()).map(|s| s.addr.0),
    }
}
