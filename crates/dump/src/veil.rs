//! A veil over a dump's memory: what it hides reads as a page that the file lacks, what is written on it reads so, and
//! what is read is noted. So the same dump with pages left out, cut short or overwritten needs no second file: tests hold
//! every answer to the whole dump's.

use crate::Gap;
use crate::dump::{Backend, Dump, Hole};
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// What is hidden of a dump, and what was read of it.
#[derive(Debug, Default)]
pub struct Veil {
    left_out: BTreeSet<Pfn>,
    cut_from: Option<Pfn>,
    /// Bytes that stand in another's place.
    written: BTreeMap<PhysAddr, u8>,
    seen: Mutex<BTreeSet<Pfn>>,
}

impl Veil {
    /// Hides nothing: notes which page frames are read.
    #[must_use]
    pub fn nothing() -> Arc<Self> {
        Arc::default()
    }
    /// These page frames read as left out by the filter.
    #[must_use]
    pub fn left_out(frames: BTreeSet<Pfn>) -> Arc<Self> {
        Arc::new(Self { left_out: frames, ..Self::default() })
    }
    /// The page frames from this one on read as cut off.
    #[must_use]
    pub fn cut_from(frame: Pfn) -> Arc<Self> {
        Arc::new(Self { cut_from: Some(frame), ..Self::default() })
    }
    /// The same veil with bytes that stand at a place instead of the dump's.
    #[must_use]
    pub fn write(self: Arc<Self>, at: PhysAddr, bytes: &[u8]) -> Arc<Self> {
        let mut own = Arc::try_unwrap(self).unwrap_or_else(|shared| Self {
            written: shared.written.clone(),
            left_out: shared.left_out.clone(),
            cut_from: shared.cut_from,
            seen: Mutex::default(),
        });
        own.written.extend((at.0..).map(PhysAddr).zip(bytes.iter().copied()));
        Arc::new(own)
    }
    /// The same veil, behind which this page frame holds only zeros.
    #[must_use]
    pub fn zero(self: Arc<Self>, frame: Pfn) -> Arc<Self> {
        self.write(PhysAddr(frame.0 * PAGE_SIZE), &[0; PAGE_SIZE as usize])
    }
    /// The page frames that were read since this was asked last.
    #[must_use]
    pub fn take_seen(&self) -> BTreeSet<Pfn> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is written over bytes that were read from here on.
    fn overwrite(&self, at: PhysAddr, read: &mut [u8]) {
        let end = PhysAddr(at.0.saturating_add(read.len() as u64));
        for (place, byte) in self.written.range(at..end) {
            let offset = usize::try_from(place.0 - at.0).ok();
            if let Some(slot) = offset.and_then(|offset| read.get_mut(offset)) {
                *slot = *byte;
            }
        }
    }
    fn gap(&self, frame: Pfn) -> Option<Gap> {
        match self.cut_from {
            Some(cut) if frame >= cut => Some(Gap::Truncated),
            _ => self.left_out.contains(&frame).then_some(Gap::Excluded),
        }
    }
    fn look(&self, at: PhysAddr) -> Result<(), Gap> {
        let frame = Pfn(at.0 / PAGE_SIZE);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(frame);
        self.gap(frame).map_or(Ok(()), Err)
    }
}

/// A format's memory behind a veil.
struct Veiled {
    inner: Box<dyn Backend>,
    veil: Arc<Veil>,
}

