//! One report, three renderings.

use super::*;
use report::{Cell, Line, Record, Report};

fn sample() -> Report {
    let mut report = Report::new("bt");
    report.line(
        Line::new()
            .text("PID: ")
            .field("pid", 12)
            .left(9)
            .text("TASK: ")
            .field("task", Cell::Addr(0xffff_8880_0123_4000))
            .text("  COMMAND: ")
            .field("command", Cell::shown("a<b>", "\"a<b>\"")),
    );
    let frame = |n: u32, sp: u64, name: &str| {
        Record::of(
            Line::new()
                .text(" #")
                .field("frame", n)
                .text(" [")
                .field("sp", Cell::Addr(sp))
                .text("] ")
                .field("symbol", Cell::symbol(name, 43)),
        )
    };
    report.list("frames", vec![frame(0, 0x1000, "schedule"), frame(1, 0x1010, "do_exit")]);
    report.line(
        Line::new()
            .text("flags: ")
            .field("flags", Cell::absent("page excluded", "physical address 0x1: page excluded")),
    );
    report.hidden("hidden", Cell::Null);
    report.line(Line::new().text("tasks: ").field("tasks", Cell::at_least(13, "a page is missing")));
    report.warning("bt: the stack ends early");
    report
}

fn shown(f: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    f(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn text_is_the_layout() {
    let text = shown(|out| text(&sample(), Colour::Plain, out));
    assert_eq!(
        text,
        "PID: 12       TASK: ffff888001234000  COMMAND: \"a<b>\"\n \
         #0 [1000] schedule+43\n #1 [1010] do_exit+43\nflags: <page excluded>\ntasks: at least 13\nbt: the stack ends early\n"
    );
}

#[test]
fn colours_are_only_for_terminals() {
    let plain = shown(|out| text(&sample(), Colour::Plain, out));
    let coloured = shown(|out| text(&sample(), Colour::Ansi, out));
    assert!(!plain.contains('\x1b'));
    assert!(coloured.contains("\x1b[36mffff888001234000\x1b[0m"));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(stripped + rest, plain);
}

#[test]
fn json_is_the_data() {
    let args = ["12".to_owned()];
    let out = shown(|out| json(&sample(), Source { dump: Some("vm\"core"), args: &args }, out));
    assert!(out.ends_with("}\n") && out.lines().count() == 1);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "schema": "crashlens/1", "command": "bt", "args": ["12"], "dump": "vm\"core",
            "data": {
                "pid": 12, "task": "0xffff888001234000", "command": "a<b>",
                "frames": [
                    {"frame": 0, "sp": "0x1000", "symbol": {"name": "schedule", "offset": 43}},
                    {"frame": 1, "sp": "0x1010", "symbol": {"name": "do_exit", "offset": 43}},
                ],
                "flags": {"absent": "physical address 0x1: page excluded"},
                "hidden": null,
                "tasks": {"absent": "a page is missing", "at_least": 13},
                "notes": [{"kind": "warning", "text": "bt: the stack ends early"}],
            }
        })
    );
}

#[test]
fn a_failure_is_json_as_well() {
    let out = shown(|out| json_error("bt", "bt: no \"x\"", Source::default(), out));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["error"], "bt: no \"x\"");
    assert_eq!(value["dump"], serde_json::Value::Null);
}

#[test]
fn a_key_that_comes_again_makes_an_array() {
    let mut report = Report::new("x");
    report.line(Line::new().field("n", 1).text(" ").field("n", 2));
    report.list("l", vec![Record::of(Line::new().field("a", 1))]);
    report.list("l", vec![Record::of(Line::new().field("a", 2))]);
    let out = shown(|out| json(&report, Source::default(), out));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["data"], serde_json::json!({"n": [1, 2], "l": [{"a": 1}, {"a": 2}]}));
}

#[test]
fn html_keeps_text_from_the_dump_as_text() {
    let out = shown(|out| {
        html_head("t & t", out)?;
        html_body(&sample(), "bt 12 | grep <x>", out)?;
        html_foot(out)
    });
    assert!(out.contains("<title>t &amp; t</title>"));
    assert!(out.contains("a&lt;b&gt;") && !out.contains("a<b>"));
    assert!(out.contains("<span class=\"absent\">&lt;page excluded&gt;</span>"));
}
