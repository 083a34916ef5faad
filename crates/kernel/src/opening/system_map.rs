//! System.map: the symbols of a kernel as text, as `nm` wrote them when it was linked.
//!
//! It carries neither a build id nor a release. It is this dump's kernel's where what memory holds, and what VMCOREINFO
//! says, lies at its addresses: the banner, VMCOREINFO's symbols, the functions of the kernel's own table.

use crate::error::{KernelError, Result};
use crate::opening::open::Opened;
use crate::opening::symbols::KernelSymbols;
use arch::How;
use base::{VirtAddr, VmcoreInfo};
use debuginfo::symtab::{SymbolTable, SymbolTableBuilder};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest kernels' have 15 MiB.
const MAX: u64 = 256 << 20;
/// KASLR moves a kernel by a multiple of this.
const ALIGN: u64 = 0x20_0000;

/// A System.map whose symbols are at their places in the dump.
#[derive(Clone, Debug)]
pub struct SystemMap {
    /// The file.
    pub path: PathBuf,
    /// Its symbols, with addresses as in the dump.
    pub table: Arc<SymbolTable>,
}

/// A line: address, letter, name.
type Row = (u64, u8, Vec<u8>);

impl SystemMap {
    /// Reads the file and holds it against the dump. `force`: one of another kernel is a warning.
    ///
    /// # Errors
    /// It cannot be read, or is of another kernel.
    pub(crate) fn read(o: &mut Opened, path: &Path, force: bool) -> Result<Self> {
        let failed = |why: &str| KernelError::Open(format!("{}: {why}", path.display()));
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX).read_to_end(&mut text))
            .map_err(|e| failed(&e.to_string()))?;
        // Debian's packages have a line in its place that says where the real one is
        let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first.get(..160).unwrap_or(first)).into_owned();
        let rows: Vec<Row> = text.split(|b| *b == b'\n').filter_map(row).collect();
        let find = |name: &[u8]| rows.iter().find(|row| row.2 == name).map(|row| row.0);
        let Some(text) = find(b"_text").or_else(|| find(b"_stext")) else {
            return Err(failed(&format!(
                "is no System.map: it has no symbol _text, and begins with {first:?}"
            )));
        };
        let slide = slide(o, text, &find);
        let end = find(b"_end").unwrap_or(u64::MAX);
        let table = table(&rows, text..end, slide);
        if let Some(why) = differs(o, &table) {
            let why = format!("belongs to another kernel than the dump: {why}");
            if !force {
                return Err(failed(&format!("{why}; leave it out, or --force to use it all the same")));
            }
            o.warnings.push(format!("{}: used by force: {why}", path.display()));
        }
        Ok(Self { path: path.to_owned(), table: Arc::new(table) })
    }
}

/// `ffffffff81000000 T _text`; symbols of modules, as in /proc/kallsyms, are left out.
fn row(line: &[u8]) -> Option<Row> {
    let mut words = line.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let address = u64::from_str_radix(std::str::from_utf8(words.next()?).ok()?, 16).ok()?;
    let &[kind] = words.next()? else { return None };
    let name = words.next()?.to_vec();
    words.next().is_none().then_some((address, kind, name))
}

/// How far the kernel lies from where it was linked.
fn slide(o: &Opened, text: u64, find: &dyn Fn(&[u8]) -> Option<u64>) -> u64 {
    let told = o.machine.info.symbol("_stext").zip(find(b"_stext"));
    let found = o.machine.boot.text.filter(|_| o.machine.boot.how != How::VmcoreInfo);
    match (told, found) {
        (Some((at, linked)), _) => at.0.wrapping_sub(linked),
        (None, Some(at)) => at.0.wrapping_sub(text & !(ALIGN - 1)),
        (None, None) => o.machine.boot.slide(),
    }
}

/// Addresses within the image move with it; what lies below and above are numbers and fixed places.
fn table(rows: &[Row], image: std::ops::Range<u64>, slide: u64) -> SymbolTable {
    let mut builder = SymbolTableBuilder::with_capacity(rows.len(), rows.len().saturating_mul(24));
    for (address, kind, name) in rows {
        let inside = image.start <= *address && *address <= image.end;
        builder.push(name, if inside { address.wrapping_add(slide) } else { *address }, 0, *kind);
    }
    if image.end != u64::MAX {
        builder.bound(image.start.wrapping_add(slide)..image.end.wrapping_add(slide).saturating_add(1));
    }
    builder.build()
}

