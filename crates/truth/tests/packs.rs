//! With a pack the program answers as with vmlinux and the modules' files, on every case of the corpus that has them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it compared")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crashlens_truth::{Case, State, corpus, program};
use serde_json::Value;

/// What only debug files tell, and what they change.
const LINES: [&str; 14] = [
    "bt -l -a",
    "bt -f",
    "foreach bt -l",
    "struct task_struct",
    "struct -o virtqueue",
    "whatis vfs_read",
    "p init_task.comm",
    "p -x init_task.se",
    "dis -l schedule",
    "sym jiffies",
    "sym -M",
    "mod -S",
    "frame",
    "verdict -v",
];

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn folder(name: &str) -> Folder {
    let path = std::env::temp_dir().join(format!("crashlens-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    Folder(path)
}

/// Runs the program; exit code, output, complaints.
fn run(cache: &Path, args: &[&str], files: &[PathBuf]) -> (Option<i32>, String, String) {
    let mut command = program::command().unwrap();
    command.args(["-s", "--no-search", "--no-pager"]).args(args).args(files).env("XDG_CACHE_HOME", cache);
    let out = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

/// The answers in JSON, without where files lie.
fn answers(cache: &Path, files: &[PathBuf]) -> (Option<i32>, Vec<Value>) {
    let mut args = vec!["--json"];
    LINES.iter().for_each(|line| args.extend(["-c", line]));
    let (code, out, _) = run(cache, &args, files);
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    let answers = lines.map(|mut answer: Value| {
        answer.as_object_mut().unwrap().remove("dump");
        without_paths(&mut answer);
        answer
    });
    (code, answers.collect())
}

fn without_paths(value: &mut Value) {
    match value {
        Value::String(text) => {
            let is_path = |word: &str| {
                word.starts_with('/') && (word.contains("/crashlens/") || word.contains(".clpack"))
            };
            let words: Vec<&str> =
                text.split(' ').map(|word| if is_path(word) { "FILE" } else { word }).collect();
            *text = words.join(" ").replace("FILE (vmlinux)", "FILE");
        }
        Value::Array(all) => all.iter_mut().for_each(without_paths),
        Value::Object(all) => all.values_mut().for_each(without_paths),
        _ => {}
    }
}

/// Packs of the cases: those of the same files share one.
#[derive(Default)]
struct Packs(BTreeMap<Vec<u64>, PathBuf>);

impl Packs {
    fn of(&mut self, folder: &Path, case: &Case, files: &[PathBuf]) -> PathBuf {
        let key =
            case.debug_files(State::Modules).iter().map(|file| file.metadata().unwrap().ino()).collect();
        let count = self.0.len();
        let made = self.0.entry(key).or_insert_with(|| {
            let path = folder.join(format!("{count}.clpack"));
            let pack = path.display().to_string();
            let mut command = program::command().unwrap();
            command.args(["-s", "--no-search", "debuginfo", "pack", "-o", &pack]).args(files);
            let out = command.env("XDG_CACHE_HOME", folder).output().unwrap();
            assert!(out.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&out.stderr));
            path
        });
        made.clone()
    }
}

#[test]
fn a_pack_answers_as_its_files_do() {
    let folder = folder("packs");
    let (mut packs, mut compared) = (Packs::default(), 0);
    let mut sizes: BTreeMap<PathBuf, (u64, u64)> = BTreeMap::new();
    for case in corpus().unwrap() {
        let debug = case.debug_files(State::Modules);
        let Some(dump) = case.dumps().into_iter().next() else { continue };
        if debug.len() < 2 || !debug.iter().all(|file| file.exists()) {
            continue;
        }
        let files = [dump.clone(), debug.clone()].concat();
        let pack = packs.of(&folder.0, &case, &files);
        let whole = debug.iter().map(|file| file.metadata().unwrap().len()).sum();
        sizes.insert(pack.clone(), (pack.metadata().unwrap().len(), whole));
        let want = answers(&folder.0.join("files"), &files);
        let got = answers(&folder.0.join("pack"), &[dump, vec![pack]].concat());
        assert_eq!(got.1.len(), LINES.len(), "{}", case.name);
        for (line, (got, want)) in LINES.iter().zip(got.1.iter().zip(&want.1)) {
            assert!(got == want, "{} {line}:\n{got}\n{want}", case.name);
            compared += 1;
        }
        assert_eq!(got.0, want.0, "{}", case.name);
    }
    for (packed, whole) in sizes.values() {
        println!("a pack of {} MiB for {} MiB", packed >> 20, whole >> 20);
    }
    println!("{compared} answers with a pack are those with vmlinux and modules");
    if compared == 0 {
        eprintln!("no corpus: nothing was compared; `cargo xtask corpus` builds it");
    }
}

/// The pack of one kernel is refused for the dump of another, with both build ids.
#[test]
fn a_pack_of_another_kernel_is_refused() {
    let folder = folder("foreign-pack");
    let mut cases: Vec<Case> = Vec::new();
    for case in corpus().unwrap() {
        let series = |case: &Case| case.name.split('/').next().unwrap_or_default().to_owned();
        let whole = case.debug_files(State::Modules);
        if whole.len() >= 2
            && whole.iter().all(|file| file.exists())
            && !cases.iter().any(|c| series(c) == series(&case))
        {
            cases.push(case);
        }
    }
    let [one, other, ..] = &cases[..] else { return };
    let files = |case: &Case| [case.dumps()[0].clone(), case.debug_files(State::Modules)].concat();
    let pack = Packs::default().of(&folder.0, one, &files(one));
    let id = |case: &Case| run(&folder.0, &["--build-id"], &case.dumps()[0]).1.trim().to_owned();
    let (code, out, why) = run(&folder.0, &["-c", "bt -l"], &[other.dumps()[0].clone(), vec![pack]].concat());
    assert_eq!((code, out.as_str()), (Some(1), ""), "{why}");
    assert!(why.contains(&id(one)) && why.contains(&id(other)), "{why}");
}
