//! The table of program headers. `e_phoff`, `e_phnum` and `e_phentsize` can be damaged: the table is told by what is in
//! it. It can be cut too: of a file that ends within it, of a flattened stream that ends before its last records.

use super::evidence;
use super::header::{PN_XNUM, Segment, Shape};
use crate::fields::Fields;
use crate::image::Image;
use crate::{DumpError, Warning};

/// Where writers put the table: behind the ELF header and what section headers there are.
const NEAR: u64 = 8192;
/// More headers than a table has behind those that it counts.
const MORE: u64 = 8192;

/// What the ELF header says of the table.
pub(super) struct Claim {
    pub(super) at: u64,
    pub(super) entry_len: u16,
    /// How many headers; why that is not known, where it does not fit into the ELF header and is not where it then stands.
    pub(super) count: Result<u64, DumpError>,
}

/// The headers that are there.
pub(super) struct Table {
    pub(super) segments: Vec<Segment>,
    /// Where the first one is.
    pub(super) at: u64,
    /// All that the ELF header tells of are there.
    pub(super) whole: bool,
}

impl Table {
    pub(super) fn read(
        image: &Image,
        shape: &Shape,
        claim: Claim,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, DumpError> {
        let mut at = claim.at;
        // e_phnum itself, where it says that the number stands elsewhere
        let claimed = claim.count.as_ref().map_or(PN_XNUM.into(), |count| *count);
        let known = claim.count.as_ref().map_or(0, |count| *count);
        let mut segments = read(image, shape, claim.at, known)?;
        let mut count = known;
        if !is_table(&segments) {
            match search(image, shape)? {
                Some((found, run)) => {
                    at = found;
                    count = known.max(run.len() as u64);
                    segments = read(image, shape, found, count)?;
                }
                None if is_empty(&segments) => {}
                None => refuse(image, shape, claim.count?, claim.entry_len)?,
            }
        }
        let mut mend = |field, value, taken| {
            if value != taken {
                warnings.push(Warning::FieldMended { field, value, taken });
            }
        };
        mend("e_phoff", claim.at, at);
        mend("e_phentsize", claim.entry_len.into(), shape.entry_len);
        let more = further(image, shape, at, &segments)?;
        if !more.is_empty() && segments.len() as u64 == count {
            segments.extend(more);
            count = segments.len() as u64;
        }
        let found = evidence::count(&segments, at, shape.entry_len);
        if found < segments.len() || count != known {
            count = count.min(found as u64);
            warnings.push(Warning::HeaderCount { claimed, found });
            segments.truncate(found);
        }
        // of a cut stream the headers that it lost are zeros
        let lost = image.warning().is_some();
        segments.retain(|s| !lost || s.kind != 0);
        let whole = segments.len() as u64 == count;
        if !whole {
            warnings.push(Warning::HeadersLost { claimed: count, found: segments.len() });
        }
        Ok(Self { segments, at, whole })
    }
}

/// Why there is nothing to be read, unless the file ends before the table.
fn refuse(image: &Image, shape: &Shape, count: u64, entry_len: u16) -> Result<(), DumpError> {
    if count == 0 {
        return Err(image.bad("e_phnum", 0, "a core file has program headers"));
    }
    if u64::from(entry_len) != shape.entry_len {
        let expected = if shape.words.size == 8 { "56 in ELF64" } else { "32 in ELF32" };
        return Err(image.bad("e_phentsize", entry_len.into(), expected));
    }
    Ok(())
}

/// The headers that are in the file, of so many.
fn read(image: &Image, shape: &Shape, at: u64, count: u64) -> Result<Vec<Segment>, DumpError> {
    let have = image.len().saturating_sub(at) / shape.entry_len;
    let len = count.min(have) * shape.entry_len;
    if len == 0 {
        return Ok(Vec::new());
    }
    let table = image.header("the table of program headers", at, len)?;
    let each = table.chunks_exact(usize::try_from(shape.entry_len).unwrap_or(usize::MAX));
    Ok(each.filter_map(|raw| Segment::parse(raw, shape.words).ok()).collect())
}

/// Whether these are headers, however damaged: of those that are not empty, half can be.
fn is_table(segments: &[Segment]) -> bool {
    let some = segments.iter().filter(|s| s.kind != 0 || s.mem_len != 0).count();
    let sound = segments.iter().filter(|s| s.is_sound()).count();
    sound > 0 && 2 * sound >= some
}

/// Whether these are headers of a dump without memory: nothing but memory and notes of no bytes.
fn is_empty(segments: &[Segment]) -> bool {
    let nothing = |s: &Segment| (s.is_load() || s.is_note()) && s.file_len == 0 && s.mem_len == 0;
    !segments.is_empty() && segments.iter().all(nothing)
}

/// The longest run of sound headers near the start of the file, one of which leads to bytes of the file.
pub(super) fn search(image: &Image, shape: &Shape) -> Result<Option<(u64, Vec<Segment>)>, DumpError> {
    let start = image.header("the start of the file", 0, NEAR.min(image.len()))?;
    let entry = usize::try_from(shape.entry_len).unwrap_or(usize::MAX);
    let header = usize::try_from(shape.header_len).unwrap_or(usize::MAX);
    let mut best: Option<(u64, Vec<Segment>)> = None;
    let mut next = header;
    for at in (header..start.len()).step_by(4) {
        // within a run that is known
        if at < next {
            continue;
        }
        let each = start.get(at..).unwrap_or_default().chunks_exact(entry);
        let parsed = each.map_while(|raw| Segment::parse(raw, shape.words).ok());
        let run: Vec<Segment> = parsed.take_while(Segment::is_sound).collect();
        let leads = |s: &Segment| {
            s.file_len > 0 && s.offset > at as u64 && s.offset.saturating_add(s.file_len) <= image.len()
        };
        if run.len() > best.as_ref().map_or(0, |(_, best)| best.len()) && run.iter().any(leads) {
            next = at.saturating_add(run.len().saturating_mul(entry));
            best = Some((at as u64, run));
        }
    }
    Ok(best)
}

/// Headers behind the table that are some too, though `e_phnum` does not count them: what lies there is no data.
fn further(image: &Image, shape: &Shape, at: u64, known: &[Segment]) -> Result<Vec<Segment>, DumpError> {
    let end = at.saturating_add(known.len() as u64 * shape.entry_len);
    let first = known.iter().filter(|s| s.is_sound() && s.file_len > 0).map(|s| s.offset).min();
    let Some(room) = first.and_then(|first| first.checked_sub(end)) else { return Ok(Vec::new()) };
    let more = read(image, shape, end, (room / shape.entry_len).min(MORE))?;
    Ok(more.into_iter().take_while(Segment::is_sound).collect())
}

impl Claim {
    /// Of a file whose count of headers does not fit into the ELF header.
    pub(super) fn long_count(image: &Image, shape: &Shape, shoff: u64) -> Result<u64, DumpError> {
        let bad = || {
            image.bad(
                "e_shoff",
                shoff,
                "with e_phnum 0xffff, section header 0 has the count of program headers",
            )
        };
        let at = shoff.checked_add(shape.sh_info).filter(|_| shoff >= shape.header_len).ok_or_else(bad)?;
        let raw = image.header("section header 0 (count of program headers)", at, 4)?;
        Ok(Fields::new(&raw, shape.words).u32(0).map_or(0, u64::from))
    }
}
