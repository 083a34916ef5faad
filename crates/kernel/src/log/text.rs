//! The text of a kernel's log, as dmesg, a console, netconsole, pstore, syslog or a journal wrote it: its messages without what
//! stands before them.
//!
//! Sources: kernel/printk/printk.c (`print_prefix`, `info_print_ext_header`), Documentation/networking/netconsole.rst,
//! fs/pstore/platform.c, dmesg(1), journalctl(1).
//!
//! **Invariant:** what no message of a kernel has is kept as text; nothing is made up: a message without a time has none.

use crate::log::printk::{Log, LogRecord};
use std::borrow::Cow;

/// No message of the kernel is longer; the rest of a longer line is noise.
const MAX_LINE: usize = 1 << 16;
/// The longest text that can stand before a message: a date, a host's name and a program's.
const MAX_PREFIX: usize = 512;
/// Bytes of the longest time in brackets.
const MAX_STAMP: usize = 40;
/// The facility of what user space wrote (`LOG_USER`).
const USER: u8 = 1;
/// Words that may stand before a message one after the other.
const PREFIXES: usize = 8;

/// The messages of a text.
pub(crate) fn messages(text: &[u8]) -> Log {
    let mut log = Log::default();
    for line in text.split(|&b| b == b'\n') {
        let line = plain(line.get(..MAX_LINE).unwrap_or(line));
        let mut from = 0;
        // a line that was cut while it was printed has the next message behind it
        for at in stamps(&line).into_iter().skip(1).chain([line.len()]) {
            let end = line.get(from..at).map_or(at, |part| from.saturating_add(level_start(part)));
            if let Some(part) = line.get(from..end) {
                log.records.extend(message(part));
            }
            from = end;
        }
    }
    log
}

/// A line without what a terminal obeys and without what a serial line adds.
fn plain(line: &[u8]) -> String {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            0x1b => _ = rest.find(u8::is_ascii_alphabetic),
            b'\t' | b' '.. if byte != 0x7f => out.push(byte),
            _ => {}
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Where the times of messages stand in a line: `[    1.234567]`.
fn stamps(line: &str) -> Vec<usize> {
    let is_stamp = |at: &usize| line.get(*at..).is_some_and(|rest| seconds(rest).is_some());
    line.match_indices('[').map(|(at, _)| at).filter(is_stamp).collect()
}

/// `[    1.234567]`, also `[    1.234567 <    0.000012>]`: nanoseconds, and what follows.
fn seconds(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().take(MAX_STAMP).position(|b| b == b']')?;
    let (inside, rest) = (text.get(1..end)?, text.get(end.checked_add(1)?..)?);
    if !text.starts_with('[') {
        return None;
    }
    let number = inside.split_once(" <").map_or(inside, |(number, _)| number);
    let (sec, micros) = number.split_once('.')?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_stamp = sec.len() >= 5 && micros.len() == 6 && is_number(micros) && is_number(sec.trim_start());
    let (sec, micros): (u64, u64) = (sec.trim_start().parse().ok()?, micros.parse().ok()?);
    let nsec = sec.checked_mul(1_000_000_000)?.checked_add(micros.checked_mul(1000)?)?;
    is_stamp.then_some((nsec, rest))
}

/// Where in a part of a line the level begins that belongs to the message behind: `…<6>`.
fn level_start(part: &str) -> usize {
    let Some(at) = part.rfind('<') else { return part.len() };
    let level = part.get(at..).unwrap_or_default();
    let is_level = level.len() <= 5 && priority(level).is_some_and(|(_, rest)| rest.is_empty());
    if is_level { at } else { part.len() }
}

/// `<6>`, `<30>`: level and facility, and what follows.
fn priority(text: &str) -> Option<(u16, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    Some((number.parse().ok().filter(|_| is_number)?, rest))
}

/// What stood before a message.
#[derive(Default)]
struct Before {
    priority: Option<u16>,
    seq: Option<u64>,
    ts_nsec: Option<u64>,
    caller_id: Option<u32>,
    of_user: bool,
}

/// The message of a line, or of a part of one; none where nothing is left of it.
fn message(line: &str) -> Option<LogRecord> {
    let mut before = Before::default();
    let mut text = Cow::Borrowed(line);
    for _ in 0..PREFIXES {
        match stripped(&text, &mut before) {
            Some(rest) => text = Cow::Owned(rest),
            None => break,
        }
    }
    let text = text.trim_end();
    if text.trim_start().is_empty() || is_part(text) {
        return None;
    }
    let level = before.priority.map(|p| (p & 7) as u8);
    let facility = before.priority.map_or(0, |p| u8::try_from(p >> 3).unwrap_or(u8::MAX));
    Some(LogRecord {
        seq: before.seq,
        ts_nsec: before.ts_nsec,
        level,
        facility: if before.of_user { facility.max(USER) } else { facility },
        flags: 0,
        caller_id: before.caller_id,
        text: text.to_owned(),
        dict: Vec::new(),
    })
}

/// The line behind one thing that stands before its message.
fn stripped(text: &str, before: &mut Before) -> Option<String> {
    if let Some((priority, rest)) = priority(text) {
        before.priority = Some(priority);
        return Some(rest.to_owned());
    }
    if let Some((nsec, rest)) = seconds(text) {
        before.ts_nsec = Some(nsec);
        return Some(behind_stamp(rest, before).to_owned());
    }
    if let Some(rest) = date(text) {
        return Some(behind_stamp(rest, before).to_owned());
    }
    record(text, before)
        .or_else(|| decoded(text, before))
        .or_else(|| syslog(text, before))
        .or_else(|| behind_noise(text))
        .map(str::to_owned)
}

/// What stands between a time and the message: who logged it, and a blank.
fn behind_stamp<'t>(rest: &'t str, before: &mut Before) -> &'t str {
    let rest = match caller(rest) {
        Some((id, rest)) => {
            before.caller_id = id.or(before.caller_id);
            rest
        }
        None => rest,
    };
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    // journalctl -o short-monotonic
    match rest.split_once(" kernel: ") {
        Some((host, message)) if !host.is_empty() && !host.contains([' ', ':']) => message,
        _ => rest,
    }
}

