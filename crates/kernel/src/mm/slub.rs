//! One object of a slab cache: where it begins, whether it is in use, who allocated and freed it.
//!
//! SLUB (mm/slub.c): a slab's objects lie one after the other; the free ones are chained through a pointer in
//! each, which CONFIG_SLAB_FREELIST_HARDENED mixes with a secret and its own address. Free objects may also lie in
//! a CPU's own chain (until 6.19), and since 6.18 in arrays (`struct slab_sheaf`) of those caches that have them. With
//! SLAB_STORE_USER (`slub_debug=U`) two `struct track` follow each object. Of SLAB (until 6.7) only the places of objects
//! are known.
//!
//! **Invariant:** an object is called free only where it was found in a chain or array of free ones, and in use only
//! where all of them were read to their end.

use crate::bind::Field;
use crate::containers::list::list;
use crate::error::{KernelError, Result};
use crate::mm::slab::{self, KmemCache, SlabPage};
use crate::mm::track::{self, Track};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct kmem_cache`, what places and chains its objects
    pub(super) struct CacheLayout("kmem_cache") {
        cpu_slab: "cpu_slab",
        sheaves: "cpu_sheaves", // 6.18
        flags: "flags",
        inuse: "inuse",
        red_left_pad: "red_left_pad",
        random: "random",
        order: "oo", // SLUB
        number: "num", // SLAB: objects of a slab
        debug_pad: "obj_offset", // SLAB
    }
}
bind! {
    /// `struct kmem_cache_cpu`
    pub(super) struct CacheCpu("kmem_cache_cpu") {
        freelist: "freelist",
        slab: "slab" | "page", // 5.17 (bb192ed9aa71)
        partial: "partial", // CONFIG_SLUB_CPU_PARTIAL since 4.13 (a93cf07bc3fb)
    }
}
bind! {
    /// `struct slub_percpu_sheaves`
    struct CpuSheaves("slub_percpu_sheaves") { main: "main", spare: "spare", rcu_free: "rcu_free" }
}
bind! {
    /// `struct slab_sheaf`
    struct Sheaf("slab_sheaf") { count: "size", objects: "objects", link: "barn_list" }
}
bind! {
    /// `struct node_barn`
    struct Barn("node_barn") { full: "sheaves_full" }
}

/// Slab flags, fixed until 6.8 and numbers of `enum _slab_flag_bits` since.
const RED_ZONE: (u64, &str) = (0x400, "_SLAB_RED_ZONE");
const POISON: (u64, &str) = (0x800, "_SLAB_POISON");
const STORE_USER: (u64, &str) = (0x1_0000, "_SLAB_STORE_USER");
/// More objects than a slab has.
const MAX_OBJECTS: u64 = 1 << 15;
/// More sheaves than a node keeps full.
const MAX_SHEAVES: usize = 64;
/// Poison of free objects, of their last byte, and of red zones (include/linux/poison.h).
const FREE: u8 = 0x6b;
const END: u8 = 0xa5;
const RED_FREE: u8 = 0xbb;
const RED_USED: u8 = 0xcc;

/// Whether an object is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It is in no chain of free objects.
    Allocated,
    /// It is free.
    Free,
    /// A chain of free objects cannot be read to its end.
    Unknown,
}

impl State {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            State::Allocated => "allocated",
            State::Free => "free",
            State::Unknown => "state unknown",
        }
    }
}

/// An object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its cache's name.
    pub cache: String,
    /// `struct kmem_cache`.
    pub cache_at: VirtAddr,
    /// Where it begins.
    pub at: VirtAddr,
    /// Its size.
    pub size: u64,
    /// Bytes from its begin to the address asked for.
    pub offset: u64,
    /// Whether it is in use.
    pub state: State,
    /// Who allocated it, where the cache keeps that.
    pub allocated: Option<Track>,
    /// Who freed it last.
    pub freed: Option<Track>,
    /// What is wrong with it: bytes that its poison or red zone should have.
    pub damage: Vec<String>,
    /// What of it is not in the dump, in words.
    pub unread: Vec<&'static str>,
}

/// What of the allocator's own data the dump lost, by which it cannot be told whether an object is at an address, or in use.
#[must_use]
pub fn lost_at(s: &Session, at: VirtAddr) -> Option<KernelError> {
    match object_at(s, at) {
        Some(object) if object.state == State::Unknown => Some(KernelError::Open(format!(
            "which objects of slab cache {} are free cannot be read",
            object.cache
        ))),
        Some(_) => None,
        None => unread_at(s, at).err().filter(KernelError::is_loss),
    }
}

/// Reads what tells whose an address is.
fn unread_at(s: &Session, at: VirtAddr) -> Result<()> {
    let mem = s.mem();
    let Some(page) = slab::page_at(s, at)? else { return Ok(()) };
    mem.u64(page)?;
    let Some((head, _)) = slab::head_page(s, at) else { return Ok(()) };
    let cache = s.bind::<SlabPage>().cache.ptr(mem, head)?;
    let caches = slab::caches(s);
    // of a page that is no slab's the word is no cache
    if caches.all.contains(&cache) || !caches.problems.is_empty() {
        let b = s.bind::<KmemCache>();
        b.name.string(mem, cache, 64)?;
        b.object_size.num(mem, cache)?;
        b.slot_size.num(mem, cache)?;
        objects_of(s, head)?;
    }
    Ok(())
}

/// A slab: its cache, its `struct slab`, its first byte.
pub(super) struct Slab {
    cache: VirtAddr,
    at: VirtAddr,
    start: VirtAddr,
    slot: u64,
    pad: u64,
    objects: u64,
    /// SLUB: its free objects are chained.
    chained: bool,
}

impl Slab {
    pub(super) fn of(s: &Session, at: VirtAddr) -> Option<Self> {
        let (head, pfn) = slab::head_page(s, at)?;
        let mem = s.mem();
        let (page, layout) = (s.bind::<SlabPage>(), s.bind::<CacheLayout>());
        let cache = page.cache.ptr(mem, head).ok()?;
        let slot =
            s.bind::<KmemCache>().slot_size.num(mem, cache).ok().filter(|n| *n >= 8 && *n < 1 << 22)?;
        // a member that this kernel does not have is no padding; one that cannot be read is not known
        let pad = |field: &Field| if field.exists() { field.num(mem, cache).ok() } else { Some(0) };
        let chained = layout.order.exists() || !layout.number.exists();
        let (start, pad, objects) = if chained {
            let objects = objects_of(s, head).ok()?;
            (slab::direct_map_base(s).ok()?.add(pfn << s.page_shift()), pad(&layout.red_left_pad)?, objects)
        } else {
            let objects = layout.number.num(mem, cache).ok()?;
            (page.first.ptr(mem, head).ok()?, pad(&layout.debug_pad)?, objects)
        };
        let objects = objects.min(MAX_OBJECTS);
        (objects > 0).then_some(Self { cache, at: head, start, slot, pad, objects, chained })
    }

    /// Where its objects begin.
    pub(super) fn objects(&self) -> impl Iterator<Item = VirtAddr> {
        (0..self.objects).map(|n| self.start.add(n * self.slot + self.pad))
    }

    pub(super) fn contains(&self, at: VirtAddr) -> bool {
        let offset = at.0.wrapping_sub(self.start.0);
        offset < self.objects.saturating_mul(self.slot) && offset % self.slot == self.pad
    }
}

/// Objects that a slab of SLUB has room for, by its `struct slab`.
pub(super) fn objects_of(s: &Session, at: VirtAddr) -> Result<u64> {
    let page = s.bind::<SlabPage>();
    match page.objects.bits() {
        Some(_) => page.objects.num(s.mem(), at),
        None => Ok(page.counters.num(s.mem(), at)? >> 16 & 0x7fff),
    }
}

/// True for a cache that keeps who uses its objects.
pub(super) fn keeps_users(s: &Session, cache: VirtAddr) -> Result<bool> {
    Ok(has(s, s.bind::<CacheLayout>().flags.num(s.mem(), cache)?, STORE_USER))
}

/// A flag of a cache.
fn has(s: &Session, flags: u64, (old, name): (u64, &str)) -> bool {
    let bit = s.types().find_enumerator(name).into_iter().find_map(|(_, value)| u32::try_from(value).ok());
    match bit.filter(|b| *b < 64) {
        Some(bit) => flags >> bit & 1 == 1,
        None => flags & old != 0,
    }
}

/// The object of a slab cache that an address lies in; `None` for other memory.
#[must_use]
pub fn object_at(s: &Session, at: VirtAddr) -> Option<Object> {
    let name = slab::cache_of(s, at)?.to_owned();
    let slab = Slab::of(s, at)?;
    let mem = s.mem();
    let index = at.0.checked_sub(slab.start.0)? / slab.slot;
    if index >= slab.objects {
        return None;
    }
    let begin = slab.start.add(index * slab.slot + slab.pad);
    let size = s.bind::<KmemCache>().object_size.num(mem, slab.cache).ok()?;
    let layout = s.bind::<CacheLayout>();
    let flags = match layout.flags.num(mem, slab.cache) {
        // what the cache keeps beside its objects is not known
        Err(KernelError::Fault(_)) => return None,
        flags => flags.unwrap_or(0),
    };
    let mut out = Object {
        cache: name,
        cache_at: slab.cache,
        at: begin,
        size,
        offset: at.0.wrapping_sub(begin.0),
        state: state(s, &slab, begin),
        allocated: None,
        freed: None,
        damage: Vec::new(),
        unread: Vec::new(),
    };
    if has(s, flags, STORE_USER) {
        let end = info_end(s, &slab, size);
        let mut track = |behind: u64, words| {
            let read = match &end {
                Ok(end) => end.map_or(Ok(None), |end| track::read(s, begin.add(end + behind))),
                Err(e) => Err(e.clone()),
            };
            out.unread.extend(track::lost(&read, words));
            read.ok().flatten()
        };
        (out.allocated, out.freed) = (track(0, "who allocated it"), track(track::size(s), "who freed it"));
    }
    if has(s, flags, RED_ZONE) {
        let zone = red_zone(s, &slab, begin, size);
        out.unread.extend(track::lost(&zone, "its red zone"));
        let (state, damage) = by_red_zone(out.state, size, &zone.unwrap_or_default());
        out.state = state;
        out.damage.extend(damage);
    }
    if out.state == State::Free && has(s, flags, POISON) {
        let damage = poisoned(s, &slab, begin, size);
        out.unread.extend(track::lost(&damage, "its poison"));
        out.damage.extend(damage.ok().flatten());
    }
    Some(out)
}

/// Bytes from an object's begin to the tracks: behind the free pointer where that lies outside. `None` where a slot has no
/// room for them.
fn info_end(s: &Session, slab: &Slab, size: u64) -> Result<Option<u64>> {
    let inuse = s.bind::<CacheLayout>().inuse.num(s.mem(), slab.cache)?;
    let offset = s.bind::<KmemCache>().offset.num(s.mem(), slab.cache)?;
    let end = if offset >= inuse { inuse.saturating_add(8) } else { inuse };
    Ok((end >= size && end < slab.slot).then_some(end))
}

/// What of a free object's poison is overwritten. The free pointer may lie within it.
fn poisoned(s: &Session, slab: &Slab, begin: VirtAddr, size: u64) -> Result<Option<String>> {
    let bytes = s.mem().bytes(begin, size.min(1 << 16) as usize)?;
    let pointer = s.bind::<KmemCache>().offset.num(s.mem(), slab.cache)?;
    let wrong = (0_u64..).zip(&bytes).find(|(n, byte)| {
        let want = if n + 1 == size { END } else { FREE };
        let is_pointer = *n >= pointer && *n < pointer + 8;
        **byte != want && !is_pointer
    });
    Ok(wrong.map(|(n, byte)| format!("its poison is overwritten at +{n:#x}: {byte:02x}")))
}

/// The red zone behind an object; empty where there is none.
fn red_zone(s: &Session, slab: &Slab, begin: VirtAddr, size: u64) -> Result<Vec<u8>> {
    let inuse = s.bind::<CacheLayout>().inuse.num(s.mem(), slab.cache)?;
    match inuse.checked_sub(size).filter(|len| *len <= 64) {
        Some(len) => Ok(s.mem().bytes(begin.add(size), len as usize)?),
        None => Ok(Vec::new()),
    }
}

/// What an object's red zone says beside the chains. The allocator takes a slab that it found damaged out of use, with
/// no chain of free objects left: an object without chain and with the red zone of a free one is neither.
fn by_red_zone(state: State, size: u64, zone: &[u8]) -> (State, Option<String>) {
    let (want, other) = match state {
        State::Free => (RED_FREE, RED_USED),
        State::Allocated => (RED_USED, RED_FREE),
        State::Unknown => return (state, None),
    };
    if zone.is_empty() || zone.iter().all(|b| *b == want) {
        return (state, None);
    }
    if zone.iter().all(|b| *b == other) {
        let text = match state {
            State::Allocated => "in no chain of free ones, but with the red zone of a free one",
            _ => "in a chain of free ones, but with the red zone of one in use",
        };
        return (State::Unknown, Some(text.into()));
    }
    let wrong = (size..).zip(zone).find(|(_, byte)| **byte != want);
    (state, wrong.map(|(at, byte)| format!("its red zone is overwritten at +{at:#x}: {byte:02x}")))
}

/// Whether an object is in one of the places of free ones.
fn state(s: &Session, slab: &Slab, object: VirtAddr) -> State {
    let chains = chains(s, slab);
    let mut whole = chains.is_some();
    for start in chains.into_iter().flatten() {
        match in_chain(s, slab, start, object) {
            Some(true) => return State::Free,
            Some(false) => {}
            None => whole = false,
        }
    }
    match in_sheaves(s, slab, object) {
        Some(true) => State::Free,
        Some(false) if whole => State::Allocated,
        _ => State::Unknown,
    }
}

/// The heads of the chains of free objects of a slab: its own, and those of CPUs that allocate from it.
fn chains(s: &Session, slab: &Slab) -> Option<Vec<VirtAddr>> {
    if !slab.chained {
        return None;
    }
    let mem = s.mem();
    let mut out = vec![s.bind::<SlabPage>().freelist.ptr(mem, slab.at).ok()?];
    let layout = s.bind::<CacheLayout>();
    if !layout.cpu_slab.exists() {
        return Some(out);
    }
    let per_cpu = layout.cpu_slab.ptr(mem, slab.cache).ok()?;
    if per_cpu.is_null() {
        return Some(out);
    }
    let b = s.bind::<CacheCpu>();
    for &cpu in &s.cpus().possible {
        let one = per_cpu.add(crate::sched::cpu::per_cpu_offset(s, cpu).ok()?);
        if b.slab.ptr(mem, one).ok()? == slab.at {
            out.push(b.freelist.ptr(mem, one).ok()?);
        }
    }
    Some(out)
}

/// The objects of a chain of free ones; an error where it cannot be read to its end.
pub(super) fn links<'a>(
    s: &'a Session,
    slab: &'a Slab,
    start: VirtAddr,
) -> impl Iterator<Item = Result<VirtAddr>> + 'a {
    // the next one, or the last whose pointer could not be read
    let mut here = Some(Ok(start));
    let mut seen = FxHashSet::default();
    let damaged = |why| KernelError::Damaged { what: "slab", at: slab.at, why };
    std::iter::from_fn(move || {
        let at = match here.take()? {
            Ok(at) => Some(at).filter(|at| !at.is_null())?,
            Err(last) => {
                let why = format!("the pointer of its free object at {last:#x} leads to no other one");
                return Some(Err(damaged(why)));
            }
        };
        // a page that is no slab any more, or a chain overwritten
        if !slab.contains(at) {
            return Some(Err(damaged(format!("its chain of free objects leads to {at:#x}"))));
        }
        if !seen.insert(at) {
            return Some(Err(damaged(format!("its chain of free objects comes back to {at:#x}"))));
        }
        here = Some(next(s, slab, at).ok_or(at));
        Some(Ok(at))
    })
}

/// The whole chain of free objects that begins at `start`.
pub(super) fn chain(s: &Session, slab: &Slab, start: VirtAddr) -> Result<Vec<VirtAddr>> {
    links(s, slab, start).collect()
}

/// True where a chain of free objects has this one; `None` where the chain cannot be read to its end.
fn in_chain(s: &Session, slab: &Slab, start: VirtAddr, object: VirtAddr) -> Option<bool> {
    for at in links(s, slab, start) {
        if at.ok()? == object {
            return Some(true);
        }
    }
    Some(false)
}

/// The object that a free one points to, by each of the ways in which kernels have hidden that.
fn next(s: &Session, slab: &Slab, object: VirtAddr) -> Option<VirtAddr> {
    let mem = s.mem();
    let at = object.add(s.bind::<KmemCache>().offset.num(mem, slab.cache).ok()?);
    let raw = mem.u64(at).ok()?;
    let layout = s.bind::<CacheLayout>();
    if !layout.random.exists() {
        return Some(VirtAddr(raw)).filter(|n| n.is_null() || slab.contains(*n));
    }
    let secret = layout.random.num(mem, slab.cache).ok()?;
    // the address's bytes are swapped since 5.7 (1ad53d9fa3f6)
    [raw ^ secret ^ at.0.swap_bytes(), raw ^ secret ^ at.0]
        .into_iter()
        .map(VirtAddr)
        .find(|n| n.is_null() || slab.contains(*n))
}

/// True where an array of free objects has this one: of a CPU, or of a node's full ones. A cache that has no such arrays
/// (6.18, 6.19: all that did not ask for them) has a null pointer in their place.
fn in_sheaves(s: &Session, slab: &Slab, object: VirtAddr) -> Option<bool> {
    let mut whole = true;
    for sheaf in sheaves(s, slab.cache) {
        match sheaf.and_then(|(at, _)| in_sheaf(s, at).ok()) {
            Some(all) if all.contains(&object) => return Some(true),
            Some(_) => {}
            None => whole = false,
        }
    }
    whole.then_some(false)
}

/// More objects than a sheaf has room for.
const MAX_IN_SHEAF: u64 = 1024;

/// The free objects in a sheaf.
pub(super) fn in_sheaf(s: &Session, at: VirtAddr) -> Result<Vec<VirtAddr>> {
    let (mem, b) = (s.mem(), s.bind::<Sheaf>());
    let count = u64::from(b.count.u32(mem, at)?);
    if count > MAX_IN_SHEAF {
        let why = format!("it has {count} objects");
        return Err(KernelError::Damaged { what: "slab_sheaf", at, why });
    }
    let objects = b.objects.at(at)?;
    (0..count).map(|n| Ok(mem.ptr(objects.add(n * 8))?)).collect()
}

/// Whose a sheaf is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SheafOf {
    /// A CPU's: which of its own it is (`main`, `spare`, `rcu_free`).
    Cpu(u32, &'static str),
    /// A node's full one.
    Node(u64),
}

/// The arrays of free objects that a cache has; nothing in the place of those that cannot be found.
pub(super) fn sheaves(s: &Session, cache: VirtAddr) -> Vec<Option<(VirtAddr, SheafOf)>> {
    let layout = s.bind::<CacheLayout>();
    if !layout.sheaves.exists() {
        return Vec::new();
    }
    let mem = s.mem();
    let mut out = Vec::new();
    let b = s.bind::<CpuSheaves>();
    match layout.sheaves.ptr(mem, cache) {
        Ok(per_cpu) if per_cpu.is_null() => {}
        Ok(per_cpu) => {
            for &cpu in &s.cpus().possible {
                let one = crate::sched::cpu::per_cpu_offset(s, cpu).ok().map(|offset| per_cpu.add(offset));
                let own = [("main", &b.main), ("spare", &b.spare), ("rcu_free", &b.rcu_free)];
                out.extend(
                    own.map(|(name, field)| Some((field.ptr(mem, one?).ok()?, SheafOf::Cpu(cpu, name)))),
                );
            }
        }
        Err(_) => out.push(None),
    }
    let Some(nodes) = slab::nodes_of(s, cache) else {
        out.push(None);
        return out;
    };
    let (full, sheaf) = (s.bind::<Barn>(), s.bind::<Sheaf>());
    for node in nodes.into_iter().filter(|node| !node.barn.is_null()) {
        match full.full.at(node.barn) {
            Ok(head) => {
                let mut links = list(mem, head);
                let of = SheafOf::Node(node.number);
                let found = links.by_ref().take(MAX_SHEAVES);
                out.extend(found.map(|link| Some((sheaf.link.container(link.ok()?).ok()?, of))));
                // what is not looked at is not known
                out.extend(links.next().map(|_| None));
            }
            Err(_) => out.push(None),
        }
    }
    out.retain(|sheaf| sheaf.is_none_or(|(at, _)| !at.is_null()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_red_zone_that_contradicts_the_chains_leaves_the_state_open() {
        assert_eq!(by_red_zone(State::Allocated, 96, &[0xcc; 8]), (State::Allocated, None));
        assert_eq!(by_red_zone(State::Allocated, 96, &[]), (State::Allocated, None));
        let (state, text) = by_red_zone(State::Allocated, 96, &[0xbb; 8]);
        assert_eq!(state, State::Unknown);
        assert!(text.unwrap().contains("red zone of a free one"));
        assert_eq!(by_red_zone(State::Free, 96, &[0xcc; 8]).0, State::Unknown);
        let (state, text) = by_red_zone(State::Allocated, 96, &[0xcc, 0xcc, 0x6f, 0xcc]);
        assert_eq!(state, State::Allocated);
        assert_eq!(text.unwrap(), "its red zone is overwritten at +0x62: 6f");
        assert_eq!(by_red_zone(State::Unknown, 96, &[1; 8]), (State::Unknown, None));
    }
}
