//! Long work can be watched and stopped. The front end owns the switch; everything below only asks.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A switch that stops long work: Ctrl-C sets it, loops ask it.
#[derive(Clone, Default, Debug)]
pub struct Cancel(Arc<Switch>);

#[derive(Default, Debug)]
struct Switch {
    on: AtomicBool,
    works: AtomicU64,
    /// Why nothing more is to run.
    ended: OnceLock<String>,
}

impl Cancel {
    /// A switch that is off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Asks the running work to stop.
    pub fn cancel(&self) {
        self.0.on.store(true, Ordering::Relaxed);
    }
    /// Stops the running work and all that would follow it, for good: `why` is what is said of it. The first reason stays.
    pub fn end(&self, why: impl Into<String>) {
        let _ = self.0.ended.set(why.into());
        self.cancel();
    }
    /// Why nothing more is to run; `None` where it may.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.0.ended.get().map(String::as_str)
    }
    /// Turns the switch off: new work begins, unless all was [ended](Self::end).
    pub fn reset(&self) {
        self.0.works.fetch_add(1, Ordering::Relaxed);
        self.go_on();
    }
    /// Turns the switch off for the work that runs: a part of it was stopped, the rest goes on.
    pub fn go_on(&self) {
        self.0.on.store(false, Ordering::Relaxed);
        // `end` sets the reason before the switch: where it came in between, the switch stays on
        if self.ended().is_some() {
            self.cancel();
        }
    }
    /// The number of the work that runs: what one work could not finish the next one may try again
    /// ([`crate::Kept`]).
    #[must_use]
    pub fn work(&self) -> u64 {
        self.0.works.load(Ordering::Relaxed)
    }
    /// True once the work should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }
    /// `Err` once the work should stop, for `?`.
    ///
    /// # Errors
    /// The work should stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

/// The work was stopped on request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}
impl std::error::Error for Cancelled {}

/// Where long work reports how far it is; front ends draw it on a terminal.
pub trait Progress: Send + Sync {
    /// `done` of `total` units of `what`; `total` is 0 where it is not known.
    fn step(&self, what: &str, done: u64, total: u64);
    /// The work ended.
    fn finish(&self) {}
}

/// Reports to nobody.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn step(&self, _what: &str, _done: u64, _total: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ended_stays_so_and_what_was_cancelled_does_not() {
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(cancel.is_cancelled() && cancel.ended().is_none());
        cancel.reset();
        assert!(cancel.check().is_ok());
        cancel.end("the time is up");
        cancel.end("later");
        cancel.reset();
        cancel.go_on();
        assert_eq!((cancel.check(), cancel.ended()), (Err(Cancelled), Some("the time is up")));
    }
}
