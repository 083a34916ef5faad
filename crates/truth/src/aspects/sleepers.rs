//! The stacks of tasks that slept, beside `/proc/PID/stack`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Differences, SHORT_LIVED, WAKEFUL, frames, hex, restless};
use crate::{Answers, Case, Place};

/// The stacks of tasks that slept are those of `/proc/PID/stack`.
///
/// # Errors
/// crashlens did not answer.
pub fn sleepers(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let restless = restless(&case.truth);
    let moving = |task: &&crate::truth::Task| {
        let comm = task.comm.as_str();
        task.state == "R" || WAKEFUL.contains(&comm) || SHORT_LIVED.contains(&comm)
    };
    let moving: BTreeSet<i64> = case.truth.tasks.iter().filter(moving).map(|task| task.pid).collect();
    let mut shown = BTreeMap::new();
    for stack in answers.list("all stacks", "backtraces")? {
        shown.insert(stack.get("pid").and_then(Value::as_i64).unwrap_or(-1), frames(stack));
    }
    let addresses = addresses(answers)?;
    let mut differences = Differences::new();
    for wanted in &case.truth.stacks {
        if restless.contains(&wanted.tid) || moving.contains(&wanted.tid) {
            continue;
        }
        let Some(found) = shown.get(&wanted.tid) else {
            differences.push(format!("{}: no stack", wanted.tid));
            continue;
        };
        // a task can sleep in a fault of its own: what that interrupted is a place of the stack too
        let interrupted =
            |frame: &super::Frame| frame.exception.as_ref().map(|(place, _)| (0, place.clone()));
        let places = found.iter().flat_map(|f| [Some((f.pc, f.place.clone())), interrupted(f)]).flatten();
        let (mut pcs, mut found): (Vec<u64>, Vec<Place>) = places.unzip();
        if ends_in_stub(&found, &wanted.frames) {
            found.pop();
            pcs.pop();
        }
        // What is above is the scheduler's own, which /proc leaves out.
        let skipped = found.len().saturating_sub(wanted.frames.len());
        let (scheduler, rest) = found.split_at(skipped);
        let is_scheduler = |place: &Place| SCHEDULER.contains(&place.symbol.as_str());
        // 3.10 shows a return address behind the last call of a function as the start of the next one.
        let same = |((found, pc), wanted): ((&Place, &u64), &Place)| {
            found == wanted || wanted.offset == 0 && addresses.get(&wanted.symbol) == Some(pc)
        };
        let pcs = pcs.get(skipped..).unwrap_or_default();
        let all_same =
            rest.len() == wanted.frames.len() && rest.iter().zip(pcs).zip(&wanted.frames).all(same);
        // it slept when the guest looked, and ran when the machine died
        let ran = found.iter().any(|place| STOPPED.contains(&place.symbol.as_str()));
        if !ran && (!all_same || !scheduler.iter().all(is_scheduler)) {
            let line = |frames: &[Place]| {
                frames.iter().map(|p| format!("{}+{:#x}", p.symbol, p.offset)).collect::<Vec<_>>().join(" < ")
            };
            differences.push(format!(
                "{}: {}\n      the guest says {}",
                wanted.tid,
                line(&found),
                line(&wanted.frames)
            ));
        }
    }
    Ok(differences)
}

/// The addresses that crashlens has for the functions whose very start a stack of `/proc` names.
pub(super) fn addresses(answers: &Answers) -> Result<BTreeMap<String, u64>, String> {
    let symbols = answers.list("sym", "symbols")?.iter();
    let one = |symbol: &Value| {
        let name = symbol.pointer("/symbol/name")?.as_str()?.to_owned();
        Some((name, hex(symbol.get("address")?.as_str()?)))
    };
    Ok(symbols.filter_map(one).collect())
}

/// The entry code of 3.10 that calls the stubs of system calls which take all registers: the stubs keep no frame pointer, so
/// that the guest's own walk along them ends there.
fn ends_in_stub(found: &[Place], wanted: &[Place]) -> bool {
    matches!(
        (found, wanted.last()),
        ([.., stub, entry], Some(last))
            if entry.symbol == "system_call_fastpath" && stub == last && stub.symbol.starts_with("stub_")
    )
}

/// What a CPU is in that another one stopped.
const STOPPED: &[&str] = &["stop_this_cpu", "crash_nmi_callback", "ipi_cpu_crash_stop", "local_cpu_stop"];

/// Functions in `.sched.text` that `/proc/PID/stack` leaves out.
pub(crate) const SCHEDULER: &[&str] = &[
    "__switch_to",
    "__schedule",
    "schedule",
    "schedule_timeout",
    "schedule_timeout_interruptible",
    "schedule_hrtimeout_range_clock",
    "schedule_hrtimeout_range",
    "schedule_preempt_disabled",
    "do_nanosleep",
    "io_schedule",
    "wait_for_completion_state",
    "wait_for_completion_interruptible",
    "wait_for_completion",
    "wait_for_completion_killable",
    "__wait_for_common",
];
