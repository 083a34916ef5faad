//! `verdict`: what killed the machine.

mod json;
mod logged;
mod syz;

use crate::{CommandError, Cx, Example, Run};
use ::verdict::model::{Accessed, CodeLine, Known, Lack, Loss, Operand, Past, Place, Related, Says};
use ::verdict::{How, Options, Statement, Verdict};
use kernel::debug::source::Effort;
use kernel::{Fetch, Session};
use report::{Cell, Item, Line, Record, Report, Role};

/// The version of this command's JSON; it grows by 1 with each change that readers must know of.
const SCHEMA: u32 = 3;

/// `verdict`.
#[derive(Debug)]
pub(crate) struct VerdictCommand;

/// The arguments of `verdict`.
#[derive(clap::Args)]
pub(crate) struct VerdictArgs {
    /// Show how each statement is known, and the commands that show it
    #[arg(short = 'v', long)]
    evidence: bool,
    /// Only the kind of death, the place and the condition: what a session begins with
    #[arg(short = 'b', long, conflicts_with_all = ["evidence", "known"])]
    brief: bool,
    /// Also match the known issues of DIR/*.toml
    #[arg(long, value_name = "DIR")]
    known: Option<String>,
    /// A title that is the same for the same bug, in syzkaller's form, and the file to blame
    #[arg(long, conflicts_with_all = ["evidence", "brief", "known"])]
    syz: bool,
    /// With --syz: who maintains the file, by DIR/MAINTAINERS of a kernel's tree
    #[arg(long, value_name = "DIR", requires = "syz")]
    tree: Option<String>,
}

impl Run for VerdictCommand {
    type Args = VerdictArgs;
    fn name(&self) -> &'static str {
        "verdict"
    }
    fn about(&self) -> &'static str {
        "what killed the machine"
    }
    fn details(&self) -> &'static str {
        "Says what killed the machine: the kind of death, where, the condition or access that failed with the values \
         of its operands, what the machine was doing, the module involved, and known issues that match. Needs \
         nothing but the dump; debug information makes it better. The text of a log (dmesg, a console, netconsole, \
         pstore, a journal) in the place of the dump tells less: what only memory has is said to be not in a log. With -v, each statement shows how it is known \
         (table, dwarf, memory, decoded, log, guessed) and the commands that show it."
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("verdict", "what killed the machine"),
                Example::new("verdict -v", "with all evidence"),
                Example::new("verdict -b", "in three lines"),
                Example::new("verdict --syz", "its title in syzkaller's form, and the file to blame"),
            ]
        }
    }
    fn reads_log(&self, _args: &VerdictArgs) -> bool {
        true
    }
    fn run(&self, cx: &mut Cx<'_>, args: &VerdictArgs) -> Result<Report, CommandError> {
        if args.syz {
            return syz::run(cx, args.tree.as_deref());
        }
        let s = cx.session()?;
        let brief = args.brief;
        if args.known.is_some() {
            cx.may_name_files()?;
        }
        let mut options = Options::default();
        (options.known, options.brief) = (args.known.as_ref().map(Into::into), brief);
        let analyse = |cx: &mut Cx<'_>| {
            // what is known of it first, should a limit end the rest
            let begun = if cx.settings.limited && !brief { Some(begun_with(cx, s, args)?) } else { None };
            let v = ::verdict::analyse(s, &options);
            if let (Some(begun), Some(why)) = (begun, cx.cancel.ended()) {
                return Ok(partial(begun, why));
            }
            // what Ctrl-C cut short is no verdict
            cx.cancel.check()?;
            cx.settings.undetermined = !v.is_determined();
            let mut out = match brief {
                true => short(&v),
                false => shown(&v, &json::Frames::of(s, &v), &statement_at(s, &v), args.evidence),
            };
            lacks(&v, &mut out);
            Ok(out)
        };
        if !cx.is_read_at_once() || cx.settings.at_hand {
            return analyse(cx);
        }
        // somebody waits: first what is at hand tells
        let asked = cx.unasked();
        cx.allow(Fetch::Never);
        let at_hand = analyse(cx)?;
        if cx.unasked() == asked {
            return Ok(at_hand);
        }
        cx.emit(&at_hand)?;
        cx.allow(Fetch::Always);
        let mut fuller = analyse(cx)?;
        if fuller == at_hand {
            return Ok(Report::new("verdict"));
        }
        fuller.body.items.insert(0, Item::Blank);
        fuller.body.items.insert(1, Item::Line(Line::of(FULLER.to_owned())));
        Ok(fuller)
    }
}

