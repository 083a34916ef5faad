//! Values as text, in the layout that gdb gives crash (`set print pretty on`, 256 elements, no
//! repeat counts).
//!
//! A [`ValueTree`] holds one node a member or element; [`ValueTree::to_text`] lays it out. Memory is
//! read an object at a time; where that fails, a leaf at a time, so that what is there is shown and
//! what is not carries its mark.

mod read;
mod scalar;
mod text;

pub use scalar::{escaped, float_text};
pub use text::Shape;

use crate::absent::Absent;
use crate::scope::Scope;
use crate::value::Value;
use base::VirtAddr;
use debuginfo::types::{CompoundKind, Type, TypeRef};
use read::Node;
use std::sync::Arc;

/// Nodes of one tree; what lies beyond shows as `...`.
const MAX_NODES: usize = 1 << 18;
/// Objects within objects.
const MAX_DEPTH: usize = 64;

/// The base of integers where no letter asks for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Radix {
    /// As their type asks: signed or unsigned decimal.
    #[default]
    Natural,
    /// `-x`
    Hex,
}

/// gdb's format letters: `p/x`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Letter {
    /// `x`: hexadecimal.
    Hex,
    /// `d`: signed decimal.
    Signed,
    /// `u`: unsigned decimal.
    Unsigned,
    /// `o`: octal.
    Octal,
    /// `t`: binary.
    Binary,
    /// `c`: a character.
    Char,
    /// `a`: an address with its symbol.
    Address,
    /// `s`: a string.
    Str,
    /// `f`: a floating-point number.
    Float,
    /// `z`: hexadecimal with leading zeros.
    ZeroHex,
}

impl Letter {
    /// The letter of `p/x` and its kin.
    #[must_use]
    pub const fn from_char(c: char) -> Option<Self> {
        Some(match c {
            'x' => Letter::Hex,
            'd' => Letter::Signed,
            'u' => Letter::Unsigned,
            'o' => Letter::Octal,
            't' => Letter::Binary,
            'c' => Letter::Char,
            'a' => Letter::Address,
            's' => Letter::Str,
            'f' => Letter::Float,
            'z' => Letter::ZeroHex,
            _ => return None,
        })
    }
}

/// How values are shown.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FormatOptions {
    /// The base of integers.
    pub radix: Radix,
    /// The letter behind `p/`; changes every scalar, strings become arrays.
    pub letter: Option<Letter>,
    /// Elements of an array, or characters of a string, shown at most (crash's `print_max`).
    pub print_max: usize,
    /// Elements that are equal in a row are counted beyond this many (gdb has 10, crash never counts).
    pub repeats: Option<usize>,
    /// `<symbol+offset>` behind pointers.
    pub symbols: bool,
    /// Character arrays end at the first NUL (crash's `null-stop`).
    pub null_stop: bool,
    /// One array element a line (crash's `print_array`).
    pub array_lines: bool,
    /// The value stands alone, as after `p`: a pointer is led by its type.
    pub alone: bool,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self {
            radix: Radix::Natural,
            letter: None,
            print_max: 256,
            repeats: None,
            symbols: true,
            null_stop: false,
            array_lines: false,
            alone: false,
        }
    }
}

impl FormatOptions {
    /// Those of a value that stands alone, as after `p`.
    #[must_use]
    pub fn alone() -> Self {
        Self { alone: true, ..Self::default() }
    }
}

/// A value laid out: a leaf with its text, or an object with its parts.
#[derive(Clone, PartialEq, Debug)]
pub struct ValueTree {
    /// The member's name; `None` for elements, anonymous members and the root.
    pub name: Option<Arc<str>>,
    /// Its type.
    pub ty: TypeRef,
    /// Leaf, struct or array.
    pub shape: Shape,
    /// The text of a leaf; of an object empty.
    pub text: String,
    /// The parts of an object.
    pub children: Vec<ValueTree>,
    /// Why a leaf's bits are not known; its text is the mark.
    pub absent: Option<Absent>,
    /// The number in a leaf: an integer, an enumerator's value, an address.
    pub number: Option<i128>,
    /// Where it is in memory.
    pub address: Option<VirtAddr>,
    /// True where parts were left out (`...`).
    pub cut: bool,
    /// True for an array whose elements stand one a line.
    pub lines: bool,
}

