use super::testgen::{Form, Image, Made, SPECS, TEXT, make};
use super::*;
use base::{Fault, FaultKind, GRANULE, VirtAddr, VirtRead};

fn lookup(made: &Made) -> impl Fn(&str) -> Option<VirtAddr> {
    move |name| made.labels.iter().find(|(n, _)| *n == name).map(|(_, at)| VirtAddr(*at))
}

fn end(made: &Made) -> VirtAddr {
    VirtAddr(TEXT).add(made.image.bytes.len() as u64)
}

#[track_caller]
fn check(what: &str, made: &Made, got: &Kallsyms) {
    let want: Vec<String> =
        made.symbols.iter().map(|(a, k, n)| format!("{a:x} {} {n}", char::from(*k))).collect();
    let have: Vec<String> = got.table.iter().map(|s| format!("{:x} {} {}", s.addr, s.kind, s.name)).collect();
    let differ = have.iter().zip(&want).find(|(h, w)| h != w);
    assert!(differ.is_none(), "{what}: {differ:?}");
    assert_eq!(have.len(), want.len(), "{what}");
}

#[test]
fn every_form_is_read_at_known_addresses() {
    for (what, spec) in SPECS {
        let made = make(spec, 700);
        let at = Addresses::from_lookup(lookup(&made)).unwrap();
        let got = Kallsyms::read(&made.image, &at).unwrap_or_else(|e| panic!("{what}: {e}"));
        check(what, &made, &got);
        assert_eq!(got.layout.marker_width, if spec.wide_markers { 8 } else { 4 }, "{what}");
        let form = match got.layout.form {
            AddressForm::Absolute => Form::Absolute,
            AddressForm::Relative { .. } => Form::Relative,
            AddressForm::RelativePercpu { .. } => Form::RelativePercpu,
            AddressForm::SelfRelative => Form::SelfRelative,
        };
        assert_eq!(form, spec.form, "{what}");
    }
}

#[test]
fn few_symbols_are_those_of_the_table() {
    for (what, spec) in SPECS {
        let made = make(spec, 700);
        let at = Addresses::from_lookup(lookup(&made)).unwrap();
        let table = Kallsyms::read(&made.image, &at).unwrap().table;
        let mut names: Vec<&str> = table.iter().map(|s| s.name).skip(1).step_by(37).collect();
        names.extend(["_text", "none_such"]);
        let got = few(&made.image, &at, &names).unwrap_or_else(|e| panic!("{what}: {e}"));
        let want: Vec<_> = names.iter().map(|name| table.addr(name)).collect();
        assert_eq!(got, want, "{what}");
        assert!(got.last() == Some(&None) && got.len() > 10);
        let blind = few(&made.image, &at, &["none_such"]);
        assert!(matches!(blind, Err(KallsymsError::NoText { found: None })), "{what}");
    }
}

#[test]
fn every_form_is_found_by_its_shape() {
    for (what, spec) in SPECS {
        for count in [300, 2100] {
            let made = make(spec, count);
            let got = find(&made.image, VirtAddr(TEXT), end(&made)).unwrap_or_else(|e| panic!("{what}: {e}"));
            check(what, &made, &got);
            let at = lookup(&made);
            assert_eq!(Some(got.layout.names), at("kallsyms_names"), "{what}");
            assert_eq!(Some(got.layout.token_table), at("kallsyms_token_table"), "{what}");
            assert_eq!(Some(got.layout.markers), at("kallsyms_markers"), "{what}");
        }
    }
}

#[test]
fn addresses_have_names_up_to_the_end_of_the_image() {
    let made = make(&SPECS[2].1, 300);
    let table = find(&made.image, VirtAddr(TEXT), end(&made)).unwrap().table;
    let (symbol, offset) = table.at(VirtAddr(TEXT + 0x105)).unwrap();
    assert_eq!((symbol.name, offset), ("virtqueue_add_0", 5));
    assert_eq!(table.span(symbol.id), Some(16));
    // of two at one address the first is the kernel's own choice
    assert_eq!(table.at(VirtAddr(TEXT + 1)).unwrap().0.name, "_text");
    assert_eq!(table.at(VirtAddr(0x1008)).unwrap().0.name, "cpu_tss_rw");
    let end = table.addr("_end").unwrap();
    assert_eq!(table.at(end).unwrap().0.name, "_end");
    assert!(table.at(end.add(1)).is_none());
    assert!(table.at(VirtAddr(0x31000)).is_none());
    assert!(table.at(VirtAddr(TEXT - 1)).is_none());
}

