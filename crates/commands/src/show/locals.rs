//! Parameters and local variables of a frame as lines.

use cexpr::{FormatOptions, format_value};
use inspect::SessionScope;
use kernel::Session;
use kernel::stack::backtrace::Backtrace;
use report::{Cell, Keep, Line, Record};

/// `      total_sg = 128` for each variable.
pub(crate) fn of_frame(s: &Session, bt: &Backtrace, frame: usize) -> Vec<Record> {
    let scope = SessionScope::new(s);
    let options = FormatOptions::alone();
    inspect::locals(s, bt, frame)
        .into_iter()
        .map(|l| {
            let tree = format_value(&scope, &l.value, &options);
            let text = tree.to_text();
            let mut line = Line::new().text("      ").field("name", l.name).text(" = ");
            line =
                line.field("value", Cell::str(text.trim_end().replace('\n', "\n      "))).keep(Keep::Lines);
            if let Some(function) = l.function {
                line = line.text("   (of inlined ").field("function", function).text(")");
            }
            let mut record = Record::of(line);
            record.hidden("is_parameter", l.is_param);
            record.hidden("type", s.types().name(l.value.ty));
            if let Some(at) = l.value.address() {
                record.hidden("address", Cell::Addr(at.0));
            }
            if let Some(number) = tree.number {
                record.hidden("number", Cell::Int(number));
            }
            record
        })
        .collect()
}
