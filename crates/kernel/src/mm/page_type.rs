//! How a page says what it is: by a flag, or by what stands where other pages count their mappings.
//!
//! | kernel | slab | free | page tables |
//! |---|---|---|---|
//! | to 4.17 | flag `PG_slab` | count of -128 | |
//! | 4.18 (6e292b9be7f4) | flag | bit cleared of all ones | the same |
//! | 6.10 (46df8e73a4a3) | bit cleared | bit cleared | bit cleared |
//! | 6.12 (4ffca5a96678) | number in the top byte | the same | the same |
//!
//! Which bit or number means what is read from VMCOREINFO or the kernel's own enumerations.

use crate::bind::{Binding, Field, Layouts, find_struct};
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::{Type, Types};
use std::sync::Arc;

/// A mark of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    /// A bit of `page.flags`.
    Flag(u32),
    /// The whole word.
    Whole(u32),
    /// A bit that is cleared in a word whose top bit is set, which no count of mappings has.
    Cleared(u32),
    /// The top byte.
    Top(u32),
}

impl Mark {
    /// What the word of a page says that is of this type and nothing else.
    fn of_word(word: u32) -> Self {
        match (!word).is_power_of_two() {
            true => Self::Cleared(!word),
            false if word & 0x00ff_ffff == 0 => Self::Top(word >> 24),
            false => Self::Whole(word),
        }
    }

    /// True for a page with these flags and this word.
    pub(crate) const fn fits(self, flags: u64, word: u32) -> bool {
        match self {
            Self::Flag(bit) => bit < 64 && flags >> bit & 1 == 1,
            Self::Whole(whole) => word == whole,
            Self::Cleared(bit) => word >> 31 == 1 && word & bit == 0,
            Self::Top(top) => word >> 24 == top,
        }
    }
}

/// The marks of this kernel's pages; `None` for what it does not mark, or not in a way that is known.
#[derive(Clone, Debug)]
pub(crate) struct PageTypes {
    /// In a block of free pages.
    pub(crate) free: Option<Mark>,
    /// Of page tables.
    pub(crate) table: Option<Mark>,
    /// Of a slab.
    pub(crate) slab: Option<Mark>,
    /// The other types that this kernel has by name: `unaccepted` (6.12, 310183de7baf), `offline`, `hugetlb` ...
    pub(crate) others: Vec<(Mark, String)>,
    /// `PG_head` of `page.flags`: the first page of a compound.
    pub(crate) head: Option<u32>,
    /// The word.
    pub(crate) word: Field,
    flags: Field,
}

impl Binding for PageTypes {
    fn bind(layouts: &Layouts<'_>) -> Self {
        let ty = find_struct(layouts.types, &["page"]);
        let field = |member, paths: &[&'static str]| Field::bind(layouts, "page", ty, member, paths);
        Self {
            free: free(layouts, field("page_type", &["page_type"]).exists()),
            table: table(layouts, |name| field("memcg_data", &[name]).exists()),
            slab: slab(layouts),
            others: others(layouts.types),
            head: enumerator(layouts.types, "PG_head", "pageflags"),
            word: field("page_type", &["page_type", "_mapcount"]),
            flags: field("flags", &["flags"]),
        }
    }
}

fn free(layouts: &Layouts<'_>, typed: bool) -> Option<Mark> {
    let told = number(layouts, "PAGE_BUDDY_MAPCOUNT_VALUE").map(Mark::of_word);
    let by_shape = if typed { Mark::Cleared(0x80) } else { Mark::Whole((-128_i32).cast_unsigned()) };
    by_name(layouts.types, "PGTY_buddy", "PG_buddy").or(told).or(Some(by_shape))
}

/// 5.11 gave the bit of memory that is accounted to page tables, and pages `memcg_data`.
fn table(layouts: &Layouts<'_>, has: impl Fn(&'static str) -> bool) -> Option<Mark> {
    by_name(layouts.types, "PGTY_table", "PG_table").or_else(|| {
        if !has("page_type") {
            return None;
        }
        match (has("memcg_data"), has("mem_cgroup")) {
            (true, _) => Some(Mark::Cleared(0x200)),
            (false, true) => Some(Mark::Cleared(0x400)),
            (false, false) => None,
        }
    })
}

fn slab(layouts: &Layouts<'_>) -> Option<Mark> {
    let flag = |n: u32| Some(n).filter(|n| *n < 64).map(Mark::Flag);
    by_name(layouts.types, "PGTY_slab", "PG_slab")
        .or_else(|| enumerator(layouts.types, "PG_slab", "pageflags").and_then(flag))
        .or_else(|| number(layouts, "PAGE_SLAB_MAPCOUNT_VALUE").map(Mark::of_word))
        .or_else(|| number(layouts, "PG_slab").and_then(flag))
}

/// A number of VMCOREINFO, which prints 32 bits with their sign.
fn number(layouts: &Layouts<'_>, name: &str) -> Option<u32> {
    layouts.hints.number(name).map(|n| n as u32)
}

/// A number of the top byte (6.12), or a bit (6.10).
fn by_name(types: &Types, number: &str, bit: &str) -> Option<Mark> {
    let number = enumerator(types, number, "pagetype").filter(|n| *n < 0x100);
    let bit = || enumerator(types, bit, "pagetype").filter(|bit| bit.is_power_of_two());
    number.map(Mark::Top).or_else(|| bit().map(Mark::Cleared))
}

