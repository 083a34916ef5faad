use super::*;
use crate::elf::tests::{Elf, note};
use crate::elf::{ObjectFile, Placement};
use crate::find::{Watch, hex};
use std::path::Path;

const ID: &[u8] = &[0xab, 0xcd, 0xef];

/// Text that does not pack well, so that packs have bytes to damage.
fn noise(len: usize, mut seed: u32) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn vmlinux(id: &[u8]) -> Vec<u8> {
    Elf::new(2)
        .section(".text", 1, 6, 0x1000, &[0x90; 5000])
        .section(".rodata", 1, 2, 0x4000, b"....Linux version 6.1\0")
        .section(".data", 1, 3, 0x5000, &[1; 3000])
        .section(".notes", 7, 2, 0x6000, &note(id))
        .section(".BTF", 1, 2, 0x7000, b"types")
        .section(".debug_info", 1, 0, 0, &noise(4000, 1))
        .rela(6, &[(8, 1, 1, 0); 50])
        .section(".comment", 1, 0, 0, &[b'c'; 500])
        .symbol("linux_banner", 0x11, 2, 0x4004, 20)
        .symbol("main", 0x12, 1, 0x1010, 4)
        .build()
}

fn module(id: &[u8]) -> Vec<u8> {
    Elf::new(1)
        .section(".text", 1, 6, 0, &[0x90; 4000])
        .section(".note.gnu.build-id", 7, 2, 0, &note(id))
        .section(".modinfo", 1, 2, 0, b"name=dying\0")
        .section(".debug_info", 1, 0, 0, &noise(600, 2))
        .symbol("fn", 0x12, 1, 0x10, 4)
        .rela(1, &[(0, 1, 1, 0); 40])
        .rela(4, &[(16, 1, 1, 4)])
        .build()
}

fn open(bytes: &[u8]) -> ObjectFile {
    ObjectFile::from_bytes(bytes.to_vec().into()).unwrap()
}

fn made(dir: &Path) -> (std::path::PathBuf, Packed) {
    let path = dir.join("k.clpack");
    let (kernel, module) = (open(&vmlinux(ID)), open(&module(b"MOD")));
    let files = [(Kind::Vmlinux, "vmlinux".to_owned(), &kernel), (Kind::Module, "dying".to_owned(), &module)];
    let packed = write(&path, "6.1.0", &files, &Watch::default()).unwrap();
    (path, packed)
}

#[test]
fn what_is_read_of_a_file_is_the_same_without_the_rest() {
    for (bytes, left_out) in [(vmlinux(ID), 4), (module(b"MOD"), 2)] {
        let (whole, small) = (open(&bytes), open(&slim(&open(&bytes)).unwrap()));
        assert!(small.data().len() < bytes.len() - 3000, "{} of {}", small.data().len(), bytes.len());
        assert_eq!((small.build_id(), small.kind()), (whole.build_id(), whole.kind()));
        assert_eq!(small.machine(), whole.machine());
        let symbols = |file: &ObjectFile| {
            file.symbols().map(|s| (s.name().to_vec(), s.value, s.section)).collect::<Vec<_>>()
        };
        assert_eq!(symbols(&small), symbols(&whole));
        let place = Placement::new([(".text", 0xffff_0000_u64)]);
        let mut gone = 0;
        for (n, (own, old)) in small.sections().iter().zip(whole.sections()).enumerate() {
            assert_eq!((own.name(), own.addr(), own.size()), (old.name(), old.addr(), old.size()));
            assert_eq!(
                (own.is_alloc(), own.is_exec(), own.is_write()),
                (old.is_alloc(), old.is_exec(), old.is_write())
            );
            assert!(!own.is_alloc() || own.is_nobits() == old.is_nobits(), "{}", own.name());
            let is_gone = small.section_at(n).unwrap().is_none() && whole.section_at(n).unwrap().is_some();
            match is_gone {
                true => gone += 1,
                false => {
                    assert_eq!(small.section_at(n).unwrap(), whole.section_at(n).unwrap(), "{}", own.name())
                }
            }
        }
        assert_eq!(gone, left_out);
        let info = |file: &ObjectFile| file.relocated_section(".debug_info", &place).unwrap();
        assert_eq!(info(&small), info(&whole));
    }
    let kernel = open(&slim(&open(&vmlinux(ID))).unwrap());
    assert_eq!(kernel.bytes_at(0x4004).map(base::cstr), Some(&b"Linux version 6.1"[..]));
    assert_eq!(kernel.bytes_at(0x1000), None, "no code");
}

