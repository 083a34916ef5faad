//! `net`: devices with their addresses, neighbours, and the sockets of tasks ([`kernel::net`]).

mod sockets;

use crate::engine::number;
use crate::show::problems::{self, Undecided};
use crate::show::tasks::{self, or_why, unknown};
use crate::{CommandError, Cx, Example, Layer, Run};
use base::VirtAddr;
use kernel::net::dev::{self, Address, Device};
use kernel::net::neighbour::{self, Neighbour};
use kernel::sched::task::Task;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};
use std::net::Ipv4Addr;

/// The command.
#[derive(Debug)]
pub(crate) struct Net;

/// The arguments of `net`.
#[derive(clap::Args)]
pub(crate) struct NetArgs {
    /// Show the devices of this task's network namespace; of the task that set chose, where none is named
    #[arg(short = 'n', value_name = "PID | TASK", num_args = 0..=1)]
    namespace: Option<Option<String>>,
    /// Show the neighbours: which hardware address an address has (ARP, and its like of IPv6)
    #[arg(short = 'a')]
    neighbours: bool,
    /// Show the sockets that tasks have open
    #[arg(short = 's', conflicts_with = "dump")]
    sockets: bool,
    /// Show them with the contents of their struct socket and struct sock
    #[arg(short = 'S')]
    dump: bool,
    /// Of -s and -S, only the socket, sock or descriptor that this is
    #[arg(short = 'R', value_name = "REFERENCE")]
    reference: Option<String>,
    /// Of -S, numbers in hex
    #[arg(short = 'x', requires = "dump", conflicts_with = "decimal")]
    hex: bool,
    /// Of -S, numbers in decimal
    #[arg(short = 'd', requires = "dump")]
    decimal: bool,
    /// Write a number as the address of IPv4 that it is in memory
    #[arg(short = 'N', value_name = "NUMBER")]
    translate: Option<String>,
    /// Of -s and -S, the tasks; without one, the task that set chose
    #[arg(value_name = "PID | TASK", num_args = 0..)]
    tasks: Vec<String>,
}

impl Run for Net {
    type Args = NetArgs;
    fn name(&self) -> &'static str {
        "net"
    }
    fn about(&self) -> &'static str {
        "network devices, neighbours and sockets"
    }
    fn details(&self) -> &'static str {
        "Shows the network devices with their addresses. -s shows the sockets of a task with state, addresses, and bytes that \
         wait to be read and to be sent (of one that listens: connections that were not accepted), as /proc/net/tcp has them."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("net", "the devices"),
                Example::new("net -n 1", "those of the network namespace of a task"),
                Example::new("net -a", "the neighbours"),
                Example::new("net -s 1", "the sockets of a task"),
                Example { line: "net -N 1041236234", about: "a number as an address", output: "10.1.16.62" },
                Example::new("foreach net -s", "the sockets of all tasks"),
            ]
        }
    }
    fn needs(&self, args: &NetArgs) -> Layer {
        // a number is an address without a dump
        if args.translate.is_some() { Layer::Nothing } else { Layer::Session }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &NetArgs) -> Result<Report, CommandError> {
        refuse(args)?;
        if let Some(word) = &args.translate {
            return translate(word);
        }
        let s = cx.session()?;
        if args.neighbours {
            return neighbours(s);
        }
        if args.sockets || args.dump {
            return of_tasks(cx, s, args);
        }
        let task = match &args.namespace {
            None => None,
            Some(None) => Some(tasks::context(cx)?),
            Some(Some(word)) => Some(tasks::one(s, word)?),
        };
        let at = kernel::net::namespace(s, task).map_err(CommandError::failed)?;
        devices(s, at)
    }
}

/// Options that mean nothing together.
fn refuse(args: &NetArgs) -> Result<(), CommandError> {
    let of_sockets = args.sockets || args.dump;
    let single = [args.namespace.is_some(), args.neighbours, of_sockets, args.translate.is_some()];
    if single.into_iter().filter(|given| *given).count() > 1 {
        return Err(CommandError::argument("-n, -a, -N and -s or -S are each about something else"));
    }
    if !of_sockets && (args.reference.is_some() || !args.tasks.is_empty()) {
        return Err(CommandError::argument("tasks and -R belong to -s and -S"));
    }
    Ok(())
}

fn translate(word: &str) -> Result<Report, CommandError> {
    let value = number::value(word, &|_| None)?;
    let value = u32::try_from(value)
        .map_err(|_| CommandError::argument(format_args!("{word}: more than 32 bits")))?;
    let mut report = Report::new("net");
    let address = Ipv4Addr::from(value.to_le_bytes());
    report.line(Line::new().field("address", address.to_string()));
    Ok(report)
}

