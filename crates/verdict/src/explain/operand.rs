//! An operand of a comparison: its name, its value when the instruction to blame ran, and where that is.

use crate::code::operand::{read, register_name};
use crate::model::{Detail, How, Name, Object, Operand as Row, Origin, Spot, Value};
use crate::naming::atomic;
use crate::naming::bits;
use crate::naming::names::{Member, Named, Namer, shown};
use crate::naming::side::Side;
use crate::naming::values::Held;
use arch::dataflow::{Branch, Expr, Mem, Operand, Part, Sym, Test, cut};
use base::VirtAddr;
use cexpr::{Expr as CExpr, ExprKind, TypeName};
use debuginfo::types::{Space, Type, TypeRef, Types};
use kernel::Session;

/// An operand of the comparison before a jump.
pub(crate) fn side(namer: &Namer<'_>, way: &Branch, part: Part, size: u64) -> Side {
    match part.operand {
        Operand::Imm(v) => Side::constant(v),
        Operand::Mem(m) => memory_side(namer, way, part, &m, size),
        Operand::Reg { number, size: own } => register_side(namer, way, part, (number, own), size),
    }
}

/// Two operands by one name: debug information has that of an earlier or later value for one of them, so that one is told
/// by the data flow alone, or by its register.
pub(crate) fn unlike(namer: &Namer<'_>, way: &Branch, test: &Test, left: Side, right: Side) -> (Side, Side) {
    if left.constant || right.constant || left.expr != right.expr || test.left.sym == test.right.sym {
        return (left, right);
    }
    let shared = left.expr.clone();
    let by_flow = |part: &Part| {
        let named = part.sym.and_then(|sym| namer.by_flow(way.compare, sym))?;
        (named.expr != shared).then_some(named.expr)
    };
    let by_register = |part: &Part| match part.operand {
        Operand::Reg { number, size } => Some(CExpr::register(register_name(namer.s, number, size))),
        _ => None,
    };
    let all = [by_flow(&test.left), by_flow(&test.right), by_register(&test.left), by_register(&test.right)];
    let found =
        all.into_iter().zip([true, false, true, false]).find_map(|(expr, of_left)| Some((expr?, of_left)));
    let called = |side: Side, expr: CExpr| {
        let row = side.row.map(|row| Row { name: Name::Expr(expr.clone()), ..row });
        Side { row, expr, ..side }
    };
    match found {
        Some((expr, true)) => (called(left, expr), right),
        Some((expr, false)) => (left, called(right, expr)),
        None => (left, right),
    }
}

fn register_side(
    namer: &Namer<'_>,
    way: &Branch,
    part: Part,
    (number, own): (usize, u64),
    size: u64,
) -> Side {
    let flow = &namer.code.flow;
    if let Some(Expr::Const(v)) = part.sym.map(|sym| flow.expr(sym))
        && !is_text(namer, v)
    {
        return Side::constant(v);
    }
    let types = namer.types();
    let register = register_name(namer.s, number, own);
    let named = match (part.after, part.sym) {
        (true, Some(sym)) => namer.sym(way.compare, sym, 0),
        (true, None) => None,
        (false, _) => namer.register(way.compare, number),
    };
    let held = part.sym.and_then(|sym| namer.value(sym));
    // a bit-field has the bits that it has, however wide the members around it are declared
    let fits =
        part.sym.and_then(|sym| bits::width(namer, sym)).is_some_and(|width| u64::from(width) <= own * 8);
    let (named, ty) = typed(types, named, own, size, fits);
    let expr = named.as_ref().map_or_else(|| CExpr::register(&*register), |n| n.expr.clone());
    let gone = held.as_ref().is_none_or(|h| h.register != Some(number));
    let origin = named.as_ref().map(|n| n.origin.clone()).unwrap_or_default();
    let origin = if gone { origin.when_it_was() } else { origin };
    let mut detail = vec![spot(namer.s, &register, number, own, held.as_ref())];
    // a result is told as such once
    if !(origin == Origin::Computed && detail.contains(&Detail::Computed)) {
        detail.push(Detail::Origin(origin));
    }
    detail.extend(part.sym.map(|sym| passed(namer, sym)).unwrap_or_default());
    let pointer =
        held.as_ref().map(|h| h.value).filter(|v| size == 8 && namer.s.arch().is_kernel(VirtAddr(*v)));
    detail.extend(pointer.and_then(|v| crate::explain::pointer::target(namer.s, v)).map(Detail::Target));
    let object = part.sym.and_then(|sym| object_of(namer, sym));
    let mut commands = show(held.as_ref(), size);
    if let (Some(o), true) = (&object, held.as_ref().is_some_and(|h| h.now)) {
        commands.insert(0, format!("{}.{} {:x}", types.name(o.ty), o.member, o.at));
    }
    commands.push(format!("dis -x {}", namer.code.symbol));
    let value = held.as_ref().map(|h| returned(&expr, h.value));
    let row = Row {
        name: Name::Expr(expr.clone()),
        value: value.map(|v| compared(way, types, ty, v, size)),
        detail,
        lost: false,
        level: namer.level,
        spot: held.as_ref().map_or(Spot::Made, |h| h.spot.clone()),
        how: named.as_ref().map_or(How::Decoded, |n| n.how),
        commands,
    };
    let sure = held.is_some_and(|h| !h.now);
    let memory = part.sym.is_some_and(|sym| is_load(namer, sym)) && follows_pointer(&expr);
    Side { expr, ty, value, sure, constant: false, memory, row: Some(row), object }
}

