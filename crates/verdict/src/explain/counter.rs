//! The reference count that a check found wrong: what the check was given, in its caller's words.
//!
//! Sources: include/linux/refcount.h, lib/refcount.c.
//!
//! **Invariant:** what the count was is never taken from memory: the check has set it to a value from which it does not move.

use crate::model::Counter;
use crate::naming::names::Namer;

/// The count of a report in `line`, by the check in whose function the namer is.
pub(crate) fn of(namer: &Namer<'_>, line: &str) -> Option<Counter> {
    let which = argument(&namer.code.name)?;
    let outer = namer.outer()?;
    let given = outer.code.flow.register(outer.at, *outer.code.arguments().get(which)?)?;
    let expr = outer.sym(outer.at, given, 0)?.expr.pointed();
    (!expr.names_register()).then(|| Counter { expr, was: was(line) })
}

/// Which argument of a check is the count: `refcount_warn_saturate(r, t)`, `refcount_add_checked(i, r)`.
fn argument(function: &str) -> Option<usize> {
    let rest = function.strip_prefix("refcount_")?;
    Some(usize::from(rest.starts_with("add") || rest.starts_with("sub")))
}

/// What the count was, by the report: what is added to a count of 0 is told as that.
fn was(line: &str) -> Option<u64> {
    (line.contains("addition on 0") || line.contains("increment on 0")).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_the_count_was() {
        assert_eq!(was("refcount_t: addition on 0; use-after-free."), Some(0));
        assert_eq!(was("refcount_t: increment on 0; use-after-free."), Some(0));
        // below 0 or saturated before
        assert_eq!(was("refcount_t: underflow; use-after-free."), None);
        assert_eq!(was("refcount_t: decrement hit 0; leaking memory."), None);
    }

    #[test]
    fn each_check_has_its_count() {
        assert_eq!(argument("refcount_warn_saturate"), Some(0));
        assert_eq!(argument("refcount_inc_checked"), Some(0));
        assert_eq!(argument("refcount_sub_and_test_checked"), Some(1));
        assert_eq!(argument("refcount_add_not_zero_checked"), Some(1));
        assert_eq!(argument("kobject_get"), None);
    }
}
