//! The table of cases: a row is one guest, brought to its end once, and the dumps taken of it.
//!
//! To add a case, add a row. A case of a series is built in `CACHE/SERIES/NAME/`; see [`super`] for what it holds.

/// How the guest ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A failed `BUG_ON` in a rebuilt virtio_ring, reached from a direct read of many segments.
    Bug,
    /// `sysrq-c`.
    Sysrq,
    /// The first process exits.
    Init,
    /// Out of memory, with `panic_on_oom`.
    Oom,
    /// It does not: the dump is of a running system.
    Live,
    /// By one of LKDTM's ways (drivers/misc/lkdtm), in a kernel that has it.
    Lkdtm(&'static str),
    /// By one of the ways of the module in `arm64/dying.c`.
    Dying(&'static str),
}

impl End {
    /// The word on the guest's command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Bug => "bug",
            Self::Sysrq => "sysrq",
            Self::Init => "init",
            Self::Oom => "oom",
            Self::Live => "live",
            Self::Lkdtm(_) => "lkdtm",
            Self::Dying(_) => "dying",
        }
    }
}

/// The guest's machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// x86-64, in QEMU's usual PC.
    Amd64,
    /// arm64, in QEMU's `virt`.
    Arm64,
}

impl Machine {
    /// What Debian calls it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The program that emulates it.
    pub(crate) fn qemu(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
        }
    }

    /// Its first serial line.
    pub(crate) fn console(self) -> &'static str {
        match self {
            Self::Amd64 => "ttyS0",
            Self::Arm64 => "ttyAMA0",
        }
    }

    /// Where its memory starts.
    pub(crate) fn memory_start(self) -> u64 {
        match self {
            Self::Amd64 => 0,
            Self::Arm64 => 1 << 30,
        }
    }
}

/// Where a dump comes from. A case with a crash kernel has what QEMU takes of it taken while that kernel runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// QEMU's `dump-guest-memory` with these options (none: ELF; `-z -l -s`: kdump-compressed, flattened).
    Qemu(&'static str),
    /// QEMU's `pmemsave` of all memory.
    Raw,
    /// `/proc/vmcore`, saved by the guest's own crash kernel.
    Vmcore,
    /// makedumpfile with these arguments, on the case's `vmcore`.
    Make(&'static str),
}

/// A dump of a case.
#[derive(Clone, Copy)]
pub(crate) struct Dump {
    /// File name in the case's folder; of a split set, the start of the names.
    pub file: &'static str,
    /// Where it comes from.
    pub source: Source,
}

/// A case.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Name; with the series it names the folder.
    pub name: &'static str,
    /// Series it is built for.
    pub series: &'static [&'static str],
    /// Belongs to the small set that continuous integration builds.
    pub quick: bool,
    /// The machine it runs on.
    pub machine: Machine,
    /// How it ends.
    pub end: End,
    /// CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// QEMU's CPU model: `max` has 5-level paging, `Haswell-noTSX` 4.
    pub cpu: &'static str,
    /// With QEMU's vmcoreinfo device, so that its ELF dumps carry VMCOREINFO.
    pub vmcoreinfo: bool,
    /// Megabytes for the crash kernel; 0: none.
    pub crashkernel: u32,
    /// More words for the kernel's command line.
    pub append: &'static str,
    /// The dumps to take.
    pub dumps: &'static [Dump],
}

/// A kernel series.
pub(crate) struct Series {
    /// Name, as given to `--series`.
    pub name: &'static str,
    /// Debian suite that has it.
    pub suite: &'static str,
    /// What its releases start with; the newest of them is taken.
    pub prefix: &'static str,
    /// The compiler of the building machine can build modules for it.
    pub modules: bool,
}

/// The series, in the order in which they are built.
pub(crate) const SERIES: &[Series] = &[
    Series { name: "6.1", suite: "bookworm", prefix: "6.1.", modules: true },
    Series { name: "6.12", suite: "bookworm", prefix: "6.12.", modules: true },
    Series { name: "5.10", suite: "bullseye", prefix: "5.10.", modules: true },
    Series { name: "new", suite: "sid", prefix: "", modules: false },
];

const ALL: &[&str] = &["6.1", "6.12", "5.10", "new"];
const RING: &[&str] = &["6.1", "6.12", "5.10"];
const FIRST: &[&str] = &["6.1"];
/// Those that themselves follow what return probes take from stacks.
const TRACED: &[&str] = &["6.1", "6.12", "new"];

const BASE: Case = Case {
    name: "",
    series: ALL,
    quick: false,
    machine: Machine::Amd64,
    end: End::Sysrq,
    cpus: 2,
    memory: 512,
    cpu: "max",
    vmcoreinfo: true,
    crashkernel: 0,
    append: "",
    dumps: &[],
};

