//! Known differences of answers about run queues, interrupts and timers, and how each is told.

use std::collections::BTreeSet;

use super::{Beside, Hunk};

/// An idle task of which nobody noted when it came on its CPU: crash takes the time since the machine started.
pub(super) fn idle_since(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| {
        let around = ours.split_once("[<?>]");
        theirs.contains("COMMAND: \"swapper/")
            && around.is_some_and(|(head, rest)| theirs.starts_with(head) && theirs.ends_with(rest))
    });
}

/// Lines that nothing handles.
pub(super) fn unhandled(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_crash(|line| line.trim_end().ends_with("(unused)"));
}

/// The wheels of timers as they are called since 6.9, and the third one, which crash leaves out.
pub(super) fn wheels(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    if !hunk.all.iter().any(|line| line.contains("][BASE_GLOBAL]: ")) {
        return;
    }
    let names = [("[BASE_STD]", "[BASE_LOCAL]"), ("[BASE_DEF]", "[BASE_GLOBAL]")];
    hunk.take_pairs(|theirs, ours| {
        names.iter().any(|(old, new)| theirs.contains(old) && theirs.replace(old, new) == ours)
    });
    let (mut third, mut is_inside) = (BTreeSet::new(), false);
    for line in hunk.all {
        if line.starts_with("TIMER_BASES[") {
            is_inside = line.contains("][BASE_DEF]: ");
        }
        if is_inside {
            third.insert(line.trim_end().to_owned());
        }
    }
    hunk.take_ours(|line| third.contains(line.trim_end()));
}

/// What a clock shows: crash counts ticks from another start on some kernels, and drops what is less than a tick; and it puts
/// numbers in the middle of their columns.
pub(super) fn clock_now(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| {
        let (theirs, ours): (Vec<&str>, Vec<&str>) =
            (theirs.split_whitespace().collect(), ours.split_whitespace().collect());
        let is_number = |words: &[&str]| words.iter().all(|word| word.parse::<i64>().is_ok());
        match (theirs.as_slice(), ours.as_slice()) {
            ([now], [own]) => is_number(&[now, own]),
            ([soft, expires, tte, timer @ ..], [own, until, left, same @ ..]) => {
                (soft, expires, timer) == (own, until, same) && (tte == left || is_number(&[tte, left]))
            }
            _ => false,
        }
    });
    hunk.take_pairs(|theirs, ours| theirs.split_whitespace().eq(ours.split_whitespace()));
}