/// `preempt_count()` does not return the flag in the word which says whether the scheduler is to run.
fn returned(expr: &CExpr, value: u64) -> u64 {
    match &expr.kind {
        ExprKind::Call(name, _) if name == "preempt_count" => value & 0x7fff_ffff,
        _ => value,
    }
}

/// True where a member of what a pointer leads to stands in it.
fn follows_pointer(expr: &CExpr) -> bool {
    expr.any(&|kind| matches!(kind, ExprKind::Member(_, _, true)))
}

/// True for what was read from memory.
fn is_load(namer: &Namer<'_>, sym: Sym) -> bool {
    match namer.code.flow.expr(sym) {
        Expr::Load { .. } => true,
        Expr::Cut { base, .. } => matches!(namer.code.flow.expr(base), Expr::Load { .. }),
        _ => false,
    }
}

/// True for the address of a variable or function, which is better told by name than as a number.
fn is_text(namer: &Namer<'_>, v: i64) -> bool {
    v < -0x1000 && namer.s.locate(VirtAddr(v.cast_unsigned())).is_some_and(|l| l.offset == 0)
}

/// Where a register's value is now.
fn spot(s: &Session, register: &str, number: usize, own: u64, held: Option<&Held>) -> Detail {
    let register = register.to_owned();
    let Some(held) = held else { return Detail::Overwritten(register) };
    match held.register {
        Some(n) if n == number => Detail::In(register),
        Some(n) => Detail::StillIn { then: register, now: register_name(s, n, own) },
        None if held.now => {
            let spot = if held.memory.is_some() { held.spot.clone() } else { Spot::Made };
            Detail::Then { register, spot, now: true }
        }
        None if held.spot == Spot::Made => Detail::Computed,
        None => Detail::Then { register, spot: held.spot.clone(), now: false },
    }
}

/// The commands that show a value.
fn show(held: Option<&Held>, size: u64) -> Vec<String> {
    match held.and_then(|h| h.memory) {
        Some(at) => vec![format!("rd -{} {at:x}", size.clamp(1, 8) * 8)],
        None => vec!["bt".into()],
    }
}

/// What the callers passed as the argument that the value is, the innermost first.
pub(crate) fn passed(namer: &Namer<'_>, sym: Sym) -> Vec<Detail> {
    passing(namer, sym).unwrap_or_default()
}

fn passing(namer: &Namer<'_>, sym: Sym) -> Option<Vec<Detail>> {
    let flow = &namer.code.flow;
    let number = match flow.expr(sym) {
        Expr::Entry(n) => n,
        Expr::Cut { base, .. } => match flow.expr(base) {
            Expr::Entry(n) => n,
            _ => return None,
        },
        _ => return None,
    };
    if !namer.code.arguments().contains(&number) {
        return None;
    }
    let outer = namer.outer()?;
    let there = outer.code.flow.register(outer.at, number)?;
    let (expr, further) = match outer.code.flow.expr(there) {
        Expr::Const(v) if !is_text(outer, v) => (CExpr::int(v), Vec::new()),
        Expr::Entry(_) | Expr::Cut { .. } => (outer.sym(outer.at, there, 0)?.expr, passed(outer, there)),
        _ => (outer.sym(outer.at, there, 0)?.expr, Vec::new()),
    };
    // a register of the caller's says nothing
    let by = outer.code.name.clone();
    (!expr.names_register()).then(|| [Detail::Passes { by, expr }].into_iter().chain(further).collect())
}

