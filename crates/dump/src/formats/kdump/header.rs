//! The two headers of a kdump-compressed file.
//!
//! Source: makedumpfile `diskdump_mod.h` (`struct disk_dump_header`, `struct kdump_sub_header`) and
//! IMPLEMENTATION; QEMU `include/sysemu/dump.h` (the same fields, packed). Both are C structs of the machine that wrote
//! them, so that byte order, the size of a `long` and the padding before a 64-bit number differ ([`Layout`]). Offsets
//! below are those of 64-bit machines.
//!
//! ```text
//! block 0               disk_dump_header
//! block 1..             kdump_sub_header, notes, VMCOREINFO      (sub_hdr_size blocks)
//! then                  bitmap 1: the frame is RAM;  bitmap 2: the frame is in the file
//!                                                                (bitmap_blocks blocks, half each)
//! then                  a page_desc for each frame in the file, ascending; page data
//! ```

use super::evidence;
use super::layout::{Layout, SubOffsets};
use crate::fields::Fields;
use crate::image::Image;
use crate::{Compression, DumpError, Timestamp, Utsname, Warning};
use base::{OutOfBounds, cstr};

/// The magic of the format.
pub(crate) const MAGIC: &[u8] = b"KDUMP   ";
/// Bytes of `struct disk_dump_header`, which ends with `nr_cpus`.
pub(super) const HEADER_LEN: u64 = 464;
/// Bytes of `struct kdump_sub_header` in its latest form.
const SUB_HEADER_LEN: u64 = 104;
/// Bytes of `struct page_desc`: offset, size, flags, page_flags.
pub(crate) const DESC_LEN: u64 = 24;
/// The latest `header_version` whose fields are known.
const KNOWN_VERSION: u32 = 6;
/// A version beyond this is no version.
pub(crate) const MAX_VERSION: u32 = 255;
/// Physical addresses have at most 52 bits on x86_64 and arm64; a few more do no harm.
const MAX_PHYS_BITS: u32 = 56;

const STATUS_ZLIB: u32 = 0x1;
const STATUS_LZO: u32 = 0x2;
const STATUS_SNAPPY: u32 = 0x4;
const STATUS_INCOMPLETE: u32 = 0x8;
const STATUS_ZSTD: u32 = 0x20;

/// Where something is in the file; nothing where `len` is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// Both headers, checked.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) layout: Layout,
    pub(crate) version: u32,
    pub(crate) utsname: Utsname,
    pub(crate) timestamp: Timestamp,
    pub(crate) compression: Option<Compression>,
    pub(crate) incomplete: bool,
    /// Bytes of a page and of a block of the file; a power of two.
    pub(crate) block_size: u64,
    /// One past the highest page frame.
    pub(crate) max_mapnr: u64,
    pub(crate) nr_cpus: u32,
    /// `None` where it is no page boundary: QEMU writes what it reads at a wrong place.
    pub(crate) phys_base: Option<u64>,
    pub(crate) dump_level: Option<u32>,
    /// First page frame and one past the last, where the file is a part of a split set.
    pub(crate) split: Option<(u64, u64)>,
    /// What the sub header says of that.
    pub(crate) claims: Claims,
    /// What places everything, and whether a descriptor is where that leads.
    pub(super) geometry: Geometry,
    pub(super) is_confirmed: bool,
    pub(crate) vmcoreinfo: Extent,
    pub(crate) notes: Extent,
    pub(crate) erase_info: Extent,
    /// The bitmap of RAM.
    pub(crate) ram_bitmap: Extent,
    /// The bitmap of frames in the file.
    pub(crate) page_bitmap: Extent,
    /// Where the descriptors begin.
    pub(crate) descriptors: u64,
    pub(crate) warnings: Vec<Warning>,
}

/// What the sub header says of a part of a split set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Claims {
    /// `split`
    pub(crate) is_part: bool,
    /// `start_pfn_64` and `end_pfn_64`
    pub(crate) new: Option<(u64, u64)>,
    /// `start_pfn` and `end_pfn`
    pub(crate) old: Option<(u64, u64)>,
}

