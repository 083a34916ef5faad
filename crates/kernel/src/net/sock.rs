//! Sockets (`struct socket`, include/linux/net.h; `struct sock`, include/net/sock.h).

use super::inet::{self, Ends};
use super::unix;
use crate::error::{KernelError, Result};
use crate::fs::inode::{self, FileType, Inode};
use crate::fs::path::FileStruct;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct file`
    struct SocketFile("file") { private: "private_data" }
}
bind! {
    /// `struct socket`
    struct SocketStruct("socket") { kind: "type", file: "file", sk: "sk" }
}
bind! {
    /// `struct sock`
    pub(super) struct Sock("sock") {
        family: "__sk_common.skc_family",
        state: "__sk_common.skc_state",
        net: "__sk_common.skc_net.net" | "__sk_common.skc_net", // a struct since 4.1 (0c5c9fb55106)
        kind: "sk_type",
        protocol: "sk_protocol",
        received: "sk_rmem_alloc.counter" | "sk_backlog.rmem_alloc.counter",
        sent: "sk_wmem_alloc.refs.counter" | "sk_wmem_alloc.counter", // refcount_t since 4.13 (14afee4b6092)
        waiting: "sk_ack_backlog",
    }
}

/// A socket that a file is of.
#[derive(Clone, Debug)]
pub struct Socket {
    /// `struct socket`
    pub at: VirtAddr,
    /// `struct sock`; null for one that was closed.
    pub sock: VirtAddr,
    /// The number of its inode.
    pub inode: Result<u64>,
    /// `AF_`
    pub family: Result<u64>,
    /// `SOCK_`
    pub kind: Result<u64>,
    /// `IPPROTO_`, or what the family calls a protocol.
    pub protocol: Result<u64>,
    /// The state, numbered as TCP's.
    pub state: Result<u64>,
    /// The network namespace.
    pub namespace: Result<VirtAddr>,
    /// Where it leads from and to; none of a family that has no such thing.
    pub ends: Option<Result<Ends>>,
    /// What it is bound to; of AF_UNIX, where it is.
    pub path: Option<Result<String>>,
    /// Bytes that were received and not read; connections that were not accepted, of one that listens.
    pub receive_queue: Option<Result<u64>>,
    /// Bytes that were written and not acknowledged, or not sent.
    pub send_queue: Option<Result<u64>>,
}

/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
pub const UNIX: u64 = 1;
/// IPv4.
pub const INET: u64 = 2;
/// IPv6.
pub const INET6: u64 = 10;
/// `TCP_LISTEN`, of all families.
pub(super) const LISTEN: u64 = 10;

/// The socket that an open file is of; none where it is of something else.
///
/// # Errors
/// It is not in the dump, or what it points to is no socket.
pub fn of_file(s: &Session, file: VirtAddr) -> Result<Option<Socket>> {
    let mem = s.mem();
    let inode = s.bind::<FileStruct>().inode.ptr(mem, file)?;
    if inode::file_type(s, inode)? != FileType::Socket {
        return Ok(None);
    }
    let at = s.bind::<SocketFile>().private.ptr(mem, file)?;
    let b = s.bind::<SocketStruct>();
    let own = b.file.ptr(mem, at)?;
    if own != file {
        let why = format!("it is of file {file:#x}, and says {own:#x}");
        return Err(KernelError::Damaged { what: "socket", at, why });
    }
    let sock = b.sk.ptr(mem, at)?;
    let number = s.bind::<Inode>().number.num(mem, inode);
    Ok(Some(socket(s, at, sock, number)?))
}

fn socket(s: &Session, at: VirtAddr, sock: VirtAddr, inode: Result<u64>) -> Result<Socket> {
    let (b, mem) = (s.bind::<Sock>(), s.mem());
    let kind = s.bind::<SocketStruct>().kind.num(mem, at);
    if sock.is_null() {
        let gone = || KernelError::Damaged { what: "socket", at, why: "it has no sock any more".to_owned() };
        return Ok(Socket {
            at,
            sock,
            inode,
            kind,
            family: Err(gone()),
            protocol: Err(gone()),
            state: Err(gone()),
            namespace: Err(gone()),
            ends: None,
            path: None,
            receive_queue: None,
            send_queue: None,
        });
    }
    let family = b.family.num(mem, sock);
    let state = b.state.num(mem, sock).map(|state| state & 0xff);
    let protocol = b.protocol.num(mem, sock);
    let is_inet = matches!(family, Ok(INET | INET6));
    let queues = is_inet.then(|| inet::queues(s, sock, &state, &protocol));
    Ok(Socket {
        at,
        sock,
        inode,
        ends: is_inet.then(|| inet::ends(s, sock, matches!(family, Ok(INET6)))),
        path: matches!(family, Ok(UNIX)).then(|| unix::path(s, sock)),
        receive_queue: queues.clone().map(|(receive, _)| receive),
        send_queue: queues.map(|(_, send)| send),
        namespace: b.net.ptr(mem, sock),
        family,
        kind,
        protocol,
        state,
    })
}

/// The name of a family (`AF_`); none of one that is not known.
#[must_use]
pub const fn family_name(family: u64) -> Option<&'static str> {
    Some(match family {
        0 => "UNSPEC",
        1 => "UNIX",
        2 => "INET",
        3 => "AX25",
        4 => "IPX",
        5 => "APPLETALK",
        6 => "NETROM",
        7 => "BRIDGE",
        8 => "ATMPVC",
        9 => "X25",
        10 => "INET6",
        11 => "ROSE",
        12 => "DECnet",
        13 => "NETBEUI",
        14 => "SECURITY/KEY",
        15 => "KEY",
        16 => "NETLINK/ROUTE",
        17 => "PACKET",
        18 => "ASH",
        19 => "ECONET",
        20 => "ATMSVC",
        22 => "SNA",
        23 => "IRDA",
        24 => "PPPOX",
        29 => "CAN",
        30 => "TIPC",
        31 => "BLUETOOTH",
        38 => "ALG",
        40 => "VSOCK",
        44 => "XDP",
        45 => "MCTP",
        _ => return None,
    })
}

/// The name of a type (`SOCK_`); none of one that is not known.
#[must_use]
pub const fn type_name(kind: u64) -> Option<&'static str> {
    Some(match kind {
        1 => "STREAM",
        2 => "DGRAM",
        3 => "RAW",
        4 => "RDM",
        5 => "SEQPACKET",
        6 => "DCCP",
        10 => "PACKET",
        _ => return None,
    })
}

/// The name of a state, as TCP has it; none of one that is not known.
#[must_use]
pub const fn state_name(state: u64) -> Option<&'static str> {
    Some(match state {
        1 => "ESTABLISHED",
        2 => "SYN_SENT",
        3 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        12 => "NEW_SYN_RECV",
        13 => "BOUND_INACTIVE",
        _ => return None,
    })
}
