//! `cargo xtask corpus --built`: kernels that no distribution ships, built from the distribution's source.
//!
//! - `shuffled`: gcc with KASAN, lockdep, UBSAN and randomised structs, modules, no BTF.
//! - `small`: gcc `-Os`, one CPU, no modules, no KALLSYMS_ALL, no ORC, no BTF.
//!
//! Both have LKDTM, which dies in many ways. They start from `allnoconfig` and the fragments in `built/`, so that few
//! files are compiled: `small` takes minutes on two cores, `shuffled` about four times as long. Not for continuous
//! integration.
//!
//! Under the corpus's folder, `built/source` is the kernel's source, `built/kernels/NAME` the finished kernel, and
//! `built/NAME/CASE` a case as the others have it. `--force` makes the cases again, not the kernels; for that remove
//! `built/kernels/NAME`.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{Mirrors, Suite};
use super::cases::{Case, Dump, End, Machine, Series, Source};
use super::dumps::Makedumpfile;
use super::kernel::{Kernel, Module};
use super::{Wanted, guest, list};
use crate::run::{At as _, Error, command, fresh, limited, other, output, say, shell};

/// What is built: its place among the series, and its part of the configuration.
struct Built {
    series: Series,
    config: &'static str,
    /// It has modules.
    modules: &'static [&'static str],
    cpus: u32,
}

const COMMON: &str = include_str!("built/common.config");

/// The source's version, and the suite that has it.
const SOURCE: (&str, &str) = ("6.1", "bookworm");

const KERNELS: &[Built] = &[
    Built {
        series: Series { name: "small", suite: SOURCE.1, prefix: SOURCE.0, modules: false },
        config: include_str!("built/small.config"),
        modules: &[],
        cpus: 1,
    },
    Built {
        series: Series { name: "shuffled", suite: SOURCE.1, prefix: SOURCE.0, modules: false },
        config: include_str!("built/shuffled.config"),
        modules: &["lib/crc16.ko", "fs/fuse/fuse.ko", "drivers/misc/lkdtm/lkdtm.ko"],
        cpus: 2,
    },
];

/// They have no ACPI: the guest is told where QEMU's firmware interface is, through which VMCOREINFO reaches its dumps.
const FIRMWARE: &str = "qemu_fw_cfg.ioport=0xc@0x510:0:1";

const ELF: Dump = Dump { file: "dump.elf", source: Source::Qemu("") };
const KDUMP: Dump = Dump { file: "qemu-zlib.kdump", source: Source::Qemu("-z") };
const RAW: Dump = Dump { file: "memory.raw", source: Source::Raw };

const BASE: Case = Case {
    name: "",
    series: &[],
    quick: false,
    machine: Machine::Amd64,
    end: End::Sysrq,
    cpus: 0,
    memory: 512,
    cpu: "max",
    vmcoreinfo: true,
    crashkernel: 0,
    append: FIRMWARE,
    dumps: &[ELF],
};

/// The cases, the same of every kernel.
const CASES: &[Case] = &[
    Case { name: "sysrq", dumps: &[ELF, RAW, KDUMP], ..BASE },
    Case { name: "sysrq-nonote", vmcoreinfo: false, dumps: &[ELF, RAW], append: "", ..BASE },
    Case { name: "sysrq-nokaslr", vmcoreinfo: false, append: "nokaslr", ..BASE },
    Case { name: "live", end: End::Live, ..BASE },
    Case { name: "lkdtm-bug", end: End::Lkdtm("BUG"), ..BASE },
    Case { name: "lkdtm-exception", end: End::Lkdtm("EXCEPTION"), ..BASE },
    Case { name: "lkdtm-exhaust-stack", end: End::Lkdtm("EXHAUST_STACK"), ..BASE },
    Case { name: "lkdtm-write-ro", end: End::Lkdtm("WRITE_RO"), ..BASE },
    Case { name: "lkdtm-exec-data", end: End::Lkdtm("EXEC_DATA"), ..BASE },
    Case { name: "lkdtm-spinlockup", end: End::Lkdtm("SPINLOCKUP"), ..BASE },
];

