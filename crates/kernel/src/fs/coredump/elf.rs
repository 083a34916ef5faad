//! The file of a process's core: ELF of 64 bits, little-endian (`ET_CORE`; System V ABI).
//!
//! The memory comes first and the program headers last, so that one pass writes it whatever there is of it. What is not known
//! has no program header: a reader is told that no such memory is there, not that it is zero. Zeros that nobody wrote take no
//! room: they are what a header has of memory beyond its bytes in the file.

use std::io::{self, Seek, SeekFrom, Write};

/// Bytes of an ELF header, of a program header and of a section header.
const EHDR: u64 = 64;
const PHDR: u16 = 56;
const SHDR: u16 = 64;
/// Where the memory begins in the file.
const FIRST: u64 = 4096;
/// `PT_LOAD`, `PT_NOTE`.
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// `PN_XNUM`: so many program headers or more are counted in the first section header.
const XNUM: u64 = 0xffff;
/// `PF_X`, `PF_W`, `PF_R` by the lowest bits of `vm_flags`, which are VM_READ, VM_WRITE and VM_EXEC.
const RIGHTS: [u32; 3] = [4, 2, 1];

/// A program header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Header {
    kind: u32,
    flags: u32,
    offset: u64,
    at: u64,
    in_file: u64,
    in_memory: u64,
    align: u64,
}

/// The file while it is written.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Where the next bytes go.
    end: u64,
    page: u64,
    headers: Vec<Header>,
}

impl<W: Write + Seek> Writer<W> {
    /// A file of memory in pages of so many bytes.
    pub fn new(out: W, page: u64) -> Self {
        Self { out, end: FIRST, page, headers: Vec::new() }
    }

    /// The header that takes in what is at an address; `begins` a mapping.
    fn header(&mut self, at: u64, rights: u64, begins: bool, has_bytes: bool) -> Option<&mut Header> {
        let flags =
            (0..).zip(RIGHTS).fold(0, |all, (bit, flag)| all | if rights >> bit & 1 == 1 { flag } else { 0 });
        let goes_on = |last: &Header| {
            last.at.checked_add(last.in_memory) == Some(at)
                && last.flags == flags
                && !begins
                // bytes behind zeros need a header of their own
                && (!has_bytes || last.in_file == last.in_memory)
        };
        if !self.headers.last().is_some_and(goes_on) {
            let (offset, align) = (self.end, self.page);
            self.headers.push(Header { kind: LOAD, flags, offset, at, align, ..Header::default() });
        }
        self.headers.last_mut()
    }

    /// Memory at an address.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn bytes(&mut self, at: u64, rights: u64, begins: bool, bytes: &[u8]) -> io::Result<()> {
        let (len, end) = (bytes.len() as u64, self.end);
        let Some(header) = self.header(at, rights, begins, true) else { return Ok(()) };
        header.in_file = header.in_file.saturating_add(len);
        header.in_memory = header.in_memory.saturating_add(len);
        self.end = end.saturating_add(len);
        // what is zero is a hole of the file
        if bytes.iter().all(|b| *b == 0) {
            return Ok(());
        }
        self.out.seek(SeekFrom::Start(end))?;
        self.out.write_all(bytes)
    }

    /// Memory that is zero, as nobody wrote it.
    pub fn zeros(&mut self, at: u64, rights: u64, begins: bool, len: u64) {
        if let Some(header) = self.header(at, rights, begins, false) {
            header.in_memory = header.in_memory.saturating_add(len);
        }
    }

    /// Writes notes and headers, and gives back how many bytes the file has.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, machine: u16, notes: &[u8]) -> io::Result<u64> {
        let offset = self.end.next_multiple_of(8);
        let len = notes.len() as u64;
        let note = Header { kind: NOTE, offset, in_file: len, align: 4, ..Header::default() };
        self.headers.insert(0, note);
        self.out.seek(SeekFrom::Start(offset))?;
        self.out.write_all(notes)?;
        let headers = offset.saturating_add(len).next_multiple_of(8);
        self.out.seek(SeekFrom::Start(headers))?;
        let mut bytes = Vec::with_capacity(self.headers.len().saturating_mul(usize::from(PHDR)));
        for h in &self.headers {
            bytes.extend(h.kind.to_le_bytes());
            bytes.extend(h.flags.to_le_bytes());
            // the physical address, which a process has none of, is 0
            for word in [h.offset, h.at, 0, h.in_file, h.in_memory, h.align] {
                bytes.extend(word.to_le_bytes());
            }
        }
        self.out.write_all(&bytes)?;
        let count = self.headers.len() as u64;
        let mut end = headers.saturating_add(bytes.len() as u64);
        let sections = if count >= XNUM { end } else { 0 };
        if count >= XNUM {
            // sh_info of the only section
            let mut section = [0; SHDR as usize];
            let number = u32::try_from(count).map_err(io::Error::other)?;
            if let Some(info) = section.get_mut(44..48) {
                info.copy_from_slice(&number.to_le_bytes());
            }
            self.out.write_all(&section)?;
            end = end.saturating_add(SHDR.into());
        }
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&ehdr(machine, headers, count, sections))?;
        self.out.flush()?;
        Ok(end)
    }
}

