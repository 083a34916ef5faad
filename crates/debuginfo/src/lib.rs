//! debuginfo.
