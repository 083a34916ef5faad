//! The kernel's own symbol table, read from its memory: a dump without any debug file has it.
//!
//! Source of the facts: the kernel's `scripts/kallsyms.c` (`write_src`), which writes the arrays, and
//! `kernel/kallsyms.c`, which reads them; 3.10 to 7.0. What changed over the years:
//!
//! | array | form |
//! |---|---|
//! | addresses | `kallsyms_addresses`: u64 each, until 4.5 (later only by configuration, until 6.10) |
//! | | `kallsyms_offsets`: i32 each and `kallsyms_relative_base`, from 4.6 (2213e9a66bb8) |
//! | | the same with per-cpu symbols as positive absolute numbers and all others as `base - 1 - offset` (x86-64, 4.6 to 6.14) |
//! | | `kallsyms_offsets`: i32 each, relative to the entry's own address, no base (7.0) |
//! | markers, count | u64, u32 from 4.20 (80ffbaa5b1bd) |
//! | alignment of the arrays | 8, 4 in 7.x |
//! | name lengths | one byte; two where the top bit is set, from 6.1 (73bbb94466fd) |
//! | order | addresses or offsets, base, count, names, markers, (sequence,) tokens, token index |
//! | | count, names, markers, tokens, token index, addresses or offsets, (base,) sequence, from 6.5 (404bad70fcf7) |
//!
//! A table that is whole stays packed ([`packed`]); of others what is left is unpacked.
//!
//! Invariant: nothing is guessed into the result. Markers must agree with the names, names must be
//! names, addresses must ascend and `_text` must be a kernel address; what does not is lost (see `repair`), and where
//! that is much there is an error.

mod error;
mod few;
mod layout;
mod module;
mod names;
mod packed;
#[cfg(test)]
mod packed_tests;
mod repair;
mod scan;
mod sorted;
#[cfg(test)]
mod testgen;
#[cfg(test)]
mod tests;
mod values;

pub use error::KallsymsError;
pub use few::few;
pub use layout::{AddressArray, AddressForm, Addresses, Layout};
pub use module::{ModuleSymtab, module_symbols};
pub use scan::{find, find_behind, fuzz_scan};

use crate::symtab::{self, SymbolTable, SymbolTableBuilder};
use base::{Fault, VirtAddr, VirtRead};
use names::{NameBlock, Tokens};
use packed::Packed;
use sorted::Sorted;
use std::ops::Range;
use std::sync::Arc;
use values::Values;

/// More symbols than any kernel has.
const MAX_SYMBOLS: u32 = 4 << 20;

/// A kernel's symbol table and where it was found.
#[derive(Debug)]
pub struct Kallsyms {
    /// The symbols.
    pub table: SymbolTable,
    /// Where the arrays are, and of which form.
    pub layout: Layout,
    /// How many symbols' names or addresses are lost: the table is damaged, or not whole in the dump.
    pub lost: usize,
}

impl Kallsyms {
    /// Reads the table whose arrays stand at known addresses: from VMCOREINFO (since 6.0) or a symbol
    /// table.
    ///
    /// # Errors
    /// When most of an array is not in the dump, or they do not agree with one another.
    pub fn read(mem: &dyn VirtRead, at: &Addresses) -> Result<Self, KallsymsError> {
        let count = mem.u32(at.num_syms).map_err(|f| KallsymsError::fault("kallsyms_num_syms", f))?;
        let whole = NameBlock::read(mem, at.names, count)
            .and_then(|names| Self::with_names(mem, at, count, &names, Values::read(mem, at, count)?));
        whole.or_else(|error| Self::repaired(mem, at, count).map_err(|_| error))
    }

    /// What is left of a damaged one.
    fn repaired(mem: &dyn VirtRead, at: &Addresses, count: u32) -> Result<Self, KallsymsError> {
        let names = NameBlock::read(mem, at.names, count).or_else(|_| NameBlock::repaired(mem, at, count))?;
        let values = Values::read(mem, at, count).or_else(|_| Values::repaired(mem, at, count))?;
        Self::with_names(mem, at, count, &names, values)
    }

