//! DWARF that gimli writes, in ELF files of a few sections.

use super::*;
use crate::elf::{ObjectFile, Placement};
use crate::types::{Encoding, Scope, SourceId, Space, Type, TypeError, TypeRef, Types};
use base::{Fault, FaultKind, VirtAddr, VirtRead};
use gimli::constants::*;
use gimli::write::{self, Address, AttributeValue as A, EndianVec, Sections, UnitEntryId};
use gimli::{Encoding as DwEncoding, Format, LittleEndian, X86_64};
use std::sync::Arc;

/// Where the code of every test unit begins.
const TEXT: u64 = 0xffff_ffff_8100_0000;

/// An ELF64 file of type `kind` (2: linked) with these sections.
pub(crate) fn elf(kind: u16, sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut names = vec![0_u8];
    let mut body = vec![0_u8; 64];
    let mut headers = vec![0_u8; 64];
    let mut all = sections.to_vec();
    all.push((".shstrtab", Vec::new()));
    for (name, bytes) in all {
        let at = names.len() as u32;
        names.extend(name.bytes());
        names.push(0);
        let bytes = if name == ".shstrtab" { names.clone() } else { bytes };
        let type_ = if name == ".shstrtab" { 3_u32 } else { 1 };
        headers.extend(at.to_le_bytes());
        headers.extend(type_.to_le_bytes());
        for word in [0, 0, body.len() as u64, bytes.len() as u64, 0, 1, 0] {
            headers.extend(word.to_le_bytes());
        }
        body.extend(bytes);
    }
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    header.extend(kind.to_le_bytes());
    header.extend(62_u16.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    header.extend([0; 16]);
    header.extend((body.len() as u64).to_le_bytes());
    header.extend(0_u32.to_le_bytes());
    let count = (headers.len() / 64) as u16;
    for half in [64, 0, 0, 64, count, count - 1] {
        header.extend(half.to_le_bytes());
    }
    body[..64].copy_from_slice(&header);
    body.extend(headers);
    body
}

/// A unit in the making.
struct Maker {
    dwarf: write::DwarfUnit,
}

impl Maker {
    fn new(version: u16) -> Self {
        let encoding = DwEncoding { format: Format::Dwarf32, version, address_size: 8 };
        let mut dwarf = write::DwarfUnit::new(encoding);
        let root = dwarf.unit.root();
        let root = dwarf.unit.get_mut(root);
        root.set(DW_AT_low_pc, A::Address(Address::Constant(TEXT)));
        root.set(DW_AT_high_pc, A::Udata(0x1000));
        Self { dwarf }
    }

    /// Adds an entry below `parent` (the unit itself for `None`).
    fn add(
        &mut self,
        parent: Option<UnitEntryId>,
        tag: gimli::DwTag,
        attrs: &[(gimli::DwAt, A)],
    ) -> UnitEntryId {
        let parent = parent.unwrap_or(self.dwarf.unit.root());
        let id = self.dwarf.unit.add(parent, tag);
        for (name, value) in attrs {
            self.dwarf.unit.get_mut(id).set(*name, value.clone());
        }
        self.dwarf.unit.get_mut(id).set_sibling(true);
        id
    }

    fn name(&mut self, name: &str) -> (gimli::DwAt, A) {
        (DW_AT_name, A::StringRef(self.dwarf.strings.add(name)))
    }

    fn int(&mut self) -> UnitEntryId {
        let attrs =
            [self.name("int"), (DW_AT_byte_size, A::Udata(4)), (DW_AT_encoding, A::Encoding(DW_ATE_signed))];
        self.add(None, DW_TAG_base_type, &attrs)
    }

    fn file(mut self) -> Arc<DwarfFile> {
        let bytes = self.bytes();
        let object = Arc::new(ObjectFile::from_bytes(bytes.into()).unwrap());
        Arc::new(DwarfFile::open(object, &Placement::slid(0x1000_0000)).unwrap())
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut sections = Sections::new(EndianVec::new(LittleEndian));
        self.dwarf.write(&mut sections).unwrap();
        let mut all = Vec::new();
        sections
            .for_each(|id, bytes| {
                if !bytes.slice().is_empty() {
                    all.push((id.name(), bytes.slice().to_vec()));
                }
                Ok::<_, ()>(())
            })
            .unwrap();
        elf(2, &all)
    }
}

fn size(n: u64) -> (gimli::DwAt, A) {
    (DW_AT_byte_size, A::Udata(n))
}

fn of(id: UnitEntryId) -> (gimli::DwAt, A) {
    (DW_AT_type, A::UnitRef(id))
}

fn code(from: u64, len: u64) -> [(gimli::DwAt, A); 2] {
    [(DW_AT_low_pc, A::Address(Address::Constant(TEXT + from))), (DW_AT_high_pc, A::Udata(len))]
}

fn types(file: &Arc<DwarfFile>) -> (Types, SourceId) {
    let types = Types::new();
    let id = types.add(|id| Ok::<_, ()>(file.source(id, Scope::Kernel))).unwrap();
    (types, id)
}

/// A frame with some registers, and eight bytes of stack at 0x7000.
struct Frame<'f> {
    registers: Vec<(u16, u64)>,
    caller: Option<(&'f Frame<'f>, u64, &'f DwarfFile)>,
    entered: Option<u64>,
}

impl VirtRead for Frame<'_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault::new(at, FaultKind::NotMapped("PTE"));
        let stack = 0x1122_3344_5566_7788_u64.to_le_bytes();
        let from = at.0.checked_sub(0x7000).ok_or(fault)? as usize;
        buf.copy_from_slice(stack.get(from..from + buf.len()).ok_or(fault)?);
        Ok(())
    }
}