#[test]
fn sections_that_are_packed_are_unpacked_in_it() {
    let text = b"debug ".repeat(100);
    let mut packed = vec![2_u8, 0, 0, 0, 0, 0, 0, 0];
    packed.extend_from_slice(&(text.len() as u64).to_le_bytes());
    packed.extend_from_slice(&1_u64.to_le_bytes());
    packed.extend_from_slice(&zstd::bulk::compress(&text, 3).unwrap());
    let elf = Elf::new(2).section(".note.gnu.build-id", 7, 2, 0, &note(ID)).section(
        ".debug_info",
        1,
        0x800,
        0,
        &packed,
    );
    let small = open(&slim(&open(&elf.build())).unwrap());
    let header = small.header(".debug_info").unwrap();
    assert!(!header.is_packed() && header.size() == 600);
    assert_eq!(small.section(".debug_info").unwrap(), Some(&text[..]));
}

#[test]
fn a_pack_says_what_is_in_it_and_gives_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let (path, packed) = made(dir.path());
    assert_eq!(packed.packed, path.metadata().unwrap().len());
    assert!(packed.read < packed.whole);
    assert!(is_pack(&path) && !is_pack(dir.path()));
    let pack = Pack::open(&path).unwrap();
    assert_eq!((pack.release(), pack.entries().len()), ("6.1.0", 2));
    let kernel = pack.vmlinux().unwrap();
    assert_eq!((kernel.build_id.as_slice(), kernel.name.as_str()), (ID, "vmlinux"));
    let cache = dir.path().join("cache");
    let place = pack.unpack(kernel, &cache, &Watch::default()).unwrap();
    assert_eq!(place, cache.join("debug/abcdef/debuginfo"));
    assert_eq!(std::fs::read(&place).unwrap(), slim(&open(&vmlinux(ID))).unwrap());
    // what is there already is taken
    std::fs::write(&path, b"gone").unwrap();
    assert!(Pack::open(&path).is_err());
    let written = place.metadata().unwrap().modified().unwrap();
    let (path, _) = made(&{
        let again = dir.path().join("again");
        std::fs::create_dir(&again).unwrap();
        again
    });
    let pack = Pack::open(&path).unwrap();
    assert_eq!(pack.unpack(pack.vmlinux().unwrap(), &cache, &Watch::default()).unwrap(), place);
    assert_eq!(place.metadata().unwrap().modified().unwrap(), written);
    let module = pack.entries().iter().find(|entry| entry.kind == Kind::Module).unwrap();
    let place = pack.unpack(module, &cache, &Watch::default()).unwrap();
    assert_eq!(ObjectFile::open(&place).unwrap().build_id(), Some(&b"MOD"[..]));
}

#[test]
fn a_file_of_several_pieces_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let elf = Elf::new(2).section(".note.gnu.build-id", 7, 2, 0, &note(ID));
    let elf = elf.section(".debug_info", 1, 0, 0, &noise(100, 3).repeat(PIECE * 2 / 90)).build();
    let path = dir.path().join("p");
    let kernel = open(&elf);
    write(&path, "6.1", &[(Kind::Vmlinux, "vmlinux".into(), &kernel)], &Watch::default()).unwrap();
    let pack = Pack::open(&path).unwrap();
    let entry = pack.vmlinux().unwrap();
    assert_eq!(entry.pieces.len(), 3);
    let place = pack.unpack(entry, dir.path(), &Watch::default()).unwrap();
    assert_eq!(std::fs::read(place).unwrap(), slim(&kernel).unwrap());
}

#[test]
fn every_cut_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = made(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let cut = dir.path().join("cut");
    for len in (0..whole.len()).filter(|len| len % 7 == 0 || *len < 80 || *len + 80 > whole.len()) {
        std::fs::write(&cut, &whole[..len]).unwrap();
        let error = Pack::open(&cut).unwrap_err();
        assert_eq!(matches!(error, PackError::NotAPack { .. }), len < NAME, "{len}: {error}");
    }
    std::fs::write(&cut, [&whole[..], b"more"].concat()).unwrap();
    assert!(matches!(Pack::open(&cut), Err(PackError::Length { .. })));
}

