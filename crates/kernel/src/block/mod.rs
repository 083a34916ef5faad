//! Block devices: disks, their requests, and the bitmaps that requests take their numbers from.

pub mod genhd;
pub mod inflight;
pub mod mq;
pub mod sbitmap;
mod tags;
pub mod waiting;
