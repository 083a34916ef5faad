//! The kernel's log as lines of text with their times, ready to be searched for events.

use kernel::log::printk::{self, LogRecord};
use kernel::{KernelError, Session};

/// `LOG_NEWLINE`
const NEWLINE: u8 = 2;
/// `LOG_CONT`
const CONT: u8 = 8;

/// The log's lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Vec<(Option<u64>, String)>,
    /// What of the log could not be read.
    pub(crate) stopped: Option<String>,
}

impl Lines {
    /// The log of a session, with what was still in the buffers for non-maskable interrupts.
    pub(crate) fn of(s: &Session) -> Result<Self, &KernelError> {
        let log = s.log()?;
        let mut out = Self::from_records(&log.records);
        out.stopped = log.stopped.as_ref().map(ToString::to_string);
        let last = out.end();
        let (buffers, lost) = printk::safe_buffers(s);
        out.stopped = out.stopped.or_else(|| lost.map(|e| e.to_string()));
        for buffer in buffers {
            out.lines.extend(buffer.text.lines().map(|l| (last, plain(l).to_owned())));
        }
        Ok(out)
    }

    /// Lines of records. What user space wrote to the log is none of the kernel's messages, and a record that
    /// was cut while it was printed goes on in the next (LOG_CONT without LOG_NEWLINE, until 4.9).
    fn from_records(records: &[LogRecord]) -> Self {
        let mut out = Self::default();
        let mut open = false;
        for r in records.iter().filter(|r| r.facility == 0) {
            for (n, line) in r.text.split('\n').enumerate() {
                match out.lines.last_mut() {
                    Some((_, last)) if open && n == 0 => last.push_str(line),
                    _ => out.lines.push((r.ts_nsec, line.to_owned())),
                }
            }
            open = r.flags & CONT != 0 && r.flags & NEWLINE == 0;
        }
        out
    }

    /// The texts.
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// When a line was logged, in nanoseconds since boot.
    pub(crate) fn time(&self, n: usize) -> Option<u64> {
        self.lines.get(n).and_then(|(ts, _)| *ts)
    }

    /// When the last line that has a time was logged.
    pub(crate) fn end(&self) -> Option<u64> {
        self.lines.iter().rev().find_map(|(ts, _)| *ts)
    }
}

/// A line of a per-CPU buffer without the level that is still encoded in it (SOH and a digit).
fn plain(line: &str) -> &str {
    line.strip_prefix('\u{1}').map_or(line, |l| l.get(1..).unwrap_or_default())
}

/// `[   12.345678]`
pub(crate) fn stamp(ts_nsec: u64) -> String {
    format!("[{:5}.{:06}]", ts_nsec / 1_000_000_000, ts_nsec / 1000 % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str, facility: u8, flags: u8, ts_nsec: u64) -> LogRecord {
        LogRecord {
            seq: None,
            ts_nsec: Some(ts_nsec),
            level: Some(0),
            facility,
            flags,
            caller_id: None,
            text: text.into(),
            dict: vec![],
        }
    }

    #[test]
    fn cut_records_are_one_line_and_user_space_is_left_out() {
        let lines = Lines::from_records(&[
            record("RIP: 0010:[<ffffffff81000000>] ", 0, CONT, 1),
            record(" [<ffffffff81000000>] f+0x1/0x2", 0, CONT | NEWLINE, 2),
            record("Kernel panic - not syncing: a joke", 1, NEWLINE, 3),
            record("two\nlines", 0, NEWLINE, 1_500_000_000),
        ]);
        assert_eq!(
            lines.texts(),
            ["RIP: 0010:[<ffffffff81000000>]  [<ffffffff81000000>] f+0x1/0x2", "two", "lines"]
        );
        assert_eq!((lines.time(0), lines.end().map(stamp).as_deref()), (Some(1), Some("[    1.500000]")));
    }

    #[test]
    fn levels_of_the_buffers_for_interrupts_are_no_text() {
        assert_eq!(plain("\u{1}4NMI backtrace"), "NMI backtrace");
        assert_eq!(plain("NMI backtrace"), "NMI backtrace");
    }
}
