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
use crate::module::taint;
use crate::opening::open::Build;
use crate::plausible::is_zero_page;
use crate::session::Session;
use crate::types::infer::Inferred;
use base::{Bytes, VirtAddr, VirtRead};
use debuginfo::types::{Doubt, Proven, Types};

/// What an object must hold in a member.
#[derive(Clone, Copy, Debug)]
enum Holds {
    /// A text that begins so.
    Text(&'static [u8]),
    /// A text that begins with a digit.
    Digit,
    /// The address of a text that begins so.
    Named(&'static [u8]),
    /// This number in four bytes. 0 proves little, but another number contradicts it.
    Number(u32),
    /// This bit in four bytes.
    Bit(u32),
    /// No address.
    Null,
    /// The address of one of these symbols, the first that this kernel has.
    Address(&'static [&'static str]),
    /// The object's own address.
    Itself,
    /// A list's head that the next entry leads back to.
    List,
    /// The address of a stack, at whose end stands STACK_END_MAGIC.
    Stack,
}

/// Where an object is.
#[derive(Clone, Copy, Debug)]
enum Lies {
    /// At a symbol.
    At(&'static str),
    /// Where a variable points to.
    Behind(&'static str),
    /// At the first CPU's copy of a variable.
    OnFirstCpu(&'static str),
    /// In a variable of a struct, as a member of it.
    Inside(&'static str, &'static str, &'static str),
}

/// An object whose contents are known.
struct Object {
    of: &'static str,
    lies: Lies,
    members: &'static [(&'static str, Holds)],
}

const OBJECTS: &[Object] = &[
    Object {
        of: "task_struct",
        lies: Lies::At("init_task"),
        members: &[
            ("comm", Holds::Text(b"swapper")),
            ("pid", Holds::Number(0)),
            ("tgid", Holds::Number(0)),
            ("mm", Holds::Null),
            ("stack", Holds::Stack),
            ("tasks", Holds::List),
            ("children", Holds::List),
            ("real_parent", Holds::Address(&["init_task"])),
            ("parent", Holds::Address(&["init_task"])),
            ("group_leader", Holds::Address(&["init_task"])),
            ("cred", Holds::Address(&["init_cred"])),
            ("signal", Holds::Address(&["init_signals"])),
            ("sighand", Holds::Address(&["init_sighand"])),
            ("nsproxy", Holds::Address(&["init_nsproxy"])),
            ("fs", Holds::Address(&["init_fs"])),
            ("files", Holds::Address(&["init_files"])),
        ],
    },
    Object {
        of: "task_struct",
        lies: Lies::Behind("kthreadd_task"),
        members: &[
            ("comm", Holds::Text(b"kthreadd\0")),
            ("pid", Holds::Number(2)),
            ("tgid", Holds::Number(2)),
            ("mm", Holds::Null),
            ("flags", Holds::Bit(PF_KTHREAD)),
            ("exit_state", Holds::Number(0)),
            ("stack", Holds::Stack),
            ("tasks", Holds::List),
            ("children", Holds::List),
            ("sibling", Holds::List),
            ("thread_group", Holds::List),
            ("thread_node", Holds::List),
            ("real_parent", Holds::Address(&["init_task"])),
            ("parent", Holds::Address(&["init_task"])),
            ("group_leader", Holds::Itself),
        ],
    },
    Object {
        of: "uts_namespace",
        lies: Lies::At("init_uts_ns"),
        members: &[("name", Holds::Text(b"Linux\0")), ("user_ns", Holds::Address(&["init_user_ns"]))],
    },
    Object {
        of: "new_utsname",
        lies: Lies::Inside("init_uts_ns", "uts_namespace", "name"),
        members: &[
            ("sysname", Holds::Text(b"Linux\0")),
            ("release", Holds::Digit),
            ("version", Holds::Text(b"#")),
        ],
    },
    Object {
        of: "ipc_namespace",
        lies: Lies::At("init_ipc_ns"),
        members: &[("user_ns", Holds::Address(&["init_user_ns"]))],
    },
    Object {
        of: "mm_struct",
        lies: Lies::At("init_mm"),
        members: &[
            ("pgd", Holds::Address(&["init_top_pgt", "swapper_pg_dir", "init_level4_pgt"])),
            ("start_code", Holds::Address(&["_text"])),
            ("end_code", Holds::Address(&["_etext"])),
            ("user_ns", Holds::Address(&["init_user_ns"])),
            ("mmlist", Holds::List),
        ],
    },
    Object {
        of: "cred",
        lies: Lies::At("init_cred"),
        members: &[
            ("user", Holds::Address(&["root_user"])),
            ("user_ns", Holds::Address(&["init_user_ns"])),
            ("group_info", Holds::Address(&["init_groups"])),
        ],
    },
    Object {
        of: "nsproxy",
        lies: Lies::At("init_nsproxy"),
        members: &[
            ("uts_ns", Holds::Address(&["init_uts_ns"])),
            ("ipc_ns", Holds::Address(&["init_ipc_ns"])),
            ("pid_ns_for_children", Holds::Address(&["init_pid_ns"])),
        ],
    },
    Object { of: "signal_struct", lies: Lies::At("init_signals"), members: &[("thread_head", Holds::List)] },
    Object {
        of: "rq",
        lies: Lies::OnFirstCpu("runqueues"),
        members: &[("idle", Holds::Address(&["init_task"])), ("cpu", Holds::Number(0))],
    },
    Object {
        of: "kmem_cache",
        lies: Lies::Behind("kmem_cache"),
        members: &[("name", Holds::Named(b"kmem_cache\0")), ("list", Holds::List)],
    },
];

const PF_KTHREAD: u32 = 0x0020_0000;
const STACK_END_MAGIC: u64 = 0x57ac_6e9d;

/// How far an object's members are looked for; no object of the table is larger.
const LOOK: usize = 12 << 10;

/// What the objects say of one member.
struct MemberEvidence {
    member: &'static str,
    /// Where its type has it.
    offset: u64,
    right: usize,
    wrong: usize,
    /// What it must hold proves its place, where it is held.
    telling: bool,
    /// The only other place of an object where what it must hold stands.
    elsewhere: Option<u64>,
}

impl MemberEvidence {
    /// One object's value can be damaged. Two are not, nor one whose value stands elsewhere.
    const fn is_wrong(&self) -> bool {
        self.right == 0 && (self.wrong > 1 || self.wrong == 1 && self.elsewhere.is_some())
    }
}

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Outcome {
    right: usize,
    wrong: usize,
}

impl Outcome {
    fn of(members: &[MemberEvidence]) -> Self {
        let right = members.iter().filter(|one| one.right > 0 && one.telling).count();
        Self { right, wrong: members.iter().filter(|one| one.right == 0 && one.wrong > 0).count() }
    }

    /// Whether memory contradicts the struct. One wrong value can be damage, and a struct with right ones is not shuffled;
    /// a kernel that says it is randomised needs no second.
    fn contradicts(self, randomised: bool) -> bool {
        self.wrong > self.right && (self.wrong > 1 || randomised)
    }
}

/// Corrects what memory contradicts, and says what was corrected, a sentence each. Single members are told by
/// [`Types::doubts`].
pub(crate) fn correct(s: &Session, types: &Types) -> Vec<String> {
    let told = taint::is_randomised(s);
    let mut names: Vec<&str> = OBJECTS.iter().map(|object| object.of).collect();
    names.dedup();
    let all: Vec<(&str, Vec<MemberEvidence>)> =
        names.into_iter().map(|of| (of, evidence_of(s, types, of))).collect();
    // where one was shuffled, so were others
    let shuffled = told || all.iter().any(|(_, members)| Outcome::of(members).contradicts(false));
    // read before anything is corrected: what it finds must not depend on a part of it
    let of_tasks = std::cell::OnceCell::new();
    let inferred = |of: &str| {
        let all: &Vec<_> = of_tasks.get_or_init(|| Inferred::of_tasks(s));
        let own = all.iter().filter(|(name, ..)| *name == of).map(|&(_, member, at)| (member, at));
        own.collect::<Vec<_>>()
    };
    let mut whole = Vec::new();
    let mut corrections = Vec::new();
    for (of, members) in &all {
        if Outcome::of(members).contradicts(shuffled) {
            corrections.push((*of, proven(s, types, of, inferred(of))));
            whole.push(*of);
        } else {
            doubt_members(s, types, of, members, &inferred);
        }
    }
    for (of, proven) in corrections {
        types.correct(of, proven);
    }
    if a_module_is_named(s, types) == Some(false) {
        types.correct("module", proven_of_module(s, types));
        whole.push("module");
    }
    if whole.is_empty() {
        return if told { vec![SHUFFLED.to_owned()] } else { Vec::new() };
    }
    let which = match whole.as_slice() {
        [one] => format!("struct {one}"),
        all => format!("struct {}", all.join(", ")),
    };
    vec![
        format!(
            "memory contradicts the debug information of {which}: of their members only those that memory shows are known"
        ),
        match s.opened().build {
            Build::Own if told => SHUFFLED,
            Build::Own => UNPROVEN,
            _ => OTHER_BUILD,
        }
        .to_owned(),
    ]
}

/// The structs that memory contradicts, if any. Asks for no types of the session.
pub(crate) fn contradicted(s: &Session, types: &Types) -> Vec<&'static str> {
    let mut names: Vec<&str> = OBJECTS.iter().map(|object| object.of).collect();
    names.dedup();
    names.retain(|of| {
        let members = evidence_of(s, types, of);
        Outcome::of(&members).contradicts(false) || members.iter().any(MemberEvidence::is_wrong)
    });
    names
}

/// Doubts single members of a struct: those that memory contradicts, and those that contradict each other. They are where
/// memory shows them, or not known. Where several are wrong, what stands between them and what no object proves is as
/// wrong as they are.
fn doubt_members<'a>(
    s: &Session,
    types: &Types,
    of: &str,
    members: &[MemberEvidence],
    inferred: &dyn Fn(&str) -> Vec<(&'a str, u64)>,
) {
    let Some(ty) = find_struct(types, &[of]) else { return };
    let mut names: Vec<String> =
        members.iter().filter(|one| one.is_wrong()).map(|one| one.member.to_owned()).collect();
    let several = names.len() > 1;
    let impossible = types.doubts().into_iter().find(|(name, _)| name == of).map(|(_, doubts)| doubts);
    names.extend(impossible.iter().flat_map(|all| all.iter().map(|doubt| doubt.member.clone())));
    if names.is_empty() {
        return;
    }
    if several {
        let beside = types.members_of(ty).into_iter().filter(|(_, at)| !is_between_right_ones(members, *at));
        let is_proven =
            |name: &str| members.iter().any(|one| one.member == name && one.right > 0 && one.telling);
        names.extend(beside.filter(|(name, _)| !is_proven(name)).map(|(name, _)| name.to_string()));
    }
    let shown = proven(s, types, of, inferred(of));
    let offset = |name: &str| {
        let shown = shown.iter().find(|one| one.member == name).map(|one| one.offset);
        shown.or_else(|| members.iter().find(|one| one.member == name)?.elsewhere)
    };
    names.sort();
    names.dedup();
    types.doubt(of, names.into_iter().map(|member| Doubt { offset: offset(&member), member }).collect());
}

/// A sentence about the members of a struct that are not where its debug information says.
pub(crate) fn doubt_in_words(of: &str, doubts: &[Doubt]) -> String {
    const SHOWN: usize = 8;
    let list = |shown: bool| {
        let names: Vec<&str> =
            doubts.iter().filter(|d| d.offset.is_some() == shown).map(|d| d.member.as_str()).collect();
        let more = names.len().saturating_sub(SHOWN);
        let text = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| if more > 0 { format!("{text} and {more} more") } else { text })
    };
    let parts = [
        list(true).map(|names| format!("memory shows where these are: {names}")),
        list(false).map(|names| format!("these are not known: {names}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("the debug information has members of struct {of} at wrong places; {}", parts.join("; "))
}

/// Whether the nearest members on both sides, as far as memory tells any, are where the type has them.
fn is_between_right_ones(members: &[MemberEvidence], at: u64) -> bool {
    let told = || members.iter().filter(|one| one.is_wrong() || one.right > 0 && one.telling);
    let before = told().filter(|one| one.offset <= at).max_by_key(|one| one.offset);
    let after = told().filter(|one| one.offset > at).min_by_key(|one| one.offset);
    before.into_iter().chain(after).all(|one| !one.is_wrong())
}

const OTHER_BUILD: &str = "the vmlinux is of another build: the layouts of other structs can be wrong too";

const UNPROVEN: &str = "the debug information is of another build, or from before gcc shuffled the members of structs: the \
                        layouts of other structs are unproven";

const SHUFFLED: &str = "this kernel's structs are randomised, and its debug information can have the layouts of before: those \
                        of other structs are unproven";

/// Whether modules of the list have names where their type says: one of those at its ends, as one that is damaged proves no
/// type wrong. `None` where there is none.
fn a_module_is_named(s: &Session, types: &Types) -> Option<bool> {
    let head = s.symbol("modules")?;
    let ty = find_struct(types, &["module"])?;
    let member = |name| types.member(ty, name).ok().flatten().map(|found| found.offset());
    let (list, name) = (member("list")?, member("name")?);
    let is_named = |entry: VirtAddr| {
        let name = s.mem().bytes(entry.sub(list).add(name), MODULE_NAME).ok()?;
        let text = base::cstr(&name);
        Some(!text.is_empty() && text.iter().all(|c| c.is_ascii_graphic()))
    };
    let end = |link: u64| {
        let mut at = head;
        let entries = std::iter::from_fn(move || {
            at = s.mem().ptr(at.add(link)).ok().filter(|next| *next != head && !next.is_null())?;
            Some(at)
        });
        entries.take(ASKED)
    };
    end(0).chain(end(8)).filter_map(is_named).reduce(|one, other| one || other)
}

/// So many modules at each end of their list are asked for their names.
const ASKED: usize = 2;

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

/// What all objects of a struct say of its members.
fn evidence_of(s: &Session, types: &Types, of: &str) -> Vec<MemberEvidence> {
    let Some(ty) = find_struct(types, &[of]) else { return Vec::new() };
    let mut out: Vec<MemberEvidence> = Vec::new();
    for object in OBJECTS.iter().filter(|object| object.of == of) {
        let Some(at) = object.lies.address(s, types) else { continue };
        for &(member, holds) in object.members {
            let Ok(Some(found)) = types.member(ty, member) else { continue };
            let offset = found.offset();
            // a page of zeros says nothing, as one that is missing
            let right = holds.is_at(s, at, offset);
            let Some(right) = right.filter(|right| *right || !is_zero_page(s.mem(), at.add(offset))) else {
                continue;
            };
            let n = out.iter().position(|one| one.member == member).unwrap_or_else(|| {
                out.push(MemberEvidence {
                    member,
                    offset,
                    right: 0,
                    wrong: 0,
                    telling: false,
                    elsewhere: None,
                });
                out.len() - 1
            });
            let Some(one) = out.get_mut(n) else { continue };
            one.right += usize::from(right);
            one.wrong += usize::from(!right);
            one.telling |= holds.is_telling();
            if !right {
                one.elsewhere = one.elsewhere.or_else(|| holds.only_place(s, at));
            }
        }
    }
    out
}

impl Lies {
    fn address(self, s: &Session, types: &Types) -> Option<VirtAddr> {
        match self {
            Self::Inside(symbol, of, member) => {
                let found = types.member(find_struct(types, &[of])?, member).ok()??;
                Some(s.symbol(symbol)?.add(found.offset()))
            }
            Self::At(symbol) => s.symbol(symbol),
            Self::Behind(symbol) => s.mem().ptr(s.symbol(symbol)?).ok().filter(|at| s.arch().is_kernel(*at)),
            Self::OnFirstCpu(symbol) => s.per_cpu(symbol, 0).ok(),
        }
    }
}

impl Holds {
    /// Whether memory holds it in the member at this offset of an object; `None` where that cannot be said.
    fn is_at(self, s: &Session, object: VirtAddr, offset: u64) -> Option<bool> {
        let (mem, at) = (s.mem(), object.add(offset));
        Some(match self {
            Self::Text(text) => mem.bytes(at, text.len()).ok()? == text,
            Self::Digit => mem.u8(at).ok()?.is_ascii_digit(),
            Self::Named(text) => {
                let name = mem.ptr(at).ok()?;
                s.arch().is_kernel(name) && mem.bytes(name, text.len()).ok()? == text
            }
            Self::Number(number) => mem.u32(at).ok()? == number,
            Self::Bit(bit) => mem.u32(at).ok()? & bit != 0,
            Self::Null => mem.u64(at).ok()? == 0,
            Self::Address(names) => mem.ptr(at).ok()? == address(s, names)?,
            Self::Itself => mem.ptr(at).ok()? == object,
            Self::List => comes_back(mem, at)?,
            Self::Stack => ends_a_stack(mem, mem.ptr(at).ok()?)?,
        })
    }

    /// Whether few other words of an object look like it.
    const fn is_telling(self) -> bool {
        !matches!(self, Self::Number(0) | Self::Null | Self::Bit(_) | Self::List | Self::Digit)
    }

    /// The only place of an object where it stands.
    fn only_place(self, s: &Session, at: VirtAddr) -> Option<u64> {
        let raw = readable(s.mem(), at);
        let place = match self {
            Self::Text(text) => only(memchr::memmem::find_iter(&raw, text)),
            Self::Address(names) => only(places_of(&raw, address(s, names)?)),
            _ => None,
        };
        place.map(|place| place as u64)
    }
}

/// Whether a stack with its mark begins here: below the `thread_info` that kernels before 4.9 have there, if any.
fn ends_a_stack(mem: &dyn VirtRead, at: VirtAddr) -> Option<bool> {
    const FRONT: usize = 256;
    if !at.in_upper_half() || !at.0.is_multiple_of(base::GRANULE) {
        return Some(false);
    }
    let front = mem.bytes(at, FRONT).ok()?;
    let word = |n: usize| Bytes::new(&front).u64_at(n).ok();
    Some((0..FRONT).step_by(8).any(|n| word(n) == Some(STACK_END_MAGIC)))
}

fn address(s: &Session, names: &[&str]) -> Option<VirtAddr> {
    names.iter().find_map(|name| s.symbol(name))
}

fn comes_back(mem: &dyn VirtRead, head: VirtAddr) -> Option<bool> {
    let next = mem.ptr(head).ok()?;
    if !next.in_upper_half() {
        return Some(false);
    }
    // what is not in the dump contradicts nothing
    mem.ptr(next.add(8)).ok().map(|prev| prev == head)
}

/// Where the members of a contradicted struct are: those that all tasks prove, then those that the object itself shows.
fn proven(s: &Session, types: &Types, of: &str, inferred: Vec<(&str, u64)>) -> Vec<Proven> {
    let mut out: Vec<Proven> = Vec::new();
    let mut add = |member: &str, offset: u64| {
        if !out.iter().any(|known| known.member == member) {
            out.push(Proven { member: member.to_owned(), offset });
        }
    };
    let ty = find_struct(types, &[of]);
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
    for object in OBJECTS
        .iter()
        .filter(|object| object.of == of && matches!(object.lies, Lies::At(_) | Lies::Inside(..)))
    {
        let Some(at) = object.lies.address(s, types) else { continue };
        for (member, holds) in object.members {
            if let Some(offset) = holds.only_place(s, at) {
                add(member, offset);
            }
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
    let mut bytes = mem.up_to_a_gap(at, LOOK);
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
