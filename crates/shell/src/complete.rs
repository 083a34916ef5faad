//! What the Tab key offers: commands, options with their help, and what an argument is by the name of its value in the
//! command's own table (`MODULE`, `PID | TASK`, `FILE`); settings, symbols, types, members.

use commands::{Settings, TASK_KINDS, TASK_STATES, VARIABLES, find};

/// The most names that one press of Tab offers.
const MOST: usize = 200;

/// Names that only the dump knows.
pub trait Completer {
    /// Symbols that begin with `prefix`, at most `max`.
    fn symbols(&self, prefix: &str, max: usize) -> Vec<String>;
    /// Types that begin with `prefix`, at most `max`.
    fn types(&self, prefix: &str, max: usize) -> Vec<String>;
    /// Modules that begin with `prefix`.
    fn modules(&self, prefix: &str) -> Vec<String>;
    /// The PIDs that begin with `prefix`, at most `max`.
    fn pids(&self, prefix: &str, max: usize) -> Vec<String>;
    /// The names of tasks that begin with `prefix`.
    fn task_names(&self, prefix: &str) -> Vec<String>;
    /// Members that begin with `prefix` of what stands left of `.` or `->`: the name of a type or an
    /// expression.
    fn members(&self, of: &str, prefix: &str) -> Vec<String>;
}

/// Knows no names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCompleter;

impl Completer for NoCompleter {
    fn symbols(&self, _prefix: &str, _max: usize) -> Vec<String> {
        Vec::new()
    }
    fn types(&self, _prefix: &str, _max: usize) -> Vec<String> {
        Vec::new()
    }
    fn modules(&self, _prefix: &str) -> Vec<String> {
        Vec::new()
    }
    fn pids(&self, _prefix: &str, _max: usize) -> Vec<String> {
        Vec::new()
    }
    fn task_names(&self, _prefix: &str) -> Vec<String> {
        Vec::new()
    }
    fn members(&self, _of: &str, _prefix: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What Tab offers at the end of `line`.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// Names that replace the line from an offset on.
    Names(usize, Vec<String>),
    /// Options that replace the line from an offset on, each with its help.
    Options(usize, Vec<(String, String)>),
    /// Names of files.
    Files,
}

/// What Tab offers where `line` is the text before the cursor.
pub(crate) fn offer(line: &str, settings: &Settings, dump: &dyn Completer) -> Offer {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at.saturating_add(1));
    let (before, word) = line.split_at_checked(start).unwrap_or(("", line));
    let mut earlier = before.split_whitespace();
    let first = earlier.next();
    let last = before.trim_end();
    if last.ends_with(['<', '>']) || line.trim_start().starts_with(['!', '<']) || last.contains('|') {
        return Offer::Files;
    }
    let Some(first) = first else {
        return Offer::Names(start, commands::complete_names(settings, word));
    };
    let name = settings.aliases.get(first).and_then(|a| a.command.split_whitespace().next()).unwrap_or(first);
    let known = |names: &mut dyn Iterator<Item = &'static str>| {
        let hits = names.filter(|n| n.starts_with(word)).map(str::to_owned).collect();
        Offer::Names(start, hits)
    };
    if name == "help" {
        return known(&mut commands::all().into_iter().map(|c| c.name()).chain(["all", "input", "output"]));
    }
    let words: Vec<&str> = before.split_whitespace().skip(1).collect();
    if name == "set" && !word.starts_with('-') {
        return setting(&words, start, word, dump);
    }
    // commands of commands: what stands behind `foreach bt` is bt's
    let inner = matches!(name, "foreach" | "repeat")
        .then(|| words.iter().enumerate().rev().find(|(_, word)| find(word).is_some()))
        .flatten();
    let (name, words) = match inner {
        Some((at, inner)) => (*inner, words.get(at.saturating_add(1)..).unwrap_or_default()),
        None => (name, words.as_slice()),
    };
    let Some(command) = find(name) else { return names(line, start, word, dump) };
    if word.starts_with('-') {
        return Offer::Options(start, options(command, word));
    }
    match name {
        "repeat" => Offer::Names(start, commands::complete_names(settings, word)),
        "foreach" => {
            let mut hits = commands::complete_names(settings, word);
            hits.extend(
                TASK_STATES
                    .iter()
                    .chain(&TASK_KINDS)
                    .filter(|s| s.starts_with(word))
                    .map(|s| (*s).to_owned()),
            );
            Offer::Names(start, hits)
        }
        _ => argument(&value_name(command, words), line, start, word, dump),
    }
}

