//! Errors of reading kallsyms.

use base::{Fault, VirtAddr};

/// Why the kernel's own symbol table could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KallsymsError {
    /// An array is not readable.
    #[error("{what}: {fault}")]
    Fault {
        /// The array.
        what: &'static str,
        /// Where and why.
        fault: Fault,
    },
    /// A count that no kernel has: the address is not the count's.
    #[error("kallsyms says it has {count} symbols, which cannot be; is this the vmlinux of the dump?")]
    Count {
        /// The count found.
        count: u32,
    },
    /// The token table is not one.
    #[error(
        "kallsyms' token table at {at:#x} is malformed at token {token}; is this the vmlinux of the dump?"
    )]
    Tokens {
        /// Where the table is.
        at: VirtAddr,
        /// First token that does not fit.
        token: usize,
    },
    /// The names end before all symbols had one.
    #[error("kallsyms' names end at symbol {index}")]
    NamesEnd {
        /// The symbol without a name.
        index: usize,
    },
    /// The markers, which say where every 256th name is, disagree with the names.
    #[error("kallsyms' marker {index} is {found:#x} where the names say {wanted:#x}")]
    Marker {
        /// The marker.
        index: usize,
        /// Its value.
        found: u64,
        /// Where that name is.
        wanted: u64,
    },
    /// A name that is none.
    #[error("kallsyms' name {index} is no name: {:?}", String::from_utf8_lossy(bytes))]
    NoName {
        /// The symbol.
        index: usize,
        /// Its letter and name as unpacked.
        bytes: Vec<u8>,
    },
    /// No known form of the address table makes ascending addresses.
    #[error("kallsyms' addresses at {at:#x} do not ascend in any known form (symbol {index})")]
    Values {
        /// Where the array is.
        at: VirtAddr,
        /// First symbol out of order, in the form that came furthest.
        index: usize,
    },
    /// `_text` is missing or no kernel address.
    #[error("kallsyms has no kernel address for _text (it says {})", found.map_or_else(|| "nothing".to_owned(), |at| format!("{at:#x}")))]
    NoText {
        /// What it says.
        found: Option<VirtAddr>,
    },
    /// The image that the symbols describe does not hold the table that they were read from.
    #[error("kallsyms at {at:#x} describes a kernel at {start:#x}..{end:#x}, which it is not part of")]
    Outside {
        /// Where the names are.
        at: VirtAddr,
        /// `_text`.
        start: VirtAddr,
        /// `_end`.
        end: VirtAddr,
    },
    /// The arrays' addresses are not all known.
    #[error("the address of {name} is not known")]
    NoAddress {
        /// The array.
        name: &'static str,
    },
    /// The scan saw no token table.
    #[error("no kallsyms in {start:#x}..{end:#x} ({candidates} places looked like it)")]
    NotFound {
        /// First address scanned.
        start: VirtAddr,
        /// One past the last.
        end: VirtAddr,
        /// How many token tables were seen whose neighbours did not fit.
        candidates: usize,
    },
}

impl KallsymsError {
    /// True where there is a table, and it is damaged or not whole; false where none was found.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        match self {
            Self::Fault { fault, .. } => fault.is_loss(),
            Self::NoAddress { .. } | Self::NotFound { .. } => false,
            _ => true,
        }
    }

    pub(super) const fn fault(what: &'static str, fault: Fault) -> Self {
        Self::Fault { what, fault }
    }
}
