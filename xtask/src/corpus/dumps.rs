//! Taking the dumps of a case: through QEMU's monitor, from the crash kernel's disk, by makedumpfile.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::Suite;
use super::cases::{Case, Dump, Source};
use super::qemu::Running;
use crate::run::{At as _, Error, command, other, output, say};

/// Parts of a split set.
const PARTS: u32 = 3;

/// What QEMU has to be told for the dumps it makes itself.
pub(crate) fn monitor_commands(case: &Case, dir: &Path) -> Vec<String> {
    let mut commands = Vec::new();
    for dump in case.dumps {
        let file = dir.join(dump.file);
        match dump.source {
            Source::Qemu("") => commands.push(format!("dump-guest-memory {}", file.display())),
            Source::Qemu(options) => commands.push(format!("dump-guest-memory {options} {}", file.display())),
            Source::Raw => {
                let (start, size) = (case.machine.memory_start(), u64::from(case.memory) << 20);
                commands.push(format!("pmemsave {start:#x} {size:#x} \"{}\"", file.display()));
            }
            _ => {}
        }
    }
    commands
}

/// Takes them.
pub(crate) fn by_monitor(case: &Case, running: &mut Running, dir: &Path) -> Result<(), Error> {
    let commands = monitor_commands(case, dir);
    if commands.is_empty() {
        return Ok(());
    }
    running.monitor(&commands)?;
    for dump in case.dumps {
        let file = dir.join(dump.file);
        if file.exists() {
            // QEMU makes them readable for the owner alone.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).at(&file)?;
            // Memory that was never written is zero: it need not take room on disk.
            let _ = output(command("fallocate", ["-d"]).arg(&file));
        }
    }
    Ok(())
}

/// Takes the crash kernel's copy of memory from its disk; `size` is what the guest said.
pub(crate) fn vmcore(capture: &Path, size: u64, to: &Path) -> Result<(), Error> {
    let disk = fs::OpenOptions::new().write(true).open(capture).at(capture)?;
    disk.set_len(size).at(capture)?;
    drop(disk);
    fs::rename(capture, to).at(to)?;
    let _ = output(command("fallocate", ["-d"]).arg(to));
    Ok(())
}

/// makedumpfile: of Debian's newest suite, run from where it is unpacked, because the stable one lags behind the
/// kernels and their compressions; the machine's own where that suite cannot be had.
pub(crate) struct Makedumpfile {
    newest: Option<PathBuf>,
}

impl Makedumpfile {
    /// For cases of which none wants it.
    pub(crate) fn none() -> Self {
        Self { newest: None }
    }

    /// Gets the program if a dump of these cases wants it.
    pub(crate) fn prepare<'a>(
        cache: &Path,
        mut cases: impl Iterator<Item = &'a Case>,
        sid: impl FnOnce() -> Result<Suite, Error>,
    ) -> Result<Self, Error> {
        if !cases.any(|case| case.dumps.iter().any(|dump| matches!(dump.source, Source::Make(_)))) {
            return Ok(Self { newest: None });
        }
        let root = cache.join("tools/sid");
        let marker = root.join("done");
        if !marker.exists() {
            fs::create_dir_all(&root).at(&root)?;
            match sid().and_then(|suite| suite.download_closure(&["makedumpfile"])) {
                Ok(debs) => {
                    for deb in debs {
                        output(command("dpkg-deb", ["-x"]).arg(&deb).arg(&root))?;
                        fs::remove_file(&deb).at(&deb)?;
                    }
                    fs::write(&marker, "").at(&marker)?;
                }
                Err(error) => {
                    say(format_args!(
                        "the newest makedumpfile cannot be had, the machine's is used: {error}"
                    ));
                    return Ok(Self { newest: None });
                }
            }
        }
        Ok(Self { newest: Some(root) })
    }

    fn command(&self) -> Result<Command, Error> {
        let Some(root) = &self.newest else { return Ok(command("makedumpfile", [""; 0])) };
        // Its C library is newer than the machine's: it brings its own loader.
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        let loader = libraries.join("ld-linux-x86-64.so.2");
        let mut make = command(&loader.to_string_lossy(), ["--library-path"]);
        make.arg(&libraries);
        let program = ["usr/sbin/makedumpfile", "usr/bin/makedumpfile"].map(|path| root.join(path));
        match program.iter().find(|path| path.exists()) {
            Some(path) => make.arg(path),
            None => return other("the newest makedumpfile is not in its package"),
        };
        Ok(make)
    }

    /// Makes the dumps that come from the case's `vmcore`.
    pub(crate) fn filter(&self, case: &Case, dir: &Path) -> Result<(), Error> {
        for dump in case.dumps {
            if let Source::Make(arguments) = dump.source {
                self.one(dump, arguments, dir)?;
            }
        }
        Ok(())
    }

    fn one(&self, dump: &Dump, arguments: &str, dir: &Path) -> Result<(), Error> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let to = dir.join(dump.file);
        let mut make = self.command()?;
        make.args(&words).arg(dir.join("vmcore"));
        if words.contains(&"-F") {
            // A flattened dump goes to standard output, to be sent to another machine.
            let script = "to=$1; shift; \"$@\" > \"$to\"";
            let mut bash = command("bash", ["-euc", script, "bash"]);
            bash.arg(&to).arg(make.get_program()).args(make.get_args());
            make = bash;
        } else if words.contains(&"--split") {
            make.args((1..=PARTS).map(|part| format!("{}.{part}", to.display())));
        } else {
            make.arg(&to);
        }
        output(&mut make)?;
        for file in files(dump) {
            let path = dir.join(file);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).at(&path)?;
        }
        Ok(())
    }
}

/// The files of a dump, relative to the case's folder.
pub(crate) fn files(dump: &Dump) -> Vec<String> {
    match dump.source {
        Source::Make(arguments) if arguments.contains("--split") => {
            (1..=PARTS).map(|part| format!("{}.{part}", dump.file)).collect()
        }
        _ => vec![dump.file.to_owned()],
    }
}

/// A word for the format of a dump, for the truth file.
pub(crate) fn made_by(dump: &Dump) -> String {
    match dump.source {
        Source::Qemu("") => "qemu dump-guest-memory".into(),
        Source::Qemu(options) => format!("qemu dump-guest-memory {options}"),
        Source::Raw => "qemu pmemsave".into(),
        Source::Vmcore => "/proc/vmcore".into(),
        Source::Make(arguments) => format!("makedumpfile {arguments}"),
    }
}
