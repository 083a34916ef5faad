//! gdb's `set`: convenience variables (`set $x = 5`), and the settings of how values print (`set print pretty on`).

use crate::show::values;
use crate::{CommandError, Cx};
use report::{Line, Report};

/// Takes gdb's form of `set`; none for crash's.
pub(super) fn gdb(cx: &mut Cx<'_>, words: &[&str]) -> Option<Result<Report, CommandError>> {
    match words {
        [first, ..] if first.starts_with('$') => Some(assign(cx, &words.join(" "))),
        ["var" | "variable", rest @ ..] => Some(assign(cx, &rest.join(" "))),
        ["print" | "p" | "pr", rest @ ..] => Some(print(cx, rest)),
        ["output-radix", value] => Some(crash(cx, &["radix", value])),
        [
            "confirm" | "pagination" | "height" | "width" | "verbose" | "logging" | "listsize" | "language"
            | "disassembly-flavor",
            ..,
        ] => {
            let why =
                format_args!("{}: there is no gdb inside, and nothing here depends on it", words.join(" "));
            Some(Err(CommandError::failed(why)))
        }
        _ => None,
    }
}

/// crash's setting of the same.
fn crash(cx: &mut Cx<'_>, words: &[&str]) -> Result<Report, CommandError> {
    super::variables(cx, words)
}

/// `$x = EXPRESSION`
fn assign(cx: &mut Cx<'_>, text: &str) -> Result<Report, CommandError> {
    let usage =
        || CommandError::argument("set $NAME = EXPRESSION: only such variables can be set, a dump never is");
    let (name, value) = text.split_once('=').ok_or_else(usage)?;
    let name = name.trim().strip_prefix('$').ok_or_else(usage)?;
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let value = value.trim();
    if !is_name(name) || value.is_empty() || value.starts_with('=') {
        return Err(usage());
    }
    let s = cx.session()?;
    if s.arch().reg_set().number(name).is_some() {
        return Err(CommandError::failed(format_args!("${name} is a register: a dump's are as they are")));
    }
    let frame = values::frame(cx, s, value);
    let found = {
        let scope = values::scope(cx, s, frame.as_ref());
        inspect::eval(&scope, value).map_err(|e| values::wrong_in(s, value, &e))?
    };
    cx.settings.convenience.insert(name.to_owned(), found);
    // as in gdb, nothing is shown
    let mut report = Report::new("set");
    report.hidden("variable", name.to_owned());
    Ok(report)
}

/// What can be set by `set print`.
pub const PRINT_SETTINGS: &[&str] = &["array", "elements", "null-stop"];

/// `set print ...`: what has a setting of crash's becomes it; what is always so may be asked for.
fn print(cx: &mut Cx<'_>, words: &[&str]) -> Result<Report, CommandError> {
    let is_on = |word: Option<&&str>| match word {
        None => Ok(true),
        Some(&("on" | "1" | "yes" | "enable")) => Ok(true),
        Some(&("off" | "0" | "no" | "disable")) => Ok(false),
        Some(other) => Err(CommandError::argument(format_args!("set print: {other} is neither on nor off"))),
    };
    let on_off = |on| if on { "on" } else { "off" };
    let [what, rest @ ..] = words else {
        return Err(CommandError::argument("set print elements N, array, null-stop, pretty, ... on | off"));
    };
    match *what {
        "elements" => {
            let most = match rest {
                [] | ["0" | "unlimited"] => "unlimited",
                [n] => n,
                _ => return Err(CommandError::argument("set print elements N")),
            };
            crash(cx, &["print_max", most])
        }
        "array" | "arr" => {
            let on = is_on(rest.first())?;
            crash(cx, &["print_array", on_off(on)])
        }
        "null-stop" => {
            let on = is_on(rest.first())?;
            crash(cx, &["null-stop", on_off(on)])
        }
        // how values always print here
        "pretty"
        | "symbol"
        | "address"
        | "union"
        | "repeats"
        | "static-members"
        | "sevenbit-strings"
        | "vtbl"
        | "object"
        | "demangle"
        | "asm-demangle"
        | "symbol-filename"
        | "max-symbolic-offset"
        | "frame-arguments"
        | "entry-values" => always(what, rest, &is_on),
        other => Err(CommandError::argument(format_args!("set print {other}: there is no such setting"))),
    }
}

/// What cannot be changed: asking for how it is does nothing, asking for another is an error.
fn always(
    what: &str,
    rest: &[&str],
    is_on: &dyn Fn(Option<&&str>) -> Result<bool, CommandError>,
) -> Result<Report, CommandError> {
    let refuse = || Err(CommandError::failed(format_args!("set print {what}: it cannot be changed here")));
    match (what, rest) {
        ("repeats", ["10"]) => {}
        ("repeats" | "max-symbolic-offset" | "frame-arguments" | "entry-values", _) => return refuse(),
        ("pretty" | "symbol" | "address" | "union" | "demangle" | "asm-demangle", rest) => {
            if !is_on(rest.first())? {
                return refuse();
            }
        }
        (_, rest) => {
            if is_on(rest.first())? {
                return refuse();
            }
        }
    }
    let mut report = Report::new("set");
    report.line(Line::of(format!("print {what}: as it is")));
    Ok(report)
}
