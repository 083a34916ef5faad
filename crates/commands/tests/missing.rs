//! What is missing from a dump is never told as a value: for every command and for `verdict`, the same dump with random
//! pages left out or cut off gives the whole dump's cells or absent ones, and lists that say where they are shorter.
//!
//! `CRASHLENS_DUMPS=A:B` takes these dumps. `CRASHLENS_SEEDS=1000` counts so many seeds instead of 50, from `CRASHLENS_FIRST=N` on, and tells each difference when
//! it is found; `CRASHLENS_SEED=N` runs that one, and shows what it hides (of those that took other dumps than the sample
//! with `CRASHLENS_SEEDS` beside it) and, with `CRASHLENS_LINE=bt`, what a user sees of that line then.
//! A seed that changes no cell does not count.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]
#![allow(clippy::indexing_slicing, missing_docs, reason = "a test")]

mod property;

use base::{PAGE_SIZE, Pfn};
use dump::Veil;
use kernel::{Layers, Session};
use property::holes::{Lazy, Whole, corpus, number, open, options, run_seeds, shown};
use property::{Draw, compare};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// The dumps that `CRASHLENS_DUMPS` names, with `:` between them; else the sample, and where more is asked than CI does, dumps
/// of the corpus as well: other kernels, ELF and kdump, deaths in modules. Which dump a seed takes depends on how many
/// there are.
fn wholes() -> Vec<Lazy> {
    let dump = |name: &str, file: PathBuf| Lazy::new(name, file, property::lines());
    if let Ok(paths) = std::env::var("CRASHLENS_DUMPS") {
        return paths.split(':').map(|path| dump(path, path.into())).collect();
    }
    let mut out = vec![dump("the sample", property::sample())];
    let names = [
        "6.12/virtio-bug/dump.elf",
        "6.12/sysrq-kdump/zstd.kdump",
        "6.1/virtio-bug/dump.elf",
        "5.10/sysrq-kdump/zlib.kdump",
        "zoo/6.1/bug-compare/dump",
        "zoo/6.1/list-del-twice/dump",
        "zoo/6.12/usercopy/dump",
    ];
    if let Some(corpus) = corpus().filter(|_| number("CRASHLENS_SEEDS").is_some()) {
        let files = names.map(|name| (name, corpus.join(name)));
        out.extend(files.into_iter().filter(|(_, file)| file.exists()).map(|(name, file)| dump(name, file)));
    }
    out
}

/// The page frame that a kernel address of the whole dump lies in.
fn frame_of(s: &Session, at: u64) -> Pfn {
    Pfn(s.map().translate(base::VirtAddr(at)).unwrap().0.0 / PAGE_SIZE)
}

#[test]
fn what_is_found_in_memory_with_holes_is_at_least_that_much() {
    let files = [property::sample()];
    let whole = Session::open(&property::options(&files)).unwrap();
    let line = "search -s jiffies -l 4096 init_task";
    let all = property::ask(&Layers::open(property::options(&files)).unwrap(), line).unwrap();
    let last = |answer: &[serde_json::Value]| answer[answer.len() - 1].clone();
    assert_eq!(last(&all)["bytes"], 4096);
    assert!(last(&all)["count"].is_u64(), "{all:?}");
    let jiffies = whole.symbol("jiffies").unwrap().0;
    let veil = Veil::left_out([frame_of(&whole, jiffies)].into());
    let (some, is_whole) = property::ask_ended(&open(&files, &veil).unwrap(), line);
    assert!(!is_whole, "{some:?}");
    let some = some.unwrap();
    let (searched, missing) = (jiffies % PAGE_SIZE, PAGE_SIZE - jiffies % PAGE_SIZE);
    assert_eq!(last(&some)["bytes"]["at_least"], searched, "{some:?}");
    assert_eq!(last(&some)["missing"], missing, "{some:?}");
    assert!(last(&some)["count"]["at_least"].is_u64(), "{some:?}");
}

