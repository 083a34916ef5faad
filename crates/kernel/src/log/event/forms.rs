//! The texts by which the kernel tells of its death, from 3.10 on.
//!
//! Sources: kernel/panic.c, lib/bug.c, arch/x86/mm/fault.c, arch/x86/kernel/{traps,dumpstack,nmi,cet,cfi}.c,
//! arch/x86/kernel/cpu/mce, kernel/watchdog*.c, kernel/hung_task.c, kernel/rcu/tree_stall.h (kernel/rcutree.c),
//! mm/{slub,slab,oom_kill,memory,page_alloc,usercopy}.c, mm/{kasan,kfence}, lib/{list_debug,refcount,ubsan,
//! fortify}, kernel/locking/{lockdep,spinlock_debug}.c, kernel/sched/core.c, init/{main,do_mounts}.c.
//!
//! A form is matched by how a line begins, after the prefixes that `pr_fmt` puts there.

use super::class::Class;

/// What a message means for the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Something dies of it: the task at least.
    Deadly,
    /// The machine goes on, unless it was told to panic.
    Lived,
}

/// Prefixes of messages, from `pr_fmt` and from the drivers that forward them.
const PREFIXES: &[&str] = &[
    "watchdog: ",
    "NMI watchdog: ",
    "rcu: ",
    "traps: ",
    "mce: ",
    "sysrq: ",
    "usercopy: ",
    "hung_task: ",
    "workqueue: ",
    "slab: ",
    "Oops: ",
    "x86/mm: ",
];

/// Messages that something dies of.
const DEADLY: &[(&str, Class)] = &[
    ("kernel BUG at ", Class::Bug),
    ("BUG: kernel NULL pointer dereference", Class::NullPointer), // 5.1 on
    ("BUG: unable to handle kernel NULL pointer dereference", Class::NullPointer),
    ("BUG: unable to handle page fault for address", Class::PageFault), // 5.1 on
    ("BUG: unable to handle kernel paging request", Class::PageFault),
    ("BUG: unable to handle kernel access", Class::PageFault),
    ("Unable to handle kernel NULL pointer dereference", Class::NullPointer), // arm64
    ("Unable to handle kernel ", Class::PageFault),
    ("kernel tried to execute NX-protected page", Class::WildJump),
    ("unable to execute userspace code", Class::WildJump),
    ("BUG: stack guard page was hit", Class::StackOverflow),
    ("BUG: TASK stack guard page was hit", Class::StackOverflow), // 5.17
    ("BUG: IRQ stack guard page was hit", Class::StackOverflow),
    ("kernel stack overflow", Class::StackOverflow),
    ("stack guard page: ", Class::StackOverflow),
    ("Thread overran stack, or stack corrupted", Class::StackOverflow),
    ("PANIC: double fault", Class::DoubleFault),
    ("double fault: ", Class::DoubleFault),
    ("general protection", Class::GeneralProtection),
    ("segment-related general protection", Class::GeneralProtection),
    ("stack segment: ", Class::GeneralProtection),
    ("divide error: ", Class::Divide),
    ("divide_error: ", Class::Divide), // 5.8 to 5.9
    ("invalid opcode: ", Class::InvalidOpcode),
    ("CFI failure ", Class::Cfi),
    ("Missing ENDBR: ", Class::Cfi),
    ("control protection fault: ", Class::Cfi),
    ("Bad pagetable: ", Class::PageCorruption),
];

