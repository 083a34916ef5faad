//! Runs one command and makes a tool's answer of it.

use crate::paging::{self, FILLED, PAGE, Pages};
use base::Cancel;
use commands::{CommandError, Settings};
use kernel::Layers;
use report::Report;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

/// An answer of more than so many bytes, as text or as data, is cut there: whoever reads it page by page has asked too much.
const MOST: usize = 16 << 20;

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    pub(crate) command: String,
    pub(crate) arguments: Vec<String>,
}

/// In which forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Both,
    Text,
    Data,
}

/// A whole answer, in pages.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    question: Question,
    pages: Vec<Report>,
    complete: bool,
    failed: bool,
    warnings: Vec<String>,
}

/// Asks the dump.
///
/// # Errors
/// What the command says.
pub(crate) fn ask(
    layers: Option<&Layers>,
    cancel: &Cancel,
    question: Question,
) -> Result<Answer, CommandError> {
    // each call stands for itself, and the client is not the user
    let mut settings = Settings { files: false, ..Settings::default() };
    settings.dumpfile = layers.map(|layers| layers.image().dump_names.join(" "));
    let words: Vec<String> = std::iter::once(&question.command).chain(&question.arguments).cloned().collect();
    let (mut pages, mut name) = (Pages::new(FILLED, MOST), question.command.clone().into());
    let (mut lacks, mut failed) = (false, false);
    let mut any = false;
    let answered = commands::parts(layers, &mut settings, cancel, &words, &mut |part| {
        (name, any) = (part.command.clone(), true);
        lacks |= part.is_incomplete();
        failed |= part.failed();
        pages.add(part)
    });
    let is_whole = match answered {
        // a limit was reached, and what was known by then is the answer
        Err(CommandError::Cancelled(_)) if any => {
            pages.warning(
                "the call was stopped, as it took longer than one may: this is what was known by then"
                    .to_owned(),
            );
            false
        }
        answered => {
            let is_whole = answered?;
            if !is_whole {
                pages.warning(format!("the answer is cut: it has more than {MOST} bytes; ask for less"));
            }
            is_whole
        }
    };
    let warnings = layers.map(Layers::news).unwrap_or_default();
    Ok(Answer {
        complete: is_whole && !(lacks || is_cut_off(layers)),
        failed,
        pages: pages.finish(&name),
        question,
        warnings,
    })
}

/// True where the dump itself is not whole.
fn is_cut_off(layers: Option<&Layers>) -> bool {
    layers.is_some_and(|layers| layers.image().dump.facts().is_incomplete())
}

impl Answer {
    /// True for the answer to this question.
    pub(crate) fn is_to(&self, question: &Question) -> bool {
        self.question == *question
    }

    /// One page, as a tool answers it.
    pub(crate) fn page(&self, number: usize, form: Form) -> CallToolResult {
        let count = self.pages.len();
        let Some(page) = number.checked_sub(1).and_then(|n| self.pages.get(n)) else {
            return refused(&self.question, &format!("page {number}: the answer has pages 1 to {count}"));
        };
        let short = paging::too_large(page, PAGE);
        let is_short = short.is_some();
        let page = short.as_ref().unwrap_or(page);
        let mut out = told(&self.question);
        out.insert("page".to_owned(), json!(number));
        out.insert("pages".to_owned(), json!(count));
        out.insert(
            "next_page".to_owned(),
            if number < count { json!(number.saturating_add(1)) } else { Value::Null },
        );
        out.insert("complete".to_owned(), json!(self.complete && !is_short));
        out.insert("failed".to_owned(), json!(self.failed));
        out.insert("warnings".to_owned(), json!(self.warnings));
        if form != Form::Text {
            out.insert("data".to_owned(), data_of(page));
        }
        let mut content = Vec::new();
        if form != Form::Data {
            content.push(ContentBlock::text(text(page)));
        }
        if number < count {
            let more = format!(
                "page {number} of {count}: ask for page {} with the same arguments",
                number.saturating_add(1)
            );
            content.push(ContentBlock::text(more));
        }
        content.extend(self.warnings.iter().map(|warning| ContentBlock::text(format!("warning: {warning}"))));
        let mut result = CallToolResult::success(content);
        result.structured_content = Some(Value::Object(out));
        result
    }
}

fn told(question: &Question) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("command".to_owned(), json!(question.command));
    out.insert("arguments".to_owned(), json!(question.arguments));
    out
}

/// An answer that says why there is none.
pub(crate) fn refused(question: &Question, why: &str) -> CallToolResult {
    let mut out = told(question);
    out.insert("complete".to_owned(), json!(false));
    out.insert("failed".to_owned(), json!(true));
    out.insert("error".to_owned(), json!(why));
    let clean = render::Clean::keep(why, render::Keep::Lines);
    let mut result = CallToolResult::error(vec![ContentBlock::text(clean.as_str())]);
    result.structured_content = Some(Value::Object(out));
    result
}

/// A report as text, in which nothing is left that a terminal would obey.
fn text(report: &Report) -> String {
    let mut out = Vec::new();
    // memory takes all
    let _ = render::text(report, render::Colour::Plain, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn data(report: &Report) -> String {
    let mut out = Vec::new();
    let _ = render::json(report, render::Source::default(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The member `data` of a report's JSON.
fn data_of(report: &Report) -> Value {
    let whole: Result<Value, _> = serde_json::from_str(&data(report));
    whole.ok().and_then(|mut whole| Some(whole.get_mut("data")?.take())).unwrap_or_default()
}
