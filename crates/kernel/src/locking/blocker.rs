//! The lock that a task says it waits for (`task_struct.blocker`, CONFIG_DETECT_HUNG_TASK_BLOCKER).
//!
//! Source: include/linux/hung_task.h: since 6.16 (e711faaafbe5) the lock's address with its kind in the two low bits, 0 for
//! a mutex, 1 for a semaphore, 3 for a read-write semaphore, 2 for one that is wanted for reading (6.17; before that
//! unused); in 6.15 (3cf67d61ff98) `blocker_mutex`, of mutexes alone. It is cleared when the wait is over.

use crate::locking::Kind;
use crate::sched::task::Task;
use crate::session::Session;
use arch::Arch;
use base::VirtAddr;

bind! {
    /// `struct task_struct`
    struct Blocked("task_struct") { on: "blocker" | "blocker_mutex" }
}

/// The lock that a task says it waits for.
pub fn said(s: &Session, task: &Task) -> Option<(Kind, VirtAddr)> {
    decoded(s.arch(), s.bind::<Blocked>().on.u64(s.mem(), task.at).ok()?)
}

fn decoded(arch: &Arch, word: u64) -> Option<(Kind, VirtAddr)> {
    let at = VirtAddr(word & !3);
    if !arch.is_kernel(at) || !at.0.is_multiple_of(8) {
        return None;
    }
    Some(match word & 3 {
        0 => (Kind::Mutex, at),
        1 => (Kind::Semaphore, at),
        _ => (Kind::RwSemaphore, at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_in_the_low_bits() {
        let Some(x86) = arch::by_name("x86_64") else { return };
        let at = VirtAddr(0xffff_8880_0123_4560);
        assert_eq!(decoded(x86, at.0), Some((Kind::Mutex, at)));
        assert_eq!(decoded(x86, at.0 | 1), Some((Kind::Semaphore, at)));
        assert_eq!(decoded(x86, at.0 | 2), Some((Kind::RwSemaphore, at)));
        assert_eq!(decoded(x86, at.0 | 3), Some((Kind::RwSemaphore, at)));
        assert_eq!(decoded(x86, 0), None);
        assert_eq!(decoded(x86, 0x1000), None, "no address of the kernel");
        assert_eq!(decoded(x86, at.0 | 4), None, "no lock begins there");
        // a tag in the top byte leaves an address of the kernel what it is
        let tagged = VirtAddr(0x34ff_0000_0123_4560);
        assert_eq!(decoded(x86, tagged.0), None);
        if let Some(arm64) = arch::by_name("aarch64") {
            assert_eq!(decoded(arm64, tagged.0 | 1), Some((Kind::Semaphore, tagged)));
        }
    }
}
