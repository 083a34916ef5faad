//! crash's answers beside crashlens's on one dump, line by line.
//!
//! The two programs write the same layouts, so their texts are compared as they are: the lines that only one of them
//! has are the differences. Answers about several tasks are compared task by task, without the frames' numbers. Each
//! difference must be explained by an entry of [`known::KNOWN`], which takes away what it explains; what is left fails.

mod frames;
pub mod known;
mod machine;
mod questions;
mod stacks;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::UNIX_EPOCH;

pub use questions::{Group, questions};
use serde::{Deserialize, Serialize};

use crate::{Case, State, peers, program};

/// Both programs' answers about a case.
#[derive(Debug)]
pub struct Beside<'c> {
    /// The case.
    pub case: &'c Case,
    /// What was asked, with crash's and crashlens's answers; or what crash says where it does not open the dump.
    pub answers: Result<Vec<Answer>, String>,
    /// The names that crash's list of symbols has for each address.
    symbols: BTreeMap<u64, BTreeSet<String>>,
    /// Seconds by which crash's clock is ahead, where the guest's own log proves crashlens's.
    clock_error: Option<i64>,
}

/// A question with two answers.
#[derive(Debug)]
pub struct Answer {
    /// What was asked.
    pub line: String,
    /// What crash says.
    pub crash: String,
    /// What crashlens says.
    pub ours: String,
}

/// What differs in one answer about one task, or in a whole answer.
#[derive(Debug)]
pub struct Hunk<'a> {
    /// What was asked.
    pub line: &'a str,
    /// The task's line; empty in answers that are not about tasks.
    pub head: &'a str,
    /// Lines that only crash has.
    pub crash: Vec<String>,
    /// Lines that only crashlens has.
    pub ours: Vec<String>,
    /// All that crash says here.
    pub theirs: &'a [String],
    /// All that crashlens says here.
    pub all: &'a [String],
}

impl Hunk<'_> {
    /// Takes away lines of crash's.
    pub fn take_crash(&mut self, is: impl Fn(&str) -> bool) {
        self.crash.retain(|line| !is(line));
    }
    /// Takes away lines of crashlens's.
    pub fn take_ours(&mut self, is: impl Fn(&str) -> bool) {
        self.ours.retain(|line| !is(line));
    }
    /// Takes away pairs of lines, each of crash's with one of crashlens's.
    pub fn take_pairs(&mut self, is: impl Fn(&str, &str) -> bool) {
        let mut ours = std::mem::take(&mut self.ours);
        self.crash.retain(|theirs| match ours.iter().position(|our| is(theirs, our)) {
            Some(at) => {
                ours.remove(at);
                false
            }
            None => true,
        });
        self.ours = ours;
    }
    fn is_empty(&self) -> bool {
        self.crash.is_empty() && self.ours.is_empty()
    }
    fn left(&self) -> usize {
        self.crash.len() + self.ours.len()
    }
}

impl<'c> Beside<'c> {
    /// Asks both what belongs to a group.
    ///
    /// # Errors
    /// One of them cannot be run.
    pub fn ask(crash: &peers::Crash, case: &'c Case, group: Group) -> Result<Self, String> {
        let dump = case.dumps().into_iter().next().ok_or("the case has no dump")?;
        let files: Vec<PathBuf> = dump.into_iter().chain(case.debug_files(State::Kernel)).collect();
        let lines = questions(case, &files)?;
        let all: Vec<String> = lines.iter().map(|(_, line)| line.clone()).collect();
        let theirs = match theirs(crash, case, &all)? {
            Ok(theirs) => theirs,
            Err(why) => {
                return Ok(Self { case, answers: Err(why), symbols: BTreeMap::new(), clock_error: None });
            }
        };
        let symbols = all.iter().position(|line| line == "sym -l").and_then(|at| theirs.get(at));
        let symbols = symbols.map(|text| places(text)).unwrap_or_default();
        let uptime =
            all.iter().position(|line| line == "sys").and_then(|at| texts::uptime_of(theirs.get(at)?));
        let clock_error = uptime.and_then(|theirs| texts::clock_error(case, theirs, uptime_of(&files)?));
        let mine: Vec<((Group, String), String)> =
            lines.into_iter().zip(theirs).filter(|((of, _), _)| *of == group).collect();
        let asked: Vec<String> = mine.iter().map(|((_, line), _)| line.clone()).collect();
        let ours = program::texts(&[], &files, &asked)?;
        let answer = |(((_, line), crash), ours)| Answer { line, crash, ours };
        Ok(Self { case, answers: Ok(mine.into_iter().zip(ours).map(answer).collect()), symbols, clock_error })
    }

