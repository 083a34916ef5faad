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
        start.bytes.starts_with(MAGIC)
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
            Err(_) => {
                warnings.push(cut(at.saturating_add(HEADER_LEN)));
                break;
            }
        };
        let b = Bytes::new(&raw);
        let number = |at| b.u64_at(at).unwrap_or_default();
        let version = b.u32_at(4).unwrap_or_default();
        let (first, last) = (number(8), number(16));
        let len = last.checked_sub(first).and_then(|n| n.checked_add(1));
        let good = raw.starts_with(MAGIC) && version == VERSION;
        let (Some(len), true) = (len, good) else {
            if out.is_empty() {
                return Err(match good {
                    true => image.bad("e_addr", last, "not below s_addr, and no range of all addresses"),
                    false => image.bad("version", version.into(), "1; AVML's version 2 has to be converted"),
                });
            }
            // what a machine wrote last can lack the rest
            warnings.push(cut(at));
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
