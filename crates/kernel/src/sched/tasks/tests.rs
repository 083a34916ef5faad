//! All tasks of kernels that are made here, whose lists are whole or not.

use super::*;
use crate::testing::session;
use testkit::kernel::Kernel;

/// A page of each task that is left out costs this task alone.
const TASK: u64 = 4096;

/// A kernel of one CPU whose `init_task` has `count` processes on its list, with pids from 1 on; the first is the
/// parent of all others. Their `task_struct`s.
pub(super) fn kernel(count: u32) -> (Kernel, Vec<u64>) {
    let mut k = Kernel::new();
    k.list_head();
    k.structure("hlist_node", 16, &[("next", 0, "*hlist_node"), ("pprev", 8, "u64")]);
    k.structure("hlist_head", 8, &[("first", 0, "*hlist_node")]);
    k.structure(
        "task_struct",
        TASK,
        &[
            ("pid", 0, "s32"),
            ("tgid", 4, "s32"),
            ("comm", 8, "char[16]"),
            ("tasks", 32, "list_head"),
            ("children", 48, "list_head"),
            ("sibling", 64, "list_head"),
            ("thread_group", 80, "list_head"),
            ("pid_links", 96, "hlist_node[4]"),
            ("__state", 160, "u32"),
            ("exit_state", 164, "s32"),
            ("on_cpu", 168, "s32"),
            ("flags", 172, "u32"),
        ],
    );
    k.structure("rq", 16, &[("curr", 0, "*task_struct"), ("idle", 8, "*task_struct")]);
    let rq = k.per_cpu("runqueues", 16);
    let init = k.variable("init_task", TASK);
    k.set_text(init, "task_struct", "comm", "swapper/0");
    let all: Vec<u64> = (0..count).map(|_| k.object("task_struct")).collect();
    for (n, &at) in (1..).zip(&all) {
        k.set(at, "task_struct", "pid", n).set(at, "task_struct", "tgid", n);
        k.set_text(at, "task_struct", "comm", &format!("task {n}"));
    }
    for &at in all.iter().chain([&init]) {
        k.link(at + 80, &[]).link(at + 48, &[]);
    }
    let links = |offset: u64| all.iter().map(|at| at + offset).collect::<Vec<_>>();
    k.link(init + 32, &links(32));
    let siblings = links(64);
    k.link(all[0] + 48, &siblings[1..]).link(init + 48, &siblings[..1]);
    let rq = k.on_cpu(rq, 0);
    k.word(rq, all[1]).word(rq + 8, init);
    let counted = k.variable("nr_threads", 4);
    k.half(counted, count);
    (k, all)
}

pub(super) fn pids(tasks: &Tasks) -> Vec<i32> {
    tasks.all.iter().map(|t| t.pid).collect()
}

