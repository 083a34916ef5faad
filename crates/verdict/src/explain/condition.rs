//! The condition under which a trap was reached, rebuilt from the code, with the values that its
//! operands had.

use crate::explain::idiom;
use crate::explain::operand::{Side, constant, side, unlike};
use crate::model::{Condition, How, Object, OperandRow};
use crate::naming::atomic;
use crate::naming::bits;
use crate::naming::names::{Namer, shown};
use arch::dataflow::{Branch, Expr, Operand, Part, Relation, Test, Way, cut};
use cexpr::{BinOp, Expr as CExpr, ExprKind, TypeSpec};
use debuginfo::types::{Encoding, Type, Types};
use rustc_hash::FxHashMap;

/// A part of a condition: `total_sg > vq->vring.num`.
#[derive(Clone)]
struct Told {
    /// `None` where it cannot be told, or says nothing.
    expr: Option<CExpr>,
    /// Whether it holds with the values at hand.
    truth: Option<bool>,
    /// False where a value was read from memory that may have changed since.
    sure: bool,
    how: How,
    rows: Vec<OperandRow>,
    objects: Vec<Object>,
    code: Vec<String>,
    /// The check that a warning is given once.
    once: bool,
    /// The constant that its operand was equal to, if the trap was reached this way.
    equal: Option<String>,
}

/// The condition that led to the trap at `trap`. `word` is what the source most likely calls it:
/// `BUG_ON`, `WARN_ON`.
pub(crate) fn of_trap(namer: &Namer<'_>, trap: u64, word: &str) -> Result<Condition, String> {
    let code = &namer.code;
    let ways = code.function.ways_to(trap, &code.flow);
    if !ways.is_empty() {
        return choose(namer, &ways, trap, word);
    }
    if code.function.always_reaches(trap) {
        return match namer.outer() {
            Some(outer) => of_trap(outer, outer.at, word).map_err(|why| {
                format!(
                    "{} comes to the trap whenever it is called; in {}: {why}",
                    code.name, outer.code.name
                )
            }),
            None => Err(format!("{} comes to the trap whenever it is called", code.name)),
        };
    }
    Err("no conditional jump decides that the trap is reached".into())
}

/// A way to the trap, told: its parts, those that could not be told left out.
struct Reading {
    parts: Vec<Told>,
    /// True where every part that the way needs was told.
    whole: bool,
}

impl Reading {
    /// True where the values show that the trap was not reached this way.
    fn refuted(&self) -> bool {
        self.parts.iter().any(|p| p.sure && p.truth == Some(false))
    }
    fn holds(&self, shown: &[&Told]) -> bool {
        self.whole && !shown.is_empty() && shown.iter().all(|p| p.truth == Some(true))
    }
}

/// How far before a trap the jumps are followed that lead to its condition, and how many in all.
const MAX_BEFORE: usize = 4;
const MAX_ASKED: usize = 64;

/// False where the values show that the code did not come to the instruction at `ip`. `known` are answers given.
fn reachable(namer: &Namer<'_>, ip: u64, depth: usize, known: &mut FxHashMap<u64, bool>) -> bool {
    if let Some(answer) = known.get(&ip) {
        return *answer;
    }
    if depth >= MAX_BEFORE || known.len() >= MAX_ASKED {
        return true;
    }
    // a loop comes back here: only what comes from outside of it says more
    known.insert(ip, true);
    let ways = namer.code.function.ways_to(ip, &namer.code.flow);
    let mut open = ways.is_empty();
    for way in &ways {
        open = !read_way(namer, way, ip).refuted()
            && way.steps.first().is_none_or(|s| reachable(namer, s.jump, depth + 1, known));
        if open {
            break;
        }
    }
    known.insert(ip, open);
    open
}

/// True for the check of a WARN_ON_ONCE alone, which says nothing: what led to it is the condition.
fn is_once(reading: &Reading) -> bool {
    reading.parts.iter().all(|p| p.once)
}

