//! Packages made here, in each packing.

use super::*;
use base::{Cancel, NoProgress};

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut member = |name: &[u8], kind: u8, bytes: &[u8]| {
        let mut block = [0_u8; 512];
        let n = name.len().min(100);
        block[..n].copy_from_slice(&name[..n]);
        block[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        block[156] = kind;
        out.extend_from_slice(&block);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    };
    for (name, bytes) in files {
        if name.len() > 100 {
            member(b"././@LongLink", b'L', &[name.as_bytes(), b"\0"].concat());
        }
        member(name.as_bytes(), b'0', bytes);
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files.iter().chain(&[("TRAILER!!!", &b""[..])]) {
        let mut numbers = [0; 13];
        numbers[1] = 0o100_644;
        numbers[6] = bytes.len();
        numbers[11] = name.len() + 1;
        out.extend_from_slice(b"070701");
        numbers.iter().for_each(|n| out.extend_from_slice(format!("{n:08x}").as_bytes()));
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn packings(plain: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut xz = Vec::new();
    std::io::copy(&mut liblzma::read::XzEncoder::new(plain, 1), &mut xz).unwrap();
    let mut gz = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut gzip = vec![0; gz.gzip_compress_bound(plain.len())];
    let n = gz.gzip_compress(plain, &mut gzip).unwrap();
    gzip.truncate(n);
    let zst = zstd::encode_all(plain, 1).unwrap();
    vec![("xz", xz), ("gz", gzip), ("zst", zst), ("", plain.to_vec())]
}

fn deb(data: &[u8]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in [("debian-binary", &b"2.0"[..]), ("control.tar.xz", b"control"), ("data.tar", data)]
    {
        out.extend_from_slice(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 0, bytes.len()).as_bytes(),
        );
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

fn rpm(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 96];
    out[..4].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb]);
    for bytes in [5_u32, 11] {
        out.resize(out.len().next_multiple_of(if bytes == 5 { 8 } else { 1 }), 0);
        out.extend_from_slice(&[0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0]);
        out.extend_from_slice(&1_u32.to_be_bytes());
        out.extend_from_slice(&bytes.to_be_bytes());
        out.resize(out.len() + 16 + bytes as usize, 7);
        if bytes == 5 {
            out.resize(out.len().next_multiple_of(8), 0);
        }
    }
    out.extend_from_slice(payload);
    out
}

fn take(package: &[u8], enough: usize, cache: &Path) -> Result<Extracted, ContainerError> {
    let path = cache.join("package.bin");
    std::fs::write(&path, package).unwrap();
    let wanted = Wanted { path: &|p| p.contains("vmlinux") || p.contains("evil"), enough };
    extract(&path, &wanted, cache, &NoProgress, &Cancel::new())
}

const LONG: &str = "./usr/lib/debug/lib/modules/6.1.0-a-release-of-a-very-long-name-indeed/and/more/folders/that/nobody/needs/vmlinux";

#[test]
fn the_wanted_files_of_each_kind_of_package() {
    let big = vec![0x5a; 100_000];
    let files: [(&str, &[u8]); 4] = [
        ("./usr/share/doc/readme", b"no"),
        ("./usr/lib/debug/boot/vmlinux-6.1", &big),
        ("./../evil", b"outside"),
        (LONG, b"second"),
    ];
    let mut packages = Vec::new();
    packages.extend(packings(&tar(&files)).into_iter().map(|(how, data)| (how, deb(&data))));
    packages.extend(packings(&cpio(&files)).into_iter().map(|(how, data)| (how, rpm(&data))));
    for (how, package) in packages {
        let dir = tempfile::tempdir().unwrap();
        let got = take(&package, usize::MAX, dir.path()).unwrap_or_else(|e| panic!("{how}: {e}"));
        assert_eq!(got.files.len(), 2, "{how}");
        assert_eq!(std::fs::read(got.root.join("usr/lib/debug/boot/vmlinux-6.1")).unwrap(), big, "{how}");
        assert_eq!(std::fs::read(got.root.join(LONG)).unwrap(), b"second", "{how}");
        assert!(!dir.path().join("evil").exists() && !got.root.join("../evil").exists());
        // the second time they are there
        assert!(take(&package, usize::MAX, dir.path()).unwrap().files.is_empty());
    }
}

#[test]
fn it_stops_when_it_has_enough() {
    let files: [(&str, &[u8]); 2] = [("./vmlinux-1", b"a"), ("./vmlinux-2", b"b")];
    let dir = tempfile::tempdir().unwrap();
    let got = take(&deb(&tar(&files)), 1, dir.path()).unwrap();
    assert_eq!(got.files, [got.root.join("vmlinux-1")]);
}

#[test]
fn damage_is_said_and_leaves_no_half_file() {
    let big = vec![1; 50_000];
    let package = deb(&tar(&[("./vmlinux", &big)]));
    let dir = tempfile::tempdir().unwrap();
    let error = take(&package[..30_000], 1, dir.path()).unwrap_err().to_string();
    assert!(error.contains("truncated"), "{error}");
    let folders = std::fs::read_dir(dir.path()).unwrap().flatten().filter(|e| e.path().is_dir());
    assert!(folders.flat_map(|d| std::fs::read_dir(d.path()).unwrap()).next().is_none());
    let error = take(b"#!/bin/sh, not a package", 1, dir.path()).unwrap_err();
    assert!(matches!(error, ContainerError::NotAPackage { .. }));
}

#[test]
fn a_request_to_stop_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.deb");
    std::fs::write(&path, deb(&tar(&[("./vmlinux", b"x")]))).unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    let wanted = Wanted { path: &|_| true, enough: 1 };
    let error = extract(&path, &wanted, dir.path(), &NoProgress, &cancel).unwrap_err();
    assert!(matches!(error, ContainerError::Cancelled));
}

#[test]
fn any_bytes_end() {
    for bytes in [tar(&[(LONG, b"x")]), cpio(&[("a", b"b")])] {
        for i in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[i] ^= 0x80;
            fuzz_archives(&bytes);
        }
    }
}