#[test]
fn a_whole_list_lacks_nothing() {
    let (k, _) = kernel(6);
    let tasks = read_tasks(&session(&k));
    assert_eq!(pids(&tasks), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!((tasks.total, tasks.lack(), tasks.problems.len()), (Some(7), None, 0));
    assert_eq!(tasks.on_cpu(0).map(|t| t.pid), Some(2));
    assert_eq!(tasks.was_active(&tasks.all[1]), Some(false));
}

/// The list leads past tasks in both directions, or from its head to its head: it looks whole, and is not.
#[test]
fn a_list_that_leaves_tasks_out_consistently_is_damaged() {
    for (kept, told) in [(&[0, 1, 5][..], "it leaves out 3 processes"), (&[], "it leaves out 6 processes")] {
        for is_counted in [true, false] {
            let (mut k, all) = kernel(6);
            let kept: Vec<u64> = kept.iter().map(|n: &usize| all[*n] + 32).collect();
            k.link(k.at("init_task") + 32, &kept);
            if !is_counted {
                k.lose("nr_threads");
            }
            let tasks = read_tasks(&session(&k));
            assert_eq!(pids(&tasks), [0, 1, 2, 3, 4, 5, 6], "{told}");
            let why: Vec<String> = tasks.problems.iter().map(ToString::to_string).collect();
            assert!(why.iter().any(|why| why.contains(told)), "{why:?}");
            // without a count there may be more
            assert_eq!(tasks.lack().is_none(), is_counted, "{:?}", tasks.lack());
        }
    }
}

#[test]
fn a_task_that_is_left_out_hides_no_other() {
    let (mut k, all) = kernel(6);
    k.exclude(all[3]);
    let tasks = read_tasks(&session(&k));
    assert_eq!(pids(&tasks), [0, 1, 2, 3, 5, 6]);
    let lack = tasks.lack().unwrap();
    assert!(lack.starts_with("6 of 7 tasks are known: "), "{lack}");
}

#[test]
fn two_that_are_left_out_leave_those_between_to_their_parent() {
    let (mut k, all) = kernel(8);
    k.exclude(all[2]).exclude(all[5]);
    // neither way of the list leads to 4 and 5: both are children of 1, whose list is broken at the same places
    let tasks = read_tasks(&session(&k));
    assert_eq!(pids(&tasks), [0, 1, 2, 7, 8]);
    assert!(tasks.lack().unwrap().starts_with("5 of 9 tasks are known"), "{:?}", tasks.lack());
}

#[test]
fn tasks_are_found_by_pid() {
    let (mut k, all) = kernel(8);
    k.structure("xa_node", 32, &[("shift", 0, "u8"), ("slots", 8, "u64[3]")]);
    k.structure("xarray", 8, &[("xa_head", 0, "u64")]);
    k.structure("idr", 8, &[("idr_rt", 0, "xarray")]);
    k.structure("pid_namespace", 8, &[("idr", 0, "idr")]);
    k.structure("pid", 32, &[("tasks", 0, "hlist_head[4]")]);
    let ns = k.variable("init_pid_ns", 8);
    let node = k.object("xa_node");
    k.word(ns, node | 2);
    for (n, &task) in all[3..5].iter().enumerate() {
        let pid = k.object("pid");
        k.word(pid, task + 96).word(node + 8 + 8 * n as u64, pid);
    }
    k.exclude(all[2]).exclude(all[5]);
    let tasks = read_tasks(&session(&k));
    assert_eq!(pids(&tasks), [0, 1, 2, 4, 5, 7, 8]);
    assert!(tasks.lack().unwrap().starts_with("7 of 9 tasks are known"), "{:?}", tasks.lack());
}

/// A kernel whose tasks have a `struct pid` each, in a tree by number; an old one, 4.14's, has an array of links in each
/// task instead, and no such tree. 6.5 (b69f0aeb0689) gave the numbers no length.
fn with_pids(count: u32, old: bool, numbers: &str) -> (Kernel, Vec<u64>, Vec<u64>) {
    let (mut k, all) = kernel(count);
    k.structure("upid", 40, &[("nr", 0, "s32"), ("ns", 8, "u64"), ("pid_chain", 16, "hlist_node")]);
    k.structure("pid", 80, &[("tasks", 0, "hlist_head[4]"), ("numbers", 32, numbers)]);
    k.member("task_struct", ("group_leader", 176, "*task_struct"));
    k.member("task_struct", ("real_parent", 184, "*task_struct"));
    let link = if old { 16 } else { 0 };
    if old {
        k.structure("pid_link", 24, &[("node", 0, "hlist_node"), ("pid", 16, "*pid")]);
    } else {
        k.member("task_struct", ("thread_pid", 192, "*pid"));
    }
    k.structure("xa_node", 88, &[("shift", 0, "u8"), ("slots", 8, "u64[10]")]);
    k.structure("xarray", 8, &[("xa_head", 0, "u64")]);
    k.structure("idr", 8, &[("idr_rt", 0, "xarray")]);
    if !old {
        k.structure("pid_namespace", 8, &[("idr", 0, "idr")]);
    }
    let ns = k.variable("init_pid_ns", 8);
    let node = k.object("xa_node");
    k.word(ns, node | 2);
    let mut pids = Vec::new();
    for (n, &task) in (1_u64..).zip(&all) {
        let pid = k.object("pid");
        k.word(pid, task + 96).set(pid + 32, "upid", "nr", n);
        k.word(node + 8 + 8 * n, pid);
        k.word(task + if old { 96 + link } else { 192 }, pid);
        k.word(task + 176, task).word(task + 184, all[0]);
        pids.push(pid);
    }
    (k, all, pids)
}

#[test]
fn a_pid_that_the_kernel_s_own_table_contradicts_is_told() {
    for old in [false, true] {
        let (k, _, _) = with_pids(6, old, "upid[1]");
        let whole = read_tasks(&session(&k));
        assert_eq!((pids(&whole), whole.problems.len()), (vec![0, 1, 2, 3, 4, 5, 6], 0), "{old}");
        for number in [4711, 5] {
            let (mut k, all, _) = with_pids(6, old, "upid[1]");
            k.set(all[3], "task_struct", "pid", number);
            let tasks = read_tasks(&session(&k));
            let t = tasks.at(VirtAddr(all[3])).unwrap();
            let told = t.wrong.clone().unwrap();
            assert!(told.starts_with(&format!("its pid is {number}, but ")) && told.contains('4'), "{told}");
            assert!(tasks.problems.iter().any(|e| e.to_string().contains(&told)), "{:?}", tasks.problems);
            // a third place decides, where there is one
            assert_eq!((t.pid, t.tgid), (if old { number as i32 } else { 4 }, 4), "{told}");
            assert_eq!(told.ends_with("which is taken"), !old, "{told}");
        }
    }
    // its struct pid alone is damaged: nothing else has that number
    let (mut k, all, of) = with_pids(6, false, "upid[0]");
    k.set(of[3] + 32, "upid", "nr", 77);
    let tasks = read_tasks(&session(&k));
    assert_eq!(tasks.at(VirtAddr(all[3])).map(|t| t.pid), Some(4));
    assert!(tasks.problems[0].to_string().contains("its struct pid says 77: either can be right"));
    // a task that is being released has none, and one whose pid leads to another task tells nothing
    for value in [0, of[2], 0x1234_5678] {
        let (mut k, all, _) = with_pids(6, false, "upid[0]");
        k.word(all[3] + 192, value);
        assert_eq!(read_tasks(&session(&k)).problems.len(), 0, "{value:#x}");
    }
}

#[test]
fn a_task_has_a_number_in_its_own_namespace() {
    for old in [false, true] {
        let (mut k, all, of) = with_pids(6, old, "upid[1]");
        k.member("pid", ("level", 76, "u32"));
        // the fourth is 1 in a namespace of its own
        k.set(of[3], "pid", "level", 1).set(of[3] + 32 + 40, "upid", "nr", 1);
        k.set(of[4], "pid", "level", 4711);
        let s = session(&k);
        let tasks = read_tasks(&s);
        let of = |n: usize| super::ids::inner_number(&s, tasks.at(VirtAddr(all[n])).unwrap());
        assert_eq!(of(2).unwrap(), None, "{old}");
        assert_eq!(of(3).unwrap(), Some(1), "{old}");
        assert!(matches!(of(4), Err(KernelError::Damaged { .. })), "{old}");
    }
}

#[test]
fn a_tgid_that_the_leader_contradicts_is_told_and_names_no_parent() {
    let (mut k, all, _) = with_pids(6, false, "upid[0]");
    k.set(all[0], "task_struct", "tgid", 4242).word(all[5] + 176, all[4]);
    k.set(all[5], "task_struct", "tgid", 5);
    let tasks = read_tasks(&session(&k));
    let first = tasks.at(VirtAddr(all[0])).unwrap();
    assert_eq!((first.pid, first.tgid), (1, 1));
    let told = "its tgid is 4242, but its process's leader is 1, which is taken";
    assert_eq!(first.wrong.as_deref(), Some(told));
    assert_eq!(tasks.problems.len(), 1, "{:?}", tasks.problems);
    assert_eq!(tasks.at(VirtAddr(all[2])).and_then(|t| t.ppid), Some(1));
}

#[test]
fn what_can_be_no_task_is_left_out_and_told() {
    for (member, value, word) in [
        ("pid", 41_877_504, "its pid is 41877504"),
        ("tgid", u64::MAX - 4, "its tgid is -5"),
        ("pid", 4 << 20, "its pid is 4194304"),
        ("pid", 0, "its pid is 0"),
    ] {
        let (mut k, all) = kernel(6);
        k.set(all[3], "task_struct", member, value);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 3, 5, 6], "{word}");
        let lack = tasks.lack().unwrap();
        assert!(lack.starts_with("6 of 7") && lack.contains(word), "{lack}");
    }
}

