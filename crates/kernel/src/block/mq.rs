//! Requests that are under way (block/blk-mq.c, block/blk-mq-tag.c; block/blk-core.c to 4.20).
//!
//! A request of a queue has a number (tag). Numbers are set in bitmaps, which queues and hardware queues may share: a request
//! counts once, and only where it says its own number and its queue.

use super::sbitmap;
use crate::containers::xarray;
use crate::error::{KernelError, Result};
use crate::sched::cpu;
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct request_queue`
    struct RequestQueue("request_queue") {
        ops: "mq_ops",
        count: "nr_hw_queues",
        array: "queue_hw_ctx",
        table: "hctx_table", // 5.18 (4e5cc99e1e48) to 6.18
        allocated: "nr_rqs", // to 4.20
        in_driver: "in_flight",
        old: "request_fn",
        contexts: "queue_ctx",
    }
}
bind! {
    /// `struct blk_mq_hw_ctx`
    struct BlkMqHwCtx("blk_mq_hw_ctx") { queue: "queue", tags: "tags" }
}
bind! {
    /// `struct blk_mq_tags`
    struct BlkMqTags("blk_mq_tags") {
        reserved_count: "nr_reserved_tags",
        bitmap: "bitmap_tags", // a pointer from 5.10 (222a5ae03cdd) to 5.15 (ae0f1a732f4a)
        reserved: "breserved_tags",
        requests: "rqs",
    }
}
bind! {
    /// `struct request`
    struct Request("request") {
        queue: "q",
        tag: "tag",
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

/// More hardware queues than a disk has.
const MAX_QUEUES: u64 = 65536;
/// `MQ_RQ_IN_FLIGHT`
const IN_FLIGHT: u64 = 1;

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
        Ok(true) if s.bind::<BlkMqTags>().reserved_count.exists() && is_sbitmap(s) => of_tags(s, queue),
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

/// True where tags are in the bitmaps that are known; they were the queues' own to 4.8.
fn is_sbitmap(s: &Session) -> bool {
    crate::bind::find_struct(s.types(), &["sbitmap_queue"]).is_some()
}

/// Requests by their tags.
fn of_tags(s: &Session, queue: VirtAddr) -> UnderWay {
    let mut seen = Seen { s, queue, requests: FxHashSet::default(), counts: [0; 2], in_driver: 0 };
    let walked = hardware_queues(s, queue)
        .and_then(|all| all.into_iter().try_for_each(|hctx| seen.hardware_queue(hctx)));
    let has_state = s.bind::<Request>().state.exists();
    UnderWay {
        kinds: Kinds::ReadWrite,
        counts: walked.clone().map(|()| seen.counts),
        in_driver: has_state.then(|| walked.map(|()| seen.in_driver)),
    }
}

/// The hardware queues of a queue.
fn hardware_queues(s: &Session, queue: VirtAddr) -> Result<Vec<VirtAddr>> {
    let (b, mem) = (s.bind::<RequestQueue>(), s.mem());
    if b.table.exists() {
        let head = xarray::head(s, b.table.at(queue)?)?;
        let found = xarray::entries(mem, xarray::Layout::of(s)?, head);
        return match found.problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(found.all.into_iter().map(|entry| VirtAddr(entry.value)).collect()),
        };
    }
    let count = b.count.num(mem, queue)? & 0xffff_ffff;
    if count > MAX_QUEUES {
        let why = format!("it has {count} hardware queues");
        return Err(KernelError::Damaged { what: "request_queue", at: queue, why });
    }
    let array = b.array.ptr(mem, queue)?;
    (0..count).map(|n| Ok(mem.ptr(array.add(n * 8))?)).collect()
}

struct Seen<'s> {
    s: &'s Session,
    queue: VirtAddr,
    requests: FxHashSet<VirtAddr>,
    counts: [u64; 2],
    in_driver: u64,
}

impl Seen<'_> {
    fn hardware_queue(&mut self, hctx: VirtAddr) -> Result<()> {
        let (b, mem) = (self.s.bind::<BlkMqHwCtx>(), self.s.mem());
        let own = b.queue.ptr(mem, hctx)?;
        if own != self.queue {
            let why = format!("it is of queue {:#x}, and says {own:#x}", self.queue);
            return Err(KernelError::Damaged { what: "blk_mq_hw_ctx", at: hctx, why });
        }
        let tags = b.tags.ptr(mem, hctx)?;
        // a hardware queue that no CPU uses has none
        if tags.is_null() {
            return Ok(());
        }
        let t = self.s.bind::<BlkMqTags>();
        let reserved = t.reserved_count.num(mem, tags)? & 0xffff_ffff;
        if reserved > 0 {
            self.bitmap(tags, &t.reserved, 0)?;
        }
        self.bitmap(tags, &t.bitmap, reserved)
    }

    /// Counts the requests of a bitmap whose first bit is this tag.
    fn bitmap(&mut self, tags: VirtAddr, field: &crate::bind::Field, first: u64) -> Result<()> {
        let mem = self.s.mem();
        let at = if field.size()? == 8 { field.ptr(mem, tags)? } else { field.at(tags)? };
        let found = sbitmap::bitmap(self.s, at)?;
        if let Some(problem) = found.problems.into_iter().next() {
            return Err(problem);
        }
        let requests = self.s.bind::<BlkMqTags>().requests.ptr(mem, tags)?;
        for bit in found.busy {
            let tag = first.saturating_add(bit);
            let request = mem.ptr(requests.add(tag.wrapping_mul(8)))?;
            if !request.is_null() {
                self.request(request, tag)?;
            }
        }
        Ok(())
    }

    fn request(&mut self, at: VirtAddr, tag: u64) -> Result<()> {
        let (b, mem) = (self.s.bind::<Request>(), self.s.mem());
        // bits that are shared have requests of other queues, and what was left of requests that are done
        let is_own = b.queue.ptr(mem, at)? == self.queue && b.tag.u32(mem, at).map(u64::from)? == tag;
        if !is_own || !self.requests.insert(at) {
            return Ok(());
        }
        let is_write = write_bit(self.s)? & b.flags.num(mem, at)? != 0;
        let [reads, writes] = &mut self.counts;
        let count = if is_write { writes } else { reads };
        *count = count.saturating_add(1);
        if b.state.exists() && b.state.num(mem, at)? & 0xffff_ffff == IN_FLIGHT {
            self.in_driver = self.in_driver.saturating_add(1);
        }
        Ok(())
    }
}

/// The bit of `cmd_flags` that writes have: a flag to 4.7, the lowest bit of the operation's number since 4.10
/// (ef295ecf090d). Between, operations were in the highest bits.
fn write_bit(s: &Session) -> Result<u64> {
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