impl FrameAccess for Frame<'_> {
    fn register(&self, number: u16) -> Option<u64> {
        self.registers.iter().find(|(n, _)| *n == number).map(|(_, v)| *v)
    }
    fn cfa(&self) -> Option<u64> {
        Some(0x7010)
    }
    fn memory(&self) -> &dyn VirtRead {
        self
    }
    fn caller(&self) -> Option<Caller<'_>> {
        self.caller.map(|(frame, return_address, dwarf)| Caller {
            frame,
            return_address,
            dwarf,
            entered: self.entered,
        })
    }
}

fn expression(build: impl FnOnce(&mut write::Expression)) -> A {
    let mut e = write::Expression::new();
    build(&mut e);
    A::Exprloc(e)
}

#[test]
fn structs_arrays_and_bit_fields_of_every_age() {
    for version in [4, 5] {
        let mut m = Maker::new(version);
        let int = m.int();
        let attrs = [m.name("grid"), size(32)];
        let s = m.add(None, DW_TAG_structure_type, &attrs);
        let array = m.add(None, DW_TAG_array_type, &[of(int)]);
        m.add(Some(array), DW_TAG_subrange_type, &[(DW_AT_upper_bound, A::Udata(1))]);
        m.add(Some(array), DW_TAG_subrange_type, &[(DW_AT_count, A::Udata(3))]);
        let tail = m.add(None, DW_TAG_array_type, &[of(int)]);
        m.add(Some(tail), DW_TAG_subrange_type, &[]);
        let attrs = [m.name("cells"), of(array), (DW_AT_data_member_location, A::Udata(0))];
        m.add(Some(s), DW_TAG_member, &attrs);
        // DWARF 4: three bits, five from the top of the word at 24, so 24 from its bottom
        let attrs = [
            m.name("old"),
            of(int),
            size(4),
            (DW_AT_bit_size, A::Udata(3)),
            (DW_AT_bit_offset, A::Udata(5)),
            (DW_AT_data_member_location, expression(|e| e.op_plus_uconst(24))),
        ];
        m.add(Some(s), DW_TAG_member, &attrs);
        let attrs =
            [m.name("new"), of(int), (DW_AT_bit_size, A::Udata(2)), (DW_AT_data_bit_offset, A::Udata(230))];
        m.add(Some(s), DW_TAG_member, &attrs);
        let attrs = [m.name("tail"), of(tail), (DW_AT_data_member_location, A::Udata(32))];
        m.add(Some(s), DW_TAG_member, &attrs);

        let file = m.file();
        let (types, _) = types(&file);
        let grid = types.first(None, Space::Struct, "grid").unwrap();
        assert_eq!(types.find(Space::Struct, "grid"), [grid], "the index and the search agree");
        let Type::Compound { size: 32, members, declaration: false, .. } = &*types.get(grid).unwrap() else {
            panic!()
        };
        let spelled: Vec<String> = members
            .iter()
            .map(|m| {
                format!(
                    "{} @{} {:?}",
                    types.declare(m.ty, m.name.as_deref().unwrap()),
                    m.bit_offset,
                    m.bit_size
                )
            })
            .collect();
        let expected = [
            "int cells[2][3] @0 None",
            "int old @216 Some(3)", // 24 * 8 + 32 - 5 - 3
            "int new @230 Some(2)",
            "int tail[] @256 None",
        ];
        assert_eq!(spelled, expected, "DWARF {version}");
        assert_eq!(types.size_of(members[0].ty).unwrap(), 24);
    }
}

