//! `--sandbox`: what a hostile dump could make of the program stays in the program. It may read the files that were
//! named, debug files beside them and in the system's folders, and its own cache; it writes the cache alone, what was
//! opened before (standard output) aside; it starts no program and opens no socket.
//!
//! Files are Landlock's (since Linux 5.13; by the crate `landlock`), programs and sockets are refused by seccomp (by
//! `seccompiler`), whatever Landlock knows of them. Without Landlock `--sandbox` is an error; where nobody asked for it, the
//! program goes on without.

use crate::cli::{Cli, SandboxWhen as When};
use crate::failure::Failure;
use crate::split::Split;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    path_beneath_rules,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Enters it where it is wanted; true where the program is in it. No thread may have been started.
///
/// # Errors
/// It was asked for, and cannot be had.
pub(crate) fn enter(cli: &Cli, split: &Split) -> Result<bool, Failure> {
    let is_wanted = match cli.sandbox {
        When::On => true,
        When::Off => false,
        When::Auto => is_unattended(cli, split),
    };
    if !is_wanted {
        return Ok(false);
    }
    enter_for(cli, split, &Allowed::default())
}

/// What is left beside the files that were named.
#[derive(Default)]
pub(crate) struct Allowed {
    /// To read, with all that is in it.
    pub(crate) read: Vec<PathBuf>,
    /// Files to write.
    pub(crate) written: Vec<PathBuf>,
    /// Folders in which files are made.
    pub(crate) folders: Vec<PathBuf>,
    /// Folders in which a file that is open gets its name.
    pub(crate) named: Vec<PathBuf>,
}

/// Enters it; true where the program is in it.
///
/// # Errors
/// It was asked for, and cannot be had; a file to write cannot be made.
pub(crate) fn enter_for(cli: &Cli, split: &Split, allowed: &Allowed) -> Result<bool, Failure> {
    let failed = |path: &Path, e: &std::io::Error| Failure::Failed(format!("{}: {e}", path.display()));
    // a rule is about what is there
    for path in &allowed.written {
        let made = std::fs::File::options().append(true).create(true).open(path);
        made.map_err(|e| failed(path, &e))?;
    }
    for path in &allowed.folders {
        std::fs::create_dir_all(path).map_err(|e| failed(path, &e))?;
    }
    let mut readable = readable(cli, split);
    for path in &allowed.read {
        readable.whole.extend([Some(path.clone()), path.canonicalize().ok()].into_iter().flatten());
    }
    match files(&readable, allowed, &debuginfo::find::cache_dir()).and_then(|()| calls()) {
        Ok(()) => Ok(true),
        Err(why) if cli.sandbox == When::On => Err(Failure::Failed(format!("--sandbox: {why}"))),
        Err(_) => Ok(false),
    }
}

/// True where no terminal is there, and every command is known and only reads.
fn is_unattended(cli: &Cli, split: &Split) -> bool {
    let is_known = split.command.is_some() || !cli.commands.is_empty();
    let asks_servers =
        !cli.no_debuginfod && std::env::var_os("DEBUGINFOD_URLS").is_some_and(|urls| !urls.is_empty());
    is_known
        && cli.input.is_empty()
        && !asks_servers
        // their lines may want anything
        && (split.command.is_some() || cli.no_crashrc || shell::rc_files().is_empty())
        && !std::io::stdin().is_terminal()
        && cli.commands.iter().all(|line| commands::line_writes(line, &|name| Path::new(name).is_file()).is_nothing())
        && split.command.as_ref().is_none_or(|words| commands::words_write(words).is_nothing())
}

/// Folders of the system in which debug files and source lie, and what the language's own library reads.
const SYSTEM: &[&str] = &[
    "/usr/lib/debug",
    "/lib/modules",
    "/usr/lib/modules",
    "/boot",
    "/usr/src",
    "/usr/share/zoneinfo",
    "/etc/localtime",
    "/etc/timezone",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/proc/self",
    "/dev/null",
    "/dev/urandom",
];

/// What may be read: files and folders with all that is in them, and folders whose names alone may be listed.
#[derive(Default)]
struct Readable {
    whole: Vec<PathBuf>,
    listed: Vec<PathBuf>,
}

