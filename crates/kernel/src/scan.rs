//! Searches of memory for values and strings, on all cores.
//!
//! What is searched is a list of [`Run`]s: addresses with the physical memory behind. They are cut into
//! pieces of a MiB at most, which rayon's threads take in batches, so that hits come out in the order of the
//! addresses, memory stays bounded, and a stop is heeded soon. Bytes that the dump holds uncompressed are
//! looked at where they are.

use base::{Cancel, PAGE_SIZE, PhysAddr, PhysRead, Progress, VirtAddr};
use memchr::memmem;
use rayon::prelude::*;

/// Bytes that one thread looks at in one go.
const PIECE: u64 = 1 << 20;
/// Pieces a thread in one batch.
const PIECES: usize = 8;
/// Runs in one piece: pages scattered in memory are searched together.
const RUNS: usize = 256;
/// Words that are compared before a hit among them is looked for.
const BLOCK: usize = 64;

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
    let mut pieces = Pieces { runs, rest: None };
    let batch = rayon::current_num_threads().max(1).saturating_mul(PIECES);
    loop {
        let jobs: Vec<Vec<Run>> = pieces.by_ref().take(batch).collect();
        if jobs.is_empty() {
            break;
        }
        let results: Vec<Part> = jobs.par_iter().map(|runs| search.piece(runs)).collect();
        for part in results {
            out.bytes = out.bytes.saturating_add(part.bytes);
            out.missing = out.missing.saturating_add(part.missing);
            if !part.hits.is_empty() && !found(&part.hits) {
                out.stopped = true;
                return out;
            }
        }
        if cancel.is_cancelled() {
            out.stopped = true;
            return out;
        }
        progress.step("searching", out.bytes.saturating_add(out.missing), total);
    }
    progress.finish();
    out
}

/// Runs cut and gathered into what one thread looks at.
struct Pieces<I> {
    runs: I,
    rest: Option<Run>,
}

impl<I: Iterator<Item = Run>> Iterator for Pieces<I> {
    type Item = Vec<Run>;
    fn next(&mut self) -> Option<Vec<Run>> {
        let mut out: Vec<Run> = Vec::new();
        let mut room = PIECE;
        while room > 0 && out.len() < RUNS {
            let Some(run) = self.rest.take().or_else(|| self.runs.next()) else { break };
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
        (!out.is_empty()).then_some(out)
    }
}

#[derive(Default)]
struct Part {
    hits: Vec<Hit>,
    bytes: u64,
    missing: u64,
}

struct Search<'a> {
    phys: &'a dyn PhysRead,
    wanted: &'a Wanted,
    finders: Vec<memmem::Finder<'a>>,
    cancel: &'a Cancel,
}

