use super::*;
use crate::space::{KernelMap, Linear};
use crate::x86_64::testmem::TestMem;
use base::{FaultKind, Gap, PhysRead, VirtAddr, VirtRead};
use std::sync::Arc;

const KERNEL: u64 = 0xffff_8880_0000_0000;
const USER: u64 = 0x7f00_0000_3000;

fn map(levels: u8) -> (TestMem, PageTables) {
    let mut mem = TestMem::new(0x60_0000, 0x2000);
    mem.map(0x1000, levels, KERNEL, 12, 0x10_0000 | 0x63);
    mem.map(0x1000, levels, KERNEL + 0x1000, 12, 0x10_3000 | 0x63);
    mem.map(0x1000, levels, KERNEL + 0x20_0000, 21, 0x40_0000 | 0xe3);
    mem.put(0x10_0ffc, &[1, 2, 3, 4]);
    mem.put(0x10_3000, &[5, 6, 7, 8]);
    mem.put(0x41_2345, b"huge");
    (mem, tables(PhysAddr(0x1000), levels))
}

#[test]
fn both_depths_read_across_pages() {
    for levels in [4, 5] {
        let (mem, tables) = map(levels);
        let space = KernelMap::new(Arc::new(mem), tables);
        for _cold_then_cached in 0..2 {
            assert_eq!(space.bytes(VirtAddr(KERNEL + 0xffc), 8).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(space.bytes(VirtAddr(KERNEL + 0x21_2345), 4).unwrap(), b"huge");
        }
        let walk = space.walk(VirtAddr(KERNEL + 0x21_2345));
        let names: Vec<_> = walk.steps.iter().map(|s| s.level).collect();
        let expected: &[_] = if levels == 5 { &["PGD", "P4D", "PUD", "PMD"] } else { &["PGD", "PUD", "PMD"] };
        assert_eq!(names, expected);
        assert_eq!(walk.result.unwrap().page_size, 0x20_0000);
    }
}

#[test]
fn faults_say_what_and_where() {
    let (mut mem, tables) = map(4);
    mem.map(0x1000, 4, KERNEL + 0x3000, 12, 0x0123_4600);
    mem.map(0x1000, 4, USER, 12, 0x0123_4600);
    mem.excluded = Some(0x10_3000);
    let space = KernelMap::new(Arc::new(mem), tables);
    let kind = |at: u64| space.u8(VirtAddr(at)).unwrap_err().kind;
    assert_eq!(kind(KERNEL + 0x2000), FaultKind::NotMapped("PTE"));
    assert_eq!(kind(KERNEL + 0x40_0000), FaultKind::NotMapped("PMD"));
    assert_eq!(kind(0), FaultKind::NotMapped("PGD"));
    assert_eq!(kind(0xdead_0000_0000_0100), FaultKind::NonCanonical);
    assert_eq!(kind(USER), FaultKind::Swapped);
    // the kernel swaps none of its own pages
    assert_eq!(kind(KERNEL + 0x3000), FaultKind::NotMapped("PTE"));
    let fault = space.u64(VirtAddr(KERNEL + 0xffc)).unwrap_err();
    assert_eq!(fault.at, VirtAddr(KERNEL + 0x1000));
    assert!(
        matches!(fault.kind, FaultKind::Page(m) if m.why == Gap::Excluded && m.at == PhysAddr(0x10_3000))
    );
}

#[test]
fn a_table_outside_of_memory_is_a_fault() {
    let (mut mem, tables) = map(4);
    mem.put64(0x1000 + 511 * 8, 0xf_0000_0000_0067);
    let space = KernelMap::new(Arc::new(mem), tables);
    let top = VirtAddr(0xffff_ffff_8100_0000);
    assert!(matches!(space.u8(top).unwrap_err().kind, FaultKind::Table(_)));
    let image = KernelMap::new(space.phys().clone(), tables).with_image(Linear {
        start: VirtAddr(layout::START_KERNEL_MAP),
        end: VirtAddr(layout::KERNEL_MAP_END),
        offset: top.0 - 0x10_3000,
    });
    assert_eq!(image.u8(top).unwrap(), 5);
}

#[test]
fn pages_that_only_the_kernel_calls_present() {
    let (mut mem, mut tables) = map(4);
    mem.map(0x1000, 4, KERNEL + 0x4000, 12, (!0x10_3000 & ADDRESS) | GLOBAL | 0x20);
    mem.map(0x1000, 4, KERNEL + 0x5000, 12, 0x10_3000 | GLOBAL);
    tables.encryption = 1 << 47;
    mem.map(0x1000, 4, KERNEL + 0x6000, 12, 0x10_3000 | 0x63 | (1 << 47));
    for at in [0x4000, 0x5000, 0x6000] {
        let found = tables.translate(&mem, VirtAddr(KERNEL + at)).unwrap();
        assert_eq!(found.phys, PhysAddr(0x10_3000), "{at:#x}");
    }
}

#[test]
fn mapped_pages_are_listed_and_holes_skipped() {
    for levels in [4, 5] {
        let (mem, tables) = map(levels);
        let start = VirtAddr(if levels == 4 { 0xffff_8000_0000_0000 } else { 0xff00_0000_0000_0000 });
        let found: Vec<_> =
            tables.mapped(&mem, start, VirtAddr(u64::MAX)).map(|(at, t)| (at.0, t.phys.0)).collect();
        assert_eq!(
            found,
            [(KERNEL, 0x10_0000), (KERNEL + 0x1000, 0x10_3000), (KERNEL + 0x20_0000, 0x40_0000)],
            "{levels}"
        );
    }
}

/// Memory that gives a few bytes at a time: of each table the dump has a part only.
struct Parts(TestMem);
impl PhysRead for Parts {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), base::Missing> {
        if buf.len() > 8 {
            return Err(base::Missing::new(at, base::Gap::Truncated));
        }
        self.0.read_phys(at, buf)
    }
    fn ranges(&self) -> &[base::PhysRange] {
        self.0.ranges()
    }
}

