//! `vm`: the address space of a process, and its mappings ([`kernel::mm::vma`]).

mod pages;
mod reference;
mod space;

use crate::engine::number;
use crate::show::tasks;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::mm::vma::{self, Vma};
use kernel::mm::{address_space, slab};
use kernel::sched::task::Task;
use kernel::{Fetch, KernelError, Session};
use reference::Reference;
use report::{Cell, Line, Record, Report};
use space::Shown;

/// The command.
#[derive(Debug)]
pub(crate) struct Vm;

/// The arguments of `vm`.
#[derive(clap::Args)]
pub(crate) struct VmArgs {
    /// Show where each page is: in memory, in swap, in its file
    #[arg(short = 'p', conflicts_with_all = ["vma", "structs", "mm_struct", "reference", "flags"])]
    pages: bool,
    /// The same, of one mapping alone
    #[arg(short = 'P', value_name = "VMA", conflicts_with_all = ["structs", "mm_struct", "reference", "flags"])]
    vma: Option<String>,
    /// Take this mm_struct, as of a task that ends and has given it up
    #[arg(short = 'M', value_name = "MM", conflicts_with = "flags")]
    mm: Option<String>,
    /// Show the vm_area_structs
    #[arg(short = 'v', conflicts_with_all = ["mm_struct", "reference", "flags"])]
    structs: bool,
    /// Show the mm_struct
    #[arg(short = 'm', conflicts_with_all = ["reference", "flags"])]
    mm_struct: bool,
    /// With -m and -v: numbers in hex
    #[arg(short = 'x')]
    hex: bool,
    /// With -m and -v: numbers in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// Show only mappings and pages with this number, address or file
    #[arg(short = 'R', value_name = "REFERENCE", conflicts_with = "flags")]
    reference: Option<String>,
    /// Show what the bits of a FLAGS value mean
    #[arg(short = 'f', value_name = "FLAGS", conflicts_with = "task")]
    flags: Option<String>,
    /// Which tasks; the context where none
    #[arg(value_name = "PID | TASK", num_args = 0..)]
    task: Vec<String>,
}

impl Run for Vm {
    type Args = VmArgs;
    fn name(&self) -> &'static str {
        "vm"
    }
    fn about(&self) -> &'static str {
        "virtual memory"
    }
    fn details(&self) -> &'static str {
        "Shows the address space of the context, or of the tasks that are named: its mm_struct and topmost page table, how \
         much of it is in memory and how large it is, and each mapping with its addresses, flags and file. -p shows where \
         each page is: its physical address; or SWAP, with the device and the page in it; or FILE, with the offset in bytes; \
         or that it is not mapped. Where there is no page table, one line stands for all pages that it would map. A number \
         for -R is hexadecimal; it is looked for among the mappings, their first and last addresses and flags, and the \
         virtual and physical addresses of pages. A name is a mapped file's path, or the last part of it."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("vm", "the address space of the context"),
                Example::new("vm -p 1", "where the pages of a process are"),
                Example::new("vm -m 1", "its mm_struct"),
                Example::new("vm -v -x 1", "its vm_area_structs"),
                Example::new("vm -R 400000 1", "the mapping and the page at an address"),
                Example::new("vm -f 8000075", "what flags mean"),
                Example::new("foreach user vm", "of all processes"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &VmArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        if let Some(word) = &args.flags {
            return flags(s, word);
        }
        let mut chosen = Vec::new();
        for word in &args.task {
            chosen.push(tasks::one(s, word)?);
        }
        if chosen.is_empty() {
            chosen.push(tasks::context(cx)?);
        }
        let reference = args.reference.as_deref().map(Reference::parse).transpose()?;
        let mm = args.mm.as_deref().map(|word| given_mm(s, word)).transpose()?;
        let mut report = Report::new("vm");
        let mut rows = Vec::new();
        for task in chosen {
            cx.cancel.check()?;
            let mut row = Record::new();
            if !rows.is_empty() {
                row.blank();
            }
            let space = Shown::of(s, task, mm);
            match &reference {
                Some(wanted) if !space.mentions(cx, wanted, &mut row)? => continue,
                Some(_) => {}
                None => space.show(cx, args, &mut row)?,
            }
            rows.push(row);
        }
        if rows.is_empty() {
            report.info("vm: no mapping has what was asked for");
        }
        report.list("address_spaces", rows);
        Ok(report)
    }
}

/// The `mm_struct` that the user gives: what a slab cache of another name holds is none.
fn given_mm(s: &Session, word: &str) -> Result<VirtAddr, CommandError> {
    let at = number::hex(word).map(VirtAddr).filter(|at| s.arch().is_kernel(*at));
    let at = at.ok_or_else(|| CommandError::argument(format_args!("invalid mm_struct address: {word}")))?;
    match slab::cache_of(s, at) {
        // init_mm and efi_mm are in the kernel's image
        Some("mm_struct") | None => {}
        Some(cache) => {
            let why =
                format_args!("invalid mm_struct address: {word} is in an object of the slab cache {cache}");
            return Err(CommandError::failed(why));
        }
    }
    address_space::tables(s, at).map_err(CommandError::failed)?;
    Ok(at)
}

/// What the bits of `vm_flags` mean.
fn flags(s: &Session, word: &str) -> Result<Report, CommandError> {
    let value = number::hex(word)
        .ok_or_else(|| CommandError::argument(format_args!("invalid vm_flags value: {word}")))?;
    let known = vma::flag_names(s).map_err(CommandError::failed)?;
    let mut names: Vec<Cell> = Vec::new();
    for bit in (0..64).filter(|bit| value >> bit & 1 == 1) {
        let name = known.iter().find(|(n, _)| *n == bit).map(|(_, name)| name.clone());
        names.push(name.map_or_else(|| Cell::from(format!("{:#x}", 1_u64 << bit)), Cell::from));
    }
    let line = Line::new().field("flags", Cell::hex_digits(value, 0)).text(": (");
    let mut report = Report::new("vm");
    report.line(line.field("names", Cell::Many(names, "|")).text(")"));
    Ok(report)
}

/// The address space of a task; nothing for a thread of the kernel.
///
/// # Errors
/// It is not known, or the task has given it up.
fn of_task(s: &Session, task: &Task) -> Result<Option<VirtAddr>, KernelError> {
    match address_space::of_task(s, task)? {
        mm if !mm.is_null() => Ok(Some(mm)),
        _ => match task.is_kthread() {
            Some(true) => Ok(None),
            Some(false) => Err(KernelError::GivenUp { pid: task.pid, what: "address space" }),
            None => {
                let why = "it has no mm_struct, and its flags, by which it would be a thread of the kernel, are not known".to_owned();
                Err(KernelError::Damaged { what: "task_struct", at: task.at, why })
            }
        },
    }
}

/// A mapping that the user names by its `vm_area_struct`.
fn named<'v>(mappings: &'v [Vma], word: &str) -> Result<&'v Vma, CommandError> {
    let at = number::hex(word);
    let found = mappings.iter().find(|vma| Some(vma.at.0) == at);
    found.ok_or_else(|| {
        CommandError::failed(format_args!("invalid vma address: {word}: no mapping of the task"))
    })
}
