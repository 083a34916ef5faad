//! Small blobs, written word by word.

use super::*;
use crate::types::{
    CompoundKind, Encoding, Qualifier, Scope, SourceId, Space, Type, TypeError, TypeRef, TypeSource, Types,
};

/// Writes BTF. Strings of a split blob continue `string_base`.
struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    string_base: u32,
    next: u32,
}

impl Writer {
    fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0], string_base: 0, next: 1 }
    }

    fn over(base: &Writer) -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            string_base: base.string_base + base.strings.len() as u32,
            next: base.next,
        }
    }

    fn string(&mut self, s: &str) -> u32 {
        if s.is_empty() {
            return 0;
        }
        let at = self.string_base + self.strings.len() as u32;
        self.strings.extend(s.as_bytes());
        self.strings.push(0);
        at
    }

    fn record(&mut self, name: &str, kind: Kind, flag: bool, vlen: u32, word: u32, rest: &[u32]) -> u32 {
        let name = self.string(name);
        for w in [name, u32::from(flag) << 31 | u32::from(kind.0) << 24 | vlen, word].iter().chain(rest) {
            self.types.extend(w.to_le_bytes());
        }
        self.next += 1;
        self.next - 1
    }

    fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        self.record(name, Kind::INT, false, 0, size, &[(encoding << 24) | (size * 8)])
    }

    fn structure(&mut self, name: &str, size: u32, flag: bool, members: &[(&str, u32, u32)]) -> u32 {
        let rest: Vec<u32> =
            members.iter().flat_map(|(name, ty, offset)| [self.string(name), *ty, *offset]).collect();
        self.record(name, Kind::STRUCT, flag, members.len() as u32, size, &rest)
    }

    fn blob(&self) -> Blob {
        let mut out = vec![0x9f, 0xeb, 1, 0];
        let types = self.types.len() as u32;
        for w in [24, 0, types, types, self.strings.len() as u32] {
            out.extend(w.to_le_bytes());
        }
        out.extend(&self.types);
        out.extend(&self.strings);
        Blob::new(out)
    }
}

fn source(btf: &Arc<Btf>) -> BtfSource {
    BtfSource::new(btf, SourceId(1), None, Scope::Kernel, "test BTF".into())
}

fn only(w: &Writer) -> BtfSource {
    source(&Arc::new(Btf::parse(w.blob()).unwrap()))
}

fn at(id: u32) -> TypeRef {
    TypeRef { source: SourceId(1), id }
}

#[test]
fn a_struct_with_a_bit_field_and_a_tagged_pointer() {
    let mut w = Writer::new();
    let int = w.int("unsigned int", 4, 0);
    let tag = w.record("user", Kind::TYPE_TAG, false, 0, int, &[]);
    let ptr = w.record("", Kind::PTR, false, 0, tag, &[]);
    let s = w.structure("s", 16, true, &[("low", int, 0), ("three", int, 3 << 24 | 33), ("to", ptr, 64)]);
    let src = only(&w);
    assert_eq!(src.find(Space::Struct, "s"), [at(s)]);
    assert!(src.find(Space::Union, "s").is_empty());
    let Type::Compound { kind: CompoundKind::Struct, size: 16, members, declaration: false, .. } =
        src.get(s).unwrap()
    else {
        panic!()
    };
    assert_eq!(members[1].bit_offset, 33);
    assert_eq!(members[1].bit_size, Some(3));
    assert_eq!(members[2].bit_size, None);
    assert_eq!(src.get(ptr).unwrap(), Type::Pointer { to: at(int) });
    assert_eq!(
        src.get(int).unwrap(),
        Type::Int { name: "unsigned int".into(), size: 4, encoding: Encoding::Unsigned }
    );
}

