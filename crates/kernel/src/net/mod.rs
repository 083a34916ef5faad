//! The network: devices with their addresses, neighbours, sockets.

use crate::error::{KernelError, Result};
use crate::plausible::not_zeros;
use crate::sched::nsproxy::{self, NsProxy};
use crate::sched::task::Task;
use crate::session::Session;
use base::{VirtAddr, VirtRead};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub mod dev;
pub mod inet;
pub mod neighbour;
pub mod sock;
pub mod unix;

/// Some things, and why there may be others.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The things.
    pub all: Vec<T>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { all: Vec::new(), problems: Vec::new() }
    }
}

/// The network namespace of a task; without one the first, in which the machine booted.
///
/// # Errors
/// It is not in the dump, the task has given it up, or the kernel was built without network namespaces and a task is asked.
pub fn namespace(s: &Session, task: Option<&Task>) -> Result<VirtAddr> {
    let task = match (task, s.symbol("init_net")) {
        (None, Some(at)) => return Ok(at),
        (None, None) => s.tasks().with_pid(0).next().ok_or_else(|| s.no_symbol("init_net"))?,
        (Some(task), _) => task,
    };
    let (net, proxy) = (&s.bind::<NsProxy>().net, nsproxy::of(s, task)?);
    match not_zeros(s.mem(), "nsproxy", net.at(proxy)?, net.ptr(s.mem(), proxy)?.0)? {
        0 => Err(KernelError::NotBuilt("a network")),
        at => Ok(VirtAddr(at)),
    }
}

/// An address of IPv4, in the order of the network.
fn v4(mem: &dyn VirtRead, at: VirtAddr) -> Result<IpAddr> {
    let bytes = mem.bytes(at, 4)?;
    Ok(bytes.first_chunk::<4>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |b| IpAddr::V4(Ipv4Addr::from(*b))))
}

/// An address of IPv6.
fn v6(mem: &dyn VirtRead, at: VirtAddr) -> Result<IpAddr> {
    let bytes = mem.bytes(at, 16)?;
    Ok(bytes
        .first_chunk::<16>()
        .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |b| IpAddr::V6(Ipv6Addr::from(*b))))
}
