//! Kernels that name no variable, and kernels whose types are not those of their memory.

use crate::error::KernelError;
use crate::sched::task::TaskStruct;
use crate::session::Session;
use crate::testing::session;
use debuginfo::types::Space;
use testkit::kernel::Kernel;

/// Writes a ring of printk with these messages, a second apart, where no symbol leads to it.
fn ring(k: &mut Kernel, texts: &[&str]) -> u64 {
    let (descs, infos, data) = (k.memory(16 * 24), k.memory(16 * 88), k.memory(1024));
    let at = k.variable("printk_rb_static", 96);
    // the first of 16 descriptors
    let id = |n: u64| (u64::MAX >> 2) - 255 + n;
    k.word(at, 4).word(at + 8, descs).word(at + 16, infos);
    k.word(at + 24, id(texts.len() as u64 - 1)).word(at + 32, id(0));
    k.word(at + 48, 10).word(at + 56, data);
    let mut lpos = 0;
    for (n, text) in (0_u64..).zip(texts) {
        let len = 8 + (text.len() as u64).next_multiple_of(8);
        k.word(descs + n * 24, id(n) | 2 << 62)
            .word(descs + n * 24 + 8, lpos)
            .word(descs + n * 24 + 16, lpos + len);
        k.word(data + lpos, id(n)).put(data + lpos + 8, text.as_bytes());
        k.word(infos + n * 88, n).word(infos + n * 88 + 8, n * 1_000_000_000);
        k.put(infos + n * 88 + 16, &[text.len() as u8, 0, 0, 4 << 5]);
        lpos += len;
    }
    data
}

/// What leads to the log is lost, page by page, and the messages are there all the same.
#[test]
fn the_log_without_what_leads_to_it() {
    let texts: Vec<String> = (0..12).map(|n| format!("Linux version {n}")).collect();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    for lost in ["", "prb", "printk_rb_static"] {
        let mut k = Kernel::new();
        k.variable("before", 8192);
        let prb = k.variable("prb", 8);
        k.variable("between", 8192);
        let data = ring(&mut k, &all);
        k.variable("behind", 8192);
        let (buffer, len) = (k.variable("log_buf", 8), k.variable("log_buf_len", 4));
        k.word(prb, k.at("printk_rb_static")).word(buffer, data).half(len, 1024);
        if !lost.is_empty() {
            k.exclude(k.at(lost));
        }
        let s = session(&k);
        let log = s.log().unwrap();
        let found: Vec<&str> = log.records.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(found, all, "without {lost}");
        let timeless = lost == "printk_rb_static";
        assert_eq!((log.as_text, log.records[3].ts_nsec.is_none()), (timeless, timeless), "without {lost}");
        assert_eq!(log.is_whole_up_to(0), !timeless, "which messages are lost is not known");
    }
}

#[test]
fn a_kernel_that_names_no_variable_says_what_it_is() {
    let mut k = Kernel::new();
    k.functions_alone().without_btf();
    for n in 0..40 {
        k.function(&format!("function_{n}"), 0x40 * n);
    }
    let thing = k.variable("thing", 8);
    k.info(&format!("SYMBOL(thing)={thing:x}"));
    ring(&mut k, &["Linux version 6.1.0-test", "Kernel panic - not syncing: sysrq triggered crash"]);
    let s = session(&k);
    assert!(s.dump().vmcoreinfo().is_none(), "no note");
    assert_eq!(s.vmcoreinfo().get("OSRELEASE"), Some("6.1.0-test"));
    assert_eq!(s.symbol("thing").map(|at| at.0), Some(thing));
    assert_eq!(s.opened().release().as_deref(), Some("6.1.0-test"));
    let log = s.log().unwrap();
    let texts: Vec<&str> = log.records.iter().map(|r| r.text.as_str()).collect();
    assert_eq!(texts, ["Linux version 6.1.0-test", "Kernel panic - not syncing: sysrq triggered crash"]);
    assert_eq!(
        (log.records[1].ts_nsec, log.records[1].level, log.as_text),
        (Some(1_000_000_000), Some(4), false)
    );
    assert_eq!(crate::sched::panic::has_panicked(&s), Some(true));
}

