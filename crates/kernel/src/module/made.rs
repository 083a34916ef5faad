//! Code that was made at run time, under the names that /proc/kallsyms gives it: BPF programs, trampolines and dispatchers,
//! ftrace's trampolines, and the pages to which kprobes move instructions.
//!
//! BPF: `bpf_kallsyms` links `struct bpf_ksym`s since 5.7 (ecb60d1c6739..., programs), and trampolines and dispatchers among
//! them; since 4.11 (74451e66d516) it linked the `bpf_prog_aux` of programs, whose names are made of their tag. ftrace:
//! `ftrace_ops.trampoline` (3.19, f3bea49115b2) of the ops that are registered, and of those that are not in use any more
//! (5.8, fc0ea795f53c). kprobes: the caches of slots list their pages.
//!
//! Nothing is read before an address or a name is met that no image has.

use crate::containers::list::list;
use crate::error::Result;
use crate::session::{Fact, Session};
use base::VirtAddr;
use debuginfo::symtab::{Symbol, SymbolTable, SymbolTableBuilder};
use rustc_hash::FxHashSet;

bind! {
    /// `struct bpf_ksym` (include/linux/bpf.h)
    struct BpfKsym("bpf_ksym") { start: "start", end: "end", name: "name", lnode: "lnode" }
}
bind! {
    /// `struct bpf_prog_aux`
    struct BpfProgAux("bpf_prog_aux") { lnode: "ksym_lnode", prog: "prog", name: "name" }
}
bind! {
    /// `struct bpf_prog`
    struct BpfProg("bpf_prog") { bpf_func: "bpf_func", jited_len: "jited_len", tag: "tag" }
}
bind! {
    /// `struct ftrace_ops` (include/linux/ftrace.h)
    struct FtraceOps("ftrace_ops") {
        next: "next",
        trampoline: "trampoline",
        trampoline_size: "trampoline_size",
        list: "list",
    }
}
bind! {
    /// `struct kprobe_insn_cache` (include/linux/kprobes.h)
    struct InsnCache("kprobe_insn_cache") { pages: "pages" }
}
bind! {
    /// `struct kprobe_insn_page` (kernel/kprobes.c)
    struct InsnPage("kprobe_insn_page") { list: "list", insns: "insns" }
}

/// What /proc/kallsyms says in place of a module's name.
const OWNERS: [&str; 3] = ["bpf", "__builtin__ftrace", "__builtin__kprobes"];
/// What the names of such code begin with.
const PREFIXES: [&str; 5] =
    ["bpf_", "ftrace_trampoline", "kprobe_insn_page", "kprobe_optinsn_page", "__bpf_"];
/// What the names of code begin with that only leads from one function to another; it is there while somebody traces.
const TRAMPOLINES: [&str; 4] =
    ["bpf_trampoline_", "bpf_dispatcher_", "ftrace_trampoline", "kprobe_optinsn_page"];

/// True for the name of code that stands between a function and what traces it.
#[must_use]
pub fn is_trampoline(name: &str) -> bool {
    TRAMPOLINES.iter().any(|prefix| name.starts_with(prefix))
}

/// More programs or trampolines than any machine has.
const MAX: usize = 1 << 17;
/// More tracers than any machine has.
const MAX_TRACERS: usize = 4096;
/// More bytes than any program or trampoline has.
const LONGEST: u64 = 1 << 26;
/// Bytes of a trampoline that are held against what it is a copy of.
const COMPARED: u64 = 96;

/// The code that was made at run time.
pub(crate) struct MadeCode {
    table: SymbolTable,
    /// ftrace's trampolines: where each begins and ends, and the code of the image that it is a copy of.
    copies: Vec<(VirtAddr, VirtAddr, VirtAddr)>,
}

impl Default for MadeCode {
    fn default() -> Self {
        Self { table: SymbolTable::empty(), copies: Vec::new() }
    }
}

impl MadeCode {
    /// Code that is not read from memory.
    pub(crate) const fn given(table: SymbolTable) -> Self {
        Self { table, copies: Vec::new() }
    }
}

