//! Pages (`struct page`) as a line of a table.

use crate::show::tasks;
use kernel::Session;
use kernel::mm::page::Page;
use report::{Cell, Line};

/// The line above pages.
pub(crate) fn heading() -> Line {
    Line::heading("      PAGE       PHYSICAL      MAPPING       INDEX CNT FLAGS")
}

/// One page; `names` are those of the flags.
pub(crate) fn line(s: &Session, page: &Page, names: &[(u32, String)]) -> Line {
    let line = Line::new().field("page_struct", Cell::Addr(page.at.0)).zeros(16).text(" ");
    let line = line.field("physical", Cell::Phys(page.pfn.0 << s.page_shift())).right(8).text(" ");
    let line = line.field("mapping", hex(page.mapping)).right(16).text(" ");
    let line = line.field("index", hex(page.index)).right(8).text(" ");
    let line = line.field("count", page.count).right(2).text(" ");
    let own: Vec<Cell> = names
        .iter()
        .filter(|(bit, _)| page.flags >> bit & 1 == 1)
        .map(|(_, name)| Cell::from(name.clone()))
        .collect();
    let line = line.field("flags", Cell::hex_digits(page.flags, 0));
    if own.is_empty() { line } else { line.text(" ").field("flag_names", Cell::Many(own, ",")) }
}

/// A number in hex, where it is known.
fn hex(value: Option<u64>) -> Cell {
    tasks::known(value.map(|n| Cell::hex_digits(n, 0)), "the page of memory that holds it is not in the dump")
}
