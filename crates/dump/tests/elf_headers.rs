//! ELF headers that are damaged or cut: the same memory is read, or it is missing and that is told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

use base::{Pfn, PhysAddr, PhysRead};
use dump::{Dump, Warning};
use testkit::dump::{DumpSpec, PAGE, Packing, Target, flatten, note};

const INFO: &str = "OSRELEASE=6.1.0-test\n";
/// `p_vaddr` is so far from `p_paddr` in `/proc/vmcore`; in QEMU's dumps they are the same.
const DISTANCES: [u64; 2] = [0xffff_8880_0000_0000, 0];

/// Runs of memory: first frame and pages.
const RUNS: [&[(u64, u64)]; 4] = [
    &[(0, 4), (0x10, 0x20), (0x100, 6)],
    &[(0, 4), (0x10, 0x20)],
    &[(1, 9)],
    &[(0, 2), (8, 3), (0x20, 9), (0x40, 1)],
];

fn page(pfn: u64) -> Vec<u8> {
    (pfn + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(PAGE / 8)
}

fn spec(runs: &[(u64, u64)], distance: u64) -> DumpSpec {
    let spec = DumpSpec::x86_64().note("CORE", 1, &[7; 336]).vmcoreinfo(INFO).placed(distance);
    let all = runs.iter().flat_map(|(first, pages)| *first..first + pages);
    all.fold(spec, |spec, pfn| spec.page(pfn, &page(pfn)))
}

/// As QEMU and makedumpfile write it: the data follow the notes at once.
fn tight(file: &[u8]) -> Vec<u8> {
    let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let count = usize::from(file[56]);
    let end = word(64 + 8) + word(64 + 32);
    let cut = end.next_multiple_of(PAGE) - end;
    let mut out = [&file[..end], &file[end + cut..]].concat();
    // QEMU's e_ehsize is that of a pointer
    out[52] = 8;
    for n in 1..count {
        let at = 64 + 56 * n + 8;
        out[at..at + 8].copy_from_slice(&((word(at) - cut) as u64).to_le_bytes());
    }
    out
}

fn files() -> Vec<(Vec<u64>, Vec<u8>)> {
    let mut all = Vec::new();
    for runs in RUNS {
        for distance in DISTANCES {
            let frames: Vec<u64> = runs.iter().flat_map(|(first, n)| *first..first + n).collect();
            let file = spec(runs, distance).elf();
            all.push((frames.clone(), tight(&file)));
            all.push((frames, file));
        }
    }
    all
}

fn open(file: Vec<u8>) -> Dump {
    Dump::from_bytes(vec![file]).unwrap_or_else(|e| panic!("{e}"))
}

fn told(dump: &Dump) -> Vec<String> {
    dump.facts().warnings.iter().map(ToString::to_string).collect()
}

/// How many of the frames are read; none as other bytes, and no other frame at all.
#[track_caller]
fn held(dump: &Dump, frames: &[u64], what: &str) -> usize {
    let mut read = 0;
    for pfn in 0..0x108 {
        let mut bytes = vec![0; PAGE];
        if dump.read_phys(Pfn(pfn).addr(), &mut bytes).is_ok() {
            assert!(frames.contains(&pfn), "{what}: {pfn:#x} is no memory: {:?}", told(dump));
            assert!(bytes == page(pfn), "{what}: {pfn:#x} is read as other memory: {:?}", told(dump));
            read += 1;
        }
    }
    read
}

fn with(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn sound_headers_are_not_mended() {
    for (frames, file) in files() {
        let dump = open(file);
        assert_eq!((told(&dump), held(&dump, &frames, "")), (vec![], frames.len()));
        assert_eq!((dump.notes().len(), dump.vmcoreinfo()), (2, Some(INFO.as_bytes())));
    }
}

/// QEMU's dumps have section headers, as those of Xen, which have no program headers.
#[test]
fn a_count_of_no_headers_beside_sections_is_damage() {
    for (frames, file) in files() {
        let file = with(&with(&file, 56, &[0, 0]), 60, &[2, 0]);
        let dump = open(file);
        assert_eq!(held(&dump, &frames, "no headers"), frames.len(), "{:?}", told(&dump));
        assert!(told(&dump).iter().any(|t| t.contains("e_phnum is 0")), "{:?}", told(&dump));
    }
}

/// A copy that was filled up to whole blocks, or lies on a partition.
#[test]
fn padding_behind_the_last_data_is_no_damage() {
    for (frames, file) in files() {
        for (byte, len) in [(0, PAGE), (0xff, PAGE), (0, 3 * PAGE + 7), (0, 2 << 20)] {
            let mut padded = file.clone();
            padded.resize(file.len() + len, byte);
            let what = format!("{len:#x} times {byte:#x}");
            let dump = open(padded.clone());
            assert_eq!((told(&dump), held(&dump, &frames, &what)), (vec![], frames.len()), "{what}");
            // what is not all the same can be memory that no header leads to
            padded[file.len() + len / 2] = 7;
            assert!(told(&open(padded)).iter().any(|t| t.contains("in no segment")), "{what}");
        }
    }
}

/// A writer can align the first data, and the notes before it, to more than a page.
#[test]
fn aligned_data_is_no_damage() {
    for by in [2 * PAGE, 0x10000] {
        for (frames, file) in files() {
            let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
            let count = usize::from(u16::from_le_bytes([file[56], file[57]]));
            let table = word(32);
            let all: Vec<usize> = (0..count).map(|n| table + 56 * n + 8).collect();
            let from = all.iter().map(|at| word(*at)).filter(|offset| *offset > 0).min().unwrap();
            let moved = all
                .iter()
                .fold(file.clone(), |file, at| with(&file, *at, &((word(*at) + by) as u64).to_le_bytes()));
            let moved = [&moved[..from], &vec![0; by], &moved[from..]].concat();
            let dump = open(moved.clone());
            let what = format!("by {by:#x}");
            assert_eq!((told(&dump), held(&dump, &frames, &what)), (vec![], frames.len()), "{what}");
            let mut other = moved;
            other[from + by / 2] = 7;
            assert!(told(&open(other)).iter().any(|t| t.contains("in no segment")), "{what}");
        }
    }
}

/// Pages that a filter left out at the end are not the zeros that stand there.
#[test]
fn padding_is_no_memory_that_was_left_out() {
    let file = spec(&[(1, 9)], DISTANCES[0]).elf();
    let table = 64 + 56;
    let mut filtered = with(&file, table + 32, &(7 * PAGE).to_le_bytes());
    let end = filtered.len();
    filtered[end - 2 * PAGE..].fill(0);
    let dump = open(filtered);
    assert_eq!(told(&dump), Vec::<String>::new());
    assert_eq!(held(&dump, &[1, 2, 3, 4, 5, 6, 7], ""), 7);
}

/// Fields that the rest of the file tells: damaged in any of these ways, all memory is read as before, and that is told.
#[test]
fn a_field_that_the_rest_of_the_file_contradicts_is_mended() {
    for (frames, file) in files() {
        let count = usize::from(file[56]);
        let mut fields = vec![
            ("EI_CLASS", 4, 1),
            ("EI_DATA", 5, 1),
            ("e_type", 16, 2),
            ("e_phoff", 32, 8),
            ("e_phentsize", 54, 2),
            ("e_phnum", 56, 2),
        ];
        for n in 0..count {
            let at = 64 + 56 * n;
            fields.extend([("p_type", at, 4), ("p_offset", at + 8, 8)]);
        }
        for (field, at, len) in fields {
            let own = u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
            let values = [
                0,
                1,
                2,
                3,
                4,
                5,
                7,
                0xff,
                0xfffe,
                own ^ 1,
                own ^ 0x10,
                own ^ 0x80,
                own + 0x1000,
                own ^ 0xff00,
                !own,
            ];
            for value in values {
                let bytes = &value.to_le_bytes()[..len];
                if file[at..at + len] == *bytes {
                    continue;
                }
                let what = format!("{field} at {at:#x} is {value:#x}");
                let dump = open(with(&file, at, bytes));
                assert_eq!(held(&dump, &frames, &what), frames.len(), "{what}: {:?}", told(&dump));
                assert!(told(&dump).iter().any(|t| t.contains(field)), "{what}: {:?}", told(&dump));
                assert_eq!(dump.vmcoreinfo(), Some(INFO.as_bytes()), "{what}: {:?}", told(&dump));
            }
        }
    }
}

/// Whatever byte of the headers is damaged, memory is the same or missing; what is missing is told.
#[test]
fn no_byte_of_the_headers_makes_other_memory() {
    for (frames, file) in files() {
        let end = 64 + 56 * usize::from(file[56]);
        let loads = usize::from(file[56]) - 1;
        // of two headers nothing tells which p_paddr is right
        let is_phys = |at: usize| at >= 64 && matches!((at - 64) % 56, 24..32);
        for at in (4..end).filter(|at| loads > 2 || !is_phys(*at)) {
            for value in [0, 1, 0xff, file[at] ^ 1, file[at] ^ 0x80] {
                let what = format!("{at:#x}: {:#x} and not {value:#x}", file[at]);
                let dump = open(with(&file, at, &[value]));
                let read = held(&dump, &frames, &what);
                assert!(
                    read == frames.len() || !told(&dump).is_empty(),
                    "{what}: {read} of {}",
                    frames.len()
                );
            }
        }
    }
}

/// A generator of numbers that are the same in each run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Fields of several headers, which say where data are and how many: what one header loses is never taken for another's.
#[test]
fn no_damage_to_several_headers_makes_other_memory() {
    let mut state = 1;
    for (frames, file) in files() {
        let loads: Vec<usize> = (1..usize::from(file[56])).collect();
        // of two headers, both damaged, nothing is left that tells
        if loads.len() < 3 {
            continue;
        }
        for _ in 0..1500 {
            let mut damaged = file.clone();
            let mut what = Vec::new();
            let first = next(&mut state) as usize % (loads.len() - 1);
            // two fields of one, one of the other
            let twice = next(&mut state) as usize % 2;
            for (place, n) in loads[first..first + 2].iter().enumerate() {
                for _ in 0..1 + usize::from(place == twice) {
                    // p_type, p_offset, p_filesz, p_memsz
                    let (field, len) = [(0, 4), (8, 8), (32, 8), (40, 8)][next(&mut state) as usize % 4];
                    let at = 64 + 56 * n + field;
                    let own = u64::from_le_bytes(damaged[at..at + 8].try_into().unwrap());
                    let pages = next(&mut state) % 0x4_0000;
                    let values = [
                        0,
                        4,
                        pages,
                        own.wrapping_add(pages),
                        own.wrapping_sub(pages),
                        own ^ 0xff_0000_0000,
                        !own,
                        next(&mut state),
                    ];
                    let value = values[next(&mut state) as usize % values.len()];
                    damaged[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
                    what.push(format!("{field} of {n} is {value:#x} and not {own:#x}"));
                }
            }
            let dump = open(damaged);
            let read = held(&dump, &frames, &what.join(", "));
            // less than a page at the end of the file may be padding
            let told = !told(&dump).is_empty();
            assert!(read + 1 >= frames.len() || told, "{what:?}: {read} of {}", frames.len());
        }
    }
}

/// A filter can leave out one large region, and nothing else.
#[test]
fn one_region_that_the_filter_left_out_is_no_damage() {
    for distance in DISTANCES {
        let file = spec(RUNS[3], distance).elf();
        // of the last segment, which has one page
        let header = 64 + 56 * 4;
        for len in [0x100_0000_u64, 0x100_3000, 0x4000_0000, 0x100_0000_0000] {
            let dump = open(with(&file, header + 40, &len.to_le_bytes()));
            assert_eq!(told(&dump), Vec::<String>::new(), "{len:#x}");
            assert_eq!(dump.ranges().last().map(|range| range.len()), Some(len));
            let why = dump.read_phys(PhysAddr(0x40 * PAGE as u64 + len - 8), &mut [0; 8]).unwrap_err().why;
            assert_eq!(why, base::Gap::Excluded);
        }
        // memory that is beyond every machine's is damage
        let dump = open(with(&file, header + 40, &0x0f12_3456_789a_b000_u64.to_le_bytes()));
        assert!(told(&dump).len() == 1 && told(&dump)[0].contains("p_memsz"), "{:?}", told(&dump));
    }
}

/// `p_memsz` that is too large covers memory that no header tells of.
#[test]
fn a_memory_length_beyond_all_others_is_mended() {
    for distance in DISTANCES {
        let file = spec(RUNS[3], distance).elf();
        let sound = open(file.clone());
        for n in 1..=4 {
            let dump = open(with(&file, 64 + 56 * n + 45, &[6]));
            assert_eq!(dump.ranges(), sound.ranges(), "{n}: {:?}", told(&dump));
            assert!(told(&dump).len() == 1 && told(&dump)[0].contains("p_memsz"), "{n}: {:?}", told(&dump));
        }
    }
}

#[test]
fn a_file_cut_in_its_headers_tells_what_is_before() {
    let (frames, file) = files().remove(0);
    for len in [64, 70, 64 + 56, 64 + 56 + 8] {
        let dump = open(file[..len].to_vec());
        assert_eq!((dump.facts().machine, held(&dump, &frames, "")), (Some(62), 0));
        assert!(dump.facts().is_incomplete(), "{len}");
        assert!(
            dump.facts().warnings.iter().any(|w| matches!(w, Warning::HeadersLost { claimed: 4, .. })),
            "{len}"
        );
        assert!(dump.facts().warnings.contains(&Warning::NoMemory), "{len}");
    }
    // behind the notes
    let data = u64::from_le_bytes(file[64 + 56 + 8..][..8].try_into().unwrap());
    let dump = open(file[..data as usize].to_vec());
    assert_eq!((dump.vmcoreinfo(), dump.notes().len()), (Some(INFO.as_bytes()), 2));
    assert!(dump.facts().is_incomplete() && dump.skip_holes(PhysAddr(0)).is_none());
}

#[test]
fn notes_without_memory_are_told() {
    for target in Target::OTHERS.into_iter().chain([Target::X86_64]) {
        let dump = open(DumpSpec::of(target).vmcoreinfo(INFO).note("CORE", 1, &[7; 336]).elf());
        assert_eq!((dump.vmcoreinfo(), dump.notes().len()), (Some(INFO.as_bytes()), 2), "{}", target.name);
        assert_eq!((dump.facts().machine, dump.facts().is_incomplete()), (Some(target.e_machine), true));
        assert_eq!(dump.facts().warnings, [Warning::NoMemory]);
    }
}

/// makedumpfile writes the headers of memory last: a cut stream has the ELF header and the notes.
#[test]
fn a_cut_flattened_stream_tells_header_and_notes() {
    let (frames, file) = files().remove(0);
    let head = 64 + 56;
    let notes_at = 64 + 4 * 56;
    let mut flat = b"makedumpfile\0\0\0\0".to_vec();
    flat.extend([1_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat());
    flat.resize(4096, 0);
    let mut put = |at: usize, bytes: &[u8]| {
        flat.extend((at as u64).to_be_bytes());
        flat.extend((bytes.len() as u64).to_be_bytes());
        flat.extend(bytes);
    };
    put(0, &file[..head]);
    put(notes_at, &file[notes_at..]);
    // one header of three came
    put(head, &file[head..head + 56]);
    let dump = open(flat);
    assert_eq!((dump.vmcoreinfo(), dump.notes().len()), (Some(INFO.as_bytes()), 2));
    assert_eq!(held(&dump, &frames, ""), 4);
    assert!(
        dump.facts().warnings.contains(&Warning::HeadersLost { claimed: 4, found: 2 }),
        "{:?}",
        told(&dump)
    );
    assert!(dump.facts().is_incomplete());
    // a stream that is whole stays so
    assert_eq!(held(&open(flatten(&file, 700)), &frames, ""), frames.len());
}

/// Every other page is memory: 20 000 headers, in the ELF header's own count and in section header 0.
#[test]
fn a_dump_of_many_segments() {
    let frames = || (0..20_000_u64).map(|n| 2 * n + 1);
    let spec = DumpSpec::x86_64().vmcoreinfo(INFO).placed(DISTANCES[0]);
    let spec = frames().fold(spec, |spec, pfn| spec.page(pfn, &page(pfn)));
    for file in [spec.elf(), spec.elf_many_headers()] {
        let dump = open(file);
        assert_eq!((told(&dump), dump.vmcoreinfo()), (vec![], Some(INFO.as_bytes())));
        assert_eq!((dump.ranges().len(), dump.held_bytes()), (20_000, 20_000 * PAGE as u64));
        for pfn in frames() {
            let mut bytes = [0; 8];
            dump.read_phys(Pfn(pfn).addr(), &mut bytes).unwrap();
            assert_eq!(bytes, page(pfn)[..8], "{pfn:#x}");
            assert_eq!(dump.read_phys(Pfn(pfn + 1).addr(), &mut bytes).unwrap_err().why, base::Gap::Absent);
        }
    }
}

/// As makedumpfile writes them: memory behind the data of each of 60 000 headers was left out.
#[test]
fn a_filtered_dump_of_many_segments() {
    let frames = || (0..60_000_u64).map(|n| 4 * n + 1);
    let spec = DumpSpec::x86_64().vmcoreinfo(INFO).placed(DISTANCES[0]);
    let spec = frames().fold(spec, |spec, pfn| spec.page(pfn, &page(pfn)).excluded(pfn + 1));
    let dump = open(spec.elf());
    assert_eq!((told(&dump), dump.ranges().len()), (vec![], 60_000));
    for pfn in frames() {
        let read =
            [0, 1, 2].map(|by| dump.read_phys(Pfn(pfn + by).addr(), &mut [0; 8]).map_err(|hole| hole.why));
        assert_eq!(read, [Ok(()), Err(base::Gap::Excluded), Err(base::Gap::Absent)], "{pfn:#x}");
    }
}

/// `e_phnum` 0xffff: the count of headers is in section header 0, which can be sound, damaged, or not in the file.
#[test]
fn a_count_of_headers_that_stands_in_a_section_header() {
    let frames: Vec<u64> = RUNS[0].iter().flat_map(|(first, n)| *first..first + n).collect();
    let sound = spec(RUNS[0], DISTANCES[0]).elf_many_headers();
    let (shoff, sh_info) = (40, 64 + 0x2c);
    let dump = open(sound.clone());
    assert_eq!((told(&dump), held(&dump, &frames, "")), (vec![], frames.len()));
    let begins = |n: u64| format!("the ELF header is damaged: e_phnum is {n}, ");
    let cases = [
        ("a smaller count", sh_info, 2_u32.to_le_bytes().to_vec(), begins(2)),
        ("no count", sh_info, 0_u32.to_le_bytes().to_vec(), begins(0)),
        ("a larger count", sh_info, 5_u32.to_le_bytes().to_vec(), begins(5)),
        ("an absurd count", sh_info, u32::MAX.to_le_bytes().to_vec(), begins(u32::MAX.into())),
        ("no section header", shoff, 0_u64.to_le_bytes().to_vec(), begins(0xffff)),
        ("one behind the file", shoff, (1_u64 << 40).to_le_bytes().to_vec(), begins(0xffff)),
        ("one behind the space", shoff, u64::MAX.to_le_bytes().to_vec(), begins(0xffff)),
    ];
    for (what, at, bytes, want) in cases {
        let dump = open(with(&sound, at, &bytes));
        let told = told(&dump);
        assert_eq!(held(&dump, &frames, what), frames.len(), "{what}: {told:?}");
        assert!(told.iter().any(|t| t.starts_with(&want)), "{what}: {told:?}");
        assert_eq!(dump.vmcoreinfo(), Some(INFO.as_bytes()), "{what}");
        assert!(!dump.facts().is_incomplete(), "{what}: {told:?}");
    }
    // where no header can be found either, the reason is the one that counts
    let mut bare = with(&sound[..0x1000], shoff, &0_u64.to_le_bytes());
    bare[64..].fill(0);
    let why = Dump::from_bytes(vec![bare]).unwrap_err().to_string();
    let want = "corrupt header: e_shoff is 0x0 (with e_phnum 0xffff, section header 0 has the count of program headers)";
    assert!(why.ends_with(want), "{why}");
}

#[test]
fn an_elf_file_with_dump_notes_is_a_dump_and_another_is_not() {
    let kernel = note("Xen", 6, &[1; 8]);
    let mut file = DumpSpec::x86_64().page(1, &[1; PAGE]).note("GNU", 3, &[5; 20]).elf();
    file[16] = 2;
    assert!(Dump::from_bytes(vec![file]).is_err());
    let mut file = DumpSpec::x86_64().page(1, &kernel).elf();
    file[16] = 1;
    assert!(Dump::from_bytes(vec![file]).unwrap_err().to_string().contains("ET_REL"));
    assert!(Dump::from_bytes(vec![spec(RUNS[0], 0).kdump(Packing::Zlib)]).is_ok());
}

/// An ELF core with these headers (`p_type`, `p_offset`, `p_paddr`, `p_filesz`, `p_memsz`), in which each word of data is
/// its own place in the file.
fn core(headers: &[[u64; 5]], len: u64) -> Vec<u8> {
    let mut file: Vec<u8> = (0..len / 8).flat_map(|n| (0xda7a_0000 + n * 8).to_le_bytes()).collect();
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(16, 0);
    for short in [4_u16, 62] {
        head.extend(short.to_le_bytes());
    }
    head.extend(1_u32.to_le_bytes());
    for long in [0_u64, 64, 0] {
        head.extend(long.to_le_bytes());
    }
    head.extend(0_u32.to_le_bytes());
    for short in [64, 56, headers.len() as u16, 0, 0, 0] {
        head.extend(short.to_le_bytes());
    }
    for [kind, offset, phys, file_len, mem_len] in headers {
        head.extend((*kind as u32).to_le_bytes());
        head.extend(7_u32.to_le_bytes());
        for long in [*offset, 0, *phys, *file_len, *mem_len, 0] {
            head.extend(long.to_le_bytes());
        }
    }
    file[..head.len()].copy_from_slice(&head);
    file
}

/// Valid files that no writer we know makes: what the headers say is believed, as nothing contradicts it.
#[test]
fn a_file_in_another_order_or_alignment_is_read_as_its_headers_say() {
    let word = |dump: &Dump, at: u64| {
        let mut word = [0; 8];
        dump.read_phys(PhysAddr(at), &mut word).ok().map(|_| u64::from_le_bytes(word) - 0xda7a_0000)
    };
    // data of one size, headers in another order than the data
    let mut four: Vec<[u64; 5]> =
        (0..4).map(|n| [1, 0x200 + n * 0x2000, 0x10_0000 * (n + 1), 0x2000, 0x2000]).collect();
    for order in [[3, 1, 2, 0], [3, 2, 1, 0], [1, 0, 2, 3], [2, 3, 0, 1]] {
        let headers: Vec<[u64; 5]> = order.iter().map(|n: &usize| four[*n]).collect();
        let dump = open(core(&headers, 0x8200));
        for [_, offset, phys, ..] in &headers {
            assert_eq!(word(&dump, *phys), Some(*offset), "{order:?}");
        }
        assert_eq!(told(&dump), Vec::<String>::new(), "{order:?}");
    }
    // aligned to 64 KiB; to 16 bytes with room that nobody needs: not all is told there, and nothing else is read
    let two = |first: u64, second: u64| {
        let headers = [[1, first, 0x1000, 0x1000, 0x1000], [1, second, 0x10_3000, 0x2000, 0x2000]];
        let dump = open(core(&headers, second + 0x2000));
        (word(&dump, 0x1000), word(&dump, 0x10_3000))
    };
    assert_eq!(two(0x1_0000, 0x2_0000), (Some(0x1_0000), Some(0x2_0000)));
    let (first, second) = two(0x100, 0x1110);
    assert!(first.is_none_or(|word| word == 0x100));
    assert_eq!(second, Some(0x1110));
    // a segment without data before a gap of its size is no memory
    four[1] = [1, 0x2200, 0x20_0000, 0, 0x1000];
    four[2] = [1, 0x3200, 0x30_0000, 0x1000, 0x1000];
    let dump = open(core(&four[..3], 0x4200));
    assert_eq!((word(&dump, 0x20_0000), word(&dump, 0x30_0000)), (None, Some(0x3200)));
}
