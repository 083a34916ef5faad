//! Names of values that depend on the path the code took: a pointer that a loop moves on, one of two that were chosen
//! from.
//!
//! **Invariant:** such a value is never named by one of its definitions alone. Its name is that of the first value and
//! of the turns after which the dump's memory has the value that the register had; where memory does not show it, only
//! the register is named, with its type where all definitions agree on one.

use crate::code::operand::{read, register_name};
use crate::model::{How, Origin};
use crate::naming::members;
use crate::naming::names::{Named, Namer, pointer_to};
use arch::dataflow::{Carried, Expr, Hop, Sym};
use cexpr::{Expr as CExpr, ExprKind};
use debuginfo::types::TypeRef;

/// Most turns of a loop that are followed through memory.
const MAX_TURNS: usize = 1 << 14;
/// Most turns that are spelled out.
const MAX_SPELLED: usize = 4;

/// The first value that a loop carries, and how many turns after it the value at hand comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LoopPosition {
    pub(crate) first: Sym,
    pub(crate) turns: usize,
}

impl Namer<'_> {
    /// In which turn of its loop a value is, as far as the dump's memory shows that.
    pub(crate) fn loop_position(&self, sym: Sym, carried: &Carried) -> Option<LoopPosition> {
        let value = self.value(sym)?.value;
        let mut best: Option<LoopPosition> = None;
        for first in &carried.firsts {
            // of several, a first value that is not known may have led there as well
            let start = self.value(*first)?.value;
            let Some(turns) = turns_to(start, value, &carried.turn, |at, size| read(self.s.mem(), at, size))
            else {
                continue;
            };
            if best.is_some() {
                return None;
            }
            best = Some(LoopPosition { first: *first, turns });
        }
        best
    }

    /// The name of a value that depends on the path, as seen at the instruction at `ip`.
    pub(crate) fn loop_carried(&self, ip: u64, sym: Sym, depth: usize) -> Option<Named> {
        let carried = self.code.flow.carried(sym)?;
        if let Some(named) = self.along_array(ip, sym, &carried, depth) {
            return Some(named);
        }
        self.along_memory(ip, sym, &carried, depth).or_else(|| self.by_register(ip, sym, &carried, depth))
    }

    /// A pointer that a loop moves over an array: `&table[3]`.
    fn along_array(&self, ip: u64, sym: Sym, carried: &Carried, depth: usize) -> Option<Named> {
        self.strided(ip, sym, carried, depth).filter(|(_, within)| *within == 0).map(|(named, _)| named)
    }

    /// The element that a pointer which a loop moves over an array points into, and how far: the loop's own pointer may
    /// be that of a member.
    pub(crate) fn in_array(&self, ip: u64, sym: Sym) -> Option<(Named, i64)> {
        self.strided(ip, sym, &self.code.flow.carried(sym)?, 0)
    }

    fn strided(&self, ip: u64, sym: Sym, carried: &Carried, depth: usize) -> Option<(Named, i64)> {
        let ([Hop::Add(by)], [first]) = (carried.turn.as_slice(), carried.firsts.as_slice()) else {
            return None;
        };
        let types = self.types();
        let stride = u64::try_from(*by).ok().filter(|by| *by > 0)?;
        let gone = self.value(sym)?.value.checked_sub(self.value(*first)?.value)?;
        let fits = |named: &Named| {
            let to = named.ty.and_then(|ty| members::pointee(types, ty));
            to.is_some_and(|to| types.size_of(to).is_ok_and(|size| size == stride))
        };
        let start = || Some((self.sym(ip, *first, depth + 2)?, 0));
        let inside = || match self.code.flow.expr(*first) {
            Expr::Add { base, disp } if (0..*by).contains(&disp) => {
                Some((self.sym(ip, base, depth + 2)?, disp))
            }
            _ => None,
        };
        let (from, within) =
            start().filter(|(named, _)| fits(named)).or_else(|| inside().filter(|(named, _)| fits(named)))?;
        if !gone.is_multiple_of(stride) {
            return None;
        }
        let expr = from.expr.index(CExpr::unsigned(gone / stride)).address();
        let origin = Origin::Stride(*by);
        Some((Named { expr, ty: from.ty, how: from.how.max(How::Decoded), origin }, within))
    }

    /// A pointer that a loop follows through memory: `first->next->next`.
    fn along_memory(&self, ip: u64, sym: Sym, carried: &Carried, depth: usize) -> Option<Named> {
        let reached = self.loop_position(sym, carried)?;
        let first = self.sym(ip, reached.first, depth + 2)?;
        let many = !carried.turn.is_empty();
        let how = first.how.max(How::Decoded);
        if reached.turns == 0 {
            let own = Box::new(first.origin.when_it_was());
            let origin = Origin::First { own, moved: many };
            return Some(Named { origin, how, ..first });
        }
        let mut named = first.clone();
        for _ in 0..reached.turns.min(MAX_SPELLED) {
            let next = self.turned(&named, &carried.turn)?;
            if reached.turns > MAX_SPELLED && self.pointee_name(&next) != self.pointee_name(&named) {
                return None;
            }
            named = next;
        }
        if reached.turns > MAX_SPELLED {
            let once = self.turned(&first, &carried.turn)?.expr;
            let turn = step(&first.expr, &once)?;
            named.expr = CExpr::words(format!("{}\u{2026}{turn}", once.for_reader()));
        }
        named.origin = Origin::Turns { turns: reached.turns, first: first.expr };
        named.how = named.how.max(how);
        Some(named)
    }

    /// How a value that depends on the path came about, where memory shows that.
    pub(crate) fn way_here(&self, sym: Sym) -> Option<Origin> {
        let carried = self.code.flow.carried(sym)?;
        let reached = self.loop_position(sym, &carried).filter(|r| r.turns > 0)?;
        Some(Origin::Turns { turns: reached.turns, first: self.sym(self.at, reached.first, 2)?.expr })
    }

    /// What one turn makes of a named value.
    fn turned(&self, from: &Named, turn: &[Hop]) -> Option<Named> {
        match turn {
            [] => Some(from.clone()),
            // list_for_each_entry()
            [Hop::Load { disp, size }, Hop::Add(back), rest @ ..] => {
                self.turned(&self.neighbour(from, *disp, *size, *back)?, rest)
            }
            [Hop::Load { disp, size }, rest @ ..] => {
                self.turned(&self.member_of(from, *disp, *size)?.named, rest)
            }
            [Hop::Add(_), ..] => None,
        }
    }

    /// The type that a pointer points to, by name.
    fn pointee_name(&self, named: &Named) -> Option<String> {
        let types = self.types();
        named.ty.and_then(|ty| members::pointee(types, ty)).map(|to| types.name(to))
    }

    /// The register itself, as a pointer of the type that all its definitions have.
    fn by_register(&self, ip: u64, sym: Sym, carried: &Carried, depth: usize) -> Option<Named> {
        let types = self.types();
        let register = self.code.flow.holders(ip, sym).next()?;
        let firsts: Vec<Named> =
            carried.firsts.iter().map(|first| self.sym(ip, *first, depth + 2)).collect::<Option<_>>()?;
        let start = firsts.first()?;
        let ty: TypeRef = start.ty?;
        let tag = self.pointee_name(start)?;
        let same = |named: &Named| self.pointee_name(named).as_deref() == Some(tag.as_str());
        let steady =
            carried.turn.is_empty() || self.turned(start, &carried.turn).is_some_and(|next| same(&next));
        if !members::is_compound(types, members::pointee(types, ty)?) || !steady || !firsts.iter().all(same) {
            return None;
        }
        let next = match carried.turn.is_empty() {
            true => None,
            false => {
                let next = self.turned(start, &carried.turn)?;
                let turn = step(&start.expr, &next.expr).unwrap_or_else(|| next.text());
                Some(turn.trim_start_matches("->").to_owned())
            }
        };
        let origin = Origin::OneOf { firsts: firsts.iter().map(|named| named.expr.clone()).collect(), next };
        let expr = CExpr::register(register_name(self.s, register, 8))
            .cast(pointer_to(types, members::pointee(types, ty)?)?);
        Some(Named { expr, ty: Some(ty), how: How::Decoded, origin })
    }
}

