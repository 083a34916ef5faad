//! Names for values: by debug information, else by the function's prototype in BTF and the way the
//! code came by them.

use crate::code::function::Code;
use crate::model::{How, Origin};
use crate::naming::members;
use arch::Regs;
use arch::dataflow::{Expr, Mem, Sym};
use base::{VirtAddr, VirtRead};
use cexpr::{Expr as CExpr, MemberPath, TypeName};
use debuginfo::dwarf::{Caller, FrameAccess, Location};
use debuginfo::types::{CompoundKind, Encoding, Scope, Space, Type, TypeRef, Types};
use kernel::Session;
use rustc_hash::FxHashMap;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use unwind::Frame;

/// A value's name in C.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Named {
    pub(crate) expr: CExpr,
    pub(crate) ty: Option<TypeRef>,
    pub(crate) how: How,
    /// How it came by: `third argument, unchanged since entry`.
    pub(crate) origin: Origin,
}

impl Named {
    /// The expression as people read it.
    pub(crate) fn text(&self) -> String {
        self.expr.for_reader().to_string()
    }
}

/// A member of an object in memory.
pub(crate) struct Member {
    pub(crate) named: Named,
    /// The object: its name, type, address.
    pub(crate) object: Option<(CExpr, TypeRef)>,
    pub(crate) path: MemberPath,
    pub(crate) bits: Option<(u64, u32)>,
    /// Bytes from the object's begin to the member.
    pub(crate) offset: u64,
}

impl Member {
    /// What is no part of a struct that is known.
    pub(crate) fn alone(named: Named) -> Self {
        Self { named, object: None, path: MemberPath::default(), bits: None, offset: 0 }
    }
}

/// `struct page *` of that struct, or of a typedef.
pub(crate) fn pointer_to(types: &Types, ty: TypeRef) -> Option<TypeName> {
    let full = types.get(ty).ok()?;
    let (space, name) = match &*full {
        Type::Compound { kind: CompoundKind::Struct, name, .. } => (Space::Struct, name.as_ref()?),
        Type::Compound { kind: CompoundKind::Union, name, .. } => (Space::Union, name.as_ref()?),
        Type::Typedef { name, .. } => (Space::Typedef, name),
        _ => return None,
    };
    Some(TypeName::named(space, &**name).pointer())
}

/// A variable that debug information places in a register or in memory.
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) ty: TypeRef,
    pub(crate) place: Spot,
}

pub(crate) enum Spot {
    Register(usize),
    Memory(u64),
    Value(u64),
}

/// Names values of one function.
pub(crate) struct Namer<'a> {
    pub(crate) s: &'a Session,
    pub(crate) code: Rc<Code>,
    /// The registers before the instruction at `at`.
    pub(crate) regs: Regs,
    /// The instruction to blame; of a caller, its call.
    pub(crate) at: u64,
    /// The canonical frame address, for variables on the stack.
    pub(crate) cfa: Option<u64>,
    /// The frames of the callers, innermost first.
    pub(crate) callers: &'a [Frame],
    /// How many calls lie between this function and the instruction to blame.
    pub(crate) level: usize,
    pub(crate) outer: OnceCell<Option<Box<Namer<'a>>>>,
    /// Values that the kernel has printed.
    pub(crate) printed: Vec<(Sym, u64)>,
    /// Of debug information's variables the function's own alone, without those of calls that were inlined in it.
    own: bool,
    params: OnceCell<Option<Vec<(String, TypeRef)>>>,
    locals: RefCell<FxHashMap<u64, Rc<Vec<Local>>>>,
}

/// Registers at the fault, as location expressions see them.
struct View<'a> {
    regs: &'a Regs,
    cfa: Option<u64>,
    mem: &'a dyn VirtRead,
}

impl FrameAccess for View<'_> {
    fn register(&self, number: u16) -> Option<u64> {
        self.regs.get(usize::from(number))
    }
    fn cfa(&self) -> Option<u64> {
        self.cfa
    }
    fn memory(&self) -> &dyn VirtRead {
        self.mem
    }
    fn caller(&self) -> Option<Caller<'_>> {
        None
    }
}

