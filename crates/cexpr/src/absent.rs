//! Why the bits of a value cannot be had.

use base::{Fault, FaultKind, Gap};
use std::fmt;
use std::sync::Arc;

/// Why the bits of a value cannot be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Absent {
    /// Memory that the dump lacks or does not map.
    Fault(Fault),
    /// Anything else: `optimized out`, `register not recovered`.
    Because(Arc<str>),
}

impl Absent {
    /// True where the dump should have the value.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        matches!(self, Absent::Fault(fault) if fault.is_loss())
    }
    /// The mark that stands in the place of the value: `<page excluded>`.
    #[must_use]
    pub fn mark(&self) -> String {
        let gap = |why: Gap| match why {
            Gap::Excluded => "page excluded",
            Gap::NotGiven => "part of the split set not given",
            Gap::Absent => "not in the dump",
            Gap::NotLogged => "not in a log",
            Gap::Truncated => "dump truncated",
            Gap::NoRecord => "in no record of the flattened file",
            Gap::Corrupt => "page corrupt",
            Gap::Io(_) => "dump file not readable",
        };
        match self {
            Absent::Fault(fault) => match fault.kind {
                FaultKind::Page(m) => format!("<{}>", gap(m.why)),
                FaultKind::Table(m) => format!("<page table: {}>", gap(m.why)),
                FaultKind::NotMapped(_) => "<not mapped>".into(),
                FaultKind::NonCanonical => "<not an address>".into(),
                FaultKind::Swapped => "<not in memory>".into(),
            },
            Absent::Because(why) => format!("<{why}>"),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::Fault(fault) => fault.fmt(f),
            Absent::Because(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Absent {}
