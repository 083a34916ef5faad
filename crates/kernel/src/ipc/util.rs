//! What the three facilities have in common (ipc/util.c, include/linux/ipc_namespace.h): a namespace has a table of objects
//! of each, and every object begins with a `kern_ipc_perm`.
//!
//! **Invariant:** an object is told only where its own id says the slot that it is in.

use crate::bind::Field;
use crate::containers::idr;
use crate::error::{KernelError, Result};
use crate::plausible::{is_zero_page, not_one, not_zeros};
use crate::sched::nsproxy::{self, NsProxy};
use crate::sched::task::Task;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct ipc_namespace`
    struct IpcNamespace("ipc_namespace") { ids: "ids" }
}
bind! {
    /// `struct ipc_ids`
    struct IpcIds("ipc_ids") { in_use: "in_use", table: "ipcs_idr" }
}
bind! {
    /// `struct kern_ipc_perm`
    struct KernIpcPerm("kern_ipc_perm") {
        id: "id",
        key: "key",
        uid: "uid.val" | "uid", // kuid_t since 3.7 (1efdb69b0bb4)
        mode: "mode",
        deleted: "deleted", // one byte since 3.11 (72a8ff2f9262)
    }
}

/// A facility, by its place in `ipc_namespace.ids`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Facility {
    Semaphores = 0,
    Queues = 1,
    Memory = 2,
}

/// What every object has. Each value may be missing without the others.
#[derive(Clone, Debug)]
pub struct Perm {
    /// By which a process names it.
    pub id: Result<u64>,
    /// The id's low bits, as its place in the facility's table has them, and which bits those are.
    pub slot: (u64, u64),
    /// By which processes find it; 0 for one that only its creator's children know (`IPC_PRIVATE`).
    pub key: Result<u64>,
    /// Whose it is.
    pub uid: Result<u64>,
    /// Permissions, and bits of the facility's own.
    pub mode: Result<u64>,
}

impl Perm {
    /// Whether the object may have an id: one whose id is not known may have each of its place.
    #[must_use]
    pub fn may_have(&self, id: u64) -> bool {
        let (slot, mask) = self.slot;
        self.id.as_ref().map_or(id & mask == slot, |own| *own == id)
    }
}

/// The objects of a facility, ascending by their slots, and why there may be others.
#[derive(Debug)]
pub struct Found<T> {
    /// The objects.
    pub all: Vec<T>,
    /// What could not be read or contradicts itself; what lies beside it is there all the same.
    pub problems: Vec<KernelError>,
}

/// The namespace of a task; without one the first, in which the machine booted.
///
/// # Errors
/// It is not in the dump, the task has given its namespaces up, or the kernel was built without System V IPC.
pub fn namespace(s: &Session, task: Option<&Task>) -> Result<VirtAddr> {
    let task = match (task, s.symbol("init_ipc_ns")) {
        (None, Some(at)) => return Ok(at),
        (None, None) => s.tasks().with_pid(0).next().ok_or_else(|| s.no_symbol("init_ipc_ns"))?,
        (Some(task), _) => task,
    };
    let (ipc, proxy) = (&s.bind::<NsProxy>().ipc, nsproxy::of(s, task)?);
    match not_zeros(s.mem(), "nsproxy", ipc.at(proxy)?, ipc.ptr(s.mem(), proxy)?.0)? {
        0 => Err(KernelError::NotBuilt("System V IPC")),
        at => Ok(VirtAddr(at)),
    }
}

/// The objects of one facility: `make` is given where each is, by its `perm`, and what all have.
pub(super) fn objects<T>(
    s: &Session,
    namespace: VirtAddr,
    facility: Facility,
    perm: &Field,
    make: impl Fn(VirtAddr, Perm) -> T,
) -> Result<Found<T>> {
    let mem = s.mem();
    let b = s.bind::<IpcIds>();
    let size = b.size.ok_or(KernelError::NoType("ipc_ids"))?;
    let ids = s.bind::<IpcNamespace>().ids.at(namespace)?.add(size.saturating_mul(facility as u64));
    let in_use = b.in_use.num(mem, ids).and_then(|n| not_zeros(mem, "count of IPC objects", ids, n));
    let table = idr::entries(s, b.table.at(ids)?)?;
    let mut found = Found { all: Vec::new(), problems: table.problems };
    let mut live = 0_u64;
    for entry in table.all {
        let at = VirtAddr(entry.value);
        match read(s, at, entry.index) {
            Ok(None) => {}
            Ok(Some(read)) => {
                live = live.saturating_add(1);
                found.all.push(make(perm.container(at)?, read));
            }
            Err(e) => found.problems.push(e),
        }
    }
    match in_use {
        Ok(count) if count != live && found.problems.is_empty() => {
            let why = format!("{count} are in use, and {live} are there");
            found.problems.push(KernelError::Damaged { what: "table of IPC objects", at: ids, why });
        }
        Ok(_) => {}
        Err(e) => found.problems.push(e),
    }
    Ok(found)
}

/// An object's `kern_ipc_perm`; none of one that is being removed.
fn read(s: &Session, at: VirtAddr, slot: u64) -> Result<Option<Perm>> {
    let mem = s.mem();
    let b = s.bind::<KernIpcPerm>();
    let wrong = |why: String| not_one("kern_ipc_perm", at, "kern_ipc_perm", &why);
    if !s.arch().is_kernel(at) {
        return Err(wrong("it is not in the kernel's memory".to_owned()));
    }
    if b.deleted.exists() && b.deleted.num(mem, at).is_ok_and(|deleted| deleted != 0) {
        return Ok(None);
    }
    if is_zero_page(mem, at) {
        return Err(wrong("its whole page holds zeros".to_owned()));
    }
    let id = b.id.num(mem, at).map(|id| id & 0xffff_ffff);
    let mask = (1 << slot_bits(s)) - 1;
    match &id {
        // the sequence number is above the slot
        Ok(id) if id & mask != slot => {
            return Err(wrong(format!("its id is {id}, and it is in slot {slot}")));
        }
        // of a struct that is not known there is nothing to tell
        Err(e @ (KernelError::NoType(_) | KernelError::Contradicted { .. })) => return Err(e.clone()),
        _ => {}
    }
    let key = b.key.num(mem, at).map(|key| key & 0xffff_ffff);
    Ok(Some(Perm { id, slot: (slot, mask), key, uid: b.uid.num(mem, at), mode: b.mode.num(mem, at) }))
}

/// Bits of an id that are its slot: 15, more with `ipcmni_extend` (5.2, 5ac893b8cb1c).
fn slot_bits(s: &Session) -> u32 {
    const USUAL: u32 = 15;
    let told = s.symbol("ipc_mni_shift").and_then(|at| s.mem().u32(at).ok());
    told.filter(|bits| (USUAL..u32::BITS).contains(bits)).unwrap_or(USUAL)
}
