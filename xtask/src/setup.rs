//! `cargo xtask setup`: installs by apt what the corpus, the tests and the bench need.

use crate::run::{self, Error, command, output, say};

/// Arguments of `setup`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also installs debootstrap and python3-venv, with which the peers (crash, drgn) are set up.
    #[arg(long)]
    peers: bool,
}

/// A package, and a program it brings (what is there already is not installed again).
const PACKAGES: &[(&str, &str)] = &[
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("busybox-static", "busybox"),
    ("kexec-tools", "kexec"),
    ("makedumpfile", "makedumpfile"),
    ("kmod", "depmod"),
    ("cpio", "cpio"),
    ("e2fsprogs", "mke2fs"),
    ("xz-utils", "xz"),
    ("gcc", "gcc"),
    ("libc6-dev", ""),
    ("make", "make"),
    ("libelf-dev", ""),
    ("dwarves", "pahole"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
];

/// Only for guests on arm64.
const CROSS_PACKAGES: &[(&str, &str)] = &[
    ("qemu-system-arm", "qemu-system-aarch64"),
    ("gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
    ("libc6-dev-arm64-cross", ""),
];

/// Only for the peers.
const PEER_PACKAGES: &[(&str, &str)] = &[("debootstrap", "debootstrap"), ("python3-venv", "")];

/// Only for programs of others that use crashlens: a client library in Python, a browser and its driver.
const CLIENT_PACKAGES: &[(&str, &str)] =
    &[("python3-venv", ""), ("chromium", "chromium"), ("chromium-driver", "chromedriver")];
/// Only for the wheel's tests.
const PYTHON_PACKAGES: &[(&str, &str)] = &[("python3-venv", "")];

/// Installs what is missing.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    install_those(&[PACKAGES, CROSS_PACKAGES, if args.peers { PEER_PACKAGES } else { &[] }])
}

/// Installs what is missing, with what the peers need if `peers`.
pub(crate) fn install(peers: bool) -> Result<(), Error> {
    install_those(&[PACKAGES, if peers { PEER_PACKAGES } else { &[] }])
}

/// Installs what the wheel's tests need.
pub(crate) fn install_python() -> Result<(), Error> {
    install_those(&[PYTHON_PACKAGES])
}

/// Only for packages.
const PACKAGING: &[(&str, &str)] = &[("rpm", "rpm"), ("gcc", "gcc"), ("libc6-dev", "")];

/// Installs what is missing to make packages.
pub(crate) fn install_for_packages() -> Result<(), Error> {
    install_those(&[PACKAGING])
}

/// Installs what is missing, with what guests on arm64 need.
pub(crate) fn install_cross() -> Result<(), Error> {
    install_those(&[PACKAGES, CROSS_PACKAGES])
}

/// Installs what is missing for programs of others that use crashlens.
pub(crate) fn install_clients() -> Result<(), Error> {
    install_those(&[CLIENT_PACKAGES])
}

fn install_those(lists: &[&[(&str, &str)]]) -> Result<(), Error> {
    let missing: Vec<&str> = lists
        .iter()
        .copied()
        .flatten()
        .filter(|(package, program)| !present(package, program))
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(format_args!("installing {}", missing.join(" ")));
    output(&mut command("apt-get", ["update", "-q"]))?;
    let mut install = command("apt-get", ["install", "-y", "-q", "--no-install-recommends"]);
    install.args(&missing).env("DEBIAN_FRONTEND", "noninteractive");
    output(&mut install)?;
    Ok(())
}

fn present(package: &str, program: &str) -> bool {
    if !program.is_empty() {
        return run::installed(program) || std::path::Path::new("/usr/sbin").join(program).is_file();
    }
    output(&mut command("dpkg-query", ["-W", "-f=${Status}", package]))
        .is_ok_and(|status| status.contains("install ok installed"))
}
