//! Builders of what tests need: tiny dumps in every format. A dev-dependency only.

pub mod dump;
