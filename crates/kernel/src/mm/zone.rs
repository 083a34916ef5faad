//! Zones (`struct zone`, include/linux/mmzone.h): the parts of a node's memory, and their watermarks.

use crate::bind::Field;
use crate::error::{KernelError, Result};
use crate::mm::{node, slab};
use crate::session::Session;
use base::{Pfn, VirtAddr};

bind! {
    /// `struct pglist_data`
    pub struct NodeStruct("pglist_data") {
        zones: "node_zones",
        start: "node_start_pfn",
        spanned: "node_spanned_pages",
        present: "node_present_pages",
        vm_stat: "vm_stat", // 4.8 (75ef71840539)
        boot: "bdata", // to 4.20 (46515fdb1adf)
    }
}
bind! {
    /// `struct zone`
    pub struct ZoneStruct("zone") {
        name: "name",
        start: "zone_start_pfn",
        spanned: "spanned_pages",
        present: "present_pages",
        managed: "managed_pages", // atomic since 5.0 (9705bea5f833)
        watermark: "_watermark" | "watermark", // 5.0 (a921444382b4)
        boost: "watermark_boost", // 5.0 (1c30844d2dfe)
        free_area: "free_area",
        vm_stat: "vm_stat",
        lists: "per_cpu_pageset" | "pageset", // 5.14
        scanned: "pages_scanned", // of the node since 4.8 (599d0c954f91)
        unreclaimable: "all_unreclaimable", // to 3.11
    }
}

/// More zones than a node has (`MAX_NR_ZONES` is 6 at most).
const MAX_ZONES: u64 = 16;
/// A zone's name is a word of the kernel's.
const MAX_NAME: usize = 32;

/// A NUMA node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number.
    pub id: u64,
    /// `struct pglist_data`
    pub at: VirtAddr,
    /// The first page frame.
    pub start: Result<Pfn>,
    /// Pages from the first to the last, holes among them included.
    pub spanned: Result<u64>,
    /// Pages that are there.
    pub present: Result<u64>,
    /// What its memory was handed out by at boot (`bootmem_data`), in kernels that had that.
    pub boot: Option<Result<VirtAddr>>,
    /// Its zones, those without pages included.
    pub zones: Vec<Zone>,
}

/// A zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its number in its node.
    pub index: u64,
    /// `struct zone`
    pub at: VirtAddr,
    /// `DMA`, `DMA32`, `Normal`, `Movable`, `Device`
    pub name: Result<String>,
    /// The first page frame.
    pub start: Result<Pfn>,
    /// Pages from the first to the last, holes included.
    pub spanned: Result<u64>,
    /// Pages that are there.
    pub present: Result<u64>,
    /// Pages that the allocator has.
    pub managed: Result<u64>,
    /// Pages below which reclaim begins or ends: min, low, high.
    pub watermarks: Result<[u64; 3]>,
    /// Pages that reclaim has looked at since it last freed one, where the zone counts them.
    pub scanned: Option<Result<u64>>,
    /// Whether reclaim has given up on it, where the zone says so.
    pub unreclaimable: Option<Result<bool>>,
}

/// The nodes with their zones, by their numbers.
///
/// # Errors
/// Where nodes or zones are is not known.
pub fn nodes(s: &Session) -> Result<Vec<Node>> {
    let mem = s.mem();
    let (b, zone) = (s.bind::<NodeStruct>(), s.bind::<ZoneStruct>());
    let size = zone.size.filter(|n| *n > 0).ok_or(KernelError::NoType("zone"))?;
    let count = (b.zones.size()? / size).min(MAX_ZONES);
    let mut out = Vec::new();
    for (id, at) in node::numbered(s)? {
        let first = b.zones.at(at)?;
        let pages = |field: &Field| field.u64(mem, at);
        out.push(Node {
            id,
            at,
            start: pages(&b.start).map(Pfn),
            spanned: pages(&b.spanned),
            present: pages(&b.present),
            boot: b.boot.exists().then(|| b.boot.ptr(mem, at)),
            zones: (0..count).map(|index| read(s, &zone, index, first.add(index * size))).collect(),
        });
    }
    Ok(out)
}

