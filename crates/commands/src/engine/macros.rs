//! Macros of the shell: lines under a name, as gdb users write them.
//!
//! ```text
//! define waiters
//!   if $argc == 0
//!     echo waiters TASK: who waits for what TASK holds\n
//!   else
//!     bt $arg0
//!   end
//! end
//! document waiters
//! Who waits for what a task holds.
//! end
//! ```
//!
//! `$arg0` … and `$argc` are replaced as text before a line runs. `if` takes a C expression. There is no `while`: `foreach`,
//! `list`, `tree` and `repeat` go through things.

use crate::engine::number;
use crate::{Origin, Settings};
use inspect::SessionScope;
use kernel::Session;
use std::sync::Arc;

/// Lines that a macro may have.
const MOST_LINES: usize = 10_000;
/// `if` within `if`, so deep.
const DEPTH: usize = 64;

/// A macro.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Macro {
    /// What is typed.
    pub name: String,
    /// Its lines as they were written.
    pub lines: Vec<String>,
    /// What `document` says of it.
    pub about: Vec<String>,
    /// Where it was made.
    pub origin: Origin,
    steps: Arc<[Step]>,
}

/// A step of a macro.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A line to run.
    Line(String),
    /// One or the other.
    If {
        /// The condition.
        condition: String,
        /// Where it is true.
        then: Vec<Step>,
        /// Where it is not.
        otherwise: Vec<Step>,
    },
}

/// All macros, in the order of making.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Macros(Vec<Macro>);

impl Macros {
    /// The macro of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Macro> {
        self.0.iter().find(|known| known.name == name)
    }
    /// All, in the order of making.
    pub fn iter(&self) -> impl Iterator<Item = &Macro> {
        self.0.iter()
    }
}

impl Macro {
    /// What it does, one after the other.
    #[must_use]
    pub fn steps(&self) -> Arc<[Step]> {
        Arc::clone(&self.steps)
    }
}

/// What `define` and `document` read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Define,
    Document,
}

/// A macro, or what is said of one, while its lines are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    what: What,
    name: String,
    lines: Vec<String>,
    /// `if`s that no `end` has closed.
    open: usize,
    origin: Origin,
}

impl Draft {
    /// What a line begins to read; `None` for another line. `is_taken` says that a name is a command or an alias.
    ///
    /// # Errors
    /// The name cannot be a macro's, or there is no macro to say something of.
    pub fn begin(
        line: &str,
        macros: &Macros,
        origin: Origin,
        is_taken: &dyn Fn(&str) -> Option<&'static str>,
    ) -> Option<Result<Self, String>> {
        let mut words = line.split_whitespace();
        let what = match words.next()? {
            "define" => What::Define,
            "document" => What::Document,
            _ => return None,
        };
        let name = words.next().filter(|name| !name.starts_with('-'))?;
        if let Some(more) = words.next() {
            return Some(Err(format!(
                "{more}: the lines of {name} begin below, and arguments are $arg0, $arg1 …"
            )));
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !name.chars().all(is_word) {
            return Some(Err(format!("{name} is no name: letters, digits, _ and -")));
        }
        if let Some(taken) = is_taken(name).or_else(|| is_keyword(name).then_some("a word of macros")) {
            return Some(Err(format!("{name} is {taken}")));
        }
        if what == What::Document && macros.get(name).is_none() {
            return Some(Err(format!("there is no macro {name}: define it first")));
        }
        Some(Ok(Self { what, name: name.to_owned(), lines: Vec::new(), open: 0, origin }))
    }

    /// `define NAME`, for messages.
    #[must_use]
    pub fn title(&self) -> String {
        let word = if self.what == What::Define { "define" } else { "document" };
        format!("{word} {}", self.name)
    }

    /// Takes the next line; true where it was the last one.
    pub fn add(&mut self, line: &str) -> bool {
        let first = line.split_whitespace().next().unwrap_or_default();
        match (self.what, first) {
            (What::Define, "if" | "while") => self.open = self.open.saturating_add(1),
            (What::Define, "end") if self.open > 0 => self.open = self.open.saturating_sub(1),
            (_, "end") => return true,
            _ => {}
        }
        self.lines.push(line.to_owned());
        false
    }

    /// Keeps what was read.
    ///
    /// # Errors
    /// What is wrong with its lines; an older macro of its name stays.
    pub fn finish(self, macros: &mut Macros) -> Result<(), String> {
        if self.what == What::Document {
            if let Some(known) = macros.0.iter_mut().find(|known| known.name == self.name) {
                known.about = self.lines.iter().map(|line| line.trim().to_owned()).collect();
            }
            return Ok(());
        }
        if self.lines.len() > MOST_LINES {
            return Err(format!("{}: more than {MOST_LINES} lines", self.name));
        }
        let mut rest = self.lines.iter().enumerate();
        let (steps, ended) = steps(&mut rest, 0).map_err(|why| format!("{}: {why}", self.name))?;
        if ended != Closed::Lines {
            return Err(format!("{}: an else or end without if", self.name));
        }
        let about = macros.get(&self.name).map(|known| known.about.clone()).unwrap_or_default();
        macros.0.retain(|known| known.name != self.name);
        macros.0.push(Macro {
            name: self.name,
            lines: self.lines,
            about,
            origin: self.origin,
            steps: steps.into(),
        });
        Ok(())
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "define" | "document" | "end" | "if" | "else" | "while" | "loop_break" | "loop_continue" | "h" | "r"
    )
}

/// What closed some steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    Lines,
    Else,
    End,
}