/// What shows that the table is another kernel's.
fn differs(o: &Opened, table: &SymbolTable) -> Option<String> {
    let text = table.addr("_text").or_else(|| table.addr("_stext")).unwrap_or_default().0;
    let mut agreeing = 0_usize;
    for name in o.machine.info.iter().filter_map(|(key, _)| VmcoreInfo::symbol_name(key)) {
        let (Some(told), Some(own)) = (o.machine.info.symbol(name), table.addr(name)) else { continue };
        // of a sparse memory map VMCOREINFO tells where it lies, not where the variable does
        if told.0.wrapping_sub(text) > crate::opening::IMAGE_SPAN {
            continue;
        }
        if told != own {
            return Some(format!(
                "{name} is at {:#x} in VMCOREINFO, and at {:#x} by this file",
                told.0, own.0
            ));
        }
        agreeing = agreeing.saturating_add(1);
    }
    if let Some(why) = functions_differ(o, table) {
        return Some(why);
    }
    let Some(at) = table.addr("linux_banner") else {
        return (agreeing < 3)
            .then(|| "it has no linux_banner, so that nothing shows whose it is".to_owned());
    };
    match o.machine.has_banner(at) {
        Ok(true) => None,
        Ok(false) => Some(format!("the kernel's banner is not at {:#x}, where this file has it", at.0)),
        // _stext alone is where the slide came from
        Err(_) if agreeing >= 3 => None,
        Err(fault) => {
            Some(format!("the kernel's banner cannot be read ({fault}), so that nothing shows whose it is"))
        }
    }
}

/// Functions whose names each table has once, at other addresses in the kernel's own table.
fn functions_differ(o: &Opened, table: &SymbolTable) -> Option<String> {
    let own = KernelSymbols::from_kallsyms(o);
    let once = |table: &SymbolTable| {
        let mut seen: HashMap<String, Option<VirtAddr>> = HashMap::new();
        for symbol in table.iter().filter(|s| matches!(s.kind, 't' | 'T')) {
            let at = Some(symbol.addr);
            seen.entry(symbol.name.to_owned()).and_modify(|known| *known = None).or_insert(at);
        }
        seen
    };
    let (ours, theirs) = (once(&own.table), once(table));
    let both = ours.iter().filter_map(|(name, at)| Some((name, (*at)?, (*theirs.get(name)?)?)));
    let (mut all, mut other) = (0_usize, Vec::new());
    for (name, at, theirs) in both {
        all = all.saturating_add(1);
        if at != theirs {
            other.push((name, at, theirs));
        }
    }
    // a table that is damaged in the dump has a few wrong addresses
    let first =
        other.iter().min_by_key(|(_, at, _)| *at).filter(|_| other.len().saturating_mul(100) > all)?;
    Some(format!("{} is at {:#x} in the dump, and at {:#x} by this file", first.0, first.1.0, first.2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_file() {
        assert_eq!(row(b"ffffffff81000000 T _text"), Some((0xffff_ffff_8100_0000, b'T', b"_text".to_vec())));
        for line in ["", "zz T x", "ffff TT x", "ffff T", "ffffffffc0000000 t f\t[mod]"] {
            assert_eq!(row(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_is_no_address_of_the_image_does_not_move() {
        let rows: Vec<Row> = [
            (0x100, "per_cpu"),
            (0x8000_0000, "_text"),
            (0x8000_1000, "f"),
            (0x8001_0000, "_end"),
            (0xff60_0000, "v"),
        ]
        .map(|(at, name)| (at, b'T', name.as_bytes().to_vec()))
        .to_vec();
        let table = table(&rows, 0x8000_0000..0x8001_0000, 0x1000_0000);
        let at = |name| table.addr(name).unwrap().0;
        assert_eq!((at("per_cpu"), at("_text"), at("f")), (0x100, 0x9000_0000, 0x9000_1000));
        assert_eq!((at("_end"), at("v")), (0x9001_0000, 0xff60_0000));
    }
}
