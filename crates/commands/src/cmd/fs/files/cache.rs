//! `files -p`, `-n` and `--save`: the pages of a file that are in memory.

use crate::show::holes::{Hole, Holes};
use crate::show::page as shown;
use crate::show::problems;
use crate::show::tasks::or_why;
use crate::{CommandError, Cx};
use base::VirtAddr;
use kernel::fs::inode::Inode;
use kernel::mm::filemap::{self, Cached, CachedBytes, PageCache};
use kernel::mm::node;
use kernel::mm::page::{Page, Pages, flag_names};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report, Role};
use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};

/// The pages of an inode, below a report that says how many the kernel counts.
fn begin(s: &Session, inode: VirtAddr) -> Result<(Report, PageCache), CommandError> {
    let (_, count) = filemap::mapping(s, inode).map_err(CommandError::failed)?;
    let found = filemap::pages(s, inode).map_err(CommandError::failed)?;
    let mut report = Report::new("files");
    report.line(Line::heading("     INODE        NRPAGES"));
    let pages = or_why(count.as_ref().copied());
    let line = Line::new().field("inode", Cell::Addr(inode.0)).zeros(16).text("  ");
    report.record("file", Record::of(line.field("nrpages", pages).right(7)));
    report.blank();
    Ok((report, found))
}

/// The `struct page` of a cached page. What a large page has once for all stands in its first one.
fn read(pages: &Pages<'_>, one: &Cached) -> Result<Page, KernelError> {
    let head = pages.read(pages.frame(one.head)?)?;
    Ok(Page { at: one.page, pfn: pages.frame(one.page)?, index: Some(one.index), ..head })
}

pub(super) fn pages(cx: &Cx<'_>, s: &Session, inode: VirtAddr) -> Result<Report, CommandError> {
    let (mut report, found) = begin(s, inode)?;
    let (pages, names) = (Pages::new(s), flag_names(s));
    let (mut rows, mut lost) = (Vec::new(), found.problems);
    for (n, one) in found.pages.iter().enumerate() {
        if n % 1024 == 0 {
            cx.cancel.check()?;
        }
        match read(&pages, one) {
            Ok(page) => rows.push(Record::of(shown::line(s, &page, &names))),
            Err(e) => lost.push(e),
        }
    }
    if !rows.is_empty() {
        report.line(shown::heading());
    }
    report.list("pages", rows);
    report.hidden("values", found.values);
    problems::tell(&mut report, "files", "pages", &lost);
    Ok(report)
}

pub(super) fn nodes(cx: &Cx<'_>, s: &Session, inode: VirtAddr) -> Result<Report, CommandError> {
    let (mut report, found) = begin(s, inode)?;
    let spans = node::spans(s).map_err(CommandError::failed)?;
    let mut counts: BTreeMap<u64, u64> = spans.nodes().map(|n| (n, 0)).collect();
    let (pages, mut lost, mut unknown) = (Pages::new(s), found.problems, 0_u64);
    for (n, one) in found.pages.iter().enumerate() {
        if n % 1024 == 0 {
            cx.cancel.check()?;
        }
        match pages.frame(one.page) {
            Ok(pfn) => match spans.of(pfn.0).and_then(|node| counts.get_mut(&node)) {
                Some(count) => *count = count.saturating_add(1),
                None => unknown = unknown.saturating_add(1),
            },
            Err(e) => lost.push(e),
        }
    }
    report.line(Line::heading("     NODE           PAGES"));
    let row = |(node, count): (u64, u64)| {
        Record::of(Line::new().field("node", node).right(7).field("pages", count).right(18))
    };
    report.list("nodes", counts.into_iter().map(row).collect());
    if unknown > 0 {
        let why = "where they lie the frames of several nodes are, or of none";
        report.missing(format!("files: of which node {unknown} more pages are is not known: {why}"));
    }
    problems::tell(&mut report, "files", "pages", &lost);
    Ok(report)
}

/// Writes what the page cache has of a file. The rest are holes of a sparse file, and a line each in `PATH.holes`.
pub(super) fn save(cx: &Cx<'_>, s: &Session, inode: VirtAddr, path: &str) -> Result<Report, CommandError> {
    let found = filemap::pages(s, inode).map_err(CommandError::failed)?;
    let length = s.bind::<Inode>().length.num(s.mem(), inode).map_err(CommandError::failed)?;
    // the last offset of any file (MAX_LFS_FILESIZE)
    if length > i64::MAX.cast_unsigned() {
        return Err(CommandError::failed(format_args!("the inode says that its file has {length:#x} bytes")));
    }
    let mut holes = Holes::of(cx, path)?;
    let mut lacks = |from, to, why: String| holes.push(Hole { from, to, why, is_loss: false });
    let failed = |e: std::io::Error| CommandError::failed(format_args!("{path}: {e}"));
    let mut file = std::fs::File::create(path).map_err(failed)?;
    file.set_len(length).map_err(failed)?;
    let cached = CachedBytes::of(s);
    let size = s.page_size();
    let (mut written, mut next) = (0_u64, 0_u64);
    for (n, one) in found.pages.iter().enumerate() {
        if n % 1024 == 0 {
            cx.cancel.check()?;
        }
        let Some(from) = one.index.checked_mul(size).filter(|from| *from < length && *from >= next) else {
            continue;
        };
        let to = from.saturating_add(size).min(length);
        if from > next {
            lacks(next, from, "not in the page cache".to_owned());
        }
        next = to;
        match content(s, &cached, one, to - from) {
            Ok(bytes) => {
                file.seek(SeekFrom::Start(from)).map_err(failed)?;
                file.write_all(&bytes).map_err(failed)?;
                written = written.saturating_add(to - from);
            }
            Err(why) => lacks(from, to, why),
        }
    }
    if next < length {
        lacks(next, length, "not in the page cache".to_owned());
    }
    holes.write()?;
    let mut report = Report::new("files");
    let line =
        Line::new().field("written", Cell::Size(written)).text(" of ").field("length", Cell::Size(length));
    let line = line.text(" bytes written to ").field("file", path.to_owned()).role(Role::Path);
    report.line(line.text("; holes: ").field("holes_file", holes.beside.clone()).role(Role::Path));
    let rows = holes.rows();
    let is_lacking = !rows.is_empty();
    report.list("holes", rows);
    problems::tell(&mut report, "files", "pages", &found.problems);
    if is_lacking && found.problems.is_empty() {
        report.warning("files: the file is not whole: its holes are told above");
    }
    Ok(report)
}

/// The bytes of a page of a file, or why they are not the file's.
fn content(s: &Session, cached: &CachedBytes<'_>, one: &Cached, len: u64) -> Result<Vec<u8>, String> {
    let at = cached.place(one).map_err(|e| e.why)?;
    let mut bytes = vec![0; usize::try_from(len.min(s.page_size())).unwrap_or(0)];
    // the reason alone, so that holes that follow one another are one
    s.phys().read_phys(at, &mut bytes).map_err(|e| e.why.to_string())?;
    Ok(bytes)
}
