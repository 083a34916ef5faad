//! From files to a kernel, in layers: an [`Image`](image::Image) of any machine, the [`Machine`](machine::Machine) with its
//! page tables, and what a session is opened with. Reads nothing that grows with the dump.

mod files;
pub(crate) mod image;
pub(crate) mod image_scan;
pub(crate) mod kernels;
pub(crate) mod layers;
pub(crate) mod machine;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod symbols;
pub(crate) mod system_map;
pub(crate) mod watched;
pub(crate) mod words;

pub use files::{FileKind, file_kind};
