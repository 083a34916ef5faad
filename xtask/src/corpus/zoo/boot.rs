//! One guest of the zoo: boots, dies, and its memory is taken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::build::Guest;
use super::ways::{End, How, Way};
use crate::corpus::kernel::Kernel;
use crate::corpus::qemu::{self, Running};
use crate::run::{At as _, Error, command, other};

/// The longest a guest may take to its end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// Megabytes of a guest.
const MEMORY: &str = "160";

/// The kernel's command line.
fn command_line(way: &Way) -> String {
    let mut line = format!("console=ttyS0 panic=0 way={} how={}", way.asked, way.how.word());
    if !way.append.is_empty() {
        line = format!("{line} {}", way.append);
    }
    if !way.set.is_empty() {
        line = format!("{line} set={}", way.set);
    }
    line
}

/// Brings a guest to its end and writes `console.log` and `dump` into `dir`.
pub(crate) fn run(way: &Way, kernel: &Kernel, guest: &Guest, dir: &Path) -> Result<String, Error> {
    let monitor = dir.join("monitor");
    let console = dir.join("console.log");
    let log = dir.join("qemu.log");
    let mut qemu =
        command("qemu-system-x86_64", ["-accel", "tcg,thread=multi", "-display", "none", "-no-reboot"]);
    qemu.args(["-cpu", "max", "-smp", "2", "-m", MEMORY, "-nic", "none", "-device", "vmcoreinfo"]);
    qemu.args(["-monitor", &format!("unix:{},server,nowait", monitor.display())]);
    qemu.args(["-serial", &format!("file:{}", console.display())]);
    qemu.arg("-kernel").arg(kernel.image()).args(["-append", &command_line(way)]);
    if way.how != How::NoRoot {
        qemu.arg("-initrd").arg(&guest.initrd);
    }
    let mut running = qemu::start(qemu, monitor, &log)?;
    wait(way, &mut running, &console, &log)?;
    let dump = dir.join("dump");
    running.monitor(&[format!("dump-guest-memory -z {}", dump.display())])?;
    drop(running);
    // QEMU makes it readable for the owner alone.
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o644)).at(&dump)?;
    fs::remove_file(&log).at(&log)?;
    read(&console)
}

/// A console's text.
pub(crate) fn read(console: &Path) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&fs::read(console).at(console)?).into_owned())
}

/// What a look at the console tells.
#[derive(PartialEq, Eq, Debug)]
enum Seen {
    /// Not there yet.
    Running,
    /// The guest is where the monitor has to help.
    Ready,
    /// It is at its end.
    Ended,
    /// It should have died and did not.
    Survived,
}

fn look(way: &Way, text: &str) -> Seen {
    if text.contains("---[ end Kernel panic") {
        return Seen::Ended;
    }
    // A CPU that is stuck may keep the guest from ever being idle.
    let idle =
        text.contains("@@IDLE") || (matches!(way.end, End::Monitor(_)) && text.contains("zoo: truth way "));
    if !idle {
        return Seen::Running;
    }
    match way.end {
        // A living system's stuck tasks are to be told of by the kernel first.
        End::Alive if way.set.is_empty() || text.contains("blocked for more than") => Seen::Ended,
        End::Alive => Seen::Running,
        End::Monitor(_) => Seen::Ready,
        End::Panic if matches!(way.how, How::Both) => Seen::Running,
        End::Panic => Seen::Survived,
    }
}

fn wait(way: &Way, running: &mut Running, console: &Path, log: &Path) -> Result<(), Error> {
    let started = Instant::now();
    let mut asked = false;
    while started.elapsed() < PATIENCE {
        sleep(Duration::from_millis(300));
        let text = String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).into_owned();
        match look(way, &text) {
            Seen::Ended => {
                sleep(Duration::from_millis(1200)); // the other CPU comes to rest
                return Ok(());
            }
            Seen::Survived => return other("the guest did not die"),
            Seen::Ready if !asked => {
                asked = true;
                sleep(Duration::from_secs(2));
                if let End::Monitor(commands) = way.end {
                    running.ask(commands.iter().copied())?;
                }
            }
            Seen::Ready | Seen::Running => {}
        }
        running.alive(log)?;
    }
    other("the guest did not come to its end in time")
}

#[cfg(test)]
mod tests {
    use super::super::ways::WAYS;
    use super::*;

    fn way(name: &str) -> &'static Way {
        WAYS.iter().find(|way| way.name == name).unwrap()
    }

    #[test]
    fn the_console_tells_the_end() {
        let bug = way("bug-compare");
        assert_eq!(look(bug, "@@READY"), Seen::Running);
        assert_eq!(look(bug, "---[ end Kernel panic - not syncing: Fatal exception ]---"), Seen::Ended);
        assert_eq!(look(bug, "@@READY\n@@IDLE"), Seen::Survived);
        assert_eq!(look(way("hung-abba"), "@@IDLE"), Seen::Running);
        assert_eq!(look(way("nmi"), "@@IDLE"), Seen::Ready);
        assert_eq!(look(way("hard-loop"), "zoo: truth way hard-loop"), Seen::Ready);
        assert_eq!(look(way("live"), "@@IDLE"), Seen::Ended);
        assert_eq!(look(way("live-hung"), "@@IDLE"), Seen::Running);
    }

    #[test]
    fn the_command_line_says_what_to_do() {
        let line = command_line(way("hung-abba"));
        assert!(
            line.contains("way=hung-abba how=both hung_task_panic=1 set=kernel/hung_task_timeout_secs:5")
        );
    }
}
