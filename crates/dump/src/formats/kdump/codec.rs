//! Unpacking a page. Source of the flags: makedumpfile `diskdump_mod.h` (`DUMP_DH_COMPRESSED_*`).
//!
//! Every codec writes into a buffer of exactly one page; a page that unpacks to fewer or more bytes
//! is corrupt.

use crate::Gap;
use std::cell::RefCell;

const ZLIB: u32 = 0x1;
const LZO: u32 = 0x2;
const SNAPPY: u32 = 0x4;
const ZSTD: u32 = 0x20;
/// All flags that say that a page is packed.
pub(crate) const PACKED: u32 = ZLIB | LZO | SNAPPY | ZSTD;

/// What each thread reuses: the packed bytes and the decoders' state.
struct Scratch {
    packed: Vec<u8>,
    zlib: Option<libdeflater::Decompressor>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { packed: Vec::new(), zlib: None, zstd: None })
    };
}

/// Reads `len` packed bytes with `read` and unpacks them into `page` as `flags` say. `len` is at most
/// a page: the caller checks.
pub(crate) fn unpack(
    flags: u32,
    len: usize,
    page: &mut [u8],
    read: impl FnOnce(&mut [u8]) -> Result<(), Gap>,
) -> Result<(), Gap> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.packed.clear();
        scratch.packed.resize(len, 0);
        read(&mut scratch.packed)?;
        let Scratch { packed, zlib, zstd } = scratch;
        let done = if flags & ZLIB != 0 {
            zlib.get_or_insert_with(libdeflater::Decompressor::new).zlib_decompress(packed, page).ok()
        } else if flags & LZO != 0 {
            lzokay::decompress::decompress(packed, page).ok()
        } else if flags & SNAPPY != 0 {
            snappy(packed, page)
        } else {
            unpack_zstd(zstd, packed, page)
        };
        if done == Some(page.len()) { Ok(()) } else { Err(Gap::Corrupt) }
    })
}

fn snappy(packed: &[u8], page: &mut [u8]) -> Option<usize> {
    let len = snap::raw::decompress_len(packed).ok()?;
    if len != page.len() {
        return None;
    }
    snap::raw::Decoder::new().decompress(packed, page).ok()
}

fn unpack_zstd(
    decoder: &mut Option<zstd::bulk::Decompressor<'static>>,
    packed: &[u8],
    page: &mut [u8],
) -> Option<usize> {
    if decoder.is_none() {
        *decoder = zstd::bulk::Decompressor::new().ok();
    }
    decoder.as_mut()?.decompress_to_buffer(packed, page).ok()
}
