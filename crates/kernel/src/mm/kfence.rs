//! KFENCE's objects (mm/kfence): each has a page of its own between two that nothing may touch, and a `struct
//! kfence_metadata` that says who allocated and freed it.
//!
//! The pool begins with two pages without an object; object `n` is in page 2n + 2. The metadata is an array of the image
//! until 6.6 (cabdf74e6b31), and behind a pointer since. What lies around an object in its page has a pattern that
//! depends on the address (`KFENCE_CANARY_PATTERN_U8`).
//!
//! **Invariant:** metadata counts only where it says an address in its own object's page, so that the two forms cannot be
//! mistaken, and nothing behind the pool is taken for an object.

use crate::error::Result;
use crate::mm::slab;
use crate::mm::track::{self, Track, When};
use crate::session::Session;
use base::{PhysAddr, VirtAddr, VirtRead};

bind! {
    /// `struct kfence_metadata`
    struct Metadata("kfence_metadata") {
        state: "state", at: "addr", length: "size", cache: "cache", allocated: "alloc_track", freed: "free_track",
    }
}
bind! {
    /// `struct kfence_track`
    struct KfenceTrack("kfence_track") {
        pid: "pid", cpu: "cpu", clock: "ts_nsec", count: "num_stack_entries", stack: "stack_entries",
    }
}

/// More objects than a pool has (`CONFIG_KFENCE_NUM_OBJECTS`).
const MAX_OBJECTS: u64 = 65535;
/// More return addresses than a track has (`KFENCE_STACK_DEPTH`).
const MAX_FRAMES: u64 = 64;

/// Whether an object is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It was never in use.
    Unused,
    /// It is in use.
    Allocated,
    /// It will be free when all readers of RCU are through (6.12).
    Freeing,
    /// It is free.
    Freed,
}

/// Where an address lies, from the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// So many bytes into it.
    Inside(u64),
    /// So many bytes before its first.
    Before(u64),
    /// So many bytes behind its last.
    Behind(u64),
}

/// An object of KFENCE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guarded {
    /// Its number, as the kernel's reports have it (`kfence-#7`).
    pub number: u64,
    /// `struct kfence_metadata`
    pub metadata: VirtAddr,
    /// Where it begins.
    pub at: VirtAddr,
    /// Its size.
    pub size: u64,
    /// Its slab cache's name.
    pub cache: Option<String>,
    /// Whether it is in use.
    pub state: State,
    /// Where the address asked for lies.
    pub place: Place,
    /// Who allocated it.
    pub allocated: Option<Track>,
    /// Who freed it; never of an earlier object at the same place.
    pub freed: Option<Track>,
    /// The first byte in its page that was overwritten beside it: bytes from its begin, and what is there.
    pub overwritten: Option<(i64, u8)>,
    /// What of it is not in the dump, in words.
    pub unread: Vec<&'static str>,
}

/// Where a `struct kfence_metadata` has what.
#[derive(Clone, Copy, Debug)]
struct Layout {
    size: u64,
    at: u64,
}

/// The pool and the array of its metadata.
struct Pool {
    start: VirtAddr,
    table: VirtAddr,
    layout: Layout,
    /// Bytes of a page.
    page_size: u64,
}

impl Pool {
    fn of(s: &Session) -> Option<Self> {
        let start = start(s)?;
        let b = s.bind::<Metadata>();
        let layout = Layout { size: b.size.filter(|n| *n > 0)?, at: b.at.offset().ok()? };
        let symbol = s.symbol("kfence_metadata")?;
        let behind = s.mem().ptr(symbol).ok();
        let tables = [Some(symbol), behind].into_iter().flatten();
        let of = |table| Self { start, table, layout, page_size: s.page_size() };
        tables.map(of).find(|pool| pool.metadata(s.mem(), 0).is_some())
    }

    /// The metadata of an object, where it says that it is.
    fn metadata(&self, mem: &dyn VirtRead, number: u64) -> Option<VirtAddr> {
        let meta = self.table.add(number.checked_mul(self.layout.size)?);
        let at = mem.ptr(meta.add(self.layout.at)).ok()?;
        let own = (number < MAX_OBJECTS).then(|| self.page(number))?;
        (at.0 & !(self.page_size - 1) == own.0).then_some(meta)
    }

    /// The page of an object.
    const fn page(&self, number: u64) -> VirtAddr {
        VirtAddr(self.start.0.wrapping_add((number + 1) * 2 * self.page_size))
    }

    /// The objects that an address may belong to: the one whose page it is in, or the two beside the page that nothing
    /// may touch.
    const fn numbers(&self, at: VirtAddr) -> [Option<u64>; 2] {
        let page = at.0.wrapping_sub(self.start.0) / self.page_size;
        let left = (page / 2).checked_sub(1);
        match page % 2 {
            0 => [left, None],
            _ => [left, Some(page / 2)],
        }
    }
}

