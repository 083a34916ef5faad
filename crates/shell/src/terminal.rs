//! What the environment says of the terminal.

/// A terminal that obeys nothing: no colours, no line that is drawn anew, and a pager would only complain.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Colours are not wanted where `NO_COLOR` is set and not empty (no-color.org).
pub(crate) fn wants_colour() -> bool {
    !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
