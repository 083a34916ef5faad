//! `report`, `triage` and `mcp` as they are called: exit codes, streams, files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod called;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};
use tempfile::TempDir;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump");

fn run(home: &Path, args: &[&str], input: &str) -> Output {
    called::run(home, &[&["--no-search"], args].concat(), input)
}

fn check(home: &TempDir, args: &[&str], code: i32, stdout: &str, stderr: &str) -> String {
    let out = run(home.path(), args, "");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {}", text(&out.stderr));
    assert!(text(&out.stdout).contains(stdout), "{args:?}: {}", text(&out.stdout));
    assert!(text(&out.stderr).contains(stderr), "{args:?}: {}", text(&out.stderr));
    text(&out.stdout)
}

#[test]
fn a_report_is_a_file_a_folder_or_a_page_on_standard_output() {
    let home = tempfile::tempdir().unwrap();
    check(&home, &["report", SAMPLE], 0, "", "the report is in virtio-bug.kdump.html");
    check(&home, &["report", SAMPLE], 1, "", "virtio-bug.kdump.html: is there already");
    let page = fs::read_to_string(home.path().join("virtio-bug.kdump.html")).unwrap();
    assert_eq!(check(&home, &["report", SAMPLE, "-o", "-"], 0, "</html>", ""), page);
    check(&home, &["report", SAMPLE, "--folder", "all"], 0, "", "");
    check(&home, &["report", SAMPLE, "--folder", "all"], 1, "", "all: the folder is not empty");
    check(&home, &["report", SAMPLE, "-o", "x", "--redact=names"], 0, "", "");
    assert!(!fs::read_to_string(home.path().join("x")).unwrap().contains("crashbox"));
    check(&home, &["report", SAMPLE, "--redact=nothing"], 2, "", "nothing is none of addresses");
    check(&home, &["report"], 2, "", "no dump was named");
    check(&home, &["report", "/nosuch"], 1, "", "/nosuch: no such file");
    check(&home, &["--json", "report", SAMPLE], 2, "--json and --html are not its own", "");
    check(&home, &["report", "--help"], 0, "--redact", "");
    // the dump is never written over
    let copy = home.path().join("dump");
    fs::copy(SAMPLE, &copy).unwrap();
    check(&home, &["report", "./dump", "-o", "dump"], 1, "", "dump");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(SAMPLE).unwrap());
}

#[test]
fn a_file_that_is_no_dump_gets_a_page_that_says_so() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("vmcore"), b"KDUMP   ").unwrap();
    let page = check(&home, &["report", "./vmcore", "-o", "-"], 1, "What is missing", "vmcore");
    assert!(page.contains("does not hold all"), "{page}");
}

#[test]
fn triage_is_a_table_or_lines_of_json() {
    let home = tempfile::tempdir().unwrap();
    let dumps = home.path().join("dumps");
    fs::create_dir(&dumps).unwrap();
    fs::copy(SAMPLE, dumps.join("vmcore")).unwrap();
    check(&home, &["triage", "dumps"], 0, "1 dumps, 1 signatures; 0 other files", "");
    let lines = check(&home, &["--json", "triage", "dumps"], 0, "\"kind\":\"summary\"", "");
    assert_eq!(lines.lines().count(), 3, "a dump, a group, the summary: {lines}");
    assert!(lines.starts_with(
        "{\"schema\":\"crashlens/1\",\"command\":\"triage\",\"args\":[],\"dump\":\"dumps/vmcore\""
    ));
    fs::write(dumps.join("vmcore.2"), b"none").unwrap();
    check(&home, &["triage", "dumps", "-j", "1", "--state", "s"], 1, "that could not be looked at", "");
    check(&home, &["triage", SAMPLE], 0, "virtqueue_add_split+0x3d4", "");
    check(&home, &["--html", "triage", "dumps"], 2, "", "not with --html");
    check(&home, &["triage"], 2, "", "no folder was named");
    check(&home, &["triage", "nosuch"], 1, "", "nosuch: no such file or folder");
    check(&home, &["triage", "dumps", "-j", "0"], 2, "", "0");
}

#[test]
fn mcp_speaks_the_protocol_and_nothing_else_on_standard_output() {
    let home = tempfile::tempdir().unwrap();
    let input = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
        "\n",
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        "\n",
    );
    let out = run(home.path(), &["mcp", SAMPLE], input);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.lines().all(|line| line.starts_with("{\"jsonrpc\":\"2.0\"")), "{text}");
    assert!(text.contains("\"name\":\"crashlens\""), "{text}");
    check(&home, &["mcp", "/nosuch"], 1, "", "/nosuch: no such file");
    check(&home, &["mcp", "--help"], 0, "Model Context Protocol", "");
}

/// `crashlens --json triage DIR | head -1`
#[test]
fn triage_ends_where_nobody_reads_it_any_more() {
    const COUNT: usize = 3000;
    let home = tempfile::tempdir().unwrap();
    let dumps = home.path().join("dumps");
    fs::create_dir(&dumps).unwrap();
    (0..COUNT).for_each(|n| fs::write(dumps.join(format!("vmcore.{n}")), b"none").unwrap());
    let args = ["--no-search", "--json", "triage", "dumps", "-j", "1", "--state", "state"];
    let mut child = called::program(home.path(), &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // what is read ahead is dropped with it
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"end\":\"failed\""), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let looked_at = fs::read_to_string(home.path().join("state")).unwrap().lines().count();
    assert!(looked_at < COUNT, "all {looked_at} dumps were looked at");
}

