//! Live patches: which function stands in for which, and how far the tasks have changed over.
//!
//! `klp_patches` links the patches (4.0, b700e7f03df5). A patch has objects (the kernel or a module), an object functions:
//! arrays that an empty entry ends, since 5.1 (20e550282494) also lists. While tasks change over (4.12, d83a7cb375ee),
//! `klp_transition_patch` is the patch, `klp_target_state` where they go to, and `task_struct.patch_state` where each is.

use crate::containers::list::list;
use crate::error::{KernelError, Result};
use crate::session::{Fact, Session};
use base::VirtAddr;

bind! {
    /// `struct klp_patch` (include/linux/livepatch.h)
    struct KlpPatch("klp_patch") {
        module: "mod",
        objs: "objs",
        list: "list",
        obj_list: "obj_list",
        enabled: "enabled" | "state", // 4.12 (d83a7cb375ee)
    }
}
bind! {
    /// `struct klp_object`
    struct KlpObject("klp_object") { name: "name", funcs: "funcs", func_list: "func_list", node: "node" }
}
bind! {
    /// `struct klp_func`
    struct KlpFunc("klp_func") {
        old_name: "old_name",
        new_func: "new_func",
        old_func: "old_func" | "old_addr", // 5.1 (19514910d021)
        node: "node",
        nop: "nop",
    }
}
bind! {
    /// `struct module`
    struct PatchModule("module") { name: "name" }
}
bind! {
    /// `struct task_struct`
    struct PatchedTask("task_struct") { patch_state: "patch_state" }
}

/// More patches than a kernel has ever had at once, and more objects or functions than any patch has.
const MAX_PATCHES: usize = 256;
const MAX: usize = 1 << 14;
/// Bytes of a function's name (`KSYM_NAME_LEN` since 6.1).
const NAME: usize = 512;

/// A function that stands in for another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replacement {
    /// The function that is replaced, as the patch names it.
    pub old_name: String,
    /// The module that it is in; `None` for the kernel's own.
    pub object: Option<String>,
    /// Where it begins; `None` where its module is not loaded, or that cannot be read.
    pub old: Option<VirtAddr>,
    /// The function that runs instead; null for one that gives the original back.
    pub new: VirtAddr,
}

/// A live patch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LivePatch {
    /// Its `struct klp_patch`.
    pub at: VirtAddr,
    /// The module that brought it.
    pub name: String,
    /// Whether it is to be in effect.
    pub enabled: Option<bool>,
    /// Its functions.
    pub functions: Vec<Replacement>,
}

/// Tasks change over to a patch, or back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The patch: its module.
    pub name: String,
    /// True where tasks change to the new functions, false where they go back; `None` where that is not in the dump.
    pub to_new: Option<bool>,
}

/// The live patches of a kernel.
#[derive(Default, Debug)]
pub struct LivePatches {
    /// Those that are loaded and known to the kernel, in its order.
    pub all: Vec<LivePatch>,
    /// The change that is under way.
    pub transition: Option<Transition>,
    /// Why there may be more.
    pub problem: Option<KernelError>,
}

impl Fact for LivePatches {
    fn read(s: &Session) -> Self {
        let mut out = Self::default();
        let variable = |name: &str| s.kernel_symbols().table.addr(name);
        if let Some(head) = variable("klp_patches") {
            out.problem = patches(s, head, &mut out.all).err();
        }
        match variable("klp_transition_patch").map_or(Ok(VirtAddr(0)), |at| s.mem().ptr(at)) {
            Ok(at) if at.is_null() => {}
            Ok(at) => {
                let known = out.all.iter().find(|patch| patch.at == at).map(|patch| patch.name.clone());
                let target = variable("klp_target_state").and_then(|at| s.mem().i32(at).ok());
                let name = known.or_else(|| name_of(s, at).ok()).unwrap_or_default();
                out.transition = Some(Transition { name, to_new: target.map(|state| state != 0) });
            }
            // a change may be under way all the same
            Err(e) => out.problem = out.problem.or(Some(e.into())),
        }
        out
    }
}

fn patches(s: &Session, head: VirtAddr, out: &mut Vec<LivePatch>) -> Result<()> {
    // an empty list needs no types
    if s.mem().ptr(head)? == head {
        return Ok(());
    }
    let (b, mem) = (s.bind::<KlpPatch>(), s.mem());
    each(s, ("klp_patches", head), MAX_PATCHES, &mut |link| {
        let at = b.list.container(link)?;
        let enabled = b.enabled.num(mem, at).ok().map(|enabled| enabled != 0);
        let mut patch = LivePatch { at, name: name_of(s, at)?, enabled, functions: Vec::new() };
        let read = objects(s, at, &mut patch.functions);
        out.push(patch);
        read
    })
}

