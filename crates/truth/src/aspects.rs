//! Comparisons: an aspect of a dump, as crashlens shows it, with the guest's truth. Each returns what differs.

mod arm64;
mod caches;
mod devices;
mod files;
mod ipc;
mod irq;
mod machine;
mod meminfo;
pub mod memory;
mod net;
mod sched;
pub(crate) mod sleepers;
mod stacks;
mod timers;
mod trace;
mod user_stacks;
mod wq;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use arm64::crash as crash_arm64;
pub use caches::{dentries, inflight};
pub use devices::devices;
pub use files::{files, mounts};
pub use ipc::ipc;
pub use irq::irq;
pub use machine::machine;
pub use meminfo::meminfo;
pub use net::net;
pub use sched::{policies, queues, signals};
pub use sleepers::sleepers;
pub use stacks::stacks;
pub use timers::timers;
pub use trace::trace;
pub use user_stacks::user_stacks;
pub use wq::wq;

use crate::truth::is_label;
use crate::{Answers, Case, Place, Report, Truth};

/// What differs, one line each; empty is what is wanted.
pub type Differences = Vec<String>;

/// A comparison.
pub type Aspect = fn(&Case, &Answers) -> Result<Differences, String>;

/// Tasks that change while the guest prints its sections: the printer itself, and what it starts and waits for.
fn restless(truth: &Truth) -> BTreeSet<i64> {
    let first = truth.tasks.iter().filter(|task| task.tgid == 1).map(|task| task.pid);
    let last = truth.oops.iter().chain(&truth.later_reports).filter_map(|report| report.pid);
    first.chain(last).collect()
}

/// Release, version, CPUs, memory, and what killed the machine.
///
/// # Errors
/// crashlens did not answer.
pub fn system(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let sys = answers.data("sys")?;
    let mut differences = Differences::new();
    let mut same = |what: &str, wanted: Value| {
        let found = sys.get(what).cloned().unwrap_or(Value::Null);
        if found != wanted {
            differences.push(format!("{what}: {found}, the guest says {wanted}"));
        }
    };
    let kernel = &case.truth.kernel;
    same("release", kernel.release.clone().into());
    same("cpus", case.truth.case.cpus.into());
    if let Some(at) = kernel.banner.find("#1 ") {
        same("version", kernel.banner[at..].into());
    }
    let shown = |member: &str| sys.get(member).and_then(Value::as_str).unwrap_or_default();
    let (cause, panic) = (shown("cause"), shown("panic"));
    // An oops says what happened; after a bare panic the panic does.
    let oops = case.truth.oops.as_ref().filter(|oops| oops.is_exception());
    if let Some(first) = oops.and_then(|oops| oops.headlines.first()) {
        if !cause.contains(first.as_str()) {
            differences.push(format!("cause: {cause:?}, the guest says {first:?}"));
        }
    } else if let Some(reason) = &case.truth.panic
        && !cause.contains(reason.as_str())
        && !panic.contains(reason.as_str())
    {
        differences.push(format!("cause {cause:?} and panic {panic:?}, the guest says {reason:?}"));
    }
    let memory = sys.get("memory_bytes").and_then(Value::as_u64).unwrap_or_default() >> 20;
    let whole = case.truth.case.memory_mib;
    if memory > whole || memory < whole.saturating_sub(4) {
        differences.push(format!("memory: {memory} MiB of {whole}"));
    }
    Ok(differences)
}

/// The log has every line that the guest printed, in order, with its level and time.
///
/// # Errors
/// crashlens did not answer.
pub fn log(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut found = Vec::new();
    for message in answers.list("log", "messages")? {
        let seconds = message.get("seconds").and_then(Value::as_f64).unwrap_or(-1.0);
        let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
        let level = message.get("level").and_then(Value::as_u64);
        // The kernel prints microseconds and cuts the rest off.
        let micros = (seconds * 1e9).round() as u64 / 1000;
        let time = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let more = message.get("more").and_then(Value::as_array).into_iter().flatten();
        let more = more.filter_map(|line| line.get("text")?.as_str());
        found.extend(
            [text].into_iter().chain(more).map(|line| (time.clone(), line.trim_end().to_owned(), level)),
        );
    }
    let mut differences = Differences::new();
    let mut at = 0;
    for wanted in &case.truth.dmesg {
        let position = found.iter().skip(at).position(|(time, text, level)| {
            *time == wanted.time
                && *text == wanted.text.trim_end()
                && (wanted.level.is_none() || *level == wanted.level)
        });
        match position {
            Some(skipped) => at += skipped + 1,
            None => differences.push(format!("not in order: {wanted:?}")),
        }
    }
    let texts: BTreeSet<(&str, &str)> =
        found.iter().map(|(time, text, _)| (time.as_str(), text.as_str())).collect();
    for wanted in &case.truth.console {
        if !texts.contains(&(wanted.time.as_str(), wanted.text.trim_end())) {
            differences.push(format!("not there: [{}] {}", wanted.time, wanted.text));
        }
    }
    Ok(differences)
}

