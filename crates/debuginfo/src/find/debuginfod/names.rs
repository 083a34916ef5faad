//! What the environment's variables say, and how paths are written in URLs and in the cache.
//!
//! Source of the facts: debuginfod-client-config(7), debuginfod(8), RFC 3986.

/// The servers of `DEBUGINFOD_URLS`. Words like `ima:enforcing` set how strictly signatures are to be checked of the
/// servers behind them; since no signature is checked here, those with the strict rule are left out.
pub(super) fn urls(text: &str) -> Vec<String> {
    let mut strict = false;
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        match word.strip_prefix("ima:") {
            Some(policy) => strict = policy == "enforcing",
            None if strict => {}
            None => out.push(word.trim_end_matches('/').to_owned()),
        }
    }
    out
}

/// `Name: value`
pub(super) fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim();
    (!name.is_empty() && !name.contains(char::is_whitespace))
        .then(|| (name.to_owned(), value.trim().to_owned()))
}

/// A path as a part of a URL.
pub(super) fn percent(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"/-._~+".contains(&b) && b != b'+' {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}"); // a String takes everything
        }
        out
    })
}

/// A path as a file name: a hash (DJB's, times 33), then its end with `#` for what is not plain.
pub(super) fn escaped(path: &str) -> String {
    const MAX: usize = 126;
    let hash = path.bytes().fold(5381_u32, |h, b| h.wrapping_mul(33).wrapping_add(u32::from(b)));
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '#' };
    let tail: Vec<char> = path.bytes().map(|b| plain(char::from(b))).collect();
    let tail = tail.get(tail.len().saturating_sub(MAX - 9)..).unwrap_or_default();
    format!("{hash:08x}-{}", tail.iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::Debuginfod;
    use std::path::PathBuf;

    #[test]
    fn servers_and_their_rules() {
        assert_eq!(urls("https://a/ http://b:8002"), ["https://a", "http://b:8002"]);
        assert_eq!(
            urls("https://a ima:enforcing https://b ima:ignore https://c"),
            ["https://a", "https://c"]
        );
        assert!(urls("  ").is_empty() && Debuginfod::new(urls(""), PathBuf::new()).is_none());
    }

    #[test]
    fn names_in_urls_and_in_the_cache() {
        assert_eq!(percent("/usr/src/a b+c.c"), "/usr/src/a%20b%2Bc.c");
        let name = escaped("/usr/src/fs/open.c");
        assert_eq!(name.split_once('-').unwrap().1, "#usr#src#fs#open.c");
        assert_eq!(escaped(&format!("/{}/x.c", "d".repeat(300))).len(), 126);
        assert_ne!(escaped("/a[b"), escaped("/a]b"));
        assert_eq!(&escaped("a")[..8], format!("{:08x}", 5381 * 33 + 97));
        assert_eq!(header("X-Token: a:b "), Some(("X-Token".into(), "a:b".into())));
        assert_eq!(header("no header"), None);
    }
}
