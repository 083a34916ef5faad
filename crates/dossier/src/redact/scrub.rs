//! Replaces in text: known names, and what looks like an address, a path, a quoted text.

use crate::class::Class;
use regex_lite::{Captures, Regex};
use std::collections::{BTreeMap, BTreeSet};

/// A pattern: its class, the expression, the group that is replaced, and what stands there then.
type Rule = (Class, &'static str, usize, &'static str);

/// What names a process, where it need not be among the tasks any more.
const PROCESS: &str = "[process]";

/// In this order: what is long before what may be a part of it.
const RULES: &[Rule] = &[
    (Class::CommandLines, r"(?i)command line(?: parameters)?:? (.*)$", 1, "[command line]"),
    (Class::CommandLines, r"(?i)user-space, and will be passed to .*:(.*)$", 1, " [command line]"),
    (Class::CommandLines, r"(?i)Run (\S+) as init process", 1, "[path]"),
    (Class::Environment, r"^\s*([A-Z_][A-Z0-9_]*=.*)$", 1, "[environment]"),
    (Class::UserData, r#""([^"]*)""#, 1, "[text]"),
    (Class::UserData, r"Code: (.*)$", 1, "[code]"),
    (Class::UserData, r"audit: (.*)$", 1, "[audit record]"),
    (Class::Names, r"(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", 0, "[uuid]"),
    (Class::Names, r"(?i)\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b", 0, "[network address]"),
    (Class::Names, r"\b\d{1,3}(?:\.\d{1,3}){3}\b", 0, "[network address]"),
    (Class::Names, r"(?i)\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", 0, "[network address]"),
    (
        Class::Names,
        r"(?i)\b(?:[0-9a-f]{1,4}:)*[0-9a-f]{1,4}::(?:[0-9a-f]{1,4}:)*[0-9a-f]{1,4}\b",
        0,
        "[network address]",
    ),
    (Class::Names, r"(?i)(?:SerialNumber|serial(?: number)?):? (\S+)", 1, "[serial number]"),
    (Class::Names, r#"(?:^|[\s"'=(\[,:<])(/[A-Za-z0-9_.@%+~-][^\s"'),;\]>]*)"#, 1, "[path]"),
    (Class::Names, r"Comm: (\S+)", 1, PROCESS),
    (Class::Names, r"\btask (\S+):\d+", 1, PROCESS),
    (Class::Names, r"(?i)\bprocess \d+ \(([^)]*)\)", 1, PROCESS),
    (Class::Names, r"^(\S+)\[\d+\]: ", 1, PROCESS),
    (Class::Names, r"^\[\s*\d+\](?:\s+-?\d+){5,}\s+(\S+)$", 1, PROCESS),
    (Class::Addresses, r"\b0x[0-9a-fA-F]{6,}\b", 0, "[address]"),
    (Class::Addresses, r"\b[0-9a-fA-F]{12,}\b", 0, "[address]"),
    // a register holds an address or anything else
    (Class::UserData, r"\b0x[0-9a-fA-F]{6,}\b", 0, "[value]"),
    (Class::UserData, r"\b[0-9a-fA-F]{12,}\b", 0, "[value]"),
];

/// Replaces in text.
pub(crate) struct Scrub {
    rules: Vec<(Class, Regex, usize, &'static str)>,
    /// The longest first, so that no part of one is replaced before it.
    names: Vec<(String, String)>,
    /// Names of processes that stay.
    kernel_threads: BTreeSet<String>,
}

impl Scrub {
    /// For these classes: `names` are replaced wherever they stand as a word.
    pub(crate) fn new(
        classes: &BTreeSet<Class>,
        names: BTreeMap<String, String>,
        kernel_threads: BTreeSet<String>,
    ) -> Self {
        let rules = RULES.iter().filter(|(class, ..)| classes.contains(class));
        let rules = rules.filter_map(|(class, rule, group, instead)| {
            Some((*class, Regex::new(rule).ok()?, *group, *instead))
        });
        let mut names: Vec<(String, String)> = names.into_iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { rules: rules.collect(), names, kernel_threads }
    }

    /// The text without what is to be left out; `count` is told of each place.
    pub(crate) fn text(&self, text: &str, count: &mut dyn FnMut(Class)) -> String {
        let mut out = text.to_owned();
        for (class, rule, group, instead) in &self.rules {
            if rule.is_match(&out) {
                out = self.replace(&out, rule, *group, instead, &mut || count(*class));
            }
        }
        for (name, instead) in &self.names {
            if out.contains(name.as_str()) {
                out = words_replaced(&out, name, instead, &mut || count(Class::Names));
            }
        }
        out
    }

    fn replace(
        &self,
        text: &str,
        rule: &Regex,
        group: usize,
        instead: &str,
        count: &mut dyn FnMut(),
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for found in rule.captures_iter(text) {
            let Some(part) =
                found.get(group).filter(|part| part.start() >= from && !part.as_str().is_empty())
            else {
                continue;
            };
            if self.stays(&found, group, instead) {
                continue;
            }
            count();
            out.push_str(text.get(from..part.start()).unwrap_or_default());
            out.push_str(self.instead(part.as_str(), instead));
            from = part.end();
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }

    /// A thread of the kernel has the kernel's own name; `</TASK>` is the end of a trace and no path.
    fn stays(&self, found: &Captures<'_>, group: usize, instead: &str) -> bool {
        let name = found.get(group).map_or("", |part| part.as_str());
        let is_mark = || {
            found.get(0).is_some_and(|whole| whole.as_str().starts_with('<'))
                && name
                    .strip_prefix('/')
                    .is_some_and(|mark| mark.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        match instead {
            PROCESS => self.kernel_threads.contains(name) || name.starts_with("swapper/"),
            "[path]" => is_mark(),
            _ => false,
        }
    }

    /// A process that is among the tasks has one name everywhere.
    fn instead<'a>(&'a self, part: &str, otherwise: &'a str) -> &'a str {
        let known = self.names.iter().find(|(name, _)| otherwise == PROCESS && name == part);
        known.map_or(otherwise, |(_, instead)| instead.as_str())
    }
}

/// Replaces a name where it stands as a word of its own.
fn words_replaced(text: &str, name: &str, instead: &str, count: &mut dyn FnMut()) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    // a name that ends in a sign is not continued by a letter
    let joins =
        |inner: Option<char>, outer: Option<char>| inner.is_some_and(is_part) && outer.is_some_and(is_part);
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(name) {
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
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(instead);
        from = end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(names: &[(&str, &str)]) -> Scrub {
        let names = names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let threads = BTreeSet::from(["kworker/0:1".to_owned()]);
        Scrub::new(&Class::ALL.into_iter().collect(), names, threads)
    }

    #[test]
    fn every_rule_is_one() {
        for (_, rule, ..) in RULES {
            Regex::new(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        }
    }

    #[test]
    fn what_is_of_the_machine_goes_and_what_is_of_the_death_stays() {
        let scrub = scrub(&[("db7", "[host]"), ("oracle", "process-1")]);
        for (text, left) in [
            (
                "kernel BUG at drivers/virtio/virtio_ring.c:550!",
                "kernel BUG at drivers/virtio/virtio_ring.c:550!",
            ),
            (
                "RIP: 0010:virtqueue_add_split+0x3d4/0x5b0 [virtio_ring]",
                "RIP: 0010:virtqueue_add_split+0x3d4/0x5b0 [virtio_ring]",
            ),
            (
                "CPU: 1 PID: 261 Comm: oracle Tainted: G           OE",
                "CPU: 1 PID: 261 Comm: process-1 Tainted: G           OE",
            ),
            ("CPU: 1 PID: 9 Comm: kworker/0:1 Not tainted", "CPU: 1 PID: 9 Comm: kworker/0:1 Not tainted"),
            ("CPU: 1 PID: 9 Comm: gone Not tainted", "CPU: 1 PID: 9 Comm: [process] Not tainted"),
            ("RDX: ff1aa6bd13f33c00 RSI: 0000000000000080", "RDX: [address] RSI: [address]"),
            ("Command line: root=UUID=1 password=hunter2", "Command line: [command line]"),
            (
                "eth0: link up, 10.0.0.17 (52:54:00:12:34:56)",
                "eth0: link up, [network address] ([network address])",
            ),
            ("fe80::5054:ff:fe12:3456 on eth0", "[network address] on eth0"),
            ("device name is \"secret\"", "device name is \"[text]\""),
            ("of /srv/alice/a.txt, O_DIRECT", "of [path], O_DIRECT"),
            (
                "</TASK> and </IRQ> end a trace, </srv/x> does not",
                "</TASK> and </IRQ> end a trace, <[path]> does not",
            ),
            (
                "db7 is db77's friend, oracle_x is not oracle",
                "[host] is db77's friend, oracle_x is not process-1",
            ),
            ("Killed process 44 (alice-job) total-vm:1kB", "Killed process 44 ([process]) total-vm:1kB"),
            ("alice-job[44]: segfault at 0 ip 00007f0000001000", "[process][44]: segfault at 0 ip [address]"),
            ("Code: 48 8b 05 00", "Code: [code]"),
            ("usb 1-1: SerialNumber: 4C53", "usb 1-1: SerialNumber: [serial number]"),
            ("ext4 uuid 0b1c2d3e-0000-1111-2222-333344445555", "ext4 uuid [uuid]"),
            ("Call Trace: schedule+0x5a/0xe0 12:34:56", "Call Trace: schedule+0x5a/0xe0 12:34:56"),
        ] {
            let mut count = 0;
            assert_eq!(scrub.text(text, &mut |_| count += 1), left);
            assert_eq!(count > 0, text != left, "{text}");
        }
    }
}