/// Every module, with its place and size; no others.
///
/// # Errors
/// crashlens did not answer.
pub fn modules(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let wanted: BTreeMap<&str, (u64, u64)> =
        case.truth.modules.iter().map(|m| (m.name.as_str(), (hex(&m.address), m.size))).collect();
    let mut found = BTreeMap::new();
    for module in answers.list("mod", "modules")? {
        let name = module.get("name").and_then(Value::as_str).unwrap_or_default();
        let base = hex(module.get("base").and_then(Value::as_str).unwrap_or_default());
        found.insert(name, (base, module.get("size").and_then(Value::as_u64).unwrap_or_default()));
    }
    Ok(different_maps(&found, &wanted))
}

/// Every task that lived on has its parent, state and name.
///
/// # Errors
/// crashlens did not answer.
pub fn tasks(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut found = BTreeMap::new();
    for task in answers.list("ps", "tasks")? {
        let pid = task.get("pid").and_then(Value::as_i64).unwrap_or(-1);
        let text = |member: &str| task.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let ppid = task.get("ppid").and_then(Value::as_i64).unwrap_or(-1);
        found.insert(pid, (ppid, text("state"), text("command")));
    }
    let restless = restless(&case.truth);
    let mut differences = Differences::new();
    for wanted in &case.truth.tasks {
        if SHORT_LIVED.contains(&wanted.comm.as_str()) {
            continue;
        }
        let Some((ppid, state, name)) = found.get(&wanted.pid) else {
            differences.push(format!("{} {} is missing", wanted.pid, wanted.comm));
            continue;
        };
        if (*ppid, name) != (wanted.ppid, &wanted.comm) {
            let (pid, parent, comm) = (wanted.pid, wanted.ppid, &wanted.comm);
            differences.push(format!("{pid}: {name:?} of {ppid}, the guest says {comm:?} of {parent}"));
        }
        if !restless.contains(&wanted.pid) && !may_become(&wanted.state, state) {
            let (pid, comm, was) = (wanted.pid, &wanted.comm, &wanted.state);
            differences.push(format!("{pid} {comm}: state {state}, the guest says {was}"));
        }
    }
    Ok(differences)
}

/// Kernel threads that end when their work is done, here soon after a file system is mounted.
const SHORT_LIVED: &[&str] = &["ext4lazyinit"];

/// Kernel threads that timers wake all the time: between the guest's sections and its end they have moved.
const WAKEFUL: &[&str] = &["rcu_sched", "rcu_preempt", "kswapd0", "kcompactd0"];

/// Whether a task in the kernel's state may be in the shown one a moment later: a sleeper may have been woken.
fn may_become(was: &str, shown: &str) -> bool {
    match was {
        "S" => matches!(shown, "IN" | "RU" | "WA"),
        "I" => matches!(shown, "ID" | "RU" | "WA"),
        "R" => matches!(shown, "RU" | "IN" | "UN" | "ID" | "WA"),
        "D" => shown == "UN",
        "T" => shown == "ST",
        "t" => shown == "TR",
        "Z" => shown == "ZO",
        "X" => shown == "DE",
        _ => false,
    }
}

/// Each sample of `/proc/kallsyms` is found at its address.
///
/// # Errors
/// crashlens did not answer.
pub fn symbols(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut found = BTreeSet::new();
    for symbol in answers.list("sym", "symbols")? {
        let name = symbol.pointer("/symbol/name").and_then(Value::as_str).unwrap_or_default();
        let address = symbol.get("address").and_then(Value::as_str).unwrap_or_default();
        found.insert((name.to_owned(), hex(address)));
    }
    let samples = case.truth.kallsyms.samples.iter().filter(|symbol| !is_label(&symbol.name));
    let missing = samples.filter(|symbol| !found.contains(&(symbol.name.clone(), hex(&symbol.address))));
    Ok(missing.map(|s| format!("{} {} {} {:?}", s.address, s.kind, s.name, s.module)).collect())
}

