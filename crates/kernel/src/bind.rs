//! Bindings: which members of which kernel structs crashlens reads, with the names they had over
//! the years. A binding is resolved once a session into offsets; a read afterwards is one memory
//! read. Shape decides, never the version number.
//!
//! ```ignore
//! bind! {
//!     /// `task_struct` (include/linux/sched.h)
//!     pub struct TaskStruct("task_struct") {
//!         pid: "pid",
//!         state: "__state" | "state", // renamed in 5.14 (2f064a59a11f)
//!     }
//! }
//! let task = session.bind::<TaskStruct>();
//! let pid = task.pid.int(mem, at)?;
//! ```

use crate::error::{KernelError, Result};
use base::{VirtAddr, VirtRead};
pub use debuginfo::types::TypeRef;
use debuginfo::types::{Found, Space, Type, Types};

/// Offsets that the dump itself names (VMCOREINFO's `OFFSET(struct.member)`, `SIZE(struct)`),
/// for kernels of which no types are at hand.
pub trait OffsetHints {
    /// `OFFSET(of.member)`, in bytes.
    fn offset(&self, of: &str, member: &str) -> Option<u64>;
    /// `SIZE(of)`, in bytes.
    fn size(&self, of: &str) -> Option<u64>;
    /// `NUMBER(name)`.
    fn number(&self, _name: &str) -> Option<i64> {
        None
    }
}

/// Where a binding looks its members up.
#[derive(Clone, Copy)]
pub struct Layouts<'a> {
    /// The session's types.
    pub types: &'a Types,
    /// What the dump says where types do not.
    pub hints: &'a dyn OffsetHints,
}

/// A struct whose members are bound: made by [`bind!`](crate::bind!).
pub trait Binding: Sized + Send + Sync + 'static {
    /// Looks every member up. Never fails: a member that is not there says so when it is read.
    fn bind(layouts: &Layouts<'_>) -> Self;
}

/// A bound member: where it is in its struct, or that this kernel does not have it.
#[derive(Clone, Debug)]
pub struct Field {
    of: &'static str,
    member: &'static str,
    place: Option<Place>,
    known: Known,
}

/// What is known of a struct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Known {
    Nothing,
    /// Some members, inferred.
    InPart,
    /// It has the member, at another place than its type says.
    Contradicted,
    Whole,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    offset: u64,
    size: u64,
    /// First bit within the byte at `offset`, and width, where it is a bit-field.
    bits: Option<(u64, u32)>,
    signed: bool,
    ty: TypeRef,
}