#[test]
fn a_kernel_without_modules_has_no_damaged_list_of_them() {
    let mut k = Kernel::new();
    k.function("schedule", 0x40);
    let s = session(&k);
    assert!(s.modules().is_empty() && s.modules_problem().is_none(), "{:?}", s.modules_problem());
    // one that has them, and whose list is not to be found
    k.function("load_module", 0x80);
    assert!(session(&k).modules_problem().is_some());
}

#[test]
fn a_kernel_for_one_cpu_has_cpu_0() {
    let mut k = Kernel::new();
    k.functions_alone().without_btf();
    k.function("schedule", 0x40);
    let names = k.variable("init_uts_ns", 512);
    k.info(&format!("SYMBOL(init_uts_ns)={names:x}"));
    k.put(names, b"Linux").put(names + 195, b"#1 Sun Nov 29 10:00:00 UTC 2026");
    assert_eq!(session(&k).cpus().possible, [0]);
    k.put(names + 195, b"#1 SMP Sun Nov 29 10:00:00 UTC 2026");
    assert!(!session(&k).cpus().possible.contains(&0), "how many it has is not known");
}

/// The members that are shuffled: name, offset by the types, offset in memory, type.
const MEMBERS: &[(&str, u64, u64, &str)] = &[
    ("stack", 32, 160, "*char"),
    ("flags", 40, 104, "u32"),
    ("tasks", 48, 112, "list_head"),
    ("mm", 64, 80, "*char"),
    ("active_mm", 72, 136, "*char"),
    ("pid", 80, 128, "s32"),
    ("tgid", 84, 88, "s32"),
    ("real_parent", 88, 96, "*task_struct"),
    ("group_leader", 96, 152, "*task_struct"),
    ("comm", 104, 40, "char[16]"),
    ("signal", 120, 144, "*signal_struct"),
    ("thread_node", 128, 64, "list_head"),
    ("utime", 144, 56, "u64"),
    ("fs", 152, 168, "*char"),
];

/// A kernel with a few tasks; `honest` types are those of its memory.
fn shuffled(honest: bool) -> Kernel {
    let mut k = Kernel::new();
    k.list_head();
    k.structure("thread_info", 24, &[("flags", 0, "u64"), ("cpu", 20, "u32")]);
    let inside: Vec<(&str, u64, &str)> =
        MEMBERS.iter().map(|m| (m.0, if honest { m.2 } else { m.1 } - 32, m.3)).collect();
    k.structure("shuffled", 480, &inside);
    k.structure(
        "task_struct",
        512,
        &[("thread_info", 0, "thread_info"), ("__state", 24, "u32"), ("", 32, "shuffled")],
    );
    k.structure("signal_struct", 64, &[("thread_head", if honest { 24 } else { 8 }, "list_head")]);
    let mut tasks: Vec<(u64, u64)> = Vec::new();
    // pid, tgid, parent's index, is of the kernel
    let all = [
        (0, 0, 0, true),
        (1, 1, 0, false),
        (2, 2, 0, true),
        (3, 3, 2, true),
        (4, 4, 2, true),
        (20, 20, 1, false),
        (21, 21, 1, false),
        (22, 21, 1, false),
    ];
    for (n, (pid, tgid, parent, kernel)) in all.into_iter().enumerate() {
        let at = if n == 0 { k.variable("init_task", 512) } else { k.memory(4096) };
        let leads = pid == tgid;
        let signal = match (n, leads) {
            (0, _) => k.variable("init_signals", 64),
            (_, true) => k.memory(64),
            (_, false) => tasks[n - 1].1,
        };
        tasks.push((at, signal));
        let mut set = |name: &str, value: u64| {
            let member = MEMBERS.iter().find(|m| m.0 == name).unwrap();
            match member.3 {
                "u32" | "s32" => k.half(at + member.2, value as u32),
                _ => k.word(at + member.2, value),
            };
        };
        set("pid", pid);
        set("tgid", tgid);
        set("real_parent", tasks[parent].0);
        set("group_leader", tasks[if leads { n } else { n - 1 }].0);
        set("signal", signal);
        set("flags", if kernel { 0x20_0040 } else { 0x40_0100 });
        set("utime", 7777 * pid);
        let stack = k.memory(16384);
        k.word(stack, 0x57ac_6e9d).word(at + 160, stack);
        if !kernel {
            let mm = k.memory(64);
            k.word(at + 80, mm).word(at + 136, mm);
        }
        k.half(at + 24, u32::from(n != 0));
        let name = if n == 0 { "swapper/0".to_owned() } else { format!("task-{pid}") };
        k.put(at + 40, name.as_bytes());
    }
    for (n, (at, signal)) in tasks.iter().copied().enumerate() {
        let node = at + 64;
        match n {
            6 => _ = k.link(signal + 24, &[node, tasks[7].0 + 64]),
            7 => {}
            _ => _ = k.link(signal + 24, &[node]),
        }
    }
    let listed: Vec<u64> = (1..7).map(|n| tasks[n].0 + 112).collect();
    k.link(tasks[0].0 + 112, &listed);
    k
}

