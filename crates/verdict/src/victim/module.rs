//! The module to blame and its standing: the one that died, or the first one that had called what died.

use crate::code::roles;
use crate::model::{How, Place, Statement};
use crate::victim::fault_frame;
use crate::victim::frames::Victim;
use debuginfo::symtab::base_name;
use kernel::Session;
use kernel::log::event::Class;
use kernel::module::Module;
use kernel::module::taint;

/// The statements of the `MODULE` section.
pub(crate) fn of(
    s: &Session,
    victim: &Victim<'_>,
    from: Option<usize>,
    class: Class,
    place: Option<&Place>,
) -> Vec<Statement> {
    // of a place without a name it is not known whose it is
    let named = place.filter(|p| !p.function.is_empty());
    // an assertion of the allocator's is its caller's business as well
    let of_allocator =
        class == Class::Bug && named.is_some_and(|p| p.module.is_none() && roles::is_allocating(&p.function));
    let of_library = matches!(class, Class::ListCorruption | Class::Refcount | Class::Overflow);
    let module = named.and_then(|place| module(s, victim, from, place));
    // the module's own line may have the caller, with the line of the call itself
    let told = module.as_ref().and_then(|m| m.caller.as_ref());
    let caller = (of_library || of_allocator).then(|| caller(s, victim, from, place)).flatten();
    let caller = caller.filter(|c| told.is_none_or(|t| t.to_string() != c.to_string()));
    let caller = caller.map(|place| Statement::new(How::Memory, called_by_words(&place), &["bt".into()]));
    module.map(Blamed::told).into_iter().chain(caller).collect()
}

/// The module to blame.
struct Blamed<'s> {
    module: &'s Module,
    /// Who called into it.
    from: Option<String>,
    /// Of a death in the kernel proper: where the module called it.
    caller: Option<Place>,
}

impl Blamed<'_> {
    fn told(self) -> Statement {
        let mut text = format!("{}: {}", self.module.name, standing(self.module));
        if let Some(who) = self.from {
            text = format!("{text}; called from {who}");
        }
        if let Some(place) = &self.caller {
            text = format!("{text}; {}", called_by_words(place));
        }
        Statement::new(How::Memory, text, &["mod -t".into(), "mod".into()])
    }
}

fn called_by_words(place: &Place) -> String {
    match (&place.file, place.line) {
        (Some(file), Some(line)) => format!("called by {place}, {file}:{line}"),
        _ => format!("called by {place}"),
    }
}

/// The module to blame, its standing, and who called into it; of a death in the kernel proper the module that called it.
fn module<'s>(s: &'s Session, victim: &Victim<'_>, from: Option<usize>, place: &Place) -> Option<Blamed<'s>> {
    match place.module.as_deref() {
        Some(name) => {
            let who = from.filter(|n| *n > 0).and_then(|n| caller_of(s, victim, n, name));
            Some(Blamed { module: named(s, name)?, from: who, caller: None })
        }
        None => {
            let caller = called_by(s, victim, from?)?;
            Some(Blamed { module: named(s, caller.module.as_deref()?)?, from: None, caller: Some(caller) })
        }
    }
}

/// Of a check in a library: who called it.
fn caller(s: &Session, victim: &Victim<'_>, from: Option<usize>, place: Option<&Place>) -> Option<Place> {
    let own = place.map(|p| base_name(&p.function)).unwrap_or_default();
    let (at, _) = victim
        .certain(from.filter(|n| *n > 0)?)
        .filter_map(|(_, f)| s.locate(f.lookup()).map(|l| (f.lookup(), l)))
        .find(|(_, l)| base_name(l.symbol.name) != own && !roles::is_finding(l.symbol.name))?;
    Some(fault_frame::place(s, at))
}

fn named<'s>(s: &'s Session, name: &str) -> Option<&'s Module> {
    s.modules().iter().find(|m| m.name == name)
}

/// `out of tree, unsigned (taint O E)`
fn standing(m: &Module) -> String {
    let Some(taints) = m.taints else { return "whether it is part of this kernel is not known".to_owned() };
    let words: Vec<&str> = taint::FLAGS
        .iter()
        .filter(|(bit, ..)| taints >> bit & 1 == 1)
        .map(|(_, letter, words)| match letter {
            'O' => "out of tree",
            'E' => "unsigned",
            'P' => "proprietary",
            'F' => "loaded by force",
            'C' => "staging",
            'K' => "live patch",
            _ => *words,
        })
        .collect();
    match words.as_slice() {
        [] => "part of this kernel (no taint)".to_owned(),
        words => {
            let letters: Vec<String> = taint::letters(taints).chars().map(String::from).collect();
            format!("{} (taint {})", words.join(", "), letters.join(" "))
        }
    }
}

/// Who called into the module.
fn caller_of(s: &Session, victim: &Victim<'_>, from: usize, module: &str) -> Option<String> {
    // behind a frame that is a guess or has no name nobody knows who called
    let l = victim
        .frames()
        .iter()
        .skip(from)
        .map_while(|f| if f.how.is_guess() { None } else { s.locate(f.lookup()) })
        .find(|l| l.symbol.module != Some(module))?;
    Some(format!("{} ({})", l.symbol.module.unwrap_or("the kernel"), l.symbol.name))
}

/// The first frame of a module behind frame `from`, before an interrupt's or exception's: what that came upon called
/// nothing.
fn called_by(s: &Session, victim: &Victim<'_>, from: usize) -> Option<Place> {
    let frame = victim
        .certain(from)
        .take_while(|(_, f)| f.saved.is_none())
        .map(|(_, f)| f)
        .find(|f| s.locate(f.lookup()).is_some_and(|l| l.symbol.module.is_some()))?;
    Some(fault_frame::place_of_call(s, frame.lookup()))
}

/// Who called a function of the kernel that copies or compares for others.
pub(crate) fn served(
    s: &Session,
    victim: &Victim<'_>,
    from: Option<usize>,
    place: Option<&Place>,
) -> Option<Place> {
    let place = place.filter(|p| roles::is_copying(&p.function))?;
    let (_, frame) = victim
        .certain(from? + 1)
        .take_while(|(_, f)| f.saved.is_none())
        .find(|(_, f)| s.locate(f.lookup()).is_some_and(|l| !roles::is_copying(l.symbol.name)))?;
    let caller = fault_frame::place_of_call(s, frame.lookup());
    (caller.function != place.function).then_some(caller)
}
