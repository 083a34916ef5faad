//! `cargo xtask kdump`: the hook of packaging/kdump in a real crash kernel. A guest of the corpus dies, kexec boots its crash
//! kernel, and there the hook says what killed the machine, before the dump is saved. What it took of memory is the
//! kernel's own word (`ru_maxrss`, which busybox's `time -v` shows). With a program that fails, the dump is saved too.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::corpus::{self, running};
use crate::dist;
use crate::run::{At as _, Error, command, fresh, other, output, root, say, shell};

/// Arguments of `kdump`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// MiB of memory of the guests.
    #[arg(long, default_values_t = [512, 4096])]
    memory: Vec<u32>,
    /// The static program; built where it is not given.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// KiB that the hook may take in the crash kernel.
const LIMIT: u64 = 64 << 10;
/// How long a guest may take from its boot to the end.
const PATIENCE: Duration = Duration::from_secs(420);
/// The kernel that dies.
const SERIES: &str = "6.1";

/// busybox multiplies what the kernel gives in KiB by the KiB of a page.
const PAGE_KIB: u64 = 4;

/// What the crash kernel does first; in the corpus's own `init` it goes before this line.
const BEFORE: &str = "  echo \"@@CAPTURE ";
const HOOK: &str = "  echo \"@@HOOK\"
  busybox time -v kdump-verdict /proc/vmcore /tmp/verdict 2> /tmp/time
  echo \"@@HOOK $?\"
  sed -n 's/.*Maximum resident set size (kbytes): /@@PEAK /p' /tmp/time
  echo \"@@JSON $(head -c 20 /tmp/verdict/verdict.json) $(grep -c . /tmp/verdict/log.txt)\"
  dd if=/proc/vmcore of=/dev/null bs=1M count=16 2> /dev/null && echo \"@@SAVED\"
  poweroff -f
";

/// Runs the trial.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => dist::program(&root())?,
    };
    let guest = corpus::cache()?.join("kernels").join(SERIES).join("guest");
    if !guest.join("initrd-bug").exists() {
        return other(format!("no guest of {SERIES}: `cargo xtask corpus --series {SERIES}` makes it"));
    }
    let place = root().join("target/kdump");
    fresh(&place)?;
    for memory in &args.memory {
        let console = died(&guest, &program, &place, *memory)?;
        told(&console, "VERDICT    kernel BUG: assertion failed in virtqueue_add_split")?;
        told(&console, "@@HOOK 0")?;
        told(&console, "@@JSON {\"schema\":\"crashlens/1")?;
        told(&console, "@@SAVED")?;
        let peak = console.lines().find_map(|line| line.trim().strip_prefix("@@PEAK ")?.parse::<u64>().ok());
        let Some(peak) = peak.map(|peak| peak / PAGE_KIB) else {
            return other("the guest did not tell the hook's memory");
        };
        if peak > LIMIT {
            return other(format!("{memory} MiB: the hook took {peak} KiB, and {LIMIT} are the most"));
        }
        say(format_args!("guest of {memory} MiB: verdict before the dump was saved, peak {peak} KiB"));
    }
    let broken = place.join("broken");
    fs::write(&broken, "#!/bin/sh\nexit 7\n").at(&broken)?;
    let console = died(&guest, &broken, &place, 512)?;
    told(&console, "@@HOOK 0")?;
    told(&console, "@@SAVED")?;
    say(format_args!("with a program that fails the dump is saved too"));
    fs::remove_dir_all(&place).at(&place)
}

fn told(console: &str, part: &str) -> Result<(), Error> {
    match console.contains(part) {
        true => Ok(()),
        false => other(format!("the guest did not say {part:?}; its console is in target/kdump/console.txt")),
    }
}

/// Lets a guest die, and waits for its crash kernel; what both said.
fn died(guest: &Path, program: &Path, place: &Path, memory: u32) -> Result<String, Error> {
    let overlay = overlay(program, place)?;
    let initrd = |name: &str| -> Result<PathBuf, Error> {
        let whole = place.join(name);
        // a later archive's files count before those of an earlier one
        shell("cat \"$1\" \"$2\" > \"$3\"", [&guest.join(name), &overlay, &whole])?;
        Ok(whole)
    };
    let dying = initrd("initrd-bug")?;
    let content = place.join("content");
    fs::create_dir_all(&content).at(&content)?;
    fs::copy(guest.join("content/vmlinuz"), content.join("vmlinuz")).at(guest)?;
    fs::copy(initrd("initrd")?, content.join("initrd")).at(&content)?;
    let disk = place.join("disk.img");
    if disk.exists() {
        fs::remove_file(&disk).at(&disk)?;
    }
    output(command("mke2fs", ["-q", "-t", "ext4", "-d"]).arg(&content).arg(&disk).arg("256M"))?;
    let console = place.join("console.txt");
    if console.exists() {
        fs::remove_file(&console).at(&console)?;
    }
    let mut qemu =
        command("qemu-system-x86_64", ["-accel", "tcg,thread=multi", "-display", "none", "-no-reboot"]);
    qemu.args(["-cpu", "max", "-smp", "2", "-nic", "none", "-m", &memory.to_string()]);
    qemu.arg("-kernel").arg(content.join("vmlinuz")).arg("-initrd").arg(dying);
    qemu.args(["-append", "console=ttyS0 how=bug oops=panic kdump=1 crashkernel=192M"]);
    qemu.args(["-drive", &format!("file={},if=none,id=d0,format=raw,snapshot=on", disk.display())]);
    qemu.args(["-device", "virtio-blk-pci,drive=d0,queue-size=64,seg-max-adjust=off"]);
    qemu.args(["-serial", &format!("file:{}", console.display())]);
    let mut guest = running(qemu, place.join("monitor"), &place.join("qemu.log"))?;
    let started = Instant::now();
    let read = || String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).into_owned();
    while started.elapsed() < PATIENCE {
        sleep(Duration::from_millis(500));
        let text = read();
        if text.contains("@@SAVED") || guest.alive(&place.join("qemu.log")).is_err() {
            return Ok(text);
        }
    }
    other(format!("the crash kernel did not come to its end in time: see {}", console.display()))
}

/// An archive of the hook, the program, and an `init` that runs the hook in the crash kernel.
fn overlay(program: &Path, place: &Path) -> Result<PathBuf, Error> {
    let files = place.join("files");
    if files.exists() {
        fs::remove_dir_all(&files).at(&files)?;
    }
    let bin = files.join("bin");
    fs::create_dir_all(&bin).at(&bin)?;
    fs::copy(program, bin.join("crashlens")).at(program)?;
    let hook = root().join("packaging/kdump/kdump-verdict");
    fs::copy(&hook, bin.join("kdump-verdict")).at(&hook)?;
    let init = corpus::INIT.replacen(BEFORE, &format!("{HOOK}{BEFORE}"), 1);
    fs::write(files.join("init"), init).at(&files)?;
    let archive = place.join("overlay.cpio.gz");
    let pack = "cd \"$1\"; chmod 755 init bin/*; find . -type f | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1 > \"$2\"";
    shell(pack, [&files, &archive])?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_has_its_place() {
        assert_eq!(corpus::INIT.matches(BEFORE).count(), 1);
    }
}
