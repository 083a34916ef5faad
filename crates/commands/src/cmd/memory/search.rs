//! `search`: values and strings in kernel, user or physical memory, on all cores.
//!
//! Kernel memory is, ascending: the direct map of the RAM that the dump has, and what the page tables map of
//! vmalloc's range, the array of `struct page`s, the kernel's image and the modules. What lies in two of them
//! is found twice, as crash finds it twice.

mod context;
mod memory;

use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx, Example, Layer, Run};
use base::VirtAddr;
use dump::Words;
use kernel::Fetch;
use kernel::Session;
use kernel::scan::{self, Hit, Scanned, Wanted};
use memory::{Lost, Memory};
use report::{Cell, Line, Record, Report};

/// Hits in one part of the answer.
const PART: usize = 4096;
/// Words before and after a hit at most.
const MAX_CONTEXT: u64 = 1 << 16;
/// Characters that a found string is shown with, as crash does.
const SHOWN: usize = 56;

/// The command.
#[derive(Debug)]
pub(crate) struct Search;

/// What is searched for, and how hits are shown.
struct Ask {
    wanted: Wanted,
    /// For each value: what the user typed, where that was a symbol or an expression.
    names: Vec<Option<String>>,
    size: u64,
    /// The highest byte first.
    big_endian: bool,
    context: u64,
}

impl Ask {
    /// A value as it is written, from what the scan makes of its bytes, or the other way.
    fn turned(&self, value: u64) -> u64 {
        turned(value, self.size, self.big_endian)
    }
}

/// The value of so many bytes in the other order where that is the machine's.
fn turned(value: u64, size: u64, big_endian: bool) -> u64 {
    let unused = 64_u64.saturating_sub(size.saturating_mul(8)).min(63);
    if big_endian { value.swap_bytes() >> unused } else { value }
}

/// The arguments of `search`.
#[derive(clap::Args)]
pub(crate) struct SearchArgs {
    /// From this address or symbol
    #[arg(short = 's', value_name = "ADDRESS")]
    start: Option<String>,
    /// Up to this address or symbol
    #[arg(short = 'e', value_name = "ADDRESS")]
    end: Option<String>,
    /// So many bytes
    #[arg(short = 'l', value_name = "BYTES")]
    length: Option<String>,
    /// Kernel memory (as without any of these)
    #[arg(short = 'k')]
    kernel: bool,
    /// Kernel memory without vmalloc, modules and struct pages
    #[arg(short = 'K')]
    direct: bool,
    /// Kernel memory without the direct map and the kernel's image
    #[arg(short = 'V')]
    mapped: bool,
    /// The context's user memory
    #[arg(short = 'u')]
    user: bool,
    /// Physical memory
    #[arg(short = 'p')]
    physical: bool,
    /// The kernel stack of every task
    #[arg(short = 't')]
    stacks: bool,
    /// The kernel stacks of the tasks that ran
    #[arg(short = 'T')]
    active: bool,
    /// Bits that may be anything
    #[arg(short = 'm', value_name = "MASK")]
    mask: Option<String>,
    /// Strings
    #[arg(short = 'c')]
    strings: bool,
    /// 32-bit values
    #[arg(short = 'w')]
    words: bool,
    /// 16-bit values
    #[arg(short = 'h')]
    halves: bool,
    /// So many values before and after each hit
    #[arg(short = 'x', value_name = "COUNT")]
    context: Option<String>,
    /// What to find
    #[arg(value_name = "VALUE | SYMBOL | (EXPRESSION) | STRING", num_args = 1.., required = true)]
    values: Vec<String>,
}

