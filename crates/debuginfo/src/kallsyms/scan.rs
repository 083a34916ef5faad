//! Finding kallsyms without knowing where it is: kernels before 6.0, dumps without VMCOREINFO.
//!
//! The token table gives itself away. Every character that names use is a token of its own, its
//! number being its code, and names use all ten digits: so the table holds `0\01\02\0...9\0`. Behind the
//! table stands the index, u16 offsets of the 256 tokens, whose 48th must lead to that place: that is
//! where the table begins. The count and the packed names stand before it, in every kernel; the
//! addresses before the count or behind the index (see the module's table of forms).

use super::layout::{AddressArray, Addresses};
use super::names::{self, NameBlock, Tokens};
use super::values::Values;
use super::{Kallsyms, KallsymsError, MAX_SYMBOLS, read_up_to, repair};
use base::{Bytes, FaultKind, GRANULE, VirtAddr, VirtRead};
use memchr::memmem::Finder;

/// The tokens of the ten digits.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0";
/// Memory is looked at in windows of so many bytes, each with the last bytes of the one before.
const WINDOW: usize = 1 << 20;
/// A table of 256 tokens is not longer: its index is u16.
const MAX_TABLE: usize = 1 << 16;
/// Token tables that are looked at; each costs a search of the memory before it.
const MAX_CANDIDATES: usize = 64;
/// Bytes of names that all tries together may read: the places that fail are few in a real kernel.
const BUDGET: u64 = 1 << 30;
/// How far before the token table the count may stand, tried one after the other.
const NEAR: usize = 4 << 20;
const REACH: [usize; 2] = [NEAR, 40 << 20];

/// Finds kallsyms in `start..end`, the kernel image's addresses (what is not mapped is skipped).
///
/// # Errors
/// When nothing there is a kallsyms whose arrays agree with one another.
pub fn find(mem: &dyn VirtRead, start: VirtAddr, end: VirtAddr) -> Result<Kallsyms, KallsymsError> {
    find_behind(mem, start, start, end)
}

