//! The access that faulted: its instruction, address, and the chain of pointers that led there.

use crate::code::operand::{operand_address, read, register_name};
use crate::explain::operand::passed;
use crate::explain::pointer::non_canonical;
use crate::explain::pointer::{judge, poison};
use crate::model::{Access, How, OperandRow};
use crate::naming::names::{Member, Named, Namer, shown};
use arch::dataflow::{Expr, Mem, Operand, Sym, cut};
use cexpr::{BinOp, Expr as CExpr, ExprKind};
use kernel::log::event::Class;

/// Tells of the access at the instruction of the fault. `address` is what the processor reported.
pub(crate) fn of_fault(
    namer: &Namer<'_>,
    ip: u64,
    class: Class,
    address: Option<u64>,
    error_code: Option<u64>,
) -> Result<Access, String> {
    let code = &namer.code;
    if class == Class::Divide {
        return division(namer, ip);
    }
    let all = code.function.accesses(ip);
    let of = |address: Option<u64>| -> Option<(Mem, bool, u64)> {
        all.iter().find_map(|(m, w)| {
            let at = operand_address(m, &namer.regs)?;
            let hit = address.is_none_or(|a| a.wrapping_sub(at) < m.size.max(1) || at == a);
            let odd = address.is_some() || class != Class::GeneralProtection || non_canonical(namer.s, at);
            (hit && odd).then_some((*m, *w, at))
        })
    };
    // the address that the kernel prints of a general protection fault is its own reading of the instruction, which
    // has left out displacements (5.10): the registers tell
    let found = of(address).or_else(|| of(None).filter(|_| class == Class::GeneralProtection));
    let Some((m, writes, at)) = found else {
        if let Some(told) = without_memory(namer, ip, class, error_code).or_else(|| unknown(namer, ip, class))
        {
            return Ok(told);
        }
        return Err(match code.function.text(ip) {
            Some(text) => format!(
                "the instruction at {} ({text}) has no memory operand at the address that faulted",
                code.offset(ip)
            ),
            None => "no instruction begins where the fault was".into(),
        });
    };
    let writes =
        error_code.map_or(writes, |c| if class == Class::GeneralProtection { writes } else { c & 2 != 0 });
    let kind = if writes { "write" } else { "read" };
    let mut operands = Vec::new();
    let mut how = How::Decoded;
    let member = namer.memory(ip, &m);
    let mut why = String::new();
    if let Some(base) = m.base {
        let value = namer.regs.get(base);
        let named = of_caller(namer, ip, base).or_else(|| namer.register(ip, base));
        let name = match (&member, &named) {
            (_, Some(n)) if n.origin.starts_with("passed by ") => n.expr.clone(),
            (Some(Member { object: Some((object, _)), .. }), _) => object.clone(),
            (_, Some(n)) => n.expr.clone(),
            _ => CExpr::register(register_name(namer.s, base, 8)),
        };
        if let Some(v) = value {
            let is = around_null(&name, v, at).unwrap_or_else(|| judge(namer.s, v));
            why = format!("{} is {is}", name.for_reader());
        }
        how = how.max(named.as_ref().map_or(How::Decoded, |n| n.how));
        operands.push(OperandRow {
            name: name.for_reader().to_string(),
            expr: Some(name.clone()),
            value: value.map(|v| if v == 0 { "NULL".into() } else { format!("{v:016x}") }),
            number: value,
            lost: false,
            // a register without a name is its own place
            detail: named.as_ref().map_or_else(String::new, |n| pointer_detail(namer, ip, base, &n.origin)),
            how: named.as_ref().map_or(How::Decoded, |n| n.how),
            commands: vec!["bt".into(), format!("dis -x {}", code.symbol)],
        });
        if let Some(sym) = code.flow.register(ip, base) {
            chain(namer, ip, sym, &mut operands, 0);
        }
    }
    operands.extend(index_row(namer, ip, &m));
    let line = code.function.text(ip).unwrap_or_default();
    let name = line.trim_start_matches("lock ").split(' ').next().unwrap_or_default();
    if class == Class::GeneralProtection && asks_16(name) && at % 16 != 0 && !non_canonical(namer.s, at) {
        let text = format!("the address is not a multiple of 16, which {name} needs");
        why = if why.is_empty() { text } else { format!("{text}; {why}") };
    }
    if m.base.is_none() && !m.per_cpu && poison(at).is_some() {
        why = format!("the address is {}", judge(namer.s, at));
    }
    // functions in assembler have a prototype without parameters
    let untyped = namer.params().is_none_or(Vec::is_empty);
    let nameless = m.base.is_some_and(|base| {
        let register = CExpr::register(register_name(namer.s, base, 8));
        operands.iter().any(|o| o.expr.as_ref() == Some(&register))
    });
    if code.function.is_string(ip) || ((untyped || nameless) && member.is_none()) {
        let told = arguments(namer, &operands);
        operands.extend(told);
    }
    let expression = member.as_ref().map(|x| x.named.expr.clone()).or_else(|| {
        let (sym, _) = m.base.and_then(|_| code.flow.address(ip, &m)).filter(|(_, disp)| *disp == 0)?;
        namer.sym(ip, sym, 0)?.expr.addressed().cloned()
    });
    if let Some(x) = &member {
        how = how.max(x.named.how);
    }
    let mut text = match m.size {
        // `rep movsb`: as many as its counter says
        0 => format!("{kind} at {at:016x}"),
        1 => format!("{kind} of 1 byte at {at:016x}"),
        n => format!("{kind} of {n} bytes at {at:016x}"),
    };
    if let Some(e) = expression {
        text = format!("{text}: {}", e.for_reader());
    }
    if !why.is_empty() {
        text = format!("{text}; {why}");
    }
    let code_line = format!("{} {}", code.offset(ip), code.function.text(ip).unwrap_or_default());
    Ok(Access { text, how, operands, code: vec![code_line], at: Some(at) })
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
fn around_null(pointer: &CExpr, value: u64, at: u64) -> Option<String> {
    let less = Some(value.wrapping_neg()).filter(|less| (1..=0xfff).contains(less))?;
    let by = match &pointer.kind {
        ExprKind::Binary(BinOp::Sub, _, by) => match by.kind {
            ExprKind::Int { value, .. } => Some(value),
            _ => None,
        },
        _ => None,
    };
    let null = format!("{value:016x}, NULL - {less:#x}");
    match (by == Some(less), crate::code::errors::error_name(value)) {
        (true, _) => Some(null),
        (false, Some(error)) if at < 0x1000 => Some(format!("{null} (or ERR_PTR({error}))")),
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
    // what was passed lies no higher than what it was moved on to
    let same = || now == Some(0) || outer.value(there).is_some_and(|held| now == Some(held.value));
    if argument == number && !matches!(namer.code.flow.expr(sym), Expr::Entry(_)) && !same() {
        return None;
    }
    let named = outer.sym(outer.at, there, 0)?;
    let origin = format!("passed by {}", outer.code.name);
    Some(Named { origin, ..named })
}

/// The index of an array, where the instruction has one.
fn index_row(namer: &Namer<'_>, ip: u64, m: &Mem) -> Option<OperandRow> {
    let (number, _) = m.index.filter(|_| m.base.is_some())?;
    let named = namer.register(ip, number)?;
    let value = namer.regs.get(number)?;
    // an index is counted from both ends
    let shown = i64::try_from(value).map_or_else(|_| value.cast_signed().to_string(), |v| v.to_string());
    Some(OperandRow {
        name: named.text(),
        expr: Some(named.expr),
        value: Some(shown),
        number: Some(value),
        lost: false,
        detail: pointer_detail(namer, ip, number, &named.origin),
        how: named.how,
        commands: vec!["bt".into()],
    })
}

/// An instruction that the processor does not know, or that is there to be none.
fn unknown(namer: &Namer<'_>, ip: u64, class: Class) -> Option<Access> {
    let line = namer.code.function.text(ip).filter(|_| class == Class::InvalidOpcode)?;
    let text = match line.split(' ').next()? {
        name @ ("ud2" | "ud1" | "ud0") => {
            format!(
                "{name}, which is there to stop the code, and no assertion of the kernel's is known there"
            )
        }
        _ => format!("the processor did not take {line}"),
    };
    let code = vec![format!("{} {line}", namer.code.offset(ip))];
    Some(Access { text, how: How::Decoded, operands: Vec::new(), code, at: None })
}

/// An instruction that was refused without an access: a segment that does not exist, a bit that must not be set.
fn without_memory(namer: &Namer<'_>, ip: u64, class: Class, error_code: Option<u64>) -> Option<Access> {
    if !matches!(class, Class::GeneralProtection | Class::Exception) {
        return None;
    }
    let code = &namer.code;
    let line = code.function.text(ip)?;
    let operands: Vec<OperandRow> = (0..2)
        .filter_map(|n| match code.function.operand(ip, n)? {
            Operand::Reg { number, size } => {
                let value = cut(namer.regs.get(number)?, size, false);
                let named = namer.register(ip, number);
                let register = register_name(namer.s, number, size);
                let name = named.as_ref().map_or_else(|| format!("%{register}"), Named::text);
                let origin = named.as_ref().map(|n| n.origin.clone()).filter(|o| !o.is_empty());
                let detail = named.is_some().then(|| format!("%{register}")).into_iter().chain(origin);
                Some(OperandRow {
                    name,
                    expr: named.as_ref().map(|n| n.expr.clone()),
                    value: Some(format!("{value:#x}")),
                    number: Some(value),
                    lost: false,
                    detail: detail.collect::<Vec<_>>().join(", "),
                    how: named.map_or(How::Decoded, |n| n.how),
                    commands: vec!["bt".into()],
                })
            }
            _ => None,
        })
        .collect();
    let refused = if class == Class::GeneralProtection { "refused" } else { "stopped at" };
    let mut text = format!("the processor {refused} {line}");
    // bit 0: from outside; bit 1: of the interrupt table; bit 2: of a process's own table
    if let Some(selector) = error_code.filter(|c| *c != 0 && *c <= 0xffff) {
        let table = match selector & 6 {
            0 => "the global descriptor table",
            4 => "the process's own descriptor table",
            _ => "the interrupt table",
        };
        text = format!("{text}; selector {:#x}: entry {} of {table}", selector & !3, selector >> 3);
    }
    let code_line = format!("{} {line}", code.offset(ip));
    Some(Access { text, how: How::Decoded, operands, code: vec![code_line], at: None })
}

/// The name of an indirect call's target, and the pointers that it came from.
pub(crate) fn call_target(
    namer: &Namer<'_>,
    ip: u64,
    operand: &Operand,
) -> Option<(String, How, Vec<OperandRow>)> {
    let mut rows = Vec::new();
    match operand {
        Operand::Reg { number, .. } => {
            let named = namer.register(ip, *number)?;
            if let Some(sym) = namer.code.flow.register(ip, *number) {
                chain(namer, ip, sym, &mut rows, 0);
            }
            Some((named.text(), named.how, rows))
        }
        Operand::Mem(m) => {
            let member = namer.memory(ip, m)?;
            if let Some(base) = m.base
                && let Some(sym) = namer.code.flow.register(ip, base)
                && let Some(named) = namer.sym(ip, sym, 0)
            {
                let value = namer.regs.get(base);
                rows.push(OperandRow {
                    name: named.text(),
                    expr: Some(named.expr),
                    value: value.map(|v| shown(namer.types(), named.ty, v, 8)),
                    number: value,
                    lost: false,
                    detail: pointer_detail(namer, ip, base, &named.origin),
                    how: named.how,
                    commands: value.map(|v| vec![format!("rd {v:x} 16")]).unwrap_or_default(),
                });
                chain(namer, ip, sym, &mut rows, 0);
            }
            Some((member.named.text(), member.named.how, rows))
        }
        Operand::Imm(_) => None,
    }
}

/// Where a pointer is and how the function came by it: `%rdi, first argument, unchanged since entry`.
fn pointer_detail(namer: &Namer<'_>, ip: u64, base: usize, origin: &str) -> String {
    let mut parts = vec![format!("%{}", register_name(namer.s, base, 8))];
    parts.extend(Some(origin.to_owned()).filter(|o| !o.is_empty()));
    let told = origin.starts_with("passed by ");
    parts.extend(namer.code.flow.register(ip, base).filter(|_| !told).and_then(|sym| passed(namer, sym)));
    parts.join(", ")
}

/// The pointers that a pointer was read from, each with what its memory holds now.
fn chain(namer: &Namer<'_>, ip: u64, sym: Sym, out: &mut Vec<OperandRow>, depth: usize) {
    if depth > 6 {
        return;
    }
    let flow = &namer.code.flow;
    let (base, at) = match flow.expr(sym) {
        Expr::Load { base, at, .. } => (base, at),
        Expr::Add { base, .. } => (base, ip),
        Expr::Phi { .. } => return walked(namer, ip, sym, out, depth),
        _ => return,
    };
    let Some(named) = namer.sym(at, base, 0) else { return };
    // the object is its address's business
    let is_address =
        named.expr.addressed().is_some() || matches!(flow.expr(base), Expr::Stack(_) | Expr::Const(_));
    if !is_address && out.iter().all(|r| r.name != named.text()) {
        out.push(link(namer, sym, base, &named));
    }
    chain(namer, at, base, out, depth + 1);
}

/// The pointer that a loop began with, where memory shows that it led to this one.
fn walked(namer: &Namer<'_>, ip: u64, sym: Sym, out: &mut Vec<OperandRow>, depth: usize) {
    let Some(walk) = namer.code.flow.walk(sym) else { return };
    let Some(reached) = namer.reached(sym, &walk) else { return };
    if reached.turns > 0
        && let Some(named) = namer.sym(ip, reached.first, 0)
        && out.iter().all(|r| r.name != named.text())
    {
        out.push(link(namer, sym, reached.first, &named));
    }
    chain(namer, ip, reached.first, out, depth + 1);
}

/// One pointer of a chain.
fn link(namer: &Namer<'_>, sym: Sym, base: Sym, named: &Named) -> OperandRow {
    let held = namer.value(base);
    let value = held.as_ref().map(|h| h.value);
    let mut detail = match &held {
        Some(h) if h.now && h.memory.is_some() => format!("{} as the dump has it", h.place),
        Some(h) => h.place.clone(),
        None => String::new(),
    };
    let mut add = |text: String| {
        if !text.is_empty() {
            detail = if detail.is_empty() { text } else { format!("{detail}, {text}") };
        }
    };
    // what was passed, not what its register has now
    let gone = held.as_ref().is_none_or(|h| h.register.is_none());
    let unchanged = named.origin.strip_suffix(", unchanged since entry").filter(|_| gone);
    add(unchanged.unwrap_or(&named.origin).to_owned());
    add(passed(namer, base).unwrap_or_default());
    if let (Some(v), Expr::Load { disp, size, .. }) = (value, namer.code.flow.expr(sym))
        && let Some(now) = read(namer.s.mem(), v.wrapping_add_signed(disp), size)
        && namer.value(sym).is_none_or(|h| h.now || h.value != now)
    {
        add(format!("the memory there now holds {now:#x}"));
    }
    if let Some(text) = value.and_then(|v| crate::explain::pointer::target(namer.s, v)) {
        add(text);
    }
    let commands = match held.as_ref().and_then(|h| h.memory) {
        Some(at) => vec![format!("rd {at:x}")],
        None => vec!["bt".into()],
    };
    OperandRow {
        name: named.text(),
        expr: Some(named.expr.clone()),
        value: value.map(|v| shown(namer.types(), named.ty, v, 8)),
        number: value,
        lost: false,
        detail,
        how: named.how,
        commands,
    }
}

/// The arguments of a function that has no prototype, or whose own code says little (`memcpy`), as its caller
/// passed them.
fn arguments(namer: &Namer<'_>, told: &[OperandRow]) -> Vec<OperandRow> {
    let Some(outer) = namer.outer() else { return Vec::new() };
    let flow = &outer.code.flow;
    let mut rows = Vec::new();
    for (n, &number) in namer.code.arguments().iter().take(3).enumerate() {
        // a function takes no more arguments than it looks at
        if !namer.code.function.reads(number, &namer.code.flow) {
            continue;
        }
        let own_name = format!("arg{}", n + 1);
        if told.iter().any(|row| row.name == own_name) {
            continue;
        }
        let Some(sym) = flow.register(outer.at, number) else { continue };
        let named = outer.sym(outer.at, sym, 0);
        let held = outer.value(sym).or_else(|| {
            let own = namer.code.flow.find(Expr::Entry(number))?;
            namer.value(own)
        });
        let constant = matches!(flow.expr(sym), Expr::Const(v) if v >= 0);
        if named.is_none() && held.is_none() {
            continue;
        }
        let name = format!("{}'s {} argument", namer.code.name, crate::naming::names::ordinal(n));
        let passed = named.as_ref().map(Named::text);
        let detail = match &named {
            Some(x) if !constant => format!("{} passes {}", outer.code.name, x.text()),
            _ => format!("passed by {}", outer.code.name),
        };
        let about = held
            .as_ref()
            .filter(|h| namer.s.arch().is_kernel(base::VirtAddr(h.value)))
            .and_then(|h| crate::explain::pointer::place(namer.s, h.value));
        let detail = about.map_or(detail.clone(), |about| format!("{detail}, {about}"));
        let same = || told.iter().find(|row| Some(&row.name) == passed.as_ref());
        rows.push(OperandRow {
            name,
            expr: None,
            value: held
                .as_ref()
                .map(|h| shown(namer.types(), named.as_ref().and_then(|x| x.ty), h.value, 8))
                .or_else(|| same()?.value.clone()),
            number: held.as_ref().map(|h| h.value).or_else(|| same()?.number),
            lost: false,
            detail,
            how: named.map_or(How::Decoded, |x| x.how),
            commands: vec!["bt".into(), format!("dis -x {}", outer.code.symbol)],
        });
    }
    rows
}

fn division(namer: &Namer<'_>, ip: u64) -> Result<Access, String> {
    let code = &namer.code;
    if !code.function.divides(ip) {
        return Err("the instruction at the fault is no division".into());
    }
    let divisor = code.function.operand(ip, 0);
    let (expr, value, size, ty, how, detail) = match divisor {
        Some(Operand::Reg { number, size }) => {
            let named = namer.register(ip, number);
            let register = register_name(namer.s, number, size);
            let detail = format!("%{register}");
            let expr = named.as_ref().map_or_else(|| CExpr::register(register), |n| n.expr.clone());
            let how = named.as_ref().map_or(How::Decoded, |n| n.how);
            (expr, namer.regs.get(number), size, named.and_then(|n| n.ty), how, detail)
        }
        Some(Operand::Mem(m)) => {
            let at = operand_address(&m, &namer.regs);
            let member = namer.memory(ip, &m);
            let value = at.and_then(|at| read(namer.s.mem(), at, m.size));
            let detail = at.map(|at| format!("at {at:016x}")).unwrap_or_default();
            let unnamed = || CExpr::words("the divisor");
            let expr = member.as_ref().map_or_else(unnamed, |x| x.named.expr.clone());
            let how = member.as_ref().map_or(How::Decoded, |x| x.named.how);
            (expr, value, m.size, member.and_then(|x| x.named.ty), how, detail)
        }
        _ => return Err("the divisor cannot be told".into()),
    };
    let value = value.map(|value| cut(value, size, false));
    let name = expr.for_reader().to_string();
    let text = if value == Some(0) {
        format!("division by {name}, which is 0")
    } else {
        format!("division by {name} overflowed")
    };
    let row = OperandRow {
        name,
        expr: Some(expr),
        value: value.map(|v| shown(namer.types(), ty, v, size)),
        number: value,
        lost: false,
        detail,
        how,
        commands: vec!["bt".into()],
    };
    let line = format!("{} {}", code.offset(ip), code.function.text(ip).unwrap_or_default());
    Ok(Access { text, how, operands: vec![row], code: vec![line], at: None })
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
        let said = |pointer: CExpr, at: u64| around_null(&pointer, value, at);
        let curr = || CExpr::ident("curr");
        assert_eq!(said(less(0x18), 0).as_deref(), Some("ffffffffffffffe8, NULL - 0x18"));
        assert_eq!(said(curr(), 8).as_deref(), Some("ffffffffffffffe8, NULL - 0x18 (or ERR_PTR(-EMFILE))"));
        assert_eq!(said(curr(), 0xffff_ffff_ffff_fff0), None);
        assert_eq!(around_null(&less(0x18), 0x1000, 0x1018), None);
    }
}
