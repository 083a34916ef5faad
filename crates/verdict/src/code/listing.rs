//! A function's instructions in order: its calls, its loops.

use crate::model::{CodeAt, CodeLine};
use arch::{Disassemble, Insn, InsnKind};
use base::VirtAddr;
use kernel::Session;

/// More bytes than a function is read of.
const MAX_BYTES: u64 = 1 << 16;

/// A function's instructions.
pub(crate) struct Listing {
    pub(crate) entry: VirtAddr,
    insns: Vec<Insn>,
}

/// A loop: from where its last jump goes back to, to that jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loop {
    pub(crate) head: VirtAddr,
    pub(crate) jump: VirtAddr,
}

impl Listing {
    /// The function around an address.
    pub(crate) fn around(s: &Session, at: VirtAddr) -> Option<Self> {
        let symbol = s.locate(at)?.symbol.addr;
        let span = s.locate(symbol)?.span?.min(MAX_BYTES);
        let bytes = s.mem().bytes(symbol, usize::try_from(span).ok()?).ok()?;
        Some(Self::of(&mut *s.arch().isa().ok()?.disassembler(), symbol, &bytes))
    }

    fn of(dis: &mut dyn Disassemble, entry: VirtAddr, bytes: &[u8]) -> Self {
        let mut insns = Vec::new();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let window = rest.get(..dis.max_len()).unwrap_or(rest);
            let Some(insn) = dis.one(entry.add(at as u64), window) else { break };
            at += insn.len.max(1);
            insns.push(insn);
        }
        Self { entry, insns }
    }

    /// The direct calls: address, target.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (VirtAddr, VirtAddr)> + '_ {
        self.insns.iter().filter(|i| is_call(i)).filter_map(|i| Some((i.at, i.target?)))
    }

    /// The call that returns to `at`.
    pub(crate) fn call_before(&self, at: VirtAddr) -> Option<VirtAddr> {
        self.insns.iter().find(|i| i.at.add(i.len as u64) == at && is_call(i)).map(|i| i.at)
    }

    /// The smallest loop around an address, told by a jump backwards.
    pub(crate) fn loop_around(&self, at: VirtAddr) -> Option<Loop> {
        self.insns
            .iter()
            .filter(|i| i.at >= at && is_jump(i))
            .filter_map(|i| {
                Some(Loop { head: i.target.filter(|t| *t <= at && *t >= self.entry)?, jump: i.at })
            })
            .min_by_key(|l| l.jump.0.wrapping_sub(l.head.0))
    }

    /// The instructions of a loop; nothing where it is longer than `most`.
    pub(crate) fn body(&self, l: Loop, most: usize) -> Vec<CodeLine> {
        let body: Vec<&Insn> = self
            .insns
            .iter()
            .filter(|i| i.at >= l.head && i.at <= l.jump && i.kind != InsnKind::Nop)
            .collect();
        if body.len() > most {
            return Vec::new();
        }
        let line = |i: &&Insn| {
            let at = CodeAt::Offset(i.at.0.wrapping_sub(self.entry.0));
            CodeLine::Instruction { at, text: squeezed(&i.text), jump: None, names: Vec::new() }
        };
        body.iter().map(line).collect()
    }

    /// The addresses of a loop's instructions.
    pub(crate) fn within(&self, l: Loop) -> impl Iterator<Item = VirtAddr> + '_ {
        self.insns.iter().map(|i| i.at).filter(move |at| *at >= l.head && *at <= l.jump)
    }

    /// `+0x4e`
    pub(crate) fn offset(&self, at: VirtAddr) -> String {
        format!("+{:#x}", at.0.wrapping_sub(self.entry.0))
    }
}

fn is_call(i: &Insn) -> bool {
    i.kind == InsnKind::Call && !i.is_data
}

fn is_jump(i: &Insn) -> bool {
    i.kind == InsnKind::Jump && !i.is_data
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```text
    /// +0  call +20
    /// +5  pause
    /// +7  cmpl $0,(%rdi)
    /// +10 je +5
    /// +12 test %eax,%eax
    /// +14 jne +0
    /// +16 ret
    /// ```
    const CODE: &[u8] =
        &[0xe8, 15, 0, 0, 0, 0xf3, 0x90, 0x83, 0x3f, 0, 0x74, 0xf9, 0x85, 0xc0, 0x75, 0xf0, 0xc3];

    #[test]
    fn calls_and_the_innermost_loop() {
        let base = VirtAddr(0xffff_ffff_8100_0000);
        let l = Listing::of(&mut *arch::by_name("x86_64").unwrap().isa().unwrap().disassembler(), base, CODE);
        assert_eq!(l.calls().collect::<Vec<_>>(), [(base, base.add(20))]);
        assert_eq!(l.call_before(base.add(5)), Some(base));
        assert_eq!(l.call_before(base.add(7)), None);
        let inner = l.loop_around(base.add(7)).unwrap();
        assert_eq!((inner.head, inner.jump), (base.add(5), base.add(10)));
        let body: Vec<String> = l.body(inner, 8).iter().map(CodeLine::to_string).collect();
        assert_eq!(body, ["+0x5 pause", "+0x7 cmpl $0x0,(%rdi)", "+0xa je 0xffffffff81000005"]);
        assert!(l.body(inner, 2).is_empty());
        let outer = l.loop_around(base.add(12)).unwrap();
        assert_eq!((outer.head, outer.jump), (base, base.add(14)));
        assert_eq!(l.loop_around(base.add(16)), None);
        assert_eq!(l.within(inner).count(), 3);
    }
}