/// The same where what stands before the tokens can begin before `start`, at `first`: pages between are missing.
///
/// # Errors
/// When nothing there is a kallsyms whose arrays agree with one another.
pub fn find_behind(
    mem: &dyn VirtRead,
    first: VirtAddr,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<Kallsyms, KallsymsError> {
    let mut candidates = 0;
    let mut found = None;
    let mut furthest = None;
    each_match(mem, start, end, |digits| {
        if candidates >= MAX_CANDIDATES {
            return false;
        }
        let Some((tokens, at)) = token_table(mem, digits) else { return true };
        candidates += 1;
        match around(mem, &tokens, at, first) {
            Ok(kallsyms) => found = Some(kallsyms),
            Err(e) => furthest = furthest.take().or(e),
        }
        found.is_none()
    });
    // what the most promising place lacked says more than that nothing was found
    found.ok_or_else(|| furthest.unwrap_or(KallsymsError::NotFound { start, end, candidates }))
}

/// Calls `seen` with each address where the digits' tokens stand, until it says false.
fn each_match(mem: &dyn VirtRead, start: VirtAddr, end: VirtAddr, mut seen: impl FnMut(VirtAddr) -> bool) {
    let finder = Finder::new(DIGITS);
    let keep = DIGITS.len() - 1;
    let mut buf = vec![0; WINDOW + keep];
    let (mut at, mut kept) = (start, 0);
    while at < end {
        let want = usize::try_from(end.0 - at.0).unwrap_or(WINDOW).min(WINDOW);
        let Some(fresh) = buf.get_mut(kept..kept + want) else { return };
        let (good, next) = match mem.read(at, fresh) {
            Ok(()) => (want, at.add(want as u64)),
            Err(fault) => {
                let good = usize::try_from(fault.at.0.wrapping_sub(at.0)).unwrap_or(0).min(want);
                (good, after_hole(fault.at.max(at), fault.kind))
            }
        };
        let window = buf.get(..kept + good).unwrap_or_default();
        let base = at.sub(kept as u64);
        for hit in finder.find_iter(window) {
            if !seen(base.add(hit as u64)) {
                return;
            }
        }
        if next <= at {
            return; // the end of the address space
        }
        // a match may stand across two windows, but not across a hole
        kept = if good == want { keep.min(kept + good) } else { 0 };
        let from = (window.len()).saturating_sub(kept);
        let len = window.len();
        buf.copy_within(from..len, 0);
        at = next;
    }
}

/// The first address that may be mapped again; page tables say how much an empty entry leaves out.
fn after_hole(at: VirtAddr, kind: FaultKind) -> VirtAddr {
    let size = match kind {
        FaultKind::NotMapped("PMD") => 2 << 20,
        FaultKind::NotMapped("PUD" | "P4D" | "PGD") => 1 << 30,
        _ => GRANULE,
    };
    VirtAddr((at.0 & !(size - 1)).saturating_add(size))
}

/// Where the two token arrays are.
struct TokenArrays {
    table: VirtAddr,
    index: VirtAddr,
}

/// The token table around the digits' tokens, if it is one.
fn token_table(mem: &dyn VirtRead, digits: VirtAddr) -> Option<(Tokens, TokenArrays)> {
    let after = read_up_to(mem, digits, MAX_TABLE).ok()?;
    // tokens 48 to 255 end with the 208th NUL from here
    let (last, _) = after.iter().enumerate().filter(|(_, b)| **b == 0).nth(256 - 48 - 1)?;
    let end = digits.add(last as u64 + 1).0;
    // arrays are aligned to 8 bytes, in 7.x to 4
    [8, 4].into_iter().find_map(|align| {
        let index = VirtAddr(end.checked_add(align - 1)? & !(align - 1));
        let raw = mem.bytes(index, 512).ok()?;
        let to_zero = Bytes::new(&raw).u16_at(48 * 2).ok()?;
        let table = digits.sub(u64::from(to_zero));
        let bytes = mem.bytes(table, usize::from(to_zero) + last + 1).ok()?;
        Some((Tokens::parse(&bytes, &raw).ok()?, TokenArrays { table, index }))
    })
}

/// The rest of kallsyms around a token table; the error of the place that came furthest.
fn around(
    mem: &dyn VirtRead,
    tokens: &Tokens,
    at: TokenArrays,
    start: VirtAddr,
) -> Result<Kallsyms, Option<KallsymsError>> {
    let marks = markers_before(mem, at.table);
    let mut furthest = None;
    let mut budget = BUDGET;
    let mut covered = 0;
    for reach in REACH {
        if covered != 0 && covered < NEAR {
            break; // there is no more memory before the table than that
        }
        // the surest places first: the others hold many numbers that could be a count
        for pass in [Pass::Marked, Pass::Padded, Pass::Any] {
            if pass == Pass::Marked && marks == 0 {
                continue;
            }
            let mut done = 0;
            // in pieces from the table downwards, as far as memory goes: a piece has holes, or is one
            while done < reach && (at.table.0 & !7).saturating_sub(done as u64) > start.0 {
                let top = VirtAddr(at.table.0 & !7).sub(done as u64);
                let len = usize::try_from(top.0 - start.0).unwrap_or(WINDOW).min(WINDOW) & !7;
                let piece = top.sub(len as u64);
                // names are looked at a little beyond the piece
                let bytes = repair::patched(mem, piece, len + done.min(4096));
                if bytes.iter().all(|byte| *byte == 0) {
                    break;
                }
                let places = counts(&bytes, len, done + len).filter(|c| pass.allows(c, marks));
                for count in places.filter(|c| first_names(&bytes, c, tokens)) {
                    let cost = u64::from(count.value) * 16 + 4096;
                    let Some(left) = budget.checked_sub(cost) else { return Err(furthest) };
                    budget = left;
                    match whole(mem, &at, piece.add(count.offset as u64), &count) {
                        Ok(kallsyms) => return Ok(kallsyms),
                        Err(e) => furthest = furthest.or(Some(e)),
                    }
                }
                done += len.max(8);
            }
            covered = done;
        }
    }
    Err(furthest)
}

/// How hard to look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Counts that agree with the markers right before the token table.
    Marked,
    /// Counts with zeros behind, as alignment or a u64 makes them.
    Padded,
    /// All.
    Any,
}

