//! `cargo xtask bench`: crashlens, crash and drgn on the same dump in one run, and the table docs/BENCHMARKS.md.
//!
//! Every question is asked of each program in turn, the turn repeated: what else the machine does falls on all alike.
//! Each answer is a fresh process, from start to exit, with the files in the page cache. crashlens keeps no index
//! between runs. Medians are shown; a program that fails at a question has no figure there, but the reason below.

mod giant;
mod limit;
mod measure;
mod peers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::corpus;
use crate::run::{At as _, Error, answer, command, live, other, output, root, say};
use measure::Usage;
use peers::{ALSO, Asker, HERE, QUESTIONS, Question};
pub(crate) use peers::{Peers, debian};

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs of each question; the median counts.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// The corpus case: a folder with `vmlinux`, `modules` and the dump.
    #[arg(long, default_value = "6.1/virtio-bug")]
    case: String,
    /// The dump in it.
    #[arg(long, default_value = "dump.elf")]
    dump: String,
    /// Without crash and drgn.
    #[arg(long)]
    alone: bool,
    /// Only the questions with these words in them; prints the table, and writes nothing.
    #[arg(long)]
    only: Vec<String>,
    /// Only prints the table; docs/BENCHMARKS.md stays as it is.
    #[arg(long)]
    dry: bool,
    /// Runs one program and says what it used (for this task's own use: each is measured by a process of its own).
    #[arg(long, hide = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    measure: Vec<String>,
    /// Copies or unpacks a dump and says how many bytes that were (for this task's own use as well).
    #[arg(long, hide = true)]
    limit: Option<PathBuf>,
}

/// A program under measurement and the files it gets.
struct Contestant {
    name: &'static str,
    /// The command line for a question; `None` where it cannot answer it.
    line: Asker,
}

/// What was measured: by question and contestant.
type Results = BTreeMap<(usize, usize), Result<Usage, String>>;

/// Measures, prints, writes.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if !args.measure.is_empty() {
        return measure::one(&args.measure);
    }
    if let Some(dump) = &args.limit {
        return answer(format_args!("{}", limit::reach(dump)?));
    }
    let dir = corpus::cache()?.join(&args.case);
    let dump = dir.join(&args.dump);
    if !dump.exists() {
        return other(format!("{}: not there: `cargo xtask corpus` builds it", dump.display()));
    }
    let program = match std::env::var("CRASHLENS_BIN") {
        Ok(program) => program,
        Err(_) => {
            let packages = ["build", "--release", "--package", "crashlens-cli", "--package", "xtask"];
            live(command("cargo", packages).current_dir(root()))?;
            root().join("target/release/crashlens").display().to_string()
        }
    };
    let peers = if args.alone { Peers::default() } else { Peers::prepare() };
    let contestants = contestants(&program, &peers, &dir, &args.dump);
    let asked = |question: &&Question| {
        args.only.is_empty() || args.only.iter().any(|word| question.what.contains(word.as_str()))
    };
    let questions: Vec<Question> = QUESTIONS.iter().chain(ALSO).filter(asked).copied().collect();
    let results = race(&contestants, &questions, args.runs);
    let also: Vec<Question> = ALSO.iter().filter(asked).copied().collect();
    let mut page = head(args, &dump, &peers)?;
    page.push_str(&table("With vmlinux", &contestants, &questions, &results));
    page.push_str(&marginal(&contestants, &also, args.runs));
    page.push_str(&limit::part(&program, dir.parent().unwrap_or(&dir), args.runs)?);
    if args.only.is_empty() {
        page.push_str(&giant_part(args, &program, &dir, &peers)?);
    }
    say(format_args!("{page}"));
    if args.dry || !args.only.is_empty() {
        return Ok(());
    }
    let path = root().join("docs/BENCHMARKS.md");
    fs::write(&path, page).at(&path)
}

