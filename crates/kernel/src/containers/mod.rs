//! The kernel's containers, walked with a guard against cycles and a budget: lists, hlists, chains, red-black and maple trees,
//! XArrays, IDRs.

pub(crate) mod chain;
pub mod hlist;
pub mod idr;
pub mod list;
pub mod maple;
pub mod rbtree;
pub mod xarray;
