//! A damaged dump's verdict says what the rest supports, and nothing that the whole dump's does not say: the sample,
//! cut short at several places and with flipped bytes.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crashlens_truth::program;
use serde_json::Value;

const SAMPLE: &str = "samples/virtio-bug.kdump";
/// A run on a busy machine; on an idle one it is a tenth.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a verdict states, in the smallest parts that are true or false by themselves.
#[derive(Debug, Default)]
struct Stated {
    class: String,
    parts: BTreeSet<String>,
}

/// Adds the parts of a text; lists may be shorter in a damaged dump.
fn add(parts: &mut BTreeSet<String>, section: &str, text: &Value) {
    for part in text.as_str().unwrap_or_default().split("; ") {
        let part = part.trim_start_matches("other ").trim_start_matches("CPUs: ");
        parts.insert(format!("{section}: {part}"));
    }
}

fn verdict(dump: &Path) -> Option<Stated> {
    let path = dump.display().to_string();
    let begun = Instant::now();
    let mut command = program::command().unwrap();
    let ended = command.args(["--no-search", "--json", "verdict", path.as_str()]).output().unwrap();
    assert!(begun.elapsed() < PATIENCE, "{path}: {:?}", begun.elapsed());
    let (code, out) = (ended.status.code(), String::from_utf8_lossy(&ended.stdout));
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{path}: {e}: {out}{ended:?}"));
    let Some(data) = answer.get("data") else {
        assert!(answer["error"].is_object() || answer["error"].is_string(), "{path}: {out}");
        return None;
    };
    let class = data["class"].as_str().unwrap().to_owned();
    assert_eq!(code == Some(3), class == "unknown", "{path}: exit code {code:?} for {class}");
    let mut parts = BTreeSet::new();
    for member in ["function", "file", "module"] {
        add(&mut parts, member, &data["place"][member]);
    }
    add(&mut parts, "condition", &data["condition"]["text"]);
    add(&mut parts, "access", &data["access"]["text"]);
    for operand in data["condition"]["operands"].as_array().into_iter().flatten() {
        // a value that is gone is told to be gone
        if let (Some(name), Some(value)) = (operand["name"].as_str(), operand["text"].as_str()) {
            parts.insert(format!("operand: {name} = {value}"));
        }
    }
    for section in ["context", "module", "waits", "related", "history", "known"] {
        for statement in data[section].as_array().into_iter().flatten() {
            add(&mut parts, section, &statement["text"]);
        }
    }
    parts.retain(|p| !p.ends_with(": "));
    Some(Stated { class, parts })
}

/// Whether a damaged dump's statement is one of the whole dump's: names may be weaker (`arg3` for a parameter's name,
/// a register for a member), which is no wrong statement; what is checked is that nothing else is claimed.
fn contradictions(whole: &Stated, found: &Stated) -> Vec<String> {
    let mut out = Vec::new();
    if found.class != whole.class && found.class != "unknown" && found.class != "panic" {
        out.push(format!("class {}", found.class));
    }
    let exact = ["function: ", "file: ", "module: ", "history: ", "known: "];
    let of_place = found.parts.iter().filter(|p| exact.iter().any(|e| p.starts_with(e)));
    // that something is not known is no statement
    // an issue that fits a condition without names says what they are in the source
    let named = |p: &str| p.split_once(" in the source: ").map(|(_, text)| format!("known: {text}"));
    let said = |p: &String| whole.parts.contains(p) || named(p).is_some_and(|p| whole.parts.contains(&p));
    out.extend(of_place.filter(|p| !said(p) && !p.contains("not known")).cloned());
    // numbers that operands had: whatever they are called, they are those of the whole dump
    let value = |p: &String| {
        p.strip_prefix("operand: ").and_then(|p| p.rsplit_once(" = ")).map(|(_, v)| v.to_owned())
    };
    let known: BTreeSet<String> = whole.parts.iter().filter_map(value).collect();
    out.extend(
        found.parts.iter().filter_map(value).filter(|v| !known.contains(v)).map(|v| format!("value {v}")),
    );
    // who did what, or a part of that
    let task = |p: &&String| p.starts_with("context: ") && p.contains("], CPU ");
    let told = |p: &str| {
        whole.parts.iter().any(|w| w.strip_prefix(p).is_some_and(|w| w.is_empty() || w.starts_with(", ")))
    };
    out.extend(found.parts.iter().filter(task).filter(|p| !told(p)).cloned());
    out
}

struct Damaged(PathBuf);

impl Damaged {
    fn write(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("crashlens-{}-{name}.kdump", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Damaged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn sample() -> Vec<u8> {
    fs::read(program::root().join(SAMPLE)).unwrap()
}

#[test]
fn a_dump_that_was_cut_short() {
    let bytes = sample();
    let whole = verdict(Path::new(SAMPLE)).unwrap();
    assert!(whole.class == "bug" && whole.parts.len() > 10, "{whole:?}");
    let mut said = 0;
    for percent in [1, 10, 25, 40, 55, 70, 80, 90, 95, 98, 99] {
        let damaged = Damaged::write(&format!("cut-{percent}"), &bytes[..bytes.len() * percent / 100]);
        let Some(found) = verdict(&damaged.0) else { continue };
        assert_eq!(contradictions(&whole, &found), Vec::<String>::new(), "cut to {percent} %");
        said += usize::from(found.class == "bug");
    }
    assert!(said > 0, "no cut dump has its verdict");
}

#[test]
fn a_dump_with_flipped_bytes() {
    let bytes = sample();
    let whole = verdict(Path::new(SAMPLE)).unwrap();
    // a simple generator: the places are the same in every run
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..6 {
        let mut copy = bytes.clone();
        // behind the headers and the page descriptors; single pages then fail to unpack or hold something else
        let (start, len) = (copy.len() / 8, copy.len() * 7 / 8);
        for _ in 0..(1 << (2 * round)) {
            let at = start + usize::try_from(next()).unwrap() % (len - 1);
            copy[at] ^= u8::try_from(next() & 0xff).unwrap() | 1;
        }
        let damaged = Damaged::write(&format!("flip-{round}"), &copy);
        let Some(found) = verdict(&damaged.0) else { continue };
        assert_eq!(
            contradictions(&whole, &found),
            Vec::<String>::new(),
            "{} bytes flipped",
            1 << (2 * round)
        );
    }
}