#[test]
fn without_types_a_task_that_is_left_out_hides_no_other() {
    for lost in [None, Some(0), Some(1), Some(6), Some(11)] {
        let (mut k, all) = kernel(12);
        k.without_btf();
        if let Some(lost) = lost {
            k.exclude(all[lost]);
        }
        let tasks = read_tasks(&session(&k));
        let wanted: Vec<i32> =
            (0..=12).filter(|pid| lost.is_none_or(|lost| *pid != lost as i32 + 1)).collect();
        assert_eq!(pids(&tasks), wanted, "without {lost:?}");
        let lack = tasks.lack();
        assert_eq!(lack.is_some_and(|lack| lack.starts_with("12 of 13 tasks")), lost.is_some(), "{lost:?}");
    }
}

/// One end of the list is damaged, and the other tells all.
#[test]
fn without_types_a_list_is_known_by_either_end() {
    for offset in [32, 40] {
        for wrong in [0, 0x4141_4141_4141_4141] {
            let (mut k, _) = kernel(12);
            k.without_btf();
            let head = k.at("init_task") + offset;
            k.word(head, wrong);
            let tasks = read_tasks(&session(&k));
            assert_eq!(pids(&tasks), (0..=12).collect::<Vec<i32>>(), "{offset}: {wrong:#x}");
            assert!(
                tasks.problems.iter().any(|e| matches!(e, KernelError::Damaged { .. })),
                "{offset}: {wrong:#x}"
            );
        }
    }
}

