//! Work for all cores whose results are taken in the order of the jobs.
//!
//! The caller's thread makes the jobs and takes the results, and works like the others in between, so that nobody
//! is woken for each job. Invariant: at most [`AHEAD`] jobs a thread are in hand, their results included, however
//! long a result's taker waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs a thread that are in hand at once.
const AHEAD: usize = 16;

struct Shared<J, R> {
    queue: Mutex<Queue<J, R>>,
    more_jobs: Condvar,
    more_results: Condvar,
}

struct Queue<J, R> {
    jobs: VecDeque<(usize, J)>,
    /// Results from `taken` on; `None` where a job is not done.
    results: VecDeque<Option<R>>,
    taken: usize,
    closed: bool,
}

impl<J, R> Shared<J, R> {
    fn lock(&self) -> MutexGuard<'_, Queue<J, R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.more_jobs.notify_all();
        self.more_results.notify_all();
    }

    /// Does jobs until there are no more to come.
    fn help(&self, mut work: impl FnMut(J) -> R) {
        let _end = CloseAtEnd(self);
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return;
            }
            queue = match queue.jobs.pop_front() {
                Some((number, job)) => {
                    drop(queue);
                    let result = work(job);
                    let mut queue = self.lock();
                    if queue.put(number, result) {
                        self.more_results.notify_one();
                    }
                    queue
                }
                None => self.more_jobs.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl<J, R> Queue<J, R> {
    /// Keeps a result; true where it is the next to be taken.
    fn put(&mut self, number: usize, result: R) -> bool {
        let place = number.wrapping_sub(self.taken);
        if let Some(slot) = self.results.get_mut(place) {
            *slot = Some(result);
        }
        place == 0
    }

    /// The next result, where its job is done.
    fn take(&mut self) -> Option<R> {
        let next = self.results.front_mut()?.take()?;
        self.results.pop_front();
        self.taken += 1;
        Some(next)
    }
}

/// Nobody waits for a thread that ended, in whichever way.
struct CloseAtEnd<'a, J, R>(&'a Shared<J, R>);

impl<J, R> Drop for CloseAtEnd<'_, J, R> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Does `jobs` on `threads` threads, each with what `worker` makes for it, and hands the results to `take` in the
/// order of the jobs until it returns false.
pub(super) fn in_order<J: Send, R: Send, W: FnMut(J) -> R>(
    threads: usize,
    jobs: impl Iterator<Item = J>,
    worker: impl Fn() -> W + Sync,
    mut take: impl FnMut(R) -> bool,
) {
    let queue = Queue { jobs: VecDeque::new(), results: VecDeque::new(), taken: 0, closed: false };
    let shared = Shared { queue: Mutex::new(queue), more_jobs: Condvar::new(), more_results: Condvar::new() };
    let ahead = threads.max(1).saturating_mul(AHEAD);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let (shared, worker) = (&shared, &worker);
            // a system that gives no more threads makes it slower, not impossible
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || shared.help(worker()));
        }
        let _end = CloseAtEnd(&shared);
        let mut jobs = jobs.fuse();
        let mut work = worker();
        loop {
            let mut queue = shared.lock();
            let mut number = queue.taken + queue.results.len();
            let before = queue.jobs.len();
            while queue.results.len() < ahead {
                let Some(job) = jobs.next() else { break };
                queue.jobs.push_back((number, job));
                queue.results.push_back(None);
                number += 1;
            }
            if before == 0 && queue.jobs.len() > 1 {
                shared.more_jobs.notify_all();
            }
            if queue.results.is_empty() || queue.closed {
                return;
            }
            if let Some((number, job)) = queue.jobs.pop_front() {
                drop(queue);
                let result = work(job);
                queue = shared.lock();
                queue.put(number, result);
            } else {
                while !queue.closed && queue.results.front().is_some_and(Option::is_none) {
                    queue = shared.more_results.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
            let mut done = Vec::new();
            while let Some(result) = queue.take() {
                done.push(result);
            }
            drop(queue);
            for result in done {
                if !take(result) {
                    return;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for threads in [0, 1, 2, 5] {
            let mut seen = Vec::new();
            let slow = |n: usize| {
                if n.is_multiple_of(7) {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
                n * 2
            };
            in_order(
                threads,
                0..500,
                || slow,
                |n| {
                    seen.push(n);
                    true
                },
            );
            assert_eq!(seen, (0..500).map(|n| n * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_taker_that_stops_ends_it_and_few_jobs_are_made_ahead() {
        let made = AtomicUsize::new(0);
        let jobs = (0..1_000_000).inspect(|_| {
            made.fetch_add(1, Ordering::Relaxed);
        });
        let mut taken = 0;
        in_order(
            3,
            jobs,
            || |n: usize| n,
            |n| {
                taken += 1;
                n < 9
            },
        );
        assert_eq!(taken, 10);
        assert!(made.into_inner() <= 10 + 3 * AHEAD * 2);
    }

    #[test]
    fn a_worker_that_panics_leaves_nobody_waiting() {
        let caught = std::panic::catch_unwind(|| {
            in_order(2, 0..100, || |n: usize| assert!(n < 50, "no more"), |()| true);
        });
        assert!(caught.is_err());
    }
}
