//! Bitmaps over several words, and queues on them (`struct sbitmap`, `struct sbitmap_queue`, lib/sbitmap.c; 4.9).

use crate::error::{KernelError, Result};
use crate::sched::cpu;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct sbitmap`
    struct SbitmapStruct("sbitmap") {
        depth: "depth",
        shift: "shift",
        words: "map_nr",
        map: "map",
        hint: "alloc_hint", // 5.13 (c548e62bcf6a), before in the queue
        round_robin: "round_robin", // 5.13 (efe1f3a1d583)
    }
}
bind! {
    /// `struct sbitmap_word`
    struct SbitmapWord("sbitmap_word") {
        word: "word",
        depth: "depth", // to 5.17 (3301bc53358a)
        cleared: "cleared", // 5.0 (ea86ea2cdced)
    }
}
bind! {
    /// `struct sbitmap_queue`
    struct SbitmapQueue("sbitmap_queue") {
        sb: "sb",
        hint: "alloc_hint",
        wake_batch: "wake_batch",
        wake_index: "wake_index",
        states: "ws",
        active: "ws_active",
        round_robin: "round_robin",
        shallow: "min_shallow_depth", // 4.18
    }
}
bind! {
    /// `struct sbq_wait_state`
    struct SbqWaitState("sbq_wait_state") { count: "wait_cnt", list: "wait.head" | "wait.task_list" } // 4.13 (2055da97389a)
}

/// More bits than a bitmap has: a request each.
const MAX_DEPTH: u64 = 1 << 24;
/// `SBQ_WAIT_QUEUES`
const WAIT_STATES: u64 = 8;

/// A bitmap.
#[derive(Clone, Debug)]
pub struct Sbitmap {
    /// How many bits it has.
    pub depth: u64,
    /// How many of them are in a word.
    pub bits_per_word: u64,
    /// How many words there are.
    pub words: u64,
    /// The bits that are set and not cleared, ascending.
    pub busy: Vec<u64>,
    /// How many bits are cleared, and still set in their word.
    pub cleared: u64,
    /// Why more bits may be set.
    pub problems: Vec<KernelError>,
}

/// Who waits for a bit.
#[derive(Clone, Debug)]
pub struct WaitState {
    /// How many bits have to be cleared before they are woken.
    pub count: Result<i64>,
    /// True where somebody waits.
    pub is_active: Result<bool>,
}

/// What a queue has beside its bitmap.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The bitmap.
    pub bitmap: Sbitmap,
    /// Where each CPU begins to look for a bit that is free.
    pub hints: Vec<Result<u64>>,
    /// How many are woken at once.
    pub wake_batch: Result<u64>,
    /// Which of those who wait is next.
    pub wake_index: Result<i64>,
    /// How many wait; none to 4.20.
    pub active: Option<Result<i64>>,
    /// Those who wait.
    pub states: Vec<WaitState>,
    /// True where bits are taken in turn.
    pub round_robin: Option<Result<bool>>,
    /// The smallest part of the depth that anybody asks for; none to 4.17.
    pub shallow: Option<Result<u64>>,
}

/// The bitmap at an address.
///
/// # Errors
/// It is not in the dump, or none: its numbers do not fit one another.
pub fn bitmap(s: &Session, at: VirtAddr) -> Result<Sbitmap> {
    let (b, mem) = (s.bind::<SbitmapStruct>(), s.mem());
    let half = |value: Result<u64>| value.map(|n| n & 0xffff_ffff);
    let (depth, words) = (half(b.depth.num(mem, at))?, half(b.words.num(mem, at))?);
    let shift = half(b.shift.num(mem, at))?;
    let bits_per_word = 1_u64.checked_shl(u32::try_from(shift).unwrap_or(64)).filter(|bits| *bits <= 64);
    let fits = |bits: u64| depth <= MAX_DEPTH && words == depth.div_ceil(bits);
    let Some(bits_per_word) = bits_per_word.filter(|bits| fits(*bits)) else {
        let why = format!("it has {depth} bits in {words} words of 2^{shift}");
        return Err(KernelError::Damaged { what: "sbitmap", at, why });
    };
    let mut out = Sbitmap { depth, bits_per_word, words, busy: Vec::new(), cleared: 0, problems: Vec::new() };
    if depth == 0 {
        return Ok(out);
    }
    let map = b.map.ptr(mem, at)?;
    let w = s.bind::<SbitmapWord>();
    let size = w.size.ok_or(KernelError::NoType("sbitmap_word"))?;
    for n in 0..words {
        let word = map.add(n.wrapping_mul(size));
        let first = n * bits_per_word;
        let rest = (depth - first).min(bits_per_word);
        match bits(s, word, rest) {
            Ok((set, cleared)) => {
                out.cleared = out.cleared.saturating_add(u64::from((set & cleared).count_ones()));
                let busy = set & !cleared;
                out.busy.extend((0..bits_per_word).filter(|bit| busy >> bit & 1 == 1).map(|bit| first + bit));
            }
            Err(e) => out.problems.push(e),
        }
    }
    Ok(out)
}

/// The bits of a word of so many that are set, and that are cleared.
fn bits(s: &Session, at: VirtAddr, count: u64) -> Result<(u64, u64)> {
    let (w, mem) = (s.bind::<SbitmapWord>(), s.mem());
    if w.depth.exists() {
        let own = w.depth.num(mem, at)?;
        if own != count {
            let why = format!("it has {own} bits, and its bitmap gives it {count}");
            return Err(KernelError::Damaged { what: "sbitmap_word", at, why });
        }
    }
    let mask = u64::MAX.checked_shr(u32::try_from(64 - count.min(64)).unwrap_or(64)).unwrap_or(0);
    let cleared = if w.cleared.exists() { w.cleared.num(mem, at)? } else { 0 };
    Ok((w.word.num(mem, at)? & mask, cleared & mask))
}

/// The queue at an address.
///
/// # Errors
/// It is not in the dump, or none.
pub fn queue(s: &Session, at: VirtAddr) -> Result<Queue> {
    let (b, mem) = (s.bind::<SbitmapQueue>(), s.mem());
    let sb = b.sb.at(at)?;
    let bitmap = bitmap(s, sb)?;
    let own = s.bind::<SbitmapStruct>();
    let hint = if own.hint.exists() { own.hint.ptr(mem, sb) } else { b.hint.ptr(mem, at) };
    let hints = s.cpus().possible.iter().map(|cpu| {
        let hint = hint.clone()?;
        let place = hint.add(cpu::per_cpu_offset(s, *cpu)?);
        Ok(u64::from(mem.u32(place)?))
    });
    let hints = if hint.as_ref().is_ok_and(|hint| hint.is_null()) { Vec::new() } else { hints.collect() };
    let round_robin = match (own.round_robin.exists(), b.round_robin.exists()) {
        (true, _) => Some(own.round_robin.num(mem, sb)),
        (false, true) => Some(b.round_robin.num(mem, at)),
        (false, false) => None,
    };
    let counter = |value: Result<u64>| value.map(|n| i64::from((n as u32).cast_signed()));
    Ok(Queue {
        bitmap,
        hints,
        wake_batch: b.wake_batch.num(mem, at).map(|n| n & 0xffff_ffff),
        wake_index: b.wake_index.u32(mem, at).map(|n| i64::from(n.cast_signed())),
        active: b.active.exists().then(|| counter(b.active.u32(mem, at).map(u64::from))),
        states: states(s, at)?,
        round_robin: round_robin.map(|value| value.map(|n| n != 0)),
        shallow: b.shallow.exists().then(|| b.shallow.num(mem, at).map(|n| n & 0xffff_ffff)),
    })
}

fn states(s: &Session, queue: VirtAddr) -> Result<Vec<WaitState>> {
    let (b, mem) = (s.bind::<SbqWaitState>(), s.mem());
    let first = s.bind::<SbitmapQueue>().states.ptr(mem, queue)?;
    let size = b.size.ok_or(KernelError::NoType("sbq_wait_state"))?;
    let state = |n: u64| {
        let at = first.add(n.wrapping_mul(size));
        WaitState {
            count: b.count.u32(mem, at).map(|n| i64::from(n.cast_signed())),
            is_active: b.list.at(at).and_then(|list| Ok(mem.ptr(list)? != list)),
        }
    };
    Ok((0..WAIT_STATES).map(state).collect())
}