fn ehdr(machine: u16, headers: u64, count: u64, sections: u64) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    // ET_CORE
    out.extend(4_u16.to_le_bytes());
    out.extend(machine.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    for word in [0, headers, sections] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes());
    let count = u16::try_from(count.min(XNUM)).unwrap_or(u16::MAX);
    let (size, number) = if sections == 0 { (0, 0) } else { (SHDR, 1) };
    for half in [EHDR as u16, PHDR, count, size, number, 0] {
        out.extend(half.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSegment as _};
    use std::io::Cursor;

    fn written(fill: impl FnOnce(&mut Writer<&mut Cursor<Vec<u8>>>)) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        let mut writer = Writer::new(&mut file, 0x1000);
        fill(&mut writer);
        let len = writer.finish(62, b"notes").unwrap();
        let bytes = file.into_inner();
        assert_eq!(bytes.len() as u64, len);
        bytes
    }

    #[test]
    fn what_follows_one_another_is_one_segment() {
        let bytes = written(|w| {
            w.bytes(0x1000, 5, true, &[1; 0x1000]).unwrap();
            w.bytes(0x2000, 5, false, &[2; 0x1000]).unwrap();
            w.zeros(0x3000, 5, false, 0x5000);
            w.bytes(0x8000, 5, false, &[3; 0x1000]).unwrap();
            // another mapping, one with other rights, and one behind a hole
            w.bytes(0x9000, 5, true, &[0; 0x1000]).unwrap();
            w.bytes(0xa000, 3, false, &[4; 0x1000]).unwrap();
            w.zeros(0xc000, 3, false, 0x1000);
        });
        let file = object::File::parse(&*bytes).unwrap();
        let all: Vec<_> =
            file.segments().map(|s| (s.address(), s.size(), s.data().unwrap().to_vec())).collect();
        let data = |parts: &[u8]| parts.iter().flat_map(|b| [*b; 0x1000]).collect::<Vec<_>>();
        let wanted = vec![
            (0x1000, 0x7000, data(&[1, 2])),
            (0x8000, 0x1000, data(&[3])),
            (0x9000, 0x1000, data(&[0])),
            (0xa000, 0x1000, data(&[4])),
            (0xc000, 0x1000, vec![]),
        ];
        assert_eq!(all, wanted);
    }

    #[test]
    fn more_segments_than_a_header_can_count() {
        let bytes = written(|w| (0..70_000).for_each(|n| w.zeros(n * 0x2000, 1, true, 0x1000)));
        assert_eq!(bytes[56..58], [0xff, 0xff]);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        // sh_info of the section header that e_shoff tells
        let info = word(40) + 44;
        assert_eq!((word(32) + 70_001 * 56, bytes.len()), (word(40), word(40) + 64));
        assert_eq!(u32::from_le_bytes(bytes[info..info + 4].try_into().unwrap()), 70_001);
    }
}
