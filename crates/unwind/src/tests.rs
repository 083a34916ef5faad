//! Stacks made of arrays. Code lies at `TEXT`, one function every 0x100 bytes, with a call that ends at +0x20 in
//! each; the task's stack is at `TASK`, the interrupt stack at `IRQ`.

mod between;
mod swapped;

use crate::{Code, Frame, How, Resume, Stack, StopReason, Unwinder, Unwound};
use arch::{Arch, FrameShape, Kept, RegSet, Regs};
use base::{Fault, FaultKind, VirtAddr, VirtRead};
use debuginfo::cfi::{CfiCfa, CfiRow, CfiRule};
use debuginfo::orc::{OrcBase, OrcBp, OrcEntry, OrcKind};
use std::collections::BTreeMap;

// DWARF's numbers on x86-64
const RAX: usize = 0;
const RBX: usize = 3;
const RBP: usize = 6;
const RSP: usize = 7;
const R10: usize = 10;
const R12: usize = 12;
const RIP: usize = 16;

fn x86() -> &'static Arch {
    arch::by_name("x86_64").unwrap()
}

fn set() -> &'static RegSet {
    x86().reg_set()
}

const TEXT: u64 = 0xffff_ffff_8100_0000;
const TASK: u64 = 0xffff_c900_0000_0000;
const IRQ: u64 = 0xffff_c900_0010_0000;
const SIZE: u64 = 0x4000;
const SP: OrcBase = OrcBase::Reg(7);

/// A return address in the function `n`, whose code before it is a call.
const fn back(n: u64) -> u64 {
    TEXT + n * 0x100 + 0x20
}

#[derive(Default)]
struct World {
    memory: BTreeMap<u64, Vec<u8>>,
    orc: BTreeMap<u64, OrcEntry>,
    cfi: BTreeMap<u64, CfiRow>,
    shapes: BTreeMap<u64, FrameShape>,
    /// What tracers took from words of the stacks.
    taken: BTreeMap<u64, u64>,
    /// Functions of which the dump lost the table.
    lost: Vec<u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self::default();
        let mut text = vec![0x90; 0x1000];
        for function in text.chunks_mut(0x100) {
            function[0x1b] = 0xe8;
        }
        world.memory.insert(TEXT, text);
        world.memory.insert(TASK, vec![0; SIZE as usize]);
        world.memory.insert(IRQ, vec![0; SIZE as usize]);
        world
    }
    fn put(&mut self, at: u64, words: &[u64]) -> &mut Self {
        let (base, bytes) = self.memory.range_mut(..=at).next_back().unwrap();
        let offset = (at - base) as usize;
        for (slot, word) in bytes[offset..].chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        self
    }
    fn entry(&mut self, function: u64, kind: OrcKind, base: OrcBase, offset: i16) -> &mut Self {
        let signal = matches!(kind, OrcKind::Regs | OrcKind::RegsPartial);
        let entry = OrcEntry { kind, base, offset, bp: OrcBp::Unchanged, signal };
        self.orc.insert(TEXT + function * 0x100, entry);
        self
    }
    fn call(&mut self, function: u64, offset: i16) -> &mut Self {
        self.entry(function, OrcKind::Call, SP, offset)
    }
    fn pt_regs(&mut self, at: u64, ip: u64, cs: u64, sp: u64) -> &mut Self {
        let mut words: Vec<u64> = (100..116).collect();
        words.extend([ip, cs, 0x246, sp, if cs == 0x10 { 0x18 } else { 0x2b }]);
        self.put(at, &words)
    }
    /// `push %rbp; mov %rsp,%rbp` behind the nop of `__fentry__`.
    fn prologues(&mut self) -> &mut Self {
        for function in self.memory.get_mut(&TEXT).unwrap().chunks_mut(0x100) {
            function[..9].copy_from_slice(&[0x0f, 0x1f, 0x44, 0, 0, 0x55, 0x48, 0x89, 0xe5]);
        }
        self
    }
    fn unwind(&self, start: Regs) -> Unwound {
        let stacks = [("", TASK), ("IRQ", IRQ)].map(|(name, at)| Stack {
            name: name.to_owned(),
            start: VirtAddr(at),
            end: VirtAddr(at + SIZE),
        });
        Unwinder { arch: x86(), code: self, mem: self, stacks: &stacks }.unwind(start)
    }
}

impl VirtRead for World {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault::new(at, FaultKind::NotMapped("PTE"));
        let (base, bytes) = self.memory.range(..=at.0).next_back().ok_or(fault)?;
        let from = bytes.get((at.0 - base) as usize..).ok_or(fault)?;
        buf.copy_from_slice(from.get(..buf.len()).ok_or(fault)?);
        Ok(())
    }
}

