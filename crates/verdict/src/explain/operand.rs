//! An operand of a comparison: its name, its value when the instruction to blame ran, and where that is.

use crate::code::operand::{read, register_name};
use crate::model::{How, Object, OperandRow};
use crate::naming::atomic;
use crate::naming::names::{Named, Namer, shown};
use crate::naming::values::Held;
use arch::dataflow::{Branch, Expr, Mem, Operand, Part, Sym, Test, cut};
use base::VirtAddr;
use cexpr::{Expr as CExpr, ExprKind, TypeName};
use debuginfo::types::{Space, Type, TypeRef, Types};
use kernel::Session;

/// An operand: its name, its value and the row that tells of it.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) expr: CExpr,
    pub(crate) ty: Option<TypeRef>,
    pub(crate) value: Option<u64>,
    /// False where the value was read from memory that may have changed since.
    pub(crate) sure: bool,
    pub(crate) constant: bool,
    pub(crate) memory: bool,
    pub(crate) row: Option<OperandRow>,
    pub(crate) object: Option<Object>,
}

impl Side {
    pub(crate) fn constant(v: i64) -> Self {
        Self {
            expr: CExpr::int(v),
            ty: None,
            value: Some(v.cast_unsigned()),
            sure: true,
            constant: true,
            memory: false,
            row: None,
            object: None,
        }
    }
}

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
pub(crate) fn unlike(namer: &Namer<'_>, way: &Branch, test: &Test, left: &mut Side, right: &mut Side) {
    if left.constant || right.constant || left.expr != right.expr || test.left.sym == test.right.sym {
        return;
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
    if let Some((expr, of_left)) = found {
        let side = if of_left { left } else { right };
        if let Some(row) = &mut side.row {
            row.call_it(&expr);
        }
        side.expr = expr;
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
    let (named, ty) = typed(types, named, own, size);
    let expr = named.as_ref().map_or_else(|| CExpr::register(&*register), |n| n.expr.clone());
    let mut detail = vec![spot(namer.s, &register, number, own, held.as_ref())];
    let origin = named.as_ref().map_or("", |n| n.origin.as_str());
    let gone = held.as_ref().is_none_or(|h| h.register != Some(number));
    let origin = origin.strip_suffix(", unchanged since entry").filter(|_| gone).unwrap_or(origin);
    detail.extend(Some(origin.to_owned()).filter(|o| !o.is_empty() && !detail.contains(o)));
    detail.extend(part.sym.and_then(|sym| passed(namer, sym)));
    let pointer =
        held.as_ref().map(|h| h.value).filter(|v| size == 8 && namer.s.arch().is_kernel(VirtAddr(*v)));
    detail.extend(pointer.and_then(|v| crate::explain::pointer::target(namer.s, v)));
    let object = part.sym.and_then(|sym| object_of(namer, sym));
    let mut commands = show(held.as_ref(), size);
    if let (Some(o), true) = (&object, held.as_ref().is_some_and(|h| h.now)) {
        commands.insert(0, format!("{}.{} {:x}", types.name(o.ty), o.member, o.at));
    }
    commands.push(format!("dis -x {}", namer.code.symbol));
    let value = held.as_ref().map(|h| returned(&expr, h.value));
    let signed = way.test.is_some_and(|t| t.signed) && ty.is_none();
    let spelt = |v: u64| {
        if signed { cut(v, size, true).cast_signed().to_string() } else { shown(types, ty, v, size) }
    };
    let row = OperandRow {
        name: expr.for_reader().to_string(),
        expr: Some(expr.clone()),
        value: value.map(spelt),
        number: value.map(|v| cut(v, size, false)),
        lost: false,
        detail: detail.join(", "),
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

/// `%r12d`, `%eax then, now in %rbx`, `%eax then; u32 at … as the dump has it`
fn spot(s: &Session, register: &str, number: usize, own: u64, held: Option<&Held>) -> String {
    match held {
        Some(h) if h.register == Some(number) => format!("%{register}"),
        Some(Held { register: Some(n), .. }) => {
            format!("%{register} then, still in %{}", register_name(s, *n, own))
        }
        Some(h) if h.now && h.memory.is_some() => {
            format!("%{register} then; {} as the dump has it", h.place)
        }
        Some(h) if h.now => format!("%{register} then; computed from memory as the dump has it"),
        Some(h) if h.place.is_empty() => "computed".into(),
        Some(h) => format!("%{register} then, {}", h.place),
        None => format!("%{register}, overwritten since"),
    }
}

/// The commands that show a value.
fn show(held: Option<&Held>, size: u64) -> Vec<String> {
    match held.and_then(|h| h.memory) {
        Some(at) => vec![format!("rd -{} {at:x}", size.clamp(1, 8) * 8)],
        None => vec!["bt".into()],
    }
}

/// What the caller passed as the argument that the value is.
pub(crate) fn passed(namer: &Namer<'_>, sym: Sym) -> Option<String> {
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
        Expr::Const(v) if !is_text(outer, v) => (CExpr::int(v), None),
        Expr::Entry(_) | Expr::Cut { .. } => {
            (outer.sym(outer.at, there, 0)?.expr, passed(outer, there).map(|p| format!(", {p}")))
        }
        _ => (outer.sym(outer.at, there, 0)?.expr, None),
    };
    // a register of the caller's says nothing
    let further = further.unwrap_or_default();
    (!expr.names_register()).then(|| format!("{} passes {}{further}", outer.code.name, expr.for_reader()))
}

/// The struct that a value was read from, where that struct's address is still known.
pub(crate) fn object_of(namer: &Namer<'_>, sym: Sym) -> Option<Object> {
    let Expr::Load { base, disp, size, at } = namer.code.flow.expr(sym) else { return None };
    let from = namer.sym(at, base, 0)?;
    let member = namer.member_of(&from, disp, size)?;
    let (name, ty) = member.object?;
    let held = namer.value(base)?;
    let at = held.value.wrapping_add_signed(disp).wrapping_sub(member.offset);
    let name = name.for_reader().to_string();
    Some(Object { name, ty, at, member: member.path.to_string() })
}

/// A type that fits a value's width; where it does not, the name gets a cast.
fn typed(types: &Types, named: Option<Named>, own: u64, size: u64) -> (Option<Named>, Option<TypeRef>) {
    let Some(mut named) = named else { return (None, None) };
    let Some(ty) = named.ty else { return (Some(named), None) };
    match types.size_of(ty) {
        Ok(n) if n == size => (Some(named), Some(ty)),
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

/// A memory operand.
fn memory_side(namer: &Namer<'_>, way: &Branch, part: Part, m: &Mem, size: u64) -> Side {
    let types = namer.types();
    let flow = &namer.code.flow;
    let load = part.sym.map(|sym| flow.expr(sym));
    let base = match load {
        Some(Expr::Load { base, .. }) => namer.value(base),
        _ => None,
    };
    let held = part.sym.and_then(|sym| namer.value(sym));
    let address = match load {
        Some(Expr::Load { disp, .. }) => base.as_ref().map(|b| b.value.wrapping_add_signed(disp)),
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
    let lost = address.is_some_and(|at| {
        let mut own = [0; 8];
        let own = own.get_mut(..usize::try_from(size).unwrap_or(8).min(8)).unwrap_or_default();
        namer.s.mem().read(VirtAddr(at), own).is_err_and(|fault| fault.is_loss())
    });
    let value = held.as_ref().filter(|_| far == Some(0)).map(|h| h.value).or_else(now);
    let member = namer.memory(way.compare, m);
    let derived = part.sym.filter(|_| member.is_none()).and_then(|sym| namer.sym(way.compare, sym, 0));
    let operand_text = namer.s.arch().regs.memory_text(m);
    let named = member.as_ref().map(|x| &x.named).or(derived.as_ref());
    // what has no name is told as the instruction has it
    let expr = named.map_or_else(|| CExpr::words(&*operand_text), |x| x.expr.clone());
    let expr = atomic::operand(namer, way, part, &expr, size).unwrap_or(expr);
    let ty = named.and_then(|x| x.ty);
    let value = value.map(|v| returned(&expr, v));
    let value = match (member.as_ref().and_then(|x| x.bits), value) {
        (Some((first, width)), Some(v)) if first < 64 => {
            Some((v >> first) & (u64::MAX >> (64 - width.clamp(1, 64))))
        }
        (_, v) => v,
    };
    let mut detail = match (address, &held) {
        (Some(at), _) => format!("u{} at {at:016x}", size * 8),
        (None, Some(h)) if !h.place.is_empty() => h.place.clone(),
        _ => operand_text.clone(),
    };
    let mut commands = Vec::new();
    let mut object = None;
    if let Some(x) = &member {
        if let (Some((name, of)), Some(base), Some(Expr::Load { disp, .. })) = (&x.object, &base, load) {
            // the base register may itself lie within the object
            let at = base.value.wrapping_add_signed(disp).wrapping_sub(x.offset);
            let tag = types.name(*of);
            let name = name.for_reader().to_string();
            // of several registers that hold it, the one that the instruction names
            let own = m.base.filter(|b| disp == m.disp && namer.regs.get(*b) == Some(base.value));
            let place = match own {
                // what a register holds is another address
                _ if at != base.value => String::new(),
                Some(b) => format!(" in %{}", register_name(namer.s, b, 8)),
                None if base.place.is_empty() => String::new(),
                None => format!(" in {}", base.place),
            };
            detail = format!("{detail}; {name} = ({tag} *) {at:016x}{place}");
            commands.push(format!("{tag}.{} {at:x}", x.path));
            object = Some(Object { name, ty: *of, at, member: x.path.to_string() });
        }
        if !x.named.origin.is_empty() {
            detail = format!("{detail}; {}", x.named.origin);
        }
    }
    if let (Some(at), true) = (address.or_else(|| held.as_ref()?.memory), commands.is_empty()) {
        commands.push(format!("rd -{} {at:x}", size * 8));
    }
    if commands.is_empty() {
        commands.push("bt".into());
    }
    let is_slot = address.is_none() && held.as_ref().is_some_and(|h| !h.now);
    if way.stores && !is_slot && value.is_some() {
        detail.push_str("; memory may have changed before the trap");
    }
    // what is compared as a signed number is told as one
    let signed = way.test.is_some_and(|t| t.signed) && ty.is_none();
    let spelt = |v: u64| {
        if signed { cut(v, size, true).cast_signed().to_string() } else { shown(types, ty, v, size) }
    };
    let row = OperandRow {
        name: expr.for_reader().to_string(),
        expr: Some(expr.clone()),
        value: value.map(spelt),
        number: value.map(|v| cut(v, size, false)),
        lost: value.is_none() && lost,
        detail,
        how: named.map_or(How::Decoded, |x| x.how),
        commands,
    };
    let base_sure = base.as_ref().is_none_or(|b| !b.now);
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
