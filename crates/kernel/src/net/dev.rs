//! Network devices and the addresses that they have (include/linux/netdevice.h, inetdevice.h, net/if_inet6.h).

use super::{Found, v4, v6};
use crate::containers::list::{both_ways, list};
use crate::error::{KernelError, Result};
use crate::plausible::not_one;
use crate::session::Session;
use base::VirtAddr;
use std::net::IpAddr;

bind! {
    /// `struct net`
    struct Net("net") { devices: "dev_base_head" }
}
bind! {
    /// `struct net_device`
    pub(super) struct NetDevice("net_device") {
        name: "name",
        link: "dev_list",
        index: "ifindex",
        mtu: "mtu",
        flags: "flags",
        kind: "type",
        hardware: "dev_addr",
        hardware_len: "addr_len",
        net: "nd_net.net" | "nd_net", // a struct since 4.1 (0c5c9fb55106)
        v4: "ip_ptr",
        v6: "ip6_ptr",
    }
}
bind! {
    /// `struct in_device`
    struct InDevice("in_device") { device: "dev", first: "ifa_list" }
}
bind! {
    /// `struct in_ifaddr`
    struct InIfaddr("in_ifaddr") { next: "ifa_next", local: "ifa_local", peer: "ifa_address", prefix: "ifa_prefixlen" }
}
bind! {
    /// `struct inet6_dev`; a module may have its type
    struct Inet6Dev("inet6_dev") { device: "dev", addresses: "addr_list" }
}
bind! {
    /// `struct inet6_ifaddr`
    struct Inet6Ifaddr("inet6_ifaddr") { link: "if_list", addr: "addr", prefix: "prefix_len" }
}

/// More addresses of a device than any has.
const MAX_ADDRESSES: usize = 65536;
/// `MAX_ADDR_LEN`
const MAX_HARDWARE: u64 = 32;

/// An address of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The device's own.
    pub local: IpAddr,
    /// That of the other end, where it is another one.
    pub peer: Option<IpAddr>,
    /// Bits of the network.
    pub prefix: u64,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// `struct net_device`
    pub at: VirtAddr,
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: Result<i64>,
    /// The longest packet.
    pub mtu: Result<u64>,
    /// `IFF_` flags.
    pub flags: Result<u64>,
    /// What hardware it is (`ARPHRD_`).
    pub kind: Result<u64>,
    /// Its hardware's address.
    pub hardware: Result<Vec<u8>>,
    /// Its addresses of IPv4.
    pub v4: Found<Address>,
    /// Its addresses of IPv6.
    pub v6: Found<Address>,
}

/// The devices of a network namespace, in the kernel's order.
///
/// # Errors
/// The kernel's types do not know them, or the namespace is not in the dump.
pub fn devices(s: &Session, namespace: VirtAddr) -> Result<Found<Device>> {
    let b = s.bind::<NetDevice>();
    let (head, mut all) = (s.bind::<Net>().devices.at(namespace)?, Vec::new());
    b.name.offset()?;
    let problems = both_ways(s.mem(), head, &mut |link| {
        let at = b.link.container(link)?;
        all.push(device(s, namespace, at)?);
        Ok(())
    });
    Ok(Found { all, problems })
}

/// The name of a device.
///
/// # Errors
/// It is not in the dump, or no name.
pub fn name(s: &Session, at: VirtAddr) -> Result<String> {
    let name = s.bind::<NetDevice>().name.text(s.mem(), at)?;
    let is_one = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
    is_one.then_some(name).ok_or_else(|| not_one("net_device", at, "device", "its name is none"))
}

fn device(s: &Session, namespace: VirtAddr, at: VirtAddr) -> Result<Device> {
    let (b, mem) = (s.bind::<NetDevice>(), s.mem());
    let name = name(s, at)?;
    // kernels without namespaces have no such member
    if let Ok(own) = b.net.ptr(mem, at)
        && own != namespace
    {
        let why = format!("it is in the list of namespace {namespace:#x}, and says {own:#x}");
        return Err(not_one("net_device", at, "device", &why));
    }
    Ok(Device {
        at,
        name,
        index: b.index.int(mem, at),
        mtu: b.mtu.num(mem, at),
        flags: b.flags.num(mem, at).map(|flags| flags & 0xffff_ffff),
        kind: b.kind.num(mem, at),
        hardware: hardware(s, at),
        v4: v4_addresses(s, at),
        v6: v6_addresses(s, at),
    })
}

fn hardware(s: &Session, at: VirtAddr) -> Result<Vec<u8>> {
    let b = s.bind::<NetDevice>();
    let len = b.hardware_len.num(s.mem(), at)?.min(MAX_HARDWARE);
    let from = b.hardware.ptr(s.mem(), at)?;
    Ok(s.mem().bytes(from, len as usize)?)
}

/// What a device keeps for a protocol, where it points back to the device; none where it has nothing.
fn part(
    own: Result<VirtAddr>,
    device: VirtAddr,
    back: impl Fn(VirtAddr) -> Result<VirtAddr>,
) -> Result<Option<VirtAddr>> {
    let at = own?;
    if at.is_null() {
        return Ok(None);
    }
    match back(at)? {
        own if own == device => Ok(Some(at)),
        own => {
            let why = format!("it is of device {device:#x}, and says {own:#x}");
            Err(KernelError::Damaged { what: "addresses of a device", at, why })
        }
    }
}

fn v4_addresses(s: &Session, device: VirtAddr) -> Found<Address> {
    let mut out = Found::default();
    if let Err(e) = fill_v4(s, device, &mut out.all) {
        out.problems.push(e);
    }
    out
}

fn fill_v4(s: &Session, device: VirtAddr, out: &mut Vec<Address>) -> Result<()> {
    let (b, mem) = (s.bind::<InDevice>(), s.mem());
    let own = s.bind::<NetDevice>().v4.ptr(mem, device);
    let Some(at) = part(own, device, |at| b.device.ptr(mem, at))? else { return Ok(()) };
    let address = s.bind::<InIfaddr>();
    let mut next = b.first.ptr(mem, at)?;
    while !next.is_null() {
        if out.len() >= MAX_ADDRESSES {
            let why = "the list of its addresses has no end".to_owned();
            return Err(KernelError::Damaged { what: "in_device", at, why });
        }
        let local = v4(mem, address.local.at(next)?)?;
        let peer = v4(mem, address.peer.at(next)?)?;
        out.push(Address {
            local,
            peer: Some(peer).filter(|p| *p != local),
            prefix: address.prefix.num(mem, next)?,
        });
        next = address.next.ptr(mem, next)?;
    }
    Ok(())
}

fn v6_addresses(s: &Session, device: VirtAddr) -> Found<Address> {
    let mut out = Found::default();
    if let Err(e) = fill_v6(s, device, &mut out.all) {
        out.problems.push(e);
    }
    out
}

fn fill_v6(s: &Session, device: VirtAddr, out: &mut Vec<Address>) -> Result<()> {
    let (b, mem) = (s.bind::<Inet6Dev>(), s.mem());
    let own = &s.bind::<NetDevice>().v6;
    // a kernel without IPv6
    if !own.exists() {
        return Ok(());
    }
    let Some(at) = part(own.ptr(mem, device), device, |at| b.device.ptr(mem, at))? else { return Ok(()) };
    let address = s.bind::<Inet6Ifaddr>();
    for link in list(mem, b.addresses.at(at)?) {
        let one = address.link.container(link?)?;
        let local = v6(mem, address.addr.at(one)?)?;
        out.push(Address { local, peer: None, prefix: address.prefix.num(mem, one)? });
    }
    Ok(())
}
