use super::*;
use base::{Gap, Missing, NoProgress, PhysRange};

/// Pages from 0 on, some of them missing; so many bytes at most come in one go.
struct Ram {
    bytes: Vec<u8>,
    gap: Option<u64>,
    why: Gap,
    most: usize,
}
const MOST: [usize; 3] = [usize::MAX, 4096, 5003];
impl PhysRead for Ram {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
        let missing = Missing::new(at, self.why);
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
    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Missing> {
        let gap = self.gap.map(|pfn| pfn << 12).filter(|gap| *gap > at.0).unwrap_or(u64::MAX);
        let len = buf.len().min(self.most).min((gap - at.0) as usize);
        self.read_phys(at, &mut buf[..len]).map(|()| len)
    }
}
fn ram(most: usize, gap: Option<u64>) -> Ram {
    let mut bytes = vec![0; 3 << 20];
    for at in [8, 0x1ff8, (1 << 20) - 4, 0x20_0000] {
        bytes[at..at + 4].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    }
    bytes[0xfff..0x1005].copy_from_slice(b"string");
    bytes[(1 << 20) - 6..(1 << 20) + 2].copy_from_slice(b"pieces!!");
    Ram { bytes, gap, why: Gap::Excluded, most }
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
    for most in MOST {
        let ram = ram(most, None);
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
    for most in MOST {
        let wanted = Wanted::Strings(vec![b"string".to_vec(), b"pieces!!".to_vec()]);
        let (hits, _) = run(&ram(most, None), &[all()], wanted);
        assert_eq!(hits, [(0x1000_0fff, 0, 0), (0x100f_fffa, 1, 0)]);
    }
}

#[test]
fn strings_reach_from_one_run_into_the_next() {
    let mut ram = ram(4096, None);
    ram.bytes[0x5000..0x5006].copy_from_slice(b"ngtail");
    ram.bytes[0x7ffc..0x8000].copy_from_slice(b"stri");
    let runs = [
        Run { virt: VirtAddr(0x1000), phys: PhysAddr(0x7000), len: 0x1000 },
        Run { virt: VirtAddr(0x2000), phys: PhysAddr(0x5000), len: 0x1000 },
    ];
    for most in MOST {
        ram.most = most;
        let (hits, _) = run(&ram, &runs, Wanted::Strings(vec![b"stringtail".to_vec()]));
        assert_eq!(hits, [(0x1ffc, 0, 0)]);
    }
}

#[test]
fn a_run_that_ends_within_a_string_or_a_gap_before_its_end_is_no_hit() {
    for most in MOST {
        let wanted = || Wanted::Strings(vec![b"string".to_vec(), b"st".to_vec()]);
        // the physical neighbour is none where nothing follows
        let short = Run { virt: VirtAddr(0x1000), phys: PhysAddr(0), len: 0x1001 };
        assert_eq!(run(&ram(most, None), &[short], wanted()).0, [(0x1fff, 1, 0)]);
        // begins in the last byte before the gap, and its second is missing
        assert_eq!(run(&ram(most, Some(1)), &[all()], wanted()).0, []);
    }
}

#[test]
fn each_value_is_found_once_wherever_the_chunks_end() {
    for most in MOST {
        let mut ram = ram(most, None);
        ram.bytes.fill(0xa5);
        let whole = ram.bytes.len();
        let (hits, _) = run(&ram, &[all()], words(8, &[0xa5a5_a5a5_a5a5_a5a5], 0));
        assert_eq!(hits.len(), whole / 8);
        assert!(hits.windows(2).all(|w| w[0].0 + 8 == w[1].0));
        // a string is found within another of it too, and each place once
        let (hits, done) = run(&ram, &[all()], Wanted::Strings(vec![vec![0xa5; 3]]));
        assert_eq!(hits.len(), whole - 2);
        assert!(hits.windows(2).all(|w| w[0].0 + 1 == w[1].0));
        assert_eq!(done, Scanned { bytes: 3 << 20, ..Scanned::default() });
    }
}

#[test]
fn pieces_full_of_hits_keep_their_place_among_others() {
    for (most, gap) in [(usize::MAX, None), (4096, Some(300)), (5003, None)] {
        let mut ram = ram(most, gap);
        ram.bytes[..0x1000].fill(7);
        ram.bytes[(1 << 20) + 0x3000..(2 << 20) - 0x5000].fill(7);
        let want: Vec<u64> = (0..ram.bytes.len() as u64)
            .step_by(2)
            .filter(|&at| ram.bytes[at as usize..][..2] == [7, 7] && gap != Some(at >> 12))
            .collect();
        let (hits, done) = run(&ram, &[all()], words(2, &[0x0707], 0));
        assert_eq!(hits.iter().map(|h| h.0 - 0x1000_0000).collect::<Vec<_>>(), want);
        assert_eq!(done.bytes + done.missing, 3 << 20, "counted once");
    }
}

#[test]
fn a_stop_within_a_piece_full_of_hits_is_heeded() {
    let mut ram = ram(usize::MAX, None);
    ram.bytes.fill(7);
    let mut seen = 0;
    let wanted = words(2, &[0x0707], 0);
    let done = scan(&ram, [all()].into_iter(), 0, &wanted, &Cancel::new(), &NoProgress, |hits| {
        seen += hits.len();
        seen < 100_000
    });
    assert!(done.stopped && (100_000..200_000).contains(&seen), "{seen}");
}

#[test]
fn the_first_and_last_bytes_of_what_is_searched_are_found() {
    for most in MOST {
        let mut ram = ram(most, None);
        let whole = ram.bytes.len();
        ram.bytes[..3].copy_from_slice(b"<a>");
        ram.bytes[whole - 3..].copy_from_slice(b"<b>");
        let wanted = || Wanted::Strings(vec![b"<a>".to_vec(), b"<b>".to_vec(), b">".to_vec()]);
        let base = 0x1000_0000;
        let end = base + whole as u64;
        assert_eq!(
            run(&ram, &[all()], wanted()).0,
            [(base, 0, 0), (base + 2, 2, 0), (end - 3, 1, 0), (end - 1, 2, 0)]
        );
        // cut by a byte on either side
        let cut = all().within(base + 1, end - 2).unwrap();
        assert_eq!(run(&ram, &[cut], wanted()).0, [(base + 2, 2, 0)]);
        let last = u64::from_le_bytes(ram.bytes[whole - 8..].try_into().unwrap());
        assert_eq!(run(&ram, &[all()], words(8, &[last], 0)).0, [(end - 8, 0, last)]);
        assert_eq!(run(&ram, &[cut], words(8, &[last], 0)).0, [], "seven bytes are no word");
    }
}

#[test]
fn longest_strings_are_found_across_chunks() {
    for most in MOST {
        let mut ram = ram(most, None);
        let long: Vec<u8> = (0..MAX_STRING).map(|i| b'A' + (i % 23) as u8).collect();
        // begins in the last byte of a chunk; of a piece
        for at in [CHUNK - 1, (2 << 20) - 1] {
            ram.bytes[at..at + long.len()].copy_from_slice(&long);
        }
        let (hits, _) = run(&ram, &[all()], Wanted::Strings(vec![long]));
        let at: Vec<u64> = hits.iter().map(|h| h.0 - 0x1000_0000).collect();
        assert_eq!(at, [CHUNK as u64 - 1, (2 << 20) - 1]);
    }
}

#[test]
fn a_gap_at_either_end_of_a_run_ends_it() {
    let mut ram = ram(4096, Some(5));
    ram.bytes[0x4ffc..0x6004].fill(b'x');
    let runs = |from, len| [Run { virt: VirtAddr(from), phys: PhysAddr(from), len }];
    for most in MOST {
        ram.most = most;
        let wanted = || Wanted::Strings(vec![b"xxxx".to_vec()]);
        let (hits, done) = run(&ram, &runs(0x4000, 0x3000), wanted());
        assert_eq!(hits, [(0x4ffc, 0, 0), (0x6000, 0, 0)]);
        assert_eq!((done.bytes, done.missing), (0x2000, 0x1000));
        // nothing but the gap; the gap first; the gap last, and within the string
        assert_eq!(run(&ram, &runs(0x5000, 0x1000), wanted()).1.missing, 0x1000);
        assert_eq!(run(&ram, &runs(0x5800, 0x1000), wanted()).0, [(0x6000, 0, 0)]);
        assert_eq!(run(&ram, &runs(0x4ffd, 0x1003), wanted()).0, []);
        let (hits, done) = run(&ram, &runs(0x4ff8, 0x808), words(8, &[0x7878_7878_0000_0000], 0));
        assert_eq!((hits.len(), hits[0].0, done.missing), (1, 0x4ff8, 0x800));
    }
}

#[test]
fn missing_pages_are_counted_and_skipped() {
    let (hits, done) = run(&ram(4096, Some(1)), &[all()], words(8, &[0xdead_beef], 0));
    assert_eq!(hits.iter().map(|h| h.0 - 0x1000_0000).collect::<Vec<_>>(), [8, 0x20_0000]);
    assert_eq!((done.bytes, done.missing), ((3 << 20) - 0x1000, 0x1000));
    assert_eq!(done.lost, 0, "a filter left it out");
    let cut = Ram { why: Gap::Truncated, ..ram(4096, Some(1)) };
    let (_, done) = run(&cut, &[all()], words(8, &[0xdead_beef], 0));
    assert_eq!((done.missing, done.lost), (0x1000, 0x1000));
}

#[test]
fn a_stop_is_heeded() {
    let ram = ram(usize::MAX, None);
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

/// A terabyte of which two pages are there; the rest is a file's hole, or missing.
struct Sparse {
    zeros: bool,
}
const FAR: u64 = 900 << 30;
impl PhysRead for Sparse {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
        let page = at.0 & !0xfff;
        if page == 0x5000 || page == FAR {
            buf.fill(7);
        } else if self.zeros {
            buf.fill(0);
        } else {
            return Err(Missing::new(at, Gap::Excluded));
        }
        Ok(())
    }
    fn ranges(&self) -> &[PhysRange] {
        &[]
    }
    fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
        let pages = [0x5000, FAR].into_iter();
        pages.map(PhysAddr).find(|page| page.0 + 0xfff >= from.0).map(|page| page.max(from))
    }
}

#[test]
fn what_is_not_there_costs_nothing() {
    for zeros in [true, false] {
        let ram = Sparse { zeros };
        let mut hits = Vec::new();
        let run = Run { virt: VirtAddr(0), phys: PhysAddr(0), len: 1 << 40 };
        let wanted = words(8, &[0x0707_0707_0707_0707], 0);
        let done = scan(&ram, [run].into_iter(), 0, &wanted, &Cancel::new(), &NoProgress, |new| {
            hits.extend(new.iter().map(|h| h.at.0));
            true
        });
        assert_eq!((hits.len(), hits[0], hits[512]), (1024, 0x5000, FAR));
        let skipped = if zeros { done.holes } else { done.missing };
        // a piece is looked at as a whole
        assert!(done.bytes <= 2 << 20 && skipped >= (1 << 40) - (2 << 20), "{done:?}");
    }
    assert!(words(4, &[5, 0], 0).fits_zeros() && words(8, &[0xff], 0xff).fits_zeros());
    assert!(!words(8, &[0xff], 0).fits_zeros() && !Wanted::Strings(vec![b"x".to_vec()]).fits_zeros());
}
