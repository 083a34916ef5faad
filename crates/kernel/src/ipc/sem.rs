//! Semaphores (ipc/sem.c): each object is an array of them.

use super::util::{Facility, Found, Perm, objects};
use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct sem_array`
    struct SemArray("sem_array") { perm: "sem_perm", count: "sem_nsems" }
}

/// A `sem_array`.
#[derive(Clone, Debug)]
pub struct Semaphores {
    /// Its `struct sem_array`.
    pub at: VirtAddr,
    /// What every object has.
    pub perm: Perm,
    /// How many semaphores it has.
    pub count: Result<u64>,
}

/// The semaphore arrays of a namespace.
///
/// # Errors
/// The kernel's types do not know them, or their table is not in the dump.
pub fn arrays(s: &Session, namespace: VirtAddr) -> Result<Found<Semaphores>> {
    let b = s.bind::<SemArray>();
    objects(s, namespace, Facility::Semaphores, &b.perm, |at, perm| Semaphores {
        at,
        perm,
        count: b.count.num(s.mem(), at),
    })
}
