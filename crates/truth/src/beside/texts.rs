//! Known differences of other texts, and how each is told.

use super::{Beside, Hunk, frames};

/// `name` or `name+offset`.
fn name_and_offset(word: &str) -> (&str, u64) {
    match word.split_once('+') {
        Some((name, offset)) => (name, offset.parse().unwrap_or(0)),
        None => (word, 0),
    }
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

/// The root cause before the final panic.
pub(super) fn root_cause(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let truth = &beside.case.truth;
    if truth.case.end == "live" {
        hunk.take_pairs(|theirs, ours| theirs.ends_with("PANIC: \"\"") && ours.contains("PANIC: (none: "));
    }
    let headlines = truth.oops.iter().flat_map(|oops| oops.headlines.iter().map(String::as_str));
    let known: Vec<&str> =
        headlines.chain(truth.console.iter().map(|message| message.text.as_str())).collect();
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
fn seconds(clock: &str) -> Option<f64> {
    let mut parts = clock.trim().split(':').map(|part| part.parse::<f64>().ok());
    Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
}

/// Seconds after boot at which the guest spoke last.
fn last_words(beside: &Beside<'_>) -> f64 {
    beside.case.truth.console.iter().filter_map(|message| message.time.parse().ok()).fold(0.0, f64::max)
}

/// Clocks that crash has running for minutes where the guest spoke last after seconds.
pub(super) fn uptime(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let last = last_words(beside);
    hunk.take_pairs(|theirs, ours| match (theirs.split_once(": "), ours.split_once(": ")) {
        (Some((label, theirs)), Some((same, ours))) => {
            label == same
                && ["UPTIME", "RUN TIME"].contains(&label.trim())
                && seconds(theirs).is_some_and(|theirs| theirs > last + 60.0)
                && seconds(ours).is_some_and(|ours| ours < last + 30.0)
        }
        _ => false,
    });
}

/// Dates of messages that are off by the error of crash's clock.
pub(super) fn dates(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    // 6.12 keeps jiffies of another start: the same error as of the uptime.
    if !beside.case.name.starts_with("6.12/") {
        return;
    }
    let text = |line: &str| line.split_once(" 2026] ").map(|(_, text)| text.to_owned());
    hunk.take_pairs(|theirs, ours| text(theirs).is_some() && text(theirs) == text(ours));
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
        (Some((at, kind, name, place)), Some((same, other, also, _))) => {
            (at, kind, name) == (same, other, also) && place.contains(".h: ")
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
