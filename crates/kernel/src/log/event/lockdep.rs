//! What lock a report of lockdep is of, and where it was taken.
//!
//! Source: kernel/locking/lockdep.c; the lines that follow the header are of a fixed order, their words of 3.10 to 7.x.

/// How many lines behind its header tell who did what.
const LINES: usize = 12;

/// `dd/77 is trying to acquire lock: ff1100000144acf8 (&dev->lock) at open+0x1c/0x30 [m], already holding …`, of the
/// lines from a report's header on.
pub(crate) fn of(lines: &[&str]) -> Option<String> {
    let all = lines;
    let lines = lines.get(1..lines.len().min(LINES))?;
    let after = |verb: &str| {
        let n = lines.iter().position(|line| line.contains(verb))?;
        Some((lines.get(n)?.trim(), lock(lines.get(n + 1).copied().unwrap_or_default())))
    };
    let (mut text, lock) = ACTS.iter().find_map(|verb| after(verb))?;
    text = text.trim_end_matches(':');
    let mut out = match lock {
        Some(lock) => format!("{text} {lock}"),
        None => text.to_owned(),
    };
    if let Some((_, Some(held))) = after("already holding lock:") {
        out = format!("{out}, already holding {held}");
    }
    if text.contains(HELD) {
        let from = all.iter().position(|line| line.contains(text))?;
        let more = all.iter().skip(from.saturating_add(2)).take(MAX_HELD).map_while(|line| one_held(line));
        out = more.fold(out, |out, lock| format!("{out}, {lock}"));
        if let Some(left) = lines.iter().find_map(|line| line.trim().strip_suffix(LEAVING)) {
            out = format!("{left} is leaving the kernel with locks still held: {out}");
        }
    }
    Some(out)
}

/// What stands between the number of locks and who has them.
const HELD: &str = " held by ";
/// What a task is told that goes back to its program with a lock.
const LEAVING: &str = " is leaving the kernel with locks still held!";
/// `MAX_LOCK_DEPTH`
const MAX_HELD: usize = 48;

/// What lockdep lists of a task. It notes a lock before the task has it, so that the last may be the one that it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The task's name.
    pub comm: String,
    /// The thread.
    pub pid: i32,
    /// The locks, each with the place where it was taken.
    pub locks: Vec<String>,
}

/// Tasks of a list that are told.
const MAX_LISTED: usize = 64;

/// The last list of all locks of the system, as the watchdog for tasks that hang and sysrq-d log it.
#[must_use]
pub fn listed(lines: &[&str]) -> Vec<Listed> {
    let Some(from) = lines.iter().rposition(|line| line.contains("Showing all locks held in the system:"))
    else {
        return Vec::new();
    };
    let mut out: Vec<Listed> = Vec::new();
    for line in lines.iter().skip(from.saturating_add(1)).map(|line| line.trim()) {
        if let Some(lock) = one_held(line) {
            if let Some(task) = out.last_mut().filter(|task| task.locks.len() < MAX_HELD) {
                task.locks.push(lock);
            }
            continue;
        }
        match holder(line) {
            Some((comm, pid)) if out.len() < MAX_LISTED => out.push(Listed { comm, pid, locks: Vec::new() }),
            None if line.is_empty() => {}
            _ => break,
        }
    }
    out.retain(|task| !task.locks.is_empty());
    out
}

/// `2 locks held by kworker/0:1/42:`
fn holder(line: &str) -> Option<(String, i32)> {
    let who = line.split_once(HELD)?.1.trim_end_matches(':');
    let (comm, pid) = who.rsplit_once('/')?;
    Some((comm.to_owned(), pid.parse().ok()?))
}

/// The lock of a line of the list of those that a task has.
fn one_held(line: &str) -> Option<String> {
    line.trim().starts_with('#').then(|| lock(line))?
}

/// What a task did, at the end of a line that names it; the next line is of the lock or the place.
const ACTS: &[&str] = &[
    " is trying to acquire lock:",
    " is trying to lock:",
    " is trying to release lock (",
    " is trying to contend lock (",
    " is freeing memory ",
    " just changed the state of lock:",
    " takes:",
    HELD,
];

