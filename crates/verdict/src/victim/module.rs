//! The module to blame and where it comes from: the one that died, or the first one that had called what died.

use crate::code::roles;
use crate::explain::blame::Found;
use crate::model::{How, Module as Said, Place, Statement};
use crate::victim::fault_frame;
use crate::victim::frames::Victim;
use debuginfo::symtab::base_name;
use kernel::Session;
use kernel::log::event::Class;
use unwind::Frame;

/// The statements of the `MODULE` section.
pub(crate) fn of(
    s: &Session,
    victim: &Victim<'_>,
    from: Option<usize>,
    class: Class,
    found: &Found,
) -> Vec<Statement> {
    let place = found.place.as_ref();
    // of a place without a name it is not known whose it is
    let named = place.filter(|p| !p.function.is_empty());
    // an assertion of the allocator's is its caller's business as well
    let of_allocator =
        class == Class::Bug && named.is_some_and(|p| p.module.is_none() && roles::is_allocating(&p.function));
    let of_library = found.reporter.is_none()
        && matches!(class, Class::ListCorruption | Class::Refcount | Class::Overflow);
    let module = named.and_then(|place| module(s, victim, from, place));
    // the module's own line may have the caller, with the line of the call itself
    let code = |p: &Place| (p.function.clone(), p.offset, p.module.clone());
    let is_told = |caller: &Place| match &module {
        Some(Said::Blamed { caller: Some(told), .. }) => code(told) == code(caller),
        _ => false,
    };
    let caller = (of_library || of_allocator).then(|| caller(s, victim, from, place)).flatten();
    let caller = caller.filter(|caller| !is_told(caller)).map(Said::CalledBy);
    let caller = caller.map(|said| Statement::new(How::Memory, said, &["bt".into()]));
    let module = module.map(|said| Statement::new(How::Memory, said, &["mod -t".into(), "mod".into()]));
    module.into_iter().chain(caller).collect()
}

/// The module to blame, where it comes from, and who called into it; of a death in the kernel proper the module that called it.
fn module(s: &Session, victim: &Victim<'_>, from: Option<usize>, place: &Place) -> Option<Said> {
    let blamed = |name: &str, from: Option<(Option<String>, String)>, caller: Option<Place>| {
        let m = s.module_named(name)?;
        Some(Said::Blamed { name: m.name.clone(), taints: m.taints, from, caller })
    };
    match place.module.as_deref() {
        Some(name) => {
            let who = from.filter(|n| *n > 0 || s.is_log()).and_then(|n| caller_of(s, victim, n, name));
            blamed(name, who, None)
        }
        None => {
            let caller = called_by(s, victim, from?)?;
            let name = caller.module.clone()?;
            blamed(&name, None, Some(caller))
        }
    }
}

/// Of a check in a library: who called it.
fn caller(s: &Session, victim: &Victim<'_>, from: Option<usize>, place: Option<&Place>) -> Option<Place> {
    let own = place.map(|p| base_name(&p.function)).unwrap_or_default();
    let (frame, _) = victim
        .named(s, from.filter(|n| *n > 0 || s.is_log())?)
        .find(|(_, name)| base_name(name) != own && !roles::is_finding(name))?;
    Some(fault_frame::place_of_return(s, frame))
}

/// Who called into the module.
fn caller_of(
    s: &Session,
    victim: &Victim<'_>,
    from: usize,
    module: &str,
) -> Option<(Option<String>, String)> {
    let of = |(frame, _): (&Frame, &str)| s.locate(frame.lookup()).map(|l| l.symbol);
    let caller = victim.named(s, from).filter_map(of).find(|symbol| symbol.module != Some(module))?;
    Some((caller.module.map(str::to_owned), caller.name.to_owned()))
}

/// The first frame of a module behind frame `from`, before an interrupt's or exception's: what that came upon called
/// nothing.
fn called_by(s: &Session, victim: &Victim<'_>, from: usize) -> Option<Place> {
    let is_of_module = |f: &Frame| s.locate(f.lookup()).is_some_and(|l| l.symbol.module.is_some());
    let (frame, _) = victim
        .named(s, from)
        .take_while(|(frame, _)| frame.saved.is_none())
        .find(|(frame, _)| is_of_module(frame))?;
    Some(fault_frame::place_of_return(s, frame))
}

/// Who called a function of the kernel that copies or compares for others.
pub(crate) fn served(
    s: &Session,
    victim: &Victim<'_>,
    from: Option<usize>,
    place: Option<&Place>,
) -> Option<Place> {
    let place = place.filter(|p| roles::is_copying(&p.function))?;
    let (frame, _) = victim
        .named(s, from?.checked_add(1)?)
        .take_while(|(frame, _)| frame.saved.is_none())
        .find(|(_, name)| !roles::is_copying(name))?;
    let caller = fault_frame::place_of_return(s, frame);
    (caller.function != place.function).then_some(caller)
}
