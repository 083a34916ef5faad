//! Limits and the sandbox: the program as scripts run it, on the sample.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump");

fn run(args: &[&str], folder: &Path, servers: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashlens"));
    command.args(args).env("HOME", folder).current_dir(folder).stdin(Stdio::null());
    match servers {
        Some(urls) => command.env("DEBUGINFOD_URLS", urls),
        None => command.env_remove("DEBUGINFOD_URLS"),
    };
    command.output().unwrap()
}

fn crashlens(args: &[&str]) -> (Option<i32>, String, String) {
    let home = tempfile::tempdir().unwrap();
    told(&run(args, home.path(), None))
}

fn told(out: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn a_limit_that_leaves_no_time_is_an_error_with_its_own_exit_code() {
    let (code, out, _) = crashlens(&["--json", "--time-limit", "0", "verdict", SAMPLE]);
    assert_eq!(code, Some(4), "{out}");
    assert!(out.contains("\"error\":") && out.contains("the time limit of 0s was reached"), "{out}");
    let (code, out, err) = crashlens(&["--memory-limit", "1K", "verdict", SAMPLE]);
    assert_eq!(code, Some(4), "{out}{err}");
    assert!(err.contains("the memory limit of 1K was reached"), "{err}");
    for (option, value) in [("--time-limit", "soon"), ("--memory-limit", "much")] {
        let (code, _, err) = crashlens(&[option, value, "verdict", SAMPLE]);
        assert!(code == Some(2) && err.contains(value), "{err}");
    }
}

/// Each command of several is answered, by an answer or by an error.
#[test]
fn every_command_has_its_line_of_json() {
    let lines = ["-c", "verdict", "-c", "ps", "-c", "log"];
    let args = [&["--json", "--time-limit", "0", SAMPLE][..], &lines].concat();
    let (code, out, _) = crashlens(&args);
    assert_eq!(code, Some(4));
    // the dump may be open before the limit is seen
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.len() == 3 || lines.len() == 1, "{out}");
    assert!(lines.iter().all(|line| line.contains("\"error\":") && line.contains("time limit")), "{out}");
}

#[test]
fn limits_that_are_not_reached_change_nothing() {
    let plain = crashlens(&["--json", "verdict", SAMPLE]);
    let limited = crashlens(&["--json", "--time-limit", "10m", "--memory-limit", "8G", "verdict", SAMPLE]);
    assert_eq!(plain, limited);
    assert_eq!(plain.0, Some(0));
}

/// What is known when a limit is reached is a part of what is known without one.
#[test]
fn what_a_limit_leaves_is_a_part_of_the_whole() {
    let (_, whole, _) = crashlens(&["--json", "verdict", SAMPLE]);
    let began = std::time::Instant::now();
    let _ = crashlens(&["--json", "verdict", SAMPLE]);
    let need = u64::try_from(began.elapsed().as_millis()).unwrap();
    for percent in [10, 25, 50, 75, 90] {
        let limit = format!("{}ms", need * percent / 100);
        let (code, out, _) = crashlens(&["--json", "--time-limit", &limit, "verdict", SAMPLE]);
        if code == Some(0) {
            assert_eq!(out, whole, "{percent} %");
            continue;
        }
        assert_eq!(code, Some(4), "{percent} %: {out}");
        assert!(out.contains("the time limit of"), "{percent} %: {out}");
        let Some((_, data)) = out.split_once("\"data\":") else { continue };
        assert!(data.contains("\"partial\":true"), "{data}");
        for key in ["class", "cause", "headline"] {
            let value = |text: &str| {
                let (_, rest) = text.split_once(&format!("\"{key}\":\""))?;
                rest.split('"').next().map(str::to_owned)
            };
            assert_eq!(value(data), value(&whole), "{percent} %: {key}");
        }
    }
}

