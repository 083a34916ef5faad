//! The per-CPU buffers of messages that printk could not write into the log at once (kernel/printk/printk_safe.c, 4.7 to
//! 5.13).

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

/// A per-CPU buffer of messages that were logged in NMI context or under the log's own lock and not yet moved.
#[derive(Clone, Debug)]
pub struct SafeBuffer {
    /// Its CPU.
    pub cpu: u32,
    /// `nmi_print_seq` or `safe_print_seq`.
    pub name: &'static str,
    /// Where it is.
    pub at: VirtAddr,
    /// Messages that found no room.
    pub lost: Result<i32>,
    /// What is in it.
    pub text: String,
}

/// The per-CPU buffers of printk, the buffers of one name together (4.7 to 5.13; no kernel has them since); and why one
/// cannot be read, where one cannot.
#[must_use]
pub fn safe_buffers(s: &Session) -> (Vec<SafeBuffer>, Option<KernelError>) {
    let (mut out, mut problem) = (Vec::new(), None);
    // each release that has them has one of the functions that empty them
    let maybe = ["printk_safe_flush", "printk_nmi_flush"].iter().any(|name| s.symbol(name).is_some());
    if s.symbol("nmi_print_seq").is_none()
        && let lacking @ KernelError::SymbolsLack { .. } = s.no_symbol("nmi_print_seq")
        && (maybe || s.kernel_symbols().table.is_empty())
    {
        problem = Some(lacking);
    }
    for name in ["nmi_print_seq", "safe_print_seq"].into_iter().filter(|name| s.symbol(name).is_some()) {
        for &cpu in &s.cpus().possible {
            match safe_buffer(s, name, cpu) {
                Ok(buffer) => out.push(buffer),
                Err(e) => problem = problem.or(Some(e)),
            }
        }
    }
    (out, problem)
}

fn safe_buffer(s: &Session, name: &'static str, cpu: u32) -> Result<SafeBuffer> {
    let at = s.per_cpu(name, cpu)?;
    let b = s.bind::<SafeBuf>();
    let len = b.len.int(s.mem(), at)?.clamp(0, 8192);
    let lost = b.lost.i32(s.mem(), at);
    let text = s.mem().bytes(b.buffer.at(at)?, usize::try_from(len).unwrap_or(0))?;
    Ok(SafeBuffer { cpu, name, at, lost, text: String::from_utf8_lossy(&text).into_owned() })
}

bind! {
    /// `struct printk_safe_seq_buf` (`nmi_seq_buf` until 4.11)
    struct SafeBuf("printk_safe_seq_buf" | "nmi_seq_buf") {
        len: "len.counter",
        lost: "message_lost.counter",
        buffer: "buffer",
    }
}
