//! Timers that count ticks (`struct timer_list`, kernel/time/timer.c).
//!
//! Each CPU has a wheel of lists: until 4.7 one `tvec_base` with five wheels in each other, whose lists are circular until
//! 4.1 and hash lists since 4.2 (1dabbcec2c0a; kernels that took the later change back in have circular ones still). Since
//! 4.8 (500462a9de65) an array of `timer_base`s with one array of hash lists each: one or two of them, three since 6.9
//! (83a665dc99a7).
//!
//! **Invariant:** shape decides: the type of a list's head, and how many bases the variable has.

use crate::containers::hlist::{HLIST_HEAD, Hlists};
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::{Space, Type, TypeRef};
use rustc_hash::FxHashSet;

bind! {
    /// `struct timer_base` (4.8)
    struct TimerBase("timer_base") { vectors: "vectors", cpu: "cpu" }
}
bind! {
    /// `struct tvec_base` (until 4.7)
    struct TvecBase("tvec_base") {
        first: "tv1.vec",
        second: "tv2.vec",
        third: "tv3.vec",
        fourth: "tv4.vec",
        fifth: "tv5.vec",
    }
}
bind! {
    /// `struct timer_list`
    struct TimerList("timer_list") { entry: "entry", expires: "expires", function: "function" }
}

/// More timers than any list has.
const MAX_TIMERS: usize = 1 << 22;
/// What errors call a list.
const LIST: &str = "list of timers";
/// More lists than any wheel has: nine levels of 64.
const MAX_LISTS: u64 = 4096;
/// More bases than a CPU has.
const MAX_BASES: u64 = 8;
/// Bytes of a `list_head`.
const LIST_HEAD: u64 = 16;

/// A timer.
#[derive(Clone, Debug)]
pub struct Timer {
    /// The `timer_list`.
    pub at: VirtAddr,
    /// The tick at which it is due.
    pub expires: u64,
    /// What is called then.
    pub function: Result<VirtAddr>,
}

/// The wheel of a CPU, or one of them.
#[derive(Clone, Debug)]
pub struct Base {
    /// The `timer_base` or `tvec_base`.
    pub at: VirtAddr,
    /// What timers it has: `BASE_STD`, `BASE_DEF` ...; none before 4.8.
    pub name: Option<&'static str>,
    /// The timers, the one that is due first leading.
    pub timers: Vec<Timer>,
    /// Why there may be more.
    pub problems: Vec<KernelError>,
}

/// The kernel's counter of ticks.
///
/// # Errors
/// It is not known or not in the dump.
pub fn jiffies(s: &Session) -> Result<u64> {
    let at = match s.symbol("jiffies") {
        Some(at) => at,
        None => s.need_symbol("jiffies_64")?,
    };
    Ok(s.mem().u64(at)?)
}

/// The wheels of a CPU; `now` is the kernel's counter of ticks, by which the timers are ordered.
///
/// # Errors
/// The kernel's symbols or types do not know them.
pub fn bases(s: &Session, cpu: u32, now: u64) -> Result<Vec<Base>> {
    let new = s.bind::<TimerBase>();
    s.bind::<TimerList>().entry.offset()?;
    if new.vectors.exists() {
        let first = s.per_cpu("timer_bases", cpu)?;
        let size = new.size.filter(|size| *size > 0).ok_or(KernelError::NoType("timer_base"))?;
        let count = count_of_bases(s, size);
        let names = names(count);
        let all = (0..count).map(|n| {
            let at = first.add(n * size);
            let name = usize::try_from(n).ok().and_then(|n| names.get(n)).copied();
            base(s, at, name, cpu, now)
        });
        return all.collect();
    }
    let at = s.per_cpu("tvec_bases", cpu)?;
    // until 4.1 each CPU had a pointer, first to the one that served while booting
    let at = if s.symbol("boot_tvec_bases").is_some() { s.mem().ptr(at)? } else { at };
    old_base(s, at, now).map(|base| vec![base])
}

/// How many wheels a CPU has: as many as the variable's type says, else as have room in it.
fn count_of_bases(s: &Session, size: u64) -> u64 {
    let typed = s.types().first(None, Space::Variable, "timer_bases").and_then(|ty| {
        let (_, resolved) = s.types().resolve(ty).ok()?;
        match &*resolved {
            Type::Array { count, .. } => *count,
            _ => None,
        }
    });
    let room = || Some(s.locate(s.symbol("timer_bases")?)?.span? / size);
    typed.or_else(room).unwrap_or(1).clamp(1, MAX_BASES)
}