/// Memory without one page.
struct Without(TestMem, u64);
impl PhysRead for Without {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), base::Missing> {
        if at.0 & !0xfff == self.1 {
            return Err(base::Missing::new(at, base::Gap::Truncated));
        }
        self.0.read_phys(at, buf)
    }
    fn ranges(&self) -> &[base::PhysRange] {
        self.0.ranges()
    }
}

#[test]
fn a_table_that_is_missing_counts_what_it_spans() {
    let (mem, tables) = map(4);
    let start = VirtAddr(KERNEL + 0x1000);
    let steps = tables.walk(&mem, start).steps;
    let table = steps.last().unwrap().entry_at.0 & !0xfff;
    let mem = Without(mem, table);
    let parts: Vec<_> = tables.mapped(&mem, start, VirtAddr(u64::MAX)).and_lost().collect();
    let of = |n: usize| (parts[n].0.0, parts[n].1.map(|t| t.phys.0));
    assert_eq!(
        (parts.len(), of(0), of(1)),
        (2, (KERNEL + 0x1000, Err(0x1f_f000)), (KERNEL + 0x20_0000, Ok(0x40_0000)))
    );
    assert_eq!(tables.mapped(&mem, start, VirtAddr(u64::MAX)).count(), 1);
}

#[test]
fn mapped_pages_are_listed_of_tables_that_are_there_in_part() {
    let (mem, tables) = map(4);
    let (start, end) = (VirtAddr(0xffff_8000_0000_0000), VirtAddr(u64::MAX));
    let whole: Vec<_> = tables.mapped(&mem, start, end).collect();
    assert_eq!(whole.len(), 3);
    assert_eq!(tables.mapped(&Parts(mem), start, end).collect::<Vec<_>>(), whole);
}

#[test]
fn swap_entries_of_every_layout() {
    let inverted = (3 << 59) | (((!0x1234_u64) << 14) >> 5) & !(0x1f << 59);
    assert_eq!(swap_entry(inverted & !GLOBAL & !PRESENT, SwapLayout::Inverted), Some((3, 0x1234)));
    assert_eq!(swap_entry((0x1234 << 14) | (3 << 9), SwapLayout::Bit9), Some((3, 0x1234)));
    assert_eq!(swap_entry((0x1234 << 9) | (3 << 1), SwapLayout::Bit1), Some((3, 0x1234)));
    assert_eq!(swap_entry(0, SwapLayout::Bit9), None);
}

#[test]
fn flags_by_name() {
    let names: Vec<_> = flag_names((1 << 63) | 0xe3).collect();
    assert_eq!(names, ["PRESENT", "RW", "ACCESSED", "DIRTY", "PSE", "NX"]);
}

/// Memory of which only the data page at 0x5000 is there: no table can be read.
struct NoTables;
impl PhysRead for NoTables {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), base::Missing> {
        if at.page_base() != PhysAddr(0x5000) {
            return Err(base::Missing::new(at, base::Gap::Truncated));
        }
        buf.fill(7);
        Ok(())
    }
    fn ranges(&self) -> &[base::PhysRange] {
        &[base::PhysRange { start: PhysAddr(0), end: PhysAddr(0x10_0000) }]
    }
}

#[test]
fn the_direct_map_is_read_without_its_tables() {
    let map = KernelMap::new(Arc::new(NoTables), tables(PhysAddr(0x1000), 4));
    let at = VirtAddr(0xffff_8880_0000_5010);
    assert!(matches!(map.u8(at).unwrap_err().kind, FaultKind::Table(_)));
    let start = VirtAddr(0xffff_8880_0000_0000);
    map.set_direct_map(Linear { start, end: start.add(0x10_0000), offset: start.0 });
    assert_eq!(map.u8(at), Ok(7));
    // beyond the memory that the dump covers, the table's absence is the answer
    assert!(matches!(map.u8(at.add(0x10_0000)).unwrap_err().kind, FaultKind::Table(_)));
}