#[test]
fn enumerations_base_types_and_functions() {
    let mut m = Maker::new(5);
    let int = m.int();
    let attrs = [m.name("color"), size(4)];
    let color = m.add(None, DW_TAG_enumeration_type, &attrs);
    for (name, value) in [("RED", A::Data1(200)), ("GREEN", A::Sdata(-2))] {
        let attrs = [m.name(name), (DW_AT_const_value, value)];
        m.add(Some(color), DW_TAG_enumerator, &attrs);
    }
    let attrs = [m.name("_Bool"), size(1), (DW_AT_encoding, A::Encoding(DW_ATE_boolean))];
    m.add(None, DW_TAG_base_type, &attrs);
    let pointer = m.add(None, DW_TAG_pointer_type, &[size(8)]);
    let attrs = [&[m.name("work_fn"), of(int)][..], &code(0, 16)].concat();
    let function = m.add(None, DW_TAG_subprogram, &attrs);
    let attrs = [m.name("data"), of(pointer)];
    m.add(Some(function), DW_TAG_formal_parameter, &attrs);
    m.add(Some(function), DW_TAG_unspecified_parameters, &[]);
    let attrs = [m.name("jiffies"), of(int)];
    m.add(None, DW_TAG_variable, &attrs);

    let file = m.file();
    let (types, source) = types(&file);
    let color = types.first(None, Space::Enum, "color").unwrap();
    assert!(matches!(&*types.get(color).unwrap(), Type::Enum { signed: true, .. }));
    assert_eq!(types.find_enumerator("RED"), [(color, 200)]);
    assert_eq!(types.find_enumerator("GREEN"), [(color, -2)]);
    let boolean = types.first(None, Space::Base, "_Bool").unwrap();
    assert!(matches!(&*types.get(boolean).unwrap(), Type::Int { encoding: Encoding::Bool, size: 1, .. }));
    let function = types.first(None, Space::Function, "work_fn").unwrap();
    assert_eq!(types.declare(function, "work_fn"), "int work_fn(void *, ...)");
    let variable = types.first(None, Space::Variable, "jiffies").unwrap();
    assert_eq!(types.name(variable), "int");
    assert_eq!(types.first(None, Space::Struct, "nothing"), None);
    let nowhere = TypeRef { source, id: 0x00ff_ffff };
    assert!(matches!(types.get(nowhere), Err(TypeError::NoSuchId { .. })));
}

#[test]
fn a_declaration_gives_way_to_a_definition() {
    let mut m = Maker::new(5);
    let attrs = [m.name("page"), (DW_AT_declaration, A::Flag(true))];
    m.add(None, DW_TAG_structure_type, &attrs);
    let attrs = [m.name("page"), size(64)];
    m.add(None, DW_TAG_structure_type, &attrs);
    let file = m.file();
    let (types, _) = types(&file);
    for found in [types.first(None, Space::Struct, "page").unwrap(), types.find(Space::Struct, "page")[0]] {
        assert_eq!(types.size_of(found).unwrap(), 64);
    }
}

