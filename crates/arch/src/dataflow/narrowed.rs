//! A switch as comparisons of one value with constants, one behind the other: which values are left where the last one
//! leads to the trap. Of the last alone more would be told than holds: `t != 0`, where those before left 0 and 1 only.

use super::condition::{Branch, Relation, Test};
use super::decide::Way;
use super::{Expr, Flow, Function, Kind, Operand, cut};

/// How many comparisons before the last are looked at, and how far back in straight code each.
const MAX_BEFORE: usize = 16;
const MAX_STRAIGHT: usize = 16;
/// So many values that are excluded are no accident of two checks, but a switch.
const MIN_EXCLUDED: usize = 3;

/// The values that are left, as ranges without overlap, ascending, as unsigned numbers of the size that is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Left(Vec<(u64, u64)>);

impl Left {
    /// Those for which a comparison with a constant holds.
    fn of(relation: Relation, constant: u64, signed: bool, size: u64) -> Self {
        let max = cut(u64::MAX, size, false);
        // signed numbers in the order of unsigned ones
        let sign = if signed { (max >> 1).wrapping_add(1) } else { 0 };
        let c = cut(constant, size, false) ^ sign;
        let below = |to: Option<u64>| to.map(|to| (0, to));
        let above = |from: Option<u64>| from.filter(|from| *from <= max).map(|from| (from, max));
        let ranges = match relation {
            Relation::Eq => [Some((c, c)), None],
            Relation::Ne => [below(c.checked_sub(1)), above(c.checked_add(1))],
            Relation::Lt => [below(c.checked_sub(1)), None],
            Relation::Le => [below(Some(c)), None],
            Relation::Gt => [above(c.checked_add(1)), None],
            Relation::Ge => [above(Some(c)), None],
        };
        let halves = |(from, to): (u64, u64)| match sign {
            0 => vec![(from, to)],
            sign if (from < sign) == (to < sign) => vec![(from ^ sign, to ^ sign)],
            // from the negative numbers to the others
            sign => vec![(from ^ sign, max), (0, to ^ sign)],
        };
        let mut out: Vec<(u64, u64)> = ranges.into_iter().flatten().flat_map(halves).collect();
        out.sort_unstable();
        Self(out)
    }

    fn and(&self, other: &Self) -> Self {
        let common = |a: &(u64, u64)| {
            let a = *a;
            other.0.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))).filter(|(from, to)| from <= to)
        };
        Self(self.0.iter().flat_map(common).collect())
    }

    /// The one value that is left.
    fn only(&self) -> Option<u64> {
        match self.0.as_slice() {
            [(from, to)] if from == to => Some(*from),
            _ => None,
        }
    }
}

/// A comparison of a value with a constant.
fn with_constant(test: &Test, flow: &Flow) -> Option<Left> {
    if test.mask.is_some() || test.bit.is_some() || test.left.after {
        return None;
    }
    let constant = match (test.right.operand, test.right.sym.map(|sym| flow.expr(sym))) {
        (Operand::Imm(v), _) | (_, Some(Expr::Const(v))) => v,
        _ => return None,
    };
    Some(Left::of(test.relation, constant.cast_unsigned(), test.signed, test.size))
}

impl Function {
    /// A way with what the comparisons of a switch before its last one leave: one value, or all but several.
    pub(super) fn narrowed(&self, way: Way, flow: &Flow) -> Way {
        self.narrower(&way, flow).unwrap_or(way)
    }

    fn narrower(&self, way: &Way, flow: &Flow) -> Option<Way> {
        let last = way.steps.last()?;
        let test = last.test?;
        let own = with_constant(&test, flow)?;
        own.only().is_none().then_some(())?;
        let alike = |other: &Test| {
            let same = test.left.sym.zip(other.left.sym).is_some_and(|(a, b)| flow.alike(a, b));
            (same && other.size == test.size).then(|| with_constant(other, flow))?
        };
        // the way's own steps first: where one asks something else, this is no switch
        let mut before: Vec<(Branch, Left)> = Vec::new();
        let inner = way.steps.iter().rev().skip(1);
        for step in inner {
            before.push((step.clone(), alike(step.test.as_ref()?)?));
        }
        let first = self.number(way.steps.first()?.jump)?;
        self.chain_before(first, flow, &alike, &mut before);
        let all = before.iter().fold(own.clone(), |all, (_, left)| all.and(left));
        if all == own {
            return None;
        }
        let steps_before = || before.iter().rev().map(|(step, _)| step);
        if let Some(value) = all.only() {
            let value = cut(value, test.size, test.signed).cast_signed();
            let mut right = test.right;
            (right.operand, right.sym) = (Operand::Imm(value), None);
            let mut step = last.clone();
            step.test = Some(Test { right, relation: Relation::Eq, ..test });
            let own = [last.compare, last.jump];
            for at in steps_before().flat_map(|step| [step.compare, step.jump]) {
                if !own.contains(&at) && !step.before.contains(&at) {
                    step.before.push(at);
                }
            }
            return Some(Way { steps: vec![step], spare: vec![false] });
        }
        // the default of a switch: none of its cases
        let excludes = |step: &Branch| step.test.is_some_and(|test| test.relation == Relation::Ne);
        let is_default = before.len() + 1 >= MIN_EXCLUDED && steps_before().chain([last]).all(excludes);
        (way.steps.len() == 1 && (is_default || is_tree(&before))).then(|| {
            let told = telling(&before, &own);
            let steps: Vec<Branch> = told.into_iter().rev().chain([last.clone()]).collect();
            Way { spare: vec![false; steps.len()], steps }
        })
    }

