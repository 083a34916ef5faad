//! A limit of time or memory, as it is written.

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
