//! Replaces in text: known names, and what a kernel's messages show of a machine and its users.

use super::rules::{self, PATH, PROCESS, RULES, Rule};
use crate::class::Class;
use regex_lite::{Captures, Regex};
use std::collections::{BTreeMap, BTreeSet};

/// Replaces in text.
pub(crate) struct Scrub {
    rules: Vec<(&'static Rule, Regex)>,
    /// The longest first, so that no part of one is replaced before it.
    names: Vec<(String, String)>,
    /// Names of processes that stay.
    kernel_threads: BTreeSet<String>,
    /// Texts of crashlens' own that stay as they are.
    own: Vec<String>,
}

/// What stands for a text of our own while the rules look at what is around it.
const MARKS: [char; 2] = ['\u{e000}', '\u{e001}'];

impl Scrub {
    /// For these classes: `names` are replaced wherever they stand as a word.
    pub(crate) fn new(
        classes: &BTreeSet<Class>,
        names: BTreeMap<String, String>,
        kernel_threads: BTreeSet<String>,
    ) -> Self {
        let rules = RULES.iter().filter(|rule| classes.contains(&rule.class));
        let rules = rules.filter_map(|rule| Some((rule, Regex::new(rule.pattern).ok()?))).collect();
        let mut out = Self { rules, names: Vec::new(), kernel_threads, own: Vec::new() };
        out.put(names);
        out
    }

    /// With texts of our own, which hold nothing of the machine.
    pub(crate) fn keeping(mut self, mut own: Vec<String>) -> Self {
        own.retain(|text| !text.is_empty());
        own.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.own = own;
        self
    }

    /// Names that only this text tells: processes that ended before the machine did.
    pub(crate) fn learn<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        let mut found = BTreeSet::new();
        for line in texts.flat_map(str::lines) {
            for (rule, pattern) in self.rules.iter().filter(|(rule, _)| rule.instead == PROCESS) {
                let all =
                    line.contains(rule.needs).then(|| pattern.captures_iter(line)).into_iter().flatten();
                for name in all.filter_map(|all| all.get(rule.group)) {
                    if !self.stays(name.as_str(), rule, "")
                        && !self.names.iter().any(|(known, _)| known == name.as_str())
                    {
                        found.insert(name.as_str().to_owned());
                    }
                }
            }
        }
        let named = self.names.iter().filter(|(_, instead)| instead.starts_with("process-")).count();
        let number = |n: usize| format!("process-{}", named.saturating_add(n).saturating_add(1));
        self.put(found.into_iter().enumerate().map(|(n, name)| (name, number(n))).collect());
    }

    fn put(&mut self, names: BTreeMap<String, String>) {
        self.names.extend(names.into_iter().filter(|(name, _)| !rules::is_everywhere(name)));
        self.names.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    }

    /// The text without what is to be left out; `count` is told of each place.
    pub(crate) fn text(&self, text: &str, count: &mut dyn FnMut(Class)) -> String {
        // a cell with the name alone
        if let Some((_, instead)) = self.names.iter().find(|(name, _)| name == text) {
            count(Class::Names);
            return instead.clone();
        }
        let (marked, kept) = self.marked(text);
        let lines: Vec<String> = marked.split('\n').map(|line| self.line(line, count)).collect();
        let mut out = lines.join("\n");
        for (n, own) in kept {
            out = out.replace(&mark(n), own);
        }
        out
    }

    /// The text with marks in the place of what is our own.
    fn marked(&self, text: &str) -> (String, Vec<(usize, &str)>) {
        let mut out = text.replace(MARKS, "\u{fffd}");
        let mut kept = Vec::new();
        for (n, own) in self.own.iter().enumerate() {
            if out.contains(own.as_str()) {
                out = out.replace(own.as_str(), &mark(n));
                kept.push((n, own.as_str()));
            }
        }
        (out, kept)
    }

    fn line(&self, line: &str, count: &mut dyn FnMut(Class)) -> String {
        let mut out = line.to_owned();
        for (rule, pattern) in &self.rules {
            if out.contains(rule.needs) && pattern.is_match(&out) {
                out = self.replace(&out, rule, pattern, &mut || count(rule.class));
            }
        }
        for (name, instead) in &self.names {
            if rules::is_a_word_of_its_own(name) {
                let any_case = rules::ANY_CASE.contains(&instead.as_str());
                if let Some(new) = words_replaced(&out, name, instead, any_case, &mut || count(Class::Names))
                {
                    out = new;
                }
            }
        }
        out
    }

    fn replace(&self, text: &str, rule: &Rule, pattern: &Regex, count: &mut dyn FnMut()) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for found in pattern.captures_iter(text) {
            let Some(part) =
                found.get(rule.group).filter(|part| part.start() >= from && !part.as_str().is_empty())
            else {
                continue;
            };
            if self.stays(part.as_str(), rule, whole(&found)) {
                continue;
            }
            count();
            out.push_str(text.get(from..part.start()).unwrap_or_default());
            out.push_str(self.instead(part.as_str(), rule.instead));
            from = part.end();
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }

    /// A thread of the kernel has the kernel's own name, as the interrupt controller has; `</TASK>` is the end of a trace and no
    /// path. What was replaced already stays so.
    fn stays(&self, name: &str, rule: &Rule, whole: &str) -> bool {
        let is_mark = || {
            whole.starts_with('<')
                && name
                    .strip_prefix('/')
                    .is_some_and(|mark| mark.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        let is_done = name.starts_with('[') && name.ends_with(']') && !name.contains(' ')
            || name.strip_prefix("process-").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
        match rule.instead {
            PROCESS => {
                is_done
                    || self.kernel_threads.contains(name)
                    || rules::is_everywhere(name)
                    || name == "IOAPIC"
            }
            PATH => is_mark(),
            _ => is_done,
        }
    }

    /// A process that is among the tasks has one name everywhere.
    fn instead<'a>(&'a self, part: &str, otherwise: &'a str) -> &'a str {
        let known = self.names.iter().find(|(name, _)| otherwise == PROCESS && name == part);
        known.map_or(otherwise, |(_, instead)| instead.as_str())
    }
}

fn whole<'t>(found: &Captures<'t>) -> &'t str {
    found.get(0).map_or("", |whole| whole.as_str())
}

fn mark(n: usize) -> String {
    let [begin, end] = MARKS;
    format!("{begin}{n}{end}")
}

/// Replaces a name where it stands as a word of its own; `None` where it does not.
fn words_replaced(
    text: &str,
    name: &str,
    instead: &str,
    any_case: bool,
    count: &mut dyn FnMut(),
) -> Option<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    // a name that ends in a sign is not continued by a letter
    let joins =
        |inner: Option<char>, outer: Option<char>| inner.is_some_and(is_part) && outer.is_some_and(is_part);
    // letters of ASCII have one length in either case
    let lower = any_case.then(|| (text.to_ascii_lowercase(), name.to_ascii_lowercase()));
    let (within, sought) = lower.as_ref().map_or((text, name), |(text, name)| (text, name));
    let mut out = None;
    let mut from = 0;
    for (at, _) in within.match_indices(sought) {
        if at < from {
            continue;
        }
        let end = at.saturating_add(name.len());
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(end..).and_then(|text| text.chars().next());
        if joins(name.chars().next(), before) || joins(name.chars().next_back(), after) {
            continue;
        }
        count();
        let out = out.get_or_insert_with(|| String::with_capacity(text.len()));
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(instead);
        from = end;
    }
    let mut out = out?;
    out.push_str(text.get(from..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
#[path = "scrub_tests.rs"]
mod tests;