type Lines<'l> = std::iter::Enumerate<std::slice::Iter<'l, String>>;

fn steps(lines: &mut Lines<'_>, depth: usize) -> Result<(Vec<Step>, Closed), String> {
    let mut out = Vec::new();
    while let Some((n, line)) = lines.next() {
        let at = n.saturating_add(1);
        let line = line.trim();
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match first {
            "end" => return Ok((out, Closed::End)),
            "else" => return Ok((out, Closed::Else)),
            "if" if rest.trim().is_empty() => return Err(format!("line {at}: if takes an expression")),
            "if" if depth >= DEPTH => return Err(format!("line {at}: if within if more than {DEPTH} deep")),
            "if" => {
                let inner = depth.saturating_add(1);
                let (then, closed) = steps(lines, inner)?;
                let (otherwise, closed) = match closed {
                    Closed::Else => steps(lines, inner)?,
                    other => (Vec::new(), other),
                };
                if closed != Closed::End {
                    return Err(format!("line {at}: this if has no end of its own"));
                }
                out.push(Step::If { condition: rest.trim().to_owned(), then, otherwise });
            }
            "while" | "loop_break" | "loop_continue" => {
                return Err(format!(
                    "line {at}: there is no {first}: foreach, list, tree and repeat go through things"
                ));
            }
            "define" | "document" => return Err(format!("line {at}: {first} within a macro")),
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => out.push(Step::Line(line.to_owned())),
        }
    }
    Ok((out, Closed::Lines))
}

