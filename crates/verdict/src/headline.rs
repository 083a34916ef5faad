//! What the verdict's first line tells.

use crate::case::Case;
use crate::code::roles;
use crate::explain::blame::Found;
use crate::model::{Access, Accessed, Act, ErrorPointer, Headline, PointerIs, Why};
use crate::stall::evidence;
use crate::stall::waits::Waits;
use crate::victim::module;
use kernel::log::event::{self, Class, Event};

/// The kind of death, its place and subject, and what the kernel said where the class does not say it already.
pub(crate) fn of(case: &Case<'_>, class: Class, found: &Found, at: Option<usize>) -> Headline {
    let place = found.place.as_ref();
    let event = case.event.as_ref();
    let hang = case.hang.is_some();
    if class == Class::Alive {
        let stuck = case.waits.as_ref().and_then(Waits::stuck);
        let none = Headline {
            class,
            hang,
            of_log: case.s.is_log(),
            place: None,
            reporter: None,
            act: None,
            counter: None,
            subject: None,
            said: None,
            caller: None,
            stuck: None,
            error: None,
        };
        return Headline { stuck, ..none };
    }
    let subject = event
        .and_then(|e| evidence::subject_of(e, case.victim.task))
        .or_else(|| case.hang.as_ref()?.subject.as_ref())
        .filter(|subject| class.is_stall() && evidence::is_named(class, subject));
    let said = match place {
        Some(_) => event.and_then(|event| beside_place(class, event)),
        None if class == Class::Unknown || subject.is_some() => None,
        None => event.and_then(said),
    };
    Headline {
        class,
        hang,
        of_log: case.s.is_log(),
        place: place.cloned(),
        reporter: found.reporter.clone(),
        act: place.and_then(|_| act(case, class, found, at)),
        counter: found.counter.clone(),
        subject: subject.cloned(),
        said,
        caller: module::served(case.s, &case.victim, at, place).filter(|_| class.has_instruction()),
        stuck: None,
        error: found.access.as_ref().and_then(error_pointer),
    }
}

/// What was done at the place when the damage was found.
fn act(case: &Case<'_>, class: Class, found: &Found, at: Option<usize>) -> Option<Act> {
    let line = case.event.as_ref().map(|event| event.line.as_str()).unwrap_or_default();
    match class {
        Class::ListCorruption => of_list(line),
        Class::Refcount => of_count(line),
        Class::SlabCorruption => of_memory(case, at?),
        // what an allocator asserts is of what it was given
        Class::Bug | Class::Warning if found.reporter.is_some() => of_memory(case, at?),
        _ => None,
    }
}

/// `list_del corruption. prev->next should be …`
fn of_list(line: &str) -> Option<Act> {
    let forms = [("list_add", Act::ListAdd), ("list_del", Act::ListDel)];
    forms.into_iter().find(|(form, _)| line.contains(form)).map(|(_, act)| act)
}

/// `refcount_t: underflow; use-after-free.` Saturated is a count that somebody adds to (lib/refcount.c).
fn of_count(line: &str) -> Option<Act> {
    let forms = [
        ("addition on 0", Act::Take),
        ("increment on 0", Act::Take),
        ("saturated", Act::Take),
        ("underflow", Act::Drop),
        ("decrement hit 0", Act::Drop),
    ];
    forms.into_iter().find(|(form, _)| line.contains(form)).map(|(_, act)| act)
}

/// What the function of the frame asked the allocator for.
fn of_memory(case: &Case<'_>, at: usize) -> Option<Act> {
    let frame = case.victim.frames().get(at.checked_sub(1)?).filter(|frame| !frame.how.is_guess())?;
    let name = case.s.locate(frame.lookup())?.symbol.name;
    match roles::takes_or_gives(name)? {
        true => Some(Act::Free),
        false => Some(Act::Allocate),
    }
}

/// The error number that an access took for a pointer.
fn error_pointer(access: &Access) -> Option<ErrorPointer> {
    let Accessed::Memory { why, .. } = &access.what else { return None };
    let (pointer, error) = why.iter().find_map(|why| match why {
        Why::Pointer(pointer, is) => match &is.is {
            PointerIs::Error(error) => Some((pointer, error.clone())),
            _ => None,
        },
        _ => None,
    })?;
    let by = why.iter().find_map(|why| match why {
        Why::Returned(call) => Some(call.clone()),
        _ => None,
    });
    let is_call = matches!(pointer.kind, cexpr::ExprKind::Call(..));
    Some(ErrorPointer {
        error,
        returned: by.is_some() || is_call,
        from: by.unwrap_or_else(|| pointer.clone()),
    })
}

/// The event's first line without what the class says already, and without the kernel's columns of blanks.
fn said(event: &Event) -> Option<String> {
    let line = event::plain(&event.line);
    let line = line
        .trim_start_matches("[Hardware Error]: ")
        .trim_start_matches("Machine check: ")
        .trim_start_matches("refcount_t: ");
    Some(line.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|line| !line.is_empty())
}

/// What the kernel said, where that says more than class and place.
fn beside_place(class: Class, event: &Event) -> Option<String> {
    match class {
        Class::Panic
        | Class::SlabCorruption
        | Class::PageCorruption
        | Class::Sanitizer
        | Class::Ubsan
        | Class::ListCorruption
        | Class::Refcount
        | Class::Overflow
        | Class::LockMisuse => said(event).filter(|said| !of_place(said)),
        Class::Warning => event.message.clone(),
        _ => None,
    }
}

/// Whether the kernel's message says no more than the place: `WARNING: CPU: 0 PID: 7 at lib/refcount.c:28 …`.
fn of_place(said: &str) -> bool {
    ["WARNING: CPU: ", "WARNING: at ", "kernel BUG at "].iter().any(|form| said.starts_with(form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_by_the_report() {
        let list = |line| of_list(line);
        assert_eq!(list("list_add corruption. prev->next should be next"), Some(Act::ListAdd));
        assert_eq!(list("list_del corruption, ffff888000000010->next is LIST_POISON1"), Some(Act::ListDel));
        assert_eq!(list("kernel BUG at lib/list_debug.c:62!"), None);
        let count = |said: &str| of_count(&format!("refcount_t: {said}"));
        assert_eq!(count("addition on 0; use-after-free."), Some(Act::Take));
        assert_eq!(count("saturated; leaking memory."), Some(Act::Take));
        assert_eq!(count("underflow; use-after-free."), Some(Act::Drop));
        assert_eq!(count("decrement hit 0; leaking memory."), Some(Act::Drop));
        assert_eq!(count("unknown saturation event!?"), None);
    }
}
