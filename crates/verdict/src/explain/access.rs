//! The access that faulted: its instruction, address, and the chain of pointers that led there.

use crate::code::operand::{operand_address, read, register_name};
use crate::explain::element;
use crate::explain::operand::passed;
use crate::explain::pointer::non_canonical;
use crate::explain::pointer::{describe, poison};
use crate::model::{
    Access, Accessed, Detail, How, Lack, Name, Operand as Row, Origin, Pointed, PointerIs, Spot, Value, Why,
};
use crate::naming::elements::Element;
use crate::naming::names::{Member, Named, Namer, shown};
use arch::dataflow::{Expr, Mem, Operand, Sym, cut};
use cexpr::{BinOp, Expr as CExpr, ExprKind, TypeName};
use debuginfo::types::Space;
use kernel::log::event::Class;

/// The access of an instruction that faulted.
struct Faulted {
    mem: Mem,
    writes: bool,
    at: u64,
}

/// Tells of the access at the instruction of the fault. `address` is what the processor reported.
pub(crate) fn of_fault(
    namer: &Namer<'_>,
    ip: u64,
    class: Class,
    address: Option<u64>,
    error_code: Option<u64>,
) -> Result<Access, Lack> {
    if class == Class::Divide {
        return division(namer, ip);
    }
    match faulted(namer, ip, class, address, error_code) {
        Some(found) => Ok(of_memory(namer, ip, class, &found)),
        None => without_memory(namer, ip, class, error_code)
            .or_else(|| unknown(namer, ip, class))
            .ok_or_else(|| match namer.code.function.text(ip) {
                Some(text) => Lack::Operand(namer.code.offset(ip), text),
                None => Lack::NoInstruction,
            }),
    }
}

/// Which access of the instruction it was that faulted.
fn faulted(
    namer: &Namer<'_>,
    ip: u64,
    class: Class,
    address: Option<u64>,
    error_code: Option<u64>,
) -> Option<Faulted> {
    let all = namer.code.function.accesses(ip);
    let of = |address: Option<u64>| {
        all.iter().find_map(|(m, writes)| {
            let at = operand_address(m, &namer.regs)?;
            let hit = address.is_none_or(|a| a.wrapping_sub(at) < m.size.max(1) || at == a);
            let odd = address.is_some() || class != Class::GeneralProtection || non_canonical(namer.s, at);
            (hit && odd).then_some((*m, *writes, at))
        })
    };
    // the address that the kernel prints of a general protection fault is its own reading of the instruction, which
    // has left out displacements (5.10): the registers tell
    let (mem, writes, at) = of(address).or_else(|| of(None).filter(|_| class == Class::GeneralProtection))?;
    let writes = match error_code {
        Some(code) if class != Class::GeneralProtection => code & 2 != 0,
        _ => writes,
    };
    Some(Faulted { mem, writes, at })
}

