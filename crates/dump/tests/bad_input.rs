//! Files from dying machines and from strangers: each either fails to open with a message that says
//! what and where, or opens with its gaps marked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::{Gap, Pfn, PhysRead};
use dump::{Dump, DumpError, Warning};
use proptest::prelude::*;
use testkit::dump::{DumpSpec, ElfPieces, PAGE, Packing, flatten, note};

fn spec() -> DumpSpec {
    let spec = DumpSpec::x86_64().vmcoreinfo("OSRELEASE=6.1\n").excluded(4);
    (5..20).fold(spec, |s, pfn| s.page(pfn, &pfn.to_le_bytes().repeat(512)))
}

fn open(bytes: Vec<u8>) -> Result<Dump, DumpError> {
    Dump::from_bytes(vec![bytes])
}

#[track_caller]
fn fails(bytes: Vec<u8>, message: &str) {
    assert_eq!(open(bytes).unwrap_err().to_string(), message);
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn gap(dump: &Dump, pfn: u64) -> Option<Gap> {
    dump.read_phys(Pfn(pfn).addr(), &mut [0; PAGE]).err().map(|m| m.why)
}

/// Offset of the descriptor of the n-th page of [`spec`].
fn desc(n: usize) -> usize {
    spec().kdump_layout()[2] + 24 * n
}

#[test]
fn truncated_headers() {
    let elf = spec().elf();
    fails(
        elf[..40].to_vec(),
        "memory0: truncated: the ELF header needs 64 bytes at offset 0x0, the file has 0x28; copy the dump again",
    );
    let kdump = spec().kdump(Packing::Zlib);
    fails(
        kdump[..300].to_vec(),
        "memory0: truncated: the kdump header needs 464 bytes at offset 0x0, the file has 0x12c; copy the dump again",
    );
    fails(
        flatten(&kdump, 512)[..2000].to_vec(),
        "memory0: truncated: the header of the flattened stream needs 4096 bytes at offset 0x0, \
         the file has 0x7d0; copy the dump again",
    );
}

#[test]
fn truncated_data() {
    let elf = spec().elf();
    let dump = open(elf[..elf.len() - PAGE - 100].to_vec()).unwrap();
    let (wanted, len) = (elf.len() as u64, (elf.len() - PAGE - 100) as u64);
    assert_eq!(dump.facts().warnings, [Warning::FileTruncated { wanted, len }]);
    assert!(dump.facts().is_incomplete());
    assert_eq!([17, 18, 19].map(|p| gap(&dump, p)), [None, Some(Gap::Truncated), Some(Gap::Truncated)]);

    let kdump = spec().kdump(Packing::Plain);
    let dump = open(kdump[..kdump.len() - PAGE - 100].to_vec()).unwrap();
    assert!(matches!(dump.facts().warnings[..], [Warning::FileTruncated { .. }]));
    assert_eq!([17, 18, 19].map(|p| gap(&dump, p)), [None, Some(Gap::Truncated), Some(Gap::Truncated)]);

    // pages of zeros at the end share one place near the file's begin: they do not hide that the file is cut
    let mut shared = kdump.clone();
    let first: Vec<u8> = shared[desc(0)..desc(1)].to_vec();
    (13..15).for_each(|p| shared[desc(p)..desc(p + 1)].copy_from_slice(&first));
    let whole = open(shared[..shared.len() - 2 * PAGE].to_vec()).unwrap();
    assert!(whole.facts().warnings.is_empty(), "{:?}", whole.facts().warnings);
    let dump = open(shared[..shared.len() - 3 * PAGE].to_vec()).unwrap();
    assert!(matches!(dump.facts().warnings[..], [Warning::FileTruncated { .. }]));
    assert_eq!([16, 17, 18].map(|p| gap(&dump, p)), [None, Some(Gap::Truncated), None]);

    // cut inside the descriptors
    let dump = open(kdump[..desc(3) + 5].to_vec()).unwrap();
    assert!(matches!(dump.facts().warnings[..], [Warning::FileTruncated { .. }]));
    assert!((5..20).all(|p| gap(&dump, p) == Some(Gap::Truncated)));
    assert_eq!(gap(&dump, 4), Some(Gap::Excluded));

    let flat = flatten(&spec().elf(), 4096);
    let dump = open(flat[..flat.len() - 10].to_vec()).unwrap();
    assert!(matches!(dump.facts().warnings[..], [Warning::StreamTruncated { .. }]));
}

#[test]
fn incomplete_by_its_own_account() {
    for file in [spec().incomplete().kdump(Packing::Zlib), spec().incomplete().elf()] {
        let dump = open(file).unwrap();
        assert_eq!(dump.facts().warnings, [Warning::MarkedIncomplete]);
        assert!(dump.facts().is_incomplete());
    }
    // the writer got no further than page 9
    let mut file = spec().incomplete().kdump(Packing::Zlib);
    put(&mut file, desc(5), &[0; 24]);
    let dump = open(file).unwrap();
    assert_eq!((gap(&dump, 9), gap(&dump, 10)), (None, Some(Gap::Truncated)));
}

#[test]
fn wrong_magic() {
    fails(
        b"not a dump at all".to_vec(),
        "memory0: not a kernel dump: starts with 6e 6f 74 20 61 20 64 75, \
         and is no raw RAM image either: only 17 bytes long",
    );
    fails(
        vec![1; (1 << 20) + 7],
        "memory0: not a kernel dump: starts with 01 01 01 01 01 01 01 01, \
         and is no raw RAM image either: 1048583 bytes are no whole number of 4096-byte pages, and it does not begin like memory",
    );
    fails(
        b"DISKDUMP........".to_vec(),
        "memory0: is a diskdump/netdump file; that format ended with Linux 2.6 and is not read",
    );
    fails(b"\x1f\x8b\x08.....".to_vec(), "memory0: is a gzip file; unpack it first");
    let mut vmlinux = spec().without_notes().elf();
    vmlinux[16] = 3;
    fails(
        vmlinux,
        "memory0: is an ELF program or library; name the dump of a kernel, and its vmlinux beside it",
    );
    fails(
        flatten(b"neither ELF nor kdump", 8),
        "memory0: not a kernel dump: starts with 6e 65 69 74 68 65 72 20, which no dump in a flattened stream does",
    );
    fails(Vec::new(), "memory0: the file is empty; the dump was never written (disk full?)");
}

#[test]
fn absurd_lengths_and_counts() {
    let kdump = |at: usize, bytes: &[u8]| {
        let mut file = spec().kdump(Packing::Zlib);
        put(&mut file, at, bytes);
        open(file)
    };
    let max = [0xff; 8];
    let text = |r: Result<Dump, DumpError>| r.unwrap_err().to_string();
    // a version that nobody knows yet, or that is damaged: the rest is as in those that are known
    let dump = kdump(8, &max[..4]).unwrap();
    assert!(matches!(dump.facts().warnings[..], [Warning::NewerHeader { version: u32::MAX, known: 6 }]));
    assert_eq!((gap(&dump, 5), dump.facts().header_version), (None, Some(u32::MAX)));
    // where a page is there to be led to, other numbers are taken; without one the header stands alone
    let alone = |at: usize, bytes: &[u8]| {
        let mut file = spec().kdump(Packing::Zlib);
        put(&mut file, desc(0), &[0; 24]);
        put(&mut file, at, bytes);
        open(file)
    };
    for (at, bytes, word) in [
        (428, &max[..4], "block_size is 0xffffffff"),
        (428, &[0; 4], "block_size is 0x0"),
        (436, &[0; 4], "bitmap_blocks is 0x0"),
        (PAGE + 96, &max, "max_mapnr is 0xffffffffffffffff"),
        (PAGE + 96, &(1_u64 << 20).to_le_bytes(), "more page frames than the bitmap has bits"),
    ] {
        let error = text(alone(at, bytes));
        assert!(error.contains(word), "{error}");
        assert_eq!(gap(&kdump(at, bytes).unwrap(), 5), None, "{word}");
    }
    // bitmaps behind the end of the file: cut off, with all pages
    for at in [432, 436] {
        let dump = alone(at, &max[..4]).unwrap();
        assert!(dump.facts().is_incomplete() && dump.held_bytes() == 0);
        assert_eq!((dump.skip_holes(Pfn(0).addr()), gap(&dump, 5)), (None, Some(Gap::Truncated)));
        assert_eq!(gap(&kdump(at, &max[..4]).unwrap(), 5), None);
    }
    // notes and VMCOREINFO that are not where the header says: the memory is still there
    let dump = kdump(PAGE + 56, &max).unwrap();
    assert!(matches!(dump.facts().warnings[0], Warning::NotesTruncated { wanted: u64::MAX, .. }));
    assert_eq!(gap(&dump, 5), None);
    let dump = kdump(PAGE + 32, &max).unwrap();
    assert!(matches!(dump.facts().warnings[..], [Warning::BadVmcoreinfo { offset: u64::MAX, .. }]));
    assert_eq!(dump.vmcoreinfo().unwrap(), b"OSRELEASE=6.1\n", "the note still has it");
    let dump = kdump(460, &max[..4]).unwrap();
    assert_eq!(dump.facts().nr_cpus, Some(u32::MAX));

    let elf = |at: usize, bytes: &[u8]| {
        let mut file = spec().elf();
        put(&mut file, at, bytes);
        open(file)
    };
    // the table of program headers is found by what is in it
    for (at, bytes) in [(56, &[0, 0][..]), (54, &[8, 0]), (56, &[0xfe, 0xff]), (32, &max), (56, &max[..2])] {
        let dump = elf(at, bytes).unwrap();
        assert_eq!((gap(&dump, 5), dump.facts().warnings.is_empty()), (None, false), "{at}");
    }
    // where there is none, the number that is wrong is named
    let empty = |at: usize, bytes: &[u8]| {
        let mut file = spec().elf();
        file[64..].fill(0);
        put(&mut file, at, bytes);
        text(open(file))
    };
    assert!(empty(56, &[0, 0]).contains("e_phnum is 0x0"));
    assert!(empty(54, &[8, 0]).contains("e_phentsize is 0x8"));
    assert!(empty(56, &max[..2]).contains("e_shoff is 0x0"));
    // memory without end, with data for it or without: a search sees what the file holds
    for file_len in [PAGE as u64, u64::MAX / 2] {
        let mut file = spec().elf();
        put(&mut file, 64 + 2 * 56 + 40, &(u64::MAX / 2).to_le_bytes());
        put(&mut file, 64 + 2 * 56 + 32, &file_len.to_le_bytes());
        let dump = open(file).unwrap();
        let (mut at, mut steps) = (Pfn(0).addr(), 0);
        while let Some(found) = dump.skip_holes(at) {
            (at, steps) = (found.add(PAGE as u64), steps + 1);
            assert!(steps < 64, "{at:?}");
        }
    }
    let mut many = spec().elf_many_headers();
    put(&mut many, 64 + 0x2c, &max[..4]);
    assert_eq!(gap(&open(many).unwrap(), 5), None);
    // segments of absurd length
    let dump = elf(64 + 112 + 32, &[0xff; 16]).unwrap();
    assert!(dump.facts().is_incomplete());
    let dump = elf(64 + 112 + 8, &max).unwrap();
    assert!(
        gap(&dump, 5).is_none() && dump.facts().warnings.len() == 1,
        "what is before and behind tells p_offset"
    );
}

/// Bytes in which no text is are not shown as what makedumpfile erased.
#[test]
fn erase_info_that_is_none() {
    let file = spec().erase_info("erase x size 8\n").kdump(Packing::Zlib);
    assert_eq!(open(file.clone()).unwrap().facts().erase_info.as_deref(), Some("erase x size 8"));
    // offset_eraseinfo and size_eraseinfo: among the pages, and to behind the end of the file
    let len = file.len() as u64;
    for (offset, size) in [(len - 0x900, 0x20_u64), (len - 0x900, len), (len - 64, u64::MAX / 2)] {
        let mut file = file.clone();
        let at = file.len() - 0x900;
        file[at..].fill(0x9d);
        put(&mut file, PAGE + 64, &offset.to_le_bytes());
        put(&mut file, PAGE + 72, &size.to_le_bytes());
        let dump = open(file).unwrap();
        assert_eq!(dump.facts().erase_info.as_deref(), Some("erase x size 8"), "the note still has it");
        assert!(dump.facts().warnings.iter().any(|w| matches!(w, Warning::BadEraseInfo { .. })), "{size:#x}");
    }
}

/// What stands before the cut is told, and that the file is cut.
#[test]
fn a_kdump_that_is_cut_before_its_pages_tells_its_header() {
    for packing in [Packing::Zlib, Packing::Plain] {
        let kdump = spec().release("6.1.0-test").kdump(packing);
        let [_, bitmap, _] = spec().kdump_layout();
        // in the sub header, behind the notes, in the bitmap, in the descriptors
        for (len, has_notes) in [(4100, false), (bitmap - 8, true), (bitmap + 1, true), (bitmap + 4100, true)]
        {
            let dump = open(kdump[..len].to_vec()).unwrap();
            let facts = dump.facts();
            assert_eq!(facts.utsname.as_ref().unwrap().release, "6.1.0-test", "{len}");
            assert!(facts.is_incomplete() && facts.timestamp.is_some(), "{len}");
            assert!(facts.warnings.iter().any(|w| matches!(w, Warning::FileTruncated { .. })), "{len}");
            assert_eq!((dump.vmcoreinfo().is_some(), dump.held_bytes()), (has_notes, 0), "{len}");
            assert_eq!(gap(&dump, 5), Some(Gap::Truncated), "{len}");
        }
    }
}

#[test]
fn a_dump_level_that_is_cut_off_or_none_is_not_known() {
    let kdump = spec().kdump(Packing::Zlib);
    let level = |bytes: Vec<u8>| {
        let dump = open(bytes).unwrap();
        (dump.facts().dump_level, dump.facts().phys_base.is_some())
    };
    let whole = level(kdump.clone());
    assert!(whole.0.is_some() && whole.1);
    assert_eq!(level(kdump[..4096].to_vec()), (None, false));
    assert_eq!(level(kdump[..4096 + 8].to_vec()), (None, true));
    assert_eq!(level(kdump[..4096 + 12].to_vec()), whole);
    let mut damaged = kdump;
    damaged[4096 + 8..4096 + 12].copy_from_slice(&65535_u32.to_le_bytes());
    assert_eq!(level(damaged), (None, true));
}

#[test]
fn a_bitmap_that_lies() {
    let here = spec().kdump_layout()[1];
    let mut file = spec().kdump(Packing::Zlib);
    // bits for every frame up to 19: descriptors run into the page data
    put(&mut file, here, &[0xff, 0xff, 0x0f]);
    let dump = open(file).unwrap();
    // which page is which cannot be told: none is read
    assert_eq!(dump.held_bytes(), 0);
    for pfn in 0..20 {
        let mut page = [0; PAGE];
        // each frame reads as some other page or as a gap: what must not happen is a panic
        let _ = dump.read_phys(Pfn(pfn).addr(), &mut page);
    }
    assert!(matches!(gap(&dump, 19), Some(Gap::Corrupt | Gap::Truncated)));
}

#[test]
fn descriptors_that_lie() {
    let with = |bytes: &[u8], at: usize| {
        let mut file = spec().kdump(Packing::Zlib);
        put(&mut file, desc(2) + at, bytes);
        let dump = open(file).unwrap();
        assert_eq!((gap(&dump, 6), gap(&dump, 8)), (None, None), "the neighbours are read");
        gap(&dump, 7).unwrap()
    };
    assert_eq!(with(&[0xff; 8], 0), Gap::Corrupt);
    assert_eq!(with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 0), Gap::Truncated);
    assert_eq!(with(&8_u64.to_le_bytes(), 0), Gap::Corrupt, "inside the header");
    assert_eq!(with(&[0; 4], 8), Gap::Corrupt, "no bytes");
    assert_eq!(with(&[0xff; 4], 8), Gap::Corrupt, "more bytes than a page");
    assert_eq!(with(&[0; 4], 12), Gap::Corrupt, "plain, but not a page long");
    assert_eq!(with(&[2, 0, 0, 0], 12), Gap::Corrupt, "another codec");
}

