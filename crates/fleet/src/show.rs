//! Rows and groups as reports.

use crate::find::Found;
use crate::group::Group;
use crate::row::{End, Row};
use jiff::Timestamp;
use report::{Cell, Line, Record, Report, Role};

/// `2026-11-22T22:32:30Z`
fn time(seconds: i64) -> Cell {
    let shown = Timestamp::from_second(seconds).map(|at| at.to_string());
    Cell::shown(seconds, shown.unwrap_or_else(|_| "(no date)".to_owned()))
}

fn told(value: &Result<String, String>) -> Cell {
    match value {
        Ok(value) => value.clone().into(),
        Err(why) => Cell::absent("not known", why.clone()),
    }
}

fn or_none(value: Option<&String>) -> Cell {
    value.map_or(Cell::Null, |value| Cell::from(value.clone()))
}

/// The signature; a part of it is none, as the rest would make it another death's.
fn signature(value: &Result<String, String>) -> Cell {
    match value {
        Ok(whole) => whole.clone().into(),
        Err(begins) if begins.is_empty() => {
            Cell::absent("not known", "what the machine died of is not known")
        }
        Err(begins) => Cell::absent(
            &format!("not known; it begins with {begins}"),
            format!("the dump does not tell all of it; it begins with {begins}"),
        ),
    }
}

/// A row as data.
#[must_use]
pub fn row_report(row: &Row) -> Report {
    let mut out = Report::new("triage");
    out.hidden("kind", "dump");
    out.body.items.extend(row_record(row).items);
    out
}

fn row_record(row: &Row) -> Record {
    let mut out = Record::new();
    out.hidden("file", row.file.display().to_string());
    out.hidden("bytes", Cell::Size(row.bytes));
    out.hidden("end", row.end.word());
    out.hidden("why", or_none(row.why.as_ref()));
    if row.end != End::Failed {
        out.hidden("signature", signature(&row.signature));
        out.hidden("class", or_none(row.class.as_ref()));
        out.hidden("headline", or_none(row.headline.as_ref()));
        out.hidden("place", or_none(row.place.as_ref()));
        out.hidden("source", or_none(row.source.as_ref()));
        out.hidden("module", or_none(row.module.as_ref()));
        out.hidden("known", Cell::Many(row.known.iter().map(|id| Cell::from(id.clone())).collect(), ", "));
    }
    out.hidden("release", told(&row.release));
    out.hidden("host", told(&row.host));
    out.hidden(
        "time",
        row.time.as_ref().map_or_else(|why| Cell::absent("not known", why.clone()), |at| Cell::from(*at)),
    );
    out
}

/// A group as data.
#[must_use]
pub fn group_report(group: &Group<'_>, number: usize) -> Report {
    let mut out = Report::new("triage");
    out.hidden("kind", "group");
    out.hidden("group", number);
    out.hidden("dumps", group.rows.len());
    out.hidden("signature", group.signature.map_or(Cell::Null, signature));
    let many = |values: Vec<&str>| {
        Cell::Many(values.into_iter().map(|value| Cell::from(value.to_owned())).collect(), ", ")
    };
    out.hidden("classes", many(group.each(|row| row.class.as_deref())));
    out.hidden("places", many(group.each(|row| row.place.as_deref())));
    out.hidden("releases", many(group.each(|row| row.release.as_deref().ok())));
    out.hidden("hosts", many(group.each(|row| row.host.as_deref().ok())));
    out.hidden("known", many(group.each(|row| row.known.first().map(String::as_str))));
    let (first, last) = group.times().unzip();
    out.hidden("first", first.map_or(Cell::Null, Cell::from));
    out.hidden("last", last.map_or(Cell::Null, Cell::from));
    let file = |row: &&Row| Cell::from(row.file.display().to_string());
    out.hidden("files", Cell::Many(group.rows.iter().map(file).collect(), " "));
    out
}

