//! Commands on kernels that are made from tables: what no kernel of the corpus has.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use report::Report;
use testkit::kernel::{DIRECT_MAP, Kernel};

/// What a script sees.
fn json(report: &Report) -> String {
    let mut out = Vec::new();
    render::json(report, render::Source::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn values_that_can_be_none_are_refused() {
    let (k, _, stacks) = kernel();
    let own = format!("that of PID 2 is {:#x} to", stacks[1]);
    for (line, why) in [
        ("bt -S 0 2", own.as_str()),
        ("bt -S ffff800000001000 2", &own),
        ("bt -I 10 2", "-I 0x10: not an address in the kernel's code"),
        ("ptob fffffffffffff1", "its address is over 64 bits"),
        ("ptob 1 18446744073709551615", "its address is over 64 bits"),
        ("alias \"\" ps", "an alias is one word"),
        ("alias \"a b\" ps", "an alias is one word"),
    ] {
        let got = try_ask(&k, line).unwrap_err();
        assert!(got.contains(why), "{line}: {got}");
    }
    assert!(ask(&k, &format!("bt -S {:x} 2", stacks[1] + 64)).contains("PID: 2"));
    assert_eq!(ask(&k, "ptob fffffffffffff"), "fffffffffffff: fffffffffffff000\n");
}

/// A kernel of one CPU with tasks 1 to 3, whose `thread_info`s are at the low ends of their stacks, as before 4.9.
fn kernel() -> (Kernel, Vec<u64>, Vec<u64>) {
    let mut k = Kernel::new();
    let (tasks, stacks) = k.old_tasks(3);
    (k, tasks, stacks)
}

/// Where the page that names the task's stack is not in the dump, `thread_info` is missing, and no number.
#[test]
fn set_shows_no_number_for_a_thread_info_that_is_not_there() {
    let (mut k, _, stacks) = kernel();
    assert!(ask(&k, "set 2").contains(&format!("[THREAD_INFO: {:016x}]", stacks[1])));
    k.exclude(stacks[1]);
    let text = ask(&k, "set 2");
    let shown = text.split_once("[THREAD_INFO:").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    assert!(shown.trim().starts_with(['?', '<']) && !shown.contains('0'), "{text}");
    assert!(ask(&k, "set 3").contains(&format!("[THREAD_INFO: {:016x}]", stacks[2])));
}

/// Entries of a page table that name no device: a page that is being moved, a broken one, a marker.
#[test]
fn vtop_takes_no_other_entry_for_swap() {
    let (mut k, tasks, _) = kernel();
    k.structure("swap_info_struct", 64, &[("flags", 0, "u64"), ("type", 10, "s8"), ("max", 12, "u32")]);
    let (table, used) = (k.variable("swap_info", 32 * 8), k.variable("nr_swapfiles", 4));
    let device = k.object("swap_info_struct");
    k.set(device, "swap_info_struct", "max", 1000).half(used, 1);
    // what follows in the array is no device
    for kind in 0..32 {
        k.word(table + kind * 8, device);
    }
    let levels = [(); 4].map(|()| k.memory(4096));
    for pair in levels.windows(2) {
        k.word(pair[0], (pair[1] - DIRECT_MAP) | 0x67);
    }
    let mm = k.object("mm_struct");
    k.word(mm, levels[0]).set(tasks[0], "task_struct", "mm", mm);
    // as since 4.18.1: the type in the top five bits, the offset inverted
    let entry = |kind: u64, offset: u64| kind << 59 | (!(offset << 9) & 0x07ff_ffff_ffff_fe00);
    for (n, kind) in (1_u64..).zip([0, 31, 30, 29, 28, 27, 1]) {
        k.word(levels[3] + n * 8, entry(kind, 77));
    }
    let swapped = ask(&k, "vtop -c 1 1000");
    assert!(swapped.contains("SWAP: ") && swapped.contains("OFFSET: 77"), "{swapped}");
    for n in 2..8 {
        let text = ask(&k, &format!("vtop -c 1 {n}000"));
        assert!(!text.contains("SWAP") && text.contains("the entry names no swap device"), "{text}");
    }
}

/// A place that is kept for an entry to come (XA_ZERO_ENTRY) holds none.
#[test]
fn tree_shows_no_entry_that_is_kept_free() {
    let (mut k, tasks, _) = kernel();
    k.structure("maple_range_64", 256, &[("pivot", 8, "u64[15]"), ("slot", 128, "*void[16]")]);
    k.structure("maple_node", 256, &[("parent", 0, "*void"), ("slot", 8, "*void[31]")]);
    k.structure("xa_node", 48, &[("shift", 0, "u8"), ("slots", 8, "*void[4]")]);
    k.structure("xarray", 16, &[("xa_flags", 4, "u32"), ("xa_head", 8, "*void")]);
    k.structure("maple_tree", 16, &[("ma_flags", 4, "u32"), ("ma_root", 8, "*void")]);
    let (tree, leaf) = (k.object("maple_tree"), k.memory(256));
    k.word(tree + 8, leaf | 1 << 3 | 2);
    let (array, node) = (k.object("xarray"), k.object("xa_node"));
    k.word(array + 8, node | 2);
    for (n, value) in (0_u64..).zip([tasks[0], 0x406, tasks[2]]) {
        k.word(leaf + 8 + n * 8, n * 0x1000 + 0xfff).word(leaf + 128 + n * 8, value);
        k.word(node + 8 + n * 8, value);
    }
    for line in [format!("tree -t maple {tree:x}"), format!("tree -t xarray {array:x}")] {
        let text = ask(&k, &line);
        assert!(
            text.contains(&format!("{:x}", tasks[0])) && text.contains(&format!("{:x}", tasks[2])),
            "{text}"
        );
        assert!(!text.contains("406") && text.lines().count() == 2, "{line}: {text}");
    }
}

/// A tree's flags may be missing where its root is not: then its height is not 0.
#[test]
fn flags_that_are_not_there_are_no_height() {
    let (mut k, tasks, _) = kernel();
    k.structure("maple_tree", 16, &[("ma_flags", 4, "u32"), ("ma_root", 8, "*void")]);
    // the root is the first word of the second page
    let pages = k.memory(8192);
    let tree = pages + 4096 - 8;
    k.half(tree + 4, 3 << 2 | 1).word(tree + 8, tasks[0]);
    let line = format!("tree -t maple -v {tree:x}");
    assert!(ask(&k, &line).contains("flags D, height 3 root"), "{}", ask(&k, &line));
    k.exclude(pages);
    assert!(ask(&k, &line).contains("flags ?, height <?> root"), "{}", ask(&k, &line));
}

/// A stack whose end is not in the dump was not overrun as far as is known, which is not that it was not.
#[test]
fn stacks_that_cannot_be_checked_are_counted() {
    let (mut k, _, stacks) = kernel();
    for stack in &stacks {
        k.half(stack + 32, 0x57ac_6e9d);
    }
    assert_eq!(ask(&k, "bt -v").trim(), "No stack overflows detected");
    k.exclude(stacks[1]);
    let text = ask(&k, "bt -v");
    assert!(
        text.contains("No stack overflows detected in the others") && text.contains("of 1 more stacks"),
        "{text}"
    );
    k.half(stacks[2] + 32, 0x1234_5678);
    let text = ask(&k, "bt -v");
    assert!(text.contains("end marker at") && !text.contains("No stack overflows"), "{text}");
}

/// A task of which it is not known when it ran last keeps its row.
#[test]
fn ps_shows_tasks_whose_last_run_is_missing() {
    let (mut k, tasks, _) = kernel();
    for (n, task) in (1..).zip(&tasks) {
        k.word(task + 4096, n * 1000);
    }
    let rows =
        |text: &str| text.lines().filter(|l| l.starts_with('[')).map(str::to_owned).collect::<Vec<_>>();
    let whole = rows(&ask(&k, "ps -l 1 2 3"));
    assert!(whole.len() == 3 && whole[0].starts_with("[3000]"), "{whole:?}");
    k.exclude(tasks[1] + 4096);
    let found = rows(&ask(&k, "ps -l 1 2 3"));
    assert_eq!((&found[..2], found.len()), (&[whole[0].clone(), whole[2].clone()][..], 3), "{found:?}");
    assert!(found[2].contains('?') && found[2].contains("PID: 2"), "{found:?}");
    // also where it is known of none, and each has the reason of its own
    k.exclude(tasks[2] + 4096);
    for line in ["ps -l 2 3", "ps -m 2 3", "ps -l -C 0 2 3"] {
        let report = answer(&k, line).unwrap();
        assert!(report.is_incomplete() && !report.failed(), "{line}: {report:?}");
        let found = json(&report);
        assert_eq!(ask(&k, line).lines().filter(|l| l.starts_with("[<?>]")).count(), 2, "{line}: {found}");
        for task in &tasks[1..3] {
            // the member lies in the second page of the task
            assert!(found.contains(&format!("address {:#x}", task + 4096)), "{line}: {task:#x}: {found}");
        }
        assert!(found.contains("when 2 tasks ran last is not known"), "{line}: {found}");
    }
}

/// Where the mask of taints is not there it is not known whether functions were replaced.
#[test]
fn sys_knows_no_live_patch_without_the_mask_of_taints() {
    let (mut k, ..) = kernel();
    k.variable("filler", 4096);
    let mask = k.variable("tainted_mask", 4096);
    for (bit, shown) in [(12, "false"), (15, "true")] {
        k.word(mask, 1 << bit);
        assert!(json(&answer(&k, "sys").unwrap()).contains(&format!("\"livepatch\":{shown}")), "{bit}");
    }
    k.exclude(mask);
    let report = answer(&k, "sys").unwrap();
    assert!(json(&report).contains("\"livepatch\":{"), "{}", json(&report));
    assert!(report.is_incomplete() && !ask(&k, "sys").contains("LIVEPATCH"));
}

/// A list that is damaged behind its first entries is a part that the dump lost; an address without a list is a mistake.
#[test]
fn a_list_that_is_damaged_is_not_whole() {
    let (mut k, tasks, _) = kernel();
    let links: Vec<u64> = (0..4).map(|_| k.memory(16)).collect();
    let line = format!("list {:x}", links[0]);
    for end in [links[2], 0x1000, 0x8000_0000_0000_0000, tasks[0] | 1 << 46] {
        for pair in links.windows(2) {
            k.word(pair[0], pair[1]);
        }
        k.word(links[3], end);
        let report = answer(&k, &line).unwrap();
        assert!(report.is_incomplete() && !report.failed(), "{end:#x}: {report:?}");
        assert!(ask(&k, &line).lines().count() > 4, "{end:#x}: {report:?}");
    }
    // no link could be followed from here
    k.word(links[0], 0x1000);
    let report = answer(&k, &line).unwrap();
    assert!(report.failed() && !report.is_incomplete(), "{report:?}");
}

/// crash's layout: a heading above a facility, with -M above each segment; what was chosen alone with one id or address.
#[test]
fn ipcs_shows_each_facility_as_crash_does() {
    const SEGMENT: &str = "SHMID_KERNEL     KEY      SHMID      UID   PERMS BYTES      NATTCH STATUS\n";
    const PAGES: [&str; 2] = ["16/1/2", "1024/1024/0"];
    let mut k = Kernel::new();
    let (tasks, _) = k.tasks(2, 4096, 256, &[("nsproxy", 96, "*nsproxy")]);
    k.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
    let made = k.ipc("xarray", &tasks);
    let [first, second] = made.segments;
    let rows = [
        format!("{first:x} 80001234 0          33    640   65536      5      dest locked\n"),
        format!("{second:x} 80001234 65606      33    640   4194304    5      dest locked\n"),
    ];
    let array = format!(
        "SEM_ARRAY        KEY      SEMID      UID   PERMS NSEMS\n{:x} 80001234 0          33    640   3\n\n",
        made.array
    );
    let queue = format!(
        "MSG_QUEUE        KEY      MSQID      UID   PERMS USED-BYTES   MESSAGES\n\
         {:x} 80001234 0          33    640   8            1\n\n",
        made.queue
    );
    assert_eq!(ask(&k, "ipcs"), format!("{SEGMENT}{}{}\n{array}{queue}", rows[0], rows[1]));
    assert_eq!(ask(&k, "ipcs -sq"), format!("{array}{queue}"));
    let with_pages =
        |n: usize| format!("{SEGMENT}{}PAGES ALLOCATED/RESIDENT/SWAPPED: {}\n", rows[n], PAGES[n]);
    let text = ask(&k, "ipcs -M");
    assert!(
        text.starts_with(&(with_pages(0) + &format!("INODE: {:x}\n\n{}", made.inode, with_pages(1)))),
        "{text}"
    );
    assert_eq!(ask(&k, "ipcs -M -n 1"), text);
    assert_eq!(ask(&k, "ipcs 65606"), format!("{SEGMENT}{}\n", rows[1]));
    assert_eq!(ask(&k, &format!("ipcs {:x}", made.queue)), queue);
    assert_eq!(ask(&k, "ipcs 0"), format!("{SEGMENT}{}\n{array}{queue}", rows[0]));
    for (line, why) in [
        ("ipcs 7", "ipcs: invalid id or address: 7"),
        ("ipcs -q 65606", "ipcs: invalid id or address: 65606"),
        ("ipcs -n 99", "ipcs: invalid task or pid value: 99"),
        ("ipcs -n made", "ipcs: invalid task or pid value: made"),
        ("ipcs zz", "zz is neither a number nor a symbol"),
    ] {
        let got = try_ask(&k, line).unwrap_err();
        assert!(got.contains(why), "{line}: {got}");
    }
    assert!(answer(&k, "ipcs 7 0").unwrap().failed());
    let data = json(&answer(&k, "ipcs -M").unwrap());
    k.set(first, "shmid_kernel", "shm_perm.mode", 0o2640);
    assert!(ask(&k, "ipcs -m 0").ends_with(" 5       locked\n\n"), "two columns");
    let wanted = r#""key":"0x80001234","shmid":65606,"uid":33,"perms":416,"bytes":4194304,"nattch":5,"status":["dest","locked"],"pages_allocated":1024,"pages_resident":1024,"pages_swapped":0"#;
    assert!(data.contains(wanted), "{data}");
}

/// A part that is not in the dump is missing in its cell, or a facility says that it is not whole; never an empty list.
#[test]
fn ipcs_never_takes_what_is_missing_for_none() {
    let mut k = Kernel::new();
    let (tasks, _) = k.tasks(2, 4096, 256, &[("nsproxy", 96, "*nsproxy")]);
    k.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
    let made = k.ipc("xarray", &tasks);
    let lost = |at: u64| {
        let mut k = k.clone();
        k.exclude(at);
        k
    };
    let k = lost(made.segments[0]);
    assert!(answer(&k, "ipcs -m").unwrap().is_incomplete());
    assert!(
        ask(&k, "ipcs -m").contains(&format!("{:x} <?>      <?>        <?>   <?>   <?>", made.segments[0]))
    );
    // its id may be this one, and of no other place
    for line in ["ipcs -m 0", "ipcs 0", "ipcs -m 0 -s 0", "ipcs -m 65606 0"] {
        assert!(answer(&k, line).unwrap().is_incomplete(), "{line}");
        assert!(ask(&k, line).contains(&format!("{:x} <?>      <?>", made.segments[0])), "{line}");
        assert!(
            ask(&k, line).contains("ipcs: whether 0 is the one of the shared memory segments at "),
            "{line}"
        );
    }
    assert!(!answer(&k, "ipcs -m 65606").unwrap().is_incomplete());
    assert!(try_ask(&k, "ipcs -m 7").unwrap_err().contains("invalid id or address: 7"));
    let k = lost(made.nodes[0]);
    assert!(answer(&k, "ipcs").unwrap().is_incomplete());
    let text = ask(&k, "ipcs -m");
    assert!(
        text.contains("ipcs: the shared memory segments are not whole: ") && !text.contains("none"),
        "{text}"
    );
    let why = try_ask(&k, "ipcs -m 0").unwrap_err();
    assert!(why.contains("0 is not among the objects that can be read, and they are not all: "), "{why}");
    let mut k = k;
    k.without_btf();
    assert!(try_ask(&k, "ipcs").unwrap_err().contains("struct ipc_ids is not known"));
}

/// The version in the kernel's own name and the one in its banner.
#[test]
fn sys_tells_that_versions_contradict_each_other() {
    for (own, odd) in [("#1 SMP", false), ("#2 SMP", true)] {
        let mut k = Kernel::new();
        let at = k.variable("init_uts_ns", 512) + 4;
        for (n, name) in [(0, "Linux"), (1, "box"), (2, "6.1.0-test"), (3, own), (4, "x86_64")] {
            k.put(at + 65 * n, name.as_bytes());
        }
        let text = ask(&k, "sys");
        let want = "the kernel's version: its banner says \"#1 SMP\", init_uts_ns says \"#2 SMP\": one of them is damaged";
        assert_eq!(text.contains(want), odd, "{text}");
        assert!(text.contains(&format!("VERSION: {own}\n")), "{text}");
    }
}
