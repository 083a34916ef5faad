//! Flattened streams: what makedumpfile (`-F`) and QEMU write where they cannot seek. The file is a
//! list of records, each a run of bytes of the dump and where they belong.
//!
//! Source: makedumpfile `makedumpfile.h` (`struct makedumpfile_header`,
//! `struct makedumpfile_data_header`); all numbers are big-endian:
//!
//! ```text
//! 0      "makedumpfile" padded with NULs to 16, type = 1, version = 1, NULs up to 4096
//! 4096   { offset, size, bytes[size] } ... until offset = -1
//! ```
//!
//! The dump is read in place through an index of the records. Making it walks the record headers
//! (they are a chain); their bytes are not read. A later record overwrites an earlier one. What no record covers is zero in
//! the file that a rewrite would make: that serves the tables that writers leave room in, and nothing else. Writers leave
//! out no memory, so that memory which no record covers was lost ([`Index::known`]).

use crate::magic::is_nearly;
use crate::source::Source;
use crate::{DumpError, Warning};
use std::collections::BinaryHeap;

const MAGIC: &[u8] = b"makedumpfile\0\0\0\0";
const HEADER_LEN: u64 = 4096;
const RECORD_LEN: usize = 16;
const TYPE: u64 = 1;
const VERSION: u64 = 1;

/// Bytes `at..at + len` of the dump are at `from` of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece {
    at: u64,
    len: u64,
    from: u64,
}

impl Piece {
    fn end(&self) -> u64 {
        self.at.saturating_add(self.len)
    }
}

/// The index of a flattened stream.
#[derive(Debug)]
pub(crate) struct Index {
    /// Ascending and disjoint.
    pieces: Vec<Piece>,
    len: u64,
    /// What ended the stream early.
    pub(crate) warning: Option<Warning>,
    /// Its magic is not damaged.
    pub(crate) is_signed: bool,
}

/// True for the first bytes of a flattened stream, also where a letter of its magic is damaged and the fields behind that fit.
pub(crate) fn is_flattened(start: &[u8]) -> bool {
    let fits = || (be64(start, 16), be64(start, 24)) == (Some(TYPE), Some(VERSION));
    start.starts_with(MAGIC) || is_nearly(start, MAGIC) && fits()
}

impl Index {
    /// The index of the stream in `source`; `None` where it is no such stream.
    pub(crate) fn read(source: &Source) -> Result<Option<Self>, DumpError> {
        let io = |e| DumpError::Io { path: source.path().into(), source: e };
        let mut head = [0; 32];
        let have = source.read_at(0, &mut head).map_err(io)?;
        if !is_flattened(&head) {
            return Ok(None);
        }
        let cut = source.len() < HEADER_LEN || have < head.len();
        let (kind, version) = (be64(&head, 16), be64(&head, 24));
        if cut {
            return Err(DumpError::Truncated {
                path: source.path().into(),
                what: "the header of the flattened stream",
                offset: 0,
                wanted: HEADER_LEN,
                len: source.len(),
            });
        }
        let other = match (kind, version) {
            (Some(TYPE), Some(VERSION)) => None,
            (Some(TYPE), value) => Some(("version of the flattened stream", value.unwrap_or(0))),
            (value, _) => Some(("type of the flattened stream", value.unwrap_or(0))),
        };
        let mut walk = Walk { source, window: Vec::new(), window_at: 0 };
        let (pieces, warning) = walk.records().map_err(io)?;
        // records that follow each other to the stream's end are those of the version that is known
        if let Some((field, value)) = other.filter(|_| warning.is_some() || pieces.is_empty()) {
            let path = source.path().into();
            return Err(DumpError::BadField { path, field, value, expected: "1 is the only one known" });
        }
        let len = pieces.iter().map(Piece::end).max().unwrap_or(0);
        let is_signed = head.starts_with(MAGIC);
        Ok(Some(Self { pieces: resolve(pieces), len, warning, is_signed }))
    }

    /// Length of the dump.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// How many of the `len` bytes from `at` on were in the stream before the first that was not.
    pub(crate) fn known(&self, at: u64, len: u64) -> u64 {
        let end = at.saturating_add(len);
        let mut done = at;
        for piece in self.pieces.get(self.first_ending_after(at)..).unwrap_or_default() {
            if piece.at > done || done >= end {
                break;
            }
            done = piece.end();
        }
        done.min(end).saturating_sub(at)
    }

    /// How many of the `len` bytes from `at` on were in the stream.
    pub(crate) fn covered(&self, at: u64, len: u64) -> u64 {
        let end = at.saturating_add(len);
        let pieces = self.pieces.get(self.first_ending_after(at)..).unwrap_or_default();
        let own = |piece: &Piece| piece.end().min(end).saturating_sub(piece.at.max(at));
        pieces.iter().take_while(|piece| piece.at < end).map(own).sum()
    }

