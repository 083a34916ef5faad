//! What the kernel said: its log, in each of the forms that it had, and the messages of audit.

pub mod audit;
pub(crate) mod old_shape;
pub mod printk;
mod printk_safe;
pub(crate) mod printk_shape;
