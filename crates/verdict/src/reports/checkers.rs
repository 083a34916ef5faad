//! Reports of KASAN and UBSAN in the log, in the parts that their first lines leave out: what was accessed, of which
//! object, who allocated and freed that; and what was undefined. Source: mm/kasan/report.c, lib/ubsan.c.

use crate::code::function::Code;
use crate::model::{
    Access, Accessed as What, CodeLine, Detail, How, Name, Operand as Row, Report, Spot, StackUser,
    Statement, Value,
};
use crate::naming::names::Namer;
use crate::victim::frames::Victim;
use arch::dataflow::Expr;
use kernel::Session;
use kernel::log::event::is_place;

/// Lines of a report.
const MAX_REPORT: usize = 160;
/// Lines of a stack that are looked at for the one that is none of the allocator's.
const MAX_STACK: usize = 16;
/// So many variables of a frame are told.
const MAX_VARIABLES: usize = 8;

fn report<'l>(lines: &'l [&'l str], at: usize) -> &'l [&'l str] {
    lines.get(at..lines.len().min(at.saturating_add(MAX_REPORT))).unwrap_or_default()
}

/// What an access was: `Read of size 4 at addr ff1100000163ec08 by task insmod/48`.
#[derive(Debug, PartialEq, Eq)]
struct Accessed {
    writes: bool,
    size: u64,
    at: u64,
}

fn accessed(line: &str) -> Option<Accessed> {
    let (kind, rest) = line.trim().split_once(" of size ")?;
    let writes = match kind.to_ascii_lowercase().as_str() {
        "read" => false,
        "write" => true,
        _ => return None,
    };
    let (size, rest) = rest.split_once(" at addr ")?;
    let at = rest.split_whitespace().next()?;
    Some(Accessed {
        writes,
        size: size.parse().ok()?,
        at: u64::from_str_radix(at.trim_start_matches("0x"), 16).ok()?,
    })
}

/// `Free of addr ff1100000163ec08 by task insmod/48`, of a double free and one of no object (6.3, 6b07434980b3).
fn freed(line: &str) -> Option<u64> {
    let at = line.trim().strip_prefix("Free of addr ")?.split_whitespace().next()?;
    u64::from_str_radix(at.trim_start_matches("0x"), 16).ok()
}

/// The access that KASAN found, with the expression that the checked code has for its address.
pub(crate) fn kasan_access(
    s: &Session,
    victim: &Victim<'_>,
    blamed: Option<usize>,
    lines: &[&str],
    at: usize,
) -> Option<Access> {
    let first = || report(lines, at).iter().take(4);
    if let Some(at) = first().find_map(|line| freed(line)) {
        let what = What::Free { at };
        return Some(Access { what, how: How::Log, operands: Vec::new(), code: Vec::new(), at: Some(at) });
    }
    let found = first().find_map(|line| accessed(line))?;
    let checked = blamed.and_then(|n| expression(s, victim, n, (found.at, found.size)));
    let (expr, rest) = checked.map(|(expr, row, code)| (expr, (row, code))).unzip();
    let (row, code) = rest.unzip();
    let what = What::Memory { writes: found.writes, size: found.size, at: found.at, expr, why: Vec::new() };
    Some(Access {
        what,
        how: row.as_ref().map_or(How::Log, |row: &Row| How::Log.max(row.how)),
        operands: row.into_iter().collect(),
        code: code.into_iter().collect(),
        at: Some(found.at),
    })
}

/// The expression of the address that the frame's function gave to the check, its pointer, and the call.
fn expression(
    s: &Session,
    victim: &Victim<'_>,
    n: usize,
    (at, size): (u64, u64),
) -> Option<(cexpr::Expr, Row, CodeLine)> {
    let frame = victim.frames().get(n).filter(|f| f.is_call && !f.how.is_guess())?;
    let code = Code::around(s, frame.lookup())?;
    let (call, callee) = code.callee(s, frame.pc.0)?;
    if !["__asan_load", "__asan_store", "__asan_report_"].iter().any(|p| callee.starts_with(p)) {
        return None;
    }
    let regs = arch::Regs::new(s.arch().reg_set());
    let mut namer = Namer::new(s, &code, &regs, frame.cfa.map(|at| at.0));
    namer.at = call;
    let sym = code.flow.register(call, *code.arguments().first()?)?;
    let (base, disp) = match code.flow.expr(sym) {
        Expr::Add { base, disp } => (base, disp),
        _ => (sym, 0),
    };
    let pointer = namer.sym(call, base, 0)?;
    let whole = namer.sym(call, sym, 0)?;
    let element = namer.indexed(call, base, disp, size, 0).map(|member| member.named.expr);
    let accessed = element.unwrap_or_else(|| whole.expr.pointed());
    let value = at.wrapping_sub(disp.cast_unsigned());
    let row = Row {
        name: Name::Expr(pointer.expr),
        value: Some(Value::address(value)),
        detail: vec![Detail::Origin(pointer.origin), Detail::FromReport],
        lost: false,
        level: 0,
        spot: Spot::Made,
        how: pointer.how,
        commands: vec!["log".into(), format!("dis -x {}", code.symbol)],
    };
    let text = format!("call {callee}");
    Some((
        accessed,
        row,
        CodeLine::Instruction { at: code.offset(call), text, jump: None, names: Vec::new() },
    ))
}

/// Of a report of KASAN: the object, and who allocated and freed it.
pub(crate) fn kasan_object(lines: &[&str], at: usize) -> Vec<Statement> {
    let about = report(lines, at);
    let mut out = Vec::new();
    // its sentences go over two lines
    let joined = |prefix: &str| {
        let n = about.iter().position(|l| l.starts_with(prefix))?;
        let next = about.get(n + 1).map(|l| l.trim()).filter(|l| !l.is_empty());
        let first = about.get(n)?.trim();
        // the frame of a stack's variable stands on a third, and who made a mapping
        let goes_on = next.is_some_and(|l| l.ends_with("in frame:") || l.ends_with("created by:"));
        let third = about.get(n + 2).map(|l| l.trim()).filter(|_| goes_on);
        let words: Vec<&str> = [Some(first), next, third].into_iter().flatten().collect();
        Some(words.join(" "))
    };
    for prefix in [
        "The buggy address belongs to the object at",
        "The buggy address is located",
        "The buggy address belongs to the variable:",
        "The buggy address belongs to stack of task",
        "The buggy address belongs to the virtual mapping at",
        "The buggy address belongs to a vmalloc virtual mapping",
    ] {
        if let Some(text) = joined(prefix) {
            let said = text.strip_prefix("The buggy address ").unwrap_or(&text).to_owned();
            out.push(Statement::logged(Report::Address(said)));
        }
    }
    let variables = variables(about);
    if !variables.is_empty() {
        out.push(Statement::logged(Report::Variables(variables)));
    }
    for (prefix, freed) in [("Allocated by task", false), ("Freed by task", true)] {
        let Some(n) = about.iter().position(|l| l.starts_with(prefix)) else { continue };
        let task = about.get(n).and_then(|l| l.strip_prefix(prefix)).map(|l| l.trim().trim_end_matches(':'));
        let by =
            about.iter().skip(n + 1).take(MAX_STACK).map(|l| l.trim()).take_while(|l| !l.is_empty()).find(
                |l| {
                    let name = l.split('+').next().unwrap_or(l);
                    !(l.starts_with("? ")
                        || name.starts_with("save_stack")
                        || name.starts_with("kasan_")
                        || crate::code::roles::is_finding(name)
                        || crate::code::roles::is_allocating(name))
                },
            );
        if let (Some(task), Some(by)) = (task, by) {
            let by = by.split('/').next().unwrap_or(by);
            let module = about.iter().find(|l| l.trim().starts_with(by)).and_then(|l| l.split(" [").nth(1));
            let module = module.map(|m| m.trim_end_matches(']').to_owned());
            let (function, task) = (by.to_owned(), task.to_owned());
            out.push(Statement::logged(Report::By { freed, function, module, task }));
        }
    }
    out
}

/// The variables of a frame: `[32, 40) 'data'`, a line each behind `This frame has 1 object:`.
fn variables(about: &[&str]) -> Vec<String> {
    let of_frame = |line: &&str| line.starts_with("This frame has ") && line.contains(" object");
    let Some(n) = about.iter().position(of_frame) else { return Vec::new() };
    let rest = about.iter().skip(n + 1).map(|line| line.trim());
    rest.take_while(|line| line.starts_with('[')).take(MAX_VARIABLES).map(str::to_owned).collect()
}

/// What UBSAN says behind its first line: `index 9 is out of range for type 'u32 [8]'`.
pub(crate) fn undefined(lines: &[&str], at: usize) -> Option<Access> {
    let text = lines.get(at.checked_add(1)?)?.trim();
    let is_words = !text.is_empty()
        && !is_place(text)
        && ["CPU: ", "====", "Call Trace", "Modules linked", "---["].iter().all(|p| !text.starts_with(p));
    is_words.then(|| Access {
        what: What::Undefined(text.to_owned()),
        how: How::Log,
        operands: Vec::new(),
        code: Vec::new(),
        at: None,
    })
}

/// Of a stack that ran over: the functions that have most of it.
pub(crate) fn stack_users(s: &Session, victim: &Victim<'_>) -> Vec<Statement> {
    let mut users: Vec<StackUser> = Vec::new();
    for pair in victim.frames().windows(2) {
        let [inner, outer] = pair else { continue };
        if inner.how.is_guess() || outer.how.is_guess() || inner.saved.is_some() {
            continue;
        }
        let Some(bytes) = outer.sp.0.checked_sub(inner.sp.0).filter(|n| *n < 0x4000) else { continue };
        let Some(l) = s.locate(inner.lookup()) else { continue };
        let (function, module) = (l.symbol.name.to_owned(), l.symbol.module.map(str::to_owned));
        match users.iter_mut().find(|known| known.function == function && known.module == module) {
            Some(known) => {
                known.calls = known.calls.saturating_add(1);
                known.bytes = known.bytes.saturating_add(bytes);
            }
            None => users.push(StackUser { function, module, calls: 1, bytes }),
        }
    }
    users.sort_by_key(|user| std::cmp::Reverse(user.bytes));
    users.truncate(3);
    users.retain(|user| user.bytes >= 256);
    if users.is_empty() {
        return Vec::new();
    }
    vec![Statement::new(How::Memory, Report::StackUsers(users), &["bt".into()])]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KASAN: &[&str] = &[
        "BUG: KASAN: slab-use-after-free in item_count+0x11/0x18 [chk]",
        "Read of size 4 at addr ff1100000163ec08 by task insmod/48",
        "",
        "Allocated by task 48:",
        " kasan_save_stack+0x32/0x4d",
        " __kasan_kmalloc+0x57/0x62",
        " make+0x26/0x98 [chk]",
        "",
        "Freed by task 49:",
        " kasan_save_free_info+0x3f/0x45",
        " kfree+0x27f/0x2f6",
        " go+0x6c/0x1000 [chk]",
        "",
        "The buggy address belongs to the object at ff1100000163ec00",
        " which belongs to the cache kmalloc-512 of size 512",
    ];

    #[test]
    fn a_report_of_kasan_tells_of_its_object() {
        assert_eq!(accessed(KASAN[1]), Some(Accessed { writes: false, size: 4, at: 0xff11_0000_0163_ec08 }));
        assert_eq!(accessed("Object of size 4"), None);
        let texts: Vec<String> = kasan_object(KASAN, 0).into_iter().map(|s| s.text()).collect();
        assert_eq!(
            texts,
            [
                "the address belongs to the object at ff1100000163ec00 which belongs to the cache kmalloc-512 of size 512",
                "allocated by make+0x26 [chk], task 48",
                "freed by go+0x6c [chk], task 49",
            ]
        );
    }

    #[test]
    fn a_report_of_a_stack_has_its_frame_s_variables_and_one_of_vmalloc_who_made_it() {
        let texts = |lines: &[&str]| kasan_object(lines, 0).into_iter().map(|s| s.text()).collect::<Vec<_>>();
        let stack = [
            "BUG: KASAN: stack-out-of-bounds in way+0x92/0xb0 [chk]",
            "Write of size 4 at addr ffffc90000157d60 by task insmod/48",
            "",
            "The buggy address belongs to stack of task insmod/48",
            " and is located at offset 48 in frame:",
            " way+0x0/0xb0 [chk]",
            "",
            "This frame has 2 objects:",
            " [32, 40) 'data'",
            " [64, 72) 'other'",
            "",
            "The buggy address belongs to the virtual mapping at",
            " [ffffc90000150000, ffffc90000159000) created by:",
            " kernel_clone+0xc8/0x590",
        ];
        assert_eq!(
            texts(&stack),
            [
                "the address belongs to stack of task insmod/48 and is located at offset 48 in frame: way+0x0/0xb0 [chk]",
                "the address belongs to the virtual mapping at [ffffc90000150000, ffffc90000159000) created by: \
                 kernel_clone+0xc8/0x590",
                "the frame's variables: [32, 40) 'data', [64, 72) 'other'",
            ]
        );
        assert_eq!(freed("Free of addr ff1100000163ec08 by task insmod/48"), Some(0xff11_0000_0163_ec08));
        assert_eq!(freed("Free of addr nothing"), None);
    }

    #[test]
    fn ubsan_says_what_is_undefined() {
        let lines =
            ["UBSAN: array-index-out-of-bounds in a.c:1:2", "index 9 is out of range for type 'u32 [8]'"];
        assert_eq!(undefined(&lines, 0).unwrap().to_string(), "index 9 is out of range for type 'u32 [8]'");
        assert_eq!(undefined(&["UBSAN: x", "CPU: 1 PID: 2"], 0), None);
        assert_eq!(undefined(&["UBSAN: x"], 0), None);
    }
}
