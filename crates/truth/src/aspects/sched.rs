//! Signals and run queues, beside `/proc/PID/status` and what else the guest and the answers say of tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Differences, different_maps, restless};
use crate::{Answers, Case};

/// Which signals wait for each process, and which it blocks, ignores and catches.
///
/// # Errors
/// crashlens did not answer.
pub fn signals(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let restless = restless(&case.truth);
    let mut wanted = case.truth.signals();
    wanted.retain(|pid, _| !restless.contains(pid));
    if wanted.is_empty() {
        return Ok(Differences::new());
    }
    let mut found = BTreeMap::new();
    for task in answers.list("sig", "tasks")? {
        let pid = task.get("pid").and_then(Value::as_i64).unwrap_or(-1);
        if wanted.contains_key(&pid) {
            found.insert(pid, sets(task));
        }
    }
    Ok(different_maps(&found, &wanted))
}

fn sets(task: &Value) -> [String; 5] {
    let set = |path: &str| {
        let number = task.pointer(path).and_then(Value::as_str).map(super::hex);
        number.map_or_else(|| "none".to_owned(), |number| format!("{number:016x}"))
    };
    let (mut ignored, mut caught) = (0_u64, 0_u64);
    for action in task.get("actions").and_then(Value::as_array).into_iter().flatten() {
        let number = action.get("signal").and_then(Value::as_u64).unwrap_or(0);
        let bit = number.checked_sub(1).map_or(0, |shift| 1 << (shift & 63));
        match action.get("handler").and_then(Value::as_str) {
            Some("SIG_DFL") => {}
            Some("SIG_IGN") => ignored |= bit,
            _ => caught |= bit,
        }
    }
    let [private, shared, blocked] = ["/private/signal", "/shared/signal", "/blocked"].map(set);
    [private, shared, blocked, format!("{ignored:016x}"), format!("{caught:016x}")]
}

/// The policy and the priority of each task, beside those of `/proc/PID/stat`, whose priorities begin 100 lower.
///
/// # Errors
/// crashlens did not answer.
pub fn policies(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let names = ["NORMAL", "FIFO", "RR", "BATCH", "ISO", "IDLE", "DEADLINE", "EXT"];
    let mut wanted = BTreeMap::new();
    for line in case.truth.sections.get("task.stat").into_iter().flatten() {
        // the name may hold blanks; the state, the third field, stands behind it
        let (Some((pid, _)), Some((_, rest))) = (line.split_once(" ("), line.rsplit_once(") ")) else {
            continue;
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3).and_then(|text| text.parse::<i64>().ok());
        if let (Ok(pid), Some(prio), Some(policy)) = (pid.parse::<i64>(), field(18), field(41)) {
            let name = usize::try_from(policy).ok().and_then(|n| names.get(n)).copied().unwrap_or("?");
            wanted.insert(pid, (name.to_owned(), prio + 100));
        }
    }
    let mut found = BTreeMap::new();
    for task in answers.list("ps -Y", "tasks")? {
        let pid = task.get("pid").and_then(Value::as_i64).unwrap_or(-1);
        let name = task.get("policy").and_then(Value::as_str).unwrap_or_default().to_owned();
        found.insert(pid, (name, task.get("prio").and_then(Value::as_i64).unwrap_or(i64::MIN)));
    }
    found.retain(|pid, _| wanted.contains_key(pid));
    wanted.retain(|pid, _| found.contains_key(pid));
    if wanted.is_empty() {
        return Ok(vec!["no task is in both".to_owned()]);
    }
    Ok(different_maps(&found, &wanted))
}

/// The tasks that `ps` calls running are those that run or wait on a queue. Those of a throttled group are shown by groups
/// alone.
///
/// # Errors
/// crashlens did not answer.
pub fn queues(_: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut wanted = BTreeSet::new();
    for task in answers.list("ps", "tasks")? {
        let pid = task.get("pid").and_then(Value::as_i64).unwrap_or(-1);
        if pid > 0 && task.get("state").and_then(Value::as_str) == Some("RU") {
            wanted.insert(pid);
        }
    }
    let (mut plain, mut grouped, mut throttled) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    answers.list("runq", "cpus")?.iter().for_each(|cpu| collect(cpu, &mut plain));
    for cpu in answers.list("runq -g", "cpus")? {
        collect(cpu, &mut grouped);
        within_throttled(cpu, &mut throttled);
    }
    let mut differences = Differences::new();
    plain.extend(&throttled);
    for (line, mut found) in [("runq", plain), ("runq -g", grouped)] {
        found.remove(&0);
        differences
            .extend(wanted.difference(&found).map(|pid| format!("{line}: {pid} runs, and is in no queue")));
        differences
            .extend(found.difference(&wanted).map(|pid| format!("{line}: {pid} is in a queue, and sleeps")));
    }
    Ok(differences)
}

/// The tasks in throttled groups.
fn within_throttled(value: &Value, found: &mut BTreeSet<i64>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| within_throttled(one, found)),
        Value::Object(members) if members.get("throttled").and_then(Value::as_bool) == Some(true) => {
            collect(value, found);
        }
        Value::Object(members) => members.values().for_each(|one| within_throttled(one, found)),
        _ => {}
    }
}

/// The tasks anywhere in an answer but those that sleep and stay queued.
fn collect(value: &Value, found: &mut BTreeSet<i64>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect(one, found)),
        Value::Object(members) => {
            let sleeps = members.get("sched_delayed").and_then(Value::as_bool) == Some(true);
            found.extend(members.get("pid").and_then(Value::as_i64).filter(|_| !sleeps));
            members.values().for_each(|one| collect(one, found));
        }
        _ => {}
    }
}
