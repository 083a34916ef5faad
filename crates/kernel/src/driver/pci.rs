//! PCI: buses and the devices on them (include/linux/pci.h).

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::plausible::not_one;
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct pci_bus`
    struct PciBus("pci_bus") {
        link: "node",
        parent: "parent",
        children: "children",
        devices: "devices",
        bridge: "self",
        name: "dev.kobj.name",
    }
}
bind! {
    /// `struct pci_dev`
    struct PciDev("pci_dev") {
        link: "bus_list",
        bus: "bus",
        name: "dev.kobj.name",
        class: "class",
        vendor: "vendor",
        device: "device",
        header: "hdr_type",
        express: "pcie_flags_reg",
        is_express: "pcie_cap",
    }
}

/// Buses in buses, and all of them.
const MAX_DEPTH: u32 = 256;
const MAX_BUSES: usize = 65536;

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// `struct pci_dev`
    pub at: VirtAddr,
    /// Domain, bus, slot and function: `0000:00:01.1`.
    pub name: Result<String>,
    /// Its class and subclass.
    pub class: Result<u64>,
    /// Who made it.
    pub vendor: Result<u64>,
    /// What it is.
    pub device: Result<u64>,
    /// What it is in PCI Express; nothing of a device that is not of that.
    pub kind: Result<Option<&'static str>>,
    /// True for one that has a bus behind it.
    pub is_bridge: Result<bool>,
}

/// A bus.
#[derive(Clone, Debug)]
pub struct Bus {
    /// `struct pci_bus`
    pub at: VirtAddr,
    /// The bus that it is on; none for a root.
    pub parent: Option<VirtAddr>,
    /// Domain and number: `0000:00`.
    pub name: Result<String>,
    /// The bridge to it.
    pub bridge: Option<Device>,
    /// Its devices.
    pub devices: Vec<Device>,
}

/// The buses, each before those behind it, and why there may be more.
#[derive(Clone, Debug, Default)]
pub struct Buses {
    /// The buses.
    pub all: Vec<Bus>,
    /// Why there may be more buses and devices.
    pub problems: Vec<KernelError>,
}

/// All buses with their devices.
///
/// # Errors
/// The kernel was built without PCI, or its variable or types are not known.
pub fn buses(s: &Session) -> Result<Buses> {
    let (head, b) = (s.need_symbol("pci_root_buses")?, s.bind::<PciBus>());
    b.devices.offset()?;
    let mut out = Buses::default();
    children(s, head, None, 0, &mut FxHashSet::default(), &mut out);
    Ok(out)
}

fn children(
    s: &Session,
    head: VirtAddr,
    parent: Option<VirtAddr>,
    depth: u32,
    seen: &mut FxHashSet<VirtAddr>,
    out: &mut Buses,
) {
    let b = s.bind::<PciBus>();
    let mut found = Vec::new();
    let problems = both_ways(s.mem(), head, &mut |link| {
        let at = b.link.container(link)?;
        let own = b.parent.ptr(s.mem(), at)?;
        if own != parent.unwrap_or_default() {
            return Err(not_one("pci_bus", at, "bus", &format!("its parent is {own:#x}")));
        }
        found.push(at);
        Ok(())
    });
    out.problems.extend(problems);
    for at in found {
        if !seen.insert(at) || depth > MAX_DEPTH || seen.len() > MAX_BUSES {
            let why = "buses lead back to it, or have no end".to_owned();
            out.problems.push(KernelError::Damaged { what: "pci_bus", at, why });
            continue;
        }
        let one = bus(s, at, parent, &mut out.problems);
        out.all.push(one);
        match b.children.at(at) {
            Ok(head) => children(s, head, Some(at), depth.saturating_add(1), seen, out),
            Err(e) => out.problems.push(e),
        }
    }
}

fn bus(s: &Session, at: VirtAddr, parent: Option<VirtAddr>, problems: &mut Vec<KernelError>) -> Bus {
    let (b, d, mem) = (s.bind::<PciBus>(), s.bind::<PciDev>(), s.mem());
    let mut devices = Vec::new();
    match b.devices.at(at) {
        Ok(head) => problems.extend(both_ways(mem, head, &mut |link| {
            let one = d.link.container(link)?;
            let own = d.bus.ptr(mem, one)?;
            if own != at {
                return Err(not_one("pci_dev", one, "device of this bus", &format!("its bus is {own:#x}")));
            }
            devices.push(device(s, one));
            Ok(())
        })),
        Err(e) => problems.push(e),
    }
    let bridge = match b.bridge.ptr(mem, at) {
        Ok(bridge) if bridge.is_null() => None,
        Ok(bridge) => Some(device(s, bridge)),
        Err(e) => {
            problems.push(e);
            None
        }
    };
    Bus { at, parent, name: b.name.string(mem, at, 64), bridge, devices }
}

/// In `hdr_type`: the header of a bridge, and of one for CardBus; without the bit for several functions.
const BRIDGES: [u64; 2] = [1, 2];

fn device(s: &Session, at: VirtAddr) -> Device {
    let (b, mem) = (s.bind::<PciDev>(), s.mem());
    let kind = || {
        // a device of PCI Express has its capability somewhere
        if !b.express.exists() || b.is_express.num(mem, at)? == 0 {
            return Ok(None);
        }
        Ok(express_kind(b.express.num(mem, at)? >> 4 & 0xf))
    };
    Device {
        at,
        name: b.name.string(mem, at, 64),
        class: b.class.num(mem, at).map(|class| (class & 0xff_ffff) >> 8),
        vendor: b.vendor.num(mem, at),
        device: b.device.num(mem, at),
        kind: kind(),
        is_bridge: b.header.num(mem, at).map(|header| BRIDGES.contains(&(header & 0x7f))),
    }
}

/// `PCI_EXP_TYPE_` (include/uapi/linux/pci_regs.h).
const fn express_kind(kind: u64) -> Option<&'static str> {
    Some(match kind {
        0 => "ENDPOINT",
        1 => "LEG_END",
        4 => "ROOT_PORT",
        5 => "UPSTREAM",
        6 => "DOWNSTREAM",
        7 => "PCI_BRIDGE",
        8 => "PCIE_BRIDGE",
        9 => "RC_END",
        10 => "RC_EC",
        _ => return None,
    })
}
