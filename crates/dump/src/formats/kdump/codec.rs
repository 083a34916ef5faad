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
    decoders: Decoders,
}

struct Decoders {
    zlib: Option<libdeflater::Decompressor>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { packed: Vec::new(), decoders: Decoders { zlib: None, zstd: None } })
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
        let Scratch { packed, decoders } = scratch;
        decoders.unpack(flags, packed, page)
    })
}

/// Unpacks bytes that were read already.
pub(crate) fn unpack_bytes(flags: u32, packed: &[u8], page: &mut [u8]) -> Result<(), Gap> {
    SCRATCH.with_borrow_mut(|scratch| scratch.decoders.unpack(flags, packed, page))
}

impl Decoders {
    fn unpack(&mut self, flags: u32, packed: &[u8], page: &mut [u8]) -> Result<(), Gap> {
        let done = if flags & ZLIB != 0 {
            let zlib = self.zlib.get_or_insert_with(libdeflater::Decompressor::new);
            zlib.zlib_decompress(packed, page).ok()
        } else if flags & LZO != 0 {
            lzokay::decompress::decompress(packed, page).ok()
        } else if flags & SNAPPY != 0 {
            snappy(packed, page)
        } else {
            unpack_zstd(&mut self.zstd, packed, page)
        };
        if done == Some(page.len()) { Ok(()) } else { Err(Gap::Corrupt) }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Google's own encoder made these (libsnappy by Apache Arrow 26): far and near copies, literals, runs.
    const FAR: &str = "8020f069dc0465aa1fad1d5adae5ac1b1e5f1370796cfd10ff19af601d04acb41d022b4678733af2df5faeb70859d1ee\
        3910cb4895b5cc892911ff06b6622edf3cf935fd4b9428ca097c44b3025e965fb3ea6dacd42d816e69afe0e6874c9c04\
        e7d2365d2c60c9ea000000000000fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe\
        0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe\
        0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe0400fe\
        0400fe0400fe0400c60400fe1c0c8e1c0c046162fe0200fe0200fe0200fe0200fe0200fe0200fe0200fe0200fe0200fe\
        0200fe0200fe0200fe0200f60200";
    const TEXT: &str = "8020907374727563742070616765206578636c75646564206279207468652066696c7465723b2073fe2400fe2400fe24\
        00fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe24\
        00fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe24\
        00fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe24\
        00fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe2400fe24006a2400";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn snappy_pages_of_the_reference_encoder() {
        let noise = |n: usize| {
            let mut x = 12345_u32;
            let next = move || {
                x = x.wrapping_mul(1_103_515_245).wrapping_add(12345) & 0x7fff_ffff;
                (x >> 16) as u8
            };
            std::iter::repeat_with(next).take(n).collect::<Vec<u8>>()
        };
        let far = [noise(100), vec![0; 3000], noise(100), b"ab".repeat(448)].concat();
        let mut text = b"struct page excluded by the filter; ".repeat(120);
        text.truncate(4096);
        for (packed, plain) in [(FAR, far), (TEXT, text)] {
            let packed = bytes(packed);
            let mut page = vec![0xaa; 4096];
            let read = |buf: &mut [u8]| {
                buf.copy_from_slice(&packed);
                Ok(())
            };
            assert_eq!(unpack(SNAPPY, packed.len(), &mut page, read), Ok(()));
            assert!(page == plain);
            // a page is exactly a page
            let short = unpack(SNAPPY, packed.len(), &mut page[..4095], read);
            assert_eq!(short, Err(Gap::Corrupt));
        }
    }
}
