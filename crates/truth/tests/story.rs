//! The analysis of the virtio front-end bug, typed step by step on every dump that has it: of each kernel, with and
//! without a VMCOREINFO note, of every format, raw memory included; from the dump alone, and with debug files. The
//! numbers are those of the guest's own oops. (`crates/cli/tests/story.rs` has the whole text of the sample.)
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::PathBuf;

use crashlens_truth::program::texts;
use crashlens_truth::{Case, Report, State, corpus};

/// The descriptors of the ring that the module's request does not fit.
const RING: u64 = 64;

/// What the guest said of the bug.
struct Bug<'a> {
    report: &'a Report,
    /// The function, and the offset of the trap in it.
    symbol: &'a str,
    offset: u64,
    /// `virtio_ring.c:550`
    place: &'a str,
}

impl<'a> Bug<'a> {
    fn of(case: &'a Case) -> Self {
        let report = case.truth.oops.as_ref().unwrap();
        let rip = report.rip.as_ref().unwrap();
        let place = report.headlines[0].rsplit('/').next().unwrap().trim_end_matches('!');
        Self { report, symbol: &rip.symbol, offset: rip.offset, place }
    }

    fn register(&self, name: &str) -> u64 {
        u64::from_str_radix(self.report.registers[name].trim_start_matches("0x"), 16).unwrap()
    }

    /// True where the queue itself found its ring too small, not the driver before it.
    fn is_in_ring(&self) -> bool {
        self.symbol.starts_with("virtqueue_add")
    }
}

/// The answers in one session, asked in the order of the analysis.
fn answers(case: &Case, dump: &[PathBuf], state: State) -> Vec<(String, String)> {
    let bug = Bug::of(case);
    let (symbol, at) = (bug.symbol, format!("{}+{}", bug.symbol, bug.offset));
    let queue = format!("{:x}", bug.register("RDI"));
    let lines: Vec<String> = [
        "bt".to_owned(),
        format!("dis {at}"),
        format!("dis -r {at} 3"),
        format!("dis {symbol}"),
        format!("dis -l {at}"),
        format!("struct virtqueue {queue}"),
        "struct -o virtqueue".to_owned(),
        "struct -o vring_virtqueue".to_owned(),
        "struct vring_virtqueue.vq".to_owned(),
        format!("struct vring_virtqueue {queue}"),
        format!("frame {symbol}"),
        "p $rdx".to_owned(),
        "p/x $rdi".to_owned(),
        format!("p/x $rip-{}", bug.offset),
        "p container_of($rdi, struct vring_virtqueue, vq)".to_owned(),
        "p &container_of($rdi, struct vring_virtqueue, vq)->vq".to_owned(),
        "p total_sg".to_owned(),
        format!("dis -s {symbol}"),
    ]
    .into();
    let files: Vec<PathBuf> = dump.iter().cloned().chain(case.debug_files(state)).collect();
    lines.iter().cloned().zip(texts(&[], &files, &lines).unwrap()).collect()
}

/// The value of `$3 = ...` or of `name = $3 = ...`.
fn value(answer: &str) -> &str {
    answer.trim_end().split_once('$').and_then(|(_, rest)| rest.split_once(" = ")).map_or("", |(_, v)| v)
}

