//! Interrupts: descriptors with what handles them, deferred work, and the gates through which the CPU enters the kernel.

pub mod desc;
pub mod gates;
pub mod softirq;
#[cfg(test)]
mod tests;