impl<'a> Namer<'a> {
    pub(crate) fn new(s: &'a Session, code: &Rc<Code>, regs: &Regs, cfa: Option<u64>) -> Self {
        Self {
            s,
            code: Rc::clone(code),
            regs: *regs,
            at: regs.pc().unwrap_or(0),
            cfa,
            callers: &[],
            level: 0,
            outer: OnceCell::new(),
            printed: Vec::new(),
            own: false,
            params: OnceCell::new(),
            locals: RefCell::default(),
        }
    }

    /// With the frames of the callers, innermost first.
    pub(crate) fn with_callers(mut self, callers: &'a [Frame]) -> Self {
        self.callers = callers;
        self
    }

    /// By the function's own variables, without those of calls that were inlined in it.
    pub(crate) const fn by_own(mut self) -> Self {
        self.own = true;
        self
    }

    /// With values that the kernel has printed.
    pub(crate) fn with_printed(mut self, printed: Vec<(Sym, u64)>) -> Self {
        self.printed = printed;
        self
    }

    pub(crate) fn types(&self) -> &'a Types {
        self.s.types()
    }

    /// With those of the code's module.
    pub(crate) fn loaded_types(&self) -> &'a Types {
        if let Some(at) = &self.code.module
            && let Some(m) = self.s.module_named(at)
        {
            let _ = self.s.load_module_types(m);
        }
        self.types()
    }

    pub(crate) fn scope(&self) -> Scope {
        match &self.code.module {
            Some(m) => Scope::Module(m.as_str().into()),
            None => Scope::Kernel,
        }
    }

    /// Parameters by argument register: name and type.
    pub(crate) fn params(&self) -> Option<&Vec<(String, TypeRef)>> {
        self.params.get_or_init(|| self.find_params()).as_ref()
    }

    fn find_params(&self) -> Option<Vec<(String, TypeRef)>> {
        if self.code.whole { self.params_of(&self.code.name, &self.scope()) } else { None }
    }

    /// The parameters of a function, by argument register.
    pub(crate) fn params_of(&self, function: &str, scope: &Scope) -> Option<Vec<(String, TypeRef)>> {
        let types = self.loaded_types();
        let all: Vec<TypeRef> = types
            .find_in(Some(scope), Space::Function, function)
            .into_iter()
            .filter(|ty| types.source(ty.source).is_some_and(|src| src.scope() == *scope))
            .collect();
        let first = *all.first()?;
        let said = types.name(first);
        if all.iter().any(|ty| types.name(*ty) != said) {
            return None; // several static functions of one name
        }
        let (_, full) = types.resolve(first).ok()?;
        let Type::Func { params, .. } = &*full else { return None };
        let mut out = Vec::new();
        for p in params.iter() {
            let size = types.size_of(p.ty).unwrap_or(8);
            let in_registers = match &*types.resolve(p.ty).ok()?.1 {
                Type::Int { .. } | Type::Enum { .. } | Type::Pointer { .. } => 1,
                Type::Compound { .. } if size <= 8 => 1,
                Type::Compound { .. } if size <= 16 => 2,
                Type::Compound { .. } => 0,
                _ => break, // floating point, 128-bit numbers: what follows is not certain
            };
            let name = p.name.as_deref().unwrap_or("").to_owned();
            for _ in 0..in_registers {
                out.push((name.clone(), p.ty));
            }
        }
        Some(out)
    }

    /// Debug information's variables at an instruction.
    pub(crate) fn locals(&self, ip: u64) -> Rc<Vec<Local>> {
        if let Some(known) = self.locals.borrow().get(&ip) {
            return Rc::clone(known);
        }
        let found = Rc::new(self.find_locals(ip));
        self.locals.borrow_mut().insert(ip, Rc::clone(&found));
        found
    }

    fn find_locals(&self, ip: u64) -> Vec<Local> {
        let at = VirtAddr(ip);
        let Some(file) = self.s.debug_at(at) else { return Vec::new() };
        let Some(dwarf) = file.dwarf.as_deref() else { return Vec::new() };
        let regs = self.regs_at(ip);
        let view = View { regs: &regs, cfa: self.cfa, mem: self.s.mem() };
        let outermost = if self.own { self.s.inline_frames(at).len().saturating_sub(1) } else { 0 };
        self.s
            .variables_at(at)
            .into_iter()
            .filter(|v| v.frame >= outermost)
            .filter(|v| v.is_param || !is_of_macro(&v.name))
            .filter_map(|v| {
                let place = match dwarf.evaluate(&v, &view) {
                    Location::Register(n, _) => Spot::Register(usize::from(n)),
                    Location::Address(at) => Spot::Memory(at),
                    Location::Value(bytes) if bytes.len() <= 8 => {
                        let mut raw = [0; 8];
                        raw.get_mut(..bytes.len())?.copy_from_slice(&bytes);
                        Spot::Value(u64::from_le_bytes(raw))
                    }
                    _ => return None,
                };
                Some(Local { name: v.name.to_string(), ty: v.ty, place })
            })
            .collect()
    }

    /// The registers before the instruction at `ip`, as far as their values are still held.
    fn regs_at(&self, ip: u64) -> Regs {
        if ip == self.at {
            return self.regs;
        }
        let set = self.regs.reg_set();
        let mut regs = Regs::new(set);
        for (number, ..) in self.regs.iter() {
            let held = self.code.flow.register(ip, number).and_then(|sym| self.value(sym));
            regs.put(number, held.filter(|h| !h.now).map(|h| h.value));
        }
        regs.put(set.roles.per_cpu, self.regs.per_cpu());
        regs.set(set.pc, ip);
        regs
    }

    /// A register's name before the instruction at `ip`.
    pub(crate) fn register(&self, ip: u64, number: usize) -> Option<Named> {
        let sym = self.code.flow.register(ip, number);
        let derived = sym.and_then(|sym| self.sym(ip, sym, 0));
        let locals = self.locals(ip);
        let mut held: Vec<&Local> =
            locals.iter().filter(|l| matches!(l.place, Spot::Register(n) if n == number)).collect();
        // the compiler's copy of a pointer has the variable's value; what was read or computed elsewhere may have it too
        let own = sym.is_some_and(|sym| {
            matches!(
                self.code.flow.expr(sym),
                Expr::Load { .. } | Expr::Bin { .. } | Expr::Returned(_) | Expr::PerCpu { .. }
            )
        });
        if held.is_empty()
            && !(own && derived.is_some())
            && let regs = self.regs_at(ip)
            && let Some(value) = regs.get(number).filter(|v| v >> 32 != 0)
        {
            held = locals.iter().filter(|l| value_of(l, &regs) == Some(value)).collect();
        }
        if let Some(local) = held.iter().max_by_key(|l| usize::from(self.is_outgrown(l.ty))) {
            return Some(Named {
                expr: CExpr::ident(&*local.name),
                ty: Some(local.ty),
                how: How::Dwarf,
                origin: derived.map(|d| d.origin).unwrap_or_default(),
            });
        }
        derived
    }

    /// A pointer to the larger of several structs at one address says more.
    pub(crate) fn is_outgrown(&self, ty: TypeRef) -> bool {
        members::pointee(self.types(), ty).is_some_and(|to| members::is_compound(self.types(), to))
    }

    /// All variables that debug information keeps in a register at `ip`.
    fn register_types(&self, ip: u64, number: usize) -> Vec<(String, TypeRef)> {
        let regs = self.regs_at(ip);
        let value = regs.get(number).filter(|v| v >> 32 != 0);
        let is_here = |l: &Local| matches!(l.place, Spot::Register(n) if n == number);
        self.locals(ip)
            .iter()
            .filter(|l| is_here(l) || (value.is_some() && value_of(l, &regs) == value))
            .map(|l| (l.name.clone(), l.ty))
            .collect()
    }

    /// What a function of the kernel or a module returns; nothing where several of that name return different things.
    pub(crate) fn return_type(&self, function: &str, module: Option<&str>) -> Option<TypeRef> {
        let types = self.loaded_types();
        let scope = module.map_or(Scope::Kernel, |m| Scope::Module(m.into()));
        let mut all = types
            .find_in(Some(&scope), Space::Function, function)
            .into_iter()
            .filter(|ty| types.source(ty.source).is_some_and(|src| src.scope() == scope))
            .filter_map(|ty| match &*types.resolve(ty).ok()?.1 {
                Type::Func { ret, .. } => Some(*ret),
                _ => None,
            });
        let first = all.next()?;
        let said = types.name(first);
        (!first.is_void() && all.all(|ty| types.name(ty) == said)).then_some(first)
    }

    /// A global variable, or a member of one.
    pub(crate) fn global(&self, at: u64, size: u64) -> Option<Named> {
        let l = self.s.locate(VirtAddr(at))?;
        let types = self.loaded_types();
        let name = l.symbol.name.to_owned();
        let ty = types.first(Some(&self.scope()), Space::Variable, &name);
        let named = |expr, ty| Named { expr, ty, how: How::Table, origin: Origin::Global };
        match ty {
            Some(ty) if members::is_compound(types, ty) => {
                let leaf = members::leaf(types, ty, l.offset, size, &self.code.name)?;
                Some(named(CExpr::ident(name).path(&leaf.path, false), Some(leaf.ty)))
            }
            ty if l.offset == 0 => Some(named(CExpr::ident(name), ty)),
            _ => Some(named(CExpr::words(format!("{name}+{:#x}", l.offset)), None)),
        }
    }

    /// `from->member` at an offset, through `container_of` where the struct itself is too small.
    pub(crate) fn member_of(&self, from: &Named, disp: i64, size: u64) -> Option<Member> {
        let types = self.types();
        let to = members::pointee(types, from.ty?)?;
        let found = |ty: TypeRef, offset: u64, from: CExpr, how: How| -> Option<Member> {
            let leaf = members::leaf(types, ty, offset, size, &self.code.name)?;
            let how = if leaf.others.is_empty() { how } else { How::Guessed };
            let origin = match leaf.others.as_slice() {
                [] => Origin::Unsaid,
                others => Origin::Or(others.to_vec()),
            };
            Some(Member {
                named: Named { expr: from.clone().path(&leaf.path, true), ty: Some(leaf.ty), how, origin },
                object: Some((from, ty)),
                path: leaf.path,
                bits: leaf.bits,
                offset,
            })
        };
        let own = types.size_of(to).unwrap_or(0);
        if !members::is_compound(types, to) {
            if disp == 0 && types.size_of(to).is_ok_and(|n| n == size) {
                let expr = from.expr.clone().pointed();
                let named = Named { expr, ty: Some(to), how: from.how, origin: Origin::Unsaid };
                return Some(Member::alone(named));
            }
            return None;
        }
        let offset = u64::try_from(disp).ok();
        if let Some(offset) = offset.filter(|o| *o < own)
            && let Some(m) = found(to, offset, from.expr.clone(), from.how)
        {
            return Some(m);
        }
        // beyond the struct: it is a member of a larger one
        for scope in [self.scope(), Scope::Kernel] {
            let need = offset?.checked_add(size)?;
            let all = members::containers(types, &scope, to, 0, need);
            let fitting: Vec<TypeRef> = all
                .into_iter()
                .filter(|ty| members::leaf(types, *ty, need - size, size, &self.code.name).is_some())
                .collect();
            if let [only] = fitting.as_slice() {
                let whole = from.expr.clone().cast(pointer_to(types, *only)?);
                return found(*only, need - size, whole, How::Guessed);
            }
            if !fitting.is_empty() {
                return None;
            }
        }
        None
    }

    /// The member that a memory operand of the instruction at `ip` names.
    pub(crate) fn memory(&self, ip: u64, mem: &Mem) -> Option<Member> {
        if mem.per_cpu {
            return self.per_cpu(mem.disp.cast_unsigned(), mem.size).map(Member::alone);
        }
        let Some(base) = mem.base else {
            return if mem.index.is_none() {
                self.global(mem.disp.cast_unsigned(), mem.size).map(Member::alone)
            } else {
                self.element(ip, mem)
            };
        };
        if mem.index.is_some() {
            return self.element(ip, mem);
        }
        // a local on the stack
        let address = self.regs_at(ip).get(base).map(|b| b.wrapping_add_signed(mem.disp));
        let locals = self.locals(ip);
        let in_memory = locals.iter().find(|l| match l.place {
            Spot::Memory(at) => {
                Some(at) == address && self.types().size_of(l.ty).is_ok_and(|n| n == mem.size)
            }
            _ => false,
        });
        if let Some(local) = in_memory {
            return Some(Member::alone(Named {
                expr: CExpr::ident(&*local.name),
                ty: Some(local.ty),
                how: How::Dwarf,
                origin: Origin::OnStack,
            }));
        }
        if let Some(sym) = self.code.flow.slot(ip, mem)
            && let Some(named) = self.sym(ip, sym, 0)
        {
            return Some(Member::alone(named));
        }
        // debug information: the variable whose struct has such a member
        for (name, ty) in self.register_types(ip, base) {
            let expr = CExpr::ident(name);
            let from = Named { expr, ty: Some(ty), how: How::Dwarf, origin: Origin::Unsaid };
            if let Some(to) = members::pointee(self.types(), ty)
                && u64::try_from(mem.disp).is_ok_and(|d| self.types().size_of(to).is_ok_and(|n| d < n))
                && let Some(m) = self.member_of(&from, mem.disp, mem.size)
            {
                return Some(m);
            }
        }
        let (sym, disp) = self.code.flow.address(ip, mem)?;
        if let Some((element, within)) = self.in_array(ip, sym) {
            return self.member_of(&element, within.wrapping_add(disp), mem.size);
        }
        if let Some(member) = self.indexed(ip, sym, disp, mem.size, 0) {
            return Some(member);
        }
        let from = self.sym(ip, sym, 0)?;
        self.member_of(&from, disp, mem.size)
    }
}

