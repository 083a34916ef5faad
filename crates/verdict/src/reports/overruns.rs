//! Copies that the kernel's checks refused (hardened usercopy, FORTIFY), and stacks whose guard was overwritten: who copied
//! what, how much there was room for, and what lies in the guard's place.
//!
//! Source: mm/usercopy.c (`usercopy_abort()`), include/linux/fortify-string.h, lib/string_helpers.c (`__fortify_panic()`).

use crate::case::Case;
use crate::code::function::Code;
use crate::explain::condition;
use crate::explain::objects;
use crate::explain::pointer;
use crate::model::{
    Access, Accessed, Allocator, CodeLine, Condition, Copied, Detail, How, Name, Operand as Row, Report,
    Spot, Statement, Value,
};
use crate::naming::names::{Namer, shown};
use arch::dataflow::Operand;
use base::VirtAddr;
use kernel::log::event::Event;
use std::rc::Rc;

/// What the kernel said of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    kind: Copied,
    size: u64,
    /// What has not so many bytes, in the kernel's words.
    of: String,
    room: Option<u64>,
    offset: Option<u64>,
}

/// The part between two marks.
fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    Some(text.split_once(from)?.1.split_once(to)?.0)
}

fn said(line: &str) -> Option<Said> {
    refused(line).or_else(|| spanned(line)).or_else(|| behind(line))
}

/// `Kernel memory exposure attempt detected from SLUB object 'kmalloc-96' (offset 32, size 144)!`
fn refused(line: &str) -> Option<Said> {
    let (kind, rest) = [
        ("exposure attempt detected from ", Copied::ToUser),
        ("overwrite attempt detected to ", Copied::FromUser),
    ]
    .into_iter()
    .find_map(|(form, kind)| Some((kind, line.split_once(form)?.1)))?;
    let (of, numbers) = rest.rsplit_once(" (")?;
    let number = |key: &str| numbers.split_once(key)?.1.split([',', ')']).next()?.trim().parse().ok();
    let of = of.to_owned();
    // of a stack the kernel counts from its frame, and from below that without a sign
    let offset = number("offset ").filter(|offset: &u64| i64::try_from(*offset).is_ok());
    Some(Said { kind, size: number("size ")?, of, room: None, offset })
}

/// `memcpy: detected field-spanning write (size 32) of single field "p->x" at f.c:7 (size 16)`
fn spanned(line: &str) -> Option<Said> {
    let (_, rest) = line.split_once("detected field-spanning ")?;
    let kind = if rest.starts_with("read") { Copied::Read } else { Copied::Write };
    let size = between(rest, "(size ", ")")?.parse().ok()?;
    let (_, last) = rest.rsplit_once("(size ")?;
    let room = last.split(')').next()?.parse().ok()?;
    let of = between(rest, "single field \"", "\"")?.to_owned();
    Some(Said { kind, size, of, room: Some(room), offset: None })
}

/// `memcpy: detected buffer overflow: 44 byte write of buffer size 24` (6.9, 3d965b33e40d)
fn behind(line: &str) -> Option<Said> {
    let (_, rest) = line.split_once("detected buffer overflow: ")?;
    let (size, rest) = rest.split_once(" byte ")?;
    let (kind, room) = rest.split_once(" of buffer size ")?;
    let kind = if kind == "read" { Copied::Read } else { Copied::Write };
    let digits = room.bytes().take_while(u8::is_ascii_digit).count();
    let (size, room) = (size.parse().ok()?, room.get(..digits)?.parse().ok()?);
    Some(Said { kind, size, of: "the buffer".to_owned(), room: Some(room), offset: None })
}

/// The call behind which a frame goes on, with what names its values.
fn at_call<'c>(case: &'c Case<'_>, n: usize) -> Option<(Namer<'c>, Rc<Code>, u64, String)> {
    let frames = case.victim.frames();
    let frame = frames.get(n).filter(|f| f.is_call && !f.how.is_guess())?;
    let code = Code::around(case.s, frame.lookup())?;
    let (call, callee) = code.callee(case.s, frame.pc.0)?;
    let callers = frames.get(n + 1..).unwrap_or_default();
    let mut namer =
        Namer::new(case.s, &code, &frame.regs, frame.cfa.map(|at| at.0)).with_callers(callers).by_own();
    namer.at = call;
    Some((namer, code, call, callee.to_owned()))
}

