use super::*;

/// Writes ELF64 files, so that tests need no compiler.
#[derive(Clone)]
pub(crate) struct Elf {
    kind: u16,
    sections: Vec<Part>,
    symtab: Vec<u8>,
    strings: Vec<u8>,
}

/// Name, type, flags, address, bytes, link, info.
type Part = (String, u32, u64, u64, Vec<u8>, u32, u32);

impl Elf {
    /// `kind` is `e_type`: 1 a module, 2 a linked file.
    pub(crate) fn new(kind: u16) -> Self {
        Self { kind, sections: vec![], symtab: vec![0; 24], strings: vec![0] }
    }
    /// Adds a section: name, type, flags, address, bytes.
    pub(crate) fn section(mut self, name: &str, kind: u32, flags: u64, addr: u64, bytes: &[u8]) -> Self {
        self.sections.push((name.into(), kind, flags, addr, bytes.to_vec(), 0, 0));
        self
    }
    /// Adds a symbol: name, `st_info`, section index, value, size.
    pub(crate) fn symbol(mut self, name: &str, info: u8, section: u16, value: u64, size: u64) -> Self {
        let at = if name.is_empty() { 0 } else { self.strings.len() as u32 };
        self.symtab.extend_from_slice(&at.to_le_bytes());
        self.symtab.extend_from_slice(&[info, 0]);
        self.symtab.extend_from_slice(&section.to_le_bytes());
        self.symtab.extend_from_slice(&value.to_le_bytes());
        self.symtab.extend_from_slice(&size.to_le_bytes());
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        self
    }
    /// Adds relocations for the section of that index: offset, symbol, type, addend.
    pub(crate) fn rela(mut self, target: u32, relas: &[(u64, u64, u64, i64)]) -> Self {
        let mut bytes = Vec::new();
        for (offset, symbol, kind, addend) in relas {
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.extend_from_slice(&(symbol << 32 | kind).to_le_bytes());
            bytes.extend_from_slice(&addend.to_le_bytes());
        }
        self.sections.push((".rela".into(), 4, 0, 0, bytes, 0, target));
        self
    }
    pub(crate) fn build(mut self) -> Vec<u8> {
        let symtab = (".symtab".into(), 2, 0, 0, self.symtab, self.sections.len() as u32 + 2, 0);
        self.sections.push(symtab);
        self.sections.push((".strtab".into(), 3, 0, 0, self.strings, 0, 0));
        self.sections.push((".shstrtab".into(), 3, 0, 0, Vec::new(), 0, 0));
        let mut names = vec![0_u8];
        let offsets: Vec<u32> = (self.sections.iter())
            .map(|s| {
                let at = names.len() as u32;
                names.extend_from_slice(s.0.as_bytes());
                names.push(0);
                at
            })
            .collect();
        self.sections.last_mut().unwrap().4 = names;
        let mut file = vec![0; 64];
        let mut headers = vec![0; 64];
        for (s, name) in self.sections.iter().zip(offsets) {
            let at = file.len() as u64;
            file.extend_from_slice(&s.4);
            headers.extend_from_slice(&name.to_le_bytes());
            headers.extend_from_slice(&s.1.to_le_bytes());
            for n in [s.2, s.3, at, s.4.len() as u64] {
                headers.extend_from_slice(&n.to_le_bytes());
            }
            headers.extend_from_slice(&s.5.to_le_bytes());
            headers.extend_from_slice(&s.6.to_le_bytes());
            headers.extend_from_slice(&[0; 16]);
        }
        let shoff = file.len() as u64;
        file.extend_from_slice(&headers);
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[16..18].copy_from_slice(&self.kind.to_le_bytes());
        file[18..20].copy_from_slice(&62_u16.to_le_bytes());
        file[40..48].copy_from_slice(&shoff.to_le_bytes());
        file[58..60].copy_from_slice(&64_u16.to_le_bytes());
        let count = self.sections.len() as u16 + 1;
        file[60..62].copy_from_slice(&count.to_le_bytes());
        file[62..64].copy_from_slice(&(count - 1).to_le_bytes());
        file
    }
    fn open(self) -> ObjectFile {
        ObjectFile::from_bytes(self.build().into()).unwrap()
    }
}

