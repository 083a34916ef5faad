use super::*;
use base::{Fault, FaultKind};

struct Mem;
impl VirtRead for Mem {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        if at.0 >= 0x1000 {
            return Err(Fault::new(at, FaultKind::NotMapped("PTE")));
        }
        buf.fill(0);
        buf[..2].copy_from_slice(&(at.0 as u16).to_le_bytes());
        Ok(())
    }
}

/// An entry: length, id, body padded with DW_CFA_nop.
fn entry(out: &mut Vec<u8>, id: u32, body: &[u8]) {
    let mut body = body.to_vec();
    while body.len() % 8 != 4 {
        body.push(0);
    }
    out.extend((body.len() as u32 + 4).to_le_bytes());
    out.extend(id.to_le_bytes());
    out.extend(body);
}

fn fde(out: &mut Vec<u8>, start: u64, len: u64, program: &[u8]) {
    let mut body = start.to_le_bytes().to_vec();
    body.extend(len.to_le_bytes());
    body.extend(program);
    entry(out, 0, &body);
}

/// Version 1, code alignment 1, data alignment -8, return address 16; cfa = rsp+8, rip at cfa-8.
const CIE: [u8; 11] = [1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1, 0];

fn section() -> Vec<u8> {
    let mut out = Vec::new();
    entry(&mut out, u32::MAX, &CIE);
    // out of order, as the linker leaves them
    fde(&mut out, 0x2000, 0x80, &[]);
    // after 1 byte cfa = rsp+16, rbp at cfa-16; after 3 more cfa = rbp+16
    fde(&mut out, 0x1000, 0x40, &[0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6]);
    out
}

#[test]
fn rows_by_address() {
    let table = CfiTable::new(Blob::new(section()), 0x10_0000);
    assert_eq!(table.len(), 2);
    let row = |at: u64| table.row(VirtAddr(0x10_0000 + at));
    assert_eq!(row(0x1000).unwrap().cfa, CfiCfa::Reg(7, 8));
    assert_eq!(row(0x1001).unwrap().cfa, CfiCfa::Reg(7, 16));
    let done = row(0x1004).unwrap();
    assert_eq!((done.cfa.clone(), done.return_address, done.signal), (CfiCfa::Reg(6, 16), 16, false));
    assert_eq!((done.rule(6), done.rule(16)), (Some(&CfiRule::AtCfa(-16)), Some(&CfiRule::AtCfa(-8))));
    assert_eq!(done.rule(3), None);
    assert_eq!(row(0x207f).unwrap().cfa, CfiCfa::Reg(7, 8));
    assert!([0xfff, 0x1040, 0x2080].into_iter().all(|at| row(at).is_none()));
}

#[test]
fn cut_and_absurd_sections_end() {
    let whole = section();
    for cut in 0..whole.len() {
        let table = CfiTable::new(Blob::new(whole[..cut].to_vec()), 0);
        let _ = (table.row(VirtAddr(0x1004)), table.row(VirtAddr(0x2004)));
        assert!(table.len() <= 2);
    }
    assert!(CfiTable::new(Blob::new(vec![0xff; 64]), 0).is_empty());
    assert!(CfiTable::new(Blob::new(vec![0; 64]), 0).is_empty());
}

#[test]
fn expressions() {
    let register = |n: u16| (n == 10).then_some(0x500);
    // breg10 -8, deref
    assert_eq!(evaluate(&[0x7a, 0x78, 0x06], None, &register, &Mem), Some(0x4f8));
    // plus_uconst 3 on what is there first
    assert_eq!(evaluate(&[0x23, 3], Some(4), &register, &Mem), Some(7));
    // a register or memory that is not there, an endless loop, nonsense
    assert_eq!(evaluate(&[0x73, 0], None, &register, &Mem), None);
    assert_eq!(evaluate(&[0x7a, 0xf8, 0x1f, 0x06], None, &register, &Mem), None);
    assert_eq!(evaluate(&[0x2f, 0xfd, 0xff], None, &register, &Mem), None);
    assert_eq!(evaluate(&[0xff], None, &register, &Mem), None);
}
