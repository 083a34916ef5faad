//! Text that a terminal shows and never obeys.
//!
//! A dump's names and messages may hold anything: a task may be called `ESC ]0;x BEL`. [`Clean`] is the only
//! text that a renderer or a message writes. It is made here alone, and what is no visible character stands in it as
//! crash's users read it: `\x1b`, `\n`, and `\u202e` beyond ASCII.

use std::borrow::Cow;
use std::fmt;

/// Which layout characters of a text are kept: those that crashlens wrote itself, or that are part of its layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// None: the text is one value in its column.
    #[default]
    Nothing,
    /// Tabs: a line of source, of the log.
    Tabs,
    /// Tabs and line ends: a value that was laid out in several lines, whose strings are escaped already.
    Lines,
}

/// Text without a character that a terminal, a pager or a browser acts on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clean<'a>(Cow<'a, str>);

impl<'a> Clean<'a> {
    /// A value: all that is not visible is escaped.
    #[must_use]
    pub fn of(text: impl Into<Cow<'a, str>>) -> Self {
        Self::keep(text, Keep::Nothing)
    }
    /// The same, with the layout characters that `keep` says.
    #[must_use]
    pub fn keep(text: impl Into<Cow<'a, str>>, keep: Keep) -> Self {
        let text = text.into();
        let bad = |c: char| acts(c) && !is_kept(c, keep);
        // nearly all text is plain ASCII
        if text.bytes().all(|b| (0x20..0x7f).contains(&b)) || !text.chars().any(bad) {
            return Self(text);
        }
        let mut out = String::with_capacity(text.len().saturating_add(16));
        for c in text.chars() {
            if bad(c) { escape(c, &mut out) } else { out.push(c) }
        }
        Self(Cow::Owned(out))
    }
    /// Text that is written in crashlens itself.
    #[must_use]
    pub const fn own(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Columns that it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.chars().count()
    }
    /// The text with `zeros` zeros before it.
    #[must_use]
    pub(crate) fn after_zeros(self, zeros: usize) -> Self {
        if zeros == 0 { self } else { Self(Cow::Owned("0".repeat(zeros) + &self.0)) }
    }
}

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const fn is_kept(c: char, keep: Keep) -> bool {
    match keep {
        Keep::Nothing => false,
        Keep::Tabs => c == '\t',
        Keep::Lines => matches!(c, '\t' | '\n'),
    }
}

/// True for a character that does something instead of being seen: control characters of ASCII and of Latin 1, line
/// and paragraph separators, what turns the direction of text, and what takes no room (Unicode's Cc, Zl, Zp, Cf).
#[must_use]
pub const fn acts(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}'
        | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn escape(c: char, out: &mut String) {
    let code = u32::from(c);
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if code < 0x80 => out.push_str(&format!("\\x{code:02x}")),
        _ if code < 0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
        _ => out.push_str(&format!("\\U{code:08x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_seen_instead() {
        for (text, shown) in [
            ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("\0\x08\x7f", "\\x00\\x08\\x7f"),
            ("\u{9b}31m", "\\u009b31m"),
            ("\u{202e}evil\u{2066}\u{200b}\u{feff}", "\\u202eevil\\u2066\\u200b\\ufeff"),
            ("a\u{2028}b\u{2029}c\u{85}", "a\\u2028b\\u2029c\\u0085"),
            ("\u{e0041}", "\\U000e0041"),
            ("Größe 大 \\x", "Größe 大 \\x"),
            ("", ""),
        ] {
            assert_eq!(Clean::of(text).as_str(), shown);
        }
    }

    #[test]
    fn no_character_of_the_categories_passes() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let text = c.to_string();
            let clean = Clean::of(text.as_str());
            assert!(!clean.as_str().chars().any(|c| c.is_control()), "{c:?}");
            assert_eq!(acts(c), clean.as_str() != text, "{c:?}");
        }
    }

    #[test]
    fn layout_is_kept_where_it_is_ours() {
        assert_eq!(Clean::keep("\ta\nb\x1b", Keep::Tabs).as_str(), "\ta\\nb\\x1b");
        assert_eq!(Clean::keep("\ta\nb\x1b", Keep::Lines).as_str(), "\ta\nb\\x1b");
        assert_eq!(Clean::of("\x1b").width(), 4);
    }
}
