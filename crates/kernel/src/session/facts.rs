//! Facts: what is found out about a kernel once, when it is first asked for, and kept with the session.
//!
//! A [`Fact`] is a type in the wing that it belongs to. The session does not know which there are: it keeps each by its
//! type. A fact rests on memory and on the session's types. Where the types change under it (structs were inferred, memory
//! corrected members), a new epoch begins: who asks next has the fact read again, and what was handed out before stays as
//! it was. What Ctrl-C or a failed read disturbed serves the command that asked, and is read again for the next
//! ([`base::Kept`]).

use super::Session;
use base::Kept;
use rustc_hash::FxHashMap;
use std::any::Any;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

/// What is found out about a kernel once.
///
/// [`read`](Self::read) enters no thread pool: one thread reads while the others wait. The [`Default`] is what is known
/// where nothing is: a fact that asks for itself while it is read gets that.
pub trait Fact: Default + Send + Sync + 'static {
    /// True for what does not rest on types: it stays when they change.
    const STAYS: bool = false;
    /// Reads it from the session's memory. What is missing there is part of the value.
    fn read(s: &Session) -> Self;
}

/// All facts that were asked for: a list, as there are few.
#[derive(Default)]
pub(super) struct Facts {
    first: OnceLock<Box<Node>>,
    epoch: AtomicU64,
}

struct Node {
    /// The [`Slot`] of one type.
    slot: Box<dyn Any + Send + Sync>,
    next: OnceLock<Box<Self>>,
}

/// The place of one fact.
struct Slot<F> {
    kept: Kept<F>,
    /// Who reads it now.
    reader: Mutex<Option<ThreadId>>,
    nothing: OnceLock<F>,
}

impl<F: Fact> Slot<F> {
    fn node(kept: Kept<F>) -> Box<Node> {
        let slot = Self { kept, reader: Mutex::default(), nothing: OnceLock::new() };
        Box::new(Node { slot: Box::new(slot), next: OnceLock::new() })
    }

    fn reader(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    fn slot<F: Fact>(&self) -> &Slot<F> {
        let mut cell = &self.first;
        loop {
            let node = cell.get_or_init(|| Slot::<F>::node(Kept::new()));
            match node.slot.downcast_ref() {
                Some(slot) => return slot,
                None => cell = &node.next,
            }
        }
    }

    /// Sets a fact that is not to be read. Nobody has asked for it yet.
    pub(super) fn give<F: Fact>(&mut self, fact: F) {
        let node = Slot::node(Kept::from(fact));
        if let Some(next) = self.first.take() {
            let _ = node.next.set(next);
        }
        let _ = self.first.set(node);
    }

    /// From now on facts are read again: what they rest on has changed.
    pub(super) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn epoch<F: Fact>(&self) -> u64 {
        if F::STAYS { 0 } else { self.epoch.load(Ordering::Acquire) }
    }
}

impl Session {
    /// A fact, read when it is first asked for.
    pub fn fact<F: Fact>(&self) -> &F {
        let (slot, epoch) = (self.facts.slot::<F>(), self.facts.epoch::<F>());
        if let Some(known) = slot.kept.at_hand(epoch, self.cancel()) {
            return known;
        }
        let own = thread::current().id();
        if *slot.reader() == Some(own) {
            debug_assert!(false, "a fact that asks for itself: {}", std::any::type_name::<F>());
            return slot.nothing.get_or_init(F::default);
        }
        let image = &self.opened.machine.image;
        slot.kept.get_in(
            epoch,
            self.cancel(),
            || image.failures(self.cancel()),
            || {
                *slot.reader() = Some(own);
                let fact = F::read(self);
                *slot.reader() = None;
                fact
            },
        )
    }

