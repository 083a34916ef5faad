//! What the dump lost by which a verdict would say more. The statements themselves stay true without it; whoever takes a
//! verdict for whole, a script above all, has to know that it is not.

use crate::case::Case;
use crate::code::function::Code;
use crate::code::roles;
use crate::context::syscall;
use crate::model::{Context, Doing, Lack, Loss, Lost, Operand, Says, Verdict, Who};
use crate::victim::frames::Victim;
use base::{Fault, GRANULE, VirtAddr};
use kernel::log::lines::Lines;
use kernel::machine::system;
use kernel::module::taint;
use kernel::sched::times::latest_clock;
use kernel::stack::backtrace::Start;
use kernel::stack::stacks::task_stack;
use kernel::{KernelError, Session};

/// What is lost of a verdict that is complete but for that; of one in three lines what those rest on.
pub(crate) fn of(case: &Case<'_>, v: &Verdict, brief: bool) -> Vec<Loss> {
    let s = case.s;
    if s.is_log() {
        return Vec::new(); // nothing that a log should have
    }
    let mut out = Vec::new();
    let log = Lines::of(s).map_or_else(Some, |lines| lines.stopped.as_ref());
    out.extend(lost(Lost::Log, log));
    out.extend(operands(v));
    out.extend(code(s, v));
    out.extend(callers(case, v));
    if brief {
        return out;
    }
    out.extend(lost(Lost::Modules, s.modules_problem()));
    out.extend(lost(Lost::ModuleName, s.misnamed_module()));
    if let Some(why) = s.tasks().lack() {
        out.push(Loss { what: Lost::Tasks, why });
    }
    out.extend(types(s));
    out.extend(module_types(s, v));
    out.extend(lost(Lost::Taints, taint::mask(s).err().as_ref()));
    out.extend(module_taints(s));
    // another witness serves as well
    let is_told = system::release(s).is_some() && system::version(s).is_some();
    out.extend(lost(Lost::Release, system::utsname(s).err().filter(|_| !is_told).as_ref()));
    out.extend(lost(Lost::Time, system::clocks(s).err().as_ref()));
    out.extend(hardware(s, v));
    out.extend(stack(s, &case.victim));
    out.extend(other_cpus(s, v));
    if let Some(task) = case.victim.task {
        out.extend(lost(Lost::Syscalls, syscall::lack(s, &case.victim, task).as_ref()));
    }
    out.extend(call(v));
    out.extend(objects(s, v));
    out.extend(freed(s, v));
    out.extend(waits(case));
    if case.waits.as_ref().is_some_and(|waits| !waits.all.is_empty()) {
        out.extend(lost(Lost::Waited, latest_clock(s).err().as_ref()));
    }
    out
}

/// What the system call was given that the task was in.
fn call(v: &Verdict) -> Option<Loss> {
    let why = v.context.iter().find_map(|statement| match &statement.says {
        Says::Context(Context::Syscall(call)) => call.lost.clone(),
        _ => None,
    })?;
    Some(Loss { what: Lost::Call, why })
}

/// The hardware's name, where no report of the kernel's has it.
fn hardware(s: &Session, v: &Verdict) -> Option<Loss> {
    let is_named = v
        .context
        .iter()
        .any(|statement| matches!(&statement.says, Says::Context(Context::Kernel { hardware: Some(_), .. })));
    if is_named {
        return None;
    }
    lost(Lost::Hardware, kernel::machine::dmi::strings(s).err().as_ref())
}

/// What a task waits for that sleeps without end.
fn waits(case: &Case<'_>) -> Option<Loss> {
    let all = &case.waits.as_ref()?.all;
    let (wait, why) = all.iter().find_map(|wait| Some((wait, wait.lost.clone()?)))?;
    Some(Loss { what: Lost::Wait(Who::of(wait.task)), why })
}

fn lost(what: Lost, why: Option<&KernelError>) -> Option<Loss> {
    why.filter(|e| e.is_loss()).map(|e| Loss { what, why: e.to_string() })
}

/// The code of the function that failed, where it cannot be followed.
fn code(s: &Session, v: &Verdict) -> Option<Loss> {
    let at = v.undetermined.iter().find_map(|lack| match lack {
        Lack::Code(at) => Some(VirtAddr(*at)),
        _ => None,
    })?;
    let what = Lost::Code(at.0);
    let Some((start, end)) = Code::range(s, at) else {
        let is_lost = s.kernel_symbols().is_lost
            || s.module_at(at).is_some_and(|m| s.symbols_lost_of(m).is_some_and(|e| e.is_loss()));
        let why = "the symbols around it are not in the dump".to_owned();
        return is_lost.then_some(Loss { what, why });
    };
    lost_page(s, start, end).map(|fault| Loss { what, why: fault.to_string() })
}

/// The operands of the condition and of the access.
fn rows(v: &Verdict) -> impl Iterator<Item = &Operand> {
    let condition = v.condition.iter().flat_map(|c| &c.operands);
    condition.chain(v.access.iter().flat_map(|a| &a.operands))
}

/// The code of the frames that could have kept a value which is gone.
fn callers(case: &Case<'_>, v: &Verdict) -> Option<Loss> {
    rows(v).find(|row| row.value.is_none() && !row.lost)?;
    let from = v.victim.as_ref()?.frame?;
    let frames = case.victim.named(case.s, from).take(MAX_KEEPERS);
    frames.map(|(frame, _)| frame.lookup()).find_map(|at| {
        let (start, end) = Code::range(case.s, at)?;
        let fault = lost_page(case.s, start, end)?;
        Some(Loss { what: Lost::Code(at.0), why: fault.to_string() })
    })
}