/// The struct that a value was read from, where that struct's address is still known.
pub(crate) fn object_of(namer: &Namer<'_>, sym: Sym) -> Option<Object> {
    let Expr::Load { base, disp, size, at } = namer.code.flow.expr(sym) else { return None };
    let from = namer.sym(at, base, 0)?;
    let member = namer.member_of(&from, disp, size)?;
    let (expr, ty) = member.object?;
    let held = namer.value(base)?;
    let at = held.value.wrapping_add_signed(disp).wrapping_sub(member.offset);
    Some(Object { expr, ty, at, member: member.path, level: namer.level })
}

/// A type that fits a value's width; where it does not, the name gets a cast.
fn typed(
    types: &Types,
    named: Option<Named>,
    own: u64,
    size: u64,
    fits: bool,
) -> (Option<Named>, Option<TypeRef>) {
    let Some(mut named) = named else { return (None, None) };
    let Some(ty) = named.ty else { return (Some(named), None) };
    match types.size_of(ty) {
        Ok(n) if n == size || fits => (Some(named), Some(ty)),
        Ok(n) if n > own => {
            named.expr = named.expr.cast(TypeName::named(Space::Typedef, format!("u{}", size * 8)));
            (Some(named), None)
        }
        Ok(n) if n < own => {
            // promoted: the value's sign is the compiler's business
            (Some(named), Some(ty))
        }
        _ => (Some(named), None),
    }
}

/// Where a memory operand's value is, and what it was.
struct Found {
    /// What the data flow has of it.
    held: Option<Held>,
    /// The pointer to it.
    base: Option<Held>,
    /// What was added to that.
    disp: i64,
    address: Option<u64>,
    value: Option<u64>,
    /// The dump lost the memory there.
    lost: bool,
}

/// The address and the value of a memory operand.
fn found(namer: &Namer<'_>, way: &Branch, part: Part, size: u64) -> Found {
    let flow = &namer.code.flow;
    let load = part.sym.map(|sym| flow.expr(sym));
    let (base, disp) = match load {
        Some(Expr::Load { base, disp, .. }) => (namer.value(base), disp),
        _ => (None, 0),
    };
    let held = part.sym.and_then(|sym| namer.value(sym));
    let address = match load {
        Some(Expr::Load { .. }) => base.as_ref().map(|b| b.value.wrapping_add_signed(disp)),
        Some(Expr::PerCpu { .. }) => held.as_ref().and_then(|h| h.memory),
        _ => None,
    };
    let far = match way.test.and_then(|t| t.bit) {
        Some(bit) => {
            atomic::far(bit.operand, bit.sym.and_then(|sym| namer.value(sym)).map(|h| h.value), size)
        }
        None => Some(0),
    };
    let address = address.zip(far).map(|(at, far)| at.wrapping_add_signed(far));
    let now = || atomic::then(namer, way, part, read(namer.s.mem(), address?, size)?, size);
    let value = held.as_ref().filter(|_| far == Some(0)).map(|h| h.value).or_else(now);
    let lost = value.is_none()
        && address.is_some_and(|at| {
            let mut own = [0; 8];
            let own = own.get_mut(..usize::try_from(size).unwrap_or(8).min(8)).unwrap_or_default();
            namer.s.mem().read(VirtAddr(at), own).is_err_and(|fault| fault.is_loss())
        });
    Found { held, base, disp, address, value, lost }
}

/// What the operand lies in: the struct, and the pointer to it.
fn within(namer: &Namer<'_>, m: &Mem, x: &Member, found: &Found) -> Option<(Object, Detail)> {
    let (expr, ty) = x.object.as_ref()?;
    let base = found.base.as_ref()?;
    // the base register may itself lie within the object
    let at = base.value.wrapping_add_signed(found.disp).wrapping_sub(x.offset);
    // of several registers that hold it, the one that the instruction names
    let own = m.base.filter(|b| found.disp == m.disp && namer.regs.get(*b) == Some(base.value));
    let spot = match own {
        // what a register holds is another address
        _ if at != base.value => Spot::Made,
        Some(b) => Spot::Register(register_name(namer.s, b, 8)),
        None => base.spot.clone(),
    };
    let detail = Detail::Within { expr: expr.clone(), ty: namer.types().name(*ty), at, spot };
    Some((Object { expr: expr.clone(), ty: *ty, at, member: x.path.clone(), level: namer.level }, detail))
}

/// A value that is compared; what has no type and is compared as a signed number is told as one.
fn compared(way: &Branch, types: &Types, ty: Option<TypeRef>, v: u64, size: u64) -> Value {
    let signed = way.test.is_some_and(|t| t.signed) && ty.is_none();
    let spelt = if signed { cut(v, size, true).cast_signed().to_string() } else { shown(types, ty, v, size) };
    Value::of(cut(v, size, false), spelt)
}

