use super::testgen::{Form, Image, Made, SPECS, TEXT, make};
use super::*;
use base::VirtAddr;

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
    let made = make(&SPECS[4].1, 700);
    let right = Addresses::from_lookup(lookup(&made)).unwrap();
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
    image.bytes[place("kallsyms_offsets") + 400 + 3] ^= 0x40;
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

#[test]
fn a_modules_wild_counts_and_names_are_errors() {
    let (image, symtab) = module(&[("a", b't', 1, 5)], true);
    let mut builder = SymbolTableBuilder::new();
    let wild = ModuleSymtab { count: u32::MAX, ..symtab };
    assert!(module_symbols(&image, &mut builder, "m", &wild).is_err());
    let beyond = ModuleSymtab { count: 1000, ..symtab };
    assert!(module_symbols(&image, &mut builder, "m", &beyond).is_err());
    assert!(builder.is_empty());
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