/// Calls `one` with each entry of a list. One that has more than `most` is damaged.
fn each(
    s: &Session,
    (what, head): (&'static str, VirtAddr),
    most: usize,
    one: &mut dyn FnMut(VirtAddr) -> Result<()>,
) -> Result<()> {
    for (n, link) in list(s.mem(), head).enumerate() {
        if n == most {
            return Err(too_many(what, head, most));
        }
        one(link?)?;
    }
    Ok(())
}

fn too_many(what: &'static str, at: VirtAddr, most: usize) -> KernelError {
    KernelError::Damaged { what, at, why: format!("it has more than {most} entries") }
}

fn name_of(s: &Session, patch: VirtAddr) -> Result<String> {
    let module = s.bind::<KlpPatch>().module.ptr(s.mem(), patch)?;
    s.bind::<PatchModule>().name.text(s.mem(), module)
}

fn objects(s: &Session, patch: VirtAddr, out: &mut Vec<Replacement>) -> Result<()> {
    let (p, b, mem) = (s.bind::<KlpPatch>(), s.bind::<KlpObject>(), s.mem());
    if p.obj_list.exists() {
        let head = p.obj_list.at(patch)?;
        return each(s, ("klp_patch.obj_list", head), MAX, &mut |link| {
            functions(s, b.node.container(link)?, out)
        });
    }
    let first = p.objs.ptr(mem, patch)?;
    let size = b.size.ok_or(KernelError::NoType("klp_object"))?;
    for n in 0..MAX as u64 {
        let at = first.add(n * size);
        if b.funcs.ptr(mem, at)?.is_null() {
            return Ok(());
        }
        functions(s, at, out)?;
    }
    Err(too_many("klp_patch.objs", first, MAX))
}

fn functions(s: &Session, object: VirtAddr, out: &mut Vec<Replacement>) -> Result<()> {
    let (o, b, mem) = (s.bind::<KlpObject>(), s.bind::<KlpFunc>(), s.mem());
    let name = o.name.ptr(mem, object)?;
    let name = if name.is_null() { None } else { Some(o.name.string(mem, object, NAME)?) };
    let mut one = |at: VirtAddr| -> Result<()> {
        if out.len() >= MAX {
            return Err(too_many("klp_object", object, MAX));
        }
        let new = b.new_func.ptr(mem, at)?;
        let gives_back = b.nop.num(mem, at).is_ok_and(|nop| nop != 0);
        out.push(Replacement {
            old_name: b.old_name.string(mem, at, NAME)?,
            object: name.clone(),
            old: b.old_func.ptr(mem, at).ok().filter(|at| !at.is_null()),
            new: if gives_back { VirtAddr(0) } else { new },
        });
        Ok(())
    };
    if o.func_list.exists() {
        let head = o.func_list.at(object)?;
        return each(s, ("klp_object.func_list", head), MAX, &mut |link| one(b.node.container(link)?));
    }
    let first = o.funcs.ptr(mem, object)?;
    let size = b.size.ok_or(KernelError::NoType("klp_func"))?;
    for n in 0..MAX as u64 {
        let at = first.add(n * size);
        if b.old_name.ptr(mem, at)?.is_null() {
            return Ok(());
        }
        one(at)?;
    }
    Err(too_many("klp_object.funcs", first, MAX))
}

/// What live patches have to do with a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role<'a> {
    /// It stands in for another.
    New(&'a LivePatch, &'a Replacement),
    /// Another stands in for it, for tasks that have changed over.
    Old(&'a LivePatch, &'a Replacement),
}

impl std::fmt::Display for Role<'_> {
    /// `in place of cmdline_proc_show, by live patch fix42`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Role::New(patch, function) => {
                write!(f, "in place of {}", function.old_name)?;
                function.object.iter().try_for_each(|module| write!(f, " [{module}]"))?;
                write!(f, ", by live patch {}", patch.name)
            }
            Role::Old(patch, _) => write!(f, "replaced by live patch {}, but not for this call", patch.name),
        }
    }
}

impl Session {
    /// The live patches of the kernel.
    pub fn live_patches(&self) -> &LivePatches {
        self.fact::<LivePatches>()
    }

    /// What live patches have to do with the function that begins at an address.
    #[must_use]
    pub fn patched_function(&self, start: VirtAddr) -> Option<Role<'_>> {
        let all = &self.live_patches().all;
        let of = all.iter().rev().flat_map(|patch| patch.functions.iter().map(move |f| (patch, f)));
        let new = of.clone().find(|(_, f)| f.new == start).map(|(patch, f)| Role::New(patch, f));
        // of several patches the one that came last counts; one that is out of effect replaces nothing
        let old = || {
            let replaces = |(patch, f): &(&LivePatch, &Replacement)| {
                patch.enabled != Some(false) && f.old == Some(start)
            };
            let (patch, f) = of.clone().find(replaces)?;
            (!f.new.is_null()).then_some(Role::Old(patch, f))
        };
        new.or_else(old)
    }

    /// How many tasks have yet to change over, of how many; `None` where none does, or their states are not known.
    #[must_use]
    pub fn yet_to_change(&self) -> Option<(usize, usize)> {
        let to_new = self.live_patches().transition.as_ref()?.to_new?;
        let b = self.bind::<PatchedTask>();
        let states = self.tasks().all.iter().filter_map(|task| b.patch_state.i32(self.mem(), task.at).ok());
        let states: Vec<i32> = states.collect();
        let yet = states.iter().filter(|state| **state != i32::from(to_new)).count();
        (yet > 0).then_some((yet, states.len()))
    }
}

#[cfg(test)]
#[path = "livepatch_tests.rs"]
mod tests;
