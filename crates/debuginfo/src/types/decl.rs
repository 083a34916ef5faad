//! Types in C's own spelling: `void (*callback)(struct virtqueue *)`.

use super::{CompoundKind, Type, TypeRef, Types};

/// Nesting after which a declaration is cut with `...`.
const MAX_DEPTH: usize = 32;

impl Types {
    /// The type's name as a cast would spell it: `struct page *`.
    #[must_use]
    pub fn name(&self, at: TypeRef) -> String {
        self.declare(at, "")
    }

    /// A declaration of `name` with this type: `int name[4]`, `void (*name)(int)`.
    #[must_use]
    pub fn declare(&self, at: TypeRef, name: &str) -> String {
        self.declare_at(at, name.to_owned(), 0)
    }

    /// The type behind `const` and the like.
    fn unqualified(&self, at: TypeRef) -> TypeRef {
        let mut at = at;
        for _ in 0..MAX_DEPTH {
            match self.get(at).as_deref() {
                Ok(Type::Qualified { to, .. }) => at = *to,
                _ => break,
            }
        }
        at
    }

    fn declare_at(&self, at: TypeRef, inner: String, depth: usize) -> String {
        if depth > MAX_DEPTH {
            return format!("...{inner}");
        }
        let joined = |head: &str| {
            if inner.is_empty() { head.to_owned() } else { format!("{head} {inner}") }
        };
        let Ok(ty) = self.get(at) else { return joined("<unreadable type>") };
        match &*ty {
            Type::Void => joined("void"),
            Type::Int { name, .. } => joined(short_spelling(name)),
            Type::Float { name, .. } | Type::Typedef { name, .. } => joined(name),
            Type::Compound { kind, name, .. } => {
                let word = match kind {
                    CompoundKind::Struct => "struct",
                    CompoundKind::Union => "union",
                };
                match name {
                    Some(tag) => joined(&format!("{word} {tag}")),
                    None => joined(&format!("{word} {{...}}")),
                }
            }
            Type::Enum { name, .. } => match name {
                Some(tag) => joined(&format!("enum {tag}")),
                None => joined("enum {...}"),
            },
            Type::Pointer { to } => {
                let inside = match self.get(self.unqualified(*to)).as_deref() {
                    Ok(Type::Array { .. } | Type::Func { .. }) => format!("(*{inner})"),
                    _ => format!("*{inner}"),
                };
                self.declare_at(*to, inside, depth + 1)
            }
            Type::Array { elem, count } => {
                let dim = count.map(|n| n.to_string()).unwrap_or_default();
                self.declare_at(*elem, format!("{inner}[{dim}]"), depth + 1)
            }
            Type::Func { ret, params, variadic } => {
                let mut list: Vec<String> =
                    params.iter().map(|p| self.declare_at(p.ty, String::new(), depth + 1)).collect();
                if *variadic {
                    list.push("...".into());
                }
                if list.is_empty() {
                    list.push("void".into());
                }
                self.declare_at(*ret, format!("{inner}({})", list.join(", ")), depth + 1)
            }
            Type::Qualified { qualifier, to } => {
                let word = qualifier.word();
                match self.get(*to).as_deref() {
                    // a qualified pointer carries its qualifier behind the star
                    Ok(Type::Pointer { .. }) => {
                        let inside =
                            if inner.is_empty() { word.to_owned() } else { format!("{word} {inner}") };
                        self.declare_at(*to, format!(" {inside}"), depth + 1)
                    }
                    // an array of const elements may be const itself: said once
                    _ => match self.declare_at(*to, inner, depth + 1) {
                        said if said.strip_prefix(word).is_some_and(|s| s.starts_with(' ')) => said,
                        said => format!("{word} {said}"),
                    },
                }
            }
        }
    }
}

/// An integer type as C programmers write it: compilers spell out `long unsigned int` and
/// `short int`, crash (gdb 16) shows `unsigned long` and `short`.
fn short_spelling(name: &str) -> &str {
    match name {
        "short int" => "short",
        "short unsigned int" => "unsigned short",
        "long int" => "long",
        "long unsigned int" => "unsigned long",
        "long long int" => "long long",
        "long long unsigned int" => "unsigned long long",
        "__int128 unsigned" => "unsigned __int128",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn int(t: &Types) -> TypeRef {
        t.intern(Type::Int { name: "int".into(), size: 4, encoding: Encoding::Signed })
    }

    #[test]
    fn declarators_nest_as_c_does() {
        let t = Types::new();
        let int = int(&t);
        let func = t.intern(Type::Func {
            ret: TypeRef::VOID,
            params: vec![Param { name: None, ty: t.pointer_to(int) }].into(),
            variadic: false,
        });
        assert_eq!(t.declare(t.pointer_to(func), "callback"), "void (*callback)(int *)");
        assert_eq!(t.declare(t.array_of(t.pointer_to(int), Some(3)), "a"), "int *a[3]");
        assert_eq!(t.declare(t.pointer_to(t.array_of(int, Some(3))), "p"), "int (*p)[3]");
        assert_eq!(t.name(t.pointer_to(t.pointer_to(int))), "int **");
        let konst = t.intern(Type::Qualified { qualifier: Qualifier::Const, to: int });
        assert_eq!(t.declare(t.pointer_to(konst), "s"), "const int *s");
        let array = t.array_of(konst, Some(3));
        let array = t.intern(Type::Qualified { qualifier: Qualifier::Const, to: array });
        assert_eq!(t.declare(t.pointer_to(array), "p"), "const int (*p)[3]");
    }

    #[test]
    fn members_are_found_through_anonymous_ones() {
        let t = Types::new();
        let int = int(&t);
        let inner = t.intern(Type::Compound {
            kind: CompoundKind::Union,
            name: None,
            size: 4,
            members: vec![Member { name: Some("x".into()), ty: int, bit_offset: 0, bit_size: None }].into(),
            declaration: false,
        });
        let outer = t.intern(Type::Compound {
            kind: CompoundKind::Struct,
            name: Some("s".into()),
            size: 8,
            members: vec![
                Member { name: Some("a".into()), ty: int, bit_offset: 0, bit_size: None },
                Member { name: None, ty: inner, bit_offset: 32, bit_size: None },
            ]
            .into(),
            declaration: false,
        });
        assert_eq!(t.member(outer, "x").unwrap().unwrap().offset(), 4);
        assert_eq!(t.member(outer, "y").unwrap(), None);
        assert_eq!(t.size_of(outer).unwrap(), 8);
    }
}
