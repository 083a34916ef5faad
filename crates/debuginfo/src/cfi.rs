//! Call frame information (DWARF 5, section 6.4): for each instruction, where the caller's registers are.
//!
//! Kernels carry it in `.debug_frame` of the vmlinux or module file; a dump's memory has none.

use crate::Blob;
use base::{Bytes, OutOfBounds, VirtAddr, VirtRead};
use gimli::{
    BaseAddresses, CfaRule, DebugFrame, DebugFrameOffset, Encoding, EndianSlice, Evaluation,
    EvaluationResult, Format, FrameDescriptionEntry, LittleEndian, Location, RegisterRule, UnwindContext,
    UnwindExpression, UnwindSection, Value,
};
use std::sync::OnceLock;

/// Where the canonical frame address is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CfiCfa {
    /// A register, by DWARF number, plus a distance.
    Reg(u16, i64),
    /// The result of a DWARF expression.
    Expression(Box<[u8]>),
}

/// Where the caller's value of a register is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CfiRule {
    /// Lost.
    Undefined,
    /// Still in the register.
    Same,
    /// In memory, this far from the CFA.
    AtCfa(i64),
    /// The CFA plus this.
    IsCfa(i64),
    /// In another register.
    Register(u16),
    /// In memory, where a DWARF expression says.
    AtExpression(Box<[u8]>),
    /// What a DWARF expression says.
    IsExpression(Box<[u8]>),
}

/// The rules at one instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CfiRow {
    /// The canonical frame address.
    pub cfa: CfiCfa,
    /// Rules by DWARF register number; a register without one is unchanged if the ABI says that callees
    /// preserve it.
    pub rules: Vec<(u16, CfiRule)>,
    /// The register that stands for the return address.
    pub return_address: u16,
    /// The frame was interrupted, not called: its caller's address is exact.
    pub signal: bool,
}

impl CfiRow {
    /// The rule of a register.
    #[must_use]
    pub fn rule(&self, register: u16) -> Option<&CfiRule> {
        self.rules.iter().find(|(n, _)| *n == register).map(|(_, rule)| rule)
    }
}

type Section<'a> = DebugFrame<EndianSlice<'a, LittleEndian>>;

/// Where a frame description is, and the code that it speaks of.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    len: u32,
    offset: u32,
}

/// The `.debug_frame` of one object file, placed in the running kernel's addresses.
///
/// The section has no index of its own; one is made when it is first asked, by reading only the heads of its
/// descriptions.
#[derive(Debug)]
pub struct CfiTable {
    section: Blob,
    slide: u64,
    spans: OnceLock<Vec<Span>>,
}

impl CfiTable {
    /// `section` has the file's addresses, relocated where it is a module's; the running kernel's are `slide`
    /// higher.
    #[must_use]
    pub const fn new(section: Blob, slide: u64) -> Self {
        Self { section, slide, spans: OnceLock::new() }
    }

    /// The rules for the instruction at `pc`; `None` where the file does not describe it.
    #[must_use]
    pub fn row(&self, pc: VirtAddr) -> Option<CfiRow> {
        let at = pc.0.wrapping_sub(self.slide);
        let spans = self.spans.get_or_init(|| index(&self.section));
        let next = spans.partition_point(|span| span.start <= at);
        let span = spans.get(next.checked_sub(1)?)?;
        if at - span.start >= u64::from(span.len) {
            return None;
        }
        let mut section = Section::new(&self.section, LittleEndian);
        section.set_address_size(8);
        read_row(&section, span.offset as usize, at).ok()
    }

    /// How many functions are described.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.get_or_init(|| index(&self.section)).len()
    }
    /// True when none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The heads of all descriptions, by address. What is malformed ends the list.
fn index(section: &[u8]) -> Vec<Span> {
    let bytes = Bytes::new(section);
    let mut spans = Vec::new();
    let mut at = 0;
    while let Ok(span) = head(&bytes, &mut at) {
        spans.extend(span);
    }
    if !spans.is_sorted_by_key(|span: &Span| span.start) {
        spans.sort_unstable_by_key(|span| span.start);
    }
    spans
}

