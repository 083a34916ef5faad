//! Unpacking: sections with `SHF_COMPRESSED` (`Elf64_Chdr`), and whole files that are stored as
//! `.xz`, `.zst`, `.gz` or `.bz2`, as distributions store modules.
//!
//! Invariant: an allocation is bounded by what the packed bytes can unpack to, never by a number alone.

use super::ElfError;
use base::Bytes;
use std::io::Read;

/// The most that a section or file may unpack to.
pub const MAX_UNPACKED: u64 = 8 << 30;
/// deflate cannot do better than 1032:1.
const MAX_DEFLATE_RATIO: u64 = 1040;

/// Unpacks the bytes of a packed section: a header of type u32, reserved u32, size u64, alignment u64.
pub(super) fn unpack_section(raw: &[u8], name: &str) -> Result<Vec<u8>, ElfError> {
    let fail = |kind, why: &str| ElfError::Unpack { what: name.into(), kind, why: why.into() };
    let mut b = Bytes::new(raw);
    let header = (|| {
        let kind = b.u32().ok()?;
        b.u32().ok()?;
        let size = b.u64().ok()?;
        b.u64().ok()?;
        Some((kind, size))
    })();
    let (kind, size) = header.ok_or_else(|| fail("section", "it is shorter than its header"))?;
    let packed = raw.get(24..).unwrap_or_default();
    match kind {
        1 => inflate(packed, bounded(size, packed.len(), name)?, name),
        2 => unzstd(packed, Some(size), name),
        n => Err(fail("section", &format!("compression type {n} is not known"))),
    }
}

/// A size that `packed` bytes of deflate can really unpack to.
fn bounded(size: u64, packed: usize, what: &str) -> Result<usize, ElfError> {
    let max = (packed as u64).saturating_mul(MAX_DEFLATE_RATIO).saturating_add(64).min(MAX_UNPACKED);
    let too_big = ElfError::TooBig { what: what.into(), size, max };
    if size > max { Err(too_big) } else { usize::try_from(size).map_err(|_| too_big) }
}

fn inflate(packed: &[u8], size: usize, what: &str) -> Result<Vec<u8>, ElfError> {
    let mut out = vec![0; size];
    let n = libdeflater::Decompressor::new()
        .zlib_decompress(packed, &mut out)
        .map_err(|e| ElfError::Unpack { what: what.into(), kind: "zlib", why: e.to_string() })?;
    out.truncate(n);
    Ok(out)
}

fn unzstd(packed: &[u8], size: Option<u64>, what: &str) -> Result<Vec<u8>, ElfError> {
    let fail = |e: std::io::Error| ElfError::Unpack { what: what.into(), kind: "zstd", why: e.to_string() };
    let reader = zstd::Decoder::with_buffer(packed).map_err(fail)?;
    read_all(reader, size, packed.len(), what).map_err(fail)?
}

/// Reads to the end, growing as bytes come, not as headers say.
fn read_all(
    reader: impl Read,
    size: Option<u64>,
    packed: usize,
    what: &str,
) -> std::io::Result<Result<Vec<u8>, ElfError>> {
    let hint = size.unwrap_or(0).min((packed as u64).saturating_mul(16));
    let mut out = Vec::with_capacity(usize::try_from(hint).unwrap_or(0));
    reader.take(MAX_UNPACKED + 1).read_to_end(&mut out)?;
    let size = out.len() as u64;
    Ok(if size > MAX_UNPACKED {
        Err(ElfError::TooBig { what: what.into(), size, max: MAX_UNPACKED })
    } else {
        Ok(out)
    })
}

/// Unpacks a whole file that is packed with xz, zstd, gzip or bzip2, told by its first bytes; `None` where
/// it is not packed.
///
/// # Errors
/// When it is packed and does not unpack, or to more than [`MAX_UNPACKED`].
pub fn unpack_bytes(data: &[u8], what: &str) -> Result<Option<Vec<u8>>, ElfError> {
    let fail =
        |kind| move |why: std::io::Error| ElfError::Unpack { what: what.into(), kind, why: why.to_string() };
    match data {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let reader = liblzma::bufread::XzDecoder::new_multi_decoder(data);
            read_all(reader, None, data.len(), what).map_err(fail("xz"))?.map(Some)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => unzstd(data, None, what).map(Some),
        [0x1f, 0x8b, 8, ..] => gunzip(data, what).map(Some),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => {
            let reader = bzip2::bufread::MultiBzDecoder::new(data);
            read_all(reader, None, data.len(), what).map_err(fail("bzip2"))?.map(Some)
        }
        _ => Ok(None),
    }
}

/// gzip says its unpacked size, modulo 2^32, in its last four bytes.
fn gunzip(data: &[u8], what: &str) -> Result<Vec<u8>, ElfError> {
    let size = data.last_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b));
    let mut out = vec![0; bounded(u64::from(size), data.len(), what)?];
    let n = libdeflater::Decompressor::new()
        .gzip_decompress(data, &mut out)
        .map_err(|e| ElfError::Unpack { what: what.into(), kind: "gzip", why: e.to_string() })?;
    out.truncate(n);
    Ok(out)
}
