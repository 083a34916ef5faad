//! The crashlens program.
fn main() {}
