//! Message queues (ipc/msg.c).

use super::util::{Facility, Found, Perm, objects};
use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct msg_queue`
    struct MsgQueue("msg_queue") { perm: "q_perm", used: "q_cbytes", count: "q_qnum" }
}

/// A `msg_queue`.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its `struct msg_queue`.
    pub at: VirtAddr,
    /// What every object has.
    pub perm: Perm,
    /// Bytes of the messages in it.
    pub bytes: Result<u64>,
    /// How many messages are in it.
    pub messages: Result<u64>,
}

/// The message queues of a namespace.
///
/// # Errors
/// The kernel's types do not know them, or their table is not in the dump.
pub fn queues(s: &Session, namespace: VirtAddr) -> Result<Found<Queue>> {
    let b = s.bind::<MsgQueue>();
    objects(s, namespace, Facility::Queues, &b.perm, |at, perm| Queue {
        at,
        perm,
        bytes: b.used.num(s.mem(), at),
        messages: b.count.num(s.mem(), at),
    })
}
