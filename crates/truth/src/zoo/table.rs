//! The results as a table in Markdown, and in numbers.

use crate::State;

use super::{Judged, Outcome, Result3};

/// How a part of the verdicts fared in a state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Score {
    /// As the truth has it.
    pub right: usize,
    /// Not told.
    pub unknown: usize,
    /// Not so.
    pub wrong: usize,
}

impl Score {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Right => self.right += 1,
            Outcome::Unknown(_) => self.unknown += 1,
            Outcome::Wrong(_) => self.wrong += 1,
            Outcome::NotAsked => {}
        }
    }

    /// All that were asked.
    #[must_use]
    pub const fn asked(&self) -> usize {
        self.right + self.unknown + self.wrong
    }

    /// Whether at least so many of a hundred are right.
    #[must_use]
    pub const fn reaches(&self, percent: usize) -> bool {
        self.right * 100 >= self.asked() * percent
    }
}

/// A state's name in words.
const fn named(state: State) -> &'static str {
    match state {
        State::Alone => "dump alone",
        State::Kernel => "+ vmlinux",
        State::Modules => "+ vmlinux + zoo.ko",
    }
}

/// The scores of a state: by the parts of a verdict, in the order of [`Judged::all`].
#[must_use]
pub fn scores<'a>(
    results: impl IntoIterator<Item = &'a Result3>,
    state: usize,
) -> [(&'static str, Score); 5] {
    let mut all = ["class", "place", "line", "cause", "context"].map(|part| (part, Score::default()));
    for judged in results.into_iter().filter_map(|result| result.judged.get(state)) {
        for ((_, score), (_, outcome)) in all.iter_mut().zip(judged.all()) {
            score.add(outcome);
        }
    }
    all
}

/// The statements that are not right: `SERIES/WAY state: part: why`. Those that are wrong come first.
#[must_use]
pub fn failures(results: &[Result3]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut unknown = Vec::new();
    for result in results {
        for (judged, state) in result.judged.iter().zip(State::ALL) {
            for (part, outcome) in judged.all() {
                let line = |why: &str| format!("{} ({}): {part}: {why}", result.name, named(state));
                match outcome {
                    Outcome::Wrong(why) => wrong.push(format!("WRONG {}", line(why))),
                    Outcome::Unknown(why) => unknown.push(line(why)),
                    Outcome::Right | Outcome::NotAsked => {}
                }
            }
        }
    }
    wrong.extend(unknown);
    wrong
}

/// A cell: class, place, line, cause, context, a sign each.
fn cell(judged: &Judged) -> String {
    let sign = |outcome: &Outcome| match outcome {
        Outcome::Right => "✓",
        Outcome::Unknown(_) => "?",
        Outcome::Wrong(_) => "✗",
        Outcome::NotAsked => "·",
    };
    judged.all().map(|(_, outcome)| sign(outcome)).join(" ")
}

/// The page's part between its marks.
#[must_use]
pub fn table(results: &[Result3]) -> String {
    let mut out = String::new();
    let mut series: Vec<&str> = results.iter().filter_map(|result| result.name.split('/').next()).collect();
    series.dedup();
    out += "| kernel | state | class | place | line | cause | context | wrong |\n|---|---|---|---|---|---|---|---|\n";
    for name in &series {
        for (at, state) in State::ALL.into_iter().enumerate() {
            let mut wrong = 0;
            let cells: Vec<String> = scores(of(results, name), at)
                .iter()
                .map(|(_, score)| {
                    wrong += score.wrong;
                    format!("{}/{}", score.right, score.asked())
                })
                .collect();
            out += &format!("| {name} | {} | {} | {wrong} |\n", named(state), cells.join(" | "));
        }
    }
    out += "\nEach cell below: class, place, line, cause (condition, access, or who waits for what), context.\n\
            ✓ right, ? not told or not whole, ✗ wrong, · nothing to tell in this state.\n";
    for name in &series {
        out += &format!("\n| {name} | {} |\n|---|---|---|---|\n", State::ALL.map(named).join(" | "));
        for result in of(results, name) {
            let way = result.name.split_once('/').map_or(result.name.as_str(), |(_, way)| way);
            let cells: Vec<String> = result.judged.iter().map(cell).collect();
            out += &format!("| {way} | {} |\n", cells.join(" | "));
        }
    }
    let failures = failures(results);
    if !failures.is_empty() {
        out += "\nWhat is not right, wrong statements first:\n\n";
        for failure in failures {
            out += &format!("* {}\n", failure.replace('|', "\\|").replace('\n', " "));
        }
    }
    out
}

fn of<'a>(results: &'a [Result3], series: &'a str) -> impl Iterator<Item = &'a Result3> {
    results.iter().filter(move |result| result.name.split('/').next() == Some(series))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Vec<Result3> {
        let judged = |cause: Outcome| Judged {
            class: Outcome::Right,
            place: Outcome::Right,
            line: Outcome::NotAsked,
            cause,
            context: Outcome::NotAsked,
        };
        vec![Result3 {
            name: "6.1/bug".into(),
            judged: vec![
                judged(Outcome::Unknown("a | b".into())),
                judged(Outcome::Right),
                judged(Outcome::Wrong("no".into())),
            ],
        }]
    }

    #[test]
    fn the_table_has_totals_cells_and_failures() {
        let text = table(&results());
        assert!(text.contains("| 6.1 | dump alone | 1/1 | 1/1 | 0/0 | 0/1 | 0/0 | 0 |"), "{text}");
        assert!(text.contains("| 6.1 | + vmlinux + zoo.ko | 1/1 | 1/1 | 0/0 | 0/1 | 0/0 | 1 |"), "{text}");
        assert!(text.contains("| bug | ✓ ✓ · ? · | ✓ ✓ · ✓ · | ✓ ✓ · ✗ · |"), "{text}");
        let failures = failures(&results());
        assert_eq!(failures[0], "WRONG 6.1/bug (+ vmlinux + zoo.ko): cause: no");
        assert_eq!(failures[1], "6.1/bug (dump alone): cause: a | b");
        assert!(text.contains("* 6.1/bug (dump alone): cause: a \\| b"));
    }

    #[test]
    fn a_score_is_held_to_percents() {
        let score = Score { right: 7, unknown: 3, wrong: 0 };
        assert!(score.reaches(70) && !score.reaches(71));
        assert!(Score::default().reaches(100));
        assert_eq!(scores(&results(), 2)[3].1, Score { right: 0, unknown: 0, wrong: 1 });
    }
}
