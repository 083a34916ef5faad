//! The module to blame and its standing: the one that died, or the first one that had called what died.

use crate::model::{How, Place, Statement, Verdict};
use crate::victim::fault_frame;
use crate::victim::frames::Victim;
use kernel::Session;
use kernel::module::Module;
use kernel::module::taint;

/// The module to blame, its standing, and who called into it; of a death in the kernel proper the module that called it.
pub(crate) fn modules(s: &Session, victim: &Victim<'_>, from: Option<usize>, v: &mut Verdict) {
    // of a place without a name it is not known whose it is
    let Some(place) = v.place.as_ref().filter(|p| !p.function.is_empty()) else { return };
    let text = match place.module.as_deref() {
        Some(name) => named(s, name).map(|m| {
            let mut text = format!("{name}: {}", standing(m));
            if let Some(who) = from.filter(|n| *n > 0).and_then(|n| caller_of(s, victim, n, name)) {
                text = format!("{text}; called from {who}");
            }
            text
        }),
        None => from.and_then(|n| called_by(s, victim, n)).and_then(|place| {
            let m = named(s, place.module.as_deref()?)?;
            let mut text = format!("{}: {}; called by {place}", m.name, standing(m));
            if let (Some(file), Some(line)) = (&place.file, place.line) {
                text = format!("{text}, {file}:{line}");
            }
            Some(text)
        }),
    };
    v.module.extend(text.map(|t| Statement::new(How::Memory, t, &["mod -t".into(), "mod".into()])));
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
pub(crate) fn served(s: &Session, victim: &Victim<'_>, from: Option<usize>, v: &Verdict) -> Option<String> {
    let place = v.place.as_ref().filter(|p| crate::code::roles::is_copying(&p.function))?;
    let (_, frame) = victim.certain(from? + 1).take_while(|(_, f)| f.saved.is_none()).find(|(_, f)| {
        s.locate(f.lookup()).is_some_and(|l| !crate::code::roles::is_copying(l.symbol.name))
    })?;
    let caller = fault_frame::place_of_call(s, frame.lookup());
    (caller.function != place.function).then(|| format!(", called by {caller}"))
}
