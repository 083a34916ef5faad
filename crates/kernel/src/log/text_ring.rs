//! The text of printk's ring (`struct prb_data_ring`, 5.10) by its own shape, in the bytes of any machine's memory: blocks that
//! follow each other, each the id of its descriptor (a `long`), text, and what fills it to whole longs. No descriptor, no
//! symbol and no type is needed.
//!
//! Source: kernel/printk/printk_ringbuffer.{c,h}, `printk_sprint()` in kernel/printk/printk.c.
//!
//! **Invariant:** ids follow each other; a word that merely looks like one begins no block.

use crate::log::printk::{Log, LogRecord, text_line};
use base::cstr;
use dump::Words;
use std::ops::Range;

/// Records without text, whose ids no block has, are few in a row.
const NEAR: i64 = 8;
/// Ids of one ring, however large, are nearer to each other than this.
const WITHIN: i64 = 1 << 20;
/// Blocks in a row that are no chance.
const MIN_RUN: usize = 12;
/// Messages have so many characters, by and large.
const MIN_TEXT: usize = 8;
/// A block has no more bytes (`LOG_LINE_MAX` and what leads it).
const MAX_BLOCK: usize = 2048;

/// A block of the ring: its id, and what is between the id and the next block.
pub(crate) type Block<'b> = (i64, &'b [u8]);

/// Bytes of an id.
fn size_of(shape: Words) -> usize {
    usize::from(shape.size.max(4))
}

/// What can be an id: ids have two bits less than a `long`, and begin below 2^32 (of 32 bits 2^20), or below their end
/// (`DESC0_ID`).
fn id(word: u64, shape: Words) -> Option<i64> {
    let (unused, small) = if size_of(shape) == 8 { (2, 40) } else { (34, 20) };
    match word >> small {
        high if high == u64::MAX >> unused >> small => Some((word << unused).cast_signed() >> unused),
        0 if word != 0 => Some(word.cast_signed()),
        _ => None,
    }
}

fn follows(id: i64, next: i64) -> bool {
    (1..=NEAR).contains(&next.saturating_sub(id))
}

/// The blocks of a ring's text, in the order of their ids. The end of a text can look like a small id: those that count are
/// near each other and follow each other, from block to block or nearly.
pub(crate) fn blocks(bytes: &[u8], shape: Words) -> Vec<Block<'_>> {
    let size = size_of(shape);
    let words = bytes.chunks_exact(size).map(|word| shape.number(word)).enumerate();
    let all = words.filter_map(|(n, word)| id(word, shape).map(|id| (n * size, id)));
    let (ends, firm): (Vec<_>, Vec<_>) = all.partition(|(at, _)| ends_text(bytes, *at, size));
    let mut starts = in_a_row(&of_one_ring(firm));
    // an id of which all bytes are text, behind a text that fills its block, is between its neighbours'
    let lies_between = |(at, id): &(usize, i64)| {
        let behind = starts.partition_point(|(start, _)| start < at);
        let before = behind.checked_sub(1).and_then(|n| starts.get(n));
        before.zip(starts.get(behind)).is_some_and(|(a, b)| follows(a.1, *id) && follows(*id, b.1))
    };
    let more: Vec<_> = ends.into_iter().filter(lies_between).collect();
    starts.extend(more);
    starts.sort_unstable();
    let mut out: Vec<Block<'_>> = Vec::new();
    for (n, (start, id)) in starts.iter().enumerate() {
        let end = starts.get(n + 1).map_or(bytes.len(), |(next, _)| *next);
        let body = bytes.get(start + size..end).unwrap_or_default();
        // a block that does not fit before the buffer's end leaves its id there
        if body.first().is_some_and(is_text) {
            out.push((*id, body));
        }
    }
    out.sort_by_key(|(id, _)| *id);
    out.dedup_by_key(|(id, _)| *id);
    out
}

/// True where a word looks like the end of the text before it.
fn ends_text(bytes: &[u8], at: usize, size: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| bytes.get(at));
    let word = cstr(bytes.get(at..).unwrap_or_default().get(..size).unwrap_or_default());
    before.is_some_and(is_text) && !word.is_empty() && word.iter().all(is_text)
}

