//! The symbols that a loaded module keeps in memory (`struct mod_kallsyms`).
//!
//! Source: the kernel's `kernel/module/kallsyms.c`. Entries are `Elf64_Sym` whose values are final
//! addresses. The letters of `nm` are in `typetab` from 5.2 on (1c7651f43777), before that they were
//! written over `st_info`.

use super::{KallsymsError, read_up_to};
use crate::symtab::SymbolTableBuilder;
use base::{Bytes, VirtAddr, VirtRead};

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
    let raw = mem.bytes(at.symtab, count * ENTRY).map_err(|f| KallsymsError::fault("module symtab", f))?;
    let entries = raw.as_chunks::<ENTRY>().0;
    let name_offset = |e: &[u8; ENTRY]| Bytes::new(e).u32_at(0).unwrap_or(0) as usize;
    // names stand in the order of the symbols or nearly: none is further out than all of them are long
    let far = entries.iter().map(name_offset).filter(|&o| o < count * MAX_NAME).max().unwrap_or(0);
    let strings =
        read_up_to(mem, at.strtab, far + MAX_NAME).map_err(|f| KallsymsError::fault("module strtab", f))?;
    let letters = match at.typetab {
        Some(t) => Some(mem.bytes(t, count).map_err(|f| KallsymsError::fault("module typetab", f))?),
        None => None,
    };
    builder.start_module(name);
    let before = builder.len();
    for (i, entry) in entries.iter().enumerate() {
        let b = Bytes::new(entry);
        let section = b.u16_at(6).unwrap_or(0);
        let offset = name_offset(entry);
        // behind a page that is missing; what has no name still ends the symbol before it
        let in_strings = strings.get(offset..).and_then(|tail| tail.iter().position(|&b| b == 0));
        let apart = match in_strings {
            Some(_) => None,
            None if offset > far => Some(Vec::new()),
            None => match mem.cstr(at.strtab.add(offset as u64), MAX_NAME) {
                Ok(name) => Some(name),
                Err(_) if section == 0 => continue,
                Err(_) => {
                    builder.lose_name(b.u64_at(8).unwrap_or(0));
                    continue;
                }
            },
        };
        let name = match &apart {
            Some(name) => name.as_slice(),
            None => Bytes::new(&strings).cstr_at(offset).unwrap_or_default(),
        };
        if section == 0 || offset == 0 || name.is_empty() || name.starts_with(b".L") {
            continue;
        }
        let name = name.get(..MAX_NAME).unwrap_or(name);
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
        builder.push(name, b.u64_at(8).unwrap_or(0), b.u64_at(16).unwrap_or(0), kind);
    }
    Ok(builder.len() - before)
}
