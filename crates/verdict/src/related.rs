//! What else is worth knowing of an object: its name, its flags, and its numbers that are called like
//! the member in question.

use crate::condition::read;
use crate::model::{How, Object, Statement};
use crate::names::shown;
use base::VirtAddr;
use debuginfo::types::{Encoding, Type, TypeRef};
use kernel::{Session, slub};

const MAX_STATEMENTS: usize = 10;

/// A scalar member: path, type, offset.
type Scalar = (String, TypeRef, u64);

pub(crate) fn of(s: &Session, object: &Object) -> Vec<Statement> {
    let mut scalars = Vec::new();
    gather(s, object.ty, 0, "", 0, &mut scalars);
    let own = object.member.rsplit('.').next().unwrap_or("");
    let words: Vec<&str> = own.split('_').filter(|w| w.len() > 2).collect();
    let tag = s.types().name(object.ty);
    let mut out = Vec::new();
    let mut numbers = Vec::new();
    for (path, ty, offset) in scalars {
        if path == object.member || out.len() >= MAX_STATEMENTS {
            continue;
        }
        let at = object.at.wrapping_add(offset);
        let Ok((_, full)) = s.types().resolve(ty) else { continue };
        let leaf = path.rsplit('.').next().unwrap_or("");
        let text = match &*full {
            Type::Int { encoding: Encoding::Bool, .. } => {
                read(s.mem(), at, 1).map(|v| format!("{} = {}", path, shown(s.types(), Some(ty), v, 1)))
            }
            Type::Pointer { to } if leaf.ends_with("name") && is_char(s, *to) => {
                name_at(s, at).map(|n| format!("{path} = \"{n}\""))
            }
            Type::Int { size, .. }
                if leaf.split('_').any(|w| words.contains(&w)) && matches!(size, 1 | 2 | 4 | 8) =>
            {
                if let Some(v) = read(s.mem(), at, *size) {
                    numbers
                        .push((path.clone(), format!("{} = {}", path, shown(s.types(), Some(ty), v, *size))));
                }
                None
            }
            _ => None,
        };
        if let Some(text) = text {
            out.push(made(object, &tag, &path, &text));
        }
    }
    for (path, text) in numbers.into_iter().take(4) {
        out.push(made(object, &tag, &path, &text));
    }
    out
}

/// Of a report of the slab allocator in the log (`BUG kmalloc-96 (Tainted: G): Poison overwritten`): the object, as
/// the log and the dump have it.
pub(crate) fn of_slab_report(s: &Session, lines: &[&str]) -> Vec<Statement> {
    let report = |line: &&str| line.starts_with("BUG ") && line.contains(" (") && line.contains("): ");
    let Some(first) = lines.iter().position(report) else { return Vec::new() };
    let about = lines.get(first..(first + MAX_REPORT).min(lines.len())).unwrap_or_default();
    let log = ["log".to_owned()];
    let mut out = Vec::new();
    let found =
        |prefix: &str| about.iter().find_map(|l| l.strip_prefix("INFO: ").unwrap_or(l).strip_prefix(prefix));
    let object = found("Object 0x").and_then(|rest| u64::from_str_radix(rest.split(' ').next()?, 16).ok());
    let range = about.iter().find_map(|l| overwritten(l.strip_prefix("INFO: ").unwrap_or(l)));
    if let Some(at) = object {
        let mut text = format!("object {at:016x}");
        if let Some(o) = slub::object_at(s, VirtAddr(at)) {
            text = format!("{text}: {}", crate::judge::described(s, &o));
        }
        out.push(Statement::new(How::Memory, text, &[format!("rd {at:x} 16"), "log".to_owned()]));
        if let Some((from, to, found)) = range {
            let text = match (from.checked_sub(at), to.checked_sub(from)) {
                (Some(offset), Some(len)) => {
                    format!("{} bytes overwritten at +{offset:#x}: {found}", len + 1)
                }
                _ => format!("overwritten from {from:x} to {to:x}: {found}"),
            };
            out.push(Statement::new(How::Log, text, &log));
        }
    }
    for word in ["Allocated in ", "Freed in "] {
        if let Some(rest) = found(word) {
            out.push(Statement::new(How::Log, format!("{}{rest}", word.to_lowercase()), &log));
        }
    }
    out
}

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

fn made(object: &Object, tag: &str, path: &str, text: &str) -> Statement {
    Statement::new(How::Memory, text.to_owned(), &[format!("{tag}.{path} {:x}", object.at)])
}

fn is_char(s: &Session, ty: TypeRef) -> bool {
    matches!(s.types().resolve(ty), Ok((_, t)) if matches!(&*t, Type::Int { size: 1, .. }))
}

fn name_at(s: &Session, at: u64) -> Option<String> {
    let to = s.mem().ptr(VirtAddr(at)).ok().filter(|p| p.0 >> 63 == 1)?;
    let raw = s.mem().cstr(to, 64).ok()?;
    let good = !raw.is_empty() && raw.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    good.then(|| String::from_utf8_lossy(&raw).into_owned())
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