#[test]
fn pages_that_unpack_to_the_wrong_size() {
    for packing in [Packing::Zlib, Packing::Lzo, Packing::Snappy, Packing::Zstd] {
        for len in [PAGE - 1, PAGE + 1, 0, 8 * PAGE] {
            let mut file = spec().kdump(packing);
            let packed = packing.pack(&vec![5; len]);
            let at = file.len() as u64;
            put(&mut file, desc(2), &at.to_le_bytes());
            put(&mut file, desc(2) + 8, &(packed.len() as u32).to_le_bytes());
            file.extend(&packed);
            let dump = open(file).unwrap();
            assert_eq!(gap(&dump, 7), Some(Gap::Corrupt), "{packing:?} {len}");
            assert_eq!(gap(&dump, 8), None);
        }
    }
}

#[test]
fn notes_that_overflow() {
    let bad = [5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, b'C', b'O', b'R', b'E', 0, 0, 0, 0];
    for kdump in [false, true] {
        let spec = spec().note("CORE", 1, &bad);
        let mut file = if kdump { spec.kdump(Packing::Lzo) } else { spec.elf() };
        // the descriptor of the last note becomes a note of its own: shorten it to nothing
        let at = file.windows(bad.len()).position(|w| w == bad).unwrap();
        put(&mut file, at - 16, &0_u32.to_le_bytes());
        let dump = open(file).unwrap();
        assert_eq!(dump.notes().len(), 2);
        assert!(matches!(dump.facts().warnings[..], [Warning::NoteOverflow { wanted: 0x1_0000_0010, .. }]));
        assert!(dump.vmcoreinfo().is_some());
    }
}

