//! gdb's `info types`, `info scope` and `info macro`.

use crate::show::{place, values};
use crate::{CommandError, Cx};
use base::VirtAddr;
use debuginfo::types::{CompoundKind, Space, Type};
use kernel::Session;
use regex_lite::Regex;
use report::{Cell, Line, Record, Report, Role};
use std::collections::BTreeSet;

/// All types whose names a pattern fits, those of the kernel and of modules whose types are loaded.
pub(super) fn types(cx: &Cx<'_>, s: &Session, pattern: &str) -> Result<Report, CommandError> {
    let regex = Regex::new(pattern)
        .map_err(|e| CommandError::argument(format_args!("invalid expression {pattern}: {e}")))?;
    let mut found: BTreeSet<(String, &'static str)> = BTreeSet::new();
    let types = s.types();
    for space in [Space::Struct, Space::Union, Space::Enum, Space::Typedef] {
        let mut stopped = false;
        types.names(space, &mut |name, at| {
            stopped = cx.cancel.check().is_err();
            if regex.is_match(name) {
                let word = match space {
                    Space::Typedef => "typedef",
                    Space::Enum => "enum",
                    _ => match types.resolve(at).as_ref().map(|(_, ty)| &**ty) {
                        Ok(Type::Compound { kind: CompoundKind::Union, .. }) => "union",
                        _ => "struct",
                    },
                };
                found.insert((name.to_owned(), word));
            }
            !stopped
        });
        cx.cancel.check()?;
    }
    let mut report = Report::new("whatis");
    report.line(Line::heading(format!("All defined types matching regular expression \"{pattern}\":")));
    let row = |(name, word): (String, &'static str)| {
        let line = Line::new().field("kind", word).text(" ").field("name", name).role(Role::Type).text(";");
        Record::of(line)
    };
    if found.is_empty() {
        let why = values::untyped(s).unwrap_or_else(|| "no type has such a name".to_owned());
        report.info(format!("whatis: {why}"));
    }
    report.list("types", found.into_iter().map(row).collect());
    Ok(report)
}

/// The variables that a place in code can name.
pub(super) fn scope(cx: &Cx<'_>, s: &Session, text: &str) -> Result<Report, CommandError> {
    let at = code(cx, s, text)?;
    let name = s.locate(at).map_or_else(|| format!("{:#x}", at.0), |found| found.symbol.name.to_owned());
    if s.debug_at(at).is_none() {
        let why = format_args!(
            "{text}: no debug information covers it: a vmlinux, or the module's file, tells its variables"
        );
        return Err(CommandError::failed(why));
    }
    let found = s.variables_at(at);
    let mut report = Report::new("whatis");
    if found.is_empty() {
        report.text(format!("Symbol table for {name} at {:#x} names no variables.", at.0));
    }
    let types = s.types();
    let row = |v: debuginfo::dwarf::Variable| {
        let word = if v.is_param { "a parameter" } else { "a variable" };
        let line = Line::new().text("Symbol ").field("name", v.name.to_string()).role(Role::Symbol);
        let line = line.text(" is ").field("kind", word).text(" of type ");
        let line = line.field("type", types.name(v.ty)).role(Role::Type).text(", length ");
        let mut row = Record::of(match types.size_of(v.ty) {
            Ok(size) => line.field("size", size).text("."),
            Err(e) => line.field("size", Cell::absent("?", e.to_string())).text("."),
        });
        match s.whereabouts(at, &v) {
            Ok(all) if all.is_empty() => row.text("  optimized out"),
            Ok(all) => row.list("places", all.iter().map(place_of).collect()),
            Err(why) => row.warning(format!("whatis: where it is is not known: {why}")),
        }
        row
    };
    report.list("variables", found.into_iter().map(row).collect());
    Ok(report)
}

/// One place of a variable.
fn place_of(one: &debuginfo::dwarf::Whereabouts) -> Record {
    let line = match one.range {
        Some((from, to)) => {
            let line = Line::new().text("  ").field("from", Cell::Addr(from)).text(" - ");
            line.field("to", Cell::Addr(to)).text(": ")
        }
        None => Line::new().text("  "),
    };
    Record::of(line.field("place", one.place.clone()))
}

/// The address of code that a word names.
fn code(cx: &Cx<'_>, s: &Session, text: &str) -> Result<VirtAddr, CommandError> {
    let found = place::resolve(cx, s, text)?;
    match found.is_text {
        true => Ok(found.at),
        false => Err(CommandError::failed(format_args!("{text}: {:#x} is no code", found.at.0))),
    }
}

/// Why macros are not known.
pub(super) fn macros(s: &Session) -> CommandError {
    let has = |name: &str| {
        let file = s.kernel_debug()?;
        file.object.section(name).ok().flatten().map(|_| ())
    };
    let why = match (s.kernel_debug().is_some(), has(".debug_macro").or_else(|| has(".debug_macinfo"))) {
        (_, Some(())) => {
            "the vmlinux has macros, and crashlens does not read them; enumerators and constants are known to p"
        }
        (true, None) => {
            "the vmlinux has no macros (gcc writes them with -g3, and kernels are built without); those that the kernel has as \
             enumerators are known to p"
        }
        (false, None) => {
            "no vmlinux is given that could tell macros; those that the kernel has as enumerators are known to p"
        }
    };
    CommandError::failed(why)
}
