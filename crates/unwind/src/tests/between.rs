//! Frames that stand between a place and saved registers behind it: an interrupt's handler that called on the interrupt
//! stack left its own frames on the stack that was interrupted, below the registers that entry code saved there.

use super::{IRQ, R10, RBP, SIZE, TASK, TEXT, World, back, places, start};
use crate::{Code, How, Stack, Unwinder, Unwound};
use arch::{Arch, Regs};
use base::{Fault, VirtAddr, VirtRead};

fn arm64() -> &'static Arch {
    arch::by_name("aarch64").unwrap()
}

/// 0 runs on the interrupt stack, called by the handler 1, which entry code 2 called on the task's stack, which
/// interrupted 3.
fn handler(words: &[u64]) -> World {
    let mut world = World::new();
    let link = TASK + 0x1000;
    world.put(IRQ + SIZE - 16, &[back(1), link]).put(link, words);
    world.pt_regs(link + 8 * words.len() as u64, TEXT + 0x350, 0x10, TASK + 0x1180);
    world
}

#[test]
fn entry_code_between_the_interrupt_stack_s_link_and_the_registers_is_a_frame() {
    for words in [&[back(2)][..], &[TASK + 0x1100, back(2)], &[1, 2, 3, back(2)]] {
        let world = handler(words);
        let unwound = world.unwind(start(TEXT + 0x50, IRQ + SIZE - 16));
        let expected = [
            (TEXT + 0x50, How::Start),
            (back(1), How::Scan),
            (back(2), How::Saved),
            (TEXT + 0x350, How::Saved),
        ];
        assert_eq!(places(&unwound)[..4], expected, "{words:x?}");
        let entry = &unwound.frames[2];
        assert_eq!(entry.saved.as_ref().unwrap().at, entry.cfa.unwrap_or(entry.sp));
        assert!(unwound.frames[1].saved.is_none());
    }
    // nothing between: the code that called on the interrupt stack saved them itself
    for words in [&[][..], &[5], &[5, TASK]] {
        let unwound = handler(words).unwind(start(TEXT + 0x50, IRQ + SIZE - 16));
        assert_eq!(places(&unwound)[1..3], [(back(1), How::Scan), (TEXT + 0x350, How::Saved)], "{words:x?}");
    }
}

#[test]
fn of_several_frames_between_the_sure_one_is_next_to_the_registers() {
    let unwound = handler(&[back(4), 7, back(2)]).unwind(start(TEXT + 0x50, IRQ + SIZE - 16));
    let expected = [(back(4), How::Scan), (back(2), How::Saved), (TEXT + 0x350, How::Saved)];
    assert_eq!(places(&unwound)[2..5], expected);
}

#[test]
fn entry_code_whose_own_code_is_missing_is_a_frame_too() {
    let mut world = handler(&[7, back(2)]);
    let text = world.memory.remove(&TEXT).unwrap();
    world.memory.insert(TEXT, text[..0x200].to_vec());
    world.memory.insert(TEXT + 0x300, text[0x300..].to_vec());
    let unwound = world.unwind(start(TEXT + 0x50, IRQ + SIZE - 16));
    assert_eq!(places(&unwound)[2], (back(2), How::Saved));
}

/// On one stack: a function that entry code called keeps a word or two.
#[test]
fn entry_code_right_above_a_function_s_few_words_is_a_frame() {
    let mut world = World::new();
    world.put(TASK + 0x1000, &[back(1), 7, back(2)]).pt_regs(
        TASK + 0x1018,
        TEXT + 0x350,
        0x10,
        TASK + 0x1180,
    );
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000).with(R10, 1).with(RBP, 0));
    let expected = [(back(1), How::Scan), (back(2), How::Saved), (TEXT + 0x350, How::Saved)];
    assert_eq!(places(&unwound)[1..4], expected);
}

const ARM_TEXT: u64 = 0xffff_8000_8000_0000;
/// What pointer authentication puts above the 48 bits of an address.
const SIGNED: u64 = 0x0035_0000_0000_0000;

/// The same stacks with code of arm64: a `bl` before each return address.
struct Arm(World, Vec<u64>);

