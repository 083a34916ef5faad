//! C expressions over a dump: lexer, parser, evaluator, and the text of types and values.
//!
//! - [`eval`] and [`eval_or_type`] take what an engineer types after `p` or `whatis` to a [`Value`].
//! - [`format_value`] turns a value into a [`ValueTree`], whose text is crash's layout.
//! - [`layout`] lists the members of a type, with offsets, in crash's layout.
//! - [`parse_type_name`] and [`MemberPath`] read the arguments of `struct` and its kin.
//!
//! Everything that an expression names is asked of a [`Scope`], so this crate knows no kernel, no
//! dump and no architecture. **Invariant**: nothing here panics, loops without a bound or writes;
//! what memory lacks stays a value ([`Absent`]) and shows as a mark in the text.

mod absent;
mod apart;
mod ast;
mod build;
mod error;
mod eval;
mod format;
mod fuzz;
mod known_vars;
mod layout;
mod lex;
mod members;
mod parse;
mod path;
mod print;
mod scope;
mod sizes;
mod value;

pub use absent::Absent;
pub use ast::{BinOp, Deriv, Expr, ExprKind, TypeName, TypeSpec, UnOp};
pub use error::{ErrorKind, ExprError, Span};
pub use eval::typename::{find_tag_or_typedef, parse_type_name};
pub use eval::{Outcome, eval, eval_or_type, eval_parsed};
pub use format::{FormatOptions, Letter, Radix, Shape, ValueTree, escaped, float_text, format_value};
#[doc(hidden)]
pub use fuzz::fuzz_expr;
pub use known_vars::{KNOWN_VARS, KnownVar, known_type};
pub use layout::{LayoutLine, LayoutOptions, compound_word, describe_type, enum_lines, layout, layout_text};
pub use members::member_text;
pub use parse::{Parsed, parse, parse_or_type};
pub use path::{MemberPath, Step};
pub use scope::{History, Scope, SymbolAt, SymbolInfo};
pub use sizes::sizes_text;
pub use value::{Bits, Caveat, Number, Place, Value};
