//! `debuginfo`: what is needed is told, brought and packed; packs are taken like a vmlinux, and bad ones refused. The sample is
//! the dump; its debug file is made here, with its build id and little else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod files;

use debuginfo::elf::ObjectFile;
use debuginfo::find::Watch;
use debuginfo::pack::{self, Kind};
use files::{debug_file, package, served};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump");

fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashlens"));
    for name in ["XDG_CACHE_HOME", "DEBUGINFOD_CACHE_PATH", "DEBUGINFOD_MAXSIZE", "DEBUGINFOD_URLS"] {
        command.env_remove(name);
    }
    command.args(args).env("HOME", home).env("DEBUGINFOD_TIMEOUT", "2").current_dir(home);
    command
}

fn check(home: &Path, args: &[&str], code: i32, told: &str) -> String {
    ended(&command(home, args).output().unwrap(), args, code, told)
}

fn ended(out: &Output, args: &[&str], code: i32, told: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&out.stdout) + &text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {all}");
    assert!(all.contains(told), "{args:?}: {told}: {all}");
    all
}

/// The build id of the sample's kernel.
fn build_id(home: &Path) -> String {
    let out = command(home, &["--build-id", SAMPLE]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A home with a vmlinux of a build, and a pack of it.
fn packed(home: &Path, id: &str) -> PathBuf {
    std::fs::write(home.join("vmlinux"), debug_file(id)).unwrap();
    check(home, &["debuginfo", "pack", SAMPLE, "./vmlinux", "-o", "own.clpack"], 0, "own.clpack: ");
    std::fs::remove_file(home.join("vmlinux")).unwrap();
    std::fs::remove_dir_all(home.join(".cache")).ok();
    home.join("own.clpack")
}

/// What `info` shows of the kernel's file.
fn vmlinux(home: &Path, args: &[&str]) -> String {
    let text = check(home, &[&["info", SAMPLE], args].concat(), 0, "VMLINUX: ");
    text.lines().find_map(|line| line.trim().strip_prefix("VMLINUX: ")).unwrap().to_owned()
}

/// Answers each request with the file of that path below a folder, else 404.
fn server(folder: PathBuf) -> String {
    served(move |request| {
        let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
        std::fs::read(folder.join(path)).ok()
    })
}

#[test]
fn what_is_needed_is_told_with_the_package_that_has_it() {
    let home = tempfile::tempdir().unwrap();
    let id = build_id(home.path());
    let text = check(home.path(), &["debuginfo", "find", SAMPLE], 0, "0 of ");
    assert!(
        text.lines().any(|l| l.starts_with("vmlinux") && l.contains(&id) && l.contains("not there")),
        "{text}"
    );
    assert!(text.lines().any(|l| l.starts_with("virtio_ring")), "{text}");
    let command = "apt-get download linux-image-6.1.0-56-cloud-amd64-dbg=6.1.192-2";
    assert!(text.contains(command), "{text}");
    let tried = check(home.path(), &["debuginfo", SAMPLE, "-v"], 0, "no such file");
    assert!(tried.contains("/usr/lib/debug/boot/vmlinux-6.1.0-56-cloud-amd64"), "{tried}");
    let json = check(home.path(), &["--json", "debuginfo", "find", SAMPLE], 0, "\"needed\":");
    assert!(json.contains(&format!("\"build_id\":\"{id}\"")), "{json}");
    std::fs::write(home.path().join("vmlinux"), debug_file(&id)).unwrap();
    check(home.path(), &["debuginfo", SAMPLE, "./vmlinux"], 0, "1 of ");
    for (args, why) in [
        (&["debuginfo", "find", SAMPLE, "--packages"][..], "--packages is for debuginfo fetch"),
        (&["debuginfo", "fetch", SAMPLE, "-o", "x"], "-o is for debuginfo pack"),
        (&["debuginfo", "pack", SAMPLE, "--from", "."], "--from is for debuginfo fetch"),
    ] {
        check(home.path(), args, 2, why);
    }
    check(home.path(), &["debuginfo"], 2, "needs an open dump");
}

#[test]
fn a_pack_is_taken_like_a_vmlinux_named_or_beside_the_dump() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let id = build_id(home);
    packed(home, &id);
    assert_eq!(vmlinux(home, &["own.clpack", "--no-search"]), "own.clpack (vmlinux)");
    assert!(home.join(".cache/crashlens/debug").join(&id).join("debuginfo").exists());
    check(home, &["debuginfo", SAMPLE, "own.clpack", "--no-search"], 0, "own.clpack (vmlinux)");
    check(home, &["./own.clpack"], 1, "this is a pack of debug files; name a dump as well");
    check(home, &["log", SAMPLE, "own.clpack", "--sandbox", "--no-search"], 0, "");
    // a pack that is there is not written over
    std::fs::write(home.join("vmlinux"), debug_file(&id)).unwrap();
    check(home, &["debuginfo", "pack", SAMPLE, "./vmlinux", "-o", "own.clpack"], 1, "own.clpack: ");
    check(home, &["debuginfo", "pack", SAMPLE, "./vmlinux", "-o", "vmlinux"], 1, "vmlinux");
    // into a folder, under the name by which it is fetched
    std::fs::create_dir(home.join("mirror")).unwrap();
    check(
        home,
        &["debuginfo", "pack", SAMPLE, "./vmlinux", "-o", "mirror"],
        0,
        &format!("mirror/{id}.clpack"),
    );
    std::fs::remove_file(home.join("vmlinux")).unwrap();
    std::fs::remove_dir_all(home.join(".cache")).unwrap();
    // beside the dump, and in a folder that is searched; one of another build is passed over
    let other = home.join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(SAMPLE, other.join("vmcore")).unwrap();
    std::fs::copy(home.join("own.clpack"), other.join("any.clpack")).unwrap();
    let text = check(home, &["info", "other/vmcore"], 0, "VMLINUX: ");
    assert!(text.contains(&format!("debug/{id}/debuginfo")), "{text}");
}

#[test]
fn without_the_kernel_s_file_there_is_no_pack() {
    let home = tempfile::tempdir().unwrap();
    let id = build_id(home.path());
    let args = ["debuginfo", "pack", SAMPLE, "--no-search", "-o", "new"];
    check(home.path(), &args, 1, &format!("the kernel's vmlinux is not there (build id {id})"));
    assert!(!home.path().join("new").exists());
}

/// Packs that are cut, damaged, of another build or another version: a clear error, and no answer.
#[test]
fn bad_packs_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let id = build_id(home);
    let whole = std::fs::read(packed(home, &id)).unwrap();
    let bad = |name: &str, bytes: &[u8], why: &str| {
        std::fs::write(home.join("bad.clpack"), bytes).unwrap();
        for line in ["info", "bt", "log"] {
            let out = command(home, &[line, SAMPLE, "bad.clpack", "--no-search"]).output().unwrap();
            let text = ended(&out, &[name, line], 1, why);
            assert!(out.stdout.is_empty(), "{name}: {text}");
        }
    };
    bad("cut", &whole[..whole.len() / 2], "was cut off or changed");
    bad("cut in its header", &whole[..30], "damaged pack: it ends in its header");
    bad("longer", &[&whole[..], b"x"].concat(), "was cut off or changed");
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= byte;
        bytes
    };
    bad("in a frame", &with(70, 0x40), "damaged pack");
    bad("in the index", &with(whole.len() - 8, 1), "damaged pack");
    bad("of another version", &with(15, 3), "a pack of version 2");
    assert!(!home.join(".cache/crashlens/debug").join(&id).join("debuginfo").exists());
    // of another build: both ids are told, and what is beside the dump is passed over
    let other = "0a0b0c0d0e0f000102030405060708090a0b0c0d";
    let foreign = home.join("foreign.clpack");
    let object = ObjectFile::from_bytes(debug_file(other).into()).unwrap();
    let files = [(Kind::Vmlinux, "vmlinux".to_owned(), &object)];
    pack::write(&foreign, "6.1", &files, &Watch::default()).unwrap();
    bad("of another build", &std::fs::read(&foreign).unwrap(), other);
    bad("of another build", &std::fs::read(&foreign).unwrap(), &id);
    assert!(!home.join(".cache/crashlens/debug").join(other).exists(), "it was unpacked");
    std::fs::remove_file(home.join("own.clpack")).unwrap();
    std::fs::remove_file(home.join("bad.clpack")).unwrap();
    std::fs::copy(SAMPLE, home.join("vmcore")).unwrap();
    let text = check(home, &["info", "vmcore"], 0, "VMLINUX: not there");
    assert!(text.contains(&format!("foreign.clpack  is of another build ({other})")), "{text}");
    // a pack is of the dump's own kernel: none is made by force
    std::fs::write(home.join("other"), debug_file(other)).unwrap();
    check(
        home,
        &["debuginfo", "pack", SAMPLE, "./other", "--force", "-o", "o.clpack"],
        1,
        "is not the dump's",
    );
}