/// Lays out a value.
#[must_use]
pub fn format_value(scope: &dyn Scope, value: &Value, options: &FormatOptions) -> ValueTree {
    let mut formatter = Formatter { scope, options, nodes: 0 };
    let node = Node::of(value);
    if let Err(kind) = value.check() {
        return formatter.leaf(&node, format!("<{kind}>"), None);
    }
    let mut tree = formatter.node(&node, 0);
    if options.alone
        && options.letter.is_none()
        && let Some(lead) = scalar::lead(scope.types(), value.ty)
        && tree.absent.is_none()
    {
        tree.text.insert_str(0, &lead);
    }
    tree
}

pub(crate) struct Formatter<'s> {
    pub(crate) scope: &'s dyn Scope,
    pub(crate) options: &'s FormatOptions,
    nodes: usize,
}

impl Formatter<'_> {
    pub(crate) fn leaf(&self, node: &Node<'_>, text: String, number: Option<i128>) -> ValueTree {
        ValueTree {
            name: None,
            ty: node.ty,
            shape: Shape::Leaf,
            text,
            children: Vec::new(),
            absent: None,
            number,
            address: node.at,
            cut: false,
            lines: false,
        }
    }

    pub(crate) fn gap(&self, node: &Node<'_>, why: Absent) -> ValueTree {
        ValueTree { absent: Some(why.clone()), ..self.leaf(node, why.mark(), None) }
    }

    fn node(&mut self, node: &Node<'_>, depth: usize) -> ValueTree {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return self.leaf(node, "...".into(), None);
        }
        let (at, ty) = match self.scope.types().resolve(node.ty) {
            Ok(found) => found,
            Err(e) => return self.leaf(node, format!("<{e}>"), None),
        };
        match &*ty {
            Type::Compound { declaration: true, .. } => self.leaf(node, "<incomplete type>".into(), None),
            Type::Compound { kind, .. } => self.compound(node, at, *kind, &ty, depth),
            Type::Array { elem, count } => self.array(node, *elem, *count, depth),
            _ => self.scalar(node, at, &ty),
        }
    }

    fn compound(
        &mut self,
        node: &Node<'_>,
        at: TypeRef,
        kind: CompoundKind,
        ty: &Type,
        depth: usize,
    ) -> ValueTree {
        let Type::Compound { members, size, .. } = ty else { return self.leaf(node, String::new(), None) };
        let whole = node.whole(self.scope.memory(), *size);
        // a struct that cannot be looked at has no members that could be wrong
        let _ = self.scope.types().look_at_layout(at);
        let mut children = Vec::new();
        for m in members.iter() {
            if m.name.is_none() && m.bit_size.is_some() {
                continue; // padding
            }
            if self.nodes > MAX_NODES {
                break;
            }
            // a member that cannot be where its source says is where something else shows it, or not known
            let doubt = m.name.as_ref().and_then(|name| self.scope.types().doubted(at, name));
            let place = doubt.map_or(Some(m.bit_offset), |doubt| doubt.bit_offset(m.bit_offset, m.bit_size));
            let part = whole.part(m.ty, place.unwrap_or(m.bit_offset), m.bit_size);
            let mut child = match place {
                Some(_) => self.node(&part, depth + 1),
                None => self.gap(&part, Absent::Because("place not known".into())),
            };
            child.name.clone_from(&m.name);
            children.push(child);
        }
        let cut = self.nodes > MAX_NODES;
        ValueTree { shape: Shape::Compound(kind), children, cut, ..self.leaf(node, String::new(), None) }
    }

    fn array(&mut self, node: &Node<'_>, elem: TypeRef, count: Option<u64>, depth: usize) -> ValueTree {
        let count = count.unwrap_or(0);
        if count == 0 {
            return self.flexible(node, elem);
        }
        let types = self.scope.types();
        let size = match types.size_of(elem) {
            Ok(size) => size,
            Err(e) => return self.leaf(node, format!("<{e}>"), None),
        };
        if size == 0 {
            return self.flexible(node, elem); // gdb: an array without bytes is its address
        }
        if let Some(text) = self.char_array(node, elem, count) {
            return text;
        }
        let max = self.options.print_max as u64;
        let shown = count.min(max);
        let whole = node.whole(self.scope.memory(), size.saturating_mul(shown));
        let mut children: Vec<ValueTree> = Vec::new();
        for i in 0..shown {
            if self.nodes > MAX_NODES {
                break;
            }
            let bits = size.saturating_mul(i).saturating_mul(8);
            children.push(self.node(&whole.part(elem, bits, None), depth + 1));
        }
        let cut = (children.len() as u64) < count;
        let lines = self.options.array_lines;
        ValueTree { shape: Shape::Array, children, cut, lines, ..self.leaf(node, String::new(), None) }
    }
}
