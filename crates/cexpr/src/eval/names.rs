//! What a plain name, a register and `$n` stand for.

use super::{At, Evaluator};
use crate::absent::Absent;
use crate::error::{ErrorKind, ExprError, Span};
use crate::eval::typename::near_types;
use crate::known_vars::known_type;
use crate::scope::{History, SymbolInfo};
use crate::value::{Caveat, Value};
use debuginfo::types::{Encoding, Scope as TypeScope, Space, Type, TypeRef};

/// The types that gdb gives to symbols without debug information.
const NO_DATA_TYPE: &str = "<data variable, no debug info>";
const NO_TEXT_TYPE: &str = "<text variable, no debug info>";

impl Evaluator<'_> {
    pub(super) fn name(&self, name: &str, span: Span) -> Result<Value, ExprError> {
        if let Some(local) = self.scope.local(name) {
            return Ok(local);
        }
        if let Some(found) = self.symbol(name).at(span)? {
            return Ok(found);
        }
        if let Some(value) = self.constant(name).at(span)? {
            return Ok(value);
        }
        Err(ErrorKind::UnknownName { name: name.to_owned(), near: self.near(name) }.at(span))
    }

    fn symbol(&self, name: &str) -> Result<Option<Value>, ErrorKind> {
        let found = self.scope.symbol(name);
        let Some(first) = found.first() else { return Ok(None) };
        if found.iter().any(|s| s.addr != first.addr) {
            let place = |s: &SymbolInfo| match &s.module {
                Some(m) => format!("{:#x} [{m}]", s.addr),
                None => format!("{:#x}", s.addr),
            };
            return Err(ErrorKind::Ambiguous {
                name: name.to_owned(),
                places: found.iter().take(8).map(place).collect(),
            });
        }
        // debug information of one of the spellings of a symbol is enough
        let best = found.iter().find(|s| s.ty.is_some()).unwrap_or(first);
        Ok(Some(self.symbol_value(name, best)))
    }

    fn symbol_value(&self, name: &str, symbol: &SymbolInfo) -> Value {
        let plain = name.rsplit(':').next().unwrap_or(name);
        let prefer = self.scope.prefer();
        let space = if symbol.text { Space::Function } else { Space::Variable };
        let ty = symbol.ty.or_else(|| self.declared(prefer.as_ref(), space, plain)).or_else(|| {
            let known = !symbol.text && symbol.module.is_none();
            known.then(|| known_type(self.scope, plain)).flatten()
        });
        let plain: std::sync::Arc<str> = plain.into();
        let (ty, caveat) = match ty {
            Some(ty) => (ty, symbol.per_cpu.then_some(Caveat::PerCpu(plain))),
            None if symbol.text => (self.untyped_text(), None),
            None => (self.untyped_data(), Some(Caveat::NoType(plain))),
        };
        Value { caveat, ..Value::memory(ty, symbol.addr) }
    }

    /// The type that debug information gives to a name; of several, one that is complete: headers
    /// declare `extern int table[];` where one unit defines the length.
    fn declared(&self, prefer: Option<&TypeScope>, space: Space, name: &str) -> Option<TypeRef> {
        let first = self.types.first(prefer, space, name)?;
        let complete = |at: TypeRef| {
            !matches!(
                self.types.resolve(at).map(|(_, t)| t).as_deref(),
                Ok(Type::Array { count: None, .. } | Type::Compound { declaration: true, .. }) | Err(_)
            )
        };
        if complete(first) {
            return Some(first);
        }
        self.types.find_in(prefer, space, name).into_iter().find(|&at| complete(at)).or(Some(first))
    }

    fn untyped_data(&self) -> TypeRef {
        self.types.intern(Type::Typedef { name: NO_DATA_TYPE.into(), to: TypeRef::VOID })
    }

    fn untyped_text(&self) -> TypeRef {
        let int = self.int(4, true, 0).ty;
        let to = self.types.intern(Type::Func { ret: int, params: [].into(), variadic: true });
        self.types.intern(Type::Typedef { name: NO_TEXT_TYPE.into(), to })
    }

    /// Enumerators, and the constants that every kernel source has as macros.
    fn constant(&self, name: &str) -> Result<Option<Value>, ErrorKind> {
        if let Some((ty, value)) = self.types.find_enumerator(name).first() {
            return Ok(Some(self.immediate(*ty, *value, self.types.size_of(*ty)?)));
        }
        let truth = |v| {
            let ty = self.types.intern(Type::Int { name: "_Bool".into(), size: 1, encoding: Encoding::Bool });
            self.immediate(ty, v, 1)
        };
        Ok(match name {
            "NULL" => Some(self.immediate(self.types.pointer_to(TypeRef::VOID), 0, 8)),
            "true" => Some(truth(1)),
            "false" => Some(truth(0)),
            "PAGE_SIZE" => self.scope.page_shift().map(|shift| self.int(8, false, 1 << shift)),
            "PAGE_SHIFT" => self.scope.page_shift().map(|shift| self.int(4, true, i128::from(shift))),
            name => {
                let to = self.types.pointer_to(TypeRef::VOID);
                self.scope.pointer_constant(name).map(|at| self.immediate(to, i128::from(at), 8))
            }
        })
    }

    fn near(&self, name: &str) -> Vec<String> {
        match self.scope.near_symbols(name) {
            Some(near) => near,
            None => near_types(self.types, &[Space::Variable, Space::Function], name),
        }
    }

    pub(super) fn register(&self, name: &str, span: Span) -> Result<Value, ExprError> {
        match self.scope.register(name) {
            None => {
                let own = self.scope.convenience(name);
                own.ok_or_else(|| ErrorKind::UnknownRegister { name: name.to_owned() }.at(span))
            }
            Some(Ok(value)) => {
                let long = self.int(8, true, i128::from(value.cast_signed()));
                Ok(match self.scope.register_type(name) {
                    Some(ty) => Value { ty, ..long },
                    None => long,
                })
            }
            Some(Err(why)) => {
                let long = self.int(8, true, 0).ty;
                Ok(Value::absent(long, Absent::Because(why.into())))
            }
        }
    }

    pub(super) fn history(&self, which: History, span: Span) -> Result<Value, ExprError> {
        let text = match which {
            History::Number(n) => format!("${n}"),
            History::Back(n) => format!("$${n}"),
        };
        self.scope.history(which).ok_or_else(|| ErrorKind::NoHistory(text).at(span))
    }
}
