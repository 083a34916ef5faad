//! What the tests share that hold a damaged dump's answers to the whole dump's: the lines that are asked, asking them,
//! and the comparison.

pub(crate) mod compare;
pub(crate) mod holes;
pub(crate) mod verdicts;

use base::Cancel;
use commands::{COMMANDS, Cx, Settings};
use kernel::{Layers, OpenOptions};
use report::Report;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What a command answered: the parts of its data, or why there is none.
pub(crate) type Answer = Result<Vec<Value>, String>;

/// Lines beside the commands' own examples.
const MORE: &[&str] = &[
    "bt -c 0,1",
    "bt -F 1",
    "bt -t 1",
    "bt -T 1",
    "bt -r 2",
    "bt -g 1",
    "bt -v",
    "bt -E",
    "bt -o",
    "bt -p",
    "foreach ps",
    "foreach active ps",
    "foreach active set ps -t",
    "foreach kernel task -R pid,comm",
    "foreach UN waitq kauditd_wait",
    "list task_struct.tasks -H init_task",
    "mod -t",
    "p init_task.cred->user",
    "p nr_threads",
    "ps -a 1",
    "ps -c 1",
    "ps -t 1",
    "ps -g 1",
    "ps -s",
    "ps -r 1",
    "ps -G",
    "ps -k",
    "ps -u",
    "rd -S init_task 32",
    "rd -SS init_task 32",
    "ptov 1000000",
    "set 1",
    "set -p",
    "struct -r list_head modules",
    "vtop -c 1 7f0000000000",
];

/// Lines that change this machine, or ask nothing of the dump.
fn is_asked(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    let own = [
        "gcore", "repeat", "define", "document", "echo", "exit", "quit", "q", "alias", "extend", "wr",
        "help", "ascii", "eval", "ptob", "btop",
    ];
    // made of info and verdict, which are asked themselves; about this machine's files
    let own = [&own[..], &["bugreport", "debuginfo"]].concat();
    // searches of all memory read what is in the dump, whatever it is
    let all_memory = ["search -k", "search -p", "search -u"];
    !own.contains(&word)
        && !line.contains("/tmp/")
        && !line.starts_with("mod -S")
        && !all_memory.iter().any(|start| line.starts_with(start))
}

/// Every line that the property holds for: the examples of all commands, and more.
pub(crate) fn lines() -> Vec<String> {
    let examples = COMMANDS.iter().flat_map(|command| command.examples()).map(|example| example.line);
    let mut out: Vec<String> = Vec::new();
    for line in examples.chain(MORE.iter().copied()) {
        if is_asked(line) && !out.iter().any(|known| known == line) {
            out.push(line.to_owned());
        }
    }
    out
}

/// True for lines that show types, or values by them: without the kernel's own they show what was inferred, and say so.
pub(crate) fn is_by_types(line: &str) -> bool {
    let words = ["struct", "union", "*", "whatis", "p", "printf", "task", "list", "tree", "search", "info"];
    let mut all = line.split_whitespace();
    let word = all.next().unwrap_or_default();
    // where the text of modules lies is told by types too
    let scans = word == "bt" && ["-o", "-t", "-T", "-e"].iter().any(|flag| line.contains(flag));
    scans || words.contains(&word) || word.starts_with("p/") || all.any(|word| word == "task")
}

/// True for lines about a frame that is chosen by its number.
pub(crate) fn is_by_frame(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    ["frame", "up", "down"].contains(&word) || line.contains('$')
}

/// The shipped sample.
pub(crate) fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump")
}

/// How a dump is opened: without anything that is not in it.
pub(crate) fn options(files: &[PathBuf]) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.files = files.to_vec();
    options.no_search = true;
    options
}

/// Asks one line in a context of its own.
pub(crate) fn ask(dump: &Layers, line: &str) -> Answer {
    ask_ended(dump, line).0
}

/// The answer to one line, and whether it ends as one of which nothing is lost.
pub(crate) fn ask_ended(dump: &Layers, line: &str) -> (Answer, bool) {
    let mut settings = Settings::default();
    let cancel = Cancel::new();
    let (mut parts, mut is_whole) = (Vec::new(), true);
    let mut take = |part: &Report| {
        parts.push(data(part));
        is_whole &= !part.failed() && !part.is_incomplete();
        ControlFlow::Continue(())
    };
    let answer = {
        let mut cx = Cx::new(Some(dump), &mut settings, &cancel, &mut take);
        commands::run(&mut cx, &commands::split_words(line))
    };
    match answer {
        Ok(report) => {
            let _ = take(&report);
            (Ok(parts), is_whole)
        }
        Err(e) => (Err(e.to_string()), false),
    }
}

fn data(report: &Report) -> Value {
    let mut out = Vec::new();
    render::json(report, render::Source::default(), &mut out).unwrap();
    let mut whole: Value = serde_json::from_slice(&out).unwrap();
    whole["data"].take()
}

/// Numbers that look drawn, the same for each seed.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        let mut draw = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d);
        for _ in 0..4 {
            draw.next();
        }
        draw
    }
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap() % n.max(1)
    }
}
