//! Timers: those of the wheel, which count ticks, and those of the clocks, which count nanoseconds.

pub mod hrtimer;
#[cfg(test)]
mod tests;
pub mod timer;
