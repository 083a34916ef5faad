//! Files and tables with debug information: ELF, DWARF, BTF, unwind tables, kallsyms, packages.

use super::{Target, outcome};
use base::{Bytes, Fault, FaultKind, VirtAddr, VirtRead};
use debuginfo::btf::fuzz_btf;
use debuginfo::cfi::fuzz_cfi;
use debuginfo::dwarf::fuzz_dwarf;
use debuginfo::elf::{ObjectFile, fuzz_elf, unpack_bytes};
use debuginfo::find::fuzz_archives;
use debuginfo::kallsyms::fuzz_scan;
use debuginfo::orc::OrcTable;
use debuginfo::pack::fuzz_pack;
use debuginfo::process::fuzz_process;

/// The generator of the crate's own tests: kallsyms in every order and form.
#[path = "../../../crates/debuginfo/src/kallsyms/testgen.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod testgen;

/// This file's rows of the table.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "elf", about: "an ELF file of kernel or module", seeds: objects, run: elf },
    Target { name: "dwarf", about: "an ELF file's DWARF", seeds: objects, run: dwarf },
    Target { name: "btf", about: "BTF, as base and as split", seeds: btf_seeds, run: btf },
    Target { name: "cfi", about: ".debug_frame", seeds: cfi_seeds, run: cfi },
    Target { name: "process", about: "a file of a process", seeds: objects, run: process },
    Target { name: "orc", about: "ORC tables in memory", seeds: orc_seeds, run: orc },
    Target { name: "kallsyms", about: "kallsyms in memory", seeds: kallsyms_seeds, run: kallsyms },
    Target { name: "archives", about: "tar and cpio in packages", seeds: archive_seeds, run: archives },
    Target { name: "pack", about: "packs of debug files, and what is packed", seeds: pack_seeds, run: pack },
    Target { name: "unpack", about: "gzip, xz and zstd files", seeds: unpack_seeds, run: unpack },
];

fn objects() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../seeds/tiny.o")[..],
        include_bytes!("../../seeds/tiny4.o"),
        include_bytes!("../../seeds/tiny-gz.o"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

fn elf(bytes: &[u8]) -> u64 {
    fuzz_elf(bytes);
    shape(bytes)
}

fn dwarf(bytes: &[u8]) -> u64 {
    fuzz_dwarf(bytes);
    shape(bytes)
}

/// What an ELF file consists of, coarsely.
fn shape(bytes: &[u8]) -> u64 {
    let Ok(file) = ObjectFile::from_bytes(bytes.to_vec().into()) else { return 0 };
    let readable: Vec<bool> =
        file.sections().iter().take(64).map(|s| file.section(s.name()).is_ok()).collect();
    outcome((readable, file.symbols().count().min(32)))
}

fn btf_seeds() -> Vec<Vec<u8>> {
    vec![include_bytes!("../../seeds/tiny.btf").to_vec()]
}

fn btf(bytes: &[u8]) -> u64 {
    fuzz_btf(bytes);
    0
}

fn cfi_seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../seeds/tiny.debug_frame").to_vec(),
        include_bytes!("../../seeds/tiny.eh_frame").to_vec(),
    ]
}

fn cfi(bytes: &[u8]) -> u64 {
    fuzz_cfi(bytes);
    0
}

fn process(bytes: &[u8]) -> u64 {
    fuzz_process(bytes);
    shape(bytes)
}

/// Bytes at an address, nothing elsewhere.
struct Flat<'a>(&'a [u8]);

const AT: u64 = 0xffff_ffff_8100_0000;

impl VirtRead for Flat<'_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let offset = usize::try_from(at.0.wrapping_sub(AT)).unwrap_or(usize::MAX);
        let have = self.0.get(offset..).unwrap_or_default();
        let n = have.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(have) {
            *to = *from;
        }
        let kind = FaultKind::NotMapped("PTE");
        if n < buf.len() { Err(Fault::new(at.add(n as u64), kind)) } else { Ok(()) }
    }
}

