//! crash 9 and crashlens on the same dumps: the same frames, tasks, symbols, log, memory; each difference is explained.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crashlens_truth::beside::known::KNOWN;
use crashlens_truth::beside::{Beside, Group};
use crashlens_truth::peers::Crash;
use crashlens_truth::{Case, corpus};

fn crash() -> Option<&'static Crash> {
    static CRASH: OnceLock<Option<Crash>> = OnceLock::new();
    CRASH.get_or_init(|| Crash::find().unwrap()).as_ref()
}

/// The cases that crash can be asked about: it needs a vmlinux.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let cases: Vec<Case> =
            corpus().unwrap().into_iter().filter(|case| case.dir.join("vmlinux").exists()).collect();
        if cases.is_empty() {
            eprintln!("no corpus: nothing was compared; `cargo xtask corpus` builds it");
        }
        cases
    })
}

fn check(group: Group) {
    let Some(crash) = crash() else { return };
    let mut used = BTreeMap::new();
    let mut report = String::new();
    let (mut good, mut unopened) = (0, 0);
    for case in cases() {
        let found = match Beside::ask(crash, case, group) {
            Ok(beside) => beside.compare(&mut used),
            Err(error) => Ok(vec![error]),
        };
        match found {
            Ok(found) if found.is_empty() => good += 1,
            Ok(found) => {
                for difference in found {
                    report.push_str(&format!("  {}: {difference}\n", case.name));
                }
            }
            Err(why) => {
                println!("{}: crash does not open it: {why}", case.name);
                unopened += 1;
            }
        }
    }
    println!("{group:?}: {good} cases agree; crash does not open {unopened}");
    for entry in KNOWN {
        if let Some(lines) = used.get(entry.what) {
            println!("  {lines:>6} lines: {}: {}", entry.what, entry.why);
        }
    }
    assert!(report.is_empty(), "{group:?}:\n{report}");
}

#[test]
fn frames_and_registers() {
    check(Group::Frames);
}

#[test]
fn tasks() {
    check(Group::Tasks);
}

#[test]
fn symbols() {
    check(Group::Symbols);
}

#[test]
fn the_machine_its_log_and_modules() {
    check(Group::System);
}

#[test]
fn memory() {
    check(Group::Memory);
}

#[test]
fn data_code_and_numbers() {
    check(Group::Data);
}

/// Options of crash's that no question has, and why: what holds the answer instead, or why crash's is none.
const UNCOMPARED: &[(&str, &str, &str)] = &[
    ("alias", "", "each program has aliases of its own"),
    (
        "bpf",
        "pPmMtTjsxd",
        "crash's LOAD_TIME is before the guest began, and it does not know the names of made code; the rest is equal on 6.1/traced",
    ),
    ("bt", "I", "an instruction to begin at: crash needs a stack pointer too (-S), and unwinds otherwise"),
    ("bt", "S", "the same"),
    (
        "bt",
        "OVv",
        "old ways of unwinding, which crash has for kernels without tables; -v reads a stack that 6.x has not",
    ),
    (
        "dev",
        "pdDVv",
        "crash has fewer columns, and -V needs VMCOREDD; made_dev.rs holds them, aspects/devices.rs what the guest counts",
    ),
    ("dis", "b", "crash shows what is behind ud2 otherwise than its own count says"),
    (
        "dis",
        "flus",
        "lines differ where calls are inlined (bt -l); -u and -s need a process's code, or sources",
    ),
    ("extend", "us", "crashlens loads none"),
    (
        "files",
        "cdp",
        "an inode or dentry differs by dump, and crash mixes its errors between the lines; made_fs.rs holds them",
    ),
    ("gdb", "", "there is no gdb inside"),
    (
        "kmem",
        "fF",
        "crash counts a zone's first page from another one than kmem -n does; aspects/memory.rs has the counts",
    ),
    (
        "kmem",
        "izV",
        "the guest's /proc has them (aspects/memory.rs, meminfo.rs); crash lacks what CPUs have not added yet (compat.rs has -i)",
    ),
    ("kmem", "cCr", "no kernel here has what they are about"),
    ("list", "h", "asked with others"),
    ("log", "TtdmascR", "asked one by one; -R is about Rust's names, of which these kernels have none"),
    ("mach", "o", "only ppc64 machines have it"),
    (
        "mod",
        "dDgorRsS",
        "they load or drop debug files, or are about modules of other kinds; tests/modules.rs",
    ),
    ("mount", "fi", "crash has no answer on kernels of the last ten years"),
    ("net", "sSaRxd", "crashlens has columns more; the guest's /proc/net has all (aspects/net.rs)"),
    ("p", "u", "a process's variable: crash reads it only with a user's debug file"),
    ("rd", "r", "it writes a file"),
    ("repeat", "", "it waits"),
    ("sbitmapq", "sapvxd", "an address that differs by dump; made_block.rs holds them"),
    ("search", "p", "physical memory: each program has the ranges that it knows"),
    ("set", "acv", "state of the program"),
    ("struct", "cpu", "crash answers 'invalid user virtual address' for kernel objects behind these"),
    ("union", "clrfuxdp", "the same code as struct's"),
    ("tree", "lNprvt", "crash refuses them, or fails, for the trees that these kernels have at symbols"),
    (
        "vm",
        "pPRM",
        "crash has a line for each page, crashlens one for pages that are not mapped alike; made_memory.rs holds them",
    ),
    ("waitq", "", "no queue of waiters is at a symbol of every kernel"),
    ("whatis", "rm", "crashlens has the types of modules too"),
    ("wr", "k8163264up", "a dump is never written to"),
];