/// How many dumps there are, by how the look at them ended.
#[must_use]
pub fn summary(rows: &[Row], groups: &[Group<'_>], found: &Found) -> Report {
    let mut out = Report::new("triage");
    let count = |end: End| rows.iter().filter(|row| row.end == end).count();
    out.hidden("kind", "summary");
    let known = groups.iter().filter(|group| matches!(group.signature, Some(Ok(_)))).count();
    let mut line =
        Line::new().field("dumps", rows.len()).text(" dumps, ").field("groups", known).text(" signatures");
    for (end, words) in [
        (End::Undetermined, " undetermined"),
        (End::Incomplete, " incomplete"),
        (End::Failed, " that could not be looked at"),
    ] {
        match count(end) {
            0 => out.hidden(end.word(), 0),
            n => line = line.text(", ").field(end.word(), n).text(words),
        }
    }
    line = line.text("; ").field("other_files", found.others).text(" other files");
    out.line(line);
    out
}

/// A column: its head, and its cell of a row.
type Column<'a> = (&'static str, Box<dyn Fn(&Row) -> Cell + 'a>);

/// All rows as a table, and the groups below.
#[must_use]
pub fn table(rows: &[Row], groups: &[Group<'_>]) -> Report {
    let mut out = Report::new("triage");
    let of = |row: &Row| groups.iter().position(|group| group.rows.iter().any(|one| std::ptr::eq(*one, row)));
    let numbers: Vec<Cell> =
        rows.iter().map(|row| of(row).map_or(Cell::Null, |n| Cell::from(n.saturating_add(1)))).collect();
    let columns: [Column<'_>; 7] = [
        (
            "CLASS",
            Box::new(|row| {
                row.class.as_ref().map_or_else(|| row.end.word().into(), |class| class.clone().into())
            }),
        ),
        ("PLACE", Box::new(|row| row.place.clone().map_or_else(|| "-".into(), Cell::from))),
        ("RELEASE", Box::new(|row| told(&row.release))),
        ("HOST", Box::new(|row| told(&row.host))),
        (
            "TIME",
            Box::new(|row| {
                row.time.as_ref().map_or_else(|why| Cell::absent("not known", why.clone()), |at| time(*at))
            }),
        ),
        (
            "KNOWN",
            Box::new(|row| if row.known.is_empty() { "-".into() } else { row.known.join(", ").into() }),
        ),
        ("FILE", Box::new(|row| row.file.display().to_string().into())),
    ];
    let width = |(head, cell): &Column<'_>| {
        rows.iter().map(|row| cell(row).to_string().chars().count()).max().unwrap_or(0).max(head.len())
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let mut head = format!("{:>5}", "GROUP");
    for ((name, _), width) in columns.iter().zip(&widths) {
        head.push_str(&format!("  {name:<width$}"));
    }
    out.line(Line::heading(head.trim_end().to_owned()));
    for (row, number) in rows.iter().zip(numbers) {
        let mut line = Line::new().cell(number).right(5);
        for (n, ((_, cell), width)) in columns.iter().zip(&widths).enumerate() {
            let last = n.saturating_add(1) == columns.len();
            line = line.text("  ").cell(cell(row)).left(if last { 0 } else { *width });
        }
        out.line(line);
        if row.end != End::Whole {
            let why = row.why.clone().unwrap_or_default();
            out.line(Line::of("       ").styled(format!("{}: ", row.end.word()), Role::Warning).cell(why));
        }
    }
    out.blank();
    group_lines(groups, &mut out);
    out
}

fn group_lines(groups: &[Group<'_>], out: &mut Report) {
    out.line(Line::heading("GROUP  DUMPS  FIRST                 LAST                  SIGNATURE"));
    for (n, group) in groups.iter().enumerate() {
        let (first, last) = group.times().map(|(first, last)| (time(first), time(last))).unzip();
        let or_dash = |cell: Option<Cell>| cell.unwrap_or_else(|| "-".into());
        let line = Line::new()
            .cell(n.saturating_add(1))
            .right(5)
            .text("  ")
            .cell(group.rows.len())
            .right(5)
            .text("  ");
        let line = line.cell(or_dash(first)).left(20).text("  ").cell(or_dash(last)).left(20).text("  ");
        let name = group.signature.map_or_else(|| "(could not be looked at)".into(), signature);
        out.line(line.cell(name));
        if let Some(headline) = group.rows.iter().find_map(|row| row.headline.clone()) {
            out.line(Line::of("              ").cell(headline).role(Role::Dim));
        }
    }
}