/// Behind `set`: variables and tasks; behind a variable, what it takes; gdb's settings behind `print`.
fn setting(words: &[&str], start: usize, word: &str, dump: &dyn Completer) -> Offer {
    let fits = |text: &&str| text.starts_with(word);
    let mut hits: Vec<String> = match words {
        [] => {
            let all = VARIABLES.iter().map(|v| v.name).chain(["print"]);
            let mut hits: Vec<String> = all.filter(fits).map(str::to_owned).collect();
            if !word.is_empty() {
                hits.extend(dump.pids(word, MOST));
            }
            hits
        }
        ["print"] => commands::PRINT_SETTINGS.iter().copied().filter(fits).map(str::to_owned).collect(),
        ["print", _] => ["on", "off", "unlimited"].into_iter().filter(fits).map(str::to_owned).collect(),
        ["-c" | "-v" | "-p" | "-a"] => return Offer::Names(start, Vec::new()),
        [name] => {
            let Some(variable) = VARIABLES.iter().find(|v| v.name == *name) else {
                return Offer::Names(start, Vec::new());
            };
            // `on | off`: a word in small letters is what it takes, one in capitals what it stands for
            let all = variable.takes.split(" | ");
            if variable.takes.split(" | ").any(|one| one == "FILE") {
                return Offer::Files;
            }
            let is_word = |text: &&str| {
                !text.chars().all(|c| c.is_ascii_uppercase() || c == '-') || *text == "CRASHPAGER"
            };
            all.filter(is_word).filter(fits).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    hits.truncate(MOST);
    Offer::Names(start, hits)
}

/// The name of the value that the next word of a command is: of the option before it, else of the operands.
fn value_name(command: &dyn commands::Command, words: &[&str]) -> String {
    let clap = command.clap();
    let last = words.last().copied().unwrap_or_default();
    let option = clap.get_arguments().find(|arg| {
        let by_letter = |letters: &str| arg.get_short().is_some_and(|c| letters.ends_with(c));
        arg.get_action().takes_values()
            && match (last.strip_prefix("--"), last.strip_prefix('-')) {
                (Some(long), _) => arg.get_long() == Some(long),
                (None, Some(letters)) => by_letter(letters),
                (None, None) => false,
            }
    });
    let operands = || clap.get_positionals().next();
    let names = option.or_else(operands).and_then(clap::Arg::get_value_names).unwrap_or_default();
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// What a value of that name may be.
fn argument(value: &str, line: &str, start: usize, word: &str, dump: &dyn Completer) -> Offer {
    let is = |what: &[&str]| value.split(|c: char| !c.is_alphanumeric()).any(|part| what.contains(&part));
    if is(&["FILE", "DIR", "DIRECTORY", "OBJFILE"]) && !is(&["MODULE"]) {
        return Offer::Files;
    }
    let mut hits = Vec::new();
    if is(&["MODULE"]) {
        hits.extend(dump.modules(word));
    }
    if is(&["PID"]) {
        hits.extend(dump.pids(word, MOST));
    }
    if is(&["NAME", "COMMAND"]) && is(&["PID"]) {
        hits.extend(dump.task_names(word));
    }
    if !hits.is_empty() || is(&["MODULE"]) {
        hits.truncate(MOST);
        return Offer::Names(start, hits);
    }
    names(line, start, word, dump)
}

/// The options of a command, as crash spells them, each with its help.
fn options(command: &dyn commands::Command, prefix: &str) -> Vec<(String, String)> {
    let own = |long: &str| {
        let spelt = command.respell().iter().find(|(_, to)| *to == long);
        spelt.map_or(long, |(own, _)| *own).to_owned()
    };
    let clap = command.clap();
    let shown = clap.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
    let mut out: Vec<(String, String)> = shown
        .flat_map(|arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let short = arg.get_short().map(|c| format!("-{c}"));
            let long = arg.get_long().map(|long| own(&format!("--{long}")));
            short.into_iter().chain(long).map(move |option| (option, help.clone()))
        })
        .filter(|(option, _)| option.starts_with(prefix))
        .collect();
    out.sort();
    out.dedup_by(|a, b| a.0 == b.0);
    out
}

/// The last name of an expression, and the member operator before it.
fn names(line: &str, start: usize, word: &str, dump: &dyn Completer) -> Offer {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let at = word
        .char_indices()
        .rev()
        .find(|(_, c)| !is_name(*c))
        .map_or(0, |(i, c)| i.saturating_add(c.len_utf8()));
    let (left, prefix) = word.split_at_checked(at).unwrap_or(("", word));
    let start = start.saturating_add(at);
    let of = left.strip_suffix("->").or_else(|| left.strip_suffix('.')).map(|_| {
        // a cast has blanks within its parentheses
        let all = line.get(..start).unwrap_or_default();
        operand(all.strip_suffix("->").or_else(|| all.strip_suffix('.')).unwrap_or(all))
    });
    // `struct task_struct.pid,comm`: further members of the same struct
    let of = of.or_else(|| Some(left.strip_suffix(',')?.rsplit_once('.')?.0));
    if let Some(of) = of {
        return Offer::Names(start, dump.members(of, prefix));
    }
    if prefix.is_empty() {
        return Offer::Names(start, Vec::new());
    }
    let mut hits = dump.symbols(prefix, MOST);
    hits.extend(dump.types(prefix, MOST));
    hits.sort();
    hits.dedup();
    hits.truncate(MOST);
    Offer::Names(start, hits)
}

/// What stands before a member operator: a name with its members, elements and parentheses, back to where it begins.
fn operand(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut begin = text.len();
    let mut all = text.char_indices().rev().peekable();
    while let Some((at, c)) = all.next() {
        match c {
            ')' | ']' => depth = depth.saturating_add(1),
            '(' | '[' if depth > 0 => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if c.is_alphanumeric() || matches!(c, '_' | '.' | '$') => {}
            '>' if all.peek().is_some_and(|(_, c)| *c == '-') => {
                begin = all.next().map_or(at, |(at, _)| at);
                continue;
            }
            _ => break,
        }
        begin = at;
    }
    text.get(begin..).unwrap_or_default().trim_start_matches(['-', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Some3;
    impl Completer for Some3 {
        fn symbols(&self, prefix: &str, _max: usize) -> Vec<String> {
            ["jiffies", "jiffies_64"]
                .iter()
                .filter(|s| s.starts_with(prefix))
                .map(|s| (*s).to_owned())
                .collect()
        }
        fn types(&self, prefix: &str, _max: usize) -> Vec<String> {
            ["task_struct"].iter().filter(|s| s.starts_with(prefix)).map(|s| (*s).to_owned()).collect()
        }
        fn members(&self, of: &str, prefix: &str) -> Vec<String> {
            vec![format!("{of}/{prefix}")]
        }
        fn modules(&self, prefix: &str) -> Vec<String> {
            ["virtio", "virtio_blk"]
                .iter()
                .filter(|s| s.starts_with(prefix))
                .map(|s| (*s).to_owned())
                .collect()
        }
        fn pids(&self, prefix: &str, _max: usize) -> Vec<String> {
            ["1", "17", "2"].iter().filter(|s| s.starts_with(prefix)).map(|s| (*s).to_owned()).collect()
        }
        fn task_names(&self, prefix: &str) -> Vec<String> {
            ["kswapd0"].iter().filter(|s| s.starts_with(prefix)).map(|s| (*s).to_owned()).collect()
        }
    }

    fn at(line: &str) -> (usize, Vec<String>) {
        match offer(line, &Settings::default(), &Some3) {
            Offer::Names(start, names) => (start, names),
            Offer::Options(start, options) => (start, options.into_iter().map(|(name, _)| name).collect()),
            Offer::Files => (usize::MAX, Vec::new()),
        }
    }

    #[test]
    fn options_are_offered_with_their_help() {
        let Offer::Options(3, options) = offer("bt -a", &Settings::default(), &Some3) else { panic!() };
        assert!(
            matches!(options.as_slice(), [(name, help)] if name == "-a" && !help.is_empty()),
            "{options:?}"
        );
    }

    #[test]
    fn names_are_offered_by_their_place() {
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(at("ev"), (0, names(&["eval"])));
        assert_eq!(at("eval -"), (5, names(&["--help", "-b", "-l"])));
        assert_eq!(at("bt -F"), (3, names(&["-F", "-FF"])));
        assert_eq!(at("sys -p"), (4, names(&["-panic"])));
        assert_eq!(at("foreach bt -F"), (11, names(&["-F", "-FF"])));
        assert_eq!(at("set scr"), (4, names(&["scroll"])));
        assert_eq!(at("help ou"), (5, names(&["output"])));
        assert_eq!(at("p jiff"), (2, names(&["jiffies", "jiffies_64"])));
        assert_eq!(at("p &(jiffies_"), (4, names(&["jiffies_64"])));
        assert_eq!(at("struct ta"), (7, names(&["task_struct"])));
        assert_eq!(at("struct task_struct.mm->o"), (23, names(&["task_struct.mm/o"])));
        assert_eq!(at("p init_task.co"), (12, names(&["init_task/co"])));
        assert_eq!(at("struct task_struct.pid,co"), (23, names(&["task_struct/co"])));
        assert_eq!(at("set scroll m"), (11, names(&["more"])));
        assert_eq!(at("set radix "), (10, names(&["10", "16"])));
        assert_eq!(at("set 1"), (4, names(&["1", "17"])));
        assert_eq!(at("set print arr"), (10, names(&["array"])));
        assert_eq!(at("set error fi").0, usize::MAX);
        assert_eq!(at("p *init_task.mm->o"), (17, names(&["init_task.mm/o"])));
        assert_eq!(
            at("p 1 + ((struct task_struct *)0x10)->mm.o"),
            (39, names(&["((struct task_struct *)0x10)->mm/o"]))
        );
        assert_eq!(at("p a[b->c].d"), (10, names(&["a[b->c]/d"])));
        assert_eq!(at("p -x f(1, 2)->o"), (14, names(&["f(1, 2)/o"])));
        // what an argument is
        assert_eq!(at("mod -s virtio_"), (7, names(&["virtio_blk"])));
        assert_eq!(at("sym -m v"), (7, names(&["virtio", "virtio_blk"])));
        assert_eq!(at("bt 1"), (3, names(&["1", "17"])));
        assert_eq!(at("bt -f ks"), (6, names(&["kswapd0"])));
        assert_eq!(at("vm 2"), (3, names(&["2"])));
        assert_eq!(at("foreach U"), (8, names(&["UN"])));
        assert_eq!(at("foreach act"), (8, names(&["active"])));
        assert_eq!(at("foreach UN bt 1"), (14, names(&["1", "17"])));
        assert_eq!(at("rd -r fi").0, usize::MAX);
        assert_eq!(at("mod -S /l").0, usize::MAX);
        assert_eq!(at("log > fi").0, usize::MAX);
        assert_eq!(at("< fi").0, usize::MAX);
        assert_eq!(at("p é"), (2, names(&[])));
    }
}
