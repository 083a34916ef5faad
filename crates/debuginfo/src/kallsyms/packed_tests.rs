//! Packed tables: every name is found, by the kernel's own index and without, and no other is.

use super::testgen::{Image, Made, SPECS, Sort, Spec, TEXT, make, make_with};
use super::*;
use base::{Fault, FaultKind, GRANULE};
use std::collections::BTreeMap;

/// Names that differ by little, and what clang's LTO makes.
const MORE: &[(u8, &str)] = &[
    (b't', "foo.llvm.12345"),
    (b't', "foo"),
    (b't', "foo.cold"),
    (b't', "foo.isra.0"),
    (b'd', "foo.llvm.9"),
    (b't', "foo.llvm.7.cold"),
    (b't', "fo"),
    (b't', "foo0"),
    (b'T', "foo_"),
    (b't', "foo$x"),
    (b'b', "fop"),
    (b't', ".foo"),
    (b'd', "$foo"),
    (b'd', "_foo"),
    (b'd', "sys_read"),
    (b't', "a-b"),
];

fn place(made: &Made, label: &str) -> Option<u64> {
    made.labels.iter().find(|(name, _)| *name == label).map(|(_, at)| *at)
}

fn addresses(made: &Made) -> Addresses {
    Addresses::from_lookup(|name| place(made, name).map(VirtAddr)).unwrap()
}

/// A name as its source has it.
fn plain(name: &str) -> &str {
    match name.rsplit_once(".llvm.") {
        Some((front, number)) if !front.is_empty() && !number.is_empty() => {
            if number.bytes().all(|c| c.is_ascii_digit()) { front } else { name }
        }
        _ => name,
    }
}

/// Addresses by the names that a source has.
fn truth(made: &Made) -> BTreeMap<String, Vec<u64>> {
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (addr, _, name) in &made.symbols {
        all.entry(plain(name).to_owned()).or_default().push(*addr);
    }
    all
}

/// Names near one: what it begins with, what begins with it, and its neighbours.
fn near(name: &str) -> Vec<String> {
    let mut all = vec![String::new(), "~".into(), format!("{}{name}", &name[..1])];
    all.extend((1..name.len()).map(|len| name[..len].to_owned()));
    all.extend((1..name.len()).map(|from| name[from..].to_owned()));
    all.extend(
        ["0", ".", ".cold", "_", "$", "~", " ", ".llvm.5", ".llvm."].map(|end| format!("{name}{end}")),
    );
    let last = name.as_bytes()[name.len() - 1];
    let with_last = |c: u8| format!("{}{}", &name[..name.len() - 1], char::from(c));
    all.extend([last - 1, (last + 1).min(b'~')].map(with_last));
    all
}

#[track_caller]
fn check_names(what: &str, made: &Made, table: &SymbolTable) {
    let truth = truth(made);
    let named = |name: &str| table.named(name).map(|s| s.addr.0).collect::<Vec<_>>();
    let mut asked = 0;
    for (n, name) in truth.keys().enumerate() {
        assert_eq!(named(name), truth[name], "{what}: {name}");
        let several = if n % 16 == 0 || name.contains("fo") { near(name) } else { Vec::new() };
        for near in several {
            // what LTO appends may be there or not
            let addrs = truth.get(plain(&near)).cloned().unwrap_or_default();
            assert_eq!(named(&near), addrs, "{what}: {near}");
            asked += 1;
        }
    }
    assert!(asked > 300, "{what}");
    for (addr, kind, name) in &made.symbols {
        let at: Vec<_> = table.exactly_at(VirtAddr(*addr)).map(|s| (s.name, s.kind)).collect();
        assert!(at.contains(&(plain(name), char::from(*kind))), "{what}: {name} is not among {at:?}");
    }
}

#[test]
fn names_are_found_by_the_kernels_index_and_no_others() {
    for (what, spec) in SPECS {
        for sort in [Sort::Whole, Sort::WithoutLlvm, Sort::UpToDot] {
            let made = make_with(&Spec { sort, ..*spec }, 700, MORE);
            let read = Kallsyms::read(&made.image, &addresses(&made)).unwrap();
            assert_eq!(read.table.has_own_index(), spec.sequence == 3, "{what}, {sort:?}");
            check_names(what, &made, &read.table);
            let end = VirtAddr(TEXT).add(made.image.bytes.len() as u64);
            let found = find(&made.image, VirtAddr(TEXT), end).unwrap();
            assert_eq!(found.table.has_own_index(), spec.sequence == 3, "{what}, {sort:?}");
            check_names(what, &made, &found.table);
        }
    }
}

/// An image of which bytes are not in the dump.
struct Holed<'a>(&'a Image, std::ops::Range<u64>);

impl VirtRead for Holed<'_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let hole = VirtAddr(self.1.start).max(at);
        match at.0 < self.1.end && at.0 + buf.len() as u64 > self.1.start {
            true => Err(Fault::new(hole, FaultKind::NotMapped("PTE"))),
            false => self.0.read(at, buf),
        }
    }
}