/// All types of `enum pagetype` but those that are asked for by name.
fn others(types: &Types) -> Vec<(Mark, String)> {
    let known = ["PGTY_buddy", "PG_buddy"].into_iter().flat_map(|name| types.find_enumerator(name));
    let values = known.into_iter().find_map(|(at, _)| match &*types.get(at).ok()? {
        Type::Enum { name, values, .. } if name.as_deref() == Some("pagetype") => Some(Arc::clone(values)),
        _ => None,
    });
    let mark = |name: &str, value: i128| {
        let value = u32::try_from(value).ok()?;
        match name.strip_prefix("PGTY_") {
            Some(own) if value < 0x100 => Some((Mark::Top(value), own.to_owned())),
            Some(_) => None,
            None => {
                let own = name.strip_prefix("PG_").filter(|_| value.is_power_of_two())?;
                Some((Mark::Cleared(value), own.to_owned()))
            }
        }
    };
    let all = values.iter().flat_map(|values| values.iter()).filter_map(|(name, value)| mark(name, *value));
    // the last one is a count of mappings that went below zero
    let is_asked_for =
        |name: &str| matches!(name, "buddy" | "table" | "slab") || name.starts_with("mapcount");
    all.filter(|(_, name)| !is_asked_for(name)).collect()
}

/// A value of one enumeration: others have members of the same names.
fn enumerator(types: &Types, name: &str, of: &str) -> Option<u32> {
    types.find_enumerator(name).into_iter().find_map(|(at, value)| {
        let Type::Enum { name, .. } = &*types.get(at).ok()? else { return None };
        u32::try_from(value).ok().filter(|_| name.as_deref() == Some(of))
    })
}

/// True where the number is a type, not a count of mappings, which is -1 or more.
pub(crate) const fn is_type(word: u32) -> bool {
    word.cast_signed() < -1
}

/// Whether the page at `page`, the first one of its compound, is a slab's; `None` where this kernel's mark is not known
/// or cannot be read. The pointer to its cache alone is no proof: until 4.17 a freed page keeps it.
pub(crate) fn is_slab(s: &Session, page: VirtAddr) -> Option<bool> {
    let b = s.bind::<PageTypes>();
    let mark = b.slab?;
    let (flags, word) = match mark {
        Mark::Flag(_) => (b.flags.u64(s.mem(), page).ok()?, 0),
        _ => (0, b.word.u32(s.mem(), page).ok()?),
    };
    Some(mark.fits(flags, word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn types_are_told_from_counts() {
        let (free, table) = (Mark::Top(0xf0), Mark::Top(0xf2));
        assert!(table.fits(0, 0xf200_0001) && !free.fits(0, 0xf200_0001));
        assert!(is_type(0xf200_0001) && is_type(!0x80));
        assert!(!is_type(u32::MAX) && !is_type(0) && !is_type(3));
        assert_eq!(Mark::of_word(0xffff_ff80), Mark::Whole(0xffff_ff80));
        assert_eq!(Mark::of_word(!0x80), Mark::Cleared(0x80));
        assert_eq!(Mark::of_word(0xf5 << 24), Mark::Top(0xf5));
        // one of the numbers of 6.12 has all bits of another: they are no bits
        assert!(!Mark::Top(0xf0).fits(0, 0xf5 << 24) && !Mark::Top(0xf5).fits(0, 0xf0 << 24));
        assert!(Mark::Cleared(0x80).fits(0, !0x80) && !Mark::Cleared(0x80).fits(0, u32::MAX));
        assert!(!Mark::Cleared(0x80).fits(0, 0), "a count of mappings");
    }

    /// What a release says: VMCOREINFO or enumerations, then its marks of slabs and of free pages.
    #[test]
    fn every_release_marks_its_slabs() {
        type Say = fn(&mut Kernel);
        let flag: Say = |k| {
            k.enumeration("pageflags", &[("PG_locked", 0), ("PG_slab", 7), ("PG_head", 14)]);
        };
        let info_flag: Say = |k| {
            k.info("NUMBER(PG_slab)=9").info("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-128");
        };
        let bits: Say = |k| {
            k.enumeration("pagetype", &[("PG_buddy", 0x4000_0000), ("PG_slab", 0x0100_0000)]);
            // another enumeration's member of this name
            k.enumeration("gfs2_flags", &[("PGTY_slab", 3)]);
        };
        let info_bits: Say = |k| {
            k.info("NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-4097").info("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129");
        };
        let top: Say = |k| {
            k.enumeration("pagetype", &[("PGTY_buddy", 0xf0), ("PGTY_table", 0xf2), ("PGTY_slab", 0xf5)]);
        };
        let info_top: Say = |k| {
            k.info("NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549376");
            k.info("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456");
        };
        let old = Some(Mark::Whole(0xffff_ff80));
        for (say, typed, slab, free) in [
            (flag, false, Mark::Flag(7), old),
            (flag, true, Mark::Flag(7), Some(Mark::Cleared(0x80))),
            (info_flag, false, Mark::Flag(9), old),
            (bits, true, Mark::Cleared(0x0100_0000), Some(Mark::Cleared(0x4000_0000))),
            (info_bits, true, Mark::Cleared(0x1000), Some(Mark::Cleared(0x80))),
            (top, true, Mark::Top(0xf5), Some(Mark::Top(0xf0))),
            (info_top, true, Mark::Top(0xf5), Some(Mark::Top(0xf0))),
        ] {
            let mut k = Kernel::new();
            k.structure("page", 64, &[("flags", 0, "u64"), ("_mapcount", 48, "s32")]);
            if typed {
                k.member("page", ("page_type", 48, "u32"));
            }
            say(&mut k);
            let types = session(&k).bind::<PageTypes>();
            assert_eq!((types.slab, types.free), (Some(slab), free), "{slab:?} {typed}");
        }
        assert_eq!(session(&Kernel::new()).bind::<PageTypes>().slab, None, "nothing said");
    }
}
