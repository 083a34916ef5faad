//! What lock a report of lockdep is of, and where it was taken.
//!
//! Source: kernel/locking/lockdep.c; the lines that follow the header are of a fixed order, their words of 3.10 to 7.x.

/// How many lines behind its header tell who did what.
const LINES: usize = 12;

/// `dd/77 is trying to acquire lock: ff1100000144acf8 (&dev->lock) at open+0x1c/0x30 [m], already holding …`, of the
/// lines from a report's header on.
pub(crate) fn of(lines: &[&str]) -> Option<String> {
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
    Some(out)
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
    " held by ",
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
        assert_eq!(of(&["WARNING: suspicious RCU usage", "x", "y"]), None);
        assert_eq!(of(&["WARNING"]), None);
    }
}
