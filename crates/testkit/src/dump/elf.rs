//! ELF cores as the kernel, QEMU and `makedumpfile -E` write them.

use super::{DumpSpec, Frame, PAGE};

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
        let t = self.target;
        let long = t.long();
        let [ehdr, phdr_len, shdr_len, info] = if t.wide { [64, 56, 64, 0x2c] } else { [52, 32, 40, 0x1c] };
        let loads = self.loads();
        let count = loads.len() + 1;
        let shdr = if xnum { shdr_len } else { 0 };
        let notes_at = ehdr + shdr + count * phdr_len;
        let mut data_at = (notes_at + self.notes.len()).next_multiple_of(PAGE);
        let mut out = vec![0; data_at];
        out[..4].copy_from_slice(b"\x7fELF");
        out[4..7].copy_from_slice(&[if t.wide { 2 } else { 1 }, if t.big_endian { 2 } else { 1 }, 1]);
        t.put(&mut out, 16, 4, 2);
        t.put(&mut out, 18, t.e_machine.into(), 2);
        t.put(&mut out, 20, 1, 4);
        t.put(&mut out, 24 + long, (ehdr + shdr) as u64, long);
        let flags = 24 + 3 * long;
        t.put(&mut out, flags, self.incomplete.into(), 4);
        t.put(&mut out, flags + 4, ehdr as u64, 2);
        t.put(&mut out, flags + 6, phdr_len as u64, 2);
        t.put(&mut out, flags + 8, if xnum { 0xffff } else { count as u64 }, 2);
        if xnum {
            t.put(&mut out, 24 + 2 * long, ehdr as u64, long);
            t.put(&mut out, ehdr + info, count as u64, 4);
        }
        let mut phdr = |i: usize, fields: [u64; 5], kind: u64| {
            let at = ehdr + shdr + i * phdr_len;
            t.put(&mut out, at, kind, 4);
            let first = if t.wide { 8 } else { 4 };
            for (k, field) in fields.iter().enumerate() {
                t.put(&mut out, at + first + long * k, *field, long);
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
                _ => {
                    let virt = self.placed.map_or(0, |base| base.wrapping_add(pfn * PAGE as u64));
                    loads.push(Load { virt, first: pfn, data_end: pfn + u64::from(data), end: pfn + 1 });
                }
            }
        }
        loads
    }
}