    /// The same once names and addresses were read.
    fn with_names(
        mem: &dyn VirtRead,
        at: &Addresses,
        count: u32,
        names: &NameBlock,
        values: Values,
    ) -> Result<Self, KallsymsError> {
        let tokens = Arc::new(Tokens::read(mem, at.token_table, at.token_index)?);
        let layout = Layout {
            count,
            names: at.names,
            markers: names.markers,
            marker_width: names.marker_width,
            token_table: at.token_table,
            token_index: at.token_index,
            values: at.values(),
            form: values.form,
        };
        let packed = packed::Names::of(names, &tokens).filter(|names| values.is_whole(names.count()));
        let (mut table, lost) = match packed {
            Some(names) => {
                let sorted = Sorted::read(mem, &layout, at.array, &names);
                (SymbolTable::of(Box::new(Packed::new(names, values, sorted)), Vec::new(), Vec::new()), 0)
            }
            None => assemble(names, &tokens, &values)?,
        };
        table.set_bounds(bounds(&table, at.names)?);
        Ok(Self { table, layout, lost })
    }
}

/// Names and addresses into a table, each name unpacked; and how many of them are lost.
fn assemble(
    names: &NameBlock,
    tokens: &Tokens,
    addrs: &Values,
) -> Result<(SymbolTable, usize), KallsymsError> {
    let mut builder = SymbolTableBuilder::with_capacity(addrs.len(), names.bytes().len().saturating_mul(3));
    let mut lost = 0;
    // the last symbol's address, and how many addresses behind it are lost
    let mut last = 0_u64;
    let mut places = 0;
    for (index, (addr, packed)) in addrs.iter().zip(names.each()).enumerate() {
        if !addrs.is_good(index) {
            lost += 1;
            places += 1;
            continue;
        }
        if places > 0 {
            builder.lose_places(last.saturating_add(1), std::mem::take(&mut places));
        }
        last = addr;
        let Some(packed) = packed else {
            if !names.is_repaired() {
                return Err(KallsymsError::NamesEnd { index });
            }
            lost += 1;
            builder.lose_name(addr);
            continue;
        };
        let arena = builder.arena();
        let start = arena.len();
        tokens.expand(packed, arena);
        let kind = arena.get(start).copied().unwrap_or(0);
        let name = arena.get(start + 1..).unwrap_or_default();
        if symtab::is_label(name) {
            arena.truncate(start); // some 5.x kernels forgot to leave them out
            continue;
        }
        if !names::is_kind(kind) || !names::is_name(name) {
            if names.is_repaired() {
                arena.truncate(start);
                lost += 1;
                builder.lose_name(addr);
                continue;
            }
            return Err(KallsymsError::NoName {
                index,
                bytes: arena.get(start..).unwrap_or_default().to_vec(),
            });
        }
        builder.push_from(start + 1, addr, 0, kind);
    }
    if places > 0 {
        builder.lose_places(last.saturating_add(1), places);
    }
    Ok((builder.build(), lost))
}

/// The image's landmarks must be there and be kernel addresses, and the image that they bound must
/// have kallsyms itself inside: a table read in the wrong form fails here. What belongs together.
fn bounds(table: &SymbolTable, inside: VirtAddr) -> Result<Vec<Range<u64>>, KallsymsError> {
    let kernel = |name: &str| table.addr(name).filter(|a| a.in_upper_half()).map(|a| a.0);
    let Some(text) = kernel("_text").or_else(|| kernel("_stext")) else {
        return Err(KallsymsError::NoText { found: table.addr("_text").or_else(|| table.addr("_stext")) });
    };
    let last = table.iter().next_back().map_or(text, |s| s.addr.0);
    let end = kernel("_end").filter(|&end| end > text);
    if inside.0 < text || inside.0 > end.unwrap_or(u64::MAX) {
        return Err(KallsymsError::Outside {
            at: inside,
            start: VirtAddr(text),
            end: VirtAddr(end.unwrap_or(last)),
        });
    }
    let mut bounds = Vec::new();
    match (end, kernel("_etext").filter(|&end| end > text)) {
        (Some(end), _) => bounds.push(text..end),
        (None, Some(etext)) => {
            // only code has symbols: code it is, and the code of start-up
            bounds.push(text..etext);
            if let (Some(from), Some(to)) = (kernel("_sinittext"), kernel("_einittext")) {
                bounds.push(from..to);
            }
        }
        (None, None) => bounds.push(text..last.saturating_add(1 << 20)),
    }
    if let (Some(from), Some(to)) = (table.addr("__per_cpu_start"), table.addr("__per_cpu_end")) {
        bounds.push(from.0..to.0);
    }
    Ok(bounds)
}

/// As many of `len` bytes as can be read in one piece.
fn read_up_to(mem: &dyn VirtRead, at: VirtAddr, len: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; len];
    match mem.read(at, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(fault) => match usize::try_from(fault.at.0.wrapping_sub(at.0)) {
            Ok(good) if good != 0 && good < len => {
                bytes.truncate(good);
                Ok(bytes)
            }
            _ => Err(fault),
        },
    }
}
