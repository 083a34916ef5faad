//! The step by DWARF call frame information.

use crate::walk::{Cursor, Step};
use crate::{How, Saved, Unwinder};
use arch::Regs;
use base::VirtAddr;
use debuginfo::cfi::{CfiCfa, CfiRow, CfiRule, evaluate};

/// True where the table says which word of the stack has a register.
fn is_kept_in_memory(row: &CfiRow, number: usize) -> bool {
    let rule = u16::try_from(number).ok().and_then(|number| row.rule(number));
    matches!(rule, Some(CfiRule::AtCfa(_) | CfiRule::AtExpression(_)))
}

impl Unwinder<'_> {
    pub(crate) fn by_cfi(&self, cursor: &Cursor) -> Step {
        let Some(row) = self.code.cfi(cursor.lookup()) else { return Step::Unknown };
        let Some((cfa, regs)) = self.cfi_registers(cursor, &row) else { return Step::Unable };
        if row.rule(row.return_address) == Some(&CfiRule::Undefined) {
            return Step::End;
        }
        let Some(pc) = regs.get(row.return_address.into()) else { return Step::Unknown };
        let slot = match row.rule(row.return_address) {
            Some(CfiRule::AtCfa(offset)) => Some(cfa.offset(*offset)),
            _ => None,
        };
        let pc = slot.map_or(self.code.code_pointer(pc), |slot| self.return_of(cursor, slot, pc).0);
        // entry code of old kernels describes the whole pt_regs: the "return address" is its rip
        if let (true, Some(slot)) = (row.signal, slot) {
            let at = slot.sub(self.arch.frames.saved_layout().interrupt);
            if let Ok(found) = self.arch.frames.saved(self.mem, at) {
                let user = self.arch.frames.is_user(&found);
                if self.arch.frames.can_be_saved(&found) && found.pc() == Some(pc) {
                    // some entries of 3.10 describe their interrupt stack a word off: where what is saved there is
                    // no code, the registers that the stack shows by themselves count
                    let wild = !user && !self.code.is_text(VirtAddr(pc));
                    if wild && let found @ (Step::Entry { .. } | Step::Caller { .. }) = self.by_saved(cursor)
                    {
                        return found;
                    }
                    let saved = Saved { at, regs: found, full: true, user };
                    let entry = Step::Entry { saved, how: How::Cfi, is_call: false };
                    return self.partly(entry, cursor, &|number| !is_kept_in_memory(&row, number));
                }
            }
        }
        if !self.is_caller(cfa, VirtAddr(pc)) {
            return Step::Unknown;
        }
        let caller = Cursor::new(regs.with(regs.reg_set().pc, pc), !row.signal, slot, How::Cfi);
        caller.map_or(Step::Unknown, |caller| Step::Caller { caller, cfa })
    }

    /// The CFA and the caller's registers; `None` where the CFA cannot be computed.
    pub(crate) fn cfi_registers(&self, cursor: &Cursor, row: &CfiRow) -> Option<(VirtAddr, Regs)> {
        let get = |number: u16| cursor.regs.get(number.into());
        let cfa = match &row.cfa {
            CfiCfa::Reg(number, offset) => VirtAddr(get(*number)?).offset(*offset),
            CfiCfa::Expression(expression) => VirtAddr(evaluate(expression, None, &get, self.mem)?),
        };
        let set = cursor.regs.reg_set();
        let mut regs = Regs::new(set).with(set.sp, cfa.0);
        for &number in set.roles.preserved {
            regs.put(number, cursor.regs.get(number));
        }
        // where a call leaves it in a register, a function that calls nothing leaves it there
        if let Some(link) = set.roles.link.filter(|_| !cursor.is_call) {
            regs.put(link, cursor.regs.get(link));
        }
        for (number, rule) in &row.rules {
            let value = match rule {
                CfiRule::Undefined => None,
                CfiRule::Same => get(*number),
                CfiRule::AtCfa(offset) => self.word(cfa.offset(*offset)).ok(),
                CfiRule::IsCfa(offset) => Some(cfa.offset(*offset).0),
                CfiRule::Register(other) => get(*other),
                CfiRule::AtExpression(expression) => evaluate(expression, Some(cfa.0), &get, self.mem)
                    .and_then(|at| self.word(VirtAddr(at)).ok()),
                CfiRule::IsExpression(expression) => evaluate(expression, Some(cfa.0), &get, self.mem),
            };
            regs.put((*number).into(), value);
        }
        Some((cfa, regs))
    }
}