/// Where the pool begins.
fn start(s: &Session) -> Option<VirtAddr> {
    let at = s.symbol("__kfence_pool")?;
    s.mem().ptr(at).ok().filter(|pool| s.arch().is_kernel(*pool) && pool.0 % s.page_size() == 0)
}

/// True for an address in KFENCE's pool, where no other allocator's lists count.
#[must_use]
pub fn is_in_pool(s: &Session, at: VirtAddr) -> bool {
    let Some(first) = start(s) else { return false };
    let offset = at.0.wrapping_sub(first.0);
    // two pages before the first object are nobody's
    let numbers = |pool: &Pool| match offset / s.page_size() {
        0 | 1 => [Some(0), None],
        _ => pool.numbers(at),
    };
    offset < (MAX_OBJECTS + 1) * 2 * s.page_size()
        && Pool::of(s).is_some_and(|pool| {
            numbers(&pool).into_iter().flatten().any(|n| pool.metadata(s.mem(), n).is_some())
        })
}

/// The object that an address belongs to; `None` for other memory, and for a page between two objects of which neither
/// is in use.
#[must_use]
pub fn object_at(s: &Session, at: VirtAddr) -> Option<Guarded> {
    let pool = Pool::of(s)?;
    let [left, right] = pool.numbers(at);
    let one = |number: u64| object(s, &pool, number, at);
    if right.is_none() {
        return left.and_then(one);
    }
    let used = |o: &Guarded| o.state == State::Allocated;
    nearest([left, right].into_iter().flatten().filter_map(one).filter(used))
}

/// Where the object with a number begins, as the kernel's reports name it (`kfence-#7`).
#[must_use]
pub fn numbered(s: &Session, number: u64) -> Option<VirtAddr> {
    let pool = Pool::of(s)?;
    let metadata = pool.metadata(s.mem(), number)?;
    s.bind::<Metadata>().at.ptr(s.mem(), metadata).ok()
}

/// Of two objects beside an address the nearer one.
fn nearest(all: impl Iterator<Item = Guarded>) -> Option<Guarded> {
    all.min_by_key(|o| match o.place {
        Place::Inside(_) => 0,
        Place::Before(n) | Place::Behind(n) => n,
    })
}

/// Where an address lies from an object.
const fn place(at: VirtAddr, start: VirtAddr, size: u64) -> Place {
    if at.0 < start.0 {
        return Place::Before(start.0 - at.0);
    }
    match (at.0 - start.0).checked_sub(size) {
        None => Place::Inside(at.0 - start.0),
        Some(behind) => Place::Behind(behind),
    }
}

fn object(s: &Session, pool: &Pool, number: u64, at: VirtAddr) -> Option<Guarded> {
    let mem = s.mem();
    let metadata = pool.metadata(mem, number)?;
    let b = s.bind::<Metadata>();
    let state = state(s, b.state.num(mem, metadata).ok()?)?;
    let start = b.at.ptr(mem, metadata).ok()?;
    let size = b.length.num(mem, metadata).ok().filter(|n| *n <= pool.page_size)?;
    let cache = b.cache.ptr(mem, metadata).ok().and_then(|at| slab::cache_names(s).get(&at).cloned());
    let used = state != State::Unused;
    let gone = matches!(state, State::Freed | State::Freeing);
    let mut unread = Vec::new();
    let mut track = |field: &crate::bind::Field, there: bool, words| {
        let found = field.at(metadata).ok().filter(|_| there).map(|at| track(s, at))?;
        unread.extend(track::lost(&found, words));
        found.ok()
    };
    let (allocated, freed) =
        (track(&b.allocated, used, "who allocated it"), track(&b.freed, gone, "who freed it"));
    let page = used.then(|| page_of(s, pool.page(number))).flatten();
    if used && page.is_none() {
        unread.push("its page");
    }
    let overwritten = page.and_then(|bytes| overwritten(&bytes, pool.page(number), start, size));
    Some(Guarded {
        number,
        metadata,
        at: start,
        size,
        cache,
        state,
        place: place(at, start, size),
        allocated,
        freed,
        overwritten,
        unread,
    })
}

/// The state that a number stands for.
fn state(s: &Session, value: u64) -> Option<State> {
    let is =
        |name: &str| s.types().find_enumerator(name).into_iter().any(|(_, v)| u64::try_from(v) == Ok(value));
    [
        ("KFENCE_OBJECT_UNUSED", State::Unused),
        ("KFENCE_OBJECT_ALLOCATED", State::Allocated),
        ("KFENCE_OBJECT_RCU_FREEING", State::Freeing),
        ("KFENCE_OBJECT_FREED", State::Freed),
    ]
    .into_iter()
    .find_map(|(name, state)| is(name).then_some(state))
}

