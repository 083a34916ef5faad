//! Reports of KASAN and UBSAN in the log, in the parts that their first lines leave out: what was accessed, of which
//! object, who allocated and freed that; and what was undefined. Source: mm/kasan/report.c, lib/ubsan.c.

use crate::code::function::Code;
use crate::model::{Access, How, OperandRow, Statement};
use crate::naming::names::Namer;
use crate::victim::frames::Victim;
use arch::dataflow::Expr;
use kernel::Session;
use kernel::log::event::is_place;

/// Lines of a report.
const MAX_REPORT: usize = 160;
/// Lines of a stack that are looked at for the one that is none of the allocator's.
const MAX_STACK: usize = 16;

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

/// The access that KASAN found, with the expression that the checked code has for its address.
pub(crate) fn kasan_access(
    s: &Session,
    victim: &Victim<'_>,
    blamed: Option<usize>,
    lines: &[&str],
    at: usize,
) -> Option<Access> {
    let found = report(lines, at).iter().take(4).find_map(|l| accessed(l))?;
    let kind = if found.writes { "write" } else { "read" };
    let mut text = format!(
        "{kind} of {} byte{} at {:016x}",
        found.size,
        if found.size == 1 { "" } else { "s" },
        found.at
    );
    let mut out = Access {
        text: String::new(),
        how: How::Log,
        operands: Vec::new(),
        code: Vec::new(),
        at: Some(found.at),
    };
    if let Some((expression, row, code)) =
        blamed.and_then(|n| expression(s, victim, n, (found.at, found.size)))
    {
        text = format!("{text}: {expression}");
        out.how = out.how.max(row.how);
        out.operands.push(row);
        out.code.push(code);
    }
    out.text = text;
    Some(out)
}

/// The expression of the address that the frame's function gave to the check, its pointer, and the call.
fn expression(
    s: &Session,
    victim: &Victim<'_>,
    n: usize,
    (at, size): (u64, u64),
) -> Option<(String, OperandRow, String)> {
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
    let global = namer.indexed_global(call, base, disp, size).map(|member| member.named.expr);
    let accessed = global.unwrap_or_else(|| whole.expr.pointed());
    let value = at.wrapping_sub(disp.cast_unsigned());
    let row = OperandRow {
        name: pointer.text(),
        expr: Some(pointer.expr),
        value: Some(format!("{value:016x}")),
        number: Some(value),
        lost: false,
        detail: [pointer.origin, "from the address in the report".into()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
        how: pointer.how,
        commands: vec!["log".into(), format!("dis -x {}", code.symbol)],
    };
    Some((accessed.for_reader().to_string(), row, format!("{} call {callee}", code.offset(call))))
}

/// Of a report of KASAN: the object, and who allocated and freed it.
pub(crate) fn kasan_object(lines: &[&str], at: usize) -> Vec<Statement> {
    let about = report(lines, at);
    let log = ["log".to_owned()];
    let mut out = Vec::new();
    // its sentences go over two lines
    let joined = |prefix: &str| {
        let n = about.iter().position(|l| l.starts_with(prefix))?;
        let next = about.get(n + 1).map(|l| l.trim()).filter(|l| !l.is_empty());
        let first = about.get(n)?.trim();
        // the frame of a stack's variable stands on a third
        let third =
            about.get(n + 2).map(|l| l.trim()).filter(|_| next.is_some_and(|l| l.ends_with("in frame:")));
        let words: Vec<&str> = [Some(first), next, third].into_iter().flatten().collect();
        Some(words.join(" "))
    };
    for prefix in [
        "The buggy address belongs to the object at",
        "The buggy address is located",
        "The buggy address belongs to the variable:",
        "The buggy address belongs to stack of task",
        "The buggy address belongs to the virtual mapping at",
    ] {
        if let Some(text) = joined(prefix) {
            let text = text.replacen("The buggy address", "the address", 1);
            out.push(Statement::new(How::Log, text, &log));
        }
    }
    for (prefix, word) in [("Allocated by task", "allocated"), ("Freed by task", "freed")] {
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
            let module = module.map_or_else(String::new, |m| format!(" [{m}"));
            out.push(Statement::new(How::Log, format!("{word} by {by}{module}, task {task}"), &log));
        }
    }
    out
}

/// What UBSAN says behind its first line: `index 9 is out of range for type 'u32 [8]'`.
pub(crate) fn undefined(lines: &[&str], at: usize) -> Option<Access> {
    let text = lines.get(at.checked_add(1)?)?.trim();
    let is_words = !text.is_empty()
        && !is_place(text)
        && ["CPU: ", "====", "Call Trace", "Modules linked", "---["].iter().all(|p| !text.starts_with(p));
    is_words.then(|| Access {
        text: text.to_owned(),
        how: How::Log,
        operands: Vec::new(),
        code: Vec::new(),
        at: None,
    })
}

/// Of a stack that ran over: the functions that have most of it.
pub(crate) fn stack_users(s: &Session, victim: &Victim<'_>) -> Vec<Statement> {
    let mut users: Vec<(String, u64, u64)> = Vec::new();
    for pair in victim.frames().windows(2) {
        let [inner, outer] = pair else { continue };
        if inner.how.is_guess() || outer.how.is_guess() || inner.saved.is_some() {
            continue;
        }
        let Some(bytes) = outer.sp.0.checked_sub(inner.sp.0).filter(|n| *n < 0x4000) else { continue };
        let Some(l) = s.locate(inner.lookup()) else { continue };
        let name = match l.symbol.module {
            Some(module) => format!("{} [{module}]", l.symbol.name),
            None => l.symbol.name.to_owned(),
        };
        match users.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, count, sum)) => (*count, *sum) = (*count + 1, sum.saturating_add(bytes)),
            None => users.push((name, 1, bytes)),
        }
    }
    users.sort_by_key(|(_, _, sum)| std::cmp::Reverse(*sum));
    users.truncate(3);
    users.retain(|(_, _, sum)| *sum >= 256);
    if users.is_empty() {
        return Vec::new();
    }
    let each = users.iter().map(|(name, count, sum)| match count {
        1 => format!("{name} {sum} bytes"),
        n => format!("{name} {sum} bytes in {n} calls"),
    });
    let text = format!("the stack: {}", each.collect::<Vec<_>>().join(", "));
    vec![Statement::new(How::Memory, text, &["bt".into()])]
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
        let texts: Vec<String> = kasan_object(KASAN, 0).into_iter().map(|s| s.text).collect();
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
    fn ubsan_says_what_is_undefined() {
        let lines =
            ["UBSAN: array-index-out-of-bounds in a.c:1:2", "index 9 is out of range for type 'u32 [8]'"];
        assert_eq!(undefined(&lines, 0).unwrap().text, "index 9 is out of range for type 'u32 [8]'");
        assert_eq!(undefined(&["UBSAN: x", "CPU: 1 PID: 2"], 0), None);
        assert_eq!(undefined(&["UBSAN: x"], 0), None);
    }
}
