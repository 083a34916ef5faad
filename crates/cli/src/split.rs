//! `crashlens bt vmcore -a`: tells the command, its arguments, the files and the program's options apart.
//!
//! The first word that is no option names a command where it is one, also where a file of that name is there
//! (`./log` is the file): `crashlens log vmcore > log` makes the file before the program begins. After it, words that
//! name files of a known kind are files, the program's long options are the program's, the rest is the command's; after
//! `--` all is the command's, and so is what an option of the command takes (`rd -r NEW`). A file whose content shows no kind is taken for the dump where its name has a folder, or
//! where no other word is a dump. Commands that need none (`eval`, `help`) take a dump right behind their name.

use crate::verbs;
use commands::{Settings, find, is_command};
use kernel::FileKind;
use std::ffi::OsString;
use std::path::Path;

/// A command line in its parts.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Split {
    /// What clap reads: options and files.
    pub(crate) options: Vec<OsString>,
    /// The command and its arguments.
    pub(crate) command: Option<Vec<String>>,
    /// Where no word behind the command names a file: the first that may have been meant to.
    pub(crate) missing: Option<String>,
}

/// What a word that names a file to read names: it is there, and our own output does not go into it.
pub(crate) fn input(word: &str) -> Option<FileKind> {
    kernel::file_kind(Path::new(word)).filter(|_| !is_output(word))
}

fn is_output(word: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(file) = std::fs::metadata(word) else { return false };
    let same =
        |fd: Option<std::fs::Metadata>| fd.is_some_and(|m| (m.dev(), m.ino()) == (file.dev(), file.ino()));
    // a terminal or /dev/null may be named as well, and is no file in any case
    file.is_file() && ["/dev/stdout", "/dev/stderr"].iter().any(|fd| same(std::fs::metadata(fd).ok()))
}

/// True where a word can only be meant as a file.
fn is_path(word: &str) -> bool {
    word.contains(['/', '@']) || word == "."
}

/// What is wrong with the places of the words, where it is known.
pub(crate) fn misplaced(words: &[OsString], cli: &clap::Command, input: Input<'_>) -> Option<String> {
    let exists = |word: &str| input(word).is_some();
    // a file that is called like a command is the command, unless its content says otherwise
    let is_file = |word: &str| matches!(input(word), Some(FileKind::Dump | FileKind::Companion));
    let operands: Vec<(usize, &str)> =
        operands(words, cli).into_iter().filter_map(|at| Some((at, words.get(at)?.to_str()?))).collect();
    let ((first_at, first), rest) = operands.split_first()?;
    let settings = Settings::default();
    let known = |word: &str| is_command(word) || settings.aliases.get(word).is_some() || verbs::is_verb(word);
    let names = commands::complete_names(&settings, "");
    let like = |word: &str| base::near_names(word, names.iter().map(String::as_str));
    if known(first) || is_path(first) && !exists(first) {
        return None;
    }
    if exists(first) {
        let moved = |at: usize, command: &str| Moved::of(words, *first_at, at, command, &exists);
        if let Some((at, command)) = rest.iter().find(|(_, word)| !is_file(word) && known(word)) {
            let Moved { first, behind } = moved(*at, command);
            return Some(format!(
                "{command} is a command, not a file: it goes first ({first}), or behind -c ({behind})"
            ));
        }
        let (at, gone) = rest.iter().find(|(_, word)| !exists(word) && !is_path(word))?;
        let near = like(gone);
        let [likely, ..] = near.as_slice() else { return None };
        let Moved { first, behind } = moved(*at, likely);
        return Some(format!(
            "{gone}: no such file, and no command of this name (did you mean {}?); a command goes first ({first}), or \
             behind -c ({behind})",
            near.join(" or ")
        ));
    }
    let near = like(first);
    match near.as_slice() {
        [] if rest.iter().any(|(_, word)| exists(word)) => {
            Some(format!("{first}: no such file, and no command of this name (crashlens help lists them)"))
        }
        [] => None,
        near => {
            let near = near.join(" or ");
            Some(format!("{first}: no such file, and no command of this name (did you mean {near}?)"))
        }
    }
}

/// A command line with its command where that goes, and all other words as they are.
struct Moved {
    /// First.
    first: String,
    /// Behind `-c`.
    behind: String,
}

