//! Notes with registers.
//!
//! `NT_PRSTATUS` is `struct elf_prstatus` (include/linux/elfcore.h) with the registers in the order of
//! `struct user_regs_struct` (arch/x86/include/asm/user_64.h). The `QEMU` note is QEMU's `QEMUCPUState`
//! (target/i386/arch_dump.c), one a CPU, after all `NT_PRSTATUS`.

use super::X86_64;
use super::paging;
use super::regs::*;
use crate::capability::{CpuNotes, ShortCalls};
use crate::{Control, CpuState, PageTables, Regs};
use base::{Bytes, OutOfBounds, PhysAddr, RawNote};

/// `NT_PRSTATUS` of the ELF specification.
const NT_PRSTATUS: u32 = 1;
/// `offsetof(struct elf_prstatus, pr_pid)` and `pr_reg`.
const PR_PID: usize = 32;
const PR_REG: usize = 112;

/// The registers of every CPU, in the order of the notes. A note too short for its kind is left out, as no
/// part of it could be trusted.
pub(crate) fn cpu_states(notes: &[RawNote]) -> Vec<CpuState> {
    let qemu = qemu_states(notes);
    if qemu.is_empty() { prstatus_states(notes) } else { qemu }
}

/// QEMU's `NT_PRSTATUS` notes, which repeat the registers, with the CPU's number in place of a pid.
pub(crate) fn second_states(notes: &[RawNote]) -> Vec<CpuState> {
    if qemu_states(notes).is_empty() {
        return Vec::new();
    }
    let mut states = prstatus_states(notes);
    for state in &mut states {
        state.pid = None;
        // it has 0 there, whatever was
        state.regs.clear(ORIG_RAX);
    }
    states
}

fn qemu_states(notes: &[RawNote]) -> Vec<CpuState> {
    let own = notes.iter().filter(|n| n.is("QEMU") && n.kind == 0);
    own.filter_map(|n| qemu_state(&n.desc).ok()).collect()
}

fn prstatus_states(notes: &[RawNote]) -> Vec<CpuState> {
    let own = notes.iter().filter(|n| n.is("CORE") && n.kind == NT_PRSTATUS);
    own.filter_map(|n| prstatus(&n.desc).ok()).collect()
}

/// The processor begins at `f000:fff0`, with paging off.
pub(crate) fn is_reset(state: &CpuState) -> bool {
    const CR0_PG: u64 = 1 << 31;
    let unpaged = state.control.is_some_and(|c| c.cr.first().is_some_and(|cr0| cr0 & CR0_PG == 0));
    let low = state.regs.get(RIP).is_some_and(|pc| pc < 1 << 20);
    low && (unpaged || (state.regs.get(RIP), state.regs.get(CS)) == (Some(0xfff0), Some(0xf000)))
}

/// The tables of CR3: bits 0 to 11 are flags or the PCID, bit 63 its "no flush".
pub(crate) fn tables_of(state: &CpuState, kernel: &PageTables) -> Option<PageTables> {
    let control = state.control?;
    let root = control.cr3() & 0x000f_ffff_ffff_f000 & !kernel.encryption;
    let levels = if control.la57() { 5 } else { 4 };
    Some(PageTables { encryption: kernel.encryption, ..paging::tables(PhysAddr(root), levels) })
}

fn prstatus(desc: &[u8]) -> Result<CpuState, OutOfBounds> {
    let bytes = Bytes::new(desc);
    let mut regs = Regs::new(&SET);
    for (i, number) in USER_REGS.iter().enumerate() {
        regs.set(*number, bytes.u64_at(PR_REG + 8 * i)?);
    }
    Ok(CpuState { regs, control: None, pid: Some(bytes.i32_at(PR_PID)?), source: "NT_PRSTATUS" })
}

/// The order of the general registers in `QEMUCPUState`.
const QEMU_REGS: [usize; 18] =
    [RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, R12, R13, R14, R15, RIP, RFLAGS];

