//! An exit code of 4 is never without a word of why, however the dump was opened and whatever was asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::path::Path;
use std::process::Command;
use testkit::dump::{DumpSpec, PAGE, Packing, flatten};

fn dump() -> DumpSpec {
    let info = "OSRELEASE=6.1.0\nCRASHTIME=1700000000\n";
    (1..9).fold(DumpSpec::x86_64().vmcoreinfo(info), |spec, n| spec.page(n, &[n as u8; PAGE]))
}

/// A tar archive of one file, without the mark of its end.
fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut out = [&header[..], bytes].concat();
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// Exit code, answer, messages.
fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(args)
        .env("HOME", folder)
        .env_remove("XDG_CACHE_HOME")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn whatever_a_dump_lost_is_said_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let whole = dump().kdump(Packing::Zlib);
    let cut = &whole[..whole.len() - 20];
    let flat = flatten(&whole, 700);
    let (tarred, damaged) = (tar("vmcore", &whole), {
        let mut tarred = [&tar("vmcore", &whole)[..], &[0; 1024]].concat();
        tarred[100] ^= 1;
        tarred
    });
    for (name, bytes, why) in [
        ("cut", cut, "file is truncated"),
        ("flat", &flat[..flat.len() - 40], "the file is cut off at offset"),
        ("open.tar", &tarred, "is cut off behind vmcore"),
        ("damaged.tar", &damaged, "does not fit its checksum"),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        for args in [vec!["rd", "-p", "1000", name], vec!["-c", "rd -p 1000", name], vec!["-t", name]] {
            for time in 1..=2 {
                let (code, answer, told) = run(folder.path(), &args);
                let what = format!("{args:?}, {time}: {answer}{told}");
                assert_eq!(code, Some(4), "{what}");
                assert!(told.contains(why) && told.contains(name) && !told.contains("/dumps/"), "{what}");
                let want = if args[0] == "-t" { "2023" } else { "0101010101010101" };
                assert!(answer.contains(want), "{what}");
            }
        }
    }
    std::fs::write(folder.path().join("whole"), &whole).unwrap();
    for args in [vec!["rd", "-p", "1000", "whole"], vec!["-t", "whole"]] {
        let (code, _, told) = run(folder.path(), &args);
        assert_eq!((code, told.as_str()), (Some(0), ""), "{args:?}");
    }
}

/// What begins like a packed file and is none is told with what failed and what to do.
#[test]
fn what_does_not_unpack_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let junk: Vec<u8> = (0..90_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect();
    for (name, magic, what) in [
        ("a.gz", &[0x1f, 0x8b, 8, 0][..], "a gzip file"),
        ("a.xz", b"\xfd7zXZ\0", "an xz file"),
        ("a.zst", &[0x28, 0xb5, 0x2f, 0xfd], "a zstd file"),
        ("a.bz2", b"BZh9", "a bzip2 file"),
        ("a.lz4", &[4, 0x22, 0x4d, 0x18], "an lz4 file"),
    ] {
        std::fs::write(folder.path().join(name), [magic, &junk].concat()).unwrap();
        let (code, _, told) = run(folder.path(), &["sys", name]);
        assert_eq!(code, Some(1), "{told}");
        let begin = format!("crashlens: {name}: does not unpack: it begins like {what}, ");
        assert!(told.starts_with(&begin) && told.contains("copy it again"), "{told}");
    }
}
