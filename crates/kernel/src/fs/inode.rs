//! Inodes, the pages that are kept of them, and the file system that they are in (include/linux/fs.h).

use crate::error::{KernelError, Result};
use crate::plausible::not_zeros;
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
        length: "i_size",
        links: "i_nlink" | "__i_nlink",
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

/// How many names an inode has; none where its file was deleted.
///
/// # Errors
/// It is not in the dump.
pub fn links(s: &Session, inode: VirtAddr) -> Result<u32> {
    s.bind::<Inode>().links.u32(s.mem(), inode)
}

/// `S_IFMT` of a mode.
const KIND: u64 = 0o170_000;

/// What an inode is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A pipe, with a name or without.
    Fifo,
    /// A socket.
    Socket,
    /// None of those: memory of a file descriptor alone (epoll, eventfd and others).
    Other,
}

impl FileType {
    /// In the word of ls, four letters at most.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Regular => "REG",
            Self::Directory => "DIR",
            Self::Link => "LNK",
            Self::Character => "CHR",
            Self::Block => "BLK",
            Self::Fifo => "FIFO",
            Self::Socket => "SOCK",
            Self::Other => "UNKN",
        }
    }
}

/// What an inode is of.
///
/// # Errors
/// It is not in the dump, or no inode: its mode is of no kind that there is.
pub fn file_type(s: &Session, inode: VirtAddr) -> Result<FileType> {
    let b = s.bind::<Inode>();
    let mode = b.mode.num(s.mem(), inode)?;
    Ok(match not_zeros(s.mem(), "inode", b.mode.at(inode)?, mode)? & KIND {
        0o100_000 => FileType::Regular,
        0o040_000 => FileType::Directory,
        0o120_000 => FileType::Link,
        0o020_000 => FileType::Character,
        0o060_000 => FileType::Block,
        0o010_000 => FileType::Fifo,
        0o140_000 => FileType::Socket,
        0 => FileType::Other,
        _ => {
            let why = format!("its mode is {mode:o}");
            return Err(KernelError::Damaged { what: "inode", at: inode, why });
        }
    })
}

/// The kind of file system that an inode is in: `ext4`, `tmpfs`.
///
/// # Errors
/// The kernel's types do not know it, or it is not in the dump.
pub fn kind(s: &Session, inode: VirtAddr) -> Result<String> {
    kind_of(s, s.bind::<Inode>().sb.ptr(s.mem(), inode)?)
}

/// The kind of file system that has a super block.
///
/// # Errors
/// The kernel's types do not know it, or it is not in the dump.
pub fn kind_of(s: &Session, sb: VirtAddr) -> Result<String> {
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
