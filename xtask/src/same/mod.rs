//! `cargo xtask same COMMIT`: builds that commit beside this checkout, asks both programs the same questions about every
//! dump at hand, and compares the typed values of the answers.
//!
//! For changes that must not change what the program says. Values count, words do not: see [`difference`]. The dumps are
//! the sample, the corpus and the zoo, each in the three states of debug information.

mod difference;
mod questions;
mod verdict;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crashlens_truth::{State, corpus, zoo};

use crate::run::{At as _, Error, command, limited, live, other, output, root, say};
use difference::{Difference, Kind, differences};
use questions::LINES;

/// Arguments of `same`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The commit to compare with: a branch, a tag, `HEAD~3`.
    commit: String,
    /// The program of that commit, already built.
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
    /// The program of this checkout, already built.
    #[arg(long, value_name = "PROGRAM")]
    after: Option<PathBuf>,
    /// Only dumps whose name has this word in it (may be repeated): `6.1/`, `zoo/`, `virtio-bug`.
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// Only questions that begin with this word (may be repeated).
    #[arg(long, value_name = "COMMAND")]
    command: Vec<String>,
    /// Only the dump, without debug files.
    #[arg(long)]
    alone: bool,
    /// Shows so many dumps of each difference.
    #[arg(long, default_value_t = 2)]
    examples: usize,
}

/// Seconds that all questions about one dump may take.
const LIMIT: u32 = 600;
/// Dumps that are asked about at a time.
const AT_ONCE: usize = 2;

/// The files of a dump, and the name to tell it by.
struct Subject {
    name: String,
    files: Vec<PathBuf>,
}

/// Differences of one kind at one place of one command's answer, over all dumps.
#[derive(Default)]
struct Found {
    /// Dumps that show it.
    dumps: usize,
    /// The first of them, each with the two values.
    examples: Vec<String>,
}

/// Compares.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let before = match &args.before {
        Some(program) => program.clone(),
        None => build_commit(&args.commit)?,
    };
    let after = match &args.after {
        Some(program) => program.clone(),
        None => build(&root(), &root().join("target"))?,
    };
    let subjects = subjects(args)?;
    if subjects.is_empty() {
        return other(
            "no dump has such a name: `cargo xtask corpus` and `cargo xtask corpus --zoo` build some",
        );
    }
    let lines: Vec<&str> = LINES
        .iter()
        .copied()
        .filter(|line| args.command.is_empty() || args.command.iter().any(|word| line.starts_with(&**word)))
        .collect();
    let found = compare_all(&subjects, &lines, &before, &after, args.examples);
    let wrong = tell(&found);
    say(format_args!(
        "{} dumps, {} questions each: {wrong} kinds of difference",
        subjects.len(),
        lines.len()
    ));
    if wrong == 0 { Ok(()) } else { other("the two programs differ") }
}

/// Prints the differences, and returns how many kinds are more than an added member.
fn tell(found: &BTreeMap<(String, Kind), Found>) -> usize {
    for ((place, kind), found) in found {
        say(format_args!("{kind}: {place} ({} dumps)", found.dumps));
        found.examples.iter().for_each(|example| say(format_args!("    {example}")));
    }
    found.keys().filter(|(_, kind)| *kind != Kind::Added).count()
}

/// Every dump at hand with each set of debug files.
fn subjects(args: &Args) -> Result<Vec<Subject>, Error> {
    let states: &[State] = if args.alone { &[State::Alone] } else { &State::ALL };
    let sample = Subject { name: "sample".to_owned(), files: vec![root().join("samples/virtio-bug.kdump")] };
    let mut all = vec![sample];
    for case in corpus().map_err(Error::Other)? {
        for dump in case.dumps() {
            let file = dump.first().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
            for &state in states {
                let files = dump.iter().cloned().chain(case.debug_files(state)).collect();
                all.push(Subject { name: format!("{}/{file} {state:?}", case.name), files });
            }
        }
    }
    for case in zoo::zoo().map_err(Error::Other)? {
        for &state in states {
            all.push(Subject { name: format!("zoo/{} {state:?}", case.name), files: case.files(state) });
        }
    }
    all.retain(|subject| args.only.is_empty() || args.only.iter().any(|word| subject.name.contains(&**word)));
    Ok(all)
}

