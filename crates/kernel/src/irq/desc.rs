//! Interrupt lines (`struct irq_desc`, include/linux/irqdesc.h, kernel/irq/irqdesc.c).
//!
//! Descriptors are in a radix tree, since 6.5 in a maple tree (721255b9826b), or in an array in a kernel without
//! `CONFIG_SPARSE_IRQ`.
//!
//! **Invariant:** a descriptor is told only where it says the number under which it is found.

use crate::containers::{maple, xarray};
use crate::error::{KernelError, Result};
use crate::sched::cpu;
use crate::session::{Fact, Session};
use base::VirtAddr;
use debuginfo::types::Type;
use rustc_hash::FxHashSet;

bind! {
    /// `struct irq_desc`
    struct IrqDesc("irq_desc") {
        number: "irq_data.irq",
        chip: "irq_data.chip",
        action: "action",
        name: "name",
        counts: "kstat_irqs",
        affinity: "irq_common_data.affinity" | "irq_data.affinity", // 4.3 (9df872faa7e1)
    }
}
bind! {
    /// `struct irqaction`
    struct IrqAction("irqaction") { name: "name", next: "next", handler: "handler" }
}
bind! {
    /// `struct irq_chip`
    struct IrqChip("irq_chip") { name: "name" }
}
bind! {
    /// `struct irqstat`, in which each CPU's count is since 6.10 (86d2a2f51fba)
    struct IrqStat("irqstat") { count: "cnt" }
}

/// More lines than any machine has.
const MAX_LINES: u64 = 1 << 22;
/// More handlers than any line has.
const MAX_ACTIONS: usize = 4096;
/// Bytes of a name at most.
const MAX_NAME: usize = 256;

/// What handles an interrupt.
#[derive(Clone, Debug)]
pub struct Action {
    /// The `irqaction`.
    pub at: VirtAddr,
    /// Its name; none where it has none.
    pub name: Result<Option<String>>,
    /// The function.
    pub handler: Result<VirtAddr>,
}

/// An interrupt line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// The `irq_desc`.
    pub at: VirtAddr,
    /// What handles it, in order.
    pub actions: Vec<Action>,
    /// Why there may be other handlers.
    pub problem: Option<KernelError>,
}

/// The interrupt lines, ascending by number.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// Those that have a descriptor.
    pub all: Vec<Line>,
    /// How many numbers there are (`nr_irqs`); why that is not known.
    pub count: Option<Result<u64>>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
    /// Why nothing is known.
    pub failed: Option<KernelError>,
}

impl Fact for Lines {
    fn read(s: &Session) -> Self {
        let mut out = Self { count: Some(count(s)), ..Self::default() };
        match found(s, &mut out.problems) {
            Ok(all) => {
                for (number, at) in all {
                    match line(s, number, at) {
                        Ok(line) => out.all.push(line),
                        Err(e) => out.problems.push(e),
                    }
                }
                out.all.sort_by_key(|line| line.number);
            }
            Err(e) => out.failed = Some(e),
        }
        out
    }
}

/// The interrupt lines.
///
/// # Errors
/// The kernel's types or symbols do not know them.
pub fn lines(s: &Session) -> Result<&Lines> {
    let lines: &Lines = s.fact();
    lines.failed.clone().map_or(Ok(lines), Err)
}

/// How many numbers of lines there are.
fn count(s: &Session) -> Result<u64> {
    // 7.2 (b99dc723b12e) renamed it
    let at = match s.symbol("total_nr_irqs") {
        Some(at) => at,
        None => s.need_symbol("nr_irqs")?,
    };
    let count = u64::from(s.mem().u32(at)?);
    if (1..=MAX_LINES).contains(&count) {
        return Ok(count);
    }
    Err(KernelError::Damaged { what: "nr_irqs", at, why: format!("it says {count}") })
}

/// The descriptors by their numbers.
fn found(s: &Session, problems: &mut Vec<KernelError>) -> Result<Vec<(u64, VirtAddr)>> {
    s.bind::<IrqDesc>().action.offset()?;
    if let Some(tree) = s.symbol("sparse_irqs") {
        let entries = maple::entries(s, tree)?;
        problems.extend(entries.problem);
        return Ok(entries.all.into_iter().map(|entry| (entry.first, entry.value)).collect());
    }
    if let Some(tree) = s.symbol("irq_desc_tree") {
        let entries = xarray::entries(s.mem(), xarray::Layout::of(s)?, xarray::head(s, tree)?);
        problems.extend(entries.problems);
        return Ok(entries.all.into_iter().map(|entry| (entry.index, VirtAddr(entry.value))).collect());
    }
    let b = s.bind::<IrqDesc>();
    let Some(table) = s.symbol("irq_desc") else { return Err(s.no_symbol("irq_desc_tree")) };
    let size = b.size.filter(|size| *size > 0).ok_or(KernelError::NoType("irq_desc"))?;
    Ok((0..count(s)?).map(|number| (number, table.add(number * size))).collect())
}

