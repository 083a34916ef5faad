//! Types, values, code, expressions and locals beside crash, pahole, gdb (the one within crash) and drgn, on real dumps.
//!
//! Names are taken evenly from all that the dump has, so that no choice is ours. Every difference is of a known class
//! (see `classes.rs`) or fails. The tests print how many of each there were: `-- --nocapture`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it compared and left out")]

#[path = "types/classes.rs"]
mod classes;
#[path = "types/locals.rs"]
mod locals;
#[path = "types/pahole.rs"]
mod pahole;

use std::collections::HashMap;
use std::path::PathBuf;

use crashlens_truth::compare::{Class, Tally};
use crashlens_truth::peers::{self, Crash, Drgn};
use crashlens_truth::program::texts;
use crashlens_truth::{Answers, Case, State, corpus};
use serde_json::Value;

/// Structs that engineers look at, beside the sample.
const STRUCTS: &[&str] = &[
    "task_struct",
    "mm_struct",
    "rq",
    "page",
    "sk_buff",
    "module",
    "net_device",
    "inode",
    "request_queue",
    "file",
    "dentry",
    "super_block",
    "signal_struct",
    "vm_area_struct",
    "kmem_cache",
    "bio",
    "request",
    "work_struct",
    "device",
];

/// The cases, each with a dump named `dump.elf`; crash 9.0.2 does not open those of 7.x.
fn cases() -> Vec<Case> {
    let all: Vec<Case> =
        corpus().unwrap().into_iter().filter(|case| case.name.ends_with("/virtio-bug")).collect();
    if all.is_empty() {
        eprintln!("no corpus: nothing was compared; `cargo xtask corpus` builds it");
    }
    all
}

/// The dump, and what crashlens gets beside it.
fn files(case: &Case, state: State) -> Vec<PathBuf> {
    std::iter::once(case.dir.join("dump.elf")).chain(case.debug_files(state)).collect()
}

/// `count` of them, evenly, sorted.
fn sample(mut names: Vec<String>, count: usize) -> Vec<String> {
    names.sort();
    names.dedup();
    let step = (names.len() / count.max(1)).max(1);
    names.into_iter().step_by(step).take(count).collect()
}

/// What stands behind `jiffies = $1 = `, whose number depends on what was refused before; any other text as it is.
fn value_of(answer: &str) -> String {
    let first = answer.lines().next().unwrap_or_default();
    let numbered = first.split_once('$').and_then(|(lead, rest)| Some((lead, rest.split_once(" =")?.0)));
    let is_value = numbered.is_some_and(|(lead, number)| {
        (lead.is_empty() || lead.ends_with("= ")) && number.bytes().all(|b| b.is_ascii_digit())
    });
    match (is_value, answer.split_once('$').and_then(|(_, rest)| rest.split_once(" ="))) {
        (true, Some((_, value))) => value.trim_start().to_owned(),
        _ => answer.to_owned(),
    }
}

/// crashlens's and crash's answers to the same lines.
struct Both<'a> {
    case: &'a Case,
    lines: Vec<String>,
    theirs: Vec<String>,
}

impl<'a> Both<'a> {
    fn ask(crash: &Crash, case: &'a Case, lines: Vec<String>) -> Self {
        let theirs = crash.ask(&case.dir, &["vmlinux", "dump.elf"], &lines).unwrap();
        Self { case, lines, theirs }
    }

    /// Compares with crashlens in a state, and prints the table; what differs without a reason goes to `wrong`.
    fn with<'c>(
        &self,
        title: &str,
        (options, state): (&[&str], State),
        classes: &'c [Class],
        wrong: &mut Vec<String>,
    ) -> Tally<'c> {
        let ours = texts(options, &files(self.case, state), &self.lines).unwrap();
        let mut tally = Tally::new(classes);
        for ((line, their), our) in self.lines.iter().zip(&self.theirs).zip(&ours) {
            tally.compare(line, &value_of(their), &value_of(our));
        }
        let title = format!("{} {title}", self.case.name);
        println!("{}", tally.table(&title));
        wrong.extend(tally.verdict(&title).err());
        tally
    }
}

