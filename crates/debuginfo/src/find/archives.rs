//! The two archive formats inside packages, as streams: tar (Debian) and cpio `newc` (RPM).

use super::containers::{Member, Visit, invalid};
use super::sparse::Map;
use super::streams::Shortened;
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

/// Longest path that is believed.
const MAX_NAME: u64 = 1 << 16;
/// Longest pax header that is believed: that of a file with holes can list all of them.
const MAX_PAX: u64 = 64 << 20;

/// Zeros behind the mark that ends a tar stream, at most: a tape's record has less, and so has what fills up a medium's block.
const MAX_PADDING: u64 = 256 << 20;

/// A tar stream: blocks of 512 bytes.
pub(super) struct Tar<R> {
    stream: R,
    /// It is read to its end, where its check is: what does not belong there is an error.
    is_checked: bool,
}

impl<R: BufRead> Tar<R> {
    pub(super) const fn new(stream: R, is_checked: bool) -> Self {
        Self { stream, is_checked }
    }

    /// Shows each member, until it is enough; true where the stream was read to its end.
    pub(super) fn each(mut self, visit: Visit<'_>) -> io::Result<bool> {
        let mut long = None;
        let mut pax = Pax::default();
        let mut is_damaged = false;
        loop {
            let mut block = [0; 512];
            if self.stream.fill_buf()?.is_empty() {
                // the mark of the end is lacking
                return if self.is_checked { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(true) };
            }
            self.stream.read_exact(&mut block)?;
            if block.iter().all(|&b| b == 0) {
                return match (self.is_checked, is_damaged) {
                    (true, true) => self.read_padding().and_then(|()| Err(invalid(WRONG_SUM.into()))),
                    (true, false) => self.read_padding().map(|()| true),
                    (false, _) => Ok(true),
                };
            }
            if self.is_checked && !has_sum(&block) {
                // what is no header at all has no length either
                if field(&block, 257, 5) != b"ustar" {
                    return Err(invalid(WRONG_SUM.into()));
                }
                is_damaged = true;
            }
            let size =
                number(field(&block, 124, 12)).ok_or_else(|| invalid("a tar member has no size".into()))?;
            match block.get(156).copied().unwrap_or(0) {
                b'L' => long = Some(text(&self.whole(size, MAX_NAME)?)),
                b'x' => pax = Pax::parse(&self.whole(size, MAX_PAX)?),
                b'g' => drop(self.whole(size, MAX_PAX)?),
                b'K' => drop(self.whole(size, MAX_NAME)?),
                kind => {
                    let pax = std::mem::take(&mut pax);
                    let name = pax.path.clone().or(long.take()).unwrap_or_else(|| short_name(&block));
                    let plain = matches!(kind, b'0' | 0 | b'7' | b'S');
                    let old = if kind == b'S' { Some(self.old_map(&block)?) } else { None };
                    let size = pax.size.unwrap_or(size);
                    let holes = Stored { size, map: old, pax };
                    if show(&mut self.stream, &name, plain, holes, visit)?.is_break() {
                        return Ok(false);
                    }
                    skip(&mut self.stream, size.wrapping_neg() & 511)?;
                }
            }
        }
    }

    /// The map of a file with holes as GNU tar had it first: in its header and in blocks behind that.
    fn old_map(&mut self, header: &[u8]) -> io::Result<Map> {
        let bad = || invalid("the map of a file with holes is none".into());
        let len = number(field(header, 483, 12)).ok_or_else(bad)?;
        let mut runs = Vec::new();
        let mut take = |part: &[u8], count: usize| -> io::Result<()> {
            for at in (0..count).map(|n| 24 * n) {
                // one that is empty ends the list
                if part.get(at).is_none_or(|byte| *byte == 0) {
                    break;
                }
                let run = [at, at + 12].map(|at| number(field(part, at, 12)));
                let [Some(start), Some(count)] = run else { return Err(bad()) };
                runs.push((start, count));
            }
            Ok(())
        };
        take(field(header, 386, 96), 4)?;
        let mut more = header.get(482).is_some_and(|more| *more != 0);
        while more {
            let mut block = [0; 512];
            self.stream.read_exact(&mut block)?;
            take(&block, 21)?;
            more = block.get(504).is_some_and(|more| *more != 0);
        }
        Map::new(runs, len)
    }