fn line(s: &Session, number: u64, at: VirtAddr) -> Result<Line> {
    let (mem, b) = (s.mem(), s.bind::<IrqDesc>());
    let damaged = |why: String| KernelError::Damaged { what: "irq_desc", at, why };
    if !s.arch().is_kernel(at) {
        return Err(damaged(format!("that of line {number} is not in the kernel's memory")));
    }
    let own = b.number.num(mem, at)? & 0xffff_ffff;
    if own != number {
        return Err(damaged(format!("it is of line {own}, and found under {number}")));
    }
    let (actions, problem) = match b.action.ptr(mem, at) {
        Ok(first) => actions(s, first),
        Err(e) => (Vec::new(), Some(e)),
    };
    Ok(Line { number, at, actions, problem })
}

/// The chain of handlers that begins at `next`, and why it may go on.
fn actions(s: &Session, mut next: VirtAddr) -> (Vec<Action>, Option<KernelError>) {
    let (mem, b) = (s.mem(), s.bind::<IrqAction>());
    let (mut out, mut seen) = (Vec::new(), FxHashSet::default());
    while !next.is_null() {
        let damaged = |why: &str| KernelError::Damaged { what: "irqaction", at: next, why: why.to_owned() };
        if !s.arch().is_kernel(next) {
            return (out, Some(damaged("it is not in the kernel's memory")));
        }
        if out.len() >= MAX_ACTIONS || !seen.insert(next) {
            return (out, Some(damaged("the chain of handlers comes back to it, or has no end")));
        }
        let behind = match b.next.ptr(mem, next) {
            Ok(behind) => behind,
            Err(e) => return (out, Some(e)),
        };
        let name = b.name.ptr(mem, next).and_then(|at| text(s, at));
        out.push(Action { at: next, name, handler: b.handler.ptr(mem, next) });
        next = behind;
    }
    (out, None)
}

/// The text at an address; none where that is null.
fn text(s: &Session, at: VirtAddr) -> Result<Option<String>> {
    if at.is_null() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&s.mem().cstr(at, MAX_NAME)?).into_owned()))
}

/// The name of what a line is of (`irq_chip.name`), and of how it signals (`edge`, `fasteoi`); none where there is none.
#[derive(Clone, Debug)]
pub struct Names {
    /// The controller's.
    pub chip: Result<Option<String>>,
    /// How it signals.
    pub flow: Result<Option<String>>,
}

/// A line's names.
#[must_use]
pub fn names(s: &Session, line: &Line) -> Names {
    let (mem, b) = (s.mem(), s.bind::<IrqDesc>());
    let chip = b.chip.ptr(mem, line.at).and_then(|chip| match chip.is_null() {
        true => Ok(None),
        false => text(s, s.bind::<IrqChip>().name.ptr(mem, chip)?),
    });
    let flow = b.name.ptr(mem, line.at).and_then(|at| text(s, at));
    Names { chip, flow }
}

/// How often a line interrupted a CPU.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn count_on(s: &Session, line: &Line, cpu: u32) -> Result<u64> {
    let (mem, b) = (s.mem(), s.bind::<IrqDesc>());
    let counts = b.counts.ptr(mem, line.at)?;
    if counts.is_null() {
        return Err(KernelError::Damaged { what: "irq_desc", at: line.at, why: "it has no counts".into() });
    }
    let own = counts.add(cpu::per_cpu_offset(s, cpu)?);
    let stat = &s.bind::<IrqStat>().count;
    let at = if stat.exists() { stat.at(own)? } else { own };
    Ok(u64::from(mem.u32(at)?))
}

/// The CPUs that a line may interrupt.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn affinity(s: &Session, line: &Line) -> Result<Vec<u32>> {
    if cpu::is_uniprocessor(s) {
        // there is no mask, or what nobody set
        return Ok(s.cpus().possible.clone());
    }
    let b = s.bind::<IrqDesc>();
    let own = b.affinity.at(line.at)?;
    // `cpumask_var_t`: a pointer with CONFIG_CPUMASK_OFFSTACK, else the mask itself
    let resolved = s.types().resolve(b.affinity.ty()?)?;
    let mask = match &*resolved.1 {
        Type::Pointer { .. } => s.mem().ptr(own)?,
        _ => own,
    };
    if mask.is_null() {
        return Err(KernelError::Damaged {
            what: "irq_desc",
            at: line.at,
            why: "its mask of CPUs is null".into(),
        });
    }
    // no bits behind the highest CPU's are read: a mask is allocated shorter than its type
    let mut out = Vec::new();
    let mut word: Option<(u32, u64)> = None;
    for &cpu in &s.cpus().possible {
        let n = cpu / 64;
        let value = match word {
            Some((at, value)) if at == n => value,
            _ => s.mem().u64(mask.add(u64::from(n) * 8))?,
        };
        word = Some((n, value));
        if value >> (cpu % 64) & 1 == 1 {
            out.push(cpu);
        }
    }
    Ok(out)
}
