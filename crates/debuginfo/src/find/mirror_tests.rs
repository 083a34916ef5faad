//! Folders and servers of one's own.

use super::debuginfod_tests::{Server, answer, good, missing};
use super::tests::object;
use super::{Mirror, WantedFile, Watch};
use crate::elf::ObjectFile;
use crate::find::pack::{self, Kind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const KERNEL: &[u8] = &[0xab, 0xcd, 0xef];
const MODULE: &[u8] = &[0x12, 0x34];

fn wanted() -> Vec<WantedFile> {
    vec![
        WantedFile { module: None, build_id: KERNEL.to_vec() },
        WantedFile { module: Some("dying".into()), build_id: MODULE.to_vec() },
    ]
}

fn packed(dir: &Path, kernel: &[u8]) -> Vec<u8> {
    let path = dir.join("made.pack");
    let open = |bytes: Vec<u8>| ObjectFile::from_bytes(bytes.into()).unwrap();
    let (vmlinux, module) = (open(object(kernel, true)), open(object(MODULE, true)));
    let files = [(Kind::Vmlinux, "vmlinux".into(), &vmlinux), (Kind::Module, "dying".into(), &module)];
    pack::write(&path, "6.1", &files, &Watch::default()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    bytes
}

fn bring(place: &str, cache: &TempDir) -> Vec<Result<PathBuf, String>> {
    let mirror = Mirror::within(place, cache.path().to_owned()).unwrap();
    mirror.bring(&wanted(), Some(KERNEL), &Watch::default())
}

fn kept(cache: &TempDir, id: &str) -> PathBuf {
    cache.path().join("debug").join(id).join("debuginfo")
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_folder_has_packs_or_files_by_id_or_by_name() {
    for layout in ["pack", "id", "names"] {
        let (mirror, cache) = (dir(), dir());
        let put = |path: &str, bytes: &[u8]| {
            let path = mirror.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        match layout {
            "pack" => put("abcdef.clpack", &packed(mirror.path(), KERNEL)),
            "id" => {
                put("buildid/abcdef/debuginfo", &object(KERNEL, true));
                put(".build-id/12/34.debug", &object(MODULE, true));
            }
            _ => {
                put("boot/vmlinux", &object(KERNEL, true));
                put("deep/dying.ko.zst", &zstd::bulk::compress(&object(MODULE, true), 1).unwrap());
            }
        }
        let got = bring(mirror.path().to_str().unwrap(), &cache);
        assert_eq!(got, [Ok(kept(&cache, "abcdef")), Ok(kept(&cache, "1234"))], "{layout}");
        for (id, path) in [(KERNEL, "abcdef"), (MODULE, "1234")] {
            assert_eq!(ObjectFile::open(&kept(&cache, path)).unwrap().build_id(), Some(id));
        }
    }
}

#[test]
fn a_folder_s_wrong_files_are_told_with_their_ids() {
    let (mirror, cache) = (dir(), dir());
    std::fs::write(mirror.path().join("vmlinux"), object(b"\x99", true)).unwrap();
    std::fs::write(mirror.path().join("abcdef.clpack"), packed(mirror.path(), b"\x77")).unwrap();
    let got = bring(mirror.path().to_str().unwrap(), &cache);
    let why = got[0].clone().unwrap_err();
    assert!(why.contains("the pack is of build id 77, not abcdef"), "{why}");
    assert!(why.contains("vmlinux: is of another build (99)"), "{why}");
    // the module in that pack is of the build that is wanted, whatever else is in it
    assert_eq!(got[1], Ok(kept(&cache, "1234")));
    let nothing = dir();
    let got = bring(nothing.path().to_str().unwrap(), &dir());
    assert!(got[1].clone().unwrap_err().contains("does not have it"));
    assert!(Mirror::of("/nosuch/folder").unwrap_err().contains("no such folder"));
}

#[test]
fn a_file_without_debug_information_is_not_what_was_wanted() {
    let cache = dir();
    let stripped = good(&object(KERNEL, false));
    // the pack first, then the kernel's file, then the module's
    let server = Server::new(vec![missing(), stripped, missing(), missing(), missing(), missing()]);
    let got = bring(&server.url, &cache);
    assert!(got[0].clone().unwrap_err().contains("no debug information"), "{got:?}");
}

#[test]
fn a_server_has_a_pack_which_is_fetched_once() {
    let cache = dir();
    let server = Server::new(vec![good(&packed(cache.path(), KERNEL))]);
    assert_eq!(
        bring(&format!("{}/", server.url), &cache),
        [Ok(kept(&cache, "abcdef")), Ok(kept(&cache, "1234"))]
    );
    assert_eq!(server.asked().len(), 1);
    assert!(server.asked()[0].starts_with("GET /abcdef.clpack HTTP/1.1"), "{:?}", server.asked());
    assert!(!cache.path().join("debug/abcdef/pack").exists(), "it is unpacked");
}

#[test]
fn a_server_has_files_as_debuginfod_or_a_mirror_of_debug_files() {
    let cache = dir();
    let server =
        Server::new(vec![missing(), good(&object(KERNEL, true)), missing(), good(&object(MODULE, true))]);
    assert_eq!(bring(&server.url, &cache), [Ok(kept(&cache, "abcdef")), Ok(kept(&cache, "1234"))]);
    let asked: Vec<String> =
        server.asked().iter().map(|request| request.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        asked,
        ["/abcdef.clpack", "/buildid/abcdef/debuginfo", "/buildid/1234/debuginfo", "/.build-id/12/34.debug"]
    );
    // what it has not now it may have the next time
    let (cache, server) = (dir(), Server::new(vec![missing()]));
    for _ in 0..2 {
        assert_eq!(bring(&server.url, &cache)[0], Err("no server has it".into()));
    }
    assert_eq!(server.asked().len(), 10);
}

/// Cut packs, packs of another build, sizes that are lies: an error, and nothing in the cache.
#[test]
fn a_server_that_lies_is_told() {
    let made = dir();
    let pack = packed(made.path(), KERNEL);
    let length = |n: usize| format!("Content-Length: {n}\r\n");
    let cut = &pack[..pack.len() - 9];
    let cases = [
        ("cut", good(cut), "it was cut off or changed"),
        ("longer than it is", answer("200 OK", &length(pack.len() + 50), &pack), "abcdef.clpack"),
        ("shorter than it is", answer("200 OK", &length(pack.len() - 50), &pack), "cut off or changed"),
        ("huge", answer("200 OK", &length(usize::MAX / 4), &pack), "more than DEBUGINFOD_MAXSIZE allows"),
        ("of another build", good(&packed(made.path(), b"\x77")), "is of build id 77, not abcdef"),
        ("a page", good(b"<html>"), "is no pack"),
    ];
    for (name, body, why) in cases {
        let cache = dir();
        let server = Server::new(vec![body]);
        for got in bring(&server.url, &cache) {
            let error = got.unwrap_err();
            assert!(error.contains(why), "{name}: {error}");
        }
        let left = std::fs::read_dir(cache.path().join("debug/abcdef")).into_iter().flatten().count();
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn a_server_that_never_answers_is_waited_for_once() {
    let cache = dir();
    let server = Server::new(vec!["…".into()]);
    let mut mirror = Mirror::within(&server.url, cache.path().to_owned()).unwrap();
    mirror.set_timeout(Duration::from_millis(300));
    let began = Instant::now();
    let got = mirror.bring(&wanted(), Some(KERNEL), &Watch::default());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(got.iter().all(Result::is_err), "{got:?}");
    assert_eq!(server.asked().len(), 1, "for all files");
}