fn check(wanted: &Wanted<'_>) -> Result<(), Error> {
    if let Some(name) = wanted.cases.iter().find(|name| CASES.iter().all(|case| case.name != **name)) {
        return other(format!("no case `{name}`: `cargo xtask corpus --built --list` names them"));
    }
    if let Some(name) = wanted.series.iter().find(|name| KERNELS.iter().all(|k| k.series.name != **name)) {
        return other(format!("no built kernel `{name}`: there are small and shuffled"));
    }
    Ok(())
}

/// Builds the kernels and their cases.
pub(super) fn run(cache: &Path, wanted: &Wanted<'_>) -> Result<(), Error> {
    check(wanted)?;
    let root = cache.join("built");
    let mut failed = Vec::new();
    for built in KERNELS.iter().filter(|built| wanted.has_series(built.series.name, 0)) {
        let series = &built.series;
        let there = |case: &Case| super::marker(&root, series, case).exists();
        let asked = CASES.iter().filter(|case| wanted.has_case(case.name));
        let asked = asked.map(|case| Case { cpus: built.cpus, ..*case });
        if wanted.list {
            asked.for_each(|case| list(there(&case), &format!("built/{}/{}", series.name, case.name)));
            continue;
        }
        let cases = wanted.left(asked, there);
        if cases.is_empty() {
            continue;
        }
        let kernel = kernel(cache, built)?;
        if wanted.reparse {
            cases.iter().try_for_each(|case| super::reparse(&root, series, case, &kernel))?;
            continue;
        }
        let guest = guest::prepare(&kernel, &guest::Tools::of_this_machine()?)?;
        let none = Makedumpfile::none();
        failed.extend(super::build_cases((&root, "built/"), series, &cases, &kernel, &guest, &none));
    }
    if failed.is_empty() { Ok(()) } else { other(format!("not built: {}", failed.join(", "))) }
}

/// A finished kernel: built, or of an earlier run.
fn kernel(cache: &Path, built: &Built) -> Result<Kernel, Error> {
    let dir = cache.join("built/kernels").join(built.series.name);
    let marker = dir.join("done");
    if !marker.exists() {
        crate::setup::install(false)?;
        install_plugin_headers(built)?;
        let source = source(cache)?;
        let started = std::time::Instant::now();
        compile(&source, &dir, built)?;
        say(format_args!("{}: compiled in {} s", built.series.name, started.elapsed().as_secs()));
    }
    let text = fs::read_to_string(&marker).at(&marker)?;
    let [release, version] = text.lines().collect::<Vec<_>>()[..] else {
        return other(format!("{}: not two lines", marker.display()));
    };
    let module = |file: &&str| {
        let path = dir.join("build").join(file);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let loaded = dir.join(format!("{name}.ko"));
        Module { name, loaded, debug: path }
    };
    let modules = built.modules.iter().map(module).collect();
    Ok(Kernel { release: release.into(), version: version.into(), dir: dir.clone(), modules, buggy: None })
}

