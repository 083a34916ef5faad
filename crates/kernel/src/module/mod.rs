//! Loaded modules (`struct module`, include/linux/module.h), and their memory, symbols and BTF.

pub mod bug;
pub mod livepatch;
pub mod made;
mod plausible;
pub mod symbols;
pub mod taint;
#[cfg(test)]
mod tests;
mod types;

use crate::containers::list::{both_ways, list};
use crate::containers::rbtree;
use crate::error::{KernelError, Result};
use crate::opening::symbols::KernelSymbols;
use crate::plausible::not_one;
use crate::session::{Fact, Session};
use base::VirtAddr;
use debuginfo::kallsyms::ModuleSymtab;
use std::ops::Range;

/// A run of a module's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleMemory {
    /// `text`, `data`, `rodata`, `ro_after_init`, `init text` ...
    pub kind: &'static str,
    /// First address.
    pub base: VirtAddr,
    /// Bytes.
    pub size: u64,
    /// Bytes of code, from the first address on.
    pub text: u64,
}

impl ModuleMemory {
    /// True when `at` lies in its code.
    #[must_use]
    pub const fn has_text(&self, at: VirtAddr) -> bool {
        at.0.wrapping_sub(self.base.0) < self.text
    }

    /// True when `at` lies in it.
    #[must_use]
    pub const fn contains(&self, at: VirtAddr) -> bool {
        at.0.wrapping_sub(self.base.0) < self.size
    }
}

/// A loaded module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its `struct module`.
    pub at: VirtAddr,
    /// Its name.
    pub name: String,
    /// Its memory that stays after init; the text first.
    pub memory: Vec<ModuleMemory>,
    /// Its memory that is freed after init, where it is still there.
    pub init: Vec<ModuleMemory>,
    /// Its taint flags, a bit mask as in /proc/sys/kernel/tainted.
    pub taints: Option<u64>,
    /// `srcversion`, where the module has one; why it is not known.
    pub srcversion: Result<Option<String>>,
    /// `MODULE_STATE_LIVE` = 0, `COMING` = 1, `GOING` = 2, `UNFORMED` = 3.
    pub state: Option<u64>,
}

impl Module {
    /// Where the module's memory begins: what /proc/modules and `mod` show.
    #[must_use]
    pub fn base(&self) -> VirtAddr {
        self.memory.first().map_or(VirtAddr(0), |m| m.base)
    }
    /// Bytes of all of it that stays after init.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.memory.iter().fold(0, |sum, m| sum.saturating_add(m.size))
    }
    /// True when `at` lies in the module.
    #[must_use]
    pub fn contains(&self, at: VirtAddr) -> bool {
        self.memory.iter().chain(&self.init).any(|m| m.contains(at))
    }
}

/// True where modules say what each taints, so that one that does not is damaged or not in the dump.
#[must_use]
pub fn tells_taints(s: &Session) -> bool {
    s.bind::<ModuleStruct>().taints.offset().is_ok()
}

