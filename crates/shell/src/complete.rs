//! What the Tab key offers: commands, options, settings, files, symbols, types, members.

use commands::{Settings, VARIABLES, find};

/// The most names that one press of Tab offers.
const MOST: usize = 200;

/// Names that only the dump knows.
pub trait Completer {
    /// Symbols that begin with `prefix`, at most `max`.
    fn symbols(&self, prefix: &str, max: usize) -> Vec<String>;
    /// Types that begin with `prefix`, at most `max`.
    fn types(&self, prefix: &str, max: usize) -> Vec<String>;
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
    fn members(&self, _of: &str, _prefix: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What Tab offers at the end of `line`.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// Names that replace the line from an offset on.
    Names(usize, Vec<String>),
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
    match name {
        "help" => known(&mut commands::all().into_iter().map(|c| c.name()).chain(["all", "input", "output"])),
        "set" if !word.starts_with('-') => known(&mut VARIABLES.iter().map(|v| v.name)),
        "repeat" | "foreach" if !word.starts_with('-') => {
            Offer::Names(start, commands::complete_names(settings, word))
        }
        _ if word.starts_with('-') => Offer::Names(start, options(name, word)),
        _ => names(start, word, dump),
    }
}

fn options(command: &str, prefix: &str) -> Vec<String> {
    let Some(command) = find(command) else { return Vec::new() };
    let clap = command.clap();
    let mut out: Vec<String> = clap
        .get_arguments()
        .filter(|a| !a.is_positional() && !a.is_hide_set())
        .flat_map(|a| {
            let short = a.get_short().map(|c| format!("-{c}"));
            // as crash spells them: `-FF`
            let own = |long: String| {
                command
                    .respell()
                    .iter()
                    .find(|(_, to)| *to == long)
                    .map_or(long.clone(), |(own, _)| (*own).to_owned())
            };
            short.into_iter().chain(a.get_long().map(|l| own(format!("--{l}"))))
        })
        .filter(|option| option.starts_with(prefix))
        .collect();
    out.sort();
    out.dedup();
    out
}

/// The last name of an expression, and the member operator before it.
fn names(start: usize, word: &str, dump: &dyn Completer) -> Offer {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let at = word
        .char_indices()
        .rev()
        .find(|(_, c)| !is_name(*c))
        .map_or(0, |(i, c)| i.saturating_add(c.len_utf8()));
    let (left, prefix) = word.split_at_checked(at).unwrap_or(("", word));
    let start = start.saturating_add(at);
    let of = left.strip_suffix("->").or_else(|| left.strip_suffix('.'));
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
    }

    fn at(line: &str) -> (usize, Vec<String>) {
        match offer(line, &Settings::default(), &Some3) {
            Offer::Names(start, names) => (start, names),
            Offer::Files => (usize::MAX, Vec::new()),
        }
    }

    #[test]
    fn names_are_offered_by_their_place() {
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(at("ev"), (0, names(&["eval"])));
        assert_eq!(at("eval -"), (5, names(&["--help", "-b", "-l"])));
        assert_eq!(at("bt -F"), (3, names(&["-F", "-FF"])));
        assert_eq!(at("sys -p"), (4, names(&["-panic"])));
        assert_eq!(at("set scr"), (4, names(&["scroll"])));
        assert_eq!(at("help ou"), (5, names(&["output"])));
        assert_eq!(at("p jiff"), (2, names(&["jiffies", "jiffies_64"])));
        assert_eq!(at("p &(jiffies_"), (4, names(&["jiffies_64"])));
        assert_eq!(at("struct ta"), (7, names(&["task_struct"])));
        assert_eq!(at("struct task_struct.mm->o"), (23, names(&["task_struct.mm/o"])));
        assert_eq!(at("p init_task.co"), (12, names(&["init_task/co"])));
        assert_eq!(at("log > fi").0, usize::MAX);
        assert_eq!(at("< fi").0, usize::MAX);
        assert_eq!(at("p é"), (2, names(&[])));
    }
}
