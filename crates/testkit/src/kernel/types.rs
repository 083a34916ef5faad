//! The table of types: structs by name, members by offset.

use super::btf::Writer;
use std::collections::HashMap;

/// A member: name, offset in bytes, type; see [`Kernel::structure`](super::Kernel::structure).
pub type Member<'a> = (&'a str, u64, &'a str);

/// Where a member is.
pub(super) struct Place<'a> {
    pub(super) offset: u64,
    pub(super) size: u64,
    /// First bit from the byte at `offset`, and width.
    pub(super) bits: Option<(u64, u64)>,
    ty: &'a str,
}

#[derive(Clone, Debug)]
struct Compound {
    name: String,
    size: u64,
    members: Vec<(String, u64, String)>,
    union: bool,
}

/// The types that were declared.
#[derive(Clone, Default, Debug)]
pub(super) struct TypeTable {
    compounds: Vec<Compound>,
    enums: Vec<(String, Vec<(String, i32)>)>,
    variables: Vec<(String, String)>,
}

impl TypeTable {
    pub(super) fn compound(&mut self, name: &str, size: u64, members: &[Member<'_>], union: bool) {
        let members = members.iter().map(|(n, at, ty)| ((*n).into(), *at, (*ty).into())).collect();
        let new = Compound { name: name.into(), size, members, union };
        match self.compounds.iter_mut().find(|c| c.name == name) {
            Some(old) => *old = new,
            None => self.compounds.push(new),
        }
    }

    pub(super) fn add_member(&mut self, of: &str, (name, at, ty): Member<'_>) {
        self.remove_member(of, name);
        self.get_mut(of).members.push((name.into(), at, ty.into()));
    }

    pub(super) fn remove_member(&mut self, of: &str, name: &str) {
        self.get_mut(of).members.retain(|(n, ..)| n != name);
    }

    pub(super) fn enumeration(&mut self, name: &str, values: &[(&str, i32)]) {
        let values = values.iter().map(|(n, v)| ((*n).into(), *v)).collect();
        self.enums.retain(|(n, _)| n != name);
        self.enums.push((name.into(), values));
    }

    pub(super) fn variable(&mut self, name: &str, ty: &str) {
        self.variables.push((name.into(), ty.into()));
    }

    fn get_mut(&mut self, name: &str) -> &mut Compound {
        let found = self.compounds.iter_mut().find(|c| c.name == name);
        found.unwrap_or_else(|| panic!("struct {name} is not declared"))
    }

    fn get(&self, name: &str) -> &Compound {
        let found = self.compounds.iter().find(|c| c.name == name);
        found.unwrap_or_else(|| panic!("struct {name} is not declared"))
    }

    /// True where a struct of this name was declared.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.compounds.iter().any(|c| c.name == name)
    }

    /// Bytes of a type.
    pub(super) fn size(&self, ty: &str) -> u64 {
        if let Some((element, count)) = array(ty) {
            return self.size(element) * count;
        }
        if ty.starts_with('*') {
            return 8;
        }
        if let Some((size, ..)) = integer(ty) {
            return size;
        }
        if self.enums.iter().any(|(name, _)| name == ty) {
            return 4;
        }
        self.get(ty).size
    }