fn devices(s: &Session, namespace: VirtAddr) -> Result<Report, CommandError> {
    let found = dev::devices(s, namespace).map_err(CommandError::failed)?;
    let mut report = Report::new("net");
    report.hidden("namespace", namespace);
    report.line(Line::heading("   NET_DEVICE     NAME       IP ADDRESS(ES)"));
    let lost: Vec<KernelError> =
        found.all.iter().flat_map(|d| d.v4.problems.iter().chain(&d.v6.problems)).cloned().collect();
    report.list("devices", found.all.iter().map(device).collect());
    problems::tell(&mut report, "net", "devices", &found.problems);
    problems::tell(&mut report, "net", "addresses", &lost);
    Ok(report)
}

fn device(d: &Device) -> Record {
    let all = d.v4.all.iter().chain(&d.v6.all);
    let mut addresses: Vec<Cell> = all.clone().map(|one| Cell::from(one.local.to_string())).collect();
    addresses.extend(d.v4.problems.iter().chain(&d.v6.problems).map(|e| unknown("?", e)));
    let line = Line::new().field("net_device", Cell::Addr(d.at.0)).zeros(16).text("  ");
    let line = line.field("name", d.name.clone()).left(10).text(" ");
    let mut record = Record::of(line.field("addresses", Cell::Many(addresses, ", ")));
    let number = |value: &Result<u64, KernelError>| or_why(value.as_ref().copied());
    record.hidden("index", or_why(d.index.as_ref().copied()));
    record.hidden("mtu", number(&d.mtu));
    record.hidden("flags", d.flags.as_ref().map_or_else(|e| unknown("?", e), |n| Cell::hex(*n)));
    record.hidden("hardware", d.hardware.as_ref().map_or_else(|e| unknown("?", e), |h| hardware(h, ":")));
    let network = |one: &Address| Cell::from(format!("{}/{}", one.local, one.prefix));
    record.hidden("networks", Cell::Many(all.clone().map(network).collect(), ", "));
    let peers = all.filter_map(|one| one.peer).map(|peer| Cell::from(peer.to_string()));
    record.hidden("peers", Cell::Many(peers.collect(), ", "));
    record
}

/// A hardware address.
fn hardware(bytes: &[u8], between: &str) -> Cell {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Cell::from(parts.join(between))
}

fn neighbours(s: &Session) -> Result<Report, CommandError> {
    let found = neighbour::neighbours(s).map_err(CommandError::failed)?;
    let mut report = Report::new("net");
    if !found.all.is_empty() {
        let heading = "NEIGHBOUR        IP ADDRESS      HW TYPE    HW ADDRESS         DEVICE  STATE";
        report.line(Line::heading(heading));
    } else if found.problems.is_empty() {
        report.text("(no neighbours)");
    }
    report.list("neighbours", found.all.iter().map(one).collect());
    problems::tell(&mut report, "net", "neighbours", &found.problems);
    Ok(report)
}

fn one(n: &Neighbour) -> Record {
    let kind = n.kind.as_ref().map(|kind| neighbour::hardware_name(*kind));
    let between = if kind.as_ref().is_ok_and(|kind| *kind == "ETHER") { ":" } else { " " };
    let text = |value: Result<String, &KernelError>| or_why(value);
    let line = Line::new().field("neighbour", Cell::Addr(n.at.0)).zeros(16).text(" ");
    let line = line.field("address", text(n.address.as_ref().map(ToString::to_string))).left(16);
    let line = line.field("hardware_type", or_why(kind)).left(10).text(" ");
    let own = n.hardware.as_ref().map_or_else(|e| unknown("?", e), |h| hardware(h, between));
    let line = line.field("hardware", own).left(18).text(" ");
    let line = line.field("device", text(n.device.as_ref().map(ToString::to_string))).left(6).text("  ");
    let states = n.state.as_ref().map_or_else(
        |e| unknown("?", e),
        |state| match state {
            0 => Cell::shown("NONE", "NONE".to_owned()),
            state => Cell::Many(neighbour::states(*state).into_iter().map(Cell::from).collect(), "|"),
        },
    );
    let mut record = Record::of(line.field("state", states));
    record.hidden("namespace", n.namespace.as_ref().map_or_else(|e| unknown("?", e), |at| Cell::Addr(at.0)));
    record
}

fn of_tasks(cx: &mut Cx<'_>, s: &Session, args: &NetArgs) -> Result<Report, CommandError> {
    let mut wanted: Vec<&Task> = Vec::new();
    for word in &args.tasks {
        wanted.push(tasks::one(s, word)?);
    }
    if wanted.is_empty() {
        wanted.push(tasks::context(cx)?);
    }
    let (mut rows, mut undecided) = (Vec::new(), Undecided::default());
    for task in wanted {
        cx.cancel.check()?;
        match sockets::of_task(cx, s, task, args)? {
            Ok(mut row) => {
                row.blank();
                rows.push(row);
            }
            Err(notes) => _ = undecided.take(&notes.items),
        }
    }
    let mut report = Report::new("net");
    report.list("tasks", rows);
    undecided.tell(&mut report, "net");
    Ok(report)
}
