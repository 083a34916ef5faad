//! ELF64 object files: vmlinux, modules and their debug files, opened lazily.
//!
//! Source: System V ABI (gABI 4.1) and its x86-64 supplement. Little-endian only.
//! Opening reads the header and the section headers; a section's bytes are touched when asked for,
//! packed sections are unpacked once and kept. Invariant: no offset of the file is trusted.

mod error;
mod file;
mod module;
mod reloc;
mod section;
mod symbols;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

pub use error::ElfError;
pub use file::{ObjectFile, ObjectKind, build_id_of_notes};
pub use module::{modinfo, module_own_name};
pub use reloc::{Placement, SkippedRelocation};
pub(crate) use section::SHT_LEFT_OUT;
pub use section::Section;
pub use symbols::{Binding, ElfSymbol, SymbolKind, SymbolSection, Symbols};
pub use unpack::{MAX_UNPACKED, unpack_bytes};

/// Reads everything that can be read of `bytes` as an object file; for the fuzzer.
#[doc(hidden)]
pub fn fuzz_elf(bytes: &[u8]) {
    let Ok(file) = ObjectFile::from_bytes(bytes.to_vec().into()) else { return };
    let _ = file.build_id();
    let place = Placement::new([(".text", 0xffff_ffff_c000_0000)]);
    for section in file.sections() {
        let _ = file.section(section.name());
        let _ = file.relocated_section(section.name(), &place);
    }
    let _ = file.symbols().map(|s| s.value.wrapping_add(s.name().len() as u64)).fold(0, u64::wrapping_add);
    let _ = crate::symtab::SymbolTable::from_elf(&file, 0x1000_0000);
}
