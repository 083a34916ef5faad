//! From registers and memory to C expressions with types: what a value is called, and what it was.

pub(crate) mod atomic;
pub(crate) mod bits;
pub(crate) mod counts;
pub(crate) mod elements;
pub(crate) mod loops;
pub(crate) mod members;
pub(crate) mod names;
pub(crate) mod percpu;
pub(crate) mod side;
pub(crate) mod stored;
pub(crate) mod sums;
pub(crate) mod terms;
pub(crate) mod values;
