//! `dev -d` and `-D`: the requests of disks that are under way.

use crate::show::problems;
use crate::show::tasks::unknown;
use crate::{CommandError, Cx};
use kernel::Session;
use kernel::block::genhd::{self, Disk};
use kernel::block::mq::{self, Kinds, UnderWay};
use report::{Cell, Line, Record, Report};

pub(super) fn report(cx: &Cx<'_>, s: &Session, busy: bool) -> Result<Report, CommandError> {
    let found = genhd::disks(s).map_err(CommandError::failed)?;
    let mut rows = Vec::new();
    for disk in &found.all {
        cx.cancel.check()?;
        rows.push((disk, mq::under_way(s, disk.at, &disk.queue)));
    }
    let is_old = |(_, way): &(&Disk, UnderWay)| way.kinds == Kinds::AsyncSync;
    let [first, second] = if rows.iter().any(is_old) { ["ASYNC", "SYNC"] } else { ["READ", "WRITE"] };
    if busy {
        // of a disk of which it is not known, something may be under way
        rows.retain(|(_, way)| !matches!(way.counts, Ok([0, 0])));
    }
    let mut report = Report::new("dev");
    // crash has no column for what the driver has of queues that count by their numbers
    let with_driver = !cx.settings.crash_compat || rows.iter().any(is_old);
    let heading = format!(
        "MAJOR {:18} {:10} {:18} {:>5} {first:>5} {second:>5} {}",
        "GENDISK",
        "NAME",
        "REQUEST_QUEUE",
        "TOTAL",
        if with_driver { "  DRV" } else { "" }
    );
    report.line(Line::heading(heading));
    report.list("disks", rows.iter().map(|(disk, way)| row(disk, way, with_driver)).collect());
    problems::tell(&mut report, "dev", "disks", &found.problems);
    Ok(report)
}

fn row(disk: &Disk, way: &UnderWay, with_driver: bool) -> Record {
    let line = Line::new().field("major", disk.major).right(5).text(" ");
    let line = line.field("gendisk", Cell::Addr(disk.at.0)).zeros(16).text("   ");
    let line = line.field("name", disk.name.clone()).left(10).text(" ");
    let queue = disk.queue.as_ref().map_or_else(|e| unknown("?", e), |at| Cell::Addr(at.0));
    let line = line.field("request_queue", queue).zeros(16).text("   ");
    let names = match way.kinds {
        Kinds::ReadWrite => ["read", "write"],
        Kinds::AsyncSync => ["async", "sync"],
    };
    let cell = |count: fn(&[u64; 2]) -> u64| {
        way.counts.as_ref().map_or_else(|e| unknown("?", e), |all| Cell::from(count(all)))
    };
    let line = line.field("total", cell(|[a, b]| a.saturating_add(*b))).right(5).text(" ");
    let line = line.field(names[0], cell(|[a, _]| *a)).right(5).text(" ");
    let line = line.field(names[1], cell(|[_, b]| *b)).right(5).text(" ");
    let driver = match &way.in_driver {
        Some(Ok(count)) => Cell::from(*count),
        Some(Err(e)) => unknown("?", e),
        None => Cell::absent("-", "this kernel does not count what the driver has"),
    };
    let mut record = match with_driver {
        true => Record::of(line.field("in_driver", driver).right(5)),
        false => Record::of(line),
    };
    record.hidden("minor", disk.minor);
    record
}
