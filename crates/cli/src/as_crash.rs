//! The program under the name `crash`: what follows is a list of files (no command), answers are crash's byte for byte,
//! errors are in the output, and the exit code is crash's. Facts from crash 9 as it was run: 0 after `exit` or `quit`,
//! whatever failed before; 1 where its input ends without them, or a session could not begin.

use crate::cli::{CRASH, Cli};
use shell::Ended;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::Path;

/// True where the program was called so, by a link or a copy.
pub(crate) fn is_called(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == CRASH)
}

/// crash's `-h COMMAND` shows a page of help; alone it is the program's own.
pub(crate) fn help_page(words: &[OsString]) -> Option<Vec<String>> {
    match words {
        [help, command] if help == "-h" || help == "--help" => {
            Some(vec!["help".to_owned(), command.to_string_lossy().into_owned()])
        }
        _ => None,
    }
}

/// How a session ended, as crash tells it: `left` where `exit` or `quit` was said.
pub(crate) fn ended(cli: &Cli, left: bool) -> Ended {
    let by_hand = std::io::stdin().is_terminal() || !cli.commands.is_empty();
    Ended::of(left || by_hand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_counts_wherever_it_lies() {
        for (called, is) in [
            ("crash", true),
            ("/usr/local/bin/crash", true),
            ("./crash", true),
            ("crashlens", false),
            ("/crash/crashlens", false),
            ("", false),
        ] {
            assert_eq!(is_called(OsStr::new(called)), is, "{called}");
        }
    }

    #[test]
    fn a_page_of_help_is_asked_for_in_its_way() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(help_page(&words("-h bt")), Some(vec!["help".to_owned(), "bt".to_owned()]));
        assert_eq!((help_page(&words("-h")), help_page(&words("vmlinux vmcore"))), (None, None));
    }
}
