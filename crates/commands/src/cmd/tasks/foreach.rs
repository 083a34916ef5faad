//! `foreach`: a command for each of several tasks.

use crate::engine::command::has_letter;
use crate::engine::dispatch;
use crate::show::problems::Undecided;
use crate::show::tasks::{self, Named, banner};
use crate::{CommandError, Cx, Example, Run, Writes};
use kernel::Fetch;
use kernel::Session;
use kernel::sched::task::Task;
use report::{Item, List, Record, Report};

/// `foreach`.
#[derive(Debug)]
pub(crate) struct Foreach;

/// The commands that it runs, and whether it puts the task's line before their answer: the others show it
/// themselves.
const KNOWN: [(&str, bool); 9] = [
    ("bt", false),
    ("vm", false),
    ("task", false),
    ("files", false),
    ("net", false),
    ("set", true),
    ("ps", false),
    ("sig", false),
    ("vtop", true),
];
/// The states that it knows, as `ps` shows them.
pub const STATES: [&str; 12] = ["RU", "IN", "UN", "ST", "ZO", "TR", "SW", "DE", "WA", "PA", "ID", "NE"];
/// The kinds of tasks that it knows.
pub const KINDS: [&str; 4] = ["kernel", "user", "gleader", "active"];
/// Tasks whose answers are handed out together.
const BATCH: usize = 256;

/// The arguments of `foreach`.
#[derive(clap::Args)]
pub(crate) struct ForeachArgs {
    /// Which tasks, and what to run
    #[arg(value_name = "[PID | TASK | NAME | 'REGEX' | STATE | kernel | user | gleader | active ...] COMMAND [ARGUMENT", num_args = 1.., required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Run for Foreach {
    type Args = ForeachArgs;
    fn name(&self) -> &'static str {
        "foreach"
    }
    fn about(&self) -> &'static str {
        "display command data for multiple tasks in the system"
    }
    fn details(&self) -> &'static str {
        "Runs a command for all tasks, or for those that are named by pid, address of the task_struct, name or \
         'regex'; kernel, user, gleader (first threads of the user's processes), active (what the CPUs were running) \
         and states (RU, IN, UN, ST, ZO, TR, SW, DE, WA, PA, ID, NE) narrow them down. Commands: bt, vm, task, \
         files, net, set, ps, sig, vtop; one or more, each with its own options behind it. A name that is also one of \
         these words needs a \\ before it."
    }
    fn debug_files(&self, words: &[String]) -> Fetch {
        let known = |w: &str| KNOWN.iter().any(|(name, _)| *name == w);
        dispatch::debug_files_of_each(words.iter().map(String::as_str).filter(|w| known(w)), words)
    }
    fn writes(&self, args: &ForeachArgs) -> Writes {
        let known = |word: &str| KNOWN.iter().find(|(name, _)| *name == word).copied();
        let mut words = args.words.iter();
        let first = words.by_ref().find_map(|word| known(word));
        let all = first.map(|first| runs(first, words, &known)).unwrap_or_default();
        let each = all.iter().map(|one| {
            let name = std::iter::once(one.name.to_owned());
            crate::words_write(&name.chain(one.arguments.iter().cloned()).collect::<Vec<_>>())
        });
        each.fold(Writes::NOTHING, Writes::and)
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("foreach bt", "all backtraces"),
                Example::new("foreach UN bt", "of tasks in uninterruptible sleep"),
                Example::new("foreach 'kworker/.*' bt", "of tasks by a pattern"),
                Example::new("foreach 1 2 ps -t", "of some tasks"),
                Example::new("foreach user vtop 400000", "an address in each process"),
                Example::new("foreach active set", "what the CPUs were running"),
                Example::new("foreach active bt -s ps -t", "two commands"),
                Example::new("foreach user sig -g", "the signals of each process"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &ForeachArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let ask = Ask::parse(s, &args.words)?;
        let mut report = Report::new("foreach");
        tasks::problems(s, &mut report);
        let chosen = ask.tasks(s);
        ask.undecided(s, &mut report);
        if chosen.is_empty() {
            // a state that no task is in is an answer, a name that none has a mistake
            match ask.of_names(s).is_empty() {
                true => report.error("foreach: no task is meant"),
                false => report.info("foreach: no task is meant"),
            }
            return Ok(report);
        }
        let before = cx.settings.context;
        let result = each(cx, &ask, &chosen, &mut report);
        cx.settings.context = before;
        result.map(|()| report)
    }
}