impl Moved {
    /// Moves the word at `at`, meant as this command, before the first file or behind all of them.
    fn of(words: &[OsString], file: usize, at: usize, command: &str, exists: &dyn Fn(&str) -> bool) -> Self {
        let all: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let part =
            |from: usize, to: usize| all.get(from..to).unwrap_or_default().iter().map(|word| quoted(word));
        let behind = all.get(at.saturating_add(1)..).unwrap_or_default();
        let own = std::iter::once(command.to_owned());
        let rest = part(at.saturating_add(1), all.len());
        let first: Vec<String> = part(0, file).chain(own.clone()).chain(part(file, at)).chain(rest).collect();
        let (files, arguments): (Vec<&String>, Vec<&String>) = behind.iter().partition(|word| exists(word));
        let line = own.chain(arguments.into_iter().map(|word| quoted(word))).collect::<Vec<_>>().join(" ");
        let files =
            part(0, at).chain(files.into_iter().map(|word| quoted(word))).collect::<Vec<_>>().join(" ");
        Self {
            first: format!("crashlens {}", first.join(" ")),
            behind: format!("crashlens {files} -c {}", quoted(&line)),
        }
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./@:=,+%^".contains(c);
    match word.chars().all(is_plain) && !word.is_empty() {
        true => word.to_owned(),
        false if word.contains('\'') => format!("\"{word}\""),
        false => format!("'{word}'"),
    }
}

/// Says what file a word names.
type Input<'a> = &'a dyn Fn(&str) -> Option<FileKind>;

/// Splits a command line.
pub(crate) fn split(words: &[OsString], cli: &clap::Command, input: Input<'_>) -> Split {
    let whole = || Split { options: words.to_vec(), command: None, missing: None };
    let Some(&at) = operands(words, cli).first() else { return whole() };
    let Some(name) = words.get(at).and_then(|w| w.to_str()) else { return whole() };
    let aliases = Settings::default().aliases;
    if !(is_command(name) || aliases.get(name).is_some() || verbs::is_verb(name)) {
        return whole();
    }
    let mut options: Vec<OsString> = words.iter().take(at).cloned().collect();
    let mut command = vec![name.to_owned()];
    let mut rest = words.iter().skip(at.saturating_add(1));
    let mut named = false;
    let mut meant = None;
    // where no word is a dump by its content, the first that is a file at all is meant to be one
    let behind = words.iter().skip(at.saturating_add(1)).take_while(|word| *word != "--");
    let mut sought = !behind.filter_map(|word| word.to_str()).any(|word| input(word) == Some(FileKind::Dump));
    // help's operand is a command, eval's a number: what they work on is no file, but right behind their name
    let takes_files = !matches!(
        name,
        "help" | "man" | "triage" | "eval" | "ascii" | "btop" | "ptob" | "alias" | "define" | "echo"
    );
    let mut own = own_options(&aliases, name);
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            break;
        }
        match program_option(&text, cli, name) {
            Some(takes_value) => {
                options.push(word.clone());
                if takes_value && !text.contains('=') {
                    options.extend(rest.next().cloned());
                }
            }
            None if !text.starts_with('-')
                && is_file(&text, input, takes_files, sought, command.len() == 1) =>
            {
                sought &= input(&text) != Some(FileKind::Other);
                named = true;
                options.push(word.clone());
            }
            // what looks like a path is a file that is not there: opening it says so
            None if takes_files && text.starts_with(['/', '.']) && text.contains('/') => {
                named = true;
                options.push(word.clone());
            }
            None => {
                let takes_value = own.as_ref().is_some_and(|own| takes_next(&text, own, true));
                // commands of commands: `foreach bt -R`
                if matches!(name, "foreach" | "repeat") && is_command(&text) {
                    own = own_options(&aliases, &text);
                }
                if meant.is_none() && !text.starts_with('-') {
                    meant = Some(text.to_string());
                }
                command.push(text.into_owned());
                if takes_value {
                    command.extend(rest.next().map(|value| value.to_string_lossy().into_owned()));
                }
            }
        }
    }
    let missing = meant.filter(|_| takes_files && !named);
    command.extend(rest.map(|w| w.to_string_lossy().into_owned()));
    Split { options, command: Some(command), missing }
}

/// True for a word behind a command that is a file, not the command's. `sought`: no dump is known yet; `first`: nothing
/// of the command's stands before it.
fn is_file(word: &str, input: Input<'_>, takes_files: bool, sought: bool, first: bool) -> bool {
    match input(word) {
        Some(FileKind::Dump) if Path::new(word).is_dir() => takes_files,
        Some(FileKind::Dump | FileKind::Companion) => takes_files || first,
        Some(FileKind::Other) => takes_files && (word.contains('/') || sought),
        None => false,
    }
}

