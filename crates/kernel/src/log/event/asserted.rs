//! Assertions that file systems, drivers and languages print by themselves before they trap, panic or stop: their own words
//! say what failed better than the code of the helper that carries it out.
//!
//! Sources: fs/xfs/xfs_message.c, fs/btrfs/messages.c (ctree.h until 6.2), include/linux/jbd2.h (`J_ASSERT_JH`),
//! drivers/block/rbd.c, fs/gfs2/util.c, fs/ocfs2/cluster/masklog.h, drivers/block/drbd/drbd_polymorph_printk.h,
//! rust/kernel/lib.rs and library/std's panic messages; of the modules that are not in the kernel's tree, OpenZFS
//! (include/os/linux/spl/sys/debug.h) and Lustre (libcfs/include/libcfs/libcfs_debug.h).

/// An assertion that was printed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asserted {
    /// What was asserted, as the source has it; of a Rust panic its message.
    pub text: String,
    /// What its operands were, where that was printed: `0 == 52`.
    pub values: Option<String>,
    /// The function that asserted.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The line of the log.
    pub at: usize,
}

/// How many lines that say something lie at most between an assertion's first and the message that it ends in.
const NEAR: usize = 6;

/// How many lines a stack may have that is shown in between.
const STACK: usize = 80;
/// Lines of the report itself and of a stack.
const REPORT: &[&str] = &[
    "[ cut here ]",
    "Kernel panic",
    "kernel BUG at",
    "Call Trace",
    "<TASK>",
    "</TASK>",
    "Hardware name: ",
    "CPU: ",
    "Pid: ",
    SHOWN,
];
/// What stands above the stack of a task that ZFS lets sleep for ever.
const SHOWN: &str = "Showing stack for process ";

/// The assertion after which a task was left asleep.
pub(super) fn of_task(lines: &[&str], pid: i32) -> Option<Asserted> {
    let shown = |line: &&str| line.split_once(SHOWN).is_some_and(|(_, of)| of.trim().parse() == Ok(pid));
    before(lines, lines.iter().rposition(shown)?)
}

/// The assertion whose words stand right before line `at`; none where the report of something else ended in between.
pub(super) fn before(lines: &[&str], at: usize) -> Option<Asserted> {
    let from = at.saturating_sub(STACK);
    let said = |n: &usize| {
        let line = lines.get(*n).map_or("", |line| line.trim());
        let is_report = REPORT.iter().any(|words| line.contains(words));
        !line.is_empty() && !is_report && super::oops::symbol(line).is_none_or(|_| line.contains("rror"))
    };
    for n in (from..at).rev().filter(said).take(NEAR) {
        if lines.get(n).is_some_and(|line| super::oops::is_end(line)) {
            return None;
        }
        if let Some(found) = read(lines.get(n..at)?) {
            return Some(Asserted { at: n, ..found });
        }
    }
    None
}

/// The assertion that begins with the first of these lines.
fn read(lines: &[&str]) -> Option<Asserted> {
    let (first, rest) = lines.split_first()?;
    let first = first.trim();
    comma_separated(first)
        .or_else(|| assertion_failure(first, rest))
        .or_else(|| gfs2(first, rest))
        .or_else(|| ocfs2(first))
        .or_else(|| drbd(first))
        .or_else(|| lustre(first))
        .or_else(|| zfs(first, rest))
        .or_else(|| rust(first, rest))
}

fn number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..digits)?.parse().ok()
}

/// `file.c:123`
fn file_line(text: &str) -> Option<(String, u32)> {
    let (file, line) = text.split_once(':')?;
    Some((file.trim().to_owned(), number(line)?))
}