/// Layout of an input: three numbers of 16 bits (where entries and lookup begin, how many
/// entries), then memory from `AT + 8` on, in which the addresses come first.
fn orc_seeds() -> Vec<Vec<u8>> {
    let one = |flags: [u16; 4]| {
        let count = 64_u16;
        let (entries, lookup) = (8 + 4 * count, 8 + 10 * count);
        let mut out = [entries, lookup, count, 0].map(u16::to_le_bytes).concat();
        (0..u32::from(count)).for_each(|i| out.extend((0x1000 + 12 * i).to_le_bytes()));
        for i in 0..usize::from(count) {
            let kind = flags.get(if i == 0 { 0 } else { 1 + i % 3 }).copied().unwrap_or(0);
            out.extend([8, 0, 0, 0]);
            out.extend(kind.to_le_bytes());
        }
        (0..4_u32).for_each(|i| out.extend((i * 16).to_le_bytes()));
        out
    };
    // the four packings: end, call, registers, iret frame
    vec![
        one([0x400, 5, 0x105, 0x205]),
        one([0x800, 5, 0x505, 0x605]),
        one([0x100, 0x205, 0xb05, 0xc05]),
        one([0x100, 0x203, 0xb03, 0xc03]),
    ]
}

fn orc(bytes: &[u8]) -> u64 {
    let numbers = Bytes::new(bytes);
    let number = |i: usize| u64::from(numbers.u16_at(i * 2).unwrap_or(0));
    let symbols = |name: &str| {
        Some(VirtAddr(match name {
            "__start_orc_unwind_ip" => AT + 8,
            "__stop_orc_unwind_ip" => AT + 8 + 4 * number(2),
            "__start_orc_unwind" => AT + number(0),
            "orc_lookup" => AT + number(1),
            "orc_lookup_end" => AT + number(1) + 4 * (number(2) / 16),
            "_stext" => AT + 0x1000,
            _ => return None,
        }))
    };
    let mem = Flat(bytes);
    let Some(table) = OrcTable::kernel(&mem, &symbols) else { return 0 };
    let found: Vec<bool> =
        (0..0x40).map(|i| table.find(&mem, VirtAddr(AT + 0x1000 + i * 16)).is_some()).collect();
    let module = OrcTable::module(&mem, VirtAddr(AT + number(0)), VirtAddr(AT + number(1)), 9, Some(&table));
    let also = module.and_then(|m| m.find(&mem, VirtAddr(AT + number(3)))).is_some();
    outcome((format!("{:?}", table.generation()), found.iter().filter(|f| **f).count() / 8, also))
}

fn kallsyms_seeds() -> Vec<Vec<u8>> {
    // the numbers before the arrays are there to be passed over: that costs time here
    let short = |image: Vec<u8>| image.get(0xf000..).unwrap_or_default().to_vec();
    testgen::SPECS.iter().map(|(_, spec)| short(testgen::make(spec, 700).image.bytes)).collect()
}

fn kallsyms(bytes: &[u8]) -> u64 {
    fuzz_scan(bytes);
    0
}

fn archive_seeds() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../seeds/tiny.gnu.tar")[..],
        include_bytes!("../../seeds/tiny.pax.tar"),
        include_bytes!("../../seeds/tiny.cpio"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

fn archives(bytes: &[u8]) -> u64 {
    fuzz_archives(bytes);
    0
}

fn pack_seeds() -> Vec<Vec<u8>> {
    let index =
        b"kernel 6.1\nfile vmlinux abcd 20 vmlinux\npiece 40 10 20\nfile module 12 8 loop\npiece 50 9 8\n";
    [objects(), vec![index.to_vec()]].concat()
}

fn pack(bytes: &[u8]) -> u64 {
    fuzz_pack(bytes);
    0
}

fn unpack_seeds() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../seeds/tiny.btf.gz")[..],
        include_bytes!("../../seeds/tiny.btf.xz"),
        include_bytes!("../../seeds/tiny.btf.zst"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

fn unpack(bytes: &[u8]) -> u64 {
    outcome(match unpack_bytes(bytes, "fuzz") {
        Ok(None) => 0,
        Ok(Some(plain)) => plain.len() / 256,
        Err(_) => usize::MAX,
    })
}
