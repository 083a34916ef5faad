//! Builders of what tests need: tiny dumps in every format, tiny kernels of every shape. A dev-dependency only.

pub mod dump;
pub mod kernel;
