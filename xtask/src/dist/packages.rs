//! Packages of the staged files, by cargo-deb and cargo-generate-rpm, and a tarball.
//!
//! Both tools are installed in `target/tools` where they are not there, in the versions that are named here.

use std::fs;
use std::path::{Path, PathBuf};

use super::{VERSION, machine};
use crate::run::{At as _, Error, command, live, output, root, say, shell};

/// A tool, and its version.
const DEB: (&str, &str) = ("cargo-deb", "3.8.0");
const RPM: (&str, &str) = ("cargo-generate-rpm", "0.21.1");

/// The program of a tool, installed if need be.
fn tool((name, version): (&str, &str)) -> Result<PathBuf, Error> {
    let folder = root().join("target/tools").join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if !program.exists() {
        say(format_args!("installing {name} {version}"));
        let mut cargo =
            command("cargo", ["install", "--locked", "--quiet", "--debug", name, "--version", version]);
        // a tool that runs for a second needs no optimiser
        live(cargo.arg("--root").arg(&folder).env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
    }
    Ok(program)
}

/// Makes the `.deb`.
pub(crate) fn deb(out: &Path, time: u64) -> Result<PathBuf, Error> {
    let file = out.join(format!("crashlens_{VERSION}_{}.deb", machine()?.0));
    let program = tool(DEB)?.display().to_string();
    let words =
        ["--no-build", "--no-strip", "--package", "crashlens-cli", "--deb-version", VERSION, "--output"];
    let mut make = command(&program, words);
    output(make.arg(&file).env("SOURCE_DATE_EPOCH", time.to_string()).current_dir(root()))?;
    Ok(file)
}

/// Makes the `.rpm`.
pub(crate) fn rpm(out: &Path, time: u64) -> Result<PathBuf, Error> {
    let (_, name) = machine()?;
    let file = out.join(format!("crashlens-{VERSION}-1.{name}.rpm"));
    let program = tool(RPM)?.display().to_string();
    let time = time.to_string();
    let words =
        ["--package", "crates/cli", "--arch", name, "--payload-compress", "gzip", "--source-date", &time];
    let mut make = command(&program, words);
    output(make.arg("--output").arg(&file).env("SOURCE_DATE_EPOCH", &time).current_dir(root()))?;
    Ok(file)
}

/// Makes the tarball, with one folder in it.
pub(crate) fn tarball(out: &Path, stage: &Path, time: u64) -> Result<PathBuf, Error> {
    let folder = format!("crashlens-{VERSION}-{}-linux", machine()?.1);
    let file = out.join(format!("{folder}.tar.gz"));
    let script = r#"tar --create --directory "$1" --sort=name --mtime="@$2" --owner=0 --group=0 --numeric-owner \
        --mode=u+rw,go=u-w --format=gnu --exclude=crashlens.1.gz --transform="s,^\.,$3," . | gzip -9 --no-name > "$4""#;
    let words = [stage.display().to_string(), time.to_string(), folder, file.display().to_string()];
    shell(script, words)?;
    Ok(file)
}

/// Writes the checksums, as `sha256sum -c` reads them.
pub(crate) fn sums(out: &Path, files: &[&PathBuf]) -> Result<PathBuf, Error> {
    let names = files.iter().filter_map(|file| file.file_name());
    let text = output(command("sha256sum", names).current_dir(out))?;
    let file = out.join("SHA256SUMS");
    fs::write(&file, text).at(&file)?;
    Ok(file)
}
