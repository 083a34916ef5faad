//! A table from an object file's `.symtab`.

use super::{SymbolTable, SymbolTableBuilder};
use crate::elf::{Binding, ElfSymbol, ObjectFile, ObjectKind, Placement, SymbolKind, SymbolSection};
use base::VirtAddr;

impl SymbolTable {
    /// The symbols of a linked kernel image that runs `slide` bytes from where it was linked (KASLR;
    /// wraps). What has no place in the kernel's half of the address space is a number and stays:
    /// per-cpu offsets (x86-64 before 6.15), absolute symbols.
    #[must_use]
    pub fn from_elf(file: &ObjectFile, slide: u64) -> Self {
        let place = Placement::slid(slide);
        let address = |symbol: &ElfSymbol<'_>| match file.kind() {
            ObjectKind::Rel => file.runtime_address(symbol, &place),
            _ => Some(slid(symbol.value, slide)),
        };
        let mut builder = collect(file, address);
        if file.kind() != ObjectKind::Rel {
            // the image is one run, padding between its sections included; per-cpu offsets are another
            let runs = file.sections().iter().filter(|s| s.is_alloc() && s.size() != 0);
            let (image, numbers): (Vec<_>, Vec<_>) = runs
                .map(|s| (slid(s.addr(), slide), s.size()))
                .map(|(start, size)| start..start.saturating_add(size))
                .partition(|run| VirtAddr(run.start).in_upper_half());
            for runs in [image, numbers] {
                let start = runs.iter().map(|r| r.start).min().unwrap_or(0);
                builder.bound(start..runs.iter().map(|r| r.end).max().unwrap_or(0));
            }
        }
        finish(builder, file)
    }
}

/// Kernel addresses have the top bit; below are numbers.
const fn slid(addr: u64, slide: u64) -> u64 {
    if VirtAddr(addr).in_upper_half() { addr.wrapping_add(slide) } else { addr }
}

fn collect(file: &ObjectFile, address: impl Fn(&ElfSymbol<'_>) -> Option<u64>) -> SymbolTableBuilder {
    let symbols = file.symbols();
    let mut builder = SymbolTableBuilder::with_capacity(symbols.count_left(), 0);
    let letters: Vec<u8> = file.sections().iter().map(letter).collect();
    for symbol in symbols {
        let kind = match (symbol.kind, symbol.section) {
            (SymbolKind::Section | SymbolKind::File, _) | (_, SymbolSection::Undefined) => continue,
            (_, SymbolSection::Index(i)) => letters.get(usize::from(i)).copied().unwrap_or(b'?'),
            (_, SymbolSection::Absolute) => b'a',
            (_, SymbolSection::Common) => continue,
        };
        let name = symbol.name();
        if name.is_empty() || super::is_label(name) {
            continue;
        }
        let Some(addr) = address(&symbol) else { continue };
        let kind = match symbol.binding {
            Binding::Local => kind,
            Binding::Weak if symbol.kind == SymbolKind::Object => b'V',
            Binding::Weak => b'W',
            Binding::Global | Binding::Other(_) => kind.to_ascii_uppercase(),
        };
        let len = u16::try_from(super::build::plain(name).len()).unwrap_or(u16::MAX);
        builder.push_raw(symbol.name_offset, len, addr, symbol.size, kind);
    }
    builder
}

/// The letter of `nm` for a local symbol in that section.
fn letter(s: &crate::elf::Section) -> u8 {
    match (s.is_alloc(), s.is_exec(), s.is_write(), s.is_nobits()) {
        (false, ..) => b'n',
        (_, true, ..) => b't',
        (_, _, true, true) => b'b',
        (_, _, true, false) => b'd',
        _ => b'r',
    }
}

/// Names stay in the mapped file where its string table is stored plainly.
fn finish(builder: SymbolTableBuilder, file: &ObjectFile) -> SymbolTable {
    let symbols = file.symbols();
    let strings = symbols.strings();
    let mapped = symbols.strings_at().and_then(|at| file.data().slice(at..at.checked_add(strings.len())?));
    builder.build_on(mapped.unwrap_or_else(|| strings.to_vec().into()))
}
