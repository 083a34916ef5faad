//! What is of the processor: instructions, page tables, stacks.

use super::{Target, outcome};
use arch::dataflow::{Flow, Known};
use arch::{FrameShape, PageTables, Regs, Resume};
use base::{Fault, FaultKind, Gap, Missing, PhysAddr, PhysRange, PhysRead, VirtAddr, VirtRead};
use unwind::{Code, Stack, Unwinder};

/// This file's rows of the table.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "code", about: "a function's machine code", seeds: code_seeds, run: code },
    Target { name: "tables", about: "page tables of 4 and 5 levels", seeds: table_seeds, run: tables },
    Target {
        name: "stack",
        about: "a stack and the code that it leads through",
        seeds: stack_seeds,
        run: stack,
    },
];

const TEXT: u64 = 0xffff_ffff_8100_0000;
const STACK: u64 = 0xffff_c900_0000_0000;

/// push %rbp; mov %rsp,%rbp; push %rbx; sub $0x18,%rsp; cmp %esi,0x60(%rdi); jb +7; call; ud2; add; pop; pop; ret
const FRAME: &[u8] = &[
    0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x18, 0x39, 0x77, 0x60, 0x72, 0x07, 0xe8, 0, 0, 0, 0,
    0x0f, 0x0b, 0x48, 0x83, 0xc4, 0x18, 0x5b, 0x5d, 0xc3,
];
/// mov (%rdi),%rax; test; je; jmp *table(,%rax,8); lock xadd; and $-16,%rsp; leave; ret
const OTHER: &[u8] = &[
    0x48, 0x8b, 0x07, 0x48, 0x85, 0xc0, 0x74, 0x07, 0xff, 0x24, 0xc5, 0, 0, 0, 0x81, 0xf0, 0x48, 0x0f, 0xc1,
    0x07, 0x48, 0x83, 0xe4, 0xf0, 0xc9, 0xc3, 0xeb, 0xe4,
];

fn code_seeds() -> Vec<Vec<u8>> {
    vec![FRAME.to_vec(), OTHER.to_vec(), [FRAME, OTHER, FRAME].concat()]
}

/// The whole as one function, and its second half as the part that the compiler moved away.
fn code(bytes: &[u8]) -> u64 {
    let bytes = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    let (hot, cold) = bytes.split_at(bytes.len() / 2);
    let mut shapes = 0;
    for parts in [&[(TEXT, bytes)][..], &[(TEXT, hot), (TEXT + 0x10_0000, cold)]] {
        for at in [0, 1, hot.len() as u64, bytes.len() as u64] {
            for arch in arch::ARCHES {
                shapes += usize::from(arch.frames.frame_shape(parts, TEXT + at).is_some());
                shapes += usize::from(arch.frames.frame_shape(parts, TEXT + 0x10_0000 + at).is_some());
            }
        }
        let table = |_: &arch::dataflow::Mem| vec![TEXT, TEXT + 4];
        let known = Known { resumes: &|at| at & 1 == 0, returns: &|to| to & 1 == 0, table: &table };
        for function in arch::ARCHES.iter().filter_map(|arch| Some(arch.lift().ok()?.lift(parts, &known))) {
            let flow = Flow::of(&function);
            for at in (0..bytes.len() as u64).step_by(7).map(|n| TEXT + n) {
                std::hint::black_box((function.text(at), function.accesses(at), function.ways_to(at, &flow)));
                std::hint::black_box((function.call_before(at), flow.register(at, 7)));
            }
        }
    }
    let mut bad = 0;
    for arch in arch::ARCHES {
        std::hint::black_box(arch.references().referenced(VirtAddr(TEXT), bytes));
        let Ok(mut decoder) = arch.isa().map(|isa| isa.disassembler()) else { continue };
        let mut at = 0;
        while let Some(insn) = bytes.get(at..).and_then(|rest| decoder.one(VirtAddr(TEXT + at as u64), rest))
        {
            assert!(insn.len > 0 && !insn.text.is_empty(), "a listing goes on");
            bad += usize::from(insn.kind == arch::InsnKind::Bad);
            at += insn.len;
        }
    }
    outcome((shapes, bad.min(4)))
}

/// The bytes as memory from 0 on.
struct Memory<'a>(&'a [u8], [PhysRange; 1]);

impl PhysRead for Memory<'_> {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
        let missing = Missing::new(at, Gap::Absent);
        let from = usize::try_from(at.0).ok().and_then(|o| self.0.get(o..)).ok_or(missing)?;
        buf.copy_from_slice(from.get(..buf.len()).ok_or(missing)?);
        Ok(())
    }
    fn ranges(&self) -> &[PhysRange] {
        &self.1
    }
}

/// Five tables, each of which names the next in its first and last entry.
fn table_seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for page in 0..5_u64 {
        let mut table = [0_u8; 4096];
        let next = ((page + 1) << 12 | if page == 3 { 0xe3 } else { 0x63 }).to_le_bytes();
        table[..8].copy_from_slice(&next);
        table[4088..].copy_from_slice(&next);
        all.extend(table);
    }
    vec![all]
}

