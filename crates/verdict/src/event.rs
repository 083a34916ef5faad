//! The first fatal event in the kernel's log. Texts: kernel/panic.c, lib/bug.c, arch/x86/mm/fault.c,
//! arch/x86/kernel/{traps,dumpstack}.c, kernel/watchdog.c, mm/{slub,oom_kill,kasan}, kernel/rcu.

/// The kind of death.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// `BUG()`, `BUG_ON()`.
    Bug,
    /// A page fault near address 0.
    NullPointer,
    /// A page fault at a user address, not by way of the user-access functions.
    UserAddress,
    /// Execution where no code is.
    WildJump,
    /// A write to a read-only page.
    ReadOnlyWrite,
    /// Any other page fault in the kernel.
    PageFault,
    /// A general protection fault, mostly of a non-canonical address.
    GeneralProtection,
    /// An invalid instruction that is no BUG.
    InvalidOpcode,
    /// A division by zero or with an overflow.
    Divide,
    /// A double fault: mostly a stack that cannot be used.
    DoubleFault,
    /// The stack's guard page was hit.
    StackOverflow,
    /// The stack protector's canary was overwritten.
    StackProtector,
    /// A warning that was made fatal.
    Warning,
    /// A list's pointers contradict each other.
    ListCorruption,
    /// A slab object was found damaged.
    SlabCorruption,
    /// A page or page table in a state that cannot be.
    PageCorruption,
    /// A reference counter went astray.
    Refcount,
    /// KASAN, KFENCE, KCSAN, KMSAN.
    Sanitizer,
    /// UBSAN.
    Ubsan,
    /// `usercopy`, FORTIFY.
    Overflow,
    /// A CPU did not schedule for long.
    SoftLockup,
    /// A CPU took no interrupts for long.
    HardLockup,
    /// A task did not run for long.
    HungTask,
    /// RCU waited for long.
    RcuStall,
    /// Sleeping where that is forbidden.
    Atomic,
    /// Out of memory, and fatal.
    OutOfMemory,
    /// The first process ended.
    InitKilled,
    /// No root file system.
    NoRoot,
    /// The hardware reported an error.
    MachineCheck,
    /// A non-maskable interrupt that the kernel was told to die of.
    Nmi,
    /// `panic()` by other code.
    Panic,
    /// Somebody asked for it.
    Sysrq,
    /// No crash: the dump is of a living system.
    Alive,
    /// Not known.
    Unknown,
}

