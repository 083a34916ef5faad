//! DWARF 2 to 5: types, functions, inlined calls, lines, variables and where they live.
//!
//! Source of the facts: the DWARF 5 standard, its predecessor's `.debug_types`, and GNU's extensions
//! (`DW_FORM_GNU_ref_alt`, `DW_OP_GNU_entry_value`, `DW_TAG_GNU_call_site`). gimli reads the bytes.
//!
//! Invariants: opening parses nothing; a question about an address reads the unit of that address
//! alone (found by `.debug_aranges`), a question about a type only the entries that it names; the
//! index of all names is built when a name is asked for that has no cheaper answer. All addresses
//! that come in and go out are run-time addresses.

mod die;
mod file;
mod functions;
mod fuzz;
mod lazy;
mod lines;
mod location;
mod names;
mod search;
mod source;
mod supplement;
#[cfg(test)]
pub(crate) mod tests;
mod types;
mod units;
mod variables;
mod whereabouts;

pub use file::{DwarfError, DwarfFile};
pub use functions::{CodeFrame, FunctionDie};
pub use lines::SourceLine;
pub use location::{Caller, FrameAccess, Location, Piece, Unavailable};
pub use source::DwarfTypes;
pub use variables::Variable;
pub use whereabouts::Whereabouts;

/// The file in which dwz keeps what this file has in common with others, with its name; `None` where it needs none.
/// `elsewhere` as for [`DwarfFile::open_with`].
///
/// # Errors
/// It is nowhere.
pub fn common_part(
    object: &crate::elf::ObjectFile,
    elsewhere: &dyn Fn(&str, &[u8]) -> Option<std::path::PathBuf>,
) -> Result<Option<(String, std::sync::Arc<crate::elf::ObjectFile>)>, DwarfError> {
    let link = supplement::Link::of(object);
    link.map(|link| link.find(object, elsewhere).map(|file| (link.name, file))).transpose()
}

/// How gimli sees the bytes of a section.
type Slice<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;
/// An entry with its attributes.
type Entry<'a> = gimli::DebuggingInformationEntry<Slice<'a>>;
/// An attribute's value.
type Value<'a> = gimli::AttributeValue<Slice<'a>>;

/// For fuzzing: takes the bytes for sections and reads everything that they claim to have.
#[doc(hidden)]
pub fn fuzz_dwarf(data: &[u8]) {
    fuzz::fuzz_dwarf(data);
}
