//! `whatis`: what a name stands for, and types by their size or members.

mod gdb;

use crate::cmd::data::structs;
use crate::show::values;
use crate::{CommandError, Cx, Example, Run, after_options};
use cexpr::{ErrorKind, ExprError, LayoutOptions, Outcome, Scope as _};
use debuginfo::types::{CompoundKind, Scope, SourceId, Space, Type, TypeRef, Types};
use kernel::Session;
use report::{Line, Record, Report, Role};
use std::collections::BTreeSet;

/// Structs within structs that a search looks through.
const MAX_DEPTH: usize = 16;

/// More files with types than a session has.
const MAX_SOURCES: u16 = 4096;

/// `whatis`.
#[derive(Debug)]
pub(crate) struct Whatis;

/// The arguments of `whatis`.
#[derive(clap::Args)]
pub(crate) struct WhatisArgs {
    /// Offsets of members
    #[arg(short = 'o')]
    offsets: bool,
    /// All definitions of the name that differ, of the kernel and its modules
    #[arg(short = 'a')]
    all: bool,
    /// The definition of the type of an expression too (gdb's ptype)
    #[arg(long)]
    ptype: bool,
    /// All types whose names a regular expression fits (gdb's info types)
    #[arg(long, value_name = "REGEX", num_args = 0..=1, default_missing_value = ".")]
    types: Option<String>,
    /// The variables that a place in code can name (gdb's info scope)
    #[arg(long, value_name = "FUNCTION | ADDRESS")]
    scope: Option<String>,
    /// What is known of macros (gdb's macro and info macro)
    #[arg(long)]
    macros: bool,
    /// Structs of this size
    #[arg(short = 'r', value_name = "SIZE[-SIZE]")]
    size: Option<String>,
    /// Structs with a member of this type
    #[arg(short = 'm', value_name = "TYPE")]
    member: Option<String>,
    /// What to look up
    #[arg(value_name = "TYPE | SYMBOL | EXPRESSION", num_args = 0..)]
    what: Vec<String>,
}

impl Run for Whatis {
    type Args = WhatisArgs;
    fn name(&self) -> &'static str {
        "whatis"
    }
    fn about(&self) -> &'static str {
        "search for data or type information"
    }
    fn details(&self) -> &'static str {
        "Shows the declaration of a variable or function, the definition of a type, the value of an enumerator, or \
         the type of an expression. With -r and -m it lists the structs and unions of a size, and those that \
         contain a member of a type or a pointer to it, in themselves or in a struct within them."
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        after_options(valued(words), "oa", "rm")
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("whatis task_struct", "a type"),
                Example::new("whatis -o list_head", "with offsets"),
                Example::new("whatis -a list_head", "every definition of the name"),
                Example::new("whatis jiffies", "a variable"),
                Example::new("whatis vfs_read", "a function"),
                Example::new("whatis init_task.mm", "an expression"),
                Example::new("whatis --types ^virtio", "types by their names; also info types ^virtio"),
                Example::new(
                    "whatis --scope vfs_read",
                    "the variables of a function; also info scope vfs_read",
                ),
                Example::new("whatis -r 64", "structs of 64 bytes"),
                Example::new(
                    "whatis -m wait_queue_head -r 100-200",
                    "structs of a size with a member of a type",
                ),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &WhatisArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let words: Vec<&str> = args.what.iter().map(String::as_str).collect();
        if args.macros {
            return Err(gdb::macros(s));
        }
        if let Some(pattern) = &args.types {
            return gdb::types(cx, s, pattern);
        }
        if let Some(place) = &args.scope {
            return gdb::scope(cx, s, place);
        }
        let (size, member) = (args.size.as_ref(), args.member.as_ref());
        if size.is_some() || member.is_some() {
            let range = size.map(|text| sizes(text)).transpose()?;
            return search(cx, s, range, member.map(String::as_str));
        }
        if words.is_empty() {
            return Err(CommandError::usage(
                "a type, symbol or expression is missing",
                "whatis [-o] TYPE | SYMBOL | EXPRESSION, or whatis [-r SIZE[-SIZE]] [-m TYPE]",
            ));
        }
        if args.all {
            inspect::load_modules(s);
        }
        if args.ptype {
            return ptype(cx, s, &words.join(" "), args.offsets);
        }
        what(cx, s, &words, args.offsets, args.all)
    }
}

/// `--types REGEX` and `--scope PLACE` as one word each, so that what follows is no operand.
fn valued(words: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        match out.last_mut() {
            Some(last) if matches!(last.as_str(), "--types" | "--scope") => {
                last.push('=');
                last.push_str(&word);
            }
            _ => out.push(word),
        }
    }
    out
}