/// Messages that the machine lives with, unless a panic says that it does not.
const LIVED: &[(&str, Class)] = &[
    ("list_add corruption", Class::ListCorruption),
    ("list_add double add", Class::ListCorruption),
    ("list_add_rcu corruption", Class::ListCorruption),
    ("list_del corruption", Class::ListCorruption),
    ("refcount_t: ", Class::Refcount),
    ("BUG: KASAN: ", Class::Sanitizer),
    ("BUG: KFENCE: ", Class::Sanitizer),
    ("BUG: KMSAN: ", Class::Sanitizer),
    ("BUG: KCSAN: ", Class::Sanitizer),
    ("UBSAN: ", Class::Ubsan),
    ("Kernel memory exposure attempt detected", Class::Overflow),
    ("Kernel memory overwrite attempt detected", Class::Overflow),
    ("kernel memory exposure attempt detected", Class::Overflow),
    ("kernel memory overwrite attempt detected", Class::Overflow),
    ("detected buffer overflow in ", Class::Overflow),
    ("Slab corruption", Class::SlabCorruption),
    ("slab error in ", Class::SlabCorruption),
    ("double free detected in cache", Class::SlabCorruption),
    ("Internal list corruption detected in cache", Class::SlabCorruption),
    ("BUG: Bad page state", Class::PageCorruption),
    ("BUG: Bad page map", Class::PageCorruption),
    ("BUG: Bad page cache", Class::PageCorruption),
    ("BUG: Bad rss-counter", Class::PageCorruption),
    ("BUG: non-zero pgtables_bytes", Class::PageCorruption),
    ("BUG: soft lockup", Class::SoftLockup),
    ("BUG: spinlock lockup", Class::SoftLockup),
    ("BUG: rwlock-lockup", Class::SoftLockup),
    ("BUG: spinlock recursion", Class::Deadlock),
    ("BUG: spinlock ", Class::LockMisuse),
    ("BUG: rwlock ", Class::LockMisuse),
    ("BUG: workqueue lockup", Class::HungTask),
    ("BUG: workqueue leaked lock", Class::LockMisuse),
    ("BUG: held lock freed", Class::LockMisuse),
    ("[ BUG: ", Class::LockMisuse),
    ("WARNING: possible circular locking dependency", Class::LockMisuse),
    ("WARNING: possible recursive locking", Class::LockMisuse),
    ("WARNING: inconsistent lock state", Class::LockMisuse),
    ("WARNING: bad unlock balance", Class::LockMisuse),
    ("WARNING: held lock freed", Class::LockMisuse),
    ("WARNING: lock held when returning to user space", Class::LockMisuse),
    ("WARNING: possible irq lock inversion dependency", Class::LockMisuse),
    ("WARNING: bad contention detected", Class::LockMisuse),
    ("WARNING: Nested lock was not taken", Class::LockMisuse),
    ("WARNING: suspicious RCU usage", Class::LockMisuse), // 4.14 on
    ("INFO: trying to register non-static key", Class::LockMisuse),
    ("[ INFO: suspicious RCU usage", Class::LockMisuse),
    ("[ INFO: possible ", Class::LockMisuse),
    ("[ INFO: inconsistent lock state", Class::LockMisuse),
    ("DEBUG_LOCKS_WARN_ON", Class::LockMisuse),
    ("INFO: rcu", Class::RcuStall), // rcu_sched, rcu_bh, rcu_preempt, rcu_tasks
    ("BUG: scheduling while atomic", Class::Atomic),
    ("BUG: sleeping function called from invalid context", Class::Atomic),
    ("[Hardware Error]: ", Class::MachineCheck),
    ("Uhhuh. NMI received", Class::Nmi),
    ("NMI: PCI system error (SERR)", Class::Nmi),
    ("NMI: IOCK error", Class::Nmi),
    ("NMI: Memory parity error", Class::Nmi),
    ("SysRq : Trigger a crash", Class::Sysrq), // until 4.20
    ("Trigger a crash", Class::Sysrq),
];

/// How the panic of a taint that is fatal begins.
pub(crate) const PANIC_ON_TAINT: &str = "panic_on_taint set";
/// How the panic begins that is the end of an oops, on its own stack. In an interrupt, and on arm64, there is more around it.
pub(crate) const FATAL_EXCEPTION: &str = "Fatal exception";