    /// Compares: what is not explained, and how often each entry explained something.
    ///
    /// # Errors
    /// crash does not open the dump; what it says.
    pub fn compare(&self, used: &mut BTreeMap<&'static str, usize>) -> Result<Vec<String>, String> {
        let answers = self.answers.as_ref().map_err(Clone::clone)?;
        let mut out = Vec::new();
        for answer in answers {
            self.answer(&answer.line, &answer.crash, &answer.ours, used, &mut out);
        }
        Ok(out)
    }

    fn answer(
        &self,
        line: &str,
        theirs: &str,
        ours: &str,
        used: &mut BTreeMap<&'static str, usize>,
        out: &mut Vec<String>,
    ) {
        let (theirs, ours) = (sections(line, theirs), sections(line, ours));
        let order = |sections: &[Section]| sections.iter().map(|s| s.head.clone()).collect::<Vec<_>>();
        if order(&theirs) != order(&ours) {
            let (theirs, ours) = difference(&order(&theirs), &order(&ours));
            out.push(format!("{line}: tasks, or their order: crash {theirs:?}, crashlens {ours:?}"));
        }
        for mine in &ours {
            let Some(their) = theirs.iter().find(|their| their.head == mine.head) else { continue };
            let (crash, only) = difference(&their.lines, &mine.lines);
            let (theirs, all) = (their.lines.as_slice(), mine.lines.as_slice());
            let mut hunk = Hunk { line, head: &mine.head, crash, ours: only, theirs, all };
            for entry in known::KNOWN.iter().filter(|entry| entry.is_about(line)) {
                if hunk.is_empty() {
                    break;
                }
                let before = hunk.left();
                (entry.explain)(self, &mut hunk);
                if hunk.left() < before {
                    *used.entry(entry.what).or_default() += before - hunk.left();
                }
            }
            if !hunk.is_empty() {
                out.push(shown(&hunk));
            }
        }
    }

    /// The word at an address, as crashlens reads it.
    #[must_use]
    pub fn word(&self, at: u64) -> Option<u64> {
        let dump = self.case.dumps().into_iter().next()?;
        let answers = program::texts(&[], &dump, &[format!("rd {at:x}")]).ok()?;
        let word = answers.first()?.split_once(':')?.1.split_whitespace().next()?;
        u64::from_str_radix(word, 16).ok()
    }

    /// `file: line` of an address, as crashlens's `sym` shows it.
    #[must_use]
    pub fn place(&self, at: u64) -> Option<String> {
        let dump = self.case.dumps().into_iter().next()?;
        let files: Vec<PathBuf> = dump.into_iter().chain(self.case.debug_files(State::Kernel)).collect();
        let answers = program::texts(&[], &files, &[format!("sym {at:x}")]).ok()?;
        let (_, rest) = answers.first()?.split_once(") ")?;
        Some(rest.split_once(' ')?.1.trim().to_owned())
    }

    /// Whether a name stands for an address in the kernel's own table.
    fn is_at(&self, name: &str, at: u64) -> bool {
        self.symbols.get(&at).is_some_and(|names| names.contains(name))
    }

    /// Whether both are names of one address in the kernel's own table.
    fn same_place(&self, one: &str, other: &str) -> bool {
        self.symbols.values().any(|names| names.contains(one) && names.contains(other))
    }

