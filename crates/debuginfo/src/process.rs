//! What an object file of a process tells about its code: symbols, and how its frames are unwound (`.eh_frame`).
//!
//! The file is read in pieces, so that one of which pages are missing tells what the others have.

use crate::cfi::{CfiRow, rules_at};
use gimli::{BaseAddresses, CieOrFde, EhFrame, EhFrameOffset, EndianSlice, LittleEndian, UnwindSection};
use object::LittleEndian as Endian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};
use object::read::{ReadCache, ReadRef, StringTable};
use std::io::{Read, Seek};

type Header = FileHeader64<Endian>;

/// The largest section that is read.
const MAX_SECTION: u64 = 256 << 20;

/// A part of the file that is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Where it is in the file.
    pub offset: u64,
    /// Its address by the file.
    pub address: u64,
    /// How many bytes of it the file has.
    pub bytes: u64,
}

/// A symbol of code.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Symbol {
    address: u64,
    size: u64,
    name: String,
}

/// An object file.
#[derive(Debug)]
pub struct ObjectOfProcess {
    /// The parts that are loaded.
    pub segments: Vec<Segment>,
    symbols: Result<Symbols, String>,
    frames: Result<Frames, String>,
}

/// The symbols of code, by address.
#[derive(Debug)]
struct Symbols {
    all: Vec<Symbol>,
    /// Why there may be others.
    lack: Option<String>,
}

/// `.eh_frame`: its bytes, its address, and for each description the code that it speaks of.
#[derive(Debug)]
struct Frames {
    bytes: Vec<u8>,
    address: u64,
    /// First address, bytes of code, place in the section.
    spans: Vec<(u64, u64, usize)>,
}

impl ObjectOfProcess {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no object file of 64 bits, or its head cannot be read.
    pub fn read<R: Read + Seek>(file: R) -> Result<Self, String> {
        let cache = ReadCache::new(file);
        let data = &cache;
        let header = Header::parse(data).map_err(|e| e.to_string())?;
        let segments = header.program_headers(Endian, data).map_err(|e| e.to_string())?;
        let loaded = segments.iter().filter(|one| one.p_type(Endian) == elf::PT_LOAD);
        let segments = loaded.map(|one| Segment {
            offset: one.p_offset(Endian),
            address: one.p_vaddr(Endian),
            bytes: one.p_filesz(Endian),
        });
        let segments: Vec<Segment> = segments.collect();
        let sections =
            header.sections(Endian, data).map_err(|e| format!("its table of sections cannot be read: {e}"));
        let symbols = sections.clone().and_then(|sections| symbols(&sections, data));
        let frames = sections.and_then(|sections| frames(&sections, data));
        Ok(Self { segments, symbols, frames })
    }

    /// The symbol that an address of the file is in, and how far in.
    ///
    /// # Errors
    /// Why the symbols are not known, or the one that is meant can be among those that are not.
    pub fn symbol(&self, address: u64) -> Result<Option<(&str, u64)>, &str> {
        let Symbols { all, lack } = self.symbols.as_ref().map_err(String::as_str)?;
        let next = all.partition_point(|symbol| symbol.address <= address);
        let found = next.checked_sub(1).and_then(|n| all.get(n));
        let found = found.filter(|symbol| symbol.size == 0 || address - symbol.address < symbol.size);
        match (found, lack) {
            (Some(symbol), _) => Ok(Some((symbol.name.as_str(), address - symbol.address))),
            (None, Some(why)) => Err(why),
            (None, None) => Ok(None),
        }
    }

    /// How the frame at an address of the file is unwound; none where the file does not tell.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn row(&self, address: u64) -> Result<Option<CfiRow>, &str> {
        Ok(self.frames.as_ref().map_err(String::as_str)?.row(address))
    }
}

impl Frames {
    fn section(&self) -> (EhFrame<EndianSlice<'_, LittleEndian>>, BaseAddresses) {
        let mut section = EhFrame::new(&self.bytes, LittleEndian);
        section.set_address_size(8);
        (section, BaseAddresses::default().set_eh_frame(self.address))
    }

    fn row(&self, address: u64) -> Option<CfiRow> {
        let next = self.spans.partition_point(|(start, ..)| *start <= address);
        let (start, len, offset) = self.spans.get(next.checked_sub(1)?)?;
        if address - start >= *len {
            return None;
        }
        let (section, bases) = self.section();
        let fde = section.fde_from_offset(&bases, EhFrameOffset(*offset), EhFrame::cie_from_offset).ok()?;
        rules_at(&section, &bases, &fde, address).ok()
    }
}

/// The bytes of a section, where it is not absurdly large.
fn bytes<'d, R: ReadRef<'d>>(section: &elf::SectionHeader64<Endian>, data: R) -> Result<&'d [u8], String> {
    if section.sh_size(Endian) > MAX_SECTION {
        return Err("a section of it is too large".to_owned());
    }
    section.data(Endian, data).map_err(|e| e.to_string())
}

