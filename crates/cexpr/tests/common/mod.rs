//! A scope of made types over the memory of `lab/lab.c`: see `lab/make.sh`.
#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's scaffold fails by panicking"
)]

use base::{Fault, FaultKind, Gap, Missing, PhysAddr, VirtAddr, VirtRead};
use cexpr::{History, Scope, SymbolAt, SymbolInfo, Value, parse_type_name};
use debuginfo::types::{
    CompoundKind, Encoding, Member, Scope as TypeScope, SourceId, Space, Type, TypeError, TypeRef,
    TypeSource, Types,
};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// Types by name, filled in after they were declared.
#[derive(Default)]
struct Made {
    /// `None` until a declared struct is defined: an error is not kept, a declaration would be.
    types: Vec<Option<Type>>,
    names: Vec<(Space, String, u32)>,
    enumerators: Vec<(String, u32, i128)>,
}

pub struct Source {
    id: SourceId,
    made: RwLock<Made>,
}

impl TypeSource for Source {
    fn describe(&self) -> String {
        "made types".into()
    }
    fn scope(&self) -> TypeScope {
        TypeScope::Kernel
    }
    fn get(&self, id: u32) -> Result<Type, TypeError> {
        let made = self.made.read().unwrap();
        made.types
            .get(id as usize - 1)
            .cloned()
            .flatten()
            .ok_or(TypeError::NoSuchId { id, source_name: "made types".into() })
    }
    fn find(&self, space: Space, name: &str) -> Vec<TypeRef> {
        let made = self.made.read().unwrap();
        let hit = |(s, n, _): &&(Space, String, u32)| *s == space && n == name;
        made.names.iter().filter(hit).map(|(_, _, id)| TypeRef { source: self.id, id: *id }).collect()
    }
    fn find_enumerator(&self, name: &str) -> Vec<(TypeRef, i128)> {
        let made = self.made.read().unwrap();
        let hit = |e: &&(String, u32, i128)| e.0 == name;
        made.enumerators.iter().filter(hit).map(|e| (TypeRef { source: self.id, id: e.1 }, e.2)).collect()
    }
    fn names(&self, space: Space, each: &mut dyn FnMut(&str, TypeRef) -> bool) {
        let names = self.made.read().unwrap().names.clone();
        for (s, n, id) in names {
            if s == space && !each(&n, TypeRef { source: self.id, id }) {
                return;
            }
        }
    }
}

impl Source {
    fn add(&self, space: Option<Space>, name: &str, ty: Type) -> TypeRef {
        self.reserve(space, name, Some(ty))
    }
    fn reserve(&self, space: Option<Space>, name: &str, ty: Option<Type>) -> TypeRef {
        let mut made = self.made.write().unwrap();
        made.types.push(ty);
        let id = made.types.len() as u32;
        if let Some(space) = space {
            made.names.push((space, name.to_owned(), id));
        }
        TypeRef { source: self.id, id }
    }
    fn set(&self, at: TypeRef, ty: Type) {
        self.made.write().unwrap().types[at.id as usize - 1] = Some(ty);
    }
}

/// Memory in pieces; a page may be marked as excluded.
#[derive(Default)]
pub struct Memory {
    pub pieces: Vec<(u64, Vec<u8>)>,
    pub excluded: Vec<(u64, u64)>,
}

impl VirtRead for Memory {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        for (i, b) in buf.iter_mut().enumerate() {
            let at = at.add(i as u64);
            if self.excluded.iter().any(|(from, to)| (*from..*to).contains(&at.0)) {
                let gap = Missing::new(PhysAddr(0x5000), Gap::Excluded);
                return Err(Fault::new(at, FaultKind::Page(gap)));
            }
            let byte = self.pieces.iter().find_map(|(base, bytes)| {
                at.0.checked_sub(*base).and_then(|off| bytes.get(off as usize)).copied()
            });
            *b = byte.ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
        }
        Ok(())
    }
}

pub struct Lab {
    pub types: Types,
    pub source: Arc<Source>,
    pub memory: Memory,
    pub symbols: Vec<(String, u64, u64, bool)>,
    pub var_types: HashMap<String, TypeRef>,
    pub history: Vec<Value>,
    pub per_cpu: Vec<String>,
    pub locals: HashMap<String, Value>,
}

