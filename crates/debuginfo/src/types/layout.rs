//! Whether a struct's members can lie as its source says. A compiler lays members out in the order of their declaration,
//! none over another and none past the end. A member that breaks this stands at a wrong place: the source is damaged, or
//! was made for another build. What no other member contradicts is believed.
//!
//! Source: the C standard, 6.7.2.1 (members have addresses that increase in the order in which they are declared).

use super::{CompoundKind, Member, Type, TypeError, TypeRef, Types};
use std::sync::{Arc, PoisonError};

/// How deep anonymous members are followed.
const MAX_DEPTH: usize = 16;
/// A few members at each other's places are an error. Many, without one that lies over another, are an order of their own:
/// shuffled members whose places are right.
const FEW: usize = 4;

/// A member that is not where a source says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// Its name.
    pub member: String,
    /// Where it is, in bytes from the start of the struct, if that is known.
    pub offset: Option<u64>,
}

impl Doubt {
    /// Where the member is, in bits from the start of the struct, if that is known; of a bit-field the bit within its byte is
    /// the source's.
    #[must_use]
    pub fn bit_offset(&self, of_source: u64, bit_size: Option<u32>) -> Option<u64> {
        let bit = if bit_size.is_some() { of_source % 8 } else { 0 };
        Some(self.offset?.saturating_mul(8).saturating_add(bit))
    }
}

impl Types {
    /// What is known to be wrong of a member's place, whether or not the right one is known.
    #[must_use]
    pub fn doubted(&self, at: TypeRef, name: &str) -> Option<Doubt> {
        let doubts = self.doubts.read().unwrap_or_else(PoisonError::into_inner);
        if doubts.is_empty() {
            return None;
        }
        let (_, ty) = self.resolve(at).ok()?;
        let Type::Compound { name: Some(of), .. } = &*ty else { return None };
        doubts.get(&**of)?.iter().find(|doubt| doubt.member == name).cloned()
    }

    /// True where a struct's source has the member, and where it is is not known.
    #[must_use]
    pub fn is_lost(&self, at: TypeRef, name: &str) -> bool {
        if self.doubted(at, name).is_some_and(|doubt| doubt.offset.is_none()) {
            return true;
        }
        let Ok((at, _)) = self.resolve(at) else { return false };
        if !self.is_corrected(at) || self.member_at(at, name, 0).is_ok_and(|found| found.is_some()) {
            return false;
        }
        self.source(at.source).and_then(|source| source.get(at.id).ok()).is_some_and(|ty| {
            let Type::Compound { members, .. } = &ty else { return false };
            self.named_among(members, name, 0).is_ok_and(|found| found.is_some())
        })
    }

    /// Says of members of a struct that they are not where its source has them.
    pub fn doubt(&self, of: &str, members: Vec<Doubt>) {
        let mut doubts = self.doubts.write().unwrap_or_else(PoisonError::into_inner);
        let known = doubts.get(of).map(|old| old.to_vec()).unwrap_or_default();
        let kept = known.into_iter().filter(|old| !members.iter().any(|new| new.member == old.member));
        let all = kept.collect::<Vec<_>>().into_iter().chain(members).collect();
        doubts.insert(of.to_owned(), all);
    }

    /// The named members of a struct, those of anonymous members included, and where its source has them, in bytes.
    #[must_use]
    pub fn members_of(&self, at: TypeRef) -> Vec<(Arc<str>, u64)> {
        let mut names = Vec::new();
        names_within(self, at, 0, &mut names);
        let place = |name: &Arc<str>| Some((Arc::clone(name), self.placed(at, name)?));
        names.iter().filter_map(place).collect()
    }

    fn placed(&self, at: TypeRef, name: &str) -> Option<u64> {
        self.member_at(at, name, 0).ok().flatten().map(|found| found.offset())
    }