impl Code for World {
    fn lost_table(&self, pc: VirtAddr) -> Option<Fault> {
        let kind = FaultKind::Page(base::Missing::new(base::PhysAddr(0x1000), base::Gap::Absent));
        self.lost.contains(&(pc.0 & !0xff)).then_some(Fault::new(VirtAddr(0x5000), kind))
    }
    fn is_text(&self, pc: VirtAddr) -> bool {
        (TEXT..TEXT + 0x1000).contains(&pc.0)
    }
    fn orc(&self, pc: VirtAddr) -> Option<OrcEntry> {
        self.is_text(pc).then(|| self.orc.range(..=pc.0).next_back().map(|(_, e)| *e)).flatten()
    }
    fn cfi(&self, pc: VirtAddr) -> Option<CfiRow> {
        self.cfi.get(&(pc.0 & !0xff)).cloned()
    }
    fn shape(&self, pc: VirtAddr) -> Option<FrameShape> {
        self.shapes.get(&(pc.0 & !0xff)).cloned()
    }
    fn function(&self, pc: VirtAddr) -> Option<VirtAddr> {
        self.is_text(pc).then_some(VirtAddr(pc.0 & !0xff))
    }
    fn returned_to(&self, slot: VirtAddr, word: VirtAddr, _: Option<VirtAddr>) -> VirtAddr {
        self.taken.get(&slot.0).filter(|_| self.is_swapped(word)).map_or(word, |back| VirtAddr(*back))
    }
    fn is_swapped(&self, pc: VirtAddr) -> bool {
        pc.0 == swapped::TRACER
    }
}

fn start(pc: u64, sp: u64) -> Regs {
    Regs::new(set()).with(RIP, pc).with(RSP, sp)
}

fn places(unwound: &Unwound) -> Vec<(u64, How)> {
    unwound.frames.iter().map(|f: &Frame| (f.pc.0, f.how)).collect()
}

#[test]
fn orc_through_an_exception_to_user_mode() {
    let top = TASK + SIZE - 168;
    let mut world = World::new();
    // 0 -> 1 -> 2 (entry code) interrupted 3, called by 4 (system call entry)
    world.call(0, 16).call(1, 8).entry(2, OrcKind::Regs, SP, 0).call(3, 8).entry(4, OrcKind::Regs, SP, 0);
    world.put(TASK + 0x1008, &[back(1), back(2)]);
    world.pt_regs(TASK + 0x1018, TEXT + 0x350, 0x10, top - 8);
    world.put(top - 8, &[back(4)]).pt_regs(top, 0x43_7fbd, 0x33, 0x7ffd_2c82_b7a8);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert_eq!(
        places(&unwound),
        [
            (TEXT + 0x50, How::Start),
            (back(1), How::Orc),
            (back(2), How::Orc),
            (TEXT + 0x350, How::Orc),
            (back(4), How::Orc)
        ]
    );
    assert_eq!(unwound.stopped, StopReason::UserMode);
    let frames = &unwound.frames;
    assert_eq!(
        (frames[1].slot, frames[1].cfa),
        (Some(VirtAddr(TASK + 0x1008)), Some(VirtAddr(TASK + 0x1018)))
    );
    let saved = frames[2].saved.as_ref().unwrap();
    assert_eq!((saved.at, saved.user, saved.full), (VirtAddr(TASK + 0x1018), false, true));
    assert!(!frames[3].is_call && frames[4].is_call);
    assert_eq!(frames[3].regs.by_name("r15"), Some(100));
    assert_eq!(frames[3].slot, Some(VirtAddr(TASK + 0x1018 + 128)));
    let user = frames[4].saved.as_ref().unwrap();
    assert!(user.user);
    assert_eq!(user.regs.pc(), Some(0x43_7fbd));
}

#[test]
fn orc_follows_the_link_from_the_interrupt_stack() {
    let mut world = World::new();
    // a call made on the interrupt stack, whose top word is the stack pointer that was left
    world.call(0, 8).entry(1, OrcKind::Call, OrcBase::SpIndirect, 8).entry(2, OrcKind::End, SP, 0);
    world.put(IRQ + SIZE - 16, &[back(1), TASK + 0x2000]).put(TASK + 0x2000, &[back(2)]);
    let unwound = world.unwind(start(TEXT + 0x50, IRQ + SIZE - 16));
    assert_eq!(places(&unwound)[2], (back(2), How::Orc));
    assert_eq!(unwound.frames.iter().map(|f| f.stack).collect::<Vec<_>>(), [Some(1), Some(1), Some(0)]);
    assert_eq!(unwound.stopped, StopReason::EndOfStack);
}

