//! The program as it is called: exit codes, streams, options. Needs no dump but the sample.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump");

fn crashlens(args: &[&str]) -> Output {
    with_input(args, "")
}

fn with_input(args: &[&str], input: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(args)
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn check(args: &[&str], code: i32, stdout: &str, stderr: &str) {
    let out = crashlens(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {}", text(&out.stderr));
    assert!(text(&out.stdout).contains(stdout), "{args:?}: {}", text(&out.stdout));
    assert!(text(&out.stderr).contains(stderr), "{args:?}: {}", text(&out.stderr));
}

#[test]
fn commands_that_need_no_dump() {
    check(&["eval", "-b", "1000"], 0, "bits set: 9 8 7 6 5 3", "");
    check(&["help", "bt"], 0, "SYNOPSIS", "");
    check(&["-c", "btop 512a000", "-c", "ptob 1"], 0, "512a000: 512a\n1: 1000\n", "");
    check(&["--json", "ptob", "1"], 0, "{\"schema\":\"crashlens/1\",\"command\":\"ptob\"", "");
    check(&["--html", "-c", "ptob 1"], 0, "</body></html>", "");
    check(&["--version"], 0, "crashlens ", "");
    check(&["--help"], 0, "Usage: crashlens", "");
}

#[test]
fn failures_say_why_and_exit_with_1() {
    check(&[], 1, "", "no dump was named");
    check(&["/nosuch/vmcore"], 1, "", "/nosuch/vmcore: no such file");
    check(&["bt", "/nosuch/vmcore"], 1, "", "/nosuch/vmcore: no such file");
    check(&["/"], 1, "", "is a directory");
    check(&["--nosuch"], 1, "", "unexpected argument '--nosuch'");
    check(&["-c", "nosuch"], 1, "", "crashlens: command not found: nosuch");
    check(&["-c", "nosuch", "-c", "ptob 1"], 0, "1: 1000", "command not found");
    check(&["-c", "ptob 1", "-c", "ptob zz"], 1, "1: 1000", "ptob: invalid");
    check(&["ps"], 1, "", "needs an open dump");
    check(&["--json", "-c", "ps"], 1, "\"error\":\"ps: needs an open dump\"", "");
    check(&["-i", "/nosuch/file"], 1, "", "/nosuch/file: No such file");
}

#[test]
fn files_that_are_no_dumps_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("empty", &b""[..]), ("text", b"#!/bin/sh\necho hello\n"), ("magic", b"KDUMP   \x01")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        check(&[path.to_str().unwrap(), "-c", "help"], 1, "", name);
    }
}

#[test]
fn a_script_on_standard_input_ends_with_its_last_command() {
    let out = with_input(&["-s", "-i", "/dev/null"], "ptob 1\nptob 2 | cat\nexit\nptob 3\n");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1: 1000\n2: 2000\n");
    assert_eq!(out.status.code(), Some(0));
    let out = with_input(&["-s", "-i", "/dev/null"], "nosuch\n");
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn the_rc_file_is_read_silently() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".crashrc"), "alias pp ptob\nset radix 16\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(["-c", "pp 1", "-c", "set radix"])
        .env("HOME", home.path())
        .current_dir("/")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1: 1000\noutput radix: 16 (hex)\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(["repeat", "ascii"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
}

#[test]
fn man_page_and_completions_follow_from_the_options() {
    check(&["--generate-man"], 0, ".TH crashlens 1", "");
    for shell in ["bash", "zsh", "fish"] {
        check(&["--generate-completion", shell], 0, "zero_excluded", "");
    }
}

#[test]
fn crashs_options_that_answer_and_those_that_cannot() {
    check(&["--osrelease", SAMPLE], 0, "6.1.0-56-cloud-amd64\n", "");
    check(&["-t", SAMPLE], 0, " 2026\n", "");
    check(&["--log", SAMPLE, "--no-search"], 0, "Linux version 6.1.0-56-cloud-amd64", "");
    check(&["--active", "--no-search", "-c", "ps -S", SAMPLE], 0, "RU: ", "");
    check(&["--cpus", "1", "--no-search", "-c", "sys", SAMPLE], 0, "CPUS: 1\n", "");
    check(&["-h", "ptob"], 0, "SYNOPSIS", "");
    check(&["--smp", "-c", "ptob 1"], 0, "1: 1000\n", "--smp: not needed");
    check(&["--hyper", SAMPLE], 1, "", "crashlens: --hyper: Xen's dumps are not read\n");
    let id = crashlens(&["--build-id", SAMPLE]);
    let id = String::from_utf8_lossy(&id.stdout).trim_end().to_owned();
    assert!(id.len() == 40 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
}
