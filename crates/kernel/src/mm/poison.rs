//! Values that the kernel writes into dead memory, and pointers that it makes of them.
//!
//! Source: include/linux/poison.h; `POISON_POINTER_DELTA` is `0xdead000000000000` on 64-bit machines.

/// A value that is written into dead memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Poison {
    /// `POISON_FREE`: freed slab memory.
    Free,
    /// `POISON_INUSE`: slab memory that was never written.
    InUse,
    /// `LIST_POISON1`
    List1,
    /// `LIST_POISON2`
    List2,
    /// `LIST_POISON2` before 4.15.
    List2Old,
    /// `TAIL_MAPPING`
    TailMapping,
    /// `TIMER_ENTRY_STATIC`
    TimerStatic,
    /// `POISON_FREE_INITMEM`
    InitMemory,
    /// `PAGE_POISON`
    Page,
    /// `POISON_END`
    End,
    /// The red zone of a free object.
    RedZone,
}

/// The pointers that they make.
const POISON: &[(u64, Poison)] = &[
    (0x6b6b_6b6b_6b6b_6b6b, Poison::Free),
    (0x5a5a_5a5a_5a5a_5a5a, Poison::InUse),
    (0xdead_0000_0000_0100, Poison::List1),
    (0xdead_0000_0000_0122, Poison::List2),
    (0xdead_0000_0000_0200, Poison::List2Old),
    (0xdead_0000_0000_0400, Poison::TailMapping),
    (0xdead_0000_0000_0039, Poison::TimerStatic),
    (0xcccc_cccc_cccc_cccc, Poison::InitMemory),
    (0xaaaa_aaaa_aaaa_aaaa, Poison::Page),
    (0xa5a5_a5a5_a5a5_a5a5, Poison::End),
    (0xbbbb_bbbb_bbbb_bbbb, Poison::RedZone),
];
/// How far from a poison a pointer derived from it lies.
pub const REACH: u64 = 0x1000;

impl Poison {
    /// The kernel's name of it, where it is one for addresses.
    #[must_use]
    pub const fn constant(self) -> Option<&'static str> {
        match self {
            Self::List1 => Some("LIST_POISON1"),
            Self::List2 | Self::List2Old => Some("LIST_POISON2"),
            Self::TailMapping => Some("TAIL_MAPPING"),
            Self::TimerStatic => Some("TIMER_ENTRY_STATIC"),
            _ => None,
        }
    }

    /// The pointer that a constant of this name is; of `LIST_POISON2` that since 4.15.
    #[must_use]
    pub fn named(name: &str) -> Option<u64> {
        POISON.iter().find(|(_, poison)| poison.constant() == Some(name)).map(|(value, _)| *value)
    }

    /// The poison at or near a value, and how far the value is from it. Poisons lie close to each other: the nearest.
    #[must_use]
    pub fn nearest(value: u64) -> Option<(i64, Self)> {
        POISON
            .iter()
            .map(|(pattern, poison)| (value.wrapping_sub(*pattern).cast_signed(), *poison))
            .filter(|(off, _)| off.unsigned_abs() < REACH)
            .min_by_key(|(off, _)| off.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_known_with_an_offset() {
        let poison = |value| Poison::nearest(value).map(|(_, poison)| poison);
        assert_eq!(poison(0x6b6b_6b6b_6b6b_6b6b), Some(Poison::Free));
        assert_eq!(poison(0x6b6b_6b6b_6b6b_6b8b), Some(Poison::Free));
        assert_eq!(poison(0xdead_0000_0000_0108), Some(Poison::List1));
        // nearer to the second
        assert_eq!(poison(0xdead_0000_0000_0120), Some(Poison::List2));
        assert_eq!(poison(0xffff_8880_0000_0000), None);
        assert_eq!(Poison::named("LIST_POISON2"), Some(0xdead_0000_0000_0122));
        assert_eq!((Poison::named("LIST_POISON3"), Poison::named("")), (None, None));
    }
}
