//! The condition under which a trap was reached, rebuilt from the code, with the values that its
//! operands had.

use crate::code::operand::register_name;
use crate::explain::element;
use crate::explain::idiom;
use crate::explain::operand::{constant, side, unlike};
use crate::explain::pointer::as_text;
use crate::model::{CodeLine, Condition, Detail, End, How, Jump, NoCondition, Object, Operand as Row, Value};
use crate::naming::atomic;
use crate::naming::bits;
use crate::naming::names::{Namer, shown};
use crate::naming::side::Side;
use arch::dataflow::{Branch, Expr, Operand, Part, Relation, Test, Way, cut};
use cexpr::{BinOp, Expr as CExpr, ExprKind, TypeSpec};
use debuginfo::types::{Encoding, Type, Types};
use rustc_hash::FxHashMap;

/// A part of a condition: `total_sg > vq->vring.num`.
#[derive(Clone)]
struct Clause {
    /// `None` where it cannot be told, or says nothing.
    expr: Option<CExpr>,
    /// Whether it holds with the values at hand.
    truth: Option<bool>,
    /// False where a value was read from memory that may have changed since.
    sure: bool,
    how: How,
    rows: Vec<Row>,
    objects: Vec<Object>,
    code: Vec<CodeLine>,
    /// The check that a warning is given once.
    once: bool,
    /// The constant that its operand was equal to, if the trap was reached this way.
    equal: Option<Value>,
}

impl Clause {
    /// True where a register stands in it, which is no C.
    fn is_unnamed(&self) -> bool {
        self.expr.as_ref().is_some_and(CExpr::names_register)
    }
}

/// The condition that led to the trap at `trap`, a warning or a BUG.
pub(crate) fn of_trap(namer: &Namer<'_>, trap: u64, warning: bool) -> Result<Condition, NoCondition> {
    let code = &namer.code;
    let ways = code.function.ways_to(trap, &code.flow);
    if !ways.is_empty() {
        return choose(namer, &ways, trap, warning);
    }
    if code.function.always_reaches(trap) {
        let function = code.name.clone();
        return match namer.outer() {
            Some(outer) => of_trap(outer, outer.at, warning).map_err(|why| NoCondition::AlwaysIn {
                function,
                caller: outer.code.name.clone(),
                why: Box::new(why),
            }),
            None => Err(NoCondition::Always(function)),
        };
    }
    Err(NoCondition::NoJump)
}

/// A way to the trap, told: its parts, those that could not be told left out.
struct Reading {
    parts: Vec<Clause>,
    /// True where every part that the way needs was told.
    whole: bool,
}

