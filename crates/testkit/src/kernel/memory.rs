//! Pages, and the tables that map them.

use super::PAGE;
use super::machine::Mode;
use crate::dump::DumpSpec;
use std::collections::{BTreeMap, BTreeSet};

/// Physical memory with the kernel's page tables in it.
#[derive(Clone, Debug)]
pub(super) struct Ram {
    mode: Mode,
    pages: BTreeMap<u64, Vec<u8>>,
    excluded: BTreeSet<u64>,
    /// Page frames of tables.
    tables: BTreeSet<u64>,
    root: u64,
    next_table: u64,
}

impl Ram {
    /// `root` is the topmost table's physical address, `tables` where others go.
    pub(super) fn new(mode: Mode, root: u64, tables: u64) -> Self {
        let (pages, excluded, all) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut ram = Self { mode, pages, excluded, tables: all, root, next_table: tables };
        ram.table(root, mode.root_len());
        ram
    }

    /// A table of zeros.
    fn table(&mut self, at: u64, len: u64) {
        for frame in at / PAGE..(at + len).div_ceil(PAGE) {
            self.page(frame * PAGE);
            self.tables.insert(frame);
        }
    }

    fn page(&mut self, phys: u64) -> &mut Vec<u8> {
        self.pages.entry(phys / PAGE).or_insert_with(|| vec![0; PAGE as usize])
    }

    fn entry(&mut self, at: u64) -> u64 {
        let from = (at % PAGE) as usize;
        let bytes: [u8; 8] = self.page(at)[from..from + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    }

    fn set_entry(&mut self, at: u64, value: u64) {
        let from = (at % PAGE) as usize;
        self.page(at)[from..from + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Maps a range, in blocks where its addresses and length allow them.
    pub(super) fn map_all(&mut self, virt: u64, phys: u64, len: u64) {
        let sizes = [30, self.mode.block, self.mode.page()];
        let is_level = |shift: &u32| self.mode.levels.iter().any(|(level, _)| level == shift);
        // blocks of 1 GiB are 4 KiB pages' alone
        let fits = |shift: &u32| (virt | phys | len).is_multiple_of(1 << shift);
        let shift = sizes.into_iter().find(|shift| is_level(shift) && fits(shift)).expect("whole pages");
        for at in (0..len).step_by(1 << shift) {
            self.map(virt + at, phys + at, shift);
        }
    }

    /// Maps a page of `1 << shift` bytes.
    pub(super) fn map(&mut self, virt: u64, phys: u64, shift: u32) {
        let mode = self.mode;
        let mut table = self.root;
        for (level, bits) in mode.levels {
            let at = table + Mode::slot(virt, *level, *bits);
            if *level == shift {
                self.set_entry(at, phys | if shift == mode.page() { mode.leaf } else { mode.large });
                return;
            }
            let mut entry = self.entry(at);
            if entry == 0 {
                entry = self.next_table | mode.table;
                self.table(self.next_table, 1 << mode.page());
                self.next_table += 1 << mode.page();
                self.set_entry(at, entry);
            }
            assert!(!mode.is_leaf(entry, *level), "{virt:#x} is mapped already");
            table = mode.address(entry);
        }
    }

    /// The entry that maps an address: where it is, and how many bits of the address its page leaves.
    fn mapping(&mut self, virt: u64) -> (u64, u32) {
        let mode = self.mode;
        let mut table = self.root;
        for (level, bits) in mode.levels {
            let at = table + Mode::slot(virt, *level, *bits);
            let entry = self.entry(at);
            assert!(entry & 1 == 1, "{virt:#x} is not mapped");
            if mode.is_leaf(entry, *level) {
                return (at, *level);
            }
            table = mode.address(entry);
        }
        unreachable!("the last level returns")
    }

    fn translate(&mut self, virt: u64) -> u64 {
        let (at, shift) = self.mapping(virt);
        let within = (1 << shift) - 1;
        let entry = self.entry(at);
        (self.mode.address(entry) & !within) + (virt & within)
    }

    /// Sets the bit that forbids code in the last entry on the way to an address.
    pub(super) fn forbid(&mut self, virt: u64) {
        let (at, _) = self.mapping(virt);
        let entry = self.entry(at);
        self.set_entry(at, entry | self.mode.forbidden);
    }

    /// The part of a range of virtual addresses that lies in its first page: physical address, bytes.
    fn first(&mut self, virt: u64, len: usize) -> (u64, usize) {
        (self.translate(virt), len.min((PAGE - virt % PAGE) as usize))
    }

    pub(super) fn write(&mut self, virt: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let (phys, n) = self.first(virt + done as u64, bytes.len() - done);
            let from = (phys % PAGE) as usize;
            self.page(phys)[from..from + n].copy_from_slice(&bytes[done..done + n]);
            done += n;
        }
    }

    pub(super) fn read(&mut self, virt: u64, buf: &mut [u8]) {
        for (n, byte) in buf.iter_mut().enumerate() {
            let phys = self.translate(virt + n as u64);
            *byte = self.page(phys)[(phys % PAGE) as usize];
        }
    }

    pub(super) fn fill(&mut self, virt: u64, len: u64) {
        let mut at = virt & !(PAGE - 1);
        while at < virt + len {
            let phys = self.translate(at);
            self.page(phys);
            at += PAGE;
        }
    }

    pub(super) fn exclude(&mut self, virt: u64) {
        let (phys, page) = (self.translate(virt), 1 << self.mode.page());
        let first = phys / page * page;
        self.excluded.extend(first / PAGE..(first + page) / PAGE);
    }

    /// The same memory so many bytes further on, the entries of the tables with it.
    pub(super) fn moved(mut self, by: u64) -> Self {
        for (pfn, page) in &mut self.pages {
            let entries = page.chunks_exact_mut(8).filter(|_| self.tables.contains(pfn));
            for entry in entries {
                let value = u64::from_le_bytes((&*entry).try_into().expect("eight bytes"));
                if value & 1 == 1 {
                    entry.copy_from_slice(&(value + by).to_le_bytes());
                }
            }
        }
        self.pages =
            std::mem::take(&mut self.pages).into_iter().map(|(pfn, page)| (pfn + by / PAGE, page)).collect();
        self.excluded = self.excluded.iter().map(|pfn| pfn + by / PAGE).collect();
        self
    }

    pub(super) fn into_spec(self, mut spec: DumpSpec) -> DumpSpec {
        for (pfn, page) in &self.pages {
            spec = if self.excluded.contains(pfn) { spec.excluded(*pfn) } else { spec.page(*pfn, page) };
        }
        spec
    }
}
