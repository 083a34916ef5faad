//! Members of an object as `struct foo.a,b.c ADDR` prints them.
//!
//! crash cuts the member's lines out of the whole object: a member in an anonymous one keeps that
//! indentation, and a comma follows each but the last of its struct.

use crate::error::{ErrorKind, ExprError};
use crate::format::{FormatOptions, format_value};
use crate::path::MemberPath;
use crate::scope::Scope;
use crate::value::Value;
use debuginfo::types::{Type, TypeRef, Types};

/// Anonymous members within anonymous members.
const MAX_DEPTH: usize = 16;

/// The lines of a member: `  comm = "bash",` with the newline.
///
/// # Errors
/// There is no such member.
pub fn member_text(
    scope: &dyn Scope,
    object: &Value,
    path: &MemberPath,
    options: &FormatOptions,
) -> Result<String, ExprError> {
    let value = path.apply(scope, object)?;
    let (indent, comma) = surroundings(scope, object, path)?;
    let tree = format_value(scope, &value, options);
    let text = tree.to_text_at(indent, options.repeats);
    let comma = if comma { "," } else { "" };
    Ok(format!("{}{path} = {text}{comma}\n", " ".repeat(indent)))
}

/// The indentation of a path's end within its struct, and whether more members follow it there.
fn surroundings(scope: &dyn Scope, object: &Value, path: &MemberPath) -> Result<(usize, bool), ExprError> {
    let Some((last, before)) = path.steps.split_last() else { return Ok((2, false)) };
    if !last.index.is_empty() {
        return Ok((2, false));
    }
    let mut owner = object.clone();
    if !before.is_empty() {
        owner = MemberPath { steps: before.to_vec() }.apply(scope, object)?;
    }
    let types = scope.types();
    let at = |kind: ErrorKind| kind.at(last.span);
    if owner.is_pointer(types).map_err(at)? {
        owner = owner.deref(types, scope.memory()).map_err(at)?;
    }
    let (depth, follows) = place(types, owner.ty, &last.name, 0).unwrap_or((0, false));
    Ok((2 + 2 * depth, follows))
}

fn place(types: &Types, ty: TypeRef, name: &str, depth: usize) -> Option<(usize, bool)> {
    let (_, full) = types.resolve(ty).ok()?;
    let Type::Compound { members, .. } = &*full else { return None };
    let follows = |i: usize| i + 1 < members.len();
    if let Some(i) = members.iter().position(|m| m.name.as_deref() == Some(name)) {
        return Some((depth, follows(i)));
    }
    if depth >= MAX_DEPTH {
        return None;
    }
    members.iter().filter(|m| m.name.is_none()).find_map(|m| place(types, m.ty, name, depth + 1))
}
