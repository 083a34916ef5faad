//! An ELF file without what crashlens does not read of it: code, data, relocations that are applied already.
//!
//! All section headers stay, by their indices, since symbols and relocations name them; a section that is left out has
//! no bytes in the file, and a type of its own where it had some in memory: by `SHT_NOBITS`, as in distributions' debug files, data
//! would be taken for `.bss`. Sections that were packed are unpacked: the pack
//! packs all of it.

use crate::elf::{ElfError, ObjectFile, ObjectKind, SHT_LEFT_OUT, Section};
use base::Bytes;

/// `SHT_NOBITS`
const NOBITS: u32 = 8;
/// `SHF_COMPRESSED`
const PACKED: u64 = 0x800;
/// Section types.
const NULL: u32 = 0;
const RELA: u32 = 4;
const NOTE: u32 = 7;
const REL: u32 = 9;
/// Sections begin at multiples of this.
const ALIGN: usize = 16;
/// Bytes of an ELF header and of a section header.
const ENTRY: usize = 64;

/// The file's bytes, as far as they are read.
///
/// # Errors
/// A section that stays leaves the file or does not unpack, or the headers are not as they should be.
pub fn slim(file: &ObjectFile) -> Result<Vec<u8>, ElfError> {
    let data = Bytes::new(file.data());
    let banner = file.symbol("linux_banner").map(|symbol| symbol.value);
    let bad =
        |what: &str| ElfError::Unpack { what: what.into(), kind: "ELF", why: "it is not in the file".into() };
    let header = file.data().get(..ENTRY).ok_or_else(|| bad("header"))?;
    let mut out = header.to_vec();
    let (table, step) = (data.u64_at(40).unwrap_or(0), u64::from(data.u16_at(58).unwrap_or(0)).max(64));
    let mut headers = Vec::new();
    for (index, section) in (0_u64..).zip(file.sections()) {
        let at = index.checked_mul(step).and_then(|at| at.checked_add(table));
        let at = at.and_then(|at| usize::try_from(at).ok());
        let raw = at.and_then(|at| file.data().get(at..at.checked_add(ENTRY)?));
        let mut entry: Vec<u8> = raw.ok_or_else(|| bad("section header"))?.to_vec();
        let kind = Bytes::new(&entry).u32_at(4).unwrap_or(0);
        if kind != NULL {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            let target = Bytes::new(&entry)
                .u32_at(44)
                .ok()
                .and_then(|i| file.sections().get(usize::try_from(i).ok()?));
            let bytes =
                if stays(file, section, (kind, target), banner) { file.section_at(place)? } else { None };
            out.resize(out.len().next_multiple_of(ALIGN), 0);
            put(&mut entry, 24, &(out.len() as u64).to_le_bytes());
            let flags = Bytes::new(&entry).u64_at(8).unwrap_or(0) & !PACKED;
            put(&mut entry, 8, &flags.to_le_bytes());
            match bytes {
                Some(bytes) => {
                    put(&mut entry, 32, &(bytes.len() as u64).to_le_bytes());
                    out.extend_from_slice(bytes);
                }
                // whether a symbol is of data that is zeros at first stays known
                None if kind != NOBITS && section.is_alloc() => {
                    put(&mut entry, 4, &SHT_LEFT_OUT.to_le_bytes())
                }
                None => put(&mut entry, 4, &NOBITS.to_le_bytes()),
            }
        }
        headers.extend_from_slice(&entry);
    }
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    let end = out.len() as u64;
    out.extend_from_slice(&headers);
    // no program headers: what they name is left out
    put(&mut out, 32, &0_u64.to_le_bytes());
    put(&mut out, 40, &end.to_le_bytes());
    put(&mut out, 56, &0_u16.to_le_bytes());
    put(&mut out, 58, &(ENTRY as u16).to_le_bytes());
    Ok(out)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end)) {
        place.copy_from_slice(value);
    }
}

/// True for a section that a reader asks for, by its type, and of relocations by the section that they are for.
fn stays(file: &ObjectFile, section: &Section, of: (u32, Option<&Section>), banner: Option<u64>) -> bool {
    let (name, (kind, target)) = (section.name(), of);
    if kind == RELA || kind == REL {
        // those of linked files are applied already
        return file.kind() == ObjectKind::Rel
            && target.is_some_and(|target| target.name().starts_with(".debug"));
    }
    if !section.is_alloc() {
        return name != ".comment";
    }
    // the banner tells a build where ids do not
    let has_banner = |at: u64| at.checked_sub(section.addr()).is_some_and(|at| at < section.size());
    kind == NOTE
        || name.starts_with(".BTF")
        || [".modinfo", ".gnu.linkonce.this_module"].contains(&name)
        || file.kind() != ObjectKind::Rel && section.addr() != 0 && banner.is_some_and(has_banner)
}
