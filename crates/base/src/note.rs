//! ELF notes as a dump carries them, undecoded: `dump` returns them, `arch` reads them.

/// One ELF note: name, type and descriptor (ELF specification, "Note Section").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawNote {
    /// The owner, without the NUL: `CORE`, `QEMU`, `VMCOREINFO` ...
    pub name: Vec<u8>,
    /// The type, whose meaning the owner gives (`NT_PRSTATUS` = 1 for `CORE`).
    pub kind: u32,
    /// The descriptor's bytes.
    pub desc: Vec<u8>,
}

impl RawNote {
    /// The note's owner as text, for comparisons.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }
}
