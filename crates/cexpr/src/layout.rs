//! Types laid out: `struct foo`, `struct -o foo`, `whatis foo`, in crash's layout.
//!
//! The column of offsets is as wide as the size in decimal, in brackets, behind two blanks. A
//! member of a named struct defined inside another shows no offset of its own, as in crash; the
//! lines carry it nevertheless.

use crate::error::ErrorKind;
use base::VirtAddr;
use debuginfo::types::{CompoundKind, Type, TypeRef, Types};
use std::sync::Arc;

/// Definitions within definitions.
const MAX_DEPTH: usize = 32;
/// Lines of one layout.
const MAX_LINES: usize = 100_000;

/// One line of a type's definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayoutLine {
    /// Bytes from the start of the outermost type; `None` for lines that are no member.
    pub offset: Option<u64>,
    /// Bits from the start and width, of a bit-field.
    pub bits: Option<(u64, u32)>,
    /// The member's own size in bytes, where it has one.
    pub size: Option<u64>,
    /// Levels of braces around the line.
    pub depth: usize,
    /// True where the line lies in a named member whose type has no name: crash shows no offset.
    pub inner: bool,
    /// The member's name.
    pub name: Option<Arc<str>>,
    /// The text of the line without indentation: `struct list_head *next;`.
    pub text: String,
}

/// How a layout is shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LayoutOptions {
    /// `-o`: a column of offsets.
    pub offsets: bool,
    /// `-o` with an address: addresses in place of offsets.
    pub at: Option<VirtAddr>,
    /// `-x`: offsets and size in hexadecimal.
    pub hex: bool,
    /// Show what crash hides: the offsets within a named member of unnamed type, and the bodies of
    /// unnamed types within it.
    pub inner: bool,
}

impl LayoutOptions {
    /// Those of a plain layout, with a column of offsets or without.
    #[must_use]
    pub fn with_offsets(offsets: bool) -> Self {
        Self { offsets, ..Self::default() }
    }
}

/// The lines of a type: of a struct or union its members, of anything else its declaration.
///
/// # Errors
/// A type on the way cannot be read.
pub fn layout(types: &Types, ty: TypeRef, options: &LayoutOptions) -> Result<Vec<LayoutLine>, ErrorKind> {
    let (heart, typedef) = heart(types, ty)?;
    let mut out = Lines { types, top: heart, all: options.inner, lines: Vec::new() };
    match (&*types.get(heart)?, typedef) {
        (Type::Compound { .. }, typedef) => {
            let lead = if typedef.is_some() { "typedef " } else { "" };
            let open = types.name(heart).replacen(" {...}", "", 1);
            out.plain(0, format!("{lead}{open} {{"));
            out.members(heart, 0, 1, false)?;
            out.plain(0, typedef.map_or("}".into(), |name| format!("}} {name};")));
        }
        (Type::Enum { .. }, None) => out.lines = enum_lines(types, heart)?,
        _ => out.plain(0, declaration(types, ty)?),
    }
    Ok(out.lines)
}

/// The definition behind declarations and typedefs, with the outermost typedef's name.
fn heart(types: &Types, ty: TypeRef) -> Result<(TypeRef, Option<Arc<str>>), ErrorKind> {
    let name = match &*types.get(ty)? {
        Type::Typedef { name, .. } => Some(Arc::clone(name)),
        _ => None,
    };
    Ok((types.resolve(ty)?.0, name))
}

/// `enum TAG {`, `  NAME = VALUE` ..., `};`
///
/// # Errors
/// It is no enumeration, or cannot be read.
pub fn enum_lines(types: &Types, ty: TypeRef) -> Result<Vec<LayoutLine>, ErrorKind> {
    let (at, full) = types.resolve(ty)?;
    let mut out = Lines { types, top: at, all: false, lines: Vec::new() };
    let Type::Enum { values, .. } = &*full else {
        return Err(ErrorKind::Operand { operator: "enum".into(), ty: types.name(ty) });
    };
    out.plain(0, format!("{} {{", types.name(at).replacen(" {...}", "", 1)));
    for (name, value) in values.iter().take(MAX_LINES) {
        out.plain(1, format!("{name} = {value}"));
    }
    out.plain(0, "};".into());
    Ok(out.lines)
}

