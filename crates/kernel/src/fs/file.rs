//! Open files of a task (`struct files_struct`, include/linux/fdtable.h).

use crate::error::{KernelError, Result};
use crate::fs::path::{FileStruct, of_file};
use crate::plausible::{is_zero_page, not_zeros};
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct files_struct`
    struct FilesStruct("files_struct") { fdt: "fdt" }
}
bind! {
    /// `struct fdtable`
    struct FdTable("fdtable") { max_fds: "max_fds", fd: "fd" }
}

/// More descriptors than a table has: `sysctl_nr_open` is a million, where nobody raised it.
const MAX_FDS: u64 = 1 << 24;
/// Descriptors that are read at once.
const CHUNK: u64 = 512;

/// One open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its descriptor.
    pub fd: u64,
    /// `struct file`
    pub file: VirtAddr,
}

/// The open files of a task, ascending by their descriptors.
#[derive(Clone, Debug, Default)]
pub struct OpenFiles {
    /// The files.
    pub all: Vec<Open>,
    /// How many descriptors the table has room for.
    pub room: u64,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// Where a task's table is, its pointers, and how many there are.
fn place(s: &Session, task: &Task) -> Result<(VirtAddr, VirtAddr, u64)> {
    let mem = s.mem();
    let own = &s.bind::<TaskStruct>().files;
    let files = not_zeros(mem, "task_struct", own.at(task.at)?, own.ptr(mem, task.at)?.0)?;
    if files == 0 {
        return Err(KernelError::GivenUp { pid: task.pid, what: "open files" });
    }
    let fdt = s.bind::<FilesStruct>().fdt.ptr(mem, VirtAddr(files))?;
    let b = s.bind::<FdTable>();
    let room = b.max_fds.num(mem, fdt)? & 0xffff_ffff;
    if room == 0 && is_zero_page(mem, fdt) {
        return Err(damaged(fdt, "its whole page holds zeros".to_owned()));
    }
    Ok((fdt, b.fd.ptr(mem, fdt)?, room))
}

fn damaged(at: VirtAddr, why: String) -> KernelError {
    KernelError::Damaged { what: "table of open files", at, why }
}

/// A task's open files.
///
/// # Errors
/// The table is not in the dump, or the task has given it up: it is dead, or about to be.
pub fn open_files(s: &Session, task: &Task) -> Result<OpenFiles> {
    let (fdt, pointers, room) = place(s, task)?;
    let mut out = OpenFiles { room, ..OpenFiles::default() };
    if room > MAX_FDS {
        out.problems.push(damaged(fdt, format!("it has room for {room} files")));
    }
    let mut fd = 0;
    while fd < room.min(MAX_FDS) {
        let at = pointers.add(fd.saturating_mul(8));
        // up to the end of a page: one that is missing costs its own files alone
        let count = (CHUNK - at.0 / 8 % CHUNK).min(room - fd);
        match s.mem().bytes(at, count as usize * 8) {
            Ok(raw) => {
                for (n, word) in (fd..).zip(raw.as_chunks::<8>().0) {
                    let file = VirtAddr(u64::from_le_bytes(*word));
                    match (file.is_null(), s.arch().is_kernel(file)) {
                        (true, _) => {}
                        (_, true) => out.all.push(Open { fd: n, file }),
                        _ => out.problems.push(damaged(fdt, format!("file {n} is at {file:#x}"))),
                    }
                }
            }
            Err(e) => {
                let is_missing = e.is_missing();
                out.problems.push(e.into());
                // no table goes on behind what is no memory
                if !is_missing {
                    break;
                }
            }
        }
        fd = fd.saturating_add(count);
    }
    Ok(out)
}

/// A task's open file by its number: its path, and the flags of `open` worth telling.
///
/// # Errors
/// No such file is open, or a page on the way is not in the dump.
pub fn open_file(s: &Session, task: &Task, fd: u64) -> Result<(String, Vec<&'static str>)> {
    let mem = s.mem();
    let (fdt, pointers, max) = place(s, task)?;
    if fd >= max {
        return Err(damaged(fdt, format!("no file {fd} of {max}")));
    }
    let file = mem.ptr(pointers.add(fd.wrapping_mul(8)))?;
    if file.is_null() {
        return Err(damaged(fdt, format!("file {fd} is not open")));
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
