//! ORC: the kernel's own unwind tables on x86-64 (arch/x86/include/asm/orc_types.h), read in place.
//!
//! Two parallel arrays: `orc_unwind_ip`, 32-bit distances from each element to the code it speaks of, ascending
//! by code address, and `orc_unwind`, packed 6-byte entries. The kernel's are between linker symbols, a
//! module's in `struct module`. The packing changed four times without a version in the running kernel, so that
//! [`Generation::of`] tells it by what the entries of real code look like:
//!
//! - 4.14: 2-bit type (call, regs, iret regs), `end` in bit 10
//! - 6.3 (ffb1b4a41016, also in stable kernels): `signal` in bit 10, `end` in bit 11
//! - 6.4 (fb799447ae29): 3-bit type with values for "undefined" and "end of stack", `signal` in bit 11
//! - later: the registers are numbered anew (SP is 3 instead of 5)

use base::{Bytes, Fault, VirtAddr, VirtRead};

/// Bytes in a packed entry.
const ENTRY: u64 = 6;
/// How many entries are looked at to tell the packing, at the table's start and at its middle.
const SAMPLE: u64 = 2048;
/// `LOOKUP_BLOCK_SIZE` (arch/x86/include/asm/orc_lookup.h): bytes of code a slot of `orc_lookup` covers.
const BLOCK: u64 = 256;

/// What an entry says of the frame at its code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrcKind {
    /// Nothing is known of the stack here.
    Undefined,
    /// There is no caller.
    End,
    /// A called function: the return address lies below the CFA.
    Call,
    /// The CFA is a whole `struct pt_regs`.
    Regs,
    /// The CFA is an iret frame: the last five words of a `struct pt_regs`.
    RegsPartial,
}

/// What the CFA is counted from. Registers are DWARF's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrcBase {
    /// A register plus the offset.
    Reg(u8),
    /// The word at the stack pointer, plus the offset.
    SpIndirect,
    /// The word at the frame pointer plus the offset.
    BpIndirect,
}

/// Where the caller's frame pointer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrcBp {
    /// Still in the register.
    Unchanged,
    /// In memory, this far from the CFA.
    AtCfa(i16),
    /// In memory, this far from the frame pointer.
    AtBp(i16),
}

/// One entry, whatever its packing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrcEntry {
    /// Kind of frame.
    pub kind: OrcKind,
    /// What the CFA is counted from.
    pub base: OrcBase,
    /// The distance.
    pub offset: i16,
    /// The caller's frame pointer.
    pub bp: OrcBp,
    /// The next program counter is where code was interrupted, not where it will return to.
    pub signal: bool,
}

/// How entries are packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Generation {
    bits: Bits,
    /// SP is 3 and not 5.
    renumbered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bits {
    EndAt10,
    EndAt11,
    Types,
}

const SP: u16 = 5;
const SP_RENUMBERED: u16 = 3;

impl Generation {
    /// Tells the packing by a sample of entries. Nearly all code is called and has its CFA at SP plus a
    /// distance; that entry is `type 0, SP` in the first packings and `type 2, SP` since there is a type for
    /// "undefined". Entry code, where kernels' tables begin, has no caller and tells the rest.
    #[must_use]
    pub fn of(sample: &[u8]) -> Option<Self> {
        let flags: Vec<u16> =
            sample.chunks_exact(ENTRY as usize).filter_map(|e| Bytes::new(e).u16_at(4).ok()).collect();
        let count = |what: &dyn Fn(u16) -> bool| flags.iter().filter(|f| what(**f)).count();
        let calls = |kind: u16, sp: u16| count(&|f| (f >> 8) & 0xf == kind && f & 0xf == sp);
        let forms = [
            (calls(0, SP), Bits::EndAt10, false),
            (calls(2, SP), Bits::Types, false),
            (calls(2, SP_RENUMBERED), Bits::Types, true),
        ];
        let (most, mut bits, renumbered) = forms.into_iter().max_by_key(|f| f.0)?;
        if most == 0 || most * 4 < flags.len() {
            return None;
        }
        if bits == Bits::EndAt10 && count(&|f| f & 0xf == 0 && f & 0x800 != 0) > 0 {
            bits = Bits::EndAt11;
        }
        Some(Self { bits, renumbered })
    }

