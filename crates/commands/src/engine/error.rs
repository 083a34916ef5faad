//! Why a command gave no answer.

use base::{Cancelled, Fault, Missing};
use kernel::KernelError;
use report::Report;
use std::fmt;

/// The commands that work without a kernel, as the errors of the others list them.
pub const WITHOUT_KERNEL: &str = "what needs no kernel works: info, log, rd -p, rd -f, search -p";

/// The same, but for the command that just found that it does not.
fn without_kernel(command: &str) -> String {
    WITHOUT_KERNEL.replace(&format!(" {command},"), "")
}

/// Why a command gave no answer. Partial answers are no errors: they are reports with notes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No command, alias, type or variable of this name.
    #[error("command not found: {word}{}", meant(near))]
    NotFound {
        /// What was typed.
        word: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// A command of crash's that is not written yet.
    #[error("{0}: not there yet: crash has this command, crashlens will")]
    NotYet(String),
    /// The arguments are not the command's.
    #[error("{command}: {message}\nUsage:\n  {usage}\nEnter \"help {command}\" for details.")]
    Usage {
        /// The command.
        command: String,
        /// What is wrong.
        message: String,
        /// Its synopsis.
        usage: String,
    },
    /// An argument that is none, whatever the dump holds: no number, a count out of range, options that exclude each
    /// other.
    #[error("{0}")]
    Argument(Message),
    /// It needs a dump, and none is open.
    #[error("{0}: needs an open dump, and none was named: crashlens {0} DUMP, or crashlens DUMP -c {0}")]
    NeedsDump(String),
    /// It needs more of the dump than could be opened.
    #[error("{}{why}; {}", led(command), without_kernel(command))]
    Lacks {
        /// The command.
        command: String,
        /// What there is not, and why.
        why: String,
    },
    /// It ran and failed; the message names the command's object and the reason.
    #[error("{0}")]
    Failed(Message),
    /// It ran and failed, and lines below the message say more: each is a line of its own.
    #[error("{head}{}", below.iter().map(|line| format!("\n{line}")).collect::<String>())]
    Explained {
        /// The message.
        head: Message,
        /// What stands below it.
        below: Vec<String>,
    },
    /// It was stopped.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// `--help` was asked: not a failure.
    #[error("help")]
    Help(Box<Report>),
}

/// Why something could not be had, and whether the dump lost it: then it is nobody's mistake, and the answer is not whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    text: String,
    lost: bool,
    /// True where types are what lacks.
    untyped: bool,
}

impl Reason {
    /// In words.
    #[must_use]
    pub fn new(text: impl fmt::Display) -> Self {
        Self { text: text.to_string(), lost: false, untyped: false }
    }
    /// Says whether the dump should have had it.
    #[must_use]
    pub fn lost_if(mut self, is_loss: bool) -> Self {
        self.lost = is_loss;
        self
    }
    /// True where the dump should have had it.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        self.lost
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

macro_rules! reasons {
    ($($ty:ty),*) => {
        $(impl From<$ty> for Reason {
            fn from(text: $ty) -> Self {
                Self::new(text)
            }
        })*
    };
}
// the errors of these are about words and types, not about what a dump holds
reasons!(
    &str,
    &String,
    String,
    fmt::Arguments<'_>,
    std::io::Error,
    debuginfo::types::TypeError,
    arch::NotThere,
    crate::engine::number::EvalError
);

impl From<&cexpr::ErrorKind> for Reason {
    fn from(e: &cexpr::ErrorKind) -> Self {
        Self::new(e).lost_if(matches!(e, cexpr::ErrorKind::Absent(why) if why.is_loss()))
    }
}
impl From<&cexpr::ExprError> for Reason {
    fn from(e: &cexpr::ExprError) -> Self {
        Self { text: e.to_string(), ..Self::from(&e.kind) }
    }
}
impl From<cexpr::ErrorKind> for Reason {
    fn from(e: cexpr::ErrorKind) -> Self {
        Self::from(&e)
    }
}
impl From<cexpr::ExprError> for Reason {
    fn from(e: cexpr::ExprError) -> Self {
        Self::from(&e)
    }
}

impl From<&KernelError> for Reason {
    fn from(e: &KernelError) -> Self {
        Self { untyped: e.is_untyped(), ..Self::new(e).lost_if(e.is_loss()) }
    }
}
impl From<KernelError> for Reason {
    fn from(e: KernelError) -> Self {
        Self::from(&e)
    }
}
impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        Self::new(fault).lost_if(fault.is_loss())
    }
}
impl From<Missing> for Reason {
    /// Memory that was asked for by its address.
    fn from(missing: Missing) -> Self {
        Self::new(missing).lost_if(true)
    }
}

/// What went wrong, and the command that it went wrong in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// `None` until the dispatcher names it; empty where a message stands alone.
    command: Option<String>,
    why: Reason,
}

impl Message {
    fn new(why: impl Into<Reason>) -> Self {
        Self { command: None, why: why.into() }
    }
    /// A message that names no command: crash words it so, or it is of the whole session.
    #[must_use]
    pub fn alone(text: impl fmt::Display) -> Self {
        Self { command: Some(String::new()), why: Reason::new(text) }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", led(self.command.as_deref().unwrap_or_default()), self.why)
    }
}

