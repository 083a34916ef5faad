//! Structs by their shape, for a dump without types: no BTF (before 5.2, or left out) and no vmlinux.
//!
//! `init_task` is a `task_struct` at a known address, and every other task hangs on a list in it. Members
//! are told by what they must hold in all tasks at once: a name that can be printed, ids that are
//! distinct and have 1 and 2 among them, pointers that lead back. A member that nothing proves is left
//! out; nothing here is assumed from a version.
//!
//! The result is a source of types like any other, and says in its name that it was inferred.

mod evidence;
mod list;
mod machine;
mod module;
mod task;

use crate::session::Session;
use debuginfo::types::{
    CompoundKind, Encoding, Member, Scope, SourceId, Space, Type, TypeError, TypeRef, TypeSource,
};
use std::sync::Arc;

/// How a member is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Int,
    Uint,
    Long,
    Pointer,
    ListHead,
    Timespec,
    Chars(u64),
}

/// A member that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Guess {
    name: &'static str,
    offset: u64,
    shape: Shape,
}

/// A struct as far as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Struct {
    name: &'static str,
    size: u64,
    members: Vec<Guess>,
}

/// What was inferred, as a source of types.
pub(crate) struct Inferred {
    id: SourceId,
    structs: Vec<Struct>,
}

impl Inferred {
    /// Looks at the kernel's data; `None` where not even tasks could be made out.
    pub(crate) fn structs(s: &Session) -> Option<Vec<StructBox>> {
        let tasks = task::infer(s)?;
        let mut all = tasks;
        all.extend(module::infer(s));
        all.extend(machine::clocks(s));
        all.extend(machine::nodes(s));
        Some(all.into_iter().map(StructBox).collect())
    }

    /// Where the members of `task_struct` are, as far as all tasks prove it: name of the struct, member, offset.
    pub(crate) fn of_tasks(s: &Session) -> Vec<(&'static str, &'static str, u64)> {
        let all = task::infer(s).unwrap_or_default();
        let members = all.iter().flat_map(|of| of.members.iter().map(move |m| (of.name, m.name, m.offset)));
        members.collect()
    }

    /// The same of `module`.
    pub(crate) fn of_modules(s: &Session) -> Vec<(&'static str, u64)> {
        let all = module::infer(s);
        let of = all.iter().filter(|of| of.name == "module").flat_map(|of| &of.members);
        of.map(|m| (m.name, m.offset)).collect()
    }

    pub(crate) fn source(id: SourceId, structs: Vec<StructBox>) -> Arc<dyn TypeSource> {
        Arc::new(Self { id, structs: structs.into_iter().map(|s| s.0).collect() })
    }
}

/// A struct that was inferred.
pub(crate) struct StructBox(Struct);

/// Ids: the shapes first, then a struct each, then for `a.b` members a struct of one member each.
const SHAPES: [Shape; 6] =
    [Shape::Int, Shape::Uint, Shape::Long, Shape::Pointer, Shape::ListHead, Shape::Timespec];
const CHAR: u32 = 7;
const CHARS: u32 = 0x1000;
const STRUCTS: u32 = 0x2000;
const NESTED: u32 = 0x3000;

impl Inferred {
    fn at(&self, id: u32) -> TypeRef {
        TypeRef { source: self.id, id }
    }

    fn shape_id(shape: Shape) -> u32 {
        match shape {
            Shape::Chars(n) => CHARS + u32::try_from(n.min(0xfff)).unwrap_or(0),
            other => SHAPES.iter().position(|s| *s == other).map_or(1, |i| i as u32 + 1),
        }
    }

    fn compound(name: Option<&str>, size: u64, members: Vec<Member>) -> Type {
        Type::Compound {
            kind: name.map_or(CompoundKind::Struct, kind_of),
            name: name.map(Into::into),
            size,
            members: members.into(),
            declaration: false,
        }
    }

    fn member(&self, name: &str, offset: u64, id: u32) -> Member {
        Member {
            name: Some(name.into()),
            ty: self.at(id),
            bit_offset: offset.saturating_mul(8),
            bit_size: None,
        }
    }

    /// The member that is found through a struct between: `thread.sp`.
    fn nested(&self, index: u32) -> Option<(&Guess, &str)> {
        let all = self.structs.iter().flat_map(|s| &s.members);
        let (n, inner) = (index, all.filter_map(|g| Some((g, g.name.split_once('.')?.1))));
        inner.into_iter().nth(usize::try_from(n).ok()?)
    }
}