#[test]
fn a_wrong_address_is_an_error_and_never_wrong_symbols() {
    for symbols in [700, 3000] {
        check_wrong_addresses(&make(&SPECS[4].1, symbols));
    }
}

#[track_caller]
fn check_wrong_addresses(made: &Made) {
    let right = Addresses::from_lookup(lookup(made)).unwrap();
    let off = |at: VirtAddr| at.add(8);
    let AddressArray::Offsets { offsets, base } = right.array else { panic!("not offsets") };
    let wrong = [
        Addresses { num_syms: off(right.num_syms), ..right },
        Addresses { names: off(right.names), ..right },
        Addresses { token_table: off(right.token_table), ..right },
        Addresses { token_index: off(right.token_index), ..right },
        Addresses { array: AddressArray::Offsets { offsets, base: None }, ..right },
        Addresses { array: AddressArray::Offsets { offsets: VirtAddr(TEXT), base }, ..right },
        Addresses { array: AddressArray::Absolute(offsets), ..right },
    ];
    for at in wrong {
        assert!(Kallsyms::read(&made.image, &at).is_err(), "{at:x?}");
    }
}

#[test]
fn damage_is_an_error() {
    let made = make(&SPECS[4].1, 700);
    let at = Addresses::from_lookup(lookup(&made)).unwrap();
    let place = |name| (lookup(&made)(name).unwrap().0 - TEXT) as usize;
    // a length of the names, a marker, a token, an offset
    for (name, shift) in [("kallsyms_names", 0), ("kallsyms_markers", 4), ("kallsyms_token_index", 100)] {
        let mut image = Image { at: TEXT, bytes: made.image.bytes.clone() };
        image.bytes[place(name) + shift] ^= 0x15;
        assert!(Kallsyms::read(&image, &at).is_err(), "{name}");
        assert!(find(&image, VirtAddr(TEXT), end(&made)).is_err(), "{name}");
    }
    let mut image = Image { at: TEXT, bytes: made.image.bytes.clone() };
    // one that is wrong is lost; a third is too much
    for n in 0..240 {
        let value: u32 = 0x7000_0000 - n;
        image.bytes[place("kallsyms_offsets") + 400 + n as usize * 4..][..4]
            .copy_from_slice(&value.to_le_bytes());
    }
    let error = Kallsyms::read(&image, &at).unwrap_err().to_string();
    assert!(error.contains("do not ascend"), "{error}");
}

#[test]
fn a_dump_that_ends_in_the_middle_is_an_error_that_says_where() {
    let made = make(&SPECS[4].1, 700);
    let at = Addresses::from_lookup(lookup(&made)).unwrap();
    let cut = (at.names.0 - TEXT) as usize + 100;
    let image = Image { at: TEXT, bytes: made.image.bytes[..cut].to_vec() };
    let error = Kallsyms::read(&image, &at).unwrap_err();
    assert!(error.to_string().contains("not mapped"), "{error}");
}

#[test]
fn nothing_is_found_in_nothing() {
    let image = Image { at: TEXT, bytes: vec![0; 3 << 20] };
    let error = find(&image, VirtAddr(TEXT), VirtAddr(TEXT + (64 << 20))).unwrap_err();
    assert!(matches!(error, KallsymsError::NotFound { candidates: 0, .. }), "{error}");
}

#[test]
fn a_name_for_each_missing_address() {
    let made = make(&SPECS[0].1, 300);
    let find = lookup(&made);
    let error = Addresses::from_lookup(|n| find(n).filter(|_| n != "kallsyms_names")).unwrap_err();
    assert_eq!(error.to_string(), "the address of kallsyms_names is not known");
}

