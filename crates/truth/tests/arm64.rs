//! Dumps of arm64 guests, asked without any debug file, against what the guests said.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says what it left out")]

use std::path::PathBuf;
use std::sync::OnceLock;

use crashlens_truth::aspects::{self, Aspect, Differences};
use crashlens_truth::{Answers, Case, State, corpus_arm64, program};
use serde_json::Value;

type Asked = (Case, Vec<(Vec<PathBuf>, Result<Answers, String>)>);

/// The cases, each with what crashlens says of its dumps; without any, the tests pass and say so.
fn cases() -> &'static [Asked] {
    static CASES: OnceLock<Vec<Asked>> = OnceLock::new();
    CASES.get_or_init(|| {
        let cases = corpus_arm64().unwrap();
        if cases.is_empty() {
            eprintln!("no arm64 corpus: nothing was compared; `cargo xtask corpus --arm64` builds it");
        }
        let ask = |case: Case| {
            let dumps = case.dumps().into_iter();
            let answers = dumps.map(|dump| (dump.clone(), Answers::about(&case, &dump, State::Alone)));
            let answers = answers.collect();
            (case, answers)
        };
        cases.into_iter().map(ask).collect()
    })
}

/// Compares an aspect of every dump, and fails with all differences.
fn check(aspect: Aspect) {
    let mut report = Vec::new();
    for (case, dumps) in cases() {
        for (dump, answers) in dumps {
            let found = match answers {
                Ok(answers) => aspect(case, answers).unwrap_or_else(|error| vec![error]),
                Err(error) => vec![error.clone()],
            };
            let at = format!("{} {:?}", case.name, dump[0].file_name().unwrap());
            report.extend(found.into_iter().take(6).map(|difference| format!("{at}: {difference}")));
        }
    }
    assert!(report.is_empty(), "\n{}", report.join("\n"));
}