/// Both ends of the list are damaged: what pids and parents lead to is found, and that others are missing is told.
#[test]
fn a_list_whose_ends_lead_nowhere_leaves_other_ways() {
    for ends in [[0; 2], [0x4141_4141_4141_4141, 0x4242_4242_4242_4242]] {
        for is_counted in [true, false] {
            let (mut k, all) = kernel(6);
            let head = k.at("init_task") + 32;
            k.word(head, ends[0]).word(head + 8, ends[1]);
            // of the parents' lists one is broken too
            k.word(all[0] + 48, 0x4343_4343_4343_4343).word(all[0] + 56, 0);
            if !is_counted {
                k.lose("nr_threads");
            }
            let tasks = read_tasks(&session(&k));
            assert_eq!(pids(&tasks), [0, 1, 2], "{ends:x?}");
            assert!(tasks.problems.iter().any(|e| matches!(e, KernelError::Damaged { .. })));
            assert!(tasks.lack().is_some());
        }
    }
}

/// The same where types are inferred: the children of `init_task` are the first that are known.
#[test]
fn without_types_a_list_whose_ends_lead_nowhere_is_found_by_children() {
    for ends in [[0; 2], [0x4141_4141_4141_4141, 0x4242_4242_4242_4242], [1; 2]] {
        let (mut k, all) = kernel(12);
        k.without_btf();
        let init = k.at("init_task");
        // pid 2 is init_task's child too, and parent of half of the others
        let siblings: Vec<u64> = all.iter().map(|at| at + 64).collect();
        k.link(init + 48, &siblings[..2])
            .link(all[0] + 48, &siblings[2..7])
            .link(all[1] + 48, &siblings[7..]);
        k.word(init + 176, init);
        for (n, at) in all.iter().enumerate() {
            k.word(
                at + 176,
                match n {
                    0 | 1 => init,
                    2..7 => all[0],
                    _ => all[1],
                },
            );
        }
        let head = init + 32;
        // 1 stands for a head that points to itself
        let ends = ends.map(|end| if end == 1 { head } else { end });
        k.word(head, ends[0]).word(head + 8, ends[1]);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), (0..=12).collect::<Vec<i32>>(), "{ends:x?}");
        assert!(tasks.problems.iter().any(|e| matches!(e, KernelError::Damaged { .. })), "{ends:x?}");
        // the kernel's own count says that these are all
        assert_eq!((tasks.total, tasks.lack()), (Some(13), None), "{ends:x?}");
    }
}

#[test]
fn a_count_that_is_too_small_proves_no_list_whole() {
    for counted in [0, 3, 4] {
        let (mut k, all) = kernel(6);
        let at = k.at("nr_threads");
        k.set(all[3], "task_struct", "pid", 0).half(at, counted);
        let tasks = read_tasks(&session(&k));
        assert_eq!((pids(&tasks), tasks.total), (vec![0, 1, 2, 3, 5, 6], None), "{counted}");
        let lack = tasks.lack().unwrap();
        assert!(lack.starts_with("6 tasks are known, there may be more"), "{lack}");
    }
}