/// The crash's frames are those of the kernel's own call trace, and its registers those of the kernel's own report.
///
/// # Errors
/// crashlens did not answer.
pub fn crash(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let Some((report, stack, mut differences)) = death(case, answers)? else {
        return Ok(Differences::new());
    };
    let frames = frames(stack);
    // What follows the exception is the crash; what is above it is the kernel's handling of it.
    let crash = frames.iter().rposition(|frame| report.is_exception() && frame.exception.is_some());
    let below = crash.map_or(frames.as_slice(), |at| frames.get(at + 1..).unwrap_or_default());
    let wanted: Vec<&Place> = report.trace.iter().filter(|f| f.reliable).map(|f| &f.place).collect();
    // Nothing to skip where the trace begins in the same function that crashlens begins with; the trace of panic()
    // begins in dump_stack, which has returned since.
    let found: Vec<Place> = below.iter().map(|frame| frame.place.clone()).collect();
    differences.extend(same_stack(&found, &wanted, report.is_exception()));
    let Some(rip) = report.rip.as_ref().filter(|_| report.is_exception()) else { return Ok(differences) };
    let Some(exception) = crash.and_then(|at| frames.get(at)?.exception.as_ref()) else {
        differences.push(format!("no exception frame, the guest says {rip:?}"));
        return Ok(differences);
    };
    if exception.0 != *rip {
        differences.push(format!("exception at {:?}, the guest says {rip:?}", exception.0));
    }
    differences.extend(same_registers("", &exception.1, &report.registers));
    if let Some(user) = frames.last().and_then(|frame| frame.user.as_ref()) {
        differences.extend(same_registers("user ", user, &report.user_registers));
    } else if !report.user_registers.is_empty() {
        differences.push("no user registers".to_owned());
    }
    Ok(differences)
}

/// The guest's report of its death, crashlens's stack of it, and whether the task is another; none where it did not die.
fn death<'a>(
    case: &'a Case,
    answers: &'a Answers,
) -> Result<Option<(&'a Report, &'a Value, Differences)>, String> {
    let Some(report) = case.truth.death() else { return Ok(None) };
    let stack = answers.list("bt -s", "backtraces")?.first().ok_or("no backtrace")?;
    let pid = stack.get("pid").and_then(Value::as_i64);
    let other = (pid != report.pid).then(|| format!("pid {pid:?}, the guest says {:?}", report.pid));
    Ok(Some((report, stack, other.into_iter().collect())))
}

/// Compares frames from the outermost inwards; `whole`: the innermost ones must match too.
fn same_stack(found: &[Place], wanted: &[&Place], whole: bool) -> Differences {
    let same =
        found.iter().rev().zip(wanted.iter().rev()).take_while(|(found, wanted)| found == *wanted).count();
    // panic()'s caller is where both sides must agree at the latest.
    let needed = match whole {
        true => wanted.len().max(found.len()),
        false => wanted
            .iter()
            .rev()
            .position(|place| place.symbol == "panic" || place.symbol == "vpanic")
            .unwrap_or(1),
    };
    if same >= needed {
        return Differences::new();
    }
    let line = |place: &Place| format!("{}+{:#x}", place.symbol, place.offset);
    let found: Vec<String> = found.iter().map(line).collect();
    let wanted: Vec<String> = wanted.iter().map(|place| line(place)).collect();
    vec![format!("frames {}\n      the guest says {}", found.join(" < "), wanted.join(" < "))]
}

