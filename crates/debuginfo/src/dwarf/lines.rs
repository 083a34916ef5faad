//! The line table of a unit: addresses to file, line and column.

use super::names::function_entries;
use super::units::{Context, Result, Unit};
use super::{DwarfFile, Entry, Slice, Value};
use gimli::DwAt;
use std::sync::Arc;

/// The most rows of one unit that are kept; the largest units have some hundred thousand.
const MAX_ROWS: usize = 1 << 22;

/// A place in the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLine {
    /// The file as the compiler knew it: absolute where it knew its directory.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the code belongs to none.
    pub line: u32,
    /// The column, from 1; 0 where it is not known.
    pub column: u32,
}

/// A row of the line table: it holds from its address to that of the next.
#[derive(Clone, Copy, Debug)]
struct Row {
    addr: u64,
    file: u32,
    line: u32,
    column: u32,
    /// The address is one past the code: nothing follows here.
    end: bool,
    /// A statement begins here.
    statement: bool,
}

/// The line table of a unit, by address.
pub(super) struct Lines {
    /// One row an address: of several the last that begins a statement.
    rows: Box<[Row]>,
    /// All rows of addresses that have several, in the compiler's order.
    several: Box<[Row]>,
}

/// Where the functions of a unit are declared: file and line, sorted. A line of code is of the last one before it.
pub(super) struct Declared(Box<[(u64, u64)]>);

type Program<'a> = gimli::IncompleteLineProgram<Slice<'a>>;

impl<'a> Context<'a> {
    /// The line program of a unit: its file names, and the rows when they are run.
    pub(super) fn program<'u>(&self, unit: &'u Unit<'a>) -> Option<&'u Program<'a>> {
        unit.program
            .get_or_init(|| {
                let dwarf = self.dwarf(unit);
                let (at, inner) = (unit.lines_at?, &unit.inner);
                dwarf.debug_line.program(at, inner.address_size(), inner.comp_dir, inner.name).ok()
            })
            .as_ref()
    }

    fn lines<'u>(&self, unit: &'u Unit<'a>) -> &'u Lines {
        unit.lines.get_or_init(|| {
            let mut rows = Vec::new();
            if let Some(program) = self.program(unit) {
                // a program that breaks off has the rows up to there
                let _ = run(program.clone(), &mut rows);
            }
            // sequences may come in any order; an end sorts before a start at the same address
            rows.sort_by_key(|row| (row.addr, !row.end));
            let (mut one, mut several): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
            for group in rows.chunk_by(|a, b| a.addr == b.addr && !a.end && !b.end) {
                if group.iter().any(|row| group.first().is_some_and(|first| !first.is_of(row))) {
                    several.extend(group);
                }
                one.extend(chosen(group.iter()));
            }
            Lines { rows: one.into_boxed_slice(), several: several.into_boxed_slice() }
        })
    }

    /// The row that an address of the file belongs to. Where several begin at one address, those count that are lines of the
    /// innermost function whose code covers the address, inlined or not: the others are of calls that left no code there.
    pub(super) fn line(&self, unit: &Unit<'a>, addr: u64) -> Option<SourceLine> {
        let lines = self.lines(unit);
        let after = lines.rows.partition_point(|row| row.addr <= addr);
        let row = lines.rows.get(after.checked_sub(1)?)?;
        if row.end {
            return None;
        }
        let first = lines.several.partition_point(|other| other.addr < row.addr);
        let last = lines.several.partition_point(|other| other.addr <= row.addr);
        let several = lines.several.get(first..last).unwrap_or_default();
        let own = || {
            let scope = self.declared_around(unit, addr)?;
            let declared = self.declared(unit);
            chosen(several.iter().filter(|row| declared.of(row) == Some(scope)))
        };
        let own = if several.is_empty() { None } else { own() };
        self.place(unit, own.as_ref().unwrap_or(row))
    }

    /// Where the innermost function around an address is declared: file and line, as this unit numbers them.
    fn declared_around(&self, unit: &Unit<'a>, addr: u64) -> Option<(u64, u64)> {
        let scopes = self.scopes(addr)?;
        let block = gimli::DW_TAG_lexical_block;
        let innermost = scopes.chain.iter().rev().find(|scope| scope.entry.tag() != block)?;
        let of_unit =
            |own: &Arc<Unit<'a>>, entry: &Entry<'a>| declaration(entry).filter(|_| own.start == unit.start);
        self.through_origins(&scopes.unit, &innermost.entry, of_unit)
    }

    fn declared<'u>(&self, unit: &'u Unit<'a>) -> &'u Declared {
        unit.declared.get_or_init(|| {
            let mut all = Vec::new();
            // a unit that breaks off has the functions up to there
            let _ = function_entries(unit, &mut |entry| all.extend(declaration(entry)));
            all.sort_unstable();
            all.dedup();
            Declared(all.into_boxed_slice())
        })
    }

    /// The line of an address, in whatever unit.
    pub(super) fn line_at(&self, addr: u64) -> Option<SourceLine> {
        self.line(&*self.unit_at(addr)?, addr)
    }

    fn place(&self, unit: &Unit<'a>, row: &Row) -> Option<SourceLine> {
        let file = self.file(unit, u64::from(row.file))?;
        Some(SourceLine { file, line: row.line, column: row.column })
    }

    /// The path of a file of a unit's table.
    pub(super) fn file(&self, unit: &Unit<'a>, index: u64) -> Option<Arc<str>> {
        let program = self.program(unit)?;
        let header = program.header();
        let file = header.file(index)?;
        let text = |value: Value<'a>| {
            let bytes = self.dwarf(unit).attr_string(&unit.inner, value).ok()?;
            Some(bytes.to_string_lossy().into_owned())
        };
        let mut path = text(file.path_name())?;
        // directory 0 is the unit's own in every version; below 5 it is not in the table
        if !path.starts_with('/')
            && let Some(directory) = file.directory(header).and_then(text)
        {
            path = format!("{directory}/{path}");
        }
        if !path.starts_with('/')
            && let Some(root) = unit.inner.comp_dir
        {
            path = format!("{}/{path}", root.to_string_lossy());
        }
        Some(tidy(&path).into())
    }

    /// A file, line and column that an entry names in attributes.
    pub(super) fn place_of(
        &self,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
        [file, line, column]: [DwAt; 3],
    ) -> Option<SourceLine> {
        let index = match entry.attr_value(file)? {
            Value::FileIndex(index) => index,
            other => other.udata_value()?,
        };
        let number = |name| {
            entry
                .attr_value(name)
                .and_then(|v| v.udata_value())
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0)
        };
        Some(SourceLine { file: self.file(unit, index)?, line: number(line), column: number(column) })
    }
}

