//! Who allocated or freed an object, as a debugging allocator writes it down: `struct track` of SLUB (mm/slub.c).
//!
//! The return addresses stand in the track itself where CONFIG_STACKTRACE is set, until 5.18; since then (5cf909c553e9)
//! it has a stack depot's handle.

use crate::error::{KernelError, Result};
use crate::mm::stackdepot;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct track`
    struct TrackEntry("track") {
        addr: "addr", pid: "pid", when: "when", cpu: "cpu", addrs: "addrs", handle: "handle",
    }
}

/// More return addresses than a track has (`TRACK_ADDRS_COUNT`).
const MAX_FRAMES: u64 = 64;

/// When something happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// The tick count.
    Jiffies(u64),
    /// The scheduler's clock, in nanoseconds, by which the log's lines are stamped.
    Clock(u64),
    /// It is not written down.
    Unknown,
}

/// Who allocated or freed an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    /// The return address to who asked for it, where it is written down beside the stack.
    pub by: Option<VirtAddr>,
    /// The return addresses of the stack, innermost first; empty where they are not known.
    pub stack: Vec<VirtAddr>,
    /// Its process.
    pub pid: i32,
    /// Its CPU.
    pub cpu: Option<u32>,
    /// When.
    pub when: When,
}

/// Bytes of a `struct track`.
pub(crate) fn size(s: &Session) -> u64 {
    s.bind::<TrackEntry>().size.unwrap_or(0)
}

/// The `struct track` at an address; `None` where nothing was written down.
///
/// # Errors
/// It is not in the dump, or the kernel's types do not know it.
pub(crate) fn read(s: &Session, at: VirtAddr) -> Result<Option<Track>> {
    let b = s.bind::<TrackEntry>();
    let mem = s.mem();
    let by = b.addr.ptr(mem, at)?;
    if !s.is_text(by) {
        return Ok(None);
    }
    let stack = match (b.handle.u32(mem, at), b.addrs.at(at)) {
        (Ok(handle), _) => stackdepot::trace(s, handle).unwrap_or_default(),
        (_, Ok(first)) => {
            let count = (b.addrs.size().unwrap_or(0) / 8).min(MAX_FRAMES);
            return_addresses(s, first, count)
        }
        _ => Vec::new(),
    };
    Ok(Some(Track {
        by: Some(by),
        stack,
        pid: b.pid.i32(mem, at)?,
        cpu: cpu(b.cpu.u32(mem, at)),
        when: b.when.num(mem, at).map_or(When::Unknown, When::Jiffies),
    }))
}

/// The CPU of a track, as it was read; -1 stands for none.
pub(crate) fn cpu(read: Result<u32>) -> Option<u32> {
    read.ok().filter(|cpu| !cpu.cast_signed().is_negative())
}

/// What is not in the dump, in words; nothing for what this kernel does not have.
pub(crate) fn lost<T>(read: &Result<T>, words: &'static str) -> Option<&'static str> {
    matches!(read, Err(KernelError::Fault(fault)) if fault.is_missing()).then_some(words)
}

/// Up to `count` return addresses: the first that is none (0, or all ones before 5.2) ends them.
pub(crate) fn return_addresses(s: &Session, first: VirtAddr, count: u64) -> Vec<VirtAddr> {
    let one = |n: u64| s.mem().ptr(first.add(n * 8)).ok().filter(|at| s.is_text(*at));
    (0..count).map_while(one).collect()
}
