//! Sections of memory (`struct mem_section`, include/linux/mmzone.h, mm/sparse.c): which frames have a `struct page`.
//!
//! The sections are in arrays of a page each, whose addresses are in an array, `mem_section`: itself the symbol, and since 4.15
//! (83e3c48729d9) what the symbol points to. A section's word has the place of the array of all pages, as if it began at
//! frame 0, and flags in its low bits: so the word of each section tells that it is one.

use crate::error::{KernelError, Result};
use crate::mm::slab;
use crate::session::Session;
use base::{Pfn, VirtAddr};

bind! {
    /// `struct mem_section`
    struct MemSection("mem_section") { map: "section_mem_map" }
}

/// More sections than 52 bits of memory have.
const MAX_SECTIONS: u64 = 1 << 25;
/// The flags of a section that all kernels have.
const PRESENT: u64 = 1;
const HAS_MAP: u64 = 2;
/// The word's bits below the address; ever more of them are flags (3 of them in 3.10, 6 in 6.x).
const FLAGS: u64 = 0x3f;

/// A section that is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its number.
    pub number: u64,
    /// `struct mem_section`
    pub at: VirtAddr,
    /// Its word: the place of the array of pages, and flags.
    pub coded: u64,
    /// Its first frame.
    pub first: Pfn,
}

impl Section {
    /// The flags.
    #[must_use]
    pub const fn flags(&self) -> u64 {
        self.coded & FLAGS
    }
    /// True where its frames have `struct page`s.
    #[must_use]
    pub const fn has_map(&self) -> bool {
        self.coded & (PRESENT | HAS_MAP) == PRESENT | HAS_MAP
    }
}

/// All sections that are present.
#[derive(Clone, Debug)]
pub struct Sections {
    /// By their numbers.
    pub all: Vec<Section>,
    /// Frames of each.
    pub frames: u64,
    /// Why there may be more.
    pub problem: Option<KernelError>,
}

/// Bits of a frame's number within a section: as the kernel tells (5.13, 4f5aecdff25f), else as its architecture has them.
///
/// # Errors
/// Neither is known.
fn shift(s: &Session) -> Result<u32> {
    let told = s.vmcoreinfo().number("SECTION_SIZE_BITS").and_then(|bits| u32::try_from(bits).ok());
    let bits = told.or_else(|| s.arch().layout.section_bits()).or_else(|| by_last(s));
    let shift = bits.and_then(|bits| bits.checked_sub(s.page_shift())).filter(|shift| *shift < 32);
    shift.ok_or_else(|| KernelError::Open("the size of a section of memory is not known".to_owned()))
}

/// The bits with which the last frame lies in the last section; none where several do.
fn by_last(s: &Session) -> Option<u32> {
    let mem = s.mem();
    let last = mem.u64(s.symbol("__highest_present_section_nr")?).ok()?;
    let frames = mem.u64(s.symbol("max_pfn")?).ok()?.checked_sub(1)?;
    let mut fitting = (24..=34_u32).filter(|bits| frames >> bits.saturating_sub(s.page_shift()) == last);
    let bits = fitting.next()?;
    fitting.next().is_none().then_some(bits)
}

/// Bytes of a section.
///
/// # Errors
/// They are not known.
pub fn section_bytes(s: &Session) -> Result<u64> {
    Ok(1 << (shift(s)? + s.page_shift()).min(62))
}