fn what(cx: &Cx<'_>, s: &Session, words: &[&str], offsets: bool, all: bool) -> Result<Report, CommandError> {
    let text = words.join(" ");
    let frame = values::frame(cx, s, &text);
    let scope = values::scope(cx, s, frame.as_ref());
    let types = s.types();
    let mut report = Report::new("whatis");
    if let Some(symbol) = scope.symbol(&text).into_iter().find(|symbol| symbol.ty.is_some())
        && let Some(ty) = symbol.ty
    {
        let name = text.rsplit(':').next().unwrap_or(&text);
        report
            .line(Line::new().field("declaration", format!("{};", types.declare(ty, name))).role(Role::Type));
        return Ok(report);
    }
    if let Some((ty, value)) = types.find_enumerator(&text).first() {
        report.line(
            Line::new().field("type", types.name(*ty)).role(Role::Type).text(" = ").field("value", *value),
        );
        return Ok(report);
    }
    // STRUCT.MEMBER, where STRUCT is no variable
    let plain = match words {
        ["struct" | "union", name] | [name] => Some(*name),
        _ => None,
    };
    if let Some((name, _)) = plain.and_then(|p| p.split_once('.'))
        && scope.symbol(name).is_empty()
        && scope.local(name).is_none()
        && let Some(report) = structs::members(&scope, plain.unwrap_or(""))?
    {
        return Ok(report);
    }
    match inspect::eval_or_type(&scope, &text) {
        Ok(Outcome::Type(ty)) => {
            definition(s, ty, offsets, &mut report)?;
            others(s, ty, offsets, all, &mut report)?;
        }
        Ok(Outcome::Value(value)) => {
            report.line(Line::new().field("type", types.name(value.ty)).role(Role::Type));
        }
        Err(wrong) => match inspect::type_named(&scope, &text) {
            Ok(ty) => {
                definition(s, ty, offsets, &mut report)?;
                others(s, ty, offsets, all, &mut report)?;
            }
            Err(other) => return Err(values::wrong_in(s, &text, better(&wrong, &other))),
        },
    }
    Ok(report)
}

/// Of what is wrong with a name as a symbol and as a type, the one that has names near to it.
fn better<'e>(symbol: &'e ExprError, ty: &'e ExprError) -> &'e ExprError {
    match (&symbol.kind, &ty.kind) {
        (ErrorKind::UnknownName { near, .. }, ErrorKind::UnknownType { near: types, .. })
            if near.is_empty() && !types.is_empty() =>
        {
            ty
        }
        _ => symbol,
    }
}

/// `type = `, and what the type of an expression is behind its typedefs.
fn ptype(cx: &Cx<'_>, s: &Session, text: &str, offsets: bool) -> Result<Report, CommandError> {
    let frame = values::frame(cx, s, text);
    let scope = values::scope(cx, s, frame.as_ref());
    let types = s.types();
    let ty = match inspect::eval_or_type(&scope, text) {
        Ok(Outcome::Type(ty)) => ty,
        Ok(Outcome::Value(value)) => value.ty,
        Err(wrong) => inspect::type_named(&scope, text).map_err(|_| values::wrong_in(s, text, &wrong))?,
    };
    let ty = types.resolve(ty).map_or(ty, |(at, _)| at);
    let mut report = Report::new("whatis");
    report.hidden("type", types.name(ty));
    if offsets && let Some(text) = cexpr::sizes_text(types, ty).map_err(CommandError::failed)? {
        values::lines(&mut report, &text);
        return Ok(report);
    }
    let lines = cexpr::layout_text(types, ty, &LayoutOptions::default()).map_err(CommandError::failed)?;
    let shown: Vec<&str> = lines.lines().filter(|line| !line.starts_with("SIZE: ")).collect();
    values::lines(&mut report, &format!("type = {}", shown.join("\n")));
    Ok(report)
}

fn definition(s: &Session, ty: TypeRef, offsets: bool, report: &mut Report) -> Result<(), CommandError> {
    let options = LayoutOptions::with_offsets(offsets);
    let text = cexpr::layout_text(s.types(), ty, &options).map_err(CommandError::failed)?;
    values::lines(report, &text);
    report.hidden("type", s.types().name(ty));
    if s.types().size_of(ty).is_ok() {
        report.hidden("size", crate::cmd::data::structs::size(s.types(), ty));
    }
    crate::cmd::data::structs::where_from(s, ty, report);
    Ok(())
}

