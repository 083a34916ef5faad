//! `vtop`: where a virtual address leads, with the page tables on the way.

use crate::cmd::memory::pte;
use crate::show::address::{self, Side};
use crate::show::page as shown;
use crate::show::tasks::{self, Named};
use crate::{CommandError, Cx, Example, Layer, Run};
use arch::{Translation, Walk};
use base::{FaultKind, Pfn, VirtAddr};
use kernel::Fetch;
use kernel::fs::path;
use kernel::mm::address_space;
use kernel::mm::page;
use kernel::mm::swap;
use kernel::mm::vma;
use kernel::sched::task::Task;
use kernel::{Machine, Session};
use report::{Cell, Line, Record, Report, Role};

/// `vtop`.
#[derive(Debug)]
pub(crate) struct Vtop;

/// The arguments of `vtop`.
#[derive(clap::Args)]
pub(crate) struct VtopArgs {
    /// Take the address space of this task
    #[arg(short = 'c', value_name = "PID | TASK")]
    task: Option<String>,
    /// The addresses are the user's
    #[arg(short = 'u')]
    user: bool,
    /// The addresses are the kernel's
    #[arg(short = 'k')]
    kernel: bool,
    /// What to translate
    #[arg(value_name = "ADDRESS", num_args = 1.., required = true)]
    address: Vec<String>,
}

impl Run for Vtop {
    type Args = VtopArgs;
    fn name(&self) -> &'static str {
        "vtop"
    }
    fn about(&self) -> &'static str {
        "virtual to physical"
    }
    fn details(&self) -> &'static str {
        "Translates addresses of the kernel or of the context's process, and shows the entries of the page tables, \
         the mapping of a user's address with its file, the page, or where the page went: swap or a file. Symbols \
         and expressions stand for addresses."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("vtop ffffffff81000000", "an address of the kernel"),
                Example::new("vtop init_task", "a symbol"),
                Example::new("vtop -c 1 400000", "an address of a process"),
            ]
        }
    }
    fn needs(&self, args: &VtopArgs) -> Layer {
        if args.task.is_some() { Layer::Session } else { Layer::Machine }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &VtopArgs) -> Result<Report, CommandError> {
        // first: a session that stands knows the kernel's own page tables
        let s = cx.session_if_open();
        let m = cx.machine()?;
        let named = match &args.task {
            Some(word) => Some(task(cx, word)?),
            None => None,
        };
        let mut report = Report::new("vtop");
        let mut out = Vec::new();
        for (n, word) in args.address.iter().enumerate() {
            cx.cancel.check()?;
            let at = VirtAddr(address::parse(cx, word)?);
            // a return address from a stack may be signed
            let at = m.plain_code(at);
            let mut row = Record::new();
            if n > 0 {
                row.blank();
            }
            match (address::side(m, at), args.user, args.kernel) {
                (Side::Nobody, ..) => refused(at, "(not a canonical address)", &mut row),
                (Side::Kernel, true, _) => refused(at, "(not a user virtual address)", &mut row),
                (Side::User, _, true) => refused(at, "(not a kernel virtual address)", &mut row),
                (Side::Kernel, ..) => kernel_address(m, s, at, &mut row),
                (Side::User, ..) => {
                    // only a process's address needs tasks
                    let task = named.map_or_else(|| tasks::context(cx), Ok)?;
                    user_address(cx.session()?, task, at, &mut row);
                }
            }
            out.push(row);
        }
        report.list("translations", out);
        Ok(report)
    }
}

/// The task that `-c` names.
fn task<'s>(cx: &Cx<'s>, word: &str) -> Result<&'s Task, CommandError> {
    let s = cx.session()?;
    let named = Named::parse(s, word)?;
    let first = tasks::chosen(s, &[named]).first().copied();
    first.ok_or_else(|| CommandError::failed(format_args!("no task: {word}")))
}