/// The copy that was refused: `n` is the frame that copied, `from` the one that operands are counted from.
pub(crate) fn access(
    case: &Case<'_>,
    event: &Event,
    n: Option<usize>,
    from: Option<usize>,
) -> Option<Access> {
    let level = n.zip(from).and_then(|(n, from)| n.checked_sub(from)).unwrap_or(0);
    let said =
        [Some(&event.line), event.message.as_ref()].into_iter().flatten().find_map(|line| said(line))?;
    let found = n.and_then(|n| at_call(case, n)).filter(|(.., callee)| callee.contains("check_object_size"));
    let (rows, code) = match &found {
        Some((namer, code, call, callee)) => {
            let rows = [argument(namer, *call, 0, level), argument(namer, *call, 1, level)];
            let text = format!("call {callee}");
            let line = CodeLine::Instruction { at: code.offset(*call), text, jump: None, names: Vec::new() };
            (rows.into_iter().flatten().collect(), vec![line])
        }
        None => (Vec::new(), Vec::new()),
    };
    let at = found.as_ref().and_then(|_| rows.first()).and_then(Row::number);
    let size_of = |at: u64| match objects::at(case.s, at)?.of {
        Allocator::Slab(object) => Some(object.size),
        Allocator::Guarded(object) => Some(object.size),
    };
    let room = said.room.or_else(|| size_of(at?));
    let Said { kind, size, of, offset, .. } = said;
    let how = rows.iter().map(|row: &Row| row.how).fold(How::Log, How::max);
    Some(Access { what: Accessed::Copy { kind, size, of, offset, room }, how, operands: rows, code, at })
}

/// An argument of a call.
fn argument(namer: &Namer<'_>, call: u64, n: usize, level: usize) -> Option<Row> {
    let number = *namer.code.arguments().get(n)?;
    let sym = namer.code.flow.register(call, number)?;
    let named = namer.sym(call, sym, 0)?;
    let held = namer.value(sym);
    let target = held.as_ref().filter(|h| namer.s.arch().is_kernel(VirtAddr(h.value)));
    let target = target.and_then(|h| pointer::target(namer.s, h.value));
    Some(Row {
        name: Name::Expr(named.expr),
        value: held.as_ref().map(|h| match n {
            0 => Value::address(h.value),
            _ => Value::of(h.value, shown(namer.types(), named.ty, h.value, 8)),
        }),
        detail: [Detail::Origin(named.origin)].into_iter().chain(target.map(Detail::Target)).collect(),
        lost: false,
        level,
        spot: held.map_or(Spot::Made, |h| h.spot),
        how: named.how,
        commands: vec!["bt".into(), format!("dis -x {}", namer.code.symbol)],
    })
}

/// The condition under which a frame's function called the one that dies of an overflow.
pub(crate) fn condition(case: &Case<'_>, n: Option<usize>) -> Option<Condition> {
    let (namer, code, call, callee) = at_call(case, n?)?;
    if !callee.contains("fortify_panic") {
        return None;
    }
    let found = condition::of_trap(&namer, call, false).ok()?;
    Some(Condition { caller: Some(code.name.clone()), ..found })
}

/// The guard of a frame's stack as it was found: `n` is the frame of the function that looked at it.
pub(crate) fn guard(case: &Case<'_>, n: Option<usize>) -> Option<Statement> {
    let (namer, code, call, callee) = at_call(case, n?)?;
    if !callee.contains("stack_chk_fail") {
        return None;
    }
    let ways = code.function.ways_to(call, &code.flow);
    let compare = ways.iter().find_map(|way| way.steps.last().map(|step| step.compare))?;
    let on_stack = |ip: u64| {
        [0, 1].into_iter().find_map(|operand| {
            let Some(Operand::Mem(m)) = code.function.operand(ip, operand) else { return None };
            let (base, disp) = code.flow.address(ip, &m).filter(|_| !m.per_cpu && m.size == 8)?;
            matches!(code.flow.expr(base), arch::dataflow::Expr::Stack(_))
                .then(|| Some(namer.value(base)?.value.wrapping_add_signed(disp)))?
        })
    };
    let at = [compare].into_iter().chain(code.function.just_before(compare)).take(4).find_map(on_stack)?;
    let value = case.s.mem().u64(VirtAddr(at)).ok()?;
    let said = Report::Guard { function: code.name.clone(), at, value, text: pointer::as_text(value) };
    Some(Statement::new(How::Decoded, said, &[format!("rd {at:x} 8"), format!("dis -x {}", code.symbol)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_checks_of_copies_say() {
        let line = "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-96' (offset 32, size 144)!";
        let told = said(line).unwrap();
        assert_eq!((told.kind, told.size, told.offset, told.room), (Copied::ToUser, 144, Some(32), None));
        assert_eq!(told.of, "SLUB object 'kmalloc-96'");
        let line = "usercopy: Kernel memory overwrite attempt detected to process stack (offset 8, size 99)!";
        let told = said(line).unwrap();
        assert_eq!((told.kind, told.size, told.of.as_str()), (Copied::FromUser, 99, "process stack"));
        let line =
            "memcpy: detected field-spanning write (size 32) of single field \"p->x\" at f.c:7 (size 16)";
        let told = said(line).unwrap();
        assert_eq!(
            (told.kind, told.size, told.room, told.of.as_str()),
            (Copied::Write, 32, Some(16), "p->x")
        );
        let told = said("strcpy: detected buffer overflow: 44 byte read of buffer size 24").unwrap();
        assert_eq!((told.kind, told.size, told.room), (Copied::Read, 44, Some(24)));
        assert_eq!(said("detected buffer overflow in memcpy"), None);
        assert_eq!(said("Kernel memory exposure attempt detected from x"), None);
    }
}
