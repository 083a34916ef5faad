//! What the machine was doing, in words.

use crate::model::{Base, Context, CpuDoing, Doing, Handler, Layer, LayerKind, Syscall, Task, Whose};
use crate::words::{cpu, joined};
use kernel::module::taint;
use std::fmt;

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Context::Task(task) => task.fmt(f),
            Context::Named { who, cpu } => {
                write!(f, "the log names {who}")?;
                cpu.iter().try_for_each(|cpu| write!(f, " on CPU {cpu}"))
            }
            Context::Syscall(call) => call.fmt(f),
            Context::Process { command, inner, cgroup, container } => {
                let command = command.as_ref().map(|words| format!("command line: {}", shell(words)));
                let inner = inner.map(|pid| format!("PID {pid} in its namespace"));
                let cgroup = cgroup.as_ref().map(|path| format!("cgroup {path}"));
                let container = container.as_ref().map(|id| format!("container {id}"));
                // to the line's end, as a report that leaves out names has it
                f.write_str(&joined([inner, container, cgroup, command].into_iter().flatten(), "; "))
            }
            Context::Workqueue(work) => write!(f, "workqueue {work}"),
            Context::Cpus { whose, busy, more, idle } => {
                f.write_str(match whose {
                    Whose::Others => "other CPUs: ",
                    Whose::All => "CPUs: ",
                    Whose::Unsaid => "",
                })?;
                f.write_str(&cpus(busy, *more, idle))
            }
            Context::Load { load, tasks, at_least } => {
                let load = load.iter().map(|l| format!("{}.{:02}", l / 100, l % 100));
                let at_least = if *at_least { "at least " } else { "" };
                write!(f, "load {}; {at_least}{tasks} tasks", joined(load, ", "))
            }
            Context::Kernel { .. } => f.write_str(&joined(machine(self), "; ")),
            Context::Tainted { letters, modules, more } => tainted(f, letters, modules, *more),
            Context::TaintsLost(why) => write!(f, "whether the kernel is tainted is not known: {why}"),
            Context::Patched { function, role } => write!(f, "{function} is {role}"),
            Context::Patching { name, to_new, yet } => {
                let to = match to_new {
                    Some(true) => "tasks were changing to its functions",
                    Some(false) => "tasks were changing back to the old functions",
                    None => "tasks were changing over",
                };
                write!(f, "live patch {name}: {to}")?;
                yet.iter().try_for_each(|(yet, all)| write!(f, ", {yet} of {all} had yet to"))
            }
            Context::PatchesLost(why) => write!(f, "the list of live patches is not whole: {why}"),
            Context::Exit(code) => exit(f, *code),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.who.fmt(f)?;
        match self.cpu {
            Some(cpu) if self.sleeps => write!(f, ", last ran on CPU {cpu}")?,
            Some(cpu) => write!(f, ", CPU {cpu}")?,
            None => f.write_str(", on which CPU is not known")?,
        }
        match (&self.layers, self.base) {
            (None, _) => Ok(()),
            (Some(layers), None) if layers.is_empty() => {
                f.write_str(", whether it is a thread of the kernel is not known")
            }
            (Some(layers), base) => write!(f, ", {}", descent(layers, base)),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Base::Idle => "idle",
            Base::Process => "process context",
            Base::Thread => "kernel thread",
        })
    }
}

impl LayerKind {
    const fn word(self) -> &'static str {
        match self {
            LayerKind::Timer => "timer",
            LayerKind::Hrtimer => "hrtimer",
            LayerKind::Tasklet => "tasklet",
            LayerKind::SoftirqWork => "work in softirq",
            LayerKind::Work => "work",
            LayerKind::InterruptHandler => "interrupt handler",
            LayerKind::InterruptThread => "interrupt thread",
            LayerKind::CpuCall => "call from another CPU",
            LayerKind::RcuCallback => "RCU callback",
            LayerKind::Notifier => "notifier",
            LayerKind::Init => "init function",
            LayerKind::Asynchronous => "asynchronous function",
            LayerKind::CpuThread => "per-CPU thread",
            LayerKind::TaskWork => "task work",
            LayerKind::Softirq => "softirq",
            LayerKind::Thread => "kernel thread",
            LayerKind::HardInterrupt => "hard interrupt",
            LayerKind::NonMaskable => "non-maskable interrupt",
            LayerKind::MachineCheck => "machine check",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ended {
            f.write_str("at the end of a ")?;
        }
        f.write_str(self.kind.word())?;
        match &self.handler {
            Handler::None => Ok(()),
            Handler::Function(name) => write!(f, " {name}()"),
            // it may have been jumped on to
            Handler::Through(name) => write!(f, " through {name}()"),
        }
    }
}

/// The layers over what was interrupted: `timer my_timer(), in softirq, at the end of a hard interrupt, on top of idle`.
pub(crate) fn descent(layers: &[Layer], base: Option<Base>) -> String {
    let base = base.map_or_else(|| "a task whose kind is not known".to_owned(), |base| base.to_string());
    let (inner, outer) = match layers.iter().rposition(|layer| layer.kind.is_hardware()) {
        Some(n) => layers.split_at(n + 1),
        None => (&[] as &[Layer], layers),
    };
    let below = if outer.is_empty() { base } else { steps(outer) };
    match inner {
        [] => below,
        [only] if only.ended => format!("{only}, on top of {below}"),
        [only] => format!("{only} context, on top of {below}"),
        inner => format!("{}, on top of {below}", steps(inner)),
    }
}

