//! Where sockets of AF_UNIX are (include/net/af_unix.h).

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct unix_sock`
    struct UnixSock("unix_sock") { address: "addr" }
}
bind! {
    /// `struct unix_address`
    struct UnixAddress("unix_address") { len: "len", name: "name" }
}

/// `sizeof(struct sockaddr_un)`, and of its family.
const MAX_LEN: u64 = 110;
const FAMILY: u64 = 2;

/// The path of a socket, `@NAME` for one that is in no directory; empty for one without either.
pub(super) fn path(s: &Session, sock: VirtAddr) -> Result<String> {
    let (mem, b) = (s.mem(), s.bind::<UnixAddress>());
    let at = s.bind::<UnixSock>().address.ptr(mem, sock)?;
    if at.is_null() {
        return Ok(String::new());
    }
    let len = b.len.num(mem, at)? & 0xffff_ffff;
    if len > MAX_LEN {
        return Err(KernelError::Damaged { what: "unix_address", at, why: format!("it has {len} bytes") });
    }
    let bytes = mem.bytes(b.name.at(at)?.add(FAMILY), len.saturating_sub(FAMILY) as usize)?;
    Ok(match bytes.split_first() {
        // as /proc/net/unix has it: other NULs are @ too
        Some((0, rest)) => {
            let rest: Vec<u8> = rest.iter().map(|b| if *b == 0 { b'@' } else { *b }).collect();
            format!("@{}", String::from_utf8_lossy(&rest))
        }
        _ => String::from_utf8_lossy(base::cstr(&bytes)).into_owned(),
    })
}
