//! What may stand behind the last data of a file: a copy that was filled up to whole blocks, a partition, an image of a
//! disk. Zeros, or one byte again and again, are no memory that a header has lost.
//!
//! **Invariant:** what is read does not grow with the file: up to 16 MiB all of it, of more so many samples.

use super::header::Segment;
use crate::image::Image;
use base::PAGE_SIZE;

/// Bytes that are read in one go.
const PIECE: u64 = 64 << 10;
/// How many such pieces are looked at.
const PIECES: u64 = 256;

/// The end of what is in the file, without padding of a page or more; `table` is where the headers end.
pub(super) fn end_without(segments: &[Segment], table: u64, image: &Image) -> u64 {
    let len = image.len();
    let held = segments.iter().filter(|s| s.has_data() || s.is_note()).map(Segment::file_end).max();
    match held.map(|held| held.max(table)) {
        Some(last) if len.saturating_sub(last) >= PAGE_SIZE && is_padding(image, last, len) => last,
        _ => len,
    }
}

/// Whether a part of the file is zeros, as what aligns the data behind it is.
pub(super) fn are_zeros(image: &Image, start: u64, end: u64) -> bool {
    is_filled(image, start, end, 0)
}

/// Whether a part of the file is one byte again and again. Holes of a sparse file are zeros.
pub(crate) fn is_padding(image: &Image, start: u64, end: u64) -> bool {
    let mut last = [0];
    image.fill(end.saturating_sub(1), &mut last).is_ok() && is_filled(image, start, end, last[0])
}

/// Whether a part of the file is this byte again and again, as far as it is looked at.
fn is_filled(image: &Image, start: u64, end: u64, filler: u8) -> bool {
    let len = end.saturating_sub(start);
    let step = (len / PIECES).max(PIECE);
    let mut buf = vec![0; len.min(PIECE) as usize];
    let mut at = start;
    while at < end {
        if filler == 0 {
            // `None`: only a hole is left
            let Some(data) = image.next_data(at) else { return true };
            at = at.max(data);
        }
        let len = end.saturating_sub(at).min(PIECE) as usize;
        let piece = buf.get_mut(..len).unwrap_or_default();
        if image.fill(at, piece).is_err() || piece.iter().any(|byte| *byte != filler) {
            return false;
        }
        at = at.saturating_add(step);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn one_byte_again_and_again_is_padding() {
        let found = |bytes: Vec<u8>| {
            let image = Image::new(Source::memory("file", bytes).unwrap()).unwrap();
            end_without(&[Segment::load(0x1000, 0x1000, 0x2000)], 0x78, &image)
        };
        for (byte, len) in [(0, 0x1000), (0xff, 0x1000), (0, 0x1234), (0, 1 << 20), (0, 40 << 20)] {
            let mut bytes = vec![7; 0x3000];
            bytes.resize(0x3000 + len, byte);
            assert_eq!(found(bytes.clone()), 0x3000, "{byte} {len:#x}");
            for at in [0x3000, 0x3000 + len / 2, 0x3000 + len - 1] {
                let mut bytes = bytes.clone();
                bytes[at] = 1;
                // of much some samples are looked at, its front and its end always
                if len <= (PIECE * PIECES) as usize || at != 0x3000 + len / 2 {
                    assert_eq!(found(bytes), 0x3000 + len as u64, "{byte} {len:#x} {at:#x}");
                }
            }
        }
        // less than a page is what aligns data
        assert_eq!(found(vec![0; 0x3fff]), 0x3fff);
        assert_eq!(found(vec![0; 0x2800]), 0x2800);
    }
}
