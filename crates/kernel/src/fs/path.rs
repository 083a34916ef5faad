//! Paths of open files: a dentry's names up to the root of its file system, then from where that is mounted
//! (fs/d_path.c).

use crate::error::{KernelError, Result};
use crate::fs::inode::Inode;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct file` (include/linux/fs.h)
    pub struct FileStruct("file") {
        dentry: "f_path.dentry" | "__f_path.dentry",
        mnt: "f_path.mnt" | "__f_path.mnt",
        inode: "f_inode", // 3.9 (dd37978c50bc)
        op: "f_op",
        flags: "f_flags",
        mode: "f_mode",
        pos: "f_pos",
    }
}
bind! {
    /// `struct dentry` (include/linux/dcache.h)
    pub struct Dentry("dentry") {
        parent: "d_parent",
        name: "d_name.name" | "__d_name.name",
        len: "d_name.len" | "__d_name.len",
        sb: "d_sb",
        op: "d_op",
        inode: "d_inode",
        hashed: "d_hash.pprev",
    }
}
bind! {
    /// `struct dentry_operations`
    struct DentryOperations("dentry_operations") { dname: "d_dname" }
}
bind! {
    /// `struct inode`, of a namespace's file
    struct NsInode("inode") { namespace: "i_private" }
}
bind! {
    /// `struct ns_common` (3.19, 435d5f4bb2cc)
    struct NsCommon("ns_common") { ops: "ops" }
}
bind! {
    /// `struct proc_ns_operations`
    struct NsOperations("proc_ns_operations") { name: "name" }
}
bind! {
    /// `struct mount` (fs/mount.h, 3.3): its `mnt` is the `vfsmount` that files point to
    pub struct Mount("mount") {
        mnt: "mnt",
        parent: "mnt_parent",
        mountpoint: "mnt_mountpoint",
        root: "mnt.mnt_root",
        sb: "mnt.mnt_sb",
        flags: "mnt.mnt_flags",
        device: "mnt_devname",
        link: "mnt_list", // of mnt_namespace.list, to 6.7
        node: "mnt_node", // 6.8 (2eea9ce4310d)
    }
}

/// More path components than PATH_MAX has room for.
const MAX_PARTS: usize = 4096;

/// The last component of a dentry's name.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn name(s: &Session, dentry: VirtAddr) -> Result<String> {
    let mem = s.mem();
    let b = s.bind::<Dentry>();
    let len = b.len.u32(mem, dentry).unwrap_or(255).min(4096);
    let raw = mem.cstr(b.name.ptr(mem, dentry)?, len as usize)?;
    Ok(String::from_utf8_lossy(&raw).into_owned())
}

/// The path of an open file.
///
/// # Errors
/// A part of the way is not in the dump, or it has no end.
pub fn of_file(s: &Session, file: VirtAddr) -> Result<String> {
    let mem = s.mem();
    let b = s.bind::<FileStruct>();
    path(s, b.dentry.ptr(mem, file)?, b.mnt.ptr(mem, file)?)
}

/// The path of an open file as `/proc/PID/fd` has it; see [`proc_path`].
///
/// # Errors
/// A page on the way is not in the dump.
pub fn proc_path_of_file(s: &Session, file: VirtAddr) -> Result<String> {
    let b = s.bind::<FileStruct>();
    proc_path(s, b.dentry.ptr(s.mem(), file)?, b.mnt.ptr(s.mem(), file)?)
}

/// The path of a dentry seen through a `vfsmount` as the kernel writes it (`d_path()`): what is in no directory has the name
/// that its file system makes for it, and what was deleted is marked so.
///
/// # Errors
/// A page on the way is not in the dump, or how its file system names it is not known.
pub fn proc_path(s: &Session, dentry: VirtAddr, vfsmount: VirtAddr) -> Result<String> {
    let mem = s.mem();
    let b = s.bind::<Dentry>();
    let is_root = b.parent.ptr(mem, dentry)? == dentry;
    let mount = s.bind::<Mount>();
    // a namespace's file that is mounted somewhere has that place's name
    let is_mounted = || -> Result<bool> {
        let at = mount.mnt.container(vfsmount)?;
        Ok(is_root && mount.root.ptr(mem, at)? == dentry)
    };
    if let Some(maker) = own_names(s, dentry)?
        && (vfsmount.is_null() || !is_mounted()?)
    {
        return made_name(s, dentry, &maker);
    }
    let path = path(s, dentry, vfsmount)?;
    let is_deleted = !is_root && b.hashed.exists() && b.hashed.ptr(mem, dentry)?.is_null();
    Ok(if is_deleted { format!("{path} (deleted)") } else { path })
}

/// The function that makes the names of a dentry's file system; none where its files are in directories.
fn own_names(s: &Session, dentry: VirtAddr) -> Result<Option<String>> {
    let (b, ops) = (s.bind::<Dentry>(), s.bind::<DentryOperations>());
    if !ops.dname.exists() {
        return Ok(None);
    }
    let op = b.op.ptr(s.mem(), dentry)?;
    if op.is_null() {
        return Ok(None);
    }
    let dname = ops.dname.ptr(s.mem(), op)?;
    if dname.is_null() {
        return Ok(None);
    }
    let unknown = || KernelError::Damaged {
        what: "dentry",
        at: dentry,
        why: format!("its name is made by {dname:#x}, which is no function that is known"),
    };
    let found = s.locate(dname).ok_or_else(unknown)?;
    Ok(Some(debuginfo::symtab::base_name(found.symbol.name).to_owned()))
}

/// The name that a function of a file system's makes.
fn made_name(s: &Session, dentry: VirtAddr, maker: &str) -> Result<String> {
    let mem = s.mem();
    let inode = || s.bind::<Dentry>().inode.ptr(mem, dentry);
    let number = || s.bind::<Inode>().number.num(mem, inode()?);
    Ok(match maker {
        "pipefs_dname" => format!("pipe:[{}]", number()?),
        "sockfs_dname" => format!("socket:[{}]", number()?),
        "anon_inodefs_dname" => format!("anon_inode:{}", name(s, dentry)?),
        "pidfs_dname" => "anon_inode:[pidfd]".to_owned(), // 6.9 (cb12fd8e0dab)
        // memory without a directory: memfd, shared memory of System V and of anonymous mappings
        "simple_dname" => format!("/{} (deleted)", name(s, dentry)?),
        "ns_dname" => {
            let namespace = s.bind::<NsInode>().namespace.ptr(mem, inode()?)?;
            let ops = s.bind::<NsCommon>().ops.ptr(mem, namespace)?;
            format!("{}:[{}]", s.bind::<NsOperations>().name.string(mem, ops, 32)?, number()?)
        }
        other => {
            let why = format!("the name of dentry {dentry:#x} is made by {other}, and how is not known");
            return Err(KernelError::Open(why));
        }
    })
}

/// The path of a dentry seen through a `vfsmount`. Pipes, sockets and their like have no place: they get
/// their name, as `pipe:` or `socket:` with the inode's number is made by those who know it.
///
/// # Errors
/// A part of the way is not in the dump, or it has no end.
pub fn path(s: &Session, dentry: VirtAddr, vfsmount: VirtAddr) -> Result<String> {
    let mem = s.mem();
    let d = s.bind::<Dentry>();
    let m = s.bind::<Mount>();
    let mut parts: Vec<String> = Vec::new();
    let mut dentry = dentry;
    let mut mount = if vfsmount.is_null() { None } else { m.mnt.container(vfsmount).ok() };
    for _ in 0..MAX_PARTS {
        if let Some(at) = mount
            && m.root.ptr(mem, at)? == dentry
        {
            let parent = m.parent.ptr(mem, at)?;
            if parent == at || parent.is_null() {
                return Ok(joined(parts));
            }
            dentry = m.mountpoint.ptr(mem, at)?;
            mount = Some(parent);
            continue;
        }
        let parent = d.parent.ptr(mem, dentry)?;
        let own = name(s, dentry)?;
        if parent == dentry || parent.is_null() {
            if mount.is_some() && own == "/" {
                let why = "the root of a mount whose place is not known".to_owned();
                return Err(KernelError::Damaged { what: "path of dentry", at: dentry, why });
            }
            // the root of a file system that is mounted nowhere, or a file that is in no directory
            if own != "/" && !own.is_empty() {
                parts.push(own);
            }
            return Ok(joined(parts));
        }
        parts.push(own);
        dentry = parent;
    }
    Err(KernelError::Damaged { what: "path of dentry", at: dentry, why: "it has no end".into() })
}

fn joined(parts: Vec<String>) -> String {
    if parts.is_empty() {
        return "/".into();
    }
    parts.iter().rev().map(|part| format!("/{}", part.trim_start_matches('/'))).collect()
}