/// True for the variables that the kernel's macros declare within an expression (`__UNIQUE_ID_x_42`, `__ret_warn_on`, `___p1`,
/// `__mptr`, `pscr_ret__`, `_max1`): nobody wrote them, and the expression behind them says more.
fn is_of_macro(name: &str) -> bool {
    name.starts_with("__") || name.ends_with("__") || matches!(name, "_min1" | "_min2" | "_max1" | "_max2")
}

/// The value of a variable that is in a register or was computed.
fn value_of(local: &Local, regs: &Regs) -> Option<u64> {
    match local.place {
        Spot::Register(n) => regs.get(n),
        Spot::Value(v) => Some(v),
        Spot::Memory(_) => None,
    }
}

/// A value as its type has it: decimal, signed, `NULL`, `true`, an enumerator; hex for pointers and
/// where the type is not known and the number is large.
pub(crate) fn shown(types: &Types, ty: Option<TypeRef>, value: u64, size: u64) -> String {
    let bits = size.clamp(1, 8) * 8;
    let raw = value & (u64::MAX >> (64 - bits));
    let signed = ((raw << (64 - bits)).cast_signed() >> (64 - bits)).to_string();
    let resolved = ty.and_then(|ty| types.resolve(ty).ok());
    match resolved.as_ref().map(|(_, ty)| &**ty) {
        Some(Type::Pointer { .. }) if raw == 0 => "NULL".into(),
        Some(Type::Pointer { .. }) => format!("{raw:016x}"),
        Some(Type::Int { encoding: Encoding::Bool, .. }) => match raw {
            0 => "false".into(),
            1 => "true".into(),
            _ => format!("{raw:#x}"),
        },
        Some(Type::Int { encoding, .. }) if encoding.is_signed() => signed,
        Some(Type::Int { .. }) if raw > 0xff_ffff => format!("{raw:#x}"),
        Some(Type::Int { .. }) => raw.to_string(),
        Some(Type::Enum { values, .. }) => values
            .iter()
            .find(|(_, v)| *v == i128::from(raw) || v.to_string() == signed)
            .map_or(signed, |(name, _)| name.to_string()),
        _ if raw > 0xff_ffff => format!("{raw:#x}"),
        _ => raw.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_macros_are_no_names() {
        for name in ["__UNIQUE_ID_x_42", "__ret", "___p1", "__mptr", "pscr_ret__", "pao_tmp__", "_max1"] {
            assert!(is_of_macro(name), "{name}");
        }
        for name in ["_vq", "total_sg", "ret", "_x_", "max1"] {
            assert!(!is_of_macro(name), "{name}");
        }
    }
}
