//! All stacks as a flame graph: the outermost function at the bottom, as wide as tasks are in it.

use super::{Rect, WIDTH, begin, cut, end, rect, words};
use crate::page::all;
use render::Page;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;

/// Frames deeper than this are not drawn.
const DEPTH: usize = 60;

/// A function that some tasks are in, called from the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Node {
    count: u64,
    inner: BTreeMap<String, Node>,
}

/// The tree of all stacks: its count is the number of tasks.
fn tree(data: &Value) -> Node {
    let mut root = Node::default();
    for stack in all(data, "stacks") {
        let count = stack.get("count").and_then(Value::as_u64).unwrap_or_default();
        root.count = root.count.saturating_add(count);
        let mut at = &mut root;
        // frames are told innermost first
        for frame in all(stack, "frames").iter().rev().take(DEPTH) {
            at = at.inner.entry(name(frame)).or_default();
            at.count = at.count.saturating_add(count);
        }
    }
    root
}

fn name(frame: &Value) -> String {
    let name = frame.pointer("/function/name").and_then(Value::as_str);
    name.or_else(|| frame.get("pc").and_then(Value::as_str)).unwrap_or("?").to_owned()
}

fn depth(node: &Node) -> usize {
    node.inner.values().map(depth).max().map_or(0, |inner| inner.saturating_add(1))
}

const ROW: f64 = 18.0;

/// Writes the graph.
pub(super) fn write(data: &Value, p: &mut Page<'_>) -> io::Result<()> {
    let root = tree(data);
    if root.count == 0 {
        return Ok(());
    }
    let rows = depth(&root).saturating_add(1) as f64;
    let about = format!(
        "All kernel stacks of {} tasks: the outermost function at the bottom, each as wide as tasks are in it.",
        root.count
    );
    begin("stacks", &about, rows * ROW + 4.0, p)?;
    let unit = WIDTH / root.count as f64;
    node("all tasks", &root, 0.0, (rows - 1.0) * ROW, unit, p)?;
    end(&about, p)
}

/// A function, and above it those that it called.
fn node(name: &str, one: &Node, x: f64, y: f64, unit: f64, p: &mut Page<'_>) -> io::Result<()> {
    let width = one.count as f64 * unit;
    // what is narrower cannot be seen
    if width < 0.5 {
        return Ok(());
    }
    let class = ["f0", "f1", "f2", "f3"].get(name.len() % 4).copied().unwrap_or("f0");
    let title = format!("{name}: {} tasks", one.count);
    rect(
        Rect { x, y, width: (width - 0.5).max(0.3), height: ROW - 1.0 },
        class,
        one.count.into(),
        &title,
        p,
    )?;
    let label = cut(name, width - 6.0);
    if !label.is_empty() {
        words(x + 3.0, y + 13.0, "inside", &label, p)?;
    }
    let mut at = x;
    for (name, inner) in &one.inner {
        node(name, inner, at, y - ROW, unit, p)?;
        at += inner.count as f64 * unit;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_of_a_node_are_those_of_its_stacks() {
        let frame = |name: &str| json!({"function": {"name": name, "offset": 1}});
        let data = json!({"tasks": 7, "stacks": [
            {"count": 4, "frames": [frame("wait"), frame("read"), frame("entry")]},
            {"count": 2, "frames": [frame("run"), frame("entry")]},
            {"count": 1, "frames": []},
        ]});
        let root = tree(&data);
        assert_eq!((root.count, root.inner["entry"].count, depth(&root)), (7, 6, 3));
        assert_eq!(root.inner["entry"].inner["read"].inner["wait"].count, 4);
        let mut out = Vec::new();
        write(&data, &mut Page::new(&mut out)).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("read: 4 tasks"));
    }
}
