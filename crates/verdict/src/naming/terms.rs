//! C expressions for values of the data flow: `req->nr + 1`, `table[n].len`, `&dev->lock`, `kmalloc()`.
//!
//! A variable that debug information keeps in a register with the value is preferred; then the function's
//! prototype and pointer types lead from its arguments to members.

use crate::code::operand::register_name;
use crate::model::{How, Origin};
use crate::naming::members;
use crate::naming::names::{Named, Namer, Spot};
use arch::dataflow::{BinOp, Expr, Sym};
use base::VirtAddr;
use cexpr::{BinOp as COp, Expr as CExpr, TypeName};
use debuginfo::types::{Scope, Space, TypeRef};

const MAX_DEPTH: usize = 8;

/// `p + 8`, `p - 0x18`
fn moved(pointer: CExpr, by: i64) -> CExpr {
    let op = if by < 0 { COp::Sub } else { COp::Add };
    let n = by.unsigned_abs();
    let by = if n < 10 { CExpr::unsigned(n) } else { CExpr::hex(n) };
    CExpr::binary(op, pointer, by)
}

/// What a register held when the function was entered.
fn on_entry(register: &str) -> CExpr {
    CExpr::words(format!("%{register} on entry"))
}

/// An operator of the data flow as C has it.
const fn operator(op: BinOp) -> COp {
    match op {
        BinOp::Add => COp::Add,
        BinOp::Sub => COp::Sub,
        BinOp::And => COp::BitAnd,
        BinOp::Or => COp::BitOr,
        BinOp::Xor => COp::BitXor,
        BinOp::Mul => COp::Mul,
        BinOp::Shl => COp::Shl,
        BinOp::Shr | BinOp::Sar => COp::Shr,
    }
}