/// A stack in `vmalloc`'s range whose last table is not in the dump was not looked through.
#[test]
fn stacks_whose_tables_are_missing_are_told() {
    let files = [property::sample()];
    let whole = Session::open(&property::options(&files)).unwrap();
    let stack = whole.tasks().with_pid(1).next().unwrap().stack.unwrap();
    let table = whole.map().walk(stack).steps.last().unwrap().entry_at;
    let veil = Veil::left_out([Pfn(table.0 / PAGE_SIZE)].into());
    let some = property::ask(&open(&files, &veil).unwrap(), "search -t init_task").unwrap();
    let last = &some[some.len() - 1];
    assert!(last["missing"].as_u64().unwrap() >= 16384, "{last:?}");
    assert!(last["count"]["at_least"].is_u64() && last["bytes"]["at_least"].is_u64(), "{last:?}");
}

#[test]
fn children_that_may_be_missing_are_told() {
    let files = [property::sample()];
    let whole = Session::open(&property::options(&files)).unwrap();
    let ty = whole.types().find(debuginfo::types::Space::Struct, "task_struct")[0];
    let parent = whole.types().member(ty, "real_parent").unwrap().unwrap().offset();
    let child_of_init = |t: &&kernel::sched::task::Task| {
        let up = whole.mem().ptr(t.at.add(parent)).unwrap();
        t.pid != 0 && whole.tasks().at(up).is_some_and(|up| up.pid == 1)
    };
    let child = whole.tasks().all.iter().find(child_of_init).unwrap();
    let s = open(&files, &Veil::left_out([frame_of(&whole, child.at.0 + parent)].into())).unwrap();
    // of a task that has children, those that are known; of one that has none, nothing is said
    let (of_init, of_child) = (property::ask(&s, "ps -c 1").unwrap(), property::ask(&s, "ps -c 3").unwrap());
    let rows = |answer: &[serde_json::Value]| answer[0]["tasks"][0]["children"].clone();
    let whole_rows =
        rows(&property::ask(&Layers::open(property::options(&files)).unwrap(), "ps -c 1").unwrap());
    assert!(rows(&of_init).as_array().unwrap().len() < whole_rows.as_array().unwrap().len());
    assert!(rows(&of_child)["absent"].is_string(), "{of_child:?}");
    for answer in [of_init, of_child] {
        let notes = answer[0]["notes"].to_string();
        assert!(notes.contains("children") || notes.contains("task"), "{notes}");
    }
}

/// Of a struct's members those that are not where the kernel's own types have them.
fn misplaced(whole: &Session, of: &str, members: &[(Arc<str>, u64)]) -> Vec<String> {
    let types = whole.types();
    let ty = types.find(debuginfo::types::Space::Struct, of)[0];
    let own = |name: &str| types.member(ty, name).ok().flatten();
    let place = |name: &str| match name {
        // what was found is the word in it
        "thread" => own(name).map(|m| m.offset() + types.member(m.ty, "sp").unwrap().unwrap().offset()),
        "state" => own("__state").or_else(|| own(name)).map(|m| m.offset()),
        "module_core" => own("core_layout").map(|m| m.offset()),
        name => own(name).map(|m| m.offset()),
    };
    let wrong = members.iter().filter(|(name, at)| place(name).is_some_and(|own| own != *at));
    wrong.map(|(name, at)| format!("{of}.{name}: {at} and not {:?}", place(name))).collect()
}

