//! What the machine was doing: process, system call, interrupt, work.

use crate::culprit::Scene;
use crate::event::Event;
use crate::files;
use crate::model::{How, Statement};
use arch::Regs;
use base::VirtAddr;
use kernel::bind;
use kernel::task::Task;
use kernel::{Session, syscalls};

bind! {
    /// `struct syscall_metadata` (include/trace/syscall.h, CONFIG_FTRACE_SYSCALLS)
    struct SyscallMetadata("syscall_metadata") { name: "name", count: "nb_args", types: "types", args: "args" }
}

/// The statements of the `CONTEXT` section.
pub(crate) fn of(s: &Session, scene: &Scene<'_>, event: Option<&Event>, from: usize) -> Vec<Statement> {
    let mut out = Vec::new();
    let Some(task) = scene.task else { return out };
    let origin = origin(s, scene, from, event);
    let cpu = event.and_then(|e| e.oops.cpu).unwrap_or(task.cpu);
    out.push(Statement::new(
        How::Memory,
        format!("{}[{}], CPU {cpu}, {}", task.comm, task.pid, origin),
        &[format!("bt {}", task.pid), "ps".into()],
    ));
    if let Some(call) = syscall(s, scene, task) {
        out.push(Statement::new(
            How::Memory,
            call,
            &[format!("bt {}", task.pid), format!("files {}", task.pid)],
        ));
    }
    if let Some(work) = event.and_then(|e| e.oops.workqueue.clone()) {
        out.push(Statement::new(How::Log, format!("workqueue {work}"), &["log".into()]));
    }
    out
}

/// Of a living system: its load, what its CPUs ran.
pub(crate) fn alive(s: &Session) -> Vec<Statement> {
    let mut out = Vec::new();
    if let Ok(load) = kernel::system::load_average(s) {
        let text: Vec<String> = load.iter().map(|l| format!("{}.{:02}", l / 100, l % 100)).collect();
        let up = kernel::system::clocks(s).map(|c| format!(", up {} s", c.uptime_sec)).unwrap_or_default();
        out.push(Statement::new(
            How::Memory,
            format!("load {}{up}; {} tasks", text.join(", "), s.tasks().all.len()),
            &["sys".into(), "ps".into()],
        ));
    }
    for task in s.tasks().all.iter().filter(|t| t.active).take(16) {
        let bt = s.backtrace(task);
        let doing = match bt.start {
            kernel::backtrace::Start::UserMode => "in user mode".to_owned(),
            _ => bt
                .unwound
                .frames
                .first()
                .and_then(|f| s.locate(f.lookup()))
                .map_or_else(|| "in the kernel".into(), |l| format!("in {}", l.symbol.name)),
        };
        let who = if task.pid == 0 { "idle".to_owned() } else { format!("{}[{}]", task.comm, task.pid) };
        out.push(Statement::new(
            How::Memory,
            format!("CPU {}: {who}, {doing}", task.cpu),
            &[format!("bt -c {}", task.cpu)],
        ));
    }
    out
}

/// Names of functions that a kind of context runs under, outermost of it.
const ORIGINS: &[(&str, &str)] = &[
    ("__do_softirq", "softirq"),
    ("handle_softirqs", "softirq"),
    ("run_ksoftirqd", "softirq"),
    ("call_timer_fn", "timer"),
    ("__hrtimer_run_queues", "hrtimer"),
    ("process_one_work", "workqueue"),
    ("irq_thread", "irq thread"),
    ("rcu_do_batch", "RCU callback"),
];

fn origin(s: &Session, scene: &Scene<'_>, from: usize, event: Option<&Event>) -> String {
    let names = frame_names(s, scene, from);
    if names.is_empty()
        && let Some(e) = event.filter(|e| !e.oops.trace.is_empty())
    {
        return by_names(&e.oops.trace, scene);
    }
    by_names(&names, scene)
}

fn by_names(names: &[String], scene: &Scene<'_>) -> String {
    let mut previous = String::new();
    for name in names {
        let name = name.as_str();
        let nmi = matches!(name, "asm_exc_nmi" | "nmi" | "end_repeat_nmi");
        if nmi {
            return "non-maskable interrupt".into();
        }
        let interrupt = name.starts_with("asm_sysvec_")
            || name == "asm_common_interrupt"
            || name == "common_interrupt"
            || name == "ret_from_intr"
            || name == "apic_timer_interrupt";
        if interrupt {
            return "hard interrupt context".into();
        }
        if let Some((_, word)) = ORIGINS.iter().find(|(f, _)| *f == name) {
            return if previous.is_empty() { (*word).into() } else { format!("{word}, {previous}()") };
        }
        previous = name.to_owned();
    }
    match scene.task {
        Some(t) if t.pid == 0 => "idle".into(),
        Some(t) if t.is_kernel() => "kernel thread".into(),
        _ => "process context".into(),
    }
}