    /// Whether the instruction before this address calls a function: `call`, with the distance to it.
    fn is_after_call(&self, at: u64) -> bool {
        const CALL: u64 = 0xe8;
        self.word(at.wrapping_sub(8)).is_some_and(|bytes| {
            let distance = i64::from((bytes >> 32) as u32 as i32);
            bytes >> 24 & 0xff == CALL && self.begins(at.wrapping_add_signed(distance))
        })
    }

    /// Whether a function begins at this address.
    fn begins(&self, at: u64) -> bool {
        self.symbols.contains_key(&at)
    }
}

/// crashlens's uptime, in seconds.
fn uptime_of(files: &[PathBuf]) -> Option<i64> {
    texts::uptime_of(program::texts(&[], files, &["sys".to_owned()]).ok()?.first()?)
}

/// The names at each address in what `sym -l` prints.
fn places(text: &str) -> BTreeMap<u64, BTreeSet<String>> {
    let mut all: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let at = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
        if let (Some(at), Some(_kind), Some(name)) = (at, words.next(), words.next()) {
            all.entry(at).or_default().insert(name.to_owned());
        }
    }
    all
}

/// crash's answers: those it gave the last time, where crash, dump and questions are the same.
fn theirs(
    crash: &peers::Crash,
    case: &Case,
    lines: &[String],
) -> Result<Result<Vec<String>, String>, String> {
    // Tests of several groups ask at the same time: crash is run once.
    static BUSY: OnceLock<Mutex<BTreeMap<String, &'static Mutex<()>>>> = OnceLock::new();
    let busy = *BUSY
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(case.name.clone())
        .or_insert_with(|| Box::leak(Box::default()));
    let _busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
    let dump = case.truth.dumps.first().ok_or("the case has no dump")?;
    let mut hash = DefaultHasher::new();
    for file in dump.files.iter().map(String::as_str).chain(["vmlinux"]) {
        let meta = fs::metadata(case.dir.join(file)).map_err(|e| format!("{file}: {e}"))?;
        let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        (meta.len(), modified).hash(&mut hash);
    }
    let dir = crate::peers::base().ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let dir = dir.join("answers");
    let path = dir.join(format!("{}.{:016x}.json", case.name.replace('/', "."), hash.finish()));
    let kept = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Kept>(&text).ok());
    let mut kept = kept.unwrap_or_default();
    let new: Vec<String> = lines.iter().filter(|line| !kept.answers.contains_key(*line)).cloned().collect();
    if !new.is_empty() && kept.refusal.is_none() {
        // Names of clones are kept whole: crash cuts ".part.0" off otherwise.
        let files = ["--no_strip", "--no_crashrc", "vmlinux"].into_iter();
        let files: Vec<&str> = files.chain(dump.files.iter().map(String::as_str)).collect();
        match crash.ask(&case.dir, &files, &new) {
            Err(why) if why.contains(" 0 answers ") && why.contains("error trace: ") => {
                kept.refusal = Some(why);
            }
            answers => kept.answers.extend(new.into_iter().zip(answers?)),
        }
        if let Ok(text) = serde_json::to_string(&kept) {
            // It only saves time.
            drop(fs::create_dir_all(&dir).and_then(|()| fs::write(&path, text)));
        }
    }
    if let Some(why) = kept.refusal {
        return Ok(Err(why));
    }
    let answer = |line: &String| kept.answers.remove(line).unwrap_or_default();
    Ok(Ok(lines.iter().map(answer).collect()))
}

/// What crash said about a dump, kept for the next time.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    answers: BTreeMap<String, String>,
    /// Why it does not open it.
    refusal: Option<String>,
}

/// The part of an answer that is about one task, or the whole.
#[derive(Debug)]
struct Section {
    head: String,
    lines: Vec<String>,
}

/// Cuts an answer at the lines that name a task, where it is about tasks.
fn sections(line: &str, text: &str) -> Vec<Section> {
    let by_task = ["bt", "foreach", "ps -a", "ps -r", "ps -t"].iter().any(|start| line.starts_with(start));
    let mut out = vec![Section { head: String::new(), lines: Vec::new() }];
    for line in text.lines().map(str::trim_end) {
        if by_task && line.starts_with("PID: ") {
            out.push(Section { head: line.to_owned(), lines: Vec::new() });
        } else if let Some(section) = out.last_mut() {
            section.lines.push(frames::without_number(line).to_owned());
        }
    }
    for section in &mut out {
        let used = section.lines.iter().rposition(|line| !line.is_empty()).map_or(0, |at| at + 1);
        section.lines.truncate(used);
    }
    out
}

