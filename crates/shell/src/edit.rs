//! Line editing with persistent history.

use crate::complete::{Completer, Offer, offer};
use commands::{Edit, Settings};
use rustyline::completion::FilenameCompleter;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, EditMode, Editor, Helper};
use std::path::PathBuf;

/// Lines that the history keeps.
const HISTORY: usize = 5000;

struct Tab<'c> {
    dump: &'c dyn Completer,
    files: FilenameCompleter,
    settings: Settings,
}

impl rustyline::completion::Completer for Tab<'_> {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, ctx: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..pos).unwrap_or(line);
        match offer(before, &self.settings, self.dump) {
            Offer::Names(start, names) => Ok((start, names)),
            Offer::Files => {
                let (start, pairs) = self.files.complete(line, pos, ctx)?;
                Ok((start, pairs.into_iter().map(|p| p.replacement).collect()))
            }
        }
    }
}

impl Hinter for Tab<'_> {
    type Hint = String;
}
impl Highlighter for Tab<'_> {}
impl Validator for Tab<'_> {}
impl Helper for Tab<'_> {}

/// What came from the terminal.
pub(crate) enum Typed {
    Line(String),
    /// Ctrl-C at the prompt: the line is dropped.
    Dropped,
    /// Ctrl-D, or a terminal that is gone.
    End,
}

/// The line editor.
pub(crate) struct Lines<'c> {
    editor: Editor<Tab<'c>, FileHistory>,
    history: Option<PathBuf>,
}

impl<'c> Lines<'c> {
    pub(crate) fn new(settings: &Settings, dump: &'c dyn Completer) -> rustyline::Result<Self> {
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .edit_mode(mode(settings.edit))
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Tab { dump, files: FilenameCompleter::new(), settings: settings.clone() }));
        let history = history_path();
        if let Some(path) = &history {
            if let Some(folder) = path.parent() {
                // without the folder there is no history: not worth a message
                let _ = std::fs::create_dir_all(folder);
            }
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// Reads a line; `settings` may have changed since the last one.
    pub(crate) fn read(&mut self, prompt: &str, settings: &Settings) -> Typed {
        if let Some(tab) = self.editor.helper_mut() {
            tab.settings = settings.clone();
        }
        rustyline::config::Configurer::set_edit_mode(&mut self.editor, mode(settings.edit));
        match self.editor.readline(prompt) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    let _ = self.editor.add_history_entry(line.as_str());
                    if let Some(path) = &self.history {
                        let _ = self.editor.append_history(path);
                    }
                }
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) => Typed::Dropped,
            Err(_) => Typed::End,
        }
    }

    /// The lines typed so far, the oldest first.
    pub(crate) fn typed(&self) -> Vec<String> {
        self.editor.history().iter().cloned().collect()
    }
}

const fn mode(edit: Edit) -> EditMode {
    match edit {
        Edit::Vi => EditMode::Vi,
        Edit::Emacs => EditMode::Emacs,
    }
}

/// `${XDG_STATE_HOME:-~/.local/state}/crashlens/history`
fn history_path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
    Some(state.join("crashlens/history"))
}
