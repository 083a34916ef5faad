//! The analysis of a virtio front-end bug, step by step as an engineer types it, on the sample and with
//! no other file: symbols, types, modules' types, registers and patched code are in the dump itself.
//!
//! `story/virtio-bug.txt` holds each command behind a prompt and its answer. What the guest itself
//! printed before it died (`virtio-bug.truth.json`) is held against the answers as well.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

const PROMPT: &str = "crashlens> ";

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump")
}

/// The answers to command lines, given in one session.
fn answers(lines: &[&str]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lines");
    let mark = |n: usize| format!("answer {n} begins");
    let script: String =
        lines.iter().enumerate().map(|(n, line)| format!("!echo {}\n{line}\n", mark(n))).collect();
    std::fs::write(&file, script + "exit\n").unwrap();
    // errors where they happen, as a terminal shows them
    let out = Command::new("sh")
        .args(["-c", "exec \"$@\" 2>&1", "sh", env!("CARGO_BIN_EXE_crashlens"), "--no-search", "-s", "-i"])
        .arg(&file)
        .arg(sample())
        .env("HOME", home.path())
        .env("TZ", "UTC")
        .current_dir(home.path())
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    (0..lines.len())
        .map(|n| {
            let begin = format!("{}\n", mark(n));
            let rest = text.split_once(&begin).unwrap_or_else(|| panic!("no answer {n}:\n{text}")).1;
            rest.split(&mark(n + 1)).next().unwrap().trim_end().to_owned()
        })
        .collect()
}

fn answer(line: &str) -> String {
    answers(&[line]).remove(0)
}

#[test]
fn every_command_of_the_story_answers_as_written() {
    let written =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/story/virtio-bug.txt"))
            .unwrap();
    let steps: Vec<(&str, &str)> =
        written.split(PROMPT).skip(1).map(|step| step.split_once('\n').unwrap_or((step, ""))).collect();
    assert!(steps.len() > 10, "the story has {} steps", steps.len());
    let lines: Vec<&str> = steps.iter().map(|(line, _)| *line).collect();
    for ((line, want), got) in steps.iter().zip(answers(&lines)) {
        assert_eq!(got, want.trim_end(), "\n{PROMPT}{line}");
    }
}

#[test]
fn the_numbers_are_those_of_the_guest_s_oops() {
    let truth = std::fs::read_to_string(sample().with_extension("truth.json")).unwrap();
    let register = |name: &str| {
        let oops = &truth[truth.find("\"oops\"").unwrap()..];
        let from = oops.find(&format!("\"{name}\"")).unwrap();
        let value = oops[from..].split('"').nth(3).unwrap();
        u64::from_str_radix(value.trim_start_matches("0x"), 16).unwrap()
    };
    let (rdi, rdx) = (register("RDI"), register("RDX"));
    assert_eq!(rdx, 128);
    let bt = answer("bt");
    assert!(bt.contains("[exception RIP: virtqueue_add_split+980]"), "{bt}");
    assert!(bt.contains(&format!("RDX: {rdx:016x}")) && bt.contains(&format!("RDI: {rdi:016x}")), "{bt}");

    // the ring of 64 descriptors that the third argument, 128, does not fit
    let ring = answer(&format!("struct vring_virtqueue {rdi:x}"));
    assert!(ring.contains("        num = 64,\n"), "{ring}");
    let found = answers(&[
        "frame virtqueue_add_split",
        "p $rdx",
        "p ($rdx > ((struct vring_virtqueue *)$rdi)->split.vring.num)",
    ]);
    assert_eq!(found[1..], ["$1 = 128", "$2 = 1"]);
}

#[test]
fn the_offset_of_the_member_is_the_operand_of_the_comparison() {
    let code = answer("dis virtqueue_add_split");
    let lines: Vec<&str> = code.lines().collect();
    let trap = lines.iter().find(|l| l.contains("<virtqueue_add_split+980>:")).unwrap();
    assert!(trap.ends_with("\tud2"), "{trap}");
    let jump =
        lines.iter().position(|l| l.contains("jb ") && l.ends_with("<virtqueue_add_split+980>")).unwrap();
    // `cmp %r12d,0x60(%rbp)`
    let operand = lines[jump - 1].split("0x").last().unwrap().split('(').next().unwrap();
    let operand = u64::from_str_radix(operand, 16).unwrap();
    let layout = answer("struct -o vring_virtqueue.split.vring.num");
    assert!(layout.contains(&format!("[{operand}] unsigned int split.vring.num;")), "{operand}: {layout}");
}
