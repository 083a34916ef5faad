//! Searches of memory for values and strings, on all cores.
//!
//! What is searched is a list of [`Run`]s: addresses with the physical memory behind. They are cut into
//! pieces of a MiB at most, which threads take one by one, so that memory stays bounded and a stop is heeded
//! soon; hits come out in the order of the addresses. A thread reads into a buffer that fits into its core's
//! cache: a map would cost a page fault where this costs a copy.
//!
//! Invariant: what is held is bounded by the cores, however many hits there are.

mod order;
#[cfg(test)]
mod tests;

use base::{Cancel, GRANULE, PhysAddr, PhysRead, Progress, VirtAddr};
use memchr::memmem;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that one thread looks at in one go.
const PIECE: u64 = 1 << 20;
/// Bytes that are read at a time.
const CHUNK: usize = 128 << 10;
/// Bytes of a string beyond its first that are looked at behind a chunk at most.
const MAX_OVERLAP: usize = 4096;
/// Bytes of the longest string that is found wherever it lies.
pub const MAX_STRING: usize = MAX_OVERLAP + 1;
/// Hits that wait to be taken, of one piece: where it has more, it is gone through again when its turn comes.
const MAX_WAITING: usize = 1 << 13;
/// Runs in one piece: pages scattered in memory are searched together.
const RUNS: usize = 256;
/// Bytes whose words are compared before a hit among them is looked for.
const BLOCK: usize = 1024;

/// Addresses in one piece, and where they are in physical memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// First address.
    pub virt: VirtAddr,
    /// Its physical address.
    pub phys: PhysAddr,
    /// Bytes.
    pub len: u64,
}

impl Run {
    /// The part of the run in `start..=last`; `None` where they have nothing in common.
    #[must_use]
    pub fn within(self, start: u64, last: u64) -> Option<Self> {
        let (own_last, from) = (self.virt.0.checked_add(self.len.checked_sub(1)?)?, start.max(self.virt.0));
        let to = own_last.min(last);
        let skip = from.checked_sub(self.virt.0)?;
        let len = to.checked_sub(from)?.saturating_add(1);
        Some(Self { virt: VirtAddr(from), phys: self.phys.add(skip), len })
    }
}

/// What is searched for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Numbers of `size` bytes (2, 4 or 8) at multiples of that, the bits of `mask` being of no interest.
    Words {
        /// Bytes in each.
        size: u8,
        /// The numbers.
        values: Vec<u64>,
        /// The bits that may be anything.
        mask: u64,
    },
    /// Strings anywhere.
    Strings(Vec<Vec<u8>>),
}

impl Wanted {
    /// Whether memory of zeros has it.
    #[must_use]
    pub fn fits_zeros(&self) -> bool {
        match self {
            Self::Words { values, mask, .. } => values.iter().any(|value| value & !mask == 0),
            Self::Strings(_) => false,
        }
    }
}

/// One place where something was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Hit {
    /// Where.
    pub at: VirtAddr,
    /// Which of the numbers or strings, by its place in the list.
    pub which: usize,
    /// The number that was found; 0 for a string.
    pub value: u64,
}

/// What was gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scanned {
    /// Bytes that were looked at.
    pub bytes: u64,
    /// Bytes that the dump does not hold.
    pub missing: u64,
    /// Of them those that it should hold: it is cut or damaged there.
    pub lost: u64,
    /// Bytes in large holes of a sparse file, which are zeros and were not looked at.
    pub holes: u64,
    /// True where the caller or the user stopped it.
    pub stopped: bool,
}

