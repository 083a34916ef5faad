//! What ftrace recorded, beside the guest's own `trace`.

use serde_json::Value;

use super::Differences;
use crate::{Answers, Case};

/// Each record of the guest's instance, with its task, CPU, flags, time and text: the instance stopped before it was shown.
///
/// # Errors
/// crashlens did not answer.
pub fn trace(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let Some(lines) = case.truth.sections.get("trace.made") else { return Ok(Differences::new()) };
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_record =
        |line: &&String| !line.starts_with('#') && !line.trim().is_empty() && !line.starts_with("CPU:");
    let wanted: Vec<String> = lines.iter().filter(is_record).map(|line| words(line)).collect();
    let found: Vec<String> =
        answers.list("trace show -i made", "records")?.iter().map(|row| words(&line(row))).collect();
    if wanted.is_empty() {
        return Ok(vec!["the guest recorded nothing".to_owned()]);
    }
    let mut differences = Differences::new();
    if found.len() != wanted.len() {
        differences.push(format!("{} records, the guest has {}", found.len(), wanted.len()));
    }
    let differ = found.iter().zip(&wanted).filter(|(found, wanted)| found != wanted);
    differences.extend(differ.map(|(found, wanted)| format!("{found:?}, the guest says {wanted:?}")));
    Ok(differences)
}

/// A record as the kernel prints it.
fn line(row: &Value) -> String {
    let text = |member: &str| row.get(member).and_then(Value::as_str).unwrap_or_default();
    let number = |member: &str| row.get(member).and_then(Value::as_u64).unwrap_or_default();
    let micros = (number("time") + 500) / 1000;
    let time = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let (comm, pid, cpu) = (text("command"), number("pid"), number("cpu"));
    format!("{comm}-{pid} [{cpu:03}] {} {time}: {}: {}", text("flags"), text("event"), text("text"))
}
