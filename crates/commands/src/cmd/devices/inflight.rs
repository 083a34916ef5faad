//! `inflight`: requests that are not done, by disk, with their age and who waits ([`kernel::block::inflight`]).

use crate::show::tasks::{self, or_why, unknown};
use crate::show::when::ago;
use crate::show::{problems, symbol};
use crate::{CommandError, Cx, Example, Run};
use kernel::block::genhd::{self, Disk};
use kernel::block::inflight::{self, Bio, Clock, Request, Span, Stage};
use kernel::block::mq::{self, Kinds};
use kernel::block::waiting::Waiters;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Inflight;

/// The arguments of `inflight`.
#[derive(clap::Args)]
pub(crate) struct InflightArgs {
    /// All disks, also those without requests
    #[arg(short = 'a')]
    all: bool,
    /// With the parts (bios) of each request
    #[arg(short = 'b')]
    bios: bool,
    /// Only of these disks
    #[arg(value_name = "DISK", num_args = 0..)]
    disks: Vec<String>,
}

impl Run for Inflight {
    type Args = InflightArgs;
    fn name(&self) -> &'static str {
        "inflight"
    }
    fn about(&self) -> &'static str {
        "I/O that is not done, by disk, with its age and who waits"
    }
    fn details(&self) -> &'static str {
        "Shows for each disk the requests that are not done, the oldest first: the request, what it is to do, its first sector \
         (of 512 bytes), how many bytes are left, where it is (queued: in the queue or its scheduler; driver: the driver has \
         it; complete), for how long it exists and for how long the driver has it (\"-\" where the kernel did not note that, or where it \
         began after the kernel last kept its time), \
         and the tasks that wait for it. -b adds its parts, with what is called when each is done. Of a disk that hands \
         its I/O on to others (dm, md) the kernel only counts what is under way."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("inflight", "requests that are not done"),
                Example::new("inflight -a -b", "all disks, with the parts of requests"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &InflightArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let found = genhd::disks(s).map_err(CommandError::failed)?;
        let is_there = |name: &String| found.all.iter().any(|disk| disk.name == *name);
        if let Some(name) = args.disks.iter().find(|name| !is_there(name)) {
            let lost = found.problems.iter().any(KernelError::is_loss);
            return Err(CommandError::failed(format_args!("no disk has the name {name}")).lost_if(lost));
        }
        let mut report = Report::new("inflight");
        let (clock, waiters) = (Clock::of(s), Waiters::of(s));
        let mut rows = Vec::new();
        let (mut any, mut lost) = (false, Vec::new());
        for disk in &found.all {
            cx.cancel.check()?;
            if !args.disks.is_empty() && !args.disks.contains(&disk.name) {
                continue;
            }
            let asked = Asked { s, clock: &clock, waiters: &waiters, with_bios: args.bios };
            let (mut row, is_busy) = asked.disk(disk, &mut lost);
            any |= is_busy;
            if is_busy || args.all || !args.disks.is_empty() {
                if !rows.is_empty() {
                    row.items.insert(0, report::Item::Blank);
                }
                rows.push(row);
            }
        }
        if !any && found.problems.is_empty() && lost.is_empty() {
            report.info("inflight: no request of a disk is under way");
        }
        report.list("disks", rows);
        problems::tell(&mut report, "inflight", "disks", &found.problems);
        problems::tell(&mut report, "inflight", "requests", &lost);
        problems::tell(&mut report, "inflight", "tasks that wait", &waiters.problems);
        tasks::problems(s, &mut report);
        Ok(report)
    }
}

struct Asked<'a> {
    s: &'a Session,
    clock: &'a Clock,
    waiters: &'a Waiters,
    with_bios: bool,
}

