//! What all handles hold: the dump, and the questions that are being answered.

use crate::Error;
use base::Cancel;
use kernel::{Layers, Session};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layers: Arc<Layers>,
    cancel: Cancel,
    /// How many questions are being answered.
    running: Mutex<usize>,
}

/// A question that is being answered.
pub(crate) struct Work<'a>(&'a Handle);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let mut running = self.0.running();
        *running = running.saturating_sub(1);
        if *running == 0 {
            self.0.cancel().reset();
        }
    }
}

impl Handle {
    pub(crate) fn new(layers: Arc<Layers>, cancel: Cancel) -> Self {
        Self(Arc::new(Inner { layers, cancel, running: Mutex::new(0) }))
    }

    pub(crate) fn layers(&self) -> &Layers {
        &self.0.layers
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }

    fn running(&self) -> MutexGuard<'_, usize> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the questions that are being answered.
    pub(crate) fn interrupt(&self) {
        if *self.running() > 0 {
            self.0.cancel.cancel();
        }
    }

    /// Begins to answer a question. An interrupt stops all that run, and is over when the last of them has ended.
    pub(crate) fn begin(&self) -> Work<'_> {
        let mut running = self.running();
        *running = running.saturating_add(1);
        Work(self)
    }

    /// An answer, unless it was interrupted: then it is not whole.
    pub(crate) fn answer<T>(&self, make: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let _work = self.begin();
        let session = self.0.layers.session().map_err(Clone::clone);
        self.0.cancel.check()?;
        let answer = make(session?);
        self.0.cancel.check()?;
        answer
    }
}