impl Arm {
    fn new() -> Self {
        let mut world = World::new();
        let code = std::iter::repeat_n(0x9400_0000_u32.to_le_bytes(), 0x400);
        world.memory.insert(ARM_TEXT, code.flatten().collect());
        Self(world, Vec::new())
    }
    /// An entry's registers with its frame record behind them.
    fn pt_regs(&mut self, at: u64, pc: u64, fp: u64) {
        let mut words = vec![0; 40];
        (words[29], words[31], words[32], words[33]) = (fp, TASK + 0x2000, pc, 0x6040_0005);
        (words[38], words[39]) = (fp, pc);
        self.0.put(at, &words);
    }
    fn unwind(&self, pc: u64, sp: u64) -> Unwound {
        self.unwind_with(pc, sp, None)
    }
    fn unwind_at(&self, pc: u64, sp: u64, fp: u64) -> Unwound {
        self.unwind_with(pc, sp, Some(fp))
    }
    fn unwind_linked(&self, pc: u64, fp: u64, link: u64) -> Unwound {
        let set = arm64().reg_set();
        let regs = Regs::new(set).with(set.pc, pc).with(set.sp, fp).with(set.fp, fp);
        self.unwind_regs(regs.with(set.roles.link.unwrap(), link))
    }
    fn unwind_with(&self, pc: u64, sp: u64, fp: Option<u64>) -> Unwound {
        let set = arm64().reg_set();
        let mut regs = Regs::new(set).with(set.pc, pc).with(set.sp, sp);
        regs.put(set.fp, fp);
        self.unwind_regs(regs)
    }
    fn unwind_regs(&self, regs: Regs) -> Unwound {
        let stacks = [("", TASK), ("IRQ", IRQ)].map(|(name, at)| Stack {
            name: name.to_owned(),
            start: VirtAddr(at),
            end: VirtAddr(at + SIZE),
        });
        let arch = arm64();
        Unwinder { arch, code: self, mem: self, stacks: &stacks }.unwind(regs)
    }
}

impl VirtRead for Arm {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        self.0.read(at, buf)
    }
}

impl Code for Arm {
    fn is_text(&self, pc: VirtAddr) -> bool {
        (ARM_TEXT..ARM_TEXT + 0x1000).contains(&pc.0)
    }
    fn function(&self, pc: VirtAddr) -> Option<VirtAddr> {
        let at = VirtAddr(pc.0 & !0xff);
        (self.is_text(pc) && !self.1.contains(&at.0)).then_some(at)
    }
    fn code_pointer(&self, at: u64) -> u64 {
        if at >> 55 & 1 == 1 { at | u64::MAX << 48 } else { at }
    }
}

const fn arm_back(n: u64) -> u64 {
    ARM_TEXT + n * 0x100 + 0x20
}

/// `call_on_irq_stack` of arm64 keeps its frame record on the task's stack, and the handler's record at the top of the
/// interrupt stack leads there: the frames between are followed by their records.
#[test]
fn frames_of_arm64_between_the_interrupt_stack_and_the_registers_are_followed() {
    let mut arm = Arm::new();
    let (link, regs) = (TASK + 0x1000, TASK + 0x1040);
    arm.0.put(IRQ + SIZE - 24, &[arm_back(1), link]);
    arm.0.put(link, &[link + 0x20, arm_back(2) ^ SIGNED, 0, 0, regs + 304, arm_back(3) ^ SIGNED]);
    arm.pt_regs(regs, ARM_TEXT + 0x550, TASK + 0x2000);
    let found: Vec<u64> = places(&arm.unwind(ARM_TEXT + 0x50, IRQ + SIZE - 24)).iter().map(|p| p.0).collect();
    let expected = [ARM_TEXT + 0x50, arm_back(1), arm_back(2), arm_back(3), ARM_TEXT + 0x550];
    assert_eq!(found[..5], expected);
}

/// Records of three calls on a task's stack, the last at its end: 0 called by 1, that by 2, that by 3, which ends the chain.
fn chain() -> (Arm, [u64; 3]) {
    let mut arm = Arm::new();
    let at = [TASK + 0x1000, TASK + 0x1040, TASK + SIZE - 16];
    arm.0.put(TASK + 0x1000, &[at[1], arm_back(1) ^ SIGNED]);
    arm.0.put(TASK + 0x1040, &[at[2], arm_back(2) ^ SIGNED]);
    arm.0.put(TASK + SIZE - 16, &[0, 0]);
    (arm, at)
}

