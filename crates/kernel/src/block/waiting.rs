//! Which tasks wait for a bio, by what it wakes when it is done.
//!
//! | it is done | who waits |
//! |---|---|
//! | wakes a completion or another object on a stack | the task that has that stack |
//! | wakes a task (`blkdev_bio_end_io_simple`) | that task |
//! | is a part of direct I/O (`struct dio`, `blkdev_dio`, `iomap_dio`) | the task that is noted there |
//! | unlocks a buffer (`struct buffer_head`) | those in `bit_wait_table` for its first word |
//! | was split from another one (`bio_chain_endio`) | those who wait for that |
//! | unlocks its pages | those in `folio_wait_table` (`page_wait_table`) for one of these |
//!
//! Tables are those since 4.13 (5822a454d6d2, 9a1ea439b16b); before they were each zone's.

use super::inflight::{Bio, BioStruct, Request, RequestStruct};
use crate::error::{KernelError, Result};
use crate::sched::task::Task;
use crate::sched::waitq;
use crate::session::Session;
use crate::stack::stacks;
use base::VirtAddr;
use rustc_hash::FxHashMap;

bind! {
    /// `struct wait_page_queue`
    struct WaitPageQueue("wait_page_queue") { page: "folio" | "page", wait: "wait" } // 5.16 (df4d4f127394)
}
bind! {
    /// `struct wait_bit_queue_entry`
    struct WaitBitQueueEntry("wait_bit_queue_entry") { word: "key.flags", wait: "wq_entry" }
}
bind! {
    /// `struct wait_queue_head`
    struct HeadSize("wait_queue_head") { lock: "lock" }
}
bind! {
    /// `struct dio` (fs/direct-io.c)
    struct Dio("dio") { waiter: "waiter" }
}
bind! {
    /// `struct blkdev_dio` (block/fops.c)
    struct BlkdevDio("blkdev_dio") { waiter: "waiter" }
}
bind! {
    /// `struct iomap_dio` (fs/iomap/direct-io.c)
    struct IomapDio("iomap_dio") { waiter: "submit.waiter", waits: "wait_for_completion" }
}
bind! {
    /// `struct bio_vec`
    struct BioVec("bio_vec") { page: "bv_page" }
}

/// Heads of either table (`PAGE_WAIT_TABLE_SIZE`, `WAIT_TABLE_SIZE`).
const HEADS: u64 = 256;
/// More bios than one is split from, that was split from another.
const MAX_CHAIN: usize = 16;
/// More pages than a bio has.
const MAX_PAGES: u64 = 1 << 16;

/// Who waits for what.
#[derive(Debug, Default)]
pub struct Waiters {
    /// By the page or folio.
    pages: FxHashMap<VirtAddr, Vec<VirtAddr>>,
    /// By the word whose bit is to be cleared.
    words: FxHashMap<VirtAddr, Vec<VirtAddr>>,
    /// First address, end and task of each stack.
    stacks: Vec<(VirtAddr, VirtAddr, VirtAddr)>,
    /// Why others may wait too.
    pub problems: Vec<KernelError>,
}

impl Waiters {
    /// All that wait in this kernel.
    #[must_use]
    pub fn of(s: &Session) -> Self {
        let mut out = Self::default();
        for task in s.tasks().all.iter().filter(|task| task.stack.is_some_and(|at| !at.is_null())) {
            let stack = stacks::task_stack(s, task);
            out.stacks.push((stack.start, stack.end, task.at));
        }
        out.stacks.sort();
        let tables = [("folio_wait_table", true), ("page_wait_table", true), ("bit_wait_table", false)];
        for (name, is_pages) in tables {
            match s.optional_symbol(name) {
                Ok(Some(table)) => out.table(s, table, is_pages),
                Ok(None) => {}
                Err(e) => out.problems.push(e),
            }
        }
        out
    }

    fn table(&mut self, s: &Session, table: VirtAddr, is_pages: bool) {
        let mem = s.mem();
        let (page, bit) = (s.bind::<WaitPageQueue>(), s.bind::<WaitBitQueueEntry>());
        let (field, wait) = if is_pages { (&page.page, &page.wait) } else { (&bit.word, &bit.wait) };
        let size = match s.bind::<HeadSize>().size {
            Some(size) if size > 0 => size,
            _ => return self.problems.push(KernelError::NoType("wait_queue_head")),
        };
        for n in 0..HEADS {
            let mut found = Vec::new();
            let walked = waitq::waiters(s, table.add(n * size), &mut |waiter| {
                let at = wait.container(waiter.at)?;
                found.push((field.ptr(mem, at)?, waiter.private));
                Ok(())
            });
            match walked {
                Ok(problems) => self.problems.extend(problems),
                Err(e) => return self.problems.push(e),
            }
            let map = if is_pages { &mut self.pages } else { &mut self.words };
            for (what, task) in found {
                // a task, and not what another function wakes
                if s.tasks().at(task).is_some() {
                    map.entry(what).or_default().push(task);
                }
            }
        }
    }