/// An access of memory, with the pointers that led there.
fn of_memory(namer: &Namer<'_>, ip: u64, class: Class, found: &Faulted) -> Access {
    let code = &namer.code;
    let Faulted { mem: m, writes, at } = found;
    let element = namer.element_at(ip, m, Some(*at));
    let of_element = element.as_ref().and_then(|e| Some((e, element::parts(namer, e, Some(*at))?)));
    let member = namer.memory(ip, m).or_else(|| Some(Member::alone(of_element.as_ref()?.0.named.clone())));
    let own = || m.base.map(|base| pointer(namer, ip, base, member.as_ref(), *at));
    let (row, is) = match of_sum(namer, ip, m, of_element.as_ref()) {
        Some(found) => found,
        None => own().map_or((None, None), |(row, why)| (Some(row), why)),
    };
    let mut operands: Vec<Row> = row.into_iter().collect();
    let led = of_element.as_ref().and_then(|(e, parts)| {
        let (sym, _) = e.pointer.as_ref()?;
        let row = element::pointer(namer, e, parts).map(|(row, _)| row);
        operands.extend(row.filter(|row| operands.iter().all(|known| known.value != row.value)));
        Some(*sym)
    });
    if let Some(sym) = led.or_else(|| code.flow.register(ip, m.base?)) {
        operands = chain(namer, ip, sym, operands, 0);
    }
    operands.extend(index_row(namer, ip, m));
    let beyond = match &of_element {
        Some((element, parts)) => {
            let (rows, why) = element::rows(namer, element, parts, &operands);
            operands.extend(rows);
            why
        }
        None => Vec::new(),
    };
    let of_caller = arguments_say_more(namer, ip, m, &operands, member.is_none());
    let arguments = if of_caller { arguments(namer, &operands) } else { Vec::new() };
    operands.extend(arguments);
    let named = [m.base.and(operands.first()).map(|row| row.how), member.as_ref().map(|x| x.named.how)];
    let what = Accessed::Memory {
        writes: *writes,
        size: m.size,
        at: *at,
        expr: accessed(namer, ip, m, member.as_ref()),
        why: why(namer, ip, class, found, is).into_iter().chain(beyond).collect(),
    };
    let how = named.into_iter().flatten().fold(How::Decoded, How::max);
    Access { what, how, operands, code: vec![code.line(ip)], at: Some(*at) }
}

/// The pointer to an array, where the register of the access has the address of an element that no variable has.
fn of_sum(
    namer: &Namer<'_>,
    ip: u64,
    m: &Mem,
    element: Option<&(&Element, element::Parts)>,
) -> Option<(Option<Row>, Option<Why>)> {
    let (element, parts) = element?;
    // of a global variable no register has a pointer
    let Some((pointer, _)) = element.pointer.as_ref() else { return Some((None, None)) };
    let is_variable = |named: Named| matches!(named.expr.kind, ExprKind::Ident(_));
    if namer.code.flow.register(ip, m.base?) == Some(*pointer)
        || namer.register(ip, m.base?).is_some_and(is_variable)
    {
        return None;
    }
    element::pointer(namer, element, parts).map(|(row, why)| (Some(row), Some(why)))
}

/// The pointer of an access, and what its value is.
fn pointer(namer: &Namer<'_>, ip: u64, base: usize, member: Option<&Member>, at: u64) -> (Row, Option<Why>) {
    let value = namer.regs.get(base);
    let named = of_caller(namer, ip, base).or_else(|| namer.register(ip, base));
    let name = match (member, &named) {
        (_, Some(n)) if matches!(n.origin, Origin::Passed(_)) => n.expr.clone(),
        (Some(Member { object: Some((object, _)), .. }), _) => object.clone(),
        (_, Some(n)) => n.expr.clone(),
        _ => CExpr::register(register_name(namer.s, base, 8)),
    };
    let returned = returned_by(namer, ip, base);
    let is = value.map(|v| {
        let pointed = around_null(&name, v, at, returned.is_some()).unwrap_or_else(|| describe(namer.s, v));
        Why::Pointer(name.clone(), pointed)
    });
    let row = Row {
        name: Name::Expr(name),
        value: value.map(pointer_value),
        // a register without a name is its own place
        detail: named.as_ref().map(|n| pointer_detail(namer, ip, base, &n.origin)).unwrap_or_default(),
        lost: false,
        level: namer.level,
        spot: Spot::Register(register_name(namer.s, base, 8)),
        how: named.as_ref().map_or(How::Decoded, |n| n.how),
        commands: vec!["bt".into(), format!("dis -x {}", namer.code.symbol)],
    };
    (row, is)
}

/// The call that returned a pointer.
fn returned_by(namer: &Namer<'_>, ip: u64, base: usize) -> Option<CExpr> {
    let flow = &namer.code.flow;
    let sym = flow.register(ip, base)?;
    let sym = flow.only(sym).unwrap_or(sym);
    matches!(flow.expr(sym), Expr::Returned(_)).then(|| Some(namer.by_flow(ip, sym)?.expr))?
}

/// A pointer as C spells it.
fn pointer_value(v: u64) -> Value {
    if v == 0 { Value::of(0, "NULL") } else { Value::address(v) }
}