/// Symbols of code, by address: all, or those that other files may use.
fn symbols<'d, R: ReadRef<'d>>(sections: &SectionTable<'d, Header, R>, data: R) -> Result<Symbols, String> {
    let mut out = Vec::new();
    let mut why = None;
    for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let table = match sections.symbols(Endian, data, kind) {
            Ok(table) if !table.is_empty() => table,
            Ok(_) => continue,
            Err(e) => {
                why = Some(format!("its symbols cannot be read: {e}"));
                continue;
            }
        };
        let strings: StringTable<'_, R> = table.strings();
        for symbol in table.iter() {
            let is_code = matches!(symbol.st_type(), elf::STT_FUNC | elf::STT_GNU_IFUNC);
            let is_here = symbol.st_shndx(Endian) != elf::SHN_UNDEF;
            if !is_code || !is_here {
                continue;
            }
            match symbol.name(Endian, strings) {
                Ok(name) => out.push(Symbol {
                    address: symbol.st_value(Endian),
                    size: symbol.st_size(Endian),
                    name: String::from_utf8_lossy(name).into_owned(),
                }),
                Err(e) => why = Some(format!("its symbols' names cannot be read: {e}")),
            }
        }
        if !out.is_empty() {
            break;
        }
    }
    if let (true, Some(why)) = (out.is_empty(), &why) {
        return Err(why.clone());
    }
    // of several at one address the longest one tells most
    out.sort_by(|a, b| (a.address, a.size, &b.name).cmp(&(b.address, b.size, &a.name)));
    Ok(Symbols { all: out, lack: why })
}

fn frames<'d, R: ReadRef<'d>>(sections: &SectionTable<'d, Header, R>, data: R) -> Result<Frames, String> {
    let found = sections.section_by_name(Endian, b".eh_frame");
    let Some((_, section)) = found else { return Err("it has no .eh_frame".to_owned()) };
    let bytes = bytes(section, data).map_err(|e| format!("its .eh_frame cannot be read: {e}"))?.to_vec();
    let mut out = Frames { bytes, address: section.sh_addr(Endian), spans: Vec::new() };
    let mut spans = Vec::new();
    {
        let (section, bases) = out.section();
        let mut entries = section.entries(&bases);
        // what is malformed ends the list
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            if let Ok(fde) = partial.parse(EhFrame::cie_from_offset) {
                spans.push((fde.initial_address(), fde.len(), fde.offset()));
            }
        }
    }
    spans.sort_unstable();
    out.spans = spans;
    Ok(out)
}

/// Reads arbitrary bytes as a file and asks it for what it knows: the fuzz target of this parser.
#[doc(hidden)]
pub fn fuzz_process(data: &[u8]) {
    let Ok(file) = ObjectOfProcess::read(std::io::Cursor::new(data)) else { return };
    let starts: Vec<u64> = file
        .frames
        .iter()
        .flat_map(|frames| frames.spans.iter().take(64))
        .map(|(start, ..)| *start)
        .collect();
    for at in starts {
        _ = (file.row(at), file.symbol(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cfi::{CfiCfa, CfiRule};

    /// The test's own program: what the compiler made of it is known to be sound.
    fn own() -> ObjectOfProcess {
        let path = std::env::current_exe().unwrap();
        ObjectOfProcess::read(std::fs::File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_program_names_its_code_and_tells_how_to_unwind_it() {
        let file = own();
        let symbols = file.symbols.as_ref().unwrap();
        let main = symbols.all.iter().find(|symbol| symbol.name == "main").unwrap();
        assert_eq!(file.symbol(main.address + 2).unwrap(), Some(("main", 2)));
        let row = file.row(main.address).unwrap().unwrap();
        // where a function begins nothing but the return address is pushed
        if cfg!(target_arch = "x86_64") {
            assert_eq!((row.cfa.clone(), row.rule(16)), (CfiCfa::Reg(7, 8), Some(&CfiRule::AtCfa(-8))));
        }
        assert!(!file.segments.is_empty());
        assert_eq!(file.row(1).unwrap(), None);
    }

    #[test]
    fn what_is_no_object_or_cut_is_an_error() {
        assert!(ObjectOfProcess::read(std::io::Cursor::new(b"#!/bin/sh")).is_err());
        let path = std::env::current_exe().unwrap();
        let bytes = std::fs::read(path).unwrap();
        // the head is there, and the table of sections is at the end
        let cut = ObjectOfProcess::read(std::io::Cursor::new(&bytes[..4096])).unwrap();
        assert!(cut.symbol(0x1000).is_err() && cut.row(0x1000).is_err());
        assert!(!cut.segments.is_empty());
        fuzz_process(&bytes[..bytes.len() / 2]);
    }
}
