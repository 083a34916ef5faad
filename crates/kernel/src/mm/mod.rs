//! Memory as the kernel manages it: nodes, pages, slab caches, vmalloc, address spaces, swap.

pub mod address_space;
pub mod buddy;
pub mod direct_map;
pub mod file_bytes;
pub mod filemap;
pub mod hugetlb;
pub mod kfence;
pub mod meminfo;
pub mod memory_block;
pub mod node;
pub mod page;
pub mod page_state;
mod page_type;
pub mod poison;
pub mod proc_meminfo;
pub mod slab;
pub mod slab_cache;
pub mod slab_memory;
pub mod slub;
pub mod slub_cache;
#[cfg(test)]
mod slub_tests;
pub mod sparse;
pub mod special_mapping;
pub mod stackdepot;
pub mod swap;
pub mod track;
pub mod vma;
pub mod vma_pages;
pub mod vmalloc;
pub mod vmstat;
pub mod zone;