/// The kind of death, the place, and the condition or access: each is a part of the whole verdict as well.
fn begun_with(cx: &mut Cx<'_>, s: &Session, args: &VerdictArgs) -> Result<Report, CommandError> {
    let mut options = Options::default();
    options.brief = true;
    let v = ::verdict::analyse(s, &options);
    cx.cancel.check()?;
    cx.settings.undetermined = !v.is_determined();
    let mut out = shown(&v, &json::Frames::of(s, &v), &[], args.evidence);
    lacks(&v, &mut out);
    Ok(out)
}

/// Marks what was known when a limit was reached.
fn partial(mut known: Report, why: &str) -> Report {
    // what only the whole verdict has is not said to be unknown
    known
        .body
        .items
        .retain(|item| !matches!(item, Item::Line(line) if line.fields().any(|f| f.key == "signature")));
    known.hidden("partial", true);
    known.missing(format!("verdict: {why}: this is what was known by then"));
    known
}

/// What the dump lost of a verdict. What is told as unknown is not told twice.
fn lacks(v: &Verdict, out: &mut Report) {
    let (told, untold): (Vec<&Loss>, Vec<&Loss>) =
        v.losses.iter().partition(|loss| v.undetermined.iter().any(|lack| lack.tells(loss)));
    let row = |loss: &&Loss| {
        let mut r = Record::new();
        r.hidden("what", loss.what.to_string());
        r.hidden("lost", Cell::absent("not in dump", loss.why.clone()).lost_if(true));
        r
    };
    if !v.losses.is_empty() {
        out.list("lacks", told.iter().chain(&untold).map(row).collect());
    }
    // what was asked for by name and is of no use is no gap of the dump
    for why in v.undetermined.iter().filter(|lack| matches!(lack, Lack::KnownIssues(_))) {
        out.error(format!("verdict: {why}; those that come with crashlens were compared"));
    }
    for loss in untold {
        out.missing(format!("verdict: {} cannot be read: {}", loss.what, loss.why));
    }
}

/// Where a verdict was shown before debug files came.
const FULLER: &str = "With the debug files that were fetched meanwhile:";

/// What stands behind a guess.
const GUESSED: &str = "   [guessed]";

/// Width of the column of heads.
const HEAD: usize = 11;

fn head(text: &'static str) -> Line {
    Line::new().styled(format!("{text:<HEAD$}"), Role::Heading)
}

fn indent() -> Line {
    Line::of(" ".repeat(HEAD))
}

fn begun(v: &Verdict) -> Report {
    let mut out = Report::new("verdict");
    out.hidden("schema", SCHEMA);
    out.hidden("class", v.class.slug());
    out.hidden("cause", v.cause().word());
    out.hidden("determined", v.is_determined());
    out
}

/// The last lines of a session's banner: what happened, and the condition or access that failed.
fn short(v: &Verdict) -> Report {
    let mut out = begun(v);
    let mut line = banner_head("VERDICT").field("headline", v.headline.to_string());
    if let Some(at) = v.place.as_ref().and_then(Place::source) {
        line = line.text("  ").cell(at).role(Role::Path);
    }
    out.line(line);
    if let Some(c) = &v.condition {
        out.line(banner_head("CONDITION").field("condition", c.to_string()));
        let values: Vec<String> = c
            .operands
            .iter()
            .filter_map(|o| Some(format!("{} = {}", o.name, o.value.as_ref()?.spelt)))
            .collect();
        if !values.is_empty() {
            out.line(banner_head("").field("values", values.join("  ")));
        }
    } else if let Some(a) = &v.access {
        out.line(banner_head("ACCESS").field("access", a.to_string()));
    }
    out
}

