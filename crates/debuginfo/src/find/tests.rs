use super::*;
use crate::elf::tests::{Elf, note};

/// A file with that build-id, with DWARF or without.
pub(super) fn object(id: &[u8], dwarf: bool) -> Vec<u8> {
    let mut elf =
        Elf::new(2).section(".note.gnu.build-id", 7, 2, 0, &note(id)).symbol("main", 0x12, 1, 0x10, 4);
    if dwarf {
        elf = elf.section(".debug_info", 1, 0, 0, b"dwarf");
    }
    elf.build()
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn root() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_right_build_is_taken_and_the_wrong_one_said() {
    let root = root();
    put(root.path(), "usr/lib/debug/boot/vmlinux-6.1.0", &object(b"WRONG", true));
    put(root.path(), "usr/lib/debug/lib/modules/6.1.0/vmlinux", &object(b"RIGHT", true));
    let search = Finder::under(root.path(), "6.1.0").vmlinux(Some(b"RIGHT"));
    let found = search.found.unwrap();
    assert!(found.path.ends_with("lib/modules/6.1.0/vmlinux"));
    assert!(found.verified && found.has_dwarf);
    let wrong = search.tried.iter().find(|t| t.outcome == Outcome::OtherBuild { build_id: hex(b"WRONG") });
    assert!(wrong.unwrap().path.ends_with("boot/vmlinux-6.1.0"));
}

#[test]
fn symbols_alone_are_better_than_nothing_and_worse_than_dwarf() {
    let root = root();
    put(root.path(), "usr/lib/debug/boot/vmlinux-6.1.0", &object(b"ID", false));
    let finder = Finder::under(root.path(), "6.1.0");
    assert!(!finder.vmlinux(Some(b"ID")).found.unwrap().has_dwarf);
    put(root.path(), "boot/vmlinux-6.1.0", &object(b"ID", true));
    let found = finder.vmlinux(Some(b"ID")).found.unwrap();
    assert!(found.path.ends_with("boot/vmlinux-6.1.0") && found.has_dwarf);
}

#[test]
fn a_build_id_is_a_path() {
    let root = root();
    put(root.path(), "usr/lib/debug/.build-id/ab/cdef.debug", &object(&[0xab, 0xcd, 0xef], true));
    let search = Finder::under(root.path(), "5.10").vmlinux(Some(&[0xab, 0xcd, 0xef]));
    assert!(search.found.is_some());
}

#[test]
fn nothing_found_says_where_it_looked() {
    let root = root();
    let search = Finder::under(root.path(), "5.10").vmlinux(None);
    assert!(search.found.is_none());
    assert!(search.tried.iter().all(|t| t.outcome == Outcome::Missing));
    assert!(search.tried.iter().any(|t| t.path.ends_with("usr/lib/debug/boot/vmlinux-5.10")));
}

#[test]
fn modules_by_either_spelling_and_packing() {
    let root = root();
    let packed = zstd::encode_all(&object(b"M", true)[..], 1).unwrap();
    let base = "usr/lib/debug/lib/modules/6.1/kernel/drivers/virtio";
    put(root.path(), &format!("{base}/virtio-ring.ko.debug.zst"), &packed);
    put(root.path(), "lib/modules/6.1/kernel/drivers/virtio/virtio_ring.ko", &object(b"M", false));
    let found = Finder::under(root.path(), "6.1").module("virtio_ring", Some(b"M")).found.unwrap();
    assert!(found.path.ends_with("virtio-ring.ko.debug.zst") && found.has_dwarf);
}

#[test]
fn a_folder_that_was_named_comes_first() {
    let (root, mine) = (self::root(), self::root());
    put(root.path(), "usr/lib/debug/lib/modules/6.1/kernel/loop.ko", &object(b"M", true));
    put(mine.path(), "deep/inside/loop.ko", &object(b"M", true));
    let finder = Finder::under(root.path(), "6.1").with_dir(mine.path());
    assert!(finder.module("loop", Some(b"M")).found.unwrap().path.starts_with(mine.path()));
    // without a known build-id the file is taken, and said to be unverified
    assert!(!finder.module("loop", None).found.unwrap().verified);
}

#[test]
fn a_module_s_file_that_was_renamed_is_found_where_a_folder_was_named() {
    let module = |name: &str| {
        let mut elf = Elf::new(1).section(".note.gnu.build-id", 7, 2, 0, &note(b"M"));
        elf = elf.section(".modinfo", 1, 2, 0, format!("name={name}\0").as_bytes());
        elf.section(".debug_info", 1, 0, 0, b"dwarf").build()
    };
    let mine = root();
    put(mine.path(), "deep/mine-old.ko", &module("virtio_ring"));
    put(mine.path(), "other.ko", &module("other"));
    let finder = Finder::under(root().path(), "6.1").with_dir(mine.path());
    for name in ["virtio_ring", "virtio-ring"] {
        let found = finder.module(name, Some(b"M")).found.unwrap();
        assert!(found.path.ends_with("mine-old.ko") && found.verified, "{name}");
    }
    assert!(finder.module("mine_old2", Some(b"M")).found.is_none());
}