fn choose(namer: &Namer<'_>, ways: &[Way], trap: u64, word: &str) -> Result<Condition, String> {
    let mut all: Vec<(Reading, Vec<bool>)> = Vec::new();
    for way in ways {
        let reading = read_way(namer, way, trap);
        match way.steps.first().filter(|_| is_once(&reading)) {
            Some(step) => {
                let before = namer.code.function.ways_to(step.jump, &namer.code.flow);
                all.extend(before.iter().map(|w| (read_way(namer, w, step.jump), w.spare.clone())));
            }
            None => all.push((reading, way.spare.clone())),
        }
    }
    // of several, the values decide which part of the function the code went through
    if ways.len() > 1 && all.len() == ways.len() {
        let mut known = FxHashMap::default();
        let mut came = |w: &Way| w.steps.first().is_none_or(|s| reachable(namer, s.jump, 0, &mut known));
        let mut ways = ways.iter();
        all.retain(|_| ways.next().is_none_or(&mut came));
    }
    let open: Vec<(&Reading, Vec<&Told>)> =
        all.iter().filter(|(r, _)| !r.refuted()).map(|(r, spare)| (r, needed(r, spare))).collect();
    if open.is_empty() {
        return Err(match ways {
            [_] => "with the values at hand, the condition before the trap does not hold".to_owned(),
            _ => format!("with the values at hand, none of the {} ways to the trap was taken", ways.len()),
        });
    }
    let holding: Vec<&Vec<&Told>> = open.iter().filter(|(r, shown)| r.holds(shown)).map(|(_, s)| s).collect();
    let (chosen, confirmed): (Vec<&Vec<&Told>>, bool) = match holding.as_slice() {
        [] => (open.iter().map(|(_, s)| s).collect(), false),
        some => (some.to_vec(), true),
    };
    if !confirmed
        && (chosen.iter().any(|s| s.is_empty()) || (chosen.len() > 1 && open.iter().any(|(r, _)| !r.whole)))
    {
        return Err(match ways {
            [_] => "the comparison before the trap cannot be told".to_owned(),
            _ => format!("{} ways lead to the trap; which was taken is not known", open.len()),
        });
    }
    let mut found = join(namer, &chosen, confirmed, word);
    if let ([_], [only]) = (ways, chosen.as_slice()) {
        implied(&mut found, only);
    }
    // registers without a name and without a value say nothing
    let nothing =
        |row: &OperandRow| row.value.is_none() && row.expr.as_ref().is_some_and(begins_with_register);
    if !found.operands.is_empty() && found.operands.iter().all(nothing) {
        return Err("the comparison before the trap is of registers that were overwritten since".to_owned());
    }
    Ok(found)
}

/// True for what is no more than a register, or read from where one points.
fn begins_with_register(expr: &CExpr) -> bool {
    match &expr.kind {
        ExprKind::Register(_) => true,
        ExprKind::Words(text) => text.starts_with('%'),
        ExprKind::Member(inner, ..) | ExprKind::Index(inner, _) | ExprKind::Binary(_, inner, _) => {
            begins_with_register(inner)
        }
        _ => false,
    }
}

/// An operand that is gone, and that the one way to the trap says was equal to a constant.
fn implied(found: &mut Condition, parts: &[&Told]) {
    for part in parts {
        let Some(value) = &part.equal else { continue };
        let row =
            found.operands.iter_mut().find(|row| row.value.is_none() && part.rows.iter().any(|r| r == *row));
        if let Some(row) = row {
            row.value = Some(value.clone());
            row.detail = format!("{}; the way to the trap says so", row.detail);
        }
    }
}

/// The parts without which the trap would not have been reached this way.
fn needed<'r>(reading: &'r Reading, spare: &[bool]) -> Vec<&'r Told> {
    let shown = reading.parts.iter().zip(spare.iter().chain(std::iter::repeat(&false)));
    shown.filter(|(part, spare)| !**spare && part.expr.is_some()).map(|(part, _)| part).collect()
}

/// `a && b || c`, with every operand once.
fn join(namer: &Namer<'_>, ways: &[&Vec<&Told>], confirmed: bool, word: &str) -> Condition {
    let mut alternatives: Vec<CExpr> = Vec::new();
    let (mut rows, mut objects, mut code): (Vec<OperandRow>, Vec<Object>, Vec<String>) = Default::default();
    let mut how = How::Dwarf;
    for way in ways {
        let parts = way.iter().filter_map(|p| p.expr.clone());
        let Some(all) = parts.reduce(|a, b| CExpr::binary(BinOp::LogAnd, a, b)) else { continue };
        if alternatives.contains(&all) {
            continue;
        }
        alternatives.push(all);
        for part in way.iter() {
            how = how.max(part.how);
            for row in &part.rows {
                if rows.iter().all(|r| r.name != row.name || r.value != row.value) {
                    rows.push(row.clone());
                }
            }
            for object in &part.objects {
                if objects.iter().all(|o| o.at != object.at) {
                    objects.push(object.clone());
                }
            }
            code.extend(part.code.iter().filter(|l| !code.contains(l)).cloned().collect::<Vec<_>>());
        }
    }
    if namer.level > 0 {
        code.insert(0, format!("in {}:", namer.code.name));
    }
    let expr = alternatives.into_iter().reduce(|a, b| CExpr::binary(BinOp::LogOr, a, b));
    let text = expr.as_ref().map(|e| e.for_reader().to_string()).unwrap_or_default();
    // the condition of a call stands in the caller's source as an if
    let text = if namer.level > 0 {
        format!("if ({text}) in {}", namer.code.name)
    } else {
        format!("{word}({text})")
    };
    Condition { expr, text, how, operands: rows, code, confirmed, objects }
}

