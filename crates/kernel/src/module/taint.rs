//! Why a kernel or a module is tainted (Documentation/admin-guide/tainted-kernels.rst).

use crate::error::Result;
use crate::plausible;
use crate::session::Session;

/// Bit, letter and meaning. The bits above 25 are distributions' own.
pub const FLAGS: &[(u32, char, &str)] = &[
    (0, 'P', "proprietary module was loaded"),
    (1, 'F', "module was force loaded"),
    (2, 'S', "kernel running on an out of specification system"),
    (3, 'R', "module was force unloaded"),
    (4, 'M', "processor reported a Machine Check Exception"),
    (5, 'B', "bad page referenced or some unexpected page flags"),
    (6, 'U', "taint requested by userspace application"),
    (7, 'D', "kernel died recently, i.e. there was an OOPS or BUG"),
    (8, 'A', "an ACPI table was overridden by user"),
    (9, 'W', "kernel issued warning"),
    (10, 'C', "staging driver was loaded"),
    (11, 'I', "workaround for bug in platform firmware applied"),
    (12, 'O', "externally-built (out-of-tree) module was loaded"),
    (13, 'E', "unsigned module was loaded"),
    (14, 'L', "soft lockup occurred"),
    (15, 'K', "kernel has been live patched"),
    (16, 'X', "auxiliary taint, defined for and used by distros"),
    (17, 'T', "kernel was built with the struct randomization plugin"),
    (18, 'N', "an in-kernel test has been run"),
    (19, 'J', "userspace used a mutating debug operation in fwctl"),
    (28, 'H', "hardware is unsupported by the distribution"),
    (29, 'T', "technology preview code was loaded"),
];

/// What only a module brings: a proprietary one, one that was forced, of staging, from out of tree, unsigned.
const BY_MODULES: &str = "PFCOE";

/// True for a mask that no kernel has into which no module was loaded.
#[must_use]
pub fn is_by_modules(mask: u64) -> bool {
    letters(mask).chars().any(|letter| BY_MODULES.contains(letter))
}

/// The letters of a mask, the lowest bit first; bits without a letter are left out.
#[must_use]
pub fn letters(mask: u64) -> String {
    FLAGS.iter().filter(|(bit, ..)| mask >> bit & 1 == 1).map(|&(_, letter, _)| letter).collect()
}

/// The kernel's own mask: `tainted_mask` (2.6.29), `tainted` before.
///
/// # Errors
/// It is not in the dump, or lies in a page of zeros.
pub fn mask(s: &Session) -> Result<u64> {
    let (at, mask) = match s.symbol("tainted_mask") {
        Some(at) => (at, s.mem().u64(at)?),
        None => {
            let at = s.need_symbol("tainted")?;
            (at, u64::from(s.mem().u32(at)?))
        }
    };
    plausible::not_zeros(s.mem(), "the mask of taints", at, mask)
}

/// True where the kernel says that the members of its structs were shuffled (`TAINT_RANDSTRUCT`). The bit is also in the
/// banner of each oops, as the letter T; bit 29 is a distribution's own and has the same letter.
#[must_use]
pub fn is_randomised(s: &Session) -> bool {
    const RANDSTRUCT: u64 = 1 << 17;
    mask(s).is_ok_and(|mask| mask & RANDSTRUCT != 0)
}

/// True for a mask of a kernel whose functions a live patch replaced (`TAINT_LIVEPATCH`).
#[must_use]
pub const fn is_live_patched(mask: u64) -> bool {
    const LIVEPATCH: u64 = 1 << 15;
    mask & LIVEPATCH != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_from_the_lowest_bit() {
        assert_eq!(letters(0x3080), "DOE");
        assert_eq!(letters(0x201), "PW");
        assert_eq!(letters(0), "");
    }

    #[test]
    fn modules_bring_five_of_the_taints() {
        let by: Vec<u32> = (0..64).filter(|bit| is_by_modules(1 << bit)).collect();
        assert_eq!(by, [0, 1, 10, 12, 13]);
        assert!(!is_by_modules(0) && is_by_modules(0x1200));
    }
}
