//! `dev`: character and block devices, I/O ports, PCI, requests under way, dumps that drivers made ([`kernel::driver`],
//! [`kernel::block`], [`kernel::fs::char_dev`]).

mod device_dumps;
mod disks;
mod pci;

use crate::show::problems;
use crate::show::tasks::{or_why, unknown};
use crate::{CommandError, Cx, Example, Layer, Run, Writes};
use base::VirtAddr;
use kernel::block::genhd::{self, Disk};
use kernel::driver::resource::{self, Resource, Resources};
use kernel::fs::char_dev::{self, CharDevice};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Dev;

/// The arguments of `dev`.
#[derive(clap::Args)]
#[group(id = "what", multiple = false)]
pub(crate) struct DevArgs {
    /// Show who has which I/O ports and I/O memory
    #[arg(short = 'i')]
    ports: bool,
    /// Show PCI devices
    #[arg(short = 'p')]
    pci: bool,
    /// Show the requests of disks that are under way
    #[arg(short = 'd')]
    disks: bool,
    /// The same of disks that have any
    #[arg(short = 'D')]
    busy: bool,
    /// List the dumps that drivers made of their devices (VMCOREDD)
    #[arg(short = 'V')]
    dumps: bool,
    /// Show one of those, or write it to a file
    #[arg(short = 'v', value_names = ["INDEX", "FILE"], num_args = 1..=2)]
    dump: Vec<String>,
}

impl Run for Dev {
    type Args = DevArgs;
    fn name(&self) -> &'static str {
        "dev"
    }
    fn about(&self) -> &'static str {
        "devices"
    }
    fn details(&self) -> &'static str {
        "Shows character and block devices by their major numbers, as /proc/devices has them, with cdev or gendisk and their \
         operations. -d counts requests that have a number of their queue's (tag); DRV are those that the driver has."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn writes(&self, args: &DevArgs) -> Writes {
        args.dump.get(1).map_or(Writes::NOTHING, |path| Writes::file(path))
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("dev", "character and block devices"),
                Example::new("dev -i", "I/O ports and memory"),
                Example::new("dev -p", "PCI devices"),
                Example::new("dev -d", "requests under way"),
                Example::new("dev -V", "dumps that drivers made"),
            ]
        }
    }
    fn needs(&self, args: &DevArgs) -> Layer {
        if args.dumps || !args.dump.is_empty() { Layer::Image } else { Layer::Session }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &DevArgs) -> Result<Report, CommandError> {
        if args.dumps {
            return device_dumps::list(cx);
        }
        if let Some((index, rest)) = args.dump.split_first() {
            return device_dumps::one(cx, index, rest.first().map(String::as_str));
        }
        let s = cx.session()?;
        if args.ports {
            return ports(s);
        }
        if args.pci {
            return pci::report(s);
        }
        if args.disks || args.busy {
            return disks::report(cx, s, args.busy);
        }
        numbers(s)
    }
}

/// An address as the symbol at it, or bare.
fn symbol(s: &Session, at: &Result<VirtAddr, KernelError>) -> Cell {
    match at {
        Ok(at) => match s.locate(*at) {
            Some(found) => Cell::symbol(found.symbol.name.to_owned(), found.offset),
            None if s.may_be_of_module(*at) => Cell::Absent {
                short: format!("{:016x}", at.0).into(),
                reason: format!("what is at {:#x} is not known: not all modules are", at.0),
                lost: true,
            },
            None => Cell::Addr(at.0),
        },
        Err(e) => unknown("?", e),
    }
}

fn text(value: &Result<String, KernelError>) -> Cell {
    value.as_ref().map_or_else(|e| unknown("(unknown)", e), |text| Cell::from(text.clone()))
}

/// Character and block devices; one may be known without the other.
fn numbers(s: &Session) -> Result<Report, CommandError> {
    let (characters, blocks) = (char_dev::devices(s), genhd::majors(s));
    if let (Err(e), Err(_)) = (&characters, &blocks) {
        return Err(CommandError::failed(e.clone()));
    }
    let mut report = Report::new("dev");
    match characters {
        Ok(found) => {
            report.line(Line::heading("CHRDEV    NAME                 CDEV        OPERATIONS"));
            report.list("character", found.all.iter().map(|one| character(s, one)).collect());
            problems::tell(&mut report, "dev", "character devices", &found.problems);
        }
        Err(e) => report.lacking_or_error(e.is_loss(), format!("dev: character devices: {e}")),
    }
    report.blank();
    match blocks {
        Ok((majors, lost)) => {
            let disks = genhd::disks(s);
            report.line(Line::heading("BLKDEV    NAME                GENDISK      OPERATIONS"));
            let all = disks.as_ref().map_or(&[][..], |disks| &disks.all);
            let lack = match &disks {
                Ok(disks) => disks.problems.first(),
                Err(e) => Some(e),
            };
            report.list("block", majors.iter().map(|major| block(s, major, all, lack)).collect());
            problems::tell(&mut report, "dev", "block devices", &lost);
            match disks {
                Ok(disks) => problems::tell(&mut report, "dev", "disks", &disks.problems),
                Err(e) => report.lacking_or_error(e.is_loss(), format!("dev: disks: {e}")),
            }
        }
        Err(e) => report.lacking_or_error(e.is_loss(), format!("dev: block devices: {e}")),
    }
    Ok(report)
}

