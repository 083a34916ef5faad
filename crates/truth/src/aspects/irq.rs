//! Interrupts, beside `/proc/interrupts`, `/proc/softirqs` and `/proc/irq/N/smp_affinity_list`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Differences, different_maps};
use crate::{Answers, Case};

/// What is compared of a line: the controller, how it signals, its handlers.
type Line = (String, String, String);

/// Every line that something handles, with its names; it interrupted each CPU as often as the guest said, or more often since.
///
/// # Errors
/// crashlens did not answer.
pub fn irq(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut differences = Differences::new();
    if let Some((heads, rows)) = case.truth.sections.get("interrupts").and_then(|lines| lines.split_first()) {
        lines(heads.split_whitespace().count(), rows, answers, &mut differences)?;
    }
    if let Some((_, rows)) = case.truth.sections.get("softirqs").and_then(|lines| lines.split_first()) {
        let names: Vec<&str> = rows.iter().filter_map(|row| row.trim().split(':').next()).collect();
        for one in answers.list("irq -b", "softirqs")? {
            let number = one.get("number").and_then(Value::as_u64).unwrap_or(u64::MAX);
            let name = one.get("name").and_then(Value::as_str).unwrap_or_default();
            let own = usize::try_from(number).ok().and_then(|n| names.get(n)).copied();
            if own != Some(name) {
                differences.push(format!("softirq {number}: {name}, the guest says {own:?}"));
            }
        }
    }
    affinity(case, answers, &mut differences)?;
    Ok(differences)
}

fn lines(cpus: usize, rows: &[String], answers: &Answers, out: &mut Differences) -> Result<(), String> {
    let mut wanted: BTreeMap<u64, Line> = BTreeMap::new();
    let mut counts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for row in rows {
        let Some((number, rest)) = row.split_once(':') else { continue };
        let Ok(number) = number.trim().parse() else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let own: Vec<u64> = words.iter().take(cpus).filter_map(|word| word.parse().ok()).collect();
        let named = words.get(cpus..).unwrap_or_default();
        // a line without a handler is shown where it interrupted once
        if let Some(line) = line(named) {
            wanted.insert(number, line);
            counts.insert(number, own);
        }
    }
    let mut found: BTreeMap<u64, Line> = BTreeMap::new();
    for line in answers.list("irq -s", "irqs")? {
        let number = line.get("irq").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let text = |member: &str| line.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let names: Vec<&str> = line
            .get("names")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        found.insert(number, (text("chip"), text("flow"), names.join(", ")));
        for (cpu, least) in counts.get(&number).into_iter().flatten().enumerate() {
            let own = line.pointer(&format!("/counts/cpu{cpu}")).and_then(Value::as_u64);
            if own.is_none_or(|own| own < *least) {
                out.push(format!("line {number} on CPU {cpu}: {own:?}, the guest said {least}"));
            }
        }
    }
    out.extend(different_maps(&found, &wanted));
    Ok(())
}

/// `PCI-MSI 49152-edge virtio0-config`; until 3.x `PCI-MSI-edge virtio0-config`.
fn line(words: &[&str]) -> Option<Line> {
    let (first, second) = (words.first()?, words.get(1)?);
    let numbered = second.split_once('-').filter(|(number, _)| number.parse::<u64>().is_ok());
    let (chip, flow, names) = match numbered {
        Some((_, flow)) => (*first, flow, words.get(2..)?),
        None => {
            let (chip, flow) = first.rsplit_once('-')?;
            (chip, flow, words.get(1..)?)
        }
    };
    (!names.is_empty()).then(|| (chip.to_owned(), flow.to_owned(), names.join(" ")))
}

/// The guest's lines are `NUMBER CPUS`.
fn affinity(case: &Case, answers: &Answers, out: &mut Differences) -> Result<(), String> {
    let Some(rows) = case.truth.sections.get("irq.affinity") else { return Ok(()) };
    let told = rows.iter().filter_map(|row| row.split_once(' '));
    let told: BTreeMap<u64, &str> =
        told.filter_map(|(number, cpus)| Some((number.parse().ok()?, cpus))).collect();
    for line in answers.list("irq -a", "irqs")? {
        let number = line.get("irq").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let cpus: Vec<u64> = line
            .get("affinity")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let wanted = told.get(&number).map(|list| expanded(list));
        if wanted.as_ref() != Some(&cpus) {
            out.push(format!("line {number} may interrupt {cpus:?}, the guest says {wanted:?}"));
        }
    }
    Ok(())
}

/// `0-1,3` as numbers.
fn expanded(list: &str) -> Vec<u64> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u64>().ok()?..=last.parse::<u64>().ok()?)
    };
    list.trim().split(',').filter_map(part).flatten().collect()
}
