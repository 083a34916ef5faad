//! The same memory, written in every format, reads the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::{Gap, Pfn, PhysAddr, PhysRange, PhysRead, VirtAddr};
use dump::{Compression, Dump, Warning};
use testkit::dump::{DumpSpec, PAGE, Packing, flatten};

const INFO: &str = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n";

/// Bytes that pack well, badly, and to zeros.
fn content(pfn: u64) -> Vec<u8> {
    match pfn % 3 {
        0 => pfn.to_le_bytes().repeat(PAGE / 8),
        1 => {
            let mut x = pfn | 1;
            (0..PAGE)
                .map(|_| {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                    x as u8
                })
                .collect()
        }
        _ => vec![0; PAGE],
    }
}

/// Pages 0x10..0x28 and 0x8005..0x8009 (in the bitmap's second block), some left out.
fn spec() -> DumpSpec {
    let mut spec = DumpSpec::x86_64().vmcoreinfo(INFO).note("CORE", 1, &[7; 336]);
    for pfn in (0x10..0x28).chain(0x8005..0x8009) {
        spec = if pfn % 7 == 3 { spec.excluded(pfn) } else { spec.page(pfn, &content(pfn)) };
    }
    spec
}

#[track_caller]
fn check_memory(dump: &Dump) {
    for pfn in (0..0x30).chain(0x7ffe..0x8010) {
        let ram = (0x10..0x28).contains(&pfn) || (0x8005..0x8009).contains(&pfn);
        let mut page = vec![0xaa; PAGE];
        let got = dump.read_phys(Pfn(pfn).addr(), &mut page);
        match (ram, pfn % 7 == 3) {
            (true, false) => {
                assert_eq!(got, Ok(()), "pfn {pfn:#x}");
                assert_eq!(page, content(pfn), "pfn {pfn:#x}");
                assert_eq!(dump.present(Pfn(pfn)), Some(true));
            }
            (true, true) => {
                assert_eq!(got.unwrap_err().why, Gap::Excluded, "pfn {pfn:#x}");
                assert_eq!(dump.present(Pfn(pfn)), Some(false));
            }
            (false, _) => {
                assert_eq!(got.unwrap_err().why, Gap::Absent, "pfn {pfn:#x}");
                assert_eq!(dump.present(Pfn(pfn)), None);
            }
        }
    }
    check_stretches(dump);
    let mut seen = Vec::new();
    let mut at = Pfn(0);
    while let Some(pfn) = dump.next_present(at) {
        seen.push(pfn.0);
        at = Pfn(pfn.0 + 1);
    }
    let want: Vec<u64> = (0x10..0x28).chain(0x8005..0x8009).filter(|p| p % 7 != 3).collect();
    assert_eq!(seen, want);
    assert_eq!(dump.held_bytes() / base::PAGE_SIZE, want.len() as u64);
    assert_eq!(dump.next_present(Pfn(u64::MAX)), None);
}

/// A pass over memory sees what single reads see, whatever its buffer and its start.
#[track_caller]
fn check_stretches(dump: &Dump) {
    let end = 0x30 * PAGE as u64;
    for (start, len) in
        [(0, 8 * PAGE), (0x10_000, PAGE), (0x10_008, 3 * PAGE + 8), (0x10_000, 100 * PAGE), (7, 24)]
    {
        let mut buf = vec![0xaa; len];
        let (mut at, mut passed) = (PhysAddr(start), 0);
        while at.0 < end {
            let page = content(at.0 / PAGE as u64);
            let within = at.page_offset() as usize;
            match dump.read_stretch(at, &mut buf) {
                Ok(n) => {
                    assert!((1..=len).contains(&n), "{n} of {len} at {at:?}");
                    let mut byte = [0];
                    for (i, got) in
                        buf[..n].iter().enumerate().step_by(61).chain([(0, &buf[0]), (n - 1, &buf[n - 1])])
                    {
                        assert_eq!(dump.read_phys(at.add(i as u64), &mut byte), Ok(()));
                        assert_eq!(byte[0], *got, "{at:?} + {i:#x}");
                    }
                    assert_eq!(buf[0], page[within]);
                    passed += n;
                    at = at.add(n as u64);
                }
                Err(missing) => {
                    assert_eq!(missing.at, at);
                    assert_eq!(dump.read_phys(at, &mut [0]).unwrap_err().why, missing.why);
                    at = at.page_base().add(PAGE as u64);
                }
            }
        }
        let held = (0x10..0x28).filter(|pfn| pfn % 7 != 3).count() * PAGE;
        assert_eq!(passed, held - (start % PAGE as u64) as usize * usize::from(start > PAGE as u64));
    }
}

