//! Debug information that lies: BTF in a dump's file in which a member of a struct stands at a wrong place.

use std::ops::Range;
use std::path::Path;

/// A member that the kernel crate binds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Bound {
    pub(crate) of: String,
    pub(crate) member: String,
}

/// Every struct and member that `bind!` names in the kernel crate's sources; of a path its first member.
pub(crate) fn bound() -> Vec<Bound> {
    let mut all = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel/src")];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("bind.rs")
                && !path.ends_with("testing.rs")
            {
                for block in std::fs::read_to_string(path).unwrap().split("bind! {").skip(1) {
                    of_block(block, &mut all);
                }
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The words in quotes of a line without its comment.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split("//").next().unwrap_or_default().split('"').skip(1).step_by(2)
}

fn of_block(block: &str, out: &mut Vec<Bound>) {
    let Some((head, rest)) = block.split_once(") {") else { return };
    let names: Vec<&str> = head.lines().flat_map(quoted).collect();
    let body = rest.split('}').next().unwrap_or_default();
    for path in body.lines().flat_map(quoted) {
        let first = path.split('.').next().unwrap_or(path);
        out.extend(names.iter().map(|of| Bound { of: (*of).to_owned(), member: first.to_owned() }));
    }
}

/// BTF in a file: where it begins, and where each type's record is.
pub(crate) struct Btf<'a> {
    bytes: &'a [u8],
    types: Vec<usize>,
    strings: Range<usize>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl<'a> Btf<'a> {
    /// The largest in a file; pages that lie one behind the other are needed.
    pub(crate) fn find(bytes: &'a [u8]) -> Self {
        const HEAD: [u8; 8] = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        // types first, then strings, all of it in the file
        let is_whole = |at: &usize| {
            let number = |n: usize| word(bytes, at + 8 + 4 * n) as usize;
            number(0) == 0 && number(1) == number(2) && at + 24 + number(2) + number(3) < bytes.len()
        };
        let starts = memchr_all(bytes, &HEAD).into_iter().filter(is_whole);
        let start = starts.max_by_key(|at| word(bytes, at + 12)).unwrap();
        let number = |n: usize| word(bytes, start + 8 + 4 * n) as usize;
        let from = start + 24 + number(0);
        let strings = start + 24 + number(2)..start + 24 + number(2) + number(3);
        let mut out = Self { bytes, types: vec![0], strings };
        let mut at = from;
        while at < from + number(1) {
            out.types.push(at);
            at += 12 + out.tail(at);
        }
        out
    }

    fn kind(&self, at: usize) -> u32 {
        word(self.bytes, at + 4) >> 24 & 0x1f
    }

    fn count(&self, at: usize) -> usize {
        (word(self.bytes, at + 4) & 0xffff) as usize
    }

    fn tail(&self, at: usize) -> usize {
        match self.kind(at) {
            1 | 14 | 17 => 4,
            3 => 12,
            4 | 5 | 15 | 19 => 12 * self.count(at),
            6 | 13 => 8 * self.count(at),
            _ => 0,
        }
    }

    fn name(&self, at: usize) -> &str {
        let start = self.strings.start + word(self.bytes, at) as usize;
        let len = self.bytes[start..self.strings.end].iter().position(|b| *b == 0).unwrap();
        std::str::from_utf8(&self.bytes[start..start + len]).unwrap()
    }

    /// Where the record of a struct's member is; an anonymous member's members are the struct's.
    pub(crate) fn member(&self, of: &Bound) -> Option<usize> {
        let is = |at: &&usize| self.kind(**at) == 4 && self.name(**at) == of.of;
        let found = self.types.iter().skip(1).find(is)?;
        self.within(*found, &of.member)
    }

    fn within(&self, at: usize, name: &str) -> Option<usize> {
        let members = || (0..self.count(at)).map(|n| at + 12 + 12 * n);
        members().find(|m| self.name(*m) == name).or_else(|| {
            let inner = |m: usize| {
                let ty = *self.types.get(word(self.bytes, m + 4) as usize)?;
                if self.name(m).is_empty() && matches!(self.kind(ty), 4 | 5) {
                    self.within(ty, name)
                } else {
                    None
                }
            };
            members().find_map(inner)
        })
    }

    /// The change that moves a member by so many bytes.
    pub(crate) fn moved(&self, record: usize, by: i64) -> (usize, Vec<u8>) {
        let old = word(self.bytes, record + 8);
        let bits = (old & 0xff_ffff).wrapping_add_signed(by as i32 * 8) & 0xff_ffff;
        (record + 8, (old & 0xff00_0000 | bits).to_le_bytes().to_vec())
    }
}

fn memchr_all(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    let first = |from: usize| bytes[from..].windows(wanted.len()).position(|w| w == wanted).map(|n| n + from);
    std::iter::successors(first(0), |at| first(at + 1)).collect()
}
