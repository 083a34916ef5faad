//! Packed streams: which packing a file has, and what is packed in it.
//!
//! Sources: RFC 1952, RFC 8878, the .xz and .lzma file formats, lz4's frame format. A file is a row of streams of one
//! packing (`pigz`, `pzstd`, `xz` of several threads, files put behind one another). Frames that hold nothing of the
//! content (zstd's and lz4's skippable frames) may lie before and behind each stream; zeros, with which media of whole blocks
//! are filled up, behind each.
//!
//! Invariant: no more than a decoder's window is in memory; a stream that ends too early is an error, and so is what
//! follows the last one and is neither a stream nor zeros.

use std::io::{self, BufRead, BufReader, Read};

/// Packings one in the other: more than this is no accident.
const MAX_PACKINGS: u32 = 3;
/// Bytes that tell a packing: those of an .lzma header.
pub(super) const HEAD: u64 = 13;
/// A window of 64 MiB, the largest that `lzma -9` makes, and the decoder's own tables.
const MAX_LZMA_MEMORY: u64 = 80 << 20;
/// The last bytes of a skippable frame's magic; the first is 0x50 to 0x5f.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The stream behind whichever packing, told by its first bytes; also behind several, one in the other.
pub(super) fn unpacked<'a>(packed: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut stream: Box<dyn BufRead + 'a> = Box::new(packed);
    for _ in 0..MAX_PACKINGS {
        let mut ahead = Ahead::new(stream);
        if !is_packing(ahead.peek(HEAD as usize)?) {
            return Ok(Box::new(ahead));
        }
        stream = match Streams::new(ahead)? {
            Ok(streams) => Box::new(buffered(streams)),
            Err(plain) => return Ok(Box::new(plain)),
        };
    }
    Ok(stream)
}

/// True for the first bytes of a packed file.
pub(super) fn is_packing(head: &[u8]) -> bool {
    Packing::of(head).is_some() || is_skippable(head)
}

/// True for a frame that is to be stepped over. What follows tells the packing.
fn is_skippable(head: &[u8]) -> bool {
    matches!(head.split_first(), Some((0x50..=0x5f, rest)) if rest.starts_with(&SKIPPABLE))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Packing {
    Gzip,
    Xz,
    Lzma,
    Zstd,
    Bzip2,
    Lz4,
    OldLz4,
}

impl Packing {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::OldLz4),
            _ => is_lzma(head).then_some(Self::Lzma),
        }
    }

    /// What a file of it is called.
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "a gzip file",
            Self::Xz => "an xz file",
            Self::Lzma => "an lzma file",
            Self::Zstd => "a zstd file",
            Self::Bzip2 => "a bzip2 file",
            Self::Lz4 | Self::OldLz4 => "an lz4 file",
        }
    }

    /// Which packings can follow one another in a file.
    fn goes_on_as(self, next: Self) -> bool {
        let lz4 = |packing| matches!(packing, Self::Lz4 | Self::OldLz4);
        self == next || lz4(self) && lz4(next)
    }
}

/// What a packed file is called that begins with these bytes; a tar archive where it is none.
pub(super) fn name_of(head: &[u8]) -> &'static str {
    Packing::of(head).map_or("a tar archive", Packing::name)
}

/// An .lzma file has no magic: the usual properties, a power of two as window, and a length that is not known or small.
fn is_lzma(head: &[u8]) -> bool {
    let Some(&[0x5d, w0, w1, w2, w3, l0, l1, l2, l3, l4, l5, l6, l7]) = head.first_chunk::<13>() else {
        return false;
    };
    let window = u32::from_le_bytes([w0, w1, w2, w3]);
    let len = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
    window.is_power_of_two() && window >= 1 << 12 && (len == u64::MAX || len < 1 << 40)
}

/// One stream; its reader stands behind it once it was read to its end.
enum One<R: BufRead> {
    Gzip(flate2::bufread::GzDecoder<R>),
    Xz(liblzma::bufread::XzDecoder<R>),
    Zstd(zstd::Decoder<'static, R>),
    Bzip2(bzip2::bufread::BzDecoder<R>),
    Lz4(lz4_flex::frame::FrameDecoder<R>),
}

impl<R: BufRead> One<R> {
    fn new(packing: Packing, packed: R) -> io::Result<Self> {
        Ok(match packing {
            Packing::Gzip => Self::Gzip(flate2::bufread::GzDecoder::new(packed)),
            Packing::Xz => Self::Xz(liblzma::bufread::XzDecoder::new(packed)),
            Packing::Lzma => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(MAX_LZMA_MEMORY);
                Self::Xz(liblzma::bufread::XzDecoder::new_stream(packed, stream.map_err(io::Error::other)?))
            }
            Packing::Zstd => Self::Zstd(zstd::Decoder::with_buffer(packed)?.single_frame()),
            Packing::Bzip2 => Self::Bzip2(bzip2::bufread::BzDecoder::new(packed)),
            Packing::Lz4 | Packing::OldLz4 => Self::Lz4(lz4_flex::frame::FrameDecoder::new(packed)),
        })
    }

    fn into_inner(self) -> R {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Xz(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Bzip2(decoder) => decoder.into_inner(),
            Self::Lz4(decoder) => decoder.into_inner(),
        }
    }
}

impl<R: BufRead> Read for One<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buf),
            Self::Xz(decoder) => decoder.read(buf),
            Self::Zstd(decoder) => decoder.read(buf),
            Self::Bzip2(decoder) => decoder.read(buf),
            Self::Lz4(decoder) => decoder.read(buf),
        }
    }
}

