//! The holes of a file that a command writes: what of it could not be had, and why.

use crate::{CommandError, Cx, Writes};
use report::{Cell, Line, Record};

/// A part of a file that could not be written.
#[derive(Debug)]
pub(crate) struct Hole {
    /// Where it begins.
    pub(crate) from: u64,
    /// Where it ends.
    pub(crate) to: u64,
    /// Why it is one.
    pub(crate) why: String,
    /// True where the dump should have what is missing.
    pub(crate) is_loss: bool,
}

/// The holes of one file, which are written to a file beside it.
#[derive(Debug)]
pub(crate) struct Holes {
    /// The file beside it: `PATH.holes`.
    pub(crate) beside: String,
    all: Vec<Hole>,
}

/// What is written for a file that may have holes.
pub(crate) fn both(path: &str) -> Writes {
    Writes::file(path).and(Writes::file(&beside(path)))
}

fn beside(path: &str) -> String {
    format!("{path}.holes")
}

impl Holes {
    /// Of a file at `path`, which is to be written.
    ///
    /// # Errors
    /// The file or the one beside it must not be written.
    pub(crate) fn of(cx: &Cx<'_>, path: &str) -> Result<Self, CommandError> {
        let beside = beside(path);
        cx.may_write(path)?;
        cx.may_write(&beside)?;
        Ok(Self { beside, all: Vec::new() })
    }

    /// Adds one; those that follow one another and have one reason are one.
    pub(crate) fn push(&mut self, hole: Hole) {
        match self.all.last_mut() {
            Some(last) if last.to == hole.from && last.why == hole.why => last.to = hole.to,
            _ => self.all.push(hole),
        }
    }

    /// The first that is one because the dump lost something.
    pub(crate) fn loss(&self) -> Option<&Hole> {
        self.all.iter().find(|hole| hole.is_loss)
    }

    /// Writes them to the file beside, a line each.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self) -> Result<(), CommandError> {
        let line = |hole: &Hole| format!("{:#x}-{:#x} {}\n", hole.from, hole.to, hole.why);
        let text: String = self.all.iter().map(line).collect();
        std::fs::write(&self.beside, text)
            .map_err(|e| CommandError::failed(format_args!("{}: {e}", self.beside)))
    }

    /// A row each.
    pub(crate) fn rows(self) -> Vec<Record> {
        let row = |hole: Hole| {
            let line = Line::new().text("hole ").field("from", Cell::hex(hole.from)).text("-");
            Record::of(line.field("to", Cell::hex(hole.to)).text(": ").field("why", hole.why))
        };
        self.all.into_iter().map(row).collect()
    }
}
