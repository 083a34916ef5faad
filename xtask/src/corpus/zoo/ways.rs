//! The table of ways to die: a row is one guest, what makes it die, and what a verdict has to call it.
//!
//! To add a way: a row here, and where it dies in the module a function with a line marked `ZOO name`; see
//! `module/zoo.h`.

/// How the guest is brought to it; a word for its `init`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// The name is written to the module's file; the writer dies.
    Write,
    /// The same from the background: the guest lives on for a while.
    Both,
    /// By an ioctl.
    Ioctl,
    /// While the module is loaded.
    Init,
    /// The first process exits.
    Exit,
    /// The first process reads at a null pointer.
    Segv,
    /// `sysrq-c`.
    Sysrq,
    /// The name is written, and then the module is unloaded.
    Unload,
    /// A process eats the memory that its group may have.
    Group,
    /// Many processes eat a little each.
    Crowd,
    /// A process eats memory and locks it.
    Locked,
    /// The memory goes into a pool of huge pages.
    Huge,
    /// A process eats the memory.
    User,
    /// A file in memory eats it.
    Tmpfs,
    /// Nothing is done.
    Idle,
    /// There is no first file system at all.
    NoRoot,
}

impl How {
    /// The word on the kernel's command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Both => "both",
            Self::Ioctl => "ioctl",
            Self::Init => "init",
            Self::Exit => "exit",
            Self::Segv => "segv",
            Self::Sysrq => "sysrq",
            Self::Unload => "unload",
            Self::Group => "group",
            Self::Crowd => "crowd",
            Self::Locked => "locked",
            Self::Huge => "huge",
            Self::User => "user",
            Self::Tmpfs => "tmpfs",
            Self::Idle | Self::NoRoot => "idle",
        }
    }
}

/// What ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The kernel's panic.
    Panic,
    /// The same, after these commands to QEMU's monitor.
    Monitor(&'static [&'static str]),
    /// Nothing: the dump is of a living system.
    Alive,
}

/// A way to die.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Name; with the series it names the folder.
    pub name: &'static str,
    /// The name the module knows it by.
    pub asked: &'static str,
    /// The classes that a verdict may call it.
    pub class: &'static [&'static str],
    /// The mark of the line it dies in; empty: nowhere in the module; [`NOWHERE`]: the first report tells no place.
    pub mark: &'static str,
    /// How the guest is brought to it.
    pub how: How,
    /// What ends it.
    pub end: End,
    /// More words for the kernel's command line.
    pub append: &'static str,
    /// `name:value,…` in /proc/sys.
    pub set: &'static str,
    /// Lines that the kernel's configuration must have.
    pub needs: &'static [&'static str],
    /// Belongs to the handful that continuous integration builds.
    pub quick: bool,
}

/// A mark that says that no place is told.
pub(crate) const NOWHERE: &str = "-";

impl Way {
    /// A trap or fault of the processor ends it: its report has registers.
    pub(crate) fn traps(&self) -> bool {
        self.class.iter().any(|class| TRAPS.contains(class))
    }

    const fn quick(mut self) -> Self {
        self.quick = true;
        self
    }
    const fn marked(mut self, mark: &'static str) -> Self {
        self.mark = mark;
        self
    }
    const fn how(mut self, how: How) -> Self {
        self.how = how;
        self
    }
    const fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }
    const fn append(mut self, append: &'static str) -> Self {
        self.append = append;
        self
    }
    const fn set(mut self, set: &'static str) -> Self {
        self.set = set;
        self
    }
    const fn needs(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }
    const fn asked(mut self, asked: &'static str) -> Self {
        self.asked = asked;
        self
    }
}

