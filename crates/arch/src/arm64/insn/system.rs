//! The names of system instructions: `dc civac, x0` is `sys #3, c7, c14, #1, x0`.
//!
//! Source: Arm Architecture Reference Manual (DDI 0487), C5.3 to C5.5.

use super::field;

/// Of which levels and of what a `tlbi` without a range makes the translations invalid: op1, op2, name, whether it has a register.
const TLBI: [(u32, u32, &str, bool); 15] = [
    (0, 0, "vmalle1", false),
    (0, 1, "vae1", true),
    (0, 2, "aside1", true),
    (0, 3, "vaae1", true),
    (0, 5, "vale1", true),
    (0, 7, "vaale1", true),
    (4, 0, "alle2", false),
    (4, 1, "vae2", true),
    (4, 4, "alle1", false),
    (4, 5, "vale2", true),
    (4, 6, "vmalls12e1", false),
    (6, 0, "alle3", false),
    (6, 1, "vae3", true),
    (6, 4, "paall", false),
    (6, 5, "vale3", true),
];

/// The same of `tlbi` with the addresses that virtual machines have as physical ones: CRm, op2, name.
const TLBI_IPA: [(u32, u32, &str); 12] = [
    (0, 1, "ipas2e1is"),
    (0, 2, "ripas2e1is"),
    (0, 5, "ipas2le1is"),
    (0, 6, "ripas2le1is"),
    (4, 0, "ipas2e1os"),
    (4, 1, "ipas2e1"),
    (4, 2, "ripas2e1"),
    (4, 3, "ripas2e1os"),
    (4, 4, "ipas2le1os"),
    (4, 5, "ipas2le1"),
    (4, 6, "ripas2le1"),
    (4, 7, "ripas2le1os"),
];

/// Caches and translation: op1, CRm, op2 (CRn is 7), names, whether there is a register.
const CACHES: [(u32, u32, u32, &str, &str, bool); 44] = [
    (0, 1, 0, "ic", "ialluis", false),
    (0, 5, 0, "ic", "iallu", false),
    (0, 6, 1, "dc", "ivac", true),
    (0, 6, 2, "dc", "isw", true),
    (0, 6, 3, "dc", "igvac", true),
    (0, 6, 4, "dc", "igsw", true),
    (0, 6, 5, "dc", "igdvac", true),
    (0, 6, 6, "dc", "igdsw", true),
    (0, 8, 0, "at", "s1e1r", true),
    (0, 8, 1, "at", "s1e1w", true),
    (0, 8, 2, "at", "s1e0r", true),
    (0, 8, 3, "at", "s1e0w", true),
    (0, 9, 0, "at", "s1e1rp", true),
    (0, 9, 1, "at", "s1e1wp", true),
    (0, 10, 2, "dc", "csw", true),
    (0, 10, 4, "dc", "cgsw", true),
    (0, 10, 6, "dc", "cgdsw", true),
    (0, 14, 2, "dc", "cisw", true),
    (0, 14, 4, "dc", "cigsw", true),
    (0, 14, 6, "dc", "cigdsw", true),
    (3, 3, 4, "cfp", "rctx", true),
    (3, 3, 5, "dvp", "rctx", true),
    (3, 3, 7, "cpp", "rctx", true),
    (3, 4, 1, "dc", "zva", true),
    (3, 4, 3, "dc", "gva", true),
    (3, 4, 4, "dc", "gzva", true),
    (3, 5, 1, "ic", "ivau", true),
    (3, 10, 1, "dc", "cvac", true),
    (3, 10, 3, "dc", "cgvac", true),
    (3, 10, 5, "dc", "cgdvac", true),
    (3, 11, 1, "dc", "cvau", true),
    (3, 12, 1, "dc", "cvap", true),
    (3, 12, 3, "dc", "cgvap", true),
    (3, 13, 1, "dc", "cvadp", true),
    (3, 13, 3, "dc", "cgvadp", true),
    (3, 14, 1, "dc", "civac", true),
    (3, 14, 3, "dc", "cigvac", true),
    (3, 14, 5, "dc", "cigdvac", true),
    (4, 8, 0, "at", "s1e2r", true),
    (4, 8, 1, "at", "s1e2w", true),
    (4, 8, 4, "at", "s12e1r", true),
    (4, 8, 5, "at", "s12e1w", true),
    (6, 8, 0, "at", "s1e3r", true),
    (6, 8, 1, "at", "s1e3w", true),
];

/// The name of a `sys` instruction, its operand, and whether a register follows.
pub(crate) fn named(word: u32) -> Option<(&'static str, String, bool)> {
    let (op1, crn, crm, op2) = (field(word, 16, 3), field(word, 12, 4), field(word, 8, 4), field(word, 5, 3));
    if crn == 7 {
        return CACHES
            .iter()
            .find(|(a, b, c, ..)| (*a, *b, *c) == (op1, crm, op2))
            .map(|(_, _, _, name, operand, register)| (*name, (*operand).to_owned(), *register));
    }
    // CRn 9: as those of 8, and they do not wait for accesses with the XS attribute
    let suffix = match crn {
        8 => "",
        9 => "nxs",
        _ => return None,
    };
    let ipa = || TLBI_IPA.iter().find(|(c, o, _)| op1 == 4 && (*c, *o) == (crm, op2));
    if let Some((.., name)) = ipa() {
        return Some(("tlbi", format!("{name}{suffix}"), true));
    }
    // for which CPUs, and whether of a range of addresses
    let (domain, range) = match crm {
        7 => ("", false),
        3 => ("is", false),
        1 => ("os", false),
        6 => ("", true),
        2 => ("is", true),
        5 => ("os", true),
        _ => return None,
    };
    let (_, _, name, register) = TLBI.iter().find(|(a, o, ..)| (*a, *o) == (op1, op2))?;
    if range && (!register || *name == "aside1") {
        return None;
    }
    let range = if range { "r" } else { "" };
    Some(("tlbi", format!("{range}{name}{domain}{suffix}"), *register))
}
