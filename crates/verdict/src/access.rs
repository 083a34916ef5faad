//! The access that faulted: its instruction, address, and the chain of pointers that led there.

use crate::condition::{operand_address, read, register_name};
use crate::event::Class;
use crate::model::{Access, How, OperandRow};
use crate::names::{Namer, shown};
use arch::x86_64::regs as x86;
use arch::x86_64::slice::{Expr, Mem, Operand, Sym};
use base::VirtAddr;
use kernel::{Session, slab};

/// Values that the kernel writes into dead memory: include/linux/poison.h.
const POISON: &[(u64, u64, &str)] = &[
    (0x6b6b_6b6b_6b6b_6b6b, u64::MAX, "freed slab memory (POISON_FREE, 6b)"),
    (0x5a5a_5a5a_5a5a_5a5a, u64::MAX, "slab memory never written (POISON_INUSE, 5a)"),
    (0xdead_0000_0000_0100, u64::MAX, "LIST_POISON1: the next pointer of a deleted list entry"),
    (0xdead_0000_0000_0122, u64::MAX, "LIST_POISON2: the prev pointer of a deleted list entry"),
    (0xdead_0000_0000_0200, u64::MAX, "LIST_POISON2: the prev pointer of a deleted list entry (before 4.15)"),
    (0xcccc_cccc_cccc_cccc, u64::MAX, "freed init memory (POISON_FREE_INITMEM, cc)"),
    (0xaaaa_aaaa_aaaa_aaaa, u64::MAX, "poisoned pages (PAGE_POISON, aa)"),
    (0xbbbb_bbbb_bbbb_bbbb, u64::MAX, "slab red zone (bb)"),
];

/// What a pointer's value says of itself; `reach` is how far from the value an access may lie.
pub(crate) fn poison(value: u64) -> Option<&'static str> {
    POISON
        .iter()
        .find(|(pattern, ..)| value.wrapping_sub(*pattern) < 0x1000 || pattern.wrapping_sub(value) < 0x1000)
        .map(|(.., words)| *words)
}

/// True for an address that the processor refuses (bits 47 or 56 and up not all equal).
fn non_canonical(s: &Session, at: u64) -> bool {
    let width = if s.boot().tables.levels == 5 { 57 } else { 48 };
    let top = at.cast_signed() >> (width - 1);
    top != 0 && top != -1
}

/// Tells of the access at the culprit's instruction. `address` is what the processor reported.
pub(crate) fn of_fault(
    namer: &Namer<'_>,
    ip: u64,
    class: Class,
    address: Option<u64>,
    error_code: Option<u64>,
) -> Result<Access, String> {
    let code = namer.code;
    if class == Class::Divide {
        return division(namer, ip);
    }
    let all = code.function.accesses(ip);
    let with: Vec<(Mem, bool, u64)> = all
        .iter()
        .filter_map(|(m, w)| {
            let size = m.size.max(1);
            let at = operand_address(m, namer.regs)?;
            let hit = address.is_none_or(|a| a.wrapping_sub(at) < size || at == a);
            (hit && (address.is_some() || non_canonical(namer.s, at) || class != Class::GeneralProtection))
                .then_some((*m, *w, at))
        })
        .collect();
    let Some((m, writes, at)) = with.first().copied() else {
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
        let named = namer.register(ip, base);
        let name = match (&member, &named) {
            (Some(x), _) if x.object.is_some() => {
                x.object.as_ref().map(|(n, _)| n.clone()).unwrap_or_default()
            }
            (_, Some(n)) => n.text.clone(),
            _ => format!("%{}", register_name(base, 8)),
        };
        if let Some(v) = value {
            why = format!("{name} is {}", judge(namer.s, v));
        }
        how = how.max(named.as_ref().map_or(How::Decoded, |n| n.how));
        operands.push(OperandRow {
            name,
            value: value.map(|v| if v == 0 { "NULL".into() } else { format!("{v:016x}") }),
            detail: match &named {
                Some(n) if !n.origin.is_empty() => format!("%{}, {}", register_name(base, 8), n.origin),
                Some(_) => format!("%{}", register_name(base, 8)),
                None => format!("%{}", register_name(base, 8)),
            },
            how: named.as_ref().map_or(How::Decoded, |n| n.how),
            commands: vec!["bt".into(), format!("dis -x {}", code.symbol)],
        });
        if let Some(sym) = code.flow.register(ip, base) {
            chain(namer, ip, sym, &mut operands, 0);
        }
    }
    if m.base.is_none() && !m.per_cpu && poison(at).is_some() {
        why = format!("the address is {}", judge(namer.s, at));
    }
    let expression = member.as_ref().map(|x| x.named.text.clone());
    if let Some(x) = &member {
        how = how.max(x.named.how);
    }
    let mut text = format!("{kind} of {} byte{} at {at:016x}", m.size, if m.size == 1 { "" } else { "s" });
    if let Some(e) = expression {
        text = format!("{text}: {e}");
    }
    if !why.is_empty() {
        text = format!("{text}; {why}");
    }
    let code_line = format!("{} {}", code.offset(ip), code.function.text(ip).unwrap_or_default());
    Ok(Access { text, how, operands, code: vec![code_line] })
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
            Some((named.text, named.how, rows))
        }
        Operand::Mem(m) => {
            let member = namer.memory(ip, m)?;
            if let Some(base) = m.base
                && let Some(sym) = namer.code.flow.register(ip, base)
                && let Some(named) = namer.sym(sym, 0)
            {
                let value = namer.regs.get(base);
                rows.push(OperandRow {
                    name: named.text,
                    value: value.map(|v| shown(namer.types(), named.ty, v, 8)),
                    detail: format!("%{}", register_name(base, 8)),
                    how: named.how,
                    commands: value.map(|v| vec![format!("rd {v:x} 16")]).unwrap_or_default(),
                });
            }
            Some((member.named.text, member.named.how, rows))
        }
        Operand::Imm(_) => None,
    }
}

