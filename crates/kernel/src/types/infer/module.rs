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
const LOOK: usize = 2048;
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
    /// True where all of it could be read.
    whole: bool,
}

impl Sample {
    fn read(s: &Session, at: VirtAddr) -> Option<Self> {
        let name = s.mem().cstr(at.add(NAME), NAME_LEN as usize).ok()?;
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        // what is looked at can end beyond the module's last page
        let first = LOOK.min((base::GRANULE - at.page_offset()) as usize);
        let mut bytes = s.mem().bytes(at, first).ok()?;
        bytes.extend(s.mem().bytes(at.add(first as u64), LOOK - first).unwrap_or_default());
        let whole = bytes.len() == LOOK;
        bytes.resize(LOOK, 0);
        Some(Self { at, bytes, whole })
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
    // a page that is missing ends the list in one direction only
    let mut links = Vec::new();
    let _ = crate::containers::list::both_ways(s.mem(), head, &mut |entry| {
        links.push(entry);
        match links.len() < MAX_MODULES {
            true => Ok(()),
            false => Err(crate::KernelError::Stopped("looking at modules")),
        }
    });
    let entries = || links.iter().copied();
    let mut modules: Vec<Sample> = entries().filter_map(|entry| Sample::read(s, entry.sub(LIST))).collect();
    // zeros for what is missing are no values that others are held to
    if modules.iter().any(|m| m.whole) {
        modules.retain(|m| m.whole);
    }
    let mut members = vec![
        Guess { name: "state", offset: 0, shape: Shape::Uint },
        Guess { name: "list", offset: LIST, shape: Shape::ListHead },
        Guess { name: "name", offset: NAME, shape: Shape::Chars(NAME_LEN) },
    ];
    if modules.is_empty() {
        let around: Vec<Around> = entries().map(|at| Around::read(s, at)).collect();
        let (list, name) = shuffled(&around)?;
        modules = around.iter().map(|a| a.module(list)).collect();
        members = vec![
            Guess { name: "list", offset: list as u64, shape: Shape::ListHead },
            Guess { name: "name", offset: name as u64, shape: Shape::Chars(NAME_LEN) },
        ];
    }
    let b = Bytes::new(&modules.first()?.bytes);
    let mut add = |name, offset, shape| members.push(Guess { name, offset: offset as u64, shape });
    let mut all = Vec::new();
    if let Some(memory) = memories(&modules) {
        add("mem", memory.at, Shape::Chars((MEM_TYPES * memory.step) as u64));
        let guess = |name, offset: usize, shape| Guess { name, offset: offset as u64, shape };
        let members = vec![guess("base", 0, Shape::Pointer), guess("size", memory.size, Shape::Uint)];
        all.push(Struct { name: "module_memory", size: memory.step as u64, members });
    } else if let Some(core) = core(&modules) {
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

/// What lies around an entry of the list, which is in the middle.
struct Around {
    entry: VirtAddr,
    bytes: Vec<u8>,
}

impl Around {
    fn read(s: &Session, entry: VirtAddr) -> Self {
        let mut bytes = vec![0; 2 * LOOK];
        // what is not there tells nothing
        s.mem().read_what_is_there(entry.sub(LOOK as u64), &mut bytes);
        Self { entry, bytes }
    }
    fn words(&self) -> impl Iterator<Item = u64> {
        self.bytes.chunks_exact(8).filter_map(|w| w.try_into().ok().map(u64::from_le_bytes))
    }
    /// The struct that begins `list` bytes before the entry.
    fn module(&self, list: usize) -> Sample {
        let mut bytes = self.bytes.get(LOOK.saturating_sub(list)..).unwrap_or_default().to_vec();
        bytes.resize(LOOK, 0);
        Sample { at: self.entry.sub(list as u64), bytes, whole: true }
    }
}

/// Where `list` and `name` are if members were shuffled: the struct begins where pointers in it lead (`mkobj.mod`, the nodes
/// of the tree of modules), as far from its list in every module; the name is the only text of its length.
fn shuffled(modules: &[Around]) -> Option<(usize, usize)> {
    /// `____cacheline_aligned`
    const ALIGN: u64 = 64;
    let distances = |m: &Around| -> Vec<usize> {
        let own = |at: &u64| at.is_multiple_of(ALIGN) && *at <= m.entry.0 && m.entry.0 - at < LOOK as u64;
        m.words().filter(own).map(|at| (m.entry.0 - at) as usize).collect()
    };
    let mut first = distances(modules.first()?);
    first.sort_unstable();
    let by_count = first.chunk_by(|a, b| a == b).map(|same| (same.len(), same.first().copied().unwrap_or(0)));
    let in_all = |list: usize| modules.iter().all(|m| distances(m).contains(&list));
    let (_, list) = by_count.filter(|(_, list)| in_all(*list)).max()?;
    let samples: Vec<Sample> = modules.iter().map(|m| m.module(list)).collect();
    let name = (0..LOOK - NAME_LEN as usize).find(|at| samples.iter().all(|m| is_name(m, *at)))?;
    Some((list, name))
}

/// Whether an array with a module's name begins here: its characters, and zeros to the end.
fn is_name(m: &Sample, at: usize) -> bool {
    let Some(raw) = m.bytes.get(at..at + NAME_LEN as usize) else { return false };
    let name = base::cstr(raw);
    name.len() >= 2
        && name.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_')
        && raw.get(name.len()..).is_some_and(|rest| rest.iter().all(|b| *b == 0))
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
    s.arch().is_kernel(symtab) && s.arch().is_kernel(strtab) && look() == Some(true)
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
    let is_base = |at: u64| at.is_multiple_of(base::GRANULE) && VirtAddr(at).in_upper_half();
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

/// `MOD_MEM_NUM_TYPES` (6.4, ac3b43283923)
const MEM_TYPES: usize = 7;

/// `struct module_memory mem[MOD_MEM_NUM_TYPES]`: where it is, and of one of its elements the size's offset and the bytes.
#[derive(PartialEq, Eq, Debug)]
struct Memories {
    at: usize,
    size: usize,
    step: usize,
}

/// From 6.4: a module's memory is in seven runs, each with a base and a size, or both 0. The second holds data, and
/// `struct module` among them; the first is text, which nearly every module has. Behind the size comes a node of the
/// tree of modules where there is one, and before it since 6.13 what tells how the run is mapped.
fn memories(modules: &[Sample]) -> Option<Memories> {
    let run = |m: &Sample, at: usize, size: usize| (m.u64(at), u64::from(m.u32(at + size)));
    let plausible = |(base, size): (u64, u64)| match base {
        0 => size == 0,
        _ => {
            base.is_multiple_of(base::GRANULE)
                && VirtAddr(base).in_upper_half()
                && (1..=MAX_SIZE).contains(&size)
        }
    };
    let is = |at: usize, size: usize, step: usize| {
        let with_text = modules.iter().filter(|m| m.u64(at) != 0).count();
        with_text * 2 > modules.len()
            && modules.iter().all(|m| {
                let runs = (0..MEM_TYPES).map(|n| run(m, at + n * step, size));
                let (data, bytes) = run(m, at + step, size);
                m.at.0.wrapping_sub(data) < bytes
                    && runs.clone().all(plausible)
                    // none is told twice
                    && runs.clone().filter(|(base, _)| *base == data).count() == 1
            })
    };
    let shapes =
        [8, 12, 20, 24].into_iter().flat_map(|size| (size + 4..=96).step_by(4).map(move |step| (size, step)));
    let shapes: Vec<(usize, usize)> = shapes.filter(|(_, step)| step % 8 == 0).collect();
    (8..LOOK).step_by(8).find_map(|at| {
        let fits = |(_, step): &&(usize, usize)| at + MEM_TYPES * step <= LOOK;
        shapes.iter().filter(fits).find(|(size, step)| is(at, *size, *step)).map(|&(size, step)| Memories {
            at,
            size,
            step,
        })
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
        Sample { at: VirtAddr(at), bytes, whole: true }
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
    fn a_shuffled_module_is_told_by_what_leads_to_itself() {
        let (list, name) = (0x90, 0x1c3);
        let around = |at: u64, text: &[u8]| {
            let mut bytes = vec![0; 2 * LOOK];
            let start = LOOK - list;
            for own in [0x18, 0x200, 0x248] {
                bytes[start + own..start + own + 8].copy_from_slice(&at.to_le_bytes());
            }
            // other pointers into it
            bytes[start + 0x100..start + 0x108].copy_from_slice(&(at + 0x40).to_le_bytes());
            bytes[start + name..start + name + text.len()].copy_from_slice(text);
            Around { entry: VirtAddr(at + list as u64), bytes }
        };
        let modules = [around(0xffff_ffff_c002_3080, b"fuse"), around(0xffff_ffff_c004_1100, b"lkdtm")];
        assert_eq!(shuffled(&modules), Some((list, name)));
        assert_eq!(modules[1].module(list).at, VirtAddr(0xffff_ffff_c004_1100));
        let nameless = [around(0xffff_ffff_c002_3080, b"fuse"), around(0xffff_ffff_c004_1100, b"")];
        assert_eq!(shuffled(&nameless), None);
    }

    /// 6.12 with a tree of modules (72 bytes a run) and without (16), and 6.13, which put two members before the size. The
    /// second module is still in its init.
    #[test]
    fn the_runs_of_memory_are_found_by_the_struct_in_the_second() {
        for (at, size, step) in [(320, 8, 72), (256, 8, 16), (320, 20, 80), (320, 12, 72)] {
            let base = |n: u64| 0xffff_ffff_c002_2000 + n * 0x10_0000;
            let modules: Vec<Sample> = [(0, 4), (1, 6)]
                .into_iter()
                .map(|(n, used)| {
                    let of = |k: usize| base(n) + k as u64 * 0x4000;
                    let words: Vec<(usize, u64)> = (0..used).map(|k| (at + k * step, of(k))).collect();
                    let halves: Vec<(usize, u32)> =
                        (0..used).map(|k| (at + k * step + size, 0x3000)).collect();
                    module(of(1) + 0x2040, &words, &halves)
                })
                .collect();
            assert_eq!(memories(&modules), Some(Memories { at, size, step }));
        }
        // one run that holds all, as before
        let a = 0xffff_ffff_c002_2000;
        assert_eq!(memories(&[module(a + 0x40, &[(320, a)], &[(328, 0x5000), (332, 0x2000)])]), None);
    }

    #[test]
    fn the_core_of_a_module_layout_has_its_size_behind_the_base() {
        let a = 0xffff_ffff_c002_2000;
        let modules = [module(a + 0x40, &[(320, a)], &[(328, 0x5000), (332, 0x2000)])];
        assert_eq!(core(&modules), Some(Core { base: 320, size: 328, init: None }));
    }
}
