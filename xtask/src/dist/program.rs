//! The static program: no loader, no library of the machine's, no path of the builder's.
//!
//! musl where its target is installed, else glibc linked statically (static-pie). With a static glibc host names are
//! found by `files` and `dns`, which are built in; other sources of `/etc/nsswitch.conf` are left out.

use std::path::{Path, PathBuf};

use crate::run::{Error, command, live, other, output, say};

/// Builds it from the sources in a folder. Its file is replaced by each build.
pub(crate) fn build(sources: &Path) -> Result<PathBuf, Error> {
    let target = target()?;
    say(format_args!("building the static program for {target}"));
    let folder = sources.join("target");
    let mut cargo =
        command("cargo", ["build", "--locked", "--profile", "dist", "--package", "crashlens-cli"]);
    cargo.args(["--target", &target]).arg("--target-dir").arg(&folder).current_dir(sources);
    let paths = renamed(sources)?;
    let own = paths.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let flags: Vec<String> = ["-Ctarget-feature=+crt-static".to_owned()].into_iter().chain(own).collect();
    // apart by a character that no path has; for the program alone, since a target is named
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env_remove("RUSTFLAGS");
    // settings of the builder's own would be in the bytes
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PROFILE_") {
            cargo.env_remove(name);
        }
    }
    let c = paths.iter().map(|(from, to)| format!("'-ffile-prefix-map={}={to}'", from.display()));
    let c = c.collect::<Vec<_>>().join(" ");
    cargo
        .env(format!("CFLAGS_{}", target.replace('-', "_")), c)
        .env("CC_SHELL_ESCAPED_FLAGS", "1")
        .env("ZERO_AR_DATE", "1");
    live(&mut cargo)?;
    Ok(folder.join(&target).join("dist/crashlens"))
}

/// The target: musl's of this machine where it is installed, and a compiler for its C parts is there.
fn target() -> Result<String, Error> {
    let machine = std::env::consts::ARCH;
    if !matches!(machine, "x86_64" | "aarch64") {
        return other(format!("the program is built on x86-64 and arm64, not on {machine}"));
    }
    let musl = format!("{machine}-unknown-linux-musl");
    let sysroot = output(&mut command("rustc", ["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(&musl);
    let has_compiler =
        ["musl-gcc", &format!("{machine}-linux-musl-gcc")].iter().any(|cc| crate::run::installed(cc));
    Ok(if library.is_dir() && has_compiler { musl } else { format!("{machine}-unknown-linux-gnu") })
}

/// Folders whose names would be in the program, each with what stands in its place.
fn renamed(sources: &Path) -> Result<Vec<(PathBuf, &'static str)>, Error> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let Some(home) = home else { return other("neither CARGO_HOME nor HOME is set") };
    // the later ones count first
    Ok(vec![(home, "/cargo"), (sources.to_owned(), "/crashlens")])
}