impl Run for Search {
    type Args = SearchArgs;
    fn name(&self) -> &'static str {
        "search"
    }
    fn about(&self) -> &'static str {
        "search memory"
    }
    fn details(&self) -> &'static str {
        "Finds words of the machine (32-bit values with -w, 16-bit with -h, strings with -c) at multiples of their size. A VALUE \
         is hexadecimal, a symbol, or an expression in parentheses; several are searched for at once. Without -u, \
         -p, -t or -T kernel memory is searched. Ctrl-C stops it; what was found until then stands."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("search -k deadbeef", "a value in kernel memory"),
                Example::new("search -p -w babe0000 -m ffff", "32-bit values in physical memory"),
                Example::new("search -k -c \"kernel BUG at\"", "a string"),
                Example::new("search -t init_task (panic+0x20)", "a symbol and an expression in all stacks"),
                Example::new("search -s jiffies -l 4096 -x 2 init_task", "in a page, with what is around"),
                Example::new("search -u deadbeef", "in the memory of the context's process"),
            ]
        }
    }
    fn needs(&self, args: &SearchArgs) -> Layer {
        let stacks = args.stacks || args.active;
        if args.physical && !stacks { Layer::Image } else { Layer::Session }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &SearchArgs) -> Result<Report, CommandError> {
        let ask = ask(cx, args)?;
        if args.stacks || args.active {
            return stacks(cx, cx.session()?, args, &ask);
        }
        let memory = Memory::chosen(cx, args)?;
        let phys = memory.phys();
        let (start, last) = memory.range(cx, args)?;
        if start.0 & (ask.size - 1) != 0 {
            cx_note(cx, format!("search: rounding down start address to: {:x}", start.0 & !(ask.size - 1)))?;
        }
        let start = start.0 & !(ask.size - 1);
        let lost = Lost::new(VirtAddr(start), last);
        let runs = memory.runs(&lost).filter_map(|run| run.within(start, last));
        let total = memory.size(start, last);
        let (cancel, progress) = (cx.cancel.clone(), cx.progress);
        let mut ended = None;
        let mut count = 0_u64;
        let done = scan::scan(phys, runs, total, &ask.wanted, &cancel, progress, |hits| {
            count += hits.len() as u64;
            for part in hits.chunks(PART) {
                let mut report = Report::new("search");
                report.list("hits", part.iter().map(|hit| shown(&ask, &memory, hit)).collect());
                if let Err(e) = cx.emit(&report) {
                    ended = Some(e);
                    return false;
                }
            }
            true
        });
        if let Some(e) = ended {
            return Err(e.into());
        }
        cx.cancel.check()?;
        let lost = lost.bytes();
        let why = "page tables that would tell what is mapped there are not in the dump";
        // of all memory what a filter left out is no damage; a range was asked for as it is
        let range = args.start.is_some() && (args.end.is_some() || args.length.is_some());
        let absent = if range { memory.absent(start, last, &done).saturating_add(done.missing) } else { 0 };
        let lacks = match (lost, done.missing.max(absent)) {
            (0, 0) => None,
            (0, _) => Some("a part of what was to be searched is not in the dump"),
            _ => Some(why),
        };
        let mut report = summary(count, done, lacks, lost > 0 || absent > 0 || done.lost > 0);
        if done.lost > 0 && absent == 0 {
            report.missing(format!(
                "search: {:#x} bytes were not searched: the dump is cut or damaged there",
                done.lost
            ));
        }
        if absent > 0 {
            report.missing(format!(
                "search: {absent:#x} bytes of the range were not searched: they are not in the dump"
            ));
        } else if range && lost == 0 && done.bytes == 0 && done.holes == 0 {
            report.info(format!("search: nothing was searched: {}", memory.nothing()));
        }
        if lost > 0 {
            report.missing(format!("search: {lost:#x} bytes were not searched: {why}"));
        }
        if done.holes > 0 && ask.wanted.fits_zeros() {
            report.info(format!(
                "search: {:#x} bytes in holes of the sparse file were not searched: they are zeros",
                done.holes
            ));
        }
        Ok(report)
    }
}

fn cx_note(cx: &mut Cx<'_>, text: String) -> Result<(), CommandError> {
    let mut note = Report::new("search");
    note.info(text);
    Ok(cx.emit(&note)?)
}

/// `lacks` says why there can be more than was found.
fn summary(count: u64, done: Scanned, lacks: Option<&str>, is_loss: bool) -> Report {
    let mut report = Report::new("search");
    let known = |n: u64| lacks.map_or_else(|| Cell::from(n), |why| Cell::at_least(n, why).lost_if(is_loss));
    report.hidden("count", known(count));
    report.hidden("bytes", known(done.bytes));
    report.hidden("missing", done.missing);
    report.hidden("holes", done.holes);
    report
}

/// `-t` and `-T`: each stack with hits under the banner of its task.
fn stacks(cx: &mut Cx<'_>, s: &Session, args: &SearchArgs, ask: &Ask) -> Result<Report, CommandError> {
    let only_active = args.active;
    let mut all: Vec<_> = s.tasks().all.iter().filter(|t| t.active || !only_active).collect();
    all.sort_by_key(|t| t.pid);
    let memory = Memory::Kernel { s, direct: None, mapped: true };
    let (mut count, mut done) = (0, Scanned::default());
    let unknown = all.iter().filter(|t| t.stack.is_none()).count();
    for task in all {
        cx.cancel.check()?;
        let stack = kernel::stack::stacks::task_stack(s, task);
        let (runs, lost) = memory::translated(s, stack.start, stack.end);
        let mut records = Vec::new();
        let one =
            scan::scan(s.phys(), runs.into_iter(), 0, &ask.wanted, cx.cancel, &base::NoProgress, |hits| {
                records.extend(hits.iter().map(|hit| shown(ask, &memory, hit)));
                true
            });
        done.bytes += one.bytes;
        done.missing += one.missing + lost;
        if records.is_empty() {
            continue;
        }
        count += records.len() as u64;
        let mut record = Record::of(tasks::banner(task));
        record.list("hits", records);
        record.blank();
        let mut part = Report::new("search");
        part.list("stacks", vec![record]);
        cx.emit(&part)?;
    }
    let lacks =
        (unknown > 0 || done.missing > 0).then(|| "a part of the stacks is not in the dump".to_owned());
    let lacks = lacks.or_else(|| s.tasks().lack());
    let missing = done.missing;
    let mut report = summary(count, done, lacks.as_deref(), true);
    tasks::problems(s, &mut report);
    if missing > 0 {
        report.missing(format!(
            "search: {missing:#x} bytes of the stacks are not in the dump, and were not looked through"
        ));
    }
    if unknown > 0 {
        report.missing(format!("search: where the stacks of {unknown} more tasks are is not known"));
    }
    Ok(report)
}