/// Fails with all that differs.
fn done(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Structs and unions of a case.
fn structs(case: &Case) -> Vec<String> {
    let all = Answers::ask(&files(case, State::Alone), &["whatis -r 1-1000000".to_owned()]).unwrap();
    let names = all.list("whatis -r 1-1000000", "types").unwrap().iter();
    let names = names.map(|one| one["type"].as_str().unwrap().to_owned()).collect();
    let mut picked = sample(names, 250);
    picked.extend(STRUCTS.iter().map(|name| (*name).to_owned()));
    picked
}

#[test]
fn layouts_are_those_of_crash() {
    let Some(crash) = Crash::find().unwrap() else { return };
    let mut wrong = Vec::new();
    for case in cases() {
        let lines = structs(&case).iter().map(|name| format!("* -o {name}")).collect();
        let both = Both::ask(&crash, &case, lines);
        for (name, options, state) in
            [("DWARF", &["--ignore-btf"][..], State::Kernel), ("BTF", &[][..], State::Alone)]
        {
            let tally = both.with(name, (options, state), classes::LAYOUTS, &mut wrong);
            assert!(tally.asked >= 200 && tally.equal * 10 >= tally.asked * 8, "{}", tally.table(name));
        }
    }
    done(&wrong);
}

#[test]
fn offsets_are_those_of_pahole() {
    let Some(pahole) = peers::pahole().unwrap() else { return };
    for case in cases() {
        let names = structs(&case);
        let theirs = pahole::ask(&pahole, &case.dir.join("vmlinux"), &names).unwrap();
        for (options, state) in [(&["--ignore-btf"][..], State::Kernel), (&[][..], State::Alone)] {
            let compared = pahole::compare(&files(&case, state), options, &names, &theirs).unwrap();
            println!("{} {options:?}: offsets of {compared} types are pahole's", case.name);
            assert!(compared >= 200, "{}: {compared}", case.name);
        }
    }
}

#[test]
fn values_of_all_tasks_are_those_of_crash() {
    let Some(crash) = Crash::find().unwrap() else { return };
    let mut wrong = Vec::new();
    for case in cases() {
        let all = Answers::ask(&files(&case, State::Alone), &["ps".to_owned()]).unwrap();
        let tasks: Vec<&Value> = all.list("ps", "tasks").unwrap().iter().collect();
        assert!(tasks.len() > 50, "{}: {} tasks", case.name, tasks.len());
        let lines = tasks
            .iter()
            .map(|task| format!("struct task_struct {}", task["task"].as_str().unwrap()))
            .collect();
        let both = Both::ask(&crash, &case, lines);
        both.with("tasks, BTF and vmlinux", (&[], State::Kernel), classes::VALUES, &mut wrong);
        both.with("tasks, DWARF", (&["--ignore-btf"], State::Kernel), classes::VALUES, &mut wrong);
        both.with("tasks, dump alone", (&[], State::Alone), classes::VALUES_ALONE, &mut wrong);
    }
    done(&wrong);
}

#[test]
fn maple_trees_are_those_of_crash() {
    let Some(crash) = Crash::find().unwrap() else { return };
    let mut wrong = Vec::new();
    let mut trees = 0;
    for case in cases() {
        let files = files(&case, State::Alone);
        if texts(&[], &files, &["whatis maple_tree".to_owned()]).unwrap()[0].contains("whatis: ") {
            continue; // a kernel of before 6.1
        }
        let all = Answers::ask(&files, &["ps".to_owned()]).unwrap();
        let tasks = all.list("ps", "tasks").unwrap().iter().map(|task| task["task"].as_str().unwrap());
        let asked: Vec<String> = tasks.map(|task| format!("struct task_struct.mm {task}")).collect();
        let answers = texts(&[], &files, &asked).unwrap();
        let mut spaces: Vec<&str> =
            answers.iter().filter_map(|a| a.trim().strip_suffix(',')?.strip_prefix("mm = 0x")).collect();
        spaces.sort_unstable();
        spaces.dedup();
        let lines = spaces.iter().filter(|mm| mm.len() == 16).flat_map(|mm| {
            ["-x", "-x -p", "-x -s vm_area_struct.vm_start,vm_end,vm_flags", "-x -v"]
                .map(|how| format!("tree -t maple {how} -r mm_struct.mm_mt {mm}"))
        });
        let both = Both::ask(&crash, &case, lines.collect());
        trees += both.with("maple trees", (&[], State::Kernel), &[], &mut wrong).asked;
    }
    assert!(cases().is_empty() || trees >= 6, "{trees}");
    done(&wrong);
}

/// The pages of files that are executed: address spaces with a tree of several levels.
fn page_caches(case: &Case) -> Vec<String> {
    let files = files(case, State::Kernel);
    let all = Answers::ask(&files, &["ps".to_owned()]).unwrap();
    let users = all.list("ps", "tasks").unwrap().iter().filter(|task| task["vsz_kib"].as_u64() != Some(0));
    let asked: Vec<String> = users
        .map(|task| task["task"].as_str().unwrap())
        .map(|task| format!("p/x (long)((struct task_struct *){task})->mm->exe_file->f_mapping"))
        .collect();
    let answers = texts(&[], &files, &asked).unwrap();
    let found = answers.iter().filter_map(|a| Some(a.trim().split_once(" = 0x")?.1.to_owned()));
    let mut found: Vec<String> = found.filter(|at| at.len() == 16).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn radix_trees_and_xarrays_are_those_of_crash() {
    let Some(crash) = Crash::find().unwrap() else { return };
    let mut wrong = Vec::new();
    let mut entries = 0;
    for case in cases() {
        let mut lines = Vec::new();
        // crash calls a tree by the one name that the kernel has for it: these kernels have XArrays
        for how in ["", "-p", "-x -p", "-s pid.level -p", "-S pid.level -x"] {
            lines.push(format!("tree -t xarray {how} -r pid_namespace.idr init_pid_ns"));
        }
        if texts(&[], &files(&case, State::Alone), &["sym irq_desc_tree".to_owned()]).unwrap()[0]
            .starts_with("ffff")
        {
            // to 6.4
            for how in ["-p", "-s irq_desc.depth,irq_data.irq"] {
                lines.push(format!("tree -t xarray {how} irq_desc_tree"));
            }
        }
        let caches = page_caches(&case);
        assert!(!caches.is_empty(), "{}", case.name);
        for at in caches {
            for how in ["-p", "-x -p -s page.flags", "-s page.index"] {
                lines.push(format!("tree -t xarray {how} -r address_space.i_pages {at}"));
            }
        }
        let both = Both::ask(&crash, &case, lines);
        both.with("radix trees and XArrays", (&[], State::Kernel), &[], &mut wrong);
        entries += both.theirs.iter().flat_map(|text| text.lines()).filter(|l| l.starts_with("ff")).count();
    }
    println!("{entries} entries");
    assert!(cases().is_empty() || entries > 1000, "{entries}");
    done(&wrong);
}

#[test]
fn code_is_that_of_crash() {
    let Some(crash) = Crash::find().unwrap() else { return };
    let mut wrong = Vec::new();
    for case in cases() {
        let all = texts(&[], &files(&case, State::Kernel), &["sym -l".to_owned()]).unwrap();
        let words: Vec<_> = all[0].lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        let mut count = HashMap::new();
        for line in words.iter().filter(|line| line.len() >= 3 && !line[2].contains("__UNIQUE")) {
            let is_code = matches!(line[1], "(t)" | "(T)");
            *count.entry(line[2].to_owned()).or_insert(0) += if is_code { 1 } else { 2 };
        }
        let names = count.into_iter().filter(|(_, times)| *times == 1).map(|(name, _)| name).collect();
        let placed: HashMap<_, _> = words
            .iter()
            .filter_map(|line| Some((*line.get(2)?, u64::from_str_radix(line[0], 16).ok()?)))
            .collect();
        // the kernel gave the memory of its first functions away: what is there now may be anybody's data
        let given_away = placed["__init_begin"]..placed["__init_end"];
        let names =
            sample(names, 550).into_iter().filter(|name| !given_away.contains(&placed[name.as_str()]));
        let lines = names.map(|name| format!("dis {name}")).collect();
        let both = Both::ask(&crash, &case, lines);
        let tally = both.with("code", (&[], State::Modules), classes::CODE, &mut wrong);
        let equal = tally.equal + tally.explained(&classes::MARK);
        let enough = tally.asked >= 500 && equal * 10 >= tally.asked * 8;
        wrong.extend((!enough).then(|| format!("too few are equal: {}", tally.table(&case.name))));
    }
    done(&wrong);
}

#[test]
fn expressions_are_those_of_gdb() {
    let Some(crash) = Crash::find().unwrap() else { return };
    let lines: Vec<String> = include_str!("types/expressions.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| if line.starts_with('/') { format!("p{line}") } else { format!("p {line}") })
        .collect();
    assert!(lines.len() >= 150, "{}", lines.len());
    let mut wrong = Vec::new();
    for case in cases() {
        // past crash's own reading of the line
        let asked = lines.iter().map(|line| format!("gdb {line}")).collect();
        let both = Both { lines: lines.clone(), ..Both::ask(&crash, &case, asked) };
        both.with("expressions", (&[], State::Modules), classes::EXPRESSIONS, &mut wrong);
        both.with(
            "expressions, DWARF",
            (&["--ignore-btf"], State::Modules),
            classes::EXPRESSIONS,
            &mut wrong,
        );
    }
    done(&wrong);
}

#[test]
fn locals_of_the_panic_task_are_those_of_drgn() {
    let Some(drgn) = Drgn::find().unwrap() else { return };
    for case in cases() {
        let found = locals::compare(&drgn, &case, &files(&case, State::Modules)).unwrap();
        println!("{} locals: {found:?}", case.name);
        assert!(found.wrong.is_empty(), "{}: {:#?}", case.name, found.wrong);
        assert!(found.equal >= 20, "{}: {found:?}", case.name);
    }
}
