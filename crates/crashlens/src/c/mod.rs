//! What C has: types, values, and the walks of the kernel's containers that lead from one value to others.

pub(crate) mod ty;
pub(crate) mod value;
pub(crate) mod walk;