#[test]
fn files_of_two_dumps_are_refused() {
    let text = |files| Dump::from_bytes(files).unwrap_err().to_string();
    let part = spec().split(Packing::Zlib, &[10]);
    assert!(
        text(vec![spec().elf(), part[0].clone()]).contains("one is ELF core, the other kdump-compressed")
    );
    let whole = spec().kdump(Packing::Zlib);
    let why = "memory1 is a part of a split set (page frames 0x0-0xa), memory0 is a whole dump; give either the whole one \
               alone or all parts";
    let of = "memory1: not a part of the same dump as memory0: ";
    assert_eq!(text(vec![whole.clone(), part[0].clone()]), format!("{of}{why}"));
    let turned = text(vec![part[0].clone(), whole.clone()]);
    assert!(
        turned.starts_with("memory0: not a part of the same dump as memory1: memory0 is a part"),
        "{turned}"
    );
    let both = text(vec![whole.clone(), whole]);
    assert!(
        both.starts_with("memory1: not a part of the same dump as memory0: both are whole dumps"),
        "{both}"
    );
    assert!(text(vec![spec().elf(), spec().elf()]).contains("an ELF core is never split"));
    let other = spec().release("5.10").split(Packing::Zlib, &[10]);
    assert_eq!(
        text(vec![part[0].clone(), other[1].clone()]),
        "memory1: not a part of the same dump as memory0: their kernels are 5.10 and 6.1.0-test"
    );
}

