//! What else is worth knowing of an object: its name, its flags, and its numbers that are called like
//! the member in question.

use crate::code::operand::read;
use crate::model::{Condition, How, Known, Object, Related, Report, Statement, Value};
use crate::naming::names::shown;
use base::VirtAddr;
use cexpr::MemberPath;
use debuginfo::types::{Encoding, Type, TypeRef};
use kernel::Session;
use kernel::log::event::Class;
use kernel::mm::slub::State;

const MAX_STATEMENTS: usize = 10;

/// A scalar member: path, type, offset.
type Scalar = (String, TypeRef, u64);

pub(crate) fn of(s: &Session, object: &Object) -> Vec<Statement> {
    let mut scalars = Vec::new();
    gather(s, object.ty, 0, "", 0, &mut scalars);
    let member = object.member.to_string();
    let own = object.member.steps.last().map_or("", |step| step.name.as_str());
    let words: Vec<&str> = own.split('_').filter(|w| w.len() > 2).collect();
    let tag = s.types().name(object.ty);
    let mut out = Vec::new();
    let mut numbers = Vec::new();
    // what is lost takes its place too, so that no other member comes in for it
    let mut lost = 0_usize;
    for (path, ty, offset) in scalars {
        if path == member || out.len().saturating_add(lost) >= MAX_STATEMENTS {
            continue;
        }
        let at = object.at.wrapping_add(offset);
        let Ok((_, full)) = s.types().resolve(ty) else { continue };
        let leaf = path.rsplit('.').next().unwrap_or("");
        let value = match &*full {
            Type::Int { encoding: Encoding::Bool, .. } => {
                let value = read(s.mem(), at, 1).map(|v| Value::of(v, shown(s.types(), Some(ty), v, 1)));
                lost += usize::from(value.is_none());
                value
            }
            Type::Pointer { to } if leaf.ends_with("name") && is_char(s, *to) => {
                lost += usize::from(is_name_lost(s, at));
                name_at(s, at).map(|(at, name)| Value::of(at, format!("\"{name}\"")))
            }
            Type::Int { size, .. }
                if leaf.split('_').any(|w| words.contains(&w)) && matches!(size, 1 | 2 | 4 | 8) =>
            {
                if let Some(v) = read(s.mem(), at, *size) {
                    numbers.push((path.clone(), at, Value::of(v, shown(s.types(), Some(ty), v, *size))));
                }
                None
            }
            _ => None,
        };
        out.extend(value.map(|value| made(object, &tag, path, at, value)));
    }
    out.extend(numbers.into_iter().take(4).map(|(path, at, value)| made(object, &tag, path, at, value)));
    out
}

/// True where the pointer to a name, or the name, is not in the dump.
fn is_name_lost(s: &Session, at: u64) -> bool {
    match s.mem().ptr(VirtAddr(at)) {
        Ok(name) => s.arch().is_kernel(name) && s.mem().u8(name).is_err(),
        Err(_) => true,
    }
}

/// Of a report of the slab allocator in the log (`BUG kmalloc-96 (Tainted: G): Poison overwritten`): its lines.
fn slab_report<'l>(lines: &'l [&'l str]) -> &'l [&'l str] {
    let report = |line: &&str| line.starts_with("BUG ") && line.contains(" (") && line.contains("): ");
    let first = lines.iter().position(report).unwrap_or(lines.len());
    lines.get(first..(first + MAX_REPORT).min(lines.len())).unwrap_or_default()
}

/// What a line of a report says behind its first words; before 5.13 `INFO: ` stands before those.
fn said_in<'l>(about: &[&'l str], prefix: &str) -> Option<&'l str> {
    about.iter().find_map(|l| l.strip_prefix("INFO: ").unwrap_or(l).strip_prefix(prefix))
}

