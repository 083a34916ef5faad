//! Requests that are under way (block/blk-mq.c, block/blk-mq-tag.c; block/blk-core.c to 4.20).
//!
//! Requests of a queue are found by their numbers ([`super::tags`]), or the queue counts them.

use super::tags::{self, Tags};
use crate::error::{KernelError, Result};
use crate::sched::cpu;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct request_queue`
    struct RequestQueue("request_queue") {
        ops: "mq_ops",
        allocated: "nr_rqs", // to 4.20
        in_driver: "in_flight",
        old: "request_fn",
        contexts: "queue_ctx",
    }
}
bind! {
    /// `struct request`
    struct Request("request") {
        flags: "cmd_flags",
        state: "state", // 4.18 (12f5b9314545)
    }
}
bind! {
    /// `struct blk_mq_ctx`, to 4.8
    struct BlkMqCtx("blk_mq_ctx") { dispatched: "rq_dispatched", completed: "rq_completed" }
}
bind! {
    /// `struct gendisk`
    struct DiskParts("gendisk") { whole: "part0" }
}
bind! {
    /// What is counted of a whole disk, for each CPU
    struct WholeDisk("block_device") { stats: "bd_stats" } // 5.11
}
bind! {
    /// `struct hd_struct`, to 5.10
    struct HdStruct("hd_struct") { stats: "dkstats", in_flight: "in_flight" }
}
bind! {
    /// `struct disk_stats`
    struct DiskStats("disk_stats") { in_flight: "in_flight" } // 5.0 (5b18b5a73760)
}

/// `MQ_RQ_IN_FLIGHT`
pub(super) const IN_FLIGHT: u64 = 1;

/// How requests are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Reads and writes.
    ReadWrite,
    /// Asynchronous and synchronous ones: all that old queues count.
    AsyncSync,
}

/// The requests of a disk that are under way.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// How they are told apart.
    pub kinds: Kinds,
    /// How many there are of each kind.
    pub counts: Result<[u64; 2]>,
    /// How many of them the driver has; none where the kernel does not say.
    pub in_driver: Option<Result<u64>>,
}

/// What is under way on a disk with this queue.
#[must_use]
pub fn under_way(s: &Session, disk: VirtAddr, queue: &Result<VirtAddr>) -> UnderWay {
    let (b, mem) = (s.bind::<RequestQueue>(), s.mem());
    let failed = |e: KernelError| UnderWay { kinds: Kinds::ReadWrite, counts: Err(e), in_driver: None };
    let queue = match queue {
        Ok(queue) => *queue,
        Err(e) => return failed(e.clone()),
    };
    let is_mq = match b.ops.exists() {
        true => b.ops.ptr(mem, queue).map(|ops| !ops.is_null()),
        false => Ok(false), // to 3.12
    };
    let is_old = b.old.exists() && b.old.ptr(mem, queue).is_ok_and(|function| !function.is_null());
    match is_mq {
        Err(e) => failed(e),
        Ok(true) if tags::are_in_bitmaps(s) => of_tags(s, queue),
        Ok(true) => UnderWay { kinds: Kinds::AsyncSync, counts: of_contexts(s, queue), in_driver: None },
        Ok(false) if is_old && b.allocated.exists() => {
            let pair = |field: &crate::bind::Field| {
                let at = field.at(queue)?;
                Ok([u64::from(mem.u32(at)?), u64::from(mem.u32(at.add(4))?)])
            };
            let in_driver = pair(&b.in_driver).map(|[a, s]| a.saturating_add(s));
            UnderWay { kinds: Kinds::AsyncSync, counts: pair(&b.allocated), in_driver: Some(in_driver) }
        }
        Ok(false) => UnderWay { kinds: Kinds::ReadWrite, counts: of_statistics(s, disk), in_driver: None },
    }
}

/// Requests by their tags.
fn of_tags(s: &Session, queue: VirtAddr) -> UnderWay {
    let (b, mem) = (s.bind::<Request>(), s.mem());
    let has_state = b.state.exists();
    let (mut counts, mut in_driver) = ([0_u64; 2], 0_u64);
    let problems = tags::walk(s, queue, Tags::Driver, &mut |at| {
        let is_write = write_bit(s)? & b.flags.num(mem, at)? != 0;
        let [reads, writes] = &mut counts;
        let count = if is_write { writes } else { reads };
        *count = count.saturating_add(1);
        if has_state && b.state.num(mem, at)? & 0xffff_ffff == IN_FLIGHT {
            in_driver = in_driver.saturating_add(1);
        }
        Ok(())
    });
    let walked = problems.into_iter().next().map_or(Ok(()), Err);
    UnderWay {
        kinds: Kinds::ReadWrite,
        counts: walked.clone().map(|()| counts),
        in_driver: has_state.then(|| walked.map(|()| in_driver)),
    }
}

/// The bit of `cmd_flags` that writes have: a flag to 4.7, the lowest bit of the operation's number since 4.10
/// (ef295ecf090d). Between, operations were in the highest bits.
pub(super) fn write_bit(s: &Session) -> Result<u64> {
    let number = |name: &str| s.types().find_enumerator(name).into_iter().next().map(|(_, value)| value);
    match (number("__REQ_WRITE"), number("__REQ_FAILFAST_DEV")) {
        (Some(bit @ 0..64), _) => Ok(1 << bit),
        (None, Some(8..)) => Ok(1),
        _ => Err(KernelError::NotBuilt("what tells reads from writes in a known way")),
    }
}

/// What each CPU counted, of queues to 4.8.
fn of_contexts(s: &Session, queue: VirtAddr) -> Result<[u64; 2]> {
    let (b, mem) = (s.bind::<BlkMqCtx>(), s.mem());
    let contexts = s.bind::<RequestQueue>().contexts.ptr(mem, queue)?;
    let mut out = [0_i64; 2];
    for cpu in &s.cpus().possible {
        let at = contexts.add(cpu::per_cpu_offset(s, *cpu)?);
        for (n, count) in (0..).zip(&mut out) {
            let dispatched = mem.u64(b.dispatched.at(at)?.add(n * 8))?;
            let completed = mem.u64(b.completed.at(at)?.add(n * 8))?;
            *count = count.wrapping_add(dispatched.wrapping_sub(completed).cast_signed());
        }
    }
    Ok(out.map(|n| u64::try_from(n).unwrap_or(0)))
}

/// What a disk without requests of its own counts: on each CPU since 5.0, once before.
fn of_statistics(s: &Session, disk: VirtAddr) -> Result<[u64; 2]> {
    let (b, mem) = (s.bind::<DiskStats>(), s.mem());
    let (hd, whole) = (s.bind::<HdStruct>(), s.bind::<WholeDisk>());
    let parts = s.bind::<DiskParts>();
    if !b.in_flight.exists() {
        let at = hd.in_flight.at(parts.whole.at(disk)?)?;
        return Ok([u64::from(mem.u32(at)?), u64::from(mem.u32(at.add(4))?)]);
    }
    let stats = if whole.stats.exists() {
        whole.stats.ptr(mem, parts.whole.ptr(mem, disk)?)?
    } else {
        hd.stats.ptr(mem, parts.whole.at(disk)?)?
    };
    // one CPU's may be below zero: what began on another one ended there
    let mut out = [0_i64; 2];
    for cpu in &s.cpus().possible {
        let at = b.in_flight.at(stats.add(cpu::per_cpu_offset(s, *cpu)?))?;
        for (n, count) in (0..).zip(&mut out) {
            *count = count.wrapping_add(mem.u64(at.add(n * 8))?.cast_signed());
        }
    }
    Ok(out.map(|n| u64::try_from(n).unwrap_or(0)))
}