impl Row {
    /// True for a row of the same line.
    const fn is_of(&self, other: &Self) -> bool {
        self.file == other.file && self.line == other.line
    }
}

impl Declared {
    /// Where the function is declared that a row's line is in.
    fn of(&self, row: &Row) -> Option<(u64, u64)> {
        let at = (u64::from(row.file), u64::from(row.line));
        let after = self.0.partition_point(|declared| *declared <= at);
        self.0.get(after.checked_sub(1)?).copied().filter(|(file, _)| *file == at.0)
    }
}

/// Of rows at one address the last that begins a statement, or the last where none does.
fn chosen<'r>(rows: impl Iterator<Item = &'r Row>) -> Option<Row> {
    rows.copied().reduce(|last, this| if this.statement || !last.statement { this } else { last })
}

/// The file and the line that an entry says it is declared at.
fn declaration(entry: &Entry<'_>) -> Option<(u64, u64)> {
    let file = match entry.attr_value(gimli::DW_AT_decl_file)? {
        Value::FileIndex(index) => index,
        other => other.udata_value()?,
    };
    Some((file, entry.attr_value(gimli::DW_AT_decl_line)?.udata_value()?))
}

fn run(program: Program<'_>, rows: &mut Vec<Row>) -> Result<()> {
    let mut all = program.rows();
    while let Some((_, row)) = all.next_row()? {
        if rows.len() >= MAX_ROWS {
            break;
        }
        let line = row.line().map_or(0, |l| l.get());
        let column = match row.column() {
            gimli::ColumnType::LeftEdge => 0,
            gimli::ColumnType::Column(n) => n.get(),
        };
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let this = Row {
            addr: row.address(),
            file: narrow(row.file_index()),
            line: narrow(line),
            column: narrow(column),
            end: row.end_sequence(),
            statement: row.is_stmt(),
        };
        rows.push(this);
    }
    Ok(())
}

/// The path without `.` and `..` components.
fn tidy(path: &str) -> String {
    if !path.contains("/.") {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|p| !p.is_empty() && *p != "..") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

impl DwarfFile {
    /// The line that the code at an address belongs to. For a frame that called another, ask with
    /// the return address less one.
    #[must_use]
    pub fn line(&self, addr: u64) -> Option<SourceLine> {
        let addr = self.linked(addr);
        self.with(|c| c.line_at(addr))
    }

    /// The directory in which the unit of an address was compiled; the paths of [`DwarfFile::line`] that its file
    /// table does not have whole begin with it.
    #[must_use]
    pub fn compiled_in(&self, addr: u64) -> Option<String> {
        let addr = self.linked(addr);
        self.with(|c| Some(tidy(&c.unit_at(addr)?.inner.comp_dir?.to_string_lossy())))
    }

    /// The source files of units whose path is `name` or ends in `/name`, sorted. Reads the first entry of every unit.
    #[must_use]
    pub fn sources_named(&self, name: &str) -> Vec<Arc<str>> {
        let mut found: Vec<Arc<str>> = self.with(|c| {
            let units = c.all_units().into_iter().filter_map(|start| {
                let unit = c.read_unit(start).ok()?;
                let mut path = unit.inner.name?.to_string_lossy().into_owned();
                if let Some(root) = unit.inner.comp_dir.filter(|_| !path.starts_with('/')) {
                    path = format!("{}/{path}", root.to_string_lossy());
                }
                let path = tidy(&path);
                path.strip_suffix(name).is_some_and(|d| d.is_empty() || d.ends_with('/')).then(|| path.into())
            });
            units.collect()
        });
        found.sort();
        found.dedup();
        found
    }

    /// The lines of a range of code, in one unit: where each begins, and the line.
    #[must_use]
    pub fn lines_of(&self, range: std::ops::Range<u64>) -> Vec<(u64, SourceLine)> {
        let (start, end) = (self.linked(range.start), self.linked(range.end));
        self.with(|c| {
            let Some(unit) = c.unit_at(start) else { return Vec::new() };
            let rows = &c.lines(&unit).rows;
            // the row that covers the start begins before it
            let first = rows.partition_point(|row| row.addr <= start).saturating_sub(1);
            let last = rows.partition_point(|row| row.addr < end);
            let rows = rows.get(first..last).unwrap_or_default();
            let shown = rows.iter().filter(|row| !row.end);
            shown
                .filter_map(|row| Some((self.placed(row.addr.max(start)), c.line(&unit, row.addr)?)))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied() {
        assert_eq!(tidy("/a/b/./c.c"), "/a/b/c.c");
        assert_eq!(tidy("/a/b/../c.c"), "/a/c.c");
        assert_eq!(tidy("../x/./y.h"), "../x/y.h");
        assert_eq!(tidy("/.x/y.h"), "/.x/y.h");
    }
}
