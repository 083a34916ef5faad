//! Who has a lock and who waits for it, on locks and stacks that are made.

use super::*;
use crate::stack::stacks::task_stack;
use crate::testing::session;
use testkit::kernel::Kernel;

/// A mutex that task 1 has and tasks 2 and 3 wait for, a rw-semaphore that readers have and task 2 waits for; the kernel, its
/// tasks, stacks and both locks.
struct Made {
    k: Kernel,
    tasks: Vec<u64>,
    stacks: Vec<u64>,
    mutex: u64,
    semaphore: u64,
}

/// Where the waiters of the mutex and of the semaphore are on their stacks.
const WAITERS: [u64; 2] = [0x200, 0x300];

fn made() -> Made {
    let mut k = Kernel::new();
    let (tasks, stacks) = k.old_tasks(3);
    k.structure("mutex", 32, &[("owner", 0, "u64"), ("wait_list", 16, "list_head")]);
    k.structure(
        "rw_semaphore",
        40,
        &[("count", 0, "u64"), ("owner", 8, "u64"), ("wait_list", 24, "list_head")],
    );
    for name in ["mutex_waiter", "rwsem_waiter"] {
        k.structure(name, 40, &[("list", 0, "list_head"), ("task", 16, "*task_struct")]);
    }
    // each lock in a page of its own
    let (mutex, semaphore) = (k.variable("a_mutex", 4096), k.variable("a_semaphore", 4096));
    let [own, of_semaphore] = WAITERS;
    for n in [1, 2] {
        k.word(stacks[n] + own + 16, tasks[n]);
    }
    k.word(stacks[1] + of_semaphore + 16, tasks[1]);
    k.link(mutex + 16, &[stacks[1] + own, stacks[2] + own]).word(mutex, tasks[0] | 1);
    k.link(semaphore + 24, &[stacks[1] + of_semaphore]).word(semaphore + 8, tasks[0] | 1);
    Made { k, tasks, stacks, mutex, semaphore }
}

impl Made {
    /// The lock whose list leads to task `n` from this place on its stack, and the pid of who has it.
    fn listed(&self, n: usize, from: u64, kind: Kind) -> Option<(u64, Option<i32>)> {
        let s = session(&self.k);
        let task = s.tasks().at(VirtAddr(self.tasks[n]))?;
        let lock = listed(&s, &task_stack(&s, task), VirtAddr(self.stacks[n] + from), kind, task).ok()?;
        Some((lock.0, owner(&s, kind, lock)?.task.map(|t| t.pid)))
    }
    /// Who has the mutex: pid, whether readers do.
    fn owner(&self, kind: Kind, at: u64) -> Option<(Option<i32>, bool)> {
        let s = session(&self.k);
        owner(&s, kind, VirtAddr(at)).map(|o| (o.task.map(|t| t.pid), o.readers))
    }
}

#[test]
fn a_waiter_on_a_stack_leads_to_the_lock_and_its_owner() {
    let made = made();
    for n in [1, 2] {
        assert_eq!(made.listed(n, 0x100, Kind::Mutex), Some((made.mutex, Some(1))), "task {n}");
    }
    assert_eq!(made.listed(1, 0x280, Kind::RwSemaphore), Some((made.semaphore, Some(1))));
    assert_eq!(made.listed(2, 0x280, Kind::RwSemaphore), None, "it waits for none");
    assert_eq!(made.listed(0, 0x100, Kind::Mutex), None, "it waits for none");
}

#[test]
fn an_owner_is_a_task_or_nobody() {
    let mut made = made();
    let (mutex, semaphore) = (made.mutex, made.semaphore);
    assert_eq!(made.owner(Kind::Mutex, mutex), Some((Some(1), false)), "its low bits are flags");
    assert_eq!(made.owner(Kind::RwSemaphore, semaphore), Some((Some(1), true)));
    made.k.word(mutex, 0);
    assert_eq!(made.owner(Kind::Mutex, mutex), Some((None, false)), "nobody has it");
    let says_nobody = |k: &Kernel| owner(&session(k), Kind::Mutex, VirtAddr(mutex)).unwrap().nobody;
    made.k.word(mutex, 1);
    assert!(says_nobody(&made.k), "flags alone");
    // until 4.10 the owner was for who spins, and the count said whether it is taken
    made.k.member("mutex", ("count", 8, "u32"));
    assert!(!says_nobody(&made.k));
    let nobody = made.stacks[0];
    made.k.word(mutex, nobody).word(semaphore + 8, nobody | 1);
    assert_eq!(made.owner(Kind::Mutex, mutex), None, "what is owned by no task is no mutex");
    assert_eq!(made.owner(Kind::RwSemaphore, semaphore), Some((None, true)), "the reader has gone");
    assert_eq!(made.owner(Kind::Mutex, mutex + 4), None, "no lock begins there");
}

#[test]
fn a_lock_that_is_not_in_the_dump_has_no_owner() {
    let mut made = made();
    let (mutex, semaphore) = (made.mutex, made.semaphore);
    made.k.exclude(mutex).exclude(semaphore);
    assert_eq!((made.owner(Kind::Mutex, mutex), made.listed(1, 0x100, Kind::Mutex)), (None, None));
}

/// Dumps without types: the layout whose list of waiters holds together.
#[test]
fn layouts_are_told_by_the_lists_that_fit() {
    let mut made = made();
    made.k.without_btf();
    let s = session(&made.k);
    for (kind, at) in [(Kind::Mutex, made.mutex), (Kind::RwSemaphore, made.semaphore)] {
        let layouts = if kind == Kind::Mutex { MUTEXES.to_vec() } else { SEMAPHORES.to_vec() };
        let fits: Vec<u64> = layouts
            .iter()
            .filter(|l| owner_by(&s, kind, VirtAddr(at), **l).is_some())
            .map(|l| l.list)
            .collect();
        let list = if kind == Kind::Mutex { 16 } else { 24 };
        assert!(fits.contains(&list), "{kind:?}: {fits:?}");
    }
}
