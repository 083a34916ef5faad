//! `kmem -f` and `-F`: the lists of free pages ([`kernel::mm::buddy`]).

use super::counts::{name, number};
use crate::show::tasks::unknown;
use crate::{CommandError, Cx};
use base::{Pfn, VirtAddr};
use kernel::mm::buddy::{self, FreeList};
use kernel::mm::page::Pages;
use kernel::mm::vmstat;
use kernel::mm::zone::{self, Zone};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

pub(super) fn show(
    cx: &Cx<'_>,
    s: &Session,
    with_pages: bool,
    report: &mut Report,
) -> Result<(), CommandError> {
    let nodes = zone::nodes(s).map_err(CommandError::failed)?;
    let mut sums = Sums::default();
    let mut rows = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let mut row = Record::new();
        if n > 0 {
            row.blank();
        }
        // of a machine with one node the line says nothing
        if nodes.len() > 1 {
            row.line(Line::heading("NODE"));
            row.line(Line::new().field("node", node.id).right(3));
        } else {
            row.hidden("node", node.id);
        }
        let mut zones = Vec::new();
        for (n, zone) in node.zones.iter().enumerate() {
            cx.cancel.check()?;
            let mut record = Record::new();
            if n > 0 {
                record.blank();
            }
            of_zone(s, zone, with_pages, &mut sums, &mut record);
            zones.push(record);
        }
        row.list("zones", zones);
        rows.push(row);
    }
    report.list("nodes", rows);
    report.blank();
    sums.show(s, report);
    Ok(())
}

/// What was found, beside what is counted.
#[derive(Default)]
struct Sums {
    found: u64,
    /// Why more may be free.
    problem: Option<KernelError>,
}

impl Sums {
    fn show(&self, s: &Session, report: &mut Report) {
        let counted = vmstat::total(s, &["NR_FREE_PAGES"]);
        // free memory of confidential machines that was never touched is counted and in no such list (6.5)
        let untouched = match vmstat::total(s, &["NR_UNACCEPTED"]) {
            Err(KernelError::NoEnumeration(_)) => Ok(0),
            untouched => untouched,
        };
        let line = Line::new().text("nr_free_pages: ").field("free_pages", number(&counted));
        report.line(match (&counted, &untouched, &self.problem) {
            (_, Ok(untouched), Some(e)) => {
                let found = self.found.saturating_add(*untouched);
                let found = Cell::at_least(found, e.to_string()).lost_if(e.is_loss());
                line.text("  (found ").field("found_pages", found).text(")")
            }
            (_, Err(e), _) => line.text("  (found ").field("found_pages", unknown("?", e)).text(")"),
            (Ok(counted), Ok(untouched), None) if *counted == self.found.saturating_add(*untouched) => {
                line.field("found_pages", Cell::shown(*counted, "  (verified)"))
            }
            (_, Ok(untouched), None) => {
                line.text("  (found ").field("found_pages", self.found.saturating_add(*untouched)).text(")")
            }
        });
        if let Some(e) = &self.problem {
            report.lacking(e.is_loss(), format!("kmem: the lists of free pages are not whole: {e}"));
        }
    }
}

/// The line of a zone.
fn zone_line(s: &Session, zone: &Zone, record: &mut Record) {
    record.line(Line::heading("ZONE  NAME        SIZE    FREE      MEM_MAP       START_PADDR  START_MAPNR"));
    let items = vmstat::of_zone(s, zone.at);
    let free = items.and_then(|items| {
        let item = vmstat::item(&items, "NR_FREE_PAGES").map(vmstat::Item::count);
        item.ok_or(KernelError::NoEnumeration("zone_stat_item"))
    });
    let line = Line::new().field("zone", zone.index).right(3).text("   ");
    let line = line.field("name", name(&zone.name)).left(9).text(" ");
    let line =
        line.field("size", number(&zone.spanned)).right(6).text("  ").field("free", number(&free)).right(6);
    let line = line.text("  ");
    record.line(place(s, &zone.start, matches!(zone.spanned, Ok(0)), line));
}