#[test]
fn an_iret_frame_keeps_what_is_still_in_registers() {
    let mut world = World::new();
    world.entry(0, OrcKind::RegsPartial, SP, 0).entry(1, OrcKind::End, SP, 0);
    world.put(TASK + 0x1000, &[TEXT + 0x150, 0x10, 0x246, TASK + 0x1100, 0x18]);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000).with(RAX, 7));
    let saved = unwound.frames[0].saved.as_ref().unwrap();
    assert_eq!((saved.full, saved.at), (false, VirtAddr(TASK + 0x1000 - 128)));
    assert_eq!((unwound.frames[1].regs.get(RAX), unwound.frames[1].sp), (Some(7), VirtAddr(TASK + 0x1100)));
}

#[test]
fn orc_with_frame_pointer_and_odd_registers() {
    let mut world = World::new();
    let bp = |bp| OrcEntry { kind: OrcKind::Call, base: OrcBase::Reg(6), offset: 16, bp, signal: false };
    world.orc.insert(TEXT, bp(OrcBp::AtCfa(-16)));
    world.orc.insert(TEXT + 0x100, bp(OrcBp::AtBp(0)));
    world.entry(2, OrcKind::Call, OrcBase::BpIndirect, -8).entry(3, OrcKind::End, SP, 0);
    world.put(TASK + 0x1000, &[TASK + 0x1100, back(1)]).put(TASK + 0x1100, &[TASK + 0x1200, back(2)]);
    world.put(TASK + 0x11f8, &[TASK + 0x1308]).put(TASK + 0x1300, &[back(3)]);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0xf00).with(RBP, TASK + 0x1000));
    assert_eq!(
        unwound.frames.iter().map(|f| f.pc.0).collect::<Vec<_>>(),
        [TEXT + 0x50, back(1), back(2), back(3)]
    );

    // a register that is not known any more: the next method goes on
    world.entry(0, OrcKind::Call, OrcBase::Reg(R10 as u8), 8);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert_eq!(places(&unwound)[1], (back(1), How::Scan));
}

fn row(cfa: CfiCfa, rules: &[(u16, CfiRule)]) -> CfiRow {
    CfiRow { cfa, rules: rules.to_vec(), return_address: 16, signal: false }
}

#[test]
fn call_frame_information_alone_and_beside_orc() {
    let mut world = World::new();
    let rules = [(16, CfiRule::AtCfa(-8)), (3, CfiRule::AtCfa(-16))];
    world.cfi.insert(TEXT, row(CfiCfa::Reg(7, 16), &rules));
    // rsp + 8 by an expression: breg7 8
    let expression = CfiCfa::Expression(Box::from([0x77, 8]));
    world.cfi.insert(TEXT + 0x100, row(expression, &[(16, CfiRule::AtCfa(-8))]));
    world.cfi.insert(TEXT + 0x200, row(CfiCfa::Reg(7, 8), &[(16, CfiRule::Undefined)]));
    world.put(TASK + 0x1000, &[33, back(1), back(2)]);
    let from = start(TEXT + 0x50, TASK + 0x1000).with(RBX, 5).with(R12, 12);
    let unwound = world.unwind(from);
    assert_eq!(places(&unwound)[1..], [(back(1), How::Cfi), (back(2), How::Cfi)]);
    assert_eq!(unwound.stopped, StopReason::EndOfStack);
    assert_eq!((unwound.frames[1].regs.get(RBX), unwound.frames[2].regs.get(R12)), (Some(33), Some(12)));
    assert_eq!(unwound.frames[1].regs.get(RAX), None);

    // ORC leads, and the registers that it does not follow come from here while both agree
    world.call(0, 16).call(1, 8).entry(2, OrcKind::End, SP, 0);
    let unwound = world.unwind(from);
    assert_eq!(places(&unwound)[1..], [(back(1), How::Orc), (back(2), How::Orc)]);
    assert_eq!(unwound.frames[1].regs.get(RBX), Some(33));
    world.cfi.get_mut(&TEXT).unwrap().cfa = CfiCfa::Reg(7, 24);
    assert_eq!(world.unwind(from).frames[1].regs.get(RBX), None);
}