/// The places of the words that are neither options nor options' values.
fn operands(words: &[OsString], cli: &clap::Command) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.to_string_lossy();
        if text == "--" {
            break;
        }
        if !text.starts_with('-') || text == "-" {
            found.push(at);
            at = at.saturating_add(1);
            continue;
        }
        at = at.saturating_add(1 + usize::from(takes_next(&text, cli, false)));
    }
    found
}

/// The options of a command, or of that of an alias.
fn own_options(aliases: &commands::Aliases, name: &str) -> Option<clap::Command> {
    if let Some(options) = verbs::options(name) {
        return Some(options);
    }
    let first = aliases.get(name).and_then(|alias| alias.command.split_whitespace().next()).unwrap_or(name);
    Some(find(first)?.clap())
}

/// True for an option whose value is the next word; `must`: only where it cannot do without.
fn takes_next(text: &str, cli: &clap::Command, must: bool) -> bool {
    let takes = |is: &dyn Fn(&clap::Arg) -> bool| {
        let arg = cli.get_arguments().find(|a| is(a));
        arg.is_some_and(|arg| option(cli, is).unwrap_or(false) && !(must && is_optional(arg)))
    };
    match text.strip_prefix("--") {
        Some(long) => !long.contains('=') && takes(&|a| has_long(a, long)),
        // in a cluster the first option with a value takes the rest of the word, or the next word
        None => {
            let letters: Vec<char> = text.strip_prefix('-').unwrap_or_default().chars().collect();
            let valued =
                letters.iter().position(|c| option(cli, |a| a.get_short() == Some(*c)).unwrap_or(false));
            valued.is_some_and(|i| {
                i.saturating_add(1) == letters.len() && takes(&|a| a.get_short() == letters.last().copied())
            })
        }
    }
}

/// True for an option that can stand without its value: `mod -S`.
fn is_optional(arg: &clap::Arg) -> bool {
    arg.get_num_args().is_some_and(|values| values.min_values() == 0)
}

/// Whether the option that `is` picks takes a value in the next word; `None` where there is none.
fn option(cli: &clap::Command, is: impl Fn(&clap::Arg) -> bool) -> Option<bool> {
    let arg = cli.get_arguments().find(|a| is(a))?;
    Some(arg.get_action().takes_values() && !arg.is_require_equals_set())
}

fn has_long(arg: &clap::Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
}

