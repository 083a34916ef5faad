//! From words to a command: aliases, crash's special spellings, types and variables typed bare.

use crate::engine::gdb;
use crate::{Aliases, COMMANDS, Command, CommandError, Cx, Layer};
use kernel::Fetch;
use report::Report;

/// An alias may name an alias; a chain longer than this is a loop.
const ALIAS_DEPTH: usize = 8;

/// crash's commands. One that is not in [`COMMANDS`] is known, and said to be missing.
const CRASH: &[&str] = &[];

/// The command of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Command> {
    let own = || crate::engine::own::added().into_iter().find(|c| c.name() == name);
    COMMANDS.iter().copied().find(|c| c.name() == name).or_else(own)
}

/// Every command: the program's own, then those that were added.
#[must_use]
pub fn all() -> Vec<&'static dyn Command> {
    COMMANDS.iter().copied().chain(crate::engine::own::added()).collect()
}

/// True for the name of a command, also of one that is not written yet.
#[must_use]
pub fn is_command(name: &str) -> bool {
    find(name).is_some() || CRASH.contains(&name)
}

/// Whether debug files that have to be fetched can change the answer to a line.
#[must_use]
pub fn debug_files(line: &str) -> Fetch {
    let aliases = Aliases::default();
    match crate::engine::line::parse(&expand_alias(&aliases, line), &|_| false) {
        Ok(crate::Action::Run { words, .. }) => words_debug_files(&words),
        Ok(crate::Action::Nothing | crate::Action::Shell(_)) | Err(_) => Fetch::Never,
        Ok(crate::Action::Source(..)) => Fetch::Always,
    }
}

/// As [`debug_files`], of a command given as words.
#[must_use]
pub fn words_debug_files(words: &[String]) -> Fetch {
    match (meant(&Aliases::default(), words), words.first()) {
        (Some((command, rest)), _) => command.debug_files(&rest),
        // a type or a variable; what is not written yet answers nothing
        (None, Some(name)) if !CRASH.contains(&name.as_str()) => Fetch::Always,
        (None, _) => Fetch::Never,
    }
}

/// The command that words mean, and the words behind its name; `None` for a type, a variable, or what is not known.
pub(crate) fn meant(aliases: &Aliases, words: &[String]) -> Option<(&'static dyn Command, Vec<String>)> {
    let mut words = respell_first(expand_words(aliases, words.to_vec())).into_iter();
    let command = find(&words.next()?)?;
    Some((command, words.collect()))
}

/// The name of the command that words mean, as its answers have it; their first word where they mean none.
#[must_use]
pub fn name_of(words: &[String]) -> String {
    let first = || words.first().cloned().unwrap_or_default();
    meant(&Aliases::default(), words).map_or_else(first, |(command, _)| command.name().to_owned())
}

/// Whether the answer to these words is for others' eyes: where the dump lies is not told with it.
#[must_use]
pub fn names_no_place(aliases: &Aliases, words: &[String]) -> bool {
    meant(aliases, words).is_some_and(|(command, _)| command.names_no_place())
}

/// What the neediest of several commands needs.
/// `words` hold the names and the options of all of them.
pub(crate) fn debug_files_of_each<'a>(names: impl Iterator<Item = &'a str>, words: &[String]) -> Fetch {
    names.filter_map(find).map(|command| command.debug_files(words)).max().unwrap_or(Fetch::Never)
}

/// Runs one command given as words.
///
/// # Errors
/// There is no such command, its arguments are wrong, or it has no answer.
pub fn run(cx: &mut Cx<'_>, words: &[String]) -> Result<Report, CommandError> {
    let typed = expand_words(&cx.settings.aliases, words.to_vec());
    let called = gdb::called(&typed);
    let words = respell_first(typed);
    let Some((name, rest)) = words.split_first() else { return Ok(Report::new("")) };
    let (command, rest) = match find(name) {
        Some(command) => (command, rest),
        // before a symbol or type of this name is taken for what is meant
        None if CRASH.contains(&name.as_str()) => return Err(CommandError::NotYet(name.clone())),
        None => match COMMANDS.iter().copied().find(|c| c.claims(cx, &words)) {
            Some(command) => (command, words.as_slice()),
            None => return Err(CommandError::NotFound { word: name.clone(), near: near(cx, name) }),
        },
    };
    let run = command.parse(rest.to_vec()).and_then(|args| {
        let needs = args.needs();
        // what asks the headers or physical memory alone needs no more than such a session has
        let is_minimal = crate::Settings::is_minimal(command.name()) || needs == Layer::Image;
        if cx.settings.minimal && !is_minimal {
            return Err(not_minimal());
        }
        let is_log = || cx.image_if_open().is_some_and(kernel::Image::is_log);
        if args.needs() != Layer::Nothing && is_log() && !args.reads_log() {
            return Err(CommandError::failed(NOT_IN_A_LOG));
        }
        cx.reach(needs)?;
        // after opening, which judges by itself
        cx.allow(command.debug_files(rest));
        args.run(cx).map(|report| (needs, report))
    });
    cx.allow(Fetch::Never);
    let types_lost = cx.session_if_open().and_then(kernel::Session::types_lost);
    let run = run.map_err(|e| match types_lost {
        Some(why) => e.for_lost_types(why),
        None => e,
    });
    match run {
        Err(CommandError::Help(page)) => Ok(*page),
        Ok((needs, report)) => Ok(with_type_notes(cx, command.name(), needs, report)),
        // a command does not name itself; one that ran another hands on what that one said
        Err(e) if find(name).is_some() => Err(e.named(called.as_deref().unwrap_or(command.name()))),
        Err(e) => Err(e.named(command.name())),
    }
}

