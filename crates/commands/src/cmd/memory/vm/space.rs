//! One address space: its own line, its mappings, their pages.

use super::reference::Reference;
use super::{VmArgs, named, pages};
use crate::show::tasks::{banner, unknown};
use crate::show::values;
use crate::{CommandError, Cx};
use base::VirtAddr;
use cexpr::{Value, format_value};
use debuginfo::types::Space;
use kernel::fs::path;
use kernel::mm::vma::{self, Vma, Vmas};
use kernel::mm::{address_space, vma_pages};
use kernel::sched::task::Task;
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report, Role};

/// Pages that are shown in one go.
const AT_ONCE: usize = 1 << 14;

/// A task's address space.
pub(super) struct Shown<'s> {
    s: &'s Session,
    task: &'s Task,
    /// The `mm_struct`; nothing for a thread of the kernel.
    mm: Result<Option<VirtAddr>, KernelError>,
}

impl<'s> Shown<'s> {
    /// The address space of a task, or the one that is given.
    pub(super) fn of(s: &'s Session, task: &'s Task, mm: Option<VirtAddr>) -> Self {
        let mm = mm.map_or_else(|| super::of_task(s, task), |mm| Ok(Some(mm)));
        Self { s, task, mm }
    }

    /// All that the options ask for.
    pub(super) fn show(&self, cx: &mut Cx<'_>, args: &VmArgs, row: &mut Record) -> Result<(), CommandError> {
        row.line(banner(self.task));
        let Some(mm) = self.mm_or_why(row) else { return Ok(()) };
        if args.mm_struct {
            return self.object(cx, args, "mm_struct", mm, row);
        }
        let mappings = match vma::vmas(self.s, mm) {
            Ok(mappings) => mappings,
            Err(e) => {
                if !args.structs {
                    self.size(mm, row);
                }
                row.lacking_or_error(e.is_loss(), format!("vm: mappings of task {}: {e}", self.task.pid));
                return Ok(());
            }
        };
        match (&args.vma, args.pages, args.structs) {
            (_, _, true) => self.structs(cx, args, &mappings, row)?,
            (Some(word), ..) => {
                let vma = *named(&mappings.all, word)?;
                self.pages_of(cx, mm, &[vma], row)?;
            }
            (None, true, _) => {
                self.size(mm, row);
                self.pages_of(cx, mm, &mappings.all, row)?;
            }
            (None, false, false) => {
                self.size(mm, row);
                if !mappings.all.is_empty() {
                    row.line(heading());
                }
                row.list("mappings", mappings.all.iter().map(|v| mapping(v, &self.file(v))).collect());
            }
        }
        self.problem(&mappings, row);
        Ok(())
    }

    /// The `mm_struct`; where there is none, says why.
    fn mm_or_why(&self, row: &mut Record) -> Option<VirtAddr> {
        match &self.mm {
            Ok(Some(mm)) => return Some(*mm),
            Ok(None) => {
                let none = |text: &str| Cell::Shown(Box::new(Cell::Null), text.to_owned());
                row.line(size_heading());
                row.line(size_line(none("0"), none("0"), none("0k"), none("0k")));
            }
            Err(e) => row.lacking(e.is_loss(), format!("vm: {e}; -M shows the one at an address")),
        }
        None
    }

    /// Where the address space is and how large.
    fn size(&self, mm: VirtAddr, row: &mut Record) {
        let kib = self.s.page_size() / 1024;
        let size = |pages: u64| {
            let size = pages.saturating_mul(kib);
            Cell::Shown(Box::new(size.into()), format!("{size}k"))
        };
        let is_own = self.task.mm == Some(mm);
        let of =
            if is_own { address_space::size(self.s, self.task) } else { address_space::size_of(self.s, mm) };
        let total = address_space::mapped(self.s, mm);
        let cell = |pages: Result<u64, &KernelError>| pages.map_or_else(|e| unknown("?", e), size);
        let tables = address_space::tables(self.s, mm);
        row.line(size_heading());
        row.line(size_line(
            Cell::Addr(mm.0),
            tables.map_or_else(|e| unknown("?", &e), |at| Cell::Addr(at.0)),
            cell(of.as_ref().map(|of| of.resident)),
            cell(total.as_ref().copied()),
        ));
    }

    /// The path of the file that is mapped; nothing for memory that is of none.
    fn file(&self, vma: &Vma) -> Result<String, KernelError> {
        if vma.file.is_null() { Ok(String::new()) } else { path::of_file(self.s, vma.file) }
    }

    fn problem(&self, mappings: &Vmas, row: &mut Record) {
        if let Some(e) = &mappings.problem {
            let pid = self.task.pid;
            row.lacking(e.is_loss(), format!("vm: the list of mappings of task {pid} is not whole: {e}"));
        }
    }

    /// A struct of the kernel's, in its own layout.
    fn object(
        &self,
        cx: &Cx<'_>,
        args: &VmArgs,
        name: &'static str,
        at: VirtAddr,
        row: &mut Record,
    ) -> Result<(), CommandError> {
        let found = self.s.types().find(Space::Struct, name).into_iter().next();
        let ty = found.ok_or_else(|| CommandError::failed(KernelError::NoType(name)))?;
        let format = values::format(cx.settings, args.hex, args.decimal);
        let tree = format_value(&values::scope(cx, self.s, None), &Value::memory(ty, at), &format);
        values::lines_of(row, &format!("struct {name} {}", tree.to_text()));
        row.record(name, values::data(&tree));
        Ok(())
    }

