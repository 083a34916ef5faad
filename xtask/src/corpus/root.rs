//! A root folder of a newer suite, in which modules are built for kernels whose build tools want a newer C library
//! than the machine's.
//!
//! The packages are unpacked, not installed: no script of theirs runs. The programs that a kernel's build calls need
//! no more than the links made here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::apt::Suite;
use crate::run::{At as _, Error, command, limited, other, output, say};

/// What a module's build calls (pahole makes the types) beside the compiler, which comes with the headers.
const TOOLS: &[&str] =
    &["dash", "bash", "coreutils", "sed", "grep", "gawk", "findutils", "diffutils", "make", "pahole"];

/// The root.
pub(crate) struct Root {
    dir: PathBuf,
    release: String,
}

impl Root {
    /// Unpacks it, or takes what an earlier run unpacked.
    pub(crate) fn prepare(
        dir: &Path,
        release: &str,
        suite: impl FnOnce() -> Result<Suite, Error>,
    ) -> Result<Self, Error> {
        let this = Self { dir: dir.to_owned(), release: release.to_owned() };
        let marker = dir.join("done");
        if marker.exists() {
            return Ok(this);
        }
        if dir.exists() {
            fs::remove_dir_all(dir).at(dir)?;
        }
        for folder in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "dev", "proc", "tmp", "build"] {
            fs::create_dir_all(dir.join(folder)).at(dir)?;
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), dir.join(name)).at(dir)?;
        }
        say(format_args!("getting the tools that build modules for {release}"));
        let headers = format!("linux-headers-{release}");
        let mut packages = vec![headers.as_str()];
        packages.extend(TOOLS);
        for deb in suite()?.download_closure(&packages)? {
            // tar, and not dpkg-deb -x, which would put folders in the place of the links.
            let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --keep-directory-symlink";
            crate::run::shell(script, [deb.as_path(), dir])?;
            fs::remove_file(&deb).at(&deb)?;
        }
        for (name, target) in [("sh", "dash"), ("awk", "gawk")] {
            let link = dir.join("usr/bin").join(name);
            if !link.exists() {
                symlink(target, &link).at(&link)?;
            }
        }
        output(command("mknod", ["-m", "666"]).arg(dir.join("dev/null")).args(["c", "1", "3"]))?;
        fs::write(&marker, "").at(&marker)?;
        Ok(this)
    }

    /// The unpacked headers' sources, for those who look for the kernel's configuration.
    pub(crate) fn sources(&self) -> PathBuf {
        self.dir.join("usr/src")
    }

    /// Builds the module `name` of a folder and puts it into that folder. Its files are known as `FOLDER/FILE`, or by
    /// their name alone where the kernel's build works in the module's folder. Its types come from the vmlinux in the
    /// headers.
    pub(crate) fn make(&self, folder: &Path, name: &str) -> Result<(), Error> {
        let Some(last) = folder.file_name().map(|last| last.to_string_lossy().into_owned()) else {
            return other(format!("{}: no folder of a module", folder.display()));
        };
        let build = self.dir.join("build");
        fs::remove_dir_all(&build).at(&build)?;
        let inside = build.join(&last);
        fs::create_dir_all(&inside).at(&inside)?;
        for entry in fs::read_dir(folder).at(folder)? {
            let from = entry.at(folder)?.path();
            if let Some(file) = from.file_name() {
                fs::copy(&from, inside.join(file)).at(&from)?;
            }
        }
        let headers = format!("/usr/src/linux-headers-{}", self.release);
        let module = format!("M=/build/{last}");
        let flags = "KCFLAGS=-ffile-prefix-map=/build/=";
        self.run(&["make", "-C", &headers, &module, flags, "modules"])?;
        let file = format!("{name}.ko");
        fs::copy(inside.join(&file), folder.join(&file)).at(&inside).map(drop)
    }

    /// Runs a program in the root, with `/proc`, which objtool reads; the mount ends with the process.
    fn run(&self, words: &[&str]) -> Result<(), Error> {
        let script =
            "mount -t proc proc \"$1/proc\"; exec chroot \"$1\" env -i PATH=/usr/bin:/usr/sbin \"${@:2}\"";
        let root = self.dir.display().to_string();
        let enter = ["-m", "bash", "-euc", script, "bash", &root];
        limited(600, "unshare", [&enter, words].concat()).map(drop)
    }
}
