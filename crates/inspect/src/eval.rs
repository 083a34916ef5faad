//! Expressions over a session, with the types of modules made known when a name is missed.
//!
//! **Invariant**: the types of all modules are read once, and only after the kernel's own did not
//! know a name, so that a struct of the kernel's costs no module.

use crate::SessionScope;
use cexpr::{ErrorKind, ExprError, Outcome, Value};
use debuginfo::types::TypeRef;
use kernel::Session;

/// Makes the types of all modules known. Returns false where that was done before and nothing new
/// can be expected of it.
pub fn load_modules(s: &Session) -> bool {
    let mut any = false;
    for m in s.modules() {
        // the dump's own types of a module are all it has; its debug file is slow to open
        match s.load_module_types(m) {
            Ok(true) => any = true,
            _ => any |= s.module_debug(m).is_some_and(|file| file.source.is_some()),
        }
    }
    any
}

/// Runs `ask`, and once more with the types of the modules where a name was not known.
///
/// # Errors
/// Those of `ask`.
pub fn with_modules<T>(s: &Session, ask: impl Fn() -> Result<T, ExprError>) -> Result<T, ExprError> {
    let first = ask();
    let missed = matches!(
        first.as_ref().map_err(|e| &e.kind),
        Err(ErrorKind::UnknownName { .. }
            | ErrorKind::UnknownType { .. }
            | ErrorKind::Expected { .. }
            | ErrorKind::NoType(_)
            | ErrorKind::Type(_))
    );
    if missed && load_modules(s) { ask() } else { first }
}

/// The value of an expression.
///
/// # Errors
/// It cannot be read, names what is not known, or needs memory that is not there.
pub fn eval(scope: &SessionScope<'_>, text: &str) -> Result<Value, ExprError> {
    with_modules(scope.session, || cexpr::eval(scope, text))
}

/// The value of an expression, or the type that the text names.
///
/// # Errors
/// See [`eval`].
pub fn eval_or_type(scope: &SessionScope<'_>, text: &str) -> Result<Outcome, ExprError> {
    with_modules(scope.session, || cexpr::eval_or_type(scope, text))
}

/// The type of a tag, typedef or type name.
///
/// # Errors
/// It names no type.
pub fn type_named(scope: &SessionScope<'_>, text: &str) -> Result<TypeRef, ExprError> {
    with_modules(scope.session, || cexpr::parse_type_name(scope, text))
}
