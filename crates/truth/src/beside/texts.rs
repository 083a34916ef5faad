//! Known differences of other texts, and how each is told.

use std::collections::BTreeSet;

use super::{Beside, Hunk, frames};
use crate::Case;

/// `name` or `name+offset`.
fn name_and_offset(word: &str) -> (&str, u64) {
    match word.split_once('+') {
        Some((name, offset)) => (name, offset.parse().unwrap_or(0)),
        None => (word, 0),
    }
}

/// Words at the end of a task's stack of 16 KiB, where entry from user mode saved the registers.
pub(super) fn words_of_entries(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_ours(|line| {
        let at = line.trim_start().split_once(": ").and_then(|(at, _)| u64::from_str_radix(at, 16).ok());
        at.is_some_and(|at| at & 0x3fff >= 0x3f58)
    });
}

/// Lines whose words differ only in how one address is named.
pub(super) fn names_of_words(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| {
        let (theirs, ours): (Vec<&str>, Vec<&str>) =
            (theirs.split_whitespace().collect(), ours.split_whitespace().collect());
        theirs.len() == ours.len()
            && theirs.iter().zip(&ours).all(|(their, our)| their == our || same_word(beside, their, our))
    });
}

fn same_word(beside: &Beside<'_>, theirs: &str, ours: &str) -> bool {
    let (name, offset) = name_and_offset(theirs);
    if ours.len() == 16
        && let Ok(value) = u64::from_str_radix(ours, 16)
    {
        // A compiler's own label, which crashlens does not take for a symbol.
        return name.starts_with(".L") && beside.is_at(name, value.wrapping_sub(offset));
    }
    let (other, same) = name_and_offset(ours);
    if name.starts_with(".L") {
        // the label, and the symbol before it
        let mut places = beside.symbols.iter().filter(|(_, names)| names.contains(other));
        return places.any(|(at, _)| beside.is_at(name, at.wrapping_add(same).wrapping_sub(offset)));
    }
    offset == same && beside.same_place(name, other)
}

/// What the text of a line would be if each pair or four of its characters were turned round.
pub(super) fn turned_text(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| {
        let size = if ours.split_whitespace().nth(1).is_some_and(|word| word.len() == 4) { 2 } else { 4 };
        let (head, text) = ours.split_at(ours.len().min(theirs.len()).saturating_sub(16));
        let turned = |text: &str| -> String {
            let bytes: Vec<char> = text.trim_start().chars().collect();
            bytes.chunks(size).flat_map(|chunk| chunk.iter().rev().copied().collect::<Vec<_>>()).collect()
        };
        theirs.starts_with(head.trim_end()) && theirs.trim_end().ends_with(turned(text).trim_end())
    });
}

/// The heading above `struct page`.
pub(super) fn page_heading(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_ours(|line| line.split_whitespace().eq("PAGE PHYSICAL MAPPING INDEX CNT FLAGS".split(' ')));
}

/// `KERNEL` and `DUMPFILE`, by a path and by a name.
pub(super) fn file_names(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (theirs.split_once(": "), ours.split_once(": ")) {
        (Some((label, name)), Some((same, path))) => {
            label == same
                && ["KERNEL", "DUMPFILE"].contains(&label.trim())
                && path.ends_with(&format!("/{name}"))
        }
        _ => false,
    });
}

/// `bt: no frame of the tasks asked for (1) has panic`, where crash says nothing.
pub(super) fn nothing_found(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    if hunk.theirs.iter().all(|line| line.trim().is_empty()) {
        hunk.take_ours(|line| line.starts_with("bt: no frame of the tasks asked for ("));
    }
}

/// Messages by which a machine without an oops says why it panics.
fn is_cause(text: &str) -> bool {
    ["sysrq: Trigger a crash", "Kernel panic - not syncing: "].iter().any(|start| text.contains(start))
        || text.contains("Out of memory and no killable processes")
}