#[test]
fn a_count_that_no_machine_has_is_damage() {
    for counted in [u32::MAX, 0x8000_0007] {
        let (mut k, _) = kernel(6);
        let at = k.at("nr_threads");
        k.half(at, counted);
        let tasks = read_tasks(&session(&k));
        assert_eq!((tasks.all.len(), tasks.total), (7, None), "{counted}");
        assert!(tasks.lack().unwrap().contains(&format!("it says {counted}, and 6 tasks were found")));
    }
}

#[test]
fn a_name_without_an_end_is_no_tasks() {
    let (mut k, all) = kernel(6);
    k.word(all[3] + 8, u64::MAX).word(all[3] + 16, 0x4141_4141_4141_4141);
    let tasks = read_tasks(&session(&k));
    assert_eq!(pids(&tasks), [0, 1, 2, 3, 5, 6]);
    assert!(tasks.lack().unwrap().contains("its comm has no end"), "{:?}", tasks.lack());
}

#[test]
fn one_member_that_cannot_be_is_not_known_and_two_make_no_task() {
    for (members, told, count) in [
        (&[("stack", 0x1234_u64)][..], "its stack is 0x1234, which no task's is", 7),
        (&[("mm", 0x7fff_0000_1000)], "its mm is 0x7fff00001000", 7),
        (&[("cred", 3)], "its cred is 0x3", 7),
        (&[("signal", 0x41)], "its signal is 0x41", 7),
        (&[("stack", 0xffff_8880_0000_0008), ("cred", 3)], "it cannot be a task: its stack is", 6),
    ] {
        let (mut k, all) = kernel(6);
        for (n, name) in (0..).zip(["stack", "mm", "cred", "signal"]) {
            k.member("task_struct", (name, 176 + n * 8, "u64"));
        }
        for (name, value) in members {
            k.set(all[3], "task_struct", name, *value);
        }
        let tasks = read_tasks(&session(&k));
        assert_eq!(tasks.all.len(), count, "{told}");
        let problem = tasks.problems[0].to_string();
        assert!(problem.contains(told), "{problem}");
        if let Some(t) = tasks.at(VirtAddr(all[3])) {
            let lost = [t.stack, t.mm].iter().filter(|at| at.is_none()).count();
            assert_eq!(lost, usize::from(["stack", "mm"].contains(&members[0].0)), "{told}");
        }
    }
}

#[test]
fn an_address_space_of_more_than_all_addresses_has_no_size() {
    for (pages, fits) in [(1 << 34, true), (u64::MAX >> 4, false)] {
        let (mut k, all) = kernel(3);
        k.member("task_struct", ("mm", 176, "u64"));
        k.structure("mm_struct", 64, &[("total_vm", 0, "u64")]);
        let mm = k.object("mm_struct");
        k.set(mm, "mm_struct", "total_vm", pages).set(all[1], "task_struct", "mm", mm);
        let s = session(&k);
        let total = crate::mm::address_space::total(&s, s.tasks().at(VirtAddr(all[1])).unwrap());
        assert_eq!(total.as_ref().ok(), Some(&pages).filter(|_| fits));
        assert!(fits || total.unwrap_err().to_string().contains("more than there are addresses"));
    }
}

#[test]
fn one_id_of_two_tasks_and_too_many_tasks_are_told() {
    let (mut k, all) = kernel(6);
    k.set(all[3], "task_struct", "pid", 2);
    let told = read_tasks(&session(&k)).problems[0].to_string();
    assert!(told.contains("both have pid 2"), "{told}");
    let (mut k, _) = kernel(6);
    let counted = k.at("nr_threads");
    k.half(counted, 4);
    let told = read_tasks(&session(&k)).problems[0].to_string();
    assert!(told.contains("it says 4, and 6 tasks were found"), "{told}");
}

#[test]
fn a_list_that_ends_early_or_loops_is_told_and_walked_from_its_end() {
    for (next, word) in [(5_u64, "comes back"), (0, "is the last entry")] {
        let (mut k, all) = kernel(6);
        let init = k.at("init_task");
        let to = if next == 0 { init } else { all[1] };
        k.word(all[2] + 32, to + 32);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(tasks.lack(), None, "all are found");
        assert!(tasks.problems[0].to_string().contains(word), "{}", tasks.problems[0]);
    }
}