impl Class {
    /// A stable name, for signatures and JSON.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Class::Bug => "bug",
            Class::NullPointer => "null-pointer",
            Class::UserAddress => "user-address",
            Class::WildJump => "wild-jump",
            Class::ReadOnlyWrite => "read-only-write",
            Class::PageFault => "page-fault",
            Class::GeneralProtection => "general-protection",
            Class::InvalidOpcode => "invalid-opcode",
            Class::Divide => "divide-error",
            Class::DoubleFault => "double-fault",
            Class::StackOverflow => "stack-overflow",
            Class::StackProtector => "stack-protector",
            Class::Warning => "warning",
            Class::ListCorruption => "list-corruption",
            Class::SlabCorruption => "slab-corruption",
            Class::PageCorruption => "page-corruption",
            Class::Refcount => "refcount",
            Class::Sanitizer => "sanitizer",
            Class::Ubsan => "ubsan",
            Class::Overflow => "buffer-overflow",
            Class::SoftLockup => "soft-lockup",
            Class::HardLockup => "hard-lockup",
            Class::HungTask => "hung-task",
            Class::RcuStall => "rcu-stall",
            Class::Atomic => "atomic-sleep",
            Class::OutOfMemory => "out-of-memory",
            Class::InitKilled => "init-killed",
            Class::NoRoot => "no-root",
            Class::MachineCheck => "machine-check",
            Class::Nmi => "nmi",
            Class::Panic => "panic",
            Class::Sysrq => "sysrq",
            Class::Alive => "alive",
            Class::Unknown => "unknown",
        }
    }

    /// In a few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Class::Bug => "kernel BUG: assertion failed",
            Class::NullPointer => "NULL pointer dereference",
            Class::UserAddress => "access to a user address",
            Class::WildJump => "jump to where no code is",
            Class::ReadOnlyWrite => "write to read-only memory",
            Class::PageFault => "page fault",
            Class::GeneralProtection => "general protection fault",
            Class::InvalidOpcode => "invalid opcode",
            Class::Divide => "divide error",
            Class::DoubleFault => "double fault",
            Class::StackOverflow => "kernel stack overflow",
            Class::StackProtector => "stack protector: the stack was overwritten",
            Class::Warning => "warning, made fatal",
            Class::ListCorruption => "list corruption",
            Class::SlabCorruption => "slab corruption",
            Class::PageCorruption => "page corruption",
            Class::Refcount => "reference count error",
            Class::Sanitizer => "memory error found by a sanitizer",
            Class::Ubsan => "undefined behaviour found by UBSAN",
            Class::Overflow => "buffer overflow found",
            Class::SoftLockup => "soft lockup",
            Class::HardLockup => "hard lockup",
            Class::HungTask => "hung task",
            Class::RcuStall => "RCU stall",
            Class::Atomic => "sleep in atomic context",
            Class::OutOfMemory => "out of memory",
            Class::InitKilled => "init was killed",
            Class::NoRoot => "no root file system",
            Class::MachineCheck => "machine check: a hardware error",
            Class::Nmi => "non-maskable interrupt",
            Class::Panic => "panic",
            Class::Sysrq => "crash by request",
            Class::Alive => "no crash: a dump of a living system",
            Class::Unknown => "undetermined",
        }
    }

    /// True where an instruction is to blame, whose registers are worth a look.
    #[must_use]
    pub const fn has_instruction(self) -> bool {
        matches!(
            self,
            Class::Bug
                | Class::NullPointer
                | Class::UserAddress
                | Class::WildJump
                | Class::ReadOnlyWrite
                | Class::PageFault
                | Class::GeneralProtection
                | Class::InvalidOpcode
                | Class::Divide
                | Class::Warning
                | Class::ListCorruption
                | Class::Refcount
                | Class::StackOverflow
                | Class::DoubleFault
        )
    }
}

/// Registers and place as an oops in the log has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Oops {
    /// `RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`: function, offset, module.
    pub rip: Option<(String, u64, Option<String>)>,
    /// `RIP: 0010:0x0`: an address that no symbol covers.
    pub wild: Option<u64>,
    /// Registers by their names in lower case.
    pub registers: Vec<(String, u64)>,
    /// The address that faulted.
    pub address: Option<u64>,
    /// The page fault's error code.
    pub error_code: Option<u64>,
    /// The CPU.
    pub cpu: Option<u32>,
    /// The thread.
    pub pid: Option<i32>,
    /// Its name.
    pub comm: Option<String>,
    /// The functions of the call trace, those marked `?` left out.
    pub trace: Vec<String>,
    /// `Workqueue: events foo`.
    pub workqueue: Option<String>,
}

/// The first fatal event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its kind.
    pub class: Class,
    /// The message.
    pub line: String,
    /// What the oops that follows it says.
    pub oops: Oops,
    /// The message of the panic that followed.
    pub panic: Option<String>,
}