    fn structs(
        &self,
        cx: &Cx<'_>,
        args: &VmArgs,
        mappings: &Vmas,
        row: &mut Record,
    ) -> Result<(), CommandError> {
        let mut all = Vec::new();
        for vma in &mappings.all {
            cx.cancel.check()?;
            let mut one = Record::new();
            one.hidden("vma", Cell::Addr(vma.at.0));
            self.object(cx, args, "vm_area_struct", vma.at, &mut one)?;
            all.push(one);
        }
        row.list("mappings", all);
        Ok(())
    }

    /// Mappings with their pages. Long ones are shown as they are read.
    fn pages_of(
        &self,
        cx: &mut Cx<'_>,
        mm: VirtAddr,
        mappings: &[Vma],
        row: &mut Record,
    ) -> Result<(), CommandError> {
        let map = match address_space::user_memory_of(self.s, mm) {
            Ok(map) => map,
            Err(e) => {
                row.lacking_or_error(e.is_loss(), format!("vm: page tables of task {}: {e}", self.task.pid));
                return Ok(());
            }
        };
        let mut all = Vec::new();
        let mut held = 0;
        for vma in mappings {
            let file = self.file(vma);
            let mut one = self.begin(vma, &file);
            let mut rows = Vec::new();
            for run in vma_pages::runs(self.s, &map, *vma) {
                cx.cancel.check()?;
                rows.push(pages::row(&run, &file));
                held += 1;
                if held >= AT_ONCE && cx.is_outermost() {
                    one.list("pages", std::mem::take(&mut rows));
                    all.push(std::mem::take(&mut one));
                    one.hidden("vma", Cell::Addr(vma.at.0));
                    held = 0;
                    self.emit(cx, row, &mut all)?;
                }
            }
            one.list("pages", rows);
            all.push(one);
        }
        row.list("mappings", all);
        Ok(())
    }

    /// Shows what is there so far.
    fn emit(&self, cx: &mut Cx<'_>, row: &mut Record, all: &mut Vec<Record>) -> Result<(), CommandError> {
        row.list("mappings", std::mem::take(all));
        let mut part = Report::new("vm");
        part.list("address_spaces", vec![std::mem::take(row)]);
        row.hidden("task", Cell::Addr(self.task.at.0));
        Ok(cx.emit(&part)?)
    }

    fn begin(&self, vma: &Vma, file: &Result<String, KernelError>) -> Record {
        let mut one = Record::new();
        one.line(heading());
        one.items.extend(mapping(vma, file).items);
        one.line(pages::heading());
        one
    }

    /// Shows the mappings and pages that are meant, if any.
    pub(super) fn mentions(
        &self,
        cx: &Cx<'_>,
        wanted: &Reference,
        row: &mut Record,
    ) -> Result<bool, CommandError> {
        let s = self.s;
        let Ok(Some(mm)) = self.mm else { return Ok(false) };
        let (mappings, map) = match (vma::vmas(s, mm), address_space::user_memory_of(s, mm)) {
            (Ok(mappings), map) => (mappings, map),
            (Err(e), _) => {
                row.line(banner(self.task));
                row.lacking_or_error(e.is_loss(), format!("vm: mappings of task {}: {e}", self.task.pid));
                return Ok(true);
            }
        };
        let mut all = Vec::new();
        for vma in &mappings.all {
            cx.cancel.check()?;
            let file = self.file(vma);
            let mut rows = Vec::new();
            if let (Ok(map), Some(_)) = (&map, wanted.number()) {
                let found = vma_pages::runs(s, map, *vma).filter(|run| wanted.is_page(run, s.page_size()));
                rows.extend(found.map(|run| pages::row(&run, &file)));
            }
            if rows.is_empty() && !wanted.is_mapping(vma, file.as_deref().ok()) {
                continue;
            }
            let mut one = Record::new();
            if all.is_empty() {
                one.line(heading());
            }
            one.items.extend(mapping(vma, &file).items);
            if !rows.is_empty() {
                one.line(pages::heading());
            }
            one.list("pages", rows);
            all.push(one);
        }
        if all.is_empty() && mappings.problem.is_none() && map.is_ok() {
            return Ok(false);
        }
        row.line(banner(self.task));
        self.size(mm, row);
        row.list("mappings", all);
        self.problem(&mappings, row);
        if let Err(e) = map {
            row.lacking(e.is_loss(), format!("vm: page tables of task {}: {e}", self.task.pid));
        }
        Ok(true)
    }
}

/// The line above the mappings.
fn heading() -> Line {
    Line::heading("      VMA           START       END     FLAGS FILE")
}

fn mapping(v: &Vma, file: &Result<String, KernelError>) -> Record {
    let line = Line::new().field("vma", Cell::Addr(v.at.0)).zeros(16).text(" ");
    let line = line.field("start", Cell::Addr(v.start)).right(10).text(" ");
    let line = line.field("end", Cell::Addr(v.end)).right(10).text(" ");
    let line = line.field("flags", Cell::hex_digits(v.flags, 0)).text(" ");
    let cell = match file {
        Ok(file) => Cell::from(file.clone()),
        Err(e) => unknown("path not readable", e),
    };
    let mut out = Record::of(line.field("file", cell).role(Role::Path));
    out.hidden("page_offset", v.pgoff);
    out
}

fn size_heading() -> Line {
    Line::heading("       MM               PGD          RSS    TOTAL_VM")
}

fn size_line(mm: Cell, tables: Cell, resident: Cell, total: Cell) -> Line {
    let line = Line::new().field("mm", mm).center(16).text("  ").field("pgd", tables).center(16).text("  ");
    let line = line.field("resident_kib", resident).center(6).text("  ");
    line.field("total_kib", total).center(8)
}
