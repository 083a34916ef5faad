//! What unwinding must know of x86-64: what a call looks like, how an exception's frame is recognised on a
//! stack, and how the registers of a task that does not run were left.

use super::regs::{R12, R13, R14, R15, RBP, RBX, RIP, RSP, SET};
use super::{layout, ptregs};
use crate::{Prologue, Regs, Resume};
use base::{Bytes, VirtAddr, VirtRead};

/// Bytes of the longest call instruction that compilers make for the kernel.
const LONGEST_CALL: usize = 7;

/// True when the instruction that ends at `at` is a call, so that `at` can be a return address. Direct calls
/// are `e8` with a 32-bit distance, indirect ones `ff /2` with 1 to 6 more bytes of address.
pub(crate) fn follows_call(mem: &dyn VirtRead, at: VirtAddr) -> bool {
    let mut bytes = [0; LONGEST_CALL];
    if mem.read(at.sub(LONGEST_CALL as u64), &mut bytes).is_err() {
        return false;
    }
    let [a, b, c, d, e, f, g] = bytes;
    let is_call = |modrm: u8, len: usize| (modrm >> 3) & 7 == 2 && modrm_len(modrm) == Some(len);
    c == 0xe8
        || (f == 0xff && is_call(g, 2))
        || (e == 0xff && is_call(f, 3))
        || (d == 0xff && is_call(e, 4))
        || (b == 0xff && is_call(c, 6))
        || (a == 0xff && is_call(b, 7))
        // no base but a scaled index and a 32-bit displacement
        || (a == 0xff && b == 0x14 && c & 7 == 5)
        // code that is to return nowhere pushes its own address (start_cpu, 4.x and backports)
        || (c == 0x68 && at.0 == i64::from(i32::from_le_bytes([d, e, f, g])).cast_unsigned())
}

/// The function that the direct call which ends at `at` calls (`e8` and a 32-bit distance); `None` for an
/// indirect call, or no call.
pub(crate) fn call_target(mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
    let mut bytes = [0; 5];
    mem.read(at.sub(5), &mut bytes).ok()?;
    let [opcode, a, b, c, d] = bytes;
    (opcode == 0xe8).then(|| at.offset(i32::from_le_bytes([a, b, c, d]).into()))
}

/// Where the jump leads (`e9` and a 32-bit distance, `eb` and one of 8) that a function begins with (`endbr64` may stand before
/// it): `memcpy` to the version for this processor.
pub(crate) fn jumps_to(mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    let code = mem.bytes(at, 9).ok()?;
    let (from, jump) = match code.strip_prefix(&ENDBR64) {
        Some(rest) => (at.add(4), rest),
        None => (at, code.as_slice()),
    };
    match jump {
        [0xe9, a, b, c, d, ..] => Some(from.add(5).offset(i32::from_le_bytes([*a, *b, *c, *d]).into())),
        [0xeb, a, ..] => Some(from.add(2).offset(a.cast_signed().into())),
        _ => None,
    }
}

/// Length of `ff` with this ModRM byte, a SIB byte and a displacement included.
const fn modrm_len(modrm: u8) -> Option<usize> {
    let sib = (modrm & 7 == 4) as usize;
    match modrm >> 6 {
        0 if modrm & 7 == 5 => Some(6),
        0 => Some(2 + sib),
        1 => Some(3 + sib),
        2 => Some(6 + sib),
        _ => Some(2),
    }
}

/// What can stand before a function's `push %rbp`: how it begins, and its bytes. Compilers put `endbr64` and the call to
/// `__fentry__` there, BPF's compiler a count of tail calls too (arch/x86/net/bpf_jit_comp.c, `emit_prologue`).
const BEFORE_PUSH: [(&[u8], usize); 8] = [
    (&[0xf3, 0x0f, 0x1e, 0xfa], 4), // endbr64
    (&[0xe8], 5),                   // call
    (&[0x0f, 0x1f, 0x44], 5),       // the two forms of the nop in its place
    (&[0x66, 0x66, 0x66], 5),
    (&[0x31, 0xc0], 2),       // xor %eax,%eax
    (&[0x66, 0x90], 2),       // the nop in its place
    (&[0x48, 0x31, 0xc0], 3), // xor %rax,%rax, from 6.11 (116e04ba1459)
    (&[0x0f, 0x1f, 0x00], 3), // the nop in its place
];

/// Where in `push %rbp; mov %rsp,%rbp` the code at `pc` is. Before it can come those of [`BEFORE_PUSH`].
pub(crate) fn prologue(mem: &dyn VirtRead, start: VirtAddr, pc: VirtAddr) -> Prologue {
    const PUSH_MOV: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];
    let Some(into) = pc.0.checked_sub(start.0) else { return Prologue::Absent };
    let mut code = [0; 16];
    if mem.read(start, &mut code).is_err() {
        return Prologue::Absent;
    }
    let mut push = 0;
    let known = |at: usize| {
        let rest = code.get(at..)?;
        BEFORE_PUSH.iter().find(|(begins, _)| rest.starts_with(begins)).map(|(_, len)| len)
    };
    while let Some(len) = known(push) {
        push += len;
    }
    if code.get(push..push + PUSH_MOV.len()) != Some(&PUSH_MOV) {
        return Prologue::Absent;
    }
    match into.saturating_sub(push as u64) {
        0 => Prologue::NotPushed,
        1..=3 => Prologue::Pushed,
        // the last instruction has no frame left
        _ if mem.u8(pc) == Ok(0xc3) => Prologue::NotPushed,
        _ => Prologue::Done,
    }
}