/// The two columns on top; `width` of the first.
fn head(at: VirtAddr, physical: Cell, width: usize, row: &mut Record) {
    let mapped = matches!(physical, Cell::Phys(_));
    row.line(Line::heading(format!("{:width$}  {:16}", "VIRTUAL", "PHYSICAL")));
    let line = Line::new().field("virtual", Cell::Addr(at.0)).left(width).text("  ");
    let line = line.field("physical", physical);
    row.line(if mapped { line.left(16) } else { line });
    row.blank();
}

const KERNEL_WIDTH: usize = 16;
const USER_WIDTH: usize = 10;

fn refused(at: VirtAddr, why: &'static str, row: &mut Record) {
    head(at, Cell::Shown(Box::new(Cell::Null), why.into()), KERNEL_WIDTH, row);
}

/// The physical address, or why there is none.
fn physical(walk: &Walk) -> Cell {
    match &walk.result {
        Ok(t) => Cell::Phys(t.phys.0),
        Err(FaultKind::Table(m)) => {
            Cell::absent("page table missing", format!("page table at {m}")).lost_if(true)
        }
        Err(FaultKind::NonCanonical) => Cell::Shown(Box::new(Cell::Null), "(not a canonical address)".into()),
        Err(_) => Cell::Shown(Box::new(Cell::Null), "(not mapped)".into()),
    }
}

fn kernel_address(m: &Machine, s: Option<&Session>, at: VirtAddr, row: &mut Record) {
    let walk = m.mem.walk(at);
    head(at, physical(&walk), KERNEL_WIDTH, row);
    let names = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
    let root = s.and_then(|s| names.iter().find_map(|n| s.symbol(n)));
    let root = root.map_or(Cell::Phys(m.mem.tables().root.0), Cell::from);
    row.line(Line::new().text("PGD DIRECTORY: ").field("pgd_directory", root));
    let mut steps = walk.steps.iter();
    if let Some(first) = steps.next() {
        row.line(Line::new().text("PAGE DIRECTORY: ").field("pgd", Cell::hex_digits(first.entry, 0)));
    }
    entries(steps, row);
    if let Ok(t) = &walk.result {
        row.line(page_line(t, false));
        row.blank();
        pte::table(m, s, t.entry, row);
        if let Some(s) = s {
            page_table(s, t, row);
        }
    }
}

fn entries<'w>(steps: impl Iterator<Item = &'w arch::Step>, row: &mut Record) {
    let rows = steps.map(|step| {
        let line = Line::new().field("level", step.level).right(6).text(": ");
        let line = line.field("entry_at", Cell::Phys(step.entry_at.0)).text(" => ");
        Record::of(line.field("entry", Cell::hex_digits(step.entry, 0)))
    });
    row.list("tables", rows.collect());
}

fn page_line(t: &Translation, user: bool) -> Line {
    let base = t.phys.0 & !(t.page_size - 1);
    let line = Line::new().text("  PAGE: ").field("page", Cell::Phys(base));
    match t.page_size >> 20 {
        0 if user => line.text("  "),
        0 => line,
        1024 => line.text("  (1GB)"),
        mb => line.text(format!("  ({mb}MB)")),
    }
}