impl Field {
    /// True where this kernel has the member, even if its place is not known.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.place.is_some() || self.known == Known::Contradicted
    }

    fn place(&self) -> Result<Place> {
        let (of, member) = (self.of, self.member);
        self.place.ok_or(match self.known {
            Known::Nothing => KernelError::NoType(of),
            Known::InPart => KernelError::NotInferred { of, member },
            Known::Contradicted => KernelError::Contradicted { of, member },
            Known::Whole => KernelError::NoMember { of, member },
        })
    }

    /// Bytes from the start of the struct.
    ///
    /// # Errors
    /// The types do not know the member.
    pub fn offset(&self) -> Result<u64> {
        Ok(self.place()?.offset)
    }
    /// Bytes that the member takes; 0 where only its offset is known.
    ///
    /// # Errors
    /// The types do not know the member.
    pub fn size(&self) -> Result<u64> {
        Ok(self.place()?.size)
    }
    /// Of a bit-field: its first bit from the start of the struct, and its width.
    #[must_use]
    pub fn bits(&self) -> Option<(u64, u32)> {
        let p = self.place?;
        let (first, width) = p.bits?;
        Some((p.offset.checked_mul(8)?.checked_add(first)?, width))
    }
    /// The member's type; `void` where only its offset is known.
    ///
    /// # Errors
    /// The types do not know the member.
    pub fn ty(&self) -> Result<TypeRef> {
        Ok(self.place()?.ty)
    }
    /// The member's address in the struct at `base`.
    ///
    /// # Errors
    /// The types do not know the member.
    pub fn at(&self, base: VirtAddr) -> Result<VirtAddr> {
        Ok(base.add(self.place()?.offset))
    }
    /// The struct whose member is at `member`: `container_of`.
    ///
    /// # Errors
    /// The types do not know the member.
    pub fn container(&self, member: VirtAddr) -> Result<VirtAddr> {
        Ok(member.sub(self.place()?.offset))
    }

    /// The member as a number of its own width; sign-extended where its type is signed.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn num(&self, mem: &dyn VirtRead, base: VirtAddr) -> Result<u64> {
        let p = self.place()?;
        let at = base.add(p.offset);
        if let Some((first, width)) = p.bits {
            let bytes = first.saturating_add(u64::from(width)).div_ceil(8).min(8) as usize;
            let mut buf = [0; 8];
            if let Some(part) = buf.get_mut(..bytes) {
                mem.read(at, part)?;
            }
            let raw = u64::from_le_bytes(buf) >> first.min(63);
            let width = width.clamp(1, 64);
            let kept = raw & (u64::MAX >> (64 - width));
            return Ok(if p.signed { sign_extend(kept, width) } else { kept });
        }
        Ok(match p.size {
            1 => extend(u64::from(mem.u8(at)?), 8, p.signed),
            2 => extend(u64::from(mem.u16(at)?), 16, p.signed),
            4 => extend(u64::from(mem.u32(at)?), 32, p.signed),
            _ => mem.u64(at)?,
        })
    }
    /// The member as a signed number.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn int(&self, mem: &dyn VirtRead, base: VirtAddr) -> Result<i64> {
        self.num(mem, base).map(u64::cast_signed)
    }
    /// The member as the 32-bit signed number that the kernel's source says it is, whatever the
    /// width the source of the offset knows.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn i32(&self, mem: &dyn VirtRead, base: VirtAddr) -> Result<i32> {
        Ok(mem.i32(self.at(base)?)?)
    }
    /// The member as a 32-bit number.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn u32(&self, mem: &dyn VirtRead, base: VirtAddr) -> Result<u32> {
        Ok(mem.u32(self.at(base)?)?)
    }
    /// The member as a 64-bit number.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn u64(&self, mem: &dyn VirtRead, base: VirtAddr) -> Result<u64> {
        Ok(mem.u64(self.at(base)?)?)
    }
    /// The member as a pointer.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn ptr(&self, mem: &dyn VirtRead, base: VirtAddr) -> Result<VirtAddr> {
        Ok(mem.ptr(self.at(base)?)?)
    }
    /// A `char` array as text, up to its NUL.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn text(&self, mem: &dyn VirtRead, base: VirtAddr) -> Result<String> {
        let p = self.place()?;
        let len = if p.size == 0 { 64 } else { p.size };
        let raw = mem.cstr(base.add(p.offset), usize::try_from(len.min(4096)).unwrap_or(0))?;
        Ok(String::from_utf8_lossy(&raw).into_owned())
    }
    /// The string that a `char *` member points to, of at most `max` bytes.
    ///
    /// # Errors
    /// The pointer or the string is not in the dump, or the types do not know the member.
    pub fn string(&self, mem: &dyn VirtRead, base: VirtAddr, max: usize) -> Result<String> {
        let at = self.ptr(mem, base)?;
        Ok(String::from_utf8_lossy(&mem.cstr(at, max)?).into_owned())
    }

    /// Looks a member up under the first of its paths that this kernel has.
    #[must_use]
    pub fn bind(
        layouts: &Layouts<'_>,
        of: &'static str,
        of_ty: Option<TypeRef>,
        member: &'static str,
        paths: &[&'static str],
    ) -> Self {
        let Some(ty) = of_ty else {
            let place = paths.iter().find_map(|path| {
                let offset = layouts.hints.offset(of, path)?;
                Some(Place { offset, size: 0, bits: None, signed: false, ty: TypeRef::VOID })
            });
            return Self { of, member, place, known: Known::Nothing };
        };
        let (mut place, mut lost) = (None, false);
        for path in paths {
            place = walk(layouts.types, ty, path, &mut lost);
            if place.is_some() || lost {
                // what has it under this name has it under no other
                break;
            }
        }
        if lost {
            // the kernel itself says where some members are
            let told = paths.iter().find_map(|path| layouts.hints.offset(of, path));
            let at = |offset| Place { offset, size: 0, bits: None, signed: false, ty: TypeRef::VOID };
            place = told.map(at);
        }
        let known = match () {
            () if lost => Known::Contradicted,
            () if layouts.types.is_guess(ty) => Known::InPart,
            () => Known::Whole,
        };
        Self { of, member, place, known }
    }
}