fn readable(cli: &Cli, split: &Split) -> Readable {
    let mut out = Readable { whole: SYSTEM.iter().map(PathBuf::from).collect(), listed: Vec::new() };
    out.whole.extend(debuginfo::find::shared_caches());
    out.whole.extend(shell::rc_files().into_iter().map(|(path, _)| path));
    let words = split.command.iter().flatten().cloned();
    let lines = cli.commands.iter().flat_map(|line| commands::split_words(line));
    let words = words.chain(lines).flat_map(|word| {
        // `--known=DIR`
        let value =
            word.strip_prefix('-').and_then(|_| word.split_once('=')).map(|(_, value)| value.to_owned());
        [Some(word), value].into_iter().flatten().map(PathBuf::from)
    });
    let named = cli
        .files
        .iter()
        .chain(&cli.debug_dirs)
        .chain(&cli.source_dirs)
        .chain(&cli.vmcoreinfo)
        .chain(&cli.input);
    let mut folders = vec![PathBuf::from(".")];
    for path in named.cloned().chain(words) {
        let path = placed(path);
        if !path.exists() {
            continue;
        }
        // a link's file lies in another folder
        for path in [path.canonicalize().ok(), Some(path)].into_iter().flatten() {
            folders.extend(path.parent().filter(|_| !path.is_dir()).map(Path::to_owned));
            out.whole.push(path);
        }
    }
    if !cli.no_search {
        folders.iter().for_each(|folder| beside(folder, &mut out));
    }
    out
}

/// The debug files that lie beside a file that was named.
fn beside(folder: &Path, out: &mut Readable) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let is_one = |name: &str| {
        let starts = ["vmlinux", "System.map"].iter().any(|start| name.starts_with(start));
        starts || [".ko", ".debug", ".deb", ".ddeb", ".rpm", ".clpack"].iter().any(|part| name.contains(part))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    out.whole.extend(entries.filter(|e| e.file_name().to_str().is_some_and(is_one)).map(|e| e.path()));
    out.listed.push(folder.to_owned());
}

/// The file of `FILE@ADDRESS`.
fn placed(path: PathBuf) -> PathBuf {
    if path.exists() {
        return path;
    }
    match path.to_str().and_then(|text| text.rsplit_once('@')) {
        Some((file, _)) => PathBuf::from(file),
        None => path,
    }
}

/// Leaves files: these to read, the cache to write.
fn files(readable: &Readable, allowed: &Allowed, cache: &Path) -> Result<(), String> {
    // a rule is about what is there
    let _ = std::fs::create_dir_all(cache);
    let abi = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = (AccessFs::from_all(abi) | read) & !AccessFs::Execute;
    let whole = readable.whole.iter().filter(|path| path.exists());
    let entered = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(landlock::Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(whole, read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(&readable.listed, AccessFs::ReadDir)))
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules([cache].iter().filter(|path| path.exists()), write))
        })
        .and_then(|rules| rules.add_rules(path_beneath_rules(&allowed.folders, write)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(&allowed.named, AccessFs::MakeReg)))
        .and_then(|rules| {
            let file = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
            rules.add_rules(path_beneath_rules(&allowed.written, file))
        })
        .and_then(landlock::RulesetCreated::restrict_self);
    match entered {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("this kernel has no Landlock (Linux 5.13 or newer, CONFIG_SECURITY_LANDLOCK)".to_owned())
        }
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

/// System calls that start programs, reach other machines or processes, or change the system.
const REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // it would do some of these by another way
    libc::SYS_io_uring_setup,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_reboot,
];

/// Refuses system calls: each gives EPERM.
fn calls() -> Result<(), String> {
    let refused: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let machine = std::env::consts::ARCH.try_into().map_err(|e: seccompiler::BackendError| e.to_string())?;
    let not_permitted = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, not_permitted, machine);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|e| e.to_string())?;
    seccompiler::apply_filter_all_threads(&program).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_words_name_may_be_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["dump", "issues", "file"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let cli = Cli { commands: vec![format!("verdict --known={}", path("issues"))], ..Cli::default() };
        let command = vec!["mod".to_owned(), format!("--file={}", path("file"))];
        let split = Split { options: Vec::new(), command: Some(command), missing: None };
        let found = readable(&cli, &split).whole;
        for (name, is) in [("issues", true), ("file", true), ("dump", false)] {
            assert_eq!(found.contains(&folder.path().join(name)), is, "{name}");
        }
    }

    #[test]
    fn an_image_with_its_address_is_read_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ram");
        std::fs::write(&file, "x").unwrap();
        let with = PathBuf::from(format!("{}@100000", file.display()));
        assert_eq!((placed(with), placed(file.clone())), (file.clone(), file));
    }
}