/// A note with a build-id.
pub(crate) fn note(id: &[u8]) -> Vec<u8> {
    let mut out = [4_u32, id.len() as u32, 3].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    out.extend_from_slice(b"GNU\0");
    out.extend_from_slice(id);
    out
}

const ALLOC: u64 = 2;
const EXEC: u64 = 6;

#[test]
fn sections_build_id_and_symbols() {
    let file = Elf::new(2)
        .section(".text", 1, EXEC, 0xffff_ffff_8100_0000, b"code")
        .section(".note.gnu.build-id", 7, ALLOC, 0, &note(&[1, 2, 3]))
        .section(".bss", 8, 3, 0xffff_ffff_8200_0000, &[])
        .symbol("_text", 0x10, 1, 0xffff_ffff_8100_0000, 4)
        .open();
    assert_eq!(file.kind(), ObjectKind::Exec);
    assert_eq!(file.section(".text").unwrap(), Some(&b"code"[..]));
    assert_eq!(file.section(".bss").unwrap(), None);
    assert_eq!(file.section(".nothing").unwrap(), None);
    assert_eq!(file.build_id(), Some(&[1, 2, 3][..]));
    assert_eq!(file.bytes_at(0xffff_ffff_8100_0002), Some(&b"de"[..]));
    let symbol = file.symbol("_text").unwrap();
    assert_eq!((symbol.size, symbol.binding, symbol.section), (4, Binding::Global, SymbolSection::Index(1)));
    assert_eq!(file.runtime_address(&symbol, &Placement::slid(0x1000)), Some(0xffff_ffff_8100_1000));
}

#[test]
fn packed_sections_are_unpacked() {
    let plain = b"debug information ".repeat(100);
    let header = |kind: u32| {
        let mut h = [kind, 0].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        h.extend_from_slice(&(plain.len() as u64).to_le_bytes());
        h.extend_from_slice(&1_u64.to_le_bytes());
        h
    };
    let mut z = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut zlib = vec![0; z.zlib_compress_bound(plain.len())];
    let n = z.zlib_compress(&plain, &mut zlib).unwrap();
    let packed = [(1, zlib[..n].to_vec()), (2, zstd::encode_all(&plain[..], 1).unwrap())];
    for (kind, bytes) in packed {
        let bytes = [header(kind), bytes].concat();
        let file = Elf::new(2).section(".debug_str", 1, 0x800, 0, &bytes).open();
        assert_eq!(file.section(".debug_str").unwrap(), Some(&plain[..]), "{kind}");
        let cut = Elf::new(2).section(".debug_str", 1, 0x800, 0, &bytes[..bytes.len() - 9]).open();
        assert!(cut.section(".debug_str").is_err());
    }
    // a size that the bytes cannot unpack to is not allocated
    let mut bomb = header(1);
    bomb[8..16].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let error =
        Elf::new(2).section(".debug_str", 1, 0x800, 0, &bomb).open().section(".debug_str").unwrap_err();
    assert!(matches!(error, ElfError::TooBig { .. }), "{error}");
}

#[test]
fn whole_files_are_unpacked() {
    let elf = Elf::new(1).section(".text", 1, EXEC, 0, b"x").build();
    let mut gz = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut gzip = vec![0; gz.gzip_compress_bound(elf.len())];
    let n = gz.gzip_compress(&elf, &mut gzip).unwrap();
    let mut xz = Vec::new();
    std::io::copy(&mut liblzma::read::XzEncoder::new(&elf[..], 1), &mut xz).unwrap();
    let mut bzip = Vec::new();
    std::io::copy(&mut bzip2::read::BzEncoder::new(&elf[..], bzip2::Compression::fast()), &mut bzip).unwrap();
    let cut = unpack_bytes(&bzip[..bzip.len() / 2], "test").unwrap_err().to_string();
    assert!(cut.contains("bzip2"), "{cut}");
    for packed in [gzip[..n].to_vec(), xz, bzip, zstd::encode_all(&elf[..], 1).unwrap()] {
        assert_eq!(unpack_bytes(&packed, "test").unwrap().as_deref(), Some(&elf[..]));
    }
    assert_eq!(unpack_bytes(&elf, "test").unwrap(), None);
}