/// The lines of `kernel/a.c` and of a header in it, at 0x100..0x140; the first file.
fn lines(m: &mut Maker) -> write::FileId {
    lines_with(m, &[]).0
}

/// The same with more rows; both files.
fn lines_with(m: &mut Maker, more: &[(u64, u64, bool)]) -> (write::FileId, write::FileId) {
    let encoding = m.dwarf.unit.encoding();
    let strings = &mut m.dwarf.line_strings;
    let mut path = |s: &str| write::LineString::new(s, encoding, strings);
    let (root, name) = (path("/usr/src/linux"), path("kernel/./a.c"));
    let mut program =
        write::LineProgram::new(encoding, gimli::LineEncoding::default(), root, None, name, None);
    let header = path("include/h.h");
    let directory = program.default_directory();
    let header = program.add_file(header, directory, None);
    program.begin_sequence(Some(Address::Constant(TEXT + 0x100)));
    let rows = [(0, 9, true), (0, 10, true), (0, 99, false), (0x10, 77, true), (0x20, 12, true)];
    let mut rows = [&rows, more].concat();
    rows.sort_by_key(|(offset, ..)| *offset);
    for (offset, line, statement) in rows {
        program.row().address_offset = offset;
        program.row().line = line;
        program.row().is_statement = statement;
        program.row().file =
            if (70..80).contains(&line) { header } else { program.files().next().unwrap().0 };
        program.generate_row();
    }
    program.end_sequence(0x40);
    let main = program.files().next().unwrap().0;
    m.dwarf.unit.line_program = program;
    let root = m.dwarf.unit.root();
    let directory = A::String(b"/usr/src/linux".to_vec());
    m.dwarf.unit.get_mut(root).set(gimli::DW_AT_comp_dir, directory);
    (main, header)
}

/// `outer` at 0x100 calls `helper` inlined at 0x110..0x120.
fn inlined() -> Maker {
    let mut m = Maker::new(5);
    let main = lines(&mut m);
    let int = m.int();
    let attrs = [m.name("helper"), (DW_AT_inline, A::Inline(DW_INL_inlined))];
    let helper = m.add(None, DW_TAG_subprogram, &attrs);
    let attrs = [m.name("given"), of(int)];
    let given = m.add(Some(helper), DW_TAG_formal_parameter, &attrs);
    let attrs = [m.name("gone"), of(int)];
    m.add(Some(helper), DW_TAG_variable, &attrs);

    let frame_base = (DW_AT_frame_base, expression(|e| e.op(DW_OP_call_frame_cfa)));
    let attrs = [&[m.name("outer"), frame_base][..], &code(0x100, 0x40)].concat();
    let outer = m.add(None, DW_TAG_subprogram, &attrs);
    let entry_value = expression(|e| {
        let mut inner = write::Expression::new();
        inner.op_reg(X86_64::RDI);
        e.op_entry_value(inner);
        e.op(DW_OP_stack_value);
    });
    let attrs = [m.name("arg"), of(int), (DW_AT_location, entry_value)];
    m.add(Some(outer), DW_TAG_formal_parameter, &attrs);
    let attrs = [m.name("on_stack"), of(int), (DW_AT_location, expression(|e| e.op_fbreg(-16)))];
    m.add(Some(outer), DW_TAG_variable, &attrs);
    let attrs = [
        &[
            (DW_AT_abstract_origin, A::UnitRef(helper)),
            (DW_AT_call_file, A::FileIndex(Some(main))),
            (DW_AT_call_line, A::Udata(11)),
        ][..],
        &code(0x110, 0x10),
    ]
    .concat();
    let call = m.add(Some(outer), DW_TAG_inlined_subroutine, &attrs);
    let attrs =
        [(DW_AT_abstract_origin, A::UnitRef(given)), (DW_AT_location, expression(|e| e.op_reg(X86_64::RBX)))];
    m.add(Some(call), DW_TAG_formal_parameter, &attrs);

    // caller at 0x200 passes rbp + 1 as the first argument; the call returns to 0x210
    let attrs = [&[m.name("caller")][..], &code(0x200, 0x40)].concat();
    let caller = m.add(None, DW_TAG_subprogram, &attrs);
    let attrs = [
        (DW_AT_call_return_pc, A::Address(Address::Constant(TEXT + 0x210))),
        (DW_AT_call_origin, A::UnitRef(outer)),
    ];
    let site = m.add(Some(caller), DW_TAG_call_site, &attrs);
    let attrs = [
        (DW_AT_location, expression(|e| e.op_reg(X86_64::RDI))),
        (DW_AT_call_value, expression(|e| e.op_breg(X86_64::RBP, 1))),
    ];
    m.add(Some(site), DW_TAG_call_site_parameter, &attrs);

    // and by a pointer in rbp, less 1, where the call returns to 0x220
    let attrs = [
        (DW_AT_call_return_pc, A::Address(Address::Constant(TEXT + 0x220))),
        (DW_AT_call_target, expression(|e| e.op_breg(X86_64::RBP, -1))),
    ];
    let site = m.add(Some(caller), DW_TAG_call_site, &attrs);
    let attrs = [
        (DW_AT_location, expression(|e| e.op_reg(X86_64::RDI))),
        (DW_AT_call_value, expression(|e| e.op_breg(X86_64::RBP, 2))),
    ];
    m.add(Some(site), DW_TAG_call_site_parameter, &attrs);
    // by one that is gone when it returns, to 0x230
    let attrs = [
        (DW_AT_call_return_pc, A::Address(Address::Constant(TEXT + 0x230))),
        (DW_AT_call_target, expression(|e| e.op_breg(X86_64::RAX, 0))),
    ];
    let site = m.add(Some(caller), DW_TAG_call_site, &attrs);
    let attrs = [
        (DW_AT_location, expression(|e| e.op_reg(X86_64::RDI))),
        (DW_AT_call_value, expression(|e| e.op_breg(X86_64::RBP, 3))),
    ];
    m.add(Some(site), DW_TAG_call_site_parameter, &attrs);
    m
}