impl Pass {
    fn allows(self, count: &Count, marks: usize) -> bool {
        match self {
            Pass::Marked => (count.value as usize).div_ceil(256) == marks,
            Pass::Padded => count.to_names == 8,
            Pass::Any => true,
        }
    }
}

/// How many markers (u32 or u64, ascending from 0) stand right before the token table; 0 where there are
/// none: 6.1 to 6.4 have another array between.
fn markers_before(mem: &dyn VirtRead, table: VirtAddr) -> usize {
    // as many as the largest count has
    let len = (MAX_SYMBOLS as usize / 256 * 8).min(WINDOW);
    let bytes = repair::patched(mem, table.sub(len as u64), len);
    let narrow: Vec<u64> =
        bytes.as_chunks::<4>().0.iter().map(|w| u64::from(u32::from_le_bytes(*w))).collect();
    let wide: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect();
    // a u64 array looks like u32 markers with zeros between: so the wide one first
    [wide, narrow].iter().map(|values| ascending_at_end(values)).find(|&n| n > 1).unwrap_or(0)
}

/// How many of the last values ascend from a 0; one 0 at the very end is padding.
fn ascending_at_end(values: &[u64]) -> usize {
    let values = match values.split_last() {
        Some((0, rest)) => rest,
        _ => values,
    };
    let mut above = u64::MAX;
    for (n, &value) in values.iter().rev().enumerate() {
        if value >= above {
            return 0;
        }
        if value == 0 {
            return n + 1;
        }
        above = value;
    }
    0
}

/// A place that may hold the count.
struct Count {
    offset: usize,
    value: u32,
    /// How far behind it the names begin: 8 (a u64, or padding), in 7.x 4.
    to_names: usize,
}

/// Places that may hold the count: as many names as it says fit before the token table. From the last to the
/// first, which is the nearest first. `bytes` begin at a multiple of 8.
fn counts(bytes: &[u8], len: usize, room: usize) -> impl Iterator<Item = Count> {
    let words = bytes.get(..len).unwrap_or_default().as_chunks::<4>().0;
    let mut after = Bytes::new(bytes).u32_at(len).unwrap_or(1);
    words.iter().enumerate().rev().filter_map(move |(i, word)| {
        let value = u32::from_le_bytes(*word);
        let padded = std::mem::replace(&mut after, value) == 0 && i % 2 == 0;
        let room = room.saturating_sub(i * 4 + 4);
        // a name takes 2 bytes at least; markers and the sequence some more
        let fits =
            (16..=MAX_SYMBOLS).contains(&value) && room / 2 >= value as usize && room / 64 <= value as usize;
        fits.then_some(Count { offset: i * 4, value, to_names: if padded { 8 } else { 4 } })
    })
}

/// Whether names follow the count: the first 64 must be (at least 8, where the bytes end).
fn first_names(bytes: &[u8], count: &Count, tokens: &Tokens) -> bool {
    let mut rest = bytes.get(count.offset + count.to_names..).unwrap_or_default();
    let mut name = Vec::new();
    for i in 0..count.value.min(64) {
        let Some((packed, after)) = names::split(rest) else { return i >= 8 };
        rest = after;
        name.clear();
        tokens.expand(packed, &mut name);
        if !matches!(name.split_first(), Some((&kind, name)) if names::is_kind(kind) && names::is_name(name))
        {
            return false;
        }
    }
    true
}

