//! Locals of all frames of the panic task, beside drgn's.

use std::collections::HashMap;
use std::path::PathBuf;

use crashlens_truth::peers::Drgn;
use crashlens_truth::{Answers, Case};
use serde_json::Value;

/// Each variable of each frame: `PC FUNCTION NAME`, and `absent`, `at ADDRESS` or `is NUMBER`.
const CODE: &str = r"
for f in prog.crashed_thread().stack_trace():
    for n in f.locals():
        v = f[n]
        if v.absent_: what = 'absent'
        elif v.address_ is not None: what = 'at %x' % v.address_
        else:
            try: what = 'is %d' % int(v.value_())
            except Exception: what = 'object'
        print('%x' % f.pc, f.name, n, what)
";

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Same value, same address, or absent in both.
    pub(super) equal: usize,
    /// drgn has it as optimized out; crashlens has the value, from the caller's frame (entry values).
    pub(super) more: Vec<String>,
    /// Frames that crashlens's unwinding does not have.
    pub(super) frames_missing: Vec<String>,
    /// Anything else.
    pub(super) wrong: Vec<String>,
}

/// A frame's pc, a function, a variable.
type Key = (u64, String, String);

/// Compares every variable that drgn has.
pub(super) fn compare(drgn: &Drgn, case: &Case, files: &[PathBuf]) -> Result<Found, String> {
    let theirs = drgn.run(&case.dir.join("dump.elf"), files.get(1..).unwrap_or(&[]), CODE)?;
    let answers = Answers::ask(files, &["bt --locals".to_owned()])?;
    let ours = ours(answers.data("bt --locals")?);
    let mut found = Found::default();
    for line in theirs.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [pc, function, name, what] = words.as_slice() else { return Err(format!("drgn: {line}")) };
        let pc = u64::from_str_radix(pc, 16).map_err(|e| format!("{line}: {e}"))?;
        if !ours.keys().any(|(at, ..)| *at == pc) {
            found.frames_missing.push(line.to_owned());
            continue;
        }
        let key = (pc, (*function).to_owned(), (*name).to_owned());
        let all = ours.get(&key).map_or(&[][..], Vec::as_slice);
        match all.iter().any(|one| same(one, what)) {
            true => found.equal += 1,
            false if *what == "absent" && !all.is_empty() => found.more.push(line.to_owned()),
            false => found.wrong.push(format!("{line}; ours: {all:?}")),
        }
    }
    Ok(found)
}

/// By key, what crashlens says: variables of one name in blocks within blocks are several.
fn ours(data: &Value) -> HashMap<Key, Vec<Value>> {
    let mut all: HashMap<Key, Vec<Value>> = HashMap::new();
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    for frame in list(data, "backtraces").iter().flat_map(|bt| list(bt, "frames")) {
        let pc = text(&frame, "/pc").and_then(|pc| number(&pc));
        let symbol = text(&frame, "/function/name").unwrap_or_default();
        // the parts that a compiler makes of a function have its name and a dot
        let plain = symbol.split('.').next().unwrap_or_default().to_owned();
        for local in list(&frame, "locals") {
            let function = text(&local, "/function").unwrap_or_else(|| plain.clone());
            if let (Some(pc), Some(name)) = (pc, text(&local, "/name")) {
                all.entry((pc, function, name)).or_default().push(local);
            }
        }
    }
    all
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn same(ours: &Value, theirs: &str) -> bool {
    let absent = ours.get("value").and_then(Value::as_str).is_some_and(|text| text.starts_with('<'));
    let at = ours.get("address").and_then(Value::as_str).and_then(number);
    match theirs.split_once(' ') {
        Some(("at", address)) => at.is_some() && at == u64::from_str_radix(address, 16).ok(),
        Some(("is", value)) => {
            let mine = ours.get("number").map(Value::to_string);
            at.is_none() && mine.as_deref() == Some(value)
        }
        _ if theirs == "object" => !absent && at.is_none(),
        _ => absent && at.is_none(),
    }
}
