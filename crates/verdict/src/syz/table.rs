//! The forms of reports, read once from `forms.toml`.

use regex_lite::Regex;
use serde::Deserialize;
use std::sync::LazyLock;

/// What patterns have in common.
const MACROS: &[(&str, &str)] = &[
    (
        "{{RIP}}",
        r"(?:IP|NIP|pc |PC is at):? (?:(?:[0-9]+:)?(?:{{PC}} +){0,2}{{FUNC}}|(?:[0-9]+:)?0x[0-9a-f]+|(?:[0-9]+:)?{{PC}} +\[< *\(null\)>\] +\(null\)|[0-9]+: +\(null\))",
    ),
    ("{{CALL}}", r"(?:Call (?:T|t)race:)|(?:Backtrace:)"),
    ("{{PC}}", r"\[<?(?:0x)?[0-9a-f]+>?\]"),
    ("{{FUNC}}", r"([a-zA-Z0-9_]+)(?:\.|\+)"),
    ("{{SRC}}", r"([a-zA-Z0-9-_/.]+\.[a-z]+:[0-9]+)"),
    ("{{TASK}}", r"[\s\S]{0,100}?"),
    // an edge of a word elsewhere
    (r"\<", "<"),
    (r"\>", ">"),
];

/// A pattern, compiled when it is first asked.
#[derive(Debug)]
pub(super) struct Pattern(LazyLock<Option<Regex>, Box<dyn FnOnce() -> Option<Regex> + Send>>);

impl Pattern {
    fn new(text: &str) -> Self {
        let mut text = text.to_owned();
        for (short, long) in MACROS {
            text = text.replace(short, long);
        }
        Self(LazyLock::new(Box::new(move || Regex::new(&text).ok())))
    }
    /// The pattern; `None` where it is none, which a test denies.
    pub(super) fn get(&self) -> Option<&Regex> {
        self.0.as_ref()
    }
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.get().is_some_and(|regex| regex.is_match(text))
    }
}

/// One step of the search for the frame to blame.
#[derive(Debug)]
pub(super) enum Part {
    /// A stack trace.
    Trace,
    /// A line of this pattern, whose groups are frames.
    Line(Pattern),
}

/// Which frame of a stack is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Chosen {
    /// The first.
    #[default]
    First,
    /// Of a loop: what it is called by.
    Stall,
    /// Of a task that waits: what made it wait.
    Hang,
}

/// How the frames of a report are found.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) parts: Vec<Part>,
    /// Where those are not there.
    pub(super) parts2: Vec<Part>,
    /// What no frame of it may hold.
    pub(super) skip: Pattern,
    pub(super) chosen: Chosen,
}

/// A form of a report.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) title: Pattern,
    pub(super) report: Option<Pattern>,
    pub(super) says: String,
    pub(super) stack: Option<Stack>,
    pub(super) no_stack: bool,
    pub(super) corrupted: bool,
}

/// Reports that begin alike.
#[derive(Debug)]
pub(super) struct Oops {
    pub(super) header: String,
    pub(super) suppress: Vec<Pattern>,
    pub(super) forms: Vec<Form>,
}

impl Oops {
    /// True for a line with which such a report begins.
    pub(super) fn begins(&self, line: &str) -> bool {
        line.contains(&self.header) && !any(&self.suppress, line)
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) oopses: Vec<Oops>,
    pub(super) stack_starts: Vec<Pattern>,
    pub(super) frames: Vec<Pattern>,
    pub(super) corrupted_lines: Vec<Pattern>,
    pub(super) prefixes: Vec<String>,
    pub(super) stall_anchors: Vec<Pattern>,
    pub(super) not_guilty: Vec<Pattern>,
}

/// True where one of the patterns is in the text.
pub(super) fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_in(text))
}

#[derive(Deserialize)]
struct Written {
    stack_starts: Vec<String>,
    frames: Vec<String>,
    corrupted_lines: Vec<String>,
    prefixes: Vec<String>,
    skip: Vec<String>,
    stall_anchors: Vec<String>,
    not_guilty: Vec<String>,
    oops: Vec<WrittenOops>,
}

