//! Errors of reading an object file.

/// Why an object file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// The system refused the file.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Not an ELF file at all.
    #[error("not an ELF file (it starts with {magic:02x?})")]
    NotElf {
        /// The first four bytes.
        magic: [u8; 4],
    },
    /// An ELF file of a class, byte order or machine that is not read.
    #[error("ELF class {class}, byte order {order}: only 64-bit little-endian objects are read")]
    Unsupported {
        /// `e_ident[EI_CLASS]`.
        class: u8,
        /// `e_ident[EI_DATA]`.
        order: u8,
    },
    /// A table of the file lies outside of it.
    #[error(
        "{what} at {offset:#x}, {size:#x} bytes, is past the end of the file ({len:#x}); is it truncated?"
    )]
    OutOfFile {
        /// Which table or section.
        what: String,
        /// Where it begins.
        offset: u64,
        /// Its size.
        size: u64,
        /// The file's size.
        len: u64,
    },
    /// A packed section or file that does not unpack.
    #[error("{what}: {kind} data does not unpack: {why}")]
    Unpack {
        /// The section or file.
        what: String,
        /// The compression.
        kind: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// A packed section that says an unbelievable size.
    #[error("{what}: unpacked size {size:#x} is more than {max:#x}")]
    TooBig {
        /// The section or file.
        what: String,
        /// The size it says.
        size: u64,
        /// The most that is believed.
        max: u64,
    },
    /// A relocation type that is not known.
    #[error("section {section}: relocation {index} has type {kind}, which is not known")]
    Relocation {
        /// The section to be relocated.
        section: String,
        /// Index of the relocation.
        index: usize,
        /// `ELF64_R_TYPE`.
        kind: u32,
    },
}
