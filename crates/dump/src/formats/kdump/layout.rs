//! Where the fields of the headers are: they are C structs of the machine that wrote the file.

use crate::fields::{Fields, Words};

/// Byte order, size of a `long`, and where a 64-bit number may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) words: Words,
    /// A 64-bit number begins at a multiple of this: 8, but 4 on i386.
    align: usize,
}

impl Layout {
    /// The layout by which the header makes sense; that of x86-64 where none does, so that the message is about it.
    pub(crate) fn tell(header: &[u8]) -> Self {
        let all = [(8, false), (8, true), (4, false), (4, true)];
        let layouts = all.map(|(size, big_endian)| Self::of(Words { size, big_endian }, header));
        let of = |is: fn(Self, &[u8]) -> bool| layouts.into_iter().find(|layout| is(*layout, header));
        let has_sizes = || of(Self::has_sizes);
        // a dump without pages needs no bitmap; a header of other words can look like its
        let fits = of(Self::has_bitmap).or_else(|| of(Self::has_frames)).or_else(has_sizes);
        fits.unwrap_or(Self { words: Words::LITTLE_64, align: 8 })
    }

    fn of(words: Words, header: &[u8]) -> Self {
        // utsname's machine: i386 to i686 align a 64-bit number to 4
        let machine = base::cstr(header.get(12 + 4 * 65..12 + 5 * 65).unwrap_or_default());
        let packed = words.size == 4 && machine.starts_with(b"i") && machine.ends_with(b"86");
        Self { words, align: if packed { 4 } else { 8 } }
    }

    fn number(self, header: &[u8], at: usize) -> u32 {
        Fields::new(header, self.words).u32(at).unwrap_or(0)
    }

    fn has_sizes(self, header: &[u8]) -> bool {
        let block_size = self.number(header, self.block_size());
        self.number(header, 8) <= super::header::MAX_VERSION
            && block_size.is_power_of_two()
            && (4096..=65536).contains(&block_size)
    }

    fn has_bitmap(self, header: &[u8]) -> bool {
        self.has_sizes(header) && self.number(header, self.bitmap_blocks()) != 0
    }

    fn has_frames(self, header: &[u8]) -> bool {
        self.has_sizes(header) && self.number(header, self.max_mapnr()) != 0
    }

    /// Offset of `timestamp`, a `struct timeval`.
    pub(crate) const fn timestamp(self) -> usize {
        if self.words.size == 8 { 408 } else { 404 }
    }
    /// Offset of `status`.
    pub(crate) const fn status(self) -> usize {
        self.timestamp() + 2 * self.words.size as usize
    }
    /// Offset of `block_size`.
    pub(crate) const fn block_size(self) -> usize {
        self.status() + 4
    }
    /// Offset of `sub_hdr_size`.
    pub(crate) const fn sub_blocks(self) -> usize {
        self.status() + 8
    }
    /// Offset of `bitmap_blocks`.
    pub(crate) const fn bitmap_blocks(self) -> usize {
        self.status() + 12
    }
    /// Offset of `max_mapnr`.
    pub(crate) const fn max_mapnr(self) -> usize {
        self.status() + 16
    }
    /// Offset of `nr_cpus`.
    pub(crate) const fn nr_cpus(self) -> usize {
        self.status() + 36
    }

    /// Offsets of the fields of `struct kdump_sub_header`.
    pub(crate) const fn sub(self) -> SubOffsets {
        let long = self.words.size as usize;
        let start = long + 8;
        let vmcoreinfo = (start + 2 * long).next_multiple_of(self.align);
        // an offset of 64 bits and a size that is a long
        let pair = (8 + long).next_multiple_of(self.align);
        let last = vmcoreinfo + 3 * pair;
        SubOffsets {
            dump_level: long,
            split: long + 4,
            start,
            end: start + long,
            vmcoreinfo,
            notes: vmcoreinfo + pair,
            erase_info: vmcoreinfo + 2 * pair,
            start_64: last,
            end_64: last + 8,
            max_mapnr_64: last + 16,
        }
    }
}

/// Offsets in the sub header; `phys_base` is at 0.
pub(crate) struct SubOffsets {
    pub(crate) dump_level: usize,
    pub(crate) split: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// An offset, and 8 bytes further on a size; so are the next two.
    pub(crate) vmcoreinfo: usize,
    pub(crate) notes: usize,
    pub(crate) erase_info: usize,
    pub(crate) start_64: usize,
    pub(crate) end_64: usize,
    pub(crate) max_mapnr_64: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the C compilers of the three machines.
    #[test]
    fn offsets_of_the_sub_header() {
        let of = |size, align| {
            let s = Layout { words: Words { size, big_endian: false }, align }.sub();
            [
                s.dump_level,
                s.split,
                s.start,
                s.end,
                s.vmcoreinfo,
                s.notes,
                s.erase_info,
                s.start_64,
                s.max_mapnr_64,
            ]
        };
        assert_eq!(of(8, 8), [8, 12, 16, 24, 32, 48, 64, 80, 96]);
        assert_eq!(of(4, 4), [4, 8, 12, 16, 20, 32, 44, 56, 72], "i386");
        assert_eq!(of(4, 8), [4, 8, 12, 16, 24, 40, 56, 72, 88], "arm");
    }
}