/// In the place of a device that no driver has registered, and of a disk that is not there.
fn none() -> Cell {
    Cell::shown(Cell::Null, "(none)".to_owned())
}

fn character(s: &Session, one: &CharDevice) -> Record {
    let line = Line::new().text(" ").field("major", one.major).right(3).text("      ");
    let line = line.field("name", text(&one.name)).left(13).text("  ");
    let line = match (&one.cdev, &one.ops) {
        (Ok(Some(cdev)), Some(ops)) => {
            line.field("cdev", Cell::Addr(cdev.0)).zeros(16).text("  ").field("operations", symbol(s, ops))
        }
        (Err(e), _) => line.text("     ").field("cdev", unknown("?", e)),
        (Ok(_), _) => line.text("     ").field("cdev", none()),
    };
    let mut record = Record::of(line);
    record.hidden("minor", one.minor);
    record.hidden("count", or_why(one.count.as_ref().copied()));
    record
}

/// A block device with the disk that is its first one, if there is one, or why that is not known.
fn block(s: &Session, major: &genhd::Major, disks: &[Disk], lack: Option<&KernelError>) -> Record {
    let line = Line::new().text(" ").field("major", major.number).right(3).text("      ");
    let line = line.field("name", text(&major.name)).left(13).text("  ");
    // one that is lost can come before it
    let own = disks.iter().find(|disk| disk.major == major.number);
    let own = own.filter(|disk| lack.is_none() || disk.minor == 0);
    let line = match own {
        Some(disk) => {
            let line = line.field("gendisk", Cell::Addr(disk.at.0)).zeros(16).text("  ");
            line.field("operations", symbol(s, &disk.ops))
        }
        None => line.text("     ").field("gendisk", lack.map_or_else(none, |e| unknown("?", e))),
    };
    let mut record = Record::of(line);
    let names =
        disks.iter().filter(|disk| disk.major == major.number).map(|disk| Cell::from(disk.name.clone()));
    record.hidden("disks", Cell::Many(names.collect(), " "));
    record
}

fn ports(s: &Session) -> Result<Report, CommandError> {
    let (ports, memory) = (resource::ports(s), resource::memory(s));
    if let (Err(e), Err(_)) = (&ports, &memory) {
        return Err(CommandError::failed(e.clone()));
    }
    let mut report = Report::new("dev");
    for (key, what, found) in [("ports", "I/O ports", ports), ("memory", "I/O memory", memory)] {
        if key == "memory" {
            report.blank();
        }
        match found {
            Ok(found) => resources(&mut report, key, what, &found),
            Err(e) => report.lacking_or_error(e.is_loss(), format!("dev: {what}: {e}")),
        }
    }
    Ok(report)
}

fn resources(report: &mut Report, key: &'static str, what: &'static str, found: &Resources) {
    // as wide as the root's last one is
    let root = found.all.first().and_then(|root| root.end.as_ref().ok()).copied().unwrap_or(0);
    let width: u8 = if root > 0xffff { 8 } else { 4 };
    let room = usize::from(width) * 2 + 1;
    let heading = format!("{:^16}  {:^room$}  NAME", "RESOURCE", "RANGE");
    report.line(Line::heading(heading));
    report.list(key, found.all.iter().map(|one| range(one, width)).collect());
    problems::tell(report, "dev", what, &found.problems);
}

fn range(one: &Resource, width: u8) -> Record {
    let end = |value: &Result<u64, KernelError>| {
        value.as_ref().map_or_else(|e| unknown("?", e), |n| Cell::hex_digits(*n, width))
    };
    let line = Line::new().field("resource", Cell::Addr(one.at.0)).zeros(16).text("  ");
    let line = line.field("start", end(&one.start)).text("-").field("end", end(&one.end)).text("  ");
    let mut record = Record::of(line.field("name", text(&one.name)));
    record.hidden("depth", one.depth);
    record
}
