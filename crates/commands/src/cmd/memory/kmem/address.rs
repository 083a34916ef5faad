//! `kmem ADDRESS`: what an address is.
//!
//! A kernel's virtual address, or a physical one, which stands for the virtual one in the direct map and for each in vmalloc's
//! area that maps the page. What is found is shown as the options show it.

use super::{layout, objects, pages};
use crate::cmd::code::sym;
use crate::cmd::tasks::set;
use crate::engine::number;
use crate::show::page as shown;
use crate::show::tasks::{known, unknown};
use crate::{CommandError, Cx};
use base::{Pfn, PhysAddr, VirtAddr};
use kernel::mm::page::{self, Pages};
use kernel::mm::page_state::{self, Use};
use kernel::mm::vmalloc::{self, Area};
use kernel::mm::{slab, zone};
use kernel::sched::cpu::per_cpu_offset;
use kernel::sched::task::{Task, TaskStruct};
use kernel::stack::stacks::{self, Stack};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

/// What the words are, one after the other.
pub(super) fn show(
    cx: &Cx<'_>,
    s: &Session,
    words: &[String],
    physical: bool,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for word in words {
        cx.cancel.check()?;
        let value = match number::hex(word).or_else(|| cx.symbol_value(word)) {
            Some(value) => value,
            None => number::value(word, &|name| cx.symbol_value(name))?,
        };
        let mut row = Record::new();
        one(cx, s, value, physical, &mut row);
        rows.push(row);
    }
    report.list("addresses", rows);
    Ok(())
}

/// One address.
fn one(cx: &Cx<'_>, s: &Session, value: u64, physical: bool, row: &mut Record) {
    row.hidden("address", Cell::Addr(value));
    let is_virtual = !physical && s.arch().is_kernel(VirtAddr(value));
    if is_virtual {
        let at = VirtAddr(value);
        virtual_one(cx, s, at, row);
        // what a struct page is of is told as its page
        let inside = slab::data_of(s, at).unwrap_or(at);
        match s.map().translate(inside) {
            Ok((found, _)) => page_of(s, found, row),
            Err(e) => {
                row.lacking_or_error(e.is_loss(), format!("kmem: {value:x}: kernel virtual address: {e}"))
            }
        }
        return;
    }
    // what counts is the kernel's array of pages: it has reserved frames too, of which a dump has no memory
    match page_state::begin(s, Pfn(value >> s.page_shift())) {
        Ok(first) => virtual_one(cx, s, first.add(value & s.page_size().wrapping_sub(1)), row),
        Err(e) => row.lacking(e.is_loss(), format!("kmem: the direct map: {e}")),
    }
    for at in mapped_at(s, value, row) {
        virtual_one(cx, s, at, row);
    }
    page_of(s, PhysAddr(value), row);
}

/// All that a virtual address is part of.
fn virtual_one(cx: &Cx<'_>, s: &Session, at: VirtAddr, row: &mut Record) {
    if let Some(symbol) =
        sym::located(s, at).filter(|_| s.in_image(at) || s.module_at(at).is_some() || s.is_text(at))
    {
        row.record("symbol", symbol);
        row.blank();
    }
    if let Some(module) = s.module_at(at) {
        row.line(Line::new().text("MODULE: ").field("module", module.name.clone()));
        row.blank();
    }
    per_cpu(s, at, row);
    let area = vmalloc::area_at(s, at);
    if let Some(task) = of_task(s, at) {
        let mut record = Record::new();
        record.items = set::shown(s, task, false).body.items;
        row.record("task", record);
        row.blank();
    } else if let Some((cpu, stack)) = of_cpu(s, at) {
        let line = Line::new().text("CPU: ").field("stack_cpu", cpu).text("  STACK: ");
        let line = line.field("stack", stack.name).text("  RANGE: ");
        let line = line.field("stack_start", Cell::Addr(stack.start.0)).zeros(16).text(" - ");
        row.line(line.field("stack_end", Cell::Addr(stack.end.0)).zeros(16));
        row.blank();
    } else if let Some(e) = s.cpus().possible.iter().find_map(|cpu| stacks::lost_pointer(s, *cpu)) {
        row.missing(format!("kmem: whether the address is in a CPU's stack is not known: {e}"));
    } else if let Some(why) = s.tasks().lack() {
        row.missing(format!("kmem: whether the address is a task's is not known: {why}"));
    }
    if let Some(area) = area {
        row.line(layout::area_heading());
        row.record("area", of_area(s, &area));
        row.blank();
        return;
    }
    let found = match slab::data_of(s, at) {
        Some(data) => slab::slab_of(s, data),
        None => slab::slab_of(s, at),
    };
    if found.is_some() {
        let mut report = Report::new("kmem");
        match objects::at(cx, s, at, false, &mut report) {
            Ok(()) => row.items.extend(report.body.items),
            Err(e) => row.lacking_or_error(e.is_loss(), format!("kmem: {e}")),
        }
        row.blank();
        return;
    }
    free(s, slab::data_of(s, at).unwrap_or(at), row);
}

fn of_area(s: &Session, area: &Area) -> Record {
    let mut out = Record::of(layout::area_line(area));
    if let Some(by) = area.caller.and_then(|by| s.locate(by)) {
        out.hidden("caller", Cell::symbol(by.symbol.name, by.offset));
    }
    out
}

