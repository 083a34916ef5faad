//! CPUs as lanes: when each task ran last, on the CPU that it ran on.

use super::{Rect, begin, cut, end, rect, task as named, time, words};
use crate::page::all;
use render::{Clean, Page};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;

/// A task that ran on a CPU so many nanoseconds before the dump.
#[derive(Clone, PartialEq, Debug)]
struct Run {
    ago: u64,
    name: String,
    state: String,
}

/// The runs of each CPU, the latest first.
fn lanes(data: &Value) -> BTreeMap<u64, Vec<Run>> {
    let mut out: BTreeMap<u64, Vec<Run>> = BTreeMap::new();
    for task in all(data, "tasks") {
        let number = |key: &str| task.get(key).and_then(Value::as_u64);
        let text = |key: &str| task.get(key).and_then(Value::as_str).unwrap_or("?");
        if let (Some(cpu), Some(ago)) = (number("cpu"), number("last_run_ago_ns")) {
            out.entry(cpu).or_default().push(Run { ago, name: named(task), state: text("state").to_owned() });
        }
    }
    out.values_mut().for_each(|runs| runs.sort_by_key(|run| run.ago));
    out
}

const LEFT: f64 = 60.0;
const RIGHT: f64 = 830.0;
const ROW: f64 = 22.0;
/// More CPUs than this are not drawn.
const MOST: usize = 256;

/// Writes the lanes: time runs to the right, up to the dump, in steps of ten times.
pub(super) fn write(data: &Value, p: &mut Page<'_>) -> io::Result<()> {
    let lanes = lanes(data);
    let runs: usize = lanes.values().map(Vec::len).sum();
    if runs == 0 {
        return Ok(());
    }
    let shown = lanes.len().min(MOST);
    let rest = if shown < lanes.len() {
        format!(" The first {shown} of {} CPUs are drawn.", lanes.len())
    } else {
        String::new()
    };
    let about = format!(
        "When each of {runs} tasks ran last, on its CPU; right is the moment of the dump, and each line is ten times as long \
         before it as the one to its right. Named is the task that ran last.{rest}"
    );
    let furthest = lanes.values().flatten().map(|run| run.ago).max().unwrap_or(1).max(1_000_000) as f64;
    // from 10 µs on
    let place = |ago: f64| RIGHT - (ago.max(1e4).log10() - 4.0) / (furthest.log10() - 4.0) * (RIGHT - LEFT);
    begin("cpus", &about, shown as f64 * ROW + 26.0, p)?;
    let mut step = 1e4_f64;
    while step <= furthest {
        rule(place(step), shown as f64 * ROW + 4.0, p)?;
        words(place(step) - 14.0, shown as f64 * ROW + 18.0, "tick", &time(step), p)?;
        step *= 10.0;
    }
    for (n, (cpu, runs)) in lanes.iter().take(shown).enumerate() {
        let y = n as f64 * ROW;
        words(0.0, y + 15.0, "label", &format!("CPU {cpu}"), p)?;
        for run in runs.iter().rev() {
            let class = if run.state == "RU" { "c1" } else { "c3" };
            let title = format!("{} ({}), {} before", run.name, run.state, time(run.ago as f64));
            rect(
                Rect { x: place(run.ago as f64) - 2.0, y: y + 4.0, width: 4.0, height: 14.0 },
                class,
                1,
                &title,
                p,
            )?;
        }
        if let Some(last) = runs.first() {
            words(RIGHT + 8.0, y + 15.0, "label", &cut(&last.name, 160.0), p)?;
        }
    }
    end(&about, p)
}

fn rule(x: f64, height: f64, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<path class=\"rule\" d=\"M")?;
    p.length(x)?;
    p.own(" 0V")?;
    p.length(height)?;
    p.own("\"/>")?;
    p.html(&Clean::own("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_task_with_a_time_is_on_its_lane() {
        let task = |pid: u64, cpu: u64, ago: Value| json!({"pid": pid, "cpu": cpu, "command": "x", "state": "RU", "last_run_ago_ns": ago});
        let data = json!({"tasks": [task(1, 0, json!(500)), task(2, 1, json!(7)), task(3, 0, json!(20)), task(4, 0, json!({"absent": "?"}))]});
        let lanes = lanes(&data);
        assert_eq!(lanes[&0].iter().map(|run| run.ago).collect::<Vec<_>>(), [20, 500]);
        assert_eq!(lanes.values().map(Vec::len).sum::<usize>(), 3);
    }

    #[test]
    fn a_task_without_a_pid_is_not_the_idle_task() {
        let data =
            json!({"tasks": [{"pid": {"absent": "?"}, "cpu": 0, "command": "x", "last_run_ago_ns": 5}]});
        assert_eq!(super::lanes(&data)[&0][0].name, "? x");
    }
}