#[track_caller]
fn check_identity(dump: &Dump) {
    assert_eq!(dump.vmcoreinfo().unwrap(), INFO.as_bytes());
    assert_eq!(dump.notes().len(), 2);
    assert!(dump.notes()[0].is("VMCOREINFO") && dump.notes()[1].is("CORE"));
    assert_eq!(dump.facts().warnings, []);
    assert!(!dump.facts().is_incomplete());
}

#[track_caller]
fn check(files: Vec<Vec<u8>>, format: &str) -> Dump {
    let dump = Dump::from_bytes(files).unwrap();
    assert_eq!(dump.format(), format);
    check_identity(&dump);
    check_memory(&dump);
    dump
}

#[test]
fn elf() {
    let dump = check(vec![spec().elf()], "ELF core (makedumpfile)");
    assert_eq!(dump.facts().machine, Some(62));
    let ranges =
        [(0x10, 0x28), (0x8005, 0x8009)].map(|(a, b)| PhysRange { start: Pfn(a).addr(), end: Pfn(b).addr() });
    assert_eq!(dump.ranges(), ranges);
}

#[test]
fn elf_with_its_header_count_elsewhere() {
    check(vec![spec().elf_many_headers()], "ELF core (makedumpfile)");
}

#[test]
fn elf_writers_are_told_apart() {
    let kernel = DumpSpec::x86_64().vmcoreinfo(INFO).page(1, b"x").also_at(0xffff_ffff_8100_0000, 1, 1);
    let dump = Dump::from_bytes(vec![kernel.elf()]).unwrap();
    assert_eq!(dump.format(), "ELF core (kdump)");
    let placed = dump.virt_segments();
    assert_eq!(placed.len(), 1);
    assert_eq!((placed[0].virt, placed[0].phys), (VirtAddr(0xffff_ffff_8100_0000), PhysAddr(0x1000)));
    let qemu = DumpSpec::x86_64().note("QEMU", 0, &[0; 16]).page(1, b"x");
    assert_eq!(Dump::from_bytes(vec![qemu.elf()]).unwrap().format(), "ELF core (QEMU)");
}

#[test]
fn elf_pages_are_lent_without_a_copy() {
    let dump = Dump::from_bytes(vec![spec().elf()]).unwrap();
    assert_eq!(dump.borrow_phys(PhysAddr(0x12_008), 8).unwrap(), &content(0x12)[8..16]);
    assert!(dump.borrow_phys(PhysAddr(0x10_000), PAGE * 100).is_none());
    assert!(dump.borrow_phys(PhysAddr(0), 1).is_none());
}

#[test]
fn kdump_in_every_packing() {
    for packing in Packing::ALL {
        let (name, compression) = match packing {
            Packing::Plain => ("uncompressed", Compression::None),
            Packing::Zlib => ("zlib", Compression::Zlib),
            Packing::Lzo => ("lzo", Compression::Lzo),
            Packing::Snappy => ("snappy", Compression::Snappy),
            Packing::Zstd => ("zstd", Compression::Zstd),
        };
        let dump = check(vec![spec().kdump(packing)], &format!("kdump-compressed v6 ({name})"));
        let facts = dump.facts();
        assert_eq!(facts.compression, Some(compression));
        assert_eq!(facts.utsname.as_ref().unwrap().release, "6.1.0-test");
        assert_eq!((facts.nr_cpus, facts.max_mapnr, facts.dump_level), (Some(2), Some(0x8009), Some(31)));
        assert_eq!(facts.timestamp.unwrap().sec, 1_700_000_000);
        assert_eq!(facts.phys_base, Some(0x100_0000));
    }
}

