//! `verdict --syz`: the death as syzkaller's users know it.

use crate::{CommandError, Cx};
use ::verdict::syz::{self, Maintained, Maintainers};
use report::{Cell, Line, Record, Report, Role};
use std::path::Path;

/// Width of the column of heads.
const HEAD: usize = 12;

/// Title, file, maintainers.
pub(super) fn run(cx: &mut Cx<'_>, tree: Option<&str>) -> Result<Report, CommandError> {
    if tree.is_some() {
        cx.may_name_files()?;
    }
    let s = cx.session()?;
    let all = tree.map(maintainers).transpose()?;
    let log = s.log().map_err(Clone::clone)?;
    let found = syz::of_session(s)?;
    cx.cancel.check()?;
    let mut out = Report::new("verdict");
    // a report with a hole has another title, and one before it was the first
    if let Some(why) = log.stopped.as_ref() {
        let left = found.map_or_else(|| "no report".to_owned(), |found| found.title);
        let why = format!("a part of the log is lost ({why}); what is left has: {left}");
        out.line(head("TITLE").field("title", Cell::absent("not known", why.clone()).lost_if(true)));
        out.missing(format!("verdict: {why}"));
        return Ok(out);
    }
    let Some(found) = found else {
        cx.settings.undetermined = true;
        out.line(
            head("TITLE").field("title", Cell::absent("not known", "the log has no report of the kernel")),
        );
        return Ok(out);
    };
    out.line(head("TITLE").field("title", found.title.clone()));
    match &found.corrupted {
        Some(why) => out.line(head("CORRUPTED").field("corrupted", why.clone())),
        None => out.hidden("corrupted", Cell::Null),
    }
    let lines = syz::lines_with_files(s, &found);
    let file = syz::guilty_file(&found, &lines);
    let no_file =
        || Cell::absent("not known", "no line of the report tells a file; a vmlinux with lines does");
    out.line(head("FILE").field("file", file.clone().map_or_else(no_file, Cell::from)));
    let Some(all) = all else { return Ok(out) };
    match file {
        Some(file) => people(&syz::maintainers(&all, &file), &mut out),
        None => out.line(
            head("MAINTAINERS").field("maintainers", Cell::absent("not known", "the file is not known")),
        ),
    }
    Ok(out)
}

fn head(text: &'static str) -> Line {
    Line::new().styled(format!("{text:<HEAD$}"), Role::Heading)
}

fn maintainers(tree: &str) -> Result<Maintainers, CommandError> {
    let path = Path::new(tree).join("MAINTAINERS");
    let text =
        std::fs::read(&path).map_err(|e| CommandError::failed(format!("--tree: {}: {e}", path.display())))?;
    Ok(Maintainers::parse(&String::from_utf8_lossy(&text)))
}

/// A section each.
fn people(all: &[Maintained], out: &mut Report) {
    let many =
        |texts: &[String]| Cell::Many(texts.iter().map(|text| Cell::from(text.clone())).collect(), ", ");
    let row = |section: &Maintained| {
        let mut row = Record::new();
        row.line(head("").field("section", section.section.clone()));
        for (key, texts) in [
            ("maintainers", &section.maintainers),
            ("reviewers", &section.reviewers),
            ("lists", &section.lists),
        ] {
            match texts.is_empty() {
                true => row.hidden(key, many(texts)),
                false => row.line(head("").text(format!("  {key}: ")).field(key, many(texts))),
            }
        }
        row
    };
    out.line(head("MAINTAINERS"));
    out.list("sections", all.iter().map(row).collect());
}
