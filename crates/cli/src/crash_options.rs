//! crash's start-up options beyond crashlens's own (crash's help): those that mean something here, those for which
//! nothing is left to do, and those that cannot be had, each with the reason.

use clap::{ArgAction, Args};

const HEADING: &str = "As crash has them";

/// crash's options.
#[derive(Args, Debug, Default)]
pub(crate) struct CrashOptions {
    /// Print when the machine crashed, and exit
    #[arg(short = 't', help_heading = HEADING)]
    pub(crate) timestamp: bool,
    /// Print the kernel's release, and exit
    #[arg(long, help_heading = HEADING)]
    pub(crate) osrelease: bool,
    /// Print the kernel's build id, and exit
    #[arg(long = "build-id", help_heading = HEADING)]
    pub(crate) build_id: bool,
    /// Print the kernel's log, and exit
    #[arg(long, help_heading = HEADING)]
    pub(crate) log: bool,
    /// The machine has so many CPUs, whatever its masks say
    #[arg(long, value_name = "NUMBER", help_heading = HEADING, value_parser = clap::value_parser!(u32).range(1..=16384))]
    pub(crate) cpus: Option<u32>,
    /// Know only the tasks that the CPUs ran
    #[arg(long, help_heading = HEADING)]
    pub(crate) active: bool,
    /// Do not use the CPUs' registers from the dump's notes
    #[arg(long = "no_elf_notes", visible_alias = "no-elf-notes", help_heading = HEADING)]
    pub(crate) no_elf_notes: bool,
    /// Print what was built, and exit
    #[arg(long, help_heading = HEADING)]
    pub(crate) buildinfo: bool,
    /// Print the version
    #[arg(short = 'v', id = "crash_version", action = ArgAction::Version, help_heading = HEADING)]
    version: Option<bool>,

    #[arg(short = 'S', hide = true)]
    system_map: bool,
    #[arg(short = 'x', hide = true)]
    extensions: bool,
    #[arg(short = 'L', hide = true)]
    lock_memory: bool,
    #[arg(long, hide = true)]
    smp: bool,
    #[arg(long = "no_kallsyms", hide = true)]
    no_kallsyms: bool,
    #[arg(long = "no_ikconfig", hide = true)]
    no_ikconfig: bool,
    #[arg(long = "no_data_debug", hide = true)]
    no_data_debug: bool,
    #[arg(long = "kmem_cache_delay", hide = true)]
    kmem_cache_delay: bool,
    #[arg(long, hide = true)]
    readnow: bool,
    #[arg(long = "no_strip", hide = true)]
    no_strip: bool,
    #[arg(long, hide = true, value_name = "COUNT")]
    hash: Option<String>,
    #[arg(long = "max-malloc-bufs", hide = true, value_name = "COUNT")]
    malloc_bufs: Option<String>,

    #[arg(short = 'g', hide = true)]
    has_debug: bool,
    #[arg(short = 'k', hide = true)]
    kerntypes: bool,
    #[arg(short = 'p', hide = true, value_name = "SIZE")]
    page_size: Option<String>,
    #[arg(short = 'o', hide = true, value_name = "FILE")]
    elf_of_raw: Option<String>,
    #[arg(short = 'm', long, hide = true, value_name = "OPTION=VALUE")]
    machdep: Option<String>,
    #[arg(long = "memory_module", hide = true, value_name = "NAME")]
    memory_module: Option<String>,
    #[arg(long = "memory_device", hide = true, value_name = "DEVICE")]
    memory_device: Option<String>,
    #[arg(long, hide = true)]
    hyper: bool,
    #[arg(long = "p2m_mfn", hide = true, value_name = "PFN")]
    p2m_mfn: Option<String>,
    #[arg(long = "xen_phys_start", hide = true, value_name = "ADDRESS")]
    xen_phys_start: Option<String>,
    #[arg(long, hide = true, value_name = "SIZE")]
    reloc: Option<String>,
    #[arg(long, hide = true, value_name = "BITS")]
    kvmhost: Option<String>,
    #[arg(long, hide = true, value_name = "SIZE")]
    kvmio: Option<String>,
}

