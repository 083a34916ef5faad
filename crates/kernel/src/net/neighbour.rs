//! Neighbours: which hardware address an address of the network has (include/net/neighbour.h; `arp_tbl`, `nd_tbl`).
//!
//! A table is an array of chains: of pointers to next (to 6.12), of `hlist`s since 6.13 (41b3caa7c076).

use super::dev::NetDevice;
use super::{Found, dev, v4, v6};
use crate::containers::chain::Chains;
use crate::error::{KernelError, Result};
use crate::plausible::not_one;
use crate::session::Session;
use base::VirtAddr;
use std::net::IpAddr;

bind! {
    /// `struct neigh_table`
    struct NeighTable("neigh_table") { key: "key_len", hash: "nht" }
}
bind! {
    /// `struct neigh_hash_table`
    struct NeighHashTable("neigh_hash_table") { heads: "hash_heads" | "hash_buckets", shift: "hash_shift" }
}
bind! {
    /// `struct neighbour`
    struct NeighbourStruct("neighbour") {
        next: "hash.next" | "next",
        link: "hash",
        table: "tbl",
        state: "nud_state",
        hardware: "ha",
        device: "dev",
        key: "primary_key",
    }
}

/// More chains than a table grows to.
const MAX_SHIFT: u64 = 20;
/// More neighbours than a table holds.
const MAX_NEIGHBOURS: usize = 1 << 20;

/// A neighbour.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// `struct neighbour`
    pub at: VirtAddr,
    /// Its address in the network.
    pub address: Result<IpAddr>,
    /// What hardware its device is (`ARPHRD_`).
    pub kind: Result<u64>,
    /// Its hardware address.
    pub hardware: Result<Vec<u8>>,
    /// The device's name.
    pub device: Result<String>,
    /// The network namespace.
    pub namespace: Result<VirtAddr>,
    /// `NUD_` state.
    pub state: Result<u64>,
}

/// The names of a state's bits (`NUD_`, include/uapi/linux/neighbour.h).
const STATES: [(u64, &str); 8] = [
    (0x01, "INCOMPLETE"),
    (0x02, "REACHABLE"),
    (0x04, "STALE"),
    (0x08, "DELAY"),
    (0x10, "PROBE"),
    (0x20, "FAILED"),
    (0x40, "NOARP"),
    (0x80, "PERMANENT"),
];

/// What a state means; nothing for one that is not set yet.
#[must_use]
pub fn states(state: u64) -> Vec<&'static str> {
    STATES.into_iter().filter(|(bit, _)| state & bit != 0).map(|(_, name)| name).collect()
}

/// The neighbours of IPv4 and IPv6, in all network namespaces.
///
/// # Errors
/// The table of IPv4 or its types are not known.
pub fn neighbours(s: &Session) -> Result<Found<Neighbour>> {
    let mut out = Found::default();
    table(s, s.need_symbol("arp_tbl")?, 4, &mut out)?;
    // IPv6 may be a module that is not there
    if let Some(at) = s.symbol("nd_tbl")
        && let Err(e) = table(s, at, 16, &mut out)
    {
        out.problems.push(e);
    }
    Ok(out)
}

fn table(s: &Session, at: VirtAddr, bytes: u64, out: &mut Found<Neighbour>) -> Result<()> {
    let (b, mem) = (s.bind::<NeighTable>(), s.mem());
    let damaged = |why: String| KernelError::Damaged { what: "neigh_table", at, why };
    let key = b.key.num(mem, at)? & 0xffff_ffff;
    if key != bytes {
        return Err(damaged(format!("its addresses have {key} bytes, not {bytes}")));
    }
    let hash = b.hash.ptr(mem, at)?;
    // nothing was ever in it
    if hash.is_null() {
        return Ok(());
    }
    let b = s.bind::<NeighHashTable>();
    let shift = b.shift.num(mem, hash)? & 0xffff_ffff;
    if shift > MAX_SHIFT {
        return Err(damaged(format!("it has 2^{shift} chains")));
    }
    let heads = b.heads.ptr(mem, hash)?;
    let mut chains = Chains::new("neigh_table", at, MAX_NEIGHBOURS);
    for n in 0..1_u64 << shift {
        if let Err(e) = chain(s, at, heads.add(n * 8), &mut chains, out) {
            let is_missing = matches!(&e, KernelError::Fault(fault) if !fault.is_missing());
            out.problems.push(e);
            // an array that is no memory is none of it
            if is_missing && n == 0 {
                break;
            }
        }
    }
    Ok(())
}

fn chain(
    s: &Session,
    table: VirtAddr,
    head: VirtAddr,
    chains: &mut Chains,
    out: &mut Found<Neighbour>,
) -> Result<()> {
    let (b, mem) = (s.bind::<NeighbourStruct>(), s.mem());
    let entry = |link: VirtAddr| {
        if b.link.exists() && !link.is_null() { b.link.container(link) } else { Ok(link) }
    };
    let first = mem.ptr(head).map_err(KernelError::from).and_then(entry);
    chains.follow(0, first, &|at| b.next.ptr(mem, at).and_then(entry), &mut |at| {
        let own = b.table.ptr(mem, at)?;
        if own != table {
            let why = format!("it is in table {table:#x}, and says {own:#x}");
            return Err(not_one("neighbour", at, "neighbour", &why));
        }
        out.all.push(neighbour(s, at, table));
        Ok(())
    })
}

fn neighbour(s: &Session, at: VirtAddr, table: VirtAddr) -> Neighbour {
    let (b, mem) = (s.bind::<NeighbourStruct>(), s.mem());
    let d = s.bind::<NetDevice>();
    let device = b.device.ptr(mem, at);
    let key = b.key.at(at);
    let is_v4 = s.bind::<NeighTable>().key.num(mem, table).is_ok_and(|len| len & 0xffff_ffff == 4);
    let hardware = || {
        let len = d.hardware_len.num(mem, device.clone()?)?.min(b.hardware.size()?.max(1));
        Ok(mem.bytes(b.hardware.at(at)?, len as usize)?)
    };
    Neighbour {
        at,
        address: key.and_then(|key| if is_v4 { v4(mem, key) } else { v6(mem, key) }),
        kind: device.clone().and_then(|device| d.kind.num(mem, device)),
        hardware: hardware(),
        namespace: device.clone().and_then(|device| d.net.ptr(mem, device)),
        device: device.and_then(|device| dev::name(s, device)),
        state: b.state.num(mem, at),
    }
}

/// What hardware a device is, in a word (`ARPHRD_`, include/uapi/linux/if_arp.h).
#[must_use]
pub const fn hardware_name(kind: u64) -> &'static str {
    match kind {
        0 => "NETROM",
        1 => "ETHER",
        2 => "EETHER",
        3 => "AX25",
        4 => "PRONET",
        5 => "CHAOS",
        6 => "IEEE802",
        7 => "ARCNET",
        8 => "APPLETLK",
        15 => "DLCI",
        23 => "METRICOM",
        32 => "INFINIBAND",
        512 => "PPP",
        768 => "TUNNEL",
        769 => "TUNNEL6",
        772 => "LOOPBACK",
        776 => "SIT",
        778 => "IPGRE",
        65534 => "NONE",
        _ => "UNKNOWN",
    }
}
