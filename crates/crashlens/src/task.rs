//! Tasks.

use crate::handle::Handle;
use crate::{Backtrace, Error, Value};
use kernel::locking;
use std::fmt;

/// A task. What is not known of it is `None`.
#[derive(Clone)]
pub struct Task {
    dump: Handle,
    known: kernel::sched::task::Task,
}

/// A variable of a frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Local {
    /// Its name.
    pub name: String,
    /// True for a parameter.
    pub is_param: bool,
    /// The function that it is of, where that was inlined here.
    pub function: Option<String>,
    /// Its value; what is not known of it is an error of what needs it.
    pub value: Value,
}

/// A lock that a task waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lock {
    /// `mutex`, `rw_semaphore` ...
    pub kind: &'static str,
    /// Its address.
    pub address: u64,
    /// Who has it, where that is known.
    pub owner: Option<Task>,
}

impl Task {
    pub(crate) fn new(dump: &Handle, known: &kernel::sched::task::Task) -> Self {
        Self { dump: dump.clone(), known: known.clone() }
    }
    /// The thread's id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.known.pid
    }
    /// The process's id.
    #[must_use]
    pub fn tgid(&self) -> i32 {
        self.known.tgid
    }
    /// Its name.
    #[must_use]
    pub fn comm(&self) -> &str {
        &self.known.comm
    }
    /// The address of its `task_struct`.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.known.at.0
    }
    /// The CPU that it runs or last ran on.
    #[must_use]
    pub fn cpu(&self) -> Option<u32> {
        self.known.cpu
    }
    /// True where it is known to have been on a CPU when the machine stopped.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.known.active
    }
    /// Whether it is a thread of the kernel.
    #[must_use]
    pub fn is_kernel(&self) -> Option<bool> {
        self.known.is_kthread()
    }
    /// Its state as `ps` shows it: `RU`, `IN`, `UN` ...
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn state(&self) -> Result<Option<&'static str>, Error> {
        self.dump.answer(|s| Ok(s.task_states().letters(&self.known)))
    }
    /// Its frames, innermost first.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn backtrace(&self) -> Result<Backtrace, Error> {
        self.dump.answer(|s| Ok(Backtrace::new(s, &s.backtrace(&self.known))))
    }
    /// Parameters and local variables of a frame of its backtrace, by the frame's place in it; none where no debug information
    /// of the frame's code is at hand.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn locals(&self, frame: usize) -> Result<Vec<Local>, Error> {
        self.dump.answer(|s| {
            let found = inspect::locals(s, &s.backtrace(&self.known), frame);
            let local = |local: inspect::Local| Local {
                name: local.name,
                is_param: local.is_param,
                function: local.function,
                value: Value::new(&self.dump, local.value),
            };
            Ok(found.into_iter().map(local).collect())
        })
    }
    /// The lock that it waits for, where the kernel notes it or the functions it is in and the lock's list of waiters tell.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn waits_for(&self) -> Result<Option<Lock>, Error> {
        self.dump.answer(|s| {
            let Some((kind, at)) = locking::waited(s, &self.known) else { return Ok(None) };
            let owner = locking::owner(s, kind, at).and_then(|owner| owner.task);
            Ok(Some(Lock {
                kind: kind.word(),
                address: at.0,
                owner: owner.map(|task| Self::new(&self.dump, task)),
            }))
        })
    }
    /// Its `task_struct`.
    ///
    /// # Errors
    /// The type is not known.
    pub fn value(&self) -> Result<Value, Error> {
        Value::eval(&self.dump, &format!("*(struct task_struct *){:#x}", self.known.at.0))
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.known.comm, self.known.pid)
    }
}
