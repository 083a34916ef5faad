//! A signature that is the same for the same death of another machine: the class, and the functions
//! that led there without addresses, offsets and the compiler's suffixes.

use arch::{Arch, EntryKind};
use debuginfo::symtab::base_name;
use kernel::log::event::Class;
use kernel::module::made::is_trampoline;

/// How many frames count.
const FRAMES: usize = 4;

/// True for entry code of interrupts: what an interrupt came upon is chance, and no part of a signature. A machine check is
/// told with what it came upon, which may have read the broken memory.
pub(crate) fn is_interrupt(arch: &Arch, name: &str) -> bool {
    arch.entries().entry(name).is_some_and(|kind| kind.is_interrupt() && kind != EntryKind::MachineCheck)
}

/// `bug:virtqueue_add_split:virtqueue_add_sgs:virtblk_add_req`, and a number made of it. A part of it that is not known
/// (`None` for a function) would make it the signature of another death: then what it begins with is the error.
pub(crate) fn of<'a>(
    arch: &Arch,
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
        // whether the death was traced counts for nothing
        if name == last || arch.entries().entry(name).is_some() || is_trampoline(name) {
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

    fn x86() -> &'static arch::Arch {
        arch::by_name("x86_64").unwrap()
    }

    #[test]
    fn suffixes_of_the_compiler_do_not_count() {
        let arch = x86();
        let known = |class, names: &[&'static str]| of(arch, class, names.iter().copied().map(Some)).unwrap();
        let a = known(Class::Bug, &["f.isra.0", "f", "g.cold", "h"]);
        assert_eq!(a, known(Class::Bug, &["f", "g", "h"]));
        assert!(a.ends_with("bug:f:g:h"));
        assert_ne!(a, known(Class::NullPointer, &["f", "g", "h"]));
    }

    #[test]
    fn tracers_between_the_functions_do_not_count() {
        let known = |names: &[&'static str]| of(x86(), Class::Bug, names.iter().copied().map(Some)).unwrap();
        // a traced function is called by a trampoline, which it called itself
        let traced = ["f", "g.cold", "bpf_trampoline_6442543361", "g", "ftrace_trampoline", "h"];
        assert_eq!(known(&traced), known(&["f", "g", "h"]));
        assert_ne!(known(&["f", "bpf_prog_33b88420f7fb8adc_watch", "h"]), known(&["f", "h"]));
    }

    #[test]
    fn what_is_not_known_of_it_makes_no_other_signature() {
        let names = |lost: usize| {
            (0..6).map(move |n| ["a", "b", "c", "d", "e", "f"].get(n).copied().filter(|_| n != lost))
        };
        let of = |names| of(x86(), Class::Bug, names);
        assert_eq!(of(names(2)), Err("bug:a:b".into()));
        assert_eq!(of(names(0)), Err("bug".into()));
        assert_eq!(of(names(4)), of(names(9)), "more than four count for nothing");
    }

    #[test]
    fn entry_code_counts_for_nothing_and_an_interrupt_ends_it() {
        for (arch, entry, interrupts) in [
            (
                "x86_64",
                "asm_exc_page_fault",
                ["asm_sysvec_apic_timer_interrupt", "ret_from_intr", "asm_exc_nmi"],
            ),
            ("aarch64", "el1h_64_sync", ["el1h_64_irq", "el0t_64_fiq", "el1_irq"]),
        ] {
            let arch = arch::by_name(arch).unwrap();
            assert!(interrupts.iter().all(|name| is_interrupt(arch, name)), "{interrupts:?}");
            assert!(!is_interrupt(arch, entry) && !is_interrupt(arch, "f"));
            let names = ["f", entry, "g"].map(Some);
            assert_eq!(
                of(arch, Class::Bug, names.into_iter()).unwrap().split_once(' ').unwrap().1,
                "bug:f:g"
            );
        }
        assert!(!is_interrupt(x86(), "asm_exc_machine_check"));
    }
}
