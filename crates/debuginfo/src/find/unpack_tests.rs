//! Packages with debug files, made here.

use super::containers_tests::{cpio, deb, packings, rpm, tar};
use super::tests::object;
use super::unpack::is_of_release;
use super::*;

const KERNEL: &[u8] = b"KERNEL";
const RING: &[u8] = b"RING";
const BLK: &[u8] = b"BLK";

fn put(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The members of a package of debug files: vmlinux, two modules (one packed), and more.
fn members() -> Vec<(&'static str, Vec<u8>)> {
    let base = "./usr/lib/debug";
    let packed = packings(&object(BLK, true)).swap_remove(0).1;
    vec![
        ("./usr/share/doc/vmlinux.lds", b"no object".to_vec()),
        (Box::leak(format!("{base}/boot/vmlinux-6.1.0-9-amd64").into_boxed_str()), object(KERNEL, true)),
        (Box::leak(format!("{base}/lib/modules/6.1/virtio_ring.ko").into_boxed_str()), object(RING, true)),
        (Box::leak(format!("{base}/lib/modules/6.1/virtio-blk.ko.debug.xz").into_boxed_str()), packed),
    ]
}

/// Bytes that do not pack: xorshift.
fn noise() -> Vec<u8> {
    let mut x = 1_u32;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..200_000).map(|_| next()).collect()
}

fn package(dir: &Path, name: &str, members: &[(&str, Vec<u8>)]) -> PathBuf {
    let files: Vec<(&str, &[u8])> = members.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    let bytes = match name.ends_with(".rpm") {
        true => rpm(&packings(&cpio(&files)).swap_remove(2).1),
        false => deb(&packings(&tar(&files)).swap_remove(0).1),
    };
    put(dir, name, &bytes)
}

fn modules() -> Vec<(String, Vec<u8>)> {
    vec![
        ("virtio_ring".into(), RING.to_vec()),
        ("virtio_blk".into(), BLK.to_vec()),
        ("other".into(), b"X".to_vec()),
    ]
}

#[test]
fn kernel_and_modules_of_each_kind_of_package() {
    for name in ["a.deb", "a.ddeb", "a.rpm"] {
        let root = tempfile::tempdir().unwrap();
        let path = package(root.path(), name, &members());
        let finder = Finder::under(root.path(), "6.1").with_package(&path);
        let found = finder.vmlinux(Some(KERNEL)).found.unwrap();
        assert!(found.path.ends_with(format!("debug/{}/debuginfo", hex(KERNEL))), "{}", found.path.display());
        assert!(found.verified && found.has_dwarf);
        // both modules in one pass
        assert!(finder.module_among("virtio_ring", Some(RING), &modules).found.unwrap().has_dwarf);
        assert!(finder.module_at_hand("virtio_blk", Some(BLK)).found.unwrap().has_dwarf);
        // what is in the cache needs the package no more
        std::fs::remove_file(&path).unwrap();
        let again = Finder::under(root.path(), "6.1");
        assert!(
            again.vmlinux(Some(KERNEL)).found.is_some()
                && again.module("virtio_blk", Some(BLK)).found.is_some()
        );
    }
}

#[test]
fn another_build_is_refused_with_its_id_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = package(root.path(), "a.deb", &members());
    let search = Finder::under(root.path(), "6.1").with_package(&path).vmlinux(Some(b"MINE"));
    assert!(search.found.is_none());
    let of_package = search.tried.iter().find(|t| t.path == path).unwrap();
    assert_eq!(of_package.outcome, Outcome::OtherBuild { build_id: hex(KERNEL) });
    let kept = std::fs::read_dir(root.path().join("var/cache/crashlens/debug")).unwrap().count();
    assert_eq!(kept, 0);
}

#[test]
fn without_a_build_id_the_named_package_counts() {
    let root = tempfile::tempdir().unwrap();
    let path = package(root.path(), "a.deb", &members());
    let finder = Finder::under(root.path(), "6.1").with_package(&path);
    assert!(!finder.vmlinux(None).found.unwrap().verified);
    assert!(finder.module_among("virtio_ring", None, &modules).found.is_none());
}

#[test]
fn the_file_with_debug_information_is_taken_and_one_without_where_there_is_no_other() {
    let root = tempfile::tempdir().unwrap();
    let both = [
        ("./boot/vmlinux-6.1", object(KERNEL, false)),
        ("./usr/lib/debug/vmlinux-6.1", object(KERNEL, true)),
    ];
    let path = package(root.path(), "a.deb", &both);
    let finder = Finder::under(root.path(), "6.1").with_package(&path);
    assert!(finder.vmlinux(Some(KERNEL)).found.unwrap().has_dwarf);

    let root = tempfile::tempdir().unwrap();
    let path = package(root.path(), "a.deb", &both[..1]);
    let finder = Finder::under(root.path(), "6.1").with_package(&path);
    assert!(!finder.vmlinux(Some(KERNEL)).found.unwrap().has_dwarf);
    // a stripped module is no debug file: the dump has its symbols
    let path = package(root.path(), "b.deb", &[("./lib/modules/virtio_ring.ko", object(RING, false))]);
    let finder = Finder::under(root.path(), "6.1").with_package(&path);
    assert!(finder.module_among("virtio_ring", Some(RING), &modules).found.is_none());
}