fn track(s: &Session, at: VirtAddr) -> Result<Track> {
    let b = s.bind::<KfenceTrack>();
    let mem = s.mem();
    let count = u64::from(b.count.u32(mem, at)?).min(MAX_FRAMES);
    let stack = track::return_addresses(s, b.stack.at(at)?, count);
    Ok(Track {
        by: None,
        stack,
        pid: b.pid.i32(mem, at)?,
        cpu: track::cpu(b.cpu.u32(mem, at)),
        when: b.clock.num(mem, at).map_or(When::Unknown, When::Clock),
    })
}

/// The bytes of a page of the pool. That of a freed object is not mapped; the pool is in the direct map.
fn page_of(s: &Session, page: VirtAddr) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(s.page_size()).ok()?];
    let at = page.0.checked_sub(slab::direct_map_base(s).ok()?.0)?;
    s.phys().read_phys(PhysAddr(at), &mut bytes).ok()?;
    Some(bytes)
}

/// The first byte of an object's page beside it that has not the pattern that KFENCE put there.
fn overwritten(bytes: &[u8], page: VirtAddr, start: VirtAddr, size: u64) -> Option<(i64, u8)> {
    bytes.iter().zip(0..).find_map(|(&byte, n)| {
        let at = page.0.wrapping_add(n);
        let wrong = !matches!(place(VirtAddr(at), start, size), Place::Inside(_)) && byte != pattern(at);
        wrong.then_some((at.wrapping_sub(start.0).cast_signed(), byte))
    })
}

/// What KFENCE writes beside an object.
const fn pattern(at: u64) -> u8 {
    0xaa ^ (at & 7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Ram;

    const PAGE: u64 = 4096;
    const START: VirtAddr = VirtAddr(0xffff_8880_0400_0000);
    const TABLE: VirtAddr = VirtAddr(0xffff_8880_0500_0000);
    const LAYOUT: Layout = Layout { size: 64, at: 24 };

    fn pool() -> Pool {
        Pool { start: START, table: TABLE, layout: LAYOUT, page_size: PAGE }
    }

    /// The metadata of four objects, then other memory.
    fn ram() -> Ram {
        let mut out = Ram::new(TABLE.0, 64 * 6);
        for n in 0..4_u64 {
            let at = pool().page(n).0 + 0x700;
            out.word(TABLE.0 + n * 64 + 24, at);
        }
        out
    }

    #[test]
    fn metadata_is_of_the_page_that_it_names() {
        let (pool, mut ram) = (pool(), ram());
        assert_eq!(pool.metadata(&ram, 0), Some(TABLE));
        assert_eq!(pool.metadata(&ram, 3), Some(TABLE.add(192)));
        assert_eq!(pool.metadata(&ram, 4), None, "behind the last object");
        assert_eq!(pool.metadata(&ram, 100), None, "behind memory");
        assert_eq!(pool.metadata(&ram, u64::MAX), None);
        ram.bytes[64 + 24 + 1] ^= 0x10;
        assert_eq!(pool.metadata(&ram, 1), None, "an address of another page");
    }

    #[test]
    fn pages_belong_to_the_objects_beside_them() {
        let pool = pool();
        let page = |n: u64| START.add(n * PAGE + 5);
        assert_eq!(pool.numbers(page(0)), [None, None]);
        assert_eq!(pool.numbers(page(1)), [None, Some(0)]);
        assert_eq!(pool.numbers(page(2)), [Some(0), None]);
        assert_eq!(pool.numbers(page(3)), [Some(0), Some(1)]);
        assert_eq!(pool.numbers(page(4)), [Some(1), None]);
        assert_eq!(pool.page(1), START.add(4 * PAGE));
    }

    #[test]
    fn places_from_an_object() {
        let start = VirtAddr(0x1000);
        assert_eq!(place(start, start, 32), Place::Inside(0));
        assert_eq!(place(start.add(31), start, 32), Place::Inside(31));
        assert_eq!(place(start.add(32), start, 32), Place::Behind(0));
        assert_eq!(place(start.sub(1), start, 32), Place::Before(1));
        assert_eq!(place(start, start, 0), Place::Behind(0));
    }

    #[test]
    fn what_is_written_beside_an_object_is_seen() {
        let page = VirtAddr(0xffff_8880_0400_2000);
        let mut bytes: Vec<u8> = (0..PAGE).map(|n| pattern(page.0 + n)).collect();
        let start = page.add(0x7e0);
        bytes[0x7e0..0x800].fill(0);
        assert_eq!(overwritten(&bytes, page, start, 32), None);
        bytes[0x803] = b'x';
        assert_eq!(overwritten(&bytes, page, start, 32), Some((35, b'x')));
        bytes[0x7df] = 0;
        assert_eq!(overwritten(&bytes, page, start, 32), Some((-1, 0)));
    }
}