/// The fields of `disk_dump_header` that place everything else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) version: u32,
    pub(super) block_size: u64,
    pub(super) sub_blocks: u64,
    pub(super) bitmap_blocks: u64,
    pub(super) max_mapnr: u64,
}

impl Header {
    /// Reads and checks the headers. Where nothing in the file confirms them, those of `like` are tried, another file of the set.
    pub(crate) fn read(image: &Image, like: Option<&Geometry>) -> Result<Self, DumpError> {
        let raw = image.header("the kdump header", 0, HEADER_LEN)?;
        let cut = |_: OutOfBounds| DumpError::Truncated {
            path: image.path().into(),
            what: "the kdump header",
            offset: 0,
            wanted: HEADER_LEN,
            len: image.len(),
        };
        let layout = Layout::tell(&raw);
        let f = Fields::new(&raw, layout.words);
        let is_signed = raw.starts_with(MAGIC);
        let declared = Geometry::parse(&f, layout).map_err(cut)?;
        let other = Some(declared.version).filter(|version| *version > MAX_VERSION);
        if let Some(version) = other.filter(|_| !is_signed) {
            return Err(image.bad("header_version", version.into(), "known are 0 to 6"));
        }
        // what follows is the same in all versions since the sixth
        let declared = Geometry { version: declared.version.min(MAX_VERSION), ..declared };
        let read_sub = |geometry: &Geometry| {
            let sub_len = SUB_HEADER_LEN.min(geometry.sub_blocks.saturating_mul(geometry.block_size));
            // what a cut file lacks of it is not known, as in a file of an older version
            let have = sub_len.min(image.len().saturating_sub(geometry.block_size));
            let mut sub = match have {
                0 => Vec::new(),
                _ => image.header("the kdump sub header", geometry.block_size, have)?,
            };
            sub.resize(SUB_HEADER_LEN as usize, 0);
            Sub::parse(&Fields::new(&sub, layout.words), layout.sub(), geometry.version, have).map_err(cut)
        };
        let evidence::Settled { geometry, sub, mut warnings, is_confirmed } =
            evidence::settle(&declared, like, image, layout.words, read_sub)?;
        if !is_signed {
            warnings.insert(0, Warning::MagicDamaged { format: "kdump-compressed", offset: 0 });
        }
        let status = f.u32(layout.status()).map_err(cut)?;
        let (ram_bitmap, page_bitmap) = geometry.bitmaps(image)?;
        // the last block may be cut: makedumpfile ends a file without pages with the last bit
        let (wanted, len) = (page_bitmap.offset.saturating_add(page_bitmap.len), image.len());
        if wanted > len {
            warnings.push(Warning::FileTruncated { wanted, len });
        }
        let version = other.unwrap_or(geometry.version);
        if version > KNOWN_VERSION {
            warnings.push(Warning::NewerHeader { version, known: KNOWN_VERSION });
        }
        if status & STATUS_INCOMPLETE != 0 {
            warnings.push(Warning::MarkedIncomplete);
        }
        let second = layout.timestamp();
        let time = |at| f.long(at).map(u64::cast_signed).map_err(cut);
        Ok(Self {
            layout,
            version,
            utsname: utsname(raw.get(12..402).unwrap_or(&[])),
            timestamp: Timestamp { sec: time(second)?, usec: time(second + usize::from(layout.words.size))? },
            compression: compression(status),
            incomplete: status & STATUS_INCOMPLETE != 0,
            block_size: geometry.block_size,
            max_mapnr: geometry.max_mapnr,
            nr_cpus: f.u32(layout.nr_cpus()).map_err(cut)?,
            phys_base: sub.phys_base.filter(|p| p.is_multiple_of(geometry.block_size)),
            dump_level: sub.dump_level,
            split: None,
            claims: sub.claims,
            geometry,
            is_confirmed,
            vmcoreinfo: sub.vmcoreinfo,
            notes: sub.notes,
            erase_info: sub.erase_info,
            descriptors: geometry.bitmap_end(),
            ram_bitmap,
            page_bitmap,
            warnings,
        })
    }
}

