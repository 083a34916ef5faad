//! Devices and what they take: I/O ports and memory, PCI, maps from device numbers to what stands behind them.

pub(crate) mod map;
pub mod pci;
pub mod resource;