/// What was asked.
#[derive(Debug, Default)]
struct Ask {
    named: Vec<Named>,
    states: Vec<&'static str>,
    kernel: bool,
    user: bool,
    leaders: bool,
    active: bool,
    commands: Vec<Single>,
}

/// One of the commands.
#[derive(Debug)]
struct Single {
    name: &'static str,
    with_banner: bool,
    arguments: Vec<String>,
}

impl Ask {
    fn parse(s: &Session, words: &[String]) -> Result<Self, CommandError> {
        let mut ask = Self::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let known = |w: &str| KNOWN.iter().find(|(name, _)| *name == w).copied();
            if let Some(first) = known(word) {
                ask.commands = runs(first, words.by_ref(), &known);
                ask.commands.iter_mut().for_each(Single::complete);
                break;
            }
            match word.as_str() {
                "kernel" => ask.kernel = true,
                "user" => ask.user = true,
                "gleader" => (ask.user, ask.leaders) = (true, true),
                "active" => ask.active = true,
                _ => match STATES.iter().find(|state| *state == word) {
                    Some(state) => ask.states.push(state),
                    None => ask.named.push(task_word(s, word)?),
                },
            }
        }
        ask.commands.iter().try_for_each(Single::check)?;
        ask.commands.iter().try_for_each(|run| run.check_reference(s))?;
        if ask.commands.is_empty() {
            return Err(CommandError::argument("no command to run (help foreach lists them)"));
        }
        Ok(ask)
    }

    fn of_names<'s>(&self, s: &'s Session) -> Vec<&'s Task> {
        if self.named.is_empty() { s.tasks().all.iter().collect() } else { tasks::chosen(s, &self.named) }
    }

    /// Says how many tasks are left out because it is not known whether they are meant.
    fn undecided(&self, s: &Session, report: &mut Report) {
        let kinds = self.kernel || self.user;
        let states = s.task_states();
        let is_open = |t: &&&Task| {
            (kinds && t.is_kthread().is_none())
                || (!self.states.is_empty() && states.letters(t).is_none())
                || (self.active && s.tasks().was_active(t).is_none())
        };
        let count = self.of_names(s).iter().filter(is_open).count();
        if count > 0 {
            let why = "what tells their kind or state is not in the dump";
            report.missing(format!("foreach: whether {count} more tasks are meant is not known: {why}"));
        }
    }

    fn tasks<'s>(&self, s: &'s Session) -> Vec<&'s Task> {
        let mut chosen = self.of_names(s);
        let states = s.task_states();
        chosen.retain(|t| {
            (!self.kernel || t.is_kthread() == Some(true))
                && (!self.user || t.is_kthread() == Some(false))
                && (!self.leaders || t.is_leader())
                && (!self.active || t.active)
                && (self.states.is_empty()
                    || states.letters(t).is_some_and(|state| self.states.contains(&state)))
        });
        chosen
    }
}

