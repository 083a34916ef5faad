//! `list`: the entries of a linked list, with members of each.
//!
//! A walk ends as crash ends it: at a null pointer, at the start, at the first entry, at an entry that points
//! to itself. Whatever else it comes by twice is an error behind the entries that were found.

use crate::show::entries::{self, Entries};
use crate::show::source;
use crate::show::values;
use crate::{CommandError, Cx, Example, Run};
use base::{VirtAddr, VirtRead};
use report::{Record, Report};
use std::collections::HashMap;

/// Entries before a list is called endless.
const MAX_ENTRIES: usize = 8_000_000;

/// The command.
#[derive(Debug)]
pub(crate) struct List;

/// How a list is walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Plan {
    /// Where the walk begins: the first link that is shown, or with `head` the link before it.
    start: VirtAddr,
    /// The start is no entry.
    head: bool,
    /// From a link to the pointer to the next.
    next: u64,
    /// From the address that is shown to the link.
    shown: u64,
    /// An end of the user's.
    end: Option<VirtAddr>,
    /// A null pointer is no end of such a list.
    circular: bool,
}

/// Why a walk ended before the list did.
#[derive(Debug, PartialEq, Eq)]
enum Broken {
    Null,
    Twice { at: VirtAddr, first: usize, now: usize },
    Endless,
    Fault(base::Fault),
}

/// The arguments of `list`.
#[derive(clap::Args, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    entries: entries::Options,
    /// Where the link lies in each entry; the -o may be left out
    #[arg(short = 'o', value_name = "OFFSET")]
    offset: Option<String>,
    /// The link at which the list ends
    #[arg(short = 'e', value_name = "ADDRESS")]
    end: Option<String>,
    /// With -s: the addresses are links, so far into their structs
    #[arg(short = 'l', value_name = "OFFSET")]
    embedded: Option<String>,
    /// With -h: where START itself has its link, START being the head
    #[arg(short = 'O', value_name = "OFFSET")]
    head_offset: Option<String>,
    /// Follow list_head.prev
    #[arg(short = 'r')]
    reverse: bool,
    /// Tell the length and start of a loop that does not lead back to the start
    #[arg(short = 'B')]
    brent: bool,
    /// START is a struct with a list_head at OFFSET
    #[arg(short = 'h')]
    in_struct: bool,
    /// START is the list_head that heads the list
    #[arg(short = 'H')]
    list_head: bool,
    /// Where the list begins; of source a FUNCTION, FILE:LINE, *ADDRESS, a range A,B, - or nothing
    #[arg(value_name = "[OFFSET] START", num_args = 0..=2)]
    what: Vec<String>,
}

impl Run for List {
    type Args = ListArgs;
    fn name(&self) -> &'static str {
        "list"
    }
    fn about(&self) -> &'static str {
        "linked list; lines of source"
    }
    fn details(&self) -> &'static str {
        "Walks a linked list and shows the address of each entry, with -s members of it. START is the first entry, \
         whose link to the next lies OFFSET bytes in (0 where none is given); with -h it is a struct on a \
         circular list of list_heads, with -H the list_head that heads the list and is no entry itself. OFFSET is \
         STRUCT.MEMBER or a number of bytes. Addresses are hexadecimal, symbols or expressions. As in gdb, a function, \
         FILE:LINE or *ADDRESS shows lines of source around it, and list alone the next ten."
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        // crash lets the operands stand anywhere; -h and -H take none of them
        let (mut options, mut operands) = (Vec::new(), Vec::new());
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let takes = word.strip_prefix('-').is_some_and(|w| w.len() == 1 && "oelOsS".contains(w));
            if word.starts_with('-') && word.len() > 1 {
                options.push(word);
                if takes {
                    options.extend(words.next());
                }
            } else {
                operands.push(word);
            }
        }
        options.extend(operands);
        options
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("list task_struct.tasks -h init_task -s task_struct.pid,comm", "all processes"),
                Example::new("list -H modules -o module.list -s module.name", "all modules"),
                Example::new("list task_struct.parent ff1a4b5e011f20c0", "a task and its parents"),
                Example::new("list -r -H modules module.list", "from the list's end"),
                Example::new(
                    "list vfs_read",
                    "source lines of a function, where the source is at hand (--src)",
                ),
                Example::new("list modules -l module.list -s module.state", "from links to their structs"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &ListArgs) -> Result<Report, CommandError> {
        let what: Vec<&str> = args.what.iter().map(String::as_str).collect();
        let plain = *args == ListArgs { what: args.what.clone(), ..ListArgs::default() };
        if plain && let Some(answer) = source::list(cx, &what) {
            return answer;
        }
        let s = cx.session()?;
        let show = Entries::new(cx, s, "list", &args.entries)?;
        let plan = plan(cx, &show, args)?;
        let embedded = match &args.embedded {
            Some(word) => show.offset("-l", word)?,
            None => 0,
        };
        let mut records = Vec::new();
        let mut at = Vec::new();
        let broken = walk(s.mem(), &plan, &mut |link| {
            at.push(link);
            cx.cancel.is_cancelled()
        });
        cx.cancel.check()?;
        for link in &at {
            cx.cancel.check()?;
            let entry = link.sub(plan.shown);
            let mut record = entries::head(entry);
            show.show(entry.sub(embedded), &mut record);
            records.push(record);
        }
        let mut report = Report::new("list");
        if records.is_empty() && broken.is_none() {
            report.text("(empty)");
        }
        report.list("entries", records);
        if let Some(broken) = broken {
            // where a link was followed beyond the address that was given, it is a list
            let is_list = at.len() > 2 - usize::from(plan.head);
            tell(&broken, args.brent, is_list, &mut report.body);
        }
        Ok(report)
    }
}

