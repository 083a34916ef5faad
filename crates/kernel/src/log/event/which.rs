//! Which of a log's reports the machine died of.
//!
//! A machine may survive an oops and die of something else minutes later. What it died of is told by the words of its panic,
//! by whether the report before them had ended, and, of several oopses, by the one whose place is on the stack of the CPU that
//! panicked. The others are what came before.
//!
//! **An episode** is one oops with all its messages, and the oopses that it caused itself: a fault while the first was
//! reported, or while its task died of it.

use super::forms::{FATAL_EXCEPTION, PANIC_ON_TAINT};
use super::oops::{self, Oops};
use super::{
    Class, Event, Fate, Log, Sign, class_of, end_of_report, is_one_oops, is_one_report, panic_class,
    panic_line, panic_words,
};
use crate::log::lines::Lines;
use crate::sched::panic;
use crate::session::Session;
use base::VirtAddr;

/// How many episodes, the last of them, are held against the stack.
const MAX_EPISODES: usize = 8;
/// Functions in which a task dies of its oops.
const EXITS: &[&str] = &["do_exit", "make_task_dead", "rewind_stack_do_exit", "rewind_stack_and_make_dead"];

/// Messages that belong together: the places of the first and of the last among the deadly ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Episode {
    first: usize,
    last: usize,
}

/// Finds the fatal event in the lines of a log, by the log alone. `None` where nothing in it is fatal.
#[must_use]
pub fn find(lines: &[&str]) -> Option<Event> {
    choose(lines, false, &mut |_| None)
}

/// The fatal event of a dump: of several oopses the one whose place is on the stack of the CPU that panicked. Where the kernel
/// says that nobody panicked, an oops whose report has ended was survived: a crash kernel takes over before it ends.
#[must_use]
pub fn fatal(s: &Session, lines: &Lines) -> Option<Event> {
    let mut found: Option<Interrupted> = None;
    let lives = panic::panic_cpu(s).is_none() && panic::nobody_panicked(s);
    choose(&lines.texts(), lives, &mut |oops| {
        let found = found.get_or_insert_with(|| Interrupted::of(s));
        let at = oops.placed(s)?;
        if found.places.contains(&at) { Some(true) } else { found.is_whole.then_some(false) }
    })
}

/// What exceptions and interrupts came upon in the task that panicked.
#[derive(Default)]
struct Interrupted {
    /// The kernel instructions.
    places: Vec<VirtAddr>,
    /// There are no others: the backtrace reaches the end of the stack, and no frame of it is a guess.
    is_whole: bool,
}

impl Interrupted {
    fn of(s: &Session) -> Self {
        let Some(task) = panic::known_panic_task(s) else { return Self::default() };
        let bt = s.backtrace(task);
        let frames = &bt.unwound.frames;
        let saved = |frame: &unwind::Frame| frame.saved.as_ref().filter(|regs| !regs.user)?.regs.pc();
        let is_certain = bt.doubt.is_none() && frames.iter().all(|frame| !frame.how.is_guess());
        Self {
            places: frames.iter().filter_map(saved).map(VirtAddr).collect(),
            is_whole: is_certain && bt.unwound.stopped.is_end(),
        }
    }
}

impl Oops {
    /// The instruction that the report names, where the name stands for one function.
    #[must_use]
    pub fn placed(&self, s: &Session) -> Option<VirtAddr> {
        if let Some(wild) = self.wild {
            return Some(VirtAddr(wild));
        }
        let (function, offset, module) = self.rip.as_ref()?;
        // until 4.9 the kernel printed the address itself; it is believed where the name agrees
        if let Some(pc) = self.pc.map(VirtAddr)
            && s.locate(pc).is_some_and(|l| l.symbol.name == function && l.offset == *offset)
        {
            return Some(pc);
        }
        let logged = self.size.and_then(|size| s.logged_function(function, module.as_deref(), size));
        Some(logged.or_else(|| s.only_function(function, module.as_deref()))?.add(*offset))
    }
}

