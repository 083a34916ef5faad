//! Tasks beside those that are known: the neighbours of one in the list of all processes, its leader, its parent. They are asked
//! where the list cannot be walked from `init_task`.
//!
//! **Invariant:** what is found proves itself. A task that died keeps pointers to those that were beside it, and memory that
//! was given back keeps all of them; so its neighbours in the list must lead back to it, and the `struct pid` by which the
//! kernel finds it must too.

use super::find::Find;
use super::ids::{own_number, own_pid};
use crate::sched::task::{TaskStruct, read_task};
use crate::session::Session;
use base::VirtAddr;

/// Where `struct list_head` has its two pointers.
const NEXT: u64 = 0;
const PREV: u64 = 8;

impl Find<'_> {
    /// Adds those that stand beside a task and prove themselves.
    pub(super) fn beside(&mut self, of: VirtAddr) {
        let (mem, b) = (self.s.mem(), self.s.bind::<TaskStruct>());
        let Ok(node) = b.tasks.at(of) else { return };
        let mut found = Vec::new();
        for (way, back) in [(NEXT, PREV), (PREV, NEXT)] {
            let Ok(neighbour) = mem.ptr(node.add(way)) else { continue };
            if mem.ptr(neighbour.add(back)) == Ok(node) {
                found.extend(b.tasks.container(neighbour));
            }
        }
        found.extend(b.group_leader.ptr(mem, of));
        found.extend(b.real_parent.ptr(mem, of));
        for at in found {
            self.add_proven(at);
        }
    }

    /// Adds a task that proves itself.
    pub(super) fn add_proven(&mut self, at: VirtAddr) {
        if !self.is_known(at) && is_proven(self.s, at) {
            let _ = self.add_listed(at);
        }
    }
}

/// True for a `task_struct` that is in use: what it holds can be, its neighbours in the list of all processes lead back to it,
/// and so does its `struct pid`, or at least its process has the same one.
fn is_proven(s: &Session, at: VirtAddr) -> bool {
    let (mem, b) = (s.mem(), s.bind::<TaskStruct>());
    let Ok(task) = read_task(s, at) else { return false };
    if task.pid <= 0 || task.tgid <= 0 || task.wrong.is_some() {
        return false;
    }
    // only leaders are on that list
    if task.is_leader() {
        let Ok(node) = b.tasks.at(at) else { return false };
        // the list's own head may be what is damaged
        let head = s.symbol("init_task").and_then(|at| b.tasks.at(at).ok());
        let led_back = [(NEXT, PREV), (PREV, NEXT)].map(|(way, back)| {
            let neighbour = mem.ptr(node.add(way)).ok().filter(|at| Some(*at) != head)?;
            mem.ptr(neighbour.add(back)).ok().map(|own| own == node)
        });
        if led_back.contains(&Some(false)) || !led_back.contains(&Some(true)) {
            return false;
        }
    }
    match own_number(s, at) {
        Some((_, number)) => number == task.pid,
        // its page may be lost: who is none any more has none
        None => own_pid(s, at).is_some_and(|(pid, is_lost)| is_lost && of_process(s, at) == Some(pid)),
    }
}

/// The `struct pid` that a leader's process has as its own.
fn of_process(s: &Session, leader: VirtAddr) -> Option<VirtAddr> {
    super::ids::of_signal(s, leader, "PIDTYPE_TGID")
}

