//! Who waits for whom: the waiters of each lock, the lock, its owner.

use super::{Rect, begin, cut, end, rect, words};
use crate::book::Book;
use crate::page::all;
use render::Page;
use serde_json::Value;
use std::io;

/// Locks beyond these are in the text alone.
const MOST: usize = 40;
/// Waiters of one lock beyond these are counted.
const WAITERS: usize = 8;

const ROW: f64 = 24.0;

/// One lock of the drawing.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    lock: String,
    owner: String,
    waiters: Vec<String>,
    /// Waiters that are not named.
    more: usize,
}

/// The locks that somebody waits for.
fn held(data: &Value, tasks: &Value) -> Vec<Held> {
    let name = |pid: u64| {
        let of = |task: &&Value| task.get("pid").and_then(Value::as_u64) == Some(pid);
        let known = all(tasks, "tasks").iter().find(of).and_then(|task| task.get("command")?.as_str());
        format!("{pid} {}", known.unwrap_or("?"))
    };
    let of = |lock: &Value| {
        let text = |key: &str| lock.get(key).and_then(Value::as_str).unwrap_or("?");
        let waiters = all(lock, "waiters");
        let waiter = |task: &Value| {
            task.get("pid").and_then(Value::as_u64).map_or_else(|| "task not known".to_owned(), name)
        };
        Held {
            lock: format!("{} {}", text("kind"), text("lock").trim_start_matches("0x")),
            owner: lock
                .get("owner")
                .and_then(Value::as_u64)
                .map_or_else(|| "owner not known".to_owned(), name),
            waiters: waiters.iter().take(WAITERS).map(waiter).collect(),
            more: waiters.len().saturating_sub(WAITERS),
        }
    };
    all(data, "locks").iter().take(MOST).map(of).collect()
}

/// Writes the drawing; nothing where nobody waits for a lock.
pub(super) fn write(book: &Book, p: &mut Page<'_>) -> io::Result<()> {
    let locks = held(book.data("waits"), book.data("tasks"));
    if locks.is_empty() {
        return Ok(());
    }
    let all = all(book.data("waits"), "locks").len();
    let rest = if all > locks.len() {
        format!(" The first {} of {all} locks are drawn.", locks.len())
    } else {
        String::new()
    };
    let about =
        format!("Tasks that wait (left), the lock that each waits for, and who has it (right).{rest}");
    let height = |lock: &Held| (lock.waiters.len().max(1) + usize::from(lock.more > 0)) as f64 * ROW + 10.0;
    begin("waits", &about, locks.iter().map(height).sum::<f64>() + 4.0, p)?;
    let mut y = 0.0;
    for lock in &locks {
        let middle = y + (height(lock) - 10.0) / 2.0;
        for (n, waiter) in lock.waiters.iter().enumerate() {
            let at = y + n as f64 * ROW;
            boxed(0.0, at, 240.0, "c3", waiter, p)?;
            arrow((240.0, at + 10.0), (380.0, middle), p)?;
        }
        if lock.more > 0 {
            words(
                4.0,
                y + lock.waiters.len() as f64 * ROW + 14.0,
                "label",
                &format!("and {} more", lock.more),
                p,
            )?;
        }
        boxed(380.0, middle - 10.0, 240.0, "c2", &lock.lock, p)?;
        arrow((620.0, middle), (760.0, middle), p)?;
        boxed(760.0, middle - 10.0, 240.0, "c1", &lock.owner, p)?;
        y += height(lock);
    }
    end(&about, p)
}

fn boxed(x: f64, y: f64, width: f64, class: &'static str, text: &str, p: &mut Page<'_>) -> io::Result<()> {
    rect(Rect { x, y, width, height: 20.0 }, class, 1, text, p)?;
    words(x + 5.0, y + 14.0, "inside", &cut(text, width - 8.0), p)
}

/// From who waits to what is waited for.
fn arrow(from: (f64, f64), to: (f64, f64), p: &mut Page<'_>) -> io::Result<()> {
    p.own("<path class=\"arrow\" d=\"M")?;
    point(from, p)?;
    p.own("L")?;
    point((to.0 - 7.0, to.1), p)?;
    p.own("\"/><path class=\"head\" d=\"M")?;
    point(to, p)?;
    p.own("l-8 -4v8z\"/>\n")
}

fn point((x, y): (f64, f64), p: &mut Page<'_>) -> io::Result<()> {
    p.length(x)?;
    p.own(" ")?;
    p.length(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn waiters_and_owners_have_names() {
        let tasks = json!({"tasks": [{"pid": 1, "command": "a"}, {"pid": 2, "command": "b"}]});
        let waiters: Vec<Value> = (0..10).map(|_| json!({"pid": 2})).collect();
        let data = json!({"locks": [{"kind": "mutex", "lock": "0xff00", "owner": 1, "waiters": waiters}, {"kind": "rwsem", "owner": null, "waiters": [{"pid": {"absent": "?"}}]}]});
        let locks = held(&data, &tasks);
        assert_eq!((locks[0].owner.as_str(), locks[0].waiters[0].as_str(), locks[0].more), ("1 a", "2 b", 2));
        assert_eq!(locks[1].owner, "owner not known");
        assert_eq!(locks[1].waiters, ["task not known"], "and not the idle task, 0");
    }
}
