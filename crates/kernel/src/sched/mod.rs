//! Tasks and CPUs: which there are, what they wait for, how long they ran, their namespaces, and which one the machine died in.

pub mod cgroup;
pub mod cpu;
pub mod group;
pub mod nsproxy;
pub mod panic;
mod plausible;
pub mod rlimit;
pub mod runq;
pub mod signal;
pub mod task;
pub mod tasks;
pub mod times;
pub mod waitq;
