//! The condition under which a trap was reached, rebuilt from the code, with the values that its
//! operands had.

use crate::model::{Condition, How, Object, OperandRow};
use crate::names::{Named, Namer, shown};
use arch::Regs;
use arch::x86_64::regs as x86;
use arch::x86_64::slice::{Branch, Expr, Mem, Operand, Relation, Test};
use base::{VirtAddr, VirtRead};
use debuginfo::types::{Encoding, Type, TypeRef, Types};

/// An operand: its name, its value and the row that tells of it.
struct Side {
    text: String,
    ty: Option<TypeRef>,
    value: Option<u64>,
    constant: bool,
    memory: bool,
    row: Option<OperandRow>,
    object: Option<Object>,
}

/// The condition that led to the trap at `trap`. `word` is what the source most likely calls it:
/// `BUG_ON`, `WARN_ON`.
pub(crate) fn of_trap(namer: &Namer<'_>, trap: u64, word: &str) -> Result<Condition, String> {
    let ways = namer.code.function.ways_to(trap);
    if ways.is_empty() {
        return Err("no conditional jump leads to the trap directly: the condition is in the code before a call, or there is none".into());
    }
    let told: Vec<(bool, Condition)> = ways
        .iter()
        .filter_map(|way| tell(namer, way, trap, word))
        .filter(|(truth, _)| *truth != Some(false))
        .map(|(truth, c)| (truth == Some(true), c))
        .collect();
    let confirmed: Vec<&Condition> = told.iter().filter(|(sure, _)| *sure).map(|(_, c)| c).collect();
    match (confirmed.as_slice(), told.as_slice()) {
        ([only], _) => Ok((*only).clone()),
        ([], [(_, only)]) if ways.len() == 1 => Ok(only.clone()),
        ([], []) => Err(format!(
            "{} conditional jumps lead to the trap; of none can the operands be told",
            ways.len()
        )),
        (several, _) if several.len() > 1 => Err(format!(
            "{} conditions lead to the trap and hold: which came first is not known",
            several.len()
        )),
        _ => Err(format!("{} conditional jumps lead to the trap; which was taken is not known", ways.len())),
    }
}

fn tell(namer: &Namer<'_>, way: &Branch, trap: u64, word: &str) -> Option<(Option<bool>, Condition)> {
    let test = way.test?;
    let types = namer.types();
    let mut left = side(namer, way, test.left, test.size);
    let mut right = side(namer, way, test.right, test.size);
    let mut relation = test.relation;
    let mask = test.mask.map(|m| side(namer, way, m, test.size));
    let truth = evaluate(&test, left.value, right.value, mask.as_ref().map(|m| m.value));
    // memory on the right, constants always: as people write it
    if left.constant || (left.memory && !right.memory && !right.constant) {
        std::mem::swap(&mut left, &mut right);
        relation = relation.swapped();
    }
    let text = spell(types, &left, mask.as_ref(), &right, relation);
    let names: Vec<How> = [Some(&left), mask.as_ref(), Some(&right)]
        .into_iter()
        .flatten()
        .filter_map(|x| x.row.as_ref())
        .map(|r| r.how)
        .collect();
    let how = names.into_iter().max().unwrap_or(How::Decoded).max(How::Dwarf);
    let mut objects = Vec::new();
    let mut operands = Vec::new();
    for x in [Some(left), mask, Some(right)].into_iter().flatten() {
        objects.extend(x.object);
        operands.extend(x.row);
    }
    let code = &namer.code;
    let jump = code.function.text(way.jump).unwrap_or_default();
    let leads = match way.taken {
        true => format!(
            "{} {jump} {} -> trap",
            code.offset(way.jump),
            code.offset(code.function.target(way.jump).unwrap_or(trap))
        ),
        false => format!("{} {jump} not taken, {} -> trap", code.offset(way.jump), code.offset(trap)),
    };
    let lines = vec![
        format!("{} {}", code.offset(way.compare), code.function.text(way.compare).unwrap_or_default()),
        leads,
    ];
    let condition = Condition {
        text: format!("{word}({text})"),
        how,
        operands,
        code: lines,
        confirmed: truth == Some(true),
        objects,
    };
    Some((truth, condition))
}

