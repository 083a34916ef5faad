//! The member of a struct that counts the elements of an array beside it, by its name: `nslots` of `slots`, `num_queues` of
//! `queue`, a lone `count`.
//!
//! **Invariant:** a name says what its writer meant, and nothing holds him to it: what is told by it is a guess.

use crate::naming::members;
use cexpr::{MemberPath, Span, Step};
use debuginfo::types::{Type, TypeRef, Types};

/// A member that counts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Counter {
    pub(crate) path: MemberPath,
    pub(crate) ty: TypeRef,
    /// Bytes from the struct's begin.
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// Words that stand before what is counted, and behind it.
const BEFORE: &[&str] = &["n", "nr", "num", "no", "max", "total", "nb", "count", "number"];
const BEHIND: &[&str] =
    &["n", "nr", "num", "count", "cnt", "counts", "max", "len", "length", "size", "total"];
/// Members that count whatever there is, best first.
const ALONE: &[&str] =
    &["count", "nr", "num", "nelems", "nents", "nr_entries", "num_entries", "n_entries", "size", "capacity"];

/// What counts the elements of the array at a path below a struct.
pub(crate) fn of(types: &Types, ty: TypeRef, array: &MemberPath) -> Option<Counter> {
    let (last, before) = array.steps.split_last()?;
    let (ty, start, path) = before.iter().try_fold((ty, 0, MemberPath::default()), |at, step| {
        if !step.index.is_empty() {
            return None;
        }
        let (offset, inner) = member(types, at.0, &step.name)?;
        let mut path = at.2;
        path.steps.push(step.clone());
        Some((inner, u64::checked_add(at.1, offset)?, path))
    })?;
    let numbers = numbers(types, ty);
    let name = last.name.as_str();
    let best =
        numbers.iter().filter_map(|(own, ..)| Some((rank(own, name)?, own))).min_by_key(|(rank, _)| *rank);
    let chosen = match best {
        Some((_, own)) => own.clone(),
        None if arrays(types, ty) == 1 => {
            (*ALONE.iter().find(|alone| numbers.iter().any(|(own, ..)| own == *alone))?).to_owned()
        }
        None => return None,
    };
    let (own, ty, offset, size) = numbers.into_iter().find(|(own, ..)| *own == chosen)?;
    let step = Step { name: own, index: Vec::new(), arrow: false, span: Span::default() };
    let path = MemberPath { steps: path.steps.into_iter().chain([step]).collect() };
    Some(Counter { path, ty, offset: start.checked_add(offset)?, size })
}

/// How well a member's name says that it counts what another is called; less is better.
fn rank(own: &str, array: &str) -> Option<usize> {
    let names = || [Some(array), singular(array)].into_iter().flatten();
    let owns = || [Some(own), singular(own)].into_iter().flatten();
    owns().flat_map(|own| names().map(move |name| (own, name))).find_map(|(own, name)| {
        let before = own.strip_suffix(name).map(|word| (word.trim_end_matches('_'), BEFORE));
        let behind = own.strip_prefix(name).map(|word| (word.trim_start_matches('_'), BEHIND));
        [before, behind]
            .into_iter()
            .flatten()
            .find_map(|(word, words)| words.iter().position(|known| *known == word))
    })
}

/// `slot` of `slots`.
fn singular(name: &str) -> Option<&str> {
    name.strip_suffix('s').filter(|name| name.len() > 1)
}

/// The members that are numbers: name, type, offset, size.
fn numbers(types: &Types, ty: TypeRef) -> Vec<(String, TypeRef, u64, u64)> {
    let Ok((_, full)) = types.resolve(ty) else { return Vec::new() };
    let Type::Compound { members, .. } = &*full else { return Vec::new() };
    members
        .iter()
        .filter(|m| m.bit_size.is_none())
        .filter_map(|m| {
            let (_, full) = types.resolve(m.ty).ok()?;
            match &*full {
                Type::Int { size, .. } if matches!(size, 1 | 2 | 4 | 8) => {
                    Some((m.name.as_deref()?.to_owned(), m.ty, m.offset(), *size))
                }
                _ => None,
            }
        })
        .collect()
}

/// How many members are arrays, or pointers that may lead to one.
fn arrays(types: &Types, ty: TypeRef) -> usize {
    let Ok((_, full)) = types.resolve(ty) else { return 0 };
    let Type::Compound { members, .. } = &*full else { return 0 };
    members.iter().filter(|m| members::pointee(types, m.ty).is_some()).count()
}

fn member(types: &Types, ty: TypeRef, name: &str) -> Option<(u64, TypeRef)> {
    let (_, full) = types.resolve(ty).ok()?;
    let Type::Compound { members, .. } = &*full else { return None };
    let found = members.iter().find(|m| m.name.as_deref() == Some(name))?;
    Some((found.offset(), found.ty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_count() {
        for (own, array) in [
            ("nslots", "slots"),
            ("nr_slots", "slots"),
            ("slot_count", "slots"),
            ("slots_max", "slots"),
            ("num_queues", "queue"),
            ("n_queue", "queues"),
        ] {
            assert!(rank(own, array).is_some(), "{own} counts {array}");
        }
        for (own, array) in
            [("slots", "slots"), ("used", "slots"), ("slot_state", "slots"), ("name", "a"), ("s", "s")]
        {
            assert_eq!(rank(own, array), None, "{own} says nothing of {array}");
        }
        assert!(rank("nslots", "slots") < rank("max_slots", "slots"));
    }
}