/// Text at a member of an answer, or what is there instead.
fn text(value: &Value, at: &str) -> String {
    match value.pointer(at) {
        Some(Value::String(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_system_is_the_guests() {
    check(|case, answers| {
        let mut found = aspects::system(case, answers)?;
        let sys = answers.data("sys")?;
        // Where kallsyms has functions alone, the zones are not to be found, and that is said.
        if text(sys, "/memory_bytes/absent").contains("functions alone") {
            found.retain(|difference| !difference.starts_with("memory: "));
        }
        if text(sys, "/machine") != "aarch64" {
            found.push(format!("machine {}", text(sys, "/machine")));
        }
        if text(sys, "/nodename") != "crashbox" {
            found.push(format!("nodename {}", text(sys, "/nodename")));
        }
        Ok(found)
    });
}

#[test]
fn uptime_load_and_tasks_are_near_the_guests() {
    check(|case, answers| {
        let sys = answers.data("sys")?;
        let mut found = Differences::new();
        let last = case.truth.console.last().map_or(0.0, |message| message.time.parse::<f64>().unwrap());
        let uptime = sys["uptime_seconds"].as_f64().unwrap_or(-1.0);
        // The dump is taken some seconds after the last message, and a living guest goes on; the jiffies of a dead one
        // may have stopped a little before.
        if uptime < last - 2.0 || (case.truth.case.end != "live" && uptime > last + 15.0) {
            found.push(format!("uptime {uptime}, the last message is of {last}"));
        }
        let section = |name: &str| case.truth.sections.get(name).and_then(|lines| lines.first().cloned());
        let guest = section("loadavg").unwrap_or_default();
        let guest: Vec<f64> = guest.split(' ').take(3).map(|word| word.parse().unwrap()).collect();
        let load: Vec<f64> =
            sys["load_average"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        // The guest has worked on since: the averages of five and fifteen minutes have hardly moved.
        if load.len() != 3 || (load[1] - guest[1]).abs() > 0.5 || (load[2] - guest[2]).abs() > 0.3 {
            found.push(format!("load average {load:?}, the guest says {guest:?}"));
        }
        let tasks = sys["tasks"].as_u64().unwrap_or(0);
        // With the idle tasks, and those that came and went since.
        let wanted = case.truth.tasks.len() as u64 + case.truth.case.cpus;
        if tasks.abs_diff(wanted) > 4 {
            found.push(format!("{tasks} tasks, the guest had {wanted}"));
        }
        Ok(found)
    });
}

#[test]
fn the_log_is_the_guests() {
    check(aspects::log);
}

#[test]
fn the_modules_are_the_guests() {
    check(aspects::modules);
}

#[test]
fn the_tasks_are_the_guests() {
    check(aspects::tasks);
}

#[test]
fn the_symbols_are_the_guests() {
    check(aspects::symbols);
}

#[test]
fn the_crash_is_the_kernels_own_report() {
    check(aspects::crash_arm64);
}

#[test]
fn sleeping_tasks_have_the_stacks_of_proc() {
    check(aspects::sleepers);
}

/// The functions that die in the module save no link register, so that the kernel's own trace lacks their callers.
const LEAF_CALLERS: &[(&str, &str)] = &[
    ("module", "next_order"),
    ("bug", "way_bug"),
    ("leaf", "calls_leaf"),
    ("interrupt", "expired"),
    ("null", "way_null"),
];

#[test]
fn the_caller_of_the_function_that_died_is_told() {
    check(|case, answers| {
        let way = case.name.rsplit('/').next().unwrap_or_default();
        let Some((_, caller)) = LEAF_CALLERS.iter().find(|(name, _)| *name == way) else {
            return Ok(Differences::new());
        };
        let pc = &case.truth.oops.as_ref().unwrap().rip.as_ref().unwrap().symbol;
        let stacks = answers.list("bt -s", "backtraces")?;
        let frames = stacks[0]["frames"].as_array().unwrap();
        let names: Vec<String> = frames.iter().map(|frame| text(frame, "/function/name")).collect();
        let died =
            frames.iter().zip(&names).position(|(frame, name)| frame["interrupted"] == true && name == pc);
        match died.and_then(|at| names.get(at + 1)) {
            Some(name) if name == caller => Ok(Differences::new()),
            other => Ok(vec![format!("{pc} called by {other:?} and not by {caller}")]),
        }
    });
}

#[test]
fn addresses_that_the_guest_printed_hold_what_it_printed() {
    check(|case, _| {
        let dumps = case.dumps();
        let mut found = Differences::new();
        let symbol = |name: &str| case.truth.kallsyms.samples.iter().find(|symbol| symbol.name == name);
        let start = symbol("_stext").ok_or("no _stext")?.address.trim_start_matches("0x").to_owned();
        let code = case.truth.sections["iomem"].iter().find(|line| line.ends_with(": Kernel code")).unwrap();
        let wanted = code.trim().split('-').next().unwrap();
        let wanted = u64::from_str_radix(wanted, 16).unwrap();
        let mut lines = vec![format!("vtop {start}")];
        let words = code_words(case);
        if let Some((_, words)) = &words {
            let pc = case.truth.oops.as_ref().unwrap().rip.as_ref().unwrap();
            let from = i64::try_from(pc.offset).unwrap() - 4 * (i64::try_from(words.len()).unwrap() - 1);
            lines.push(format!("rd -32 {}{from:+} {}", pc.symbol, words.len()));
        }
        for dump in &dumps {
            let answers = Answers::ask(dump, &lines)?;
            let physical = text(answers.data("vtop")?, "/translations/0/physical");
            let shown = u64::from_str_radix(physical.trim_start_matches("0x"), 16).unwrap_or(0);
            // Newer kernels count the image's head in, which is 64 KiB.
            if shown != wanted && shown != wanted + 0x10000 {
                found.push(format!(
                    "_stext at {physical}, the guest says {wanted:#x}: {}",
                    answers.data("vtop")?
                ));
            }
            if let Some((line, words)) = &words {
                let read = program::texts(&[], dump, &lines[1..])?;
                let shown: Vec<&str> = read[0]
                    .lines()
                    .flat_map(|line| line.split_once(": ").map_or("", |(_, rest)| rest).split_whitespace())
                    .filter(|word| word.len() == 8 && u32::from_str_radix(word, 16).is_ok())
                    .collect();
                if shown != *words {
                    found.push(format!("{}: {shown:?}, the guest says {line}", lines[1]));
                }
            }
        }
        Ok(found)
    });
}

/// `Code: 9400010a aa1e03e9 d503201f aa0003e1 (b9400000)`: five instructions up to the one that died. None where the kernel
/// could not read them (`bad PC value`).
fn code_words(case: &Case) -> Option<(String, Vec<String>)> {
    let line = case.truth.console.iter().find(|message| message.text.starts_with("Code: "))?;
    let words = line.text.trim_start_matches("Code: ").split_whitespace();
    let words: Vec<String> = words.map(|word| word.trim_matches(['(', ')']).to_owned()).collect();
    words.iter().all(|word| u32::from_str_radix(word, 16).is_ok()).then(|| (line.text.clone(), words))
}

/// The levels of the page tables, in the kernel's words: a kernel that is built for 52 bits says `detected: 52-bit Virtual
/// Addressing (LPA2)` where the processor has them too. What it says of the tables at a fault (`user pgtable: 4k pages,
/// 52-bit VAs, pgdp=…`) must agree.
fn levels(case: &Case) -> Result<u64, String> {
    let log = || case.truth.dmesg.iter().chain(&case.truth.console).map(|message| message.text.as_str());
    let wide = log().any(|text| text.ends_with("detected: 52-bit Virtual Addressing (LPA2)"));
    let at_fault =
        log().find_map(|text| text.strip_prefix("user pgtable: 4k pages, ")?.split_once("-bit VAs"));
    match (wide, at_fault.map(|(bits, _)| bits)) {
        (true, None | Some("52")) => Ok(5),
        (false, None | Some("48")) => Ok(4),
        (_, bits) => Err(format!("52 bits detected: {wide}, and {bits:?} bits at the fault")),
    }
}

#[test]
fn info_tells_the_machine_and_how_the_kernel_was_found() {
    check(|case, _| {
        let mut found = Differences::new();
        for dump in &case.dumps() {
            let answers = Answers::ask(dump, &["info".to_owned()])?;
            let info = answers.data("info")?;
            if text(info, "/kernel/release") != case.truth.kernel.release {
                found.push(format!("release {}", text(info, "/kernel/release")));
            }
            for (member, wanted) in
                [("page_size", 4096), ("paging_levels", levels(case)?), ("cpus", case.truth.case.cpus)]
            {
                if info["kernel"][member].as_u64() != Some(wanted) {
                    found.push(format!("{member} {}, and it is {wanted}", info["kernel"][member]));
                }
            }
            let offset = case.truth.kernel.kaslr_offset.clone();
            if let Some(offset) = offset.filter(|offset| text(info, "/kernel/kaslr_offset") != *offset) {
                found.push(format!(
                    "KASLR offset {}, the guest says {offset}",
                    info["kernel"]["kaslr_offset"]
                ));
            }
        }
        Ok(found)
    });
}

#[test]
fn every_dump_of_a_guest_says_the_same() {
    let mut report = String::new();
    for (case, dumps) in cases() {
        let Some((_, Ok(first))) = dumps.first() else { continue };
        for (dump, answers) in dumps.iter().skip(1) {
            let Ok(this) = answers else { continue };
            let mut found = aspects::same_machine(first, this).unwrap_or_else(|error| vec![error]);
            found.extend(aspects::same_frames(first, this).unwrap_or_else(|error| vec![error]));
            for difference in found {
                report.push_str(&format!("{} {:?}: {difference}\n", case.name, dump[0].file_name().unwrap()));
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn what_is_not_there_yet_is_said() {
    for (case, dumps) in cases() {
        for (dump, _) in dumps {
            let said = program::texts(&[], dump, &["dis _stext".to_owned(), "verdict".to_owned()]).unwrap();
            assert!(said[0].lines().count() > 1 && !said[0].contains("yet"), "{}: {}", case.name, said[0]);
            // The verdict names the place that the guest named, and says that it follows no values.
            let oops = case.truth.oops.as_ref().filter(|oops| oops.is_exception());
            if let Some(pc) = oops.and_then(|oops| oops.rip.as_ref()) {
                let place = format!("{}+{:#x}", pc.symbol, pc.offset);
                assert!(said[1].lines().next().unwrap().contains(&place), "{}: {}", case.name, said[1]);
                assert!(said[1].contains("code of arm64 yet"), "{}: {}", case.name, said[1]);
            }
            let hard = said[1].contains("in hard interrupt");
            assert_eq!(
                hard,
                case.truth.case.end == "dying" && case.name.ends_with("/interrupt"),
                "{}",
                said[1]
            );
        }
    }
}

/// The functions of a backtrace as text: `#5 [ffff800008673558] ? die at ffffd3976b61fd10`.
fn functions(text: &str) -> Vec<String> {
    let frames = text.lines().filter(|line| line.trim_start().starts_with('#'));
    let name = |line: &str| line.split_once("] ").map(|(_, rest)| rest.trim_start_matches("? ").to_owned());
    frames.filter_map(name).map(|rest| rest.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// Without the CPUs' notes frames begin at a return address on the stack, which is signed on some processors; without
/// modules their functions have no names, and stay.
#[test]
fn less_evidence_leads_to_the_same_frames() {
    for (case, dumps) in cases().iter().filter(|(case, _)| case.truth.case.end != "live") {
        for (dump, _) in dumps {
            let ask = |options: &[&str]| {
                program::texts(options, dump, &["bt".to_owned(), "verdict".to_owned()]).unwrap()
            };
            let (all, unregistered, nameless) = (ask(&[]), ask(&["--no_elf_notes"]), ask(&["--no_modules"]));
            let (whole, found) = (functions(&all[0]), functions(&unregistered[0]));
            assert!(found.len() > 3 && whole.ends_with(&found), "{}: {whole:?}, {found:?}", case.name);
            let outer = |names: &[String]| names.last().cloned();
            let all_there = functions(&nameless[0]);
            assert!(all_there.len() >= whole.len(), "{}: {whole:?}, {all_there:?}", case.name);
            assert_eq!(outer(&all_there), outer(&whole), "{}", case.name);
            // what came upon the wait in panic is no context
            let hard = |text: &str| text.contains("in hard interrupt");
            assert_eq!(hard(&nameless[1]), hard(&all[1]), "{}: {}", case.name, nameless[1]);
        }
    }
}

/// What the kernel's table does not name is not denied, and what it names not stretched over data.
#[test]
fn what_no_symbol_names_is_not_denied() {
    for (case, dumps) in cases() {
        for (dump, answers) in dumps {
            let lines = ["log -a".to_owned(), "mod".to_owned()];
            let said = program::texts(&[], dump, &lines).unwrap();
            assert!(!said[0].contains("no audit queues"), "{}: {}", case.name, said[0]);
            let Ok(answers) = answers else { continue };
            let modules = answers.list("mod", "modules").unwrap();
            // the last bytes of a module of before 6.4 are data
            let Some((base, size)) = modules.first().and_then(|one| {
                let base = text(one, "/base");
                let base = u64::from_str_radix(base.trim_start_matches("0x"), 16).ok()?;
                Some((base, one["size"].as_u64()?))
            }) else {
                continue;
            };
            if case.name.contains("6.1/") {
                let last = format!("sym {:x}", base + size - 16);
                let said = program::texts(&[], dump, &[last]).unwrap();
                assert!(said[0].contains("invalid address"), "{}: {}", case.name, said[0]);
            }
        }
    }
}
