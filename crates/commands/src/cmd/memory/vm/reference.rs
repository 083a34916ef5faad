//! What `vm -R` looks for.

use crate::CommandError;
use crate::engine::number;
use kernel::mm::vma::Vma;
use kernel::mm::vma_pages::{Place, Run};

/// A number or a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reference {
    Number(u64),
    File(String),
}

impl Reference {
    /// A word of hexadecimal digits is a number; one in which others are is a file.
    pub(super) fn parse(word: &str) -> Result<Self, CommandError> {
        match (number::hex(word), word) {
            (Some(value), _) => Ok(Self::Number(value)),
            (None, "") => Err(CommandError::argument("-R asks for a number, an address or a file")),
            (None, name) => Ok(Self::File(name.to_owned())),
        }
    }
    /// True where the mapping itself is meant.
    pub(super) fn is_mapping(&self, vma: &Vma, file: Option<&str>) -> bool {
        match self {
            Self::Number(n) => [vma.at.0, vma.start, vma.end, vma.flags].contains(n),
            Self::File(name) => {
                file.is_some_and(|path| path == name || path.rsplit('/').next() == Some(name.as_str()))
            }
        }
    }
    /// The address that the user may mean.
    pub(super) const fn number(&self) -> Option<u64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::File(_) => None,
        }
    }
    /// True where one of the pages is meant, by its virtual or physical address.
    pub(super) fn is_page(&self, run: &Run, page: u64) -> bool {
        let Self::Number(n) = self else { return false };
        let page_of = |n: u64| n & !page.wrapping_sub(1);
        let first = run.at.0;
        let is_virtual = (first..first.saturating_add(run.pages.saturating_mul(page))).contains(n);
        let is_physical = matches!(&run.place, Place::Memory(at) if page_of(at.0) == page_of(*n));
        is_virtual || is_physical
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{PhysAddr, VirtAddr};

    #[test]
    fn numbers_are_hexadecimal_and_files_are_whole_names() {
        let vma = Vma {
            at: VirtAddr(0xffff_8880_0000_1000),
            start: 0x40_0000,
            end: 0x40_3000,
            flags: 0x75,
            file: VirtAddr(0),
            pgoff: 0,
        };
        let of = |word: &str| Reference::parse(word).unwrap();
        for word in ["75", "0x400000", "403000", "ffff888000001000"] {
            assert!(of(word).is_mapping(&vma, None), "{word}");
        }
        for word in ["74", "401000", "libc.so", "/lib"] {
            assert!(!of(word).is_mapping(&vma, Some("/lib/libc.so.6")), "{word}");
        }
        for word in ["libc.so.6", "/lib/libc.so.6"] {
            assert!(of(word).is_mapping(&vma, Some("/lib/libc.so.6")), "{word}");
        }
        let run = Run { at: VirtAddr(0x40_1000), pages: 1, place: Place::Memory(PhysAddr(0x7000)) };
        for word in ["401000", "401fff", "7000", "7abc"] {
            assert!(of(word).is_page(&run, 4096), "{word}");
        }
        assert!(!of("402000").is_page(&run, 4096) && !of("8000").is_page(&run, 4096));
        assert!(Reference::parse("").is_err());
    }
}
