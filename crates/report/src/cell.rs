//! One value of a report, with its type, so that each renderer shows it in its own way.

use base::{Fault, FaultKind, Gap, Missing, PhysAddr, VirtAddr};
use std::borrow::Cow;
use std::fmt;

/// What a piece of text is; terminals and HTML colour by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Role {
    /// No meaning of its own.
    #[default]
    Plain,
    /// An address.
    Addr,
    /// A symbol, with or without offset.
    Symbol,
    /// A number.
    Number,
    /// The name of a type or member.
    Type,
    /// A file, a line, a path.
    Path,
    /// The head of a column or of a block.
    Heading,
    /// What the reader should see first.
    Strong,
    /// What matters least.
    Dim,
    /// What could not be had.
    Absent,
    /// A warning.
    Warning,
    /// An error.
    Error,
}

/// A symbol and a distance from it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SymbolRef {
    /// The symbol's name.
    pub name: String,
    /// Distance from the symbol's address, in bytes.
    pub offset: u64,
    /// The symbol's size in bytes, where it is known and should be shown.
    pub size: Option<u64>,
    /// The module that holds it, where it is not the kernel itself.
    pub module: Option<String>,
    /// True where the offset is shown in hex (`+0x2b`), false where in decimal (`+43`).
    pub hex: bool,
    /// True where text has the name alone: the distance was not asked for. Data has it all the same.
    pub bare: bool,
}

impl fmt::Display for SymbolRef {
    /// `name+43`, `name+0x2b/0x80 [module]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (self.offset, self.hex, self.size) {
            _ if self.bare => {}
            (0, _, None) => {}
            (offset, true, None) => write!(f, "+{offset:#x}")?,
            (offset, false, None) => write!(f, "+{offset}")?,
            (offset, _, Some(size)) => write!(f, "+{offset:#x}/{size:#x}")?,
        }
        match &self.module {
            Some(module) => write!(f, " [{module}]"),
            None => Ok(()),
        }
    }
}

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// A virtual address: bare hex digits in text (`ffff88800…`), a `"0x…"` string in JSON.
    Addr(u64),
    /// A physical address: shown as [`Cell::Addr`] is.
    Phys(u64),
    /// A number read in hex: `width` digits at least, with `0x` where `prefix`; a `"0x…"` string in JSON.
    Hex {
        /// The number.
        value: u64,
        /// Digits at least, filled with zeros.
        width: u8,
        /// With `0x` before it in text.
        prefix: bool,
    },
    /// A whole number: decimal in text, a number in JSON.
    Int(i128),
    /// A quantity in bytes: decimal in text, a number in JSON. Use [`Cell::shown`] for `1.5 GB`.
    Size(u64),
    /// A real number with so many decimals.
    Float(f64, u8),
    /// Text.
    Str(Cow<'static, str>),
    /// Yes or no: `true`/`false` in JSON, `yes`/`no` in text.
    Bool(bool),
    /// A symbol, perhaps with an offset: an object in JSON.
    Symbol(Box<SymbolRef>),
    /// Raw bytes: hex pairs.
    Bytes(Vec<u8>),
    /// Several values: joined by the separator in text, an array in JSON.
    Many(Vec<Cell>, &'static str),
    /// A value whose text is not the one of its type (`00:12:45` for 765 seconds).
    Shown(Box<Cell>, String),
    /// What could not be had: the text that stands for it (`<page excluded>`) and the reason in full.
    Absent {
        /// In text.
        short: Cow<'static, str>,
        /// In JSON (`{"absent": reason}`).
        reason: String,
        /// True where the dump should have it: it is damaged, cut or lacks a page of the kernel. Then the answer is not
        /// whole; it is where this kernel has no such thing or a filter left it out.
        lost: bool,
    },
    /// A count or amount of which only a part could be had: the value is this or more (`at least 13`), and why it is
    /// not known; in JSON `{"absent": reason, "at_least": 13}`.
    AtLeast {
        /// The least that it is.
        least: Box<Cell>,
        /// Why it is not known.
        reason: String,
        /// As of what is absent: true where the dump should have the rest.
        lost: bool,
    },
    /// Nothing: no text, `null` in JSON.
    Null,
}

impl Cell {
    /// An address of either kind.
    #[must_use]
    pub fn addr(at: impl Into<Cell>) -> Self {
        match at.into() {
            Cell::Int(n) => Cell::Addr(n as u64),
            cell => cell,
        }
    }
    /// Text.
    #[must_use]
    pub fn str(text: impl Into<Cow<'static, str>>) -> Self {
        Cell::Str(text.into())
    }
    /// A number in hex with `0x`: `0x2b`.
    #[must_use]
    pub const fn hex(value: u64) -> Self {
        Cell::Hex { value, width: 0, prefix: true }
    }
    /// A number in hex without `0x`, of `width` digits at least.
    #[must_use]
    pub const fn hex_digits(value: u64, width: u8) -> Self {
        Cell::Hex { value, width, prefix: false }
    }
    /// `name+offset`, the offset in decimal.
    #[must_use]
    pub fn symbol(name: impl Into<String>, offset: u64) -> Self {
        Cell::Symbol(Box::new(SymbolRef { name: name.into(), offset, ..SymbolRef::default() }))
    }
    /// A value with a text of its own.
    #[must_use]
    pub fn shown(value: impl Into<Cell>, text: impl Into<String>) -> Self {
        Cell::Shown(Box::new(value.into()), text.into())
    }
    /// What could not be had: `<short>` in text, `reason` in JSON.
    #[must_use]
    pub fn absent(short: &str, reason: impl Into<String>) -> Self {
        Cell::Absent { short: Cow::Owned(format!("<{short}>")), reason: reason.into(), lost: false }
    }
    /// Says whether an absent value is one that the dump should have.
    #[must_use]
    pub fn lost_if(mut self, is_loss: bool) -> Self {
        match &mut self {
            Cell::Absent { lost, .. } | Cell::AtLeast { lost, .. } => *lost = is_loss,
            _ => {}
        }
        self
    }
    /// True where the value, or a part of it, is one that the dump should have and has not.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self {
            Cell::Absent { lost, .. } | Cell::AtLeast { lost, .. } => *lost,
            Cell::Shown(cell, _) => cell.is_lost(),
            Cell::Many(cells, _) => cells.iter().any(Cell::is_lost),
            Cell::Addr(_)
            | Cell::Phys(_)
            | Cell::Hex { .. }
            | Cell::Int(_)
            | Cell::Size(_)
            | Cell::Float(..)
            | Cell::Str(_)
            | Cell::Bool(_)
            | Cell::Symbol(_)
            | Cell::Bytes(_)
            | Cell::Null => false,
        }
    }
    /// What is at least so much: the rest is lost, unless [`Self::lost_if`] says otherwise.
    #[must_use]
    pub fn at_least(least: impl Into<Cell>, reason: impl Into<String>) -> Self {
        Cell::AtLeast { least: Box::new(least.into()), reason: reason.into(), lost: true }
    }
    /// The value, or why it is absent.
    #[must_use]
    pub fn of<T: Into<Cell>, E: Into<Cell>>(value: Result<T, E>) -> Self {
        value.map_or_else(Into::into, Into::into)
    }
    /// What the value is, for colour.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Cell::Addr(_) | Cell::Phys(_) => Role::Addr,
            Cell::Symbol(_) => Role::Symbol,
            Cell::Int(_) | Cell::Size(_) | Cell::Float(..) | Cell::Hex { .. } => Role::Number,
            Cell::Absent { .. } | Cell::AtLeast { .. } => Role::Absent,
            Cell::Shown(cell, _) => cell.role(),
            Cell::Many(cells, _) => cells.first().map_or(Role::Plain, Cell::role),
            Cell::Str(_) | Cell::Bool(_) | Cell::Bytes(_) | Cell::Null => Role::Plain,
        }
    }
}