fn side(namer: &Namer<'_>, way: &Branch, operand: Operand, size: u64) -> Side {
    let types = namer.types();
    let gone = |n: usize| way.changed.contains(&n);
    match operand {
        Operand::Imm(v) => Side {
            text: v.to_string(),
            ty: None,
            value: Some(v.cast_unsigned()),
            constant: true,
            memory: false,
            row: None,
            object: None,
        },
        Operand::Reg { number, .. } if constant_of(namer, way, number).is_some() => {
            let v = constant_of(namer, way, number).unwrap_or_default();
            Side {
                text: v.to_string(),
                ty: None,
                value: Some(v.cast_unsigned()),
                constant: true,
                memory: false,
                row: None,
                object: None,
            }
        }
        Operand::Reg { number, size: own } => {
            let register = register_name(number, own);
            let named = namer.register(way.compare, number);
            let value = namer.regs.get(number).filter(|_| !gone(number));
            // the value may live on in another register, or be a constant
            let (value, where_) = match (value, namer.code.flow.register(way.compare, number)) {
                (Some(v), _) => (Some(v), format!("%{register}")),
                (None, Some(sym)) => match namer.code.flow.expr(sym) {
                    Expr::Const(c) => (Some(c.cast_unsigned()), format!("%{register}, a constant")),
                    Expr::Many => (None, format!("%{register}, overwritten since")),
                    _ => {
                        let other = namer
                            .code
                            .flow
                            .holders(way.compare, sym)
                            .find(|n| !gone(*n) && *n != number && namer.regs.get(*n).is_some());
                        match other {
                            Some(n) => (
                                namer.regs.get(n),
                                format!("%{register}, still in %{}", register_name(n, own)),
                            ),
                            None => (None, format!("%{register}, overwritten since")),
                        }
                    }
                },
                (None, None) => (None, format!("%{register}, overwritten since")),
            };
            let (named, ty) = typed(types, named, own, size);
            let text = named.as_ref().map_or_else(|| format!("%{register}"), |n| n.text.clone());
            let origin = named.as_ref().map(|n| n.origin.clone()).unwrap_or_default();
            let row = OperandRow {
                name: text.clone(),
                value: value.map(|v| shown(types, ty, v, size)),
                detail: if origin.is_empty() { where_ } else { format!("{where_}, {origin}") },
                how: named.as_ref().map_or(How::Decoded, |n| n.how),
                commands: vec!["bt".into(), format!("dis -x {}", namer.code.symbol)],
            };
            Side { text, ty, value, constant: false, memory: false, row: Some(row), object: None }
        }
        Operand::Mem(m) => memory_side(namer, way, &m, size),
    }
}

/// The constant that a register holds at the comparison.
fn constant_of(namer: &Namer<'_>, way: &Branch, number: usize) -> Option<i64> {
    match namer.code.flow.expr(namer.code.flow.register(way.compare, number)?) {
        Expr::Const(v) => Some(v),
        _ => None,
    }
}

/// A type that fits a value's width; where it does not, the name gets a cast.
fn typed(types: &Types, named: Option<Named>, own: u64, size: u64) -> (Option<Named>, Option<TypeRef>) {
    let Some(mut named) = named else { return (None, None) };
    let Some(ty) = named.ty else { return (Some(named), None) };
    match types.size_of(ty) {
        Ok(n) if n == size => (Some(named), Some(ty)),
        Ok(n) if n > own => {
            named.text = format!("(u{})({})", own * 8, named.text);
            (Some(named), None)
        }
        Ok(n) if n < own => {
            // promoted: the value's sign is the compiler's business
            (Some(named), Some(ty))
        }
        _ => (Some(named), None),
    }
}