#[cfg(test)]
mod tests {
    use crate::sched::tasks::read_tasks;
    use crate::sched::tasks::tests::{kernel, pids};
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A kernel whose tasks have each a `struct pid` that leads back, and those `struct pid`s. `init_task` leads nowhere, no tree
    /// of pids is known, and the CPU runs the second task.
    fn without_first(count: u32) -> (Kernel, Vec<u64>, Vec<u64>) {
        let (mut k, all) = kernel(count);
        for member in [
            ("thread_pid", 176, "*void"),
            ("signal", 184, "*void"),
            ("group_leader", 192, "*void"),
            ("real_parent", 200, "*void"),
        ] {
            k.member("task_struct", member);
        }
        k.structure("upid", 16, &[("nr", 0, "s32"), ("ns", 8, "*void")]);
        k.structure("pid", 4096, &[("tasks", 0, "hlist_head[4]"), ("numbers", 32, "upid[1]")]);
        k.structure("signal_struct", 4096, &[("pids", 0, "u64[4]")]);
        k.enumeration("pid_type", &[("PIDTYPE_PID", 0), ("PIDTYPE_TGID", 1)]);
        let mut own = Vec::new();
        for (n, &at) in (1..).zip(&all) {
            let (pid, signal) = (k.object("pid"), k.object("signal_struct"));
            k.word(pid, at + 96).half(pid + 32, n);
            k.word(signal + 8, pid);
            k.set(at, "task_struct", "thread_pid", pid).set(at, "task_struct", "signal", signal);
            k.set(at, "task_struct", "group_leader", at).set(at, "task_struct", "real_parent", all[0]);
            // no children lead to others
            k.link(at + 48, &[]);
            own.push(pid);
        }
        let init = k.at("init_task");
        k.link(init + 48, &[]);
        lead_nowhere(&mut k);
        (k, all, own)
    }

    fn lead_nowhere(k: &mut Kernel) {
        let head = k.at("init_task") + 32;
        k.word(head, 0).word(head + 8, 0);
    }

    #[test]
    fn neighbours_lead_to_all_where_the_first_task_is_lost() {
        let (k, ..) = without_first(6);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 1, 2, 3, 4, 5, 6]);
        assert!(!tasks.problems.is_empty() && tasks.lack().is_none(), "{:?}", tasks.problems);
    }

    #[test]
    fn a_task_whose_number_is_lost_is_that_of_its_process() {
        let (mut k, _, own) = without_first(6);
        k.exclude(own[3]);
        let found = pids(&read_tasks(&session(&k)));
        assert!(found.contains(&4), "{found:?}");
    }

    /// The task that runs has died: it is in no list any more, and what it points to is of the past.
    #[test]
    fn beside_a_dead_task_only_those_are_found_that_prove_themselves() {
        let (mut k, all, own) = without_first(6);
        let dead = all[1];
        // what the list leads past, with what `list_del_rcu` and `detach_pid` leave of it
        let links: Vec<u64> = [0, 2, 3, 4, 5].map(|n: usize| all[n] + 32).to_vec();
        k.link(k.at("init_task") + 32, &links);
        lead_nowhere(&mut k);
        k.word(dead + 32, all[2] + 32).word(dead + 40, 0xdead_0000_0000_0122);
        k.set(dead, "task_struct", "thread_pid", 0).set(dead, "task_struct", "exit_state", 16);
        k.word(own[1], 0);
        let tasks = read_tasks(&session(&k));
        // its leader is itself, its parent lives and has neighbours
        assert_eq!(pids(&tasks), [0, 1, 2, 3, 4, 5, 6]);
        // with no way but its stale neighbour nobody is found beside it
        k.set(dead, "task_struct", "real_parent", 0);
        let tasks = read_tasks(&session(&k));
        assert_eq!(pids(&tasks), [0, 2], "{tasks:?}");
        assert!(tasks.lack().is_some());
    }

    /// Memory that was a task and is one no more: its neighbours have gone on without it, or its number is another's.
    #[test]
    fn what_was_a_task_proves_nothing() {
        for wrong in 0..3 {
            let (mut k, all, own) = without_first(6);
            let parent = k.object("task_struct");
            k.set(parent, "task_struct", "pid", 77).set(parent, "task_struct", "tgid", 77);
            k.set_text(parent, "task_struct", "comm", "gone");
            k.set(parent, "task_struct", "thread_pid", own[4]);
            k.word(parent + 32, all[3] + 32).word(parent + 40, all[2] + 32);
            match wrong {
                0 => {}
                1 => {
                    k.set(parent, "task_struct", "thread_pid", 0).link(parent + 32, &[]);
                }
                _ => {
                    k.set(parent, "task_struct", "pid", u64::MAX - 6);
                }
            }
            k.set(all[1], "task_struct", "real_parent", parent);
            let found = pids(&read_tasks(&session(&k)));
            assert_eq!(found, [0, 1, 2, 3, 4, 5, 6], "{wrong}");
        }
    }
}
