//! What unwinding must know of arm64: what a call looks like, the frame records that every function with a call keeps,
//! where an entry's registers stand beside its record, and how the registers of a task that does not run were left.

use super::regs::{FP, LR, PC, SET, SP};
use super::{layout, ptregs};
use crate::{Regs, Resume};
use base::{VirtAddr, VirtRead};

fn instruction(mem: &dyn VirtRead, at: VirtAddr) -> Option<u32> {
    mem.u32(at).ok()
}

/// True when the instruction that ends at `at` is a call: `bl`, `blr`, or `blraa` and its like.
pub(crate) fn follows_call(mem: &dyn VirtRead, at: VirtAddr) -> bool {
    at.0 & 3 == 0 && instruction(mem, at.sub(4)).is_some_and(|i| is_bl(i) || is_blr(i))
}

const fn is_bl(i: u32) -> bool {
    i >> 26 == 0b10_0101
}

/// `blr xN` is d63f0nn0; with authentication the low bits and bit 24 differ.
const fn is_blr(i: u32) -> bool {
    i & 0xfeff_f000 == 0xd63f_0000
}

/// The function that the direct call which ends at `at` calls.
pub(crate) fn call_target(mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
    let from = at.sub(4);
    let call = instruction(mem, from).filter(|i| is_bl(*i))?;
    // 26 bits, signed, in words
    let words = (call << 6).cast_signed() >> 6;
    Some(from.offset(i64::from(words) * 4))
}

/// An address of code without the authentication code above its address bits.
pub(crate) const fn strip(at: u64, address_bits: u32) -> u64 {
    let above = u64::MAX << address_bits;
    if layout::is_kernel(VirtAddr(at)) { at | above } else { at & !above }
}

/// `FRAME_META_TYPE_FINAL` and `FRAME_META_TYPE_PT_REGS` (6.13, f2c6b8bd3d3c).
const META: [u64; 2] = [1, 2];
/// Offsets of the frame record in `struct pt_regs`: up to 6.12, and with a type behind it.
const RECORDS: [(u64, bool); 2] = [(ptregs::RECORD, false), (296, true)];

/// The registers that an entry saved, where the frame pointer is at the record that stands behind them.
pub(crate) fn saved_at_record(mem: &dyn VirtRead, fp: VirtAddr) -> Option<VirtAddr> {
    let (next, lr) = (mem.u64(fp).ok()?, mem.u64(fp.add(8)).ok()?);
    let kind = mem.u64(fp.add(16)).ok();
    RECORDS.into_iter().find_map(|(offset, typed)| {
        let at = fp.sub(offset);
        let regs = ptregs::read(mem, at).ok().filter(ptregs::is_possible)?;
        let empty = next == 0 && lr == 0;
        let fits = match typed {
            true => empty && kind.is_some_and(|kind| META.contains(&kind)),
            // an entry from user mode ends the chain, and so do the empty registers of a kernel thread; one from the kernel
            // continues it
            false if ptregs::is_user(&regs) => empty && regs.sp() != Some(0),
            false => regs.pc() == Some(lr) && regs.fp() == Some(next),
        };
        fits.then_some(at)
    })
}

/// The lowest `struct pt_regs` that begins in the `words` words from `at` on, told by the record behind it.
pub(crate) fn find_saved(
    mem: &dyn VirtRead,
    at: VirtAddr,
    words: u64,
    is_text: &dyn Fn(VirtAddr) -> bool,
) -> Option<VirtAddr> {
    let fits = |start: VirtAddr| {
        let told = |(offset, _): &(u64, bool)| saved_at_record(mem, start.add(*offset)) == Some(start);
        let regs = RECORDS.iter().any(told).then(|| ptregs::read(mem, start).ok()).flatten();
        regs.is_some_and(|r| match ptregs::is_user(&r) {
            true => ptregs::is_likely_user(&r),
            false => r.pc().is_some_and(|pc| is_text(VirtAddr(pc))),
        })
    };
    (0..words).map(|i| at.add(i * 8)).find(|start| fits(*start))
}