impl TypeSource for Inferred {
    fn describe(&self) -> String {
        "shapes inferred from the kernel's data".into()
    }
    /// The shapes are what every kernel has.
    fn is_guess(&self, id: u32) -> bool {
        id >= STRUCTS
    }
    fn scope(&self) -> Scope {
        Scope::Kernel
    }
    fn get(&self, id: u32) -> Result<Type, TypeError> {
        let int = |name: &str, size, encoding| Type::Int { name: name.into(), size, encoding };
        let missing = || TypeError::NoSuchId { id, source_name: self.describe() };
        Ok(match id {
            1 => int("int", 4, Encoding::Signed),
            2 => int("unsigned int", 4, Encoding::Unsigned),
            3 => int("long unsigned int", 8, Encoding::Unsigned),
            4 => Type::Pointer { to: self.at(TypeRef::VOID_ID) },
            5 => {
                let link = |name, offset| self.member(name, offset, 4);
                Self::compound(Some("list_head"), 16, vec![link("next", 0), link("prev", 8)])
            }
            6 => {
                let part = |name, offset| self.member(name, offset, 3);
                Self::compound(Some("timespec"), 16, vec![part("tv_sec", 0), part("tv_nsec", 8)])
            }
            CHAR => int("char", 1, Encoding::SignedChar),
            CHARS..STRUCTS => Type::Array { elem: self.at(CHAR), count: Some(u64::from(id - CHARS)) },
            STRUCTS..NESTED => {
                let s = self.structs.get((id - STRUCTS) as usize).ok_or_else(missing)?;
                // nested members are numbered over all structs
                let before: usize = self
                    .structs
                    .iter()
                    .take((id - STRUCTS) as usize)
                    .flat_map(|s| &s.members)
                    .filter(|g| g.name.contains('.'))
                    .count();
                let mut nested = before as u32;
                let members = s
                    .members
                    .iter()
                    .map(|g| match g.name.split_once('.') {
                        Some((outer, _)) => {
                            nested += 1;
                            self.member(outer, g.offset, NESTED + nested - 1)
                        }
                        None => self.member(g.name, g.offset, Self::shape_id(g.shape)),
                    })
                    .collect();
                Self::compound(Some(s.name), s.size, members)
            }
            NESTED.. => {
                let (guess, inner) = self.nested(id - NESTED).ok_or_else(missing)?;
                Self::compound(None, 8, vec![self.member(inner, 0, Self::shape_id(guess.shape))])
            }
            _ => return Err(missing()),
        })
    }
    fn find(&self, space: Space, name: &str) -> Vec<TypeRef> {
        if name == "list_head" && space == Space::Struct {
            return vec![self.at(5)];
        }
        let index = self.structs.iter().position(|s| s.name == name && space_of(s.name) == space);
        index.map(|i| self.at(STRUCTS + i as u32)).into_iter().collect()
    }
    fn find_enumerator(&self, _: &str) -> Vec<(TypeRef, i128)> {
        Vec::new()
    }
    fn names(&self, space: Space, each: &mut dyn FnMut(&str, TypeRef) -> bool) {
        for (i, s) in self.structs.iter().enumerate().filter(|(_, s)| space_of(s.name) == space) {
            if !each(s.name, self.at(STRUCTS + i as u32)) {
                return;
            }
        }
    }
}

/// What is inferred are structs, but for the stack.
fn kind_of(name: &str) -> CompoundKind {
    if name == "thread_union" { CompoundKind::Union } else { CompoundKind::Struct }
}

fn space_of(name: &str) -> Space {
    match kind_of(name) {
        CompoundKind::Union => Space::Union,
        CompoundKind::Struct => Space::Struct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debuginfo::types::Types;

    #[test]
    fn members_and_members_of_members_are_found() {
        let guess = |name, offset, shape| Guess { name, offset, shape };
        let one = Struct {
            name: "task_struct",
            size: 64,
            members: vec![
                guess("pid", 8, Shape::Int),
                guess("comm", 16, Shape::Chars(16)),
                guess("thread.sp", 40, Shape::Long),
            ],
        };
        let other = Struct { name: "b", size: 16, members: vec![guess("x.y", 8, Shape::Int)] };
        let types = Types::new();
        types.add(|id| Ok::<_, ()>(Inferred::source(id, vec![StructBox(one), StructBox(other)]))).unwrap();
        let ty = types.find(Space::Struct, "task_struct")[0];
        assert_eq!(types.member(ty, "pid").unwrap().unwrap().offset(), 8);
        assert_eq!(types.size_of(types.member(ty, "comm").unwrap().unwrap().ty).unwrap(), 16);
        let thread = types.member(ty, "thread").unwrap().unwrap();
        assert_eq!(thread.offset(), 40);
        let sp = types.member(thread.ty, "sp").unwrap().unwrap();
        assert_eq!(types.size_of(sp.ty).unwrap(), 8);
        let b = types.find(Space::Struct, "b")[0];
        let x = types.member(b, "x").unwrap().unwrap();
        assert_eq!(types.size_of(types.member(x.ty, "y").unwrap().unwrap().ty).unwrap(), 4);
        // where the last known member ends says nothing of the size
        let size = types.exact_size_of(ty).unwrap_err().to_string();
        assert!(size.starts_with("the size of struct task_struct is not known"), "{size}");
        assert_eq!(types.exact_size_of(sp.ty).unwrap(), 8);
        // a list's head is what every kernel has: no guess
        let list = types.find(Space::Struct, "list_head")[0];
        assert_eq!((types.is_guess(list), types.exact_size_of(list).unwrap()), (false, 16));
        assert!(types.is_guess(ty));
    }

    #[test]
    fn the_stack_is_a_union_and_members_that_lack_are_no_statement_about_the_kernel() {
        struct None;
        impl crate::bind::OffsetHints for None {
            fn offset(&self, _: &str, _: &str) -> Option<u64> {
                Option::None
            }
            fn size(&self, _: &str) -> Option<u64> {
                Option::None
            }
        }
        let stack = Guess { name: "stack", offset: 0, shape: Shape::Long };
        let one = Struct { name: "thread_union", size: 16384, members: vec![stack] };
        let types = Types::new();
        types.add(|id| Ok::<_, ()>(Inferred::source(id, vec![StructBox(one)]))).unwrap();
        assert!(types.find(Space::Struct, "thread_union").is_empty());
        let ty = types.find(Space::Union, "thread_union")[0];
        assert_eq!(types.name(ty), "union thread_union");
        let layouts = crate::bind::Layouts { types: &types, hints: &None };
        let bound = |member| crate::bind::Field::bind(&layouts, "thread_union", Some(ty), member, &[member]);
        assert_eq!(bound("stack").offset().unwrap(), 0);
        let why = bound("thread_info").offset().unwrap_err().to_string();
        assert!(why.contains("could not be inferred") && why.contains("vmlinux"), "{why}");
    }
}