/// The commands, each with the words up to the next command.
fn runs<'a>(
    first: (&'static str, bool),
    words: impl Iterator<Item = &'a String>,
    known: &dyn Fn(&str) -> Option<(&'static str, bool)>,
) -> Vec<Single> {
    let begin = |(name, with_banner)| Single { name, with_banner, arguments: Vec::new() };
    let (mut out, mut run) = (Vec::new(), begin(first));
    for word in words {
        match known(word) {
            Some(next) => out.push(std::mem::replace(&mut run, begin(next))),
            // the context is the task: here crash's vtop -c takes none
            None if run.name == "vtop" && word == "-c" => {}
            None => run.arguments.push(word.clone()),
        }
    }
    out.push(run);
    out
}

impl Single {
    /// `net` without an option is about the devices of the task's network namespace.
    fn complete(&mut self) {
        let has = |letters: &[char]| crate::engine::command::has_letter(&self.arguments, letters);
        if self.name != "net" || has(&['s', 'S']) {
            return;
        }
        self.with_banner = true;
        if !has(&['n', 'a', 'N']) {
            self.arguments.push("-n".to_owned());
        }
    }

    /// Refuses what cannot be passed on: options that choose tasks, and words that would name other tasks.
    fn check(&self) -> Result<(), CommandError> {
        match self.name {
            "bt" => only_of_tasks(&self.arguments)?,
            "vm" => only_of_spaces(&self.arguments)?,
            _ => {}
        }
        if self.name == "net" && crate::engine::command::has_letter(&self.arguments, &['a', 'N']) {
            return Err(CommandError::argument(
                "net: of each task there are sockets (-s, -S) and the devices of its network namespace",
            ));
        }
        let Some(command) = dispatch::find(self.name).filter(|_| self.name != "vtop") else { return Ok(()) };
        let args = match command.parse(self.arguments.clone()) {
            // its page is shown once, not for each task
            Err(CommandError::Help(_)) => return Ok(()),
            args => args.map_err(|e| e.named(self.name))?,
        };
        match args.operand() {
            Some(word) => {
                let why =
                    format_args!("{word}: behind {} stand its options; the tasks go before it", self.name);
                Err(CommandError::argument(why))
            }
            None => Ok(()),
        }
    }

    /// What no task can have is said once, not of each task.
    fn check_reference(&self, s: &Session) -> Result<(), CommandError> {
        match self.name {
            "bt" => {
                crate::cmd::stack::bt::check_reference(s, &self.arguments).map_err(|e| e.named(self.name))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses the options of `bt` that choose tasks by themselves, or are about all of them.
fn only_of_tasks(arguments: &[String]) -> Result<(), CommandError> {
    let mut skip = false;
    for word in arguments {
        if std::mem::take(&mut skip) {
            continue;
        }
        let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else { continue };
        for letter in letters.chars() {
            if "acpgnvEOIS".contains(letter) {
                let why = format_args!("bt -{letter} is not about a single task");
                return Err(CommandError::argument(why));
            }
            if letter == 'R' {
                skip = letters.ends_with('R');
                break;
            }
        }
    }
    Ok(())
}

/// Refuses the options of `vm` that are about one mapping, one address space, or none.
fn only_of_spaces(arguments: &[String]) -> Result<(), CommandError> {
    let groups = arguments.iter().filter_map(|word| word.strip_prefix('-'));
    // what follows R in a word is its value
    let mut letters = groups.flat_map(|group| group.chars().take_while(|c| *c != 'R'));
    match letters.find(|c| "PMf".contains(*c)) {
        Some(letter) => Err(CommandError::argument(format_args!("vm -{letter} is not about several tasks"))),
        None => Ok(()),
    }
}

/// A word that names tasks; one that names none is a mistake.
fn task_word(s: &Session, word: &str) -> Result<Named, CommandError> {
    let named = Named::parse(s, word)?;
    if !matches!(named, Named::Pattern(_)) && !s.tasks().all.iter().any(|t| named.matches(t)) {
        let lack = s.tasks().lack().map(|lack| format!("; the list of tasks is not whole: {lack}"));
        let is_loss = lack.is_some();
        let why = format_args!("{word}: no task and no command of this name{}", lack.unwrap_or_default());
        return Err(CommandError::failed(why).lost_if(is_loss));
    }
    Ok(named)
}

fn each(cx: &mut Cx<'_>, ask: &Ask, chosen: &[&Task], report: &mut Report) -> Result<(), CommandError> {
    // what is true of all tasks is said once
    let said: Vec<Item> = report.body.items.iter().filter(|i| matches!(i, Item::Note(_))).cloned().collect();
    // ps has a table for them all
    if let [ps] = ask.commands.as_slice()
        && ps.name == "ps"
    {
        let mut words = vec!["ps".to_owned()];
        words.extend(ps.arguments.iter().cloned());
        words.extend(chosen.iter().map(|t| format!("{:x}", t.at)));
        let mut all = dispatch::run(cx, &words)?;
        without(&mut all.body, &said);
        report.body.items.extend(all.body.items);
        return Ok(());
    }
    let (mut rows, mut undecided) = (Vec::new(), Undecided::default());
    let mut first = true;
    for t in chosen {
        cx.cancel.check()?;
        cx.settings.context = Some(t.at);
        for Single { name, with_banner, arguments } in &ask.commands {
            // the threads of a process are shown with its first one, unless one was asked for
            if *name == "sig" && has_letter(arguments, &['g']) && !t.is_leader() && ask.named.is_empty() {
                continue;
            }
            let mut row = Record::new();
            if !first {
                row.blank();
            }
            if *with_banner {
                row.line(banner(t));
            }
            let mut words = vec![(*name).to_owned()];
            words.extend(arguments.iter().cloned());
            // ps is about all tasks where none is named, whatever the context
            if *name == "ps" {
                words.push(format!("{:x}", t.at));
            }
            match cx.inside(|cx| dispatch::run(cx, &words)) {
                Ok(mut answer) => {
                    without(&mut answer.body, &said);
                    trim(&mut answer.body);
                    // not a task that was asked for (`-R`): nothing of it is shown
                    if is_without_task(&answer.body) {
                        undecided.take(&answer.body.items);
                        continue;
                    }
                    if is_unmentioned(&answer.body) && answer.is_incomplete() {
                        undecided.take(&answer.body.items);
                        continue;
                    }
                    if says_nothing(&answer.body) || is_unmentioned(&answer.body) {
                        continue;
                    }
                    row.items.extend(answer.body.items);
                }
                Err(
                    e @ (CommandError::Cancelled(_)
                    | CommandError::Usage { .. }
                    | CommandError::Argument(_)
                    | CommandError::NotYet(_)
                    | CommandError::NotFound { .. }),
                ) => {
                    return Err(e);
                }
                Err(e) => {
                    if !*with_banner {
                        row.line(banner(t));
                    }
                    let mut lines = e.lines().into_iter();
                    row.lacking_or_error(e.is_loss(), lines.next().unwrap_or_default());
                    lines.for_each(|line| row.info(line));
                }
            }
            first = false;
            rows.push(row);
        }
        if rows.len() >= BATCH {
            let mut part = Report::new("foreach");
            part.list("tasks", std::mem::take(&mut rows));
            cx.emit(&part)?;
        }
    }
    if !undecided.tell(report, "foreach") && first {
        let asked = chosen.len();
        report.error(format!("foreach: nothing to show: none of {asked} tasks has what was asked for"));
    }
    report.list("tasks", rows);
    Ok(())
}

/// True where a task has no frame or mapping with the reference that `-R` asks for.
fn is_unmentioned(record: &Record) -> bool {
    let keys = ["backtraces", "address_spaces"];
    let is_empty = |list: &List| keys.iter().any(|key| list.key == *key) && list.items.is_empty();
    record.items.iter().any(|item| matches!(item, Item::List(list) if is_empty(list)))
}

/// True where a task has no file and no socket that `-R` asks for, or it is not known whether it has.
fn is_without_task(record: &Record) -> bool {
    let is_empty = |list: &List| list.key == "tasks" && list.items.is_empty();
    record.items.iter().any(|item| matches!(item, Item::List(list) if is_empty(list)))
}

/// Takes out of an answer the notes that were given before.
fn without(answer: &mut Record, said: &[Item]) {
    answer.items.retain(|item| !said.contains(item));
}

/// True where an answer has no line at all.
fn says_nothing(record: &Record) -> bool {
    record.items.iter().all(|item| match item {
        Item::Blank | Item::Hidden(..) => true,
        Item::Line(_) | Item::Note(_) => false,
        Item::Record(_, inner) => says_nothing(inner),
        Item::List(list) => list.items.iter().all(says_nothing),
    })
}

/// Takes the empty lines off the end: one comes between tasks.
fn trim(record: &mut Record) {
    loop {
        match record.items.last_mut() {
            Some(Item::Blank) => {
                record.items.pop();
            }
            Some(Item::Record(_, inner)) => return trim(inner),
            Some(Item::List(list)) => {
                if let Some(last) = list.items.last_mut() {
                    trim(last);
                }
                return;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Line;

    #[test]
    fn options_that_choose_tasks_are_refused() {
        let refused = |line: &str| only_of_tasks(&crate::split_words(line)).err().map(|e| e.to_string());
        assert_eq!(refused("-sa").unwrap(), "bt -a is not about a single task");
        assert!(refused("-c 0").is_some() && refused("-s -E").is_some());
        for line in ["-s -x", "-R panic", "-R -a", "-Rcap", "-FF -l", "--locals", ""] {
            assert_eq!(refused(line), None, "{line}");
        }
    }

    #[test]
    fn each_command_has_its_own_arguments() {
        let known = |w: &str| KNOWN.iter().find(|(name, _)| *name == w).copied();
        let parse = |line: &str| {
            let words = crate::split_words(line);
            runs(known(&words[0]).unwrap(), words[1..].iter(), &known)
        };
        let told = |line: &str| {
            parse(line)
                .iter()
                .map(|r| format!("{}({})", r.name, r.arguments.join(" ")))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(told("bt -s ps -t"), "bt(-s) ps(-t)");
        assert_eq!(told("ps bt"), "ps() bt()");
        assert_eq!(told("vtop -c 400000 set"), "vtop(400000) set()");
        let refused = |line: &str| parse(line).iter().find_map(|r| r.check().err()).map(|e| e.to_string());
        let why = refused("bt ps p x").unwrap();
        assert!(why.starts_with("p: behind ps stand its options"), "{why}");
        assert!(refused("files x").is_some() && refused("net -a").is_some());
        assert!(refused("bt 1").is_some() && refused("set radix").is_some() && refused("bt -Z").is_some());
        for line in [
            "bt -R panic -s",
            "ps -y FIFO",
            "task -R comm",
            "vtop 400000 500000",
            "set",
            "files -c",
            "net -s",
        ] {
            assert_eq!(refused(line), None, "{line}");
        }
    }

    #[test]
    fn an_answer_without_a_line_says_nothing() {
        let mut record = Record::new();
        record.list("backtraces", vec![Record::new()]);
        record.hidden("x", 1);
        record.blank();
        assert!(says_nothing(&record));
        record.list("backtraces", vec![Record::of(Line::of("x"))]);
        assert!(!says_nothing(&record));
        let mut note = Record::new();
        note.warning("x");
        assert!(!says_nothing(&note));
    }

    #[test]
    fn what_was_said_of_all_tasks_is_not_said_of_each() {
        let note = |text: &str| {
            let mut record = Record::new();
            record.warning(text);
            record
        };
        let said = note("the list is not whole").items;
        let mut answer = note("the list is not whole");
        answer.warning("its stack is not in the dump");
        without(&mut answer, &said);
        assert_eq!(answer, note("its stack is not in the dump"));
    }

    #[test]
    fn empty_lines_at_the_end_go() {
        let mut inner = Record::of(Line::of("x"));
        inner.blank();
        inner.blank();
        let mut record = Record::new();
        record.blank();
        record.list("tasks", vec![inner]);
        trim(&mut record);
        let Some(Item::List(list)) = record.items.last() else { panic!() };
        assert_eq!(list.items[0].items.len(), 1);
        assert_eq!(record.items.len(), 2);
    }
}