/// Messages that are fatal in themselves, most telling first where one line fits several.
const FATAL: &[(&str, Class)] = &[
    ("kernel BUG at ", Class::Bug),
    ("list_add corruption", Class::ListCorruption),
    ("list_del corruption", Class::ListCorruption),
    ("BUG: KASAN: ", Class::Sanitizer),
    ("BUG: KFENCE: ", Class::Sanitizer),
    ("BUG: KMSAN: ", Class::Sanitizer),
    ("BUG: KCSAN: ", Class::Sanitizer),
    ("UBSAN: ", Class::Ubsan),
    ("usercopy: Kernel memory ", Class::Overflow),
    ("detected buffer overflow in ", Class::Overflow),
    ("BUG: kernel NULL pointer dereference", Class::NullPointer),
    ("BUG: unable to handle kernel NULL pointer dereference", Class::NullPointer),
    ("BUG: unable to handle page fault for address", Class::PageFault),
    ("BUG: unable to handle kernel paging request", Class::PageFault),
    ("Unable to handle kernel ", Class::PageFault),
    ("kernel tried to execute NX-protected page", Class::WildJump),
    ("unable to execute userspace code", Class::WildJump),
    ("BUG: stack guard page was hit", Class::StackOverflow),
    ("BUG: IRQ stack guard page was hit", Class::StackOverflow),
    ("BUG: TASK stack guard page was hit", Class::StackOverflow),
    ("kernel stack overflow", Class::StackOverflow),
    ("traps: PANIC: double fault", Class::DoubleFault),
    ("PANIC: double fault", Class::DoubleFault),
    ("Oops: general protection fault", Class::GeneralProtection),
    ("general protection fault", Class::GeneralProtection),
    ("stack segment: ", Class::GeneralProtection),
    ("Oops: stack segment", Class::GeneralProtection),
    ("divide error: ", Class::Divide),
    ("Oops: divide error: ", Class::Divide),
    ("invalid opcode: ", Class::InvalidOpcode),
    ("Oops: invalid opcode: ", Class::InvalidOpcode),
    ("double fault: ", Class::DoubleFault),
    ("Oops: double fault: ", Class::DoubleFault),
    ("watchdog: BUG: soft lockup", Class::SoftLockup),
    ("NMI watchdog: BUG: soft lockup", Class::SoftLockup),
    ("BUG: soft lockup", Class::SoftLockup),
    ("watchdog: Watchdog detected hard LOCKUP", Class::HardLockup),
    ("NMI watchdog: Watchdog detected hard LOCKUP", Class::HardLockup),
    ("Watchdog detected hard LOCKUP", Class::HardLockup),
    ("watchdog: CPU", Class::HardLockup),
    ("INFO: task ", Class::HungTask),
    ("rcu: INFO: ", Class::RcuStall),
    ("INFO: rcu_", Class::RcuStall),
    ("BUG: scheduling while atomic", Class::Atomic),
    ("BUG: sleeping function called from invalid context", Class::Atomic),
    ("BUG: Bad page state", Class::PageCorruption),
    ("BUG: Bad page map", Class::PageCorruption),
    ("BUG: Bad rss-counter", Class::PageCorruption),
    ("Bad pagetable", Class::PageCorruption),
    ("Oops: Bad pagetable", Class::PageCorruption),
    ("BUG: workqueue lockup", Class::HungTask),
    ("BUG: spinlock ", Class::HungTask),
    ("mce: [Hardware Error]: ", Class::MachineCheck),
    ("[Hardware Error]: ", Class::MachineCheck),
    ("sysrq: Trigger a crash", Class::Sysrq),
    ("SysRq : Trigger a crash", Class::Sysrq),
    ("sysrq: SysRq : Trigger a crash", Class::Sysrq),
    ("WARNING: ", Class::Warning),
    ("refcount_t: ", Class::Refcount),
    ("BUG: ", Class::Panic),
];

/// Classes that a machine lives with unless a panic names them.
const SURVIVED: &[Class] = &[
    Class::HungTask,
    Class::RcuStall,
    Class::Warning,
    Class::Refcount,
    Class::Atomic,
    Class::MachineCheck,
    Class::SoftLockup,
    Class::HardLockup,
    Class::Sanitizer,
    Class::Ubsan,
    Class::SlabCorruption,
    Class::PageCorruption,
    Class::ListCorruption,
    Class::Overflow,
    Class::Sysrq,
    Class::Panic,
];

/// What panic() was called with, and the classes that such a panic is the end of.
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
    ("hung_task: ", Class::HungTask),
    ("softlockup: ", Class::SoftLockup),
    ("Hard LOCKUP", Class::HardLockup),
    ("Watchdog detected hard LOCKUP", Class::HardLockup),
    ("RCU Stall", Class::RcuStall),
    ("panic_on_warn set", Class::Warning),
    ("kernel: panic_on_warn set", Class::Warning),
    ("scheduling while atomic", Class::Atomic),
    ("sysrq triggered crash", Class::Sysrq),
    ("Fatal machine check", Class::MachineCheck),
    ("Fatal local machine check", Class::MachineCheck),
    ("Timeout: Not all CPUs entered broadcast exception handler", Class::MachineCheck),
    ("Machine check", Class::MachineCheck),
    ("NMI: Not continuing", Class::Nmi),
    ("An NMI occurred", Class::Nmi),
    ("nmi: ", Class::Nmi),
    ("KASAN: ", Class::Sanitizer),
    ("kasan.fault=panic", Class::Sanitizer),
    ("KFENCE: ", Class::Sanitizer),
    ("UBSAN: ", Class::Ubsan),
    ("bad overflow", Class::Overflow),
    ("Fatal exception", Class::Unknown),
    ("Fatal hardware error", Class::MachineCheck),
    ("Machine halted", Class::DoubleFault),
];

