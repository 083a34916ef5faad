//! arm64: the facts are from the Arm Architecture Reference Manual and from the kernel's arch/arm64.

pub(crate) mod boot;
mod entries;
mod frames;
mod insn;
mod isa;
mod layout;
mod notes;
mod oops;
pub(crate) mod paging;
mod percpu;
mod ptregs;
mod references;
pub(crate) mod regs;
mod relocs;
mod stacks;
mod syscalls;
mod traps;
mod unwind;

use crate::Arch;

/// `EM_AARCH64` of the ELF specification.
const EM_AARCH64: u16 = 183;

/// The architecture.
pub(crate) struct Arm64;

/// The record.
pub(crate) static ARCH: Arch = Arch {
    name: "aarch64",
    e_machine: EM_AARCH64,
    regs: &Arm64,
    notes: &Arm64,
    boot: &Arm64,
    paging: &Arm64,
    layout: &Arm64,
    frames: &Arm64,
    stacks: Some(&Arm64),
    entries: Some(&Arm64),
    percpu: Some(&Arm64),
    references: Some(&Arm64),
    isa: Some(&Arm64),
    lift: None,
    traps: Some(&Arm64),
    oops: Some(&Arm64),
    syscalls: Some(&Arm64),
    relocs: Some(&Arm64),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PageTables;
    use crate::capability::{CpuNotes, PageTableKinds};
    use crate::{Capability, NotThere};
    use base::{PhysAddr, RawNote, VirtAddr};

    #[test]
    fn what_it_says_of_itself() {
        let arch = &ARCH;
        assert_eq!((arch.name(), arch.is_machine(183), arch.is_machine(62)), ("aarch64", true, false));
        let set = arch.reg_set();
        assert_eq!((set.name(set.pc), set.number("x29"), set.fp), (Some("pc"), Some(29), 29));
        assert_eq!(
            (arch.regs.part_name(3, 4), arch.regs.part_name(3, 8)),
            ("w3".to_owned(), "x3".to_owned())
        );
        let [start, end, behind] = arch.layout.image_range();
        assert!(
            arch.is_kernel(start) && start < end && end <= behind && !arch.is_kernel(VirtAddr(0xffff_f000))
        );
        assert!(arch.isa().is_ok());
        assert_eq!(arch.lift().err(), Some(NotThere::Flow("arm64")));
        assert_eq!(
            NotThere::Flow("arm64").to_string(),
            "values are not followed through the code of arm64 yet"
        );
        assert_eq!(NotThere::Text("arm64").to_string(), "instructions of arm64 are not decoded yet");
        assert_eq!(arch.missing().collect::<Vec<_>>(), [Capability::Lift]);
        let stops: Vec<&str> = arch.stop_calls().collect();
        assert!(stops.contains(&"local_cpu_stop") && stops.ends_with(&["vpanic", "panic"]), "{stops:?}");
    }

    #[test]
    fn the_parts_of_an_entry() {
        // a page of user data: valid, a page, user, shared, accessed, not global, for nobody to run
        let entry = 0x00e8_0000_4567_8f53 | 1 << 53 | 1 << 54;
        let of = |bits| PageTables::of(PhysAddr(0), paging::mode(12, bits).unwrap());
        let pte = Arm64.pte(entry, &of(48));
        assert_eq!((pte.mapped, pte.phys), (true, 0x4567_8000));
        for flag in ["VALID", "USER", "SHARED", "AF", "NG", "PXN", "UXN"] {
            assert!(pte.flags.contains(&flag), "{flag}: {:?}", pte.flags);
        }
        assert!(!Arm64.may_run(entry) && Arm64.may_run(entry & !(1 << 54)));
        // with LPA2 bits 9 and 8 are the address's, and so are 49 and 48
        for (entry, phys) in
            [(0x0068_0000_4000_0703, 0xc_0000_4000_0000), (0x006b_0000_4000_0403, 0x3_0000_4000_0000)]
        {
            let pte = Arm64.pte(entry, &of(52));
            assert_eq!((pte.phys, pte.flags), (phys, vec!["VALID", "AF", "PXN", "UXN"]));
        }
        let large = PageTables::of(PhysAddr(0), paging::mode(16, 52).unwrap());
        assert_eq!(Arm64.pte(0x0068_0000_4123_f703, &large).phys, 0xf_0000_4123_0000);
    }

    #[test]
    fn a_cpu_s_registers_from_its_note() {
        let mut desc = vec![0; 392];
        for number in 0..34_u64 {
            let at = 112 + 8 * number as usize;
            desc[at..at + 8].copy_from_slice(&(0x1000 + number).to_le_bytes());
        }
        let note = RawNote { name: b"CORE".to_vec(), kind: 1, desc };
        let states = Arm64.cpu_states(&[note]);
        let regs = states[0].regs;
        assert_eq!(
            (regs.get(0), regs.fp(), regs.sp(), regs.pc()),
            (Some(0x1000), Some(0x101d), Some(0x101f), Some(0x1020))
        );
        assert_eq!(regs.by_name("pstate"), Some(0x1021));
        assert!(!Arm64.is_reset(&states[0]) && states[0].pid.is_none());
    }
}