/// A module's symbol table: name, letter, section, value.
fn module(symbols: &[(&str, u8, u16, u64)], typetab: bool) -> (Image, ModuleSymtab) {
    let (mut table, mut strings, mut letters) = (vec![0; 24], vec![0_u8], vec![0_u8]);
    for (name, kind, section, value) in symbols {
        table.extend_from_slice(&u32::try_from(strings.len()).unwrap().to_le_bytes());
        let binding = if kind.is_ascii_uppercase() { 0x12 } else { 2 };
        table.extend_from_slice(&[if typetab { binding } else { *kind }, 0]);
        table.extend_from_slice(&section.to_le_bytes());
        table.extend_from_slice(&value.to_le_bytes());
        table.extend_from_slice(&32_u64.to_le_bytes());
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        letters.push(*kind);
    }
    let at = 0xffff_ffff_c000_0000_u64;
    let strtab = VirtAddr(at + table.len() as u64);
    let types = strtab.add(strings.len() as u64);
    let count = u32::try_from(symbols.len() + 1).unwrap();
    let bytes = [table, strings, letters].concat();
    let typetab = typetab.then_some(types);
    (Image { at, bytes }, ModuleSymtab { symtab: VirtAddr(at), count, strtab, typetab })
}

#[test]
fn a_modules_symbols_with_letters_of_either_age() {
    let at = 0xffff_ffff_c010_0000;
    let symbols = [
        ("virtqueue_add", b't', 1, at + 0x40),
        ("printk", b'U', 0, 0),
        ("virtqueue_kick", b'T', 1, at + 0x80),
    ];
    for typetab in [true, false] {
        let (image, symtab) = module(&symbols, typetab);
        let mut builder = SymbolTableBuilder::new();
        assert_eq!(module_symbols(&image, &mut builder, "virtio_ring", &symtab).unwrap(), 2);
        builder.bound(at..at + 0x1000);
        let table = builder.build();
        let (symbol, offset) = table.at(VirtAddr(at + 0x44)).unwrap();
        assert_eq!((symbol.name, offset, symbol.kind, symbol.size), ("virtqueue_add", 4, 't', 32));
        assert_eq!(symbol.module, Some("virtio_ring"));
        assert!(table.at(VirtAddr(at + 0x1000)).is_none());
        assert_eq!(table.find("virtqueue_kick").unwrap().kind, 'T');
    }
}

/// ARM's mapping symbols stand at the same addresses as the functions, and before them in the table.
#[test]
fn labels_and_mapping_symbols_of_a_module_name_no_place() {
    let at = 0xffff_ffff_c010_0000;
    let symbols = [
        ("$x", b't', 1, at),
        (".LC0", b'r', 1, at),
        ("leaf_of", b't', 1, at),
        ("$d.12", b'r', 1, at + 0x40),
        ("$dollar", b't', 1, at + 0x40),
    ];
    let (image, symtab) = module(&symbols, true);
    let mut builder = SymbolTableBuilder::new();
    assert_eq!(module_symbols(&image, &mut builder, "dying", &symtab).unwrap(), 2);
    let table = builder.build();
    assert_eq!(
        table.at(VirtAddr(at + 8)).map(|(symbol, offset)| (symbol.name, offset)),
        Some(("leaf_of", 8))
    );
    assert_eq!(table.at(VirtAddr(at + 0x44)).map(|(symbol, _)| symbol.name), Some("$dollar"));
}

#[test]
fn a_modules_wild_counts_and_names_are_errors() {
    let (image, symtab) = module(&[("a", b't', 1, 5)], true);
    let mut builder = SymbolTableBuilder::new();
    let wild = ModuleSymtab { count: u32::MAX, ..symtab };
    assert!(module_symbols(&image, &mut builder, "m", &wild).is_err());
    assert!(builder.is_empty());
    let nowhere = ModuleSymtab { symtab: VirtAddr(0x1000), ..symtab };
    assert!(module_symbols(&image, &mut builder, "m", &nowhere).is_err());
    assert!(builder.is_empty());
    let beyond = ModuleSymtab { count: 1000, ..symtab };
    assert!(module_symbols(&image, &mut builder, "m", &beyond).is_ok());
    assert!(builder.build().lost(Some("m")) > 900);
}

