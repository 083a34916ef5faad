//! Where a task looks for files: its root and its working directory (`struct fs_struct`, include/linux/fs_struct.h).

use crate::error::{KernelError, Result};
use crate::plausible::not_zeros;
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct fs_struct`
    struct FsStruct("fs_struct") {
        root_mnt: "root.mnt",
        root: "root.dentry",
        pwd_mnt: "pwd.mnt",
        pwd: "pwd.dentry",
    }
}

/// A place in the tree of files: `struct path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `struct vfsmount`
    pub mnt: VirtAddr,
    /// `struct dentry`
    pub dentry: VirtAddr,
}

/// A task's two places.
#[derive(Clone, Debug)]
pub struct Places {
    /// Its root.
    pub root: Result<Place>,
    /// Its working directory.
    pub cwd: Result<Place>,
}

/// A task's root and working directory.
///
/// # Errors
/// They are not in the dump, or the task has given them up: it is dead, or about to be.
pub fn places(s: &Session, task: &Task) -> Result<Places> {
    let mem = s.mem();
    let own = &s.bind::<TaskStruct>().fs;
    let at = VirtAddr(not_zeros(mem, "task_struct", own.at(task.at)?, own.ptr(mem, task.at)?.0)?);
    if at.is_null() {
        return Err(KernelError::GivenUp { pid: task.pid, what: "root and working directory" });
    }
    let b = s.bind::<FsStruct>();
    let place = |mnt: Result<VirtAddr>, dentry: Result<VirtAddr>| {
        let place = Place { mnt: mnt?, dentry: dentry? };
        match place.dentry.is_null() {
            true => Err(KernelError::Damaged {
                what: "fs_struct",
                at,
                why: "it has a place without dentry".into(),
            }),
            false => Ok(place),
        }
    };
    Ok(Places {
        root: place(b.root_mnt.ptr(mem, at), b.root.ptr(mem, at)),
        cwd: place(b.pwd_mnt.ptr(mem, at), b.pwd.ptr(mem, at)),
    })
}
