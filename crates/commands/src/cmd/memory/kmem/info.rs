//! `kmem -i`: what memory is used for ([`kernel::mm::meminfo`]).

use super::size;
use crate::CommandError;
use crate::show::tasks::unknown;
use kernel::mm::{meminfo, page};
use kernel::{KernelError, Result, Session};
use report::{Line, Record, Report};

/// Columns of the name, the pages and the size.
const NAME: usize = 13;
const PAGES: usize = 7;
const SIZE: usize = 11;

/// One line: its name, its key, its pages, and of what they are a part.
struct Row {
    name: &'static str,
    key: &'static str,
    pages: Result<u64>,
    of: Option<(&'static str, Result<u64>)>,
}

pub(super) fn show(s: &Session, more: Option<&str>, report: &mut Report) -> Result<(), CommandError> {
    let with_shared = match more {
        Some("shared") => true,
        None | Some("") => false,
        Some(other) => {
            return Err(CommandError::argument(format_args!("-i={other}: only \"shared\" can follow")));
        }
    };
    report.line(Line::heading(format!(
        "{:NAME$}  {:>PAGES$}  {:>SIZE$}      PERCENTAGE",
        "", "PAGES", "TOTAL"
    )));
    memory(s, with_shared, report);
    // a kernel without huge pages or swap has no lines of them
    if let Some(huge) = of_kernel(meminfo::huge(s)) {
        let total = huge.clone().map(|huge| huge.total);
        let free = part("HUGE FREE", "free", huge.map(|huge| huge.free), "TOTAL HUGE", &total);
        add(s, report, "huge_pages", vec![whole("TOTAL HUGE", "total", &total), free]);
    }
    if let Some(swap) = of_kernel(meminfo::swap(s)) {
        let total = swap.clone().map(|swap| swap.total);
        let used = part("SWAP USED", "used", swap.clone().map(|swap| swap.used), "TOTAL SWAP", &total);
        let rest = swap.map(|swap| swap.total.saturating_sub(swap.used));
        let free = part("SWAP FREE", "free", rest, "TOTAL SWAP", &total);
        add(s, report, "swap", vec![whole("TOTAL SWAP", "total", &total), used, free]);
    }
    let commit = meminfo::commit(s);
    let limit = commit.clone().map(|commit| commit.limit);
    let committed =
        part("COMMITTED", "committed", commit.map(|commit| commit.committed), "TOTAL LIMIT", &limit);
    add(s, report, "commit", vec![whole("COMMIT LIMIT", "limit", &limit), committed]);
    Ok(())
}

fn memory(s: &Session, with_shared: bool, report: &mut Report) {
    let total = meminfo::total(s);
    let free = meminfo::free(s);
    let used = match (&total, &free) {
        (Ok(total), Ok(free)) => total.checked_sub(*free).ok_or_else(|| KernelError::Damaged {
            what: "count of free pages",
            at: s.symbol("vm_zone_stat").or_else(|| s.symbol("vm_stat")).unwrap_or_default(),
            why: format!("it says {free}, and there are {total} pages"),
        }),
        (Err(e), _) | (_, Err(e)) => Err(e.clone()),
    };
    let part = |name, key, pages| part(name, key, pages, "TOTAL MEM", &total);
    let mut rows =
        vec![whole("TOTAL MEM", "total", &total), part("FREE", "free", free), part("USED", "used", used)];
    if with_shared {
        rows.push(part("SHARED", "shared", page::shared(s)));
    }
    rows.push(part("BUFFERS", "buffers", meminfo::buffers(s)));
    rows.push(part("CACHED", "cached", meminfo::cached(s)));
    rows.push(part("SLAB", "slab", meminfo::slab(s)));
    report.record("memory", lines(s, rows));
}

fn whole(name: &'static str, key: &'static str, pages: &Result<u64>) -> Row {
    Row { name, key, pages: pages.clone(), of: None }
}

fn part(
    name: &'static str,
    key: &'static str,
    pages: Result<u64>,
    of: &'static str,
    whole: &Result<u64>,
) -> Row {
    Row { name, key, pages, of: Some((of, whole.clone())) }
}

/// Nothing where the kernel has no such thing; else a value, or why it is lost.
fn of_kernel<T>(found: Result<T>) -> Option<Result<T>> {
    match found {
        Err(KernelError::NoSymbol(_)) => None,
        found => Some(found),
    }
}

fn add(s: &Session, report: &mut Report, key: &'static str, rows: Vec<Row>) {
    report.blank();
    report.record(key, lines(s, rows));
}

fn lines(s: &Session, rows: Vec<Row>) -> Record {
    let mut out = Record::new();
    // why the first of those that are not known is not; the others have their own reasons in data
    let first = rows.iter().find_map(|row| row.pages.as_ref().err().map(|e| (row.name, e.clone())));
    for row in rows {
        let line = Line::of(format!("{:>NAME$}  ", row.name));
        let line = match &row.pages {
            Ok(pages) => {
                let line = line.field(row.key, *pages).right(PAGES).text("  ");
                line.text(format!("{:>SIZE$}", size(*pages, s.page_size())))
            }
            Err(e) => line.field(row.key, unknown("?", e)).right(PAGES).text(format!("{:SIZE$}  ", "")),
        };
        out.line(match (&row.pages, row.of) {
            (Ok(pages), Some((of, Ok(whole)))) => {
                line.text(format!("  {:>3}% of {of}", percent(*pages, whole)))
            }
            (_, None) => line.text("         ----"),
            _ => line,
        });
    }
    if let Some((name, e)) = first {
        out.lacking(e.is_loss(), format!("kmem: {name}: {e}"));
    }
    out
}

/// How much of the whole it is; of nothing none.
fn percent(pages: u64, whole: u64) -> u128 {
    (u128::from(pages) * 100).checked_div(u128::from(whole)).unwrap_or(0)
}