/// `vfork` of the C library takes its return address off the stack, so that the child may overwrite it there.
#[test]
fn a_return_address_in_a_register_leads_on_without_a_word_of_the_stack() {
    const RDI: usize = 5;
    let mut world = World::new();
    world.cfi.insert(TEXT, row(CfiCfa::Reg(7, 0), &[(16, CfiRule::Register(5))]));
    world.cfi.insert(TEXT + 0x100, row(CfiCfa::Reg(7, 8), &[(16, CfiRule::AtCfa(-8))]));
    world.cfi.insert(TEXT + 0x200, row(CfiCfa::Reg(7, 8), &[(16, CfiRule::Undefined)]));
    world.put(TASK + 0x1000, &[back(2)]);
    let from = start(TEXT + 0x50, TASK + 0x1000).with(RDI, back(1));
    let unwound = world.unwind(from);
    assert_eq!(places(&unwound)[1..], [(back(1), How::Cfi), (back(2), How::Cfi)]);
    assert_eq!(unwound.stopped, StopReason::EndOfStack);
    // only a frame that called nothing can have it there: a caller whose table says so leads nowhere
    world.cfi.insert(TEXT + 0x100, row(CfiCfa::Reg(7, 0), &[(5, CfiRule::Same), (16, CfiRule::Register(5))]));
    world.cfi.insert(TEXT, row(CfiCfa::Reg(7, 0), &[(5, CfiRule::Same), (16, CfiRule::Register(5))]));
    let unwound = world.unwind(from);
    assert_eq!(unwound.stopped, StopReason::NoProgress(VirtAddr(TASK + 0x1000)));
}

#[test]
fn entry_code_of_old_kernels_by_its_signal_frame() {
    let mut world = World::new();
    let mut entry = row(CfiCfa::Reg(7, 168), &[(16, CfiRule::AtCfa(-40)), (7, CfiRule::AtCfa(-16))]);
    entry.signal = true;
    world.cfi.insert(TEXT, entry);
    world.pt_regs(TASK + 0x1000, TEXT + 0x150, 0x10, TASK + 0x1200);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert_eq!(unwound.frames[0].saved.as_ref().unwrap().at, VirtAddr(TASK + 0x1000));
    assert_eq!(places(&unwound)[1], (TEXT + 0x150, How::Cfi));
}

/// `apicinterrupt` of 3.10's entry code: its expression is a word off on the interrupt stack.
#[test]
fn a_signal_frame_that_is_a_word_off_gives_way_to_what_the_stack_shows() {
    for (ip, cs, user) in [(0x40_1860, 0x33, true), (TEXT + 0x250, 0x10, false)] {
        let mut world = World::new();
        let regs = TASK + SIZE - 168;
        // rsp, dereferenced: the link, which points to the saved rbp; 144 from there is one word too few
        let expression = CfiCfa::Expression(Box::from([0x77, 0, 0x06, 0x23, 128]));
        let mut entry = row(expression, &[(16, CfiRule::AtCfa(-40)), (7, CfiRule::AtCfa(-16))]);
        if let CfiCfa::Expression(code) = &mut entry.cfa {
            *code = Box::from([0x77, 0, 0x06, 0x23, 0x80, 0x01]);
        }
        entry.signal = true;
        world.cfi.insert(TEXT + 0x100, entry);
        world.cfi.insert(TEXT, row(CfiCfa::Reg(7, 8), &[(16, CfiRule::AtCfa(-8))]));
        world.put(IRQ + SIZE - 72, &[back(1), regs + 32]);
        world.pt_regs(regs, ip, cs, if user { 0x7fff_0000 } else { TASK + 0x1180 });
        // orig_rax of an interrupt
        world.put(regs + 120, &[0xffff_ffff_ffff_ff07]);
        let unwound = world.unwind(start(TEXT + 0x50, IRQ + SIZE - 72));
        let saved = unwound.frames[1].saved.as_ref().unwrap();
        assert_eq!((saved.at, saved.user), (VirtAddr(regs), user));
        assert_eq!(saved.regs.pc(), Some(ip));
    }
}

#[test]
fn frame_pointers_from_every_place_in_a_function() {
    let mut world = World::new();
    world.prologues();
    world.put(TASK + 0x1000, &[TASK + 0x1100, back(1)]).put(TASK + 0x1100, &[TASK + 0x1200, back(2)]);
    world.put(TASK + 0x1200, &[0, 0]);
    let pcs = |pc: u64, sp: u64, bp: u64| -> Vec<_> {
        places(&world.unwind(start(pc, sp).with(RBP, bp))).into_iter().take(3).collect()
    };
    let expected = [(back(1), How::FramePointer), (back(2), How::FramePointer)];
    assert_eq!(pcs(TEXT + 0x50, TASK + 0xf00, TASK + 0x1000)[1..], expected);
    // pushed, but not moved yet; and not even pushed
    assert_eq!(pcs(TEXT + 6, TASK + 0x1000, TASK + 0x1100)[1..], expected);
    assert_eq!(pcs(TEXT + 5, TASK + 0x1008, TASK + 0x1100)[1..], expected);
}

