//! What the kernel's memory means: a [`Session`] joins a dump, an architecture, symbols and types,
//! and gives the kernel's tasks, modules, log and the rest as typed Rust values. Prints nothing.

#[macro_use]
pub mod bind;
pub mod audit;
pub mod backtrace;
pub mod bug;
mod checked;
pub mod cpu;
pub mod debug;
pub mod direct;
pub mod dmi;
mod error;
#[cfg(test)]
mod evidence_tests;
mod files;
pub mod ikconfig;
mod image;
mod image_scan;
mod infer;
mod kernels;
pub mod kfence;
mod layers;
pub mod list;
pub mod locking;
mod machine;
pub mod maple;
pub mod mm;
pub mod module;
pub mod node;
mod open;
pub mod page;
pub mod page_state;
mod page_type;
pub mod panic;
pub mod path;
mod placement;
mod plausible;
pub mod printk;
mod printk_safe;
mod printk_shape;
pub mod rbtree;
mod register_call;
mod register_fit;
mod register_stack;
pub mod registers;
#[cfg(test)]
mod release_tests;
pub mod rlimit;
pub mod scan;
mod session;
#[cfg(test)]
mod shape_tests;
pub mod slab;
pub mod slub;
#[cfg(test)]
mod slub_tests;
pub mod source;
pub mod stackdepot;
pub mod stacks;
pub mod swap;
mod symbols;
pub mod syscalls;
pub mod system;
mod system_map;
pub mod taint;
pub mod task;
mod tasks;
#[cfg(test)]
mod testing;
pub mod times;
mod told;
pub mod track;
mod typing;
mod variables;
pub mod vma;
pub mod vmalloc;
pub mod waitq;
mod watched;
mod words;
pub mod xarray;

pub use debuginfo::find::hex;
pub use error::{KernelError, Result};
pub use files::{FileKind, file_kind};
pub use image::Image;
pub use kernels::kernel_words;
pub use layers::Layers;
pub use machine::{InfoFrom, Machine, vmcoreinfo_fits};
pub use open::{Build, Opened};
pub use session::{Fetch, OpenOptions, Session};
pub use symbols::{KernelSymbols, Located};
pub use system_map::SystemMap;
pub use typing::KernelBtf;
pub use words::Words;