fn user_address(s: &Session, task: &Task, at: VirtAddr, row: &mut Record) {
    let shown = |text: &str| Cell::Shown(Box::new(Cell::Null), text.into());
    if task.mm == Some(VirtAddr(0)) {
        head(at, shown("(not accessible)"), USER_WIDTH, row);
        row.info(format!("vtop: task {} ({}) has no user memory; -c chooses another", task.pid, task.comm));
        return;
    }
    let map = match address_space::user_memory(s, task) {
        Ok(map) => map,
        Err(e) => {
            row.lacking_or_error(e.is_loss(), format!("vtop: page tables of task {}: {e}", task.pid));
            return;
        }
    };
    let mappings = vma::vmas(s, task.mm.unwrap_or_default());
    let found = mappings.as_ref().ok().and_then(|all| all.at(at)).copied();
    let walk = map.walk(at);
    let whole = mappings.as_ref().is_ok_and(|all| all.problem.is_none());
    if found.is_none() && whole && walk.result.is_err() {
        head(at, shown("(not accessible)"), USER_WIDTH, row);
        return;
    }
    head(at, physical(&walk), USER_WIDTH, row);
    entries(walk.steps.iter(), row);
    let entry = walk.steps.last().map_or(0, |step| step.entry);
    match &walk.result {
        Ok(t) => {
            row.line(page_line(t, true));
            row.blank();
            pte::table(&s.opened().machine, Some(s), t.entry, row);
        }
        Err(FaultKind::Swapped) => {
            row.blank();
            pte::table(&s.opened().machine, Some(s), entry, row);
        }
        Err(_) => {}
    }
    if let Some(v) = &found {
        row.blank();
        mapping(s, v, row);
    }
    match &mappings {
        Err(e) => row.lacking(e.is_loss(), format!("vtop: mappings of task {}: {e}", task.pid)),
        Ok(all) => {
            if let Some(e) = &all.problem {
                row.lacking(e.is_loss(), format!("vtop: the list of mappings is not whole: {e}"));
            }
        }
    }
    match &walk.result {
        Ok(t) => {
            page_table(s, t, row);
        }
        Err(FaultKind::Swapped) => {
            if let Some(sw) = swap::entry(s, entry) {
                row.blank();
                let file = sw.file.unwrap_or_else(|| format!("(swap {})", sw.kind));
                let line = Line::new().text("SWAP: ").field("swap", file).role(Role::Path);
                row.line(line.text("  OFFSET: ").field("swap_offset", sw.offset));
            } else {
                row.warning("vtop: the entry names no swap device: its page is being moved, is broken, or was never there");
            }
        }
        Err(_) => {
            if let Some(v) = found.filter(|v| !v.file.is_null())
                && let Ok(file) = path::of_file(s, v.file)
            {
                let offset = ((at.0 & !(s.page_size() - 1)).saturating_sub(v.start))
                    .saturating_add(v.pgoff << s.page_shift());
                row.blank();
                let line = Line::new().text("FILE: ").field("file", file).role(Role::Path);
                row.line(line.text("  OFFSET: ").field("file_offset", Cell::hex_digits(offset, 0)));
            } else {
                row.blank();
            }
        }
    }
}

fn mapping(s: &Session, v: &vma::Vma, row: &mut Record) {
    row.line(Line::heading("      VMA           START       END     FLAGS FILE"));
    let line = Line::new().field("vma", Cell::Addr(v.at.0)).zeros(16).text(" ");
    let line = line.field("start", Cell::Addr(v.start)).right(10).text(" ");
    let line = line.field("end", Cell::Addr(v.end)).right(10).text(" ");
    let line = line.field("flags", Cell::hex_digits(v.flags, 0)).text(" ");
    let file = if v.file.is_null() { Ok(String::new()) } else { path::of_file(s, v.file) };
    let cell = match file {
        Ok(file) => Cell::from(file),
        Err(e) => tasks::unknown("path not readable", &e),
    };
    row.record("mapping", Record::of(line.field("file", cell).role(Role::Path)));
}

/// The `struct page` behind a translation; nothing where the machine has none for the address.
fn page_table(s: &Session, t: &Translation, row: &mut Record) {
    let pages = page::Pages::new(s);
    let found = match pages.read(Pfn(t.phys.0 >> s.page_shift())) {
        Ok(found) => found,
        Err(e) => {
            if s.phys().covers(t.phys) {
                row.info(format!("vtop: struct page: {e}"));
            }
            return;
        }
    };
    row.blank();
    row.line(shown::heading());
    row.record("page_frame", Record::of(shown::line(s, &found, &page::flag_names(s))));
}
