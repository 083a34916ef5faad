//! The words of spinning locks.
//!
//! Sources: include/asm-generic/qspinlock_types.h (4.2; in RHEL's 3.10 too), include/asm-generic/qrwlock_types.h,
//! arch/x86/include/asm/spinlock_types.h of 3.10 (tickets), include/linux/spinlock_types_raw.h (`owner` of
//! CONFIG_DEBUG_SPINLOCK).

use base::VirtAddr;
use kernel::{Session, bind};

bind! {
    /// `struct qspinlock`
    struct QueuedSpinlock("qspinlock") { val: "val" }
}
bind! {
    /// `struct arch_spinlock`, of tickets
    struct TicketSpinlock("arch_spinlock") { head: "tickets.head", tail: "tickets.tail" }
}
bind! {
    /// `struct raw_spinlock`, with CONFIG_DEBUG_SPINLOCK
    struct RawSpinlock("raw_spinlock") { owner: "owner", owner_cpu: "owner_cpu", magic: "magic" }
}

/// A spinning lock's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// A queued lock: the byte of who has it, one that waits beside the queue, the CPU at the queue's end.
    Queued { locked: u8, pending: bool, tail: Option<u32> },
    /// Tickets: the one that is served, the next to be given.
    Ticket { head: u64, tail: u64 },
    /// A queued lock of readers and writers.
    ReadWrite { writer: u8, waiting: bool, readers: u32 },
}

/// The state of the lock at `at`; `function` is the one that waits for it.
pub(crate) fn state(s: &Session, at: VirtAddr, function: &str) -> Option<State> {
    let mem = s.mem();
    if matches!(function, "__write_lock_failed" | "__read_lock_failed") {
        return None; // until 3.16 a count less a bias, of a width that depends on the number of CPUs
    }
    if function.contains("queued_read_lock") || function.contains("queued_write_lock") {
        return Some(read_write(mem.u32(at).ok()?));
    }
    let queued = s.bind::<QueuedSpinlock>();
    if queued.size == Some(4) || function.contains("queued_spin_lock") {
        return queued_word(mem.u32(at).ok()?, s.cpus().possible.len());
    }
    let b = s.bind::<TicketSpinlock>();
    if let (Ok(head), Ok(tail)) = (b.head.num(mem, at), b.tail.num(mem, at)) {
        let wide = b.head.size().unwrap_or(2);
        return Some(ticket(head, tail, wide));
    }
    None
}

/// Bits 0 to 7 locked, 8 pending; above: with fewer than 16 K CPUs two bits of nesting from 16 and the CPU plus 1
/// from 18, else from 9 and 11.
fn queued_word(word: u32, cpus: usize) -> Option<State> {
    let few = cpus < 16 << 10;
    let (pending, cpu) = if few { (word >> 8 & 0xff, word >> 18) } else { (word >> 8 & 1, word >> 11) };
    let tail = cpu.checked_sub(1);
    // no lock: another number of CPUs, or no lock at all
    if pending > 1 || tail.is_some_and(|cpu| cpu as usize >= cpus.max(1)) {
        return None;
    }
    Some(State::Queued { locked: (word & 0xff) as u8, pending: pending == 1, tail })
}

/// With paravirtual tickets the lowest bit of `head` is a flag, and tickets count by two.
fn ticket(head: u64, tail: u64, wide: u64) -> State {
    let mask = if wide == 1 { 0xff } else { 0xffff };
    State::Ticket { head: head & mask, tail: tail & mask }
}

fn read_write(word: u32) -> State {
    State::ReadWrite { writer: (word & 0xff) as u8, waiting: word >> 8 & 1 == 1, readers: word >> 9 }
}

impl State {
    /// True where nobody has the lock.
    pub(crate) const fn is_free(&self) -> bool {
        match self {
            State::Queued { locked, .. } => *locked == 0,
            State::Ticket { head, tail } => *head == *tail,
            State::ReadWrite { writer, readers, .. } => *writer == 0 && *readers == 0,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            _ if self.is_free() => f.write_str("free"),
            State::Queued { pending, tail, .. } => {
                f.write_str("locked")?;
                if *pending {
                    f.write_str(", one waits for it")?;
                }
                match tail {
                    Some(cpu) => write!(f, ", CPU {cpu} is the last of its queue"),
                    None => Ok(()),
                }
            }
            State::Ticket { head, tail } => {
                write!(f, "locked: ticket {head} is served, {tail} is the next to be given")
            }
            State::ReadWrite { writer, readers, waiting } => {
                match (*writer, *readers) {
                    (0, n) => write!(f, "{n} read{} it", if n == 1 { "er holds" } else { "ers hold" })?,
                    _ => f.write_str("a writer holds it")?,
                }
                f.write_str(if *waiting { ", a writer waits" } else { "" })
            }
        }
    }
}

/// The owner that a kernel with CONFIG_DEBUG_SPINLOCK writes down.
pub(crate) fn owner(s: &Session, at: VirtAddr) -> Option<VirtAddr> {
    let b = s.bind::<RawSpinlock>();
    if b.magic.u32(s.mem(), at).ok()? != 0xdead_4ead {
        return None;
    }
    let owner = b.owner.ptr(s.mem(), at).ok()?;
    s.tasks().at(owner).map(|t| t.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_words() {
        for (word, cpus, want) in [
            (1, 4, Some("locked")),
            (0x101, 4, Some("locked, one waits for it")),
            (0x0008_0001, 4, Some("locked, CPU 1 is the last of its queue")),
            (0x000c_0101, 4, Some("locked, one waits for it, CPU 2 is the last of its queue")),
            (0, 4, Some("free")),
            (0x1001, 20_000, Some("locked, CPU 1 is the last of its queue")),
            (0x0040_0001, 4, None),
            (0xdead_4ead, 4, None),
        ] {
            assert_eq!(queued_word(word, cpus).map(|s| s.to_string()).as_deref(), want, "{word:#x}");
        }
    }

    #[test]
    fn tickets_and_readers() {
        assert_eq!(ticket(7, 9, 2).to_string(), "locked: ticket 7 is served, 9 is the next to be given");
        assert!(ticket(9, 9, 2).is_free());
        assert_eq!(read_write(0x1ff).to_string(), "a writer holds it, a writer waits");
        assert_eq!(read_write(0x200).to_string(), "1 reader holds it");
        assert_eq!(read_write(0x500).to_string(), "2 readers hold it, a writer waits");
    }
}
