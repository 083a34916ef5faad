//! Pools of workers, what they run, and what waits for them (kernel/workqueue.c).
//!
//! Shape decides: workers are in a list of their pool since 3.17 (da028469ba17), in an IDR before; those that run are in a hash table
//! too. Which workqueue a work is of is in its `data`: a `pool_workqueue`, whose lowest bits are flags.

use super::WorkStruct;
use super::queue::{self, Pwq};
use crate::bind::Field;
use crate::containers::hlist::{HLIST_HEAD, Hlists};
use crate::containers::idr;
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct worker_pool`
    pub(super) struct WorkerPool("worker_pool") {
        id: "id",
        cpu: "cpu",
        flags: "flags",
        attrs: "attrs",
        count: "nr_workers",
        idle: "nr_idle",
        pending: "worklist",
        busy: "busy_hash",
        workers: "workers", // 3.17 (da028469ba17)
        table: "worker_idr",
        progress: "last_progress_ts" | "watchdog_ts", // 4.5 (82607adcf9cd)
    }
}
bind! {
    /// `struct workqueue_attrs`
    struct WorkqueueAttrs("workqueue_attrs") { nice: "nice" }
}
bind! {
    /// `struct worker`
    pub(super) struct WorkerStruct("worker") {
        busy: "hentry",
        node: "node",
        pool: "pool",
        task: "task",
        id: "id",
        desc: "desc",
        work: "current_work",
        function: "current_func",
        pwq: "current_pwq",
        started: "current_start",
        scheduled: "scheduled",
        queue: "rescue_wq",
    }
}
/// More workers than a pool has.
const MAX_WORKERS: usize = 1 << 20;
/// Lowest bits of `data` that are flags beside a `pool_workqueue`: 8, 9 where objects are debugged.
const FLAG_BITS: [u32; 2] = [8, 9];

/// A work: a function that is to be called.
#[derive(Clone, Debug)]
pub struct Work {
    /// The `work_struct`.
    pub at: VirtAddr,
    /// What is called.
    pub function: Result<VirtAddr>,
    /// The `workqueue_struct` that it was given to.
    pub queue: Result<VirtAddr>,
}

/// What a worker does.
#[derive(Clone, Debug)]
pub struct Running {
    /// The work.
    pub work: Work,
    /// The tick at which it began, where the kernel notes it.
    pub started: Option<Result<u64>>,
}

/// A worker: a task that does works, or a softirq that does.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The `worker`.
    pub at: VirtAddr,
    /// Its number in the pool.
    pub id: Result<u64>,
    /// Its `task_struct`; null for a softirq.
    pub task: Result<VirtAddr>,
    /// What it did last: as a rule the name of a workqueue.
    pub desc: Result<String>,
    /// What it does; none for one that does nothing.
    pub running: Result<Option<Running>>,
    /// What it is to do behind that.
    pub scheduled: Vec<Work>,
    /// The workqueue that it is the rescuer of; null for others.
    pub rescues: Result<VirtAddr>,
}

/// A pool of workers.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The `worker_pool`.
    pub at: VirtAddr,
    /// Its number.
    pub id: u64,
    /// Its CPU; -1 for one that serves several.
    pub cpu: Result<i64>,
    /// The nice value of its workers.
    pub nice: Result<i64>,
    /// Its flags.
    pub flags: Result<u64>,
    /// How many workers it counts, rescuers aside.
    pub count: Result<u64>,
    /// How many of them do nothing.
    pub idle: Result<u64>,
    /// The tick at which it began a work last, or had none to begin; none where the kernel does not note it.
    pub progress: Option<Result<u64>>,
    /// Its workers, by their numbers.
    pub workers: Vec<Worker>,
    /// Works that wait for a worker, the first leading.
    pub pending: Vec<Work>,
    /// Why there may be other workers or works.
    pub problems: Vec<KernelError>,
}

/// The pools.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    /// By their numbers.
    pub all: Vec<Pool>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// All pools of workers.
///
/// # Errors
/// The kernel's symbols or types do not know them.
pub fn pools(s: &Session) -> Result<Pools> {
    let b = s.bind::<WorkerPool>();
    b.pending.offset()?;
    let found = idr::entries(s, s.need_symbol("worker_pool_idr")?)?;
    let mut out = Pools { all: Vec::new(), problems: found.problems };
    for entry in found.all {
        let at = VirtAddr(entry.value);
        match b.id.num(s.mem(), at).map(|id| id & 0xffff_ffff) {
            Ok(id) if id == entry.index => out.all.push(pool(s, at, id)),
            Ok(id) => {
                let why = format!("it is number {} and says {id}", entry.index);
                out.problems.push(KernelError::Damaged { what: "worker_pool", at, why });
            }
            Err(e) => out.problems.push(e),
        }
    }
    Ok(out)
}

fn pool(s: &Session, at: VirtAddr, id: u64) -> Pool {
    let (b, mem) = (s.bind::<WorkerPool>(), s.mem());
    let number = |field: &Field| field.num(mem, at).map(|n| n & 0xffff_ffff);
    let mut problems = Vec::new();
    let workers = workers(s, at, &mut problems);
    let pending = pending(s, at, &mut problems);
    Pool {
        at,
        id,
        cpu: b.cpu.i32(mem, at).map(i64::from),
        nice: b.attrs.ptr(mem, at).and_then(|attrs| s.bind::<WorkqueueAttrs>().nice.int(mem, attrs)),
        flags: number(&b.flags),
        count: number(&b.count),
        idle: number(&b.idle),
        progress: b.progress.exists().then(|| b.progress.u64(mem, at)),
        workers,
        pending,
        problems,
    }
}

/// Works that wait for a worker of a pool.
fn pending(s: &Session, pool: VirtAddr, problems: &mut Vec<KernelError>) -> Vec<Work> {
    let head = match s.bind::<WorkerPool>().pending.at(pool) {
        Ok(head) => head,
        Err(e) => {
            problems.push(e);
            return Vec::new();
        }
    };
    let cursor = &s.bind::<Pwq>().cursor;
    let (out, found) = works(s, head, &|at| {
        let pwq = pwq(s, at, pool)?;
        // where a rescuer goes on looking; it is no work (7.0)
        if cursor.exists() && cursor.at(pwq)? == at {
            return Ok(None);
        }
        queue::of_pwq(s, pwq).map(Some)
    });
    problems.extend(found);
    out
}

/// The works of a list; `queue` says which workqueue each is of, or that it is no work.
pub(super) fn works(
    s: &Session,
    head: VirtAddr,
    queue: &dyn Fn(VirtAddr) -> Result<Option<VirtAddr>>,
) -> (Vec<Work>, Vec<KernelError>) {
    let (b, mem) = (s.bind::<WorkStruct>(), s.mem());
    let mut out = Vec::new();
    let problems = both_ways(mem, head, &mut |node| {
        let at = b.entry.container(node)?;
        let queue = match queue(at) {
            Ok(None) => return Ok(()),
            Ok(Some(queue)) => Ok(queue),
            Err(e) => Err(e),
        };
        let function = b.func.ptr(mem, at);
        // what nobody can call and no workqueue has is no work
        if let (Ok(to), Err(e @ KernelError::Damaged { .. })) = (&function, &queue)
            && !s.in_image(*to)
            && s.module_at(*to).is_none()
        {
            return Err(e.clone());
        }
        out.push(Work { at, function, queue });
        Ok(())
    });
    (out, problems)
}

/// The `pool_workqueue` of a work that waits in a pool: it says that it is of that pool.
fn pwq(s: &Session, work: VirtAddr, pool: VirtAddr) -> Result<VirtAddr> {
    let (mem, of) = (s.mem(), &s.bind::<Pwq>().pool);
    let data = mem.u64(s.bind::<WorkStruct>().data.at(work)?)?;
    let mut why = None;
    for bits in FLAG_BITS {
        let at = VirtAddr(data & (u64::MAX << bits));
        if !s.arch().is_kernel(at) {
            continue;
        }
        match of.ptr(mem, at) {
            Ok(own) if own == pool => return Ok(at),
            Ok(_) => {}
            Err(e) => why = why.or(Some(e)),
        }
    }
    // a page that is not in the dump may be where it is
    Err(why.filter(KernelError::is_missing).unwrap_or_else(|| {
        let why = format!("its data is {data:#x}, which is no pool_workqueue of the pool that it waits in");
        KernelError::Damaged { what: "work_struct", at: work, why }
    }))
}

/// The workers of a pool: those in its list and those that are known as busy.
fn workers(s: &Session, pool: VirtAddr, problems: &mut Vec<KernelError>) -> Vec<Worker> {
    let (b, w, mem) = (s.bind::<WorkerPool>(), s.bind::<WorkerStruct>(), s.mem());
    let mut out = Vec::new();
    let mut seen = FxHashSet::default();
    let mut add = |at: VirtAddr, busy: bool| {
        let own = w.pool.ptr(mem, at)?;
        if own != pool {
            let why = format!("it is of the pool at {pool:#x}, and says {own:#x}");
            return Err(KernelError::Damaged { what: "worker", at, why });
        }
        if busy && w.work.ptr(mem, at)?.is_null() {
            let why = "it is among those that do something, and has no work".to_owned();
            return Err(KernelError::Damaged { what: "worker", at, why });
        }
        if seen.insert(at) {
            out.push(worker(s, at, problems));
        }
        Ok(())
    };
    let mut found = Vec::new();
    if b.workers.exists() {
        match b.workers.at(pool) {
            Ok(head) => {
                found.extend(both_ways(mem, head, &mut |node| add(w.node.container(node)?, false)));
            }
            Err(e) => found.push(e),
        }
    } else {
        match b.table.at(pool).and_then(|table| idr::entries(s, table)) {
            Ok(entries) => {
                found.extend(entries.problems);
                // a slot that is taken before its worker is there has none
                found.extend(entries.all.iter().filter_map(|entry| add(VirtAddr(entry.value), false).err()));
            }
            Err(e) => found.push(e),
        }
    }
    match (b.busy.at(pool), b.busy.size()) {
        (Ok(first), Ok(size)) => {
            let mut lists = Hlists::new("busy_hash", MAX_WORKERS);
            for n in 0..size / HLIST_HEAD {
                let head = first.add(n * HLIST_HEAD);
                found.extend(lists.walk(s, head, &mut |node| add(w.busy.container(node)?, true)).err());
            }
        }
        (Err(e), _) | (_, Err(e)) => found.push(e),
    }
    problems.extend(found);
    out.sort_by_key(|worker| worker.id.clone().unwrap_or(u64::MAX));
    out
}

/// One worker.
pub(super) fn worker(s: &Session, at: VirtAddr, problems: &mut Vec<KernelError>) -> Worker {
    let (b, mem) = (s.bind::<WorkerStruct>(), s.mem());
    let running = running(s, at);
    let mut scheduled = Vec::new();
    if let Ok(head) = b.scheduled.at(at) {
        // they are of the pool that the worker is of
        let pool = b.pool.ptr(mem, at);
        let (works, found) = works(s, head, &|work| {
            let pool = pool.clone()?;
            queue::of_pwq(s, pwq(s, work, pool)?).map(Some)
        });
        scheduled = works;
        problems.extend(found);
    }
    Worker {
        at,
        id: b.id.num(mem, at).map(|id| id & 0xffff_ffff),
        task: b.task.ptr(mem, at),
        desc: b.desc.text(mem, at),
        running,
        scheduled,
        rescues: b.queue.ptr(mem, at),
    }
}

fn running(s: &Session, at: VirtAddr) -> Result<Option<Running>> {
    let (b, mem) = (s.bind::<WorkerStruct>(), s.mem());
    let work = b.work.ptr(mem, at)?;
    if work.is_null() {
        return Ok(None);
    }
    let queue = b.pwq.ptr(mem, at).and_then(|pwq| queue::of_pwq(s, pwq));
    let work = Work { at: work, function: b.function.ptr(mem, at), queue };
    Ok(Some(Running { work, started: b.started.exists().then(|| b.started.u64(mem, at)) }))
}