/// What `panic()` was called with, most telling first, and the classes that such a panic is the end of.
/// `Unknown` stands for panics that say nothing: an oops before them does.
const PANICS: &[(&str, Class)] = &[
    ("Attempted to kill init!", Class::InitKilled),
    ("VFS: Unable to mount root fs", Class::NoRoot),
    ("No working init found", Class::NoRoot),
    ("No init found", Class::NoRoot),
    ("Requested init ", Class::NoRoot),
    ("Out of memory", Class::OutOfMemory),
    ("out of memory", Class::OutOfMemory),
    ("System is deadlocked on memory", Class::OutOfMemory),
    ("stack-protector: ", Class::StackProtector),
    ("corrupted stack end detected", Class::StackOverflow),
    ("low stack detected by irq handler", Class::StackOverflow),
    ("kernel stack overflow", Class::StackOverflow),
    ("hung_task: ", Class::HungTask),
    ("workqueue: ", Class::HungTask),
    ("softlockup: ", Class::SoftLockup),
    ("Hard LOCKUP", Class::HardLockup),
    ("Watchdog detected hard LOCKUP", Class::HardLockup),
    ("RCU Stall", Class::RcuStall),
    ("KASAN: ", Class::Sanitizer),
    ("KFENCE: ", Class::Sanitizer),
    ("KCSAN: ", Class::Sanitizer),
    ("KMSAN: ", Class::Sanitizer),
    ("kasan.fault=panic", Class::Sanitizer),
    ("kmsan.panic set", Class::Sanitizer),
    ("UBSAN: ", Class::Ubsan),
    ("scheduling while atomic", Class::Atomic),
    ("panic_on_warn set", Class::Warning),
    ("kernel: panic_on_warn set", Class::Warning),
    ("sysrq triggered crash", Class::Sysrq),
    ("Fatal machine check", Class::MachineCheck),
    ("Fatal Machine check", Class::MachineCheck),
    ("Fatal local machine check", Class::MachineCheck),
    ("Fatal hardware error", Class::MachineCheck),
    ("Failed kernel mode recovery", Class::MachineCheck),
    ("Panicing machine check CPU died", Class::MachineCheck),
    ("Timeout: Not all CPUs entered", Class::MachineCheck),
    ("Timeout synchronizing machine check", Class::MachineCheck),
    ("Machine check", Class::MachineCheck),
    ("MCE ", Class::MachineCheck),
    ("Memory failure", Class::MachineCheck),
    ("Memory error not recovered", Class::MachineCheck),
    ("AER: ", Class::MachineCheck),
    ("NMI: Not continuing", Class::Nmi),
    ("NMI IOCK error: Not continuing", Class::Nmi),
    ("An NMI occurred", Class::Nmi), // hpwdt
    ("nmi: ", Class::Nmi),
    ("watchdog pretimeout event", Class::Watchdog),
    ("Software Watchdog Timer expired", Class::Watchdog), // softdog
    ("Watchdog pre-timeout", Class::Watchdog),            // ipmi_watchdog
    ("Kernel Watchdog", Class::Watchdog),                 // intel-mid_wdt
    ("EDAC ", Class::MachineCheck),
    ("EDAC: PCI Parity Error", Class::MachineCheck),
    ("UE ", Class::MachineCheck), // of a memory controller
    ("bad overflow", Class::Overflow),
    ("CFI failure", Class::Cfi),
    ("Bad page state", Class::PageCorruption),
    (PANIC_ON_TAINT, Class::Unknown),
    (FATAL_EXCEPTION, Class::Unknown),
    ("Aiee, killing interrupt handler!", Class::Unknown),
    ("Attempted to kill the idle task!", Class::Unknown),
    ("Oopsed too often", Class::Unknown), // 6.2 (d4ccd54d28d3)
    ("Machine halted", Class::DoubleFault),
];

/// The message without the prefixes of `pr_fmt`, and without `{1}` of the hardware error records.
pub(crate) fn bare(line: &str) -> &str {
    let mut text = line.trim();
    for _ in 0..4 {
        let stripped = PREFIXES.iter().find_map(|p| text.strip_prefix(p)).or_else(|| {
            let (number, rest) = text.strip_prefix('{')?.split_once('}')?;
            number.chars().all(|c| c.is_ascii_digit()).then_some(rest)
        });
        match stripped {
            Some(rest) => text = rest.trim_start(),
            None => break,
        }
    }
    text
}

/// The class of what a line says, and whether something dies of it.
pub(crate) fn class_of(line: &str) -> Option<(Class, Fate)> {
    let text = bare(line);
    let class = |table: &[(&str, Class)], fate| {
        table.iter().find(|(form, _)| text.starts_with(form)).map(|(_, class)| (*class, fate))
    };
    match class(LIVED, Fate::Lived) {
        Some((Class::RcuStall, _)) if !text.contains("stall") || text.contains("Stall ended") => return None,
        Some((Class::MachineCheck, _)) if text.contains("Machine check events logged") => return None,
        Some(found) => return Some(found),
        None => {}
    }
    if let Some(found) = class(DEADLY, Fate::Deadly) {
        return Some(found);
    }
    // any stack's name: `BUG: #VC2 stack guard page was hit`, `BUG: NMI stack guard page was hit`
    if text.starts_with("BUG: ") && text.contains("stack guard page was hit") {
        return Some((Class::StackOverflow, Fate::Deadly));
    }
    if text.contains("Watchdog detected hard LOCKUP") {
        return Some((Class::HardLockup, Fate::Lived));
    }
    if text.starts_with("INFO: task ") && text.contains(" blocked ") && text.contains("for more than") {
        return Some((Class::HungTask, Fate::Lived));
    }
    if text.starts_with("WARNING: ")
        && (text.ends_with(" still has locks held!") || text.ends_with("-unsafe lock order detected"))
    {
        return Some((Class::LockMisuse, Fate::Lived));
    }
    if text.contains(": detected buffer overflow") || text.contains("detected field-spanning write") {
        return Some((Class::Overflow, Fate::Lived));
    }
    if hardware(text) {
        return Some((Class::MachineCheck, Fate::Lived));
    }
    if slub(text) {
        return Some((Class::SlabCorruption, Fate::Lived));
    }
    if warning(text) {
        return Some((Class::Warning, Fate::Lived));
    }
    if text.contains("Corrupted page table at address") {
        return Some((Class::PageCorruption, Fate::Lived));
    }
    // an exception of the processor by another name: `alignment check: 0000 [#1] SMP`
    exception(text).then_some((Class::Exception, Fate::Deadly))
}