fn contestants(program: &str, peers: &Peers, dir: &Path, dump: &str) -> Vec<Contestant> {
    let file = |name: &str| dir.join(name).display().to_string();
    let (image, kernel) = (file(dump), file("vmlinux"));
    let mut all = vec![
        Contestant { name: "crashlens", line: lens(program, dir, vec![image.clone(), kernel.clone()]) },
        Contestant { name: "crashlens, dump alone", line: lens(program, dir, vec![image.clone()]) },
    ];
    if let Some(drgn) = peers.drgn(image, kernel) {
        all.push(Contestant { name: "drgn", line: drgn });
    }
    if let Some(crash) = peers.crash(dir, dump) {
        all.push(Contestant { name: "crash", line: crash });
    }
    all
}

/// crashlens on these files.
fn lens(program: &str, dir: &Path, files: Vec<String>) -> Asker {
    let (program, dir) = (program.to_owned(), dir.display().to_string());
    Box::new(move |question| {
        let mut words = vec![program.clone(), "-s".into(), "--no-search".into()];
        for _ in 0..question.times {
            words.extend(["-c".into(), question.crashlens.replace(HERE, &dir)]);
        }
        words.extend(files.iter().cloned());
        Some(words)
    })
}

/// Asks everybody everything, `runs` times, after one time that does not count.
fn race(contestants: &[Contestant], questions: &[Question], runs: usize) -> Results {
    let mut results = Results::new();
    for (q, question) in questions.iter().enumerate() {
        let mut samples: Vec<Result<Vec<Usage>, String>> =
            contestants.iter().map(|_| Ok(Vec::new())).collect();
        for turn in 0..=runs {
            for (contestant, kept) in contestants.iter().zip(&mut samples) {
                let (Ok(list), Some(line)) = (&mut *kept, (contestant.line)(question)) else { continue };
                match measure::in_own_process(&line) {
                    Ok(usage) if turn > 0 => list.push(usage),
                    Ok(_) => {}
                    Err(error) => *kept = Err(error.to_string()),
                }
            }
        }
        say(format_args!("measured: {}", question.what));
        let asked = contestants.iter().map(|contestant| (contestant.line)(question).is_some());
        for ((c, list), _) in samples.into_iter().enumerate().zip(asked).filter(|(_, asked)| *asked) {
            results
                .insert((q, c), list.and_then(|list| Usage::median(&list).ok_or_else(|| "not asked".into())));
        }
    }
    results
}

fn head(args: &Args, dump: &Path, peers: &Peers) -> Result<String, Error> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let size = fs::metadata(dump).at(dump)?.len() >> 20;
    let mut page = String::from("# Benchmarks\n\n");
    let mut line = |text: String| {
        let _ = writeln!(page, "{text}");
    };
    line(
        "`cargo xtask bench` writes this page: crashlens beside its peers on the same dump, in one run."
            .into(),
    );
    line(
        "Each figure is the median of fresh processes, start to exit, files in the page cache; crashlens"
            .into(),
    );
    line("keeps no index between runs. The programs take turns, so that what else the machine did fell on all.".into());
    line(String::new());
    line(format!("- machine: {cpus} CPUs, {}", model.map_or("unknown", |(_, name)| name)));
    line(format!("- dump: `{}/{}`, {size} MiB; {} runs", args.case, args.dump, args.runs));
    for version in peers.versions() {
        line(format!("- {version}"));
    }
    line(String::new());
    Ok(page)
}

/// One table: a row a question and program, with how many times more than the first program it took.
fn table(title: &str, contestants: &[Contestant], questions: &[Question], results: &Results) -> String {
    let mut text = format!("## {title}\n\n");
    text.push_str("| question | program | wall ms | CPU ms | peak RSS MiB | wall × | RSS × |\n");
    text.push_str("|---|---|---:|---:|---:|---:|---:|\n");
    let mut failures = String::new();
    for (q, question) in questions.iter().enumerate() {
        let first = results.get(&(q, 0)).and_then(|result| result.as_ref().ok());
        for (c, contestant) in contestants.iter().enumerate() {
            match results.get(&(q, c)) {
                Some(Ok(usage)) => {
                    let times = |of: fn(&Usage) -> f64| match first {
                        Some(first) if c > 0 && of(first) > 0.0 => format!("{:.1}", of(usage) / of(first)),
                        _ => String::new(),
                    };
                    let (wall, rss) = (times(|u| u.wall), times(|u| u.rss_kib as f64));
                    let _ = writeln!(
                        text,
                        "| {} | {} | {:.1} | {:.1} | {:.1} | {wall} | {rss} |",
                        if c == 0 { question.what } else { "" },
                        contestant.name,
                        usage.wall * 1e3,
                        usage.cpu * 1e3,
                        usage.rss_kib as f64 / 1024.0
                    );
                }
                Some(Err(why)) => {
                    let why = why.lines().last().unwrap_or_default();
                    let _ = writeln!(text, "| | {} | - | - | - | | |", contestant.name);
                    let _ = writeln!(failures, "- {}, {}: {why}", contestant.name, question.what);
                }
                None => {}
            }
        }
    }
    text.push('\n');
    if !failures.is_empty() {
        let _ = writeln!(text, "No figure:\n\n{failures}");
    }
    text
}