/// Asks both programs about each dump.
fn compare_all(
    subjects: &[Subject],
    lines: &[&str],
    before: &Path,
    after: &Path,
    examples: usize,
) -> BTreeMap<(String, Kind), Found> {
    let queue: Mutex<VecDeque<&Subject>> = Mutex::new(subjects.iter().collect());
    let all = Mutex::new(BTreeMap::<(String, Kind), Found>::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(subject) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                    let differences = compare(subject, lines, before, after);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    for Difference { place, kind, values } in differences {
                        let found = all.entry((place, kind)).or_default();
                        found.dumps += 1;
                        if found.examples.len() < examples {
                            found.examples.push(format!("{}: {values}", subject.name));
                        }
                    }
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The differences between two programs' answers about one dump; of several at one place, the first.
fn compare(subject: &Subject, lines: &[&str], before: &Path, after: &Path) -> Vec<Difference> {
    let (old, new) = match (ask(before, subject, lines), ask(after, subject, lines)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(_), Err(_)) => return Vec::new(),
        (Err(e), Ok(_)) => {
            return vec![Difference::new("all", Kind::Answered, format!("no answer before: {e}"))];
        }
        (Ok(_), Err(e)) => return vec![Difference::new("all", Kind::Refused, e)],
    };
    let mut all = Vec::new();
    for line in lines {
        let answers =
            |all: &BTreeMap<String, Vec<serde_json::Value>>| all.get(*line).cloned().unwrap_or_default();
        all.extend(differences(line, &answers(&old), &answers(&new)));
    }
    all.sort_by(|a, b| (&a.place, a.kind).cmp(&(&b.place, b.kind)));
    all.dedup_by(|a, b| (&a.place, a.kind) == (&b.place, b.kind));
    all
}

/// One program's answers by question. A question can have several: commands that answer in parts.
fn ask(
    program: &Path,
    subject: &Subject,
    lines: &[&str],
) -> Result<BTreeMap<String, Vec<serde_json::Value>>, String> {
    let mut words = vec!["--json".to_owned(), "--no-search".to_owned(), "-s".to_owned()];
    for line in lines {
        // a word that marks where one question's answers end
        words.extend(["-c".to_owned(), (*line).to_owned(), "-c".to_owned(), "eval 1".to_owned()]);
    }
    words.extend(subject.files.iter().map(|file| file.display().to_string()));
    // exit codes tell which command failed, and so does each answer
    let mut shell =
        vec!["-c".to_owned(), "\"$@\"; true".to_owned(), "sh".to_owned(), program.display().to_string()];
    shell.extend(words);
    let out = limited(LIMIT, "sh", &shell).map_err(|e| e.to_string())?;
    let mut all = BTreeMap::new();
    let mut rest = lines.iter();
    let mut own = Vec::new();
    for text in out.lines() {
        let answer: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("{e} in {text}"))?;
        if answer.get("command").is_some_and(|c| c == "eval") {
            let line = rest.next().ok_or("more answers than questions")?;
            all.insert((*line).to_owned(), std::mem::take(&mut own));
        } else {
            own.push(answer);
        }
    }
    match rest.next() {
        None => Ok(all),
        Some(line) => {
            Err(format!("no answer to `{line}`: {}", own.last().unwrap_or(&serde_json::Value::Null)))
        }
    }
}

/// Builds a commit in the cache, once.
fn build_commit(commit: &str) -> Result<PathBuf, Error> {
    let mut resolve = command("git", ["rev-parse", "--verify", &format!("{commit}^{{commit}}")]);
    let id = output(resolve.current_dir(root()))?.trim().to_owned();
    let cache = crate::corpus::cache()?.with_file_name("same");
    let kept = cache.join(&id);
    if kept.exists() {
        return Ok(kept);
    }
    let tree = cache.join(format!("tree-{}", std::process::id()));
    fs::create_dir_all(&cache).at(&cache)?;
    let path = tree.display().to_string();
    output(command("git", ["worktree", "add", "--detach", "--force", &path, &id]).current_dir(root()))?;
    let built = build(&tree, &cache.join("target"))
        .and_then(|program| fs::copy(&program, &kept).at(&kept).map(|_| kept.clone()));
    output(command("git", ["worktree", "remove", "--force", &path]).current_dir(root()))?;
    built
}

/// Builds the program of a checkout.
fn build(tree: &Path, target: &Path) -> Result<PathBuf, Error> {
    let mut cargo = command("cargo", ["build", "--release", "--bin", "crashlens"]);
    live(cargo.current_dir(tree).env("CARGO_TARGET_DIR", target))?;
    Ok(target.join("release/crashlens"))
}
