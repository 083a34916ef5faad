//! The shipped sample, which needs no corpus: its guest's truth, every command's examples, and snapshots of what a
//! user sees. `UPDATE_SNAPSHOTS=1 cargo test -p crashlens-truth` writes the snapshots anew; review the difference.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use crashlens_truth::aspects::{self, Aspect};
use crashlens_truth::{Answers, Case, State, program};

const SAMPLE: &str = "samples/virtio-bug.kdump";

fn case() -> Case {
    let dir = program::root().join("samples");
    Case::read("sample", &dir, &dir.join("virtio-bug.truth.json")).unwrap()
}

/// What a command prints, warnings included.
fn shown(line: &str) -> String {
    let args = ["-s", "--no-search", "--no-pager", "-c", line, SAMPLE].map(str::to_owned);
    let (_, out, complaints) = program::run(&args).unwrap();
    out + &complaints
}

/// Compares what a command prints with `tests/snapshots/NAME.txt`.
fn check(name: &str, line: &str) {
    let path = program::root().join("crates/truth/tests/snapshots").join(format!("{name}.txt"));
    let found = format!("$ {line}\n{}", shown(line));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let different = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found);
    assert!(
        wanted == found,
        "{line}: not as in {}\nfirst difference: {different:?}\nnow:\n{found}",
        path.display()
    );
}

#[test]
fn the_sample_says_what_its_guest_said() {
    let case = case();
    let dump = vec![PathBuf::from(SAMPLE)];
    let answers = Answers::about(&case, &dump, State::Alone).unwrap();
    let all: [(&str, Aspect); 7] = [
        ("system", aspects::system),
        ("log", aspects::log),
        ("modules", aspects::modules),
        ("tasks", aspects::tasks),
        ("symbols", aspects::symbols),
        ("crash", aspects::crash),
        ("sleepers", aspects::sleepers),
    ];
    for (name, aspect) in all {
        assert_eq!(aspect(&case, &answers).unwrap(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn sys() {
    check("sys", "sys");
}

#[test]
fn sys_t() {
    check("sys-t", "sys -t");
}

#[test]
fn bt() {
    check("bt", "bt");
}

#[test]
fn bt_of_a_sleeper_with_offsets() {
    check("bt-s-1", "bt -s 1");
}

#[test]
fn bt_of_all_active_tasks() {
    check("bt-a", "bt -a");
}

#[test]
fn log_tail() {
    check("log-tail", "log | tail -40");
}

#[test]
fn ps() {
    check("ps", "ps");
}

#[test]
fn modules() {
    check("mod", "mod");
}

#[test]
fn sym() {
    check("sym", "sym schedule virtqueue_add_sgs linux_banner");
}

#[test]
fn rd() {
    check("rd", "rd linux_banner 8");
}

#[test]
fn vtop() {
    check("vtop", "vtop linux_banner");
}
