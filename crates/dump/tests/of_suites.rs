//! Dumps as other readers' test suites make them: shapes that the headers allow and that no writer of today has. What
//! libkdumpfile's suite was asked is told in CONTRIBUTING.md; these are the shapes, generated anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

use base::{Gap, PhysAddr, PhysRead};
use dump::{Dump, Warning};
use testkit::dump::{DumpSpec, ElfPieces, PAGE, Packing, Target, flatten};

fn open(file: Vec<u8>) -> Dump {
    Dump::from_bytes(vec![file]).unwrap_or_else(|e| panic!("{e}"))
}

fn told(dump: &Dump) -> Vec<String> {
    dump.facts().warnings.iter().map(ToString::to_string).collect()
}

fn byte(dump: &Dump, at: u64) -> Result<u8, Gap> {
    let mut byte = [0];
    dump.read_phys(PhysAddr(at), &mut byte).map_err(|hole| hole.why)?;
    Ok(byte[0])
}

/// Bytes and gaps from each address on, up to the next.
#[track_caller]
fn check(dump: &Dump, runs: &[(u64, Result<u8, Gap>)]) {
    for pair in runs.windows(2) {
        for at in [pair[0].0, (pair[0].0 + pair[1].0) / 2, pair[1].0 - 1] {
            assert_eq!(byte(dump, at), pair[0].1, "{at:#x}: {:?}", told(dump));
        }
    }
}

/// Data that end inside a page, of which the rest was left out, are followed by zeros up to the next segment's: those are no
/// memory, and the headers are sound.
#[test]
fn zeros_between_segments_are_no_memory_that_was_left_out() {
    let page = PAGE as u64;
    for cut in [8, 0x10, 0x800, PAGE - 1] {
        let long = vec![1; 2 * PAGE + cut];
        let pieces = ElfPieces::default()
            .load(0x2e1_0000, &long, 3 * page)
            .load(0x200_0000, &[2; 8], page)
            .load(0x191_8000, &long, 3 * page)
            .load(0x300_0000, &[3; 8], page)
            .padded();
        let dump = open(pieces.build());
        assert_eq!(told(&dump), Vec::<String>::new(), "{cut:#x}");
        assert_eq!(dump.held_bytes(), 2 * long.len() as u64 + 16, "{cut:#x}");
        let end = long.len() as u64;
        for first in [0x2e1_0000, 0x191_8000] {
            let gap = (first + end, Err(Gap::Excluded));
            check(
                &dump,
                &[(first, Ok(1)), gap, (first + 3 * page, Err(Gap::Absent)), (first + 4 * page, Ok(0))],
            );
        }
        for (first, value) in [(0x200_0000, 2), (0x300_0000, 3)] {
            check(&dump, &[(first, Ok(value)), (first + 8, Err(Gap::Excluded)), (first + page, Ok(0))]);
        }
    }
}

/// What lies there is memory where it is not all the same: then the length is what is wrong.
#[test]
fn bytes_between_segments_are_memory_whose_length_is_damaged() {
    let data = vec![1; 2 * PAGE];
    let pieces = ElfPieces::default().load(0x1000, &data, 0x2000).load(0x8000, &data, 0x2000);
    let mut file = pieces.load(0x10000, &data, 0x2000).build();
    let len = 64 + 56 + 32;
    file[len..len + 8].copy_from_slice(&0x1f00_u64.to_le_bytes());
    let dump = open(file.clone());
    assert!(told(&dump).len() == 1 && told(&dump)[0].contains("p_filesz"), "{:?}", told(&dump));
    check(&dump, &[(0x8000, Ok(1)), (0xa000, Err(Gap::Absent)), (0xb000, Ok(0))]);
    // the length that is said once: of zeros nothing tells whether they are memory
    let end = PAGE + 4 * PAGE;
    file[end - 0x100..end].fill(0);
    let dump = open(file);
    assert_eq!(told(&dump), Vec::<String>::new());
    check(
        &dump,
        &[(0x8000, Ok(1)), (0x9f00, Err(Gap::Excluded)), (0xa000, Err(Gap::Absent)), (0xb000, Ok(0))],
    );
}

/// Memory of several headers overlaps: where one has data they count, where none has the memory was left out.
#[test]
fn overlapping_segments_are_merged() {
    let (one, two) = (vec![0x55; PAGE], vec![0x55; 2 * PAGE]);
    let other = vec![0xaa; 2 * PAGE];
    let dump = ElfPieces::default()
        .load(0x1000, &one, 0x4000)
        .load(0x3000, &[], 0x4000)
        .load(0xa000, &two, 0x8000)
        .load(0xc000, &other, 0x4000)
        .load(0x1_8000, &[], 0x4000)
        .load(0x1_c000, &other[..PAGE], 0x2000);
    let dump = open(dump.build());
    assert_eq!(told(&dump), Vec::<String>::new());
    let ranges: Vec<(u64, u64)> = dump.ranges().iter().map(|r| (r.start.0, r.end.0)).collect();
    assert_eq!(ranges, [(0x1000, 0x7000), (0xa000, 0x1_2000), (0x1_8000, 0x1_e000)]);
    let (absent, excluded) = (Err(Gap::Absent), Err(Gap::Excluded));
    let first = [(0, absent), (0x1000, Ok(0x55)), (0x2000, excluded), (0x7000, absent)];
    let second = [(0xa000, Ok(0x55)), (0xc000, Ok(0xaa)), (0xe000, excluded), (0x1_2000, absent)];
    let third = [(0x1_8000, excluded), (0x1_c000, Ok(0xaa)), (0x1_d000, excluded), (0x1_e000, absent)];
    check(&dump, &[&first[..], &second, &third, &[(0x2_0000, absent)]].concat());
}

