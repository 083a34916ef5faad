//! cexpr.
