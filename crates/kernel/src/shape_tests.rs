//! Shapes that structs had over the releases, each with the commit that changed them: pages, files, address spaces, tasks.

use crate::Session;
use crate::fs::path;
use crate::machine::system;
use crate::mm::address_space;
use crate::mm::page::Pages;
use crate::module;
use crate::sched::task::{self, Task};
use crate::testing::session;
use base::{Pfn, VirtAddr};
use testkit::kernel::{Kernel, Member};

/// `struct page`: what its flags, index and count are called, and of which type.
#[test]
fn pages_of_every_release() {
    let old = [("flags", 0, "u64"), ("mapping", 8, "*void"), ("index", 16, "u64"), ("_count", 28, "s32")];
    let count_renamed =
        [("flags", 0, "u64"), ("mapping", 24, "*void"), ("index", 32, "u64"), ("_refcount", 52, "s32")];
    let index_renamed = [
        ("flags", 0, "u64"),
        ("mapping", 24, "*void"),
        ("__folio_index", 32, "u64"),
        ("_refcount", 52, "s32"),
    ];
    // 6.18 (53fbef56e07d)
    let flags_in_a_struct = [
        ("flags", 0, "memdesc_flags_t"),
        ("mapping", 24, "*void"),
        ("__folio_index", 32, "u64"),
        ("_refcount", 52, "s32"),
    ];
    let shapes: [(&str, &[Member<'_>]); 4] =
        [("3.10", &old), ("4.6", &count_renamed), ("6.16", &index_renamed), ("6.18", &flags_in_a_struct)];
    for (release, members) in shapes {
        let mut k = Kernel::new();
        k.structure("memdesc_flags_t", 8, &[("f", 0, "u64")]).structure("page", 64, members);
        let page = k.page(7);
        for (&(name, ..), value) in members.iter().zip([0x17ff_ffc0_0008_0029, 0xffff_8880_0001_0000, 42, 3])
        {
            k.set(page, "page", name, value);
        }
        let s = session(&k);
        let found = Pages::new(&s).read(Pfn(7)).unwrap();
        assert_eq!((found.flags, found.count), (0x17ff_ffc0_0008_0029, 3), "{release}");
        let text = format!("{found:?}");
        assert!(
            text.contains("42") && text.contains(&0xffff_8880_0001_0000_u64.to_string()),
            "{release}: {text}"
        );
    }
}

/// 6.18: `f_path` and `d_name` stand in a union with twins; 6.14 (58cf9c383c5c): short names are in `d_shortname`.
#[test]
fn paths_by_either_name_of_each_member() {
    for (f_path, d_name, twins) in
        [("f_path", "d_name", false), ("__f_path", "__d_name", false), ("f_path", "d_name", true)]
    {
        let mut k = Kernel::new();
        k.structure("path", 16, &[("mnt", 0, "*void"), ("dentry", 8, "*dentry")]);
        k.structure("hash_len", 8, &[("hash", 0, "u32"), ("len", 4, "u32")]);
        k.structure("qstr", 16, &[("", 0, "hash_len"), ("name", 8, "*char")]);
        k.structure("dentry", 128, &[("d_parent", 24, "*dentry"), ("d_shortname", 56, "char[40]")]);
        k.structure("file", 64, &[]);
        k.structure("vfsmount", 32, &[("mnt_root", 0, "*dentry"), ("mnt_sb", 8, "*void")]);
        let mount = [("mnt_parent", 16, "*void"), ("mnt_mountpoint", 24, "*dentry"), ("mnt", 32, "vfsmount")];
        k.structure("mount", 128, &mount);
        if twins {
            k.union("file_path", 16, &[("f_path", 0, "path"), ("__f_path", 0, "path")]);
            k.union("dentry_name", 16, &[("d_name", 0, "qstr"), ("__d_name", 0, "qstr")]);
            k.member("file", ("", 16, "file_path")).member("dentry", ("", 32, "dentry_name"));
        } else {
            k.member("file", (f_path, 16, "path")).member("dentry", (d_name, 32, "qstr"));
        }
        let mut entry = |name: &str, parent: Option<u64>| {
            let at = k.object("dentry");
            k.set(at, "dentry", "d_parent", parent.unwrap_or(at));
            k.set(at, "dentry", &format!("{d_name}.len"), name.len() as u64);
            k.set_text(at, "dentry", "d_shortname", name);
            let text = at + k.offset("dentry", "d_shortname");
            k.set(at, "dentry", &format!("{d_name}.name"), text);
            at
        };
        let root = entry("/", None);
        let folder = entry("tmp", Some(root));
        let leaf = entry("swapfile", Some(folder));
        let (mount, file) = (k.object("mount"), k.object("file"));
        k.set(mount, "mount", "mnt_parent", mount).set(mount, "mount", "mnt.mnt_root", root);
        k.set(file, "file", &format!("{f_path}.dentry"), leaf).set(
            file,
            "file",
            &format!("{f_path}.mnt"),
            mount + 32,
        );
        assert_eq!(path::of_file(&session(&k), VirtAddr(file)).unwrap(), "/tmp/swapfile", "{f_path} {twins}");
    }
}

/// A path goes from mount to mount: the root of one stands where it is mounted, also where several are mounted on one
/// another's root.
#[test]
fn paths_through_mounts_that_are_stacked() {
    let mut k = Kernel::new();
    k.structure("qstr", 16, &[("hash", 0, "u32"), ("len", 4, "u32"), ("name", 8, "*char")]);
    k.structure("dentry", 128, &[("d_parent", 24, "*dentry"), ("d_name", 32, "qstr")]);
    k.structure("vfsmount", 32, &[("mnt_root", 0, "*dentry"), ("mnt_sb", 8, "*void")]);
    let mount = [("mnt_parent", 16, "*void"), ("mnt_mountpoint", 24, "*dentry"), ("mnt", 32, "vfsmount")];
    k.structure("mount", 128, &mount);
    let entry = |k: &mut Kernel, name: &str, parent: Option<u64>| {
        let (at, text) = (k.object("dentry"), k.text(name));
        k.set(at, "dentry", "d_parent", parent.unwrap_or(at)).set(at, "dentry", "d_name.name", text);
        k.set(at, "dentry", "d_name.len", name.len() as u64);
        at
    };
    let root = entry(&mut k, "/", None);
    let mnt = entry(&mut k, "mnt", Some(root));
    let [first, second] = [(); 2].map(|()| entry(&mut k, "/", None));
    let leaf = entry(&mut k, "leaf", Some(second));
    let mounts = [(); 3].map(|()| k.object("mount"));
    let placed = [(mounts[0], root, root), (mounts[0], mnt, first), (mounts[1], first, second)];
    for (at, (parent, point, own)) in mounts.into_iter().zip(placed) {
        k.set(at, "mount", "mnt_parent", parent).set(at, "mount", "mnt_mountpoint", point);
        k.set(at, "mount", "mnt.mnt_root", own);
    }
    let s = session(&k);
    let path = |dentry, mount| path::path(&s, VirtAddr(dentry), VirtAddr(mount + 32));
    assert_eq!(path(leaf, mounts[2]).unwrap(), "/mnt/leaf");
    assert_eq!(path(second, mounts[2]).unwrap(), "/mnt", "not /");
    assert_eq!(path(first, mounts[1]).unwrap(), "/mnt");
    assert_eq!(path(root, mounts[0]).unwrap(), "/");
}

/// A kernel with one process, whose `mm_struct` is at the address that comes back.
fn process(k: &mut Kernel, rss_stat: Member<'_>) -> (u64, u64) {
    k.list_head();
    k.structure("task_rss_stat", 20, &[("events", 0, "s32"), ("count", 4, "s32[4]")]);
    k.structure("mm_rss_stat", 32, &[("count", 0, "u64[4]")]);
    k.structure("percpu_counter", 40, &[("lock", 0, "u32"), ("count", 8, "s64"), ("counters", 32, "*s32")]);
    k.structure("mm_struct", 512, &[("total_vm", 0, "u64"), rss_stat]);
    k.structure(
        "task_struct",
        1024,
        &[
            ("__state", 0, "u32"),
            ("exit_state", 4, "s32"),
            ("flags", 8, "u32"),
            ("tasks", 16, "list_head"),
            ("thread_group", 32, "list_head"),
            ("pid", 48, "s32"),
            ("tgid", 52, "s32"),
            ("mm", 56, "*mm_struct"),
            ("comm", 64, "char[16]"),
            ("real_parent", 80, "*task_struct"),
            ("rss_stat", 128, "task_rss_stat"),
        ],
    );
    let mm = k.object("mm_struct");
    k.set(mm, "mm_struct", "total_vm", 1000);
    let init = k.variable("init_task", 1024);
    let one = k.object("task_struct");
    k.link(init + 16, &[one + 16]);
    for (at, pid, comm) in [(init, 0, "swapper/0"), (one, 1, "init")] {
        k.link(at + 32, &[]);
        k.set(at, "task_struct", "pid", pid).set(at, "task_struct", "tgid", pid);
        k.set_text(at, "task_struct", "comm", comm).set(at, "task_struct", "real_parent", init);
    }
    k.set(one, "task_struct", "mm", mm);
    (one, mm)
}

fn resident(k: &Kernel, task: u64) -> u64 {
    let s = session(k);
    let task = s.tasks().at(VirtAddr(task)).expect("the process is listed").clone();
    address_space::size(&s, &task).unwrap().resident
}

/// 6.2 (f1a7941243c1): a counter has a part on each CPU. Their sum may be less than nothing, which the kernel takes for 0.
#[test]
fn resident_pages_of_counters_with_parts_on_each_cpu() {
    let mut k = Kernel::new();
    k.cpus(2);
    let (task, mm) = process(&mut k, ("rss_stat", 64, "percpu_counter[4]"));
    // file, anonymous, swap (which is not resident), shared memory
    for (n, (sum, parts)) in (0..).zip([(-5_i64, [2, 1]), (100, [-20, 7]), (5000, [0, 0]), (-1, [10, 0])]) {
        let at = mm + 64 + n * 40;
        let counters = k.per_cpu_memory(4);
        k.word(at + 8, sum.cast_unsigned()).word(at + 32, counters);
        for (cpu, part) in (0..).zip(parts) {
            k.half(k.on_cpu(counters, cpu), i32::cast_unsigned(part));
        }
    }
    assert_eq!(resident(&k, task), 87 + 9, "files are at -2");
}

/// Before, one number each, and in every thread a share that has not been added yet. The first kernels have three.
#[test]
fn resident_pages_of_numbers_with_shares_in_threads() {
    let mut k = Kernel::new();
    let (task, mm) = process(&mut k, ("rss_stat", 64, "mm_rss_stat"));
    for (n, count) in (0..).zip([3_i64, 50, 7000, 8]) {
        k.word(mm + 64 + n * 8, count.cast_unsigned());
    }
    for (n, share) in (0..).zip([-10_i32, 5, 100, 0]) {
        k.half(task + 128 + 4 + n * 4, share.cast_unsigned());
    }
    assert_eq!(resident(&k, task), 55 + 8, "files are at -7");
    // 4.5 (eca56ff906bd) brought the fourth, for shared memory
    k.structure("mm_rss_stat", 24, &[("count", 0, "u64[3]")]);
    assert_eq!(resident(&k, task), 55);
}

/// A kernel with these names of states, and tasks in these states.
fn states(words: &[&str], tasks: &[(u64, u64)]) -> (Session, Vec<Task>) {
    let mut k = Kernel::new();
    let table = k.variable("task_state_array", (words.len() as u64 + 1) * 8);
    for (n, word) in (0..).zip(words) {
        let text = k.text(word);
        k.word(table + n * 8, text);
    }
    let (one, _) = process(&mut k, ("rss_stat", 64, "mm_rss_stat"));
    let at: Vec<u64> = tasks
        .iter()
        .map(|&(state, exit)| {
            let at = k.object("task_struct");
            k.set(at, "task_struct", "__state", state).set(at, "task_struct", "exit_state", exit);
            k.set(at, "task_struct", "real_parent", one);
            at
        })
        .collect();
    let s = session(&k);
    let all = at.iter().map(|at| task::read_task(&s, VirtAddr(*at)).unwrap()).collect();
    (s, all)
}

/// The bits moved in 3.14 (ad86622b478e) and 4.14 (8ef9925b02c2); two came later (5.15, 6.1).
#[test]
fn states_of_every_release() {
    let r310 = [
        "R (running)",
        "S (sleeping)",
        "D (disk sleep)",
        "T (stopped)",
        "t (tracing stop)",
        "Z (zombie)",
        "X (dead)",
        "x (dead)",
        "K (wakekill)",
        "W (waking)",
        "P (parked)",
    ];
    let r314 = [
        "R (running)",
        "S (sleeping)",
        "D (disk sleep)",
        "T (stopped)",
        "t (tracing stop)",
        "X (dead)",
        "Z (zombie)",
    ];
    let r414 = [
        "R (running)",
        "S (sleeping)",
        "D (disk sleep)",
        "T (stopped)",
        "t (tracing stop)",
        "X (dead)",
        "Z (zombie)",
        "P (parked)",
        "I (idle)",
    ];
    // state, exit state, letters, no signal wakes it, a fatal one does
    type Row = (u64, u64, &'static str, bool, bool);
    let both: &[Row] = &[
        (0, 0, "RU", false, false),
        (1, 0, "IN", false, false),
        (2, 0, "UN", true, false),
        (0x402, 0, "ID", false, false),
        (0x1000, 0, "UN", true, false),
        (0x8000, 0, "UN", false, false),
    ];
    let old: &[Row] = &[
        (0x82, 0, "UN", true, true),
        (0x100, 0, "WA", false, false),
        (64, 0, "DE", false, false),
        (512, 0, "PA", false, false),
    ];
    let new: &[Row] = &[
        (0x102, 0, "UN", true, true),
        (0x200, 0, "WA", false, false),
        (0x80, 0, "DE", false, false),
        (0x40, 0, "PA", false, false),
    ];
    let exits = |zombie: u64, dead: u64| [(64, zombie, "ZO", false, false), (64, dead, "DE", false, false)];
    for (release, words, moved, exits) in [
        ("3.10", &r310[..], old, exits(16, 32)),
        ("3.14", &r314, old, exits(32, 16)),
        ("4.14", &r414, new, exits(32, 16)),
    ] {
        let rows: Vec<Row> = both.iter().chain(moved).chain(&exits).copied().collect();
        let (s, tasks) = states(words, &rows.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>());
        let states = s.task_states();
        for ((state, exit, letters, stuck, killable), t) in rows.into_iter().zip(&tasks) {
            assert_eq!(states.letters(t), Some(letters), "{release}: {state:#x} {exit:#x}");
            assert_eq!(states.is_stuck(t), stuck, "{release}: {state:#x}");
            assert_eq!(stuck && states.is_killable(t), killable, "{release}: {state:#x}");
        }
    }
}

/// Where the kernel's names of states are not in the dump, bits that moved have no meaning, and those that never did keep
/// theirs.
#[test]
fn states_whose_names_are_missing_are_not_guessed() {
    let mut k = Kernel::new();
    let (table, names) = (k.variable("task_state_array", 80), k.memory(4096));
    for n in 0..9 {
        k.word(table + n * 8, names + n * 16);
    }
    let words = ["R (run)", "S", "D", "T", "t", "X (dead)", "Z (zombie)", "P (parked)", "I (idle)"];
    for (n, word) in (0..).zip(words) {
        k.put(names + n * 16, format!("{word:3}").as_bytes());
    }
    let (tasks, _) = k.old_tasks(5);
    for (task, state) in tasks.iter().zip([0_u64, 2, 0x102, 0x80, 1]) {
        k.word(task + 48, state);
    }
    k.word(tasks[4] + 56, 32);
    let letters = |k: &Kernel| -> Vec<Option<&'static str>> {
        let s = session(k);
        let of = |at: &u64| s.task_states().letters(&task::read_task(&s, VirtAddr(*at)).unwrap());
        tasks.iter().map(of).collect()
    };
    assert_eq!(letters(&k), [Some("RU"), Some("UN"), Some("UN"), Some("DE"), Some("ZO")]);
    k.exclude(names);
    assert_eq!(letters(&k), [Some("RU"), Some("UN"), None, None, None]);
    let s = session(&k);
    let killable = task::read_task(&s, VirtAddr(tasks[2])).unwrap();
    assert!(s.task_states().is_stuck(&killable) && s.task_states().is_killable(&killable));
}

/// 5.0 (ca79b0c211af): the number became an atomic one with another name.
#[test]
fn memory_that_is_handed_out() {
    for name in ["totalram_pages", "_totalram_pages"] {
        let mut k = Kernel::new();
        let at = k.variable(name, 8);
        k.word(at, 1000);
        assert_eq!(system::managed_bytes(&session(&k)), Some(1000 << 12), "{name}");
    }
}

/// 4.5 (7523e4dc5057), 6.4 (ac3b43283923): where a module's memory is said. What was freed after init is not its any more.
#[test]
fn memory_of_modules() {
    const AT: u64 = 0xffff_ffff_c000_0000;
    for release in ["3.10", "4.5", "6.4"] {
        let mut k = Kernel::new();
        k.list_head();
        k.structure("layout", 16, &[("base", 0, "*void"), ("size", 8, "u32"), ("text_size", 12, "u32")]);
        k.structure("module_memory", 24, &[("base", 0, "*void"), ("size", 16, "u32")]);
        k.structure(
            "module",
            512,
            &[("state", 0, "u32"), ("list", 8, "list_head"), ("name", 24, "char[56]")],
        );
        let shape: &[Member<'_>] = match release {
            "3.10" => &[
                ("module_core", 128, "*void"),
                ("core_size", 136, "u32"),
                ("module_init", 144, "*void"),
                ("init_size", 152, "u32"),
                ("core_text_size", 156, "u32"),
            ],
            "4.5" => &[("core_layout", 128, "layout"), ("init_layout", 144, "layout")],
            _ => &[("mem", 128, "module_memory[7]")],
        };
        for member in shape {
            k.member("module", *member);
        }
        let head = k.variable("modules", 16);
        let at = k.object("module");
        k.link(head, &[at + 8]).set_text(at, "module", "name", "box");
        if release == "6.4" {
            for (n, base, size) in [(0, AT, 0x2000), (1, AT + 0x10_0000, 0x1000), (4, 0, 0)] {
                k.word(at + 128 + n * 24, base).half(at + 128 + n * 24 + 16, size);
            }
        } else {
            k.word(at + 128, AT).half(at + 136, 0x3000);
            k.half(at + if release == "4.5" { 140 } else { 156 }, 0x2000);
        }
        let s = session(&k);
        let (all, problem) = module::read_modules(&s);
        assert!(problem.is_none() && all.len() == 1, "{release}: {problem:?}");
        assert_eq!(
            (all[0].name.as_str(), all[0].base(), all[0].size()),
            ("box", VirtAddr(AT), 0x3000),
            "{release}"
        );
        assert!(all[0].init.is_empty() && !all[0].contains(VirtAddr(0)), "{release}");
        assert_eq!(all[0].contains(VirtAddr(AT + 0x2800)), release != "6.4", "{release}: between its parts");
        let text = [0x1fff, 0x2000].map(|at| s.is_text(VirtAddr(AT + at)));
        assert_eq!(text, [true, false], "{release}: code and data");
    }
}

/// Modules whose memory is told by `core_layout`: base and size of each.
fn modules(of: &[(u64, u32)]) -> (Vec<String>, Option<String>) {
    let mut k = Kernel::new();
    k.list_head();
    k.structure("layout", 16, &[("base", 0, "*void"), ("size", 8, "u32")]);
    k.structure(
        "module",
        512,
        &[
            ("state", 0, "u32"),
            ("list", 8, "list_head"),
            ("name", 24, "char[56]"),
            ("core_layout", 128, "layout"),
        ],
    );
    let head = k.variable("modules", 16);
    let all: Vec<u64> = of.iter().map(|_| k.object("module")).collect();
    let links: Vec<u64> = all.iter().map(|at| at + 8).collect();
    k.link(head, &links);
    for (n, (at, (base, size))) in all.iter().zip(of).enumerate() {
        k.set_text(*at, "module", "name", &format!("m{n}"));
        k.word(at + 128, *base).half(at + 136, *size);
    }
    let (found, problem) = module::read_modules(&session(&k));
    (found.into_iter().map(|m| m.name).collect(), problem.map(|e| e.to_string()))
}

/// What says of itself that it lies where no module does is none, and the others stay.
#[test]
fn memory_that_no_module_has() {
    const AT: u64 = 0xffff_ffff_c000_0000;
    let good = |n: u64| (AT + n * 0x1_0000, 0x3000);
    let (names, problem) = modules(&[good(0), good(1), good(2)]);
    assert_eq!((names.len(), problem), (3, None));
    for (wrong, word) in [
        ((AT + 0x1_0000, 0x8000_0000), "2147483648 bytes at 0xffffffffc0010000"),
        ((0x7fff_0000_0000, 0x3000), "12288 bytes at 0x7fff00000000"),
        ((testkit::kernel::TEXT + 0x1000, 0x3000), "12288 bytes at 0xffffffff81001000"),
        ((u64::MAX - 0xfff, 0x3000), "12288 bytes at 0xfffffffffffff000"),
    ] {
        let (names, problem) = modules(&[good(0), wrong, good(2)]);
        let problem = problem.unwrap();
        assert_eq!(names.len(), 2, "{word}: {names:?}");
        assert!(problem.contains("it cannot be a module") && problem.contains(word), "{problem}");
    }
    let (names, problem) = modules(&[good(0), (AT + 0x2000, 0x3000), good(2)]);
    assert_eq!(names.len(), 3);
    assert!(problem.unwrap().contains("have the same memory at 0xffffffffc0002000"));
}
