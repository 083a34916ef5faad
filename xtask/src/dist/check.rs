//! What was made, installed and run: the `.deb` in a bare Debian, the `.rpm` and the tarball in roots that hold nothing
//! else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Made, VERSION};
use crate::bench;
use crate::corpus;
use crate::run::{At as _, Error, command, fresh, other, output, root, say, shell};

/// Where each file has to be after the installation.
const FILES: &[&str] = &[
    "usr/bin/crashlens",
    "usr/share/bash-completion/completions/crashlens",
    "usr/share/zsh/vendor-completions/_crashlens",
    "usr/share/fish/vendor_completions.d/crashlens.fish",
    "usr/share/doc/crashlens/docs/JSON.md",
    "usr/share/doc/crashlens/docs/REPORT.md",
    "usr/share/doc/crashlens/docs/book/src/SUMMARY.md",
    "usr/lib/crashlens/kdump-verdict",
    "usr/share/doc/crashlens/kdump/kdump-tools.conf",
];

/// Checks all of them.
pub(crate) fn all(made: &Made) -> Result<(), Error> {
    output(
        command("sha256sum", ["--check", "--quiet", "SHA256SUMS"])
            .current_dir(root().join("target/packages")),
    )?;
    in_debian(made)?;
    in_nothing(made)?;
    rpm(made)
}

/// A bare Debian: `apt install ./FILE`, and the way of a newcomer to the first verdict, timed.
fn in_debian(made: &Made) -> Result<(), Error> {
    let bare = bare_debian()?;
    let inside = bare.join("root");
    let deb = inside.join("crashlens.deb");
    fs::copy(&made.deb, &deb).at(&deb)?;
    let dump = inside.join("vmcore");
    fs::copy(root().join("samples/virtio-bug.kdump"), &dump).at(&dump)?;
    let started = Instant::now();
    within(&bare, "apt-get install -q -y /root/crashlens.deb")?;
    let verdict = within(&bare, "crashlens verdict /root/vmcore")?;
    let seconds = started.elapsed().as_secs_f64();
    for file in FILES.iter().chain(&["usr/share/man/man1/crashlens.1.gz"]) {
        if !bare.join(file).exists() {
            return other(format!("the .deb lacks /{file}"));
        }
    }
    told("verdict", &verdict, "assertion failed in virtqueue_add_split")?;
    told("--version", &within(&bare, "crashlens --version")?, VERSION)?;
    let as_crash =
        "ln -s /usr/bin/crashlens /root/crash && cd /root && printf 'sys\\nquit\\n' | ./crash -s vmcore";
    told("crash", &within(&bare, as_crash)?, "DUMPFILE: vmcore  [PARTIAL DUMP]")?;
    within(&bare, "rm /root/crash && apt-get purge -q -y crashlens")?;
    if let Some(file) = FILES.iter().find(|file| bare.join(file).exists()) {
        return other(format!("/{file} is left after the package was removed"));
    }
    say(format_args!(
        ".deb: installed in a bare Debian, first verdict after {seconds:.1} s, removed without a rest"
    ));
    Ok(())
}

/// A root with the program alone, out of the tarball: what needs a library or a loader does not start there.
fn in_nothing(made: &Made) -> Result<(), Error> {
    let place = empty("empty")?;
    shell(
        r#"tar --extract --gzip --file "$1" --strip-components=1 --directory "$2""#,
        [&made.tarball, &place],
    )?;
    let dump = place.join("vmcore");
    fs::copy(root().join("samples/virtio-bug.kdump"), &dump).at(&dump)?;
    let words = [place.display().to_string(), "/crashlens".into(), "verdict".into(), "/vmcore".into()];
    told("verdict", &output(&mut command("chroot", words))?, "assertion failed in virtqueue_add_split")?;
    let man = fs::read_to_string(place.join("crashlens.1")).at(&place)?;
    told("man page", &man, ".TH crashlens 1")?;
    fs::remove_dir_all(&place).at(&place)?;
    say(format_args!("tarball: its program runs in an empty root"));
    Ok(())
}

/// A root of RPM's that has nothing yet: the package needs nothing, and its files are those of the stage.
fn rpm(made: &Made) -> Result<(), Error> {
    let file = made.rpm.display().to_string();
    let needs = output(&mut command("rpm", ["--query", "--package", "--requires", &file]))?;
    if let Some(need) = needs.lines().find(|need| !need.starts_with("rpmlib(") && *need != "/bin/sh") {
        return other(format!(
            "the .rpm needs {need}, and a static program needs a shell for its hook alone"
        ));
    }
    let place = empty("rpm")?;
    let at = place.display().to_string();
    output(&mut command("rpm", ["--root", &at, "--initdb"]))?;
    output(&mut command("rpm", ["--root", &at, "--install", "--nosignature", "--nodeps", &file]))?;
    let listed = output(&mut command("rpm", ["--query", "--list", "--package", &file]))?;
    let zsh = |file: &str| file.replace("vendor-completions", "site-functions");
    for file in FILES.iter().map(|file| zsh(file)).chain(["usr/share/man/man1/crashlens.1.gz".to_owned()]) {
        if !listed.lines().any(|line| line == format!("/{file}")) || !place.join(&file).exists() {
            return other(format!("the .rpm lacks /{file}"));
        }
    }
    let program = place.join("usr/bin/crashlens");
    if fs::read(&program).at(&program)? != fs::read(&made.program).at(&made.program)? {
        return other("the .rpm holds another program");
    }
    let version = output(&mut command("chroot", [at.as_str(), "/usr/bin/crashlens", "--version"]))?;
    told("--version", &version, VERSION)?;
    output(&mut command("rpm", ["--root", &at, "--erase", "crashlens"]))?;
    fs::remove_dir_all(&place).at(&place)?;
    say(format_args!(".rpm: installed in an empty root, run and removed"));
    Ok(())
}

/// Runs a line of shell in a root.
fn within(place: &Path, line: &str) -> Result<String, Error> {
    let at = place.display().to_string();
    let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    output(&mut command(
        "chroot",
        [&at, "/usr/bin/env", "-i", path, "DEBIAN_FRONTEND=noninteractive", "sh", "-ec", line],
    ))
}

fn told(what: &str, text: &str, part: &str) -> Result<(), Error> {
    match text.contains(part) {
        true => Ok(()),
        false => other(format!("{what} does not say {part:?}: {text}")),
    }
}

/// A root with nothing in it.
fn empty(name: &str) -> Result<PathBuf, Error> {
    let place = root().join("target/packages").join(name);
    fresh(&place)?;
    Ok(place)
}

/// A Debian with no more than it must have, kept in the user's cache folder.
fn bare_debian() -> Result<PathBuf, Error> {
    let base = corpus::cache()?.with_file_name("peers");
    bench::debian(&base, "bare", "stable", &[])
}
