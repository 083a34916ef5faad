//! The words that every crate of crashlens speaks: addresses as types, reads of
//! physical and virtual memory whose gaps are values, and the raw ELF notes of a dump.
//!
//! Nothing here does I/O and nothing here knows an architecture or a dump format.

mod addr;
mod bytes;
mod cancel;
mod mem;
mod note;

pub use addr::{PAGE_SHIFT, PAGE_SIZE, Pfn, PhysAddr, VirtAddr};
pub use bytes::{Bytes, OutOfBounds, cstr};
pub use cancel::{Cancel, Cancelled, NoProgress, Progress};
pub use mem::{Fault, FaultKind, Gap, Missing, PhysRange, PhysRead, VirtRead};
pub use note::RawNote;