/// Of numbers that can be ids those of one ring: the group of near ones of which most follow the one before.
fn of_one_ring(all: Vec<(usize, i64)>) -> Vec<(usize, i64)> {
    let mut ids: Vec<i64> = all.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut groups: Vec<&[i64]> = ids.chunk_by(|a, b| b.saturating_sub(*a) < WITHIN).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let members = |group: &[i64]| {
        let ends = group.first().zip(group.last());
        let is_member = |id: i64| ends.is_some_and(|(first, last)| (*first..=*last).contains(&id));
        all.iter().copied().filter(|(_, id)| is_member(*id)).collect::<Vec<_>>()
    };
    let pairs = |of: &Vec<(usize, i64)>| {
        of.windows(2).filter(|two| matches!(two, [(_, a), (_, b)] if follows(*a, *b))).count()
    };
    // those with most numbers: ids of one ring are near each other
    groups.into_iter().take(64).rev().map(members).max_by_key(pairs).unwrap_or_default()
}

/// Those that follow the one before, or lead two others.
fn in_a_row(all: &[(usize, i64)]) -> Vec<(usize, i64)> {
    let next = |n: usize, id: i64| {
        let mut behind = all.iter().enumerate().skip(n.saturating_add(1)).take(NEAR as usize);
        behind.find(|(_, (_, next))| follows(id, *next)).map(|(n, (_, next))| (n, *next))
    };
    let mut out: Vec<(usize, i64)> = Vec::new();
    for (n, (at, id)) in all.iter().enumerate() {
        let leads = || next(n, *id).and_then(|(n, id)| next(n, id)).is_some();
        if out.last().is_some_and(|(_, last)| follows(*last, *id)) || leads() {
            out.push((*at, *id));
        }
    }
    out
}

const fn is_text(b: &u8) -> bool {
    matches!(*b, b' '..=b'~' | b'\t' | b'\n' | 0x80..)
}

/// Stands behind a text of which it is not known whether it goes on.
const OPEN_END: &str = "<?>";

