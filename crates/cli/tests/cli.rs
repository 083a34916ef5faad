//! The program as it is called: exit codes, streams, options. Needs no dump but the sample.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod called;

use std::io::Write;
use std::process::{Command, Output, Stdio};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump");

fn crashlens(args: &[&str]) -> Output {
    with_input(args, "")
}

fn with_input(args: &[&str], input: &str) -> Output {
    called::run(tempfile::tempdir().unwrap().path(), args, input)
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
    check(&["/nosuch/vmcore"], 1, "", "/nosuch/vmcore: no such file");
    check(&["bt", "/nosuch/vmcore"], 1, "", "/nosuch/vmcore: no such file");
    check(&["bt", "nosuch", "-a"], 1, "", "crashlens: nosuch: no such file (crashlens bt DUMP");
    let empty = tempfile::tempdir().unwrap();
    check(&[empty.path().to_str().unwrap()], 1, "", "is a directory");
    check(&["-i", "/nosuch/file"], 1, "", "--input /nosuch/file: no such file");
    check(&["info", "nosuch"], 1, "", "crashlens: nosuch: no such file (crashlens info DUMP");
    check(&["log", "nosuch", "-t"], 1, "", "crashlens: nosuch: no such file (crashlens log DUMP");
    check(&["verdict", "nosuch"], 1, "", "crashlens: nosuch: no such file (crashlens verdict DUMP");
    check(&["-c", "eval nosuch + 1"], 1, "", "nosuch is neither a number nor a symbol");
    check(&["--mod", "nosuch", SAMPLE, "-c", "mod"], 1, "", "--mod nosuch: no such folder");
    let file = format!("--mod {SAMPLE}: is a file, and --mod takes a folder");
    check(&["--mod", SAMPLE, SAMPLE, "-c", "mod"], 2, "", &file);
    check(&["--src", "/nosuch/src", "-c", "ptob 1"], 1, "", "--src /nosuch/src: no such folder or file");
}

#[test]
fn wrong_usage_says_what_is_right_and_exits_with_2() {
    check(&[], 2, "", "no dump was named");
    check(&["--nosuch"], 2, "", "unexpected argument '--nosuch'");
    check(&["-c", "nosuch"], 2, "", "crashlens: command not found: nosuch");
    check(&["-c", "ptob -Z"], 2, "", "ptob: invalid option -- 'Z'\nUsage:\n  ptob");
    check(&["ptob"], 2, "", "Usage:");
    // arguments that are none, whatever the dump holds
    for (line, why) in [
        ("ptob zz", "ptob: invalid"),
        ("eval 1 +", "a number is missing"),
        ("eval -a", "eval: invalid option -- 'a'"),
        ("eval -d -5", "eval: invalid option -- 'd'"),
        ("set radix 11", "11 is neither 10 nor 16"),
        ("help nosuch", "No help data for \"nosuch\""),
        ("repeat --seconds -1 ptob 1", "no pause"),
    ] {
        check(&["-c", line], 2, "", why);
    }
    for (line, why) in [
        ("bt -c 99", "invalid cpu specification: 99"),
        ("dis -b 0x99", "more than 64 bytes"),
        ("dis vfs_read 0", "invalid count"),
        ("pte zz", "pte: invalid input"),
        ("rd -r out jiffies", "-r requires a count"),
        ("search -m zz 0", "invalid mask"),
        ("tree -t zz 0", "invalid tree type"),
        ("foreach 1 2", "no command to run"),
        ("foreach bt -c 0", "not about a single task"),
        ("struct task_struct ffffffff81000000 0", "invalid count"),
    ] {
        check(&[SAMPLE, "--no-search", "-c", line], 2, "", why);
    }
    // what is no mistake of the line's: the dump does not have it
    for (line, why) in [
        ("bt 99999", "invalid task or pid"),
        ("rd nosuch", "symbol not found"),
        ("ps nosuch", "ps: invalid task or pid value: nosuch"),
        ("ps -p 'nosuch.*'", "ps: invalid task or pid value: 'nosuch.*'"),
        ("bt -R nosuch", "bt: symbol not found: nosuch"),
        ("bt -R jiffies", "bt: no frame of the tasks asked for (1) has jiffies"),
        ("bt -a -R ffff123412341234", "bt: no frame of the tasks asked for (2) has ffff123412341234"),
        ("foreach bt -R nosuch", "bt: symbol not found: nosuch"),
        ("foreach active bt -R jiffies", "foreach: nothing to show: none of 2 tasks has what was asked for"),
        ("foreach 'nosuch.*' bt", "foreach: no task is meant"),
        ("sys -c nosuch", "sys: no system call of this name or number: nosuch"),
    ] {
        check(&[SAMPLE, "--no-search", "-c", line], 1, "", why);
    }
    check(&["-c", "ptob 1 |"], 2, "", "a shell command must follow |");
    check(&["ps"], 2, "", "ps: needs an open dump, and none was named: crashlens ps DUMP");
    check(&["--json", "-c", "ps"], 2, "\"error\":\"ps: needs an open dump", "");
    check(&["--hyper", SAMPLE], 2, "", "crashlens: --hyper: Xen's dumps are not read\n");
    check(
        &["verdct", SAMPLE],
        2,
        "",
        "verdct: no such file, and no command of this name (did you mean verdict?)",
    );
    let bt = format!(
        "bt is a command, not a file: it goes first (crashlens bt {SAMPLE}), or behind -c (crashlens {SAMPLE} -c bt)"
    );
    check(&[SAMPLE, "bt"], 2, "", &bt);
    let all =
        format!("it goes first (crashlens bt {SAMPLE} -a), or behind -c (crashlens {SAMPLE} -c 'bt -a')");
    check(&[SAMPLE, "bt", "-a"], 2, "", &all);
    check(&["-c", SAMPLE], 2, "", "is a file, not a command; -c takes a command\nUsage:\n  crashlens ");
}

