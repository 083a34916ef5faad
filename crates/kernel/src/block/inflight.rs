//! Requests of a disk that are not done, with what they read or write and since when (include/linux/blk-mq.h, blkdev.h).
//!
//! Shape decides where they are: by their numbers in bitmaps since 4.9; in the two lists of queues with a `request_fn` (to 4.20).
//! When a request began is noted in nanoseconds since 5.0 (544ccc8dc904), in ticks before; a kernel notes it only where
//! somebody counts. What the driver has is timed: its deadline tells when it was given.

use super::mq::{self, IN_FLIGHT};
use super::tags::{self, Tags};
use crate::containers::chain::Chains;
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::machine::{hardware, system};
use crate::sched::times::NSEC;
use crate::session::Session;
use crate::time::timer;
use base::VirtAddr;
use debuginfo::types::Type;
use rustc_hash::FxHashSet;

bind! {
    /// `struct request_queue`
    struct QueueLists("request_queue") {
        ops: "mq_ops",
        function: "request_fn",
        waiting: "queue_head",
        given: "timeout_list",
    }
}
bind! {
    /// `struct request`
    pub(super) struct RequestStruct("request") {
        queue: "q",
        tag: "tag",
        flags: "cmd_flags",
        state: "state", // 4.18 (12f5b9314545)
        generation: "gstate", // 4.16 (1d9bd5161ba3) and 4.17: the state in its lowest bits
        marks: "atomic_flags", // before
        sector: "__sector",
        bytes: "__data_len",
        bio: "bio",
        private: "end_io_data",
        began: "start_time_ns", // 5.0 (544ccc8dc904)
        began_tick: "start_time",
        given: "io_start_time_ns", // where somebody counts
        deadline: "deadline" | "__deadline",
        timeout: "timeout",
        queued: "queuelist",
        timed: "timeout_list",
    }
}
bind! {
    /// `struct bio`
    pub(super) struct BioStruct("bio") {
        next: "bi_next",
        sector: "bi_iter.bi_sector" | "bi_sector", // 3.14 (4f024f3797c4)
        bytes: "bi_iter.bi_size" | "bi_size",
        end: "bi_end_io",
        private: "bi_private",
        vectors: "bi_io_vec",
        count: "bi_vcnt",
    }
}

/// `MQ_RQ_STATE_MASK` of `gstate`.
const GENERATION_STATE: u64 = 3;
/// Bits of `atomic_flags`: `REQ_ATOM_COMPLETE` and `REQ_ATOM_STARTED`.
const COMPLETE: u64 = 1;
const STARTED: u64 = 2;
/// More requests or parts than there are.
const MAX_BIOS: usize = 1 << 16;

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the queue or its scheduler.
    Queued,
    /// The driver has it.
    InDriver,
    /// The driver is done with it.
    Complete,
}

/// How long something lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Nanoseconds.
    For(u64),
    /// The kernel did not note when it began.
    NotNoted,
    /// It began after the kernel last kept its time, so less than some ticks ago.
    BehindClock,
}

impl Span {
    /// Nanoseconds; none where they are not known.
    #[must_use]
    pub const fn nsec(self) -> Option<u64> {
        match self {
            Self::For(nsec) => Some(nsec),
            Self::NotNoted | Self::BehindClock => None,
        }
    }
}

/// What a request is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `READ`, `WRITE`, `FLUSH` ... as the kernel's types name it.
    pub name: String,
    /// True where the data goes to the disk.
    pub is_write: bool,
}

/// A part of a request: what was given to the disk in one piece.
#[derive(Clone, Debug)]
pub struct Bio {
    /// The `bio`.
    pub at: VirtAddr,
    /// Its first sector, of 512 bytes.
    pub sector: Result<u64>,
    /// Bytes that are not done.
    pub bytes: Result<u64>,
    /// What is called when it is done.
    pub end: Result<VirtAddr>,
    /// What that function is given.
    pub private: Result<VirtAddr>,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The `request`.
    pub at: VirtAddr,
    /// Its number; below 0 for one that only a scheduler has.
    pub tag: Result<i32>,
    /// Where it is.
    pub stage: Result<Stage>,
    /// What it is to do.
    pub operation: Result<Operation>,
    /// Its first sector, of 512 bytes.
    pub sector: Result<u64>,
    /// Bytes that are not done.
    pub bytes: Result<u64>,
    /// For how long it exists.
    pub age: Result<Span>,
    /// For how long the driver has it; none where the driver has not.
    pub in_driver: Result<Option<Span>>,
    /// Its parts.
    pub bios: Vec<Bio>,
    /// Why there may be more parts.
    pub problem: Option<KernelError>,
}