fn read_way(namer: &Namer<'_>, way: &Way, trap: u64) -> Reading {
    let told: Vec<Option<Told>> = way.steps.iter().map(|step| tell(namer, step, trap)).collect();
    let whole = told.iter().all(Option::is_some);
    // what could not be told keeps its place, without a text
    let nothing = || Told {
        expr: None,
        truth: None,
        sure: false,
        how: How::Decoded,
        rows: Vec::new(),
        objects: Vec::new(),
        code: Vec::new(),
        once: false,
        equal: None,
    };
    Reading { parts: told.into_iter().map(|t| t.unwrap_or_else(nothing)).collect(), whole }
}

fn tell(namer: &Namer<'_>, way: &Branch, trap: u64) -> Option<Told> {
    let test = way.test?;
    let types = namer.types();
    let mut left = side(namer, way, test.left, test.size);
    let mut right = side(namer, way, test.right, test.size);
    unlike(namer, way, &test, &mut left, &mut right);
    let mut relation = test.relation;
    let mask = test.mask.map(|m| side(namer, way, m, test.size));
    let bit = test.bit.map(|b| side(namer, way, b, test.size));
    let mut mask = mask;
    let truth = evaluate(&test, &left, &right, mask.as_ref(), bit.as_ref());
    let constant = |s: &Side| s.value.filter(|_| s.constant);
    if let Some(m) = mask.as_ref().and_then(constant)
        && let Some((side, m)) = bits::masked(namer, test.left, &left, cut(m, test.size, false))
    {
        left = side;
        mask = m.map(|m| Side::constant(m.cast_signed()));
    } else if let Some(m) = mask.as_ref().and_then(constant) {
        mask = Some(Side::constant(cut(m, test.size, false).cast_signed()));
    } else if let (None, None, Some(c), false) = (&mask, &bit, constant(&right), test.signed)
        && let Some((side, c)) = bits::compared(namer, test.left, &left, relation, cut(c, test.size, false))
    {
        left = side;
        right = Side::constant(c.cast_signed());
    }
    if let Some(m) = mask.as_ref().and_then(constant) {
        let whole = test.left.sym.and_then(|sym| match namer.code.flow.expr(sym) {
            Expr::Cut { base, .. } => namer.value(base).map(|held| held.value),
            // of what was read a part is all there is
            Expr::Load { .. } => None,
            _ => namer.value(sym).map(|held| held.value),
        });
        as_flags(&mut left, m, whole);
    }
    let of_memory = bit.is_some() && matches!(test.left.operand, Operand::Mem(_));
    if let Some(number) = bit.as_ref().filter(|_| of_memory) {
        left = atomic::bit(namer, way, &left, number, test.size);
    }
    let sure = [Some(&left), Some(&right), mask.as_ref(), bit.as_ref()].into_iter().flatten().all(|s| s.sure);
    // what was read from memory on the right, addresses and constants always: as people write it
    let rank = |s: &Side, part: &Part| match part.operand {
        _ if s.expr.addressed().is_some() => 3,
        Operand::Mem(_) => 2,
        _ if s.memory => 1,
        _ => 0,
    };
    if left.constant || (!right.constant && rank(&left, &test.left) > rank(&right, &test.right)) {
        std::mem::swap(&mut left, &mut right);
        relation = relation.swapped();
    }
    let idiom = constant(&right)
        .filter(|_| !left.constant && mask.is_none() && bit.is_none())
        .and_then(|c| idiom::of(namer, way, &Test { relation, ..test }, &left, cut(c, test.size, false)));
    let idiom = idiom.map(|(expr, side)| {
        left = side;
        expr
    });
    let is_clear = |set: CExpr| if relation == Relation::Eq { set.not() } else { set };
    let expr = match (idiom, &bit) {
        (Some(idiom), _) => idiom,
        (None, Some(_)) if of_memory => is_clear(left.expr.clone()),
        (None, Some(bit)) => {
            let one = CExpr::binary(BinOp::Shl, CExpr::unsigned(1), bit.expr.clone());
            is_clear(CExpr::binary(BinOp::BitAnd, left.expr.clone(), one))
        }
        (None, None) => spell(types, &left, mask.as_ref(), &right, relation, &test),
    };
    // an operand is gone, but the outcome was kept (`ret = WARN_ON(…)`)
    let (truth, sure) = match truth {
        None => match outcome(namer, way, &test) {
            Some(kept) => (Some(kept), true),
            None => (None, sure),
        },
        known => (known, sure),
    };
    // the once of WARN_ON_ONCE is set before the trap
    let once = [&left, &right]
        .iter()
        .any(|s| variable(&s.expr).is_some_and(|name| ONCE.iter().any(|w| name.starts_with(w))));
    let (expr, truth) = if once { (None, None) } else { (Some(expr), truth) };
    let equal = (relation == Relation::Eq && mask.is_none() && bit.is_none() && right.constant)
        .then(|| right.value.map(|v| shown(types, left.ty, v, test.size)))
        .flatten();
    // the bit that was there before it was changed
    let equal = match relation {
        Relation::Eq | Relation::Ne if of_memory && left.value.is_none() => {
            Some(u8::from(relation == Relation::Ne).to_string())
        }
        _ => equal,
    };
    let mut objects = Vec::new();
    let mut rows = Vec::new();
    for x in [Some(left), mask, bit, Some(right)].into_iter().flatten() {
        objects.extend(x.object);
        rows.extend(x.row);
    }
    let how = rows.iter().map(|r| r.how).max().unwrap_or(How::Decoded).max(How::Dwarf);
    Some(Told { expr, truth, sure, how, rows, objects, code: lines(namer, way, trap), once, equal })
}

