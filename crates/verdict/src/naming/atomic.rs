//! What an instruction made of memory as it looked at it, as the source has it: `atomic_dec_return(&p->users)`,
//! `test_and_set_bit(3, &p->flags)`, `cmpxchg(&p->state, 1, 2)`.
//!
//! **Invariant:** what was there before is never taken from the dump as it stands, where it has been changed: at most
//! a constant that was added is taken off again.

use crate::model::{Detail, Name, Operand as Row, Value};
use crate::naming::names::{Named, Namer, shown};
use crate::naming::side::Side;
use arch::dataflow::{BinOp, Branch, Exchange, Expr, Operand, Part, Relation, Sym, cut};
use cexpr::{Expr as CExpr, ExprKind};

/// A place in memory: its address, and the word before the functions that change it.
struct Target {
    address: CExpr,
    /// `atomic`, `atomic64`; none for plain variables.
    word: Option<&'static str>,
}

impl Target {
    fn of(place: &CExpr, size: u64) -> Self {
        match &place.kind {
            ExprKind::Member(object, name, arrow) if name == "counter" => {
                let object = CExpr::clone(object);
                let address = if *arrow { object } else { object.address() };
                Self { address, word: Some(if size == 8 { "atomic64" } else { "atomic" }) }
            }
            _ => Self { address: place.clone().address(), word: None },
        }
    }
}

/// A number that is added: a constant, or what names it.
enum By {
    Const(i64),
    Value(CExpr),
}

impl By {
    fn of(namer: &Namer<'_>, at: u64, operand: Operand, size: u64) -> Option<Self> {
        match operand {
            Operand::Imm(v) => Some(Self::Const(v)),
            Operand::Reg { number, .. } => {
                let sym = namer.code.flow.register(at, number)?;
                match namer.code.flow.expr(sym) {
                    Expr::Const(v) => Some(Self::Const(cut(v.cast_unsigned(), size, true).cast_signed())),
                    _ => Some(Self::Value(namer.sym(at, sym, 0)?.expr)),
                }
            }
            Operand::Mem(_) => None,
        }
    }

    fn negated(self) -> Option<Self> {
        match self {
            Self::Const(v) => Some(Self::Const(v.checked_neg()?)),
            Self::Value(_) => None,
        }
    }

    /// `atomic_fetch_inc(&p->users)`, `atomic_add_return(n, &p->users)`
    fn called(&self, target: &Target, returns: bool) -> Option<CExpr> {
        let word = target.word?;
        let name = |op: &str| {
            if returns { format!("{word}_{op}_return") } else { format!("{word}_fetch_{op}") }
        };
        let at = target.address.clone();
        Some(match self {
            Self::Const(1) => CExpr::call(name("inc"), vec![at]),
            Self::Const(-1) => CExpr::call(name("dec"), vec![at]),
            Self::Const(v) if *v < 0 => CExpr::call(name("sub"), vec![CExpr::unsigned(v.unsigned_abs()), at]),
            by => CExpr::call(name("add"), vec![by.expr(), at]),
        })
    }

    fn expr(&self) -> CExpr {
        match self {
            Self::Const(v) => CExpr::int(*v),
            Self::Value(expr) => expr.clone(),
        }
    }
}

/// What this place held before the instruction at `at` changed it.
fn before(namer: &Namer<'_>, at: u64, place: &CExpr, size: u64) -> Option<CExpr> {
    let (exchange, _) = namer.code.function.exchange(at)?;
    let target = Target::of(place, size);
    let address = || target.address.clone();
    let plain = |name: &str| target.word.map_or_else(|| name.to_owned(), |word| format!("{word}_{name}"));
    match exchange {
        Exchange::Fetch(by) => {
            let by = By::of(namer, at, by, size)?;
            let plainly = || CExpr::call("xadd", vec![address(), by.expr()]);
            Some(by.called(&target, false).unwrap_or_else(plainly))
        }
        Exchange::Swap(new) => {
            let new = By::of(namer, at, new, size)?.expr();
            Some(CExpr::call(plain("xchg"), vec![address(), new]))
        }
        Exchange::Compare(new) => {
            let old = namer.code.flow.register(at, namer.code.function.convention().accumulator)?;
            let old = match namer.code.flow.expr(old) {
                Expr::Const(v) => CExpr::int(cut(v.cast_unsigned(), size, true).cast_signed()),
                _ => namer.sym(at, old, 0)?.expr,
            };
            let new = By::of(namer, at, new, size)?.expr();
            Some(CExpr::call(plain("cmpxchg"), vec![address(), old, new]))
        }
        Exchange::Change(..) | Exchange::Bit(..) => None,
    }
}

