//! Deaths by standing still: who waits for what, who spins, who has the lock.

pub(crate) mod evidence;
pub(crate) mod hang;
pub(crate) mod ipi;
pub(crate) mod locks;
pub(crate) mod spin;
pub(crate) mod waits;
