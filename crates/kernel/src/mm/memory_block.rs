//! Blocks of memory that can be taken offline (`struct memory_block`, drivers/base/memory.c): devices of the bus `memory`.
//!
//! A bus has its devices in a list of its own struct, which the bus pointed to until 6.2 (d2bf38c088e0); it is also in the list of all
//! buses, `bus_kset`.

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::mm::sparse;
use crate::session::Session;
use base::{PhysAddr, VirtAddr};
use debuginfo::types::Type;

bind! {
    /// `struct memory_block`
    struct MemoryBlock("memory_block") { dev: "dev", start: "start_section_nr", state: "state", node: "nid" }
}
bind! {
    /// `struct device`
    struct Device("device") { id: "id", bus: "bus" }
}
bind! {
    /// `struct device_private`
    struct DevicePrivate("device_private") { node: "knode_bus", device: "device" }
}
bind! {
    /// `struct klist_node`
    struct KlistNode("klist_node") { node: "n_node" }
}
bind! {
    /// `struct klist`
    struct Klist("klist") { list: "k_list" }
}
bind! {
    /// `struct subsys_private`
    struct SubsysPrivate("subsys_private") { kset: "subsys", devices: "klist_devices", bus: "bus" }
}
bind! {
    /// `struct kset`
    struct Kset("kset") { list: "list", kobj: "kobj" }
}
bind! {
    /// `struct kobject`
    struct Kobject("kobject") { entry: "entry" }
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// `struct memory_block`
    pub at: VirtAddr,
    /// Its number: `memory12`.
    pub number: u64,
    /// Its first section.
    pub section: Result<u64>,
    /// Its first byte and its last one.
    pub range: Result<(PhysAddr, PhysAddr)>,
    /// Its NUMA node, in kernels that keep that.
    pub node: Option<Result<i64>>,
    /// `ONLINE`, `OFFLINE`, `GOING_OFFLINE`; a number where the kernel has no name for it.
    pub state: Result<String>,
}

/// All blocks.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    /// By the bus's list.
    pub all: Vec<Block>,
    /// Why there may be more.
    pub problem: Option<KernelError>,
}

/// The blocks.
///
/// # Errors
/// The kernel was built without hot-plugged memory, or its symbols or types are not known.
pub fn blocks(s: &Session) -> Result<Blocks> {
    let bus = s.need_symbol("memory_subsys")?;
    let (block, device, private) = (s.bind::<MemoryBlock>(), s.bind::<Device>(), s.bind::<DevicePrivate>());
    block.dev.offset()?;
    private.node.offset()?;
    let own = of_bus(s, bus)?;
    let mem = s.mem();
    let head = s.bind::<Klist>().list.at(s.bind::<SubsysPrivate>().devices.at(own)?)?;
    let sections = sections_of_block(s);
    let mut out = Blocks::default();
    let mut all = Vec::new();
    let mut add = |link| {
        let node = s.bind::<KlistNode>().node.container(link)?;
        let dev = private.device.ptr(mem, private.node.container(node)?)?;
        let at = block.dev.container(dev)?;
        if device.bus.ptr(mem, dev)? != bus {
            let why = "it is in the list of the bus memory, and names another".to_owned();
            return Err(KernelError::Damaged { what: "device", at: dev, why });
        }
        all.push(read(s, at, device.id.num(mem, dev)? & 0xffff_ffff, &sections));
        Ok(())
    };
    out.problem = both_ways(mem, head, &mut add).into_iter().next();
    out.all = all;
    Ok(out)
}

/// The `subsys_private` of a bus, in the list of all buses.
fn of_bus(s: &Session, bus: VirtAddr) -> Result<VirtAddr> {
    let mem = s.mem();
    let (own, kset, kobject) = (s.bind::<SubsysPrivate>(), s.bind::<Kset>(), s.bind::<Kobject>());
    let all = mem.ptr(s.need_symbol("bus_kset")?)?;
    let mut found = None;
    let mut look = |link| {
        let kobj = kobject.entry.container(link)?;
        let at = own.kset.container(kset.kobj.container(kobj)?)?;
        if own.bus.ptr(mem, at)? == bus {
            found = Some(at);
        }
        Ok(())
    };
    let problem = both_ways(mem, kset.list.at(all)?, &mut look).into_iter().next();
    found.ok_or_else(|| problem.unwrap_or(KernelError::NotBuilt("blocks of memory")))
}

/// Sections of a block: as the kernel chose at boot (`memory_block_size_probed`, x86), else as its blocks lie.
fn sections_of_block(s: &Session) -> Result<u64> {
    let section = sparse::section_bytes(s)?;
    let mem = s.mem();
    let block = match s.optional_symbol("memory_block_size_probed")? {
        Some(at) => mem.u64(at)?,
        None => section.saturating_mul(u64::from(mem.u32(s.need_symbol("sections_per_block")?)?)),
    };
    let sections = block / section.max(1);
    if (1..=1 << 16).contains(&sections) {
        return Ok(sections);
    }
    Err(KernelError::Open(format!("a block of memory would have {sections} sections")))
}

fn read(s: &Session, at: VirtAddr, number: u64, sections: &Result<u64>) -> Block {
    let mem = s.mem();
    let b = s.bind::<MemoryBlock>();
    let section = b.start.u64(mem, at);
    let range = || {
        let size = sparse::section_bytes(s)?;
        let first = section.clone()?.saturating_mul(size);
        let bytes = sections.clone()?.saturating_mul(size);
        Ok((PhysAddr(first), PhysAddr(first.saturating_add(bytes).saturating_sub(1))))
    };
    Block {
        at,
        number,
        range: range(),
        node: b.node.exists().then(|| b.node.i32(mem, at).map(i64::from)),
        state: b.state.num(mem, at).map(|state| state_name(s, state)),
        section,
    }
}

/// `MEM_ONLINE` as `ONLINE`: an enumeration since 6.19 (1a4f70f6851a), bits before.
fn state_name(s: &Session, state: u64) -> String {
    let types = s.types();
    let all = types.find_enumerator("MEM_ONLINE").into_iter().find_map(|(at, _)| types.get(at).ok());
    if let Some(ty) = all
        && let Type::Enum { values, .. } = &*ty
        && let Some((name, _)) = values.iter().find(|(_, value)| u64::try_from(*value) == Ok(state))
    {
        return name.trim_start_matches("MEM_").to_owned();
    }
    match state {
        1 => "ONLINE".to_owned(),
        2 => "GOING_OFFLINE".to_owned(),
        4 => "OFFLINE".to_owned(),
        other => format!("{other:#x}"),
    }
}