impl Geometry {
    fn parse(f: &Fields<'_>, layout: Layout) -> Result<Self, OutOfBounds> {
        Ok(Self {
            version: f.u32(8)?,
            block_size: f.u32(layout.block_size())?.into(),
            sub_blocks: f.u32(layout.sub_blocks())?.into(),
            bitmap_blocks: f.u32(layout.bitmap_blocks())?.into(),
            max_mapnr: f.u32(layout.max_mapnr())?.into(),
        })
    }

    pub(super) fn check(&self, image: &Image) -> Result<(), DumpError> {
        if !self.block_size.is_power_of_two() || !(4096..=65536).contains(&self.block_size) {
            return Err(image.bad(
                "block_size",
                self.block_size,
                "the page size of a machine: 4096 to 65536",
            ));
        }
        if self.bitmap_blocks == 0 && self.max_mapnr > 0 {
            return Err(image.bad("bitmap_blocks", 0, "the bitmap has at least one block"));
        }
        Ok(())
    }

    fn bitmap_start(&self) -> u64 {
        // all are 32-bit numbers times at most 2^16
        self.sub_blocks.saturating_add(1).saturating_mul(self.block_size)
    }

    /// Whether the bitmaps are two of as many blocks as the frames need.
    pub(super) fn has_two_bitmaps(&self) -> bool {
        self.bitmap_blocks == 2 * self.max_mapnr.div_ceil(8).div_ceil(self.block_size)
    }

    pub(super) fn bitmap_end(&self) -> u64 {
        self.bitmap_start().saturating_add(self.bitmap_blocks.saturating_mul(self.block_size))
    }

    /// The bitmap of RAM and that of frames in the file; the same where the file has only one.
    pub(super) fn bitmaps(&self, image: &Image) -> Result<(Extent, Extent), DumpError> {
        if self.max_mapnr > (1 << (MAX_PHYS_BITS - self.block_size.trailing_zeros())) {
            return Err(image.bad("max_mapnr", self.max_mapnr, "no machine has so many page frames"));
        }
        let start = self.bitmap_start();
        let whole = self.bitmap_blocks.saturating_mul(self.block_size);
        let needed = self.max_mapnr.div_ceil(8);
        let (ram, pages) = if self.bitmap_blocks >= 2 * needed.div_ceil(self.block_size) {
            (start, start.saturating_add(whole / 2))
        } else if needed <= whole {
            // a dump without a filter may have one bitmap only
            (start, start)
        } else {
            return Err(image.bad("max_mapnr", self.max_mapnr, "more page frames than the bitmap has bits"));
        };
        Ok((Extent { offset: ram, len: needed }, Extent { offset: pages, len: needed }))
    }
}

/// All kinds of pages that makedumpfile can leave out: `DL_MAX`.
const MAX_DUMP_LEVEL: u32 = 31;

/// `struct kdump_sub_header`, as far as its version has the fields.
pub(super) struct Sub {
    phys_base: Option<u64>,
    dump_level: Option<u32>,
    claims: Claims,
    pub(super) vmcoreinfo: Extent,
    pub(super) notes: Extent,
    pub(super) erase_info: Extent,
    pub(super) max_mapnr: Option<u64>,
}