/// The requests of a queue, and why there may be others.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// Those that are not done, the oldest first.
    pub all: Vec<Request>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// What ages are counted from.
#[derive(Clone, Debug)]
pub struct Clock {
    nsec: Result<u64>,
    ticks: Result<u64>,
    hz: Result<u64>,
}

impl Clock {
    /// That of this kernel.
    #[must_use]
    pub fn of(s: &Session) -> Self {
        let nsec = system::monotonic_nsec(s).map(|nsec| u64::try_from(nsec).unwrap_or(0));
        Self { nsec, ticks: timer::jiffies(s), hz: hardware::hz(s) }
    }

    /// How long ago a time was.
    fn since(&self, nsec: u64) -> Result<Span> {
        Ok(self.nsec.clone()?.checked_sub(nsec).map_or(Span::BehindClock, Span::For))
    }

    /// How long ago a tick was.
    fn since_tick(&self, tick: u64) -> Result<Span> {
        let ticks = self.ticks.clone()?.wrapping_sub(tick);
        // a tick that is ahead is none that was
        let ticks = if ticks.cast_signed().is_negative() { 0 } else { ticks };
        let nsec = u128::from(ticks) * u128::from(NSEC) / u128::from(self.hz.clone()?.max(1));
        Ok(Span::For(u64::try_from(nsec).unwrap_or(u64::MAX)))
    }
}

/// The requests of a queue that are not done.
///
/// # Errors
/// The kernel's types do not know them, or its queue keeps none that can be found.
pub fn requests(s: &Session, queue: VirtAddr, clock: &Clock) -> Result<Requests> {
    let (b, mem) = (s.bind::<QueueLists>(), s.mem());
    s.bind::<RequestStruct>().queue.offset()?;
    let mut out = Requests::default();
    let is_mq = b.ops.exists() && !b.ops.ptr(mem, queue)?.is_null();
    if is_mq {
        if !tags::are_in_bitmaps(s) {
            // 3.13 to 4.8
            return Err(KernelError::NotBuilt("bitmaps of request numbers that are known"));
        }
        let mut seen = FxHashSet::default();
        for which in [Tags::Driver, Tags::Scheduler] {
            let found = tags::walk(s, queue, which, &mut |at| {
                if seen.insert(at) {
                    out.all.push(request(s, at, None, clock));
                }
                Ok(())
            });
            // a kernel without schedulers for these queues has no numbers of theirs
            out.problems.extend(found.into_iter().filter(|e| which == Tags::Driver || !e.is_untyped()));
        }
    } else if b.function.exists() && !b.function.ptr(mem, queue)?.is_null() {
        let r = s.bind::<RequestStruct>();
        for (head, link, stage) in
            [(&b.given, &r.timed, Stage::InDriver), (&b.waiting, &r.queued, Stage::Queued)]
        {
            let found = both_ways(mem, head.at(queue)?, &mut |node| {
                let at = link.container(node)?;
                let own = r.queue.ptr(mem, at)?;
                if own != queue {
                    let why = format!("it is in a list of queue {queue:#x}, and says {own:#x}");
                    return Err(KernelError::Damaged { what: "request", at, why });
                }
                out.all.push(request(s, at, Some(stage), clock));
                Ok(())
            });
            out.problems.extend(found);
        }
    }
    // a disk that hands its bios on has no requests of its own
    let age = |request: &Request| {
        let in_driver = request.in_driver.clone().ok().flatten().and_then(Span::nsec);
        request.age.clone().ok().and_then(Span::nsec).or(in_driver)
    };
    out.all.sort_by_key(|request| (std::cmp::Reverse(age(request)), request.at));
    Ok(out)
}

fn request(s: &Session, at: VirtAddr, stage: Option<Stage>, clock: &Clock) -> Request {
    let (b, mem) = (s.bind::<RequestStruct>(), s.mem());
    let stage = match stage {
        Some(stage) => Ok(stage),
        None => own_stage(s, at),
    };
    let (bios, problem) = bios(s, b.bio.ptr(mem, at));
    let age = age(s, at, clock);
    Request {
        at,
        tag: b.tag.i32(mem, at),
        operation: operation(s, at),
        sector: b.sector.u64(mem, at),
        bytes: b.bytes.u32(mem, at).map(u64::from),
        in_driver: match stage {
            Ok(Stage::InDriver) => in_driver(s, at, clock, &age).map(Some),
            Ok(_) => Ok(None),
            Err(ref e) => Err(e.clone()),
        },
        age,
        stage,
        bios,
        problem,
    }
}