fn tables(bytes: &[u8]) -> u64 {
    let end = PhysAddr(bytes.len() as u64);
    let memory = Memory(bytes, [PhysRange { start: PhysAddr(0), end }]);
    let mut seen = Vec::new();
    for paging in arch::ARCHES.iter().flat_map(|arch| arch.paging.modes()) {
        let tables = PageTables::of(PhysAddr(0), paging);
        for at in [0, TEXT, STACK, u64::MAX, 0x7fff_ffff_f000, 0xff11_0000_0000_0000] {
            let walk = tables.walk(&memory, VirtAddr(at));
            seen.push((walk.steps.len(), walk.result.is_ok()));
        }
        let mapped = tables.mapped(&memory, VirtAddr(0), VirtAddr(u64::MAX));
        seen.push((mapped.take(64).count(), true));
    }
    let boot = arch::Boot::search(&memory).is_some();
    for entry in bytes.as_chunks::<8>().0.iter().take(16) {
        for arch in arch::ARCHES {
            for paging in arch.paging.modes() {
                let tables = PageTables::of(PhysAddr(0), paging);
                std::hint::black_box(arch.paging.pte(u64::from_le_bytes(*entry), &tables));
            }
        }
    }
    outcome((seen, boot))
}

/// Code of an architecture in the first quarter of the bytes, a stack in the rest.
struct World<'a> {
    arch: &'static arch::Arch,
    text: &'a [u8],
    stack: &'a [u8],
}

impl VirtRead for World<'_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault::new(at, FaultKind::NotMapped("PTE"));
        let (base, bytes) = if at.0 >= TEXT { (TEXT, self.text) } else { (STACK, self.stack) };
        let offset = usize::try_from(at.0.wrapping_sub(base)).ok();
        let from = offset.and_then(|o| bytes.get(o..)).ok_or(fault)?;
        buf.copy_from_slice(from.get(..buf.len()).ok_or(fault)?);
        Ok(())
    }
}

impl Code for World<'_> {
    fn is_text(&self, pc: VirtAddr) -> bool {
        (TEXT..TEXT + self.text.len() as u64).contains(&pc.0)
    }
    fn shape(&self, pc: VirtAddr) -> Option<FrameShape> {
        self.arch.frames.frame_shape(&[(TEXT, self.text)], pc.0)
    }
    fn function(&self, pc: VirtAddr) -> Option<VirtAddr> {
        self.is_text(pc).then_some(VirtAddr(TEXT))
    }
}

fn stack_seeds() -> Vec<Vec<u8>> {
    let back = TEXT + 19;
    let mut text = FRAME.to_vec();
    text.resize(128, 0x90);
    let words = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    let mut frames = words(&[0, 0, 0, 7, STACK + 0x40, back, 0, 0, STACK + 0x80, back, STACK + 0x60, back]);
    frames.extend(words(&[back, TEXT + 5, 0x10, 0x246, STACK + 0x90, 0x18, TEXT, 0x33, 0x246, 0x7000, 0x2b]));
    frames.resize(384, 0);
    vec![[text, frames].concat()]
}

fn stack(bytes: &[u8]) -> u64 {
    let bytes = bytes.get(..bytes.len().min(8192)).unwrap_or_default();
    let (text, rest) = bytes.split_at(bytes.len() / 4);
    let len = rest.len() as u64;
    let half = VirtAddr(STACK + len / 2 / 8 * 8);
    let stacks = [
        Stack { name: String::new(), start: half, end: VirtAddr(STACK + len) },
        Stack { name: "IRQ stack".into(), start: VirtAddr(STACK), end: half },
    ];
    let mut seen = Vec::new();
    for arch in arch::ARCHES.iter().copied() {
        let world = World { arch, text, stack: rest };
        unwind(&Unwinder { arch, code: &world, mem: &world, stacks: &stacks }, half, &mut seen);
    }
    outcome(seen)
}

/// How an unwinding ended: how many frames there were at most, and why there are no more.
type Seen = (usize, std::mem::Discriminant<unwind::StopReason>);

fn unwind(unwinder: &Unwinder<'_>, half: VirtAddr, seen: &mut Vec<Seen>) {
    let set = unwinder.arch.reg_set();
    for sp in [STACK, half.0, STACK + 8] {
        for pc in [TEXT, TEXT + 19, 0] {
            let regs = Regs::new(set).with(set.pc, pc).with(set.sp, sp);
            let from = Resume { regs: regs.with(set.fp, sp + 32), is_call: true, slot: None };
            for unwound in [unwinder.unwind(regs), unwinder.resume(&from)] {
                seen.push((unwound.frames.len().min(9), std::mem::discriminant(&unwound.stopped)));
            }
        }
    }
}
