//! x86-64: the facts are from the processor manuals (Intel SDM volume 3) and from the kernel's arch/x86.

mod boot;
mod entries;
mod frame;
mod insn;
mod layout;
mod leaves;
pub(crate) mod lift;
pub(crate) mod paging;
mod ptregs;
mod references;
pub(crate) mod regs;
#[cfg(test)]
mod testmem;
mod unwind;

use crate::dataflow::{Function, Known};
use crate::{
    Arch, Boot, CpuState, Disassemble, EntryKind, FrameShape, ImagePlace, IsText, Linear, PageTables, Paging,
    Prologue, Pte, RegSet, Regs, Resume, SavedLayout,
};
use base::{Fault, PhysAddr, PhysRead, RawNote, VirtAddr, VirtRead, VmcoreInfo};

/// `EM_X86_64` of the ELF specification.
const EM_X86_64: u16 = 62;

/// The architecture.
#[derive(Debug)]
pub(crate) struct X86_64;

impl Arch for X86_64 {
    fn name(&self) -> &'static str {
        "x86_64"
    }
    fn is_machine(&self, e_machine: u16) -> bool {
        e_machine == EM_X86_64
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
    fn second_states(&self, notes: &[RawNote]) -> Vec<CpuState> {
        regs::second_states(notes)
    }
    fn is_reset(&self, state: &CpuState) -> bool {
        regs::is_reset(state)
    }
    fn per_cpu_bases(&self, state: &CpuState) -> [Option<u64>; 2] {
        regs::per_cpu_bases(state)
    }
    fn tables_of(&self, state: &CpuState, kernel: &PageTables) -> Option<PageTables> {
        regs::tables_of(state, kernel)
    }
    fn by_vmcoreinfo(&self, info: &VmcoreInfo, header: Option<u64>, phys: &dyn PhysRead) -> Option<Boot> {
        boot::by_vmcoreinfo(info, header, phys)
    }
    fn tables_used(&self, state: &CpuState, phys: &dyn PhysRead) -> Vec<(&'static str, PageTables)> {
        boot::tables_used(state, phys)
    }
    fn image_offset(&self, tables: &PageTables, phys: &dyn PhysRead) -> Option<u64> {
        boot::image_offset(tables, phys)
    }
    fn kernel_in(&self, tables: PageTables, phys: &dyn PhysRead) -> Option<Boot> {
        boot::kernel_in(tables, phys)
    }
    fn kernel_at(&self, at: PhysAddr, page: &[u8], phys: &dyn PhysRead) -> Option<Boot> {
        boot::kernel_at(at, page, phys)
    }
    fn image_align(&self) -> u64 {
        layout::IMAGE_ALIGN
    }
    fn image_place(&self, image: &Linear) -> ImagePlace {
        let phys_base = layout::START_KERNEL_MAP.wrapping_sub(image.offset).cast_signed();
        ImagePlace { label: "PHYS BASE", key: "phys_base", value: phys_base.into() }
    }
    fn usual_texts(&self, _info: &VmcoreInfo, _paging: &Paging) -> Vec<VirtAddr> {
        vec![VirtAddr(layout::DEFAULT_TEXT)]
    }
    fn text_by_loader(
        &self,
        mem: &dyn VirtRead,
        symbol: &dyn Fn(&str) -> Option<VirtAddr>,
    ) -> Option<VirtAddr> {
        boot::text_by_loader(mem, symbol)
    }

    fn saved_layout(&self) -> SavedLayout {
        SavedLayout { size: ptregs::SIZE, interrupt: ptregs::IRET }
    }
    fn saved(&self, mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
        ptregs::read(mem, at)
    }
    fn interrupted(&self, mem: &dyn VirtRead, at: VirtAddr, before: &Regs) -> Result<Regs, Fault> {
        ptregs::interrupted(mem, at, before)
    }
    fn is_user(&self, regs: &Regs) -> bool {
        ptregs::is_user(regs)
    }
    fn can_be_saved(&self, regs: &Regs) -> bool {
        ptregs::is_possible(regs)
    }
    fn find_saved(
        &self,
        mem: &dyn VirtRead,
        at: VirtAddr,
        words: u64,
        is_text: IsText<'_>,
    ) -> Option<VirtAddr> {
        unwind::find_pt_regs(mem, at, words, is_text)
    }

    fn entry(&self, function: &str) -> Option<EntryKind> {
        entries::entry(function)
    }
    fn saves_for_interrupt(&self, function: &str) -> bool {
        entries::saves_for_interrupt(function)
    }
    /// `RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`
    fn oops_pc<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("RIP: ")?.split_once(':').map(|(_, place)| place)
    }
    /// `RSP: 0018:ffff888000000000 EFLAGS: 00010246`
    fn oops_sp<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.split_once("RSP: ")?.1.split_once(':').map(|(_, sp)| sp)
    }
    fn irq_stack(&self, pointer: VirtAddr, _task_stack: u64) -> std::ops::Range<VirtAddr> {
        layout::irq_stack(pointer)
    }
    fn irq_stack_from(&self, start: VirtAddr) -> Option<std::ops::Range<VirtAddr>> {
        Some(start..start.add(layout::IRQ_STACK_SIZE))
    }
    fn has_exception_stacks(&self) -> bool {
        true
    }

    /// `ud2`, or `ud1` with the prefixes of its operands.
    fn is_bug_trap(&self, code: &[u8]) -> bool {
        let skip = code.iter().take_while(|b| matches!(b, 0x67 | 0x40..=0x4f)).count();
        matches!(code.get(skip..), Some([0x0f, 0x0b | 0xb9, ..]))
    }
    fn follows_call(&self, mem: &dyn VirtRead, at: VirtAddr) -> bool {
        unwind::follows_call(mem, at)
    }
    fn longest_call(&self) -> u64 {
        7
    }
    fn call_target(&self, mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
        unwind::call_target(mem, at)
    }
    fn leaves(&self, start: VirtAddr, code: &[u8]) -> Option<Vec<VirtAddr>> {
        leaves::leaves(start, code)
    }
    fn referenced(&self, start: VirtAddr, code: &[u8]) -> Vec<VirtAddr> {
        references::referenced(start, code)
    }
    fn prologue(&self, mem: &dyn VirtRead, start: VirtAddr, pc: VirtAddr) -> Prologue {
        unwind::prologue(mem, start, pc)
    }
    fn frame_shape(&self, parts: &[(u64, &[u8])], at: u64) -> Option<FrameShape> {
        frame::frame_shape(parts, at)
    }

    fn sleeping(
        &self,
        mem: &dyn VirtRead,
        sp: VirtAddr,
        legacy: &dyn Fn() -> Option<VirtAddr>,
        is_text: IsText<'_>,
        function: &dyn Fn(VirtAddr) -> Option<VirtAddr>,
    ) -> Option<Resume> {
        unwind::sleeping(mem, sp, legacy, is_text, function)
    }
    fn after_switch(&self, start: VirtAddr, code: &[u8], switch_to: VirtAddr) -> Option<VirtAddr> {
        unwind::after_switch(start, code, switch_to)
    }

    fn is_kernel(&self, at: VirtAddr) -> bool {
        layout::is_kernel(at)
    }
    fn image_range(&self) -> [VirtAddr; 3] {
        [layout::START_KERNEL_MAP, layout::KERNEL_MAP_END, layout::MODULES_END].map(VirtAddr)
    }
    fn direct_map_bases(&self) -> &'static [u64] {
        &layout::DIRECT_MAP_BASES
    }
    fn vmemmap(&self) -> Option<VirtAddr> {
        Some(VirtAddr(0xffff_ea00_0000_0000))
    }
    fn vmalloc_range(&self, levels: usize) -> Option<(VirtAddr, u64)> {
        let [four, five] = layout::VMALLOC;
        Some(if levels == 5 { five } else { four })
    }
    fn user_end(&self, tables: &PageTables) -> VirtAddr {
        VirtAddr(if tables.levels() == 5 { 1 << 56 } else { 1 << 47 })
    }
    fn paging(&self) -> &'static [&'static Paging] {
        &paging::MODES
    }
    fn may_run(&self, entry: u64) -> bool {
        paging::may_run(entry)
    }
    fn pte(&self, entry: u64, tables: &PageTables) -> Pte {
        paging::pte(entry, tables.encryption)
    }
    fn swap_entries(&self, entry: u64) -> Vec<(u64, u64)> {
        paging::SWAP_LAYOUTS.into_iter().filter_map(|layout| paging::swap_entry(entry, layout)).collect()
    }

    fn lift(&self, parts: &[(u64, &[u8])], known: &Known<'_>) -> Option<Function> {
        Some(lift::function(parts, known))
    }
    fn disassembler(&self) -> Option<Box<dyn Disassemble>> {
        Some(Box::new(insn::Disassembler::new()))
    }
}