/// Why most commands have no answer where a log is open.
const NOT_IN_A_LOG: &str =
    "not in a log: it has no memory; verdict, log and sys tell what it has, a dump (vmcore) the rest";

fn not_minimal() -> CommandError {
    let why = "not in a session that began with --minimal: log, dis, rd, vtop, ptov, sym, search -p, info, eval, set, help \
               and exit are";
    CommandError::failed(why)
}

/// The report, with what the types are worth where memory contradicts them: once a session, below the first answer that
/// used them. `info` says it itself.
fn with_type_notes(cx: &mut Cx<'_>, command: &str, needs: Layer, mut report: Report) -> Report {
    let notes = cx.session_if_open().map(kernel::Session::type_notes).unwrap_or_default();
    for note in notes.into_iter().filter(|_| command != "info") {
        if !cx.settings.types_told.contains(&note) {
            report.warning(note.clone());
            cx.settings.types_told.push(note);
        }
    }
    // a list may be shorter and a stack may lack frames, and nothing else says so
    let lost = cx.session_if_open().and_then(|s| s.types_lost().map(str::to_owned));
    // `verdict` says it itself, and so does the answer of another command that this one handed on
    let is_told = command == "verdict" || report.has_note(TYPES_LOST);
    if let Some(why) = lost.filter(|_| needs == Layer::Session && !is_told) {
        report.missing(format!("{command}: {TYPES_LOST}: {why}"));
    }
    // who reads memory as it is asked for zeros; what is made of it may be none of the machine's
    let zeroed = command != "rd" && cx.image().is_ok_and(|image| image.dump.has_zeroed());
    if zeroed && !cx.settings.types_told.iter().any(|told| told == ZEROED) {
        report.missing(format!("{command}: {ZEROED}"));
        cx.settings.types_told.push(ZEROED.to_owned());
    }
    report
}

/// What is said where the dump lost the kernel's types.
const TYPES_LOST: &str = "what the kernel's types would tell is not known";

/// What is said once where zeros were read for memory that is not there.
const ZEROED: &str = "memory that the dump's filter left out was read as zeros (zero_excluded): what was made of it may be wrong, \
                      and what is found in it may be incomplete";

/// The line with its first word replaced, as often as that is an alias.
#[must_use]
pub fn expand_alias(aliases: &Aliases, line: &str) -> String {
    let mut line = line.to_owned();
    for _ in 0..ALIAS_DEPTH {
        let text = line.trim_start();
        let end = text.find(|c: char| c.is_whitespace() || "|<>".contains(c)).unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        match aliases.get(word) {
            Some(alias) if find(word).is_none() => line = format!("{}{rest}", alias.command),
            _ => break,
        }
    }
    line
}

fn expand_words(aliases: &Aliases, mut words: Vec<String>) -> Vec<String> {
    for _ in 0..ALIAS_DEPTH {
        let Some(first) = words.first() else { break };
        let Some(alias) = aliases.get(first).filter(|_| find(first).is_none()) else { break };
        words.splice(..1, crate::engine::line::words(&alias.command));
    }
    words
}

/// `*name` is `* name`; `p/x` is `p -x`; gdb's words are ours.
fn respell_first(mut words: Vec<String>) -> Vec<String> {
    if let Some(joined) = gdb::joined(&words) {
        words = joined;
    }
    let Some(first) = words.first().cloned() else { return words };
    // info is a command of ours too: of the dump, where no word of gdb's follows
    if matches!(first.as_str(), "info" | "i")
        && let Some(ours) = gdb::respell(&words)
    {
        return ours;
    }
    if find(&first).is_some() {
        return words;
    }
    if let Some(name) = first.strip_prefix('*').filter(|n| !n.is_empty()) {
        words.splice(..1, ["*".to_owned(), name.to_owned()]);
        return words;
    }
    gdb::respell(&words).unwrap_or(words)
}