/// The root cause before the final panic.
pub(super) fn root_cause(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let truth = &beside.case.truth;
    if truth.case.end == "live" {
        hunk.take_pairs(|theirs, ours| theirs.ends_with("PANIC: \"\"") && ours.contains("PANIC: (none: "));
    }
    // An oops's own first line; where there was none, what the console said before the panic.
    let oops = truth.oops.as_ref().filter(|oops| oops.is_exception());
    let known: Vec<&str> = match oops.and_then(|oops| oops.headlines.first()) {
        Some(first) => vec![first],
        None => {
            truth.console.iter().map(|message| message.text.as_str()).filter(|text| is_cause(text)).collect()
        }
    };
    let cause = |line: &str| {
        let text = line.split_once("PANIC: ")?.1.trim_matches('"');
        known.iter().any(|known| known.contains(text)).then(|| text.to_owned())
    };
    let causes: Vec<String> = hunk.ours.iter().filter_map(|line| cause(line)).collect();
    if causes.is_empty() {
        return;
    }
    let finals = |lines: &[String]| -> Vec<String> {
        let quoted =
            lines.iter().filter_map(|line| Some(line.split_once('"')?.1.trim_end_matches('"').to_owned()));
        quoted.filter(|text| !text.is_empty()).collect()
    };
    // What crash says is there as well, if it says anything.
    let ours = finals(&hunk.ours);
    if finals(&hunk.crash).iter().all(|theirs| ours.contains(theirs)) {
        hunk.take_crash(|line| line.contains("PANIC: "));
        hunk.take_ours(|line| line.contains("PANIC: ") || line.trim_start().starts_with('"'));
    }
}

/// Seconds of `00:03:48`.
fn seconds(clock: &str) -> Option<i64> {
    let mut parts = clock.trim().split(':').map(|part| part.parse::<i64>().ok());
    Some(parts.next()?? * 3600 + parts.next()?? * 60 + parts.next()??)
}

/// The uptime in what `sys` prints.
pub(super) fn uptime_of(sys: &str) -> Option<i64> {
    seconds(sys.lines().find_map(|line| line.trim_start().strip_prefix("UPTIME: "))?)
}

/// How far crash's clock is ahead, where it is wrong by the guest's own log and crashlens's is not: a guest is up for as
/// long as its last message says, and not for much longer. Ticks were counted a little before the clock ran, so that crash
/// is a second ahead where the last message came at a second's end.
pub(super) fn clock_error(case: &Case, theirs: i64, ours: i64) -> Option<i64> {
    const QUIET: i64 = 30;
    let times = case.truth.console.iter().filter_map(|message| message.time.parse::<f64>().ok());
    let last = times.fold(0.0, f64::max);
    let second = last as i64;
    let possible = second..=second + QUIET;
    let is_tick_ahead = ours == second && theirs == ours + 1 && last.fract() > 0.9;
    (is_tick_ahead || possible.contains(&ours) && !possible.contains(&theirs)).then_some(theirs - ours)
}

/// Clocks that crash has wrong by the same error.
pub(super) fn uptime(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let Some(error) = beside.clock_error else { return };
    hunk.take_pairs(|theirs, ours| match (theirs.split_once(": "), ours.split_once(": ")) {
        (Some((label, theirs)), Some((same, ours))) => {
            label == same
                && ["UPTIME", "RUN TIME"].contains(&label.trim())
                && matches!((seconds(theirs), seconds(ours)), (Some(theirs), Some(ours)) if theirs - ours == error)
        }
        _ => false,
    });
}

/// Seconds within the month, and the text, of `[Sun Nov 22 23:22:51 UTC 2026] text`.
fn dated(line: &str) -> Option<(i64, &str)> {
    let (date, text) = line.strip_prefix('[')?.split_once("] ")?;
    let mut words = date.split_whitespace().skip(2);
    let day: i64 = words.next()?.parse().ok()?;
    Some((day * 86_400 + seconds(words.next()?)?, text))
}

/// Dates of messages that are off by the error of crash's clock: it takes the boot for that much earlier.
pub(super) fn dates(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let Some(error) = beside.clock_error else { return };
    hunk.take_pairs(|theirs, ours| match (dated(theirs), dated(ours)) {
        (Some((theirs, text)), Some((ours, same))) => text == same && ours - theirs == error,
        _ => false,
    });
}

/// The meanings of the letters.
pub(super) fn taint_words(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let letters = hunk.all.first().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned();
    hunk.take_ours(|line| {
        let mut words = line.trim_start().splitn(2, "  ");
        words.next().is_some_and(|letter| letter.len() == 1 && letters.contains(letter))
    });
}

/// `sys -c`'s line of the function that has no body.
pub(super) fn no_system_call(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (theirs.rsplit_once(": "), ours.rsplit_once(": ")) {
        (Some((head, theirs)), Some((same, ours))) => {
            head == same
                && head.contains("sys_ni_syscall")
                && matches!((theirs.parse::<u32>(), ours.parse::<u32>()), (Ok(theirs), Ok(ours)) if theirs.abs_diff(ours) <= 1)
        }
        _ => false,
    });
}

