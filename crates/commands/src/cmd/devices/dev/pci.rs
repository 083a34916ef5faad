//! `dev -p`: PCI buses and the devices on them.

use super::text;
use crate::CommandError;
use crate::show::problems;
use crate::show::tasks::{or_why, unknown};
use kernel::driver::pci::{self, Bus, Device};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

pub(super) fn report(s: &Session) -> Result<Report, CommandError> {
    let found = pci::buses(s).map_err(CommandError::failed)?;
    let mut report = Report::new("dev");
    if found.all.is_empty() && found.problems.is_empty() {
        report.text("no PCI devices found on this system");
    }
    report.list("buses", found.all.iter().map(bus).collect());
    problems::tell(&mut report, "dev", "PCI devices", &found.problems);
    Ok(report)
}

fn bus(one: &Bus) -> Record {
    let mut record = Record::new();
    let line = Line::new();
    match one.parent {
        None => {
            record.line(Line::heading("    ROOT BUS     BUSNAME"));
            record.line(
                line.field("bus", Cell::Addr(one.at.0)).zeros(16).text(" ").field("name", text(&one.name)),
            );
        }
        Some(parent) => {
            record.line(Line::heading("      PCI BUS         PARENT BUS"));
            let line = line.text("  ").field("bus", Cell::Addr(one.at.0)).zeros(16).text(" ");
            record.line(line.field("parent", Cell::Addr(parent.0)).zeros(16));
            record.hidden("name", text(&one.name));
        }
    }
    record.line(Line::heading("      PCI DEV      DO:BU:SL.FN  CLASS   PCI_ID      TYPE"));
    if let Some(bridge) = &one.bridge {
        record.record("bridge", device(bridge));
    }
    record.list("devices", one.devices.iter().map(device).collect());
    record.blank();
    record
}

fn device(one: &Device) -> Record {
    let hex = |value: &Result<u64, KernelError>, width: u8| {
        value.as_ref().map_or_else(|e| unknown("?", e), |n| Cell::hex_digits(*n, width))
    };
    let line = Line::new().text("  ").field("pci_dev", Cell::Addr(one.at.0)).zeros(16).text(" ");
    let line = line.field("name", text(&one.name)).center(12).text(" ");
    let line = line.field("class", hex(&one.class, 4)).center(6).text(" ");
    let line = line.field("vendor", hex(&one.vendor, 4)).text(":").field("device", hex(&one.device, 4));
    let line = match &one.kind {
        Ok(Some(kind)) => line.text(" ").field("type", *kind),
        Ok(None) => line,
        Err(e) => line.text(" ").field("type", unknown("?", e)),
    };
    let is_bridge = one.is_bridge.as_ref().is_ok_and(|is| *is);
    let line = if is_bridge { line.text("  [BRIDGE]") } else { line };
    let mut record = Record::of(line);
    record.hidden("is_bridge", or_why(one.is_bridge.as_ref().copied()));
    record
}
