//! Timers, beside `/proc/timer_list`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Differences;
use crate::{Answers, Case};

/// A timer: its CPU, its clock, from when to when it is due, what it calls.
type Timer = (u64, u64, i64, i64, String);

/// Those that were due long after the guest died: nothing but their owner takes them away.
const LATER_NSEC: i64 = 300_000_000_000;

/// Every timer that the guest told and that had time left is there, with its times; the clocks are the guest's.
///
/// # Errors
/// crashlens did not answer.
pub fn timers(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let Some(rows) = case.truth.sections.get("timer_list") else { return Ok(Differences::new()) };
    let mut found = BTreeSet::new();
    let mut clocks = BTreeSet::new();
    for cpu in answers.list("timer -r", "cpus")? {
        let number = cpu.get("cpu").and_then(Value::as_u64).unwrap_or(u64::MAX);
        for clock in cpu.get("clocks").and_then(Value::as_array).into_iter().flatten() {
            let index = clock.get("clock").and_then(Value::as_u64).unwrap_or(u64::MAX);
            clocks.insert((number, index));
            for timer in clock.get("timers").and_then(Value::as_array).into_iter().flatten() {
                let nsec = |member: &str| timer.get(member).and_then(Value::as_i64).unwrap_or(-1);
                let name = timer.pointer("/symbol/name").and_then(Value::as_str).unwrap_or_default();
                found.insert((number, index, nsec("softexpires"), nsec("expires"), name.to_owned()));
            }
        }
    }
    let (wanted, told) = told(rows);
    let mut differences = Differences::new();
    if told != clocks {
        differences.push(format!("clocks {clocks:?}, the guest says {told:?}"));
    }
    differences.extend(wanted.difference(&found).map(|timer| format!("{timer:?} is missing")));
    Ok(differences)
}

/// The guest's timers that had time left, and its clocks.
fn told(rows: &[String]) -> (BTreeSet<Timer>, BTreeSet<(u64, u64)>) {
    let (mut timers, mut clocks) = (BTreeSet::new(), BTreeSet::new());
    let (mut cpu, mut clock, mut name) = (0, 0, String::new());
    for row in rows.iter().map(|row| row.trim()) {
        if let Some(number) = row.strip_prefix("cpu: ") {
            cpu = number.trim().parse().unwrap_or(u64::MAX);
        } else if let Some(number) = row.strip_prefix("clock ").and_then(|rest| rest.strip_suffix(':')) {
            clock = number.parse().unwrap_or(u64::MAX);
            clocks.insert((cpu, clock));
        } else if let Some((_, rest)) = row.split_once(">, ").filter(|_| row.starts_with('#')) {
            // ` #0: <ffff…>, hrtimer_wakeup, S:01`
            name = rest.split(',').next().unwrap_or_default().trim().to_owned();
        } else if let Some(rest) = row.strip_prefix("# expires at ") {
            // `# expires at 5000-5050 nsecs [in 100 to 150 nsecs]`
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (Some(range), Some(left)) = (words.first(), words.get(3)) else { continue };
            let Some((soft, hard)) = range.split_once('-') else { continue };
            let number = |text: &str| text.parse::<i64>().ok();
            let (Some(soft), Some(hard), Some(left)) = (number(soft), number(hard), number(left)) else {
                continue;
            };
            if left > LATER_NSEC {
                timers.insert((cpu, clock, soft, hard, name.clone()));
            }
        }
    }
    (timers, clocks)
}
