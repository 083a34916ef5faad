//! What an entry of a kernel's list must hold to be one: a list that leads astray, or memory that was overwritten, shows
//! numbers where a task or a module is expected, and every number could be shown. One question is asked of all kinds of
//! entries: what of it cannot be. What a single member contradicts is not known; an entry that most of its members
//! contradict is none.
//!
//! Sources: include/linux/threads.h (`PID_MAX_LIMIT`), include/linux/sched.h (`TASK_COMM_LEN`), arch/*/include/asm
//! (`MODULES_VADDR`, `MODULES_END`).

use crate::error::KernelError;
use crate::module::{Module, ModuleMemory};
use crate::sched::task::Task;
use crate::session::Session;
use base::{PAGE_SIZE, VirtAddr, VirtRead};

/// `PID_MAX_LIMIT`: ids are below it.
const PID_MAX: i32 = 4 << 20;
/// No module has as much memory, not even one with all of a compiler's checks.
const MODULE_MAX: u64 = 512 << 20;
/// So many members that contradict an entry make it none.
const NONE_AT: usize = 2;

/// The error for an entry that is none.
pub(crate) fn not_one(what: &'static str, at: VirtAddr, kind: &str, why: &str) -> KernelError {
    KernelError::Damaged { what, at, why: format!("it cannot be a {kind}: {why}") }
}

/// True where the whole page around an address holds zeros: what stands there for memory that is missing.
pub(crate) fn is_zero_page(mem: &dyn VirtRead, at: VirtAddr) -> bool {
    let page = VirtAddr(at.0 - at.page_offset());
    mem.bytes(page, PAGE_SIZE as usize).is_ok_and(|bytes| bytes.iter().all(|b| *b == 0))
}

/// A value of a variable that is 0 in few kernels: on a page of zeros it is not known.
///
/// # Errors
/// Where it is not known.
pub(crate) fn not_zeros(
    mem: &dyn VirtRead,
    what: &'static str,
    at: VirtAddr,
    value: u64,
) -> Result<u64, KernelError> {
    if value == 0 && is_zero_page(mem, at) {
        return Err(KernelError::Damaged { what, at, why: "its whole page holds zeros".to_owned() });
    }
    Ok(value)
}

/// Why a number can be no task's id.
pub(crate) fn wrong_id(what: &str, id: i32) -> Option<String> {
    (!(0..PID_MAX).contains(&id)).then(|| format!("its {what} is {id}"))
}

/// Why bytes can be no task's name: it ends with a NUL.
pub(crate) fn wrong_name(raw: &[u8]) -> Option<String> {
    (!raw.contains(&0)).then(|| "its comm has no end".to_owned())
}

/// What the members of a task point to, as far as it is known.
pub(crate) struct Pointers {
    pub(crate) signal: Option<VirtAddr>,
    pub(crate) cred: Option<VirtAddr>,
}

/// Takes out of a task what cannot be, and says what that was.
///
/// # Errors
/// When so much of it cannot be that it is no task.
pub(crate) fn task(s: &Session, t: &mut Task, to: &Pointers) -> Result<(), KernelError> {
    let is_object = |at: VirtAddr| at.is_null() || s.arch().is_kernel(at) && at.0.is_multiple_of(8);
    let mut wrong = Vec::new();
    let mut check = |name: &str, value: &mut Option<VirtAddr>, is: &dyn Fn(VirtAddr) -> bool| {
        if let Some(at) = value.filter(|at| !is(*at)) {
            wrong.push(format!("its {name} is {:#x}", at.0));
            *value = None;
        }
    };
    check("stack", &mut t.stack, &|at| is_object(at) && at.0.is_multiple_of(PAGE_SIZE));
    check("mm", &mut t.mm, &is_object);
    check("signal", &mut to.signal.clone(), &is_object);
    check("cred", &mut to.cred.clone(), &is_object);
    if let Some(cpu) = t.cpu.filter(|cpu| !s.cpus().possible.is_empty() && !s.cpus().possible.contains(cpu))
        && s.cpus().otherwise.is_none()
    {
        wrong.push(format!("its cpu is {cpu}"));
        t.cpu = None;
    }
    if wrong.len() >= NONE_AT {
        return Err(not_one("task_struct", t.at, "task", &wrong.join(", ")));
    }
    t.wrong = wrong.pop().map(|wrong| format!("{wrong}, which no task's is"));
    Ok(())
}

/// Why a run of memory can be no module's.
fn wrong_run(s: &Session, run: &ModuleMemory) -> Option<String> {
    let [image, _, modules] = s.arch().image_range();
    let end = run.base.0.checked_add(run.size);
    let fits = s.arch().is_kernel(run.base)
        && run.size <= MODULE_MAX
        && end.is_some_and(|end| run.base < image || run.base >= modules || end <= modules.0)
        && !(s.in_image(run.base) || end.is_some_and(|end| run.size > 0 && s.in_image(VirtAddr(end - 1))));
    (!fits).then(|| format!("its {} is {} bytes at {:#x}", run.kind, run.size, run.base.0))
}

/// Why a module can be none: memory that no module has.
pub(crate) fn module(s: &Session, m: &Module) -> Result<(), KernelError> {
    let runs = m.memory.iter().chain(&m.init);
    match runs.clone().find_map(|run| wrong_run(s, run)) {
        Some(why) => Err(not_one("struct module", m.at, "module", &why)),
        None if m.memory.is_empty() => {
            Err(not_one("struct module", m.at, "module", "it has no memory that stays"))
        }
        None => Ok(()),
    }
}

/// Two modules of which one lies in the other's memory: one of them is not what it says.
pub(crate) fn overlap(all: &[Module]) -> Option<KernelError> {
    let mut runs: Vec<(u64, u64, &Module)> = all
        .iter()
        .flat_map(|m| m.memory.iter().map(move |run| (run.base.0, run.base.0.saturating_add(run.size), m)))
        .filter(|(start, end, _)| start < end)
        .collect();
    runs.sort_by_key(|(start, ..)| *start);
    runs.windows(2).find_map(|pair| match pair {
        [(_, end, one), (start, _, other)] if start < end && one.at != other.at => {
            let why = format!("{} and {} have the same memory at {start:#x}", one.name, other.name);
            Some(KernelError::Damaged { what: "struct module", at: other.at, why })
        }
        _ => None,
    })
}