/// The node whose frames a `struct page` is of; nothing where several nodes have it among theirs.
///
/// # Errors
/// The frames of a node, or what the page is, are not known.
pub fn node_of(s: &Session, nodes: &[Node], page: VirtAddr) -> Result<Option<u64>> {
    let no_page = || KernelError::Damaged { what: "page", at: page, why: "it is no struct page".into() };
    let data = slab::data_of(s, page).ok_or_else(no_page)?;
    let offset = data.0.checked_sub(slab::direct_map_base(s)?.0).ok_or_else(no_page)?;
    let pfn = offset >> s.page_shift();
    let mut found = None;
    for node in nodes {
        let (start, spanned) = (node.start.clone()?, node.spanned.clone()?);
        if pfn.checked_sub(start.0).is_some_and(|n| n < spanned) && found.replace(node.id).is_some() {
            return Ok(None);
        }
    }
    Ok(found)
}

fn read(s: &Session, b: &ZoneStruct, index: u64, at: VirtAddr) -> Zone {
    let mem = s.mem();
    let pages = |field: &Field| field.u64(mem, at);
    Zone {
        index,
        at,
        name: b.name.string(mem, at, MAX_NAME),
        start: pages(&b.start).map(Pfn),
        spanned: pages(&b.spanned),
        present: pages(&b.present),
        managed: pages(&b.managed),
        watermarks: watermarks(s, b, at),
        scanned: b.scanned.exists().then(|| pages(&b.scanned)),
        unreclaimable: b.unreclaimable.exists().then(|| b.unreclaimable.num(mem, at).map(|n| n != 0)),
    }
}

/// As /proc/zoneinfo has them: with what a zone that fragments adds to them for a time.
fn watermarks(s: &Session, b: &ZoneStruct, at: VirtAddr) -> Result<[u64; 3]> {
    let (mem, first) = (s.mem(), b.watermark.at(at)?);
    let boost = if b.boost.exists() { b.boost.u64(mem, at)? } else { 0 };
    let mut out = [0; 3];
    // enum zone_watermarks: min, low and high come first
    for (n, slot) in (0_u64..).zip(&mut out) {
        *slot = mem.u64(first.add(n * 8))?.saturating_add(boost);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn a_node_has_its_zones_and_what_is_lost_is_not_zero() {
        for (watermark, boost) in [("_watermark", true), ("watermark", false)] {
            let mut k = Kernel::new();
            let members = [
                (watermark, 0, "u64[4]"),
                ("name", 32, "*char"),
                ("zone_start_pfn", 40, "u64"),
                ("spanned_pages", 48, "u64"),
                ("present_pages", 56, "u64"),
                ("managed_pages", 64, "u64"),
            ];
            k.structure("zone", 128, &members);
            if boost {
                k.member("zone", ("watermark_boost", 72, "u64"));
            }
            k.structure(
                "pglist_data",
                1024,
                &[
                    ("node_zones", 0, "zone[3]"),
                    ("node_start_pfn", 512, "u64"),
                    ("node_spanned_pages", 520, "u64"),
                ],
            );
            let node = k.variable("contig_page_data", 1024);
            let name = k.text("DMA32");
            k.word(node + 512, 1).word(node + 520, 0x1000);
            let zone = node + 128;
            for (at, value) in [
                (0, 10),
                (8, 20),
                (16, 30),
                (24, 99),
                (32, name),
                (40, 0x100),
                (48, 0x800),
                (64, 0x700),
                (72, 5),
            ] {
                k.word(zone + at, value);
            }
            let all = nodes(&session(&k)).unwrap();
            let [one] = all.as_slice() else { panic!("{all:?}") };
            assert_eq!((one.id, one.start.clone().unwrap(), one.zones.len()), (0, Pfn(1), 3));
            assert!(one.present.is_err(), "the member is not known");
            let dma = &one.zones[1];
            assert_eq!(dma.name.clone().unwrap(), "DMA32");
            let more = if boost { 5 } else { 0 };
            assert_eq!(dma.watermarks.clone().unwrap(), [10 + more, 20 + more, 30 + more]);
            assert_eq!((dma.spanned.clone().unwrap(), dma.managed.clone().unwrap()), (0x800, 0x700));
            k.exclude(name);
            assert!(nodes(&session(&k)).unwrap()[0].zones[1].name.is_err());
        }
    }
}
