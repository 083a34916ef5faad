//! The crash of an arm64 kernel, beside the kernel's own report.
//!
//! The report's trace begins with the place of the fault itself, follows frame records alone, and so leaves out the
//! caller of a function that had saved no link register yet: that caller is in `lr`.

use serde_json::Value;

use super::sleepers::addresses;
use super::{Differences, death, hex, place, registers, same_stack};
use crate::{Answers, Case, Place, Report};

/// The crash's frames and registers are those of the kernel's own report; a leaf's caller may be told beyond it.
///
/// # Errors
/// crashlens did not answer.
pub fn crash(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let Some((report, stack, mut differences)) = death(case, answers)? else {
        return Ok(Differences::new());
    };
    let frames: Vec<&Value> = stack.get("frames").and_then(Value::as_array).into_iter().flatten().collect();
    let trace: Vec<&Place> = report.trace.iter().map(|frame| &frame.place).collect();
    let starts = addresses(answers)?;
    // Behind a call that does not return, the kernel names the function that follows.
    let follows = |pc: u64| {
        let next = trace.iter().find(|place| place.offset == 0 && starts.get(&place.symbol) == Some(&pc));
        next.map(|place| (*place).clone())
    };
    let place_of = |frame: &&Value| {
        let pc = frame.get("pc").and_then(Value::as_str).map_or(0, hex);
        follows(pc).unwrap_or_else(|| frame.get("function").map_or_else(|| place(&Value::Null), place))
    };
    let places: Vec<Place> = frames.iter().map(place_of).collect();
    let Some(pc) = report.rip.as_ref().filter(|_| report.is_exception()) else {
        differences.extend(same_stack(&places, &trace, false));
        return Ok(differences);
    };
    let at = frames
        .iter()
        .zip(&places)
        .position(|(frame, found)| frame.get("interrupted").is_some_and(|is| is == true) && found == pc);
    let Some(at) = at else {
        differences.push(format!("no exception at {pc:?}"));
        return Ok(differences);
    };
    let below = places.get(at + 1..).unwrap_or_default();
    let trace = trace.strip_prefix(&[pc]).unwrap_or(&trace);
    let with_caller: Vec<&Place> = report.lr.iter().chain(trace.iter().copied()).collect();
    if !same_stack(below, &with_caller, true).is_empty() {
        differences.extend(same_stack(below, trace, true));
    }
    let exception = at.checked_sub(1).and_then(|before| frames.get(before)?.get("registers"));
    differences.extend(same_registers(exception, report));
    Ok(differences)
}

/// The registers that the kernel printed, each as crashlens shows it.
fn same_registers(shown: Option<&Value>, report: &Report) -> Differences {
    let shown = shown.map(registers).unwrap_or_default();
    let wanted = report.registers.iter().map(|(name, value)| (name.to_lowercase(), hex(value)));
    let other = wanted.filter(|(name, value)| shown.get(name) != Some(value));
    other.map(|(name, value)| format!("{name}: {:x?}, the guest says {value:#x}", shown.get(&name))).collect()
}
