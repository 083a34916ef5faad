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
        Ok(Self { time, memory, json: cli.json })
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
        shell::last_words(&format!("crashlens: {why}: the work did not stop by itself"), self.json);
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

/// A limit as it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Limit {
    /// Milliseconds, or bytes.
    pub(crate) value: u64,
    /// As it is told.
    pub(crate) text: String,
}

/// `30`, `1.5`, `2m`, `1h`.
pub(crate) fn time(text: &str) -> Result<Limit, String> {
    limit(text, &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)], 1000.0, "s")
        .ok_or_else(|| format!("{text} is no time (seconds, or 500ms, 30s, 2m, 1h)"))
}

/// `64M`, `1.5G`; a number alone is bytes.
pub(crate) fn memory(text: &str) -> Result<Limit, String> {
    let units = [("K", 1024.0), ("M", 1024.0 * 1024.0), ("G", 1024.0 * 1024.0 * 1024.0), ("KiB", 1024.0)];
    let more = [("MiB", 1024.0 * 1024.0), ("GiB", 1024.0 * 1024.0 * 1024.0)];
    limit(text, &[&units[..], &more].concat(), 1.0, " bytes")
        .ok_or_else(|| format!("{text} is no size (bytes, or 64M, 2G)"))
}

/// A number with one of the units; one without a unit is shown with `unit`.
fn limit(text: &str, units: &[(&str, f64)], scale: f64, unit: &str) -> Option<Limit> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, behind) = text.split_at_checked(end)?;
    let factor = match behind {
        "" => 1.0,
        behind => units.iter().find(|(name, _)| *name == behind)?.1,
    };
    let value = number.parse::<f64>().ok()? * factor * scale;
    // beyond 2^53 a float counts no longer by one
    if !(value.is_finite() && (0.0..9e15).contains(&value)) {
        return None;
    }
    let value = value as u64;
    let text = if behind.is_empty() { format!("{text}{unit}") } else { text.to_owned() };
    Some(Limit { value, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_units() {
        for (text, value) in [("5", 5000), ("1.5", 1500), ("250ms", 250), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(time(text).map(|limit| limit.value), Ok(value), "{text}");
        }
        for (text, value) in [("4096", 4096), ("64M", 64 << 20), ("1.5G", 3 << 29), ("8KiB", 8192)] {
            assert_eq!(memory(text).map(|limit| limit.value), Ok(value), "{text}");
        }
        for text in ["", "x", "-1", "5 s", "1e99", "99999999999999999h", "1..5", "."] {
            assert!(time(text).is_err() && memory(text).is_err(), "{text}");
        }
        assert_eq!((time("5").unwrap().text, memory("9").unwrap().text), ("5s".into(), "9 bytes".into()));
    }
}
