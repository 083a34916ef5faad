//! The machine, beside `/proc/iomem`, `/proc/cpuinfo` and the log.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Differences, hex};
use crate::{Answers, Case};

/// Its memory as the firmware gave it, its processors, and the hypervisor.
///
/// # Errors
/// crashlens did not answer.
pub fn machine(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mach = answers.data("mach")?;
    let mut differences = Differences::new();
    let cpuinfo = |name: &str| {
        let lines = case.truth.sections.get("cpuinfo").into_iter().flatten();
        lines
            .filter_map(move |line| line.split_once(':'))
            .find(|(own, _)| own.trim() == name)
            .map(|(_, text)| text.trim())
    };
    let found = mach.get("cpus").and_then(Value::as_u64);
    if found != Some(case.truth.case.cpus) {
        differences.push(format!("{found:?} CPUs of {}", case.truth.case.cpus));
    }
    // `2593.906`
    let told = cpuinfo("cpu MHz").and_then(|text| text.split('.').next()?.parse::<u64>().ok());
    let found = mach.get("cpu_mhz").and_then(Value::as_u64);
    if found.is_some_and(|found| told.is_some_and(|told| told.abs_diff(found) > 1)) {
        differences.push(format!("{found:?} MHz, the guest says {told:?}"));
    }
    let booted =
        case.truth.dmesg.iter().find_map(|line| line.text.strip_prefix("Booting paravirtualized kernel on "));
    let wanted = booted.map(str::trim).filter(|name| *name != "bare hardware");
    let found = mach.get("hypervisor").and_then(Value::as_str);
    if booted.is_some() && found != wanted {
        differences.push(format!("hypervisor {found:?}, the guest says {wanted:?}"));
    }
    if let Some(name) = cpuinfo("model name") {
        for cpu in answers.list("mach -c", "cpus")? {
            let own = cpu.pointer("/cpuinfo_x86/x86_model_id").and_then(Value::as_str).map(str::trim);
            if own != Some(name) {
                differences.push(format!("a CPU is {own:?}, the guest says {name:?}"));
            }
        }
    }
    differences.extend(memory(case, answers)?);
    Ok(differences)
}

/// The kinds of the firmware's map, and what `/proc/iomem` calls them.
const KINDS: [(u64, &str); 3] = [(1, "System RAM"), (3, "ACPI Tables"), (4, "ACPI Non-volatile Storage")];

fn memory(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let Some(rows) = case.truth.sections.get("iomem") else { return Ok(Differences::new()) };
    let mut wanted = BTreeSet::new();
    for row in rows.iter().filter(|row| !row.starts_with(' ')) {
        let Some((range, name)) = row.split_once(" : ") else { continue };
        let Some((start, end)) = range.split_once('-') else { continue };
        if KINDS.iter().any(|(_, own)| *own == name) {
            wanted.insert((hex(start), hex(end) + 1, name));
        }
    }
    let mut found = BTreeSet::new();
    for range in answers.list("mach -m", "ranges")? {
        let at = |member: &str| hex(range.get(member).and_then(Value::as_str).unwrap_or_default());
        let kind = range.get("type").and_then(Value::as_u64).unwrap_or(0);
        if let Some((_, name)) = KINDS.iter().find(|(own, _)| *own == kind) {
            found.insert((at("start"), at("end"), *name));
        }
    }
    let difference = wanted.symmetric_difference(&found);
    Ok(difference.map(|range| format!("memory {range:x?} is on one side alone")).collect())
}