impl CrashOptions {
    /// Those that were given and have nothing to do here, each with the reason.
    pub(crate) fn idle(&self) -> Vec<&'static str> {
        [
            (self.system_map, "-S: not needed: symbols come from the dump itself or from vmlinux"),
            (self.extensions, "-x: crash's extensions cannot be loaded"),
            (self.lock_memory, "-L: not needed: little memory is used, and none for long"),
            (self.smp, "--smp: not needed: the dump says which CPUs there are"),
            (self.no_kallsyms, "--no_kallsyms: not needed: modules' symbols are taken from the dump"),
            (self.no_ikconfig, "--no_ikconfig: not needed: only `sys config` reads the configuration"),
            (self.no_data_debug, "--no_data_debug: not needed: a member that is missing stops nothing else"),
            (self.kmem_cache_delay, "--kmem_cache_delay: it is always so"),
            (self.readnow, "--readnow: not needed: what is asked for is read when it is asked for"),
            (self.no_strip, "--no_strip: names of clones are never cut"),
            (self.hash.is_some(), "--hash: not needed: tables grow as they must"),
            (self.malloc_bufs.is_some(), "--max-malloc-bufs: not needed: there are no such buffers"),
        ]
        .into_iter()
        .filter_map(|(given, why)| given.then_some(why))
        .collect()
    }

    /// The first that was given and cannot be had, with the reason.
    pub(crate) fn refused(&self) -> Option<String> {
        const LIVE: &str = "live systems are not read, only dumps";
        const XEN: &str = "Xen's dumps are not read";
        const I386: &str = "32-bit kernels are not read";
        [
            (self.has_debug, "-g", "`crashlens info DUMP VMLINUX` says what a kernel file has"),
            (self.kerntypes, "-k", "LKCD's Kerntypes are not read"),
            (self.page_size.is_some(), "-p", "the page size is the processor's, 4096 bytes"),
            (self.elf_of_raw.is_some(), "-o", "raw images are read as they are, no ELF file is made of them"),
            (
                self.machdep.is_some(),
                "-m, --machdep",
                "phys_base, page tables and levels are found in the dump; --kaslr OFFSET moves the kernel",
            ),
            (self.memory_module.is_some(), "--memory_module", LIVE),
            (self.memory_device.is_some(), "--memory_device", LIVE),
            (self.hyper, "--hyper", XEN),
            (self.p2m_mfn.is_some(), "--p2m_mfn", XEN),
            (self.xen_phys_start.is_some(), "--xen_phys_start", XEN),
            (self.reloc.is_some(), "--reloc", I386),
            (self.kvmhost.is_some(), "--kvmhost", "the format of `virsh save` is not read"),
            (self.kvmio.is_some(), "--kvmio", "the format of `virsh save` is not read"),
        ]
        .into_iter()
        .find_map(|(given, name, why)| given.then(|| format!("{name}: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(std::iter::once("crashlens").chain(line.split_whitespace())).unwrap()
    }

    #[test]
    fn what_has_nothing_to_do_and_what_cannot_be_had_says_why() {
        let cli = parse(
            "-S -x -L --smp --no_kallsyms --no_ikconfig --no_data_debug --kmem_cache_delay --readnow \
                         --no_strip --hash 5 --max-malloc-bufs 4000 vmcore",
        );
        assert_eq!((cli.crash.idle().len(), cli.crash.refused()), (12, None));
        for line in "-g|-k|-p 4096|-o f|-m phys_base=0|--machdep vm=5level|--memory_module m|--memory_device d|--hyper|\
                     --p2m_mfn 5|--xen_phys_start 0|--reloc 16m|--kvmhost 64|--kvmio 1g"
            .split('|')
        {
            let why = parse(line).crash.refused().unwrap();
            assert!(why.contains(line.split(' ').next().unwrap()) && why.contains(": "), "{why}");
        }
    }

    #[test]
    fn those_that_answer_take_the_dump_as_crash_does() {
        let cli = parse("--osrelease vmcore");
        assert!(cli.crash.osrelease && cli.files.len() == 1);
        let cli = parse("-t vmlinux vmcore --cpus 4 --active --no_elf_notes");
        assert!(cli.crash.timestamp && cli.crash.active && cli.crash.no_elf_notes);
        assert_eq!(cli.crash.cpus, Some(4));
        assert!(Cli::try_parse_from(["crashlens", "--cpus", "0"]).is_err());
    }
}