impl Namer<'_> {
    /// The name of a value, as seen at the instruction at `ip`.
    pub(crate) fn sym(&self, ip: u64, sym: Sym, depth: usize) -> Option<Named> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(named) = self.variable(ip, sym) {
            return Some(Named { origin: self.origin(sym), ..named });
        }
        self.derived(ip, sym, depth)
    }

    /// The variable that debug information keeps in a register that holds the value.
    fn variable(&self, ip: u64, sym: Sym) -> Option<Named> {
        let flow = &self.code.flow;
        let whole = |s: Sym| match flow.expr(s) {
            Expr::Cut { base, .. } => base,
            _ => s,
        };
        let locals = self.locals(ip);
        let fitting = locals.iter().filter(|l| match l.place {
            Spot::Register(n) => {
                flow.register(ip, n).is_some_and(|held| held == sym || whole(held) == whole(sym))
            }
            _ => false,
        });
        let best = fitting.max_by_key(|l| usize::from(self.is_outgrown(l.ty)))?;
        Some(Named {
            expr: CExpr::ident(&*best.name),
            ty: Some(best.ty),
            how: How::Dwarf,
            origin: Origin::Unsaid,
        })
    }

    /// How the function came by a value.
    pub(crate) fn origin(&self, sym: Sym) -> Origin {
        match self.code.flow.expr(sym) {
            Expr::Entry(number) => match self.code.function.convention().argument(number) {
                Some(n) if self.code.whole => Origin::Argument { n, unchanged: true },
                _ => Origin::Unsaid,
            },
            Expr::Load { at, .. } => Origin::Read(self.code.offset(at)),
            Expr::Cut { base, .. } => self.origin(base),
            Expr::Returned(call) => Origin::Returned(self.code.offset(call)),
            Expr::Phi { .. } => self.way_here(sym).unwrap_or_default(),
            _ => Origin::Unsaid,
        }
    }

    /// The name of a value by the data flow alone, without the variables of debug information.
    pub(crate) fn by_flow(&self, ip: u64, sym: Sym) -> Option<Named> {
        self.derived(ip, sym, 0)
    }

    fn derived(&self, ip: u64, sym: Sym, depth: usize) -> Option<Named> {
        if let Some(named) = crate::naming::atomic::named(self, sym, depth) {
            return Some(named);
        }
        match self.code.flow.expr(sym) {
            Expr::Entry(number) => self.argument(number),
            Expr::Load { base, disp, size, at } => self.load(base, disp, size, at, depth),
            Expr::Add { base, disp } => self.shifted(ip, sym, (base, disp), depth),
            Expr::Cut { base, .. } => match crate::naming::bits::field(self, sym) {
                Some(field) => Some(field),
                None => self.sym(ip, base, depth + 1),
            },
            Expr::Bin { op, a, b, .. } => crate::naming::bits::field(self, sym)
                .or_else(|| self.stored(ip, sym))
                .or_else(|| self.element_address(ip, sym, depth))
                .or_else(|| self.operation(ip, op, a, b, depth)),
            Expr::Returned(call) => self.returned(call),
            Expr::PerCpu { at, size } => self.per_cpu(at.cast_unsigned(), size),
            Expr::Const(v) => {
                let at = VirtAddr(v.cast_unsigned());
                let l = (v < 0).then(|| self.s.locate(at)).flatten().filter(|l| l.offset == 0)?;
                Some(Named {
                    expr: CExpr::ident(l.symbol.name).address(),
                    ty: self.pointer_to_global(l.symbol.name),
                    how: How::Table,
                    origin: Origin::Constant,
                })
            }
            Expr::Phi { .. } => match self.code.flow.only(sym) {
                Some(only) => self.sym(ip, only, depth + 1),
                None => self.narrowest(ip, sym, depth).or_else(|| self.loop_carried(ip, sym, depth)),
            },
            Expr::Stack(_) | Expr::Opaque(_) | Expr::Flag { .. } => None,
        }
    }

    /// A value that some paths kept the low part of only, which is all of its type.
    fn narrowest(&self, ip: u64, sym: Sym, depth: usize) -> Option<Named> {
        let (low, size) = self.code.flow.only_low(sym)?;
        let whole =
            |named: &Named| named.ty.is_some_and(|ty| self.types().size_of(ty).is_ok_and(|own| own <= size));
        self.sym(ip, low, depth + 1).filter(whole)
    }

    fn argument(&self, number: usize) -> Option<Named> {
        let n = self.code.function.convention().argument(number)?;
        if !self.code.whole {
            // the compiler's own version of the function: its arguments are not the source's
            let register = register_name(self.s, number, 8);
            return Some(Named {
                expr: on_entry(&register),
                ty: None,
                how: How::Decoded,
                origin: Origin::Unchanged,
            });
        }
        let origin = Origin::Argument { n, unchanged: true };
        let made = |name, ty| Named { expr: CExpr::ident(name), ty, how: How::Decoded, origin };
        match self.params() {
            Some(params) => {
                // a prototype of fewer parameters: the register is no argument
                let (name, ty) = params.get(n)?;
                let text = if name.is_empty() { format!("arg{}", n + 1) } else { name.clone() };
                Some(made(text, Some(*ty)))
            }
            None => Some(made(format!("arg{}", n + 1), None)),
        }
    }

    pub(crate) fn load(&self, base: Sym, disp: i64, size: u64, at: u64, depth: usize) -> Option<Named> {
        let flow = &self.code.flow;
        let origin = Origin::Read(self.code.offset(at));
        if let Expr::Const(global) = flow.expr(base) {
            return self.global(global.wrapping_add(disp).cast_unsigned(), size);
        }
        if let Expr::Stack(slot) = flow.expr(base) {
            let slot = slot.wrapping_add(disp);
            return self.on_stack(at, slot, size).or_else(|| self.filled(slot, size));
        }
        if let Some(member) = self.indexed(at, base, disp, size, depth) {
            return Some(Named { origin, ..member.named });
        }
        let from = self.sym(at, base, depth + 1)?;
        if let Some(member) = self.member_of(&from, disp, size) {
            return Some(Named { origin, ..member.named });
        }
        if let Some(expr) = self.part_of(&from, disp, size) {
            return Some(Named { expr, ty: None, how: from.how.max(How::Decoded), origin });
        }
        // memory of unknown type
        let expr = if disp == 0 { from.expr } else { moved(from.expr, disp) }.pointed();
        Some(Named { expr, ty: None, how: from.how.max(How::Decoded), origin })
    }

    /// Bytes of a struct that no one member is, as a number: eight bytes of a text are `*(u64 *)&p->label[0]`.
    fn part_of(&self, from: &Named, disp: i64, size: u64) -> Option<CExpr> {
        let types = self.types();
        let to = members::pointee(types, from.ty?)?;
        let offset = u64::try_from(disp).ok()?;
        let end = offset.checked_add(size)?;
        if !members::is_compound(types, to) || types.size_of(to).is_ok_and(|own| own < end) {
            return None;
        }
        let (path, _) = members::beginning_at(types, to, offset)?;
        let bits = size.checked_mul(8).filter(|_| matches!(size, 1 | 2 | 4 | 8))?;
        let number = TypeName::named(Space::Typedef, format!("u{bits}")).pointer();
        Some(from.expr.clone().path(&path, true).address().cast(number).pointed())
    }

    /// A variable on the stack.
    fn on_stack(&self, ip: u64, slot: i64, size: u64) -> Option<Named> {
        let at = self.cfa?.wrapping_sub(8).wrapping_add_signed(slot);
        let locals = self.locals(ip);
        let types = self.types();
        locals.iter().find_map(|l| {
            let Spot::Memory(start) = l.place else { return None };
            let len = types.size_of(l.ty).ok()?;
            let offset = at.checked_sub(start).filter(|o| *o < len)?;
            let made = |expr, ty| Named { expr, ty, how: How::Dwarf, origin: Origin::OnStack };
            if members::is_compound(types, l.ty) || len != size {
                let leaf = members::leaf(types, l.ty, offset, size, &self.code.name)?;
                return Some(made(CExpr::ident(&*l.name).path(&leaf.path, false), Some(leaf.ty)));
            }
            (offset == 0).then(|| made(CExpr::ident(&*l.name), Some(l.ty)))
        })
    }

    /// A member of a struct on the stack that a call before was given the address of, by that function's prototype.
    fn filled(&self, slot: i64, size: u64) -> Option<Named> {
        let types = self.types();
        let flow = &self.code.flow;
        let mut found: Option<Named> = None;
        for (call, target) in self.code.function.calls() {
            let passed = |n: &usize| match flow.expr(flow.register(call, *n)?) {
                Expr::Stack(start) => Some(start),
                _ => None,
            };
            if self.code.arguments().iter().filter_map(passed).all(|start| start > slot) {
                continue;
            }
            let Some(l) = self.s.locate(VirtAddr(target)).filter(|l| l.offset == 0) else { continue };
            let callee = l.symbol.name.to_owned();
            let scope = match l.symbol.module {
                Some(name) => Scope::Module(name.into()),
                None => Scope::Kernel,
            };
            for (n, (name, ty)) in self.params_of(&callee, &scope).unwrap_or_default().iter().enumerate() {
                let Some(start) = self.code.arguments().get(n).and_then(passed) else { continue };
                let Some(to) = members::pointee(types, *ty).filter(|to| members::is_compound(types, *to))
                else {
                    continue;
                };
                let Some(offset) = slot.checked_sub(start).and_then(|o| u64::try_from(o).ok()) else {
                    continue;
                };
                if types.size_of(to).is_ok_and(|len| offset >= len) {
                    continue;
                }
                let leaf = members::leaf(types, to, offset, size, &self.code.name)?;
                let local = CExpr::ident(if name.is_empty() { "local" } else { name });
                let expr = local.path(&leaf.path, false);
                let origin = Origin::Given { ty: types.name(to), callee: callee.clone() };
                let this = Named { expr, ty: Some(leaf.ty), how: How::Decoded, origin };
                if found.as_ref().is_some_and(|known| known.expr != this.expr) {
                    return None;
                }
                found = Some(this);
            }
        }
        found
    }

    fn shifted(&self, ip: u64, sym: Sym, (base, disp): (Sym, i64), depth: usize) -> Option<Named> {
        let types = self.types();
        let from = self.sym(ip, base, depth + 1)?;
        if disp > 0
            && let Some(to) = from.ty.and_then(|ty| members::pointee(types, ty))
            && let Some((path, ty)) = members::beginning_at(types, to, disp.cast_unsigned())
        {
            return Some(Named {
                expr: from.expr.path(&path, true).address(),
                ty: Some(types.pointer_to(ty)),
                how: from.how.max(How::Decoded),
                origin: from.origin,
            });
        }
        if let Expr::Load { base: object, disp: at, size, .. } = self.code.flow.expr(base)
            && disp < 0
            && let Some(object) = self.sym(ip, object, depth + 2)
            && let Some(entry) = self.neighbour(&object, at, size, disp)
        {
            return Some(Named { origin: from.origin, ..entry });
        }
        if let Some(named) = self.stored(ip, sym) {
            return Some(named);
        }
        Some(Named {
            expr: moved(from.expr, disp),
            ty: None,
            how: from.how.max(How::Decoded),
            origin: from.origin,
        })
    }

    /// The entry before or after a list's: `p->link.next` less the place of `link` in `*p`.
    pub(crate) fn neighbour(&self, of: &Named, disp: i64, size: u64, back: i64) -> Option<Named> {
        let types = self.types();
        let start = back.checked_neg().and_then(|n| u64::try_from(n).ok())?;
        let (entry, offset) = (members::pointee(types, of.ty?)?, u64::try_from(disp).ok()?);
        let (link, ty) = members::beginning_at(types, entry, start)?;
        let within = offset.checked_sub(start).filter(|o| types.size_of(ty).is_ok_and(|len| *o < len))?;
        let member = members::leaf(types, ty, within, size, "")?;
        let points_to = members::pointee(types, member.ty)?;
        if types.name(points_to) != "struct list_head" || types.name(ty) != "struct list_head" {
            return None;
        }
        let link = CExpr::designator(&link)?;
        let expr = CExpr::call(format!("list_{}_entry", member.path), vec![of.expr.clone(), link]);
        Some(Named { expr, ty: of.ty, how: of.how.max(How::Decoded), origin: Origin::Unsaid })
    }

    fn operation(&self, ip: u64, op: BinOp, a: Sym, b: Sym, depth: usize) -> Option<Named> {
        let side = |sym: Sym| match self.code.flow.expr(sym) {
            Expr::Const(v) => {
                let mask = matches!(op, BinOp::And | BinOp::Or | BinOp::Xor) && !(0..=9).contains(&v);
                let bits = v.cast_unsigned() & 0xffff_ffff;
                Some((if mask { CExpr::hex(bits) } else { CExpr::int(v) }, How::Decoded))
            }
            _ => self.sym(ip, sym, depth + 2).map(|n| (n.expr, n.how)),
        };
        let ((left, x), (right, y)) = (side(a)?, side(b)?);
        let expr = CExpr::binary(operator(op), left, right);
        Some(Named { expr, ty: None, how: x.max(y).max(How::Decoded), origin: Origin::Computed })
    }

    fn returned(&self, call: u64) -> Option<Named> {
        let target = self.code.function.target(call)?;
        let symbol = self.s.locate(VirtAddr(target)).filter(|l| l.offset == 0)?.symbol;
        let callee = symbol.name;
        if callee.contains("_thunk_") || callee.starts_with("__SCT") {
            return None;
        }
        Some(Named {
            expr: CExpr::call(callee, Vec::new()),
            ty: self.return_type(callee, symbol.module),
            how: How::Decoded,
            origin: Origin::Returned(self.code.offset(call)),
        })
    }

    /// The type of `&variable`.
    fn pointer_to_global(&self, name: &str) -> Option<TypeRef> {
        use debuginfo::types::Space;
        let ty = self.loaded_types().first(Some(&self.scope()), Space::Variable, name)?;
        Some(self.types().pointer_to(ty))
    }
}
