//! Paths of open files: a dentry's names up to the root of its file system, then from where that is mounted
//! (fs/d_path.c).

use crate::error::{KernelError, Result};
use crate::sched::task::{Task, TaskStruct};
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
    }
}
bind! {
    /// `struct mount` (fs/mount.h, 3.3): its `mnt` is the `vfsmount` that files point to
    pub struct Mount("mount") {
        mnt: "mnt",
        parent: "mnt_parent",
        mountpoint: "mnt_mountpoint",
        root: "mnt.mnt_root",
        sb: "mnt.mnt_sb",
    }
}

bind! {
    /// `struct files_struct`
    struct FilesStruct("files_struct") { fdt: "fdt" }
}
bind! {
    /// `struct fdtable`
    struct FdTable("fdtable") { max_fds: "max_fds", fd: "fd" }
}

/// A task's open file by its number: its path, and the flags of `open` worth telling.
///
/// # Errors
/// No such file is open, or a page on the way is not in the dump.
pub fn open_file(s: &Session, task: &Task, fd: u64) -> Result<(String, Vec<&'static str>)> {
    let mem = s.mem();
    let files = s.bind::<TaskStruct>().files.ptr(mem, task.at)?;
    let fdt = s.bind::<FilesStruct>().fdt.ptr(mem, files)?;
    let table = s.bind::<FdTable>();
    let max = table.max_fds.num(mem, fdt)? & 0xffff_ffff;
    let damaged = |why: String| KernelError::Damaged { what: "table of open files", at: fdt, why };
    if fd >= max {
        return Err(damaged(format!("no file {fd} of {max}")));
    }
    let file = mem.ptr(table.fd.ptr(mem, fdt)?.add(fd.wrapping_mul(8)))?;
    if file.is_null() {
        return Err(damaged(format!("file {fd} is not open")));
    }
    let flags = s.bind::<FileStruct>().flags.u32(mem, file).map(u64::from)?;
    // include/uapi/asm-generic/fcntl.h
    let told = [
        (0o100, "O_CREAT"),
        (0o2000, "O_APPEND"),
        (0o4000, "O_NONBLOCK"),
        (0o10000, "O_DSYNC"),
        (s.arch().syscalls().o_direct(), "O_DIRECT"),
        (0o200_0000, "O_CLOEXEC"),
    ];
    let words = told.into_iter().filter(|(bit, _)| flags & bit == *bit).map(|(_, name)| name).collect();
    Ok((of_file(s, file)?, words))
}

/// More path components than PATH_MAX has room for.
const MAX_PARTS: usize = 4096;

/// The last component of a dentry's name.
pub fn name(s: &Session, dentry: VirtAddr) -> Result<String> {
    let mem = s.mem();
    let b = s.bind::<Dentry>();
    let len = b.len.u32(mem, dentry).unwrap_or(255).min(4096);
    let raw = mem.cstr(b.name.ptr(mem, dentry)?, len as usize)?;
    Ok(String::from_utf8_lossy(&raw).into_owned())
}

/// The path of an open file.
pub fn of_file(s: &Session, file: VirtAddr) -> Result<String> {
    let mem = s.mem();
    let b = s.bind::<FileStruct>();
    path(s, b.dentry.ptr(mem, file)?, b.mnt.ptr(mem, file)?)
}

/// The path of a dentry seen through a `vfsmount`. Pipes, sockets and their like have no place: they get
/// their name, as `pipe:` or `socket:` with the inode's number is made by those who know it.
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
