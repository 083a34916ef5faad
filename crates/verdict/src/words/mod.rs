//! Sentences.

pub(crate) mod headline;