fn qemu_state(desc: &[u8]) -> Result<CpuState, OutOfBounds> {
    let mut bytes = Bytes::new(desc);
    let _version = bytes.u32()?;
    let size = bytes.u32()? as usize;
    let mut regs = Regs::new(&SET);
    for number in QEMU_REGS {
        regs.set(number, bytes.u64()?);
    }
    let mut control = Control::default();
    for selector in [CS, DS, ES, FS, GS, SS] {
        let (value, base) = segment(&mut bytes)?;
        regs.set(selector, value);
        match selector {
            FS => regs.set(FS_BASE, base),
            GS => regs.set(GS_BASE, base),
            _ => {}
        }
    }
    segment(&mut bytes)?;
    control.tr_base = segment(&mut bytes)?.1;
    control.gdt_base = segment(&mut bytes)?.1;
    control.idt_base = segment(&mut bytes)?.1;
    for cr in &mut control.cr {
        *cr = bytes.u64()?;
    }
    // QEMU before 2.12 wrote no kernel_gs_base
    if size >= bytes.pos() + 8 {
        control.kernel_gs_base = bytes.u64().ok();
    }
    Ok(CpuState { regs, control: Some(control), pid: None, source: "QEMU" })
}

/// selector, limit, flags, padding (32 bits each), base: the selector and the base.
fn segment(bytes: &mut Bytes<'_>) -> Result<(u64, u64), OutOfBounds> {
    let selector = bytes.u32()?;
    bytes.take(12)?;
    Ok((selector.into(), bytes.u64()?))
}

/// Bytes of the FXSAVE area (`NT_PRFPREG`); the header of XSAVE follows it in memory (SDM volume 1, 13.4).
const XSAVE_HEADER: usize = 512;
/// FXSAVE's parts: from x87's control word on, MXCSR and its mask, the x87 registers, the XMM registers (SDM volume 1, 10.5.1).
const MXCSR: usize = 24;
const X87_REGS: usize = 32;
const XMM_REGS: usize = 160;
const XMM_END: usize = 416;

/// The FXSAVE area of a thread, where XSAVE wrote it. XSAVE leaves out the parts that are as after a reset, and says so in
/// its header (XSTATE_BV: bit 0 is x87, bit 1 XMM, bit 2 AVX).
fn fxsave(kept: &[u8]) -> Option<Vec<u8>> {
    let parts = Bytes::new(kept).u64_at(XSAVE_HEADER).ok()?;
    let mut out = kept.get(..XSAVE_HEADER)?.to_vec();
    if parts & 1 == 0 {
        out.get_mut(..MXCSR)?.fill(0);
        // FCW
        out.get_mut(..2)?.copy_from_slice(&0x37f_u16.to_le_bytes());
        out.get_mut(X87_REGS..XMM_REGS)?.fill(0);
    }
    if parts & 2 == 0 {
        out.get_mut(XMM_REGS..XMM_END)?.fill(0);
    }
    if parts & 6 == 0 {
        out.get_mut(MXCSR..MXCSR + 4)?.copy_from_slice(&0x1f80_u32.to_le_bytes());
    }
    Some(out)
}

