//! `stacks` beside `bt`: each task is told once, with those that have its stack and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Differences;
use crate::{Answers, Case};

/// Tasks are grouped as the return addresses in their backtraces are.
///
/// # Errors
/// crashlens did not answer.
pub fn stacks(_: &Case, answers: &Answers) -> Result<Differences, String> {
    let pid = |value: &Value| value.get("pid").and_then(Value::as_i64).unwrap_or(-1);
    let mut by_stack: BTreeMap<Vec<String>, BTreeSet<i64>> = BTreeMap::new();
    for task in answers.list("all stacks", "backtraces")? {
        let frames = addresses(task);
        if !frames.is_empty() {
            by_stack.entry(frames).or_default().insert(pid(task));
        }
    }
    let mut found: BTreeMap<Vec<String>, BTreeSet<i64>> = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut differences = Differences::new();
    for stack in answers.list("stacks", "stacks")? {
        let tasks: BTreeSet<i64> = stack
            .get("tasks")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(pid)
            .filter(|pid| *pid > 0)
            .collect();
        differences.extend(tasks.intersection(&told).map(|pid| format!("{pid} is told twice")));
        told.extend(&tasks);
        let frames = addresses(stack);
        if !frames.is_empty() && !tasks.is_empty() {
            found.insert(frames, tasks);
        }
    }
    differences.extend(super::different_maps(&found, &by_stack));
    Ok(differences)
}

/// The addresses of the frames.
fn addresses(of: &Value) -> Vec<String> {
    let frames = of.get("frames").and_then(Value::as_array).into_iter().flatten();
    frames.filter_map(|frame| Some(frame.get("pc")?.as_str()?.to_owned())).collect()
}