/// The functions of the frames from `from` outwards.
pub(crate) fn frame_names(s: &Session, scene: &Scene<'_>, from: usize) -> Vec<String> {
    let frames = scene.bt.as_ref().map(|bt| bt.unwound.frames.as_slice()).unwrap_or_default();
    frames
        .iter()
        .skip(from)
        .filter(|f| !f.how.is_guess())
        .filter_map(|f| s.locate(f.lookup()).map(|l| l.symbol.name.to_owned()))
        .collect()
}

/// The system call that the task was in.
fn syscall(s: &Session, scene: &Scene<'_>, task: &Task) -> Option<String> {
    let frames = &scene.bt.as_ref()?.unwound.frames;
    let last = frames.last()?;
    let saved = last.saved.as_ref().filter(|r| r.user && r.full)?;
    let entry = s.locate(last.lookup())?.symbol.name.to_owned();
    if !(entry.contains("SYSCALL") || entry.starts_with("system_call") || entry.contains("syscall")) {
        return None;
    }
    let number = saved.regs.entry_code()?;
    if number > 4096 {
        return None;
    }
    let function = syscalls::table(s).ok()?.get(usize::try_from(number).ok()?).copied()?;
    let symbol = s.locate(function)?.symbol.name;
    let name = ["__x64_sys_", "__se_sys_", "sys_", "SyS_"]
        .iter()
        .find_map(|p| symbol.strip_prefix(p))
        .unwrap_or(symbol)
        .to_owned();
    Some(call_text(s, task, &name, &saved.regs))
}

fn call_text(s: &Session, task: &Task, name: &str, regs: &Regs) -> String {
    let registers = regs.reg_set().roles.syscall;
    let Some(params) = metadata(s, name) else {
        let values: Vec<String> =
            registers.iter().filter_map(|r| regs.get(*r)).map(|v| format!("{v:#x}")).collect();
        return format!("system call {name}; argument registers {}", values.join(", "));
    };
    let mut words = Vec::new();
    let mut file = None;
    for ((ty, param), &register) in params.iter().zip(registers) {
        let Some(value) = regs.get(register) else { continue };
        let value_text = if ty.contains('*') {
            format!("{value:#x}")
        } else if ty.contains("unsigned") || ty.contains("size_t") {
            size_text(value)
        } else if (ty == "int" || ty == "long") && value >> 63 == 1 {
            value.cast_signed().to_string()
        } else {
            value.to_string()
        };
        if param == "fd" && file.is_none() {
            file = Some(value & 0xffff_ffff);
        }
        words.push(format!("{param}={value_text}"));
    }
    let mut out = format!("system call {name}({})", words.join(", "));
    if let Some(fd) = file
        && let Ok((path, flags)) = files::open_file(s, task, fd)
    {
        out = format!("{out} of {path}");
        for f in flags {
            out = format!("{out}, {f}");
        }
    }
    out
}

/// `1048576 (1 MiB)`
fn size_text(value: u64) -> String {
    match value {
        v if v >= 1 << 20 && v % (1 << 20) == 0 => format!("{v} ({} MiB)", v >> 20),
        v if v >= 1 << 12 && v % (1 << 10) == 0 => format!("{v} ({} KiB)", v >> 10),
        v => v.to_string(),
    }
}

/// Types and names of a system call's parameters, as the kernel's tracer keeps them.
fn metadata(s: &Session, name: &str) -> Option<Vec<(String, String)>> {
    let symbol = ["_", "_sys_"].iter().find_map(|p| s.symbol(&format!("__syscall_meta_{p}{name}")))?;
    let b = s.bind::<SyscallMetadata>();
    let mem = s.mem();
    let count = b.count.num(mem, symbol).ok()? & 0xff;
    let (types, args) = (b.types.ptr(mem, symbol).ok()?, b.args.ptr(mem, symbol).ok()?);
    let text = |array: VirtAddr, n: u64| -> Option<String> {
        let raw = mem.cstr(mem.ptr(array.add(n * 8)).ok()?, 64).ok()?;
        Some(String::from_utf8_lossy(&raw).into_owned())
    };
    (0..count.min(6)).map(|n| Some((text(types, n)?, text(args, n)?))).collect()
}
