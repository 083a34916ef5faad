//! Macros: their lines are read here, and run.

use crate::ended::Ended;
use crate::output::Output;
use crate::session::Shell;
use commands::{Draft, Origin, Step};
use kernel::Layers;

/// Macros that call macros, so deep.
const DEPTH: usize = 32;

impl Shell<'_> {
    /// Takes a line that is a part of a macro, or begins one; `None` for another line.
    pub(crate) fn drafted(&mut self, line: &str, out: &mut Output) -> Option<Ended> {
        if let Some(draft) = &mut self.draft {
            if !draft.add(line) {
                return Some(Ended::Good);
            }
            let draft = self.draft.take()?;
            let title = draft.title();
            return Some(match draft.finish(&mut self.settings.macros) {
                Ok(()) => Ended::Good,
                Err(why) => self.wrong(&title, &why, out),
            });
        }
        let aliases = &self.settings.aliases;
        let is_taken = |name: &str| match (commands::is_command(name), aliases.get(name)) {
            (true, _) => Some("a command"),
            (_, Some(_)) => Some("an alias"),
            _ => None,
        };
        let origin = self.settings.reading.unwrap_or(Origin::Runtime);
        match Draft::begin(line, &self.settings.macros, origin, &is_taken)? {
            Ok(draft) => {
                self.draft = Some(draft);
                Some(Ended::Good)
            }
            Err(why) => {
                let word = line.split_whitespace().next().unwrap_or_default().to_owned();
                Some(self.wrong(&word, &why, out))
            }
        }
    }

    /// A macro whose `end` never came.
    pub fn unfinished(&mut self) -> Ended {
        self.on_terminal(|shell, out| shell.left_open(out))
    }

    pub(crate) fn left_open(&mut self, out: &mut Output) -> Ended {
        match self.draft.take() {
            None => Ended::Good,
            Some(draft) => self.wrong(&draft.title(), "the lines end before its end", out),
        }
    }

    /// Says what is wrong with the lines of a macro.
    fn wrong(&self, about: &str, why: &str, out: &mut Output) -> Ended {
        let _ = self.trouble(about, &format!("{}{about}: {why}", self.placed()), out);
        Ended::Usage
    }

    /// Whether the first word is a macro's name, and no command's.
    pub(crate) fn is_macro(&self, words: &[String]) -> bool {
        let named = |name: &String| self.settings.macros.get(name).is_some() && !commands::is_command(name);
        words.first().is_some_and(named)
    }

    /// Runs a macro with the words behind its name as arguments. The first line that fails ends it.
    pub(crate) fn call(&mut self, words: &[String], out: &mut Output) -> Ended {
        let Some((name, args)) = words.split_first() else { return Ended::Good };
        let Some(steps) = self.settings.macros.get(name).map(commands::Macro::steps) else {
            return Ended::Good;
        };
        if self.calls >= DEPTH {
            let why = format!("{name}: more than {DEPTH} macros, each called by the one before");
            return self.trouble(name, &why, out);
        }
        self.cancel.reset();
        self.calls = self.calls.saturating_add(1);
        let ended = self.steps(name, &steps, args, out);
        self.calls = self.calls.saturating_sub(1);
        ended
    }

    fn steps(&mut self, name: &str, steps: &[Step], args: &[String], out: &mut Output) -> Ended {
        let mut ended = Ended::Good;
        for step in steps {
            let step = match step {
                Step::Line(line) => match commands::with_arguments(line, args) {
                    Ok(line) => self.line(&line, out),
                    Err(why) => self.wrong(name, &why, out),
                },
                Step::If { condition, then, otherwise } => match self.holds(condition, args) {
                    Ok(true) => self.steps(name, then, args, out),
                    Ok(false) => self.steps(name, otherwise, args, out),
                    Err(why) => self.wrong(name, &format!("if {why}"), out),
                },
            };
            ended = ended.then(step);
            let has_failed = matches!(step, Ended::Failed | Ended::Usage | Ended::Interrupted);
            if has_failed || self.stops(ended) || self.cancel.is_cancelled() || out.is_gone() {
                break;
            }
        }
        ended
    }

    fn holds(&self, condition: &str, args: &[String]) -> Result<bool, String> {
        let condition = commands::with_arguments(condition, args)?;
        let session = match self.dump.map(Layers::session) {
            Some(Err(e)) => return Err(format!("{condition}: {e}")),
            Some(Ok(session)) => Some(session),
            None => None,
        };
        commands::condition(session, &self.settings, &condition)
    }
}
