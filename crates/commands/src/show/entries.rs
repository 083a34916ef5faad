//! The entries of lists and trees as `-s STRUCT.MEMBER,...` and `-S` show them, and the offsets that name
//! where a link lies in its struct.

use crate::show::values;
use crate::{CommandError, Cx};
use base::VirtAddr;
use cexpr::{
    ErrorKind, FormatOptions, MemberPath, Radix, Scope, Value, find_tag_or_typedef, format_value, member_text,
};
use debuginfo::types::{Type, TypeRef};
use inspect::SessionScope;
use kernel::Session;
use report::{Cell, Record};

/// What is shown of each entry.
pub(crate) struct Entries<'s> {
    command: &'static str,
    scope: SessionScope<'s>,
    specs: Vec<Spec>,
    format: FormatOptions,
}

/// One `-s` or `-S`.
struct Spec {
    name: String,
    ty: TypeRef,
    members: Vec<MemberPath>,
    /// `-S`: numbers as memory has them.
    plain: bool,
}

/// The options that list and tree share.
#[derive(clap::Args, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Options {
    /// Show each entry as this struct, or these members of it
    #[arg(short = 's', value_name = "STRUCT[.MEMBER,...]")]
    shown: Vec<String>,
    /// The same, numbers of 1 to 8 bytes read straight from memory
    #[arg(short = 'S', value_name = "STRUCT[.MEMBER,...]")]
    plain: Vec<String>,
    /// Integers in hexadecimal
    #[arg(short = 'x')]
    hex: bool,
    /// Integers in decimal
    #[arg(short = 'd')]
    decimal: bool,
}

impl<'s> Entries<'s> {
    /// Reads the shared options.
    pub(crate) fn new(
        cx: &'s Cx<'_>,
        s: &'s Session,
        command: &'static str,
        args: &Options,
    ) -> Result<Self, CommandError> {
        let scope = values::scope(cx, s, None);
        let mut specs = Vec::new();
        for (words, plain) in [(&args.shown, false), (&args.plain, true)] {
            for word in words {
                specs.push(spec(&scope, word, plain)?);
            }
        }
        let format = values::format(cx.settings, args.hex, args.decimal);
        Ok(Self { command, scope, specs, format })
    }
    /// True where nothing but addresses is shown.
    pub(crate) const fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }
    /// True where numbers are hexadecimal.
    pub(crate) fn hex(&self) -> bool {
        self.format.radix == Radix::Hex
    }
    /// What a command's word for an offset stands for.
    pub(crate) fn offset(&self, option: &str, word: &str) -> Result<u64, CommandError> {
        offset(&self.scope, option, word)
    }

    /// Adds what is asked of the object at `at`.
    pub(crate) fn show(&self, at: VirtAddr, record: &mut Record) {
        for spec in &self.specs {
            let object = Value::memory(spec.ty, at);
            if spec.members.is_empty() {
                let tree = format_value(&self.scope, &object, &self.format);
                let word = if self.is_compound(spec.ty) {
                    format!("{} ", self.scope.types().name(spec.ty))
                } else {
                    String::new()
                };
                values::lines_of(record, &format!("{word}{}", tree.to_text()));
                record.record(spec.name.clone(), values::data(&tree));
                continue;
            }
            for path in &spec.members {
                match self.member(spec, &object, path) {
                    Ok((text, tree)) => {
                        values::lines_of(record, &text);
                        values::add_as(record, path.to_string(), &tree);
                    }
                    Err(e) => record.error(format!("{}: {path}: {e}", self.command)),
                }
            }
        }
    }

    fn is_compound(&self, ty: TypeRef) -> bool {
        cexpr::compound_word(self.scope.types(), ty).is_some()
    }

    fn member(
        &self,
        spec: &Spec,
        object: &Value,
        path: &MemberPath,
    ) -> Result<(String, cexpr::ValueTree), cexpr::ExprError> {
        let value = path.apply(&self.scope, object)?;
        let tree = format_value(&self.scope, &value, &self.format);
        let text = match self.plain(spec, &value) {
            Some(text) => format!("  {path} = {text}"),
            None => member_text(&self.scope, object, path, &self.format)?,
        };
        Ok((text, tree))
    }

    /// `-S`: a number without its type's dress, a string up to its end; `None` for anything else.
    fn plain(&self, spec: &Spec, value: &Value) -> Option<String> {
        let (types, mem) = (self.scope.types(), self.scope.memory());
        if !spec.plain {
            return None;
        }
        let (_, ty) = types.resolve(value.ty).ok()?;
        let is_char = |ty: TypeRef| {
            matches!(types.resolve(ty).as_ref().map(|(_, t)| &**t), Ok(Type::Int { size: 1, .. }))
        };
        match &*ty {
            Type::Array { elem, count: Some(count), .. } if is_char(*elem) => {
                let raw = value.raw(mem, (*count).min(4096)).ok()?;
                Some(format!("\"{}\"", String::from_utf8_lossy(base::cstr(&raw))))
            }
            Type::Pointer { .. } => {
                let at = value.to_int(types, mem).ok()? as u64;
                Some(format!("{at:#x}{}", self.code(at)))
            }
            Type::Int { size, .. } | Type::Enum { size, .. } if *size <= 8 => {
                let n = value.to_int(types, mem).ok()?;
                let bits = u32::try_from(*size * 8).ok()?;
                let code = if *size == 8 { self.code(n as u64) } else { String::new() };
                Some(if self.hex() {
                    format!("{:#x}{code}", n as u64 & (u64::MAX >> (64 - bits.clamp(1, 64))))
                } else {
                    format!("{n}{code}")
                })
            }
            _ => None,
        }
    }

    /// ` <symbol>` behind a number that is an address of code, whatever its type: as crash has it.
    fn code(&self, at: u64) -> String {
        match self.scope.session.locate(base::VirtAddr(at)) {
            Some(found) if found.symbol.is_text() && found.offset == 0 => format!(" <{}>", found.symbol.name),
            Some(found) if found.symbol.is_text() && self.scope.session.is_text(base::VirtAddr(at)) => {
                format!(" <{}+{}>", found.symbol.name, found.offset)
            }
            _ => String::new(),
        }
    }
}

