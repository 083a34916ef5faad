//! An open file by its number: its path and how it was opened.

use base::VirtAddr;
use kernel::bind;
use kernel::path::{Dentry, FileStruct, Mount};
use kernel::task::{Task, TaskStruct};
use kernel::{Result, Session};

bind! {
    /// `struct files_struct`
    struct FilesStruct("files_struct") { fdt: "fdt" }
}
bind! {
    /// `struct fdtable`
    struct FdTable("fdtable") { max_fds: "max_fds", fd: "fd" }
}
/// Open flags (include/uapi/asm-generic/fcntl.h, x86).
const FLAGS: &[(u64, &str)] = &[
    (0o100, "O_CREAT"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o10000, "O_DSYNC"),
    (0o40000, "O_DIRECT"),
    (0o200_0000, "O_CLOEXEC"),
];

/// Paths with more parts are damaged.
const MAX_PARTS: usize = 4096;

/// A task's open file: its path, and the flags worth telling.
pub(crate) fn open_file(s: &Session, task: &Task, fd: u64) -> Result<(String, Vec<&'static str>)> {
    let mem = s.mem();
    let files = s.bind::<TaskStruct>().files.ptr(mem, task.at)?;
    let fdt = s.bind::<FilesStruct>().fdt.ptr(mem, files)?;
    let table = s.bind::<FdTable>();
    let max = table.max_fds.num(mem, fdt)? & 0xffff_ffff;
    let damaged = |why: String| kernel::KernelError::Damaged { what: "table of open files", at: fdt, why };
    if fd >= max {
        return Err(damaged(format!("no file {fd} of {max}")));
    }
    let file = mem.ptr(table.fd.ptr(mem, fdt)?.add(fd.wrapping_mul(8)))?;
    if file.is_null() {
        return Err(damaged(format!("file {fd} is not open")));
    }
    let b = s.bind::<FileStruct>();
    let flags = b.flags.u32(mem, file).map(u64::from)?;
    let words = FLAGS.iter().filter(|(bit, _)| flags & bit == *bit).map(|(_, name)| *name).collect();
    Ok((path(s, b.dentry.ptr(mem, file)?, b.mnt.ptr(mem, file)?)?, words))
}

/// The path of a dentry on a mount.
fn path(s: &Session, dentry: VirtAddr, vfsmount: VirtAddr) -> Result<String> {
    let mem = s.mem();
    let (d, m) = (s.bind::<Dentry>(), s.bind::<Mount>());
    let mut parts: Vec<String> = Vec::new();
    let mut here = dentry;
    let mut mount = m.mnt.container(vfsmount).ok();
    for _ in 0..MAX_PARTS {
        let root = mount.and_then(|at| m.root.ptr(mem, at).ok());
        if root == Some(here) {
            let at = mount.unwrap_or_default();
            let parent = m.parent.ptr(mem, at)?;
            if parent == at {
                return Ok(joined(parts));
            }
            here = m.mountpoint.ptr(mem, at)?;
            mount = Some(parent);
            continue;
        }
        let parent = d.parent.ptr(mem, here)?;
        let len = d.len.u32(mem, here).unwrap_or(255).min(255);
        let name = mem.cstr(d.name.ptr(mem, here)?, usize::try_from(len).unwrap_or(255))?;
        let name = String::from_utf8_lossy(&name).into_owned();
        if parent == here {
            // a file system of its own without a mount point: pipes, sockets
            if name == "/" {
                let why = "the root of a mount whose place is not known".to_owned();
                return Err(kernel::KernelError::Damaged { what: "path of dentry", at: dentry, why });
            }
            parts.push(name);
            return Ok(joined(parts));
        }
        parts.push(name);
        here = parent;
    }
    Err(kernel::KernelError::Damaged { what: "path of dentry", at: dentry, why: "it has no end".to_owned() })
}

/// The parts, the last of them first, as a path.
fn joined(mut parts: Vec<String>) -> String {
    parts.reverse();
    format!("/{}", parts.join("/"))
}
