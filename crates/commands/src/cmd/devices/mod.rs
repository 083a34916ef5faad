//! Devices: their numbers, what they take, their requests.

pub(crate) mod dev;
pub(crate) mod inflight;
pub(crate) mod sbitmapq;
