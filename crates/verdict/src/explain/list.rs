//! Which of its tests a check of lists failed in: the compiler compares whatever it has in registers, and what the check
//! printed says which comparison of the source that is.
//!
//! Source: lib/list_debug.c (`__list_add_valid()`, `__list_del_entry_valid()`).

use crate::model::Condition;
use cexpr::{BinOp, Expr};
use kernel::log::event::Event;

/// A test of the checks: what it prints, what the compiler may read for what the source has there, and the source's.
struct Test {
    printed: &'static str,
    read: &'static [&'static str],
    written: fn() -> Expr,
    /// What the source compares with that.
    left: fn() -> Expr,
}

const TESTS: &[Test] = &[
    // the test before it has shown that entry->prev->next is the entry
    Test {
        printed: "list_del corruption. next->prev should be",
        read: &["entry->prev->next"],
        written: || Expr::ident("entry"),
        left: || Expr::ident("entry").arrow("next").arrow("prev"),
    },
    // and this one that next->prev is prev
    Test {
        printed: "list_add corruption. prev->next should be",
        read: &["next->prev->next"],
        written: || Expr::ident("prev").arrow("next"),
        left: || Expr::ident("prev").arrow("next"),
    },
];

/// The condition as the source has it, where the log says which of its tests failed.
pub(crate) fn as_written(condition: Condition, event: &Event) -> Condition {
    let Some(test) = TESTS.iter().find(|test| event.line.contains(test.printed)) else { return condition };
    let is_read = |text: &str| test.read.contains(&text);
    let compares = |expr: &Expr| test.read.iter().any(|read| expr.to_string().contains(read));
    if !condition.expr.as_ref().is_some_and(compares) {
        return condition;
    }
    let (left, written) = ((test.left)(), (test.written)());
    // what is compared with it is the other of the two
    let right = match left == written {
        true => Expr::ident("next"),
        false => written.clone(),
    };
    let mut out = condition;
    for row in &mut out.operands {
        if row.expr().is_some_and(|expr| is_read(&expr.to_string())) {
            row.call_it(&written);
        }
    }
    Condition { expr: Some(Expr::binary(BinOp::Ne, left, right)), ..out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::How;

    fn condition(left: Expr, right: Expr) -> Condition {
        Condition {
            expr: Some(Expr::binary(BinOp::Ne, left, right)),
            printed: None,
            reported: None,
            warning: false,
            caller: None,
            within: None,
            how: How::Decoded,
            operands: Vec::new(),
            code: Vec::new(),
            confirmed: true,
            objects: Vec::new(),
        }
    }

    fn told(line: &str, condition: Condition) -> String {
        let event = kernel::log::event::find(&[line, "kernel BUG at lib/list_debug.c:62!"]).unwrap();
        as_written(condition, &event).expr.unwrap().to_string()
    }

    #[test]
    fn what_was_printed_says_which_test_failed() {
        let entry = || Expr::ident("entry");
        let del = || condition(entry().arrow("prev").arrow("next"), entry().arrow("next").arrow("prev"));
        let next = "list_del corruption. next->prev should be ffff888000000010, but was ffff888000000020. (next=ffff888000000030)";
        assert_eq!(told(next, del()), "entry->next->prev != entry");
        let add = condition(Expr::ident("next"), Expr::ident("next").arrow("prev").arrow("next"));
        let line = "list_add corruption. prev->next should be next (ffff888000000010), but was 0000000000000000. (prev=ffff888000000030).";
        assert_eq!(told(line, add), "prev->next != next");
        // another test, and a condition of other things
        let prev = "list_del corruption. prev->next should be ffff888000000010, but was ffff888000000020. (prev=ffff888000000030)";
        assert_eq!(told(prev, del()), "entry->prev->next != entry->next->prev");
        assert_eq!(told(next, condition(Expr::ident("a"), Expr::ident("b"))), "a != b");
    }
}
