//! Packed files and archives, and what becomes of them in the cache.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use super::Watch;
use super::containers::ContainerError;
use super::packed::{is_packed, unpack_into};
use std::io::Write;
use std::path::Path;

/// A dump with a long run of zeros in it.
fn dump() -> Vec<u8> {
    let mut out = b"KDUMP   ".to_vec();
    out.extend((0..200_000_u32).flat_map(u32::to_le_bytes));
    out.resize(out.len() + (4 << 20), 0);
    out.extend_from_slice(b"the end");
    out
}

fn packed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(bytes).unwrap();
    let mut lz = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz.write_all(bytes).unwrap();
    vec![
        ("gz", gz.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("bz2", bz.finish().unwrap()),
        ("zst", zstd::encode_all(bytes, 1).unwrap()),
        ("lz4", lz.finish().unwrap()),
    ]
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        out.extend_from_slice(&header);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn is_dump(head: &[u8]) -> bool {
    head.starts_with(b"KDUMP   ")
}

fn empty(cache: &Path) -> bool {
    !cache.join("dumps").read_dir().is_ok_and(|mut dir| dir.next().is_some())
}

#[test]
fn each_packing_is_told_by_content_and_unpacked_once_with_holes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    for (kind, bytes) in packed(&dump()) {
        // the name says nothing
        let path = folder.path().join(format!("vmcore-{kind}.part1"));
        std::fs::write(&path, bytes).unwrap();
        assert!(is_packed(&path), "{kind}");
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].file_name().unwrap(), format!("vmcore-{kind}").as_str());
        assert!(std::fs::read(&files[0]).unwrap() == dump(), "{kind}");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&files[0].metadata().unwrap());
        assert!(blocks * 512 < 2 << 20, "{kind}: {blocks} blocks");
        // the second time nothing is unpacked
        std::fs::write(&files[0], b"seen").unwrap();
        let again = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(std::fs::read(&again[0]).unwrap(), b"seen");
    }
    let plain = folder.path().join("plain");
    std::fs::write(&plain, dump()).unwrap();
    assert!(!is_packed(&plain) && !is_packed(folder.path()) && !is_packed(Path::new("/nosuch")));
}

#[test]
fn dumps_are_taken_out_of_archives() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let dump = dump();
    let inner = packed(&dump).swap_remove(3).1;
    let archive = tar(&[("crash/readme", b"no dump"), ("crash/vmcore", &dump), ("b/vmcore.zst", &inner)]);
    for (n, bytes) in [archive.clone(), zstd::encode_all(&archive[..], 1).unwrap()].iter().enumerate() {
        let path = folder.path().join(format!("case{n}"));
        std::fs::write(&path, bytes).unwrap();
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(files.len(), 2, "{files:?}");
        assert!(files.iter().all(|file| std::fs::read(file).unwrap() == dump));
    }
    let none = folder.path().join("none");
    std::fs::write(&none, tar(&[("readme", b"no dump")])).unwrap();
    let error = unpack_into(&cache, &none, &is_dump, &Watch::default()).unwrap_err().to_string();
    assert!(error.contains("no dump is in this archive"), "{error}");
}

#[test]
fn what_is_stopped_or_damaged_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let watch = Watch::default();
    watch.cancel.cancel();
    for (kind, bytes) in packed(&dump()) {
        let path = folder.path().join(kind);
        std::fs::write(&path, &bytes).unwrap();
        let stopped = unpack_into(&cache, &path, &is_dump, &watch);
        assert!(matches!(stopped, Err(ContainerError::Cancelled)), "{kind}");
        assert!(empty(&cache), "{kind}");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(unpack_into(&cache, &path, &is_dump, &Watch::default()).is_err(), "{kind}");
        assert!(empty(&cache), "{kind}");
    }
}
