//! What a named file is, so that a dump and a kernel image can be given in any order.

use crate::flattened;
use crate::formats::{self, ElfKind, PROBE_LEN, Start, Told};
use crate::source::{is_block_device, placed};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What a file is by its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Probe {
    /// A dump; the name of its format.
    Dump(&'static str),
    /// A kernel image with symbols or types: an ELF program.
    Vmlinux,
    /// An ELF object: a kernel module, or its debug file.
    Module,
    /// A list of symbols: System.map, /proc/kallsyms.
    Symbols,
    /// None of these; what it is, for a message.
    Unknown(String),
}

/// Tells what a file is by its first bytes. Directories and missing files are errors of the system.
///
/// # Errors
/// The system cannot open or read it.
pub fn looks_like_dump(path: &Path) -> io::Result<Probe> {
    let (path, placed) = placed(path);
    let path = &*path;
    // asked before the open, which would wait for a writer on a FIFO
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !kind.is_file() && !is_block_device(kind) {
        return Ok(Probe::Unknown("not a regular file".into()));
    }
    let mut file = File::open(path)?;
    let len = io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
    io::Seek::rewind(&mut file)?;
    let mut bytes = Vec::new();
    file.by_ref().take(PROBE_LEN as u64).read_to_end(&mut bytes)?;
    if placed.is_some() {
        return Ok(Probe::Dump("raw RAM image"));
    }
    let read = |at, buf: &mut [u8]| std::os::unix::fs::FileExt::read_at(&file, buf, at).unwrap_or(0);
    Ok(tell(&Start { bytes: &bytes, len, flattened: false, placed: false, read: &read }))
}

/// Whether a file of which little is known yet can be named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Likely {
    /// It begins as a dump of a format that has a magic, as a kernel or as a module does.
    Yes,
    /// It can be a raw image of memory, which nothing tells.
    Raw,
    /// It is something else.
    No,
}

/// What a file can be by its first bytes and its length, where that is known.
#[must_use]
pub fn begins_like_an_input(bytes: &[u8], len: Option<u64>) -> Likely {
    let of = |len| tell(&Start { bytes, len, flattened: false, placed: false, read: &|_, _| 0 });
    match of(len.unwrap_or(bytes.len() as u64)) {
        // one that lies beside a dump is not what is wanted
        Probe::Dump(formats::LOG) => Likely::Raw,
        Probe::Dump(name) if name != "raw RAM image" => Likely::Yes,
        Probe::Vmlinux | Probe::Module | Probe::Symbols => Likely::Yes,
        // of what is packed the length is not known yet: memory is longer than any file that is no dump
        _ if matches!(of(len.unwrap_or(1 << 30)), Probe::Dump(_)) => Likely::Raw,
        Probe::Dump(_) | Probe::Unknown(_) => Likely::No,
    }
}

fn tell(start: &Start<'_>) -> Probe {
    // what a stream stands for is told by its records, not by what lies further on in it
    if flattened::is_flattened(start.bytes) {
        return Probe::Dump("flattened");
    }
    if formats::is_symbol_list(start) {
        return Probe::Symbols;
    }
    let told = formats::tell(start);
    if let Told::Foreign(what, _) = told {
        return Probe::Unknown(what.into());
    }
    match (ElfKind::of(start.bytes), told) {
        (Some(ElfKind::Program), _) => Probe::Vmlinux,
        (Some(ElfKind::Object), _) => Probe::Module,
        (Some(ElfKind::Other(n)), _) => Probe::Unknown(format!("an ELF file of e_type {n}")),
        (_, Told::Format(format)) => Probe::Dump(format.name()),
        _ if start.len == 0 => Probe::Unknown("an empty file".into()),
        _ => Probe::Unknown("a file of no known format".into()),
    }
}
