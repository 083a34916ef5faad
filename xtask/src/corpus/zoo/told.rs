//! `truth.json` of the zoo: what a verdict has to say about a case, from the guest's own words (`zoo: truth …`), the
//! kernel's report, and the marks in the module's source.
//!
//! The places are the frames of the kernel's report from the innermost to the first one in the module: the verdict
//! may name any of them. Numbers of 64 bits are strings.

use serde::Serialize;

use super::build::Mark;
use super::ways::{How, NOWHERE, Way};
use crate::corpus::console::Console;
use crate::corpus::oops::{self, Place};
use crate::run::{Error, other};

/// The whole file.
#[derive(Serialize, Debug)]
pub(crate) struct Truth {
    /// Of the kernel.
    pub series: String,
    /// As the table has it.
    pub way: String,
    /// `uname -r`.
    pub release: String,
    /// The dump holds types for the module (BTF).
    pub typed: bool,
    /// The classes that are right.
    pub class: Vec<String>,
    /// Innermost first; empty where the place is not in the module.
    pub places: Vec<Told>,
    /// The line in the module.
    pub mark: Option<Line>,
    /// The file and line that the kernel printed (`kernel BUG at`, `WARNING: … at`).
    pub printed: Option<(String, u64)>,
    /// The operands' values, the address that faults.
    pub values: Vec<(String, String)>,
    /// All else: `holds PID mutex ADDRESS`, `context timer FUNCTION` …
    pub facts: Vec<String>,
    /// The reason of the panic.
    pub panic: Option<String>,
}

/// A frame of the kernel's report.
#[derive(Serialize, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Symbol.
    pub function: String,
    /// Bytes from its start.
    pub offset: u64,
    /// The instruction itself, and not where a call returns to.
    pub exact: bool,
    /// Its module.
    pub module: Option<String>,
}

/// The marked line.
#[derive(Serialize, Debug)]
pub(crate) struct Line {
    /// As the debug information has it.
    pub file: String,
    /// Numbers: a loop has several.
    pub lines: Vec<usize>,
    /// The function of the source.
    pub function: String,
    /// What fails there.
    pub expression: Option<String>,
}

/// What the guest says before it dies.
const ASKED: &str = "zoo: truth way ";

/// Whether a guest came to be asked to die.
pub(crate) fn asked(way: &Way, console: &str) -> bool {
    way.how == How::NoRoot || console.contains(ASKED)
}

impl Truth {
    /// Reads a console.
    pub(crate) fn new(
        series: &str,
        (release, typed): (&str, bool),
        way: &Way,
        mark: Option<Mark>,
        console: &str,
    ) -> Result<Self, Error> {
        let console = Console::parse(console);
        let texts: Vec<&str> = console.messages.iter().map(|message| message.text.as_str()).collect();
        let start = match texts.iter().rposition(|text| text.starts_with(ASKED)) {
            Some(start) => start,
            None if way.how == How::NoRoot => 0,
            None => return other(format!("{}: the guest died before it was asked to", way.name)),
        };
        let after = texts.get(start..).unwrap_or_default();
        let told = after.iter().filter_map(|text| text.strip_prefix("zoo: truth "));
        let (values, facts): (Vec<&str>, Vec<&str>) = told.partition(|text| text.starts_with("value "));
        let places = match &mark {
            Some(mark) => check(way, mark, places(after, way.traps()))?,
            None if way.mark == NOWHERE => Vec::new(),
            None => places(after, way.traps()),
        };
        Ok(Self {
            series: series.into(),
            way: way.name.into(),
            release: release.into(),
            typed,
            class: way.class.iter().map(|class| (*class).to_owned()).collect(),
            places,
            mark: mark.map(|mark| Line {
                file: mark.file,
                lines: mark.lines,
                function: mark.function,
                expression: mark.expression,
            }),
            // A warning may come before the BUG that kills.
            printed: (after.iter().filter(|text| text.starts_with("kernel BUG at ")))
                .chain(after)
                .find_map(|text| printed(text)),
            values: values.iter().filter_map(|text| value(text)).collect(),
            facts: facts.iter().map(|text| (*text).to_owned()).collect(),
            panic: oops::panic_reason(after.iter().copied()),
        })
    }
}

/// `value EXPRESSION = NUMBER`.
fn value(text: &str) -> Option<(String, String)> {
    let (name, number) = text.strip_prefix("value ")?.rsplit_once(" = ")?;
    Some((name.to_owned(), number.trim().to_owned()))
}