/// A word of which bits are asked for: no cast to the part that has them, and its value as people write flags.
fn as_flags(side: &mut Side, mask: u64, whole: Option<u64>) {
    let bits = |part: &str| match part {
        "u8" => Some(u64::from(u8::MAX)),
        "u16" => Some(u64::from(u16::MAX)),
        "u32" => Some(u64::from(u32::MAX)),
        _ => None,
    };
    if let ExprKind::Cast(to, inner) = &side.expr.kind
        && let TypeSpec::Named(_, part) = &to.spec
        && bits(part).is_some_and(|bits| to.derivs.is_empty() && mask & !bits == 0)
    {
        let word = CExpr::clone(inner);
        if let (Some(row), Some(value)) = (&mut side.row, whole) {
            row.call_it(&word);
            row.number = Some(value);
            row.value = Some(if value > 9 { format!("{value:#x}") } else { value.to_string() });
        }
        side.expr = word;
    }
    if let Some(row) = &mut side.row
        && let Some(v) =
            row.value.as_ref().and_then(|v| v.parse::<i64>().ok()).filter(|v| !(0..=9).contains(v))
    {
        let v =
            if v < 0 && v >= i64::from(i32::MIN) { u64::from(v as i32 as u32) } else { v.cast_unsigned() };
        row.value = Some(format!("{v:#x}"));
    }
}

/// The outcome of a comparison that a register still has.
fn outcome(namer: &Namer<'_>, way: &Branch, test: &Test) -> Option<bool> {
    let (code, flow) = (&namer.code, &namer.code.flow);
    namer.regs.iter().find_map(|(number, _, value)| {
        let Expr::Flag { at, .. } = flow.expr(flow.register(namer.at, number)?) else { return None };
        let (compare, kept) = code.function.kept_at(at, flow)?;
        if compare != way.compare || kept.signed != test.signed {
            return None;
        }
        let set = value & 0xff == 1;
        if kept.relation == test.relation {
            Some(set)
        } else if kept.relation.negated() == test.relation {
            Some(!set)
        } else {
            None
        }
    })
}

/// `+78 cmp %r12d,0x60(%rbp)` and the jump.
fn lines(namer: &Namer<'_>, way: &Branch, trap: u64) -> Vec<String> {
    let code = &namer.code;
    let line = |ip: u64| format!("{} {}", code.offset(ip), code.function.text(ip).unwrap_or_default());
    let mut out = vec![line(way.compare)];
    out.extend(way.kept_by.map(line));
    let target = code.function.target(way.jump);
    let end = if namer.level > 0 { "call" } else { "trap" };
    out.push(match (way.taken, target) {
        (true, Some(to)) => format!("{} {} -> {end}", line(way.jump), code.offset(to)),
        (true, None) => format!("{} -> {end}", line(way.jump)),
        (false, _) => format!("{} not taken, {} -> {end}", line(way.jump), code.offset(trap)),
    });
    out
}