    fn decode(self, entry: [u8; ENTRY as usize]) -> OrcEntry {
        let [s0, s1, b0, b1, f0, f1] = entry;
        let offset = i16::from_le_bytes([s0, s1]);
        let bp_offset = i16::from_le_bytes([b0, b1]);
        let flags = u16::from_le_bytes([f0, f1]);
        let base = self.base(flags & 0xf);
        let (kind, signal) = self.kind(flags);
        let previous_sp = if self.renumbered { 8 } else { 1 };
        let bp = match (flags >> 4) & 0xf {
            0 => OrcBp::Unchanged,
            n if n == previous_sp => OrcBp::AtCfa(bp_offset),
            _ => OrcBp::AtBp(bp_offset),
        };
        let kind = if base.is_none() && kind != OrcKind::End { OrcKind::Undefined } else { kind };
        OrcEntry { kind, base: base.unwrap_or(OrcBase::SpIndirect), offset, bp, signal }
    }

    /// `ORC_REG_*` to what it stands for; DWARF: 0 rax, 1 rdx, 5 rdi, 6 rbp, 7 rsp.
    fn base(self, number: u16) -> Option<OrcBase> {
        Some(match (self.renumbered, number) {
            (_, 2) => OrcBase::Reg(1),
            (_, 4) => OrcBase::Reg(6),
            (_, 6) => OrcBase::Reg(10),
            (_, 7) => OrcBase::Reg(13),
            (_, 9) => OrcBase::SpIndirect,
            (false, 3) | (true, 5) => OrcBase::Reg(5),
            (false, SP) | (true, SP_RENUMBERED) => OrcBase::Reg(7),
            (false, 8) | (true, 10) => OrcBase::BpIndirect,
            (false, 10) | (true, 1) => OrcBase::Reg(0),
            _ => return None,
        })
    }

    fn kind(self, flags: u16) -> (OrcKind, bool) {
        let old = |end: bool| match (flags & 0xf, (flags >> 8) & 3) {
            (0, _) if end => OrcKind::End,
            (0, _) => OrcKind::Undefined,
            (_, 0) => OrcKind::Call,
            (_, 1) => OrcKind::Regs,
            // 3 was REGS_IRET's successor for a short time; it, too, is an iret frame
            _ => OrcKind::RegsPartial,
        };
        match self.bits {
            Bits::EndAt10 => {
                let kind = old(flags & 0x400 != 0);
                (kind, matches!(kind, OrcKind::Regs | OrcKind::RegsPartial))
            }
            Bits::EndAt11 => (old(flags & 0x800 != 0), flags & 0x400 != 0),
            Bits::Types => {
                let kind = match (flags >> 8) & 7 {
                    1 => OrcKind::End,
                    2 => OrcKind::Call,
                    3 => OrcKind::Regs,
                    4 => OrcKind::RegsPartial,
                    _ => OrcKind::Undefined,
                };
                (kind, flags & 0x800 != 0)
            }
        }
    }
}

/// The kernel's table of slots into its ORC table, one for each 256 bytes of code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lookup {
    /// `orc_lookup`.
    at: VirtAddr,
    /// Elements in it.
    len: u64,
    /// `_stext`: the code that element 0 speaks of.
    text: VirtAddr,
}

/// One ORC table in a kernel's memory: the kernel's or a module's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrcTable {
    ips: VirtAddr,
    entries: VirtAddr,
    len: u64,
    lookup: Option<Lookup>,
    generation: Generation,
}