#[test]
fn all_commands_run_and_the_first_failure_is_the_exit_code() {
    check(&["-c", "nosuch", "-c", "ptob 1"], 2, "1: 1000", "command not found");
    check(&["-c", "! false", "-c", "nosuch", "-c", "ptob 1"], 1, "1: 1000", "command not found");
    check(&["-c", "ptob 1", "-c", "ptob zz"], 2, "1: 1000", "ptob: invalid");
    check(&["-c", "ptob 1 | nosuch-command", "-c", "ptob 2"], 1, "2: 2000", "behind |");
    check(&["-c", "! exit 7", "-c", "ptob 2"], 1, "2: 2000", "");
    let out = crashlens(&["--fail-fast", "-c", "ptob 1", "-c", "nosuch", "-c", "ptob 2"]);
    assert_eq!((out.status.code(), &out.stdout[..]), (Some(2), &b"1: 1000\n"[..]));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    std::fs::write(&file, "ptob -Z\nptob 1\n").unwrap();
    let file = file.to_str().unwrap();
    check(&["-i", file, "-c", "ptob 2"], 2, "1: 1000\n2: 2000\n", &format!("{file}:1: ptob: invalid"));
    let out = crashlens(&["--fail-fast", "-i", file, "-c", "ptob 2"]);
    assert_eq!((out.status.code(), &out.stdout[..]), (Some(2), &b""[..]));
    let out = with_input(&["-s", "-i", "/dev/null"], "ptob -Z\nptob 1\n");
    assert_eq!((out.status.code(), &out.stdout[..]), (Some(2), &b"1: 1000\n"[..]));
    let out = with_input(&["-s", "-i", "/dev/null", "--fail-fast"], "ptob -Z\nptob 1\n");
    assert_eq!((out.status.code(), &out.stdout[..]), (Some(2), &b""[..]));
}

