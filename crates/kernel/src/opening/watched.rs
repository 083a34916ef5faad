//! Memory that is searched for the kernel: says how far the search is, and ends it where the user wants that.
//!
//! A search steps over what is not there ([`PhysRead::skip_holes`]); once it is stopped nothing is there any more.

use base::{Fault, FaultKind, Gap, Missing, PhysAddr, PhysRange, PhysRead, VirtAddr, VirtRead};
use debuginfo::find::Watch;
use std::ops::Range;

/// Physical memory.
pub(crate) struct WatchedPhys<'a> {
    pub(crate) phys: &'a dyn PhysRead,
    pub(crate) watch: &'a Watch,
}

impl PhysRead for WatchedPhys<'_> {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
        if self.watch.cancel.is_cancelled() {
            return Err(Missing::new(at, Gap::Absent));
        }
        self.phys.read_phys(at, buf)
    }
    fn ranges(&self) -> &[PhysRange] {
        self.phys.ranges()
    }
    fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
        if self.watch.cancel.is_cancelled() {
            return None;
        }
        let end = self.phys.ranges().last().map_or(0, |range| range.end.0);
        self.watch.progress.step("looking for the kernel in memory", from.0, end);
        self.phys.skip_holes(from)
    }
    fn missing(&self, at: PhysAddr) -> Option<(Gap, u64)> {
        self.phys.missing(at)
    }
    fn borrow_phys(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        self.phys.borrow_phys(at, len)
    }
    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Missing> {
        if self.watch.cancel.is_cancelled() {
            return Err(Missing::new(at, Gap::Absent));
        }
        self.phys.read_stretch(at, buf)
    }
    fn failures(&self) -> u64 {
        self.phys.failures()
    }
}

/// The addresses of the kernel's image.
pub(crate) struct WatchedVirt<'a> {
    pub(crate) mem: &'a dyn VirtRead,
    pub(crate) watch: &'a Watch,
    /// What is searched in all.
    pub(crate) all: Range<VirtAddr>,
}

/// Reads of so many bytes are the search's own steps.
const STEP: usize = 1 << 20;

impl VirtRead for WatchedVirt<'_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        if self.watch.cancel.is_cancelled() {
            // as large a hole as there is
            return Err(Fault::new(at, FaultKind::NotMapped("PGD")));
        }
        if buf.len() >= STEP {
            let done = at.0.saturating_sub(self.all.start.0);
            let total = self.all.end.0.saturating_sub(self.all.start.0);
            self.watch.progress.step("looking for the kernel's symbols", done, total);
        }
        self.mem.read(at, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Cancel, Progress};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts the steps, and stops the search at the third.
    struct Stopper(AtomicUsize, Cancel);
    impl Progress for Stopper {
        fn step(&self, _: &str, _: u64, _: u64) {
            if self.0.fetch_add(1, Ordering::Relaxed) == 2 {
                self.1.cancel();
            }
        }
    }

    struct Zeros([PhysRange; 1]);
    impl PhysRead for Zeros {
        fn read_phys(&self, _: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
            buf.fill(0);
            Ok(())
        }
        fn ranges(&self) -> &[PhysRange] {
            &self.0
        }
    }
    impl VirtRead for Zeros {
        fn read(&self, _: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            buf.fill(0);
            Ok(())
        }
    }

    #[test]
    fn searches_of_large_memory_end_when_they_are_stopped() {
        let memory = Zeros([PhysRange { start: PhysAddr(0), end: PhysAddr(1 << 50) }]);
        let cancel = Cancel::new();
        let steps = Arc::new(Stopper(AtomicUsize::new(0), cancel.clone()));
        let watch = Watch { progress: steps.clone(), cancel };
        assert!(arch::Boot::search(&WatchedPhys { phys: &memory, watch: &watch }).is_none());
        assert_eq!(steps.0.load(Ordering::Relaxed), 3);

        let cancel = Cancel::new();
        let steps = Arc::new(Stopper(AtomicUsize::new(0), cancel.clone()));
        let watch = Watch { progress: steps.clone(), cancel };
        let all = VirtAddr(0xffff_0000_0000_0000)..VirtAddr(0xffff_ff00_0000_0000);
        let mem = WatchedVirt { mem: &memory, watch: &watch, all: all.clone() };
        assert!(debuginfo::kallsyms::find(&mem, all.start, all.end).is_err());
        assert_eq!(steps.0.load(Ordering::Relaxed), 3);
    }
}
