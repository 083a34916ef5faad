//! The symbols that a loaded module keeps in memory (`struct mod_kallsyms`).
//!
//! Source: the kernel's `kernel/module/kallsyms.c`. Entries are `Elf64_Sym` whose values are final
//! addresses. The letters of `nm` are in `typetab` from 5.2 on (1c7651f43777), before that they were
//! written over `st_info`.

use super::{KallsymsError, read_up_to};
use crate::symtab::{self, SymbolTableBuilder};
use base::{Bytes, GRANULE, VirtAddr, VirtRead};
use std::borrow::Cow;

/// Bytes of `Elf64_Sym`.
const ENTRY: usize = 24;
/// The largest modules have some 50 000.
const MAX_SYMBOLS: u32 = 1 << 20;
/// `KSYM_NAME_LEN`.
const MAX_NAME: usize = 512;

/// Where a module's symbols are: the members of its `struct mod_kallsyms` (`module.kallsyms`, or
/// `module.core_kallsyms` where that is not readable; `module.symtab`... before 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleSymtab {
    /// `symtab`.
    pub symtab: VirtAddr,
    /// `num_symtab`.
    pub count: u32,
    /// `strtab`.
    pub strtab: VirtAddr,
    /// `typetab`, since 5.2.
    pub typetab: Option<VirtAddr>,
}

/// Adds the symbols of the module called `name`; returns how many. The caller adds the module's memory as bounds
/// ([`SymbolTableBuilder::bound`]), so that addresses beyond it are not named after its last symbol.
///
/// # Errors
/// When the symbols or their names are not in the dump; nothing is added then.
pub fn module_symbols(
    mem: &dyn VirtRead,
    builder: &mut SymbolTableBuilder,
    name: &str,
    at: &ModuleSymtab,
) -> Result<usize, KallsymsError> {
    if at.count > MAX_SYMBOLS {
        return Err(KallsymsError::Count { count: at.count });
    }
    let count = at.count as usize;
    let entries = entries(mem, at, count)?;
    let name_offset = |e: &[u8; ENTRY]| Bytes::new(e).u32_at(0).unwrap_or(0) as usize;
    // names stand in the order of the symbols or nearly: none is further out than all of them are long
    let known = || entries.iter().flatten();
    let far = known().map(name_offset).filter(|&o| o < count * MAX_NAME).max().unwrap_or(0);
    let strings =
        read_up_to(mem, at.strtab, far + MAX_NAME).map_err(|f| KallsymsError::fault("module strtab", f))?;
    let letters = at.typetab.map(|t| mem.bytes(t, count).unwrap_or_default());
    builder.start_module(name);
    let before = builder.len();
    // one that is lost can be behind each of the others
    let lost = entries.len() - known().count();
    if lost > 0 {
        builder.lose_places(0, lost as u64);
    }
    for (i, entry) in entries.iter().enumerate().filter_map(|(i, entry)| Some((i, entry.as_ref()?))) {
        let b = Bytes::new(entry);
        let section = b.u16_at(6).unwrap_or(0);
        let offset = name_offset(entry);
        let (addr, size) = (b.u64_at(8).unwrap_or(0), b.u64_at(16).unwrap_or(0));
        if section == 0 || offset == 0 {
            continue;
        }
        if lost > 0 {
            builder.end_at(addr.saturating_add(size.max(1)));
        }
        // behind a page that is missing; what has no name still ends the symbol before it
        let in_strings = strings.get(offset..).and_then(|tail| tail.iter().position(|&b| b == 0));
        let name = match in_strings {
            Some(len) => name_of(&strings, offset, len, far).map(Cow::Borrowed),
            None if offset > far => None,
            None => {
                let name = mem.cstr(at.strtab.add(offset as u64), MAX_NAME).ok();
                name.filter(|name| !name.is_empty()).map(Cow::Owned)
            }
        };
        let Some(name) = name else {
            builder.lose_name(addr);
            continue;
        };
        if symtab::is_label(&name) {
            continue;
        }
        let name = name.get(..MAX_NAME).unwrap_or(&name);
        let info = b.u8_at(4).unwrap_or(0);
        let kind = match &letters {
            // the letters stand beside the symbols, which keep ELF's st_info: 1 in its high half is STB_GLOBAL
            Some(letters) => {
                let letter = letters.get(i).copied().unwrap_or(b'?');
                if info >> 4 == 1 { letter.to_ascii_uppercase() } else { letter }
            }
            None if info.is_ascii_alphabetic() => info,
            None => b'?',
        };
        let kind = if kind.is_ascii_graphic() { kind } else { b'?' };
        builder.push(name, addr, size, kind);
    }
    Ok(builder.len() - before)
}

/// The entries, `None` for one that is missing or holds zeros only, as no symbol but the first does.
fn entries(
    mem: &dyn VirtRead,
    at: &ModuleSymtab,
    count: usize,
) -> Result<Vec<Option<[u8; ENTRY]>>, KallsymsError> {
    let is_one = |n: usize, entry: &[u8; ENTRY]| n == 0 || entry.iter().any(|b| *b != 0);
    let whole = mem.bytes(at.symtab, count * ENTRY);
    let fault = match whole {
        Ok(raw) => {
            let all = raw.as_chunks::<ENTRY>().0.iter().enumerate();
            return Ok(all.map(|(n, entry)| is_one(n, entry).then_some(*entry)).collect());
        }
        Err(fault) => fault,
    };
    // by the page, where that is whole
    let mut page: (Option<VirtAddr>, Option<Vec<u8>>) = (None, None);
    let one = |n: usize| {
        let start = at.symtab.add((n * ENTRY) as u64);
        let (base, into) = (start.page_base(), start.page_offset() as usize);
        if page.0 != Some(base) {
            page = (Some(base), mem.bytes(base, GRANULE as usize).ok());
        }
        let entry = match page.1.as_ref().and_then(|page| page.get(into..into.saturating_add(ENTRY))) {
            Some(whole) => whole.try_into().ok()?,
            // it goes on in the next page, or a part of the page is missing
            None => alone(mem, start)?,
        };
        is_one(n, &entry).then_some(entry)
    };
    let all: Vec<_> = (0..count).map(one).collect();
    match all.iter().any(Option::is_some) {
        true => Ok(all),
        false => Err(KallsymsError::fault("module symtab", fault)),
    }
}

fn alone(mem: &dyn VirtRead, at: VirtAddr) -> Option<[u8; ENTRY]> {
    let mut entry = [0; ENTRY];
    mem.read(at, &mut entry).ok()?;
    Some(entry)
}

/// A name in the strings that were read. There is no empty one among them, so that two zeros before the last name are
/// what a page of zeros left of it.
fn name_of(strings: &[u8], offset: usize, len: usize, far: usize) -> Option<&[u8]> {
    let end = offset + len;
    let is_cut = end < far && strings.get(end + 1) == Some(&0);
    strings.get(offset..end).filter(|name| !name.is_empty() && !is_cut)
}