/// XFS `Assertion failed: E, file: F, line: N`; Btrfs `assertion failed: E, in F:N` (until 5.x `E, file: F, line: N`), where
/// values may follow (6.16): `assertion failed: E :: a=1 b=2, in F:N`.
fn comma_separated(line: &str) -> Option<Asserted> {
    let rest = ["Assertion failed: ", "assertion failed: "].iter().find_map(|form| {
        let (before, rest) = line.split_once(form)?;
        (before.is_empty() || before.ends_with(": ")).then_some(rest)
    })?;
    let (text, (file, line)) = match rest.rsplit_once(", file: ") {
        Some((text, at)) => {
            let (file, line) = at.split_once(", line: ")?;
            (text, (file.trim().to_owned(), number(line)?))
        }
        None => {
            let (text, at) = rest.rsplit_once(", in ")?;
            (text, file_line(at)?)
        }
    };
    let (text, values) = text.split_once(" :: ").map_or((text, None), |(text, values)| (text, Some(values)));
    Some(Asserted {
        text: text.trim().to_owned(),
        values: values.map(|values| values.trim().to_owned()),
        file: Some(file),
        line: Some(line),
        ..Asserted::default()
    })
}

/// jbd2 `Assertion failure in F() at FILE:N: "E"`; rbd `Assertion failure in F() at line N:`, and `rbd_assert(E);` below it.
fn assertion_failure(first: &str, rest: &[&str]) -> Option<Asserted> {
    let (_, said) = first.split_once("Assertion failure in ")?;
    let (function, said) = said.split_once("() at ")?;
    let function = Some(function.to_owned());
    if let Some(line) = said.strip_prefix("line ") {
        let line = number(line);
        let text = rest.iter().take(NEAR).find_map(|line| {
            line.trim().strip_suffix(");")?.split_once("assert(").map(|(_, text)| text.to_owned())
        })?;
        return Some(Asserted { text, function, line, ..Asserted::default() });
    }
    let (place, text) = said.split_once(": ")?;
    let (file, line) = file_line(place)?;
    let text = text.trim().trim_matches('"').to_owned();
    Some(Asserted { text, function, file: Some(file), line: Some(line), ..Asserted::default() })
}

/// `GFS2: fsid=x.0: fatal: assertion "E" failed`, and `function = F, file = FILE, line = N` below it, behind `fsid=`.
fn gfs2(first: &str, rest: &[&str]) -> Option<Asserted> {
    let (before, said) = first.split_once("assertion \"")?;
    if !before.contains("fsid=") {
        return None;
    }
    let text = said.split_once("\" failed")?.0.to_owned();
    let place = std::iter::once(&first).chain(rest.iter().take(2)).find(|line| line.contains("function = "));
    let part = |key: &str| {
        let (_, at) = place?.split_once(key)?;
        Some(at.split(',').next()?.trim().to_owned())
    };
    let (function, file) = (part("function = "), part("file = "));
    Some(Asserted {
        text,
        function,
        file,
        line: part("line = ").and_then(|n| number(&n)),
        ..Asserted::default()
    })
}

/// `(dd,77,0):ocfs2_func:123 ERROR: bug expression: E`
fn ocfs2(line: &str) -> Option<Asserted> {
    let (place, text) = line.split_once(" ERROR: bug expression: ")?;
    let (_, place) = place.split_once("):")?;
    let (function, line) = place.split_once(':')?;
    Some(Asserted {
        text: text.trim().to_owned(),
        function: Some(function.to_owned()),
        line: number(line),
        ..Asserted::default()
    })
}

/// `drbd r0: ASSERTION E FAILED in F`, before 4.x `block drbd0: ASSERT( E ) in FILE:N`
fn drbd(line: &str) -> Option<Asserted> {
    if !line.contains("drbd") {
        return None;
    }
    if let Some((text, function)) =
        line.split_once("ASSERTION ").and_then(|(_, said)| said.split_once(" FAILED in "))
    {
        let function = Some(function.trim().to_owned());
        return Some(Asserted { text: text.trim().to_owned(), function, ..Asserted::default() });
    }
    let (text, place) = line.split_once("ASSERT( ")?.1.split_once(" ) in ")?;
    let (file, line) = file_line(place)?;
    Some(Asserted { text: text.to_owned(), file: Some(file), line: Some(line), ..Asserted::default() })
}