/// Why the access failed: what the pointer is, what the instruction asks of the address.
fn why(namer: &Namer<'_>, ip: u64, class: Class, found: &Faulted, pointer: Option<Why>) -> Vec<Why> {
    let Faulted { mem: m, at, .. } = found;
    let line = namer.code.function.text(ip).unwrap_or_default();
    let name = line.trim_start_matches("lock ").split(' ').next().unwrap_or_default();
    if m.base.is_none() && !m.per_cpu && poison(*at).is_some() {
        return vec![Why::Address(describe(namer.s, *at))];
    }
    let unaligned =
        class == Class::GeneralProtection && asks_16(name) && at % 16 != 0 && !non_canonical(namer.s, *at);
    let unaligned = unaligned.then(|| Why::Unaligned(name.to_owned()));
    let error = matches!(&pointer, Some(Why::Pointer(_, Pointed { is: PointerIs::Error(_), .. })));
    let call = m.base.filter(|_| error).and_then(|base| returned_by(namer, ip, base));
    // the pointer may be called by it
    let is_said = |call: &CExpr| matches!(&pointer, Some(Why::Pointer(name, _)) if name == call);
    let returned = call.filter(|call| !is_said(call)).map(Why::Returned);
    unaligned.into_iter().chain(pointer).chain(returned).collect()
}

/// True where what the caller passed says more than the function's own code: in assembler, which has a prototype without
/// parameters, and where no pointer has a name.
fn arguments_say_more(namer: &Namer<'_>, ip: u64, m: &Mem, told: &[Row], is_nameless: bool) -> bool {
    let untyped = namer.params().is_none_or(Vec::is_empty);
    let by_register = m.base.is_some_and(|base| {
        let register = CExpr::register(register_name(namer.s, base, 8));
        told.iter().any(|o| o.expr() == Some(&register))
    });
    namer.code.function.is_string(ip) || ((untyped || by_register) && is_nameless)
}

/// What is accessed, as C calls it.
fn accessed(namer: &Namer<'_>, ip: u64, m: &Mem, member: Option<&Member>) -> Option<CExpr> {
    if let Some(member) = member {
        return Some(member.named.expr.clone());
    }
    let (sym, disp) = m.base.and_then(|_| namer.code.flow.address(ip, m))?;
    if disp != 0 {
        return None;
    }
    namer.sym(ip, sym, 0)?.expr.addressed().cloned()
}

/// True for instructions that refuse an address which is not a multiple of 16 (at least).
fn asks_16(name: &str) -> bool {
    let name = name.strip_prefix('v').unwrap_or(name);
    ["movap", "movdqa", "movnt", "cmpxchg16b", "fxsave", "fxrstor", "xsave", "xrstor"]
        .iter()
        .any(|aligned| name.starts_with(aligned))
        && !name.starts_with("movnti")
}

/// `p->next - 0x18` with a value of -0x18: no error number, but what a NULL pointer would be a member of.
/// Where only the access at `at` says that it may be so, both readings are told.
fn around_null(pointer: &CExpr, value: u64, at: u64, returned: bool) -> Option<Pointed> {
    let less = Some(value.wrapping_neg()).filter(|less| (1..=0xfff).contains(less))?;
    let by = match &pointer.kind {
        ExprKind::Binary(BinOp::Sub, _, by) => match by.kind {
            ExprKind::Int { value, .. } => Some(value),
            _ => None,
        },
        _ => None,
    };
    let null = |error| Some(Pointed { value, is: PointerIs::BelowNull { less, error } });
    match (by == Some(less), crate::code::errors::error_name(value)) {
        (true, _) => null(None),
        // what a call returned is no member's address; nor does a member lie there that others point to
        (false, Some(_)) if returned || less % 4 != 0 => None,
        (false, Some(error)) if at < 0x1000 => null(Some(error)),
        _ => None,
    }
}