fn memory_side(namer: &Namer<'_>, way: &Branch, m: &Mem, size: u64) -> Side {
    let types = namer.types();
    let base_kept = m.base.is_none_or(|b| !way.changed.contains(&b))
        && m.index.is_none_or(|(i, _)| !way.changed.contains(&i));
    let address = if base_kept { address(namer, m) } else { None };
    let value = address.filter(|_| !way.stores).and_then(|at| read(namer.s.mem(), at, size));
    let member = namer.memory(way.compare, m);
    let operand_text = memory_text(m);
    let text = member.as_ref().map_or_else(|| operand_text.clone(), |x| x.named.text.clone());
    let ty = member.as_ref().and_then(|x| x.named.ty);
    let value = match (member.as_ref().and_then(|x| x.bits), value) {
        (Some((first, width)), Some(v)) if first < 64 => {
            Some((v >> first) & (u64::MAX >> (64 - width.clamp(1, 64))))
        }
        (_, v) => v,
    };
    let mut detail = match address {
        Some(at) => format!("u{} at {at:016x}", size * 8),
        None => operand_text.clone(),
    };
    let mut commands = Vec::new();
    let mut object = None;
    if let (Some(x), Some(base)) = (&member, m.base) {
        let base_value = namer.regs.get(base).filter(|_| base_kept);
        if let (Some((name, of)), Some(base_value)) = (&x.object, base_value) {
            let at = base_value.wrapping_sub(x.shift);
            let tag = types.name(*of);
            detail = format!("{detail}; {name} = ({tag} *) {at:016x} in %{}", register_name(base, 8));
            commands.push(format!("{tag}.{} {at:x}", x.path));
            object = Some(Object { name: name.clone(), ty: *of, at, member: x.path.clone() });
        }
        if !x.named.origin.is_empty() {
            detail = format!("{detail}; {}", x.named.origin);
        }
    }
    if let (Some(at), true) = (address, commands.is_empty()) {
        commands.push(format!("rd -{} {at:x}", size * 8));
    }
    if way.stores && address.is_some() {
        detail.push_str("; memory may have changed before the trap");
    }
    let row = OperandRow {
        name: text.clone(),
        value: value.map(|v| shown(types, ty, v, size)),
        detail,
        how: member.as_ref().map_or(How::Decoded, |x| x.named.how),
        commands,
    };
    Side { text, ty, value, constant: false, memory: true, row: Some(row), object }
}

/// The address of a memory operand, from the registers at the trap.
pub(crate) fn address(namer: &Namer<'_>, m: &Mem) -> Option<u64> {
    operand_address(m, namer.regs)
}

/// The address of a memory operand with these registers.
pub(crate) fn operand_address(m: &Mem, regs: &Regs) -> Option<u64> {
    let mut at = m.disp.cast_unsigned();
    if let Some(b) = m.base {
        at = at.wrapping_add(regs.get(b)?);
    }
    if let Some((i, scale)) = m.index {
        at = at.wrapping_add(regs.get(i)?.wrapping_mul(u64::from(scale)));
    }
    if m.per_cpu {
        at = at.wrapping_add(regs.get(x86::GS_BASE)?);
    }
    Some(at)
}

pub(crate) fn read(mem: &dyn VirtRead, at: u64, size: u64) -> Option<u64> {
    let at = VirtAddr(at);
    match size {
        1 => mem.u8(at).ok().map(u64::from),
        2 => mem.u16(at).ok().map(u64::from),
        4 => mem.u32(at).ok().map(u64::from),
        8 => mem.u64(at).ok(),
        _ => None,
    }
}

/// Whether the comparison holds for these values.
fn evaluate(test: &Test, left: Option<u64>, right: Option<u64>, mask: Option<Option<u64>>) -> Option<bool> {
    let bits = test.size.clamp(1, 8) * 8;
    let keep = u64::MAX >> (64 - bits);
    let left = left?;
    let left = match mask {
        Some(mask) => left & mask?,
        None => left,
    } & keep;
    let right = right? & keep;
    let extend = |v: u64| (v << (64 - bits)).cast_signed();
    let order = if test.signed { extend(left).cmp(&extend(right)) } else { left.cmp(&right) };
    Some(test.relation.holds(order))
}

