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
    // arm64
    "el1h_64_irq",
    "el0t_64_irq",
    "el1_irq",
    "el0_irq",
];

/// True for entry code of interrupts: what an interrupt came upon is chance, and no part of a signature.
pub(crate) fn is_interrupt(name: &str) -> bool {
    INTERRUPTS.iter().any(|i| name.starts_with(i))
}

/// `bug:virtqueue_add_split:virtqueue_add_sgs:virtblk_add_req`, and a number made of it. A part of it that is not known
/// (`None` for a function) would make it the signature of another death: then what it begins with is the error.
pub(crate) fn of<'a>(
    class: Class,
    functions: impl Iterator<Item = Option<&'a str>>,
) -> Result<String, String> {
    let mut out = class.slug().to_owned();
    let mut last = "";
    let mut count = 0;
    for name in functions {
        if count == FRAMES {
            break;
        }
        let Some(name) = name.map(base_name) else { return Err(out) };
        if name == last
            || ["asm_", "entry_SYSCALL", "system_call", "el1h_64_", "el0t_64_", "el1_", "el0_"]
                .iter()
                .any(|entry| name.starts_with(entry))
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
    Ok(format!("{hash:016x} {out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_the_compiler_do_not_count() {
        let known = |class, names: &[&'static str]| of(class, names.iter().copied().map(Some)).unwrap();
        let a = known(Class::Bug, &["f.isra.0", "f", "g.cold", "h"]);
        assert_eq!(a, known(Class::Bug, &["f", "g", "h"]));
        assert!(a.ends_with("bug:f:g:h"));
        assert!(is_interrupt("asm_sysvec_apic_timer_interrupt") && is_interrupt("ret_from_intr"));
        assert!(!is_interrupt("asm_exc_page_fault"));
        assert_ne!(a, known(Class::NullPointer, &["f", "g", "h"]));
    }

    #[test]
    fn what_is_not_known_of_it_makes_no_other_signature() {
        let names = |lost: usize| {
            (0..6).map(move |n| ["a", "b", "c", "d", "e", "f"].get(n).copied().filter(|_| n != lost))
        };
        assert_eq!(of(Class::Bug, names(2)), Err("bug:a:b".into()));
        assert_eq!(of(Class::Bug, names(0)), Err("bug".into()));
        assert_eq!(of(Class::Bug, names(4)), of(Class::Bug, names(9)), "more than four count for nothing");
    }
}