/// Most lines of an answer that are compared in their order; longer ones are compared as sets.
const ORDERED: usize = 3000;

/// The lines that only one side has, in their order: those beside a longest common subsequence.
fn difference(theirs: &[String], ours: &[String]) -> (Vec<String>, Vec<String>) {
    let head = theirs.iter().zip(ours).take_while(|(a, b)| a == b).count();
    let (theirs, ours) = (theirs.get(head..).unwrap_or_default(), ours.get(head..).unwrap_or_default());
    let tail = theirs.iter().rev().zip(ours.iter().rev()).take_while(|(a, b)| a == b).count();
    let cut = |all: &[String]| all.get(..all.len() - tail).unwrap_or_default().to_vec();
    let (theirs, ours) = (cut(theirs), cut(ours));
    if theirs.len() > ORDERED || ours.len() > ORDERED {
        return (only(&theirs, &ours), only(&ours, &theirs));
    }
    // common[i][j]: length of the longest common subsequence of theirs[i..] and ours[j..]
    let width = ours.len() + 1;
    let mut common = vec![0_u32; (theirs.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    let get = |common: &[u32], i, j| common.get(at(i, j)).copied().unwrap_or(0);
    for (i, their) in theirs.iter().enumerate().rev() {
        for (j, our) in ours.iter().enumerate().rev() {
            let longest = match their == our {
                true => get(&common, i + 1, j + 1) + 1,
                false => get(&common, i + 1, j).max(get(&common, i, j + 1)),
            };
            if let Some(slot) = common.get_mut(at(i, j)) {
                *slot = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut crash, mut crashlens) = (Vec::new(), Vec::new());
    loop {
        match (theirs.get(i), ours.get(j)) {
            (Some(their), Some(our)) if their == our => (i, j) = (i + 1, j + 1),
            (Some(their), our) if our.is_none() || get(&common, i + 1, j) >= get(&common, i, j + 1) => {
                crash.push(their.clone());
                i += 1;
            }
            (_, Some(our)) => {
                crashlens.push(our.clone());
                j += 1;
            }
            _ => return (crash, crashlens),
        }
    }
}

/// Lines of one list beyond those of another, each as often as it is there.
fn only(all: &[String], other: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in other {
        *counts.entry(line).or_default() += 1;
    }
    let more = |line: &&String| match counts.get_mut(line.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    all.iter().filter(more).cloned().collect()
}

fn shown(hunk: &Hunk<'_>) -> String {
    let some = |lines: &[String], mark: &str| {
        let shown: Vec<String> = lines.iter().take(6).map(|line| format!("\n      {mark} {line}")).collect();
        let more = lines.len().saturating_sub(6);
        shown.concat() + &if more > 0 { format!("\n      {mark} … {more} more") } else { String::new() }
    };
    format!("{} {}{}{}", hunk.line, hunk.head, some(&hunk.crash, "crash"), some(&hunk.ours, "ours "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_only_one_side_has_is_the_difference() {
        let (crash, ours) = difference(&lines("a b c d e"), &lines("a x c e f"));
        assert_eq!((crash, ours), (lines("b d"), lines("x f")));
        let (crash, ours) = difference(&lines("a a"), &lines("a"));
        assert_eq!((crash.len(), ours.len()), (1, 0));
        assert_eq!(only(&lines("a a b"), &lines("a c")), lines("a b"));
    }

    #[test]
    fn answers_about_tasks_are_cut_at_their_lines() {
        let found = sections("bt", "PID: 1 x\n #0 [a] f at b\n\nPID: 2 y\n");
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].lines, ["[a] f at b"]);
        assert_eq!(sections("ps -p", "PID: 1 x\n").len(), 1);
    }
}
