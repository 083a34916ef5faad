//! `struct pt_regs` (arch/arm64/include/asm/ptrace.h): the registers as an entry into the kernel saves them on the stack:
//! x0 to x30, sp, pc, pstate, orig_x0, syscallno; and behind them a frame record of the entry.

use super::regs::{FP, PC, PSTATE, SET, SP, SYSCALLNO};
use crate::Regs;
use base::{Bytes, Fault, VirtAddr, VirtRead};

/// Bytes up to the frame record, with it: what every release has.
pub(crate) const SIZE: u64 = RECORD + 16;
/// Offset of `pc`.
pub(crate) const PC_AT: u64 = 32 * 8;
/// Offset of `stackframe`: behind `orig_x0`, `syscallno`, a word of padding or `pmr`, `sdei_ttbr1` and `pmr_save`.
pub(crate) const RECORD: u64 = 304;

/// All registers saved at `at`.
pub(crate) fn read(mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
    let mut raw = [0; 288];
    mem.read(at, &mut raw)?;
    let bytes = Bytes::new(&raw);
    let mut regs = Regs::new(&SET);
    for (i, number) in (0..=PC).chain([PSTATE]).enumerate() {
        // the buffer has them all
        regs.put(number, bytes.u64_at(i * 8).ok());
    }
    regs.put(SYSCALLNO, bytes.u32_at(280).ok().map(|n| i64::from(n.cast_signed()).cast_unsigned()));
    Ok(regs)
}

/// True when the saved registers are of user mode: EL0, 64 or 32 bits.
pub(crate) fn is_user(regs: &Regs) -> bool {
    regs.get(PSTATE).is_some_and(|pstate| pstate & 0xf == 0)
}

/// Bits that PSTATE never has in a 64-bit program: 63-32, 27-26, 23-22 (UAO, PAN), 20-13, 9-6 (DAIF), 5.
const WIDE_CLEAR: u64 = 0xffff_ffff_0cdf_e3e0;
/// And in a 32-bit one: 63-32, 22, 20, 9 (big-endian), 8-6 (AIF).
const NARROW_CLEAR: u64 = 0xffff_ffff_0050_03c0;
/// The state of a 32-bit program that runs Thumb code, and that of its `IT` instruction.
const THUMB: u64 = 1 << 5;
const IT: u64 = 0x0600_fc00;

/// True when registers of user mode are such as programs have: words that merely lie on a stack, most of them zero, look
/// like user mode too. 32-bit programs have 32-bit addresses, and 16-bit instructions.
pub(crate) fn is_likely_user(regs: &Regs) -> bool {
    let (Some(pc), Some(sp), Some(pstate)) = (regs.get(PC), regs.get(SP), regs.get(PSTATE)) else {
        return false;
    };
    // what the kernel itself asks of a user's PSTATE (valid_user_regs in arch/arm64/kernel/ptrace.c): reserved bits and masks
    // of interrupts are clear
    let narrow = pstate & 0x10 != 0;
    if pstate & if narrow { NARROW_CLEAR } else { WIDE_CLEAR } != 0
        || (narrow && pstate & THUMB == 0 && pstate & IT != 0)
    {
        return false;
    }
    let here = |at: u64| at != 0 && !super::layout::is_kernel(VirtAddr(at));
    let aligned = pc & 3 == 0 && sp & 15 == 0;
    here(pc) && if narrow { pc >> 32 == 0 } else { pc >> 52 == 0 && aligned && here(sp) }
}

/// True when saved registers can have been: of EL0, or of EL1 or EL2 (VHE) with their own stack pointer, and no bits that
/// no PSTATE has.
pub(crate) fn is_possible(regs: &Regs) -> bool {
    let mode = regs.get(PSTATE).filter(|p| p >> 34 == 0).map(|p| p & 0x1f);
    let aligned = regs.get(PC).is_some_and(|pc| pc & 3 == 0) && regs.get(SP).is_some_and(|sp| sp & 15 == 0);
    match mode {
        Some(0x05 | 0x09) => aligned && regs.get(FP).is_some(),
        // EL0 of 64 bits, and user mode of 32
        Some(0x00 | 0x10) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_an_entry_by_their_places() {
        let mut bytes = vec![0; SIZE as usize];
        for (i, word) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *word = (0x100 + 0x10 * i as u64).to_le_bytes();
        }
        bytes[33 * 8..34 * 8].copy_from_slice(&0x2040_00c5_u64.to_le_bytes());
        bytes[280..284].copy_from_slice(&(-1_i32).to_le_bytes());
        struct At<'a>(&'a [u8]);
        impl VirtRead for At<'_> {
            fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
                buf.copy_from_slice(&self.0[at.0 as usize - 0x1000..][..buf.len()]);
                Ok(())
            }
        }
        let regs = read(&At(&bytes), VirtAddr(0x1000)).unwrap();
        assert_eq!((regs.by_name("x0"), regs.by_name("x30")), (Some(0x100), Some(0x2e0)));
        assert_eq!((regs.sp(), regs.pc()), (Some(0x2f0), Some(0x300)));
        assert_eq!((regs.by_name("pstate"), regs.entry_code()), (Some(0x2040_00c5), Some(u64::MAX)));
        assert!(!is_user(&regs) && is_possible(&regs));
        assert!(is_user(&regs.with(PSTATE, 0x6000_0000)));
        assert!(!is_possible(&regs.with(PSTATE, 0xffff_8000_0000_0005)));
        let user = regs.with(PSTATE, 0x6000_0000).with(PC, 0x40_0100).with(SP, 0xffff_f19c_1670);
        assert!(is_likely_user(&user));
        for (number, value) in [
            (PC, 0),
            (PC, 0x40_0102),
            (PC, 0xffff_8000_0803_0000),
            (PC, 0x88ef_960c_7bcb_0260),
            (SP, 0),
            (SP, 0xffff_ffff),
            (SP, 0xffff_8000_0803_0000),
        ] {
            assert!(!is_likely_user(&user.with(number, value)), "{number} {value:#x}");
        }
        // a 32-bit program's stack pointer is x13
        assert!(is_likely_user(&user.with(PSTATE, 0x6000_0030).with(PC, 0x1_0002).with(SP, 0)));
        for pstate in [0x43_1590, 0x5_2810, 0x1_0389_7590, 0x400, 0x8000_1000] {
            let likely = is_likely_user(&user.with(PSTATE, pstate));
            // the branch's type (bits 11:10) and SSBS (12) may be set
            assert_eq!(likely, matches!(pstate, 0x400 | 0x8000_1000), "{pstate:#x}");
        }
    }
}
