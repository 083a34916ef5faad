//! Opens dumps of a Linux kernel's memory, and answers questions about them: tasks and their backtraces, memory, C
//! expressions, every command of the program `crashlens` as data, and what killed the machine.
//!
//! ```
//! use crashlens::Dump;
//!
//! fn why(path: &str) -> Result<(), crashlens::Error> {
//!     let dump = Dump::open([path])?;
//!     println!("{}", dump.verdict()?.headline);
//!     if let Some(task) = dump.panic_task()? {
//!         for frame in task.backtrace()?.frames {
//!             println!("  {frame}");
//!         }
//!     }
//!     println!("{} threads", dump.eval("nr_threads")?);
//!     Ok(())
//! }
//! # why(concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump")).unwrap();
//! ```
//!
//! Nothing is read before it is asked for. What the dump lacks is an error or `None` that says so, never a zero.
//!
//! Handles ([`Dump`], [`Task`], [`Value`]) own what they need: they can be kept in a struct, sent to another thread, and
//! returned from a function. [`Dump::interrupt`] stops what runs on a dump; what is asked after that is answered. Several dumps
//! of one kernel share what depends on its build where a [`Workspace`] opens them.
//!
//! What has no handle here is reached through [`Dump::session`] and the crate [`kernel`]; [`bind!`] declares members of
//! kernel structs by the names that they had over the years.

mod backtrace;
mod c;
mod dump;
mod error;
mod handle;
mod task;

pub use backtrace::{Backtrace, Frame};
pub use c::ty::{Kind, Member, Type};
pub use c::value::{Scalar, Value};
pub use c::walk::{Entry, Walk};
pub use dump::{Dump, Options, Symbol};
pub use error::{Error, Wrong};
pub use kernel::{Workspace, bind};
pub use task::{Local, Lock, Task};
pub use verdict::Verdict;

pub use ::dump::ReadAt;
pub use base::Cancel;
pub use {kernel, report};