/// The part of a message after prefixes that other code puts before it.
fn class_of(line: &str) -> Option<Class> {
    if line.starts_with("BUG ") && line.contains(": ") {
        // SLUB: `BUG kmalloc-64 (Tainted: G): Poison overwritten`
        return Some(Class::SlabCorruption);
    }
    if line.contains(" list_add corruption") || line.contains(" list_del corruption") {
        return Some(Class::ListCorruption);
    }
    let found = FATAL.iter().find(|(start, _)| line.starts_with(start)).map(|(_, class)| *class)?;
    match found {
        Class::HungTask if line.starts_with("INFO: task ") && !line.contains(" blocked for more than ") => {
            None
        }
        Class::HardLockup if line.starts_with("watchdog: CPU") && !line.contains("hard LOCKUP") => None,
        Class::RcuStall if !line.contains("stall") => None,
        Class::MachineCheck if line.contains("Machine check events logged") || line.contains("CMCI") => None,
        class => Some(class),
    }
}

/// Finds the first fatal event in a log. `None` where nothing in it is fatal.
#[must_use]
pub(crate) fn find(lines: &[&str]) -> Option<Event> {
    let panic_at = lines.iter().position(|l| l.starts_with("Kernel panic - not syncing"));
    let panic = panic_at.and_then(|n| lines.get(n)).map(|l| l.trim_end().to_owned());
    let panic_class = panic.as_deref().and_then(|text| {
        let text = text.strip_prefix("Kernel panic - not syncing").unwrap_or(text);
        let text = text.trim_start_matches([':', ' ']);
        PANICS.iter().find(|(start, _)| text.contains(start)).map(|(_, class)| *class)
    });
    let upto = panic_at.unwrap_or(lines.len());
    let before = lines.get(..upto).unwrap_or_default();
    let events = || before.iter().enumerate().filter_map(|(n, l)| class_of(l).map(|class| (n, class)));
    let made = |n: usize, class: Class| {
        let mut event = Event {
            class,
            line: lines.get(n).map(|l| l.trim_end().to_owned()).unwrap_or_default(),
            oops: oops_at(lines, n),
            panic: panic.clone(),
        };
        refine(&mut event, lines, n);
        event
    };
    // 1. what no kernel survives, and what no panic explains away
    let deadly = events().find(|(_, class)| !SURVIVED.contains(class));
    // 2. what the panic names: the last such message before it
    let named = match panic_class {
        Some(class) if class != Class::Unknown => {
            Some((events().rfind(|(_, c)| *c == class).map(|(n, _)| n), class))
        }
        _ => None,
    };
    match (deadly, named) {
        (Some((n, class)), None) => {
            // a report that the oops itself was made of: list corruption before its BUG or warning
            let earlier = events().filter(|(m, _)| *m < n && n - m <= 3).find(|(_, c)| {
                matches!(c, Class::ListCorruption | Class::Overflow | Class::Refcount | Class::Sysrq)
            });
            Some(match earlier {
                Some((m, class)) => {
                    let mut event = made(n, class);
                    event.line = lines.get(m).map(|l| l.trim_end().to_owned()).unwrap_or_default();
                    event
                }
                None => made(n, sysrq_or(class, lines, n)),
            })
        }
        (Some((n, class)), Some((at, named))) => {
            // the first of both; an oops that killed init comes before that panic and is its cause
            match at {
                Some(m) if m < n => Some(made(m, named)),
                _ => Some(made(n, sysrq_or(class, lines, n))),
            }
        }
        (None, Some((at, class))) => {
            let n = at.or(panic_at)?;
            Some(made(n, class))
        }
        (None, None) => match panic_at {
            // an unknown panic: a report right before it is its cause
            Some(p) => {
                let cause = events().rfind(|(n, _)| p - n <= 100);
                match cause {
                    Some((n, class)) if class != Class::Panic => Some(made(n, class)),
                    _ => Some(made(p, Class::Panic)),
                }
            }
            None => events()
                .find(|(_, class)| matches!(class, Class::Sysrq | Class::HardLockup))
                .map(|(n, class)| made(n, class)),
        },
    }
}