/// What leads from an expression on to one that is made of it: `->next` of `p->next`.
fn step(from: &CExpr, to: &CExpr) -> Option<String> {
    if from == to {
        return Some(String::new());
    }
    match &to.kind {
        ExprKind::Member(inner, name, arrow) => {
            let mark = if *arrow { "->" } else { "." };
            Some(format!("{}{mark}{name}", step(from, inner)?))
        }
        ExprKind::Index(inner, at) => Some(format!("{}[{}]", step(from, inner)?, at.for_reader())),
        _ => None,
    }
}

/// After how many turns a value is reached; `None` where it is not, or memory ends.
fn turns_to(start: u64, value: u64, turn: &[Hop], read: impl Fn(u64, u64) -> Option<u64>) -> Option<usize> {
    let mut here = start;
    for turns in 0..=MAX_TURNS {
        if here == value {
            return Some(turns);
        }
        if turn.is_empty() {
            return None;
        }
        let next = turn.iter().try_fold(here, |at, hop| match hop {
            Hop::Load { disp, size } => read(at.wrapping_add_signed(*disp), *size),
            Hop::Add(by) => Some(at.wrapping_add_signed(*by)),
        })?;
        if next == start {
            return None;
        }
        here = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Structs at 0x1000, 0x2000, 0x3000, linked at 0x18; the last has NULL.
    fn memory(at: u64, size: u64) -> Option<u64> {
        match (at, size) {
            (0x1018, 8) => Some(0x2000),
            (0x2018, 8) => Some(0x3000),
            (0x3018, 8) => Some(0),
            (0x4018, 8) => Some(0x4000),
            _ => None,
        }
    }

    const NEXT: &[Hop] = &[Hop::Load { disp: 0x18, size: 8 }];

    #[test]
    fn turns_are_counted_through_memory() {
        assert_eq!(turns_to(0x1000, 0x1000, NEXT, memory), Some(0));
        assert_eq!(turns_to(0x1000, 0x3000, NEXT, memory), Some(2));
        assert_eq!(turns_to(0x1000, 0, NEXT, memory), Some(3));
        assert_eq!(turns_to(0x1000, 0x3000, &[], memory), None, "without a loop it is the value or not");
    }

    #[test]
    fn what_memory_does_not_lead_to_is_not_reached() {
        assert_eq!(turns_to(0x1000, 0x5000, NEXT, memory), None, "the chain ends before");
        assert_eq!(turns_to(0x4000, 0x5000, NEXT, memory), None, "a circle ends");
        assert_eq!(turns_to(0, u64::MAX, &[Hop::Add(1)], memory), None, "not for ever");
        let back = [Hop::Load { disp: 0x18, size: 8 }, Hop::Add(-8)];
        assert_eq!(turns_to(0x1000, 0x1ff8, &back, memory), Some(1));
    }
}
