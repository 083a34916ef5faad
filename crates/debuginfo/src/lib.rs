//! What debug information says, whichever kind there is: symbols, types, unwind tables, lines.

pub mod btf;
pub mod cfi;
pub mod dwarf;
pub mod elf;
pub mod find;
pub mod kallsyms;
pub mod orc;
pub mod process;
pub mod symtab;
pub mod types;

mod blob;

pub use blob::Blob;
pub use find::pack;
