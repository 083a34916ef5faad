//! From a dump to its verdict: the stations of the way, each of which takes values and gives values.

use crate::case::{self, Case, Opened};
use crate::code::roles;
use crate::context::{history, init, process, trace};
use crate::explain::blame::{self, Blame, Found};
use crate::explain::objects;
use crate::explain::related;
use crate::headline;
use crate::known;
use crate::losses;
use crate::memory::usage;
use crate::model::{Known, Lack, Place, Statement, Verdict, Victim, Who};
use crate::reports::checkers;
use crate::reports::machine_check;
use crate::signature;
use crate::stall::evidence;
use crate::victim::frames;
use crate::victim::module;
use base::VirtAddr;
use kernel::Session;
use kernel::log::event::Class;
use kernel::log::lines::Lines;
use kernel::stack::backtrace::Backtrace;
use std::path::PathBuf;

/// How to analyse.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// A folder with more known issues.
    pub known: Option<PathBuf>,
    /// Only the kind of death, the place and the condition: what a banner has room for.
    pub brief: bool,
}

/// Says what killed the machine.
#[must_use]
pub fn analyse(s: &Session, options: &Options) -> Verdict {
    let Opened { case, evidence, lacks } = case::open(s, options.brief);
    let class = case::classify(&case);
    let Blame { found, from, at } = blame::of(&case, class);
    let short = Verdict {
        class,
        headline: headline::of(&case, class, &found, at),
        place: found.place.clone(),
        reporter: found.reporter.clone(),
        condition: found.condition.clone(),
        access: found.access.clone(),
        evidence: [evidence, found.evidence.clone()].concat(),
        undetermined: [lacks, found.lacks.clone()].concat(),
        victim: case.victim.task.map(|task| Victim {
            who: Who::of(task),
            task: task.at.0,
            cpu: task.cpu,
            frame: from,
        }),
        context: Vec::new(),
        logged: None,
        module: Vec::new(),
        waits: Vec::new(),
        objects: Vec::new(),
        related: Vec::new(),
        history: Vec::new(),
        known: Vec::new(),
        signature: Err(String::new()),
        losses: Vec::new(),
    };
    let short = if s.is_log() { log_alone(s, short) } else { short };
    let told = if options.brief { short } else { whole(&case, options, &Blame { found, from, at }, short) };
    let told = if s.is_log() { by_log(told) } else { told };
    Verdict { losses: losses::of(&case, &told, options.brief), ..told }
}

/// A verdict that nothing but a log tells: what shows its statements is the log, and a machine of whose death it has no word
/// need not have lived on.
fn by_log(v: Verdict) -> Verdict {
    let own = |statements: Vec<Statement>| -> Vec<Statement> {
        statements.into_iter().map(Statement::by_log).collect()
    };
    let alive = v.class == Class::Alive;
    Verdict {
        class: if alive { Class::Unknown } else { v.class },
        signature: if alive { Err(String::new()) } else { v.signature },
        context: own(v.context),
        module: own(v.module),
        waits: own(v.waits),
        related: own(v.related),
        history: own(v.history),
        evidence: own(v.evidence),
        ..v
    }
}

/// Of a log that does not tell how far KASLR moved the image, addresses are not known.
fn log_alone(s: &Session, v: Verdict) -> Verdict {
    let own = |place: Place| match s.is_placed(VirtAddr(place.address)) {
        true => place,
        false => Place { address: 0, ..place },
    };
    Verdict { place: v.place.map(own), reporter: v.reporter.map(own), ..v }
}

/// The verdict with everything that a banner has no room for.
fn whole(case: &Case<'_>, options: &Options, blame: &Blame, short: Verdict) -> Verdict {
    let (s, class, found) = (case.s, short.class, &blame.found);
    let stalls = evidence::of(case, class);
    let reported = case.lines.and_then(|lines| related::reported_object(s, class, &lines.texts()));
    let objects = objects::of(s, found.access.as_ref(), found.condition.as_ref(), reported);
    let stack = stack(case, class, blame);
    let (known, unusable) = known_issues(case, options, class, found, &stack);
    Verdict {
        context: context(case, class, blame.at),
        logged: trace::of(case),
        module: module::of(s, &case.victim, blame.at, class, found),
        waits: stalls.waits,
        related: [found.related.clone(), out_of_memory(case, class), report(case, class, &objects)].concat(),
        objects,
        history: history::of(case, class),
        known,
        evidence: [short.evidence, stalls.evidence].concat(),
        signature: signature(case, class, &stack),
        undetermined: short.undetermined.into_iter().chain(unknowns(s, class)).chain(unusable).collect(),
        ..short
    }
}

/// What the machine was doing.
fn context(case: &Case<'_>, class: Class, from: Option<usize>) -> Vec<Statement> {
    let s = case.s;
    if class == Class::Alive {
        return process::alive(s);
    }
    let from = from.unwrap_or_else(|| frames::behind_death(class, &case.victim.names(s)));
    let mut out = process::of(s, &case.victim, class, case.event.as_ref(), from);
    out.extend(init::of(case, class));
    out
}