fn extend(value: u64, width: u32, signed: bool) -> u64 {
    if signed { sign_extend(value, width) } else { value }
}

fn sign_extend(value: u64, width: u32) -> u64 {
    let shift = 64_u32.saturating_sub(width).min(63);
    ((value << shift).cast_signed() >> shift).cast_unsigned()
}

/// `a.b.c` through nested structs (not through pointers). Says where a member is there, at a place that is not known.
fn walk(types: &Types, of: TypeRef, path: &str, lost: &mut bool) -> Option<Place> {
    let mut found = Found { ty: of, bit_offset: 0, bit_size: None };
    for name in path.split('.') {
        let Some(next) = types.member(found.ty, name).ok().flatten() else {
            *lost |= types.is_lost(found.ty, name);
            return None;
        };
        found = Found {
            ty: next.ty,
            bit_offset: found.bit_offset.checked_add(next.bit_offset)?,
            bit_size: next.bit_size,
        };
    }
    let signed = match types.resolve(found.ty).ok().map(|(_, ty)| ty).as_deref() {
        Some(Type::Int { encoding, .. }) => encoding.is_signed(),
        Some(Type::Enum { signed, .. }) => *signed,
        _ => false,
    };
    Some(Place {
        offset: found.offset(),
        size: types.size_of(found.ty).unwrap_or(0),
        bits: found.bit_size.map(|w| (found.bit_offset % 8, w)),
        signed,
        ty: found.ty,
    })
}

/// The struct or union behind the first of these names that is known.
#[must_use]
pub fn find_struct(types: &Types, names: &[&str]) -> Option<TypeRef> {
    let spaces = [Space::Struct, Space::Union, Space::Typedef];
    names.iter().find_map(|name| {
        // only definitions have a size; a source that knows a declaration only is passed over
        spaces
            .into_iter()
            .find_map(|space| types.first(None, space, name).filter(|&at| types.size_of(at).is_ok()))
    })
}