/// The name of a value that an instruction took from memory as it changed it, or made of that.
pub(crate) fn named(namer: &Namer<'_>, sym: Sym, depth: usize) -> Option<Named> {
    let flow = &namer.code.flow;
    let load = |sym: Sym| match flow.expr(sym) {
        Expr::Load { base, disp, size, at } if namer.code.function.exchange(at).is_some() => {
            Some((namer.load(base, disp, size, at, depth)?, size, at))
        }
        _ => None,
    };
    let whole = |sym: Sym| match flow.expr(sym) {
        Expr::Cut { base, .. } => base,
        _ => sym,
    };
    // what was added to what the memory had: the sum is what it has now
    let sum = |old: Sym, by: &dyn Fn(u64, u64) -> Option<By>| {
        let (inner, size, at) = load(whole(old))?;
        let (Exchange::Fetch(added), _) = namer.code.function.exchange(at)? else { return None };
        let (one, other) = (By::of(namer, at, added, size)?, by(at, size)?);
        let same = match (&one, &other) {
            (By::Const(a), By::Const(b)) => a == b,
            (By::Value(a), By::Value(b)) => a == b,
            _ => false,
        };
        let expr = one.called(&Target::of(&inner.expr, size), true).filter(|_| same)?;
        Some(Named { expr, ..inner })
    };
    let value = |sym: Sym, at: u64, size: u64| match flow.expr(sym) {
        Expr::Const(v) => Some(By::Const(cut(v.cast_unsigned(), size, true).cast_signed())),
        _ => Some(By::Value(namer.sym(at, sym, depth + 1)?.expr)),
    };
    match flow.expr(sym) {
        Expr::Load { size, at, .. } => {
            let inner = load(sym)?.0;
            Some(Named { expr: before(namer, at, &inner.expr, size)?, ..inner })
        }
        Expr::Add { base, disp } => sum(base, &|_, _| Some(By::Const(disp))),
        Expr::Bin { op: BinOp::Add, a, b, .. } => {
            let by = |b: Sym| move |at: u64, size: u64| value(b, at, size);
            sum(a, &by(b)).or_else(|| sum(b, &by(a)))
        }
        Expr::Bin { op: BinOp::Sub, a, b, .. } => sum(a, &|at, size| value(b, at, size)?.negated()),
        _ => None,
    }
}

/// What a comparison looks at that changes its memory operand, this place.
pub(crate) fn operand(
    namer: &Namer<'_>,
    way: &Branch,
    part: Part,
    place: &CExpr,
    size: u64,
) -> Option<CExpr> {
    match (namer.code.function.exchange(way.compare)?.0, part.after) {
        (Exchange::Change(op @ (BinOp::Add | BinOp::Sub), by), true) => {
            let by = By::of(namer, way.compare, by, size)?;
            let by = if op == BinOp::Sub { by.negated()? } else { by };
            by.called(&Target::of(place, size), true)
        }
        (_, true) => None,
        (_, false) => before(namer, way.compare, place, size),
    }
}

/// What the memory operand of a comparison that changes it held when it was compared, where `now` tells that.
pub(crate) fn then(namer: &Namer<'_>, way: &Branch, part: Part, now: u64, size: u64) -> Option<u64> {
    let Some((exchange, _)) = namer.code.function.exchange(way.compare) else { return Some(now) };
    match exchange {
        Exchange::Change(..) if part.after => Some(now),
        Exchange::Change(BinOp::Sub, Operand::Imm(by)) => {
            Some(cut(now.wrapping_add(by.cast_unsigned()), size, false))
        }
        Exchange::Change(BinOp::Add, Operand::Imm(by)) => {
            Some(cut(now.wrapping_sub(by.cast_unsigned()), size, false))
        }
        // nothing was stored
        Exchange::Compare(_) => way.test.filter(|t| t.relation == Relation::Ne).map(|_| now),
        _ => None,
    }
}

