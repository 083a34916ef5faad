//! The programs that crashlens is compared with: crash in a root of its own, drgn in a virtual environment of its own,
//! both in the user's cache folder, where `cargo xtask bench` sets them up; pahole as the system has it.
//!
//! Where one is not there, a test that needs it says so and passes; with `CRASHLENS_PEERS=required` it fails, with `none`
//! it is left out even where it is there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use crate::wish::Wish;

/// How long a peer may take for all its questions, in seconds.
const LIMIT: &str = "1800";

/// What [`mark`] has printed between the answers.
const MARK: u64 = 0x6d61_726b_0001;

/// Where a peer is, or a word on standard error that it is not.
///
/// # Errors
/// It is not there, and `CRASHLENS_PEERS` is `required`.
fn find(name: &str, path: Option<PathBuf>) -> Result<Option<PathBuf>, String> {
    let wish = Wish::peers();
    match path.filter(|path| wish != Wish::LeftOut && path.exists()) {
        Some(path) => Ok(Some(path)),
        None if wish == Wish::Required => Err(format!(
            "{name} is not there: `cargo xtask bench` sets crash and drgn up, `cargo xtask setup` the rest"
        )),
        None => {
            say(&format!("without {name}: nothing was compared with it"));
            Ok(None)
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test says what it left out")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// The cache folder of the peers.
pub(crate) fn base() -> Option<PathBuf> {
    Some(crate::cases::cache()?.join("crashlens/peers"))
}

/// crash, as Debian's sid has it.
#[derive(Clone, Debug)]
pub struct Crash {
    /// The root that it runs in.
    root: PathBuf,
}

impl Crash {
    /// crash, where it is set up.
    ///
    /// # Errors
    /// It is not, and `CRASHLENS_PEERS` is `required`.
    pub fn find() -> Result<Option<Self>, String> {
        let root = base().map(|base| base.join("sid"));
        let program = root.as_ref().map(|root| root.join("usr/bin/crash"));
        Ok(find("crash", program)?.and(root).map(|root| Self { root }))
    }

    /// The answers to command lines, in one run on files of a folder (`vmlinux`, `dump.elf`); complaints are within
    /// the answers, as crash prints them.
    ///
    /// # Errors
    /// It cannot be started (it needs root), does not end in time, or does not answer all.
    pub fn ask(&self, dir: &Path, files: &[&str], lines: &[String]) -> Result<Vec<String>, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("ask-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let file = self.root.join("tmp").join(&name);
        let mark = mark();
        let text: String = lines.iter().map(|line| format!("{line}\n{mark}\n")).collect();
        fs::write(&file, text + "quit\n").map_err(|e| format!("{}: {e}", file.display()))?;
        let out = Command::new("timeout")
            .args([LIMIT, "unshare", "-m", "bash", "-c", ENTER, "bash"])
            .args([&self.root, dir])
            .arg(&name)
            .args(files)
            // What happens to be UTF-8 in memory is bytes.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output();
        // It was only for this run.
        let _ = fs::remove_file(&file);
        let out = out.map_err(|e| format!("timeout: {e}"))?;
        let text = String::from_utf8_lossy(&out.stdout);
        let answers = split(&text);
        if answers.len() != lines.len() {
            let tail: Vec<&str> = text.lines().rev().take(5).collect();
            return Err(format!(
                "crash: {}: {} answers to {} lines: {tail:?}",
                out.status,
                answers.len(),
                lines.len()
            ));
        }
        Ok(answers)
    }
}

/// Runs crash in its root, with the dump's folder mounted there; the mounts end with the process.
const ENTER: &str = r#"set -e
root=$1 dir=$2 name=$3; shift 3
mkdir -p "$root/dumps"
mount --bind "$dir" "$root/dumps"
mount -t proc proc "$root/proc"
exec chroot "$root" /bin/sh -c 'cd /dumps && name=$1 && shift && exec crash -s -i "/tmp/$name" "$@" 2>&1' sh "$name" "$@""#;

/// The command whose answer is the mark; crash and crashlens both know it.
#[must_use]
pub fn mark() -> String {
    format!("eval {MARK:#x}")
}

/// The texts before each mark.
#[must_use]
pub fn split(text: &str) -> Vec<String> {
    let start = format!("hexadecimal: {MARK:x}");
    let (mut answers, mut now, mut skip) = (Vec::new(), String::new(), 0);
    for line in text.lines() {
        // an answer may end within a line (`rd -a` of a text without a newline)
        if let Some((last, _)) = line.split_once(&start) {
            if !last.is_empty() {
                now.push_str(last);
                now.push('\n');
            }
            answers.push(std::mem::take(&mut now));
            skip = 3; // decimal, octal, binary
        } else if skip > 0 {
            skip -= 1;
        } else {
            now.push_str(line);
            now.push('\n');
        }
    }
    answers
}

/// drgn, as PyPI has it.
#[derive(Clone, Debug)]
pub struct Drgn {
    program: PathBuf,
}

impl Drgn {
    /// drgn, where it is set up.
    ///
    /// # Errors
    /// It is not, and `CRASHLENS_PEERS` is `required`.
    pub fn find() -> Result<Option<Self>, String> {
        let program = find("drgn", base().map(|base| base.join("venv/bin/drgn")))?;
        Ok(program.map(|program| Self { program }))
    }

    /// What a Python program prints that sees the dump as `prog`; debug files are vmlinux and modules.
    ///
    /// # Errors
    /// It cannot be started, does not end in time, or fails.
    pub fn run(&self, dump: &Path, debug: &[PathBuf], code: &str) -> Result<String, String> {
        let mut command = Command::new("timeout");
        command.arg(LIMIT).arg(&self.program).args(["-q", "--no-default-symbols", "-c"]).arg(dump);
        for file in debug {
            command.arg("-s").arg(file);
        }
        let out = command.args(["-e", code]).stdin(Stdio::null()).output();
        let out = out.map_err(|e| format!("timeout: {e}"))?;
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
            false => Err(format!("drgn: {}: {}", out.status, String::from_utf8_lossy(&out.stderr))),
        }
    }
}

/// pahole of the system (Debian's `dwarves`), where it is installed.
///
/// # Errors
/// It is not, and `CRASHLENS_PEERS` is `required`.
pub fn pahole() -> Result<Option<PathBuf>, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    find("pahole", env::split_paths(&path).map(|folder| folder.join("pahole")).find(|file| file.exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_lie_between_marks() {
        let mark = format!("hexadecimal: {MARK:x}  \n    decimal: 1  \n      octal: 1\n     binary: 1\n");
        assert_eq!(split(&format!("a\nb\n{mark}{mark}c\n{mark}tail\n")), ["a\nb\n", "", "c\n"]);
        assert_eq!(split(&format!("a\nb{mark}c\n{mark}")), ["a\nb\n", "c\n"]);
    }
}
