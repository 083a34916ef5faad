//! Who waits for what: tasks blocked on mutexes and semaphores, and what holds them.

use crate::model::Statement;
use kernel::Session;

/// The statements of the `WAITS` section.
pub(crate) fn of(_s: &Session) -> Vec<Statement> {
    Vec::new()
}