/// How many bytes from its operand the word lies that has the bit which a comparison asks memory for.
pub(crate) fn far(number: Operand, value: Option<u64>, size: u64) -> Option<i64> {
    let bits = i64::try_from(size.checked_mul(8)?).ok().filter(|n| *n > 0)?;
    match number {
        Operand::Reg { .. } => cut(value?, size, true).cast_signed().div_euclid(bits).checked_mul(bits / 8),
        _ => Some(0),
    }
}

/// `test_and_set_bit(5, &p->flags)`, with what the bit was.
pub(crate) fn bit(namer: &Namer<'_>, way: &Branch, left: &Side, number: &Side, size: u64) -> Side {
    let name = match namer.code.function.exchange(way.compare) {
        Some((Exchange::Bit(op, _), locked)) => {
            let verb = match op {
                BinOp::Or => "set",
                BinOp::And => "clear",
                _ => "change",
            };
            format!("{}test_and_{verb}_bit", if locked { "" } else { "__" })
        }
        _ => "test_bit".into(),
    };
    // an array is its own address
    let address = match &left.expr.kind {
        ExprKind::Index(array, first) if matches!(first.kind, ExprKind::Int { value: 0, .. }) => {
            CExpr::clone(array)
        }
        _ => left.expr.clone().address(),
    };
    let expr = CExpr::call(name, vec![number.expr.clone(), address]);
    let bits = size.saturating_mul(8).max(1);
    let was = left.value.zip(number.value).map(|(word, n)| word >> (n % bits).min(63) & 1);
    let which = number.value.map(|n| Detail::Bit(n % bits));
    let row = left.row.as_ref().map(|row| Row {
        name: Name::Expr(expr.clone()),
        value: was.map(|bit| Value::of(bit, shown(namer.types(), None, bit, 4))),
        detail: which.into_iter().chain(row.detail.iter().cloned()).collect(),
        ..row.clone()
    });
    Side { expr, ty: None, value: was, row, object: None, ..left.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p() -> CExpr {
        CExpr::ident("p")
    }

    #[test]
    fn counters_and_words_by_their_address() {
        let target = |place: CExpr, size| {
            let t = Target::of(&place, size);
            (t.address.to_string(), t.word)
        };
        assert_eq!(target(p().arrow("users").member("counter"), 4), ("&p->users".into(), Some("atomic")));
        assert_eq!(target(p().arrow("bytes").member("counter"), 8), ("&p->bytes".into(), Some("atomic64")));
        assert_eq!(target(p().arrow("counter"), 4), ("p".into(), Some("atomic")));
        assert_eq!(target(p().arrow("owner"), 8), ("&p->owner".into(), None));
        assert_eq!(target(p().pointed(), 8), ("p".into(), None));
    }

    #[test]
    fn functions_by_what_is_added() {
        let counter = Target::of(&p().arrow("n").member("counter"), 4);
        let called = |by: By, returns| by.called(&counter, returns).unwrap().to_string();
        assert_eq!(called(By::Const(-1), true), "atomic_dec_return(&p->n)");
        assert_eq!(called(By::Const(1), false), "atomic_fetch_inc(&p->n)");
        assert_eq!(called(By::Const(-3), true), "atomic_sub_return(3, &p->n)");
        assert_eq!(called(By::Value(CExpr::ident("n")), true), "atomic_add_return(n, &p->n)");
        assert_eq!(By::Const(1).called(&Target::of(&p().arrow("n"), 4), true), None, "a plain variable");
        assert!(By::Const(i64::MIN).negated().is_none());
    }

    #[test]
    fn bits_beyond_their_word() {
        let register = Operand::Reg { number: 0, size: 8 };
        assert_eq!(far(register, Some(135), 8), Some(16));
        assert_eq!(far(register, Some(63), 8), Some(0));
        assert_eq!(far(register, Some((-1_i64).cast_unsigned()), 8), Some(-8));
        assert_eq!(far(Operand::Reg { number: 0, size: 4 }, Some(35), 4), Some(4));
        assert_eq!(far(register, None, 8), None);
        assert_eq!(far(Operand::Imm(70), None, 8), Some(0));
        assert_eq!(far(register, Some(1), 0), None);
    }
}