/// A label as wide as those of the banner.
fn banner_head(text: &'static str) -> Line {
    let colon = if text.is_empty() { "" } else { ":" };
    Line::new().styled(format!("{text:>12}{colon:<1} "), Role::Heading)
}

/// How many lines of a statement are shown.
const MAX_SOURCE: u32 = 4;

/// The statement at the place in source, where its text is at hand (`--src`): its lines, with their numbers.
fn statement_at(s: &Session, v: &Verdict) -> Vec<(u32, String)> {
    let place = v.place.as_ref().and_then(|p| Some((p.file.as_deref()?, p.line?)));
    let Some((file, first)) = place else { return Vec::new() };
    let Ok(text) = s.source_text(file, Effort::Quick) else { return Vec::new() };
    statement((first..first.saturating_add(MAX_SOURCE)).filter_map(|n| Some((n, text.line(n)?.to_owned()))))
}

/// Lines up to the one that ends a statement; the first alone where none of them does.
fn statement(lines: impl Iterator<Item = (u32, String)>) -> Vec<(u32, String)> {
    let mut out: Vec<(u32, String)> = lines.collect();
    let ends = |(_, text): &(u32, String)| text.trim_end().ends_with([';', '{', '}']);
    let count = out.iter().position(ends).map_or(1, |n| n + 1);
    out.truncate(count);
    out
}

fn shown(v: &Verdict, at: &json::Frames, statement: &[(u32, String)], evidence: bool) -> Report {
    let mut out = begun(v);
    headline(v, &mut out);
    if let Some(victim) = json::victim(v, at) {
        out.record("victim", victim);
    }
    if !statement.is_empty() {
        let row = |(n, (number, text)): (usize, &(u32, String))| {
            let text = text.replace('\t', "    ");
            Record::of(lead(n, "SOURCE").field("line", *number).text("  ").field("text", text))
        };
        out.list("source", statement.iter().enumerate().map(row).collect());
    }
    if let Some(c) = &v.condition {
        let mut r = Record::new();
        r.line(marked(head("CONDITION").field("text", c.to_string()), c.how, false));
        json::condition(c, &mut r);
        r.list("operands", operands(&c.operands, at, evidence));
        code(&c.code, c.within.as_deref(), &mut r);
        out.record("condition", r);
    }
    if let Some(a) = &v.access {
        let mut r = Record::new();
        r.line(marked(head("ACCESS").field("text", a.to_string()), a.how, false));
        json::access(a, &mut r);
        r.list("operands", operands(&a.operands, at, evidence));
        // of a copy the code is who copied's
        let finder = v.reporter.as_ref().filter(|_| !matches!(a.what, Accessed::Copy { .. }));
        code(&a.code, finder.map(|p| p.function.as_str()), &mut r);
        out.record("access", r);
    }
    let section = |name, key, statements: &[Statement], out: &mut Report| {
        self::section(name, key, statements, at, evidence, out);
    };
    section("CONTEXT", "context", &v.context, &mut out);
    logged::shown(v, &mut out);
    section("MODULE", "module", &v.module, &mut out);
    section("WAITS", "waits", &v.waits, &mut out);
    objects(&v.objects, evidence, &mut out);
    if evidence {
        section("RELATED", "related", &v.related, &mut out);
    } else {
        side_by_side("RELATED", "related", &v.related, at, &mut out);
    }
    section("HISTORY", "history", &v.history, &mut out);
    section("KNOWN", "known", &v.known, &mut out);
    let unknown: Vec<Record> = v
        .undetermined
        .iter()
        .filter(|lack| !matches!(lack, Lack::KnownIssues(_)))
        .enumerate()
        .map(|(n, lack)| Record::of(lead(n, "UNKNOWN").field("text", lack.to_string())))
        .collect();
    if !unknown.is_empty() {
        out.list("undetermined", unknown);
    }
    if evidence {
        section("EVIDENCE", "evidence", &v.evidence, &mut out);
    }
    out.line(head("SIGNATURE").field("signature", signature(&v.signature)));
    out
}