#[test]
fn an_interrupt_without_tables() {
    let mut world = World::new();
    world.prologues();
    // 0 was called by entry code 1 on the interrupt stack, which links to pt_regs on the task's; as in 3.10
    // the link points into the structure
    let regs = TASK + 0x1000;
    world.put(IRQ + SIZE - 80, &[TASK + 0x1200, back(1), regs + 32]);
    world.pt_regs(regs, TEXT + 0x250, 0x10, TASK + 0x1180);
    let unwound = world.unwind(start(TEXT + 0x50, IRQ + SIZE - 128).with(RBP, IRQ + SIZE - 80));
    assert_eq!(
        places(&unwound),
        [(TEXT + 0x50, How::Start), (back(1), How::FramePointer), (TEXT + 0x250, How::Saved)]
    );
    assert_eq!(unwound.frames[1].saved.as_ref().unwrap().at, VirtAddr(regs));
}

/// Entry code of 3.10 saves what calls may overwrite, and rbp; it pushes its stack pointer on the interrupt stack also
/// where the interrupt came there.
#[test]
fn an_interrupt_on_the_interrupt_stack_that_saved_a_part_of_the_registers() {
    let mut world = World::new();
    world.prologues();
    // 0 was called by entry code 1; rbp, the return address and the link lie where r14, r13 and r12 would
    let (regs, rbp) = (IRQ + 0x1000, IRQ + 0x1200);
    world.pt_regs(regs, TEXT + 0x250, 0x10, IRQ + 0x1180);
    world.put(regs + 8, &[rbp, back(1), regs + 32, rbp]);
    let from = start(TEXT + 0x50, regs - 0x80).with(RBP, regs + 8).with(R12, 12);
    let unwound = world.unwind(from);
    assert_eq!(places(&unwound)[1..3], [(back(1), How::FramePointer), (TEXT + 0x250, How::Saved)]);
    let saved = unwound.frames[1].saved.as_ref().unwrap();
    assert_eq!((saved.at, saved.regs.get(RBP), saved.regs.get(RAX)), (VirtAddr(regs), Some(rbp), Some(110)));
    // what entry code left alone is not what lies on the stack there
    assert_eq!((saved.regs.get(RBX), saved.regs.get(R12)), (None, None));
    // where the code tells that its function left it alone too, it is still what it was
    let kept = vec![(RBX, Kept::Lost), (R12, Kept::Same)];
    world.shapes.insert(TEXT, FrameShape { from_sp: None, from_fp: Some(16), kept });
    let unwound = world.unwind(from);
    let saved = unwound.frames[1].saved.as_ref().unwrap();
    assert_eq!((saved.regs.get(RBX), saved.regs.get(R12)), (None, Some(12)));
}

#[test]
fn a_call_through_a_null_pointer() {
    let mut world = World::new();
    world.call(1, 8).entry(2, OrcKind::End, SP, 0).put(TASK + 0x1000, &[back(1), back(2)]);
    let unwound = world.unwind(start(0, TASK + 0x1000).with(RBX, 9));
    assert_eq!(places(&unwound), [(0, How::Start), (back(1), How::WildCall), (back(2), How::Orc)]);
    assert_eq!(unwound.frames[1].regs.get(RBX), Some(9));
}

#[test]
fn a_scan_prefers_what_a_table_continues() {
    let mut world = World::new();
    // 1 is stale: its entry would need a frame that is not there
    world.call(1, 0x40).call(2, 8).entry(3, OrcKind::End, SP, 0);
    world.put(TASK + 0x1000, &[TEXT + 0x2f, 5, back(1), back(2), back(3)]);
    world.entry(0, OrcKind::Undefined, SP, 0);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert_eq!(places(&unwound), [(TEXT + 0x50, How::Start), (back(2), How::Scan), (back(3), How::Orc)]);
    assert!(unwound.frames[1].how.is_guess());
}