/// The link register leads to the caller, or behind a call that the function made itself; where names are lost that is told
/// by where the call led.
#[test]
fn a_link_register_within_the_function_is_no_caller() {
    let (mut arm, [record, ..]) = chain();
    let at = ARM_TEXT + 0x50;
    // `bl` to another function before `at - 12`, and one to 0x40 before a place near by
    let mut code = |offset: usize, word: u32| {
        arm.0.memory.get_mut(&ARM_TEXT).unwrap()[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
    };
    code(0x40, 0x9400_0800);
    code(0x3fc, 0x97ff_ff11);
    let near = ARM_TEXT + 0x400;
    let first = |arm: &Arm, link: u64| places(&arm.unwind_linked(at, record, link))[1];
    let by_record = (arm_back(1), How::FramePointer);
    assert_eq!(first(&arm, at - 12), by_record);
    assert_eq!(first(&arm, arm_back(4)), (arm_back(4), How::Link));
    arm.1.extend([ARM_TEXT, ARM_TEXT + 0x300]);
    assert_eq!(first(&arm, at - 12), by_record);
    assert_eq!(first(&arm, near), (near, How::Link));
    assert_eq!(first(&arm, arm_back(4)), (arm_back(4), How::Link));
}

#[test]
fn a_return_address_found_on_the_stack_leads_on_by_its_record() {
    let (arm, _) = chain();
    // no frame pointer is known
    let unwound = arm.unwind(ARM_TEXT + 0x50, TASK + 0x1000);
    let expected =
        [(ARM_TEXT + 0x50, How::Start), (arm_back(1), How::Scan), (arm_back(2), How::FramePointer)];
    assert_eq!((&places(&unwound)[..], unwound.stopped), (&expected[..], crate::StopReason::EndOfStack));
}

#[test]
fn a_broken_chain_is_no_end_of_the_stack() {
    for (at, words) in
        [(0, [0, arm_back(1)]), (0, [0x123, arm_back(1)]), (1, [0, 0]), (1, [TASK + SIZE - 16, 5])]
    {
        let (mut arm, records) = chain();
        arm.0.put(records[at], &words);
        arm.0.put(TASK + 0x1800, &[TASK + SIZE - 16, arm_back(3) ^ SIGNED]);
        let unwound = arm.unwind_at(ARM_TEXT + 0x50, TASK + 0x1000, records[0]);
        let found = places(&unwound);
        // the next record that is whole
        let next = arm_back(at as u64 + 2);
        assert!(found.contains(&(next, How::Scan)), "{at} {words:x?}: {found:x?}");
        assert_eq!(unwound.stopped, crate::StopReason::EndOfStack, "{at} {words:x?}");
    }
    // nothing behind it leads on
    let (mut arm, records) = chain();
    arm.0.put(records[1], &[0, 0]);
    let unwound = arm.unwind_at(ARM_TEXT + 0x50, TASK + 0x1000, records[0]);
    assert_eq!(unwound.stopped, crate::StopReason::NothingFound);
}

/// The code that called was given back, or is not in the dump.
#[test]
fn a_record_leads_on_where_the_code_is_missing() {
    let (mut arm, records) = chain();
    arm.0.memory.remove(&ARM_TEXT);
    let unwound = arm.unwind_at(ARM_TEXT + 0x50, TASK + 0x1000, records[0]);
    let expected = [(arm_back(1), How::FramePointer), (arm_back(2), How::FramePointer)];
    assert_eq!(places(&unwound)[1..], expected);
}

#[test]
fn a_signed_return_address_right_below_registers_of_arm64_is_a_frame() {
    let mut arm = Arm::new();
    let link = TASK + 0x1008;
    arm.0.put(IRQ + SIZE - 24, &[arm_back(1) ^ SIGNED, link]).put(link, &[arm_back(2) ^ SIGNED]);
    arm.pt_regs(link + 8, ARM_TEXT + 0x550, TASK + 0x2000);
    let unwound = arm.unwind(ARM_TEXT + 0x50, IRQ + SIZE - 24);
    let expected = [(arm_back(1), How::Scan), (arm_back(2), How::Saved), (ARM_TEXT + 0x550, How::Saved)];
    assert_eq!(places(&unwound)[1..4], expected);
}