/// The number behind the first of these words, in hex or not.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What is wrong with the answers.
fn faults(case: &Case, state: State, all: &[(String, String)]) -> Vec<String> {
    let bug = Bug::of(case);
    let at = format!("{}+{}", bug.symbol, bug.offset);
    let mut wrong = Vec::new();
    let mut hold = |line: &str, says: &str, is: bool| {
        if !is {
            let answer = all.iter().find(|(asked, _)| asked == line).map_or("", |(_, answer)| answer);
            wrong.push(format!("`{line}`: {says}\n{answer}"));
        }
    };
    let answer = |line: &str| -> (String, &str) {
        let (asked, answer) = all.iter().find(|(asked, _)| asked.starts_with(line)).unwrap();
        (asked.clone(), answer)
    };

    let (line, bt) = answer("bt");
    hold(&line, "the exception's place", bt.contains(&format!("[exception RIP: {at}]")));
    for name in ["RDI", "RDX", "RSI", "RCX", "RAX"] {
        hold(&line, name, bt.contains(&format!("{name}: {:016x}", bug.register(name))));
    }

    let (line, trap) = answer(&format!("dis {at}"));
    hold(&line, "a trap", trap.trim_end().ends_with("\tud2"));
    let (line, before) = answer("dis -r");
    hold(
        &line,
        "three lines to the trap",
        before.lines().count() == 3 && before.trim_end().ends_with("\tud2"),
    );
    let (line, code) = answer(&format!("dis {}", bug.symbol)[..]);
    let code = if line == format!("dis {at}") { &all[3].1 } else { code };
    let code: Vec<&str> = code.lines().collect();
    let jump = code
        .iter()
        .position(|l| l.contains("\tj") && l.ends_with(&format!("<{at}>")) && !l.contains("\tjmp"));
    hold(&all[3].0, "a jump to the trap", jump.is_some());

    // a struct of the module's own is in its BTF, which old kernels have not, or in its file
    for n in [6, 7] {
        let known = !all[n].1.starts_with("struct: ");
        hold(&all[n].0, "why there is no type, and what to do", known || all[n].1.contains("mod -s"));
        hold(&all[n].0, "types with debug files", known || state != State::Modules);
    }
    if !all[6].1.starts_with("struct: ") {
        hold(&all[5].0, "the queue's name", all[5].1.contains("\"req.") && all[5].1.contains("vdev = 0x"));
    }
    if !all[7].1.starts_with("struct: ") {
        let ring = &all[9].1;
        hold(&all[9].0, "the ring's size", ring.contains(&format!("    num = {RING},\n")));
        hold(&all[7].0, "the queue is its first member", all[7].1.contains("    [0] struct virtqueue vq;\n"));
        // `cmp %r12d,0x60(%rbp)` and `[96] ... split;`, `[0] vring`, `num`: the operand is the member's offset
        if bug.is_in_ring() {
            let compared = jump.and_then(|n| code.get(n.checked_sub(1)?)).copied().unwrap_or_default();
            let operand = compared.split([',', ' ', '\t']).find_map(|w| number(w.split_once('(')?.0));
            let member = if all[7].1.contains(" split;") { "split;" } else { "vring vring;" };
            let layout = all[7].1.lines().find(|l| l.ends_with(member)).unwrap_or_default();
            let offset = layout.split(['[', ']']).nth(1).and_then(|n| n.trim().parse().ok());
            hold(&all[7].0, &format!("the operand of {compared}"), operand.is_some() && operand == offset);
        }
        let address = format!("{:#x}", bug.register("RDI"));
        for n in [14, 15] {
            hold(&all[n].0, "the queue's address", all[n].1.trim_end().ends_with(&address));
        }
    }

    hold(&all[11].0, "the third argument", value(&all[11].1) == bug.register("RDX").to_string());
    hold(&all[12].0, "the first argument", number(value(&all[12].1)) == Some(bug.register("RDI")));
    let start = code.first().and_then(|l| l.split_whitespace().next()).and_then(number);
    hold(&all[13].0, "the function's start", start.is_some() && number(value(&all[13].1)) == start);
    if state == State::Modules {
        let (file, number) = bug.place.split_once(':').unwrap();
        hold(&all[4].0, bug.place, all[4].1.lines().any(|l| l.ends_with(&format!("/{file}: {number}"))));
        // in the kernel's tree, wherever that was when it was built
        let source = all[17].1.lines().next().and_then(|l| l.strip_prefix("FILE: drivers/"));
        hold(&all[17].0, "the function's file", source.is_some_and(|path| path.ends_with(".c")));
        let total = if bug.is_in_ring() { "128" } else { "" };
        hold(&all[16].0, "the argument's name", total.is_empty() || value(&all[16].1) == total);
    }
    wrong
}

#[test]
fn every_step_answers_on_every_dump() {
    let all = corpus().unwrap();
    let cases: Vec<&Case> = all.iter().filter(|case| case.name.contains("virtio-bug")).collect();
    if cases.is_empty() {
        eprintln!("no corpus: the story was not told; `cargo xtask corpus` builds it");
    }
    let mut wrong = Vec::new();
    for case in cases {
        for dump in case.dumps() {
            for state in State::ALL {
                let at = format!("{} {} {state:?}", case.name, dump[0].file_name().unwrap().display());
                let found = faults(case, state, &answers(case, &dump, state));
                wrong.extend(found.into_iter().map(|fault| format!("{at}: {fault}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
