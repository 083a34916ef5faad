//! ELF notes: `n_namesz`, `n_descsz`, `n_type` (32 bits each), then name and descriptor, each padded
//! to four bytes (ELF specification, "Note Section"; the kernel's `fs/proc/vmcore.c` merges them the
//! same way).

use crate::Warning;
use crate::fields::Words;
use base::{Bytes, RawNote, cstr};

/// All notes of a segment, in order, up to the first that runs over its end.
pub(crate) fn parse(segment: &[u8], words: Words, warnings: &mut Vec<Warning>) -> Vec<RawNote> {
    let mut notes = Vec::new();
    let mut at = Bytes::new(segment);
    while at.left() >= 12 {
        let start = at.pos();
        match one(&mut at, words) {
            Ok(Some(note)) => notes.push(note),
            Ok(None) => {}
            Err(wanted) => {
                warnings.push(Warning::NoteOverflow {
                    offset: start as u64,
                    wanted,
                    len: segment.len() as u64,
                });
                break;
            }
        }
    }
    notes
}

/// The note at the cursor; `None` for a word of padding. The error is the length that the note claims.
fn one(at: &mut Bytes<'_>, words: Words) -> Result<Option<RawNote>, u64> {
    let order = |n: u32| if words.big_endian { n.swap_bytes() } else { n };
    let (name_len, desc_len, kind) = match (at.u32(), at.u32(), at.u32()) {
        (Ok(n), Ok(d), Ok(k)) => (order(n), order(d), order(k)),
        _ => return Err(12),
    };
    if name_len == 0 && is_padding(at, desc_len, kind, order) {
        // room that was reserved for a CPU's notes and not used: look again a word further on
        at.seek(at.pos() - 8);
        return Ok(None);
    }
    let claim = 12 + u64::from(name_len) + u64::from(desc_len);
    let name = at.take(name_len as usize).map_err(|_| claim)?;
    at.align(4);
    let desc = at.take(desc_len as usize).map_err(|_| claim)?;
    at.align(4);
    Ok(Some(RawNote { name: cstr(name).to_vec(), kind, desc: desc.to_vec() }))
}

/// Whether a word of zero at the front of the header that the cursor is behind is padding, and not the name's length of
/// a note without a name: zeros follow, a note with a name begins one or two words further on, or nothing that can be a
/// note follows behind the descriptor that it would have.
fn is_padding(at: &Bytes<'_>, desc_len: u32, kind: u32, order: impl Fn(u32) -> u32) -> bool {
    let has_name = |at: &Bytes<'_>, start| has_name(at, start, &order);
    if (desc_len == 0 && kind == 0) || [8, 4].into_iter().any(|back| has_name(at, at.pos() - back)) {
        return true;
    }
    let mut next = *at;
    if next.take(desc_len as usize).is_err() {
        return true;
    }
    next.align(4);
    let at_end = next.left() < 12;
    !(at_end || next.u32_at(next.pos()) == Ok(0) || has_name(at, next.pos()) || has_empty_name(next, &order))
}

/// Whether a note begins here whose name is empty: a NUL alone.
fn has_empty_name(mut note: Bytes<'_>, order: impl Fn(u32) -> u32) -> bool {
    let (Ok(name_len), Ok(desc_len), Ok(_)) = (note.u32(), note.u32(), note.u32()) else { return false };
    let name = note.take(4);
    order(name_len) == 1 && name == Ok(&[0; 4]) && note.take(order(desc_len) as usize).is_ok()
}

/// Whether the note at `start` has a name as writers choose them: letters, ended by a NUL.
fn has_name(at: &Bytes<'_>, start: usize, order: impl Fn(u32) -> u32) -> bool {
    let mut note = *at;
    note.seek(start);
    let (Ok(name_len), Ok(_), Ok(_)) = (note.u32(), note.u32(), note.u32()) else { return false };
    let name = note.take(order(name_len) as usize).ok().and_then(<[u8]>::split_last);
    name.is_some_and(|(end, name)| {
        *end == 0 && !name.is_empty() && name.iter().all(|b| (b' '..=b'~').contains(b))
    })
}

