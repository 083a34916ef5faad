//! What can be left out of a dossier, and how much of it was.

use std::collections::BTreeMap;

/// What can be left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Addresses of memory.
    Addresses,
    /// What processes put into memory, registers and the log.
    UserData,
    /// The kernel's command line and those of processes.
    CommandLines,
    /// The environment of processes.
    Environment,
    /// Names of hosts, users, processes, files, devices' serial numbers, and network addresses.
    Names,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Addresses, Self::UserData, Self::CommandLines, Self::Environment, Self::Names];

    /// In a word, as `--redact` takes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::UserData => "user-data",
            Self::CommandLines => "command-lines",
            Self::Environment => "environment",
            Self::Names => "names",
        }
    }
    /// What it stands for, for the reader of a page that lacks it.
    const fn about(self) -> &'static str {
        match self {
            Self::Addresses => "addresses of memory",
            Self::UserData => "registers, bytes, quoted text, messages that processes wrote into the log",
            Self::CommandLines => "the kernel's command line and those of processes",
            Self::Environment => "the environment of processes",
            Self::Names => "hosts, network addresses, users, processes, files, serial numbers",
        }
    }
    /// The class of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}

/// How much of each class was left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Redacted(BTreeMap<Class, usize>);

impl Redacted {
    /// Nothing was there to be left out.
    pub(crate) fn none(classes: &[Class]) -> Self {
        Self(classes.iter().map(|class| (*class, 0)).collect())
    }
    /// One place more.
    pub(crate) fn count(&mut self, class: Class) {
        let count = self.0.entry(class).or_default();
        *count = count.saturating_add(1);
    }
    /// A line for each class that was asked for.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(class, count)| {
            let much = match count {
                0 => "nothing of it was in this report".to_owned(),
                1 => "in 1 place".to_owned(),
                n => format!("in {n} places"),
            };
            format!("{} ({}): {much}", class.word(), class.about())
        })
    }
}
