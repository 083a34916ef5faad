//! Timers that count nanoseconds (`struct hrtimer`, kernel/time/hrtimer.c): each CPU has a tree of them for each clock.
//!
//! The tree is a `timerqueue_head`: until 5.3 a root and a pointer to the first node, since 5.4 (511885d7061e) an
//! `rb_root_cached`, in 7.1 a root whose nodes are linked too. In all of them the root and a node's `rb_node` come first.
//!
//! **Invariant:** a timer is told only where it says that it is of the clock whose tree it stands in.

use crate::containers::rbtree::{self, Layout, Order, RbNode};
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::{Space, Type};

bind! {
    /// `struct hrtimer_cpu_base`
    struct CpuBase("hrtimer_cpu_base") { clocks: "clock_base" }
}
bind! {
    /// `struct hrtimer_clock_base`
    struct ClockBase("hrtimer_clock_base") {
        index: "index",
        root: "active.rb_root.rb_root.rb_node" | "active.head.rb_node", // 5.4 (511885d7061e)
        get_time: "get_time", // until 6.17 (009eb5da29a9)
        offset: "offset",
    }
}
bind! {
    /// `struct hrtimer`
    struct HrTimer("hrtimer") {
        node: "node.node",
        expires: "node.expires",
        soft: "_softexpires",
        function: "function",
        base: "base",
    }
}

/// There were three clocks, four and eight.
const MAX_CLOCKS: u64 = 32;

/// A timer.
#[derive(Clone, Debug)]
pub struct Timer {
    /// The `hrtimer`.
    pub at: VirtAddr,
    /// From when on it may be called, in nanoseconds of its clock.
    pub soft: i64,
    /// When it is called at the latest.
    pub expires: i64,
    /// What is called.
    pub function: Result<VirtAddr>,
}

/// What a clock is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClockName {
    /// The function that tells its time.
    Function(VirtAddr),
    /// Its kind, as the kernel's types have it.
    Kind(String),
}

/// A clock of a CPU with its timers.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The `hrtimer_clock_base`.
    pub at: VirtAddr,
    /// What it is called; none where nothing says so.
    pub name: Option<ClockName>,
    /// By how much it is ahead of the monotonic clock, in nanoseconds.
    pub offset: Result<i64>,
    /// The timers, the one that is due first leading.
    pub timers: Vec<Timer>,
    /// Why there may be more.
    pub problems: Vec<KernelError>,
}

/// The clocks of a CPU.
#[derive(Clone, Debug)]
pub struct Clocks {
    /// The `hrtimer_cpu_base`.
    pub at: VirtAddr,
    /// The clocks.
    pub all: Vec<Clock>,
}

/// The clocks of a CPU.
///
/// # Errors
/// The kernel's symbols or types do not know them.
pub fn clocks(s: &Session, cpu: u32) -> Result<Clocks> {
    let at = s.per_cpu("hrtimer_bases", cpu)?;
    let (b, one) = (s.bind::<CpuBase>(), s.bind::<ClockBase>());
    let first = b.clocks.at(at)?;
    let size = one.size.filter(|size| *size > 0).ok_or(KernelError::NoType("hrtimer_clock_base"))?;
    let count = (b.clocks.size()? / size).min(MAX_CLOCKS);
    let all = (0..count).map(|n| clock(s, first.add(n * size))).collect::<Result<_>>()?;
    Ok(Clocks { at, all })
}

fn clock(s: &Session, at: VirtAddr) -> Result<Clock> {
    let (mem, b, own) = (s.mem(), s.bind::<ClockBase>(), s.bind::<HrTimer>());
    let node = own.node.offset()?;
    let offset = b.offset.int(mem, at);
    let mut out = Clock { at, name: name(s, at), offset, timers: Vec::new(), problems: Vec::new() };
    b.root.offset()?;
    let root = match b.root.ptr(mem, at) {
        Ok(root) => root,
        Err(e) => {
            out.problems.push(e);
            return Ok(out);
        }
    };
    let nodes = rbtree::nodes(mem, Layout::of(&s.bind::<RbNode>()), root, Order::Linear);
    out.problems = nodes.problems;
    for found in nodes.all {
        match timer(s, found.at.sub(node), at) {
            Ok(timer) => out.timers.push(timer),
            Err(e) => out.problems.push(e),
        }
    }
    Ok(out)
}

fn timer(s: &Session, at: VirtAddr, clock: VirtAddr) -> Result<Timer> {
    let (mem, b) = (s.mem(), s.bind::<HrTimer>());
    let base = b.base.ptr(mem, at)?;
    if base != clock {
        let why =
            format!("it says that it is of the clock at {base:#x}, and is in the tree of that at {clock:#x}");
        return Err(KernelError::Damaged { what: "hrtimer", at, why });
    }
    Ok(Timer {
        at,
        soft: b.soft.int(mem, at)?,
        expires: b.expires.int(mem, at)?,
        function: b.function.ptr(mem, at),
    })
}

/// What a clock is called: by the function that tells its time, since 6.18 by the kernel's own names of the kinds.
fn name(s: &Session, at: VirtAddr) -> Option<ClockName> {
    let (mem, b) = (s.mem(), s.bind::<ClockBase>());
    if b.get_time.exists() {
        return b.get_time.ptr(mem, at).ok().filter(|at| !at.is_null()).map(ClockName::Function);
    }
    let index = b.index.num(mem, at).ok()? & 0xffff_ffff;
    let kinds = s.types().first(None, Space::Enum, "hrtimer_base_type")?;
    let (_, resolved) = s.types().resolve(kinds).ok()?;
    let Type::Enum { values, .. } = &*resolved else { return None };
    let (name, _) = values.iter().find(|(_, value)| u64::try_from(*value) == Ok(index))?;
    Some(ClockName::Kind(name.to_string()))
}