/// sysrq-c was a NULL dereference until 5.0s; the request a few lines before tells it apart.
fn sysrq_or(class: Class, lines: &[&str], n: usize) -> Class {
    let before = lines.get(n.saturating_sub(3)..n).unwrap_or_default();
    if before.iter().any(|l| l.contains("SysRq : Trigger a crash") || l.contains("sysrq: Trigger a crash")) {
        return Class::Sysrq;
    }
    class
}

/// Page faults by what the lines after the first say.
fn refine(event: &mut Event, lines: &[&str], n: usize) {
    let near = lines.get(n..lines.len().min(n + 12)).unwrap_or_default();
    match event.class {
        Class::PageFault | Class::NullPointer => {
            let address = event.oops.address;
            let code = event.oops.error_code;
            event.class = fault_class(address, code, event.class);
            if near.iter().any(|l| l.contains("kernel tried to execute NX-protected page"))
                || near.iter().any(|l| l.starts_with("#PF: supervisor instruction fetch"))
            {
                event.class = Class::WildJump;
            }
        }
        Class::WildJump => {}
        Class::Warning if near.iter().any(|l| l.starts_with("refcount_t: ")) => event.class = Class::Refcount,
        Class::Warning | Class::Bug if near.iter().any(|l| class_of(l) == Some(Class::ListCorruption)) => {
            event.class = Class::ListCorruption;
        }
        _ => {}
    }
}

/// The class of a page fault in kernel mode, by its address and error code (bits: 0 protection,
/// 1 write, 2 user, 4 instruction fetch).
#[must_use]
pub(crate) fn fault_class(address: Option<u64>, code: Option<u64>, otherwise: Class) -> Class {
    if code.is_some_and(|c| c & 0x10 != 0) {
        return Class::WildJump;
    }
    match address {
        Some(at) if !(0x1_0000..0xffff_ffff_ffff_f000).contains(&at) => Class::NullPointer,
        Some(at) if at < 0x0080_0000_0000_0000 => Class::UserAddress,
        Some(_) if code.is_some_and(|c| c & 3 == 3) => Class::ReadOnlyWrite,
        Some(_) => Class::PageFault,
        None => otherwise,
    }
}

fn hex(text: &str) -> Option<u64> {
    let digits: String = text.trim_start_matches("0x").chars().take_while(char::is_ascii_hexdigit).collect();
    u64::from_str_radix(&digits, 16).ok()
}

/// Reads the oops whose first message is line `n`.
#[must_use]
pub(crate) fn oops_at(lines: &[&str], n: usize) -> Oops {
    let mut out = Oops::default();
    let mut in_trace = false;
    let mut user = false;
    let rest = lines.get(n..lines.len().min(n + 400)).unwrap_or_default();
    for (i, line) in rest.iter().enumerate() {
        if i > 0 && (line.contains("---[ end trace") || line.starts_with("Kernel panic")) {
            break;
        }
        if let Some(at) = line.split_once("address: ").or_else(|| line.split_once(" request at "))
            && out.address.is_none()
        {
            out.address = hex(at.1);
        }
        if line.contains("NULL pointer dereference at ")
            && let Some((_, at)) = line.split_once(" at ")
        {
            out.address = hex(at);
        }
        if let Some((_, code)) = line.split_once("error_code(0x") {
            out.error_code = hex(code);
        }
        if let Some(rest) = line.strip_prefix("Oops: ")
            && out.error_code.is_none()
            && line.starts_with("Oops: 0")
        {
            out.error_code = hex(rest.trim_start_matches("Oops: "));
        }
        if let Some(rest) = line.strip_prefix("CPU: ")
            && out.cpu.is_none()
        {
            out.cpu = rest.split_whitespace().next().and_then(|c| c.parse().ok());
            out.pid = word_after(line, "PID: ").and_then(|p| p.parse().ok());
            out.comm = word_after(line, "Comm: ").map(str::to_owned);
        }
        if let Some(rest) = line.strip_prefix("Workqueue: ") {
            out.workqueue = Some(rest.trim().to_owned());
        }
        if let Some(place) = line.strip_prefix("RIP: 0010:").or_else(|| line.strip_prefix("RIP: 0010:[<")) {
            if out.rip.is_none() && out.wild.is_none() {
                out.rip = symbol(place);
                if out.rip.is_none() {
                    out.wild = hex(place.trim());
                }
            }
        } else if line.starts_with("RIP: 0033:") {
            user = true;
        }
        if !user {
            registers(line, &mut out);
        }
        match line.trim() {
            "Call Trace:" => in_trace = true,
            "</TASK>" => in_trace = false,
            entry if in_trace && !user && !entry.starts_with('?') => {
                if let Some((function, ..)) = symbol(entry) {
                    out.trace.push(function);
                }
            }
            _ => {}
        }
    }
    if out.address.is_none()
        && matches!(class_of(rest.first().unwrap_or(&"")), Some(Class::PageFault | Class::NullPointer))
    {
        out.address = out.registers.iter().find(|(name, _)| name == "cr2").map(|(_, v)| *v);
    }
    out
}

