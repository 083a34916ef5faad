//! Wall time, processor time and peak memory of a program.
//!
//! The system sums up all children of a process, and the peak is that of the largest one. So every run has a process
//! of its own as a parent: this program again, with `bench --measure`, which says the figures on standard output.

use std::fs::File;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::this_program;
use crate::run::{At as _, Error, answer, command, other, output};

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds from start to exit.
    pub(crate) wall: f64,
    /// Seconds of processors, in user space and in the kernel.
    pub(crate) cpu: f64,
    /// Peak resident memory in KiB.
    pub(crate) rss_kib: i64,
}

impl Usage {
    /// The median of each figure.
    pub(crate) fn median(of: &[Self]) -> Option<Self> {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some(Self {
            wall: middle(of.iter().map(|usage| usage.wall).collect())?,
            cpu: middle(of.iter().map(|usage| usage.cpu).collect())?,
            rss_kib: middle(of.iter().map(|usage| usage.rss_kib as f64).collect())? as i64,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            wall: words.next()?.parse().ok()?,
            cpu: words.next()?.parse().ok()?,
            rss_kib: words.next()?.parse().ok()?,
        })
    }
}

/// Longest time of a run, in seconds.
const LIMIT: &str = "180";

/// Has a program run and measured by a process of its own.
pub(crate) fn in_own_process(line: &[String]) -> Result<Usage, Error> {
    let this = this_program()?.display().to_string();
    let mut parent = command("timeout", [LIMIT, this.as_str(), "bench", "--measure"]);
    let text = output(parent.args(line))?;
    let usage = text.lines().last().and_then(Usage::parse);
    usage.ok_or_else(|| Error::Other(format!("no figures in {text:?}")))
}

/// Runs a program, throws its output away, and says what it used.
pub(crate) fn one(line: &[String]) -> Result<(), Error> {
    let Some((program, args)) = line.split_first() else { return other("nothing to measure") };
    let complaints = std::env::temp_dir().join(format!("crashlens-bench-{}", std::process::id()));
    let mut child = command(program, args);
    child.stdout(Stdio::null()).stderr(File::create(&complaints).at(&complaints)?);
    let started = Instant::now();
    let status = child.status().map_err(|source| Error::Start { program: program.clone(), source })?;
    let wall = started.elapsed().as_secs_f64();
    let said = std::fs::read(&complaints).unwrap_or_default();
    // It was only for this run.
    let _ = std::fs::remove_file(&complaints);
    if !status.success() {
        return other(format!("{status}: {}", String::from_utf8_lossy(&said).trim()));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| Error::Other(error.to_string()))?;
    let micros = usage.user_time().num_microseconds().saturating_add(usage.system_time().num_microseconds());
    answer(format_args!("{wall} {} {}", micros as f64 / 1e6, usage.max_rss()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_each_figure() {
        let run = |wall: f64, rss_kib: i64| Usage { wall, cpu: wall * 2.0, rss_kib };
        let median = Usage::median(&[run(3.0, 10), run(1.0, 30), run(2.0, 20)]).unwrap();
        assert_eq!(median, Usage { wall: 2.0, cpu: 4.0, rss_kib: 20 });
        assert_eq!(Usage::median(&[]), None);
    }

    #[test]
    fn figures_are_read_back() {
        assert_eq!(Usage::parse("0.5 0.25 1000\n"), Some(Usage { wall: 0.5, cpu: 0.25, rss_kib: 1000 }));
        assert_eq!(Usage::parse("0.5 0.25"), None);
        assert_eq!(Usage::parse("error: no"), None);
    }
}
