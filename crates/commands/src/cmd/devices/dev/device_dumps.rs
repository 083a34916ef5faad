//! `dev -V` and `-v`: what drivers wrote of their devices into the dump (`struct vmcoredd_header`,
//! include/uapi/linux/vmcore.h; 4.18): a note of the owner LINUX, whose first 44 bytes are a name.

use crate::engine::number;
use crate::{CommandError, Cx};
use base::RawNote;
use kernel::Image;
use report::{Cell, Line, Record, Report, Role};
use std::io::Read;

/// `NT_VMCOREDD`
const KIND: u32 = 0x700;
/// `VMCOREDD_MAX_NAME_BYTES`
const NAME: usize = 44;
/// How far notes are looked for in a file: they stand before its pages.
const SEARCHED: u64 = 256 << 20;

/// A device's dump.
struct DeviceDump<'a> {
    name: String,
    note: &'a RawNote,
    data: &'a [u8],
}

fn all(image: &Image) -> Vec<DeviceDump<'_>> {
    let own = image.dump.notes().iter().filter(|note| note.is("LINUX") && note.kind == KIND);
    own.filter_map(|note| {
        let (name, data) = note.desc.split_at_checked(NAME)?;
        let name = String::from_utf8_lossy(base::cstr(name)).into_owned();
        Some(DeviceDump { name, note, data })
    })
    .collect()
}

pub(super) fn list(cx: &Cx<'_>) -> Result<Report, CommandError> {
    let image = cx.image()?;
    let found = all(image);
    let mut report = Report::new("dev");
    if found.is_empty() {
        report.text("No device dumps in this dump");
        return Ok(report);
    }
    report.line(Line::heading("INDEX OFFSET             SIZE             NAME"));
    let row = |(n, one): (usize, &DeviceDump<'_>)| {
        let at = match place(image, one.note) {
            Some(at) => Cell::hex(at),
            None => Cell::absent("-", "the file is packed, so that no offset in it is that of the data"),
        };
        let line = Line::new().field("index", n).left(5).text(" ").field("offset", at).left(18).text(" ");
        let line = line.field("size", Cell::Size(one.data.len() as u64)).left(16).text(" ");
        Record::of(line.field("name", one.name.clone()))
    };
    report.list("device_dumps", found.iter().enumerate().map(row).collect());
    Ok(report)
}

/// Where the data of a note are in the dump's file.
fn place(image: &Image, note: &RawNote) -> Option<u64> {
    let path = image.dump_paths.first()?;
    let mut file = std::fs::File::open(path).ok()?.take(SEARCHED);
    let wanted = note.desc.get(..note.desc.len().min(512))?;
    let (mut kept, mut before) = (Vec::new(), 0_u64);
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block).ok().filter(|n| *n > 0)?;
        kept.extend_from_slice(block.get(..read)?);
        if let Some(at) = kept.windows(wanted.len()).position(|part| part == wanted) {
            return before.checked_add(at as u64)?.checked_add(NAME as u64);
        }
        let gone = kept.len().saturating_sub(wanted.len());
        kept.drain(..gone);
        before = before.checked_add(gone as u64)?;
    }
}

pub(super) fn one(cx: &Cx<'_>, index: &str, path: Option<&str>) -> Result<Report, CommandError> {
    let found = all(cx.image()?);
    let wanted = number::value(index, &|_| None)?;
    let one = usize::try_from(wanted).ok().and_then(|n| found.get(n)).ok_or_else(|| match found.len() {
        0 => CommandError::failed("no device dumps in this dump"),
        n => CommandError::failed(format_args!("{index}: the dump has device dumps 0 to {}", n - 1)),
    })?;
    let mut report = Report::new("dev");
    report.line(Line::new().text("DEVICE: ").field("name", one.name.clone()));
    if let Some(path) = path {
        cx.may_write(path)?;
        std::fs::write(path, one.data).map_err(|e| CommandError::failed(format_args!("{path}: {e}")))?;
        let line = Line::new().field("written", Cell::Size(one.data.len() as u64)).text(" bytes written to ");
        report.line(line.field("file", path.to_owned()).role(Role::Path));
        return Ok(report);
    }
    report
        .list("data", one.data.chunks(16).enumerate().map(|(n, part)| words(n as u64 * 16, part)).collect());
    Ok(report)
}

/// Two words of eight bytes, and their characters.
fn words(offset: u64, bytes: &[u8]) -> Record {
    let word = |part: &[u8]| {
        let mut all = [0; 8];
        all.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        format!("{:016x}", u64::from_le_bytes(all))
    };
    let text: String =
        bytes.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' }).collect();
    let shown: Vec<String> = bytes.chunks(8).map(word).collect();
    let line = Line::new().field("offset", Cell::hex_digits(offset, 16)).text(":  ");
    let line =
        line.field("bytes", Cell::Shown(Box::new(Cell::Bytes(bytes.to_vec())), shown.join(" "))).left(33);
    Record::of(line.text("   ").field("text", text))
}
