//! Files on disk: what is told apart before it is opened, and dumps of machines that span terabytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::{Pfn, PhysRead};
use dump::{DumpError, Probe, looks_like_dump, open};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use testkit::dump::{DumpSpec, Packing, flatten};

fn write(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_dump_a_kernel_and_neither() {
    let dir = tempfile::tempdir().unwrap();
    let spec = DumpSpec::x86_64().page(1, b"x");
    let mut program = spec.elf();
    program[16] = 2;
    let mut vmlinux = spec.clone().also_at(0xffff_ffff_8100_0000, 1, 1).elf();
    vmlinux[16] = 2;
    let mut module = spec.elf();
    module[16] = 1;
    let cases: [(&[u8], Probe); 10] = [
        (&spec.elf(), Probe::Dump("ELF core")),
        (&vmlinux, Probe::Vmlinux),
        (&program, Probe::Unknown("an ELF program or library".into())),
        (&module, Probe::Module),
        (&spec.kdump(Packing::Zlib), Probe::Dump("kdump-compressed")),
        (&flatten(&spec.elf(), 4096), Probe::Dump("flattened")),
        (&spec.raw(1 << 20), Probe::Dump("raw RAM image")),
        (b"\x1f\x8b\x08 packed", Probe::Unknown("a gzip file".into())),
        (b"", Probe::Unknown("an empty file".into())),
        (b"hello", Probe::Unknown("a file of no known format".into())),
    ];
    for (i, (bytes, want)) in cases.iter().enumerate() {
        let path = write(&dir, &format!("misleading-name-{i}.txt"), bytes);
        assert_eq!(looks_like_dump(&path).unwrap(), *want);
    }
    assert!(looks_like_dump(dir.path()).is_err());
    assert!(looks_like_dump(&dir.path().join("none")).is_err());
}

#[test]
fn files_read_as_bytes_do() {
    let dir = tempfile::tempdir().unwrap();
    let spec = DumpSpec::x86_64().page(3, b"hello").page(4, &[9; 4096]);
    let mut files: Vec<Vec<PathBuf>> = vec![
        vec![write(&dir, "a", &spec.elf())],
        vec![write(&dir, "b", &spec.kdump(Packing::Lzo))],
        vec![write(&dir, "c", &flatten(&spec.kdump(Packing::Zlib), 999))],
        vec![write(&dir, "d", &spec.raw(1 << 20))],
    ];
    let parts = spec.split(Packing::Zstd, &[4]);
    files.push(vec![write(&dir, "e2", &parts[1]), write(&dir, "e1", &parts[0])]);
    for paths in files {
        let dump = open(&paths).unwrap();
        let mut b = [0; 8];
        dump.read_phys(Pfn(3).addr(), &mut b).unwrap();
        assert_eq!(&b, b"hello\0\0\0");
        dump.read_phys(Pfn(4).addr().add(4088), &mut b).unwrap();
        assert_eq!(b, [9; 8]);
    }
}

#[test]
fn what_is_no_file_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let text = |paths: &[PathBuf]| open(paths).unwrap_err().to_string();
    assert!(text(&[dir.path().into()]).ends_with("is a directory; name the dump file in it"));
    assert!(text(&[dir.path().join("none")]).contains("cannot read: No such file"));
    assert!(text(&[write(&dir, "empty", b"")]).contains("the file is empty"));
    assert!(matches!(open(&[]), Err(DumpError::NoFiles)));
    let null = text(&[PathBuf::from("/dev/null")]);
    assert!(null.contains("not a regular file"), "{null}");
}

/// A sparse dump of a machine of 4 TiB: opening and reading its last page costs what a small one costs.
#[test]
fn four_terabytes() {
    let small = DumpSpec::x86_64().page(0, b"first").kdump(Packing::Zlib);
    let (frames, half) = (1_u64 << 30, 1_u64 << 27);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut put = |at: u64, bytes: &[u8]| {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(bytes).unwrap();
    };
    put(0, &small[..8192]);
    put(436, &(2 * half as u32 / 4096).to_le_bytes());
    put(440, &(frames as u32).to_le_bytes());
    put(4096 + 96, &frames.to_le_bytes());
    let descs = 8192 + 2 * half;
    for (i, pfn) in [0, frames / 2 + 1, frames - 1].into_iter().enumerate() {
        put(8192 + half + pfn / 8, &[1 << (pfn % 8)]);
        let packed = Packing::Zlib.pack(&pfn.to_le_bytes().repeat(512));
        let at = descs + 72 + 4096 * i as u64;
        put(at, &packed);
        let desc = [at.to_le_bytes(), (packed.len() as u64 | 1 << 32).to_le_bytes(), [0; 8]].concat();
        put(descs + 24 * i as u64, &desc);
    }
    drop(file);
    let start = std::time::Instant::now();
    let dump = open(&[path]).unwrap();
    let mut b = [0; 8];
    for pfn in [frames - 1, frames / 2 + 1, 0] {
        dump.read_phys(Pfn(pfn).addr(), &mut b).unwrap();
        assert_eq!(u64::from_le_bytes(b), pfn);
    }
    assert_eq!(dump.next_present(Pfn(1)), Some(Pfn(frames / 2 + 1)));
    assert_eq!(dump.held_bytes() / base::PAGE_SIZE, 3);
    assert_eq!(dump.facts().warnings, []);
    // milliseconds where the file system knows holes; the bound is for those that do not
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn raw_images_by_the_address_that_each_begins_at() {
    let dir = tempfile::tempdir().unwrap();
    let low = write(&dir, "low", &DumpSpec::x86_64().page(1, b"low").raw(1 << 20));
    let high = write(&dir, "high", &DumpSpec::x86_64().page(2, b"high").raw(1 << 20));
    let at = |path: &std::path::Path, address: &str| PathBuf::from(format!("{}@{address}", path.display()));
    let placed = at(&high, "0x100000000");
    assert_eq!(looks_like_dump(&placed).unwrap(), Probe::Dump("raw RAM image"));
    let dump = open(&[placed.clone(), low.clone()]).unwrap();
    assert_eq!(dump.format(), "raw RAM image (2 files)");
    let word = |pfn: u64| {
        let mut b = [0; 4];
        dump.read_phys(Pfn(pfn).addr(), &mut b).map(|()| b).ok()
    };
    assert_eq!([word(1), word(0x10_0002)], [Some(*b"low\0"), Some(*b"high")]);
    assert_eq!([word(0x100), word(0xf_ffff)], [None, None]);
    assert_eq!(dump.next_present(Pfn(0x100)), Some(Pfn(0x10_0000)));
    assert_eq!((dump.present(Pfn(0x100)), dump.held_bytes() / base::PAGE_SIZE), (None, 0x200));
    // the same without 0x; both at 0; no page boundary; an address for a file that has its own
    assert!(open(&[at(&high, "100000000")]).is_ok());
    let both = open(&[low.clone(), high.clone()]).unwrap_err().to_string();
    assert!(both.contains("both hold the physical address 0x0"), "{both}");
    let odd = open(&[at(&high, "800")]).unwrap_err().to_string();
    assert!(odd.contains("the address behind @ is 0x800"), "{odd}");
    let named = write(&dir, "odd@10", &DumpSpec::x86_64().page(1, b"x").elf());
    assert_eq!(looks_like_dump(&named).unwrap(), Probe::Dump("ELF core"));
    assert!(open(&[at(&dir.path().join("none"), "1000")]).is_err());
}
