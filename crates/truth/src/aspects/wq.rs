//! Workqueues beside the names that the guest has for its workers: `kworker/0:1H-events` is worker 1 of the pool of CPU 0 whose
//! nice value is below 0, and did a work of `events` last; `kworker/u4:0` is of pool 4; `kworker/R-NAME` is a rescuer (6.9).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Differences;
use crate::{Answers, Case};

/// Where a worker is: the pool's number where that is told, else its CPU; its own number; true for a pool of high priority.
type Place = (Option<i64>, Option<i64>, i64, bool);
/// The same as it is found, and what the worker did last.
type Found = ((i64, i64, i64, bool), Option<String>);

/// Each of the guest's workers is in the pool that its name says, and what they did last is mostly the same.
///
/// # Errors
/// crashlens did not answer.
pub fn wq(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let number = |value: &Value, member: &str| value.get(member).and_then(Value::as_i64);
    let text = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
    let mut found: BTreeMap<i64, Found> = BTreeMap::new();
    for pool in answers.list("wq -a", "pools")? {
        let of = |member: &str| number(pool, member).unwrap_or(i64::MIN);
        for worker in pool.get("workers").and_then(Value::as_array).into_iter().flatten() {
            let Some(pid) = number(worker, "pid") else { continue };
            let id = number(worker, "id").unwrap_or(-1);
            found.insert(pid, ((of("id"), of("cpu"), id, of("nice") < 0), text(worker, "desc")));
        }
    }
    let mut queues = BTreeMap::new();
    for queue in answers.list("wq -w", "workqueues")? {
        // several can have one name
        let has_rescuer: &mut bool = queues.entry(text(queue, "name").unwrap_or_default()).or_default();
        *has_rescuer |= queue.get("rescuer").is_some();
    }
    let alive: BTreeSet<i64> =
        answers.list("ps", "tasks")?.iter().filter_map(|task| number(task, "pid")).collect();
    let mut differences = Differences::new();
    let (mut told, mut same) = (0, 0);
    for task in case.truth.tasks.iter().filter(|task| alive.contains(&task.pid)) {
        let Some(name) = task.name.strip_prefix("kworker/") else { continue };
        if let Some(queue) = name.strip_prefix("R-") {
            if queues.get(queue) != Some(&true) {
                differences.push(format!("{}: no workqueue of that name has a rescuer", task.name));
            }
            continue;
        }
        let (place, queue) =
            name.split_once(['-', '+']).map_or((name, None), |(place, queue)| (place, Some(queue)));
        let Some((pool, cpu, id, high)) = said(place) else { continue };
        match found.get(&task.pid) {
            None => differences.push(format!("{} {}: no worker of a pool", task.pid, task.name)),
            Some((own, desc)) => {
                let is_same = pool.is_none_or(|pool| pool == own.0) && cpu.is_none_or(|cpu| cpu == own.1);
                // names of pools without a CPU do not tell the priority
                if !is_same || id != own.2 || (cpu.is_some() && high != own.3) {
                    differences.push(format!("{} {}: in pool {own:?}", task.pid, task.name));
                }
                told += usize::from(queue.is_some());
                same += usize::from(queue.is_some() && queue == desc.as_deref());
            }
        }
    }
    // some did another work since
    if same * 2 < told {
        differences.push(format!("of {told} workers, {same} did last what the guest says"));
    }
    let delayed = answers.list("wq -d", "delayed")?;
    if delayed.iter().any(|work| text(work, "workqueue").is_none_or(|name| !queues.contains_key(&name))) {
        differences.push("a work whose time has not come is of no workqueue".to_owned());
    }
    Ok(differences)
}

/// `0:1H`, `u4:0`.
fn said(place: &str) -> Option<Place> {
    let (of, id) = place.split_once(':')?;
    let (id, high) = id.strip_suffix('H').map_or((id, false), |id| (id, true));
    let id = id.parse().ok()?;
    Some(match of.strip_prefix('u') {
        Some(pool) => (Some(pool.parse().ok()?), None, id, high),
        None => (None, Some(of.parse().ok()?), id, high),
    })
}
