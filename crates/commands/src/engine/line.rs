//! One line as it is typed: comments, shell escapes, pipes, redirection, words.
//!
//! Facts from crash's behaviour: `->`, `>=` and everything within parentheses, brackets or quotes is
//! expression; elsewhere `|` begins a pipe and `>`, `>>` a file's name. `< file` alone runs the file's
//! lines; after a command it runs the command once for each line.

/// Where a command's text goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Redirect {
    /// To the reader.
    #[default]
    None,
    /// Into a shell command.
    Pipe(String),
    /// Into a file; appended where true.
    File(String, bool),
}

/// What a line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing: empty, or a comment.
    Nothing,
    /// A shell command; empty for a shell.
    Shell(String),
    /// The lines of a file.
    Source(String, Redirect),
    /// One command.
    Run {
        /// Its words.
        words: Vec<String>,
        /// A file whose lines are arguments, one run each.
        arguments: Option<String>,
        /// Where its text goes.
        redirect: Redirect,
    },
}

/// Why a line could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// No file after `>` or `<`.
    #[error("a file name must follow {0}")]
    NoFile(&'static str),
    /// More than a file after `>` or `<`.
    #[error("{0:?} is no file name; put an expression with < or > in parentheses")]
    NotAFile(String),
    /// No command after `|`.
    #[error("a shell command must follow |")]
    NoPipe,
    /// A redirection without a command.
    #[error("no command before {0}")]
    NoCommand(&'static str),
}

/// Reads a line whose alias is already expanded. `is_file` says whether a word names a file, which
/// tells `ps -p < list` from `p a < b`.
///
/// # Errors
/// A quote or a redirection is not complete.
pub fn parse(line: &str, is_file: &dyn Fn(&str) -> bool) -> Result<Action, LineError> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
        return Ok(Action::Nothing);
    }
    if let Some(command) = line.strip_prefix(['!', '|']) {
        return Ok(Action::Shell(command.trim().to_owned()));
    }
    if let Some(rest) = line.strip_prefix('<') {
        let (file, redirect) = output(rest)?;
        return Ok(Action::Source(file_name(file, "<")?, redirect));
    }
    let (command, redirect) = output(line)?;
    let (command, arguments) = input(command, is_file);
    let words = words(command);
    if words.is_empty() {
        let sign = if matches!(redirect, Redirect::Pipe(_)) { "|" } else { ">" };
        return Err(LineError::NoCommand(sign));
    }
    Ok(Action::Run { words, arguments, redirect })
}

/// Splits a command from where its text goes.
fn output(text: &str) -> Result<(&str, Redirect), LineError> {
    let mut found = None;
    scan(text, |at, before, c, after| {
        let hit = match c {
            '|' => before != Some('|') && after != Some('|'),
            '>' => before != Some('-') && after != Some('='),
            _ => false,
        };
        if hit {
            found = Some((at, c));
        }
        !hit
    });
    let Some((at, sign)) = found else { return Ok((text, Redirect::None)) };
    let (command, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    if sign == '|' {
        let shell = rest.trim_start_matches('|').trim();
        return if shell.is_empty() {
            Err(LineError::NoPipe)
        } else {
            Ok((command, Redirect::Pipe(shell.to_owned())))
        };
    }
    let append = rest.starts_with(">>");
    let name = file_name(rest.trim_start_matches('>'), if append { ">>" } else { ">" })?;
    Ok((command, Redirect::File(name, append)))
}

/// Splits a command from the file of its arguments.
fn input<'a>(command: &'a str, is_file: &dyn Fn(&str) -> bool) -> (&'a str, Option<String>) {
    let mut found = None;
    scan(command, |at, before, c, _| {
        if c == '<' && before.is_some_and(char::is_whitespace) {
            found = Some(at);
        }
        found.is_none()
    });
    let parts = found.and_then(|at| Some((command.get(..at)?, command.get(at.checked_add(1)?..)?)));
    match parts.and_then(|(before, rest)| Some((before, file_name(rest, "<").ok().filter(|f| is_file(f))?))) {
        Some((before, file)) => (before, Some(file)),
        None => (command, None),
    }
}