#[test]
fn failures_beside_commands_are_json_too() {
    for (args, about) in [
        (&["--json", "--nosuch"][..], "open"),
        (&["--json", "-c", "ptob 1 > /nosuch/file"], ">"),
        (&["--json", "-c", "< /nosuch/file"], "<"),
        (&["--json", "-c", "ptob 1 >"], "ptob"),
        (&["--json", "verdict", "/nosuch/vmcore"], "open"),
    ] {
        let (code, out, err) = crashlens(args);
        assert_ne!(code, Some(0), "{args:?}");
        assert!(
            out.contains("\"error\":") && out.contains(&format!("\"command\":\"{about}\"")),
            "{args:?}: {out}{err}"
        );
        assert_eq!(err, "", "{args:?}");
    }
}

/// A command that tries: to start a program, to write a file, to read one that was not named, to reach a server.
#[test]
fn the_sandbox_holds_what_tries_to_leave() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "eval 42\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let inside = |line: &str| {
        told(&run(&["--sandbox", "--no-pager", SAMPLE, "-c", line], folder.path(), Some(&server)))
    };
    let (code, out, err) = inside("verdict");
    if err.contains("no Landlock") {
        return;
    }
    // what it is for works as ever
    assert_eq!(
        (code, out.contains("assertion failed in virtqueue_add_split")),
        (Some(0), true),
        "{out}{err}"
    );
    for lines in [
        &["!touch made"][..],
        &["log | touch made"],
        &["log > made"],
        &["rd -r made linux_banner 8"],
        &["set error made", "nosuch"],
    ] {
        let lines: Vec<&str> = lines.iter().flat_map(|line| ["-c", line]).collect();
        // what each would do is what it does outside
        for (option, is) in [("--sandbox=off", true), ("--sandbox", false)] {
            let place = tempfile::tempdir().unwrap();
            let told =
                told(&run(&[&[option, "--no-pager", SAMPLE], &lines[..]].concat(), place.path(), None));
            assert_eq!(place.path().join("made").exists(), is, "{option} {lines:?}: {told:?}");
        }
    }
    // a file that the command line names may be read
    let (code, out, err) = inside("< ./secret");
    assert_eq!((code, out.contains("42")), (Some(0), true), "{out}{err}");
    // a name that the command line does not hold
    let lines = folder.path().join("lines");
    std::fs::write(&lines, format!("< {}\n", secret.display())).unwrap();
    let (_, out, err) = told(&run(
        &["--sandbox", SAMPLE, "-i", lines.to_str().unwrap(), "-c", "ptob 1"],
        folder.path(),
        None,
    ));
    assert!(!out.contains("hexadecimal"), "{out}{err}");
    let (_, _, _) = inside("bt -l");
    assert!(listener.accept().is_err(), "a server was asked");
}

/// Nobody asked for it: it is there where it can be, and answers are the same.
#[test]
fn who_is_not_at_a_terminal_is_in_the_sandbox_and_sees_no_difference() {
    for line in ["verdict", "ps", "info", "mod", "bt -a"] {
        // what was looked for in the home folder is told with its path
        let home = tempfile::tempdir().unwrap();
        let own = told(&run(&[SAMPLE, "-c", line], home.path(), None));
        assert_eq!(own, told(&run(&["--sandbox=off", SAMPLE, "-c", line], home.path(), None)), "{line}");
    }
    // what needs more than reading is not in it
    let folder = tempfile::tempdir().unwrap();
    let out = told(&run(&[SAMPLE, "-c", "ptob 1 > file"], folder.path(), None));
    assert_eq!(out.0, Some(0), "{out:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("file")).unwrap(), "1: 1000\n");
}

#[test]
fn a_report_of_a_wrong_answer_is_small_and_names_nobody() {
    let (code, out, err) = crashlens(&["--json", "bugreport", SAMPLE]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.len() < 200_000, "{}", out.len());
    for part in ["\"version\":", "\"verdict\":{", "\"info\":{", "BUG_ON(total_sg >", "\"commands\":"] {
        assert!(out.contains(part), "{part}");
    }
    for word in ["crashbox", env!("CARGO_MANIFEST_DIR")] {
        assert!(!out.contains(word), "{word}");
    }
}