impl Search<'_> {
    fn piece(&self, runs: &[Run]) -> Part {
        let mut part = Part::default();
        let mut buf = Vec::new();
        for (n, run) in runs.iter().enumerate() {
            if self.cancel.is_cancelled() {
                break;
            }
            let behind = runs.get(n + 1).filter(|next| run.virt.add(run.len) == next.virt);
            self.run(*run, behind.map(|next| next.phys), &mut buf, &mut part);
        }
        part
    }

    /// Bytes that must follow the last one, so that a string that begins in the run is found whole.
    fn overlap(&self) -> usize {
        match self.wanted {
            Wanted::Words { .. } => 0,
            Wanted::Strings(all) => all.iter().map(Vec::len).max().unwrap_or(1).saturating_sub(1).min(4096),
        }
    }

    fn run(&self, run: Run, behind: Option<PhysAddr>, buf: &mut Vec<u8>, part: &mut Part) {
        let len = run.len as usize;
        let overlap = self.overlap();
        // what follows in memory: the next run, where that is known, else what is next physically, which in
        // the direct map and in a huge page is the same
        let tail_at = behind.unwrap_or(run.phys.add(run.len));
        let whole = len.saturating_add(if behind.is_none() { overlap } else { 0 });
        if (overlap == 0 || behind.is_none())
            && let Some(bytes) = self.phys.borrow_phys(run.phys, whole)
        {
            part.bytes = part.bytes.saturating_add(run.len);
            self.bytes(run.virt, bytes, len, part);
            return;
        }
        // a stretch of pages that are there is looked at together
        let mut at = 0;
        while at < len {
            buf.clear();
            let from = at;
            while at < len {
                let page_left = (PAGE_SIZE - run.phys.add(at as u64).page_offset()) as usize;
                let step = page_left.min(len - at);
                let before = buf.len();
                buf.resize(before + step, 0);
                let Some(dest) = buf.get_mut(before..) else { break };
                at += step;
                if self.phys.read_phys(run.phys.add((at - step) as u64), dest).is_err() {
                    buf.truncate(before);
                    part.missing = part.missing.saturating_add(step as u64);
                    break;
                }
            }
            let size = buf.len();
            if size == 0 {
                continue;
            }
            part.bytes = part.bytes.saturating_add(size as u64);
            if overlap > 0 && at >= len {
                buf.resize(size + overlap, 0);
                let ok = buf.get_mut(size..).is_some_and(|tail| self.phys.read_phys(tail_at, tail).is_ok());
                if !ok {
                    buf.truncate(size);
                }
            }
            self.bytes(run.virt.add(from as u64), buf, size, part);
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
                    2 => hits.words(aligned.as_chunks().0, |w| u64::from(u16::from_le_bytes(w))),
                    4 => hits.words(aligned.as_chunks().0, |w| u64::from(u32::from_le_bytes(w))),
                    _ => hits.words(aligned.as_chunks().0, u64::from_le_bytes),
                }
            }
            Wanted::Strings(_) => {
                for (which, finder) in self.finders.iter().enumerate() {
                    let places = finder.find_iter(bytes).take_while(|&at| at < len);
                    part.hits.extend(places.map(|at| Hit { at: virt.add(at as u64), which, value: 0 }));
                }
            }
        }
        if let Some(new) = part.hits.get_mut(before..) {
            new.sort_unstable();
        }
    }
}

struct Hits<'a> {
    virt: VirtAddr,
    values: &'a [u64],
    mask: u64,
    out: &'a mut Vec<Hit>,
}

