//! What stands around a hit.

use super::memory::Memory;
use base::VirtAddr;
use report::{Cell, Line, Record};

/// Bytes on one line.
const ROW: u64 = 16;

/// The characters of memory; what is none is a dot.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| if (0x20..0x7f).contains(&b) { char::from(b) } else { '.' }).collect()
}

/// Bytes of a value, and whether the highest comes first.
type Words = (u64, bool);

/// The `count` values before a hit.
pub(super) fn before(memory: &Memory<'_>, at: VirtAddr, words: Words, count: u64, record: &mut Record) {
    rows(memory, at.sub(words.0 * count), words, count, record);
}

/// The `count` values after a hit.
pub(super) fn after(memory: &Memory<'_>, at: VirtAddr, words: Words, count: u64, record: &mut Record) {
    rows(memory, at.add(words.0), words, count, record);
}

fn rows(memory: &Memory<'_>, from: VirtAddr, (size, big_endian): Words, count: u64, record: &mut Record) {
    let total = size * count;
    for row in (0..total).step_by(ROW as usize) {
        let at = from.add(row);
        let want = ROW.min(total - row);
        let values: Vec<Option<Vec<u8>>> = words(memory, at, want, size);
        if values.iter().all(Option::is_none) {
            let why = "this memory is not in the dump";
            record.line(Line::new().cell(Cell::Addr(at.0)).text(":  ").cell(Cell::absent("no memory", why)));
            continue;
        }
        record.line(Line::new().cell(Cell::Addr(at.0)).text(":  ").text(self::row(
            &values,
            size as usize,
            big_endian,
        )));
    }
}

/// The values of a row; `None` for those of which a byte is missing.
fn words(memory: &Memory<'_>, at: VirtAddr, len: u64, size: u64) -> Vec<Option<Vec<u8>>> {
    let whole = memory.bytes(at, len as usize);
    if whole.len() as u64 == len {
        return whole.chunks(size as usize).map(|word| Some(word.to_vec())).collect();
    }
    let word = |offset: u64| {
        Some(memory.bytes(at.add(offset), size as usize)).filter(|bytes| bytes.len() as u64 == size)
    };
    (0..len).step_by(size as usize).map(word).collect()
}

/// `0000000000000000 0000000100000001   ................`
fn row(values: &[Option<Vec<u8>>], size: usize, big_endian: bool) -> String {
    let words: String = values
        .iter()
        .map(|word| {
            let Some(word) = word else { return format!("{} ", "?".repeat(size * 2)) };
            let value = dump::Words { big_endian, ..dump::Words::LITTLE_64 }.number(word);
            format!("{value:0width$x} ", width = size * 2)
        })
        .collect();
    let spelt: String =
        values.iter().map(|word| word.as_ref().map_or("?".repeat(size), |b| text(b))).collect();
    let width = ROW as usize / size * (size * 2 + 1);
    format!("{words:<width$}  {spelt}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_wide_as_full_ones() {
        let values: Vec<_> = b"ABCDEFGHIJKL".chunks(4).map(|word| Some(word.to_vec())).collect();
        assert_eq!(row(&values, 4, false), "44434241 48474645 4c4b4a49            ABCDEFGHIJKL");
        assert_eq!(row(&values, 4, true), "41424344 45464748 494a4b4c            ABCDEFGHIJKL");
        let zeros = vec![Some(vec![0; 8]); 2];
        assert_eq!(row(&zeros, 8, false), "0000000000000000 0000000000000000   ................");
        assert_eq!(
            row(&[None, Some(vec![1; 8])], 8, false),
            "???????????????? 0101010101010101   ????????........"
        );
    }
}