/// Reads everything that a dump offers.
fn exercise(files: Vec<Vec<u8>>) {
    let Ok(dump) = Dump::from_bytes(files) else { return };
    let mut page = [0; PAGE];
    for pfn in (0..64).chain([0x7fff, 0x8000, 0xf_ffff, u64::MAX >> 12]) {
        let _ = dump.read_phys(Pfn(pfn).addr(), &mut page);
        let _ = dump.present(Pfn(pfn));
        let _ = dump.borrow_phys(Pfn(pfn).addr(), PAGE);
        let mut many = [0; 5 * PAGE + 9];
        assert!(
            dump.read_stretch(Pfn(pfn).addr(), &mut many).is_ok_and(|n| n != 0 && n <= many.len())
                == dump.read_phys(Pfn(pfn).addr(), &mut [0]).is_ok()
        );
        let _ = dump.next_present(Pfn(pfn));
        assert!(dump.missing(Pfn(pfn).addr()).is_none_or(|(_, len)| len > 0));
        assert!(dump.skip_holes(Pfn(pfn).addr().add(9)).is_none_or(|at| at.0 >= (pfn << 12) + 9));
    }
    let _ = dump.held_bytes();
    let _ = (dump.notes().len(), dump.virt_segments().len(), format!("{dump:?}"));
    let _: Vec<String> = dump.facts().warnings.iter().map(ToString::to_string).collect();
}

