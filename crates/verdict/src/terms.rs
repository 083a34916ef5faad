//! C expressions for values of the data flow: `req->nr + 1`, `table[n].len`, `&dev->lock`, `kmalloc()`.
//!
//! A variable that debug information keeps in a register with the value is preferred; then the function's
//! prototype and pointer types lead from its arguments to members.

use crate::condition::register_name;
use crate::model::How;
use crate::names::{Member, Named, Namer, Spot, ordinal};
use crate::path;
use arch::slice::{ARGUMENTS, BinOp, Expr, Mem, Sym};
use base::VirtAddr;
use debuginfo::types::TypeRef;

const MAX_DEPTH: usize = 8;

/// True where an operator stands between operands, outside of parentheses.
fn is_open(text: &str) -> bool {
    let mut depth = 0_i32;
    text.chars().any(|c| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        c == ' ' && depth == 0
    })
}

/// True for `(struct x *)p`.
fn is_cast(text: &str) -> bool {
    text.starts_with('(') && text.find(')').is_some_and(|end| end + 1 < text.len()) && text.contains(" *)")
}

/// `(a + b)`, where the text is more than a name.
pub(crate) fn wrapped(text: &str) -> String {
    let has_prefix = text.starts_with(['*', '&', '-', '!']);
    // parentheses around all of it are enough
    let whole = text.starts_with("((") && text.ends_with(')') && !is_open(text);
    if is_open(text) || has_prefix || (is_cast(text) && !whole) {
        format!("({text})")
    } else {
        text.to_owned()
    }
}

/// `p->path`, or `x.path` of `&x`.
pub(crate) fn arrow(pointer: &str, path: &str) -> String {
    match pointer.strip_prefix('&') {
        Some(object) if !is_open(object) => format!("{object}.{path}"),
        _ => format!("{}->{path}", wrapped(pointer)),
    }
}

/// `*p`, or `x` of `&x`.
pub(crate) fn pointed(pointer: &str) -> String {
    match pointer.strip_prefix('&') {
        Some(object) if !is_open(object) => object.to_owned(),
        _ => format!("*{}", wrapped(pointer)),
    }
}

