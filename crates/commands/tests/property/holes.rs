//! A whole dump, and the same with pages left out or cut off: every answer is the whole dump's, or says what it lacks.

use super::{Answer, Draw, compare};
use base::{PAGE_SIZE, Pfn};
use dump::Veil;
use kernel::{Layers, OpenOptions, Session};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// Lines that are asked of every seed.
pub(crate) const ALWAYS: &[&str] = &["sys", "ps", "bt", "bt -a", "mod", "set", "verdict -v"];

/// How many others, drawn, are asked as well.
const MORE: usize = 12;

/// One whole dump: what it answers, and which pages each line reads.
pub(crate) struct Whole {
    name: String,
    files: Vec<PathBuf>,
    lines: Vec<String>,
    answers: BTreeMap<String, Answer>,
    opening: BTreeSet<Pfn>,
    /// Those of the modules in which the panic task stood.
    modules: Vec<Pfn>,
    pages: Mutex<BTreeMap<String, Arc<BTreeSet<Pfn>>>>,
}

pub(crate) fn options(files: &[PathBuf], veil: &Arc<Veil>) -> OpenOptions {
    let mut options = super::options(files);
    options.veil = Some(veil.clone());
    options
}

pub(crate) fn open(files: &[PathBuf], veil: &Arc<Veil>) -> kernel::Result<Layers> {
    Layers::open(options(files, veil))
}

impl Whole {
    pub(crate) fn new(name: String, file: PathBuf, lines: Vec<String>) -> Self {
        let files = vec![file];
        let veil = Veil::nothing();
        let s = open(&files, &veil).unwrap();
        let mut answers = BTreeMap::new();
        let mut opening = BTreeSet::new();
        for line in ALWAYS.iter().map(|line| (*line).to_owned()).chain(lines.iter().cloned()) {
            let begun = std::time::Instant::now();
            answers.entry(line.clone()).or_insert_with(|| super::ask(&s, &line));
            if std::env::var_os("CRASHLENS_TIMES").is_some() {
                eprintln!("{:>8.1?} {:>6} pages {line}", begun.elapsed(), veil.take_seen().len());
            }
        }
        // symbols and types are most of what is read: drawn from all pages, they would be hit nearly always
        let veil = Veil::nothing();
        let s = Session::open(&options(&files, &veil)).unwrap();
        let _ = s.symbol("init_task");
        s.types();
        opening.append(&mut veil.take_seen());
        let modules = pages_of_modules(&s);
        Self { name, files, lines, answers, opening, modules, pages: Mutex::default() }
    }

    /// The pages that a line reads in a session of its own.
    fn pages(&self, line: &str) -> Arc<BTreeSet<Pfn>> {
        if let Some(known) = self.pages.lock().unwrap().get(line) {
            return known.clone();
        }
        let veil = Veil::nothing();
        let s = open(&self.files, &veil).unwrap();
        let _ = super::ask(&s, line);
        let seen = Arc::new(veil.take_seen());
        self.pages.lock().unwrap().insert(line.to_owned(), seen.clone());
        seen
    }

    /// What a seed hides, and the line that it is drawn for.
    fn veil(&self, draw: &mut Draw) -> Option<(String, Arc<Veil>, String)> {
        let line = match draw.below(3) {
            0 => ALWAYS[draw.below(ALWAYS.len())].to_owned(),
            _ => self.lines[draw.below(self.lines.len())].clone(),
        };
        let pages = self.pages(&line);
        let all: Vec<Pfn> = pages.iter().copied().collect();
        if all.is_empty() {
            return None; // a line that reads nothing
        }
        let own: Vec<Pfn> = pages.difference(&self.opening).copied().collect();
        let way = draw.below(16);
        if way == 0 {
            let from = all[draw.below(all.len())];
            return Some((line, Veil::cut_from(from), format!("cut from {:#x}", from.0 * PAGE_SIZE)));
        }
        let pool = match way {
            1 | 2 if !self.modules.is_empty() => self.modules.clone(),
            ..4 => all,
            _ if own.is_empty() => all,
            _ => own,
        };
        let count = 1 << draw.below(5);
        let hidden: BTreeSet<Pfn> = (0..count).map(|_| pool[draw.below(pool.len())]).collect();
        let told = hidden.iter().map(|pfn| format!("{:x}", pfn.0)).collect::<Vec<_>>().join(" ");
        Some((line, Veil::left_out(hidden), format!("left out: frames {told}")))
    }

