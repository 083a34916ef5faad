//! The packed names and the tokens that they are made of.

use super::repair::{self, BLOCK};
use super::{Addresses, KallsymsError, MAX_SYMBOLS, read_up_to};
use base::{Bytes, Fault, VirtAddr, VirtRead};
use std::sync::Arc;

/// No token is longer: a name has at most 511 letters (KSYM_NAME_LEN).
const MAX_TOKEN: usize = 512;
/// Of whole names it is kept where every so many begin.
pub(super) const STRIDE: usize = 32;
/// Bytes of a token that are copied at once.
const CHUNK: usize = 16;

/// The 256 tokens.
pub(super) struct Tokens {
    /// First bytes of each, and its length.
    short: Vec<([u8; CHUNK], u16)>,
    /// Whole tokens, for those that are longer.
    long: Vec<Vec<u8>>,
}

impl Tokens {
    pub(super) fn read(mem: &dyn VirtRead, table: VirtAddr, index: VirtAddr) -> Result<Self, KallsymsError> {
        let bad = |token| KallsymsError::Tokens { at: table, token };
        let raw = mem.bytes(index, 512).map_err(|f| KallsymsError::fault("kallsyms_token_index", f))?;
        let last = Bytes::new(&raw).u16_at(510).unwrap_or(0);
        let len = usize::from(last) + MAX_TOKEN;
        let bytes =
            read_up_to(mem, table, len).map_err(|f| KallsymsError::fault("kallsyms_token_table", f))?;
        Self::parse(&bytes, &raw).map_err(bad)
    }

    /// Tokens stand one behind the other, each ended by NUL, in the order of their numbers; on error the
    /// number of the first that does not.
    pub(super) fn parse(table: &[u8], index: &[u8]) -> Result<Self, usize> {
        let (mut short, mut long) = (Vec::with_capacity(256), vec![Vec::new(); 256]);
        let mut expected = 0_usize;
        for (n, at) in index.chunks_exact(2).take(256).enumerate() {
            let at = usize::from(u16::from_le_bytes([*at.first().ok_or(n)?, *at.get(1).ok_or(n)?]));
            let rest = table.get(at..).filter(|_| at == expected).ok_or(n)?;
            let len = rest.iter().take(MAX_TOKEN).position(|&b| b == 0).ok_or(n)?;
            expected = at + len + 1;
            let token = rest.get(..len).ok_or(n)?;
            let mut first = [0; CHUNK];
            for (to, from) in first.iter_mut().zip(token) {
                *to = *from;
            }
            if let Some(long) = long.get_mut(n).filter(|_| len > CHUNK) {
                *long = token.to_vec();
            }
            short.push((first, u16::try_from(len).map_err(|_| n)?));
        }
        if short.len() == 256 { Ok(Self { short, long }) } else { Err(short.len()) }
    }

    /// A token.
    pub(super) fn token(&self, byte: u8) -> &[u8] {
        let number = usize::from(byte);
        let Some((chunk, len)) = self.short.get(number) else { return &[] };
        let short = chunk.get(..usize::from(*len));
        short.or_else(|| self.long.get(number).map(Vec::as_slice)).unwrap_or_default()
    }

    /// How long the longest is.
    pub(super) fn longest(&self) -> usize {
        (0..=u8::MAX).map(|byte| self.token(byte).len()).max().unwrap_or(0)
    }

    /// True where no token has a character that no name has.
    pub(super) fn are_graphic(&self) -> bool {
        (0..=u8::MAX).all(|byte| self.token(byte).iter().all(u8::is_ascii_graphic))
    }

    /// For each token whether the letter and the name of one of `wanted` can begin with it.
    pub(super) fn starts(&self, wanted: &[&str]) -> Vec<bool> {
        let mut token = Vec::new();
        let mut can = |byte: u8| {
            token.clear();
            self.expand(&[byte], &mut token);
            can_begin(wanted, &token)
        };
        (0..=u8::MAX).map(&mut can).collect()
    }

