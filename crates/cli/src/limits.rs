//! `--time-limit` and `--memory-limit`: when one is reached the work stops, and what is known by then is the answer.
//!
//! A thread looks at the clock and at the memory in use. It ends the work by the switch that Ctrl-C uses; work that does
//! not look at that switch for [`GRACE`], or that goes on to take memory, is ended with the process: exit code 4, and an
//! error.

use crate::cli::Cli;
use crate::failure::Failure;
use base::Cancel;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::time::{Duration, Instant};

/// How long work may go on that was asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How often memory and clock are looked at.
const STEP: Duration = Duration::from_millis(5);

/// The limits of a run.
pub(crate) struct Limits {
    time: Option<(Duration, String)>,
    memory: Option<Memory>,
    json: bool,
    name: &'static str,
}

/// A limit of memory.
struct Memory {
    bytes: u64,
    told: String,
    /// `/proc/self/statm`, opened before a sandbox is entered.
    statm: File,
}

impl Limits {
    /// Those of the command line.
    pub(crate) fn of(cli: &Cli) -> Result<Self, Failure> {
        let memory = match &cli.memory_limit {
            None => None,
            Some(limit) => {
                let statm = File::open("/proc/self/statm")
                    .map_err(|e| Failure::Failed(format!("--memory-limit: /proc/self/statm: {e}")))?;
                let told = format!("the memory limit of {} was reached", limit.text);
                Some(Memory { bytes: limit.value, told, statm })
            }
        };
        let time = cli.time_limit.as_ref().map(|limit| {
            (Duration::from_millis(limit.value), format!("the time limit of {} was reached", limit.text))
        });
        Ok(Self { time, memory, json: cli.json, name: cli.name() })
    }

    /// True where there is one.
    pub(crate) const fn any(&self) -> bool {
        self.time.is_some() || self.memory.is_some()
    }

    /// Begins to watch.
    pub(crate) fn watch(self, cancel: &Cancel) {
        if self.any() {
            let cancel = cancel.clone();
            std::thread::spawn(move || self.run(&cancel));
        }
    }

    fn run(mut self, cancel: &Cancel) {
        let began = Instant::now();
        let why = loop {
            if let Some((limit, told)) = &self.time
                && began.elapsed() >= *limit
            {
                break told.clone();
            }
            if let Some(memory) = &mut self.memory
                && memory.used() > memory.bytes
            {
                break memory.told.clone();
            }
            std::thread::sleep(STEP);
        };
        cancel.end(why.clone());
        let stopped = Instant::now();
        while stopped.elapsed() < GRACE && !self.memory.as_mut().is_some_and(Memory::is_far_beyond) {
            std::thread::sleep(STEP);
        }
        shell::last_words(&format!("{}: {why}: the work went on, and was ended", self.name), self.json);
        std::process::exit(i32::from(shell::Ended::Incomplete.code()));
    }
}

impl Memory {
    /// Bytes in use; 0 where the system does not say.
    fn used(&mut self) -> u64 {
        let mut text = String::new();
        let read = self.statm.rewind().and_then(|()| self.statm.read_to_string(&mut text));
        let pages = read.ok().and_then(|_| text.split_whitespace().nth(1)?.parse::<u64>().ok());
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        pages.unwrap_or(0).saturating_mul(page)
    }

    /// What stops takes some memory for its answer, and no more than that.
    fn is_far_beyond(&mut self) -> bool {
        self.used() > self.bytes.saturating_mul(2).saturating_add(32 << 20)
    }
}
