//! Dump files: open them and read whatever they offer.

use super::{Target, outcome};
use base::{PAGE_SIZE, Pfn, PhysRead};
use dump::{Dump, DumpError};
use std::mem::discriminant;
use testkit::dump::{DumpSpec, ElfPieces, Packing, flatten};

/// This file's rows of the table.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "dump_open", about: "a dump file of any format", seeds, run: open },
    Target { name: "dump_split", about: "two files of a split set", seeds: split_seeds, run: open_two },
];

fn spec() -> DumpSpec {
    DumpSpec::x86_64()
        .vmcoreinfo("OSRELEASE=6.1\nPAGESIZE=4096\n")
        .note("CORE", 1, &[3; 336])
        .page(1, b"one")
        .excluded(2)
        .page(3, &[3; 4096])
        .page(5, &[])
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = vec![spec().elf(), spec().elf_many_headers()];
    all.extend(Packing::ALL.map(|p| spec().kdump(p)));
    all.extend((1..6).map(|v| spec().version(v).kdump(Packing::Lzo)));
    all.extend(spec().split(Packing::Zlib, &[2]));
    all.push(spec().lime());
    all.push(spec().erase_info("erase x size 8\n").kdump(Packing::Plain));
    let pieces = ElfPieces::default().load(0x200, &[5; 0x200], 0x400).load(0x1c00, &[6; 0x200], 0x200);
    all.push(pieces.notes(&[0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 7, 7, 7, 7]).build());
    all.push(vec![5; 1 << 20]);
    all.push(flatten(&spec().elf(), 700));
    all.push(flatten(&spec().kdump(Packing::Zlib), 700));
    all
}

fn open(bytes: &[u8]) -> u64 {
    exercise(Dump::from_bytes(vec![bytes.to_vec()]))
}

/// Two files in one input: the length of the first, then both.
fn split_seeds() -> Vec<Vec<u8>> {
    let join = |files: Vec<Vec<u8>>| {
        let len = files.first().map_or(0, Vec::len) as u32;
        [len.to_le_bytes().to_vec(), files.concat()].concat()
    };
    vec![join(spec().split(Packing::Zlib, &[2])), join(spec().version(2).split(Packing::Plain, &[3]))]
}

fn open_two(bytes: &[u8]) -> u64 {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else { return 0 };
    let (a, b) = rest.split_at(rest.len().min(u32::from_le_bytes(*len) as usize));
    exercise(Dump::from_bytes(vec![a.to_vec(), b.to_vec()]))
}

fn exercise(opened: Result<Dump, DumpError>) -> u64 {
    let dump = match opened {
        Ok(dump) => dump,
        Err(e) => return outcome((discriminant(&e), kind_of(&e))),
    };
    let mut page = [0; PAGE_SIZE as usize];
    let mut reads = Vec::new();
    for pfn in (0..8).chain([0x7fff, 0x8000, u64::MAX >> 12]).map(Pfn) {
        let read = dump.read_phys(pfn.addr(), &mut page).map_err(|m| m.why);
        reads.push((read, dump.present(pfn)));
        std::hint::black_box(dump.borrow_phys(pfn.addr(), page.len()));
        std::hint::black_box(dump.next_present(pfn));
        std::hint::black_box((dump.missing(pfn.addr()), dump.skip_holes(pfn.addr().add(9))));
        std::hint::black_box(dump.read_stretch(pfn.addr().add(0x201), &mut [0; 9000]).is_ok());
    }
    std::hint::black_box((dump.held_bytes(), format!("{dump:?}")));
    let warnings: Vec<_> = dump.facts().warnings.iter().map(discriminant).collect();
    outcome((dump.format(), dump.notes().len().min(9), dump.vmcoreinfo().is_some(), reads, warnings))
}

/// The field or header that an error names.
fn kind_of(error: &DumpError) -> &str {
    match error {
        DumpError::BadField { field, .. } => field,
        DumpError::Truncated { what, .. } => what,
        DumpError::Foreign { what, .. } => what,
        _ => "",
    }
}