fn spell(types: &Types, left: &Side, mask: Option<&Side>, right: &Side, relation: Relation) -> String {
    let zero = right.constant && right.value == Some(0);
    if let Some(mask) = mask {
        let mask = match mask.value {
            Some(v) if mask.constant => format!("{:#x}", v & 0xffff_ffff),
            _ => mask.text.clone(),
        };
        return match (zero, relation) {
            (true, Relation::Ne) => format!("{} & {mask}", left.text),
            (true, Relation::Eq) => format!("!({} & {mask})", left.text),
            _ => format!("({} & {mask}) {} {}", left.text, relation.symbol(), right.text),
        };
    }
    let kind = left.ty.and_then(|ty| types.resolve(ty).ok()).map(|(_, ty)| ty);
    let pointer = matches!(kind.as_deref(), Some(Type::Pointer { .. }));
    let boolean = matches!(kind.as_deref(), Some(Type::Int { encoding: Encoding::Bool, .. }));
    match relation {
        Relation::Eq if zero && boolean => return format!("!{}", left.text),
        Relation::Ne if zero && boolean => return left.text.clone(),
        Relation::Eq | Relation::Ne if zero && pointer => {
            return format!("{} {} NULL", left.text, relation.symbol());
        }
        _ => {}
    }
    let constant = match right.value {
        Some(v) if right.constant => constant_text(types, left.ty, v.cast_signed()),
        _ => right.text.clone(),
    };
    format!("{} {} {constant}", left.text, relation.symbol())
}

fn constant_text(types: &Types, ty: Option<TypeRef>, v: i64) -> String {
    if let Some((_, full)) = ty.and_then(|ty| types.resolve(ty).ok())
        && let Type::Enum { values, .. } = &*full
        && let Some((name, _)) = values.iter().find(|(_, value)| *value == i128::from(v))
    {
        return name.to_string();
    }
    if let Some(words) = crate::access::poison(v.cast_unsigned()) {
        return format!("{v:#x} ({})", words.split(':').next().unwrap_or(words));
    }
    if v.unsigned_abs() > 0xffff { format!("{v:#x}") } else { v.to_string() }
}

/// `0x60(%rbp)`
fn memory_text(m: &Mem) -> String {
    let prefix = if m.per_cpu { "%gs:" } else { "" };
    let disp = match m.disp {
        0 if m.base.is_some() => String::new(),
        d if d < 0 && m.base.is_some() => format!("-{:#x}", d.unsigned_abs()),
        d => format!("{:#x}", d),
    };
    match (m.base, m.index) {
        (None, None) => format!("{prefix}{disp}"),
        (base, index) => {
            let base = base.map(|b| format!("%{}", register_name(b, 8))).unwrap_or_default();
            let index = index.map(|(i, s)| format!(",%{},{s}", register_name(i, 8))).unwrap_or_default();
            format!("{prefix}{disp}({base}{index})")
        }
    }
}

/// `r12d` of register 12 and 4 bytes.
pub(crate) fn register_name(number: usize, size: u64) -> String {
    let name = x86::SET.name(number).unwrap_or("?");
    if number >= x86::R8 {
        let suffix = match size {
            4 => "d",
            2 => "w",
            1 => "b",
            _ => "",
        };
        return format!("{name}{suffix}");
    }
    let short = name.strip_prefix('r').unwrap_or(name);
    match (size, short) {
        (4, short) => format!("e{short}"),
        (2, short) => short.to_owned(),
        (1, "ax" | "bx" | "cx" | "dx") => format!("{}l", short.trim_end_matches('x')),
        (1, short) => format!("{short}l"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_by_width() {
        for (n, size, want) in [
            (x86::R12, 4, "r12d"),
            (x86::RAX, 1, "al"),
            (x86::RSI, 1, "sil"),
            (x86::RDX, 4, "edx"),
            (x86::RBP, 8, "rbp"),
        ] {
            assert_eq!(register_name(n, size), want);
        }
    }

    #[test]
    fn comparisons_know_width_and_sign() {
        let zero = Operand::Imm(0);
        let t = |relation, signed, size| Test { left: zero, mask: None, right: zero, relation, signed, size };
        assert_eq!(evaluate(&t(Relation::Lt, false, 4), Some(64), Some(128), None), Some(true));
        assert_eq!(evaluate(&t(Relation::Lt, true, 4), Some(0xffff_ffff), Some(0), None), Some(true));
        assert_eq!(evaluate(&t(Relation::Lt, false, 4), Some(0xffff_ffff), Some(0), None), Some(false));
        assert_eq!(evaluate(&t(Relation::Eq, false, 1), Some(0x1_00), Some(0), None), Some(true));
        assert_eq!(evaluate(&t(Relation::Ne, false, 4), Some(6), Some(0), Some(Some(1))), Some(false));
        assert_eq!(evaluate(&t(Relation::Eq, false, 4), None, Some(0), None), None);
    }
}
