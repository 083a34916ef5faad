use super::*;
use base::{Gap, Missing, PhysRange};

/// 64 MiB of memory with a kernel in it: an image of 4 MiB in blocks, a linear map, and a process's tables beside.
struct Ram(Vec<u8>, [PhysRange; 1]);

const RAM: u64 = 0x4000_0000;
const LEN: u64 = 64 << 20;
const IMAGE: u64 = RAM + (16 << 20);
const TEXT: u64 = 0xffff_a5c1_2340_0000;

impl PhysRead for Ram {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
        let from = at.0.wrapping_sub(RAM) as usize;
        let bytes = self.0.get(from..).and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or(Missing::new(at, Gap::Absent))?);
        Ok(())
    }
    fn ranges(&self) -> &[PhysRange] {
        &self.1
    }
    fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
        (from.0 < RAM + LEN).then_some(PhysAddr(from.0.max(RAM)))
    }
}

impl Ram {
    fn new() -> Self {
        let range = PhysRange { start: PhysAddr(RAM), end: PhysAddr(RAM + LEN) };
        let mut ram = Self(vec![0; LEN as usize], [range]);
        let banner = (IMAGE + (2 << 20) + 0x40 - RAM) as usize;
        ram.0[banner..banner + 20].copy_from_slice(b"Linux version 6.12.1");
        ram
    }
    fn put(&mut self, at: u64, word: u64) {
        let from = (at - RAM) as usize;
        self.0[from..from + 8].copy_from_slice(&word.to_le_bytes());
    }
    fn get(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.0[(at - RAM) as usize..][..8].try_into().unwrap())
    }
    /// Maps a page of `1 << shift` bytes, with tables handed out from `next` on.
    fn map(&mut self, root: u64, mode: &Paging, next: &mut u64, at: u64, shift: u32, entry: u64) {
        let mut table = root;
        for level in mode.levels {
            let slot = table + ((at >> level.shift) & ((1 << level.bits) - 1)) * 8;
            if level.shift == shift {
                self.put(slot, entry);
                return;
            }
            if self.get(slot) == 0 {
                *next += 1 << mode.page_shift();
                self.put(slot, *next | 3);
            }
            table = self.get(slot) & 0x0000_ffff_ffff_f000;
        }
    }
}

/// A kernel whose `swapper_pg_dir` is the page at 3 MiB of its image.
fn kernel(mode: &'static Paging, text: u64) -> (Ram, u64) {
    let mut ram = Ram::new();
    let root = IMAGE + (3 << 20);
    let mut next = RAM + (32 << 20);
    let page = 1_u64 << mode.page_shift();
    for at in (0..4 << 20).step_by(page as usize) {
        ram.map(root, mode, &mut next, text + at, mode.page_shift(), (IMAGE + at) | UXN | 0x703);
    }
    let half = mode.kernel_half.0;
    for at in (0..LEN).step_by(page as usize) {
        ram.map(root, mode, &mut next, half + at, mode.page_shift(), (RAM + at) | UXN | 0x703);
    }
    (ram, root)
}

fn evidence<'a>(info: &'a VmcoreInfo, claims: &'a [crate::Claim], ram: &'a Ram) -> crate::Evidence<'a> {
    crate::Evidence { claims, notes: &[], info, segments: &[], phys: ram }
}

#[test]
fn a_kernel_is_found_by_its_tables_alone_in_every_page_size() {
    for mode in [&paging::K4_48, &paging::K4_39, &paging::K16_47, &paging::K16_48, &paging::K64_48] {
        // the image lies in the upper half of the kernel's addresses
        let text = TEXT | layout::page_end(mode.address_bits).0;
        let (ram, root) = kernel(mode, text);
        let boot = Boot::search(&ram).unwrap();
        assert!(Boot::search_others(&[boot], None, &ram).is_empty(), "{} bits", mode.address_bits);
        assert_eq!((boot.arch.name(), boot.how), ("aarch64", How::Search));
        assert_eq!((boot.tables.root, boot.tables.paging), (PhysAddr(root), mode));
        assert_eq!((boot.text, boot.image.offset), (Some(VirtAddr(text)), text - IMAGE));
        assert_eq!((boot.kaslr_offset, boot.image_start()), (None, Some(PhysAddr(IMAGE))));
    }
}

#[test]
fn a_process_s_tables_are_no_kernel() {
    let mode = &paging::K4_48;
    let mut ram = Ram::new();
    let (root, mut next) = (RAM + (3 << 20), RAM + (32 << 20));
    // code, heap, and a mapping that happens to hold the table itself
    for (at, to) in [(0xaaaa_b000_0000, RAM), (0x0000_1000, RAM), (0xffff_f000_0000, root)] {
        ram.map(root, mode, &mut next, at, 12, to | 0x743);
    }
    assert_eq!(Boot::search(&ram), None);
}

#[test]
fn vmcoreinfo_is_believed_where_memory_fits_it() {
    let (ram, root) = kernel(&paging::K4_48, TEXT);
    let info = |pgd: u64, bits: &str| {
        let text = format!(
            "PAGESIZE=4096\nSYMBOL(swapper_pg_dir)={pgd:x}\nNUMBER(kimage_voffset)=0x{:x}\n{bits}",
            TEXT - IMAGE
        );
        let info = VmcoreInfo::parse(text.as_bytes());
        let claims = crate::claims(Some(183), true, None, &info, &[]);
        Boot::find(&evidence(&info, &claims, &ram)).unwrap()
    };
    let pgd = TEXT + (3 << 20);
    for bits in ["NUMBER(VA_BITS)=48\n", "NUMBER(VA_BITS)=52\nNUMBER(TCR_EL1_T1SZ)=0x10\n"] {
        let found = info(pgd, bits);
        assert_eq!((found.boot.tables.root, found.boot.text), (PhysAddr(root), Some(VirtAddr(TEXT))));
        assert_eq!((found.boot.how, found.dropped, found.sure), (How::VmcoreInfo, None, true));
    }
    // of another boot, of another processor, with a line lost: memory shows where the kernel is
    for (pgd, bits) in [(pgd + 0x20_0000, "NUMBER(VA_BITS)=48\n"), (pgd, "NUMBER(VA_BITS)=39\n"), (pgd, "")] {
        let found = info(pgd, bits);
        assert_eq!((found.boot.tables.root, found.boot.how), (PhysAddr(root), How::Search));
        assert!(found.dropped.is_some());
    }
}
