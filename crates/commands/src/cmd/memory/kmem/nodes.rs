//! `kmem -n`: nodes, zones, sections and blocks of memory.

use super::counts::{name, number};
use super::free::place;
use crate::CommandError;
use crate::show::tasks::{or_why, unknown};
use kernel::Session;
use kernel::mm::memory_block::{self, Block};
use kernel::mm::page::Pages;
use kernel::mm::sparse::{self, Section};
use kernel::mm::zone::{self, Node};
use report::{Cell, Line, Record, Report};

pub(super) fn show(s: &Session, report: &mut Report) -> Result<(), CommandError> {
    let nodes = zone::nodes(s).map_err(CommandError::failed)?;
    let mut rows = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let mut row = Record::new();
        if n > 0 {
            row.blank();
            row.text("-".repeat(67));
            row.blank();
        }
        of_node(s, node, &mut row);
        rows.push(row);
    }
    report.list("nodes", rows);
    report.blank();
    sections(s, report);
    blocks(s, report);
    Ok(())
}

fn of_node(s: &Session, node: &Node, row: &mut Record) {
    row.line(Line::heading("NODE    SIZE      PGLIST_DATA       BOOTMEM_DATA       NODE_ZONES"));
    let line = Line::new().text(" ").field("node", node.id).right(2).text("   ");
    let line = line.field("size", number(&node.spanned)).center(8).text("  ");
    let line = line.field("pglist_data", Cell::Addr(node.at.0)).zeros(16).text("  ");
    let boot = match &node.boot {
        Some(Ok(at)) => Cell::Addr(at.0),
        Some(Err(e)) => unknown("?", e),
        None => Cell::shown(Cell::Null, "----"),
    };
    let line = line.field("bootmem_data", boot).center(16).text("  ");
    let first = node.zones.first().map_or(Cell::Null, |zone| Cell::Addr(zone.at.0));
    row.line(line.field("node_zones", first));
    for zone in node.zones.iter().skip(1) {
        row.text(format!("{:52}{:x}", "", zone.at.0));
    }
    row.line(Line::heading("    MEM_MAP       START_PADDR  START_MAPNR"));
    let is_empty = matches!(node.spanned, Ok(0));
    row.line(place(s, &node.start, is_empty, Line::new()));
    row.hidden("present", number(&node.present));
    row.blank();
    row.line(Line::heading("ZONE  NAME         SIZE       MEM_MAP      START_PADDR  START_MAPNR"));
    let zones = node.zones.iter().map(|zone| {
        let line = Line::new().text(" ").field("zone", zone.index).right(2).text("   ");
        let line = line.field("name", name(&zone.name)).left(9).text(" ");
        let line = line.field("size", number(&zone.spanned)).right(7).text("  ");
        Record::of(place(s, &zone.start, matches!(zone.spanned, Ok(0)), line))
    });
    row.list("zones", zones.collect());
}

fn sections(s: &Session, report: &mut Report) {
    let found = match sparse::sections(s) {
        Ok(found) => found,
        Err(e) => {
            report.lacking(e.is_loss(), format!("kmem: sections of memory: {e}"));
            return;
        }
    };
    report.text("-".repeat(67));
    report.blank();
    report.line(Line::heading("NR      SECTION        CODED_MEM_MAP        MEM_MAP       STATE PFN"));
    report.list("sections", found.all.iter().map(|section| Record::of(section_line(s, section))).collect());
    if let Some(e) = &found.problem {
        report.lacking(e.is_loss(), format!("kmem: not all sections of memory can be read: {e}"));
    }
}

fn section_line(s: &Session, section: &Section) -> Line {
    let letters = [(1, 'P'), (2, 'M'), (4, 'O'), (8, 'E'), (16, 'D')];
    let state: String =
        letters.iter().filter(|(bit, _)| section.flags() & bit != 0).map(|(_, letter)| letter).collect();
    let map = Pages::new(s).at(section.first);
    let line = Line::new().field("number", section.number).right(2).text("  ");
    let line = line.field("section", Cell::Addr(section.at.0)).zeros(16).text("  ");
    let line = line.field("coded_mem_map", Cell::Addr(section.coded & !0x3f)).zeros(16).text("  ");
    let map = map.map_or_else(|e| unknown("?", &e), |at| Cell::Addr(at.0));
    let line = line.field("mem_map", map).zeros(16).text("  ");
    line.field("state", state).left(5).text(" ").field("pfn", section.first.0)
}

fn blocks(s: &Session, report: &mut Report) {
    let found = match memory_block::blocks(s) {
        Ok(found) => found,
        // a kernel without hot-plugged memory has none
        Err(e) if !e.is_loss() => {
            report.info(format!("kmem: blocks of memory are not shown: {e}"));
            return;
        }
        Err(e) => {
            report.missing(format!("kmem: blocks of memory: {e}"));
            return;
        }
    };
    report.blank();
    report.line(Line::heading(
        "MEM_BLOCK         NAME        PHYSICAL RANGE                      NODE  STATE    START_SECTION_NO",
    ));
    report.list("blocks", found.all.iter().map(|block| Record::of(block_line(block))).collect());
    if let Some(e) = &found.problem {
        report.lacking(e.is_loss(), format!("kmem: the list of blocks of memory is not whole: {e}"));
    }
}

fn block_line(block: &Block) -> Line {
    let line = Line::new().field("block", Cell::Addr(block.at.0)).zeros(16).text("  ");
    let line = line.field("name", format!("memory{}", block.number)).left(10).text("  ");
    let line = match &block.range {
        Ok((start, end)) => {
            let line = line.field("start", Cell::Phys(start.0)).right(16).text(" - ");
            line.field("end", Cell::Phys(end.0)).left(16).text(" ")
        }
        Err(e) => line.field("start", unknown("?", e)).right(35).text(" "),
    };
    let node = match &block.node {
        Some(Ok(node)) => Cell::from(*node),
        Some(Err(e)) => unknown("?", e),
        None => Cell::shown(Cell::Null, "-"),
    };
    let line = line.field("node", node).right(4).text("  ");
    let state = or_why(block.state.as_ref().cloned());
    let section = or_why(block.section.as_ref().copied());
    line.field("state", state).left(7).text("  ").field("section", section)
}
