//! The tree of processes, by the parents that `ps` names.

use crate::book::Book;
use crate::page::{Links, all, plain};
use render::{Clean, Page};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// A tree deeper than this is cut.
const DEPTH: usize = 64;

/// Writes the tree: the threads of the kernel are folded.
pub(crate) fn write(book: &Book, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let tasks = all(book.data("tasks"), "tasks");
    let number = |task: &Value, key: &str| task.get(key).and_then(Value::as_i64);
    let is_process = |task: &&Value| match (number(task, "pid"), number(task, "tgid")) {
        (Some(0), _) | (None, _) => false,
        (Some(pid), Some(tgid)) => pid == tgid,
        (Some(_), None) => true,
    };
    let mut children: BTreeMap<i64, Vec<&Value>> = BTreeMap::new();
    let processes: Vec<&Value> = tasks.iter().filter(is_process).collect();
    let known: BTreeSet<i64> = processes.iter().filter_map(|task| number(task, "pid")).collect();
    for task in &processes {
        // whose parent is not among the tasks stands at the top
        let parent = number(task, "ppid").filter(|ppid| known.contains(ppid)).unwrap_or(0);
        let parent = if number(task, "pid") == Some(parent) { 0 } else { parent };
        children.entry(parent).or_default().push(task);
    }
    if processes.is_empty() {
        return p.own("<p class=\"warn\">No tasks are known.</p>");
    }
    p.own("<div class=\"tree\">")?;
    level(0, DEPTH, &children, links, p)?;
    p.own("</div>")
}

fn level(
    parent: i64,
    depth: usize,
    children: &BTreeMap<i64, Vec<&Value>>,
    links: &mut Links,
    p: &mut Page<'_>,
) -> io::Result<()> {
    let (Some(all), true) = (children.get(&parent), depth > 0) else { return Ok(()) };
    p.own("<ul>")?;
    for task in all {
        let pid = task.get("pid").and_then(Value::as_i64).unwrap_or_default();
        let count = children.get(&pid).map_or(0, Vec::len);
        p.own("<li>")?;
        // many children are folded
        if count > 12 {
            p.own("<details><summary>")?;
        }
        name(task, pid, links, p)?;
        if count > 12 {
            p.own(" <span class=\"dim\">")?;
            p.number(count as i128)?;
            p.own(" children</span></summary>")?;
        }
        level(pid, depth.saturating_sub(1), children, links, p)?;
        if count > 12 {
            p.own("</details>")?;
        }
        p.own("</li>")?;
    }
    p.own("</ul>")
}

fn name(task: &Value, pid: i64, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    match task.get("command") {
        Some(Value::String(name)) => plain(name, p)?,
        _ => p.own("?")?,
    }
    p.own(" ")?;
    let shown = Clean::of(pid.to_string());
    match task.get("task").and_then(crate::page::links::address) {
        Some(at) => links.address(at, &shown, p),
        None => p.html(&shown),
    }
}