/// Registers that the guest printed and crashlens shows otherwise.
fn same_registers(
    whose: &str,
    found: &BTreeMap<String, u64>,
    wanted: &BTreeMap<String, String>,
) -> Differences {
    let mut differences = Differences::new();
    for (name, value) in wanted {
        let name = name.to_lowercase();
        let number = name.strip_prefix("r0").map(|number| format!("r{number}"));
        let name = number.unwrap_or(name);
        let general = ["rsp", "eflags", "orig_rax", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp"];
        if !general.contains(&name.as_str())
            && name.strip_prefix('r').is_none_or(|n| n.parse::<u8>().is_err())
        {
            continue;
        }
        let shown = found.get(&name).or_else(|| if name == "eflags" { found.get("rflags") } else { None });
        if shown != Some(&hex(value)) {
            let shown = shown.map_or_else(|| "not shown".to_owned(), |value| format!("{value:#x}"));
            differences.push(format!("{whose}{name}: {shown}, the guest says {value}"));
        }
    }
    differences
}

/// All answers that do not name files are equal.
///
/// # Errors
/// crashlens did not answer.
pub fn same_frames(one: &Answers, other: &Answers) -> Result<Differences, String> {
    let mut differences = Differences::new();
    for line in ["bt -s", "all stacks"] {
        let (one, other) = (one.list(line, "backtraces")?, other.list(line, "backtraces")?);
        if one.len() != other.len() {
            differences.push(format!("{line}: {} stacks and {}", one.len(), other.len()));
        }
        for (one, other) in one.iter().zip(other) {
            let (first, second) = (shape(one), shape(other));
            if first != second && !cut_by_filter(&first, &second, other) {
                let pid = one.get("pid").cloned().unwrap_or_default();
                differences.push(format!(
                    "pid {pid}: {}\n      and {}",
                    first.join(" < "),
                    second.join(" < ")
                ));
            }
        }
    }
    Ok(differences)
}

/// Whether a stack is the start of the first one and says that the dump's filter left the rest out: makedumpfile
/// sometimes takes stack pages of kernels newer than itself for free ones.
fn cut_by_filter(first: &[String], second: &[String], stack: &Value) -> bool {
    let stopped = stack.get("stopped").and_then(Value::as_str).unwrap_or_default();
    stopped.contains("excluded by the dump filter") && first.starts_with(second)
}

/// Where each frame is, and what was called there.
fn shape(stack: &Value) -> Vec<String> {
    let frames = stack.get("frames").and_then(Value::as_array).into_iter().flatten();
    frames
        .map(|frame| {
            let text = |at: &str| frame.pointer(at).and_then(Value::as_str).unwrap_or_default();
            let offset = frame.pointer("/function/offset").and_then(Value::as_u64).unwrap_or_default();
            format!("{} {}+{offset:#x}", text("/pc"), text("/function/name"))
        })
        .collect()
}

/// The same tasks, modules and log from two dumps of one guest.
///
/// # Errors
/// crashlens did not answer.
pub fn same_machine(one: &Answers, other: &Answers) -> Result<Differences, String> {
    let mut differences = Differences::new();
    for (line, list, members) in [
        ("log", "messages", &["seconds", "text", "level"][..]),
        ("mod", "modules", &["module", "name", "base", "size"]),
        ("ps", "tasks", &["pid", "ppid", "task", "state", "command"]),
        ("sym", "symbols", &["address", "kind", "symbol"]),
    ] {
        let some = |value: &Value| -> Vec<Value> {
            members.iter().map(|member| value.get(member).cloned().unwrap_or_default()).collect()
        };
        let one: Vec<_> = one.list(line, list)?.iter().map(some).collect();
        let other: Vec<_> = other.list(line, list)?.iter().map(some).collect();
        if one.len() != other.len() {
            differences.push(format!("{line}: {} lines and {}", one.len(), other.len()));
        }
        let unequal = one.iter().zip(&other).find(|(one, other)| one != other);
        differences.extend(unequal.map(|(one, other)| format!("{line}: {one:?} and {other:?}")));
    }
    Ok(differences)
}

/// A frame of a JSON backtrace.
struct Frame {
    place: Place,
    pc: u64,
    /// Where an exception happened below this frame, and the registers there.
    exception: Option<(Place, BTreeMap<String, u64>)>,
    /// Registers of user space.
    user: Option<BTreeMap<String, u64>>,
}

/// The frames of a stack; the place where an exception happened belongs to the frame above it.
fn frames(stack: &Value) -> Vec<Frame> {
    let frames = stack.get("frames").and_then(Value::as_array).into_iter().flatten();
    frames
        .filter(|frame| frame.get("interrupted").is_none() && frame.get("function").is_some())
        .map(|frame| {
            let registers = frame.get("registers").map(registers);
            let exception = frame.get("exception_pc").map(place);
            let (exception, user) = match exception {
                Some(place) => (Some((place, registers.unwrap_or_default())), None),
                None => (None, registers),
            };
            Frame {
                place: frame.get("function").map(place).unwrap_or_else(|| place(&Value::Null)),
                pc: frame.get("pc").and_then(Value::as_str).map_or(0, hex),
                exception,
                user,
            }
        })
        .collect()
}

fn place(value: &Value) -> Place {
    Place {
        symbol: value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        offset: value.get("offset").and_then(Value::as_u64).unwrap_or_default(),
    }
}

fn registers(value: &Value) -> BTreeMap<String, u64> {
    let members = value.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), hex(value.as_str()?)))).collect()
}

fn different_maps<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    found: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Differences {
    let mut differences = Differences::new();
    for (key, value) in wanted {
        if found.get(key) != Some(value) {
            differences.push(format!("{key:?}: {:?}, the guest says {value:?}", found.get(key)));
        }
    }
    let more = found.keys().filter(|key| !wanted.contains_key(*key));
    differences.extend(more.map(|key| format!("{key:?}: the guest has none")));
    differences
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_default()
}