/// Searches `runs`, handing each batch's hits to `found` in ascending order; it returns false to stop.
/// `total` is the number of bytes in all runs, for the progress, or 0.
pub fn scan(
    phys: &dyn PhysRead,
    runs: impl Iterator<Item = Run>,
    total: u64,
    wanted: &Wanted,
    cancel: &Cancel,
    progress: &dyn Progress,
    mut found: impl FnMut(&[Hit]) -> bool,
) -> Scanned {
    let finders: Vec<memmem::Finder<'_>> = match wanted {
        Wanted::Strings(strings) => strings.iter().map(memmem::Finder::new).collect(),
        Wanted::Words { .. } => Vec::new(),
    };
    let search = Search { phys, wanted, finders, cancel };
    let mut out = Scanned::default();
    let mut take = |part: &mut Part| {
        out.bytes = out.bytes.saturating_add(part.bytes);
        out.missing = out.missing.saturating_add(part.missing);
        out.lost = out.lost.saturating_add(part.lost);
        out.stopped = (!part.hits.is_empty() && !found(&part.hits)) || cancel.is_cancelled();
        progress.step("searching", out.bytes.saturating_add(out.missing), total);
        part.clear();
        !out.stopped
    };
    let skipped = Skipped::default();
    let mut pieces = Pieces { phys, runs, rest: None, skipped: &skipped };
    let first: Vec<Piece> = pieces.by_ref().take(2).collect();
    // what is small is not worth a thread
    let threads =
        if first.len() < 2 { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let worker = || {
        let mut buf = vec![0; CHUNK + 2 * MAX_OVERLAP];
        let search = &search;
        move |piece: Piece| {
            let mut part = Part::default();
            let all = search.piece(&piece, &mut buf, &mut part, &mut |part| part.hits.len() <= MAX_WAITING);
            match all {
                true => Done::Part(part),
                false => Done::Full(piece),
            }
        }
    };
    let mut own = Vec::new();
    order::in_order(threads, first.into_iter().chain(pieces), worker, |done| match done {
        Done::Part(mut part) => take(&mut part),
        Done::Full(piece) => {
            own.resize(CHUNK + 2 * MAX_OVERLAP, 0);
            search.piece(&piece, &mut own, &mut Part::default(), &mut take)
        }
    });
    out.missing = out.missing.saturating_add(skipped.missing.load(Ordering::Relaxed));
    out.lost = out.lost.saturating_add(skipped.lost.load(Ordering::Relaxed));
    out.holes = skipped.holes.load(Ordering::Relaxed);
    if !out.stopped {
        progress.finish();
    }
    out
}

/// Bytes of large runs that were not looked at.
#[derive(Default)]
struct Skipped {
    missing: AtomicU64,
    lost: AtomicU64,
    holes: AtomicU64,
}

/// What one thread looks at in one go.
struct Piece {
    runs: Vec<Run>,
    /// The run after them.
    behind: Option<Run>,
}

/// Runs cut and gathered into pieces.
struct Pieces<'a, I> {
    phys: &'a dyn PhysRead,
    runs: I,
    rest: Option<Run>,
    skipped: &'a Skipped,
}

impl<I: Iterator<Item = Run>> Pieces<'_, I> {
    /// The next run; a large one without what is not there at its front, however much that is.
    fn run(&mut self) -> Option<Run> {
        loop {
            let run = self.rest.take().or_else(|| self.runs.next())?;
            if run.len <= PIECE {
                return Some(run);
            }
            let data = self.phys.skip_holes(run.phys).map_or(u64::MAX, |at| at.0.saturating_sub(run.phys.0));
            let skip = data.min(run.len);
            if skip == 0 {
                return Some(run);
            }
            let read = self.phys.read_phys(run.phys, &mut [0]);
            let zeros = read.is_ok();
            if read.is_err_and(|missing| missing.why.is_loss()) {
                self.skipped.lost.fetch_add(skip, Ordering::Relaxed);
            }
            let count = if zeros { &self.skipped.holes } else { &self.skipped.missing };
            count.fetch_add(skip, Ordering::Relaxed);
            if skip < run.len {
                return Some(Run { virt: run.virt.add(skip), phys: run.phys.add(skip), len: run.len - skip });
            }
        }
    }
}

impl<I: Iterator<Item = Run>> Iterator for Pieces<'_, I> {
    type Item = Piece;
    fn next(&mut self) -> Option<Piece> {
        let mut out: Vec<Run> = Vec::new();
        let mut room = PIECE;
        while room > 0 && out.len() < RUNS {
            let Some(run) = self.run() else { break };
            let len = run.len.min(room);
            if len < run.len {
                self.rest =
                    Some(Run { virt: run.virt.add(len), phys: run.phys.add(len), len: run.len - len });
            }
            room -= len;
            if len == 0 {
                continue;
            }
            match out.last_mut() {
                // pages that lie side by side are one run
                Some(last) if last.virt.add(last.len) == run.virt && last.phys.add(last.len) == run.phys => {
                    last.len = last.len.saturating_add(len);
                }
                _ => out.push(Run { len, ..run }),
            }
        }
        if out.is_empty() {
            return None;
        }
        self.rest = self.run();
        Some(Piece { runs: out, behind: self.rest })
    }
}

