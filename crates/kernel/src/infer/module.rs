//! `struct module`, from the list of modules.
//!
//! `state`, `list` and `name` have been its first members since 2.6. A module's `struct module` lies in the
//! module's own memory, which tells where the base and the size of that memory are kept; its symbol
//! table is told by counts and strings that fit each other.

use super::{Guess, Shape, Struct};
use crate::session::Session;
use base::{Bytes, VirtAddr};

const LIST: u64 = 8;
const NAME: u64 = 24;
/// MODULE_NAME_LEN: 64 less a word, which the compiler pads back.
const NAME_LEN: u64 = 56;
/// How much of a `struct module` is looked at.
const LOOK: usize = 1024;
/// No module is larger.
const MAX_SIZE: u64 = 64 << 20;

pub(super) fn infer(s: &Session) -> Vec<Struct> {
    infer_both(s).unwrap_or_default()
}

fn infer_both(s: &Session) -> Option<Vec<Struct>> {
    let head = s.symbol("modules")?;
    let first = crate::list::list(s.mem(), head).next()?.ok()?;
    let at = first.sub(LIST);
    let name = s.mem().cstr(at.add(NAME), NAME_LEN as usize).ok()?;
    if name.is_empty() || !name.iter().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let raw = s.mem().bytes(at, LOOK).ok()?;
    let b = Bytes::new(&raw);
    let mut members = vec![
        Guess { name: "state", offset: 0, shape: Shape::Uint },
        Guess { name: "list", offset: LIST, shape: Shape::ListHead },
        Guess { name: "name", offset: NAME, shape: Shape::Chars(NAME_LEN) },
    ];
    let mut add = |name, offset, shape| members.push(Guess { name, offset: offset as u64, shape });
    if let Some((base, size)) = core(at, b) {
        add("module_core", base, Shape::Pointer);
        add("core_size", size, Shape::Uint);
    }
    if let Some((symtab, count, strtab)) = symtab(s, b) {
        add("symtab", symtab, Shape::Pointer);
        add("num_symtab", count, Shape::Uint);
        add("strtab", strtab, Shape::Pointer);
    }
    // since 4.5 the table is described in a struct of its own
    let own = (0..LOOK - 8).step_by(8).find(|&o| {
        let Some(raw) = b.u64_at(o).ok().and_then(|at| s.mem().bytes(VirtAddr(at), 32).ok()) else {
            return false;
        };
        let k = Bytes::new(&raw);
        match (k.u64_at(0), k.u32_at(8), k.u64_at(16)) {
            (Ok(symtab), Ok(count), Ok(strtab)) => {
                (2..1 << 20).contains(&count) && is_symtab(s, VirtAddr(symtab), VirtAddr(strtab))
            }
            _ => false,
        }
    });
    let mut all = Vec::new();
    if let Some(o) = own {
        add("kallsyms", o, Shape::Pointer);
        let guess = |name, offset, shape| Guess { name, offset, shape };
        let members = vec![
            guess("symtab", 0, Shape::Pointer),
            guess("num_symtab", 8, Shape::Uint),
            guess("strtab", 16, Shape::Pointer),
        ];
        all.push(Struct { name: "mod_kallsyms", size: 24, members });
    }
    all.push(Struct { name: "module", size: 0, members });
    Some(all)
}

/// The first symbol is null, the first string empty, the second symbol's name among the strings.
fn is_symtab(s: &Session, symtab: VirtAddr, strtab: VirtAddr) -> bool {
    let look = || -> Option<bool> {
        let null = s.mem().bytes(symtab, 24).ok()?.iter().all(|&x| x == 0);
        let name = s.mem().u32(symtab.add(24)).ok()?;
        let text = s.mem().cstr(strtab.add(name.into()), 64).ok()?;
        Some(null && s.mem().u8(strtab) == Ok(0) && text.iter().all(|c| (0x20..0x7f).contains(c)))
    };
    symtab.0 >> 63 == 1 && strtab.0 >> 63 == 1 && look() == Some(true)
}

/// Until 4.4: `void *module_init, *module_core; unsigned int init_size, core_size, …`; from 4.5 to 6.3 a
/// `module_layout { void *base; unsigned int size, … }`.
fn core(at: VirtAddr, b: Bytes<'_>) -> Option<(usize, usize)> {
    (0..LOOK - 24).step_by(8).find_map(|o| {
        let base = b.u64_at(o).ok()?;
        let holds = |size: u32| {
            let size = u64::from(size);
            size != 0 && size % 4096 == 0 && size <= MAX_SIZE && at.0.wrapping_sub(base) < size
        };
        if base % 4096 != 0 || base >> 63 == 0 {
            return None;
        }
        // the size of the init part comes before that of the core
        [8, 12].into_iter().map(|d| o + d).find(|&size| b.u32_at(size).is_ok_and(holds)).map(|size| (o, size))
    })
}

/// `Elf_Sym *symtab, *core_symtab; unsigned num_symtab, core_num_syms; char *strtab, *core_strtab;`
fn symtab(s: &Session, b: Bytes<'_>) -> Option<(usize, usize, usize)> {
    (0..LOOK - 40).step_by(8).find_map(|o| {
        let symtab = VirtAddr(b.u64_at(o).ok()?);
        let (count, core) = (b.u32_at(o + 16).ok()?, b.u32_at(o + 20).ok()?);
        let strtab = VirtAddr(b.u64_at(o + 24).ok()?);
        let counts = count > 1 && count < 1 << 20 && core <= count;
        (counts && is_symtab(s, symtab, strtab)).then_some((o, o + 16, o + 24))
    })
}