#[test]
fn a_page_that_is_missing_is_told_and_not_that_nothing_follows() {
    let mut world = World::new();
    world.entry(0, OrcKind::Undefined, SP, 0);
    world.memory.insert(TASK, vec![0; 0x2000]);
    world.memory.insert(TASK + 0x3000, vec![0; SIZE as usize - 0x3000]);
    let stopped = world.unwind(start(TEXT, TASK + 0x1000)).stopped;
    assert!(matches!(stopped, StopReason::Fault(fault) if fault.at == VirtAddr(TASK + 0x2000)), "{stopped}");
    // pages below the stack pointer hold nothing that is of use
    assert_eq!(world.unwind(start(TEXT, TASK + 0x3000)).stopped, StopReason::NothingFound);
}

#[test]
fn registers_that_a_function_keeps_are_no_entry_where_its_code_is_missing() {
    let mut world = World::new();
    world.pt_regs(TASK + 0x1008, TEXT + 0x310, 0x10, TASK + 0x2000);
    world.put(TASK + 0x1000, &[back(1)]);
    world.call(0, 8).entry(1, OrcKind::Undefined, SP, 0);
    let from = start(TEXT + 0x50, TASK + 0x1000);
    let entered = |world: &World| world.unwind(from).frames.iter().any(|f| f.saved.is_some());
    assert!(entered(&world), "by its code");
    let text = world.memory.remove(&TEXT).unwrap();
    world.memory.insert(TEXT, text[..0x100].to_vec());
    assert!(!entered(&world));
}

#[test]
fn a_function_that_keeps_registers_has_its_caller_where_the_caller_s_code_is_missing() {
    let mut world = World::new();
    // 1 keeps an exception's registers below its return address into 2
    world.call(0, 8).entry(1, OrcKind::Undefined, SP, 0).entry(3, OrcKind::End, SP, 0).call(2, 8);
    world.shapes.insert(TEXT + 0x100, shape(Some(0x100), None));
    world.put(TASK + 0x1000, &[back(1)]).pt_regs(TASK + 0x1008, TEXT + 0x310, 0x10, TASK + 0x2000);
    world.put(TASK + 0x1100, &[back(2), back(3)]);
    let from = start(TEXT + 0x50, TASK + 0x1000);
    let through = |world: &World| world.unwind(from).frames.iter().map(|f| f.pc.0).collect::<Vec<_>>();
    let whole = [TEXT + 0x50, back(1), back(2), back(3)];
    assert_eq!(through(&world), whole);
    let mut text = world.memory.remove(&TEXT).unwrap();
    let behind = text.split_off(0x300);
    text.truncate(0x200);
    world.memory.insert(TEXT + 0x300, behind);
    world.memory.insert(TEXT, text);
    assert_eq!(through(&world), whole, "the code of 2 is missing");
}

#[test]
fn registers_are_no_entry_where_the_function_s_first_code_is_missing() {
    let mut world = World::new();
    world.pt_regs(TASK + 0x1008, TEXT + 0x310, 0x10, TASK + 0x2000);
    world.put(TASK + 0x1000, &[back(1)]);
    world.call(0, 8).entry(1, OrcKind::Undefined, SP, 0);
    let mut text = world.memory.remove(&TEXT).unwrap();
    let behind = text.split_off(0x110);
    text.truncate(0x100);
    world.memory.insert(TEXT + 0x110, behind);
    world.memory.insert(TEXT, text);
    let found = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert!(found.frames.iter().all(|f| f.saved.is_none()), "{found:?}");
}

#[test]
fn what_stops_it() {
    let mut world = World::new();
    world.entry(0, OrcKind::Undefined, SP, 0);
    assert_eq!(world.unwind(Regs::new(set())).stopped, StopReason::NoStart);
    assert_eq!(world.unwind(start(TEXT, TASK)).stopped, StopReason::NothingFound);
    assert_eq!(world.unwind(start(TEXT, TASK + SIZE - 64)).stopped, StopReason::EndOfStack);
    // a system call's registers at the end, with nothing in between
    world.pt_regs(TASK + SIZE - 168, 0x1234, 0x33, 0x7fff_0000);
    let unwound = world.unwind(start(TEXT, TASK + 0x2000));
    assert_eq!(unwound.stopped, StopReason::UserMode);
    assert!(unwound.frames[0].saved.as_ref().unwrap().user);
    // a stack that leads back to itself
    world.entry(0, OrcKind::Call, OrcBase::SpIndirect, 0).put(TASK + 0x1000, &[TASK + 0x1000]);
    world.put(TASK + 0xff8, &[back(0)]);
    assert!(matches!(world.unwind(start(TEXT, TASK + 0x1000)).stopped, StopReason::NoProgress(_)));
    // a stack pointer into nothing
    world.call(0, 8);
    let lost = world.unwind(start(TEXT, 0xffff_c900_0050_0000));
    assert!(matches!(lost.stopped, StopReason::Fault(f) if f.at == VirtAddr(0xffff_c900_0050_0000)));
    assert_eq!(lost.frames.len(), 1);
}