    /// Appends the unpacked name, its letter first.
    pub(super) fn expand(&self, packed: &[u8], out: &mut Vec<u8>) {
        for &byte in packed {
            let Some((chunk, len)) = self.short.get(usize::from(byte)) else { continue };
            let len = usize::from(*len);
            if len <= CHUNK {
                // a copy of fixed size is one instruction; the surplus is cut off again
                let end = out.len() + len;
                out.extend_from_slice(chunk);
                out.truncate(end);
            } else if let Some(token) = self.long.get(usize::from(byte)) {
                out.extend_from_slice(token);
            }
        }
    }
}

/// Whether one of `wanted` can begin as `name` does, its letter first.
pub(super) fn can_begin(wanted: &[&str], name: &[u8]) -> bool {
    let begun = name.get(1..).unwrap_or_default();
    wanted.iter().any(|wanted| wanted.as_bytes().starts_with(begun))
}

/// The packed name at the start of `names` and what follows it. The length is one byte, or two where
/// the first has the top bit (ULEB128).
pub(super) fn split(names: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = names.split_first()?;
    if first & 0x80 == 0 {
        return rest.split_at_checked(usize::from(first)).filter(|(name, _)| !name.is_empty());
    }
    let (&second, rest) = rest.split_first()?;
    rest.split_at_checked(usize::from(first & 0x7f) | usize::from(second) << 7)
}

/// The packed names of all symbols.
pub(super) struct NameBlock {
    bytes: Arc<Vec<u8>>,
    count: usize,
    /// Of whole names where every [`STRIDE`]th begins; else nothing.
    strides: Arc<Vec<u32>>,
    /// Of damaged names where every 256th begins, `None` where those up to the next are lost; else nothing.
    starts: Vec<Option<usize>>,
    /// Where the markers are: behind the names.
    pub(super) markers: VirtAddr,
    /// 4, 8, or 0 where it cannot be told.
    pub(super) marker_width: u8,
}

impl NameBlock {
    /// Reads as many bytes as `count` names have, and holds the markers behind them against them.
    pub(super) fn read(mem: &dyn VirtRead, at: VirtAddr, count: u32) -> Result<Self, KallsymsError> {
        if count == 0 || count > MAX_SYMBOLS {
            return Err(KallsymsError::Count { count });
        }
        let count = count as usize;
        let fault = |f| KallsymsError::fault("kallsyms_names", f);
        // names are 11 to 14 bytes on average, and what follows them is not wanted
        let mut bytes = read_up_to(mem, at, count * 11 + 1024).map_err(fault)?;
        let mut walked = Walk::default();
        while !walked.advance(&bytes, count) {
            let have = bytes.len();
            let average = have / walked.index.max(1) + 1;
            let more = ((count - walked.index) * average).clamp(1024, have.clamp(1024, 16 << 20));
            extend(mem, at, &mut bytes, more).map_err(fault)?;
            if bytes.len() > count.saturating_mul(520).saturating_add(1 << 20) {
                return Err(KallsymsError::NamesEnd { index: walked.index });
            }
        }
        let (markers, marker_width) = find_markers(mem, at.add(walked.pos as u64), &walked.marks)?;
        bytes.truncate(walked.pos);
        let (bytes, strides) = (Arc::new(bytes), Arc::new(walked.strides));
        Ok(Self { bytes, count, strides, starts: Vec::new(), markers, marker_width })
    }

    /// What is left of damaged names.
    pub(super) fn repaired(mem: &dyn VirtRead, at: &Addresses, count: u32) -> Result<Self, KallsymsError> {
        let found = repair::blocks(mem, at, count)?;
        let (markers, marker_width) = (found.markers, found.width);
        let (bytes, strides) = (Arc::new(found.bytes), Arc::default());
        Ok(Self { bytes, count: count as usize, strides, starts: found.starts, markers, marker_width })
    }

    /// True where names may be lost.
    pub(super) const fn is_repaired(&self) -> bool {
        !self.starts.is_empty()
    }

