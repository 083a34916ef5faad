//! The step by the kernel's ORC table (arch/x86/kernel/unwind_orc.c is the source of the rules).

use crate::walk::{Cursor, Step};
use crate::{How, Saved, Unwinder};
use arch::Regs;
use arch::x86_64::ptregs;
use arch::x86_64::regs::{CS, R12, R13, R14, R15, RBP, RBX, RFLAGS, RIP, RSP, SS};
use base::{Fault, VirtAddr};
use debuginfo::orc::{OrcBase, OrcBp, OrcEntry, OrcKind};

/// The registers that a function leaves as it found them (System V ABI), apart from rsp and rbp.
const PRESERVED: [usize; 5] = [RBX, R12, R13, R14, R15];

impl Unwinder<'_> {
    pub(crate) fn by_orc(&self, cursor: &Cursor) -> Step {
        let Some(entry) = self.code.orc(cursor.lookup()) else { return Step::Unknown };
        match entry.kind {
            OrcKind::Undefined => Step::Unknown,
            OrcKind::End => Step::End,
            _ => self.orc_step(cursor, &entry).unwrap_or_else(Step::Fault),
        }
    }

    /// `None` inside: a register that the entry needs is not known.
    fn orc_cfa(&self, regs: &Regs, entry: &OrcEntry) -> Result<Option<VirtAddr>, Fault> {
        let offset = i64::from(entry.offset);
        let from = |value: Option<u64>| value.map(VirtAddr);
        Ok(match entry.base {
            // cfa = reg + offset
            OrcBase::Reg(number) => from(regs.get(number.into())).map(|base| base.offset(offset)),
            // cfa = *(rbp + offset)
            OrcBase::BpIndirect => match from(regs.get(RBP)) {
                Some(bp) => Some(VirtAddr(self.word(bp.offset(offset))?)),
                None => None,
            },
            OrcBase::SpIndirect => match from(regs.get(RSP)) {
                // cfa = *(rsp + offset) in entry code; in called code, since 5.12 (87ccc826bf1c), *rsp + offset
                Some(sp) if entry.kind == OrcKind::Call => Some(VirtAddr(self.word(sp)?).offset(offset)),
                Some(sp) => Some(VirtAddr(self.word(sp.offset(offset))?)),
                None => None,
            },
        })
    }

    fn orc_step(&self, cursor: &Cursor, entry: &OrcEntry) -> Result<Step, Fault> {
        let Some(cfa) = self.orc_cfa(&cursor.regs, entry)? else { return Ok(Step::Unable) };
        let saved = match entry.kind {
            OrcKind::Call => return self.orc_call(cursor, entry, cfa),
            OrcKind::Regs => {
                let regs = ptregs::read(self.mem, cfa)?;
                Saved { at: cfa, user: ptregs::is_user(&regs), regs, full: true }
            }
            _ => {
                let at = cfa.sub(ptregs::IRET);
                let iret = ptregs::read_iret(self.mem, at)?;
                // the registers that are not saved yet are still as they were
                let mut regs = cursor.regs;
                for number in [RIP, CS, RFLAGS, RSP, SS] {
                    regs.put(number, iret.get(number));
                }
                Saved { at, user: ptregs::is_user(&iret), regs, full: false }
            }
        };
        if !self.is_saved(&saved.regs) {
            return Ok(Step::Unknown);
        }
        Ok(Step::Entry { saved, how: How::Orc, is_call: !entry.signal })
    }

    /// The return address is below the CFA.
    fn orc_call(&self, cursor: &Cursor, entry: &OrcEntry, cfa: VirtAddr) -> Result<Step, Fault> {
        let slot = cfa.sub(8);
        let pc = self.word(slot)?;
        if !self.is_caller(cfa, VirtAddr(pc)) {
            return Ok(Step::Unknown);
        }
        let mut regs = Regs::new(cursor.regs.reg_set()).with(RIP, pc).with(RSP, cfa.0);
        regs.put(
            RBP,
            match entry.bp {
                OrcBp::Unchanged => cursor.regs.get(RBP),
                OrcBp::AtCfa(offset) => Some(self.word(cfa.offset(offset.into()))?),
                OrcBp::AtBp(offset) => match cursor.regs.get(RBP) {
                    Some(bp) => Some(self.word(VirtAddr(bp).offset(offset.into()))?),
                    None => None,
                },
            },
        );
        self.preserved(cursor, cfa, &mut regs);
        let caller = Cursor::new(regs, true, Some(slot), How::Orc);
        Ok(caller.map_or(Step::Unknown, |caller| Step::Caller { caller, cfa }))
    }

    /// ORC follows rsp and rbp alone; where call frame information or the code agrees on the CFA, it knows the
    /// others.
    fn preserved(&self, cursor: &Cursor, cfa: VirtAddr, regs: &mut Regs) {
        if let Some(row) = self.code.cfi(cursor.lookup()) {
            let Some((their_cfa, theirs)) = self.cfi_registers(cursor, &row) else { return };
            if their_cfa == cfa {
                for number in PRESERVED {
                    regs.put(number, theirs.get(number));
                }
            }
        } else if let Some(shape) = self.code.shape(cursor.lookup())
            && self.agrees(&shape, &cursor.regs, cfa)
        {
            for number in PRESERVED {
                regs.put(number, self.kept(&shape, cursor, cfa, number));
            }
        }
    }
}
