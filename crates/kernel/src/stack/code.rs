//! What unwinding asks about code, answered by a session: ORC and call frame information of the kernel and its modules, what
//! a function's own code does to the stack, and what tracers took from it.

use crate::error::KernelError;
use crate::module;
use crate::sched::task::Task;
use crate::session::{Fact, Memo, Session};
use crate::stack::swapped::Tracers;
use arch::FrameShape;
use base::{Fault, VirtAddr};
use debuginfo::cfi::CfiRow;
use debuginfo::orc::{OrcBase, OrcBp, OrcEntry, OrcKind, OrcTable};
use debuginfo::symtab::Symbol;
use unwind::Code;

/// More bytes than any function of a kernel has.
pub(super) const FUNCTION_MAX: u64 = 1 << 17;

/// The code of a session, for the unwinder.
pub(crate) struct SessionCode<'s> {
    pub(crate) session: &'s Session,
    /// Only what is at hand serves: no debug file of a module is unpacked or fetched, and beside the kernel's ORC no index
    /// of its call frame information is made.
    pub(crate) at_hand: bool,
    /// The task whose stack it is, as far as that is known: what tracers took from stacks is noted by task.
    task: Option<VirtAddr>,
    tracers: &'s Tracers,
}

impl<'s> SessionCode<'s> {
    pub(crate) fn new(session: &'s Session, task: Option<&Task>) -> Self {
        let task = task.map(|task| task.at);
        Self { session, at_hand: false, task, tracers: session.fact::<Tracers>() }
    }
    pub(crate) fn at_hand(session: &'s Session, task: Option<&Task>) -> Self {
        Self { at_hand: true, ..Self::new(session, task) }
    }
}

impl SessionCode<'_> {
    /// The table that describes an instruction, and the place that it describes: that of which the code is a copy.
    fn table(&self, pc: VirtAddr) -> Option<(OrcTable, VirtAddr)> {
        let s = self.session;
        if s.in_image(pc) {
            return Some((s.kernel_orc()?, pc));
        }
        match s.module_at(pc) {
            Some(module) => Some((s.module_orc(module.at)?, pc)),
            None => Some((s.kernel_orc()?, s.copied_from(pc)?)),
        }
    }
}

impl Code for SessionCode<'_> {
    fn is_text(&self, pc: VirtAddr) -> bool {
        self.session.is_text(pc)
    }
    fn orc(&self, pc: VirtAddr) -> Option<OrcEntry> {
        let s = self.session;
        match self.table(pc) {
            Some((table, at)) => table.find(s.mem(), at),
            None => {
                let is_made = !s.in_image(pc) && s.module_at(pc).is_none() && s.copied_from(pc).is_none();
                (is_made && s.is_detour(pc)).then(|| detour(s))
            }
        }
    }
    fn lost_table(&self, pc: VirtAddr) -> Option<Fault> {
        let s = self.session;
        match self.table(pc) {
            Some((table, at)) => table.lookup(s.mem(), at).err().filter(Fault::is_missing),
            None if s.in_image(pc) => s.fact::<Orc>().lost,
            None => s.module_at(pc).and_then(|module| lost_of_module(s, module.at)),
        }
    }
    fn cfi(&self, pc: VirtAddr) -> Option<CfiRow> {
        let s = self.session;
        let far = |at: VirtAddr| s.module_at(at).is_some_and(|m| s.module_file_at_hand(m).is_none());
        if self.at_hand && (s.in_image(pc) && s.kernel_orc().is_some() || far(pc)) {
            return None;
        }
        s.cfi(pc)
    }
    fn shape(&self, pc: VirtAddr) -> Option<FrameShape> {
        let s = self.session;
        s.fact::<Shapes>().0.get(s, pc, || shape_at(s, pc))
    }
    fn is_nameless(&self, pc: VirtAddr) -> bool {
        let s = self.session;
        s.in_image(pc) && s.locate(pc).is_none() && !s.kernel_symbols().table.is_empty()
    }
    fn are_names_lost(&self) -> bool {
        self.session.kernel_symbols().is_lost
    }
    fn code_pointer(&self, at: u64) -> u64 {
        self.session.opened().machine.code_pointer(at)
    }
    fn function(&self, pc: VirtAddr) -> Option<VirtAddr> {
        self.session.locate(pc).map(|l| l.symbol.addr)
    }
    fn returned_to(&self, slot: VirtAddr, word: VirtAddr, callee: Option<VirtAddr>) -> VirtAddr {
        self.tracers.before(self.session, self.task, slot, word, callee)
    }
    fn is_swapped(&self, pc: VirtAddr) -> bool {
        self.tracers.is_theirs(pc)
    }
}

/// What of a module's table is not in the dump: where it is, or its beginning.
fn lost_of_module(s: &Session, module: VirtAddr) -> Option<Fault> {
    let lost = match module::orc(s, module) {
        Ok(table) => {
            table.and_then(|at| [at.ip, at.entries].into_iter().find_map(|at| s.mem().u64(at).err()))
        }
        Err(KernelError::Fault(fault)) => Some(fault),
        Err(_) => None,
    };
    lost.filter(Fault::is_missing)
}

