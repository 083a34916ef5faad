//! The types that `struct` and its kin name, and their definitions.

use super::Ask;
use crate::CommandError;
use crate::show::entries;
use crate::show::values;
use cexpr::{ErrorKind, LayoutLine, LayoutOptions, MemberPath};
use debuginfo::types::{Space, Type, TypeRef, Types};
use inspect::SessionScope;
use kernel::Session;
use report::{Cell, Line, Record, Report};

/// `task_struct.mm->mm_users,comm` to the type and the paths.
pub(super) fn split(word: &str) -> Result<(String, Vec<MemberPath>), CommandError> {
    let Some((name, members)) = word.split_once('.') else { return Ok((word.to_owned(), Vec::new())) };
    let paths = members.split(',').filter(|text| !text.is_empty());
    let paths: Result<Vec<MemberPath>, CommandError> =
        paths.map(|text| MemberPath::parse(text).map_err(|e| values::wrong(text, &e))).collect();
    Ok((name.to_owned(), paths?))
}

/// True where a line whose first word is no command is about a type.
pub(super) fn is_type(s: &Session, word: &str) -> bool {
    let (name, members) = word.split_once('.').unwrap_or((word, ""));
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    // a variable comes before a type, as in crash; with members it is a type's
    if !plain || (members.is_empty() && crate::engine::symbols::value(s, name).is_some()) {
        return false;
    }
    tag(s, name) || (inspect::load_modules(s) && tag(s, name))
}

fn tag(s: &Session, name: &str) -> bool {
    [Space::Struct, Space::Union, Space::Typedef, Space::Enum]
        .into_iter()
        .any(|space| s.types().first(None, space, name).is_some())
}

/// The type of a name; of a `kind`, `struct` or `union`, where that is wanted.
pub(super) fn find(
    kind: Option<&str>,
    scope: &SessionScope<'_>,
    name: &str,
) -> Result<TypeRef, CommandError> {
    let found = entries::known(scope, name).map_err(|e| match &e.kind {
        unknown @ ErrorKind::UnknownType { .. } => {
            let hint = entries::meant(scope, unknown);
            CommandError::failed(format_args!("invalid data structure reference: {name}{hint}"))
        }
        kind => CommandError::failed(kind),
    })?;
    let own = cexpr::compound_word(scope.session.types(), found);
    if let Some(wanted) = kind.filter(|kind| own != Some(*kind)) {
        let hint = match own {
            Some(kind) => format!("; try \"{kind} {name}\""),
            None => String::new(),
        };
        return Err(CommandError::failed(format_args!("data type mismatch: {name} is not a {wanted}{hint}")));
    }
    Ok(found)
}

/// `-l`: a number, or STRUCT.MEMBER.
pub(super) fn offset(scope: &SessionScope<'_>, text: &str) -> Result<u64, CommandError> {
    if let Ok(n) = text.parse::<u64>() {
        return Ok(n);
    }
    if let Some((name, member)) = text.split_once('.') {
        let ty = find(None, scope, name)
            .map_err(|_| CommandError::failed(format_args!("invalid data structure reference: {name}")))?;
        let path = MemberPath::parse(member).map_err(|e| values::wrong(member, &e))?;
        let found = path.locate(scope.session.types(), ty).map_err(|e| values::wrong(member, &e))?;
        return Ok(found.bit_offset / 8);
    }
    crate::engine::number::hex(text).ok_or_else(|| {
        CommandError::argument(format_args!("invalid offset: {text} is neither a number nor STRUCT.MEMBER"))
    })
}

/// The bytes of a type. Where the last known member of a struct ends says nothing of it.
pub(crate) fn size(types: &Types, ty: TypeRef) -> Cell {
    types.exact_size_of(ty).map_or_else(|e| Cell::absent("not known", e.to_string()), Cell::from)
}

/// Says what a layout rests on where that is not the debug information alone.
pub(crate) fn where_from(s: &Session, ty: TypeRef, report: &mut Report) {
    for note in s.layout_notes(ty) {
        report.warning(note);
    }
}