/// The object that a report of an allocator names.
pub(crate) fn reported_object(s: &Session, class: Class, lines: &[&str]) -> Option<u64> {
    match class {
        Class::SlabCorruption => slab_object(slab_report(lines)),
        Class::Sanitizer => Some(kernel::mm::kfence::numbered(s, kfence_number(lines)?)?.0),
        _ => None,
    }
}

fn slab_object(about: &[&str]) -> Option<u64> {
    let rest = said_in(about, "Object 0x")?;
    u64::from_str_radix(rest.split(' ').next()?, 16).ok()
}

/// The text that overwritten bytes are, where the dump has them as the report found them: `First byte 0x74 instead of …`.
fn text_at(s: &Session, from: u64, count: u64, found: &str) -> Option<String> {
    let first = found.split_once("0x").and_then(|(_, rest)| u8::from_str_radix(rest.get(..2)?, 16).ok())?;
    let raw = s.mem().bytes(VirtAddr(from), usize::try_from(count.min(MAX_TEXT)).ok()?).ok()?;
    text_of(&raw, first)
}

/// Bytes that begin with this one as a text; its end may be zeros.
fn text_of(raw: &[u8], first: u8) -> Option<String> {
    let end = raw.iter().rposition(|byte| *byte != 0)?.checked_add(1)?;
    let used = raw.get(..end).filter(|used| used.len() >= MIN_TEXT && used.first() == Some(&first))?;
    let good = used.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    good.then(|| String::from_utf8_lossy(used).into_owned())
}

/// How many overwritten bytes are shown as a text, and how many are none.
const MAX_TEXT: u64 = 64;
const MIN_TEXT: usize = 3;

/// Of a function that is there to free: the object of its condition that was free before.
pub(crate) fn freed_twice(s: &Session, condition: &Condition) -> Option<Statement> {
    let mut objects = condition.operands.iter().filter_map(|row| {
        let at = row.number()?;
        let object = kernel::mm::slub::object_at(s, VirtAddr(at))?;
        (object.state == State::Free && object.at.0 == at).then_some(at)
    });
    let at = objects.next()?;
    // the head of the free ones is the object that was to become it
    (objects.next() == Some(at)).then(|| {
        let commands = [format!("rd {at:x} 16"), format!("kmem {at:x}")];
        Statement::new(How::Memory, Report::FreedTwice(at), &commands)
    })
}

/// The number of the object that a report of KFENCE is about; its address is scrambled.
fn kfence_number(lines: &[&str]) -> Option<u64> {
    let first = lines.iter().position(|line| line.starts_with("BUG: KFENCE: "))?;
    let about = lines.get(first..(first + MAX_REPORT).min(lines.len()))?;
    about.iter().find_map(|line| {
        let (_, rest) = line.split_once("kfence-#")?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.get(..digits)?.parse().ok()
    })
}

/// Of a report of the slab allocator: the object, as the log and the dump have it. What the dump itself knows of the
/// object's past is not told again.
pub(crate) fn of_slab_report(s: &Session, lines: &[&str], told: &[Known]) -> Vec<Statement> {
    let about = slab_report(lines);
    let mut out = Vec::new();
    let object = slab_object(about);
    let is_told = |at: u64| told.iter().any(|o| o.met.begin().0 == at);
    let range = about.iter().find_map(|l| overwritten(l.strip_prefix("INFO: ").unwrap_or(l)));
    if let Some(at) = object {
        if !is_told(at) {
            let commands = [format!("rd {at:x} 16"), "log".to_owned()];
            let met = crate::explain::objects::at(s, at).map(Box::new);
            out.push(Statement::new(How::Memory, Report::Object(at, met), &commands));
        }
        if let Some((from, to, found)) = range {
            let found = found.to_owned();
            let report = match (from.checked_sub(at), to.checked_sub(from)) {
                (Some(offset), Some(len)) => {
                    let count = len.saturating_add(1);
                    let text = text_at(s, from, count, &found);
                    Report::Overwritten { count, offset, found, text }
                }
                _ => Report::OverwrittenAt { from, to, found },
            };
            out.push(Statement::logged(report));
        }
    }
    if object.is_some_and(is_told) {
        return out;
    }
    for (word, freed) in [("Allocated in ", false), ("Freed in ", true)] {
        let by = said_in(about, word).map(str::to_owned);
        out.extend(by.map(|by| Statement::logged(Report::Track { freed, by })));
    }
    out
}

