//! A small physical memory for tests, with page tables that are built as they are needed.

use base::{Gap, Missing, PhysAddr, PhysRange, PhysRead};

pub(crate) struct TestMem {
    pub(crate) bytes: Vec<u8>,
    ranges: Vec<PhysRange>,
    next_table: u64,
    /// A page that reads as excluded.
    pub(crate) excluded: Option<u64>,
}

impl TestMem {
    /// `size` bytes at 0; tables are handed out from `tables` on.
    pub(crate) fn new(size: usize, tables: u64) -> Self {
        Self {
            bytes: vec![0; size],
            ranges: vec![PhysRange { start: PhysAddr(0), end: PhysAddr(size as u64) }],
            next_table: tables,
            excluded: None,
        }
    }
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    pub(crate) fn put64(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes());
    }
    pub(crate) fn get64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes[at as usize..][..8].try_into().unwrap())
    }
    pub(crate) fn new_table(&mut self) -> u64 {
        self.next_table += 0x1000;
        self.next_table - 0x1000
    }
    /// Maps a page whose size is `1 << shift` by writing `entry`.
    pub(crate) fn map(&mut self, root: u64, levels: u8, at: u64, shift: u32, entry: u64) {
        let mut table = root;
        let mut level = if levels == 5 { 48 } else { 39 };
        while level > shift {
            let slot = table + ((at >> level) & 0x1ff) * 8;
            if self.get64(slot) == 0 {
                let new = self.new_table();
                self.put64(slot, new | 0x67);
            }
            table = self.get64(slot) & 0xf_ffff_f000;
            level -= 9;
        }
        self.put64(table + ((at >> shift) & 0x1ff) * 8, entry);
    }
}

impl PhysRead for TestMem {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
        if self.excluded == Some(at.page_base().0) {
            return Err(Missing::new(at, Gap::Excluded));
        }
        let have = self.bytes.get(at.0 as usize..).unwrap_or_default();
        if have.len() < buf.len() {
            return Err(Missing::new(PhysAddr(self.bytes.len() as u64), Gap::Absent));
        }
        buf.copy_from_slice(&have[..buf.len()]);
        Ok(())
    }
    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }
    fn borrow_phys(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        let excluded = self.excluded.filter(|page| at.0 < page + 0x1000 && *page < at.0 + len as u64);
        if excluded.is_some() {
            return None;
        }
        self.bytes.get(at.0 as usize..)?.get(..len)
    }
}
