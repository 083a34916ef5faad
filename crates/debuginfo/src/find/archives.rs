//! The two archive formats inside packages, as streams: tar (Debian) and cpio `newc` (RPM).

use super::containers::{Member, Visit, invalid};
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

/// Longest path that is believed.
const MAX_NAME: u64 = 1 << 16;

/// A tar stream: blocks of 512 bytes.
pub(super) struct Tar<R> {
    stream: R,
}

impl<R: BufRead> Tar<R> {
    pub(super) const fn new(stream: R) -> Self {
        Self { stream }
    }

    /// Shows each member, until it is enough; true where the stream was read to its end.
    pub(super) fn each(mut self, visit: Visit<'_>) -> io::Result<bool> {
        let mut long = None;
        loop {
            let mut block = [0; 512];
            if self.stream.fill_buf()?.is_empty() {
                return Ok(true);
            }
            self.stream.read_exact(&mut block)?;
            if block.iter().all(|&b| b == 0) {
                return Ok(true);
            }
            let size =
                number(field(&block, 124, 12)).ok_or_else(|| invalid("a tar member has no size".into()))?;
            let padding = size.wrapping_neg() & 511;
            match block.get(156).copied().unwrap_or(0) {
                b'L' => long = Some(text(&self.name_bytes(size)?)),
                b'x' => long = pax_path(&self.name_bytes(size)?).or(long),
                b'g' | b'K' => drop(self.name_bytes(size)?),
                kind => {
                    let name = long.take().unwrap_or_else(|| short_name(&block));
                    let plain = matches!(kind, b'0' | 0 | b'7');
                    if show(&mut self.stream, &name, plain, size, visit)?.is_break() {
                        return Ok(false);
                    }
                }
            }
            skip(&mut self.stream, padding)?;
        }
    }

    /// The bytes of a member that is a name.
    fn name_bytes(&mut self, size: u64) -> io::Result<Vec<u8>> {
        bytes(&mut self.stream, size)
    }
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

/// `LENGTH path=VALUE\n` among a pax header's records.
fn pax_path(records: &[u8]) -> Option<String> {
    let mut lines = records.split(|&b| b == b'\n');
    lines.find_map(|line| {
        let at = line.iter().position(|&b| b == b' ')?;
        Some(text(line.get(at + 1..)?.strip_prefix(b"path=")?))
    })
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
            let name = text(&bytes(&mut self.stream, name_size)?);
            skip(&mut self.stream, (110 + name_size).wrapping_neg() & 3)?;
            if name == "TRAILER!!!" {
                return Ok(true);
            }
            let plain = mode & 0o170_000 == 0o100_000;
            if show(&mut self.stream, &name, plain, size, visit)?.is_break() {
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
    size: u64,
    visit: Visit<'_>,
) -> io::Result<ControlFlow<()>> {
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let mut data = Data(stream.take(size));
    let go_on = visit(&mut Member { path, plain, size, data: &mut data })?;
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

fn bytes(stream: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    if size > MAX_NAME {
        return Err(invalid(format!("a member's name is {size:#x} bytes long")));
    }
    let mut out = Vec::new();
    stream.take(size).read_to_end(&mut out)?;
    if out.len() as u64 == size { Ok(out) } else { Err(invalid("it ends in a name".into())) }
}

fn skip(stream: &mut impl Read, count: u64) -> io::Result<()> {
    io::copy(&mut stream.take(count), &mut io::sink()).map(|_| ())
}