    /// A fact that was read before; `None` where it was not, or not as a whole.
    #[must_use]
    pub fn fact_at_hand<F: Fact>(&self) -> Option<&F> {
        self.facts.slot::<F>().kept.made_in(self.facts.epoch::<F>())
    }
}

/// What is found out about each of many things, as part of a fact. Threads that ask for the same at once may both find it
/// out: nobody waits, so that finding out about one may ask about others.
pub(crate) struct Memo<K, V>(Mutex<FxHashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// What is known of one thing; `make` finds it out. What was disturbed is not kept.
    pub(crate) fn get(&self, s: &Session, key: K, make: impl FnOnce() -> V) -> V {
        if let Some(known) = self.known(&key) {
            return known;
        }
        let made = make();
        if !s.is_disturbed() {
            self.put(key, made.clone());
        }
        made
    }

    /// What was found out before.
    pub(crate) fn known(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    /// Puts one in, in place of what was known.
    pub(crate) fn put(&self, key: K, value: V) {
        self.lock().insert(key, value);
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that is done once, by one thread. Others wait until it is done; what the work itself asks for meanwhile goes on
/// without it.
#[derive(Default)]
pub(super) struct Step {
    is_done: AtomicBool,
    state: Mutex<StepState>,
    changed: Condvar,
}

#[derive(Default)]
struct StepState {
    worker: Option<ThreadId>,
    /// The user's work that it was tried for last, where that disturbed it.
    tried_for: Option<u64>,
}

impl Step {
    /// Does it where nobody has. `step` says whether it is done for good; where it was disturbed, it is done again for the
    /// user's next work ([`Cancel::work`](base::Cancel::work)), so that an answer is the same all through one.
    pub(super) fn once(&self, work: u64, step: impl FnOnce() -> bool) {
        if self.is_done.load(Ordering::Acquire) {
            return;
        }
        let own = thread::current().id();
        let mut state = self.state();
        while state.worker.is_some_and(|worker| worker != own) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.worker.is_some() || state.tried_for == Some(work) || self.is_done.load(Ordering::Acquire) {
            return;
        }
        state.worker = Some(own);
        drop(state);
        let is_done = step();
        self.is_done.store(is_done, Ordering::Release);
        *self.state() = StepState { worker: None, tried_for: (!is_done).then_some(work) };
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, StepState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use testkit::kernel::Kernel;

    static READ: AtomicUsize = AtomicUsize::new(0);

    #[derive(Default, PartialEq, Debug)]
    struct Counted(usize);

    impl Fact for Counted {
        fn read(_: &Session) -> Self {
            Self(READ.fetch_add(1, Ordering::AcqRel) + 1)
        }
    }

    #[test]
    fn a_fact_is_read_once_an_epoch() {
        let s = testing::session(&Kernel::new());
        assert_eq!(s.fact_at_hand::<Counted>(), None);
        let first = s.fact::<Counted>();
        assert_eq!((s.fact::<Counted>(), s.fact_at_hand()), (first, Some(first)));
        s.facts.begin_epoch();
        let second = s.fact::<Counted>();
        assert_eq!((first.0 + 1, second), (second.0, s.fact::<Counted>()));
    }

    #[derive(Default)]
    struct Slow(u8);

    impl Fact for Slow {
        fn read(_: &Session) -> Self {
            thread::sleep(std::time::Duration::from_millis(20));
            Self(7)
        }
    }

    #[test]
    fn threads_wait_for_the_one_that_reads() {
        let s = testing::session(&Kernel::new());
        thread::scope(|scope| {
            let all: Vec<_> =
                (0..4).map(|_| scope.spawn(|| std::ptr::from_ref(s.fact::<Slow>()) as usize)).collect();
            let mut places: Vec<usize> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
            places.dedup();
            assert_eq!((places.len(), s.fact::<Slow>().0), (1, 7));
        });
    }

    #[test]
    fn what_was_stopped_is_read_again() {
        #[derive(Default)]
        struct Stopped(bool);
        impl Fact for Stopped {
            fn read(s: &Session) -> Self {
                Self(s.cancel().is_cancelled())
            }
        }
        let s = testing::session(&Kernel::new());
        s.cancel().cancel();
        assert!(s.fact::<Stopped>().0 && s.fact_at_hand::<Stopped>().is_none());
        s.cancel().reset();
        assert!(!s.fact::<Stopped>().0 && s.fact_at_hand::<Stopped>().is_some());
    }

    #[test]
    fn a_step_lets_its_own_thread_through_and_others_wait() {
        let (step, done) = (Arc::new(Step::default()), Arc::new(AtomicUsize::new(0)));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    step.once(1, || {
                        step.once(1, || unreachable!());
                        thread::sleep(std::time::Duration::from_millis(10));
                        done.fetch_add(1, Ordering::AcqRel);
                        true
                    });
                    assert_eq!(done.load(Ordering::Acquire), 1, "nobody passes before it is done");
                });
            }
        });
        let again = Step::default();
        let mut count = 0;
        again.once(1, || {
            count += 1;
            false
        });
        again.once(1, || unreachable!("once for each work"));
        again.once(2, || {
            count += 1;
            true
        });
        again.once(3, || unreachable!("it is done"));
        assert_eq!(count, 2);
    }
}
