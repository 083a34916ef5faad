//! The commands that crash's own testers run on every dump: each ends without an error here, or says that it is not
//! there yet.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use crashlens_truth::program::{root, run};
use crashlens_truth::{State, corpus};
use serde_json::Value;

/// As crash-utility/crash-test lists them.
const LINES: &[&str] = &[
    "help -v",
    "help -m",
    "help -n",
    "swap",
    "mod",
    "mod -S",
    "runq",
    "foreach bt",
    "foreach files",
    "mount",
    "vm",
    "net",
    "search -u deadbeef",
    "set",
    "set -p",
    "set -v",
    "bt",
    "bt -t",
    "bt -r",
    "bt -T",
    "bt -l",
    "bt -a",
    "bt -f",
    "bt -e",
    "bt -E",
    "bt -F",
    "bt 0",
    "ps",
    "ps -k",
    "ps -u",
    "ps -s",
    "dev",
    "kmem -i",
    "kmem -s",
    "task",
    "p jiffies",
    "sym jiffies",
    "rd -d jiffies",
    "set -c 0",
    "kmem -S -I kmalloc-8,kmalloc-16",
    "irq",
    "irq -b",
    "irq -u",
    "list -o task_struct.tasks -h init_task",
    "mach -m",
];

/// Those that may say so.
const LATER: &[&str] = &["files", "mount", "net", "dev"];

fn smoke(files: &[PathBuf]) -> Vec<String> {
    let mut args = vec!["--json".to_owned(), "--no-search".to_owned()];
    args.extend(LINES.iter().flat_map(|line| ["-c".to_owned(), (*line).to_owned()]));
    args.extend(files.iter().map(|file| file.display().to_string()));
    let (_, out, complaints) = run(&args).unwrap();
    let answers: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), LINES.len(), "{complaints}");
    let wrong = LINES.iter().zip(&answers).filter_map(|(line, answer)| {
        let error = answer.get("error")?.to_string();
        let later = line.split(' ').any(|word| LATER.contains(&word)) && error.contains("not there yet");
        (!later).then(|| format!("{line}: {error}"))
    });
    wrong.collect()
}

#[test]
fn on_the_shipped_sample_alone() {
    assert_eq!(smoke(&[root().join("samples/virtio-bug.kdump")]), [""; 0]);
}

#[test]
fn on_a_dump_of_each_kernel() {
    let mut seen = Vec::new();
    for case in corpus().unwrap() {
        let series = case.name.split('/').next().unwrap_or_default().to_owned();
        if seen.contains(&series) {
            continue;
        }
        seen.push(series);
        let files: Vec<PathBuf> =
            case.dumps().remove(0).into_iter().chain(case.debug_files(State::Modules)).collect();
        assert_eq!(smoke(&files), [""; 0], "{}", case.name);
    }
    if seen.is_empty() {
        eprintln!("no corpus: only the sample was asked; `cargo xtask corpus` builds it");
    }
}