#[test]
fn kdump_plain_pages_are_lent() {
    let dump = Dump::from_bytes(vec![spec().kdump(Packing::Plain)]).unwrap();
    assert_eq!(dump.borrow_phys(PhysAddr(0x12_008), 8).unwrap(), &content(0x12)[8..16]);
    assert!(dump.borrow_phys(PhysAddr(0x12_ff8), 16).is_none(), "not over the end of a page");
}

#[test]
fn kdump_header_versions() {
    for version in 4..=6 {
        check(
            vec![spec().version(version).kdump(Packing::Zlib)],
            &format!("kdump-compressed v{version} (zlib)"),
        );
    }
    // version 3 has no notes, versions 1 and 2 have no VMCOREINFO either
    let three = Dump::from_bytes(vec![spec().version(3).kdump(Packing::Zlib)]).unwrap();
    assert_eq!((three.notes().len(), three.vmcoreinfo()), (0, Some(INFO.as_bytes())));
    check_memory(&three);
    for version in 1..=2 {
        let dump = Dump::from_bytes(vec![spec().version(version).kdump(Packing::Zlib)]).unwrap();
        assert_eq!((dump.notes().len(), dump.vmcoreinfo()), (0, None));
        assert_eq!(dump.facts().dump_level, Some(31));
        check_memory(&dump);
    }
}

#[test]
fn kdump_that_does_not_say_how_it_is_packed() {
    let mut file = spec().kdump(Packing::Lzo);
    file[424] = 0;
    check(vec![file], "kdump-compressed v6 (lzo)");
}

#[test]
fn flattened_streams_of_any_record_size() {
    for record in [37, 4096, 16384] {
        check(vec![flatten(&spec().elf(), record)], "ELF core (makedumpfile), flattened");
        check(
            vec![flatten(&spec().kdump(Packing::Snappy), record)],
            "kdump-compressed v6 (snappy), flattened",
        );
    }
}

#[test]
fn split_sets_in_any_order_and_flattened() {
    for version in [2, 6] {
        let mut files = spec().version(version).split(Packing::Zlib, &[0x17, 0x8006]);
        files.rotate_left(1);
        let dump = Dump::from_bytes(files).unwrap();
        check_memory(&dump);
        let parts: Vec<_> = dump.facts().parts.iter().map(|p| (p.start_pfn, p.end_pfn)).collect();
        assert_eq!(parts, [(0, 0x17), (0x17, 0x8006), (0x8006, 0x8009)]);
    }
    let files = spec().split(Packing::Lzo, &[0x17]).iter().map(|f| flatten(f, 1000)).collect();
    check(files, "kdump-compressed v6 (lzo), 2 of a split set, flattened");
}

/// A stream without the record that has a part of memory: its bytes are missing, and not zero.
#[test]
fn memory_that_no_record_has_is_missing() {
    let spec = DumpSpec::x86_64().page(1, &[1; PAGE]).page(2, &[2; PAGE]).page(3, &[3; PAGE]);
    for file in [spec.elf(), spec.kdump(Packing::Plain)] {
        let data = file.windows(PAGE).position(|w| *w == [2; PAGE]).unwrap();
        let mut stream = flatten(&file, file.len());
        let record = |offset: usize, bytes: &[u8]| {
            let numbers = [(offset as u64).to_be_bytes(), (bytes.len() as u64).to_be_bytes()];
            [numbers.concat(), bytes.to_vec()].concat()
        };
        stream.truncate(4096);
        stream.extend(record(0, &file[..data]));
        stream.extend(record(data + PAGE, &file[data + PAGE..]));
        stream.extend([0xff; 16]);
        let dump = Dump::from_bytes(vec![stream]).unwrap();
        let read = |pfn: u64| dump.read_phys(Pfn(pfn).addr(), &mut [0; 8]).map_err(|missing| missing.why);
        assert_eq!([read(1), read(2), read(3)], [Ok(()), Err(Gap::NoRecord), Ok(())]);
    }
}