/// The sections.
///
/// # Errors
/// Where they are, or how large, is not known.
pub fn sections(s: &Session) -> Result<Sections> {
    let mem = s.mem();
    let b = s.bind::<MemSection>();
    let size = b.size.filter(|n| *n > 0).ok_or(KernelError::NoType("mem_section"))?;
    b.map.offset()?;
    let (pages, shift) = (slab::vmemmap_base(s)?, shift(s)?);
    let symbol = s.need_symbol("mem_section")?;
    let is_of =
        |at: VirtAddr| b.map.u64(mem, at).is_ok_and(|word| word & PRESENT != 0 && word & !FLAGS == pages.0);
    let in_root = (s.page_size() / size).max(1);
    // the first sections of a machine may be holes
    let is_array = |roots: VirtAddr| {
        let first = mem.ptr(roots).ok().filter(|at| s.arch().is_kernel(*at));
        first.is_some_and(|first| (0..in_root).any(|n| is_of(first.add(n * size))))
    };
    let own = mem.ptr(symbol)?;
    let roots = match (is_array(own), is_array(symbol)) {
        (true, _) => own,
        (false, true) => symbol,
        (false, false) => {
            let why = "no section in it has the place of the array of pages".to_owned();
            return Err(KernelError::Damaged { what: "mem_section", at: symbol, why });
        }
    };
    let end = s.phys().ranges().last().map_or(0, |range| range.end.0 >> s.page_shift());
    // where the kernel says what the last one is, no more is looked for
    let last = match s.optional_symbol("__highest_present_section_nr")? {
        Some(at) => mem.u64(at)?,
        None => end >> shift,
    };
    let count = last.saturating_add(1).min(MAX_SECTIONS);
    let mut out = Sections { all: Vec::new(), frames: 1 << shift, problem: None };
    for root in 0..count.div_ceil(in_root) {
        let first = match mem.ptr(roots.add(root * 8)) {
            Ok(first) if first.is_null() => continue,
            Ok(first) => first,
            Err(e) => {
                out.problem.get_or_insert(e.into());
                continue;
            }
        };
        for n in 0..in_root.min(count.saturating_sub(root * in_root)) {
            let (number, at) = (root * in_root + n, first.add(n * size));
            match b.map.u64(mem, at) {
                Ok(coded) if coded & PRESENT != 0 => {
                    out.all.push(Section { number, at, coded, first: Pfn(number << shift) });
                }
                Ok(_) => {}
                Err(e) => {
                    out.problem.get_or_insert(e);
                }
            }
        }
    }
    Ok(out)
}

/// The frames that have a `struct page`, ascending; an error where some may be missing.
///
/// # Errors
/// As of [`sections`].
pub fn frames(s: &Session) -> Result<impl Iterator<Item = Result<Pfn>>> {
    let found = sections(s)?;
    let each = found.frames;
    let all = found.all.into_iter().filter(Section::has_map);
    let all = all.flat_map(move |section| (0..each).map(move |n| Ok(Pfn(section.first.0.saturating_add(n)))));
    Ok(all.chain(found.problem.into_iter().map(Err)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// Two roots of 128 sections of 32 bytes; the first is at a symbol or behind it. 0x7 are flags.
    fn machine(behind: bool) -> Kernel {
        let mut k = Kernel::new();
        k.structure("mem_section", 32, &[("section_mem_map", 0, "u64")]);
        k.info("NUMBER(SECTION_SIZE_BITS)=27");
        let vmemmap = k.page(k.pfn(testkit::kernel::DIRECT_MAP)) & !0xfff_ffff;
        let symbol = k.variable("mem_section", 64);
        let last = k.variable("__highest_present_section_nr", 8);
        k.word(last, 130);
        let roots = if behind { k.memory(64) } else { symbol };
        if behind {
            k.word(symbol, roots);
        }
        let tables = [k.memory(4096), k.memory(4096)];
        k.word(roots, tables[0]).word(roots + 8, tables[1]);
        for (root, n, flags) in [(0, 0, 7), (0, 3, 1), (1, 2, 15)] {
            k.word(tables[root] + n * 32, vmemmap | flags);
        }
        k
    }

    #[test]
    fn sections_are_found_in_an_array_or_behind_a_pointer_to_it() {
        for behind in [false, true] {
            let found = sections(&session(&machine(behind))).unwrap();
            let shown: Vec<_> =
                found.all.iter().map(|s| (s.number, s.flags(), s.first.0, s.has_map())).collect();
            assert_eq!(
                shown,
                [(0, 7, 0, true), (3, 1, 3 << 15, false), (130, 15, 130 << 15, true)],
                "{behind}"
            );
            assert!(found.problem.is_none());
            assert_eq!(frames(&session(&machine(behind))).unwrap().count(), 2 << 15);
        }
    }

    #[test]
    fn words_that_name_another_array_are_no_sections() {
        let mut k = machine(true);
        let symbol = k.at("mem_section");
        let other = k.memory(4096);
        k.word(symbol, other);
        assert!(sections(&session(&k)).unwrap_err().is_loss());
    }
}