/// `LustreError: 77:0:(file.c:123:function()) ASSERTION( E ) failed: words`
fn lustre(line: &str) -> Option<Asserted> {
    let (place, said) = line.split_once(") ASSERTION( ")?;
    let (text, words) = said.split_once(" ) failed")?;
    let (file, rest) =
        place.rsplit_once('(').and_then(|(before, _)| before.rsplit_once('('))?.1.split_once(':')?;
    let (number_text, function) = rest.split_once(':')?;
    let words = words.trim_start_matches(':').trim();
    Some(Asserted {
        text: text.trim().to_owned(),
        values: (!words.is_empty()).then(|| words.to_owned()),
        function: Some(function.trim_end_matches('(').to_owned()),
        file: Some(file.to_owned()),
        line: number(number_text),
        ..Asserted::default()
    })
}

/// `VERIFY3(0 == f(x)) failed (0 == 52)` or `VERIFY(E) failed`, and `PANIC at FILE:N:F()` below it.
fn zfs(first: &str, rest: &[&str]) -> Option<Asserted> {
    let form = ["VERIFY", "ASSERT"].iter().find(|form| first.starts_with(**form))?;
    let kind = first.strip_prefix(form)?;
    let open = kind.find('(').filter(|n| kind.get(..*n).is_some_and(|kind| kind.len() <= 2))?;
    let (text, values) = kind.get(open + 1..)?.rsplit_once(") failed")?;
    let values = values.trim().trim_matches(['(', ')']).trim();
    let place = rest.iter().take(2).find_map(|line| line.trim().strip_prefix("PANIC at "));
    let (file, behind) = place.and_then(|place| place.split_once(':')).unzip();
    let (line, function) = behind.and_then(|behind| behind.split_once(':')).unzip();
    Some(Asserted {
        text: text.to_owned(),
        values: (!values.is_empty()).then(|| values.to_owned()),
        function: function.map(|function| function.trim().trim_end_matches("()").to_owned()),
        file: file.map(str::to_owned),
        line: line.and_then(number),
        ..Asserted::default()
    })
}