/// Of a function that copies for others and has no types (`memcpy`): what its caller passed in the register.
fn of_caller(namer: &Namer<'_>, ip: u64, number: usize) -> Option<Named> {
    let sym = namer.code.flow.register(ip, number)?;
    let argument = match namer.code.flow.expr(sym) {
        Expr::Entry(argument) => argument,
        // not moved on yet, where it still has the value that was passed
        Expr::Phi { .. } => number,
        _ => return None,
    };
    if !crate::code::roles::is_copying(&namer.code.name) || !namer.code.arguments().contains(&argument) {
        return None;
    }
    let outer = namer.outer()?;
    let there = outer.code.flow.register(outer.at, argument)?;
    let now = namer.regs.get(number);
    // what was passed lies no higher than what it was moved on to; an instruction that goes through memory moves it itself
    let same = || now == Some(0) || outer.value(there).is_some_and(|held| now == Some(held.value));
    let moves = namer.code.function.is_string(ip) || !matches!(namer.code.flow.expr(sym), Expr::Entry(_));
    let named = outer.sym(outer.at, there, 0)?;
    let origin = Origin::Passed(outer.code.name.clone());
    if argument != number || !moves || same() {
        return Some(Named { origin, ..named });
    }
    // so far it came
    let by = now?.checked_sub(outer.value(there)?.value).filter(|by| *by < MAX_MOVED)?;
    let byte = TypeName::named(Space::Typedef, "u8").pointer();
    let expr = CExpr::binary(BinOp::Add, named.expr.cast(byte), CExpr::hex(by));
    Some(Named { origin, expr, ty: None, how: named.how })
}

/// How far a copy goes at most.
const MAX_MOVED: u64 = 1 << 40;

/// The index of an array, where the instruction has one.
fn index_row(namer: &Namer<'_>, ip: u64, m: &Mem) -> Option<Row> {
    let (number, _) = m.index.filter(|_| m.base.is_some())?;
    let named = namer.register(ip, number)?;
    let value = namer.regs.get(number)?;
    // an index is counted from both ends
    let shown = value.cast_signed().to_string();
    Some(Row {
        name: Name::Expr(named.expr),
        value: Some(Value::of(value, shown)),
        detail: pointer_detail(namer, ip, number, &named.origin),
        lost: false,
        level: namer.level,
        spot: Spot::Register(register_name(namer.s, number, 8)),
        how: named.how,
        commands: vec!["bt".into()],
    })
}

/// An instruction that the processor does not know, or that is there to be none.
fn unknown(namer: &Namer<'_>, ip: u64, class: Class) -> Option<Access> {
    let line = namer.code.function.text(ip).filter(|_| class == Class::InvalidOpcode)?;
    let what = match line.split(' ').next()? {
        name @ ("ud2" | "ud1" | "ud0") => Accessed::Stop(name.to_owned()),
        _ => Accessed::Unknown(line.clone()),
    };
    Some(Access { what, how: How::Decoded, operands: Vec::new(), code: vec![namer.code.line(ip)], at: None })
}

/// An instruction that was refused without an access: a segment that does not exist, a bit that must not be set.
fn without_memory(namer: &Namer<'_>, ip: u64, class: Class, error_code: Option<u64>) -> Option<Access> {
    if !matches!(class, Class::GeneralProtection | Class::Exception) {
        return None;
    }
    let code = &namer.code;
    let line = code.function.text(ip)?;
    let operands: Vec<Row> = (0..2)
        .filter_map(|n| match code.function.operand(ip, n)? {
            Operand::Reg { number, size } => {
                let value = cut(namer.regs.get(number)?, size, false);
                let named = namer.register(ip, number);
                let register = register_name(namer.s, number, size);
                let expr = named.as_ref().map_or_else(|| CExpr::register(&*register), |n| n.expr.clone());
                let detail =
                    named.as_ref().map(|n| [Detail::In(register.clone()), Detail::Origin(n.origin.clone())]);
                Some(Row {
                    name: Name::Expr(expr),
                    value: Some(Value::of(value, format!("{value:#x}"))),
                    detail: detail.into_iter().flatten().collect(),
                    lost: false,
                    level: namer.level,
                    spot: Spot::Register(register),
                    how: named.map_or(How::Decoded, |n| n.how),
                    commands: vec!["bt".into()],
                })
            }
            _ => None,
        })
        .collect();
    let what = Accessed::Refused {
        protection: class == Class::GeneralProtection,
        instruction: line,
        selector: error_code.filter(|c| *c != 0 && *c <= 0xffff),
    };
    Some(Access { what, how: How::Decoded, operands, code: vec![code.line(ip)], at: None })
}