/// True when five words are what the processor pushes on an interrupt: rip, cs, eflags, rsp, ss. The selectors
/// are the kernel's (`__KERNEL_CS` 0x10, `__KERNEL_DS` 0x18 or 0) or user mode's (0x33 or 0x23, 0x2b).
fn is_iret_frame(words: [u64; 5], is_text: &dyn Fn(VirtAddr) -> bool) -> bool {
    let [ip, cs, flags, sp, ss] = words;
    // bit 1 is always set; bits 3, 5, 15 and all from 22 on never
    let flags_possible = flags & 2 != 0 && flags & 0x8028 == 0 && flags >> 22 == 0;
    let kernel =
        || cs == 0x10 && (ss == 0x18 || ss == 0) && is_text(VirtAddr(ip)) && layout::is_kernel(VirtAddr(sp));
    let user =
        || (cs == 0x33 || cs == 0x23) && ss == 0x2b && !layout::is_kernel(VirtAddr(ip)) && sp >> 63 == 0;
    flags_possible && (kernel() || user())
}

/// The lowest `struct pt_regs` that begins in the `words` words from `at` on, told by its iret frame.
pub(crate) fn find_pt_regs(
    mem: &dyn VirtRead,
    at: VirtAddr,
    words: u64,
    is_text: &dyn Fn(VirtAddr) -> bool,
) -> Option<VirtAddr> {
    (0..words).map(|i| at.add(i * 8)).find(|start| {
        let mut bytes = [0; 40];
        if mem.read(start.add(ptregs::IRET), &mut bytes).is_err() {
            return false;
        }
        let word = |i: usize| Bytes::new(&bytes).u64_at(i * 8).unwrap_or_default();
        is_iret_frame([word(0), word(1), word(2), word(3), word(4)], is_text)
    })
}

/// The registers that the switch away from a task saved, from its `thread.sp`.
///
/// Since 4.9 (0100301bfdf5) they lie there as `struct inactive_task_frame`: r15, r14, r13, r12, rbx, rbp, return
/// address; from 5.1 (6690e86be83a) to 5.7 a word of flags came first. Before, only flags and rbp were pushed,
/// and the task goes on behind the `popq %rbp; popf` that undo it: `legacy` is that address ([`crate::capability::Frames::after_switch`]).
/// Where there is such a place nothing else is looked for: what lies above is the scheduler's frame, in which a stale
/// return address can stand where later kernels have theirs.
pub(crate) fn sleeping(
    mem: &dyn VirtRead,
    sp: VirtAddr,
    legacy: &dyn Fn() -> Option<VirtAddr>,
    is_text: &dyn Fn(VirtAddr) -> bool,
    function: &dyn Fn(VirtAddr) -> Option<VirtAddr>,
) -> Option<Resume> {
    if let Some(pc) = legacy() {
        let bp = mem.u64(sp).ok()?;
        let regs = Regs::new(&SET).with(RIP, pc.0).with(RSP, sp.add(16).0).with(RBP, bp);
        return Some(Resume { regs, is_call: false, slot: None });
    }
    for flags_word in [0, 8] {
        let frame = sp.add(flags_word);
        let slot = frame.add(6 * 8);
        let Ok(pc) = mem.ptr(slot) else { continue };
        let begins = is_text(pc) && function(pc) == Some(pc);
        if !(begins || (is_text(pc) && follows_call(mem, pc))) {
            continue;
        }
        let mut regs = Regs::new(&SET).with(RIP, pc.0).with(RSP, slot.add(8).0);
        for (i, number) in [R15, R14, R13, R12, RBX, RBP].into_iter().enumerate() {
            regs.put(number, mem.u64(frame.add(8 * i as u64)).ok());
        }
        // a new task has yet to run ret_from_fork: its address is the next instruction itself
        return Some(Resume { regs, is_call: !begins, slot: Some(slot) });
    }
    None
}

/// The instruction behind `popq %rbp; popf` (`RESTORE_CONTEXT` of arch/x86/include/asm/switch_to.h before 4.9)
/// that follows the call of `__switch_to` in the scheduler's code.
pub(crate) fn after_switch(start: VirtAddr, code: &[u8], switch_to: VirtAddr) -> Option<VirtAddr> {
    const RESTORE: [u8; 2] = [0x5d, 0x9d];
    /// Between them lie the new task's canary, its flags and the test for a new one.
    const BETWEEN: usize = 96;
    let call = (0..code.len()).find(|&n| {
        let Some([0xe8, a, b, c, d]) = code.get(n..n + 5) else { return false };
        let back = start.add(n as u64 + 5);
        back.offset(i32::from_le_bytes([*a, *b, *c, *d]).into()) == switch_to
    })?;
    let behind = code.get(call + 5..)?;
    let restore = behind.windows(2).take(BETWEEN).position(|w| w == RESTORE)?;
    Some(start.add((call + 5 + restore + RESTORE.len()) as u64))
}

#[cfg(test)]
#[path = "unwind_tests.rs"]
mod tests;