fn any_file() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let small = DumpSpec::x86_64()
        .vmcoreinfo("OSRELEASE=6.1\n")
        .erase_info("erase x size 8\n")
        .page(1, b"one")
        .excluded(2)
        .page(3, &[3; PAGE]);
    let pieces = ElfPieces::default()
        .load(0x200, &[5; 0x200], 0x400)
        .load(0x1c00, &[6; 0x200], 0x200)
        .notes(&note("QEMU", 0, &[1; 440]))
        .build();
    (0_usize..14).prop_map(move |i| match i {
        9 => vec![small.lime()],
        10 => vec![pieces.clone()],
        11 => vec![flatten(&pieces, 600)],
        12 => vec![small.raw(1 << 20)],
        13 => vec![small.clone().version(3).kdump(Packing::Plain)],
        0 => vec![small.elf()],
        1 => vec![small.elf_many_headers()],
        2 => vec![flatten(&small.elf(), 600)],
        3 => vec![flatten(&small.kdump(Packing::Zlib), 600)],
        4 => small.split(Packing::Lzo, &[2]),
        n => vec![small.kdump(Packing::ALL[n - 4])],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn corruption_never_panics(
        files in any_file(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 8]>(), 1_usize..9), 1..6),
        near_start in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut files = files;
        let file = &mut files[0];
        for (index, bytes, n) in &edits {
            let room = if near_start { 600.min(file.len()) } else { file.len() };
            let at = index.index(room);
            for (to, from) in file[at..].iter_mut().zip(&bytes[..*n]) {
                *to = *from;
            }
        }
        if let Some(cut) = cut {
            let len = cut.index(file.len());
            file.truncate(len);
        }
        exercise(files);
    }
}

