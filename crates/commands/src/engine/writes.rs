//! What a command writes beside its answer: whoever keeps a program from writing asks before it runs.

use crate::engine::dispatch;
use crate::{Action, Aliases, Redirect};
use std::path::PathBuf;

/// What a command writes beside its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Writes {
    /// These files and folders; none where it only reads.
    Files(Vec<PathBuf>),
    /// What it does is not known before it runs: it may write anything, or start a program.
    Anything,
}

impl Writes {
    /// It only reads.
    pub const NOTHING: Self = Self::Files(Vec::new());

    /// Writes this file or folder.
    #[must_use]
    pub fn file(path: &str) -> Self {
        Self::Files(vec![PathBuf::from(path)])
    }
    /// True for what only reads.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }
    /// What both write.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Files(mut files), Self::Files(others)) => {
                files.extend(others);
                Self::Files(files)
            }
            _ => Self::Anything,
        }
    }
}

/// What a line writes, where no alias was made before it; `is_file` says whether a name behind `<` is one.
#[must_use]
pub fn line_writes(line: &str, is_file: &dyn Fn(&str) -> bool) -> Writes {
    match crate::parse_line(&dispatch::expand_alias(&Aliases::default(), line), is_file) {
        Ok(Action::Run { words, redirect: Redirect::None, arguments: None }) => words_write(&words),
        Ok(Action::Nothing) => Writes::NOTHING,
        // arguments out of a file are not known; what is no line does nothing, and is not worth a thought
        Ok(_) | Err(_) => Writes::Anything,
    }
}

/// As [`line_writes`], of a command given as words.
#[must_use]
pub fn words_write(words: &[String]) -> Writes {
    match dispatch::meant(&Aliases::default(), words) {
        Some((command, rest)) => command.writes(rest),
        // a type or a variable; or nothing that is known
        None => Writes::NOTHING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Writes {
        line_writes(line, &|_| true)
    }

    #[test]
    fn what_only_reads_writes_nothing() {
        for line in [
            "bt -a",
            "log",
            "verdict --known dir",
            "rd jiffies",
            "rd -R jiffies 4",
            "search -p 5",
            "foreach bt",
            "foreach user files -R x",
            "repeat --count 2 log",
            "trace show",
            "set radix 16",
            "set 1",
            "alias",
            "task_struct.comm init_task",
            "gdb print jiffies",
            "define",
            "",
            "# nothing",
            "p (1 > 0)",
        ] {
            assert_eq!(of(line), Writes::NOTHING, "{line}");
        }
    }

    #[test]
    fn files_are_named_as_the_command_will_write_them() {
        for (line, file) in [
            ("rd -r file jiffies 8", "file"),
            ("rd -pr file 0 8", "file"),
            ("rd -rfile 0 8", "file"),
            ("files --save ff00 out", "out"),
            ("dev -v 0 out", "out"),
            ("trace dump -t", "trace.dat"),
            ("trace dump", "dump_tracing_dir"),
            ("trace dump -t here", "here"),
            ("gcore -o core 1", "core"),
            ("gcore 1", "."),
            ("debuginfo pack -o p", "p"),
            ("set error file", "file"),
            ("repeat --count 2 rd -r file 0 8", "file"),
            ("foreach user files --save ff00 out", "out"),
        ] {
            let file = PathBuf::from(file);
            let holes = PathBuf::from(format!("{}.holes", file.display()));
            let found = of(line);
            let Writes::Files(files) = &found else { panic!("{line}: {found:?}") };
            let known = [&file, &holes];
            assert!(
                files.contains(&file) && files.iter().all(|one| known.contains(&one)),
                "{line}: {files:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_known_may_be_anything() {
        for line in [
            "debuginfo fetch",
            "log | grep x",
            "log > file",
            "!ls",
            "< file",
            "rd < file",
            "alias x rd -r f",
            "define x",
            "<",
        ] {
            assert_eq!(of(line), Writes::Anything, "{line}");
        }
    }
}