/// A module whose text is at 0x...c0001000, data at 0x...c0005000.
fn placed() -> Placement {
    Placement::new([(".text", 0xffff_ffff_c000_1000), (".data", 0xffff_ffff_c000_5000)])
}

#[test]
fn relocations_of_every_type() {
    let file = Elf::new(1)
        .section(".text", 1, EXEC, 0, &[0; 64])
        .section(".data", 1, 3, 0, &[0; 16])
        .symbol("f", 0x12, 1, 0x10, 4)
        .symbol("d", 0x11, 2, 8, 8)
        .rela(
            1,
            &[
                (0, 1, 1, 2),   // 64
                (8, 2, 2, -4),  // PC32
                (12, 1, 4, -4), // PLT32
                (16, 1, 11, 1), // 32S
                (20, 1, 10, 0), // 32
                (24, 2, 24, 0), // PC64
                (32, 1, 12, 0), // 16
                (34, 1, 14, 0), // 8
                (40, 0, 0, 7),  // NONE
            ],
        )
        .open();
    let text = file.relocated_section(".text", &placed()).unwrap();
    let u64_at = |i: usize| u64::from_le_bytes(text[i..i + 8].try_into().unwrap());
    let u32_at = |i: usize| u32::from_le_bytes(text[i..i + 4].try_into().unwrap());
    assert_eq!(u64_at(0), 0xffff_ffff_c000_1012);
    assert_eq!(u32_at(8), 0x5008 - 4 - 0x1008);
    assert_eq!(u32_at(12), 0x1010_u32 - 4 - 0x100c);
    assert_eq!(u32_at(16), 0xc000_1011);
    assert_eq!(u32_at(20), 0xc000_1010);
    assert_eq!(u64_at(24), 0x5008 - 0x1018);
    assert_eq!(text[32..35], [0x10, 0x10, 0x10]);
    assert_eq!(text[40..48], [0; 8]);
}

/// Another machine numbers them otherwise, and an unknown one's are left as they are.
#[test]
fn relocations_are_their_machines_own() {
    let built = Elf::new(1)
        .section(".text", 1, EXEC, 0, &[0; 64])
        .section(".data", 1, 3, 0, &[0; 16])
        .symbol("f", 0x12, 1, 0x10, 4)
        .rela(1, &[(0, 1, 257, 2), (8, 1, 258, 1), (16, 1, 261, 0), (24, 1, 1, 0)])
        .build();
    let of = |machine: u16| {
        let mut file = built.clone();
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        let file = ObjectFile::from_bytes(file.into()).unwrap();
        file.relocated_section_noting(".text", &placed()).unwrap()
    };
    let (text, skipped) = of(183);
    assert_eq!(text[..8], 0xffff_ffff_c000_1012_u64.to_le_bytes());
    assert_eq!(text[8..12], 0xc000_1011_u32.to_le_bytes());
    assert_eq!((&text[16..20], &text[24..32]), (&[0; 4][..], &[0; 8][..]));
    assert_eq!(skipped, [SkippedRelocation::Unknown { offset: 24, kind: 1 }]);
    assert_eq!(of(243), (vec![0; 64], vec![]));
}

#[test]
fn debug_sections_refer_by_offset_and_what_is_not_placed_is_marked() {
    let file = Elf::new(1)
        .section(".text", 1, EXEC, 0, &[0; 64])
        .section(".init.text", 1, EXEC, 0, &[0; 64])
        .section(".debug_info", 1, 0, 0, &[0xaa; 32])
        .section(".debug_str", 1, 0, 0, b"names")
        .symbol("", 3, 1, 0, 0)
        .symbol("", 3, 2, 0, 0)
        .symbol("", 3, 4, 0, 0)
        .symbol("printk", 0x10, 0, 0, 0)
        .rela(3, &[(0, 1, 1, 8), (8, 2, 1, 8), (16, 3, 10, 5), (20, 4, 10, 0), (30, 1, 1, 0), (24, 1, 99, 0)])
        .open();
    let (bytes, skipped) = file.relocated_section_noting(".debug_info", &placed()).unwrap();
    assert_eq!(bytes[..8], 0xffff_ffff_c000_1008_u64.to_le_bytes());
    assert_eq!(bytes[8..16], [0xff; 8]);
    assert_eq!(bytes[16..20], 5_u32.to_le_bytes());
    assert_eq!(bytes[24..], [0xaa; 8]);
    let want = [
        SkippedRelocation::Unplaced { offset: 8 },
        SkippedRelocation::Unplaced { offset: 20 },
        SkippedRelocation::Outside { offset: 30 },
        SkippedRelocation::Unknown { offset: 24, kind: 99 },
    ];
    assert_eq!(skipped, want);
}