/// The CPU and the variable whose copy lies there.
fn per_cpu(s: &Session, at: VirtAddr, row: &mut Record) {
    let (Some(start), Some(end)) = (s.symbol("__per_cpu_start"), s.symbol("__per_cpu_end")) else { return };
    for &cpu in &s.cpus().possible {
        let Ok(offset) = per_cpu_offset(s, cpu) else { continue };
        let own = VirtAddr(at.0.wrapping_sub(offset));
        if own < start || own >= end || s.in_image(at) {
            continue;
        }
        let symbol = s.kernel_symbols().table.at(own);
        let line = Line::new().text("PER-CPU: ").field(
            "per_cpu_symbol",
            match symbol {
                Some((symbol, offset)) => Cell::symbol(symbol.name, offset),
                None => Cell::Null,
            },
        );
        row.line(line.text("  CPU: ").field("per_cpu_cpu", cpu));
        row.blank();
        return;
    }
}

/// The task whose `task_struct` or stack holds an address.
fn of_task(s: &Session, at: VirtAddr) -> Option<&Task> {
    let size = s.bind::<TaskStruct>().size.unwrap_or(0);
    let all = &s.tasks().all;
    let own = all.iter().find(|task| at.0.wrapping_sub(task.at.0) < size);
    own.or_else(|| {
        all.iter().find(|task| {
            let stack = stacks::task_stack(s, task);
            stack.start <= at && at < stack.end
        })
    })
}

/// The CPU whose IRQ or exception stack holds an address.
fn of_cpu(s: &Session, at: VirtAddr) -> Option<(u32, Stack)> {
    let own = |cpu: &u32| {
        let mut all = stacks::cpu_stacks(s, *cpu).into_iter();
        all.find(|stack| stack.start <= at && at < stack.end).map(|stack| (*cpu, stack))
    };
    s.cpus().possible.iter().find_map(own)
}

/// The block of free pages that a page is in.
fn free(s: &Session, at: VirtAddr, row: &mut Record) {
    let Some(state) = page_state::state_at(s, at) else { return };
    match state.used {
        Use::Free { first, order } => {
            let Ok(begin) = page_state::begin(s, first) else { return };
            let node = zone::nodes(s).and_then(|nodes| zone::node_of(s, &nodes, state.at));
            let line = Line::new().text("FREE: ").field("block", Cell::Addr(begin.0)).text(" (");
            let pages = 1_u64.checked_shl(order as u32).unwrap_or(0);
            let line = line.field("block_pages", pages).text(" pages)  ORDER: ").field("order", order);
            let cell = match node {
                Ok(node) => known(node, "more than one node has this page among its frames"),
                Err(e) => unknown("?", &e),
            };
            row.line(line.text("  NODE: ").field("node", cell));
            row.blank();
        }
        Use::FreeOfCpu(cpu) => {
            row.line(Line::new().text("FREE: in the lists of CPU ").field("free_of_cpu", cpu));
            row.blank();
        }
        _ => {}
    }
}

/// Where vmalloc's areas map the page of a physical address.
fn mapped_at(s: &Session, value: u64, row: &mut Record) -> Vec<VirtAddr> {
    let page = s.page_size();
    let areas = match vmalloc::areas(s) {
        Ok(areas) => areas,
        Err(e) => {
            row.lacking(e.is_loss(), format!("kmem: areas of vmalloc: {e}"));
            return Vec::new();
        }
    };
    if let Some(e) = areas.problems.first() {
        row.lacking(e.is_loss(), format!("kmem: the tree of areas is not whole: {e}"));
    }
    let tables = s.map().tables();
    let in_area = |area: &Area| {
        let mut pages = tables.mapped(s.phys(), area.start, area.end);
        pages.find_map(|(at, found)| {
            let first = found.phys.0 & !page.wrapping_sub(1);
            let offset = value.wrapping_sub(first);
            (offset < found.page_size).then(|| at.add(offset))
        })
    };
    areas.all.iter().filter_map(in_area).collect()
}

/// The line of the page.
fn page_of(s: &Session, at: PhysAddr, row: &mut Record) {
    let pfn = Pfn(at.0 >> s.page_shift());
    match Pages::new(s).read(pfn) {
        Ok(found) => {
            row.line(shown::heading());
            row.record("page", Record::of(shown::line(s, &found, &page::flag_names(s))));
        }
        Err(KernelError::Fault(e)) if !e.is_loss() => {
            row.error(format!("kmem: {:x}: physical address not found in mem map", at.0));
        }
        Err(e) => row.lacking_or_error(e.is_loss(), format!("kmem: the page's struct page: {e}")),
    }
}

/// The block of free pages that holds an address, as `kmem -f ADDRESS` shows it.
pub(super) fn free_at(
    s: &Session,
    words: &[String],
    physical: bool,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for word in words {
        let pfn = pages::frame(s, word, physical)?;
        let at = page_state::begin(s, pfn).map_err(CommandError::failed)?;
        let mut row = Record::new();
        free(s, at, &mut row);
        if row.items.is_empty() {
            let why: Result<(), KernelError> = Pages::new(s).read(pfn).map(|_| ());
            let is_loss = why.as_ref().is_err_and(KernelError::is_loss);
            row.lacking_or_error(is_loss, format!("kmem: {word}: not in a block of free pages"));
        }
        rows.push(row);
    }
    report.list("addresses", rows);
    Ok(())
}