/// An indirect call's target, how its name is known, and the pointers that it came from.
pub(crate) fn call_target(namer: &Namer<'_>, ip: u64, operand: &Operand) -> Option<(CExpr, How, Vec<Row>)> {
    match operand {
        Operand::Reg { number, .. } => {
            let named = namer.register(ip, *number)?;
            let sym = namer.code.flow.register(ip, *number);
            let rows = sym.map(|sym| chain(namer, ip, sym, Vec::new(), 0)).unwrap_or_default();
            Some((named.expr, named.how, rows))
        }
        Operand::Mem(m) => {
            let member = namer.memory(ip, m)?;
            let rows = m.base.and_then(|base| called_through(namer, ip, base)).unwrap_or_default();
            Some((member.named.expr, member.named.how, rows))
        }
        Operand::Imm(_) => None,
    }
}

/// The pointer to the memory that a call's target was read from, and those before it.
fn called_through(namer: &Namer<'_>, ip: u64, base: usize) -> Option<Vec<Row>> {
    let sym = namer.code.flow.register(ip, base)?;
    let named = namer.sym(ip, sym, 0)?;
    let value = namer.regs.get(base);
    let row = Row {
        name: Name::Expr(named.expr),
        value: value.map(|v| Value::of(v, shown(namer.types(), named.ty, v, 8))),
        detail: pointer_detail(namer, ip, base, &named.origin),
        lost: false,
        level: namer.level,
        spot: Spot::Register(register_name(namer.s, base, 8)),
        how: named.how,
        commands: value.map(|v| vec![format!("rd {v:x} 16")]).unwrap_or_default(),
    };
    Some(chain(namer, ip, sym, vec![row], 0))
}

/// Where a pointer is and how the function came by it: `%rdi, first argument, unchanged since entry`.
fn pointer_detail(namer: &Namer<'_>, ip: u64, base: usize, origin: &Origin) -> Vec<Detail> {
    let told = matches!(origin, Origin::Passed(_));
    let sym = namer.code.flow.register(ip, base).filter(|_| !told);
    let mut out = vec![Detail::In(register_name(namer.s, base, 8)), Detail::Origin(origin.clone())];
    out.extend(sym.map(|sym| passed(namer, sym)).unwrap_or_default());
    out
}

/// With the pointers that a pointer was read from, each with what its memory holds now.
fn chain(namer: &Namer<'_>, ip: u64, sym: Sym, mut told: Vec<Row>, depth: usize) -> Vec<Row> {
    if depth > 6 {
        return told;
    }
    let flow = &namer.code.flow;
    if let Some((element, at)) = namer.element_read(sym)
        && let Some(parts) = element::parts(namer, &element, at)
    {
        told.extend(variable_row(namer, sym, &told));
        return element_chain(namer, ip, &element, &parts, told, depth);
    }
    let (base, at) = match flow.expr(sym) {
        Expr::Load { base, at, .. } => (base, at),
        Expr::Add { base, .. } => (base, ip),
        Expr::Phi { .. } => return with_loop_start(namer, ip, sym, told, depth),
        _ => return told,
    };
    let Some(named) = namer.sym(at, base, 0) else { return told };
    // the object is its address's business
    let is_address =
        named.expr.addressed().is_some() || matches!(flow.expr(base), Expr::Stack(_) | Expr::Const(_));
    if !is_address && told.iter().all(|r| r.expr() != Some(&named.expr)) {
        let row = of_before(link(namer, sym, base, &named), &told);
        told.push(row);
    }
    chain(namer, at, base, told, depth + 1)
}