#[test]
fn a_split_set_with_a_file_missing_says_which() {
    let mut files = spec().split(Packing::Zlib, &[0x17, 0x8006]);
    files.remove(1);
    let dump = Dump::from_bytes(files).unwrap();
    assert_eq!(dump.facts().warnings, [Warning::PartMissing { start_pfn: 0x17, end_pfn: 0x8006 }]);
    assert!(dump.facts().is_incomplete());
    let mut b = [0; 8];
    assert_eq!(dump.read_phys(Pfn(0x16).addr(), &mut b), Ok(()));
    assert_eq!(dump.read_phys(Pfn(0x19).addr(), &mut b).unwrap_err().why, Gap::NotGiven);
    assert_eq!(dump.read_phys(Pfn(0x8006).addr(), &mut b), Ok(()));
    assert_eq!(b, content(0x8006)[..8]);
}

#[test]
fn a_part_given_twice_is_a_warning() {
    let files = spec().split(Packing::Zlib, &[0x17]);
    let dump = Dump::from_bytes(vec![files[0].clone(), files[1].clone(), files[0].clone()]).unwrap();
    assert_eq!(dump.facts().warnings, [Warning::PartOverlap { start_pfn: 0, end_pfn: 0x17 }]);
    check_memory(&dump);
}

/// The bytes of a file's second bitmap.
fn page_bitmap(spec: &DumpSpec) -> std::ops::Range<usize> {
    let [_, pages, descriptors] = spec.kdump_layout();
    pages..descriptors
}

/// A page's descriptor is found by the number of bits before its own: one bit too many or too few makes all pages behind it
/// others'.
#[test]
fn a_bitmap_that_does_not_fit_the_descriptors_is_told() {
    let spec = spec();
    let bitmap = page_bitmap(&spec);
    for packing in [Packing::Zlib, Packing::Plain] {
        let good = spec.kdump(packing);
        let first = bitmap.clone().find(|at| good[*at] != 0).unwrap();
        for (at, bit) in [(first, good[first] & good[first].wrapping_neg()), (bitmap.start + 1, 0x10)] {
            let mut file = good.clone();
            file[at] ^= bit;
            let dump = Dump::from_bytes(vec![file]).unwrap();
            let told =
                dump.facts().warnings.iter().any(|w| matches!(w.itself(), Warning::BitmapMisfit { .. }));
            assert!(told && dump.facts().is_incomplete(), "{at:#x} ^ {bit:#x}: {:?}", dump.facts().warnings);
            let mut b = [0; 8];
            assert_eq!(dump.read_phys(Pfn(0x8006).addr(), &mut b).unwrap_err().why, Gap::Corrupt);
        }
    }
    let mut part = spec.split(Packing::Zlib, &[0x17, 0x8006]).remove(1);
    begin_at(&mut part, 0x10);
    let dump = Dump::from_bytes(vec![part]).unwrap();
    assert!(
        matches!(dump.facts().warnings[..], [Warning::FramesUnknown { .. }]),
        "{:?}",
        dump.facts().warnings
    );
    assert_eq!(dump.read_phys(Pfn(0x19).addr(), &mut [0; 8]).unwrap_err().why, Gap::Corrupt);
}

/// Another `start_pfn` and `start_pfn_64` of a part.
fn begin_at(part: &mut [u8], pfn: u64) {
    for at in [4096 + 16, 4096 + 80] {
        part[at..at + 8].copy_from_slice(&pfn.to_le_bytes());
    }
}

