//! Types checked against memory. Debug information can lie: gcc's plugin that randomises structs shuffles their members
//! behind the back of what writes DWARF, so that the vmlinux of the very build has the unshuffled layouts.
//!
//! A few objects lie at known symbols, and what they hold is the same in every kernel: `init_task` is named "swapper" and
//! is its own parent, `init_mm.pgd` is `swapper_pg_dir`. A struct whose object holds something else is not as its type
//! says. Then its members are where memory shows them; those that it does not show are not known. A struct that no object
//! contradicts is believed, and of a kernel that says that it is randomised (taint bit 17) called unproven.
//!
//! Source of the values: init/init_task.c, mm/init-mm.c, init/version.c, kernel/cred.c, kernel/nsproxy.c.

use crate::bind::find_struct;
use crate::infer::Inferred;
use crate::session::Session;
use crate::taint;
use base::{Bytes, VirtAddr, VirtRead};
use debuginfo::types::{Proven, Types};

/// What an object must hold in a member.
#[derive(Clone, Copy, Debug)]
enum Holds {
    /// A text that begins so.
    Text(&'static [u8]),
    /// The number 0 in four bytes.
    Zero,
    /// The address of one of these symbols, the first that this kernel has.
    Address(&'static [&'static str]),
    /// A list's head that the next entry leads back to.
    List,
}

/// An object whose contents are known.
struct Object {
    of: &'static str,
    symbol: &'static str,
    members: &'static [(&'static str, Holds)],
}

const OBJECTS: &[Object] = &[
    Object {
        of: "task_struct",
        symbol: "init_task",
        members: &[
            ("comm", Holds::Text(b"swapper")),
            ("pid", Holds::Zero),
            ("tasks", Holds::List),
            ("real_parent", Holds::Address(&["init_task"])),
            ("group_leader", Holds::Address(&["init_task"])),
            ("signal", Holds::Address(&["init_signals"])),
            ("sighand", Holds::Address(&["init_sighand"])),
            ("nsproxy", Holds::Address(&["init_nsproxy"])),
            ("fs", Holds::Address(&["init_fs"])),
            ("files", Holds::Address(&["init_files"])),
        ],
    },
    Object {
        of: "uts_namespace",
        symbol: "init_uts_ns",
        members: &[("name", Holds::Text(b"Linux\0")), ("user_ns", Holds::Address(&["init_user_ns"]))],
    },
    Object {
        of: "mm_struct",
        symbol: "init_mm",
        members: &[
            ("pgd", Holds::Address(&["init_top_pgt", "swapper_pg_dir", "init_level4_pgt"])),
            ("user_ns", Holds::Address(&["init_user_ns"])),
            ("mmlist", Holds::List),
        ],
    },
    Object {
        of: "cred",
        symbol: "init_cred",
        members: &[
            ("user", Holds::Address(&["root_user"])),
            ("user_ns", Holds::Address(&["init_user_ns"])),
            ("group_info", Holds::Address(&["init_groups"])),
        ],
    },
    Object {
        of: "nsproxy",
        symbol: "init_nsproxy",
        members: &[
            ("uts_ns", Holds::Address(&["init_uts_ns"])),
            ("pid_ns_for_children", Holds::Address(&["init_pid_ns"])),
        ],
    },
    Object { of: "signal_struct", symbol: "init_signals", members: &[("thread_head", Holds::List)] },
];

/// How far an object's members are looked for; no object of the table is larger.
const LOOK: usize = 12 << 10;

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Outcome {
    right: usize,
    wrong: usize,
}

impl Outcome {
    /// Whether memory contradicts the struct. One wrong value can be damage, and a struct with right ones is not shuffled;
    /// a kernel that says it is randomised needs no second.
    fn contradicts(self, randomised: bool) -> bool {
        self.wrong > self.right && (self.wrong > 1 || randomised)
    }
}

