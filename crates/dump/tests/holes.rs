//! Memory that is there in part: every byte that the file has is read, every other one is a gap that says why, and
//! zeros stand in for gaps only. Much of it is what libkdumpfile's suite asks of a reader.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::{Gap, Missing, Pfn, PhysAddr, PhysRange, PhysRead};
use dump::{Dump, Warning, open};
use std::io::{Seek, SeekFrom, Write};
use testkit::dump::{DumpSpec, ElfPieces, PAGE, Packing, flatten, note};

fn dump(bytes: Vec<u8>) -> Dump {
    Dump::from_bytes(vec![bytes]).unwrap()
}

/// Each run of `len` bytes from `at` on: a byte value that repeats, or a gap; by four ways to read.
#[track_caller]
fn runs(dump: &Dump, at: u64, len: u64) -> Vec<(u64, Result<u8, Gap>)> {
    let mut out: Vec<(u64, Result<u8, Gap>)> = Vec::new();
    for at in at..=at + (len - 1) {
        let mut b = [0xee];
        let one = dump.read_phys(PhysAddr(at), &mut b).map(|()| b[0]).map_err(|m| {
            assert_eq!(m.at, PhysAddr(at));
            m.why
        });
        let mut b = [0xee];
        let stretch = dump.read_stretch(PhysAddr(at), &mut b).map(|n| (n, b[0])).map_err(|m| m.why);
        assert_eq!(stretch, one.map(|b| (1, b)), "{at:#x}");
        if let Some(bytes) = dump.borrow_phys(PhysAddr(at), 1) {
            assert_eq!(Ok(bytes[0]), one, "{at:#x}");
        }
        match out.last() {
            Some((_, last)) if *last == one => {}
            _ => out.push((at, one)),
        }
    }
    // the same in one go: up to the first gap, which is named by its own address
    let mut whole = vec![0xee; len as usize];
    let gap = out.iter().find_map(|&(at, r)| r.err().map(|why| Missing::new(PhysAddr(at), why)));
    let read = dump.read_phys(PhysAddr(at), &mut whole);
    assert_eq!(read.err(), gap);
    let there = gap.map_or(len, |m| m.at.0 - at);
    for (i, &byte) in whole.iter().take(there as usize).enumerate() {
        let run = out.iter().rfind(|(from, _)| *from <= at + i as u64).unwrap();
        assert_eq!(run.1, Ok(byte), "{:#x}", at + i as u64);
    }
    let mut whole = vec![0xee; len as usize];
    let mut done = 0;
    while done < there {
        done += dump.read_stretch(PhysAddr(at + done), &mut whole[done as usize..]).unwrap() as u64;
    }
    assert_eq!(done, there, "a stretch ends where the memory ends");
    out
}

/// Three pieces of one page: data and memory without data, memory without data, data; holes between.
fn pieces() -> ElfPieces {
    ElfPieces::default().load(0x200, &[0x55; 0x200], 0x400).load(0x800, &[], 0x400).load(
        0xc00,
        &[0xaa; 0x200],
        0x200,
    )
}

#[test]
fn a_page_in_pieces() {
    let file = pieces().build();
    let want = [
        (0, Err(Gap::Absent)),
        (0x200, Ok(0x55)),
        (0x400, Err(Gap::Excluded)),
        (0x600, Err(Gap::Absent)),
        (0x800, Err(Gap::Excluded)),
        (0xc00, Ok(0xaa)),
        (0xe00, Err(Gap::Absent)),
    ];
    assert_eq!(runs(&dump(file.clone()), 0, 0x1000), want);
    assert_eq!(runs(&dump(flatten(&file, 300)), 0, 0x1000), want);
    let zeros = dump(file.clone());
    zeros.read_excluded_as_zeros(true);
    let want = [
        (0, Err(Gap::Absent)),
        (0x200, Ok(0x55)),
        (0x400, Ok(0)),
        (0x600, Err(Gap::Absent)),
        (0x800, Ok(0)),
        (0xc00, Ok(0xaa)),
        (0xe00, Err(Gap::Absent)),
    ];
    assert_eq!(runs(&zeros, 0, 0x1000), want);
    // cut inside the last piece
    let cut = dump(file[..file.len() - 0x80].to_vec());
    let want = [(0xbff, Err(Gap::Excluded)), (0xc00, Ok(0xaa)), (0xd80, Err(Gap::Truncated))];
    assert_eq!(runs(&cut, 0xbff, 0x201), want);
    cut.read_excluded_as_zeros(true);
    assert_eq!(runs(&cut, 0xc00, 0x200), [(0xc00, Ok(0xaa)), (0xd80, Err(Gap::Truncated))]);
    assert_eq!(cut.held_bytes(), 0x380);
}

