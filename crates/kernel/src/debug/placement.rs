//! Where the sections of a module's file are in the dump, told by the module's own symbols: for kernels whose section
//! attributes cannot be read (no types, or `CONFIG_KALLSYMS` without them).
//!
//! A symbol of the file is an offset in a section, the same symbol of the dump an address; their difference is where
//! the section was loaded. Invariant: half of the symbols are in both, and all of a section agree; else the file is another module's or of
//! another build.

use debuginfo::elf::{ObjectFile, SymbolKind, SymbolSection};
use rustc_hash::FxHashMap;

/// Why a file's symbols are not those of the module in the dump.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Elsewhere {
    /// What differs.
    pub(crate) what: &'static str,
    /// As the file has it.
    pub(crate) file: String,
    /// As the dump has it.
    pub(crate) dump: String,
}

/// The symbols of a file: name, section, offset in it.
fn symbols(file: &ObjectFile) -> impl Iterator<Item = (&[u8], &str, u64)> {
    file.symbols().filter_map(|symbol| {
        let (SymbolKind::Func | SymbolKind::Object, SymbolSection::Index(section)) =
            (symbol.kind, symbol.section)
        else {
            return None;
        };
        let section = file.sections().get(usize::from(section)).filter(|s| s.is_alloc())?;
        Some((symbol.name(), section.name(), symbol.value))
    })
}

/// The places of the sections that symbols of the dump (name, address) tell.
pub(crate) fn sections<'a>(
    file: &ObjectFile,
    dump: impl Iterator<Item = (&'a str, u64)>,
) -> Result<Vec<(String, u64)>, Elsewhere> {
    agree(symbols(file), dump).map(|(sections, _)| sections)
}

/// How many symbols, at different places, of the file and of the dump agree.
pub(crate) fn proof<'a>(
    file: &ObjectFile,
    dump: impl Iterator<Item = (&'a str, u64)>,
) -> Result<usize, Elsewhere> {
    agree(symbols(file), dump).map(|(_, places)| places)
}

/// What comes once under its name; of names that occur repeatedly nobody knows which is which.
fn once<'a, T>(all: impl Iterator<Item = (&'a [u8], T)>) -> FxHashMap<&'a [u8], Option<T>> {
    let mut out: FxHashMap<&[u8], Option<T>> = FxHashMap::default();
    for (name, value) in all {
        out.entry(name).and_modify(|known| *known = None).or_insert(Some(value));
    }
    out
}

fn agree<'f, 'd>(
    file: impl Iterator<Item = (&'f [u8], &'f str, u64)>,
    dump: impl Iterator<Item = (&'d str, u64)>,
) -> Result<(Vec<(String, u64)>, usize), Elsewhere> {
    let dump = once(dump.map(|(name, at)| (name.as_bytes(), at)));
    let file = once(file.map(|(name, section, offset)| (name, (section, offset))));
    let fewer = file.len().min(dump.len());
    let mut pairs: Vec<(&[u8], &str, u64, u64)> = file
        .into_iter()
        .filter_map(|(name, place)| {
            let (section, offset) = place?;
            Some((name, section, offset, (*dump.get(name)?)?))
        })
        .collect();
    pairs.sort_unstable();
    if pairs.len() < fewer.div_ceil(2) {
        return Err(Elsewhere {
            what: "the choice of symbols",
            file: format!("({} in common)", pairs.len()),
            dump: format!("of {fewer} at least"),
        });
    }
    let mut bases: FxHashMap<&str, u64> = FxHashMap::default();
    let mut places: Vec<u64> = pairs.iter().map(|&(_, _, _, at)| at).collect();
    places.sort_unstable();
    places.dedup();
    for (name, section, offset, at) in pairs {
        let base = *bases.entry(section).or_insert_with(|| at.wrapping_sub(offset));
        let wanted = base.wrapping_add(offset);
        if wanted != at {
            let name = String::from_utf8_lossy(name);
            return Err(Elsewhere {
                what: "the place of symbol",
                file: format!("{name}, {section}+{offset:#x} or {wanted:x},"),
                dump: format!("{at:x}"),
            });
        }
    }
    // the first of a section says only where the section is
    let compared = places.len().saturating_sub(bases.len());
    Ok((bases.into_iter().map(|(section, base)| (section.to_owned(), base)).collect(), compared))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u64 = 0xffff_ffff_c008_5000;

    fn file() -> impl Iterator<Item = (&'static [u8], &'static str, u64)> {
        let symbols: [(&[u8], &str, u64); 5] = [
            (b"first", ".text", 0x10),
            (b"second", ".text", 0x80),
            (b"twice", ".text", 0x90),
            (b"twice", ".text", 0xa0),
            (b"item", ".data", 8),
        ];
        symbols.into_iter()
    }

    #[test]
    fn symbols_tell_where_sections_are() {
        let dump =
            [("first", TEXT + 0x10), ("second", TEXT + 0x80), ("twice", TEXT), ("item", TEXT + 0x3008)];
        let (mut found, compared) = agree(file(), dump.into_iter()).unwrap();
        found.sort();
        assert_eq!(compared, 1, "one of .text stands at its distance from another");
        assert_eq!(found, [(".data".to_owned(), TEXT + 0x3000), (".text".to_owned(), TEXT)]);
        assert!(agree(file(), std::iter::empty()).unwrap().0.is_empty());
    }

    #[test]
    fn a_file_of_another_build_has_symbols_elsewhere() {
        let dump = [("first", TEXT + 0x10), ("second", TEXT + 0x84)];
        let wrong = agree(file(), dump.into_iter()).unwrap_err();
        assert_eq!(wrong.file, "second, .text+0x80 or ffffffffc0085080,");
        assert_eq!(wrong.dump, "ffffffffc0085084");
        let other = [("init_module", TEXT), ("first", TEXT + 0x10), ("probe", TEXT), ("remove", TEXT)];
        assert_eq!(agree(file(), other.into_iter()).unwrap_err().file, "(1 in common)");
        // repeated names say nothing
        let repeated = [("first", TEXT + 0x10), ("second", TEXT), ("second", TEXT + 0x80)];
        assert_eq!(agree(file(), repeated.into_iter()).unwrap(), (vec![(".text".to_owned(), TEXT)], 0));
    }
}