/// Of a report of KFENCE in the log: the object, who allocated and who freed it. Addresses in it are scrambled. Nothing
/// where the dump's own memory told of that object.
pub(crate) fn of_kfence_report(lines: &[&str], told: &[Known]) -> Vec<Statement> {
    let Some(first) = lines.iter().position(|line| line.starts_with("BUG: KFENCE: ")) else {
        return Vec::new();
    };
    let about = lines.get(first..(first + MAX_REPORT).min(lines.len())).unwrap_or_default();
    let mut out = Vec::new();
    // `kfence-#222: 0x…-0x…, size=1016, cache=kmalloc-1k`; with `[…]` around it before 5.17
    let object = about.iter().find_map(|line| {
        let (name, rest) = line.split_once(": ").filter(|(name, _)| name.starts_with("kfence-#"))?;
        let part = |key: &str| {
            let value = rest.split(", ").find_map(|word| word.trim_matches(['[', ']']).strip_prefix(key))?;
            Some(value.split(' ').next()?.trim_end_matches(']'))
        };
        let (name, size, cache) = (name.to_owned(), part("size=")?.to_owned(), part("cache=")?.to_owned());
        Some(Report::Guarded { name, size, cache })
    });
    let number = kfence_number(about);
    if object.is_some() && number.is_some() && told.iter().any(|o| o.met.number() == number) {
        return Vec::new();
    }
    out.extend(object.map(Statement::logged));
    for word in ["allocated by task ", "freed by task "] {
        let Some(n) = about.iter().position(|line| line.starts_with(word)) else { continue };
        let who = about.get(n).map(|line| line.trim_end_matches(':')).unwrap_or_default();
        let stack: Vec<String> = about
            .get(n + 1..)
            .into_iter()
            .flatten()
            .map(|line| line.trim())
            .take_while(|line| line.contains("+0x"))
            .take(TOP_OF_STACK)
            .map(str::to_owned)
            .collect();
        out.push(Statement::logged(Report::Stack(who.to_owned(), stack)));
    }
    out
}

/// Of a report of a page that is not as it has to be (`BUG: Bad page state`): why, the page's counts, its flags.
pub(crate) fn of_page_report(lines: &[&str]) -> Vec<Statement> {
    let Some(first) = lines.iter().position(|line| line.starts_with("BUG: Bad page ")) else {
        return Vec::new();
    };
    let about = lines.get(first + 1..(first + PAGE_REPORT).min(lines.len())).unwrap_or_default();
    let found = |prefix: &str| about.iter().find_map(|line| line.strip_prefix(prefix)).map(str::trim);
    let mut out = Vec::new();
    let said = |report: Report| Statement::logged(report);
    out.extend(found("page dumped because: ").map(|why| said(Report::BadPage(why.to_owned()))));
    out.extend(found("page:").map(|page| {
        let mapping = page.split_once("mapping:").and_then(|(_, rest)| rest.split_whitespace().next());
        let value = mapping.and_then(|word| u64::from_str_radix(word, 16).ok());
        said(Report::Page(page.to_owned(), value.and_then(crate::explain::pointer::poison)))
    }));
    out.extend(
        found("flags: ")
            .or_else(|| found("page flags: "))
            .map(|flags| said(Report::PageFlags(flags.to_owned()))),
    );
    out
}

/// How many lines a report of a page has before the stack.
const PAGE_REPORT: usize = 16;

