//! From a struct, an offset and a size to the member there, in C's spelling.

use cexpr::{MemberPath, Span, Step};
use debuginfo::types::{CompoundKind, Scope, Space, Type, TypeRef, Types};

/// A member reached by its offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Leaf {
    /// `split.vring.num`; of an array's element alone `[3]`, below a step without a name.
    pub(crate) path: MemberPath,
    pub(crate) ty: TypeRef,
    /// Other members of a union at the same place that would fit as well.
    pub(crate) others: Vec<MemberPath>,
    /// Bit-field: first bit and width.
    pub(crate) bits: Option<(u64, u32)>,
    /// The arrays on the path, from the outermost on.
    pub(crate) arrays: Vec<Array>,
}

/// An array on the path to a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Array {
    /// Bytes of an element.
    pub(crate) stride: u64,
    /// How many elements its type has.
    pub(crate) count: Option<u64>,
}

const MAX_DEPTH: usize = 12;
const MAX_FOUND: usize = 64;

/// The scalar members of `ty` at `offset` whose size is `size` (0: any), best first. `hint` is a name
/// whose words speak for a union's member (`virtqueue_add_split`).
pub(crate) fn leaf(types: &Types, ty: TypeRef, offset: u64, size: u64, hint: &str) -> Option<Leaf> {
    let mut found = Vec::new();
    walk(types, ty, offset, size, (MemberPath::default(), Vec::new()), 0, &mut found);
    // several bit-fields in what is read: none of them is all of it
    if found.len() > 1 && found.iter().all(|l| l.bits.is_some()) {
        return None;
    }
    found.retain(|l| l.bits.is_none_or(|(_, width)| size == 0 || u64::from(width) == size * 8));
    let words: Vec<&str> = hint.split('_').filter(|w| w.len() > 2).collect();
    let score = |l: &Leaf| {
        let parts = l.path.steps.iter().filter(|step| words.contains(&step.name.as_str())).count();
        usize::MAX - parts
    };
    let best = found.iter().map(score).min()?;
    let tied: Vec<&Leaf> = found.iter().filter(|l| score(l) == best).collect();
    let mut chosen = (*tied.first()?).clone();
    chosen.others = tied.iter().skip(1).filter(|l| l.path != chosen.path).map(|l| l.path.clone()).collect();
    Some(chosen)
}

/// All bit-fields that lie within `size` bytes at `offset`.
pub(crate) fn bit_fields(types: &Types, ty: TypeRef, offset: u64, size: u64) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(types, ty, offset, size, (MemberPath::default(), Vec::new()), 0, &mut found);
    found.retain(|leaf| leaf.bits.is_some());
    found
}

/// The number that has `size` bytes at `offset` within it: path, where it begins, its size.
pub(crate) fn containing(types: &Types, ty: TypeRef, offset: u64, size: u64) -> Option<(Leaf, u64, u64)> {
    let mut out: Option<(Leaf, u64, u64)> = None;
    for len in [size, 2, 4, 8] {
        let start = offset - offset % len;
        if len < size || offset + size > start + len {
            continue;
        }
        if let Some(leaf) =
            leaf(types, ty, start, len, "").filter(|l| l.bits.is_none() && l.others.is_empty())
        {
            if out.as_ref().is_some_and(|(known, ..)| known.path != leaf.path) {
                return None;
            }
            out = Some((leaf, start, len));
        }
    }
    out
}

/// The largest member that begins at `offset`: `pending` rather than `pending.next`.
pub(crate) fn beginning_at(types: &Types, ty: TypeRef, offset: u64) -> Option<(MemberPath, TypeRef)> {
    let mut path = MemberPath::default();
    let (mut ty, mut offset) = (ty, offset);
    for _ in 0..MAX_DEPTH {
        let (_, full) = types.resolve(ty).ok()?;
        match &*full {
            Type::Compound { members, .. } => {
                let inside = |m: &&debuginfo::types::Member| {
                    let len = types.size_of(m.ty).unwrap_or(0);
                    m.bit_size.is_none()
                        && m.offset() <= offset
                        && offset < m.offset().saturating_add(len.max(1))
                };
                let mut all = members.iter().filter(inside);
                let m = all.next()?;
                if all.next().is_some() && m.name.is_some() {
                    return None; // a union: which member is meant is not known
                }
                if let Some(name) = m.name.as_deref() {
                    path = below(path, name);
                    if m.offset() == offset {
                        return Some((path, m.ty));
                    }
                }
                offset -= m.offset();
                ty = m.ty;
            }
            Type::Array { elem, .. } => {
                let len = types.size_of(*elem).ok().filter(|n| *n > 0)?;
                path = element(path, offset / len);
                if offset.is_multiple_of(len) {
                    return Some((path, *elem));
                }
                offset %= len;
                ty = *elem;
            }
            _ => return None,
        }
    }
    None
}

/// The member of this name; an anonymous one is no step.
fn below(mut path: MemberPath, name: &str) -> MemberPath {
    if !name.is_empty() {
        path.steps.push(step(name));
    }
    path
}

fn step(name: &str) -> Step {
    Step { name: name.to_owned(), index: Vec::new(), arrow: false, span: Span::default() }
}

