//! Modules by what leads to them beside the kernel's list, and what a `struct module` holds.

use super::plausible;
use super::{BtfModule, Module, ModuleMemory, ModuleStruct, NO_NAME};
use crate::containers::list::both_ways;
use crate::containers::rbtree;
use crate::error::{KernelError, Result};
use crate::log::event;
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::LazyCell;

bind! {
    /// `struct module_memory`
    struct ModuleMem("module_memory") { base: "base", bytes: "size" }
}
/// `enum mod_mem_type` in its order (6.4): those that stay, then those of init.
const MEM_TYPES: [(&str, bool); 7] = [
    ("text", false),
    ("data", false),
    ("rodata", false),
    ("ro_after_init", false),
    ("init text", true),
    ("init data", true),
    ("init rodata", true),
];

bind! {
    /// `struct kset`
    struct Kset("kset") { list: "list" }
}
bind! {
    /// `struct module_kobject`; one of what is built in has no module
    struct ModuleKobject("module_kobject") { entry: "kobj.entry", module: "mod" }
}
bind! {
    /// `struct module`: its object in /sys/module, and the set of all of these
    struct InSys("module") {
        itself: "mkobj.mod",
        entry: "mkobj.kobj.entry",
        set: "mkobj.kobj.kset",
        name: "mkobj.kobj.name",
    }
}

/// The modules in /sys/module, of which one that is known leads to the others.
pub(super) fn by_kobject(s: &Session, known: Option<VirtAddr>) -> Vec<VirtAddr> {
    let (b, all, one) = (s.bind::<InSys>(), s.bind::<Kset>(), s.bind::<ModuleKobject>());
    let set = match (s.symbol("module_kset"), known) {
        (Some(at), _) => s.mem().ptr(at),
        // one that is known leads to the set
        (None, Some(module)) => match b.set.ptr(s.mem(), module) {
            Ok(set) => Ok(set),
            Err(_) => return Vec::new(),
        },
        (None, None) => return Vec::new(),
    };
    let Ok(head) = set.map_err(KernelError::from).and_then(|set| all.list.at(set)) else { return Vec::new() };
    let mut out = Vec::new();
    both_ways(s.mem(), head, &mut |entry| {
        let at = one.entry.container(entry)?;
        if let Ok(module) = one.module.ptr(s.mem(), at)
            && !module.is_null()
            // it leads back
            && b.itself.ptr(s.mem(), module).is_ok_and(|own| own == module)
            && b.entry.at(module).is_ok_and(|own| own == entry)
        {
            out.push(module);
        }
        Ok(())
    });
    out
}

bind! {
    /// `struct mod_tree_root` (kernel/module/internal.h): the memory of all modules by address, for lookups
    struct ModTree("mod_tree_root") { trees: "root.tree" }
}
bind! {
    /// `struct mod_tree_node`; a node of a latched tree is in two trees
    struct ModTreeNode("mod_tree_node") { module: "mod", node: "node.node" }
}