impl fmt::Display for Cell {
    /// The cell's plain text, unpadded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Addr(at) | Cell::Phys(at) => write!(f, "{at:x}"),
            Cell::Hex { value, width, prefix } => {
                f.write_str(if *prefix { "0x" } else { "" })?;
                write!(f, "{value:0width$x}", width = usize::from(*width))
            }
            Cell::Int(n) => write!(f, "{n}"),
            Cell::Size(n) => write!(f, "{n}"),
            Cell::Float(n, decimals) => write!(f, "{n:.*}", usize::from(*decimals)),
            Cell::Str(s) => f.write_str(s),
            Cell::Bool(b) => f.write_str(if *b { "yes" } else { "no" }),
            Cell::Symbol(s) => fmt::Display::fmt(s, f),
            Cell::Bytes(bytes) => bytes.iter().try_for_each(|b| write!(f, "{b:02x}")),
            Cell::Many(cells, separator) => {
                for (i, cell) in cells.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { separator })?;
                    fmt::Display::fmt(cell, f)?;
                }
                Ok(())
            }
            Cell::Shown(_, text) => f.write_str(text),
            Cell::Absent { short, .. } => f.write_str(short),
            Cell::AtLeast { least, .. } => write!(f, "at least {least}"),
            Cell::Null => Ok(()),
        }
    }
}

macro_rules! from {
    ($($ty:ty => |$v:ident| $cell:expr),* $(,)?) => {
        $(impl From<$ty> for Cell {
            fn from($v: $ty) -> Self {
                $cell
            }
        })*
    };
}

from! {
    u8 => |n| Cell::Int(n.into()), u16 => |n| Cell::Int(n.into()), u32 => |n| Cell::Int(n.into()),
    u64 => |n| Cell::Int(n.into()), usize => |n| Cell::Int(n as i128),
    i32 => |n| Cell::Int(n.into()), i64 => |n| Cell::Int(n.into()), i128 => |n| Cell::Int(n),
    bool => |b| Cell::Bool(b),
    &'static str => |s| Cell::Str(Cow::Borrowed(s)), String => |s| Cell::Str(Cow::Owned(s)),
    Cow<'static, str> => |s| Cell::Str(s),
    VirtAddr => |at| Cell::Addr(at.0), PhysAddr => |at| Cell::Phys(at.0),
    SymbolRef => |s| Cell::Symbol(Box::new(s)),
    Missing => |m| Cell::absent(gap_words(m.why), m.to_string()).lost_if(m.why.is_loss()),
    Fault => |fault| Cell::absent(fault_words(fault.kind), fault.to_string()).lost_if(fault.is_loss()),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// What stands between the angle brackets for a gap of the dump.
const fn gap_words(gap: Gap) -> &'static str {
    match gap {
        Gap::Excluded => "page excluded",
        Gap::NotGiven => "part not given",
        Gap::Absent => "not in dump",
        Gap::NotLogged => "not in a log",
        Gap::Truncated => "dump truncated",
        Gap::NoRecord => "in no record",
        Gap::Corrupt => "page corrupt",
        Gap::Io(_) => "not readable",
    }
}

const fn fault_words(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::NotMapped(_) => "not mapped",
        FaultKind::NonCanonical => "bad address",
        FaultKind::Swapped => "not in memory",
        FaultKind::Table(_) => "page table missing",
        FaultKind::Page(m) => gap_words(m.why),
    }
}
