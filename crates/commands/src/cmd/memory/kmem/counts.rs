//! `kmem -V` and `-z`: the kernel's counts ([`kernel::mm::vmstat`]), of the machine and of each zone.

use crate::CommandError;
use crate::show::tasks::{or_why, unknown};
use kernel::mm::vmstat::{self, Item};
use kernel::mm::zone::{self, Zone};
use kernel::{KernelError, Result, Session};
use report::{Cell, Line, Record, Report};

/// All counts.
pub(super) fn all(s: &Session, report: &mut Report) -> Result<(), CommandError> {
    let tables = vmstat::tables(s).map_err(CommandError::failed)?;
    let widest = |items: &[Item]| items.iter().map(|item| item.name.len()).max().unwrap_or(0);
    let width = tables.iter().flat_map(|table| table.items.as_deref().map(widest)).max().unwrap_or(0);
    for (n, table) in tables.into_iter().enumerate() {
        if n > 0 {
            report.blank();
        }
        one(table.name, table.items, width, report);
    }
    let events = vmstat::events(s);
    match events {
        // a kernel may count none
        Err(KernelError::NoSymbol(_)) => {}
        Err(e) => report.lacking_or_error(e.is_loss(), format!("kmem: vm_event_states: {e}")),
        Ok(table) => {
            let width = table.items.as_deref().map_or(0, widest);
            report.blank();
            one(table.name, table.items, width, report);
        }
    }
    Ok(())
}

fn one(name: &'static str, items: Result<Vec<Item>>, width: usize, report: &mut Report) {
    report.line(Line::heading(format!("  {}:", name.to_uppercase())));
    match items {
        Ok(items) => report.record(name, lines(&items, width)),
        Err(e) => report.lacking_or_error(e.is_loss(), format!("kmem: {name}: {e}")),
    }
}

/// A line for each count; less than none is none, as the kernel has it.
fn lines(items: &[Item], width: usize) -> Record {
    let mut out = Record::new();
    for item in items {
        let pad = width.saturating_sub(item.name.len());
        let line = Line::of(format!("{}{}: ", " ".repeat(pad), item.name));
        out.line(line.field(item.name.to_lowercase(), item.count()));
    }
    out
}

/// The zones, with their counts.
pub(super) fn zones(s: &Session, report: &mut Report) -> Result<(), CommandError> {
    let nodes = zone::nodes(s).map_err(CommandError::failed)?;
    let mut rows = Vec::new();
    for node in &nodes {
        for zone in &node.zones {
            let mut row = Record::new();
            of_zone(s, node.id, zone, &mut row);
            row.blank();
            rows.push(row);
        }
    }
    report.list("zones", rows);
    Ok(())
}

/// A number, or that it is not known.
pub(super) fn number(value: &Result<u64>) -> Cell {
    match value {
        Ok(value) => Cell::from(*value),
        Err(e) => unknown("?", e),
    }
}

/// A name, or that it is not known.
pub(super) fn name(value: &Result<String>) -> Cell {
    match value {
        Ok(value) => Cell::from(value.clone()),
        Err(e) => unknown("?", e),
    }
}

fn of_zone(s: &Session, node: u64, zone: &Zone, row: &mut Record) {
    let line = Line::new().text("NODE: ").field("node", node).text("  ZONE: ").field("zone", zone.index);
    let line = line.text("  ADDR: ").field("address", Cell::Addr(zone.at.0));
    row.line(line.text("  NAME: \"").field("name", name(&zone.name)).text("\""));
    if matches!(zone.spanned, Ok(0)) {
        row.hidden("size", 0);
        row.text("  [unpopulated]");
        return;
    }
    let line = Line::new().text("  SIZE: ").field("size", number(&zone.spanned));
    let line = match (&zone.spanned, &zone.present) {
        (Ok(size), Ok(present)) if size == present => {
            row.hidden("present", *present);
            line
        }
        (_, present) => line.text("  PRESENT: ").field("present", number(present)),
    };
    row.hidden("managed", number(&zone.managed));
    let line = line.text("  MIN/LOW/HIGH: ");
    row.line(match &zone.watermarks {
        Ok([min, low, high]) => {
            line.field("min", *min).text("/").field("low", *low).text("/").field("high", *high)
        }
        Err(e) => line.field("watermarks", unknown("?", e)),
    });
    row.text("  VM_STAT:");
    match vmstat::of_zone(s, zone.at) {
        Ok(items) => {
            let width = items.iter().map(|item| item.name.len()).max().unwrap_or(0);
            row.record("counts", lines(&items, width));
        }
        Err(e) => row.lacking_or_error(e.is_loss(), format!("kmem: counts of the zone: {e}")),
    }
    let mut last = Line::new();
    if let Some(given_up) = &zone.unreclaimable {
        let cell = or_why(given_up.as_ref().copied());
        last = last.text("  ALL_UNRECLAIMABLE: ").field("all_unreclaimable", cell);
    }
    if let Some(scanned) = &zone.scanned {
        last = last.text("  PAGES_SCANNED: ").field("pages_scanned", number(scanned));
    }
    if last != Line::new() {
        row.line(last);
    }
}
