//! The text of a log from standard input: `dmesg | crashlens verdict -`.
//!
//! A log is read at any place, which a pipe is not, so what comes is kept in a file without a name until the program ends.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// The commands that read a log.
const OF_LOGS: &[&str] = &["verdict", "log", "sys"];
/// No log is longer.
const MAX: u64 = 1 << 30;

/// Puts the name of a file with what standard input says in the place of `-`, where a command that reads logs has one.
///
/// # Errors
/// Standard input cannot be read, or nothing can be kept.
pub(crate) fn taken(words: &mut [OsString]) -> io::Result<Option<File>> {
    let Some(at) = place(words) else { return Ok(None) };
    let file = kept(&mut io::stdin().lock())?;
    if let Some(word) = words.get_mut(at) {
        *word = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    }
    Ok(Some(file))
}

/// Where the `-` is.
fn place(words: &[OsString]) -> Option<usize> {
    let command = words.iter().position(|word| OF_LOGS.iter().any(|name| word == name))?;
    let behind = words.iter().enumerate().skip(command.checked_add(1)?);
    behind.take_while(|(_, word)| *word != "--").find(|(_, word)| *word == "-").map(|(at, _)| at)
}

fn kept(from: &mut dyn io::Read) -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("crashlens-{}.log", std::process::id()));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    if io::copy(&mut from.take(MAX), &mut file)? == MAX {
        return Err(io::Error::other("more than a log has"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_a_log_where_a_command_reads_one() {
        let at = |line: &str| place(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(at("crashlens verdict -"), Some(2));
        assert_eq!(at("crashlens verdict -v - vmlinux"), Some(3));
        assert_eq!(at("crashlens bt -"), None);
        assert_eq!(at("crashlens - verdict"), None);
        assert_eq!(at("crashlens log vmcore -- -"), None);
    }

    #[test]
    fn what_comes_is_kept_without_a_name() {
        let file = kept(&mut &b"[    1.0] BUG\n"[..]).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert_eq!(std::fs::read(path).unwrap(), b"[    1.0] BUG\n");
    }
}