/// `crashlens: nothing there` where crash prints nothing at all.
pub(super) fn nothing_there(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    if hunk.theirs.is_empty() {
        hunk.take_ours(|line| line.starts_with("log: this kernel has no per-CPU buffers of printk"));
    }
}

/// The idle task as its own child.
pub(super) fn own_child(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_crash(|line| line.starts_with("  PID: 0 ") && line.contains("\"swapper/0\""));
}

/// The state of a zombie.
pub(super) fn zombie(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let tasks = &beside.case.truth.tasks;
    let is_zombie = tasks.iter().any(|task| Some(task.pid) == frames::pid(hunk.head) && task.state == "Z");
    hunk.take_pairs(|theirs, ours| {
        is_zombie && (theirs.trim(), ours.trim()) == ("STATE: EXIT_DEAD|EXIT_ZOMBIE", "STATE: EXIT_ZOMBIE")
    });
}

/// A process's share of memory.
pub(super) fn share_of_memory(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| {
        let (theirs, ours): (Vec<&str>, Vec<&str>) =
            (theirs.split_whitespace().collect(), ours.split_whitespace().collect());
        let differ: Vec<(&&str, &&str)> = theirs.iter().zip(&ours).filter(|(their, our)| their != our).collect();
        let number = |text: &str| text.parse::<f64>().ok().filter(|_| text.contains('.'));
        match differ.as_slice() {
            [(their, our)] if theirs.len() == ours.len() => {
                matches!((number(their), number(our)), (Some(their), Some(our)) if our > their && our - their < 0.25)
            }
            _ => false,
        }
    });
}

/// How a machine was made to panic.
pub(super) fn by_sysrq(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let asked = beside.case.truth.case.end.contains("sysrq");
    hunk.take_pairs(|theirs, ours| asked && theirs.replace("(PANIC)", "(SYSRQ)") == ours);
}

/// `address (kind) name rest`
fn symbol(line: &str) -> Option<(u64, &str, &str, &str)> {
    let (at, rest) = line.trim_start().split_once(" (")?;
    let (kind, rest) = rest.split_once(") ")?;
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((u64::from_str_radix(at, 16).ok()?, kind, name, rest))
}

/// Names of sections in vmlinux's table, beside those that begin with a dot.
const SECTIONS: &[&str] = &[
    "__bug_table",
    "__ex_table",
    "__init_rodata",
    "__kcrctab",
    "__kcrctab_gpl",
    "__ksymtab",
    "__ksymtab_gpl",
    "__ksymtab_strings",
    "__modver",
    "__param",
];

/// Sections and compilers' labels.
pub(super) fn labels(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_crash(|line| {
        symbol(line).is_some_and(|(_, _, name, _)| {
            name.starts_with('.') || name.starts_with("runtime_") || SECTIONS.contains(&name)
        })
    });
}

/// The kinds of modules' symbols.
pub(super) fn kinds(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (symbol(theirs), symbol(ours)) {
        (Some((at, "?", name, rest)), Some((same, _, other, more))) => {
            (at, name, rest) == (same, other, more)
        }
        _ => false,
    });
}

/// Numbers that are no addresses.
pub(super) fn absolute(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_ours(|line| symbol(line).is_some_and(|(at, kind, _, _)| kind == "A" && at >> 63 == 0));
}

/// The same symbol elsewhere among those of its address, or under another name of it.
pub(super) fn same_address(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (symbol(theirs), symbol(ours)) {
        (Some((at, _, name, rest)), Some((same, _, other, more))) => {
            let ((name, offset), (other, also)) = (name_and_offset(name), name_and_offset(other));
            at == same && rest == more && offset == also && (name == other || beside.same_place(name, other))
        }
        _ => false,
    });
}

/// A symbol that crash has in its list and does not show by its address; and the one at the very start of the kernel,
/// which it has not in its list.
pub(super) fn left_out(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let alone = hunk.theirs.is_empty();
    hunk.take_ours(|line| {
        symbol(line).is_some_and(|(at, _, name, _)| {
            alone && beside.is_at(name, at) || beside.is_at("_text", at) && !beside.is_at(name, at)
        })
    });
}