#[test]
fn a_stack_full_of_frames_ends_with_the_stack() {
    let mut world = World::new();
    world.call(0, 8).put(TASK, &vec![back(0); SIZE as usize / 8]);
    let unwound = world.unwind(start(TEXT + 0x50, TASK));
    assert_eq!(unwound.frames.len(), SIZE as usize / 8 + 1);
}

#[test]
fn a_sleeping_task_goes_on_from_its_switch_frame() {
    let mut world = World::new();
    world.call(1, 8).entry(2, OrcKind::End, SP, 0).put(TASK + 0x1000, &[back(2)]);
    let regs = start(back(1), TASK + 0x1000);
    let resume = Resume { regs, is_call: true, slot: Some(VirtAddr(TASK + 0xff8)) };
    let stacks = [Stack { name: String::new(), start: VirtAddr(TASK), end: VirtAddr(TASK + SIZE) }];
    let unwound = Unwinder { arch: x86(), code: &world, mem: &world, stacks: &stacks }.resume(&resume);
    assert_eq!(places(&unwound), [(back(1), How::Start), (back(2), How::Orc)]);
    assert_eq!(unwound.frames[0].lookup(), VirtAddr(back(1) - 1));
}

/// A table that is lost twice: what the other frames' tables say between two guesses proves neither.
#[test]
fn frames_between_two_guesses_are_guesses() {
    let mut world = World::new();
    world.entry(0, OrcKind::Undefined, SP, 0).call(1, 8).entry(2, OrcKind::Undefined, SP, 0);
    world.entry(3, OrcKind::End, SP, 0);
    world.put(TASK + 0x1000, &[back(1), back(2), 5, back(3)]);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    let hows: Vec<_> = unwound.frames.iter().map(|f| (f.pc.0, f.how)).collect();
    assert_eq!(
        hows,
        [(TEXT + 0x50, How::Start), (back(1), How::Scan), (back(2), How::Scan), (back(3), How::Scan)]
    );
}

#[test]
fn a_frame_pointer_outlives_code_without_a_frame() {
    let mut world = World::new();
    world.prologues();
    // 0 is assembly: no frame of its own, called by 1, whose frame is at rbp
    world.memory.get_mut(&TEXT).unwrap()[..9].fill(0x90);
    world.put(TASK + 0x1000, &[7, back(1)]).put(TASK + 0x1100, &[0, back(2)]);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000).with(RBP, TASK + 0x1100));
    assert_eq!(places(&unwound)[1..3], [(back(1), How::Scan), (back(2), How::FramePointer)]);
}

/// A frame of so many bytes that saved rbx below rbp.
fn shape(from_sp: Option<i64>, from_fp: Option<i64>) -> FrameShape {
    let kept = vec![(RBX, Kept::AtCfa(-24)), (RBP, Kept::AtCfa(-16)), (R12, Kept::Same)];
    FrameShape { from_sp, from_fp, kept }
}

#[test]
fn code_tells_the_frame_where_no_table_does() {
    let mut world = World::new();
    world.shapes.insert(TEXT, shape(Some(48), None));
    world.shapes.insert(TEXT + 0x100, shape(None, Some(16)));
    world.put(TASK + 0x1000, &[0, 0, 0, 33, TASK + 0x1100, back(1)]).put(TASK + 0x1100, &[0, back(2)]);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000).with(R12, 12).with(RBX, 3));
    assert_eq!(places(&unwound)[1..], [(back(1), How::Code), (back(2), How::Code)]);
    let caller = &unwound.frames[1];
    assert_eq!([RBX, RBP, R12].map(|r| caller.regs.get(r)), [Some(33), Some(TASK + 0x1100), Some(12)]);
    assert_eq!(caller.cfa, Some(VirtAddr(TASK + 0x1110)));
    // what the code says must be there is not: the frame ends, and says why
    world.put(TASK + 0x1028, &[7]);
    let lost = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert_ne!(lost.frames.get(1).map(|f| f.how), Some(How::Code));
}

