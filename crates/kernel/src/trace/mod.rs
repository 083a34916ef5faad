//! ftrace (kernel/trace/): its instances, their ring buffers, the events in them and what these look like.

pub mod dat;
pub mod event;
pub mod format;
pub mod instance;
pub mod record;
pub mod ring_buffer;
