//! The words that every crate of crashlens speaks: addresses as types, reads of
//! physical and virtual memory whose gaps are values, and the raw ELF notes of a dump.
//!
//! Nothing here does I/O but [`MappedFile`], and nothing here knows an architecture or a dump format.

mod addr;
mod bytes;
mod cancel;
mod kept;
mod map;
mod mem;
mod near;
mod note;
pub mod printf;
mod vmcoreinfo;

pub use addr::{GRANULE, PAGE_SHIFT, PAGE_SIZE, Pfn, PhysAddr, VirtAddr};
pub use bytes::{Bytes, OutOfBounds, cstr};
pub use cancel::{Cancel, Cancelled, NoProgress, Progress};
pub use kept::Kept;
pub use map::{MappedFile, MappedSlice};
pub use mem::{Fault, FaultKind, Gap, Missing, PhysRange, PhysRead, VirtRead};
pub use near::{Nearest, near_names};
pub use note::RawNote;
pub use vmcoreinfo::VmcoreInfo;