/// The file and line of `kernel BUG at FILE:LINE!` and `WARNING: CPU: 0 PID: 1 at FILE:LINE function+…`.
fn printed(text: &str) -> Option<(String, u64)> {
    let place = match text.strip_prefix("kernel BUG at ") {
        Some(rest) => rest.trim_end_matches('!'),
        None => {
            let rest = text.strip_prefix("WARNING: ")?;
            rest.split_whitespace().find(|word| word.contains(".c:") || word.contains(".h:"))?
        }
    };
    let (file, line) = place.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

/// The frames of the first report that comes to the module, from the innermost to the module's first; of a death by a
/// `trap` the first with registers, as a mere stack before it is another report's.
fn places(lines: &[&str], trap: bool) -> Vec<Told> {
    let mut first = None;
    let mut found: Vec<Told> = Vec::new();
    // Where an object was allocated is told before the state.
    let mut state = false;
    // After a jump to where no code is, the kernel's unwinder knows no frame for certain.
    let mut lost = false;
    for line in lines {
        let text = line.trim_start();
        if text.starts_with("CPU: ") || text.starts_with("task:") {
            found.clear();
            state = true;
        }
        if !state {
            continue;
        }
        // A report of registers repeats itself after `end trace`: what was found first stays.
        let (text, exact) = match text.strip_prefix("RIP: 0010:") {
            Some(rest) => (rest, true),
            None => (text.strip_prefix("? ").filter(|_| lost).unwrap_or(text), false),
        };
        lost |= exact && text.starts_with("0x");
        let Some(Place { symbol, offset, module, .. }) = Place::parse(text) else { continue };
        let module_is_zoo = module.as_deref() == Some("zoo");
        // it carries out what its caller asserted
        if module_is_zoo && symbol.starts_with("assfail") {
            continue;
        }
        found.push(Told { function: symbol, offset, exact, module });
        if module_is_zoo {
            if !trap || found.iter().any(|place| place.exact) {
                return found;
            }
            first.get_or_insert_with(|| std::mem::take(&mut found));
            state = false;
        }
    }
    first.unwrap_or_default()
}

/// Fails where the guest died in another function than the one with the mark: then the zoo is wrong.
fn check(way: &Way, mark: &Mark, places: Vec<Told>) -> Result<Vec<Told>, Error> {
    let Some(last) = places.last() else {
        return other(format!("{}: the kernel's report does not come to the module", way.name));
    };
    let name = last.function.split('.').next().unwrap_or_default();
    if mark.inlined || name == mark.function {
        return Ok(places);
    }
    other(format!("{}: died in {name}, and the mark stands in {}", way.name, mark.function))
}

#[cfg(test)]
mod tests {
    use super::super::{build, ways::WAYS};
    use super::*;

    const CONSOLE: &str = "\
[    2.1] no stamp
[    2.100000] zoo: truth way bug-compare
[    2.100001] zoo: truth value ring->desc.used = 0x26
[    2.100002] zoo: truth context none
[    2.200000] kernel BUG at zoo/asserts.c:64!
[    2.200000] CPU: 1 PID: 98 Comm: sh Tainted: G           OE      6.1.0-1-cloud-amd64 #1
[    2.200000] RIP: 0010:ring_place+0x66/0x70 [zoo]
[    2.200000]  ring_submit+0x19/0x30 [zoo]
[    2.300000] Kernel panic - not syncing: Fatal exception";

    fn way(name: &str) -> &'static Way {
        WAYS.iter().find(|way| way.name == name).unwrap()
    }

    #[test]
    fn the_guests_words_become_the_truth() {
        let way = way("bug-compare");
        let truth = Truth::new("6.1", ("6.1.0", true), way, build::mark(way.mark), CONSOLE).unwrap();
        assert_eq!(truth.values, [("ring->desc.used".to_owned(), "0x26".to_owned())]);
        assert_eq!(truth.facts, ["way bug-compare", "context none"]);
        assert_eq!(truth.printed, Some(("zoo/asserts.c".into(), 64)));
        assert_eq!(truth.panic.as_deref(), Some("Fatal exception"));
        let place =
            Told { function: "ring_place".into(), offset: 0x66, exact: true, module: Some("zoo".into()) };
        assert_eq!(truth.places, [place]);
        assert_eq!(truth.mark.unwrap().function, "ring_place");
    }

    #[test]
    fn a_death_in_another_function_is_an_error() {
        let way = way("bug-chain");
        let error = Truth::new("6.1", ("6.1.0", true), way, build::mark(way.mark), CONSOLE).unwrap_err();
        assert!(error.to_string().contains("died in ring_place"), "{error}");
    }

    #[test]
    fn a_guest_that_died_of_itself_is_no_case() {
        let way = way("bug-compare");
        let console = CONSOLE.replace("zoo: truth way", "zoo: way");
        let error = Truth::new("6.1", ("6.1.0", true), way, build::mark(way.mark), &console).unwrap_err();
        assert!(error.to_string().contains("died before it was asked to"), "{error}");
    }

    #[test]
    fn a_trap_is_told_with_registers() {
        let lines = [
            "CPU: 0 PID: 1 Comm: x",
            " ubsan_epilogue+0x5/0x2b",
            " entry+0x37/0x90 [zoo]",
            " run+0x1/0x2 [zoo]",
            "CPU: 0 PID: 1 Comm: x",
            "RIP: 0010:entry+0x43/0x90 [zoo]",
        ];
        let offsets = |lines: &[&str], trap| places(lines, trap).iter().map(|p| p.offset).collect::<Vec<_>>();
        assert_eq!(offsets(&lines, true), [0x43]);
        assert_eq!(offsets(&lines, false), [0x5, 0x37]);
        assert_eq!(offsets(&lines[..4], true), [0x5, 0x37]);
    }

    #[test]
    fn a_helper_of_the_kernel_leads_to_the_module() {
        let lines = [
            "CPU: 0 PID: 1 Comm: x",
            "RIP: 0010:refcount_warn_saturate+0x74/0x110",
            " ? guess+0x1/0x2 [zoo]",
            " job_get+0x10/0x20 [zoo]",
            " zoo_run+0x1/0x2 [zoo]",
        ];
        let found = places(&lines, false);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].exact, found[1].exact, found[1].offset), (true, false, 0x10));
        assert_eq!(
            printed("WARNING: CPU: 0 PID: 99 at lib/refcount.c:25 refcount_warn+0x74/0x110"),
            Some(("lib/refcount.c".into(), 25))
        );
        assert_eq!(
            printed("WARNING: lib/refcount.c:25 at refcount_warn+0x74/0x110, CPU#1: sh/98"),
            Some(("lib/refcount.c".into(), 25))
        );
    }
}