/// The compiler's headers for plugins, with which the structs are shuffled.
fn install_plugin_headers(built: &Built) -> Result<(), Error> {
    if !built.config.contains("CONFIG_GCC_PLUGINS=y") {
        return Ok(());
    }
    let folder = output(&mut command("gcc", ["-print-file-name=plugin"]))?;
    if Path::new(folder.trim()).join("include/gcc-plugin.h").exists() {
        return Ok(());
    }
    let version = output(&mut command("gcc", ["-dumpversion"]))?;
    let package = format!("gcc-{}-plugin-dev", version.trim());
    let mut install = command("apt-get", ["install", "-y", "-q", "--no-install-recommends", &package]);
    output(install.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

/// The kernel's source, unpacked; its version stands in a file beside it.
fn source(cache: &Path) -> Result<PathBuf, Error> {
    let dir = cache.join("built/source");
    let marker = dir.join("package-version");
    if marker.exists() {
        return Ok(dir);
    }
    let suite = Suite::open(cache, SOURCE.1, &Mirrors::of_this_machine()?)?;
    fresh(&dir)?;
    let debs = cache.join("built/debs");
    let package = format!("linux-source-{}", SOURCE.0);
    let files = suite.download(&[&package], &debs)?;
    let Some(deb) = files.first() else { return other(format!("{package}: no file came")) };
    let version = output(command("dpkg-deb", ["-f"]).arg(deb).arg("Version"))?;
    let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -xO ./usr/src/\"$3\".tar.xz | tar -xJ -C \"$2\" --strip-components=1";
    shell(script, [deb.as_os_str(), dir.as_os_str(), package.as_ref()])?;
    fs::remove_dir_all(&debs).at(&debs)?;
    fs::write(&marker, version).at(&marker)?;
    Ok(dir)
}

/// Configures, compiles, and puts the parts where a [`Kernel`] has them.
fn compile(source: &Path, dir: &Path, built: &Built) -> Result<(), Error> {
    let build = dir.join("build");
    fs::create_dir_all(&build).at(&build)?;
    let wanted = format!("{COMMON}{}", built.config);
    let fragment = dir.join("fragment");
    fs::write(&fragment, &wanted).at(&fragment)?;
    let out = format!("O={}", build.display());
    let source_dir = source.display().to_string();
    let all = format!("KCONFIG_ALLCONFIG={}", fragment.display());
    limited(120, "make", ["-s", "-C", &source_dir, &out, &all, "allnoconfig"])?;
    let made = build.join(".config");
    let lost = lost(&wanted, &fs::read_to_string(&made).at(&made)?);
    if !lost.is_empty() {
        return other(format!("{}: the source does not take {}", built.series.name, lost.join(", ")));
    }
    let jobs = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let jobs = format!("-j{jobs}");
    let mut goals = vec!["-s", "-C", &source_dir, &out, &jobs, "vmlinux", "bzImage"];
    if !built.modules.is_empty() {
        goals.push("modules");
    }
    limited(3 * 3600, "make", goals)?;
    let release = build.join("include/config/kernel.release");
    let release = fs::read_to_string(&release).at(&release)?.trim().to_owned();
    let boot = dir.join("boot");
    fs::create_dir_all(&boot).at(&boot)?;
    let image = build.join("arch/x86/boot/bzImage");
    fs::copy(&image, boot.join(format!("vmlinuz-{release}"))).at(&image)?;
    fs::copy(build.join("vmlinux"), dir.join("vmlinux")).at(&build)?;
    for file in built.modules {
        let from = build.join(file);
        let to = dir.join(from.file_name().unwrap_or_default());
        output(command("strip", ["--strip-debug", "-o"]).arg(&to).arg(&from))?;
    }
    let version = source.join("package-version");
    let version = fs::read_to_string(&version).at(&version)?;
    let marker = dir.join("done");
    fs::write(&marker, format!("{release}\n{}\n", version.trim())).at(&marker)
}

/// What was asked of the configuration and is not in it.
fn lost(wanted: &str, made: &str) -> Vec<String> {
    let there = |line: &str| made.lines().any(|found| found == line);
    wanted.lines().filter(|line| line.starts_with("CONFIG_") && !there(line)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_lacks_is_told() {
        let made = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_CC=y\n";
        assert_eq!(
            lost("CONFIG_A=y\nCONFIG_B=y\n# CONFIG_D is not set\nCONFIG_C=y\n", made),
            ["CONFIG_B=y", "CONFIG_C=y"]
        );
    }

    #[test]
    fn names_of_kernels_and_cases_are_unique_and_modules_go_with_the_configuration() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(CASES[at + 1..].iter().all(|other| other.name != case.name), "{}", case.name);
            assert!(!case.dumps.is_empty() && case.crashkernel == 0);
        }
        for built in KERNELS {
            assert_eq!(built.config.contains("CONFIG_MODULES=y"), !built.modules.is_empty());
            assert_eq!(built.config.contains("CONFIG_SMP=y"), built.cpus > 1);
            assert!(built.config.contains("CONFIG_LKDTM="));
        }
    }
}
