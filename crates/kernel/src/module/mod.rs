//! Loaded modules (`struct module`, include/linux/module.h), and their memory, symbols and BTF.

pub mod bug;
mod found;
pub mod livepatch;
pub mod made;
mod plausible;
pub mod symbols;
pub mod taint;
#[cfg(test)]
mod tests;
mod types;

use crate::containers::list::{both_ways, list};
use crate::error::{KernelError, Result};
use crate::opening::symbols::KernelSymbols;
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

/// What stands for the name of a module that has none that can be read.
pub const NO_NAME: &str = "?";

/// A loaded module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its `struct module`.
    pub at: VirtAddr,
    /// Its name; [`NO_NAME`] where nothing tells it.
    pub name: String,
    /// Why its struct's name is not taken as it stands, where it is not: damaged, or in doubt.
    pub misnamed: Option<KernelError>,
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
    /// True where something tells its name.
    #[must_use]
    pub fn has_name(&self) -> bool {
        self.name != NO_NAME
    }
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

    pub(crate) fn of(all: Vec<Module>, problem: Option<KernelError>) -> Self {
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
    /// The module of this name.
    #[must_use]
    pub fn module_named(&self, name: &str) -> Option<&Module> {
        self.modules().iter().find(|m| m.name == name)
    }
    /// Why the name of a module is not known, where one's is not; the list of modules may be whole.
    #[must_use]
    pub fn misnamed_module(&self) -> Option<&KernelError> {
        self.modules().iter().find_map(|m| m.misnamed.as_ref())
    }
    /// Why the list of modules ended early, where it did.
    pub fn modules_problem(&self) -> Option<&KernelError> {
        self.fact::<Modules>().problem.as_ref()
    }
    /// True for an address where modules are, of which not all are known.
    #[must_use]
    pub fn may_be_of_module(&self, at: VirtAddr) -> bool {
        self.modules_problem().is_some() && self.module_at(at).is_none() && self.beside_image(at)
    }
    /// The module that an address lies in.
    #[must_use]
    pub fn module_at(&self, at: VirtAddr) -> Option<&Module> {
        self.fact::<Modules>().find(at, ModuleMemory::contains)
    }
}

/// All modules, in the kernel's list order reversed: the first loaded first, as `mod` shows them.
/// The list is walked from both ends where it is broken, and modules are found without it too; a module that cannot be read
/// is left out with the reason.
pub(crate) fn read_modules(s: &Session) -> (Vec<Module>, Option<KernelError>) {
    let head = match s.need_symbol("modules") {
        Err(_) if cannot_load(s.kernel_symbols()) => return (Vec::new(), None),
        head => head,
    };
    let mut out = Vec::new();
    let mut problem = match &head {
        Ok(head) => in_list(s, *head, &mut out),
        Err(e) => Some(e.clone()),
    };
    let listed = out.len();
    let add = |out: &mut Vec<Module>, all: Vec<VirtAddr>| {
        for at in all {
            if !out.iter().any(|known| known.at == at) {
                out.extend(found::read_module(s, at));
            }
        }
    };
    add(&mut out, found::in_tree(s));
    add(&mut out, found::with_types(s));
    let known = out.first().map(|m| m.at);
    add(&mut out, found::by_kobject(s, known));
    found::settle_names(s, &mut out);
    problem = problem.or_else(|| plausible::contradiction(&out));
    let damaged = |why: String| {
        let at = head.clone().unwrap_or_default();
        KernelError::Damaged { what: "list of modules", at, why }
    };
    let others = || out.iter().skip(listed).map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
    problem = problem.or_else(|| match (listed, out.len().saturating_sub(listed)) {
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

/// The modules of the kernel's list, from both of its ends where it is broken, and what is wrong with it.
fn in_list(s: &Session, head: VirtAddr, out: &mut Vec<Module>) -> Option<KernelError> {
    let b = s.bind::<ModuleStruct>();
    let mut unread = None;
    let problems = both_ways(s.mem(), head, &mut |entry| {
        let at = b.list.container(entry)?;
        match found::read_module(s, at) {
            Ok(m) => out.push(m),
            // a page of it that is missing costs this one, and the list goes on
            Err(e @ KernelError::Fault(_)) => unread = Some(e),
            Err(e) => return Err(e),
        }
        Ok(())
    });
    out.reverse();
    problems.into_iter().next().or(unread)
}

/// True where the taint mask or the log's last report says that modules were loaded.
fn were_loaded(s: &Session) -> bool {
    found::logged(s).is_some_and(|names| !names.is_empty()) || taint::mask(s).is_ok_and(taint::is_by_modules)
}

/// True for a kernel without modules (`CONFIG_MODULES=n`): it has functions, and none of those that every kernel with
/// modules has. A table that lost symbols cannot say that.
fn cannot_load(symbols: &KernelSymbols) -> bool {
    let is_there = |name: &&str| symbols.table.addr(name).is_some();
    symbols.lost == 0
        && is_there(&"schedule")
        && !["load_module", "__module_address", "__module_text_address", "module_put"].iter().any(is_there)
}

/// Finds a module's own symbol table (CONFIG_KALLSYMS).
///
/// # Errors
/// It is not in the dump, or the types do not know it.
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

/// Why none of a module's symbols is known, where the dump lost them: the pointers to them, the first of them, or their
/// number is none.
pub(crate) fn lost_symbols(s: &Session, m: &Module) -> Option<KernelError> {
    let first = |table: ModuleSymtab| match table.count != 0 && !table.symtab.is_null() {
        // the first symbol is no name
        true => match s.mem().u64(table.symtab).and(s.mem().u8(table.strtab)) {
            Ok(_) => {
                let why = format!("its {} symbols cannot be read", table.count);
                Err(KernelError::Damaged { what: "module", at: m.at, why })
            }
            Err(e) => Err(e.into()),
        },
        false => Ok(()),
    };
    symtab(s, m.at).and_then(first).err().filter(KernelError::is_loss)
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
///
/// # Errors
/// The list, or a name in it, is not in the dump, or the types do not know it.
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
///
/// # Errors
/// The list of them, or the bytes, are not in the dump, or damaged.
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
///
/// # Errors
/// It is not in the dump, or the types do not know it.
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