const fn qemu(file: &'static str, options: &'static str) -> Dump {
    Dump { file, source: Source::Qemu(options) }
}

const fn make(file: &'static str, arguments: &'static str) -> Dump {
    Dump { file, source: Source::Make(arguments) }
}

const ELF: Dump = qemu("dump.elf", "");
const RAW: Dump = Dump { file: "memory.raw", source: Source::Raw };
const VMCORE: Dump = Dump { file: "vmcore", source: Source::Vmcore };
/// Two kernels are in these, and the CPU that died is in the second: the truth is the first one's.
const WHILE_CAPTURING: Dump = qemu("capturing.elf", "");
const RAW_WHILE_CAPTURING: Dump = Dump { file: "capturing.raw", source: Source::Raw };

/// The cases.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "virtio-bug",
        series: RING,
        quick: true,
        end: End::Bug,
        dumps: &[
            ELF,
            RAW,
            qemu("qemu-zlib.kdump", "-z"),
            qemu("qemu-lzo.kdump", "-l"),
            qemu("qemu-snappy.kdump", "-s"),
        ],
        ..BASE
    },
    Case { name: "virtio-bug-nonote", series: RING, end: End::Bug, vmcoreinfo: false, dumps: &[ELF], ..BASE },
    Case {
        name: "virtio-bug-kdump", // the shipped sample is this one of 6.1
        series: RING,
        quick: true,
        end: End::Bug,
        // Small, but KASLR must leave room for the crash kernel wherever it puts the first one.
        memory: 320,
        crashkernel: 104,
        dumps: &[VMCORE, make("virtio-bug.kdump", "-c -d 31"), qemu("capturing.kdump", "-z")],
        ..BASE
    },
    Case {
        name: "sysrq-kdump",
        quick: true,
        crashkernel: 192,
        dumps: &[
            VMCORE,
            make("zlib.kdump", "-c -d 31"),
            make("zlib-all.kdump", "-c -d 0"),
            make("lzo.kdump", "-l -d 31"),
            make("zstd.kdump", "-z -d 31"),
            make("plain.kdump", "-d 31"),
            make("filtered.elf", "-E -d 31"),
            make("flat-zlib.kdump", "-F -c -d 31"),
            make("flat-filtered.elf", "-F -E -d 31"),
            make("split.kdump", "--split --splitblock-size 1024 -c -d 31"),
            WHILE_CAPTURING,
            RAW_WHILE_CAPTURING,
        ],
        ..BASE
    },
    Case {
        name: "sysrq-4level",
        cpus: 4,
        cpu: "Haswell-noTSX",
        dumps: &[ELF, RAW],
        append: "spin=1",
        ..BASE
    },
    Case { name: "sysrq-1cpu", cpus: 1, dumps: &[ELF], series: FIRST, ..BASE },
    Case { name: "sysrq-nokaslr", dumps: &[ELF, RAW], series: FIRST, append: "nokaslr", ..BASE },
    Case { name: "sysrq-nonote", vmcoreinfo: false, dumps: &[ELF], ..BASE },
    Case {
        name: "virtio-bug-4level",
        series: FIRST,
        end: End::Bug,
        cpus: 4,
        cpu: "Haswell-noTSX",
        append: "spin=1",
        dumps: &[ELF],
        ..BASE
    },
    Case { name: "live", end: End::Live, append: "spin=1", dumps: &[ELF, RAW], ..BASE },
    Case { name: "traced", series: TRACED, quick: true, append: "trace=1", dumps: &[ELF], ..BASE },
    Case { name: "init-exit", end: End::Init, series: FIRST, dumps: &[ELF], ..BASE },
    Case { name: "oom", end: End::Oom, series: FIRST, memory: 256, dumps: &[ELF], ..BASE },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_series_exist() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(CASES[at + 1..].iter().all(|other| other.name != case.name), "{}", case.name);
            assert!(case.series.iter().all(|name| SERIES.iter().any(|series| series.name == *name)));
            assert!(!case.dumps.is_empty());
        }
    }

    #[test]
    fn what_needs_a_crash_kernel_has_one() {
        for case in CASES {
            let wants = case.dumps.iter().any(|dump| matches!(dump.source, Source::Vmcore | Source::Make(_)));
            assert_eq!(wants, case.crashkernel > 0, "{}", case.name);
            if wants {
                assert!(matches!(case.dumps[0].source, Source::Vmcore), "{}: vmcore comes first", case.name);
            }
        }
    }

    #[test]
    fn the_bug_needs_a_rebuilt_module() {
        for case in CASES.iter().filter(|case| case.end == End::Bug) {
            for name in case.series {
                assert!(SERIES.iter().any(|series| series.name == *name && series.modules));
            }
        }
    }
}