    /// Reads what is behind the mark of the end: zeros in whole blocks, and then the check of the packing, if any.
    fn read_padding(&mut self) -> io::Result<()> {
        let mut len = 0_u64;
        loop {
            let bytes = self.stream.fill_buf()?;
            let count = bytes.len();
            if count == 0 {
                let is_whole = len.is_multiple_of(512);
                return if is_whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            if len > MAX_PADDING || bytes.iter().any(|byte| *byte != 0) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, Shortened::Trailing));
            }
            len = len.saturating_add(count as u64);
            self.stream.consume(count);
        }
    }

    /// The bytes of a member that is a name or such, and steps over what fills up its last block.
    fn whole(&mut self, size: u64, max: u64) -> io::Result<Vec<u8>> {
        let out = bytes(&mut self.stream, size, max)?;
        skip(&mut self.stream, size.wrapping_neg() & 511)?;
        Ok(out)
    }
}

/// What is wrong where the bytes of a header do not add up to the sum in it.
const WRONG_SUM: &str = "the header of a member of the tar archive does not fit its checksum";

/// Whether the bytes of a header add up to its sum, in which that counts as spaces; some writers add them up with their signs.
fn has_sum(block: &[u8; 512]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let bytes = || (0..).zip(block).map(|(at, byte)| if SUM.contains(&at) { b' ' } else { *byte });
    let sum: u64 = bytes().map(u64::from).sum();
    let with_signs: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    let own = block.get(SUM).unwrap_or_default();
    let digits = own.iter().copied().skip_while(|b| *b == b' ').take_while(u8::is_ascii_digit);
    let told = digits.fold(0_u64, |n, d| n.wrapping_mul(8).wrapping_add(u64::from(d - b'0')));
    told == sum || i64::try_from(told).is_ok_and(|told| told == with_signs)
}

/// ustar: the first part of a long path is in another field.
fn short_name(block: &[u8; 512]) -> String {
    let name = text(field(block, 0, 100));
    let prefix = if field(block, 257, 5) == b"ustar" { text(field(block, 345, 155)) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn field(block: &[u8], at: usize, len: usize) -> &[u8] {
    block.get(at..at + len).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(base::cstr(bytes)).into_owned()
}

/// Octal digits, or with the top bit a big-endian number (GNU).
fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, rest)) = field.split_first() {
        let (high, low) = rest.split_last_chunk::<8>()?;
        return high.iter().all(|&b| b == 0).then(|| u64::from_be_bytes(*low));
    }
    let mut digits = field.iter().copied().skip_while(|b| *b == b' ').take_while(u8::is_ascii_digit);
    digits.try_fold(0_u64, |n, d| n.checked_mul(8)?.checked_add(u64::from(d - b'0')))
}

/// What a pax header says of the member behind it.
#[derive(Default)]
struct Pax {
    path: Option<String>,
    /// Bytes in the archive: where they do not fit into the header's digits.
    size: Option<u64>,
    /// The file's length, where it was stored without its holes.
    real_size: Option<u64>,
    /// The map is before the bytes.
    is_inside: bool,
    /// Places and counts of runs of bytes.
    map: Vec<u64>,
}

impl Pax {
    /// Records are `LENGTH KEY=VALUE\n`; the length is that of the whole record.
    fn parse(mut records: &[u8]) -> Self {
        let mut all = Self::default();
        while let Some(space) = records.iter().position(|b| *b == b' ') {
            let len = records.get(..space).and_then(|len| std::str::from_utf8(len).ok()?.parse().ok());
            let Some((record, rest)) = len.and_then(|len: usize| records.split_at_checked(len)) else {
                break;
            };
            records = rest;
            let record = record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n"));
            let Some(record) = record else { break };
            let Some(equals) = record.iter().position(|b| *b == b'=') else { continue };
            let (key, value) = (field(record, 0, equals), record.get(equals + 1..).unwrap_or_default());
            all.take(key, value);
        }
        all
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        let digits = std::str::from_utf8(value).unwrap_or_default();
        let number = || digits.parse::<u64>().ok();
        match key {
            b"path" if self.path.is_none() => self.path = Some(text(value)),
            // what `path` has then is made up
            b"GNU.sparse.name" => self.path = Some(text(value)),
            b"size" => self.size = number(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.real_size = number(),
            b"GNU.sparse.major" => self.is_inside = number() == Some(1),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.map.extend(number()),
            b"GNU.sparse.map" => self.map = digits.split(',').filter_map(|n| n.parse().ok()).collect(),
            _ => {}
        }
    }
}

/// How a member's bytes are stored.
struct Stored {
    size: u64,
    /// Where they belong, by the member's header.
    map: Option<Map>,
    pax: Pax,
}

impl Stored {
    const fn plain(size: u64) -> Self {
        let pax = Pax { path: None, size: None, real_size: None, is_inside: false, map: Vec::new() };
        Self { size, map: None, pax }
    }