/// So many frames may have kept a value in a register or on the stack.
const MAX_KEEPERS: usize = 4;

/// Values of the condition or access whose memory is not there.
fn operands(v: &Verdict) -> Option<Loss> {
    let row = rows(v).find(|row| row.lost)?;
    Some(Loss { what: Lost::Value(row.name.to_string()), why: "its memory is not in the dump".into() })
}

/// The kernel's own types, where the dump has them and they cannot be read.
fn types(s: &Session) -> Option<Loss> {
    let wanted = s.kernel_btf().is_none() && s.vmlinux().is_none() && !s.opened().ignore_btf;
    Some(Loss { what: Lost::Types, why: s.type_problems().first().filter(|_| wanted)?.clone() })
}

/// The types of the module that the place is in, where the dump has them, they cannot be read, and no file has them.
fn module_types(s: &Session, v: &Verdict) -> Option<Loss> {
    let name = v.place.as_ref()?.module.as_ref()?;
    let module = s.module_named(name)?;
    if s.module_file_at_hand(module).is_some() {
        return None;
    }
    let why = s.load_module_types(module).err()?;
    Some(Loss { what: Lost::ModuleTypes(name.clone()), why })
}

fn module_taints(s: &Session) -> Option<Loss> {
    let mut all = s.modules().iter().filter(|_| kernel::module::tells_taints(s));
    let name = &all.find(|m| m.taints.is_none())?.name;
    Some(Loss { what: Lost::ModuleTaints(name.clone()), why: "its page is not in the dump".into() })
}

/// The frames that the verdict's stack would have, or their names.
fn stack(s: &Session, victim: &Victim<'_>) -> Option<Loss> {
    let lack = |why: String| Some(Loss { what: Lost::Stack, why });
    let bt = victim.bt.as_ref()?;
    if let Some(why) = bt.lack(s) {
        return lack(why);
    }
    let frames = &bt.unwound.frames;
    if let Some(fault) = victim.task.and_then(|task| {
        let own = task_stack(s, task);
        // below the innermost frame lies nothing that counts
        let begins = match (bt.start, frames.first()) {
            (Start::Stack | Start::Nowhere | Start::Log, _) => own.start,
            (_, Some(first)) if own.contains(first.sp) => first.sp,
            _ => own.start,
        };
        lost_page(s, begins, own.end)
    }) {
        return lack(fault.to_string());
    }
    let nameless = frames.iter().find(|f| !f.how.is_guess() && s.locate(f.lookup()).is_none())?;
    let at = nameless.pc.0;
    if s.kernel_symbols().is_lost {
        return lack(format!("the symbol at {at:#x} is not in the dump"));
    }
    let module = s.module_at(nameless.pc)?;
    let why = s.symbols_lost_of(module).filter(KernelError::is_loss)?;
    lack(format!("the symbols of module {}: {why}", module.name))
}

/// Whether what a function was given to free was free before, where the allocator's data that tell it are lost.
fn freed(s: &Session, v: &Verdict) -> Option<Loss> {
    v.reporter.as_ref().filter(|reporter| roles::is_freeing(&reporter.function))?;
    let mut values = v.condition.iter().flat_map(|c| &c.operands).filter_map(Operand::number);
    values.find_map(|at| {
        let why = kernel::mm::slub::lost_at(s, VirtAddr(at))?.to_string();
        Some(Loss { what: Lost::State(at), why })
    })
}

/// The stack of another CPU of which it is not known what it did.
fn other_cpus(s: &Session, v: &Verdict) -> Option<Loss> {
    let busy = v.context.iter().find_map(|statement| match &statement.says {
        Says::Context(Context::Cpus { busy, .. }) => Some(busy),
        _ => None,
    })?;
    busy.iter().filter(|one| matches!(one.doing, Doing::Unknown)).find_map(|one| {
        let cpu = one.cpu?;
        let why = s.backtrace(s.tasks().on_cpu(cpu)?).lack(s)?;
        Some(Loss { what: Lost::CpuStack(cpu), why })
    })
}

/// The first page of a range of kernel memory that the dump lost.
fn lost_page(s: &Session, from: VirtAddr, to: VirtAddr) -> Option<Fault> {
    let mut next = (from < to).then_some(from);
    while let Some(at) = next {
        if let Some(fault) = s.mem().u8(at).err().filter(Fault::is_loss) {
            return Some(fault);
        }
        next = page_behind(at).filter(|at| *at < to);
    }
    None
}

/// The page behind that of an address; none behind the last of the address space.
fn page_behind(at: VirtAddr) -> Option<VirtAddr> {
    at.page_base().0.checked_add(GRANULE).map(VirtAddr)
}

/// The structs that the verdict speaks of, and the objects that its pointers lead to.
fn objects(s: &Session, v: &Verdict) -> Option<Loss> {
    let structs = v.condition.iter().flat_map(|c| &c.objects).filter_map(|object| {
        let size = s.types().size_of(object.ty).ok()?.min(MAX_OBJECT);
        let fault = lost_page(s, VirtAddr(object.at), VirtAddr(object.at.checked_add(size)?))?;
        Some(Loss { what: Lost::Object(format!("*{}", object.expr.for_reader())), why: fault.to_string() })
    });
    let met = v.objects.iter().filter(|o| !o.met.unread().is_empty()).map(|o| Loss {
        what: Lost::Past(o.met.begin().0),
        why: format!("{} is not in the dump", o.met.unread().join(", ")),
    });
    structs.chain(met).next()
}

/// No struct of the kernel is longer.
const MAX_OBJECT: u64 = 1 << 20;