impl Backend for Veiled {
    fn read_front(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        self.veil.look(at).map_err(|why| Hole::of_page(at, why))?;
        let len = self.inner.read_front(at, buf)?;
        self.veil.overwrite(at, buf.get_mut(..len).unwrap_or_default());
        Ok(len)
    }
    fn ranges(&self) -> &[PhysRange] {
        self.inner.ranges()
    }
    fn present(&self, pfn: Pfn) -> Option<bool> {
        let excluded = self.veil.gap(pfn) == Some(Gap::Excluded);
        self.inner.present(pfn).map(|there| there && !excluded)
    }
    fn skip_holes(&self, from: PhysAddr) -> Result<Option<PhysAddr>, Gap> {
        let mut next = self.inner.skip_holes(from)?;
        while let Some(at) = next.filter(|at| self.veil.gap(at.pfn()) == Some(Gap::Excluded)) {
            let Some(behind) = at.page_base().0.checked_add(PAGE_SIZE) else { return Ok(None) };
            next = self.inner.skip_holes(PhysAddr(behind))?;
        }
        Ok(next)
    }
    fn borrow(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        let last = at.0.checked_add((len as u64).max(1) - 1)?;
        let frames = at.0 / PAGE_SIZE..=last / PAGE_SIZE;
        frames.into_iter().all(|pfn| self.veil.look(PhysAddr(pfn * PAGE_SIZE)).is_ok()).then_some(())?;
        let is_written = self.veil.written.range(at..=PhysAddr(last)).next().is_some();
        (!is_written).then(|| self.inner.borrow(at, len)).flatten()
    }
    fn move_above(&mut self, from: PhysAddr, to: PhysAddr) -> bool {
        self.inner.move_above(from, to)
    }
    fn held_bytes(&self) -> u64 {
        let hidden = self.veil.left_out.iter().filter(|pfn| self.inner.present(**pfn) == Some(true));
        self.inner.held_bytes().saturating_sub((hidden.count() as u64).saturating_mul(PAGE_SIZE))
    }
}

impl Dump {
    /// The same dump behind a veil.
    #[must_use]
    pub fn veiled(mut self, veil: Arc<Veil>) -> Self {
        self.opened.backend = Box::new(Veiled { inner: self.opened.backend, veil });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::PhysRead;
    use testkit::dump::{DumpSpec, Packing};

    fn dump(veil: &Arc<Veil>) -> [Dump; 2] {
        let spec = DumpSpec::x86_64().page(4, &[4; 4096]).page(5, &[5; 4096]).page(6, &[6; 4096]);
        [spec.elf(), spec.kdump(Packing::Zlib)]
            .map(|file| Dump::from_bytes(vec![file]).unwrap().veiled(veil.clone()))
    }

    fn read(dump: &Dump, at: u64) -> Result<u8, Gap> {
        let mut byte = [0];
        dump.read_phys(PhysAddr(at), &mut byte).map(|()| byte[0]).map_err(|missing| missing.why)
    }

    #[test]
    fn what_is_hidden_is_left_out_and_the_rest_is_not() {
        for dump in dump(&Veil::left_out([Pfn(5)].into())) {
            let read = |at| read(&dump, at);
            assert_eq!([read(0x4fff), read(0x5000), read(0x6000)], [Ok(4), Err(Gap::Excluded), Ok(6)]);
            assert_eq!((dump.present(Pfn(5)), dump.present(Pfn(4))), (Some(false), Some(true)));
            assert_eq!((dump.next_present(Pfn(5)), dump.held_bytes()), (Some(Pfn(6)), 2 * PAGE_SIZE));
            assert!(dump.borrow_phys(PhysAddr(0x4ff8), 16).is_none(), "a piece of it is hidden");
            let mut two = [0; 8192];
            assert_eq!(dump.read_stretch(PhysAddr(0x4000), &mut two).unwrap(), 4096, "up to it");
        }
    }

    #[test]
    fn what_is_written_on_it_is_read_in_the_place_of_the_dumps_bytes() {
        for dump in dump(&Veil::nothing().zero(Pfn(5)).write(PhysAddr(0x4ffe), &[7])) {
            let read = |at| read(&dump, at);
            let found = [0x4ffd, 0x4ffe, 0x4fff, 0x5000, 0x5fff, 0x6000].map(read);
            assert_eq!(found, [Ok(4), Ok(7), Ok(4), Ok(0), Ok(0), Ok(6)]);
            assert!(dump.borrow_phys(PhysAddr(0x5008), 16).is_none(), "the file has other bytes");
        }
    }

    #[test]
    fn a_cut_hides_all_behind_and_what_is_read_is_noted() {
        let veil = Veil::cut_from(Pfn(5));
        for dump in dump(&veil) {
            assert_eq!([read(&dump, 0x4000), read(&dump, 0x6fff)], [Ok(4), Err(Gap::Truncated)]);
            assert_eq!(dump.present(Pfn(6)), Some(true), "the file says that it is there");
            assert_eq!(veil.take_seen(), [Pfn(4), Pfn(6)].into());
            assert!(veil.take_seen().is_empty());
        }
    }
}
