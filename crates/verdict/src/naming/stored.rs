//! Results that the code stored before it looked at them: `ring->used += n; if (ring->used > ring->size)` compares the sum,
//! which is what `ring->used` is by then. Told as the sum, it would be the sum with `n` added once more.
//!
//! **Invariant:** a result has the name of the place that it was stored in only where memory still has it there.

use crate::code::operand::read;
use crate::model::{How, Origin};
use crate::naming::names::{Named, Namer};
use arch::dataflow::{Expr, Mem, Operand, Sym, cut};

impl Namer<'_> {
    /// The place that a computed value was stored in right before the instruction at `ip`, or behind it and before the
    /// jump: there the compiler puts what the source had before the comparison.
    pub(crate) fn stored(&self, ip: u64, sym: Sym) -> Option<Named> {
        let function = &self.code.function;
        function.just_before(ip).chain(function.before_jump(ip)).find_map(|at| self.stored_by(at, sym))
    }

    /// The place that the instruction at `at` stores the value in.
    fn stored_by(&self, at: u64, sym: Sym) -> Option<Named> {
        let function = &self.code.function;
        let (Some(Operand::Mem(m)), Some(Operand::Reg { number, .. })) =
            (function.operand(at, 0), function.operand(at, 1))
        else {
            return None;
        };
        // what is changed in memory is no copy of the register
        let plain = matches!(function.accesses(at).as_slice(), [(_, true)]);
        let held = self.code.flow.register(at, number)?;
        if !plain || function.exchange(at).is_some() || self.whole(held) != self.whole(sym) {
            return None;
        }
        let member = self.memory(at, &m)?;
        self.still_has(at, &m, sym).then(|| Named {
            how: member.named.how.max(How::Decoded),
            origin: Origin::Stored(self.code.offset(at)),
            ..member.named
        })
    }

    /// The value of which this is the low part.
    fn whole(&self, sym: Sym) -> Sym {
        match self.code.flow.expr(sym) {
            Expr::Cut { base, .. } => base,
            _ => sym,
        }
    }

    /// True where memory has the value there.
    fn still_has(&self, at: u64, m: &Mem, sym: Sym) -> bool {
        let now = || {
            let to = match m.base {
                // a global variable
                None if m.index.is_none() && !m.per_cpu => m.disp.cast_unsigned(),
                _ => {
                    let (base, disp) = self.code.flow.address(at, m)?;
                    self.value(base)?.value.wrapping_add_signed(disp)
                }
            };
            read(self.s.mem(), to, m.size)
        };
        now().is_some_and(|now| self.value(sym).is_some_and(|held| cut(held.value, m.size, false) == now))
    }
}