/// The entry at `at`, which moves to the next; `None` for one that describes no code (a CIE).
fn head(bytes: &Bytes<'_>, at: &mut usize) -> Result<Option<Span>, OutOfBounds> {
    let start = *at;
    let (len, word, is_cie) = match bytes.u32_at(start)? {
        // 64-bit DWARF
        u32::MAX => {
            let len = usize::try_from(bytes.u64_at(start.saturating_add(4))?).unwrap_or(usize::MAX);
            (len.saturating_add(12), 12_usize, bytes.u64_at(start.saturating_add(12))? == u64::MAX)
        }
        len => ((len as usize).saturating_add(4), 4, bytes.u32_at(start.saturating_add(4))? == u32::MAX),
    };
    *at = start.saturating_add(len);
    if is_cie {
        return Ok(None);
    }
    let id = if word == 12 { 8 } else { 4 };
    let address = start.saturating_add(word + id);
    let (start_pc, code) = (bytes.u64_at(address)?, bytes.u64_at(address.saturating_add(8))?);
    let offset = u32::try_from(start).ok();
    let len = u32::try_from(code).unwrap_or(u32::MAX);
    Ok(offset.filter(|_| len > 0).map(|offset| Span { start: start_pc, len, offset }))
}

fn read_row(section: &Section<'_>, offset: usize, at: u64) -> gimli::Result<CfiRow> {
    let bases = BaseAddresses::default();
    let fde = section.fde_from_offset(&bases, DebugFrameOffset(offset), Section::cie_from_offset)?;
    rules_at(section, &bases, &fde, at)
}

/// The rules of a description at one instruction.
pub(crate) fn rules_at<'a, S: UnwindSection<EndianSlice<'a, LittleEndian>>>(
    section: &S,
    bases: &BaseAddresses,
    fde: &FrameDescriptionEntry<EndianSlice<'a, LittleEndian>>,
    at: u64,
) -> gimli::Result<CfiRow> {
    let mut context: UnwindContext<usize> = UnwindContext::new();
    let row = fde.unwind_info_for_address(section, bases, &mut context, at)?;
    let code = |e: &UnwindExpression<usize>| e.get(section).map(|e| Box::from(e.0.slice()));
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => CfiCfa::Reg(register.0, *offset),
        CfaRule::Expression(e) => CfiCfa::Expression(code(e)?),
    };
    let mut rules = Vec::new();
    for (register, rule) in row.registers() {
        let rule = match rule {
            RegisterRule::SameValue => CfiRule::Same,
            RegisterRule::Offset(offset) => CfiRule::AtCfa(*offset),
            RegisterRule::ValOffset(offset) => CfiRule::IsCfa(*offset),
            RegisterRule::Register(other) => CfiRule::Register(other.0),
            RegisterRule::Expression(e) => CfiRule::AtExpression(code(e)?),
            RegisterRule::ValExpression(e) => CfiRule::IsExpression(code(e)?),
            _ => CfiRule::Undefined,
        };
        rules.push((register.0, rule));
    }
    let return_address = fde.cie().return_address_register().0;
    Ok(CfiRow { cfa, rules, return_address, signal: fde.cie().is_signal_trampoline() })
}

/// More steps than any expression of a kernel's tables takes; one can loop.
const MAX_STEPS: u32 = 1000;

/// Evaluates a DWARF expression that is meant to give an address or value: `initial` is what is on the stack
/// first. `None` where it needs what is not known, or is none that kernels' tables hold.
pub fn evaluate(
    expression: &[u8],
    initial: Option<u64>,
    register: &dyn Fn(u16) -> Option<u64>,
    mem: &dyn VirtRead,
) -> Option<u64> {
    let encoding = Encoding { format: Format::Dwarf32, version: 4, address_size: 8 };
    let mut machine = Evaluation::new(EndianSlice::new(expression, LittleEndian), encoding);
    machine.set_max_iterations(MAX_STEPS);
    if let Some(initial) = initial {
        machine.set_initial_value(initial);
    }
    let mut state = machine.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register: number, .. } => {
                machine.resume_with_register(Value::Generic(register(number.0)?)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let mut word = [0; 8];
                mem.read(VirtAddr(address), word.get_mut(..usize::from(size))?).ok()?;
                machine.resume_with_memory(Value::Generic(u64::from_le_bytes(word))).ok()?
            }
            _ => return None,
        };
    }
    match machine.as_result().first()?.location {
        Location::Address { address } => Some(address),
        Location::Register { register: number } => register(number.0),
        Location::Value { value } => value.to_u64(u64::MAX).ok(),
        _ => None,
    }
}

/// Reads arbitrary bytes as a section and asks for rows in it: the fuzz target of this parser.
#[doc(hidden)]
pub fn fuzz_cfi(data: &[u8]) {
    let table = CfiTable::new(Blob::new(data.to_vec()), 0);
    let starts: Vec<u64> = index(data).iter().take(64).map(|span| span.start).collect();
    for start in starts {
        for pc in [start, start.wrapping_add(1), start.wrapping_add(0x40)] {
            let _ = table.row(VirtAddr(pc));
        }
    }
}

#[cfg(test)]
#[path = "cfi_tests.rs"]
mod tests;