/// A bit that is wrong anywhere is an error or changes nothing that is read.
#[test]
fn no_damage_is_taken_for_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = made(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let want = [slim(&open(&vmlinux(ID))).unwrap(), slim(&open(&module(b"MOD"))).unwrap()];
    let bad = dir.path().join("bad");
    let mut refused = 0;
    // a header's and the index's bytes each, of frames every seventh
    let places = (0..whole.len()).filter(|n| *n < 64 || n % 7 == 0 || n + 300 > whole.len());
    let tried = places.clone().count();
    for (n, bit) in places.map(|n| (n, 1_u8 << (n % 8))) {
        let mut bytes = whole.clone();
        bytes[n] ^= bit;
        std::fs::write(&bad, &bytes).unwrap();
        let Ok(pack) = Pack::open(&bad) else {
            refused += 1;
            continue;
        };
        assert_eq!(pack.entries().len(), 2);
        for (entry, want) in pack.entries().iter().zip(&want) {
            let cache = tempfile::tempdir().unwrap();
            match pack.unpack(entry, cache.path(), &Watch::default()) {
                Ok(place) => assert_eq!(&std::fs::read(place).unwrap(), want, "byte {n}"),
                Err(e) => {
                    refused += 1;
                    assert!(matches!(e, PackError::Damaged { .. }), "{e}");
                    assert_eq!(
                        std::fs::read_dir(cache.path().join("debug").join(hex(&entry.build_id)))
                            .unwrap()
                            .count(),
                        0
                    );
                }
            }
        }
    }
    assert!(refused > tried - 60, "{refused} of {tried}");
}

#[test]
fn an_index_that_lies_is_refused() {
    let room = 64..1000;
    let check = |text: &str, why: &str| {
        let error = index::Index::parse(text, room.clone()).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    };
    let file = "kernel 6.1\nfile vmlinux abcd 20 vmlinux\n";
    assert!(index::Index::parse(&format!("{file}piece 40 10 20\n"), room.clone()).is_ok());
    check("", "no kernel");
    check("kernel 6.1\nfile other abcd 0 x\n", "none");
    check("kernel 6.1\nfile vmlinux xyz 0 x\n", "none");
    check("kernel 6.1\nfile vmlinux abc 0 x\n", "none");
    check("kernel 6.1\nfile vmlinux ab ffffffffffffffff x\n", "none");
    check("kernel 6.1\npiece 40 10 20\n", "none");
    check(&format!("{file}piece 40 10 21\n"), "not as long");
    check(&format!("{file}piece 40 10 10\npiece 48 10 10\n"), "over another");
    check(&format!("{file}piece 3e0 10 20\n"), "outside");
    check(&format!("{file}piece 0 10 20\n"), "outside");
    check(&format!("{file}piece ffffffffffffffff 10 20\n"), "outside");
    check(&format!("{file}piece 40 10 900000\n"), "none");
}

/// What it says of a file is not what the file says.
#[test]
fn a_file_of_another_build_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = made(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let at = u64::from_le_bytes(whole[24..32].try_into().unwrap()) as usize;
    let text = zstd::bulk::decompress(&whole[at..], 1 << 20).unwrap();
    let text = String::from_utf8(text).unwrap().replace("abcdef", "abcd00");
    let frame = write::pack(text.as_bytes()).unwrap();
    let mut bytes = [&whole[..at], &frame].concat();
    let len = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&len.to_le_bytes());
    bytes[32..40].copy_from_slice(&(frame.len() as u64).to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let pack = Pack::open(&path).unwrap();
    let error = pack.unpack(pack.vmlinux().unwrap(), dir.path(), &Watch::default()).unwrap_err().to_string();
    assert!(error.contains("has build id abcdef, not abcd00"), "{error}");
    assert!(!dir.path().join("debug/abcd00/debuginfo").exists());
}

#[test]
fn other_versions_and_files_without_a_build_id_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = made(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[15] = b'2';
    std::fs::write(&path, &bytes).unwrap();
    assert!(is_pack(&path));
    assert!(matches!(Pack::open(&path), Err(PackError::Version { version: '2', .. })));
    let nameless = open(&Elf::new(2).section(".debug_info", 1, 0, 0, b"x").build());
    let path = dir.path().join("new");
    let error =
        write(&path, "6.1", &[(Kind::Vmlinux, "vmlinux".into(), &nameless)], &Watch::default()).unwrap_err();
    assert!(error.to_string().contains("no build id") && !path.exists(), "{error}");
    // a file that is there stays
    std::fs::write(&path, b"mine").unwrap();
    assert!(write(&path, "6.1", &[], &Watch::default()).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}