    /// Where the bytes belong; `data` begins with a map where the pax header says so.
    fn map(&mut self, data: &mut dyn BufRead) -> io::Result<Option<Map>> {
        let len = match (self.map.take(), self.pax.real_size) {
            (Some(map), _) => return Ok(Some(map)),
            (None, None) => return Ok(None),
            (None, Some(len)) => len,
        };
        if self.pax.is_inside { Map::read(data, len) } else { Map::of_numbers(&self.pax.map, len) }.map(Some)
    }
}

/// A cpio stream of the kind that RPM writes.
pub(super) struct Cpio<R> {
    stream: R,
}

impl<R: BufRead> Cpio<R> {
    pub(super) const fn new(stream: R) -> Self {
        Self { stream }
    }

    /// Shows each member, until it is enough; true where the stream was read to its end.
    pub(super) fn each(mut self, visit: Visit<'_>) -> io::Result<bool> {
        loop {
            // magic, then 13 numbers of 8 hex digits: mode is the 2nd, size the 7th, the name's size the 12th
            let mut header = [0; 110];
            self.stream.read_exact(&mut header)?;
            match header.get(..6) {
                Some(b"070701" | b"070702") => {}
                Some(b"07070X") => return Err(invalid("packages with files over 4 GiB are not read".into())),
                _ => return Err(invalid("a cpio member has a wrong magic".into())),
            }
            let hex = |i: usize| {
                let digits = std::str::from_utf8(field(&header, 6 + i * 8, 8)).ok()?;
                u64::from_str_radix(digits, 16).ok()
            };
            let (Some(mode), Some(size), Some(name_size)) = (hex(1), hex(6), hex(11)) else {
                return Err(invalid("a cpio member's header is no number".into()));
            };
            let name = text(&bytes(&mut self.stream, name_size, MAX_NAME)?);
            skip(&mut self.stream, (110 + name_size).wrapping_neg() & 3)?;
            if name == "TRAILER!!!" {
                return Ok(true);
            }
            let plain = mode & 0o170_000 == 0o100_000;
            if show(&mut self.stream, &name, plain, Stored::plain(size), visit)?.is_break() {
                return Ok(false);
            }
            skip(&mut self.stream, size.wrapping_neg() & 3)?;
        }
    }
}

/// Shows one member and steps over what was not read of it.
fn show(
    stream: &mut dyn BufRead,
    path: &str,
    plain: bool,
    mut stored: Stored,
    visit: Visit<'_>,
) -> io::Result<ControlFlow<()>> {
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let mut data = Data(stream.take(stored.size));
    let holes = stored.map(&mut data)?;
    let size = holes.as_ref().map_or(stored.size, Map::len);
    let go_on = visit(&mut Member { path, plain, size, holes: holes.as_ref(), data: &mut data })?;
    if go_on.is_continue() {
        io::copy(&mut data, &mut io::sink())?;
    }
    Ok(go_on)
}

/// The bytes of a member; an error where the archive ends before they do.
struct Data<'a>(io::Take<&'a mut dyn BufRead>);

impl Data<'_> {
    fn ended(&self) -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends {:#x} bytes early", self.0.limit()))
    }
}

impl Read for Data<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 if !buf.is_empty() && self.0.limit() != 0 => Err(self.ended()),
            n => Ok(n),
        }
    }
}

impl BufRead for Data<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.fill_buf()?.is_empty() && self.0.limit() != 0 {
            return Err(self.ended());
        }
        self.0.fill_buf()
    }
    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

fn bytes(stream: &mut impl Read, size: u64, max: u64) -> io::Result<Vec<u8>> {
    if size > max {
        return Err(invalid(format!("a member's name is {size:#x} bytes long")));
    }
    let mut out = Vec::new();
    stream.take(size).read_to_end(&mut out)?;
    if out.len() as u64 == size { Ok(out) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn skip(stream: &mut impl Read, count: u64) -> io::Result<()> {
    io::copy(&mut stream.take(count), &mut io::sink()).map(|_| ())
}
