//! Members of tar archives that were stored without their holes: where each run of their bytes belongs.
//!
//! Sources: GNU tar's manual ("Storing Sparse Files": the old format, PAX 0.0, 0.1 and 1.0) and its `tar.h`.
//!
//! Invariant: runs ascend, share nothing and end before the file does; how many there are is bounded by the bytes that tell them.

use super::containers::invalid;
use std::io::{self, BufRead, Read};

/// The longest line of a map: a number of 64 bits.
const MAX_LINE: u64 = 32;
/// Bytes of a block of an archive.
const BLOCK: u64 = 512;

/// A file with holes: its runs of bytes, and its length.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Map {
    runs: Vec<(u64, u64)>,
    len: u64,
}

impl Map {
    /// A map whose runs are possible.
    pub(super) fn new(runs: Vec<(u64, u64)>, len: u64) -> io::Result<Self> {
        if i64::try_from(len).is_err() {
            return Err(invalid("a file with holes is too long".into()));
        }
        let mut at = 0_u64;
        for (start, count) in &runs {
            let end = start.checked_add(*count).filter(|end| *start >= at && *end <= len);
            at = end.ok_or_else(|| invalid("the map of a file with holes is none".into()))?;
        }
        Ok(Self { runs, len })
    }

    /// The same of numbers that follow one another: a place and a count each time.
    pub(super) fn of_numbers(numbers: &[u64], len: u64) -> io::Result<Self> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(invalid("the map of a file with holes is cut".into()));
        }
        Self::new(pairs.iter().map(|[start, count]| (*start, *count)).collect(), len)
    }

    /// The map that stands before the file's bytes (PAX 1.0): lines of digits in whole blocks.
    pub(super) fn read(from: &mut dyn BufRead, len: u64) -> io::Result<Self> {
        let mut read = 0_u64;
        let mut number = || -> io::Result<u64> {
            let mut line = Vec::new();
            read = read.saturating_add(from.take(MAX_LINE).read_until(b'\n', &mut line)? as u64);
            let digits = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
            let number = digits.and_then(|digits| digits.parse().ok());
            number.ok_or_else(|| invalid("the map of a file with holes is none".into()))
        };
        let count = number()?;
        let mut numbers = Vec::new();
        for _ in 0..count.saturating_mul(2) {
            numbers.push(number()?);
        }
        let padding = read.wrapping_neg() % BLOCK;
        io::copy(&mut from.take(padding), &mut io::sink())?;
        Self::of_numbers(&numbers, len)
    }

    /// The file's length.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }
}

/// A stream that may know where it has holes.
pub(super) trait Holes: Read {
    /// Steps over a hole that begins here: how many zeros that were.
    fn skip_hole(&mut self) -> u64 {
        0
    }
}

/// One that does not.
pub(super) struct Plain<R>(pub(super) R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read> Holes for Plain<R> {}

/// A file with holes as it was, from its runs.
pub(super) struct Expanded<'a, R> {
    map: &'a Map,
    /// The run that is read, or the next one.
    run: usize,
    at: u64,
    stored: R,
}

impl<'a, R: Read> Expanded<'a, R> {
    pub(super) const fn new(map: &'a Map, stored: R) -> Self {
        Self { map, run: 0, at: 0, stored }
    }

    /// Zeros up to the next run or the end, and bytes of the run from here on.
    fn ahead(&mut self) -> (u64, u64) {
        loop {
            match self.map.runs.get(self.run) {
                Some((start, count)) if start.saturating_add(*count) <= self.at => {
                    self.run = self.run.saturating_add(1);
                }
                Some((start, _)) if *start > self.at => return (start - self.at, 0),
                Some((start, count)) => return (0, start.saturating_add(*count) - self.at),
                None => return (self.map.len.saturating_sub(self.at), 0),
            }
        }
    }
}

impl<R: Read> Read for Expanded<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (zeros, bytes) = self.ahead();
        let n = usize::try_from(zeros.max(bytes)).unwrap_or(usize::MAX).min(buf.len());
        let buf = buf.get_mut(..n).unwrap_or_default();
        let done = if zeros > 0 {
            buf.fill(0);
            n
        } else {
            self.stored.read(buf)?
        };
        if done == 0 && bytes > 0 && n > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at = self.at.saturating_add(done as u64);
        Ok(done)
    }
}

impl<R: Read> Holes for Expanded<'_, R> {
    fn skip_hole(&mut self) -> u64 {
        let (zeros, _) = self.ahead();
        self.at = self.at.saturating_add(zeros);
        zeros
    }
}

/// A stream of which the first bytes were read already.
pub(super) struct Again<H> {
    pub(super) head: io::Cursor<Vec<u8>>,
    pub(super) rest: H,
}

impl<H: Holes> Read for Again<H> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buf)? {
            0 => self.rest.read(buf),
            n => Ok(n),
        }
    }
}

impl<H: Holes> Holes for Again<H> {
    fn skip_hole(&mut self) -> u64 {
        let is_read = self.head.position() >= self.head.get_ref().len() as u64;
        if is_read { self.rest.skip_hole() } else { 0 }
    }
}