/// Where the pages and the memory of a node or zone begin; no page of one that is empty.
pub(super) fn place(s: &Session, start: &kernel::Result<Pfn>, is_empty: bool, line: Line) -> Line {
    let map = match start {
        Ok(pfn) if !is_empty => {
            Pages::new(s).at(*pfn).map_or_else(|e| unknown("?", &e), |at| Cell::Addr(at.0))
        }
        Ok(_) => Cell::shown(Cell::Null, "0"),
        Err(e) => unknown("?", e),
    };
    let paddr = start.as_ref().map_or_else(
        |e| unknown("?", e),
        |pfn| Cell::Phys(pfn.0.checked_shl(s.page_shift()).unwrap_or(u64::MAX)),
    );
    let number = start.as_ref().map_or_else(|e| unknown("?", e), |pfn| Cell::from(pfn.0));
    let line =
        line.field("mem_map", map).center(16).text("  ").field("start_paddr", paddr).right(11).text("  ");
    line.field("start_mapnr", number).right(11)
}

fn of_zone(s: &Session, zone: &Zone, with_pages: bool, sums: &mut Sums, record: &mut Record) {
    zone_line(s, zone, record);
    if matches!(zone.spanned, Ok(0)) {
        return;
    }
    let areas = match buddy::areas(s, zone.at) {
        Ok(areas) => areas,
        Err(e) => {
            record.lacking_or_error(e.is_loss(), format!("kmem: free pages of the zone: {e}"));
            sums.problem.get_or_insert(e);
            return;
        }
    };
    // whether the zone has pages at all is not known
    let is_unread = |area: &buddy::Area| area.pages() == 0 && !area.problems.is_empty();
    if let (Err(e), true) = (&zone.spanned, areas.iter().all(is_unread)) {
        record.lacking_or_error(e.is_loss(), format!("kmem: free pages of the zone: {e}"));
        sums.problem.get_or_insert_with(|| e.clone());
        return;
    }
    if !with_pages {
        record.line(area_heading());
    }
    let mut rows = Vec::new();
    for area in &areas {
        sums.found = sums.found.saturating_add(area.pages());
        if let Some(e) = area.problems.first() {
            sums.problem.get_or_insert(e.clone());
        }
        for list in &area.kinds {
            let mut row = Record::new();
            if with_pages {
                row.line(Line::heading("AREA    SIZE  FREE_AREA_STRUCT"));
            }
            row.line(area_line(s, area.order, list));
            if with_pages {
                let block = |page: &VirtAddr| Record::of(Line::new().field("page", Cell::Addr(page.0)));
                row.list("free_blocks", list.blocks.iter().map(block).collect());
            }
            rows.push(row);
        }
    }
    record.list("areas", rows);
}

/// The line above sizes of blocks.
fn area_heading() -> Line {
    Line::heading("AREA    SIZE  FREE_AREA_STRUCT  BLOCKS  PAGES")
}

/// The blocks of one size and kind. Counts that may lack some are at least so much.
fn area_line(s: &Session, order: u32, list: &FreeList) -> Line {
    let count = |n: u64| match &list.problem {
        Some(e) => Cell::at_least(n, e.to_string()).lost_if(e.is_loss()),
        None => Cell::from(n),
    };
    let blocks = list.blocks.len() as u64;
    let bytes = s.page_size().checked_shl(order).unwrap_or(0);
    let line = Line::new().field("order", order).right(3).text("  ");
    let line =
        line.field("size", Cell::shown(Cell::Size(bytes), format!("{}k", bytes / 1024))).right(7).text("  ");
    let line = line.field("free_area", Cell::Addr(list.at.0)).text("  ");
    let line = line.field("blocks", count(blocks)).right(6).text(" ");
    line.field("pages", count(blocks.checked_shl(order).unwrap_or(u64::MAX))).right(6)
}
