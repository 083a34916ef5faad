//! Servers that let a session wait in vain: the next sessions do not wait for them again.
//!
//! The note is a file in the cache that all clients share, a line a server: the time in seconds, a blank, the URL. Other
//! clients do not know it and leave it alone. It counts as long as the note that no server has a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A wait that is worth a note. A server that refuses at once costs nothing to ask again.
const WAIT: Duration = Duration::from_secs(1);
/// More than there are servers.
const MAX: u64 = 1 << 16;

fn path(cache: &Path) -> PathBuf {
    cache.join("crashlens-unreachable")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// The notes: when, and which server.
fn read(cache: &Path) -> Vec<(u64, String)> {
    let path = path(cache);
    if !path.metadata().is_ok_and(|m| m.len() <= MAX) {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let line =
        |line: &str| line.split_once(' ').and_then(|(at, url)| Some((at.parse().ok()?, url.to_owned())));
    text.lines().filter_map(line).collect()
}

/// Why the server is not asked, where it stayed silent less than `valid` seconds ago.
pub(super) fn noted(cache: &Path, server: &str, valid: u64) -> Option<String> {
    let at = read(cache).into_iter().filter(|(_, url)| url == server).map(|(at, _)| at).max()?;
    let age = now().checked_sub(at).filter(|age| *age < valid)?;
    let left = valid.saturating_sub(age).div_ceil(60);
    let path = path(cache);
    let when = match age / 60 {
        0 => "less than a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    };
    Some(format!(
        "did not answer {when}; asked again in {left} minutes, or at once without {}",
        path.display()
    ))
}

/// Notes that a server was waited for so long in vain. Without the note the next session waits again: no error.
pub(super) fn note(cache: &Path, server: &str, waited: Duration) {
    if waited < WAIT {
        return;
    }
    let mut all = read(cache);
    all.retain(|(_, url)| url != server);
    all.push((now(), server.to_owned()));
    let text: String = all.iter().map(|(at, url)| format!("{at} {url}\n")).collect();
    let _ = fs::write(path(cache), text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stayed_silent_is_left_alone_for_a_while() {
        let cache = tempfile::tempdir().unwrap();
        let (cache, long) = (cache.path(), Duration::from_secs(10));
        note(cache, "http://a", Duration::from_millis(5));
        assert_eq!(noted(cache, "http://a", 600), None, "a refusal at once");
        note(cache, "http://a", long);
        note(cache, "http://b", long);
        let why = noted(cache, "http://a", 600).unwrap();
        assert!(why.starts_with("did not answer less than a minute ago; asked again in 10 minutes"), "{why}");
        assert_eq!((noted(cache, "http://c", 600), noted(cache, "http://a", 0)), (None, None));
        // an old note, and one of a clock that was put back
        for at in [now() - 700, now() + 700] {
            fs::write(path(cache), format!("{at} http://a\nrubbish\n")).unwrap();
            assert_eq!(noted(cache, "http://a", 600), None);
        }
        note(cache, "http://a", long);
        assert_eq!(read(cache).len(), 1, "one note a server");
    }
}