#[test]
fn packed_dumps_and_folders_of_one_dump_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let sh = |line: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).arg(env!("CARGO_BIN_EXE_crashlens")).arg(SAMPLE);
        shell
            .env("HOME", folder.path())
            .env_remove("XDG_CACHE_HOME")
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    assert!(sh("gzip -1 < \"$1\" > packed; mkdir 2026 two; cp \"$1\" 2026/vmcore; echo dmesg > 2026/vmcore-dmesg.txt; \
                cp \"$1\" two/a; cp \"$1\" two/b; tar -czf case.tgz 2026").status.success());
    // a core of a process lies beside the dump
    let core = testkit::dump::ElfPieces::default()
        .load(0, &[1; 4096], 4096)
        .notes(&testkit::dump::note("CORE", 6, &[0; 16]))
        .build();
    std::fs::write(folder.path().join("2026/core.1234"), core).unwrap();
    for name in ["packed", "2026", "2026/", "case.tgz"] {
        let out = sh(&format!("\"$0\" sys {name} --no-search"));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            text.contains("RELEASE: 6.1.0-56-cloud-amd64"),
            "{name}: {text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let errors = |line: &str| {
        let out = sh(line);
        assert_eq!(out.status.code(), Some(1), "{line}");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    assert!(
        errors("\"$0\" sys two --no-search")
            .contains("two: is a directory with 2 dumps: two/b, two/a; name one")
    );
    // all parts of a split set are one dump
    let spec = testkit::dump::DumpSpec::x86_64().page(0x10, &[7; 4096]).page(0x20, &[8; 4096]);
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    for (n, part) in spec.split(testkit::dump::Packing::Plain, &[0x18]).iter().enumerate() {
        std::fs::write(folder.path().join(format!("parts/vmcore.{n}")), part).unwrap();
    }
    // shown as it was named, not as it lies in the cache
    let shown = |line: &str| String::from_utf8_lossy(&sh(line).stdout).into_owned();
    let both = shown("\"$0\" parts --no-search -c 'rd -p 10000' -c 'rd -p 20000'");
    assert!(both.contains("0707070707070707") && both.contains("0808080808080808"), "{both}");
    assert!(shown("\"$0\" sys packed --no-search").contains("DUMPFILE: packed\n"));
    assert!(shown("\"$0\" info case.tgz --no-search").contains("DUMP: case.tgz (2026/vmcore)\n"));
    // folders of folders, as /var/crash has them
    assert!(sh("mkdir -p one/127.0.0.1-2026 crash/1 crash/2; cp \"$1\" one/127.0.0.1-2026/vmcore; cp \"$1\" crash/1/vmcore; \
                gzip -1 < \"$1\" > crash/2/vmcore.gz; tar -cf both.tar two/a two/b; head -c 9000000 packed > cut.gz")
        .status
        .success());
    assert!(shown("\"$0\" sys one --no-search").contains("DUMPFILE: one/127.0.0.1-2026/vmcore\n"));
    let told = errors("\"$0\" sys crash --no-search");
    assert!(
        told.contains("crash: is a directory with 2 dumps: crash/2/vmcore.gz, crash/1/vmcore; name one"),
        "{told}"
    );
    let told = errors("\"$0\" sys both.tar --no-search");
    assert!(told.contains("both.tar: holds 2 dumps: two/a, two/b; unpack it and name one"), "{told}");
    // what was named is read as well as what lies in the cache for it
    for name in ["case.tgz", "packed"] {
        let told = errors(&format!("\"$0\" {name} --no-search -c 'rd -p -r {name} 100000 16'"));
        assert!(told.contains(&format!("{name}: is open as the dump or beside it")), "{told}");
    }
    // what is cut off is read as far as it goes
    let cut = sh("\"$0\" info cut.gz --no-search");
    assert_eq!(cut.status.code(), Some(4));
    let text = String::from_utf8_lossy(&cut.stdout).into_owned();
    assert!(
        text.contains("STATE: the dump is not complete") && text.contains("cut.gz: is cut off"),
        "{text}"
    );
}

/// Nothing is written to a file that is read, under whatever name: a dump is evidence.
#[test]
fn nothing_is_written_to_an_open_file() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("vmcore");
    let core = testkit::dump::ElfPieces::default()
        .load(0x1000, &[7; 4096], 4096)
        .notes(&testkit::dump::note("QEMU", 0, &[0; 440]))
        .build();
    std::fs::write(&dump, &core).unwrap();
    std::os::unix::fs::symlink("vmcore", folder.path().join("link")).unwrap();
    for name in ["vmcore", "link"] {
        let target = folder.path().join(name);
        let target = target.to_str().unwrap();
        for line in [
            format!("rd -p -r {target} 1000 16"),
            format!("rd -p 1000 > {target}"),
            format!("rd -p 1000 >> {target}"),
            format!("set error {target}"),
        ] {
            let out = crashlens(&["-c", &line, "-c", "rd nosuch", dump.to_str().unwrap()]);
            let told = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(told.contains("is open as the dump or beside it"), "{line}: {told}");
            assert!(std::fs::read(&dump).unwrap() == core, "{line}");
        }
    }
}