/// How many frames of a stack in a report are told.
const TOP_OF_STACK: usize = 4;

/// How many lines a report of the slab allocator has before the object's bytes, stacks of both tracks included.
const MAX_REPORT: usize = 80;

/// `0xffff…58-0xffff…67 @offset=3160. First byte 0x74 instead of 0x6b`
fn overwritten(line: &str) -> Option<(u64, u64, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let number = |t: &str| u64::from_str_radix(t.strip_prefix("0x")?.trim_end_matches('.'), 16).ok();
    let found = rest.find("First byte")?;
    Some((number(from)?, number(to)?, rest.get(found..)?))
}

fn made(object: &Object, tag: &str, path: String, at: u64, value: Value) -> Statement {
    let command = format!("{tag}.{path} {:x}", object.at);
    let expr = match MemberPath::parse(&path) {
        Ok(steps) => object.expr.clone().path(&steps, true),
        Err(_) => cexpr::Expr::words(&*path),
    };
    Statement::new(How::Memory, Related::Member { expr, path, value, at, level: object.level }, &[command])
}

fn is_char(s: &Session, ty: TypeRef) -> bool {
    matches!(s.types().resolve(ty), Ok((_, t)) if matches!(&*t, Type::Int { size: 1, .. }))
}

/// Where a name that a member points to is, and the name.
fn name_at(s: &Session, at: u64) -> Option<(u64, String)> {
    let to = s.mem().ptr(VirtAddr(at)).ok().filter(|p| s.arch().is_kernel(*p))?;
    let raw = s.mem().cstr(to, 64).ok()?;
    let good = !raw.is_empty() && raw.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    good.then(|| (to.0, String::from_utf8_lossy(&raw).into_owned()))
}