/// Everything, with the count at `num_syms`; each place where the addresses may be is tried.
fn whole(
    mem: &dyn VirtRead,
    at: &TokenArrays,
    num_syms: VirtAddr,
    count: &Count,
) -> Result<Kallsyms, KallsymsError> {
    let names = num_syms.add(count.to_names as u64);
    let count = count.value;
    let addresses =
        |array| Addresses { num_syms, names, token_table: at.table, token_index: at.index, array };
    let all = arrays(at.index.add(512), num_syms, count);
    let [first, ..] = all;
    let block = NameBlock::read(mem, names, count)
        .or_else(|error| NameBlock::repaired(mem, &addresses(first), count).map_err(|_| error))?;
    let likely = |array: &AddressArray| match array {
        AddressArray::Offsets { base: Some(base), .. } => mem.ptr(*base).is_ok_and(VirtAddr::in_upper_half),
        _ => true,
    };
    let mut furthest = None;
    for read in [Values::read, Values::repaired] {
        for array in all.into_iter().filter(likely) {
            let at = addresses(array);
            let values = read(mem, &at, count);
            match values.and_then(|values| Kallsyms::with_names(mem, &at, count, &block, values)) {
                Ok(kallsyms) => return Ok(kallsyms),
                Err(e) => furthest = furthest.or(Some(e)),
            }
        }
    }
    Err(furthest.unwrap_or(KallsymsError::Values { at: num_syms, index: 0 }))
}

/// Where the addresses may be: before the count (until 6.4), or from `behind` on; the forms that are
/// harder to mistake first.
fn arrays(behind: VirtAddr, num_syms: VirtAddr, count: u32) -> [AddressArray; 5] {
    let count = u64::from(count);
    let offsets = (count * 4 + 7) & !7;
    let base_before = num_syms.sub(8);
    [
        AddressArray::Offsets { offsets: base_before.sub(offsets), base: Some(base_before) },
        AddressArray::Offsets { offsets: behind, base: Some(behind.add(offsets)) },
        AddressArray::Absolute(num_syms.sub(count * 8)),
        AddressArray::Absolute(behind),
        AddressArray::Offsets { offsets: behind, base: None },
    ]
}

/// Looks for kallsyms in arbitrary bytes; for the fuzzer.
#[doc(hidden)]
pub fn fuzz_scan(bytes: &[u8]) {
    struct Flat<'a>(&'a [u8]);
    const AT: u64 = 0xffff_ffff_8100_0000;
    impl VirtRead for Flat<'_> {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), base::Fault> {
            let offset = usize::try_from(at.0.wrapping_sub(AT)).unwrap_or(usize::MAX);
            let have = self.0.get(offset..).unwrap_or_default();
            let n = have.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..n), have.get(..n)) {
                to.copy_from_slice(from);
            }
            let kind = FaultKind::NotMapped("PTE");
            if n < buf.len() { Err(base::Fault::new(at.add(n as u64), kind)) } else { Ok(()) }
        }
    }
    let mem = Flat(bytes);
    let ask = |found: Result<Kallsyms, KallsymsError>| {
        let Ok(found) = found else { return };
        let names = found.table.iter().take(64).map(|s| (s.name, found.table.at(s.addr)));
        let lost = names.filter(|(name, at)| at.is_none() || found.table.named(name).next().is_none());
        let _ = lost.count();
    };
    ask(find(&mem, VirtAddr(AT), VirtAddr(AT).add(bytes.len() as u64)));
    // the same bytes as arrays at addresses that they give themselves
    let b = Bytes::new(bytes);
    let at = |i: usize| VirtAddr(AT).add(u64::from(b.u16_at(i * 2).unwrap_or(0)));
    let array = match b.u8_at(12).unwrap_or(0) & 3 {
        0 => AddressArray::Absolute(at(4)),
        1 => AddressArray::Offsets { offsets: at(4), base: None },
        _ => AddressArray::Offsets { offsets: at(4), base: Some(at(5)) },
    };
    let addresses =
        Addresses { num_syms: at(0), names: at(1), token_table: at(2), token_index: at(3), array };
    ask(Kallsyms::read(&mem, &addresses));
    let mut builder = crate::symtab::SymbolTableBuilder::new();
    let count = u32::from(b.u8_at(13).unwrap_or(0));
    let symtab = super::ModuleSymtab { symtab: at(0), count, strtab: at(1), typetab: Some(at(2)) };
    let _ = super::module_symbols(&mem, &mut builder, "m", &symtab);
}