    /// Comparisons of the same value from which straight code, to which nothing else leads, comes to this jump. The nearest
    /// comes first.
    fn chain_before(
        &self,
        jump: usize,
        flow: &Flow,
        alike: &dyn Fn(&Test) -> Option<Left>,
        out: &mut Vec<(Branch, Left)>,
    ) {
        let mut here = jump;
        let mut straight = 0;
        while out.len() < MAX_BEFORE && straight < MAX_STRAIGHT {
            let Some([before]) = self.before.get(here).map(Vec::as_slice) else { return };
            let before = *before;
            match self.ops.get(before).map(|op| op.kind) {
                Some(Kind::Conditional) => {
                    let sides = [true, false].map(|taken| self.side(before, taken) == Some(here));
                    let taken = match sides {
                        [true, false] => true,
                        [false, true] => false,
                        _ => return,
                    };
                    let Some(step) = self.test_before(before, taken, flow) else { return };
                    let Some(left) = step.test.as_ref().and_then(alike) else { return };
                    out.push((step, left));
                    straight = 0;
                }
                Some(Kind::IndirectJump) | None => return,
                Some(_) if self.stores(before) => return,
                Some(_) => straight += 1,
            }
            here = before;
        }
    }
}

/// True where one comparison decides twice, whether a value is a case and on which side of it the others are: so a compiler
/// finds the case of a switch, and no programmer asks.
fn is_tree(before: &[(Branch, Left)]) -> bool {
    before.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one.compare == other.compare))
}

/// Those comparisons, the nearest first, of which something is left out when they are: `t > 3` has said that it is not 3.
fn telling(before: &[(Branch, Left)], own: &Left) -> Vec<Branch> {
    let mut told: Vec<(Branch, Left)> = before.to_vec();
    // `t <= 3` of a tree whose other jump says that it is not 3
    for n in 1..told.len() {
        let Some([(near, left), (far, not)]) = told.get_mut(n - 1..=n) else { break };
        let strict = |relation| match relation {
            Relation::Le => Some(Relation::Lt),
            Relation::Ge => Some(Relation::Gt),
            _ => None,
        };
        let is_other =
            far.test.is_some_and(|test| test.relation == Relation::Ne) && near.compare == far.compare;
        if let Some(test) = near.test.as_mut().filter(|_| is_other)
            && let Some(relation) = strict(test.relation)
        {
            test.relation = relation;
            *left = left.and(not);
        }
    }
    let mut at = 0;
    while let Some((_, left)) = told.get(at) {
        let others = told.iter().enumerate().filter(|(n, _)| *n != at);
        let without = others.fold(own.clone(), |all, (_, (_, left))| all.and(left));
        if without == without.and(left) {
            told.remove(at);
        } else {
            at += 1;
        }
    }
    told.into_iter().map(|(step, _)| step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Relation::{Eq, Ge, Gt, Le, Lt, Ne};

    fn left(tests: &[(Relation, i64)], signed: bool) -> Vec<(u64, u64)> {
        let all = tests.iter().map(|(relation, c)| Left::of(*relation, c.cast_unsigned(), signed, 4));
        all.reduce(|a, b| a.and(&b)).unwrap().0
    }

    #[test]
    fn what_comparisons_leave() {
        const MAX: u64 = 0xffff_ffff;
        assert_eq!(left(&[(Le, 2), (Ne, 2), (Ne, 0)], false), [(1, 1)]);
        assert_eq!(left(&[(Lt, 2), (Ne, 0)], true), [(1, 1), (0x8000_0000, MAX)], "negative ones are left");
        assert_eq!(left(&[(Ge, 0), (Lt, 2), (Ne, 0)], true), [(1, 1)]);
        assert_eq!(left(&[(Gt, -2), (Lt, 1), (Ne, 0)], true), [(MAX, MAX)], "-1");
        assert_eq!(left(&[(Ne, 0)], false), [(1, MAX)]);
        assert_eq!(left(&[(Ne, -1)], false), [(0, MAX - 1)]);
        assert_eq!(left(&[(Gt, -1)], false), [], "nothing is above all");
        assert_eq!(left(&[(Eq, 5), (Ge, 6)], false), []);
        assert_eq!(left(&[(Gt, 3)], true), [(4, 0x7fff_ffff)]);
        assert_eq!(left(&[(Lt, 0)], true), [(0x8000_0000, MAX)]);
    }
}
