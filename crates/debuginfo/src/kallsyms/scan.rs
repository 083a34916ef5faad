//! Finding kallsyms without knowing where it is.
