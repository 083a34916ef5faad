//! `mach`: what the machine is made of ([`kernel::machine::hardware`]).

use crate::show::tasks::{self, unknown};
use crate::show::{values, when};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use cexpr::{Value, format_value};
use kernel::machine::{hardware, system};
use kernel::mm::slab;
use kernel::stack::stacks::{self, cpu_stacks};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};
use std::collections::BTreeMap;

/// The command.
#[derive(Debug)]
pub(crate) struct Mach;

/// The arguments of `mach`.
#[derive(clap::Args)]
pub(crate) struct MachArgs {
    /// Show the firmware's map of physical memory (x86-64)
    #[arg(short = 'm')]
    map: bool,
    /// Show what the kernel knows of each processor
    #[arg(short = 'c')]
    processors: bool,
    /// With -c: numbers in hex
    #[arg(short = 'x', conflicts_with = "decimal")]
    hex: bool,
    /// With -c: numbers in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// Show the console log of the OPAL firmware (ppc64, whose dumps are not read)
    #[arg(short = 'o')]
    opal: bool,
}

impl Run for Mach {
    type Args = MachArgs;
    fn name(&self) -> &'static str {
        "mach"
    }
    fn about(&self) -> &'static str {
        "machine specific data"
    }
    fn details(&self) -> &'static str {
        "Shows the machine's type, memory and processors, the rate of ticks (HZ), where parts of the kernel's address space \
         begin, and the stacks that each CPU has besides those of tasks. -m shows physical memory as the firmware gave it to \
         the kernel (e820), -c the cpuinfo_x86 or cpuinfo_arm64 of each CPU."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("mach", "the machine"),
                Example::new("mach -m", "the firmware's map of memory"),
                Example::new("mach -cx", "the processors, numbers in hex"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &MachArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        if args.opal {
            let machine = arch_name(s);
            let why = format_args!("only ppc64 machines have OPAL firmware; this one is {machine}");
            return Err(CommandError::failed(why));
        }
        let mut report = Report::new("mach");
        if args.map {
            memory_map(s, &mut report)?;
        }
        if args.processors {
            processors(cx, s, args, &mut report)?;
        }
        if !args.map && !args.processors {
            machine(cx, s, &mut report);
        }
        Ok(report)
    }
}

fn arch_name(s: &Session) -> &'static str {
    s.arch().name()
}

/// A value, or why there is none.
fn cell<T: Into<Cell>>(value: Result<T, KernelError>) -> Cell {
    value.map_or_else(|e| unknown("unknown", &e), Into::into)
}

/// `          MACHINE TYPE: `
fn label(name: &str) -> Line {
    Line::of(format!("{name:>22}: "))
}

fn machine(cx: &Cx<'_>, s: &Session, report: &mut Report) {
    let kind = system::utsname(s).map(|names| names.machine);
    report.line(label("MACHINE TYPE").field("machine", cell(kind)));
    let size = |bytes| Cell::shown(Cell::Size(bytes), when::memory(bytes));
    report.line(label("MEMORY SIZE").field("memory_bytes", cell(system::memory_bytes(s).map(size))));
    cpus(s, report);
    match hardware::hypervisor(s) {
        Ok(None) => {}
        found => report.line(label("HYPERVISOR").field("hypervisor", cell(found))),
    }
    if let Some(khz) = system::cpu_khz(s) {
        let line = label("PROCESSOR SPEED").field("cpu_mhz", khz / 1000);
        report.line(line.text(" Mhz"));
    } else {
        let none = Cell::absent("unknown", "the kernel has no cpu_khz, or did not measure it");
        report.line(label("PROCESSOR SPEED").field("cpu_mhz", none));
    }
    report.line(label("HZ").field("hz", cell(hardware::hz(s))));
    report.line(label("PAGE SIZE").field("page_size", Cell::Size(s.page_size())));
    places(s, report);
    report.line(label("KERNEL STACK SIZE").field("stack_size", Cell::Size(stacks::thread_size(s))));
    cpu_stack_lines(cx, s, report);
}

fn cpus(s: &Session, report: &mut Report) {
    let cpus = s.cpus();
    let why = || cpus.problem.as_ref().map(ToString::to_string).unwrap_or_default();
    let Some(present) = &cpus.present else {
        return report.line(label("CPUS").field("cpus", Cell::absent("unknown", why()).lost_if(true)));
    };
    let line = label("CPUS").field("cpus", present.len());
    report.line(match &cpus.online {
        Some(online) if online.len() < present.len() => {
            line.text(" [OFFLINE: ").field("offline", present.len() - online.len()).text("]")
        }
        Some(_) => line,
        None => line.text(" [OFFLINE: ").field("offline", Cell::absent("?", why()).lost_if(true)).text("]"),
    });
}

/// Where parts of the kernel's address space begin.
fn places(s: &Session, report: &mut Report) {
    report.line(label("KERNEL VIRTUAL BASE").field("virtual_base", cell(slab::direct_map_base(s))));
    if let Some(at) = s.vmalloc_range().map(|range| range.map(|(start, _)| start)).transpose() {
        report.line(label("KERNEL VMALLOC BASE").field("vmalloc_base", cell(at)));
    }
    report.line(label("KERNEL VMEMMAP BASE").field("vmemmap_base", cell(slab::vmemmap_base(s))));
    // where image and modules share a range there is no place at which the image's begins
    let [start, behind, end] = s.arch().layout.image_range();
    if behind != end {
        report.line(label("KERNEL START MAP").field("start_map", start));
    }
    let modules = modules_base(s, start);
    let none = || Cell::absent("unknown", "VMCOREINFO does not say it, and no module lies there");
    report.line(label("KERNEL MODULES BASE").field("modules_base", modules.map_or_else(none, Cell::from)));
}