/// The file with a page of zeros that no descriptor has before the first data, as makedumpfile writes it, and with room for
/// so many more descriptors, as a part of a split set has it.
fn with_room(file: &[u8], descriptors: usize, count: usize, more: usize, zeros: usize) -> Vec<u8> {
    let (end, by) = (descriptors + 24 * count, 24 * more + zeros);
    let mut out = [&file[..end], &vec![0; by], &file[end..]].concat();
    for at in (descriptors..end).step_by(24) {
        let offset = u64::from_le_bytes(out[at..at + 8].try_into().unwrap()) + by as u64;
        out[at..at + 8].copy_from_slice(&offset.to_le_bytes());
    }
    out
}

/// One damaged descriptor costs its own page: that two of them do not follow each other is no sign of a wrong bitmap.
#[test]
fn a_damaged_descriptor_costs_one_page() {
    let spec = spec();
    let [.., descriptors] = spec.kdump_layout();
    let pages: Vec<u64> = (0x10..0x28).chain(0x8005..0x8009).filter(|p| p % 7 != 3).collect();
    // of the third one the first page's own bytes look like descriptors
    let like = [0x10_0000_u64, 0x64, 0].map(u64::to_le_bytes).concat().repeat(4);
    let like = spec.clone().page(0x10, &like);
    let packed =
        [(&spec, Packing::Zlib, false), (&spec, Packing::Plain, false), (&like, Packing::Plain, true)];
    for (spec, packing, is_like) in packed {
        for zeros in [0, PAGE] {
            let good = with_room(&spec.kdump(packing), descriptors, pages.len(), 0, zeros);
            let is_misfit = |file: Vec<u8>| {
                let dump = Dump::from_bytes(vec![file]).unwrap();
                let read = |pfn: &&u64| dump.read_phys(Pfn(**pfn).addr(), &mut [0; 8]).is_ok();
                let lost = pages.len() - pages.iter().filter(read).count();
                let told =
                    dump.facts().warnings.iter().any(|w| matches!(w.itself(), Warning::BitmapMisfit { .. }));
                assert!(told || lost <= 1, "{lost} pages lost: {:?}", dump.facts().warnings);
                told
            };
            for number in [0, 1, 4, pages.len() - 1] {
                for bit in 0..128 {
                    let mut file = good.clone();
                    file[descriptors + 24 * number + bit / 8] ^= 1 << (bit % 8);
                    assert!(
                        !is_misfit(file),
                        "{packing:?}, {zeros:#x} zeros: descriptor {number}, bit {bit}"
                    );
                }
            }
            // and a bit of the bitmap costs all; the third first page can hide it
            let bitmap = page_bitmap(spec);
            let places = bitmap.clone().filter(|at| good[*at] != 0).chain([bitmap.start]);
            for at in places.filter(|_| !is_like) {
                let mut file = good.clone();
                file[at] ^= 1 << file[at].trailing_zeros().min(7);
                assert!(is_misfit(file), "{packing:?}, {zeros:#x} zeros: byte {at:#x} of the bitmap");
            }
        }
    }
}

/// A part of a split set has room for the descriptors of all parts; a last one that is damaged says nothing of the bitmap.
#[test]
fn a_damaged_descriptor_of_a_part_costs_one_page() {
    let spec = spec();
    let [.., descriptors] = spec.kdump_layout();
    let mut part = spec.split(Packing::Zlib, &[0x17, 0x8006]).remove(1);
    let held = (0x17..0x28).chain(0x8005..0x8006).filter(|p| p % 7 != 3).count();
    part = with_room(&part, descriptors, held, 24 - held, PAGE);
    for bit in 0..128 {
        let mut file = part.clone();
        file[descriptors + 24 * (held - 1) + bit / 8] ^= 1 << (bit % 8);
        let dump = Dump::from_bytes(vec![file]).unwrap();
        assert_eq!(dump.read_phys(Pfn(0x19).addr(), &mut [0; 8]), Ok(()), "bit {bit}");
    }
    // a first frame that is too high: another descriptor follows the last one
    begin_at(&mut part, 0x1a);
    let dump = Dump::from_bytes(vec![part]).unwrap();
    assert!(
        matches!(dump.facts().warnings[..], [Warning::FramesUnknown { .. }]),
        "{:?}",
        dump.facts().warnings
    );
}

