//! The memories that `rd` reads.

use crate::{CommandError, Reason};
use base::{FaultKind, GRANULE, PhysAddr, PhysRead, VirtAddr, VirtRead};
use kernel::sched::task::Task;
use kernel::{Image, Session};
use report::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where bytes come from.
pub(super) enum Source<'s> {
    /// The kernel's address space, and the memory behind.
    Kernel(&'s dyn VirtRead, &'s dyn PhysRead),
    /// A process's.
    User(Box<dyn VirtRead>, &'s dyn PhysRead),
    /// Physical memory.
    Physical(&'s dyn PhysRead),
    /// The dump file itself.
    File(File, String),
}

impl<'s> Source<'s> {
    pub(super) fn file(image: &Image) -> Result<Self, CommandError> {
        let path = image.dump_paths.first().ok_or_else(|| CommandError::failed("no dump file"))?;
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| CommandError::failed(format_args!("{name}: {e}")))?;
        Ok(Self::File(file, name))
    }
    pub(super) fn user(s: &'s Session, task: &Task, at: u64) -> Result<Self, CommandError> {
        if task.mm == Some(VirtAddr(0)) {
            let why = format!(
                "invalid user virtual address: {at:x}: the context, task {} ({}), has no user memory; \"set PID\" \
                 chooses another",
                task.pid, task.comm
            );
            return Err(CommandError::failed(why));
        }
        let map = kernel::mm::address_space::user_memory(s, task).map_err(CommandError::failed)?;
        Ok(Self::User(Box::new(map), s.phys()))
    }

    /// `len` bytes from `at` on, or as many as there are and the gap behind them.
    pub(super) fn read(&self, at: u64, len: usize) -> (Vec<u8>, Option<Hole>) {
        let mut buf = vec![0; len];
        let hole = match self {
            Source::Kernel(mem, phys) => virt(*mem, *phys, at, &mut buf),
            Source::User(mem, phys) => virt(&**mem, *phys, at, &mut buf),
            Source::Physical(phys) => phys
                .read_phys(PhysAddr(at), &mut buf)
                .err()
                .map(|m| Hole::new(m.at.0, missing(*phys, m.at), m.into(), m)),
            Source::File(file, name) => from_file(file, name, at, &mut buf),
        };
        if let Some(hole) = &hole {
            buf.truncate(usize::try_from(hole.at.wrapping_sub(at)).unwrap_or(len));
        }
        (buf, hole)
    }
}

/// Bytes that are not there.
#[derive(Clone, Debug)]
pub(super) struct Hole {
    /// The first.
    pub(super) at: u64,
    /// How many, as far as is known; one at least.
    pub(super) len: u64,
    /// As it is shown: these very bytes were asked for, so that the answer is not whole without them, whatever left them out.
    pub(super) cell: Cell,
    /// As it is said; whether the dump lost it, or the address leads nowhere.
    pub(super) why: Reason,
}

impl Hole {
    pub(super) fn new(at: u64, len: u64, cell: Cell, why: impl Into<Reason>) -> Self {
        Self { at, len, cell: cell.lost_if(true), why: why.into() }
    }

    /// Whether a byte lies in it.
    pub(super) fn has(&self, at: u64) -> bool {
        at.wrapping_sub(self.at) < self.len
    }
}

/// How many bytes are missing from a missing one on.
fn missing(phys: &dyn PhysRead, at: PhysAddr) -> u64 {
    phys.missing(at).map_or(1, |(_, len)| len)
}

fn virt(mem: &dyn VirtRead, phys: &dyn PhysRead, at: u64, buf: &mut [u8]) -> Option<Hole> {
    let fault = mem.read(VirtAddr(at), buf).err()?;
    let page = GRANULE - fault.at.page_offset();
    let len = match fault.kind {
        FaultKind::Page(gap) => missing(phys, gap.at).min(page),
        _ => page,
    };
    // these very bytes were asked for, of a process as well
    let is_loss = !matches!(fault.kind, FaultKind::NotMapped(_) | FaultKind::NonCanonical);
    Some(Hole::new(fault.at.0, len, fault.into(), Reason::new(fault).lost_if(is_loss)))
}

fn from_file(file: &File, name: &str, at: u64, buf: &mut [u8]) -> Option<Hole> {
    let mut done = 0;
    let why = loop {
        let rest = buf.get_mut(done..).filter(|rest| !rest.is_empty())?;
        match file.read_at(rest, at.wrapping_add(done as u64)) {
            Ok(0) => break "the file ends there".to_owned(),
            Ok(n) => done += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => break e.to_string(),
        }
    };
    let at = at.wrapping_add(done as u64);
    let why = format!("{name}: offset {at:#x}: {why}");
    Some(Hole::new(at, u64::MAX - at, Cell::absent("past the end", why.clone()), why))
}