/// Whether a word behind the command is a long option of the program and takes a value; `None` where it
/// is the command's own.
fn program_option(text: &str, cli: &clap::Command, command: &str) -> Option<bool> {
    let long = text.strip_prefix("--")?;
    let name = long.split('=').next().unwrap_or(long);
    let options = verbs::options(command).or_else(|| find(command).map(|c| c.clap()));
    let own = options.is_some_and(|options| options.get_arguments().any(|a| has_long(a, name)));
    if own { None } else { option(cli, |a| has_long(a, name)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn files(word: &str) -> Option<FileKind> {
        match word {
            "vmcore" => Some(FileKind::Dump),
            "vmlinux" => Some(FileKind::Companion),
            "log" | "bt" | "jiffies" | "raw" | "./log" | "./raw" => Some(FileKind::Other),
            _ => None,
        }
    }

    fn check(line: &str, options: &str, command: Option<&str>) {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let got = split(&words(line), &crate::cli::Cli::command(), &files);
        let command = command.map(|c| c.split_whitespace().map(str::to_owned).collect());
        assert_eq!((got.options, got.command), (words(options), command), "{line}");
    }

    fn wrong(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        misplaced(&words, &crate::cli::Cli::command(), &files)
    }

    #[test]
    fn commands_files_and_options() {
        check("vmcore vmlinux", "vmcore vmlinux", None);
        check("vmcore -c set", "vmcore -c set", None);
        check("set vmcore -v", "vmcore", Some("set -v"));
        check("--json set vmcore vmlinux -v --no-pager", "--json vmcore vmlinux --no-pager", Some("set -v"));
        check("-s set --mod log vmcore radix 16", "-s --mod log vmcore", Some("set radix 16"));
        check("set vmcore -- vmlinux --json", "vmcore", Some("set vmlinux --json"));
        check("-c set vmcore", "-c set vmcore", None);
        check("-si set vmcore", "-si set vmcore", None);
        check("--color=never set vmcore", "--color=never vmcore", Some("set"));
        check("--color set vmcore", "--color vmcore", Some("set"));
        check("set ./gone", "./gone", Some("set"));
        // a file of the command's name is named with its folder
        check("log vmcore", "vmcore", Some("log"));
        check("log log", "log", Some("log"));
        // a file that shows no kind is the dump only where nothing else is
        check("sym jiffies vmcore", "vmcore", Some("sym jiffies"));
        check("sym vmcore jiffies", "vmcore", Some("sym jiffies"));
        check("sym raw jiffies", "raw", Some("sym jiffies"));
        check("sym vmlinux raw jiffies", "vmlinux raw", Some("sym jiffies"));
        check("sym jiffies vmcore ./raw", "vmcore ./raw", Some("sym jiffies"));
        check("eval vmcore vmlinux jiffies + 1", "vmcore vmlinux", Some("eval jiffies + 1"));
        check("help vmcore bt", "vmcore", Some("help bt"));
        check("help bt", "", Some("help bt"));
        check("alias log vmcore", "", Some("alias log vmcore"));
        check("./log", "./log", None);
        check("help set --json", "--json", Some("help set"));
        check("eval -b 5", "", Some("eval -b 5"));
        check("quit", "", Some("quit"));
        check("nosuch vmcore", "nosuch vmcore", None);
        check("--", "--", None);
        check("kmem vmcore -i", "vmcore", Some("kmem -i"));
        // what an option of the command takes is no file to read
        check("rd vmcore -p -r /nosuch/new 0 8", "vmcore", Some("rd -p -r /nosuch/new 0 8"));
        check("rd -r ./log vmcore 0 8", "vmcore", Some("rd -r ./log 0 8"));
        check("rd -pr vmlinux vmcore 0 8", "vmcore", Some("rd -pr vmlinux 0 8"));
        check("verdict --known ./log vmcore", "vmcore", Some("verdict --known ./log"));
        check("foreach bt -R vmlinux vmcore", "vmcore", Some("foreach bt -R vmlinux"));
        // but one that needs none leaves the dump alone
        check("mod -S vmcore", "vmcore", Some("mod -S"));
        check("sys -c vmcore", "vmcore", Some("sys -c"));
    }

    #[test]
    fn a_word_that_should_have_been_the_dump_is_remembered() {
        let missing = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            split(&words, &crate::cli::Cli::command(), &|w| (w == "vmcore").then_some(FileKind::Dump)).missing
        };
        assert_eq!(missing("bt nosuch -a").as_deref(), Some("nosuch"));
        assert_eq!(missing("bt -a nosuch").as_deref(), Some("nosuch"));
        assert_eq!(missing("bt vmcore nosuch"), None);
        assert_eq!((missing("rd -r ./new"), missing("rd -r new -e 9")), (None, None));
        assert_eq!((missing("bt -a"), missing("eval 5"), missing("bt ./nosuch")), (None, None, None));
    }

    #[test]
    fn words_in_the_wrong_place_are_told() {
        let bt = wrong("vmcore vmlinux bt -a").unwrap();
        let want = "bt is a command, not a file: it goes first (crashlens bt vmcore vmlinux -a), or behind -c (crashlens \
                    vmcore vmlinux -c 'bt -a')";
        assert_eq!(bt, want);
        let log = wrong("-s vmcore dmesg -T vmlinux").unwrap();
        assert!(log.ends_with("(crashlens -s vmcore vmlinux -c 'dmesg -T')"), "{log}");
        assert!(log.contains("(crashlens -s dmesg vmcore -T vmlinux)"), "{log}");
        assert!(wrong("-s vmcore dmesg").is_some());
        // also where a file is called so
        assert!(wrong("vmcore log").is_some() && wrong("vmcore bt").is_some());
        for line in ["verdct vmcore", "verdct", "verdct vmcore -v", "verdct nosuch"] {
            let text = wrong(line).unwrap();
            assert!(text.contains("verdct: no such file") && text.contains("mean verdict?"), "{text}");
        }
        for (line, meant) in [
            ("vmcore verdct", "verdict vmcore"),
            ("vmcore vmlinux verdct -v", "verdict vmcore vmlinux -v"),
            ("-s vmcore verdct vmlinux", "-s verdict vmcore vmlinux"),
        ] {
            let text = wrong(line).unwrap();
            assert!(
                text.contains("verdct: no such file") && text.contains(&format!("(crashlens {meant})")),
                "{text}"
            );
        }
        assert!(wrong("qwertyuiop vmcore").unwrap().contains("no command of this name"));
        for line in [
            "vmcore",
            "vmcore vmlinux",
            "vmcore -c bt",
            "vmcore nosuch.ko",
            "/nosuch/verdct",
            "log vmcore",
            "ram@0",
            "",
        ] {
            assert_eq!(wrong(line), None, "{line}");
        }
    }
}