/// The pointers that a pointer was read from, each with what its memory holds now.
fn chain(namer: &Namer<'_>, ip: u64, sym: Sym, out: &mut Vec<OperandRow>, depth: usize) {
    if depth > 4 {
        return;
    }
    let flow = &namer.code.flow;
    let base = match flow.expr(sym) {
        Expr::Load { base, .. } | Expr::Add { base, .. } => base,
        _ => return,
    };
    let Some(named) = namer.sym(base, 0) else { return };
    let holder = flow.holders(ip, base).find(|n| namer.regs.get(*n).is_some());
    let value = holder.and_then(|n| namer.regs.get(n));
    let mut detail = holder.map(|n| format!("%{}", register_name(n, 8))).unwrap_or_default();
    if !named.origin.is_empty() {
        detail = if detail.is_empty() { named.origin.clone() } else { format!("{detail}, {}", named.origin) };
    }
    if let (Some(v), Expr::Load { disp, size, .. }) = (value, flow.expr(sym))
        && let Some(now) = read(namer.s.mem(), v.wrapping_add_signed(disp), size)
    {
        detail = format!("{detail}; the memory there now holds {now:#x}");
    }
    if let Some(cache) = value.and_then(|v| slab::cache_of(namer.s, VirtAddr(v))) {
        detail = format!("{detail}; in slab cache {cache}");
    }
    out.push(OperandRow {
        name: named.text,
        value: value.map(|v| shown(namer.types(), named.ty, v, 8)),
        detail,
        how: named.how,
        commands: value.map(|v| vec![format!("rd {v:x} 16")]).unwrap_or_default(),
    });
    chain(namer, ip, base, out, depth + 1);
}

/// What a bad pointer's value says.
pub(crate) fn judge(s: &Session, value: u64) -> String {
    if value == 0 {
        return "NULL".into();
    }
    if let Some(words) = poison(value) {
        return format!("{value:016x}, {words}");
    }
    if value >= 0xffff_ffff_ffff_f001 {
        return format!("{}: an error number where a pointer should be", value.cast_signed());
    }
    if value < 0x1000 {
        return format!("{value:#x}, no address");
    }
    if non_canonical(s, value) {
        return format!("{value:016x}, which is no address (non-canonical)");
    }
    if let Some(l) = s.locate(VirtAddr(value)) {
        return format!("{value:016x}, {}+{:#x}", l.symbol.name, l.offset);
    }
    if let Some(cache) = slab::cache_of(s, VirtAddr(value)) {
        return format!("{value:016x}, in slab cache {cache}");
    }
    format!("{value:016x}")
}

fn division(namer: &Namer<'_>, ip: u64) -> Result<Access, String> {
    let code = namer.code;
    if !code.function.divides(ip) {
        return Err("the instruction at the fault is no division".into());
    }
    let divisor = code.function.operand(ip, 0);
    let (name, value, size, ty, how, detail) = match divisor {
        Some(Operand::Reg { number, size }) => {
            let named = namer.register(ip, number);
            let text = named
                .as_ref()
                .map_or_else(|| format!("%{}", register_name(number, size)), |n| n.text.clone());
            let detail = format!("%{}", register_name(number, size));
            let how = named.as_ref().map_or(How::Decoded, |n| n.how);
            (text, namer.regs.get(number), size, named.and_then(|n| n.ty), how, detail)
        }
        Some(Operand::Mem(m)) => {
            let at = operand_address(&m, namer.regs);
            let member = namer.memory(ip, &m);
            let value = at.and_then(|at| read(namer.s.mem(), at, m.size));
            let detail = at.map(|at| format!("at {at:016x}")).unwrap_or_default();
            let text = member.as_ref().map_or_else(|| "the divisor".to_owned(), |x| x.named.text.clone());
            let how = member.as_ref().map_or(How::Decoded, |x| x.named.how);
            (text, value, m.size, member.and_then(|x| x.named.ty), how, detail)
        }
        _ => return Err("the divisor cannot be told".into()),
    };
    let bits = size.clamp(1, 8) * 8;
    let zero = value.map(|v| v & (u64::MAX >> (64 - bits))) == Some(0);
    let text = if zero {
        format!("division by {name}, which is 0")
    } else {
        format!("division by {name} overflowed")
    };
    let row = OperandRow {
        name,
        value: value.map(|v| shown(namer.types(), ty, v, size)),
        detail,
        how,
        commands: vec!["bt".into()],
    };
    let line = format!("{} {}", code.offset(ip), code.function.text(ip).unwrap_or_default());
    let _ = x86::RIP;
    Ok(Access { text, how, operands: vec![row], code: vec![line] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_known_with_an_offset() {
        assert!(poison(0x6b6b_6b6b_6b6b_6b6b).unwrap().contains("freed"));
        assert!(poison(0x6b6b_6b6b_6b6b_6b8b).is_some());
        assert!(poison(0xdead_0000_0000_0108).is_some());
        assert!(poison(0xffff_8880_0000_0000).is_none());
    }
}