impl OrcTable {
    /// The kernel's table, by its linker symbols. `None` where the kernel has none, or one that cannot be
    /// understood.
    pub fn kernel(mem: &dyn VirtRead, symbol: &dyn Fn(&str) -> Option<VirtAddr>) -> Option<Self> {
        let ips = symbol("__start_orc_unwind_ip")?;
        let end = symbol("__stop_orc_unwind_ip")?;
        let len = end.0.checked_sub(ips.0)? / 4;
        let mut table = Self::new(mem, ips, symbol("__start_orc_unwind")?, len, None)?;
        if let (Some(at), Some(end), Some(text)) =
            (symbol("orc_lookup"), symbol("orc_lookup_end"), symbol("_stext"))
        {
            table.lookup = Some(Lookup { at, len: end.0.saturating_sub(at.0) / 4, text });
        }
        Some(table)
    }

    /// A module's table: `orc_unwind_ip`, `orc_unwind` and `num_orcs` of its `struct module`. A small table
    /// need not show its packing: `like` is the kernel's.
    pub fn module(
        mem: &dyn VirtRead,
        ips: VirtAddr,
        entries: VirtAddr,
        len: u64,
        like: Option<&Self>,
    ) -> Option<Self> {
        Self::new(mem, ips, entries, len, like)
    }

    fn new(
        mem: &dyn VirtRead,
        ips: VirtAddr,
        entries: VirtAddr,
        len: u64,
        like: Option<&Self>,
    ) -> Option<Self> {
        // 16 M entries would describe some 200 MB of code
        if len == 0 || len > 1 << 24 {
            return None;
        }
        let generation = match like {
            Some(like) => like.generation,
            None => Self::sample(mem, entries, len)?,
        };
        Some(Self { ips, entries, len, lookup: None, generation })
    }

    fn sample(mem: &dyn VirtRead, entries: VirtAddr, len: u64) -> Option<Generation> {
        let take = len.min(SAMPLE);
        let mut bytes = Vec::new();
        for first in [0, (len / 2).min(len - take)] {
            if let Ok(part) = mem.bytes(entries.add(first * ENTRY), (take * ENTRY) as usize) {
                bytes.extend(part);
            }
        }
        Generation::of(&bytes)
    }

    /// How its entries are packed.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The code address of an element.
    fn ip(&self, mem: &dyn VirtRead, index: u64) -> Result<u64, Fault> {
        let at = self.ips.add(index * 4);
        Ok(at.offset(mem.i32(at)?.into()).0)
    }

    /// The entry for the instruction at `pc`, which the caller knows to be in the code that this table
    /// describes; `None` where it has none, or it is missing from the dump.
    pub fn find(&self, mem: &dyn VirtRead, pc: VirtAddr) -> Option<OrcEntry> {
        self.lookup(mem, pc).ok().flatten()
    }

    /// The same.
    ///
    /// # Errors
    /// Where what tells is not in the dump.
    pub fn lookup(&self, mem: &dyn VirtRead, pc: VirtAddr) -> Result<Option<OrcEntry>, Fault> {
        let (mut low, mut high) = self.block(mem, pc).unwrap_or((0, self.len));
        // invariant: ip(low) <= pc < ip(high)
        if self.ip(mem, low)? > pc.0 {
            return Ok(None);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.ip(mem, middle)? <= pc.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        let mut packed = [0; ENTRY as usize];
        mem.read(self.entries.add(low * ENTRY), &mut packed)?;
        Ok(Some(self.generation.decode(packed)))
    }

    /// The elements that the kernel's slots leave to look at, where they are right.
    fn block(&self, mem: &dyn VirtRead, pc: VirtAddr) -> Option<(u64, u64)> {
        let lookup = self.lookup?;
        let slot = pc.0.checked_sub(lookup.text.0)? / BLOCK;
        if slot + 1 >= lookup.len {
            return None;
        }
        let low = u64::from(mem.u32(lookup.at.add(slot * 4)).ok()?);
        let high = u64::from(mem.u32(lookup.at.add(slot * 4 + 4)).ok()?) + 1;
        let right = low < high
            && high <= self.len
            && self.ip(mem, low).ok()? <= pc.0
            && (high == self.len || self.ip(mem, high).ok()? > pc.0);
        right.then_some((low, high))
    }
}

#[cfg(test)]
#[path = "orc_tests.rs"]
mod tests;