impl CpuNotes for X86_64 {
    fn cpu_states(&self, notes: &[RawNote]) -> Vec<CpuState> {
        cpu_states(notes)
    }
    fn second_states(&self, notes: &[RawNote]) -> Vec<CpuState> {
        second_states(notes)
    }
    fn is_reset(&self, state: &CpuState) -> bool {
        is_reset(state)
    }
    fn tables_of(&self, state: &CpuState, kernel: &PageTables) -> Option<PageTables> {
        tables_of(state, kernel)
    }
    fn general(&self) -> Vec<usize> {
        USER_REGS.to_vec()
    }
    fn kept_by_switch(&self) -> &'static [(usize, &'static [&'static str])] {
        // the bases have these names since 4.7 (296f781a4b78)
        const {
            &[
                (FS_BASE, &["thread.fsbase", "thread.fs"]),
                (GS_BASE, &["thread.gsbase", "thread.gs"]),
                (DS, &["thread.ds"]),
                (ES, &["thread.es"]),
                (FS, &["thread.fsindex"]),
                (GS, &["thread.gsindex"]),
            ]
        }
    }
    fn short_calls(&self) -> ShortCalls {
        // to 4.15 (21d375b6b34f)
        const FUNCTIONS: &[&str] = &["entry_SYSCALL_64_fastpath", "system_call_fastpath"];
        const UNSAVED: &[usize] = &[RBX, RBP, R12, R13, R14, R15];
        ShortCalls { functions: FUNCTIONS, unsaved: UNSAVED }
    }
    fn floating_len(&self) -> usize {
        XSAVE_HEADER + 8
    }
    fn floating(&self, kept: &[u8], features: &[u32]) -> Option<Vec<u8>> {
        // X86_FEATURE_XSAVE: bit 26 of the fifth word; without it FXSAVE wrote it all
        match features.get(4)? >> 26 & 1 {
            1 => fxsave(kept),
            _ => kept.get(..XSAVE_HEADER).map(<[u8]>::to_vec),
        }
    }
    fn is_narrow(&self, regs: &Regs) -> bool {
        // __USER32_CS
        regs.get(CS) == Some(0x23)
    }
    fn settle(&self, regs: &mut Regs) {
        // to 4.6 a base below 4 GiB could be that of a segment
        for (selector, base) in [(FS, FS_BASE), (GS, GS_BASE)] {
            if regs.get(selector).is_some_and(|n| n > 3) && regs.get(base) == Some(0) {
                regs.clear(base);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xsave_left_out_is_as_after_a_reset() {
        let mut kept = vec![0xab; 576];
        kept[512..520].copy_from_slice(&3_u64.to_le_bytes());
        assert_eq!(fxsave(&kept).unwrap(), vec![0xab; 512]);
        kept[512..520].copy_from_slice(&4_u64.to_le_bytes());
        let own = fxsave(&kept).unwrap();
        assert_eq!((own[..2].to_vec(), own[2], own[24], own[32], own[160]), (vec![0x7f, 3], 0, 0xab, 0, 0));
        kept[512..520].copy_from_slice(&0_u64.to_le_bytes());
        assert_eq!(fxsave(&kept).unwrap()[24..28], [0x80, 0x1f, 0, 0]);
        assert!(fxsave(&kept[..515]).is_none());
    }

    #[test]
    fn a_base_of_a_segment_is_not_the_one_that_the_task_keeps() {
        let mut regs = Regs::new(&SET).with(FS, 0x63).with(FS_BASE, 0).with(GS, 0).with(GS_BASE, 0);
        X86_64.settle(&mut regs);
        assert_eq!((regs.get(FS_BASE), regs.get(GS_BASE)), (None, Some(0)));
    }

    fn note(name: &str, kind: u32, desc: Vec<u8>) -> RawNote {
        RawNote { name: name.as_bytes().to_vec(), kind, desc }
    }

    fn prstatus_bytes() -> Vec<u8> {
        let mut desc = vec![0; 336];
        desc[32..36].copy_from_slice(&130_i32.to_le_bytes());
        for i in 0..27_u64 {
            desc[112 + 8 * i as usize..][..8].copy_from_slice(&(1000 + i).to_le_bytes());
        }
        desc
    }

    #[test]
    fn a_kernel_note() {
        let states = cpu_states(&[note("CORE", 1, prstatus_bytes()), note("VMCOREINFO", 0, vec![])]);
        assert_eq!(states.len(), 1);
        assert_eq!(states[0].pid, Some(130));
        assert_eq!(states[0].regs.by_name("r15"), Some(1000));
        assert_eq!(states[0].regs.by_name("rdi"), Some(1014));
        assert_eq!(states[0].regs.pc(), Some(1016));
        assert_eq!(states[0].regs.sp(), Some(1019));
        assert_eq!(states[0].regs.by_name("gs_base"), Some(1022));
    }

    #[test]
    fn a_cut_note_is_left_out() {
        let mut short = prstatus_bytes();
        short.truncate(200);
        assert!(cpu_states(&[note("CORE", 1, short), note("QEMU", 0, vec![1, 0, 0])]).is_empty());
    }

    #[test]
    fn a_qemu_note_wins_and_has_control_registers() {
        let notes = [note("CORE", 1, prstatus_bytes()), note("QEMU", 0, qemu_bytes(116, 0x8005_0033))];
        let states = cpu_states(&notes);
        assert_eq!(states.len(), 1);
        let cpu = &states[0];
        assert_eq!(cpu.pid, None);
        assert_eq!((cpu.regs.pc(), cpu.regs.sp()), (Some(116), Some(106)));
        assert_eq!(cpu.regs.by_name("gs_base"), Some(0x5004));
        let control = cpu.control.unwrap();
        assert_eq!((control.cr3(), control.la57()), (0x24e_c123, true));
        assert_eq!((control.idt_base, control.kernel_gs_base), (0x5009, Some(77)));
    }

    /// A QEMU note with this program counter and CR0; the other registers are numbered.
    fn qemu_bytes(pc: u64, cr0: u64) -> Vec<u8> {
        let mut desc = Vec::new();
        desc.extend(1_u32.to_le_bytes());
        desc.extend(440_u32.to_le_bytes());
        for i in 0..18_u64 {
            desc.extend(if i == 16 { pc } else { 100 + i }.to_le_bytes());
        }
        for i in 0..10_u64 {
            desc.extend((i as u32 + 0x10).to_le_bytes());
            desc.extend([0; 12]);
            desc.extend((0x5000 + i).to_le_bytes());
        }
        for cr in [cr0, 0, 0x7000, 0x24e_c123, 0x75_1eb0] {
            desc.extend(cr.to_le_bytes());
        }
        desc.extend(77_u64.to_le_bytes());
        desc
    }

    #[test]
    fn the_notes_of_a_second_kind() {
        let (core, qemu) = (note("CORE", 1, prstatus_bytes()), note("QEMU", 0, qemu_bytes(116, 0x8005_0033)));
        assert!(second_states(std::slice::from_ref(&core)).is_empty());
        let second = second_states(&[core, qemu.clone()]);
        assert_eq!(second.len(), 1);
        // what QEMU puts in these places is no pid and no number of a system call
        assert_eq!((second[0].pid, second[0].regs.get(ORIG_RAX)), (None, None));
        assert_eq!(second[0].regs.by_name("r15"), Some(1000));
        assert!(second_states(&[qemu]).is_empty());
    }

    #[test]
    fn a_cpu_after_a_reset_and_what_else_a_note_tells() {
        let one = |pc, cr0| cpu_states(&[note("QEMU", 0, qemu_bytes(pc, cr0))]).pop().unwrap();
        assert!(is_reset(&one(0xfff0, 0x6000_0010)));
        // paging on, or in a kernel: whatever it is, it is no reset
        assert!(!is_reset(&one(0xfff0, 0x8005_0033)) && !is_reset(&one(1 << 63, 0x6000_0010)));
        let mut state = cpu_states(&[note("CORE", 1, prstatus_bytes())]).pop().unwrap();
        state.regs.set(RIP, 0xfff0);
        assert!(!is_reset(&state));
        state.regs.set(CS, 0xf000);
        assert!(is_reset(&state));

        let kernel = paging::tables(PhysAddr(0x1000), 4);
        assert_eq!(tables_of(&state, &kernel), None);
        let qemu = one(5, 0x8005_0033);
        let tables = tables_of(&qemu, &kernel).unwrap();
        assert_eq!((tables.root, tables.levels()), (PhysAddr(0x24e_c000), 5));
        assert_eq!(crate::capability::PerCpu::bases(&X86_64, &qemu), [Some(0x5004), Some(77)]);
    }
}