/// A line with `$argN` and `$argc` replaced.
///
/// # Errors
/// An argument that was not given.
pub fn with_arguments(line: &str, args: &[String]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("$arg") {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let behind = from.get(4..).unwrap_or_default();
        let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
        let is_end = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some(after) = behind.strip_prefix('c').filter(|after| is_end(after)) {
            out.push_str(&args.len().to_string());
            rest = after;
        } else if !digits.is_empty() {
            let given = digits.parse::<usize>().ok().and_then(|n| args.get(n));
            let given = given
                .ok_or_else(|| format!("$arg{digits} was not given: there are {} arguments", args.len()))?;
            out.push_str(given);
            rest = behind.get(digits.len()..).unwrap_or_default();
        } else {
            out.push_str("$arg");
            rest = behind;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether C takes an expression for true, which can name `$1` and what `set $name` gave a value, and no register; without a
/// dump only numbers are known.
///
/// # Errors
/// It cannot be read, names what is not known, or needs memory that is not there.
pub fn condition(session: Option<&Session>, settings: &Settings, text: &str) -> Result<bool, String> {
    let Some(s) = session else {
        return match number::value(text, &|_| None) {
            Ok(n) => Ok(n != 0),
            Err(_) => {
                compared(text).ok_or_else(|| format!("{text}: without a dump, if compares two numbers"))
            }
        };
    };
    let scope = SessionScope {
        history: &settings.history,
        convenience: Some(&settings.convenience),
        ..SessionScope::new(s)
    };
    let value = inspect::eval(&scope, text).map_err(|e| format!("{text}: {e}"))?;
    value.truth(s.types(), s.mem()).map_err(|e| format!("{text}: {e}"))
}

/// `1 == 2` and its kin.
fn compared(text: &str) -> Option<bool> {
    let sign = ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|sign| text.contains(sign))?;
    let (left, right) = text.split_once(sign)?;
    let value = |text: &str| number::value(text.trim(), &|_| None).ok();
    let (left, right) = (value(left)?, value(right)?);
    Some(match sign {
        "==" => left == right,
        "!=" => left != right,
        "<=" => left <= right,
        ">=" => left >= right,
        "<" => left < right,
        _ => left > right,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(macros: &mut Macros, lines: &[&str]) -> Result<(), String> {
        let taken = |name: &str| (name == "ps").then_some("a command");
        let mut draft = Draft::begin(lines[0], macros, Origin::Runtime, &taken).unwrap()?;
        let ends: Vec<bool> = lines[1..].iter().map(|line| draft.add(line)).collect();
        assert_eq!(ends.iter().position(|end| *end), Some(ends.len() - 1), "{lines:?}");
        draft.finish(macros)
    }

    #[test]
    fn lines_up_to_end_become_steps() {
        let mut macros = Macros::default();
        let lines = ["define x", "  p $arg0", "# no step", "if $argc > 1", "ps", "else", "bt", "end", "end"];
        defined(&mut macros, &lines).unwrap();
        let x = macros.get("x").unwrap();
        let line = |text: &str| Step::Line(text.to_owned());
        let choice = Step::If {
            condition: "$argc > 1".to_owned(),
            then: vec![line("ps")],
            otherwise: vec![line("bt")],
        };
        assert_eq!(*x.steps(), [line("p $arg0"), choice]);
        defined(&mut macros, &["document x", " Prints, and more.", "end"]).unwrap();
        assert_eq!(macros.get("x").unwrap().about, ["Prints, and more."]);
        // what is said of it stays where its lines change
        defined(&mut macros, &["define x", "ps", "end"]).unwrap();
        assert_eq!((macros.get("x").unwrap().about.len(), macros.iter().count()), (1, 1));
    }

    #[test]
    fn what_is_wrong_is_told_and_changes_nothing() {
        let mut macros = Macros::default();
        for (lines, why) in [
            (&["define ps", "end"][..], "ps is a command"),
            (&["define 1x", "end"], "1x is no name"),
            (&["define if", "end"], "if is a word of macros"),
            (&["define x y", "end"], "y: the lines of x begin below"),
            (&["document x", "end"], "there is no macro x"),
            (&["define x", "while 1", "end", "end"], "line 1: there is no while"),
            (&["define x", "if", "end", "end"], "line 1: if takes an expression"),
            (&["define x", "else", "end"], "an else or end without if"),
            (&["define x", "if 1", "else", "else", "end", "end"], "line 1: this if has no end of its own"),
            (&["define x", "define y", "end"], "line 1: define within a macro"),
        ] {
            let told = defined(&mut macros, lines).unwrap_err();
            assert!(told.contains(why), "{lines:?}: {told}");
        }
        assert_eq!(macros.iter().count(), 0);
        let deep: Vec<String> = std::iter::once("define x".to_owned())
            .chain(std::iter::repeat_n("if 1".to_owned(), 100))
            .chain(std::iter::repeat_n("end".to_owned(), 101))
            .collect();
        let deep: Vec<&str> = deep.iter().map(String::as_str).collect();
        assert!(defined(&mut macros, &deep).unwrap_err().contains("64 deep"));
        assert!(Draft::begin("ps", &macros, Origin::Runtime, &|_| None).is_none());
        assert!(Draft::begin("define", &macros, Origin::Runtime, &|_| None).is_none());
    }

    #[test]
    fn arguments_are_text() {
        let args: Vec<String> = ["a", "b+1"].map(str::to_owned).into();
        let with = |line: &str| with_arguments(line, &args);
        assert_eq!(with("p $arg0->x + $arg1 # $argc").unwrap(), "p a->x + b+1 # 2");
        assert_eq!(with("p $arg0x $argcount $args é$arg0").unwrap(), "p ax $argcount $args éa");
        assert_eq!(with("p $arg2").unwrap_err(), "$arg2 was not given: there are 2 arguments");
        assert!(with("p $arg99999999999999999999").is_err());
    }

    #[test]
    fn without_a_dump_numbers_are_compared() {
        for (text, value) in
            [("1", true), ("0", false), ("2 == 2", true), ("1 >= 2", false), ("1 != 2", true)]
        {
            assert_eq!(condition(None, &Settings::default(), text), Ok(value), "{text}");
        }
        assert!(condition(None, &Settings::default(), "jiffies > 1").unwrap_err().contains("without a dump"));
    }
}