/// The modules of the tree by address (CONFIG_MODULES_TREE_LOOKUP), as far as it is there.
pub(super) fn in_tree(s: &Session) -> Vec<VirtAddr> {
    let Some(tree) = s.symbol("mod_tree") else { return Vec::new() };
    let (b, one) = (s.bind::<ModTree>(), s.bind::<ModTreeNode>());
    // of the two trees the first: `struct rb_root { struct rb_node *rb_node; }`
    let Ok(root) = b.trees.at(tree).and_then(|root| Ok(s.mem().ptr(root)?)) else { return Vec::new() };
    let layout = rbtree::Layout::of(&s.bind::<rbtree::RbNode>());
    let nodes = rbtree::nodes(s.mem(), layout, root, rbtree::Order::Linear).all;
    let module = |node: &rbtree::Node| one.module.ptr(s.mem(), one.node.container(node.at).ok()?).ok();
    let mut out: Vec<VirtAddr> = nodes.iter().filter_map(module).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// The modules with types of their own (`btf_modules`, 5.11), as far as that list is there.
pub(super) fn with_types(s: &Session) -> Vec<VirtAddr> {
    let Some(head) = s.symbol("btf_modules") else { return Vec::new() };
    let (b, mut out) = (s.bind::<BtfModule>(), Vec::new());
    both_ways(s.mem(), head, &mut |entry| {
        out.push(b.module.ptr(s.mem(), b.list.container(entry)?)?);
        Ok(())
    });
    out
}

/// The modules that the log's last report names; `None` where no report has such a line.
pub(super) fn logged(s: &Session) -> Option<Vec<String>> {
    let listed = |line: &str| {
        Some(event::modules_linked(line)?.into_iter().map(|(name, _)| name.to_owned()).collect())
    };
    s.log().ok()?.records.iter().rev().find_map(|record| record.text.lines().find_map(listed))
}

/// True for a name that a module can have: what is no module has none such.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name != NO_NAME && name.bytes().all(|b| b.is_ascii_graphic())
}

/// What says a module's name.
struct Names {
    /// Its struct, where that can be a name; and as it stands.
    own: Option<String>,
    text: String,
    /// Its object in /sys/module.
    object: Option<String>,
    /// Its types (`struct btf`).
    types: Option<String>,
}

impl Names {
    fn of(s: &Session, at: VirtAddr, types: &Typed) -> Result<Self> {
        let (b, in_sys) = (s.bind::<ModuleStruct>(), s.bind::<InSys>());
        let text = b.name.text(s.mem(), at)?;
        let has_end = b.name.size().map_or(true, |room| room == 0 || (text.len() as u64) < room);
        let own = Some(text.clone()).filter(|name| is_name(name) && has_end);
        let object = in_sys.name.string(s.mem(), at, 64).ok().filter(|name| is_name(name));
        Ok(Self { own, text, object, types: types.get(&at).cloned() })
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        [&self.own, &self.object, &self.types].into_iter().flatten().map(String::as_str)
    }

    /// The only one that any of them says.
    fn agreed(&self) -> Option<&str> {
        let first = self.own.as_deref()?;
        self.all().all(|name| name == first).then_some(first)
    }

    /// The one that most of them say, but none that is another module's; of equally many the one that the log's last report
    /// lists. `None` where nothing decides.
    fn decided(&self, taken: &FxHashSet<String>, logged: &[String]) -> Option<&str> {
        let free: Vec<&str> = self.all().filter(|name| !taken.contains(*name)).collect();
        let votes = |name: &str| free.iter().filter(|other| **other == name).count();
        let best = free.iter().copied().max_by_key(|name| votes(name))?;
        let is_equal = |name: &&str| *name != best && votes(name) == votes(best);
        let Some(other) = free.iter().copied().find(is_equal) else { return Some(best) };
        let is_logged = |name: &str| logged.iter().any(|known| known == name);
        match (is_logged(best), is_logged(other)) {
            (true, false) => Some(best),
            (false, true) => Some(other),
            _ => None,
        }
    }

    /// What differs.
    fn words(&self, at: VirtAddr) -> KernelError {
        let shown: String = self.text.chars().take(64).collect();
        let mut why = format!("its name is {shown:?}");
        for (other, place) in [(&self.object, "in /sys/module it is"), (&self.types, "by its types it is")] {
            if let Some(other) = other.as_ref().filter(|other| **other != self.text) {
                let joint = if self.own.is_some() { ", and" } else { ";" };
                why = format!("{why}{joint} {place} {other:?}");
            }
        }
        KernelError::Damaged { what: "struct module", at, why }
    }
}

/// The names that modules' types have.
pub(super) type Typed = FxHashMap<VirtAddr, String>;

bind! {
    /// `struct btf`: of a module's types it has the module's name
    struct BtfNamed("btf") { name: "name" }
}