bind! {
    /// `struct module`
    pub(crate) struct ModuleStruct("module") {
        state: "state",
        list: "list",
        name: "name",
        srcversion: "srcversion",
        taints: "taints",
        core_base: "core_layout.base" | "module_core", // core_layout: 4.5 (7523e4dc5057); mem[]: 6.4 (ac3b43283923)
        core_size: "core_layout.size" | "core_size",
        core_text: "core_layout.text_size" | "core_text_size",
        init_base: "init_layout.base" | "module_init",
        init_size: "init_layout.size" | "init_size",
        init_text: "init_layout.text_size" | "init_text_size",
        mem: "mem",
        kallsyms: "kallsyms", // struct mod_kallsyms *: 4.5 (8244062ef1e5)
        symtab: "symtab",
        num_symtab: "num_symtab",
        strtab: "strtab",
        sect_attrs: "sect_attrs",
        num_orcs: "arch.num_orcs",
        orc_unwind_ip: "arch.orc_unwind_ip",
        orc_unwind: "arch.orc_unwind",
        percpu: "percpu",
        version: "version",
        args: "args",
    }
}
bind! {
    /// `struct module_memory`
    struct ModuleMem("module_memory") { base: "base", bytes: "size" }
}
bind! {
    /// `struct mod_kallsyms`
    pub(crate) struct ModKallsyms("mod_kallsyms") {
        symtab: "symtab",
        num_symtab: "num_symtab",
        strtab: "strtab",
        typetab: "typetab",
    }
}
bind! {
    /// `struct btf_module` (kernel/bpf/btf.c)
    pub(crate) struct BtfModule("btf_module") { list: "list", module: "module", btf: "btf" }
}
bind! {
    /// `struct btf`
    pub(crate) struct BtfStruct("btf") { data: "data", data_size: "data_size" }
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

/// All modules, in the order they were loaded.
#[derive(Default)]
pub(crate) struct Modules {
    all: Vec<Module>,
    /// From the lowest of their memory to behind the highest: what lies elsewhere is asked of none.
    within: Range<VirtAddr>,
    /// Why the list ended early where it did.
    problem: Option<KernelError>,
}

impl Modules {
    /// None, as the user wants it.
    pub(crate) fn switched_off() -> Self {
        let problem = KernelError::SwitchedOff { what: "modules", option: "--no_modules" };
        Self::of(Vec::new(), Some(problem))
    }

    fn of(all: Vec<Module>, problem: Option<KernelError>) -> Self {
        let ends =
            |run: &ModuleMemory| (run.base, VirtAddr(run.base.0.saturating_add(run.size.max(run.text))));
        let ends = all.iter().flat_map(|m| m.memory.iter().chain(&m.init)).map(ends);
        let both = ends.reduce(|(start, end), (base, behind)| (start.min(base), end.max(behind)));
        let within = both.map_or(VirtAddr(0)..VirtAddr(0), |(start, end)| start..end);
        Self { all, within, problem }
    }

    /// The module of which an address is, by one of its runs of memory.
    fn find(&self, at: VirtAddr, is_in: fn(&ModuleMemory, VirtAddr) -> bool) -> Option<&Module> {
        // asked of every word of a stack
        if !self.within.contains(&at) {
            return None;
        }
        self.all.iter().find(|m| m.memory.iter().chain(&m.init).any(|run| is_in(run, at)))
    }
}

impl Fact for Modules {
    fn read(s: &Session) -> Self {
        let (all, problem) = read_modules(s);
        Self::of(all, problem)
    }
}

impl Session {
    /// All modules, in the order they were loaded.
    pub fn modules(&self) -> &[Module] {
        &self.fact::<Modules>().all
    }
    /// Why the list of modules ended early, where it did.
    pub fn modules_problem(&self) -> Option<&KernelError> {
        self.fact::<Modules>().problem.as_ref()
    }
    /// The module that an address lies in.
    #[must_use]
    pub fn module_at(&self, at: VirtAddr) -> Option<&Module> {
        self.fact::<Modules>().find(at, ModuleMemory::contains)
    }
}

/// All modules, in the kernel's list order reversed: the first loaded first, as `mod` shows them.
/// The list is walked from both ends where it is broken; a module that cannot be read is left out with the reason.
pub(crate) fn read_modules(s: &Session) -> (Vec<Module>, Option<KernelError>) {
    let head = match s.need_symbol("modules") {
        Ok(at) => at,
        Err(_) if cannot_load(s.kernel_symbols()) => return (Vec::new(), None),
        Err(e) => return (Vec::new(), Some(e)),
    };
    let b = s.bind::<ModuleStruct>();
    let mut out = Vec::new();
    let mut unread = None;
    let problems = both_ways(s.mem(), head, &mut |entry| {
        let at = b.list.container(entry)?;
        match read_module(s, at) {
            Ok(m) => out.push(m),
            // a page of it that is missing costs this one, and the list goes on
            Err(e @ KernelError::Fault(_)) => unread = Some(e),
            Err(e) => return Err(e),
        }
        Ok(())
    });
    out.reverse();
    let listed = out.len();
    for at in in_tree(s) {
        if !out.iter().any(|known| known.at == at) {
            out.extend(read_module(s, at));
        }
    }
    for at in by_kobject(s, out.first().map(|m| m.at)) {
        if !out.iter().any(|known| known.at == at) {
            out.extend(read_module(s, at));
        }
    }
    let problem = problems.into_iter().next().or(unread).or_else(|| plausible::contradiction(&out));
    let damaged = |why: String| KernelError::Damaged { what: "list of modules", at: head, why };
    let others = || out.iter().skip(listed).map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
    let problem = problem.or_else(|| match (listed, out.len().saturating_sub(listed)) {
        (0, 0) => were_loaded(s).then(|| damaged("it is empty, though modules are loaded".into())),
        (0, _) => Some(damaged("it is empty, though modules are loaded".into())),
        (_, 0) => None,
        _ => Some(damaged(format!(
            "it leaves out modules that are found by their memory or in /sys/module: {}",
            others()
        ))),
    });
    (out, problem)
}

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
    struct InSys("module") { itself: "mkobj.mod", entry: "mkobj.kobj.entry", set: "mkobj.kobj.kset" }
}

