//! The hook of capture kernels: it says what the program says, and ends whatever the program does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const HOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/kdump/kdump-verdict");

/// Runs the hook over a file, with this script in the place of the program.
fn hook(home: &Path, program: &str, time: &str) -> (Output, Duration) {
    let path = home.join("crashlens");
    fs::write(&path, format!("#!/bin/sh\n{program}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join("vmcore"), "x").unwrap();
    let began = Instant::now();
    let mut hook = Command::new("sh");
    hook.arg(HOOK).arg(home.join("vmcore")).arg(home.join("out"));
    hook.env("PATH", format!("{}:{}", home.display(), std::env::var("PATH").unwrap()));
    let out = hook.env("CRASHLENS_KDUMP_TIME", time).env("CRASHLENS_KDUMP_GRACE", "1").output().unwrap();
    (out, began.elapsed())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_the_program_says_is_on_the_console_and_in_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let (out, _) = hook(home.path(), "echo \"said: $*\"", "2m");
    assert!(out.status.success());
    let told = text(&out.stdout);
    assert!(
        told.contains("said: --time-limit 2m --memory-limit 64M") && told.contains(" verdict "),
        "{told}"
    );
    let of = |name: &str| fs::read_to_string(home.path().join("out").join(name)).unwrap();
    assert!(of("verdict.json").contains("--json verdict") && of("log.txt").contains(" log "));
    // an earlier death's is kept
    hook(home.path(), "echo new", "2m");
    assert!(of("verdict.json").contains("new") && of("verdict.json.old").contains("said"));
}

/// A program that hangs, whatever it was told, does not keep the dump from being saved.
#[test]
fn a_program_that_does_not_end_is_ended() {
    for time in ["500ms", "1", "1.5s", "soon"] {
        let home = tempfile::tempdir().unwrap();
        let (out, took) = hook(home.path(), "trap '' TERM INT; echo begun; exec sleep 60", time);
        assert!(out.status.success());
        let told = text(&out.stdout);
        assert!(told.contains("begun") && told.contains("no answer within"), "{told}");
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[test]
fn a_program_that_fails_stops_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (out, took) = hook(home.path(), "exit 3", "60");
    assert!(out.status.success() && took < Duration::from_secs(10), "{took:?}");
}