#[test]
fn a_page_of_two_segments_that_have_the_same_memory() {
    // the first one has only the front of the page; and one lies behind the file's end
    let file = ElfPieces::default()
        .load(0x1000, &[1; 0x600], 0x600)
        .load(0x1000, &[[1; 0xff8], [1; 0xff8]].concat()[..0x1000], 0x1000)
        .build();
    assert_eq!(runs(&dump(file), 0x1000, 0x1000), [(0x1000, Ok(1))]);
    let file =
        ElfPieces::default().load(0x2000, &[2; 0x1000], 0x1000).load(0x1000, &[3; 0x3000], 0x3000).build();
    let cut = dump(file[..file.len() - 0x2800].to_vec());
    assert_eq!(
        runs(&cut, 0x1000, 0x3000),
        [(0x1000, Ok(3)), (0x1800, Err(Gap::Truncated)), (0x2000, Ok(2)), (0x3000, Err(Gap::Truncated))]
    );
}

#[test]
fn files_that_end_inside_a_page() {
    let spec = (1..6).fold(DumpSpec::x86_64(), |s, pfn| s.page(pfn, &[pfn as u8; PAGE]));
    let cut = |mut file: Vec<u8>, by: usize| {
        file.truncate(file.len() - by);
        dump(file)
    };
    let all = [(0x4000, Ok(4)), (0x5000, Ok(5)), (0x5c00, Err(Gap::Truncated))];
    assert_eq!(runs(&cut(spec.elf(), 0x400), 0x4000, 0x2000), all);
    assert_eq!(runs(&cut(spec.lime(), 0x400), 0x4000, 0x2000), all);
    assert_eq!(runs(&cut(spec.kdump(Packing::Plain), 0x400), 0x4000, 0x2000), all);
    let zeros = cut(spec.kdump(Packing::Plain), 0x400);
    zeros.read_excluded_as_zeros(true);
    assert_eq!(runs(&zeros, 0x4000, 0x2000), all, "no writer left it out");
    // a packed page that is cut is gone as a whole
    let packed = cut(spec.kdump(Packing::Zlib), 3);
    assert_eq!(runs(&packed, 0x4000, 0x2000), [(0x4000, Ok(4)), (0x5000, Err(Gap::Truncated))]);
    // what a cut stream lost is not zero: the page that its last record would have had
    let mut flat = b"makedumpfile\0\0\0\0".to_vec();
    flat.extend([1_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat());
    flat.resize(4096, 0);
    let file = spec.elf();
    let lost = file.len() - 0x1400..file.len() - 0x800;
    for part in [lost.end..file.len(), 0..lost.start] {
        flat.extend([(part.start as u64).to_be_bytes(), (part.len() as u64).to_be_bytes()].concat());
        flat.extend(&file[part]);
    }
    let want = [(0x4000, Ok(4)), (0x4c00, Err(Gap::Truncated)), (0x5800, Ok(5))];
    assert_eq!(runs(&dump(flat), 0x4000, 0x2000), want);
}

#[test]
fn the_last_byte_of_the_space() {
    let top = u64::MAX - 0xfff;
    let read = |dump: &Dump| {
        let mut b = [0; 2];
        dump.read_phys(PhysAddr(u64::MAX - 1), &mut b).map(|()| b)
    };
    let elf = dump(ElfPieces::default().load(top, &[7; PAGE], 0x1000).build());
    assert_eq!(read(&elf), Ok([7, 7]));
    assert_eq!(elf.ranges(), [PhysRange { start: PhysAddr(top), end: PhysAddr(u64::MAX) }]);
    assert!(elf.ranges()[0].contains(PhysAddr(u64::MAX)) && elf.ranges()[0].len() == 0x1000);
    let mut lime = DumpSpec::x86_64().page(1, &[8; PAGE]).lime();
    lime[8..24].copy_from_slice(&[top.to_le_bytes(), u64::MAX.to_le_bytes()].concat());
    assert_eq!(read(&dump(lime)), Ok([8, 8]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw");
    std::fs::write(&path, [9; PAGE]).unwrap();
    let raw = open(&[format!("{}@{top:x}", path.display()).into()]).unwrap();
    assert_eq!(read(&raw), Ok([9, 9]));
    assert_eq!(raw.skip_holes(PhysAddr(0)), Some(PhysAddr(top)));
    assert_eq!(raw.skip_holes(PhysAddr(u64::MAX)), Some(PhysAddr(u64::MAX)));
    assert_eq!(raw.present(Pfn(u64::MAX >> 12)), Some(true));
}

#[test]
fn notes_behind_one_without_a_name() {
    let nameless = |kind: u32, desc: &[u8]| {
        [&0_u32.to_le_bytes(), &(desc.len() as u32).to_le_bytes(), &kind.to_le_bytes(), desc].concat()
    };
    let info = note("VMCOREINFO", 0, b"OSRELEASE=6.1\n");
    let zeros = |words: usize| vec![0; 4 * words];
    for before in [
        nameless(0, &[7; 20]),
        nameless(1, &[0; 336]),
        nameless(3, b""),
        zeros(1),
        zeros(2),
        zeros(5),
        [zeros(1), nameless(9, &[1; 8])].concat(),
        [nameless(1, &[1; 8]), zeros(2), nameless(2, &[2; 4])].concat(),
        [note("CORE", 1, &[1; 8]), zeros(3), nameless(1, b"four"), note("CORE", 1, &[2; 8])].concat(),
    ] {
        let notes = [before.clone(), info.clone()].concat();
        let elf = dump(pieces().notes(&notes).build());
        assert_eq!(elf.vmcoreinfo(), Some(&b"OSRELEASE=6.1\n"[..]), "{before:x?}");
        assert_eq!(elf.facts().warnings, []);
    }
    let elf = dump(pieces().notes(&[nameless(5, b"datadata"), info].concat()).build());
    let first = &elf.notes()[0];
    assert_eq!((first.name.as_slice(), first.kind, first.desc.as_slice()), (&b""[..], 5, &b"datadata"[..]));
}

#[test]
fn notes_outside_of_the_file() {
    for offset in [1 << 20, u64::MAX - 4, u64::MAX] {
        let elf = dump(pieces().lost_notes(offset, 0x100).notes(&note("QEMU", 0, b"x")).build());
        let told = &elf.facts().warnings;
        assert!(matches!(told[..], [Warning::NotesTruncated { wanted: 0x100, .. }]), "{told:?}");
        assert_eq!(elf.notes().len(), 1, "the other segment's");
        assert_eq!(runs(&elf, 0xc00, 0x200), [(0xc00, Ok(0xaa))]);
    }
}

/// A PT_NOTE that begins with a note without a name is one of notes, wherever it stands among others and memory.
#[test]
fn a_segment_of_notes_that_begins_with_one_without_a_name() {
    let nameless = |desc: &[u8]| {
        [&0_u32.to_le_bytes(), &(desc.len() as u32).to_le_bytes(), &1_u32.to_le_bytes(), desc].concat()
    };
    let info = || note("VMCOREINFO", 0, b"OSRELEASE=6.1\n");
    let load = |spec: ElfPieces, phys: u64| {
        spec.mapped(0xffff_8880_0000_0000 + phys, phys, &[(phys >> 12) as u8; PAGE])
    };
    for first in [nameless(&[7; 336]), nameless(b""), vec![0; 16], vec![0; PAGE]] {
        let all = [first.clone(), info()].concat();
        let files = [
            load(load(load(ElfPieces::default().notes(&all), 0x1000), 0x3000), 0x5000),
            load(load(load(ElfPieces::default().notes(&first).notes(&info()), 0x1000), 0x3000), 0x5000),
            load(load(load(ElfPieces::default().notes(&info()).notes(&first), 0x1000), 0x3000), 0x5000),
            load(load(load(ElfPieces::default().notes(&all).notes(&first), 0x1000), 0x3000), 0x5000),
            load(load(load(ElfPieces::default(), 0x1000).notes(&info()).notes(&first), 0x3000), 0x5000),
            load(load(load(ElfPieces::default().notes(&info()), 0x1000), 0x3000), 0x5000).notes(&first),
            load(ElfPieces::default().notes(&info()).notes(&first), 0x1000),
        ];
        for (n, file) in files.iter().enumerate() {
            let elf = dump(file.build());
            let what = format!("{n}: {:?}", elf.facts().warnings);
            assert_eq!(elf.vmcoreinfo(), Some(&b"OSRELEASE=6.1\n"[..]), "{what}");
            assert_eq!(elf.facts().warnings, [], "{what}");
            let mut b = [0; 8];
            assert_eq!(elf.read_phys(PhysAddr(0), &mut b).unwrap_err().why, Gap::Absent, "{what}");
            for phys in [0x1000, 0x3000, 0x5000].into_iter().take(if n == 6 { 1 } else { 3 }) {
                elf.read_phys(PhysAddr(phys), &mut b).unwrap();
                assert_eq!(b, [(phys >> 12) as u8; 8], "{what}");
            }
        }
        // nor is it memory where its p_type is damaged
        let mut file = files[0].build();
        file[64] = 7;
        let elf = dump(file);
        assert_eq!(elf.vmcoreinfo(), Some(&b"OSRELEASE=6.1\n"[..]));
        assert_eq!(elf.read_phys(PhysAddr(0), &mut [0; 8]).unwrap_err().why, Gap::Absent);
        assert!(matches!(
            elf.facts().warnings[..],
            [Warning::HeaderMended { field: "p_type", taken: 4, .. }]
        ));
    }
}

/// What follows the last data is none of the memory that the last PT_LOAD has no data of.
#[test]
fn padding_behind_the_last_data_is_no_memory() {
    for padding in [1, 0x1ff, 0x200, 0x800, 0xfff, 0x1000, 0x2345] {
        for fill in [0, 0xcc] {
            let mut file = pieces().load(0x1_0000, &[0x77; 0x800], 0x3000).build();
            file.resize(file.len() + padding, fill);
            let want = [(0x1_0000, Ok(0x77)), (0x1_0800, Err(Gap::Excluded)), (0x1_3000, Err(Gap::Absent))];
            assert_eq!(runs(&dump(file.clone()), 0x1_0000, 0x3800), want, "{padding:#x}");
            assert_eq!(runs(&dump(flatten(&file, 700)), 0x1_0000, 0x3800), want, "{padding:#x}");
            // memory that was left out as a whole
            let mut file = pieces().load(0x1_0000, &[], 0x3000).build();
            file.resize(file.len() + padding, fill);
            let want = [(0x1_0000, Err(Gap::Excluded)), (0x1_3000, Err(Gap::Absent))];
            assert_eq!(runs(&dump(file), 0x1_0000, 0x3800), want, "{padding:#x}");
        }
    }
}

/// A raw image that was copied in part ends inside a page: what is there is read.
#[test]
fn a_raw_image_that_was_copied_in_part() {
    let mut bytes = DumpSpec::x86_64().page(0, &[0x53, 0xff, 0, 0xf0]).page(256, &[7; 4096]).raw(0);
    bytes.truncate((256 << 12) + 100);
    let raw = dump(bytes);
    assert!(raw.facts().is_incomplete());
    assert!(matches!(raw.facts().warnings[..], [Warning::CutPage { len: 0x10_0064 }]));
    let mut word = [0; 4];
    raw.read_phys(base::PhysAddr(0x10_0060), &mut word).unwrap();
    assert_eq!(word, [7; 4]);
    assert!(raw.read_phys(base::PhysAddr(0x10_0062), &mut word).is_err());
}

/// Memory ends with the last address.
#[test]
fn reads_do_not_begin_again_at_the_first_address() {
    let elf = dump(
        testkit::dump::ElfPieces::default()
            .load(0, &[1; 4096], 4096)
            .load(u64::MAX - 0xfff, &[2; 4096], 4096)
            .build(),
    );
    let mut word = [0; 8];
    elf.read_phys(base::PhysAddr(u64::MAX - 7), &mut word).unwrap();
    assert_eq!(word, [2; 8]);
    assert!(elf.read_phys(base::PhysAddr(u64::MAX - 3), &mut word).is_err());
    let mut long = [0; 64];
    assert_eq!(elf.read_stretch(base::PhysAddr(u64::MAX - 3), &mut long), Ok(4));
}

#[test]
fn a_part_that_was_not_given() {
    let spec = DumpSpec::x86_64()
        .page(1, &[1; PAGE])
        .excluded(2)
        .page(4, &[4; PAGE])
        .excluded(5)
        .page(7, &[7; PAGE]);
    let parts = spec.clone().vmcoreinfo("OSRELEASE=6.1\n").split(Packing::Zlib, &[3, 6]);
    for (given, want) in [
        (vec![0], [Ok(1), Err(Gap::NotGiven), Err(Gap::NotGiven)]),
        (vec![1], [Err(Gap::NotGiven), Ok(4), Err(Gap::NotGiven)]),
        (vec![2, 0], [Ok(1), Err(Gap::NotGiven), Ok(7)]),
    ] {
        let dump = Dump::from_bytes(given.iter().map(|&i| parts[i].clone()).collect()).unwrap();
        let first = |pfn: u64| runs(&dump, pfn << 12, 0x1000)[0].1;
        assert_eq!([1, 4, 7].map(first), want, "{given:?}");
        // what no part has is told as in the whole dump
        assert_eq!(
            [0, 2, 3, 5, 8].map(first),
            [Err(Gap::Absent), Err(Gap::Excluded), Err(Gap::Absent), Err(Gap::Excluded), Err(Gap::Absent)]
        );
        assert_eq!([1, 2, 3, 4].map(|p| dump.present(Pfn(p))), [Some(true), Some(false), None, Some(true)]);
        assert_eq!(dump.vmcoreinfo(), Some(&b"OSRELEASE=6.1\n"[..]));
        assert!(dump.facts().warnings.iter().any(|w| matches!(w, Warning::PartMissing { .. })));
        assert_eq!(dump.held_bytes() / base::PAGE_SIZE, given.len() as u64);
    }
    // only one part has VMCOREINFO and notes, whichever is named first
    let bare = spec.split(Packing::Zlib, &[3, 6]);
    for n in 0..3 {
        let mut files = bare.clone();
        files[n] = parts[n].clone();
        let dump = Dump::from_bytes(files).unwrap();
        assert_eq!((dump.vmcoreinfo(), dump.notes().len()), (Some(&b"OSRELEASE=6.1\n"[..]), 1), "{n}");
    }
}

#[test]
fn a_part_without_frames_is_a_part() {
    let spec = DumpSpec::x86_64().page(1, &[1; PAGE]).page(7, &[7; PAGE]).vmcoreinfo("OSRELEASE=6.1\n");
    // makedumpfile gives the last parts nothing where the others have all pages
    let parts = spec.split(Packing::Zlib, &[8, 8]);
    let first = |dump: &Dump, pfn: u64| runs(dump, pfn << 12, 0x1000)[0].1;
    let whole = Dump::from_bytes(parts.clone()).unwrap();
    assert_eq!([1, 7].map(|pfn| first(&whole, pfn)), [Ok(1), Ok(7)]);
    assert!(!whole.facts().warnings.iter().any(|w| matches!(w, Warning::PartMissing { .. })));
    let empty = Dump::from_bytes(vec![parts[1].clone()]).unwrap();
    assert_eq!(
        [1, 7, 3].map(|pfn| first(&empty, pfn)),
        [Err(Gap::NotGiven), Err(Gap::NotGiven), Err(Gap::Absent)]
    );
    assert_eq!(empty.held_bytes(), 0);
    assert!(empty.facts().warnings.iter().any(|w| matches!(w, Warning::PartMissing { .. })));
}

/// The processes that write a set look at the clock one by one; a dump of another day is another dump.
#[test]
fn parts_of_one_set_by_their_times() {
    let parts = DumpSpec::x86_64().page(1, &[1; PAGE]).page(4, &[4; PAGE]).split(Packing::Zlib, &[3]);
    let later = |by: u64| {
        let mut files = parts.clone();
        let at = u64::from_le_bytes(files[1][408..416].try_into().unwrap()) + by;
        files[1][408..416].copy_from_slice(&at.to_le_bytes());
        files[1][416] ^= 0x55;
        Dump::from_bytes(files)
    };
    assert_eq!(runs(&later(2).unwrap(), 0x4000, 0x1000), [(0x4000, Ok(4))]);
    assert!(later(86_400).unwrap_err().to_string().ends_with("they were written 86400 seconds apart"));
}

#[test]
fn what_was_erased() {
    let text = "erase modules size 16\nerase cred.uid size 4\n";
    let spec = DumpSpec::x86_64().page(1, b"x").erase_info(text);
    for file in [spec.elf(), spec.kdump(Packing::Zlib), spec.clone().version(4).kdump(Packing::Zlib)] {
        assert_eq!(dump(file).facts().erase_info.as_deref(), Some(text.trim_end()));
    }
    // a byte that is damaged hides nothing else
    let text = "erase modules\x1b size 16\nerase cred.uid size 4\n";
    let spec = DumpSpec::x86_64().page(1, b"x").erase_info(text);
    for file in [spec.elf(), spec.kdump(Packing::Zlib)] {
        let dump = dump(file);
        let shown = dump.facts().erase_info.as_deref();
        assert_eq!(shown, Some("erase modules\x1b size 16\nerase cred.uid size 4"));
        assert_eq!(dump.facts().warnings, []);
    }
    let bare = DumpSpec::x86_64().page(1, b"x");
    assert_eq!(dump(bare.kdump(Packing::Zlib)).facts().erase_info, None);
}

/// A raw image of 256 GiB with two pages in it: what looks for data goes from one to the other.
#[test]
fn sparse_raw_images() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw");
    let mut file = std::fs::File::create(&path).unwrap();
    let far = 200_u64 << 30;
    for at in [1 << 20, far] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[5; PAGE]).unwrap();
    }
    file.set_len(256 << 30).unwrap();
    drop(file);
    let raw = open(std::slice::from_ref(&path)).unwrap();
    let (mut at, mut pages) = (PhysAddr(0), Vec::new());
    while let Some(next) = raw.skip_holes(at) {
        // a file system may keep more than a page where one was written
        if next.0 / (1 << 20) != pages.last().copied().unwrap_or(0) / (1 << 20) {
            pages.push(next.0);
        }
        at = next.add(PAGE as u64);
        assert!(pages.len() < 4 && (next.0 < far + (1 << 20)), "{next:x}");
    }
    assert_eq!(pages, [1 << 20, far]);
    // holes are memory of zeros
    assert_eq!(runs(&raw, far - 8, 16), [(far - 8, Ok(0)), (far, Ok(5))]);
    assert_eq!(raw.present(Pfn(far >> 13)), Some(true));
}
