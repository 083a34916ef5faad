//! The numbers of a kdump header that place everything else, held against each other and the file: `block_size`,
//! `sub_hdr_size`, `bitmap_blocks`, `max_mapnr` and `max_mapnr_64`, and the frames of a part of a split set.
//!
//! What all writers do (makedumpfile, QEMU): two bitmaps of `max_mapnr` bits, each of whole blocks; the descriptors follow
//! them at once, and the data of the first page at once behind the last descriptor.
//!
//! **Invariant:** where the header's own numbers lead to a descriptor, they are taken; where they do not, and one that is
//! different does, that one is taken and told.

use super::codec;
use super::header::{DESC_LEN, Extent, Geometry, Sub};
use crate::fields::{Fields, Words};
use crate::image::Image;
use crate::{DumpError, Warning};

/// Page sizes of machines.
const BLOCKS: [u64; 5] = [4096, 8192, 16384, 32768, 65536];
/// No file is as long as this.
const MAX_FILE: u64 = 1 << 56;

/// The numbers that are taken.
pub(super) struct Settled {
    pub(super) geometry: Geometry,
    pub(super) sub: Sub,
    /// What of the header they replace.
    pub(super) warnings: Vec<Warning>,
    /// They lead to a descriptor.
    pub(super) is_confirmed: bool,
}

/// The numbers that fit the file; `like` are those of another file of the set.
pub(super) fn settle(
    declared: &Geometry,
    like: Option<&Geometry>,
    image: &Image,
    words: Words,
    read: impl Fn(&Geometry) -> Result<Sub, DumpError>,
) -> Result<Settled, DumpError> {
    let found = |geometry: Geometry, sub: Sub| {
        let warnings = differences(declared, &geometry, &sub);
        Settled { geometry, sub, warnings, is_confirmed: true }
    };
    for block_size in
        std::iter::once(declared.block_size).chain(BLOCKS.into_iter().filter(|b| *b != declared.block_size))
    {
        if !BLOCKS.contains(&block_size) {
            continue;
        }
        // a size of 0 leaves no room for the sub header that every later version has
        let sub_blocks = declared.sub_blocks.max(u64::from(declared.version > 0));
        let given = Geometry { block_size, sub_blocks, ..*declared };
        let Ok(sub) = read(&given) else { continue };
        for exact in [true, false] {
            let fitting = candidates(declared, &given, &sub, image.len()).find(|g| {
                (!exact || g.has_two_bitmaps())
                    && g.bitmaps(image).is_ok()
                    && leads_to_page(g, image, words, is_declared(g, declared))
            });
            if let Some(fitting) = fitting {
                return Ok(found(fitting, sub));
            }
        }
    }
    let like = like.map(|like| Geometry { version: declared.version, ..*like });
    if let Some(like) = like.filter(|g| g.bitmaps(image).is_ok() && leads_to_page(g, image, words, true)) {
        return Ok(found(like, read(&like)?));
    }
    // a file without pages, one that was cut, or one that cannot be read: as the header has it
    declared.check(image)?;
    let sub = read(declared)?;
    let geometry = Geometry { max_mapnr: sub.max_mapnr.unwrap_or(declared.max_mapnr), ..*declared };
    Ok(Settled { geometry, sub, warnings: Vec::new(), is_confirmed: false })
}

/// The header's numbers, then those that follow from others, one or more in its place.
fn candidates(declared: &Geometry, given: &Geometry, sub: &Sub, len: u64) -> impl Iterator<Item = Geometry> {
    let given = *given;
    let mut maxes = [sub.max_mapnr.unwrap_or(declared.max_mapnr), declared.max_mapnr];
    // of two that differ the larger one: what is beyond the machine's memory has no bit
    maxes.sort_unstable();
    maxes.reverse();
    let text = [sub.vmcoreinfo, sub.notes, sub.erase_info];
    let ends = text
        .iter()
        .filter_map(|e: &Extent| e.offset.checked_add(e.len).filter(|end| e.len > 0 && *end <= len));
    let end = ends.max().unwrap_or(0).max(given.block_size + 1);
    let sub_blocks = [declared.sub_blocks, end.div_ceil(given.block_size).saturating_sub(1)];
    maxes.into_iter().flat_map(move |max_mapnr| {
        let exact = 2 * max_mapnr.div_ceil(8).div_ceil(given.block_size);
        [declared.bitmap_blocks, exact].into_iter().flat_map(move |bitmap_blocks| {
            sub_blocks.into_iter().map(move |sub_blocks| Geometry {
                max_mapnr,
                bitmap_blocks,
                sub_blocks,
                ..given
            })
        })
    })
}