    /// What is found where one of the pages that a line reads is left out, each in turn; of more than `most` some.
    pub(crate) fn each_page(&self, line: &str, most: usize) -> Vec<String> {
        let pages: Vec<Pfn> = self.pages(line).difference(&self.opening).copied().collect();
        let mut draw = Draw::new(pages.len() as u64);
        let drawn = (0..most.min(pages.len())).map(|n| match pages.len() > most {
            true => pages[draw.below(pages.len())],
            false => pages[n],
        });
        let mut wrong = Vec::new();
        for pfn in drawn {
            let Ok(s) = open(&self.files, &Veil::left_out([pfn].into())) else { continue };
            let (answer, is_whole) = super::ask_ended(&s, line);
            let compared = compare::answers(line, &self.answers[line], &answer);
            let lack = compared.lack.filter(|_| is_whole).map(|lack| format!("whole, and lacks {lack}"));
            let all = compared.wrong.into_iter().chain(lack);
            wrong.extend(all.map(|what| format!("{} without {:x}: {line}: {what}", self.name, pfn.0)));
        }
        wrong
    }

    /// What one seed finds: nothing where it changes no cell.
    pub(crate) fn run(&self, seed: u64) -> Option<Vec<String>> {
        let mut draw = Draw::new(seed);
        let (line, veil, told) = self.veil(&mut draw)?;
        if number("CRASHLENS_SEED").is_some() {
            eprintln!("seed {seed} of {}, drawn for {line}: {told}", self.name);
        }
        // without its kernel a dump is refused
        let Ok(s) = open(&self.files, &veil) else { return None };
        if let Ok(asked) = std::env::var("CRASHLENS_LINE") {
            eprintln!("{}", shown(&s, &asked));
        }
        let mut lines: Vec<&str> = vec![&line];
        lines.extend(ALWAYS.iter().filter(|one| **one != line));
        for _ in 0..MORE {
            lines.push(&self.lines[draw.below(self.lines.len())]);
        }
        let mut changed = false;
        let mut wrong = Vec::new();
        let types =
            |answer: &Answer| answer.as_ref().ok().map(|parts| parts[0]["symbols"]["types_from"].clone());
        let untyped = types(&self.answers["info"]) != types(&super::ask(&s, "info"));
        // frames are numbered from the innermost that is known
        let first = |answer: &Answer| {
            answer.as_ref().ok().map(|parts| parts[0]["backtraces"][0]["frames"][0]["pc"].clone())
        };
        let moved = first(&self.answers["bt"]) != first(&super::ask(&s, "bt"));
        let is_fair =
            |line: &&str| !(untyped && super::is_by_types(line) || moved && super::is_by_frame(line));
        for line in lines.into_iter().filter(is_fair) {
            let (answer, is_whole) = super::ask_ended(&s, line);
            let compared = compare::answers(line, &self.answers[line], &answer);
            if !compared.wrong.is_empty() && number("CRASHLENS_SEED").is_some() {
                eprintln!("{line}: {answer:#?}");
            }
            changed |= compared.changed;
            if let Some(lack) = compared.lack.filter(|_| is_whole) {
                wrong.push(format!("{line}: ends as a whole answer, and lacks {lack}"));
            }
            wrong.extend(compared.wrong.into_iter().map(|w| format!("{line}: {w}")));
        }
        if !wrong.is_empty() {
            wrong.insert(0, format!("seed {seed} of {}, drawn for {line}: {told}", self.name));
        }
        changed.then_some(wrong)
    }
}