    fn first_ending_after(&self, at: u64) -> usize {
        self.pieces.partition_point(|p| p.end() <= at)
    }

    /// Fills `buf` from `at` on, as far as the dump goes.
    pub(crate) fn read_at(&self, source: &Source, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX).min(buf.len());
        let Some(mut rest) = buf.get_mut(..len) else { return Ok(0) };
        let mut at = at;
        let mut next = self.first_ending_after(at);
        while !rest.is_empty() {
            let (skip, want, from) = match self.pieces.get(next) {
                Some(p) if p.at <= at => (0, p.end() - at, p.from.saturating_add(at - p.at)),
                Some(p) => (p.at - at, 0, 0),
                None => (u64::MAX, 0, 0),
            };
            let n = usize::try_from(skip.max(want)).unwrap_or(usize::MAX).min(rest.len());
            let Some((part, tail)) = rest.split_at_mut_checked(n) else { break };
            if skip > 0 {
                part.fill(0);
            } else {
                if source.read_at(from, part)? < n {
                    return Ok(len - tail.len() - n);
                }
                next += 1;
            }
            at = at.saturating_add(n as u64);
            rest = tail;
        }
        Ok(len)
    }

    /// Where `len` bytes from `at` on are in the file, if one record has them all.
    pub(crate) fn in_one_piece(&self, at: u64, len: usize) -> Option<u64> {
        let piece = self.pieces.get(self.first_ending_after(at))?;
        let skip = at.checked_sub(piece.at)?;
        (piece.len.checked_sub(skip)? >= len as u64).then(|| piece.from.saturating_add(skip))
    }

    /// The first byte at or after `at` that a record has.
    pub(crate) fn next_data(&self, at: u64) -> Option<u64> {
        self.pieces.get(self.first_ending_after(at)).map(|p| p.at.max(at))
    }
}

/// Steps from record header to record header.
struct Walk<'a> {
    source: &'a Source,
    window: Vec<u8>,
    window_at: u64,
}

impl Walk<'_> {
    /// All records in the order of the file, and what ended the walk early.
    fn records(&mut self) -> std::io::Result<(Vec<Piece>, Option<Warning>)> {
        let mut pieces = Vec::new();
        let mut at = HEADER_LEN;
        loop {
            let Some((offset, len)) = self.header(at)? else {
                return Ok((pieces, Some(Warning::StreamTruncated { offset: at })));
            };
            if offset == u64::MAX {
                return Ok((pieces, None));
            }
            let from = at.saturating_add(RECORD_LEN as u64);
            let end = offset.checked_add(len).filter(|&end| end <= i64::MAX as u64);
            if end.is_none() {
                return Ok((pieces, Some(Warning::StreamCorrupt { at, offset, size: len })));
            }
            let have = self.source.len().saturating_sub(from).min(len);
            if have > 0 {
                pieces.push(Piece { at: offset, len: have, from });
            }
            if have < len {
                return Ok((pieces, Some(Warning::StreamTruncated { offset: self.source.len() })));
            }
            at = from.saturating_add(len);
        }
    }

    /// Offset and size of the record at `at`; `None` past the end. Small records share a read.
    fn header(&mut self, at: u64) -> std::io::Result<Option<(u64, u64)>> {
        let inside = |s: &Self| {
            let start = usize::try_from(at.checked_sub(s.window_at)?).ok()?;
            s.window.get(start..start.checked_add(RECORD_LEN)?).map(|r| (be64(r, 0), be64(r, 8)))
        };
        let found = match inside(self) {
            Some(found) => Some(found),
            None => {
                // records as large as QEMU's (16 KiB) gain nothing from a longer read
                self.window.resize(512, 0);
                let n = self.source.read_at(at, &mut self.window)?;
                self.window.truncate(n);
                self.window_at = at;
                inside(self)
            }
        };
        Ok(match found {
            Some((Some(offset), Some(len))) => Some((offset, len)),
            _ => None,
        })
    }
}

fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_be_bytes)
}

/// Sorted and disjoint pieces: where pieces overlap, the later one counts.
fn resolve(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut order: Vec<(usize, Piece)> = pieces.into_iter().enumerate().collect();
    order.sort_by_key(|(_, p)| p.at);
    let disjoint = order.windows(2).all(|w| match w {
        [(_, a), (_, b)] => a.end() <= b.at,
        _ => true,
    });
    if disjoint {
        return order.into_iter().map(|(_, p)| p).collect();
    }
    sweep(order)
}