/// A list of symbols goes with a dump where memory and VMCOREINFO have them at its addresses.
#[test]
fn a_system_map_is_held_against_the_dump() {
    let folder = tempfile::tempdir().unwrap();
    let listed = crashlens(&["sym", SAMPLE, "--no-search", "-l"]);
    let rows: Vec<(u64, String)> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .take_while(|line| !line.contains("MODULE"))
        .filter_map(|line| {
            let (at, rest) = line.split_once(" (")?;
            let (kind, name) = rest.split_once(") ")?;
            Some((u64::from_str_radix(at, 16).ok()?, format!("{kind} {name}")))
        })
        .collect();
    assert!(rows.len() > 50_000, "{}", rows.len());
    let at = |name: &str| rows.iter().find(|(_, row)| row[2..] == *name).unwrap().0;
    let (first, last) = (at("_text"), at("_end"));
    // as it was linked: KASLR moved it by 2 MiB times 9
    let write = |name: &str, moved: &dyn Fn(&str) -> u64| {
        let line = |(at, row): &(u64, String)| {
            let inside = (first..=last).contains(at);
            format!("{:016x} {row}\n", if inside { at - (9 << 21) + moved(&row[2..]) } else { *at })
        };
        let path = folder.path().join(name);
        std::fs::write(&path, rows.iter().map(line).collect::<String>()).unwrap();
        path.display().to_string()
    };
    let right = write("System.map", &|_| 0);
    for args in [&["sym", "jiffies", SAMPLE, &right][..], &["sym", &right, SAMPLE, "jiffies"]] {
        check(&[args, &["--no-search"]].concat(), 0, &format!("{:016x} (D) jiffies", at("jiffies")), "");
    }
    let banner = write("banner.map", &|name| if name == "linux_banner" { 64 } else { 0 });
    let other = write("other.map", &|name| if name == "_stext" || name == "_text" { 0 } else { 0x1000 });
    for (map, why) in [(&banner, "banner is not at"), (&other, "in VMCOREINFO, and at")] {
        check(&["sys", SAMPLE, map, "--no-search"], 1, "", "belongs to another kernel than the dump");
        check(&["sys", SAMPLE, map, "--no-search"], 1, "", why);
        check(&["sys", SAMPLE, map, "--no-search", "--force"], 0, "RELEASE", "used by force");
    }
    check(&["sys", &right], 1, "", "a System.map is no dump: name the dump as well");
    check(&["sys", SAMPLE, &right, &other], 1, "", "two lists of symbols");
}

/// The shell makes the file before the program begins.
#[test]
fn a_commands_name_comes_first_whatever_files_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let mut shell = Command::new("sh");
        let out = shell.arg("-c").arg(line).arg(env!("CARGO_BIN_EXE_crashlens")).arg(SAMPLE);
        let out = out.current_dir(folder.path()).env("HOME", folder.path()).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    run("\"$0\" log \"$1\" --no-search > log");
    assert!(text("log").contains("Linux version 6.1.0"));
    // the file is there already
    run("\"$0\" log \"$1\" --no-search >> log");
    // a word of the command's that is a file now
    run("\"$0\" sym \"$1\" jiffies --no-search > jiffies");
    assert!(text("jiffies").contains(" jiffies"));
    run("\"$0\" sym jiffies \"$1\" --no-search 2> jiffies > out");
    assert!(text("out").contains(" jiffies"));
}

#[test]
fn a_bad_line_of_an_rc_file_is_named_with_file_and_line() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".crashrc"), "set radix 16\n# a comment\nnosuch 1\nptob -Z\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(["-c", "ptob 1"])
        .env("HOME", home.path())
        .current_dir("/")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    let rc = home.path().join(".crashrc");
    assert!(
        errors.contains(&format!("crashlens: {}:3: command not found: nosuch", rc.display())),
        "{errors}"
    );
    assert!(errors.contains(&format!("{}:4: ptob: invalid option", rc.display())), "{errors}");
    assert_eq!(out.status.code(), Some(0), "{errors}");
}