/// A copy that was cut gives way to a whole one, whichever comes first.
#[test]
fn of_two_copies_of_a_part_the_whole_one_is_read() {
    let files = spec().split(Packing::Zlib, &[0x17]);
    let cut = files[1][..files[1].len() - 40].to_vec();
    for set in [
        vec![files[0].clone(), cut.clone(), files[1].clone()],
        vec![files[0].clone(), files[1].clone(), cut.clone()],
    ] {
        check_memory(&Dump::from_bytes(set).unwrap());
    }
    let dump = Dump::from_bytes(vec![files[0].clone(), cut]).unwrap();
    assert!(dump.facts().is_incomplete(), "{:?}", dump.facts().warnings);
}

/// Where a part's pages lie follows from its first frame: other memory would be read with a wrong one.
#[test]
fn parts_that_claim_the_same_frames_are_told_by_their_pages() {
    let mut files = spec().split(Packing::Zlib, &[0x17, 0x8006]);
    begin_at(&mut files[1], 0x10);
    let dump = Dump::from_bytes(files).unwrap();
    let (field, value, taken) = ("start_pfn_64", 0x10, 0x17);
    let why = Box::new(Warning::FieldMended { field, value, taken });
    assert!(matches!(&dump.facts().warnings[..], [Warning::OfFile { why: own, .. }] if *own == why));
    check_memory(&dump);
}

#[test]
fn raw() {
    let spec = DumpSpec::x86_64().bytes(0x1ffe, b"over the edge");
    let dump = Dump::from_bytes(vec![spec.raw(1 << 20)]).unwrap();
    assert_eq!(dump.format(), "raw RAM image");
    let mut b = [0; 13];
    dump.read_phys(PhysAddr(0x1ffe), &mut b).unwrap();
    assert_eq!(&b, b"over the edge");
    assert_eq!(dump.read_phys(PhysAddr(1 << 20), &mut b).unwrap_err().why, Gap::Absent);
    let missing = dump.read_phys(PhysAddr((1 << 20) - 4), &mut b).unwrap_err();
    assert_eq!((missing.at, missing.why), (PhysAddr(1 << 20), Gap::Absent));
}

#[test]
fn reads_across_pages_name_the_first_missing_byte() {
    let spec = DumpSpec::x86_64().page(1, &[1; PAGE]).page(2, &[2; PAGE]).excluded(3);
    for file in [spec.elf(), spec.kdump(Packing::Lzo)] {
        let dump = Dump::from_bytes(vec![file]).unwrap();
        let mut buf = vec![0; 2 * PAGE];
        let missing = dump.read_phys(PhysAddr(0x1800), &mut buf).unwrap_err();
        assert_eq!((missing.at, missing.why), (PhysAddr(0x3000), Gap::Excluded));
        assert_eq!((buf[0], buf[0x7ff], buf[0x800], buf[0x17ff]), (1, 1, 2, 2));
    }
}

#[test]
fn excluded_pages_read_as_zeros_where_that_is_wanted() {
    let spec = DumpSpec::x86_64().page(2, &[2; PAGE]).excluded(3);
    let dump = Dump::from_bytes(vec![spec.kdump(Packing::Lzo)]).unwrap();
    dump.read_excluded_as_zeros(true);
    let mut buf = vec![9; PAGE];
    assert_eq!(dump.read_phys(PhysAddr(0x2800), &mut buf), Ok(()));
    assert_eq!((buf[0], buf[0x7ff], buf[0x800], buf[PAGE - 1]), (2, 2, 0, 0));
    assert_eq!(dump.read_phys(PhysAddr(0x10_0000), &mut buf).unwrap_err().why, Gap::Absent);
    dump.read_excluded_as_zeros(false);
    assert_eq!(dump.read_phys(PhysAddr(0x3000), &mut buf).unwrap_err().why, Gap::Excluded);
}