/// The same number as a virtual and as a physical address is two places.
#[test]
fn virtual_addresses_place_no_physical_memory() {
    let data = [vec![0x55; 0x100], vec![0xaa; 0x100]].concat();
    let dump = open(ElfPieces::default().mapped(0x100, 0x200, &data).build());
    let runs = [(0x100, Err(Gap::Absent)), (0x200, Ok(0x55)), (0x300, Ok(0xaa)), (0x400, Err(Gap::Absent))];
    check(&dump, &[&runs[..], &[(0x1000, Ok(0))]].concat());
    assert_eq!(told(&dump), Vec::<String>::new());
}

/// A page that two segments have, of which the first has only a part.
#[test]
fn a_page_of_which_the_first_segment_has_a_part() {
    let pieces = ElfPieces::default().mapped(0x10_1000, 0x1000, &[0; 0x600]);
    let dump = open(pieces.mapped(0x20_1000, 0x1000, &[vec![0; 0xff8], vec![7; 8]].concat()).build());
    check(&dump, &[(0x1000, Ok(0)), (0x1ff8, Ok(7)), (0x2000, Err(Gap::Absent)), (0x3000, Ok(0))]);
    assert_eq!(told(&dump), Vec::<String>::new());
}

/// A dump that holds no memory opens, tells its header, and says that there is none.
#[test]
fn dumps_of_every_machine_without_memory() {
    for target in Target::OTHERS.into_iter().chain([Target::X86_64]) {
        let spec = DumpSpec::of(target).release("3.4.5-test");
        for sub_header in [true, false] {
            let mut file = spec.kdump(Packing::Zlib);
            // no bitmap is needed for no frames, and no sub header for nothing to say
            let status = if target.wide { 424 } else { 412 };
            file[status + 12..status + 16].fill(0);
            if !sub_header {
                file[status + 8..status + 12].fill(0);
                file.truncate(PAGE);
            }
            let dump = open(file.clone());
            let header = dump.facts().utsname.clone().unwrap();
            assert_eq!((&*header.machine, &*header.release), (target.name, "3.4.5-test"));
            assert_eq!(
                dump.facts().words.map(|w| (w.size == 8, w.big_endian)),
                Some((target.wide, target.big_endian))
            );
            assert_eq!(dump.facts().warnings, [Warning::NoMemory], "{}", target.name);
            assert_eq!((dump.facts().page_size, dump.facts().nr_cpus), (4096, Some(2)), "{}", target.name);
            assert_eq!((byte(&dump, 0), dump.held_bytes()), (Err(Gap::Absent), 0));
            // frames without a bitmap are damage
            let frames = if target.big_endian { 0x1000_u32.to_be_bytes() } else { 0x1000_u32.to_le_bytes() };
            file[status + 16..status + 20].copy_from_slice(&frames);
            let error = Dump::from_bytes(vec![file]).unwrap_err().to_string();
            assert!(error.contains("bitmap_blocks is 0x0"), "{}: {error}", target.name);
        }
        let elf = if target.wide { (54, 32) } else { (42, 28) };
        let mut file = spec.page(0, &[1]).elf();
        let header_len = if target.wide { 64 } else { 52 };
        let entry = if target.wide { 56 } else { 32 };
        // one PT_LOAD of nothing, in a table whose entries have the other class's length
        let load = file[header_len + entry..header_len + entry + 4].to_vec();
        file.truncate(PAGE);
        file[header_len..].fill(0);
        file[header_len..header_len + 4].copy_from_slice(&load);
        target_put(target, &mut file, elf.0 + 2, 1);
        let sound = open(file.clone());
        assert_eq!(sound.facts().warnings, [Warning::NoMemory], "{}", target.name);
        target_put(target, &mut file, elf.0, if target.wide { 32 } else { 56 });
        let dump = open(file);
        assert_eq!((dump.facts().machine, byte(&dump, 0)), (Some(target.e_machine), Err(Gap::Absent)));
        assert!(told(&dump).len() == 2 && told(&dump)[0].contains("e_phentsize"), "{:?}", told(&dump));
    }
}

fn target_put(target: Target, file: &mut [u8], at: usize, value: u16) {
    let bytes = if target.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    file[at..at + 2].copy_from_slice(&bytes);
}

/// Parts of one set, some rearranged and some flattened streams, in any order; the first one begins behind frame 0.
#[test]
fn a_split_set_of_plain_and_flattened_parts() {
    let spec = (0..6).fold(DumpSpec::x86_64().max_mapnr(0x100), |s, pfn| s.page(pfn, &[pfn as u8 + 1; PAGE]));
    let parts = spec.split(Packing::Zlib, &[1, 2, 3]);
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        for flat in 0..8_u32 {
            let file = |n: usize| match flat & 1 << (n - 1) {
                0 => parts[n].clone(),
                _ => flatten(&parts[n], 700),
            };
            let dump = Dump::from_bytes(order.map(file).to_vec()).unwrap();
            let mut bytes = [0; 8];
            for pfn in 1..5_u8 {
                dump.read_phys(PhysAddr(u64::from(pfn) * 0x1000 + 0xffc), &mut bytes).unwrap();
                assert_eq!(bytes, [[pfn + 1; 4], [pfn + 2; 4]].concat()[..], "{order:?} {flat:#b}");
            }
            assert_eq!(byte(&dump, 0x800), Err(Gap::NotGiven));
            assert_eq!(byte(&dump, 0x6000), Err(Gap::Absent));
        }
    }
}