/// A member that was read by way of a variable which has another value since, as the pointer of a loop: as an expression of
/// now it would be another one.
fn of_before(row: Row, told: &[Row]) -> Row {
    let Some((expr, variable)) = row.expr().and_then(|expr| Some((expr, pointer_of(expr)?))) else {
        return row;
    };
    let Spot::Memory { at, .. } = row.spot else { return row };
    let now = told.iter().find(|other| other.expr() == Some(variable)).and_then(Row::number);
    match now.filter(|now| at.wrapping_sub(*now) >= MAX_OBJECT) {
        Some(_) => {
            let before = Detail::Before(variable.clone());
            let name = Name::Expr(CExpr::words(expr.to_string()));
            let detail = row.detail.iter().cloned().chain([before]).collect();
            Row { name, detail, ..row }
        }
        None => row,
    }
}

/// No object of one type is larger.
const MAX_OBJECT: u64 = 1 << 22;

/// The variable of `p->a.b`.
fn pointer_of(expr: &CExpr) -> Option<&CExpr> {
    match &expr.kind {
        ExprKind::Member(inner, _, true) => matches!(inner.kind, ExprKind::Ident(_)).then_some(inner),
        ExprKind::Member(inner, _, false) => pointer_of(inner),
        _ => None,
    }
}

/// The variable of the source that has the address of the element which a pointer was read from.
fn variable_row(namer: &Namer<'_>, sym: Sym, told: &[Row]) -> Option<Row> {
    let Expr::Load { base, at, .. } = namer.code.flow.expr(sym) else { return None };
    let named = namer.sym(at, base, 0).filter(|named| matches!(named.expr.kind, ExprKind::Ident(_)))?;
    told.iter().all(|row| row.expr() != Some(&named.expr)).then(|| link(namer, sym, base, &named))
}

/// With the pointer and the indices that lead to an element which a pointer was read from.
fn element_chain(
    namer: &Namer<'_>,
    ip: u64,
    element: &Element,
    parts: &element::Parts,
    mut told: Vec<Row>,
    depth: usize,
) -> Vec<Row> {
    let pointer = element::link(namer, element, parts);
    told.extend(pointer.filter(|row| told.iter().all(|known| known.name != row.name)));
    let (rows, _) = element::rows(namer, element, parts, &told);
    told.extend(rows);
    match &element.pointer {
        Some((sym, _)) => chain(namer, ip, *sym, told, depth + 1),
        None => told,
    }
}

/// With the pointer that a loop began with, where memory shows that it led to this one.
fn with_loop_start(namer: &Namer<'_>, ip: u64, sym: Sym, mut told: Vec<Row>, depth: usize) -> Vec<Row> {
    let Some(carried) = namer.code.flow.carried(sym) else { return told };
    let Some(position) = namer.loop_position(sym, &carried) else { return told };
    if position.turns > 0
        && let Some(named) = namer.sym(ip, position.first, 0)
        && told.iter().all(|r| r.expr() != Some(&named.expr))
    {
        told.push(link(namer, sym, position.first, &named));
    }
    chain(namer, ip, position.first, told, depth + 1)
}

/// What lies in the dump where a pointer was read from, if that is another one by now: the member that was read, not the
/// pointer that led there.
fn holds_now(namer: &Namer<'_>, sym: Sym, (base, value): (Sym, u64), named: &Named) -> Option<Detail> {
    let Expr::Load { base: own, disp, size, .. } = namer.code.flow.expr(sym) else { return None };
    // the struct of a member is at another place than the pointer that the code has
    let moved = match namer.code.flow.expr(own) {
        _ if own == base => 0,
        Expr::Add { base: other, disp } if other == base => disp,
        _ => return None,
    };
    let disp = disp.wrapping_add(moved);
    let at = value.wrapping_add_signed(disp);
    let now = read(namer.s.mem(), at, size)
        .filter(|now| namer.value(sym).is_none_or(|held| held.now || held.value != *now))?;
    let what = namer.member_of(named, disp, size).map(|member| member.named.expr);
    Some(Detail::HoldsNow { what, at, value: now })
}

