//! One guest in QEMU: boots, waits for its end on the serial console, takes dumps through the monitor.
//!
//! TCG, not KVM: it works everywhere, and a guest under it always has the CPU features that the case asks for.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases::{self, Case, End};
use crate::run::{At as _, Error, command, other, say};

/// What a run needs.
pub(crate) struct Machine<'a> {
    /// The case.
    pub case: &'a Case,
    /// Boot image.
    pub kernel: PathBuf,
    /// First file system.
    pub initrd: PathBuf,
    /// First disk; not written to.
    pub disk: PathBuf,
    /// Second disk, for the crash kernel to write to.
    pub capture: Option<PathBuf>,
    /// Where the serial console goes.
    pub console: PathBuf,
    /// Folder for the monitor's socket.
    pub dir: PathBuf,
}

/// The longest a guest may take to its end: minutes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(420);
/// The longest a monitor command may take.
const DUMPING: Duration = Duration::from_secs(240);

/// A running guest; stopped when dropped.
pub(crate) struct Running {
    child: Child,
    monitor: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.monitor);
    }
}

/// The kernel command line of a case.
pub(crate) fn command_line(case: &Case) -> String {
    let mut line = format!("console={} how={}", case.machine.console(), case.end.word());
    if matches!(case.end, End::Bug | End::Lkdtm(_) | End::Dying(_)) {
        line += " oops=panic";
    }
    if let End::Lkdtm(way) = case.end {
        line += &format!(" lkdtm={way} softlockup_panic=1 hung_task_panic=1");
    }
    if let End::Dying(way) = case.end {
        line += &format!(" dying={way} hung_task_panic=1");
    }
    if case.crashkernel > 0 {
        line += &format!(" kdump=1 crashkernel={}M", case.crashkernel);
    } else {
        line += " panic=0";
    }
    if !case.append.is_empty() {
        line = format!("{line} {}", case.append);
    }
    line
}

/// Boots the guest and waits until it is where its case wants it.
pub(crate) fn run(machine: &Machine<'_>) -> Result<Running, Error> {
    let case = machine.case;
    let monitor = machine.dir.join("monitor");
    for stale in [&monitor, &machine.console] {
        if stale.exists() {
            fs::remove_file(stale).at(stale)?;
        }
    }
    let disk = format!("file={},if=none,id=d0,format=raw,snapshot=on", machine.disk.display());
    let program = case.machine.qemu();
    let mut qemu = command(program, ["-accel", "tcg,thread=multi", "-display", "none", "-no-reboot"]);
    if case.machine == cases::Machine::Arm64 {
        qemu.args(["-machine", "virt,gic-version=3"]);
    }
    qemu.args(["-cpu", case.cpu, "-smp", &case.cpus.to_string(), "-m", &case.memory.to_string()]);
    qemu.args(["-monitor", &format!("unix:{},server,nowait", monitor.display())]);
    qemu.args(["-serial", &format!("file:{}", machine.console.display())]);
    qemu.arg("-kernel").arg(&machine.kernel).arg("-initrd").arg(&machine.initrd);
    qemu.args(["-append", &command_line(case), "-nic", "none", "-drive", &disk]);
    // A ring of 64 against requests of up to 254 segments.
    qemu.args(["-device", "virtio-blk-pci,drive=d0,queue-size=64,seg-max-adjust=off"]);
    if case.vmcoreinfo {
        qemu.args(["-device", "vmcoreinfo"]);
    }
    if let Some(capture) = &machine.capture {
        qemu.args(["-drive", &format!("file={},if=none,id=d1,format=raw", capture.display())]);
        qemu.args(["-device", "virtio-blk-pci,drive=d1"]);
    }
    let log = machine.dir.join("qemu.log");
    let mut running = start(qemu, monitor, &log)?;
    running.wait(machine, &log)?;
    Ok(running)
}

/// Starts a guest whose complaints go to `log`.
pub(crate) fn start(mut qemu: Command, monitor: PathBuf, log: &Path) -> Result<Running, Error> {
    let file = fs::File::create(log).at(log)?;
    let program = qemu.get_program().to_string_lossy().into_owned();
    qemu.stdout(Stdio::null()).stderr(file);
    let child = qemu.spawn().map_err(|source| Error::Start { program, source })?;
    Ok(Running { child, monitor })
}

