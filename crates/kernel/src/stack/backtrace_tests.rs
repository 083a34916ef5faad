//! Where backtraces begin for tasks that do not run. Those of CPUs are in `registers_tests.rs`.

use super::*;
use crate::testing::session;
use testkit::kernel::Kernel;

/// Bytes of a task's stack.
const STACK: u64 = 16384;
/// What the outermost frame leaves at a stack's end: the registers of user mode, and a word.
const TOP: u64 = 176;

/// A call at the start of `from`: the return address.
fn call(k: &mut Kernel, from: u64, to: u64) -> u64 {
    let back = from + 5;
    let far = u32::try_from(to.wrapping_sub(back) & u64::from(u32::MAX)).unwrap();
    k.put(from, &[0xe8]).put(from + 1, &far.to_le_bytes());
    back
}

/// A kernel with two processes. The first sleeps in `outer`, by way of `schedule`; its stack pointer is in a page of its own,
/// which comes back with the return addresses.
fn asleep() -> (Kernel, u64, [u64; 3]) {
    let mut k = Kernel::new();
    k.structure("thread_struct", 16, &[("sp", 8, "u64")]);
    k.union("thread_union", STACK, &[("stack", 0, "u64[2048]")]);
    let (tasks, stacks) = k.tasks(2, STACK, 8192, &[("thread", 4096, "thread_struct")]);
    let names = [
        ("__switch_to_asm", 0x100),
        ("__schedule", 0x200),
        ("schedule", 0x300),
        ("outer", 0x400),
        ("end", 0x500),
    ];
    let [switch, inner, schedule, outer, _] = names.map(|(name, at)| k.function(name, at));
    let back = [call(&mut k, inner, switch), call(&mut k, schedule, inner), call(&mut k, outer, schedule)];
    let top = stacks[0] + STACK - TOP;
    k.word(top - 24, back[0]).word(top - 16, back[1]).word(top - 8, back[2]);
    // below them are six registers that the switch saved
    k.set(tasks[0], "task_struct", "thread.sp", top - 24 - 48);
    (k, tasks[0] + 4096, back)
}

fn task(s: &Session, pid: i32) -> &Task {
    s.tasks().all.iter().find(|task| task.pid == pid).unwrap()
}

/// Where the frames of a task begin, and their program counters.
fn found(k: &Kernel, pid: i32) -> (Start, Vec<u64>, StopReason) {
    let s = session(k);
    let bt = s.backtrace(task(&s, pid));
    (bt.start, bt.unwound.frames.iter().map(|f| f.pc.0).collect(), bt.unwound.stopped)
}

#[test]
fn a_task_that_sleeps_begins_at_what_the_switch_saved() {
    let (k, _, back) = asleep();
    let (start, frames, stopped) = found(&k, 1);
    assert_eq!((start, frames), (Start::Switch, back.to_vec()));
    assert!(stopped.is_end(), "{stopped:?}");
    // nothing was saved of the other
    let (start, frames, stopped) = found(&k, 2);
    assert_eq!((start, frames.len()), (Start::Nowhere, 0));
    assert!(matches!(stopped, StopReason::Fault(_) | StopReason::NothingFound), "{stopped:?}");
}

#[test]
fn where_the_stack_pointer_is_lost_the_call_that_switched_is_looked_for() {
    let (mut k, thread, back) = asleep();
    k.exclude(thread);
    let (start, frames, _) = found(&k, 1);
    assert_eq!((start, frames), (Start::SwitchCall, back.to_vec()));
    // of two such calls the outermost counts: the other is of an earlier, deeper sleep
    let s = session(&k);
    let stack = task(&s, 1).stack.unwrap().0;
    let lower = stack + STACK - TOP - 0x400;
    k.word(lower, back[0]).word(lower + 8, back[1]).word(lower + 16, back[2]);
    assert_eq!(found(&k, 1).1, back);
    // without the call there is nothing to begin at, and the reason is what is lost
    k.word(stack + STACK - TOP - 24, 0).word(lower, 0);
    let (start, frames, stopped) = found(&k, 1);
    assert_eq!((start, frames.len()), (Start::Nowhere, 0));
    assert!(matches!(stopped, StopReason::Fault(fault) if fault.is_missing()), "{stopped:?}");
}

