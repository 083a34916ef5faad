//! `cargo xtask package`: packs the crates as for a registry, and builds and runs a program outside of the workspace that has
//! only what was packed: the library's examples, on the shipped sample.
//!
//! What a packed crate lacks (a file beside it, a dependency that only the workspace has) shows here and nowhere else.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{At as _, Error, command, live, other, output, root, say};

/// Arguments of `package`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// The library for other people's programs.
const LIBRARY: &str = "crashlens";

/// The library's examples: what each says of the sample.
const EXAMPLES: [(&str, &str); 2] =
    [("holder", "no task waits for a lock"), ("bound", "1 init: parent 0, 1 thread")];

/// Packs, builds and runs.
pub(crate) fn run(_args: &Args) -> Result<(), Error> {
    check()
}

/// Packs, builds and runs.
pub(crate) fn check() -> Result<(), Error> {
    let target = root().join("target");
    let packed = target.join("package");
    pack()?;
    let outside = target.join("outside");
    match fs::remove_dir_all(&outside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).at(&outside),
        _ => {}
    }
    let crates = unpack(&packed, &outside.join("crates"))?;
    write_program(&outside, &crates)?;
    for (name, wanted) in EXAMPLES {
        let mut cargo = command("cargo", ["run", "--quiet", "--bin", name, "--target-dir"]);
        cargo.arg(&target).arg("--").arg(root().join("samples/virtio-bug.kdump")).current_dir(&outside);
        let said = output(&mut cargo)?;
        say(format_args!("    {name}: {}", said.trim_end()));
        if !said.contains(wanted) {
            return other(format!("{name}, built outside of the workspace, does not say: {wanted}"));
        }
    }
    Ok(())
}

/// Packs every crate that can be published. They are built below, so cargo does not build each by itself.
fn pack() -> Result<(), Error> {
    let args = ["package", "--quiet", "--workspace", "--exclude", "xtask", "--no-verify", "--allow-dirty"];
    live(command("cargo", args).current_dir(root()))
}

/// Unpacks all packages; the folder of each. Files in packages are all of one old time, by which cargo would take those of an
/// earlier run for the same: they get today's.
fn unpack(packed: &Path, to: &Path) -> Result<Vec<PathBuf>, Error> {
    fs::create_dir_all(to).at(to)?;
    let mut folders = Vec::new();
    for file in fs::read_dir(packed).at(packed)? {
        let file = file.at(packed)?.path();
        if file.extension().is_some_and(|extension| extension == "crate") {
            output(command("tar", ["-xmzf"]).arg(&file).arg("-C").arg(to))?;
            folders.extend(file.file_stem().map(|stem| to.join(stem)));
        }
    }
    folders.sort();
    Ok(folders)
}

/// A program that depends on the library alone: its examples. The other packages stand for those that a registry would have.
fn write_program(outside: &Path, crates: &[PathBuf]) -> Result<(), Error> {
    let version = env!("CARGO_PKG_VERSION");
    let mut manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         {LIBRARY} = \"{version}\"\n\n[patch.crates-io]\n"
    );
    for folder in crates {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches(&format!("-{version}"));
        // text in memory takes all
        let _ = writeln!(manifest, "{name} = {{ path = {:?} }}", folder.display().to_string());
    }
    let own = root().join("Cargo.toml");
    let whole = fs::read_to_string(&own).at(&own)?;
    // the same profiles, so that what the library rests on is not built twice
    manifest.push('\n');
    manifest.push_str(whole.find("[profile.").and_then(|at| whole.get(at..)).unwrap_or_default());
    let write = |path: PathBuf, text: &[u8]| fs::write(&path, text).at(&path);
    write(outside.join("Cargo.toml"), manifest.as_bytes())?;
    let lock = root().join("Cargo.lock");
    fs::copy(&lock, outside.join("Cargo.lock")).at(&lock)?;
    let bin = outside.join("src/bin");
    fs::create_dir_all(&bin).at(&bin)?;
    for (name, _) in EXAMPLES {
        let from = outside.join(format!("crates/{LIBRARY}-{version}/examples/{name}.rs"));
        fs::copy(&from, bin.join(format!("{name}.rs"))).at(&from)?;
    }
    Ok(())
}
