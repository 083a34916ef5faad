//! What a pack says of itself.

use super::{MAX_FILE, PIECE};
use crate::find::hex;
use std::fmt::Write as _;

/// What a packed file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The kernel's file.
    Vmlinux,
    /// A module's.
    Module,
    /// What dwz took out of several files.
    Common,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Vmlinux, Self::Module, Self::Common];
    const fn word(self) -> &'static str {
        match self {
            Self::Vmlinux => "vmlinux",
            Self::Module => "module",
            Self::Common => "common",
        }
    }
}

/// Where a piece lies, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) packed: u64,
    pub(super) len: u64,
}

/// A file in a pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its build id.
    pub build_id: Vec<u8>,
    /// The module's name; `vmlinux`; the file that dwz made.
    pub name: String,
    /// Bytes, unpacked.
    pub len: u64,
    pub(super) pieces: Vec<Piece>,
}

/// All that a pack says of itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Index {
    pub(super) release: String,
    pub(super) files: Vec<Entry>,
}

impl Index {
    pub(super) fn text(&self) -> String {
        let mut out = format!("kernel {}\n", self.release);
        for file in &self.files {
            let (kind, id) = (file.kind.word(), hex(&file.build_id));
            // a String takes everything
            let _ = writeln!(out, "file {kind} {id} {:x} {}", file.len, file.name);
            for p in &file.pieces {
                let _ = writeln!(out, "piece {:x} {:x} {:x}", p.offset, p.packed, p.len);
            }
        }
        out
    }

    /// Reads it; `room` is where frames may lie. An error says what is wrong.
    pub(super) fn parse(text: &str, room: std::ops::Range<u64>) -> Result<Self, String> {
        let mut lines = text.lines();
        let release = lines.next().and_then(|line| line.strip_prefix("kernel "));
        let release = release.ok_or("its index has no kernel")?.to_owned();
        let mut files: Vec<Entry> = Vec::new();
        let mut free = room.start;
        for line in lines {
            let wrong = || format!("its index has a line that is none: {line:?}");
            match line.split_once(' ') {
                Some(("file", rest)) => files.push(entry(rest).ok_or_else(wrong)?),
                Some(("piece", rest)) => {
                    let piece = piece(rest).ok_or_else(wrong)?;
                    let end = piece.offset.checked_add(piece.packed).filter(|end| *end <= room.end);
                    // one behind the other, so that none is unpacked more than once
                    free = end.filter(|_| piece.offset >= free).ok_or_else(|| {
                        format!("a piece at {:#x} lies outside, or over another", piece.offset)
                    })?;
                    files.last_mut().ok_or_else(wrong)?.pieces.push(piece);
                }
                _ => return Err(wrong()),
            }
        }
        let sum = |file: &Entry| file.pieces.iter().fold(0_u64, |sum, p| sum.saturating_add(p.len));
        match files.iter().find(|file| sum(file) != file.len) {
            Some(file) => Err(format!("the pieces of {} are not as long as the file", file.name)),
            None => Ok(Self { release, files }),
        }
    }
}

/// `KIND BUILD-ID LENGTH NAME`
fn entry(rest: &str) -> Option<Entry> {
    let mut words = rest.splitn(4, ' ');
    let kind = words.next()?;
    let kind = Kind::ALL.into_iter().find(|known| known.word() == kind)?;
    let build_id = unhex(words.next()?)?;
    let len = u64::from_str_radix(words.next()?, 16).ok().filter(|len| *len <= MAX_FILE)?;
    let name = words.next()?.to_owned();
    Some(Entry { kind, build_id, name, len, pieces: Vec::new() })
}

/// `OFFSET PACKED LENGTH`
fn piece(rest: &str) -> Option<Piece> {
    let mut words = rest.split(' ');
    let mut number = || u64::from_str_radix(words.next()?, 16).ok();
    let piece = Piece { offset: number()?, packed: number()?, len: number()? };
    (piece.len <= PIECE as u64 && words.next().is_none()).then_some(piece)
}

/// A build id: some bytes in hex.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes: Option<Vec<u8>> = (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(text.get(i..i.checked_add(2)?)?, 16).ok())
        .collect();
    bytes.filter(|bytes| !bytes.is_empty())
}