    pub(super) fn place(&self, of: &str, path: &str) -> Place<'_> {
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let mut out = self.find(of, first).unwrap_or_else(|| panic!("struct {of} has no member {first}"));
        for part in parts {
            let of = out.ty;
            let next = self.find(of, part).unwrap_or_else(|| panic!("struct {of} has no member {part}"));
            out = Place { offset: out.offset + next.offset, ..next };
        }
        out
    }

    fn find(&self, of: &str, name: &str) -> Option<Place<'_>> {
        let compound = self.get(of);
        if let Some((_, offset, ty)) = compound.members.iter().find(|(n, ..)| n == name) {
            let (ty, bits) = bits(ty);
            return Some(Place { offset: *offset, size: self.size(ty), bits, ty });
        }
        let nameless = compound.members.iter().filter(|(n, ..)| n.is_empty());
        nameless
            .filter_map(|(_, at, ty)| self.find(ty, name).map(|p| Place { offset: p.offset + at, ..p }))
            .next()
    }

    /// All of it as BTF.
    pub(super) fn btf(&self) -> Vec<u8> {
        let mut ids = HashMap::new();
        let names = self.compounds.iter().map(|c| &c.name).chain(self.enums.iter().map(|(name, _)| name));
        for (name, id) in names.zip(1_u32..) {
            ids.insert(name.clone(), id);
        }
        // what members point to comes behind all that has a name
        let mut all = Ids { next: ids.len() as u32 + 1, known: ids, writer: Writer::default() };
        let mut named = Writer::default();
        for c in &self.compounds {
            // a compiler's are in this order
            let mut ordered: Vec<&(String, u64, String)> = c.members.iter().collect();
            if !c.union {
                ordered.sort_by_key(|(_, at, ty)| (*at, bits(ty).1.map_or(0, |(first, _)| first)));
            }
            let members: Vec<(&str, u32, u64, u64)> = ordered
                .into_iter()
                .map(|(name, at, ty)| {
                    let (ty, bits) = bits(ty);
                    let (first, width) = bits.unwrap_or_default();
                    (name.as_str(), all.id(ty), at * 8 + first, width)
                })
                .collect();
            named.compound(&c.name, c.size, &members, c.union);
        }
        for (name, values) in &self.enums {
            named.enumeration(name, values);
        }
        for (name, ty) in &self.variables {
            let ty = all.id(ty);
            all.writer.variable(name, ty);
            all.next += 1;
        }
        named.append(all.writer).blob()
    }
}

/// Numbers given to types in the order they are met.
struct Ids {
    known: HashMap<String, u32>,
    next: u32,
    writer: Writer,
}

impl Ids {
    fn id(&mut self, ty: &str) -> u32 {
        if ty == "void" {
            return 0;
        }
        if let Some(id) = self.known.get(ty) {
            return *id;
        }
        if let Some((element, count)) = array(ty) {
            let (element, index) = (self.id(element), self.id("u32"));
            self.writer.array(element, index, count);
        } else if let Some(to) = ty.strip_prefix('*') {
            let to = self.id(to);
            self.writer.pointer(to);
        } else if let Some((size, encoding, name)) = integer(ty) {
            self.writer.int(name, size, encoding);
        } else {
            self.writer.forward(ty);
        }
        self.known.insert(ty.into(), self.next);
        self.next += 1;
        self.next - 1
    }
}

/// `TYPE[N]`; `*TYPE[N]` are N pointers, as in C.
fn array(ty: &str) -> Option<(&str, u64)> {
    let (element, count) = ty.strip_suffix(']')?.rsplit_once('[')?;
    Some((element, count.parse().unwrap_or_else(|_| panic!("{ty} is no array"))))
}

/// `TYPE:FIRST:WIDTH`.
fn bits(ty: &str) -> (&str, Option<(u64, u64)>) {
    let mut parts = ty.split(':');
    let of = parts.next().unwrap_or_default();
    let mut number = || parts.next().map(|n| n.parse().unwrap_or_else(|_| panic!("{ty} is no bit-field")));
    let both = number().map(|first| (first, number().unwrap_or(1)));
    (of, both)
}

/// Size, BTF's encoding, and C name of an integer.
fn integer(ty: &str) -> Option<(u64, u32, &'static str)> {
    Some(match ty {
        "u8" => (1, 0, "unsigned char"),
        "u16" => (2, 0, "unsigned short"),
        "u32" => (4, 0, "unsigned int"),
        "u64" => (8, 0, "unsigned long"),
        "s8" => (1, 1, "signed char"),
        "s16" => (2, 1, "short"),
        "s32" => (4, 1, "int"),
        "s64" => (8, 1, "long"),
        "char" => (1, 1, "char"),
        "bool" => (1, 4, "_Bool"),
        _ => return None,
    })
}