/// One that dies in its own mark of an oops.
const fn way(name: &'static str, class: &'static [&'static str]) -> Way {
    Way {
        name,
        asked: name,
        class,
        mark: name,
        how: How::Write,
        end: End::Panic,
        append: "oops=panic",
        set: "",
        needs: &[],
        quick: false,
    }
}

const fn warning(name: &'static str, class: &'static [&'static str]) -> Way {
    way(name, class).append("panic_on_warn=1")
}

/// A slab or page found damaged: the kernel goes on unless its taint is fatal.
const fn damage(name: &'static str, class: &'static [&'static str]) -> Way {
    way(name, class).append("panic_on_taint=0x20 slub_debug=FZPU")
}

const fn hung(name: &'static str) -> Way {
    way(name, &["hung-task"]).how(How::Both).append("hung_task_panic=1").set(HUNG)
}

const fn soft(name: &'static str) -> Way {
    way(name, &["soft-lockup"]).how(How::Both).append("softlockup_panic=1 watchdog_thresh=2")
}

const fn memory(name: &'static str) -> Way {
    way(name, &["out-of-memory"]).append("").set("vm/panic_on_oom:2")
}

/// Its place is not in the module.
const fn elsewhere(name: &'static str, class: &'static [&'static str]) -> Way {
    way(name, class).marked("").append("")
}

const HUNG: &str = "kernel/hung_task_timeout_secs:5";
const BUG: &[&str] = &["bug"];
const NULL: &[&str] = &["null-pointer"];
const FAULT: &[&str] = &["page-fault"];
/// What the processor itself finds.
const TRAPS: &[&str] =
    &["bug", "warning", "page-fault", "null-pointer", "general-protection", "divide-error"];
const PROTECTION: &[&str] = &["general-protection"];
const JUMP: &[&str] = &["wild-jump"];
const LIST: &[&str] = &["list-corruption"];
const SLAB: &[&str] = &["slab-corruption"];

/// The ways.
pub(crate) const WAYS: &[Way] = &[
    way("bug-compare", BUG).quick(),
    way("assert-printed", BUG),
    way("bug-chain", BUG),
    way("bug-and", BUG),
    way("bug-or", BUG),
    way("bug-bit", BUG),
    way("bug-bitfield", BUG),
    way("bug-list-empty", BUG),
    way("bug-stack", BUG),
    way("bug-result", BUG),
    way("bug-switch", BUG),
    way("bug-pointer", BUG),
    way("bug-inline", BUG),
    way("bug-global", BUG),
    way("init-bug", BUG).how(How::Init),
    way("bug-ioctl", BUG).how(How::Ioctl),
    way("bug-timer", BUG).marked("check"),
    way("bug-hrtimer", BUG).marked("check"),
    way("bug-tasklet", BUG).marked("check"),
    way("bug-delayed-work", BUG).marked("check"),
    way("bug-ipi", BUG).marked("check"),
    way("invalid-opcode", &["invalid-opcode"]),
    warning("warn-on", &["warning"]),
    warning("warn-text", &["warning"]),
    way("null-read", NULL),
    way("null-write", NULL).quick(),
    way("null-call", &["null-pointer", "wild-jump"]),
    way("null-ops", NULL),
    way("null-work", NULL),
    way("freed-reused", NULL).marked("session"),
    way("call-wild", JUMP).marked("call"),
    way("call-data", JUMP).marked("call"),
    way("call-user", JUMP).marked("call"),
    way("user-read", &["user-address"]),
    way("gp-text", PROTECTION).marked("pointer"),
    way("gp-bit", PROTECTION).marked("pointer"),
    way("freed-poison", PROTECTION).marked("session").append("oops=panic slub_debug=FZPU"),
    way("list-poison", PROTECTION),
    way("page-fault", FAULT).marked("pointer"),
    way("error-pointer", FAULT).marked("pointer"),
    way("vmalloc-freed", FAULT).marked("table"),
    way("vmalloc-overrun", FAULT).marked("table"),
    way("read-only", &["read-only-write"]),
    way("divide", &["divide-error"]),
    way("divide-kthread", &["divide-error"]),
    way("stack-overflow", &["stack-overflow"]),
    way("stack-protector", &["stack-protector"]),
    way("usercopy", &["buffer-overflow"]),
    way("fortify", &["buffer-overflow"]),
    way("list-del-twice", LIST).marked("list-del").quick(),
    way("list-del-neighbour", LIST).marked("list-del"),
    way("list-add-zeroed", LIST).marked("list-add"),
    warning("refcount-zero", &["refcount"]).marked("refcount-inc"),
    warning("refcount-under", &["refcount"]).marked("refcount-dec"),
    way("slab-double-free", &["bug", "slab-corruption"]).marked("slab-free"),
    damage("slab-redzone", SLAB).marked("slab-free").quick(),
    damage("slab-poison", SLAB).marked("slab-open"),
    damage("page-state", &["page-corruption"]),
    warning("kfence-freed", &["sanitizer"])
        .append("panic_on_warn=1 kfence.sample_interval=1")
        .needs(&["CONFIG_KFENCE=y"]),
    warning("kfence-beyond", &["sanitizer"])
        .append("panic_on_warn=1 kfence.sample_interval=1")
        .needs(&["CONFIG_KFENCE=y"]),
    warning("kfence-beside", &["sanitizer"])
        .append("panic_on_warn=1 kfence.sample_interval=1")
        .needs(&["CONFIG_KFENCE=y"]),
    warning("atomic-sleep", &["atomic-sleep"]).needs(&["CONFIG_PREEMPT_COUNT=y"]),
    warning("atomic-leave", &["atomic-sleep"]).needs(&["CONFIG_PREEMPT_COUNT=y"]),
    hung("hung-abba").marked("transfer").quick(),
    hung("hung-circle").marked("transfer"),
    hung("hung-self"),
    hung("hung-owner-sleeps").marked("hung-self"),
    hung("hung-owner-exited"),
    hung("hung-rwsem").marked(""),
    hung("hung-writer"),
    hung("hung-completion"),
    soft("spin-self"),
    soft("spin-abba"),
    soft("spin-timer"),
    soft("soft-loop").marked("loop"),
    way("rcu-loop", &["rcu-stall"])
        .marked("loop")
        .how(How::Both)
        .append("nowatchdog rcupdate.rcu_cpu_stall_timeout=3")
        .set("kernel/panic_on_rcu_stall:1"),
    // The interrupt may reach the other CPU first: what that one did is no place of the death.
    way("hard-loop", &["nmi"])
        .marked("")
        .how(How::Both)
        .end(End::Monitor(&["nmi"]))
        .append("nowatchdog unknown_nmi_panic=1"),
    memory("oom-slab"),
    memory("oom-pages"),
    memory("oom-user").marked("").how(How::User),
    memory("oom-tmpfs").marked("").how(How::Tmpfs),
    way("panic-text", &["panic"]),
    elsewhere("init-exit", &["init-killed"]).how(How::Exit),
    elsewhere("init-segv", &["init-killed"]).how(How::Segv),
    elsewhere("no-root", &["no-root"]).how(How::NoRoot),
    elsewhere("sysrq", &["sysrq"]).how(How::Sysrq),
    elsewhere("nmi", &["nmi"]).how(How::Idle).end(End::Monitor(&["nmi"])).append("unknown_nmi_panic=1"),
    elsewhere("machine-check", &["machine-check"])
        .how(How::Idle)
        .end(End::Monitor(&["mce 1 4 0xbe00000000000135 5 0x1234000 0x8c"]))
        .needs(&["CONFIG_X86_MCE=y"]),
    way("check-range", BUG),
    way("check-error", BUG),
    way("check-text", BUG),
    way("check-interrupt", BUG),
    way("check-negative", BUG),
    way("check-element", BUG),
    way("check-atomic", BUG),
    way("check-aligned", BUG),
    way("check-loop", BUG),
    way("check-sum", BUG),
    way("check-mask", BUG),
    way("check-sign", BUG),
    way("check-end", BUG),
    way("check-percpu", BUG),
    way("check-task", BUG),
    way("check-locked", BUG),
    way("check-magic", BUG),
    way("check-dropped", BUG),
    warning("check-once", &["warning"]),
    way("copy-null", NULL),
    way("text-null", NULL),
    way("set-beyond", FAULT),
    way("index-wild", FAULT),
    way("queue-zeroed", NULL),
    way("percpu-pointer", &["user-address", "page-fault"]),
    way("text-write", &["read-only-write"]),
    way("return-wild", JUMP).marked(NOWHERE),
    way("return-text", &["wild-jump", "general-protection"]).marked(NOWHERE),
    way("misaligned", PROTECTION),
    way("bad-segment", PROTECTION),
    way("breakpoint", &["exception"]),
    way("stack-two", &["stack-overflow"]).marked(""),
    way("timer-gone", &["page-fault", "wild-jump"]).marked("").how(How::Unload),
    way("free-inside", &["bug", "slab-corruption", "page-fault", "warning"])
        .append("oops=panic panic_on_warn=1"),
    warning("unmap-twice", &["warning"]),
    warning("object-raw", &["warning", "refcount"]),
    warning("work-raw", &["warning"]),
    warning("cache-busy", &["warning", "slab-corruption"]),
    way("module-put", &["bug", "warning"]).append("oops=panic panic_on_warn=1"),
    way("bug-nmi", BUG).end(End::Monitor(&["nmi"])),
    hung("hung-flush").marked(""),
    hung("hung-event"),
    hung("hung-semaphore"),
    hung("hung-readers").marked(""),
    hung("hung-bit"),
    hung("hung-page"),
    hung("hung-stop").marked(""),
    hung("hung-token"),
    soft("soft-call").marked(NOWHERE),
    // The first report is of the holder, who sleeps where that is forbidden.
    soft("soft-sleeper").marked(NOWHERE),
    soft("soft-rwlock"),
    soft("soft-timer"),
    way("stall-clock", &["rcu-stall"])
        .how(How::Both)
        .append("nowatchdog rcupdate.rcu_cpu_stall_timeout=3")
        .set("kernel/panic_on_rcu_stall:1"),
    elsewhere("oom-group", &["out-of-memory"]).how(How::Group).set("vm/panic_on_oom:2"),
    elsewhere("oom-crowd", &["out-of-memory"]).how(How::Crowd).set("vm/panic_on_oom:2"),
    elsewhere("oom-locked", &["out-of-memory"]).how(How::Locked).set("vm/panic_on_oom:2"),
    elsewhere("oom-huge", &["out-of-memory"]).how(How::Huge).set("vm/panic_on_oom:2"),
    way("atomic-last", BUG),
    way("atomic-under", BUG),
    way("atomic-sum", BUG),
    way("atomic-claimed", BUG),
    way("atomic-released", BUG),
    way("atomic-owned", BUG),
    way("atomic-phase", BUG),
    way("atomic-mapped", BUG),
    way("atomic-waiting", BUG),
    way("atomic-carry", BUG),
    way("index-slots", FAULT),
    way("index-kept", FAULT),
    way("index-null", NULL),
    way("index-flexible", FAULT),
    way("index-pointer", NULL),
    way("index-call", &["null-pointer", "wild-jump"]),
    way("index-global", &["page-fault", "user-address"]),
    way("index-loop", FAULT),
    way("check-slot", BUG),
    way("error-returned", NULL),
    way("parcel-kind", BUG),
    way("parcel-load", BUG),
    way("parcel-seal", BUG),
    way("parcel-zone", BUG),
    way("parcel-delay", BUG),
    way("depot-route", NULL),
    way("depot-row", FAULT),
    way("depot-bin", &["page-fault", "user-address", "general-protection"]),
    way("parcel-owner", NULL),
    way("depot-global", NULL),
    way("depot-close", &["null-pointer", "wild-jump"]),
    way("depot-lanes", &["divide-error"]),
    way("label-twice", &["bug", "slab-corruption"]),
    warning("bins-twice", &["warning"]),
    way("label-copy", &["buffer-overflow"]),
    way("bill-stack", &["buffer-overflow"]),
    warning("parcel-hold", &["refcount"]),
    way("parcel-hash", PROTECTION),
    hung("depot-sweep").marked(""),
    hung("depot-audit").marked(""),
    // Another task survived an oops before, which is no part of the death.
    way("survived-bug", BUG).asked("bug-compare").marked("bug-compare").append("before=null-write"),
    soft("survived-soft")
        .asked("soft-loop")
        .marked("loop")
        .append("softlockup_panic=1 watchdog_thresh=2 before=null-write"),
    elsewhere("live", &["alive"]).how(How::Idle).end(End::Alive),
    // It survived an oops, and lives.
    elsewhere("survived-live", &["alive"])
        .asked("live")
        .how(How::Idle)
        .end(End::Alive)
        .append("before=null-write"),
    elsewhere("live-hung", &["alive", "deadlock"])
        .how(How::Both)
        .end(End::Alive)
        .asked("hung-abba")
        .set(HUNG),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_class_is_there() {
        for (at, way) in WAYS.iter().enumerate() {
            assert!(WAYS[at + 1..].iter().all(|other| other.name != way.name), "{}", way.name);
            assert!(!way.class.is_empty());
        }
        let mut classes: Vec<&str> = WAYS.iter().map(|way| way.class[0]).collect();
        classes.sort_unstable();
        classes.dedup();
        assert!(classes.len() >= 25, "{classes:?}");
        assert!((2..8).contains(&WAYS.iter().filter(|way| way.quick).count()));
    }

    #[test]
    fn what_the_first_file_system_is_asked_for_is_known_to_it() {
        let init = include_str!("init");
        for way in WAYS.iter().filter(|way| way.how != How::NoRoot) {
            assert!(init.contains(&format!("  {}) ", way.how.word())), "{}", way.name);
        }
    }
}