/// One pointer of a chain.
fn link(namer: &Namer<'_>, sym: Sym, base: Sym, named: &Named) -> Row {
    let held = namer.value(base);
    let value = held.as_ref().map(|h| h.value);
    let spot = held.as_ref().map_or(Spot::Made, |h| h.spot.clone());
    let is_memory = held.as_ref().is_some_and(|h| h.now && h.memory.is_some());
    // what was passed, not what its register has now
    let gone = held.as_ref().is_none_or(|h| h.register.is_none());
    let origin = if gone { named.origin.clone().when_it_was() } else { named.origin.clone() };
    let now = value.and_then(|value| holds_now(namer, sym, (base, value), named));
    let mut detail = vec![
        if is_memory { Detail::Now(spot.clone()) } else { Detail::At(spot.clone()) },
        Detail::Origin(origin),
    ];
    detail.extend(passed(namer, base));
    detail.extend(now);
    detail.extend(value.and_then(|v| crate::explain::pointer::target(namer.s, v)).map(Detail::Target));
    let commands = match held.as_ref().and_then(|h| h.memory) {
        Some(at) => vec![format!("rd {at:x}")],
        None => vec!["bt".into()],
    };
    Row {
        name: Name::Expr(named.expr.clone()),
        value: value.map(|v| Value::of(v, shown(namer.types(), named.ty, v, 8))),
        detail,
        lost: false,
        level: namer.level,
        spot,
        how: named.how,
        commands,
    }
}

/// The arguments of a function that has no prototype, or whose own code says little (`memcpy`), as its caller
/// passed them.
fn arguments(namer: &Namer<'_>, told: &[Row]) -> Vec<Row> {
    let Some(outer) = namer.outer() else { return Vec::new() };
    let all = namer.code.arguments().iter().take(3).enumerate();
    all.filter_map(|(n, &number)| argument(namer, outer, n, number, told)).collect()
}

fn argument(namer: &Namer<'_>, outer: &Namer<'_>, n: usize, number: usize, told: &[Row]) -> Option<Row> {
    let flow = &outer.code.flow;
    // a function takes no more arguments than it looks at
    let own_name = CExpr::ident(format!("arg{}", n + 1));
    if !namer.code.function.reads(number, &namer.code.flow)
        || told.iter().any(|row| row.expr() == Some(&own_name))
    {
        return None;
    }
    let sym = flow.register(outer.at, number)?;
    let named = outer.sym(outer.at, sym, 0);
    let held = outer.value(sym).or_else(|| namer.value(namer.code.flow.find(Expr::Entry(number))?));
    let constant = matches!(flow.expr(sym), Expr::Const(v) if v >= 0);
    if named.is_none() && held.is_none() {
        return None;
    }
    let by = outer.code.name.clone();
    let detail = match &named {
        Some(x) if !constant => Detail::Passes { by, expr: x.expr.clone() },
        _ => Detail::Origin(Origin::Passed(by)),
    };
    let about = held
        .as_ref()
        .filter(|h| namer.s.arch().is_kernel(base::VirtAddr(h.value)))
        .and_then(|h| crate::explain::pointer::place(namer.s, h.value));
    let same =
        || told.iter().find(|row| row.expr().is_some() && row.expr() == named.as_ref().map(|x| &x.expr));
    let ty = named.as_ref().and_then(|x| x.ty);
    let value = held.as_ref().map(|h| Value::of(h.value, shown(namer.types(), ty, h.value, 8)));
    let value = value.or_else(|| same()?.value.clone());
    Some(Row {
        name: Name::Argument { function: namer.code.name.clone(), n },
        value,
        detail: [detail].into_iter().chain(about.map(Detail::Target)).collect(),
        lost: false,
        level: outer.level,
        spot: held.map_or(Spot::Made, |h| h.spot),
        how: named.map_or(How::Decoded, |x| x.how),
        commands: vec!["bt".into(), format!("dis -x {}", outer.code.symbol)],
    })
}