/// Each option that crash's own pages name is in a question, or is said not to be.
#[test]
fn each_option_of_crash_is_compared_or_said_not_to_be() {
    let Some(crash) = crash() else { return };
    let Some(case) = cases().first() else { return };
    let file = case.dumps().into_iter().next().unwrap().remove(0);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let ask = |lines: &[String]| crash.ask(&case.dir, &["vmlinux", &name], lines).unwrap();
    let list = ask(&["help".to_owned()]).remove(0);
    let names: Vec<String> = list
        .lines()
        .take_while(|line| !line.contains("version:"))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 40, "{list}");
    let pages = ask(&names.iter().map(|name| format!("help {name}")).collect::<Vec<_>>());
    let asked = crashlens_truth::beside::lines();
    let mut lacking = Vec::new();
    for (name, page) in names.iter().zip(&pages) {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let own: Vec<Vec<String>> =
            asked.iter().map(|line| words(line)).filter(|w| w.contains(name)).collect();
        let given = |option: char| {
            own.iter().flatten().any(|word| {
                word.strip_prefix('-').is_some_and(|rest| !rest.starts_with('-') && rest.contains(option))
            })
        };
        let excused = |option: Option<char>| {
            UNCOMPARED.iter().any(|(of, options, _)| of == name && option.is_none_or(|o| options.contains(o)))
        };
        if own.is_empty()
            && !excused(None)
            && !["help", "exit", "q", "quit", "foreach", "*"].contains(&name.as_str())
        {
            lacking.push(name.clone());
        }
        let synopsis = page.split("SYNOPSIS").nth(1).and_then(|rest| rest.trim_start().split("\n\n").next());
        // an option begins a word: `[-o] offset`, `-[xd]`, `-h|-H`
        for (at, _) in synopsis.unwrap_or_default().match_indices('-') {
            let text = synopsis.unwrap_or_default();
            let begins = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
            let rest = text[at + 1..].trim_start_matches('[');
            let letters = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            // words of several letters are groups (`-xd`), but for names (`-panic`)
            for letter in letters.chars().filter(|_| begins && letters.len() <= 8 && letters != "panic") {
                if !given(letter) && !excused(Some(letter)) {
                    lacking.push(format!("{name} -{letter}"));
                }
            }
        }
    }
    lacking.sort();
    lacking.dedup();
    assert!(lacking.is_empty(), "no question has, and nothing excuses: {lacking:?}");
    for (name, options, _) in UNCOMPARED {
        let page = names.iter().position(|one| one == name).and_then(|at| pages.get(at));
        assert!(page.is_some(), "{name} is no command of crash's ({options})");
    }
}
