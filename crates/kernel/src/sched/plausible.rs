//! What a `task_struct` must hold to be one.
//!
//! Sources: include/linux/threads.h (`PID_MAX_LIMIT`), include/linux/sched.h (`TASK_COMM_LEN`).

use crate::error::KernelError;
use crate::plausible::not_one;
use crate::sched::task::Task;
use crate::session::Session;
use base::{GRANULE, VirtAddr};

/// `PID_MAX_LIMIT`: ids are below it.
pub(super) const PID_MAX: i32 = 4 << 20;
/// So many members that contradict an entry make it none.
const NONE_AT: usize = 2;

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
    pub(crate) active_mm: Option<VirtAddr>,
}

/// Why an `mm` is none of a task's, of one that does not run: who has an address space uses it, and who has none uses no
/// other's. Who runs can use another one for a while: the firmware's (`efi_mm`), a temporary one for patching code.
fn wrong_mm(t: &Task, active: Option<VirtAddr>) -> Option<String> {
    let (mm, active) = (t.mm?, active?);
    let differs = match mm.is_null() {
        false => active != mm,
        true => !active.is_null() && t.is_kthread() == Some(false),
    };
    (differs && t.on_cpu == Some(false))
        .then(|| format!("its mm is {:#x} and its active_mm {:#x}", mm.0, active.0))
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
    check("stack", &mut t.stack, &|at| is_object(at) && at.0.is_multiple_of(GRANULE));
    check("mm", &mut t.mm, &is_object);
    check("signal", &mut to.signal.clone(), &is_object);
    check("cred", &mut to.cred.clone(), &is_object);
    if let Some(why) = wrong_mm(t, to.active_mm) {
        wrong.push(why);
        t.mm = None;
    }
    let states = s.task_states();
    if let Some(state) = t.state.filter(|state| !states.can_be(*state)) {
        wrong.push(format!("its __state is {state:#x}"));
        t.state = None;
    }
    if let Some(state) = t.exit_state.filter(|state| !states.can_be_exit(*state)) {
        wrong.push(format!("its exit_state is {state:#x}"));
        t.exit_state = None;
    }
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