fn steps(layers: &[Layer]) -> String {
    let rest = layers.iter().skip(1).map(|layer| match layer.ended {
        true => format!(", {layer}"),
        false => format!(", in {layer}"),
    });
    layers.first().map(Layer::to_string).into_iter().chain(rest).collect()
}

impl fmt::Display for Syscall {
    /// `system call read(fd=3, buf=0x…, count=1048576 (1 MiB)) of /dev/vda, O_DIRECT`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system call {}", self.name)?;
        match &self.arguments {
            Ok(all) => {
                write!(f, "({})", joined(all.iter().map(|a| format!("{}={}", a.name, a.value)), ", "))?
            }
            Err(registers) => {
                let values = joined(registers.iter().map(|v| format!("{v:#x}")), ", ");
                write!(f, "; argument registers {values}")?;
            }
        }
        for (n, file) in self.files.iter().enumerate() {
            f.write_str(if n == 0 { " " } else { ", " })?;
            match &file.parameter {
                Some(parameter) => write!(f, "{parameter} is {}", file.path)?,
                None => write!(f, "of {}", file.path)?,
            }
            file.flags.iter().try_for_each(|flag| write!(f, ", {flag}"))?;
        }
        Ok(())
    }
}

fn cpus(busy: &[CpuDoing], more: usize, idle: &[Option<u32>]) -> String {
    let mut parts: Vec<String> = busy.iter().map(CpuDoing::to_string).collect();
    if more > 0 {
        parts.push(format!("{more} more busy"));
    }
    match idle {
        [] => {}
        [one] => parts.push(format!("CPU {} idle", cpu(*one))),
        several => parts.push(format!("{} CPUs idle", several.len())),
    }
    parts.join("; ")
}

impl fmt::Display for CpuDoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {} {} ", cpu(self.cpu), self.who)?;
        match &self.doing {
            Doing::User => f.write_str("in user mode"),
            Doing::Panic => f.write_str("in panic()"),
            Doing::In(function) => write!(f, "in {function}"),
            Doing::Nameless => f.write_str("in code whose symbol is not known"),
            Doing::Unknown => f.write_str("at a place that is not known"),
        }
    }
}

fn machine(kernel: &Context) -> Vec<String> {
    let Context::Kernel { release, built, up, hardware } = kernel else { return Vec::new() };
    let built = built.as_ref().map(|(day, age)| match age {
        Some(1) => format!("built {day}, 1 day before the dump"),
        Some(days) => format!("built {day}, {days} days before the dump"),
        None => format!("built {day}"),
    });
    let release = release.as_ref().map(|release| format!("kernel {release}"));
    let up = up.map(|seconds| format!("up {}", duration(seconds)));
    [release, built, up, hardware.clone()].into_iter().flatten().collect()
}

/// `3 days`, `12 min`, `14 s`
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn tainted(
    f: &mut fmt::Formatter<'_>,
    letters: &[char],
    modules: &[(String, String)],
    more: usize,
) -> fmt::Result {
    let words = letters.iter().map(|letter| {
        let known = || taint::FLAGS.iter().find(|(_, l, _)| l == letter).map(|(.., words)| *words);
        format!("{letter} {}", short(*letter).or_else(known).unwrap_or_default())
    });
    write!(f, "tainted: {}", joined(words, ", "))?;
    if !modules.is_empty() {
        let told = modules.iter().map(|(name, letters)| format!("{name} ({letters})"));
        write!(f, "; modules: {}", joined(told, ", "))?;
        if more > 0 {
            write!(f, " and {more} more")?;
        }
    }
    Ok(())
}

/// A taint in two or three words.
const fn short(letter: char) -> Option<&'static str> {
    Some(match letter {
        'P' => "proprietary module",
        'F' => "module loaded by force",
        'R' => "module removed by force",
        'M' => "machine check before",
        'B' => "bad page",
        'D' => "oops before",
        'W' => "warning before",
        'C' => "staging driver",
        'O' => "module out of tree",
        'E' => "module unsigned",
        'L' => "soft lockup before",
        'K' => "live patched",
        _ => return None,
    })
}

/// The status of a process that ended, as `wait()` has it.
fn exit(f: &mut fmt::Formatter<'_>, code: u32) -> fmt::Result {
    const SIGNALS: &[(u32, &str)] = &[
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (5, "SIGTRAP"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (15, "SIGTERM"),
        (31, "SIGSYS"),
    ];
    match code & 0x7f {
        0 => write!(f, "the first process exited with status {}", code >> 8 & 0xff),
        n => {
            write!(f, "the first process was killed by signal {n}")?;
            let name = SIGNALS.iter().find(|(number, _)| *number == n);
            name.iter().try_for_each(|(_, name)| write!(f, " ({name})"))
        }
    }
}

/// Words as a shell takes them, cut where they are long.
fn shell(words: &[String]) -> String {
    const MAX: usize = 160;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quoted = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("{word:?}"),
    };
    let all = joined(words.iter().map(quoted), " ");
    match all.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", all.get(..end).unwrap_or(&all)),
        None => all,
    }
}
