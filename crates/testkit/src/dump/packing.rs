//! How a kdump file packs its pages.

/// The packings of makedumpfile and QEMU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// Plain pages.
    Plain,
    /// zlib.
    Zlib,
    /// LZO1X.
    Lzo,
    /// snappy.
    Snappy,
    /// zstd.
    Zstd,
}

impl Packing {
    /// Every packing.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Zlib, Self::Lzo, Self::Snappy, Self::Zstd];

    /// The flag of this packing (`DUMP_DH_COMPRESSED_*`).
    #[must_use]
    pub fn flag(self) -> u32 {
        match self {
            Self::Plain => 0,
            Self::Zlib => 1,
            Self::Lzo => 2,
            Self::Snappy => 4,
            Self::Zstd => 0x20,
        }
    }

    /// A page, packed; it may come out longer than it was.
    #[must_use]
    #[expect(clippy::expect_used, reason = "packing into enough room cannot fail")]
    pub fn pack(self, page: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => page.to_vec(),
            Self::Zlib => {
                let mut zlib = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
                let mut out = vec![0; zlib.zlib_compress_bound(page.len())];
                let n = zlib.zlib_compress(page, &mut out).expect("room");
                out.truncate(n);
                out
            }
            Self::Lzo => lzokay::compress::compress(page).expect("room"),
            Self::Snappy => snap::raw::Encoder::new().compress_vec(page).expect("room"),
            Self::Zstd => zstd::bulk::compress(page, 0).expect("room"),
        }
    }
}