#[test]
fn a_package_that_lacks_it_is_read_once() {
    let root = tempfile::tempdir().unwrap();
    let path =
        package(root.path(), "a.deb", &[("./usr/share/doc/readme", b"no".to_vec()), ("./noise", noise())]);
    let look = || Finder::under(root.path(), "6.1").with_package(&path).vmlinux(Some(KERNEL));
    assert!(look().tried.iter().any(|t| t.outcome == Outcome::NotInPackage));
    let lists = root.path().join("var/cache/crashlens/packages");
    let listing = std::fs::read_dir(lists).unwrap().next().unwrap().unwrap();
    assert!(std::fs::read_to_string(listing.path()).unwrap().contains("usr/share/doc/readme"));
    // the list is believed: were the package read again, it would be found damaged
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 0x8000);
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    assert!(look().tried.iter().any(|t| t.outcome == Outcome::NotInPackage));
    std::fs::remove_file(listing.path()).unwrap();
    assert!(look().tried.iter().any(|t| matches!(&t.outcome, Outcome::Unreadable(_))));
}

#[test]
fn a_package_of_another_build_is_read_once_too() {
    let root = tempfile::tempdir().unwrap();
    let mut members = members();
    members.push(("./noise", noise()));
    let path = package(root.path(), "a.deb", &members);
    let other = Outcome::OtherBuild { build_id: hex(KERNEL) };
    let look = |id: &[u8]| Finder::under(root.path(), "6.1").with_package(&path).vmlinux(Some(id));
    assert!(look(b"MINE").tried.iter().any(|t| t.outcome == other));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    assert!(look(b"MINE").tried.iter().any(|t| t.outcome == other));
    // another name of the package was never looked at: it is read for that
    let ring = Finder::under(root.path(), "6.1").with_package(&path).module_among(
        "virtio_ring",
        Some(b"NEW"),
        &|| vec![("virtio_ring".into(), b"NEW".to_vec())],
    );
    assert!(ring.tried.iter().any(|t| matches!(&t.outcome, Outcome::Unreadable(_))));
}

#[test]
fn what_dwz_took_out_is_in_the_package() {
    let root = tempfile::tempdir().unwrap();
    let mut members = members();
    members.push(("./usr/lib/debug/.dwz/kernel-6.1", object(b"COMMON", true)));
    members.push(("./usr/lib/debug/.dwz/other", object(b"OTHER", true)));
    for name in ["a.deb", "a.rpm"] {
        let path = package(root.path(), name, &members);
        let finder = Finder::under(root.path(), "6.1").with_package(&path);
        assert!(finder.vmlinux(Some(KERNEL)).found.is_some());
        let got = finder.supplement("../../.dwz/kernel-6.1", b"COMMON").unwrap();
        assert_eq!(ObjectFile::open(&got).unwrap().build_id(), Some(&b"COMMON"[..]), "{name}");
        // by its id, whatever it is called
        let got = finder.supplement("/usr/lib/debug/.dwz/renamed", b"OTHER").unwrap();
        assert_eq!(ObjectFile::open(&got).unwrap().build_id(), Some(&b"OTHER"[..]), "{name}");
        assert_eq!(finder.supplement("kernel-6.1", b"MINE"), None);
        std::fs::remove_dir_all(root.path().join("var")).unwrap();
    }
}

#[test]
fn damaged_packages_are_said_and_others_still_looked_in() {
    let root = tempfile::tempdir().unwrap();
    let good = package(root.path(), "good.deb", &members());
    let bytes = std::fs::read(&good).unwrap();
    let cut = put(root.path(), "cut.deb", &bytes[..bytes.len() / 2]);
    let finder = Finder::under(root.path(), "6.1").with_package(&cut).with_package(&good);
    let search = finder.vmlinux(Some(KERNEL));
    assert!(search.found.is_some());
    let of_cut = search.tried.iter().find(|t| t.path == cut).unwrap();
    assert!(matches!(&of_cut.outcome, Outcome::Unreadable(_)), "{of_cut:?}");
}

#[test]
fn packages_in_a_folder_are_told_by_their_names() {
    let table = [
        ("linux-image-6.1.0-9-amd64-dbg_6.1.27-1_amd64.deb", "6.1.0-9-amd64", true),
        ("linux-image-6.1.0-9-amd64_6.1.27-1_amd64.deb", "6.1.0-9-amd64", false),
        ("linux-image-unsigned-6.8.0-31-generic-dbgsym_6.8.0-31.31_amd64.ddeb", "6.8.0-31-generic", true),
        ("kernel-debuginfo-5.14.0-362.8.1.el9_3.x86_64.rpm", "5.14.0-362.8.1.el9_3.x86_64", true),
        ("kernel-rt-debuginfo-5.14.0-362.el9.x86_64.rpm", "5.14.0-362.el9.x86_64+rt", true),
        ("kernel-debuginfo-3.10.0-1160.el7.x86_64.rpm", "3.10.0-1160.el7.x86_64", true),
        ("kernel-default-debuginfo-6.4.0-150600.21.3.x86_64.rpm", "6.4.0-150600.21-default", true),
        ("kernel-debuginfo-5.14.0-400.el9.x86_64.rpm", "5.14.0-362.el9.x86_64", false),
        ("vmcore-6.1.0-9-amd64-debug", "6.1.0-9-amd64", false),
    ];
    for (name, release, want) in table {
        assert_eq!(is_of_release(Path::new(name), release), want, "{name}");
    }
    let root = tempfile::tempdir().unwrap();
    let near = tempfile::tempdir().unwrap();
    package(near.path(), "linux-image-6.1.0-9-amd64-dbg_6.1.27-1_amd64.deb", &members());
    let finder = Finder::under(root.path(), "6.1.0-9-amd64").with_near(near.path());
    assert!(finder.vmlinux(Some(KERNEL)).found.is_some());
}
