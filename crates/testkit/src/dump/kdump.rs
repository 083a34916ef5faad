//! kdump-compressed files as makedumpfile writes them.

use super::{DumpSpec, Frame, PAGE, Packing};

impl DumpSpec {
    /// A kdump-compressed file. A page that packs to no less than a page is stored plain, and pages of
    /// zeros share a descriptor's data, as makedumpfile does.
    #[must_use]
    pub fn kdump(&self, packing: Packing) -> Vec<u8> {
        self.part(packing, None)
    }

    /// A split set: `cuts` are the first frames of all parts but the first.
    #[must_use]
    pub fn split(&self, packing: Packing, cuts: &[u64]) -> Vec<Vec<u8>> {
        let mut bounds = vec![0];
        bounds.extend(cuts);
        bounds.push(self.end());
        bounds.windows(2).map(|w| self.part(packing, Some((w[0], w[1])))).collect()
    }

    /// Offset of bitmap 1, of bitmap 2, and of the descriptors of a kdump file.
    #[must_use]
    pub fn kdump_layout(&self) -> [usize; 3] {
        let sub = (104 + self.notes.len()).div_ceil(self.block);
        let half = self.half_bitmap();
        let start = (1 + sub) * self.block;
        [start, start + half, start + 2 * half]
    }

    /// The same memory in pages of so many bytes, a multiple of 4096: for `kdump` and `split`, whose frames are then of
    /// that size.
    ///
    /// # Panics
    /// When it is no multiple.
    #[must_use]
    pub fn in_pages_of(mut self, bytes: usize) -> Self {
        assert!(bytes.is_multiple_of(PAGE), "pages of 4096 bytes fit in none of {bytes}");
        let small = std::mem::take(&mut self.frames);
        for (pfn, frame) in small {
            let at = pfn as usize * PAGE;
            let slot = self.frames.entry((at / bytes) as u64).or_insert(Frame::Excluded);
            let Frame::Page(page) = frame else { continue };
            if *slot == Frame::Excluded {
                *slot = Frame::Page(vec![0; bytes]);
            }
            if let Frame::Page(whole) = slot {
                whole[at % bytes..at % bytes + PAGE].copy_from_slice(&page);
            }
        }
        self.block = bytes;
        self
    }

    /// Where notes begin: behind the sub header.
    const fn notes_at(&self) -> usize {
        self.block + 104
    }

    /// Bytes of one bitmap, a whole number of blocks.
    fn half_bitmap(&self) -> usize {
        (self.end() as usize).div_ceil(8).next_multiple_of(self.block).max(self.block)
    }

    fn part(&self, packing: Packing, frames: Option<(u64, u64)>) -> Vec<u8> {
        let [ram, here, descs] = self.kdump_layout();
        let mut out = vec![0; descs];
        self.header(&mut out, packing);
        self.sub_header(&mut out, frames);
        out[self.notes_at()..self.notes_at() + self.notes.len()].copy_from_slice(&self.notes);
        for (&pfn, frame) in &self.frames {
            let (byte, bit) = (pfn as usize / 8, 1 << (pfn % 8));
            out[ram + byte] |= bit;
            if matches!(frame, Frame::Page(_)) {
                out[here + byte] |= bit;
            }
        }
        let (first, end) = frames.unwrap_or((0, u64::MAX));
        let pages: Vec<&[u8]> = self.frames.range(first..end).filter_map(|(p, _)| self.data(*p)).collect();
        let mut data: Vec<u8> = Vec::new();
        let data_at = descs + 24 * pages.len();
        let mut zero = None;
        for page in pages {
            let (mut bytes, mut flags) = (packing.pack(page), packing.flag());
            if bytes.len() >= self.block {
                (bytes, flags) = (page.to_vec(), 0);
            }
            let is_zero = page.iter().all(|&b| b == 0);
            let at = match zero {
                Some(at) if is_zero => at,
                _ => {
                    let at = data_at + data.len();
                    data.extend(&bytes);
                    at
                }
            };
            if is_zero {
                zero = Some(at);
            }
            self.target.push(&mut out, at as u64, 8);
            self.target.push(&mut out, bytes.len() as u64, 4);
            self.target.push(&mut out, flags.into(), 4);
            out.extend([0; 8]);
        }
        out.extend(data);
        out
    }

    fn header(&self, out: &mut [u8], packing: Packing) {
        out[..8].copy_from_slice(b"KDUMP   ");
        let t = self.target;
        let long = t.long();
        t.put(out, 8, self.version.into(), 4);
        for (i, field) in ["Linux", "testbox", &self.release, "#1 SMP", t.name, "(none)"].iter().enumerate() {
            out[12 + 65 * i..12 + 65 * i + field.len()].copy_from_slice(field.as_bytes());
        }
        let time = if t.wide { 408 } else { 404 };
        t.put(out, time, 1_700_000_000, long);
        let status = time + 2 * long;
        t.put(out, status, (packing.flag() | if self.incomplete { 8 } else { 0 }).into(), 4);
        let [ram, _, descs] = self.kdump_layout();
        for (i, field) in [self.block, ram / self.block - 1, (descs - ram) / self.block].iter().enumerate() {
            t.put(out, status + 4 + 4 * i, *field as u64, 4);
        }
        t.put(out, status + 16, self.end().min(u32::MAX.into()), 4);
        t.put(out, status + 36, 2, 4);
    }

    /// Every field that the version has.
    fn sub_header(&self, out: &mut [u8], frames: Option<(u64, u64)>) {
        let t = self.target;
        let long = t.long();
        let mut field = |since: u32, at: usize, value: u64, len: usize| {
            if self.version >= since {
                t.put(out, self.block + at, value, len);
            }
        };
        // a 64-bit number is aligned to 8, on i386 to 4
        let align = if t.name == "i686" { 4 } else { 8 };
        let texts = (3 * long + 8).next_multiple_of(align);
        let pair = (8 + long).next_multiple_of(align);
        field(0, 0, 0x100_0000, long);
        field(1, long, u64::from(self.dump_level), 4);
        if let Some((first, end)) = frames {
            field(2, long + 4, 1, 4);
            field(2, long + 8, first, long);
            field(2, 2 * long + 8, end, long);
            field(6, texts + 3 * pair, first, 8);
            field(6, texts + 3 * pair + 8, end, 8);
        }
        if let Some(text) = &self.vmcoreinfo {
            let at = self.notes.windows(text.len()).position(|w| w == text.as_bytes()).unwrap_or(0);
            field(3, texts, (self.notes_at() + at) as u64, 8);
            field(3, texts + 8, text.len() as u64, long);
        }
        if let Some(text) = &self.erase_info {
            let at = self.notes.windows(text.len()).position(|w| w == text.as_bytes()).unwrap_or(0);
            field(5, texts + 2 * pair, (self.notes_at() + at) as u64, 8);
            field(5, texts + 2 * pair + 8, text.len() as u64, long);
        }
        if !self.notes.is_empty() {
            field(4, texts + pair, self.notes_at() as u64, 8);
            field(4, texts + pair + 8, self.notes.len() as u64, long);
        }
        field(6, texts + 3 * pair + 16, self.end(), 8);
    }
}
