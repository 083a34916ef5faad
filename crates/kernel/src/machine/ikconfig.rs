//! The configuration that the kernel was built with, where it carries it (CONFIG_IKCONFIG, kernel/configs.c):
//! a gzip stream between the marks `IKCFG_ST` and `IKCFG_ED`.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

/// More than any kernel's compressed configuration.
const MAX_PACKED: u64 = 4 << 20;
/// More than any kernel's configuration.
const MAX_TEXT: usize = 32 << 20;

/// The configuration's text.
///
/// # Errors
/// The kernel was built without it (CONFIG_IKCONFIG), or it is not in the dump, or damaged.
pub fn config(s: &Session) -> Result<String> {
    let at = s.need_symbol("kernel_config_data")?;
    let len = match s.symbol("kernel_config_data_end") {
        Some(end) => end.0.wrapping_sub(at.0),
        None => {
            let table = &s.kernel_symbols().table;
            table.find("kernel_config_data").and_then(|sym| table.span(sym.id)).unwrap_or(0)
        }
    };
    let damaged = |why: String| KernelError::Damaged { what: "kernel_config_data", at, why };
    if len == 0 || len > MAX_PACKED {
        return Err(damaged(format!("{len} bytes")));
    }
    unpack(&s.mem().bytes(VirtAddr(at.0), len as usize)?).map_err(damaged)
}

fn unpack(bytes: &[u8]) -> std::result::Result<String, String> {
    let body = bytes.strip_prefix(b"IKCFG_ST").unwrap_or(bytes);
    let end = memchr::memmem::rfind(body, b"IKCFG_ED").unwrap_or(body.len());
    let packed = body.get(..end).unwrap_or(body);
    // the last word of a gzip stream is the size of its content
    let size = packed.last_chunk::<4>().map_or(0, |n| u32::from_le_bytes(*n) as usize);
    let mut room = if size == 0 || size > MAX_TEXT { 1 << 20 } else { size };
    let mut unpacker = libdeflater::Decompressor::new();
    loop {
        let mut out = vec![0; room];
        match unpacker.gzip_decompress(packed, &mut out) {
            Ok(n) => {
                out.truncate(n);
                return Ok(String::from_utf8_lossy(&out).into_owned());
            }
            Err(libdeflater::DecompressionError::InsufficientSpace) if room < MAX_TEXT => {
                room = room.saturating_mul(4);
            }
            Err(e) => return Err(format!("its gzip stream: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_between_its_marks() {
        let text = b"CONFIG_X86_64=y\n# CONFIG_EISA is not set\n".repeat(100);
        let mut packer = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut packed = vec![0; packer.gzip_compress_bound(text.len())];
        let n = packer.gzip_compress(&text, &mut packed).unwrap();
        packed.truncate(n);
        let marked = [b"IKCFG_ST".as_slice(), &packed, b"IKCFG_ED", &[0; 3]].concat();
        assert_eq!(unpack(&marked).unwrap().as_bytes(), text);
        // newer kernels put symbols where the marks were
        assert_eq!(unpack(&packed).unwrap().as_bytes(), text);
        assert!(unpack(b"IKCFG_STjunkIKCFG_ED").is_err());
        assert!(unpack(b"").is_err());
    }
}