/// Names that begin with `prefix`: commands, aliases and macros, sorted.
#[must_use]
pub fn complete_names(settings: &crate::Settings, prefix: &str) -> Vec<String> {
    let commands = all();
    let mut names: Vec<String> = commands
        .iter()
        .map(|c| c.name())
        .chain(settings.aliases.iter().map(|a| a.name.as_str()))
        .chain(settings.macros.iter().map(|m| m.name.as_str()))
        .filter(|name| name.starts_with(prefix))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn near(cx: &Cx<'_>, word: &str) -> Vec<String> {
    let names = complete_names(cx.settings, "");
    base::near_names(word, names.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use base::Cancel;
    use std::ops::ControlFlow;

    fn answer(line: &str) -> Result<Report, CommandError> {
        let mut settings = Settings::default();
        let cancel = Cancel::new();
        let mut sink = |_: &Report| ControlFlow::Continue(());
        let mut cx = Cx::new(None, &mut settings, &cancel, &mut sink);
        run(&mut cx, &crate::split_words(line))
    }

    #[test]
    fn a_minimal_session_has_few_commands() {
        let mut settings = Settings { minimal: true, ..Settings::default() };
        let cancel = Cancel::new();
        let mut sink = |_: &Report| ControlFlow::Continue(());
        let mut cx = Cx::new(None, &mut settings, &cancel, &mut sink);
        let mut answer = |line: &str| run(&mut cx, &crate::split_words(line)).map_err(|e| e.to_string());
        assert!(
            answer("btop 1000").unwrap_err().starts_with("btop: not in a session that began with --minimal")
        );
        assert!(answer("eval 1").is_ok() && answer("help eval").is_ok());
        for line in ["search -p 5", "info", "rd -p 0"] {
            let why = answer(line).unwrap_err();
            assert!(!why.contains("--minimal"), "{line}: {why}");
        }
        assert!(answer("search -k 5").unwrap_err().contains("--minimal"));
        assert!(answer("sym x").unwrap_err().contains("dump"), "a command that is there, without a dump");
    }

    #[test]
    fn what_debug_files_can_change_is_judged_by_command() {
        let lines = |fetch, lines: &str| {
            lines.split(';').for_each(|line| assert_eq!(debug_files(line.trim()), fetch, "{line}"));
        };
        lines(Fetch::Never, "log; dmesg -T; rd jiffies; vtop 0; eval 1; help bt; info; ! ls; # x; ptob 1");
        lines(
            Fetch::Lacking,
            "ps; sys; mod; sym jiffies; set; task 1; dis vfs_read; tree -t maple x; struct page; kmem -i; vm",
        );
        lines(Fetch::Lacking, "foreach ps; foreach 1 set; repeat ps; ps | grep x > y");
        lines(Fetch::Lacking, "bt; bt -a; bt -sx 1; foreach bt; foreach ps bt -f; repeat bt");
        lines(
            Fetch::Always,
            "bt -l; bt -xl 1; bt --locals; verdict; p jiffies; dis -l x; dis -s x; mod -s x; frame; info locals",
        );
        lines(Fetch::Always, "jiffies; < file; list x; whatis x; foreach ps bt -l; repeat bt -l; px jiffies");
    }

    #[test]
    fn an_answer_for_others_names_no_place_also_by_an_alias() {
        let mut aliases = Aliases::default();
        aliases.define("br", "bugreport", crate::Origin::Runtime);
        let hides = |line: &str| names_no_place(&aliases, &crate::split_words(line));
        assert!(hides("bugreport") && hides("br") && !hides("info") && !hides("nosuch") && !hides(""));
    }

    #[test]
    fn unknown_words_get_near_names() {
        let error = answer("evl 1").unwrap_err().to_string();
        assert_eq!(error, "command not found: evl (did you mean eval?)");
    }

    #[test]
    fn commands_of_crash_that_are_missing_are_said_to_be() {
        for name in CRASH.iter().filter(|name| find(name).is_none()) {
            let error = answer(&format!("{name} -x 1")).unwrap_err();
            assert!(matches!(error, CommandError::NotYet(_)), "{error}");
            assert!(error.to_string().starts_with(&format!("{name}: not there yet")), "{error}");
        }
    }

    #[test]
    fn unknown_options_are_named_as_getopt_names_them() {
        let error = answer("eval --nosuch 1").unwrap_err().to_string();
        assert!(error.starts_with("eval: invalid option: --nosuch\nUsage:\n  eval "), "{error}");
        let error = answer("btop -Z 1").unwrap_err().to_string();
        assert!(error.starts_with("btop: invalid option -- 'Z'\n"), "{error}");
    }

    #[test]
    fn an_error_names_the_command_that_failed_whoever_ran_it() {
        let said = |line: &str| answer(line).unwrap_err().lines().join("|");
        assert_eq!(said("btop zz"), "btop: invalid address: \"zz\"");
        assert_eq!(said("repeat --count 2 btop zz"), said("btop zz"));
        assert_eq!(said("repeat --count 1 repeat --count 1 eval 1 +"), said("eval 1 +"));
        assert!(
            said("repeat --seconds -5 btop 0").starts_with("repeat: "),
            "{}",
            said("repeat --seconds -5 btop 0")
        );
        assert!(said("gdb bt").starts_with("bt: needs an open dump"), "{}", said("gdb bt"));
        assert!(said("gdb nosuch").starts_with("gdb: nosuch: there is no gdb"), "{}", said("gdb nosuch"));
        // an alias is its command
        assert_eq!(said("last"), said("ps"));
        assert!(said("px").starts_with("p: "), "{}", said("px"));
        // crash words this one without a name
        assert!(said("help nosuch").starts_with("No help data for"), "{}", said("help nosuch"));
    }

    #[test]
    fn aliases_expand_in_lines_and_words() {
        let mut aliases = Aliases::default();
        aliases.define("ksd", "kmem -p | grep slab", crate::Origin::Runtime);
        aliases.define("loop", "loop", crate::Origin::Runtime);
        assert_eq!(expand_alias(&aliases, "ksd|wc"), "kmem -p | grep slab|wc");
        assert_eq!(expand_alias(&aliases, "px jiffies"), "p -x jiffies");
        assert_eq!(expand_alias(&aliases, "loop"), "loop");
        assert_eq!(answer("man eval").unwrap().command, "help");
    }

    #[test]
    fn gdb_words_and_stars_are_ours() {
        let ours = |line: &str| respell_first(crate::split_words(line)).join(" ");
        assert_eq!(ours("info locals"), "frame --locals");
        assert_eq!(ours("i r rip"), "frame --registers rip");
        assert_eq!(ours("info"), "info");
        assert_eq!(ours("info -m"), "info -m");
        assert_eq!(ours("*task_struct init_task"), "* task_struct init_task");
        assert_eq!(ours("p/x 5"), "p --format=x 5");
        assert_eq!(ours("ptype pid_t"), "whatis --ptype pid_t");
    }

    #[test]
    fn every_command_asked_for_help_gives_its_page() {
        for command in COMMANDS {
            let page = answer(&format!("{} --help", command.name())).unwrap();
            assert!(!page.is_empty(), "{}", command.name());
        }
    }

    #[test]
    fn examples_run_and_print_what_they_say() {
        for command in COMMANDS {
            assert!(!command.examples().is_empty(), "{} has no example", command.name());
            for example in command.examples() {
                let words = crate::split_words(example.line);
                let command = find(&words[0]).or_else(|| {
                    let words = expand_words(&Aliases::default(), words.clone());
                    find(&respell_first(words)[0])
                });
                let command = command.unwrap_or_else(|| panic!("{}: no such command", example.line));
                // every example parses; those whose output is told run without a dump
                command.parse(words[1..].to_vec()).unwrap_or_else(|e| panic!("{}: {e}", example.line));
                if !example.output.is_empty() {
                    let report = answer(example.line).unwrap_or_else(|e| panic!("{}: {e}", example.line));
                    assert_eq!(plain(&report), example.output, "{}", example.line);
                }
            }
        }
    }

    /// The report's text without trailing blanks, which no example spells out.
    fn plain(report: &Report) -> String {
        fn lines(record: &report::Record, out: &mut Vec<String>) {
            for item in &record.items {
                match item {
                    report::Item::Line(line) => out.push(line.to_string().trim_end().to_owned()),
                    report::Item::Blank => out.push(String::new()),
                    report::Item::Record(_, r) => lines(r, out),
                    report::Item::List(l) => l.items.iter().for_each(|r| lines(r, out)),
                    report::Item::Note(n) => out.push(n.text.clone()),
                    report::Item::Hidden(..) => {}
                }
            }
        }
        let mut out = Vec::new();
        lines(&report.body, &mut out);
        out.join("\n")
    }
}