/// Where the range of modules begins: behind the room for the image, or as VMCOREINFO says.
fn modules_base(s: &Session, start: VirtAddr) -> Option<VirtAddr> {
    // KERNEL_IMAGE_SIZE is one of two multiples of this
    const STEP: u64 = 512 << 20;
    let number = |name: &str| s.vmcoreinfo().number(name).map(i64::cast_unsigned);
    let told = number("MODULES_VADDR").map(VirtAddr);
    let told = told.or_else(|| number("KERNEL_IMAGE_SIZE").map(|size| start.add(size)));
    told.or_else(|| {
        let first = s.modules().iter().flat_map(|module| &module.memory).map(|part| part.base.0).min()?;
        Some(VirtAddr(first & !(STEP - 1)))
    })
}

fn cpu_stack_lines(cx: &Cx<'_>, s: &Session, report: &mut Report) {
    // by the kind of stack: its bytes, and where each CPU has it
    let mut kinds: Vec<(String, u64)> = Vec::new();
    let mut places: BTreeMap<String, Vec<(u32, VirtAddr)>> = BTreeMap::new();
    for &cpu in &s.cpus().possible {
        for stack in cpu_stacks(s, cpu) {
            let size = stack.end.0.wrapping_sub(stack.start.0);
            let name = stack.name.strip_suffix(" exception stack").unwrap_or(&stack.name).to_owned();
            let name = if name == stacks::IRQ_STACK { "IRQ".to_owned() } else { name };
            if !kinds.iter().any(|(known, _)| *known == name) {
                kinds.push((name.clone(), size));
            }
            places.entry(name).or_default().push((cpu, stack.start));
        }
        if stacks::irq_stack_is_lost(s, cpu) {
            report.missing(format!("mach: where the IRQ stack of CPU {cpu} is is not in the dump"));
        }
    }
    let mut rows = Vec::new();
    for (name, size) in kinds {
        let mut row = Record::new();
        row.hidden("name", name.clone());
        row.line(label(&format!("{name} STACK SIZE")).field("size", Cell::Size(size)));
        row.text(format!("{:>23}", format!("{name} STACKS:")));
        let known = places.remove(&name).unwrap_or_default();
        // each CPU has those of each kind; where the IRQ stack is has its own note
        let is_lost = |cpu: &&u32| name != "IRQ" && !known.iter().any(|(other, _)| other == *cpu);
        for cpu in s.cpus().possible.iter().filter(is_lost) {
            report.missing(format!("mach: where the {name} stack of CPU {cpu} is is not in the dump"));
        }
        let of_cpus = known.into_iter().map(|(cpu, at)| {
            let line = Line::of(format!("{:>22}: ", format!("CPU {cpu}"))).field("stack", at).zeros(16);
            // those that only some machines need are not mapped on others
            let is_mapped = match s.mem().u8(at) {
                Ok(_) => Cell::from(true),
                Err(fault) if fault.is_loss() => Cell::absent("?", fault.to_string()).lost_if(true),
                Err(_) => Cell::from(false),
            };
            let line = if is_mapped == Cell::from(false) { line.text(" [unavailable]") } else { line };
            let mut one =
                Record::of(if tasks::is_hidden(cx, s, cpu) { line.text(" [OFFLINE]") } else { line });
            one.hidden("mapped", is_mapped);
            one.hidden("cpu", cpu);
            one
        });
        row.list("cpus", of_cpus.collect());
        rows.push(row);
    }
    report.list("stacks", rows);
}

fn memory_map(s: &Session, report: &mut Report) -> Result<(), CommandError> {
    let map = hardware::memory_map(s).map_err(CommandError::failed)?;
    report.line(Line::heading("      PHYSICAL ADDRESS RANGE         TYPE"));
    let rows = map.into_iter().map(|range| {
        let line = Line::new().field("start", Cell::Phys(range.start)).zeros(16).text(" - ");
        let line = line.field("end", Cell::Phys(range.end)).zeros(16).text("  ");
        let name = range.name().map_or_else(|| format!("type {}", range.kind), str::to_owned);
        Record::of(line.field("type", Cell::shown(range.kind, name)))
    });
    report.list("ranges", rows.collect());
    Ok(())
}

fn processors(cx: &Cx<'_>, s: &Session, args: &MachArgs, report: &mut Report) -> Result<(), CommandError> {
    let (scope, format) = (values::scope(cx, s, None), values::format(cx.settings, args.hex, args.decimal));
    let mut rows = Vec::new();
    for &cpu in &s.cpus().possible {
        cx.cancel.check()?;
        let mut row = Record::new();
        if !rows.is_empty() {
            row.blank();
        }
        let line = Line::of("CPU ").field("cpu", cpu).text(":");
        if tasks::is_hidden(cx, s, cpu) {
            row.line(line.text(" [OFFLINE]"));
            rows.push(row);
            continue;
        }
        row.line(line);
        match hardware::cpu_info(s, cpu) {
            Ok((at, ty, name)) => {
                let tree = format_value(&scope, &Value::memory(ty, at), &format);
                values::lines_of(&mut row, &format!("struct {name} {}", tree.to_text()));
                row.record(name, values::data(&tree));
            }
            Err(e @ (KernelError::NoType(_) | KernelError::NoSymbol(_))) => {
                return Err(CommandError::failed(e));
            }
            Err(e) => row.lacking(e.is_loss(), format!("mach: what is known of CPU {cpu} is not there: {e}")),
        }
        rows.push(row);
    }
    report.list("cpus", rows);
    Ok(())
}