/// Whether the comparison holds for these values.
fn evaluate(test: &Test, left: &Side, right: &Side, mask: Option<&Side>, bit: Option<&Side>) -> Option<bool> {
    let value = |s: Option<&Side>| s.map(|s| s.value);
    compare(test, left.value, right.value, value(mask), value(bit))
}

fn compare(
    test: &Test,
    left: Option<u64>,
    right: Option<u64>,
    mask: Option<Option<u64>>,
    bit: Option<Option<u64>>,
) -> Option<bool> {
    let size = test.size.clamp(1, 8);
    let mut left = cut(left?, size, false);
    if let Some(mask) = mask {
        left &= mask?;
    }
    if let Some(bit) = bit {
        left = left >> (bit? % (size * 8)) & 1;
    }
    let (left, right) = (cut(left, size, false), cut(right?, size, false));
    let extend = |v: u64| cut(v, size, true).cast_signed();
    let order = if test.signed { extend(left).cmp(&extend(right)) } else { left.cmp(&right) };
    Some(test.relation.holds(order))
}

fn spell(
    types: &Types,
    left: &Side,
    mask: Option<&Side>,
    right: &Side,
    relation: Relation,
    test: &Test,
) -> CExpr {
    let zero = right.constant && right.value == Some(0);
    let op = operator(relation);
    if let Some(mask) = mask {
        let mask = match mask.value {
            Some(v) if mask.constant && test.mask.is_some() => CExpr::hex(v),
            _ => mask.expr.clone(),
        };
        let masked = CExpr::binary(BinOp::BitAnd, left.expr.clone(), mask);
        return match (zero, relation) {
            (true, Relation::Ne) => masked,
            (true, Relation::Eq) => masked.not(),
            _ => CExpr::binary(op, masked, right.expr.clone()),
        };
    }
    let kind = left.ty.and_then(|ty| types.resolve(ty).ok()).map(|(_, ty)| ty);
    let pointer = matches!(kind.as_deref(), Some(Type::Pointer { .. }));
    let boolean = matches!(kind.as_deref(), Some(Type::Int { encoding: Encoding::Bool, .. }));
    match relation {
        Relation::Eq if zero && boolean => return left.expr.clone().not(),
        Relation::Ne if zero && boolean => return left.expr.clone(),
        _ => {}
    }
    let right = match right.value {
        _ if zero && pointer && matches!(relation, Relation::Eq | Relation::Ne) => CExpr::ident("NULL"),
        Some(v) if right.constant => constant(types, left.ty, v, test),
        _ => right.expr.clone(),
    };
    CExpr::binary(op, left.expr.clone(), right)
}

/// A relation as C's operator.
const fn operator(relation: Relation) -> BinOp {
    match relation {
        Relation::Eq => BinOp::Eq,
        Relation::Ne => BinOp::Ne,
        Relation::Lt => BinOp::Lt,
        Relation::Le => BinOp::Le,
        Relation::Gt => BinOp::Gt,
        Relation::Ge => BinOp::Ge,
    }
}

/// The names that the variables begin with which keep that a warning was given.
const ONCE: &[&str] = &["__already_done", "__warned"];

/// The variable that an expression is of, or of a part of.
fn variable(expr: &CExpr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Ident(name) => Some(name),
        ExprKind::Member(inner, ..) | ExprKind::Index(inner, _) => variable(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_know_width_and_sign() {
        let zero = Part { operand: Operand::Imm(0), sym: None, after: false };
        let t = |relation, signed, size| Test {
            left: zero,
            mask: None,
            bit: None,
            right: zero,
            relation,
            signed,
            size,
        };
        assert_eq!(compare(&t(Relation::Lt, false, 4), Some(64), Some(128), None, None), Some(true));
        assert_eq!(compare(&t(Relation::Lt, true, 4), Some(0xffff_ffff), Some(0), None, None), Some(true));
        assert_eq!(compare(&t(Relation::Lt, false, 4), Some(0xffff_ffff), Some(0), None, None), Some(false));
        assert_eq!(compare(&t(Relation::Eq, false, 1), Some(0x1_00), Some(0), None, None), Some(true));
        assert_eq!(compare(&t(Relation::Ne, false, 4), Some(6), Some(0), Some(Some(1)), None), Some(false));
        assert_eq!(compare(&t(Relation::Ne, false, 8), Some(8), Some(0), None, Some(Some(3))), Some(true));
        assert_eq!(compare(&t(Relation::Eq, false, 4), None, Some(0), None, None), None);
    }
}
