//! What the kernel's memory means: a [`Session`] joins a dump, an architecture, symbols and types,
//! and gives the kernel's tasks, modules, log and the rest as typed Rust values. Prints nothing.

#[macro_use]
pub mod bind;
pub mod block;
pub mod bpf;
pub mod containers;
pub mod debug;
pub mod driver;
mod error;
pub mod fs;
pub mod ipc;
pub mod irq;
pub mod locking;
pub mod log;
pub mod machine;
pub mod mm;
pub mod module;
pub mod net;
mod opening;
mod plausible;
#[cfg(test)]
mod release_tests;
pub mod scan;
pub mod sched;
pub mod session;
#[cfg(test)]
mod shape_tests;
pub mod stack;
#[cfg(test)]
mod testing;
pub mod time;
pub mod trace;
mod types;
pub mod workqueue;

pub use debuginfo::find::hex;
pub use error::{KernelError, Result};
pub use module::symbols::Located;
pub use opening::image::Image;
pub use opening::kernels::kernel_words;
pub use opening::layers::Layers;
pub use opening::machine::{InfoFrom, Machine, vmcoreinfo_fits};
pub use opening::open::{Build, Opened};
pub use opening::options::{Fetch, OpenOptions};
pub use opening::release::{Voted, Witness};
pub use opening::symbols::KernelSymbols;
pub use opening::system_map::SystemMap;
pub use opening::words::Words;
pub use opening::workspace::Workspace;
pub use opening::{FileKind, file_kind};
pub use session::{Fact, KernelBtf, Session};
