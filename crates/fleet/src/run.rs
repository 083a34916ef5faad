//! The run over all dumps: threads, what was done before, the order of rows.

use crate::plan::Plan;
use crate::row::{Row, Stamped, look};
use crate::state::{State, StateError};
use base::Cancel;
use kernel::{OpenOptions, Workspace};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Looks at all dumps; `each` is given the rows in the order of the dumps, as soon as those before are there. Returns all rows;
/// fewer than there are dumps where `cancel` stopped it.
///
/// # Errors
/// The state file cannot be used. A dump that cannot be read is no error.
pub fn run(plan: &Plan, cancel: &Cancel, each: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, StateError> {
    let mut state = plan.state.as_deref().map(|path| State::open(path, plan)).transpose()?;
    let mut rows = Ordered { next: 0, early: BTreeMap::new(), rows: Vec::new(), each };
    let mut open = Vec::new();
    for (n, dump) in plan.dumps.iter().enumerate() {
        match state.as_mut().and_then(|state| state.take(dump)) {
            Some(row) => rows.put(n, row),
            None => open.push(n),
        }
    }
    let mut options = plan.open.clone();
    options.workspace.get_or_insert_with(|| Arc::new(Workspace::default()));
    let work = Work { plan, options, open, next: AtomicUsize::new(0), cancel };
    let jobs = plan.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        // a row waits in its thread until it is taken, so that no more than a few are on their way
        let (give, take) = sync_channel(1);
        for _ in 0..jobs.min(work.open.len()) {
            let give = give.clone();
            scope.spawn(|| work.all(give));
        }
        drop(give);
        collect(take, state.as_mut(), &mut rows)
    })?;
    Ok(rows.rows)
}

fn collect(
    take: Receiver<(usize, Row)>,
    mut state: Option<&mut State>,
    rows: &mut Ordered<'_>,
) -> Result<(), StateError> {
    for (n, row) in take {
        if let Some(state) = state.as_mut() {
            state.keep(&row)?;
        }
        rows.put(n, row);
    }
    Ok(())
}

/// What the threads share.
struct Work<'a> {
    plan: &'a Plan,
    options: OpenOptions,
    /// The dumps that are still to be looked at, by their numbers.
    open: Vec<usize>,
    next: AtomicUsize,
    cancel: &'a Cancel,
}

impl Work<'_> {
    /// One thread: dump after dump, until there is none.
    fn all(&self, give: SyncSender<(usize, Row)>) {
        while let Some((n, dump)) = self.one() {
            let Some(row) = self.row(dump) else { return };
            if give.send((n, row)).is_err() {
                return;
            }
        }
    }
    fn one(&self) -> Option<(usize, &Path)> {
        self.cancel.check().ok()?;
        let n = *self.open.get(self.next.fetch_add(1, Ordering::Relaxed))?;
        Some((n, self.plan.dumps.get(n)?))
    }
    fn row(&self, dump: &Path) -> Option<Row> {
        let known = self.plan.known.as_deref();
        let looked = catch_unwind(AssertUnwindSafe(|| look(dump, &self.options, known, self.cancel)));
        looked.unwrap_or_else(|_| {
            Some(Row::failed(
                &Stamped::of(dump),
                "a defect of crashlens: it failed on this dump (please report it)",
            ))
        })
    }
}

/// Rows in the order of the dumps.
struct Ordered<'a> {
    next: usize,
    early: BTreeMap<usize, Row>,
    rows: Vec<Row>,
    each: &'a mut dyn FnMut(&Row),
}

impl Ordered<'_> {
    fn put(&mut self, n: usize, row: Row) {
        self.early.insert(n, row);
        while let Some(row) = self.early.remove(&self.next) {
            (self.each)(&row);
            self.rows.push(row);
            self.next = self.next.saturating_add(1);
        }
    }
}