impl Fact for MadeCode {
    fn read(s: &Session) -> Self {
        let mut found = Found {
            s,
            builder: SymbolTableBuilder::new(),
            trampolines: FxHashSet::default(),
            copies: Vec::new(),
        };
        // what cannot be read is left out; the rest has its names
        found.builder.start_module(OWNERS[0]);
        let _ = found.bpf();
        found.builder.start_module(OWNERS[1]);
        let _ = found.ftrace();
        found.builder.start_module(OWNERS[2]);
        for (cache, name) in
            [("kprobe_insn_slots", "kprobe_insn_page"), ("kprobe_optinsn_slots", "kprobe_optinsn_page")]
        {
            let _ = found.slots(cache, name);
        }
        Self { table: found.builder.build(), copies: found.copies }
    }
}

struct Found<'s> {
    s: &'s Session,
    builder: SymbolTableBuilder,
    /// Where ftrace's trampolines begin.
    trampolines: FxHashSet<VirtAddr>,
    copies: Vec<(VirtAddr, VirtAddr, VirtAddr)>,
}

impl Found<'_> {
    fn variable(&self, name: &str) -> Option<VirtAddr> {
        self.s.kernel_symbols().table.addr(name)
    }

    fn add(&mut self, name: &str, start: VirtAddr, end: VirtAddr) {
        let size = end.0.wrapping_sub(start.0);
        if self.s.beside_image(start) && size < LONGEST && size > 0 && self.builder.len() < MAX {
            self.builder.push(name.as_bytes(), start.0, size, b't');
            self.builder.bound(start.0..end.0);
        }
    }

    fn bpf(&mut self) -> Result<()> {
        let Some(head) = self.variable("bpf_kallsyms") else { return Ok(()) };
        let mem = self.s.mem();
        let (b, aux) = (self.s.bind::<BpfKsym>(), self.s.bind::<BpfProgAux>());
        if b.lnode.exists() {
            for link in list(mem, head).take(MAX) {
                let at = b.lnode.container(link?)?;
                self.add(&b.name.text(mem, at)?, b.start.ptr(mem, at)?, b.end.ptr(mem, at)?);
            }
        } else if aux.lnode.exists() {
            let prog = self.s.bind::<BpfProg>();
            for link in list(mem, head).take(MAX) {
                let at = aux.lnode.container(link?)?;
                let of = aux.prog.ptr(mem, at)?;
                let tag = crate::hex(&mem.bytes(prog.tag.at(of)?, 8)?);
                // programs have names since 4.15 (067cae47771c)
                let own = aux.name.text(mem, at).unwrap_or_default();
                let name =
                    if own.is_empty() { format!("bpf_prog_{tag}") } else { format!("bpf_prog_{tag}_{own}") };
                let start = prog.bpf_func.ptr(mem, of)?;
                self.add(&name, start, start.add(u64::from(prog.jited_len.u32(mem, of)?)));
            }
        }
        Ok(())
    }

    fn ftrace(&mut self) -> Result<()> {
        let (b, mem) = (self.s.bind::<FtraceOps>(), self.s.mem());
        if !b.trampoline.exists() {
            return Ok(());
        }
        if let Some(head) = self.variable("ftrace_ops_trampoline_list") {
            for link in list(mem, head).take(MAX_TRACERS) {
                self.trampoline(&b, b.list.container(link?)?)?;
            }
        }
        let (first, end) = (self.variable("ftrace_ops_list"), self.variable("ftrace_list_end"));
        let mut ops = first.map_or(Ok(VirtAddr(0)), |at| mem.ptr(at))?;
        for _ in 0..MAX_TRACERS {
            if ops.is_null() || Some(ops) == end {
                break;
            }
            self.trampoline(&b, ops)?;
            let next = b.next.ptr(mem, ops)?;
            // what ends the list may have no name; it leads nowhere
            if next == ops {
                break;
            }
            ops = next;
        }
        Ok(())
    }

    fn trampoline(&mut self, b: &FtraceOps, ops: VirtAddr) -> Result<()> {
        let mem = self.s.mem();
        let start = b.trampoline.ptr(mem, ops)?;
        if !self.s.beside_image(start) || !self.trampolines.insert(start) {
            return Ok(());
        }
        // without its size: the page that it has to itself
        let size = b.trampoline_size.u64(mem, ops).ok().filter(|size| *size != 0 && *size < LONGEST);
        let end = size.map_or(start.page_base().add(base::GRANULE), |size| start.add(size));
        self.add("ftrace_trampoline", start, end);
        if let Some(original) = self.original(start, end) {
            self.copies.push((start, end, original));
        }
        Ok(())
    }

    /// What a trampoline is a copy of, where the code that calls tracers has been put in: the one that has more of its bytes.
    fn original(&self, start: VirtAddr, end: VirtAddr) -> Option<VirtAddr> {
        let len = usize::try_from(end.0.wrapping_sub(start.0).min(COMPARED)).ok()?;
        let own = self.s.mem().bytes(start, len).ok()?;
        let same = |at: VirtAddr| {
            let code = self.s.mem().bytes(at, len).ok()?;
            Some(code.iter().zip(own.iter()).filter(|(a, b)| a == b).count())
        };
        let all = ["ftrace_regs_caller", "ftrace_caller"].into_iter().filter_map(|name| self.variable(name));
        let (same, at) = all.filter_map(|at| Some((same(at)?, at))).max_by_key(|(same, _)| *same)?;
        // more than chance gives
        (same * 2 > len).then_some(at)
    }

    fn slots(&mut self, cache: &str, name: &str) -> Result<()> {
        let Some(cache) = self.variable(cache) else { return Ok(()) };
        let (b, page, mem) = (self.s.bind::<InsnCache>(), self.s.bind::<InsnPage>(), self.s.mem());
        for link in list(mem, b.pages.at(cache)?).take(MAX) {
            let start = page.insns.ptr(mem, page.list.container(link?)?)?;
            self.add(name, start, start.add(self.s.page_size()));
        }
        Ok(())
    }
}