/// The modules in /sys/module, of which one that is known leads to the others.
fn by_kobject(s: &Session, known: Option<VirtAddr>) -> Vec<VirtAddr> {
    let (b, all, one) = (s.bind::<InSys>(), s.bind::<Kset>(), s.bind::<ModuleKobject>());
    let set = match (s.symbol("module_kset"), known) {
        (Some(at), _) => s.mem().ptr(at),
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
fn in_tree(s: &Session) -> Vec<VirtAddr> {
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

/// True where the taint mask or the log's last report says that modules were loaded.
fn were_loaded(s: &Session) -> bool {
    let listed = |line: &str| {
        let names = line.split_once("Modules linked in:").map(|(_, names)| names);
        names.map(|names| names.split_whitespace().any(|word| !word.starts_with('[')))
    };
    let by_log =
        s.log().ok().and_then(|log| log.records.iter().rev().find_map(|record| listed(&record.text)));
    by_log.unwrap_or(false) || taint::mask(s).is_ok_and(taint::is_by_modules)
}

/// True for a name that a module can have: what is no module has none such.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

/// True for a kernel without modules (`CONFIG_MODULES=n`): it has functions, and none of those that every kernel with
/// modules has. A table that lost symbols cannot say that.
fn cannot_load(symbols: &KernelSymbols) -> bool {
    let is_there = |name: &&str| symbols.table.addr(name).is_some();
    symbols.lost == 0
        && is_there(&"schedule")
        && !["load_module", "__module_address", "__module_text_address", "module_put"].iter().any(is_there)
}

fn read_module(s: &Session, at: VirtAddr) -> Result<Module> {
    let b = s.bind::<ModuleStruct>();
    let mem = s.mem();
    let name = b.name.text(mem, at)?;
    if !is_name(&name) || b.name.size().is_ok_and(|room| room != 0 && name.len() as u64 >= room) {
        return Err(not_one("struct module", at, "module", &format!("its name is {name:?}")));
    }
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
        memory,
        init,
        taints: b.taints.num(mem, at).ok().filter(|mask| plausible::can_be_taints(*mask)),
        srcversion,
        state: b.state.num(mem, at).ok(),
    };
    plausible::module(s, &module)?;
    Ok(module)
}

/// Finds a module's own symbol table (CONFIG_KALLSYMS).
pub fn symtab(s: &Session, module: VirtAddr) -> Result<ModuleSymtab> {
    let mem = s.mem();
    let b = s.bind::<ModuleStruct>();
    if b.kallsyms.exists() {
        let k = s.bind::<ModKallsyms>();
        let at = b.kallsyms.ptr(mem, module)?;
        return Ok(ModuleSymtab {
            symtab: k.symtab.ptr(mem, at)?,
            count: k.num_symtab.u32(mem, at)?,
            strtab: k.strtab.ptr(mem, at)?,
            typetab: k.typetab.ptr(mem, at).ok().filter(|t| !t.is_null()),
        });
    }
    Ok(ModuleSymtab {
        symtab: b.symtab.ptr(mem, module)?,
        count: b.num_symtab.u32(mem, module)?,
        strtab: b.strtab.ptr(mem, module)?,
        typetab: None,
    })
}

/// Why a module's symbols cannot be read, where the dump lost them.
///
/// # Errors
/// What is lost: the pointers to the symbols, or the first of these.
pub fn symbols_are_there(s: &Session, module: VirtAddr) -> Result<()> {
    let lost = |e: &KernelError| e.is_loss();
    match symtab(s, module) {
        Ok(table) if table.count != 0 && !table.symtab.is_null() => {
            // the first symbol is no name
            let word = s.mem().u64(table.symtab).and(s.mem().u8(table.strtab));
            word.map(|_| ()).map_err(KernelError::from)
        }
        Ok(_) => Ok(()),
        Err(e) => Err(e),
    }
    .or_else(|e| if lost(&e) { Err(e) } else { Ok(()) })
}

bind! {
    /// `struct module_sect_attrs` (kernel/module/sysfs.c)
    struct SectAttrs("module_sect_attrs") { attrs: "attrs", nsections: "nsections", grp: "grp" }
}
bind! {
    /// `struct module_sect_attr`: `mattr` until 5.8, `battr` after (ed66f991bb19)
    struct SectAttr("module_sect_attr") { address: "address", name: "battr.attr.name" | "mattr.attr.name" | "name" }
}
bind! {
    /// `struct bin_attribute`: its `private` holds the address since 6.14 (4b2c11e4aaf7)
    struct BinAttribute("bin_attribute") { name: "attr.name", private: "private" }
}
bind! {
    /// `struct attribute_group`
    struct AttributeGroup("attribute_group") { bin_attrs: "bin_attrs" | "bin_attrs_new" }
}

/// Sections of a module with the addresses they were loaded at, as /sys/module/NAME/sections has
/// them.
pub fn sections(s: &Session, module: VirtAddr) -> Result<Vec<(String, VirtAddr)>> {
    let mem = s.mem();
    let at = s.bind::<ModuleStruct>().sect_attrs.ptr(mem, module)?;
    if at.is_null() {
        return Ok(Vec::new());
    }
    let attrs = s.bind::<SectAttrs>();
    let one = s.bind::<SectAttr>();
    let mut out = Vec::new();
    if let (true, Some(step)) = (one.address.exists(), one.size) {
        let count = attrs.nsections.num(mem, at)? & 0xffff_ffff;
        for n in 0..count.min(4096) {
            let a = attrs.attrs.at(at)?.add(n.wrapping_mul(step));
            out.push((one.name.string(mem, a, 256)?, one.address.ptr(mem, a)?));
        }
        return Ok(out);
    }
    // since 6.14 the attributes are plain bin_attributes in the group's NULL-terminated array
    let bin = s.bind::<BinAttribute>();
    let group = attrs.grp.at(at)?;
    let array = s.bind::<AttributeGroup>().bin_attrs.ptr(mem, group)?;
    for n in 0..4096 {
        let a = mem.ptr(array.add(n * 8))?;
        if a.is_null() {
            break;
        }
        out.push((bin.name.string(mem, a, 256)?, bin.private.ptr(mem, a)?));
    }
    Ok(out)
}

/// The bytes of a module's split BTF, which `btf_modules` keeps (CONFIG_DEBUG_INFO_BTF_MODULES).
pub fn btf(s: &Session, module: VirtAddr) -> Result<Option<Vec<u8>>> {
    let Some(head) = s.symbol("btf_modules") else { return Ok(None) };
    let mem = s.mem();
    let entry = s.bind::<BtfModule>();
    let b = s.bind::<BtfStruct>();
    for e in list(mem, head) {
        let at = entry.list.container(e?)?;
        if entry.module.ptr(mem, at)? != module {
            continue;
        }
        let btf = entry.btf.ptr(mem, at)?;
        let len = b.data_size.num(mem, btf)? & 0xffff_ffff;
        if len > 64 << 20 {
            return Err(KernelError::Damaged {
                what: "btf of a module",
                at: btf,
                why: format!("data_size is {len}"),
            });
        }
        return Ok(Some(mem.bytes(b.data.ptr(mem, btf)?, len as usize)?));
    }
    Ok(None)
}

/// A module's unwind tables in the dump's memory (`mod->arch`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleOrc {
    /// How many entries.
    pub count: u64,
    /// The offsets (`int *orc_unwind_ip`).
    pub ip: VirtAddr,
    /// The entries (`struct orc_entry *orc_unwind`).
    pub entries: VirtAddr,
}

/// Where a module's ORC tables are; `None` where it has none.
pub fn orc(s: &Session, module: VirtAddr) -> Result<Option<ModuleOrc>> {
    let b = s.bind::<ModuleStruct>();
    if !b.num_orcs.exists() {
        return Ok(None);
    }
    let mem = s.mem();
    let count = b.num_orcs.num(mem, module)? & 0xffff_ffff;
    if count == 0 || count > 16 << 20 {
        return Ok(None);
    }
    Ok(Some(ModuleOrc {
        count,
        ip: b.orc_unwind_ip.ptr(mem, module)?,
        entries: b.orc_unwind.ptr(mem, module)?,
    }))
}