/// Only the writer left pages out on purpose: what lies behind a cut file's end is not zero.
#[test]
fn what_a_cut_file_lost_is_no_zeros() {
    let spec = DumpSpec::x86_64().page(2, &[2; PAGE]).page(3, &[3; PAGE]);
    for file in [spec.elf(), spec.kdump(Packing::Plain)] {
        let dump = Dump::from_bytes(vec![file[..file.len() - PAGE].to_vec()]).unwrap();
        dump.read_excluded_as_zeros(true);
        let why = dump.read_phys(PhysAddr(0x3000), &mut [9; PAGE]).unwrap_err().why;
        assert_eq!(why, Gap::Truncated, "{}", dump.format());
    }
}

#[test]
fn many_threads_read_the_same_pages() {
    let dump = Dump::from_bytes(vec![spec().kdump(Packing::Zstd)]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| check_memory(&dump));
        }
    });
}

#[test]
fn a_lime_image_has_its_ranges_where_they_were() {
    let spec = DumpSpec::x86_64().page(1, b"one").page(2, &[2; PAGE]).page(0x10_0000, b"above the hole");
    let file = spec.lime();
    let dump = Dump::from_bytes(vec![file.clone()]).unwrap();
    assert_eq!(dump.format(), "LiME image");
    let word = |pfn: u64| {
        let mut b = [0; 8];
        dump.read_phys(Pfn(pfn).addr(), &mut b).map(|()| b).map_err(|m| m.why)
    };
    assert_eq!((word(1), word(2)), (Ok(*b"one\0\0\0\0\0"), Ok([2; 8])));
    assert_eq!((word(0x10_0000), word(3)), (Ok(*b"above th"), Err(Gap::Absent)));
    let ranges = [(1, 3), (0x10_0000, 0x10_0001)]
        .map(|(start, end)| PhysRange { start: Pfn(start).addr(), end: Pfn(end).addr() });
    assert_eq!((dump.ranges(), dump.held_bytes() / base::PAGE_SIZE), (&ranges[..], 3));
    assert_eq!(dump.next_present(Pfn(3)), Some(Pfn(0x10_0000)));

    // cut within the second range: the first is whole, and the rest is said to be missing
    let cut = Dump::from_bytes(vec![file[..file.len() - 100].to_vec()]).unwrap();
    assert!(matches!(cut.facts().warnings[..], [Warning::FileTruncated { .. }]));
    assert_eq!(cut.read_phys(Pfn(0x10_0000).addr(), &mut [0; PAGE]).unwrap_err().why, Gap::Truncated);
    assert_eq!(cut.read_phys(Pfn(2).addr(), &mut [0; PAGE]), Ok(()));
    // a version that is not known, and addresses that run backwards
    let refused = |at: usize, byte: u8| {
        let mut bad = file.clone();
        bad[at] = byte;
        Dump::from_bytes(vec![bad]).unwrap_err().to_string()
    };
    assert_eq!(
        refused(4, 2),
        "memory0: corrupt header: version is 0x2 (1; AVML's version 2 has to be converted)"
    );
    assert!(refused(17, 0).contains("e_addr is 0xff"), "{}", refused(17, 0));
}

#[test]
fn raw_memory_behind_the_hole_below_4_gib() {
    let mut bytes = vec![0; 3 << 20];
    bytes[(2 << 20) - 1] = 7;
    bytes[2 << 20] = 8;
    let (from, four_gib) = (PhysAddr(2 << 20), PhysAddr(4 << 30));
    let mut dump = Dump::from_bytes(vec![bytes]).unwrap();
    // neither a hole of no size, nor a file that ends before it
    assert!(!dump.move_above(PhysAddr(3 << 20), four_gib) && !dump.move_above(from, PhysAddr(1 << 20)));
    assert!(dump.move_above(from, four_gib));
    let byte = |at: u64| {
        let mut one = [0];
        dump.read_phys(PhysAddr(at), &mut one).map(|()| one[0]).map_err(|missing| missing.why)
    };
    assert_eq!((byte((2 << 20) - 1), byte(4 << 30)), (Ok(7), Ok(8)));
    assert_eq!((byte(2 << 20), byte((4 << 30) + (1 << 20))), (Err(Gap::Absent), Err(Gap::Absent)));
    let ends: Vec<u64> = dump.ranges().iter().map(|range| range.end.0).collect();
    assert_eq!(ends, [2 << 20, (4 << 30) + (1 << 20)]);
    assert_eq!(dump.next_present(Pfn(512)), Some(Pfn(1 << 20)));
    assert_eq!(dump.held_bytes() / base::PAGE_SIZE, 768);
}

