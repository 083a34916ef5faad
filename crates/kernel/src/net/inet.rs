//! What sockets of IPv4 and IPv6 have (include/net/inet_sock.h, include/linux/ipv6.h, include/linux/tcp.h).

use super::sock::{LISTEN, Sock};
use super::{v4, v6};
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

bind! {
    /// `struct inet_sock`
    struct InetSock("inet_sock") {
        source_port: "inet_sport",
        port: "sk.__sk_common.skc_dport" | "inet_dport", // 3.7 (ce43b03e8889)
        source: "sk.__sk_common.skc_rcv_saddr" | "inet_rcv_saddr",
        destination: "sk.__sk_common.skc_daddr" | "inet_daddr",
        source6: "sk.__sk_common.skc_v6_rcv_saddr", // 3.13 (efe4208f47f9)
        destination6: "sk.__sk_common.skc_v6_daddr",
        info6: "pinet6",
    }
}
bind! {
    /// `struct ipv6_pinfo`, to 3.12
    struct Ipv6Info("ipv6_pinfo") { source: "rcv_saddr", destination: "daddr" }
}
bind! {
    /// `struct tcp_sock`
    struct TcpSock("tcp_sock") {
        received: "rcv_nxt",
        read: "copied_seq",
        written: "write_seq",
        acknowledged: "snd_una",
    }
}
bind! {
    /// `struct udp_sock`
    struct UdpSock("udp_sock") { freed: "forward_deficit" } // 4.10 (6b229cf77d68)
}

/// Where a socket leads from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Its own address and port.
    pub source: SocketAddr,
    /// Those of the other end.
    pub destination: SocketAddr,
}

pub(super) fn ends(s: &Session, sock: VirtAddr, is_v6: bool) -> Result<Ends> {
    let (b, mem) = (s.bind::<InetSock>(), s.mem());
    let port = |at: VirtAddr| Ok::<_, KernelError>(mem.u16(at)?.swap_bytes());
    let (source_port, port) = (port(b.source_port.at(sock)?)?, port(b.port.at(sock)?)?);
    let (source, destination) = match (is_v6, b.source6.exists()) {
        (false, _) => (v4(mem, b.source.at(sock)?)?, v4(mem, b.destination.at(sock)?)?),
        (true, true) => (v6(mem, b.source6.at(sock)?)?, v6(mem, b.destination6.at(sock)?)?),
        (true, false) => {
            let info = b.info6.ptr(mem, sock)?;
            let of = s.bind::<Ipv6Info>();
            match of.source.exists() {
                true => (v6(mem, of.source.at(info)?)?, v6(mem, of.destination.at(info)?)?),
                // a kernel that was built without IPv6 has no such socket
                false if b.info6.exists() => return Err(KernelError::NoType("ipv6_pinfo")),
                false => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            }
        }
    };
    Ok(Ends { source: SocketAddr::new(source, source_port), destination: SocketAddr::new(destination, port) })
}

/// `IPPROTO_`
const TCP: u64 = 6;
const UDP: u64 = 17;

/// What waits to be read and to be sent, as `/proc/net/tcp` and `udp` count it.
pub(super) fn queues(
    s: &Session,
    sock: VirtAddr,
    state: &Result<u64>,
    protocol: &Result<u64>,
) -> (Result<u64>, Result<u64>) {
    let mem = s.mem();
    let (state, protocol) = match (state, protocol) {
        (Ok(state), Ok(protocol)) => (*state, *protocol),
        (Err(e), _) | (_, Err(e)) => return (Err(e.clone()), Err(e.clone())),
    };
    let b = s.bind::<Sock>();
    let sequence = |to: Result<u64>, from: Result<u64>| {
        let bytes = (to? as u32).wrapping_sub(from? as u32).cast_signed();
        Ok(u64::try_from(bytes).unwrap_or(0))
    };
    if protocol == TCP {
        let t = s.bind::<TcpSock>();
        let receive = if state == LISTEN {
            b.waiting.num(mem, sock).map(|n| n & 0xffff_ffff)
        } else {
            sequence(t.received.num(mem, sock), t.read.num(mem, sock))
        };
        return (receive, sequence(t.written.num(mem, sock), t.acknowledged.num(mem, sock)));
    }
    let received = || {
        let freed = &s.bind::<UdpSock>().freed;
        let all = b.received.num(mem, sock)? as u32;
        let freed = if protocol == UDP && freed.exists() { freed.num(mem, sock)? as u32 } else { 0 };
        Ok(u64::try_from(all.wrapping_sub(freed).cast_signed()).unwrap_or(0))
    };
    // one is counted for the socket itself
    let sent = b.sent.num(mem, sock).map(|n| (n & 0xffff_ffff).saturating_sub(1));
    (received(), sent)
}
