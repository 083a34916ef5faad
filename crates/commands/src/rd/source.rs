//! The memories that `rd` reads.

use crate::CommandError;
use base::{PhysAddr, PhysRead, VirtAddr, VirtRead};
use kernel::task::Task;
use kernel::{Image, Session};
use report::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where bytes come from.
pub(super) enum Source<'s> {
    /// The kernel's address space.
    Kernel(&'s dyn VirtRead),
    /// A process's.
    User(Box<dyn VirtRead>),
    /// Physical memory.
    Physical(&'s dyn PhysRead),
    /// The dump file itself.
    File(File, String),
}

impl<'s> Source<'s> {
    pub(super) fn file(image: &Image) -> Result<Self, CommandError> {
        let path = image.dump_paths.first().ok_or_else(|| CommandError::failed("rd", "no dump file"))?;
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| CommandError::failed("rd", format_args!("{name}: {e}")))?;
        Ok(Self::File(file, name))
    }
    pub(super) fn user(s: &'s Session, task: &Task, at: u64) -> Result<Self, CommandError> {
        if task.mm == Some(VirtAddr(0)) {
            let why = format!(
                "invalid user virtual address: {at:x}: the context, task {} ({}), has no user memory; \"set PID\" \
                 chooses another",
                task.pid, task.comm
            );
            return Err(CommandError::failed("rd", why));
        }
        let map = kernel::mm::user_memory(s, task).map_err(|e| CommandError::failed("rd", e))?;
        Ok(Self::User(Box::new(map)))
    }

    /// `len` bytes, or the gap as it is shown and why.
    pub(super) fn read(&self, at: u64, len: usize) -> Result<Vec<u8>, (Cell, String)> {
        let mut buf = vec![0; len];
        let virt = |mem: &dyn VirtRead, buf: &mut [u8]| {
            mem.read(VirtAddr(at), buf).map_err(|fault| (Cell::from(fault), fault.to_string()))
        };
        match self {
            Source::Kernel(mem) => virt(*mem, &mut buf)?,
            Source::User(mem) => virt(&**mem, &mut buf)?,
            Source::Physical(phys) => {
                phys.read_phys(PhysAddr(at), &mut buf).map_err(|m| (Cell::from(m), m.to_string()))?;
            }
            Source::File(file, name) => file.read_exact_at(&mut buf, at).map_err(|e| {
                let why = format!("{name}: offset {at:#x}: {e}");
                (Cell::absent("past the end", why.clone()), why)
            })?,
        }
        Ok(buf)
    }
}