/// The fatal event. `on_stack` says of an oops whether its place is on the stack of the CPU that panicked; `None` where that
/// is not known; `lives`, that nobody panicked.
fn choose(lines: &[&str], lives: bool, on_stack: &mut dyn FnMut(&Oops) -> Option<bool>) -> Option<Event> {
    let panic_at = panic_line(lines);
    let before = lines.get(..panic_at.unwrap_or(lines.len())).unwrap_or_default();
    let signs: Vec<Sign> = before
        .iter()
        .enumerate()
        .filter_map(|(at, l)| class_of(l).map(|(class, fate)| Sign { at, class, fate }))
        .collect();
    let log = Log { lines, signs: &signs, panic_at };
    let oopses = Oopses { before, deadly: signs.iter().filter(|s| s.fate == Fate::Deadly).collect() };
    let newest = oopses.fatal(on_stack);
    // an oops whose place is not on the stack is not what the machine died of
    let gone = newest
        .filter(|(episode, on_stack)| *on_stack == Some(false) && oopses.is_before(*episode, before.len()));
    let oops = newest.map(|(episode, _)| episode);
    let first =
        |episode: Episode| oopses.deadly.get(episode.first).map(|sign| log.reported(sign.at, sign.class));
    let Some((panic_at, words)) = panic_at.and_then(|n| Some((n, panic_words(lines.get(n)?)?))) else {
        // no panic: an oops goes to the crash kernel without one
        let asked = signs.iter().rfind(|s| s.class == Class::Sysrq);
        return match (oops, asked) {
            (Some(episode), Some(asked)) if oopses.is_before(episode, asked.at) => {
                Some(log.event(asked.at, asked.class))
            }
            (Some(episode), _) if lives && oopses.is_before(episode, before.len()) => {
                asked.map(|s| log.event(s.at, s.class))
            }
            (Some(episode), _) if gone.is_none() => first(episode),
            (_, asked) => asked.map(|s| log.event(s.at, s.class)),
        };
    };
    let named = panic_class(words);
    let gone = gone.is_some() && words.contains(FATAL_EXCEPTION);
    if let Some(episode) = oops.filter(|_| !gone)
        && oopses.ends_in(episode, (words, named), &log)
    {
        return first(episode);
    }
    match named {
        // an oops whose first lines the log has lost: the report right before the panic, if there is one
        Some(Class::Unknown) => {
            let is_over = |s: &Sign| s.fate == Fate::Deadly && end_of_report(lines, s.at, panic_at).is_some();
            let near = signs.iter().rfind(|s| panic_at - s.at <= 100 && !is_over(s));
            Some(near.map_or_else(|| log.event(panic_at, Class::Panic), |s| log.reported(s.at, s.class)))
        }
        Some(class) => {
            let (at, class) = log.named(class).unwrap_or((panic_at, class));
            Some(log.reported(at, class))
        }
        None => Some(log.event(panic_at, Class::Panic)),
    }
}

/// The deadly messages of a log.
struct Oopses<'l> {
    /// The lines up to the panic.
    before: &'l [&'l str],
    deadly: Vec<&'l Sign>,
}