#[test]
fn functions_have_named_parameters() {
    let mut w = Writer::new();
    let int = w.int("int", 4, 1);
    let (fmt, void) = (w.string("fmt"), 0);
    let proto = w.record("", Kind::FUNC_PROTO, false, 2, int, &[fmt, int, void, void]);
    w.record("_printk", Kind::FUNC, false, 1, proto, &[]);
    let var = w.record("jiffies", Kind::VAR, false, 0, int, &[1]);
    let src = only(&w);
    assert_eq!(src.find(Space::Function, "_printk"), [at(proto)]);
    let Type::Func { params, variadic: true, ret } = src.get(proto).unwrap() else { panic!() };
    assert_eq!((params.len(), params[0].name.as_deref(), ret), (1, Some("fmt"), at(int)));
    assert_eq!(src.btf().func_params("_printk"), Some(vec!["fmt".into(), String::new()]));
    assert_eq!(src.find(Space::Variable, "jiffies"), [at(int)]);
    assert!(matches!(src.get(var).unwrap(), Type::Int { .. }));
}

#[test]
fn enumerations_are_signed_as_their_time_had_it() {
    let mut w = Writer::new();
    let (a, b) = (w.string("A"), w.string("B"));
    let e = w.record("e", Kind::ENUM, false, 2, 4, &[a, 1, b, u32::MAX]);
    assert_eq!(only(&w).find_enumerator("B"), [(at(e), -1)]);
    // an enumeration that says so itself: the others are unsigned
    let c = w.string("C");
    w.record("f", Kind::ENUM, true, 1, 4, &[c, (-2_i32).cast_unsigned()]);
    let d = w.string("D");
    let wide = w.record("g", Kind::ENUM64, false, 1, 8, &[d, 1, 0x8000_0000]);
    let src = only(&w);
    assert_eq!(src.find_enumerator("B"), [(at(e), i128::from(u32::MAX))]);
    assert_eq!(src.find_enumerator("C")[0].1, -2);
    assert_eq!(src.find_enumerator("D"), [(at(wide), 0x8000_0000_0000_0001)]);
    assert_eq!(src.find(Space::Enum, "g"), [at(wide)]);
}

#[test]
fn a_definition_hides_the_declaration() {
    let mut w = Writer::new();
    let fwd = w.record("page", Kind::FWD, false, 0, 0, &[]);
    assert_eq!(only(&w).find(Space::Struct, "page"), [at(fwd)]);
    let full = w.structure("page", 64, false, &[]);
    let src = only(&w);
    assert_eq!(src.find(Space::Struct, "page"), [at(full)]);
    assert!(matches!(src.get(fwd).unwrap(), Type::Compound { declaration: true, .. }));
}

#[test]
fn split_btf_refers_to_the_kernels() {
    let mut kernel = Writer::new();
    let int = kernel.int("int", 4, 1);
    let mut module = Writer::over(&kernel);
    let konst = module.record("", Kind::CONST, false, 0, int, &[]);
    let own = module.structure("own", 8, false, &[("x", konst, 0)]);
    let base = Arc::new(Btf::parse(kernel.blob()).unwrap());
    let split = Arc::new(Btf::parse_split(module.blob(), Arc::clone(&base)).unwrap());
    assert_eq!((split.first_id(), own), (2, 3));

    let types = Types::new();
    let base_id =
        types.add(|id| Ok::<_, BtfError>(base.source(id, None, Scope::Kernel, "kernel".into()))).unwrap();
    let scope = Scope::Module("m".into());
    types.add(|id| Ok::<_, BtfError>(split.source(id, Some(base_id), scope, "m".into()))).unwrap();
    let found = types.first(None, Space::Struct, "own").unwrap();
    let x = types.member(found, "x").unwrap().unwrap();
    let Type::Qualified { qualifier: Qualifier::Const, to } = *types.get(x.ty).unwrap() else { panic!() };
    assert_eq!(to, TypeRef { source: base_id, id: int });
    assert_eq!(types.name(x.ty), "const int");
}