/// The VMCOREINFO text among the notes, if it is one.
pub(crate) fn vmcoreinfo(notes: &[RawNote]) -> Option<Vec<u8>> {
    notes.iter().filter(|n| n.is("VMCOREINFO")).map(|n| &n.desc).find(|d| is_vmcoreinfo(d)).cloned()
}

/// What makedumpfile erased, where a note says it.
pub(crate) fn erase_info(notes: &[RawNote]) -> Option<String> {
    notes.iter().filter(|n| n.is("ERASEINFO")).find_map(|n| text(&n.desc).ok().flatten())
}

/// Of so many bytes of a text one may be no character of a text: damage.
const SOUND: usize = 8;

/// Bytes as text without the padding behind it; `None` where there is none. Characters that a terminal would obey are left in it:
/// who shows it escapes them. The error: they are no text.
pub(crate) fn text(bytes: &[u8]) -> Result<Option<String>, ()> {
    let bytes = cstr(bytes).trim_ascii_end();
    let is_odd = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    let odd = bytes.utf8_chunks().fold(0_usize, |odd, chunk| {
        let controls: usize = chunk.valid().chars().filter(is_odd).map(char::len_utf8).sum();
        odd.saturating_add(controls).saturating_add(chunk.invalid().len())
    });
    if odd.saturating_mul(SOUND) > bytes.len() {
        return Err(());
    }
    Ok((!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned()))
}

/// VMCOREINFO is lines of `KEY=value`, the kernel's release among them.
pub(crate) fn is_vmcoreinfo(text: &[u8]) -> bool {
    const KEY: &[u8] = b"OSRELEASE=";
    text.windows(KEY.len()).any(|w| w == KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((name.len() as u32 + 1).to_le_bytes());
        out.extend((desc.len() as u32).to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(name);
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(desc);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    #[test]
    fn notes_padding_and_overflow() {
        let mut seg = note(b"CORE", 1, b"abcde");
        seg.extend([0; 20]);
        seg.extend(note(b"QEMU", 0, b""));
        let good = seg.len();
        seg.extend(5u32.to_le_bytes());
        seg.extend(u32::MAX.to_le_bytes());
        seg.extend([1; 8]);
        let mut warnings = Vec::new();
        let notes = parse(&seg, Words::LITTLE_64, &mut warnings);
        assert_eq!(notes.len(), 2);
        assert_eq!(notes[0], RawNote { name: b"CORE".to_vec(), kind: 1, desc: b"abcde".to_vec() });
        assert!(notes[1].is("QEMU"));
        let wanted = 12 + 5 + u64::from(u32::MAX);
        assert_eq!(warnings, [Warning::NoteOverflow { offset: good as u64, wanted, len: seg.len() as u64 }]);
    }

    #[test]
    fn a_note_without_a_name_before_one_with_an_empty_name() {
        for big_endian in [false, true] {
            let swap = |n: u32| if big_endian { n.swap_bytes() } else { n }.to_le_bytes();
            let mut seg: Vec<u8> = [0, 8, 7].map(swap).concat();
            seg.extend([9; 8]);
            seg.extend([1, 4, 5].map(swap).concat());
            seg.extend([0, 0, 0, 0, 1, 2, 3, 4]);
            seg.extend([5, 4, 6].map(swap).concat());
            seg.extend(b"CORE\0\0\0\0abcd");
            let mut warnings = Vec::new();
            let notes = parse(&seg, Words { big_endian, ..Words::LITTLE_64 }, &mut warnings);
            let told: Vec<_> = notes.iter().map(|n| (&n.name[..], n.kind, n.desc.len())).collect();
            assert_eq!(told, [(&b""[..], 7, 8), (b"", 5, 4), (b"CORE", 6, 4)], "{big_endian}");
            assert!(warnings.is_empty());
        }
    }

    #[test]
    fn vmcoreinfo_must_look_like_it() {
        let n = |d: &[u8]| RawNote { name: b"VMCOREINFO".to_vec(), kind: 0, desc: d.to_vec() };
        assert_eq!(vmcoreinfo(&[n(b"junk")]), None);
        assert_eq!(vmcoreinfo(&[n(b"OSRELEASE=6.1\n")]).unwrap(), b"OSRELEASE=6.1\n");
    }
}
