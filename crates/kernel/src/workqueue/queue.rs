//! Workqueues, and what each has in the pools that do its works (kernel/workqueue.c).

use super::pool::{self, Work, Worker};
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct workqueue_struct`
    struct WorkqueueStruct("workqueue_struct") {
        list: "list",
        pwqs: "pwqs",
        name: "name",
        flags: "flags",
        most: "max_active" | "saved_max_active", // 6.9 (a045a272d887)
        rescuer: "rescuer",
    }
}
bind! {
    /// `struct pool_workqueue`
    pub(super) struct Pwq("pool_workqueue") {
        pool: "pool",
        queue: "wq",
        node: "pwqs_node",
        active: "nr_active",
        in_flight: "nr_in_flight",
        inactive: "inactive_works" | "delayed_works", // 5.15 (f97a4a1a3f87)
        cursor: "mayday_cursor",
    }
}

/// More colours of works than any kernel has.
const MAX_COLOURS: u64 = 64;

/// What a workqueue has in a pool.
#[derive(Clone, Debug)]
pub struct Share {
    /// The `pool_workqueue`.
    pub at: VirtAddr,
    /// The `worker_pool`.
    pub pool: Result<VirtAddr>,
    /// How many works run or wait for a worker.
    pub active: Result<u64>,
    /// How many were given and are not done.
    pub in_flight: Result<u64>,
    /// Works that wait until fewer are active.
    pub inactive: Vec<Work>,
}

/// A workqueue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The `workqueue_struct`.
    pub at: VirtAddr,
    /// Its name.
    pub name: Result<String>,
    /// Its flags.
    pub flags: Result<u64>,
    /// How many works may be active in a pool.
    pub most: Result<u64>,
    /// Its rescuer; none where it has none.
    pub rescuer: Result<Option<Worker>>,
    /// What it has in pools.
    pub shares: Vec<Share>,
    /// Why it may have more.
    pub problems: Vec<KernelError>,
}

/// The workqueues.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    /// In the kernel's order.
    pub all: Vec<Queue>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// All workqueues.
///
/// # Errors
/// The kernel's symbols or types do not know them.
pub fn queues(s: &Session) -> Result<Queues> {
    let b = s.bind::<WorkqueueStruct>();
    b.pwqs.offset()?;
    let head = s.need_symbol("workqueues")?;
    let mut all = Vec::new();
    let problems = both_ways(s.mem(), head, &mut |node| {
        all.push(queue(s, b.list.container(node)?));
        Ok(())
    });
    Ok(Queues { all, problems })
}

fn queue(s: &Session, at: VirtAddr) -> Queue {
    let (b, p, mem) = (s.bind::<WorkqueueStruct>(), s.bind::<Pwq>(), s.mem());
    let (mut shares, mut problems) = (Vec::new(), Vec::new());
    match b.pwqs.at(at) {
        Ok(head) => {
            let mut own = Vec::new();
            let found = both_ways(mem, head, &mut |node| {
                let pwq = p.node.container(node)?;
                let of = p.queue.ptr(mem, pwq)?;
                if of != at {
                    let why = format!("it is of the workqueue at {at:#x}, and says {of:#x}");
                    return Err(KernelError::Damaged { what: "pool_workqueue", at: pwq, why });
                }
                shares.push(share(s, pwq, at, &mut own));
                Ok(())
            });
            problems.extend(found);
            problems.extend(own);
        }
        Err(e) => problems.push(e),
    }
    let rescuer = b
        .rescuer
        .ptr(mem, at)
        .map(|worker| (!worker.is_null()).then(|| pool::worker(s, worker, &mut problems)));
    Queue {
        at,
        name: name(s, at),
        flags: b.flags.num(mem, at).map(|flags| flags & 0xffff_ffff),
        most: b.most.num(mem, at).map(|most| most & 0xffff_ffff),
        rescuer,
        shares,
        problems,
    }
}

fn share(s: &Session, at: VirtAddr, queue: VirtAddr, problems: &mut Vec<KernelError>) -> Share {
    let (b, mem) = (s.bind::<Pwq>(), s.mem());
    let mut inactive = Vec::new();
    match b.inactive.at(at) {
        Ok(head) => {
            let (works, found) = pool::works(s, head, &|_| Ok(Some(queue)));
            inactive = works;
            problems.extend(found);
        }
        Err(e) => problems.push(e),
    }
    let in_flight = || {
        let (first, count) = (b.in_flight.at(at)?, b.in_flight.size()? / 4);
        (0..count.min(MAX_COLOURS))
            .try_fold(0_u64, |sum, n| Ok(sum.saturating_add(u64::from(mem.u32(first.add(n * 4))?))))
    };
    Share {
        at,
        pool: b.pool.ptr(mem, at),
        active: b.active.num(mem, at).map(|active| active & 0xffff_ffff),
        in_flight: in_flight(),
        inactive,
    }
}

/// The name of the workqueue at an address.
///
/// # Errors
/// The types do not know it, it is not in the dump, or there is no name.
pub fn name(s: &Session, at: VirtAddr) -> Result<String> {
    let name = s.bind::<WorkqueueStruct>().name.text(s.mem(), at)?;
    if name.is_empty() || name.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
        let why = "what should be its name is none".to_owned();
        return Err(KernelError::Damaged { what: "workqueue_struct", at, why });
    }
    Ok(name)
}

/// The `workqueue_struct` of a `pool_workqueue`.
pub(super) fn of_pwq(s: &Session, pwq: VirtAddr) -> Result<VirtAddr> {
    s.bind::<Pwq>().queue.ptr(s.mem(), pwq)
}
