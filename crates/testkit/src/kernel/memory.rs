//! Pages, and the tables that map them.

use super::PAGE;
use crate::dump::DumpSpec;
use std::collections::{BTreeMap, BTreeSet};

const PRESENT: u64 = 0x63;
const LARGE: u64 = 0x80;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Physical memory with the kernel's page tables in it.
#[derive(Clone, Debug)]
pub(super) struct Ram {
    pages: BTreeMap<u64, Vec<u8>>,
    excluded: BTreeSet<u64>,
    /// Page frames of tables.
    tables: BTreeSet<u64>,
    root: u64,
    next_table: u64,
}

impl Ram {
    /// `root` is the topmost table's physical address, `tables` where others go.
    pub(super) fn new(root: u64, tables: u64) -> Self {
        let all = BTreeSet::from([root / PAGE]);
        Self { pages: BTreeMap::new(), excluded: BTreeSet::new(), tables: all, root, next_table: tables }
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

    /// Maps a page of `1 << shift` bytes: 12, 21 or 30.
    pub(super) fn map(&mut self, virt: u64, phys: u64, shift: u32) {
        let mut table = self.root;
        for level in [39, 30, 21, 12] {
            let at = table + (virt >> level & 0x1ff) * 8;
            if level == shift {
                let large = if shift > 12 { LARGE } else { 0 };
                self.set_entry(at, phys | PRESENT | large);
                return;
            }
            let mut entry = self.entry(at);
            if entry == 0 {
                entry = self.next_table | PRESENT;
                self.page(self.next_table);
                self.tables.insert(self.next_table / PAGE);
                self.next_table += PAGE;
                self.set_entry(at, entry);
            }
            assert!(entry & LARGE == 0, "{virt:#x} is mapped already");
            table = entry & ADDRESS;
        }
    }

    fn translate(&mut self, virt: u64) -> u64 {
        let mut table = self.root;
        for level in [39, 30, 21, 12] {
            let entry = self.entry(table + (virt >> level & 0x1ff) * 8);
            assert!(entry & 1 == 1, "{virt:#x} is not mapped");
            if level == 12 || entry & LARGE != 0 {
                return (entry & ADDRESS & !((1 << level) - 1)) + (virt & ((1 << level) - 1));
            }
            table = entry & ADDRESS;
        }
        unreachable!("the last level returns")
    }

    /// Sets the bit that forbids code in the last entry on the way to an address.
    pub(super) fn forbid(&mut self, virt: u64) {
        let mut table = self.root;
        for level in [39, 30, 21, 12] {
            let at = table + (virt >> level & 0x1ff) * 8;
            let entry = self.entry(at);
            if level == 12 || entry & LARGE != 0 {
                self.set_entry(at, entry | 1 << 63);
                return;
            }
            table = entry & ADDRESS;
        }
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
        let pfn = self.translate(virt) / PAGE;
        self.excluded.insert(pfn);
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
