//! Which task the machine died in.

use crate::log::event::{self, Named, cpu_and_pid};
use crate::log::lines::Lines;
use crate::sched::task::Task;
use crate::session::Session;
use arch::capability::OopsPlace;
use arch::{Arch, Regs};

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

/// The task that panicked: the one on the CPU that did, else the one that the fatal report in the log
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

/// Whether the machine panicked or oopsed, rather than being dumped alive; `None` where what would tell is not in the dump.
#[must_use]
pub fn has_panicked(s: &Session) -> Option<bool> {
    if panic_cpu(s).is_some() {
        return Some(true);
    }
    let text = s.panic_text();
    if text.panic.is_some() || text.cause.is_some() {
        return Some(true);
    }
    let is_whole = s.log().is_ok_and(|log| log.stopped.is_none());
    (is_whole || nobody_panicked(s)).then_some(false)
}

/// CPU and task that the log's fatal report names, where the panic itself does not.
fn named_in_log(s: &Session) -> Option<(u32, i32)> {
    let texts = Lines::of(s).ok()?.texts();
    let panicked = event::panic_line(&texts).and_then(|n| event::task_of(&texts, n));
    // until 3.9 that names no CPU
    let panicked = panicked.and_then(|who| who.cpu.zip(who.pid));
    panicked.or_else(|| event::find(&texts).and_then(|e| e.oops.cpu.zip(e.oops.pid)))
}

/// The task that a panic's own report names, if the log ends with one.
pub(crate) fn named_last(s: &Session) -> Option<i32> {
    last_of_panic(Lines::of(s).ok()?.texts().into_iter())
}

/// The pid in the report of a panic, or in that of the oops before it.
fn last_of_panic<'a>(lines: impl Iterator<Item = &'a str>) -> Option<i32> {
    let (mut panicked, mut last) = (false, None);
    for line in lines {
        panicked |= event::panic_words(line).is_some();
        last = cpu_and_pid(line).map(|(_, pid)| pid).or(last);
    }
    last.filter(|_| panicked)
}

/// How many lines of a report the registers are among.
const REPORT: usize = 40;

/// Program counter and stack pointer of a CPU as the log's last report of an oops on it names them; `None` where it has
/// none, or the name stands for several functions.
pub(crate) fn logged_registers(s: &Session, cpu: u32) -> Option<Regs> {
    let log = s.log().ok()?;
    let lines: Vec<&str> = log.lines().collect();
    let begins = |line: &str| cpu_and_pid(line).is_some_and(|(of, _)| of == cpu);
    let at = lines.iter().rposition(|line| begins(line))?;
    let (place, sp) = pc_and_sp(s.arch(), lines.get(at..)?.iter().take(REPORT).copied())?;
    let (name, offset, module) = place;
    let pc = s.only_function(&name, module.as_deref())?.add(offset);
    let set = s.arch().reg_set();
    Some(Regs::new(set).with(set.pc, pc.0).with(set.sp, sp))
}

/// The instruction and the stack pointer among the lines of a report (`show_regs`).
fn pc_and_sp<'t>(arch: &Arch, lines: impl Iterator<Item = &'t str>) -> Option<(Named, u64)> {
    let (mut place, mut sp) = (None, None);
    for line in lines {
        place = place.or_else(|| match arch.oops().place(line)? {
            OopsPlace::Kernel(place) => event::symbol(place),
            OopsPlace::User => None,
        });
        if let Some(word) = arch.oops().sp(line) {
            let word = word.split_whitespace().next()?;
            sp = sp.or_else(|| u64::from_str_radix(word, 16).ok());
        }
        if place.is_some() && sp.is_some() {
            break;
        }
    }
    place.zip(sp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oops_of_x86_64_and_of_arm64_names_its_registers() {
        let lines = [
            "CPU: 1 PID: 261 Comm: scatter Tainted: G           OE",
            "RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]",
            "Code: 0f 0b",
            "RSP: 0018:ff38d7e3404c36f8 EFLAGS: 00010246",
            "RIP: 0033:0x7f0000",
            "RSP: 002b:00007ffc EFLAGS: 00000246",
        ];
        let place: Named = ("virtqueue_add_split".to_owned(), 0x3d4, Some("virtio_ring".to_owned()));
        let x86 = arch::by_name("x86_64").unwrap();
        assert_eq!(pc_and_sp(x86, lines.into_iter()), Some((place.clone(), 0xff38_d7e3_404c_36f8)));
        assert_eq!(pc_and_sp(x86, ["RIP: 0010:0x0", "RSP: 0018:1"].into_iter()), None);
        let arm64 = arch::by_name("aarch64").unwrap();
        let lines = [
            "pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)",
            "pc : virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]",
            "lr : virtqueue_add_sgs+0x8c/0xb0 [virtio_ring]",
            "sp : ffff80000b5337d0",
        ];
        assert_eq!(pc_and_sp(arm64, lines.into_iter()), Some((place, 0xffff_8000_0b53_37d0)));
        let schedule: Named = ("schedule".to_owned(), 0x10, None);
        assert_eq!(event::symbol("schedule+0x10/0x20"), Some(schedule));
    }

    #[test]
    fn a_panic_is_of_the_task_that_was_named_last() {
        let warning = "CPU: 0 PID: 7 Comm: early";
        let oops = "CPU: 0 PID: 9 Comm: late Tainted: G        W";
        let panic = "Kernel panic - not syncing: Fatal exception";
        assert_eq!(last_of_panic([warning, oops, panic].into_iter()), Some(9));
        assert_eq!(
            last_of_panic([warning, panic, oops, "---[ end Kernel panic - not syncing"].into_iter()),
            Some(9)
        );
        assert_eq!(last_of_panic([warning, oops].into_iter()), None, "it went on");
        assert_eq!(last_of_panic([panic].into_iter()), None);
    }

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
