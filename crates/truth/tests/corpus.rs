//! Every case of the corpus, in every state of debug information, against what its guest said.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use crashlens_truth::aspects::{self, Aspect};
use crashlens_truth::{Answers, Case, State, corpus};

/// The cases; without any, the tests pass and say so.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let cases = corpus().unwrap();
        if cases.is_empty() {
            eprintln!("no corpus: nothing was compared; `cargo xtask corpus` builds it");
        }
        cases
    })
}

type Shared = Arc<Result<Answers, String>>;
type Slot = Arc<OnceLock<Shared>>;
type Slots = Mutex<HashMap<(String, usize, State), Slot>>;

/// What crashlens says about a dump of a case; asked once for all tests.
fn answers(case: &Case, dump: usize, state: State) -> Shared {
    static ASKED: OnceLock<Slots> = OnceLock::new();
    let key = (case.name.clone(), dump, state);
    let slot = ASKED.get_or_init(Mutex::default).lock().unwrap().entry(key).or_default().clone();
    slot.get_or_init(|| Arc::new(Answers::about(case, &case.dumps()[dump], state))).clone()
}

/// Compares an aspect in all cases and states, and fails with all differences.
fn check(name: &str, aspect: Aspect) {
    let mut report = String::new();
    let mut good = 0;
    for case in cases() {
        for state in State::ALL {
            let found = match &*answers(case, 0, state) {
                Ok(answers) => aspect(case, answers).unwrap_or_else(|error| vec![error]),
                Err(error) => vec![error.clone()],
            };
            good += usize::from(found.is_empty());
            add(&mut report, &format!("{} {state:?}", case.name), &found);
        }
    }
    println!("{name}: {good} good");
    assert!(report.is_empty(), "{name}:\n{report}");
}

fn add(report: &mut String, at: &str, found: &[String]) {
    for difference in found.iter().take(4) {
        report.push_str(&format!("  {at}: {difference}\n"));
    }
    if found.len() > 4 {
        report.push_str(&format!("  {at}: and {} more\n", found.len() - 4));
    }
}

#[test]
fn the_system_is_the_guests() {
    check("system", aspects::system);
}

#[test]
fn the_log_is_the_guests() {
    check("log", aspects::log);
}

#[test]
fn the_modules_are_the_guests() {
    check("modules", aspects::modules);
}

#[test]
fn the_signals_are_the_guests() {
    check("signals", aspects::signals);
}

#[test]
fn the_policies_are_the_guests() {
    check("policies", aspects::policies);
}

#[test]
fn the_queues_hold_the_tasks_that_run() {
    check("queues", aspects::queues);
}

#[test]
fn the_interrupts_are_the_guests() {
    check("irq", aspects::irq);
}

#[test]
fn the_timers_are_the_guests() {
    check("timers", aspects::timers);
}

#[test]
fn what_was_traced_is_the_guests() {
    check("trace", aspects::trace);
}

#[test]
fn the_machine_is_the_guests() {
    check("machine", aspects::machine);
}

#[test]
fn equal_stacks_are_told_once() {
    check("stacks", aspects::stacks);
}

#[test]
fn the_workqueues_have_the_guests_workers() {
    check("wq", aspects::wq);
}

#[test]
fn the_tasks_are_the_guests() {
    check("tasks", aspects::tasks);
}

#[test]
fn the_ipc_objects_are_the_guests() {
    check("ipc", aspects::ipc);
}

#[test]
fn the_address_spaces_are_the_guests() {
    check("spaces", aspects::memory::spaces);
}

#[test]
fn the_kernels_memory_is_the_guests() {
    check("memory", aspects::memory::kernel);
}

#[test]
fn meminfo_says_what_the_guest_said() {
    check("meminfo", aspects::meminfo);
}

#[test]
fn stacks_of_processes_are_in_their_files() {
    check("user stacks", aspects::user_stacks);
}

#[test]
fn requests_in_flight_are_those_that_are_counted() {
    check("inflight", aspects::inflight);
}

#[test]
fn the_cache_of_names_has_the_guests_files() {
    check("dentries", aspects::dentries);
}

#[test]
fn the_slab_caches_are_the_guests() {
    check("slabs", aspects::memory::slabs);
}

#[test]
fn the_open_files_are_the_guests() {
    check("files", aspects::files);
}

#[test]
fn the_devices_are_the_guests() {
    check("devices", aspects::devices);
}

#[test]
fn the_network_is_the_guests() {
    check("net", aspects::net);
}

#[test]
fn the_mounts_are_the_guests() {
    check("mounts", aspects::mounts);
}

#[test]
fn the_symbols_are_the_guests() {
    check("symbols", aspects::symbols);
}

#[test]
fn the_crash_is_the_kernels_own_report() {
    check("crash", aspects::crash);
}

#[test]
fn sleeping_tasks_have_the_stacks_of_proc() {
    check("sleepers", aspects::sleepers);
}

#[test]
fn debug_files_change_no_frame() {
    let mut report = String::new();
    for case in cases() {
        for state in [State::Kernel, State::Modules] {
            let found = match (&*answers(case, 0, State::Alone), &*answers(case, 0, state)) {
                (Ok(alone), Ok(more)) => {
                    aspects::same_frames(alone, more).unwrap_or_else(|error| vec![error])
                }
                (Err(error), _) | (_, Err(error)) => vec![error.clone()],
            };
            add(&mut report, &format!("{} alone and {state:?}", case.name), &found);
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn every_dump_of_a_guest_says_the_same() {
    let mut report = String::new();
    for case in cases() {
        for (number, dump) in case.dumps().iter().enumerate().skip(1) {
            let raw = dump.iter().any(|file| file.extension().is_some_and(|end| end == "raw"));
            let found = match (&*answers(case, 0, State::Alone), &*answers(case, number, State::Alone)) {
                (Ok(first), Ok(this)) => {
                    let mut found = aspects::same_machine(first, this).unwrap_or_else(|error| vec![error]);
                    // An image of memory has no registers: what ran is not known.
                    if !raw {
                        found.extend(aspects::same_frames(first, this).unwrap_or_else(|error| vec![error]));
                    }
                    found
                }
                (Err(error), _) | (_, Err(error)) => vec![error.clone()],
            };
            add(&mut report, &format!("{} {:?}", case.name, dump[0].file_name().unwrap()), &found);
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
