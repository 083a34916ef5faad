//! The kernel's log as lines of text with their times, ready to be searched for events. Where the line of the panic is lost,
//! the buffer of `panic()` has its words.

use crate::error::KernelError;
use crate::log::printk::{self, LogRecord};
use crate::log::{event, panic_buffer};
use crate::session::{Fact, Session};

/// `LOG_NEWLINE`
const NEWLINE: u8 = 2;
/// `LOG_CONT`
const CONT: u8 = 8;

/// The log's lines.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Vec<Line>,
    /// What of the log could not be read.
    pub stopped: Option<KernelError>,
    /// The line of the panic, where the log lacks it and the buffer of `panic()` has its words.
    pub panic: Option<String>,
}

#[derive(Debug)]
struct Line {
    /// Nanoseconds since boot.
    ts_nsec: Option<u64>,
    /// Its record's place in the log; what was still in another buffer has none.
    record: Option<usize>,
    text: String,
}

impl Fact for Lines {
    fn read(s: &Session) -> Self {
        let Ok(log) = s.log() else { return Self::default() };
        let mut out = Self::from_records(&log.records);
        out.stopped.clone_from(&log.stopped);
        if s.is_log() {
            return out;
        }
        let ts_nsec = out.end();
        let (buffers, lost) = printk::safe_buffers(s);
        out.stopped = out.stopped.or(lost);
        let line = |text: &str| Line { ts_nsec, record: None, text: plain(text).to_owned() };
        for buffer in buffers {
            out.lines.extend(buffer.text.lines().map(line));
        }
        if event::panic_line(&out.texts()).is_none()
            && let Some(text) = panic_buffer::text(s)
        {
            let text = event::panic_lines(&text);
            out.lines.extend(text.lines().map(line));
            out.panic = text.lines().next().map(str::to_owned);
        }
        out
    }
}

impl Lines {
    /// The log of a session, with what was still in the buffers for non-maskable interrupts.
    ///
    /// # Errors
    /// If there is no log to be read.
    pub fn of(s: &Session) -> Result<&Self, &KernelError> {
        s.log()?;
        Ok(s.fact())
    }

    /// Lines of records. What user space wrote to the log is none of the kernel's messages, and a record that
    /// was cut while it was printed goes on in the next (LOG_CONT without LOG_NEWLINE, until 4.9).
    pub(crate) fn from_records(records: &[LogRecord]) -> Self {
        let mut out = Self::default();
        let mut open = false;
        for (record, r) in records.iter().enumerate().filter(|(_, r)| r.facility == 0) {
            for (n, line) in r.text.split('\n').enumerate() {
                match out.lines.last_mut() {
                    Some(last) if open && n == 0 => last.text.push_str(line),
                    _ => {
                        let text = line.to_owned();
                        out.lines.push(Line { ts_nsec: r.ts_nsec, record: Some(record), text });
                    }
                }
            }
            open = r.flags & CONT != 0 && r.flags & NEWLINE == 0;
        }
        out
    }

    /// The texts.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// The record that a line is of, by its place in the log.
    pub(crate) fn record(&self, n: usize) -> Option<usize> {
        self.lines.get(n)?.record
    }

    /// When a line was logged, in nanoseconds since boot.
    #[must_use]
    pub fn time(&self, n: usize) -> Option<u64> {
        self.lines.get(n)?.ts_nsec
    }

    /// When the last line that has a time was logged.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.lines.iter().rev().find_map(|line| line.ts_nsec)
    }
}

/// A line of a per-CPU buffer without the level that is still encoded in it (SOH and a digit).
fn plain(line: &str) -> &str {
    line.strip_prefix('\u{1}').map_or(line, |l| l.get(1..).unwrap_or_default())
}

/// `[   12.345678]`
#[must_use]
pub fn stamp(ts_nsec: u64) -> String {
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