/// The frame of a kprobe's detour, where it calls the probe: the registers of what was interrupted are on top of the stack.
fn detour(s: &Session) -> OrcEntry {
    let sp = u8::try_from(s.arch().reg_set().sp).unwrap_or(u8::MAX);
    OrcEntry { kind: OrcKind::Regs, base: OrcBase::Reg(sp), offset: 0, bp: OrcBp::Unchanged, signal: true }
}

/// The frame at an instruction by its function's code; for a part that the compiler moved away (`.cold`), by the
/// code that jumps there.
fn shape_at(s: &Session, pc: VirtAddr) -> Option<FrameShape> {
    let located = s.locate(pc)?;
    let code = |at: VirtAddr, len: u64| s.mem().bytes(at, len.min(FUNCTION_MAX) as usize).ok();
    // a few bytes more than up to `pc`: the instruction there has to be whole
    let reach = (located.offset + 16).min(located.span.unwrap_or(u64::MAX));
    let own = located.symbol.addr;
    if !is_moved(&located.symbol) {
        let near = [(own.0, &*code(own, reach)?)];
        // code further on can lead back here
        return s.arch().frames.frame_shape(&near, pc.0).or_else(|| {
            let span = located.span.filter(|span| *span > reach)?;
            s.arch().frames.frame_shape(&[(own.0, &code(own, span)?)], pc.0)
        });
    }
    let parent = moved_from(s, &located.symbol)?.addr;
    let body = code(parent, s.locate(parent)?.span?)?;
    s.arch()
        .frames
        .frame_shape(&[(parent.0, &body), (own.0, &code(own, located.span.unwrap_or(reach))?)], pc.0)
}

/// True for a part of a function that the compiler moved away (`.cold`).
pub(super) fn is_moved(symbol: &Symbol<'_>) -> bool {
    symbol.name.contains(".cold")
}

/// The function that a part was moved away from: of several with its name the nearest.
pub(super) fn moved_from<'s>(s: &'s Session, part: &Symbol<'_>) -> Option<Symbol<'s>> {
    let (main, _) = part.name.split_once(".cold")?;
    let all = s.named(main).into_iter().filter(|p| p.module == part.module);
    all.min_by_key(|p| p.addr.0.abs_diff(part.addr.0))
}

/// The ORC tables, those of modules as far as they were asked for.
#[derive(Default)]
struct Orc {
    kernel: Option<OrcTable>,
    /// Why the kernel's is not there, where the kernel has one.
    lost: Option<Fault>,
    modules: Memo<VirtAddr, Option<OrcTable>>,
}

impl Fact for Orc {
    fn read(s: &Session) -> Self {
        let kernel = OrcTable::kernel(s.mem(), &|name| s.symbol(name));
        let entries = s.symbol("__start_orc_unwind").filter(|_| kernel.is_none());
        let lost = entries.and_then(|at| s.mem().u64(at).err()).filter(Fault::is_missing);
        Self { kernel, lost, modules: Memo::default() }
    }
}

/// The frames at instructions, by their functions' code.
#[derive(Default)]
struct Shapes(Memo<VirtAddr, Option<FrameShape>>);

impl Fact for Shapes {
    fn read(_: &Session) -> Self {
        Self::default()
    }
}

impl Session {
    /// The kernel's ORC table in its own memory.
    pub fn kernel_orc(&self) -> Option<OrcTable> {
        self.fact::<Orc>().kernel
    }

    pub(crate) fn module_orc(&self, module: VirtAddr) -> Option<OrcTable> {
        let orc = self.fact::<Orc>();
        orc.modules.get(self, module, || {
            let at = module::orc(self, module).ok()??;
            OrcTable::module(self.mem(), at.ip, at.entries, at.count, orc.kernel.as_ref())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::kernel::Kernel;

    #[test]
    fn the_detour_of_a_kprobe_has_the_registers_of_what_it_left() {
        const PAGE: u64 = 0xffff_ffff_c000_0000;
        let mut k = Kernel::new();
        k.list_head();
        k.structure("kprobe_insn_cache", 88, &[("pages", 56, "list_head")]);
        k.structure("kprobe_insn_page", 40, &[("list", 0, "list_head"), ("insns", 16, "*u8")]);
        let memory = k.memory(4096);
        k.map(PAGE, memory);
        let (cache, page) = (k.variable("kprobe_optinsn_slots", 88), k.object("kprobe_insn_page"));
        k.word(page + 16, PAGE).link(cache + 56, &[page]);
        let s = crate::testing::session(&k);
        let code = SessionCode::new(&s, None);
        let entry = code.orc(VirtAddr(PAGE + 0x34)).unwrap();
        let sp = OrcBase::Reg(u8::try_from(s.arch().reg_set().sp).unwrap());
        assert_eq!((entry.kind, entry.base, entry.offset, entry.signal), (OrcKind::Regs, sp, 0, true));
        assert_eq!(code.orc(VirtAddr(PAGE + 0x1034)), None);
    }
}