impl Scope for Lab {
    fn page_shift(&self) -> Option<u32> {
        Some(12)
    }
    fn types(&self) -> &Types {
        &self.types
    }
    fn memory(&self) -> &dyn VirtRead {
        &self.memory
    }
    fn symbol(&self, name: &str) -> Vec<SymbolInfo> {
        self.symbols
            .iter()
            .filter(|s| s.0 == name)
            .map(|s| SymbolInfo {
                addr: VirtAddr(s.1),
                ty: self.var_types.get(name).copied(),
                module: None,
                text: s.3,
                per_cpu: self.per_cpu.contains(&s.0),
            })
            .collect()
    }
    fn symbol_at(&self, at: VirtAddr) -> Option<SymbolAt> {
        self.symbols.iter().find(|s| (s.1..s.1 + s.2).contains(&at.0)).map(|s| SymbolAt {
            name: s.0.as_str().into(),
            offset: at.0 - s.1,
            module: None,
        })
    }
    fn register(&self, name: &str) -> Option<Result<u64, String>> {
        match name {
            "rdi" => Some(Ok(0xffff_ffff_8200_00a0)),
            "rdx" => Some(Ok(129)),
            "r11" => Some(Err("not recovered".into())),
            _ => None,
        }
    }
    fn local(&self, name: &str) -> Option<Value> {
        self.locals.get(name).cloned()
    }
    fn per_cpu_offset(&self, cpu: u64) -> Result<u64, String> {
        if cpu < 2 { Ok(cpu * 8) } else { Err(format!("CPU {cpu} is not possible")) }
    }
    fn history(&self, which: History) -> Option<Value> {
        let at = match which {
            History::Number(n) => n.checked_sub(1)?,
            History::Back(n) => (self.history.len() as u64).checked_sub(n + 1)?,
        };
        self.history.get(at as usize).cloned()
    }
    fn near_symbols(&self, name: &str) -> Option<Vec<String>> {
        Some(base::near_names(name, self.symbols.iter().map(|s| s.0.as_str())))
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

impl Lab {
    pub fn empty() -> Lab {
        let types = Types::new();
        let mut source = None;
        types
            .add::<TypeError>(|id| {
                let s = Arc::new(Source { id, made: RwLock::default() });
                source = Some(Arc::clone(&s));
                Ok(s)
            })
            .unwrap();
        Lab {
            types,
            source: source.unwrap(),
            memory: Memory::default(),
            symbols: Vec::new(),
            var_types: HashMap::new(),
            history: Vec::new(),
            per_cpu: Vec::new(),
            locals: HashMap::new(),
        }
    }

    pub fn ty(&self, name: &str) -> TypeRef {
        parse_type_name(self, name).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn typedef(&self, name: &str, to: &str) {
        let to = self.ty(to);
        self.source.add(Some(Space::Typedef), name, Type::Typedef { name: name.into(), to });
    }

    pub fn typedef_of(&self, name: &str, to: TypeRef) {
        self.source.add(Some(Space::Typedef), name, Type::Typedef { name: name.into(), to });
    }

    pub fn base(&self, name: &str, size: u64, encoding: Encoding) -> TypeRef {
        self.source.add(Some(Space::Base), name, Type::Int { name: name.into(), size, encoding })
    }

    /// A struct that is defined later.
    pub fn declare(&self, name: &str) -> TypeRef {
        self.source.reserve(Some(Space::Struct), name, None)
    }

    /// A struct of which only the name is known.
    pub fn opaque(&self, name: &str) -> TypeRef {
        let ty = Self::compound(CompoundKind::Struct, Some(name), 0, Vec::new(), true);
        self.source.add(Some(Space::Struct), name, ty)
    }

    fn compound(kind: CompoundKind, name: Option<&str>, size: u64, members: Vec<Member>, open: bool) -> Type {
        Type::Compound { kind, name: name.map(Into::into), size, members: members.into(), declaration: open }
    }

    pub fn enumeration(&self, name: &str, values: &[(&str, i128)]) -> TypeRef {
        let signed = values.iter().any(|v| v.1 < 0);
        let list = values.iter().map(|(n, v)| (Arc::from(*n), *v)).collect();
        let tag = (!name.is_empty()).then(|| name.into());
        let ty = Type::Enum { name: tag, size: 4, signed, values: list, declaration: false };
        let at = self.source.add((!name.is_empty()).then_some(Space::Enum), name, ty);
        let mut made = self.source.made.write().unwrap();
        made.enumerators.extend(values.iter().map(|(n, v)| ((*n).to_owned(), at.id, *v)));
        at
    }

    /// One more type that the debug information gives to a variable.
    pub fn variable(&self, name: &str, ty: TypeRef) {
        assert_eq!(ty.source, self.source.id);
        self.source.made.write().unwrap().names.push((Space::Variable, name.to_owned(), ty.id));
    }

    pub fn array(&self, elem: &str, count: Option<u64>) -> TypeRef {
        let elem = self.ty(elem);
        self.source.add(None, "", Type::Array { elem, count })
    }

    /// A member by name, type and byte offset.
    pub fn at(&self, name: &str, ty: &str, offset: u64) -> Member {
        let name = (!name.is_empty()).then(|| name.into());
        Member { name, ty: self.ty(ty), bit_offset: offset * 8, bit_size: None }
    }

    pub fn of(&self, name: &str, ty: TypeRef, offset: u64) -> Member {
        let name = (!name.is_empty()).then(|| name.into());
        Member { name, ty, bit_offset: offset * 8, bit_size: None }
    }

    pub fn bits(&self, name: &str, ty: &str, bit_offset: u64, width: u32) -> Member {
        let name = (!name.is_empty()).then(|| name.into());
        Member { name, ty: self.ty(ty), bit_offset, bit_size: Some(width) }
    }

    pub fn unnamed(&self, kind: CompoundKind, size: u64, members: Vec<Member>) -> TypeRef {
        self.source.add(None, "", Self::compound(kind, None, size, members, false))
    }

    /// Completes a struct that was declared.
    pub fn define(&self, at: TypeRef, name: &str, size: u64, members: Vec<Member>) -> TypeRef {
        self.source.set(at, Self::compound(CompoundKind::Struct, Some(name), size, members, false));
        at
    }

    /// The types, memory and symbols of `lab.c`.
    pub fn new() -> Lab {
        let mut lab = Lab::empty();
        lab.lab_types();
        for line in include_str!("../lab/lab.hex").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |i: usize| u64::from_str_radix(words[i], 16).unwrap();
            match words[0] {
                "data" => lab.memory.pieces.push((0xffff_ffff_8200_0000, hex(words[1]))),
                "rodata" => lab.memory.pieces.push((0xffff_ffff_8180_0000, hex(words[1]))),
                _ => lab.symbols.push((words[1].into(), number(2), number(3), words[4] == "T")),
            }
        }
        for (name, ty) in VARIABLES {
            let ty = lab.ty(ty);
            lab.var_types.insert((*name).into(), ty);
        }
        lab
    }

    fn lab_types(&self) {
        let list = self.declare("list_head");
        let link = "struct list_head *";
        self.define(list, "list_head", 16, vec![self.at("next", link, 0), self.at("prev", link, 8)]);
        self.opaque("opaque");
        self.typedef("pid_t", "int");
        let counter = self.unnamed(CompoundKind::Struct, 4, vec![self.at("counter", "int", 0)]);
        self.typedef_of("atomic_t", counter);
        self.enumeration("state", &[("RUNNING", 0), ("SLEEPING", 1), ("STOPPED", 4), ("DEAD", -1)]);
        self.enumeration("mode", &[("MODE_R", 1), ("MODE_W", 2), ("MODE_X", 4)]);
        let vring = self.declare("vring");
        self.define(vring, "vring", 16, vec![self.at("num", "unsigned int", 0), self.at("desc", "u16 *", 8)]);
        let vq = self.declare("virtqueue");
        let members = vec![
            self.at("list", "struct list_head", 0),
            self.at("callback", "void (*)(struct virtqueue *)", 16),
            self.at("name", "const char *", 24),
            self.at("index", "unsigned int", 32),
            self.at("num_free", "unsigned int", 36),
        ];
        self.define(vq, "virtqueue", 40, members);
        self.vvq();
    }

    fn vvq(&self) {
        let ab =
            self.unnamed(CompoundKind::Struct, 16, vec![self.at("a", "long", 0), self.at("b", "long", 8)]);
        let either = vec![self.at("split", "struct vring", 0), self.of("", ab, 0)];
        let either = self.unnamed(CompoundKind::Union, 16, either);
        let vvq = self.declare("vvq");
        let members = vec![
            self.at("vq", "struct virtqueue", 0),
            self.at("weak", "bool", 40),
            self.at("broken", "bool", 41),
            self.at("tag", "u8", 42),
            self.at("sc", "signed char", 43),
            self.at("mode", "enum mode", 44),
            self.at("state", "enum state", 48),
            self.of("", either, 56),
            self.bits("lo", "u32", 72 * 8, 4),
            self.bits("mid", "u32", 72 * 8 + 4, 12),
            self.bits("neg", "int", 74 * 8, 3),
            self.bits("wide", "u64", 74 * 8 + 3, 40),
            self.at("refs", "atomic_t", 80),
            self.at("pids", "pid_t[4]", 84),
            self.at("comm", "char[16]", 100),
            self.at("mac", "u8[6]", 116),
            self.at("grid", "short[2][3]", 122),
            self.at("flags", "unsigned long", 136),
            self.at("items", "struct list_head[2]", 144),
            self.at("names", "char *[2]", 176),
            self.at("f", "float", 192),
            self.at("d", "double", 200),
            self.at("priv", "void *", 208),
            self.at("opaque", "struct opaque *", 216),
            self.at("flex", "long[]", 224),
        ];
        self.define(vvq, "vvq", 224, members);
    }
}

const VARIABLES: &[(&str, &str)] = &[
    ("queue", "struct vvq"),
    ("req0", "char[6]"),
    ("descs", "u16[4]"),
    ("counter", "int"),
    ("ucounter", "unsigned int"),
    ("jiff", "unsigned long"),
    ("neg", "long"),
    ("byte", "u8"),
    ("ch", "char"),
    ("sh", "short"),
    ("yes", "bool"),
    ("big", "u64"),
    ("table", "int[5]"),
    ("words", "const char *[3]"),
    ("head", "struct list_head"),
    ("qp", "struct vvq *"),
    ("vqp", "struct virtqueue *"),
    ("ip", "int *"),
    ("ipp", "int **"),
    ("vp", "void *"),
    ("err", "unsigned long"),
    ("cp", "char *"),
    ("fp", "int (*)(int)"),
    ("add", "int (int, int)"),
    ("callback", "void (struct virtqueue *)"),
];
