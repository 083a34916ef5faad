//! Type names: `const struct page *`, `u8 [16]`, `void (*)(int, ...)`. Source: C17 6.7.7.

use super::{MAX_DEPTH, Parser};
use crate::ast::{Deriv, TypeName, TypeSpec};
use crate::error::{ErrorKind, ExprError};
use crate::lex::Tok;
use debuginfo::types::{Encoding, Qualifier, Space};

const QUALIFIERS: [Qualifier; 4] =
    [Qualifier::Const, Qualifier::Volatile, Qualifier::Restrict, Qualifier::Atomic];

const TAGS: [Space; 3] = [Space::Struct, Space::Union, Space::Enum];

const BASE_WORDS: &[&str] =
    &["void", "char", "short", "int", "long", "signed", "unsigned", "float", "double", "_Bool", "__int128"];

fn qualifier(name: &str) -> Option<Qualifier> {
    QUALIFIERS.into_iter().find(|q| q.word() == name)
}

fn tag(name: &str) -> Option<Space> {
    TAGS.into_iter().find(|space| space.keyword() == Some(name))
}

fn is_typeof(name: &str) -> bool {
    matches!(name, "typeof" | "__typeof__" | "__typeof")
}

impl Parser<'_> {
    /// True where the token `ahead` begins a type name.
    pub(super) fn type_follows(&self, ahead: usize) -> bool {
        let Tok::Ident(name) = self.peek(ahead) else { return false };
        tag(name).is_some()
            || qualifier(name).is_some()
            || BASE_WORDS.contains(&name.as_str())
            || is_typeof(name)
            || (self.is_type)(name)
    }

    /// True where a type name stands here; `name(` and `name::` are never one.
    pub(super) fn at_type(&self) -> bool {
        self.type_follows(0)
            && match self.kind() {
                Tok::Ident(n) if is_typeof(n) || BASE_WORDS.contains(&n.as_str()) => true,
                _ => !matches!(self.peek(1), Tok::Op("::")),
            }
    }

    pub(super) fn type_name(&mut self) -> Result<TypeName, ExprError> {
        self.deeper(|p| {
            let start = p.span();
            let mut derivs = Vec::new();
            p.qualifiers(&mut derivs);
            let heart = p.span();
            let spec = p.type_spec(&mut derivs)?;
            let heart = heart.to(p.last_span());
            p.qualifiers(&mut derivs);
            p.declarator(&mut derivs)?;
            let below = match &spec {
                TypeSpec::TypeofExpr(e) => e.depth,
                TypeSpec::TypeofType(t) => t.depth,
                _ => 0,
            };
            let depth = derivs.iter().fold(below + derivs.len(), |d, x| match x {
                Deriv::Array(Some(e)) => d.max(e.depth + 1),
                Deriv::Func(params, _) => d.max(params.iter().map(|t| t.depth).max().unwrap_or(0) + 1),
                _ => d,
            });
            let span = start.to(p.last_span());
            if depth >= MAX_DEPTH {
                return Err(ErrorKind::TooDeep(MAX_DEPTH).at(span));
            }
            Ok(TypeName { spec, derivs, span, heart, depth: depth + 1 })
        })
    }

    fn qualifiers(&mut self, derivs: &mut Vec<Deriv>) {
        while let Tok::Ident(name) = self.kind() {
            let Some(q) = qualifier(name) else { return };
            if derivs.len() < MAX_DEPTH {
                derivs.push(Deriv::Qualified(q));
            }
            self.at += 1;
        }
    }

    fn type_spec(&mut self, derivs: &mut Vec<Deriv>) -> Result<TypeSpec, ExprError> {
        let Tok::Ident(name) = self.kind().clone() else { return Err(self.unexpected("a type")) };
        if let Some(space) = tag(&name) {
            self.at += 1;
            let Tok::Ident(tag) = self.kind().clone() else {
                return Err(self.unexpected("a tag after struct, union or enum"));
            };
            self.at += 1;
            return Ok(TypeSpec::Named(space, tag));
        }
        if is_typeof(&name) {
            self.at += 1;
            self.expect("(", "'(' after typeof")?;
            let spec = if self.at_type() {
                TypeSpec::TypeofType(self.type_name()?.into())
            } else {
                TypeSpec::TypeofExpr(self.expression()?.into())
            };
            self.expect(")", "')' of typeof")?;
            return Ok(spec);
        }
        if BASE_WORDS.contains(&name.as_str()) {
            return self.base_type(derivs);
        }
        self.at += 1;
        Ok(TypeSpec::Named(Space::Typedef, name))
    }

    /// C's keywords in any order: `long unsigned int`.
    fn base_type(&mut self, derivs: &mut Vec<Deriv>) -> Result<TypeSpec, ExprError> {
        let start = self.span();
        let (mut longs, mut signed, mut unsigned) = (0, 0, 0);
        let mut word = "";
        let mut short = 0;
        while let Tok::Ident(name) = self.kind().clone() {
            if let Some(q) = qualifier(&name) {
                derivs.push(Deriv::Qualified(q));
                self.at += 1;
                continue;
            }
            let Some(&base) = BASE_WORDS.iter().find(|w| **w == name) else { break };
            match base {
                "long" => longs += 1,
                "short" => short += 1,
                "signed" => signed += 1,
                "unsigned" => unsigned += 1,
                _ if word.is_empty() => word = base,
                _ => return Err(self.unexpected("one type")),
            }
            self.at += 1;
        }
        let u = unsigned > 0;
        let pick = |s, us, size| {
            if u {
                TypeSpec::Int(us, size, Encoding::Unsigned)
            } else {
                TypeSpec::Int(s, size, Encoding::Signed)
            }
        };
        Ok(match (word, longs, short) {
            ("void", 0, 0) => TypeSpec::Void,
            ("_Bool", 0, 0) => TypeSpec::Int("_Bool", 1, Encoding::Bool),
            ("float", 0, 0) => TypeSpec::Float("float", 4),
            ("double", 0, 0) => TypeSpec::Float("double", 8),
            ("double", 1, 0) => TypeSpec::Float("long double", 16),
            ("char", 0, 0) if u => TypeSpec::Int("unsigned char", 1, Encoding::UnsignedChar),
            ("char", 0, 0) if signed > 0 => TypeSpec::Int("signed char", 1, Encoding::SignedChar),
            ("char", 0, 0) => TypeSpec::Int("char", 1, Encoding::SignedChar),
            ("__int128", 0, 0) => pick("__int128", "unsigned __int128", 16),
            ("" | "int", 0, 1) => pick("short", "unsigned short", 2),
            ("" | "int", 0, 0) => pick("int", "unsigned int", 4),
            ("" | "int", 1, 0) => pick("long", "unsigned long", 8),
            ("" | "int", 2, 0) => pick("long long", "unsigned long long", 8),
            _ => {
                let found = "this mixture of type words".to_owned();
                let span = start.to(self.last_span());
                return Err(ErrorKind::Expected { wanted: "a type", found }.at(span));
            }
        })
    }

    /// An abstract declarator: pointers apply to the heart first, then `[]` and `()` from the right,
    /// then what the parentheses hold.
    fn declarator(&mut self, derivs: &mut Vec<Deriv>) -> Result<(), ExprError> {
        self.deeper(|p| {
            while p.eat("*") {
                derivs.push(Deriv::Pointer);
                p.qualifiers(derivs);
                if derivs.len() > MAX_DEPTH {
                    return Err(ErrorKind::TooDeep(MAX_DEPTH).at(p.last_span()));
                }
            }
            let mut inner = Vec::new();
            if p.is("(") && matches!(p.peek(1), Tok::Op("*" | "(" | "[")) {
                p.at += 1;
                p.declarator(&mut inner)?;
                p.expect(")", "')' of the declarator")?;
            }
            let mut suffixes = Vec::new();
            while suffixes.len() < MAX_DEPTH {
                if p.eat("[") {
                    let size = if p.is("]") { None } else { Some(p.ternary()?.into()) };
                    p.expect("]", "']'")?;
                    suffixes.push(Deriv::Array(size));
                } else if p.eat("(") {
                    suffixes.push(p.parameters()?);
                } else {
                    break;
                }
            }
            derivs.extend(suffixes.into_iter().rev());
            derivs.extend(inner);
            Ok(())
        })
    }

    fn parameters(&mut self) -> Result<Deriv, ExprError> {
        let mut params = Vec::new();
        if self.eat(")") {
            return Ok(Deriv::Func(params, false));
        }
        if matches!(self.kind(), Tok::Ident(n) if n == "void") && matches!(self.peek(1), Tok::Op(")")) {
            self.at += 2;
            return Ok(Deriv::Func(params, false));
        }
        loop {
            if self.eat("...") {
                self.expect(")", "')' after '...'")?;
                return Ok(Deriv::Func(params, true));
            }
            params.push(self.type_name()?);
            if self.eat(")") {
                return Ok(Deriv::Func(params, false));
            }
            self.expect(",", "',' or ')' of the parameters")?;
        }
    }
}
