//! Modules by what leads to them beside the kernel's list, and what a `struct module` holds.

use super::plausible;
use super::{BtfModule, Module, ModuleMemory, ModuleStruct, NO_NAME};
use crate::containers::list::both_ways;
use crate::containers::rbtree;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

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
        let (_, names) = line.split_once("Modules linked in:")?;
        let words = names.split_whitespace().take_while(|word| !word.starts_with('['));
        // with its taints: `virtio_ring(OE+)`
        Some(words.filter_map(|word| word.split('(').next()).map(str::to_owned).collect())
    };
    s.log().ok()?.records.iter().rev().find_map(|record| record.text.lines().find_map(listed))
}

/// True for a name that a module can have: what is no module has none such.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name != NO_NAME && name.bytes().all(|b| b.is_ascii_graphic())
}

/// A module's name: its struct's, which its object in /sys/module has too. Where that is damaged the object tells it; of two
/// that can both be names the one that the log's last report lists.
fn name_of(s: &Session, at: VirtAddr) -> Result<(String, Option<KernelError>)> {
    let (b, in_sys) = (s.bind::<ModuleStruct>(), s.bind::<InSys>());
    let own = b.name.text(s.mem(), at)?;
    let has_end = b.name.size().map_or(true, |room| room == 0 || (own.len() as u64) < room);
    let is_own = is_name(&own) && has_end;
    let other = in_sys.name.string(s.mem(), at, 64).ok().filter(|name| is_name(name));
    let wrong = |why: &str| {
        let shown: String = own.chars().take(64).collect();
        let why = format!("its name is {shown:?}{why}");
        Some(KernelError::Damaged { what: "struct module", at, why })
    };
    Ok(match (is_own, other) {
        (true, None) => (own, None),
        (true, Some(other)) if other == own => (own, None),
        (true, Some(other)) => {
            let logged = logged(s).unwrap_or_default();
            let is_other = logged.contains(&other) && !logged.contains(&own);
            let why = wrong(&format!(", and in /sys/module it is {other:?}"));
            (if is_other { other } else { own }, why)
        }
        (false, Some(other)) => {
            let why = wrong(&format!("; in /sys/module it is {other:?}"));
            (other, why)
        }
        (false, None) => (NO_NAME.to_owned(), wrong("")),
    })
}

pub(super) fn read_module(s: &Session, at: VirtAddr) -> Result<Module> {
    let b = s.bind::<ModuleStruct>();
    let mem = s.mem();
    let (name, misnamed) = name_of(s, at)?;
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
        misnamed,
        memory,
        init,
        taints: b.taints.num(mem, at).ok().filter(|mask| plausible::can_be_taints(*mask)),
        srcversion,
        state: b.state.num(mem, at).ok(),
    };
    plausible::module(s, &module)?;
    Ok(module)
}
