//! `pte`: the parts of a page table entry.

use crate::{CommandError, Cx, Example, Layer, Run};
use kernel::Fetch;
use kernel::mm::swap;
use kernel::{Machine, Session};
use report::{Cell, Line, Record, Report, Role};

/// `pte`.
#[derive(Debug)]
pub(crate) struct Pte;

/// The arguments of `pte`.
#[derive(clap::Args)]
pub(crate) struct PteArgs {
    /// The entry, in hex
    #[arg(value_name = "CONTENTS", num_args = 1.., required = true)]
    entry: Vec<String>,
}

impl Run for Pte {
    type Args = PteArgs;
    fn name(&self) -> &'static str {
        "pte"
    }
    fn about(&self) -> &'static str {
        "translate a page table entry"
    }
    fn details(&self) -> &'static str {
        "Shows the physical page and the flags of a page table entry, or the swap device and the offset in it \
         where the page was swapped out."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("pte d8e067", "an entry"), Example::new("pte 80000000011f2163", "another")] }
    }
    fn needs(&self, _args: &PteArgs) -> Layer {
        Layer::Machine
    }
    fn run(&self, cx: &mut Cx<'_>, args: &PteArgs) -> Result<Report, CommandError> {
        let m = cx.machine()?;
        let mut report = Report::new("pte");
        let mut out = Vec::new();
        for (n, word) in args.entry.iter().enumerate() {
            let entry = crate::engine::number::hex(word)
                .ok_or_else(|| CommandError::argument(format_args!("invalid input: \"{word}\"")))?;
            let mut row = Record::new();
            if n > 0 {
                row.blank();
            }
            // swap areas are the kernel's: without one the entry is shown as the processor reads it
            let swapped = m.arch.paging.pte(entry, m.mem.tables());
            let s = (!swapped.mapped && entry != 0).then(|| cx.session_if_open()).flatten();
            table(m, s, entry, &mut row);
            out.push(row);
        }
        report.list("entries", out);
        Ok(report)
    }
}

/// A text in the middle of its column; `before` takes the odd blank.
fn centered(text: &str, width: usize, before: bool) -> String {
    let room = width.saturating_sub(text.chars().count());
    let left = if before { room.div_ceil(2) } else { room / 2 };
    format!("{}{text}{}", " ".repeat(left), " ".repeat(room - left))
}

/// The table of one entry: its heads and its line.
pub(crate) fn table(m: &Machine, s: Option<&Session>, entry: u64, row: &mut Record) {
    let parts = m.arch.paging.pte(entry, m.mem.tables());
    if !parts.mapped
        && entry != 0
        && let Some(found) = s.and_then(|s| swap::entry(s, entry))
    {
        swapped(entry, &found, row);
        return;
    }
    let physical = parts.phys;
    let mut names: Vec<Cell> = parts.flags.into_iter().map(Cell::from).collect();
    if names.is_empty() {
        names.push(Cell::from(if entry == 0 { "no mapping" } else { "not present" }));
    }
    let pte = format!("{entry:x}");
    let phys = format!("{physical:x}");
    let (first, second) = (pte.len().max(3), phys.len().max(8));
    row.line(Line::heading(format!(
        "{}  {}  FLAGS",
        centered("PTE", first, false),
        centered("PHYSICAL", second, false)
    )));
    let shown = |value: Cell, text: &str, width| Cell::Shown(Box::new(value), centered(text, width, true));
    let line = Line::new().field("pte", shown(Cell::hex_digits(entry, 0), &pte, first)).text("  ");
    let line = line.field("physical", shown(Cell::Phys(physical), &phys, second)).text("  (");
    row.record("entry", Record::of(line.field("flags", Cell::Many(names, "|")).text(")")));
}

fn swapped(entry: u64, found: &swap::Swapped, row: &mut Record) {
    let pte = format!("{entry:x}");
    let file = found.file.clone().unwrap_or_else(|| format!("(swap {})", found.kind));
    let offset = found.offset.to_string();
    let (first, second, third) = (pte.len().max(3), file.len().max(4), offset.len().max(6));
    row.line(Line::heading(format!(
        "{}  {}  {}",
        centered("PTE", first, false),
        centered("SWAP", second, false),
        centered("OFFSET", third, false)
    )));
    let line = Line::new().field("pte", Cell::hex_digits(entry, 0)).left(first).text("  ");
    let line = line.field("swap", file).left(second).role(Role::Path).text("  ");
    row.record("entry", Record::of(line.field("offset", found.offset).right(third)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_centered_as_crash_centers_them() {
        assert_eq!(centered("PTE", 16, false), "      PTE       ");
        assert_eq!(centered("0", 8, true), "    0   ");
        assert_eq!(centered("28bb000", 8, true), " 28bb000");
        assert_eq!(centered("toolongforit", 8, true), "toolongforit");
    }
}