impl Asked<'_> {
    /// A disk, and whether something of it is known to be under way; `lost` takes why there may be more.
    fn disk(&self, disk: &Disk, lost: &mut Vec<KernelError>) -> (Record, bool) {
        let s = self.s;
        let line = Line::of("DISK: ").field("name", disk.name.clone()).left(10);
        let number = Cell::from(format!("{}:{}", disk.major, disk.minor));
        let line = line.text(" NUMBER: ").field("number", number).left(8);
        let line = line.text(" GENDISK: ").field("gendisk", Cell::Addr(disk.at.0)).zeros(16);
        let queue = disk.queue.as_ref().map_or_else(|e| unknown("?", e), |at| Cell::Addr(at.0));
        let line = line.text("  REQUEST_QUEUE: ").field("request_queue", queue).zeros(16);
        let requests = disk.queue.clone().and_then(|queue| inflight::requests(s, queue, self.clock));
        let mut row = Record::new();
        let found = match requests {
            Ok(found) => found,
            Err(e) => {
                row.line(line.text("  REQUESTS: ").field("count", unknown("?", &e)));
                lost.push(e);
                return (row, false);
            }
        };
        lost.extend(found.problems.iter().cloned());
        let count = match found.problems.first() {
            None => Cell::from(found.all.len()),
            Some(e) => Cell::at_least(found.all.len(), e.to_string()),
        };
        if !found.all.is_empty() {
            row.line(line.text("  REQUESTS: ").field("count", count));
            row.line(Line::heading(format!(
                "  {:16}  {:12} {:>12} {:>9}  {:8}  {:>16}  {:>16}",
                "REQUEST", "OPERATION", "SECTOR", "BYTES", "STAGE", "AGE", "IN DRIVER"
            )));
            row.list("requests", found.all.iter().map(|request| self.request(request)).collect());
            return (row, true);
        }
        let line = line.text("  REQUESTS: ").field("count", count);
        // what hands its I/O on has no requests
        let way = mq::under_way(s, disk.at, &disk.queue);
        match way.counts {
            Ok([a, b]) if a > 0 || b > 0 => {
                let [first, second] = match way.kinds {
                    Kinds::ReadWrite => [("reads", "READS: "), ("writes", "WRITES: ")],
                    Kinds::AsyncSync => [("async", "ASYNC: "), ("sync", "SYNC: ")],
                };
                let line = line.text("  ").text(first.1).field(first.0, a);
                row.line(line.text("  ").text(second.1).field(second.0, b));
                (row, true)
            }
            Ok(_) => {
                row.line(line);
                (row, false)
            }
            Err(e) => {
                row.line(line);
                lost.push(e);
                (row, false)
            }
        }
    }

    fn request(&self, request: &Request) -> Record {
        let line = Line::of("  ").field("request", Cell::Addr(request.at.0)).zeros(16).text("  ");
        let operation = match &request.operation {
            Ok(operation) => Cell::from(operation.name.clone()),
            Err(e) => unknown("?", e),
        };
        let line = line.field("operation", operation).left(12).text(" ");
        let line = line.field("sector", sector(&request.sector)).right(12).text(" ");
        let line = line.field("bytes", number(&request.bytes)).right(9).text("  ");
        let stage = match &request.stage {
            Ok(Stage::Queued) => Cell::from("queued"),
            Ok(Stage::InDriver) => Cell::from("driver"),
            Ok(Stage::Complete) => Cell::from("complete"),
            Err(e) => unknown("?", e),
        };
        let line = line.field("stage", stage).left(8).text("  ");
        let line = line.field("age_nsec", span(&request.age)).right(16).text("  ");
        let mut row = Record::of(line.field("in_driver_nsec", in_driver(request)).right(16));
        row.hidden("tag", or_why(request.tag.as_ref().copied()));
        if self.with_bios {
            row.list("bios", request.bios.iter().map(|bio| self.bio(bio)).collect());
        }
        if let Some(e) = &request.problem {
            row.lacking(e.is_loss(), format!("inflight: the parts of this request are not all known: {e}"));
        }
        let waits = self.waiters.for_request(self.s, request).into_iter().map(|task| {
            let line = Line::of("    WAITS: PID: ").field("pid", task.pid).left(7).text(" TASK: ");
            let line = line.field("task", Cell::Addr(task.at.0)).zeros(16).text("  ");
            let line = line.field("state", tasks::state(self.s, task)).text("  COMMAND: \"");
            Record::of(line.field("command", task.comm.clone()).text("\""))
        });
        row.list("waiters", waits.collect());
        row
    }

    fn bio(&self, bio: &Bio) -> Record {
        let line = Line::of("    BIO: ").field("bio", Cell::Addr(bio.at.0)).zeros(16);
        let line = line.text("  SECTOR: ").field("sector", sector(&bio.sector));
        let line = line.text("  BYTES: ").field("bytes", number(&bio.bytes)).text("  END: ");
        let end = match &bio.end {
            Ok(at) if at.is_null() => Cell::absent("-", "nothing is called when it is done"),
            Ok(at) => symbol::of(self.s, *at),
            Err(e) => unknown("?", e),
        };
        Record::of(line.field("end_io", end))
    }
}

fn number(number: &Result<u64, KernelError>) -> Cell {
    or_why(number.as_ref().copied())
}

/// A sector; a request without a place, as a flush is, has the highest number.
fn sector(at: &Result<u64, KernelError>) -> Cell {
    match at {
        Ok(u64::MAX) => Cell::absent("-", "it has no place on the disk"),
        at => number(at),
    }
}

fn span(span: &Result<Span, KernelError>) -> Cell {
    match span {
        Ok(Span::For(nsec)) => Cell::shown(*nsec, ago(*nsec)),
        Ok(Span::NotNoted) => Cell::absent("-", "the kernel did not note it"),
        Ok(Span::BehindClock) => Cell::absent("-", "it began after the kernel last kept its time"),
        Err(e) => unknown("?", e),
    }
}

fn in_driver(request: &Request) -> Cell {
    match &request.in_driver {
        Ok(None) => Cell::absent("-", "the driver does not have it"),
        Ok(Some(one)) => span(&Ok(*one)),
        Err(e) => unknown("?", e),
    }
}
