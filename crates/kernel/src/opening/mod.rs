//! From files to a kernel, in layers: an [`Image`](image::Image) of any machine, the [`Machine`](machine::Machine) with its
//! page tables, and what a session is opened with. Reads nothing that grows with the dump.

mod files;
pub(crate) mod image;
pub(crate) mod image_scan;
pub(crate) mod kernels;
pub(crate) mod layers;
pub(crate) mod logged;
pub(crate) mod machine;
pub(crate) mod open;
pub(crate) mod options;
mod packs;
mod placed;
pub(crate) mod release;
pub(crate) mod symbols;
pub(crate) mod system_map;
pub(crate) mod watched;
pub(crate) mod words;

pub(crate) mod workspace;

pub use files::{FileKind, file_kind};

/// How far a kernel's image is looked through from its text on: more than any has with its data.
pub(crate) const IMAGE_SEARCHED: u64 = 256 << 20;
/// What is farther from a symbol of the image is no part of it: more than there is room for.
pub(crate) const IMAGE_SPAN: u64 = 1 << 30;