/// A number of a kdump header that the rest of the file contradicts is mended and told; the same pages are read.
#[test]
fn a_header_whose_numbers_contradict_the_file() {
    let spec = (1..40).fold(DumpSpec::x86_64().vmcoreinfo("OSRELEASE=6.1\n").excluded(50), |s, pfn| {
        s.page(pfn, &pfn.to_le_bytes().repeat(512))
    });
    let whole = spec.kdump(Packing::Zlib);
    for (at, bytes, word) in [
        (428, &0x2000_u32.to_le_bytes()[..], "block_size"),
        (428, &0x1234_u32.to_le_bytes(), "block_size"),
        (432, &0xff_u32.to_le_bytes(), "sub_hdr_size"),
        (432, &0_u32.to_le_bytes(), "sub_hdr_size"),
        (436, &0xff02_u32.to_le_bytes(), "bitmap_blocks"),
        (436, &0_u32.to_le_bytes(), "bitmap_blocks"),
        (440, &7_u32.to_le_bytes(), "max_mapnr"),
        (PAGE + 96, &7_u64.to_le_bytes(), "max_mapnr_64"),
        (PAGE + 96, &0xff00_0000_0000_u64.to_le_bytes(), "max_mapnr_64"),
        (PAGE + 12, &0xff_u32.to_le_bytes(), "part of a split set"),
    ] {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        let dump = Dump::from_bytes(vec![file]).unwrap();
        let told: Vec<String> = dump.facts().warnings.iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|t| t.contains("the header is damaged") && t.contains(word)),
            "{word}: {told:?}"
        );
        for pfn in 1..40_u64 {
            let mut read = [0; 8];
            dump.read_phys(Pfn(pfn).addr(), &mut read).unwrap();
            assert_eq!(u64::from_le_bytes(read), pfn, "{word}");
        }
        assert_eq!((dump.present(Pfn(50)), dump.held_bytes() / base::PAGE_SIZE), (Some(false), 39), "{word}");
    }
    assert_eq!(Dump::from_bytes(vec![whole]).unwrap().facts().warnings, []);
}

/// KiB of data for all of that: files of up to a mebibyte, the pages and descriptors that are kept (18 MiB for each open
/// dump, and two threads test), and what the program itself takes.
const DATA: u64 = 96 << 10;

/// The same in a process that the system gives no more data than this, whatever the files claim.
#[test]
fn corrupt_files_are_no_reason_for_more_memory() {
    let limited = format!("ulimit -d {DATA} && exec \"$0\" --exact corruption_never_panics");
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh").arg("-c").arg(limited).arg(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