/// Goes through the starts and ends of overlapping pieces; the live piece that came last wins.
fn sweep(order: Vec<(usize, Piece)>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(order.len());
    let mut live: BinaryHeap<(usize, u64, u64, u64)> = BinaryHeap::new(); // number, end, at, from
    let mut starts = order.into_iter().peekable();
    let mut pos = 0;
    loop {
        while live.peek().is_some_and(|&(_, end, ..)| end <= pos) {
            live.pop();
        }
        if live.is_empty() {
            match starts.peek() {
                Some((_, p)) => pos = pos.max(p.at),
                None => return out,
            }
        }
        while let Some((number, p)) = starts.next_if(|(_, p)| p.at <= pos) {
            live.push((number, p.end(), p.at, p.from));
        }
        let Some(&(_, end, at, from)) = live.peek() else { continue };
        if end <= pos {
            continue;
        }
        let until = starts.peek().map_or(end, |(_, p)| end.min(p.at));
        let piece = Piece { at: pos, len: until - pos, from: from.saturating_add(pos - at) };
        match out.last_mut() {
            Some(last) if last.end() == piece.at && last.from + last.len == piece.from => {
                last.len += piece.len
            }
            _ => out.push(piece),
        }
        pos = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(records: &[(u64, &[u8])], end: bool) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(1_u64.to_be_bytes());
        out.extend(1_u64.to_be_bytes());
        out.resize(HEADER_LEN as usize, 0);
        for (offset, bytes) in records {
            out.extend(offset.to_be_bytes());
            out.extend((bytes.len() as u64).to_be_bytes());
            out.extend(*bytes);
        }
        if end {
            out.extend([0xff; 16]);
        }
        out
    }

    fn read_all(bytes: Vec<u8>) -> (Vec<u8>, Option<Warning>) {
        let source = Source::memory("stream", bytes).unwrap();
        let index = Index::read(&source).unwrap().unwrap();
        let mut out = vec![0xee; index.len() as usize + 3];
        let n = index.read_at(&source, 0, &mut out).unwrap();
        out.truncate(n);
        (out, index.warning)
    }

    #[test]
    fn later_records_win_and_gaps_are_zero() {
        let s = stream(&[(4, b"abcdef"), (0, b"xy"), (6, b"CD"), (12, b"z")], true);
        assert_eq!(read_all(s), (b"xy\0\0abCDef\0\0z".to_vec(), None));
    }

    #[test]
    fn a_cut_stream_keeps_what_it_has() {
        let mut s = stream(&[(0, b"head"), (4, b"0123456789")], true);
        s.truncate(s.len() - 20);
        let len = s.len() as u64;
        let (bytes, warning) = read_all(s);
        assert_eq!(bytes, b"head012345");
        assert_eq!(warning, Some(Warning::StreamTruncated { offset: len }));
    }

    #[test]
    fn a_record_outside_of_any_file_ends_the_walk() {
        let (bytes, warning) = read_all(stream(&[(0, b"head"), (u64::MAX - 1, b"x"), (4, b"y")], true));
        assert_eq!(bytes, b"head");
        let at = HEADER_LEN + 20;
        assert_eq!(warning, Some(Warning::StreamCorrupt { at, offset: u64::MAX - 1, size: 1 }));
    }

    #[test]
    fn unknown_types_and_versions_are_named() {
        let mut s = stream(&[], true);
        s[31] = 7;
        let err = Index::read(&Source::memory("s", s).unwrap()).unwrap_err();
        assert_eq!(
            err.to_string(),
            "s: corrupt header: version of the flattened stream is 0x7 (1 is the only one known)"
        );
        // records that are sound to their end say that the field is damaged
        for at in [16, 23, 28, 31] {
            let mut s = stream(&[(0, b"head"), (8, b"more")], true);
            s[at] ^= 1;
            assert_eq!(read_all(s), (b"head\0\0\0\0more".to_vec(), None), "{at}");
        }
    }

    proptest! {
        #[test]
        fn the_index_equals_a_rewrite(records in prop::collection::vec((0_u64..60, prop::collection::vec(any::<u8>(), 0..20)), 0..12)) {
            let list: Vec<_> = records.iter().map(|(o, b)| (*o, b.as_slice())).collect();
            let mut want = Vec::new();
            for (offset, bytes) in &list {
                let end = *offset as usize + bytes.len();
                if !bytes.is_empty() && want.len() < end {
                    want.resize(end, 0);
                }
                if !bytes.is_empty() {
                    want[*offset as usize..end].copy_from_slice(bytes);
                }
            }
            prop_assert_eq!(read_all(stream(&list, true)).0, want);
        }
    }
}