#[test]
fn orc_takes_the_kept_registers_from_code_that_agrees_with_it() {
    let mut world = World::new();
    world.call(0, 48).call(1, 8).entry(2, OrcKind::End, SP, 0);
    world.shapes.insert(TEXT, shape(Some(48), None));
    world.put(TASK + 0x1000, &[0, 0, 0, 33, 44, back(1), back(2)]);
    let from = start(TEXT + 0x50, TASK + 0x1000).with(R12, 12);
    let caller = world.unwind(from).frames[1].clone();
    assert_eq!((caller.how, caller.regs.get(RBX), caller.regs.get(R12)), (How::Orc, Some(33), Some(12)));
    world.shapes.insert(TEXT, shape(Some(40), None));
    assert_eq!(world.unwind(from).frames[1].regs.get(RBX), None);
}

#[test]
fn the_interrupt_stack_s_link_stands_for_a_frame_pointer_that_nobody_kept() {
    let mut world = World::new();
    // 1 called 0 on the interrupt stack: push %rbp; mov %rsp,%rbp; mov %rsp,(top); its frame is on the task's
    let frame = OrcEntry {
        kind: OrcKind::Call,
        base: OrcBase::Reg(6),
        offset: 16,
        bp: OrcBp::AtCfa(-16),
        signal: false,
    };
    world.call(0, 8).call(2, 8).entry(3, OrcKind::End, SP, 0);
    world.orc.insert(TEXT + 0x100, frame);
    world.put(IRQ + SIZE - 16, &[back(1), TASK + 0x1000]);
    world.put(TASK + 0x1000, &[77, back(2), back(3)]);
    let from = start(TEXT + 0x50, IRQ + SIZE - 16);
    let unwound = world.unwind(from);
    assert_eq!(
        places(&unwound),
        [(TEXT + 0x50, How::Start), (back(1), How::Orc), (back(2), How::Orc), (back(3), How::Orc)]
    );
    assert_eq!((unwound.frames[2].regs.get(RBP), unwound.stopped), (Some(77), StopReason::EndOfStack));
    // a link of long ago leads to no return address: the top of an interrupt stack is no natural end
    world.put(TASK + 0x1008, &[5]);
    let unwound = world.unwind(from);
    assert_eq!((unwound.frames.len(), unwound.stopped), (2, StopReason::NothingFound));
}

/// 3.10 gives a new kernel thread the kernel's segments in the room that other tasks have for user mode's registers.
#[test]
fn a_kernel_thread_has_no_registers_at_the_end_of_its_stack() {
    let top = TASK + SIZE - 168;
    let mut world = World::new();
    world.call(0, 8).entry(1, OrcKind::Regs, SP, 0);
    world.put(top - 8, &[back(1)]).pt_regs(top, 0, 0x10, top);
    let unwound = world.unwind(start(TEXT + 0x50, top - 8));
    assert_eq!(places(&unwound), [(TEXT + 0x50, How::Start), (back(1), How::Orc)]);
    assert_eq!((unwound.stopped, unwound.frames[1].saved.is_none()), (StopReason::EndOfStack, true));
    // with code to go on at they would be an entry
    world.pt_regs(top, TEXT + 0x250, 0x10, top);
    assert!(world.unwind(start(TEXT + 0x50, top - 8)).frames[1].saved.is_some());
}

#[test]
fn entry_code_without_tables_that_interrupted_code_of_an_unknown_module() {
    let mut world = World::new();
    world.prologues();
    // 0 was called by the entry code 1, which saved registers of code that no module is known for
    world.put(TASK + 0x1000, &[TASK + 0x1100, back(1)]);
    world.pt_regs(TASK + 0x1010, 0xffff_ffff_c01c_01b7, 0x10, TASK + 0x1180);
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0xf00).with(RBP, TASK + 0x1000));
    assert_eq!(places(&unwound)[1..3], [(back(1), How::FramePointer), (0xffff_ffff_c01c_01b7, How::Saved)]);
}

/// A frame of which the table is not in the dump is no end of the stack.
#[test]
fn a_lost_table_is_why_there_are_no_more_frames() {
    let mut world = World::new();
    world.call(0, 16).put(TASK + 0x3000, &[0, TEXT + 0x120]);
    let end = |world: &World| world.unwind(start(TEXT + 0x20, TASK + 0x3000));
    assert_eq!((end(&world).frames.len(), end(&world).stopped), (2, StopReason::NothingFound));
    world.lost.push(TEXT + 0x100);
    let lost = end(&world);
    assert!(lost.frames.len() == 2 && matches!(lost.stopped, StopReason::LostTable(_)), "{}", lost.stopped);
    assert!(lost.stopped.to_string().starts_with("the unwind data of this frame cannot be read: "));
}