fn told(s: &Session) -> Vec<(i32, i32, String)> {
    s.tasks().all.iter().map(|t| (t.pid, t.tgid, t.comm.clone())).collect()
}

#[test]
fn tasks_of_a_kernel_with_shuffled_members_are_those_of_its_memory() {
    let right = session(&shuffled(true));
    let wanted = told(&right);
    assert_eq!(wanted[0], (0, 0, "swapper/0".to_owned()));
    assert_eq!(wanted.iter().map(|t| t.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 20, 21, 22]);
    assert!(right.type_notes().is_empty(), "{:?}", right.type_notes());
    let offset = |s: &Session, name: &str| {
        let ty = s.types().find(Space::Struct, "task_struct")[0];
        s.types().member(ty, name).unwrap().map(|found| found.offset())
    };
    let task = right.bind::<TaskStruct>();
    assert_eq!(task.utime.u64(right.mem(), right.tasks().all[5].at).unwrap(), 20 * 7777);

    let s = session(&shuffled(false));
    assert_eq!(told(&s), wanted);
    let parents = |s: &Session| s.tasks().all.iter().map(|t| t.ppid).collect::<Vec<_>>();
    assert_eq!(parents(&s), parents(&right));
    assert_eq!(s.type_notes().len(), 2, "{:?}", s.type_notes());
    assert!(s.type_notes()[0].contains("task_struct"), "{:?}", s.type_notes());
    for (name, _, at, _) in MEMBERS.iter().filter(|m| !matches!(m.0, "utime" | "fs")) {
        assert_eq!(offset(&s, name), Some(*at), "{name}");
    }
    assert_eq!((offset(&s, "__state"), offset(&s, "thread_info")), (Some(24), Some(0)));
    // what memory does not show is not known, and not read at a wrong place
    assert_eq!(offset(&s, "utime"), None);
    let error = s.bind::<TaskStruct>().utime.offset().unwrap_err();
    assert!(matches!(error, KernelError::Contradicted { of: "task_struct", member: "utime" }), "{error}");
}

#[test]
fn a_kernel_that_says_it_is_randomised_is_told_as_unproven() {
    let mut k = shuffled(true);
    let mask = k.variable("tainted_mask", 8);
    k.word(mask, 1 << 17);
    let s = session(&k);
    assert_eq!(s.tasks().all.len(), 8);
    assert!(matches!(&s.type_notes()[..], [one] if one.contains("unproven")), "{:?}", s.type_notes());
}

#[test]
fn one_damaged_value_makes_no_layout_wrong() {
    let mut k = shuffled(true);
    let at = k.at("init_task");
    k.put(at + 40, b"\xff\xffgarbage");
    let s = session(&k);
    assert!(s.type_notes().is_empty());
    assert_eq!(s.tasks().all.len(), 8);
}

