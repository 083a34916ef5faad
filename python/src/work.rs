//! Long work, without the interpreter's lock, ended by Ctrl-C.
//!
//! Python hands signals to its main thread alone, and only while that runs Python's own code. So the main thread gives its work
//! to a helper thread and looks for signals until that is done; any other thread works by itself.
//!
//! **Invariant**: when a question returns, no work of it goes on.

use crate::errors::raised;
use crashlens::Dump;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// How often the main thread looks for signals.
const LOOK: Duration = Duration::from_millis(20);

thread_local! {
    /// The helper of the main thread, and the process that it is of: one that was forked has none.
    static HELPER: RefCell<Option<(u32, Sender<Job>)>> = const { RefCell::new(None) };
    /// True while the helper works.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Answers a question about a dump.
pub(crate) fn ask<T: Send + 'static>(
    py: Python<'_>,
    dump: &Dump,
    question: impl FnOnce(&Dump) -> Result<T, crashlens::Error> + Send + 'static,
) -> PyResult<T> {
    let own = dump.clone();
    let stop = dump.clone();
    watched(py, move || question(&own), move || stop.interrupt())?.map_err(|error| raised(py, &error))
}

/// Does work that `stop` ends; a signal's exception takes the place of its answer.
pub(crate) fn watched<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send + 'static,
    stop: impl Fn() + Send + Sync,
) -> PyResult<T> {
    if !is_main(py)? || BUSY.get() {
        return Ok(py.detach(work));
    }
    let answer = hand_over(work);
    BUSY.set(true);
    let ended = py.detach(move || wait(answer, &stop));
    BUSY.set(false);
    match ended? {
        Ok(answer) => Ok(answer),
        Err(panic) => resume_unwind(panic),
    }
}

/// What a job ended with: its answer, or what it panicked with.
type End<T> = Result<T, Box<dyn Any + Send>>;

fn hand_over<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<End<T>> {
    let (send, receive) = channel();
    let job: Job = Box::new(move || {
        let end = catch_unwind(AssertUnwindSafe(work));
        // who asked waits for it
        let _ = send.send(end);
    });
    HELPER.with_borrow_mut(|helper| {
        let own = std::process::id();
        let (_, jobs) = match helper.take() {
            Some(there) if there.0 == own => helper.insert(there),
            _ => helper.insert((own, start())),
        };
        // a helper ends with its sender only: jobs do not panic
        if let Err(job) = jobs.send(job) {
            (job.0)();
        }
    });
    receive
}

fn start() -> Sender<Job> {
    let (send, receive) = channel::<Job>();
    std::thread::spawn(move || receive.iter().for_each(|job| job()));
    send
}

/// Waits for the end of a job, and ends it where a signal raises.
fn wait<T>(answer: Receiver<End<T>>, stop: &(impl Fn() + Sync)) -> PyResult<End<T>> {
    let mut signal = None;
    loop {
        match answer.recv_timeout(LOOK) {
            Ok(end) => return signal.map_or(Ok(end), Err),
            Err(RecvTimeoutError::Disconnected) => return Ok(Err(Box::new("the work was lost"))),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if signal.is_none() {
            signal = Python::attach(|py| py.check_signals()).err();
        }
        if signal.is_some() {
            // again and again: one question may begin another
            stop();
        }
    }
}

fn is_main(py: Python<'_>) -> PyResult<bool> {
    static MAIN: PyOnceLock<(Py<PyAny>, u64)> = PyOnceLock::new();
    let (ident, main) = MAIN.get_or_try_init(py, || -> PyResult<_> {
        let threading = py.import("threading")?;
        let main = threading.call_method0("main_thread")?.getattr("ident")?.extract()?;
        Ok((threading.getattr("get_ident")?.unbind(), main))
    })?;
    Ok(ident.call0(py)?.extract::<u64>(py)? == *main)
}
