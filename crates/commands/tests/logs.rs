//! The text of a log in the place of a dump: what `verdict`, `log` and `sys` make of it, and of what is none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use base::Cancel;
use commands::{Cx, Settings, run, split_words};
use kernel::{Image, Layers, OpenOptions};
use std::ops::ControlFlow;

/// An oops as a console has it.
const OOPS: &str = "\
[    0.000000] Linux version 6.1.0-9-amd64 (gcc) #1 SMP Debian 6.1.27-1 (2023-05-08)
[    3.500000] zoo: loading out-of-tree module taints kernel.
[    3.600000] WARNING: CPU: 1 PID: 103 at kernel/a.c:12 early+0x10/0x20
[    3.600000] ---[ end trace 0000000000000000 ]---
[    3.693917] ------------[ cut here ]------------
[    3.694008] kernel BUG at zoo/asserts.c:64!
[    3.694495] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
[    3.694695] CPU: 1 PID: 103 Comm: sh Tainted: G           OE      6.1.0-9-amd64 #1  Debian 6.1.27-1
[    3.694938] Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-debian-1.16.2-1 04/01/2014
[    3.695157] RIP: 0010:ring_place+0x66/0x70 [zoo]
[    3.695483] Code: 0f b7 41 30 31 d2 01 f0 83 c6 01 f7 71 20 48 8b 41 28 4c 89 04 d0 39 f7 75 e6 66 03 79 30 <0f> 0b 0f 1f
[    3.695807] RSP: 0018:ff6e2e5e803f3b50 EFLAGS: 00000297
[    3.695917] RAX: 0000000000000026 RBX: ff244325823e4340 RCX: ff244325823e4340
[    3.696973] Call Trace:
[    3.696973]  <TASK>
[    3.696973]  ring_submit+0x19/0x30 [zoo]
[    3.696973]  ? stale+0x1/0x10
[    3.696973]  proc_reg_write+0x56/0xa0
[    3.696973]  vfs_write+0xc7/0x3f0
[    3.696973]  ksys_write+0x6b/0xf0
[    3.696973]  do_syscall_64+0x5d/0x90
[    3.696973]  entry_SYSCALL_64_after_hwframe+0x6e/0xd8
[    3.696973] RIP: 0033:0x47b7a0
[    3.696973] RSP: 002b:00007ffd082d7178 EFLAGS: 00000202 ORIG_RAX: 0000000000000001
[    3.696973]  </TASK>
[    3.696973] Modules linked in: zoo(OE)
[    3.708614] ---[ end trace 0000000000000000 ]---
[    3.710369] Kernel panic - not syncing: Fatal exception
[    3.712652] Kernel Offset: 0x2d200000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)
";
const SIGNATURE: &str = "bug:ring_place:ring_submit:proc_reg_write:vfs_write";

/// The answer to a line, or the error.
fn ask(text: &[u8], line: &str) -> Result<String, String> {
    let mut options = OpenOptions::default();
    options.no_search = true;
    let dump = dump::Dump::from_bytes(vec![text.to_vec()]).map_err(|e| e.to_string())?;
    let image = Image::of(dump, &options).map_err(|e| e.to_string())?;
    let layers = Layers::new(options, image);
    let (mut settings, cancel) = (Settings::default(), Cancel::new());
    let mut sink = |_: &report::Report| ControlFlow::Continue(());
    let mut cx = Cx::new(Some(&layers), &mut settings, &cancel, &mut sink);
    let report = run(&mut cx, &split_words(line)).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    render::text(&report, render::Colour::Plain, &mut out).unwrap();
    let mut text = String::from_utf8(out).unwrap();
    text.extend(layers.news().iter().map(|news| format!("{news}\n")));
    Ok(text)
}

