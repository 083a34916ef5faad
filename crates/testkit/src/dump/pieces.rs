//! ELF cores whose segments begin and end anywhere, as no frame of [`DumpSpec`](super::DumpSpec) can.

use super::PAGE;

const EHDR: usize = 64;
const PHDR: usize = 56;

/// An ELF core, segment by segment.
#[derive(Clone, Debug, Default)]
pub struct ElfPieces {
    segments: Vec<Segment>,
    padded: bool,
}

#[derive(Clone, Debug)]
struct Segment {
    kind: u32,
    virt: u64,
    phys: u64,
    data: Vec<u8>,
    /// Bytes of memory, of which data are the first.
    len: u64,
    /// Where the header says that the data lie, if not where they do.
    offset: Option<u64>,
}

impl ElfPieces {
    /// Memory of `len` bytes at a physical address, of which the file has the first: `data`.
    #[must_use]
    pub fn load(self, phys: u64, data: &[u8], len: u64) -> Self {
        self.segment(Segment { kind: 1, virt: 0, phys, data: data.to_vec(), len, offset: None })
    }

    /// The same at a virtual address too.
    #[must_use]
    pub fn mapped(self, virt: u64, phys: u64, data: &[u8]) -> Self {
        let len = data.len() as u64;
        self.segment(Segment { kind: 1, virt, phys, data: data.to_vec(), len, offset: None })
    }

    /// A PT_NOTE.
    #[must_use]
    pub fn notes(self, notes: &[u8]) -> Self {
        let len = notes.len() as u64;
        self.segment(Segment { kind: 4, virt: 0, phys: 0, data: notes.to_vec(), len, offset: None })
    }

    /// A PT_NOTE of which nothing is in the file: the header names a place behind its end.
    #[must_use]
    pub fn lost_notes(self, offset: u64, len: u64) -> Self {
        self.segment(Segment { kind: 4, virt: 0, phys: 0, data: Vec::new(), len, offset: Some(offset) })
    }

    /// The data of each segment begin at the start of a block of 4096 bytes; zeros fill the one before.
    #[must_use]
    pub fn padded(mut self) -> Self {
        self.padded = true;
        self
    }

    fn segment(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    /// The file with its table of program headers behind all data.
    #[must_use]
    pub fn with_table_last(&self) -> Vec<u8> {
        let mut out = self.build();
        let at = out.len() as u64;
        let table = out[EHDR..EHDR + self.segments.len() * PHDR].to_vec();
        out[EHDR..EHDR + table.len()].fill(0);
        put(&mut out, 32, at.to_le_bytes());
        out.extend(table);
        out
    }

    /// The file.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let headers = EHDR + self.segments.len() * PHDR;
        let mut out = vec![0; headers.next_multiple_of(PAGE)];
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        put(&mut out, 16, 4_u16.to_le_bytes());
        put(&mut out, 18, 62_u16.to_le_bytes());
        put(&mut out, 20, 1_u32.to_le_bytes());
        put(&mut out, 32, (EHDR as u64).to_le_bytes());
        put(&mut out, 52, (EHDR as u16).to_le_bytes());
        put(&mut out, 54, (PHDR as u16).to_le_bytes());
        put(&mut out, 56, (self.segments.len() as u16).to_le_bytes());
        for (i, s) in self.segments.iter().enumerate() {
            if self.padded {
                out.resize(out.len().next_multiple_of(PAGE), 0);
            }
            let file_len = if s.offset.is_some() { s.len } else { s.data.len() as u64 };
            let fields = [s.offset.unwrap_or(out.len() as u64), s.virt, s.phys, file_len, s.len];
            put(&mut out, EHDR + i * PHDR, s.kind.to_le_bytes());
            for (k, field) in fields.iter().enumerate() {
                put(&mut out, EHDR + i * PHDR + 8 + 8 * k, field.to_le_bytes());
            }
            out.extend(&s.data);
        }
        out
    }
}

/// Puts a number into a header.
fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    out[at..at + N].copy_from_slice(&bytes);
}
