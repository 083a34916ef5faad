//! What stands beside segments and notes in an ELF dump and belongs to none: the headers are sound all the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

use base::{PhysAddr, PhysRead};
use dump::{Dump, Warning};
use testkit::dump::{DumpSpec, ElfPieces, PAGE, note};

const INFO: &str = "OSRELEASE=6.1.0-test\n";

fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn open(file: Vec<u8>) -> Dump {
    Dump::from_bytes(vec![file]).unwrap_or_else(|e| panic!("{e}"))
}

fn told(dump: &Dump) -> Vec<String> {
    dump.facts().warnings.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn holds(dump: &Dump, phys: u64, want: &[u8], what: &str) {
    let mut bytes = vec![0; want.len()];
    let read = dump.read_phys(PhysAddr(phys), &mut bytes).map_err(|hole| hole.why);
    assert_eq!(read, Ok(()), "{what}: {phys:#x}: {:?}", told(dump));
    assert!(bytes == want, "{what}: {phys:#x}: {:?}", told(dump));
}

/// Memory whose lengths are said twice is read, whatever stands behind it; that is told once, as no damage of a segment.
#[test]
fn junk_behind_the_last_segment_leaves_none_out() {
    let runs: [&[(u64, usize)]; 4] = [
        &[(0x1000, 9)],
        &[(0, 4), (0x10_0000, 6)],
        &[(0, 4), (0x10_000, 32), (0x10_0000, 6)],
        &[(0x1000, 1); 1],
    ];
    for (n, runs) in runs.iter().enumerate() {
        for distance in [0, 0xffff_8880_0000_0000] {
            for (seed, junk) in
                [PAGE - 1, PAGE, PAGE + 1, 5000, 2 * PAGE, 9 * PAGE, 100_003].into_iter().enumerate()
            {
                let spec = DumpSpec::x86_64().note("CORE", 1, &[7; 336]).vmcoreinfo(INFO).placed(distance);
                let data = |phys: u64, pages: usize| random(pages * PAGE, phys + n as u64);
                let spec =
                    runs.iter().fold(spec, |spec, (phys, pages)| spec.bytes(*phys, &data(*phys, *pages)));
                let what = format!("{runs:?}, {junk:#x} bytes, {distance:#x}");
                let dump = open([spec.elf(), random(junk, seed as u64 + 3)].concat());
                for (phys, pages) in *runs {
                    holds(&dump, *phys, &data(*phys, *pages), &what);
                }
                let told = told(&dump);
                let is_told = |t: &String| t.starts_with(&format!("{junk:#x} bytes at offset"));
                assert_eq!(
                    told.iter().filter(|t| is_told(t)).count(),
                    usize::from(junk >= PAGE),
                    "{what}: {told:?}"
                );
                assert_eq!(told.len(), usize::from(junk >= PAGE), "{what}: {told:?}");
            }
        }
    }
}

/// A note: its name's length and type, and the descriptor. Without a name there is not even a NUL.
fn nameless(kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut out = [0, desc.len() as u32, kind].map(u32::to_le_bytes).concat();
    out.extend(desc);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// The first note has no name, wherever the notes lie.
#[test]
fn a_nameless_note_in_front_is_no_damage_of_the_header() {
    let rest = [note("CORE", 1, &[7; 336]), note("VMCOREINFO", 0, INFO.as_bytes())].concat();
    for desc in [&[9_u8; 8][..], &[0xff; 20], &[1; 336], b"text", &[5; 4]] {
        let notes = [nameless(7, desc), rest.clone()].concat();
        let data = random(4 * PAGE, 5);
        let of = |pieces: ElfPieces| pieces.load(0x10_0000, &data, data.len() as u64);
        let front = of(ElfPieces::default().notes(&notes)).build();
        let behind = of(ElfPieces::default()).notes(&notes).build();
        let two = of(ElfPieces::default().notes(&notes).notes(&rest)).build();
        // a place that no writer chooses: 0x123 words behind the table
        let mut odd = front.clone();
        let (from, room) = (u64::from_le_bytes(odd[72..80].try_into().unwrap()) as usize, 0x48c);
        odd.splice(from..from, vec![0; room]);
        odd.splice(from + room + notes.len()..from + room + notes.len(), vec![0; PAGE - room]);
        odd[72..80].copy_from_slice(&((from + room) as u64).to_le_bytes());
        let at = 64 + 56 + 8;
        let data_at = u64::from_le_bytes(odd[at..at + 8].try_into().unwrap()) + PAGE as u64;
        odd[at..at + 8].copy_from_slice(&data_at.to_le_bytes());
        for (what, file, count) in
            [("front", front, 3), ("behind", behind, 3), ("two", two, 5), ("odd", odd, 3)]
        {
            let dump = open(file);
            let what = format!("{what}, {} bytes", desc.len());
            assert_eq!(told(&dump), Vec::<String>::new(), "{what}");
            assert_eq!((dump.notes().len(), dump.vmcoreinfo()), (count, Some(INFO.as_bytes())), "{what}");
            assert!(dump.notes()[0].name.is_empty() && dump.notes()[0].desc == desc, "{what}");
            holds(&dump, 0x10_0000, &data, &what);
        }
    }
}

/// Memory whose end was left out, and room behind its data: what lies there is nobody's, and the memory is not there.
#[test]
fn a_gap_behind_data_that_are_less_than_memory_is_no_damage() {
    let [first, second] = [random(2 * PAGE, 1), random(3 * PAGE, 2)];
    for gap in [0, 0x100, PAGE - 8, PAGE, 2 * PAGE, 5 * PAGE, 0x1_0000] {
        for (filler, mem) in
            [(0, 4 * PAGE), (0, 0x10 * PAGE), (7, 4 * PAGE), (7, 0x10 * PAGE), (0, 0x40 * PAGE)]
        {
            let pieces = ElfPieces::default().notes(&note("VMCOREINFO", 0, INFO.as_bytes()));
            let pieces =
                pieces.load(0x10_0000, &first, mem as u64).load(0x80_0000, &second, second.len() as u64);
            let mut file = pieces.build();
            let header = 64 + 2 * 56 + 8;
            let at = u64::from_le_bytes(file[header..header + 8].try_into().unwrap()) as usize;
            let between: Vec<u8> = if filler == 0 { vec![0; gap] } else { random(gap, 9) };
            file.splice(at..at, between);
            file[header..header + 8].copy_from_slice(&((at + gap) as u64).to_le_bytes());
            let what = format!("{gap:#x} of {filler}, {mem:#x}");
            let dump = open(file);
            holds(&dump, 0x80_0000, &second, &what);
            // as much room as the memory needs, and not of zeros, is the memory
            let is_memory = filler != 0 && gap > 0 && (2 * PAGE + gap).next_multiple_of(PAGE) == mem;
            if is_memory {
                continue;
            }
            holds(&dump, 0x10_0000, &first, &what);
            let read = dump.read_phys(PhysAddr(0x10_0000 + first.len() as u64), &mut [0; 8]);
            assert_eq!(read.map_err(|hole| hole.why), Err(base::Gap::Excluded), "{what}: {:?}", told(&dump));
            let blamed =
                |w: &Warning| matches!(w, Warning::HeaderMended { .. } | Warning::HeaderLeftOut { .. });
            assert!(!dump.facts().warnings.iter().any(blamed), "{what}: {:?}", told(&dump));
            assert_eq!(
                told(&dump).len(),
                usize::from(filler != 0 && gap >= PAGE),
                "{what}: {:?}",
                told(&dump)
            );
        }
    }
}