#[derive(Default)]
struct Part {
    hits: Vec<Hit>,
    bytes: u64,
    missing: u64,
    lost: u64,
}

impl Part {
    fn clear(&mut self) {
        self.hits.clear();
        (self.bytes, self.missing, self.lost) = (0, 0, 0);
    }
}

/// What became of a piece.
enum Done {
    Part(Part),
    /// It has more hits than may wait.
    Full(Piece),
}

/// Told after each chunk what was found so far; false ends it.
type Flush<'f> = &'f mut dyn FnMut(&mut Part) -> bool;

struct Search<'a> {
    phys: &'a dyn PhysRead,
    wanted: &'a Wanted,
    finders: Vec<memmem::Finder<'a>>,
    cancel: &'a Cancel,
}

impl Search<'_> {
    /// Goes through a piece; false where `flush` ended it.
    fn piece(&self, piece: &Piece, buf: &mut [u8], part: &mut Part, flush: Flush<'_>) -> bool {
        for (n, run) in piece.runs.iter().enumerate() {
            if self.cancel.is_cancelled() {
                break;
            }
            let behind = piece.runs.get(n + 1).or(piece.behind.as_ref());
            let behind = behind.filter(|next| run.virt.add(run.len) == next.virt);
            if !self.run(*run, behind, buf, part, flush) {
                return false;
            }
        }
        true
    }

    /// Bytes that must follow the last one, so that a string that begins in the run is found whole.
    fn overlap(&self) -> usize {
        match self.wanted {
            Wanted::Words { .. } => 0,
            Wanted::Strings(all) => {
                all.iter().map(Vec::len).max().unwrap_or(1).saturating_sub(1).min(MAX_OVERLAP)
            }
        }
    }

    /// How many of the bytes before `end` belong with what follows them.
    fn kept(&self, end: VirtAddr) -> usize {
        match self.wanted {
            Wanted::Words { size, .. } => end.0 as usize & (usize::from(*size) - 1),
            Wanted::Strings(_) => self.overlap(),
        }
    }

    /// Looks through a run by chunks; the front of `buf` holds what was kept of the chunk before.
    fn run(&self, run: Run, behind: Option<&Run>, buf: &mut [u8], part: &mut Part, flush: Flush<'_>) -> bool {
        let (mut at, mut kept) = (0, 0);
        while at < run.len {
            let room = usize::try_from(run.len - at).unwrap_or(CHUNK).min(CHUNK);
            let from = run.phys.add(at);
            let dest = buf.get_mut(kept..kept + room).unwrap_or_default();
            match self.phys.read_stretch(from, dest) {
                Ok(n) if n > 0 => {
                    at += n as u64;
                    part.bytes = part.bytes.saturating_add(n as u64);
                    let have = kept + n;
                    let virt = run.virt.add(at).sub(have as u64);
                    if at < run.len {
                        kept = self.kept(run.virt.add(at)).min(have);
                        self.bytes(virt, buf.get(..have).unwrap_or_default(), have - kept, part);
                        if !flush(part) {
                            return false;
                        }
                        buf.copy_within(have - kept..have, 0);
                        continue;
                    }
                    let tail =
                        behind.map_or(0, |next| self.tail(next, buf.get_mut(have..).unwrap_or_default()));
                    self.bytes(virt, buf.get(..have + tail).unwrap_or_default(), have, part);
                }
                other => {
                    let virt = run.virt.add(at).sub(kept as u64);
                    self.bytes(virt, buf.get(..kept).unwrap_or_default(), kept, part);
                    kept = 0;
                    let next =
                        self.phys.skip_holes(from).map_or(run.len, |next| next.0.saturating_sub(run.phys.0));
                    // where it is said to be there, all of a page that cannot be read is missing
                    let step = if next > at { 1 } else { GRANULE - from.page_offset() };
                    let to = next.max(at + step).min(run.len);
                    part.missing = part.missing.saturating_add(to - at);
                    if other.is_err_and(|missing| missing.why.is_loss()) {
                        part.lost = part.lost.saturating_add(to - at);
                    }
                    at = to;
                }
            }
        }
        flush(part)
    }

    /// Fills the front of `buf` with what the run behind begins with; how many bytes.
    fn tail(&self, behind: &Run, buf: &mut [u8]) -> usize {
        let len = self.overlap().min(usize::try_from(behind.len).unwrap_or(usize::MAX));
        match buf.get_mut(..len) {
            Some(tail) if len > 0 => self.phys.read_stretch(behind.phys, tail).unwrap_or(0),
            _ => 0,
        }
    }

    /// Hits that begin in the first `len` of `bytes`.
    fn bytes(&self, virt: VirtAddr, bytes: &[u8], len: usize, part: &mut Part) {
        let before = part.hits.len();
        match self.wanted {
            Wanted::Words { size, values, mask } => {
                let own = bytes.get(..len).unwrap_or(bytes);
                // words lie at multiples of their size
                let skip = virt.0.wrapping_neg() as usize & (usize::from(*size) - 1);
                let Some(aligned) = own.get(skip..) else { return };
                let mut hits = Hits { virt: virt.add(skip as u64), values, mask: *mask, out: &mut part.hits };
                match size {
                    2 => hits.words::<2>(aligned, any16),
                    4 => hits.words::<4>(aligned, any32),
                    _ => hits.words::<8>(aligned, any64),
                }
            }
            Wanted::Strings(_) => {
                for (which, finder) in self.finders.iter().enumerate() {
                    let places = everywhere(finder, bytes).take_while(|&at| at < len);
                    part.hits.extend(places.map(|at| Hit { at: virt.add(at as u64), which, value: 0 }));
                }
            }
        }
        if let Some(new) = part.hits.get_mut(before..) {
            new.sort_unstable();
        }
    }
}

