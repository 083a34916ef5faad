//! A dump's or a log's report: its log as a console shows it, and the files of its frames where debug information tells them.

use super::{Report, report};
use kernel::Session;
use kernel::log::printk::LogRecord;
use regex_lite::Regex;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// `function+0x12/0x34 [module]`
static FRAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"([a-zA-Z0-9_.]+)\+0x([0-9a-f]+)/0x([0-9a-f]+)(?: \[([a-zA-Z0-9_]+))?").ok()
});

/// `[    1.234567][  T123] `
static WRITER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]+\]\[ *[CT][0-9]+\] ").ok());

/// The first report in the log.
///
/// # Errors
/// The log cannot be read.
pub fn of_session(s: &Session) -> kernel::Result<Option<Report>> {
    let log = s.log().map_err(Clone::clone)?;
    let text = s.log_text().map(String::from_utf8_lossy).filter(|text| is_as_written(text));
    Ok(match text {
        Some(text) => report(&text),
        None => report(&console(&log.records)),
    })
}

/// True for a console's text of one boot that says who wrote each line, which the log's messages do not.
fn is_as_written(text: &str) -> bool {
    let tells = |line: &str| WRITER.as_ref().is_some_and(|regex| regex.is_match(line));
    text.matches("Linux version ").count() <= 1 && text.lines().any(tells)
}

/// What the kernel wrote, as a console shows it. What processes wrote is no report.
fn console(records: &[LogRecord]) -> String {
    let mut out = String::new();
    for record in records.iter().filter(|record| record.facility == 0) {
        for line in record.text.lines() {
            if let Some(at) = record.ts_nsec {
                let _ = write!(out, "[{:5}.{:06}]", at / 1_000_000_000, at / 1000 % 1_000_000);
                if let Some(id) = record.caller_id {
                    let kind = if id >> 31 == 1 { 'C' } else { 'T' };
                    let _ = write!(out, "[{:>6}]", format!("{kind}{}", id & 0x7fff_ffff));
                }
                out.push(' ');
            }
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// A report's lines, with file and line behind each frame where debug information has them.
#[must_use]
pub fn lines_with_files(s: &Session, report: &Report) -> Vec<String> {
    let with = |line: &String| match file_of(s, line) {
        Some(file) => format!("{line} {file}"),
        None => line.clone(),
    };
    report.lines.iter().map(with).collect()
}

fn file_of(s: &Session, line: &str) -> Option<String> {
    let found = FRAME.as_ref()?.captures(line)?;
    let number = |n: usize| u64::from_str_radix(found.get(n)?.as_str(), 16).ok();
    let (function, module) = (found.get(1)?.as_str(), found.get(4).map(|module| module.as_str()));
    let (offset, size) = (number(2)?, number(3)?);
    let at = s.logged_function(function, module, size).or_else(|| s.only_function(function, module))?;
    // the address of a frame is that behind the call
    let back = u64::from(!line.contains("IP:") && offset > 0);
    let at = at.add(offset.saturating_sub(back));
    let line = s.source_line(at).filter(|line| line.line > 0)?;
    Some(format!("{}:{}", s.source_name(at, &line.file), line.line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_that_tells_who_wrote_is_taken_as_it_is() {
        assert!(
            is_as_written("x\n[    1.000000][  T123] BUG\n")
                && is_as_written("<3>[    1.000000][    C1] BUG\n")
        );
        assert!(!is_as_written("[    1.000000] BUG\n") && !is_as_written("kernel: BUG"));
        assert!(!is_as_written("Linux version 6\n[    1.000000][    T1] x\nLinux version 6\n"));
    }

    #[test]
    fn a_log_is_shown_as_a_console_shows_it() {
        let record = |text: &str, facility, caller_id| LogRecord {
            seq: None,
            ts_nsec: Some(11_242_826_999),
            level: None,
            facility,
            flags: 0,
            caller_id,
            text: text.to_owned(),
            dict: Vec::new(),
        };
        let all = [
            record("a\nb", 0, Some(261)),
            record("BUG: said by a process", 1, None),
            record("c", 0, Some(0x8000_0001)),
            record("d", 0, None),
        ];
        let want = "[   11.242826][  T261] a\n[   11.242826][  T261] b\n[   11.242826][    C1] c\n[   11.242826] d\n";
        assert_eq!(console(&all), want);
    }
}