fn word_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(key)?.1.split_whitespace().next()
}

/// `name+0x3d4/0x6f0 [module]`
fn symbol(text: &str) -> Option<(String, u64, Option<String>)> {
    let text = text.trim();
    let text = match text.rsplit_once(">] ") {
        Some((_, rest)) => rest, // [<ffffffff81000000>] before 4.10
        None => text,
    };
    let (name, rest) = text.split_once("+0x")?;
    let name = name.rsplit([' ', ']', ':']).next()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    if name.is_empty() || !name.chars().all(good) {
        return None;
    }
    let offset = hex(rest)?;
    let module = rest.split_once('[').and_then(|(_, m)| m.split([']', ' ', '(']).next()).map(str::to_owned);
    Some((name.to_owned(), offset, module.filter(|m| !m.is_empty())))
}

/// `RAX: 0000000000000a20 RBX: …` and `RSP: 0018:ff38… EFLAGS: 00000087`
fn registers(line: &str, out: &mut Oops) {
    let is_line = ["RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "RSP: ", "CR2: "]
        .iter()
        .any(|start| line.trim_start().starts_with(start));
    if !is_line {
        return;
    }
    let mut words = line.split_whitespace();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let Some(name) = name.strip_suffix(':') else { return };
        let value = value.rsplit(':').next().unwrap_or(value);
        if value.len() < 8 || !value.chars().all(|c| c.is_ascii_hexdigit()) {
            continue;
        }
        let name = name.to_ascii_lowercase();
        if let Some(value) = hex(value)
            && !out.registers.iter().any(|(n, _)| *n == name)
        {
            out.registers.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Event {
        let lines: Vec<&str> = text.lines().collect();
        find(&lines).unwrap()
    }

    #[test]
    fn a_bug_with_its_oops() {
        let e = of("virtio_blk virtio0: hello\n\
            kernel BUG at drivers/virtio/virtio_ring.c:550!\n\
            invalid opcode: 0000 [#1] PREEMPT SMP NOPTI\n\
            CPU: 0 PID: 130 Comm: dio Tainted: G           OE      6.1.0\n\
            RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]\n\
            RSP: 0018:ff38d7e3404c3688 EFLAGS: 00000087\n\
            RAX: 0000000000000a20 RBX: 0000000000000080 RCX: 0000000000000001\n\
            CR2: 00007f5f5d604000 CR3: 00000000024ec000 CR4: 0000000000751eb0\n\
            Call Trace:\n <TASK>\n virtqueue_add_sgs+0xb2/0xd0 [virtio_ring]\n ? foo+0x1/0x2\n vfs_read+0x1/0x2\n\
            RIP: 0033:0x437fbd\n\
            RAX: ffffffffffffffda RBX: 0000000000000003 RCX: 0000000000437fbd\n\
            ---[ end trace 0 ]---\n\
            Kernel panic - not syncing: Fatal exception");
        assert_eq!(e.class, Class::Bug);
        assert_eq!(e.oops.rip, Some(("virtqueue_add_split".into(), 0x3d4, Some("virtio_ring".into()))));
        assert_eq!((e.oops.cpu, e.oops.pid, e.oops.comm.as_deref()), (Some(0), Some(130), Some("dio")));
        assert!(e.oops.registers.contains(&("rbx".into(), 0x80)));
        assert!(e.oops.registers.contains(&("rsp".into(), 0xff38_d7e3_404c_3688)));
        assert_eq!(e.oops.trace, ["virtqueue_add_sgs", "vfs_read"]);
    }

    #[test]
    fn page_faults_by_address_and_code() {
        for (line, code, want) in [
            ("BUG: kernel NULL pointer dereference, address: 0000000000000018", "0x0000", Class::NullPointer),
            ("BUG: unable to handle page fault for address: ffffc90000001000", "0x0000", Class::PageFault),
            (
                "BUG: unable to handle page fault for address: ffffffff81000000",
                "0x0003",
                Class::ReadOnlyWrite,
            ),
            ("BUG: unable to handle page fault for address: 00007f5f5d604000", "0x0001", Class::UserAddress),
            ("BUG: unable to handle page fault for address: ffff888004000000", "0x0011", Class::WildJump),
            (
                "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008",
                "",
                Class::NullPointer,
            ),
        ] {
            let e = of(&format!(
                "{line}\n#PF: supervisor read access in kernel mode\n#PF: error_code({code}) - x"
            ));
            assert_eq!(e.class, want, "{line}");
        }
    }

    #[test]
    fn what_a_machine_lives_with_counts_only_where_the_panic_names_it() {
        let hung = "INFO: task dd:12 blocked for more than 120 seconds.";
        assert!(find(&[hung]).is_none());
        assert!(find(&["WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2"]).is_none());
        let e = of(&format!("{hung}\nKernel panic - not syncing: hung_task: blocked tasks"));
        assert_eq!((e.class, e.line.as_str()), (Class::HungTask, hung));
        let e = of(
            "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\nKernel panic - not syncing: panic_on_warn set ...",
        );
        assert_eq!(e.class, Class::Warning);
    }

    #[test]
    fn panics_by_their_words() {
        for (text, want) in [
            ("Attempted to kill init! exitcode=0x00000700", Class::InitKilled),
            ("VFS: Unable to mount root fs on unknown-block(0,0)", Class::NoRoot),
            ("Out of memory: system-wide panic_on_oom is enabled", Class::OutOfMemory),
            ("stack-protector: Kernel stack is corrupted in: foo+0x1/0x2", Class::StackProtector),
            ("sysrq triggered crash", Class::Sysrq),
            ("softlockup: hung tasks", Class::SoftLockup),
            ("my driver gave up", Class::Panic),
        ] {
            assert_eq!(of(&format!("Kernel panic - not syncing: {text}")).class, want, "{text}");
        }
    }

    #[test]
    fn the_request_is_the_cause_of_the_null_dereference_that_carries_it_out() {
        let e = of(
            "SysRq : Trigger a crash\nBUG: unable to handle kernel NULL pointer dereference at           (null)",
        );
        assert_eq!(e.class, Class::Sysrq);
    }

    #[test]
    fn list_corruption_is_told_from_the_bug_that_follows_it() {
        let e = of("list_del corruption. prev->next should be ffff, but was 0\n\
            ------------[ cut here ]------------\nkernel BUG at lib/list_debug.c:53!\nRIP: 0010:f+0x1/0x2");
        assert_eq!(e.class, Class::ListCorruption);
        assert!(e.line.starts_with("list_del corruption") && e.oops.rip.is_some());
    }

    #[test]
    fn an_oops_that_took_init_along_is_the_cause() {
        let e = of("BUG: kernel NULL pointer dereference, address: 0000000000000000\n\
            Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009");
        assert_eq!(e.class, Class::NullPointer);
    }

    #[test]
    fn a_jump_to_nowhere_has_its_target() {
        let e = of("BUG: kernel NULL pointer dereference, address: 0000000000000000\n\
            #PF: supervisor instruction fetch in kernel mode\n#PF: error_code(0x0010) - not-present page\n\
            RIP: 0010:0x0\nCode: Unable to access opcode bytes at 0xffffffffffffffd6.\nRSP: 0018:ffffc90000013e50 EFLAGS: 00010246");
        assert_eq!((e.class, e.oops.wild, e.oops.rip), (Class::WildJump, Some(0), None));
    }

    #[test]
    fn a_quiet_log_has_no_event() {
        assert!(find(&["Linux version 6.1", "BIOS-e820: x"]).is_none());
    }
}