impl Hits<'_> {
    fn words<const N: usize>(&mut self, words: &[[u8; N]], number: impl Fn([u8; N]) -> u64) {
        let mask = self.mask;
        for (n, block) in words.chunks(BLOCK).enumerate() {
            for (which, &value) in self.values.iter().enumerate() {
                let want = value | mask;
                // no way out of this loop, so that it becomes vector instructions
                let any = block.iter().fold(false, |any, w| any | (number(*w) | mask == want));
                if !any {
                    continue;
                }
                for (i, w) in block.iter().enumerate() {
                    let found = number(*w);
                    if found | mask == want {
                        let at = self.virt.add(((n * BLOCK + i) * N) as u64);
                        self.out.push(Hit { at, which, value: found });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Gap, Missing, NoProgress, PhysRange};

    /// Pages from 0 on, some of them missing; borrowed or not.
    struct Ram {
        bytes: Vec<u8>,
        gap: Option<u64>,
        lend: bool,
    }
    impl PhysRead for Ram {
        fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
            let missing = Missing { at, why: Gap::Excluded };
            if self.gap.is_some_and(|pfn| at.0 >> 12 == pfn) {
                return Err(missing);
            }
            let from = at.0 as usize;
            buf.copy_from_slice(self.bytes.get(from..from + buf.len()).ok_or(missing)?);
            Ok(())
        }
        fn ranges(&self) -> &[PhysRange] {
            &[]
        }
        fn borrow_phys(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
            self.bytes.get(at.0 as usize..at.0 as usize + len).filter(|_| self.lend)
        }
    }
    fn ram(lend: bool, gap: Option<u64>) -> Ram {
        let mut bytes = vec![0; 3 << 20];
        for at in [8, 0x1ff8, (1 << 20) - 4, 0x20_0000] {
            bytes[at..at + 4].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
        }
        bytes[0xfff..0x1005].copy_from_slice(b"string");
        bytes[(1 << 20) - 6..(1 << 20) + 2].copy_from_slice(b"pieces!!");
        Ram { bytes, gap, lend }
    }
    fn run(ram: &Ram, runs: &[Run], wanted: Wanted) -> (Vec<(u64, usize, u64)>, Scanned) {
        let mut hits = Vec::new();
        let done = scan(ram, runs.iter().copied(), 0, &wanted, &Cancel::new(), &NoProgress, |new| {
            hits.extend(new.iter().map(|h| (h.at.0, h.which, h.value)));
            true
        });
        (hits, done)
    }
    fn all() -> Run {
        Run { virt: VirtAddr(0x1000_0000), phys: PhysAddr(0), len: 3 << 20 }
    }
    fn words(size: u8, values: &[u64], mask: u64) -> Wanted {
        Wanted::Words { size, values: values.to_vec(), mask }
    }

    #[test]
    fn words_of_each_size_in_order() {
        for lend in [true, false] {
            let ram = ram(lend, None);
            let (hits, done) = run(&ram, &[all()], words(8, &[0xdead_beef], 0));
            let at: Vec<u64> = hits.iter().map(|h| h.0 - 0x1000_0000).collect();
            assert_eq!(at, [8, 0x1ff8, 0x20_0000]);
            assert_eq!(done, Scanned { bytes: 3 << 20, ..Scanned::default() });
            let (hits, _) = run(&ram, &[all()], words(2, &[0xbeef, 0xdead], 0));
            assert_eq!(hits[..2], [(0x1000_0008, 0, 0xbeef), (0x1000_000a, 1, 0xdead)]);
            let (hits, _) = run(&ram, &[all()], words(4, &[0xdead_0000], 0xffff));
            assert_eq!((hits.len(), hits[0]), (3, (0x1000_0008, 0, 0xdead_beef)));
        }
    }

    #[test]
    fn strings_reach_over_pages_and_pieces() {
        for lend in [true, false] {
            let wanted = Wanted::Strings(vec![b"string".to_vec(), b"pieces!!".to_vec()]);
            let (hits, _) = run(&ram(lend, None), &[all()], wanted);
            assert_eq!(hits, [(0x1000_0fff, 0, 0), (0x100f_fffa, 1, 0)]);
        }
    }

    #[test]
    fn strings_reach_from_one_run_into_the_next() {
        let mut ram = ram(false, None);
        ram.bytes[0x5000..0x5006].copy_from_slice(b"ngtail");
        ram.bytes[0x7ffc..0x8000].copy_from_slice(b"stri");
        let runs = [
            Run { virt: VirtAddr(0x1000), phys: PhysAddr(0x7000), len: 0x1000 },
            Run { virt: VirtAddr(0x2000), phys: PhysAddr(0x5000), len: 0x1000 },
        ];
        for lend in [true, false] {
            ram.lend = lend;
            let (hits, _) = run(&ram, &runs, Wanted::Strings(vec![b"stringtail".to_vec()]));
            assert_eq!(hits, [(0x1ffc, 0, 0)]);
        }
    }

    #[test]
    fn missing_pages_are_counted_and_skipped() {
        let (hits, done) = run(&ram(false, Some(1)), &[all()], words(8, &[0xdead_beef], 0));
        assert_eq!(hits.iter().map(|h| h.0 - 0x1000_0000).collect::<Vec<_>>(), [8, 0x20_0000]);
        assert_eq!((done.bytes, done.missing), ((3 << 20) - 0x1000, 0x1000));
    }

    #[test]
    fn a_stop_is_heeded() {
        let ram = ram(true, None);
        let wanted = words(8, &[0], 0);
        let mut calls = 0;
        let done = scan(&ram, [all()].into_iter(), 0, &wanted, &Cancel::new(), &NoProgress, |_| {
            calls += 1;
            false
        });
        assert!(done.stopped && calls == 1);
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(scan(&ram, [all()].into_iter(), 0, &wanted, &cancel, &NoProgress, |_| true).stopped);
    }

    #[test]
    fn runs_are_cut_to_a_range() {
        let run = Run { virt: VirtAddr(0x1000), phys: PhysAddr(0x5000), len: 0x1000 };
        let cut = run.within(0x1800, 0x18ff).unwrap();
        assert_eq!((cut.virt.0, cut.phys.0, cut.len), (0x1800, 0x5800, 0x100));
        assert_eq!(run.within(0, u64::MAX), Some(run));
        assert_eq!(run.within(0x2000, u64::MAX), None);
        assert_eq!(run.within(0, 0xfff), None);
    }
}
