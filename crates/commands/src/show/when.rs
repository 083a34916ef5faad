//! Times as crash writes them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `Sun Nov 22 22:32:30 UTC 2026`, in the reader's time zone.
#[must_use]
pub fn date(seconds: i64) -> String {
    date_in(seconds, TimeZone::system())
}

fn date_in(seconds: i64, zone: TimeZone) -> String {
    match Timestamp::from_second(seconds) {
        Ok(at) => at.to_zoned(zone).strftime("%a %b %e %H:%M:%S %Z %Y").to_string(),
        Err(_) => format!("(no date: {seconds} seconds since 1970)"),
    }
}

/// `12 days, 01:02:03`, or without days `01:02:03`.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60);
    if days > 0 { format!("{days} days, {clock}") } else { clock }
}

/// `0 00:00:00.015`: days, clock and milliseconds of so many nanoseconds.
pub(crate) fn ago(nsec: u64) -> String {
    let (seconds, milli) = (nsec / 1_000_000_000, nsec / 1_000_000 % 1000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!("{days} {:02}:{:02}:{:02}.{milli:03}", rest / 3600, rest % 3600 / 60, rest % 60)
}

/// Bytes as crash's banner gives them: `511.5 MB`, `1 GB`.
#[must_use]
pub fn memory(bytes: u64) -> String {
    let (unit, name) = if bytes >= 1 << 30 {
        (1_u64 << 30, "GB")
    } else if bytes >= 1 << 20 {
        (1 << 20, "MB")
    } else {
        (1 << 10, "KB")
    };
    let text = format!("{:.1}", bytes as f64 / unit as f64);
    format!("{} {name}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_durations() {
        assert_eq!(date_in(1_795_386_750, TimeZone::UTC), "Sun Nov 22 22:32:30 UTC 2026");
        assert_eq!(date_in(1, TimeZone::UTC), "Thu Jan  1 00:00:01 UTC 1970");
        assert!(date_in(i64::MAX, TimeZone::UTC).starts_with("(no date"));
        assert_eq!(duration(6), "00:00:06");
        assert_eq!(duration(915_279), "10 days, 14:14:39");
        assert_eq!(ago(15_999_999), "0 00:00:00.015");
        assert_eq!(ago(86_400 * 3_000_000_000), "3 00:00:00.000");
    }

    #[test]
    fn sizes() {
        assert_eq!(memory(536_342_528), "511.5 MB");
        assert_eq!(memory(1 << 30), "1 GB");
        assert_eq!(memory(17_073_741_824), "15.9 GB");
    }
}