/// A command as messages begin with it.
fn led(command: &str) -> String {
    if command.is_empty() { String::new() } else { format!("{command}: ") }
}

impl CommandError {
    /// A failure with its reason. The dispatcher adds the command's name, to this and the others.
    #[must_use]
    pub fn failed(reason: impl Into<Reason>) -> Self {
        Self::Failed(Message::new(reason))
    }
    /// An argument that is none, whatever the dump holds: a mistake of who typed it.
    #[must_use]
    pub fn argument(reason: impl Into<Reason>) -> Self {
        Self::Argument(Message::new(reason))
    }
    /// A failure with lines below its reason.
    #[must_use]
    pub fn explained(reason: impl Into<Reason>, below: Vec<String>) -> Self {
        match below.is_empty() {
            true => Self::failed(reason),
            false => Self::Explained { head: Message::new(reason), below },
        }
    }
    /// Says whether the dump should have had what the command failed for.
    #[must_use]
    pub fn lost_if(mut self, is_loss: bool) -> Self {
        if let Self::Failed(message) | Self::Explained { head: message, .. } = &mut self {
            message.why.lost = is_loss;
        }
        self
    }
    /// True where the command failed for what the dump should have had.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        matches!(self, Self::Failed(message) | Self::Explained { head: message, .. } if message.why.lost)
    }
    /// Of a failure for want of types: that the dump lost them, and why.
    #[must_use]
    pub(crate) fn for_lost_types(mut self, why: &str) -> Self {
        if let Self::Failed(message) | Self::Explained { head: message, .. } = &mut self
            && message.why.untyped
        {
            message.why.text = format!("{}; the dump's own are lost: {why}", message.why.text);
            message.why.lost = true;
        }
        self
    }
    /// Arguments that are not the command's; `usage` is its synopsis.
    #[must_use]
    pub fn usage(message: &str, usage: &str) -> Self {
        Self::Usage { command: String::new(), message: message.to_owned(), usage: usage.to_owned() }
    }
    /// The error of a command: its name is in the message, unless that of one which it ran is there already.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        match &mut self {
            Self::Argument(message) | Self::Failed(message) | Self::Explained { head: message, .. } => {
                message.command.get_or_insert_with(|| name.to_owned());
            }
            Self::Usage { command, .. } | Self::Lacks { command, .. } | Self::NeedsDump(command)
                if command.is_empty() =>
            {
                name.clone_into(command);
            }
            _ => {}
        }
        self
    }
    /// The error of a command that another one asked: it is called as what the user typed.
    #[must_use]
    pub(crate) fn called(mut self, name: &str) -> Self {
        if let Self::Argument(message) | Self::Failed(message) | Self::Explained { head: message, .. } =
            &mut self
        {
            message.command = Some(name.to_owned());
        }
        self
    }
    /// Its lines one by one as notes beside an answer, and whether the dump lost what was asked for.
    pub(crate) fn tell(self, name: &str, mut note: impl FnMut(bool, String)) {
        let is_loss = self.is_loss();
        self.named(name).lines().into_iter().for_each(|line| note(is_loss, line));
    }
    /// The message line by line. A line end within a line is not crashlens's: it came with a name or a text, and is
    /// shown as such.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Explained { head, below } => {
                std::iter::once(head.to_string()).chain(below.iter().cloned()).collect()
            }
            Self::Usage { command, message, usage } => {
                let mut lines = vec![format!("{command}: {message}"), "Usage:".to_owned()];
                lines.extend(usage.lines().map(|line| format!("  {}", line.trim_start())));
                if command != "crashlens" {
                    lines.push(format!("Enter \"help {command}\" for details."));
                }
                lines
            }
            other => vec![other.to_string()],
        }
    }
}

impl From<KernelError> for CommandError {
    fn from(e: KernelError) -> Self {
        Self::failed(e)
    }
}
impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        Self::failed(fault)
    }
}
impl From<Missing> for CommandError {
    fn from(missing: Missing) -> Self {
        Self::failed(missing)
    }
}

/// ` (did you mean a or b?)`: names like one that there is not.
pub(crate) fn meant(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_needs_a_kernel_is_not_named_as_one_that_needs_none() {
        let e = CommandError::Lacks { command: "log".to_owned(), why: "no kernel was found".to_owned() };
        let text = e.to_string();
        assert!(text.ends_with("what needs no kernel works: info, rd -p, rd -f, search -p"), "{text}");
    }

    #[test]
    fn what_is_said_to_need_no_kernel_needs_none() {
        let (_, lines) = WITHOUT_KERNEL.split_once(": ").unwrap();
        for line in lines.split(", ") {
            let mut words = line.split(' ');
            let command = crate::find(words.next().unwrap()).unwrap();
            // `rd` and `search` want to know what to read and for what.
            let words = words.map(str::to_owned).chain((command.name() != "info").then(|| "0".to_owned()));
            let words = if command.name() == "log" { Vec::new() } else { words.collect() };
            assert_eq!(command.parse(words).unwrap().needs(), crate::Layer::Image, "{line}");
        }
    }
}