/// The names that the types of modules have (5.11, 36e68442d1af).
fn typed(s: &Session) -> Typed {
    let (mut out, b, named) = (Typed::default(), s.bind::<BtfModule>(), s.bind::<BtfNamed>());
    let Some(head) = s.symbol("btf_modules") else { return out };
    both_ways(s.mem(), head, &mut |entry| {
        let at = b.list.container(entry)?;
        let name = named.name.text(s.mem(), b.btf.ptr(s.mem(), at)?);
        if let Some(name) = name.ok().filter(|name| is_name(name)) {
            out.insert(b.module.ptr(s.mem(), at)?, name);
        }
        Ok(())
    });
    out
}

/// Gives modules the names that most say that know them; one in doubt has none. Two never have the same.
pub(super) fn settle_names(s: &Session, all: &mut [Module]) {
    let types = typed(s);
    let names: Vec<Option<Names>> = all.iter().map(|m| Names::of(s, m.at, &types).ok()).collect();
    let agreed = names.iter().flatten().filter_map(Names::agreed).map(str::to_owned);
    let taken: FxHashSet<String> = agreed.collect();
    let logged = LazyCell::new(|| logged(s).unwrap_or_default());
    for (m, names) in all.iter_mut().zip(&names) {
        let Some(names) = names.as_ref().filter(|names| names.agreed().is_none()) else { continue };
        m.misnamed = Some(names.words(m.at));
        m.name = names.decided(&taken, &logged).unwrap_or(NO_NAME).to_owned();
    }
}

pub(super) fn read_module(s: &Session, at: VirtAddr) -> Result<Module> {
    let b = s.bind::<ModuleStruct>();
    let mem = s.mem();
    let name = b.name.text(mem, at)?;
    let mut memory = Vec::new();
    let mut init = Vec::new();
    if b.mem.exists() {
        let one = s.bind::<ModuleMem>();
        let step = one.size.ok_or(KernelError::NoType("module_memory"))?.max(1);
        let count = (b.mem.size()? / step).min(MEM_TYPES.len() as u64);
        for (n, &(kind, is_init)) in (0..count).zip(MEM_TYPES.iter()) {
            let m = b.mem.at(at)?.add(n.wrapping_mul(step));
            let (base, size) = (one.base.ptr(mem, m)?, one.bytes.num(mem, m)?);
            let text = if kind.ends_with("text") { size } else { 0 };
            let run = ModuleMemory { kind, base, size, text };
            if run.size != 0 {
                if is_init { init.push(run) } else { memory.push(run) }
            }
        }
    } else {
        // one run with the code first: where that ends is known, or all of it may be code
        let run = |kind, [base, size, text]: [&crate::bind::Field; 3]| -> Result<ModuleMemory> {
            let size = size.num(mem, at)? & 0xffff_ffff;
            let text = text.num(mem, at).map(|text| text & 0xffff_ffff).ok();
            let text = text.filter(|text| *text <= size).unwrap_or(size);
            Ok(ModuleMemory { kind, base: base.ptr(mem, at)?, size, text })
        };
        memory.push(run("text", [&b.core_base, &b.core_size, &b.core_text])?);
        if let Ok(i) = run("init text", [&b.init_base, &b.init_size, &b.init_text])
            && i.size != 0
            && !i.base.is_null()
        {
            init.push(i);
        }
    }
    // a module without one has no text there
    let srcversion = match b.srcversion.ptr(mem, at) {
        Ok(text) if text.is_null() => Ok(None),
        _ => b.srcversion.string(mem, at, 64).map(|text| Some(text).filter(|text| !text.is_empty())),
    };
    let module = Module {
        at,
        name,
        misnamed: None,
        memory,
        init,
        taints: b.taints.num(mem, at).ok().filter(|mask| plausible::can_be_taints(*mask)),
        srcversion,
        state: b.state.num(mem, at).ok(),
    };
    plausible::module(s, &module)?;
    Ok(module)
}
