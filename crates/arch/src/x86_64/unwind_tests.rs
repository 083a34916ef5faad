use super::*;
use crate::x86_64::regs::RBP;
use base::{Fault, FaultKind};

const BASE: u64 = 0xffff_ffff_8100_0000;

struct Mem(Vec<u8>);
impl Mem {
    fn words(words: &[u64]) -> Self {
        Self(words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }
}
impl VirtRead for Mem {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault::new(at, FaultKind::NotMapped("PTE"));
        let from = at.0.checked_sub(BASE).and_then(|o| self.0.get(o as usize..)).ok_or(fault)?;
        buf.copy_from_slice(from.get(..buf.len()).ok_or(fault)?);
        Ok(())
    }
}

fn is_call(code: &[u8]) -> bool {
    let mut bytes = vec![0x90; 16];
    bytes.extend(code);
    follows_call(&Mem(bytes.clone()), VirtAddr(BASE + bytes.len() as u64))
}

#[test]
fn calls_and_what_only_looks_like_one() {
    assert!(is_call(&[0xe8, 1, 2, 3, 4]));
    assert!(is_call(&[0xff, 0xd0])); // call *%rax
    assert!(is_call(&[0x41, 0xff, 0xd3])); // call *%r11
    assert!(is_call(&[0xff, 0x50, 0x18])); // call *0x18(%rax)
    assert!(is_call(&[0xff, 0x54, 0x24, 8])); // call *8(%rsp)
    assert!(is_call(&[0xff, 0x15, 1, 2, 3, 4])); // call *x(%rip)
    assert!(is_call(&[0xff, 0x14, 0xc5, 1, 2, 3, 4])); // call *x(,%rax,8)
    assert!(is_call(&[0x68, 0x15, 0, 0, 0x81])); // push $(this address): it ends at BASE + 21
    assert!(!is_call(&[0x68, 0x16, 0, 0, 0x81]));
    assert!(!is_call(&[0xff, 0xe0])); // jmp *%rax
    assert!(!is_call(&[0x0f, 0x0b])); // ud2
    assert!(!follows_call(&Mem(vec![0xe8; 4]), VirtAddr(BASE)));
}

#[test]
fn prologues_by_place() {
    // endbr64; nopl; push %rbp; mov %rsp,%rbp; ...; ret
    let mut code = vec![0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0, 0, 0x55, 0x48, 0x89, 0xe5];
    code.resize(40, 0x90);
    code[39] = 0xc3;
    let mem = Mem(code);
    let at = |into: u64| prologue(&mem, VirtAddr(BASE), VirtAddr(BASE + into));
    assert_eq!([at(0), at(4), at(9)], [Prologue::NotPushed; 3]);
    assert_eq!(at(10), Prologue::Pushed);
    assert_eq!([at(13), at(30)], [Prologue::Done; 2]);
    assert_eq!(at(39), Prologue::NotPushed);
    // what BPF's compiler puts before it: nopl or endbr64 and nopl, then a count of tail calls or a nop
    let (nopl, endbr64) =
        (&[0x0f, 0x1f, 0x44, 0, 0][..], &[0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0, 0][..]);
    let counts: [&[u8]; 4] = [&[0x66, 0x90], &[0x31, 0xc0], &[0x48, 0x31, 0xc0], &[0x0f, 0x1f, 0]];
    for (first, count) in [nopl, endbr64].iter().flat_map(|first| counts.map(|count| (first, count))) {
        let mut code = [first, count, &[0x55, 0x48, 0x89, 0xe5]].concat();
        let push = code.len() as u64 - 4;
        code.resize(40, 0x90);
        let mem = Mem(code);
        let at = |into: u64| prologue(&mem, VirtAddr(BASE), VirtAddr(BASE + into));
        assert_eq!(
            [at(0), at(push), at(push + 1)],
            [Prologue::NotPushed, Prologue::NotPushed, Prologue::Pushed]
        );
        assert_eq!(at(push + 4), Prologue::Done, "{count:x?}");
    }
    // nops alone are no frame
    assert_eq!(prologue(&Mem([0x66, 0x90].repeat(20)), VirtAddr(BASE), VirtAddr(BASE + 8)), Prologue::Absent);
    let leaf = Mem(vec![0x31; 40]);
    assert_eq!(prologue(&leaf, VirtAddr(BASE), VirtAddr(BASE)), Prologue::Absent);
}

