//! Which task the machine died in.

use crate::session::Session;
use crate::system;
use crate::task::Task;

/// The CPU that panicked: `panic_cpu` (4.5, 1717f2096b54), else `crashing_cpu` (kexec). `None` where
/// nothing panicked, or the kernel keeps neither.
#[must_use]
pub fn panic_cpu(s: &Session) -> Option<u32> {
    kept(s).find_map(|(name, cpu)| {
        // before 4.5 it was no -1 until a CPU crashed: a 0 of .bss says nothing
        let kind = s.kernel_symbols().table.find(name).map_or('d', |symbol| symbol.kind);
        if cpu == 0 && kind.eq_ignore_ascii_case(&'b') {
            return None;
        }
        u32::try_from(cpu).ok().filter(|cpu| s.cpus().possible.contains(cpu))
    })
}

/// True where the kernel keeps who panicked, and says that nobody did.
#[must_use]
pub fn nobody_panicked(s: &Session) -> bool {
    kept(s).any(|(_, cpu)| cpu == -1)
}

/// The variables in which a kernel keeps the CPU that panicked, as far as they can be read.
fn kept(s: &Session) -> impl Iterator<Item = (&'static str, i32)> {
    let read = |name| Some((name, s.mem().i32(s.symbol(name)?).ok()?));
    ["panic_cpu", "crashing_cpu"].into_iter().filter_map(read)
}

/// The task that panicked: the one on the CPU that did, else the one that the first oops in the log
/// names. `None` where neither can be had.
#[must_use]
pub fn known_panic_task(s: &Session) -> Option<&Task> {
    let tasks = s.tasks();
    panic_cpu(s).and_then(|cpu| tasks.on_cpu(cpu)).or_else(|| {
        let (cpu, pid) = named_in_log(s)?;
        tasks.with_pid(pid).find(|t| pid != 0 || t.was_on(cpu))
    })
}

/// The task to begin with: the one that panicked, else the only one that is not idle, else what CPU 0
/// runs. `None` where the dump lacks what would tell: another task in its place would be a wrong answer.
#[must_use]
pub fn panic_task(s: &Session) -> Option<&Task> {
    let tasks = s.tasks();
    let active = || tasks.all.iter().filter(|t| t.active);
    let any = || active().find(|t| t.pid != 0).or_else(|| active().next()).or_else(|| tasks.all.first());
    known_panic_task(s).or_else(|| if lost_panic_task(s).is_some() { None } else { any() })
}

/// Why the task that the machine died in is not known, where a part that is missing from the dump is to blame.
#[must_use]
pub fn lost_panic_task(s: &Session) -> Option<String> {
    if let Some(cpu) = panic_cpu(s) {
        return Some(format!("CPU {cpu} panicked, and what it ran is not known"));
    }
    if let Some((cpu, pid)) = named_in_log(s) {
        return Some(format!(
            "the log names task {pid} on CPU {cpu}, which is not among those that are known"
        ));
    }
    if let Some(cpu) = s.tasks().unknown_cpus.first() {
        return Some(format!("what CPU {cpu} ran is not known"));
    }
    match s.log() {
        Ok(log) if log.stopped.is_none() => None,
        // nobody panicked as far as is known, but what would tell is lost
        _ if nobody_panicked(s) => None,
        _ => Some("the log, which would name the task, is not whole".to_owned()),
    }
}

/// True where the machine panicked or oopsed, rather than being dumped alive.
#[must_use]
pub fn has_panicked(s: &Session) -> bool {
    panic_cpu(s).is_some()
        || s.log().is_ok_and(|log| {
            let text = system::panic_text(log);
            text.panic.is_some() || text.cause.is_some()
        })
}

/// `CPU: 0 PID: 130 Comm: dio` of the first oops; before 4.x `Pid: 130, comm: dio`.
fn named_in_log(s: &Session) -> Option<(u32, i32)> {
    let log = s.log().ok()?;
    log.records.iter().flat_map(|r| r.text.lines()).find_map(cpu_and_pid)
}

fn cpu_and_pid(line: &str) -> Option<(u32, i32)> {
    let rest = line.strip_prefix("CPU: ")?;
    let cpu = rest.split_whitespace().next()?.parse().ok()?;
    let pid = rest.split_once("PID: ")?.1.split_whitespace().next()?.parse().ok()?;
    Some((cpu, pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oops_names_its_cpu_and_task() {
        for (line, want) in [
            ("CPU: 3 PID: 130 Comm: dio Tainted: G", Some((3, 130))),
            ("CPU: 1 UID: 0 PID: 77 Comm: cat Not tainted", Some((1, 77))),
            ("CPU: x PID: 1", None),
            ("smp: CPU: 1 PID: 2", None),
        ] {
            assert_eq!(cpu_and_pid(line), want, "{line}");
        }
    }
}