impl Oopses<'_> {
    /// The last episode whose place is on the stack; else the last, and `false` where the stack has none of them for certain.
    fn fatal(&self, on_stack: &mut dyn FnMut(&Oops) -> Option<bool>) -> Option<(Episode, Option<bool>)> {
        let newest = self.episode(self.deadly.len().checked_sub(1)?);
        let (mut episode, mut none) = (newest, Some(false));
        for _ in 0..MAX_EPISODES {
            match self.is_on_stack(episode, on_stack) {
                Some(true) => return Some((episode, Some(true))),
                Some(false) => {}
                None => none = None,
            }
            match episode.first.checked_sub(1) {
                Some(last) => episode = self.episode(last),
                None => break,
            }
        }
        Some((newest, none))
    }

    /// Whether one of an episode's oopses has its place on the stack: the stack of the first is gone where its task died of it.
    fn is_on_stack(&self, episode: Episode, on_stack: &mut dyn FnMut(&Oops) -> Option<bool>) -> Option<bool> {
        let mut all = Some(false);
        for sign in self.deadly.get(episode.first..=episode.last).unwrap_or_default() {
            match on_stack(&oops::read(self.before, sign.at)) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => all = None,
            }
        }
        all
    }

    /// The episode that ends with a message.
    fn episode(&self, last: usize) -> Episode {
        let mut first = last;
        while let Some(before) = first.checked_sub(1)
            && self.is_caused(before, first)
        {
            first = before;
        }
        Episode { first, last }
    }

    /// True where the first of two neighbours caused the other, or both are of one report.
    fn is_caused(&self, cause: usize, n: usize) -> bool {
        let (Some(cause), Some(sign)) = (self.deadly.get(cause), self.deadly.get(n)) else { return false };
        let (one, other) = (oops::read(self.before, cause.at), oops::read(self.before, sign.at));
        if is_one_report(self.before, cause.at, sign.at) {
            // another CPU's, which came while the first was reported
            let differ = one.cpu.zip(other.cpu).is_some_and(|(one, other)| one != other);
            return is_one_oops(self.before, cause.at, sign.at) || !differ;
        }
        one.pid.is_some()
            && (one.pid, &one.comm) == (other.pid, &other.comm)
            && other.trace().any(|name| EXITS.contains(&name))
    }

    /// True for an episode that was over before a line.
    fn is_before(&self, episode: Episode, line: usize) -> bool {
        self.deadly.get(episode.last).is_some_and(|last| end_of_report(self.before, last.at, line).is_some())
    }

    /// True where the panic of these words was the end of the episode.
    fn ends_in(&self, episode: Episode, (words, named): (&str, Option<Class>), log: &Log<'_>) -> bool {
        let own = self.deadly.get(episode.first..=episode.last).unwrap_or_default();
        let Some(first) = own.first() else { return false };
        let is_over = self.is_before(episode, self.before.len());
        match named {
            // an oops taints before its report ends; what taints later is another report
            Some(Class::Unknown) => !is_over || !words.starts_with(PANIC_ON_TAINT),
            // an oops that took the first process along; that of another task had nothing to do with it
            Some(Class::InitKilled) => {
                let died = oops::read(self.before, first.at).pid;
                let panicked = log.panic_at.and_then(|n| oops::task_of(log.lines, n)).and_then(|who| who.pid);
                died.is_none_or(|pid| pid == 1 || Some(pid) == panicked)
            }
            Some(class) if own.iter().any(|sign| sign.class == class) => true,
            // a stall in whose report a fault came
            Some(class) => !is_over && log.named(class).is_none_or(|(at, _)| at > first.at),
            None => !is_over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::event::{Earlier, Who};

    /// An oops's messages, with the end of its report.
    fn oops(first: &str, cpu: u32, pid: i32, place: &str, trace: &str) -> String {
        format!(
            "{first}\nOops: 0000 [#1] SMP\nCPU: {cpu} PID: {pid} Comm: cat Not tainted 6.1\nRIP: 0010:{place}\n\
            Call Trace:\n {trace}\n---[ end trace 0 ]---\n"
        )
    }

    fn of(text: &str) -> Event {
        find(&text.lines().collect::<Vec<_>>()).unwrap()
    }

    const NULL: &str = "BUG: kernel NULL pointer dereference, address: 0000000000000008";
    const BUG: &str = "kernel BUG at b.c:2!";

    #[test]
    fn what_the_machine_survived_is_no_death() {
        let survived = oops(NULL, 1, 77, "f+0x1/0x2", "g+0x1/0x2");
        let who = Some(Who { cpu: Some(1), pid: Some(77), comm: Some("cat".to_owned()) });
        let earlier = [Earlier { at: 0, line: NULL.to_owned(), is_oops: true, who }];
        for (later, class) in [
            ("Kernel panic - not syncing: softlockup: hung tasks", Class::SoftLockup),
            (
                "INFO: task dd:9 blocked for more than 120 seconds.\nKernel panic - not syncing: hung_task: blocked tasks",
                Class::HungTask,
            ),
            ("Kernel panic - not syncing: sysrq triggered crash", Class::Sysrq),
            ("Kernel panic - not syncing: a driver gave up", Class::Panic),
            (
                "BUG kmalloc-64 (Tainted: G    B      ): Poison overwritten\nKernel panic - not syncing: panic_on_taint set ...",
                Class::SlabCorruption,
            ),
            ("Kernel panic - not syncing: panic_on_taint set ...", Class::Panic),
            ("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100", Class::InitKilled),
            ("kernel BUG at b.c:2!\nKernel panic - not syncing: Fatal exception", Class::Bug),
            ("sysrq: Trigger a crash", Class::Sysrq),
        ] {
            let e = of(&format!("{survived}{later}"));
            assert_eq!(
                (e.class, e.earlier.as_slice(), &e.later),
                (class, earlier.as_slice(), &None),
                "{later}"
            );
        }
        // the last of several, with or without a panic: one goes to the crash kernel before its report has ended
        let last = oops(BUG, 0, 9, "h+0x1/0x2", "k+0x1/0x2");
        for end in [
            "",
            "Kernel panic - not syncing: Fatal exception",
            "Kernel panic - not syncing: Oopsed too often (kernel.oops_limit is 2)",
        ] {
            let e = of(&format!("{survived}{last}{end}"));
            assert_eq!(
                (e.line.as_str(), e.oops.pid, e.earlier.as_slice()),
                (BUG, Some(9), earlier.as_slice())
            );
        }
    }

    #[test]
    fn an_oops_counts_where_the_panic_is_its_own() {
        for end in [
            "Kernel panic - not syncing: Fatal exception",
            "Kernel panic - not syncing: Oops: Fatal exception",
            "Kernel panic - not syncing: Oops - BUG: Fatal exception in interrupt",
            "Kernel panic - not syncing: Aiee, killing interrupt handler!",
            "Kernel panic - not syncing: Oopsed too often (kernel.oops_limit is 1)",
        ] {
            assert_eq!(
                of(&format!("{}{end}", oops(NULL, 1, 77, "f+0x1/0x2", "g+0x1/0x2"))).class,
                Class::NullPointer
            );
        }
        // init is taken along by its own oops
        let init = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\nCPU: 0 PID: 1 Comm: init Not tainted";
        assert_eq!(
            of(&format!("{}{init}", oops(NULL, 0, 1, "f+0x1/0x2", "g+0x1/0x2"))).class,
            Class::NullPointer
        );
        assert_eq!(
            of(&format!("{}{init}", oops(NULL, 0, 7, "f+0x1/0x2", "g+0x1/0x2"))).class,
            Class::InitKilled
        );
        // the panic came while the report was printed
        let open = "BUG: kernel NULL pointer dereference, address: 0000000000000008\nRIP: 0010:f+0x1/0x2\n\
            Kernel panic - not syncing: a driver gave up";
        assert_eq!(of(open).class, Class::NullPointer);
    }

    #[test]
    fn a_fault_that_another_caused_is_of_its_episode() {
        // while the first was reported
        let e =
            of("kernel BUG at a.c:1!\nRIP: 0010:f+0x1/0x2\nkernel BUG at b.c:2!\n---[ end trace 2 ]---\n\
            Kernel panic - not syncing: Fatal exception");
        assert_eq!((e.line.as_str(), e.earlier.len()), ("kernel BUG at a.c:1!", 0));
        // while its task died of it
        let first = oops(NULL, 1, 77, "f+0x1/0x2", "g+0x1/0x2");
        let second = oops(BUG, 1, 77, "exit_mm+0x1/0x2", "do_exit+0x1/0x2");
        let e = of(&format!("{first}{second}Kernel panic - not syncing: Fatal exception"));
        assert_eq!((e.line.as_str(), e.later), (NULL, Some((7, BUG.to_owned()))));
        // another CPU's while the first one's was printed: the stack tells which it died of, and the other is told with its own
        let begun = first.replace("---[ end trace 0 ]---\n", "");
        let other = oops(BUG, 0, 9, "h+0x1/0x2", "k+0x1/0x2").replace("[#1]", "[#2]");
        let both =
            format!("{begun}{other}---[ end trace 1 ]---\nKernel panic - not syncing: Fatal exception");
        let lines: Vec<&str> = both.lines().collect();
        let whose = |pid: i32| choose(&lines, false, &mut |oops| oops.pid.map(|own| own == pid)).unwrap();
        let e = whose(77);
        assert_eq!((e.line.as_str(), e.later), (NULL, Some((6, BUG.to_owned()))));
        assert_eq!(e.later_of, Some(Who { cpu: Some(0), pid: Some(9), comm: Some("cat".to_owned()) }));
        let e = whose(9);
        assert_eq!((e.line.as_str(), e.later, e.earlier.len()), (BUG, None, 1));
        assert_eq!(e.earlier[0].who.as_ref().and_then(|who| who.pid), Some(77));
        // the same CPU's, in the middle of it: the first is what it died of
        let again = oops(BUG, 1, 77, "h+0x1/0x2", "k+0x1/0x2").replace("[#1]", "[#2]");
        let e = of(&format!("{begun}{again}Kernel panic - not syncing: Fatal exception"));
        assert_eq!((e.line.as_str(), e.later), (NULL, Some((6, BUG.to_owned()))));
        assert_eq!(e.later_of.and_then(|who| who.cpu), Some(1));
        // another task that exits
        let second = oops(BUG, 1, 78, "exit_mm+0x1/0x2", "do_exit+0x1/0x2");
        assert_eq!(of(&format!("{first}{second}Kernel panic - not syncing: Fatal exception")).line, BUG);
    }

    #[test]
    fn the_stack_tells_which_of_several() {
        let log = [("f+0x1/0x2", 1), ("g+0x1/0x2", 2), ("h+0x1/0x2", 3)]
            .map(|(place, pid)| oops(NULL, 0, pid, place, "k+0x1/0x2"))
            .concat();
        let lines: Vec<&str> = log.lines().collect();
        let chosen = |names: Option<&[&str]>| {
            let mut on_stack =
                |oops: &Oops| names.map(|names| names.contains(&oops.rip.as_ref().unwrap().0.as_str()));
            choose(&lines, false, &mut on_stack)?.oops.pid
        };
        assert_eq!(chosen(None), Some(3));
        assert_eq!(chosen(Some(&["g"])), Some(2));
        assert_eq!(chosen(Some(&["g", "f"])), Some(2), "the last of them");
        assert_eq!(chosen(Some(&["of no report"])), None, "all of them were survived");
    }

    /// The words of the death itself may be lost, so that a survived oops is the only one that the log has.
    #[test]
    fn an_oops_that_is_not_on_the_stack_is_not_the_death() {
        let survived = oops(NULL, 1, 77, "f+0x1/0x2", "g+0x1/0x2");
        let chosen = |end: &str, on_stack| {
            let log = format!("{survived}{end}");
            choose(&log.lines().collect::<Vec<_>>(), false, &mut |_| on_stack).map(|e| (e.class, e.oops.pid))
        };
        let (oopsed, panic) = (Some((Class::NullPointer, Some(77))), Some((Class::Panic, None)));
        for end in ["", "Kernel panic - not syncing: Fatal exception"] {
            assert_eq!(chosen(end, Some(true)), oopsed, "{end}");
            assert_eq!(chosen(end, None), oopsed, "{end}");
        }
        assert_eq!(chosen("", Some(false)), None);
        assert_eq!(chosen("Kernel panic - not syncing: Fatal exception in interrupt", Some(false)), panic);
        // its stack was given up before the panic
        for end in ["Aiee, killing interrupt handler!", "Oopsed too often (kernel.oops_limit is 1)"] {
            assert_eq!(chosen(&format!("Kernel panic - not syncing: {end}"), Some(false)), oopsed, "{end}");
        }
        // the second fault is on the stack, the first no more
        let died = oops(BUG, 1, 77, "exit_mm+0x1/0x2", "do_exit+0x1/0x2");
        let log = format!("{survived}{died}Kernel panic - not syncing: Fatal exception");
        let mut on_stack = |o: &Oops| Some(o.rip.as_ref().is_some_and(|rip| rip.0 == "exit_mm"));
        let e = choose(&log.lines().collect::<Vec<_>>(), false, &mut on_stack).unwrap();
        assert_eq!((e.line.as_str(), e.earlier.len()), (NULL, 0));
    }

    #[test]
    fn where_nobody_panicked_an_oops_whose_report_ended_was_survived() {
        let survived = oops(NULL, 1, 77, "f+0x1/0x2", "g+0x1/0x2");
        let chosen = |log: &str, lives| {
            choose(&log.lines().collect::<Vec<_>>(), lives, &mut |_| None).map(|e| e.class)
        };
        assert_eq!(chosen(&survived, true), None);
        assert_eq!(chosen(&format!("{survived}{survived}"), true), None);
        assert_eq!(chosen(&survived, false), Some(Class::NullPointer));
        // the crash kernel took over, or the machine stopped, while it was reported
        let open = survived.split("---[").next().unwrap();
        assert_eq!(chosen(open, true), Some(Class::NullPointer));
        assert_eq!(chosen(&format!("{survived}{open}"), true), Some(Class::NullPointer));
    }

    #[test]
    fn words_that_reporters_share() {
        for (line, class) in [
            ("BUG: KASAN: use-after-free in f+0x1/0x2 [m]", Class::Sanitizer),
            ("BUG: KCSAN: data-race in f / g", Class::Sanitizer),
            ("BUG: KFENCE: out-of-bounds read in f+0x1/0x2", Class::Sanitizer),
            ("UBSAN: shift-out-of-bounds in drivers/a.c:12:3", Class::Ubsan),
            ("WARNING: CPU: 0 PID: 1 at kernel/a.c:12 f+0x1/0x2 [m]", Class::Warning),
        ] {
            for panic in ["panic_on_warn set ...", "KASAN: system warned too often (kernel.warn_limit is 3)"]
            {
                let before = "WARNING: CPU: 0 PID: 1 at kernel/b.c:1 e+0x1/0x2";
                let e = of(&format!(
                    "{before}\n---[ end trace 0 ]---\n{line}\nKernel panic - not syncing: {panic}"
                ));
                assert_eq!((e.class, e.line.as_str(), e.earlier.len()), (class, line, 1), "{panic}");
            }
        }
    }
}
