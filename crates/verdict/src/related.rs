//! What else is worth knowing of an object: its name, its flags, and its numbers that are called like
//! the member in question.

use crate::condition::read;
use crate::model::{How, Object, Statement};
use crate::names::shown;
use base::VirtAddr;
use debuginfo::types::{Encoding, Type, TypeRef};
use kernel::Session;

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