/// How often a question is asked once more.
const AGAIN: usize = 10;

/// What a question costs that is asked once more in an open session: so many times more, less the first time.
fn marginal(contestants: &[Contestant], questions: &[Question], runs: usize) -> String {
    if questions.is_empty() {
        return String::new();
    }
    let often: Vec<Question> = questions.iter().map(|q| Question { times: 1 + AGAIN, ..*q }).collect();
    let (once, often) = (race(contestants, questions, runs), race(contestants, &often, runs));
    let mut text = format!(
        "## Once more in an open session\n\nA question that is asked {} times takes so much longer than one that is asked once, a \
         time; ms.\n\n| question |",
        1 + AGAIN
    );
    contestants.iter().for_each(|one| text.push_str(&format!(" {} |", one.name)));
    text.push_str(&format!("\n|---|{}\n", "---:|".repeat(contestants.len())));
    for (q, question) in questions.iter().enumerate() {
        text.push_str(&format!("| `{}` |", question.what));
        for c in 0..contestants.len() {
            let wall = |results: &Results| Some(results.get(&(q, c))?.as_ref().ok()?.wall);
            let cell = match (wall(&once), wall(&often)) {
                (Some(once), Some(often)) => format!("{:.1}", (often - once).max(0.0) * 1e3 / AGAIN as f64),
                _ => "-".to_owned(),
            };
            text.push_str(&format!(" {cell} |"));
        }
        text.push('\n');
    }
    text + "\n"
}

/// Opening a dump whose physical memory spans 4 TiB, beside the same dump as it was.
fn giant_part(args: &Args, program: &str, dir: &Path, peers: &Peers) -> Result<String, Error> {
    let small = dir.parent().unwrap_or(dir).join("virtio-bug-kdump/virtio-bug.kdump");
    if !small.exists() {
        return Ok(String::new());
    }
    let folder = small.parent().unwrap_or(dir).to_owned();
    let made = folder.join("giant.kdump");
    giant::make(&small, &made)?;
    let mut all = Vec::new();
    for (name, file) in [("4 TiB", &made), ("the dump it was made of", &small)] {
        all.push(Contestant { name, line: lens(program, &folder, vec![file.display().to_string()]) });
    }
    if let Some(crash) = peers.crash(&folder, "giant.kdump") {
        all.push(Contestant { name: "crash, 4 TiB (with vmlinux)", line: crash });
    }
    let questions: Vec<Question> = QUESTIONS.iter().filter(|q| q.giant).copied().collect();
    let results = race(&all, &questions, args.runs);
    let mut text = table("A machine of 4 TiB, dump alone", &all, &questions, &results);
    text.push_str(&format!(
        "The dump is generated: `virtio-bug.kdump`, a real one, laid out as that of a machine with physical addresses \
         up to 4 TiB: two bitmaps of 128 MiB, and one page in every {} KiB beyond the guest's memory present ({} \
         descriptors).\n",
        giant::STRIDE * 4,
        giant::descriptors()
    ));
    Ok(text)
}

/// The path of this program, to measure in a process of its own.
fn this_program() -> Result<PathBuf, Error> {
    std::env::current_exe().at("this program")
}

/// What a program says of its version: the first line that has `word`.
fn version(line: &[String], word: &str) -> Option<String> {
    let (program, args) = line.split_first()?;
    let text = output(&mut command(program, args)).ok()?;
    let line = text.lines().find(|line| line.contains(word))?;
    Some(line.split(" (").next().unwrap_or(line).trim().to_owned())
}