const SLIDE: u64 = 0x1000_0000;

#[test]
fn inlined_calls_and_their_lines() {
    let file = inlined().file();
    let at = TEXT + SLIDE + 0x114;
    let frames = file.inline_frames(at);
    let shown: Vec<String> = frames
        .iter()
        .map(|f| {
            let line = f.line.as_ref().unwrap();
            format!("{} {}:{} {}", f.function, line.file, line.line, f.inlined)
        })
        .collect();
    let expected = ["helper /usr/src/linux/include/h.h:77 true", "outer /usr/src/linux/kernel/a.c:11 false"];
    assert_eq!(shown, expected);
    assert_eq!(file.inline_frames(TEXT + SLIDE + 0x124).len(), 1);
    assert!(file.inline_frames(TEXT + SLIDE + 0x140).is_empty(), "one past the end");
    assert!(file.inline_frames(TEXT + 0x114).is_empty(), "without the slide");
    let lines: Vec<(u64, u32)> =
        file.lines_of(at..at + 0x10).into_iter().map(|(at, l)| (at - TEXT - SLIDE, l.line)).collect();
    assert_eq!(lines, [(0x114, 77), (0x120, 12)]);
    let function = file.function_at(at, SourceId(1)).unwrap();
    assert_eq!((&*function.name, function.low_pc), ("outer", TEXT + SLIDE + 0x100));
    assert_eq!(function.params[0].0.as_deref(), Some("arg"));
    assert_eq!(file.line(TEXT + SLIDE + 0x140), None);
    let root = file.compiled_in(at).unwrap();
    let names: Vec<_> = file
        .lines_of(at..at + 0x10)
        .iter()
        .filter_map(|(_, l)| Some(l.file.strip_prefix(&*root)?.to_owned()))
        .collect();
    assert_eq!(names, ["/include/h.h", "/kernel/a.c"], "where the tree was can be cut off");
    assert_eq!(file.compiled_in(TEXT), None, "without the slide");
    let first = file.line(TEXT + SLIDE + 0x103).unwrap();
    assert_eq!(first.line, 10, "the last of one address that begins a statement");
}