/// The signature; where a part of it is not known it is none, as another part would make it another death's.
fn signature(known: &Result<String, String>) -> Cell {
    match known {
        Ok(whole) => whole.clone().into(),
        Err(begins) if begins.is_empty() => {
            Cell::absent("not known", "what the machine died of is not known")
        }
        Err(begins) => Cell::absent(
            &format!("not known; it begins with {begins}"),
            format!(
                "what the dump holds of stack, symbols and log does not tell all of it; it begins with {begins}"
            ),
        ),
    }
}

fn headline(v: &Verdict, out: &mut Report) {
    let mut line = head("VERDICT").field("headline", v.headline.to_string());
    if let Some(p) = &v.place {
        if let Some(at) = p.source() {
            line = line.text("   ").cell(at).role(Role::Path);
        }
        if let Some(f) = &p.inlined {
            line = line.text(format!(" (in inlined {f})"));
        }
    }
    out.line(line);
    out.record("place", v.place.as_ref().map(place).unwrap_or_default());
    if let Some(reporter) = &v.reporter {
        out.record("reporter", place(reporter));
    }
}

/// A place; where memory and log do not tell both, one of them stands.
fn place(p: &Place) -> Record {
    let mut place = Record::new();
    let gone = |what: &str| Cell::absent("not known", format!("{what} of the place is not in the dump"));
    place.hidden("address", if p.address == 0 { gone("the address") } else { Cell::Addr(p.address) });
    let named = !p.function.is_empty();
    place.hidden("function", if named { p.function.clone().into() } else { gone("the symbol") });
    place.hidden("offset", if named { p.offset.into() } else { gone("the symbol") });
    place.hidden("module", p.module.clone());
    place.hidden("file", p.file.clone());
    place.hidden("line", p.line.map_or(Cell::Null, Cell::from));
    place.hidden("inlined", p.inlined.clone());
    place
}

fn lead(n: usize, name: &'static str) -> Line {
    if n == 0 { head(name) } else { indent() }
}

fn section(
    name: &'static str,
    key: &'static str,
    statements: &[Statement],
    at: &json::Frames,
    evidence: bool,
    out: &mut Report,
) {
    let row = |(n, st): (usize, &Statement)| {
        let mut r = Record::of(marked(lead(n, name).field("text", st.text()), st.how, evidence));
        json::statement(&st.says, at, &mut r);
        proof(&mut r, st.how.word(), &st.commands, evidence);
        r
    };
    if !statements.is_empty() {
        out.list(key, statements.iter().enumerate().map(row).collect());
    }
}

/// How many functions of a stack are shown without all evidence.
const TOP_OF_STACK: usize = 4;

/// Objects whose past is known, each with who allocated and freed it. One that nothing is wrong with is shown with the
/// evidence alone.
fn objects(all: &[Known], evidence: bool, out: &mut Report) {
    let shown: Vec<&Known> = all.iter().filter(|o| o.met.is_suspect() || evidence).collect();
    let row = |(n, o): (usize, &&Known)| {
        let mut r = Record::of(lead(n, "OBJECT").field("text", o.to_string()));
        r.hidden("address", Cell::Addr(o.met.begin().0));
        r.list("past", o.past.iter().map(|past| happened(past, evidence)).collect());
        proof(&mut r, How::Memory.word(), &o.commands, evidence);
        r
    };
    if !shown.is_empty() {
        out.list("objects", shown.iter().enumerate().map(row).collect());
    }
}

/// `freed in PID 7: close_it+0x1 < write_it+0x2 < …`
fn happened(past: &Past, evidence: bool) -> Record {
    let count = if evidence { past.stack.len() } else { TOP_OF_STACK };
    let mut text: Vec<&str> = past.stack.iter().take(count).map(String::as_str).collect();
    if text.len() < past.stack.len() {
        text.push("…");
    }
    let mut line = indent().text("  ").field("text", past.to_string());
    if !text.is_empty() {
        line = line.text(": ").text(text.join(" < "));
    }
    let mut r = Record::of(line);
    r.hidden("stack", Cell::Many(past.stack.iter().map(|f| Cell::from(f.clone())).collect(), " < "));
    r
}

