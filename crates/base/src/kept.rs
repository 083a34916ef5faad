//! [`Kept`]: a value that is made once, unless its making was disturbed.

use crate::Cancel;
use std::sync::OnceLock;

/// A value that is made when it is first asked for, and kept.
///
/// What was made while the user stopped the work, or while reads failed that may succeed later, serves the work that
/// asked for it and is made anew for the next one ([`Cancel::work`]). So an answer is the same all through one
/// command, and an interrupted command can be run again.
///
/// What a value rests on can change under it, which begins a new epoch ([`Self::get_in`]): values of epochs before stay
/// valid, and are made anew for those who ask from then on.
///
/// As with [`OnceLock`], other threads wait while one makes the value, and a value that asks for itself while it is
/// made is a deadlock.
#[derive(Debug)]
pub struct Kept<T>(OnceLock<Box<Entry<T>>>);

#[derive(Debug)]
struct Entry<T> {
    value: T,
    /// The epoch in which its making began; `None` for a value of all epochs.
    epoch: Option<u64>,
    /// The work that a disturbed value is for; `None` for a whole one.
    only_for: Option<u64>,
    /// What was made after this one: references to disturbed values stay valid.
    next: Kept<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for Kept<T> {
    fn from(value: T) -> Self {
        let kept = Self::new();
        let _ = kept.0.set(Box::new(Entry { value, epoch: None, only_for: None, next: Self::new() }));
        kept
    }
}

impl<T> Kept<T> {
    /// A value that is not made yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The value; `make` makes it where it is not there. `failures` counts the reads of this work that failed
    /// and may succeed later ([`crate::Gap::Io`]): what is made of them, and what is made of that, is not whole.
    pub fn get(&self, cancel: &Cancel, failures: impl Fn() -> u64, make: impl FnOnce() -> T) -> &T {
        self.get_in(0, cancel, failures, make)
    }

    /// The same for a value that rests on what changes with each epoch.
    pub fn get_in(
        &self,
        epoch: u64,
        cancel: &Cancel,
        failures: impl Fn() -> u64,
        make: impl FnOnce() -> T,
    ) -> &T {
        let cell = match self.find(epoch, cancel) {
            Ok(entry) => return &entry.value,
            Err(free) => free,
        };
        let made = cell.0.get_or_init(|| {
            // asked before as well: counting begins with the first value of a work
            let (work, before) = (cancel.work(), failures());
            let value = make();
            let disturbed = cancel.is_cancelled() || before > 0 || failures() > 0;
            let only_for = disturbed.then_some(work);
            Box::new(Entry { value, epoch: Some(epoch), only_for, next: Self::new() })
        });
        &made.value
    }

    /// The value where one was made that serves this work in this epoch.
    #[must_use]
    pub fn at_hand(&self, epoch: u64, cancel: &Cancel) -> Option<&T> {
        self.find(epoch, cancel).ok().map(|entry| &entry.value)
    }

    /// The value that serves; else the place for the next one.
    fn find(&self, epoch: u64, cancel: &Cancel) -> Result<&Entry<T>, &Self> {
        let mut cell = self;
        while let Some(entry) = cell.0.get() {
            if entry.is_of(epoch) && entry.only_for.is_none_or(|work| work == cancel.work()) {
                return Ok(entry);
            }
            cell = &entry.next;
        }
        Err(cell)
    }

    /// The whole value, for those who own the cell; `None` where none was made.
    #[must_use]
    pub fn into_made(self) -> Option<T> {
        let mut cell = self;
        loop {
            let entry = cell.0.into_inner()?;
            if entry.only_for.is_none() {
                return Some(entry.value);
            }
            cell = entry.next;
        }
    }

    /// The value where a whole one was made.
    #[must_use]
    pub fn made(&self) -> Option<&T> {
        self.made_in(0)
    }

    /// The same of an epoch.
    #[must_use]
    pub fn made_in(&self, epoch: u64) -> Option<&T> {
        let mut cell = self;
        loop {
            let entry = cell.0.get()?;
            if entry.only_for.is_none() && entry.is_of(epoch) {
                return Some(&entry.value);
            }
            cell = &entry.next;
        }
    }
}

impl<T> Entry<T> {
    fn is_of(&self, epoch: u64) -> bool {
        self.epoch.is_none_or(|own| own == epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_whole_value_is_made_once() {
        let (kept, cancel, made) = (Kept::new(), Cancel::new(), Cell::new(0));
        let ask = || {
            *kept.get(
                &cancel,
                || 0,
                || {
                    made.set(made.get() + 1);
                    made.get()
                },
            )
        };
        assert_eq!((ask(), ask()), (1, 1));
        cancel.reset();
        assert_eq!((ask(), kept.made()), (1, Some(&1)));
    }

    #[test]
    fn a_value_whose_making_was_stopped_serves_that_work_alone() {
        let (kept, cancel, made) = (Kept::new(), Cancel::new(), Cell::new(0));
        let ask = || {
            kept.get(
                &cancel,
                || 0,
                || {
                    made.set(made.get() + 1);
                    if made.get() == 1 {
                        cancel.cancel();
                    }
                    made.get()
                },
            )
        };
        let first = ask();
        assert_eq!((*first, *ask(), kept.made()), (1, 1, None));
        cancel.reset();
        assert_eq!((*ask(), *first, kept.made()), (2, 1, Some(&2)));
        cancel.cancel();
        assert_eq!(*ask(), 2, "a whole value stands whatever is stopped later");
    }

    #[test]
    fn each_epoch_has_a_value_of_its_own() {
        let (kept, cancel) = (Kept::new(), Cancel::new());
        let first = kept.get_in(0, &cancel, || 0, || 1);
        assert_eq!((kept.at_hand(0, &cancel), kept.at_hand(1, &cancel)), (Some(&1), None));
        let second = kept.get_in(1, &cancel, || 0, || 2);
        assert_eq!((*first, *second, kept.get_in(1, &cancel, || 0, || 3)), (1, 2, &2));
        let given = Kept::from(7);
        assert_eq!((*given.get_in(5, &cancel, || 0, || 8), given.at_hand(9, &cancel)), (7, Some(&7)));
    }

    #[test]
    fn a_value_made_of_failed_reads_is_made_again() {
        let (kept, derived, cancel, failures) = (Kept::new(), Kept::new(), Cancel::new(), Cell::new(0));
        let count = || failures.get();
        let ask = |fails: u64| {
            *kept.get(&cancel, count, || {
                failures.set(failures.get() + fails);
                fails == 0
            })
        };
        assert!(!ask(1));
        assert!(!ask(0), "the same work has the same answer");
        assert!(!*derived.get(&cancel, count, || ask(0)));
        cancel.reset();
        failures.set(0);
        assert!(ask(0) && *derived.get(&cancel, count, || ask(0)), "what was made of it is made again too");
        cancel.reset();
        assert!(ask(1));
    }
}