/// Rows of one address: calls that left no code there have some, before and behind that of the code's own function.
#[test]
fn of_several_lines_at_an_address_the_one_of_the_innermost_function_holds() {
    let mut m = Maker::new(5);
    let (main, header) =
        lines_with(&mut m, &[(0x10, 13, true), (0x20, 79, true), (0x30, 14, true), (0x30, 31, true)]);
    let declared = |file, line| {
        [(gimli::DW_AT_decl_file, A::FileIndex(Some(file))), (gimli::DW_AT_decl_line, A::Udata(line))]
    };
    let attrs =
        [&[m.name("helper"), (DW_AT_inline, A::Inline(DW_INL_inlined))][..], &declared(header, 70)].concat();
    let helper = m.add(None, DW_TAG_subprogram, &attrs);
    // a function of the same file further down, inlined too, of which no code is left
    let attrs =
        [&[m.name("later"), (DW_AT_inline, A::Inline(DW_INL_inlined))][..], &declared(main, 30)].concat();
    m.add(None, DW_TAG_subprogram, &attrs);
    let attrs = [&[m.name("outer")][..], &code(0x100, 0x40), &declared(main, 5)].concat();
    let outer = m.add(None, DW_TAG_subprogram, &attrs);
    let attrs = [&[(DW_AT_abstract_origin, A::UnitRef(helper))][..], &code(0x110, 0x10)].concat();
    m.add(Some(outer), DW_TAG_inlined_subroutine, &attrs);
    let file = m.file();
    let line = |at: u64| file.line(TEXT + SLIDE + at).unwrap().line;
    assert_eq!([0x114, 0x120, 0x130].map(line), [77, 12, 14]);
    let listed: Vec<u32> =
        file.lines_of(TEXT + SLIDE + 0x110..TEXT + SLIDE + 0x140).iter().map(|(_, l)| l.line).collect();
    assert_eq!(listed, [77, 12, 14]);
    let frames = file.inline_frames(TEXT + SLIDE + 0x114);
    assert_eq!((&*frames[0].function, frames[0].line.as_ref().map(|l| l.line)), ("helper", Some(77)));
}

#[test]
fn lines_of_a_unit_without_functions() {
    let mut m = Maker::new(5);
    lines(&mut m);
    let file = m.file();
    let frames = file.inline_frames(TEXT + SLIDE + 0x124);
    assert_eq!(frames.len(), 1);
    assert_eq!((&*frames[0].function, frames[0].inlined), ("", false));
    assert_eq!(frames[0].line.as_ref().map(|line| line.line), Some(12));
    assert!(file.inline_frames(TEXT + SLIDE + 0x140).is_empty());
}

#[test]
fn variables_are_found_and_located() {
    let file = inlined().file();
    let variables = file.variables_at(TEXT + SLIDE + 0x114, SourceId(1));
    let shown: Vec<(&str, usize, bool)> = variables.iter().map(|v| (&*v.name, v.frame, v.is_param)).collect();
    let expected = [("given", 0, true), ("gone", 0, false), ("arg", 1, true), ("on_stack", 1, false)];
    assert_eq!(shown, expected);

    let caller = Frame { registers: vec![(6, 41)], caller: None, entered: None };
    let frame = Frame {
        registers: vec![(3, 7)],
        caller: Some((&caller, TEXT + SLIDE + 0x210, &file)),
        entered: None,
    };
    let at = |i: usize| file.evaluate(&variables[i], &frame);
    assert_eq!(at(0), Location::Register(3, 7));
    assert_eq!(at(1), Location::Unavailable(Unavailable::OptimizedOut));
    assert_eq!(at(2), Location::Value(42_u64.to_le_bytes().to_vec()), "from the call site");
    assert_eq!(at(3), Location::Address(0x7000));
    assert_eq!(at(3).bytes(4, &frame).unwrap(), [0x88, 0x77, 0x66, 0x55]);
    assert_eq!(at(0).bytes(4, &frame).unwrap(), [7, 0, 0, 0]);

    let alone = Frame { registers: vec![], caller: None, entered: None };
    assert_eq!(file.evaluate(&variables[0], &alone), Location::Unavailable(Unavailable::Register(3)));
    assert_eq!(file.evaluate(&variables[2], &alone), Location::Unavailable(Unavailable::Entry));
    // a call of another function says nothing of this one's parameters
    let elsewhere =
        Frame { registers: vec![], caller: Some((&caller, TEXT + SLIDE + 0x211, &file)), entered: None };
    assert_eq!(file.evaluate(&variables[2], &elsewhere), Location::Unavailable(Unavailable::Entry));
    // of a call by a pointer only where that is this function
    let by_pointer = |ret: u64, entered| {
        let caller = Some((&caller, TEXT + SLIDE + ret, &*file));
        file.evaluate(&variables[2], &Frame { registers: vec![], caller, entered })
    };
    assert_eq!(by_pointer(0x220, Some(40)), Location::Value(43_u64.to_le_bytes().to_vec()));
    assert_eq!(by_pointer(0x220, Some(41)), Location::Unavailable(Unavailable::Entry), "another function");
    assert_eq!(by_pointer(0x230, Some(40)), Location::Unavailable(Unavailable::Entry), "not known which");
}