impl Session {
    fn made_code(&self) -> &MadeCode {
        self.fact_at_hand().unwrap_or_else(|| {
            // types may still have to be inferred, which asks for code
            let _ = self.types();
            self.fact::<MadeCode>()
        })
    }

    /// The symbols of code that was made at run time.
    pub fn made_symbols(&self) -> &SymbolTable {
        &self.made_code().table
    }

    /// The symbol of made code that an address lies in, and how far into it.
    pub(crate) fn made_at(&self, at: VirtAddr) -> Option<(Symbol<'_>, u64)> {
        if self.beside_image(at) || self.is_log() { self.made_symbols().at(at) } else { None }
    }

    /// The symbols of made code, for a name that such code can have.
    pub(crate) fn made_named(&self, name: &str, owner: Option<&str>) -> Option<&SymbolTable> {
        let by_owner = owner.is_none_or(|owner| OWNERS.contains(&owner));
        (by_owner && PREFIXES.iter().any(|prefix| name.starts_with(prefix))).then(|| self.made_symbols())
    }

    /// True in the code that an optimised kprobe jumps to.
    pub(crate) fn is_detour(&self, at: VirtAddr) -> bool {
        self.made_at(at).is_some_and(|(symbol, _)| symbol.name == "kprobe_optinsn_page")
    }

    /// For an address in one of ftrace's trampolines: the same place in the code of the image that it is a copy of.
    pub(crate) fn copied_from(&self, at: VirtAddr) -> Option<VirtAddr> {
        if !self.beside_image(at) {
            return None;
        }
        let (start, _, original) =
            self.made_code().copies.iter().find(|(start, end, _)| (*start..*end).contains(&at))?;
        Some(original.add(at.0 - start.0))
    }
}

#[cfg(test)]
#[path = "made_tests.rs"]
mod tests;