#[test]
fn saved_registers_are_found_by_their_iret_frame() {
    let text = |at: VirtAddr| at.0 >= BASE;
    let mut words = vec![7; 2 + 16];
    words.extend([BASE + 5, 0x10, 0x246, BASE + 0x500, 0x18, 1, 2]);
    let mem = Mem::words(&words);
    assert_eq!(find_pt_regs(&mem, VirtAddr(BASE), 4, &text), Some(VirtAddr(BASE + 16)));
    assert_eq!(find_pt_regs(&mem, VirtAddr(BASE), 2, &text), None);
    words[18..23].copy_from_slice(&[0x43_7fbd, 0x33, 0x246, 0x7ffd_2c82_b7a8, 0x2b]);
    let mem = Mem::words(&words);
    assert_eq!(find_pt_regs(&mem, VirtAddr(BASE), 4, &text), Some(VirtAddr(BASE + 16)));
    words[20] = 0x8000_0246;
    assert_eq!(find_pt_regs(&Mem::words(&words), VirtAddr(BASE), 4, &text), None);
}

#[test]
fn switched_out_tasks_of_every_age() {
    let text = |at: VirtAddr| (BASE..BASE + 0x1000).contains(&at.0);
    let function = |at: VirtAddr| Some(VirtAddr(at.0 & !0x3f));
    let resume_in = |words: &[u64], legacy: Option<VirtAddr>| {
        let mut all = words.to_vec();
        all.resize(32, 0);
        all[10] = 0x00e8_9090_9090_9090; // a call that ends at BASE + 0x5b
        sleeping(&Mem::words(&all), VirtAddr(BASE), &|| legacy, &text, &function)
    };
    let resume = |words: &[u64]| resume_in(words, None);
    let back = BASE + 0x5b;
    let modern = resume(&[15, 14, 13, 12, 3, 6, back]).unwrap();
    assert_eq!((modern.regs.pc(), modern.regs.sp(), modern.is_call), (Some(back), Some(BASE + 56), true));
    assert_eq!((modern.regs.by_name("r15"), modern.regs.by_name("rbp")), (Some(15), Some(6)));
    let flags = resume(&[0x246, 15, 14, 13, 12, 3, 6, back]).unwrap();
    assert_eq!((flags.regs.sp(), flags.regs.by_name("rbx")), (Some(BASE + 64), Some(3)));
    let fresh = resume(&[0, 0, 0, 0, 0, 0, BASE + 0x80]).unwrap();
    assert!(!fresh.is_call);
    assert_eq!(resume(&[BASE + 0x100, 0x246]), None);
    // before 4.9: whatever lies where later kernels keep the return address
    let old = resume_in(&[BASE + 0x100, 0x246, 0, 0, 0, 0, back], Some(VirtAddr(BASE + 0x44))).unwrap();
    assert_eq!((old.regs.pc(), old.regs.sp()), (Some(BASE + 0x44), Some(BASE + 16)));
    assert_eq!((old.regs.get(RBP), old.slot), (Some(BASE + 0x100), None));
}

#[test]
fn the_place_behind_an_old_switch() {
    // push; pushf; push %rbp; call __switch_to; mov %gs:..,%rsi; jne; mov %rsi,%rbp; pop %rbp; popf; mov
    let mut code = vec![0x50, 0x9c, 0x55, 0xe8];
    code.extend(0x100_u32.to_le_bytes());
    code.extend([
        0x65, 0x48, 0x8b, 0x34, 0x25, 0, 0, 0, 0, 0x0f, 0x85, 1, 2, 3, 4, 0x48, 0x89, 0xf5, 0x5d, 0x9d,
    ]);
    code.extend([0x48, 0x89, 0xc7]);
    let to = VirtAddr(BASE + 8 + 0x100);
    assert_eq!(after_switch(VirtAddr(BASE), &code, to), Some(VirtAddr(BASE + 28)));
    assert_eq!(after_switch(VirtAddr(BASE), &code, VirtAddr(BASE)), None);
    assert_eq!(after_switch(VirtAddr(BASE), &code[..20], to), None);
}

#[test]
fn a_function_that_does_nothing_but_jump() {
    let to = |code: &[u8]| {
        let mut bytes = code.to_vec();
        bytes.resize(16, 0x90);
        jumps_to(&Mem(bytes), VirtAddr(BASE)).map(|at| at.0.wrapping_sub(BASE).cast_signed())
    };
    assert_eq!(to(&[0xe9, 0x10, 0, 0, 0]), Some(0x15));
    assert_eq!(to(&[0xf3, 0x0f, 0x1e, 0xfa, 0xe9, 0xf0, 0xff, 0xff, 0xff]), Some(9 - 0x10));
    assert_eq!(to(&[0xeb, 0xfe]), Some(0));
    assert_eq!(to(&[0xf3, 0x0f, 0x1e, 0xfa, 0xeb, 0x7f]), Some(6 + 0x7f));
    // what does something before, a call, and nothing to read
    assert_eq!(to(&[0x90, 0xe9, 0x10, 0, 0, 0]), None);
    assert_eq!(to(&[0xe8, 0x10, 0, 0, 0]), None);
    assert_eq!(jumps_to(&Mem(vec![0xe9]), VirtAddr(BASE)), None);
}