/// Errors of the hardware that it could not correct: `EDAC MC0: 1 UE memory read error on …`, `EDAC sbridge: UE instance: …`,
/// `pcieport 0000:00:03.0: AER: Uncorrectable (Fatal) error received`.
fn hardware(text: &str) -> bool {
    let memory = text.starts_with("EDAC ") && (text.contains(" UE ") || text.contains(": UE: "));
    let device = text.contains(": AER: ") && text.contains("Uncorrect") && text.contains("(Fatal)");
    memory
        || device
        || text.starts_with("Uncorrected hardware memory error")
        || text.starts_with("Memory error not recovered")
}

/// True for the line of a hardware error that says what failed; the others of a record are its details.
pub(crate) fn names_hardware(line: &str) -> bool {
    let text = bare(line);
    let Some(said) = text.strip_prefix("[Hardware Error]: ") else { return hardware(text) };
    let is_check = said.starts_with("CPU ") && said.contains("Machine Check");
    is_check || said.starts_with("Machine check: ") || said.starts_with("Hardware error from ")
}

/// `BUG kmalloc-64 (Tainted: G    B): Poison overwritten`
fn slub(text: &str) -> bool {
    text.strip_prefix("BUG ").is_some_and(|rest| {
        rest.split_once('(').is_some_and(|(cache, rest)| {
            !cache.trim().contains(' ') && (rest.contains("ainted") && rest.contains("): "))
        })
    })
}

/// `WARNING: at FILE:LINE FUNCTION()` (3.10), `WARNING: CPU: 0 PID: 1 at FILE:LINE FUNCTION`,
/// `WARNING: FILE:LINE at FUNCTION, CPU#0: COMM/PID` (6.19).
fn warning(text: &str) -> bool {
    text.strip_prefix("WARNING: ").is_some_and(|rest| {
        (rest.starts_with("at ") || rest.contains(" at ")) && rest.contains(':') && rest.contains('+')
    })
}

/// `NAME: 0000 [#1] …`: how `die()` begins.
fn exception(text: &str) -> bool {
    text.split_once(" [#").is_some_and(|(head, rest)| {
        let number = rest.split_once(']').is_some_and(|(n, _)| n.chars().all(|c| c.is_ascii_digit()));
        let code = head.rsplit_once(": ").is_some_and(|(name, code)| {
            code.len() == 4 && code.chars().all(|c| c.is_ascii_hexdigit()) && name != "Oops"
        });
        // `Oops: 0002 [#1]` follows a page fault's own message
        number && code
    })
}

/// What a panic's words say of its class; `None` for words of nobody that is known here.
pub(crate) fn panic_class(words: &str) -> Option<Class> {
    // arm64 puts the oops's own words first: `Oops: Fatal exception`; a warning's limit stands behind who warned (6.2)
    let end = words.contains(": Fatal exception").then_some(Class::Unknown);
    let warned = || words.contains("warned too often (kernel.warn_limit").then_some(Class::Warning);
    let begins = || PANICS.iter().find(|(form, _)| words.starts_with(form)).map(|(_, class)| *class);
    end.or_else(warned).or_else(begins)
}

/// How the line begins that tells of a panic.
const PANIC: &str = "Kernel panic - not syncing";

/// What the kernel logs of a panic that was called with a message.
#[must_use]
pub fn panic_lines(message: &str) -> String {
    format!("{PANIC}: {message}")
}

/// What `panic()` was called with, of the line that tells of it.
pub(crate) fn panic_words(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix(PANIC)?;
    Some(rest.trim_start_matches(':').trim())
}