#[derive(Deserialize)]
struct WrittenOops {
    header: String,
    #[serde(default)]
    suppress: Vec<String>,
    form: Vec<WrittenForm>,
}

#[derive(Deserialize)]
struct WrittenForm {
    title: String,
    report: Option<String>,
    says: String,
    #[serde(default)]
    no_stack: bool,
    #[serde(default)]
    corrupted: bool,
    #[serde(default)]
    parts: Vec<String>,
    #[serde(default)]
    parts2: Vec<String>,
    #[serde(default)]
    skip: Vec<String>,
    #[serde(default)]
    frame: Chosen,
}

impl Table {
    /// The table.
    pub(super) fn get() -> &'static Self {
        static TABLE: LazyLock<Table> = LazyLock::new(|| {
            // a test reads it
            toml::from_str(include_str!("forms.toml")).map_or_else(|_| Table::empty(), Table::of)
        });
        &TABLE
    }

    const fn empty() -> Self {
        Self {
            oopses: Vec::new(),
            stack_starts: Vec::new(),
            frames: Vec::new(),
            corrupted_lines: Vec::new(),
            prefixes: Vec::new(),
            stall_anchors: Vec::new(),
            not_guilty: Vec::new(),
        }
    }

    fn of(written: Written) -> Self {
        let all = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        let oops = |oops: WrittenOops| Oops {
            header: oops.header,
            suppress: all(&oops.suppress),
            forms: oops.form.into_iter().map(|form| form.into_form(&written.skip)).collect(),
        };
        Self {
            oopses: written.oops.into_iter().map(oops).collect(),
            stack_starts: all(&written.stack_starts),
            frames: all(&written.frames),
            corrupted_lines: all(&written.corrupted_lines),
            prefixes: written.prefixes,
            stall_anchors: all(&written.stall_anchors),
            not_guilty: all(&written.not_guilty),
        }
    }
}

impl WrittenForm {
    fn into_form(self, skip: &[String]) -> Form {
        let parts = |texts: &[String]| {
            let part = |text: &String| match text.as_str() {
                "TRACE" => Part::Trace,
                text => Part::Line(Pattern::new(text)),
            };
            texts.iter().map(part).collect::<Vec<_>>()
        };
        let stack = (!self.parts.is_empty()).then(|| Stack {
            parts: parts(&self.parts),
            parts2: parts(&self.parts2),
            skip: Pattern::new(&[skip, &self.skip].concat().join("|")),
            chosen: self.frame,
        });
        Form {
            title: Pattern::new(&self.title),
            report: self.report.as_deref().map(Pattern::new),
            says: self.says,
            stack,
            no_stack: self.no_stack,
            corrupted: self.corrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_every_pattern_is_one() {
        toml::from_str::<Written>(include_str!("forms.toml")).unwrap();
        let table = Table::get();
        assert!(table.oopses.len() > 20);
        let lists = [
            &table.stack_starts,
            &table.frames,
            &table.corrupted_lines,
            &table.stall_anchors,
            &table.not_guilty,
        ];
        assert!(
            lists.iter().all(|list| !list.is_empty() && list.iter().all(|pattern| pattern.get().is_some()))
        );
        for form in table.oopses.iter().flat_map(|oops| &oops.forms) {
            assert!(
                form.title.get().is_some() && form.report.as_ref().is_none_or(|p| p.get().is_some()),
                "{}",
                form.says
            );
            let Some(stack) = &form.stack else { continue };
            let lines = stack.parts.iter().chain(&stack.parts2).filter_map(|part| match part {
                Part::Line(pattern) => Some(pattern),
                Part::Trace => None,
            });
            assert!(
                stack.skip.get().is_some() && lines.into_iter().all(|p| p.get().is_some()),
                "{}",
                form.says
            );
        }
        assert!(table.oopses.iter().all(|oops| oops.suppress.iter().all(|p| p.get().is_some())));
    }
}
