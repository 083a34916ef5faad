//! The symbols that a loaded module keeps.
