//! Line editing with persistent history.

use crate::complete::{Completer, Offer, offer};
use commands::{Edit, Settings};
use rustyline::completion::{FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, EditMode, Editor, Event, EventContext,
    EventHandler, Helper, InputMode, KeyCode, KeyEvent, Modifiers, RepeatCount,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that the history keeps.
const HISTORY: usize = 5000;

struct Tab<'c> {
    dump: &'c dyn Completer,
    files: FilenameCompleter,
    settings: Settings,
}

impl rustyline::completion::Completer for Tab<'_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, ctx: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        let (start, mut names): (usize, Vec<Pair>) = match offer(before, &self.settings, self.dump) {
            Offer::Names(start, names) => (start, names.into_iter().map(alone).collect()),
            Offer::Options(start, options) => (start, options.into_iter().map(option).collect()),
            Offer::Files => {
                let (start, pairs) = self.files.complete(line, pos, ctx)?;
                (start, pairs.into_iter().map(|pair| alone(pair.replacement)).collect())
            }
        };
        // the editor writes names as they are: one that the terminal would act on cannot be typed either
        names.retain(|pair| !pair.display.chars().any(report::acts));
        Ok((start, names))
    }
}

/// What is shown as it is written.
fn alone(name: String) -> Pair {
    Pair { display: name.clone(), replacement: name }
}

/// An option, shown with as much of its help as a line has room for.
fn option((name, help): (String, String)) -> Pair {
    const WIDTH: usize = 76;
    let mut display = format!("{name:<12} {help}");
    if display.chars().count() > WIDTH {
        display = display.chars().take(WIDTH.saturating_sub(1)).chain(['…']).collect();
    }
    Pair { display, replacement: name }
}

impl Hinter for Tab<'_> {
    type Hint = String;
}
impl Highlighter for Tab<'_> {}
impl Validator for Tab<'_> {}
impl Helper for Tab<'_> {}

/// Lines that are pasted run as typed ones do: the marks that a terminal puts around a paste are no keys, and a
/// tab within it asks for no completion.
struct Paste {
    /// True between the marks.
    within: Arc<AtomicBool>,
    key: KeyCode,
}

impl Paste {
    /// Binds the keys that a paste has.
    fn bind(editor: &mut Editor<Tab<'_>, FileHistory>) {
        let within = Arc::new(AtomicBool::new(false));
        for key in [KeyCode::BracketedPasteStart, KeyCode::BracketedPasteEnd, KeyCode::Tab] {
            let handler = Box::new(Self { within: within.clone(), key });
            editor.bind_sequence(KeyEvent(key, Modifiers::NONE), EventHandler::Conditional(handler));
        }
    }
}

impl ConditionalEventHandler for Paste {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext<'_>) -> Option<Cmd> {
        match self.key {
            // where keys are vi's commands, the editor's own way: all of it becomes one text
            KeyCode::BracketedPasteStart if ctx.input_mode() == InputMode::Command => None,
            KeyCode::BracketedPasteStart => {
                self.within.store(true, Ordering::Relaxed);
                Some(Cmd::Noop)
            }
            KeyCode::BracketedPasteEnd => {
                self.within.store(false, Ordering::Relaxed);
                Some(Cmd::Noop)
            }
            _ => self.within.load(Ordering::Relaxed).then(|| Cmd::Insert(1, " ".to_owned())),
        }
    }
}

/// Ctrl-C drops the line, and what was typed behind it stays: the editor's own way would lose what it has read ahead.
struct OnCtrlC(Arc<AtomicBool>);

impl ConditionalEventHandler for OnCtrlC {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.0.store(true, Ordering::Relaxed);
        Some(Cmd::AcceptLine)
    }
}

/// When the first key of the line came that is being read.
#[derive(Clone, Default)]
struct FirstKey(Arc<Mutex<Option<Instant>>>);

impl FirstKey {
    fn key(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConditionalEventHandler for FirstKey {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.key().get_or_insert_with(Instant::now);
        None
    }
}

/// Nobody types a line of two keys and more so fast: it was pasted, or typed before it was read, and others can wait behind it.
const AT_ONCE: Duration = Duration::from_millis(10);

/// What came from the terminal.
pub(crate) enum Typed {
    /// A line; several where a text of several was put in.
    Lines {
        /// The lines.
        lines: Vec<String>,
        /// They came all at once: others can wait behind them.
        at_once: bool,
    },
    /// Ctrl-C at the prompt: the line is dropped.
    Dropped,
    /// Ctrl-D, or a terminal that is gone.
    End,
}

/// The line editor.
pub(crate) struct Lines<'c> {
    editor: Editor<Tab<'c>, FileHistory>,
    history: Option<PathBuf>,
    /// Ctrl-C ended the line.
    dropped: Arc<AtomicBool>,
    first: FirstKey,
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
        Paste::bind(&mut editor);
        let dropped = Arc::new(AtomicBool::new(false));
        let key = KeyEvent(KeyCode::Char('C'), Modifiers::CTRL);
        editor.bind_sequence(key, EventHandler::Conditional(Box::new(OnCtrlC(dropped.clone()))));
        let first = FirstKey::default();
        editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(first.clone())));
        let history = history_path();
        if let Some(path) = &history {
            if let Some(folder) = path.parent() {
                // without the folder there is no history: not worth a message
                let _ = std::fs::create_dir_all(folder);
            }
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history, dropped, first })
    }

    /// Reads a line; `settings` may have changed since the last one.
    pub(crate) fn read(&mut self, prompt: &str, settings: &Settings) -> Typed {
        if let Some(tab) = self.editor.helper_mut() {
            tab.settings = settings.clone();
        }
        rustyline::config::Configurer::set_edit_mode(&mut self.editor, mode(settings.edit));
        *self.first.key() = None;
        let read = self.editor.readline(prompt);
        let at_once = self.first.key().is_some_and(|first| first.elapsed() < AT_ONCE);
        match read {
            Ok(_) if self.dropped.swap(false, Ordering::Relaxed) => Typed::Dropped,
            Ok(text) => Typed::Lines { lines: text.lines().map(str::to_owned).collect(), at_once },
            Err(ReadlineError::Interrupted) => Typed::Dropped,
            Err(_) => Typed::End,
        }
    }

    /// Keeps a line in the history.
    pub(crate) fn remember(&mut self, line: &str) {
        if !line.trim().is_empty() {
            let _ = self.editor.add_history_entry(line);
            if let Some(path) = &self.history {
                let _ = self.editor.append_history(path);
            }
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

/// True where something was typed that nobody has read yet.
pub(crate) fn is_typed_ahead() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let input = std::io::stdin();
    let mut wanted = [PollFd::new(&input, PollFlags::IN)];
    poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// `${XDG_STATE_HOME:-~/.local/state}/crashlens/history`
fn history_path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
    Some(state.join("crashlens/history"))
}