/// Without types structs are inferred from the tasks that are left: however few they are, and whether the others are
/// missing or read as zeros, a member is where it is or not known.
#[test]
fn what_is_inferred_from_few_tasks_is_right_or_not_known() {
    const STRUCTS: &[&str] =
        &["task_struct", "signal_struct", "mm_struct", "module", "pglist_data", "timekeeper"];
    let files = [property::sample()];
    let whole = Session::open(&property::options(&files)).unwrap();
    let first = frame_of(&whole, whole.symbol("init_task").unwrap().0);
    let task_pages = whole.tasks().all.iter().flat_map(|t| (0..3).map(move |n| t.at.0 + n * PAGE_SIZE));
    let frames: BTreeSet<Pfn> =
        task_pages.map(|at| frame_of(&whole, at)).filter(|pfn| *pfn != first).collect();
    let mut known = BTreeMap::new();
    let mut wrong = Vec::new();
    for seed in 0..number("CRASHLENS_SEEDS").unwrap_or(0).max(28) {
        let mut draw = Draw::new(seed);
        let of_100 = [1, 3, 5, 8, 12, 20, 30][usize::try_from(seed % 7).unwrap()];
        let lost: BTreeSet<Pfn> = frames.iter().copied().filter(|_| draw.below(100) < of_100).collect();
        let veil = match seed % 2 {
            0 => Veil::left_out(lost),
            _ => lost.into_iter().fold(Veil::nothing(), Veil::zero),
        };
        let mut options = options(&files, &veil);
        options.ignore_btf = true;
        let s = Session::open(&options).unwrap();
        for of in STRUCTS {
            for ty in s.types().find(debuginfo::types::Space::Struct, of) {
                let members = s.types().members_of(ty);
                *known.entry(*of).or_insert(0) += members.len();
                wrong.extend(misplaced(&whole, of, &members).into_iter().map(|w| format!("{seed}: {w}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(known["task_struct"] > 100 && known["timekeeper"] > 0, "{known:?}");
}

/// What is written over the sample: zeros where a kernel cannot have them, a list's head that leads to itself.
fn overwritten(whole: &Session) -> Vec<(&'static str, Arc<Veil>)> {
    let symbol = |name: &str| whole.symbol(name).unwrap().0;
    let zero = |at: u64| Veil::nothing().zero(frame_of(whole, at));
    let module = whole.modules().iter().find(|m| m.name == "virtio_ring").unwrap();
    let table = kernel::module::symtab(whole, module.at).unwrap();
    let head = symbol("modules");
    let to_itself = [head.to_le_bytes(), head.to_le_bytes()].concat();
    let at_head = whole.map().translate(base::VirtAddr(head)).unwrap().0;
    let pages_of = |at: u64, len: u64| (at / PAGE_SIZE..=(at + len) / PAGE_SIZE).map(|page| page * PAGE_SIZE);
    let mut out = vec![("the list of modules leads to itself", Veil::nothing().write(at_head, &to_itself))];
    let symbols = pages_of(table.symtab.0, u64::from(table.count) * 24);
    out.extend(symbols.map(|at| ("a module's symbols", zero(at))));
    out.extend(pages_of(table.strtab.0, 0x1b00).map(|at| ("a module's names", zero(at))));
    for name in ["modules", "tainted_mask", "avenrun", "init_uts_ns", "tk_core"] {
        out.push((name, zero(symbol(name))));
    }
    for (name, pages) in [("__log_buf", 7), ("_printk_rb_static_infos", 3), ("_printk_rb_static_descs", 2)] {
        out.extend((1..pages).map(|n| (name, zero(symbol(name) + n * PAGE_SIZE))));
    }
    let parent = whole.tasks().with_pid(106).next().unwrap();
    out.push(("a parent", zero(parent.at.0 + 0x980)));
    out
}

#[test]
fn zeros_where_a_kernel_has_none_are_as_good_as_missing() {
    let files = [property::sample()];
    let session = Session::open(&property::options(&files)).unwrap();
    let lines = ["sys", "mod", "bt", "ps", "log", "verdict -v", "sym -m virtio_ring"];
    let whole = open(&files, &Veil::nothing()).unwrap();
    let answers = lines.map(|line| (line, property::ask(&whole, line)));
    let mut wrong = Vec::new();
    for (what, veil) in overwritten(&session) {
        let s = open(&files, &veil).unwrap();
        let mut changed = false;
        for (line, before) in &answers {
            let found = compare::answers(line, before, &property::ask(&s, line));
            changed |= found.changed;
            wrong.extend(found.wrong.into_iter().map(|w| format!("{what}: {line}: {w}")));
        }
        // of the names of the kernel the dump has other witnesses
        assert_eq!(changed, what != "init_uts_ns", "{what}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // the list that leads to itself: what is loaded is found by another way, and the damage is told
    let (_, veil) = overwritten(&session).swap_remove(0);
    let answer = property::ask(&open(&files, &veil).unwrap(), "mod").unwrap();
    assert_eq!(answer[0]["modules"].as_array().unwrap().len(), session.modules().len());
    assert!(answer[0]["notes"].to_string().contains("modules are loaded"), "{answer:?}");
}

#[test]
fn frames_that_may_be_missing_with_a_module_are_told() {
    let files = [property::sample()];
    let whole = Session::open(&property::options(&files)).unwrap();
    let module = whole.modules().iter().find(|m| m.name == "virtio_ring").unwrap();
    let s = open(&files, &Veil::left_out([frame_of(&whole, module.at.0)].into())).unwrap();
    let answer = property::ask(&s, "bt").unwrap();
    assert!(answer[0].to_string().contains("frames in modules can be left out"), "{answer:#?}");
    let text = shown(&s, "bt");
    assert!(text.contains("[exception RIP: ffffffffc05eb914, of a module that is not known]"), "{text}");
}

/// With the part of the kernel's table that names `machine_kexec`: the calls say where it is, and no frame is doubted.
#[test]
fn a_function_that_lost_its_name_is_a_frame_where_a_call_leads_to_it() {
    let files = [property::sample()];
    let whole = open(&files, &Veil::nothing()).unwrap();
    let s = open(&files, &Veil::left_out([0xab7e, 0xabac, 0xabf1].map(Pfn).into())).unwrap();
    let session = s.session().unwrap();
    assert!(session.symbol("machine_kexec").is_none() && session.symbol("__crash_kexec").is_some());
    let counters = |dump: &Layers| {
        let answer = property::ask(dump, "bt -a").unwrap();
        let backtraces = answer[0]["backtraces"].as_array().unwrap().clone();
        let frames = backtraces.iter().flat_map(|bt| bt["frames"].as_array().unwrap());
        frames.map(|frame| frame["pc"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(counters(&s), counters(&whole));
    let text = shown(&s, "bt -a");
    assert!(!text.contains("may be missing"), "{text}");
}

/// With each third page of the tables by which stacks are unwound: frames that they would tell are marked or missing with a
/// note, and no other takes their place.
#[test]
fn stacks_without_a_third_of_their_tables_have_no_frame_that_is_wrong() {
    let files = [property::sample()];
    let whole = open(&files, &Veil::nothing()).unwrap();
    let session = whole.session().unwrap();
    let place = |name: &str| session.symbol(name).unwrap().0;
    let tables =
        [("__start_orc_unwind_ip", "__stop_orc_unwind_ip"), ("__start_orc_unwind", "__stop_orc_unwind")];
    let pages = |(from, to): (&str, &str)| place(from) / PAGE_SIZE + 1..place(to) / PAGE_SIZE;
    let mut changed = 0;
    for third in 0..3 {
        let hidden = tables.into_iter().flat_map(pages).filter(|page| page % 3 == third);
        let veil = Veil::left_out(hidden.map(|page| frame_of(session, page * PAGE_SIZE)).collect());
        let s = open(&files, &veil).unwrap();
        for line in ["bt", "bt -a", "foreach bt", "stacks -p", "verdict -v", "frame"] {
            let (answer, is_whole) = property::ask_ended(&s, line);
            let compared = compare::answers(line, &property::ask(&whole, line), &answer);
            assert!(compared.wrong.is_empty(), "third {third}, {line}: {:#?}", compared.wrong);
            assert!(!is_whole || compared.lack.is_none(), "third {third}, {line}: {:?}", compared.lack);
            changed += usize::from(compared.changed);
        }
    }
    assert!(changed > 6, "only {changed} answers need these pages");
}

/// Each page that a line reads, left out alone. `CRASHLENS_EACH='kmem -n;irq'` takes these lines, `CRASHLENS_SEEDS` so many pages
/// of each at most.
#[test]
fn each_page_that_is_missing_is_told() {
    let asked = std::env::var("CRASHLENS_EACH").unwrap_or_else(|_| "kmem -n;runq -g;dentries".to_owned());
    let lines: Vec<String> = asked.split(';').map(str::to_owned).collect();
    let most = usize::try_from(number("CRASHLENS_SEEDS").unwrap_or(8)).unwrap();
    let mut dumps = vec![property::sample()];
    if let (Ok(_), Ok(paths)) = (std::env::var("CRASHLENS_EACH"), std::env::var("CRASHLENS_DUMPS")) {
        dumps = paths.split(':').map(PathBuf::from).collect();
    }
    let mut wrong = Vec::new();
    for dump in dumps {
        let whole = Whole::new(dump.display().to_string(), dump, lines.clone());
        wrong.extend(lines.iter().flat_map(|line| whole.each_page(line, most)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_missing_is_absent_and_nothing_else_changes() {
    run_seeds(&wholes(), number("CRASHLENS_SEEDS").unwrap_or(50));
}