impl Reading {
    /// True where the values show that the trap was not reached this way.
    fn refuted(&self) -> bool {
        self.parts.iter().any(|p| p.sure && p.truth == Some(false))
    }
    fn holds(&self, shown: &[&Clause]) -> bool {
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

fn choose(namer: &Namer<'_>, ways: &[Way], trap: u64, warning: bool) -> Result<Condition, NoCondition> {
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
    let open: Vec<(&Reading, Vec<&Clause>)> =
        all.iter().filter(|(r, _)| !r.refuted()).map(|(r, spare)| (r, needed(r, spare))).collect();
    if open.is_empty() {
        return Err(NoCondition::Refuted(ways.len()));
    }
    let holding: Vec<&Vec<&Clause>> =
        open.iter().filter(|(r, shown)| r.holds(shown)).map(|(_, s)| s).collect();
    let (chosen, confirmed): (Vec<&Vec<&Clause>>, bool) = match holding.as_slice() {
        [] => (open.iter().map(|(_, s)| s).collect(), false),
        some => (some.to_vec(), true),
    };
    if !confirmed
        && (chosen.iter().any(|s| s.is_empty()) || (chosen.len() > 1 && open.iter().any(|(r, _)| !r.whole)))
    {
        return Err(match ways {
            [_] => NoCondition::Untold,
            _ => NoCondition::Several(open.len()),
        });
    }
    // of several ways one that ends in a register without a name is no C, and may be another's in other words
    if !confirmed && chosen.len() > 1 && chosen.iter().any(|parts| parts.iter().any(|p| p.is_unnamed())) {
        return Err(NoCondition::Several(open.len()));
    }
    let mut found = join(namer, &chosen, confirmed, warning);
    if let ([_], [only]) = (ways, chosen.as_slice()) {
        found.operands = found.operands.into_iter().map(|row| implied(row, only)).collect();
    }
    // registers without a name and without a value say nothing
    let nothing = |row: &Row| row.value.is_none() && row.expr().is_some_and(begins_with_register);
    if !found.operands.is_empty() && found.operands.iter().all(nothing) {
        return Err(NoCondition::Overwritten);
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
fn implied(row: Row, parts: &[&Clause]) -> Row {
    let says = |part: &&&Clause| part.equal.is_some() && part.rows.contains(&row);
    match parts.iter().find(says).filter(|_| row.value.is_none()) {
        Some(part) => Row {
            value: part.equal.clone(),
            detail: row.detail.iter().cloned().chain([Detail::Implied]).collect(),
            ..row
        },
        None => row,
    }
}

/// The parts without which the trap would not have been reached this way.
fn needed<'r>(reading: &'r Reading, spare: &[bool]) -> Vec<&'r Clause> {
    let shown = reading.parts.iter().zip(spare.iter().chain(std::iter::repeat(&false)));
    shown.filter(|(part, spare)| !**spare && part.expr.is_some()).map(|(part, _)| part).collect()
}

/// `a && b || c`, with every operand once.
fn join(namer: &Namer<'_>, ways: &[&Vec<&Clause>], confirmed: bool, warning: bool) -> Condition {
    let mut alternatives: Vec<CExpr> = Vec::new();
    let (mut rows, mut objects, mut code): (Vec<Row>, Vec<Object>, Vec<CodeLine>) = Default::default();
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
        code.insert(0, CodeLine::In(namer.code.name.clone()));
    }
    let expr = alternatives.into_iter().reduce(|a, b| CExpr::binary(BinOp::LogOr, a, b));
    let caller = (namer.level > 0).then(|| namer.code.name.clone());
    Condition {
        expr,
        printed: None,
        reported: None,
        warning,
        caller,
        within: None,
        how,
        operands: rows,
        code,
        confirmed,
        objects,
    }
}

fn read_way(namer: &Namer<'_>, way: &Way, trap: u64) -> Reading {
    let told: Vec<Option<Clause>> = way.steps.iter().map(|step| clause(namer, step, trap)).collect();
    let whole = told.iter().all(Option::is_some);
    // what could not be told keeps its place, without a text
    let nothing = || Clause {
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

/// The sides of a comparison, with the mask or the bit that is asked of the left one.
struct Sides {
    left: Side,
    right: Side,
    mask: Option<Side>,
    bit: Option<Side>,
    relation: Relation,
}

impl Sides {
    /// As the instruction has them.
    fn of(namer: &Namer<'_>, way: &Branch, test: &Test) -> Self {
        let left = side(namer, way, test.left, test.size);
        let right = side(namer, way, test.right, test.size);
        let (left, right) = unlike(namer, way, test, left, right);
        let other = |part: Option<Part>| part.map(|part| side(namer, way, part, test.size));
        Self { left, right, mask: other(test.mask), bit: other(test.bit), relation: test.relation }
    }

    fn all(&self) -> impl Iterator<Item = &Side> {
        [Some(&self.left), Some(&self.right), self.mask.as_ref(), self.bit.as_ref()].into_iter().flatten()
    }

    /// The bits of a byte as the member that they belong to.
    fn with_fields(mut self, namer: &Namer<'_>, test: &Test) -> Self {
        let mask = self.mask.as_ref().and_then(known_constant).map(|m| cut(m, test.size, false));
        if let Some(mask) = mask {
            self.mask = Some(Side::constant(mask.cast_signed()));
            if let Some((side, rest)) = bits::masked(namer, test.left, &self.left, mask) {
                self.left = side;
                self.mask = rest.map(|m| Side::constant(m.cast_signed()));
            }
        } else if let (None, None, Some(c), false) =
            (&self.mask, &self.bit, known_constant(&self.right), test.signed)
            && let Some((side, c)) =
                bits::compared(namer, test.left, &self.left, self.relation, cut(c, test.size, false))
        {
            self.left = side;
            self.right = Side::constant(c.cast_signed());
        }
        self
    }

    /// The left side as a word of flags, or as a call that asks for a bit.
    fn with_flags(mut self, namer: &Namer<'_>, way: &Branch, test: &Test) -> Self {
        if let Some(m) = self.mask.as_ref().and_then(known_constant) {
            let whole = test.left.sym.and_then(|sym| match namer.code.flow.expr(sym) {
                Expr::Cut { base, .. } => namer.value(base).map(|held| held.value),
                // of what was read a part is all there is
                Expr::Load { .. } => None,
                _ => namer.value(sym).map(|held| held.value),
            });
            self.left = as_flags(self.left, m, whole);
        }
        if let Some(number) = self.bit.as_ref().filter(|_| asks_memory(test)) {
            self.left = atomic::bit(namer, way, &self.left, number, test.size);
        }
        self
    }

    /// The operands that have a name, as the instruction has them and in C.
    fn named(&self, namer: &Namer<'_>, test: &Test) -> Vec<(String, CExpr)> {
        let of = |part: &Part, side: &Side| {
            let text = match part.operand {
                Operand::Reg { number, size } => {
                    format!("%{}", register_name(namer.s, number, size))
                }
                Operand::Mem(m) => namer.s.arch().regs.memory_text(&m),
                Operand::Imm(_) => return None,
            };
            (!side.constant && !side.expr.names_register()).then(|| (text, side.expr.clone()))
        };
        let mut out: Vec<(String, CExpr)> = Vec::new();
        for one in [of(&test.left, &self.left), of(&test.right, &self.right)].into_iter().flatten() {
            if !out.contains(&one) {
                out.push(one);
            }
        }
        out
    }

    /// What was read from memory on the right, addresses and constants always: as people write it.
    fn in_order(mut self, test: &Test) -> Self {
        let rank = |s: &Side, part: &Part| match part.operand {
            _ if s.expr.addressed().is_some() => 3,
            Operand::Mem(_) => 2,
            _ if s.memory => 1,
            _ => 0,
        };
        let (left, right) = (rank(&self.left, &test.left), rank(&self.right, &test.right));
        if self.left.constant || (!self.right.constant && left > right) {
            std::mem::swap(&mut self.left, &mut self.right);
            self.relation = self.relation.swapped();
        }
        self
    }

    /// The expression, and the left side as that has it.
    fn spelt(self, namer: &Namer<'_>, way: &Branch, test: &Test) -> (CExpr, Self) {
        let relation = self.relation;
        let idiom = known_constant(&self.right)
            .filter(|_| !self.left.constant && self.mask.is_none() && self.bit.is_none())
            .and_then(|c| {
                idiom::of(namer, way, &Test { relation, ..*test }, &self.left, cut(c, test.size, false))
            });
        if let Some((expr, left)) = idiom {
            return (expr, Self { left, ..self });
        }
        let is_clear = |set: CExpr| if relation == Relation::Eq { set.not() } else { set };
        let expr = match &self.bit {
            Some(_) if asks_memory(test) => is_clear(self.left.expr.clone()),
            Some(bit) => {
                let one = CExpr::binary(BinOp::Shl, CExpr::unsigned(1), bit.expr.clone());
                is_clear(CExpr::binary(BinOp::BitAnd, self.left.expr.clone(), one))
            }
            None => spell(namer.types(), &self.left, self.mask.as_ref(), &self.right, relation, test),
        };
        (expr, self)
    }

    /// The check that a warning is given once: its flag is set before the trap.
    fn is_once(&self) -> bool {
        let of_once = |name: &str| ONCE.iter().any(|word| name.starts_with(word));
        [&self.left, &self.right].iter().any(|s| variable(&s.expr).is_some_and(of_once))
    }

    /// What the left side was, if the trap was reached this way.
    fn equal(&self, types: &Types, test: &Test) -> Option<Value> {
        match self.relation {
            // the bit that was there before it was changed
            Relation::Eq | Relation::Ne
                if self.bit.is_some() && asks_memory(test) && self.left.value.is_none() =>
            {
                let was = u64::from(self.relation == Relation::Ne);
                Some(Value::of(was, was.to_string()))
            }
            Relation::Eq if self.mask.is_none() && self.bit.is_none() && self.right.constant => {
                let v = self.right.value?;
                Some(Value::of(cut(v, test.size, false), shown(types, self.left.ty, v, test.size)))
            }
            _ => None,
        }
    }
}

/// The value of a constant.
fn known_constant(s: &Side) -> Option<u64> {
    s.value.filter(|_| s.constant)
}

/// True where a bit of memory is asked for.
const fn asks_memory(test: &Test) -> bool {
    test.bit.is_some() && matches!(test.left.operand, Operand::Mem(_))
}

/// One comparison on the way to the trap.
fn clause(namer: &Namer<'_>, way: &Branch, trap: u64) -> Option<Clause> {
    let test = way.test?;
    let sides = Sides::of(namer, way, &test);
    let truth = evaluate(&test, &sides.left, &sides.right, sides.mask.as_ref(), sides.bit.as_ref());
    let sides = sides.with_fields(namer, &test).with_flags(namer, way, &test);
    let named = sides.named(namer, &test);
    let sure = sides.all().all(|s| s.sure);
    let (expr, sides) = sides.in_order(&test).spelt(namer, way, &test);
    // an operand is gone, but the outcome was kept (`ret = WARN_ON(…)`)
    let (truth, sure) = match truth {
        None => match outcome(namer, way, &test) {
            Some(kept) => (Some(kept), true),
            None => (None, sure),
        },
        known => (known, sure),
    };
    let once = sides.is_once();
    let (expr, truth) = if once { (None, None) } else { (Some(expr), truth) };
    let equal = sides.equal(namer.types(), &test);
    let Sides { left, right, mask, bit, .. } = sides;
    let texts = [&left, &right].map(|side| side.value.filter(|_| test.size == 8).and_then(as_text));
    let (mut objects, mut rows) = (Vec::new(), Vec::new());
    for x in [Some(left), mask, bit, Some(right)].into_iter().flatten() {
        objects.extend(x.object);
        rows.extend(x.row);
    }
    with_text(&mut rows, &texts);
    let indices = indices(namer, &test, &rows);
    let how = rows.iter().map(|r| r.how).max().unwrap_or(How::Decoded).max(How::Dwarf);
    let rows = rows.into_iter().chain(indices).collect();
    Some(Clause { expr, truth, sure, how, rows, objects, code: lines(namer, way, trap, &named), once, equal })
}

/// The first operand with the text that its bytes are, and the one that it was compared with.
fn with_text(rows: &mut [Row], texts: &[Option<String>; 2]) {
    if let ([Some(text), other], Some(row)) = (texts, rows.first_mut()) {
        row.detail.push(Detail::Text(text.clone(), other.clone()));
    }
}

/// The indices of the elements that are compared.
fn indices(namer: &Namer<'_>, test: &Test, told: &[Row]) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    for sym in [test.left.sym, test.right.sym].into_iter().flatten() {
        let Some((element, at)) = namer.element_read(sym) else { continue };
        let Some(parts) = element::parts(namer, &element, at) else { continue };
        let known: Vec<Row> = told.iter().chain(&out).cloned().collect();
        out.extend(element::rows(namer, &element, &parts, &known).0);
    }
    out
}

/// A word of which bits are asked for: no cast to the part that has them, and its value as people write flags.
fn as_flags(mut side: Side, mask: u64, whole: Option<u64>) -> Side {
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
            let spelt = if value > 9 { format!("{value:#x}") } else { value.to_string() };
            row.value = Some(Value::of(value, spelt));
        }
        side.expr = word;
    }
    if let Some(value) = side.row.as_mut().and_then(|row| row.value.as_mut())
        && let Some(v) = value.spelt.parse::<i64>().ok().filter(|v| !(0..=9).contains(v))
    {
        let v =
            if v < 0 && v >= i64::from(i32::MIN) { u64::from(v as i32 as u32) } else { v.cast_unsigned() };
        value.spelt = format!("{v:#x}");
    }
    side
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
fn lines(namer: &Namer<'_>, way: &Branch, trap: u64, named: &[(String, CExpr)]) -> Vec<CodeLine> {
    let code = &namer.code;
    let to = if way.taken { code.function.target(way.jump) } else { Some(trap) };
    let end = if namer.level > 0 { End::Call } else { End::Trap };
    let jump = Jump { taken: way.taken, to: to.map(|to| code.offset(to)), end };
    let leads = match code.line(way.jump) {
        CodeLine::Instruction { at, text, names, .. } => {
            CodeLine::Instruction { at, text, jump: Some(jump), names }
        }
        other => other,
    };
    let own = [Some(way.compare), way.kept_by].into_iter().flatten();
    let line = |ip: u64| match code.line(ip) {
        CodeLine::Instruction { at, text, jump, .. } if ip == way.compare => {
            // only what stands there: of a comparison that was kept it may be another instruction's
            let names =
                named.iter().filter(|(operand, _)| text.contains(operand.as_str())).cloned().collect();
            CodeLine::Instruction { at, text, jump, names }
        }
        other => other,
    };
    way.before.iter().copied().chain(own).map(line).chain([leads]).collect()
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
