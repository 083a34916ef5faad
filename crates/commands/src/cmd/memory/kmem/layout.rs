//! `kmem -v`, `-o`, `-h`, `-g`: areas of vmalloc, offsets of CPUs, pools of huge pages, flags of pages.

use super::counts::{name, number as count};
use crate::engine::number;
use crate::show::tasks::{self, unknown};
use crate::{CommandError, Cx};
use base::VirtAddr;
use kernel::Session;
use kernel::mm::vmalloc::{self, Area};
use kernel::mm::{hugetlb, page};
use kernel::sched::cpu::per_cpu_offset;
use report::{Cell, Line, Record, Report};

/// The areas of vmalloc; where addresses are given, those that hold them.
pub(super) fn vmalloc(
    cx: &Cx<'_>,
    s: &Session,
    words: &[String],
    report: &mut Report,
) -> Result<(), CommandError> {
    let found = vmalloc::areas(s).map_err(CommandError::failed)?;
    let mut wanted = Vec::new();
    for word in words {
        let value = number::hex(word);
        wanted.push(value.ok_or_else(|| CommandError::argument(format_args!("invalid address: {word}")))?);
    }
    let mut rows = Vec::new();
    for area in &found.all {
        cx.cancel.check()?;
        if wanted.is_empty() || wanted.iter().any(|at| holds(s, area, *at)) {
            rows.push(Record::of(area_line(area)));
        }
    }
    if rows.is_empty() && !wanted.is_empty() {
        let is_loss = found.problems.iter().any(kernel::KernelError::is_loss);
        let why = format!("{}: in no area that is mapped", words.join(" "));
        return Err(CommandError::failed(why).lost_if(is_loss));
    }
    report.line(area_heading());
    report.list("areas", rows);
    if let Some(e) = found.problems.first() {
        report.lacking(e.is_loss(), format!("kmem: the tree of areas is not whole: {e}"));
    }
    Ok(())
}

/// True where an area holds a virtual address, or maps the page of a physical one.
pub(super) fn holds(s: &Session, area: &Area, at: u64) -> bool {
    if s.arch().is_kernel(VirtAddr(at)) {
        return area.start.0 <= at && at < area.end.0;
    }
    let page = at & !s.page_size().wrapping_sub(1);
    let tables = s.map().tables();
    let mut pages = tables.mapped(s.phys(), area.start, area.end);
    pages.any(|(_, found)| {
        let first = found.phys.0 & !found.page_size.wrapping_sub(1);
        page.wrapping_sub(first) < found.page_size
    })
}

/// The line above areas.
pub(super) fn area_heading() -> Line {
    Line::heading("   VMAP_AREA         VM_STRUCT                 ADDRESS RANGE                SIZE")
}

/// One area.
pub(super) fn area_line(area: &Area) -> Line {
    let line = Line::new().field("vmap_area", Cell::Addr(area.at.0)).zeros(16).text("  ");
    let line = line.field("vm_struct", Cell::Addr(area.vm.0)).zeros(16).text("  ");
    let line = line.field("start", Cell::Addr(area.start.0)).zeros(16).text(" - ");
    let line = line.field("end", Cell::Addr(area.end.0)).zeros(16).text("  ");
    line.field("size", area.end.0.saturating_sub(area.start.0)).right(7)
}

/// What is added to per-CPU addresses.
pub(super) fn offsets(cx: &Cx<'_>, s: &Session, report: &mut Report) {
    report.line(Line::heading("PER-CPU OFFSET VALUES:"));
    let row = |cpu: &u32| {
        let cell = match per_cpu_offset(s, *cpu) {
            Ok(offset) => Cell::hex_digits(offset, 0),
            Err(e) => unknown("?", &e),
        };
        let pad = 3_usize.saturating_sub(cpu.to_string().len());
        let line =
            Line::of(format!("{}CPU ", " ".repeat(pad))).field("cpu", *cpu).text(": ").field("offset", cell);
        Record::of(if tasks::is_hidden(cx, s, *cpu) { line.text(" [OFFLINE]") } else { line })
    };
    report.list("cpus", s.cpus().possible.iter().map(row).collect());
    if let Some(e) = &s.cpus().problem {
        report.lacking(e.is_loss(), format!("kmem: which CPUs there are: {e}"));
    }
}

/// The pools of huge pages.
pub(super) fn huge(s: &Session, report: &mut Report) -> Result<(), CommandError> {
    let pools = hugetlb::pools(s).map_err(CommandError::failed)?;
    report.line(Line::heading("     HSTATE        SIZE    FREE   TOTAL  NAME"));
    let row = |pool: &hugetlb::Pool| {
        let bytes = s.page_size().checked_shl(pool.order as u32).unwrap_or(0);
        let text =
            super::size(1_u64.checked_shl(pool.order as u32).unwrap_or(0), s.page_size()).replace(' ', "");
        let line = Line::new().field("hstate", Cell::Addr(pool.at.0)).zeros(16).text("  ");
        let line = line.field("size", Cell::shown(Cell::Size(bytes), text)).right(5).text("  ");
        let line = line.field("free", count(&pool.free)).right(6).text("  ");
        let line = line.field("total", count(&pool.total)).right(6).text("  ");
        let mut row = Record::of(line.field("name", name(&pool.name)));
        row.hidden("reserved", count(&pool.reserved));
        row.hidden("surplus", count(&pool.surplus));
        row
    };
    report.list("pools", pools.iter().map(row).collect());
    Ok(())
}

/// What the flags of pages are called; of a value, those that it has.
pub(super) fn flags(s: &Session, words: &[String], report: &mut Report) -> Result<(), CommandError> {
    let value = match words {
        [] => None,
        [word] => {
            let value = number::hex(word);
            Some(value.ok_or_else(|| CommandError::argument(format_args!("invalid flags value: {word}")))?)
        }
        [_, more, ..] => return Err(CommandError::argument(format_args!("{more}: -g takes one value"))),
    };
    let all = page::all_flags(s).map_err(CommandError::failed)?;
    let width = all.iter().map(|(_, name)| name.len()).max().unwrap_or(0);
    let digits = all.iter().map(|(bit, _)| (bit + 1) / 4 + 1).max().unwrap_or(1);
    let indent = if value.is_some() { "  " } else { "" };
    if let Some(value) = value {
        report.line(Line::new().text("FLAGS: ").field("flags", Cell::hex_digits(value, 0)));
    }
    report.line(Line::heading(format!("{indent}{:<width$} BIT  VALUE", "PAGE-FLAG")));
    let has = |bit: u32| value.is_none_or(|value| value >> bit & 1 == 1);
    let rows: Vec<Record> = all
        .iter()
        .filter(|(bit, _)| has(*bit))
        .map(|(bit, name)| {
            let line = Line::of(indent).field("name", name.clone()).left(width).text("  ");
            let line = line.field("bit", *bit).right(2).text("  ");
            Record::of(line.field("value", Cell::hex_digits(1 << bit, u8::try_from(digits).unwrap_or(16))))
        })
        .collect();
    if rows.is_empty() {
        report.text("  (none found)");
    }
    report.list("names", rows);
    Ok(())
}