/// Whether the console shows that the guest is where its case wants it.
fn arrived(case: &Case, console: &str) -> bool {
    if case.crashkernel > 0 {
        return console.contains("@@CAPTURED");
    }
    match case.end {
        End::Live => console.contains("@@IDLE"),
        _ => console.contains("end Kernel panic"),
    }
}

impl Running {
    fn wait(&mut self, machine: &Machine<'_>, log: &Path) -> Result<(), Error> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            sleep(Duration::from_millis(500));
            let console = fs::read(&machine.console).unwrap_or_default();
            let text = String::from_utf8_lossy(&console);
            if arrived(machine.case, &text) {
                sleep(Duration::from_secs(2)); // the other CPUs come to rest
                return Ok(());
            }
            let at_end = text.contains("@@READY") || text.contains("end Kernel panic");
            if machine.case.crashkernel > 0 && at_end && !text.contains("@@ARMED") {
                return other(format!(
                    "the guest came to its end without a crash kernel: see {}",
                    machine.console.display()
                ));
            }
            if machine.case.end != End::Live && text.contains("@@IDLE") {
                return other(format!("the guest did not die: see {}", machine.console.display()));
            }
            self.alive(log)?;
        }
        other(format!("the guest did not come to its end in time: see {}", machine.console.display()))
    }

    /// Fails if the guest is gone.
    pub(crate) fn alive(&mut self, log: &Path) -> Result<(), Error> {
        match self.child.try_wait().at(log)? {
            Some(status) => {
                let said = fs::read_to_string(log).unwrap_or_default();
                other(format!("qemu ended ({status}) before the guest did: {}", said.trim()))
            }
            None => Ok(()),
        }
    }

    /// Gives commands to the monitor, the guest stopped.
    pub(crate) fn monitor(&mut self, commands: &[String]) -> Result<String, Error> {
        self.ask(std::iter::once("stop").chain(commands.iter().map(String::as_str)))
    }

    /// Gives commands to the monitor.
    pub(crate) fn ask<'a>(&mut self, commands: impl Iterator<Item = &'a str>) -> Result<String, Error> {
        let mut socket = UnixStream::connect(&self.monitor).at(&self.monitor)?;
        socket.set_read_timeout(Some(Duration::from_secs(1))).at(&self.monitor)?;
        let mut said = prompt(&mut socket, &self.monitor)?;
        for line in commands {
            socket.write_all(format!("{line}\n").as_bytes()).at(&self.monitor)?;
            let answer = prompt(&mut socket, &self.monitor)?;
            // The monitor echoes its input with much editing; what it says itself stands on lines of its own.
            if let Some(error) = answer.lines().find(|line| line.starts_with("Error")) {
                if error.contains("not available") {
                    say(format_args!("  this qemu cannot do `{line}`: left out"));
                } else {
                    return other(format!("qemu's monitor on `{line}`: {error}"));
                }
            }
            said += &answer;
        }
        Ok(said)
    }
}

/// Reads until the monitor asks for the next command.
fn prompt(socket: &mut UnixStream, path: &Path) -> Result<String, Error> {
    let started = Instant::now();
    let mut said = Vec::new();
    let mut block = [0; 4096];
    while started.elapsed() < DUMPING {
        match socket.read(&mut block) {
            Ok(0) => return other("qemu's monitor went away"),
            Ok(count) => said.extend(block.get(..count).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        }
        if said.ends_with(b"(qemu) ") {
            return Ok(String::from_utf8_lossy(&said).into_owned());
        }
    }
    other("qemu's monitor did not answer in time")
}

#[cfg(test)]
mod tests {
    use super::super::cases::CASES;
    use super::*;

    #[test]
    fn the_console_tells_the_end() {
        let case = |name: &str| CASES.iter().find(|case| case.name == name).unwrap();
        assert!(arrived(case("virtio-bug"), "---[ end Kernel panic - not syncing: Fatal exception ]---"));
        assert!(!arrived(case("sysrq-kdump"), "end Kernel panic"));
        assert!(arrived(case("sysrq-kdump"), "@@CAPTURED"));
        assert!(arrived(case("live"), "@@IDLE"));
        assert!(command_line(case("virtio-bug")).contains("how=bug oops=panic panic=0"));
    }
}
