//! arm64: the facts are from the Arm Architecture Reference Manual and from the kernel's arch/arm64.

pub(crate) mod boot;
mod entries;
mod layout;
pub(crate) mod paging;
mod ptregs;
mod references;
pub(crate) mod regs;
mod unwind;

use crate::{
    Arch, Boot, CpuState, Disassemble, EntryKind, FrameShape, ImagePlace, IsText, Linear, PageTables, Paging,
    Prologue, Pte, RegSet, Regs, Resume, SavedLayout,
};
use base::{Fault, PhysAddr, PhysRead, RawNote, VirtAddr, VirtRead, VmcoreInfo};

/// `EM_AARCH64` of the ELF specification.
const EM_AARCH64: u16 = 183;

/// Alignment of the image's segments, and of the image where the boot loader places it as tightly as it may (`SEGMENT_ALIGN`).
const TEXT_ALIGN: u64 = 64 << 10;

/// The architecture.
#[derive(Debug)]
pub(crate) struct Arm64;

impl Arch for Arm64 {
    fn name(&self) -> &'static str {
        "aarch64"
    }
    fn is_machine(&self, e_machine: u16) -> bool {
        e_machine == EM_AARCH64
    }
    fn reg_set(&self) -> &'static RegSet {
        &regs::SET
    }
    fn part_name(&self, number: usize, size: u64) -> String {
        regs::part_name(number, size)
    }
    fn cpu_states(&self, notes: &[RawNote]) -> Vec<CpuState> {
        regs::cpu_states(notes)
    }
    fn is_reset(&self, state: &CpuState) -> bool {
        regs::is_reset(state)
    }
    fn by_vmcoreinfo(&self, info: &VmcoreInfo, header: Option<u64>, phys: &dyn PhysRead) -> Option<Boot> {
        boot::by_vmcoreinfo(info, header, phys)
    }
    fn kernel_at(&self, at: PhysAddr, page: &[u8], phys: &dyn PhysRead) -> Option<Boot> {
        boot::kernel_at(at, page, phys)
    }
    fn image_align(&self) -> u64 {
        TEXT_ALIGN
    }
    /// Since 5.11 (e2a073dde921) nothing before it is mapped.
    fn may_begin_at_stext(&self) -> bool {
        true
    }
    fn image_place(&self, image: &Linear) -> ImagePlace {
        ImagePlace { label: "KIMAGE VOFFSET", key: "kimage_voffset", value: image.offset.into() }
    }
    fn usual_texts(&self, info: &VmcoreInfo, paging: &Paging) -> Vec<VirtAddr> {
        layout::linked_texts(info, paging)
    }
    fn vmemmap_told(&self, info: &VmcoreInfo, paging: &Paging) -> Option<VirtAddr> {
        layout::vmemmap(info, paging.page_shift())
    }
    fn linear_map(&self, info: &VmcoreInfo) -> Option<Linear> {
        layout::linear_map(info)
    }
    fn saved_layout(&self) -> SavedLayout {
        SavedLayout { size: ptregs::SIZE, interrupt: ptregs::PC_AT }
    }
    fn saved(&self, mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
        ptregs::read(mem, at)
    }
    fn interrupted(&self, mem: &dyn VirtRead, at: VirtAddr, _before: &Regs) -> Result<Regs, Fault> {
        // the processor itself saves nothing in memory: entry code saves all
        ptregs::read(mem, at)
    }
    fn is_user(&self, regs: &Regs) -> bool {
        ptregs::is_user(regs)
    }
    fn can_be_saved(&self, regs: &Regs) -> bool {
        ptregs::is_possible(regs)
    }
    fn saved_at_record(&self, mem: &dyn VirtRead, fp: VirtAddr) -> Option<VirtAddr> {
        unwind::saved_at_record(mem, fp)
    }
    fn find_saved(
        &self,
        mem: &dyn VirtRead,
        at: VirtAddr,
        words: u64,
        is_text: IsText<'_>,
    ) -> Option<VirtAddr> {
        unwind::find_saved(mem, at, words, is_text)
    }
    fn code_pointer(&self, at: u64, paging: &Paging) -> u64 {
        unwind::strip(at, paging.address_bits)
    }

    fn entry(&self, function: &str) -> Option<EntryKind> {
        entries::entry(function)
    }
    /// `pc : virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`
    fn oops_pc<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("pc : ")
    }
    /// `sp : ffff80000802bc00`
    fn oops_sp<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("sp : ")
    }
    /// The pointer is at the low end, and the stack as large as a task's (arch/arm64/kernel/irq.c).
    fn irq_stack(&self, pointer: VirtAddr, task_stack: u64) -> std::ops::Range<VirtAddr> {
        pointer..pointer.add(task_stack)
    }

    /// `brk #0x800` (`BUG_BRK_IMM`, arch/arm64/include/asm/brk-imm.h).
    fn is_bug_trap(&self, code: &[u8]) -> bool {
        code.starts_with(&0xd421_0000_u32.to_le_bytes())
    }
    fn follows_call(&self, mem: &dyn VirtRead, at: VirtAddr) -> bool {
        unwind::follows_call(mem, at)
    }
    fn longest_call(&self) -> u64 {
        4
    }
    fn call_target(&self, mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
        unwind::call_target(mem, at)
    }
    fn referenced(&self, start: VirtAddr, code: &[u8]) -> Vec<VirtAddr> {
        references::referenced(start, code)
    }
    fn prologue(&self, _mem: &dyn VirtRead, _start: VirtAddr, _pc: VirtAddr) -> Prologue {
        // frame records tell more than the code's first instructions: [`Arch::saved_at_record`]
        Prologue::Absent
    }
    fn frame_shape(&self, _parts: &[(u64, &[u8])], _at: u64) -> Option<FrameShape> {
        None
    }

    fn sleeping(
        &self,
        mem: &dyn VirtRead,
        context: VirtAddr,
        _legacy: &dyn Fn() -> Option<VirtAddr>,
        _is_text: IsText<'_>,
        _function: &dyn Fn(VirtAddr) -> Option<VirtAddr>,
    ) -> Option<Resume> {
        unwind::sleeping(mem, context)
    }
    fn after_switch(&self, _start: VirtAddr, _code: &[u8], _switch_to: VirtAddr) -> Option<VirtAddr> {
        None
    }

    /// QEMU's board and Arm's own.
    fn memory_begins(&self) -> &'static [u64] {
        &[0x4000_0000, 0x8000_0000]
    }
    fn is_kernel(&self, at: VirtAddr) -> bool {
        layout::is_kernel(at)
    }
    fn image_range(&self) -> [VirtAddr; 3] {
        layout::image_range()
    }
    fn direct_map_bases(&self) -> &'static [u64] {
        &[]
    }
    fn user_end(&self, tables: &PageTables) -> VirtAddr {
        VirtAddr(1 << tables.paging.address_bits)
    }
    fn paging(&self) -> &'static [&'static Paging] {
        &paging::MODES
    }
    fn may_run(&self, entry: u64) -> bool {
        paging::may_run(entry)
    }
    fn pte(&self, entry: u64, tables: &PageTables) -> Pte {
        paging::pte(entry, tables.paging)
    }

    /// arch/arm64/include/uapi/asm/fcntl.h
    fn o_direct(&self) -> u64 {
        0o200_000
    }

    fn disassembler(&self) -> Option<Box<dyn Disassemble>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_of_itself() {
        let arch: &dyn Arch = &Arm64;
        assert_eq!((arch.name(), arch.is_machine(183), arch.is_machine(62)), ("aarch64", true, false));
        let set = arch.reg_set();
        assert_eq!((arch.reg_name(set.pc), arch.reg_number("x29"), set.fp), (Some("pc"), Some(29), 29));
        assert_eq!((arch.part_name(3, 4), arch.part_name(3, 8)), ("w3".to_owned(), "x3".to_owned()));
        let [start, end, behind] = arch.image_range();
        assert!(
            arch.is_kernel(start) && start < end && end <= behind && !arch.is_kernel(VirtAddr(0xffff_f000))
        );
        assert!(arch.disassembler().is_none());
    }

    #[test]
    fn the_parts_of_an_entry() {
        // a page of user data: valid, a page, user, shared, accessed, not global, for nobody to run
        let entry = 0x00e8_0000_4567_8f53 | 1 << 53 | 1 << 54;
        let of = |bits| PageTables::of(PhysAddr(0), paging::mode(12, bits).unwrap());
        let pte = Arm64.pte(entry, &of(48));
        assert_eq!((pte.mapped, pte.phys), (true, 0x4567_8000));
        for flag in ["VALID", "USER", "SHARED", "AF", "NG", "PXN", "UXN"] {
            assert!(pte.flags.contains(&flag), "{flag}: {:?}", pte.flags);
        }
        assert!(!Arm64.may_run(entry) && Arm64.may_run(entry & !(1 << 54)));
        // with LPA2 bits 9 and 8 are the address's, and so are 49 and 48
        for (entry, phys) in
            [(0x0068_0000_4000_0703, 0xc_0000_4000_0000), (0x006b_0000_4000_0403, 0x3_0000_4000_0000)]
        {
            let pte = Arm64.pte(entry, &of(52));
            assert_eq!((pte.phys, pte.flags), (phys, vec!["VALID", "AF", "PXN", "UXN"]));
        }
        let large = PageTables::of(PhysAddr(0), paging::mode(16, 52).unwrap());
        assert_eq!(Arm64.pte(0x0068_0000_4123_f703, &large).phys, 0xf_0000_4123_0000);
    }

    #[test]
    fn a_cpu_s_registers_from_its_note() {
        let mut desc = vec![0; 392];
        for number in 0..34_u64 {
            let at = 112 + 8 * number as usize;
            desc[at..at + 8].copy_from_slice(&(0x1000 + number).to_le_bytes());
        }
        let note = RawNote { name: b"CORE".to_vec(), kind: 1, desc };
        let states = Arm64.cpu_states(&[note]);
        let regs = states[0].regs;
        assert_eq!(
            (regs.get(0), regs.fp(), regs.sp(), regs.pc()),
            (Some(0x1000), Some(0x101d), Some(0x101f), Some(0x1020))
        );
        assert_eq!(regs.by_name("pstate"), Some(0x1021));
        assert!(!Arm64.is_reset(&states[0]) && states[0].pid.is_none());
    }
}
