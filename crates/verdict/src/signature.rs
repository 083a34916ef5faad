//! A signature that is the same for the same death of another machine: the class, and the functions
//! that led there without addresses, offsets and the compiler's suffixes.

use crate::code::base_name;
use crate::event::Class;

/// How many frames count.
const FRAMES: usize = 4;

/// Entry code of interrupts, of old and new kernels.
const INTERRUPTS: &[&str] = &[
    "asm_sysvec_",
    "asm_common_interrupt",
    "common_interrupt",
    "ret_from_intr",
    "apic_timer_interrupt",
    "asm_exc_nmi",
];

/// True for entry code of interrupts: what an interrupt came upon is chance, and no part of a signature.
pub(crate) fn is_interrupt(name: &str) -> bool {
    INTERRUPTS.iter().any(|i| name.starts_with(i))
}

/// `bug:virtqueue_add_split:virtqueue_add_sgs:virtblk_add_req`, and a number made of it.
pub(crate) fn of<'a>(class: Class, functions: impl Iterator<Item = &'a str>) -> String {
    let mut out = class.slug().to_owned();
    let mut last = "";
    let mut count = 0;
    for name in functions.map(base_name) {
        if count == FRAMES {
            break;
        }
        if name == last
            || ["asm_", "entry_SYSCALL", "system_call"].iter().any(|entry| name.starts_with(entry))
        {
            continue;
        }
        out.push(':');
        out.push_str(name);
        last = name;
        count += 1;
    }
    let hash =
        out.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{:016x} {out}", hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_the_compiler_do_not_count() {
        let a = of(Class::Bug, ["f.isra.0", "f", "g.cold", "h"].into_iter());
        assert_eq!(a, of(Class::Bug, ["f", "g", "h"].into_iter()));
        assert!(a.ends_with("bug:f:g:h"));
        assert!(is_interrupt("asm_sysvec_apic_timer_interrupt") && is_interrupt("ret_from_intr"));
        assert!(!is_interrupt("asm_exc_page_fault"));
        assert_ne!(a, of(Class::NullPointer, ["f", "g", "h"].into_iter()));
    }
}
