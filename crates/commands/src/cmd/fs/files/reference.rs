//! What `-R` looks for: a descriptor, an address, or a part of a path.

use super::Facts;
use crate::engine::number;
use kernel::KernelError;

/// What was asked for.
pub(super) struct Wanted {
    text: String,
    /// Read as decimal: a descriptor, where the table has room for that.
    decimal: Option<u64>,
    /// Read as hex: an address, or a descriptor.
    hex: Option<u64>,
}

impl Wanted {
    pub(super) fn parse(word: &str) -> Self {
        let decimal = word.parse().ok();
        Self { text: word.to_owned(), decimal, hex: number::hex(word) }
    }

    /// True where the path has it: the root alone is not a part of every path.
    pub(super) fn is_in_path(&self, path: &Result<String, KernelError>) -> bool {
        let Ok(path) = path else { return false };
        if self.text == "/" { path == "/" } else { path.contains(&self.text) }
    }

    /// True where an open file is meant, of a table with room for so many.
    pub(super) fn is_in(&self, file: &Facts, room: u64) -> bool {
        let as_decimal = self.decimal.filter(|n| *n <= room);
        let fd = as_decimal.or(self.hex);
        let addresses = [&Ok(file.open.file), &file.dentry, &file.inode, &file.mapping];
        let is_address = |hex: u64| addresses.iter().any(|at| at.as_ref().is_ok_and(|at| at.0 == hex));
        fd == Some(file.open.fd)
            || self.hex.filter(|_| as_decimal.is_none()).is_some_and(is_address)
            || file.kind.as_ref().is_ok_and(|kind| kind.word() == self.text)
            || self.is_in_path(&file.path)
    }
}
