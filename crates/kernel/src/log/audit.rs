//! Audit messages that wait in the kernel for a daemon (kernel/audit.c): socket buffers that each hold
//! one netlink message.

use crate::containers::list::list;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct sk_buff`
    struct SkBuff("sk_buff") { next: "next", data: "data", len: "len" }
}

/// The queues: since 4.11 (5b52330bbfe6), and before.
const QUEUES: [&str; 5] =
    ["audit_hold_queue", "audit_retry_queue", "audit_queue", "audit_skb_hold_queue", "audit_skb_queue"];
/// `struct nlmsghdr`: u32 len, u16 type, u16 flags, u32 seq, u32 pid.
const HEADER: u64 = 16;
/// Longest message that is read.
const MAX_TEXT: u64 = 1 << 16;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditMessage {
    /// Its type (`AUDIT_…`).
    pub kind: u16,
    /// Its text.
    pub text: String,
}

/// The messages of all queues.
#[derive(Debug, Default)]
pub struct AuditMessages {
    /// Oldest first; `None` where this kernel has no such queues, or where they are is not known: a problem says so.
    pub found: Option<Vec<AuditMessage>>,
    /// What could not be read.
    pub problems: Vec<KernelError>,
}

/// Reads the messages.
pub fn messages(s: &Session) -> AuditMessages {
    let mut out = AuditMessages::default();
    for queue in QUEUES.iter().filter_map(|name| s.symbol(name)) {
        let found = out.found.get_or_insert_default();
        // struct sk_buff_head begins as an sk_buff does: next, prev
        for skb in list(s.mem(), queue) {
            match skb.and_then(|at| message(s, at)) {
                Ok(m) => found.push(m),
                Err(e) => {
                    out.problems.push(e);
                    break;
                }
            }
        }
    }
    // of a table that lacks variables nobody knows what the kernel has
    if out.found.is_none()
        && let lacking @ KernelError::SymbolsLack { .. } = s.no_symbol("audit_queue")
    {
        out.problems.push(lacking);
    }
    out
}

fn message(s: &Session, skb: VirtAddr) -> Result<AuditMessage> {
    let mem = s.mem();
    let data = s.bind::<SkBuff>().data.ptr(mem, skb)?;
    let len = u64::from(mem.u32(data)?).clamp(HEADER, MAX_TEXT);
    let kind = mem.u16(data.add(4))?;
    let text = mem.bytes(data.add(HEADER), (len - HEADER) as usize)?;
    Ok(AuditMessage { kind, text: String::from_utf8_lossy(base::cstr(&text)).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// That no symbol names the queues says something of the kernel only where its table has variables.
    #[test]
    fn queues_that_no_symbol_names_may_be_there() {
        let mut k = Kernel::new();
        k.cpus(1);
        let all = messages(&session(&k));
        assert!(all.found.is_none() && all.problems.is_empty());
        for n in 0..200 {
            k.function(&format!("f{n}"), 0x40 * n);
        }
        let all = messages(&session(k.functions_alone()));
        let why = all.problems.first().map(ToString::to_string).unwrap_or_default();
        assert!(all.found.is_none() && why.contains("CONFIG_KALLSYMS_ALL"), "{why}");
    }
}