/// `ff1a4b5e00382b28: deadbeef (what was typed)`
fn shown(ask: &Ask, memory: &Memory<'_>, hit: &Hit) -> Record {
    let mut record = Record::new();
    let name = ask.names.get(hit.which).and_then(Option::as_deref);
    let line = Line::new().field("address", Cell::Addr(hit.at.0)).text(": ");
    if matches!(ask.wanted, Wanted::Strings(_)) {
        let text = context::text(&memory.bytes(hit.at, SHOWN));
        record.line(line.field("text", text));
        return record;
    }
    if ask.context > 0 {
        context::before(memory, hit.at, (ask.size, ask.big_endian), ask.context, &mut record);
    }
    // among rows of memory the hit is one of them
    let line = if ask.context > 0 { line.text(" ") } else { line };
    let line = line.field("value", Cell::hex_digits(ask.turned(hit.value), 0)).text(" ");
    record.line(match name {
        Some(name) => line.text("(").field("name", name.to_owned()).text(")"),
        None => line,
    });
    if ask.context > 0 {
        context::after(memory, hit.at, (ask.size, ask.big_endian), ask.context, &mut record);
        record.blank();
    }
    record
}

fn ask(cx: &Cx<'_>, args: &SearchArgs) -> Result<Ask, CommandError> {
    let failed = |why: String| CommandError::argument(why);
    let words: Vec<&str> = args.values.iter().map(String::as_str).collect();
    let machine = if args.physical { cx.image()?.words() } else { Words::LITTLE_64 };
    let (size, option) = match () {
        () if args.halves => (2, "the -h option"),
        () if args.words => (4, "the -w option"),
        () => (u64::from(machine.size), "a machine of 32 bits"),
    };
    let context = match &args.context {
        Some(word) => word
            .parse::<u64>()
            .ok()
            .or_else(|| crate::engine::number::hex(word))
            .filter(|&n| n <= MAX_CONTEXT)
            .ok_or_else(|| failed(format!("invalid count: {word}; up to {MAX_CONTEXT} can be shown")))?,
        None => 0,
    };
    if args.strings {
        if context > 0 {
            return Err(failed("-x option is not allowed with -c".into()));
        }
        if args.words || args.halves || args.mask.is_some() {
            return Err(failed("-w, -h and -m are not allowed with -c".into()));
        }
        let strings: Vec<Vec<u8>> =
            words.iter().map(|w| w.as_bytes().to_vec()).filter(|w| !w.is_empty()).collect();
        if strings.is_empty() {
            return Err(failed("an empty string is everywhere".into()));
        }
        if let Some(long) = strings.iter().find(|s| s.len() > scan::MAX_STRING) {
            let max = scan::MAX_STRING;
            return Err(failed(format!("a string of {} bytes; up to {max} are searched for", long.len())));
        }
        let wanted = Wanted::Strings(strings);
        return Ok(Ask { names: Vec::new(), wanted, size: 1, big_endian: false, context });
    }
    let limit = if size == 8 { u64::MAX } else { (1 << (size * 8)) - 1 };
    let mask = match &args.mask {
        Some(word) => crate::engine::number::hex(word)
            .ok_or_else(|| failed(format!("invalid mask: {word} is not hexadecimal")))?,
        None => 0,
    };
    if mask > limit {
        return Err(failed(format!("mask value too large for {option}: {mask:x}")));
    }
    let (mut values, mut names) = (Vec::new(), Vec::new());
    for word in words {
        let (value, name) = number(cx, word)?;
        if value > limit {
            let name = name.map_or(String::new(), |n| format!("({n})"));
            return Err(failed(format!("value too large for {option}: {value:x} {name}")));
        }
        values.push(turned(value, size, machine.big_endian));
        names.push(name);
    }
    let mask = turned(mask, size, machine.big_endian);
    let wanted = Wanted::Words { size: size as u8, values, mask };
    Ok(Ask { wanted, names, size, big_endian: machine.big_endian, context })
}

/// A value, and what was typed where that was no number.
fn number(cx: &Cx<'_>, word: &str) -> Result<(u64, Option<String>), CommandError> {
    if let Some(value) = crate::engine::number::hex(word) {
        return Ok((value, None));
    }
    let s = cx.session()?;
    if let Some(inner) = word.strip_prefix('(').and_then(|w| w.strip_suffix(')')) {
        let value = crate::engine::number::value(inner, &|name| crate::engine::symbols::value(s, name))
            .or_else(|_| values::address(cx, s, word).map(|at| at.0))?;
        return Ok((value, Some(inner.to_owned())));
    }
    match crate::engine::symbols::value(s, word) {
        Some(value) => Ok((value, Some(word.to_owned()))),
        None => Err(CommandError::argument(format_args!("invalid input: \"{word}\""))),
    }
}
