//! The timeline: how much the kernel said when, what of it was trouble, and when tasks started.

use super::{Rect, begin, end, rect, task as named, time, words};
use crate::book::Book;
use crate::page::all;
use render::Page;
use serde_json::Value;
use std::io;

/// Columns of the histogram.
const BINS: usize = 120;
const LEFT: f64 = 100.0;
const SPAN: f64 = 890.0;

/// Messages of one column: errors and worse, warnings, others.
type Bin = [u64; 3];

/// What the timeline draws.
#[derive(Clone, PartialEq, Debug, Default)]
struct Timeline {
    /// The last moment, in seconds.
    end: f64,
    bins: Vec<Bin>,
    /// Messages without a time.
    untimed: u64,
    /// Messages of the fatal report: when, and what.
    fatal: Vec<(f64, String)>,
    /// When tasks started, and which.
    starts: Vec<(f64, String)>,
}

impl Timeline {
    fn of(book: &Book) -> Self {
        let messages = all(book.data("log"), "messages");
        let when = |message: &Value| {
            message.get("seconds").and_then(Value::as_f64).filter(|at| at.is_finite() && *at >= 0.0)
        };
        let starts: Vec<(f64, String)> =
            all(book.data("started"), "tasks").iter().filter_map(start).collect();
        let times = messages.iter().filter_map(when).chain(starts.iter().map(|(at, _)| *at));
        let end = times.fold(0.0, f64::max);
        let mut out = Self { end, bins: vec![[0; 3]; BINS], starts, ..Self::default() };
        for message in messages {
            let Some(at) = when(message) else {
                out.untimed = out.untimed.saturating_add(1);
                continue;
            };
            let column = if end > 0.0 { (at / end * BINS as f64) as usize } else { 0 };
            let row = match message.get("level").and_then(Value::as_u64) {
                Some(0..=3) => 0,
                Some(4) => 1,
                _ => 2,
            };
            if let Some(count) =
                out.bins.get_mut(column.min(BINS.saturating_sub(1))).and_then(|bin| bin.get_mut(row))
            {
                *count = count.saturating_add(1);
            }
            let number = message.get("sequence").and_then(Value::as_u64);
            if number.is_some_and(|number| book.fatal.contains(&number)) {
                let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
                out.fatal.push((at, text.to_owned()));
            }
        }
        out
    }

    fn messages(&self) -> u64 {
        self.bins.iter().flatten().fold(self.untimed, |sum, count| sum.saturating_add(*count))
    }
}

/// When a task started.
fn start(task: &Value) -> Option<(f64, String)> {
    let at = task.get("start_time").and_then(Value::as_u64)?;
    Some((at as f64 / 1e9, named(task)))
}

/// Writes the timeline.
pub(crate) fn write(book: &Book, p: &mut Page<'_>) -> io::Result<()> {
    let line = Timeline::of(book);
    if line.messages() == line.untimed && line.starts.is_empty() {
        return p.own("<p class=\"warn\">No message and no task of this dump has a time.</p>");
    }
    let about = format!(
        "{} messages of the log by time since boot (red: errors and worse, yellow: warnings), the fatal report, and when {} tasks \
         started; {} messages have no time.",
        line.messages(),
        line.starts.len(),
        line.untimed
    );
    begin("timeline", &about, 190.0, p)?;
    words(0.0, 60.0, "label", "Messages", p)?;
    histogram(&line, p)?;
    words(0.0, 133.0, "label", "Fatal report", p)?;
    ticks(&line, &line.fatal, 120.0, "e", p)?;
    words(0.0, 159.0, "label", "Tasks started", p)?;
    ticks(&line, &line.starts, 146.0, "c3", p)?;
    for n in 0..=4_u8 {
        let share = f64::from(n) / 4.0;
        let x = LEFT + share * SPAN - if n == 4 { 40.0 } else { 0.0 };
        words(x, 184.0, "tick", &time(line.end * share * 1e9), p)?;
    }
    end(&about, p)
}

fn histogram(line: &Timeline, p: &mut Page<'_>) -> io::Result<()> {
    let most = line.bins.iter().map(|bin| bin.iter().sum::<u64>()).max().unwrap_or(1).max(1);
    let width = SPAN / BINS as f64;
    for (n, bin) in line.bins.iter().enumerate() {
        let (mut y, x) = (108.0, LEFT + n as f64 * width);
        for (count, (class, what)) in bin.iter().zip([("e", "errors"), ("w", "warnings"), ("c3", "others")]) {
            if *count == 0 {
                continue;
            }
            // a single message among thousands is seen as well
            let height = (*count as f64 / most as f64 * 96.0).max(1.5);
            y -= height;
            let title = format!("{count} {what}, from {}", time(line.end * n as f64 / BINS as f64 * 1e9));
            rect(Rect { x, y, width: width - 1.0, height }, class, (*count).into(), &title, p)?;
        }
    }
    Ok(())
}

fn ticks(
    line: &Timeline,
    all: &[(f64, String)],
    y: f64,
    class: &'static str,
    p: &mut Page<'_>,
) -> io::Result<()> {
    for (at, text) in all {
        let x = LEFT + if line.end > 0.0 { at / line.end * SPAN } else { 0.0 };
        let title = format!("{}: {text}", time(at * 1e9));
        rect(Rect { x: x - 1.0, y, width: 2.0, height: 18.0 }, class, 1, &title, p)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_without_a_pid_is_not_the_idle_task() {
        let of = |pid: Value| start(&json!({"pid": pid, "command": "x", "start_time": 2_000_000_000_u64}));
        assert_eq!(of(json!(7)), Some((2.0, "7 x".to_owned())));
        assert_eq!(of(json!({"absent": "?"})), Some((2.0, "? x".to_owned())));
    }
}
