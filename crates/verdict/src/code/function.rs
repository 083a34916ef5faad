//! A function's code as it is in the dump's memory, sliced.

use crate::model::{CodeAt, CodeLine};
use arch::dataflow::{Flow, Function, Known, MAX_BYTES, Mem};
use base::VirtAddr;
use debuginfo::symtab::base_name;
use kernel::Session;
use kernel::stack::called::only_named;
use std::rc::Rc;

/// A function with its data flow.
pub(crate) struct Code {
    pub(crate) function: Function,
    pub(crate) flow: Flow,
    /// The function's name without the compiler's suffixes.
    pub(crate) name: String,
    /// As the symbol has it.
    pub(crate) symbol: String,
    pub(crate) entry: VirtAddr,
    pub(crate) module: Option<String>,
    /// False where the compiler changed the parameters (`.isra`, `.constprop`, `.part`).
    pub(crate) whole: bool,
}

/// Functions that do not return; what follows their calls is other code. The names are facts of the kernel's
/// sources (`__noreturn`; tools/objtool/noreturns.h lists most).
const NO_RETURN: &[&str] = &[
    "panic",
    "vpanic",
    "nmi_panic",
    "do_exit",
    "do_group_exit",
    "make_task_dead",
    "rewind_stack_and_make_dead",
    "rewind_stack_do_exit",
    "__stack_chk_fail",
    "__fortify_panic",
    "fortify_panic",
    "usercopy_abort",
    "lbug_with_loc",
    "machine_real_restart",
    "stop_this_cpu",
    "cpu_bringup_and_idle",
    "x86_64_start_kernel",
    "start_kernel",
    "rest_init",
    "arch_call_rest_init",
    "__module_put_and_kthread_exit",
    "__module_put_and_exit",
    "kthread_exit",
    "kthread_complete_and_exit",
    "complete_and_exit",
    "__kunit_abort",
    "kunit_try_catch_throw",
    "ex_handler_msr_mce",
    "do_task_dead",
    "hlt_play_dead",
    "mwait_play_dead",
    "__ubsan_handle_builtin_unreachable",
    "__invalid_creds",
    "btrfs_assertfail",
    "xen_start_kernel",
    "sev_es_terminate",
    "snp_abort",
    "arch_cpu_idle_dead",
    "cpu_startup_entry",
];

/// More cases than a switch has.
const MAX_TABLE: u64 = 1024;

impl Code {
    /// First address and first behind of the function around an address, as far as its code is looked at.
    pub(crate) fn range(s: &Session, at: VirtAddr) -> Option<(VirtAddr, VirtAddr)> {
        let start = s.locate(at)?.symbol.addr;
        Some((start, start.add(span(s, start)?)))
    }

    /// The function around an address, with its cold part where it has one.
    pub(crate) fn around(s: &Session, at: VirtAddr) -> Option<Rc<Self>> {
        // code whose values are not followed says nothing
        let lift = s.arch().lift().ok()?;
        let here = s.locate(at)?;
        let symbol = here.symbol.name.to_owned();
        let module = here.symbol.module.map(str::to_owned);
        let main_name = symbol.split(".cold").next().unwrap_or(&symbol).to_owned();
        let main = if main_name == symbol {
            here.symbol.addr
        } else {
            only_named(s, &main_name, module.as_deref())?
        };
        let mut parts: Vec<(u64, Vec<u8>)> = vec![(main.0, bytes(s, main)?)];
        let cold = if main_name == symbol {
            ["", ".0", ".1"]
                .iter()
                .find_map(|n| only_named(s, &format!("{main_name}.cold{n}"), module.as_deref()))
        } else {
            Some(here.symbol.addr)
        };
        if let Some(cold) = cold
            && let Some(code) = bytes(s, cold)
        {
            parts.push((cold.0, code));
        }
        let slices: Vec<(u64, &[u8])> = parts.iter().map(|(at, b)| (*at, b.as_slice())).collect();
        let warnings = kernel::module::bug::warnings_within(s, &slices);
        let known = Known {
            resumes: &|ip| warnings.contains(&ip),
            returns: &|target| returns(s, target),
            table: &|m| jump_table(s, m, &slices),
        };
        let function = lift.lift(&slices, &known);
        let flow = Flow::of(&function);
        let whole = ![".isra", ".constprop", ".part"].iter().any(|suffix| main_name.contains(suffix));
        Some(Rc::new(Self {
            function,
            flow,
            name: base_name(&main_name).to_owned(),
            symbol: main_name,
            entry: main,
            module,
            whole,
        }))
    }

    /// The argument registers in order.
    pub(crate) fn arguments(&self) -> &'static [usize] {
        self.function.convention().regs.roles.arguments
    }

    /// The direct call that returns to an address, and the name of the function that it calls.
    pub(crate) fn callee<'s>(&self, s: &'s Session, ret: u64) -> Option<(u64, &'s str)> {
        let (call, _) = self.function.call_before(ret)?;
        let found = s.locate(VirtAddr(self.function.target(call)?)).filter(|l| l.offset == 0)?;
        Some((call, found.symbol.name))
    }

    /// `+0x4e` for an address of the function.
    pub(crate) fn offset(&self, at: u64) -> CodeAt {
        let within = at.checked_sub(self.entry.0).filter(|o| *o < MAX_BYTES as u64);
        within.map_or(CodeAt::Address(at), CodeAt::Offset)
    }

    /// An instruction, as the disassembler has it.
    pub(crate) fn line(&self, at: u64) -> CodeLine {
        let text = self.function.text(at).unwrap_or_default();
        CodeLine::Instruction { at: self.offset(at), text, jump: None, names: Vec::new() }
    }
}

/// False for the functions that never return.
fn returns(s: &Session, target: u64) -> bool {
    let Some(l) = s.locate(VirtAddr(target)) else { return true };
    l.offset != 0 || !NO_RETURN.contains(&l.symbol.name)
}

/// The targets in a jump table: as many words as point into the function.
fn jump_table(s: &Session, m: &Mem, parts: &[(u64, &[u8])]) -> Vec<u64> {
    let start = VirtAddr(m.disp.cast_unsigned());
    (0..MAX_TABLE)
        .map_while(|n| s.mem().ptr(start.add(n * 8)).ok())
        .map(|to| to.0)
        .take_while(|to| parts.iter().any(|(at, code)| to.wrapping_sub(*at) < code.len() as u64))
        .collect()
}

/// How many bytes the function has that begins there.
fn span(s: &Session, start: VirtAddr) -> Option<u64> {
    Some(s.locate(start)?.span?.min(MAX_BYTES as u64))
}

fn bytes(s: &Session, start: VirtAddr) -> Option<Vec<u8>> {
    s.mem().bytes(start, usize::try_from(span(s, start)?).ok()?).ok()
}
