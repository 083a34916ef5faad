//! `printf`: gdb's, with the values of expressions.

use crate::show::values;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use base::printf::{self, Pointers, Value as Printed};
use cexpr::{Number, Scope as _, Value};
use debuginfo::types::{Encoding, Type};
use inspect::SessionScope;
use kernel::Session;
use report::{Line, Report};

/// `printf`.
#[derive(Debug)]
pub(crate) struct Printf;

/// The arguments of `printf`.
#[derive(clap::Args)]
pub(crate) struct PrintfArgs {
    /// The format in quotes, and an expression for each of its conversions, with commas between them
    #[arg(value_name = "\"FORMAT\", EXPRESSION, ...", num_args = 1.., required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Run for Printf {
    type Args = PrintfArgs;
    fn name(&self) -> &'static str {
        "printf"
    }
    fn about(&self) -> &'static str {
        "print values by a format of C"
    }
    fn details(&self) -> &'static str {
        "Prints a format as C's printf does: d i u x X o f e g c s p and %, with flags, width, precision and l, h, z. %s takes an array \
         of characters, or a pointer to a string in the kernel's memory; %ps and %pS name the function or variable that an address \
         is in; a whole number is converted for %f, %e and %g. There is an expression for each conversion. \\n, \\t, \\\" and \\\\ are what they are in C."
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new(
                    "printf \"%s has %d threads\\n\", init_task.comm, init_task.signal->nr_threads",
                    "text and a number",
                ),
                Example::new("printf \"%#lx\\n\", $rip", "a number in hexadecimal"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &PrintfArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let text = args.words.join(" ");
        let (format, rest) = format(&text)?;
        let mut printed = Vec::new();
        for text in parts(rest) {
            let frame = values::frame(cx, s, text);
            let scope = values::scope(cx, s, frame.as_ref());
            let value = inspect::eval(&scope, text).map_err(|e| values::wrong_in(s, text, &e))?;
            printed.push(value_of(&scope, text, &value)?);
        }
        let text = printf::print_all(&format, &printed, &Memory(s)).map_err(CommandError::failed)?;
        let mut report = Report::new("printf");
        // what ends with an end of line has no line behind it
        let lines = text.strip_suffix('\n').unwrap_or(&text);
        for line in lines.split('\n') {
            report.line(Line::of(line.to_owned()));
        }
        report.hidden("text", text);
        Ok(report)
    }
}

/// The format, and what follows it.
fn format(text: &str) -> Result<(String, &str), CommandError> {
    let missing = || CommandError::argument("a format in quotes comes first: printf \"%d\\n\", EXPRESSION");
    let inner = text.trim_start().strip_prefix('"').ok_or_else(missing)?;
    let mut out = String::new();
    let mut all = inner.char_indices();
    while let Some((at, c)) = all.next() {
        match c {
            '"' => {
                let rest = inner.get(at + 1..).unwrap_or_default().trim();
                return match rest.strip_prefix(',') {
                    Some(rest) => Ok((out, rest)),
                    None if rest.is_empty() => Ok((out, "")),
                    None => Err(CommandError::argument(format_args!("a comma is missing before {rest}"))),
                };
            }
            '\\' => match all.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('a') => out.push('\u{7}'),
                Some(c @ ('"' | '\\')) => out.push(c),
                other => {
                    return Err(CommandError::argument(format_args!(
                        "\\{} is not known",
                        other.unwrap_or(' ')
                    )));
                }
            },
            c => out.push(c),
        }
    }
    Err(CommandError::argument("the format has no end: a \" is missing"))
}

/// The expressions between commas that are in no parentheses, brackets or quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut out, mut depth, mut from, mut quoted) = (Vec::new(), 0_i32, 0, None);
    for (at, c) in text.char_indices() {
        match (quoted, c) {
            (Some(quote), c) => quoted = (c != quote).then_some(quote),
            (None, '"' | '\'') => quoted = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                out.push(text.get(from..at).unwrap_or_default().trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    let last = text.get(from..).unwrap_or_default().trim();
    if !last.is_empty() || !out.is_empty() {
        out.push(last);
    }
    out
}

/// A value as `printf` takes it: characters as text, all else as a number.
fn value_of(scope: &SessionScope<'_>, text: &str, value: &Value) -> Result<Printed, CommandError> {
    let failed = |why: &dyn std::fmt::Display| CommandError::failed(format_args!("{text}: {why}"));
    let types = scope.types();
    if let Ok((_, ty)) = types.resolve(value.ty)
        && let Type::Array { elem: element, .. } = &*ty
    {
        let is_text = matches!(
            types.resolve(*element).as_ref().map(|(_, ty)| &**ty),
            Ok(Type::Int {
                size: 1,
                encoding: Encoding::SignedChar
                    | Encoding::Signed
                    | Encoding::Unsigned
                    | Encoding::UnsignedChar,
                ..
            })
        );
        let size = types.size_of(value.ty).map_err(|e| failed(&e))?;
        if let (Some(at), true) = (value.address(), is_text) {
            let size = usize::try_from(size.min(1 << 16)).unwrap_or(0);
            let raw = scope.memory().cstr(at, size).map_err(|e| failed(&e))?;
            return Ok(Printed::Text(String::from_utf8_lossy(&raw).into_owned()));
        }
        // an array is its address
        return value
            .address()
            .map(|at| Printed::Number(at.0.into()))
            .ok_or_else(|| failed(&"it is no number"));
    }
    match value.number(types, scope.memory()).map_err(|e| failed(&e))? {
        Number::Float(number) => Ok(Printed::Float(number)),
        Number::Int(number) => Ok(Printed::Number(number)),
    }
}

/// The kernel's memory, for `%s` and `%ps`.
struct Memory<'s>(&'s Session);

impl Pointers for Memory<'_> {
    fn string(&self, at: u64) -> Option<String> {
        let raw = self.0.mem().cstr(VirtAddr(at), 1 << 16).ok()?;
        Some(String::from_utf8_lossy(&raw).into_owned())
    }
    fn symbol(&self, at: u64, with_offset: bool) -> Option<String> {
        let found = self.0.locate(VirtAddr(at))?;
        let module = found.symbol.module.map(|module| format!(" [{module}]")).unwrap_or_default();
        let name = found.symbol.name;
        Some(match with_offset {
            true => format!("{name}+{:#x}{module}", found.offset),
            false => format!("{name}{module}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_ends_at_its_quote_and_expressions_at_commas() {
        let (text, rest) = format(r#""%d\t\"x\"\n", a[1, 2], f(3, 4)  "#).unwrap();
        assert_eq!((text.as_str(), parts(rest)), ("%d\t\"x\"\n", vec!["a[1, 2]", "f(3, 4)"]));
        assert_eq!(format("\"x\"").unwrap(), ("x".to_owned(), ""));
        assert!(parts("").is_empty());
        assert_eq!(parts("','"), ["','"]);
        for (line, why) in
            [("x", "a format in quotes"), ("\"x", "no end"), ("\"x\" y", "a comma"), (r#""\q""#, "not known")]
        {
            assert!(format(line).unwrap_err().to_string().contains(why), "{line}");
        }
    }
}
