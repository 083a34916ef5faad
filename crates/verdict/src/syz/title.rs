//! The title of a report, and why a report cannot be whole.

use super::frames;
use super::table::{Form, Oops, Table, any};
use super::text::starts_stack;
use regex_lite::Regex;

/// A title, as the first form that fits gives it.
pub(super) struct Described<'t> {
    pub(super) title: String,
    pub(super) corrupted: Option<String>,
    form: Option<&'t Form>,
}

/// Finds the form whose title stands first in the text.
pub(super) fn describe<'t>(text: &str, oops: &'t Oops, table: &Table) -> Option<Described<'t>> {
    let mut best: Option<Described<'t>> = None;
    let (mut start, mut is_titled) = (text.len(), false);
    for form in &oops.forms {
        let Some(title) = form.title.get().and_then(|regex| regex.captures(text)) else { continue };
        let at = title.get(0).map_or(0, |whole| whole.start());
        if at > start || at == start && best.is_some() {
            continue;
        }
        if at < start {
            (best, start) = (None, at);
        }
        is_titled = true;
        let found = match &form.report {
            None => Some(title),
            Some(report) => report.get().and_then(|regex| regex.captures(text)),
        };
        let Some(found) = found else { continue };
        let from = found.get(0).map_or(0, |whole| whole.start());
        let mut words: Vec<String> = (1..found.len())
            .map(|n| found.get(n).map_or_else(String::new, |word| word.as_str().to_owned()))
            .collect();
        let mut corrupted = None;
        if let Some(stack) = &form.stack {
            let (named, is_whole) = frames::named(text.get(from..).unwrap_or_default(), stack, table);
            words.extend(named);
            if !is_whole {
                corrupted = Some("no frames of its stack are left".to_owned());
            }
        }
        best = Some(Described { title: filled(&form.says, &words), corrupted, form: Some(form) });
    }
    let mut out = match best {
        Some(best) => best,
        None => {
            let line = text.lines().find_map(|line| line.find(&oops.header).and_then(|at| line.get(at..)))?;
            let corrupted = is_titled.then(|| "its head is there, the rest is not".to_owned());
            Described { title: line.to_owned(), corrupted, form: None }
        }
    };
    if out.corrupted.is_none() && out.form.is_some_and(|form| form.corrupted) {
        out.corrupted = Some("only the end of a report, or the begin of one".to_owned());
    }
    Some(out)
}

/// `{1}` is the first word.
fn filled(says: &str, words: &[String]) -> String {
    let mut out = says.to_owned();
    for (n, word) in words.iter().enumerate() {
        out = out.replace(&format!("{{{}}}", n.saturating_add(1)), word);
    }
    out
}

/// Why a report's text is not whole: a time in its title, a stack without frames.
pub(super) fn corruption(described: &Described<'_>, text: &str, table: &Table) -> Option<String> {
    if Regex::new(r"\[ *[0-9]+\.[0-9]+\]").is_ok_and(|time| time.is_match(&described.title)) {
        return Some("another message stands in its title".to_owned());
    }
    let form = described.form?;
    if form.no_stack {
        return None;
    }
    let mut has_stack = false;
    for (n, start) in table.stack_starts.iter().enumerate() {
        let Some(found) = start.get().and_then(|regex| regex.find(text)) else { continue };
        let lines: Vec<&str> = text.get(found.start()..).unwrap_or_default().split('\n').collect();
        if lines.len() < 4 {
            return Some("its stack is missing".to_owned());
        }
        let next = lines.iter().skip(1).take(15).take_while(|line| !starts_stack(line, table));
        let has_frame = next
            .into_iter()
            .any(|line| line.contains("(stack is not available)") || any(&table.frames, line));
        has_stack |= has_frame;
        // where registers are shown in the middle of one a machine's stack has no head
        let is_headless = n.saturating_add(1) == table.stack_starts.len();
        if !has_frame && !is_headless {
            return Some("a stack of it has no frames".to_owned());
        }
    }
    (!has_stack).then(|| "it has no stack".to_owned())
}

/// What changes from one machine to the next is left out, and what would not be a line.
pub(super) fn stable(title: &str) -> String {
    const REPLACED: &[(&str, &str)] = &[
        (r"syz-executor\.?[0-9]+((/|:)[0-9]+)?", "syz-executor"),
        (r"syzkaller[0-9]+((/|:)[0-9]+)?", "syzkaller"),
        (r"([^a-zA-Z0-9])(?:0x)?[0-9a-f]{6,}", "${1}ADDR"),
        (r"([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})", "IP"),
        (r"(\.\w+)(:[0-9]+)+", "${1}:LINE"),
        (r"([a-zA-Z][a-zA-Z0-9_.]+)\+0x[0-9a-z]+/0x[0-9a-z]+", "${1}"),
        (r"CPU#[0-9]+", "CPU"),
        (r"(\W)(\d+)(\W|$)", "${1}NUM${3}"),
        (r"(\d+){7,}", "NUM"),
    ];
    let mut out = title.to_owned();
    for (pattern, with) in REPLACED {
        let Ok(pattern) = Regex::new(pattern) else { continue };
        // matches can share a sign
        for _ in 0..100 {
            let next = pattern.replace_all(&out, *with).into_owned();
            if next == out {
                break;
            }
            out = next;
        }
    }
    one_line(&out)
}

fn one_line(title: &str) -> String {
    /// A line that is mixed with others can be very long.
    const MOST: usize = 120;
    let mut out = String::new();
    for c in title.bytes().take(MOST).map(|byte| if byte == b'\t' { b' ' } else { byte }) {
        let c = char::from(c);
        if c.is_ascii_graphic() || c == ' ' && !(out.is_empty() || out.ends_with(' ')) {
            out.push(c);
        }
    }
    out.trim().to_owned()
}