fn file_name(text: &str, sign: &'static str) -> Result<String, LineError> {
    match words(text).as_slice() {
        [] => Err(LineError::NoFile(sign)),
        [name] => Ok(unquoted(name).unwrap_or(name).to_owned()),
        _ => Err(LineError::NotAFile(text.trim().to_owned())),
    }
}

/// Calls `each(offset, previous, character, next)` for every character outside quotes and brackets,
/// until it answers false.
fn scan(text: &str, mut each: impl FnMut(usize, Option<char>, char, Option<char>) -> bool) {
    let mut depth = 0_usize;
    let mut before = None;
    let mut quoted_to = 0;
    for (at, c) in text.char_indices() {
        if at >= quoted_to {
            let rest = text.get(at..).unwrap_or("");
            match c {
                '\'' | '"' => quoted_to = at.saturating_add(quoted(rest).map_or(0, |(_, len)| len)),
                '(' | '[' | '{' => depth = depth.saturating_add(1),
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ if depth == 0 && !each(at, before, c, rest.chars().nth(1)) => return,
                _ => {}
            }
        }
        before = Some(c);
    }
}

/// The content of the quoted text that `text` begins with, and its length with its quotes; `None`
/// where the quote is never closed: it is a character like any other then.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|(_, c)| matches!(c, '\'' | '"'))?;
    let mut out = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, at.saturating_add(1))),
            // in double quotes only, so that a 'regex' keeps its backslashes
            '\\' if quote == '"' => match chars.next() {
                Some((_, next)) if next == quote || next == '\\' => out.push(next),
                Some((_, next)) => out.extend(['\\', next]),
                None => return None,
            },
            c => out.push(c),
        }
    }
    None
}

/// The commands whose arguments are C, where `"text"` is a string.
fn takes_expression(command: &str) -> bool {
    let word = command.split('/').next().unwrap_or(command);
    matches!(
        word,
        "p" | "px"
            | "pd"
            | "print"
            | "printf"
            | "inspect"
            | "output"
            | "ptype"
            | "whatis"
            | "gdb"
            | "g"
            | "echo"
    )
}

