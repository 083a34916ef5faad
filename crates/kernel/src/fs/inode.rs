//! Inodes, the pages that are kept of them, and the file system that they are in (include/linux/fs.h).

use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct inode`
    pub struct Inode("inode") {
        data: "i_data",
        mapping: "i_mapping",
        number: "i_ino",
        mode: "i_mode",
        sb: "i_sb",
        in_sb: "i_sb_list",
    }
}
bind! {
    /// `struct address_space`
    pub struct AddressSpace("address_space") {
        host: "host",
        count: "nrpages",
        pages: "i_pages" | "page_tree", // 4.17 (b93b016313b3)
    }
}
bind! {
    /// `struct super_block`
    pub struct SuperBlock("super_block") { id: "s_id", kind: "s_type", block: "s_blocksize", inodes: "s_inodes" }
}
bind! {
    /// `struct file_system_type`
    struct FileSystemType("file_system_type") { name: "name" }
}

/// The kind of file system that an inode is in: `ext4`, `tmpfs`.
///
/// # Errors
/// The kernel's types do not know it, or it is not in the dump.
pub fn kind(s: &Session, inode: VirtAddr) -> Result<String> {
    let sb = s.bind::<Inode>().sb.ptr(s.mem(), inode)?;
    let kind = s.bind::<SuperBlock>().kind.ptr(s.mem(), sb)?;
    s.bind::<FileSystemType>().name.string(s.mem(), kind, 32)
}

/// `ext4 on vda1`; `ext4` where the file system is on no device, or the kernel has no name for that.
pub(crate) fn system(s: &Session, inode: VirtAddr) -> Option<String> {
    let kind = kind(s, inode).ok()?;
    let sb = s.bind::<Inode>().sb.ptr(s.mem(), inode).ok()?;
    let id = &s.bind::<SuperBlock>().id;
    let id = if id.exists() { id.text(s.mem(), sb).ok()? } else { String::new() };
    Some(if id.is_empty() || id == kind { kind } else { format!("{kind} on {id}") })
}
