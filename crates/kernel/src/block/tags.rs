//! Requests by their numbers (block/blk-mq-tag.c, block/blk-mq-sched.c).
//!
//! A request of a queue has a number (tag). Numbers are set in bitmaps, which queues and hardware queues may share: a request
//! counts once, and only where it says its own number and its queue. A request that waits in a scheduler has a number of
//! that alone.

use super::sbitmap;
use crate::bind::Field;
use crate::containers::xarray;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct request_queue`
    struct HardwareQueues("request_queue") {
        count: "nr_hw_queues",
        array: "queue_hw_ctx",
        table: "hctx_table", // 5.18 (4e5cc99e1e48) to 6.18
    }
}
bind! {
    /// `struct blk_mq_hw_ctx`
    struct BlkMqHwCtx("blk_mq_hw_ctx") {
        queue: "queue",
        tags: "tags",
        scheduler: "sched_tags", // 4.11 (bd166ef183c2)
    }
}
bind! {
    /// `struct blk_mq_tags`
    struct BlkMqTags("blk_mq_tags") {
        reserved_count: "nr_reserved_tags",
        bitmap: "bitmap_tags", // a pointer from 5.10 (222a5ae03cdd) to 5.15 (ae0f1a732f4a)
        reserved: "breserved_tags",
        requests: "rqs",
        own: "static_rqs", // 4.11 (2af8cbe30531)
    }
}
bind! {
    /// `struct request`
    struct Numbered("request") { queue: "q", tag: "tag", scheduler: "internal_tag" }
}

/// More hardware queues than a disk has.
const MAX_QUEUES: u64 = 65536;

/// Which numbers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// Those that drivers have.
    Driver,
    /// Those of schedulers.
    Scheduler,
}

/// True where tags are in the bitmaps that are known; they were the queues' own to 4.8.
pub(super) fn are_in_bitmaps(s: &Session) -> bool {
    s.bind::<BlkMqTags>().reserved_count.exists()
        && crate::bind::find_struct(s.types(), &["sbitmap_queue"]).is_some()
}

/// Tells `each` the requests of a queue whose numbers are set; why there may be others.
pub(super) fn walk(
    s: &Session,
    queue: VirtAddr,
    which: Tags,
    each: &mut dyn FnMut(VirtAddr) -> Result<()>,
) -> Vec<KernelError> {
    let mut walk = Walk { s, queue, which, requests: FxHashSet::default(), each };
    match hardware_queues(s, queue) {
        Ok(all) => all.into_iter().filter_map(|hctx| walk.hardware_queue(hctx).err()).collect(),
        Err(e) => vec![e],
    }
}

/// The hardware queues of a queue.
fn hardware_queues(s: &Session, queue: VirtAddr) -> Result<Vec<VirtAddr>> {
    let (b, mem) = (s.bind::<HardwareQueues>(), s.mem());
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

struct Walk<'s> {
    s: &'s Session,
    queue: VirtAddr,
    which: Tags,
    requests: FxHashSet<VirtAddr>,
    each: &'s mut dyn FnMut(VirtAddr) -> Result<()>,
}

impl Walk<'_> {
    fn hardware_queue(&mut self, hctx: VirtAddr) -> Result<()> {
        let (b, mem) = (self.s.bind::<BlkMqHwCtx>(), self.s.mem());
        let own = b.queue.ptr(mem, hctx)?;
        if own != self.queue {
            let why = format!("it is of queue {:#x}, and says {own:#x}", self.queue);
            return Err(KernelError::Damaged { what: "blk_mq_hw_ctx", at: hctx, why });
        }
        let tags = match self.which {
            Tags::Driver => b.tags.ptr(mem, hctx)?,
            Tags::Scheduler => b.scheduler.ptr(mem, hctx)?,
        };
        // a hardware queue that no CPU uses has none, nor one without a scheduler
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

    /// The requests of a bitmap whose first bit is this tag.
    fn bitmap(&mut self, tags: VirtAddr, field: &Field, first: u64) -> Result<()> {
        let mem = self.s.mem();
        let at = if field.size()? == 8 { field.ptr(mem, tags)? } else { field.at(tags)? };
        let found = sbitmap::bitmap(self.s, at)?;
        if let Some(problem) = found.problems.into_iter().next() {
            return Err(problem);
        }
        let t = self.s.bind::<BlkMqTags>();
        let requests = match self.which {
            Tags::Driver => t.requests.ptr(mem, tags)?,
            Tags::Scheduler => t.own.ptr(mem, tags)?,
        };
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
        let (b, mem) = (self.s.bind::<Numbered>(), self.s.mem());
        let number = match self.which {
            Tags::Driver => &b.tag,
            Tags::Scheduler => &b.scheduler,
        };
        // bits that are shared have requests of other queues, and what was left of requests that are done
        let is_own = b.queue.ptr(mem, at)? == self.queue && number.u32(mem, at).map(u64::from)? == tag;
        match is_own && self.requests.insert(at) {
            true => (self.each)(at),
            false => Ok(()),
        }
    }
}