const fn names(count: u64) -> &'static [&'static str] {
    match count {
        0..=2 => &["BASE_STD", "BASE_DEF"],
        _ => &["BASE_LOCAL", "BASE_GLOBAL", "BASE_DEF"],
    }
}

fn base(s: &Session, at: VirtAddr, name: Option<&'static str>, cpu: u32, now: u64) -> Result<Base> {
    let (mem, b) = (s.mem(), s.bind::<TimerBase>());
    let mut out = Base { at, name, timers: Vec::new(), problems: Vec::new() };
    match b.cpu.num(mem, at).map(|own| own & 0xffff_ffff) {
        Ok(own) if own != u64::from(cpu) => {
            let why = format!("it says that it is of CPU {own}, and it is of CPU {cpu}");
            out.problems.push(KernelError::Damaged { what: "timer_base", at, why });
        }
        Ok(_) => {}
        Err(e @ KernelError::Fault(_)) => out.problems.push(e),
        Err(_) => {}
    }
    let first = b.vectors.at(at)?;
    let count = b.vectors.size()? / HLIST_HEAD;
    hash_lists(s, first, count, &mut Hlists::new(LIST, MAX_TIMERS), &mut out);
    order(&mut out, now);
    Ok(out)
}

fn old_base(s: &Session, at: VirtAddr, now: u64) -> Result<Base> {
    let b = s.bind::<TvecBase>();
    let mut out = Base { at, name: None, timers: Vec::new(), problems: Vec::new() };
    let (mut seen, mut lists) = (FxHashSet::default(), Hlists::new(LIST, MAX_TIMERS));
    for wheel in [&b.first, &b.second, &b.third, &b.fourth, &b.fifth] {
        let first = wheel.at(at)?;
        let (head, count) = heads(s, wheel.ty()?)?;
        if head == HLIST_HEAD {
            hash_lists(s, first, count, &mut lists, &mut out);
        } else {
            circular_lists(s, first, count, &mut seen, &mut out);
        }
    }
    order(&mut out, now);
    Ok(out)
}

/// Bytes of a list's head in an array of them, and how many there are.
fn heads(s: &Session, ty: TypeRef) -> Result<(u64, u64)> {
    let (_, resolved) = s.types().resolve(ty)?;
    match &*resolved {
        Type::Array { elem, count: Some(count) } => Ok((s.types().size_of(*elem)?, (*count).min(MAX_LISTS))),
        _ => Err(KernelError::NoMember { of: "tvec_base", member: "tv1.vec" }),
    }
}

/// What is due first leads; ticks wrap around.
fn order(base: &mut Base, now: u64) {
    base.timers.sort_by_key(|timer| timer.expires.wrapping_sub(now).cast_signed());
}

fn damaged(at: VirtAddr, why: String) -> KernelError {
    KernelError::Damaged { what: LIST, at, why }
}

/// The timers of so many hash lists, whose heads lie side by side from `first`.
fn hash_lists(s: &Session, first: VirtAddr, count: u64, lists: &mut Hlists, out: &mut Base) {
    let b = s.bind::<TimerList>();
    for n in 0..count.min(MAX_LISTS) {
        let Base { timers, problems, .. } = out;
        let walked = lists.walk(s, first.add(n * HLIST_HEAD), &mut |node| {
            timers.push(timer(s, b.entry.container(node)?)?);
            Ok(())
        });
        problems.extend(walked.err());
    }
}

/// The same of circular lists.
fn circular_lists(s: &Session, first: VirtAddr, count: u64, seen: &mut FxHashSet<VirtAddr>, out: &mut Base) {
    let b = s.bind::<TimerList>();
    for n in 0..count.min(MAX_LISTS) {
        let head = first.add(n * LIST_HEAD);
        let mut found = Vec::new();
        let problems = both_ways(s.mem(), head, &mut |node| {
            if !seen.insert(node) {
                return Err(damaged(head, format!("{node:#x} is in two lists")));
            }
            found.push(timer(s, b.entry.container(node)?)?);
            Ok(())
        });
        out.timers.append(&mut found);
        out.problems.extend(problems);
    }
}

fn timer(s: &Session, at: VirtAddr) -> Result<Timer> {
    let (mem, b) = (s.mem(), s.bind::<TimerList>());
    Ok(Timer { at, expires: b.expires.num(mem, at)?, function: b.function.ptr(mem, at) })
}