/// `[ T1234]`, `[    C0]`, with or without a blank before; the top bit is set for a CPU.
fn caller(text: &str) -> Option<(Option<u32>, &str)> {
    let (inside, rest) = text.trim_start_matches(' ').strip_prefix('[')?.split_once(']')?;
    let inside = inside.trim();
    // the CPU of a thread may follow: `T12@C3`
    let id = inside.split_once('@').map_or(inside, |(id, _)| id);
    let (kind, number) = id.split_at_checked(1)?;
    let number: u32 = number.parse().ok()?;
    match kind {
        "T" => Some((Some(number), rest)),
        "C" => Some((Some(number | 1 << 31), rest)),
        _ => None,
    }
}

/// `[Mon Nov 30 12:31:42 2026]` (dmesg -T), `[  +0.000012]` (dmesg -H), `[Nov30 12:31]`; without brackets the ISO form.
fn date(text: &str) -> Option<&str> {
    if let Some((inside, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let is_date = inside.len() == 24 && inside.matches(':').count() == 2;
        let is_delta = inside.trim_start().starts_with('+') && inside.contains('.');
        let is_minute = inside.len() == 11 && is_month(inside) && inside.contains(':');
        return (is_date || is_delta || is_minute).then_some(rest);
    }
    let (time, rest) = text.split_once(' ')?;
    let is_iso = is_iso(time) && time.len() == 32 && time.contains(',');
    is_iso.then_some(rest)
}

fn is_iso(time: &str) -> bool {
    let form = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    time.len() >= form.len() && time.bytes().zip(form).all(fits)
}

fn is_month(text: &str) -> bool {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS.iter().any(|month| text.starts_with(month))
}

/// `6,339,5140900,-,caller=T12;Linux version`: priority, number, microseconds, flags.
fn record<'t>(text: &'t str, before: &mut Before) -> Option<&'t str> {
    let (head, message) = text.split_once(';').filter(|(head, _)| head.len() <= MAX_PREFIX)?;
    let mut words = head.split(',');
    // with `extended,release` the release stands before
    let first = words.next()?;
    let first = if first.bytes().all(|b| b.is_ascii_digit()) { first } else { words.next()? };
    let (priority, seq, micros) =
        (first.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse::<u64>().ok()?);
    let _flags = words.next().filter(|flags| flags.len() == 1)?;
    before.priority = Some(priority);
    before.seq = Some(seq);
    before.ts_nsec = micros.checked_mul(1000);
    for word in words {
        if let Some((Some(id), _)) =
            word.strip_prefix("caller=").and_then(|id| caller(&format!("[{id}]")).map(|(id, _)| (id, ())))
        {
            before.caller_id = Some(id);
        }
    }
    Some(message)
}

/// `kern  :info  : ` of dmesg -x.
fn decoded<'t>(text: &'t str, before: &mut Before) -> Option<&'t str> {
    const FACILITIES: [&str; 12] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    ];
    const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
    let mut words = text.splitn(3, ':');
    let (facility, level, rest) = (words.next()?.trim_end(), words.next()?.trim_end(), words.next()?);
    let facility = FACILITIES.iter().position(|name| *name == facility)?;
    let level = LEVELS.iter().position(|name| *name == level)?;
    before.priority = u16::try_from(facility << 3 | level).ok();
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// `Nov 30 12:31:42 host kernel: `, `2026-11-30T12:31:42.123456+00:00 host kernel: `; what another program wrote is none of the
/// kernel's messages.
fn syslog<'t>(text: &'t str, before: &mut Before) -> Option<&'t str> {
    if !is_iso(text) && !is_month(text) {
        return None;
    }
    let (head, message) = text.split_once(": ").filter(|(head, _)| head.len() <= MAX_PREFIX)?;
    let words: Vec<&str> = head.split_whitespace().collect();
    // month, day, time, host, program; or time, host, program
    let count = if is_month(text) { 5 } else { 3 };
    let program = words.last().filter(|_| words.len() == count)?;
    before.of_user |= *program != "kernel";
    Some(message)
}