/// Whether descriptors are where the header has them.
fn is_declared(g: &Geometry, declared: &Geometry) -> bool {
    (g.block_size, g.bitmap_end()) == (declared.block_size, declared.bitmap_end())
}

/// So many descriptors are asked for the size of a page.
const PAGES: u64 = 8;

/// Whether descriptors follow the bitmaps, the first one's page all descriptors, and no page has another size.
fn leads_to_page(g: &Geometry, image: &Image, words: Words, declared: bool) -> bool {
    let first = g.bitmap_end();
    let others = (1..PAGES).map(|n| first.saturating_add(n * DESC_LEN));
    is_descriptor(g, first, image, words, declared)
        && !others.chain([first]).any(|at| has_other_size(g, at, image, words))
}

/// Whether the page of a descriptor unpacks to another size than the header's.
fn has_other_size(g: &Geometry, at: u64, image: &Image, words: Words) -> bool {
    let Ok(raw) = image.header("a descriptor", at, DESC_LEN) else { return false };
    let f = Fields::new(&raw, words);
    let (Ok(offset), Ok(size), Ok(flags)) = (f.u64(0), f.u32(8), f.u32(12)) else { return false };
    if flags & codec::PACKED == 0 || flags & !codec::PACKED != 0 || u64::from(size) > g.block_size {
        return false;
    }
    let unpacks = |block_size: u64| {
        let mut page = vec![0; usize::try_from(block_size).unwrap_or(0)];
        codec::unpack(flags, size as usize, &mut page, |packed| image.fill(offset, packed)).is_ok()
    };
    let mut others = BLOCKS.into_iter().filter(|block_size| *block_size != g.block_size);
    !unpacks(g.block_size) && others.any(unpacks)
}

/// Whether a descriptor is here. The header's own place needs less: QEMU leaves room between descriptors and data.
fn is_descriptor(g: &Geometry, at: u64, image: &Image, words: Words, declared: bool) -> bool {
    let Ok(raw) = image.header("the first descriptor", at, DESC_LEN) else { return false };
    let f = Fields::new(&raw, words);
    let read = || {
        let (offset, size, flags, page_flags) = (f.u64(0)?, u64::from(f.u32(8)?), f.u32(12)?, f.u64(16)?);
        let packed = flags & codec::PACKED != 0;
        let sized = size > 0 && size <= g.block_size && (packed || size == g.block_size);
        let placed = offset < MAX_FILE && offset > at;
        // makedumpfile writes a page of zeros before the first data, which this descriptor need not have
        let is_behind = |data: u64| data.wrapping_sub(at).is_multiple_of(DESC_LEN);
        let behind = is_behind(offset) || offset.checked_sub(g.block_size).is_some_and(is_behind);
        let follows = declared || (behind && page_flags == 0);
        Ok::<_, base::OutOfBounds>(sized && placed && follows && flags & !codec::PACKED == 0)
    };
    read().unwrap_or(false)
}

fn differences(declared: &Geometry, found: &Geometry, sub: &Sub) -> Vec<Warning> {
    let fields = [
        ("block_size", declared.block_size, found.block_size),
        ("sub_hdr_size", declared.sub_blocks, found.sub_blocks),
        ("bitmap_blocks", declared.bitmap_blocks, found.bitmap_blocks),
        ("max_mapnr", declared.max_mapnr, found.max_mapnr.min(u32::MAX.into())),
        ("max_mapnr_64", sub.max_mapnr.unwrap_or(found.max_mapnr), found.max_mapnr),
    ];
    let changed = fields.into_iter().filter(|(_, value, taken)| value != taken);
    changed.map(|(field, value, taken)| Warning::FieldMended { field, value, taken }).collect()
}