    /// How many names there are, those that are lost included.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) const fn bytes(&self) -> &Arc<Vec<u8>> {
        &self.bytes
    }

    /// Where every [`STRIDE`]th name begins; nothing where names may be lost.
    pub(super) const fn strides(&self) -> &Arc<Vec<u32>> {
        &self.strides
    }

    /// The packed names one after the other; `None` for one that is lost, and where they end.
    pub(super) fn each(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut rest = Some(self.bytes.as_slice());
        (0..).map(move |index: usize| {
            if index.is_multiple_of(BLOCK) && self.is_repaired() {
                rest = self.starts.get(index / BLOCK).copied().flatten().and_then(|at| self.bytes.get(at..));
            }
            let (packed, after) = split(rest?)?;
            rest = Some(after);
            Some(packed)
        })
    }
}

/// Reads so many bytes more behind those of `at`, or as many as there are.
fn extend(mem: &dyn VirtRead, at: VirtAddr, bytes: &mut Vec<u8>, more: usize) -> Result<(), Fault> {
    let have = bytes.len();
    let from = at.add(have as u64);
    bytes.resize(have + more, 0);
    let Err(fault) = bytes.get_mut(have..).map_or(Ok(()), |tail| mem.read(from, tail)) else { return Ok(()) };
    let good = usize::try_from(fault.at.0.wrapping_sub(from.0)).ok().filter(|good| *good < more);
    bytes.truncate(have + good.unwrap_or(0));
    if good.unwrap_or(0) == 0 { Err(fault) } else { Ok(()) }
}

/// A walk over the names that goes on when more bytes have come.
#[derive(Default)]
struct Walk {
    index: usize,
    pos: usize,
    /// Where every 256th name begins.
    marks: Vec<u64>,
    /// Where every [`STRIDE`]th begins.
    strides: Vec<u32>,
}

impl Walk {
    /// True once `count` names were seen.
    fn advance(&mut self, bytes: &[u8], count: usize) -> bool {
        while self.index < count {
            let Some((_, rest)) = bytes.get(self.pos..).and_then(split) else { return false };
            if self.index.is_multiple_of(STRIDE) {
                // names are shorter than 4 GiB: see `NameBlock::read`
                self.strides.push(u32::try_from(self.pos).unwrap_or(u32::MAX));
                if self.index.is_multiple_of(BLOCK) {
                    self.marks.push(self.pos as u64);
                }
            }
            self.pos = bytes.len() - rest.len();
            self.index += 1;
        }
        true
    }
}

/// Finds the markers behind the names: aligned to 8 until 6.x, to 4 in 7.x; their width and place are
/// those with which they agree with the names.
fn find_markers(mem: &dyn VirtRead, end: VirtAddr, marks: &[u64]) -> Result<(VirtAddr, u8), KallsymsError> {
    let mut wrong = None;
    for (align, width) in [(8, 4), (8, 8), (4, 4)] {
        let at = VirtAddr(end.0.wrapping_add(align - 1) & !(align - 1));
        let Ok(raw) = read_up_to(mem, at, marks.len() * usize::from(width)) else {
            return Ok((at, 0)); // not in the dump: nothing is said against the names
        };
        match disagreement(&raw, width, marks) {
            Some(e) => wrong = wrong.or(Some(e)),
            None => return Ok((at, if marks.len() < 2 { 0 } else { width })),
        }
    }
    wrong.map_or(Ok((end, 0)), Err)
}

/// The first marker that is not where the names say.
fn disagreement(raw: &[u8], width: u8, marks: &[u64]) -> Option<KallsymsError> {
    let found = raw.chunks_exact(usize::from(width)).map(|m| match width {
        4 => m.first_chunk().map_or(0, |m| u64::from(u32::from_le_bytes(*m))),
        _ => m.first_chunk().map_or(0, |m| u64::from_le_bytes(*m)),
    });
    let mut pairs = found.zip(marks).enumerate();
    pairs.find_map(|(index, (found, &wanted))| {
        (found != wanted).then_some(KallsymsError::Marker { index, found, wanted })
    })
}

/// The letters that `nm` gives.
pub(super) const fn is_kind(kind: u8) -> bool {
    matches!(kind | 0x20, b'a'..=b'd' | b'g' | b'i' | b'n' | b'p' | b'r'..=b'w') && kind.is_ascii_alphabetic()
        || kind == b'?'
        || kind == b'-'
}

/// Printable and not empty.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}
