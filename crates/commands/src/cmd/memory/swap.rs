//! `swap`: the swap devices in use ([`kernel::mm::swap`]).

use crate::show::tasks::unknown;
use crate::{CommandError, Cx, Example, Run};
use kernel::mm::swap::{self, Device};
use kernel::{Fetch, KernelError};
use report::{Cell, Line, Record, Report, Role};

/// The command.
#[derive(Debug)]
pub(crate) struct Swap;

/// The arguments of `swap`.
#[derive(clap::Args)]
pub(crate) struct SwapArgs {}

impl Run for Swap {
    type Args = SwapArgs;
    fn name(&self) -> &'static str {
        "swap"
    }
    fn about(&self) -> &'static str {
        "swap devices"
    }
    fn details(&self) -> &'static str {
        "Shows each swap device or file in use: its swap_info_struct, what it is, its size and what of it is taken in KiB, \
         its priority and its path, as /proc/swaps has them."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("swap", "the swap devices in use")] }
    }
    fn run(&self, cx: &mut Cx<'_>, _args: &SwapArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let found = swap::devices(s).map_err(CommandError::failed)?;
        let mut report = Report::new("swap");
        report.line(Line::heading("SWAP_INFO_STRUCT    TYPE       SIZE       USED     PCT  PRI  FILENAME"));
        let kib = s.page_size() / 1024;
        report.list("devices", found.list.into_iter().map(|device| row(&device, kib)).collect());
        if let Some(e) = &found.problem {
            report.lacking(e.is_loss(), format!("swap: other devices may be missing: {e}"));
        }
        Ok(report)
    }
}

/// A number of KiB as crash prints it, or why there is none.
fn size(pages: &Result<u64, KernelError>, kib: u64) -> Cell {
    match pages {
        Ok(pages) => {
            let size = pages.saturating_mul(kib);
            Cell::Shown(Box::new(size.into()), format!("{size}k"))
        }
        Err(e) => unknown("?", e),
    }
}

/// How much of it is taken, in percent.
fn percent(device: &Device) -> Cell {
    match (&device.pages, &device.used) {
        (Ok(0), Ok(_)) => Cell::absent("-", "it has no pages"),
        (Ok(pages), Ok(used)) => {
            let percent = u128::from(*used) * 100 / u128::from(*pages);
            let percent = u64::try_from(percent).unwrap_or(u64::MAX);
            Cell::Shown(Box::new(percent.into()), format!("{percent}%"))
        }
        (Err(e), _) | (_, Err(e)) => unknown("?", e),
    }
}

fn row(device: &Device, kib: u64) -> Record {
    let kind = match &device.is_partition {
        Ok(true) => Cell::from("PARTITION"),
        Ok(false) => Cell::from("FILE"),
        Err(e) => unknown("?", e),
    };
    let priority = match &device.priority {
        Ok(priority) => Cell::from(i64::from(*priority)),
        Err(e) => unknown("?", e),
    };
    let file = match &device.file {
        Ok(file) => Cell::from(file.clone()),
        Err(e) => unknown("(unknown)", e),
    };
    let line = Line::new().field("swap_info_struct", Cell::Addr(device.at.0)).text("  ");
    let line = line.field("type", kind).left(9).text(" ");
    let line = line.field("size", size(&device.pages, kib)).right(10).text(" ");
    let line = line.field("used", size(&device.used, kib)).right(10).text(" ");
    let line = line.field("percent", percent(device)).right(4).text(" ");
    let line = line.field("priority", priority).right(4).text("  ");
    let mut record = Record::of(line.field("file", file).role(Role::Path));
    record.hidden("number", device.kind);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::VirtAddr;

    fn lost() -> KernelError {
        KernelError::Damaged { what: "swap_info_struct", at: VirtAddr(0x10), why: "it is cut".into() }
    }

    fn text(device: &Device) -> String {
        let mut report = Report::new("swap");
        report.list("devices", vec![row(device, 4)]);
        let mut out = Vec::new();
        render::text(&report, render::Colour::Plain, &mut out).unwrap();
        String::from_utf8(out).unwrap().trim_end().to_owned()
    }

    #[test]
    fn a_device_is_a_line_and_what_is_lost_is_no_number() {
        let mut device = Device {
            kind: 0,
            at: VirtAddr(0xffff_8800_0000_1000),
            is_partition: Ok(true),
            pages: Ok(1000),
            used: Ok(255),
            priority: Ok(-2),
            file: Ok("/dev/vda".to_owned()),
        };
        assert_eq!(text(&device), "ffff880000001000  PARTITION      4000k      1020k  25%   -2  /dev/vda");
        (device.used, device.is_partition) = (Err(lost()), Ok(false));
        assert_eq!(text(&device), "ffff880000001000  FILE           4000k        <?>  <?>   -2  /dev/vda");
        (device.used, device.pages) = (Ok(0), Ok(0));
        assert!(text(&device).contains(" <->   -2"), "no division by zero");
    }
}