/// Where a request says that it is.
fn own_stage(s: &Session, at: VirtAddr) -> Result<Stage> {
    let (b, mem) = (s.bind::<RequestStruct>(), s.mem());
    // what has no number of the driver's waits in the scheduler
    if b.tag.i32(mem, at)? < 0 {
        return Ok(Stage::Queued);
    }
    let state = if b.state.exists() {
        b.state.num(mem, at)? & 0xffff_ffff
    } else if b.generation.exists() {
        b.generation.u64(mem, at)? & GENERATION_STATE
    } else {
        match b.marks.u64(mem, at)? {
            marks if marks & COMPLETE != 0 => 2,
            marks if marks & STARTED != 0 => IN_FLIGHT,
            _ => 0,
        }
    };
    match state {
        0 => Ok(Stage::Queued),
        IN_FLIGHT => Ok(Stage::InDriver),
        2 => Ok(Stage::Complete),
        other => {
            let why = format!("its state is {other}");
            Err(KernelError::Damaged { what: "request", at, why })
        }
    }
}

fn age(s: &Session, at: VirtAddr, clock: &Clock) -> Result<Span> {
    let (b, mem) = (s.bind::<RequestStruct>(), s.mem());
    if b.began.exists() {
        return match b.began.u64(mem, at)? {
            0 => Ok(Span::NotNoted),
            began => clock.since(began),
        };
    }
    match b.began_tick.num(mem, at)? {
        0 => Ok(Span::NotNoted),
        began => clock.since_tick(began),
    }
}

/// Since when the driver has it: as noted, else so long before its deadline as it may take. A tick is coarse, so that the
/// request's own age is the most that it can be.
fn in_driver(s: &Session, at: VirtAddr, clock: &Clock, age: &Result<Span>) -> Result<Span> {
    let (b, mem) = (s.bind::<RequestStruct>(), s.mem());
    // before 5.0 a time of another clock has this name
    let noted = if b.given.exists() && b.began.exists() { b.given.u64(mem, at)? } else { 0 };
    if noted != 0 {
        return clock.since(noted);
    }
    // from 4.16 to 4.17 the lowest bit is a flag
    let deadline = b.deadline.u64(mem, at)? & !1;
    if deadline == 0 {
        return Ok(Span::NotNoted);
    }
    let by_tick = clock.since_tick(deadline.wrapping_sub(u64::from(b.timeout.u32(mem, at)?)))?;
    Ok(match (by_tick, age) {
        (_, Ok(Span::BehindClock)) => Span::BehindClock,
        (Span::For(ticks), Ok(Span::For(age))) => Span::For(ticks.min(*age)),
        (span, _) => span,
    })
}

/// Bits of `cmd_flags` that are the operation's number (4.10, ef295ecf090d).
const OPERATION: u64 = 0xff;

fn operation(s: &Session, at: VirtAddr) -> Result<Operation> {
    let flags = s.bind::<RequestStruct>().flags.num(s.mem(), at)?;
    let bit = mq::write_bit(s)?;
    let is_write = flags & bit != 0;
    let plain = if is_write { "WRITE" } else { "READ" };
    // before, operations were flags
    let found = s.types().find_enumerator("REQ_OP_READ").into_iter().next().filter(|_| bit == 1);
    let Some((of, _)) = found else { return Ok(Operation { name: plain.to_owned(), is_write }) };
    let number = i128::from(flags & OPERATION);
    let name = match &*s.types().get(of)? {
        Type::Enum { values, .. } => values
            .iter()
            .find(|(name, value)| *value == number && name.starts_with("REQ_OP_"))
            .map(|(name, _)| name.trim_start_matches("REQ_OP_").to_owned()),
        _ => None,
    };
    Ok(Operation { name: name.unwrap_or_else(|| format!("operation {number}")), is_write })
}

/// The parts of a request, from the first one on, and why there may be more.
fn bios(s: &Session, first: Result<VirtAddr>) -> (Vec<Bio>, Option<KernelError>) {
    let (b, mem) = (s.bind::<BioStruct>(), s.mem());
    let mut out: Vec<Bio> = Vec::new();
    let at = first.as_ref().copied().unwrap_or_default();
    let end = Chains::new("bio", at, MAX_BIOS).follow(0, first, &|at| b.next.ptr(mem, at), &mut |at| {
        out.push(bio(s, at));
        Ok(())
    });
    (out, end.err())
}

/// What one bio says of itself.
pub(super) fn bio(s: &Session, at: VirtAddr) -> Bio {
    let (b, mem) = (s.bind::<BioStruct>(), s.mem());
    Bio {
        at,
        sector: b.sector.u64(mem, at),
        bytes: b.bytes.u32(mem, at).map(u64::from),
        end: b.end.ptr(mem, at),
        private: b.private.ptr(mem, at),
    }
}