/// Files of lines that name themselves, or each other: each line of theirs runs once, and the line that would begin again
/// is named.
#[test]
fn files_of_lines_do_not_name_themselves() {
    let home = tempfile::tempdir().unwrap();
    for (name, lines) in [
        (".crashrc", "alias pp ptob\n< .crashrc\n< ./.crashrc\n"),
        ("one", "ptob 1\n< two\n"),
        ("two", "ptob 2\n< one\nptob 3\n"),
    ] {
        std::fs::write(home.path().join(name), lines).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crashlens"));
        let out = command.args(args).env("HOME", home.path()).current_dir(home.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(out.stdout), text(out.stderr), out.status.code())
    };
    let (out, errors, code) = run(&["-c", "pp 1"]);
    assert_eq!((out.as_str(), code), ("1: 1000\n", Some(0)));
    let rc = home.path().join(".crashrc").display().to_string();
    for line in [format!("{rc}:2: .crashrc: "), format!("{rc}:3: ./.crashrc: ")] {
        assert!(errors.contains(&format!("crashlens: {line}its lines are being run")), "{errors}");
    }
    assert_eq!(errors.lines().count(), 2, "{errors}");
    let (out, errors, code) = run(&["--no_crashrc", "-s", "-c", "< one", "-c", "ptob 4"]);
    assert_eq!((out.as_str(), code), ("1: 1000\n2: 2000\n3: 3000\n4: 4000\n", Some(1)));
    assert!(errors.starts_with("crashlens: two:2: one: its lines are being run"), "{errors}");
    // the same file may be named again behind
    let (out, _, code) = run(&["--no_crashrc", "-s", "-i", "two", "-i", "two"]);
    assert_eq!((out.matches("3: 3000").count(), code), (2, Some(1)), "{out}");
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
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn a_bad_byte_spoils_its_line_only() {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(b"ptob 1\n# \xff\nptob 2\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(["-s", "-i", "/dev/null"])
        .stdin(std::fs::File::open(script.path()).unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1: 1000\n2: 2000\n");
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn a_page_has_what_failed_too() {
    check(
        &["--html", "-c", "ptob 1", "-c", "eval nosuch + 1"],
        1,
        "nosuch is neither a number nor a symbol",
        "",
    );
}

/// Bytes that were asked for and are not there: the answer is not whole. All of a whole dump is.
#[test]
fn an_answer_that_lost_a_part_exits_with_4() {
    let end = std::fs::metadata(SAMPLE).unwrap().len() - 16;
    check(&[SAMPLE, "-c", &format!("rd -f {end:x} 8")], 4, "past the end", "");
    check(&[SAMPLE, "-c", &format!("rd -f {end:x} 2")], 0, "", "");
    check(&[SAMPLE, "-c", "sys", "-c", "mod", "-c", "log -T", "-c", "verdict", "-c", "bt -t"], 0, "", "");
}

/// `exit` in a file of settings ends that file: what the user asked for is answered.
#[test]
fn exit_in_an_rc_file_ends_only_that_file() {
    let home = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".crashrc"), "alias one ptob\nq\nalias one btop\n").unwrap();
    std::fs::write(here.path().join(".crashrc"), "alias two ptob\nexit\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(["-c", "one 1", "-c", "two 2", "-c", "q", "-c", "ptob 3"])
        .env("HOME", home.path())
        .current_dir(here.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1: 1000\n2: 2000\n");
}

/// Whatever is asked: a kernel that the dump does not have is an error that names those that it has.
#[test]
fn a_kernel_that_is_not_there_is_an_error() {
    for option in ["--log", "--osrelease", "--build-id", "-t"] {
        check(&[SAMPLE, "--kernel", "9", option], 1, "", "--kernel 9: this dump has: kernel 1");
    }
    for command in ["info", "sys", "log", "rd -p 1000"] {
        check(&[SAMPLE, "--kernel", "9", "-c", command], 1, "", "--kernel 9: this dump has: kernel 1");
    }
    check(&[SAMPLE, "--kernel", "1", "--osrelease"], 0, "6.1.0-56-cloud-amd64", "");
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

/// Many objects are shown as they are read: a command that would never end begins to answer.
#[test]
fn many_objects_come_in_parts() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump");
    let args = ["--json", "--no-debuginfod", "--no-search", "-c", "struct list_head init_task 130", sample];
    let out = crashlens(&args);
    let text = String::from_utf8(out.stdout).unwrap();
    let counts: Vec<usize> = text.lines().map(|part| part.matches("\"address\":").count()).collect();
    assert_eq!(counts, [64, 64, 2]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for args in [
        &["repeat", "ascii"][..],
        &["--html", "-c", "ascii", "-c", "help"],
        &["--json", "-c", "help"],
        &["--help"],
        &["--generate-man"],
        &["--generate-completion", "bash"],
        &["--osrelease", SAMPLE],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crashlens"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{args:?}");
    }
}

#[test]
fn man_page_and_completions_follow_from_the_options() {
    check(&["--generate-man"], 0, ".TH crashlens 1", "");
    check(&["--generate-man"], 0, ".SH \"EXIT STATUS\"", "");
    check(&["--help"], 0, "  2    wrong usage", "");
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
    let id = crashlens(&["--build-id", SAMPLE]);
    let id = String::from_utf8_lossy(&id.stdout).trim_end().to_owned();
    assert!(id.len() == 40 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
}
