//! The program at a terminal: a pseudo-terminal types, pastes and reads. Needs no dump.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs the program at a terminal on which `keys` were typed before it began, and types `exit` once `then` is shown; all
/// that the terminal showed.
fn at_terminal(args: &[&str], pager: &str, keys: &str, then: &str) -> String {
    let done = |shown: &str| !then.is_empty() && shown.contains(then);
    typing(args, pager, keys, &done, b"exit\r")
}

/// The same, typing `more` once what is shown is `enough`.
fn typing(
    args: &[&str],
    pager: &str,
    keys: &str,
    enough: &(dyn Fn(&str) -> bool + Sync),
    more: &'static [u8],
) -> String {
    std::thread::scope(|scope| typing_in(scope, args, pager, keys, enough, more))
}

fn typing_in<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    args: &[&str],
    pager: &str,
    keys: &str,
    enough: &'s (dyn Fn(&str) -> bool + Sync),
    more: &'static [u8],
) -> String {
    let home = tempfile::tempdir().unwrap();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let line = || {
        let fd = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        Stdio::from(File::from(fd))
    };
    let mut master = File::from(master);
    master.write_all(keys.as_bytes()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashlens"));
    command
        .args(["-i", "/dev/null"])
        .args(args)
        .env("HOME", home.path())
        .env("PAGER", pager)
        .env("TERM", "xterm");
    command.env_remove("LESS").env("NO_COLOR", "1").current_dir(home.path());
    let mut child = command.stdin(line()).stdout(line()).stderr(line()).spawn().unwrap();
    drop(command);
    // the terminal reads as ended once the program is gone
    let shown = scope.spawn(move || {
        let (mut shown, mut block, mut left) = (Vec::new(), [0; 4096], false);
        while let Ok(n @ 1..) = master.read(&mut block) {
            shown.extend_from_slice(&block[..n]);
            if !left && enough(&String::from_utf8_lossy(&shown)) {
                left = true;
                // as a hand would: not at once
                std::thread::sleep(Duration::from_millis(50));
                master.write_all(more).unwrap();
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    });
    for _ in 0..600 {
        if child.try_wait().unwrap().is_some() {
            return shown.join().unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    panic!("it does not end: {}", shown.join().unwrap());
}

/// The answers of `ptob`, in order of appearance: what is typed has no colon.
fn answers(shown: &str) -> Vec<&str> {
    shown
        .lines()
        .map(|line| line.trim_end())
        .filter(|line| line.contains(": ") && line.ends_with("000"))
        .collect()
}

#[test]
fn lines_that_are_typed_ahead_all_run_in_order() {
    let shown = at_terminal(&[], "cat", "ptob 1\rptob 2\r\rptob 3\rexit\r", "");
    assert_eq!(answers(&shown), ["1: 1000", "2: 2000", "3: 3000"], "{shown:?}");
    // more than the editor reads at once
    let many: String = (1..=400).map(|n| format!("ptob {n}\r")).collect();
    let shown = at_terminal(&[], "cat", &(many + "exit\r"), "");
    let wanted: Vec<String> = (1..=400).map(|n| format!("{n:x}: {n:x}000")).collect();
    assert_eq!(answers(&shown), wanted);
}

#[test]
fn lines_that_are_pasted_all_run_in_order() {
    for paste in ["ptob 1\rptob 2\rptob 3\r", "ptob 1\nptob 2\n\tptob\t3\n", "ptob 1\r\nptob 2\r\nptob 3"] {
        let shown = at_terminal(&[], "cat", &format!("\x1b[200~{paste}\x1b[201~\rexit\r"), "");
        assert_eq!(answers(&shown), ["1: 1000", "2: 2000", "3: 3000"], "{shown:?}");
    }
    // a mode of keys: pasted while the keys are vi's commands
    let shown = at_terminal(&["-e", "vi"], "cat", "\x1b[200~ptob 1\rptob 2\rptob 3\r\x1b[201~\rexit\r", "");
    assert_eq!(answers(&shown), ["1: 1000", "2: 2000", "3: 3000"], "{shown:?}");
}

/// Ctrl-C at the prompt drops the line that is being typed, and no other.
#[test]
fn what_is_typed_behind_ctrl_c_runs() {
    // at the prompt behind the first answer
    let at_prompt =
        |shown: &str| shown.split_once("1: 1000").is_some_and(|(_, behind)| behind.contains("crashlens> "));
    for more in [
        &b"ptob 9\x03ptob 2\rptob 3\rexit\r"[..],
        b"\x03ptob 2\r\x03\x03ptob 3\rexit\r",
        b"ptob 2\r\x03ptob 3\rexit\r",
    ] {
        for edit in ["emacs", "vi"] {
            let shown = typing(&["-e", edit], "cat", "ptob 1\r", &at_prompt, more);
            assert_eq!(answers(&shown), ["1: 1000", "2: 2000", "3: 3000"], "{edit}: {shown:?}");
        }
    }
}

#[test]
fn a_pager_that_does_not_work_loses_nothing() {
    for pager in ["/nosuch/pager", "exit 1", "head -c 10 > /dev/null; kill -9 $$"] {
        let shown = by_hand(pager);
        assert_eq!(answers(&shown), ["1: 1000"], "{pager}: {shown:?}");
    }
}

/// The answer to a line that is typed by hand.
fn by_hand(pager: &str) -> String {
    typing(&[], pager, "p", &|shown| shown.contains("crashlens> "), b"tob 1\rexit\r")
}

/// What is typed next is the session's, and none of the pager's keys.
#[test]
fn no_pager_is_started_while_lines_wait() {
    let pager = "echo PAGED; cat";
    assert!(by_hand(pager).contains("PAGED"));
    for keys in ["ptob 1\rptob 2\rptob 3\rexit\r", "\x1b[200~ptob 1\rptob 2\rptob 3\r\x1b[201~\rexit\r"] {
        let shown = at_terminal(&[], pager, keys, "");
        assert_eq!(
            (answers(&shown), shown.contains("PAGED")),
            (vec!["1: 1000", "2: 2000", "3: 3000"], false)
        );
    }
}
