//! What a damaged dump says of itself, held against the rest of it: which frames a part of a split set has, which format a file
//! is, and what a flattened stream lacks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::{Gap, Pfn, PhysRead};
use dump::{Dump, Warning};
use testkit::dump::{DumpSpec, PAGE, Packing, flatten};

/// `split`, `start_pfn` and `start_pfn_64` in the sub header.
const SPLIT: usize = PAGE + 12;
const OLD: usize = PAGE + 16;
const NEW: usize = PAGE + 80;
/// `bitmap_blocks`
const BITMAP_BLOCKS: usize = 436;

const CUTS: [u64; 2] = [0x10, 0x18];
const END: u64 = 0x28;

/// Five pages below the first cut, three up to the second, seven behind.
fn spec() -> DumpSpec {
    let pages = [1, 4, 5, 8, 9, 0x10, 0x12, 0x13, 0x18, 0x19, 0x1a, 0x1b, 0x20, 0x21, 0x27];
    let spec = DumpSpec::x86_64().vmcoreinfo("OSRELEASE=6.1\n").excluded(3).excluded(0x15);
    pages.iter().fold(spec, |s, &pfn| s.page(pfn, &(pfn * 0x0101_0101_0101 + 7).to_le_bytes().repeat(512)))
}

fn parts() -> Vec<Vec<u8>> {
    spec().split(Packing::Zlib, &CUTS)
}

fn open(files: Vec<Vec<u8>>) -> Dump {
    Dump::from_bytes(files).unwrap_or_else(|e| panic!("{e}"))
}

fn page(dump: &Dump, pfn: u64) -> Result<Vec<u8>, Gap> {
    let mut page = vec![0; PAGE];
    dump.read_phys(Pfn(pfn).addr(), &mut page).map(|()| page).map_err(|m| m.why)
}

fn pages(dump: &Dump) -> Vec<Result<Vec<u8>, Gap>> {
    (0..END).map(|pfn| page(dump, pfn)).collect()
}

fn put(file: &mut [u8], at: usize, numbers: &[u64]) {
    for (n, number) in numbers.iter().enumerate() {
        file[at + 8 * n..at + 8 * n + 8].copy_from_slice(&number.to_le_bytes());
    }
}

/// Nothing but what is right or a reason.
#[track_caller]
fn has_no_wrong_page(dump: &Dump, what: &str) {
    let whole = pages(&open(vec![spec().kdump(Packing::Zlib)]));
    for (pfn, (found, want)) in pages(dump).into_iter().zip(whole).enumerate() {
        assert!(found.is_err() || found == want, "{what}: frame {pfn:#x}");
    }
}

/// As makedumpfile has it: a page of zeros before the first data, which no descriptor needs to have.
fn behind_zeros(mut file: Vec<u8>, count: usize) -> Vec<u8> {
    let descs = spec().kdump_layout()[2];
    for n in 0..count {
        let at = descs + 24 * n;
        let offset = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) + PAGE as u64;
        put(&mut file, at, &[offset]);
    }
    let data = descs + 24 * count;
    file.splice(data..data, [0; PAGE]);
    file
}

#[test]
fn frames_of_a_part_are_told_by_its_pages() {
    let whole = pages(&open(vec![spec().kdump(Packing::Zlib)]));
    let ranges = [[0, 0x10], [0x10, 0x18], [0x18, END]];
    type Damage = fn(&mut [Vec<u8>], &[[u64; 2]; 3]);
    let damages: [(&str, Damage); 10] = [
        ("exchanged", |p, r| {
            for at in [OLD, NEW] {
                put(&mut p[0], at, &r[1]);
                put(&mut p[1], at, &r[0]);
            }
        }),
        ("the newer fields exchanged", |p, r| {
            put(&mut p[1], NEW, &r[2]);
            put(&mut p[2], NEW, &r[1]);
        }),
        ("turned around", |p, r| {
            for (n, file) in p.iter_mut().enumerate() {
                put(file, OLD, &r[(n + 1) % 3]);
                put(file, NEW, &r[(n + 1) % 3]);
            }
        }),
        ("zeros", |p, _| {
            put(&mut p[1], OLD, &[0, 0]);
            put(&mut p[1], NEW, &[0, 0]);
        }),
        ("zeros in the newer fields", |p, _| put(&mut p[2], NEW, &[0, 0])),
        ("no part", |p, _| p[1][SPLIT] = 0),
        ("no part of no frames", |p, _| {
            p[1][SPLIT] = 0;
            put(&mut p[1], OLD, &[0, 0]);
            put(&mut p[1], NEW, &[0, 0]);
        }),
        ("too late", |p, _| {
            put(&mut p[1], OLD, &[0x11]);
            put(&mut p[1], NEW, &[0x11]);
        }),
        ("too long", |p, _| {
            put(&mut p[1], OLD + 8, &[0x1a]);
            put(&mut p[1], NEW + 8, &[0x1a]);
        }),
        ("bitmap_blocks", |p, _| p[1][BITMAP_BLOCKS] += 1),
    ];
    for (what, damage) in damages {
        for zeros in [false, true] {
            let mut files = parts();
            if zeros {
                files[1] = behind_zeros(files[1].clone(), 3);
            }
            damage(&mut files, &ranges);
            let dump = open(files);
            assert!(pages(&dump) == whole, "{what}: {:?}", dump.facts().warnings);
            let mended = |w: &Warning| matches!(w.itself(), Warning::FieldMended { .. });
            assert!(dump.facts().warnings.iter().any(mended), "{what}: {:?}", dump.facts().warnings);
        }
    }
    let sound = open(parts());
    assert!(pages(&sound) == whole && sound.facts().warnings.is_empty(), "{:?}", sound.facts().warnings);
}

