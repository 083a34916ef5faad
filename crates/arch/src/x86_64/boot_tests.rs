use super::*;
use crate::x86_64::testmem::TestMem;
use crate::{BootError, Evidence, Found};
use base::RawNote;

const TEXT: u64 = 0xffff_ffff_9580_0000;
const IMAGE: u64 = 0x60_0000;
/// swapper_pg_dir, inside of the image.
const ROOT: u64 = IMAGE + 0x8000;

fn kernel(levels: u8) -> TestMem {
    kernel_with_tables_at(levels, 0x2000)
}

fn kernel_with_tables_at(levels: u8, tables: u64) -> TestMem {
    let mut mem = TestMem::new(0xc0_0000, tables);
    mem.map(ROOT, levels, TEXT, 21, IMAGE | 0xe3);
    mem.map(ROOT, levels, TEXT + 0x20_0000, 21, (IMAGE + 0x20_0000) | 0xe3);
    let direct = if levels == 5 { 0xff1a_4b5e_0000_0000 } else { 0xffff_9a4b_4000_0000 };
    mem.map(ROOT, levels, direct, 30, 0xe3);
    mem.put(IMAGE + 0x20_1000, b"Linux version 6.1.0-56-cloud-amd64 (someone) #1 SMP");
    // pages that look like it but are not
    mem.put64(0x50_0ff8, 0x50_1067);
    mem.put64(0x50_0880, 0x50_1067);
    mem.put(0x51_0000, b"Linux version %s");
    mem
}

/// The note that QEMU writes of a CPU (`QEMUCPUState`): 18 registers, 10 segments, CR0 to CR4.
fn cpu(cr3: u64, levels: u8) -> RawNote {
    let mut desc = vec![0; 8 + 18 * 8 + 10 * 24];
    for cr in [0, 0, 0, cr3, if levels == 5 { 1 << 12 } else { 0 }] {
        desc.extend_from_slice(&u64::to_le_bytes(cr));
    }
    RawNote { name: b"QEMU".to_vec(), kind: 0, desc }
}

fn find(
    info: &VmcoreInfo,
    header: Option<u64>,
    notes: &[RawNote],
    mem: &TestMem,
) -> Result<Found, BootError> {
    let segments: Vec<_> =
        header.iter().map(|offset| (VirtAddr(TEXT), PhysAddr(TEXT.wrapping_sub(*offset)))).collect();
    Boot::find(&Evidence { claims: &[], notes, info, segments: &segments, phys: mem })
}

fn check(boot: Boot, levels: u8) {
    assert_eq!(boot.kaslr_offset, Some(0x1480_0000));
    assert_eq!(boot.tables, paging::tables(PhysAddr(ROOT), levels));
    assert_eq!((boot.arch.name(), boot.image.offset), ("x86_64", TEXT - IMAGE));
    assert_eq!(boot.text, Some(VirtAddr(TEXT)));
}

#[test]
fn three_ways_find_the_same_kernel() {
    for levels in [4, 5] {
        let mem = kernel(levels);
        let phys_base = IMAGE as i64 - (TEXT - START_KERNEL_MAP) as i64;
        let mut text = format!(
            "SYMBOL(_stext)={TEXT:x}\nSYMBOL(swapper_pg_dir)={:x}\nKERNELOFFSET=14800000\n",
            TEXT + 0x8000
        );
        if levels == 5 {
            text.push_str("NUMBER(pgtable_l5_enabled)=1\n");
        }
        let old = VmcoreInfo::parse(text.as_bytes());
        for header in [None, Some(TEXT - IMAGE)] {
            let found = find(&old, header, &[], &mem).unwrap();
            assert_eq!(found.boot.how, How::VmcoreInfo);
            check(found.boot, levels);
        }
        let new = VmcoreInfo::parse(format!("{text}NUMBER(phys_base)={phys_base}\n").as_bytes());
        check(find(&new, None, &[], &mem).unwrap().boot, levels);
        let none = VmcoreInfo::default();
        let ran = find(&none, None, &[cpu(ROOT | 0x7, levels)], &mem).unwrap().boot;
        assert_eq!((ran.how, ran.how.to_string().as_str()), (How::Cpu("CR3"), "a CPU's CR3"));
        check(ran, levels);
        check(Boot::search(&mem).unwrap(), levels);
        assert_eq!(find(&none, None, &[cpu(0xdead_0000, levels)], &mem).unwrap().boot.how, How::Search);
    }
}