#[test]
fn without_run_queues_a_task_itself_says_that_it_ran() {
    let (mut k, all) = kernel(3);
    k.without("rq", "curr");
    for &at in &all {
        k.set(at, "task_struct", "on_cpu", 0);
    }
    let tasks = read_tasks(&session(&k));
    assert_eq!(tasks.unknown_cpus, [0]);
    assert_eq!(tasks.was_active(&tasks.all[1]), Some(false), "it says itself that it did not");
    // where the page that would say so is not known either, it is not known
    k.without("task_struct", "on_cpu");
    let tasks = read_tasks(&session(&k));
    assert_eq!(tasks.was_active(&tasks.all[1]), None);
}

/// An address space, a state: what no task can hold is not known, and is told; the task is one all the same.
#[test]
fn a_member_that_no_task_can_hold_is_not_known() {
    let spaces = |of: [(u64, u64); 6]| {
        let (mut k, all) = kernel(6);
        k.member("task_struct", ("mm", 200, "u64")).member("task_struct", ("active_mm", 208, "u64"));
        for (at, (mm, active)) in all.iter().zip(of) {
            k.word(at + 200, mm).word(at + 208, active);
        }
        // the last is of the kernel, and borrows
        k.set(all[5], "task_struct", "flags", crate::sched::task::PF_KTHREAD);
        (k, all)
    };
    let (one, other) = (0xffff_8880_0100_0000, 0xffff_8880_0200_0000);
    let sound = [(one, one), (one, one), (0, 0), (other, other), (other, other), (0, one)];
    let (k, _) = spaces(sound);
    let whole = read_tasks(&session(&k));
    assert_eq!(whole.problems.len(), 0, "{:?}", whole.problems);
    assert_eq!(whole.all[3].is_kernel(), Some(true), "a zombie has none");
    // who runs can use another one for a while: the firmware's, or one for patching code
    let mut of = sound;
    of[3].1 = one;
    let (mut k, all) = spaces(of);
    k.set(all[3], "task_struct", "on_cpu", 1);
    let tasks = read_tasks(&session(&k));
    assert!(tasks.problems.iter().all(|e| !e.to_string().contains("active_mm")), "{:?}", tasks.problems);
    for (mm, word) in [
        (0x1234, "its mm is 0x1234"),
        (one, "its mm is 0xffff888001000000 and its active_mm"),
        (0, "its mm is 0x0"),
    ] {
        let mut of = sound;
        of[3].0 = mm;
        let (k, all) = spaces(of);
        let s = session(&k);
        let tasks = s.tasks();
        let t = tasks.at(VirtAddr(all[3])).unwrap();
        assert_eq!((t.mm, t.is_kernel(), tasks.all.len()), (None, None, 7), "{word}");
        assert!(tasks.problems[0].to_string().contains(word), "{:?}", tasks.problems);
        let total = crate::mm::address_space::total(&s, t);
        assert!(total.is_err_and(|e| e.to_string().contains(word)), "{word}");
    }
    for (member, value) in [("__state", 0xdead), ("__state", 3), ("exit_state", 0x7000)] {
        let (mut k, all) = kernel(6);
        k.set(all[3], "task_struct", member, value);
        let s = session(&k);
        let t = s.tasks().at(VirtAddr(all[3])).unwrap();
        assert_eq!((s.task_states().letters(t), s.tasks().all.len()), (None, 7), "{member}");
        let told = s.tasks().problems[0].to_string();
        assert!(told.contains(&format!("its {member} is {value:#x}")), "{told}");
    }
}

#[test]
fn a_load_that_no_machine_has_is_damage() {
    let load = |of: [u64; 3]| {
        let mut k = Kernel::new();
        let at = k.variable("avenrun", 24);
        k.word(at, of[0]).word(at + 8, of[1]).word(at + 16, of[2]);
        crate::machine::system::load_average(&session(&k))
    };
    assert_eq!(load([2048, 1024, 0]).unwrap(), [100, 50, 0]);
    for wrong in [u64::MAX, 0x4141_4141_4141_4141, (4 << 20 << 11) + 4096] {
        assert!(load([2048, wrong, 0]).unwrap_err().to_string().contains("avenrun"), "{wrong:#x}");
    }
}