/// Where a string begins, places within another of it included: what is found does not depend on where reading began.
fn everywhere<'b>(finder: &'b memmem::Finder<'_>, bytes: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + finder.find(bytes.get(from..)?)?;
        from = at + 1;
        Some(at)
    })
}

struct Hits<'a> {
    virt: VirtAddr,
    values: &'a [u64],
    mask: u64,
    out: &'a mut Vec<Hit>,
}

impl Hits<'_> {
    fn words<const N: usize>(&mut self, bytes: &[u8], any: impl Fn(&[u8], u64, u64) -> bool) {
        let values = self.values;
        for (n, block) in bytes.chunks(BLOCK).enumerate() {
            for (which, &value) in values.iter().enumerate() {
                if any(block, value, !self.mask) {
                    self.each::<N>(block, n * BLOCK, which, value);
                }
            }
        }
    }

    fn each<const N: usize>(&mut self, bytes: &[u8], at: usize, which: usize, value: u64) {
        for (i, word) in bytes.as_chunks::<N>().0.iter().enumerate() {
            let mut full = [0; 8];
            full.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
            let found = u64::from_le_bytes(full);
            if found | self.mask == value | self.mask {
                self.out.push(Hit { at: self.virt.add((at + i * N) as u64), which, value: found });
            }
        }
    }
}

// No way out of these loops, so that they become vector instructions. Where `keep` has a 0, a bit may be anything.

/// Whether a block may have the value: it has one of its halves, which the oldest vector instructions compare at once,
/// where words of 64 bits take several.
fn any64(block: &[u8], value: u64, keep: u64) -> bool {
    let ((low, keep_low), (high, keep_high)) =
        ((value as u32, keep as u32), ((value >> 32) as u32, (keep >> 32) as u32));
    // memory is full of 0 and -1, which are also what most numbers and pointers begin with
    let telling = |half: u32, keep: u32| if half == 0 || half == u32::MAX { 0 } else { keep.count_ones() };
    if telling(high, keep_high) > telling(low, keep_low) {
        any32(block, high.into(), keep_high.into())
    } else {
        any32(block, low.into(), keep_low.into())
    }
}

fn any32(block: &[u8], value: u64, keep: u64) -> bool {
    let (value, keep) = (value as u32, keep as u32);
    let words = block.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w));
    match keep {
        u32::MAX => words.fold(0, |any, w| any | u32::from(w == value)) != 0,
        _ => words.fold(0, |any, w| any | u32::from((w ^ value) & keep == 0)) != 0,
    }
}

fn any16(block: &[u8], value: u64, keep: u64) -> bool {
    let (value, keep) = (value as u16, keep as u16);
    let words = block.as_chunks::<2>().0.iter().map(|w| u16::from_le_bytes(*w));
    words.fold(0, |any, w| any | u16::from((w ^ value) & keep == 0)) != 0
}