#[test]
fn a_log_has_a_verdict() {
    let text = ask(OOPS.as_bytes(), "verdict").unwrap();
    for part in [
        "VERDICT    kernel BUG: assertion failed in ring_place+0x66 [zoo]   zoo/asserts.c:64\n",
        "CONDITION  kernel BUG at zoo/asserts.c:64!\n",
        "CONTEXT    the log names sh[103] on CPU 1",
        "kernel 6.1.0-9-amd64",
        "QEMU Standard PC (i440FX + PIIX, 1996)",
        "O module out of tree, E module unsigned",
        "TRACE      ring_place+0x66 [zoo]\n",
        "\n           ? stale+0x1\n",
        "\n           vfs_write+0xc7\n",
        "rax 0000000000000026",
        "WARNING: CPU: 1 PID: 103 at kernel/a.c:12 early+0x10/0x20",
        "UNKNOWN    not in a log: ",
        SIGNATURE,
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert_eq!(text.matches("UNKNOWN").count(), 1, "{text}");
    let sys = ask(OOPS.as_bytes(), "sys").unwrap();
    for part in
        ["RELEASE: 6.1.0-9-amd64", "MACHINE: x86_64", "at least 00:00:03", "kernel BUG at zoo/asserts.c:64!"]
    {
        assert!(sys.contains(part), "{part}:\n{sys}");
    }
    let log = ask(OOPS.as_bytes(), "log").unwrap();
    assert!(log.contains("[    3.694008] kernel BUG at zoo/asserts.c:64!\n"), "{log}");
    for line in ["ps", "bt", "mod", "sys -t", "rd 0"] {
        let why = ask(OOPS.as_bytes(), line).unwrap_err();
        assert!(why.contains("not in a log"), "{line}: {why}");
    }
}

/// The oops with other things before its messages.
#[test]
fn however_it_was_written_a_log_says_the_same() {
    let signature = |text: &str| {
        let text = ask(text.as_bytes(), "verdict").unwrap();
        text.lines().last().unwrap_or_default().to_owned()
    };
    let want = signature(OOPS);
    assert!(want.ends_with(SIGNATURE), "{want}");
    let each = |change: &dyn Fn(&str, &str) -> String| -> String {
        OOPS.lines().map(|line| line.split_at(15)).map(|(stamp, text)| change(stamp, text)).collect()
    };
    let forms: [(&str, String); 9] = [
        ("levels", each(&|stamp, text| format!("<4>{stamp}{text}\n"))),
        (
            "threads",
            each(&|stamp, text| format!("{}][  T103]{text}\r\n", stamp.trim_end().trim_end_matches(']'))),
        ),
        ("CPUs", each(&|stamp, text| format!("{stamp}[    C1] {text}\n"))),
        ("no times", each(&|_, text| format!("{}\n", text.strip_prefix(' ').unwrap_or(text)))),
        ("dates", each(&|_, text| format!("[Mon Nov 30 12:31:42 2026]{text}\n"))),
        ("syslog", each(&|stamp, text| format!("Nov 30 12:31:42 host kernel: {stamp}{text}\n"))),
        ("records", each(&|_, text| format!("4,339,3694008,-;{}\n", text.strip_prefix(' ').unwrap_or(text)))),
        ("colours", each(&|stamp, text| format!("\u{1b}[32m{stamp}\u{1b}[0m{text}\n"))),
        ("a login", each(&|stamp, text| format!("\u{0}login: {stamp}{text}\r\n"))),
    ];
    for (name, text) in forms {
        assert_eq!(signature(&text), want, "{name}:\n{text}");
    }
    // what other programs wrote between, and a line without end
    let noise = "x".repeat(2 << 20);
    let mixed = OOPS.replace(
        "[    3.693917]",
        &format!("Nov 30 12:00:00 host a[1]: Kernel panic - not syncing: x\n{noise}\n[    3.693917]"),
    );
    assert_eq!(signature(&mixed), want);
}

#[test]
fn of_several_deaths_and_boots_the_last_death_counts() {
    let alive =
        "[    0.000000] Linux version 6.1.0-9-amd64 (gcc) #1 SMP\n[    1.000000] Run /init as init process\n";
    let text = ask(format!("{OOPS}{alive}").as_bytes(), "verdict").unwrap();
    assert!(text.contains(SIGNATURE) && text.contains("2 boots: this is number 1"), "{text}");
    let other = OOPS.replace("ring_place", "another").replace("asserts.c:64", "asserts.c:99");
    let text = ask(format!("{OOPS}{other}").as_bytes(), "verdict").unwrap();
    assert!(text.contains("bug:another") && text.contains("this is number 2"), "{text}");
    // survived in one boot
    let survived = OOPS.replace("[    3.710369] Kernel panic - not syncing: Fatal exception\n", "");
    let second = other.replace("[#1]", "[#2]");
    let second = second.split_once("[    3.693917]").unwrap().1;
    let text = ask(format!("{survived}[    4.693917]{second}").as_bytes(), "verdict").unwrap();
    assert!(text.contains("bug:another"), "{text}");
    assert!(text.contains("HISTORY") && text.contains("kernel BUG at zoo/asserts.c:64!"), "{text}");
}

/// What is said to show a statement answers here too: there is no memory.
#[test]
fn a_logs_evidence_is_the_log() {
    let text = ask(OOPS.as_bytes(), "verdict -v").unwrap();
    for wrong in ["[memory]", "mod -t", "sys -i", "bt"] {
        let shown = |line: &&str| line.contains("  [") && line.contains(wrong);
        assert_eq!(text.lines().find(shown), None, "{text}");
    }
    assert!(text.contains("[log]  log"), "{text}");
}

/// A folder of known issues that is of no use: the shipped ones still serve, and it is told.
#[test]
fn known_issues_that_are_not_there_are_told() {
    let text = ask(OOPS.as_bytes(), "verdict --known /nosuch").unwrap();
    assert!(text.contains(SIGNATURE) && !text.contains("UNKNOWN    known"), "{text}");
    assert!(text.contains("known issues of --known: /nosuch: No such file"), "{text}");
    assert!(ask(OOPS.as_bytes(), "verdict -b --known /nosuch").is_err(), "a short verdict compares none");
}

#[test]
fn what_is_no_log_or_has_no_death_is_told() {
    let alive =
        "[    0.000000] Linux version 6.1.0-9-amd64 (gcc) #1 SMP\n[    1.000000] Run /init as init process\n";
    let text = ask(alive.as_bytes(), "verdict").unwrap();
    assert!(text.starts_with("VERDICT    no crash in this log"), "{text}");
    assert!(!text.contains("living") && text.contains("SIGNATURE  <not known"), "{text}");
    let prose = "a letter about a kernel that did not panic\n".repeat(200);
    assert!(ask(prose.as_bytes(), "verdict").unwrap_err().contains("no message of a kernel"));
    assert!(ask(b"", "verdict").is_err());
    let noise: Vec<u8> = (0..1_u32 << 16).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    assert!(ask(&noise, "verdict").is_err());
}

#[test]
fn half_an_oops_makes_no_panic() {
    for at in (0..OOPS.len()).step_by(37).filter(|at| *at > 100) {
        for part in [&OOPS[..at], &OOPS[at..]] {
            let _ = ask(part.as_bytes(), "verdict");
        }
    }
}

/// Bytes that a line or a disk changed: no panic, and no endless work.
#[test]
fn changed_bytes_do_no_harm() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..200 {
        let mut text = OOPS.as_bytes().to_vec();
        for _ in 0..=next(12) {
            let at = next(text.len());
            match next(4) {
                0 => text[at] = u8::try_from(next(256)).unwrap(),
                1 => text.truncate(at.max(200)),
                2 => {
                    let (from, len) = (next(text.len()), next(300));
                    let part = text[from..text.len().min(from + len)].to_vec();
                    text.splice(at..at, part);
                }
                _ => {
                    let end = text.len().min(at + next(80));
                    text.drain(at..end);
                }
            }
        }
        let _ = ask(&text, "verdict");
    }
}