fn spec(scope: &SessionScope<'_>, word: &str, plain: bool) -> Result<Spec, CommandError> {
    let (name, members) = word.split_once('.').unwrap_or((word, ""));
    let ty = named(scope, name)?;
    let mut paths = Vec::new();
    for text in members.split(',').filter(|t| !t.is_empty()) {
        let path = MemberPath::parse(text).map_err(|e| values::wrong(text, &e))?;
        let first = path.steps.first().map_or("", |s| s.name.as_str());
        // told now, and not once an entry; what lies behind a pointer shows only there
        let start = MemberPath { steps: path.steps.first().cloned().into_iter().collect() };
        start.locate(scope.types(), ty).map_err(|e| {
            CommandError::failed(format_args!("invalid data structure member reference: {first}: {e}"))
        })?;
        paths.push(path);
    }
    Ok(Spec { name: name.to_owned(), ty, members: paths, plain })
}

fn named(scope: &SessionScope<'_>, name: &str) -> Result<TypeRef, CommandError> {
    known(scope, name).map_err(|e| {
        CommandError::failed(format_args!("invalid structure name: {name}{}", meant(scope, &e.kind)))
    })
}

pub(crate) fn known(scope: &SessionScope<'_>, name: &str) -> Result<TypeRef, cexpr::ExprError> {
    let ask = || {
        find_tag_or_typedef(scope.types(), scope.prefer.as_ref(), name)
            .map_err(|k| k.at(cexpr::Span::default()))
    };
    inspect::with_modules(scope.session, ask)
}

/// Types like one that is not known, or why it may not be known.
pub(crate) fn meant(scope: &SessionScope<'_>, error: &ErrorKind) -> String {
    match error {
        ErrorKind::UnknownType { near, .. } if !near.is_empty() => crate::engine::error::meant(near),
        _ => values::untyped(scope.session).map(|why| format!("; {why}")).unwrap_or_default(),
    }
}

/// An offset: STRUCT.MEMBER, or a number of bytes.
pub(crate) fn offset(scope: &SessionScope<'_>, option: &str, word: &str) -> Result<u64, CommandError> {
    if let Some((name, member)) = word.split_once('.') {
        let invalid = |why: &dyn std::fmt::Display| {
            CommandError::failed(format_args!("invalid {option} argument: {word}: {why}"))
        };
        let ty = known(scope, name)
            .map_err(|e| invalid(&format_args!("there is no struct {name}{}", meant(scope, &e.kind))))?;
        let path = MemberPath::parse(member).map_err(|e| invalid(&e))?;
        let found = path.locate(scope.types(), ty).map_err(|e| invalid(&e))?;
        return Ok(found.bit_offset / 8);
    }
    word.parse::<u64>().ok().or_else(|| crate::engine::number::hex(word)).ok_or_else(|| {
        CommandError::argument(format_args!(
            "invalid {option} argument: {word} is neither a number nor STRUCT.MEMBER"
        ))
    })
}

/// A line with an address, as an entry begins.
pub(crate) fn head(at: VirtAddr) -> Record {
    Record::of(report::Line::new().field("address", Cell::Addr(at.0)))
}