/// What a line shows a user.
pub(crate) fn shown(s: &Layers, line: &str) -> String {
    let mut text = Vec::new();
    let (mut settings, cancel) = (commands::Settings::default(), base::Cancel::new());
    let mut sink = |_: &report::Report| std::ops::ControlFlow::Continue(());
    let mut cx = commands::Cx::new(Some(s), &mut settings, &cancel, &mut sink);
    let report = commands::run(&mut cx, &commands::split_words(line)).unwrap();
    render::text(&report, render::Colour::Plain, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The pages of the modules in which the panic task stood: their code, data, symbols, and their `struct module`.
fn pages_of_modules(s: &Session) -> Vec<Pfn> {
    let Some(task) = kernel::sched::panic::panic_task(s) else { return Vec::new() };
    let frames = s.backtrace(task).unwound.frames;
    let modules: BTreeMap<u64, _> =
        frames.iter().filter_map(|f| s.module_at(f.lookup())).map(|module| (module.at.0, module)).collect();
    let areas = modules.values().flat_map(|module| &module.memory);
    let pages = areas.flat_map(|area| (area.base.0..area.base.0 + area.size).step_by(PAGE_SIZE as usize));
    let frame = |at| Some(Pfn(s.map().translate(base::VirtAddr(at)).ok()?.0.0 / PAGE_SIZE));
    pages.filter_map(frame).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A dump that is opened when it is first asked.
pub(crate) struct Lazy {
    name: String,
    file: PathBuf,
    lines: Vec<String>,
    whole: OnceLock<Whole>,
}

impl Lazy {
    pub(crate) fn new(name: &str, file: PathBuf, lines: Vec<String>) -> Self {
        Self { name: name.to_owned(), file, lines, whole: OnceLock::new() }
    }
    pub(crate) fn get(&self) -> &Whole {
        self.whole.get_or_init(|| Whole::new(self.name.clone(), self.file.clone(), self.lines.clone()))
    }
}

/// Where the corpus is; none where it is not to be used.
pub(crate) fn corpus() -> Option<PathBuf> {
    let left_out = std::env::var("CRASHLENS_CORPUS").is_ok_and(|word| word == "none");
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    Some(home.join(".cache/crashlens/corpus")).filter(|_| !left_out)
}

/// Runs seeds of these dumps, the first one first, in two threads, until so many changed a cell: no difference is left.
pub(crate) fn run_seeds(wholes: &[Lazy], wanted: u64) {
    let of = |seed: u64| wholes[usize::try_from(seed).unwrap() % wholes.len()].get();
    if let Some(seed) = number("CRASHLENS_SEED") {
        let wrong = of(seed).run(seed);
        eprintln!("{wrong:#?}");
        assert!(wrong.is_none_or(|wrong| wrong.is_empty()));
        return;
    }
    let first = number("CRASHLENS_FIRST").unwrap_or(1);
    let tells = number("CRASHLENS_SEEDS").is_some();
    let next = Mutex::new((0_u64, 0_u64));
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = {
                        let mut next = next.lock().unwrap();
                        if next.1 >= wanted || next.0 >= wanted * 10 {
                            break;
                        }
                        next.0 += 1;
                        first - 1 + next.0
                    };
                    if let Some(wrong) = of(seed).run(seed) {
                        if tells && !wrong.is_empty() {
                            eprintln!("{}", wrong.join("\n"));
                        }
                        next.lock().unwrap().1 += 1;
                        found.lock().unwrap().insert(seed, wrong);
                    }
                }
            });
        }
    });
    let (tried, counted) = *next.lock().unwrap();
    eprintln!("{counted} of {tried} seeds changed a cell");
    assert!(counted >= wanted, "only {counted} of {tried} seeds changed a cell");
    // those that count are the same in every run, however the threads share them
    let found = found.into_inner().unwrap();
    let wrong: Vec<String> = found.into_values().take(usize::try_from(wanted).unwrap()).flatten().collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
