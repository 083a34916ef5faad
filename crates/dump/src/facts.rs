//! What the headers of a dump say about it, for `info` and for those who look for a kernel's identity.

use crate::Warning;
use crate::fields::Words;
use std::fmt;
use std::sync::Arc;

/// Header facts. `None` where the format does not say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Bytes of the machine's page, as the header has it; 4096 where it says nothing.
    pub page_size: u64,
    /// Bytes of all files together.
    pub file_size: u64,
    /// `header_version` of a kdump-compressed file.
    pub header_version: Option<u32>,
    /// How most pages are packed; [`Compression::None`] for formats that hold plain pages.
    pub compression: Option<Compression>,
    /// makedumpfile's `-d` level.
    pub dump_level: Option<u32>,
    /// The kernel's own name for itself, from a kdump header.
    pub utsname: Option<Utsname>,
    /// When the dump was written, from a kdump header.
    pub timestamp: Option<Timestamp>,
    /// CPUs, as a kdump header has it.
    pub nr_cpus: Option<u32>,
    /// One past the highest page frame, as a kdump header has it.
    pub max_mapnr: Option<u64>,
    /// The physical address that the kernel image is offset by, from a kdump header.
    pub phys_base: Option<u64>,
    /// What makedumpfile's `--config` erased from the pages.
    pub erase_info: Option<String>,
    /// Word size and byte order of the headers: those of the machine, but for ELF headers of another class.
    pub words: Option<Words>,
    /// The ELF machine number (`EM_X86_64` = 62), where the format has one.
    pub machine: Option<u16>,
    /// Page frames of each file of a split set, in order.
    pub parts: Vec<Part>,
    /// The text of a kernel's log, where the file is that and holds no memory.
    pub log: Option<Arc<[u8]>>,
    /// What is wrong with the dump.
    pub warnings: Vec<Warning>,
}

impl Facts {
    /// True when the dump lacks data that it should hold: cut short, damaged in a header, or marked so by its writer.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.lost().is_some()
    }

    /// Why it does.
    #[must_use]
    pub fn lost(&self) -> Option<&Warning> {
        self.losses().next()
    }

    /// All that it lacks.
    pub fn losses(&self) -> impl Iterator<Item = &Warning> {
        self.warnings.iter().filter(|warning| warning.loses_memory())
    }
}

/// One file of a split set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The file.
    pub path: std::path::PathBuf,
    /// Its first page frame.
    pub start_pfn: u64,
    /// One past its last.
    pub end_pfn: u64,
}

/// How pages are packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// zlib (`makedumpfile -c`).
    Zlib,
    /// LZO1X (`makedumpfile -l`).
    Lzo,
    /// snappy (`makedumpfile -p`).
    Snappy,
    /// zstd (`makedumpfile -z`).
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Zlib => "zlib",
            Self::Lzo => "lzo",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        })
    }
}

/// `struct new_utsname` as text.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of uname(2)")]
pub struct Utsname {
    pub sysname: String,
    pub nodename: String,
    pub release: String,
    pub version: String,
    pub machine: String,
    pub domainname: String,
}

/// Seconds and microseconds since 1970, UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp {
    /// Seconds.
    pub sec: i64,
    /// Microseconds.
    pub usec: i64,
}

impl Timestamp {
    /// The seconds, where a time was written: a header that has none is zero there.
    #[must_use]
    pub fn known(self) -> Option<i64> {
        (self.sec > 0).then_some(self.sec)
    }
}