#[test]
fn memory_without_a_kernel() {
    let mut mem = kernel(4);
    mem.put(IMAGE + 0x20_1000, b"Linux version is unknown");
    let error = find(&VmcoreInfo::default(), None, &[cpu(ROOT, 4)], &mem).unwrap_err();
    assert!(error.to_string().contains("1 CPU notes"), "{error}");
    assert!(Boot::search(&TestMem::new(0x10_0000, 0)).is_none());
}

#[test]
fn a_process_root_gives_way_to_the_kernels() {
    let mut mem = kernel(4);
    for i in 256..512 {
        let entry = mem.get64(ROOT + i * 8);
        mem.put64(0x3_0000 + i * 8, entry);
    }
    mem.put64(0x3_0000, 0x4_0067);
    let boot = find(&VmcoreInfo::default(), None, &[cpu(0x3_0000, 4)], &mem).unwrap().boot;
    assert_eq!(boot.tables.root, PhysAddr(0x3_0000));
    let better = boot.with_swapper(VirtAddr(TEXT + 0x8000), &mem);
    assert_eq!(better.tables.root, PhysAddr(ROOT));
    assert_eq!(boot.with_swapper(VirtAddr(TEXT + 0x9000), &mem).tables.root, PhysAddr(0x3_0000));
}

/// VMCOREINFO of another boot, whose page tables would be in a page that the filter left out.
#[test]
fn what_cannot_be_checked_gives_way_to_a_kernel_that_memory_shows() {
    let phys_base = IMAGE as i64 - (TEXT - START_KERNEL_MAP) as i64;
    let info = |phys_base: i64| {
        let text = format!("SYMBOL(swapper_pg_dir)={:x}\nNUMBER(phys_base)={phys_base}\n", TEXT + 0x8000);
        VmcoreInfo::parse(text.as_bytes())
    };
    let mut mem = kernel(4);
    mem.excluded = Some(ROOT + 0x20_0000);
    let found = find(&info(phys_base + 0x20_0000), None, &[], &mem).unwrap();
    check(found.boot, 4);
    assert!(found.sure && found.dropped.is_some_and(|why| why.contains("not in the dump")));
    // the right one stays where its own tables are left out, as nothing speaks against it
    mem.excluded = Some(ROOT);
    let found = find(&info(phys_base), None, &[], &mem).unwrap();
    assert_eq!((found.boot.image.offset, found.boot.how), (TEXT - IMAGE, How::VmcoreInfo));
    assert_eq!((found.dropped, found.sure), (None, false));
}

/// `level4_kernel_pgt` of a kernel of five levels lies in the image, and maps it and itself as a topmost table of four does.
#[test]
fn the_table_below_a_lost_root_is_no_root() {
    let mut mem = kernel_with_tables_at(5, ROOT + 0x1000);
    let below = mem.get64(ROOT + 511 * 8) & !0xfff;
    assert_eq!(below, ROOT + 0x1000);
    for shared in [508, 510] {
        let table = mem.new_table();
        mem.put64(below + shared * 8, table | 0x63);
    }
    check(Boot::search(&mem).unwrap(), 5);
    mem.excluded = Some(ROOT);
    assert_eq!(Boot::search(&mem), None);
    let phys_base = IMAGE as i64 - (TEXT - START_KERNEL_MAP) as i64;
    let text = format!(
        "SYMBOL(swapper_pg_dir)={:x}\nNUMBER(phys_base)={phys_base}\nNUMBER(pgtable_l5_enabled)=1\n",
        TEXT + 0x8000
    );
    let found = find(&VmcoreInfo::parse(text.as_bytes()), None, &[], &mem).unwrap();
    assert_eq!((found.boot.tables, found.dropped), (paging::tables(PhysAddr(ROOT), 5), None));
}
