//! Where the arrays are.

use super::KallsymsError;
use base::VirtAddr;

/// How the addresses are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressForm {
    /// u64 each, as they are.
    Absolute,
    /// u32 each: `address = base + offset`.
    Relative {
        /// `kallsyms_relative_base`'s value.
        base: u64,
    },
    /// i32 each: not negative `address = offset` (per-cpu), negative `address = base - 1 - offset`.
    RelativePercpu {
        /// `kallsyms_relative_base`'s value.
        base: u64,
    },
    /// i32 each: `address = address of the entry + offset`.
    SelfRelative,
}

/// The arrays' addresses, before anything is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// `kallsyms_num_syms`.
    pub num_syms: VirtAddr,
    /// `kallsyms_names`.
    pub names: VirtAddr,
    /// `kallsyms_token_table`.
    pub token_table: VirtAddr,
    /// `kallsyms_token_index`.
    pub token_index: VirtAddr,
    /// The array of addresses.
    pub array: AddressArray,
}

/// Which array of addresses there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressArray {
    /// `kallsyms_addresses`.
    Absolute(VirtAddr),
    /// `kallsyms_offsets` and `kallsyms_relative_base`, which 7.0 no longer has.
    Offsets {
        /// `kallsyms_offsets`.
        offsets: VirtAddr,
        /// `kallsyms_relative_base`.
        base: Option<VirtAddr>,
    },
}

impl Addresses {
    /// Collects the addresses by name: from VMCOREINFO's `SYMBOL()` lines, or a symbol table with
    /// KASLR applied.
    ///
    /// # Errors
    /// When one of the arrays has no address.
    pub fn from_lookup(find: impl Fn(&str) -> Option<VirtAddr>) -> Result<Self, KallsymsError> {
        let need = |name| find(name).ok_or(KallsymsError::NoAddress { name });
        let array = match find("kallsyms_offsets") {
            Some(offsets) => AddressArray::Offsets { offsets, base: find("kallsyms_relative_base") },
            None => AddressArray::Absolute(need("kallsyms_addresses")?),
        };
        Ok(Self {
            num_syms: need("kallsyms_num_syms")?,
            names: need("kallsyms_names")?,
            token_table: need("kallsyms_token_table")?,
            token_index: need("kallsyms_token_index")?,
            array,
        })
    }

    /// Where the array of addresses begins.
    #[must_use]
    pub const fn values(&self) -> VirtAddr {
        match self.array {
            AddressArray::Absolute(at) | AddressArray::Offsets { offsets: at, .. } => at,
        }
    }
}

/// What was found, for those who ask how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// How many symbols.
    pub count: u32,
    /// `kallsyms_names`.
    pub names: VirtAddr,
    /// `kallsyms_markers`.
    pub markers: VirtAddr,
    /// Bytes of a marker: 4 or 8; 0 where there is only one, or they could not be read.
    pub marker_width: u8,
    /// `kallsyms_token_table`.
    pub token_table: VirtAddr,
    /// `kallsyms_token_index`.
    pub token_index: VirtAddr,
    /// `kallsyms_addresses` or `kallsyms_offsets`.
    pub values: VirtAddr,
    /// How addresses are stored.
    pub form: AddressForm,
}