#[test]
fn a_part_whose_frames_nothing_tells_gives_no_page() {
    let unknown = |dump: &Dump| {
        dump.facts().warnings.iter().any(|w| matches!(w, Warning::FramesUnknown { .. }))
            && dump.facts().is_incomplete()
    };
    // alone, it names no range that has its pages
    let mut file = parts().swap_remove(1);
    put(&mut file, OLD, &[0, 0]);
    put(&mut file, NEW, &[0, 0]);
    let dump = open(vec![file.clone()]);
    assert!(unknown(&dump), "{:?}", dump.facts().warnings);
    assert_eq!(page(&dump, 0x10), Err(Gap::Corrupt));
    has_no_wrong_page(&dump, "alone");
    // beside one that does not bound it
    let dump = open(vec![parts().swap_remove(0), file]);
    assert!(unknown(&dump), "{:?}", dump.facts().warnings);
    assert_eq!(page(&dump, 0x10), Err(Gap::Corrupt));
    assert!(page(&dump, 9).is_ok());
    has_no_wrong_page(&dump, "beside one");
    // two parts of as many pages, whose fields contradict each other
    let even = (1..9).fold(DumpSpec::x86_64(), |s, pfn| s.page(pfn, &[pfn as u8; PAGE]));
    let mut files = even.split(Packing::Plain, &[5]);
    put(&mut files[0], NEW, &[5, 9]);
    put(&mut files[1], NEW, &[0, 5]);
    let dump = open(files);
    assert!(unknown(&dump), "{:?}", dump.facts().warnings);
    assert!((1..9).all(|pfn| page(&dump, pfn).is_err()));
}

fn signed_wrong(dump: &Dump) -> bool {
    dump.facts().warnings.iter().any(|w| matches!(w.itself(), Warning::MagicDamaged { .. }))
}

#[test]
fn a_damaged_magic_hides_no_dump() {
    let files = [
        ("kdump", spec().kdump(Packing::Zlib), 8),
        ("ELF", spec().elf(), 4),
        ("LiME", spec().lime(), 4),
        ("flattened", flatten(&spec().kdump(Packing::Zlib), 900), 16),
        ("flattened ELF", flatten(&spec().elf(), 900), 16),
    ];
    for (kind, file, magic) in files {
        let sound = open(vec![file.clone()]);
        assert!(!signed_wrong(&sound), "{kind}");
        for at in 0..magic {
            for flip in [1, 0x80] {
                let mut file = file.clone();
                file[at] ^= flip;
                let dump = open(vec![file]);
                assert!(signed_wrong(&dump), "{kind} {at}");
                assert!(pages(&dump) == pages(&sound), "{kind} {at}");
                assert_eq!(dump.format(), sound.format());
            }
        }
    }
    // nothing of it is left
    let mut file = spec().kdump(Packing::Zlib);
    file[..8].fill(0);
    assert!(signed_wrong(&open(vec![file])));
    // of a part of a split set
    let mut files = parts();
    files[2][3] ^= 0x20;
    let dump = open(files);
    assert!(signed_wrong(&dump) && page(&dump, 0x27).is_ok());
}