    /// Every struct with members that are not where its source has them, by name.
    #[must_use]
    pub fn doubts(&self) -> Vec<(String, Arc<[Doubt]>)> {
        let doubts = self.doubts.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = doubts.iter().map(|(of, members)| (of.clone(), Arc::clone(members))).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Looks once whether a struct's members can lie as its source says. What cannot is doubted.
    ///
    /// # Errors
    /// The struct cannot be read.
    pub fn look_at_layout(&self, at: TypeRef) -> Result<(), TypeError> {
        let (at, ty) = self.resolve(at)?;
        let Type::Compound { name: Some(name), .. } = &*ty else { return Ok(()) };
        if self.looked_at.read().unwrap_or_else(PoisonError::into_inner).contains(&at) || self.is_guess(at) {
            return Ok(());
        }
        let known = |member: &str| self.doubted(at, member).is_some();
        let wrong = impossible(self, &ty).into_iter().filter(|name| !known(name));
        let wrong: Vec<Doubt> = wrong.map(|name| Doubt { member: name.to_string(), offset: None }).collect();
        if !wrong.is_empty() {
            self.doubt(name, wrong);
        }
        self.looked_at.write().unwrap_or_else(PoisonError::into_inner).insert(at);
        Ok(())
    }
}

/// A member's bits, and the names that are lost where they are wrong: its own, or those within an anonymous one.
struct Span {
    names: Vec<Arc<str>>,
    start: u64,
    end: u64,
}

impl Span {
    const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The names of a compound's members that cannot be where the source says, those in anonymous members included.
fn impossible(types: &Types, ty: &Type) -> Vec<Arc<str>> {
    let mut out = Vec::new();
    look(types, ty, 0, &mut out);
    out
}

fn look(types: &Types, ty: &Type, depth: usize, out: &mut Vec<Arc<str>>) {
    let Type::Compound { kind, size, members, declaration: false, .. } = ty else { return };
    if depth > MAX_DEPTH {
        return;
    }
    let size = size.saturating_mul(8);
    let spans: Vec<Span> = members.iter().map(|m| span(types, m)).collect();
    let wrong = match kind {
        CompoundKind::Struct => out_of_place(&spans, size),
        CompoundKind::Union => {
            let moved = |span: &Span| span.start != 0 || span.end > size;
            (0..spans.len()).filter(|n| spans.get(*n).is_some_and(moved)).collect()
        }
    };
    for (n, span) in spans.into_iter().enumerate() {
        if wrong.contains(&n) {
            out.extend(span.names);
        }
    }
    for inner in members.iter().filter(|m| m.name.is_none()) {
        if let Ok((_, ty)) = types.resolve(inner.ty) {
            look(types, &ty, depth + 1, out);
        }
    }
}

fn span(types: &Types, member: &Member) -> Span {
    let bits =
        member.bit_size.map_or_else(|| types.size_of(member.ty).unwrap_or(0).saturating_mul(8), u64::from);
    let mut names = Vec::new();
    match &member.name {
        Some(name) => names.push(Arc::clone(name)),
        None => names_within(types, member.ty, 0, &mut names),
    }
    Span { names, start: member.bit_offset, end: member.bit_offset.saturating_add(bits) }
}

fn names_within(types: &Types, at: TypeRef, depth: usize, out: &mut Vec<Arc<str>>) {
    let Ok((_, ty)) = types.resolve(at) else { return };
    let Type::Compound { members, .. } = &*ty else { return };
    for member in members.iter() {
        match &member.name {
            Some(name) => out.push(Arc::clone(name)),
            None if depth < MAX_DEPTH => names_within(types, member.ty, depth + 1, out),
            None => {}
        }
    }
}

/// The members, in the order of their declaration, that have to go for the others to lie one behind the other. Of two
/// that contradict each other it is the one for which there is room between its neighbours; where that does not tell,
/// both.
fn out_of_place(spans: &[Span], size: u64) -> Vec<usize> {
    let of = |n: usize| spans.get(n);
    let (mut kept, mut wrong): (Vec<usize>, Vec<usize>) =
        (0..spans.len()).partition(|n| of(*n).is_some_and(|span| span.end <= size));
    let mut from = 0;
    loop {
        let at = |k: usize| kept.get(k).and_then(|n| of(*n));
        let next = (from..kept.len()).find(|k| match (at(*k), at(k + 1)) {
            (Some(one), Some(next)) => next.start < one.end,
            _ => false,
        });
        let Some(k) = next else { break };
        let has_room = |k: usize| {
            let before = k.checked_sub(1).and_then(at).map_or(0, |span| span.end);
            let after = at(k + 1).map_or(size, |span| span.start);
            at(k).is_some_and(|span| before.saturating_add(span.len()) <= after)
        };
        let both = [k, k + 1];
        let moved: Vec<usize> = both.into_iter().filter(|k| has_room(*k)).collect();
        let gone = if moved.len() == 1 { moved } else { both.to_vec() };
        for k in gone.into_iter().rev() {
            wrong.push(kept.remove(k));
        }
        from = k.saturating_sub(2);
    }
    if wrong.len() > FEW && !overlaps(spans, size) { Vec::new() } else { wrong }
}

/// Whether members lie over each other, in whatever order they are.
fn overlaps(spans: &[Span], size: u64) -> bool {
    let mut sorted: Vec<&Span> = spans.iter().filter(|span| span.len() > 0).collect();
    sorted.sort_by_key(|span| span.start);
    let past = sorted.iter().any(|span| span.end > size);
    past || sorted.windows(2).any(|two| matches!(two, [one, next] if next.start < one.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members of so many bytes each, at these offsets.
    fn wrong(members: &[(u64, u64)], size: u64) -> Vec<usize> {
        let span = |&(at, len): &(u64, u64)| Span { names: Vec::new(), start: at * 8, end: (at + len) * 8 };
        let mut found = out_of_place(&members.iter().map(span).collect::<Vec<_>>(), size * 8);
        found.sort_unstable();
        found
    }

    /// Like the front of a `task_struct`: a pointer, two numbers, a list, two numbers, a name.
    const TASK: [(u64, u64); 8] = [(0, 24), (24, 8), (32, 4), (36, 4), (40, 16), (56, 4), (60, 4), (64, 16)];

    #[test]
    fn members_in_order_are_right_holes_and_empty_ones_too() {
        assert!(wrong(&TASK, 80).is_empty());
        assert!(wrong(&[(0, 4), (8, 8), (16, 0), (64, 8)], 128).is_empty());
        assert!(wrong(&[], 0).is_empty());
    }

    #[test]
    fn a_member_moved_by_eight_is_the_one_that_is_told() {
        for n in 0..TASK.len() {
            for by in [-8_i64, 8] {
                let mut moved = TASK;
                // before the start is a number past the end
                moved[n].0 = u64::from(moved[n].0.wrapping_add_signed(by) as u32);
                assert_eq!(wrong(&moved, 80), [n], "{n} by {by}");
            }
        }
    }

    #[test]
    fn swapped_members_are_both_told_and_an_order_of_its_own_is_not() {
        let mut swapped = TASK;
        swapped.swap(5, 6);
        assert_eq!(wrong(&swapped, 80), [5, 6]);
        let mut far = TASK;
        far.swap(2, 6);
        assert_eq!(wrong(&far, 80), [2, 6]);
        let shuffled: Vec<(u64, u64)> = [7, 0, 3, 2, 5, 1, 6, 4]
            .iter()
            .scan(0, |at, n| {
                let len = TASK[*n as usize].1;
                *at += len;
                Some((*n, (*at - len, len)))
            })
            .collect::<std::collections::BTreeMap<i32, _>>()
            .into_values()
            .collect();
        assert!(wrong(&shuffled, 80).is_empty());
    }
}
