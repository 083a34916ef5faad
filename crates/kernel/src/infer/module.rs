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
/// How many modules are looked at.
const MAX_MODULES: usize = 256;
/// No module is larger.
const MAX_SIZE: u64 = 64 << 20;

pub(super) fn infer(s: &Session) -> Vec<Struct> {
    infer_both(s).unwrap_or_default()
}

/// A module's `struct module`, as far as it can be read.
struct Sample {
    at: VirtAddr,
    bytes: Vec<u8>,
}

impl Sample {
    fn read(s: &Session, at: VirtAddr) -> Option<Self> {
        let name = s.mem().cstr(at.add(NAME), NAME_LEN as usize).ok()?;
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        // what is looked at can end beyond the module's last page
        let first = LOOK.min((base::PAGE_SIZE - at.page_offset()) as usize);
        let mut bytes = s.mem().bytes(at, first).ok()?;
        bytes.extend(s.mem().bytes(at.add(first as u64), LOOK - first).unwrap_or_default());
        bytes.resize(LOOK, 0);
        Some(Self { at, bytes })
    }
    fn u64(&self, offset: usize) -> u64 {
        Bytes::new(&self.bytes).u64_at(offset).unwrap_or(0)
    }
    fn u32(&self, offset: usize) -> u32 {
        Bytes::new(&self.bytes).u32_at(offset).unwrap_or(0)
    }
}

fn infer_both(s: &Session) -> Option<Vec<Struct>> {
    let head = s.symbol("modules")?;
    let modules: Vec<Sample> = crate::list::list(s.mem(), head)
        .take(MAX_MODULES)
        .map_while(|entry| Sample::read(s, entry.ok()?.sub(LIST)))
        .collect();
    let b = Bytes::new(&modules.first()?.bytes);
    let mut members = vec![
        Guess { name: "state", offset: 0, shape: Shape::Uint },
        Guess { name: "list", offset: LIST, shape: Shape::ListHead },
        Guess { name: "name", offset: NAME, shape: Shape::Chars(NAME_LEN) },
    ];
    let mut add = |name, offset, shape| members.push(Guess { name, offset: offset as u64, shape });
    if let Some(core) = core(&modules) {
        add("module_core", core.base, Shape::Pointer);
        add("core_size", core.size, Shape::Uint);
        if let Some((base, size)) = core.init {
            add("module_init", base, Shape::Pointer);
            add("init_size", size, Shape::Uint);
        }
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

/// The first symbol is null, the first string empty, the second symbol's name among the strings. Until 5.1 the loader
/// wrote the letter of `nm` into the symbols' `st_info`, the null symbol's too.
fn is_symtab(s: &Session, symtab: VirtAddr, strtab: VirtAddr) -> bool {
    const ST_INFO: usize = 4;
    let look = || -> Option<bool> {
        let first = s.mem().bytes(symtab, 24).ok()?;
        let null = first.iter().enumerate().all(|(i, &x)| x == 0 || (i == ST_INFO && x.is_ascii_graphic()));
        let name = s.mem().u32(symtab.add(24)).ok()?;
        let text = s.mem().cstr(strtab.add(name.into()), 64).ok()?;
        Some(null && s.mem().u8(strtab) == Ok(0) && text.iter().all(|c| (0x20..0x7f).contains(c)))
    };
    symtab.0 >> 63 == 1 && strtab.0 >> 63 == 1 && look() == Some(true)
}

/// Where a `struct module` says where the module's memory is.
#[derive(PartialEq, Eq, Debug)]
struct Core {
    base: usize,
    size: usize,
    /// The same of the memory that is freed after init, where that is known.
    init: Option<(usize, usize)>,
}

/// Until 4.4: `void *module_init, *module_core; unsigned int init_size, core_size, …`; from 4.5 to 6.3 a
/// `module_layout { void *base; unsigned int size, … }`. Sizes are whole pages since 3.13 or so, not in 3.10. Each
/// module's own `struct module` lies in its memory.
fn core(modules: &[Sample]) -> Option<Core> {
    let all = |is: &dyn Fn(&Sample) -> bool| modules.iter().all(is);
    let is_base = |at: u64| at.is_multiple_of(base::PAGE_SIZE) && at >> 63 == 1;
    (8..LOOK - 24).step_by(8).find_map(|o| {
        if !all(&|m| is_base(m.u64(o))) {
            return None;
        }
        // the size of the init part comes before that of the core
        let size = [o + 8, o + 12].into_iter().find(|&size| {
            all(&|m| u64::from(m.u32(size)) <= MAX_SIZE && m.at.0.wrapping_sub(m.u64(o)) < m.u32(size).into())
        })?;
        let init = (o - 8, o + 8);
        let freed = |m: &Sample| match (m.u64(init.0), m.u32(init.1)) {
            (0, size) => size == 0,
            (at, size) => is_base(at) && (1..=MAX_SIZE).contains(&size.into()),
        };
        let init = (size == o + 12 && all(&freed)).then_some(init);
        Some(Core { base: o, size, init })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a `struct module` with words and halves of words at offsets.
    fn module(at: u64, words: &[(usize, u64)], halves: &[(usize, u32)]) -> Sample {
        let mut bytes = vec![0; LOOK];
        for (o, value) in words {
            bytes[*o..o + 8].copy_from_slice(&value.to_le_bytes());
        }
        for (o, value) in halves {
            bytes[*o..o + 4].copy_from_slice(&value.to_le_bytes());
        }
        Sample { at: VirtAddr(at), bytes }
    }

    /// el7 (3.10.0-1127): sizes that are no whole pages, the second module still in its init.
    #[test]
    fn the_core_of_old_modules_is_found_by_all_of_them() {
        let a = 0xffff_ffff_c002_2000;
        let b = 0xffff_ffff_c004_1000;
        // a pointer that only one module has page-aligned
        let first = [(248, a), (304, a)];
        let second = [(248, b + 8), (296, 0xffff_ffff_c000_5000), (304, b)];
        let modules = [
            module(a + 0x30e0, &first, &[(256, 0x8000), (316, 21358)]),
            module(b + 0x130e0, &second, &[(256, 0x8_0000), (312, 0x1400), (316, 105_932)]),
        ];
        assert_eq!(core(&modules), Some(Core { base: 304, size: 316, init: Some((296, 312)) }));
        // a struct that is not in the memory said to be the module's
        let outside = [module(a + 0x30e0, &first, &[(316, 0x3000)])];
        assert_eq!(core(&outside), None);
    }

    #[test]
    fn the_core_of_a_module_layout_has_its_size_behind_the_base() {
        let a = 0xffff_ffff_c002_2000;
        let modules = [module(a + 0x40, &[(320, a)], &[(328, 0x5000), (332, 0x2000)])];
        assert_eq!(core(&modules), Some(Core { base: 320, size: 328, init: None }));
    }
}
