//! A slab cache of SLUB as a whole (mm/slub.c): its slabs, where free objects are, how many objects are in use.
//!
//! | free objects | kernels |
//! |---|---|
//! | in the chain of a slab: on a node's partial list, or on no list | all |
//! | in a CPU's own chain, of the slab that it has, and in the slabs on its partial list | to 6.19 |
//! | in arrays ("sheaves") of a CPU and in a node's full ones | 6.18 on |
//!
//! A slab counts the objects that a CPU or a sheaf has as in use, and so does /proc/slabinfo; here they are free.

use crate::bind::{Binding, Field, Layouts};
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::mm::slab::{self, KmemCache, SlabPage, nodes_of};
use crate::mm::slub::{self, CacheCpu, CacheLayout, SheafOf, Slab};
use crate::sched::cpu::per_cpu_offset;
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct kmem_cache_node`
    struct NodeStruct("kmem_cache_node") {
        partial: "partial",
        full: "full", // CONFIG_SLUB_DEBUG, and filled where the cache keeps who uses its objects
        slabs: "nr_slabs", // CONFIG_SLUB_DEBUG
        objects: "total_objects", // CONFIG_SLUB_DEBUG
    }
}

/// What links slabs in lists, and their counts: of `struct slab`, before 5.17 (d122019bf061) of `struct page`.
#[derive(Debug)]
struct Links {
    /// In a node's list.
    link: Field,
    /// In a CPU's partial list.
    next: Field,
    /// Objects that are not in the slab's own chain.
    inuse: Field,
}

impl Binding for Links {
    fn bind(layouts: &Layouts<'_>) -> Self {
        let (of, ty) = slab::struct_of_slab(layouts);
        let field = |member, paths: &[&'static str]| Field::bind(layouts, of, ty, member, paths);
        Self {
            link: field("slab_list", &["slab_list", "lru"]), // 4.18 (4da1984edbbe)
            next: field("next", &["next"]),
            inuse: field("inuse", &["inuse"]),
        }
    }
}

/// A CPU has no more slabs on its partial list.
const MAX_PARTIAL: usize = 1 << 16;
/// No machine has more objects or slabs in a cache.
const MAX_COUNT: u64 = 1 << 44;

/// The counts of one slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// `struct slab` or `struct page`.
    pub at: VirtAddr,
    /// Objects that it has room for.
    pub objects: u64,
    /// Those that are not free; of those that a CPU's own chain or a sheaf has, as the slab counts them.
    pub inuse: u64,
}

/// What a CPU keeps of a cache.
#[derive(Clone, Debug)]
pub struct OfCpu {
    /// The CPU.
    pub cpu: u32,
    /// `struct kmem_cache_cpu`
    pub at: Result<VirtAddr>,
    /// The slab that it has.
    pub slab: Result<Option<Counts>>,
    /// Its own chain of free objects of that slab.
    pub chain: Result<Vec<VirtAddr>>,
    /// The slabs on its partial list; nothing in kernels without.
    pub partial: Option<Listed>,
}

/// Slabs of a list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// As far as they could be read.
    pub all: Vec<Counts>,
    /// Why there may be more.
    pub problem: Option<KernelError>,
}

/// What a NUMA node keeps of a cache.
#[derive(Clone, Debug)]
pub struct OfNode {
    /// The node.
    pub node: u64,
    /// `struct kmem_cache_node`
    pub at: VirtAddr,
    /// All slabs; an error in a kernel that does not count them.
    pub slabs: Result<u64>,
    /// Objects in all slabs.
    pub objects: Result<u64>,
    /// Slabs with free objects that no CPU has.
    pub partial: Listed,
    /// Slabs without, where the cache keeps them on a list.
    pub full: Option<Listed>,
}

/// An array of free objects.
#[derive(Clone, Debug)]
pub struct Sheaf {
    /// `struct slab_sheaf`
    pub at: VirtAddr,
    /// Whose it is.
    pub of: SheafOf,
    /// The objects in it.
    pub objects: Result<Vec<VirtAddr>>,
}

/// A cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// `struct kmem_cache`
    pub at: VirtAddr,
    /// Of each possible CPU; empty in kernels without (7.0).
    pub cpus: Vec<OfCpu>,
    /// Of each node that has memory.
    pub nodes: Vec<OfNode>,
    /// The sheaves of those caches that have them.
    pub sheaves: Vec<Sheaf>,
    /// Why there may be more of them.
    pub problem: Option<KernelError>,
}

/// How many objects a cache has, and in how many slabs.
#[derive(Clone, Debug)]
pub struct Sums {
    /// Slabs.
    pub slabs: Result<u64>,
    /// Objects in them.
    pub objects: Result<u64>,
    /// Those that are free.
    pub free: Result<u64>,
}

/// Reads a slab by its `struct slab`, which names its cache.
///
/// # Errors
/// It cannot be read, or is none of this cache.
pub fn counts(s: &Session, cache: VirtAddr, at: VirtAddr) -> Result<Counts> {
    let mem = s.mem();
    let damaged = |why: String| KernelError::Damaged { what: "slab", at, why };
    let (page, links) = (s.bind::<SlabPage>(), s.bind::<Links>());
    slab::data_of(s, at).ok_or_else(|| damaged("it is no struct page".to_owned()))?;
    let own = page.cache.ptr(mem, at)?;
    if own != cache {
        return Err(damaged(format!(
            "it is of the cache at {own:#x}, and in a list of the one at {cache:#x}"
        )));
    }
    let (objects, inuse) = (slub::objects_of(s, at)?, links.inuse.num(mem, at)?);
    if inuse > objects || objects == 0 {
        return Err(damaged(format!("{inuse} of its {objects} objects are in use")));
    }
    Ok(Counts { at, objects, inuse })
}

/// A cache with all that CPUs and nodes keep of it.
///
/// # Errors
/// The kernel's slab caches are not SLUB's, or its types are not known.
pub fn read(s: &Session, at: VirtAddr) -> Result<Cache> {
    let layout = s.bind::<CacheLayout>();
    if layout.size.is_some() && !layout.order.exists() && !layout.number.exists() {
        return Err(KernelError::NotBuilt("slab caches that count their objects: they are SLOB's"));
    }
    layout.order.offset()?;
    s.bind::<NodeStruct>().partial.offset()?;
    s.bind::<Links>().inuse.offset()?;
    let mut out = Cache { at, cpus: Vec::new(), nodes: Vec::new(), sheaves: Vec::new(), problem: None };
    if layout.cpu_slab.exists() {
        match layout.cpu_slab.ptr(s.mem(), at) {
            // of a cache that cannot be allocated from yet
            Ok(own) if own.is_null() => {}
            Ok(own) => out.cpus = s.cpus().possible.iter().map(|cpu| of_cpu(s, at, own, *cpu)).collect(),
            Err(e) => out.problem = Some(e),
        }
    }
    match nodes_of(s, at) {
        Some(nodes) => out.nodes = nodes.iter().map(|node| of_node(s, at, node.number, node.at)).collect(),
        None => {
            let why = "what it keeps for each node cannot be read".to_owned();
            out.problem.get_or_insert(KernelError::Damaged { what: "kmem_cache", at, why });
        }
    }
    for sheaf in slub::sheaves(s, at) {
        match sheaf {
            Some((at, of)) => out.sheaves.push(Sheaf { at, of, objects: slub::in_sheaf(s, at) }),
            None => {
                let why = "not all of its arrays of free objects can be read".to_owned();
                out.problem.get_or_insert(KernelError::Damaged { what: "kmem_cache", at, why });
            }
        }
    }
    Ok(out)
}

fn of_cpu(s: &Session, cache: VirtAddr, own: VirtAddr, cpu: u32) -> OfCpu {
    let mem = s.mem();
    let b = s.bind::<CacheCpu>();
    let place = per_cpu_offset(s, cpu).map(|offset| own.add(offset));
    let at = match &place {
        Ok(at) => *at,
        Err(e) => {
            let partial = Some(Listed { all: Vec::new(), problem: Some(e.clone()) });
            return OfCpu { cpu, at: Err(e.clone()), slab: Err(e.clone()), chain: Err(e.clone()), partial };
        }
    };
    let slab = b.slab.ptr(mem, at).and_then(|slab| match slab.is_null() {
        true => Ok(None),
        false => counts(s, cache, slab).map(Some),
    });
    let chain = match &slab {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(slab)) => b.freelist.ptr(mem, at).and_then(|first| chain(s, slab.at, first)),
        Err(e) => Err(e.clone()),
    };
    let partial = b.partial.exists().then(|| partial_of_cpu(s, cache, b.partial.ptr(mem, at)));
    OfCpu { cpu, at: Ok(at), slab, chain, partial }
}

fn partial_of_cpu(s: &Session, cache: VirtAddr, first: Result<VirtAddr>) -> Listed {
    let next = &s.bind::<Links>().next;
    let mut out = Listed::default();
    let mut seen = FxHashSet::default();
    let mut here = first;
    loop {
        let at = match here {
            Ok(at) if at.is_null() => return out,
            Ok(at) => at,
            Err(e) => {
                out.problem = Some(e);
                return out;
            }
        };
        if !seen.insert(at) || out.all.len() >= MAX_PARTIAL {
            let why = "a CPU's list of slabs comes back to it".to_owned();
            out.problem = Some(KernelError::Damaged { what: "slab", at, why });
            return out;
        }
        match counts(s, cache, at) {
            Ok(one) => out.all.push(one),
            Err(e) => {
                out.problem = Some(e);
                return out;
            }
        }
        here = next.ptr(s.mem(), at);
    }
}

fn of_node(s: &Session, cache: VirtAddr, node: u64, at: VirtAddr) -> OfNode {
    let mem = s.mem();
    let b = s.bind::<NodeStruct>();
    let count = |field: &Field| {
        let count = field.u64(mem, at)?;
        match count < MAX_COUNT {
            true => Ok(count),
            false => {
                let why = format!("it counts {count:#x} slabs or objects");
                Err(KernelError::Damaged { what: "kmem_cache_node", at, why })
            }
        }
    };
    let keeps_full = b.full.exists() && slub::keeps_users(s, cache).unwrap_or(false);
    OfNode {
        node,
        at,
        slabs: count(&b.slabs),
        objects: count(&b.objects),
        partial: listed(s, cache, b.partial.at(at)),
        full: keeps_full.then(|| listed(s, cache, b.full.at(at))),
    }
}

fn listed(s: &Session, cache: VirtAddr, head: Result<VirtAddr>) -> Listed {
    let links = s.bind::<Links>();
    let mut out = Listed::default();
    let mut all = Vec::new();
    let mut add = |link| {
        all.push(counts(s, cache, links.link.container(link)?)?);
        Ok(())
    };
    match head {
        Ok(head) => out.problem = both_ways(s.mem(), head, &mut add).into_iter().next(),
        Err(e) => out.problem = Some(e),
    }
    out.all = all;
    out
}

/// The free objects of a chain that begins at `first`, in the slab at `at`.
///
/// # Errors
/// It cannot be read to its end, leads out of the slab, or in a circle.
fn chain(s: &Session, at: VirtAddr, first: VirtAddr) -> Result<Vec<VirtAddr>> {
    let damaged = |why: String| KernelError::Damaged { what: "slab", at, why };
    let data = slab::data_of(s, at).ok_or_else(|| damaged("it is no struct page".to_owned()))?;
    let slab = Slab::of(s, data).ok_or_else(|| damaged("its cache cannot be read".to_owned()))?;
    slub::chain(s, &slab, first)
}

/// An object of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it begins.
    pub at: VirtAddr,
    /// Whether it is free; nothing where a chain of free objects cannot be read.
    pub is_free: Option<bool>,
    /// The CPU whose own chain has it.
    pub cpu: Option<u32>,
    /// The sheaf that has it.
    pub sheaf: Option<SheafOf>,
}

impl Cache {
    /// The sums over all nodes and CPUs.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let add = |of: fn(&OfNode) -> &Result<u64>| {
            self.nodes.iter().try_fold(0_u64, |sum, node| match of(node) {
                Ok(n) => Ok(sum.saturating_add(*n)),
                Err(e) => Err(e.clone()),
            })
        };
        let whole = |n: u64| match &self.problem {
            Some(e) if self.nodes.is_empty() => Err(e.clone()),
            _ => Ok(n),
        };
        Sums {
            slabs: add(|node| &node.slabs).and_then(whole),
            objects: add(|node| &node.objects).and_then(whole),
            free: self.free(),
        }
    }

    /// How many objects the slabs have that CPUs keep.
    #[must_use]
    pub fn listed(&self) -> u64 {
        let of_cpu = |cpu: &OfCpu| {
            let own = cpu.slab.as_ref().ok().copied().flatten();
            let partial = cpu.partial.iter().flat_map(|listed| &listed.all).copied();
            own.into_iter().chain(partial).map(|slab| slab.objects).sum::<u64>()
        };
        self.cpus.iter().map(of_cpu).sum()
    }

    /// Takes in what another one has, so that the sums are those of both.
    pub fn add(&mut self, other: Self) {
        self.cpus.extend(other.cpus);
        self.nodes.extend(other.nodes);
        self.sheaves.extend(other.sheaves);
        self.problem = self.problem.take().or(other.problem);
    }

    /// Free objects, wherever they are.
    fn free(&self) -> Result<u64> {
        if let Some(e) = &self.problem {
            return Err(e.clone());
        }
        let mut out = 0_u64;
        for node in &self.nodes {
            out = out.saturating_add(node.partial.free()?);
        }
        for cpu in &self.cpus {
            if let Some(slab) = cpu.slab.as_ref().map_err(Clone::clone)? {
                out = out.saturating_add(slab.objects.saturating_sub(slab.inuse));
            }
            out = out.saturating_add(cpu.chain.as_ref().map_err(Clone::clone)?.len() as u64);
            if let Some(partial) = &cpu.partial {
                out = out.saturating_add(partial.free()?);
            }
        }
        for sheaf in &self.sheaves {
            out = out.saturating_add(sheaf.objects.as_ref().map_err(Clone::clone)?.len() as u64);
        }
        Ok(out)
    }

    /// The objects of one of its slabs.
    ///
    /// # Errors
    /// The slab cannot be read.
    pub fn slots(&self, s: &Session, at: VirtAddr) -> Result<Vec<Slot>> {
        let damaged = |why: &str| KernelError::Damaged { what: "slab", at, why: why.to_owned() };
        let data = slab::data_of(s, at).ok_or_else(|| damaged("it is no struct page"))?;
        let slab = Slab::of(s, data).ok_or_else(|| damaged("its cache cannot be read"))?;
        let first = s.bind::<SlabPage>().freelist.ptr(s.mem(), at)?;
        let own: Option<FxHashSet<VirtAddr>> =
            slub::chain(s, &slab, first).ok().map(|all| all.into_iter().collect());
        let holder = self.cpus.iter().find(|cpu| matches!(&cpu.slab, Ok(Some(slab)) if slab.at == at));
        let of_cpu = holder
            .map(|cpu| cpu.chain.as_ref().ok().map(|all| all.iter().copied().collect::<FxHashSet<_>>()));
        let mut in_sheaves = rustc_hash::FxHashMap::default();
        for sheaf in &self.sheaves {
            for object in sheaf.objects.iter().flatten().filter(|object| slab.contains(**object)) {
                in_sheaves.insert(*object, sheaf.of);
            }
        }
        let sheaves_known = self.problem.is_none() && self.sheaves.iter().all(|sheaf| sheaf.objects.is_ok());
        let cpus_known = self.cpus.iter().all(|cpu| cpu.slab.is_ok());
        let slot = |object: VirtAddr| {
            let cpu = match (&of_cpu, holder) {
                (Some(Some(all)), Some(holder)) if all.contains(&object) => Some(holder.cpu),
                _ => None,
            };
            let sheaf = in_sheaves.get(&object).copied();
            let is_own = own.as_ref().map(|own| own.contains(&object));
            let is_known = is_own.is_some() && sheaves_known && cpus_known && !matches!(of_cpu, Some(None));
            let is_free = is_own == Some(true) || cpu.is_some() || sheaf.is_some();
            Slot { at: object, is_free: (is_free || is_known).then_some(is_free), cpu, sheaf }
        };
        Ok(slab.objects().map(slot).collect())
    }
}

impl Listed {
    /// Free objects of the slabs.
    fn free(&self) -> Result<u64> {
        match &self.problem {
            Some(e) => Err(e.clone()),
            None => Ok(self.all.iter().map(|slab| slab.objects.saturating_sub(slab.inuse)).sum()),
        }
    }
}

/// Bytes of a cache's slabs: as it makes them now (`oo`), while older ones may be smaller.
///
/// # Errors
/// The cache cannot be read.
pub fn slab_bytes(s: &Session, cache: VirtAddr) -> Result<u64> {
    let order = s.bind::<CacheLayout>().order.u32(s.mem(), cache)? >> 16;
    if order > 20 {
        let why = format!("its slabs are of order {order}");
        return Err(KernelError::Damaged { what: "kmem_cache", at: cache, why });
    }
    Ok(s.page_size() << order)
}

/// Bytes of an object as the user of the cache sees it.
///
/// # Errors
/// The cache cannot be read.
pub fn object_bytes(s: &Session, cache: VirtAddr) -> Result<u64> {
    s.bind::<KmemCache>().object_size.num(s.mem(), cache)
}

/// Bytes of an object's red zone before it, where the cache has that.
///
/// # Errors
/// The cache cannot be read.
pub fn red_zone_bytes(s: &Session, cache: VirtAddr) -> Result<u64> {
    let field = &s.bind::<CacheLayout>().red_left_pad;
    if field.exists() { field.num(s.mem(), cache) } else { Ok(0) }
}

/// Bytes from one object to the next.
///
/// # Errors
/// The cache cannot be read.
pub fn slot_bytes(s: &Session, cache: VirtAddr) -> Result<u64> {
    s.bind::<KmemCache>().slot_size.num(s.mem(), cache)
}