/// The texts of blocks whose lengths are not known, up to what is no text, in their order; `is_missing` tells of a place in
/// the bytes whether it was not read.
pub(crate) fn texts(
    blocks: &[Block<'_>],
    bytes: &[u8],
    is_missing: &dyn Fn(usize) -> bool,
) -> Vec<LogRecord> {
    let rests = leaves_rests(blocks);
    let is_cut = |body: &[u8]| is_missing(end_in(bytes, body));
    blocks.iter().map(|(_, body)| text_line(&printed(body, rests, is_cut(body)))).collect()
}

/// Where in the ring's bytes the text of a block ends.
pub(crate) fn end_in(bytes: &[u8], body: &[u8]) -> usize {
    let start = body.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
    start.saturating_add(text_of(body).len())
}

/// True where printk formats into the ring (since 5.11): a newline is left there too.
pub(crate) fn leaves_rests(blocks: &[Block<'_>]) -> bool {
    blocks.iter().any(|(_, body)| text_of(body).ends_with(b"\n"))
}

fn text_of(body: &[u8]) -> &[u8] {
    let len = body.iter().take_while(|b| is_text(b)).count();
    body.get(..len).unwrap_or_default()
}

/// The text of a block. Where printk took the two bytes of the level from its front, its last two are still there once more.
pub(crate) fn printed(body: &[u8], rests: bool, is_cut: bool) -> String {
    let text = String::from_utf8_lossy(text_of(body));
    let (text, is_open) = if rests { own_text(&text) } else { (&*text, false) };
    format!("{text}{}", if is_cut || is_open { OPEN_END } else { "" })
}

/// The text itself, and whether more of what is there can be its own: digits, or one character again and again.
fn own_text(text: &str) -> (&str, bool) {
    let text = text.trim_end_matches('\n');
    match text.as_bytes() {
        [.., a, b, c, d] if [a, b] == [c, d] => {
            let tail = [*a, *b];
            let is_number = tail.iter().all(u8::is_ascii_hexdigit) && tail.iter().any(u8::is_ascii_digit);
            (text.get(..text.len() - 2).unwrap_or(text), is_number || a == b && *a != b' ')
        }
        _ => (text, false),
    }
}

/// Where blocks follow each other, of runs that are long enough: from the first one's id to the last one's end. Each byte is
/// looked at a few times, whatever the bytes are.
pub(crate) fn runs(bytes: &[u8], shape: Words) -> Vec<Range<usize>> {
    let size = size_of(shape);
    let (mut out, mut at) = (Vec::new(), 0_usize);
    while at < bytes.len() {
        let (mut end, mut blocks) = (at, Vec::new());
        while let Some((next, len)) = block_end(bytes, end, shape) {
            blocks.push((end, len));
            end = next;
        }
        if blocks.len() < MIN_RUN {
            at = at.saturating_add(size);
            continue;
        }
        at = end;
        if let Some(start) = with_text(&blocks) {
            // the last block has none behind it, which would tell its end
            let text = bytes.get(end.saturating_add(size)..).unwrap_or_default();
            let last = cstr(text.get(..MAX_BLOCK).unwrap_or(text)).len();
            end = end.saturating_add(size).saturating_add(last.next_multiple_of(size)).min(bytes.len());
            out.push(start..end);
            at = end.next_multiple_of(size);
        }
    }
    out
}

/// Where the blocks begin from which on they are messages, of places and lengths of texts: a table of numbers, which can lie
/// before them, has little that could be text.
fn with_text(blocks: &[(usize, usize)]) -> Option<usize> {
    let mut start = None;
    let (mut count, mut text) = (0_usize, 0_usize);
    for (at, len) in blocks.iter().rev() {
        (count, text) = (count.saturating_add(1), text.saturating_add(*len));
        if count >= MIN_RUN && text / count >= MIN_TEXT {
            start = Some(*at);
        }
    }
    start
}

/// Bytes between two runs in one buffer: what is left of a block that was partly written over.
const MAX_REST: u64 = 4096;
/// No buffer that is found by its shape is longer.
const BUFFER_WITHIN: u64 = 16 << 20;

/// The messages of the ring that these runs are of, by their places, `read` as far as memory goes: of several rings of the one
/// with most. What came before them is not there.
pub(crate) fn of_runs(
    mut runs: Vec<Range<u64>>,
    shape: Words,
    read: &dyn Fn(u64, &mut [u8]) -> usize,
    is_missing: &dyn Fn(u64) -> bool,
) -> Option<Log> {
    runs.sort_by_key(|run| run.start);
    let mut buffers: Vec<Range<u64>> = Vec::new();
    for run in runs {
        match buffers.last_mut() {
            Some(last) if run.start <= last.end.saturating_add(MAX_REST) => last.end = last.end.max(run.end),
            _ => buffers.push(run),
        }
    }
    let records = |buffer: Range<u64>| {
        let len = buffer.end.saturating_sub(buffer.start).min(BUFFER_WITHIN);
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        let len = read(buffer.start, &mut bytes);
        let bytes = bytes.get(..len)?;
        let is_missing = |n: usize| is_missing(buffer.start.saturating_add(n as u64));
        Some(texts(&blocks(bytes, shape), bytes, &is_missing))
    };
    let records = buffers.into_iter().filter_map(records).max_by_key(Vec::len)?;
    Some(Log { records, as_text: true, hole: Some(0), ..Log::default() })
}

/// Where the block that begins here ends, and its text's length: at the next id, which is near to its own.
fn block_end(bytes: &[u8], at: usize, shape: Words) -> Option<(usize, usize)> {
    let size = size_of(shape);
    let number = |at: usize| {
        let word = bytes.get(at..at.checked_add(size)?)?;
        id(shape.number(word), shape)
    };
    let own = number(at)?;
    let body = bytes.get(at.checked_add(size)?..)?;
    let body = body.get(..MAX_BLOCK).unwrap_or(body);
    let len = body.iter().take_while(|b| is_text(b)).count();
    if len == 0 {
        return None;
    }
    // behind the text is what fills the block: of a line that was made shorter a few bytes more
    let from = at.checked_add(size)?.checked_add(len.next_multiple_of(size))?;
    let mut ends = (0..8).map(|n| from.saturating_add(n * size));
    let end = ends.find(|at| number(*at).is_some_and(|next| follows(own, next)))?;
    Some((end, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks with these ids and texts, of a ring of longs.
    fn ring(of: &[(u64, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (id, text) in of {
            out.extend(id.to_le_bytes());
            out.extend(text.bytes());
            out.push(0);
            out.resize(out.len().next_multiple_of(8), 0);
        }
        out
    }

    #[test]
    fn a_text_whose_end_looks_like_an_id_begins_no_block() {
        // "0\n" and "8\n" as words are 0xa30 and 0xa38
        let lines: Vec<String> = (0..40).map(|n| format!("R{n:02}: xyz{}\n", n % 10)).collect();
        for first in [0xffff_efff_u64, (u64::MAX >> 2) - 16, 2600] {
            let of: Vec<(u64, &str)> = (first..)
                .zip(&lines)
                .map(|(id, text)| (id & (u64::MAX >> 2), text.as_str()))
                .filter(|(id, _)| *id != 0)
                .collect();
            let bytes = ring(&of);
            let found: Vec<String> = texts(&blocks(&bytes, Words::LITTLE_64), &bytes, &|_| false)
                .into_iter()
                .map(|r| r.text)
                .collect();
            let want: Vec<&str> = of.iter().map(|(_, text)| text.trim_end()).collect();
            assert_eq!(found, want, "{first:#x}");
            // and where they lie is found without the first
            let memory = [vec![0x11; 64], bytes.clone(), vec![0; 64]].concat();
            let runs = runs(&memory, Words::LITTLE_64);
            assert_eq!(runs.len(), 1, "{first:#x}: {runs:?}");
            assert_eq!((runs[0].start, runs[0].end), (64, 64 + bytes.len()));
        }
    }

    #[test]
    fn what_is_left_of_the_level_is_not_part_of_a_text() {
        assert_eq!(own_text("Zone ranges:s:\n"), ("Zone ranges:", false));
        assert_eq!(own_text("WT    "), ("WT  ", false));
        assert_eq!(
            (own_text("a"), own_text("end\n"), own_text("addeded")),
            (("a", false), ("end", false), ("added", false))
        );
        // a number can end so by itself
        for text in ["R09: 0000000000000000", "CR2: 6b6b6b6b6b6b6b6b", "class 0x060000", "--------"] {
            assert_eq!(own_text(text), (&text[..text.len() - 2], true), "{text}");
        }
        // kernel 5.10 puts the text there as it is
        let texts_of = |of: &[(u64, &str)], missing: usize| {
            let bytes = ring(of);
            let all = texts(&blocks(&bytes, Words::LITTLE_64), &bytes, &|n| n >= missing);
            all.into_iter().map(|r| r.text).collect::<Vec<_>>()
        };
        let texts = |of: &[(u64, &str)]| texts_of(of, usize::MAX);
        assert_eq!(texts(&[(1, "a"), (2, "CR2: 0000"), (3, "b")]), ["a", "CR2: 0000", "b"]);
        assert_eq!(texts(&[(1, "a\n"), (2, "CR2: 0505"), (3, "b")]), ["a", "CR2: 05<?>", "b"]);
        assert_eq!(texts(&[(1, "a\n"), (2, "CPUPU"), (3, "b")]), ["a", "CPU", "b"]);
        // what goes on in a page that was not read
        assert_eq!(texts_of(&[(1, "a"), (2, "b"), (3, "seen")], 32 + 8 + 4), ["a", "b", "seen<?>"]);
    }

    #[test]
    fn short_texts_in_a_row_are_looked_at_once_and_hide_no_ring_behind_them() {
        let of: Vec<(u64, &str)> = (0x1000..).map(|id| (id, "abc")).take(1 << 18).collect();
        let short = ring(&of);
        assert!(runs(&short, Words::LITTLE_64).is_empty());
        let next = of.last().unwrap().0 + 1;
        let of: Vec<(u64, &str)> =
            (next..).map(|id| (id, "a message as kernels print it")).take(40).collect();
        let found = runs(&[short.clone(), ring(&of)].concat(), Words::LITTLE_64);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].start <= short.len() && found[0].start + 16 * 200 > short.len());
    }

    #[test]
    fn text_in_a_row_is_no_ring() {
        let text = b"a message as a file has it\n".repeat(400);
        assert!(runs(&text, Words::LITTLE_64).is_empty() && blocks(&text, Words::LITTLE_64).is_empty());
        // numbers that ascend, as a table has them
        let table: Vec<u8> = (1_u64..4000).flat_map(u64::to_le_bytes).collect();
        assert!(runs(&table, Words::LITTLE_64).is_empty());
    }
}