/// Corrects what memory contradicts, and says what was corrected, a sentence each.
pub(crate) fn correct(s: &Session, types: &Types) -> Vec<String> {
    let told = taint::is_randomised(s);
    let all: Vec<(&Object, Outcome)> =
        OBJECTS.iter().map(|object| (object, outcome(s, types, object))).collect();
    // where one was shuffled, so were others
    let shuffled = told || all.iter().any(|(_, outcome)| outcome.contradicts(false));
    let wrong = all.iter().filter(|(_, outcome)| outcome.contradicts(shuffled));
    let wrong: Vec<&Object> = wrong.map(|(object, _)| *object).collect();
    if wrong.is_empty() {
        return if told { vec![UNPROVEN.to_owned()] } else { Vec::new() };
    }
    // read before anything is corrected: what it finds must not depend on a part of it
    let of_tasks = Inferred::of_tasks(s);
    for object in &wrong {
        let inferred =
            of_tasks.iter().filter(|(of, ..)| *of == object.of).map(|&(_, member, at)| (member, at));
        let proven = proven(s, types, object, inferred.collect());
        types.correct(object.of, proven);
    }
    let mut names: Vec<&str> = wrong.iter().map(|object| object.of).collect();
    if first_module_is_named(s, types) == Some(false) {
        types.correct("module", proven_of_module(s, types));
        names.push("module");
    }
    let which = match names.as_slice() {
        [one] => format!("struct {one}"),
        all => format!("struct {}", all.join(", ")),
    };
    vec![
        format!(
            "memory contradicts the debug information of {which}: of their members only those that memory shows are known"
        ),
        UNPROVEN.to_owned(),
    ]
}

const UNPROVEN: &str = "this kernel's structs are randomised, and its debug information can have the layouts of before: those \
                        of other structs are unproven";

/// Whether the first module of the list has a name where its type says; `None` where there is none.
fn first_module_is_named(s: &Session, types: &Types) -> Option<bool> {
    let head = s.symbol("modules")?;
    let entry = s.mem().ptr(head).ok().filter(|at| *at != head)?;
    let ty = find_struct(types, &["module"])?;
    let member = |name| types.member(ty, name).ok().flatten().map(|found| found.offset());
    let at = entry.sub(member("list")?);
    let name = s.mem().bytes(at.add(member("name")?), MODULE_NAME).ok()?;
    let text = base::cstr(&name);
    Some(!text.is_empty() && text.iter().all(|c| c.is_ascii_graphic()))
}

/// MODULE_NAME_LEN
const MODULE_NAME: usize = 56;

/// Where the members of `module` are by the list of modules. What was a member of its own in old kernels begins a struct
/// in later ones.
fn proven_of_module(s: &Session, types: &Types) -> Vec<Proven> {
    let ty = find_struct(types, &["module"]);
    let has = |name: &str| ty.is_some_and(|ty| types.member(ty, name).ok().flatten().is_some());
    let now = |name: &'static str| match name {
        "module_core" if has("core_layout") => "core_layout",
        "module_init" if has("init_layout") => "init_layout",
        name => name,
    };
    let all = Inferred::of_modules(s);
    let known = all.into_iter().map(|(name, offset)| (now(name), offset)).filter(|(name, _)| has(name));
    known.map(|(name, offset)| Proven { member: name.to_owned(), offset }).collect()
}

fn outcome(s: &Session, types: &Types, object: &Object) -> Outcome {
    let mut out = Outcome::default();
    let (Some(at), Some(ty)) = (s.symbol(object.symbol), find_struct(types, &[object.of])) else {
        return out;
    };
    for (member, holds) in object.members {
        let Ok(Some(found)) = types.member(ty, member) else { continue };
        match holds.is_at(s, at.add(found.offset())) {
            Some(true) => out.right += 1,
            Some(false) => out.wrong += 1,
            None => {}
        }
    }
    out
}

impl Holds {
    /// Whether memory holds it here; `None` where that cannot be said.
    fn is_at(self, s: &Session, at: VirtAddr) -> Option<bool> {
        let mem = s.mem();
        Some(match self {
            Self::Text(text) => mem.bytes(at, text.len()).ok()? == text,
            Self::Zero => mem.u32(at).ok()? == 0,
            Self::Address(names) => mem.ptr(at).ok()? == address(s, names)?,
            Self::List => comes_back(mem, at)?,
        })
    }
}