/// arm64 and ppc64 kernels with pages of 16 and 64 KiB: a page of the dump is several of ours.
#[test]
fn pages_of_16_and_64_kib() {
    for packing in [Packing::Plain, Packing::Zlib, Packing::Zstd] {
        for size in [0x4000_usize, 0x1_0000] {
            let ratio = (size / PAGE) as u64;
            // the whole of two pages, one of 4 KiB in a third, one that is left out
            let whole = (2 * ratio..4 * ratio)
                .fold(DumpSpec::x86_64().vmcoreinfo("OSRELEASE=6.1\n"), |spec, pfn| {
                    spec.page(pfn, &pfn.to_le_bytes().repeat(PAGE / 8))
                });
            let spec = whole.page(5 * ratio + 1, b"alone").excluded(7 * ratio).in_pages_of(size);
            let dump = Dump::from_bytes(vec![spec.kdump(packing)]).unwrap();
            let what = format!("{packing:?} {size:#x}");
            assert_eq!((dump.facts().page_size, dump.held_bytes()), (size as u64, 3 * size as u64), "{what}");
            assert_eq!(dump.vmcoreinfo(), Some(&b"OSRELEASE=6.1\n"[..]), "{what}");
            let word = |at: u64| {
                let mut word = [0; 8];
                dump.read_phys(PhysAddr(at), &mut word).map(|()| u64::from_le_bytes(word)).map_err(|m| m.why)
            };
            for pfn in 2 * ratio..4 * ratio {
                assert_eq!(word(pfn * PAGE as u64 + 8), Ok(pfn), "{what}");
                assert_eq!(dump.present(base::Pfn(pfn)), Some(true), "{what}");
            }
            let mut all = vec![0; 2 * size];
            dump.read_phys(PhysAddr(2 * size as u64), &mut all).unwrap();
            assert!((0..2 * ratio).all(|n| all[n as usize * PAGE] == (2 * ratio + n) as u8), "{what}");
            assert_eq!(
                word((5 * ratio + 1) * PAGE as u64),
                Ok(u64::from_le_bytes(*b"alone\0\0\0")),
                "{what}"
            );
            assert_eq!(word(5 * size as u64), Ok(0), "{what}");
            assert_eq!(
                (word(7 * size as u64 + 0x1000), word(4 * size as u64)),
                (Err(Gap::Excluded), Err(Gap::Absent))
            );
            assert_eq!(dump.skip_holes(PhysAddr(0)), Some(PhysAddr(2 * size as u64)), "{what}");
            assert_eq!(dump.skip_holes(PhysAddr(4 * size as u64)), Some(PhysAddr(5 * size as u64)), "{what}");
        }
    }
}

/// The table of program headers may stand anywhere in a file.
#[test]
fn an_elf_core_whose_program_headers_are_behind_its_data() {
    let pieces = testkit::dump::ElfPieces::default()
        .notes(&[4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'V', b'X', b'Y', 0])
        .load(0x1000, &[0x55; PAGE], PAGE as u64)
        .load(0x5000, &[0xaa; PAGE], PAGE as u64);
    for file in [pieces.build(), pieces.with_table_last()] {
        let dump = Dump::from_bytes(vec![file]).unwrap();
        assert!(dump.facts().warnings.is_empty(), "{:?}", dump.facts().warnings);
        let mut byte = [0];
        for (at, value) in [(0x1000, 0x55), (0x5fff, 0xaa)] {
            assert_eq!((dump.read_phys(PhysAddr(at), &mut byte), byte[0]), (Ok(()), value));
        }
    }
}