/// A message behind what a login or a program wrote into its line: `login: [   12.345678] BUG: …`.
fn behind_noise(text: &str) -> Option<&str> {
    let at =
        text.match_indices('[').map(|(at, _)| at).find(|at| text.get(*at..).and_then(seconds).is_some())?;
    let level = text.get(..at).map_or(at, level_start);
    text.get(level..).filter(|_| at > 0)
}

/// `Oops#1 Part2`: what pstore writes above each part.
fn is_part(text: &str) -> bool {
    let Some((reason, part)) = text.split_once(" Part") else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    reason
        .split_once('#')
        .is_some_and(|(name, n)| name.bytes().all(|b| b.is_ascii_alphabetic()) && is_number(n))
        && is_number(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> LogRecord {
        let log = messages(line.as_bytes());
        assert_eq!(log.records.len(), 1, "{line}: {:?}", log.records);
        log.records.into_iter().next().unwrap()
    }

    #[test]
    fn what_stands_before_a_message_is_no_part_of_it() {
        let (thread, cpu) = (Some(123), Some(1 << 31));
        for (line, ts, level, caller) in [
            ("BUG: x", None, None, None),
            ("[    1.500000] BUG: x", Some(1_500_000_000), None, None),
            ("[    1.500000][  T123] BUG: x\r", Some(1_500_000_000), None, thread),
            ("[    1.500000] [    C0] BUG: x", Some(1_500_000_000), None, cpu),
            ("[    1.500000][ T123@C1] BUG: x", Some(1_500_000_000), None, thread),
            ("<0>[    1.500000] BUG: x", Some(1_500_000_000), Some(0), None),
            ("<1>BUG: x", None, Some(1), None),
            ("\u{1b}[31m[    1.500000] \u{1b}[0mBUG: x", Some(1_500_000_000), None, None),
            ("[    1.500000 <    0.000012>] BUG: x", Some(1_500_000_000), None, None),
            ("[Mon Nov 30 12:31:42 2026] BUG: x", None, None, None),
            ("[  +0.000012] BUG: x", None, None, None),
            ("2026-11-30T12:31:42,123456+00:00 BUG: x", None, None, None),
            ("kern  :alert : [    1.500000] BUG: x", Some(1_500_000_000), Some(1), None),
            ("1,339,1500000,-;BUG: x", Some(1_500_000_000), Some(1), None),
            ("6.4.0,1,339,1500000,-,caller=T123;BUG: x", Some(1_500_000_000), Some(1), thread),
            ("Nov 30 12:31:42 host kernel: BUG: x", None, None, None),
            ("Nov  3 12:31:42 host kernel: [    1.500000] BUG: x", Some(1_500_000_000), None, None),
            (
                "2026-11-30T12:31:42.123456+00:00 host kernel: [    1.500000] BUG: x",
                Some(1_500_000_000),
                None,
                None,
            ),
            ("[    1.500000] host kernel: BUG: x", Some(1_500_000_000), None, None),
        ] {
            let found = one(line);
            assert_eq!(
                (found.text.as_str(), found.ts_nsec, found.level, found.caller_id, found.facility),
                ("BUG: x", ts, level, caller, 0),
                "{line}"
            );
        }
    }

    #[test]
    fn what_user_space_wrote_is_told_from_the_kernel_s() {
        for line in [
            "Nov 30 12:31:42 host systemd[1]: Kernel panic - not syncing: a joke",
            "<30>[    1.500000] systemd[1]: x",
            "30,339,1500000,-;systemd[1]: x",
            "daemon:info  : [    1.500000] systemd[1]: x",
        ] {
            assert_ne!(one(line).facility, 0, "{line}");
        }
    }

    #[test]
    fn a_line_that_was_cut_has_two_messages() {
        let texts =
            |text: &str| messages(text.as_bytes()).records.into_iter().map(|r| r.text).collect::<Vec<_>>();
        assert_eq!(
            texts("login: [    1.500000] BUG: x"),
            ["BUG: x"],
            "what a login wrote is none of the kernel's"
        );
        assert_eq!(texts("[    1.500000] a<6>[    1.600000] b"), ["a", "b"]);
        assert_eq!(texts("Oops#1 Part2\n<4>[    1.500000] a\n\n \n"), ["a"]);
        // registers and symbols are no times
        assert_eq!(texts("[<ffffffff81000000>] f+0x1/0x2 [m]"), ["[<ffffffff81000000>] f+0x1/0x2 [m]"]);
        assert_eq!(texts("[drm] x [1.5] y"), ["[drm] x [1.5] y"]);
    }

    #[test]
    fn noise_is_bounded() {
        let long = [vec![b'x'; 5 << 20], b"\n[    1.500000] BUG: x\n".to_vec()].concat();
        let log = messages(&long);
        assert_eq!((log.records.len(), log.records[0].text.len()), (2, MAX_LINE));
        assert_eq!(log.records[1].text, "BUG: x");
        let noise: Vec<u8> = (0..1 << 16).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let _ = messages(&noise);
        let open = "[".repeat(1 << 16);
        assert_eq!(messages(open.as_bytes()).records.len(), 1);
    }
}