/// Declares a binding; see the module's page.
#[macro_export]
macro_rules! bind {
    ($(#[$doc:meta])* $vis:vis struct $name:ident($of:literal $(| $of_too:literal)*) {
        $( $(#[$fdoc:meta])* $field:ident : $path:literal $(| $alt:literal)* ),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        #[allow(dead_code, reason = "size and ty are there for whoever needs them")]
        $vis struct $name {
            /// Bytes of the whole struct, where known.
            pub size: Option<u64>,
            /// The struct's type, where known.
            pub ty: Option<$crate::bind::TypeRef>,
            $( $(#[$fdoc])*
               #[doc = concat!("`", $path, "`" $(, " or `", $alt, "`")*)]
               pub $field: $crate::bind::Field, )*
        }
        impl $crate::bind::Binding for $name {
            fn bind(layouts: &$crate::bind::Layouts<'_>) -> Self {
                let ty = $crate::bind::find_struct(layouts.types, &[$of $(, $of_too)*]);
                let size = ty
                    .and_then(|ty| layouts.types.size_of(ty).ok())
                    .or_else(|| layouts.hints.size($of));
                Self {
                    size,
                    ty,
                    $( $field: $crate::bind::Field::bind(layouts, $of, ty, $path, &[$path $(, $alt)*]), )*
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};
    use debuginfo::types::{CompoundKind, Encoding, Member, Scope, SourceId, TypeError, TypeSource};
    use std::sync::Arc;

    bind! {
        /// A test struct.
        struct Thing("thing") {
            state: "__state" | "state",
            inner: "in.b",
            flag: "flag",
            gone: "gone" | "went",
        }
    }

    /// One struct: `struct thing { int state; struct { int a; short b; } in; int pad:3, flag:2; }`
    struct One(SourceId);
    impl TypeSource for One {
        fn describe(&self) -> String {
            "test".into()
        }
        fn scope(&self) -> Scope {
            Scope::Kernel
        }
        fn get(&self, id: u32) -> std::result::Result<Type, TypeError> {
            let at = |id| TypeRef { source: self.0, id };
            let m = |name: &str, id, bit_offset, bit_size| Member {
                name: Some(name.into()),
                ty: at(id),
                bit_offset,
                bit_size,
            };
            let compound = |name: Option<&str>, size, members: Vec<Member>| Type::Compound {
                kind: CompoundKind::Struct,
                name: name.map(Into::into),
                size,
                members: members.into(),
                declaration: false,
            };
            Ok(match id {
                1 => Type::Int { name: "int".into(), size: 4, encoding: Encoding::Signed },
                2 => Type::Int { name: "short".into(), size: 2, encoding: Encoding::Signed },
                3 => compound(None, 8, vec![m("a", 1, 0, None), m("b", 2, 32, None)]),
                _ => compound(
                    Some("thing"),
                    16,
                    vec![
                        m("state", 1, 0, None),
                        m("in", 3, 32, None),
                        m("pad", 1, 96, Some(3)),
                        m("flag", 1, 99, Some(2)),
                    ],
                ),
            })
        }
        fn find(&self, space: Space, name: &str) -> Vec<TypeRef> {
            if space == Space::Struct && name == "thing" {
                vec![TypeRef { source: self.0, id: 4 }]
            } else {
                vec![]
            }
        }
        fn find_enumerator(&self, _: &str) -> Vec<(TypeRef, i128)> {
            vec![]
        }
        fn names(&self, _: Space, _: &mut dyn FnMut(&str, TypeRef) -> bool) {}
    }

    struct Hints;
    impl OffsetHints for Hints {
        fn offset(&self, of: &str, member: &str) -> Option<u64> {
            (of == "thing" && member == "state").then_some(24)
        }
        fn size(&self, _: &str) -> Option<u64> {
            None
        }
    }

    struct Ram([u8; 32]);
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> std::result::Result<(), Fault> {
            let from = at.0 as usize;
            let part =
                self.0.get(from..from + buf.len()).ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
            buf.copy_from_slice(part);
            Ok(())
        }
    }

    #[test]
    fn members_bind_by_any_of_their_names() {
        let types = Types::new();
        types.add(|id| Ok::<_, ()>(Arc::new(One(id)) as Arc<dyn TypeSource>)).unwrap();
        let t = Thing::bind(&Layouts { types: &types, hints: &Hints });
        let mut ram = [0; 32];
        ram[0..4].copy_from_slice(&(-2_i32).to_le_bytes());
        ram[8..10].copy_from_slice(&(-3_i16).to_le_bytes());
        ram[12] = 0b0001_1000; // flag == 0b11 == -1 as a signed 2-bit field
        let ram = Ram(ram);
        assert_eq!(t.size, Some(16));
        assert_eq!(t.state.int(&ram, VirtAddr(0)).unwrap(), -2);
        assert_eq!(t.inner.offset().unwrap(), 8);
        assert_eq!(t.inner.int(&ram, VirtAddr(0)).unwrap(), -3);
        assert_eq!(t.flag.int(&ram, VirtAddr(0)).unwrap(), -1);
        assert_eq!((t.flag.bits(), t.inner.bits()), (Some((99, 2)), None));
        assert!(!t.gone.exists());
        let e = t.gone.num(&ram, VirtAddr(0)).unwrap_err();
        assert_eq!(e.to_string(), "struct thing has no member gone in this kernel");
    }

    #[test]
    fn without_types_the_dump_s_own_offsets_serve() {
        let types = Types::new();
        let t = Thing::bind(&Layouts { types: &types, hints: &Hints });
        assert_eq!(t.state.offset().unwrap(), 24);
        assert!(matches!(t.inner.offset(), Err(KernelError::NoType("thing"))));
    }
}
