//! What waits to run: the queues of each CPU, by the classes of the scheduler.
//!
//! Sources: kernel/sched/sched.h (`rq`, `cfs_rq`, `rt_rq`, `dl_rq`, `scx_rq`), kernel/sched/fair.c, rt.c, deadline.c, ext.c,
//! include/linux/sched.h (the entities in a task). The fair class keeps its tasks in a tree without the one that runs; until
//! 6.6 by virtual run time, since then by deadline (147f3efaa241). A task that slept with lag left stays in it (`sched_delayed`,
//! 6.12, 152e11f6df29). A group stands in the tree of its parent with an entity of its own, whose `my_q` is the group's queue.
//!
//! **Invariant:** an entity is told as a task only where a `task_struct` is around it.

use crate::containers::list::both_ways;
use crate::containers::rbtree::{self, Layout, Order, RbNode};
use crate::error::{KernelError, Result};
use crate::sched::task::{self, Task};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct rq`, the parts of each class
    struct ClassQueues("rq") {
        cfs: "cfs",
        rt: "rt",
        dl: "dl",
        runnable: "scx.runnable_list", // 6.12 (f0e1a0643a59)
    }
}
bind! {
    /// `struct cfs_rq`
    struct CfsRq("cfs_rq") {
        root: "tasks_timeline.rb_root.rb_node" | "tasks_timeline.rb_node", // 4.14 (bfb068892d30)
        timeline: "tasks_timeline",
        curr: "curr",
        throttled: "throttled",
        limbo: "throttled_limbo_list", // 6.18 (2cd571245b43)
    }
}
bind! {
    /// `struct sched_entity`
    struct SchedEntity("sched_entity") {
        node: "run_node",
        own: "my_q",
        queue: "cfs_rq",
        delayed: "sched_delayed", // 6.12 (152e11f6df29)
    }
}
bind! {
    /// `struct rt_rq`
    struct RtRq("rt_rq") { active: "active", group: "tg", throttled: "rt_throttled" }
}
bind! {
    /// `struct rt_prio_array`
    struct RtPrioArray("rt_prio_array") { queue: "queue" }
}
bind! {
    /// `struct sched_rt_entity`
    struct RtEntity("sched_rt_entity") { link: "run_list", own: "my_q" }
}
bind! {
    /// `struct dl_rq`
    struct DlRq("dl_rq") {
        root: "root.rb_root.rb_node" | "root.rb_node" | "rb_root.rb_node", // 4.14 (2161573ecd69)
        tree: "root" | "rb_root",
    }
}
bind! {
    /// `struct sched_dl_entity`
    struct DlEntity("sched_dl_entity") {
        node: "rb_node",
        server: "dl_server", // 6.8 (63ba8422f876)
    }
}
bind! {
    /// `task_struct`, its entities
    struct Entities("task_struct") {
        se: "se",
        rt: "rt",
        dl: "dl",
        runnable: "scx.runnable_node",
        limbo: "throttle_node",
    }
}

/// What stands in a queue, in the order in which it runs, and why there may be more.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    /// What stands in it.
    pub all: Vec<T>,
    /// What could not be read; what lies beside it is there all the same.
    pub problems: Vec<KernelError>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { all: Vec::new(), problems: Vec::new() }
    }
}

/// What an entity in a queue is of.
#[derive(Clone, Debug)]
pub enum Of {
    /// A task.
    Task(Box<Task>),
    /// A group, whose own queue is at this address.
    Group(VirtAddr),
    /// Time that the deadline class keeps for another class.
    Server,
}

/// Something in a queue.
#[derive(Clone, Debug)]
pub struct Queued {
    /// The entity: `sched_entity`, `sched_rt_entity`, `sched_dl_entity`.
    pub at: VirtAddr,
    /// What it is of.
    pub of: Of,
    /// In a queue of real-time tasks: which of the lists it stands in.
    pub level: Option<u32>,
    /// A task that sleeps, and stays queued until it has given back what it ran too long.
    pub is_delayed: bool,
    /// The fair queue that a task is of; it is in another one's tree where queues are flat.
    pub own_queue: Option<VirtAddr>,
}

/// The queues of a CPU.
#[derive(Clone, Debug)]
pub struct CpuQueues {
    /// `struct rq`
    pub at: VirtAddr,
    /// `rq.rt`
    pub rt: Result<VirtAddr>,
    /// `rq.cfs`
    pub fair: Result<VirtAddr>,
    /// `rq.dl`; none in a kernel without that class (until 3.14).
    pub deadline: Option<VirtAddr>,
    /// `rq.scx.runnable_list`; none in a kernel without that class.
    pub runnable: Option<VirtAddr>,
}

/// The queues of a CPU.
///
/// # Errors
/// The kernel's symbols or types do not know them.
pub fn of_cpu(s: &Session, cpu: u32) -> Result<CpuQueues> {
    let at = s.per_cpu("runqueues", cpu)?;
    let b = s.bind::<ClassQueues>();
    Ok(CpuQueues {
        at,
        rt: b.rt.at(at),
        fair: b.cfs.at(at),
        deadline: b.dl.at(at).ok(),
        runnable: b.runnable.at(at).ok(),
    })
}

/// A task's priority as the scheduler has it now: 0 to 99 for real-time ones, 100 to 139 for others, -1 for deadlines.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn priority(s: &Session, task: &Task) -> Result<i32> {
    s.bind::<task::TaskStruct>().prio.i32(s.mem(), task.at)
}

/// Where the tree of a fair queue has its root, and where the lists of a real-time queue begin: what crash shows of them.
///
/// # Errors
/// The types do not know it.
pub fn fair_tree(s: &Session, queue: VirtAddr) -> Result<VirtAddr> {
    s.bind::<CfsRq>().timeline.at(queue)
}

/// The lists of a real-time queue.
///
/// # Errors
/// The types do not know them.
pub fn realtime_lists(s: &Session, queue: VirtAddr) -> Result<VirtAddr> {
    s.bind::<RtRq>().active.at(queue)
}

/// The tree of a deadline queue.
///
/// # Errors
/// The types do not know it.
pub fn deadline_tree(s: &Session, queue: VirtAddr) -> Result<VirtAddr> {
    s.bind::<DlRq>().tree.at(queue)
}

/// True for a fair queue that used up its share of time; an error where the kernel has no such limit.
///
/// # Errors
/// It is not in the dump, or the kernel has no such limit.
pub fn is_fair_throttled(s: &Session, queue: VirtAddr) -> Result<bool> {
    s.bind::<CfsRq>().throttled.num(s.mem(), queue).map(|flag| flag != 0)
}

/// The same of a real-time queue.
///
/// # Errors
/// It is not in the dump, or the kernel has no such limit.
pub fn is_realtime_throttled(s: &Session, queue: VirtAddr) -> Result<bool> {
    s.bind::<RtRq>().throttled.num(s.mem(), queue).map(|flag| flag != 0)
}

/// The task around an entity, `offset` bytes in its `task_struct`.
fn task_around(s: &Session, entity: VirtAddr, offset: u64) -> Result<Box<Task>> {
    let at = entity.sub(offset);
    match s.tasks().at(at) {
        Some(known) => Ok(Box::new(known.clone())),
        // a list of tasks that is not whole may lack it
        None => task::read_task(s, at).map(Box::new),
    }
}

/// What an entity of the fair class is of.
fn fair_entity(s: &Session, at: VirtAddr) -> Result<Queued> {
    let (mem, b) = (s.mem(), s.bind::<SchedEntity>());
    let own = if b.own.exists() { b.own.ptr(mem, at)? } else { VirtAddr(0) };
    let is_delayed = b.delayed.exists() && b.delayed.num(mem, at)? != 0;
    let own_queue = if b.queue.exists() { Some(b.queue.ptr(mem, at)?) } else { None };
    let of = match own.is_null() {
        true => Of::Task(task_around(s, at, s.bind::<Entities>().se.offset()?)?),
        false => Of::Group(own),
    };
    Ok(Queued { at, of, level: None, is_delayed, own_queue })
}

/// What waits in a fair queue, what would run first leading; the one that runs is not among it.
///
/// # Errors
/// The queue is not in the dump, or the types do not know it.
pub fn fair(s: &Session, queue: VirtAddr) -> Result<Queue<Queued>> {
    let (b, entity) = (s.bind::<CfsRq>(), s.bind::<SchedEntity>());
    let root = b.root.ptr(s.mem(), queue)?;
    let offset = entity.node.offset()?;
    let mut out = in_tree(s, root, |node| fair_entity(s, node.sub(offset)));
    if b.limbo.exists() {
        limbo(s, b.limbo.at(queue)?, &mut out)?;
    }
    Ok(out)
}

/// Tasks of a queue without time left, which were taken out of its tree.
fn limbo(s: &Session, head: VirtAddr, out: &mut Queue<Queued>) -> Result<()> {
    let b = s.bind::<Entities>();
    let (link, se) = (b.limbo.offset()?, b.se.offset()?);
    // a queue of a CPU that never had one is all zeros
    if s.mem().ptr(head)?.is_null() {
        return Ok(());
    }
    let mut all = Vec::new();
    let problems = both_ways(s.mem(), head, &mut |node| {
        let task = task_around(s, node, link)?;
        let at = task.at.add(se);
        all.push(Queued { at, of: Of::Task(task), level: None, is_delayed: false, own_queue: None });
        Ok(())
    });
    out.all.extend(all);
    out.problems.extend(problems);
    Ok(())
}

/// What runs of a fair queue: a task, or the group that the task that runs is in; none where nothing of it runs.
///
/// # Errors
/// The queue is not in the dump, or the types do not know it.
pub fn fair_current(s: &Session, queue: VirtAddr) -> Result<Option<Queued>> {
    let at = s.bind::<CfsRq>().curr.ptr(s.mem(), queue)?;
    if at.is_null() { Ok(None) } else { fair_entity(s, at).map(Some) }
}

/// What is in a tree, ascending.
fn in_tree(s: &Session, root: VirtAddr, mut read: impl FnMut(VirtAddr) -> Result<Queued>) -> Queue<Queued> {
    let nodes = rbtree::nodes(s.mem(), Layout::of(&s.bind::<RbNode>()), root, Order::Linear);
    let mut out = Queue { all: Vec::new(), problems: nodes.problems };
    for node in nodes.all {
        match read(node.at) {
            Ok(queued) => out.all.push(queued),
            Err(e) => out.problems.push(e),
        }
    }
    out
}

/// Lists of a real-time queue, `MAX_RT_PRIO` of them, at most.
const MAX_LISTS: u64 = 256;

/// What is in a real-time queue, the one that runs included, the most urgent first.
///
/// # Errors
/// The queue is not in the dump, or the types do not know it.
pub fn realtime(s: &Session, queue: VirtAddr) -> Result<Queue<Queued>> {
    let (mem, entity) = (s.mem(), s.bind::<RtEntity>());
    let lists = &s.bind::<RtPrioArray>().queue;
    let first = lists.at(realtime_lists(s, queue)?)?;
    let link = entity.link.offset()?;
    let of_task = s.bind::<Entities>().rt.offset()?;
    let mut out = Queue::default();
    for level in 0..(lists.size()? / LIST_HEAD).min(MAX_LISTS) {
        let head = first.add(level * LIST_HEAD);
        match mem.ptr(head) {
            // an empty list, or that of a CPU that never had any
            Ok(next) if next == head || next.is_null() => continue,
            Ok(_) => {}
            Err(e) => {
                out.problems.push(e.into());
                continue;
            }
        }
        let mut all = Vec::new();
        let problems = both_ways(mem, head, &mut |node| {
            let at = node.sub(link);
            let own = if entity.own.exists() { entity.own.ptr(mem, at)? } else { VirtAddr(0) };
            let of = match own.is_null() {
                true => Of::Task(task_around(s, at, of_task)?),
                false => Of::Group(own),
            };
            let level = u32::try_from(level).ok();
            all.push(Queued { at, of, level, is_delayed: false, own_queue: None });
            Ok(())
        });
        out.all.extend(all);
        out.problems.extend(problems);
    }
    Ok(out)
}

/// Bytes of a `struct list_head`.
const LIST_HEAD: u64 = 16;

/// What is in a deadline queue, the one that runs included, the earliest deadline first.
///
/// # Errors
/// The queue is not in the dump, or the types do not know it.
pub fn deadline(s: &Session, queue: VirtAddr) -> Result<Queue<Queued>> {
    let (mem, entity) = (s.mem(), s.bind::<DlEntity>());
    let root = s.bind::<DlRq>().root.ptr(mem, queue)?;
    let node = entity.node.offset()?;
    let of_task = s.bind::<Entities>().dl.offset()?;
    Ok(in_tree(s, root, |at| {
        let at = at.sub(node);
        let is_server = entity.server.exists() && entity.server.num(mem, at)? != 0;
        let of = if is_server { Of::Server } else { Of::Task(task_around(s, at, of_task)?) };
        Ok(Queued { at, of, level: None, is_delayed: false, own_queue: None })
    }))
}

/// The tasks of a BPF scheduler that wait on a CPU; its own order is not known.
///
/// # Errors
/// The types do not know them.
pub fn extensible(s: &Session, list: VirtAddr) -> Result<Queue<Queued>> {
    let link = s.bind::<Entities>().runnable.offset()?;
    let mut out = Queue::default();
    match s.mem().ptr(list) {
        // the class was never begun
        Ok(next) if next.is_null() => return Ok(out),
        Ok(_) => {}
        Err(e) => return Err(e.into()),
    }
    out.problems = both_ways(s.mem(), list, &mut |node| {
        let task = task_around(s, node, link)?;
        out.all.push(Queued {
            at: node,
            of: Of::Task(task),
            level: None,
            is_delayed: false,
            own_queue: None,
        });
        Ok(())
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::group;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// Each entry: the task's pid, or what else it is.
    fn shown(queue: &Queue<Queued>) -> Vec<String> {
        let of = |queued: &Queued| match &queued.of {
            Of::Task(task) => task.pid.to_string(),
            Of::Group(own) => format!("group {:x}", own.0),
            Of::Server => "server".to_owned(),
        };
        queue.all.iter().map(of).collect()
    }

    #[test]
    fn queues_of_every_class_and_age() {
        for age in ["old", "cached", "percpu", "limbo", "flat"] {
            let mut k = Kernel::new();
            let made = k.run_queues(age);
            let s = session(&k);
            let own = of_cpu(&s, 0).unwrap();
            assert_eq!(own.at.0, made.rqs[0]);
            let whole = |queue: Result<Queue<Queued>>| {
                let queue = queue.unwrap();
                assert!(queue.problems.is_empty(), "{age}: {:?}", queue.problems);
                queue
            };
            let realtime = whole(realtime(&s, own.rt.clone().unwrap()));
            assert_eq!((shown(&realtime), realtime.all[0].level), (vec!["5".to_owned()], Some(3)), "{age}");
            assert_eq!(shown(&whole(deadline(&s, own.deadline.unwrap()))), ["server", "6"], "{age}");
            assert_eq!(own.runnable, None);
            let at = own.fair.clone().unwrap();
            let fair_queue = whole(fair(&s, at));
            let want: &[&str] = if age == "flat" { &["3", "2"] } else { &["3"] };
            assert_eq!(shown(&fair_queue), want, "{age}");
            assert!(fair_queue.all[0].is_delayed);
            let current = fair_current(&s, at).unwrap().unwrap();
            match current.of {
                Of::Group(queue) => assert_eq!(queue.0, made.queues[1], "{age}"),
                Of::Task(task) => assert_eq!((task.pid, age), (1, "flat")),
                Of::Server => panic!("{age}"),
            }
            let slow = VirtAddr(made.queues[3]);
            assert_eq!(shown(&whole(fair(&s, slow))), ["4"], "{age}");
            assert!(is_fair_throttled(&s, slow).unwrap() && !is_fair_throttled(&s, at).unwrap());
            let groups = group::groups(&s).unwrap();
            let names: Vec<String> = groups.all.iter().map(|g| g.name.clone().unwrap().unwrap()).collect();
            assert_eq!(names, ["/", "web", "inner", "slow"], "{age}");
            assert_eq!(
                groups.all.iter().map(|g| g.parent).collect::<Vec<_>>(),
                [None, Some(0), Some(1), Some(0)]
            );
            if age != "percpu" {
                assert_eq!(group::fair_queue(&s, groups.all[0].at, 0).unwrap().unwrap(), at);
            }
            for (group, queue) in groups.all.iter().zip(made.queues).skip(1) {
                assert_eq!(group::fair_queue(&s, group.at, 0).unwrap().unwrap().0, queue, "{age}");
            }
        }
    }

    #[test]
    fn what_is_no_task_in_a_queue_is_told() {
        let mut k = Kernel::new();
        let made = k.run_queues("cached");
        // a node that no task is around, right of task 3's
        let stray = k.memory(1024) + 512;
        k.set(stray - 96, "task_struct", "pid", 0x7fff_ffff);
        k.word(made.tasks[2] + 96 + 8, stray);
        let s = session(&k);
        let queue = fair(&s, of_cpu(&s, 0).unwrap().fair.unwrap()).unwrap();
        assert_eq!((shown(&queue), queue.problems.len()), (vec!["3".to_owned()], 1));
    }

    #[test]
    fn groups_that_are_listed_wrongly_are_damage() {
        let mut k = Kernel::new();
        let made = k.run_queues("cached");
        k.set(made.groups[3], "task_group", "parent", made.groups[1]);
        let groups = group::groups(&session(&k)).unwrap();
        assert!(!groups.problems.is_empty() && groups.all.len() == 3, "{groups:?}");
    }
}