/// `rust_kernel: panicked at FILE:N:M:`, and the message below it; before Rust 1.73 `panicked at 'MESSAGE', FILE:N:M`.
fn rust(first: &str, rest: &[&str]) -> Option<Asserted> {
    let (_, said) = first.split_once("panicked at ")?;
    let (place, text) = match said.strip_prefix('\'').and_then(|said| said.rsplit_once("', ")) {
        Some((text, place)) => (place, text.to_owned()),
        None => (said, rest.iter().map(|line| line.trim()).find(|line| !line.is_empty())?.to_owned()),
    };
    let (file, line) = file_line(place)?;
    Some(Asserted { text, file: Some(file), line: Some(line), ..Asserted::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Asserted> {
        let lines: Vec<&str> = text.lines().collect();
        before(&lines, lines.len())
    }

    fn told(text: &str) -> (String, Option<String>, Option<String>, Option<String>, Option<u32>) {
        let a = of(text).unwrap_or_else(|| panic!("{text}"));
        (a.text, a.values, a.function, a.file, a.line)
    }

    #[test]
    fn assertions_of_file_systems_and_drivers() {
        for (text, want, values, function, file, line) in [
            (
                "XFS (dm-0): Assertion failed: ip->i_nblocks == 0, file: fs/xfs/xfs_inode.c, line: 1711",
                "ip->i_nblocks == 0",
                None,
                None,
                Some("fs/xfs/xfs_inode.c"),
                Some(1711),
            ),
            (
                "assertion failed: atomic_read(&a) == 1, in fs/btrfs/disk-io.c:4321",
                "atomic_read(&a) == 1",
                None,
                None,
                Some("fs/btrfs/disk-io.c"),
                Some(4321),
            ),
            (
                "assertion failed: folio_order(folio) == 0 :: order=2, in fs/btrfs/extent_io.c:12",
                "folio_order(folio) == 0",
                Some("order=2"),
                None,
                Some("fs/btrfs/extent_io.c"),
                Some(12),
            ),
            (
                "BTRFS: assertion failed: ret, file: fs/btrfs/inode.c, line: 7",
                "ret",
                None,
                None,
                Some("fs/btrfs/inode.c"),
                Some(7),
            ),
            (
                "Assertion failure in jbd2_journal_dirty_metadata() at fs/jbd2/transaction.c:1029: \"handle->h_buffer_credits > 0\"",
                "handle->h_buffer_credits > 0",
                None,
                Some("jbd2_journal_dirty_metadata"),
                Some("fs/jbd2/transaction.c"),
                Some(1029),
            ),
            (
                "Assertion failure in rbd_img_request_fill() at line 1973:\n\n\trbd_assert(img_request != NULL);\n",
                "img_request != NULL",
                None,
                Some("rbd_img_request_fill"),
                None,
                Some(1973),
            ),
            (
                "GFS2: fsid=c:g.0: fatal: assertion \"!(bh->b_state & 1)\" failed\n   function = gfs2_meta_wipe, file = fs/gfs2/meta_io.c, line = 411",
                "!(bh->b_state & 1)",
                None,
                Some("gfs2_meta_wipe"),
                Some("fs/gfs2/meta_io.c"),
                Some(411),
            ),
            (
                "(dd,77,0):ocfs2_truncate_file:466 ERROR: bug expression: le64_to_cpu(fe->i_size) != i_size_read(inode)",
                "le64_to_cpu(fe->i_size) != i_size_read(inode)",
                None,
                Some("ocfs2_truncate_file"),
                None,
                Some(466),
            ),
            (
                "drbd r0: ASSERTION list_empty(&c->a) FAILED in conn_disconnect",
                "list_empty(&c->a)",
                None,
                Some("conn_disconnect"),
                None,
                None,
            ),
            (
                "LustreError: 77:0:(ldlm_lock.c:213:ldlm_lock_put()) ASSERTION( lock->l_refs > 0 ) failed: gone\nLustreError: 77:0:(ldlm_lock.c:213:ldlm_lock_put()) LBUG",
                "lock->l_refs > 0",
                Some("gone"),
                Some("ldlm_lock_put"),
                Some("ldlm_lock.c"),
                Some(213),
            ),
            (
                "VERIFY3(0 == remove_reference(hdr, ((void *)0), tag)) failed (0 == 52)\nPANIC at arc.c:1234:arc_release()\nShowing stack for process 77",
                "0 == remove_reference(hdr, ((void *)0), tag)",
                Some("0 == 52"),
                Some("arc_release"),
                Some("arc.c"),
                Some(1234),
            ),
            (
                "rust_kernel: panicked at drivers/android/a.rs:12:5:\nindex out of bounds: the len is 3",
                "index out of bounds: the len is 3",
                None,
                None,
                Some("drivers/android/a.rs"),
                Some(12),
            ),
            (
                "rust_kernel: panicked at 'no more', rust/kernel/a.rs:7:9",
                "no more",
                None,
                None,
                Some("rust/kernel/a.rs"),
                Some(7),
            ),
        ] {
            let own = |text: Option<&str>| text.map(str::to_owned);
            assert_eq!(told(text), (want.to_owned(), own(values), own(function), own(file), line), "{text}");
        }
    }

    #[test]
    fn what_is_no_assertion_of_this_report() {
        for text in [
            "",
            "usb 1-1: assertion failed",
            "VERIFY the cable, it failed",
            "XFS (dm-0): Assertion failed: a, file: b.c",
            // one that the machine survived
            "XFS (dm-0): Assertion failed: a, file: b.c, line: 1\n---[ end trace 0 ]---\nusb 1-1: gone",
            // long before
            "XFS (dm-0): Assertion failed: a, file: b.c, line: 1\n1\n2\n3\n4\n5\n6\n7",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        let near =
            of("XFS (dm-0): Assertion failed: a, file: b.c, line: 1\n\n------------[ cut here ]------------");
        assert_eq!(near.map(|a| a.at), Some(0));
    }
}