/// One line for what is no struct: `typedef int pid_t;`, `unsigned long`.
fn declaration(types: &Types, ty: TypeRef) -> Result<String, ErrorKind> {
    Ok(match &*types.get(ty)? {
        Type::Typedef { name, to } => {
            // gdb's ptype: behind all typedefs of the type itself
            let to = types.resolve(*to)?.0;
            format!("typedef {};", with_enum_body(types, to, types.declare(to, name)))
        }
        _ => types.name(ty),
    })
}

struct Lines<'t> {
    types: &'t Types,
    top: TypeRef,
    /// Bodies of unnamed types everywhere, not only where gdb writes them.
    all: bool,
    lines: Vec<LayoutLine>,
}

impl Lines<'_> {
    fn plain(&mut self, depth: usize, text: String) {
        let line = LayoutLine { offset: None, bits: None, size: None, depth, inner: false, name: None, text };
        self.lines.push(line);
    }

    fn members(&mut self, at: TypeRef, base: u64, depth: usize, inner: bool) -> Result<(), ErrorKind> {
        let (_, ty) = self.types.resolve(at)?;
        let Type::Compound { members, .. } = &*ty else { return Ok(()) };
        if members.is_empty() {
            self.plain(depth, "<no data fields>".into());
        }
        for m in members.iter() {
            if self.lines.len() >= MAX_LINES || depth > MAX_DEPTH {
                self.plain(depth, "...".into());
                return Ok(());
            }
            if m.name.is_none() && m.bit_size.is_some() {
                continue; // padding
            }
            let bits = base.saturating_add(m.bit_offset);
            let name = m.name.as_deref().unwrap_or("");
            let declared = self.types.declare(m.ty, name);
            let mut line = LayoutLine {
                offset: Some(bits / 8),
                bits: m.bit_size.map(|w| (bits, w)),
                size: self.types.size_of(m.ty).ok(),
                depth,
                inner: inner && !self.same_outside(name, bits),
                name: m.name.clone(),
                text: String::new(),
            };
            // gdb writes no body within the body of a named member, but for anonymous members
            let hidden = inner && m.name.is_some() && !self.all;
            match unnamed(self.types, m.ty).filter(|_| !hidden) {
                Some(body) => {
                    let (before, after) = cut_body(&declared);
                    self.plain(depth, format!("{before} {{"));
                    let direct = same_type(self.types, m.ty, body);
                    // behind a pointer or in an array the offsets are those within the body
                    let from = if direct { bits } else { 0 };
                    self.members(body, from, depth + 1, inner || m.name.is_some())?;
                    line.text = format!("}}{after};");
                    if m.name.is_none() {
                        line.offset = None;
                    }
                }
                None => {
                    let width = m.bit_size.map(|w| format!(" : {w}")).unwrap_or_default();
                    let declared = if hidden { declared } else { with_enum_body(self.types, m.ty, declared) };
                    line.text = format!("{declared}{width};");
                }
            }
            self.lines.push(line);
        }
        Ok(())
    }

    /// crash finds an offset by the member's name alone: it shows one for an inner member whose name
    /// leads to the same place from outside.
    fn same_outside(&self, name: &str, bits: u64) -> bool {
        !name.is_empty()
            && matches!(self.types.member(self.top, name), Ok(Some(f)) if f.bit_offset / 8 == bits / 8)
    }
}

/// The struct or union without a name at the heart of a declaration: its body is written there.
pub(crate) fn unnamed(types: &Types, ty: TypeRef) -> Option<TypeRef> {
    let mut at = ty;
    for _ in 0..MAX_DEPTH {
        match &*types.get(at).ok()? {
            Type::Pointer { to } | Type::Qualified { to, .. } => at = *to,
            Type::Array { elem, .. } => at = *elem,
            Type::Func { ret, .. } => at = *ret,
            Type::Compound { name: None, .. } => return Some(at),
            _ => return None,
        }
    }
    None
}

fn same_type(types: &Types, ty: TypeRef, body: TypeRef) -> bool {
    types.resolve(ty).is_ok_and(|(at, _)| at == body)
}

/// `const struct {...} *x` to `const struct` and ` *x`.
fn cut_body(declared: &str) -> (&str, &str) {
    declared.split_once(" {...}").unwrap_or((declared, ""))
}

