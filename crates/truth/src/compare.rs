//! Two programs' texts side by side, and the differences that are known and why they are.
//!
//! A difference that no [`Class`] explains fails the test; those that one does are counted, and the test prints the
//! table. Blanks at the ends of lines do not count.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A kind of difference that is known.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// A few words.
    pub name: &'static str,
    /// Why the texts differ, and why crashlens's stands.
    pub why: &'static str,
    /// Whether this is it.
    pub rule: Rule,
}

/// How a difference is told.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// By the two answers as a whole.
    Answer(fn(&str, &str) -> bool),
    /// By two lines that stand at the same place.
    Line(fn(&str, &str) -> bool),
}

/// What was compared.
#[derive(Debug)]
pub struct Tally<'c> {
    classes: &'c [Class],
    /// Questions asked.
    pub asked: usize,
    /// Those with equal answers.
    pub equal: usize,
    explained: BTreeMap<&'static str, usize>,
    /// Those that differ without a reason, with the first lines that do.
    pub wrong: Vec<String>,
}

impl<'c> Tally<'c> {
    /// Nothing yet.
    #[must_use]
    pub const fn new(classes: &'c [Class]) -> Self {
        Self { classes, asked: 0, equal: 0, explained: BTreeMap::new(), wrong: Vec::new() }
    }

    /// Compares the answers to one question.
    pub fn compare(&mut self, question: &str, theirs: &str, ours: &str) {
        self.asked += 1;
        let (theirs, ours) = (trimmed(theirs), trimmed(ours));
        if theirs == ours {
            self.equal += 1;
            return;
        }
        match self.reasons(&theirs, &ours) {
            Ok(reasons) => {
                for name in reasons {
                    *self.explained.entry(name).or_default() += 1;
                }
            }
            Err((their, our)) => {
                self.wrong.push(format!("{question}\n    theirs: {their}\n    ours:   {our}"));
            }
        }
    }

    /// The classes that explain all differences, or the first lines without one.
    fn reasons(&self, theirs: &str, ours: &str) -> Result<Vec<&'static str>, (String, String)> {
        for class in self.classes {
            if let Rule::Answer(is) = class.rule
                && is(theirs, ours)
            {
                return Ok(vec![class.name]);
            }
        }
        let (count, other) = (theirs.lines().count(), ours.lines().count());
        let mut names = Vec::new();
        for (their, our) in theirs.lines().zip(ours.lines()).filter(|(their, our)| their != our) {
            let explains = |class: &&Class| matches!(class.rule, Rule::Line(is) if is(their, our));
            match self.classes.iter().find(explains) {
                Some(class) if !names.contains(&class.name) => names.push(class.name),
                Some(_) => {}
                None => return Err((their.to_owned(), our.to_owned())),
            }
        }
        if count == other { Ok(names) } else { Err((format!("{count} lines"), format!("{other} lines"))) }
    }

    /// How many differ by a class of this name.
    #[must_use]
    pub fn explained(&self, class: &Class) -> usize {
        self.explained.get(class.name).copied().unwrap_or_default()
    }

    /// How many of each.
    #[must_use]
    pub fn table(&self, title: &str) -> String {
        let mut text = format!("{title}: {} compared, {} equal\n", self.asked, self.equal);
        for class in self.classes {
            if let Some(count) = self.explained.get(class.name) {
                let _ = writeln!(text, "  {count:>5}  {}: {}", class.name, class.why);
            }
        }
        text
    }

    /// The differences without a reason.
    ///
    /// # Errors
    /// There are some; the text has the first of them.
    pub fn verdict(&self, title: &str) -> Result<(), String> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = self.wrong.iter().take(12).map(String::as_str).collect();
        Err(format!("{title}: {} of {} differ:\n  {}", self.wrong.len(), self.asked, shown.join("\n  ")))
    }
}

fn trimmed(text: &str) -> String {
    text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: &[Class] = &[
        Class { name: "case", why: "letters", rule: Rule::Line(|a, b| a.eq_ignore_ascii_case(b)) },
        Class { name: "none", why: "no answer", rule: Rule::Answer(|a, _| a == "none") },
    ];

    #[test]
    fn differences_are_explained_or_wrong() {
        let mut tally = Tally::new(CLASSES);
        tally.compare("1", "a \nb\n", "a\nb");
        tally.compare("2", "A\nb", "a\nB");
        tally.compare("3", "none", "x\ny");
        assert!(tally.verdict("t").is_ok());
        tally.compare("4", "a\nb", "a\nc");
        tally.compare("5", "a", "a\nc");
        assert_eq!((tally.asked, tally.equal, tally.wrong.len()), (5, 1, 2));
        assert!(tally.table("t").contains("1  case: letters\n"), "{}", tally.table("t"));
        assert!(tally.verdict("t").unwrap_err().contains("4\n    theirs: b\n    ours:   c"));
    }
}
