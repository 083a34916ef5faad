//! Packages made here, in each packing.

use super::containers::*;
use super::*;
use std::io;
use std::ops::ControlFlow;

pub(super) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut member = |name: &[u8], kind: u8, bytes: &[u8]| {
        let mut block = [0_u8; 512];
        let n = name.len().min(100);
        block[..n].copy_from_slice(&name[..n]);
        block[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
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

pub(super) fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
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

pub(super) fn packings(plain: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut xz = Vec::new();
    std::io::copy(&mut liblzma::read::XzEncoder::new(plain, 1), &mut xz).unwrap();
    let mut gz = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut gzip = vec![0; gz.gzip_compress_bound(plain.len())];
    let n = gz.gzip_compress(plain, &mut gzip).unwrap();
    gzip.truncate(n);
    let zst = zstd::encode_all(plain, 1).unwrap();
    let preset = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let lzma = liblzma::stream::Stream::new_lzma_encoder(&preset).unwrap();
    let mut old = Vec::new();
    std::io::copy(&mut liblzma::read::XzEncoder::new_stream(plain, lzma), &mut old).unwrap();
    let mut bzip = Vec::new();
    std::io::copy(&mut bzip2::read::BzEncoder::new(plain, bzip2::Compression::fast()), &mut bzip).unwrap();
    vec![("bz2", bzip), ("xz", xz), ("gz", gzip), ("zst", zst), ("lzma", old), ("", plain.to_vec())]
}

pub(super) fn deb(data: &[u8]) -> Vec<u8> {
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

pub(super) fn rpm(payload: &[u8]) -> Vec<u8> {
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

const LONG: &str = "./usr/lib/debug/lib/modules/6.1.0-a-release-of-a-very-long-name-indeed/and/more/folders/that/nobody/needs/vmlinux";

/// All members of a package, in words, or the error.
fn listed(package: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ContainerError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("package.bin");
    std::fs::write(&path, package).unwrap();
    let mut out = Vec::new();
    walk(&path, &Watch::default(), &mut |m| {
        let mut bytes = Vec::new();
        m.data.read_to_end(&mut bytes)?;
        out.push((m.path.to_owned(), bytes));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(out)
}

#[test]
fn the_members_of_each_kind_of_package() {
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
    packages.extend(packings(&tar(&files)));
    for (how, package) in packages {
        let got = listed(&package).unwrap_or_else(|e| panic!("{how}: {e}"));
        assert_eq!(got.len(), 4, "{how}");
        assert_eq!(got[1], ("usr/lib/debug/boot/vmlinux-6.1".into(), big.clone()), "{how}");
        assert_eq!(got[3], (LONG.trim_start_matches("./").into(), b"second".to_vec()), "{how}");
    }
}

#[test]
fn a_member_that_is_not_wanted_is_stepped_over() {
    let files: [(&str, &[u8]); 3] = [("./a", b"1234567"), ("./b", b"x"), ("./c", b"")];
    for package in [deb(&tar(&files)), rpm(&cpio(&files))] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, package).unwrap();
        let mut seen = Vec::new();
        let mut visit = |m: &mut Member<'_>| {
            seen.push(m.path.to_owned());
            Ok::<_, io::Error>(if m.path == "b" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        assert!(!walk(&path, &Watch::default(), &mut visit).unwrap());
        assert_eq!(seen, ["a", "b"]);
    }
}

#[test]
fn archives_in_archives_are_walked_and_others_are_members() {
    let inner = tar(&[("linux/fs/a.c", b"code")]);
    for (how, packed) in packings(&inner) {
        let files: [(&str, &[u8]); 2] =
            [("./usr/src/linux.tar.xz", &packed), ("./usr/share/doc/x.gz", b"doc")];
        let got = listed(&deb(&tar(&files))).unwrap();
        let names: Vec<&str> = got.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["linux/fs/a.c", "usr/share/doc/x.gz"], "{how}");
    }
}

#[test]
fn damage_is_said() {
    let big = vec![1; 50_000];
    let package = deb(&tar(&[("./vmlinux", &big)]));
    let error = listed(&package[..30_000]).unwrap_err().to_string();
    assert!(error.contains("is cut off"), "{error}");
    let error = listed(b"#!/bin/sh, not a package").unwrap_err();
    assert!(matches!(error, ContainerError::NotAPackage { .. }));
}

#[test]
fn a_request_to_stop_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.deb");
    std::fs::write(&path, deb(&tar(&[("./vmlinux", b"x")]))).unwrap();
    let watch = Watch::default();
    watch.cancel.cancel();
    let error = walk(&path, &watch, &mut |_| Ok(ControlFlow::Continue(()))).unwrap_err();
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
