//! What the verdict's first line tells.

use crate::case::Case;
use crate::explain::blame::Found;
use crate::model::{Access, Accessed, ErrorPointer, Headline, PointerIs, Why};
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
        subject: subject.cloned(),
        said,
        caller: module::served(case.s, &case.victim, at, place).filter(|_| class.has_instruction()),
        stuck: None,
        error: found.access.as_ref().and_then(error_pointer),
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
