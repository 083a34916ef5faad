//! The pages of a mapping, as `vm -p` shows them.

use crate::show::tasks::unknown;
use kernel::KernelError;
use kernel::mm::vma_pages::{Place, Run};
use report::{Cell, Line, Record, Role};

/// Columns of a virtual address.
const WIDTH: usize = 10;

/// The line above the pages.
pub(super) fn heading() -> Line {
    Line::heading(format!("{:<WIDTH$}  PHYSICAL", "VIRTUAL"))
}

/// One page, or several that are in no table.
pub(super) fn row(run: &Run, file: &Result<String, KernelError>) -> Record {
    let line = Line::new().field("virtual", Cell::Addr(run.at.0)).left(WIDTH).text("  ");
    let line = match &run.place {
        Place::Memory(at) => line.field("physical", Cell::Phys(at.0)).right(8),
        Place::Swap(swapped) => {
            let line = line.text("SWAP: ");
            let line = match &swapped.file {
                Some(file) => line.field("swap", file.clone()).role(Role::Path),
                None => line.field("swap", Cell::absent("?", "the path of the device is not known")),
            };
            line.text("  OFFSET: ").field("swap_offset", swapped.offset)
        }
        Place::Other(entry) => {
            line.text("(no page and no swap: entry ").field("entry", Cell::hex_digits(*entry, 0)).text(")")
        }
        Place::File(offset) => {
            let path = match file {
                Ok(path) => Cell::from(path.clone()),
                Err(e) => unknown("path not readable", e),
            };
            let line = line.text("FILE: ").field("file", path).role(Role::Path);
            line.text("  OFFSET: ").field("file_offset", Cell::hex_digits(*offset, 0))
        }
        Place::Nowhere => line.text("(not mapped)"),
        Place::Lost(m) => line.field(
            "physical",
            Cell::absent("page table missing", format!("page table at {m}")).lost_if(true),
        ),
    };
    if run.pages == 1 {
        return Record::of(line);
    }
    Record::of(line.text("  (").field("pages", run.pages).text(" pages)"))
}
