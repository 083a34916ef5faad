//! The step by the kernel's ORC table (arch/x86/kernel/unwind_orc.c is the source of the rules).

use crate::walk::{Cursor, Step};
use crate::{How, Saved, Unwinder};
use arch::Regs;
use base::{Fault, VirtAddr};
use debuginfo::orc::{OrcBase, OrcBp, OrcEntry, OrcKind};

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
            OrcBase::BpIndirect => match from(regs.fp()) {
                Some(bp) => Some(VirtAddr(self.word(bp.offset(offset))?)),
                None => None,
            },
            OrcBase::SpIndirect => match from(regs.sp()) {
                // cfa = *(rsp + offset) in entry code; in called code, since 5.12 (87ccc826bf1c), *rsp + offset
                Some(sp) if entry.kind == OrcKind::Call => Some(VirtAddr(self.word(sp)?).offset(offset)),
                Some(sp) => Some(VirtAddr(self.word(sp.offset(offset))?)),
                None => None,
            },
        })
    }

    /// The address of a frame by the table alone, also where the return address below it is none.
    pub(crate) fn orc_own(&self, cursor: &Cursor) -> Option<VirtAddr> {
        let entry = self.code.orc(cursor.lookup())?;
        (entry.kind == OrcKind::Call).then(|| self.orc_cfa(&cursor.regs, &entry).ok().flatten())?
    }

    fn orc_step(&self, cursor: &Cursor, entry: &OrcEntry) -> Result<Step, Fault> {
        let Some(cfa) = self.orc_cfa(&cursor.regs, entry)? else { return Ok(Step::Unable) };
        let saved = match entry.kind {
            OrcKind::Call => return self.orc_call(cursor, entry, cfa),
            OrcKind::Regs => {
                let regs = self.arch.frames.saved(self.mem, cfa)?;
                Saved { at: cfa, user: self.arch.frames.is_user(&regs), regs, full: true }
            }
            _ => {
                let at = cfa.sub(self.arch.frames.saved_layout().interrupt);
                let regs = self.arch.frames.interrupted(self.mem, at, &cursor.regs)?;
                Saved { at, user: self.arch.frames.is_user(&regs), regs, full: false }
            }
        };
        if !self.arch.frames.can_be_saved(&saved.regs) {
            return Ok(Step::Unknown);
        }
        Ok(Step::Entry { saved, how: How::Orc, is_call: !entry.signal })
    }

    /// The return address is below the CFA.
    fn orc_call(&self, cursor: &Cursor, entry: &OrcEntry, cfa: VirtAddr) -> Result<Step, Fault> {
        let slot = cfa.sub(8);
        let pc = self.return_of(cursor, slot, self.word(slot)?);
        if !self.is_caller(cfa, pc) {
            return Ok(Step::Unknown);
        }
        let set = cursor.regs.reg_set();
        let mut regs = Regs::new(set).with(set.pc, pc.0).with(set.sp, cfa.0);
        regs.put(
            set.fp,
            match entry.bp {
                OrcBp::Unchanged => cursor.regs.fp(),
                OrcBp::AtCfa(offset) => Some(self.word(cfa.offset(offset.into()))?),
                OrcBp::AtBp(offset) => match cursor.regs.fp() {
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
                for &number in self.kept_numbers() {
                    regs.put(number, theirs.get(number));
                }
            }
        } else if let Some(shape) = self.code.shape(cursor.lookup())
            && self.agrees(&shape, &cursor.regs, cfa)
        {
            for &number in self.kept_numbers() {
                regs.put(number, self.kept(&shape, cursor, cfa, number));
            }
        }
    }
}