/// Why the list ends early. A list is damaged; where it is none the address may be a wrong one.
fn tell(broken: &Broken, brent: bool, is_list: bool, record: &mut Record) {
    let text = match broken {
        Broken::Null => "invalid list entry: 0".to_owned(),
        Broken::Fault(fault) if fault.is_missing() => {
            return record.missing(format!("list: it ends early: entry {fault}"));
        }
        Broken::Fault(fault) => {
            format!("invalid kernel virtual address: {:x}  type: \"list entry\": {fault}", fault.at.0)
        }
        Broken::Endless => format!("more than {MAX_ENTRIES} entries: the list has no end"),
        Broken::Twice { at, first, now } if brent => {
            record.text(format!("loop detected, loop length: {}", now - first));
            format!("the loop starts at entry {first}, the first duplicate list entry is {:x}", at.0)
        }
        Broken::Twice { at, .. } => format!("duplicate list entry: {:x}", at.0),
    };
    record.lacking_or_error(is_list, format!("list: {text}"));
}

/// Hands every link to `see`, which returns true to stop.
fn walk(mem: &dyn VirtRead, plan: &Plan, see: &mut dyn FnMut(VirtAddr) -> bool) -> Option<Broken> {
    let mut seen: HashMap<VirtAddr, usize> = HashMap::new();
    let mut first = None;
    let mut at = plan.start;
    if plan.head {
        at = match mem.ptr(plan.start.add(plan.next)) {
            Ok(at) if at == plan.start => return None,
            Ok(at) => at,
            Err(fault) => return Some(Broken::Fault(fault)),
        };
    }
    loop {
        if at.is_null() {
            return (plan.circular || plan.head).then_some(Broken::Null);
        }
        let ends = (at == plan.start && (plan.head || !seen.is_empty()))
            || first == Some(at)
            || (plan.end == Some(at) && (plan.head || !seen.is_empty()));
        if ends {
            return None;
        }
        let number = seen.len();
        if let Some(&before) = seen.get(&at) {
            return Some(Broken::Twice { at, first: before, now: number });
        }
        let next = match mem.ptr(at.add(plan.next)) {
            Ok(next) => next,
            Err(fault) => {
                see(at);
                return Some(Broken::Fault(fault));
            }
        };
        seen.insert(at, number);
        if see(at) {
            return None;
        }
        if number >= MAX_ENTRIES {
            return Some(Broken::Endless);
        }
        // what the start points to is an end as well, where the start is an entry
        if number == usize::from(!plan.head) {
            first = Some(at);
        }
        // an entry may end a list by pointing to itself, or to its own link
        if next == at || next == at.add(plan.next) {
            return None;
        }
        at = next;
    }
}

