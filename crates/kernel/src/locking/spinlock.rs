//! The words of spinning locks.
//!
//! Sources: include/asm-generic/qspinlock_types.h (4.2; in RHEL's 3.10 too), include/asm-generic/qrwlock_types.h,
//! arch/x86/include/asm/spinlock_types.h of 3.10 (tickets), include/linux/spinlock_types_raw.h (`owner` of
//! CONFIG_DEBUG_SPINLOCK).

use crate::session::Session;
use base::VirtAddr;

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
    struct RawSpinlock("raw_spinlock") { owner: "owner", magic: "magic" }
}

bind! {
    /// `struct qrwlock`, since 3.16
    struct QueuedRwlock("qrwlock") { }
}

/// A spinning lock's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// A queued lock: the byte of who has it, one that waits beside the queue, the CPU at the queue's end.
    Queued {
        /// 0 where nobody has it.
        locked: u8,
        /// One waits beside the queue.
        pending: bool,
        /// The CPU at the queue's end.
        tail: Option<u32>,
    },
    /// Tickets: the one that is served, the next to be given.
    Ticket {
        /// The one that is served.
        head: u64,
        /// The next to be given.
        tail: u64,
    },
    /// A queued lock of readers and writers.
    ReadWrite {
        /// 0 where no writer has it.
        writer: u8,
        /// A writer waits.
        waiting: bool,
        /// How many readers have it.
        readers: u32,
    },
}

/// The state of the lock at `at`; `function` is the one that waits for it.
pub fn state(s: &Session, at: VirtAddr, function: &str) -> Option<State> {
    let mem = s.mem();
    if ["read_lock", "write_lock", "read_unlock", "write_unlock"].iter().any(|part| function.contains(part)) {
        // until 3.16 a count less a bias
        let queued = function.contains("queued_") || s.bind::<QueuedRwlock>().size.is_some();
        return queued.then(|| mem.u32(at).ok().map(read_write)).flatten();
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

/// True for what waits for a lock of readers and writers as it was until 3.16.
pub fn is_biased(function: &str) -> bool {
    matches!(function, "__write_lock_failed" | "__read_lock_failed")
}

/// Such a lock: a count from which each reader takes one and a writer all. `count` is what a writer waits with: the lock
/// itself, or its upper half where it has 8 bytes (more than 2048 CPUs).
pub fn biased(s: &Session, at: VirtAddr, count: VirtAddr) -> Option<State> {
    match count.0.checked_sub(at.0)? {
        0 if s.cpus().possible.len() <= 2048 => biased_word(s.mem().u32(at).ok()?.into(), 0x10_0000),
        4 => biased_word(s.mem().u64(at).ok()?, 1 << 32),
        _ => None,
    }
}

fn biased_word(word: u64, bias: u64) -> Option<State> {
    let readers = u32::try_from(bias.checked_sub(word)?).ok();
    match word {
        0 => Some(State::ReadWrite { writer: 1, waiting: false, readers: 0 }),
        _ => Some(State::ReadWrite { writer: 0, waiting: false, readers: readers? }),
    }
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
    pub const fn is_free(&self) -> bool {
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
pub fn owner(s: &Session, at: VirtAddr) -> Option<VirtAddr> {
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
    fn locks_with_a_bias() {
        let told = |word, bias| biased_word(word, bias).map(|state| state.to_string());
        assert_eq!(told(0x10_0000, 0x10_0000).as_deref(), Some("free"));
        assert_eq!(told(0, 0x10_0000).as_deref(), Some("a writer holds it"));
        assert_eq!(told(0xffff_ffff, 1 << 32).as_deref(), Some("1 reader holds it"));
        assert_eq!(told((1 << 32) - 3, 1 << 32).as_deref(), Some("3 readers hold it"));
        assert_eq!(told(0x10_0001, 0x10_0000), None);
    }

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
