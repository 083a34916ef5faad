//! `kmem -p` and `-m`: the `struct page` of each page.

use super::KmemArgs;
use crate::engine::number;
use crate::show::{page as shown, values};
use crate::{CommandError, Cx};
use base::{Pfn, PhysAddr, VirtAddr};
use cexpr::{FormatOptions, MemberPath, Radix, Scope as _, Shape, Value, ValueTree, format_value};
use debuginfo::types::{Space, TypeRef};
use inspect::SessionScope;
use kernel::mm::page::{self, Pages};
use kernel::mm::{slab, sparse};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

/// Pages that are shown in one go.
const AT_ONCE: usize = 4096;

/// Pages of addresses, or all.
pub(super) fn show(
    cx: &mut Cx<'_>,
    s: &Session,
    args: &KmemArgs,
    report: &mut Report,
) -> Result<(), CommandError> {
    let names = page::flag_names(s);
    let pages = Pages::new(s);
    report.line(shown::heading());
    let one = |pfn: Pfn| pages.read(pfn).map(|page| Record::of(shown::line(s, &page, &names)));
    each(cx, s, args, &one, report)
}

/// Members of pages.
pub(super) fn members(
    cx: &mut Cx<'_>,
    s: &Session,
    args: &KmemArgs,
    lists: &[String],
    report: &mut Report,
) -> Result<(), CommandError> {
    let found = s.types().find(Space::Struct, "page").into_iter().next();
    let ty = found.ok_or_else(|| CommandError::failed(KernelError::NoType("page")))?;
    let mut wanted = Vec::new();
    for text in lists.iter().flat_map(|list| list.split(',')).filter(|text| !text.is_empty()) {
        wanted.push((text.to_owned(), MemberPath::parse(text).map_err(|e| values::wrong(text, &e))?));
    }
    let decimal = cx.settings.radix == 10;
    let scope = SessionScope::new(s);
    let object = Value::memory(ty, VirtAddr(0));
    for (text, path) in &wanted {
        path.apply(&scope, &object).map_err(|e| values::wrong(text, &e))?;
    }
    let heads: Vec<&str> = wanted.iter().map(|(text, _)| text.as_str()).collect();
    report.line(Line::heading(format!("      PAGE        {}", heads.join("  "))));
    let pages = Pages::new(s);
    let one = |pfn: Pfn| {
        // a frame without a struct page has no members
        let at = pages.read(pfn)?.at;
        let mut line = Line::new().field("page_struct", Cell::Addr(at.0)).zeros(16);
        for (text, path) in &wanted {
            line = line.text("  ").field(text.clone(), member(&scope, ty, at, path, text, decimal));
        }
        Ok(Record::of(line))
    };
    each(cx, s, args, &one, report)
}

/// A member's value: the leaves of a struct with commas.
fn member(
    scope: &SessionScope<'_>,
    ty: TypeRef,
    at: VirtAddr,
    path: &MemberPath,
    name: &str,
    decimal: bool,
) -> Cell {
    let value = match path.apply(scope, &Value::memory(ty, at)) {
        Ok(value) => value,
        Err(e) => return Cell::absent("?", e.to_string()),
    };
    let is_count = name.ends_with("count");
    let radix = if is_count || (decimal && !name.contains("flags")) { Radix::Natural } else { Radix::Hex };
    let mut options = FormatOptions::default();
    options.radix = radix;
    let tree = format_value(scope, &value, &options);
    let bytes = scope.types().size_of(value.ty).unwrap_or(8);
    let mut out = Vec::new();
    leaves(&tree, &mut out);
    let width = bytes.saturating_mul(2) / (out.len() as u64).max(1);
    let cells = out.into_iter().map(|leaf| of_leaf(leaf, is_count, width));
    Cell::Many(cells.collect(), ",")
}

fn leaves<'t>(tree: &'t ValueTree, out: &mut Vec<&'t ValueTree>) {
    match tree.shape {
        Shape::Leaf => out.push(tree),
        Shape::Compound(_) | Shape::Array => tree.children.iter().for_each(|child| leaves(child, out)),
    }
}

fn of_leaf(leaf: &ValueTree, is_count: bool, width: u64) -> Cell {
    match leaf.number {
        Some(n) if !is_count && leaf.text.starts_with("0x") => {
            Cell::hex_digits(n as u64, u8::try_from(width.min(16)).unwrap_or(16))
        }
        _ => values::leaf(leaf),
    }
}

/// Makes a row for each page that is asked for. Pages whose `struct page` is lost are counted.
fn each(
    cx: &mut Cx<'_>,
    s: &Session,
    args: &KmemArgs,
    row: &dyn Fn(Pfn) -> kernel::Result<Record>,
    report: &mut Report,
) -> Result<(), CommandError> {
    if !args.words.is_empty() {
        let mut rows = Vec::new();
        for word in &args.words {
            let pfn = frame(s, word, args.physical)?;
            rows.push(row(pfn).map_err(CommandError::failed)?);
        }
        report.list("pages", rows);
        return Ok(());
    }
    let mut rows = Vec::new();
    let (mut lost, mut first) = (0_u64, None);
    for pfn in sparse::frames(s).map_err(CommandError::failed)? {
        match pfn.and_then(row) {
            Ok(row) => rows.push(row),
            Err(e) => {
                lost += 1;
                first.get_or_insert(e);
            }
        }
        if rows.len() >= AT_ONCE {
            cx.cancel.check()?;
            report.list("pages", std::mem::take(&mut rows));
            cx.emit(&std::mem::replace(report, Report::new("kmem")))?;
        }
    }
    report.list("pages", rows);
    if let Some(e) = first {
        report.lacking(e.is_loss(), format!("kmem: {lost} pages or sections cannot be read: {e}"));
    }
    Ok(())
}

/// The frame that a word is about: by a `struct page`, an address of the kernel's, or a physical one.
pub(super) fn frame(s: &Session, word: &str, physical: bool) -> Result<Pfn, CommandError> {
    let value =
        number::hex(word).ok_or_else(|| CommandError::argument(format_args!("invalid address: {word}")))?;
    physical_of(s, value, physical).map(|at| Pfn(at.0 >> s.page_shift()))
}

/// The physical address behind one.
pub(super) fn physical_of(s: &Session, value: u64, physical: bool) -> Result<PhysAddr, CommandError> {
    let at = VirtAddr(value);
    if physical || !s.arch().is_kernel(at) {
        return Ok(PhysAddr(value));
    }
    let at = slab::data_of(s, at).unwrap_or(at);
    let (found, _) = s.map().translate(at).map_err(CommandError::failed)?;
    Ok(found)
}