    /// The task whose stack an address is in.
    fn with_stack(&self, at: VirtAddr) -> Option<VirtAddr> {
        let n = self.stacks.partition_point(|(start, _, _)| *start <= at);
        let (_, end, task) = self.stacks.get(n.checked_sub(1)?)?;
        (at < *end).then_some(*task)
    }

    /// The tasks that wait for a request, none twice, by their ids.
    #[must_use]
    pub fn for_request<'s>(&self, s: &'s Session, request: &Request) -> Vec<&'s Task> {
        let mut found: Vec<VirtAddr> = Vec::new();
        // who executes a request by itself waits with an object on its stack
        if let Ok(private) = s.bind::<RequestStruct>().private.ptr(s.mem(), request.at) {
            found.extend(self.with_stack(private));
        }
        for bio in &request.bios {
            found.extend(self.for_bio(s, bio));
        }
        let mut tasks: Vec<&Task> = found.into_iter().filter_map(|at| s.tasks().at(at)).collect();
        tasks.sort_by_key(|task| (task.pid, task.at));
        tasks.dedup_by_key(|task| task.at);
        tasks
    }

    /// Those who wait for a bio, or for the one that it was split from.
    fn for_bio(&self, s: &Session, bio: &Bio) -> Vec<VirtAddr> {
        let mut out = self.for_one(s, bio);
        let mut at = bio.clone();
        for _ in 0..MAX_CHAIN {
            let end = at.end.as_ref().ok().and_then(|end| s.locate(*end));
            let is_part = end.is_some_and(|end| end.symbol.name == "bio_chain_endio");
            let Some(whole) = at.private.as_ref().ok().filter(|_| is_part) else { break };
            at = super::inflight::bio(s, *whole);
            out.extend(self.for_one(s, &at));
        }
        out
    }

    fn for_one(&self, s: &Session, bio: &Bio) -> Vec<VirtAddr> {
        let mut out = Vec::new();
        if let Ok(private) = &bio.private {
            out.extend(self.with_stack(*private));
            if s.tasks().at(*private).is_some() {
                out.push(*private);
            }
            out.extend(direct(s, bio, *private));
            // the first word of a buffer has its flags
            out.extend(self.words.get(private).into_iter().flatten().copied());
        }
        if !self.pages.is_empty() {
            for page in pages(s, bio.at).unwrap_or_default() {
                out.extend(self.pages.get(&page).into_iter().flatten().copied());
            }
        }
        out
    }
}

/// The task that direct I/O notes as who waits.
fn direct(s: &Session, bio: &Bio, private: VirtAddr) -> Option<VirtAddr> {
    let mem = s.mem();
    let end = s.locate(*bio.end.as_ref().ok()?)?;
    let task = match end.symbol.name {
        "dio_bio_end_io" | "dio_bio_end_aio" => s.bind::<Dio>().waiter.ptr(mem, private).ok()?,
        "blkdev_bio_end_io" => s.bind::<BlkdevDio>().waiter.ptr(mem, private).ok()?,
        "iomap_dio_bio_end_io" => {
            let b = s.bind::<IomapDio>();
            // who does not wait has a kiocb there
            if b.waits.num(mem, private).ok()? & 0xff == 0 {
                return None;
            }
            b.waiter.ptr(mem, private).ok()?
        }
        _ => return None,
    };
    s.tasks().at(task).map(|task| task.at)
}

/// The pages of a bio.
fn pages(s: &Session, bio: VirtAddr) -> Result<Vec<VirtAddr>> {
    let (b, v, mem) = (s.bind::<BioStruct>(), s.bind::<BioVec>(), s.mem());
    let size = v.size.filter(|size| *size > 0).ok_or(KernelError::NoType("bio_vec"))?;
    let count = b.count.num(mem, bio)?.min(MAX_PAGES);
    let first = b.vectors.ptr(mem, bio)?;
    (0..count).map(|n| v.page.ptr(mem, first.add(n * size))).collect()
}