/// The words of a command: split at blanks. Quotes group. Double quotes at the start of a word or after
/// `=` are taken off; elsewhere (`f("a")`) they stay, and single quotes always stay, since they mean
/// something to commands (`foreach 'regex'`, `p 'a'`): [`unquoted`] takes them off. Where an expression follows, as
/// behind `p`, all stay.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut skip_to = 0;
    for (at, c) in text.char_indices() {
        if at < skip_to {
            continue;
        }
        if c.is_whitespace() {
            out.extend(word.take());
            continue;
        }
        let groups = c == '"'
            && word.as_deref().is_none_or(|w| w.ends_with('='))
            && !out.first().is_some_and(|first| takes_expression(first));
        match text.get(at..).and_then(quoted) {
            Some((content, len)) => {
                skip_to = at.saturating_add(len);
                let whole = text.get(at..skip_to).unwrap_or("");
                word.get_or_insert_default().push_str(if groups { &content } else { whole });
            }
            None => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}

/// The text between single quotes, where the word is in quotes.
#[must_use]
pub fn unquoted(word: &str) -> Option<&str> {
    word.strip_prefix('\'')?.strip_suffix('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str], redirect: Redirect) -> Result<Action, LineError> {
        let words = words.iter().map(|w| (*w).to_owned()).collect();
        Ok(Action::Run { words, arguments: None, redirect })
    }
    fn pipe(to: &str) -> Redirect {
        Redirect::Pipe(to.to_owned())
    }
    fn file(to: &str, append: bool) -> Redirect {
        Redirect::File(to.to_owned(), append)
    }

    #[test]
    fn a_format_keeps_its_quotes() {
        assert_eq!(words(r#"printf "a b\n", x"#), ["printf", r#""a b\n","#, "x"]);
        assert_eq!(words(r#"gdb printf "a b""#), ["gdb", "printf", r#""a b""#]);
        assert_eq!(words(r#"log "a b""#), ["log", "a b"]);
    }

    #[test]
    fn lines() {
        let parse = |line: &str| parse(line, &|f| f == "list");
        for empty in ["", "   ", "# bt", "// bt", "  #"] {
            assert_eq!(parse(empty), Ok(Action::Nothing), "{empty:?}");
        }
        let table: &[(&str, Result<Action, LineError>)] = &[
            ("bt -a", run(&["bt", "-a"], Redirect::None)),
            ("bt | grep x | wc -l", run(&["bt"], pipe("grep x | wc -l"))),
            ("bt|grep x", run(&["bt"], pipe("grep x"))),
            ("log > f", run(&["log"], file("f", false))),
            ("log >> f", run(&["log"], file("f", true))),
            ("log >f", run(&["log"], file("f", false))),
            ("log > 'a b'", run(&["log"], file("a b", false))),
            ("p x->y", run(&["p", "x->y"], Redirect::None)),
            ("p x->y > f", run(&["p", "x->y"], file("f", false))),
            ("p a >= b", run(&["p", "a", ">=", "b"], Redirect::None)),
            ("p (a > b)", run(&["p", "(a", ">", "b)"], Redirect::None)),
            ("p v[a > 1 | 2]", run(&["p", "v[a", ">", "1", "|", "2]"], Redirect::None)),
            ("eval (1 | 2) | cat", run(&["eval", "(1", "|", "2)"], pipe("cat"))),
            ("p a || b", run(&["p", "a", "||", "b"], Redirect::None)),
            ("p a > b", run(&["p", "a"], file("b", false))),
            ("p a > b + 1", Err(LineError::NotAFile("b + 1".into()))),
            ("log >", Err(LineError::NoFile(">"))),
            ("bt |", Err(LineError::NoPipe)),
            ("> f", Err(LineError::NoCommand(">"))),
            ("search -c 'a|b > c'", run(&["search", "-c", "'a|b > c'"], Redirect::None)),
            ("search -c \"a|b > c\"", run(&["search", "-c", "a|b > c"], Redirect::None)),
            ("p 'a'", run(&["p", "'a'"], Redirect::None)),
            ("foreach 'ba.*\\d' bt", run(&["foreach", "'ba.*\\d'", "bt"], Redirect::None)),
            ("sym \"a \\\" b\"", run(&["sym", "a \" b"], Redirect::None)),
            ("p \"a b\"[1]", run(&["p", "\"a b\"[1]"], Redirect::None)),
            ("p/x \"a\"", run(&["p/x", "\"a\""], Redirect::None)),
            ("p f(\"a b\")", run(&["p", "f(\"a b\")"], Redirect::None)),
            ("x --n=\"a b\"", run(&["x", "--n=a b"], Redirect::None)),
            ("alias kp \"\"", run(&["alias", "kp", ""], Redirect::None)),
            ("p it's", run(&["p", "it's"], Redirect::None)),
            ("p a < b", run(&["p", "a", "<", "b"], Redirect::None)),
            ("!ls -l > x", Ok(Action::Shell("ls -l > x".into()))),
            ("!", Ok(Action::Shell(String::new()))),
            ("< cmds", Ok(Action::Source("cmds".into(), Redirect::None))),
            ("< cmds > out", Ok(Action::Source("cmds".into(), file("out", false)))),
            ("<", Err(LineError::NoFile("<"))),
        ];
        for (line, want) in table {
            assert_eq!(&parse(line), want, "{line:?}");
        }
        assert_eq!(
            parse("ps -p < list | wc"),
            Ok(Action::Run {
                words: vec!["ps".into(), "-p".into()],
                arguments: Some("list".into()),
                redirect: pipe("wc")
            })
        );
    }

    #[test]
    fn odd_bytes_never_panic() {
        for line in ["é|ü", "'é", "\"\\", "p 'a\" > 'é'", "([{|", ")>é", "<é<", "p é < list"] {
            let _ = parse(line, &|_| true);
            let _ = words(line);
        }
    }
}