#[test]
fn a_linked_files_relocations_are_applied_already() {
    let file = Elf::new(2)
        .section(".text", 1, EXEC, 0xffff_ffff_8100_0000, &[7; 16])
        .symbol("f", 0x12, 1, 0xffff_ffff_8100_0000, 4)
        .rela(1, &[(0, 1, 1, 0)])
        .open();
    assert_eq!(file.relocated_section(".text", &Placement::default()).unwrap(), [7; 16]);
}

#[test]
fn a_symbol_table_with_kaslr_and_per_cpu_numbers() {
    let file = Elf::new(2)
        .section(".text", 1, EXEC, 0xffff_ffff_8100_0000, &[0; 0x40])
        .section(".data..percpu", 1, 3, 0, &[0; 0x40])
        .symbol("_text", 0x10, 1, 0xffff_ffff_8100_0000, 0)
        .symbol("helper", 0x02, 1, 0xffff_ffff_8100_0010, 8)
        .symbol("memcpy", 0x22, 1, 0xffff_ffff_8100_0020, 8)
        .symbol("current_task", 0x11, 2, 0x20, 8)
        .symbol(".Ltmp", 0, 1, 0xffff_ffff_8100_0012, 0)
        .symbol("file.c", 4, 0xfff1, 0, 0)
        .symbol("undefined", 0x10, 0, 0, 0)
        .open();
    let table = crate::symtab::SymbolTable::from_elf(&file, 0x1480_0000);
    let all: Vec<String> = table.iter().map(|s| format!("{s:?}")).collect();
    let want = [
        "0000000000000020 D current_task",
        "ffffffff95800000 T _text",
        "ffffffff95800010 t helper",
        "ffffffff95800020 W memcpy",
    ];
    assert_eq!(all.len(), want.len());
    for (have, want) in all.iter().zip(want) {
        assert_eq!(have.trim_start_matches('0'), want.trim_start_matches('0'));
    }
    let at = |a| table.at(base::VirtAddr(a)).map(|(s, o)| (s.name, o));
    assert_eq!(at(0xffff_ffff_9580_0015), Some(("helper", 5)));
    assert_eq!(at(0xffff_ffff_9580_0040), None);
}

#[test]
fn what_is_no_elf_is_said() {
    let error = |b: &[u8]| ObjectFile::from_bytes(b.to_vec().into()).unwrap_err().to_string();
    assert_eq!(error(b"#!/bin/sh"), "not an ELF file (it starts with [23, 21, 2f, 62])");
    assert!(error(b"\x7fELF\x01\x01").contains("only 64-bit little-endian"));
    assert!(error(b"\x7fELF\x02\x01\0\0").contains("ELF header"));
    let mut far = Elf::new(2).build();
    far[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(error(&far).contains("section header table"));
}

#[test]
fn damaged_files_never_panic() {
    let elf = Elf::new(1)
        .section(".text", 1, EXEC, 0, &[0; 64])
        .section(".note.gnu.build-id", 7, ALLOC, 0, &note(&[1, 2, 3]))
        .symbol("add", 0x02, 1, 0x10, 4)
        .rela(1, &[(0, 1, 1, 2)])
        .build();
    for i in 0..elf.len() {
        let mut bytes = elf.clone();
        bytes[i] ^= 0xff;
        fuzz_elf(&bytes);
        fuzz_elf(&elf[..i]);
    }
}
