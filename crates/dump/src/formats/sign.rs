//! What tells a kind of file: a row of the tables of files that are no dumps.

use super::Start;
use std::borrow::Cow;

/// What tells a kind of file.
pub(super) enum Sign {
    /// These bytes at this offset.
    At(u64, &'static [u8]),
    /// These bytes so far before the end.
    End(u64, &'static [u8]),
    /// What a look shows.
    Look(fn(&Start<'_>) -> bool),
}

impl Sign {
    pub(super) fn fits(&self, start: &Start<'_>) -> bool {
        let is = |at: u64, magic: &[u8]| bytes(start, at, magic.len()).is_some_and(|found| *found == *magic);
        match self {
            Self::At(at, magic) => is(*at, magic),
            Self::End(before, magic) => start.len.checked_sub(*before).is_some_and(|at| is(at, magic)),
            Self::Look(look) => look(start),
        }
    }
}

/// A kind of file: its sign, what it is, and what to do with it.
pub(super) type Kind = (Sign, &'static str, &'static str);

/// What the file is and what to do with it, by the first row that fits.
pub(super) fn first(kinds: &[Kind], start: &Start<'_>) -> Option<(&'static str, &'static str)> {
    kinds.iter().find(|(sign, ..)| sign.fits(start)).map(|&(_, what, advice)| (what, advice))
}

/// Bytes of the file: of those that were read already, else read now.
pub(super) fn bytes<'a>(start: &Start<'a>, at: u64, len: usize) -> Option<Cow<'a, [u8]>> {
    if at.checked_add(len as u64)? > start.len {
        return None;
    }
    let from = usize::try_from(at).ok()?;
    if let Some(known) = start.bytes.get(from..from.checked_add(len)?) {
        return Some(Cow::Borrowed(known));
    }
    let mut out = vec![0; len];
    ((start.read)(at, &mut out) == len).then_some(Cow::Owned(out))
}