/// The line of an address where a call is inlined at a function's first instruction.
pub(super) fn inlined_first(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (symbol(theirs), symbol(ours)) {
        (Some((at, kind, name, place)), Some((same, other, also, rest))) => {
            (at, kind, name) == (same, other, also) && place.contains(".h: ") && rest.contains(".c: ")
        }
        _ => false,
    });
}

/// The last byte of a module's memory, or the one behind it.
pub(super) fn last_byte(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (theirs.split_once(" MODULE "), ours.split_once(" MODULE ")) {
        (Some((at, what)), Some((behind, same))) => {
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            what == same && what.contains(" END: ") && hex(at).map(|at| at + 1) == hex(behind)
        }
        _ => false,
    });
}

/// The address that a line begins with.
fn address(line: &str) -> Option<u64> {
    u64::from_str_radix(line.split_once(' ')?.0, 16).ok()
}

/// The parts of a module, which crash has by their kinds, in a list that is in the order of the addresses.
pub(super) fn order_of_parts(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let addresses: Vec<u64> = hunk.all.iter().filter_map(|line| address(line)).collect();
    if addresses.is_sorted() {
        hunk.take_pairs(|theirs, ours| {
            theirs == ours && ours.contains(" MODULE ") && ours.contains(" START: ")
        });
    }
}

/// Whether a line names code that was made at run time.
pub(super) fn is_of_made_code(line: &str) -> bool {
    let is_owner = |word: &str| ["[bpf]", "[__builtin__ftrace]", "[__builtin__kprobes]"].contains(&word);
    let is_name = |word: &str| ["bpf_prog_", "bpf_trampoline_"].iter().any(|start| word.starts_with(start));
    line.split_whitespace().any(|word| is_owner(word) || is_name(word))
}

/// An address in made code: crash refuses it.
pub(super) fn made_code(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| {
        let address = theirs.strip_prefix("sym: invalid address: ");
        address.is_some_and(|address| ours.starts_with(address)) && is_of_made_code(ours)
    });
}

/// The name of a shared memory segment's file, which `/proc/PID/maps` shows with its slash.
pub(super) fn name_in_maps(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (theirs.rsplit_once(' '), ours.rsplit_once(' ')) {
        (Some((head, theirs)), Some((same, ours))) => {
            head == same
                && ours.strip_prefix('/') == Some(theirs)
                && beside
                    .case
                    .truth
                    .maps
                    .iter()
                    .any(|map| map.path.as_deref().and_then(|path| path.split(' ').next()) == Some(ours))
        }
        _ => false,
    });
}

/// Resident pages of a segment: those that the guest counts, and 512 for each of them.
pub(super) fn resident_of_huge_pages(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    const LABEL: &str = "PAGES ALLOCATED/RESIDENT/SWAPPED:";
    let lines = beside.case.truth.sections.get("sysvipc/shm").map_or(&[][..], Vec::as_slice);
    let guests: BTreeSet<u64> = lines
        .iter()
        .filter_map(|line| line.split_whitespace().rev().nth(1)?.parse::<u64>().ok())
        .map(|bytes| bytes / 4096)
        .collect();
    let counts = |line: &str| -> Option<Vec<u64>> {
        line.strip_prefix(LABEL)?.trim().split('/').map(|word| word.parse().ok()).collect()
    };
    hunk.take_pairs(|theirs, ours| match (counts(theirs).as_deref(), counts(ours).as_deref()) {
        (Some([all, resident, swapped]), Some([same, ours, same_swapped])) => {
            (all, swapped) == (same, same_swapped) && *resident == ours * 512 && guests.contains(ours)
        }
        _ => false,
    });
}

/// Registers of crash's whose SS is no selector: words that an `iret` of `sync_core()` left, and what lies beside them.
pub(super) fn no_registers(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let is_head = |line: &String| line.contains("KERNEL-MODE EXCEPTION FRAME AT: ");
    let is_wrong = |line: &String| {
        let selector =
            line.split_once(" SS: ").and_then(|(_, word)| u64::from_str_radix(word.trim(), 16).ok());
        selector.is_some_and(|selector| selector > 0xffff)
    };
    let Some(end) = hunk.crash.iter().position(is_wrong) else { return };
    let Some(start) = hunk.crash.iter().take(end).rposition(is_head) else { return };
    hunk.crash.drain(start..=end);
    if let Some(none) = hunk.ours.iter().position(|line| line == "(none found)") {
        hunk.ours.remove(none);
    }
}
