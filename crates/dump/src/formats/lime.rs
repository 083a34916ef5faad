//! LiME images: RAM ranges one after the other, each behind a header with its physical addresses. LiME writes them
//! from inside the machine (`format=lime`); AVML writes them too (its format version 1).
//!
//! Source: LiME's documentation (`lime_mem_range_header`): magic `0x4c694d45`, version 1, first address, last
//! address (inclusive), 8 bytes reserved; all little-endian, then the bytes of the range.
//!
//! The headers are a chain: opening walks it, a few ranges on any machine.

use super::elf::{self, Piece};
use super::{Format, Start, single};
use crate::dump::Opened;
use crate::image::Image;
use crate::magic::is_nearly;
use crate::{Compression, DumpError, Facts, Warning};
use base::{Bytes, PAGE_SIZE, PhysAddr};

/// The magic of a range's header, as bytes.
const MAGIC: &[u8] = b"EMiL";
/// Bytes of a range's header.
const HEADER_LEN: u64 = 32;
/// The version that is known.
const VERSION: u32 = 1;
/// More ranges than any machine's RAM has.
const MAX_RANGES: usize = 1 << 16;

/// The row of the table.
pub(crate) struct Lime;

impl Format for Lime {
    fn name(&self) -> &'static str {
        "LiME"
    }

    fn probe(&self, start: &Start<'_>) -> bool {
        let read = |at, buf: &mut [u8]| (start.read)(at, buf);
        start.bytes.starts_with(MAGIC) || is_unsigned(start.bytes, start.len, &read)
    }

    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError> {
        let image = single(images, "a LiME image")?;
        let (pieces, warnings) = ranges(&image)?;
        let facts = Facts {
            page_size: PAGE_SIZE,
            file_size: image.file_len(),
            compression: Some(Compression::None),
            warnings,
            ..Facts::default()
        };
        Ok(Opened {
            backend: elf::pieces(image, &pieces),
            format: "LiME image".into(),
            notes: Vec::new(),
            vmcoreinfo: None,
            facts,
            virt: Vec::new(),
        })
    }
}

/// Where each range's bytes are: physical address, offset in the file, length. A range that is cut, or bytes that
/// are no range where one should begin, end the list with a warning.
fn ranges(image: &Image) -> Result<(Vec<Piece>, Vec<Warning>), DumpError> {
    let mut out = Vec::new();
    let mut warnings = Vec::new();
    let mut at = 0;
    while at < image.len() && out.len() < MAX_RANGES {
        let cut = |wanted| Warning::FileTruncated { wanted, len: image.len() };
        let raw = match image.header("the header of a LiME range", at, HEADER_LEN) {
            Ok(raw) => raw,
            Err(e) if out.is_empty() => return Err(e),
            // half a header, or what fills up a block
            Err(_) => {
                let mut start = [0; 4];
                let is_header = image.read_at(at, &mut start).is_ok() && start.starts_with(MAGIC);
                match is_header {
                    true => warnings.push(cut(at.saturating_add(HEADER_LEN))),
                    false => warnings.extend(behind(image, at)),
                }
                break;
            }
        };
        let b = Bytes::new(&raw);
        let number = |at| b.u64_at(at).unwrap_or_default();
        let version = b.u32_at(4).unwrap_or_default();
        let (first, last) = (number(8), number(16));
        let len = last.checked_sub(first).and_then(|n| n.checked_add(1));
        let read = |offset: u64, buf: &mut [u8]| {
            at.checked_add(offset).and_then(|from| image.read_at(from, buf).ok()).unwrap_or(0)
        };
        let is_unsigned = is_unsigned(&raw, image.len().saturating_sub(at), &read);
        if is_unsigned {
            warnings.push(Warning::MagicDamaged { format: "LiME", offset: at });
        }
        let good = is_unsigned || raw.starts_with(MAGIC) && version == VERSION;
        let (Some(len), true) = (len, good) else {
            if out.is_empty() {
                return Err(match good {
                    true => image.bad("e_addr", last, "not below s_addr, and no range of all addresses"),
                    false => image.bad("version", version.into(), "1; AVML's version 2 has to be converted"),
                });
            }
            warnings.extend(behind(image, at));
            break;
        };
        let data = at.saturating_add(HEADER_LEN);
        out.push((PhysAddr(first), data, len));
        let Some(next) = data.checked_add(len) else {
            warnings.push(cut(u64::MAX));
            break;
        };
        if next > image.len() {
            warnings.push(cut(next));
        }
        at = next;
    }
    Ok((out, warnings))
}

/// What lies behind the last range: padding is nothing.
fn behind(image: &Image, offset: u64) -> Option<Warning> {
    let len = image.len().saturating_sub(offset);
    (!elf::is_padding(image, offset, image.len())).then_some(Warning::NoRange { offset, len })
}

/// Whether a range's header has a magic that is damaged: the rest of it fits, and another header or the file's end is where its
/// range ends.
fn is_unsigned(raw: &[u8], left: u64, read: &dyn Fn(u64, &mut [u8]) -> usize) -> bool {
    let b = Bytes::new(raw);
    let number = |at| b.u64_at(at).ok();
    let (Some(first), Some(last), Some(0)) = (number(8), number(16), number(24)) else { return false };
    let len = last.checked_sub(first).and_then(|n| n.checked_add(HEADER_LEN + 1));
    let ends = |end: u64| {
        let mut next = [0; 4];
        end == left || end < left && read(end, &mut next) == next.len() && next == *MAGIC
    };
    is_nearly(raw, MAGIC) && b.u32_at(4) == Ok(VERSION) && len.is_some_and(ends)
}
