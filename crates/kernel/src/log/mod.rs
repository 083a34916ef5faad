//! What the kernel said: its log, in each of the forms that it had, the reports of trouble in it, and the messages of audit.

pub mod audit;
pub mod event;
pub mod lines;
pub(crate) mod old_shape;
pub mod panic_buffer;
pub mod printk;
mod printk_safe;
pub(crate) mod printk_shape;
pub(crate) mod ring;
mod ring_layout;
pub(crate) mod text;
pub(crate) mod text_ring;