#[test]
fn a_distilled_base_stands_for_the_kernels_types() {
    let mut kernel = Writer::new();
    kernel.int("long int", 8, 1);
    let int = kernel.int("int", 4, 1);
    let small = kernel.structure("inside", 8, false, &[("a", int, 0)]);
    let far = kernel.structure("far", 128, false, &[("a", int, 0)]);
    let mut reduced = Writer::new();
    let r_far = reduced.record("far", Kind::FWD, false, 0, 0, &[]);
    let r_int = reduced.int("int", 4, 1);
    let r_small = reduced.structure("inside", 8, false, &[]);
    let r_gone = reduced.structure("gone", 8, false, &[]);
    let mut module = Writer::over(&reduced);
    let own = module.structure(
        "own",
        64,
        false,
        &[("a", r_far, 0), ("b", r_int, 64), ("c", r_small, 128), ("d", r_gone, 192)],
    );
    let kernel = Arc::new(Btf::parse(kernel.blob()).unwrap());
    let btf = Arc::new(Btf::parse_distilled(module.blob(), reduced.blob(), kernel).unwrap());
    let src = BtfSource::new(&btf, SourceId(2), Some(SourceId(1)), Scope::Kernel, "m".into());
    let Type::Compound { members, .. } = src.get(own).unwrap() else { panic!() };
    let types: Vec<TypeRef> = members.iter().map(|m| m.ty).collect();
    assert_eq!(types, [at(far), at(int), at(small), TypeRef { source: SourceId(2), id: r_gone }]);
    assert!(matches!(src.get(r_gone).unwrap(), Type::Compound { size: 8, .. }));
}

#[test]
fn the_layout_section_skips_kinds_from_the_future() {
    let mut w = Writer::new();
    w.record("", Kind(21), false, 2, 0, &[7, 8, 9]); // 4 bytes once, 4 for each of two
    let int = w.int("int", 4, 1);
    let plain = w.blob();
    let mut layout = vec![0_u8; 22 * 4];
    layout[21 * 4] = 4;
    layout[21 * 4 + 1] = 4;
    let mut bytes = plain[..24].to_vec();
    bytes[4] = 32;
    bytes.extend((plain.len() as u32 - 24).to_le_bytes());
    bytes.extend((layout.len() as u32).to_le_bytes());
    bytes.extend(&plain[24..]);
    bytes.extend(&layout);
    let src = source(&Arc::new(Btf::parse(Blob::new(bytes)).unwrap()));
    assert_eq!(src.find(Space::Base, "int"), [at(int)]);
    assert!(matches!(src.get(1), Err(TypeError::Malformed { .. })));
    assert!(only(&w).find(Space::Base, "int").is_empty(), "without it the rest cannot be read");
}

#[test]
fn big_endian_blobs_are_read() {
    let mut w = Writer::new();
    w.int("int", 4, 1);
    let little = w.blob();
    let mut big = little.to_vec();
    big[..2].reverse();
    for word in big[4..24 + 16].chunks_exact_mut(4) {
        word.reverse();
    }
    let src = source(&Arc::new(Btf::parse(Blob::new(big)).unwrap()));
    assert!(matches!(src.get(1).unwrap(), Type::Int { size: 4, encoding: Encoding::Signed, .. }));
}

#[test]
fn what_is_not_btf_is_said() {
    let parse = |bytes: &[u8]| Btf::parse(Blob::new(bytes.to_vec())).unwrap_err();
    assert_eq!(parse(&[]), BtfError::Header { wanted: 24, len: 0 });
    assert_eq!(parse(b"\x7fELF").to_string(), "not BTF: magic is 0x457f, not 0xeb9f in either byte order");
    assert_eq!(parse(&[0x9f, 0xeb, 2, 0]), BtfError::Version(2));
    let mut w = Writer::new().blob().to_vec();
    w[12] = 0xff;
    assert!(matches!(parse(&w), BtfError::Section { name: "type", size: 0xff, .. }));
}

#[test]
fn lies_do_not_hang_or_panic() {
    let mut w = Writer::new();
    w.record("loop", Kind::TYPE_TAG, false, 0, 1, &[]);
    w.record("v", Kind::VAR, false, 0, 2, &[0]);
    w.record("t", Kind::TYPEDEF, false, 0, 77, &[]);
    w.record("f", Kind::FUNC, false, 0, 3, &[]);
    let big = w.record("huge", Kind::STRUCT, false, 0xff_ffff, 8, &[]);
    let src = only(&w);
    for id in 0..=big {
        let _ = src.get(id);
    }
    assert_eq!(src.btf().len(), 4, "a record that reaches beyond the section is none");
    let whole = w.blob();
    for cut in 0..whole.len() {
        fuzz_btf(&whole[..cut]);
    }
    for i in 24..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[i] ^= 0xff;
        fuzz_btf(&bytes);
    }
}