type Damage<'a> = &'a dyn Fn(&mut [u8]);

#[test]
fn an_index_that_is_damaged_is_not_used() {
    for (what, spec) in SPECS.iter().filter(|(_, spec)| spec.sequence == 3) {
        let made = make_with(spec, 3000, MORE);
        let at = addresses(&made);
        let index = place(&made, "kallsyms_seqs_of_names").unwrap();
        let changed = |change: Damage<'_>| {
            let mut image = Image { at: TEXT, bytes: made.image.bytes.clone() };
            let start = (index - TEXT) as usize;
            change(&mut image.bytes[start..start + made.symbols.len() * 3]);
            Kallsyms::read(&image, &at).unwrap().table
        };
        let damage: [Damage<'_>; 5] = [
            &|index| index[3000] ^= 1,
            &|index| index[0] = 0xff,
            &|index| index[3000..7096].fill(0),
            &|index| index.fill(0),
            &|index| index.reverse(),
        ];
        for (n, damage) in damage.into_iter().enumerate() {
            let table = changed(damage);
            assert!(!table.has_own_index(), "{what}: {n}");
            check_names(what, &made, &table);
        }
        let page = (index + GRANULE) & !(GRANULE - 1);
        let holed = Kallsyms::read(&Holed(&made.image, page..page + 64), &at).unwrap();
        assert!(!holed.table.has_own_index(), "{what}");
        check_names(what, &made, &holed.table);
        assert!(changed(&|_| ()).has_own_index(), "{what}");
        let mixed = make(&Spec { sort: Sort::Mixed, ..*spec }, 3000);
        assert!(!Kallsyms::read(&mixed.image, &addresses(&mixed)).unwrap().table.has_own_index(), "{what}");
    }
}

#[test]
fn a_table_with_labels_has_none() {
    let labels: &[(u8, &str)] = &[(b't', ".Ltmp1"), (b't', "$x"), (b'd', "$d.12"), (b't', "$dollar")];
    for (what, spec) in SPECS {
        for (n, label) in labels.iter().enumerate() {
            let made = make_with(spec, 300, &[(b't', "before"), *label, (b'd', "after")]);
            let table = Kallsyms::read(&made.image, &addresses(&made)).unwrap().table;
            assert_eq!(table.named(label.1).count(), usize::from(n == 3), "{what}");
            assert_eq!(table.len(), made.symbols.len() - usize::from(n != 3), "{what}");
            let of = |name: &str| {
                let symbol = table.find(name).unwrap();
                made.symbols.iter().any(|(addr, _, n)| n == name && *addr == symbol.addr.0)
            };
            assert!(of("before") && of("after") && of("_end"), "{what}");
        }
    }
}

#[test]
fn a_packed_table_is_as_the_same_one_unpacked() {
    for (what, spec) in SPECS {
        let made = make_with(spec, 700, MORE);
        let packed = Kallsyms::read(&made.image, &addresses(&made)).unwrap().table;
        let list = packed.merged(&SymbolTable::empty());
        assert!(packed.iter().eq(list.iter()) && packed.iter().rev().eq(list.iter().rev()), "{what}");
        assert_eq!((packed.len(), list.len()), (made.symbols.len(), made.symbols.len()), "{what}");
        for symbol in packed.iter() {
            let id = symbol.id;
            assert_eq!((packed.next(id), packed.prev(id)), (list.next(id), list.prev(id)), "{what}");
            assert_eq!(packed.span(id), list.span(id), "{what}");
            for at in [symbol.addr, symbol.addr.add(1), symbol.addr.sub(1)] {
                assert_eq!(packed.at(at), list.at(at), "{what}: {at:x}");
            }
        }
        let range = (VirtAddr(TEXT), VirtAddr(TEXT + 0x500));
        assert!(packed.between(range.0, range.1).eq(list.between(range.0, range.1)), "{what}");
        assert_eq!(packed.listed(range.0, range.1), list.listed(range.0, range.1), "{what}");
        assert!(packed.containing("oo").eq(list.containing("oo")), "{what}");
        assert!(packed.with_prefix("sys_").eq(list.with_prefix("sys_")), "{what}");
        assert_eq!(packed.near("sys_raed"), list.near("sys_raed"), "{what}");
        assert_eq!(
            (packed.lost(None), packed.has_functions_alone()),
            (0, list.has_functions_alone()),
            "{what}"
        );
        assert_eq!(packed.at(VirtAddr(u64::MAX)), list.at(VirtAddr(u64::MAX)), "{what}");
    }
}

#[test]
fn threads_that_ask_at_once_are_all_answered() {
    let made = make_with(&SPECS[4].1, 3000, MORE);
    let table = Kallsyms::read(&made.image, &addresses(&made)).unwrap().table;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| check_names("8 threads", &made, &table));
        }
    });
}
