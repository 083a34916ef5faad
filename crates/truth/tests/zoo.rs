//! Every case of the zoo, in every state of debug information: what `verdict` says, against how the guest died.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says what it left out")]

use std::sync::OnceLock;

use crashlens_truth::State;
use crashlens_truth::zoo::{Outcome, Result3, Score, judge_all, scores, zoo};

/// Judged once for all tests.
fn results() -> &'static [Result3] {
    static RESULTS: OnceLock<Vec<Result3>> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let cases = zoo().unwrap();
        if cases.is_empty() {
            eprintln!("no zoo: nothing was compared; `cargo xtask corpus --zoo` builds it");
        }
        judge_all(&cases)
    })
}

/// The statements of some parts that are not right, by a choice of outcomes.
fn list(parts: &[&str], states: &[State], bad: fn(&Outcome) -> Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for result in results() {
        for (judged, state) in result.judged.iter().zip(State::ALL).filter(|(_, s)| states.contains(s)) {
            for (part, outcome) in judged.all() {
                if let Some(why) = bad(outcome).filter(|_| parts.contains(&part)) {
                    found.push(format!("  {} {state:?}: {part}: {why}", result.name));
                }
            }
        }
    }
    found
}

fn wrong(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Wrong(why) => Some(why),
        _ => None,
    }
}

fn not_right(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Wrong(why) | Outcome::Unknown(why) => Some(why),
        _ => None,
    }
}

#[test]
fn no_statement_is_wrong() {
    let found = list(&["class", "place", "line", "cause", "context"], &State::ALL, wrong);
    assert!(found.is_empty(), "{} wrong statements:\n{}", found.len(), found.join("\n"));
}

#[test]
fn class_and_place_are_told_in_every_state() {
    let mut found = list(&["class", "place"], &State::ALL, not_right);
    found.extend(list(&["line"], &[State::Modules], not_right));
    assert!(found.is_empty(), "{} not told:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_cause_is_told_in_most_cases() {
    for (at, percent) in [(0, 70), (1, 70), (2, 90)] {
        let (part, score): (&str, Score) = scores(results(), at)[3];
        println!("{part}, {:?}: {} of {}", State::ALL[at], score.right, score.asked());
        let missing = list(&["cause"], &[State::ALL[at]], not_right);
        assert!(score.reaches(percent), "under {percent} of 100:\n{}", missing.join("\n"));
    }
}