#[test]
fn a_later_range_of_a_lime_image_is_told_by_its_header_too() {
    let file = spec().lime();
    let sound = open(vec![file.clone()]);
    let second = 32 + PAGE;
    assert_eq!(&file[second..second + 4], b"EMiL");
    let mut damaged = file.clone();
    damaged[second + 1] ^= 4;
    let dump = open(vec![damaged]);
    assert!(pages(&dump) == pages(&sound) && signed_wrong(&dump));
    // what is no range is told, what fills up a block is nothing
    let junk = |bytes: &[u8]| open(vec![[&file[..], bytes].concat()]).facts().warnings.clone();
    let (offset, len) = (file.len() as u64, 100);
    let text = b"0123456789".repeat(10);
    assert_eq!(junk(&text), [Warning::NoRange { offset, len }]);
    assert_eq!(junk(&text[..7]), [Warning::NoRange { offset, len: 7 }]);
    assert_eq!(junk(&[0; 480]), []);
    let cut = open(vec![file[..file.len() - 10].to_vec()]);
    assert!(matches!(cut.facts().warnings[..], [Warning::FileTruncated { .. }]));
}

/// A stream of records of 512 bytes without those that begin in a part of the dump.
fn without(file: &[u8], lost: std::ops::Range<usize>) -> Vec<u8> {
    const RECORD: usize = 512;
    let mut out = b"makedumpfile\0\0\0\0".to_vec();
    out.extend([1_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat());
    out.resize(4096, 0);
    for (n, bytes) in file.chunks(RECORD).enumerate().filter(|(n, _)| !lost.contains(&(n * RECORD))) {
        out.extend(((n * RECORD) as u64).to_be_bytes());
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(bytes);
    }
    out.extend([0xff; 16]);
    out
}

#[test]
fn records_that_a_stream_lacks_are_told() {
    let kdump = spec().kdump(Packing::Plain);
    let [ram, here, descs] = spec().kdump_layout();
    let elf = spec().elf();
    let data = descs + 24 * 15;
    let noted = spec().note("QEMU", 0, &[1; 4096]).elf();
    let notes = noted.windows(512).position(|w| *w == [1; 512]).unwrap();
    let none = Dump::from_bytes(vec![without(&kdump, 0..1)]).unwrap_err().to_string();
    assert!(none.contains("has no record"), "{none}");
    let cases = [
        ("no record", &kdump, 0..0, 0),
        ("a page", &kdump, data + 2 * PAGE..data + 2 * PAGE + 512, 1),
        ("pages", &kdump, data + 2 * PAGE..data + 5 * PAGE, 3),
        ("descriptors", &kdump, descs..descs + 1, 15),
        ("the bitmap of RAM", &kdump, ram..ram + 1, 0),
        ("the bitmap of pages", &kdump, here..here + 1, 15),
        ("the sub header", &kdump, PAGE..PAGE + 1, 0),
        ("notes of an ELF dump", &noted, notes..notes + 512, 0),
        ("memory of an ELF dump", &elf, elf.len() - PAGE..elf.len() - PAGE + 1024, 1),
    ];
    for (what, file, lost, least) in cases {
        let stream = without(file, lost.clone());
        let (dump, sound) = (open(vec![stream]), open(vec![file.clone()]));
        let told = dump.facts().warnings.iter().any(|w| matches!(w, Warning::StreamHole { .. }));
        assert_eq!(told, !lost.is_empty(), "{what}: {:?}", dump.facts().warnings);
        assert_eq!(dump.facts().is_incomplete(), told, "{what}");
        let missing = pages(&dump).iter().zip(pages(&sound)).filter(|(own, all)| **own != *all).count();
        assert!(missing >= least && (least > 0 || missing == 0 || what.contains("RAM")), "{what}: {missing}");
        has_no_wrong_page(&dump, what);
        assert!(dump.held_bytes() <= sound.held_bytes(), "{what}");
        if what.contains("page") && what != "the bitmap of pages" {
            assert!(dump.held_bytes() < sound.held_bytes(), "{what}");
        }
    }
}

/// What a cut file lost is not held, in whichever format.
#[test]
fn a_cut_stream_holds_what_it_has() {
    for file in [spec().kdump(Packing::Plain), spec().elf()] {
        let all = open(vec![without(&file, 0..0)]);
        assert_eq!(all.held_bytes(), open(vec![file.clone()]).held_bytes());
        let stream = without(&file, 0..0);
        let cut = open(vec![stream[..stream.len() - 16 - 4 * PAGE].to_vec()]);
        let read = pages(&cut).into_iter().filter(Result::is_ok).count();
        assert!(read < 15 && cut.facts().is_incomplete(), "{:?}", cut.facts().warnings);
        let held = cut.held_bytes();
        assert!((read as u64 * 4096..all.held_bytes()).contains(&held), "{read} pages, {held} bytes");
    }
}