/// The registers of `struct cpu_context`: x19 to x28, the frame pointer, the stack pointer, the program counter.
pub(crate) fn sleeping(mem: &dyn VirtRead, context: VirtAddr) -> Option<Resume> {
    let mut regs = Regs::new(&SET);
    let numbers = (19..=28).chain([FP, SP, PC]);
    for (i, number) in numbers.enumerate() {
        regs.put(number, mem.u64(context.add(8 * i as u64)).ok());
    }
    regs.pc().filter(|pc| layout::is_kernel(VirtAddr(*pc)))?;
    // `cpu_switch_to` returns there
    Some(Resume { regs: regs.with(LR, regs.pc()?), is_call: true, slot: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};
    use std::collections::BTreeMap;

    /// Words of memory.
    struct Words(BTreeMap<u64, u64>);
    impl VirtRead for Words {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            for (i, byte) in buf.iter_mut().enumerate() {
                let here = at.0 + i as u64;
                let word = self.0.get(&(here & !7));
                let word = word.ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
                *byte = word.to_le_bytes()[(here & 7) as usize];
            }
            Ok(())
        }
    }

    #[test]
    fn calls_and_their_targets() {
        let code = |words: [u32; 2]| {
            Words(BTreeMap::from([(0x1000, u64::from(words[1]) << 32 | u64::from(words[0]))]))
        };
        // bl +0x20; bl -0x10
        let mem = code([0x9400_0008, 0x97ff_fffc]);
        assert_eq!(call_target(&mem, VirtAddr(0x1004)), Some(VirtAddr(0x1020)));
        assert_eq!(call_target(&mem, VirtAddr(0x1008)), Some(VirtAddr(0xff4)));
        // blr x8; blraaz x8
        let mem = code([0xd63f_0100, 0xd63f_091f]);
        assert!(follows_call(&mem, VirtAddr(0x1004)) && follows_call(&mem, VirtAddr(0x1008)));
        assert_eq!(call_target(&mem, VirtAddr(0x1004)), None);
        // br x8, ret, b
        for word in [0xd61f_0100, 0xd65f_03c0, 0x1400_0008] {
            assert!(!follows_call(&code([word, 0]), VirtAddr(0x1004)), "{word:#x}");
        }
    }

    #[test]
    fn authentication_codes_are_no_part_of_an_address() {
        assert_eq!(strip(0xd4b1_8000_8012_3456, 48), 0xffff_8000_8012_3456);
        assert_eq!(strip(0x0012_aaaa_b000_1234, 48), 0x0000_aaaa_b000_1234);
        assert_eq!(strip(0xffff_8000_8012_3456, 48), 0xffff_8000_8012_3456);
    }

    fn entry(record: u64, typed: Option<u64>, pc: u64, pstate: u64) -> Words {
        let at = 0xffff_8000_0000_1000_u64;
        let mut words: BTreeMap<u64, u64> = (0..45).map(|i| (at + 8 * i, 0x10 * i)).collect();
        words.insert(at + 29 * 8, 0xffff_8000_0000_2000);
        words.insert(at + 31 * 8, 0xffff_8000_0000_1f00);
        words.insert(at + 32 * 8, pc);
        words.insert(at + 33 * 8, pstate);
        let ends = typed.is_some() || pstate & 0xf == 0;
        words.insert(at + record, if ends { 0 } else { 0xffff_8000_0000_2000 });
        words.insert(at + record + 8, if ends { 0 } else { pc });
        if let Some(kind) = typed {
            words.insert(at + record + 16, kind);
        }
        Words(words)
    }

    #[test]
    fn an_entry_is_told_by_its_record() {
        let at = VirtAddr(0xffff_8000_0000_1000);
        let pc = 0xffff_a5c1_2345_6788;
        for (record, typed, pstate) in [
            (304, None, 0x6040_0005),
            (304, None, 0x6000_0000),
            (296, Some(2), 0x6040_0005),
            (296, Some(1), 0),
        ] {
            let mem = entry(record, typed, pc, pstate);
            assert_eq!(saved_at_record(&mem, at.add(record)), Some(at), "{record} {typed:?}");
        }
        // an ordinary record, and one with a type that is none
        assert_eq!(saved_at_record(&entry(304, None, pc, 0x6040_0005), at.add(0x80)), None);
        assert_eq!(saved_at_record(&entry(296, Some(7), pc, 0x6040_0005), at.add(296)), None);
    }

    #[test]
    fn a_task_that_does_not_run() {
        let context = 0xffff_8000_0000_4000_u64;
        let mut words: BTreeMap<u64, u64> = (0..13).map(|i| (context + 8 * i, 0x19 + i)).collect();
        words.insert(context + 12 * 8, 0xffff_a5c1_0000_1000);
        let found = sleeping(&Words(words), VirtAddr(context)).unwrap();
        assert_eq!((found.regs.by_name("x19"), found.regs.fp()), (Some(0x19), Some(0x23)));
        assert_eq!((found.regs.sp(), found.regs.pc()), (Some(0x24), Some(0xffff_a5c1_0000_1000)));
        assert_eq!(sleeping(&Words(BTreeMap::new()), VirtAddr(context)), None);
    }
}