fn division(namer: &Namer<'_>, ip: u64) -> Result<Access, Lack> {
    let code = &namer.code;
    if !code.function.divides(ip) {
        return Err(Lack::NoDivision);
    }
    let divisor = code.function.operand(ip, 0);
    let (expr, value, size, ty, how, detail) = match divisor {
        Some(Operand::Reg { number, size }) => {
            let named = namer.register(ip, number);
            let register = register_name(namer.s, number, size);
            let detail = Detail::In(register.clone());
            let expr = named.as_ref().map_or_else(|| CExpr::register(register), |n| n.expr.clone());
            let how = named.as_ref().map_or(How::Decoded, |n| n.how);
            (expr, namer.regs.get(number), size, named.and_then(|n| n.ty), how, detail)
        }
        Some(Operand::Mem(m)) => {
            let at = operand_address(&m, &namer.regs);
            let member = namer.memory(ip, &m);
            let value = at.and_then(|at| read(namer.s.mem(), at, m.size));
            let detail = at.map_or(Detail::Computed, Detail::Address);
            let unnamed = || CExpr::words(namer.s.arch().regs.memory_text(&m));
            let expr = member.as_ref().map_or_else(unnamed, |x| x.named.expr.clone());
            let how = member.as_ref().map_or(How::Decoded, |x| x.named.how);
            (expr, value, m.size, member.and_then(|x| x.named.ty), how, detail)
        }
        _ => return Err(Lack::Divisor),
    };
    let value = value.map(|value| cut(value, size, false));
    let what = Accessed::Division { by: expr.clone(), zero: value == Some(0) };
    let spot = match &detail {
        Detail::In(register) => Spot::Register(register.clone()),
        Detail::Address(at) => Spot::Memory { bits: size * 8, at: *at },
        _ => Spot::Made,
    };
    let row = Row {
        name: Name::Expr(expr),
        value: value.map(|v| Value::of(v, shown(namer.types(), ty, v, size))),
        detail: vec![detail],
        lost: false,
        level: namer.level,
        spot,
        how,
        commands: vec!["bt".into()],
    };
    Ok(Access { what, how, operands: vec![row], code: vec![code.line(ip)], at: None })
}

#[cfg(test)]
mod tests {
    use super::{BinOp, CExpr, around_null, asks_16};

    #[test]
    fn what_must_be_aligned() {
        for name in ["movaps", "vmovdqa64", "movntdq", "cmpxchg16b", "fxrstor64", "xsaves"] {
            assert!(asks_16(name), "{name}");
        }
        for name in ["movups", "movdqu", "vmovdqu", "movnti", "invpcid", "mov"] {
            assert!(!asks_16(name), "{name}");
        }
    }

    #[test]
    fn what_a_null_pointer_is_a_member_of_is_no_error_number() {
        let value = 0_u64.wrapping_sub(0x18);
        let less = |by: u64| CExpr::binary(BinOp::Sub, CExpr::ident("p").arrow("next"), CExpr::hex(by));
        let said = |pointer: CExpr, at: u64| around_null(&pointer, value, at, false).map(|is| is.to_string());
        let curr = || CExpr::ident("curr");
        assert_eq!(said(less(0x18), 0).as_deref(), Some("ffffffffffffffe8, NULL - 0x18"));
        assert_eq!(said(curr(), 8).as_deref(), Some("ffffffffffffffe8, NULL - 0x18 (or ERR_PTR(-EMFILE))"));
        assert_eq!(said(curr(), 0xffff_ffff_ffff_fff0), None);
        assert_eq!(around_null(&less(0x18), 0x1000, 0x1018, false), None);
        // ERR_PTR(-EMFILE) of a call, ERR_PTR(-ENOENT) of a variable
        assert_eq!(around_null(&curr(), value, 8, true), None);
        assert_eq!(around_null(&curr(), 0_u64.wrapping_sub(2), 0xe, false), None);
    }
}
