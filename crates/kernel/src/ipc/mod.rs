//! System V IPC: shared memory, semaphores, message queues, as each IPC namespace has its own (ipc/).

pub mod msg;
pub mod sem;
pub mod shm;
#[cfg(test)]
mod tests;
pub mod util;