#[test]
fn a_dead_task_without_a_stack_has_no_frames() {
    let (mut k, _, _) = asleep();
    let at = task(&session(&k), 1).at.0;
    k.set(at, "task_struct", "exit_state", 32).set(at, "task_struct", "stack", 0);
    let (start, frames, stopped) = found(&k, 1);
    assert_eq!((start, frames.len(), stopped), (Start::Nowhere, 0, StopReason::NoStart));
}

#[test]
fn frames_from_any_place_on_a_task_s_stack() {
    let (k, _, back) = asleep();
    let s = session(&k);
    let task = task(&s, 1);
    let top = task.stack.unwrap().add(STACK - TOP);
    let bt = s.backtrace_from(task, VirtAddr(back[1]), top.sub(8));
    assert_eq!(bt.unwound.frames.iter().map(|f| f.pc.0).collect::<Vec<_>>(), back[1..]);
}

#[test]
fn words_of_code_on_a_stack_that_lacks_a_page() {
    let (mut k, _, back) = asleep();
    let stack = task(&session(&k), 1).stack.unwrap();
    k.exclude(stack.0 + STACK - 4096).word(stack.0 + 8, back[0]);
    let s = session(&k);
    let code = SessionCode::new(&s, None);
    let stacks = [Stack { name: String::new(), start: stack, end: stack.add(STACK) }];
    let u = Unwinder { arch: s.arch(), code: &code, mem: s.mem(), stacks: &stacks };
    let start = VirtAddr(k.at("__schedule"));
    // the address of the function itself is no return address of it, that of its end is one
    assert_eq!(
        return_addresses(&u, &stacks[0], start, VirtAddr(back[0])),
        [(stack.add(8), VirtAddr(back[0]))]
    );
    assert!(return_addresses(&u, &stacks[0], VirtAddr(back[0]), VirtAddr(u64::MAX)).is_empty());
    assert_eq!(unread(s.mem(), &stacks[0]).map(|fault| fault.at), Some(stack.add(STACK - 4096)));
}

/// What the frames of a task lack.
fn lack(k: &Kernel, pid: i32) -> Option<String> {
    let s = session(k);
    let bt = s.backtrace(task(&s, pid));
    bt.lack(&s)
}

#[test]
fn frames_that_end_early_lack_something_and_those_at_the_end_do_not() {
    let (k, thread, back) = asleep();
    assert_eq!(lack(&k, 1), None);
    let s = session(&k);
    let stack = task(&s, 1).stack.unwrap();
    let top = stack.add(STACK - TOP);
    // where nothing on the stack leads on, and its end is far
    let mut early = k.clone();
    let far = stack.add(0x1000);
    early.word(thread + 8, far.0 - 48).word(far.0, back[0]).word(top.0 - 24, 0).word(top.0 - 16, 0);
    early.word(top.0 - 8, 0);
    let why = lack(&early, 1).unwrap();
    assert!(why.contains("no further return address"), "{why}");
    // the page that holds the frames is lost
    let mut lost = k.clone();
    lost.exclude(top.0 - 24);
    assert!(lack(&lost, 1).unwrap().contains("excluded"), "{:?}", lack(&lost, 1));
    // of frames from a place that somebody names nobody promised an end
    let asked = s.backtrace_from(task(&s, 1), VirtAddr(back[1]), stack.add(0x2000));
    assert!(asked.start == Start::Asked && asked.lack(&s).is_none());
    // a dead task has no stack
    let mut dead = k.clone();
    let at = task(&s, 1).at.0;
    dead.set(at, "task_struct", "exit_state", 32).set(at, "task_struct", "stack", 0);
    assert_eq!(lack(&dead, 1), None);
}