#[test]
fn pieces_are_put_together_bit_by_bit() {
    let frame = Frame { registers: vec![], caller: None, entered: None };
    let piece = |bits, from_bit, value: u8| Piece { bits, from_bit, location: Location::Value(vec![value]) };
    let both = Location::Pieces(vec![piece(4, 4, 0xa0), piece(12, 0, 0x5b)]);
    assert_eq!(both.bytes(2, &frame).unwrap(), [0xba, 0x05]);
    let short = Location::Pieces(vec![piece(8, 0, 1)]);
    assert_eq!(short.bytes(2, &frame), Err(Unavailable::OptimizedOut));
}

#[test]
fn what_cannot_be_read_is_said() {
    let open = |bytes: Vec<u8>| {
        DwarfFile::open(Arc::new(ObjectFile::from_bytes(bytes.into()).unwrap()), &Placement::default())
    };
    let none = open(elf(2, &[(".text", vec![0x90])])).unwrap_err();
    assert!(none.to_string().contains("no .debug_info section"), "{none}");
    let link = [&b"../.dwz/kernel\0"[..], &[1; 20]].concat();
    let bytes = elf(2, &[(".debug_info", vec![0; 16]), (".gnu_debugaltlink", link)]);
    assert!(open(bytes).unwrap_err().to_string().contains("../.dwz/kernel"));
}

#[test]
fn damaged_bytes_do_not_hang_or_panic() {
    let whole = inlined().bytes();
    fuzz_dwarf(&whole);
    for i in (64..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[i] ^= 0xff;
        fuzz_dwarf(&bytes);
        bytes[i] = 0;
        fuzz_dwarf(&bytes);
    }
}

#[test]
fn a_file_whose_first_unit_is_damaged_says_so_when_it_is_checked() {
    let mut m = Maker::new(5);
    m.int();
    assert!(m.file().check().is_ok());
    // an abbreviation that none stands for; a unit longer than the section
    for (at, bytes) in [(12, [0x7f, 0x7f].as_slice()), (0, &[0xff, 0xff, 0xff, 0x0f])] {
        let (mut m, mut same) = (Maker::new(5), Maker::new(5));
        m.int();
        same.int();
        let whole = same.bytes();
        let mut sections = Sections::new(EndianVec::new(LittleEndian));
        m.dwarf.write(&mut sections).unwrap();
        let info = sections.debug_info.slice();
        let start = whole.windows(info.len()).position(|w| w == info).unwrap();
        let mut bad = whole.clone();
        bad[start + at..start + at + bytes.len()].copy_from_slice(bytes);
        let object = Arc::new(ObjectFile::from_bytes(bad.into()).unwrap());
        let file = DwarfFile::open(object, &Placement::slid(0)).unwrap();
        let why = file.check().unwrap_err().to_string();
        assert!(why.contains("its debug information is damaged: "), "{why}");
        assert_eq!(file.line(TEXT), None);
    }
}