/// The definition of the type, or of members of it.
pub(super) fn definition(ask: &Ask<'_>) -> Result<Report, CommandError> {
    let mut report = Report::new(ask.command);
    describe(ask, None, &mut report.body)?;
    Ok(report)
}

/// The definition, with offsets or addresses where asked for; text and data.
pub(super) fn describe(
    ask: &Ask<'_>,
    at: Option<base::VirtAddr>,
    record: &mut Record,
) -> Result<(), CommandError> {
    let types = ask.s.types();
    let mut options = LayoutOptions::with_offsets(ask.offsets);
    (options.at, options.hex) = (at, ask.hex);
    let mut inner = options.clone();
    inner.inner = true;
    if ask.members.is_empty() {
        let text = cexpr::layout_text(types, ask.ty, &options).map_err(CommandError::failed)?;
        values::lines_of(record, &text);
        let lines = cexpr::layout(types, ask.ty, &inner).map_err(CommandError::failed)?;
        record.hidden("type", types.name(ask.ty));
        record.hidden("size", size(types, ask.ty));
        record.list("members", lines.iter().filter_map(member_data).collect());
        return Ok(());
    }
    let lines = cexpr::layout(types, ask.ty, &inner).map_err(CommandError::failed)?;
    let heart = types.resolve(ask.ty).map_err(CommandError::failed)?.0;
    let size = types.size_of(ask.ty).unwrap_or(0);
    record.text(format!("{} {{", types.name(heart)));
    let mut data = Vec::new();
    for path in &ask.members {
        let found = path.locate(types, ask.ty).map_err(|e| values::wrong(&path.to_string(), &e))?;
        let place = match at {
            Some(at) => format!("[{:x}]", at.0.wrapping_add(found.bit_offset / 8)),
            None if ask.hex => format!("[{:#x}]", found.bit_offset / 8),
            None => format!("[{}]", found.bit_offset / 8),
        };
        let column = match (at, ask.hex) {
            (Some(_), _) => 20,
            (None, true) => format!("{size:#x}").len() + 4,
            (None, false) => size.to_string().len() + 4,
        };
        let direct = lines.iter().find(|l| {
            l.name.as_deref() == Some(path.to_string().as_str()) && l.offset == Some(found.bit_offset / 8)
        });
        let text = match direct {
            Some(l) if !l.text.starts_with('}') => {
                format!("{}{}", " ".repeat(l.depth.saturating_sub(1) * 4), l.text)
            }
            _ => {
                let bits = found.bit_size.map(|w| format!(" : {w}")).unwrap_or_default();
                format!("{}{bits};", types.declare(found.ty, &path.to_string()))
            }
        };
        record.text(format!("{place:>column$} {text}"));
        let mut one = Record::new();
        one.hidden("member", path.to_string());
        one.hidden("type", types.name(found.ty));
        one.hidden("offset", found.bit_offset / 8);
        if let Ok(size) = types.size_of(found.ty) {
            one.hidden("size", size);
        }
        data.push(one);
    }
    record.text("}");
    record.list("members", data);
    Ok(())
}

fn member_data(line: &LayoutLine) -> Option<Record> {
    let name = line.name.as_ref()?;
    let mut one = Record::new();
    one.hidden("member", name.to_string());
    one.hidden("declaration", line.text.clone());
    if let Some(offset) = line.offset {
        one.hidden("offset", offset);
    }
    if let Some((bit, width)) = line.bits {
        one.hidden("bit", bit);
        one.hidden("width", u64::from(width));
    }
    if let Some(size) = line.size {
        one.hidden("size", size);
    }
    one.hidden("depth", line.depth);
    Some(one)
}

/// True for a type with members.
pub(super) fn is_compound(s: &Session, ty: TypeRef) -> bool {
    matches!(s.types().resolve(ty).as_ref().map(|(_, t)| &**t), Ok(Type::Compound { .. }))
}

/// One CPU's head: `[0]: ff1a4b5e1f031980`.
pub(super) fn cpu_line(cpu: u32, at: base::VirtAddr) -> Line {
    Line::new().text("[").field("cpu", cpu).text("]: ").field("address", Cell::Addr(at.0))
}