/// `base + index * factor`
struct Scaled {
    base: Sym,
    index: Sym,
    factor: u64,
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
        Some(Named { text: best.name.clone(), ty: Some(best.ty), how: How::Dwarf, origin: String::new() })
    }

    /// How the function came by a value.
    pub(crate) fn origin(&self, sym: Sym) -> String {
        match self.code.flow.expr(sym) {
            Expr::Entry(number) => match ARGUMENTS.iter().position(|a| *a == number) {
                Some(n) if self.code.whole => format!("{} argument, unchanged since entry", ordinal(n)),
                _ => String::new(),
            },
            Expr::Load { at, .. } => format!("read at {}", self.code.offset(at)),
            Expr::Cut { base, .. } => self.origin(base),
            Expr::Returned(call) => format!("returned by the call at {}", self.code.offset(call)),
            Expr::Phi { .. } => self.way_here(sym).unwrap_or_default(),
            _ => String::new(),
        }
    }

    fn derived(&self, ip: u64, sym: Sym, depth: usize) -> Option<Named> {
        match self.code.flow.expr(sym) {
            Expr::Entry(number) => self.argument(number),
            Expr::Load { base, disp, size, at } => self.load(base, disp, size, at, depth),
            Expr::Add { base, disp } => self.shifted(ip, base, disp, depth),
            Expr::Cut { base, .. } => match crate::bits::field(self, sym) {
                Some(field) => Some(field),
                None => self.sym(ip, base, depth + 1),
            },
            Expr::Bin { op, a, b, .. } => match crate::bits::field(self, sym) {
                Some(field) => Some(field),
                None => self.operation(ip, op, a, b, depth),
            },
            Expr::Returned(call) => self.returned(call),
            Expr::PerCpu { at, size } => self.per_cpu(at.cast_unsigned(), size),
            Expr::Const(v) => {
                let at = VirtAddr(v.cast_unsigned());
                let l = (v < 0).then(|| self.s.locate(at)).flatten().filter(|l| l.offset == 0)?;
                Some(Named {
                    text: format!("&{}", l.symbol.name),
                    ty: self.pointer_to_global(l.symbol.name),
                    how: How::Table,
                    origin: "a constant".into(),
                })
            }
            Expr::Phi { .. } => match self.code.flow.only(sym) {
                Some(only) => self.sym(ip, only, depth + 1),
                None => self.walked(ip, sym, depth),
            },
            Expr::Stack(_) | Expr::Opaque(_) | Expr::Flag { .. } => None,
        }
    }

    fn argument(&self, number: usize) -> Option<Named> {
        let n = ARGUMENTS.iter().position(|a| *a == number)?;
        if !self.code.whole {
            // the compiler's own version of the function: its arguments are not the source's
            let register = register_name(number, 8);
            return Some(Named {
                text: format!("%{register} on entry"),
                ty: None,
                how: How::Decoded,
                origin: "unchanged since entry".into(),
            });
        }
        let origin = format!("{} argument, unchanged since entry", ordinal(n));
        let made = |text, ty| Named { text, ty, how: How::Decoded, origin };
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

    fn load(&self, base: Sym, disp: i64, size: u64, at: u64, depth: usize) -> Option<Named> {
        let flow = &self.code.flow;
        let origin = format!("read at {}", self.code.offset(at));
        if let Expr::Const(global) = flow.expr(base) {
            return self.global(global.wrapping_add(disp).cast_unsigned(), size);
        }
        if let Expr::Stack(slot) = flow.expr(base) {
            return self.on_stack(at, slot.wrapping_add(disp), size);
        }
        if let Some(member) = self.indexed(at, base, disp, size, depth) {
            return Some(Named { origin, ..member.named });
        }
        let from = self.sym(at, base, depth + 1)?;
        if let Some(member) = self.member_of(&from, disp, size) {
            return Some(Named { origin, ..member.named });
        }
        // memory of unknown type
        let text = match disp {
            0 => pointed(&from.text),
            d if d < 0 => format!("*({} - {:#x})", from.text, d.unsigned_abs()),
            d => format!("*({} + {d:#x})", from.text),
        };
        Some(Named { text, ty: None, how: from.how.max(How::Decoded), origin })
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
            let made =
                |text, ty| Named { text, ty, how: How::Dwarf, origin: "a variable on the stack".into() };
            if path::is_compound(types, l.ty) || len != size {
                let leaf = path::leaf(types, l.ty, offset, size, &self.code.name)?;
                let dot = if leaf.path.starts_with('[') { "" } else { "." };
                return Some(made(format!("{}{dot}{}", l.name, leaf.path), Some(leaf.ty)));
            }
            (offset == 0).then(|| made(l.name.clone(), Some(l.ty)))
        })
    }

    fn shifted(&self, ip: u64, base: Sym, disp: i64, depth: usize) -> Option<Named> {
        let types = self.types();
        let from = self.sym(ip, base, depth + 1)?;
        if disp > 0
            && let Some(to) = from.ty.and_then(|ty| path::pointee(types, ty))
            && let Some((path, ty)) = path::beginning_at(types, to, disp.cast_unsigned())
        {
            return Some(Named {
                text: format!("&{}", arrow(&from.text, &path)),
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
        let sign = if disp < 0 { '-' } else { '+' };
        let by = disp.unsigned_abs();
        let by = if by < 10 { by.to_string() } else { format!("{by:#x}") };
        Some(Named {
            text: format!("{} {sign} {by}", wrapped(&from.text)),
            ty: None,
            how: from.how.max(How::Decoded),
            origin: from.origin,
        })
    }

    /// The entry before or after a list's: `p->link.next` less the place of `link` in `*p`.
    pub(crate) fn neighbour(&self, of: &Named, disp: i64, size: u64, back: i64) -> Option<Named> {
        let types = self.types();
        let start = back.checked_neg().and_then(|n| u64::try_from(n).ok())?;
        let (entry, offset) = (path::pointee(types, of.ty?)?, u64::try_from(disp).ok()?);
        let (link, ty) = path::beginning_at(types, entry, start)?;
        let within = offset.checked_sub(start).filter(|o| types.size_of(ty).is_ok_and(|len| *o < len))?;
        let member = path::leaf(types, ty, within, size, "")?;
        let points_to = path::pointee(types, member.ty)?;
        if types.name(points_to) != "struct list_head" || types.name(ty) != "struct list_head" {
            return None;
        }
        let text = format!("list_{}_entry({}, {link})", member.path, of.text);
        Some(Named { text, ty: of.ty, how: of.how.max(How::Decoded), origin: String::new() })
    }

    fn operation(&self, ip: u64, op: BinOp, a: Sym, b: Sym, depth: usize) -> Option<Named> {
        let side = |sym: Sym| match self.code.flow.expr(sym) {
            Expr::Const(v) => {
                let mask = matches!(op, BinOp::And | BinOp::Or | BinOp::Xor) && !(0..=9).contains(&v);
                let text = if mask { format!("{:#x}", v & 0xffff_ffff) } else { v.to_string() };
                Some((text, How::Decoded))
            }
            _ => self.sym(ip, sym, depth + 2).map(|n| (wrapped(&n.text), n.how)),
        };
        let ((left, x), (right, y)) = (side(a)?, side(b)?);
        let text = format!("{left} {} {right}", op.symbol());
        Some(Named { text, ty: None, how: x.max(y).max(How::Decoded), origin: "computed".into() })
    }

    fn returned(&self, call: u64) -> Option<Named> {
        let target = self.code.function.target(call)?;
        let callee = self.s.locate(VirtAddr(target)).filter(|l| l.offset == 0)?.symbol.name.to_owned();
        if callee.contains("_thunk_") || callee.starts_with("__SCT") {
            return None;
        }
        Some(Named {
            text: format!("{callee}()"),
            ty: self.return_type(&callee),
            how: How::Decoded,
            origin: format!("returned by the call at {}", self.code.offset(call)),
        })
    }

    /// The type of `&variable`.
    fn pointer_to_global(&self, name: &str) -> Option<TypeRef> {
        use debuginfo::types::Space;
        let ty = self.types().first(Some(&self.scope()), Space::Variable, name)?;
        Some(self.types().pointer_to(ty))
    }

    /// `table[n].len` for a memory operand with an index register.
    pub(crate) fn element(&self, ip: u64, mem: &Mem) -> Option<Member> {
        let flow = &self.code.flow;
        let (index, scale) = mem.index?;
        let index = flow.register(ip, index)?;
        match mem.base {
            Some(base) => {
                let sym = flow.register(ip, base)?;
                let (base, more) = match flow.expr(sym) {
                    Expr::Add { base, disp } => (base, disp),
                    _ => (sym, 0),
                };
                let (index, factor) = self.scale(index, u64::from(scale));
                let whole = Scaled { base, index, factor };
                self.of_array(ip, &whole, mem.disp.wrapping_add(more), mem.size, 0)
            }
            None => {
                let (index, factor) = self.scale(index, u64::from(scale));
                self.of_global_array(ip, mem.disp, index, factor, mem.size)
            }
        }
    }

    /// `table[n].len` for a read at `sum + disp`, where the sum is of a pointer and a scaled index.
    fn indexed(&self, ip: u64, sum: Sym, disp: i64, size: u64, depth: usize) -> Option<Member> {
        let Expr::Bin { op: BinOp::Add, a, b, size: 8 } = self.code.flow.expr(sum) else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(base, index)| {
            let (index, factor) = self.scale(index, 1);
            let (base, more) = match self.code.flow.expr(base) {
                Expr::Add { base, disp } => (base, disp),
                _ => (base, 0),
            };
            self.of_array(ip, &Scaled { base, index, factor }, disp.wrapping_add(more), size, depth)
        })
    }

    /// A value as another one times a constant.
    fn scale(&self, sym: Sym, factor: u64) -> (Sym, u64) {
        let flow = &self.code.flow;
        let by = |b: Sym| match flow.expr(b) {
            Expr::Const(v) => u64::try_from(v).ok(),
            _ => None,
        };
        match flow.expr(sym) {
            Expr::Bin { op: BinOp::Shl, a, b, .. } if by(b).is_some_and(|n| n < 32) => {
                self.scale(a, factor << by(b).unwrap_or(0))
            }
            Expr::Bin { op: BinOp::Mul, a, b, .. } if by(b).is_some_and(|n| n < 1 << 20) => {
                self.scale(a, factor.saturating_mul(by(b).unwrap_or(1)))
            }
            Expr::Bin { op: BinOp::Add, a, b, .. } => {
                let ((x, f), (y, g)) = (self.scale(a, 1), self.scale(b, 1));
                if x == y { (x, factor.saturating_mul(f.saturating_add(g))) } else { (sym, factor) }
            }
            _ => (sym, factor),
        }
    }

    fn of_array(&self, ip: u64, at: &Scaled, disp: i64, size: u64, depth: usize) -> Option<Member> {
        let types = self.types();
        let from = self.sym(ip, at.base, depth + 1)?;
        let to = path::pointee(types, from.ty?)?;
        let index = self.index_text(ip, at.index, depth)?;
        let len = types.size_of(to).ok()?;
        let made = |text: String, ty: Option<TypeRef>, others: bool| Member {
            named: Named {
                text,
                ty,
                how: if others { How::Guessed } else { from.how.max(How::Decoded) },
                origin: String::new(),
            },
            object: None,
            path: String::new(),
            bits: None,
            offset: 0,
        };
        let offset = u64::try_from(disp).ok()?;
        if len == at.factor && offset < len {
            // p[n].member
            let name = format!("{}[{index}]", wrapped(&from.text));
            if !path::is_compound(types, to) {
                return (offset == 0 && len == size).then(|| made(name, Some(to), false));
            }
            let leaf = path::leaf(types, to, offset, size, &self.code.name)?;
            return Some(made(format!("{name}.{}", leaf.path), Some(leaf.ty), !leaf.others.is_empty()));
        }
        // p->array[n].member
        let leaf = path::leaf(types, to, offset, size, &self.code.name)?;
        let text = with_index(&leaf, at.factor, &index)?;
        let all = arrow(&from.text, &text);
        Some(made(all, Some(leaf.ty), !leaf.others.is_empty()))
    }

    fn of_global_array(&self, ip: u64, at: i64, index: Sym, factor: u64, size: u64) -> Option<Member> {
        use debuginfo::types::Space;
        let types = self.types();
        let l = self.s.locate(VirtAddr(at.cast_unsigned()))?;
        let name = l.symbol.name.to_owned();
        let ty = types.first(Some(&self.scope()), Space::Variable, &name)?;
        let leaf = path::leaf(types, ty, l.offset, size, &self.code.name)?;
        let index = self.index_text(ip, index, 0)?;
        let text = with_index(&leaf, factor, &index)?;
        let dot = if text.starts_with('[') { "" } else { "." };
        let named = Named {
            text: format!("{name}{dot}{text}"),
            ty: Some(leaf.ty),
            how: How::Table,
            origin: "a global variable".into(),
        };
        Some(Member { named, object: None, path: String::new(), bits: None, offset: 0 })
    }

    fn index_text(&self, ip: u64, index: Sym, depth: usize) -> Option<String> {
        match self.code.flow.expr(index) {
            Expr::Const(v) => Some(v.to_string()),
            _ => match self.sym(ip, index, depth + 1) {
                Some(named) => Some(named.text),
                None => {
                    let n = self.code.flow.holders(ip, index).next()?;
                    Some(format!("%{}", register_name(n, 8)))
                }
            },
        }
    }
}

/// A path with an index in place of its last array's number, where that array's elements have this size.
fn with_index(leaf: &path::Leaf, factor: u64, index: &str) -> Option<String> {
    if leaf.stride != Some(factor) {
        return None;
    }
    let open = leaf.path.rfind('[')?;
    let close = open + leaf.path.get(open..)?.find(']')?;
    let first = leaf.path.get(open + 1..close)?;
    let index = if first == "0" { index.to_owned() } else { format!("{index} + {first}") };
    Some(format!("{}[{index}]{}", leaf.path.get(..open)?, leaf.path.get(close + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_followed_is_its_object() {
        assert_eq!(arrow("p", "next"), "p->next");
        assert_eq!(arrow("&q->list", "next"), "q->list.next");
        assert_eq!(arrow("a + b", "x"), "(a + b)->x");
        assert_eq!(pointed("&t[4]"), "t[4]");
        assert_eq!(pointed("p"), "*p");
    }

    #[test]
    fn what_is_more_than_a_name_is_put_in_parentheses() {
        assert_eq!(wrapped("a + b"), "(a + b)");
        assert_eq!(wrapped("(struct x *)p"), "((struct x *)p)");
        assert_eq!(wrapped("((struct x *)p)"), "((struct x *)p)");
        assert_eq!(wrapped("*p"), "(*p)");
        assert_eq!(wrapped("f(a, b)"), "f(a, b)");
        assert_eq!(wrapped("t[a + 1].x"), "t[a + 1].x");
    }
}