fn gather(s: &Session, ty: TypeRef, base: u64, path: &str, depth: usize, out: &mut Vec<Scalar>) {
    if depth > 2 || out.len() > 200 {
        return;
    }
    let Ok((_, full)) = s.types().resolve(ty) else { return };
    let Type::Compound { members, .. } = &*full else { return };
    for m in members.iter().filter(|m| m.bit_size.is_none()) {
        let here = match m.name.as_deref() {
            Some(n) if path.is_empty() => n.to_owned(),
            Some(n) => format!("{path}.{n}"),
            None => path.to_owned(),
        };
        let at = base.saturating_add(m.offset());
        match s.types().resolve(m.ty) {
            // the members of a union exclude each other: only those of structs are told
            Ok((_, t))
                if matches!(&*t, Type::Compound { kind: debuginfo::types::CompoundKind::Struct, .. }) =>
            {
                gather(s, m.ty, at, &here, depth + 1, out);
            }
            Ok((_, t)) if matches!(&*t, Type::Int { .. } | Type::Pointer { .. }) => {
                out.push((here, m.ty, at))
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Allocator, Met};

    #[test]
    fn overwritten_bytes_are_a_text() {
        assert_eq!(text_of(b"total\0\0", b't').as_deref(), Some("total"));
        // what the dump has there is another, too short, or no text
        assert_eq!(text_of(b"total", b'x'), None);
        assert_eq!(text_of(b"ab\0", b'a'), None);
        assert_eq!(text_of(b"abc\x01d", b'a'), None);
        assert_eq!(text_of(&[0; 8], 0), None);
    }

    #[test]
    fn a_report_of_a_bad_page() {
        let lines = [
            "BUG: Bad page state in process sh  pfn:02fc0",
            "page:ff677ab5c00bf000 refcount:0 mapcount:0 mapping:dead000000000400 index:0x0 pfn:0x2fc0",
            "flags: 0xfffffc0000000(node=0|zone=1)",
            "page dumped because: non-NULL mapping",
        ];
        let told: Vec<String> = of_page_report(&lines).into_iter().map(|s| s.text()).collect();
        assert_eq!(told[0], "the page has a non-NULL mapping");
        assert!(
            told[1].starts_with("page ff677ab5c00bf000 refcount:0") && told[1].contains("TAIL_MAPPING"),
            "{told:?}"
        );
        assert_eq!(told[2], "its flags 0xfffffc0000000(node=0|zone=1)");
        let old = [
            "BUG: Bad page state in process sh  pfn:1",
            "page:ffffea0000000040 count:-1 mapcount:0 mapping:          (null) index:0x0",
        ];
        assert_eq!(of_page_report(&old).len(), 1);
        assert!(of_page_report(&lines[1..]).is_empty());
    }

    #[test]
    fn a_report_of_kfence() {
        let lines = [
            "BUG: KFENCE: use-after-free read in record_number+0x9/0x20 [zoo]",
            "",
            "kfence-#222: 0x000000004c780162-0x000000002a8a1a08, size=1016, cache=kmalloc-1k",
            "",
            "allocated by task 160 on cpu 0 at 7.734150s (0.015620s ago):",
            " record_make+0x3a/0xb0 [zoo]",
            " zoo_run+0x8d/0xd0 [zoo]",
            "",
            "freed by task 161 on cpu 0 at 7.734527s (0.016447s ago):",
            " record_drop+0x86/0xb0 [zoo]",
            "CPU: 0 UID: 0 PID: 160 Comm: sh",
        ];
        let told: Vec<String> = of_kfence_report(&lines, &[]).into_iter().map(|s| s.text()).collect();
        assert_eq!(
            told,
            [
                "kfence-#222: an object of 1016 bytes, slab cache kmalloc-1k",
                "allocated by task 160 on cpu 0 at 7.734150s (0.015620s ago): record_make+0x3a/0xb0 [zoo] < zoo_run+0x8d/0xd0 [zoo]",
                "freed by task 161 on cpu 0 at 7.734527s (0.016447s ago): record_drop+0x86/0xb0 [zoo]",
            ]
        );
        let known = |number| {
            let guarded = kernel::mm::kfence::Guarded {
                number,
                metadata: VirtAddr(0),
                at: VirtAddr(0),
                size: 1016,
                cache: None,
                state: kernel::mm::kfence::State::Freed,
                place: kernel::mm::kfence::Place::Inside(0),
                allocated: None,
                freed: None,
                overwritten: None,
                unread: Vec::new(),
            };
            let met = Met { of: Allocator::Guarded(guarded), allocated: None, freed: None };
            Known { met, pointer: 0, past: Vec::new(), commands: Vec::new() }
        };
        assert_eq!(kfence_number(&lines), Some(222));
        assert_eq!(kfence_number(&lines[1..]), None);
        assert!(of_kfence_report(&lines, &[known(222)]).is_empty(), "told already");
        assert_eq!(of_kfence_report(&lines, &[known(22)]).len(), 3);
        // before 5.17
        let old = [
            "BUG: KFENCE: memory corruption in f+0x1/0x2",
            "kfence-#1 [0x1-0x2, size=32, cache=kmalloc-32] allocated by task 1:",
        ];
        assert!(of_kfence_report(&old, &[]).is_empty(), "its object is told in another form");
        assert!(of_kfence_report(&["kfence-#1: size=1"], &[]).is_empty());
    }

    #[test]
    fn a_report_of_overwritten_bytes() {
        for line in [
            "0xffff888012345c58-0xffff888012345c67 @offset=3160. First byte 0x74 instead of 0x6b",
            "0xffff888012345c58-0xffff888012345c67. First byte 0x74 instead of 0x6b",
        ] {
            let (from, to, found) = overwritten(line).unwrap();
            assert_eq!((from & 0xfff, to - from), (0xc58, 15), "{line}");
            assert_eq!(found, "First byte 0x74 instead of 0x6b");
        }
        assert_eq!(overwritten("Object 0xffff888012345c40 @offset=3136"), None);
    }
}