impl Sub {
    /// `have` bytes of it are in the file, zeros stand for the rest.
    fn parse(f: &Fields<'_>, at: SubOffsets, version: u32, have: u64) -> Result<Self, OutOfBounds> {
        let since = |v: u32| version >= v;
        let is_there = |at: usize, len: usize| at.saturating_add(len) as u64 <= have;
        let level = if since(1) && is_there(at.dump_level, 4) { Some(f.u32(at.dump_level)?) } else { None };
        let extent = |v: u32, at: usize| -> Result<Extent, OutOfBounds> {
            if !since(v) {
                return Ok(Extent::default());
            }
            Ok(Extent { offset: f.u64(at)?, len: f.long(at + 8)? })
        };
        let given = |range: (u64, u64)| Some(range).filter(|range| *range != (0, 0));
        let is_part = since(2) && f.u32(at.split)? != 0;
        let new = if since(6) { given((f.u64(at.start_64)?, f.u64(at.end_64)?)) } else { None };
        let old = if since(2) { given((f.long(at.start)?, f.long(at.end)?)) } else { None };
        let max_mapnr = f.u64(at.max_mapnr_64)?;
        Ok(Self {
            phys_base: if is_there(0, 8) { Some(f.long(0)?) } else { None },
            // one of other bits is damaged
            dump_level: level.filter(|level| *level <= MAX_DUMP_LEVEL),
            claims: Claims { is_part, new, old },
            vmcoreinfo: extent(3, at.vmcoreinfo)?,
            notes: extent(4, at.notes)?,
            erase_info: extent(5, at.erase_info)?,
            max_mapnr: (since(6) && max_mapnr != 0).then_some(max_mapnr),
        })
    }
}

/// The packing that a status word or the flags of a descriptor name: the bits are the same.
pub(crate) fn compression(status: u32) -> Option<Compression> {
    [
        (STATUS_ZLIB, Compression::Zlib),
        (STATUS_LZO, Compression::Lzo),
        (STATUS_SNAPPY, Compression::Snappy),
        (STATUS_ZSTD, Compression::Zstd),
    ]
    .into_iter()
    .find(|(bit, _)| status & bit != 0)
    .map(|(_, c)| c)
}

/// Whether a file without the magic begins with a header of the format all the same: names as `uname` has them, each filled up
/// with zeros, and sizes that fit each other.
pub(crate) fn is_unsigned(start: &[u8]) -> bool {
    let Some(raw) = start.get(..HEADER_LEN as usize) else { return false };
    let is_name = |field: &[u8]| {
        let name = cstr(field);
        let rest = field.get(name.len()..).unwrap_or_default();
        name.iter().all(|b| (b' '..=b'~').contains(b)) && !rest.is_empty() && rest.iter().all(|b| *b == 0)
    };
    let names = raw.get(12..402).unwrap_or_default();
    let [system, release] = [0, 2].map(|n| cstr(names.get(65 * n..65 * (n + 1)).unwrap_or_default()));
    let is_release = release.first().is_some_and(u8::is_ascii_digit) && release.contains(&b'.');
    let is_named = system == b"Linux" && is_release && names.chunks_exact(65).all(is_name);
    let layout = Layout::tell(raw);
    let geometry = Geometry::parse(&Fields::new(raw, layout.words), layout);
    let has_sizes = geometry.is_ok_and(|g| {
        // what does not fit into 32 bits stands in the sub header
        let is_long = g.max_mapnr == u64::from(u32::MAX);
        let has_bitmap = g.max_mapnr.div_ceil(8) <= g.bitmap_blocks.saturating_mul(g.block_size) || is_long;
        let is_block = g.block_size.is_power_of_two() && (4096..=65536).contains(&g.block_size);
        g.version <= MAX_VERSION && is_block && g.bitmap_blocks > 0 && g.max_mapnr > 0 && has_bitmap
    });
    is_named && has_sizes
}

fn utsname(raw: &[u8]) -> Utsname {
    let field = |i: usize| {
        let bytes = raw.get(i * 65..(i + 1) * 65).unwrap_or(&[]);
        String::from_utf8_lossy(cstr(bytes)).into_owned()
    };
    Utsname {
        sysname: field(0),
        nodename: field(1),
        release: field(2),
        version: field(3),
        machine: field(4),
        domainname: field(5),
    }
}
