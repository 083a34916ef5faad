//! Objects of the allocators, and their past.

use base::VirtAddr;
use kernel::mm::kfence::{self, Guarded};
use kernel::mm::slub;

/// An object of one of the allocators.
#[derive(Clone, PartialEq, Debug)]
pub struct Met {
    /// Of which.
    pub of: Allocator,
    /// Who allocated it, as a return address by symbol.
    pub allocated: Option<String>,
    /// Who freed it, or the one before it.
    pub freed: Option<String>,
}

/// The allocators that write down whose an object is.
#[derive(Clone, PartialEq, Debug)]
pub enum Allocator {
    /// SLUB.
    Slab(slub::Object),
    /// KFENCE.
    Guarded(Guarded),
}

impl Met {
    /// SLUB keeps who freed the object that was there before.
    #[must_use]
    pub fn freed_before(&self) -> bool {
        matches!(&self.of, Allocator::Slab(o) if o.state == slub::State::Allocated)
    }

    /// What of it is not in the dump.
    #[must_use]
    pub fn unread(&self) -> &[&'static str] {
        match &self.of {
            Allocator::Slab(o) => &o.unread,
            Allocator::Guarded(g) => &g.unread,
        }
    }

    /// True where something was written beside it, or over what the allocator keeps of it.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        match &self.of {
            Allocator::Slab(o) => !o.damage.is_empty(),
            Allocator::Guarded(g) => g.overwritten.is_some(),
        }
    }

    /// True where the object is not as it should be for somebody who has a pointer to it.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        let used = match &self.of {
            Allocator::Slab(o) => o.state != slub::State::Free,
            Allocator::Guarded(g) => {
                g.state == kfence::State::Allocated && matches!(g.place, kfence::Place::Inside(_))
            }
        };
        !used || self.is_damaged()
    }

    /// Where it begins.
    #[must_use]
    pub const fn begin(&self) -> VirtAddr {
        match &self.of {
            Allocator::Slab(o) => o.at,
            Allocator::Guarded(g) => g.at,
        }
    }

    /// KFENCE's number of it.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match &self.of {
            Allocator::Slab(_) => None,
            Allocator::Guarded(g) => Some(g.number),
        }
    }
}

/// An object that a pointer of the verdict leads to, and of which an allocator knows the past.
#[derive(Clone, PartialEq, Debug)]
pub struct Known {
    /// What it is.
    pub met: Met,
    /// The pointer.
    pub pointer: u64,
    /// Who allocated it, and who freed it.
    pub past: Vec<Past>,
    /// The commands that show it.
    pub commands: Vec<String>,
}

/// That an object was allocated or freed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Past {
    /// Which of them.
    pub event: PastEvent,
    /// In which process.
    pub pid: i32,
    /// On which CPU.
    pub cpu: Option<u32>,
    /// So many ticks before the end.
    pub ticks: Option<u64>,
    /// How many of them a second has.
    pub hz: Option<u64>,
    /// By the clock of the log, in nanoseconds.
    pub clock: Option<u64>,
    /// By whom: the functions of the stack, innermost first.
    pub stack: Vec<String>,
}

/// What happened to an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PastEvent {
    /// It was allocated.
    Allocated,
    /// It was freed.
    Freed,
    /// What was there before it was freed.
    FreedBefore,
}