/// `ADDRESS (NAME) at PLACE` of `#0: ADDRESS (NAME){+.+.}-{3:3}, at: PLACE`; the place of `[<ADDRESS>] PLACE`.
fn lock(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some((_, place)) = line.strip_prefix("[<").and_then(|rest| rest.split_once(">] ")) {
        return Some(place.to_owned());
    }
    let line = line.split_once(": ").filter(|(number, _)| number.starts_with('#')).map_or(line, |(_, l)| l);
    let (lock, place) = line.split_once(", at: ")?;
    let lock = lock.split_once("){").map_or(lock.to_owned(), |(name, _)| format!("{name})"));
    let place = match place.strip_prefix("[<").and_then(|rest| rest.split_once(">] ")) {
        Some((_, place)) => place,
        None => place,
    };
    Some(format!("{} at {place}", lock.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_what_while_it_holds_what() {
        let circular = [
            "WARNING: possible circular locking dependency detected",
            "6.12.117-checked #1 Tainted: G           O      ",
            "------------------------------------------------------",
            "insmod/52 is trying to acquire lock:",
            "ffffffffc013f3c8 (front){+.+.}-{3:3}, at: second_order+0x20/0x38 [chk]",
            "",
            "but task is already holding lock:",
            "ffffffffc013f308 (back){+.+.}-{3:3}, at: second_order+0x12/0x38 [chk]",
        ];
        assert_eq!(
            of(&circular).as_deref(),
            Some(
                "insmod/52 is trying to acquire lock ffffffffc013f3c8 (front) at second_order+0x20/0x38 [chk], \
                 already holding ffffffffc013f308 (back) at second_order+0x12/0x38 [chk]"
            )
        );
        // 3.10
        let old = [
            "[ INFO: possible recursive locking detected ]",
            "3.10.0 #1 Not tainted",
            "---------------------------------------------",
            "cat/77 is trying to acquire lock:",
            " (&dev->lock){+.+.+.}, at: [<ffffffffa0000123>] dev_open+0x13/0x40 [dev]",
        ];
        assert_eq!(
            of(&old).as_deref(),
            Some("cat/77 is trying to acquire lock (&dev->lock) at dev_open+0x13/0x40 [dev]")
        );
    }

    #[test]
    fn all_locks_of_the_system() {
        let list = [
            "INFO: task dd:77 blocked for more than 120 seconds.",
            "Showing all locks held in the system:",
            "1 lock held by khungtaskd/27:",
            " #0: ffffffff82e5f6a0 (rcu_read_lock){....}-{1:2}, at: debug_show_all_locks+0x15/0x183",
            "2 locks held by kworker/0:1/42:",
            " #0: ff1100000160d4b8 (&i->lock){+.+.}-{3:3}, at: first+0xf/0x12 [chk]",
            " #1: ff1100000160d4d8 (&i->other){+.+.}-{3:3}, at: second+0xf/0x12 [chk]",
            "",
            "=============================================",
            "1 lock held by later/1:",
            " #0: ff1100000160d4b8 (&i->lock){+.+.}-{3:3}, at: first+0xf/0x12 [chk]",
        ];
        let found = listed(&list);
        let each: Vec<(&str, i32, usize)> =
            found.iter().map(|t| (t.comm.as_str(), t.pid, t.locks.len())).collect();
        assert_eq!(each, [("khungtaskd", 27, 1), ("kworker/0:1", 42, 2)]);
        assert_eq!(found[1].locks[1], "ff1100000160d4d8 (&i->other) at second+0xf/0x12 [chk]");
        assert!(listed(&list[2..]).is_empty());
    }

    #[test]
    fn locks_given_back_freed_and_left() {
        let given = [
            "WARNING: bad unlock balance detected!",
            "6.12.117-checked #1 Tainted: G           O      ",
            "-------------------------------------",
            "insmod/48 is trying to release lock (&i->lock) at:",
            "[<ffffffffc019b36b>] go+0x36b/0x1000 [chk]",
            "but there are no more locks to release!",
        ];
        assert_eq!(
            of(&given).as_deref(),
            Some("insmod/48 is trying to release lock (&i->lock) at go+0x36b/0x1000 [chk]")
        );
        let left = [
            "WARNING: leaver/49 still has locks held!",
            "6.12.117-checked #1 Tainted: G           O      ",
            "------------------------------------",
            "1 lock held by leaver/49:",
            " #0: ff1100000160d4b8 (&i->lock#2){+.+.}-{3:3}, at: leaver+0xf/0x12 [chk]",
        ];
        assert_eq!(
            of(&left).as_deref(),
            Some("1 lock held by leaver/49 ff1100000160d4b8 (&i->lock#2) at leaver+0xf/0x12 [chk]")
        );
        let leaving = [
            "WARNING: lock held when returning to user space!",
            "6.12.117-checked #1 Tainted: G           O      ",
            "------------------------------------------------",
            "cat/51 is leaving the kernel with locks still held!",
            "2 locks held by cat/51:",
            " #0: ff1100000160d4b8 (&i->lock#2){+.+.}-{3:3}, at: first+0xf/0x12 [chk]",
            " #1: ff1100000160d4d8 (&i->other){+.+.}-{3:3}, at: second+0xf/0x12 [chk]",
            "BUG: scheduling while atomic: cat/51/0x00000002",
        ];
        assert_eq!(
            of(&leaving).as_deref(),
            Some(
                "cat/51 is leaving the kernel with locks still held: 2 locks held by cat/51 ff1100000160d4b8 (&i->lock#2) at \
                 first+0xf/0x12 [chk], ff1100000160d4d8 (&i->other) at second+0xf/0x12 [chk]"
            )
        );
        assert_eq!(of(&["WARNING: suspicious RCU usage", "x", "y"]), None);
        assert_eq!(of(&["WARNING"]), None);
    }
}