/// Entries and names that read as zeros are lost: no other symbol goes on in their place.
#[test]
fn zeros_in_a_modules_table_are_lost_symbols() {
    let at = 0xffff_ffff_c010_0000;
    let symbols: Vec<(&str, u8, u16, u64)> = ["first", "second", "third", "fourth"]
        .iter()
        .enumerate()
        .map(|(n, name)| (*name, b't', 1, at + 0x40 * (n as u64 + 1)))
        .collect();
    let names_at = 24 * (symbols.len() + 1);
    let with = |zeros: std::ops::Range<usize>| {
        let (mut image, symtab) = module(&symbols, true);
        image.bytes[zeros].fill(0);
        let mut builder = SymbolTableBuilder::new();
        module_symbols(&image, &mut builder, "m", &symtab).unwrap();
        builder.bound(at..at + 0x1000);
        let table = builder.build();
        let name = |offset: u64| table.at(VirtAddr(at + offset)).map(|(s, _)| s.name.to_owned());
        (
            ["first", "second", "third", "fourth"].map(|n| table.find(n).is_some()),
            name(0x44),
            name(0x84),
            name(0xc4),
            table.lost(Some("m")),
        )
    };
    let is = |name: &str| Some(name.to_owned());
    assert_eq!(with(0..0), ([true; 4], is("first"), is("second"), is("third"), 0));
    // the second's entry: each symbol is known as far as its own size goes
    let (there, first, second, third, lost) = with(48..72);
    assert_eq!(
        (there, first, second, third, lost),
        ([true, false, true, true], is("first"), None, is("third"), 1)
    );
    // the second's name from its first or third letter on to the third's: what stands before zeros may be cut as well
    let second = names_at + "\0first\0".len();
    let (there, first, name, third, lost) = with(second..second + 7);
    assert_eq!((there, first, name, third, lost), ([false, false, true, true], None, None, is("third"), 2));
    let (there, first, name, third, lost) = with(second + 2..second + 9);
    assert_eq!((there, first, name, third, lost), ([true, false, false, true], is("first"), None, None, 2));
    assert_eq!(with(24..names_at).4, 4);
}

#[test]
fn any_bytes_end() {
    fuzz_scan(&[]);
    for (what, spec) in SPECS {
        let made = make(spec, 280);
        // every 97th byte changed, one at a time
        for i in (0..made.image.bytes.len()).step_by(61_001) {
            let mut bytes = made.image.bytes.clone();
            bytes[i] ^= 0xff;
            fuzz_scan(&bytes);
        }
        assert!(!made.symbols.is_empty(), "{what}");
    }
}

/// What was damaged is lost, and all else is as it was; `at` is where, of the label's array.
#[track_caller]
fn check_damage(what: &str, made: &mut Made, label: &str, at: u64, bytes: &[u8], may_lose: usize) {
    let start = lookup(made)(label).unwrap().0 - TEXT + at;
    let place = start as usize..start as usize + bytes.len();
    let before = made.image.bytes[place.clone()].to_vec();
    made.image.bytes[place.clone()].copy_from_slice(bytes);
    let known = Addresses::from_lookup(lookup(made)).unwrap();
    let read = Kallsyms::read(&made.image, &known).unwrap_or_else(|e| panic!("{what}, {label}: {e}"));
    let found =
        find(&made.image, VirtAddr(TEXT), end(made)).unwrap_or_else(|e| panic!("{what}, {label}: {e}"));
    for got in [read, found] {
        assert!((1..=may_lose).contains(&got.lost), "{what}, {label}: {} lost", got.lost);
        let mut same = 0;
        for symbol in got.table.iter() {
            let of_name =
                |(addr, _, name): &&(u64, u8, String)| *name == symbol.name && *addr == symbol.addr.0;
            assert!(made.symbols.iter().any(|s| of_name(&s)), "{what}, {label}: {symbol:?}");
            same += 1;
        }
        assert_eq!(same, made.symbols.len() - got.lost, "{what}, {label}");
        assert_eq!(got.table.lost(None), got.lost as u64, "{what}, {label}");
        assert_eq!(got.table.len(), same, "{what}, {label}");
    }
    made.image.bytes[place].copy_from_slice(&before);
}