/// What nobody can tell: code of a machine whose values are not followed, tasks and CPUs that are lost.
fn unknowns(s: &Session, class: Class) -> Vec<Lack> {
    let mut out = Vec::new();
    if s.is_log() {
        return out; // said once
    }
    if let Err(e) = s.arch().lift()
        && class.has_instruction()
    {
        out.push(Lack::NotFollowed(e.to_string()));
    }
    out.extend(s.tasks().lack().map(Lack::Waiters));
    if let [cpu, ..] = s.tasks().unknown_cpus.as_slice() {
        out.push(Lack::RunQueue(*cpu));
    }
    out
}

/// The object that a report of a checker is about, as its lines have it.
fn report(case: &Case<'_>, class: Class, objects: &[Known]) -> Vec<Statement> {
    let Some(lines) = case.lines else { return Vec::new() };
    match class {
        Class::SlabCorruption => related::of_slab_report(case.s, &lines.texts(), objects),
        Class::PageCorruption => related::of_page_report(&lines.texts()),
        Class::Sanitizer => {
            let texts = lines.texts();
            let mut out = related::of_kfence_report(&texts, objects);
            out.extend(case.event.iter().flat_map(|e| checkers::kasan_object(&texts, e.at)));
            out
        }
        Class::StackOverflow => checkers::stack_users(case.s, &case.victim),
        Class::MachineCheck => machine_check::statements(&lines.texts()),
        _ => Vec::new(),
    }
}

/// Of a machine that ran out of memory: who had it.
fn out_of_memory(case: &Case<'_>, class: Class) -> Vec<Statement> {
    if class != Class::OutOfMemory {
        return Vec::new();
    }
    let lines = case.lines.map(Lines::texts).unwrap_or_default();
    usage::of(case.s, &lines, case.event.as_ref().map_or(0, |e| e.at))
}

/// The signature; of a log that is not whole, another message may be the first, and none is known.
fn signature(case: &Case<'_>, class: Class, stack: &[Option<String>]) -> Result<String, String> {
    let classed = class != Class::Unknown && case.lines.is_some_and(|lines| lines.stopped.is_none());
    match classed {
        true => signature::of(case.s.arch(), class, stack.iter().map(Option::as_deref)),
        false => Err(String::new()),
    }
}

/// The functions that led to the place, innermost first, without what dying and waiting itself calls; `None` for one that is
/// not known, and where frames end before the stack does.
fn stack(case: &Case<'_>, class: Class, blame: &Blame) -> Vec<Option<String>> {
    let known = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
    let mut names: Vec<Option<String>> =
        blame.found.place.as_ref().map(|p| known(&p.function)).into_iter().collect();
    match (blame.at, &case.event) {
        (Some(n), _) => names.extend(process::known_names(case.s, &case.victim, n)),
        (None, _) if names.is_empty() => {
            // what stood still is lost: what is left is the watchdog's
            let is_whole = |bt: &Backtrace| bt.unwound.stopped.is_end() && case.victim.gap(case.s).is_none();
            let is_cut = !case.victim.bt.as_ref().is_some_and(is_whole);
            names.extend((class.is_stall() && is_cut).then_some(None));
            names.extend(process::known_names(case.s, &case.victim, 0));
        }
        // the log's trace has other frames than the stack: without those marked as guesses, with those of the report itself
        (None, Some(e)) => {
            names.push(None);
            names.extend(e.oops.trace().map(|name| known(&name.to_owned())));
        }
        (None, None) => {}
    }
    if matches!(class, Class::Alive | Class::Unknown) {
        names.clear();
    }
    // what panic() called while the dump was taken says nothing
    let panic = names.iter().rposition(|n| n.as_deref().is_some_and(roles::is_panic));
    names
        .into_iter()
        .skip(panic.map_or(0, |n| n + 1))
        .take_while(|n| n.as_ref().is_none_or(|n| !signature::is_interrupt(case.s.arch(), n)))
        .filter(|n| n.as_ref().is_none_or(|n| !is_machinery(n)))
        .collect()
}

/// True for functions that say how a death was found and carried out.
fn is_machinery(name: &str) -> bool {
    roles::is_dying(name) || roles::is_delaying(name) || roles::is_finding(name)
}

/// The known issues that match, and why a file of them serves nothing.
fn known_issues(
    case: &Case<'_>,
    options: &Options,
    class: Class,
    found: &Found,
    stack: &[Option<String>],
) -> (Vec<Statement>, Option<Lack>) {
    let (entries, unusable) = known::load(options.known.as_deref());
    let stack: Vec<String> = stack.iter().flatten().cloned().collect();
    let version = kernel::machine::system::version(case.s).unwrap_or_default();
    let release = kernel::machine::system::release(case.s).unwrap_or_default();
    let seen = known::Seen {
        class,
        place: found.place.as_ref(),
        condition: found.condition.as_ref().and_then(|c| c.expr.as_ref()),
        message: case.event.as_ref().map_or("", |e| e.line.as_str()),
        release: &release,
        build: &version,
        stack: &stack,
    };
    (known::matching(&entries, &seen), unusable.map(|e| Lack::KnownIssues(e.to_string())))
}
