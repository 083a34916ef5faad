//! Memory as the kernel manages it: nodes, pages, slab caches, vmalloc, address spaces, swap.

pub mod address_space;
pub mod direct_map;
pub mod kfence;
pub mod node;
pub mod page;
pub mod page_state;
mod page_type;
pub mod poison;
pub mod slab;
pub mod slab_memory;
pub mod slub;
#[cfg(test)]
mod slub_tests;
pub mod stackdepot;
pub mod swap;
pub mod track;
pub mod vma;
pub mod vmalloc;