#[test]
fn a_damaged_table_loses_what_was_damaged() {
    for (what, spec) in SPECS {
        let mut made = make(spec, 3000);
        let wide = spec.form == Form::Absolute;
        check_damage(what, &mut made, "kallsyms_names", 12_000, &[0; 40], 256);
        check_damage(what, &mut made, "kallsyms_names", 12_000, &[0xff; 64], 512);
        let values = if wide { "kallsyms_addresses" } else { "kallsyms_offsets" };
        let width = if wide { 8 } else { 4 };
        check_damage(what, &mut made, values, 1000 * width, &[0; 8], 2);
        check_damage(what, &mut made, values, 1000 * width, &[0xff; 8], 2);
        check_damage(what, &mut made, values, 400 * width, &vec![0; 200 * width as usize], 200);
        // a marker alone loses nothing
        let marker = lookup(&made)("kallsyms_markers").unwrap().0 - TEXT + 16;
        made.image.bytes[marker as usize] ^= 0x10;
        let known = Addresses::from_lookup(lookup(&made)).unwrap();
        assert_eq!(Kallsyms::read(&made.image, &known).unwrap().lost, 0, "{what}");
    }
}

/// An image of which a page is not in the dump.
struct Holed<'a>(&'a Image, u64);

impl VirtRead for Holed<'_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let hole = VirtAddr(self.1).max(at);
        match at.0 < self.1 + GRANULE && at.0 + buf.len() as u64 > self.1 {
            true => Err(Fault::new(hole, FaultKind::NotMapped("PTE"))),
            false => self.0.read(at, buf),
        }
    }
}

/// A page of names that is missing costs its names alone, also where no address of an array is known: the tokens stand
/// behind the hole, and the count before it.
#[test]
fn a_page_of_names_that_is_missing_is_a_gap() {
    for (what, spec) in SPECS {
        let made = make(spec, 6000);
        let names = lookup(&made)("kallsyms_names").unwrap();
        let hole = (names.0 + 20_000) & !(GRANULE - 1);
        let mem = Holed(&made.image, hole);
        let behind = VirtAddr(hole + GRANULE);
        let got =
            find_behind(&mem, VirtAddr(TEXT), behind, end(&made)).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!((1..2000).contains(&got.lost), "{what}: {}", got.lost);
        assert_eq!(got.table.len() + got.lost, made.symbols.len(), "{what}");
        for symbol in got.table.iter() {
            let is = |(addr, _, name): &(u64, u8, String)| *name == symbol.name && *addr == symbol.addr.0;
            assert!(made.symbols.iter().any(is), "{what}: {symbol:?}");
        }
    }
}

#[test]
fn an_address_that_is_lost_is_not_told_as_the_symbol_before() {
    let (_, spec) = SPECS.iter().find(|(name, _)| *name == "6.16").unwrap();
    let mut made = make(spec, 3000);
    let offsets = lookup(&made)("kallsyms_offsets").unwrap().0 - TEXT + 1000 * 4;
    made.image.bytes[offsets as usize..][..4].fill(0);
    let known = Addresses::from_lookup(lookup(&made)).unwrap();
    let table = Kallsyms::read(&made.image, &known).unwrap().table;
    let (before, lost) = (&made.symbols[999], &made.symbols[1000]);
    let at = |addr: u64| table.at(VirtAddr(addr)).map(|(found, _)| found.name.to_owned());
    assert_eq!(at(before.0).as_deref(), Some(&*before.2));
    assert_eq!(at(lost.0), None);
}

#[test]
fn too_much_damage_is_no_table() {
    for (what, spec) in SPECS {
        let mut made = make(spec, 3000);
        let names = lookup(&made)("kallsyms_names").unwrap().0 - TEXT;
        let markers = lookup(&made)("kallsyms_markers").unwrap().0 - TEXT;
        let middle = (names + markers) as usize / 2;
        made.image.bytes[middle..markers as usize].fill(0);
        let known = Addresses::from_lookup(lookup(&made)).unwrap();
        assert!(Kallsyms::read(&made.image, &known).is_err(), "{what}");
    }
}
