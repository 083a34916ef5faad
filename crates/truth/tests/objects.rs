//! Every case of the zoo whose log has a report of an allocator with the stacks of who allocated and freed the object:
//! `verdict` reads the same from the dump's memory.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;

use crashlens_truth::State;
use crashlens_truth::program::run;
use crashlens_truth::zoo::zoo;
use serde_json::Value;

/// `allocated` or `freed`, by which process, on which CPU, when (where the log says that by its own clock), the stack.
type Past = (String, String, String, Option<String>, Vec<String>);

/// A line without its time, and its time.
fn plain(line: &str) -> &str {
    line.split_once("] ").map_or(line, |(_, rest)| rest).trim_end()
}

/// `f+0x1 [m]` of ` f+0x1/0x2 [m]`
fn frame(line: &str) -> Option<String> {
    let (function, rest) = line.trim().split_once("/0x")?;
    let module = rest.split_once(" [").map(|(_, m)| format!(" [{}", m.split([' ', ']']).next().unwrap_or(m)));
    Some(format!("{function}{}", module.map(|m| m + "]").unwrap_or_default()))
}

/// What a console's report tells of an object's past.
fn reported(console: &str) -> Vec<Past> {
    let lines: Vec<&str> = console.lines().map(plain).collect();
    let mut out = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        // `Allocated in f+0x1/0x2 [m] age=5 cpu=0 pid=99`, `freed by task 7 on cpu 0 at 7.734527s (0.016447s ago):`
        let words: Vec<&str> = line.split(' ').collect();
        let after = |key: &str| Some(*words.get(words.iter().position(|w| *w == key)? + 1)?);
        let value = |key: &str| words.iter().find_map(|w| w.strip_prefix(key));
        let slub =
            words.first().is_some_and(|w| ["Allocated", "Freed"].contains(w)) && words.get(1) == Some(&"in");
        let kfence = ["allocated", "freed"].contains(&words[0]) && words.get(1) == Some(&"by");
        let (pid, cpu, when) = match (slub, kfence) {
            (true, _) => (value("pid="), value("cpu="), None),
            (_, true) => (after("task"), after("cpu"), after("at").map(|at| at.trim_end_matches('s').into())),
            _ => continue,
        };
        let (Some(pid), Some(cpu)) = (pid, cpu) else { continue };
        let mut stack: Vec<String> =
            lines[n + 1..].iter().map_while(|l| frame(l).filter(|_| l.starts_with(' '))).collect();
        // a function that had called by a jump is in the first line alone
        if let Some(by) = words.get(2..4).filter(|_| slub).and_then(|by| frame(&by.join(" ")))
            && !stack.contains(&by)
        {
            stack.insert(0, by);
        }
        out.push((words[0].to_lowercase(), pid.into(), cpu.into(), when, stack));
    }
    out
}

/// The same of `verdict`'s `objects[].past[]`.
fn told(verdict: &Value) -> Vec<Past> {
    let list = |v: &Value, key: &str| v[key].as_array().cloned().unwrap_or_default();
    let objects = list(&verdict["data"], "objects");
    let past = objects.iter().filter(|o| o["text"].as_str().is_some()).flat_map(|o| list(o, "past"));
    past.map(|past| {
        // `freed by PID 7, CPU 1, at 7.734527 s`
        let text = past["text"].as_str().unwrap_or("").to_owned();
        let part = |key: &str| text.split(", ").find_map(|p| Some(p.split_once(key)?.1.to_owned()));
        let stack = list(&past, "stack").iter().filter_map(|f| Some(f.as_str()?.to_owned())).collect();
        let word = text.split(' ').next().unwrap_or("").to_owned();
        let when = part("at ").map(|at| at.trim_end_matches(" s").to_owned());
        (word, part("PID ").unwrap_or_default(), part("CPU ").unwrap_or_default(), when, stack)
    })
    .collect()
}

#[test]
fn who_allocated_and_freed_is_read_from_memory_as_the_kernel_printed_it() {
    let mut found = Vec::new();
    let mut compared = 0;
    let cases = zoo().unwrap();
    for case in &cases {
        let wanted = reported(&fs::read_to_string(case.dir.join("console.log")).unwrap_or_default());
        if wanted.is_empty() {
            continue;
        }
        let mut args: Vec<String> = ["--json", "--no-search", "-c", "verdict"].map(Into::into).to_vec();
        args.extend(case.files(State::Alone).iter().map(|file| file.display().to_string()));
        let answer =
            run(&args).and_then(|(_, out, error)| serde_json::from_str::<Value>(&out).map_err(|_| error));
        let told = answer.map(|verdict| told(&verdict));
        for past in wanted {
            compared += 1;
            match &told {
                Ok(told) if told.contains(&past) => {}
                other => found.push(format!("{}: {past:?} is not in {other:?}", case.name)),
            }
        }
    }
    eprintln!("{compared} stacks were compared");
    // cargo xtask corpus --zoo --quick makes some
    let narrowed = std::env::var_os("CRASHLENS_CASES").is_some();
    assert!(compared > 0 || cases.is_empty() || narrowed, "no case of the zoo has a report with stacks");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn reports_are_read() {
    let console = "[    6.04] Allocated in f+0x1b/0x40 [zoo] age=0 cpu=1 pid=99\n\
                   [    6.05]  f+0x1b/0x40 [zoo]\n[    6.06]  ksys_write+0x6b/0xf0\n[    6.07] Slab 0xff\n\
                   [    7.00] freed by task 160 on cpu 0 at 7.734527s (0.016447s ago):\n[    7.01]  g+0x86/0xb0\n";
    let past = |word: &str, pid: &str, cpu: &str, when: Option<&str>, stack: &[&str]| {
        let stack = stack.iter().map(|f| (*f).to_owned()).collect();
        (word.to_owned(), pid.to_owned(), cpu.to_owned(), when.map(Into::into), stack)
    };
    assert_eq!(
        reported(console),
        [
            past("allocated", "99", "1", None, &["f+0x1b [zoo]", "ksys_write+0x6b"]),
            past("freed", "160", "0", Some("7.734527"), &["g+0x86"])
        ]
    );
}