fn address(s: &Session, names: &[&str]) -> Option<VirtAddr> {
    names.iter().find_map(|name| s.symbol(name))
}

fn comes_back(mem: &dyn VirtRead, head: VirtAddr) -> Option<bool> {
    let next = mem.ptr(head).ok()?;
    if next.0 >> 63 == 0 {
        return Some(false);
    }
    // what is not in the dump contradicts nothing
    mem.ptr(next.add(8)).ok().map(|prev| prev == head)
}

/// Where the members of a contradicted struct are: those that all tasks prove, then those that the object itself shows.
fn proven(s: &Session, types: &Types, object: &Object, inferred: Vec<(&str, u64)>) -> Vec<Proven> {
    let mut out: Vec<Proven> = Vec::new();
    let mut add = |member: &str, offset: u64| {
        if !out.iter().any(|known| known.member == member) {
            out.push(Proven { member: member.to_owned(), offset });
        }
    };
    let ty = find_struct(types, &[object.of]);
    let member = |path: &str| ty.and_then(|ty| types.member(ty, path).ok().flatten());
    for (name, offset) in inferred {
        match name.split_once('.') {
            None if name == "state" && member("state").is_none() => add("__state", offset),
            None => add(name, offset),
            // the struct between begins before what was found in it
            Some((outer, inner)) => {
                let inside = member(outer).and_then(|found| types.member(found.ty, inner).ok().flatten());
                if let Some(start) = inside.and_then(|inside| offset.checked_sub(inside.offset())) {
                    add(outer, start);
                }
            }
        }
    }
    // thread_info comes first wherever a task has it, and is not shuffled
    if member("thread_info").is_some_and(|found| found.offset() == 0) {
        add("thread_info", 0);
    }
    let Some(at) = s.symbol(object.symbol) else { return out };
    let raw = readable(s.mem(), at);
    for (member, holds) in object.members {
        let offset = match holds {
            Holds::Text(text) => only(memchr::memmem::find_iter(&raw, text)),
            Holds::Address(names) => address(s, names).and_then(|wanted| only(places_of(&raw, wanted))),
            Holds::Zero | Holds::List => None,
        };
        if let Some(offset) = offset {
            add(member, offset as u64);
        }
    }
    out
}

/// The only item of several.
fn only(mut found: impl Iterator<Item = usize>) -> Option<usize> {
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn places_of(raw: &[u8], wanted: VirtAddr) -> impl Iterator<Item = usize> {
    (0..raw.len()).step_by(8).filter(move |at| Bytes::new(raw).u64_at(*at) == Ok(wanted.0))
}

fn readable(mem: &dyn VirtRead, at: VirtAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < LOOK {
        let next = at.add(bytes.len() as u64);
        let len = (base::PAGE_SIZE - next.page_offset()) as usize;
        match mem.bytes(next, len) {
            Ok(part) => bytes.extend(part),
            Err(_) => break,
        }
    }
    bytes.truncate(LOOK);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_value_is_damage_and_several_are_another_layout() {
        let contradicts = |right, wrong, randomised| Outcome { right, wrong }.contradicts(randomised);
        assert!(!contradicts(9, 1, false) && !contradicts(9, 1, true));
        assert!(!contradicts(0, 1, false) && contradicts(0, 1, true));
        assert!(contradicts(1, 9, false) && contradicts(0, 2, false));
        assert!(!contradicts(0, 0, true) && !contradicts(3, 2, true));
    }

    #[test]
    fn a_value_that_stands_once_tells_its_member() {
        let mut raw = vec![0; 64];
        raw[16..24].copy_from_slice(&0xffff_8000_0000_1000_u64.to_le_bytes());
        let places = || places_of(&raw, VirtAddr(0xffff_8000_0000_1000));
        assert_eq!(only(places()), Some(16));
        raw[40..48].copy_from_slice(&0xffff_8000_0000_1000_u64.to_le_bytes());
        assert_eq!(only(places_of(&raw, VirtAddr(0xffff_8000_0000_1000))), None);
    }
}