/// The enumerators of an enumeration without a name stand in the declaration.
pub(crate) fn with_enum_body(types: &Types, ty: TypeRef, declared: String) -> String {
    let mut at = ty;
    for _ in 0..MAX_DEPTH {
        let Ok(found) = types.get(at) else { return declared };
        match &*found {
            Type::Pointer { to } | Type::Qualified { to, .. } => at = *to,
            Type::Array { elem, .. } => at = *elem,
            Type::Enum { name: None, values, .. } => {
                let body = enum_body(values);
                return declared.replacen("enum {...}", &format!("enum {{{body}}}"), 1);
            }
            _ => return declared,
        }
    }
    declared
}

/// `A, B = 5, C`: a value is written where it is not the one after the last.
fn enum_body(values: &[(Arc<str>, i128)]) -> String {
    let mut out = String::new();
    let mut next = 0;
    for (i, (name, value)) in values.iter().take(MAX_LINES).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        if *value != next {
            out.push_str(&format!(" = {value}"));
        }
        next = value.saturating_add(1);
    }
    out
}

/// The text of a type as `struct`, `union`, `enum` and `whatis` print it, with its `SIZE:` line.
///
/// # Errors
/// A type on the way cannot be read.
pub fn layout_text(types: &Types, ty: TypeRef, options: &LayoutOptions) -> Result<String, ErrorKind> {
    let lines = layout(types, ty, options)?;
    let is_enum = matches!(*types.resolve(ty)?.1, Type::Enum { .. });
    let size = types.size_of(ty).ok().filter(|_| !is_enum || lines.len() == 1);
    let column = size.map_or(0, |s| width(s, options)) + 4;
    let narrow = size.map_or(0, |s| width(s, &LayoutOptions { at: None, ..*options })) + 4;
    let mut out = String::new();
    for line in &lines {
        let inside = line.depth > 0;
        if options.offsets && inside && !is_enum {
            let shown = line.offset.filter(|_| options.inner || !line.inner);
            let cell = shown.map(|o| format!("[{}]", offset_text(o, options))).unwrap_or_default();
            // among addresses, crash leaves lines without one where they are among offsets
            let column = if cell.is_empty() && options.at.is_some() { narrow } else { column };
            out.push_str(&format!("{cell:>column$} "));
            out.extend(std::iter::repeat_n(' ', (line.depth - 1) * 4));
        } else {
            let step = if is_enum { 2 } else { 4 };
            out.extend(std::iter::repeat_n(' ', line.depth * step));
        }
        out.push_str(&line.text);
        out.push('\n');
    }
    let resolved = types.resolve(ty)?.0;
    if types.is_corrected(resolved) {
        out.push_str("SIZE: not known; memory contradicts the debug information, these members are where it shows them\n");
    } else if types.is_guess(resolved) {
        out.push_str("SIZE: not known; these members are inferred from the kernel's data\n");
    } else if let Some(size) = size {
        out.push_str(&if options.hex { format!("SIZE: {size:#x}\n") } else { format!("SIZE: {size}\n") });
    }
    Ok(out)
}

fn offset_text(offset: u64, options: &LayoutOptions) -> String {
    match (options.at, options.hex) {
        (Some(at), _) => format!("{:x}", at.add(offset)),
        (None, true) => format!("{offset:#x}"),
        (None, false) => offset.to_string(),
    }
}

fn width(size: u64, options: &LayoutOptions) -> usize {
    match (options.at, options.hex) {
        (Some(_), _) => 16,
        (None, true) => format!("{size:#x}").len(),
        (None, false) => size.to_string().len(),
    }
}

/// One line of the layout alone, as `struct foo.member` prints it.
#[must_use]
pub fn describe_type(types: &Types, ty: TypeRef) -> String {
    match layout_text(types, ty, &LayoutOptions::default()) {
        Ok(text) => text,
        Err(e) => format!("{}: {e}\n", types.name(ty)),
    }
}

/// `struct` or `union`, of a compound behind typedefs.
#[must_use]
pub fn compound_word(types: &Types, ty: TypeRef) -> Option<&'static str> {
    match &*types.resolve(ty).ok()?.1 {
        Type::Compound { kind: CompoundKind::Struct, .. } => Some("struct"),
        Type::Compound { kind: CompoundKind::Union, .. } => Some("union"),
        _ => None,
    }
}