/// The bits of a bit-field.
fn field_of(value: u64, bits: Option<(u64, u32)>) -> u64 {
    match bits {
        Some((first, width)) if first < 64 => value >> first & (u64::MAX >> (64 - width.clamp(1, 64))),
        _ => value,
    }
}

/// The commands that show a memory operand.
fn show_memory(namer: &Namer<'_>, found: &Found, object: Option<&Object>, size: u64) -> Vec<String> {
    let at = found.address.or_else(|| found.held.as_ref()?.memory);
    vec![match (object, at) {
        (Some(o), _) => format!("{}.{} {:x}", namer.types().name(o.ty), o.member, o.at),
        (None, Some(at)) => format!("rd -{} {at:x}", size * 8),
        (None, None) => "bt".into(),
    }]
}

/// A memory operand.
fn memory_side(namer: &Namer<'_>, way: &Branch, part: Part, m: &Mem, size: u64) -> Side {
    let types = namer.types();
    let found = found(namer, way, part, size);
    let member = namer.memory(way.compare, m);
    let derived = part.sym.filter(|_| member.is_none()).and_then(|sym| namer.sym(way.compare, sym, 0));
    let operand_text = namer.s.arch().regs.memory_text(m);
    let named = member.as_ref().map(|x| &x.named).or(derived.as_ref());
    // what has no name is told as the instruction has it
    let expr = named.map_or_else(|| CExpr::words(&*operand_text), |x| x.expr.clone());
    let expr = atomic::operand(namer, way, part, &expr, size).unwrap_or(expr);
    let ty = named.and_then(|x| x.ty);
    let value = found.value.map(|v| field_of(returned(&expr, v), member.as_ref().and_then(|x| x.bits)));
    let spot = match (found.address, &found.held) {
        (Some(at), _) => Spot::Memory { bits: size * 8, at },
        (None, Some(h)) => h.spot.clone(),
        (None, None) => Spot::Made,
    };
    let within = member.as_ref().and_then(|x| within(namer, m, x, &found));
    let (object, lies_in) = within.unzip();
    let is_slot = found.address.is_none() && found.held.as_ref().is_some_and(|h| !h.now);
    let first = if spot == Spot::Made { Detail::Operand(operand_text) } else { Detail::At(spot.clone()) };
    let origin = member.as_ref().map(|x| Detail::OfMember(x.named.origin.clone()));
    let kernels = |v: &u64| size == 8 && namer.s.arch().is_kernel(VirtAddr(*v));
    let leads = value.filter(kernels).and_then(|v| crate::explain::pointer::target(namer.s, v));
    let changed = (way.stores && !is_slot && value.is_some()).then_some(Detail::MayHaveChanged);
    let row = Row {
        name: Name::Expr(expr.clone()),
        value: value.map(|v| compared(way, types, ty, v, size)),
        detail: [Some(first), lies_in, origin, leads.map(Detail::Leads), changed]
            .into_iter()
            .flatten()
            .collect(),
        lost: found.lost,
        level: namer.level,
        spot,
        how: named.map_or(How::Decoded, |x| x.how),
        commands: show_memory(namer, &found, object.as_ref(), size),
    };
    let base_sure = found.base.as_ref().is_none_or(|b| !b.now);
    let sure = value.is_some() && (is_slot || (!way.stores && base_sure));
    Side { expr, ty, value, sure, constant: false, memory: true, row: Some(row), object }
}

/// A constant as what it is compared with has it: an enumerator, signed or not, poison by name.
pub(crate) fn constant(types: &Types, ty: Option<TypeRef>, v: u64, test: &Test) -> CExpr {
    let signed = cut(v, test.size, true).cast_signed();
    let plain = cut(v, test.size, false);
    let kind = ty.and_then(|ty| types.resolve(ty).ok()).map(|(_, full)| full);
    let is_signed = match kind.as_deref() {
        Some(Type::Enum { values, .. }) => {
            let named =
                values.iter().find(|(_, value)| *value == i128::from(signed) || *value == i128::from(plain));
            if let Some((name, _)) = named {
                return CExpr::ident(&**name);
            }
            test.signed
        }
        Some(Type::Int { encoding, .. }) => encoding.is_signed() || test.signed,
        Some(Type::Pointer { .. }) => false,
        // an error number, more likely than a large one
        _ => test.signed || (test.size >= 4 && (-4095..0).contains(&signed)),
    };
    if test.size == 8
        && let Some(name) = crate::explain::pointer::poison_name(plain)
    {
        return CExpr::ident(name);
    }
    match (is_signed, plain) {
        (true, _) => CExpr::int(signed),
        (false, large) if large > 0xffff => CExpr::hex(large),
        (false, small) => CExpr::unsigned(small),
    }
}
