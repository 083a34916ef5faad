//! Rules of every file: how large it may be, and that it names no machine but the reader's.

use super::Finding;

/// Bytes a file may have.
const LARGEST: u64 = 20 << 20;
/// Bytes that all samples' dumps may have, each.
const LARGEST_SAMPLE: u64 = 25 << 20;

/// A file that is too large to live in the repository.
pub(crate) fn size(path: &str, bytes: u64) -> Option<Finding> {
    let limit = if path.starts_with("samples/") { LARGEST_SAMPLE } else { LARGEST };
    (bytes > limit).then(|| {
        Finding::new(path, format!("{} MiB: files here have at most {} MiB", bytes >> 20, limit >> 20))
    })
}

/// Folders that exist on one machine only. Written in halves, so that this file does not hold them.
const PLACES: &[&[&str]] = &[&["/wo", "rk/"], &["/tmp", "/w/"], &["/ho", "me/"], &["/ro", "ot/."]];

/// Lines that name such a folder.
pub(crate) fn words(path: &str, text: &str) -> Vec<Finding> {
    if path == "Cargo.lock" || path.ends_with(".truth.json") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for place in PLACES.iter().map(|halves| halves.concat()) {
            if starts_a_path(line, &place) {
                let at = format!("{path}:{}", number + 1);
                findings.push(Finding::new(at, format!("{place} is a place of one machine")));
            }
        }
    }
    findings
}

/// Whether `place` stands in the line as the start of a path, not in the middle of one.
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "./_-~}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_found() {
        assert_eq!(size("a.rs", LARGEST), None);
        assert!(size("a.rs", LARGEST + 1).is_some());
        assert_eq!(size("samples/a", LARGEST_SAMPLE), None);
        assert!(size("samples/a", LARGEST_SAMPLE + 1).is_some());
    }

    #[test]
    fn places_of_one_machine_are_found() {
        let place = PLACES[0].concat();
        let found = words("a.md", &format!("fine\nsee {place}x"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, "a.md:2");
        assert!(words("a.md", &format!("target{place}x ~{place} ./{place}")).is_empty());
        assert!(words("Cargo.lock", &place).is_empty());
    }
}