/// Other definitions of a type's name, which differ from the one that was shown: listed with `all`,
/// else told of.
fn others(
    s: &Session,
    ty: TypeRef,
    offsets: bool,
    all: bool,
    report: &mut Report,
) -> Result<(), CommandError> {
    let types = s.types();
    let (space, name) = match types.get(ty).as_deref() {
        Ok(Type::Compound { kind: CompoundKind::Struct, name: Some(name), .. }) => {
            (Space::Struct, name.clone())
        }
        Ok(Type::Compound { kind: CompoundKind::Union, name: Some(name), .. }) => {
            (Space::Union, name.clone())
        }
        Ok(Type::Enum { name: Some(name), .. }) => (Space::Enum, name.clone()),
        Ok(Type::Typedef { name, .. }) => (Space::Typedef, name.clone()),
        _ => return Ok(()),
    };
    let options = LayoutOptions::with_offsets(true);
    let text = |at| cexpr::layout_text(types, at, &options).unwrap_or_default();
    let mut seen = vec![text(ty)];
    let mut owners = Vec::new();
    for at in types.find(space, &name) {
        let shape = text(at);
        if shape.is_empty() || seen.contains(&shape) {
            continue;
        }
        seen.push(shape);
        let owner = match types.source(at.source).map(|source| source.scope()) {
            Some(Scope::Module(module)) => format!("module {module}"),
            _ => "another file of the kernel".to_owned(),
        };
        if all {
            report.blank();
            report.text(format!("another definition, in {owner}:"));
            definition(s, at, offsets, report)?;
        }
        owners.push(owner);
    }
    if !owners.is_empty() && !all {
        report.info(format!(
            "whatis: {name} is defined otherwise as well, in {}: \"whatis -a {name}\" shows all",
            owners.join(", ")
        ));
    }
    Ok(())
}

/// `64` or `60-64`.
fn sizes(text: &str) -> Result<(u64, u64), CommandError> {
    let number = |t: &str| match t.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => t.parse().ok(),
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (number(low), number(high)) {
        (Some(low), Some(high)) if low <= high => Ok((low, high)),
        _ => Err(CommandError::argument(format_args!("invalid size or range: {text}"))),
    }
}

/// The sources of types that answer: for one scope the first, since a second describes the same build.
fn each_name(types: &Types, each: &mut dyn FnMut(&str, TypeRef)) {
    let mut answered = Vec::new();
    for id in 0..MAX_SOURCES {
        let Some(source) = types.source(SourceId(id)) else { continue };
        if answered.contains(&source.scope()) {
            continue;
        }
        let mut any = false;
        for space in [Space::Struct, Space::Union] {
            source.names(space, &mut |name, at| {
                any = true;
                each(name, at);
                true
            });
        }
        if any {
            answered.push(source.scope());
        }
    }
}

fn search(
    cx: &Cx<'_>,
    s: &Session,
    range: Option<(u64, u64)>,
    member: Option<&str>,
) -> Result<Report, CommandError> {
    let types = s.types();
    let mut found: BTreeSet<(u64, String)> = BTreeSet::new();
    each_name(types, &mut |name, at| {
        let Ok(size) = types.size_of(at) else { return };
        let fits = range.is_none_or(|(low, high)| (low..=high).contains(&size));
        if size == 0 || !fits || cx.cancel.check().is_err() {
            return;
        }
        if member.is_none_or(|wanted| has_member(types, at, wanted, 0)) {
            found.insert((size, name.to_owned()));
        }
    });
    cx.cancel.check()?;
    let mut report = Report::new("whatis");
    if found.is_empty() {
        report.text("(none found)");
        return Ok(report);
    }
    let width = found.last().map_or(4, |(size, _)| size.to_string().len()).max(4);
    report.line(Line::heading(format!("{:>width$}  TYPE", "SIZE")));
    let rows = found.into_iter().map(|(size, name)| {
        let line = Line::new().field("size", size).right(width).text("  ");
        Record::of(line.field("type", name).role(Role::Type))
    });
    report.list("types", rows.collect());
    Ok(report)
}

/// True where a member, or one of a struct within, has a type whose name contains `wanted`.
fn has_member(types: &Types, at: TypeRef, wanted: &str, depth: usize) -> bool {
    let Ok((_, ty)) = types.resolve(at) else { return false };
    let Type::Compound { members, .. } = &*ty else { return false };
    depth < MAX_DEPTH
        && members.iter().any(|m| {
            base_name(types, m.ty).is_some_and(|name| name.contains(wanted))
                || has_member(types, element(types, m.ty), wanted, depth + 1)
        })
}

/// The name of what a member is, points to, or has elements of; a function's parameters do not count.
fn base_name(types: &Types, mut at: TypeRef) -> Option<String> {
    for _ in 0..MAX_DEPTH {
        match types.get(at).as_deref() {
            Ok(Type::Pointer { to } | Type::Qualified { to, .. }) => at = *to,
            Ok(Type::Array { elem, .. }) => at = *elem,
            Ok(Type::Func { .. }) | Err(_) => return None,
            Ok(_) => break,
        }
    }
    Some(types.name(at))
}

fn element(types: &Types, mut at: TypeRef) -> TypeRef {
    for _ in 0..MAX_DEPTH {
        match types.resolve(at).as_ref().map(|(_, t)| &**t) {
            Ok(Type::Array { elem, .. }) => at = *elem,
            _ => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ranges() {
        assert_eq!(sizes("64").unwrap(), (64, 64));
        assert_eq!(sizes("0x10-0x20").unwrap(), (16, 32));
        assert!(sizes("9-3").unwrap_err().to_string().contains("invalid size or range: 9-3"));
        assert!(sizes("x").is_err());
    }
}
