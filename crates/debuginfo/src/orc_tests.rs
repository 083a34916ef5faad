use super::*;
use base::{Fault, FaultKind};

const IPS: u64 = 0x1_0000;
const ENTRIES: u64 = 0x2_0000;
const LOOKUP: u64 = 0x3_0000;
const TEXT: u64 = 0x10_0000;

struct Mem(Vec<u8>);
impl VirtRead for Mem {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault::new(at, FaultKind::NotMapped("PTE"));
        let from = self.0.get(at.0 as usize..).ok_or(fault)?;
        buf.copy_from_slice(from.get(..buf.len()).ok_or(fault)?);
        Ok(())
    }
}

fn entry(offset: i16, bp_offset: i16, flags: u16) -> [u8; 6] {
    let ([a, b], [c, d], [e, f]) = (offset.to_le_bytes(), bp_offset.to_le_bytes(), flags.to_le_bytes());
    [a, b, c, d, e, f]
}

/// Code at 16-byte steps; the first entry is entry code without a caller.
fn table(entries: &[[u8; 6]]) -> Mem {
    let mut mem = vec![0; 0x4_0000];
    for (i, packed) in entries.iter().enumerate() {
        let at = IPS as usize + 4 * i;
        let distance = (TEXT as i64 + 16 * i as i64 - at as i64) as i32;
        mem[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        mem[ENTRIES as usize + 6 * i..][..6].copy_from_slice(packed);
    }
    for slot in 0..entries.len() / 16 {
        let index = (slot * 16) as u32;
        mem[LOOKUP as usize + 4 * slot..][..4].copy_from_slice(&index.to_le_bytes());
    }
    Mem(mem)
}

fn symbols(len: usize) -> impl Fn(&str) -> Option<VirtAddr> {
    move |name| {
        Some(VirtAddr(match name {
            "__start_orc_unwind_ip" => IPS,
            "__stop_orc_unwind_ip" => IPS + 4 * len as u64,
            "__start_orc_unwind" => ENTRIES,
            "orc_lookup" => LOOKUP,
            "orc_lookup_end" => LOOKUP + 4 * (len as u64 / 16),
            "_stext" => TEXT,
            _ => return None,
        }))
    }
}

/// end, call at SP+8, regs at SP, iret at SP, call at BP+16 with the caller's at -16, undefined, in a packing.
fn forms(flags: [u16; 6]) -> Vec<[u8; 6]> {
    let [end, call, regs, iret, bp, undefined] = flags;
    let mut all = vec![entry(0, 0, end); 1];
    all.extend(vec![entry(8, 0, call); 59]);
    all.extend([entry(0, 0, regs), entry(0, 0, iret), entry(16, -16, bp), entry(0, 0, undefined)]);
    all
}

const FIRST: [u16; 6] = [0x400, 0x005, 0x105, 0x205, 0x014, 0];
const SIGNAL: [u16; 6] = [0x800, 0x005, 0x505, 0x605, 0x014, 0];
const TYPES: [u16; 6] = [0x100, 0x205, 0xb05, 0xc05, 0x214, 0];
const RENUMBERED: [u16; 6] = [0x100, 0x203, 0xb03, 0xc03, 0x284, 0];

#[test]
fn every_packing_is_told_and_read_alike() {
    for flags in [FIRST, SIGNAL, TYPES, RENUMBERED] {
        let entries = forms(flags);
        let mem = table(&entries);
        let table = OrcTable::kernel(&mem, &symbols(entries.len())).unwrap();
        let at = |i: u64| table.find(&mem, VirtAddr(TEXT + 16 * i + 5)).unwrap();
        assert_eq!(at(0).kind, OrcKind::End, "{flags:x?}");
        let call = OrcEntry {
            kind: OrcKind::Call,
            base: OrcBase::Reg(7),
            offset: 8,
            bp: OrcBp::Unchanged,
            signal: false,
        };
        assert_eq!(at(1), call, "{flags:x?}");
        assert_eq!((at(60).kind, at(60).signal), (OrcKind::Regs, true), "{flags:x?}");
        assert_eq!((at(61).kind, at(61).signal), (OrcKind::RegsPartial, true), "{flags:x?}");
        assert_eq!((at(62).base, at(62).bp), (OrcBase::Reg(6), OrcBp::AtCfa(-16)), "{flags:x?}");
        assert_eq!(at(63).kind, OrcKind::Undefined, "{flags:x?}");
        assert!(table.find(&mem, VirtAddr(TEXT - 1)).is_none());
    }
}

#[test]
fn a_lying_lookup_table_is_not_believed() {
    let entries = forms(TYPES);
    let mut mem = table(&entries);
    mem.0[LOOKUP as usize..][..16].fill(0xee);
    let table = OrcTable::kernel(&mem, &symbols(entries.len())).unwrap();
    assert_eq!(table.find(&mem, VirtAddr(TEXT + 5)).unwrap().kind, OrcKind::End);
}

#[test]
fn a_module_takes_the_kernels_packing() {
    let entries = forms(TYPES);
    let mem = table(&entries);
    let kernel = OrcTable::kernel(&mem, &symbols(entries.len())).unwrap();
    let small = |like| OrcTable::module(&mem, VirtAddr(IPS + 240), VirtAddr(ENTRIES + 360), 3, like);
    assert!(small(None).is_none());
    let module = small(Some(&kernel)).unwrap();
    assert_eq!(module.find(&mem, VirtAddr(TEXT + 16 * 61)).unwrap().kind, OrcKind::RegsPartial);
    assert!(OrcTable::module(&mem, VirtAddr(IPS), VirtAddr(ENTRIES), u64::MAX, Some(&kernel)).is_none());
}

#[test]
fn noise_is_no_table() {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..6000).map(|_| next()).collect();
    assert!(Generation::of(&noise).is_none());
    assert!(Generation::of(&[]).is_none());
}