/// What the options and operands ask for.
fn plan(cx: &Cx<'_>, show: &Entries<'_>, args: &ListArgs) -> Result<Plan, CommandError> {
    let s = cx.session()?;
    let failed = |why: &str| CommandError::argument(why);
    let mut what: Vec<&str> = args.what.iter().map(String::as_str).collect();
    let mut offset = args.offset.as_deref();
    if what.len() == 2 {
        // the one that is no address is the offset
        let at = what.iter().position(|w| w.contains('.') && !w.starts_with('(')).unwrap_or_else(|| {
            what.iter()
                .position(|w| crate::engine::number::hex(w).is_some_and(|n| n < 0x10_0000))
                .unwrap_or(0)
        });
        let positional = what.remove(at);
        if offset.replace(positional).is_some() {
            return Err(failed("the offset is given twice"));
        }
    }
    if args.embedded.is_some() && offset.is_some() {
        return Err(failed("-l and -o are mutually exclusive"));
    }
    if args.in_struct && args.list_head {
        return Err(failed("-h and -H are mutually exclusive"));
    }
    if args.head_offset.is_some() && !args.in_struct {
        return Err(failed("-O option can only be used with -h option"));
    }
    let offset = offset.map(|w| show.offset("-o", w)).transpose()?.unwrap_or(0);
    let head_offset = args.head_offset.as_deref().map(|w| show.offset("-O", w)).transpose()?;
    let Some(&place) = what.first() else {
        return Err(CommandError::usage(
            "starting address required",
            "list [-h | -H] [[-o] OFFSET] [-s STRUCT[.MEMBER]] START",
        ));
    };
    let start = values::address(cx, s, place)?;
    if !s.arch().is_kernel(start)
        || s.mem().read(start, &mut [0]).is_err_and(|f| !matches!(f.kind, base::FaultKind::Page(_)))
    {
        return Err(CommandError::failed(format_args!("invalid kernel virtual address: {:x}", start.0)));
    }
    let end = args.end.as_deref().map(|w| values::address(cx, s, w)).transpose()?;
    let reverse = if args.reverse { 8 } else { 0 };
    if args.reverse && !args.in_struct && !args.list_head {
        return Err(failed("-r option can only be used with the -h or -H options"));
    }
    Ok(match (args.in_struct, args.list_head) {
        (true, _) => Plan {
            start: start.add(head_offset.unwrap_or(offset)),
            head: head_offset.is_some(),
            next: reverse,
            shown: offset,
            end,
            circular: true,
        },
        (_, true) => Plan { start, head: true, next: reverse, shown: offset, end, circular: true },
        _ => Plan { start, head: false, next: offset, shown: 0, end, circular: false },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};

    /// Pointers at multiples of 8.
    struct Ram(Vec<u64>);
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            let word = self.0.get(at.0 as usize / 8).ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
            buf.copy_from_slice(&word.to_le_bytes()[..buf.len()]);
            Ok(())
        }
    }
    fn walked(ram: &[u64], plan: &Plan) -> (Vec<u64>, Option<Broken>) {
        let mut out = Vec::new();
        let broken = walk(&Ram(ram.to_vec()), plan, &mut |at| {
            out.push(at.0);
            false
        });
        (out, broken)
    }
    fn from(start: u64) -> Plan {
        Plan { start: VirtAddr(start), ..Plan::default() }
    }

    #[test]
    fn plain_lists_end_at_null_start_first_and_self() {
        assert_eq!(walked(&[0, 16, 24, 0], &from(8)), (vec![8, 16, 24], None));
        assert_eq!(walked(&[0, 16, 24, 8], &from(8)), (vec![8, 16, 24], None));
        assert_eq!(walked(&[0, 16, 24, 16], &from(8)), (vec![8, 16, 24], None));
        assert_eq!(walked(&[0, 16, 16], &from(8)), (vec![8, 16], None));
        let offset = Plan { next: 8, ..from(8) };
        assert_eq!(walked(&[0, 0, 24, 0, 0], &offset), (vec![8, 24], None));
    }

    #[test]
    fn a_head_is_no_entry() {
        let head = Plan { head: true, circular: true, ..from(8) };
        assert_eq!(walked(&[0, 16, 24, 8], &head), (vec![16, 24], None));
        assert_eq!(walked(&[0, 8], &head), (vec![], None));
        assert_eq!(walked(&[0, 16, 0], &head), (vec![16], Some(Broken::Null)));
        // an end at the start is met when the walk comes back
        let end = Plan { end: Some(VirtAddr(8)), ..from(8) };
        assert_eq!(walked(&[0, 16, 24, 8], &end), (vec![8, 16, 24], None));
        let end = Plan { end: Some(VirtAddr(24)), ..head };
        assert_eq!(walked(&[0, 16, 24, 8], &end), (vec![16], None));
    }

    #[test]
    fn loops_and_holes_come_behind_what_was_found() {
        let (found, broken) = walked(&[0, 16, 24, 32, 24], &from(8));
        assert_eq!(found, [8, 16, 24, 32]);
        assert_eq!(broken, Some(Broken::Twice { at: VirtAddr(24), first: 2, now: 4 }));
        let (found, broken) = walked(&[0, 16, 0x9000], &from(8));
        assert_eq!(found, [8, 16, 0x9000]);
        assert!(matches!(broken, Some(Broken::Fault(f)) if f.at.0 == 0x9000));
    }

    #[test]
    fn operands_may_stand_anywhere() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let got = List.normalise(words("task_struct.tasks -h init_task -s task_struct.pid"));
        assert_eq!(got, words("-h -s task_struct.pid task_struct.tasks init_task"));
    }
}