fn element(mut path: MemberPath, n: u64) -> MemberPath {
    if path.steps.is_empty() {
        path.steps.push(step(""));
    }
    if let Some(last) = path.steps.last_mut() {
        last.index.push(n);
    }
    path
}

fn walk(
    types: &Types,
    ty: TypeRef,
    offset: u64,
    size: u64,
    (path, arrays): (MemberPath, Vec<Array>),
    depth: usize,
    out: &mut Vec<Leaf>,
) {
    if depth > MAX_DEPTH || out.len() > MAX_FOUND {
        return;
    }
    let Ok((_, full)) = types.resolve(ty) else { return };
    match &*full {
        Type::Compound { members, .. } => {
            for m in members.iter() {
                let name = m.name.as_deref().unwrap_or("");
                let here = || below(path.clone(), name);
                if let Some(width) = m.bit_size {
                    let first = m.bit_offset;
                    let bytes = if size == 0 { 1 } else { size };
                    let inside = first >= offset * 8 && first + u64::from(width) <= (offset + bytes) * 8;
                    if inside && !name.is_empty() {
                        let bits = Some((first - offset * 8, width));
                        let arrays = arrays.clone();
                        out.push(Leaf { path: here(), ty: m.ty, others: Vec::new(), bits, arrays });
                    }
                    continue;
                }
                let len = types.size_of(m.ty).unwrap_or(0);
                let open_end = len == 0
                    && matches!(types.resolve(m.ty), Ok((_, t)) if matches!(&*t, Type::Array { .. }));
                if m.offset() <= offset && (offset < m.offset().saturating_add(len) || open_end) {
                    walk(types, m.ty, offset - m.offset(), size, (here(), arrays.clone()), depth + 1, out);
                }
            }
        }
        Type::Array { elem, count } => {
            let len = types.size_of(*elem).unwrap_or(0);
            if let Some(n) = offset.checked_div(len) {
                let array = Array { stride: len, count: *count };
                let here = (element(path, n), arrays.into_iter().chain([array]).collect());
                walk(types, *elem, offset % len, size, here, depth + 1, out);
            }
        }
        _ => {
            let len = types.size_of(ty).unwrap_or(0);
            if offset == 0 && (size == 0 || len == size) && !path.steps.is_empty() {
                out.push(Leaf { path, ty, others: Vec::new(), bits: None, arrays });
            }
        }
    }
}

/// The struct that a pointer points to.
pub(crate) fn pointee(types: &Types, ty: TypeRef) -> Option<TypeRef> {
    match &*types.resolve(ty).ok()?.1 {
        Type::Pointer { to } | Type::Array { elem: to, .. } => Some(*to),
        _ => None,
    }
}

/// True for a pointer.
pub(crate) fn is_pointer(types: &Types, ty: TypeRef) -> bool {
    matches!(types.resolve(ty), Ok((_, t)) if matches!(&*t, Type::Pointer { .. }))
}

/// True for a struct or union.
pub(crate) fn is_compound(types: &Types, ty: TypeRef) -> bool {
    matches!(types.resolve(ty), Ok((_, t)) if matches!(&*t, Type::Compound { declaration: false, .. }))
}

fn tag(types: &Types, ty: TypeRef) -> Option<String> {
    match &*types.resolve(ty).ok()?.1 {
        Type::Compound { name: Some(name), .. } => Some(name.to_string()),
        _ => None,
    }
}

/// The structs of a scope that hold a `struct inner` at `at` bytes and reach to `need` bytes:
/// candidates for `container_of`.
pub(crate) fn containers(types: &Types, scope: &Scope, inner: TypeRef, at: u64, need: u64) -> Vec<TypeRef> {
    let Some(wanted) = tag(types, inner) else { return Vec::new() };
    let mut names: Vec<(String, TypeRef)> = Vec::new();
    types.names(Space::Struct, &mut |name, ty| {
        names.push((name.to_owned(), ty));
        true
    });
    let mut out: Vec<TypeRef> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (name, ty) in names {
        if types.source(ty.source).is_none_or(|src| src.scope() != *scope) || seen.contains(&name) {
            continue;
        }
        let Ok(full) = types.get(ty) else { continue };
        let Type::Compound { kind: CompoundKind::Struct, size, .. } = &*full else { continue };
        if *size >= need && holds(types, ty, &wanted, at, 0) {
            seen.push(name);
            out.push(ty);
        }
    }
    out
}

fn holds(types: &Types, ty: TypeRef, wanted: &str, at: u64, depth: usize) -> bool {
    if depth > 4 {
        return false;
    }
    let Ok((_, full)) = types.resolve(ty) else { return false };
    let Type::Compound { members, .. } = &*full else { return false };
    members.iter().any(|m| {
        if m.bit_size.is_some() || m.offset() > at {
            return false;
        }
        if m.offset() == at && tag(types, m.ty).as_deref() == Some(wanted) {
            return true;
        }
        let len = types.size_of(m.ty).unwrap_or(0);
        at - m.offset() < len && holds(types, m.ty, wanted, at - m.offset(), depth + 1)
    })
}