#[test]
fn files_are_fetched_from_a_folder_or_a_server_of_one_s_own() {
    for by_http in [false, true] {
        let (home, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let home = home.path();
        let id = build_id(home);
        check(home, &["debuginfo", "fetch", SAMPLE], 1, "no place to fetch from");
        let pack = packed(home, &id);
        std::fs::rename(pack, mirror.path().join(format!("{id}.clpack"))).unwrap();
        let place = match by_http {
            true => server(mirror.path().to_owned()),
            false => mirror.path().display().to_string(),
        };
        // the sample's modules have no files there: an error each, and the kernel's file is brought all the same
        let text = check(home, &["debuginfo", "fetch", SAMPLE, "--from", &place], 1, "virtio_ring");
        let kept = format!(".cache/crashlens/debug/{id}/debuginfo");
        assert!(text.contains(&kept) && home.join(&kept).exists(), "{text}");
        assert!(vmlinux(home, &[]).ends_with(&kept));
    }
    let home = tempfile::tempdir().unwrap();
    check(home.path(), &["debuginfo", "fetch", SAMPLE, "--from", "/nosuch"], 1, "/nosuch: no such folder");
}

/// A pack of another build from a server, a server that never answers: errors with exit code 1, and soon.
#[test]
fn bad_servers_are_told() {
    let (home, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let home = home.path();
    let id = build_id(home);
    let whole = std::fs::read(packed(home, &id)).unwrap();
    std::fs::write(mirror.path().join(format!("{id}.clpack")), &whole[..whole.len() - 5]).unwrap();
    let url = server(mirror.path().to_owned());
    check(home, &["debuginfo", "fetch", SAMPLE, "--from", &url], 1, "was cut off or changed");
    assert!(vmlinux(home, &[]).starts_with("not there"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    check(home, &["debuginfo", "fetch", SAMPLE, "--from", &url], 1, "vmlinux");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // debuginfod's servers, where no place is named
    let out = command(home, &["debuginfo", "fetch", SAMPLE]).env("DEBUGINFOD_URLS", &url).output().unwrap();
    ended(&out, &["fetch"], 1, &url);
}

/// The package manager is started only where that is asked for.
#[test]
fn a_package_is_brought_by_the_distribution_s_own_command() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let id = build_id(home);
    let bin = home.join("bin");
    std::fs::create_dir(&bin).unwrap();
    package(&bin.join("the.deb"), "./usr/lib/debug/boot/vmlinux-6.1", &debug_file(&id));
    let script = |body: &str| {
        let program = bin.join("apt-get");
        std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}/asked\n{body}\n", bin.display()))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let fetch = |args: &[&str], code: i32, told: &str| {
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let all = [&["debuginfo", "fetch", SAMPLE], args].concat();
        ended(&command(home, &all).env("PATH", path).output().unwrap(), &all, code, told)
    };
    script("echo 'E: Unable to locate package' >&2; exit 100");
    fetch(&[], 1, "no place to fetch from");
    assert!(!bin.join("asked").exists());
    fetch(&["--packages"], 1, "E: Unable to locate package");
    script(&format!("cp {}/the.deb .", bin.display()));
    fetch(&["--packages"], 1, &format!("debug/{id}/debuginfo"));
    let asked = std::fs::read_to_string(bin.join("asked")).unwrap();
    let wanted = "download linux-image-6.1.0-56-cloud-amd64-dbg=6.1.192-2";
    assert_eq!(asked.lines().collect::<Vec<_>>(), [wanted, wanted]);
    assert!(vmlinux(home, &[]).ends_with("debuginfo"));
    let left = std::fs::read_dir(home.join(".cache/crashlens/downloads")).unwrap().count();
    assert_eq!(left, 0);
}