#[test]
fn limits_hold_for_reports_and_many_dumps() {
    let home = tempfile::tempdir().unwrap();
    check(
        &home,
        &["--time-limit", "0", "report", SAMPLE, "-o", "x"],
        4,
        "",
        "the time limit of 0s was reached",
    );
    check(&home, &["--time-limit", "10m", "--memory-limit", "8G", "report", SAMPLE, "-o", "x"], 0, "", "");
    fs::create_dir(home.path().join("all")).unwrap();
    fs::copy(SAMPLE, home.path().join("all/vmcore")).unwrap();
    check(
        &home,
        &["--memory-limit", "1K", "triage", "all"],
        4,
        "0 dumps",
        "the memory limit of 1K was reached: 1 dumps were not",
    );
    check(&home, &["--time-limit", "10m", "triage", "all"], 0, "1 dumps, 1 signatures", "");
    check(&home, &["--time-limit", "10m", "mcp", SAMPLE], 0, "", "");
}

/// What the sandbox leaves is enough, and it is there.
#[test]
fn the_sandbox_holds_for_reports_and_many_dumps() {
    let home = tempfile::tempdir().unwrap();
    let plain = check(&home, &["report", SAMPLE, "-o", "-"], 0, "", "");
    check(&home, &["--sandbox", "report", SAMPLE, "-o", "page"], 0, "", "");
    assert_eq!(fs::read_to_string(home.path().join("page")).unwrap(), plain);
    check(&home, &["--sandbox", "report", SAMPLE], 0, "", "the report is in virtio-bug.kdump.html");
    check(&home, &["--sandbox", "report", SAMPLE, "--folder", "parts"], 0, "", "");
    assert!(home.path().join("parts/04-verdict.json").is_file());
    fs::create_dir(home.path().join("all")).unwrap();
    fs::copy(SAMPLE, home.path().join("all/vmcore")).unwrap();
    // a file that is not named is out of reach
    let out = tempfile::tempdir().unwrap();
    fs::copy(SAMPLE, out.path().join("vmcore")).unwrap();
    std::os::unix::fs::symlink(out.path().join("vmcore"), home.path().join("all/vmcore-link")).unwrap();
    check(&home, &["--sandbox", "triage", "all", "--state", "state"], 1, "2 dumps, 1 signatures", "");
    assert!(fs::read_to_string(home.path().join("state")).unwrap().lines().count() > 1);
    check(&home, &["triage", "all"], 0, "2 dumps, 1 signatures", "");
    check(&home, &["--sandbox", "mcp", SAMPLE], 0, "", "");
    check(&home, &["--sandbox", "mcp"], 2, "", "a dump has to be named");
}

#[test]
fn options_that_would_change_nothing_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for option in ["--no_panic", "--minimal", "--hex", "--crash-compat"] {
        for verb in ["triage", "report", "mcp"] {
            check(
                &home,
                &[option, verb, SAMPLE],
                2,
                "",
                &format!("{verb}: {option} would change nothing here"),
            );
        }
    }
}

#[test]
fn a_dump_that_is_not_there_is_named_and_help_knows_the_words() {
    let home = tempfile::tempdir().unwrap();
    check(&home, &["report", "nosuchdump"], 1, "", "report: nosuchdump: no such file");
    check(&home, &["report", "nosuchdump", "-o", "x"], 1, "", "report: nosuchdump: no such file");
    check(&home, &["mcp", "nosuchdump"], 1, "", "mcp: nosuchdump: no such file");
    check(&home, &["triage", "nosuchdump"], 1, "", "nosuchdump: no such file or folder");
    for (word, says) in [("report", "--redact"), ("triage", "--state"), ("mcp", "Model Context Protocol")] {
        check(&home, &["help", word], 0, says, "");
    }
}

#[test]
fn what_is_no_file_is_told_and_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let all = home.path().join("all");
    fs::create_dir(&all).unwrap();
    for name in ["vmcore-gone", "notes"] {
        std::os::unix::fs::symlink("/nosuch", all.join(name)).unwrap();
    }
    for name in ["vmcore.pipe", "pipe"] {
        let made = std::process::Command::new("mkfifo").arg(all.join(name)).status().unwrap();
        assert!(made.success());
    }
    let out = run(home.path(), &["triage", "all"], "");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (rows, told) = (text(&out.stdout), text(&out.stderr));
    assert!(rows.contains("failed: a link to /nosuch: No such file"), "{rows}");
    assert!(rows.contains("not a regular file") && rows.contains("2 that could not be looked at"), "{rows}");
    assert!(
        told.contains("all/notes: a link to /nosuch")
            && told.contains("all/pipe: a pipe (FIFO): passed over"),
        "{told}"
    );
}

/// What the program says under the name `crash` has that name.
#[test]
fn messages_have_the_name_that_the_program_was_called_by() {
    use std::os::unix::process::CommandExt as _;
    let home = tempfile::tempdir().unwrap();
    let whole = fs::read(SAMPLE).unwrap();
    fs::write(home.path().join("cut"), &whole[..whole.len() / 2]).unwrap();
    for args in [
        &["cut"][..],
        &["-s", "cut"],
        &["--osrelease", "cut"],
        &["-t", "cut"],
        &[],
        &["nosuch"],
        &["-x", SAMPLE],
    ] {
        let mut program = called::program(home.path(), args);
        let out = program.arg0("crash").stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!told.lines().any(|line| line.starts_with("crashlens: ")), "{args:?}: {told}");
        assert!(!told.contains("crashlens --help"), "{args:?}: {told}");
    }
}
