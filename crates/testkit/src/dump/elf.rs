//! ELF cores as the kernel, QEMU and `makedumpfile -E` write them.

use super::{DumpSpec, Frame, PAGE, put};

const EHDR: usize = 64;
const PHDR: usize = 56;

/// A PT_LOAD to be written: frames `first..end`, of which those before `data_end` have data.
struct Load {
    virt: u64,
    first: u64,
    data_end: u64,
    end: u64,
}

impl DumpSpec {
    /// An ELF core. Excluded frames end a segment's data before its memory.
    #[must_use]
    pub fn elf(&self) -> Vec<u8> {
        self.elf_with(false)
    }

    /// An ELF core whose count of program headers is in section header 0 (`PN_XNUM`).
    #[must_use]
    pub fn elf_many_headers(&self) -> Vec<u8> {
        self.elf_with(true)
    }

    fn elf_with(&self, xnum: bool) -> Vec<u8> {
        let loads = self.loads();
        let count = loads.len() + 1;
        let shdr = if xnum { 64 } else { 0 };
        let notes_at = EHDR + shdr + count * PHDR;
        let mut data_at = (notes_at + self.notes.len()).next_multiple_of(PAGE);
        let mut out = vec![0; data_at];
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        put(&mut out, 16, 4_u16.to_le_bytes());
        put(&mut out, 18, 62_u16.to_le_bytes());
        put(&mut out, 20, 1_u32.to_le_bytes());
        put(&mut out, 32, ((EHDR + shdr) as u64).to_le_bytes());
        put(&mut out, 48, u32::from(self.incomplete).to_le_bytes());
        put(&mut out, 52, (EHDR as u16).to_le_bytes());
        put(&mut out, 54, (PHDR as u16).to_le_bytes());
        put(&mut out, 56, if xnum { 0xffff } else { count as u16 }.to_le_bytes());
        if xnum {
            put(&mut out, 40, (EHDR as u64).to_le_bytes());
            put(&mut out, EHDR + 0x2c, (count as u32).to_le_bytes());
        }
        let mut phdr = |i: usize, fields: [u64; 5], kind: u32| {
            let at = EHDR + shdr + i * PHDR;
            put(&mut out, at, kind.to_le_bytes());
            for (k, field) in fields.iter().enumerate() {
                put(&mut out, at + 8 + 8 * k, field.to_le_bytes());
            }
        };
        phdr(0, [notes_at as u64, 0, 0, self.notes.len() as u64, self.notes.len() as u64], 4);
        let page = PAGE as u64;
        for (i, l) in loads.iter().enumerate() {
            let file_len = (l.data_end - l.first) * page;
            phdr(i + 1, [data_at as u64, l.virt, l.first * page, file_len, (l.end - l.first) * page], 1);
            data_at += file_len as usize;
        }
        out[notes_at..notes_at + self.notes.len()].copy_from_slice(&self.notes);
        for l in &loads {
            for pfn in l.first..l.data_end {
                out.extend(self.data(pfn).unwrap_or(&[0; PAGE]));
            }
        }
        out
    }

    fn loads(&self) -> Vec<Load> {
        let also = self.virt.iter().map(|&(virt, first, n)| Load {
            virt,
            first,
            data_end: first + n,
            end: first + n,
        });
        let mut loads: Vec<Load> = also.collect();
        let fixed = loads.len();
        for (&pfn, frame) in &self.frames {
            let data = matches!(frame, Frame::Page(_));
            match loads.get_mut(fixed..).and_then(<[Load]>::last_mut) {
                Some(l) if l.end == pfn && (!data || l.data_end == pfn) => {
                    l.end += 1;
                    l.data_end += u64::from(data);
                }
                _ => loads.push(Load { virt: 0, first: pfn, data_end: pfn + u64::from(data), end: pfn + 1 }),
            }
        }
        loads
    }
}
