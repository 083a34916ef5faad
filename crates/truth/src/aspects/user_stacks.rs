//! `pstack` beside `/proc/PID/maps`: each frame is in code of the file that the guest says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Differences, hex, restless};
use crate::{Answers, Case};

/// The frames of each process lie in mappings that may be executed, of the file that the frame names.
///
/// # Errors
/// crashlens did not answer.
pub fn user_stacks(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let restless = restless(&case.truth);
    // by process: start, end, whether it is code, the file
    let mut maps: BTreeMap<i64, Vec<(u64, u64, bool, String)>> = BTreeMap::new();
    let mut pid = 0;
    for line in case.truth.sections.get("process.maps").into_iter().flatten() {
        if let Some(head) = line.strip_prefix("@ ") {
            pid = head.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let [range, flags, ..] = words.as_slice() else { continue };
        let Some((start, end)) = range.split_once('-') else { continue };
        let file = words.get(5).filter(|path| path.starts_with('/')).copied().unwrap_or_default().to_owned();
        maps.entry(pid).or_default().push((hex(start), hex(end), flags.contains('x'), file));
    }
    let mut differences = Differences::new();
    let mut told = 0;
    for stack in answers.list("pstack -a", "stacks")? {
        let pid = stack.get("pid").and_then(Value::as_i64).unwrap_or(-1);
        let Some(maps) = maps.get(&pid).filter(|_| !restless.contains(&pid)) else { continue };
        let frames = stack.get("frames").and_then(Value::as_array).into_iter().flatten();
        for (n, frame) in frames.enumerate() {
            let pc = frame.get("pc").and_then(Value::as_str).map_or(0, hex);
            let file = frame.get("file").and_then(Value::as_str).unwrap_or_default();
            match maps.iter().find(|(start, end, ..)| *start <= pc && pc <= *end) {
                Some((_, _, true, own)) if own == file => told += 1,
                found => {
                    differences.push(format!("{pid} #{n}: {pc:#x} of {file:?}, the guest has {found:?}"))
                }
            }
        }
    }
    if told == 0 && !maps.is_empty() {
        differences.push("no frame of a process is known".to_owned());
    }
    Ok(differences)
}
