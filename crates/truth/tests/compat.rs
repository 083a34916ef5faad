//! `--crash-compat` and the program under the name `crash`: the bytes of crash 9, on the lists of commands that other
//! programs give to crash.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use crashlens_truth::peers::Crash;
use crashlens_truth::program::texts;
use crashlens_truth::{Case, corpus};

/// Who asks, and what.
const LISTS: &[(&str, &[&str])] = &[
    // analyzevmcore, whose report supportconfig takes along; between these it echoes headings, which crash writes at
    // once and not in the order of its answers
    ("supportconfig", &["sys", "mach", "log", "ps", "runq", "bt", "bt -a"]),
    // its worker, and `mod` by which it sees whether crash can read the dump
    ("retrace-server", &["log", "sys", "mod"]),
    ("hotkdump", &["sys", "kmem -i", "net", "dev -d", "mount", "log", "bt", "files", "vm", "ps -m", "ps -G"]),
    // the tests of kdump that come with kdump-utils' distribution
    (
        "kdump-utils",
        &[
            "swap",
            "mod",
            "runq",
            "mount",
            "vm",
            "net",
            "set",
            "set -p",
            "bt",
            "bt -t",
            "bt -T",
            "bt -e",
            "bt -a",
            "bt 0",
            "ps",
            "ps -k",
            "ps -u",
            "ps -s",
            "kmem -i",
            "kmem -s",
            "task",
            "p jiffies",
            "sym jiffies",
            "rd -d jiffies",
        ],
    ),
];

/// A kind of difference: what it is, and whether the two lines (crash's, ours) differ by it.
type Kind = (&'static str, fn(&str, &str) -> bool);

const KINDS: &[Kind] = &[
    ("blanks at the end of lines, which crash's columns leave", |theirs, ours| {
        theirs.trim_end() == ours.trim_end()
    }),
    ("kmem -i: crash's count of committed pages lacks what CPUs have not added yet", |theirs, ours| {
        [theirs, ours].iter().all(|line| line.trim_start().starts_with("COMMITTED "))
    }),
    ("mach: the stacks for machine checks and for #VC, which crash does not find", |theirs, ours| {
        let is_stack = |line: &str| {
            let line = line.trim();
            line.is_empty() || ["STACK", "CPU "].iter().any(|word| line.contains(word))
        };
        is_stack(theirs) && is_stack(ours)
    }),
];

/// The book lists the kinds, each once, and they are at most five.
#[test]
fn the_book_lists_the_kinds_of_difference() {
    let book = include_str!("../../../docs/book/src/from-crash.md");
    let part = book.split("## Byte for byte").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = part.lines().filter(|line| line.starts_with("| ")).skip(1).count();
    assert_eq!(rows, KINDS.len());
    assert!(KINDS.len() <= 5);
}

/// The dumps: such that a crash kernel saved and a filter wrote, with the kernel's file.
fn cases() -> Vec<(Case, PathBuf)> {
    let kdump = |case: Case| {
        let file = std::fs::read_dir(&case.dir).ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let mut files: Vec<PathBuf> =
            file.filter(|path| path.extension().is_some_and(|e| e == "kdump")).collect();
        files.sort();
        let plain = |path: &PathBuf| !path.to_string_lossy().contains("capturing");
        Some((case, files.into_iter().find(plain)?))
    };
    let is_saved = |case: &Case| ["vmlinux", "vmcore"].iter().all(|name| case.dir.join(name).exists());
    let all = corpus().unwrap().into_iter().filter(is_saved);
    all.filter(|case| case.name.starts_with("6.1/")).filter_map(kdump).collect()
}

#[test]
fn the_lists_of_other_programs_are_answered_byte_for_byte() {
    let Some(crash) = Crash::find().unwrap() else { return };
    assert!(KINDS.len() <= 5);
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unlike = String::new();
    let mut lines_compared = 0;
    // each line once, with those who ask it
    let mut asked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    LISTS
        .iter()
        .for_each(|(who, list)| list.iter().for_each(|line| asked.entry(*line).or_default().push(who)));
    let lines: Vec<String> = asked.keys().map(|line| (*line).to_owned()).collect();
    for (case, dump) in cases() {
        let name = dump.file_name().unwrap().to_string_lossy().into_owned();
        let theirs = crash.ask(&case.dir, &["vmlinux", &name], &lines).unwrap();
        let ours = texts(&["--crash-compat"], &[case.dir.join("vmlinux"), dump.clone()], &lines).unwrap();
        for (((line, who), theirs), ours) in asked.iter().zip(theirs).zip(ours) {
            // the files have the names of the folder that each program sees
            let ours = ours.replace(&format!("{}/", case.dir.display()), "");
            lines_compared += theirs.lines().count();
            for what in differences(&theirs, &ours, &mut used) {
                unlike.push_str(&format!("{}: {line} ({}): {what}\n", case.name, who.join(", ")));
            }
        }
    }
    println!("{lines_compared} lines of crash's compared");
    used.iter().for_each(|(kind, count)| println!("{count:>6} lines: {kind}"));
    assert!(lines_compared > 0, "crash is there, and no dump that it can be asked about");
    assert!(unlike.is_empty(), "{unlike}");
}

/// What of two answers differs and is of no kind.
fn differences(theirs: &str, ours: &str, used: &mut BTreeMap<&'static str, usize>) -> Vec<String> {
    let (theirs, ours): (Vec<&str>, Vec<&str>) = (theirs.lines().collect(), ours.lines().collect());
    let mut found = Vec::new();
    for at in 0..theirs.len().max(ours.len()) {
        let (one, other) = (theirs.get(at).copied().unwrap_or(""), ours.get(at).copied().unwrap_or(""));
        // an answer that has another number of lines at its end differs there
        if one == other && at < theirs.len() && at < ours.len() {
            continue;
        }
        match KINDS.iter().find(|(_, is_such)| is_such(one, other)) {
            Some((kind, _)) => *used.entry(kind).or_default() += 1,
            None => found.push(format!("{one:?} is {other:?} here")),
        }
    }
    found
}