/// Short statements, as many in a line as fit.
fn side_by_side(
    name: &'static str,
    key: &'static str,
    statements: &[Statement],
    at: &json::Frames,
    out: &mut Report,
) {
    const WIDTH: usize = 100;
    let mut line = String::new();
    let mut lines = Vec::new();
    for st in statements {
        let mark = if st.how == How::Guessed { GUESSED } else { "" };
        let text = st.text() + mark;
        let is_head = matches!(st.says, Says::Related(Related::Object { .. }));
        if !line.is_empty() && (line.len() + text.len() > WIDTH || is_head) {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push_str("   ");
        }
        line.push_str(&text);
    }
    lines.push(line);
    for (n, line) in lines.into_iter().filter(|l| !l.is_empty()).enumerate() {
        out.line(lead(n, name).text(line));
    }
    let row = |st: &Statement| {
        let mut r = Record::new();
        r.hidden("text", st.text());
        json::statement(&st.says, at, &mut r);
        proof(&mut r, st.how.word(), &st.commands, false);
        r
    };
    if !statements.is_empty() {
        out.list(key, statements.iter().map(row).collect());
    }
}

/// A line of what is a guess, marked; with the evidence a line of its own says how it is known.
fn marked(line: Line, how: How, evidence: bool) -> Line {
    if how == How::Guessed && !evidence { line.text(GUESSED) } else { line }
}

fn proof(r: &mut Record, how: &'static str, commands: &[String], evidence: bool) {
    if evidence {
        let mut line = indent().text("    [").field("how", how).text("]");
        if !commands.is_empty() {
            let cells = commands.iter().map(|c| Cell::from(c.clone())).collect();
            line = line.text("  ").field("commands", Cell::Many(cells, ";  "));
        }
        r.line(line);
    } else {
        r.hidden("how", how);
        r.hidden("commands", Cell::Many(commands.iter().map(|c| Cell::from(c.clone())).collect(), "; "));
    }
}

fn operands(rows: &[Operand], at: &json::Frames, evidence: bool) -> Vec<Record> {
    let names: Vec<String> = rows.iter().map(|row| row.name.to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let spelt = rows.iter().filter_map(|row| row.value.as_ref()).map(|v| v.spelt.chars().count());
    let values = spelt.max().unwrap_or(0);
    let row = |(row, name): (&Operand, String)| {
        let whence = row.whence();
        let mut line = indent().text("  ").field("name", name).left(width).text(" = ");
        line = match &row.value {
            Some(v) if whence.is_empty() => line.field("text", v.spelt.clone()),
            Some(v) => line.field("text", v.spelt.clone()).left(values),
            None => line.field("text", json::gone(row)),
        };
        let line = match whence.as_str() {
            "" => line,
            _ => line.text("   ").field("where", whence.clone()),
        };
        let mut r = Record::of(marked(line, row.how, evidence));
        if whence.is_empty() {
            r.hidden("where", "");
        }
        json::operand(row, at, &mut r);
        proof(&mut r, row.how.word(), &row.commands, evidence);
        r
    };
    rows.iter().zip(names).map(row).collect()
}

/// Instructions; `within` names their function, where that is not the place's.
fn code(lines: &[CodeLine], within: Option<&str>, out: &mut Record) {
    let row = |(n, line): (usize, &CodeLine)| {
        let mut head = lead(n, "CODE");
        if let Some(function) = within {
            head = head.field("function", function.to_owned()).text(" ");
        }
        Record::of(head.field("text", line.to_string()))
    };
    let rows = lines.iter().enumerate().map(row).collect();
    out.list("code", rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_shown_to_its_end() {
        let lines = |all: &[&str]| {
            let numbered: Vec<(u32, String)> = (7..).zip(all.iter().map(|t| (*t).to_owned())).collect();
            statement(numbered.into_iter()).into_iter().map(|(n, _)| n).collect::<Vec<u32>>()
        };
        assert_eq!(lines(&["\tBUG_ON(a);", "\tb();"]), [7]);
        assert_eq!(lines(&["\tBUG_ON(a &&", "\t       b);", "\tc();"]), [7, 8]);
        assert_eq!(lines(&["a", "b", "c", "d"]), [7]);
        assert!(lines(&[]).is_empty());
    }
}