/// Types of a build with a member more: all behind it are at wrong places, and in order.
#[test]
fn members_behind_one_that_this_kernel_lacks_are_where_memory_shows_them() {
    const FROM: u64 = 144;
    let wanted = told(&session(&shuffled(true)));
    let mut k = shuffled(true);
    let inside: Vec<(&str, u64, &str)> =
        MEMBERS.iter().map(|m| (m.0, m.2 - 32 + if m.2 < FROM { 0 } else { 8 }, m.3)).collect();
    k.structure("shuffled", 480, &inside);
    let kthreadd = k.variable("kthreadd_task", 8);
    let init = k.at("init_task");
    // the next entries of the list: tasks 1 and 2
    let s = session(&k);
    let next = |at: u64| s.mem().u64(base::VirtAddr(at + 112)).unwrap() - 112;
    let second = next(next(init));
    k.word(kthreadd, second);

    let s = session(&k);
    assert_eq!(told(&s), wanted);
    let notes = s.type_notes();
    assert!(
        matches!(&notes[..], [one] if one.contains("task_struct") && one.contains("signal")),
        "{notes:?}"
    );
    let b = s.bind::<TaskStruct>();
    let at = |name: &str| MEMBERS.iter().find(|m| m.0 == name).unwrap().2;
    assert_eq!(b.signal.offset().unwrap(), at("signal"));
    assert_eq!(b.group_leader.offset().unwrap(), at("group_leader"));
    assert_eq!(b.comm.offset().unwrap(), at("comm"));
    // nothing proves it, and what is around it is right
    assert_eq!(b.utime.offset().unwrap(), at("utime"));
}

/// A member that lies over another is the one that is wrong, whatever it is of.
#[test]
fn a_member_over_another_is_not_read() {
    let mut k = shuffled(true);
    k.structure("module", 64, &[("state", 0, "u32"), ("list", 8, "list_head"), ("name", 24, "char[40]")]);
    k.structure(
        "thread_info",
        24,
        &[("flags", 0, "u64"), ("syscall_work", 8, "u64"), ("status", 16, "u32"), ("cpu", 12, "u32")],
    );
    let s = session(&k);
    let error = s.bind::<TaskStruct>().cpu.offset().unwrap_err();
    assert!(matches!(error, KernelError::Contradicted { .. }), "{error}");
    assert!(s.bind::<TaskStruct>().cpu.exists());
    assert!(s.type_notes().iter().any(|note| note.contains("thread_info") && note.contains("cpu")));
    // it is no other kernel's: its `cpu` is not looked for elsewhere
    assert!(s.tasks().all.iter().all(|t| t.cpu.is_none() || s.cpus().possible == [0]));
}

/// Types of another build, which a user forces on a dump, are told by the first structs that are looked at.
#[test]
fn types_of_another_build_are_contradicted_and_the_kernel_s_own_are_not() {
    let own = session(&shuffled(true));
    assert!(crate::types::checked::contradicted(&own, &own.loaded().types).is_empty());
    let other = session(&shuffled(false));
    let wrong = crate::types::checked::contradicted(&other, &other.loaded().types);
    assert!(wrong.contains(&"task_struct"), "{wrong:?}");
}

/// Without registers and run queues the only CPU stays with the task that the panic names.
#[test]
fn the_only_cpu_ran_the_task_that_panicked() {
    let texts = [
        "Linux version 6.1.0-test",
        "CPU: 0 PID: 4 Comm: task-4",
        "CPU: 0 PID: 20 Comm: task-20",
        "Kernel panic - not syncing: Fatal exception",
    ];
    for panicked in [false, true] {
        let mut k = shuffled(true);
        k.functions_alone();
        for name in ["init_task", "init_signals"] {
            k.info(&format!("SYMBOL({name})={:x}", k.at(name)));
        }
        let names = k.memory(512);
        k.info(&format!("SYMBOL(init_uts_ns)={names:x}"));
        k.put(names, b"Linux").put(names + 195, b"#1 Sun Nov 29 10:00:00 UTC 2026");
        ring(&mut k, &texts[..if panicked { 4 } else { 3 }]);
        let s = session(&k);
        let active: Vec<i32> = s.tasks().all.iter().filter(|t| t.active).map(|t| t.pid).collect();
        assert_eq!(active, if panicked { vec![20] } else { vec![] });
        let idle = s.tasks().all.iter().find(|t| t.pid == 4).expect("all tasks are known");
        assert_eq!(s.tasks().was_active(idle), panicked.then_some(false));
    }
}
