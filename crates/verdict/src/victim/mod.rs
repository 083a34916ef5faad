//! The task the verdict is about: its frames, the frame of the fault with its registers, the module to blame.

pub(crate) mod fault_frame;
pub(crate) mod frames;
pub(crate) mod module;