/// What is wrong with a packed file, of which not all could be unpacked, or not all of what was unpacked is known to be as it
/// was packed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Shortened {
    /// What is packed in it goes on behind its end.
    #[error("is cut off: what is packed in it goes on behind its end")]
    Cut,
    /// It goes on behind what is packed in it.
    #[error("behind what is packed in it lies something else")]
    Trailing,
    /// It does not unpack, or not to what its own check says; the decoder's reason.
    #[error(
        "is damaged ({0}): only what could be unpacked before that is read, and a byte of it may be wrong; copy it again"
    )]
    Damaged(String),
}

impl Shortened {
    /// The reader's error that says so; none of the system's own.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Some(Self::Cut);
        }
        if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
            return None;
        }
        let own = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).cloned();
        Some(own.unwrap_or_else(|| Self::Damaged(error.to_string())))
    }
}

/// The streams of a file, one behind the other.
struct Streams<R: BufRead> {
    packing: Packing,
    /// The one that is read; none at the end.
    one: Option<One<Ahead<R>>>,
    /// A fault ended it: what a decoder gives behind one is nothing.
    fault: Option<Fault>,
}

/// An error that is told again.
enum Fault {
    Told(Shortened),
    System(io::ErrorKind, Option<i32>),
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        let system = || Self::System(error.kind(), error.raw_os_error());
        Shortened::of(error).map_or_else(system, Self::Told)
    }

    fn error(&self) -> io::Error {
        match self {
            Self::Told(Shortened::Cut) => io::ErrorKind::UnexpectedEof.into(),
            Self::Told(told) => io::Error::new(io::ErrorKind::InvalidData, told.clone()),
            Self::System(_, Some(code)) => io::Error::from_raw_os_error(*code),
            Self::System(kind, None) => (*kind).into(),
        }
    }
}

impl<R: BufRead> Streams<R> {
    /// The reader itself where nothing is packed in it but frames to be stepped over.
    fn new(mut packed: Ahead<R>) -> io::Result<Result<Self, Ahead<R>>> {
        packed.step_over_frames()?;
        match Packing::of(packed.peek(HEAD as usize)?) {
            Some(packing) => Ok(Ok(Self { packing, one: Some(One::new(packing, packed)?), fault: None })),
            None => Ok(Err(packed)),
        }
    }

    /// The stream behind the one that ended.
    fn next(&self, ended: One<Ahead<R>>) -> io::Result<Option<One<Ahead<R>>>> {
        let mut rest = ended.into_inner();
        // lz4's decoder takes the end of its input for the end of a frame; old frames have no mark of their own
        if rest.ended && self.packing == Packing::Lz4 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest.ended = false;
        loop {
            let zeros = rest.step_over_zeros()?;
            if rest.peek(1)?.is_empty() {
                return Ok(None);
            }
            if !rest.step_over_frames()? && !zeros {
                break;
            }
        }
        match Packing::of(rest.peek(HEAD as usize)?) {
            Some(next) if self.packing.goes_on_as(next) => One::new(next, rest).map(Some),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, Shortened::Trailing)),
        }
    }
}

impl<R: BufRead> Streams<R> {
    fn go_on(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(one) = &mut self.one {
            let n = one.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            let Some(ended) = self.one.take() else { break };
            self.one = self.next(ended)?;
        }
        Ok(0)
    }
}

impl<R: BufRead> Read for Streams<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = &self.fault {
            return Err(fault.error());
        }
        self.go_on(buf).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.fault = Some(Fault::of(error));
            }
        })
    }
}

/// A stream of which some bytes were looked at ahead.
struct Ahead<R> {
    held: Vec<u8>,
    at: usize,
    inner: R,
    /// More was asked of it than it had.
    ended: bool,
}

impl<R: BufRead> Ahead<R> {
    const fn new(inner: R) -> Self {
        Self { held: Vec::new(), at: 0, inner, ended: false }
    }

    fn held(&self) -> &[u8] {
        self.held.get(self.at..).unwrap_or_default()
    }

    /// The next bytes, `count` of them or as many as there are.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        let lacking = count.saturating_sub(self.held().len());
        if lacking > 0 {
            self.held.drain(..self.at);
            self.at = 0;
            self.inner.by_ref().take(lacking as u64).read_to_end(&mut self.held)?;
        }
        Ok(self.held())
    }

    /// Steps over zeros; true where there were some.
    fn step_over_zeros(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            let (count, all) = {
                let bytes = self.fill_buf()?;
                let count = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
                (count, count == bytes.len())
            };
            any |= count > 0;
            self.consume(count);
            if !all || count == 0 {
                return Ok(any);
            }
        }
    }

    /// Steps over frames that hold nothing; true where there were some.
    fn step_over_frames(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            let head = self.peek(8)?;
            let Some(&[_, _, _, _, l0, l1, l2, l3]) = head.first_chunk::<8>().filter(|h| is_skippable(*h))
            else {
                return Ok(any);
            };
            let len = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
            let whole = len.saturating_add(8);
            if io::copy(&mut self.by_ref().take(whole), &mut io::sink())? < whole {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            any = true;
        }
    }
}

impl<R: BufRead> Read for Ahead<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let n = from.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), from.get(..n)) {
            to.copy_from_slice(from);
        }
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Ahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at < self.held.len() {
            return Ok(self.held.get(self.at..).unwrap_or_default());
        }
        let bytes = self.inner.fill_buf()?;
        self.ended |= bytes.is_empty();
        Ok(bytes)
    }
    fn consume(&mut self, n: usize) {
        if self.at < self.held.len() {
            self.at = self.at.saturating_add(n).min(self.held.len());
        } else {
            self.inner.consume(n);
        }
    }
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(1 << 18, reader)
}
