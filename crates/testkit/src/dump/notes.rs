//! ELF notes.

use super::Target;

/// A note: name, type, descriptor, each part padded to four bytes.
#[must_use]
pub fn note(name: &str, kind: u32, desc: &[u8]) -> Vec<u8> {
    note_of(Target::X86_64, name, kind, desc)
}

/// The same of another machine.
pub(crate) fn note_of(target: Target, name: &str, kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    target.push(&mut out, name.len() as u64 + 1, 4);
    target.push(&mut out, desc.len() as u64, 4);
    target.push(&mut out, kind.into(), 4);
    out.extend(name.bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(desc);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}
