//! BPF: programs and maps by their ids, and instructions as text.

use crate::session::Session;
use debuginfo::types::Type;

pub mod insn;
pub mod map;
pub mod prog;

/// The name of a number of an `enum`, by one of its enumerators, without the prefix that all have.
fn enumerator_name(s: &Session, any: &str, prefix: &str, number: u64) -> Option<String> {
    let (at, _) = s.types().find_enumerator(any).into_iter().next()?;
    let ty = s.types().get(at).ok()?;
    let Type::Enum { values, .. } = &*ty else { return None };
    let (name, _) = values.iter().find(|(name, n)| *n == i128::from(number) && name.starts_with(prefix))?;
    name.strip_prefix(prefix).map(str::to_owned)
}
